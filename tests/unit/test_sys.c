/* test_sys.c - lib/base/sys.h: files, folders, locks and the fault points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/sys.h"
#include "tests/unit/sys_kit.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_NAME_BYTES 250
#define LONG_DEPTH 20 /* 20 * 251 bytes: longer than PATH_MAX */

/* --- opening below a folder ------------------------------------------------------------------- */
static int make_long_path(int dirfd, char *path)
{
    char name[LONG_NAME_BYTES + 1];
    int at = dup(dirfd);
    memset(name, 'd', LONG_NAME_BYTES);
    name[LONG_NAME_BYTES] = '\0';
    path[0] = '\0';
    for (int i = 0; i < LONG_DEPTH; i++) {
        if (mkdirat(at, name, 0700) < 0)
            return -1;
        int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = next;
        strcat(path, name);
        strcat(path, "/");
    }
    return at;
}

/* Tries one path; the file that it finds, if any, is closed again. */
static int beneath(int dirfd, const char *path, int flags)
{
    struct err e = ERR_INIT;
    int fd = sys_open_beneath(dirfd, path, flags, 0640, &e);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (!(flags & O_CREAT) && sys_open_beneath(dirfd, path, flags, 0640, NULL) != fd)
        return 998; /* the code does not depend on who listens */
    return (int)e.code == -fd && e.why[0] && e.what[0] ? fd : 999;
}

static const struct {
    const char *path;
    int flags, want;
} beneath_cases[] = {
    { "a/b/file", O_RDONLY, 0 },
    { "a//b///file", O_RDONLY, 0 },
    { "./a/./b/file", O_RDONLY, 0 },
    { ".", O_RDONLY | O_DIRECTORY, 0 },
    { "a/b/", O_RDONLY | O_DIRECTORY, 0 },
    { "a/b/new", O_WRONLY | O_CREAT | O_EXCL, 0 },
    { "a/b/new", O_WRONLY | O_CREAT | O_EXCL, -ERR_EXISTS },
    { "a/b/...", O_WRONLY | O_CREAT, 0 }, /* an odd name, but a name */
    { "", O_RDONLY, -ERR_ABSENT },
    { "a/none", O_RDONLY, -ERR_ABSENT },
    { "none/file", O_RDONLY, -ERR_ABSENT },
    { "a/b/file/below", O_RDONLY, -ERR_ABSENT },
    { "a/b/file", O_RDONLY | O_DIRECTORY, -ERR_ABSENT },
    { "..", O_RDONLY, -ERR_REFUSED },
    { "a/..", O_RDONLY, -ERR_REFUSED },
    { "a/../a/b/file", O_RDONLY, -ERR_REFUSED },
    { "/etc/passwd", O_RDONLY, -ERR_REFUSED },
    { "/", O_RDONLY, -ERR_REFUSED },
    { "link-dir/file", O_RDONLY, -ERR_REFUSED },      /* in the middle, to a folder inside */
    { "link-out/passwd", O_RDONLY, -ERR_REFUSED },    /* in the middle, to outside */
    { "a/link-up/a/b/file", O_RDONLY, -ERR_REFUSED }, /* deeper, relative */
    { "link-dir/", O_RDONLY, -ERR_REFUSED },
    { "link-dir", O_RDONLY | O_DIRECTORY, -ERR_REFUSED },
    { "a/link-file", O_RDONLY, -ERR_REFUSED }, /* as the last */
    { "a/link-file", O_WRONLY | O_CREAT, -ERR_REFUSED },
    { "a/link-dangling", O_WRONLY | O_CREAT, -ERR_REFUSED },
    { "a/link-file", O_PATH, 0 }, /* the link itself */
    { "link-dir/file", O_PATH, -ERR_REFUSED },
};

static bool make_beneath_tree(int dirfd)
{
    int file = -1;
    bool ok = mkdirat(dirfd, "a", 0700) == 0 && mkdirat(dirfd, "a/b", 0700) == 0 &&
              (file = openat(dirfd, "a/b/file", O_CREAT | O_WRONLY, 0600)) >= 0 &&
              symlinkat("a/b", dirfd, "link-dir") == 0 &&
              symlinkat("/etc", dirfd, "link-out") == 0 &&
              symlinkat("..", dirfd, "a/link-up") == 0 &&
              symlinkat("b/file", dirfd, "a/link-file") == 0 &&
              symlinkat("b/dangling", dirfd, "a/link-dangling") == 0;
    close(file);
    return ok;
}

/* Exit status: 0, or 1 + the number of the case that went wrong, 120 and above for the others. */
static int scene_beneath(const char *dir)
{
    static char path[LONG_DEPTH * (LONG_NAME_BYTES + 1) + 32];
    struct stat st;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!make_beneath_tree(fd))
        return 120;
    for (size_t i = 0; i < sizeof beneath_cases / sizeof *beneath_cases; i++)
        if (beneath(fd, beneath_cases[i].path, beneath_cases[i].flags) != beneath_cases[i].want)
            return 1 + (int)i;
    if (fstatat(fd, "a/b/dangling", &st, 0) == 0) /* made through the link after all */
        return 121;
    int deep = make_long_path(fd, path);
    size_t n = strlen(path);
    if (deep < 0 || n <= PATH_MAX)
        return 122;
    strcpy(path + n, "file");
    if (beneath(fd, path, O_RDONLY) != -ERR_ABSENT || beneath(fd, path, O_WRONLY | O_CREAT) != 0 ||
        faccessat(deep, "file", F_OK, 0) != 0 || beneath(fd, path, O_RDONLY) != 0)
        return 123;
    strcpy(path + n, "link");
    if (symlinkat("file", deep, "link") < 0 || beneath(fd, path, O_RDONLY) != -ERR_REFUSED)
        return 124;
    strcpy(path + n, "../file");
    if (beneath(fd, path, O_RDONLY) != -ERR_REFUSED)
        return 125;
    close(deep);
    close(fd);
    return 0;
}

static int folder(const struct fixture *f, const char *name, bool no_links)
{
    int fd = sys_open_folder(path_in(f, name), no_links, NULL);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

static void folders_open_with_and_without_links(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdirat(f->fd, "real", 0700), 0);
    assert_int_equal(mkdirat(f->fd, "real/in", 0700), 0);
    assert_int_equal(symlinkat("real", f->fd, "way"), 0);
    assert_int_equal(folder(f, "real/in", true), 0);
    assert_int_equal(folder(f, "way", false), 0);
    assert_int_equal(folder(f, "way/in", false), 0);
    assert_int_equal(folder(f, "way", true), -ERR_REFUSED);
    assert_int_equal(folder(f, "way/in", true), -ERR_REFUSED);
    assert_int_equal(folder(f, "none", true), -ERR_ABSENT);
    int root = sys_open_folder("/", true, NULL);
    assert_true(root >= 0);
    close(root);
}

static void beneath_with_openat2(void **state)
{
    struct fixture *f = *state;
    assert_plays("beneath", f->dir, NULL);
}

#ifdef TWOFOLD_FAULTS
static void beneath_component_by_component(void **state)
{
    struct fixture *f = *state;
    assert_plays("beneath", f->dir, "noopenat2");
}
#endif

static void opened_files_are_close_on_exec(void **state)
{
    struct fixture *f = *state;
    int a = sys_openat(f->fd, "x", O_WRONLY | O_CREAT, 0640, NULL);
    int b = sys_open_beneath(f->fd, "x", O_RDONLY, 0, NULL);
    struct stat st;
    assert_true(fcntl(a, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(b, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(fstat(b, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
    assert_int_equal(sys_close(a, NULL), 0);
    assert_int_equal(sys_close(b, NULL), 0);
    assert_int_equal(sys_close(-1, NULL), 0);
    assert_int_equal(sys_close(a, NULL), -ERR_IO);
    sys_close_quiet(-1);
}

/* --- reading, writing, copying ---------------------------------------------------------------- */
static void reads_and_writes_are_whole(void **state)
{
    struct fixture *f = *state;
    enum { n = 3 << 20 };
    uint8_t *p = malloc(n), *q = malloc(n + 10);
    assert_true(p && q);
    sys_random(p, n);
    int fd = sys_openat(f->fd, "x", O_RDWR | O_CREAT, 0600, NULL);
    assert_int_equal(sys_write(fd, p, n, NULL), 0);
    assert_int_equal(sys_pwrite(fd, "!", 1, 5, NULL), 0);
    assert_int_equal(sys_pwrite(fd, "!", 1, UINT64_MAX, NULL), -ERR_LIMIT);
    assert_int_equal(sys_pread(fd, q, n + 10, 0, NULL), n);
    assert_int_equal(q[5], '!');
    q[5] = p[5];
    assert_memory_equal(p, q, n);
    assert_int_equal(sys_pread(fd, q, 10, n - 4, NULL), 4);
    assert_int_equal(sys_read(fd, q, 10, NULL), 0);
    assert_int_equal(sys_fsync(fd, NULL), 0);
    assert_int_equal(sys_syncfs(fd, NULL), 0);
    close(fd);
    assert_int_equal(sys_read(fd, q, 10, NULL), -ERR_IO);
    free(p);
    free(q);
}

/* A pipe gives less than was asked for; sys_read goes on until all is there. */
static void short_reads_are_continued(void **state)
{
    int p[2];
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 200; i++)
            if (write(p[1], "0123456789", 10) != 10)
                _exit(1);
        _exit(0);
    }
    close(p[1]);
    char buf[3000];
    assert_int_equal(sys_read(p[0], buf, 1995, NULL), 1995);
    assert_int_equal(sys_read(p[0], buf, sizeof buf, NULL), 5);
    assert_memory_equal(buf, "56789", 5);
    close(p[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void copies_go_to_the_end(void **state)
{
    static const int flags[] = { O_RDWR, O_RDWR | O_APPEND }; /* the second: not in the kernel */
    struct fixture *f = *state;
    put_file(f->fd, "in", "0123456789");
    for (size_t i = 0; i < 2; i++) {
        bool read_side = true;
        put_file(f->fd, "out", "head ");
        int in = sys_openat(f->fd, "in", O_RDONLY, 0, NULL);
        int out = sys_openat(f->fd, "out", flags[i], 0, NULL);
        assert_int_equal(sys_copy(in, 3, out, 4, &read_side, NULL), 0);
        assert_false(read_side);
        assert_int_equal(sys_copy(in, 9, out, 1, NULL, NULL), 0);
        assert_int_equal(sys_copy(in, 10, out, 0, NULL, NULL), 0);
        assert_int_equal(sys_write(out, ".", 1, NULL), 0);
        assert_file(f->fd, "out", "head 34569.");
        close(in);
        close(out);
    }
}

static void copies_may_go_to_a_pipe(void **state)
{
    struct fixture *f = *state;
    char buf[8];
    int p[2];
    put_file(f->fd, "in", "0123456789");
    int in = sys_openat(f->fd, "in", O_RDONLY, 0, NULL);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(sys_copy(in, 5, p[1], 5, NULL, NULL), 0);
    assert_int_equal(sys_read(p[0], buf, 5, NULL), 5);
    assert_memory_equal(buf, "56789", 5);
    close(in);
    close(p[0]);
    close(p[1]);
}

static void copies_know_which_side_failed(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    bool read_side = false;
    put_file(f->fd, "in", "0123456789");
    int in = sys_openat(f->fd, "in", O_RDONLY, 0, NULL);
    int out = sys_openat(f->fd, "out", O_WRONLY | O_CREAT, 0600, NULL);
    int full = sys_openat(AT_FDCWD, "/dev/full", O_WRONLY, 0, NULL);
    assert_int_equal(sys_copy(in, 4, out, 7, &read_side, &e), -ERR_DAMAGED);
    assert_true(read_side);
    assert_int_equal(sys_copy(f->fd, 0, out, 7, &read_side, &e), -ERR_IO); /* a folder */
    assert_true(read_side);
    assert_int_equal(sys_copy(in, 0, full, 7, &read_side, &e), -ERR_NOSPACE);
    assert_false(read_side);
    assert_int_equal(sys_copy(in, 0, in, 7, &read_side, &e), -ERR_IO); /* not open for writing */
    assert_false(read_side);
    assert_int_equal(sys_copy(in, UINT64_MAX, out, 1, &read_side, &e), -ERR_LIMIT);
    close(in);
    close(out);
    close(full);
}

/* --- names ------------------------------------------------------------------------------------ */
static void rename_replaces_only_when_told(void **state)
{
    struct fixture *f = *state;
    put_file(f->fd, "a", "A");
    put_file(f->fd, "b", "B");
    assert_int_equal(sys_renameat(f->fd, "a", f->fd, "b", false, NULL), -ERR_EXISTS);
    assert_file(f->fd, "b", "B");
    assert_int_equal(sys_renameat(f->fd, "a", f->fd, "c", false, NULL), 0);
    assert_int_equal(sys_renameat(f->fd, "c", f->fd, "b", true, NULL), 0);
    assert_file(f->fd, "b", "A");
    assert_int_equal(sys_renameat(f->fd, "none", f->fd, "d", true, NULL), -ERR_ABSENT);
    assert_int_equal(sys_unlinkat(f->fd, "b", 0, NULL), 0);
    assert_int_equal(sys_unlinkat(f->fd, "b", 0, NULL), -ERR_ABSENT);
    assert_int_equal(entries(f), 0);
}

static void folders_are_made(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct stat st;
    assert_int_equal(sys_mkdirat(f->fd, "d", 0700, NULL), 0);
    assert_int_equal(sys_mkdirat(f->fd, "d", 0700, NULL), -ERR_EXISTS);
    assert_int_equal(sys_mkdir_p(path_in(f, "d/e//f/g/"), 0750, &e), 0);
    assert_int_equal(sys_mkdir_p(path_in(f, "d/e//f/g/"), 0750, &e), 0);
    assert_int_equal(e.code, ERR_NONE);
    assert_int_equal(stat(path_in(f, "d/e/f/g"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(symlinkat("d", f->fd, "link"), 0);
    assert_int_equal(sys_mkdir_p(path_in(f, "link/x"), 0750, &e), 0);
    put_file(f->fd, "file", "");
    assert_int_equal(sys_mkdir_p(path_in(f, "file"), 0750, &e), -ERR_EXISTS);
    assert_int_equal(sys_mkdir_p(path_in(f, "file/x"), 0750, &e), -ERR_EXISTS);
    assert_int_equal(sys_mkdir_p(path_in(f, "file/x"), 0750, NULL), -ERR_EXISTS);
    assert_int_equal(sys_mkdir_p("/", 0750, &e), 0);
    assert_int_equal(sys_fsync_dir(f->fd, "d/e", &e), 0);
    assert_int_equal(sys_fsync_dir(f->fd, "none", &e), -ERR_ABSENT);
}

/* --- whole small files ------------------------------------------------------------------------ */
static void small_files_are_read_whole(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    uint8_t *p = NULL;
    size_t n = 77;
    put_file(f->fd, "x", "12345");
    assert_int_equal(sys_read_file(f->fd, "x", 5, &p, &n, &e), 0);
    assert_int_equal(n, 5);
    assert_string_equal((char *)p, "12345");
    free(p);
    p = NULL;
    assert_int_equal(sys_read_file(f->fd, "x", 4, &p, &n, &e), -ERR_LIMIT);
    assert_int_equal(sys_read_file(f->fd, "none", 4, &p, &n, &e), -ERR_ABSENT);
    assert_int_equal(sys_read_file(f->fd, ".", 4, &p, &n, &e), -ERR_IO);
    assert_null(p);
    put_file(f->fd, "empty", "");
    assert_file(f->fd, "empty", "");
}

/* In a folder of another's: nothing that could be another file, and nothing that waits. */
static void plain_files_alone_are_read(void **state)
{
    static const char *const traps[] = { "link", "second", "pipe", "folder", "way/x" };
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    uint8_t *p = NULL;
    size_t n = 77;
    assert_int_equal(mkdirat(f->fd, "folder", 0700), 0);
    put_file(f->fd, "folder/x", "12345");
    assert_int_equal(sys_read_plain(f->fd, "folder/x", 5, &p, &n, &e), 0);
    assert_int_equal(n, 5);
    assert_string_equal((char *)p, "12345");
    free(p);
    p = NULL;
    assert_int_equal(sys_read_plain(AT_FDCWD, path_in(f, "folder/x"), 5, &p, &n, &e), 0);
    free(p);
    p = NULL;
    assert_int_equal(sys_read_plain(f->fd, "folder/x", 4, &p, &n, &e), -ERR_LIMIT);
    assert_int_equal(sys_read_plain(f->fd, "none", 4, &p, &n, &e), -ERR_ABSENT);
    assert_int_equal(symlinkat("folder/x", f->fd, "link"), 0);
    assert_int_equal(symlinkat("folder", f->fd, "way"), 0);
    put_file(f->fd, "first", "secret");
    assert_int_equal(linkat(f->fd, "first", f->fd, "second", 0), 0);
    assert_int_equal(mkfifoat(f->fd, "pipe", 0600), 0);
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++) {
        assert_int_equal(sys_read_plain(f->fd, traps[i], 99, &p, &n, &e), -ERR_REFUSED);
        if (strcmp(traps[i], "way/x") != 0) /* the way to an absolute path may hold links */
            assert_true(sys_read_plain(AT_FDCWD, path_in(f, traps[i]), 99, &p, &n, &e) < 0);
    }
    assert_null(p);
}

/* Files that do not say their size: a pipe, and /proc. */
static void unsized_files_are_read_whole(void **state)
{
    char path[40], block[1000];
    uint8_t *p = NULL;
    size_t n = 0;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 20; i++)
        assert_int_equal(write(fds[1], block, sizeof block), sizeof block);
    close(fds[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
    assert_int_equal(sys_read_file(AT_FDCWD, path, 20000, &p, &n, NULL), 0);
    assert_int_equal(n, 20000);
    assert_int_equal(strlen((char *)p), 20000);
    free(p);
    close(fds[0]);
    assert_int_equal(sys_read_file(AT_FDCWD, "/proc/self/status", 10, &p, &n, NULL), -ERR_LIMIT);
    assert_int_equal(sys_read_file(AT_FDCWD, "/proc/self/status", 9999, &p, &n, NULL), 0);
    assert_true(n > 10);
    free(p);
}

static void small_files_are_written_whole(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(sys_write_file(f->fd, "x", "old", 3, 0600, NULL), 0);
    assert_file(f->fd, "x", "old");
    assert_int_equal(sys_write_file(f->fd, "x", "newer", 5, 0640, NULL), 0);
    assert_file(f->fd, "x", "newer");
    assert_int_equal(fstatat(f->fd, "x", &st, 0), 0);
    assert_int_equal(st.st_mode & 0137, 0);
    assert_int_equal(sys_write_file(AT_FDCWD, path_in(f, "y"), "", 0, 0600, NULL), 0);
    assert_file(f->fd, "y", "");
    assert_int_equal(sys_write_file(f->fd, "none/x", "new", 3, 0600, NULL), -ERR_ABSENT);
    assert_int_equal(mkdirat(f->fd, "d", 0700), 0);
    assert_true(sys_write_file(f->fd, "d", "new", 3, 0600, NULL) < 0); /* a folder is in the way */
    assert_int_equal(entries(f), 3);
}

static void locks_exclude(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct stat st;
    int fd = sys_lock_file(path_in(f, "lock"), &e);
    assert_true(fd >= 0);
    assert_int_equal(sys_lock_file(path_in(f, "lock"), &e), -ERR_BUSY);
    assert_int_equal(e.code, ERR_BUSY);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int status = play("lock", path_in(f, "lock"), NULL);
    assert_int_equal(WEXITSTATUS(status), ERR_BUSY);
    close(fd);
    assert_plays("lock", path_in(f, "lock"), NULL);
    assert_int_equal(sys_lock_file(path_in(f, "none/lock"), &e), -ERR_ABSENT);
}

static int scene_lock(const char *path)
{
    int fd = sys_lock_file(path, NULL);
    return fd < 0 ? -fd : 0;
}

/* --- fault points ----------------------------------------------------------------------------- */
#define WRITE_FILE_STEPS 5 /* open, write, fsync, rename, fsync of the folder */

static int scene_write_file(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err e = ERR_INIT;
    int r = sys_write_file(fd, "x", "new", 3, 0600, &e);
    close(fd);
    return -r;
}

/* Every call that the header names as a fault point is one step and says what failed. */
static int scene_each_call(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
    int file = openat(fd, "x", O_RDWR | O_CLOEXEC);
    bool read_side = true;
    n += sys_openat(fd, "x", O_WRONLY | O_CREAT, 0600, NULL) == -ERR_NOSPACE;
    n += sys_open_beneath(fd, "x", O_WRONLY | O_TRUNC, 0600, NULL) == -ERR_NOSPACE;
    n += sys_write(file, "x", 1, NULL) == -ERR_NOSPACE;
    n += sys_pwrite(file, "x", 1, 0, NULL) == -ERR_NOSPACE;
    n += sys_copy(file, 0, file, 1, &read_side, NULL) == -ERR_NOSPACE && !read_side;
    n += sys_fsync(file, NULL) == -ERR_NOSPACE;
    n += sys_syncfs(file, NULL) == -ERR_NOSPACE;
    n += sys_renameat(fd, "x", fd, "y", true, NULL) == -ERR_NOSPACE;
    n += sys_unlinkat(fd, "x", 0, NULL) == -ERR_NOSPACE;
    n += sys_mkdirat(fd, "d", 0700, NULL) == -ERR_NOSPACE;
    n += sys_fsync_dir(fd, ".", NULL) == -ERR_NOSPACE;
    n += sys_fault_step() == -1 && errno == ENOSPC;
    close(file);
    close(fd);
    return n;
}

#ifdef TWOFOLD_FAULTS
static void steps_are_counted(void **state)
{
    struct fixture *f = *state;
    char setting[PATH_MAX + 16];
    snprintf(setting, sizeof setting, "count:%s", path_in(f, "count"));
    assert_plays("write-file", f->dir, setting);
    assert_file(f->fd, "count", "5\n");
    assert_int_equal(WRITE_FILE_STEPS, 5);
}

/* Killed before any step: the old or the new file, never another one. */
static void killed_writers_leave_old_or_new(void **state)
{
    struct fixture *f = *state;
    int step = 1, killed = 0;
    for (;; step++) {
        char setting[32];
        put_file(f->fd, "x", "old");
        snprintf(setting, sizeof setting, "kill@%d", step);
        int status = play("write-file", f->dir, setting);
        bool renamed = step > 4;
        assert_file(f->fd, "x", renamed ? "new" : "old");
        if (WIFEXITED(status))
            break;
        assert_int_equal(WTERMSIG(status), SIGKILL);
        killed++;
    }
    assert_int_equal(killed, WRITE_FILE_STEPS);
}

/* One failing step is told with its own errno, and nothing is left behind. */
static void failing_steps_are_told(void **state)
{
    struct fixture *f = *state;
    for (int step = 1; step <= WRITE_FILE_STEPS; step++) {
        char setting[32];
        put_file(f->fd, "x", "old");
        snprintf(setting, sizeof setting, "fail@%d:ENOSPC", step);
        int status = play("write-file", f->dir, setting);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), ERR_NOSPACE);
        assert_file(f->fd, "x", step > 4 ? "new" : "old");
        assert_int_equal(entries(f), 1);
    }
    assert_plays("write-file", f->dir, "fail@6:ENOSPC");
}

static void all_later_steps_fail_too(void **state)
{
    struct fixture *f = *state;
    put_file(f->fd, "x", "old");
    int status = play("write-file", f->dir, "fail@2+:EROFS");
    assert_int_equal(WEXITSTATUS(status), ERR_READONLY);
    assert_file(f->fd, "x", "old");
    assert_int_equal(entries(f), 2); /* nor could the temporary file be deleted */
}

static void faults_can_be_meant_for_one_program(void **state)
{
    struct fixture *f = *state;
    put_file(f->fd, "x", "old");
    setenv("TWOFOLD_FAULT_PROGRAM", "twofold-agent", 1);
    assert_plays("write-file", f->dir, "fail@1:EIO");
    setenv("TWOFOLD_FAULT_PROGRAM", SCENE_PROGRAM, 1);
    int status = play("write-file", f->dir, "fail@1:EIO");
    assert_int_equal(WEXITSTATUS(status), ERR_IO);
    unsetenv("TWOFOLD_FAULT_PROGRAM");
}

static void each_changing_call_is_a_step(void **state)
{
    struct fixture *f = *state;
    put_file(f->fd, "x", "old");
    int status = play("each-call", f->dir, "fail@1+:ENOSPC");
    assert_int_equal(WEXITSTATUS(status), 12);
    assert_file(f->fd, "x", "old");
    assert_int_equal(entries(f), 1);
}
#endif

/* --- scenes and tests ------------------------------------------------------------------------- */
static const struct scene scenes[] = {
    { "beneath", scene_beneath },
    { "lock", scene_lock },
    { "write-file", scene_write_file },
    { "each-call", scene_each_call },
};

#define TEST(name) cmocka_unit_test_setup_teardown(name, sys_kit_setup, sys_kit_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(beneath_with_openat2),
        TEST(folders_open_with_and_without_links),
        TEST(opened_files_are_close_on_exec),
        TEST(reads_and_writes_are_whole),
        TEST(short_reads_are_continued),
        TEST(copies_go_to_the_end),
        TEST(copies_may_go_to_a_pipe),
        TEST(copies_know_which_side_failed),
        TEST(rename_replaces_only_when_told),
        TEST(folders_are_made),
        TEST(small_files_are_read_whole),
        TEST(plain_files_alone_are_read),
        TEST(unsized_files_are_read_whole),
        TEST(small_files_are_written_whole),
        TEST(locks_exclude),
#ifdef TWOFOLD_FAULTS
        TEST(beneath_component_by_component),
        TEST(steps_are_counted),
        TEST(killed_writers_leave_old_or_new),
        TEST(failing_steps_are_told),
        TEST(all_later_steps_fail_too),
        TEST(faults_can_be_meant_for_one_program),
        TEST(each_changing_call_is_a_step),
#endif
    };
    int status = scene_main(argc, argv, scenes, sizeof scenes / sizeof *scenes);
    return status >= 0 ? status : cmocka_run_group_tests_name("sys", tests, NULL, NULL);
}
