/* test_exclude.c - the patterns of agents/exclude.h. */
#include "agents/exclude.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool matches(const char *pattern, const char *path)
{
    char *list[] = { (char *)(uintptr_t)pattern };
    struct exclude *x = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(exclude_new(list, 1, &x, &e), 0);
    bool m = exclude_match(x, path, strlen(path));
    exclude_free(x);
    return m;
}

static bool covers(const char *pattern, const char *path)
{
    char *list[] = { (char *)(uintptr_t)pattern };
    struct exclude *x = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(exclude_new(list, 1, &x, &e), 0);
    bool m = exclude_covers(x, path, strlen(path));
    exclude_free(x);
    return m;
}

struct row {
    const char *pattern, *path;
    bool match;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (matches(rows[i].pattern, rows[i].path) != rows[i].match)
            fail_msg("\"%s\" and \"%s\"", rows[i].pattern, rows[i].path);
}
#define CHECK(rows) check(rows, sizeof rows / sizeof rows[0])

static void names_match_at_any_depth(void **state)
{
    static const struct row rows[] = {
        { "*.tmp", "a.tmp", true },
        { "*.tmp", "x/y/a.tmp", true },
        { "*.tmp", "x.tmp/y", false },
        { "node_modules", "srv/node_modules", true },
        { "node_modules", "srv/node_modules2", false },
        { "node_modules/", "srv/node_modules", true },
        { "a?c", "abc", true },
        { "a?c",
          "a\xc3\xa4"
          "c",
          true },
        { "a?c",
          "a\xff"
          "c",
          true },
        { "a?c",
          "a\xc3"
          "c",
          true },
        { "a?c", "ac", false },
        { "[a-c]x", "bx", true },
        { "[a-c]x", "dx", false },
        { "[!a-c]x", "dx", true },
        { "[!a-c]x", "bx", false },
        { "[]]", "]", true },
        { "[a", "[a", true },
        { "\\*", "*", true },
        { "\\*", "x", false },
        { "*", "anything", true },
        { "a*b*c", "a--b--bc", true },
        { "a*b*c", "a--b--b", false },
    };
    CHECK(rows);
}

static void paths_match_from_the_root(void **state)
{
    static const struct row rows[] = {
        { "/a/b", "a/b", true },
        { "/a/b", "x/a/b", false },
        { "/a/b", "a/b/c", false },
        { "/a/*", "a/b", true },
        { "/a/*", "a/b/c", false },
        { "/home/*/.cache", "home/u/.cache", true },
        { "/home/*/.cache", "home/u/v/.cache", false },
        { "/etc", "etc", true },
        { "/etc", "x/etc", false },
    };
    CHECK(rows);
}

static void inner_slashes_float(void **state)
{
    static const struct row rows[] = {
        { "a/b", "a/b", true },
        { "a/b", "x/y/a/b", true },
        { "a/b", "xa/b", false },
        { "a/b", "a/x/b", false },
    };
    CHECK(rows);
}

static void double_stars_take_components(void **state)
{
    static const struct row rows[] = {
        { "/a/**/z", "a/z", true },
        { "/a/**/z", "a/b/c/z", true },
        { "/a/**/z", "a/b/c/zz", false },
        { "/a/**", "a/b/c", true },
        { "/a/**", "a", false },
        { "**/x", "x", true },
        { "/**/x/**/y", "1/x/2/x/3/y", true },
        { "/**/x/**/y", "1/2/3/y", false },
        { "/a/**/b/c", "a/b/b/c", true },
        { "/a/**/b/c", "a/b/c/c", false },
    };
    CHECK(rows);
}

static void what_lies_below_is_covered(void **state)
{
    assert_true(covers("/a/b", "a/b/c/d"));
    assert_true(covers("/a/b", "a/b"));
    assert_false(covers("/a/b", "a/bc/d"));
    assert_true(covers("cache", "x/cache/y/z"));
    assert_false(covers("cache", "x/y"));
    assert_false(exclude_match(NULL, "a", 1));
    assert_false(exclude_covers(NULL, "a", 1));
}

/* Takes no more than length times length steps: with backtracking over every star this would not end. */
static void many_stars_end(void **state)
{
    char pattern[2001], name[4001];
    for (size_t i = 0; i < 1000; i++)
        memcpy(pattern + 2 * i, "*a", 2);
    pattern[2000] = '\0';
    memset(name, 'a', 4000);
    name[4000] = '\0';
    assert_true(matches(pattern, name));
    name[3999] = 'b';
    assert_false(matches(pattern, name));
}

static void bad_patterns_are_refused(void **state)
{
    static const char *const bad[] = { "", "/", "//" };
    char long_one[MAX_PATTERN_BYTES + 2];
    memset(long_one, 'x', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    for (size_t i = 0; i < 4; i++) {
        char *list[] = { (char *)(uintptr_t)(i < 3 ? bad[i] : long_one) };
        struct exclude *x = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(exclude_new(list, 1, &x, &e), -ERR_CONFIG);
        assert_null(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_match_at_any_depth),
        cmocka_unit_test(paths_match_from_the_root),
        cmocka_unit_test(inner_slashes_float),
        cmocka_unit_test(double_stars_take_components),
        cmocka_unit_test(what_lies_below_is_covered),
        cmocka_unit_test(many_stars_end),
        cmocka_unit_test(bad_patterns_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
