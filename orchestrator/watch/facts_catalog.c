/* facts_catalog.c - what the catalog remembers of runs, snapshots, copies, media and alarms; see facts.h. */
#include "orchestrator/daemon/child.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VAULT_RUNS 500 /* scrubs, prunes and the like that are looked through, newest first */

static void set_run(struct run_fact *f, const struct run *r)
{
    run_fact_done(f);
    f->started_s = r->started_s;
    f->ended_s = r->ended_s;
    f->exit_status = r->exit_status;
    f->reached = r->copies_reached;
    f->wanted = r->copies_wanted;
    f->problems = r->problems;
    f->bytes_stored = r->bytes_stored;
    facts_set(&f->code, r->error_code);
    facts_set(&f->error, r->error);
}

static int take_run(void *ctx, const struct run *r)
{
    struct policy_fact *p = facts_policy(ctx, r->policy ? r->policy : "");
    if (p)
        set_run(&p->last, r);
    return 0;
}

/* A scrub that found damage was a whole one; what it found is shown with the copy. */
static bool ended_well(const struct run *r)
{
    return r->ended_s && (r->exit_status == 0 || r->exit_status == 3 || r->exit_status == 4);
}

static int take_vault_run(void *ctx, const struct run *r)
{
    struct vault_fact *v = facts_vault(ctx, r->vault ? r->vault : "");
    bool scrub = strcmp(r->kind, "scrub") == 0, prune = strcmp(r->kind, "prune") == 0;
    if (!v || !(scrub || prune) || !r->ended_s)
        return 0;
    if (r->policy && r->policy[0]) /* by hand, of one policy: that says nothing of the vault */
        return 0;
    struct run_fact *last = scrub ? &v->scrub : &v->prune;
    int64_t *well = scrub ? &v->scrub_s : &v->prune_s;
    if (!last->started_s)
        set_run(last, r);
    if (!*well && ended_well(r))
        *well = r->ended_s;
    return 0;
}

static int take_newest(void *ctx, const struct snapshot_row *s)
{
    struct policy_fact *p = facts_policy(ctx, s->policy);
    if (!p)
        return 0;
    p->whole_s = s->received_s;
    p->whole = s->id;
    p->files = s->files;
    p->bytes = s->bytes;
    return 0;
}

static int take_copy(void *ctx, const struct copy_row *r)
{
    struct copy_fact *c = facts_copy(ctx, r->vault, r->place);
    if (!c)
        return 0;
    snprintf(c->state, sizeof c->state, "%s", r->state);
    snprintf(c->why, sizeof c->why, "%s", r->why ? r->why : "");
    c->generation = r->generation;
    c->seen_s = r->seen_s;
    c->current_s = r->current_s;
    c->free_bytes = r->free_bytes;
    c->total_bytes = r->total_bytes;
    c->has_space = r->total_bytes != 0;
    c->damaged_objects = r->damaged_objects;
    return 0;
}

static int take_medium(void *ctx, const struct medium *m)
{
    struct copy_fact *c = facts_copy(ctx, m->vault, m->place);
    if (!c || c->medium)
        return 0; /* the newest comes first */
    c->medium = text_print("%s%s%s%s%s%s", m->label, m->where && *m->where ? ": " : "",
                           m->where ? m->where : "", m->who && *m->who ? " (" : "",
                           m->who ? m->who : "", m->who && *m->who ? ")" : "");
    return 0;
}

static int take_alarm(void *ctx, const struct alarm *a)
{
    struct facts *f = ctx;
    f->alarms = facts_more(f->alarms, f->n_alarms, sizeof *f->alarms);
    struct open_alarm *o = &f->alarms[f->n_alarms++];
    memset(o, 0, sizeof *o);
    o->id = a->id;
    o->level = a->level;
    o->raised_s = a->raised_s;
    o->told_s = a->told_s;
    o->acked_s = a->acked_s;
    o->key = text_print("%s", a->key);
    o->text = text_print("%s", a->text);
    facts_set(&o->next, a->next);
    facts_set(&o->duty, a->duty);
    facts_set(&o->acked_by, a->acked_by);
    return 0;
}

static int take_job(void *ctx, const struct job *j)
{
    struct facts *f = ctx;
    if (j->state == JOB_RUNNING)
        f->jobs_running++;
    else
        f->jobs_queued++;
    return 0;
}

static int fact_time(struct catalog *c, const char *key, int64_t *ret, struct err *e)
{
    char value[64];
    int rc = catalog_fact_get(c, key, value, sizeof value, e);
    if (rc > 0)
        *ret = strtoll(value, NULL, 10);
    return rc < 0 ? rc : 0;
}

/* Since when a policy has no drill that was passed. */
static int take_drill_seen(void *ctx, const char *key, const char *value)
{
    struct policy_fact *p = strncmp(key, DRILL_SEEN, strlen(DRILL_SEEN)) == 0
                                ? facts_policy(ctx, key + strlen(DRILL_SEEN))
                                : NULL;
    if (p)
        p->drill_since_s = strtoll(value, NULL, 10);
    return 0;
}

/* A policy's RPO counts from when it was first seen; whoever may write notes that. */
static int first_seen(struct facts *f, struct catalog *c, struct err *e)
{
    int rc = 0;
    char key[MAX_NAME + 16];
    for (size_t i = 0; rc == 0 && i < f->n_policies; i++) {
        snprintf(key, sizeof key, "policy-seen/%s", f->policies[i].name);
        /* One that has a backup needs none. */
        if (!f->policies[i].created_s && !f->policies[i].whole_s)
            rc = fact_time(c, key, &f->policies[i].created_s, e);
    }
    for (size_t i = 0; rc == 0 && i < f->n_vaults; i++) {
        snprintf(key, sizeof key, "vault-seen/%s", f->vaults[i].name);
        if (!f->vaults[i].created_s)
            rc = fact_time(c, key, &f->vaults[i].created_s, e);
    }
    return rc;
}

/* What the catalog said before is forgotten: it may be asked again and again. */
static void forget(struct facts *f)
{
    for (size_t i = 0; i < f->n_policies; i++) {
        run_fact_done(&f->policies[i].last);
        f->policies[i].whole_s = f->policies[i].partial_s = 0;
    }
    for (size_t i = 0; i < f->n_vaults; i++) {
        run_fact_done(&f->vaults[i].scrub);
        run_fact_done(&f->vaults[i].prune);
        f->vaults[i].scrub_s = f->vaults[i].prune_s = 0;
    }
    for (size_t i = 0; i < f->n_copies; i++)
        facts_set(&f->copies[i].medium, NULL);
    for (size_t i = 0; i < f->n_alarms; i++) {
        free(f->alarms[i].key);
        free(f->alarms[i].text);
        free(f->alarms[i].next);
        free(f->alarms[i].duty);
        free(f->alarms[i].acked_by);
    }
    free(f->alarms);
    f->alarms = NULL;
    f->n_alarms = f->jobs_queued = f->jobs_running = 0;
}

static void held_policies(struct facts *f, struct catalog *c)
{
    char key[FACT_BYTES];
    for (size_t i = 0; i < f->n_policies; i++)
        f->policies[i].held = fact_is_set(c, fact_hold(f->policies[i].name, key));
}

int facts_catalog(struct facts *f, struct catalog *c, struct err *e)
{
    forget(f);
    facts_timers(f);
    held_policies(f, c);
    int rc = catalog_last_runs(c, "backup", take_run, f, e);
    if (rc >= 0)
        rc = catalog_runs(c, "", MAX_VAULT_RUNS, take_vault_run, f, e);
    if (rc >= 0)
        rc = catalog_newest(c, take_newest, f, e);
    if (rc >= 0)
        rc = catalog_copies(c, NULL, take_copy, f, e);
    if (rc >= 0)
        rc = catalog_media(c, NULL, false, take_medium, f, e);
    if (rc >= 0)
        rc = catalog_alarms(c, true, 0, take_alarm, f, e);
    if (rc >= 0)
        rc = catalog_jobs(c, 1u << JOB_QUEUED | 1u << JOB_RUNNING, 0, take_job, f, e);
    if (rc >= 0)
        rc = fact_time(c, "heartbeat", &f->heartbeat_s, e);
    if (rc >= 0)
        rc = fact_time(c, "last-page", &f->page_s, e);
    if (rc >= 0)
        rc = first_seen(f, c, e);
    if (rc >= 0)
        rc = catalog_facts(c, take_drill_seen, f, e);
    f->has_catalog = rc >= 0;
    return rc < 0 ? rc : 0;
}
