/* faulty.c - a store that fails, delays or corrupts what a plan says, for tests and drills. The plan's
 * words are in store.h. */
#include "lib/store/drivers.h"
#include "lib/base/i18n.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_RULES 32
#define MAX_RULE_BYTES 64
#define MAX_DELAY_MS 600000

enum verb { PUT, REPLACE, RESTORE, GET, STAT, LIST, DELETE, SPACE, SWEEP, ANY, VERBS };
static const char *const verbs[VERBS] = { "put",  "replace", "restore", "get",   "stat",
                                          "list", "delete",  "space",   "sweep", "any" };

enum effect { BY_ERRNO, BY_CODE, BY_DELAY, BY_FLIP };

struct rule {
    enum verb verb;
    unsigned long first, last; /* calls, counted from 1 */
    enum effect effect;
    long what; /* errno, code or milliseconds */
};

struct faulty {
    struct store *under;
    struct rule rules[MAX_RULES];
    size_t n_rules;
    atomic_ulong calls[VERBS]; /* ANY counts all of them */
};

/* --- the plan ------------------------------------------------------------------------------------ */
static bool parse_effect(const char *text, struct rule *r)
{
    static const struct {
        const char *name;
        enum effect effect;
        long what;
    } words[] = {
        { "ABSENT", BY_CODE, ERR_ABSENT },
        { "UNREACHABLE", BY_CODE, ERR_UNREACHABLE },
        { "DAMAGED", BY_CODE, ERR_DAMAGED },
        { "FLIP", BY_FLIP, 0 },
        { "EIO", BY_ERRNO, EIO },
        { "ENOSPC", BY_ERRNO, ENOSPC },
        { "EDQUOT", BY_ERRNO, EDQUOT },
        { "EROFS", BY_ERRNO, EROFS },
        { "EACCES", BY_ERRNO, EACCES },
        { "ESTALE", BY_ERRNO, ESTALE },
        { "ENODEV", BY_ERRNO, ENODEV },
        { "ENOMEM", BY_ERRNO, ENOMEM },
        { "ETIMEDOUT", BY_ERRNO, ETIMEDOUT },
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i].name) == 0) {
            r->effect = words[i].effect;
            r->what = words[i].what;
            return r->effect != BY_FLIP || r->verb == GET;
        }
    char *end;
    r->effect = BY_DELAY;
    r->what = strtol(text, &end, 10);
    return end != text && strcmp(end, "ms") == 0 && r->what >= 0 && r->what <= MAX_DELAY_MS;
}

static bool parse_rule(char *text, struct rule *r)
{
    char *effect = strchr(text, ':');
    if (!effect)
        return false;
    *effect++ = '\0';
    *r = (struct rule){ .verb = VERBS, .first = 1, .last = (unsigned long)-1 };
    char *at = strchr(text, '@');
    if (at) {
        char *end;
        *at++ = '\0';
        r->first = strtoul(at, &end, 10);
        if (end == at || r->first == 0 || (*end && strcmp(end, "+") != 0))
            return false;
        r->last = *end == '+' ? r->last : r->first;
    }
    for (int v = 0; v < VERBS; v++)
        if (strcmp(text, verbs[v]) == 0)
            r->verb = (enum verb)v;
    return r->verb != VERBS && parse_effect(effect, r);
}

static int parse_plan(struct faulty *f, const char *plan, struct err *e)
{
    while (*plan) {
        char text[MAX_RULE_BYTES];
        size_t n = strcspn(plan, ",");
        if (n >= sizeof text || f->n_rules == MAX_RULES)
            return err_set(e, ERR_LIMIT, _("the plan of faults is too long"));
        memcpy(text, plan, n);
        text[n] = '\0';
        if (!parse_rule(text, &f->rules[f->n_rules++]))
            return err_set(e, ERR_USAGE, _("the plan of faults is not understood: %s"), plan);
        plan += n + (plan[n] == ',');
    }
    return 0;
}

/* --- what happens ------------------------------------------------------------------------------------ */
static void delay(long ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

/* An errno turns into what a folder would have made of it. */
static int fail(const struct faulty *f, const struct rule *r, const char *name, struct err *e)
{
    if (r->effect == BY_CODE) {
        err_set(e, (enum err_code)r->what, _("a planned fault"));
    } else {
        errno = (int)r->what;
        err_sys(e, "%s", verbs[r->verb]);
        bool reads = r->verb == GET || r->verb == STAT || r->verb == LIST;
        if (e->code == ERR_TIMEOUT || (reads && e->code == ERR_REFUSED))
            e->code = ERR_UNREACHABLE;
    }
    return err_wrap(e, "%s/%s", store_url(f->under), name);
}

/* Counts a call and does what the plan says of it. *flip (may be NULL): what is read is to be wrong. */
static int meet(struct faulty *f, enum verb verb, const char *name, bool *flip, struct err *e)
{
    unsigned long n = atomic_fetch_add(&f->calls[verb], 1) + 1;
    unsigned long any = atomic_fetch_add(&f->calls[ANY], 1) + 1;
    for (size_t i = 0; i < f->n_rules; i++) {
        struct rule r = f->rules[i];
        unsigned long call = r.verb == ANY ? any : n;
        if ((r.verb != verb && r.verb != ANY) || call < r.first || call > r.last)
            continue;
        r.verb = verb;
        if (r.effect == BY_DELAY)
            delay(r.what);
        else if (r.effect != BY_FLIP)
            return fail(f, &r, name, e);
        else if (flip)
            *flip = true;
    }
    return 0;
}

static int faulty_put(void *d, const char *name, const struct store_data *data, struct err *e)
{
    struct faulty *f = d;
    int r = meet(f, PUT, name, NULL, e);
    return r < 0 ? r : store_put(f->under, name, data, e);
}

static int faulty_replace(void *d, const char *name, const struct store_data *data,
                          const char *stamp, struct err *e)
{
    struct faulty *f = d;
    int r = meet(f, REPLACE, name, NULL, e);
    return r < 0 ? r : store_replace(f->under, name, data, stamp, e);
}

static int faulty_restore_aside(void *d, const char *stamp, struct err *e)
{
    struct faulty *f = d;
    int r = meet(f, RESTORE, stamp, NULL, e);
    return r < 0 ? r : store_restore_aside(f->under, stamp, e);
}

static int faulty_get(void *d, const char *name, uint64_t off, size_t len, void *out, struct err *e)
{
    struct faulty *f = d;
    bool flip = false;
    int r = meet(f, GET, name, &flip, e);
    if (r == 0)
        r = store_get(f->under, name, off, len, out, e);
    if (r == 0 && flip && len > 0)
        ((uint8_t *)out)[len / 2] ^= 1;
    return r;
}

static int faulty_stat(void *d, const char *name, uint64_t *ret_len, struct err *e)
{
    struct faulty *f = d;
    int r = meet(f, STAT, name, NULL, e);
    return r < 0 ? r : store_stat(f->under, name, ret_len, e);
}

static int faulty_list(void *d, const char *prefix, store_list_fn *fn, void *ctx, struct err *e)
{
    struct faulty *f = d;
    int r = meet(f, LIST, prefix, NULL, e);
    return r < 0 ? r : store_list(f->under, prefix, fn, ctx, e);
}

static int faulty_delete(void *d, const char *name, struct err *e)
{
    struct faulty *f = d;
    int r = meet(f, DELETE, name, NULL, e);
    return r < 0 ? r : store_delete(f->under, name, e);
}

static int faulty_space(void *d, struct store_space *ret, struct err *e)
{
    struct faulty *f = d;
    int r = meet(f, SPACE, "", NULL, e);
    return r < 0 ? r : store_space(f->under, ret, e);
}

static int faulty_sweep_tmp(void *d, struct err *e)
{
    struct faulty *f = d;
    int r = meet(f, SWEEP, "tmp", NULL, e);
    return r < 0 ? r : store_sweep_tmp(f->under, e);
}

static void faulty_close(void *d)
{
    struct faulty *f = d;
    store_close(f->under);
    free(f);
}

int store_faulty(struct store *s, const char *plan, struct store **ret, struct err *e)
{
    static const struct store_ops ops = {
        .put = faulty_put,
        .replace = faulty_replace,
        .restore_aside = faulty_restore_aside,
        .get = faulty_get,
        .stat = faulty_stat,
        .list = faulty_list,
        .del = faulty_delete,
        .space = faulty_space,
        .sweep_tmp = faulty_sweep_tmp,
        .close = faulty_close,
    };
    struct err ignored = ERR_INIT;
    struct faulty *f = calloc(1, sizeof *f);
    e = e ? e : &ignored;
    if (!f) {
        store_close(s);
        return store_out_of_memory(e);
    }
    f->under = s;
    int r = parse_plan(f, plan, e);
    if (r < 0) {
        faulty_close(f);
        return r;
    }
    return store_new(&ops, f, store_url(s), ret, e);
}
