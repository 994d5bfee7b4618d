/* records_look.c - which records the copies have, and back onto this machine; see records.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"

#include <stdlib.h>
#include <string.h>

static bool usable(const struct copy *c)
{
    return c->store && (c->state == COPY_CURRENT || c->state == COPY_BEHIND);
}

void records_done(struct records *rs)
{
    for (size_t i = 0; i < rs->n; i++)
        record_object_free(rs->v[i].o);
    free(rs->v);
    *rs = (struct records){ 0 };
}

/* --- listing ------------------------------------------------------------------------------------------ */
struct listing {
    struct records *rs;
    size_t copy;
    bool no_memory, too_many;
};

static int on_name(void *ctx, const char *name, uint64_t len)
{
    struct listing *l = ctx;
    struct records *rs = l->rs;
    struct id id;
    size_t i = 0;
    if (!object_name_parse(OBJECT_RECORD, name, NULL, &id))
        return 0;
    while (i < rs->n && !id_eq(&rs->v[i].object, &id))
        i++;
    if (i == rs->n) {
        struct record_seen *grown = realloc(rs->v, (rs->n + 1) * sizeof *grown);
        l->no_memory = !grown;
        l->too_many = rs->n >= MAX_RECORDS;
        if (grown)
            rs->v = grown;
        if (!grown || l->too_many)
            return 1;
        rs->v[rs->n++] = (struct record_seen){ .object = id, .len = len };
    }
    rs->v[i].copies |= 1u << l->copy;
    return 0;
}

static int list_all(struct vault *v, int only, struct records *rs, struct err *e)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        struct listing l = { .rs = rs, .copy = i };
        struct err why = ERR_INIT;
        if (!usable(&v->copies[i]) || (only >= 0 && (size_t)only != i))
            continue;
        if (store_list(v->copies[i].store, RECORD_FOLDER, on_name, &l, &why) >= 0)
            rs->listed |= 1u << i;
        else if (v->copies[i].problem.code == ERR_NONE)
            v->copies[i].problem = why;
        if (l.no_memory)
            return err_set(e, ERR_NOMEM, _("no memory"));
        if (l.too_many)
            return err_set(e, ERR_LIMIT, _("there are more than %d records"), MAX_RECORDS);
    }
    return 0;
}

/* --- reading -------------------------------------------------------------------------------------------- */
static int read_one(struct vault *v, size_t copy, const struct record_seen *s,
                    struct record_object **ret, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    uint8_t *p = NULL;
    size_t len = 0;
    struct id hash;
    object_name(OBJECT_RECORD, &s->object, name);
    int rc = store_get_all(v->copies[copy].store, name, MAX_OBJECT_BYTES, &p, &len, e);
    if (rc == 0) {
        sha256_of(p, len, &hash);
        if (!id_eq(&hash, &s->object))
            rc = err_set(e, ERR_DAMAGED, _("its bytes are not those that its name says"));
    }
    if (rc == 0)
        rc = record_object_read(&v->keys, p, len, ret, e);
    free(p);
    return rc;
}

static int read_seen(struct vault *v, struct record_seen *s, record_bad_fn *bad, void *ctx,
                     struct err *e)
{
    char name[MAX_OBJECT_NAME];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++) {
        struct record_object *o = NULL;
        struct err why = ERR_INIT;
        if (!(s->copies & (1u << i)) || (s->o && !bad))
            continue;
        rc = read_one(v, i, s, &o, &why);
        if (rc == -ERR_ABSENT) { /* replaced meanwhile by a newer one */
            s->copies &= ~(1u << i);
            rc = 0;
        } else if (rc == -ERR_NOMEM) {
            return err_set(e, ERR_NOMEM, _("no memory"));
        } else if (rc < 0) {
            s->bad |= 1u << i;
            rc = bad ? bad(ctx, i, object_name(OBJECT_RECORD, &s->object, name), &why, e) : 0;
        } else if (s->o) {
            record_object_free(o);
        } else {
            s->o = o;
        }
    }
    return rc;
}

static int by_incident(const void *a, const void *b)
{
    const struct record_seen *x = a, *y = b;
    if (!x->o || !y->o)
        return x->o ? -1 : y->o ? 1 : id_cmp(&x->object, &y->object);
    int c = strcmp(x->o->incident, y->o->incident);
    if (c)
        return c;
    return x->o->number != y->o->number ? (x->o->number < y->o->number ? 1 : -1)
                                        : id_cmp(&x->object, &y->object);
}

int records_look(struct vault *v, int only, record_bad_fn *bad, void *ctx, struct records *ret,
                 struct err *e)
{
    *ret = (struct records){ 0 };
    int rc = list_all(v, only, ret, e);
    for (size_t i = 0; rc == 0 && i < ret->n; i++) {
        if (sys_interrupted())
            rc = err_set(e, ERR_INTERRUPTED, _("interrupted"));
        else
            rc = read_seen(v, &ret->v[i], bad, ctx, e);
    }
    if (rc < 0)
        records_done(ret);
    else if (ret->n)
        qsort(ret->v, ret->n, sizeof *ret->v, by_incident);
    return rc < 0 ? rc : 0;
}

/* Of two that say the same the one with the smaller hash counts. */
static bool replaces(const struct record_seen *a, const struct record_seen *b)
{
    if (!a->o || !b->o)
        return false;
    bool same = strcmp(a->o->incident, b->o->incident) == 0 && a->o->number == b->o->number &&
                id_eq(&a->o->last, &b->o->last);
    return same ? id_cmp(&a->object, &b->object) < 0 : record_object_replaces(a->o, b->o);
}

size_t records_replacing(const struct records *rs, size_t i, uint32_t copies)
{
    size_t n = 0;
    for (size_t k = 0; k < rs->n; k++)
        if (k != i && (rs->v[k].copies & ~rs->v[k].bad & copies) && replaces(&rs->v[k], &rs->v[i]))
            n++;
    return n;
}

/* --- onto this machine -------------------------------------------------------------------------------------- */
static void say_adopted(struct app *app, const struct incident *inc, const struct record_object *o)
{
    char when[32];
    const char *state = inc->closed_s      ? _("closed")
                        : inc->escalated_s ? _("escalated")
                        : inc->recovered_s ? _("back in service")
                                           : _("open");
    ui_line(&app->ui, "%s  %s  %s, %s", inc->id, time_text(inc->opened_s, when), state,
            inc->drill ? _("drill") : crash_cause_name(inc->cause));
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:s, s:b, s:I, s:I, s:b, s:I}", "type", "record", "incident",
                      inc->id, "policy", inc->policy, "drill", inc->drill, "number",
                      (json_int_t)o->number, "written_s", (json_int_t)o->written_s, "open",
                      inc->closed_s == 0, "opened_s", (json_int_t)inc->opened_s));
}

/* The newest of each incident, and of those that went on apart each. */
static bool is_newest(const struct records *rs, size_t i)
{
    return rs->v[i].o && records_replacing(rs, i, UINT32_MAX) == 0;
}

static int show_one(struct app *app, struct vault *v, struct record_seen *s, struct err *e)
{
    struct incident *inc = NULL;
    int rc = record_object_open(&v->keys, s->o, e);
    if (rc == 0)
        rc = incident_parse(s->o->incident, s->o->timeline, s->o->timeline_len, &inc, e);
    if (rc == 0)
        say_adopted(app, inc, s->o);
    incident_free(inc);
    return rc;
}

static size_t count_incidents(const struct records *rs)
{
    size_t n = 0;
    const char *before = "";
    for (size_t i = 0; i < rs->n && rs->v[i].o; i++) { /* those that could be read come first */
        n += strcmp(rs->v[i].o->incident, before) != 0;
        before = rs->v[i].o->incident;
    }
    return n;
}

static void say_sealed(struct app *app, const struct records *rs)
{
    size_t n = count_incidents(rs);
    ui_line(
        &app->ui,
        P_("the copies have records of %zu incident or drill; they are sealed to the recovery "
           "key: twofold crash records --adopt",
           "the copies have records of %zu incidents and drills; they are sealed to the recovery "
           "key: twofold crash records --adopt",
           n),
        n);
    ui_json(&app->ui, json_pack("{s:s, s:I, s:I}", "type", "records", "incidents", (json_int_t)n,
                                "records", (json_int_t)rs->n));
}

int records_print(struct app *app, struct vault *v, struct err *e)
{
    struct records rs;
    int rc = records_look(v, -1, NULL, NULL, &rs, e);
    if (rc < 0)
        return rc;
    if (rs.n == 0)
        ui_line(&app->ui, _("the copies have no records of incidents or drills"));
    else if (!v->keys.recovery_sk)
        say_sealed(app, &rs);
    for (size_t i = 0; v->keys.recovery_sk && i < rs.n; i++) {
        struct err why = ERR_INIT;
        if (is_newest(&rs, i) && show_one(app, v, &rs.v[i], &why) < 0)
            ui_error(&app->ui, &why);
        if (!rs.v[i].o) {
            char name[MAX_OBJECT_NAME];
            err_set(&why, ERR_DAMAGED, _("no copy has it whole"));
            err_wrap(&why, "%s", object_name(OBJECT_RECORD, &rs.v[i].object, name));
            ui_error(&app->ui, &why);
        }
    }
    records_done(&rs);
    return 0;
}

/* 1: adopted. One that cannot be is said. */
static int adopt_one(struct app *app, struct vault *v, struct record_object *o)
{
    struct err why = ERR_INIT;
    int rc = record_object_open(&v->keys, o, &why);
    if (rc == 0)
        rc = record_adopt(&app->paths, o, &why);
    if (rc == 0) {
        ui_line(&app->ui, _("incident %s: here, with %llu lines of its timeline"), o->incident,
                (unsigned long long)o->number);
        ui_json(&app->ui, json_pack("{s:s, s:s, s:I}", "type", "adopted", "incident", o->incident,
                                    "number", (json_int_t)o->number));
        return 1;
    }
    err_wrap(&why, _("incident %s"), o->incident);
    ui_error(&app->ui, &why);
    return 0;
}

int records_adopt(struct app *app, struct vault *v, const char *name, size_t *ret, struct err *e)
{
    struct records rs;
    *ret = 0;
    if (!v->keys.recovery_sk) {
        err_set(e, ERR_KEY, _("records are sealed to the recovery key, which is not at hand"));
        return err_next(
            e,
            _("it is asked for by: twofold crash records --adopt; or name its file: --recovery-file FILE"));
    }
    int rc = records_look(v, -1, NULL, NULL, &rs, e);
    for (size_t i = 0; rc == 0 && i < rs.n; i++)
        if (is_newest(&rs, i) && (!name || strncmp(rs.v[i].o->incident, name, strlen(name)) == 0))
            *ret += (size_t)adopt_one(app, v, rs.v[i].o);
    if (rc == 0 && *ret == 0 && name) {
        rc = err_set(e, ERR_NAME, _("no record of an incident \"%s\" could be adopted"), name);
        err_next(e, "twofold crash records");
    }
    records_done(&rs);
    return rc;
}

void records_after_rebuild(struct app *app, struct vault *v)
{
    struct err why = ERR_INIT;
    struct records rs;
    size_t n;
    if (v->keys.recovery_sk) {
        if (records_adopt(app, v, NULL, &n, &why) < 0)
            ui_warn(&app->ui, _("records of incidents: %s"), why.why);
        return;
    }
    if (records_look(v, -1, NULL, NULL, &rs, &why) < 0) {
        ui_warn(&app->ui, _("records of incidents: %s"), why.why);
        return;
    }
    if (rs.n)
        say_sealed(app, &rs);
    records_done(&rs);
}
