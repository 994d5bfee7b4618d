/* test_my_moment.c - where a moment lies in binary logs whose times do not follow each other (agents/mariadb/moment.h). */
#include "agents/mariadb/moment.h"
#include "lib/base/sys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define AT 1000000
#define END (AT + 5000)
#define EVENT_BYTES 40
#define FIRST 44 /* of the first transaction: the magic, and the log's own first event */
#define STOP 9999999

static int dir_fd;
static char dir[64];
static struct my_moment m;

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/twofold-moment-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
    return dir_fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlinkat(dir_fd, "1", 0);
    (void)unlinkat(dir_fd, "2", 0);
    close(dir_fd);
    return rmdir(dir);
}

static void event(FILE *f, int kind, long time_s)
{
    uint8_t p[EVENT_BYTES] = { 0 };
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)((unsigned long)time_s >> 8 * i);
    p[4] = (uint8_t)kind;
    p[9] = EVENT_BYTES;
    assert_int_equal(fwrite(p, 1, sizeof p, f), sizeof p);
}

/* Each transaction is two events; times are relative to the moment. */
static void log_of(const char *name, int kind, const long *times)
{
    char path[80];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite("\xfe\x62in", 1, 4, f), 4);
    event(f, 15, AT);
    for (; *times != STOP; times++) {
        event(f, kind, AT + *times);
        event(f, 2, AT + *times);
    }
    assert_int_equal(fclose(f), 0);
}
#define LOG(name, ...) log_of(name, 162, (const long[]){ __VA_ARGS__, STOP })

static int find(size_t n, uint64_t position)
{
    static const char *const names[] = { "1", "2" };
    struct err e = ERR_INIT;
    _Atomic uint64_t progress = 0;
    return my_moment_find(dir_fd, names, n, position, AT, END, &progress, &m, &e);
}

/* The place is in so many files, behind so many transactions of the last one; -1: at its end. */
static void is(size_t files, int behind)
{
    assert_int_equal(m.n_files, files);
    assert_int_equal(m.stop, behind < 0 ? 0 : FIRST + behind * 2 * EVENT_BYTES);
}

static void in_order(void **state)
{
    (void)state;
    LOG("1", -5, -3, -1, 0, 2);
    assert_int_equal(find(1, FIRST), 0);
    is(1, 3);
    assert_int_equal(m.groups, 3);
    assert_int_equal(m.later + m.earlier + m.far, 0);
    LOG("2", 3, 4);
    assert_int_equal(find(2, FIRST), 0);
    is(1, 3);
    LOG("1", -5, -3);
    assert_int_equal(find(1, FIRST), 0);
    is(1, -1);
    assert_int_equal(find(2, FIRST), 0);
    is(2, 0);
    assert_int_equal(find(2, FIRST + 2 * EVENT_BYTES), 0); /* the backup ended behind the first */
    is(2, 0);
    assert_int_equal(m.groups, 1);
    LOG("1", 1, 2);
    assert_int_equal(find(2, FIRST), 0);
    is(1, 0);
    assert_int_equal(m.groups, 0);
}

static void one_of_the_future(void **state)
{
    (void)state;
    LOG("1", -50, 3600, -40, -30, 0, 5);
    assert_int_equal(find(1, FIRST), 0);
    is(1, 4);
    assert_int_equal(m.later, 1);
    assert_int_equal(m.earlier, 0);
    assert_int_equal(m.far, 1);
    LOG("1", -50, 90000, 90000, 90000, -40, 0, 5); /* times behind the log's end are none */
    assert_int_equal(find(1, FIRST), 0);
    is(1, 5);
    assert_int_equal(m.later, 3);
}

/* What was begun before and committed behind what shall not come back. */
static void a_long_one(void **state)
{
    (void)state;
    LOG("1", -5, -4, 0, -3, 1, 2);
    assert_int_equal(find(1, FIRST), 0);
    is(1, 2);
    assert_int_equal(m.earlier, 1);
    assert_int_equal(m.far, 0);
    LOG("1", -5, -4, 0, -600, 1, 2);
    assert_int_equal(find(1, FIRST), 0);
    is(1, 2);
    assert_int_equal(m.far, 1);
}

static void not_readable(void **state)
{
    (void)state;
    log_of("1", 164, (const long[]){ -5, STOP });
    assert_int_equal(find(1, FIRST), -ERR_DAMAGED);
    log_of("1", 2, (const long[]){ -5, -4, STOP }); /* statements, and no transactions */
    assert_int_equal(find(1, FIRST), -ERR_DAMAGED);
    log_of("1", 34, (const long[]){ -5, 0, STOP });
    assert_int_equal(find(1, FIRST), 0);
    is(1, 1);
    (void)unlinkat(dir_fd, "2", 0);
    assert_int_equal(find(2, FIRST), -ERR_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(one_of_the_future),
        cmocka_unit_test(a_long_one),
        cmocka_unit_test(not_readable),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
