/* findings.c - judges what is known (SMX-6, PY-DB-1, PY-contacts); the table is in findings.h. */
#include "orchestrator/watch/findings.h"
#include "lib/base/i18n.h"
#include "orchestrator/watch/log_words.h"
#include "orchestrator/watch/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_HEARTBEAT_S 300
#define HEARTBEATS_MISSED 5

static struct finding *add(struct findings *fs, enum alarm_level level, const char *duty,
                           const char *key_fmt, ...) __attribute__((format(printf, 4, 5)));
static struct finding *add(struct findings *fs, enum alarm_level level, const char *duty,
                           const char *key_fmt, ...)
{
    va_list ap;
    fs->all = facts_more(fs->all, fs->n, sizeof *fs->all);
    struct finding *g = &fs->all[fs->n++];
    memset(g, 0, sizeof *g);
    g->level = level;
    g->duty = duty;
    va_start(ap, key_fmt);
    vsnprintf(g->key, sizeof g->key, key_fmt, ap);
    va_end(ap);
    return g;
}

static void say(char out[FINDING_TEXT_BYTES], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void say(char out[FINDING_TEXT_BYTES], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out, FINDING_TEXT_BYTES, fmt, ap);
    va_end(ap);
    if (n < FINDING_TEXT_BYTES)
        return;
    /* It was cut: not within a character. */
    size_t at = FINDING_TEXT_BYTES - 1;
    while (at > 0 && ((unsigned char)out[at - 1] & 0xc0) == 0x80)
        at--;
    if (at > 0 && (unsigned char)out[at - 1] >= 0xc0)
        at--;
    out[at] = '\0';
}

/* --- policies ----------------------------------------------------------------------------------------- */
static void find_rpo(const struct facts *f, const struct policy_fact *p, struct findings *fs)
{
    char age_text[64], rpo_text[64];
    int64_t since = p->whole_s ? p->whole_s : p->created_s;
    int64_t age = f->now_s - since, rpo = (int64_t)p->rpo_s;
    if (since == 0 || age <= rpo)
        return;
    struct finding *g = add(fs, age > 2 * rpo ? ALARM_CRITICAL : ALARM_WARNING, "SMX-6", "rpo/%s",
                            p->name);
    g->policy = p;
    g->roles = p->roles;
    ui_age(age, age_text);
    ui_age(rpo, rpo_text);
    if (p->whole_s)
        say(g->text, _("policy %s: the newest whole backup is %s old; it may be %s"), p->name,
            age_text, rpo_text);
    else
        say(g->text,
            _("policy %s: no whole backup in the %s since it was made; one is due every %s"),
            p->name, age_text, rpo_text);
    say(g->next, "twofold backup %s", p->name);
}

static bool has_code(const struct run_fact *r, const char *code)
{
    return r->code && strcmp(r->code, code) == 0;
}

/* One that found another at the same work did not fail: that one, or the RPO, says how it went. */
static bool run_failed(const struct run_fact *r)
{
    return r->ended_s && r->exit_status != 0 && r->exit_status != 3 && r->exit_status != 130 &&
           !has_code(r, "busy");
}

static void find_run(const struct policy_fact *p, struct findings *fs)
{
    const struct run_fact *r = &p->last;
    if (run_failed(r) && r->ended_s >= p->whole_s && r->ended_s >= p->partial_s) {
        struct finding *g = add(fs, ALARM_WARNING, "", "run/%s", p->name);
        g->policy = p;
        g->roles = p->roles;
        say(g->text, _("policy %s: the last run failed: %s"), p->name,
            r->error ? r->error : _("it said no reason"));
        say(g->next, _("run it by hand, it says what to do: twofold backup %s"), p->name);
    }
    if (r->ended_s && r->exit_status == 3 && r->problems > 0) {
        struct finding *g = add(fs, ALARM_NOTICE, "", "partial/%s", p->name);
        g->policy = p;
        g->roles = p->roles;
        say(g->text,
            P_("policy %s: the last run could not read %" PRIu64 " file or folder",
               "policy %s: the last run could not read %" PRIu64 " files or folders", r->problems),
            p->name, r->problems);
        say(g->next, _("see which, and who may read them: twofold backup %s"), p->name);
    }
}

/* A copy that missed a run is an alarm at once, until it is caught up; a carried one is expected only now and then. */
static void find_degraded(const struct facts *f, const struct policy_fact *p, struct findings *fs)
{
    const struct copy_fact *missed = NULL;
    const struct run_fact *r = &p->last;
    if (!r->ended_s || r->exit_status != 3 || r->reached >= r->wanted)
        return;
    for (size_t i = 0; i < f->n_copies && !missed; i++) {
        const struct copy_fact *c = &f->copies[i];
        bool theirs = strcmp(f->vaults[c->vault].name, p->vault) == 0;
        if (theirs && !c->rotating && c->state[0] && strcmp(c->state, "current") != 0)
            missed = c;
    }
    if (!missed)
        return;
    struct finding *g = add(fs, ALARM_WARNING, "PY-DB-1", "degraded/%s", p->name);
    g->policy = p;
    g->roles = p->roles;
    say(g->text, _("policy %s: the last run reached %u of %u copies; copy %s is %s%s%s"), p->name,
        r->reached, r->wanted, missed->place, missed->state, missed->why[0] ? ": " : "",
        missed->why);
    say(g->next, _("bring the copy back, then run: twofold replicate --vault %s"), p->vault);
}

/* What keeps the next run from coming, though all that was is well. */
static void find_next(const struct policy_fact *p, struct findings *fs)
{
    const char *what = p->held           ? "held"
                       : p->bad_schedule ? "schedule"
                       : p->no_timer     ? "timer"
                                         : NULL;
    if (!what)
        return;
    struct finding *g = add(fs, ALARM_WARNING, "SMX-6", "%s/%s", what, p->name);
    g->policy = p;
    g->roles = p->roles;
    if (p->held) {
        say(g->text, _("policy %s: it is held back (paused): no timer starts it"), p->name);
        say(g->next, "twofold resume %s", p->name);
    } else if (p->bad_schedule) {
        say(g->text, _("policy %s: systemd does not understand its schedule \"%s\""), p->name,
            p->schedule);
        say(g->next, _("correct it (systemd-analyze calendar \"...\" tries one), then: twofold "
                       "schedule apply"));
    } else {
        say(g->text, _("policy %s: it has a schedule, and no timer: nothing starts it"), p->name);
        say(g->next, "twofold schedule apply");
    }
}

static void find_clock(const struct facts *f, const struct policy_fact *p, struct findings *fs)
{
    if (p->whole_s <= f->now_s + CLOCK_SLACK_S)
        return;
    struct finding *g = add(fs, ALARM_WARNING, "", "clock/%s", p->name);
    g->policy = p;
    g->roles = p->roles;
    say(g->text, _("policy %s: the last backup is from the future"), p->name);
    say(g->next, _("check this machine's clock: timedatectl"));
}

/* --- logs of databases --------------------------------------------------------------------------------- */
static struct finding *of_policy(const struct policy_fact *p, struct finding *g)
{
    g->policy = p;
    g->roles = p->roles;
    return g;
}

static void find_log(const struct facts *f, const struct policy_fact *p, struct findings *fs)
{
    const struct logs_state *s = p->log;
    int64_t asked_s = p->changed_s > p->created_s ? p->changed_s : p->created_s;
    int64_t since_s = s && s->complete_s ? s->complete_s : asked_s, age_s = f->now_s - since_s;
    const char *why = s ? s->why : "";
    char age[64];
    if (since_s == 0 || age_s <= log_limit_s(p))
        return;
    struct finding *g = of_policy(p,
                                  add(fs, age_s > LOG_CRITICAL_S ? ALARM_CRITICAL : ALARM_WARNING,
                                      "SMX-6", "log/%s", p->name));
    ui_age(age_s, age);
    if (!s || !s->complete_s)
        say(g->text,
            _("policy %s: the log of its database is to be kept, and nothing of it is%s%s"),
            p->name, why[0] ? ": " : "", why);
    else if (logs_running(s, f->now_s))
        say(g->text, _("policy %s: the log of its database is %s behind in every copy"), p->name,
            age);
    else
        say(g->text, _("policy %s: the log of its database is not followed for %s%s%s"), p->name,
            age, why[0] ? ": " : "", why);
    if (p->archived && logs_running(s, f->now_s))
        say(g->next,
            _("does the server archive? Its log, archive_command, archive_timeout: twofold logs %s"),
            p->name);
    else
        log_next(f, p, g->next);
}

/* Of copies that are always there; the one who follows catches them up by itself. */
static void find_log_copies(const struct facts *f, const struct policy_fact *p, struct findings *fs)
{
    const struct logs_state *s = p->log;
    char age[64];
    for (size_t i = 0; s && logs_running(s, f->now_s) && i < s->n_copies; i++) {
        const struct logs_copy_state *c = &s->copies[i];
        const struct copy_fact *copy = facts_copy((struct facts *)f, p->vault, c->place);
        int64_t lag_s = log_copy_lag_s(s, c, f->now_s);
        lag_s = lag_s < 0 && s->epoch_s ? f->now_s - s->epoch_s : lag_s;
        if (!copy || copy->rotating || lag_s <= LOG_COPY_S)
            continue;
        struct finding *g = of_policy(
            p, add(fs, ALARM_WARNING, "PY-DB-1", "log-copy/%s/%s", p->name, c->place));
        say(g->text, _("policy %s: copy %s is %s behind with the log of its database%s%s"), p->name,
            c->place, ui_age(lag_s, age), c->why[0] ? ": " : "", c->why);
        say(g->next, _("bring the copy back; it is caught up by itself: twofold logs %s"), p->name);
    }
}

/* When the newest whole backup was begun, as far as is known: what it stands on must not be older than the log. */
static int64_t backup_begun_s(const struct policy_fact *p)
{
    const struct run_fact *r = &p->last;
    bool is_its = r->started_s && r->started_s <= p->whole_s && r->ended_s >= p->whole_s;
    return is_its ? r->started_s : p->whole_s;
}

static void find_log_gap(const struct policy_fact *p, struct findings *fs)
{
    const struct logs_state *s = p->log;
    if (!s || !s->epoch_s || backup_begun_s(p) > s->epoch_s)
        return;
    bool first = s->epoch_why[0] == '\0';
    struct finding *g = of_policy(
        p, add(fs, first ? ALARM_NOTICE : ALARM_WARNING, "PY-SW-1", "log-gap/%s", p->name));
    if (first)
        say(g->text,
            _("policy %s: the log of its database is kept now; a restore to any moment needs a "
              "backup that was begun since"),
            p->name);
    else
        say(g->text, _("policy %s: a gap in the log of its database: %s"), p->name, s->epoch_why);
    say(g->next, "twofold backup %s", p->name);
}

static void find_log_slot(const struct facts *f, const struct policy_fact *p, struct findings *fs)
{
    uint64_t limit = p->slot_limit ? p->slot_limit / 2 : LOG_KEPT_BYTES;
    struct log_sum sum;
    char size[32];
    log_sum(p->log, f->now_s, log_limit_s(p), &sum);
    if (!sum.followed || sum.ahead <= limit)
        return;
    struct finding *g = of_policy(p, add(fs, ALARM_WARNING, "", "log-slot/%s", p->name));
    if (p->archived)
        say(g->text, _("policy %s: %s of the server's log are in no copy"), p->name,
            ui_bytes(sum.ahead, size));
    else
        say(g->text, _("policy %s: the server keeps %s of its log that no copy has"), p->name,
            ui_bytes(sum.ahead, size));
    say(g->next, _("see what the copies do: twofold logs %s"), p->name);
}

static void find_logs(const struct facts *f, const struct policy_fact *p, struct findings *fs)
{
    if (!p->logs)
        return;
    find_log(f, p, fs);
    find_log_copies(f, p, fs);
    find_log_gap(p, fs);
    find_log_slot(f, p, fs);
}

/* --- drills (PY-8.3) ----------------------------------------------------------------------------------------- */
static void find_drill(const struct facts *f, const struct policy_fact *p, struct findings *fs)
{
    char age_text[64], every_text[64];
    struct drill_past past = policy_drills(f, p->name);
    int64_t since = past.passed_s ? past.passed_s : p->drill_since_s;
    if (!past.failed && !policy_drill_late(f, p))
        return;
    struct finding *g = add(fs, past.failed ? ALARM_CRITICAL : ALARM_WARNING, "PY-8.3", "drill/%s",
                            p->name);
    g->policy = p;
    g->roles = p->roles;
    ui_age(f->now_s - since, age_text);
    ui_age((int64_t)p->drill_every_s, every_text);
    if (past.failed)
        say(g->text, _("policy %s: the last drill has failed: %s"), p->name, past.why);
    else if (past.passed_s)
        say(g->text, _("policy %s: the last drill was %s ago; one is due every %s"), p->name,
            age_text, every_text);
    else
        say(g->text, _("policy %s: no drill was passed in %s; one is due every %s"), p->name,
            age_text, every_text);
    say(g->next, "twofold drill %s", p->name);
}

/* --- agents ---------------------------------------------------------------------------------------------- */
static bool out_of_reach(const struct run_fact *r)
{
    return run_failed(r) && (has_code(r, "unreachable") || has_code(r, "timeout"));
}

/* No policy of it has been able to begin a session, and the last time that one could is long ago. */
static void find_agent(const struct facts *f, const char *agent, struct findings *fs)
{
    int64_t reached = 0, tried = 0;
    const struct policy_fact *of = NULL;
    for (size_t i = 0; i < f->n_policies; i++) {
        const struct policy_fact *p = &f->policies[i];
        if (strcmp(p->agent, agent) != 0)
            continue;
        int64_t well = p->whole_s > p->partial_s ? p->whole_s : p->partial_s;
        if (!well && !p->last.started_s)
            continue;
        if (p->last.started_s && !out_of_reach(&p->last))
            return;
        of = of ? of : p;
        reached = well > reached ? well : reached;
        if (!well && p->created_s && (!tried || p->created_s < tried))
            tried = p->created_s;
    }
    int64_t since = reached ? reached : tried;
    if (!of || since == 0 || f->now_s - since <= AGENT_AWAY_S)
        return;
    char age[64];
    struct finding *g = add(fs, ALARM_CRITICAL, "", "agent/%s", agent);
    g->roles = of->roles;
    say(g->text, _("agent %s: out of reach for %s: %s"), agent, ui_age(f->now_s - since, age),
        of->last.error ? of->last.error : _("it does not answer"));
    say(g->next,
        _("see whether the host runs and whether ssh to it works; then: twofold backup %s"),
        of->name);
}

static void find_agents(const struct facts *f, struct findings *fs)
{
    for (size_t i = 0; i < f->n_policies; i++) {
        const char *agent = f->policies[i].agent;
        bool seen = strcmp(agent, "local") == 0 || !out_of_reach(&f->policies[i].last);
        for (size_t k = 0; k < i && !seen; k++)
            seen = strcmp(f->policies[k].agent, agent) == 0 && out_of_reach(&f->policies[k].last);
        if (!seen)
            find_agent(f, agent, fs);
    }
}

/* --- copies ------------------------------------------------------------------------------------------------- */
int64_t copy_lag_s(const struct facts *f, const struct copy_fact *c)
{
    if (c->state[0] == '\0' || strcmp(c->state, "current") == 0)
        return 0;
    int64_t since = c->current_s ? c->current_s : f->vaults[c->vault].created_s;
    return since && f->now_s > since ? f->now_s - since : 0;
}

static struct finding *of_copy(const struct facts *f, const struct copy_fact *c, struct finding *g)
{
    g->copy = c;
    g->vault = &f->vaults[c->vault];
    g->roles = g->vault->roles;
    return g;
}

static void find_medium(const struct facts *f, const struct copy_fact *c, struct findings *fs)
{
    char lag_text[64], every_text[64];
    const struct vault_fact *v = &f->vaults[c->vault];
    int64_t lag = copy_lag_s(f, c), every = (int64_t)c->every_s;
    if (lag <= every + every / 4)
        return;
    struct finding *g = add(fs, lag > 2 * every ? ALARM_CRITICAL : ALARM_WARNING, "PY-DB-1",
                            "medium/%s/%s", v->name, c->place);
    of_copy(f, c, g);
    say(g->text,
        _("copy %s of vault %s: the carried medium was last brought up to date %s ago; it is due every %s"),
        c->place, v->name, ui_age(lag, lag_text), ui_age(every, every_text));
    say(g->next, _("bring the medium (%s), mount it, and run: twofold replicate --vault %s"),
        c->medium ? c->medium : c->url, v->name);
}

static void find_lag(const struct facts *f, const struct copy_fact *c, struct findings *fs)
{
    char lag_text[64];
    const struct vault_fact *v = &f->vaults[c->vault];
    int64_t lag = copy_lag_s(f, c), limit = (int64_t)v->min_rpo_s;
    if (limit == 0 || lag <= limit)
        return;
    bool away = strcmp(c->state, "away") == 0;
    struct finding *g = add(fs, lag > 2 * limit ? ALARM_CRITICAL : ALARM_WARNING, "PY-DB-1",
                            "copy/%s/%s", v->name, c->place);
    of_copy(f, c, g);
    ui_age(lag, lag_text);
    if (away)
        say(g->text, _("copy %s of vault %s: away, and not up to date for %s%s%s"), c->place,
            v->name, lag_text, c->why[0] ? ": " : "", c->why);
    else
        say(g->text, _("copy %s of vault %s: behind for %s%s%s"), c->place, v->name, lag_text,
            c->why[0] ? ": " : "", c->why);
    say(g->next,
        away ? _("mount it or switch it on, then run: twofold replicate --vault %s")
             : _("twofold replicate --vault %s"),
        v->name);
}

static void find_damage(const struct facts *f, const struct copy_fact *c, struct findings *fs)
{
    const struct vault_fact *v = &f->vaults[c->vault];
    bool rolled = strcmp(c->state, "rolled-back") == 0;
    if (strcmp(c->state, "wrong") == 0) {
        struct finding *g = add(fs, ALARM_WARNING, "PY-DB-1", "wrong/%s/%s", v->name, c->place);
        of_copy(f, c, g);
        say(g->text, _("copy %s of vault %s: what lies there is not this vault: %s"), c->place,
            v->name, c->why[0] ? c->why : c->url);
        say(g->next, _("correct its url in the vault's configuration, or what is mounted there"));
        return;
    }
    if (!rolled && strcmp(c->state, "damaged") != 0 && c->damaged_objects == 0)
        return;
    struct finding *g = add(fs, ALARM_CRITICAL, "PY-DB-5", "damage/%s/%s", v->name, c->place);
    of_copy(f, c, g);
    if (rolled) {
        say(g->text, _("copy %s of vault %s: it shows an older state than it has had"), c->place,
            v->name);
        say(g->next,
            _("find out who put the older state there; then: twofold replicate --vault %s"),
            v->name);
        return;
    }
    say(g->text, _("copy %s of vault %s: damaged%s%s"), c->place, v->name, c->why[0] ? ": " : "",
        c->why);
    say(g->next,
        _("see what else is damaged: twofold scrub --vault %s; mend it: twofold repair --vault %s"),
        v->name, v->name);
}

static void find_space(const struct facts *f, const struct copy_fact *c, struct findings *fs)
{
    char free_text[32], total_text[32];
    const struct vault_fact *v = &f->vaults[c->vault];
    if (!c->has_space || c->total_bytes < 100)
        return;
    uint64_t percent = c->free_bytes / (c->total_bytes / 100);
    if (percent >= FREE_WARNING_PERCENT)
        return;
    struct finding *g = add(fs, percent < FREE_CRITICAL_PERCENT ? ALARM_CRITICAL : ALARM_WARNING,
                            "", "space/%s/%s", v->name, c->place);
    of_copy(f, c, g);
    say(g->text, _("copy %s of vault %s: %s of %s are free"), c->place, v->name,
        ui_bytes(c->free_bytes, free_text), ui_bytes(c->total_bytes, total_text));
    say(g->next, _("make room there, or see what can go: twofold prune --dry-run --vault %s"),
        v->name);
}

/* --- vaults --------------------------------------------------------------------------------------------------- */
static struct finding *of_vault(const struct vault_fact *v, struct finding *g)
{
    g->vault = v;
    g->roles = v->roles;
    return g;
}

static void find_vault(const struct vault_fact *v, struct findings *fs)
{
    struct finding *g;
    if (v->vanished) {
        g = of_vault(v, add(fs, ALARM_CRITICAL, "PY-DB-1", "vault/%s", v->name));
        say(g->text, _("vault %s: backups were here, and no copy shows any of them"), v->name);
        say(g->next, _("find out what happened to the copies before anything is written"));
    } else if (v->n_lost_keys) {
        g = of_vault(v, add(fs, ALARM_CRITICAL, "PY-DB-5", "vault/%s", v->name));
        say(g->text,
            _("vault %s: some data keys could not be read from any copy: what they sealed is lost"),
            v->name);
        say(g->next, _("bring every copy back; then make a new backup: twofold backup POLICY"));
    } else if (v->n_tips > 1) {
        g = of_vault(v, add(fs, ALARM_WARNING, "", "vault/%s", v->name));
        say(g->text, _("vault %s: %zu orchestrators have written at the same time (a fork)"),
            v->name, v->n_tips);
        say(g->next, _("the next backup merges it: twofold backup POLICY"));
    } else if (v->written_elsewhere) {
        g = of_vault(v, add(fs, ALARM_WARNING, "", "vault/%s", v->name));
        say(g->text,
            _("vault %s: another orchestrator has written to it last (or this one lost its state): "
              "backups from here are refused"),
            v->name);
        say(g->next, _("if no other one writes any more: twofold backup POLICY --take-over"));
    }
}

/* An interrupted one is taken up again by the next. */
static void find_care(const struct facts *f, const struct vault_fact *v, bool scrub,
                      struct findings *fs)
{
    const struct run_fact *last = scrub ? &v->scrub : &v->prune;
    const char *kind = scrub ? "scrub" : "prune";
    int64_t well = scrub ? v->scrub_s : v->prune_s;
    int64_t since = well ? well : v->created_s, due = scrub ? SCRUB_DUE_S : PRUNE_DUE_S;
    /* Damage is told for each copy, until it is mended; what no copy has is told here. */
    bool failed = run_failed(last) && (last->exit_status != 4 || has_code(last, "not-whole"));
    bool late = since && f->now_s - since > due;
    char age[64];
    if (v->n_policies == 0 || (!scrub && !v->prunes) || (!failed && !late))
        return;
    struct finding *g = of_vault(
        v, add(fs, failed && has_code(last, "not-whole") ? ALARM_CRITICAL : ALARM_WARNING,
               scrub ? "PY-DB-5" : "PY-SW-1", "%s/%s", kind, v->name));
    if (failed && scrub)
        say(g->text, _("vault %s: the last scrub failed: %s"), v->name,
            last->error ? last->error : _("it said no reason"));
    else if (failed)
        say(g->text, _("vault %s: the last prune failed: %s"), v->name,
            last->error ? last->error : _("it said no reason"));
    else if (scrub)
        say(g->text, _("vault %s: its copies were not scrubbed for %s"), v->name,
            ui_age(f->now_s - since, age));
    else
        say(g->text, _("vault %s: old backups were not pruned for %s"), v->name,
            ui_age(f->now_s - since, age));
    say(g->next, "twofold %s --vault %s", kind, v->name);
}

/* --- the site ---------------------------------------------------------------------------------------------------- */
int64_t heartbeat_limit_s(const struct settings *s)
{
    int64_t every = s && s->heartbeat_every_s ? (int64_t)s->heartbeat_every_s : 60;
    return every * HEARTBEATS_MISSED > MIN_HEARTBEAT_S ? every * HEARTBEATS_MISSED
                                                       : MIN_HEARTBEAT_S;
}

static void find_scheduler(const struct facts *f, struct findings *fs)
{
    int64_t since = f->heartbeat_s, limit = heartbeat_limit_s(f->settings);
    size_t scheduled = 0;
    char age[64];
    for (size_t i = 0; i < f->n_policies; i++) {
        const struct policy_fact *p = &f->policies[i];
        scheduled += p->schedule != NULL;
        if (!f->heartbeat_s && p->schedule && p->created_s && (!since || p->created_s < since)) {
            since = p->created_s;
            limit = FIRST_BEAT_S;
        }
    }
    if (!f->has_catalog || scheduled == 0 || since == 0 || f->now_s - since <= limit)
        return;
    struct finding *g = add(fs, ALARM_CRITICAL, "SMX-6", "scheduler");
    ui_age(f->now_s - since, age);
    if (f->heartbeat_s)
        say(g->text, _("the scheduler (twofoldd) has given no sign of life for %s"), age);
    else
        say(g->text, _("policies have a schedule, and the scheduler (twofoldd) has never run"));
    say(g->next, "systemctl enable --now twofoldd");
}

static void find_bad_files(const struct facts *f, struct findings *fs)
{
    if (f->n_bad_files == 0)
        return;
    const struct err *first = &f->problems[0];
    struct finding *g = add(fs, ALARM_WARNING, "", "config");
    say(g->text, _("the configuration: %s%s%s"), first->what, first->what[0] ? ": " : "",
        first->why);
    say(g->next, _("correct it; all mistakes: twofold policy lint"));
}

static void find_contacts(const struct facts *f, struct findings *fs)
{
    const struct contacts *c = f->contacts;
    if (!c || c->n_roles == 0 || c->review_every_s == 0)
        return;
    if (f->now_s - c->reviewed_s <= (int64_t)c->review_every_s)
        return;
    char age[64];
    struct finding *g = add(fs, ALARM_NOTICE, "PY-contacts", "contacts");
    if (c->reviewed_s)
        say(g->text, _("the list of contacts was last looked through %s ago"),
            ui_age(f->now_s - c->reviewed_s, age));
    else
        say(g->text, _("the list of contacts has never been looked through"));
    say(g->next,
        _("check every name and number in contacts.yaml, then set its `reviewed:` to today"));
}

/* --- incidents ------------------------------------------------------------------------------------------------- */
static void find_duty(const struct incident_fact *n, const struct duty *d, struct findings *fs)
{
    char word[MAX_DUTY_ID + 12], when[32];
    bool overdue = d->state == DUTY_OVERDUE, action = strcmp(d->id, "action") == 0;
    if (d->state != DUTY_DUE && !overdue)
        return;
    struct finding *g = add(fs,
                            action    ? (overdue ? ALARM_WARNING : ALARM_NOTICE)
                            : overdue ? ALARM_CRITICAL
                                      : ALARM_WARNING,
                            d->row, "duty/%s/%s", n->id, duty_word(d, word));
    g->roles = d->roles;
    if (overdue)
        say(g->text, _("incident %s: OVERDUE since %s: %s"), n->id, time_text(d->due_s, when),
            d->text);
    else
        say(g->text, _("incident %s: due by %s: %s"), n->id, time_text(d->due_s, when), d->text);
    say(g->next, "%s", d->next);
}

static void find_incidents(const struct facts *f, struct findings *fs)
{
    for (size_t i = 0; i < f->n_incidents; i++) {
        const struct incident_fact *n = &f->incidents[i];
        for (size_t k = 0; k < n->duties.n; k++)
            find_duty(n, &n->duties.all[k], fs);
        if (!n->damage[0])
            continue;
        struct finding *g = add(fs, ALARM_CRITICAL, "SMX-8", "incident/%s", n->id);
        g->roles = "security-officer operator";
        say(g->text, _("incident %s: its timeline: %s"), n->id, n->damage);
        say(g->next, _("keep the file; the copies have its records: twofold crash records --vault "
                       "VAULT"));
    }
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */
struct ranked {
    struct finding f;
    size_t at;
};

static int by_level(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->f.level != y->f.level)
        return x->f.level > y->f.level ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void sort_findings(struct findings *fs)
{
    struct ranked *r = fs->n ? calloc(fs->n, sizeof *r) : NULL;
    if (!r)
        return;
    for (size_t i = 0; i < fs->n; i++)
        r[i] = (struct ranked){ fs->all[i], i };
    qsort(r, fs->n, sizeof *r, by_level);
    for (size_t i = 0; i < fs->n; i++)
        fs->all[i] = r[i].f;
    free(r);
}

void findings_find(const struct facts *f, struct findings *ret)
{
    *ret = (struct findings){ 0 };
    find_scheduler(f, ret);
    for (size_t i = 0; i < f->n_vaults; i++)
        find_vault(&f->vaults[i], ret);
    for (size_t i = 0; i < f->n_copies; i++) {
        const struct copy_fact *c = &f->copies[i];
        find_damage(f, c, ret);
        if (c->rotating)
            find_medium(f, c, ret);
        else
            find_lag(f, c, ret);
        find_space(f, c, ret);
    }
    find_agents(f, ret);
    for (size_t i = 0; i < f->n_policies; i++) {
        find_rpo(f, &f->policies[i], ret);
        find_run(&f->policies[i], ret);
        find_degraded(f, &f->policies[i], ret);
        find_clock(f, &f->policies[i], ret);
        find_next(&f->policies[i], ret);
        find_logs(f, &f->policies[i], ret);
        find_drill(f, &f->policies[i], ret);
    }
    for (size_t i = 0; i < f->n_vaults; i++) {
        find_care(f, &f->vaults[i], true, ret);
        find_care(f, &f->vaults[i], false, ret);
    }
    find_incidents(f, ret);
    find_bad_files(f, ret);
    find_contacts(f, ret);
    sort_findings(ret);
}

void findings_done(struct findings *fs)
{
    free(fs->all);
    *fs = (struct findings){ 0 };
}

const struct finding *findings_get(const struct findings *fs, const char *key)
{
    for (size_t i = 0; i < fs->n; i++)
        if (strcmp(fs->all[i].key, key) == 0)
            return &fs->all[i];
    return NULL;
}
