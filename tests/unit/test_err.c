/* test_err.c - lib/base/err.h: codes, texts and the table that the outside sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/err.h"
#include <errno.h>
#include <string.h>

static void set_fills_and_forgets(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(err_set(&e, ERR_CONFIG, "line %d", 7), -ERR_CONFIG);
    assert_int_equal(err_wrap(&e, "file"), -ERR_CONFIG);
    err_next(&e, "look");
    assert_int_equal(err_set(&e, ERR_KEY, "wrong"), -ERR_KEY);
    assert_int_equal(e.code, ERR_KEY);
    assert_int_equal(e.sys, 0);
    assert_string_equal(e.what, "");
    assert_string_equal(e.why, "wrong");
    assert_string_equal(e.next, "");
}

static void sys_takes_errno(void **state)
{
    struct err e = ERR_INIT;
    err_next(&e, "old advice");
    errno = ENOSPC;
    assert_int_equal(err_sys(&e, "write %s", "packs/ab"), -ERR_NOSPACE);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(e.sys, ENOSPC);
    assert_string_equal(e.what, "write packs/ab");
    assert_string_equal(e.why, "No space left on device");
    assert_string_equal(e.next, "");
}

static void wrap_puts_in_front(void **state)
{
    struct err e = ERR_INIT;
    err_set(&e, ERR_IO, "why");
    assert_int_equal(err_wrap(&e, "open %s", "x"), -ERR_IO);
    assert_string_equal(e.what, "open x");
    assert_int_equal(err_wrap(&e, "copy \"%s\"", "b"), -ERR_IO);
    assert_string_equal(e.what, "copy \"b\": open x");
    assert_string_equal(e.why, "why");
    assert_int_equal(err_next(&e, "mount %s", "b"), -ERR_IO);
    assert_string_equal(e.next, "mount b");
}

static void arguments_may_lie_in_the_error(void **state)
{
    struct err e = ERR_INIT;
    err_set(&e, ERR_IO, "disk");
    err_wrap(&e, "there");
    err_set(&e, ERR_PARTIAL, "%s: %s", e.what, e.why);
    assert_string_equal(e.why, "there: disk");
    err_wrap(&e, "%s", e.why);
    assert_string_equal(e.what, "there: disk");
}

static void long_texts_lose_their_middle(void **state)
{
    static char path[6000];
    struct err e = ERR_INIT;
    memset(path, 'm', sizeof path - 1);
    memcpy(path, "first", 5);
    memcpy(path + sizeof path - 5, "last", 4);
    errno = EIO;
    err_sys(&e, "%s", path);
    assert_int_equal(strlen(e.what), ERR_TEXT_BYTES - 1);
    assert_memory_equal(e.what, "first", 5);
    assert_non_null(strstr(e.what, " ... "));
    assert_string_equal(e.what + ERR_TEXT_BYTES - 1 - 4, "last");
    for (int i = 0; i < 100; i++)
        err_wrap(&e, "layer %d", i);
    assert_memory_equal(e.what, "layer 99: ", 10);
    assert_string_equal(e.what + strlen(e.what) - 4, "last");
    assert_true(strlen(e.what) < ERR_TEXT_BYTES);
}

/* Every cut, at whatever byte, leaves whole characters. */
static void cuts_keep_utf8_whole(void **state)
{
    for (size_t i = 0; i < 9; i++) {
        size_t shift = i % 3, end = i / 3;
        char text[2000] = "ab";
        struct err e = ERR_INIT;
        for (size_t at = shift; at + 3 < sizeof text; at += 3)
            memcpy(text + at, "\xe5\xa4\x87", 4);
        err_set(&e, ERR_IO, "%s%.*s", text, (int)end, "yz");
        size_t chars = 0;
        for (const char *p = e.why; *p;) {
            if ((unsigned char)*p < 0x80) {
                p++;
                continue;
            }
            assert_memory_equal(p, "\xe5\xa4\x87", 3);
            p += 3;
            chars++;
        }
        assert_true(chars > 200);
    }
}

static void null_is_allowed(void **state)
{
    errno = EROFS;
    assert_int_equal(err_sys(NULL, "x"), -ERR_READONLY);
    assert_int_equal(err_set(NULL, ERR_BUSY, "x"), -ERR_BUSY);
    assert_int_equal(err_wrap(NULL, "x"), -ERR_FAILED);
    assert_int_equal(err_next(NULL, "x"), -ERR_FAILED);
    err_clear(NULL);
}

static void wrapping_nothing_is_a_failure(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(err_wrap(&e, "x"), -ERR_FAILED);
    assert_int_equal(e.code, ERR_FAILED);
    err_clear(&e);
    assert_int_equal(e.code, ERR_NONE);
    assert_string_equal(e.what, "");
}

static void errno_becomes_a_code(void **state)
{
    static const struct {
        int sys;
        enum err_code code;
    } want[] = {
        { ENOSPC, ERR_NOSPACE }, { EDQUOT, ERR_NOSPACE },     { EROFS, ERR_READONLY },
        { ENOENT, ERR_ABSENT },  { EACCES, ERR_REFUSED },     { EPERM, ERR_REFUSED },
        { EEXIST, ERR_EXISTS },  { ESTALE, ERR_UNREACHABLE }, { EHOSTUNREACH, ERR_UNREACHABLE },
        { EIO, ERR_IO },         { ENOMEM, ERR_NOMEM },       { ETIMEDOUT, ERR_TIMEOUT },
        { EMFILE, ERR_LIMIT },   { EBUSY, ERR_BUSY },         { EINVAL, ERR_IO },
        { EBADMSG, ERR_IO },     { 0, ERR_FAILED },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_int_equal(err_code_of_errno(want[i].sys), want[i].code);
}

/* Scripts rely on these numbers. */
static void table_has_exit_statuses(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } want[] = {
        { ERR_NONE, 0 },    { ERR_FAILED, 1 },   { ERR_USAGE, 2 },       { ERR_CONFIG, 2 },
        { ERR_PARTIAL, 3 }, { ERR_DAMAGED, 4 },  { ERR_ROLLBACK, 4 },    { ERR_REFUSED, 5 },
        { ERR_BUSY, 5 },    { ERR_KEY, 5 },      { ERR_ESCALATED, 6 },   { ERR_INTERRUPTED, 130 },
        { ERR_IO, 1 },      { ERR_NOSPACE, 1 },  { ERR_READONLY, 1 },    { ERR_ABSENT, 1 },
        { ERR_EXISTS, 1 },  { ERR_PROTOCOL, 1 }, { ERR_VERSION, 1 },     { ERR_TIMEOUT, 1 },
        { ERR_LIMIT, 1 },   { ERR_NOMEM, 1 },    { ERR_UNREACHABLE, 1 }, { ERR_NOT_WHOLE, 4 },
        { ERR_NAME, 2 },
    };
    assert_int_equal(sizeof want / sizeof *want, ERR_CODES);
    for (size_t i = 0; i < ERR_CODES; i++)
        assert_int_equal(err_info(want[i].code)->exit_status, want[i].status);
}

static void table_is_complete(void **state)
{
    for (int i = 0; i < ERR_CODES; i++) {
        const struct err_info *info = err_info((enum err_code)i);
        assert_non_null(info->name);
        assert_true(strspn(info->name, "abcdefghijklmnopqrstuvwxyz-") == strlen(info->name));
        assert_true(strlen(info->next) > 10);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(info->name, err_info((enum err_code)j)->name);
    }
    assert_string_equal(err_info(ERR_NOSPACE)->name, "no-space");
    assert_ptr_equal(err_info((enum err_code)9999), err_info(ERR_FAILED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_and_forgets),
        cmocka_unit_test(sys_takes_errno),
        cmocka_unit_test(wrap_puts_in_front),
        cmocka_unit_test(arguments_may_lie_in_the_error),
        cmocka_unit_test(long_texts_lose_their_middle),
        cmocka_unit_test(cuts_keep_utf8_whole),
        cmocka_unit_test(null_is_allowed),
        cmocka_unit_test(wrapping_nothing_is_a_failure),
        cmocka_unit_test(errno_becomes_a_code),
        cmocka_unit_test(table_has_exit_statuses),
        cmocka_unit_test(table_is_complete),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
