/* test_drill.c - orchestrator/drill: what a drill fails for, by name; when one is due; what the past ones say. */
#include "orchestrator/drill/drill.h"
#include "orchestrator/recovered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START 1000000
#define DAY 86400
#define BIT(r) (1u << (r))

static struct drill_measured good(void)
{
    return (struct drill_measured){ .started_s = START,
                                    .verified_s = START + 60,
                                    .rto_ms = 60000,
                                    .recovered_to_s = START - 30,
                                    .max_rto_s = 60,
                                    .max_rpo_s = 30,
                                    .end = RESTORE_WHOLE,
                                    .attempts = 1,
                                    .checks = 5 };
}

static void test_passed(void **state)
{
    (void)state;
    struct drill_measured m = good();
    assert_int_equal(drill_judge(&m), 0);
    assert_int_equal(drill_status(0), 0);
    assert_int_equal(drill_rpo_s(&m), 30);
    m.end = RESTORE_PROBLEMS; /* an owner that could not be given */
    assert_int_equal(drill_judge(&m), 0);
    m.recovered_to_s = START + 5; /* what was committed meanwhile came, too */
    assert_int_equal(drill_rpo_s(&m), 0);
    m.max_rto_s = m.max_rpo_s = 0;
    m.rto_ms = 1000000000;
    m.recovered_to_s = 1;
    assert_int_equal(drill_judge(&m), 0);
}

static void fails(struct drill_measured m, unsigned reasons, int status)
{
    assert_int_equal(drill_judge(&m), reasons);
    assert_int_equal(drill_status(reasons), status);
}

static void test_reasons(void **state)
{
    (void)state;
    struct drill_measured m = good();
    m.rto_ms = 60001;
    fails(m, BIT(DRILL_OVER_RTO), 1);
    m.recovered_to_s--;
    fails(m, BIT(DRILL_OVER_RTO) | BIT(DRILL_OVER_RPO), 1);
    m = good();
    m.recovered_to_s = 0; /* nobody knows: that is not little */
    fails(m, BIT(DRILL_OVER_RPO), 1);
    m = good();
    m.damaged = 1; /* another copy stood in for it */
    fails(m, BIT(DRILL_COPY_DAMAGED), 4);
    m.attempts = 2;
    fails(m, BIT(DRILL_COPY_DAMAGED) | BIT(DRILL_OLDER), 4);
    m = good();
    m.log_broken = true; /* and it came well, as far as it came */
    fails(m, BIT(DRILL_LOG_BROKEN), 4);
    m = good();
    m.damaged = m.damaged_logs = 1;
    fails(m, BIT(DRILL_COPY_DAMAGED), 4); /* another copy had it */
    m.log_gap = true;                     /* no copy has any of it that can be read */
    fails(m, BIT(DRILL_COPY_DAMAGED) | BIT(DRILL_LOG_BROKEN), 4);
    m = good();
    m.differ = 1;
    m.end = RESTORE_CHECK_FAILED;
    m.verified_s = 0;
    fails(m, BIT(DRILL_FILES_DIFFER), 4);
    m = good();
    m.missing = 3;
    m.end = RESTORE_IN_PART;
    m.verified_s = 0;
    fails(m, BIT(DRILL_IN_PART), 4);
}

static void test_not_restored(void **state)
{
    (void)state;
    struct drill_measured m = good();
    m.verified_s = 0;
    m.rto_ms = 0;
    m.end = RESTORE_AWAY;
    fails(m, BIT(DRILL_NOT_RESTORED), 1);
    m.end = RESTORE_DAMAGED;
    fails(m, BIT(DRILL_COPY_DAMAGED) | BIT(DRILL_NOT_RESTORED), 4);
    m.end = RESTORE_STOPPED;
    fails(m, BIT(DRILL_STOPPED), 130);
    m.end = RESTORE_CHECK_FAILED;
    m.wrong = 1;
    fails(m, BIT(DRILL_CHECK_FALSE), 4);
    m.no_start = true; /* the one that is wrong */
    fails(m, BIT(DRILL_NOT_STARTED), 1);
}

static void test_facts(void **state)
{
    (void)state;
    struct drill_measured m = { .recovered_to_s = 7 };
    json_t *f = json_pack("{s:[{s:s,s:b},{s:s,s:b}], s:[{s:f,s:f,s:f},{s:f,s:f}]}", "check", "name",
                          "started", "ok", 1, "name", "sql", "ok", 0, "recovered", "known_at",
                          500.9, "last_commit_at", 400.0, "backup_end_at", 100.0, "known_at", 0.0,
                          "backup_end_at", 450.0);
    drill_take_facts(f, NULL, &m);
    assert_int_equal(m.checks, 2);
    assert_int_equal(m.wrong, 1);
    assert_false(m.no_start);
    assert_int_equal(m.recovered_to_s, 450); /* of two databases the one that lost more */
    json_decref(f);
    f = json_pack("{s:[{s:s,s:b}]}", "check", "name", "started", "ok", 0);
    m.recovered_to_s = 7;
    drill_take_facts(f, NULL, &m);
    assert_true(m.no_start);
    assert_int_equal(m.recovered_to_s, 7); /* nothing was said of it */
    json_decref(f);
    assert_false(m.log_broken);
    f = json_pack("{s:[{s:i,s:b},{s:i}]}", "recovered", "last_commit_at", 9, "damaged", 1,
                  "last_commit_at", 8);
    drill_take_facts(f, NULL, &m);
    assert_true(m.log_broken);
    json_decref(f);
    drill_take_facts(NULL, NULL, &m);
    assert_false(m.log_broken);
    assert_int_equal(m.checks, 0);
}

/* Up to when a database came back, of what its driver said: gap, beyond, known, commit, end of the backup, asked. */
static void test_recovered(void **state)
{
    (void)state;
    static const struct {
        const char *gap;
        bool beyond;
        int known, commit, end, asked, to;
    } cases[] = {
        { "", false, 500, 400, 100, 0, 500 }, /* quiet since its last commit, and followed on */
        { "", false, 500, 510, 100, 0, 510 }, /* what survived had more */
        { "a gap", false, 500, 400, 100, 0, 400 }, /* followed on, but not what was replayed */
        { "a gap", false, 500, 0, 100, 0, 100 },
        { "", false, 0, 400, 450, 0, 450 },
        { "", true, 500, 200, 100, 300, 300 },  /* gone back on purpose: quiet until then */
        { "", true, 500, 200, 100, 0, 200 },    /* to a position */
        { "", false, 500, 200, 100, 300, 300 }, /* nothing was there behind it */
        { "", false, 250, 200, 100, 300, 250 }, /* known so far only */
        { "a tablespace", true, 500, 200, 100, 300, 200 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recovered r;
        json_t *one = json_pack("{s:s, s:b, s:i, s:i, s:i, s:i}", "gap", cases[i].gap, "beyond",
                                cases[i].beyond, "known_at", cases[i].known, "last_commit_at",
                                cases[i].commit, "backup_end_at", cases[i].end, "expected_at",
                                cases[i].asked);
        recovered_of(one, &r);
        if (r.to_s != cases[i].to)
            fail_msg("case %zu: %lld", i, (long long)r.to_s);
        json_decref(one);
    }
}

/* Of all that a policy backs up, what lost most; what tells nothing of itself is of the time of the backup. */
static void least_is(const char *facts, const struct policy *pol, int64_t to, const char *gap)
{
    struct recovered r;
    json_t *f = json_loads(facts, 0, NULL);
    recovered_least(f, pol, 100, &r);
    if (r.to_s != to || strcmp(r.gap, gap) != 0)
        fail_msg("%s: %lld \"%s\"", facts, (long long)r.to_s, r.gap);
    json_decref(f);
}

static void test_least(void **state)
{
    (void)state;
    struct source_spec pg = { .kind = "postgresql" };
    struct policy db = { .sources = &pg, .n_sources = 1 };
    struct policy mixed = db;
    mixed.n_paths = 1;
    static const char one[] =
        "{\"recovered\": [{\"kind\": \"postgresql\", \"last_commit_at\": 200.5}]}";
    least_is(one, &db, 200, "");
    least_is(one, &mixed, 100, ""); /* its files went back to the backup */
    least_is("{}", &db, 100, "");
    least_is("{\"recovered\": [{\"kind\": \"mariadb\", \"last_commit_at\": 200}]}", &db, 100, "");
    least_is("{\"recovered\": [{\"last_commit_at\": 200}, {\"kind\": \"x\"}]}", NULL, 0, "");
    least_is("{\"recovered\": [{\"last_commit_at\": 200, \"gap\": \"g\"}, {\"known_at\": 150}]}",
             NULL, 150, "g");
    least_is("{\"recovered\": [{\"known_at\": 1e300, \"backup_end_at\": 150}]}", NULL, 150, "");
    least_is("{\"recovered\": [{\"known_at\": -1e300}]}", NULL, 0, "");
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRILL_REASONS; i++)
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(drill_reason_name(i), drill_reason_name(k));
}

static void test_due(void **state)
{
    (void)state;
    struct drill_conf c = { .every_s = 365 * DAY };
    assert_int_equal(drill_due_s(&c, 0, START), START + 358 * DAY);
    assert_int_equal(drill_due_s(&c, 2 * START, START), 2 * START + 358 * DAY);
    c.every_s = 10 * DAY; /* a tenth of it, where that is less than a week */
    assert_int_equal(drill_due_s(&c, START, 0), START + 9 * DAY);
}

static void add_past(struct drill_past *p, int64_t at, const char *state, const char *text)
{
    bool stopped = strcmp(state, "stopped") == 0;
    json_t *line = json_pack("{s:s, s:s, s:s, s:{s:i, s:i, s:[s]}}", "step", "drill", "state",
                             stopped ? "failed" : state, "text", text, "facts", "rto_ms", 1500,
                             "rpo_s", 3, "reasons", stopped ? "stopped" : "over-rto");
    struct event ev = { .seq = 2, .at_s = at, .kind = EVENT_STEP, .body = line };
    struct incident inc = { .events = &ev, .n = 1, .policy = "p", .drill = true };
    drill_past_add(&inc, p);
    inc.drill = false; /* an incident is none */
    ev.at_s = at + 1000;
    drill_past_add(&inc, p);
    json_decref(line);
}

static void test_past(void **state)
{
    (void)state;
    struct drill_past p = { .rpo_s = -1 };
    add_past(&p, 300, "failed", "too slow"); /* newest first, as they come */
    add_past(&p, 200, "done", "passed");
    add_past(&p, 100, "done", "passed");
    assert_int_equal(p.last_s, 300);
    assert_int_equal(p.passed_s, 200);
    assert_true(p.failed);
    assert_string_equal(p.why, "too slow");
    assert_int_equal(p.rto_ms, 1500);
    add_past(&p, 400, "done", "passed");
    assert_false(p.failed);
    assert_string_equal(p.why, "");
    add_past(&p, 500, "stopped", "it was interrupted");
    assert_int_equal(p.last_s, 400);
    add_past(&p, 600, "failed", "the newest");
    add_past(&p, 600, "failed", "of the same second");
    assert_string_equal(p.why, "the newest");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passed),       cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_not_restored), cmocka_unit_test(test_facts),
        cmocka_unit_test(test_recovered),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_least),        cmocka_unit_test(test_due),
        cmocka_unit_test(test_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
