/* test_apply_faults.c - a restore that is killed before, or fails at, each of its steps in turn.
 * Whatever happens, no file has wrong bytes under its name, an error that ends it leaves the
 * marker, and the same command finishes the work. */
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "tests/restore_kit.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define OLD "what was there"

static struct rk *snapshot(void)
{
    struct rk *k = rk_new();
    struct entry en;
    rk_dir(k, "a", 0555);
    en = rk_entry(k, ENTRY_FILE, "a/f");
    struct extent x[2] = { { .len = 5, .chunk = rk_chunk(k, "first", 5) },
                           { .len = 6, .chunk = rk_chunk(k, "second", 6) } };
    sha256_of("firstsecond", 11, &en.hash);
    en.size = 11;
    en.extents = x;
    en.n_extents = 2;
    en.flags = ENTRY_LINKED;
    rk_add(k, &en);
    rk_link(k, "a/g", "a/f");
    rk_symlink(k, "a/l", "f");
    rk_file(k, "b", "bbb", 3);
    en = rk_entry(k, ENTRY_FIFO, "p");
    rk_add(k, &en);
    return k;
}

/* Right, or as it was before, or not there. */
static void not_wrong(const char *to, const char *path, const char *content, size_t n,
                      bool overwrite)
{
    struct stat st;
    path = rk_path(to, path);
    if (lstat(path, &st) < 0)
        return;
    if (overwrite && st.st_size == (off_t)strlen(OLD))
        rk_holds(path, OLD, strlen(OLD));
    else
        rk_holds(path, content, n);
}

static void prepare(const char *to, bool overwrite)
{
    if (!overwrite)
        return;
    mkdir(to, 0755);
    mkdir(rk_path(to, "a"), 0755);
    rk_write(rk_path(to, "a/f"), OLD, strlen(OLD));
    rk_write(rk_path(to, "b"), OLD, strlen(OLD));
    rk_write(rk_path(to, "p"), OLD, strlen(OLD));
}

/* What was there before must still be somewhere. */
static size_t old_ones(const char *to)
{
    char command[4096], line[64] = "";
    snprintf(command, sizeof command, "grep -rls '%s' '%s' --devices=skip | wc -l", OLD, to);
    FILE *f = popen(command, "r");
    assert_non_null(fgets(line, sizeof line, f));
    pclose(f);
    return (size_t)atoi(line);
}

static void clear(const char *to)
{
    char command[4096];
    snprintf(command, sizeof command, "rm -rf '%s'", to);
    assert_int_equal(system(command), 0);
}

static unsigned long steps_of(struct rk *k, const char *to, const char *count, bool overwrite)
{
    char fault[4096], text[32] = "";
    snprintf(fault, sizeof fault, "count:%s", count);
    prepare(to, overwrite);
    struct rk_job job = { .target = to, .fault = fault, .overwrite = overwrite };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.failed, 0);
    rk_job_done(&job);
    FILE *f = fopen(count, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    unlink(count);
    clear(to);
    return strtoul(text, NULL, 10);
}

static void continue_it(struct rk *k, const char *to, bool overwrite)
{
    struct rk_job job = { .target = to, .overwrite = overwrite };
    rk_restore(k, &job);
    if (job.rc < 0)
        fail_msg("%s: %s", job.err.what, job.err.why);
    for (size_t i = 0; i < job.n_notes; i++)
        fail_msg("%s: %s", job.notes[i].path, job.notes[i].text);
    assert_int_equal(job.done.failed, 0);
    assert_false(rk_exists(rk_path(to, RESTORE_MARKER)));
    rk_job_done(&job);
    struct rk_job same = { .target = to, .mode = RESTORE_COMPARE };
    rk_restore(k, &same);
    for (size_t i = 0; i < same.n_diffs; i++) {
        if (!strstr(same.diffs[i].path, RESTORE_ASIDE))
            fail_msg("%c %s %u", same.diffs[i].change, same.diffs[i].path, same.diffs[i].what);
    }
    rk_job_done(&same);
}

/* error: ":ENOSPC" or the like; NULL: killed. */
static void sweep(void **state, const char *error, bool overwrite)
{
#ifndef TWOFOLD_FAULTS
    skip();
#endif
    const char *to = rk_path(*state, "to");
    struct rk *k = snapshot();
    unsigned long steps = steps_of(k, to, rk_path(*state, "count"), overwrite);
    assert_true(steps > 20);
    for (unsigned long n = 1; n <= steps; n++) {
        char fault[64];
        snprintf(fault, sizeof fault, "%s@%lu%s", error ? "fail" : "kill", n, error ? error : "");
        prepare(to, overwrite);
        struct rk_job job = { .target = to, .fault = fault, .overwrite = overwrite };
        rk_restore(k, &job);
        if (!error)
            assert_true(WIFSIGNALED(job.status) && WTERMSIG(job.status) == SIGKILL);
        else
            assert_true(WIFEXITED(job.status));
        not_wrong(to, "a/f", "firstsecond", 11, overwrite);
        not_wrong(to, "a/g", "firstsecond", 11, false);
        not_wrong(to, "b", "bbb", 3, overwrite);
        if (overwrite)
            assert_true(old_ones(to) >= 3);
        /* Done without a word means that all of it is there. */
        if (job.rc == 0 && rk_problems(&job) == 0 && job.status == 0)
            rk_holds(rk_path(to, "a/g"), "firstsecond", 11);
        /* When the marker is gone and the last entry there, the restore was done. */
        bool ended = !rk_exists(rk_path(to, RESTORE_MARKER)) && rk_exists(rk_path(to, "p"));
        rk_job_done(&job);
        continue_it(k, to, overwrite || ended);
        if (overwrite)
            assert_true(old_ones(to) >= 3);
        clear(to);
    }
    rk_free(k);
}

static void killed_at_every_step(void **state)
{
    sweep(state, NULL, false);
}

static void killed_at_every_step_of_an_overwrite(void **state)
{
    sweep(state, NULL, true);
}

static void no_space_at_every_step(void **state)
{
    sweep(state, ":ENOSPC", false);
}

static void broken_disk_at_every_step_of_an_overwrite(void **state)
{
    sweep(state, ":EIO", true);
}

int main(int argc, char **argv)
{
    rk_maybe_agent(argc, argv);
#define T(f) cmocka_unit_test_setup_teardown(f, rk_setup, rk_teardown)
    const struct CMUnitTest tests[] = {
        T(killed_at_every_step),
        T(killed_at_every_step_of_an_overwrite),
        T(no_space_at_every_step),
        T(broken_disk_at_every_step_of_an_overwrite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
