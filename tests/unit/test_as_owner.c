/* test_as_owner.c - as whom a database's programs work on restored files (agents/as_owner.h). */
#include "agents/as_owner.h"

#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define STRANGER 1234567

/* The account of such a server on this host; root only. */
static uid_t account(enum as_owner_kind kind)
{
    const struct passwd *pw = getpwnam(kind == AS_OWNER_MARIADB ? "mysql" : "postgres");
    if (!pw || geteuid() != 0)
        skip();
    return pw->pw_uid;
}

static void its_own_files_are_worked_on_as_the_account(void **state)
{
    (void)state;
    for (enum as_owner_kind kind = AS_OWNER_MARIADB; kind <= AS_OWNER_POSTGRESQL; kind++) {
        struct stat st = { .st_uid = account(kind), .st_gid = 6 };
        struct as_owner a;
        struct err e = ERR_INIT;
        assert_int_equal(as_owner_find(kind, &st, &a, &e), 0);
        assert_int_equal(a.uid, st.st_uid);
        assert_int_not_equal(a.gid, 6); /* the group is not the files' to say */
        assert_true(a.changes);
        assert_false(a.other);
    }
}

static void other_peoples_files_too(void **state)
{
    static const uid_t others[] = { 0, 1, STRANGER };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stat st = { .st_uid = others[i], .st_gid = 6 };
        struct as_owner a;
        struct err e = ERR_INIT;
        uid_t wanted = account(AS_OWNER_MARIADB);
        assert_int_equal(as_owner_find(AS_OWNER_MARIADB, &st, &a, &e), 0);
        assert_int_equal(a.uid, wanted);
        assert_int_not_equal(a.gid, 6);
        assert_int_not_equal(a.gid, 0);
        assert_true(a.other);
    }
}

static void nothing_leads_back(void **state)
{
    struct stat st = { .st_uid = account(AS_OWNER_MARIADB) };
    const char *words[AS_OWNER_WORDS];
    struct as_owner a;
    struct err e = ERR_INIT;
    bool privs = false, groups = false, dies = false;
    (void)state;
    assert_int_equal(as_owner_find(AS_OWNER_MARIADB, &st, &a, &e), 0);
    size_t n = as_owner_words(&a, "KILL", words);
    assert_true(n > 0 && n <= AS_OWNER_WORDS);
    for (size_t i = 0; i < n; i++) {
        privs = privs || strcmp(words[i], "--no-new-privs") == 0;
        groups = groups || strcmp(words[i], "--clear-groups") == 0;
        dies = dies || strcmp(words[i], "--pdeathsig=KILL") == 0;
    }
    assert_true(privs && groups && dies);
    assert_string_equal(words[n - 1], "--");
}

static void who_is_not_root_stays_who_he_is(void **state)
{
    struct stat st = { .st_uid = STRANGER };
    const char *words[AS_OWNER_WORDS];
    struct as_owner a;
    struct err e = ERR_INIT;
    (void)state;
    if (geteuid() == 0 && seteuid(STRANGER) != 0)
        skip();
    assert_int_equal(as_owner_find(AS_OWNER_MARIADB, &st, &a, &e), 0);
    size_t n = as_owner_words(&a, "KILL", words);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(n, 0);
    assert_false(a.other);
}

static void nobody_owns_nothing(void **state)
{
    struct as_owner a = as_owner_nobody();
    (void)state;
    assert_true(a.uid != 0 || geteuid() == 0);
    if (geteuid() != 0)
        skip();
    assert_true(a.changes && a.uid != 0 && a.gid != 0);
    assert_null(getpwuid(a.uid));
    assert_null(getgrgid(a.gid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_own_files_are_worked_on_as_the_account),
        cmocka_unit_test(other_peoples_files_too),
        cmocka_unit_test(nothing_leads_back),
        cmocka_unit_test(nobody_owns_nothing),
        cmocka_unit_test(who_is_not_root_stays_who_he_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
