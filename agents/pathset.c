/* pathset.c - the paths that a restore or a comparison is limited to. Manual: agents/pathset.h; the
 * order of paths is that of docs/format.md, "Manifest". */
#include "agents/pathset.h"
#include "lib/base/i18n.h"
#include "lib/vault/manifest.h"

#include <stdlib.h>
#include <string.h>

struct one {
    char *path; /* owned, no leading '/' */
    size_t len;
    bool hit;
};

struct pathset {
    struct one *v; /* in path order, none within another */
    size_t n;
    bool all;
};

static int by_path(const void *a, const void *b)
{
    const struct one *x = a, *y = b;
    return path_cmp(x->path, x->len, y->path, y->len);
}

static int add(struct pathset *s, const char *path, size_t len, struct err *e)
{
    char *copy = malloc(len + 1);
    if (!copy)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    memcpy(copy, path, len);
    copy[len] = '\0';
    s->v[s->n++] = (struct one){ .path = copy, .len = len };
    return 0;
}

static void sort_and_thin(struct pathset *s)
{
    size_t kept = 0;
    if (s->n > 1)
        qsort(s->v, s->n, sizeof *s->v, by_path);
    for (size_t i = 0; i < s->n; i++) {
        const struct one *last = kept ? &s->v[kept - 1] : NULL;
        if (last && path_within(s->v[i].path, s->v[i].len, last->path, last->len))
            free(s->v[i].path);
        else
            s->v[kept++] = s->v[i];
    }
    s->n = kept;
}

static struct pathset *room_for(size_t n, struct err *e)
{
    struct pathset *s = calloc(1, sizeof *s);
    if (s)
        s->v = calloc(n ? n : 1, sizeof *s->v);
    if (s && s->v)
        return s;
    free(s);
    err_set(e, ERR_NOMEM, _("out of memory"));
    return NULL;
}

int pathset_new(char *const *paths, size_t n, struct pathset **ret, struct err *e)
{
    if (n > MAX_SET_PATHS)
        return err_set(e, ERR_LIMIT, _("more than %d paths"), MAX_SET_PATHS);
    struct pathset *s = room_for(n, e);
    int r = s ? 0 : -ERR_NOMEM;
    if (s)
        s->all = n == 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *p = paths[i];
        size_t len = strlen(p);
        bool absolute = *p == '/';
        while (len > 0 && *p == '/')
            p++, len--;
        while (len > 0 && p[len - 1] == '/')
            len--;
        if (absolute && len == 0)
            s->all = true;
        else if (!absolute || !path_ok(p, len))
            r = err_set(e, ERR_USAGE,
                        _("\"%.400s\" is not an absolute path without \".\" and \"..\""), paths[i]);
        else
            r = add(s, p, len, e);
    }
    if (r < 0) {
        pathset_free(s);
        return r;
    }
    sort_and_thin(s);
    *ret = s;
    return 0;
}

int pathset_meet(const struct pathset *a, const struct pathset *b, struct pathset **ret,
                 struct err *e)
{
    struct pathset *s = room_for(a->n + b->n, e);
    int r = s ? 0 : -ERR_NOMEM;
    if (s)
        s->all = a->all && b->all;
    for (size_t i = 0; r == 0 && i < a->n; i++) {
        if (pathset_holds(b, a->v[i].path, a->v[i].len))
            r = add(s, a->v[i].path, a->v[i].len, e);
    }
    for (size_t i = 0; r == 0 && i < b->n; i++) {
        if (pathset_holds(a, b->v[i].path, b->v[i].len))
            r = add(s, b->v[i].path, b->v[i].len, e);
    }
    if (r < 0) {
        pathset_free(s);
        return r;
    }
    sort_and_thin(s);
    *ret = s;
    return 0;
}

void pathset_free(struct pathset *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].path);
    free(s->v);
    free(s);
}

bool pathset_all(const struct pathset *s)
{
    return s->all;
}

bool pathset_none(const struct pathset *s)
{
    return !s->all && s->n == 0;
}

size_t pathset_count(const struct pathset *s)
{
    return s->n;
}

const char *pathset_at(const struct pathset *s, size_t i, size_t *ret_len)
{
    *ret_len = s->v[i].len;
    return s->v[i].path;
}

/* How many of them come before `path` or are it. */
static size_t not_after(const struct pathset *s, const char *path, size_t len)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (path_cmp(s->v[mid].path, s->v[mid].len, path, len) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct one *holder(const struct pathset *s, const char *path, size_t len)
{
    size_t i = not_after(s, path, len);
    if (i == 0 || !path_within(path, len, s->v[i - 1].path, s->v[i - 1].len))
        return NULL;
    return &s->v[i - 1];
}

bool pathset_holds(const struct pathset *s, const char *path, size_t len)
{
    return s->all || holder(s, path, len) != NULL;
}

bool pathset_above(const struct pathset *s, const char *path, size_t len)
{
    if (s->all)
        return false;
    size_t i = not_after(s, path, len);
    return i < s->n && path_within(s->v[i].path, s->v[i].len, path, len) &&
           !pathset_holds(s, path, len);
}

/* `next` counts as within: when a leaf begins with the continuation of a file, the file itself
 * begins in the leaf before. */
static bool in_range(const char *path, size_t len, const char *first, size_t first_len,
                     const char *next, size_t next_len)
{
    return path_cmp(path, len, first, first_len) >= 0 &&
           (!next || path_cmp(path, len, next, next_len) <= 0);
}

bool pathset_touches(const struct pathset *s, const char *first, size_t first_len, const char *next,
                     size_t next_len)
{
    if (pathset_holds(s, first, first_len))
        return true;
    for (size_t i = 0; i < s->n; i++) {
        const char *p = s->v[i].path;
        /* The path itself, then the folders above it. */
        for (size_t n = s->v[i].len; n > 0;) {
            if (in_range(p, n, first, first_len, next, next_len))
                return true;
            while (n > 0 && p[n - 1] != '/')
                n--;
            if (n > 0)
                n--;
        }
    }
    return false;
}

bool pathset_covers(const struct pathset *s, const char *first, size_t first_len, const char *next,
                    size_t next_len)
{
    if (s->all)
        return true;
    const struct one *h = holder(s, first, first_len);
    return h && next && path_within(next, next_len, h->path, h->len);
}

void pathset_hit(struct pathset *s, const char *path, size_t len)
{
    struct one *h = s->all ? NULL : holder(s, path, len);
    if (h)
        h->hit = true;
}

const char *pathset_missed(const struct pathset *s, size_t *from, size_t *ret_len)
{
    for (; !s->all && *from < s->n; ++*from) {
        if (!s->v[*from].hit) {
            *ret_len = s->v[*from].len;
            return s->v[(*from)++].path;
        }
    }
    return NULL;
}
