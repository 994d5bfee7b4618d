/* care_needs.c - the chunks that snapshots need are there; see care_needs.h. */
#include "orchestrator/care_needs.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include <stdlib.h>

#define MAX_BROKEN \
    100 /* damaged packs that are looked for; of a copy that is worse, all backups need something */

/* Ascending, but for those of a pack. */
struct ids {
    struct id *p;
    size_t n;
};
/* The chunks of a damaged pack, and who needs any of them. */
struct broken {
    struct id pack;
    struct ids chunks;
    size_t n_lists;
    uint64_t *needed; /* for each source, how many of its backups; */
    const struct snap_ref **newest;
};
struct brokens {
    struct broken *v;
    size_t n;
};

/* One source's snapshots, one after the other: a chunk that the one before needed too is not asked for again. */
struct walk {
    struct ids before;  /* what it needed */
    struct id *lacking; /* of these, what is nowhere */
    size_t n_lacking;
};

static int by_id(const void *a, const void *b)
{
    return id_cmp(a, b);
}

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

/* Each of the few hundred chunks of the pack is looked for in what the snapshot reaches. */
static bool needs_any(const struct ids *now, const struct ids *chunks)
{
    for (size_t i = 0; i < chunks->n; i++)
        if (now->n > 0 && bsearch(&chunks->p[i], now->p, now->n, sizeof *now->p, by_id))
            return true;
    return false;
}

static void note_needs(struct brokens *b, size_t list, const struct snap_ref *s,
                       const struct ids *now)
{
    for (size_t i = 0; i < b->n; i++)
        if (needs_any(now, &b->v[i].chunks)) {
            b->v[i].needed[list]++;
            b->v[i].newest[list] = s; /* oldest first */
        }
}

static int check_one(struct app *app, struct vault *v, size_t list, size_t at, struct walk *w,
                     struct brokens *b, struct needs_result *r, struct err *e)
{
    const struct source_list *l = v->lists[list];
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
    note_needs(b, list, s, &now);
    if (rc < 0 || w->n_lacking == 0)
        return rc;
    r->bad++;
    snprintf(text, sizeof text, _("%zu of the %zu chunks that it needs are in no pack"),
             w->n_lacking, now.n);
    say(app, l, s, text);
    return 0;
}

/* --- which backups need what is damaged -------------------------------------------------------------------- */
static void brokens_done(struct brokens *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->v[i].chunks.p);
        free(b->v[i].needed);
        free(b->v[i].newest);
    }
    free(b->v);
}

static int broken_begin(struct vault *v, const struct id *pack, struct broken *ret, struct err *e)
{
    struct pack_table t;
    int rc = chunkdb_pack_table(v->db, pack, &t, e);
    if (rc < 0)
        return rc;
    *ret = (struct broken){ .pack = *pack, .n_lists = v->n_lists };
    ret->chunks.p = malloc((t.n + 1) * sizeof *ret->chunks.p);
    ret->needed = calloc(v->n_lists + 1, sizeof *ret->needed);
    ret->newest = calloc(v->n_lists + 1, sizeof(struct snap_ref *)); /* NOLINT */
    if (!ret->chunks.p || !ret->needed || !ret->newest)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < t.n; i++)
        ret->chunks.p[ret->chunks.n++] = t.chunks[i].id;
    pack_table_done(&t);
    return rc;
}

static bool is_among(const struct brokens *b, const struct id *pack)
{
    for (size_t i = 0; i < b->n; i++)
        if (id_eq(&b->v[i].pack, pack))
            return true;
    return false;
}

static int brokens_begin(struct vault *v, const struct id *found, size_t n, struct brokens *b,
                         struct err *e)
{
    int rc = 0;
    n = n < MAX_BROKEN ? n : MAX_BROKEN;
    b->v = calloc(n + 1, sizeof *b->v);
    if (!b->v)
        return err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (is_among(b, &found[i]))
            continue;
        rc = broken_begin(v, &found[i], &b->v[b->n++], e);
        if (rc == -ERR_ABSENT) { /* in no index: nobody needs it */
            err_clear(e);
            b->n--;
            rc = 0;
        }
    }
    return rc;
}

static void say_needed(struct app *app, const struct vault *v, const struct broken *b)
{
    char name[MAX_OBJECT_NAME], id[SHORT_ID_DIGITS + 1], when[32];
    json_t *by = json_array();
    object_name(OBJECT_PACK, &b->pack, name);
    ui_line(&app->ui, _("damaged object %s is needed by:"), name);
    for (size_t i = 0; i < b->n_lists; i++) {
        const char *source = v->lists[i]->source;
        if (!b->needed[i])
            continue;
        short_id(&b->newest[i]->ref.id, id);
        ui_line(&app->ui,
                P_("  %llu backup of %s, the newest %s of %s",
                   "  %llu backups of %s, the newest %s of %s", b->needed[i]),
                (unsigned long long)b->needed[i], source, id,
                ui_time(b->newest[i]->received_ns, when));
        json_array_append_new(by, json_pack("{s:s, s:I, s:s}", "source", source, "backups",
                                            (json_int_t)b->needed[i], "newest", id));
    }
    if (json_array_size(by) == 0)
        ui_line(&app->ui, _("  no backup any more"));
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:o}", "type", "needed", "object", name, "sources", by));
}

int care_needs(struct app *app, struct vault *v, const struct id *found, size_t n,
               struct needs_result *ret, struct err *e)
{
    struct ui_progress p = { .phase = N_("looking at what backups need"),
                             .started_ms = sys_monotonic_ms() };
    struct brokens b = { 0 };
    int rc = vault_need_index(v, e);
    if (rc == 0)
        rc = brokens_begin(v, found, n, &b, e);
    for (size_t i = 0; i < v->n_lists; i++)
        p.total_files += v->lists[i]->n;
    for (size_t i = 0; rc == 0 && i < v->n_lists; i++) {
        struct walk w = { 0 };
        for (size_t k = 0; rc == 0 && k < v->lists[i]->n; k++) {
            rc = check_one(app, v, i, k, &w, &b, ret, e);
            p.files++;
            ui_progress(&app->ui, &p);
            if (rc == 0 && sys_interrupted())
                rc = err_set(e, ERR_INTERRUPTED, _("interrupted"));
        }
        free(w.before.p);
        free(w.lacking);
    }
    ui_progress_end(&app->ui);
    for (size_t i = 0; rc == 0 && i < b.n; i++)
        say_needed(app, v, &b.v[i]);
    brokens_done(&b);
    return rc;
}
