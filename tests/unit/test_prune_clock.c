/* test_prune_clock.c - orchestrator/prune/clock.c: when prune believes this machine's clock. Moments are days. */
#include "orchestrator/prune/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY (86400 * 1000000000LL)
#define MAX_MOMENTS 16

struct moment {
    int64_t now, boot; /* days; boot 0: not known */
    int64_t newest;
};

static struct clock_fact fact(const struct moment *m)
{
    struct clock_fact f = { .now_ns = m->now * DAY,
                            .boot_ns = m->boot * DAY,
                            .newest_ns = (m->newest ? m->newest : m->now) * DAY };
    if (m->boot)
        snprintf(f.boot, sizeof f.boot, "this boot");
    return f;
}

/* known ends with 0. */
static void check(int line, bool believed, struct moment now, const struct moment *last,
                  const int64_t *known)
{
    struct clock_fact n = fact(&now), l = last ? fact(last) : n;
    int64_t ns[MAX_MOMENTS];
    size_t k = 0;
    struct err e = ERR_INIT;
    for (; known[k]; k++)
        ns[k] = known[k] * DAY;
    int rc = clock_judge(&n, last ? &l : NULL, ns, k, &e);
    if (rc != (believed ? 0 : -ERR_REFUSED))
        fail_msg("line %d: %d %s", line, rc, e.why);
    if (!believed && (!e.why[0] || !strstr(e.next, "--clock-is-right")))
        fail_msg("line %d: it does not say what to do", line);
}
#define KNOWN(...) ((const int64_t[]){ __VA_ARGS__, 0 })
#define NOW(day) ((struct moment){ .now = (day) })
#define NOW_RAN(day, ran) ((struct moment){ .now = (day), .boot = (ran) })
#define LAST(day) (&(struct moment){ .now = (day) })
#define LAST_RAN(day, ran) (&(struct moment){ .now = (day), .boot = (ran) })
#define LAST_SAW(day, seen) (&(struct moment){ .now = (day), .newest = (seen) })
#define YES(now, last, known) check(__LINE__, true, now, last, known)
#define NO(now, last, known) check(__LINE__, false, now, last, known)

static void behind_is_refused(void **state)
{
    YES(NOW(105), NULL, KNOWN(100, 101, 105));
    NO(NOW(104), NULL, KNOWN(100, 101, 105));
    NO(NOW(104), LAST(103), KNOWN(100, 101, 105));
    NO(NOW(104), LAST(105), KNOWN(100)); /* an earlier prune has seen a later time */
    /* What was there when the clock was last believed is not asked about again. */
    YES(NOW(104), LAST_SAW(103, 300), KNOWN(100, 300));
    NO(NOW(104), LAST_SAW(103, 300), KNOWN(100, 300, 301));
}

static void a_leap_is_refused(void **state)
{
    YES(NOW(108), NULL, KNOWN(100, 101));
    NO(NOW(109), NULL, KNOWN(100, 101));
    NO(NOW(500), LAST(101), KNOWN(100, 101));
    YES(NOW(107), LAST(101), KNOWN(100, 101));
    /* A run in between does not hide it. */
    NO(NOW(500), LAST(101), KNOWN(100, 101, 499));
    NO(NOW(500), NULL, KNOWN(100, 101, 499));
    /* A week with something in it each few days is none. */
    YES(NOW(120), LAST(101), KNOWN(100, 101, 105, 110, 116));
}

/* Who backs up once a month has gaps of a month. */
static void what_was_usual_is_plausible(void **state)
{
    YES(NOW(210), NULL, KNOWN(90, 120, 150, 180));
    NO(NOW(300), NULL, KNOWN(90, 120, 150, 180));
    YES(NOW(210), LAST(180), KNOWN(90, 120, 150, 180));
    NO(NOW(260), LAST(180), KNOWN(90, 120, 150, 180));
    /* A gap long ago, before all was well again, is of no interest. */
    YES(NOW(1004), NULL, KNOWN(100, 1000, 1001, 1002, 1003));
    YES(NOW(1004), LAST(1002), KNOWN(100, 1000, 1001, 1002, 1003));
}

static void the_time_since_boot_vouches(void **state)
{
    YES(NOW_RAN(160, 70), LAST_RAN(100, 10), KNOWN(90, 100)); /* idle for two months, and running */
    NO(NOW_RAN(160, 20), LAST_RAN(100, 10),
       KNOWN(90, 100)); /* ten days of running, sixty by the clock */
    NO(NOW_RAN(160, 20), LAST_RAN(100, 10), KNOWN(90, 100, 159));
    NO(NOW_RAN(103, 20), LAST_RAN(100, 10),
       KNOWN(90, 100)); /* ten days of running, three by the clock */
    YES(NOW_RAN(110, 20), LAST_RAN(100, 10), KNOWN(90, 100, 105));
    NO(NOW_RAN(160, 5), LAST_RAN(100, 10),
       KNOWN(90, 100)); /* it did not run longer: another boot */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behind_is_refused),
        cmocka_unit_test(a_leap_is_refused),
        cmocka_unit_test(what_was_usual_is_plausible),
        cmocka_unit_test(the_time_since_boot_vouches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
