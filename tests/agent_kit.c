/* agent_kit.c - see tests/agent_kit.h. */
#include "tests/agent_kit.h"
#include "agents/beat.h"
#include "lib/base/sys.h"
#include "lib/crypto/hpke.h"
#include "lib/wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define LEAK_STATUS 99

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* --- the vault --------------------------------------------------------------------------------- */
/* The bytes of chunks lie outside the heap and are not in the child: each child's leak check would read all of them, and each fork copy their
 * page tables. */
struct ak_kept {
    struct ak_kept *next;
    size_t size, used; /* with this head */
};
#define KEPT_BYTES ((size_t)8 << 20)

static uint8_t *keep_bytes(struct ak_vault *v, const uint8_t *p, size_t n)
{
    struct ak_kept *k = v->kept;
    if (!k || k->size - k->used < n) {
        size_t size = n < KEPT_BYTES / 2 ? KEPT_BYTES : n + sizeof *k;
        k = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(k, MAP_FAILED);
        assert_int_equal(madvise(k, size, MADV_DONTFORK), 0);
        *k = (struct ak_kept){ .next = v->kept, .size = size, .used = sizeof *k };
        v->kept = k;
    }
    uint8_t *to = (uint8_t *)k + k->used;
    memcpy(to, p, n);
    k->used += n;
    return to;
}

void ak_vault_init(struct ak_vault *v)
{
    *v = (struct ak_vault){ 0 };
    memset(v->id.b, 7, sizeof v->id.b);
    memset(v->recovery_sk, 9, sizeof v->recovery_sk);
    memset(v->dedup_key, 3, sizeof v->dedup_key);
    x25519_public(v->recovery_sk, v->recovery_pk);
    v->n_slots = 1024;
    v->slots = calloc(v->n_slots, sizeof *v->slots);
    assert_non_null(v->slots);
}

void ak_vault_done(struct ak_vault *v)
{
    for (struct ak_kept *k = v->kept, *next; k; k = next) {
        next = k->next;
        munmap(k, k->size);
    }
    free(v->chunks);
    free(v->slots);
}

static size_t slot_of(const struct ak_vault *v, const struct id *id)
{
    uint64_t h;
    memcpy(&h, id->b, sizeof h);
    size_t i = (size_t)h & (v->n_slots - 1);
    while (v->slots[i] && !id_eq(&v->chunks[v->slots[i] - 1].id, id))
        i = (i + 1) & (v->n_slots - 1);
    return i;
}

const struct ak_chunk *ak_find(const struct ak_vault *v, const struct id *id)
{
    size_t at = v->slots[slot_of(v, id)];
    return at ? &v->chunks[at - 1] : NULL;
}

static void add_chunk(struct ak_vault *v, const struct ak_chunk *c)
{
    if (v->n_chunks == v->cap_chunks) {
        v->cap_chunks = v->cap_chunks ? 2 * v->cap_chunks : 256;
        v->chunks = realloc(v->chunks, v->cap_chunks * sizeof *v->chunks);
        assert_non_null(v->chunks);
    }
    v->chunks[v->n_chunks++] = *c;
    if (2 * v->n_chunks > v->n_slots) {
        free(v->slots);
        v->n_slots *= 4;
        v->slots = calloc(v->n_slots, sizeof *v->slots);
        assert_non_null(v->slots);
        for (size_t i = 0; i < v->n_chunks; i++)
            v->slots[slot_of(v, &v->chunks[i].id)] = i + 1;
        return;
    }
    v->slots[slot_of(v, &c->id)] = v->n_chunks;
}

uint8_t *ak_open(const struct ak_vault *v, const struct id *id, size_t *ret_len)
{
    struct err e = ERR_INIT;
    const struct ak_chunk *c = ak_find(v, id);
    const struct ak_key *k = NULL;
    assert_non_null(c);
    for (size_t i = 0; i < v->n_keys; i++)
        if (id_eq(&v->keys[i].id, &c->key_id))
            k = &v->keys[i];
    assert_non_null(k);
    struct chunk_box *box = chunk_box_new(&v->id, &k->id, k->key);
    struct chunk_ref ref = { .id = c->id, .key_id = c->key_id, .counter = c->counter };
    struct wbuf out = WBUF_INIT, sealed = WBUF_INIT; /* in the heap, whose ends are watched */
    wb_bytes(&sealed, c->sealed, c->len);
    assert_int_equal(chunk_open(box, &ref, sealed.p, sealed.len, &out, &e), 0);
    chunk_box_free(box);
    wbuf_free(&sealed);
    /* The name is of the content. */
    struct hmac *h = hmac_new(v->dedup_key);
    struct id real;
    hmac_of(h, out.p, out.len, &real);
    hmac_free(h);
    assert_true(id_eq(&real, id));
    *ret_len = out.len;
    return out.p;
}

/* --- the child --------------------------------------------------------------------------------- */
static int agent_job(struct wire *w, struct agent_env *env, struct err *e)
{
    char host[256];
    enum frame_type type;
    struct rbuf r;
    struct msg_backup m;
    if (wire_hello(w, "test", host, e) < 0 || beat_start(w, &env->beat, e) < 0 ||
        wire_recv(w, &type, &r, 0, e) < 0 || type != FRAME_BACKUP || msg_backup_read(&r, &m, e) < 0)
        return -ERR_PROTOCOL;
    int rc = agent_backup(w, &m, env, e);
    msg_backup_done(&m);
    return rc;
}

static void agent_main(int fd, struct agent_env env)
{
    struct err e = ERR_INIT;
    struct wire *w = wire_new(fd, fd, true);
    int rc = agent_job(w, &env, &e);
    if (rc < 0)
        wire_send_error(w, &e);
    beat_stop(env.beat);
    wire_free(w);
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        _exit(LEAK_STATUS);
    _exit(rc < 0);
}

#define CHILD_NAME "twofold-agent-child"

void ak_child(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[0], CHILD_NAME) == 0)
        agent_main(STDIN_FILENO, (struct agent_env){ .state_dir = argv[1] });
}

static void exec_child(int fd, const struct ak_run *r)
{
    setenv("TWOFOLD_FAULT", r->fault, 1);
    if (dup2(fd, STDIN_FILENO) == STDIN_FILENO)
        execl("/proc/self/exe", CHILD_NAME, r->env.state_dir, NULL);
    _exit(78);
}

/* --- the orchestrator --------------------------------------------------------------------------- */
struct session {
    struct ak_vault *v;
    struct ak_run *r;
    struct wire *w;
    struct id key_id;
    uint64_t counters_seen; /* all below were seen, as far as they came in order */
    bool *seen;
    size_t n_seen;
    bool over;
};

static void send_job(struct session *s)
{
    struct ak_run *r = s->r;
    struct err e = ERR_INIT;
    struct wbuf b = WBUF_INIT;
    struct msg_backup m = { .vault_id = s->v->id,
                            .policy = (char *)(uintptr_t)(r->policy ? r->policy : "p"),
                            .source = (char *)(uintptr_t)(r->source ? r->source : "s"),
                            .compression = r->compression,
                            .one_file_system = r->one_file_system,
                            .skip_cache_dirs = r->skip_cache_dirs,
                            .delta = r->delta,
                            .want_estimate = r->want_estimate,
                            .force_full = r->force_full,
                            .roots = (char **)(uintptr_t)r->roots,
                            .exclude = (char **)(uintptr_t)r->exclude,
                            .live = s->v->live,
                            .n_live = s->v->n_live };
    memcpy(m.recovery_pk, s->v->recovery_pk, sizeof m.recovery_pk);
    memcpy(m.dedup_key, s->v->dedup_key, sizeof m.dedup_key);
    while (m.n_roots < 16 && r->roots[m.n_roots])
        m.n_roots++;
    while (m.n_exclude < 16 && r->exclude[m.n_exclude])
        m.n_exclude++;
    msg_backup_write(&b, &m);
    assert_int_equal(wire_send(s->w, FRAME_BACKUP, &b, NULL, 0, &e), 0);
    wbuf_free(&b);
}

static void take_key(struct session *s, struct rbuf *r)
{
    static const char info[] = "twofold v1 data key";
    struct err e = ERR_INIT;
    uint8_t aad[2 * ID_BYTES];
    size_t len;
    assert_true(s->v->n_keys < MAX_AK_RUNS && id_is_zero(&s->key_id));
    struct ak_key *k = &s->v->keys[s->v->n_keys++];
    rb_id(r, &k->id);
    const uint8_t *sealed = rb_blob(r, 1000, &len);
    assert_true(rb_done(r));
    assert_int_equal(len, KEY_BYTES + HPKE_OVERHEAD_BYTES);
    memcpy(aad, s->v->id.b, ID_BYTES);
    memcpy(aad + ID_BYTES, k->id.b, ID_BYTES);
    struct hpke_text t = {
        .info = info, .info_len = sizeof info - 1, .aad = aad, .aad_len = sizeof aad
    };
    assert_int_equal(hpke_open(s->v->recovery_sk, &t, sealed, len, k->key, &e), 0);
    s->key_id = k->id;
}

static void take_have(struct session *s, struct rbuf *r)
{
    struct wbuf b = WBUF_INIT;
    size_t n = (size_t)rb_varint_max(r, MAX_FRAME_IDS);
    wb_varint(&b, n);
    uint8_t *bits = wb_grow(&b, (n + 7) / 8);
    memset(bits, 0, (n + 7) / 8);
    for (size_t i = 0; i < n; i++) {
        struct id id;
        rb_id(r, &id);
        if (ak_find(s->v, &id))
            bits[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    assert_true(n > 0 && rb_done(r));
    s->r->asked += n;
    (void)wire_send(s->w, FRAME_HAD, &b, NULL, 0, NULL);
    wbuf_free(&b);
}

/* No counter twice under one key. */
static void check_counter(struct session *s, uint64_t counter)
{
    assert_true(counter < 1u << 24);
    if (counter >= s->n_seen) {
        size_t n = (size_t)counter * 2 + 1024;
        s->seen = realloc(s->seen, n * sizeof *s->seen);
        assert_non_null(s->seen);
        memset(s->seen + s->n_seen, 0, n - s->n_seen);
        s->n_seen = n;
    }
    assert_false(s->seen[counter]);
    s->seen[counter] = true;
}

static void take_put(struct session *s, struct rbuf *r)
{
    struct ak_chunk c = { .key_id = s->key_id };
    assert_false(id_is_zero(&s->key_id));
    rb_id(r, &c.id);
    c.counter = rb_varint(r);
    c.len = rb_left(r);
    const uint8_t *p = rb_bytes(r, c.len);
    assert_true(rb_done(r) && c.len > AEAD_TAG_BYTES);
    check_counter(s, c.counter);
    s->r->puts++;
    s->r->put_bytes += c.len;
    if (s->v->cancel_after && s->r->puts == s->v->cancel_after)
        (void)wire_send(s->w, FRAME_CANCEL, NULL, NULL, 0, NULL);
    if (s->v->hang_up_after && s->r->puts == s->v->hang_up_after)
        s->over = true;
    if (ak_find(s->v, &c.id))
        return;
    if (!s->v->drop)
        c.sealed = keep_bytes(s->v, p, c.len);
    add_chunk(s->v, &c);
}

static void take_note(struct session *s, struct rbuf *r)
{
    struct err e = ERR_INIT;
    struct msg_note m;
    assert_int_equal(msg_note_read(r, &m, &e), 0);
    s->r->notes = realloc(s->r->notes, (s->r->n_notes + 1) * sizeof *s->r->notes);
    assert_non_null(s->r->notes);
    struct ak_note *n = &s->r->notes[s->r->n_notes++];
    n->problem = m.problem;
    n->path_len = m.path_len;
    snprintf(n->path, sizeof n->path, "%.*s", (int)m.path_len, m.path);
    snprintf(n->text, sizeof n->text, "%.*s", (int)m.text_len, m.text);
}

static void take_reach(struct session *s, struct rbuf *r)
{
    size_t n = (size_t)rb_varint_max(r, MAX_FRAME_IDS);
    s->r->reach = realloc(s->r->reach, (s->r->n_reach + n) * sizeof(struct id));
    assert_non_null(s->r->reach);
    for (size_t i = 0; i < n; i++) {
        struct id *to = &s->r->reach[s->r->n_reach];
        rb_id(r, to);
        assert_true(s->r->n_reach == 0 || id_cmp(to - 1, to) < 0);
        assert_non_null(ak_find(s->v, to));
        s->r->n_reach++;
    }
    assert_true(rb_done(r));
}

static void open_body(struct session *s, const struct msg_snapshot *m)
{
    struct err e = ERR_INIT;
    struct wbuf binding = WBUF_INIT, plain = WBUF_INIT;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    wb_str(&binding, s->r->policy ? s->r->policy : "p");
    wb_str(&binding, s->r->source ? s->r->source : "s");
    wb_str(&binding, host);
    const struct ak_key *k = &s->v->keys[s->v->n_keys - 1];
    struct chunk_box *box = chunk_box_new(&s->v->id, &k->id, k->key);
    assert_int_equal(body_open(box, m->counter, &binding, m->body, m->body_len, &plain, &e), 0);
    assert_int_equal(snapshot_body_read(plain.p, plain.len, &s->r->body, &e), 0);
    chunk_box_free(box);
    wbuf_free(&binding);
    wbuf_free(&plain);
}

static void take_snapshot(struct session *s, struct rbuf *r)
{
    struct err e = ERR_INIT;
    struct wbuf b = WBUF_INIT;
    struct ak_vault *v = s->v;
    assert_int_equal(msg_snapshot_read(r, &s->r->sum, &e), 0);
    open_body(s, &s->r->sum);
    s->r->sum.body = NULL;
    sys_random(&s->r->snapshot, sizeof s->r->snapshot);
    assert_true(v->n_live < MAX_AK_RUNS);
    memmove(v->live + 1, v->live, v->n_live++ * sizeof *v->live);
    v->live[0] = s->r->snapshot;
    wb_id(&b, &s->r->snapshot);
    (void)wire_send(s->w, FRAME_COMMITTED, &b, NULL, 0,
                    NULL); /* the agent may just have been killed */
    wbuf_free(&b);
    s->r->rc = 0;
}

static void take_progress(struct session *s, struct rbuf *r)
{
    struct err e = ERR_INIT;
    struct msg_progress m;
    assert_int_equal(msg_progress_read(r, &m, &e), 0);
    s->r->progress++;
    s->r->total_files = m.total_files;
}

static void take_frame(struct session *s, enum frame_type type, struct rbuf *r)
{
    assert_true(s->r->rc != 0 || type == FRAME_NOTE || type == FRAME_PROGRESS);
    switch (type) {
    case FRAME_DATAKEY:
        take_key(s, r);
        break;
    case FRAME_HAVE:
        take_have(s, r);
        break;
    case FRAME_PUT:
        take_put(s, r);
        break;
    case FRAME_NOTE:
        take_note(s, r);
        break;
    case FRAME_PROGRESS:
        take_progress(s, r);
        break;
    case FRAME_REACH:
        take_reach(s, r);
        break;
    case FRAME_SNAPSHOT:
        take_snapshot(s, r);
        break;
    default:
        fail_msg("frame of type %d", (int)type);
    }
}

void ak_backup(struct ak_vault *v, struct ak_run *r)
{
    int pair[2];
    char host[256];
    struct session s = { .v = v, .r = r };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(pair[0]);
        if (r->fault)
            exec_child(pair[1], r);
        agent_main(pair[1], r->env);
    }
    close(pair[1]);
    r->rc = -ERR_FAILED;
    s.w = wire_new(pair[0], pair[0], true);
    s.over = wire_hello(s.w, "test", host, &r->err) < 0;
    if (!s.over)
        send_job(&s);
    while (!s.over) {
        enum frame_type type;
        struct rbuf p;
        int rc = wire_recv(s.w, &type, &p, 0, &r->err);
        if (rc < 0) { /* the end after COMMITTED, or the agent's error */
            r->rc = r->rc == 0 ? 0 : rc;
            break;
        }
        take_frame(&s, type, &p);
    }
    wire_free(s.w);
    free(s.seen);
    assert_int_equal(waitpid(pid, &r->status, 0), pid);
    if (r->fault && WIFSIGNALED(r->status))
        return;
    assert_true(WIFEXITED(r->status) && WEXITSTATUS(r->status) != LEAK_STATUS);
    assert_int_equal(WEXITSTATUS(r->status), r->rc != 0);
}

void ak_run_done(struct ak_run *r)
{
    snapshot_body_free(r->body);
    free(r->notes);
    free(r->reach);
    r->body = NULL;
    r->notes = NULL;
    r->reach = NULL;
    r->n_notes = r->n_reach = r->puts = r->asked = r->progress = 0;
    r->put_bytes = 0;
    r->err = ERR_INIT;
}

const struct ak_note *ak_note_for(const struct ak_run *r, const char *path)
{
    for (size_t i = 0; i < r->n_notes; i++)
        if (strcmp(r->notes[i].path, path) == 0)
            return &r->notes[i];
    return NULL;
}

/* --- the manifest ------------------------------------------------------------------------------- */
static void assert_reached(const struct ak_run *r, const struct id *id)
{
    size_t lo = 0, hi = r->n_reach;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = id_cmp(&r->reach[mid], id);
        if (c == 0)
            return;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    fail_msg("a chunk of the manifest is not in the reach list");
}

static void *keep(struct ak_entries *k, const void *p, size_t n)
{
    void *to = malloc(n ? n : 1);
    if ((k->n_copies & (k->n_copies - 1)) == 0)
        k->copies = realloc(k->copies, (k->n_copies ? 2 * k->n_copies : 1) * sizeof *k->copies);
    assert_true(to && k->copies);
    if (n)
        memcpy(to, p, n);
    return k->copies[k->n_copies++] = to;
}

static void add_entry(struct ak_entries *k, const struct entry *en)
{
    if ((k->n & (k->n - 1)) == 0) {
        k->e = realloc(k->e, (k->n ? 2 * k->n : 1) * sizeof *k->e);
        assert_non_null(k->e);
    }
    struct entry *to = &k->e[k->n++];
    *to = *en;
    to->path = keep(k, en->path, en->path_len);
    to->target = keep(k, en->target, en->target_len);
    to->extents = keep(k, en->extents, en->n_extents * sizeof *en->extents);
    to->sums = keep(k, en->sums, en->n_sums * sizeof *en->sums);
    struct xattr *x = keep(k, en->xattrs, en->n_xattrs * sizeof *en->xattrs);
    for (size_t i = 0; i < en->n_xattrs; i++) {
        x[i].name = keep(k, x[i].name, x[i].name_len);
        x[i].value = keep(k, x[i].value, x[i].len);
    }
    to->xattrs = x;
}

static void read_leaf(const struct ak_vault *v, const struct ak_run *r, const struct leaf_info *li,
                      struct ak_entries *k)
{
    struct err e = ERR_INIT;
    struct leaf_reader *lr;
    struct entry en;
    size_t len, n, before = k->n;
    assert_reached(r, &li->id);
    uint8_t *p = ak_open(v, &li->id, &len);
    k->leaves = realloc(k->leaves, (k->n_leaves + 1) * sizeof *k->leaves);
    assert_non_null(k->leaves);
    k->leaves[k->n_leaves++] = p;
    assert_int_equal(leaf_reader_new(p, len, false, &lr, &e), 0);
    const struct id *ids = leaf_reader_chunks(lr, &n);
    for (size_t i = 0; i < n; i++)
        assert_reached(r, &ids[i]);
    for (int rc; (rc = leaf_next(lr, &en, &e)) != 0;) {
        assert_int_equal(rc, 1);
        if (k->n == before) {
            assert_int_equal(en.path_len, li->first_len);
            assert_memory_equal(en.path, li->first, en.path_len);
        }
        add_entry(k, &en);
    }
    assert_int_equal(k->n - before, li->entries);
    leaf_reader_free(lr);
}

void ak_entries(const struct ak_vault *v, const struct ak_run *r, struct ak_entries *ret)
{
    *ret = (struct ak_entries){ 0 };
    for (size_t i = 0; i < r->body->n_index; i++) {
        struct err e = ERR_INIT;
        struct leaf_info li;
        size_t len;
        assert_reached(r, &r->body->index[i].id);
        uint8_t *p = ak_open(v, &r->body->index[i].id, &len);
        struct rbuf in = rbuf_of(p, len);
        for (int rc, first = 1; (rc = leaf_info_read(&in, &li, &e)) != 0; first = 0) {
            assert_int_equal(rc, 1);
            if (first) {
                assert_int_equal(li.first_len, r->body->index[i].first_len);
                assert_memory_equal(li.first, r->body->index[i].first, li.first_len);
            }
            read_leaf(v, r, &li, ret);
        }
        free(p);
    }
    assert_int_equal(ret->n, r->body->entries);
    for (size_t i = 1; i < ret->n; i++)
        assert_true(ret->e[i].type == ENTRY_MORE ||
                    path_cmp(ret->e[i - 1].path, ret->e[i - 1].path_len, ret->e[i].path,
                             ret->e[i].path_len) < 0);
}

void ak_entries_free(struct ak_entries *k)
{
    for (size_t i = 0; i < k->n_leaves; i++)
        free(k->leaves[i]);
    for (size_t i = 0; i < k->n_copies; i++)
        free(k->copies[i]);
    free(k->leaves);
    free(k->copies);
    free(k->e);
    *k = (struct ak_entries){ 0 };
}

const struct entry *ak_entry(const struct ak_entries *k, const char *path)
{
    size_t lo = 0, hi = k->n;
    while (*path == '/')
        path++;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (path_cmp(k->e[mid].path, k->e[mid].path_len, path, strlen(path)) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool same = lo < k->n && k->e[lo].path_len == strlen(path) &&
                memcmp(k->e[lo].path, path, strlen(path)) == 0;
    return same ? &k->e[lo] : NULL;
}

/* --- content ------------------------------------------------------------------------------------ */
struct content_sum {
    struct sha256 *sha;
    const uint8_t *data;
    bool sparse, paged;
    uint64_t run_at, at; /* of a sparse file: where the present run began; how far we are */
};

static void end_run(struct content_sum *s)
{
    struct wbuf head = WBUF_INIT;
    if (s->at > s->run_at) {
        wb_u64(&head, s->run_at);
        wb_u64(&head, s->at - s->run_at);
        sha256_update(s->sha, head.p, head.len);
        sha256_update(s->sha, s->data + s->run_at, s->at - s->run_at);
    }
    wbuf_free(&head);
}

static void take_extent(struct ak_vault *v, const struct extent *x, uint8_t *data,
                        struct content_sum *s)
{
    if (x->hole) {
        end_run(s);
        memset(data + s->at, 0, x->len);
        s->run_at = s->at += x->len;
        assert_true(s->sparse || s->paged);
        return;
    }
    struct ak_chunk *c = (struct ak_chunk *)(uintptr_t)ak_find(v, &x->chunk);
    assert_non_null(c);
    if (!c->plain) {
        uint8_t *plain = ak_open(v, &x->chunk, &c->plain_len);
        c->plain = keep_bytes(v, plain, c->plain_len);
        free(plain);
    }
    assert_true(x->off <= c->plain_len && x->len <= c->plain_len - x->off);
    memcpy(data + s->at, c->plain + x->off, x->len);
    s->at += x->len;
}

/* Written from docs/format.md, without lib/vault/paged.c. */
static void paged_hash_of(const uint8_t *p, uint64_t size, unsigned bits, struct id *regions,
                          struct id *ret)
{
    struct id pages[2048];
    size_t n = 0;
    for (uint64_t at = 0; at < size; at += 1 << 20) {
        size_t left = size - at < 1 << 20 ? (size_t)(size - at) : 1 << 20, n_pages = 0;
        for (size_t off = 0; off < left; off += (size_t)1 << bits) {
            size_t page = left - off < (size_t)1 << bits ? left - off : (size_t)1 << bits;
            sha256_of(p + at + off, page, &pages[n_pages++]);
        }
        sha256_of(pages, n_pages * ID_BYTES, &regions[n++]);
    }
    sha256_of(regions, n * ID_BYTES, ret);
}

/* The sums in the parts are those of the regions that are not one hole. */
static void check_paged(const struct entry *en, const uint8_t *data, uint64_t size,
                        const struct id *hash)
{
    struct id *regions = calloc(size / (1 << 20) + 1, sizeof *regions), real;
    uint64_t at = 0;
    assert_non_null(regions);
    paged_hash_of(data, size, en->page_bits, regions, &real);
    assert_true(id_eq(&real, hash));
    for (;; en++) {
        size_t sum = 0;
        uint64_t next = at; /* regions up to here have been looked at */
        assert_true(en->flags & ENTRY_PAGED && at % (1 << 20) == 0);
        for (size_t i = 0; i < en->n_extents; at += en->extents[i++].len) {
            if (en->extents[i].hole || at < next)
                continue;
            next = (at / (1 << 20) + 1) << 20;
            assert_true(id_eq(&en->sums[sum++], &regions[at / (1 << 20)]));
        }
        assert_int_equal(sum, en->n_sums);
        if (!(en->flags & ENTRY_HAS_MORE))
            break;
    }
    free(regions);
}

uint8_t *ak_content(struct ak_vault *v, const struct ak_entries *k, const struct entry *en)
{
    uint8_t *data = malloc(en->size + 1);
    struct content_sum s = { .sha = sha256_new(),
                             .data = data,
                             .sparse = en->flags & ENTRY_SPARSE,
                             .paged = en->flags & ENTRY_PAGED };
    const struct entry *first = en;
    struct id real;
    uint64_t size = en->size;
    struct id hash = en->hash;
    assert_true(data && en->type == ENTRY_FILE);
    for (;; en++) {
        assert_true(en->n_extents <= MAX_PART_EXTENTS);
        for (size_t i = 0; i < en->n_extents; i++)
            take_extent(v, &en->extents[i], data, &s);
        if (!(en->flags & ENTRY_HAS_MORE))
            break;
        assert_true(en + 1 < k->e + k->n && en[1].type == ENTRY_MORE);
    }
    assert_int_equal(s.at, size);
    if (s.sparse)
        end_run(&s);
    else
        sha256_update(s.sha, data, size);
    sha256_final(s.sha, &real);
    sha256_free(s.sha);
    if (s.paged)
        check_paged(first, data, size, &hash);
    assert_true(size == 0 || s.paged || id_eq(&real, &hash));
    data[size] = 0;
    return data;
}
