/* restore_kit.c - see tests/restore_kit.h. */
#include "tests/restore_kit.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "lib/vault/chunk.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SLOTS (1u << 16)

struct stored {
    struct id id;
    uint8_t *sealed;
    size_t len;
    uint64_t counter;
    bool gone;
    enum chunk_status status; /* when gone */
    unsigned spoilt;          /* so many copies are bad */
    struct stored *next;
};

struct rk {
    struct id vault_id, key_id;
    uint8_t key[KEY_BYTES];
    struct chunk_box *box;
    struct stored *slots[SLOTS];
    uint64_t counter;
    char **roots;
    size_t n_roots;
    struct leaf_writer *leaf;
    struct wbuf index, index_first; /* of the index chunk being filled */
    struct body_index *indexes;
    size_t n_indexes;
    uint64_t entries;
    unsigned uid, gid;
    struct id last_leaf;
};

/* --- the snapshot ----------------------------------------------------------------------------- */
struct rk *rk_new(void)
{
    struct rk *k = calloc(1, sizeof *k);
    assert_non_null(k);
    memset(&k->vault_id, 7, sizeof k->vault_id);
    memset(&k->key_id, 9, sizeof k->key_id);
    memset(k->key, 11, sizeof k->key);
    k->box = chunk_box_new(&k->vault_id, &k->key_id, k->key);
    k->leaf = leaf_writer_new(false);
    k->uid = geteuid();
    k->gid = getegid();
    return k;
}

void rk_free(struct rk *k)
{
    for (size_t i = 0; i < SLOTS; i++) {
        while (k->slots[i]) {
            struct stored *s = k->slots[i];
            k->slots[i] = s->next;
            free(s->sealed);
            free(s);
        }
    }
    for (size_t i = 0; i < k->n_roots; i++)
        free(k->roots[i]);
    free(k->roots);
    for (size_t i = 0; i < k->n_indexes; i++)
        free(k->indexes[i].first);
    free(k->indexes);
    wbuf_free(&k->index);
    wbuf_free(&k->index_first);
    leaf_writer_free(k->leaf);
    chunk_box_free(k->box);
    free(k);
}

void rk_owner(struct rk *k, unsigned uid, unsigned gid)
{
    k->uid = uid;
    k->gid = gid;
}

void rk_root(struct rk *k, const char *path)
{
    k->roots = realloc(k->roots, (k->n_roots + 1) * sizeof *k->roots);
    k->roots[k->n_roots++] = strdup(path);
}

static struct stored *find(struct rk *k, const struct id *id)
{
    struct stored *s = k->slots[(id->b[0] | (unsigned)id->b[1] << 8) % SLOTS];
    while (s && !id_eq(&s->id, id))
        s = s->next;
    return s;
}

struct id rk_chunk(struct rk *k, const void *p, size_t n)
{
    struct id id;
    struct wbuf sealed = WBUF_INIT;
    sha256_of(p, n, &id);
    if (find(k, &id))
        return id;
    struct stored *s = calloc(1, sizeof *s),
                  **slot = &k->slots[(id.b[0] | (unsigned)id.b[1] << 8) % SLOTS];
    s->id = id;
    s->counter = k->counter++;
    assert_int_equal(chunk_seal(k->box, &id, s->counter, 1, p, n, &sealed, NULL), 0);
    s->sealed = malloc(sealed.len);
    s->len = sealed.len;
    memcpy(s->sealed, sealed.p, sealed.len);
    wbuf_free(&sealed);
    s->next = *slot;
    *slot = s;
    return id;
}

struct entry rk_entry(const struct rk *k, enum entry_type type, const char *path)
{
    return (struct entry){
        .type = type,
        .path = path,
        .path_len = strlen(path),
        .mode = type == ENTRY_DIR       ? 0755
                : type == ENTRY_SYMLINK ? 0777
                                        : 0644,
        .uid = k->uid,
        .gid = k->gid,
        .mtime_s = 1700000000,
        .mtime_ns = 123456789,
    };
}

static void add_leaf(struct rk *k, const void *p, size_t n, const char *first, size_t first_len,
                     uint64_t entries)
{
    struct leaf_info li = { .entries = entries, .first = first, .first_len = first_len };
    li.id = k->last_leaf = rk_chunk(k, p, n);
    if (k->index.len == 0)
        wb_bytes(&k->index_first, first, first_len);
    leaf_info_write(&k->index, &li);
}

void rk_leaf(struct rk *k)
{
    struct wbuf out = WBUF_INIT, first = WBUF_INIT;
    struct err e = ERR_INIT;
    size_t n = leaf_count(k->leaf);
    if (n == 0)
        return;
    assert_int_equal(leaf_take(k->leaf, &out, &first, &e), 0);
    add_leaf(k, out.p, out.len, (char *)first.p, first.len, n);
    wbuf_free(&out);
    wbuf_free(&first);
}

void rk_index(struct rk *k)
{
    rk_leaf(k);
    if (k->index.len == 0)
        return;
    k->indexes = realloc(k->indexes, (k->n_indexes + 1) * sizeof *k->indexes);
    struct body_index *x = &k->indexes[k->n_indexes++];
    x->id = rk_chunk(k, k->index.p, k->index.len);
    x->first_len = k->index_first.len;
    x->first = malloc(x->first_len + 1);
    memcpy(x->first, k->index_first.p, x->first_len);
    x->first[x->first_len] = '\0';
    wbuf_reset(&k->index);
    wbuf_reset(&k->index_first);
}

void rk_add(struct rk *k, const struct entry *en)
{
    struct err e = ERR_INIT;
    if (leaf_count(k->leaf) > 0 && leaf_is_full(k->leaf, en->path, en->path_len))
        rk_leaf(k);
    if (leaf_add(k->leaf, en, &e) < 0)
        fail_msg("leaf_add %s: %s", en->path, e.why);
    k->entries++;
}

void rk_dir(struct rk *k, const char *path, unsigned mode)
{
    struct entry en = rk_entry(k, ENTRY_DIR, path);
    en.mode = mode;
    rk_add(k, &en);
}

struct id rk_file(struct rk *k, const char *path, const void *p, size_t n)
{
    struct entry en = rk_entry(k, ENTRY_FILE, path);
    struct extent x = { .len = n };
    if (n > 0) {
        x.chunk = rk_chunk(k, p, n);
        sha256_of(p, n, &en.hash);
        en.size = n;
        en.extents = &x;
        en.n_extents = 1;
    }
    rk_add(k, &en);
    return x.chunk;
}

void rk_symlink(struct rk *k, const char *path, const char *target)
{
    struct entry en = rk_entry(k, ENTRY_SYMLINK, path);
    en.target = target;
    en.target_len = strlen(target);
    rk_add(k, &en);
}

void rk_link(struct rk *k, const char *path, const char *target)
{
    struct entry en = rk_entry(k, ENTRY_HARDLINK, path);
    en.target = target;
    en.target_len = strlen(target);
    rk_add(k, &en);
}

void rk_raw_symlink(struct rk *k, const char *path, const char *target, const char *first)
{
    struct wbuf b = WBUF_INIT;
    rk_leaf(k);
    wb_u8(&b, 'L');
    wb_u8(&b, 1);
    wb_varint(&b, 0);
    wb_varint(&b, 1);
    wb_varint(&b, 0);
    wb_str(&b, path);
    wb_u8(&b, ENTRY_SYMLINK);
    wb_varint(&b, 0);
    wb_varint(&b, 0777);
    wb_varint(&b, 0);
    wb_varint(&b, 0);
    wb_zigzag(&b, 1700000000);
    wb_varint(&b, 0);
    wb_str(&b, target);
    add_leaf(k, b.p, b.len, first, strlen(first), 1);
    wbuf_free(&b);
}

void rk_lose(struct rk *k, const struct id *id, enum chunk_status status)
{
    struct stored *s = find(k, id);
    assert_non_null(s);
    s->gone = true;
    s->status = status;
}

void rk_spoil(struct rk *k, const struct id *id, unsigned copies)
{
    struct stored *s = find(k, id);
    assert_non_null(s);
    s->spoilt = copies;
}

void rk_lose_last_leaf(struct rk *k)
{
    rk_leaf(k);
    rk_lose(k, &k->last_leaf, CHUNK_LOST);
}

/* --- the agent -------------------------------------------------------------------------------- */
void rk_maybe_agent(int argc, char **argv)
{
    if (argc != 4 || strcmp(argv[1], "--agent") != 0)
        return;
    struct err e = ERR_INIT;
    enum frame_type type;
    struct rbuf payload;
    struct msg_restore m;
    unsigned uid = (unsigned)strtoul(argv[3], NULL, 10);
    if (uid && (setgid(uid) != 0 || setuid(uid) != 0))
        _exit(99);
    struct wire *w = wire_new(0, 0, false);
    int rc = wire_recv(w, &type, &payload, 0, &e);
    if (rc == 0)
        rc = type == FRAME_RESTORE ? msg_restore_read(&payload, &m, &e) : -1;
    if (rc == 0) {
        m.resolved = getenv("RK_RESOLVED") != NULL;
        rc = agent_restore(w, &m, argv[2], &e);
        msg_restore_done(&m);
    }
    if (rc < 0)
        wire_send_error(w, &e);
    wire_free(w);
    if (getenv("RK_SHOW_MEMORY"))
        (void)!system("grep VmHWM /proc/$PPID/status >&2; cut -d' ' -f14,15 /proc/$PPID/stat >&2");
    exit(rc < 0 ? 1 : 0);
}

static pid_t start(const struct rk_job *job, const char *state, int *ret_fd)
{
    int sv[2];
    char uid[16];
    snprintf(uid, sizeof uid, "%u", job->uid);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (job->fault)
            setenv("TWOFOLD_FAULT", job->fault, 1);
        dup2(sv[1], 0);
        execl("/proc/self/exe", "agent", "--agent", state, uid, (char *)NULL);
        _exit(98);
    }
    close(sv[1]);
    *ret_fd = sv[0];
    return pid;
}

/* --- serving it ------------------------------------------------------------------------------- */
struct session {
    struct rk *k;
    struct rk_job *job;
    struct wire *w;
    pid_t pid;
    bool key_sent, killed;
    struct {
        struct id id;
        unsigned n;
    } bads[64];
    size_t n_bads;
};

static unsigned tries_of(struct session *s, const struct id *id, bool one_more)
{
    for (size_t i = 0; i < s->n_bads; i++) {
        if (id_eq(&s->bads[i].id, id))
            return s->bads[i].n += one_more;
    }
    if (!one_more)
        return 0;
    assert_true(s->n_bads < 64);
    s->bads[s->n_bads].id = *id;
    return s->bads[s->n_bads++].n = 1;
}

static void send_key(struct session *s)
{
    struct wbuf b = WBUF_INIT;
    wb_id(&b, &s->k->key_id);
    wb_bytes(&b, s->k->key, sizeof s->k->key);
    wire_send(s->w, FRAME_KEY, &b, NULL, 0, NULL);
    wbuf_free(&b);
    s->key_sent = true;
}

static int send_chunk(struct session *s, const struct id *id)
{
    struct rk_job *job = s->job;
    struct stored *c = find(s->k, id);
    struct wbuf head = WBUF_INIT;
    unsigned tries = tries_of(s, id, false);
    if (!s->key_sent)
        send_key(s);
    if (job->before_chunk)
        job->before_chunk(job->ctx, job->chunks_sent);
    struct msg_chunk m = { .id = *id, .key_id = s->k->key_id, .status = CHUNK_LOST };
    bool ok = c && !c->gone;
    if (c && c->gone)
        m.status = c->status;
    if (ok) {
        m.status = CHUNK_OK;
        m.counter = c->counter;
    }
    msg_chunk_write(&head, &m);
    uint8_t *copy = NULL;
    if (ok && tries < c->spoilt) {
        copy = malloc(c->len);
        memcpy(copy, c->sealed, c->len);
        copy[c->len / 2] ^= 1;
    }
    int rc = wire_send(s->w, FRAME_CHUNK, &head,
                       !ok    ? NULL
                       : copy ? copy
                              : c->sealed,
                       ok ? c->len : 0, NULL);
    free(copy);
    wbuf_free(&head);
    job->chunks_sent++;
    if (job->kill_after && job->chunks_sent >= job->kill_after && !s->killed) {
        kill(s->pid, SIGKILL);
        s->killed = true;
    }
    return rc;
}

static void take_note(struct rk_job *job, struct rbuf *payload)
{
    struct msg_note m;
    assert_int_equal(msg_note_read(payload, &m, NULL), 0);
    job->notes = realloc(job->notes, (job->n_notes + 1) * sizeof *job->notes);
    job->notes[job->n_notes++] = (struct rk_note){ .problem = m.problem,
                                                   .path = strndup(m.path, m.path_len),
                                                   .text = strndup(m.text, m.text_len) };
}

static void take_diff(struct rk_job *job, struct rbuf *payload)
{
    struct msg_diff m;
    assert_int_equal(msg_diff_read(payload, &m, NULL), 0);
    job->diffs = realloc(job->diffs, (job->n_diffs + 1) * sizeof *job->diffs);
    job->diffs[job->n_diffs++] = (struct rk_diff){ .change = m.change,
                                                   .what = m.what,
                                                   .path = strndup(m.path, m.path_len) };
}

/* 0: go on; 1: done; negative: the agent has ended. */
static int take(struct session *s, enum frame_type type, struct rbuf *payload)
{
    struct id id;
    struct rk_job *job = s->job;
    size_t n;
    int rc = 0;
    switch (type) {
    case FRAME_GET:
        for (n = (size_t)rb_varint(payload); n > 0 && rc == 0; n--) {
            rb_id(payload, &id);
            job->n_gets++;
            rc = send_chunk(s, &id);
        }
        return rc;
    case FRAME_BAD:
        rb_id(payload, &id);
        job->n_bads++;
        if (tries_of(s, &id, true) >= 3)
            rk_lose(s->k, &id, CHUNK_LOST);
        return send_chunk(s, &id);
    case FRAME_NOTE:
        take_note(job, payload);
        return 0;
    case FRAME_DIFF:
        take_diff(job, payload);
        return 0;
    case FRAME_PROGRESS:
        job->n_progress++;
        return 0;
    case FRAME_DONE:
        assert_int_equal(msg_done_read(payload, &job->done, NULL), 0);
        return 1;
    default:
        fail_msg("frame %d", (int)type);
        return -1;
    }
}

static void send_job(struct session *s)
{
    struct rk *k = s->k;
    struct rk_job *job = s->job;
    struct wbuf body = WBUF_INIT, head = WBUF_INIT;
    struct msg_restore m = {
        .vault_id = k->vault_id,
        .snapshot_id = job->snapshot,
        .mode = job->mode,
        .overwrite = job->overwrite,
        .delta = job->delta,
        .set_aside = job->set_aside,
        .strip_source = job->strip_source,
        .target = (char *)job->target,
        .paths = (char **)job->paths,
        .exclude = (char **)job->exclude,
    };
    while (m.n_paths < 8 && job->paths[m.n_paths])
        m.n_paths++;
    while (m.n_exclude < 8 && job->exclude[m.n_exclude])
        m.n_exclude++;
    rk_index(k);
    if (k->n_roots == 0)
        rk_root(k, "/");
    struct snapshot_body b = { .roots = k->roots,
                               .n_roots = k->n_roots,
                               .index = k->indexes,
                               .n_index = k->n_indexes,
                               .entries = k->entries };
    snapshot_body_write(&body, &b);
    m.body = body.p;
    m.body_len = body.len;
    msg_restore_write(&head, &m);
    assert_int_equal(wire_send(s->w, FRAME_RESTORE, &head, NULL, 0, NULL), 0);
    wbuf_free(&body);
    wbuf_free(&head);
}

void rk_restore(struct rk *k, struct rk_job *job)
{
    const char *tmp = getenv("TMPDIR");
    char state[256];
    struct session s = { .k = k, .job = job };
    enum frame_type type;
    struct rbuf payload;
    int fd;
    snprintf(state, sizeof state, "%s/rk.XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(state));
    if (job->uid)
        assert_int_equal(chown(state, job->uid, job->uid), 0);
    s.pid = start(job, state, &fd);
    s.w = wire_new(fd, fd, true);
    send_job(&s);
    int rc = 0;
    while (rc == 0) {
        rc = wire_recv(s.w, &type, &payload, 0, &job->err);
        if (rc == 0)
            rc = take(&s, type, &payload);
    }
    job->rc = rc == 1 ? 0 : rc;
    wire_free(s.w);
    assert_int_equal(waitpid(s.pid, &job->status, 0), s.pid);
    assert_int_equal(rmdir(state), 0);
}

/* --- results ---------------------------------------------------------------------------------- */
void rk_job_done(struct rk_job *job)
{
    for (size_t i = 0; i < job->n_notes; i++) {
        free(job->notes[i].path);
        free(job->notes[i].text);
    }
    for (size_t i = 0; i < job->n_diffs; i++)
        free(job->diffs[i].path);
    free(job->notes);
    free(job->diffs);
    job->notes = NULL;
    job->diffs = NULL;
    job->n_notes = job->n_diffs = 0;
}

const struct rk_note *rk_note(const struct rk_job *job, const char *path)
{
    for (size_t i = 0; i < job->n_notes; i++) {
        if (strcmp(job->notes[i].path, path) == 0)
            return &job->notes[i];
    }
    return NULL;
}

const struct rk_diff *rk_diff(const struct rk_job *job, const char *path)
{
    for (size_t i = 0; i < job->n_diffs; i++) {
        if (strcmp(job->diffs[i].path, path) == 0)
            return &job->diffs[i];
    }
    return NULL;
}

size_t rk_problems(const struct rk_job *job)
{
    size_t n = 0;
    for (size_t i = 0; i < job->n_notes; i++)
        n += job->notes[i].problem;
    return n;
}

/* --- folders of a test ------------------------------------------------------------------------ */
/* What rk_path returned in this test. */
static struct {
    char **v;
    size_t n;
} paths;

int rk_setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = NULL;
    if (asprintf(&dir, "%s/tf-apply.XXXXXX", tmp ? tmp : "/tmp") < 0 || !mkdtemp(dir))
        return -1;
    *state = dir;
    return 0;
}

int rk_teardown(void **state)
{
    char *command = NULL;
    int rc = asprintf(&command, "chattr -R -i -a '%s' 2>/dev/null; rm -rf '%s'", (char *)*state,
                      (char *)*state);
    rc = rc < 0 ? -1 : system(command);
    free(command);
    free(*state);
    while (paths.n > 0)
        free(paths.v[--paths.n]);
    free(paths.v);
    paths.v = NULL;
    return rc == 0 ? 0 : -1;
}

const char *rk_path(const char *dir, const char *path)
{
    char **more = realloc(paths.v, (paths.n + 1) * sizeof *more);
    assert_non_null(more);
    paths.v = more;
    assert_true(asprintf(&paths.v[paths.n], "%s/%s", dir, path) >= 0);
    return paths.v[paths.n++];
}

void rk_write(const char *path, const void *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(sys_write(fd, p, n, NULL), 0);
    close(fd);
}

bool rk_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

void rk_holds(const char *path, const void *p, size_t n)
{
    struct stat st;
    uint8_t *have = NULL;
    size_t len = 0;
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        fail_msg("%s is not a regular file", path);
    assert_int_equal(st.st_size, n);
    assert_int_equal(sys_read_file(AT_FDCWD, path, n + 1, &have, &len, NULL), 0);
    assert_int_equal(len, n);
    if (n > 0)
        assert_memory_equal(have, p, n);
    free(have);
}

size_t rk_count(const char *dir, const char *prefix)
{
    DIR *d = opendir(dir);
    struct dirent *de;
    size_t n = 0;
    assert_non_null(d);
    while ((de = readdir(d)) != NULL)
        n += strncmp(de->d_name, prefix, strlen(prefix)) == 0;
    closedir(d);
    return n;
}

void rk_waits_for(const char *path)
{
    uint64_t end = sys_monotonic_ms() + 60000;
    while (!rk_exists(path)) {
        assert_true(sys_monotonic_ms() < end);
        usleep(1000);
    }
}
