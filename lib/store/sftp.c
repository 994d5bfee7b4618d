/* sftp.c - a copy on another host: addresses, opening, reading, listing, deleting. See sftp.h. */
#include "lib/store/sftp.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "lib/store/folder.h"

#include <openssl/evp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEME "sftp://"
#define LOST_FOUND "lost+found"
#define LAST_READ_MS 3000
#define OPEN_MS 2000
#define OPEN_PAUSE_MS 500

/* --- reading ------------------------------------------------------------------------------------------ */
struct getting {
    const char *name;
    uint64_t off;
    size_t len;
    void *out;
};

/* The object that was read last stays open: a restore reads many pieces of one pack. Not for longer than it takes to notice that
 * another process has deleted it. */
static bool is_open_still(struct remote *r, const char *name)
{
    const struct last_read *l = &r->last;
    return l->f.len > 0 && strcmp(l->name, name) == 0 && l->changes == atomic_load(&r->changes) &&
           sys_monotonic_ms() - l->opened_ms < LAST_READ_MS;
}

static int close_last(struct remote *r, struct sftp *s, struct err *e)
{
    return sftp_close_later(s, &r->last.f, e);
}

static int open_object(struct remote *r, struct sftp *s, const char *name, struct err *e)
{
    char path[MAX_SFTP_PATH];
    struct sftp_attrs a = { 0 };
    struct last_read *l = &r->last;
    uint64_t changes = atomic_load(&r->changes);
    if (is_open_still(r, name))
        return 0;
    int rc = close_last(r, s, e);
    if (rc == 0)
        rc = remote_path(r, name, path, e);
    if (rc == 0)
        rc = sftp_lstat(s, path, &a, e); /* first: to open a pipe would never end */
    if (rc == 0)
        rc = remote_must_be_file(&a, e);
    if (rc == 0)
        rc = sftp_open(s, path, SFTP_READ, &l->f, e);
    if (rc < 0)
        return rc;
    strcpy(l->name, name);
    l->size = a.size;
    l->end = 0;
    l->changes = changes;
    l->opened_ms = sys_monotonic_ms();
    return 0;
}

static int get_once(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    const struct getting *g = ctx;
    int rc = open_object(r, s, g->name, e);
    uint64_t size = r->last.size;
    if (rc == 0 && (g->off > size || g->len > size - g->off)) {
        rc = err_set(e, ERR_DAMAGED, _("it has only %llu bytes"), (unsigned long long)size);
    } else if (rc == 0) {
        /* Who reads on where the last one ended will go on so. */
        uint64_t behind = size - g->off - g->len;
        size_t ahead = g->off == r->last.end ? g->len : 0;
        ahead = ahead < behind ? ahead : (size_t)behind;
        r->last.end = g->off + g->len;
        ssize_t got = sftp_read(s, &r->last.f, g->off, g->len, ahead, g->out, e);
        rc = got < 0 ? (int)got : 0;
        if (rc == 0 && (size_t)got < g->len)
            rc = err_set(e, ERR_DAMAGED, _("it has only %llu bytes"),
                         (unsigned long long)g->off + (unsigned long long)got);
    }
    if (rc == 0)
        return 0;
    struct err why = *e;
    if (!sftp_broken(s) && close_last(r, s, e) == 0)
        *e = why;
    return remote_read_failed(r, s, g->name, e);
}

static int remote_get(void *d, const char *name, uint64_t off, size_t len, void *out, struct err *e)
{
    struct remote *r = d;
    struct getting g = { .name = name, .off = off, .len = len, .out = out };
    return remote_do(r, &r->reader, get_once, &g, e);
}

struct looking {
    const char *name;
    uint64_t len;
};

static int stat_once(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    struct looking *l = ctx;
    char path[MAX_SFTP_PATH];
    struct sftp_attrs a = { 0 };
    int rc = remote_path(r, l->name, path, e);
    if (rc == 0)
        rc = sftp_lstat(s, path, &a, e);
    if (rc == 0)
        rc = remote_must_be_file(&a, e);
    if (rc < 0)
        return remote_read_failed(r, s, l->name, e);
    l->len = a.size;
    return 0;
}

static int remote_stat(void *d, const char *name, uint64_t *ret_len, struct err *e)
{
    struct remote *r = d;
    struct looking l = { .name = name };
    int rc = remote_do(r, &r->reader, stat_once, &l, e);
    if (rc == 0)
        *ret_len = l.len;
    return rc;
}

/* --- listing ---------------------------------------------------------------------------------------------- */
struct entry {
    char *name; /* whole, from the root */
    struct sftp_attrs a;
};

/* One folder, read whole before anything is said of it: fn may use the store. */
struct folder_list {
    const char *name;
    struct entry *v;
    size_t n, cap;
    bool no_memory;
};

static void folder_list_clear(struct folder_list *l)
{
    while (l->n > 0)
        free(l->v[--l->n].name);
}

static int take_entry(void *ctx, const char *component, const struct sftp_attrs *a)
{
    struct folder_list *l = ctx;
    char name[MAX_STORE_NAME + 1];
    size_t above = strlen(l->name), n = strlen(component), slash = above > 0;
    if (above + slash + n > MAX_STORE_NAME)
        return 0;
    memcpy(name, l->name, above);
    if (slash)
        name[above] = '/';
    memcpy(name + above + slash, component, n + 1);
    bool reserved = above == 0 && (strcmp(name, "tmp") == 0 || strcmp(name, "aside") == 0);
    if (!store_name_ok(name) || reserved)
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct entry *grown = realloc(l->v, cap * sizeof *grown);
        if (!grown) {
            l->no_memory = true;
            return -ERR_NOMEM;
        }
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n] = (struct entry){ .name = strdup(name), .a = *a };
    l->no_memory = !l->v[l->n].name;
    l->n += !l->no_memory;
    return l->no_memory ? -ERR_NOMEM : 0;
}

static int list_once(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    struct folder_list *l = ctx;
    char path[MAX_SFTP_PATH];
    folder_list_clear(l);
    int rc = remote_path(r, l->name, path, e);
    if (rc == 0)
        rc = sftp_list(s, path, take_entry, l, e);
    if (rc < 0 && l->no_memory)
        return store_out_of_memory(e);
    return rc < 0 ? remote_read_failed(r, s, l->name, e) : rc;
}

struct walk {
    struct remote *r;
    struct conn *c;
    store_list_fn *fn;
    void *ctx;
    struct err *e;
    bool all; /* also what is no file */
};

static int walk_folder(struct walk *w, const char *name, bool may_be_gone);

static int walk_entry(struct walk *w, const struct entry *en)
{
    if (en->a.has_mode && S_ISDIR(en->a.mode))
        return walk_folder(w, en->name, true);
    if (en->a.has_mode && en->a.has_size)
        return w->all || S_ISREG(en->a.mode) ? w->fn(w->ctx, en->name, en->a.size) : 0;
    struct looking l = { .name = en->name }; /* a server that tells nothing in lists */
    int rc = remote_do(w->r, w->c, stat_once, &l, w->e);
    return rc < 0 ? rc : w->fn(w->ctx, en->name, l.len);
}

/* The recursion is as deep as a name has components. */
static int walk_folder(struct walk *w, const char *name, bool may_be_gone)
{
    struct folder_list l = { .name = name };
    int rc = remote_do(w->r, w->c, list_once, &l, w->e);
    if (rc == -ERR_ABSENT && may_be_gone) {
        err_clear(w->e);
        rc = 0;
    }
    for (size_t i = 0; i < l.n && rc == 0; i++)
        rc = walk_entry(w, &l.v[i]);
    folder_list_clear(&l);
    free(l.v);
    return rc;
}

static int check_root_once(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    int rc = remote_check_root(r, s, e);
    return rc < 0 && !sftp_broken(s) ? err_wrap(e, "%s", r->where) : rc;
}

static int list_prefix(struct walk *w, const char *prefix)
{
    char name[MAX_STORE_NAME + 1];
    size_t len = store_prefix_len(prefix);
    memcpy(name, prefix, len);
    name[len] = '\0';
    if (len > 0 && prefix[len] == '\0') { /* it may be an object's own name */
        struct looking l = { .name = name };
        int rc = remote_do(w->r, w->c, stat_once, &l, w->e);
        if (rc == 0)
            return w->fn(w->ctx, name, l.len);
        if (rc != -ERR_DAMAGED) /* a folder is "not a file" */
            return rc;
        err_clear(w->e);
    }
    return walk_folder(w, name, false);
}

static int list_all(struct walk *w, const char *prefix)
{
    int rc = list_prefix(w, prefix);
    if (rc == -ERR_ABSENT && w->e->code == ERR_ABSENT) {
        err_clear(w->e);
        return 0;
    }
    /* A list also says of everything else that it is absent. */
    return rc != 0 ? rc : remote_do(w->r, w->c, check_root_once, NULL, w->e);
}

static int remote_list(void *d, const char *prefix, store_list_fn *fn, void *ctx, struct err *e)
{
    struct remote *r = d;
    struct walk w = { .r = r, .c = &r->reader, .fn = fn, .ctx = ctx, .e = e };
    return list_all(&w, prefix);
}

static int gather(void *ctx, const char *name, uint64_t len)
{
    struct remote_names *l = ctx;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        char **grown = realloc(l->v, cap * sizeof *grown);
        if (!grown)
            return -ERR_NOMEM;
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n] = strdup(name);
    return l->v[l->n++] ? 0 : -ERR_NOMEM;
}

int remote_gather(struct remote *r, struct conn *c, const char *prefix, struct remote_names *ret,
                  struct err *e)
{
    struct walk w = { .r = r, .c = c, .fn = gather, .ctx = ret, .e = e, .all = true };
    int rc = list_all(&w, prefix);
    return rc == -ERR_NOMEM ? store_out_of_memory(e) : rc;
}

void remote_names_done(struct remote_names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct remote_names){ 0 };
}

/* --- deleting ----------------------------------------------------------------------------------------------- */
static int delete_once(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    const char *name = ctx;
    char path[MAX_SFTP_PATH], folder[MAX_STORE_NAME + 1];
    (void)folder_split(name, folder);
    int rc = remote_path(r, name, path, e);
    if (rc == 0)
        rc = remote_check_way(r, s, name, e);
    bool no_folder = rc == -ERR_ABSENT;
    if (rc == 0)
        rc = sftp_remove(s, path, e);
    if (rc == -ERR_ABSENT && !sftp_broken(s)) {
        err_clear(e);
        rc = remote_check_root(r, s, e);
    }
    /* Also when it was gone before: whoever deleted it may have been killed before this. */
    if (rc == 0 && !no_folder)
        rc = remote_sync_folder(r, s, folder, e);
    return rc < 0 && !sftp_broken(s) ? remote_write_failed(r, s, name, 0, e) : rc;
}

static int remote_delete(void *d, const char *name, struct err *e)
{
    struct remote *r = d;
    int rc = remote_begin_writing(r, e);
    return rc < 0 ? rc : remote_do(r, &r->writer, delete_once, (void *)(uintptr_t)name, e);
}

static int remote_sweep_tmp(void *d, struct err *e)
{
    struct remote *r = d;
    struct remote_names l = { 0 };
    int rc = remote_begin_writing(r, e);
    if (rc == 0)
        rc = remote_gather(r, &r->writer, "tmp/", &l, e);
    for (size_t i = 0; i < l.n && rc == 0; i++)
        rc = remote_delete(d, l.v[i], e);
    remote_names_done(&l);
    return rc;
}

/* --- space ------------------------------------------------------------------------------------------------------ */
static int space_once(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    struct store_space *ret = ctx;
    char root[MAX_SFTP_PATH];
    struct sftp_space sp = { 0 };
    int rc = remote_check_root(r, s, e);
    if (rc == 0)
        rc = remote_path(r, "", root, e);
    if (rc == 0 && sftp_features(s) & SFTP_STATVFS)
        rc = sftp_statvfs(s, root, &sp, e);
    if (rc < 0)
        return sftp_broken(s) ? rc : remote_read_failed(r, s, "", e);
    *ret = (struct store_space){ .free_bytes = sp.free_bytes,
                                 .total_bytes = sp.total_bytes,
                                 .device = r->device,
                                 .durable = sftp_features(s) & SFTP_FSYNC };
    return 0;
}

static int remote_space(void *d, struct store_space *ret, struct err *e)
{
    struct remote *r = d;
    return remote_do(r, &r->reader, space_once, ret, e);
}

/* --- opening -------------------------------------------------------------------------------------------------------- */
static void conn_init(struct conn *c)
{
    pthread_mutex_init(&c->lock, NULL);
    c->fd = -1;
}

static void remote_close(void *d)
{
    struct remote *r = d;
    remote_disconnect(r, &r->writer);
    remote_disconnect(r, &r->reader);
    pthread_mutex_destroy(&r->writer.lock);
    pthread_mutex_destroy(&r->reader.lock);
    remote_forget_folders(r);
    rate_free(r->rate);
    free(r->host);
    free(r->user);
    free(r->root);
    free(r->identity);
    free(r->host_key);
    free(r->where);
    free(r);
}

static int bad_address(const char *url, struct err *e)
{
    err_set(e, ERR_CONFIG, _("\"%s\" is not the address of a copy on another host"), url);
    return err_next(e, _("write it like this: sftp://backup@10.0.2.7/srv/twofold"));
}

static int take_port(const char *at, const char *end, unsigned *ret)
{
    unsigned long port = 0;
    for (const char *c = at; c < end; c++) {
        if (*c < '0' || *c > '9' || port > 65535)
            return -1;
        port = port * 10 + (unsigned long)(*c - '0');
    }
    if (at == end || port == 0 || port > 65535)
        return -1;
    *ret = (unsigned)port;
    return 0;
}

static char *who_asks(void)
{
    const struct passwd *pw = getpwuid(geteuid());
    return strdup(pw ? pw->pw_name : "root");
}

/* `user`, `host` and `path` are set, or NULL without memory. */
static int split_address(const char *url, char **user, char **host, unsigned *port, char **path,
                         struct err *e)
{
    const char *at = url + strlen(SCHEME), *slash = strchr(at, '/');
    if (strncmp(url, SCHEME, strlen(SCHEME)) != 0 || !slash)
        return bad_address(url, e);
    const char *sign = memchr(at, '@', (size_t)(slash - at));
    *user = sign ? strndup(at, (size_t)(sign - at)) : who_asks();
    at = sign ? sign + 1 : at;
    bool brackets = *at == '[';
    const char *end = memchr(at, brackets ? ']' : ':', (size_t)(slash - at));
    if (brackets && !end)
        return bad_address(url, e);
    end = end ? end : slash;
    *host = strndup(at + brackets, (size_t)(end - at) - brackets);
    *path = strdup(slash);
    end += brackets;
    if (end != slash && (*end != ':' || take_port(end + 1, slash, port) < 0))
        return bad_address(url, e);
    return *user && *host && *path ? 0 : store_out_of_memory(e);
}

static int parse_address(struct remote *r, const char *url, struct err *e)
{
    int rc = split_address(url, &r->user, &r->host, &r->port, &r->root, e);
    if (rc < 0)
        return rc;
    for (size_t n = strlen(r->root); n > 0 && r->root[n - 1] == '/'; n--)
        r->root[n - 1] = '\0';
    if (!r->host[0] || !r->user[0] || !r->root[0] || strlen(r->root) > MAX_FULL_PATH / 2 ||
        strstr(r->root, "/../") || strchr(r->user, ':'))
        return bad_address(url, e);
    return 0;
}

static char *in_home(const char *name)
{
    const char *home = getenv("HOME");
    const struct passwd *pw = home && *home ? NULL : getpwuid(geteuid());
    char *path = NULL;
    if (!home || !*home)
        home = pw ? pw->pw_dir : "/root";
    return asprintf(&path, "%s/.ssh/%s", home, name) < 0 ? NULL : path;
}

/* Without a pinned key: what the user's known_hosts says of the host. */
static int find_host_key(struct remote *r, struct err *e)
{
    char *key = NULL, *file = in_home("known_hosts");
    int rc = file ? ssh_host_key(r->host, r->port, 0, &key, e) : store_out_of_memory(e);
    if (rc == 0)
        rc = ssh_known_host(file, r->host, r->port, key, e);
    if (rc == 1) {
        r->host_key = key;
        key = NULL;
    } else if (rc == 0) {
        char fingerprint[SSH_FINGERPRINT_BYTES] = "?";
        ssh_fingerprint(key, fingerprint);
        err_set(e, ERR_REFUSED, _("nobody has vouched for its host key %s"), fingerprint);
        rc = err_next(e,
                      _("compare it with its console (ssh-keygen -lf "
                        "/etc/ssh/ssh_host_ed25519_key.pub), then add: --host-key \"%s\""),
                      key);
    }
    free(key);
    free(file);
    return rc < 0 ? err_wrap(e, "%s", r->where) : 0;
}

static int take_options(struct remote *r, const struct store_options *o, struct err *e)
{
    r->identity = o && o->identity ? strdup(o->identity) : in_home("id_ed25519");
    if (!r->identity)
        return store_out_of_memory(e);
    int rc = rate_new(o ? o->limit_bytes_s : 0, o ? o->limit_file : NULL, &r->rate, e);
    if (rc < 0)
        return rc;
    if (!o || !o->host_key)
        return find_host_key(r, e);
    r->host_key = strdup(o->host_key);
    return r->host_key ? 0 : store_out_of_memory(e);
}

/* Which disk it is, as far as can be told: the host by its key, and the file system there. */
static uint64_t device_number(const struct remote *r)
{
    uint8_t hash[EVP_MAX_MD_SIZE], text[16384];
    unsigned len = 0;
    uint64_t v = 0;
    int n = ssh_key_bytes(r->host_key, text, sizeof text - sizeof r->fsid);
    size_t at = n > 0 ? (size_t)n : 0;
    memcpy(text + at, &r->fsid, sizeof r->fsid);
    if (EVP_Digest(text, at + sizeof r->fsid, hash, &len, EVP_sha256(), NULL) != 1)
        return 0;
    memcpy(&v, hash, sizeof v);
    return v ? v : 1;
}

struct filled {
    bool by_anything; /* but lost+found */
    bool by_more;     /* than what an attempt to make a copy leaves behind */
};

static int count_entry(void *ctx, const char *name, const struct sftp_attrs *a)
{
    struct filled *f = ctx;
    bool counts = strcmp(name, LOST_FOUND) != 0;
    f->by_anything = f->by_anything || counts;
    f->by_more = f->by_more || (counts && strcmp(name, "tmp") != 0);
    return 0;
}

/* Makes the folder itself and those above it that are missing. */
static int make_root(struct remote *r, struct sftp *s, struct err *e)
{
    char part[MAX_SFTP_PATH];
    struct sftp_attrs a = { 0 };
    size_t len = strlen(r->root);
    int rc = 0;
    for (size_t i = 1; i <= len && rc == 0; i++) {
        if (r->root[i] != '/' && r->root[i] != '\0')
            continue;
        memcpy(part, r->root, i);
        part[i] = '\0';
        rc = sftp_lstat(s, part, &a, e);
        if (rc == -ERR_ABSENT && !sftp_broken(s)) {
            err_clear(e);
            rc = sftp_mkdir(s, part, e);
        }
    }
    return rc;
}

struct opening {
    unsigned flags;
};

static int not_there(struct remote *r, struct err *e)
{
    bool refused = e->code == ERR_REFUSED;
    e->code = ERR_UNREACHABLE;
    if (refused)
        return err_next(e, _("let the user \"%s\" read %s there"), r->user, r->root);
    return err_next(e, _("is the disk there mounted? the folder of the copy must be at %s"),
                    r->root);
}

static int open_root(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    const struct opening *o = ctx;
    struct sftp_space sp;
    struct filled filled = { false, false };
    bool create = o->flags & STORE_CREATE;
    int rc = create ? make_root(r, s, e) : 0;
    if (rc == 0)
        rc = sftp_list(s, r->root, count_entry, &filled, e);
    if (sftp_broken(s))
        return rc;
    if (rc < 0) {
        if (!create)
            not_there(r, e);
        return err_wrap(e, "%s", r->where);
    }
    if (create && filled.by_more) {
        err_set(e, ERR_EXISTS, _("the folder is not empty"));
        return err_wrap(e, "%s", r->where);
    }
    if (!create && !filled.by_anything) {
        err_set(e, ERR_UNREACHABLE, _("the folder is empty: no copy is in it"));
        err_wrap(e, "%s", r->where);
        return not_there(r, e);
    }
    if (sftp_features(s) & SFTP_STATVFS && sftp_statvfs(s, r->root, &sp, e) == 0) {
        r->fsid = sp.fsid;
        r->has_fsid = true;
    }
    rc = sftp_broken(s) ? -(int)e->code : 0;
    if (rc == 0 && create) {
        rc = remote_make_folder(r, s, "tmp", e);
        if (rc < 0 && !sftp_broken(s))
            return remote_write_failed(r, s, "tmp", 0, e);
    }
    return rc;
}

/* A host that is away is left in peace soon; what kind of error it is matters here. */
static int connect_first(struct remote *r, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + OPEN_MS;
    int rc;
    while ((rc = remote_connect(r, &r->reader, e)) == -ERR_UNREACHABLE &&
           sys_monotonic_ms() < until)
        if ((rc = rate_sleep_ms(OPEN_PAUSE_MS, e)) < 0)
            break;
    if (rc == -ERR_TIMEOUT || rc == -ERR_PROTOCOL)
        e->code = ERR_UNREACHABLE;
    return rc < 0 ? err_wrap(e, "%s", r->where) : 0;
}

int sftp_store_open(const char *url, const struct store_options *o, unsigned flags,
                    struct store **ret, struct err *e)
{
    static const struct store_ops ops = {
        .put = remote_put,
        .replace = remote_replace,
        .restore_aside = remote_restore_aside,
        .get = remote_get,
        .stat = remote_stat,
        .list = remote_list,
        .del = remote_delete,
        .space = remote_space,
        .sweep_tmp = remote_sweep_tmp,
        .close = remote_close,
    };
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return store_out_of_memory(e);
    conn_init(&r->writer);
    conn_init(&r->reader);
    r->read_only = flags & STORE_READ_ONLY;
    int rc = parse_address(r, url, e);
    r->where = strdup(url);
    if (rc == 0 && !r->where)
        rc = store_out_of_memory(e);
    for (size_t n = r->where ? strlen(r->where) : 0; n > 0 && r->where[n - 1] == '/'; n--)
        r->where[n - 1] = '\0';
    if (rc == 0)
        rc = take_options(r, o, e);
    if (rc == 0)
        rc = connect_first(r, e);
    if (rc == 0)
        rc = remote_do(r, &r->reader, open_root, &(struct opening){ .flags = flags }, e);
    if (rc < 0) {
        remote_close(r);
        return rc;
    }
    r->device = device_number(r);
    return store_new(&ops, r, url, ret, e);
}
