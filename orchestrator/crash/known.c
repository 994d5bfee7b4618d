/* known.c - what the procedure is told: the policy as far as it is known, backups, copies, measured rates, the host's facts. See crash.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/catalog/catalog.h"
#include "orchestrator/crash/clock.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/host.h"
#include "orchestrator/look.h"
#include "orchestrator/program.h"
#include "orchestrator/text.h"
#include "orchestrator/usable.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000
#define MAX_LOOKED_AT_RUNS 200
#define MAX_LOOKED_AT_INCIDENTS 40
#define MAX_CRASH_SNAPSHOTS 500
#define MAX_ASKED_BACKUPS 8 /* for where the data lay */
#define CATALOG_WAIT_MS 1500

/* --- the policy ------------------------------------------------------------------------------------------------ */
static const char *setting(const struct incident *inc, const char *key)
{
    const json_t *settings = json_object_get(inc->events[0].body, "settings");
    return json_string_value(json_object_get(settings, key));
}

/* What the machine at hand knows; without its file, what was in force when the incident was opened. */
static int load_policy(struct crash *c, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = c->o.choice.copy ? -ERR_ABSENT
                              : policy_load(&c->app->paths, c->inc->policy, &c->policy, &why);
    if (rc == 0)
        return 0;
    c->bare = true;
    if (!c->o.choice.copy)
        ui_warn(&c->app->ui,
                _("the policy \"%s\" cannot be read here (%s): what was in force when the incident "
                  "was opened holds"),
                c->inc->policy, why.why);
    if (!(c->policy = policy_new(c->inc->policy)))
        return err_set(e, ERR_NOMEM, _("out of memory"));
    free(c->policy->vault);
    c->policy->vault = text_print("%s", c->inc->vault);
    return crash_conf_from_json(json_object_get(c->inc->events[0].body, "settings"),
                                &c->policy->crash, e);
}

/* With nothing but a copy the backups say what they are of. */
static const char *kind_of_newest(struct vault *v, const char *policy,
                                  char out[MAX_FORMAT_NAME + 1])
{
    char name[MAX_FORMAT_NAME + 1];
    const struct snap_ref *newest = NULL;
    struct snapshot *s = NULL;
    for (size_t i = 0; i < v->n_lists; i++)
        for (size_t k = 0;
             strcmp(source_policy(v->lists[i]->source, name), policy) == 0 && k < v->lists[i]->n;
             k++)
            if (!newest || v->lists[i]->snaps[k].received_ns > newest->received_ns)
                newest = &v->lists[i]->snaps[k];
    snprintf(out, MAX_FORMAT_NAME + 1, "set");
    if (newest && vault_snapshot(v, &newest->ref, &s, NULL) == 0)
        snprintf(out, MAX_FORMAT_NAME + 1, "%s", s->kind);
    snapshot_free(s);
    return out;
}

json_t *crash_settings(struct app *app, const struct policy *p, const struct crash_options *o)
{
    char kind[MAX_FORMAT_NAME + 1];
    json_t *s = crash_conf_json(&p->crash), *kinds = json_array();
    json_object_set_new(s, "incident", crash_deadlines_json(&app->paths, p->name));
    for (size_t i = 0; i < p->n_sources; i++)
        json_array_append_new(kinds, json_string(p->sources[i].kind));
    if (p->n_paths > 0)
        json_array_append_new(kinds, json_string("files"));
    if (o->vault && p->n_sources + p->n_paths == 0)
        json_array_append_new(kinds, json_string(kind_of_newest(o->vault, p->name, kind)));
    json_object_set_new(s, "kinds", kinds);
    if (o->to)
        json_object_set_new(s, "to", event_json(o->to, 0));
    if (o->choice.copy)
        json_object_set_new(s, "copy", event_json(o->choice.copy, 0));
    if (o->choice.recovery_file)
        json_object_set_new(s, "recovery_file", event_json(o->choice.recovery_file, 0));
    return s;
}

static bool has_kind(const struct crash *c, const char *kind)
{
    const json_t *kinds = json_object_get(json_object_get(c->inc->events[0].body, "settings"),
                                          "kinds");
    for (size_t i = 0; i < c->policy->n_sources; i++)
        if (strcmp(c->policy->sources[i].kind, kind) == 0)
            return true;
    for (size_t i = 0; (c->bare || c->o.choice.copy) && i < json_array_size(kinds); i++)
        if (strcmp(json_string_value(json_array_get(kinds, i)), kind) == 0)
            return true;
    return false;
}

static void know_kinds(struct crash *c)
{
    c->facts.server = has_kind(c, "postgresql") || has_kind(c, "mariadb") || has_kind(c, "set");
    c->facts.files_only = !c->facts.server && !has_kind(c, "sqlite") && !has_kind(c, "command");
    c->facts.elsewhere = c->o.to != NULL;
}

int crash_begin(struct app *app, struct incident *inc, const struct crash_options *o,
                struct crash **ret, struct err *e)
{
    struct crash *c = calloc(1, sizeof *c);
    if (!c) {
        incident_free(inc);
        return err_set(e, ERR_NOMEM, _("out of memory"));
    }
    *c = (struct crash){ .app = app, .inc = inc, .o = *o, .running = -1 };
    audit_who(c->me);
    if (!c->o.to)
        c->o.to = setting(inc, "to");
    if (!c->o.choice.copy)
        c->o.choice.copy = setting(inc, "copy");
    if (!c->o.choice.recovery_file)
        c->o.choice.recovery_file = setting(inc, "recovery_file");
    c->o.choice.what = "crash";
    if (!c->o.choice.copy && !c->o.choice.vault && inc->vault[0])
        c->o.choice.vault = inc->vault;
    c->vault = o->vault;
    int rc = load_policy(c, e);
    if (rc < 0) {
        crash_end(c);
        return rc;
    }
    /* Without them nobody is told, which is said; the procedure goes on. */
    struct err why = ERR_INIT;
    c->contacts_broken = contacts_load(&app->paths, &c->contacts, &why) < 0;
    if (c->contacts_broken || settings_load(&app->paths, &c->settings, &why) < 0)
        ui_warn(&app->ui, "%s: %s", why.what, why.why);
    /* Whoever edits the policy meanwhile takes no second person away. */
    const char *approve = setting(inc, "approve");
    if (approve && strcmp(approve, "two") == 0)
        c->policy->crash.approve_two = true;
    c->facts.conf = &c->policy->crash;
    c->facts.rto_s = c->policy->rto_s;
    c->facts.me = c->me;
    c->facts.no_standby = json_is_true(
        json_object_get(json_object_get(inc->events[0].body, "settings"), "no_standby"));
    know_kinds(c);
    crash_know_host(c);
    *ret = c;
    return 0;
}

void crash_end(struct crash *c)
{
    if (!c)
        return;
    vault_close(c->own_v);
    free(c->snapshots);
    free(c->noted);
    json_decref(c->host);
    json_decref(c->called);
    json_decref(c->backup);
    contacts_free(c->contacts);
    settings_free(c->settings);
    policy_free(c->policy);
    incident_free(c->inc);
    free(c);
}

/* --- the catalog -------------------------------------------------------------------------------------------------- */
/* What print_known below has printed. */
static void take_noted(struct crash *c, const struct wbuf *out)
{
    json_t *all = out->p ? json_loadb((const char *)out->p, out->len, 0, NULL) : NULL, *one;
    json_t *backups = json_object_get(all, "backups");
    size_t i;
    c->catalog_bytes_s = (uint64_t)json_integer_value(json_object_get(all, "restore_bytes_s"));
    c->noted = calloc(json_array_size(backups) + 1, sizeof *c->noted);
    json_array_foreach(backups, i, one)
    {
        struct crash_snapshot s = { .away = true };
        const char *id = json_string_value(json_object_get(one, "id"));
        if (!c->noted || !id || !id_parse(id, &s.id))
            continue;
        s.received_s = json_integer_value(json_object_get(one, "received"));
        s.bytes = (uint64_t)json_integer_value(json_object_get(one, "bytes"));
        s.whole = json_is_true(json_object_get(one, "whole"));
        c->noted[c->n_noted++] = s;
    }
    json_decref(all);
}

/* By a process of its own, because a catalog that is locked or broken must keep nobody. Once. */
static void ask_catalog(struct crash *c)
{
    char path[PATH_MAX];
    struct wbuf out = WBUF_INIT;
    int status = 0;
    if (c->asked_catalog || c->o.choice.copy)
        return;
    c->asked_catalog = true;
    if (program_find("twofold", "TWOFOLD_PROGRAM", path, NULL) < 0)
        return;
    const char *argv[] = { path,           "--config", c->app->paths.config_dir, "crash", "known",
                           c->inc->policy, NULL };
    if (program_run(argv, CATALOG_WAIT_MS, &out, &status, NULL) == 0 && status == 0)
        take_noted(c, &out);
    wbuf_free(&out);
}

/* --- backups ------------------------------------------------------------------------------------------------------ */
static int newer_first(const void *a, const void *b)
{
    const struct crash_snapshot *x = a, *y = b;
    if (x->received_s != y->received_s)
        return x->received_s < y->received_s ? 1 : -1;
    return id_cmp(&y->id, &x->id);
}

static const struct snap_ref *find_snap(const struct vault *v, const struct id *id)
{
    for (size_t i = 0; i < v->n_lists; i++)
        for (size_t k = 0; k < v->lists[i]->n; k++)
            if (id_eq(&v->lists[i]->snaps[k].ref.id, id))
                return &v->lists[i]->snaps[k];
    return NULL;
}

/* A later state than what can be read was seen here, and it may lie in a copy that is away. */
static bool shows_less(const struct vault *v)
{
    uint64_t shown = v->state ? v->state->generation : 0;
    bool away = false;
    for (size_t i = 0; i < v->n_copies; i++)
        away = away || v->copies[i].state == COPY_AWAY;
    return away && v->seen_generation > shown;
}

static bool catalog_has(const struct crash *c, const struct id *id)
{
    for (size_t i = 0; i < c->n_noted; i++)
        if (id_eq(&c->noted[i].id, id))
            return true;
    return false;
}

/* What the catalog knows of, and no copy that can be read shows. One that does not even know the newest of those that are shown was lost, or could
 * not be asked: that there may be a later backup stands for itself, with zeros for its id. */
static void add_away(struct crash *c, size_t *n)
{
    const struct crash_snapshot *newest = NULL;
    for (size_t i = 0; i < *n; i++)
        if (!newest || c->snapshots[i].received_s > newest->received_s)
            newest = &c->snapshots[i];
    bool knows = newest ? catalog_has(c, &newest->id) : c->n_noted > 0;
    for (size_t i = 0; i < c->n_noted; i++)
        if (!find_snap(c->vault, &c->noted[i].id))
            c->snapshots[(*n)++] = c->noted[i];
    if (!knows)
        c->snapshots[(*n)++] = (struct crash_snapshot){ .received_s = c->inc->opened_s,
                                                        .whole = true,
                                                        .away = true };
}

static int list_snapshots(struct crash *c, struct err *e)
{
    char name[MAX_FORMAT_NAME + 1];
    const struct vault *v = c->vault;
    bool less = shows_less(v);
    size_t n = 0;
    free(c->snapshots);
    c->snapshots = NULL;
    if (less)
        ask_catalog(c);
    for (size_t i = 0; i < v->n_lists; i++)
        n += v->lists[i]->n;
    if (!(c->snapshots = calloc(n + c->n_noted + 2, sizeof *c->snapshots)))
        return err_set(e, ERR_NOMEM, _("out of memory"));
    n = 0;
    for (size_t i = 0; i < v->n_lists; i++) {
        if (strcmp(source_policy(v->lists[i]->source, name), c->inc->policy) != 0)
            continue;
        for (size_t k = 0; k < v->lists[i]->n; k++) {
            const struct snap_ref *r = &v->lists[i]->snaps[k];
            if (r->flags & SNAPSHOT_QUARANTINE)
                continue;
            c->snapshots[n++] = (struct crash_snapshot){ .id = r->ref.id,
                                                         .received_s = r->received_ns / NS_PER_S,
                                                         .whole = r->state == SNAPSHOT_WHOLE };
        }
    }
    if (less)
        add_away(c, &n);
    if (n > 1)
        qsort(c->snapshots, n, sizeof *c->snapshots, newer_first);
    c->facts.n_snapshots = n < MAX_CRASH_SNAPSHOTS ? n : MAX_CRASH_SNAPSHOTS;
    return 0;
}

/* How much the newest one is stands in its header. */
static void know_size(struct crash *c)
{
    for (size_t i = 0; i < c->facts.n_snapshots; i++) {
        struct snapshot *s = NULL;
        const struct snap_ref *snap = find_snap(c->vault, &c->snapshots[i].id);
        if (!c->snapshots[i].whole || !snap)
            continue;
        if (vault_snapshot(c->vault, &snap->ref, &s, NULL) == 0)
            c->snapshots[i].bytes = s->bytes;
        snapshot_free(s);
        return;
    }
}

void crash_know_usable(struct crash *c)
{
    struct usable *u = NULL;
    struct usable_answer a = { .state = USABLE_LOST };
    if (!c->vault || usable_new(c->vault, -1, &u, NULL) < 0)
        return;
    for (size_t i = 0; i < c->facts.n_snapshots && a.state != USABLE_WHOLE; i++) {
        const struct snap_ref *s = find_snap(c->vault, &c->snapshots[i].id);
        if (c->snapshots[i].away)
            continue;
        if (!s || usable_ask(u, s, &a, NULL) < 0)
            break;
        c->snapshots[i].lost = a.state == USABLE_LOST;
    }
    usable_free(u);
}

int crash_know_snapshots(struct crash *c, struct err *e)
{
    struct crash_attempt tried;
    if (c->facts.snapshots_known)
        return 0;
    if (!c->vault) {
        struct vault_choice choice = c->o.choice;
        choice.hurry = true;
        int rc = app_open_vault(c->app, &choice, false, true, &c->own_v, e);
        if (rc < 0)
            return rc;
        c->vault = c->own_v;
        c->asked_places = false; /* what could not be read then may be there now */
    }
    int rc = list_snapshots(c, e);
    if (rc < 0)
        return rc;
    know_size(c);
    for (size_t i = 0; i < c->vault->n_copies; i++)
        c->places[i] = c->vault->copies[i].place;
    c->facts.places = c->places;
    c->facts.n_places = c->vault->n_copies;
    c->facts.snapshots = c->snapshots;
    c->facts.snapshots_known = true;
    if (procedure_attempts(c->inc, &tried, 1) > 0)
        crash_know_usable(c);
    return 0;
}

void crash_forget_vault(struct crash *c)
{
    if (!c->own_v)
        return;
    vault_close(c->own_v);
    c->own_v = c->vault = NULL;
    c->facts.snapshots_known = false;
}

/* Where the policy's file is not at hand, its databases are those of its newest backup. */
static int take_kinds(struct crash *c, struct err *e)
{
    static const char *const kinds[] = { "postgresql", "mariadb" };
    struct source_spec *spec;
    int rc = 0;
    for (size_t i = 0; rc == 0 && c->bare && i < sizeof kinds / sizeof *kinds; i++)
        if (json_object_get(c->backup, kinds[i]))
            rc = source_specs_add(&c->policy->sources, &c->policy->n_sources, kinds[i], &spec, e);
    return rc;
}

/* The newest backup whose own words about it can be read; *e is why the first of the others cannot. */
static int ask_backups(struct crash *c, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = 0;
    for (size_t i = 0, asked = 0; i < c->facts.n_snapshots && !c->backup; i++) {
        const struct snap_ref *snap = find_snap(c->vault, &c->snapshots[i].id);
        if (!snap || asked++ >= MAX_ASKED_BACKUPS)
            continue;
        int one = host_backup_facts(c->vault, snap, -1, &c->backup, rc == 0 ? e : &why);
        rc = rc == 0 ? one : rc;
        if (one == -ERR_INTERRUPTED)
            break;
    }
    return c->backup ? 0 : rc;
}

/* A server that is gone cannot be asked where its data were; its backups can. */
int crash_know_places(struct crash *c, struct err *e)
{
    struct err why = ERR_INIT;
    if (c->backup || c->asked_places || c->facts.files_only)
        return 0;
    int rc = crash_know_snapshots(c, &why);
    if (rc == -ERR_KEY || rc == -ERR_INTERRUPTED) {
        if (e)
            *e = why;
        return rc; /* a person can do something about it */
    }
    c->asked_places = true;
    if (rc == 0)
        rc = ask_backups(c, &why);
    if (rc == 0)
        rc = take_kinds(c, &why);
    if (rc < 0)
        ui_warn(&c->app->ui, _("where the database's files lie is not known from a backup: %s"),
                why.why);
    return 0;
}

struct host_job crash_host_job(struct crash *c)
{
    (void)crash_know_places(c, NULL);
    return (struct host_job){ .policy = c->policy, .incident = c->inc->id, .backup = c->backup };
}

/* --- rates ---------------------------------------------------------------------------------------------------------- */
struct rate {
    uint64_t restore, backup; /* bytes a second of the newest run that tells */
};

static int take_run(void *ctx, const struct run *r)
{
    struct rate *rate = ctx;
    uint64_t s = r->ended_s > r->started_s ? (uint64_t)(r->ended_s - r->started_s) : 1;
    bool well = r->ended_s > 0 && (r->exit_status == 0 || r->exit_status == 3);
    if (!rate->restore && well && strcmp(r->kind, "restore") == 0)
        rate->restore = r->bytes / s;
    if (!rate->backup && well && strcmp(r->kind, "backup") == 0)
        rate->backup = r->bytes_read / s;
    return rate->restore > 0;
}

static int64_t fact_int(const struct event *ev, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(ev->body, "facts"), key));
}

struct past {
    struct crash *c;
    unsigned n;
};

static int take_incident(void *ctx, const char *id, const struct incident *inc,
                         const struct err *broken)
{
    struct past *past = ctx;
    struct crash_facts *f = &past->c->facts;
    (void)broken;
    if (!inc || strcmp(inc->policy, past->c->inc->policy) != 0 || strcmp(id, past->c->inc->id) == 0)
        return 0;
    for (size_t i = inc->n; i-- > 0;) {
        const struct event *ev = &inc->events[i];
        enum crash_step s;
        if (ev->kind != EVENT_STEP || strcmp(event_text(ev, "state"), "done") != 0 ||
            !crash_step_parse(event_text(ev, "step"), &s))
            continue;
        uint64_t ms = (uint64_t)event_int(ev, "ms");
        if (f->seconds[s] == 0 && ms > 0)
            f->seconds[s] = (ms + 999) / 1000;
        if (s == STEP_RESTORE && f->restore_bytes_s == 0 && fact_int(ev, "ms") > 0)
            f->restore_bytes_s = (uint64_t)fact_int(ev, "bytes") * 1000 /
                                 (uint64_t)fact_int(ev, "ms");
    }
    return ++past->n >= MAX_LOOKED_AT_INCIDENTS ? 1 : 0;
}

void crash_know_rates(struct crash *c)
{
    struct past past = { .c = c };
    incidents_each(&c->app->paths, false, take_incident, &past, NULL);
    if (c->facts.restore_bytes_s > 0)
        return;
    ask_catalog(c);
    c->facts.restore_bytes_s = c->catalog_bytes_s;
}

static int list_noted(void *ctx, const struct snapshot_row *s)
{
    char hex[ID_HEX_BYTES];
    if (!(s->flags & SNAPSHOT_QUARANTINE))
        json_array_append_new(ctx,
                              json_pack("{s:s, s:I, s:I, s:b}", "id", id_hex(&s->id, hex),
                                        "received", (json_int_t)s->received_s, "bytes",
                                        (json_int_t)s->bytes, "whole", s->state == SNAPSHOT_WHOLE));
    return 0;
}

int crash_print_known(struct app *app, const char *policy)
{
    struct rate rate = { 0 };
    struct catalog *cat = NULL;
    json_t *backups = json_array();
    if (catalog_open(&app->paths, CATALOG_READ, &cat, NULL) == 0) {
        catalog_runs(cat, policy, MAX_LOOKED_AT_RUNS, take_run, &rate, NULL);
        catalog_snapshots(cat, NULL, policy, MAX_CRASH_SNAPSHOTS, list_noted, backups, NULL);
    }
    catalog_close(cat);
    json_t *all = json_pack("{s:I, s:o}", "restore_bytes_s",
                            (json_int_t)(rate.restore ? rate.restore : rate.backup), "backups",
                            backups);
    int rc = json_dumpf(all, stdout, JSON_COMPACT);
    json_decref(all);
    return rc < 0 ? 1 : 0;
}

/* --- the host -------------------------------------------------------------------------------------------------------- */
void crash_know_host(struct crash *c)
{
    const struct event *ev = incident_last(c->inc, EVENT_STEP, "step", "facts");
    size_t i;
    json_t *fact;
    for (size_t k = c->inc->n; k-- > 0 && ev;) /* the newest that has an outcome */
        if (c->inc->events[k].kind == EVENT_STEP &&
            strcmp(event_text(&c->inc->events[k], "step"), "facts") == 0 &&
            strcmp(event_text(&c->inc->events[k], "state"), "intent") != 0) {
            ev = &c->inc->events[k];
            break;
        }
    json_decref(c->host);
    c->host = NULL;
    json_t *facts = ev ? json_object_get(ev->body, "facts") : NULL;
    if (json_is_array(json_object_get(facts, "facts")))
        c->host = json_incref(facts);
    json_array_foreach(json_object_get(c->host, "facts"), i, fact)
    {
        const char *name = json_string_value(json_object_get(fact, "fact"));
        const json_t *running = json_object_get(fact, "running");
        if (name && strcmp(name, "server") == 0 && json_is_boolean(running))
            c->running = json_is_true(running);
    }
}

bool crash_host_is_good(const struct crash *c)
{
    size_t i;
    json_t *fact;
    json_array_foreach(json_object_get(c->host, "facts"), i, fact)
    {
        const char *verdict = json_string_value(json_object_get(fact, "verdict"));
        if (verdict && strcmp(verdict, "bad") == 0)
            return false;
    }
    return c->host != NULL;
}
