/* test_apply.c - what a restore writes: every kind of object with its exact metadata, chosen
 * paths, what is there already, continuations, and what it says about that which cannot be had.
 * docs/format.md, "Manifest". */
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "tests/restore_kit.h"

#include <errno.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

/* user::rw-, user:12345:r--, group::r--, mask::r--, other::--- */
static const uint8_t acl[] = { 2,    0,    0,    0,    1,    0,    6,    0,    0xff, 0xff, 0xff,
                               0xff, 2,    0,    4,    0,    0x39, 0x30, 0,    0,    4,    0,
                               4,    0,    0xff, 0xff, 0xff, 0xff, 16,   0,    4,    0,    0xff,
                               0xff, 0xff, 0xff, 32,   0,    0,    0,    0xff, 0xff, 0xff, 0xff };

static void ok(const struct rk_job *job)
{
    if (job->rc < 0)
        fail_msg("%s: %s", job->err.what, job->err.why);
    for (size_t i = 0; i < job->n_notes; i++) {
        if (job->notes[i].problem)
            fail_msg("%s: %s", job->notes[i].path, job->notes[i].text);
    }
    assert_int_equal(job->done.failed, 0);
    assert_int_equal(job->status, 0);
    assert_false(rk_exists(rk_path(job->target, RESTORE_MARKER)));
    assert_int_equal(rk_count(job->target, RESTORE_TEMP), job->done.set_aside ? 1 : 0);
}

/* What was restored must compare equal, and nothing else may be there. */
static void compares(struct rk *k, const char *target, size_t differences)
{
    struct rk_job job = { .target = target, .mode = RESTORE_COMPARE };
    rk_restore(k, &job);
    if (job.rc < 0)
        fail_msg("%s: %s", job.err.what, job.err.why);
    if (job.n_diffs != differences) {
        for (size_t i = 0; i < job.n_diffs; i++)
            print_message("%c %s %u\n", job.diffs[i].change, job.diffs[i].path, job.diffs[i].what);
        fail_msg("%zu differences", job.n_diffs);
    }
    assert_int_equal(job.done.failed, 0);
    rk_job_done(&job);
}

static struct stat stat_of(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

static void exact(const char *path, unsigned mode)
{
    struct stat st = stat_of(path);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(st.st_mtim.tv_sec, 1700000000);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
}

/* --- every kind ------------------------------------------------------------------------------- */
static void add_with_xattrs(struct rk *k)
{
    struct xattr x[] = { { "system.posix_acl_access", 23, acl, sizeof acl },
                         { "user.colour", 11, (const uint8_t *)"blue", 4 } };
    struct entry en = rk_entry(k, ENTRY_FILE, "d/with-xattrs");
    en.mode = 0640;
    en.xattrs = x;
    en.n_xattrs = 2;
    rk_add(k, &en);
}

static void add_tree(struct rk *k)
{
    struct entry en;
    rk_dir(k, "a", 0750);
    rk_file(k, "a/empty", "", 0);
    rk_file(k, "a/file", "hello", 5);
    en = rk_entry(k, ENTRY_FILE, "a/first");
    en.path = "a/linked";
    en.path_len = strlen(en.path);
    en.flags = ENTRY_LINKED;
    struct extent x = { .len = 3, .chunk = rk_chunk(k, "..abc", 5), .off = 2 };
    sha256_of("abc", 3, &en.hash);
    en.size = 3;
    en.extents = &x;
    en.n_extents = 1;
    rk_add(k, &en);
    rk_dir(k, "a/sub", 01777);
    rk_symlink(k, "a/sub/away", "/nowhere/at/all");
    rk_link(k, "b-link", "a/linked");
    rk_dir(k, "d", 0555);
    en = rk_entry(k, ENTRY_FIFO, "d/pipe");
    en.mode = 0622;
    rk_add(k, &en);
    add_with_xattrs(k);
    en = rk_entry(k, ENTRY_FILE, "old");
    en.mtime_s = -86400;
    en.mtime_ns = 5;
    en.mode = 06755;
    rk_add(k, &en);
}

static void every_kind(void **state)
{
    const char *to = rk_path(*state, "new/deeper/out");
    struct rk *k = rk_new();
    add_tree(k);
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    ok(&job);
    assert_int_equal(job.done.files, 6);
    assert_int_equal(job.done.dirs, 3);
    assert_int_equal(job.done.others, 2);
    assert_int_equal(job.done.bytes, 8);
    exact(rk_path(to, "a"), 0750);
    exact(rk_path(to, "a/sub"), 01777);
    exact(rk_path(to, "a/sub/away"), 0777);
    exact(rk_path(to, "d"), 0555);
    exact(rk_path(to, "d/pipe"), 0622);
    exact(rk_path(to, "d/with-xattrs"), 0640);
    assert_int_equal(stat_of(rk_path(to, "old")).st_mode & 07777, 06755);
    assert_int_equal(stat_of(rk_path(to, "old")).st_mtim.tv_sec, -86400);
    rk_holds(rk_path(to, "a/file"), "hello", 5);
    rk_holds(rk_path(to, "b-link"), "abc", 3);
    assert_int_equal(stat_of(rk_path(to, "b-link")).st_ino,
                     stat_of(rk_path(to, "a/linked")).st_ino);
    char value[16];
    if (getxattr(rk_path(to, "d/with-xattrs"), "user.colour", value, sizeof value) != 4)
        assert_int_equal(errno, ENOTSUP);
    rk_job_done(&job);
    compares(k, to, 0);
    rk_free(k);
}

static void owners_and_devices(void **state)
{
    if (geteuid() != 0)
        skip();
    const char *to = rk_path(*state, "out");
    struct rk *k = rk_new();
    rk_owner(k, 1234, 4321);
    rk_dir(k, "a", 0700);
    struct entry en = rk_entry(k, ENTRY_CHAR, "a/null");
    en.dev_major = 1;
    en.dev_minor = 3;
    rk_add(k, &en);
    en = rk_entry(k, ENTRY_FILE, "a/suid");
    en.mode = 06755;
    /* cap_net_raw=ep: must survive the change of owner */
    static const uint8_t capability[20] = { 1, 0, 0, 2, 0, 32 };
    struct xattr x = { "security.capability", 19, capability, sizeof capability };
    en.xattrs = &x;
    en.n_xattrs = 1;
    rk_add(k, &en);
    rk_symlink(k, "a/way", "x");
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    ok(&job);
    struct stat st = stat_of(rk_path(to, "a/null"));
    assert_true(S_ISCHR(st.st_mode) && major(st.st_rdev) == 1 && minor(st.st_rdev) == 3);
    const char *const all[] = { "a", "a/null", "a/suid", "a/way" };
    for (size_t i = 0; i < 4; i++) {
        st = stat_of(rk_path(to, all[i]));
        assert_int_equal(st.st_uid, 1234);
        assert_int_equal(st.st_gid, 4321);
    }
    exact(rk_path(to, "a/suid"), 06755);
    uint8_t value[32];
    assert_int_equal(getxattr(rk_path(to, "a/suid"), "security.capability", value, sizeof value),
                     20);
    rk_job_done(&job);
    compares(k, to, 0);
    /* Another owner, the same mode: setting the owner takes the mode's upper bits away. */
    assert_int_equal(chown(rk_path(to, "a/suid"), 77, 77), 0);
    assert_int_equal(chmod(rk_path(to, "a/suid"), 06755), 0);
    struct rk_job again = { .target = to, .overwrite = true };
    rk_restore(k, &again);
    ok(&again);
    assert_int_equal(again.done.set_aside, 0);
    rk_job_done(&again);
    compares(k, to, 0);
    rk_free(k);
}

static void not_root(void **state)
{
    if (geteuid() != 0)
        skip();
    struct rk *k = rk_new();
    rk_owner(k, 4242, 4242);
    rk_dir(k, "a", 0555);
    struct entry en = rk_entry(k, ENTRY_FILE, "a/suid");
    en.mode = 06755;
    rk_add(k, &en);
    rk_file(k, "b", "x", 1);
    assert_int_equal(chmod(*state, 0777), 0);
    const char *to = rk_path(*state, "out");
    for (int i = 0; i < 2; i++) { /* and once more over it */
        struct rk_job job = { .target = to, .uid = 65534, .overwrite = i > 0 };
        rk_restore(k, &job);
        ok(&job);
        assert_int_equal(job.n_notes, 1);
        assert_int_equal(job.done.set_aside, 0);
        exact(rk_path(to, "a"), 0555);
        exact(rk_path(to, "a/suid"), 0755); /* not for another owner */
        rk_job_done(&job);
    }
    rk_free(k);
}

/* --- content ---------------------------------------------------------------------------------- */
#define TIB (UINT64_C(1) << 40)

static void hash_run(struct sha256 *sha, uint64_t off, const void *p, uint64_t n)
{
    struct wbuf b = WBUF_INIT;
    wb_u64(&b, off);
    wb_u64(&b, n);
    sha256_update(sha, b.p, b.len);
    sha256_update(sha, p, n);
    wbuf_free(&b);
}

static void sparse_file(void **state)
{
    const char *to = rk_path(*state, "out");
    struct rk *k = rk_new();
    struct id head = rk_chunk(k, "head", 4), tail = rk_chunk(k, "tailtail", 8);
    struct extent x[] = { { .len = 4, .chunk = head },
                          { .len = TIB, .hole = true },
                          { .len = 4, .chunk = tail },
                          { .len = 4, .chunk = tail, .off = 4 },
                          { .len = 1u << 20, .hole = true } };
    struct entry en = rk_entry(k, ENTRY_FILE, "sparse");
    struct sha256 *sha = sha256_new();
    hash_run(sha, 0, "head", 4);
    hash_run(sha, TIB + 4, "tailtail", 8);
    sha256_final(sha, &en.hash);
    sha256_free(sha);
    en.flags = ENTRY_SPARSE;
    en.size = TIB + 12 + (1u << 20);
    en.extents = x;
    en.n_extents = 5;
    rk_add(k, &en);
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    ok(&job);
    const char *path = rk_path(to, "sparse");
    struct stat st = stat_of(path);
    assert_int_equal(st.st_size, en.size);
    assert_true(st.st_blocks < 1000);
    char have[8];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, have, 8, TIB + 4), 8);
    assert_memory_equal(have, "tailtail", 8);
    close(fd);
    rk_job_done(&job);
    compares(k, to, 0);
    /* Something in the hole, and the time put back, is found. */
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 12345), 1);
    assert_int_equal(futimens(fd, (struct timespec[]){ st.st_mtim, st.st_mtim }), 0);
    close(fd);
    compares(k, to, 1);
    rk_free(k);
}

/* More extents than fit in one part, with holes whose neighbours run over the parts' borders. */
static void file_of_many_parts(void **state)
{
    const char *to = rk_path(*state, "out");
    enum { EXTENTS = 5000, BYTES = 4096 };
    struct rk *k = rk_new();
    struct extent *x = calloc(EXTENTS, sizeof *x);
    uint8_t *all = calloc(EXTENTS, BYTES);
    struct sha256 *sha = sha256_new();
    for (size_t i = 0; i < EXTENTS; i++) {
        uint8_t *p = all + i * BYTES;
        x[i].len = BYTES;
        x[i].hole = i % 2500 == 1249;
        if (x[i].hole)
            continue;
        memset(p, (int)(i % 251) + 1, BYTES);
        x[i].chunk = rk_chunk(k, p, BYTES);
    }
    hash_run(sha, 0, all, 1249 * BYTES);
    hash_run(sha, 1250 * BYTES, all + 1250 * BYTES, 2499 * BYTES);
    hash_run(sha, 3750 * BYTES, all + 3750 * BYTES, 1250 * BYTES);
    struct entry en = rk_entry(k, ENTRY_FILE, "big");
    sha256_final(sha, &en.hash);
    en.size = (uint64_t)EXTENTS * BYTES;
    en.flags = ENTRY_SPARSE | ENTRY_HAS_MORE;
    rk_file(k, "before", "1", 1);
    for (size_t at = 0; at < EXTENTS; at += 1000) {
        struct entry part = en;
        if (at > 0)
            part = (struct entry){ .type = ENTRY_MORE, .path = en.path, .path_len = en.path_len };
        part.flags = at > 0 ? 0 : en.flags;
        part.flags |= at + 1000 < EXTENTS ? ENTRY_HAS_MORE : 0;
        part.extents = x + at;
        part.n_extents = 1000;
        if (at > 1000)
            rk_leaf(k); /* so that a leaf begins with a continuation */
        rk_add(k, &part);
    }
    rk_file(k, "last", "2", 1);
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    ok(&job);
    rk_holds(rk_path(to, "big"), all, (size_t)en.size);
    rk_holds(rk_path(to, "last"), "2", 1);
    rk_job_done(&job);
    compares(k, to, 0);
    /* Once more on top: all is there already. */
    struct rk_job again = { .target = to, .overwrite = true };
    rk_restore(k, &again);
    ok(&again);
    assert_int_equal(again.done.already, 3);
    rk_job_done(&again);
    /* Alone: the leaf in which it begins is the one before that which begins with its path. */
    struct rk_job alone = { .target = rk_path(*state, "alone"), .paths = { "/big" } };
    rk_restore(k, &alone);
    ok(&alone);
    rk_holds(rk_path(*state, "alone/big"), all, (size_t)en.size);
    rk_job_done(&alone);
    sha256_free(sha);
    free(all);
    free(x);
    rk_free(k);
}

static void deep_path(void **state)
{
    const char *to = rk_path(*state, "out");
    enum { LEVELS = 400, NAME = 40 };
    struct rk *k = rk_new();
    char path[LEVELS * (NAME + 1) + 16], name[NAME + 1];
    size_t len = 0;
    memset(name, 'n', NAME);
    name[NAME] = '\0';
    for (int i = 0; i < LEVELS; i++) {
        len += (size_t)sprintf(path + len, i ? "/%s" : "%s", name);
        rk_dir(k, path, 0751);
    }
    strcpy(path + len, "/file");
    struct entry en = rk_entry(k, ENTRY_FILE, path);
    en.flags = ENTRY_LINKED;
    rk_add(k, &en);
    rk_link(k, "z", path);
    for (int i = 0; i < 2; i++) {
        struct rk_job job = { .target = to,
                              .overwrite = i > 0,
                              .fault = i > 0 ? "noopenat2" : NULL };
        rk_restore(k, &job);
        ok(&job);
        assert_int_equal(job.done.dirs, LEVELS);
        assert_int_equal(stat_of(rk_path(to, "z")).st_nlink, 2);
        rk_job_done(&job);
    }
    int fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < LEVELS; i++) {
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        assert_true(next >= 0);
        close(fd);
        fd = next;
        fstat(fd, &st);
        assert_int_equal(st.st_mtim.tv_sec, 1700000000);
        assert_int_equal(st.st_mode & 07777, 0751);
    }
    close(fd);
    compares(k, to, 0);
    rk_free(k);
}

/* --- what cannot be had ----------------------------------------------------------------------- */
static void lost_and_bad_chunks(void **state)
{
    const char *to = rk_path(*state, "out");
    struct rk *k = rk_new();
    struct id away = rk_file(k, "away", "111", 3), bad = rk_file(k, "bad-once", "222", 3);
    struct id hopeless = rk_file(k, "hopeless", "333", 3), lost = rk_file(k, "lost", "444", 3);
    rk_file(k, "whole", "555", 3);
    struct entry en = rk_entry(k, ENTRY_FILE, "wrong-hash");
    struct extent x = { .len = 3, .chunk = rk_chunk(k, "666", 3) };
    sha256_of("667", 3, &en.hash);
    en.size = 3;
    en.extents = &x;
    en.n_extents = 1;
    rk_add(k, &en);
    en.path = "wrong-length";
    en.path_len = strlen(en.path);
    en.size = x.len = 9;
    sha256_of("666666666", 9, &en.hash);
    rk_add(k, &en);
    rk_file(k, "zz", "777", 3);
    rk_lose(k, &away, CHUNK_AWAY);
    rk_spoil(k, &bad, 1);
    rk_spoil(k, &hopeless, 99);
    rk_lose(k, &lost, CHUNK_LOST);
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.failed, 5);
    assert_int_equal(job.done.files, 3);
    assert_int_equal(rk_problems(&job), 5);
    assert_int_equal(job.n_bads, 1 + 3);
    rk_holds(rk_path(to, "bad-once"), "222", 3);
    rk_holds(rk_path(to, "whole"), "555", 3);
    rk_holds(rk_path(to, "zz"), "777", 3);
    const char *const failed[] = { "/away", "/hopeless", "/lost", "/wrong-hash", "/wrong-length" };
    for (size_t i = 0; i < 5; i++) {
        assert_true(rk_note(&job, failed[i]) && rk_note(&job, failed[i])->problem);
        assert_false(rk_exists(rk_path(to, failed[i] + 1)));
    }
    assert_string_not_equal(rk_note(&job, "/away")->text, rk_note(&job, "/lost")->text);
    /* The same command brings what was away: its mark stays, and nothing else. */
    assert_true(rk_exists(rk_path(to, RESTORE_MARKER)));
    assert_int_equal(rk_count(to, RESTORE_TEMP), 1);
    rk_job_done(&job);
    rk_free(k);
}

static void lost_leaf(void **state)
{
    const char *to = rk_path(*state, "out");
    struct rk *k = rk_new();
    rk_dir(k, "a", 0755);
    rk_file(k, "a/1", "1", 1);
    rk_leaf(k);
    rk_dir(k, "b", 0700);
    rk_file(k, "b/2", "2", 1);
    rk_lose_last_leaf(k);
    rk_file(k, "b/3", "3", 1);
    rk_file(k, "c", "4", 1);
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.failed, 1);
    assert_int_equal(rk_problems(&job), 1);
    assert_non_null(strstr(job.notes[0].text, "/b/3"));
    rk_holds(rk_path(to, "a/1"), "1", 1);
    rk_holds(rk_path(to, "b/3"), "3", 1); /* its folder is made, though nothing is known of it */
    rk_holds(rk_path(to, "c"), "4", 1);
    rk_job_done(&job);
    rk_free(k);
}

/* --- a part of it ----------------------------------------------------------------------------- */
static void chosen_paths(void **state)
{
    const char *to = rk_path(*state, "out");
    struct rk *k = rk_new();
    struct entry en;
    rk_dir(k, "a", 0711);
    en = rk_entry(k, ENTRY_FILE, "a/first");
    en.flags = ENTRY_LINKED;
    struct extent x = { .len = 3, .chunk = rk_chunk(k, "abc", 3) };
    sha256_of("abc", 3, &en.hash);
    en.size = 3;
    en.extents = &x;
    en.n_extents = 1;
    rk_add(k, &en);
    rk_leaf(k);
    rk_dir(k, "b", 0750);
    rk_leaf(k);
    rk_file(k, "b/no", "n", 1);
    rk_dir(k, "b/yes", 0700);
    rk_link(k, "b/yes/link", "a/first");
    rk_link(k, "b/yes/link2", "a/first");
    rk_index(k);
    rk_file(k, "b/yes-not", "n", 1);
    rk_file(k, "c", "c", 1);
    struct rk_job job = { .target = to, .paths = { "/b/yes", "/c" } };
    rk_restore(k, &job);
    ok(&job);
    exact(rk_path(to, "b"), 0750);
    exact(rk_path(to, "b/yes"), 0700);
    rk_holds(rk_path(to, "b/yes/link"), "abc", 3);
    assert_int_equal(stat_of(rk_path(to, "b/yes/link")).st_ino,
                     stat_of(rk_path(to, "b/yes/link2")).st_ino);
    rk_holds(rk_path(to, "c"), "c", 1);
    assert_int_equal(rk_count(to, "") - 2, 2);
    assert_int_equal(rk_count(rk_path(to, "b"), "") - 2, 1);
    rk_job_done(&job);
    struct rk_job some = { .target = rk_path(*state, "two"), .paths = { "/c", "/nothing" } };
    rk_restore(k, &some);
    assert_int_equal(some.rc, 0);
    assert_int_equal(some.done.failed, 1);
    assert_non_null(rk_note(&some, "/nothing"));
    rk_job_done(&some);
    struct rk_job none = { .target = rk_path(*state, "three"), .paths = { "/nothing" } };
    rk_restore(k, &none);
    assert_int_equal(none.rc, -ERR_ABSENT);
    rk_job_done(&none);
    rk_free(k);
}

/* Where a file system cannot hold a time, that is said and nothing else suffers. */
static void time_out_of_range(void **state)
{
    const char *to = rk_path(*state, "out");
    struct rk *k = rk_new();
    struct entry en = rk_entry(k, ENTRY_FILE, "far");
    en.mtime_s = INT64_C(100000000000);
    rk_add(k, &en);
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    ok(&job);
    bool held = stat_of(rk_path(to, "far")).st_mtim.tv_sec == en.mtime_s;
    assert_int_equal(job.n_notes, held ? 0 : 1);
    rk_job_done(&job);
    rk_free(k);
}

static void strip_source(void **state)
{
    const char *to = rk_path(*state, "out");
    struct rk *k = rk_new();
    struct entry en = rk_entry(k, ENTRY_DIR, "srv");
    en.flags = ENTRY_ABOVE;
    rk_add(k, &en);
    rk_dir(k, "srv/data", 0710);
    struct entry first = rk_entry(k, ENTRY_FILE, "srv/data/f");
    first.flags = ENTRY_LINKED;
    rk_add(k, &first);
    rk_link(k, "srv/data/g", "srv/data/f");
    rk_root(k, "/srv/data");
    struct rk_job job = { .target = to, .strip_source = true };
    rk_restore(k, &job);
    ok(&job);
    exact(to, 0710);
    assert_int_equal(stat_of(rk_path(to, "f")).st_nlink, 2);
    assert_false(rk_exists(rk_path(to, "srv")));
    rk_job_done(&job);
    rk_root(k, "/other");
    struct rk_job two = { .target = rk_path(*state, "two"), .strip_source = true };
    rk_restore(k, &two);
    assert_int_equal(two.rc, -ERR_USAGE);
    assert_false(rk_exists(two.target));
    rk_job_done(&two);
    rk_free(k);
}

/* --- what is there already -------------------------------------------------------------------- */
static void refuses_what_is_not_empty(void **state)
{
    struct rk *k = rk_new();
    rk_file(k, "f", "new", 3);
    rk_write(rk_path(*state, "f"), "old", 3);
    struct rk_job job = { .target = *state };
    rk_restore(k, &job);
    assert_int_equal(job.rc, -ERR_EXISTS);
    assert_true(job.err.next[0]);
    rk_holds(rk_path(*state, "f"), "old", 3);
    assert_int_equal(rk_count(*state, "") - 2, 1);
    rk_job_done(&job);
    rk_free(k);
}

static char *aside_of(const char *dir)
{
    char *out = NULL, command[4096], line[256] = "";
    snprintf(command, sizeof command, "ls -d '%s'/.twofold-aside-* | head -1", dir);
    FILE *f = popen(command, "r");
    assert_non_null(fgets(line, sizeof line, f));
    pclose(f);
    line[strcspn(line, "\n")] = '\0';
    out = strdup(line);
    return out;
}

static void overwrite_sets_aside(void **state)
{
    const char *to = *state;
    struct rk *k = rk_new();
    rk_dir(k, "d", 0750);
    rk_file(k, "d/changed", "new", 3);
    rk_file(k, "d/same", "same", 4);
    rk_file(k, "file-was-dir", "f", 1);
    rk_dir(k, "was-link", 0755);
    rk_file(k, "was-link/in", "in", 2);
    rk_symlink(k, "z-link", "right");
    rk_symlink(k, "z-same", "same");
    mkdir(rk_path(to, "d"), 0700);
    mkdir(rk_path(to, "outside"), 0700);
    rk_write(rk_path(to, "d/changed"), "old", 3);
    rk_write(rk_path(to, "d/extra"), "stays", 5);
    rk_write(rk_path(to, "d/same"), "same", 4);
    ino_t same = stat_of(rk_path(to, "d/same")).st_ino;
    mkdir(rk_path(to, "file-was-dir"), 0700);
    rk_write(rk_path(to, "file-was-dir/x"), "x", 1);
    assert_int_equal(symlink("outside", rk_path(to, "was-link")), 0);
    assert_int_equal(symlink("wrong", rk_path(to, "z-link")), 0);
    assert_int_equal(symlink("same", rk_path(to, "z-same")), 0);
    struct rk_job job = { .target = to, .overwrite = true };
    rk_restore(k, &job);
    ok(&job);
    assert_int_equal(job.done.set_aside, 4);
    assert_int_equal(job.done.already, 1);
    rk_holds(rk_path(to, "d/changed"), "new", 3);
    rk_holds(rk_path(to, "d/extra"), "stays", 5);
    exact(rk_path(to, "d/same"), 0644);
    assert_int_equal(stat_of(rk_path(to, "d/same")).st_ino, same);
    rk_holds(rk_path(to, "was-link/in"), "in", 2);
    assert_int_equal(rk_count(rk_path(to, "outside"), "") - 2, 0);
    char *aside = aside_of(to);
    rk_holds(rk_path(aside, "d/changed"), "old", 3);
    rk_holds(rk_path(aside, "file-was-dir/x"), "x", 1);
    assert_true(S_ISLNK(stat_of(rk_path(aside, "was-link")).st_mode));
    assert_true(S_ISLNK(stat_of(rk_path(aside, "z-link")).st_mode));
    free(aside);
    rk_job_done(&job);
    compares(k, to, 9); /* the aside folder and six in it, "outside" and "extra" are added */
    rk_free(k);
}

static void killed_and_continued(void **state)
{
    const char *to = rk_path(*state, "out");
    enum { FILES = 60, BYTES = 300000 };
    struct rk *k = rk_new();
    uint8_t *p = malloc(BYTES);
    char path[64];
    for (int d = 0; d < FILES / 10; d++) {
        sprintf(path, "d%02d", d);
        rk_dir(k, path, 0555);
        for (int i = 0; i < 10; i++) {
            sprintf(path, "d%02d/f%02d", d, i);
            memset(p, d * 10 + i, BYTES);
            rk_file(k, path, p, BYTES);
        }
    }
    struct rk_job job = { .target = to, .kill_after = 40 };
    rk_restore(k, &job);
    assert_true(WIFSIGNALED(job.status));
    assert_true(rk_exists(rk_path(to, RESTORE_MARKER)));
    rk_job_done(&job);
    /* Another restore must not take it for its own. */
    struct rk_job other = { .target = to, .snapshot = { { 1 } } };
    rk_restore(k, &other);
    assert_int_equal(other.rc, -ERR_EXISTS);
    rk_job_done(&other);
    struct rk_job again = { .target = to };
    rk_restore(k, &again);
    ok(&again);
    assert_true(again.done.already > 0 && again.done.already < FILES);
    assert_int_equal(again.done.files, FILES);
    assert_int_equal(again.done.set_aside, 0);
    rk_job_done(&again);
    compares(k, to, 0);
    free(p);
    rk_free(k);
}

int main(int argc, char **argv)
{
    rk_maybe_agent(argc, argv);
#define T(f) cmocka_unit_test_setup_teardown(f, rk_setup, rk_teardown)
    const struct CMUnitTest tests[] = {
        T(every_kind),
        T(owners_and_devices),
        T(not_root),
        T(sparse_file),
        T(file_of_many_parts),
        T(deep_path),
        T(lost_and_bad_chunks),
        T(lost_leaf),
        T(chosen_paths),
        T(time_out_of_range),
        T(strip_source),
        T(refuses_what_is_not_empty),
        T(overwrite_sets_aside),
        T(killed_and_continued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
