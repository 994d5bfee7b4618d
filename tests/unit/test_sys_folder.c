/* test_sys_folder.c - a folder that is made where somebody else may rename (lib/base/sys.h, sys_make_folder). */
#include "lib/base/sys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

static enum { NOBODY, LINKS, REMOVES, OPENS_UP } somebody; /* who is quicker */

/* In the place of the C library's, which comes in between two calls of ours. */
int mkdirat(int fd, const char *name, mode_t mode)
{
    int rc = (int)syscall(SYS_mkdirat, fd, name, mode);
    if (rc == 0 && (somebody == LINKS || somebody == REMOVES))
        assert_int_equal(unlinkat(fd, name, AT_REMOVEDIR), 0);
    if (rc == 0 && somebody == LINKS)
        assert_int_equal(symlinkat("/etc", fd, name), 0);
    if (rc == 0 && somebody == OPENS_UP)
        assert_int_equal(fchmodat(fd, name, 0777, 0), 0);
    return rc;
}

static void only_a_folder_of_ours_is_opened(void **state)
{
    char dir[] = "/tmp/twofold-folder-XXXXXX";
    struct err e = ERR_INIT;
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(dir));
    int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    somebody = NOBODY;
    int fd = sys_make_folder(top, "made", &e);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    close(fd);
    assert_int_equal(sys_make_folder(top, "made", &e), -ERR_EXISTS);
    assert_int_equal(unlinkat(top, "made", AT_REMOVEDIR), 0);
    somebody = LINKS;
    assert_int_equal(sys_make_folder(top, "made", &e), -ERR_REFUSED);
    assert_int_equal(unlinkat(top, "made", 0), 0);
    somebody = REMOVES;
    assert_int_equal(sys_make_folder(top, "made", &e), -ERR_REFUSED);
    somebody = OPENS_UP;
    assert_int_equal(sys_make_folder(top, "made", &e), -ERR_REFUSED);
    assert_int_equal(unlinkat(top, "made", AT_REMOVEDIR), 0);
    close(top);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(only_a_folder_of_ours_is_opened) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
