/* store.c - addresses, names and limits of a copy's store; the work is done by the drivers (folder.c,
 * memory.c) and decorators (faulty.c). Names: docs/format.md, "Objects". */
#include "lib/store/drivers.h"
#include "lib/base/i18n.h"
#include "lib/base/rate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct store {
    const struct store_ops *ops;
    void *d; /* owned through ops->close */
    char *url;
};

/* --- names ------------------------------------------------------------------------------------- */
static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool store_name_ok(const char *name)
{
    size_t n = 0;
    char before = '/';
    for (; name[n]; n++) {
        if (n >= MAX_STORE_NAME)
            return false;
        if (name[n] == '/' ? before == '/' : !is_name_char(name[n]))
            return false;
        before = name[n];
    }
    return before != '/';
}

static bool stamp_ok(const char *stamp)
{
    for (const char *c = stamp; *c; c++)
        if (!is_name_char(*c))
            return false;
    return stamp[0] && strlen(stamp) <= MAX_STORE_NAME;
}

size_t store_prefix_len(const char *prefix)
{
    size_t n = strlen(prefix);
    return n > 0 && prefix[n - 1] == '/' ? n - 1 : n;
}

static bool prefix_ok(const char *prefix)
{
    char name[MAX_STORE_NAME + 1];
    size_t n = store_prefix_len(prefix);
    if (n > MAX_STORE_NAME)
        return false;
    memcpy(name, prefix, n);
    name[n] = '\0';
    return n == 0 ? prefix[0] == '\0' : store_name_ok(name);
}

static bool is_reserved(const char *name)
{
    return strncmp(name, "tmp/", 4) == 0 || strncmp(name, ASIDE_FOLDER, strlen(ASIDE_FOLDER)) == 0;
}

bool store_prefix_matches(const char *prefix, const char *name)
{
    size_t n = store_prefix_len(prefix);
    if (n == 0)
        return !is_reserved(name);
    if (strncmp(prefix, name, n) != 0)
        return false;
    return name[n] == '/' || (name[n] == '\0' && prefix[n] == '\0');
}

static int bad_name(const char *name, struct err *e)
{
    err_set(e, ERR_FAILED, _("this cannot be the name of an object of a copy"));
    return err_wrap(e, "\"%.*s\"", MAX_STORE_NAME, name);
}

static int check_new_name(const char *name, struct err *e)
{
    if (!store_name_ok(name) || is_reserved(name))
        return bad_name(name, e);
    return 0;
}

static int check_stamp(const char *stamp, const char *name, struct err *e)
{
    if (!stamp_ok(stamp))
        return bad_name(stamp, e);
    size_t n = strlen(ASIDE_FOLDER) + strlen(stamp) + strlen(UNDONE_SUFFIX "/") + strlen(name);
    if (n > MAX_STORE_NAME)
        return err_set(e, ERR_LIMIT, _("the name \"%s\" is too long to be set aside"), name);
    return 0;
}

/* --- errors that drivers share -------------------------------------------------------------------- */
int store_source_failed(struct err *e)
{
    e->code = ERR_FAILED;
    return err_wrap(e, _("reading what was to be stored"));
}

int store_out_of_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- opening --------------------------------------------------------------------------------------- */
int store_new(const struct store_ops *ops, void *d, const char *url, struct store **ret,
              struct err *e)
{
    assert(ops->put && ops->replace && ops->restore_aside && ops->get && ops->stat && ops->list);
    assert(ops->del && ops->space && ops->sweep_tmp && ops->close);
    struct err ignored;
    struct store *s = calloc(1, sizeof *s);
    char *own = strdup(url);
    if (!s || !own) {
        free(s);
        free(own);
        ops->close(d);
        return store_out_of_memory(e ? e : &ignored);
    }
    *s = (struct store){ .ops = ops, .d = d, .url = own };
    *ret = s;
    return 0;
}

static int open_driver(const char *url, const struct store_options *o, unsigned flags,
                       struct store **ret, struct err *e)
{
    static const char file[] = "file://", memory[] = "memory:";
    struct rate *rate = NULL;
    struct store *s = NULL;
    const char *path = strncmp(url, file, strlen(file)) == 0 ? url + strlen(file) : url;
    bool in_memory = strncmp(url, memory, strlen(memory)) == 0;
    if (!in_memory && path[0] != '/') {
        err_set(e, ERR_CONFIG, _("\"%s\" is not an address of a copy that is supported"), url);
        return err_next(e, _("name a folder by its whole path (/backup/a or file:///backup/a), or "
                             "one on another host: sftp://backup@10.0.2.7/srv/twofold"));
    }
    int rc = o ? rate_new(o->limit_bytes_s, o->limit_file, &rate, e) : 0;
    if (rc == 0)
        rc = in_memory ? memory_open(url, flags, &s, e) : folder_open(path, url, flags, &s, e);
    if (rc == 0)
        return store_limited(s, rate, ret, e);
    rate_free(rate);
    return rc;
}

/* In programs that are made for tests, "URL PLAN" in TWOFOLD_STORE_FAULT makes this store a faulty one. */
#ifdef TWOFOLD_FAULTS
static int make_faulty(const char *url, struct store **s, struct err *e)
{
    const char *plan = getenv("TWOFOLD_STORE_FAULT");
    size_t n = strlen(url);
    struct store *under = *s;
    if (!plan || strncmp(plan, url, n) != 0 || plan[n] != ' ')
        return 0;
    *s = NULL;
    return store_faulty(under, plan + n + 1, s, e);
}
#else
static int make_faulty(const char *url, struct store **s, struct err *e)
{
    (void)url;
    (void)s;
    (void)e;
    return 0;
}
#endif

int store_open_with(const char *url, const struct store_options *o, unsigned flags,
                    struct store **ret, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct store *s = NULL;
    assert((flags & (STORE_CREATE | STORE_READ_ONLY)) != (STORE_CREATE | STORE_READ_ONLY));
    e = e ? e : &ignored;
    if (strlen(url) > MAX_STORE_URL)
        return err_set(e, ERR_CONFIG, _("the address of the copy is too long"));
    int rc = strncmp(url, "sftp://", strlen("sftp://")) == 0 ? sftp_store_open(url, o, flags, &s, e)
                                                             : open_driver(url, o, flags, &s, e);
    if (rc == 0)
        rc = make_faulty(url, &s, e);
    if (rc == 0)
        *ret = s;
    return rc;
}

int store_open(const char *url, unsigned flags, struct store **ret, struct err *e)
{
    return store_open_with(url, NULL, flags, ret, e);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    s->ops->close(s->d);
    free(s->url);
    free(s);
}

const char *store_url(const struct store *s)
{
    return s->url;
}

void store_patience(struct store *s, uint32_t ms)
{
    if (s->ops->patience)
        s->ops->patience(s->d, ms);
}

int store_ready(struct store *s, struct err *e)
{
    struct err ignored = ERR_INIT;
    return s->ops->ready ? s->ops->ready(s->d, e ? e : &ignored) : 0;
}

enum store_doing store_doing(struct store *s, int *ret_rc, uint64_t *ret_ms)
{
    return s->ops->doing ? s->ops->doing(s->d, ret_rc, ret_ms) : STORE_IDLE;
}

/* --- verbs --------------------------------------------------------------------------------------------- */
int store_put(struct store *s, const char *name, const struct store_data *d, struct err *e)
{
    struct err ignored = ERR_INIT;
    e = e ? e : &ignored;
    int r = check_new_name(name, e);
    return r < 0 ? r : s->ops->put(s->d, name, d, e);
}

int store_replace(struct store *s, const char *name, const struct store_data *d, const char *stamp,
                  struct err *e)
{
    struct err ignored = ERR_INIT;
    e = e ? e : &ignored;
    int r = check_new_name(name, e);
    if (r == 0)
        r = check_stamp(stamp, name, e);
    return r < 0 ? r : s->ops->replace(s->d, name, d, stamp, e);
}

int store_restore_aside(struct store *s, const char *stamp, struct err *e)
{
    struct err ignored = ERR_INIT;
    e = e ? e : &ignored;
    int r = check_stamp(stamp, "", e);
    return r < 0 ? r : s->ops->restore_aside(s->d, stamp, e);
}

int store_get(struct store *s, const char *name, uint64_t off, size_t len, void *out, struct err *e)
{
    struct err ignored = ERR_INIT;
    e = e ? e : &ignored;
    if (!store_name_ok(name))
        return bad_name(name, e);
    return s->ops->get(s->d, name, off, len, out, e);
}

int store_stat(struct store *s, const char *name, uint64_t *ret_len, struct err *e)
{
    struct err ignored = ERR_INIT;
    uint64_t len = 0;
    e = e ? e : &ignored;
    if (!store_name_ok(name))
        return bad_name(name, e);
    int r = s->ops->stat(s->d, name, &len, e);
    if (r == 0 && ret_len)
        *ret_len = len;
    return r;
}

int store_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct err *e)
{
    struct err ignored = ERR_INIT;
    e = e ? e : &ignored;
    if (!prefix_ok(prefix))
        return bad_name(prefix, e);
    return s->ops->list(s->d, prefix, fn, ctx, e);
}

int store_delete(struct store *s, const char *name, struct err *e)
{
    struct err ignored = ERR_INIT;
    e = e ? e : &ignored;
    if (!store_name_ok(name))
        return bad_name(name, e);
    return s->ops->del(s->d, name, e);
}

int store_space(struct store *s, struct store_space *ret, struct err *e)
{
    struct err ignored = ERR_INIT;
    return s->ops->space(s->d, ret, e ? e : &ignored);
}

int store_sweep_tmp(struct store *s, struct err *e)
{
    struct err ignored = ERR_INIT;
    return s->ops->sweep_tmp(s->d, e ? e : &ignored);
}

int store_get_all(struct store *s, const char *name, size_t max, uint8_t **ret, size_t *ret_len,
                  struct err *e)
{
    struct err ignored = ERR_INIT;
    uint64_t len = 0;
    e = e ? e : &ignored;
    int r = store_stat(s, name, &len, e);
    if (r < 0)
        return r;
    if (len > max) {
        err_set(e, ERR_LIMIT, _("it has %llu bytes, more than the %zu that it may have"),
                (unsigned long long)len, max);
        return err_wrap(e, "%s: %s", s->url, name);
    }
    uint8_t *p = malloc((size_t)len + 1); /* never 0 bytes, and a final NUL for texts */
    if (!p)
        return store_out_of_memory(e);
    r = store_get(s, name, 0, (size_t)len, p, e);
    if (r < 0) {
        free(p);
        return r;
    }
    p[len] = '\0';
    *ret = p;
    *ret_len = (size_t)len;
    return 0;
}
