/* test_findings.c - orchestrator/watch/findings.c and summary.c: what is wrong with which facts, as a table (SMX-6, PY-DB-1). */
#include "orchestrator/watch/log_words.h"
#include "orchestrator/watch/summary.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1800000000LL
#define HOUR 3600LL
#define DAY (24 * HOUR)

/* A site where all is well: one vault, two copies and a carried one, two policies with an RPO of 26 h, an agent. */
struct site {
    struct facts f;
    struct policy_fact p[2];
    struct copy_fact c[3];
    struct vault_fact v[1];
    struct settings s;
    struct contacts k;
    struct incident_fact i[2];
    struct role r[1];
    struct logs_state l;
};

static void well(struct site *t)
{
    memset(t, 0, sizeof *t);
    t->v[0] = (struct vault_fact){ .name = (char *)"main",
                                   .n_copies = 3,
                                   .n_policies = 2,
                                   .created_s = NOW - 400 * DAY,
                                   .min_rpo_s = 26 * HOUR,
                                   .prunes = true,
                                   .n_tips = 1,
                                   .looked = true,
                                   .scrub_s = NOW - DAY,
                                   .prune_s = NOW - DAY };
    static const char *const places[] = { "a", "b", "safe" };
    for (size_t i = 0; i < 3; i++) {
        t->c[i] = (struct copy_fact){ .place = (char *)places[i],
                                      .url = (char *)"/x",
                                      .every_s = 7 * DAY,
                                      .seen_s = NOW,
                                      .current_s = NOW,
                                      .free_bytes = 50,
                                      .total_bytes = 100,
                                      .has_space = true };
        snprintf(t->c[i].state, sizeof t->c[i].state, "current");
    }
    t->c[0].total_bytes = t->c[1].total_bytes = t->c[2].total_bytes = 100000;
    t->c[0].free_bytes = t->c[1].free_bytes = t->c[2].free_bytes = 50000;
    t->c[2].rotating = true;
    for (size_t i = 0; i < 2; i++) {
        t->p[i] = (struct policy_fact){ .name = (char *)(i ? "files" : "db"),
                                        .vault = (char *)"main",
                                        .agent = (char *)"db1",
                                        .schedule = (char *)"daily",
                                        .rpo_s = 26 * HOUR,
                                        .created_s = NOW - 300 * DAY,
                                        .whole_s = NOW - 10 * HOUR,
                                        .selected = true };
        t->p[i].last = (struct run_fact){
            .started_s = NOW - 10 * HOUR, .ended_s = NOW - 10 * HOUR, .reached = 2, .wanted = 2
        };
    }
    t->s = (struct settings){ .heartbeat_every_s = 60, .repeat_s = 1800 };
    t->r[0] = (struct role){ .name = (char *)"operator", .a = { .name = (char *)"A" } };
    t->k = (struct contacts){
        .reviewed_s = NOW - 10 * DAY, .review_every_s = 90 * DAY, .roles = t->r, .n_roles = 1
    };
    t->f = (struct facts){ .now_s = NOW,
                           .has_catalog = true,
                           .policies = t->p,
                           .n_policies = 2,
                           .copies = t->c,
                           .n_copies = 3,
                           .vaults = t->v,
                           .n_vaults = 1,
                           .settings = &t->s,
                           .contacts = &t->k,
                           .heartbeat_s = NOW - 30 };
}

static void state(struct copy_fact *c, const char *name, int64_t lag_s)
{
    snprintf(c->state, sizeof c->state, "%s", name);
    c->current_s = NOW - lag_s;
}

/* --- one change each, and what must be found then ---------------------------------------------------- */
static void rpo_near(struct site *t)
{
    t->p[0].whole_s = NOW - 26 * HOUR;
}
static void rpo_over(struct site *t)
{
    t->p[0].whole_s = NOW - 26 * HOUR - 1;
}
static void rpo_twice(struct site *t)
{
    t->p[0].whole_s = NOW - 52 * HOUR - 1;
}
static void new_policy(struct site *t)
{
    t->p[0].whole_s = 0;
    t->p[0].created_s = NOW - 26 * HOUR;
}
static void never(struct site *t)
{
    t->p[0].whole_s = 0;
    t->p[0].created_s = NOW - 27 * HOUR;
}
static void not_seen_yet(struct site *t)
{
    t->p[0].whole_s = t->p[0].created_s = 0;
}
static void future(struct site *t)
{
    t->p[0].whole_s = NOW + CLOCK_SLACK_S + 1;
}
static void run(struct site *t, int status, const char *code)
{
    t->p[0].last.exit_status = status;
    t->p[0].last.ended_s = NOW - HOUR;
    t->p[0].last.code = (char *)code;
}
static void failed(struct site *t)
{
    run(t, 1, "io");
}
static void failed_before(struct site *t)
{
    run(t, 1, "io");
    t->p[0].last.ended_s = t->p[0].whole_s - 1;
}
static void interrupted(struct site *t)
{
    run(t, 130, "interrupted");
}
static void runs_now(struct site *t)
{
    run(t, 1, "io");
    t->p[0].last.ended_s = 0;
}
static void partial(struct site *t)
{
    run(t, 3, "partial");
    t->p[0].last.problems = 4;
}
static void degraded(struct site *t)
{
    run(t, 3, "partial");
    t->p[0].last.reached = 1;
    state(&t->c[1], "behind", HOUR);
}
static void caught_up(struct site *t)
{
    degraded(t);
    state(&t->c[1], "current", 0);
}
static void only_carried_missed(struct site *t)
{
    run(t, 3, "partial");
    t->p[0].last.reached = 2;
    t->p[0].last.wanted = 3;
    state(&t->c[2], "away", 3 * DAY);
}
static void agent_away(struct site *t, int64_t since_s)
{
    for (size_t i = 0; i < 2; i++) {
        t->p[i].rpo_s = 30 * DAY;
        t->p[i].whole_s = NOW - since_s;
        t->p[i].last = (struct run_fact){ .started_s = NOW - HOUR,
                                          .ended_s = NOW - HOUR,
                                          .exit_status = 1,
                                          .code = (char *)"unreachable" };
    }
}
static void agent_day(struct site *t)
{
    agent_away(t, DAY);
}
static void agent_long(struct site *t)
{
    agent_away(t, DAY + 1);
}
static void agent_answers(struct site *t)
{
    agent_away(t, 9 * DAY);
    t->p[1].last.code = (char *)"busy";
}
static void lag_near(struct site *t)
{
    state(&t->c[1], "behind", 26 * HOUR);
}
static void lag_over(struct site *t)
{
    state(&t->c[1], "behind", 26 * HOUR + 1);
}
static void away_twice(struct site *t)
{
    state(&t->c[1], "away", 53 * HOUR);
}
static void carried(struct site *t)
{
    state(&t->c[2], "away", 8 * DAY);
}
static void carried_late(struct site *t)
{
    state(&t->c[2], "away", 9 * DAY);
}
static void carried_lost(struct site *t)
{
    state(&t->c[2], "behind", 15 * DAY);
}
static void damaged(struct site *t)
{
    state(&t->c[0], "damaged", 0);
}
static void noted(struct site *t)
{
    t->c[0].damaged_objects = 1;
}
static void rolled(struct site *t)
{
    state(&t->c[0], "rolled-back", HOUR);
}
static void wrong(struct site *t)
{
    state(&t->c[0], "wrong", HOUR);
}
static void space_ten(struct site *t)
{
    t->c[0].free_bytes = 10000;
}
static void space_low(struct site *t)
{
    t->c[0].free_bytes = 9999;
}
static void space_out(struct site *t)
{
    t->c[0].free_bytes = 2999;
}
static void space_unknown(struct site *t)
{
    t->c[0].has_space = false, t->c[0].free_bytes = 0;
}
static void fork_(struct site *t)
{
    t->v[0].n_tips = 2;
}
static void lost_keys(struct site *t)
{
    t->v[0].n_lost_keys = 1;
}
static void vanished(struct site *t)
{
    t->v[0].vanished = true;
}
static void scrub_late(struct site *t)
{
    t->v[0].scrub_s = NOW - 36 * DAY;
}
static void scrub_never(struct site *t)
{
    t->v[0].scrub_s = 0;
}
static void scrub_new(struct site *t)
{
    t->v[0].scrub_s = 0;
    t->v[0].created_s = NOW - 30 * DAY;
}
static void scrub_failed(struct site *t)
{
    t->v[0].scrub = (struct run_fact){ .started_s = NOW, .ended_s = NOW, .exit_status = 1 };
}
static void scrub_found(struct site *t)
{
    t->v[0].scrub = (struct run_fact){ .started_s = NOW, .ended_s = NOW, .exit_status = 4 };
}
static void scrub_lacks(struct site *t)
{
    scrub_found(t);
    t->v[0].scrub.code = (char *)"not-whole";
}
static void scrub_busy(struct site *t)
{
    scrub_failed(t);
    t->v[0].scrub.code = (char *)"busy";
}
static void run_busy(struct site *t)
{
    run(t, 5, "busy");
}
static void held(struct site *t)
{
    t->p[0].held = true;
}
static void no_timer(struct site *t)
{
    t->p[0].no_timer = true;
}
static void bad_schedule(struct site *t)
{
    t->p[0].bad_schedule = true;
    t->p[0].no_timer = true;
}
static void written_elsewhere(struct site *t)
{
    t->v[0].written_elsewhere = true;
}
static void prune_late(struct site *t)
{
    t->v[0].prune_s = NOW - 15 * DAY;
}
static void prune_nothing(struct site *t)
{
    t->v[0].prune_s = 0;
    t->v[0].prunes = false;
}
static void prune_clock(struct site *t)
{
    t->v[0].prune = (struct run_fact){
        .started_s = NOW, .ended_s = NOW, .exit_status = 5, .error = (char *)"the clock has jumped"
    };
}
static void stale(struct site *t)
{
    t->k.reviewed_s = NOW - 91 * DAY;
}
static void never_reviewed(struct site *t)
{
    t->k.reviewed_s = 0;
}
static void no_roles(struct site *t)
{
    t->k.reviewed_s = 0, t->k.n_roles = 0;
}
static void beat_old(struct site *t)
{
    t->f.heartbeat_s = NOW - 301;
}
static void beat_slow(struct site *t)
{
    t->s.heartbeat_every_s = 600, t->f.heartbeat_s = NOW - 3000;
}
static void beat_old_by_hand(struct site *t)
{
    t->f.heartbeat_s = NOW - 9 * DAY;
    t->p[0].schedule = t->p[1].schedule = NULL;
}
static void beat_never(struct site *t)
{
    t->f.heartbeat_s = 0;
}
/* Drills of the first policy: one that was passed so long ago, and, before or after it, one that was failed. */
static void drilled(struct site *t, int64_t passed_ago_s, int64_t failed_ago_s)
{
    for (size_t i = 0; i < 2; i++) {
        t->i[i] = (struct incident_fact){ .drill = true, .policy = "db", .settled = true };
        t->i[i].drilled.rpo_s = -1;
    }
    t->i[0].drilled.last_s = t->i[0].drilled.passed_s = NOW - passed_ago_s;
    t->i[1].drilled.last_s = failed_ago_s ? NOW - failed_ago_s : 0;
    t->i[1].drilled.failed = failed_ago_s > 0;
    snprintf(t->i[1].drilled.why, sizeof t->i[1].drilled.why, "a copy is damaged");
    t->p[0].drill_every_s = 90 * DAY;
    t->p[0].drill_since_s = NOW - 300 * DAY;
    t->f.incidents = t->i;
    t->f.n_incidents = 2;
}
static void drill_in_time(struct site *t)
{
    drilled(t, 90 * DAY, 0);
}
static void drill_late(struct site *t)
{
    drilled(t, 90 * DAY + 1, 0);
}
static void drill_failed(struct site *t)
{
    drilled(t, 9 * DAY, DAY);
}
static void drill_failed_before(struct site *t)
{
    drilled(t, DAY, 9 * DAY);
}
static void drill_of_another(struct site *t)
{
    drilled(t, DAY, 0);
    snprintf(t->i[0].policy, sizeof t->i[0].policy, "files");
}
static void drill_never(struct site *t)
{
    t->p[0].drill_every_s = 90 * DAY;
    t->p[0].drill_since_s = NOW - 90 * DAY - 1;
}
static void drill_not_yet(struct site *t)
{
    drill_never(t);
    t->p[0].drill_since_s = 0;
}
/* A log that is followed: two seconds behind, in all copies, and older than the newest backup. */
static void followed(struct site *t)
{
    static const char *const places[] = { "a", "b", "safe" };
    t->l = (struct logs_state){ .policy = "db",
                                .vault = "main",
                                .last = { .seq = 100, .timeline = 1, .end = 5000 },
                                .written_s = NOW - 1,
                                .running = true,
                                .head_timeline = 1,
                                .head = 5000,
                                .complete_s = NOW - 2,
                                .epoch_s = NOW - 20 * DAY,
                                .n_copies = 3 };
    for (size_t i = 0; i < 3; i++) {
        t->l.copies[i] = (struct logs_copy_state){ .joined = true,
                                                   .seq = 100,
                                                   .complete_s = NOW - 2 };
        snprintf(t->l.copies[i].place, sizeof t->l.copies[i].place, "%s", places[i]);
    }
    t->p[0].logs = true;
    t->p[0].log = &t->l;
}
static void log_ended(struct site *t, int64_t ago_s)
{
    followed(t);
    t->l.running = false;
    t->l.complete_s = NOW - ago_s;
}
static void log_bound(struct site *t)
{
    log_ended(t, LOG_FOLLOW_S);
}
static void log_over(struct site *t)
{
    log_ended(t, LOG_FOLLOW_S + 1);
}
static void log_long(struct site *t)
{
    log_ended(t, LOG_CRITICAL_S + 1);
}
static void log_rpo(struct site *t)
{
    log_ended(t, 61);
    t->p[0].rpo_s = 60;
    t->p[0].whole_s = NOW - 30;
}
static void log_stuck(struct site *t)
{
    followed(t);
    t->l.complete_s = NOW - LOG_FOLLOW_S - 1;
}
static void log_never(struct site *t)
{
    t->p[0].logs = true;
}
static void log_asked_just_now(struct site *t)
{
    log_never(t);
    t->p[0].changed_s = NOW - 10;
}
static void log_not_asked(struct site *t)
{
    log_over(t);
    t->p[0].logs = false;
}
static void log_copy(struct site *t, size_t at, int64_t ago_s)
{
    followed(t);
    t->l.copies[at].joined = false;
    t->l.copies[at].seq = ago_s ? 50 : 0;
    t->l.copies[at].complete_s = ago_s ? NOW - ago_s : 0;
}
static void log_copy_bound(struct site *t)
{
    log_copy(t, 1, LOG_COPY_S);
}
static void log_copy_over(struct site *t)
{
    log_copy(t, 1, LOG_COPY_S + 1);
}
static void log_copy_nothing(struct site *t)
{
    log_copy(t, 0, 0);
}
static void log_copy_carried(struct site *t)
{
    log_copy(t, 2, DAY);
}
static void log_copy_quiet(struct site *t) /* nothing was written for long: nothing is missing */
{
    followed(t);
    t->l.copies[1].complete_s = NOW - DAY;
}
static void log_first(struct site *t)
{
    followed(t);
    t->l.epoch_s = NOW - HOUR;
}
static void log_gap(struct site *t)
{
    log_first(t);
    snprintf(t->l.epoch_why, sizeof t->l.epoch_why, "the server was put back");
}
static void log_gap_closed(struct site *t)
{
    log_gap(t);
    t->p[0].whole_s = t->p[0].last.started_s = t->p[0].last.ended_s = NOW - HOUR + 1;
}
static void log_gap_meanwhile(struct site *t) /* the backup was begun before */
{
    log_gap_closed(t);
    t->p[0].last.started_s = NOW - HOUR - 1;
}
static void log_kept(struct site *t)
{
    followed(t);
    t->l.head = t->l.last.end + LOG_KEPT_BYTES + 1;
}
static void log_kept_limit(struct site *t)
{
    followed(t);
    t->p[0].slot_limit = 2000;
    t->l.head = t->l.last.end + 1001;
}
static void log_kept_within(struct site *t)
{
    log_kept_limit(t);
    t->l.head--;
}
static struct err mistake = { .code = ERR_CONFIG,
                              .what = "policies/x.yaml",
                              .why = "line 3: what?" };
static void mistaken(struct site *t)
{
    t->f.problems = &mistake;
    t->f.n_problems = t->f.n_bad_files = 1;
}

static const struct {
    const char *what;
    void (*change)(struct site *);
    const char *keys; /* "level:key", in their order */
} table[] = {
    { "all is well", NULL, "" },
    { "exactly the RPO", rpo_near, "" },
    { "a second more", rpo_over, "1:rpo/db" },
    { "more than twice the RPO", rpo_twice, "2:rpo/db" },
    { "a new policy", new_policy, "" },
    { "never a whole one", never, "1:rpo/db" },
    { "a policy that nobody has seen yet", not_seen_yet, "" },
    { "a backup of tomorrow", future, "1:clock/db" },
    { "a failed run", failed, "1:run/db" },
    { "a failed run before a good one", failed_before, "" },
    { "an interrupted run", interrupted, "" },
    { "a run that has not ended", runs_now, "" },
    { "files that could not be read", partial, "0:partial/db" },
    { "a run that missed a copy", degraded, "1:degraded/db" },
    { "caught up since", caught_up, "" },
    { "only the carried copy was missed", only_carried_missed, "" },
    { "an agent away for a day", agent_day, "1:run/db 1:run/files" },
    { "and longer", agent_long, "2:agent/db1 1:run/db 1:run/files" },
    { "one of its policies reaches it, and found it busy", agent_answers, "1:run/db" },
    { "a copy behind for the RPO", lag_near, "" },
    { "a second more", lag_over, "1:copy/main/b" },
    { "away for twice the RPO", away_twice, "2:copy/main/b" },
    { "a carried copy in its time of grace", carried, "" },
    { "a carried copy too late", carried_late, "1:medium/main/safe" },
    { "a carried copy that nobody brings", carried_lost, "2:medium/main/safe" },
    { "damage", damaged, "2:damage/main/a" },
    { "damage that was noted", noted, "2:damage/main/a" },
    { "rolled back", rolled, "2:damage/main/a" },
    { "another vault in its place", wrong, "1:wrong/main/a" },
    { "ten per cent free", space_ten, "" },
    { "less", space_low, "1:space/main/a" },
    { "less than three", space_out, "2:space/main/a" },
    { "space that is not known", space_unknown, "" },
    { "a fork", fork_, "1:vault/main" },
    { "lost keys", lost_keys, "2:vault/main" },
    { "no copy shows anything", vanished, "2:vault/main" },
    { "no scrub for long", scrub_late, "1:scrub/main" },
    { "never a scrub", scrub_never, "1:scrub/main" },
    { "never a scrub of a new vault", scrub_new, "" },
    { "a failed scrub", scrub_failed, "1:scrub/main" },
    { "a scrub that found damage is no failed one", scrub_found, "" },
    { "a backup needs what is in no copy", scrub_lacks, "2:scrub/main" },
    { "a scrub beside another", scrub_busy, "" },
    { "a run beside another", run_busy, "" },
    { "a policy that is held back", held, "1:held/db" },
    { "a schedule without its timer", no_timer, "1:timer/db" },
    { "a schedule that means nothing", bad_schedule, "1:schedule/db" },
    { "another orchestrator's state", written_elsewhere, "1:vault/main" },
    { "no prune for long", prune_late, "1:prune/main" },
    { "nothing to prune", prune_nothing, "" },
    { "prune stopped by the clock", prune_clock, "1:prune/main" },
    { "contacts not reviewed", stale, "0:contacts" },
    { "contacts never reviewed", never_reviewed, "0:contacts" },
    { "no contacts at all", no_roles, "" },
    { "an old heartbeat", beat_old, "2:scheduler" },
    { "a heart that beats slowly", beat_slow, "" },
    { "no scheduler where all is by hand", beat_old_by_hand, "" },
    { "schedules and never a scheduler", beat_never, "2:scheduler" },
    { "a drill just in time", drill_in_time, "" },
    { "a drill too long ago", drill_late, "1:drill/db" },
    { "the last drill was failed", drill_failed, "2:drill/db" },
    { "a failed drill, and one that was passed behind it", drill_failed_before, "" },
    { "a drill of another policy", drill_of_another, "1:drill/db" },
    { "no drill since it is known", drill_never, "1:drill/db" },
    { "a policy that is not known for long", drill_not_yet, "" },
    { "a mistake in a file", mistaken, "1:config" },
    { "a log that is followed", followed, "" },
    { "not followed for the bound", log_bound, "" },
    { "and longer", log_over, "1:log/db" },
    { "for an hour", log_long, "2:log/db" },
    { "for the RPO, which is less", log_rpo, "1:log/db" },
    { "followed, and nothing becomes durable", log_stuck, "1:log/db" },
    { "never followed", log_never, "2:log/db" },
    { "asked for just now", log_asked_just_now, "" },
    { "asked for no more", log_not_asked, "" },
    { "a copy behind with the log", log_copy_bound, "" },
    { "and longer", log_copy_over, "1:log-copy/db/b" },
    { "a copy that has nothing of it", log_copy_nothing, "1:log-copy/db/a" },
    { "a carried copy behind with the log", log_copy_carried, "" },
    { "a log to which nothing came for long", log_copy_quiet, "" },
    { "a log that is newer than the backup", log_first, "0:log-gap/db" },
    { "a gap", log_gap, "1:log-gap/db" },
    { "a backup since then", log_gap_closed, "" },
    { "a backup that was begun before", log_gap_meanwhile, "1:log-gap/db" },
    { "the server keeps much", log_kept, "1:log-slot/db" },
    { "half of the limit", log_kept_within, "" },
    { "more than half of the limit", log_kept_limit, "1:log-slot/db" },
};

static void keys_of(const struct findings *fs, char out[1024])
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < fs->n; i++)
        n += (size_t)snprintf(out + n, 1024 - n, "%s%d:%s", i ? " " : "", fs->all[i].level,
                              fs->all[i].key);
}

/* Words of agents may be long, and in any script; where they are cut they stay text. */
static void long_words_are_cut_between_characters(void **unused)
{
    struct site t;
    char words[1500];
    for (size_t shift = 0; shift < 3; shift++) {
        struct findings fs;
        size_t n = shift;
        memset(words, 'x', shift);
        for (; n + 3 < sizeof words; n += 3)
            memcpy(words + n, "\xe6\x96\xad", 3);
        words[n] = '\0';
        well(&t);
        run(&t, 1, "io");
        t.p[0].last.error = words;
        findings_find(&t.f, &fs);
        assert_int_equal(fs.n, 1);
        json_t *text = json_string(fs.all[0].text); /* NULL: it is not UTF-8 */
        assert_non_null(text);
        assert_true(strlen(fs.all[0].text) > FINDING_TEXT_BYTES - 8);
        json_decref(text);
        findings_done(&fs);
    }
    (void)unused;
}

static void logs_are_said(void **unused)
{
    struct site t;
    struct policy_sum sum;
    struct findings fs;
    static const struct {
        void (*change)(struct site *);
        const char *words;
        bool attention; /* at once, before there is an alarm */
    } rows[] = {
        { log_never, "NOT FOLLOWED yet", true },
        { log_bound, "NOT FOLLOWED; kept up to 5 min ago", true },
        { followed, "complete up to 2 s ago in 3 copies", false },
        { log_copy_bound, "kept up to 2 s ago in 2 of 3 copies", false },
        { log_stuck, "complete up to 5 min ago in 3 copies", true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        well(&t);
        rows[i].change(&t);
        char *words = log_words(t.p[0].log, NOW);
        assert_string_equal(words, rows[i].words);
        free(words);
        findings_find(&t.f, &fs);
        policy_sum(&t.f, &fs, &t.p[0], &sum);
        assert_int_equal(sum.attention, rows[i].attention);
        policy_sum(&t.f, &fs, &t.p[1], &sum);
        assert_false(sum.own);
        findings_done(&fs);
    }
    (void)unused;
}

static void what_is_wrong_is_found(void **unused)
{
    struct site t;
    char keys[1024];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct findings fs;
        well(&t);
        /* Prune and clock cases must not be overdue by accident. */
        if (table[i].change)
            table[i].change(&t);
        findings_find(&t.f, &fs);
        keys_of(&fs, keys);
        if (strcmp(keys, table[i].keys) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", table[i].what, keys, table[i].keys);
        for (size_t k = 0; k < fs.n; k++)
            if (!fs.all[k].text[0] || !fs.all[k].next[0])
                fail_msg("%s: says nothing, or not what to do", table[i].what);
        findings_done(&fs);
    }
}

/* --- the verdict -------------------------------------------------------------------------------------------- */
static void verdict_is(struct site *t, size_t attention, size_t others, const char *text)
{
    struct findings fs;
    struct site_sum s;
    findings_find(&t->f, &fs);
    site_sum(&t->f, &fs, &s);
    char *said = site_verdict(&s);
    assert_string_equal(said, text);
    assert_int_equal(s.attention, attention);
    assert_int_equal(s.others, others);
    free(said);
    findings_done(&fs);
}

static void the_verdict_counts_places(void **unused)
{
    struct site t;
    well(&t);
    verdict_is(&t, 0, 0, "All 2 policies are backed up in 2 or more places.");
    t.c[2].rotating = true;
    state(&t.c[2], "away", 3 * DAY); /* carried: in its place */
    verdict_is(&t, 0, 0, "All 2 policies are backed up in 2 or more places.");
    t.p[0].whole_s = NOW - 27 * HOUR;
    verdict_is(&t, 1, 0, "1 of 2 policies needs attention.");
    well(&t);
    t.f.heartbeat_s = NOW - DAY;
    verdict_is(&t, 0, 1,
               "All 2 policies are backed up in 2 or more places. 1 other thing needs attention.");
    well(&t);
    state(&t.c[1], "away", 20 * HOUR);
    state(&t.c[2], "away", 3 * DAY);
    verdict_is(&t, 2, 1, "2 of 2 policies need attention."); /* one place is left */
    well(&t);
    t.f.n_policies = 0;
    t.v[0].n_policies = 0;
    verdict_is(&t, 0, 0, "There is no policy yet.");
}

static void places_are_those_that_have_the_newest(void **unused)
{
    struct site t;
    struct findings fs = { 0 };
    struct policy_sum s;
    well(&t);
    policy_sum(&t.f, &fs, &t.p[0], &s);
    assert_int_equal(s.places, 3);
    state(&t.c[1], "away", 9 * HOUR); /* it was current after that backup */
    policy_sum(&t.f, &fs, &t.p[0], &s);
    assert_int_equal(s.places, 3);
    state(&t.c[1], "away", 11 * HOUR);
    policy_sum(&t.f, &fs, &t.p[0], &s);
    assert_int_equal(s.places, 2);
    state(&t.c[0], "damaged", 0);
    policy_sum(&t.f, &fs, &t.p[0], &s);
    assert_int_equal(s.places, 1);
    t.p[0].whole_s = 0;
    policy_sum(&t.f, &fs, &t.p[0], &s);
    assert_int_equal(s.places, 0);
}

static void the_worst_comes_first(void **unused)
{
    struct site t;
    struct findings fs;
    size_t n;
    well(&t);
    t.p[1].whole_s = NOW - 30 * HOUR;
    t.k.reviewed_s = 0;
    t.c[0].damaged_objects = 1;
    findings_find(&t.f, &fs);
    assert_int_equal(fs.n, 3);
    assert_string_equal(fs.all[0].key, "damage/main/a");
    assert_string_equal(fs.all[1].key, "rpo/files");
    assert_string_equal(fs.all[2].key, "contacts");
    size_t *order = policies_by_rank(&t.f, &fs, &n);
    assert_int_equal(n, 2);
    assert_int_equal(order[0], 1);
    free(order);
    findings_done(&fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_words_are_cut_between_characters),
        cmocka_unit_test(what_is_wrong_is_found),
        cmocka_unit_test(logs_are_said),
        cmocka_unit_test(the_verdict_counts_places),
        cmocka_unit_test(places_are_those_that_have_the_newest),
        cmocka_unit_test(the_worst_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
