/* select.c - the walk over what of a snapshot somebody asked for: paths, and a glob for names. The manual
 * is restore/reader.h (reader_each) and restore/select.h. */
#include "restore/select.h"
#include "lib/base/i18n.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

bool reader_lost(int rc)
{
    return rc == -ERR_DAMAGED || rc == -ERR_UNREACHABLE || rc == -ERR_ABSENT;
}

/* "/etc//ssh/" becomes "etc/ssh"; "/" becomes "". */
static int make_wanted(const char *path, struct wanted *ret, struct err *e)
{
    size_t len = strlen(path), n = 0;
    char *p = malloc(len + 1);
    if (!p)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    for (size_t i = 0; i < len; i++)
        if (path[i] != '/' || (n > 0 && p[n - 1] != '/'))
            p[n++] = path[i];
    if (n > 0 && p[n - 1] == '/')
        n--;
    p[n] = '\0';
    if (n > 0 && !path_ok(p, n)) {
        free(p);
        return err_set(e, ERR_USAGE, _("\"%s\" is not a path that a snapshot can hold"), path);
    }
    *ret = (struct wanted){ .path = p, .len = n };
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct wanted *wa = a, *wb = b;
    return path_cmp(wa->path, wa->len, wb->path, wb->len);
}

int selection_init(struct selection *s, const struct select *sel, struct err *e)
{
    int rc;
    *s = (struct selection){ 0 };
    if (!sel)
        return 0;
    s->name = sel->name;
    s->bytes = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    s->paths = calloc(sel->n_paths + 1, sizeof(*s->paths));
    if (!s->paths || s->bytes == (locale_t)0) {
        selection_done(s);
        return err_set(e, ERR_NOMEM, _("out of memory"));
    }
    for (; s->n_paths < sel->n_paths; s->n_paths++)
        if ((rc = make_wanted(sel->paths[s->n_paths], &s->paths[s->n_paths], e)) < 0) {
            selection_done(s);
            return rc;
        }
    qsort(s->paths, s->n_paths, sizeof(*s->paths), by_path);
    const struct wanted *outer = NULL;
    for (size_t i = 0; i < s->n_paths; i++) {
        struct wanted *w = &s->paths[i];
        w->outermost = !outer || !path_within(w->path, w->len, outer->path, outer->len);
        if (w->outermost)
            outer = w;
    }
    return 0;
}

void selection_done(struct selection *s)
{
    for (size_t i = 0; i < s->n_paths; i++)
        free(s->paths[i].path);
    free(s->paths);
    if (s->bytes != (locale_t)0)
        freelocale(s->bytes);
    wbuf_free(&s->scratch);
    *s = (struct selection){ 0 };
}

static bool name_matches(struct selection *s, const char *path, size_t len)
{
    const char *slash = memrchr(path, '/', len);
    const char *name = slash ? slash + 1 : path;
    wbuf_reset(&s->scratch);
    wb_bytes(&s->scratch, name, (size_t)(path + len - name));
    wb_u8(&s->scratch, 0);
    if (s->scratch.failed)
        return false;
    int rc = fnmatch(s->name, (const char *)s->scratch.p, 0);
    if (rc != 0 && rc != FNM_NOMATCH) { /* bytes that are no text in the user's locale */
        locale_t before = uselocale(s->bytes);
        rc = fnmatch(s->name, (const char *)s->scratch.p, 0);
        uselocale(before);
    }
    return rc == 0;
}

bool selection_has(struct selection *s, const char *path, size_t len)
{
    /* Below an outermost path everything is contiguous, so the last one at or before it decides. */
    size_t lo = 0, hi = s->n_paths;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (path_cmp(s->paths[mid].path, s->paths[mid].len, path, len) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    while (lo > 0 && !s->paths[lo - 1].outermost)
        lo--;
    if (s->n_paths > 0 &&
        (lo == 0 || !path_within(path, len, s->paths[lo - 1].path, s->paths[lo - 1].len)))
        return false;
    return !s->name || name_matches(s, path, len);
}

struct walk {
    struct reader *r;
    struct selection sel;
    entry_fn *fn;
    gap_fn *gap;
    void *ctx;
    uint64_t gaps;
};

/* Every path that was asked for must be there. Folders have entries of their own, before what is in
 * them, so a path that has none has nothing below it, either. */
static int check_paths(struct walk *w, struct err *e)
{
    for (size_t i = 0; i < w->sel.n_paths; i++) {
        const struct wanted *p = &w->sel.paths[i];
        struct entry en;
        struct err why = ERR_INIT;
        if (p->len == 0)
            continue;
        int rc = reader_seek(w->r, p->path, p->len, e);
        if (rc < 0)
            return rc;
        rc = reader_next(w->r, &en, &why);
        if (rc < 0 && !reader_lost(rc)) {
            if (e)
                *e = why;
            return rc;
        }
        if (rc == 0 || (rc > 0 && path_cmp(en.path, en.path_len, p->path, p->len) != 0)) {
            err_set(e, ERR_ABSENT, _("it is not in this snapshot"));
            err_next(e, _("look what the snapshot holds: twofold ls SNAPSHOT PATH"));
            return err_wrap(e, "/%s", p->path);
        }
    }
    return 0;
}

/* Does the gap hide anything at or below the path? It is known to end behind it. */
static bool gap_matters(const struct reader *r, const struct wanted *p)
{
    struct gap g;
    reader_gap(r, &g);
    return path_cmp(g.from, g.from_len, p->path, p->len) <= 0 ||
           path_within(g.from, g.from_len, p->path, p->len);
}

static int walk_below(struct walk *w, const struct wanted *p, struct err *e)
{
    struct entry en;
    struct err why;
    int rc;
    if (p->len && (rc = reader_seek(w->r, p->path, p->len, e)) < 0)
        return rc;
    for (;;) {
        why = ERR_INIT;
        rc = reader_next(w->r, &en, &why);
        if (rc == 0)
            return 0;
        if (rc < 0 && !reader_lost(rc)) {
            if (e)
                *e = why;
            return rc;
        }
        if (rc < 0) {
            if (!gap_matters(w->r, p))
                return 0;
            w->gaps++;
            if (w->gap)
                w->gap(w->ctx, &why);
            continue;
        }
        if (!path_within(en.path, en.path_len, p->path, p->len))
            return 0;
        if (en.type == ENTRY_MORE || (en.flags & ENTRY_ABOVE) ||
            (w->sel.name && !name_matches(&w->sel, en.path, en.path_len)))
            continue;
        rc = w->fn(w->ctx, &en);
        if (rc != 0)
            return rc;
    }
}

int reader_each(const struct chunk_source *src, const struct snapshot_body *body,
                const struct select *sel, entry_fn *fn, gap_fn *gap, void *ctx, uint64_t *ret_gaps,
                struct err *e)
{
    static const struct wanted all = { .path = "", .len = 0, .outermost = true };
    struct walk w = { .fn = fn, .gap = gap, .ctx = ctx };
    int rc = selection_init(&w.sel, sel, e);
    if (rc < 0)
        return rc;
    rc = reader_open(src, body, &w.r, e);
    if (rc == 0)
        rc = check_paths(&w, e);
    if (rc == 0 && w.sel.n_paths == 0)
        rc = walk_below(&w, &all, e);
    for (size_t i = 0; rc == 0 && i < w.sel.n_paths; i++)
        if (w.sel.paths[i].outermost)
            rc = walk_below(&w, &w.sel.paths[i], e);
    if (ret_gaps)
        *ret_gaps = w.gaps;
    reader_close(w.r);
    selection_done(&w.sel);
    return rc;
}
