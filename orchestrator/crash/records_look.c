/* records_look.c - which records the copies have, and back onto this machine; see records.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SAID 10 /* records that are spoilt */

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
    size_t copy, n, cap; /* n: of this copy */
    bool no_memory;
};

/* What a copy lists may be anything: it is put in order once, below. */
static int on_name(void *ctx, const char *name, uint64_t len)
{
    struct listing *l = ctx;
    struct records *rs = l->rs;
    struct id id;
    if (!object_name_parse(OBJECT_RECORD, name, NULL, &id))
        return 0;
    if (rs->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct record_seen *grown = realloc(rs->v, cap * sizeof *grown);
        l->no_memory = !grown;
        if (!grown)
            return 1;
        rs->v = grown;
        l->cap = cap;
    }
    rs->v[rs->n++] = (struct record_seen){ .object = id, .len = len, .copies = 1u << l->copy };
    return ++l->n > MAX_RECORDS;
}

static int by_object(const void *a, const void *b)
{
    const struct record_seen *x = a, *y = b;
    return id_cmp(&x->object, &y->object);
}

/* The same of several copies becomes one. */
static void merge(struct records *rs)
{
    size_t n = 0;
    if (rs->n)
        qsort(rs->v, rs->n, sizeof *rs->v, by_object);
    for (size_t i = 0; i < rs->n; i++) {
        if (n && id_eq(&rs->v[n - 1].object, &rs->v[i].object))
            rs->v[n - 1].copies |= rs->v[i].copies;
        else
            rs->v[n++] = rs->v[i];
    }
    rs->n = n;
}

/* One that lists more than there can be was filled by somebody: it is left out, so that it does not hide what the others have. */
static int list_all(struct vault *v, int only, struct records *rs, struct err *e)
{
    struct listing l = { .rs = rs };
    for (size_t i = 0; i < v->n_copies; i++) {
        struct err why = ERR_INIT;
        size_t before = rs->n;
        if (!usable(&v->copies[i]) || (only >= 0 && (size_t)only != i))
            continue;
        l.copy = i;
        l.n = 0;
        int rc = store_list(v->copies[i].store, RECORD_FOLDER, on_name, &l, &why);
        if (l.no_memory)
            return err_set(e, ERR_NOMEM, _("no memory"));
        if (l.n > MAX_RECORDS)
            rc = err_set(&why, ERR_LIMIT, _("there are more than %d records"), MAX_RECORDS);
        if (rc >= 0) {
            rs->listed |= 1u << i;
            continue;
        }
        rs->n = before;
        if (v->copies[i].problem.code == ERR_NONE)
            v->copies[i].problem = why;
    }
    merge(rs);
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
    return rs->v[i].o && !rs->v[i].covered && records_replacing(rs, i, UINT32_MAX) == 0;
}

/* A record names at most MAX_RECORD_BEFORE earlier ones, and a copy may bring back an older one still: with the newest of an incident open, what
 * is a beginning of its timeline counts as replaced. */
static void cover_older(struct records *rs, size_t i)
{
    const struct record_object *o = rs->v[i].o;
    struct id hash;
    for (size_t k = i + 1; k < rs->n && rs->v[k].o; k++) {
        const struct record_object *old = rs->v[k].o;
        if (strcmp(old->incident, o->incident) != 0)
            break;
        if (!rs->v[k].covered &&
            record_line_hash(o->timeline, o->timeline_len, old->number, &hash) &&
            id_eq(&hash, &old->last))
            rs->v[k].covered = true;
    }
}

/* What could not be read is not "nothing": it may have been newer. */
static void say_unread(struct app *app, const struct vault *v, const struct records *rs)
{
    char name[MAX_OBJECT_NAME];
    size_t n = 0;
    for (size_t i = 0; i < v->n_copies; i++)
        if (!(rs->listed & (1u << i)))
            ui_warn(&app->ui, _("copy \"%s\": %s"), v->copies[i].place,
                    v->copies[i].problem.code != ERR_NONE ? v->copies[i].problem.why
                                                          : _("it is away"));
    for (size_t i = 0; i < rs->n; i++)
        if (!rs->v[i].o && rs->v[i].bad && ++n <= MAX_SAID)
            ui_warn(&app->ui, "%s: %s", object_name(OBJECT_RECORD, &rs->v[i].object, name),
                    _("no copy has it whole"));
    if (n > MAX_SAID)
        ui_warn(&app->ui, _("and %llu more such files"), (unsigned long long)(n - MAX_SAID));
}

static int look_and_say(struct app *app, struct vault *v, struct records *ret, struct err *e)
{
    int rc = records_look(v, -1, NULL, NULL, ret, e);
    if (rc < 0)
        return rc;
    say_unread(app, v, ret);
    if (ret->listed || v->n_copies == 0)
        return 0;
    records_done(ret);
    err_set(e, ERR_UNREACHABLE, _("no copy can be read"));
    return -ERR_UNREACHABLE;
}

static int show_one(struct app *app, struct vault *v, struct records *rs, size_t i, struct err *e)
{
    const struct record_seen *s = &rs->v[i];
    struct incident *inc = NULL;
    int rc = record_object_open(&v->keys, s->o, e);
    if (rc == 0)
        rc = incident_parse(s->o->incident, s->o->timeline, s->o->timeline_len, &inc, e);
    if (rc == 0) {
        cover_older(rs, i);
        say_adopted(app, inc, s->o);
    }
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
    int rc = look_and_say(app, v, &rs, e);
    if (rc < 0)
        return rc;
    if (rs.n == 0)
        ui_line(&app->ui, _("the copies have no records of incidents or drills"));
    else if (!v->keys.recovery_sk)
        say_sealed(app, &rs);
    for (size_t i = 0; v->keys.recovery_sk && i < rs.n; i++) {
        struct err why = ERR_INIT;
        if (is_newest(&rs, i) && show_one(app, v, &rs, i, &why) < 0)
            ui_error(&app->ui, &why);
    }
    records_done(&rs);
    return 0;
}

/* 1: adopted. One that cannot be is said, and is *ret_why. */
static int adopt_one(struct app *app, struct vault *v, struct records *rs, size_t i,
                     struct err *ret_why)
{
    struct record_object *o = rs->v[i].o;
    struct err why = ERR_INIT;
    int rc = record_object_open(&v->keys, o, &why);
    if (rc == 0)
        rc = record_adopt(&app->paths, o, &why);
    if (rc == 0) {
        cover_older(rs, i);
        ui_line(&app->ui, _("incident %s: here, with %llu lines of its timeline"), o->incident,
                (unsigned long long)o->number);
        ui_json(&app->ui, json_pack("{s:s, s:s, s:I}", "type", "adopted", "incident", o->incident,
                                    "number", (json_int_t)o->number));
        return 1;
    }
    err_wrap(&why, _("incident %s"), o->incident);
    ui_error(&app->ui, &why);
    *ret_why = why;
    return 0;
}

int records_adopt(struct app *app, struct vault *v, const char *name, size_t *ret, struct err *e)
{
    struct records rs = { 0 };
    struct err why = ERR_INIT;
    *ret = 0;
    if (!v->keys.recovery_sk) {
        err_set(e, ERR_KEY, _("records are sealed to the recovery key, which is not at hand"));
        return err_next(
            e,
            _("it is asked for by: twofold crash records --adopt; or name its file: --recovery-file FILE"));
    }
    int rc = look_and_say(app, v, &rs, e);
    for (size_t i = 0; rc == 0 && i < rs.n; i++)
        if (is_newest(&rs, i) && (!name || strncmp(rs.v[i].o->incident, name, strlen(name)) == 0))
            *ret += (size_t)adopt_one(app, v, &rs, i, &why);
    bool spoilt = rs.n && !rs.v[0].o && rs.v[0].bad; /* those that are whole stand before these */
    if (spoilt && why.code == ERR_NONE)
        err_set(&why, ERR_DAMAGED, _("no copy has it whole"));
    if (rc == 0 && *ret == 0 && !name && why.code != ERR_NONE) {
        if (e)
            *e = why;
        rc = -(int)why.code;
    } else if (rc == 0 && rs.n == 0) {
        ui_line(&app->ui, _("the copies have no records of incidents or drills"));
    }
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
    if (look_and_say(app, v, &rs, &why) < 0) {
        ui_warn(&app->ui, _("records of incidents: %s"), why.why);
        return;
    }
    if (rs.n)
        say_sealed(app, &rs);
    records_done(&rs);
}
