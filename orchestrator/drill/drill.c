/* drill.c - a drill from its opening to its end; see drill.h. */
#include "orchestrator/drill/drill.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/drill/inner.h"
#include "orchestrator/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S 1000000000

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- before it begins ------------------------------------------------------------------------------------------------ */
static const char *either(const char *asked, const char *usual)
{
    return asked ? asked : usual;
}

static int take_settings(struct drill *d, struct err *e)
{
    const struct drill_request *q = d->q;
    int rc = policy_load(&d->app->paths, q->policy, &d->pol, e);
    if (rc < 0)
        return rc;
    const struct drill_conf *c = &d->pol->drill;
    struct drill_measured *m = &d->out->m;
    d->from = q->lose ? NULL : either(q->from, c->from);
    d->lose = q->from ? NULL : either(q->lose, c->lose);
    d->on = either(q->on, c->on);
    if (d->on && strcmp(d->on, "local") == 0)
        d->on = NULL;
    d->here = d->on == NULL;
    m->max_rto_s = c->max_rto_s ? c->max_rto_s : d->pol->rto_s;
    m->max_rpo_s = c->max_rpo_s ? c->max_rpo_s : d->pol->rpo_s;
    if (q->at || q->snapshot) /* an older state was asked for */
        m->max_rpo_s = 0;
    return 0;
}

static int check_folder(struct drill *d, const char *to, struct err *e)
{
    struct vault_conf *conf = NULL;
    int rc = vault_conf_load(&d->app->paths, d->pol->vault[0] ? d->pol->vault : NULL, &conf, e);
    if (rc == 0)
        rc = drill_check_folder(d->pol, conf, to, d->on, e);
    vault_conf_free(conf);
    return rc;
}

/* --- which backups ----------------------------------------------------------------------------------------------------- */
static int add_snapshot(struct drill *d, const struct snap_ref *r, struct err *e)
{
    struct crash_snapshot *grown = realloc(d->snapshots, (d->n_snapshots + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    d->snapshots = grown;
    d->snapshots[d->n_snapshots++] = (struct crash_snapshot){ .id = r->ref.id,
                                                              .received_s = r->received_ns /
                                                                            NS_PER_S,
                                                              .whole = r->state == SNAPSHOT_WHOLE };
    return 0;
}

/* The one that was asked for, or all, newest first. */
static int find_snapshots(struct drill *d, struct err *e)
{
    char source[MAX_FORMAT_NAME + 1];
    const struct snap_ref *one = NULL;
    char *name = d->q->at ? text_print("%s@%s", d->pol->name, d->q->at) : NULL;
    int rc = 0;
    if (name || d->q->snapshot) {
        rc = app_find_snapshot(d->app, d->v, d->pol->name, name ? name : d->q->snapshot, &one, NULL,
                               e);
        free(name);
        return rc == 0 ? add_snapshot(d, one, e) : rc;
    }
    source_name(d->pol->name, source);
    const struct source_list *l = vault_list(d->v, source);
    for (size_t i = l ? l->n : 0; rc == 0 && i-- > 0;)
        if (!(l->snaps[i].flags & SNAPSHOT_QUARANTINE))
            rc = add_snapshot(d, &l->snaps[i], e);
    d->with_log = true;
    return rc;
}

static int open_vault(struct drill *d, struct err *e)
{
    struct vault_choice choice = d->q->choice;
    if (!choice.vault && d->pol->vault[0])
        choice.vault = d->pol->vault;
    choice.lose = d->lose;
    choice.hurry = true;
    int rc = app_open_vault(d->app, &choice, false, true, &d->v, e);
    d->from_at = -1;
    if (rc == 0 && d->from)
        rc = find_copy(d->v, d->from, &d->from_at, e);
    return rc == 0 ? find_snapshots(d, e) : rc;
}

/* --- the incident --------------------------------------------------------------------------------------------------------- */
static json_t *settings_json(const struct drill *d, const char *to)
{
    const struct drill_measured *m = &d->out->m;
    json_t *s = json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:I, s:I, s:I}", "to", to, "on",
                          d->on ? d->on : "local", "from", d->from, "lose", d->lose, "snapshot",
                          d->q->snapshot, "at", d->q->at, "max_rto_s", (json_int_t)m->max_rto_s,
                          "max_rpo_s", (json_int_t)m->max_rpo_s, "every_s",
                          (json_int_t)d->pol->drill.every_s);
    return s ? json_pack("{s:o}", "drill", s) : NULL;
}

static int open_incident(struct drill *d, const char *to, struct err *e)
{
    struct incident_opening o = { .policy = d->pol->name,
                                  .vault = d->v ? d->v->name : d->pol->vault,
                                  .agent = d->pol->agent,
                                  .cause = CAUSE_FAULT,
                                  .drill = true,
                                  .strict = d->from != NULL,
                                  .crashed_s = d->out->m.started_s,
                                  .settings = settings_json(d, to) };
    int rc = incident_create(&d->app->paths, &o, &d->inc, e);
    if (rc == 0)
        rc = incident_run_lock(d->inc, e);
    if (rc < 0)
        return rc;
    snprintf(d->out->id, sizeof d->out->id, "%s", d->inc->id);
    d->out->folder = text_print("%s/%s", to, d->inc->id);
    return 0;
}

/* The folder is written down before it is made: whoever comes after a kill knows of it. */
static int prepare(struct drill *d, const char *to, struct err *e)
{
    d->made_to = d->here && access(to, F_OK) < 0;
    json_t *facts = json_pack("{s:s, s:s, s:b}", "folder", d->out->folder, "on",
                              d->on ? d->on : "local", "made", d->made_to);
    int rc = drill_note(d, "prepare", "intent", 1, NULL, facts, e);
    mode_t mask = umask(022); /* a database's user has to get through */
    if (rc == 0 && d->here)
        rc = sys_mkdir_p(to, 0755, e);
    if (rc == 0 && d->here && geteuid() == 0)
        rc = drill_check_owner(to, e);
    if (rc == 0 && d->here)
        rc = sys_mkdirat(AT_FDCWD, d->out->folder, 0711, e);
    (void)umask(mask);
    return rc < 0 ? err_wrap(e, _("scratch folder \"%s\""), to)
                  : drill_note(d, "prepare", "done", 1, NULL, NULL, e);
}

/* --- the attempts --------------------------------------------------------------------------------------------------------------- */
/* gate: which it would have had to ask about; else NULL. */
static int escalate(struct drill *d, const char *why, const char *reason, const char *gate,
                    struct err *e)
{
    return incident_add(
        d->inc, EVENT_ESCALATED,
        json_pack("{s:o, s:s, s:s?}", "why", event_json(why, 0), "reason", reason, "gate", gate),
        e);
}

static int say_loss(struct drill *d, struct err *e)
{
    const struct drill_measured *m = &d->out->m;
    char when[32];
    int64_t gap = drill_rpo_s(m);
    char *text = m->recovered_to_s
                     ? text_print(_("recovered to %s"), ui_time(m->recovered_to_s * NS_PER_S, when))
                     : text_print("%s", _("not known"));
    json_t *body = json_pack("{s:I, s:I, s:I, s:o}", "crashed", (json_int_t)m->started_s,
                             "recovered_to", (json_int_t)m->recovered_to_s, "gap_s",
                             (json_int_t)gap, "text", event_json(text, 0));
    free(text);
    return incident_add(d->inc, EVENT_LOSS, body, e);
}

static int recovered(struct drill *d, struct err *e)
{
    int rc = say_loss(d, e);
    return rc == 0 ? incident_add(d->inc, EVENT_RECOVERED,
                                  json_pack("{s:s}", "text", _("restored and verified")), e)
                   : rc;
}

/* 1: go on. */
static int next_step(struct drill *d, const struct crash_facts *f, struct err *e)
{
    struct crash_next n;
    int rc;
    procedure_next(d->inc, f, &n);
    switch (n.kind) {
    case NEXT_STEP:
        if (n.attempt > MAX_DRILL_ATTEMPTS)
            return escalate(d, _("more attempts than a drill makes"), "attempts", NULL, e);
        rc = n.step == STEP_RESTORE ? drill_attempt(d, &n, e) : -ERR_FAILED;
        return rc < 0 ? rc : d->out->m.end == RESTORE_STOPPED ? 0 : 1;
    case NEXT_RECOVERED:
        return recovered(d, e);
    case NEXT_GATE: /* a drill asks nobody */
        return escalate(d, crash_gate_question(n.gate), "gate", crash_gate_name(n.gate), e);
    case NEXT_ESCALATE:
        return escalate(d,
                        n.why == ESCALATE_NO_BACKUP ? _("there is no backup to restore from")
                                                    : _("none of the backups could be restored"),
                        n.why == ESCALATE_NO_BACKUP ? "no-backup" : "tried-all", NULL, e);
    default:
        return 0;
    }
}

static int go_through(struct drill *d, struct err *e)
{
    const char *place = d->from;
    struct crash_conf conf = { .strict = d->from != NULL };
    struct crash_facts f = { .conf = &conf,
                             .rto_s = d->out->m.max_rto_s,
                             .snapshots_known = true,
                             .snapshots = d->snapshots,
                             .n_snapshots = d->n_snapshots,
                             .places = &place,
                             .n_places = d->from ? 1 : 0 };
    int rc;
    while ((rc = next_step(d, &f, e)) > 0)
        ;
    return rc;
}

/* --- the end ----------------------------------------------------------------------------------------------------------------------- */
static int clear(struct drill *d, struct err *e)
{
    struct err why = ERR_INIT;
    bool keep = d->q->keep;
    struct drill_place at = { .folder = d->out->folder,
                              .id = d->inc->id,
                              .on = d->on,
                              .around = d->made_to,
                              .policy = d->pol };
    int rc = keep ? 0 : drill_remove_folder(d->app, &at, &why);
    d->out->kept = keep || rc < 0;
    if (rc < 0)
        ui_warn(&d->app->ui, "%s: %s", why.what, why.why);
    return drill_note(d, "clean",
                      rc < 0 ? "failed"
                      : keep ? "skipped"
                             : "done",
                      1, rc < 0 ? why.why : "",
                      json_pack("{s:s, s:b}", "folder", d->out->folder, "kept", d->out->kept), e);
}

static json_t *reasons_json(unsigned reasons)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < DRILL_REASONS; i++)
        if (reasons & 1u << i)
            json_array_append_new(all, json_string(drill_reason_name((enum drill_reason)i)));
    return all;
}

static char *reasons_text(unsigned reasons)
{
    char *text = text_print("%s", "");
    for (unsigned i = 0; i < DRILL_REASONS; i++) {
        if (!(reasons & 1u << i))
            continue;
        char *more = text_print("%s%s%s", text, *text ? "; " : "",
                                drill_reason_words((enum drill_reason)i));
        free(text);
        text = more;
    }
    return text;
}

static json_t *result_json(const struct drill *d)
{
    char hex[ID_HEX_BYTES];
    const struct drill_outcome *o = d->out;
    const struct drill_measured *m = &o->m;
    json_t *f = json_pack(
        "{s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:I, s:I, s:I, s:o}", "rto_ms", (json_int_t)m->rto_ms,
        "rpo_s", (json_int_t)drill_rpo_s(m), "max_rto_s", (json_int_t)m->max_rto_s, "max_rpo_s",
        (json_int_t)m->max_rpo_s, "attempts", (int)m->attempts, "checks", (int)m->checks, "wrong",
        (int)m->wrong, "damaged", (json_int_t)m->damaged, "missing", (json_int_t)m->missing,
        "differ", (json_int_t)m->differ, "reasons", reasons_json(o->reasons));
    json_t *more = json_pack(
        "{s:s, s:I, s:I, s:I, s:s?, s:s?, s:s, s:s}", "snapshot", id_hex(&o->snapshot, hex),
        "received", (json_int_t)(o->received_ns / NS_PER_S), "files", (json_int_t)o->done.files,
        "bytes", (json_int_t)o->done.bytes, "from", d->from, "lose", d->lose, "on",
        d->on ? d->on : "local", "kind", policy_kind(d->pol));
    json_object_update(f, more);
    json_decref(more);
    return f;
}

static int close_it(struct drill *d, struct err *e)
{
    struct drill_outcome *o = d->out;
    o->reasons = drill_judge(&o->m);
    char *text = o->reasons ? reasons_text(o->reasons) : text_print("%s", _("passed"));
    int rc = drill_note(d, "drill", o->reasons ? "failed" : "done", 1, text, result_json(d), e);
    if (rc == 0 && !o->kept) /* else `drill --clean` closes it */
        rc = incident_add(d->inc, EVENT_CLOSED,
                          json_pack("{s:s, s:s}", "text", text, "through", "drill"), e);
    free(text);
    return rc;
}

/* Its record goes into the copies, so that the evidence survives this machine. */
static void seal(struct drill *d)
{
    struct err e = ERR_INIT;
    struct vault_conf *conf = NULL;
    struct vault *v = NULL;
    struct record_put put = { 0 };
    int rc = vault_conf_load(&d->app->paths, d->inc->vault, &conf, &e);
    struct vault_open_options o = { .paths = &d->app->paths, .conf = conf, .logs = true };
    if (rc == 0)
        rc = vault_open(&o, &v, &e);
    if (rc == 0)
        rc = records_put(d->app, v, d->inc, &put, &e);
    if (rc < 0)
        ui_warn(&d->app->ui, _("the record of this drill is in no copy yet: %s%s%s"), e.what,
                e.what[0] ? ": " : "", e.why);
    vault_close(v);
    vault_conf_free(conf);
}

/* No copy can be read: the drill has begun all the same, and failed. */
static bool is_failed_drill(int rc)
{
    return rc == -ERR_UNREACHABLE || rc == -ERR_DAMAGED || rc == -ERR_ABSENT || rc == -ERR_TIMEOUT;
}

static int check_room(struct drill *d, const char *to, struct err *e)
{
    struct snapshot *s = NULL;
    const struct snap_ref *newest = d->n_snapshots
                                        ? drill_find_snap(d->v, d->pol->name, &d->snapshots[0].id)
                                        : NULL;
    if (!d->here || !newest || vault_snapshot(d->v, &newest->ref, &s, NULL) < 0)
        return 0; /* what is wrong with it the restore will say */
    uint64_t bytes = s->bytes;
    snapshot_free(s);
    return drill_check_room(to, bytes, e);
}

static int run(struct drill *d, const char *to, struct err *e)
{
    struct err why = ERR_INIT;
    int opened = open_vault(d, &why);
    if (opened == 0)
        opened = check_room(d, to, &why);
    bool asked = d->q->at ||
                 d->q->snapshot; /* there is none of then: that says nothing of backups */
    if (opened < 0 && (!is_failed_drill(opened) || (opened == -ERR_ABSENT && d->v && asked))) {
        *e = why;
        return opened;
    }
    int rc = open_incident(d, to, e);
    if (rc == 0)
        rc = prepare(d, to, e);
    if (rc == 0 && opened < 0) {
        d->out->last = why;
        bool none = opened == -ERR_ABSENT && d->v; /* it was looked for, and nothing is damaged */
        d->out->m.end = none ? RESTORE_BROKEN
                             : restore_end_of(opened, &(struct restore_outcome){ 0 });
        rc = escalate(d, why.why, none ? "no-backup" : "error", NULL, e);
    } else if (rc == 0) {
        rc = go_through(d, e);
    }
    if (!d->inc || !d->out->folder)
        return rc;
    struct err ignored = ERR_INIT;
    int cleared = clear(d, rc < 0 ? &ignored : e);
    rc = rc < 0 ? rc : cleared;
    if (rc == 0)
        rc = close_it(d, e);
    if (rc == 0)
        seal(d);
    return rc;
}

int drill_run(struct app *app, const struct drill_request *q, struct drill_outcome *ret,
              struct err *e)
{
    size_t cleaned;
    struct drill d = { .app = app, .q = q, .out = ret };
    *ret = (struct drill_outcome){ .m = { .end = RESTORE_BROKEN } };
    ret->m.started_s = sys_realtime_s();
    d.started_ms = sys_monotonic_ms();
    int rc = take_settings(&d, e);
    const char *to = rc == 0 ? either(q->to, drill_folder(&d.pol->drill, d.on)) : NULL;
    if (rc == 0)
        rc = check_folder(&d, to, e);
    if (rc == 0)
        rc = drill_clean(app, q->policy, &cleaned, e);
    if (rc == 0)
        rc = run(&d, to, e);
    free(d.snapshots);
    incident_free(d.inc);
    vault_close(d.v);
    policy_free(d.pol);
    return rc < 0 ? err_wrap(e, _("drill of \"%s\""), q->policy) : 0;
}

void drill_outcome_done(struct drill_outcome *o)
{
    free(o->folder);
    *o = (struct drill_outcome){ 0 };
}

/* --- what earlier ones have left ------------------------------------------------------------------------------------------------------ */
struct cleaning {
    struct app *app;
    const char *policy;
    size_t n;
    char (*ids)[MAX_INCIDENT_ID]; /* owned */
};

static int take_id(void *ctx, const char *id, const struct incident *inc, const struct err *broken)
{
    struct cleaning *c = ctx;
    if (!inc || !inc->drill || broken || (c->policy && strcmp(c->policy, inc->policy) != 0))
        return 0;
    char(*grown)[MAX_INCIDENT_ID] = realloc(c->ids, (c->n + 1) * sizeof *grown);
    if (!grown)
        return -ERR_NOMEM;
    c->ids = grown;
    snprintf(c->ids[c->n++], MAX_INCIDENT_ID, "%s", id);
    return 0;
}

/* What was written down before anything was made. */
static const json_t *prepared(const struct incident *inc)
{
    for (size_t i = 0; i < inc->n; i++)
        if (inc->events[i].kind == EVENT_STEP &&
            strcmp(event_text(&inc->events[i], "step"), "prepare") == 0)
            return json_object_get(inc->events[i].body, "facts");
    return NULL;
}

static int clear_left(struct app *app, const struct incident *inc, struct err *e)
{
    const json_t *facts = prepared(inc);
    const char *folder = json_string_value(json_object_get(facts, "folder"));
    const char *on = json_string_value(json_object_get(facts, "on"));
    struct policy *pol = NULL;
    if (!folder || !on)
        return 0;
    bool here = strcmp(on, "local") == 0;
    int rc = here ? 0 : policy_load(&app->paths, inc->policy, &pol, e);
    struct drill_place at = { .folder = folder,
                              .id = inc->id,
                              .on = here ? NULL : on,
                              .around = json_is_true(json_object_get(facts, "made")),
                              .policy = pol };
    if (rc == 0)
        rc = drill_remove_folder(app, &at, e);
    policy_free(pol);
    return rc;
}

static int clean_one(struct app *app, const char *id, struct err *e)
{
    struct incident *inc = NULL;
    int rc = incident_open(&app->paths, id, &inc, e);
    if (rc == 0)
        rc = incident_run_lock(inc, e);
    if (rc == 0)
        rc = clear_left(app, inc, e);
    if (rc == 0)
        rc = incident_refresh(inc, e);
    bool ended = rc == 0 && incident_last(inc, EVENT_STEP, "step", "drill");
    if (rc == 0 && !ended)
        rc = incident_add(inc, EVENT_STEP,
                          json_pack("{s:s, s:s, s:i, s:s, s:s, s:{s:[s]}}", "step", "drill",
                                    "state", "failed", "attempt", 1, "text",
                                    _("it was interrupted"), "duty", "PY-8.3", "facts", "reasons",
                                    drill_reason_name(DRILL_STOPPED)),
                          e);
    if (rc == 0)
        rc = incident_add(inc, EVENT_CLOSED,
                          json_pack("{s:s, s:s}", "text", _("cleared up"), "through", "drill"), e);
    incident_free(inc);
    return rc < 0 ? err_wrap(e, "%s", id) : 0;
}

int drill_clean(struct app *app, const char *policy, size_t *ret_n, struct err *e)
{
    struct cleaning c = { .app = app, .policy = policy };
    int rc = incidents_each(&app->paths, true, take_id, &c, e);
    *ret_n = 0;
    for (size_t i = 0; rc == 0 && i < c.n; i++) {
        rc = clean_one(app, c.ids[i], e);
        *ret_n += rc == 0;
    }
    free(c.ids);
    return rc;
}
