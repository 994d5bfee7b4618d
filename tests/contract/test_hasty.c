/* test_hasty.c - a store for one who is in a hurry: what is read is what any store gives, and a place that hangs keeps nobody waiting. The
 * places are folders that are made slow (TWOFOLD_STORE_FAULT). */
#include "lib/base/sys.h"
#include "tests/contract/store_kit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] = "what an object holds";

/* The place has vault/00000001, heads/1, heads/2 and packs/a, b. */
static int setup(void **state)
{
    static const char *const names[] = { "vault/00000001", "heads/1", "heads/2", "packs/a",
                                         "packs/b" };
    void *under = NULL;
    unsetenv("TWOFOLD_STORE_FAULT");
    assert_int_equal(setup_folder(&under), 0);
    struct fixture *f = under;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct store_data d = { .p = text, .len = sizeof text - i };
        assert_int_equal(store_put(f->s, names[i], &d, &f->e), 0);
    }
    *state = f;
    return 0;
}

static int done(void **state)
{
    unsetenv("TWOFOLD_STORE_FAULT");
    return teardown(state);
}

static struct store *open_it(struct fixture *f, const char *plan)
{
    const struct store_first first = { .object = "vault/00000001", .folder = "heads/" };
    char env[600];
    struct store *s = NULL;
    snprintf(env, sizeof env, "%s %s", f->url, plan);
    setenv("TWOFOLD_STORE_FAULT", env, 1);
    assert_int_equal(store_open_hasty(f->url, NULL, &first, &s, &f->e), 0);
    return s;
}

static int count(void *ctx, const char *name, uint64_t len)
{
    assert_true(len > 0 && name[0]);
    (*(int *)ctx)++;
    return 0;
}

static void reads_as_any_store(void **state)
{
    struct fixture *f = *state;
    struct store *s = open_it(f, "");
    struct store_space sp;
    char got[sizeof text];
    uint64_t len = 0;
    int n = 0, rc = 0;
    uint64_t ms = 0;
    assert_int_equal(store_ready(s, &f->e), 0);
    assert_int_equal(store_stat(s, "packs/a", &len, &f->e), 0);
    assert_int_equal(len, sizeof text - 3);
    assert_int_equal(store_get(s, "packs/a", 5, 6, got, &f->e), 0);
    assert_memory_equal(got, text + 5, 6);
    assert_int_equal(store_get(s, "packs/a", 5, sizeof text, got, &f->e), -ERR_DAMAGED);
    assert_int_equal(store_get(s, "packs/none", 0, 1, got, &f->e), -ERR_ABSENT);
    assert_int_equal(store_list(s, "packs/", count, &n, &f->e), 0);
    assert_int_equal(n, 2);
    for (int i = 0; i < 2; i++) { /* from what came with the opening, then from the place */
        n = 0;
        assert_int_equal(store_list(s, "heads/", count, &n, &f->e), 0);
        assert_int_equal(n, 2);
        assert_int_equal(store_stat(s, "heads/2", &len, &f->e), 0);
        assert_int_equal(len, sizeof text - 2);
        assert_int_equal(store_get(s, "heads/2", 0, (size_t)len, got, &f->e), 0);
        assert_memory_equal(got, text, (size_t)len);
    }
    assert_int_equal(store_space(s, &sp, &f->e), 0);
    assert_true(sp.total_bytes > 0);
    struct store_data d = { .p = text, .len = 1 };
    assert_int_equal(store_put(s, "packs/c", &d, &f->e), -ERR_READONLY);
    assert_int_equal(store_delete(s, "packs/a", &f->e), -ERR_READONLY);
    assert_int_equal(store_doing(s, &rc, &ms), STORE_IDLE);
    store_close(s);
}

/* Nobody waits longer than he wants to, and who asks again gets the answer that was under way. */
static void a_slow_answer_is_taken_up(void **state)
{
    struct fixture *f = *state;
    struct store *s = open_it(f, "stat@3:300ms,get@3:300ms"); /* the opening makes two of each */
    char got[sizeof text] = "";
    uint64_t begun = sys_monotonic_ms(), ms = 0;
    int rc = 0, tries = 1;
    assert_int_equal(store_ready(s, &f->e), 0);
    store_patience(s, 20);
    assert_int_equal(store_get(s, "packs/a", 0, 4, got, &f->e), -ERR_TIMEOUT);
    assert_int_equal(store_doing(s, &rc, &ms), STORE_WORKING);
    while ((rc = store_get(s, "packs/a", 0, 4, got, &f->e)) == -ERR_TIMEOUT)
        tries++;
    assert_int_equal(rc, 0);
    assert_memory_equal(got, text, 4);
    assert_true(tries > 1 && sys_monotonic_ms() - begun >= 300);
    /* One call of get was slow: it was made once. */
    store_patience(s, STORE_PATIENT);
    assert_int_equal(store_get(s, "packs/b", 0, 4, got, &f->e), 0);
    store_close(s);
}

/* What nobody has waited for is told once, and another question waits until the place is free. */
static void a_late_answer_is_told(void **state)
{
    struct fixture *f = *state;
    struct store *s = open_it(f, "get@3:200ms");
    char got[sizeof text] = "";
    uint64_t ms = 0;
    int rc = 1;
    assert_int_equal(store_ready(s, &f->e), 0);
    store_patience(s, 0);
    assert_int_equal(store_get(s, "packs/none", 0, 4, got, &f->e), -ERR_TIMEOUT);
    while (store_doing(s, &rc, &ms) == STORE_WORKING)
        usleep(1000);
    assert_int_equal(store_doing(s, &rc, &ms), STORE_IDLE);
    assert_int_equal(rc, -ERR_ABSENT);
    assert_true(ms >= 200);
    store_close(s);

    s = open_it(f, "get@3:200ms");
    assert_int_equal(store_ready(s, &f->e), 0);
    store_patience(s, 0);
    assert_int_equal(store_get(s, "packs/none", 0, 4, got, &f->e), -ERR_TIMEOUT);
    store_patience(s, STORE_PATIENT);
    assert_int_equal(store_get(s, "packs/a", 0, 4, got, &f->e), 0);
    assert_memory_equal(got, text, 4);
    store_close(s);
}

static void closing_waits_for_nobody(void **state)
{
    struct fixture *f = *state;
    char got[4];
    struct store *s = open_it(f, "get@3+:600ms");
    assert_int_equal(store_ready(s, &f->e), 0);
    store_patience(s, 10);
    assert_int_equal(store_get(s, "packs/a", 0, 4, got, &f->e), -ERR_TIMEOUT);
    uint64_t begun = sys_monotonic_ms();
    store_close(s);
    assert_true(sys_monotonic_ms() - begun < 500);
    usleep(
        2500000); /* it ends by itself: the sanitizer and the next test's count of descriptors would tell */
}

static void one_that_cannot_be_opened_is_tried_again(void **state)
{
    struct fixture *f = *state;
    char away[700];
    snprintf(away, sizeof away, "%s.away", f->root);
    assert_int_equal(rename(f->root, away), 0);
    struct store *s = open_it(f, "");
    char got[4];
    assert_int_equal(store_ready(s, &f->e), -ERR_UNREACHABLE);
    assert_int_equal(store_get(s, "packs/a", 0, 4, got, &f->e), -ERR_UNREACHABLE);
    assert_int_equal(rename(away, f->root), 0);
    assert_int_equal(store_get(s, "packs/a", 0, 4, got, &f->e), 0);
    assert_memory_equal(got, text, 4);
    store_close(s);
}

int main(void)
{
#ifndef TWOFOLD_FAULTS
    return 77;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_as_any_store, setup, done),
        cmocka_unit_test_setup_teardown(a_slow_answer_is_taken_up, setup, done),
        cmocka_unit_test_setup_teardown(a_late_answer_is_told, setup, done),
        cmocka_unit_test_setup_teardown(closing_waits_for_nobody, setup, done),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_opened_is_tried_again, setup, done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
