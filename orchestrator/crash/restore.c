/* restore.c - one attempt to restore, as the procedure chose it, and what came of it. See crash.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/host.h"
#include "orchestrator/logs/keep.h"
#include "orchestrator/logs/serve.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEPT_CHECKS 40
#define NS_PER_S 1000000000
#define DUMPS_FOLDER "/var/lib/twofold-dumps" /* on another host, whose agent must allow it */

/* --- what is asked for ------------------------------------------------------------------------------------------ */
struct request {
    struct restore_request q;
    char *dumps; /* owned; the folder that dumps of programs go to, to be loaded from there */
    char hex[ID_HEX_BYTES];
    char at[32];
    char *salvage[MAX_SOURCES]; /* owned */
    bool left_log_out;
};

static bool log_is_kept(const struct crash *c)
{
    unsigned interval_ms;
    if (logs_of_policy(c->policy, &interval_ms))
        return true;
    return logs_are_kept(c->app, c->vault, c->inc->policy, "postgresql") ||
           logs_are_kept(c->app, c->vault, c->inc->policy, "mariadb");
}

/* After an attack to the moment before its first sign, else to the end of what is kept. */
static void say_how_far(const struct crash *c, struct request *r, bool newest)
{
    bool logs = !c->facts.files_only && log_is_kept(c);
    int64_t sign = incident_sign_s(c->inc);
    if (!newest || sign > 0 || !logs)
        r->q.snapshot = r->hex;
    if (logs && sign > 0) {
        snprintf(r->at, sizeof r->at, "@%lld", (long long)sign - 1);
        r->q.at = r->at;
    } else if (logs && !newest) {
        r->q.with_logs = true;
    }
}

static void take_salvage(const struct crash *c, struct request *r)
{
    size_t i;
    json_t *place;
    if (c->inc->cause == CAUSE_ATTACK) /* what an attacker wrote is not replayed */
        return;
    json_array_foreach(crash_scene_places(c->inc), i, place)
    {
        const char *kind = json_string_value(json_object_get(place, "kind"));
        const char *scene = json_string_value(json_object_get(place, "scene"));
        if (!kind || !scene || !*scene || r->q.db.n_salvage >= MAX_SOURCES)
            continue;
        size_t k = r->q.db.n_salvage;
        r->salvage[k] = text_print("%s=%s", kind, scene);
        r->q.db.salvage[k] = r->salvage[k];
        r->q.db.n_salvage++;
    }
}

static bool is_newest_whole(const struct crash *c, const struct id *id)
{
    for (size_t i = 0; i < c->facts.n_snapshots; i++)
        if (c->snapshots[i].whole)
            return id_eq(&c->snapshots[i].id, id);
    return false;
}

/* Dumps have no place of their own: they go to a folder, and their programs load them. */
static void take_dumps(struct crash *c, struct request *r)
{
    const struct source_spec *spec = NULL;
    char *folder = NULL;
    for (size_t i = 0; i < c->policy->n_sources; i++)
        if (strcmp(c->policy->sources[i].kind, "command") == 0)
            spec = &c->policy->sources[i];
    if (!spec || c->policy->n_sources > 1 || c->o.to)
        return;
    if (r->q.on)
        r->dumps = text_print("%s/%s", DUMPS_FOLDER, c->inc->id);
    else if (incident_folder(c->inc, &folder, NULL) == 0)
        r->dumps = text_print("%s/dumps", folder);
    free(folder);
    r->q.to = r->dumps;
    r->q.overwrite = true;
    r->q.db.in_place = r->q.clear = false;
    for (size_t i = 0; i < spec->n && r->q.db.n_loads < MAX_LOADS; i++)
        if (strcmp(spec->v[i].key, "drivers") == 0)
            r->q.db.loads[r->q.db.n_loads++] = spec->v[i].value;
}

static void make_request(struct crash *c, const struct crash_next *n, struct request *r)
{
    const struct crash_command *scan = &c->facts.conf->command[CRASH_SCAN];
    memset(r, 0, sizeof *r);
    id_hex(&n->id, r->hex);
    r->q.choice = c->o.choice;
    r->q.vault = c->vault;
    r->q.conf = c->bare ? NULL : c->policy;
    r->q.policy = c->inc->policy;
    r->q.from = n->from[0] ? n->from : c->o.from;
    r->q.on = strcmp(c->policy->agent, "local") == 0 || c->o.to ? NULL : c->policy->agent;
    r->q.strict = true;
    r->q.to = c->o.to;
    if (scan->n > 0) {
        r->q.scan = scan->words;
        r->q.n_scan = scan->n;
        r->q.scan_limit_s = (unsigned)crash_limit_s(c->facts.conf, LIMIT_SCAN, 0);
    }
    say_how_far(c, r, is_newest_whole(c, &n->id));
    r->q.db.in_place = !c->o.to;
    r->q.clear = !c->o.to;
    if (c->facts.server)
        r->q.db.verify = "";
    if (!c->facts.files_only)
        take_salvage(c, r);
    /* Of files only what differs is put back, and told (XJ-5.1); what an attacker left beside them goes out of the way. */
    r->q.changed_only = c->facts.files_only && !c->o.to;
    r->q.set_aside = r->q.changed_only && c->inc->cause == CAUSE_ATTACK;
    take_dumps(c, r);
    if (c->o.to && n->attempt > 1)
        r->q.overwrite = true; /* a folder that a failed attempt has filled */
}

static void request_done(struct request *r)
{
    for (size_t i = 0; i < MAX_SOURCES; i++)
        free(r->salvage[i]);
    free(r->dumps);
}

/* --- what came of it ------------------------------------------------------------------------------------------------ */
static json_t *copies_of(const struct restore_outcome *o)
{
    json_t *all = json_array();
    for (size_t i = 0; i < o->n_copies; i++)
        json_array_append_new(all, json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "place",
                                             o->copies[i].place, "used", o->copies[i].used,
                                             "chunks", (json_int_t)o->copies[i].chunks, "bytes",
                                             (json_int_t)o->copies[i].bytes, "bad",
                                             (json_int_t)o->copies[i].chunks_bad, "late",
                                             (json_int_t)o->copies[i].late));
    return all;
}

static json_t *checks_of(const struct restore_outcome *o)
{
    json_t *all = json_array(), *check;
    size_t i;
    json_array_foreach(json_object_get(o->facts, "check"), i,
                       check) if (json_array_size(all) < MAX_KEPT_CHECKS ||
                                  json_is_false(json_object_get(check, "ok")))
        json_array_append(all, check);
    return all;
}

static json_t *last_fact(const struct restore_outcome *o, const char *key)
{
    json_t *list = json_object_get(o->facts, key);
    size_t n = json_array_size(list);
    return n > 0 ? json_array_get(list, n - 1) : NULL;
}

static void keep_facts(const struct crash *c, const struct crash_next *n,
                       const struct restore_outcome *o, enum restore_end end,
                       struct step_result *ret)
{
    char hex[ID_HEX_BYTES];
    int64_t received = n->snapshot ? n->snapshot->received_s : o->received_ns / NS_PER_S;
    ret->facts = json_pack(
        "{s:s, s:s, s:I, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:O?, s:O?}", "end",
        restore_end_name(end), "snapshot", id_hex(&n->id, hex), "received", (json_int_t)received,
        "from", n->from, "files_only", c->facts.files_only, "files", (json_int_t)o->done.files,
        "bytes", (json_int_t)o->done.bytes, "ms", (json_int_t)o->ms, "problems",
        (json_int_t)o->problems, "chunks_lost", (json_int_t)o->chunks_lost, "chunks_away",
        (json_int_t)o->chunks_away, "target", event_json(o->target, 0), "copies", copies_of(o),
        "checks", checks_of(o), "recovered", last_fact(o, "recovered"), "aside",
        json_object_get(o->facts, "aside"));
}

static void say_copies(struct crash *c, const struct restore_outcome *o)
{
    for (size_t i = 0; i < o->n_copies; i++) {
        const struct restore_copy *k = &o->copies[i];
        char size[32];
        if (!k->used)
            crash_line(c, 10, _("copy \"%s\": not used"), k->place);
        else if (k->chunks_bad)
            crash_line(c, 10, _("copy \"%s\": %s, and %" PRIu64 " pieces DAMAGED or missing"),
                       k->place, ui_bytes(k->bytes, size), k->chunks_bad);
        else
            crash_line(c, 10, _("copy \"%s\": %s"), k->place, ui_bytes(k->bytes, size));
    }
}

/* What survived of the log on the host is to bring more back, and never less: where a restore fails for anything but its copies, it is done
 * once more without. */
static bool log_may_be_why(const struct request *r, const struct restore_outcome *o,
                           enum restore_end end)
{
    bool failed = end == RESTORE_CHECK_FAILED || end == RESTORE_DAMAGED || end == RESTORE_BROKEN;
    return r->q.db.n_salvage > 0 && failed && o->chunks_lost == 0 && o->chunks_away == 0 &&
           !sys_interrupted();
}

static int run(struct crash *c, struct request *r, struct restore_outcome *o,
               enum restore_end *ret_end, struct err *e)
{
    int rc = restore_run(c->app, &r->q, o, e);
    *ret_end = restore_end_of(rc, o);
    if (log_may_be_why(r, o, *ret_end)) {
        ui_progress_end(&c->app->ui);
        crash_line(c, 10, _("it failed with what survived of the log (%s); once more without"),
                   rc < 0 ? e->why : o->verdict.why);
        restore_outcome_done(o);
        err_clear(e);
        r->q.db.n_salvage = 0;
        r->left_log_out = true;
        rc = restore_run(c->app, &r->q, o, e);
        *ret_end = restore_end_of(rc, o);
    }
    ui_progress_end(&c->app->ui);
    return rc;
}

void crash_do_restore(struct crash *c, const struct crash_next *n, struct step_result *ret)
{
    struct request r;
    struct restore_outcome o = { 0 };
    struct err e = ERR_INIT;
    enum restore_end end;
    char size[32];
    make_request(c, n, &r);
    int rc = run(c, &r, &o, &end, &e);
    keep_facts(c, n, &o, end, ret);
    if (r.left_log_out)
        json_object_set_new(ret->facts, "surviving_log_left_out", json_true());
    say_copies(c, &o);
    if (rc < 0)
        step_failed(ret, &e);
    else if (end != RESTORE_WHOLE && end != RESTORE_PROBLEMS)
        step_failed(ret, &o.verdict);
    else
        snprintf(ret->text, sizeof ret->text, _("%" PRIu64 " files, %s"), (uint64_t)o.done.files,
                 ui_bytes(o.done.bytes, size));
    if (end == RESTORE_PROBLEMS)
        snprintf(ret->next, sizeof ret->next, "%s", o.verdict.why);
    if (ret->failed && end != RESTORE_STOPPED && !sys_interrupted())
        ret->cut = false;
    if (end == RESTORE_IN_PART || end == RESTORE_DAMAGED)
        crash_know_usable(c);
    int64_t received_s = n->snapshot ? n->snapshot->received_s : o.received_ns / NS_PER_S;
    if (!ret->failed && crash_write_loss(c, o.facts, received_s, &e) < 0)
        step_failed(ret, &e);
    restore_outcome_done(&o);
    request_done(&r);
}
