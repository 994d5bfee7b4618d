/* test_retention.c - policies/retention.c: what stays, and why. Cases are tables of days in which one letter is one
 * snapshot: w whole, p partial, q quarantine, h whole and held; upper case where it is to stay. */
#include "policies/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NS 1000000000LL
#define DAY (86400 * NS)
#define MAX_SNAPS 4096

static struct retained snaps[MAX_SNAPS];
static size_t n_snaps;

static void zone(const char *tz)
{
    setenv("TZ", tz, 1);
    tzset();
}

static int64_t at(int year, int month, int day, int hour, int minute)
{
    struct tm tm = { .tm_year = year - 1900,
                     .tm_mon = month - 1,
                     .tm_mday = day,
                     .tm_hour = hour,
                     .tm_min = minute,
                     .tm_isdst = -1 };
    return (int64_t)mktime(&tm) * NS;
}

static struct retained *add(int64_t ns, char kind)
{
    assert_true(n_snaps < MAX_SNAPS);
    snaps[n_snaps] = (struct retained){ .received_ns = ns,
                                        .whole = strchr("wWhH", kind) != NULL,
                                        .quarantine = strchr("qQ", kind) != NULL,
                                        .hold = strchr("hH", kind) != NULL };
    return &snaps[n_snaps++];
}

static size_t kept(void)
{
    size_t n = 0;
    for (size_t i = 0; i < n_snaps; i++)
        n += snaps[i].rules != 0;
    return n;
}

static void apply(struct retention r, enum policy_class class)
{
    retention_apply(&r, class, n_snaps ? snaps[n_snaps - 1].received_ns : 0, snaps, n_snaps);
    for (size_t i = 0; i < n_snaps; i++)
        assert_int_equal(snaps[i].rules != 0, snaps[i].why[0] != '\0');
}

/* Blank: the next day. Snapshots of one day are an hour apart, the first at 01:00. */
static void check(const char *table, struct retention r)
{
    char got[128];
    int64_t day = at(2026, 3, 2, 1, 0), hour = 0; /* a Monday */
    size_t k = 0;
    n_snaps = 0;
    assert_true(strlen(table) < sizeof got);
    for (const char *p = table; *p; p++) {
        if (*p == ' ') {
            day += DAY;
            hour = 0;
            continue;
        }
        add(day + hour++ * 3600 * NS, *p);
    }
    apply(r, CLASS_DATA);
    for (size_t i = 0; table[i]; i++) {
        char lower = (char)(table[i] | 0x20);
        got[i] = table[i] == ' ' ? ' ' : snaps[k].rules ? (char)(lower & ~0x20) : lower;
        k += table[i] != ' ';
    }
    got[strlen(table)] = '\0';
    assert_string_equal(got, table);
}

static void without_rules_everything_stays(void **state)
{
    check("W W P Q H W", (struct retention){ .last = 6 });
    check("W W P Q H W", (struct retention){ 0 });
    assert_string_equal(snaps[0].why, "the policy has no retention");
    check("", (struct retention){ .daily = 1 });
}

static void rules_count_from_the_newest(void **state)
{
    zone("UTC");
    check("w w w W W W", (struct retention){ .last = 3 });
    check("wWW", (struct retention){ .last = 2 });
    check("www wwW wwW", (struct retention){ .daily = 2 });
    check("wwW    wwW wwW", (struct retention){ .daily = 3 }); /* days without any do not count */
    check("ww wW", (struct retention){ .daily = 1 });
    check("wWW", (struct retention){ .hourly = 2 });
    /* 2 March 2026 is a Monday: the seventh letter is that week's Sunday. */
    check("w w w w w w W w w W", (struct retention){ .weekly = 2 });
    check("w w w w w w w w w W", (struct retention){ .monthly = 3 });
    check("w w w w w w W w W W", (struct retention){ .daily = 2, .weekly = 2 });
    check("w w w w W W W", (struct retention){ .within_s = 2 * 86400 });
    check("w w w w W W W", (struct retention){ .within_s = 2 * 86400, .last = 1 });
    assert_string_equal(snaps[6].why, "last good one, last 1, within 2d");
    assert_int_equal(snaps[6].rules, KEPT_LAST_GOOD | KEPT_LAST | KEPT_WITHIN);
    check("wwwWWW", (struct retention){ .within_s = 2 * 3600 });
    assert_string_equal(snaps[3].why, "within 2h");
}

static void partial_ones_take_nobodys_place(void **state)
{
    zone("UTC");
    check("w Wp W", (struct retention){ .daily = 2 });     /* the whole one of that day */
    check("w W P W", (struct retention){ .daily = 2 });    /* a day with nothing better */
    check("p p P P", (struct retention){ .daily = 2 });    /* a source that is never whole */
    check("W p p P P", (struct retention){ .daily = 2 });  /* and one that was, once */
    check("p w p W P W", (struct retention){ .last = 2 }); /* not older than the last that counts */
    check("W P P P W W", (struct retention){ .last = 3, .daily = 2 });
    check("w W P", (struct retention){ .daily = 1 });
    check("w WpP", (struct retention){ .monthly = 1 }); /* the newest, until there is a newer one */
    assert_int_equal(snaps[3].rules, KEPT_NEWEST);
    check("w wpW", (struct retention){ .monthly = 1 });
    check("pP", (struct retention){ .yearly = 1 });
}

static void quarantine_is_a_line_of_its_own(void **state)
{
    zone("UTC");
    check("w W Q", (struct retention){ .last = 1 });
    check("w W q Q", (struct retention){ .last = 1 });
    check("w WQ", (struct retention){ .daily = 1 });
    check("W q q Q", (struct retention){ .monthly = 1 });
    assert_int_equal(snaps[3].rules, KEPT_MONTHLY);
    check("w W q Q Q", (struct retention){ .within_s = 86400 });
}

static void what_is_held_or_the_last_good_one_stays(void **state)
{
    zone("UTC");
    check("H w w W", (struct retention){ .last = 1 });
    assert_string_equal(snaps[0].why, "hold");
    check("H w W", (struct retention){ .yearly = 1 });
    /* The last good one is far older than what the rules reach. */
    check("w W p p p p P Q", (struct retention){ .within_s = 86400 });
    assert_string_equal(snaps[1].why, "last good one");
}

/* `floor` and `within` count from the newest receipt, or from now where that is earlier. */
static void logs_have_a_floor(void **state)
{
    static const struct {
        struct retention r;
        enum policy_class class;
        size_t kept;
    } cases[] = {
        { { .last = 1 }, CLASS_LOGS, 93 },
        { { .within_s = 30 * 86400 }, CLASS_LOGS, 93 },
        { { 0 }, CLASS_LOGS, 185 },
        { { .within_s = 100 * 86400 }, CLASS_LOGS, 101 },
        { { .last = 1 }, CLASS_DATA, 1 },
        { { 0 }, CLASS_DATA, 400 },
        { { .monthly = 6 }, CLASS_LOGS, 93 + 2 },
        { { .last = 1 }, CLASS_SECRET, 1 },
        { { .daily = 200 }, CLASS_LOGS, 200 },
    };
    zone("UTC");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        n_snaps = 0;
        for (int day = 0; day < 400; day++)
            add(at(2026, 1, 1, 2, 0) + day * DAY, 'w');
        apply(cases[i].r, cases[i].class);
        if (kept() != cases[i].kept)
            fail_msg("case %zu: %zu stay, not %zu", i, kept(), cases[i].kept);
        assert_int_equal(retention_is_set(&cases[i].r, cases[i].class), cases[i].kept != 400);
    }
    n_snaps = 0;
    add(at(2026, 1, 1, 2, 0), 'w');
    add(at(2026, 1, 2, 2, 0), 'q');
    add(at(2026, 1, 3, 2, 0), 'p');
    add(at(2026, 4, 4, 3, 0), 'w');
    apply((struct retention){ .last = 1 }, CLASS_LOGS);
    assert_int_equal(snaps[0].rules, 0);
    assert_int_equal(snaps[1].rules, KEPT_LAST);
    assert_int_equal(snaps[2].rules, KEPT_FLOOR);
    assert_string_equal(snaps[3].why, "last good one, floor of class logs, last 1");
}

/* A clock that stands far ahead of the newest snapshot makes nothing older than it is. */
static void where_backups_stop_retention_stops(void **state)
{
    struct retention r = { .within_s = 3 * 86400 };
    zone("UTC");
    n_snaps = 0;
    for (int day = 0; day < 10; day++)
        add(at(2026, 1, 1, 2, 0) + day * DAY, 'w');
    retention_apply(&r, CLASS_DATA, at(2036, 1, 1, 0, 0), snaps, n_snaps);
    assert_int_equal(kept(), 4);
    retention_apply(&r, CLASS_DATA, at(2026, 1, 5, 2, 0), snaps, n_snaps); /* behind */
    assert_int_equal(kept(), 9);
    retention_apply(&r, CLASS_LOGS, at(1980, 1, 5, 2, 0), snaps, n_snaps);
    assert_int_equal(kept(), 10);
    assert_int_equal(snaps[0].rules, KEPT_FUTURE);
    /* What comes from the future stays and pushes nothing out. */
    retention_apply(&(struct retention){ .daily = 2 }, CLASS_DATA, at(2026, 1, 7, 3, 0), snaps,
                    n_snaps);
    assert_int_equal(kept(), 5);
    assert_string_equal(snaps[7].why, "received in the future");
    assert_string_equal(snaps[6].why, "last good one, daily 2026-01-07");
    assert_int_equal(snaps[4].rules, 0);
    r.within_s = UINT64_MAX;
    retention_apply(&r, CLASS_DATA, INT64_MAX, snaps, n_snaps);
    assert_int_equal(kept(), 10);
}

/* A clock that was ahead once: what came until its time was reached has no time of its own, and is not one day. */
static void what_has_no_time_of_its_own_stays(void **state)
{
    zone("UTC");
    n_snaps = 0;
    for (int day = 0; day < 3; day++)
        add(at(2026, 1, 1, 2, 0) + day * DAY, 'w');
    int64_t ahead = at(2026, 1, 23, 2, 0);
    for (int i = 0; i < 15; i++)
        add(ahead + i, 'w');
    add(at(2026, 1, 24, 2, 0), 'w');
    retention_apply(&(struct retention){ .daily = 3 }, CLASS_DATA, at(2026, 1, 24, 3, 0), snaps,
                    n_snaps);
    assert_int_equal(kept(), 1 + 14 + 1); /* 2026-01-03; those without a time; the newest */
    assert_int_equal(snaps[2].rules, KEPT_DAILY);
    assert_int_equal(snaps[3].rules,
                     0); /* the 23rd, by a clock that was believed; of that day another stays */
    assert_int_equal(snaps[4].rules, KEPT_UNDATED);
    assert_int_equal(snaps[17].rules, KEPT_DAILY | KEPT_UNDATED);
}

static void buckets_are_those_of_local_time(void **state)
{
    /* 23:30 and 00:30 in Shanghai are one day in UTC and two there. */
    zone("CST-8");
    n_snaps = 0;
    add(at(2026, 5, 1, 23, 30), 'w');
    add(at(2026, 5, 2, 0, 30), 'w');
    apply((struct retention){ .daily = 2 }, CLASS_DATA);
    assert_string_equal(snaps[0].why, "daily 2026-05-01");
    assert_string_equal(snaps[1].why, "last good one, daily 2026-05-02");
    zone("UTC");
    apply((struct retention){ .daily = 2 }, CLASS_DATA);
    assert_int_equal(kept(), 1);
}

static void clocks_that_change(void **state)
{
    zone("CET-1CEST,M3.5.0,M10.5.0/3");
    /* 25 October 2026 has 25 hours, of which 02:00 to 03:00 comes twice. */
    int64_t midnight = at(2026, 10, 25, 0, 0);
    n_snaps = 0;
    for (int half = 0; half < 50; half++)
        add(midnight + half * 1800 * NS, 'w');
    apply((struct retention){ .hourly = 100 }, CLASS_DATA);
    assert_int_equal(kept(), 25);
    assert_string_equal(snaps[5].why, "hourly 2026-10-25 02:00");
    assert_string_equal(snaps[7].why, "hourly 2026-10-25 02:00");
    apply((struct retention){ .daily = 100 }, CLASS_DATA);
    assert_int_equal(kept(), 1);
    /* 29 March has 23. */
    midnight = at(2026, 3, 29, 0, 0);
    n_snaps = 0;
    for (int half = 0; half < 48; half++)
        add(midnight + half * 1800 * NS, 'w');
    apply((struct retention){ .hourly = 100 }, CLASS_DATA);
    assert_int_equal(kept(), 24);
    apply((struct retention){ .daily = 100 }, CLASS_DATA);
    assert_int_equal(kept(), 2);
    assert_string_equal(snaps[45].why, "daily 2026-03-29");
}

static void weeks_months_and_years(void **state)
{
    zone("UTC");
    n_snaps = 0;
    for (int day = 0; day < 3 * 366; day++) /* 2023-12-01 on, over a leap year */
        add(at(2023, 12, 1, 12, 0) + day * DAY, 'w');
    apply((struct retention){ .monthly = 36 }, CLASS_DATA);
    assert_int_equal(kept(), 37 - 1);
    assert_string_equal(snaps[90].why, "monthly 2024-02"); /* the 29th */
    assert_int_equal(snaps[89].rules, 0);
    apply((struct retention){ .yearly = 10 }, CLASS_DATA);
    assert_int_equal(kept(), 4);
    assert_string_equal(snaps[30].why, "yearly 2023");
    apply((struct retention){ .weekly = 1000 }, CLASS_DATA);
    /* Monday 30 December 2024 to Sunday 5 January 2025 is the first week of 2025. */
    assert_string_equal(snaps[401].why, "weekly 2025-W01");
    assert_int_equal(snaps[396].rules, 0);
    assert_string_equal(snaps[394].why, "weekly 2024-W52");
}

static void two_in_one_second(void **state)
{
    zone("UTC");
    n_snaps = 0;
    int64_t t = at(2026, 1, 1, 0, 0);
    add(t + 10, 'w');
    add(t + 20, 'w');
    add(t + 20, 'w');
    apply((struct retention){ .hourly = 3 }, CLASS_DATA);
    assert_int_equal(snaps[0].rules, 0);
    assert_int_equal(snaps[1].rules, 0);
    assert_int_equal(snaps[2].rules, KEPT_HOURLY | KEPT_LAST_GOOD);
    apply((struct retention){ .last = 2 }, CLASS_DATA);
    assert_int_equal(kept(), 2);
    /* The last nanosecond of a day, and before 1970. */
    n_snaps = 0;
    add(-DAY - 1, 'w');
    add(-DAY + 5, 'w');
    add(-1, 'w');
    add(5, 'w');
    apply((struct retention){ .daily = 9 }, CLASS_DATA);
    assert_int_equal(kept(), 3);
    assert_string_equal(snaps[2].why, "daily 1969-12-31");
}

static void rules_have_names(void **state)
{
    assert_string_equal(retention_rule_name(KEPT_HOLD), "hold");
    assert_string_equal(retention_rule_name(KEPT_ALL), "all");
    for (unsigned bit = KEPT_HOLD; bit <= KEPT_ALL; bit <<= 1)
        assert_true(retention_rule_name(bit)[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules_everything_stays),
        cmocka_unit_test(rules_count_from_the_newest),
        cmocka_unit_test(partial_ones_take_nobodys_place),
        cmocka_unit_test(quarantine_is_a_line_of_its_own),
        cmocka_unit_test(what_is_held_or_the_last_good_one_stays),
        cmocka_unit_test(logs_have_a_floor),
        cmocka_unit_test(where_backups_stop_retention_stops),
        cmocka_unit_test(what_has_no_time_of_its_own_stays),
        cmocka_unit_test(buckets_are_those_of_local_time),
        cmocka_unit_test(clocks_that_change),
        cmocka_unit_test(weeks_months_and_years),
        cmocka_unit_test(two_in_one_second),
        cmocka_unit_test(rules_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
