/* records_tend.c - see records_tend.h. */
#include "orchestrator/crash/records_tend.h"
#include "lib/base/i18n.h"
#include "orchestrator/crash/records.h"

#include <stdlib.h>
#include <string.h>

struct tend {
    struct app *app;
    struct vault *v;
    struct records rs;
    struct records_tended *ret;
    const char *stamp; /* of a repair; else NULL */
};

static const char *name_of(const struct record_seen *s, char out[MAX_OBJECT_NAME])
{
    return object_name(OBJECT_RECORD, &s->object, out);
}

static uint32_t whole(const struct record_seen *s)
{
    return s->copies & ~s->bad;
}

/* --- from one copy to another ------------------------------------------------------------------------ */
static int get_whole(struct tend *t, const struct record_seen *s, uint8_t **ret, size_t *ret_len,
                     struct err *e)
{
    char name[MAX_OBJECT_NAME];
    int rc = err_set(e, ERR_DAMAGED, _("no copy has it whole"));
    for (size_t i = 0; i < t->v->n_copies; i++) {
        struct id hash;
        if (!(whole(s) & (1u << i)))
            continue;
        err_clear(e);
        rc = store_get_all(t->v->copies[i].store, name_of(s, name), MAX_OBJECT_BYTES, ret, ret_len,
                           e);
        if (rc < 0)
            continue;
        sha256_of(*ret, *ret_len, &hash);
        if (id_eq(&hash, &s->object))
            return 0;
        free(*ret);
        *ret = NULL;
        rc = err_set(e, ERR_DAMAGED, _("its bytes are not those that its name says"));
    }
    return rc;
}

static int bring(struct tend *t, const struct record_seen *s, size_t to, bool replace,
                 struct err *e)
{
    char name[MAX_OBJECT_NAME];
    uint8_t *p = NULL;
    size_t n = 0;
    int rc = get_whole(t, s, &p, &n, e);
    struct store_data d = { .p = p, .fd = -1, .len = n };
    struct store *store = t->v->copies[to].store;
    if (rc == 0)
        rc = replace ? store_replace(store, name_of(s, name), &d, t->stamp, e)
                     : store_put(store, name_of(s, name), &d, e);
    if (rc == 0) {
        t->ret->objects++;
        t->ret->bytes += n;
    }
    free(p);
    return rc;
}

/* What copy `at` should have and has not. */
static bool lacks(const struct tend *t, size_t i, size_t at)
{
    const struct record_seen *s = &t->rs.v[i];
    return s->o && whole(s) && !(s->copies & (1u << at)) &&
           records_replacing(&t->rs, i, UINT32_MAX) == 0;
}

static int fill(struct tend *t, size_t at, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->rs.n; i++)
        if (lacks(t, i, at))
            rc = bring(t, &t->rs.v[i], at, false, e);
    return rc;
}

int records_replicate(struct app *app, struct vault *v, const bool *copies,
                      struct records_tended *ret, struct err *e)
{
    struct tend t = { .app = app, .v = v, .ret = ret };
    *ret = (struct records_tended){ 0 };
    int rc = records_look(v, -1, NULL, NULL, &t.rs, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++) {
        struct err why = ERR_INIT;
        if (copies[i] && (t.rs.listed & (1u << i)) && fill(&t, i, &why) < 0)
            ret->problem[i] = why;
    }
    records_done(&t.rs);
    return rc;
}

/* --- scrub -------------------------------------------------------------------------------------------- */
static int on_bad(void *ctx, size_t copy, const char *name, const struct err *why, struct err *e)
{
    struct tend *t = ctx;
    const char *place = t->v->copies[copy].place;
    bool damaged = why->code == ERR_DAMAGED;
    ui_line(&t->app->ui, _("copy \"%s\": %s: %s (%s)"), place, name,
            damaged ? _("DAMAGED") : _("UNREADABLE"), why->why);
    ui_json(&t->app->ui,
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "finding", "place", place, "object",
                      name, "kind", damaged ? "damaged" : "unreadable", "why", why->why));
    t->ret->findings++;
    return chunkdb_note_damage(t->v->db, place, name, why->why, e);
}

/* Notes of before that do not hold any more: mended, replaced, gone. */
struct stale {
    const struct tend *t;
    size_t at;
    char (*v)[MAX_OBJECT_NAME];
    size_t n;
};

static int on_note(void *ctx, const char *place, const char *name, const char *why, struct err *e)
{
    struct stale *s = ctx;
    struct id id;
    (void)why;
    if (strcmp(place, s->t->v->copies[s->at].place) != 0 ||
        !object_name_parse(OBJECT_RECORD, name, NULL, &id))
        return 0;
    for (size_t i = 0; i < s->t->rs.n; i++)
        if (id_eq(&s->t->rs.v[i].object, &id) && (s->t->rs.v[i].bad & (1u << s->at)))
            return 0;
    void *grown = realloc(s->v, (s->n + 1) * sizeof *s->v);
    if (!grown)
        return err_set(e, ERR_NOMEM, _("no memory"));
    s->v = grown;
    memcpy(s->v[s->n++], name, strlen(name) + 1);
    return 0;
}

static int drop_stale(const struct tend *t, size_t at, struct err *e)
{
    struct stale s = { .t = t, .at = at };
    int rc = chunkdb_each_damage(t->v->db, on_note, &s, e);
    for (size_t i = 0; rc >= 0 && i < s.n; i++)
        rc = chunkdb_clear_damage(t->v->db, t->v->copies[at].place, s.v[i], e);
    free(s.v);
    return rc < 0 ? rc : 0;
}

static int scrub(struct tend *t, int only, struct err *e)
{
    int rc = records_look(t->v, only, on_bad, t, &t->rs, e);
    for (size_t i = 0; rc == 0 && i < t->rs.n; i++) {
        const struct record_seen *s = &t->rs.v[i];
        t->ret->lost += s->o == NULL;
        for (size_t k = 0; k < t->v->n_copies; k++)
            if (s->copies & (1u << k)) {
                t->ret->objects++;
                t->ret->bytes += s->len;
            }
    }
    for (size_t k = 0; rc == 0 && k < t->v->n_copies; k++)
        if (t->rs.listed & (1u << k))
            rc = drop_stale(t, k, e);
    return rc;
}

/* Of one copy alone it is not known what it lacks. */
static uint64_t count_lacking(const struct tend *t)
{
    uint64_t n = 0;
    for (size_t k = 0; k < t->v->n_copies; k++) {
        bool any = false;
        for (size_t i = 0; (t->rs.listed & (1u << k)) && i < t->rs.n; i++)
            any = any || lacks(t, i, k);
        n += any;
    }
    return n;
}

int records_scrub(struct app *app, struct vault *v, int only, struct records_tended *ret,
                  struct err *e)
{
    struct tend t = { .app = app, .v = v, .ret = ret };
    *ret = (struct records_tended){ 0 };
    int rc = scrub(&t, only, e);
    if (rc == 0 && only < 0)
        ret->lacking = count_lacking(&t);
    records_done(&t.rs);
    return rc;
}

/* --- repair -------------------------------------------------------------------------------------------- */
static int mend(struct tend *t, size_t i, size_t at, uint64_t *ret_failed, struct err *e)
{
    struct record_seen *s = &t->rs.v[i];
    char name[MAX_OBJECT_NAME];
    const char *place = t->v->copies[at].place;
    struct err why = ERR_INIT;
    int rc = bring(t, s, at, true, &why);
    if (rc == -ERR_NOMEM)
        return err_set(e, ERR_NOMEM, _("no memory"));
    name_of(s, name);
    if (rc < 0) {
        ui_line(&t->app->ui, _("copy \"%s\": %s: NOT mended: %s"), place, name, why.why);
        ++*ret_failed;
        return 0;
    }
    ui_line(&t->app->ui, _("copy \"%s\": %s: mended"), place, name);
    s->bad &= ~(1u << at);
    return chunkdb_clear_damage(t->v->db, place, name, e);
}

int records_repair(struct app *app, struct vault *v, int only, const char *stamp,
                   struct records_tended *ret, struct err *e)
{
    struct tend t = { .app = app, .v = v, .ret = ret, .stamp = stamp };
    uint64_t failed = 0;
    *ret = (struct records_tended){ 0 };
    /* All copies are read, whichever is to be mended: the others have what it needs. */
    int rc = scrub(&t, -1, e);
    ret->objects = ret->bytes = ret->findings = 0;
    for (size_t k = 0; rc == 0 && k < v->n_copies; k++) {
        if (!(t.rs.listed & (1u << k)) || (only >= 0 && (size_t)only != k))
            continue;
        for (size_t i = 0; rc == 0 && i < t.rs.n; i++)
            if (t.rs.v[i].bad & (1u << k))
                rc = mend(&t, i, k, &failed, e);
        if (rc == 0)
            rc = fill(&t, k, e);
    }
    ret->lost = failed;
    records_done(&t.rs);
    return rc;
}

/* --- prune --------------------------------------------------------------------------------------------- */
static int prune_copy(struct tend *t, size_t at, bool dry_run, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->rs.n; i++) {
        struct record_seen *s = &t->rs.v[i];
        if (!(s->copies & (1u << at)) || !s->o ||
            records_replacing(&t->rs, i, 1u << at) < RECORDS_KEPT)
            continue;
        if (!dry_run)
            rc = store_delete(t->v->copies[at].store, name_of(s, name), e);
        t->ret->objects += rc == 0;
        t->ret->bytes += rc == 0 ? s->len : 0;
    }
    return rc;
}

int records_prune(struct app *app, struct vault *v, bool dry_run, struct records_tended *ret,
                  struct err *e)
{
    struct tend t = { .app = app, .v = v, .ret = ret };
    *ret = (struct records_tended){ 0 };
    int rc = records_look(v, -1, NULL, NULL, &t.rs, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++) {
        struct err why = ERR_INIT;
        if ((t.rs.listed & (1u << i)) && prune_copy(&t, i, dry_run, &why) < 0)
            ret->problem[i] = why;
    }
    records_done(&t.rs);
    return rc;
}
