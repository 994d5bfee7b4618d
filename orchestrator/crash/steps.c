/* steps.c - what the steps do, but the restore: commands of the policy on their hosts, the scene, the host's facts, the check. See crash.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/crash/notice.h"
#include "orchestrator/crash/standby.h"
#include "orchestrator/host.h"
#include "orchestrator/probe.h"
#include "orchestrator/text.h"
#include "lib/wire/hooks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OUTPUT_KEPT 2000

void step_failed(struct step_result *r, const struct err *e)
{
    r->failed = true;
    char *text = text_print("%s%s%s", e->what, e->what[0] ? ": " : "", e->why);
    snprintf(r->text, sizeof r->text, "%s", text);
    free(text);
    const char *next = e->next[0]                ? e->next
                       : err_info(e->code)->next ? _(err_info(e->code)->next)
                                                 : "";
    snprintf(r->next, sizeof r->next, "%s", next);
    r->cut = e->code == ERR_INTERRUPTED || sys_interrupted();
}

/* --- notices ------------------------------------------------------------------------------------------------------ */
static void take_notice(struct crash *c, enum notice_kind kind, struct step_result *ret)
{
    struct err e = ERR_INIT;
    struct notice_result r = { 0 };
    int rc = notice_send(c->app, c->inc, kind, &r, &e);
    if (rc == 0 && kind == NOTICE_HOLD)
        rc = crash_report_to(c, &e);
    if (rc < 0) {
        step_failed(ret, &e);
        return;
    }
    ret->facts = json_pack("{s:I, s:I, s:I}", "units", (json_int_t)r.units, "told",
                           (json_int_t)r.told, "no_way", (json_int_t)r.no_way);
    if (kind == NOTICE_HOLD)
        crash_say_officer(c);
    crash_say_calls(c);
    if (r.units == 0)
        snprintf(ret->text, sizeof ret->text, "%s", _("there are no subordinate units to tell"));
    else
        snprintf(ret->text, sizeof ret->text,
                 kind == NOTICE_HOLD
                     ? _("the notice is being sent to %zu units; %zu more must be called")
                     : _("the all-clear is being sent to %zu units; %zu more must be called"),
                 r.units - r.no_way, r.no_way);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */
static void take_output(struct step_result *ret, const struct host_result *r)
{
    size_t n = r->output ? strlen(r->output) : 0;
    const char *end = n > MAX_OUTPUT_KEPT ? r->output + n - MAX_OUTPUT_KEPT : r->output;
    json_object_set_new(ret->facts, "output", event_json(end, MAX_OUTPUT_KEPT * 4));
    /* What it said last is what people want to see. */
    while (n > 0 && (r->output[n - 1] == '\n' || r->output[n - 1] == ' '))
        n--;
    size_t from = n;
    while (from > 0 && r->output[from - 1] != '\n')
        from--;
    char *last = n > from ? text_clean(r->output + from, n - from, false) : NULL;
    if (r->timed_out)
        snprintf(ret->text, sizeof ret->text, _("it took longer than its limit, and was ended"));
    else if (r->status != 0)
        snprintf(ret->text, sizeof ret->text, _("it ended with status %d%s%.400s"), r->status,
                 last ? ": " : "", last ? last : "");
    else
        snprintf(ret->text, sizeof ret->text, "%.400s", last ? last : "");
    free(last);
}

static void run_command(struct crash *c, const struct crash_next *n, struct step_result *ret)
{
    const struct crash_command *cmd = crash_step_command(c->facts.conf, n->step);
    struct host_job j = { .policy = c->policy, .incident = c->inc->id };
    struct host_result r = { 0 };
    struct err e = ERR_INIT;
    char *line = hook_line(cmd->words, cmd->n);
    ret->facts = json_pack("{s:o, s:s}", "command", event_json(line, 0), "host", c->policy->agent);
    free(line);
    unsigned limit_s = n->limit_s < MAX_COMMAND_LIMIT_S ? (unsigned)n->limit_s
                                                        : MAX_COMMAND_LIMIT_S;
    if (host_run(c->app, &j, cmd->words, cmd->n, limit_s, &r, &e) < 0) {
        step_failed(ret, &e);
    } else {
        ret->failed = r.status != 0 || r.timed_out;
        json_object_set_new(ret->facts, "status", json_integer(r.status));
        json_object_set_new(ret->facts, "timed_out", json_boolean(r.timed_out));
        take_output(ret, &r);
        if (ret->failed)
            snprintf(ret->next, sizeof ret->next, "%s",
                     _("look on the host itself; then answer the question below"));
    }
    host_result_done(&r);
}

/* --- the scene ------------------------------------------------------------------------------------------------------- */
/* Is there a server of which neither a backup nor the policy says where its data lie? Once a copy can be read the scene is taken again. */
static bool is_unknown(const struct crash *c, const json_t *places)
{
    bool none = c->policy->n_sources == 0 && json_array_size(places) == 0;
    for (size_t i = 0; i < c->policy->n_sources && !none; i++) {
        const char *kind = c->policy->sources[i].kind;
        const json_t *place;
        bool found = strcmp(kind, "postgresql") != 0 && strcmp(kind, "mariadb") != 0;
        for (size_t k = 0; !found && (place = json_array_get(places, k)) != NULL; k++) {
            const char *its = json_string_value(json_object_get(place, "kind"));
            found = its && strcmp(its, kind) == 0;
        }
        none = !found;
    }
    return !c->backup && c->facts.server && none;
}

static void take_scene(struct crash *c, struct step_result *ret)
{
    struct host_job j = crash_host_job(c);
    struct err e = ERR_INIT;
    json_t *scene = NULL;
    size_t i, n = 0;
    json_t *place;
    if (host_scene(c->app, &j, c->inc->id, &scene, &e) < 0) {
        step_failed(ret, &e);
        return;
    }
    bool unknown = is_unknown(c, json_object_get(scene, "places"));
    json_array_foreach(json_object_get(scene, "places"), i, place)
    {
        const char *to = json_string_value(json_object_get(place, "scene"));
        size_t at = strlen(ret->text);
        if (!to || !*to)
            continue;
        snprintf(ret->text + at, sizeof ret->text - at, "%s%s", n++ ? ", " : _("it lies in "), to);
    }
    if (n == 0)
        snprintf(ret->text, sizeof ret->text, "%s",
                 unknown ? _("where it lies is not known: the restore sets aside what it replaces")
                         : _("nothing lies there"));
    if (unknown)
        json_object_set_new(scene, "unknown", json_true());
    ret->facts = scene;
}

/* --- the host's facts ---------------------------------------------------------------------------------------------------- */
static void take_facts(struct crash *c, struct step_result *ret)
{
    struct host_job j = crash_host_job(c);
    struct err e = ERR_INIT;
    json_t *facts = NULL;
    size_t i, bad = 0, doubtful = 0;
    json_t *fact;
    if (host_facts(c->app, &j, &facts, &e) < 0) {
        step_failed(ret, &e);
        return;
    }
    json_array_foreach(json_object_get(facts, "facts"), i, fact)
    {
        const char *verdict = json_string_value(json_object_get(fact, "verdict"));
        bad += verdict && strcmp(verdict, "bad") == 0;
        doubtful += verdict && strcmp(verdict, "doubtful") == 0;
    }
    snprintf(ret->text, sizeof ret->text, _("facts: %zu; bad: %zu, doubtful: %zu"),
             json_array_size(json_object_get(facts, "facts")), bad, doubtful);
    ret->facts = facts;
}

/* --- the check of the live database --------------------------------------------------------------------------------------- */
static void take_check(struct crash *c, struct step_result *ret)
{
    struct vault_conf *conf = NULL;
    struct err e = ERR_INIT;
    uint64_t wrong = 0;
    if (c->policy->n_sources == 0 || c->bare) {
        snprintf(ret->text, sizeof ret->text, "%s",
                 c->bare ? _("the policy's questions are not known here: look yourself")
                         : _("the policy has no database to ask"));
        ret->facts = json_pack("{s:b}", "asked", 0);
        return;
    }
    int rc = vault_conf_load(&c->app->paths, c->policy->vault[0] ? c->policy->vault : NULL, &conf,
                             &e);
    if (rc == 0)
        rc = probe_sources(c->app, c->policy, conf, &wrong, &e);
    vault_conf_free(conf);
    ret->facts = json_pack("{s:I}", "wrong", (json_int_t)wrong);
    if (rc < 0) {
        step_failed(ret, &e);
    } else if (wrong > 0) {
        ret->failed = true;
        snprintf(ret->text, sizeof ret->text, _("%" PRIu64 " things are not as the policy expects"),
                 wrong);
    } else {
        snprintf(ret->text, sizeof ret->text, "%s", _("all is as the policy expects"));
    }
}

/* --- the standby ------------------------------------------------------------------------------------------------------------ */
static void take_standby(struct crash *c, enum crash_step step, struct step_result *ret)
{
    struct standby s = { .app = c->app, .inc = c->inc, .policy = c->policy };
    struct err e = ERR_INIT;
    if (standby_take(&s, step, ret->text, &ret->facts, &e) < 0)
        step_failed(ret, &e);
}

void crash_do(struct crash *c, const struct crash_next *n, struct step_result *ret)
{
    switch (n->step) {
    case STEP_NOTIFY:
        take_notice(c, NOTICE_HOLD, ret);
        break;
    case STEP_RESUME:
        take_notice(c, NOTICE_RESUME, ret);
        break;
    case STEP_SCENE:
        take_scene(c, ret);
        break;
    case STEP_FACTS:
        take_facts(c, ret);
        break;
    case STEP_RESTORE:
        crash_do_restore(c, n, ret);
        break;
    case STEP_CHECK:
        take_check(c, ret);
        break;
    default:
        if (standby_has(n->step))
            take_standby(c, n->step, ret);
        else
            run_command(c, n, ret);
    }
    if (ret->failed && sys_interrupted())
        ret->cut = true;
}
