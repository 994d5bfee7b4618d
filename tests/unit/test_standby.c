/* test_standby.c - orchestrator/crash/standby_serving.c: whose data a policy's backups are, by the timelines that there are. */
#include "orchestrator/crash/standby.h"
#include "lib/base/sys.h"
#include "tests/unit/sys_kit.h"
#include "tests/unit/timeline_kit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 1764118800

static struct config_paths p;
static struct policy *policy;

static int setup(void **state)
{
    if (sys_kit_setup(state) != 0)
        return -1;
    struct fixture *f = *state;
    p = (struct config_paths){ .config_dir = f->dir, .state_dir = f->dir };
    policy = policy_new("billing");
    assert_non_null(policy);
    free(policy->agent);
    policy->agent = strdup("db1");
    policy->crash.standby_on = strdup("db2");
    return 0;
}

static int teardown(void **state)
{
    policy_free(policy);
    return sys_kit_teardown(state);
}

static void step(struct line_kit *k, int64_t at_s, const char *name)
{
    kit_line(k, at_s, "step", "{s:s, s:s}", "step", name, "state", "intent");
    kit_line(k, at_s, "step", "{s:s, s:s, s:{s:b}}", "step", name, "state", "done", "facts",
             "proven", true);
}

static void opened(struct line_kit *k, int64_t at_s, bool drill)
{
    kit_line(k, at_s, "opened", "{s:s, s:s, s:s, s:s, s:b, s:{s:{s:s}}}", "policy", "billing",
             "agent", "db1", "vault", "main", "cause", "fault", "drill", drill, "settings",
             "standby", "on", "db2");
}

static void took_over(struct line_kit *k, int64_t at_s)
{
    step(k, at_s, "fence");
    step(k, at_s, "promote");
    step(k, at_s, "standby-check");
    step(k, at_s, "switch");
    kit_line(k, at_s, "recovered", NULL);
}

static void put(struct line_kit *k, const char *id)
{
    struct err e = ERR_INIT;
    if (incident_adopt(&p, id, k->bytes.p, k->bytes.len, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    kit_done(k);
}

static int serves(struct standby_serving *ret)
{
    struct err e = ERR_INIT;
    return standby_serving(&p, policy, ret, &e);
}

static void test_serving(void **state)
{
    struct line_kit k = { 0 };
    struct standby_serving s;
    (void)state;
    assert_int_equal(serves(&s), 0);
    opened(&k, T0, false);
    took_over(&k, T0 + 60);
    kit_line(&k, T0 + 90, "closed", NULL); /* the standby stays */
    put(&k, "billing-20251126-0001");
    assert_int_equal(serves(&s), 1);
    assert_string_equal(s.agent, "db2");
    assert_string_equal(s.incident, "billing-20251126-0001");
    assert_int_equal(s.since_s, T0 + 60);
    assert_true(s.fence_proven);
    /* it is the policy's host now */
    free(policy->agent);
    policy->agent = strdup("db2");
    assert_int_equal(serves(&s), 0);
}

static void test_back(void **state)
{
    struct line_kit k = { 0 };
    struct standby_serving s;
    (void)state;
    opened(&k, T0, false);
    took_over(&k, T0 + 60);
    step(&k, T0 + 100, "reseed-fence");
    step(&k, T0 + 100, "reseed");
    step(&k, T0 + 200, "failback-ready");
    step(&k, T0 + 200, "failback-stop");
    step(&k, T0 + 200, "failback-compare");
    kit_line(&k, T0 + 201, "step", "{s:s, s:s}", "step", "failback-promote", "state", "intent");
    put(&k, "billing-20251126-0001");
    assert_int_equal(serves(&s), 0);
}

static void test_newer_ones(void **state)
{
    struct line_kit k = { 0 };
    struct standby_serving s;
    (void)state;
    opened(&k, T0, false);
    took_over(&k, T0 + 60);
    put(&k, "billing-20251126-0001");
    opened(&k, T0 + 1000, true); /* a drill says nothing of it */
    kit_line(&k, T0 + 1001, "recovered", NULL);
    put(&k, "drill-billing-20251126-0002");
    assert_int_equal(serves(&s), 1);
    opened(&k, T0 + 2000, false); /* nor one in which nothing was done yet */
    put(&k, "billing-20251126-0003");
    assert_int_equal(serves(&s), 1);
    opened(&k, T0 + 3000, false); /* the primary was restored */
    kit_line(&k, T0 + 3001, "recovered", NULL);
    put(&k, "billing-20251126-0004");
    assert_int_equal(serves(&s), 0);
}

/* Of a timeline that cannot be read nobody knows what it says. */
static void test_damaged(void **state)
{
    struct line_kit k = { 0 };
    struct standby_serving s;
    struct err e = ERR_INIT;
    char file[400];
    (void)state;
    opened(&k, T0, false);
    took_over(&k, T0 + 60);
    put(&k, "billing-20251126-0001");
    snprintf(file, sizeof file, "%s/incidents/billing-20251126-0001/timeline", p.state_dir);
    int fd = sys_openat(AT_FDCWD, file, O_WRONLY, 0, &e);
    assert_true(fd >= 0);
    assert_int_equal(sys_pwrite(fd, "xxxx", 4, 10, &e), 0);
    assert_int_equal(sys_close(fd, &e), 0);
    assert_int_equal(standby_serving(&p, policy, &s, &e), -ERR_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_serving, setup, teardown),
        cmocka_unit_test_setup_teardown(test_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
