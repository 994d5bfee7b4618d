/* test_export.c - what reader_export writes, extracted as root by GNU tar and by bsdtar: content, owners,
 * times, ACLs, attributes, flags, holes, hard links and names must come back (restore/export.c, tar.c). */
#include "lib/crypto/crypto.h"
#include "restore/reader.h"
#include "tests/snapshot_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define GB (UINT64_C(1) << 30)
#define BIG_PIECE_BYTES (4u << 20)

struct fixture {
    char dir[64], tar[96], out[96], log[96];
    struct kit *kit;
    struct id lost;
    unsigned named;   /* calls of gap_fn */
    char names[4096]; /* what they named */
};

/* "%t": the archive, "%o": a fresh folder to extract to. */
static int run(struct fixture *f, const char *command)
{
    char line[4096] = "";
    size_t at = (size_t)snprintf(line, sizeof(line), "rm -rf %s && mkdir %s && exec >%s 2>&1 && ",
                                 f->out, f->out, f->log);
    for (const char *p = command; *p; p++) {
        const char *s = p[0] == '%' && p[1] == 't'   ? f->tar
                        : p[0] == '%' && p[1] == 'o' ? f->out
                                                     : NULL;
        at += (size_t)(s ? snprintf(line + at, sizeof(line) - at, "%s", s)
                         : snprintf(line + at, sizeof(line) - at, "%c", *p));
        p += s != NULL;
    }
    int status = system(line);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        snprintf(line, sizeof(line), "cat %s", f->log);
        if (system(line) != 0)
            print_error("no output of %s\n", command);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const struct {
    const char *name, *extract;
} tools[] = {
    { "tar",
      "LC_ALL=C.UTF-8 tar -xpf %t -C %o --xattrs --xattrs-include='*' --acls --numeric-owner" },
    { "tar in C",
      "LC_ALL=C tar -xpf %t -C %o --xattrs --xattrs-include='*' --acls --numeric-owner" },
    { "bsdtar", "LC_ALL=C.UTF-8 bsdtar -xpf %t -C %o --numeric-owner --acls --xattrs --fflags" },
};
#define N_TOOLS (sizeof(tools) / sizeof(*tools))
#define IS_BSDTAR(i) ((i) == 2)

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof(f->dir), "%.40s/export-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->tar, sizeof(f->tar), "%s/x.tar", f->dir);
    snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
    snprintf(f->log, sizeof(f->log), "%s/log", f->dir);
    f->kit = kit_new();
    umask(022);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char line[256];
    kit_free(f->kit);
    snprintf(line, sizeof(line), "chattr -R -i -a %s 2>/dev/null; rm -rf %s", f->dir, f->dir);
    int rc = system(line);
    free(f);
    return rc;
}

static void see_gap(void *ctx, const struct err *why)
{
    struct fixture *f = ctx;
    size_t at = strlen(f->names);
    f->named++;
    snprintf(f->names + at, sizeof(f->names) - at, "%s;", why->what);
}

static int export_some(struct fixture *f, const struct select *sel, uint64_t *ret_lost,
                       struct err *e)
{
    struct chunk_source src = kit_source(f->kit);
    int fd = open(f->tar, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    f->named = 0;
    f->names[0] = '\0';
    int rc = reader_export(&src, kit_finish(f->kit), sel, fd, see_gap, f, ret_lost, e);
    assert_int_equal(close(fd), 0);
    return rc;
}

static void export_all(struct fixture *f)
{
    struct err e = ERR_INIT;
    uint64_t lost;
    if (export_some(f, NULL, &lost, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    assert_int_equal(lost, 0);
    assert_int_equal(f->named, 0);
}

static const char *at(struct fixture *f, const char *path)
{
    static char full[8192];
    snprintf(full, sizeof(full), "%s/%s", f->out, path);
    return full;
}

static void check_bytes(struct fixture *f, const char *path, off_t off, const char *want)
{
    char have[256] = "";
    int fd = open(at(f, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(pread(fd, have, sizeof(have) - 1, off) >= 0);
    close(fd);
    assert_memory_equal(have, want, strlen(want));
}

static void check_xattr(struct fixture *f, const char *path, const char *name,
                        const struct xattr *want)
{
    char have[512];
    ssize_t n = lgetxattr(at(f, path), name, have, sizeof(have));
    if (n < 0)
        fail_msg("%s of %s: %s", name, path, strerror(errno));
    assert_int_equal(n, want->len);
    assert_memory_equal(have, want->value, want->len);
}

static struct stat stat_of(struct fixture *f, const char *path)
{
    struct stat st;
    if (lstat(at(f, path), &st) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

/* --- metadata --------------------------------------------------------------------------------------- */

#define XATTR(n, v, l)                                                              \
    {                                                                               \
        .name = n, .name_len = sizeof(n) - 1, .value = (const uint8_t *)v, .len = l \
    }
#define ACL_HEAD "\2\0\0\0"
#define ACL(tag, perm, id) tag "\0" perm "\0" id
#define NOBODY "\377\377\377\377"
static const char access_acl[] = ACL_HEAD ACL("\1", "\6", NOBODY) ACL("\2", "\5", "\271\13\0\0")
    ACL("\4", "\4", NOBODY) ACL("\10", "\7", "\272\13\0\0") ACL("\20", "\7", NOBODY)
        ACL("\40", "\0", NOBODY);
static const char default_acl[] = ACL_HEAD ACL("\1", "\7", NOBODY) ACL("\2", "\3", "\271\13\0\0")
    ACL("\4", "\5", NOBODY) ACL("\20", "\7", NOBODY) ACL("\40", "\1", NOBODY);

static const struct xattr of_file[] = {
    XATTR("system.posix_acl_access", access_acl, sizeof(access_acl) - 1),
    XATTR("trusted.overlay", "t\0=\n\377", 5),
    XATTR("user.plain", "value", 5),
    XATTR("user.empty", "", 0),
};
static const struct xattr of_dir[] = {
    XATTR("system.posix_acl_default", default_acl, sizeof(default_acl) - 1),
};
static const struct xattr odd[] = { XATTR("user.a=b %\303\251", "odd", 3) };

static void add_device(struct kit *k, enum entry_type type, const char *path)
{
    struct entry en = kit_entry(type, path);
    en.dev_major = 250;
    en.dev_minor = 300001;
    kit_add(k, &en);
}

static void plant_metadata(struct kit *k)
{
    struct entry en;
    en = kit_entry(ENTRY_FILE, "acl");
    en.mode = 0670; /* with an ACL the group's bits are the mask */
    en.xattrs = of_file;
    en.n_xattrs = sizeof(of_file) / sizeof(*of_file);
    kit_pieces(k, en, &(struct piece){ .len = 7, .data = "content" }, 1);
    add_device(k, ENTRY_BLOCK, "block");
    add_device(k, ENTRY_CHAR, "char");
    en = kit_entry(ENTRY_DIR, "dir");
    en.mode = 02750;
    en.xattrs = of_dir;
    en.n_xattrs = 1;
    kit_add(k, &en);
    en = kit_entry(ENTRY_FILE, "dir/in");
    en.mode = 06755;
    en.uid = 4000000000u;
    en.gid = 2100000000u;
    kit_add(k, &en);
    en = kit_entry(ENTRY_FIFO, "fifo");
    en.flags = ENTRY_LINKED;
    kit_add(k, &en);
    kit_link(k, "fifo2", "fifo");
    en = kit_entry(ENTRY_FILE, "flags");
    en.fflags = FS_IMMUTABLE_FL | FS_NODUMP_FL | FS_EXTENT_FL;
    kit_pieces(k, en, &(struct piece){ .len = 5, .data = "flags" }, 1);
    en = kit_entry(ENTRY_FILE, "t1930");
    en.mtime_s = -1262304000;
    en.mtime_ns = 250000000;
    kit_add(k, &en);
    en = kit_entry(ENTRY_FILE, "t1960");
    en.mtime_s = -315619200;
    en.mtime_ns = 0;
    kit_add(k, &en);
    en = kit_entry(ENTRY_FILE, "t2300");
    en.mtime_s = 10413792000;
    kit_add(k, &en);
    en = kit_entry(ENTRY_FILE, "xattr");
    en.xattrs = odd;
    en.n_xattrs = 1;
    kit_add(k, &en);
}

static void check_stat(struct fixture *f, const char *path, mode_t mode)
{
    struct stat st = stat_of(f, path);
    if (st.st_mode != mode)
        fail_msg("%s: mode %o, not %o", path, st.st_mode, mode);
    assert_int_equal(st.st_uid, 1);
    assert_int_equal(st.st_gid, 2);
    assert_int_equal(st.st_mtim.tv_sec, 1700000000);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
}

static void check_flags(struct fixture *f)
{
    int flags = 0, fd = open(at(f, "flags"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
    assert_int_equal(flags & (FS_IMMUTABLE_FL | FS_NODUMP_FL), FS_IMMUTABLE_FL | FS_NODUMP_FL);
    flags &= ~FS_IMMUTABLE_FL;
    assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
    close(fd);
}

static void restores_metadata(void **state)
{
    struct fixture *f = *state;
    plant_metadata(f->kit);
    export_all(f);
    for (size_t i = 0; i < N_TOOLS; i++) {
        assert_int_equal(run(f, tools[i].extract), 0);
        check_stat(f, "acl", S_IFREG | 0670);
        check_bytes(f, "acl", 0, "content");
        for (size_t x = 0; x < sizeof(of_file) / sizeof(*of_file); x++)
            check_xattr(f, "acl", of_file[x].name, &of_file[x]);
        check_stat(f, "dir", S_IFDIR | 02750);
        check_xattr(f, "dir", of_dir[0].name, &of_dir[0]);
        check_stat(f, "fifo", S_IFIFO | 0644);
        check_stat(f, "fifo2", S_IFIFO | 0644);
        assert_int_equal(stat_of(f, "fifo").st_ino, stat_of(f, "fifo2").st_ino);
        check_stat(f, "char", S_IFCHR | 0644);
        check_stat(f, "block", S_IFBLK | 0644);
        assert_int_equal(stat_of(f, "block").st_rdev, makedev(250, 300001));
        struct stat st = stat_of(f, "dir/in");
        assert_int_equal(st.st_uid, 4000000000u);
        assert_int_equal(st.st_gid, 2100000000u);
        assert_int_equal(st.st_mode, S_IFREG | 06755);
        check_stat(f, "flags", S_IFREG | 0644);
        assert_int_equal(stat_of(f, "t1960").st_mtim.tv_sec, -315619200);
        assert_int_equal(stat_of(f, "t2300").st_mtim.tv_sec, 10413792000);
        assert_int_equal(stat_of(f, "t2300").st_mtim.tv_nsec, 123456789);
        if (IS_BSDTAR(i)) {
            check_xattr(f, "xattr", odd[0].name, &odd[0]); /* GNU tar says that it leaves it out */
            check_flags(f);
        } else { /* bsdtar reads fractions before 1970 with the wrong sign */
            assert_int_equal(stat_of(f, "t1930").st_mtim.tv_sec, -1262304000);
            assert_int_equal(stat_of(f, "t1930").st_mtim.tv_nsec, 250000000);
        }
    }
}

/* --- names ------------------------------------------------------------------------------------------ */

static const char *const names[] = {
    "-dash",
    " space ",
    "back\\slash",
    "e\314\201-composed-of-two",
    "gbk-\326\320\316\304",
    "new\nline",
    "quote\"'",
    "utf8-\344\270\255\346\226\207-\303\251",
    "\355\240\275 not utf-8",
    "\377\376",
};
#define N_NAMES (sizeof(names) / sizeof(*names))

static int by_path(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    return path_cmp(x, strlen(x), y, strlen(y));
}

static void plant_names(struct kit *k)
{
    const char *sorted[N_NAMES];
    char path[256], target[256];
    memcpy(sorted, names, sizeof(names));
    qsort(sorted, N_NAMES, sizeof(*sorted), by_path);
    for (size_t i = 0; i < N_NAMES; i++) {
        struct piece holed[] = { { .len = 1 << 20 },
                                 { .len = strlen(sorted[i]), .data = sorted[i] } };
        kit_dir(k, sorted[i], 0755);
        snprintf(path, sizeof(path), "%s/%s", sorted[i], sorted[i]);
        struct entry en = kit_entry(ENTRY_FILE, path);
        en.flags = ENTRY_LINKED;
        kit_pieces(k, en, &holed[1], 1);
        snprintf(target, sizeof(target), "%s/%s", sorted[i], sorted[i]);
        snprintf(path, sizeof(path), "%s/%s-h", sorted[i], sorted[i]);
        kit_link(k, path, target);
        snprintf(path, sizeof(path), "%s/%s-l", sorted[i], sorted[i]);
        kit_symlink(k, path, sorted[i]);
        snprintf(path, sizeof(path), "%s/%s-s", sorted[i], sorted[i]);
        kit_pieces(k, kit_entry(ENTRY_FILE, path), holed, 2);
    }
}

static void check_names(struct fixture *f)
{
    char path[256], have[256];
    for (size_t i = 0; i < N_NAMES; i++) {
        snprintf(path, sizeof(path), "%s/%s", names[i], names[i]);
        check_bytes(f, path, 0, names[i]);
        ino_t ino = stat_of(f, path).st_ino;
        snprintf(path, sizeof(path), "%s/%s-h", names[i], names[i]);
        assert_int_equal(stat_of(f, path).st_ino, ino);
        snprintf(path, sizeof(path), "%s/%s-l", names[i], names[i]);
        ssize_t n = readlink(at(f, path), have, sizeof(have));
        assert_int_equal(n, strlen(names[i]));
        assert_memory_equal(have, names[i], strlen(names[i]));
        snprintf(path, sizeof(path), "%s/%s-s", names[i], names[i]);
        check_bytes(f, path, 1 << 20, names[i]);
    }
}

static void keeps_names_in_every_locale(void **state)
{
    struct fixture *f = *state;
    char line[256];
    plant_names(f->kit);
    assert_non_null(setlocale(LC_ALL, "C"));
    export_all(f);
    snprintf(line, sizeof(line), "mv %s %s/c.tar", f->tar, f->dir);
    assert_int_equal(system(line), 0);
    assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
    export_all(f);
    setlocale(LC_ALL, "C");
    snprintf(line, sizeof(line), "cmp %%t %s/c.tar", f->dir);
    assert_int_equal(run(f, line), 0);
    for (size_t i = 0; i < N_TOOLS; i++) {
        assert_int_equal(run(f, tools[i].extract), 0);
        check_names(f);
    }
}

/* Longer than PATH_MAX: bsdtar goes down step by step, GNU tar can at least read on behind it. */
static void writes_very_long_paths(void **state)
{
    struct fixture *f = *state;
    char component[201], line[512];
    char path[30 * 201 + 8] = "";
    memset(component, 'n', 200);
    component[200] = '\0';
    for (int i = 0; i < 30; i++) {
        size_t len = strlen(path);
        snprintf(path + len, sizeof(path) - len, "%s%s", i ? "/" : "", component);
        kit_dir(f->kit, path, 0755);
    }
    snprintf(path + strlen(path), 3, "/f");
    kit_file(f->kit, path, "deep", 4);
    kit_file(f->kit, "z", "last", 4);
    export_all(f);
    assert_int_equal(run(f, "tar -tf %t | grep -c '/f$'"), 0);
    assert_int_equal(run(f, tools[2].extract), 0);
    snprintf(
        line, sizeof(line),
        "bsdtar -xpf %%t -C %%o; cd %%o; for i in $(seq 30); do cd -P n*; done; test \"$(cat f)\" = deep");
    assert_int_equal(run(f, line), 0);
    assert_int_equal(run(f, tools[2].extract), 0);
    check_bytes(f, "z", 0, "last");
    snprintf(line, sizeof(line), "tar -xpf %%t -C %%o || true");
    assert_int_equal(run(f, line), 0);
    check_bytes(f, "z", 0, "last");
}

/* --- content ---------------------------------------------------------------------------------------- */

static void restores_holes(void **state)
{
    struct fixture *f = *state;
    struct piece all[] = { { .len = 1 << 20 } };
    struct piece mixed[] = {
        { .len = 20 * GB }, { .len = 5, .data = "first" }, { .len = 6, .data = "second" },
        { .len = 100000 },  { .len = 5, .data = "third" }, { .len = 70000 }
    };
    struct piece tail[] = { { .len = 5, .data = "begin" }, { .len = 1 << 20 } };
    kit_pieces(f->kit, kit_entry(ENTRY_FILE, "all"), all, 1);
    kit_pieces(f->kit, kit_entry(ENTRY_FILE, "mixed"), mixed, 6);
    kit_pieces(f->kit, kit_entry(ENTRY_FILE, "tail"), tail, 2);
    kit_file(f->kit, "z", "after", 5);
    export_all(f);
    for (size_t i = 0; i < N_TOOLS; i++) {
        assert_int_equal(run(f, tools[i].extract), 0);
        assert_int_equal(stat_of(f, "all").st_size, 1 << 20);
        assert_true(stat_of(f, "all").st_blocks <= 16);
        assert_int_equal(stat_of(f, "mixed").st_size, 20 * GB + 170016);
        assert_true(stat_of(f, "mixed").st_blocks <= 200);
        check_bytes(f, "mixed", 20 * GB, "firstsecond");
        check_bytes(f, "mixed", 20 * GB + 100011, "third");
        check_bytes(f, "tail", 0, "begin");
        assert_int_equal(stat_of(f, "tail").st_size, (1 << 20) + 5);
        assert_true(stat_of(f, "tail").st_blocks <= 64);
        check_bytes(f, "z", 0, "after");
    }
    struct stat st;
    assert_int_equal(stat(f->tar, &st), 0);
    assert_true(st.st_size < 32768);
}

/* More data than are read ahead, and a list of chunks in two parts. */
static void plant_big(struct fixture *f, char *bytes)
{
    struct extent ex[10];
    struct entry en = kit_entry(ENTRY_FILE, "big");
    struct sha256 *h = sha256_new();
    for (size_t i = 0; i < 10; i++) {
        memset(bytes, 'a' + (int)i, BIG_PIECE_BYTES);
        ex[i] = (struct extent){ .len = BIG_PIECE_BYTES,
                                 .chunk = kit_chunk(f->kit, bytes, BIG_PIECE_BYTES) };
        sha256_update(h, bytes, BIG_PIECE_BYTES);
    }
    sha256_final(h, &en.hash);
    sha256_free(h);
    f->lost = ex[9].chunk;
    en.flags = ENTRY_HAS_MORE | ENTRY_LINKED;
    en.size = 10 * (uint64_t)BIG_PIECE_BYTES;
    en.extents = ex;
    en.n_extents = 6;
    kit_add(f->kit, &en);
    kit_leaf(f->kit);
    en.type = ENTRY_MORE;
    en.flags = 0;
    en.extents = ex + 6;
    en.n_extents = 4;
    kit_add(f->kit, &en);
    kit_link(f->kit, "link", "big");
}

static void restores_big_files(void **state)
{
    struct fixture *f = *state;
    char *bytes = malloc(BIG_PIECE_BYTES);
    plant_big(f, bytes);
    free(bytes);
    export_all(f);
    for (size_t i = 0; i < N_TOOLS; i++) {
        assert_int_equal(run(f, tools[i].extract), 0);
        assert_int_equal(stat_of(f, "big").st_size, 10 * BIG_PIECE_BYTES);
        for (unsigned c = 0; c < 10; c++) {
            check_bytes(f, "big", c * (off_t)BIG_PIECE_BYTES, (char[]){ (char)('a' + c), '\0' });
            check_bytes(f, "big", (c + 1) * (off_t)BIG_PIECE_BYTES - 1,
                        (char[]){ (char)('a' + c), '\0' });
        }
        assert_int_equal(stat_of(f, "link").st_ino, stat_of(f, "big").st_ino);
    }
    char *link[] = { (char *)"/link" };
    struct select sel = { .paths = link, .n_paths = 1 };
    struct err e = ERR_INIT;
    assert_int_equal(export_some(f, &sel, NULL, &e), 0);
    assert_int_equal(run(f, tools[0].extract), 0);
    check_bytes(f, "link", 9 * (off_t)BIG_PIECE_BYTES, "jjj");
    /* A tar cannot take back what it has of a file that breaks midway. */
    kit_lose(f->kit, &f->lost, ERR_DAMAGED);
    assert_int_equal(export_some(f, NULL, NULL, &e), -ERR_DAMAGED);
    assert_non_null(strstr(e.what, "/big"));
}

static void leaves_out_lost_files(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    uint64_t lost = 0;
    struct entry en = kit_entry(ENTRY_FILE, "b");
    struct id id = kit_chunk(f->kit, "lost", 4), away = kit_chunk(f->kit, "away", 4);
    en.flags = ENTRY_LINKED;
    kit_file(f->kit, "a", "fine", 4);
    kit_pieces(f->kit, en, &(struct piece){ .len = 4, .data = "lost" }, 1);
    kit_file(f->kit, "c", "away", 4);
    kit_link(f->kit, "d", "b");
    struct extent wrong = { .len = 4, .chunk = kit_chunk(f->kit, "fine", 4) };
    en = kit_entry(ENTRY_FILE, "e"); /* its SHA-256 is of something else */
    en.size = 4;
    en.extents = &wrong;
    en.n_extents = 1;
    kit_add(f->kit, &en);
    kit_leaf(f->kit);
    kit_file(f->kit, "f", "in a lost leaf", 14);
    struct id leaf = kit_leaf(f->kit);
    kit_file(f->kit, "z", "fine", 4);
    kit_lose(f->kit, &id, ERR_DAMAGED);
    kit_lose(f->kit, &away, ERR_UNREACHABLE);
    kit_lose(f->kit, &leaf, ERR_DAMAGED);
    assert_int_equal(export_some(f, NULL, &lost, &e), 0);
    assert_int_equal(lost, 5);
    assert_int_equal(f->named, 5);
    assert_string_equal(
        f->names,
        "/b;/c;/d;/e;what lies from \"/f\" up to (not including) \"/z\" in the snapshot;");
    for (size_t i = 0; i < N_TOOLS; i++) {
        assert_int_equal(run(f, tools[i].extract), 0);
        check_bytes(f, "a", 0, "fine");
        check_bytes(f, "z", 0, "fine");
        assert_int_equal(run(f, "tar -tf %t | grep -x '[bcdef]' && exit 1 || true"), 0);
    }
}

static void links_that_lost_their_file_become_one(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char *paths[] = { (char *)"/x", (char *)"/y" };
    struct select sel = { .paths = paths, .n_paths = 2 };
    struct entry en = kit_entry(ENTRY_FILE, "a/f");
    uint64_t lost = 1;
    en.flags = ENTRY_LINKED;
    kit_pieces(f->kit, en, &(struct piece){ .len = 4, .data = "body" }, 1);
    en = kit_entry(ENTRY_SYMLINK, "a/s");
    en.flags = ENTRY_LINKED;
    en.target = "to";
    en.target_len = 2;
    kit_add(f->kit, &en);
    kit_dir(f->kit, "x", 0755);
    kit_link(f->kit, "x/f1", "a/f");
    kit_link(f->kit, "x/f2", "a/f");
    kit_link(f->kit, "x/s1", "a/s");
    kit_dir(f->kit, "y", 0755);
    kit_link(f->kit, "y/f3", "a/f");
    kit_link(f->kit, "y/s2", "a/s");
    assert_int_equal(export_some(f, &sel, &lost, &e), 0);
    assert_int_equal(lost, 0);
    for (size_t i = 0; i < N_TOOLS; i++) {
        assert_int_equal(run(f, tools[i].extract), 0);
        check_bytes(f, "x/f1", 0, "body");
        assert_int_equal(stat_of(f, "x/f2").st_ino, stat_of(f, "x/f1").st_ino);
        assert_int_equal(stat_of(f, "y/f3").st_ino, stat_of(f, "x/f1").st_ino);
        assert_int_equal(stat_of(f, "x/s1").st_mode & S_IFMT, S_IFLNK);
        assert_int_equal(stat_of(f, "y/s2").st_ino, stat_of(f, "x/s1").st_ino);
    }
    sel.name = "f2"; /* a name alone, too */
    assert_int_equal(export_some(f, &sel, &lost, &e), 0);
    assert_int_equal(run(f, tools[0].extract), 0);
    check_bytes(f, "x/f2", 0, "body");
}

static void a_wrong_path_writes_nothing(void **state)
{
    struct fixture *f = *state;
    char *paths[] = { (char *)"/nothing" };
    struct select sel = { .paths = paths, .n_paths = 1 };
    struct err e = ERR_INIT;
    struct stat st;
    kit_file(f->kit, "a", "1", 1);
    assert_int_equal(export_some(f, &sel, NULL, &e), -ERR_ABSENT);
    assert_non_null(strstr(e.what, "/nothing"));
    assert_int_equal(stat(f->tar, &st), 0);
    assert_int_equal(st.st_size, 0);
    /* And a place that takes no more is an error, not a short archive. */
    struct chunk_source src = kit_source(f->kit);
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(reader_export(&src, kit_finish(f->kit), NULL, fd, NULL, NULL, NULL, &e),
                     -ERR_NOSPACE);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(restores_metadata),
        T(keeps_names_in_every_locale),
        T(writes_very_long_paths),
        T(restores_holes),
        T(restores_big_files),
        T(leaves_out_lost_files),
        T(links_that_lost_their_file_become_one),
        T(a_wrong_path_writes_nothing),
    };
    if (geteuid() != 0) {
        printf("# skipped: owners and devices can only be restored by root\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
