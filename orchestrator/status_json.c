/* status_json.c - `twofold --json status`: see status_view.h for what comes in which order. */
#include "orchestrator/look.h"
#include "orchestrator/status_view.h"
#include "orchestrator/watch/log_words.h"
#include "orchestrator/watch/message.h"

#include <stdlib.h>
#include <string.h>

static json_t *text(const char *s)
{
    return s ? ui_json_text(s, strlen(s)) : json_null();
}

static json_t *time_or_null(int64_t s)
{
    return s ? json_integer((json_int_t)s) : json_null();
}

static json_t *snapshot_json(const struct facts *f, const struct id *id, int64_t received_s)
{
    char hex[ID_HEX_BYTES], when[32];
    if (!received_s)
        return json_null();
    return json_pack("{s:s, s:s, s:I}", "id", id_hex(id, hex), "received",
                     ui_time(received_s * 1000000000, when), "age_s",
                     (json_int_t)(f->now_s - received_s));
}

static json_t *run_json(const struct run_fact *r)
{
    if (!r->started_s)
        return json_null();
    json_t *o = json_pack("{s:I, s:o, s:i, s:i, s:i, s:I, s:I}", "started_s",
                          (json_int_t)r->started_s, "ended_s", time_or_null(r->ended_s),
                          "exit_status", r->exit_status, "copies_reached", (int)r->reached,
                          "copies_wanted", (int)r->wanted, "problems", (json_int_t)r->problems,
                          "bytes_stored", (json_int_t)r->bytes_stored);
    json_object_set_new(o, "error_code", text(r->code));
    json_object_set_new(o, "error", text(r->error));
    return o;
}

static json_t *copy_json(const struct status_view *v, const struct copy_fact *c)
{
    const struct vault_fact *vault = &v->f->vaults[c->vault];
    json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:s, s:b, s:I, s:I, s:i, s:b, s:b}", "type",
                          "status", "vault", vault->name, "copy", c->place, "url", text(c->url),
                          "copy_state", c->state[0] ? c->state : "unknown", "copy_bad",
                          copy_attention(v->f, c), "generation", (json_int_t)c->generation,
                          "behind", (json_int_t)c->behind, "bad_heads", (int)c->bad_heads,
                          "rolled_back", c->rolled_back, "fork", vault->n_tips > 1);
    json_object_set_new(o, "free_bytes",
                        c->has_space ? json_integer((json_int_t)c->free_bytes) : json_null());
    json_object_set_new(o, "total_bytes",
                        c->has_space ? json_integer((json_int_t)c->total_bytes) : json_null());
    json_object_set_new(o, "damaged_objects", json_integer((json_int_t)c->damaged_objects));
    json_object_set_new(o, "why", text(c->why));
    json_object_set_new(o, "next", text(c->next));
    json_object_set_new(o, "live", json_boolean(c->looked));
    json_object_set_new(o, "rotating", json_boolean(c->rotating));
    json_object_set_new(o, "seen_s", time_or_null(c->seen_s));
    json_object_set_new(o, "current_s", time_or_null(c->current_s));
    json_object_set_new(o, "lag_s", json_integer((json_int_t)copy_lag_s(v->f, c)));
    json_object_set_new(o, "medium", text(c->medium));
    return o;
}

static json_t *lag_or_null(int64_t s)
{
    return s >= 0 ? json_integer((json_int_t)s) : json_null();
}

/* null: no log is to be kept. */
static json_t *log_json(const struct facts *f, const struct policy_fact *p)
{
    const struct logs_state *s = p->log;
    struct log_sum sum;
    if (!p->logs)
        return json_null();
    log_sum(s, f->now_s, log_limit_s(p), &sum);
    json_t *copies = json_array();
    for (size_t i = 0; s && i < s->n_copies; i++)
        json_array_append_new(copies,
                              json_pack("{s:s, s:o, s:o}", "copy", s->copies[i].place, "lag_s",
                                        lag_or_null(log_copy_lag_s(s, &s->copies[i], f->now_s)),
                                        "why", text(s->copies[i].why)));
    return json_pack("{s:b, s:b, s:o, s:o, s:I, s:o, s:o, s:o}", "followed", sum.followed, "well",
                     !sum.bad, "lag_s", lag_or_null(sum.lag_s), "complete_s",
                     time_or_null(s ? s->complete_s : 0), "ahead_bytes", (json_int_t)sum.ahead,
                     "began_s", time_or_null(s ? s->epoch_s : 0), "why", text(s ? s->why : NULL),
                     "copies", copies);
}

static json_t *drill_json(const struct facts *f, const struct policy_fact *p)
{
    struct drill_past d = policy_drills(f, p->name);
    if (!d.last_s)
        return json_null();
    return json_pack("{s:I, s:b, s:s, s:o, s:I, s:I}", "at_s", (json_int_t)d.last_s, "passed",
                     !d.failed, "why", d.why, "passed_s", time_or_null(d.passed_s), "rto_ms",
                     (json_int_t)d.rto_ms, "rpo_s", (json_int_t)d.rpo_s);
}

static void set_policy(const struct status_view *v, json_t *o, const struct policy_fact *p)
{
    struct policy_sum s;
    policy_sum(v->f, v->fs, p, &s);
    json_object_set_new(o, "policy", json_string(p->name));
    json_object_set_new(o, "state",
                        json_string(!p->whole_s ? "never"
                                    : s.overdue ? "overdue"
                                                : "good"));
    json_object_set_new(o, "overdue", json_boolean(s.overdue));
    json_object_set_new(o, "attention", json_boolean(s.attention));
    json_object_set_new(o, "places", json_integer((json_int_t)s.places));
    json_object_set_new(o, "rpo_s", json_integer((json_int_t)p->rpo_s));
    json_object_set_new(o, "last_whole", snapshot_json(v->f, &p->whole, p->whole_s));
    json_object_set_new(o, "last_partial", snapshot_json(v->f, &p->partial, p->partial_s));
    json_object_set_new(o, "last_run", run_json(&p->last));
    json_object_set_new(o, "schedule", text(p->schedule));
    json_object_set_new(o, "next_run_s", time_or_null(p->next_s));
    json_object_set_new(o, "held", json_boolean(p->held));
    json_object_set_new(o, "log", log_json(v->f, p));
    json_object_set_new(o, "last_drill", drill_json(v->f, p));
    json_object_set_new(o, "timer",
                        v->f->by_systemd && p->schedule ? json_boolean(!p->no_timer) : json_null());
}

static void copies_json(const struct status_view *v, const struct copy_fact *c)
{
    const struct facts *f = v->f;
    bool any = false;
    for (size_t i = 0; i < f->n_policies; i++) {
        const struct policy_fact *p = &f->policies[i];
        if (!p->selected || strcmp(p->vault, f->vaults[c->vault].name) != 0)
            continue;
        json_t *o = copy_json(v, c);
        set_policy(v, o, p);
        ui_json(&v->app->ui, o);
        any = true;
    }
    if (!any)
        ui_json(&v->app->ui, copy_json(v, c));
}

static void finding_json(const struct status_view *v, const struct finding *g)
{
    ui_json(&v->app->ui, json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "type", "finding", "key",
                                   g->key, "level", level_name(g->level), "duty", g->duty, "text",
                                   text(g->text), "next", text(g->next)));
}

static void alarm_json(const struct status_view *v, const struct open_alarm *a)
{
    ui_json(&v->app->ui,
            json_pack("{s:s, s:I, s:o, s:s, s:o, s:I, s:o, s:o, s:o}", "type", "alarm", "id",
                      (json_int_t)a->id, "key", text(a->key), "level", level_name(a->level), "text",
                      text(a->text), "raised_s", (json_int_t)a->raised_s, "told_s",
                      time_or_null(a->told_s), "acked_s", time_or_null(a->acked_s), "acked_by",
                      text(a->acked_by)));
}

static void incident_json(const struct status_view *v, const struct incident_fact *n)
{
    size_t due = 0, overdue = 0;
    for (size_t k = 0; k < n->duties.n; k++) {
        due += n->duties.all[k].state == DUTY_DUE;
        overdue += n->duties.all[k].state == DUTY_OVERDUE;
    }
    ui_json(&v->app->ui,
            json_pack("{s:s, s:s, s:o, s:s, s:b, s:I, s:I, s:o, s:o, s:I, s:I, s:s}", "type",
                      "incident", "id", n->id, "policy", text(n->policy), "cause",
                      crash_cause_name(n->cause), "drill", n->drill, "level", (json_int_t)n->level,
                      "opened_s", (json_int_t)n->opened_s, "recovered_s",
                      time_or_null(n->recovered_s), "escalated_s", time_or_null(n->escalated_s),
                      "duties_due", (json_int_t)due, "duties_overdue", (json_int_t)overdue,
                      "standby", failback_phase_name(n->standby)));
}

static void summary_json(const struct status_view *v)
{
    const struct facts *f = v->f;
    char *verdict = site_verdict(&v->sum);
    bool alive = f->heartbeat_s && f->now_s - f->heartbeat_s <= heartbeat_limit_s(f->settings);
    json_t *o = json_pack("{s:s, s:b, s:I, s:I, s:I, s:b, s:I, s:I}", "type", "summary", "well",
                          v->sum.attention == 0 && v->sum.others == 0, "policies",
                          (json_int_t)v->sum.policies, "attention", (json_int_t)v->sum.attention,
                          "others", (json_int_t)v->sum.others, "scheduler_alive", alive,
                          "jobs_running", (json_int_t)f->jobs_running, "jobs_queued",
                          (json_int_t)f->jobs_queued);
    json_object_set_new(o, "heartbeat_s", time_or_null(f->heartbeat_s));
    json_object_set_new(o, "text", text(verdict));
    ui_json(&v->app->ui, o);
    free(verdict);
}

void status_json(const struct status_view *v)
{
    const struct facts *f = v->f;
    for (size_t i = 0; i < f->n_copies; i++)
        if (status_shows_vault(v, &f->vaults[f->copies[i].vault]))
            copies_json(v, &f->copies[i]);
    for (size_t i = 0; i < f->n_incidents; i++)
        if (!f->incidents[i].closed_s && !f->incidents[i].unread && !f->incidents[i].settled)
            incident_json(v, &f->incidents[i]);
    for (size_t i = 0; i < v->fs->n; i++)
        finding_json(v, &v->fs->all[i]);
    for (size_t i = 0; i < f->n_alarms; i++)
        alarm_json(v, &f->alarms[i]);
    summary_json(v);
}
