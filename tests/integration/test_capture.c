/* test_capture.c - what the agent makes of a real tree: every kind of entry, every odd name, time, size and
 * depth, against an orchestrator in memory that opens and checks all of it. */
#include "tests/tree_kit.h"
#include "agents/scan.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>

static void captured_whole(struct tree *t, struct ak_run *r)
{
    ak_backup(&t->vault, r);
    if (r->rc != 0)
        fail_msg("%s: %s", r->err.what, r->err.why);
    tree_verify(t, r);
}

/* --- kinds --------------------------------------------------------------------------------------- */
static void put_socket(const struct tree *t, const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s", t->fd, name);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
}

static void all_kinds(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    char path[400];
    tree_text(t, "file", "hello");
    tree_text(t, "empty", "");
    tree_mkdir(t, "folder");
    tree_mkdir(t, "folder.d"); /* sorts behind what is in "folder" only where '/' is below '.' */
    tree_text(t, "folder/x", "x");
    tree_mkdir(t, "empty-folder");
    assert_int_equal(symlinkat("../nowhere", t->fd, "link"), 0);
    assert_int_equal(mkfifoat(t->fd, "pipe", 0640), 0);
    put_socket(t, "sock");
    bool devices = mknodat(t->fd, "char", S_IFCHR | 0600, makedev(1, 3)) == 0 &&
                   mknodat(t->fd, "block", S_IFBLK | 0600, makedev(259, 70000)) == 0;
    assert_int_equal(fchmodat(t->fd, "file", 06755, 0), 0);
    captured_whole(t, &r);
    assert_int_equal(r.sum.problems, 0);
    assert_int_equal(r.sum.files, 3);
    assert_int_equal(r.sum.others, devices ? 4 : 2);
    assert_int_equal(r.sum.bytes, 6);
    snprintf(path, sizeof path, "%s/sock", t->src);
    assert_non_null(ak_note_for(&r, path));
    assert_false(ak_note_for(&r, path)->problem);
    assert_int_equal(r.body->n_roots, 1);
    assert_string_equal(r.body->roots[0], t->src);
    ak_run_done(&r);
}

static void folders_above_a_root_are_there_once(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    char a[256], b[256], f[256], up[256];
    tree_mkdir(t, "a");
    tree_mkdir(t, "b");
    tree_mkdir(t, "b/in");
    tree_mkdir(t, "other");
    tree_text(t, "a/1", "1");
    tree_text(t, "f", "2");
    tree_text(t, "other/no", "3");
    snprintf(a, sizeof a, "%s//a/./", t->src);
    snprintf(b, sizeof b, "%s/b", t->src);
    snprintf(f, sizeof f, "%s/f", t->src);
    snprintf(up, sizeof up, "%s/b/in", t->src);
    r.roots[0] = f;
    r.roots[1] = b;
    r.roots[2] = a;
    r.roots[3] = up; /* within b */
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, 0);
    ak_entries(&t->vault, &r, &k);
    assert_true(tree_entry(t, &k, "")->flags & ENTRY_ABOVE);
    assert_int_equal(tree_entry(t, &k, "")->type, ENTRY_DIR);
    assert_false(tree_entry(t, &k, "a")->flags & ENTRY_ABOVE);
    assert_non_null(tree_entry(t, &k, "a/1"));
    assert_non_null(tree_entry(t, &k, "b/in"));
    assert_false(tree_entry(t, &k, "b/in")->flags & ENTRY_ABOVE);
    assert_int_equal(tree_entry(t, &k, "f")->type, ENTRY_FILE);
    assert_null(tree_entry(t, &k, "other"));
    assert_int_equal(r.sum.problems, 0);
    ak_entries_free(&k);
    ak_run_done(&r);
}

static void a_root_may_be_a_link_or_missing(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    char link[256], gone[256], through[256];
    tree_mkdir(t, "d");
    tree_text(t, "d/in", "x");
    assert_int_equal(symlinkat("d", t->fd, "l"), 0);
    snprintf(link, sizeof link, "%s/l", t->src);
    snprintf(gone, sizeof gone, "%s/gone", t->src);
    snprintf(through, sizeof through, "%s/l/in", t->src);
    r.roots[0] = link;
    r.roots[1] = gone;
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, 0);
    ak_entries(&t->vault, &r, &k);
    assert_int_equal(tree_entry(t, &k, "l")->type, ENTRY_SYMLINK);
    assert_true(ak_note_for(&r, gone)->problem);
    assert_int_equal(r.sum.problems, 1);
    ak_entries_free(&k);
    ak_run_done(&r);
    /* On the way to a root, links are followed. */
    r.roots[0] = through;
    r.roots[1] = NULL;
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, 0);
    ak_entries(&t->vault, &r, &k);
    assert_int_equal(tree_entry(t, &k, "l")->type, ENTRY_DIR);
    assert_int_equal(tree_entry(t, &k, "l/in")->size, 1);
    ak_entries_free(&k);
    ak_run_done(&r);
    /* Within another root they are not; that is told. */
    r.roots[1] = t->src;
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, 0);
    assert_true(ak_note_for(&r, through)->problem);
    ak_run_done(&r);
    r.roots[0] = gone;
    r.roots[1] = NULL;
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, -ERR_ABSENT);
    ak_run_done(&r);
}

/* --- names, times, depth -------------------------------------------------------------------------- */
static void odd_names_and_times(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    tree_text(t, name, "long");
    tree_text(t, "new\nline", "1");
    tree_text(t, "not\xff\xfeutf8\x80", "2");
    tree_text(t, " ", "3");
    tree_text(t, "-rf *", "4");
    for (int c = 1; c < 256; c++) {
        char one[3] = { 'c', (char)c, 0 };
        if (c != '/')
            tree_text(t, one, one);
    }
    struct timespec old[] = { { 0, UTIME_OMIT }, { -315619200, 999999999 } };   /* 1960 */
    struct timespec late[] = { { 0, UTIME_OMIT }, { 10413792000, 123456789 } }; /* 2300 */
    assert_int_equal(utimensat(t->fd, "new\nline", old, 0), 0);
    assert_int_equal(utimensat(t->fd, " ", late, 0), 0);
    captured_whole(t, &r);
    ak_run_done(&r);
    /* A time to come does not mean that it is read each time. */
    ak_backup(&t->vault, &r);
    assert_int_equal(r.sum.bytes_read, 0);
    tree_verify(t, &r);
    ak_run_done(&r);
}

enum { LEVELS = 300 };

/* 300 levels of 21 bytes: beyond PATH_MAX and beyond the descriptors that are kept open. */
static void deep_folders(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    char level[24], *path = calloc(1, LEVELS * 24 + 200);
    int fd = dup(t->fd);
    snprintf(path, 200, "%s", t->src);
    for (int i = 0; i < LEVELS; i++) {
        snprintf(level, sizeof level, "level-%013d", i);
        assert_int_equal(mkdirat(fd, level, 0700), 0);
        int next = openat(fd, level, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int f = openat(fd, "z-behind", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(f, level, 20), 19 + 1);
        close(f);
        close(fd);
        fd = next;
        strcat(strcat(path, "/"), level);
    }
    close(fd);
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.sum.files, LEVELS);
    assert_int_equal(r.sum.problems, 0);
    ak_entries(&t->vault, &r, &k);
    assert_true(strlen(path) > 4096);
    assert_int_equal(ak_entry(&k, path)->type, ENTRY_DIR);
    ak_entries_free(&k);
    ak_run_done(&r);
    ak_backup(&t->vault, &r);
    assert_int_equal(r.sum.bytes_read, 0);
    ak_run_done(&r);
    free(path);
}

/* --- content -------------------------------------------------------------------------------------- */
static void large_files_have_chunks_of_their_own(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    tree_text(t, "a", "small before");
    tree_noise(t, "big", 5000001, 1);
    tree_noise(t, "big2", 5000001, 1);
    tree_text(t, "c", "small behind");
    captured_whole(t, &r);
    ak_entries(&t->vault, &r, &k);
    const struct entry *big = tree_entry(t, &k, "big"), *big2 = tree_entry(t, &k, "big2");
    assert_true(big->n_extents >= 3 && big->n_extents == big2->n_extents);
    for (size_t i = 0; i < big->n_extents; i++) {
        assert_int_equal(big->extents[i].off, 0);
        assert_true(id_eq(&big->extents[i].chunk, &big2->extents[i].chunk));
    }
    /* "a", the big one's once, "c", a leaf, an index */
    assert_int_equal(r.puts, big->n_extents + 4);
    assert_int_equal(r.sum.bytes_read, 2 * 5000001 + 24);
    ak_entries_free(&k);
    ak_run_done(&r);
}

/* Files that are as long as a chunk, a read or a bound, and one more or less. */
static void sizes_around_every_bound(void **state)
{
    static const size_t bounds[] = { 4096, 256u << 10, 512u << 10, 1u << 20, 2u << 20 };
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        for (size_t d = 0; d < 3; d++) {
            char name[64];
            snprintf(name, sizeof name, "n%zu-%zu", bounds[i], d);
            tree_noise(t, name, bounds[i] + d - 1, (unsigned)(3 * i + d + 1));
        }
    /* Nothing in it to cut by: chunks end at the longest. */
    uint8_t *zeros = calloc(1, 7u << 20);
    zeros[(7u << 20) - 1] = 1;
    tree_file(t, "zeros", zeros, 7u << 20);
    free(zeros);
    captured_whole(t, &r);
    ak_run_done(&r);
}

static void sparse_files(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    tree_text(t, "hole", "");
    int fd = openat(t->fd, "hole", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, 3 << 20), 0);
    close(fd);
    tree_text(t, "mixed", "at the start");
    fd = openat(t->fd, "mixed", O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "in the middle", 13, 1 << 20), 13);
    assert_int_equal(pwrite(fd, "later", 5, 5 << 20), 5);
    assert_int_equal(ftruncate(fd, 10 << 20), 0);
    close(fd);
    captured_whole(t, &r);
    ak_entries(&t->vault, &r, &k);
    const struct entry *hole = tree_entry(t, &k, "hole"), *mixed = tree_entry(t, &k, "mixed");
    assert_true(hole->flags & ENTRY_SPARSE && hole->n_extents == 1 && hole->extents[0].hole);
    assert_true(mixed->flags & ENTRY_SPARSE && mixed->n_extents == 6 && mixed->extents[5].hole);
    assert_true(r.sum.bytes_read < 1 << 20);
    assert_int_equal(r.sum.bytes, 13 << 20);
    ak_entries_free(&k);
    ak_run_done(&r);
    ak_backup(&t->vault, &r);
    assert_int_equal(r.sum.bytes_read, 0);
    tree_verify(t, &r);
    ak_run_done(&r);
}

/* More extents than one entry takes, and more than the agent keeps in memory. */
static void files_of_many_extents(void **state)
{
    enum { N = 5500 };
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    char page[4096];
    tree_text(t, "before", "x");
    tree_text(t, "many", "");
    int fd = openat(t->fd, "many", O_WRONLY | O_CLOEXEC);
    for (int i = 0; i < N; i++) {
        memset(page, i & 63, sizeof page);
        memcpy(page, &i, sizeof i);
        assert_int_equal(pwrite(fd, page, sizeof page, (off_t)i * 8192), sizeof page);
    }
    close(fd);
    tree_text(t, "ony", "x");
    captured_whole(t, &r);
    ak_entries(&t->vault, &r, &k);
    const struct entry *en = tree_entry(t, &k, "many");
    size_t n = en->n_extents, parts = 1;
    for (; en->flags & ENTRY_HAS_MORE; en++, parts++)
        n += en[1].n_extents;
    assert_true(n >= 2 * N - 1 && parts == (n + MAX_PART_EXTENTS - 1) / MAX_PART_EXTENTS);
    ak_entries_free(&k);
    ak_run_done(&r);
    ak_backup(&t->vault, &r);
    assert_int_equal(r.sum.bytes_read, 0);
    tree_verify(t, &r);
    ak_run_done(&r);
}

static void many_small_files(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t), again;
    for (int d = 0; d < 6; d++) {
        char name[64];
        snprintf(name, sizeof name, "d%d", d);
        tree_mkdir(t, name);
        for (int i = 0; i < 2000; i++) {
            snprintf(name, sizeof name, "d%d/file number %d", d, i);
            tree_noise(t, name, (size_t)(i * 7 % 1500), (unsigned)(d * 5000 + i + 1));
        }
    }
    captured_whole(t, &r);
    assert_int_equal(r.sum.files, 12000);
    again = tree_run(t);
    again.force_full = true;
    captured_whole(t, &again);
    assert_int_equal(again.sum.bytes_read, r.sum.bytes_read);
    assert_true(again.puts <= 2); /* the folders above may have new times */
    assert_true(id_is_zero(&again.sum.base));
    ak_run_done(&r);
    ak_run_done(&again);
}

/* --- metadata ------------------------------------------------------------------------------------- */
static const struct xattr *xattr_of(const struct entry *en, const char *name)
{
    for (size_t i = 0; i < en->n_xattrs; i++)
        if (en->xattrs[i].name_len == strlen(name) &&
            memcmp(en->xattrs[i].name, name, strlen(name)) == 0)
            return &en->xattrs[i];
    return NULL;
}

/* Names are bytes with a length; the buffers of a kept entry end where they end. */
static int xattr_name_cmp(const struct xattr *a, const struct xattr *b)
{
    size_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
    int c = memcmp(a->name, b->name, n);
    return c ? c : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static void assert_xattr(const struct entry *en, const char *name, const void *value, size_t len)
{
    const struct xattr *x = xattr_of(en, name);
    assert_non_null(x);
    assert_int_equal(x->len, len);
    assert_memory_equal(x->value, value, len);
}

static void via(const struct tree *t, const char *name, char ret[64])
{
    snprintf(ret, 64, "/proc/self/fd/%d/%s", t->fd, name);
}

static void extended_attributes(void **state)
{
    /* user::rw- user:1000:rw- group::r-- mask::rw- other::r--, as the kernel keeps it */
    static const uint8_t acl[] = { 2,   0,   0,   0,   1,  0, 6, 0, 255, 255, 255, 255, 2,  0, 6, 0,
                                   232, 3,   0,   0,   4,  0, 4, 0, 255, 255, 255, 255, 16, 0, 6, 0,
                                   255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255 };
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    char p[64], large[3000];
    memset(large, 'L', sizeof large);
    tree_text(t, "f", "x");
    tree_mkdir(t, "d");
    assert_int_equal(symlinkat("f", t->fd, "l"), 0);
    assert_int_equal(mkfifoat(t->fd, "p", 0600), 0);
    via(t, "f", p);
    if (setxattr(p, "user.one", "", 0, 0) < 0 && errno == ENOTSUP)
        skip();
    assert_int_equal(setxattr(p, "user.large", large, sizeof large, 0), 0);
    assert_int_equal(setxattr(p, "user.a", "\0\1", 2, 0), 0);
    bool acls = setxattr(p, "system.posix_acl_access", acl, sizeof acl, 0) == 0;
    bool trusted = setxattr(p, "trusted.t", "yes", 3, 0) == 0;
    via(t, "l", p);
    if (trusted)
        assert_int_equal(lsetxattr(p, "trusted.link", "on the link", 11, 0), 0);
    via(t, "p", p);
    if (trusted)
        assert_int_equal(lsetxattr(p, "trusted.pipe", "p", 1, 0), 0);
    via(t, "d", p);
    assert_int_equal(setxattr(p, "user.folder", "d", 1, 0), 0);
    for (int run = 0; run < 2; run++) { /* the second one takes them from the state */
        captured_whole(t, &r);
        ak_entries(&t->vault, &r, &k);
        const struct entry *f = tree_entry(t, &k, "f");
        assert_xattr(f, "user.one", "", 0);
        assert_xattr(f, "user.large", large, sizeof large);
        assert_xattr(f, "user.a", "\0\1", 2);
        if (acls)
            assert_xattr(f, "system.posix_acl_access", acl, sizeof acl);
        if (trusted) {
            assert_xattr(f, "trusted.t", "yes", 3);
            assert_xattr(tree_entry(t, &k, "l"), "trusted.link", "on the link", 11);
            assert_xattr(tree_entry(t, &k, "p"), "trusted.pipe", "p", 1);
            assert_null(xattr_of(tree_entry(t, &k, "l"), "trusted.t"));
        }
        assert_xattr(tree_entry(t, &k, "d"), "user.folder", "d", 1);
        for (size_t i = 1; i < f->n_xattrs; i++)
            assert_true(xattr_name_cmp(&f->xattrs[i - 1], &f->xattrs[i]) < 0);
        assert_int_equal(r.sum.bytes_read, run == 0 ? 1 : 0);
        ak_entries_free(&k);
        ak_run_done(&r);
    }
    /* A new attribute changes nothing but the ctime, and is seen by it. */
    via(t, "f", p);
    assert_int_equal(setxattr(p, "user.new", "n", 1, 0), 0);
    captured_whole(t, &r);
    ak_entries(&t->vault, &r, &k);
    assert_xattr(tree_entry(t, &k, "f"), "user.new", "n", 1);
    ak_entries_free(&k);
    ak_run_done(&r);
}

static void inode_flags(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    int flags = 0;
    tree_text(t, "f", "x");
    tree_mkdir(t, "d");
    int f = openat(t->fd, "f", O_RDONLY | O_CLOEXEC), d = openat(t->fd, "d", O_RDONLY | O_CLOEXEC);
    bool can = ioctl(f, FS_IOC_GETFLAGS, &flags) == 0 && (flags |= FS_NODUMP_FL, 1) &&
               ioctl(f, FS_IOC_SETFLAGS, &flags) == 0;
    if (can && ioctl(d, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOATIME_FL;
        can = ioctl(d, FS_IOC_SETFLAGS, &flags) == 0;
    }
    close(f);
    close(d);
    if (!can)
        skip();
    captured_whole(t, &r);
    ak_entries(&t->vault, &r, &k);
    assert_int_equal(tree_entry(t, &k, "f")->fflags, FS_NODUMP_FL);
    assert_int_equal(tree_entry(t, &k, "d")->fflags, FS_NOATIME_FL);
    ak_entries_free(&k);
    ak_run_done(&r);
}

static void hard_links(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    tree_mkdir(t, "d");
    tree_text(t, "b", "content");
    assert_int_equal(symlinkat("anywhere", t->fd, "link"), 0);
    assert_int_equal(mkfifoat(t->fd, "pipe", 0600), 0);
    assert_int_equal(linkat(t->fd, "b", t->fd, "d/c", 0), 0);
    assert_int_equal(linkat(t->fd, "b", t->fd, "z", 0), 0);
    assert_int_equal(linkat(t->fd, "link", t->fd, "link2", 0), 0);
    assert_int_equal(linkat(t->fd, "pipe", t->fd, "pipe2", 0), 0);
    for (int run = 0; run < 2; run++) {
        captured_whole(t, &r);
        ak_entries(&t->vault, &r, &k);
        assert_int_equal(tree_entry(t, &k, "b")->type, ENTRY_FILE);
        assert_int_equal(tree_entry(t, &k, "d/c")->type, ENTRY_HARDLINK);
        assert_int_equal(tree_entry(t, &k, "z")->type, ENTRY_HARDLINK);
        assert_int_equal(tree_entry(t, &k, "link2")->type, ENTRY_HARDLINK);
        assert_int_equal(tree_entry(t, &k, "pipe2")->type, ENTRY_HARDLINK);
        assert_int_equal(r.sum.bytes, 7);
        assert_int_equal(r.sum.files, 3);
        assert_int_equal(r.sum.bytes_read, run == 0 ? 7 : 0);
        ak_entries_free(&k);
        ak_run_done(&r);
    }
    /* Without its first name, the next one stands for all. */
    assert_int_equal(unlinkat(t->fd, "b", 0), 0);
    captured_whole(t, &r);
    ak_entries(&t->vault, &r, &k);
    assert_int_equal(tree_entry(t, &k, "d/c")->type, ENTRY_FILE);
    ak_entries_free(&k);
    ak_run_done(&r);
}

/* --- what is left out ------------------------------------------------------------------------------ */
static void excludes_and_caches(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    char pattern[300], inner[300];
    tree_mkdir(t, "keep");
    tree_mkdir(t, "out");
    tree_mkdir(t, "out/asked");
    tree_mkdir(t, "cache");
    tree_mkdir(t, "nocache");
    tree_text(t, "keep/a.tmp", "1");
    tree_text(t, "keep/a.txt", "2");
    tree_text(t, "out/b", "3");
    tree_text(t, "out/asked/c", "4");
    tree_text(t, "cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# more\n");
    tree_text(t, "cache/data", "5");
    tree_text(t, "nocache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc5");
    tree_text(t, "nocache/data", "6");
    snprintf(pattern, sizeof pattern, "%s/out", t->src);
    snprintf(inner, sizeof inner, "%s/out/asked", t->src);
    r.exclude[0] = "*.tmp";
    r.exclude[1] = pattern;
    r.roots[1] = inner; /* a root is never excluded */
    r.skip_cache_dirs = true;
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, 0);
    ak_entries(&t->vault, &r, &k);
    assert_null(tree_entry(t, &k, "keep/a.tmp"));
    assert_non_null(tree_entry(t, &k, "keep/a.txt"));
    assert_true(tree_entry(t, &k, "out")->flags & ENTRY_ABOVE);
    assert_null(tree_entry(t, &k, "out/b"));
    assert_non_null(tree_entry(t, &k, "out/asked/c"));
    assert_non_null(tree_entry(t, &k, "cache/CACHEDIR.TAG"));
    assert_null(tree_entry(t, &k, "cache/data"));
    assert_non_null(tree_entry(t, &k, "nocache/data"));
    assert_int_equal(r.sum.problems, 0);
    ak_entries_free(&k);
    ak_run_done(&r);
}

/* The agent's own state changes while it works, so it is never captured. */
static void the_agents_own_state_is_left_out(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    r.roots[0] = t->dir;
    tree_text(t, "x", "x");
    for (int run = 0; run < 2; run++) {
        ak_backup(&t->vault, &r);
        assert_int_equal(r.rc, 0);
        ak_entries(&t->vault, &r, &k);
        assert_non_null(tree_entry(t, &k, "x"));
        const struct entry *st = ak_entry(&k, t->state);
        assert_true(st && st->type == ENTRY_DIR);
        assert_false(st + 1 < k.e + k.n &&
                     path_within(st[1].path, st[1].path_len, st->path, st->path_len));
        assert_int_equal(r.sum.problems, 0);
        ak_entries_free(&k);
        ak_run_done(&r);
    }
}

static void kernel_file_systems_are_left_empty(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    r.roots[0] = "/proc";
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, 0);
    ak_entries(&t->vault, &r, &k);
    assert_int_equal(k.n, 1);
    assert_non_null(ak_entry(&k, "/proc"));
    assert_false(ak_note_for(&r, "/proc")->problem);
    ak_entries_free(&k);
    ak_run_done(&r);
}

static void one_file_system(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    char at[200], in[200];
    tree_mkdir(t, "mnt");
    snprintf(at, sizeof at, "%s/mnt", t->src);
    snprintf(in, sizeof in, "%s/mnt/in", t->src);
    if (mount("none", at, "tmpfs", 0, "size=1m") < 0)
        skip();
    tree_text(t, "mnt/other", "x");
    tree_mkdir(t, "mnt/in");
    tree_text(t, "mnt/in/y", "y");
    for (int run = 0; run < 3; run++) {
        r.one_file_system = run > 0;
        r.roots[1] = run == 2 ? in : NULL; /* asked for by name */
        ak_backup(&t->vault, &r);
        assert_int_equal(r.rc, 0);
        ak_entries(&t->vault, &r, &k);
        assert_int_equal(tree_entry(t, &k, "mnt")->type, ENTRY_DIR);
        assert_int_equal(!!tree_entry(t, &k, "mnt/other"), run == 0);
        assert_int_equal(!!tree_entry(t, &k, "mnt/in/y"), run != 1);
        assert_int_equal(r.sum.problems, 0);
        ak_entries_free(&k);
        ak_run_done(&r);
    }
    assert_int_equal(umount(at), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_kinds),
        TEST(folders_above_a_root_are_there_once),
        TEST(a_root_may_be_a_link_or_missing),
        TEST(odd_names_and_times),
        TEST(deep_folders),
        TEST(large_files_have_chunks_of_their_own),
        TEST(sizes_around_every_bound),
        TEST(sparse_files),
        TEST(files_of_many_extents),
        TEST(many_small_files),
        TEST(extended_attributes),
        TEST(inode_flags),
        TEST(hard_links),
        TEST(excludes_and_caches),
        TEST(the_agents_own_state_is_left_out),
        TEST(kernel_file_systems_are_left_empty),
        TEST(one_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
