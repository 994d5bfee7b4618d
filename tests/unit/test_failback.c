/* test_failback.c - restore/incident/failback.c: whatever is tried in whatever order, cut off anywhere, with commands that come to their end late:
 * there are never two servers that take writes, and nothing that one of them accepted is lost. */
#include "restore/incident/failback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void take(struct failback *f, enum event_kind kind, json_t *body)
{
    struct event ev = { .kind = kind, .at_s = 1000, .body = body };
    assert_non_null(body);
    failback_take(f, &ev);
    json_decref(body);
}

static void step(struct failback *f, enum failback_step s, const char *state, bool proven,
                 const char *position)
{
    take(f, EVENT_STEP,
         json_pack("{s:s, s:s, s:{s:b, s:s}}", "step", failback_step_name(s), "state", state,
                   "facts", "proven", proven, "position", position));
}

static void whole(struct failback *f, enum failback_step s)
{
    const char *why = NULL;
    if (!failback_may(f, s, &why))
        fail_msg("%s: %s", failback_step_name(s), why);
    step(f, s, "intent", false, "");
    step(f, s, "done", true, "");
}

static void gate(struct failback *f, const char *name)
{
    take(f, EVENT_GATE, json_pack("{s:s, s:s}", "gate", name, "answer", "yes"));
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned s = 0; s < FB_STEPS; s++)
        assert_int_equal(failback_step_parse(failback_step_name(s)), s);
    assert_int_equal(failback_step_parse("restore"), FB_STEPS);
}

static void all_of(struct failback *f, bool undo, const enum failback_step *want)
{
    enum failback_step s;
    for (; (s = failback_next(f, undo)) != FB_STEPS && *want != FB_STEPS; want++) {
        assert_string_equal(failback_step_name(s), failback_step_name(*want));
        whole(f, s);
    }
    assert_int_equal(*want, FB_STEPS);
}

static void take_over(struct failback *f)
{
    *f = FAILBACK_INIT;
    for (unsigned s = FB_FENCE; s <= FB_SWITCH; s++)
        whole(f, s);
}

static void repair(struct failback *f)
{
    whole(f, FB_REFENCE);
    whole(f, FB_RESEED);
}

static void test_there_and_back(void **state)
{
    struct failback f = FAILBACK_INIT;
    (void)state;
    assert_int_equal(failback_phase_of(&f), PAIR_AS_EVER);
    assert_false(failback_may(&f, FB_PROMOTE, NULL));
    assert_false(failback_may(&f, FB_RESEED, NULL));
    take_over(&f);
    assert_int_equal(failback_phase_of(&f), PAIR_STANDBY_RUNS);
    assert_int_equal(failback_serves(&f), PAIR_STANDBY);
    assert_non_null(failback_why_not(&f, false));
    assert_false(failback_may(&f, FB_GIVE_UP, NULL));
    repair(&f);
    assert_int_equal(failback_phase_of(&f), PAIR_FOLLOWS);
    all_of(&f, false,
           (enum failback_step[]){ FB_READY, FB_STOP, FB_COMPARE, FB_BACK_PROMOTE, FB_BACK_CHECK,
                                   FB_BACK_SWITCH, FB_BACK_RESEED, FB_BACK_SYNC, FB_STEPS });
    assert_int_equal(failback_phase_of(&f), PAIR_WHOLE_AGAIN);
    assert_int_equal(failback_serves(&f), PAIR_PRIMARY);
}

static void to_compare(struct failback *f)
{
    take_over(f);
    repair(f);
    whole(f, FB_READY);
    whole(f, FB_STOP);
    step(f, FB_COMPARE, "intent", false, "");
    step(f, FB_COMPARE, "failed", false, "");
}

static void test_undo(void **state)
{
    struct failback f;
    (void)state;
    to_compare(&f);
    assert_int_equal(failback_serves(&f), PAIR_STANDBY);
    all_of(&f, true, (enum failback_step[]){ FB_UNDO, FB_UNDO_SWITCH, FB_STEPS });
    assert_int_equal(failback_phase_of(&f), PAIR_FOLLOWS);
    assert_int_equal(failback_serves(&f), PAIR_STANDBY);
    assert_false(failback_may(&f, FB_GIVE_UP, NULL));
    assert_int_equal(failback_next(&f, false), FB_READY);
    /* once the primary was to be promoted, it is fenced first */
    to_compare(&f);
    whole(&f, FB_COMPARE);
    step(&f, FB_BACK_PROMOTE, "intent", false, "");
    assert_false(failback_may(&f, FB_UNDO, NULL));
    gate(&f, "fenced"); /* it could have taken writes before that */
    assert_false(failback_may(&f, FB_UNDO, NULL));
    all_of(&f, true, (enum failback_step[]){ FB_UNDO_FENCE, FB_UNDO, FB_UNDO_SWITCH, FB_STEPS });
    /* and once it is, there is no way back */
    to_compare(&f);
    whole(&f, FB_COMPARE);
    whole(&f, FB_BACK_PROMOTE);
    assert_non_null(failback_why_not(&f, true));
    assert_false(failback_may(&f, FB_UNDO_FENCE, NULL));
    /* given up half-way, and then gone on with: stopped and compared anew */
    to_compare(&f);
    whole(&f, FB_UNDO);
    all_of(&f, false,
           (enum failback_step[]){ FB_STOP, FB_COMPARE, FB_BACK_PROMOTE, FB_BACK_CHECK,
                                   FB_BACK_SWITCH, FB_BACK_RESEED, FB_BACK_SYNC, FB_STEPS });
}

/* The standby served again and went on writing: where it stopped before is not where it ended. */
static void test_stopped_anew(void **state)
{
    struct failback f;
    (void)state;
    take_over(&f);
    repair(&f);
    whole(&f, FB_READY);
    step(&f, FB_STOP, "intent", false, "");
    step(&f, FB_STOP, "done", true, "0/100@2");
    assert_string_equal(f.stopped_at, "0/100@2");
    whole(&f, FB_UNDO);
    gate(&f, GATE_STANDBY_OFF);
    step(&f, FB_STOP, "intent", false, "");
    step(&f, FB_STOP, "done", false, "");
    assert_string_equal(f.stopped_at, "");
}

static void test_unproven(void **state)
{
    struct failback f = FAILBACK_INIT;
    (void)state;
    step(&f, FB_FENCE, "intent", false, "");
    step(&f, FB_FENCE, "done", false, ""); /* the command said so, and nobody asked */
    assert_false(failback_may(&f, FB_PROMOTE, NULL));
    take(&f, EVENT_GATE, json_pack("{s:s, s:s}", "gate", "fenced", "answer", "again"));
    assert_false(failback_may(&f, FB_PROMOTE, NULL));
    gate(&f, "fenced");
    assert_true(failback_may(&f, FB_PROMOTE, NULL));
    assert_true(f.stated[PAIR_PRIMARY]);
    whole(&f, FB_PROMOTE);
    gate(&f, "standby-right");
    whole(&f, FB_SWITCH);
    whole(&f, FB_REFENCE);
    assert_false(f.stated[PAIR_PRIMARY]);
}

/* What people have done without commands. */
static void test_by_hand(void **state)
{
    struct failback f = FAILBACK_INIT;
    (void)state;
    gate(&f, "fenced");
    gate(&f, "promoted");
    assert_true(f.may_write[PAIR_STANDBY]);
    gate(&f, "standby-right");
    gate(&f, "switched");
    assert_int_equal(failback_phase_of(&f), PAIR_STANDBY_RUNS);
    gate(&f, "reseeded");
    assert_int_equal(failback_phase_of(&f), PAIR_FOLLOWS);
    gate(&f, "switched-back");
    assert_int_equal(failback_phase_of(&f), PAIR_WHOLE_AGAIN);
    assert_int_equal(failback_serves(&f), PAIR_PRIMARY);
    assert_false(f.may_write[PAIR_STANDBY]);
}

/* --- a world of two servers, in which everything goes wrong ------------------------------------------------- */
struct world {
    bool writes[PAIR_HOSTS],
        coming[PAIR_HOSTS]; /* a promotion that was begun, and may end at any time */
    unsigned commits[PAIR_HOSTS];
    bool follows; /* the primary the standby */
    unsigned promoted_with;
};

static unsigned dice(unsigned n)
{
    return (unsigned)random() % n; /* NOLINT: no secret */
}

static void see(const struct world *w)
{
    if (w->writes[PAIR_PRIMARY] && w->writes[PAIR_STANDBY])
        fail_msg("two servers take writes");
}

static void promoted(struct world *w, enum pair_host h)
{
    enum pair_host other = h == PAIR_PRIMARY ? PAIR_STANDBY : PAIR_PRIMARY;
    if (!w->coming[h])
        return;
    w->coming[h] = false;
    if (w->writes[h])
        return;
    if (w->commits[h] < w->commits[other])
        fail_msg("%u commits are lost", w->commits[other] - w->commits[h]);
    w->writes[h] = true;
    w->follows = false;
    see(w);
}

static void time_passes(struct world *w)
{
    for (unsigned h = 0; h < PAIR_HOSTS; h++) {
        if (dice(3) == 0)
            promoted(w, h);
        if (w->writes[h])
            w->commits[h]++;
    }
    if (w->writes[PAIR_PRIMARY] && w->promoted_with == 0) /* waits for its standby */
        w->commits[PAIR_STANDBY] = w->commits[PAIR_PRIMARY];
    if (w->follows && dice(2) == 0)
        w->commits[PAIR_PRIMARY] = w->commits[PAIR_STANDBY];
}

static void stop(struct world *w, enum pair_host h)
{
    w->writes[h] = w->coming[h] = false;
}

/* What the command of the step does, as far as it comes; true: it can be said that it is done. */
static bool work(struct world *w, enum failback_step s, bool *ret_proven)
{
    enum pair_host h = failback_step_host(s);
    unsigned was = w->commits[PAIR_PRIMARY];
    *ret_proven = true;
    switch (s) {
    case FB_PROMOTE:
    case FB_UNDO:
    case FB_BACK_PROMOTE:
        w->coming[h] = true;
        w->promoted_with = w->commits[h] + 1;
        if (dice(2) == 0)
            return false;
        promoted(w, h);
        return true;
    case FB_FENCE:
    case FB_REFENCE:
    case FB_STOP:
    case FB_GIVE_UP:
        *ret_proven = dice(4) > 0; /* else the command says so, and it is not so */
        if (*ret_proven)
            stop(w, h);
        return dice(4) > 0;
    case FB_UNDO_FENCE: /* done only if it is seen that it never took writes */
        was += w->writes[h];
        stop(w, h);
        w->follows = false;
        return dice(4) > 0 && was <= w->commits[PAIR_STANDBY];
    case FB_RESEED:
        w->commits[PAIR_PRIMARY] = w->commits[PAIR_STANDBY];
        return w->follows = dice(4) > 0;
    case FB_COMPARE:
        return w->commits[PAIR_PRIMARY] == w->commits[PAIR_STANDBY];
    case FB_BACK_RESEED:
        w->commits[PAIR_STANDBY] = w->commits[PAIR_PRIMARY];
        return true;
    default:
        return dice(4) > 0;
    }
}

static enum failback_step wanted(const struct failback *f)
{
    static const enum failback_step over[] = { FB_FENCE,  FB_PROMOTE, FB_CHECK,
                                               FB_SWITCH, FB_REFENCE, FB_RESEED };
    unsigned i = 0;
    if (dice(3) == 0)
        return dice(FB_STEPS);
    while (i < sizeof over / sizeof *over && f->done[over[i]])
        i++;
    return i < sizeof over / sizeof *over ? over[i] : failback_next(f, dice(4) == 0);
}

static void test_any_order(void **state)
{
    unsigned reached[PAIR_PHASES] = { 0 };
    (void)state;
    srandom(7);
    for (unsigned round = 0; round < 1000; round++) {
        struct failback f = FAILBACK_INIT;
        struct world w = { .writes = { true, false } };
        for (unsigned i = 0; i < 80; i++) {
            time_passes(&w);
            enum failback_step s = wanted(&f);
            if (s == FB_STEPS || !failback_may(&f, s, NULL))
                continue;
            step(&f, s, "intent", false, "");
            bool proven, good = work(&w, s, &proven);
            if (!good && s == FB_FENCE && dice(2) == 0) { /* somebody turns it off, and says so */
                stop(&w, PAIR_PRIMARY);
                gate(&f, "fenced");
            } else if (good || dice(2) == 0) { /* else it was killed */
                step(&f, s, good ? "done" : "failed", proven, "");
            }
            reached[failback_phase_of(&f)]++;
        }
        see(&w);
    }
    for (unsigned p = PAIR_TAKING_OVER; p < PAIR_PHASES; p++)
        if (reached[p] == 0)
            fail_msg("never came to %s", failback_phase_name(p));
}

/* --- positions ------------------------------------------------------------------------------------------------------ */
static void test_positions(void **state)
{
    static const struct {
        const char *need, *has;
        enum position_verdict verdict;
        uint64_t missing;
    } cases[] = {
        { "0/3000148@1", "0/3000148@1", POSITION_HAS_ALL, 0 },
        { "0/3000148@1", "0/3000140@1", POSITION_BEHIND, 8 },
        { "1/0@1", "0/FFFFFFF8@1", POSITION_BEHIND, 8 },
        { "0/FFFFFFF8@12", "1/0@12", POSITION_HAS_ALL, 0 },
        { "0/3000148@2", "0/4000000@1", POSITION_ELSEWHERE, 0 },
        { "17", "17", POSITION_HAS_ALL, 0 },
        { "17", "9", POSITION_BEHIND, 8 },
        { "0/3000148@1", "17", POSITION_UNKNOWN, 0 },
        { "", "0/3000148@1", POSITION_UNKNOWN, 0 },
        { "0/3000148@1", "", POSITION_UNKNOWN, 0 },
        { "0/3000148", "0/3000148", POSITION_UNKNOWN, 0 },
        { "0/3000148@", "0/3000148@", POSITION_UNKNOWN, 0 },
        { "0/3000148@1x", "0/3000148@1x", POSITION_UNKNOWN, 0 },
        { "1FFFFFFFF/0@1", "0/1@1", POSITION_UNKNOWN, 0 },
        { "-1", "-1", POSITION_UNKNOWN, 0 },
        { "18446744073709551616", "1", POSITION_UNKNOWN, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t missing = 99;
        if (position_compare(cases[i].need, cases[i].has, &missing) != cases[i].verdict ||
            missing != cases[i].missing)
            fail_msg("%s, %s", cases[i].need, cases[i].has);
    }
}

static void test_position_of_output(void **state)
{
    char p[MAX_POSITION] = "";
    int64_t at = 0;
    (void)state;
    assert_true(position_parse("0/3000148@1 last-commit=1764149400\n", p, &at));
    assert_string_equal(p, "0/3000148@1");
    assert_int_equal(at, 1764149400);
    assert_true(position_parse("could not change directory\n12/AB@3\nwarning: 3 left\n", p, &at));
    assert_string_equal(p, "12/AB@3");
    assert_int_equal(at, 0);
    assert_false(position_parse("no server's data in /srv\n", p, NULL));
    assert_false(position_parse("", p, NULL));
}

static void loss(const char *old, const char *new, int64_t commit, int64_t want, const char *says)
{
    struct failback f = FAILBACK_INIT;
    char text[640];
    int64_t gap = -2;
    step(&f, FB_FENCE, "done", true, old);
    take(&f, EVENT_STEP,
         json_pack("{s:s, s:s, s:{s:s, s:I}}", "step", "promote", "state", "done", "facts",
                   "position", new, "last_commit_s", (json_int_t)commit));
    failback_loss(&f, 5000, text, &gap);
    assert_int_equal(gap, want);
    if (!strstr(text, says))
        fail_msg("%s", text);
}

/* Served by an earlier incident, and said to be lost: it may write until it was asked, or somebody says that it is off. */
static void test_said_to_be_lost(void **state)
{
    struct failback f = FAILBACK_INIT;
    (void)state;
    assert_false(failback_in_doubt(&f));
    take(&f, EVENT_OPENED, json_pack("{s:{s:b}}", "settings", "standby_lost", true));
    assert_true(f.may_write[PAIR_STANDBY] && failback_in_doubt(&f));
    assert_int_equal(failback_phase_of(&f), PAIR_AS_EVER); /* the earlier one counts */
    step(&f, FB_GIVE_UP, "intent", false, "");
    step(&f, FB_GIVE_UP, "failed", false, "");
    assert_true(f.may_write[PAIR_STANDBY]);
    gate(&f, GATE_STANDBY_OFF);
    assert_true(!f.may_write[PAIR_STANDBY] && f.stated[PAIR_STANDBY] && failback_in_doubt(&f));
    whole(&f, FB_GIVE_UP);
    assert_true(!f.stated[PAIR_STANDBY] && failback_in_doubt(&f));
    assert_int_equal(failback_phase_of(&f), PAIR_GIVEN_UP);
    assert_int_equal(failback_serves(&f), PAIR_PRIMARY);
    /* asked once more it says that it does: nothing from before counts */
    gate(&f, GATE_STANDBY_OFF);
    step(&f, FB_GIVE_UP, "intent", false, "");
    take(&f, EVENT_STEP,
         json_pack("{s:s, s:s, s:{s:b}}", "step", "standby-give-up", "state", "failed", "facts",
                   "refused", true));
    assert_true(f.may_write[PAIR_STANDBY] && !f.stated[PAIR_STANDBY]);
    assert_int_equal(failback_serves(&f), PAIR_STANDBY);
    f = FAILBACK_INIT;
    take_over(&f);
    assert_true(failback_in_doubt(&f));
}

static void test_loss(void **state)
{
    (void)state;
    loss("0/100@1", "0/100@1", 4990, 0, "nothing is lost");
    loss("0/100@1", "0/80@1", 4990, 10, "in the 128 bytes between is not on the standby");
    loss("0/100@2", "0/80@1", 4990, 10, "is not known");
    loss("", "0/80@1", 0, -1, "is not known");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_stopped_anew),
        cmocka_unit_test(test_unproven),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_position_of_output),
        cmocka_unit_test(test_said_to_be_lost),
        cmocka_unit_test(test_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
