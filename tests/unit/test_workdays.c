/* test_workdays.c - working days with the holidays and the working weekends of a year (PY-7.1), and the deadlines of twofold.yaml
 * and of a policy. */
#include "policies/settings.h"
#include "policies/workdays.h"
#include "tests/unit/conf_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define YEAR                                                               \
    "years: [2026]\nholidays:\n"                                           \
    "  - { from: 2026-10-01, to: 2026-10-07, name: National }\n"           \
    "  - { from: 2026-09-25, to: 2026-09-27 }\n  - { from: 2026-12-31 }\n" \
    "workdays: [2026-09-20, 2026-10-10]\n"

static int64_t local(const char *text)
{
    struct tm tm = { .tm_isdst = -1 };
    const char *end = strptime(text, "%Y-%m-%d %H:%M", &tm);
    assert_true(end && !*end);
    return mktime(&tm);
}

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static struct workdays *load(struct fixture *f, const char *text)
{
    struct workdays *w = NULL;
    if (text)
        write_conf(f, "", "holidays.yaml", text, strlen(text));
    assert_int_equal(workdays_load(&f->p, &w, &f->e), 0);
    return w;
}

static void test_days(void **state)
{
    static const struct {
        const char *day;
        bool work;
    } days
        [] = {
            { "2026-09-18 12:00", true },
            { "2026-09-19 12:00", false }, /* Friday, Saturday */
            { "2026-09-20 00:00", true },
            { "2026-09-20 23:59", true }, /* a Sunday on which people work */
            { "2026-09-30 23:59", true },
            { "2026-10-01 00:00", false },
            { "2026-10-07 23:59", false },
            { "2026-10-08 00:00", true },
            { "2026-10-10 12:00", true },
            { "2026-10-11 12:00", false },
            { "2026-12-31 12:00", false },
            { "2027-10-01 12:00", true }, /* nobody has said so yet */
        };
    struct workdays *w = load(*state, YEAR);
    set_zone("Asia/Shanghai");
    for (size_t i = 0; i < sizeof days / sizeof *days; i++)
        if (workdays_is(w, local(days[i].day)) != days[i].work)
            fail_msg("%s", days[i].day);
    assert_true(workdays_covers(w, local("2026-12-31 23:59")));
    assert_false(workdays_covers(w, local("2027-01-01 00:00")));
    assert_false(workdays_covers(NULL, local("2026-01-01 00:00")));
    workdays_free(w);
    set_zone("UTC");
}

static void test_after(void **state)
{
    static const struct {
        const char *from;
        unsigned days;
        const char *to;
    } spans[] = {
        { "2026-11-25 15:00", 1, "2026-11-26 15:00" }, /* Wednesday */
        { "2026-11-27 15:00", 1, "2026-11-30 15:00" }, /* over a weekend */
        { "2026-11-28 15:00", 1, "2026-12-01 00:00" }, /* begun on a Saturday: Monday, whole */
        { "2026-11-28 15:00", 2, "2026-12-02 00:00" },
        { "2026-09-18 10:00", 1, "2026-09-20 10:00" }, /* the Sunday is a working day */
        { "2026-09-20 10:00", 1, "2026-09-21 10:00" },
        { "2026-09-30 18:00", 1, "2026-10-08 18:00" }, /* over the holidays */
        { "2026-10-03 09:30", 1, "2026-10-09 00:00" }, /* within them */
        { "2026-10-09 09:30", 1, "2026-10-10 09:30" }, /* the Saturday is one */
        { "2026-10-09 09:30", 2, "2026-10-12 09:30" },
        { "2026-12-30 09:30", 1, "2027-01-01 09:30" }, /* 2027 is not known: a Friday */
    };
    struct workdays *w = load(*state, YEAR);
    set_zone("Asia/Shanghai");
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        int64_t got = workdays_after(w, local(spans[i].from), spans[i].days);
        if (got != local(spans[i].to))
            fail_msg("%s: %+ld s from what it should be", spans[i].from,
                     (long)(got - local(spans[i].to)));
    }
    workdays_free(w);
    set_zone("UTC");
}

static void test_no_file(void **state)
{
    struct workdays *w = load(*state, NULL);
    assert_false(workdays_covers(w, local("2026-10-01 12:00")));
    assert_true(workdays_is(w, local("2026-10-01 12:00")));
    assert_false(workdays_is(w, local("2026-09-20 12:00")));
    assert_int_equal(workdays_after(NULL, local("2026-11-27 15:00"), 1), local("2026-11-30 15:00"));
    workdays_free(w);
    workdays_free(NULL);
}

/* The same time of day, though an hour was left out in between. */
static void test_summer_time(void **state)
{
    (void)state;
    set_zone("Europe/Berlin");
    assert_int_equal(workdays_after(NULL, local("2026-03-27 12:00"), 1), local("2026-03-30 12:00"));
    set_zone("UTC");
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *line;
    } bad[] = {
        { "holidays:\n  - { from: 2026-10-07, to: 2026-10-01 }\n", "line 2" },
        { "holidays:\n  - { from: 2026-10-01, to: 2027-10-01 }\n", "line 2" },
        { "holidays:\n  - { from: 2026-02-30 }\n", "line 2" },
        { "holidays:\n  - { to: 2026-02-28 }\n", "line" },
        { "workdays:\n  - 2026-10-10\n  - tomorrow\n", "line 3" },
        { "years: [26]\n", "line 1" },
        { "weekends: []\n", "line 1" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct workdays *w = NULL;
        write_conf(f, "", "holidays.yaml", bad[i].text, strlen(bad[i].text));
        assert_int_equal(workdays_load(&f->p, &w, &f->e), -ERR_CONFIG);
        if (!strstr(f->e.what, bad[i].line) && !strstr(f->e.why, bad[i].line))
            fail_msg("%s: %s: %s", bad[i].text, f->e.what, f->e.why);
        err_clear(&f->e);
    }
}

/* --- deadlines ---------------------------------------------------------------------------------- */
static void assert_same(const struct incident_conf *a, const struct incident_conf *b)
{
    json_t *x = incident_conf_json(a), *y = incident_conf_json(b);
    assert_true(json_equal(x, y));
    json_decref(x);
    json_decref(y);
}

static void test_deadlines(void **state)
{
    struct fixture *f = *state;
    struct settings *s = NULL;
    struct policy *pol = NULL;
    const char *site = "incident:\n  first-report: 5m\n  experts: 2\n  remind: 90s\n";
    assert_int_equal(settings_load(&f->p, &s, &f->e), 0);
    assert_int_equal(s->incident.first_report_s, 1800);
    assert_int_equal(s->incident.level_s, 3600);
    assert_int_equal(s->incident.summary_s, 12 * 3600);
    settings_free(s);
    write_conf(f, "", "twofold.yaml", site, strlen(site));
    assert_int_equal(settings_load(&f->p, &s, &f->e), 0);
    policy_file(f, "etc.yaml", "files: { paths: [/etc] }\nincident: { level: 2h, experts: 3 }\n");
    assert_int_equal(policy_load(&f->p, "etc", &pol, &f->e), 0);
    struct incident_conf c = incident_conf_for(&s->incident, &pol->incident);
    assert_int_equal(c.first_report_s, 300);
    assert_int_equal(c.experts_days, 3);
    assert_int_equal(c.level_s, 7200);
    assert_int_equal(c.remind_s, 90);
    assert_int_equal(c.report_every_s, 1800);

    /* What an incident notes of them comes back, and nonsense changes nothing. */
    json_t *o = incident_conf_json(&c);
    struct incident_conf back = incident_conf_default();
    incident_conf_from_json(&back, o);
    assert_same(&back, &c);
    json_object_set_new(o, "level", json_integer(-5));
    json_object_set_new(o, "experts", json_integer(100000));
    json_object_set_new(o, "summary", json_string("soon"));
    incident_conf_from_json(&back, o);
    assert_same(&back, &c);
    incident_conf_from_json(&back, NULL);
    assert_same(&back, &c);
    json_decref(o);
    policy_free(pol);
    settings_free(s);
}

static void test_deadline_mistakes(void **state)
{
    static const char *const bad[] = { "incident: { level: soon }\n", "incident: { experts: 0 }\n",
                                       "incident: { first-repot: 5m }\n",
                                       "incident: { experts: 1d }\n" };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct settings *s = NULL;
        write_conf(f, "", "twofold.yaml", bad[i], strlen(bad[i]));
        assert_int_equal(settings_load(&f->p, &s, &f->e), -ERR_CONFIG);
        err_clear(&f->e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_days),
        TEST(test_after),
        TEST(test_no_file),
        TEST(test_summer_time),
        TEST(test_mistakes),
        TEST(test_deadlines),
        TEST(test_deadline_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
