/* care_open.c - opens snapshots and chunks to see that they are what the lists say; see care_open.h. */
#include "orchestrator/care_open.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include <stdio.h>
#include <stdlib.h>

struct used {
    struct id *ids;
    size_t n, cap;
};

static int use(struct used *u, const struct id *id)
{
    if (u->n && id_eq(&u->ids[u->n - 1], id))
        return 0;
    if (u->n == u->cap) {
        size_t cap = u->cap ? 2 * u->cap : 4096;
        struct id *grown = realloc(u->ids, cap * sizeof *grown);
        if (!grown)
            return -1;
        u->ids = grown;
        u->cap = cap;
    }
    u->ids[u->n++] = *id;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(a, b);
}

static void say(struct app *app, const struct snap_ref *s, struct opened_result *r,
                const char *text)
{
    char id[SHORT_ID_DIGITS + 1];
    r->bad++;
    ui_line(&app->ui, _("snapshot %s: %s"), short_id(&s->ref.id, id), text);
    ui_json(&app->ui, json_pack("{s:s, s:s, s:s}", "type", "finding", "snapshot", id, "why", text));
}

/* Everything that the entries use, and the manifest's own chunks, which the source hands out while it is walked. */
struct spy {
    struct chunk_source under;
    struct used *used;
};

static int spy_get(void *ctx, const struct id *id, struct wbuf *out, struct err *e)
{
    struct spy *s = ctx;
    if (use(s->used, id) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    return s->under.get(s->under.ctx, id, out, e);
}

/* Returns how many gaps the manifest has. */
static int walk(struct view *view, struct used *used, uint64_t *ret_gaps, struct err *e)
{
    struct spy spy = { .under = view->src, .used = used };
    struct chunk_source src = { .get = spy_get, .ctx = &spy };
    struct reader *r = NULL;
    struct entry en;
    int rc = reader_open(&src, view->body, &r, e);
    while (rc == 0) {
        int got = reader_next(r, &en, e);
        if (got == 0)
            break;
        if (got == -ERR_DAMAGED || got == -ERR_UNREACHABLE) {
            (*ret_gaps)++;
            continue;
        }
        if (got < 0)
            rc = got;
        for (size_t i = 0; rc == 0 && i < en.n_extents; i++)
            if (!en.extents[i].hole && use(used, &en.extents[i].chunk) < 0)
                rc = err_set(e, ERR_NOMEM, _("no memory"));
        if (rc == 0 && sys_interrupted())
            rc = err_set(e, ERR_INTERRUPTED, _("interrupted"));
    }
    reader_close(r);
    return rc;
}

static size_t sort_unique(struct used *u)
{
    size_t n = 0;
    if (u->n)
        qsort(u->ids, u->n, sizeof *u->ids, by_id);
    for (size_t i = 0; i < u->n; i++)
        if (n == 0 || !id_eq(&u->ids[n - 1], &u->ids[i]))
            u->ids[n++] = u->ids[i];
    return u->n = n;
}

static int open_chunks(struct view *view, const struct used *u, unsigned percent,
                       struct opened_result *r, uint64_t *ret_bad, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < u->n; i++) {
        uint8_t chance;
        sys_random(&chance, 1);
        if ((unsigned)chance * 100 >= percent * 256u)
            continue;
        struct err why = ERR_INIT;
        int got = view->src.get(view->src.ctx, &u->ids[i], &plain, &why);
        r->chunks++;
        if (got == -ERR_DAMAGED || got == -ERR_ABSENT || got == -ERR_UNREACHABLE) {
            (*ret_bad)++;
        } else if (got < 0) {
            if (e)
                *e = why;
            rc = got;
        }
        if (rc == 0 && sys_interrupted())
            rc = err_set(e, ERR_INTERRUPTED, _("interrupted"));
    }
    wbuf_free(&plain);
    return rc;
}

static int open_one(struct app *app, struct vault *v, const struct snap_ref *s, int only,
                    unsigned percent, struct opened_result *r, struct err *e)
{
    struct view view;
    struct used used = { 0 };
    struct id *reach = NULL;
    size_t n_reach = 0;
    uint64_t gaps = 0, bad = 0;
    char text[200];
    int rc = view_open(v, s, only, &view, e);
    if (rc == 0)
        rc = vault_reach(v, &s->reach, &reach, &n_reach, e);
    if (rc == -ERR_DAMAGED || rc == -ERR_ABSENT || rc == -ERR_KEY) {
        say(app, s, r, e ? e->why : "");
        err_clear(e);
        rc = 0;
        goto out;
    }
    if (rc == 0)
        rc = walk(&view, &used, &gaps, e);
    if (rc == 0)
        rc = open_chunks(&view, &used, percent, r, &bad, e);
    if (rc < 0)
        goto out;
    r->snapshots++;
    sort_unique(&used);
    if (gaps || bad) {
        snprintf(text, sizeof text,
                 _("%llu parts of the list of files and %llu chunks do not open"),
                 (unsigned long long)gaps, (unsigned long long)bad);
        say(app, s, r, text);
    } else if (used.n != n_reach ||
               (n_reach && memcmp(used.ids, reach, n_reach * sizeof *reach) != 0)) /* NOLINT */ {
        say(app, s, r, _("its reach list is not what its files use"));
    }
out:
    view_close(&view);
    free(used.ids);
    free(reach);
    return rc;
}

int care_open(struct app *app, struct vault *v, int only, unsigned percent,
              struct opened_result *ret, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < v->n_lists; i++)
        for (size_t k = 0; rc == 0 && k < v->lists[i]->n; k++)
            rc = open_one(app, v, &v->lists[i]->snaps[k], only, percent, ret, e);
    return rc;
}
