/* care_needs.c - the chunks that snapshots need are there; see care_needs.h. */
#include "orchestrator/care_needs.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include <stdlib.h>

/* Ascending. */
struct ids {
    struct id *p;
    size_t n;
};
/* One source's snapshots, one after the other: a chunk that the one before needed too is not asked for again. */
struct walk {
    struct ids before;  /* what it needed */
    struct id *lacking; /* of these, what is nowhere */
    size_t n_lacking;
};

static bool in(const struct ids *s, size_t *at, const struct id *id)
{
    while (*at < s->n && id_cmp(&s->p[*at], id) < 0)
        (*at)++;
    return *at < s->n && id_eq(&s->p[*at], id);
}

/* 1: it is in a pack; 0: nowhere. */
static int is_there(struct vault *v, const struct id *chunk, struct err *e)
{
    struct chunk_place at[MAX_CHUNK_PLACES];
    int n = chunkdb_find(v->db, chunk, at, e);
    return n < 0 ? n : n > 0;
}

static int look_at(struct vault *v, struct walk *w, const struct ids *now, struct err *e)
{
    struct ids was = { w->lacking, w->n_lacking };
    struct id *lacking = malloc((now->n + 1) * sizeof *lacking);
    size_t n = 0, a = 0, b = 0;
    int rc = lacking ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc >= 0 && i < now->n; i++) {
        rc = in(&w->before, &a, &now->p[i]) ? !in(&was, &b, &now->p[i])
                                            : is_there(v, &now->p[i], e);
        if (rc == 0)
            lacking[n++] = now->p[i];
    }
    if (rc < 0) {
        free(lacking);
        return rc;
    }
    free(w->lacking);
    w->lacking = lacking;
    w->n_lacking = n;
    return 0;
}

static void say(struct app *app, const struct source_list *l, const struct snap_ref *s,
                const char *why)
{
    char id[SHORT_ID_DIGITS + 1];
    ui_progress_end(&app->ui);
    ui_line(&app->ui, _("backup %s of %s: NOT WHOLE: %s"), short_id(&s->ref.id, id), l->source,
            why);
    ui_json(&app->ui, json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "finding", "kind", "not-whole",
                                "source", l->source, "snapshot", id, "why", why));
}

static int check_one(struct app *app, struct vault *v, const struct source_list *l, size_t at,
                     struct walk *w, struct needs_result *r, struct err *e)
{
    const struct snap_ref *s = &l->snaps[at];
    struct ids now = { 0 };
    struct err why = ERR_INIT;
    char text[200];
    int rc = vault_reach(v, &s->reach, &now.p, &now.n, &why);
    r->snapshots++;
    if (rc == -ERR_DAMAGED || rc == -ERR_ABSENT) {
        r->bad++;
        say(app, l, s, _("what it needs cannot be read in any copy"));
        return 0;
    }
    if (rc < 0) {
        if (e)
            *e = why;
        return rc;
    }
    rc = look_at(v, w, &now, e);
    free(w->before.p);
    w->before = now;
    if (rc < 0 || w->n_lacking == 0)
        return rc;
    r->bad++;
    snprintf(text, sizeof text, _("%zu of the %zu chunks that it needs are in no pack"),
             w->n_lacking, now.n);
    say(app, l, s, text);
    return 0;
}

int care_needs(struct app *app, struct vault *v, struct needs_result *ret, struct err *e)
{
    struct ui_progress p = { .phase = N_("looking at what backups need"),
                             .started_ms = sys_monotonic_ms() };
    int rc = vault_need_index(v, e);
    for (size_t i = 0; i < v->n_lists; i++)
        p.total_files += v->lists[i]->n;
    for (size_t i = 0; rc == 0 && i < v->n_lists; i++) {
        struct walk w = { 0 };
        for (size_t k = 0; rc == 0 && k < v->lists[i]->n; k++) {
            rc = check_one(app, v, v->lists[i], k, &w, ret, e);
            p.files++;
            ui_progress(&app->ui, &p);
            if (rc == 0 && sys_interrupted())
                rc = err_set(e, ERR_INTERRUPTED, _("interrupted"));
        }
        free(w.before.p);
        free(w.lacking);
    }
    ui_progress_end(&app->ui);
    return rc;
}
