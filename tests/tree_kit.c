/* tree_kit.c - see tests/tree_kit.h. */
#include "tests/tree_kit.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static int open_count(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (d && readdir(d))
        n++;
    closedir(d);
    return n;
}

static void remove_below(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_below(fd, e->d_name);
    if (d)
        closedir(d);
    unlinkat(parent, name, fd < 0 ? 0 : AT_REMOVEDIR);
}

int tree_setup(void **state)
{
    struct tree *t = calloc(1, sizeof *t);
    const char *tmp = getenv("TMPDIR");
    struct err e = ERR_INIT;
    assert_non_null(t);
    t->open_before = open_count();
    snprintf(t->dir, sizeof t->dir, "%s/twf-tree.XXXXXX", tmp && strlen(tmp) < 90 ? tmp : "/tmp");
    assert_non_null(mkdtemp(t->dir));
    assert_int_equal(chmod(t->dir, 0755), 0);
    snprintf(t->src, sizeof t->src, "%s/src", t->dir);
    snprintf(t->state, sizeof t->state, "%s/state", t->dir);
    assert_int_equal(mkdir(t->src, 0755), 0);
    t->fd = sys_openat(AT_FDCWD, t->src, O_RDONLY | O_DIRECTORY, 0, &e);
    assert_true(t->fd >= 0);
    ak_vault_init(&t->vault);
    *state = t;
    return 0;
}

int tree_teardown(void **state)
{
    struct tree *t = *state;
    ak_vault_done(&t->vault);
    close(t->fd);
    char mnt[200];
    snprintf(mnt, sizeof mnt, "%s/mnt", t->src);
    umount2(mnt, MNT_DETACH); /* where a test failed before it did so */
    remove_below(AT_FDCWD, t->dir);
    int gone = access(t->dir, F_OK) < 0 ? 0 : -1;
    bool leaked = open_count() != t->open_before;
    bool child = waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD;
    free(t);
    return leaked || child || gone < 0 ? -1 : 0;
}

void tree_mkdir(const struct tree *t, const char *path)
{
    assert_int_equal(mkdirat(t->fd, path, 0755), 0);
}

void tree_file(const struct tree *t, const char *path, const void *p, size_t n)
{
    struct err e = ERR_INIT;
    int fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    if (n > 0)
        assert_int_equal(sys_write(fd, p, n, &e), 0);
    close(fd);
}

void tree_text(const struct tree *t, const char *path, const char *text)
{
    tree_file(t, path, text, strlen(text));
}

void tree_noise(const struct tree *t, const char *path, size_t n, unsigned seed)
{
    uint8_t *p = malloc(n + 8);
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    assert_non_null(p);
    for (size_t i = 0; i < n; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(p + i, &x, 8);
    }
    tree_file(t, path, p, n);
    free(p);
}

const char *tree_state_file(const struct tree *t, const char *suffix)
{
    static char path[500];
    DIR *d = opendir(t->state);
    path[0] = '\0';
    for (struct dirent *e; d && (e = readdir(d));)
        if (strlen(e->d_name) > strlen(suffix) && strcmp(strrchr(e->d_name, '.'), suffix) == 0)
            snprintf(path, sizeof path, "%s/%s", t->state, e->d_name);
    if (d)
        closedir(d);
    return path;
}

struct ak_run tree_run(const struct tree *t)
{
    struct ak_run r = { .roots = { t->src }, .compression = 3, .env = { .state_dir = t->state } };
    return r;
}

const char *tree_path(const struct tree *t, const char *path)
{
    static char ring[8][8192];
    static unsigned n;
    char *to = ring[n++ % 8];
    snprintf(to, sizeof ring[0], "%s%s%s", t->src + 1, path[0] ? "/" : "", path);
    return to;
}

const struct entry *tree_entry(const struct tree *t, const struct ak_entries *k, const char *path)
{
    return ak_entry(k, tree_path(t, path));
}

/* --- comparison --------------------------------------------------------------------------------- */
struct verify {
    struct tree *t;
    const struct ak_entries *k;
    size_t seen;
    char path[4096];
};

static enum entry_type type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return ENTRY_FILE;
    case S_IFDIR:
        return ENTRY_DIR;
    case S_IFLNK:
        return ENTRY_SYMLINK;
    case S_IFIFO:
        return ENTRY_FIFO;
    case S_IFCHR:
        return ENTRY_CHAR;
    default:
        return ENTRY_BLOCK;
    }
}

static void verify_content(struct verify *v, const struct entry *en, const struct stat *st, int dir,
                           const char *name)
{
    struct err e = ERR_INIT;
    assert_int_equal(en->size, st->st_size);
    uint8_t *have = ak_content(&v->t->vault, v->k, en), *want = malloc((size_t)st->st_size + 1);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    assert_true(want && fd >= 0);
    assert_int_equal(sys_read(fd, want, (size_t)st->st_size, &e), st->st_size);
    assert_memory_equal(have, want, (size_t)st->st_size);
    close(fd);
    free(have);
    free(want);
}

static void verify_entry(struct verify *v, const struct entry *en, const struct stat *st, int dir,
                         const char *name)
{
    char target[4097];
    assert_false(en->flags & ENTRY_ABOVE);
    assert_int_equal(en->mode, st->st_mode & 07777);
    assert_int_equal(en->uid, st->st_uid);
    assert_int_equal(en->gid, st->st_gid);
    assert_int_equal(en->mtime_s, st->st_mtim.tv_sec);
    assert_int_equal(en->mtime_ns, st->st_mtim.tv_nsec);
    if (en->type == ENTRY_HARDLINK) {
        struct stat first;
        char path[4100];
        snprintf(path, sizeof path, "/%.*s", (int)en->target_len, en->target);
        assert_int_equal(lstat(path, &first), 0);
        assert_true(first.st_ino == st->st_ino && first.st_dev == st->st_dev);
        const struct entry *to = ak_entry(v->k, path);
        assert_true(to && to < en && to->flags & ENTRY_LINKED && to->type == type_of(st->st_mode));
        return;
    }
    assert_int_equal(en->type, type_of(st->st_mode));
    assert_int_equal(!!(en->flags & ENTRY_LINKED), st->st_nlink > 1 && !S_ISDIR(st->st_mode));
    if (en->type == ENTRY_FILE)
        verify_content(v, en, st, dir, name);
    if (en->type == ENTRY_SYMLINK) {
        ssize_t n = readlinkat(dir, name, target, sizeof target);
        assert_int_equal(n, en->target_len);
        assert_memory_equal(target, en->target, (size_t)n);
    }
    if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK) {
        assert_int_equal(en->dev_major, major(st->st_rdev));
        assert_int_equal(en->dev_minor, minor(st->st_rdev));
    }
}

static void verify_below(struct verify *v, int dir, size_t len)
{
    DIR *d = fdopendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        size_t n = (size_t)snprintf(v->path + len, sizeof v->path - len, "/%s", e->d_name);
        assert_int_equal(fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
        const struct entry *en = ak_entry(v->k, v->path);
        if (S_ISSOCK(st.st_mode)) {
            assert_null(en);
            continue;
        }
        if (!en)
            fail_msg("%s is not in the manifest", v->path);
        verify_entry(v, en, &st, dir, e->d_name);
        v->seen++;
        if (S_ISDIR(st.st_mode))
            verify_below(v, openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), len + n);
    }
    closedir(d);
}

void tree_verify(struct tree *t, const struct ak_run *r)
{
    struct ak_entries k;
    struct verify v = { .t = t, .k = &k };
    size_t listed = 0;
    ak_entries(&t->vault, r, &k);
    size_t len = (size_t)snprintf(v.path, sizeof v.path, "%s", t->src);
    verify_below(&v, openat(t->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), len);
    for (size_t i = 0; i < k.n; i++)
        listed += k.e[i].type != ENTRY_MORE && k.e[i].path_len > len - 1 &&
                  path_within(k.e[i].path, k.e[i].path_len, t->src + 1, len - 1);
    assert_int_equal(listed, v.seen);
    ak_entries_free(&k);
}
