/* test_folder_faults.c - sweeps the fault points of lib/base/sys.h through what a folder store writes: each
 * step fails once, fails for good, and kills the process before it. Afterwards every object is whole or
 * absent, what was set aside can be put back, nothing is lost, and doing it again succeeds.
 *
 * The steps run in a new process (this program with arguments), because the plan is read only once. */
#include "lib/base/sys.h"
#include "lib/store/store.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "packs/ab/aa"
#define OLD "old bytes, rotten"
#define NEW "the new bytes"
#define STAMP "s1"
#define MAX_STEPS 200

/* --- the operations, in the process that suffers ------------------------------------------------------- */
static int run_operation(const char *op, const char *root)
{
    struct store *s = NULL;
    struct err e = ERR_INIT;
    struct store_data d = { .p = NEW, .fd = -1, .len = strlen(NEW) };
    int fd = -1, r = store_open(root, 0, &s, &e);
    if (r < 0)
        return 100;
    if (strcmp(op, "put-file") == 0) {
        fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        d = (struct store_data){ .fd = fd, .len = 300000 };
    }
    if (strncmp(op, "put", 3) == 0)
        r = store_put(s, NAME, &d, &e);
    else if (strcmp(op, "replace") == 0)
        r = store_replace(s, NAME, &d, STAMP, &e);
    else if (strcmp(op, "restore") == 0)
        r = store_restore_aside(s, STAMP, &e);
    else
        r = store_delete(s, NAME, &e);
    sys_close_quiet(fd);
    store_close(s);
    return r < 0 ? -r : 0;
}

/* Exit status, or 256 when it was killed. */
static int run_with(const char *plan, const char *op, const char *root)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (plan[0])
            setenv("TWOFOLD_FAULT", plan, 1);
        execl("/proc/self/exe", "test_folder_faults", op, root, (char *)NULL);
        _exit(101);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return 256;
    }
    assert_true(WEXITSTATUS(status) < 100);
    return WEXITSTATUS(status);
}

/* --- a copy made anew for each step ------------------------------------------------------------------------ */
static char dir[64], copy_root[80], count_file[80];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static struct store *open_copy(void)
{
    struct store *s = NULL;
    assert_int_equal(store_open(copy_root, 0, &s, NULL), 0);
    return s;
}

static void make_copy(bool with_object, bool with_replaced)
{
    struct store *s = NULL;
    struct store_data old = { .p = OLD, .fd = -1, .len = strlen(OLD) };
    struct store_data new = { .p = NEW, .fd = -1, .len = strlen(NEW) };
    nftw(copy_root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(store_open(copy_root, STORE_CREATE, &s, NULL), 0);
    assert_int_equal(store_put(s, "vault/00000001", &old, NULL), 0);
    if (with_object)
        assert_int_equal(store_put(s, NAME, &old, NULL), 0);
    if (with_replaced)
        assert_int_equal(store_replace(s, NAME, &new, STAMP, NULL), 0);
    store_close(s);
}

/* What an object is: 0 absent, 'o' old, 'n' new; anything else fails the test. */
static char what_is(struct store *s, const char *name)
{
    uint8_t *p = NULL;
    size_t len;
    char answer = '?';
    int r = store_get_all(s, name, 1 << 20, &p, &len, NULL);
    if (r == -ERR_ABSENT)
        return 0;
    assert_int_equal(r, 0);
    if (len == strlen(OLD) && memcmp(p, OLD, len) == 0)
        answer = 'o';
    if (len == 300000 || (len == strlen(NEW) && memcmp(p, NEW, len) == 0))
        answer = 'n';
    free(p);
    assert_int_not_equal(answer, '?');
    return answer;
}

/* --- the sweep ------------------------------------------------------------------------------------------------ */
struct sweep {
    const char *op;
    bool with_object, with_replaced;
    void (*check)(struct store *s, bool succeeded);
    void (*check_again)(struct store *s);
};

static unsigned long count_steps(const struct sweep *w)
{
    char plan[128];
    unsigned long n = 0;
    make_copy(w->with_object, w->with_replaced);
    snprintf(plan, sizeof plan, "count:%s", count_file);
    assert_int_equal(run_with(plan, w->op, copy_root), 0);
    FILE *f = fopen(count_file, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu", &n), 1);
    fclose(f);
    assert_in_range(n, 1, MAX_STEPS);
    return n;
}

static int ignore(void *ctx, const char *name, uint64_t len)
{
    ++*(int *)ctx;
    return 0;
}

static void check_one(const struct sweep *w, const char *plan)
{
    make_copy(w->with_object, w->with_replaced);
    int r = run_with(plan, w->op, copy_root), drafts = 0;
    struct store *s = open_copy();
    w->check(s, r == 0);
    assert_int_equal(store_sweep_tmp(s, NULL), 0);
    assert_int_equal(store_list(s, "tmp/", ignore, &drafts, NULL), 0);
    assert_int_equal(drafts, 0);
    store_close(s);
    assert_int_equal(run_with("", w->op, copy_root), 0);
    s = open_copy();
    w->check_again(s);
    assert_int_equal(what_is(s, "vault/00000001"), 'o');
    store_close(s);
}

static void sweep(const struct sweep *w)
{
    static const struct {
        const char *verb, *what;
    } kinds[] = { { "kill", "" }, { "fail", ":EIO" }, { "fail", "+:ENOSPC" } };
    unsigned long steps = count_steps(w);
    for (unsigned long n = 1; n <= steps; n++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            char plan[64];
            snprintf(plan, sizeof plan, "%s@%lu%s", kinds[k].verb, n, kinds[k].what);
            check_one(w, plan);
        }
}

/* --- put --- */
static void check_put(struct store *s, bool succeeded)
{
    char is = what_is(s, NAME);
    assert_true(is == 'n' || (is == 0 && !succeeded));
}
static void check_is_new(struct store *s)
{
    assert_int_equal(what_is(s, NAME), 'n');
}
static void test_put(void **state)
{
    sweep(&(struct sweep){ "put", false, false, check_put, check_is_new });
}
static void test_put_from_a_file(void **state)
{
    sweep(&(struct sweep){ "put-file", false, false, check_put, check_is_new });
}

/* --- replace: the old bytes are in their place or aside, never gone --- */
static void check_replace(struct store *s, bool succeeded)
{
    char is = what_is(s, NAME), aside = what_is(s, "aside/" STAMP "/" NAME);
    assert_true(is == 'o' || aside == 'o');
    assert_true(is != 'n' || aside == 'o');
    assert_true(!succeeded || is == 'n');
    assert_true(store_restore_aside(s, STAMP, NULL) == (aside == 'o'));
    assert_int_equal(what_is(s, NAME), 'o');
    if (is == 'n') {
        assert_int_equal(what_is(s, "aside/" STAMP "-undone/" NAME), 'n');
        assert_int_equal(store_delete(s, "aside/" STAMP "-undone/" NAME, NULL), 0);
    }
}
static void check_replaced(struct store *s)
{
    assert_int_equal(what_is(s, NAME), 'n');
    assert_int_equal(what_is(s, "aside/" STAMP "/" NAME), 'o');
}
static void test_replace(void **state)
{
    sweep(&(struct sweep){ "replace", true, false, check_replace, check_replaced });
}

/* --- restore_aside: both the old and the new bytes are somewhere --- */
static void check_restore(struct store *s, bool succeeded)
{
    char is = what_is(s, NAME), aside = what_is(s, "aside/" STAMP "/" NAME);
    char undone = what_is(s, "aside/" STAMP "-undone/" NAME);
    assert_true(is == 'o' || aside == 'o');
    assert_true(is == 'n' || undone == 'n');
    assert_true(!succeeded || (is == 'o' && aside == 0));
}
static void check_restored(struct store *s)
{
    assert_int_equal(what_is(s, NAME), 'o');
    assert_int_equal(what_is(s, "aside/" STAMP "-undone/" NAME), 'n');
}
static void test_restore_aside(void **state)
{
    sweep(&(struct sweep){ "restore", true, true, check_restore, check_restored });
}

/* --- delete --- */
static void check_delete(struct store *s, bool succeeded)
{
    char is = what_is(s, NAME);
    assert_true(is == 0 || (is == 'o' && !succeeded));
}
static void check_deleted(struct store *s)
{
    assert_int_equal(what_is(s, NAME), 0);
}
static void test_delete(void **state)
{
    sweep(&(struct sweep){ "delete", true, false, check_delete, check_deleted });
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/tf-faults-XXXXXX", tmp && strlen(tmp) < 30 ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    snprintf(copy_root, sizeof copy_root, "%s/copy", dir);
    snprintf(count_file, sizeof count_file, "%s/count", dir);
    return 0;
}

static int teardown(void **state)
{
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return run_operation(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),     cmocka_unit_test(test_put_from_a_file),
        cmocka_unit_test(test_replace), cmocka_unit_test(test_restore_aside),
        cmocka_unit_test(test_delete),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
