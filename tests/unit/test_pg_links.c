/* test_pg_links.c - links in a PostgreSQL server's folders (agents/postgresql/links.h). */
#include "agents/postgresql/links.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const char *const folders[] = { "d",        "d/base",           "d/base/1",    "d/global",
                                       "d/pg_wal", "d/pg_tblspc",      "d/pg_xact",   "d/conf.d",
                                       "s",        "s/PG_15_20220906", "s/elsewhere", NULL };

static int make(void)
{
    char dir[] = "/tmp/twofold-links-XXXXXX";
    assert_non_null(mkdtemp(dir));
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (const char *const *f = folders; *f; f++)
        assert_int_equal(mkdirat(fd, *f, 0700), 0);
    assert_int_equal(symlinkat(dir, fd, "where"), 0); /* to find it again */
    return fd;
}

static void unmake(int fd)
{
    char dir[64];
    ssize_t n = readlinkat(fd, "where", dir, sizeof dir - 1);
    assert_true(n > 0);
    dir[n] = '\0';
    assert_int_equal(unlinkat(fd, "where", 0), 0);
    for (size_t i = sizeof folders / sizeof *folders - 1; i-- > 0;)
        assert_int_equal(unlinkat(fd, folders[i], AT_REMOVEDIR), 0);
    close(fd);
    assert_int_equal(rmdir(dir), 0);
}

/* Makes the link, and asks. */
static int ask(int fd, const char *name, bool restored, struct err *e)
{
    *e = (struct err)ERR_INIT;
    assert_int_equal(symlinkat("/etc", fd, name), 0);
    int rc = pg_links_data(fd, "d", "/data", restored, e);
    assert_int_equal(unlinkat(fd, name, 0), 0);
    return rc;
}

static void what_the_server_writes_may_be_no_link(void **state)
{
    static const char *const names[] = {
        "d/base/16384",      "d/base/1/1249", "d/global/1262",    "d/pg_xact/0000",
        "d/pg_multixact",    "d/PG_VERSION",  "d/standby.signal", "d/postgresql.auto.conf",
        "d/postmaster.opts", "d/pg_tblspc/x", "d/backup_label",   "d/pg_filenode.map"
    };
    int fd = make();
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int restored = 0; restored < 2; restored++) {
            struct err e;
            char wanted[64];
            snprintf(wanted, sizeof wanted, "/data/%s is a link", names[i] + 2);
            assert_int_equal(ask(fd, names[i], restored, &e), -ERR_REFUSED);
            assert_ptr_equal(strstr(e.why, wanted), e.why);
        }
    unmake(fd);
}

static void what_people_put_there_may_be(void **state)
{
    static const char *const names[] = { "d/postgresql.conf", "d/pg_hba.conf",
                                         "d/server.crt",      "d/log",
                                         "d/pg_log",          "d/conf.d/10.conf",
                                         "d/pg_tblspc/16385" };
    int fd = make();
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int restored = 0; restored < 2; restored++) {
            struct err e;
            assert_int_equal(ask(fd, names[i], restored, &e), 0);
        }
    unmake(fd);
}

static void the_log_may_lie_elsewhere_at_the_source_only(void **state)
{
    int fd = make();
    struct err e = ERR_INIT;
    (void)state;
    assert_int_equal(ask(fd, "d/pg_wal/000000010000000000000001", false, &e), 0);
    assert_int_equal(ask(fd, "d/pg_wal/000000010000000000000001", true, &e), -ERR_REFUSED);
    assert_int_equal(unlinkat(fd, "d/pg_wal", AT_REMOVEDIR), 0);
    assert_int_equal(ask(fd, "d/pg_wal", false, &e), 0);
    assert_int_equal(ask(fd, "d/pg_wal", true, &e), -ERR_REFUSED);
    assert_int_equal(mkdirat(fd, "d/pg_wal", 0700), 0);
    unmake(fd);
}

static void a_path_lies_where_the_server_keeps_its_files_or_not(void **state)
{
    (void)state;
    assert_true(pg_links_matter("base/16384"));
    assert_true(pg_links_matter("global"));
    assert_true(pg_links_matter("pg_xact/0000"));
    assert_false(pg_links_matter("log"));
    assert_false(pg_links_matter("basement/x"));
    assert_false(pg_links_matter("server.crt"));
}

static void pipes_are_refused_and_so_is_a_folder_that_is_a_link(void **state)
{
    int fd = make();
    struct err e = ERR_INIT;
    (void)state;
    assert_int_equal(mkfifoat(fd, "d/base/1/2604", 0600), 0);
    assert_int_equal(pg_links_data(fd, "d", "/data", true, &e), -ERR_REFUSED);
    assert_int_equal(unlinkat(fd, "d/base/1/2604", 0), 0);
    assert_int_equal(symlinkat("/etc", fd, "label"), 0);
    assert_int_equal(pg_links_all(fd, "label", "/x/label", true, &e), -ERR_REFUSED);
    assert_int_equal(unlinkat(fd, "label", 0), 0);
    assert_int_equal(pg_links_all(fd, "label", "/x/label", true, &e), 0);
    unmake(fd);
}

static void of_a_tablespace_only_the_clusters_part_counts(void **state)
{
    int fd = make();
    struct err e = ERR_INIT;
    (void)state;
    int space = openat(fd, "s", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(symlinkat("/etc", fd, "s/elsewhere/x"), 0);
    assert_int_equal(pg_links_space(space, "/s", &e), 0);
    assert_int_equal(symlinkat("/etc", fd, "s/PG_15_20220906/16384"), 0);
    assert_int_equal(pg_links_space(space, "/s", &e), -ERR_REFUSED);
    assert_int_equal(unlinkat(fd, "s/PG_15_20220906/16384", 0), 0);
    assert_int_equal(unlinkat(fd, "s/elsewhere/x", 0), 0);
    close(space);
    unmake(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_server_writes_may_be_no_link),
        cmocka_unit_test(what_people_put_there_may_be),
        cmocka_unit_test(the_log_may_lie_elsewhere_at_the_source_only),
        cmocka_unit_test(a_path_lies_where_the_server_keeps_its_files_or_not),
        cmocka_unit_test(pipes_are_refused_and_so_is_a_folder_that_is_a_link),
        cmocka_unit_test(of_a_tablespace_only_the_clusters_part_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
