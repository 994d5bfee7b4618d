/* test_pg_timelines.c - the histories of timelines, as PostgreSQL writes them: an empty line before each but the first. */
#include "agents/postgresql/timelines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka.h needs those before it */
#include <cmocka.h>

static const char of_4[] = "1\t0/A14B48\tno recovery target specified\n"
                           "\n"
                           "2\t0/A947F0\tno recovery target specified\n"
                           "\n"
                           "3\t1/20\tbefore 2000-01-01 00:00:00+00\n";

static void lines(void **state)
{
    uint32_t timeline = 7;
    uint64_t lsn = 7;
    (void)state;
    assert_true(history_line(of_4, &timeline, &lsn));
    assert_int_equal(timeline, 1);
    assert_int_equal(lsn, 0xA14B48);
    assert_true(history_line(" 2 1/20", &timeline, &lsn));
    assert_int_equal(lsn, (UINT64_C(1) << 32) + 0x20);
    assert_false(history_line("\n2\t0/A947F0\tas of the next line\n", &timeline, &lsn));
    assert_false(history_line("", &timeline, &lsn));
    assert_false(history_line("# 1\t0/1", &timeline, &lsn));
    assert_false(history_line("0\t0/1", &timeline, &lsn));
    assert_false(history_line("-1\t0/1", &timeline, &lsn));
    assert_false(history_line("4294967296\t0/1", &timeline, &lsn));
    assert_false(history_line("1", &timeline, &lsn));
    assert_false(history_line("1\tsoon", &timeline, &lsn));
}

/* Which one goes on where a timeline ended: of each of them. */
static void next(void **state)
{
    static const uint64_t ends[] = { 0xA14B48, 0xA947F0, (UINT64_C(1) << 32) + 0x20 };
    (void)state;
    for (uint32_t i = 1; i <= 3; i++) {
        uint64_t at = 0;
        uint32_t its = 0;
        assert_true(history_next(of_4, i, 4, &at, &its));
        assert_int_equal(at, ends[i - 1]);
        assert_int_equal(its, i + 1);
        assert_true(history_left(of_4, strlen(of_4), i, &at));
        assert_int_equal(at, ends[i - 1]);
    }
    uint64_t at = 0;
    uint32_t its = 0;
    assert_false(history_next(of_4, 4, 4, &at, &its));
    assert_false(history_next(of_4, 9, 4, &at, &its));
    assert_true(history_last(of_4, &at));
    assert_int_equal(at, ends[2]);
}

/* From a backup's timeline on, and never back: a history that is damaged is none. */
static void way(void **state)
{
    static const char of_2[] = "1\t0/300\tx\n", of_3[] = "1\t0/300\tx\n\n2\t0/500\tx\n",
                      back[] = "1\t0/300\tx\n\n2\t0/2FF\tx\n", at_once[] = "2\t0/300\tx\n",
                      early[] = "1\t0/1FF\tx\n";
    struct timelines t;
    (void)state;
    timelines_begin(&t, 1);
    assert_false(timelines_add(&t, 2, early, strlen(early), 0x200));
    assert_true(timelines_add(&t, 2, of_2, strlen(of_2), 0x200));
    assert_false(timelines_add(&t, 3, back, strlen(back), 0x200));
    assert_int_equal(t.n, 2);
    assert_int_equal(t.v[1].end, UINT64_MAX);
    assert_true(timelines_add(&t, 3, at_once, strlen(at_once), 0x200));
    assert_int_equal(t.v[1].end, 0x300);
    assert_true(timelines_add(&t, 3, of_3, strlen(of_3), 0x200));
    assert_int_equal(t.n, 3);
    assert_int_equal(t.v[0].end, 0x300);
    assert_int_equal(t.v[1].end, 0x500);
    assert_int_equal(t.v[2].timeline, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lines), cmocka_unit_test(next),
                                        cmocka_unit_test(way) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
