/* test_plan.c - orchestrator/daemon/plan.c and window.c: which job is next under limits, windows and priorities, also on the nights
 * when the clocks change; and what becomes of one that ended. */
#include "orchestrator/daemon/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NOW 1790000000 /* 2026-09-21 14:13:20 UTC */

struct scene {
    struct settings settings;
    struct site_vault vaults[2];
    struct site_agent agents[1];
    struct site_policy policies[3];
    struct site site;
    struct plan_list running, queue;
    uint64_t last_id;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    s->settings.jobs = 10;
    s->vaults[0] = (struct site_vault){ .name = "main",
                                        .copies = { { .place = "a" }, { .place = "b" } },
                                        .n_copies = 2 };
    s->vaults[1] = (struct site_vault){ .name = "other",
                                        .copies = { { .place = "a" } },
                                        .n_copies = 1 };
    s->agents[0] = (struct site_agent){ .name = "db1", .jobs = 1 };
    s->policies[0] = (struct site_policy){ .name = "day" };
    s->policies[1] = (struct site_policy){ .name = "night" };
    s->policies[2] = (struct site_policy){ .name = "noon" };
    s->policies[1].window = (struct window){ true, 20 * 60, 6 * 60 };
    s->policies[2].window = (struct window){ true, 11 * 60 + 30, 12 * 60 + 30 };
    s->site = (struct site){ .settings = &s->settings,
                             .vaults = s->vaults,
                             .agents = s->agents,
                             .policies = s->policies,
                             .n_vaults = 2,
                             .n_agents = 1,
                             .n_policies = 3 };
    setenv("TZ", "UTC", 1);
    tzset();
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    plan_list_free(&s->running);
    plan_list_free(&s->queue);
    free(s);
    return 0;
}

static struct job job(struct scene *s, enum job_kind kind, const char *target, const char *vault)
{
    return (struct job){ .id = ++s->last_id,
                         .kind = kind,
                         .target = target,
                         .vault = vault,
                         .agent = "local",
                         .priority = 50,
                         .queued_s = NOW };
}

static void add(struct plan_list *l, struct job j)
{
    assert_int_equal(plan_list_add(l, &j, false, NULL), 0);
}

/* The id of what starts next, 0: nothing; it then runs. */
static uint64_t next_at(struct scene *s, int64_t now_s, int64_t *ret_wake_s)
{
    int64_t wake = 0;
    plan_order(&s->queue);
    int at = plan_next(&s->site, &s->running, &s->queue, now_s, &wake);
    if (ret_wake_s)
        *ret_wake_s = wake;
    if (at < 0)
        return 0;
    uint64_t id = s->queue.jobs[at].id;
    assert_int_equal(plan_started(&s->running, &s->queue, (size_t)at, NULL), 0);
    return id;
}

static uint64_t next(struct scene *s)
{
    return next_at(s, NOW, NULL);
}

static void ends(struct scene *s, uint64_t id)
{
    for (size_t i = 0; i < s->running.n; i++)
        if (s->running.jobs[i].id == id) {
            s->running.jobs[i] = s->running.jobs[--s->running.n];
            return;
        }
    fail_msg("job %d does not run", (int)id);
}

/* --- order ------------------------------------------------------------------------------------------------ */
static void nothing_starts_from_an_empty_queue(void **state)
{
    int64_t wake = 7;
    assert_int_equal(next_at(*state, NOW, &wake), 0);
    assert_int_equal(wake, 0);
}

static void higher_priority_first_then_who_waits_longer(void **state)
{
    struct scene *s = *state;
    struct job low = job(s, JOB_BACKUP, "p1", "main"), late = job(s, JOB_BACKUP, "p2", "main"),
               early = job(s, JOB_BACKUP, "p3", "main"), high = job(s, JOB_BACKUP, "p4", "main");
    low.priority = 10;
    high.priority = 90;
    early.queued_s = NOW - 100;
    add(&s->queue, low);
    add(&s->queue, late);
    add(&s->queue, early);
    add(&s->queue, high);
    assert_int_equal(next(s), high.id);
    assert_int_equal(next(s), early.id);
    assert_int_equal(next(s), late.id);
    assert_int_equal(next(s), low.id);
    assert_int_equal(next(s), 0);
}

static void before_its_time_a_job_waits_and_says_how_long(void **state)
{
    struct scene *s = *state;
    struct job a = job(s, JOB_BACKUP, "p1", "main"), b = job(s, JOB_BACKUP, "p2", "main");
    int64_t wake = 0;
    a.not_before_s = NOW + 300;
    b.not_before_s = NOW + 100;
    add(&s->queue, a);
    add(&s->queue, b);
    assert_int_equal(next_at(s, NOW, &wake), 0);
    assert_int_equal(wake, NOW + 100);
    assert_int_equal(next_at(s, NOW + 99, NULL), 0);
    assert_int_equal(next_at(s, NOW + 100, NULL), b.id);
    assert_int_equal(next_at(s, NOW + 100, &wake), 0);
    assert_int_equal(wake, NOW + 300);
}

static void what_is_held_back_does_not_start(void **state)
{
    struct scene *s = *state;
    struct job paused = job(s, JOB_BACKUP, "p1", "main"), held = job(s, JOB_BACKUP, "p2", "main"),
               scrub = job(s, JOB_SCRUB, "main", "main");
    paused.pause = true;
    add(&s->queue, paused);
    assert_int_equal(plan_list_add(&s->queue, &held, true, NULL), 0);
    add(&s->queue, scrub);
    assert_int_equal(next(s), scrub.id);
    assert_int_equal(next(s), 0);
}

static void only_the_newest_of_the_same_work_is_done(void **state)
{
    struct scene *s = *state;
    struct job one = job(s, JOB_BACKUP, "p1", "main"), other = job(s, JOB_BACKUP, "p2", "main"),
               two = job(s, JOB_BACKUP, "p1", "main"), scrub = job(s, JOB_SCRUB, "p1", "main");
    add(&s->queue, one);
    add(&s->queue, other);
    add(&s->queue, two);
    add(&s->queue, scrub);
    plan_order(&s->queue);
    for (size_t i = 0; i < s->queue.n; i++)
        assert_int_equal(s->queue.jobs[i].superseded, s->queue.jobs[i].id == one.id);
    assert_int_equal(next(s), other.id);
    assert_int_equal(next(s), two.id);
    assert_int_equal(next(s), scrub.id);
    assert_int_equal(next(s), 0);
}

static void the_same_work_is_not_done_twice_at_once(void **state)
{
    struct scene *s = *state;
    struct job running = job(s, JOB_BACKUP, "p1", "main"), again = job(s, JOB_BACKUP, "p1", "main");
    add(&s->running, running);
    add(&s->queue, again);
    assert_int_equal(next(s), 0);
    ends(s, running.id);
    assert_int_equal(next(s), again.id);
}

static void a_kind_of_a_newer_program_is_left_alone(void **state)
{
    struct scene *s = *state;
    add(&s->queue, job(s, JOB_KINDS, "p1", "main"));
    assert_int_equal(next(s), 0);
}

/* --- limits -------------------------------------------------------------------------------------------------- */
static void no_more_than_jobs_at_once(void **state)
{
    struct scene *s = *state;
    s->settings.jobs = 2;
    add(&s->queue, job(s, JOB_BACKUP, "p1", "main"));
    add(&s->queue, job(s, JOB_BACKUP, "p2", "main"));
    add(&s->queue, job(s, JOB_BACKUP, "p3", "other"));
    add(&s->queue, job(s, JOB_SCRUB, "main", "main"));
    assert_int_equal(next(s), 1);
    assert_int_equal(next(s), 2);
    assert_int_equal(next(s), 0);
    ends(s, 1);
    assert_int_equal(next(s), 3);
    assert_int_equal(next(s), 0);
    add(&s->queue, job(s, JOB_PAGE, "", "")); /* takes no room */
    assert_int_equal(next(s), 5);
    ends(s, 2);
    assert_int_equal(next(s), 4); /* and is not counted */
}

static void no_more_than_its_agent_bears(void **state)
{
    struct scene *s = *state;
    struct job a = job(s, JOB_BACKUP, "p1", "main"), b = job(s, JOB_BACKUP, "p2", "main"),
               local = job(s, JOB_BACKUP, "p3", "main");
    a.agent = b.agent = "db1";
    b.priority = 60;
    add(&s->queue, a);
    add(&s->queue, b);
    add(&s->queue, local);
    assert_int_equal(next(s), b.id);
    assert_int_equal(next(s), local.id); /* passes the one that waits for its agent */
    assert_int_equal(next(s), 0);
    ends(s, b.id);
    assert_int_equal(next(s), a.id);
}

static void no_more_than_each_copy_bears(void **state)
{
    struct scene *s = *state;
    s->vaults[0].copies[1].jobs = 2;
    add(&s->queue, job(s, JOB_BACKUP, "p1", "main"));
    add(&s->queue, job(s, JOB_PRUNE, "main", "main"));
    add(&s->queue, job(s, JOB_BACKUP, "p3", "main"));
    add(&s->queue, job(s, JOB_BACKUP, "p4", "other"));
    assert_int_equal(next(s), 1);
    assert_int_equal(next(s), 2);
    assert_int_equal(next(s), 4);
    assert_int_equal(next(s), 0);
    ends(s, 2);
    assert_int_equal(next(s), 3);
}

/* --- windows --------------------------------------------------------------------------------------------------- */
static int64_t at(const char *zone, int month, int day, int hour, int min)
{
    struct tm tm = { .tm_year = 126,
                     .tm_mon = month - 1,
                     .tm_mday = day,
                     .tm_hour = hour,
                     .tm_min = min,
                     .tm_isdst = -1 };
    setenv("TZ", zone, 1);
    tzset();
    return (int64_t)mktime(&tm);
}

static struct window window(const char *text)
{
    struct window w = { .set = true };
    assert_true(window_parse(text, &w.from_min, &w.to_min));
    return w;
}

static void check_window(const char *text, int64_t now_s, bool open, int64_t opens_s)
{
    struct window w = window(text);
    assert_int_equal(window_open(&w, now_s), open);
    assert_int_equal(window_opens_at(&w, now_s), opens_s);
}

static void a_window_goes_over_midnight(void **state)
{
    const char *z = "CST-8";
    check_window("20:00-06:00", at(z, 9, 21, 19, 59), false, at(z, 9, 21, 20, 0));
    check_window("20:00-06:00", at(z, 9, 21, 20, 0), true, at(z, 9, 21, 20, 0));
    check_window("20:00-06:00", at(z, 9, 22, 0, 0), true, at(z, 9, 22, 0, 0));
    check_window("20:00-06:00", at(z, 9, 22, 5, 59), true, at(z, 9, 22, 5, 59));
    check_window("20:00-06:00", at(z, 9, 22, 6, 0), false, at(z, 9, 22, 20, 0));
    check_window("01:00-02:00", at(z, 9, 22, 2, 0), false, at(z, 9, 23, 1, 0));
}

/* Berlin: 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00. */
static void a_window_on_a_night_when_the_clocks_change(void **state)
{
    const char *z = "CET-1CEST,M3.5.0,M10.5.0/3";
    int64_t spring = at(z, 3, 29, 1, 59) + 60; /* 03:00 */
    check_window("03:00-04:00", spring - 60, false, spring);
    check_window("02:30-04:00", spring, true, spring);
    int64_t autumn = at(z, 10, 25, 1, 59) + 60; /* the first 02:00 */
    check_window("02:00-03:00", autumn - 60, false, autumn);
    check_window("02:00-03:00", autumn + 90 * 60, true, autumn + 90 * 60); /* the second 02:30 */
    check_window("02:00-03:00", autumn + 120 * 60, false, at(z, 10, 26, 2, 0));
    /* Its beginning is left out: it opens at three. */
    check_window("02:30-04:00", spring - 1800, false, spring);
}

static void backups_begin_only_in_their_window(void **state)
{
    struct scene *s = *state;
    int64_t wake = 0, noon = at("UTC", 9, 21, 12, 0);
    struct job night = job(s, JOB_BACKUP, "night", "main"),
               at_noon = job(s, JOB_BACKUP, "noon", "main"),
               scrub = job(s, JOB_SCRUB, "night", "main");
    add(&s->queue, night);
    add(&s->queue, at_noon);
    add(&s->queue, scrub);
    assert_int_equal(next_at(s, noon, NULL), at_noon.id);
    assert_int_equal(next_at(s, noon, NULL),
                     scrub.id); /* has none, though a policy is called like its vault */
    assert_int_equal(next_at(s, noon, &wake), 0);
    assert_int_equal(wake, at("UTC", 9, 21, 20, 0));
    assert_int_equal(next_at(s, wake, NULL), night.id);
}

static void a_retry_that_falls_out_of_the_window_waits_for_the_next(void **state)
{
    struct scene *s = *state;
    int64_t wake = 0, morning = at("UTC", 9, 21, 5, 58);
    struct job night = job(s, JOB_BACKUP, "night", "main");
    night.not_before_s = morning + 300; /* 06:03 */
    add(&s->queue, night);
    assert_int_equal(next_at(s, morning, &wake), 0);
    assert_int_equal(wake, at("UTC", 9, 21, 20, 0));
    assert_int_equal(next_at(s, morning + 300, NULL), 0);
}

/* --- afterwards ---------------------------------------------------------------------------------------------------- */
static void check_after(enum job_kind kind, unsigned tries, struct job_outcome o,
                        enum job_state state, int64_t least_s, int64_t most_s)
{
    for (uint32_t chance = 0; chance < 4000000000u; chance += 400000001u) {
        struct job_outcome copy = o;
        struct job_verdict v = plan_after(kind, tries, 4, &copy, NOW, chance);
        assert_int_equal(v.state, state);
        if (state == JOB_QUEUED)
            assert_in_range(v.retry_at_s, NOW + least_s, NOW + most_s);
        assert_true(state == JOB_DONE || (copy.error[0] && copy.error_code[0]));
    }
}

static struct job_outcome outcome(int status, const char *code)
{
    struct job_outcome o = { .exit_status = status };
    snprintf(o.error_code, sizeof o.error_code, "%s", code);
    snprintf(o.error, sizeof o.error, "%s", code);
    return o;
}

static void done_and_degraded_are_not_tried_again(void **state)
{
    check_after(JOB_BACKUP, 1, outcome(0, ""), JOB_DONE, 0, 0);
    check_after(JOB_BACKUP, 1, outcome(3, "partial"), JOB_DEGRADED, 0, 0);
    check_after(JOB_SCRUB, 1, outcome(4, "damaged"), JOB_FAILED, 0, 0);
}

static void what_time_may_mend_is_tried_again_later_and_later(void **state)
{
    static const int64_t minutes[] = { 1, 5, 15, 30, 60, 60, 60 };
    for (unsigned tries = 1; tries <= 3; tries++)
        check_after(JOB_BACKUP, tries, outcome(1, "unreachable"), JOB_QUEUED,
                    minutes[tries - 1] * 48, minutes[tries - 1] * 72);
    check_after(JOB_BACKUP, 4, outcome(1, "unreachable"), JOB_FAILED, 0, 0);
    for (unsigned tries = 1; tries <= 7; tries++)
        assert_in_range(plan_backoff_s(tries, 12345), minutes[tries - 1] * 48,
                        minutes[tries - 1] * 72);
    assert_true(plan_backoff_s(3, 0) !=
                plan_backoff_s(3, 100)); /* many that failed together do not come back together */
}

static void what_a_person_must_mend_is_not(void **state)
{
    static const char *const codes[] = {
        "config", "refused", "key", "version", "absent", "rollback"
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        check_after(JOB_BACKUP, 1, outcome(1, codes[i]), JOB_FAILED, 0, 0);
}

static void busy_waits_however_often(void **state)
{
    check_after(JOB_BACKUP, 1, outcome(5, "busy"), JOB_QUEUED, 30, 60);
    check_after(JOB_BACKUP, 4, outcome(5, "busy"), JOB_QUEUED, 30, 60);
}

static void a_catch_up_goes_on_for_as_long_as_it_has_tries(void **state)
{
    check_after(JOB_REPLICATE, 2, outcome(3, "partial"), JOB_QUEUED, 240, 360);
    check_after(JOB_REPLICATE, 4, outcome(3, "partial"), JOB_DEGRADED, 0, 0);
}

static void a_killed_process_is_tried_again_and_counts(void **state)
{
    struct job_outcome killed = { .exit_status = 137, .killed = true };
    check_after(JOB_BACKUP, 1, killed, JOB_QUEUED, 48, 72);
    check_after(JOB_BACKUP, 4, killed, JOB_FAILED, 0, 0);
    check_after(JOB_BACKUP, 1, outcome(130, "interrupted"), JOB_QUEUED, 48, 72);
    check_after(JOB_BACKUP, 4, outcome(130, "interrupted"), JOB_FAILED, 0, 0);
    check_after(JOB_BACKUP, 1, outcome(1, ""), JOB_FAILED, 0,
                0); /* said nothing: not known to be worth it */
    plan_after(JOB_BACKUP, 1, 4, &killed, NOW, 0);
    assert_string_equal(killed.error_code,
                        "failed"); /* "interrupted" would cost no try, for ever */
}

static void what_we_stop_goes_on_at_once(void **state)
{
    struct job_outcome stopped = { .exit_status = 137, .killed = true, .stopped = true },
                       whole = { .stopped = true };
    check_after(JOB_BACKUP, 4, stopped, JOB_QUEUED, 0, 0);
    stopped = outcome(130, "interrupted");
    stopped.stopped = true;
    check_after(JOB_BACKUP, 4, stopped, JOB_QUEUED, 0, 0);
    plan_after(JOB_BACKUP, 4, 4, &stopped, NOW, 0);
    assert_string_equal(stopped.error_code, "interrupted");
    check_after(JOB_BACKUP, 4, whole, JOB_DONE, 0, 0); /* it was quicker */
    stopped = outcome(3, "partial");
    stopped.stopped = true;
    check_after(JOB_BACKUP, 4, stopped, JOB_DEGRADED, 0, 0);
}

static void what_was_cancelled_is_over(void **state)
{
    struct job_outcome o = { .exit_status = 130, .cancelled = true };
    check_after(JOB_BACKUP, 1, o, JOB_CANCELLED, 0, 0);
    o.exit_status = 0;
    check_after(JOB_BACKUP, 1, o, JOB_DONE, 0, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nothing_starts_from_an_empty_queue),
        T(higher_priority_first_then_who_waits_longer),
        T(before_its_time_a_job_waits_and_says_how_long),
        T(what_is_held_back_does_not_start),
        T(only_the_newest_of_the_same_work_is_done),
        T(the_same_work_is_not_done_twice_at_once),
        T(a_kind_of_a_newer_program_is_left_alone),
        T(no_more_than_jobs_at_once),
        T(no_more_than_its_agent_bears),
        T(no_more_than_each_copy_bears),
        T(a_window_goes_over_midnight),
        T(a_window_on_a_night_when_the_clocks_change),
        T(backups_begin_only_in_their_window),
        T(a_retry_that_falls_out_of_the_window_waits_for_the_next),
        T(done_and_degraded_are_not_tried_again),
        T(what_time_may_mend_is_tried_again_later_and_later),
        T(what_a_person_must_mend_is_not),
        T(busy_waits_however_often),
        T(a_catch_up_goes_on_for_as_long_as_it_has_tries),
        T(a_killed_process_is_tried_again_and_counts),
        T(what_we_stop_goes_on_at_once),
        T(what_was_cancelled_is_over),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
