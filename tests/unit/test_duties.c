/* test_duties.c - the incident clock (restore/incident/duties.h): each duty at its minute, before, at and after; what does it, what makes it
 * needless; clocks that jump; an incident of weeks; one that is closed. */
#include "restore/incident/duties.h"
#include "tests/unit/timeline_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define T0 INT64_C(1795680000) /* a Thursday, 08:00 UTC */
#define MIN(n) (T0 + (n)*INT64_C(60))
#define HOUR(n) (T0 + (n)*INT64_C(3600))
#define DAY(n) (T0 + (n)*INT64_C(86400))

static const char *const two_units[] = { "County", "Town", NULL };
static const char *const *units;
static struct incident_conf conf;

static int setup(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    units = NULL;
    conf = incident_conf_default();
    return 0;
}

static void opened(struct line_kit *k, const char *cause)
{
    *k = (struct line_kit){ 0 };
    kit_line(k, T0, "opened", "{s:s, s:s, s:s, s:s}", "policy", "billing", "vault", "main", "agent",
             "local", "cause", cause);
}

static struct duty_list list_at(const struct line_kit *k, int64_t now_s)
{
    struct incident *inc = kit_incident(k);
    struct duty_rules r = { .conf = conf, .units = units };
    struct duty_list l;
    assert_int_equal(duties_of(inc, &r, now_s, &l, NULL), 0);
    for (size_t i = 1; i < l.n; i++)
        assert_true(l.all[i - 1].due_s <= l.all[i].due_s);
    incident_free(inc);
    return l;
}

static const struct duty *pick(const struct duty_list *l, const char *id, unsigned number)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->all[i].id, id) == 0 && l->all[i].number == number)
            return &l->all[i];
    return NULL;
}

/* "coming", "done", … or "-" where it is not on the list. */
static void expect(const struct line_kit *k, int64_t now_s, const char *id, unsigned number,
                   const char *want)
{
    struct duty_list l = list_at(k, now_s);
    const struct duty *d = pick(&l, id, number);
    const char *got = d ? duty_state_name(d->state) : "-";
    if (strcmp(got, want) != 0)
        fail_msg("%s %u at %+ld s: %s, not %s", id, number, (long)(now_s - T0), got, want);
    duties_done(&l);
}

/* Coming, then due from the lead on, up to its very second, then overdue. */
static void expect_minute(const struct line_kit *k, const char *id, unsigned number, int64_t due_s,
                          int64_t lead_s)
{
    struct duty_list l = list_at(k, T0);
    const struct duty *d = pick(&l, id, number);
    if (!d || d->due_s != due_s || d->remind_s != due_s - lead_s)
        fail_msg("%s %u: due %+ld s, reminded %+ld s", id, number, d ? (long)(d->due_s - T0) : -1,
                 d ? (long)(d->remind_s - T0) : -1);
    duties_done(&l);
    expect(k, due_s - lead_s - 1, id, number, "coming");
    expect(k, due_s - lead_s, id, number, "due");
    expect(k, due_s - 1, id, number, "due");
    expect(k, due_s, id, number, "due");
    expect(k, due_s + 1, id, number, "overdue");
    expect(k, due_s + 1000000, id, number, "overdue");
}

/* --- each at its minute ------------------------------------------------------------------------- */
static void each_at_its_minute(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "attack");
    units = two_units;
    expect_minute(&k, "hold-uploads", 0, MIN(10), 300);
    expect_minute(&k, "on-site", 0, MIN(10), 300);
    expect_minute(&k, "first-report", 0, MIN(30), 600);
    expect_minute(&k, "level", 0, HOUR(1), 600);
    expect_minute(&k, "investigation", 0, HOUR(1), 600);
    expect_minute(&k, "superior-help", 0, HOUR(24), 600);
    expect_minute(&k, "experts", 0, DAY(1), 600); /* Friday, the same hour */
    expect(&k, DAY(30), "report", 2, "-");        /* one report at a time */
    expect(&k, DAY(30), "daily", 1, "-");
    expect(&k, DAY(30), "summary", 0, "-");
    expect(&k, DAY(30), "resume-uploads", 0, "-");
    kit_done(&k);
    opened(&k, "fault");
    expect(&k, DAY(1), "on-site", 0, "-");
    expect(&k, DAY(1), "first-report", 0, "overdue");
    kit_done(&k);
}

static void own_deadlines(void **state)
{
    struct line_kit k = { 0 };
    (void)state;
    conf.first_report_s = 300; /* JZ-8 */
    conf.experts_days = 3;
    conf.remind_s = 60;
    opened(&k, "fault");
    expect_minute(&k, "first-report", 0, MIN(5), 60);
    expect_minute(&k, "experts", 0, DAY(5), 60); /* over the weekend */
    struct duty_list l = list_at(&k, T0);
    assert_string_equal(pick(&l, "first-report", 0)->row, "JZ-8");
    duties_done(&l);
    kit_done(&k);

    /* What the opening noted holds, whatever the configuration says now; for what it does not say, the site's. */
    kit_line(&k, T0, "opened", "{s:s, s:{s:{s:i, s:i}}}", "policy", "billing", "settings",
             "incident", "level", 7200, "experts", 2);
    struct incident *inc = kit_incident(&k);
    struct incident_conf c = duty_conf(inc, &conf);
    assert_int_equal(c.level_s, 7200);
    assert_int_equal(c.experts_days, 2);
    assert_int_equal(c.first_report_s, 300);
    assert_int_equal(duty_conf(inc, NULL).first_report_s, 1800);
    incident_free(inc);
    kit_done(&k);
}

/* It was down before anybody knew: that counts for the investigation, not for the report. */
static void down_before_the_opening(void **state)
{
    struct line_kit k = { 0 };
    (void)state;
    kit_line(&k, T0, "opened", "{s:s, s:I}", "policy", "billing", "crashed",
             (json_int_t)(T0 - 5 * 3600));
    expect(&k, T0, "investigation", 0, "overdue");
    expect(&k, T0, "first-report", 0, "coming");
    expect_minute(&k, "first-report", 0, MIN(30), 600);
    struct duty_list l = list_at(&k, T0);
    assert_int_equal(pick(&l, "investigation", 0)->due_s, HOUR(-4));
    assert_int_equal(pick(&l, "experts", 0)->due_s, HOUR(19));
    duties_done(&l);
    kit_done(&k);
}

/* --- reports ------------------------------------------------------------------------------------ */
static void report(struct line_kit *k, int64_t at_s, const char *form, int number)
{
    kit_line(k, at_s, "report", "{s:s, s:i}", "form", form, "number", number);
}

static void every_half_hour(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "fault");
    report(&k, MIN(4), "incident", 1);
    expect(&k, MIN(4), "first-report", 0, "done");
    expect_minute(&k, "report", 2, MIN(34), 600);
    expect(&k, MIN(34), "report", 3, "-");
    report(&k, MIN(90), "incident", 2); /* late: the next counts from it */
    expect(&k, MIN(91), "report", 2, "done");
    expect_minute(&k, "report", 3, MIN(120), 600);
    report(&k, MIN(95), "incident", 2); /* printed once more */
    report(&k, MIN(96), "summary", 1);
    expect_minute(&k, "report", 3, MIN(120), 600);
    report(&k, MIN(119), "incident", 5); /* somebody numbers them otherwise */
    expect(&k, MIN(119), "report", 3, "-");
    expect(&k, MIN(119), "report", 5, "done");
    expect_minute(&k, "report", 6, MIN(149), 600);
    kit_line(&k, MIN(150), "duty", "{s:s, s:s, s:i, s:I}", "duty", "report", "state", "done",
             "number", 6, "done", (json_int_t)MIN(140)); /* by telephone, noted later */
    expect(&k, MIN(150), "report", 6, "done");
    expect_minute(&k, "report", 7, MIN(170), 600);
    kit_line(&k, MIN(171), "recovered", NULL);
    expect(&k, MIN(171), "report", 7, "not-needed"); /* even though it was overdue */
    expect(&k, MIN(171), "report", 6, "done");
    kit_done(&k);

    /* The second alone: then the first was made, too. */
    opened(&k, "fault");
    report(&k, MIN(20), "incident", 2);
    expect(&k, MIN(20), "first-report", 0, "done");
    expect(&k, MIN(20), "report", 3, "coming");
    kit_done(&k);
    opened(&k, "fault");
    kit_line(&k, MIN(3), "duty", "{s:s, s:s}", "duty", "first-report", "state", "done");
    expect(&k, MIN(3), "first-report", 0, "done");
    expect_minute(&k, "report", 2, MIN(33), 600);
    kit_done(&k);
}

static void daily_for_grave_ones(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "fault");
    kit_line(&k, MIN(50), "level", "{s:i}", "level", 3);
    expect(&k, DAY(9), "level", 0, "done");
    expect(&k, DAY(9), "daily", 1, "-");
    kit_line(&k, MIN(60), "level", "{s:i, s:s}", "level", 2, "why", "the payroll too");
    expect_minute(&k, "daily", 1, MIN(60) + 86400, 600);
    kit_line(&k, MIN(70), "level", "{s:i}", "level", 1);
    expect_minute(&k, "daily", 1, MIN(60) + 86400, 600);
    kit_line(&k, DAY(1), "duty", "{s:s, s:s, s:i}", "duty", "daily", "state", "done", "number", 1);
    expect(&k, DAY(1), "daily", 1, "done");
    expect_minute(&k, "daily", 2, DAY(2), 600);
    report(&k, DAY(2), "daily", 2);
    expect(&k, DAY(2), "daily", 3, "coming");
    kit_line(&k, DAY(2) + 60, "level", "{s:i}", "level", 4);
    expect(&k, DAY(4), "daily", 3, "-");
    expect(&k, DAY(4), "daily", 2, "done");
    kit_done(&k);
}

/* --- people -------------------------------------------------------------------------------------- */
static void notice(struct line_kit *k, int64_t at_s, const char *what, const char *to, bool ok)
{
    kit_line(k, at_s, "notice", "{s:s, s:s, s:s, s:b}", "notice", what, "to", to, "channel", "mail",
             "ok", ok);
}

static void units_are_told(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "fault");
    units = two_units;
    notice(&k, MIN(1), "hold-uploads", "County", true);
    notice(&k, MIN(1), "hold-uploads", "Town", false);
    expect(&k, MIN(11), "hold-uploads", 0, "overdue");
    struct duty_list l = list_at(&k, MIN(11));
    assert_non_null(strstr(pick(&l, "hold-uploads", 0)->text, "Town"));
    assert_null(strstr(pick(&l, "hold-uploads", 0)->text, "County"));
    duties_done(&l);
    kit_line(&k, MIN(12), "notice", "{s:s, s:s, s:s, s:s}", "notice", "acknowledged", "of",
             "hold-uploads", "to", "Town", "through", "phone");
    expect(&k, MIN(12), "hold-uploads", 0, "done");
    expect(&k, MIN(12), "resume-uploads", 0, "-");
    kit_line(&k, MIN(100), "recovered", NULL);
    expect_minute(&k, "resume-uploads", 0, MIN(130), 600);
    units = NULL; /* another machine: the timeline knows them */
    expect_minute(&k, "resume-uploads", 0, MIN(130), 600);
    notice(&k, MIN(101), "resume-uploads", "County", true);
    expect(&k, MIN(131), "resume-uploads", 0, "overdue");
    notice(&k, MIN(102), "resume-uploads", "Town", true);
    expect(&k, MIN(131), "resume-uploads", 0, "done");
    kit_done(&k);

    /* Nobody to be told: no such duty. Nobody was told to hold: nobody is told to resume. */
    opened(&k, "fault");
    expect(&k, MIN(11), "hold-uploads", 0, "-");
    units = two_units;
    kit_line(&k, MIN(100), "recovered", NULL);
    expect(&k, MIN(100), "hold-uploads", 0, "not-needed");
    expect(&k, MIN(100), "resume-uploads", 0, "-");
    kit_done(&k);
}

/* --- recovery --------------------------------------------------------------------------------------- */
static void what_recovery_ends(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "attack");
    kit_line(&k, MIN(20), "recovered", NULL);
    expect(&k, MIN(20), "on-site", 0, "overdue"); /* it was due before */
    expect(&k, MIN(20), "first-report", 0, "due");
    expect(&k, HOUR(2), "first-report", 0, "overdue");
    expect(&k, HOUR(2), "level", 0, "overdue");
    expect(&k, HOUR(2), "investigation", 0, "not-needed");
    expect(&k, DAY(9), "experts", 0, "not-needed");
    expect(&k, DAY(9), "superior-help", 0, "not-needed");
    expect_minute(&k, "summary", 0, MIN(20) + 12 * 3600, 600);
    expect_minute(&k, "actions", 0, MIN(20) + 7 * 86400, 600);
    kit_done(&k);

    /* After an hour, and after a day: they have been due. */
    opened(&k, "fault");
    kit_line(&k, DAY(1) + 1, "recovered", NULL);
    expect(&k, DAY(2), "investigation", 0, "overdue");
    expect(&k, DAY(2), "experts", 0, "overdue");
    expect(&k, DAY(2), "superior-help", 0, "not-needed");
    kit_line(&k, DAY(2), "duty", "{s:s, s:s}", "duty", "investigation", "state", "done");
    expect(&k, DAY(2), "investigation", 0, "done");
    kit_done(&k);
}

static void the_papers_afterwards(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "fault");
    report(&k, MIN(100), "summary", 1); /* too early: it cannot be the summary */
    kit_line(&k, MIN(200), "recovered", NULL);
    kit_line(&k, MIN(210), "note", "{s:s, s:s}", "field", "cause", "text", "a disk");
    expect(&k, MIN(211), "summary", 0, "coming");
    report(&k, MIN(300), "summary", 1);
    expect(&k, MIN(301), "summary", 0, "done");
    expect(&k, DAY(9), "supplement", 0, "-"); /* the summary knew the cause */
    kit_line(&k, DAY(3), "note", "{s:s, s:s}", "field", "cause", "text", "the controller");
    expect_minute(&k, "supplement", 0, DAY(4), 600);
    report(&k, DAY(3) + 60, "supplement", 1);
    expect(&k, DAY(5), "supplement", 0, "done");
    kit_line(&k, DAY(6), "note", "{s:s, s:s}", "field", "cause", "text", "its firmware");
    expect_minute(&k, "supplement", 0, DAY(7), 600); /* found out once more */
    kit_done(&k);
}

static void corrective_actions(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "fault");
    kit_line(&k, MIN(100), "recovered", NULL);
    kit_line(&k, MIN(110), "action", "{s:i, s:s, s:s, s:I, s:i}", "action", 1, "text", "a new disk",
             "owner", "Chen", "due", (json_int_t)DAY(10), "done", 0);
    kit_line(&k, MIN(111), "action", "{s:i, s:s, s:s, s:I}", "action", 2, "text", "a second one",
             "owner", "Yang", "due", (json_int_t)DAY(20));
    expect(&k, DAY(9), "actions", 0, "done");
    expect_minute(&k, "action", 1, DAY(10), 86400);
    kit_line(&k, DAY(3), "closed", NULL);
    expect_minute(&k, "action", 2, DAY(20), 86400); /* closing does not mend it */
    kit_line(&k, DAY(4), "action", "{s:i, s:s, s:s, s:I, s:I}", "action", 1, "text", "a new disk",
             "owner", "Chen", "due", (json_int_t)DAY(10), "done", (json_int_t)DAY(4));
    expect(&k, DAY(11), "action", 1, "done");
    expect(&k, DAY(21), "action", 2, "overdue");
    kit_done(&k);
}

static void closed_ends_the_clock(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "attack");
    units = two_units;
    kit_line(&k, MIN(20), "level", "{s:i}", "level", 4);
    kit_line(&k, HOUR(2), "closed", NULL);
    struct duty_list l = list_at(&k, DAY(9));
    assert_true(l.n >= 6);
    for (size_t i = 0; i < l.n; i++)
        assert_int_equal(l.all[i].state,
                         strcmp(l.all[i].id, "level") == 0 ? DUTY_DONE : DUTY_NOT_NEEDED);
    assert_int_equal(duties_change_s(&l, DAY(9)), 0);
    duties_done(&l);
    kit_done(&k);
}

static void a_drill_has_none(void **state)
{
    struct line_kit k = { 0 };
    (void)state;
    units = two_units;
    kit_line(&k, T0, "opened", "{s:s, s:b}", "policy", "billing", "drill", 1);
    struct duty_list l = list_at(&k, DAY(9));
    assert_int_equal(l.n, 0);
    duties_done(&l);
    kit_line(&k, MIN(1), "action", "{s:i, s:s, s:I}", "action", 1, "text", "faster", "due",
             (json_int_t)DAY(2));
    expect(&k, DAY(3), "action", 1, "overdue");
    kit_done(&k);
}

/* --- time ---------------------------------------------------------------------------------------------- */
/* A clock that is set back undoes nothing; one that is set ahead makes overdue what it passes. */
static void clocks_jump(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "fault");
    report(&k, MIN(10), "incident", 1);
    kit_line(&k, MIN(20), "level", "{s:i}", "level", 2);
    expect(&k, T0 - 86400, "first-report", 0, "done");
    expect(&k, T0 - 86400, "level", 0, "done");
    expect(&k, T0 - 86400, "report", 2, "coming");
    expect(&k, T0 + 3650 * INT64_C(86400), "report", 2, "overdue");
    report(&k, T0 - 3600, "incident", 2); /* its clock had been set back */
    expect(&k, MIN(41), "report", 2, "done");
    expect(&k, MIN(41), "report", 3, "overdue");
    expect(&k, MIN(41), "report", 4, "-");
    kit_line(&k, MIN(5), "recovered", NULL); /* before the level, by the clock */
    report(&k, MIN(4), "summary", 1);
    expect(&k, MIN(50), "summary", 0, "done");
    kit_done(&k);
}

static void an_incident_of_weeks(void **state)
{
    struct line_kit k;
    (void)state;
    opened(&k, "disaster");
    kit_line(&k, MIN(30), "level", "{s:i}", "level", 1);
    int number = 0;
    for (int64_t m = 20; m <= INT64_C(21) * 24 * 60; m += 30)
        report(&k, MIN(m), "incident", ++number);
    for (int day = 1; day <= 20; day++)
        report(&k, DAY(day), "daily", day);
    assert_true(number > 1000);
    struct duty_list l = list_at(&k, DAY(21));
    assert_non_null(pick(&l, "report", 1000));
    assert_int_equal(pick(&l, "report", (unsigned)number)->state, DUTY_DONE);
    assert_int_equal(pick(&l, "report", (unsigned)number + 1)->state, DUTY_COMING);
    assert_int_equal(pick(&l, "daily", 21)->due_s, DAY(21));
    size_t open = 0;
    for (size_t i = 0; i < l.n; i++)
        open += l.all[i].state < DUTY_DONE;
    assert_int_equal(open, 5); /* report, daily, investigation, experts, superior-help */
    duties_done(&l);
    kit_done(&k);
}

static void words_and_changes(void **state)
{
    struct line_kit k;
    char word[MAX_DUTY_ID + 12];
    (void)state;
    opened(&k, "fault");
    report(&k, MIN(4), "incident", 1);
    report(&k, MIN(30), "incident", 2);
    struct duty_list l = list_at(&k, MIN(31));
    assert_ptr_equal(duties_find(&l, "report"), pick(&l, "report", 3));
    assert_ptr_equal(duties_find(&l, "report-2"), pick(&l, "report", 2));
    assert_ptr_equal(duties_find(&l, "level"), pick(&l, "level", 0));
    assert_null(duties_find(&l, "report-4"));
    assert_null(duties_find(&l, "first"));
    assert_string_equal(duty_word(pick(&l, "report", 3), word), "report-3");
    assert_string_equal(duty_word(pick(&l, "level", 0), word), "level");
    assert_string_equal(pick(&l, "report", 3)->next,
                        "twofold report incident " KIT_ID " --number 3 --output incident-3.docx");
    assert_int_equal(duties_change_s(&l, MIN(31)), MIN(50)); /* level, investigation, report */
    duties_done(&l);
    l = list_at(&k, MIN(50));
    assert_int_equal(duties_change_s(&l, MIN(50)), HOUR(1) + 1);
    duties_done(&l);

    kit_line(&k, MIN(32), "duty", "{s:s, s:s, s:i}", "duty", "report", "state", "reminded",
             "number", 3);
    struct incident *inc = kit_incident(&k);
    assert_true(duty_noted(inc, "report", 3, "reminded"));
    assert_false(duty_noted(inc, "report", 3, "overdue"));
    assert_false(duty_noted(inc, "report", 2, "reminded"));
    assert_false(duty_noted(inc, "level", 0, "reminded"));
    incident_free(inc);
    kit_done(&k);
}

/* Names and texts that come from outside and are far too long are cut between characters. */
static void long_texts_are_cut(void **state)
{
    struct line_kit k = { 0 };
    char text[1500] = "";
    (void)state;
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "数", 3);
    kit_line(&k, T0, "opened", "{s:s}", "policy", "billing");
    kit_line(&k, T0, "action", "{s:i, s:s, s:s, s:I}", "action", 1, "text", text, "owner", text,
             "due", (json_int_t)DAY(1));
    struct duty_list l = list_at(&k, DAY(2));
    json_t *valid = json_string(pick(&l, "action", 1)->text);
    assert_non_null(valid);
    json_decref(valid);
    duties_done(&l);
    kit_done(&k);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup(t, setup)
    const struct CMUnitTest tests[] = {
        T(each_at_its_minute),    T(own_deadlines),         T(down_before_the_opening),
        T(every_half_hour),       T(daily_for_grave_ones),  T(units_are_told),
        T(what_recovery_ends),    T(the_papers_afterwards), T(corrective_actions),
        T(closed_ends_the_clock), T(a_drill_has_none),      T(clocks_jump),
        T(an_incident_of_weeks),  T(words_and_changes),     T(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
