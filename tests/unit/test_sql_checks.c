/* test_sql_checks.c - policies/sql_checks.h: what an expectation means, and how answers are held against it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policies/sql_checks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expectations(void **state)
{
    static const struct {
        const char *expect, *value;
        bool holds;
    } v[] = {
        { "> 0", "1", true },
        { "> 0", "0", false },
        { ">0", "-1", false },
        { ">= 10", "10", true },
        { "<= 10", "10.0", true },
        { "< 10", "9.99", true },
        { "= 5", "5", true },
        { "= 5", "5.0", true },
        { "5", "5", true },
        { "!= 5", "5", false },
        { "<> 5", "6", true },
        { "= open", "open", true },
        { "open", "closed", false },
        { "!= open", "closed", true },
        { "> 5", "many", false },
        { "< 5", "many", false },
        { "= 9007199254740993", "9007199254740992", false },
        { "> 0", "", false },
        { "> 0", "nan", false },
        { "= t", "t", true },
        { "> 9", "10", true }, /* not as texts */
        { "=0e830400451993494058024219903391", "0e462097431906509019562988736854", false },
        { "=123456789012345678901234567890", "123456789012345678901234567891", false },
        { "> 123456789012345678901234567890", "123456789012345678901234567891", true },
        { "=340282366920938463463374607431768211456", "340282366920938463463374607431768211457",
          false },
        { "= 0x10", "16", false },
        { "= inf", "Infinity", false },
        { "> inf", "1", false },
        { "= 007", "7.00", true },
        { "= -0.0", "0", true },
        { "= -5", "5", false },
        { "< -5", "-5.01", true },
        { ">= -5", "-4", true },
        { "> .5", "0.51", true },
        { "= 1.", "1", true },
        { "!= 0.10", "0.1", false },
        { "> 1e3", "1500", true },
        { ">= 2", "1.5e+20", true },
        { "= 1e3", "1000", false },
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        if (sql_expect_holds(v[i].expect, v[i].value) != v[i].holds)
            fail_msg("\"%s\" of \"%s\"", v[i].expect, v[i].value);
    assert_true(sql_expect_ok("> 0"));
    assert_true(sql_expect_ok("= some words"));
    assert_true(sql_expect_ok("<> x"));
    assert_false(sql_expect_ok(""));
    assert_false(sql_expect_ok(">"));
    assert_false(sql_expect_ok("> many"));
}

static void add(struct source_spec *s, const char *key, const char *value)
{
    assert_int_equal(source_spec_add(s, key, value, NULL), 0);
}

static void spec_done(struct source_spec *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].key);
        free(s->v[i].value);
    }
    free(s->v);
}

static void settings_are_grouped(void **state)
{
    struct source_spec s = { 0 };
    struct sql_checks c;
    struct err e = ERR_INIT;
    add(&s, "conninfo", "x");
    add(&s, "checkpoint", "fast");
    add(&s, "check", "one");
    add(&s, "check-sql", "SELECT 1");
    add(&s, "check-expect", "= 1");
    add(&s, "check", "two");
    add(&s, "check-database", "shop");
    add(&s, "check-sql", "SELECT 2");
    assert_int_equal(sql_checks_of(&s, &c, &e), 0);
    assert_int_equal(c.n, 2);
    assert_string_equal(c.v[0].expect, "= 1");
    assert_null(c.v[0].database);
    assert_string_equal(c.v[1].database, "shop");
    assert_null(c.v[1].expect);
    add(&s, "check", "three"); /* asks nothing */
    assert_int_equal(sql_checks_of(&s, &c, &e), -ERR_CONFIG);
    add(&s, "check-sql", "SELECT 3");
    assert_int_equal(sql_checks_of(&s, &c, &e), 0);
    add(&s, "check-restored", "more");
    assert_int_equal(sql_checks_of(&s, &c, &e), -ERR_CONFIG);
    spec_done(&s);
    s = (struct source_spec){ 0 };
    for (int i = 0; i < 2; i++) {
        add(&s, "check", "same name");
        add(&s, "check-sql", "SELECT 1");
    }
    assert_int_equal(sql_checks_of(&s, &c, &e), -ERR_CONFIG);
    spec_done(&s);
}

struct answers {
    const char *value; /* NULL: no row; "!": an error */
    struct sql_result last;
    int told;
};

static int ask(void *ctx, const char *database, const char *sql, char **ret_value, struct err *e)
{
    const struct answers *a = ctx;
    if (a->value && strcmp(a->value, "!") == 0)
        return err_set(e, ERR_FAILED, "no such table");
    *ret_value = a->value ? strdup(a->value) : NULL;
    return 0;
}

static int tell(void *ctx, const struct sql_result *r, struct err *e)
{
    struct answers *a = ctx;
    a->last = *r;
    a->told++;
    return 0;
}

static bool right(const char *expect, const char *restored, const char *recorded, const char *value,
                  struct answers *ret)
{
    struct sql_checks c = { .v = { { "n", NULL, "SELECT 1", expect, restored } }, .n = 1 };
    json_t *was = recorded ? json_pack("[{s:s, s:s}]", "name", "n", "value", recorded) : NULL;
    *ret = (struct answers){ .value = value };
    assert_int_equal(sql_checks_run(&c, was, ask, ret, tell, ret, NULL), 0);
    assert_int_equal(ret->told, 1);
    json_decref(was);
    return ret->last.right;
}

static void answers_are_judged(void **state)
{
    struct answers a;
    assert_true(right(NULL, NULL, NULL, "7", &a));
    assert_non_null(strstr(a.last.text, "7"));
    assert_true(right("> 5", NULL, NULL, "7", &a));
    assert_false(right("> 7", NULL, NULL, "7", &a));
    assert_non_null(strstr(a.last.text, "> 7"));
    assert_false(right("> 5", NULL, NULL, NULL, &a)); /* no row is no answer */
    assert_false(a.last.answered);
    assert_false(right(NULL, NULL, NULL, NULL, &a));
    assert_false(right(NULL, NULL, NULL, "!", &a));
    assert_non_null(strstr(a.last.text, "no such table"));
    /* beside what was written down */
    assert_true(right(NULL, "at-least", "7", "7", &a));
    assert_true(right(NULL, "at-least", "7", "8", &a));
    assert_false(right(NULL, "at-least", "7", "6", &a));
    assert_non_null(strstr(a.last.text, "7"));
    assert_true(right(NULL, "same", "abc", "abc", &a));
    assert_false(right(NULL, "same", "abc", "abd", &a));
    assert_true(right(NULL, "same", NULL, "abd", &a)); /* live */
    assert_false(right("> 9", "at-least", "7", "8", &a));
    assert_true(right(NULL, NULL, "7", "1", &a)); /* nothing was asked for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expectations),
        cmocka_unit_test(settings_are_grouped),
        cmocka_unit_test(answers_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
