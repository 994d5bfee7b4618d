/* test_apply_hostile.c - a restore among enemies: links planted in the target before and while it
 * works, paths that lead outside, names that are swapped, folders that hand down ACLs and flags,
 * files that cannot be changed. Nothing outside of the target may be touched, and what is restored
 * is exact or named. */
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "tests/restore_kit.h"

#include <errno.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static struct stat stat_of(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

static void __attribute__((format(printf, 1, 2))) shell(const char *fmt, ...)
{
    char command[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    assert_int_equal(system(command), 0);
}

static void add_linked(struct rk *k, const char *path, const char *content, unsigned fflags)
{
    struct entry en = rk_entry(k, ENTRY_FILE, path);
    struct extent x = { .len = strlen(content) };
    x.chunk = rk_chunk(k, content, strlen(content));
    sha256_of(content, strlen(content), &en.hash);
    en.size = x.len;
    en.extents = &x;
    en.n_extents = 1;
    en.flags = ENTRY_LINKED;
    en.fflags = fflags;
    rk_add(k, &en);
}

/* --- planted before --------------------------------------------------------------------------- */
static void symlinks_planted_before(void **state)
{
    const char *to = rk_path(*state, "to"), *out = rk_path(*state, "out");
    for (int i = 0; i < 4; i++) {
        struct rk *k = rk_new();
        rk_dir(k, "a", 0755);
        rk_dir(k, "a/b", 0755);
        rk_file(k, "a/b/f", "f", 1);
        rk_file(k, "c", "c", 1);
        mkdir(to, 0755);
        mkdir(out, 0755);
        mkdir(rk_path(out, "b"), 0755);
        rk_write(rk_path(out, "c"), "outside", 7);
        assert_int_equal(symlink(out, rk_path(to, "a")), 0);
        assert_int_equal(symlink(rk_path(out, "c"), rk_path(to, "c")), 0);
        struct rk_job job = { .target = to,
                              .overwrite = true,
                              .fault = i % 2 ? "noopenat2" : NULL };
        if (i >= 2) {
            /* Made to look like a continuation: nothing may be set aside, nor followed. */
            struct rk_job first = { .target = to, .overwrite = true, .kill_after = 1 };
            rk_restore(k, &first);
            rk_job_done(&first);
            job.overwrite = false;
        }
        rk_restore(k, &job);
        assert_int_equal(job.rc, 0);
        assert_int_equal(rk_count(rk_path(out, "b"), "") - 2, 0);
        rk_holds(rk_path(out, "c"), "outside", 7);
        if (job.overwrite) {
            assert_int_equal(job.done.failed, 0);
            assert_int_equal(job.done.set_aside, 2);
            rk_holds(rk_path(to, "a/b/f"), "f", 1);
            rk_holds(rk_path(to, "c"), "c", 1);
        } else {
            assert_true(job.done.failed >= 3);
            assert_true(rk_note(&job, "/a")->problem && rk_note(&job, "/c")->problem);
        }
        rk_job_done(&job);
        rk_free(k);
        shell("rm -rf '%s' '%s'", to, out);
    }
}

/* A file in pages whose second part, in another leaf, says that it is none: it has no sums, which nobody may look for. */
static void pages_that_go_on_without_sums(void **state)
{
    static uint8_t region[1 << 20];
    struct rk *k = rk_new();
    struct entry en = rk_entry(k, ENTRY_FILE, "f");
    struct extent x = { .len = sizeof region };
    struct id sum = { { 1 } };
    const char *to = rk_path(*state, "to");
    x.chunk = rk_chunk(k, region, sizeof region);
    en.flags = ENTRY_PAGED | ENTRY_HAS_MORE;
    en.page_bits = 12;
    en.size = 2 * sizeof region;
    en.extents = &x;
    en.n_extents = 1;
    en.sums = &sum;
    en.n_sums = 1;
    rk_add(k, &en);
    rk_leaf(k);
    struct entry more = { .path = en.path, .path_len = en.path_len, .type = ENTRY_MORE };
    more.extents = &x;
    more.n_extents = 1;
    rk_add(k, &more);
    mkdir(to, 0755);
    for (int i = 0; i < 2; i++) {
        rk_write(rk_path(to, "f"), "what is there", 13);
        struct rk_job job = { .target = to, .overwrite = true, .delta = i == 0 };
        rk_restore(k, &job);
        assert_int_equal(job.rc, 0);
        assert_int_equal(job.done.failed, 1);
        assert_true(rk_note(&job, "/f")->problem);
        rk_job_done(&job);
    }
    rk_free(k);
    shell("rm -rf '%s'", to);
}

/* Sums that are in agreement among themselves, and not with the content. */
static void a_region_that_is_not_its_sum(void **state)
{
    static uint8_t region[1 << 20];
    struct rk *k = rk_new();
    struct entry en = rk_entry(k, ENTRY_FILE, "f");
    struct extent x = { .len = sizeof region };
    struct id sum = { { 1 } };
    const char *to = rk_path(*state, "to");
    x.chunk = rk_chunk(k, region, sizeof region);
    sha256_of(&sum, sizeof sum, &en.hash);
    en.flags = ENTRY_PAGED;
    en.page_bits = 12;
    en.size = sizeof region;
    en.extents = &x;
    en.n_extents = 1;
    en.sums = &sum;
    en.n_sums = 1;
    rk_add(k, &en);
    mkdir(to, 0755);
    for (int i = 0; i < 2; i++) {
        rk_write(rk_path(to, "f"), "what is there", 13);
        struct rk_job job = { .target = to, .overwrite = true, .delta = i == 0 };
        rk_restore(k, &job);
        assert_int_equal(job.rc, 0);
        assert_int_equal(job.done.failed, 1);
        assert_true(rk_note(&job, "/f")->problem);
        rk_job_done(&job);
    }
    rk_free(k);
    shell("rm -rf '%s'", to);
}

/* An allow-list has resolved the target; between that and now a link was put on its way. */
static void link_on_the_way_to_an_allowed_target(void **state)
{
    const char *out = rk_path(*state, "out"), *in = rk_path(*state, "in");
    const char *to[] = { rk_path(*state, "link"), rk_path(*state, "link/there"),
                         rk_path(*state, "link/new/er"), rk_path(in, "new/er") };
    mkdir(out, 0755);
    mkdir(rk_path(out, "there"), 0755);
    mkdir(in, 0755);
    assert_int_equal(symlink(out, to[0]), 0);
    setenv("RK_RESOLVED", "1", 1);
    for (int i = 0; i < 4; i++) {
        struct rk *k = rk_new();
        rk_file(k, "f", "f", 1);
        struct rk_job job = { .target = to[i], .overwrite = true };
        rk_restore(k, &job);
        assert_true((job.rc == 0) == (i == 3));
        rk_job_done(&job);
        rk_free(k);
    }
    unsetenv("RK_RESOLVED");
    assert_false(rk_exists(rk_path(out, "f")) || rk_exists(rk_path(out, "there/f")) ||
                 rk_exists(rk_path(out, "new")));
    rk_holds(rk_path(in, "new/er/f"), "f", 1);
}

static void stale_symlink_as_target_of_a_file(void **state)
{
    struct rk *k = rk_new();
    rk_file(k, "f", "new", 3);
    rk_symlink(k, "l", "here");
    rk_write(rk_path(*state, "secret"), "secret", 6);
    const char *to = rk_path(*state, "to");
    mkdir(to, 0755);
    assert_int_equal(symlink("../secret", rk_path(to, "f")), 0);
    assert_int_equal(symlink("../secret", rk_path(to, "l")), 0);
    struct rk_job job = { .target = to, .overwrite = true };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.failed, 0);
    rk_holds(rk_path(to, "f"), "new", 3);
    rk_holds(rk_path(*state, "secret"), "secret", 6);
    char target[16];
    assert_int_equal(readlink(rk_path(to, "l"), target, sizeof target), 4);
    rk_job_done(&job);
    rk_free(k);
}

/* A user's file whose content happens to be right, but which is another name of somebody else's:
 * its owner must not become the user. */
static void kept_file_with_other_names(void **state)
{
    struct rk *k = rk_new();
    struct entry en = rk_entry(k, ENTRY_FILE, "f");
    en.mode = 0666;
    rk_add(k, &en);
    const char *to = rk_path(*state, "to"), *other = rk_path(*state, "other");
    mkdir(to, 0755);
    rk_write(other, "", 0);
    chmod(other, 0600);
    assert_int_equal(link(other, rk_path(to, "f")), 0);
    struct rk_job job = { .target = to, .overwrite = true };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.failed, 0);
    assert_int_equal(stat_of(other).st_mode & 07777, 0600);
    assert_int_equal(stat_of(rk_path(to, "f")).st_mode & 07777, 0666);
    assert_int_not_equal(stat_of(other).st_ino, stat_of(rk_path(to, "f")).st_ino);
    rk_job_done(&job);
    rk_free(k);
}

/* --- planted meanwhile ------------------------------------------------------------------------ */
struct plant {
    const char *dir;
    size_t at; /* before this chunk is sent */
    bool done;
    void (*act)(const char *dir);
};

static void plant(void *ctx, size_t n)
{
    struct plant *p = ctx;
    if (n != p->at || p->done)
        return;
    p->act(p->dir);
    p->done = true;
}

/* The first file's content is held back until "a" is there; then "a" becomes a link to the
 * outside, and what would be "a/b" is one already. */
static void swap_folders(const char *dir)
{
    rk_waits_for(rk_path(dir, "to/a"));
    assert_int_equal(symlink(rk_path(dir, "out"), rk_path(dir, "to/a/b")), 0);
    assert_int_equal(rename(rk_path(dir, "to/a"), rk_path(dir, "to/moved")), 0);
    assert_int_equal(symlink(rk_path(dir, "out"), rk_path(dir, "to/a")), 0);
}

static void symlinks_planted_meanwhile(void **state)
{
    if (geteuid() != 0)
        skip();
    struct rk *k = rk_new();
    rk_dir(k, "a", 0755);
    rk_file(k, "a/1", "one", 3);
    rk_dir(k, "a/b", 0755);
    rk_file(k, "a/b/2", "two", 3);
    rk_file(k, "c", "three", 5);
    mkdir(rk_path(*state, "out"), 0755);
    struct plant p = { .dir = *state,
                       .at = 2,
                       .act = swap_folders }; /* index, leaf, then content */
    struct rk_job job = { .target = rk_path(*state, "to"), .before_chunk = plant, .ctx = &p };
    rk_restore(k, &job);
    assert_true(p.done);
    assert_int_equal(job.rc, 0);
    assert_int_equal(rk_count(rk_path(*state, "out"), "") - 2, 0);
    rk_holds(rk_path(*state, "to/moved/1"), "one", 3);
    rk_holds(rk_path(*state, "to/c"), "three", 5);
    assert_true(job.done.failed >= 2);
    assert_true(rk_note(&job, "/a/b")->problem);
    rk_job_done(&job);
    rk_free(k);
}

/* The file that a link is to be made to is swapped for a link to a secret. */
static void swap_first_name(const char *dir)
{
    rk_waits_for(rk_path(dir, "to/a"));
    assert_int_equal(unlink(rk_path(dir, "to/a")), 0);
    assert_int_equal(link(rk_path(dir, "secret"), rk_path(dir, "to/a")), 0);
}

static void swapped_link_target(void **state)
{
    struct rk *k = rk_new();
    add_linked(k, "a", "mine", 0);
    rk_file(k, "b", "between", 7);
    rk_link(k, "c", "a");
    rk_write(rk_path(*state, "secret"), "secret", 6);
    struct plant p = { .dir = *state, .at = 3, .act = swap_first_name };
    struct rk_job job = { .target = rk_path(*state, "to"), .before_chunk = plant, .ctx = &p };
    rk_restore(k, &job);
    assert_true(p.done);
    assert_int_equal(job.rc, 0);
    rk_holds(rk_path(*state, "to/c"), "mine", 4);
    assert_int_not_equal(stat_of(rk_path(*state, "to/c")).st_ino,
                         stat_of(rk_path(*state, "secret")).st_ino);
    rk_job_done(&job);
    rk_free(k);
}

/* --- a hostile manifest ----------------------------------------------------------------------- */
static void links_to_the_outside(void **state)
{
    struct rk *k = rk_new();
    const char *to = rk_path(*state, "to");
    rk_symlink(k, "abs", *state);       /* as it was: a link is only a text */
    rk_link(k, "b", "abs/secret");      /* through a link that the restore made itself */
    rk_link(k, "passwd", "etc/passwd"); /* nothing that this restore made */
    rk_file(k, "z", "z", 1);
    rk_write(rk_path(*state, "secret"), "secret", 6);
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.failed, 2);
    assert_true(rk_note(&job, "/b")->problem && rk_note(&job, "/passwd")->problem);
    assert_false(rk_exists(rk_path(to, "b")) || rk_exists(rk_path(to, "passwd")));
    rk_holds(rk_path(to, "z"), "z", 1);
    rk_job_done(&job);
    rk_free(k);
}

static void paths_that_lead_outside(void **state)
{
    static const char *const bad[] = { "a/../../evil", "/evil", "..", "a//evil", "a/./evil" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rk *k = rk_new();
        const char *to = rk_path(*state, i % 2 ? "to1" : "to2");
        rk_dir(k, "a", 0755);
        rk_raw_symlink(k, bad[i], "x", "a/b");
        rk_file(k, "z", "z", 1);
        struct rk_job job = { .target = to, .overwrite = true };
        rk_restore(k, &job);
        assert_int_equal(job.rc, 0);
        assert_int_equal(job.done.failed, 1);
        assert_int_equal(rk_problems(&job), 1);
        rk_holds(rk_path(to, "z"), "z", 1);
        assert_int_equal(rk_count(rk_path(to, "a"), "") - 2, 0);
        assert_false(rk_exists(rk_path(*state, "evil")) || rk_exists("/evil"));
        rk_job_done(&job);
        rk_free(k);
    }
}

static void names_of_the_restore_itself(void **state)
{
    struct rk *k = rk_new();
    const char *to = rk_path(*state, "to");
    rk_file(k, RESTORE_MARKER, "x", 1);
    rk_file(k, "z", "z", 1);
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.failed, 1);
    assert_true(rk_note(&job, "/" RESTORE_MARKER)->problem);
    assert_false(rk_exists(rk_path(to, RESTORE_MARKER)));
    rk_job_done(&job);
    rk_free(k);
}

/* --- difficult folders and files -------------------------------------------------------------- */
static bool has_acl(const char *path)
{
    return getxattr(path, "system.posix_acl_access", NULL, 0) >= 0 ||
           getxattr(path, "system.posix_acl_default", NULL, 0) >= 0;
}

static int flags_of(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), flags = 0;
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        flags = -1;
    close(fd);
    return flags;
}

static bool put_flags(const char *path, int set)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), flags;
    bool ok = ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
    flags |= set;
    ok = ok && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
    close(fd);
    return ok;
}

static void folder_that_hands_down(void **state)
{
    /* user::rwx, user:12345:rwx, group::r-x, mask::rwx, other::r-x */
    static const uint8_t acl[] = {
        2, 0,    0,    0,    1,    0,    7,  0, 0xff, 0xff, 0xff, 0xff, 2,    0,   7,
        0, 0x39, 0x30, 0,    0,    4,    0,  5, 0,    0xff, 0xff, 0xff, 0xff, 16,  0,
        7, 0,    0xff, 0xff, 0xff, 0xff, 32, 0, 5,    0,    0xff, 0xff, 0xff, 0xff
    };
    const char *to = rk_path(*state, "to");
    mkdir(to, 0755);
    if (setxattr(to, "system.posix_acl_default", acl, sizeof acl, 0) < 0)
        skip();
    bool flags = put_flags(to, FS_NODUMP_FL | FS_NOATIME_FL);
    struct rk *k = rk_new();
    rk_dir(k, "d", 0750);
    rk_file(k, "d/f", "f", 1);
    struct entry en = rk_entry(k, ENTRY_FIFO, "d/p");
    rk_add(k, &en);
    rk_file(k, "f", "f", 1);
    rk_symlink(k, "s", "f");
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(rk_problems(&job), 0);
    const char *const all[] = { "d", "d/f", "d/p", "f" };
    const unsigned modes[] = { 0750, 0644, 0644, 0644 };
    for (size_t i = 0; i < 4; i++) {
        assert_false(has_acl(rk_path(to, all[i])));
        assert_int_equal(stat_of(rk_path(to, all[i])).st_mode & 07777, modes[i]);
        if (flags && i != 2)
            assert_int_equal(flags_of(rk_path(to, all[i])) & (FS_NODUMP_FL | FS_NOATIME_FL), 0);
    }
    assert_true(has_acl(to)); /* it was the target's own */
    rk_job_done(&job);
    rk_free(k);
}

static bool can_be_immutable(const char *dir)
{
    const char *probe = rk_path(dir, "probe");
    rk_write(probe, "", 0);
    bool ok = geteuid() == 0 && put_flags(probe, FS_IMMUTABLE_FL);
    int fd = open(probe, O_RDONLY | O_CLOEXEC), none = 0;
    ioctl(fd, FS_IOC_SETFLAGS, &none);
    close(fd);
    unlink(probe);
    return ok;
}

static void immutable_and_linked(void **state)
{
    if (!can_be_immutable(*state))
        skip();
    const char *to = rk_path(*state, "to");
    struct rk *k = rk_new();
    struct entry en = rk_entry(k, ENTRY_DIR, "d");
    en.fflags = FS_IMMUTABLE_FL;
    rk_add(k, &en);
    add_linked(k, "d/f", "content", FS_IMMUTABLE_FL);
    rk_link(k, "d/g", "d/f");
    en = rk_entry(k, ENTRY_FILE, "e");
    en.fflags = FS_APPEND_FL | FS_NODUMP_FL;
    rk_add(k, &en);
    rk_link(k, "h", "d/f");
    for (int i = 0; i < 3; i++) {
        struct rk_job job = { .target = to, .overwrite = i > 0 };
        if (i == 2) { /* what is in the way of the restore is immutable itself */
            shell("chattr -R -i '%s'", to);
            rk_write(rk_path(to, "d/f"), "changed", 7);
            assert_true(put_flags(rk_path(to, "d/f"), FS_IMMUTABLE_FL));
            assert_true(put_flags(rk_path(to, "d"), FS_IMMUTABLE_FL));
        }
        rk_restore(k, &job);
        assert_int_equal(job.rc, 0);
        for (size_t n = 0; n < job.n_notes; n++)
            fail_msg("%d %s: %s", i, job.notes[n].path, job.notes[n].text);
        assert_int_equal(job.done.failed, 0);
        rk_holds(rk_path(to, "h"), "content", 7);
        assert_int_equal(stat_of(rk_path(to, "d/f")).st_nlink, 3);
        assert_true(flags_of(rk_path(to, "d/f")) & FS_IMMUTABLE_FL);
        assert_true(flags_of(rk_path(to, "d")) & FS_IMMUTABLE_FL);
        assert_int_equal(flags_of(rk_path(to, "e")) & (FS_APPEND_FL | FS_NODUMP_FL),
                         FS_APPEND_FL | FS_NODUMP_FL);
        assert_int_equal(job.done.set_aside > 0, i == 2);
        rk_job_done(&job);
    }
    struct rk_job same = { .target = to, .mode = RESTORE_COMPARE };
    rk_restore(k, &same);
    for (size_t i = 0; i < same.n_diffs; i++)
        assert_non_null(strstr(same.diffs[i].path, RESTORE_ASIDE));
    rk_job_done(&same);
    rk_free(k);
}

int main(int argc, char **argv)
{
    rk_maybe_agent(argc, argv);
#define T(f) cmocka_unit_test_setup_teardown(f, rk_setup, rk_teardown)
    const struct CMUnitTest tests[] = {
        T(link_on_the_way_to_an_allowed_target),
        T(stale_symlink_as_target_of_a_file),
        T(symlinks_planted_before),
        T(pages_that_go_on_without_sums),
        T(a_region_that_is_not_its_sum),
        T(stale_symlink_as_target_of_a_file),
        T(kept_file_with_other_names),
        T(symlinks_planted_meanwhile),
        T(swapped_link_target),
        T(links_to_the_outside),
        T(paths_that_lead_outside),
        T(names_of_the_restore_itself),
        T(folder_that_hands_down),
        T(immutable_and_linked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
