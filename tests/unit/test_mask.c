/* test_mask.c - lib/base/mask.h: no password is left in what is shown, and everything else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/mask.h"
#include <string.h>

static void secrets_are_masked(void **state)
{
    static const char *const v[][2] = {
        { "", "" },
        { "host=/run/postgresql user=backup", "host=/run/postgresql user=backup" },
        { "host=x password=Hunter2 user=a", "host=x password=*** user=a" },
        { "host=x password = Hunter2", "host=x password = ***" },
        { "password='with space and \\' in it' user=a", "password=*** user=a" },
        { "password=a\\ b user=a", "password=*** user=a" },
        { "sslpassword=s3 PASSWORD=S4", "sslpassword=*** PASSWORD=***" },
        { "psql \"host=x password=Hunter2\" now", "psql \"host=x password=***\" now" },
        { "password=", "password=***" },
        { "password='open", "password=***" },
        { "passwordfile=/root/x --passphrase-file y", "passwordfile=/root/x --passphrase-file y" },
        { "postgresql://me:Hunter2@db:5432/app?sslmode=require",
          "postgresql://me:***@db:5432/app?sslmode=require" },
        { "postgresql://me@db/app?password=Hunter2&user=x",
          "postgresql://me@db/app?password=***&user=x" },
        { "postgresql://db:5432/app", "postgresql://db:5432/app" },
        { "sftp://u:a@b@host/x", "sftp://u:***@host/x" },
        { "sftp://u:a/b@host/x", "sftp://u:***@host/x" },
        { "sftp://u@host/x", "sftp://u@host/x" },
    };
    char out[200];
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        assert_string_equal(mask_secrets(v[i][0], out, sizeof out), v[i][1]);
}

static void bounded(void **state)
{
    char out[8];
    (void)state;
    assert_string_equal(mask_secrets("password=Hunter2", out, sizeof out), "passwor");
    assert_string_equal(mask_secrets("a password=Hunter2", out, 1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
