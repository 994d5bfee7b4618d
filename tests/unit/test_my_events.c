/* test_my_events.c - a walk along a binary log whose bytes come in parts: whole transactions, and the place of a moment (agents/mariadb/events.h). */
#include "agents/mariadb/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define AT 1000000
#define EVENT_BYTES 40u
#define GROUP_BYTES (2 * EVENT_BYTES) /* what begins it, what ends it */
#define FIRST 4
#define STOP 9999999

enum { QUERY = 2, ROTATE = 4, XID = 16, GTID = 162 };

static struct my_events v;
static struct my_moment m;

static void begin(void)
{
    v = (struct my_events){ .at_s = AT, .seen_s = AT + 5000, .stop = UINT64_MAX };
    my_events_begin(&v, FIRST);
}

/* In parts of seven bytes. */
static void event(uint8_t kind, long time_s)
{
    uint8_t p[EVENT_BYTES] = { 0 };
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)((unsigned long)(AT + time_s) >> 8 * i);
    p[4] = kind;
    p[9] = EVENT_BYTES;
    for (size_t i = 0; i < sizeof p; i += 7)
        my_events_feed(&v, p + i, sizeof p - i < 7 ? sizeof p - i : 7);
}

static void groups(const long *times)
{
    for (; *times != STOP; times++) {
        event(GTID, *times);
        event(XID, *times);
    }
}
#define GROUPS(...) groups((const long[]){ __VA_ARGS__, STOP })

static void find(size_t n_files)
{
    assert_false(v.beyond || v.wrong);
    my_events_moment(&v, n_files, &m);
}

/* The place is in so many files, behind so many transactions of the last one; -1: at its end. */
static void is(size_t files, int behind)
{
    assert_int_equal(m.n_files, files);
    assert_int_equal(m.stop, behind < 0 ? 0 : FIRST + (unsigned)behind * GROUP_BYTES);
}

static void in_order(void **state)
{
    (void)state;
    begin();
    GROUPS(-5, -3, -1);
    find(1);
    is(1, -1);
    assert_false(v.passed);
    GROUPS(0, 2);
    find(1);
    is(1, 3);
    assert_true(v.passed);
    assert_int_equal(m.groups, 3);
    assert_int_equal(m.later + m.earlier + m.far + v.unsure, 0);
    assert_int_equal(v.whole, FIRST + 5 * GROUP_BYTES);
    begin();
    GROUPS(-5);
    event(ROTATE, 3);
    assert_true(v.passed);
    find(1);
    is(1, -1);
    v.file = 1;
    my_events_begin(&v, FIRST);
    GROUPS(3, 4);
    find(2);
    is(2, 0);
}

static void one_of_the_future(void **state)
{
    (void)state;
    begin();
    GROUPS(-50, 3600, -40, -30, 0, 5);
    find(1);
    is(1, 4);
    assert_int_equal(m.later, 1);
    assert_int_equal(m.earlier, 0);
    assert_int_equal(m.far, 1);
    begin(); /* later than what comes was seen: these are no times */
    GROUPS(-50, 90000, 90000, 90000, -40, 0, 90000, 5);
    find(1);
    is(1, 5);
    assert_int_equal(m.later, 3);
    assert_int_equal(v.unsure, 0);
    begin();
    GROUPS(-50, 90000, 90000, 5, 90000);
    find(1);
    is(1, 1);
    assert_int_equal(v.unsure, 2);
    begin(); /* seen before the moment: whatever it says */
    v.seen_s = AT - 1;
    GROUPS(-50, 90000);
    assert_false(v.passed);
    find(1);
    is(1, -1);
    assert_int_equal(m.later, 0);
}

static void a_long_one(void **state)
{
    (void)state;
    begin();
    GROUPS(-5, -4, 0, -3, 1, 2);
    find(1);
    is(1, 2);
    assert_int_equal(m.earlier, 1);
    assert_int_equal(m.far, 0);
    begin();
    GROUPS(-5, 0, -600, 1);
    find(1);
    is(1, 1);
    assert_int_equal(m.far, 1);
    begin(); /* it counts by its last event */
    event(GTID, -7);
    event(QUERY, -6);
    event(XID, 1);
    find(1);
    is(1, 0);
}

static void torn(void **state)
{
    (void)state;
    begin();
    GROUPS(-5);
    event(GTID, -4);
    event(QUERY, 3);
    assert_true(v.passed);
    assert_int_equal(v.whole, FIRST + GROUP_BYTES);
    v.file = 1;
    my_events_begin(&v, FIRST);
    GROUPS(-3, 4);
    find(2);
    is(2, 1);
    assert_int_equal(m.groups, 2);
}

static void a_position(void **state)
{
    (void)state;
    begin();
    v.at_s = 0;
    v.stop = FIRST + 2 * GROUP_BYTES;
    GROUPS(-5, -4);
    assert_false(v.beyond);
    GROUPS(-3);
    assert_true(v.beyond);
    assert_int_equal(v.whole, FIRST + 2 * GROUP_BYTES);
    begin(); /* statements that are in no transaction */
    GROUPS(-5);
    event(QUERY, 3);
    assert_true(v.beyond);
    assert_int_equal(v.whole, FIRST + GROUP_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),   cmocka_unit_test(one_of_the_future),
        cmocka_unit_test(a_long_one), cmocka_unit_test(torn),
        cmocka_unit_test(a_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
