/* test_untar.c - archives as a server sends them (agents/postgresql/untar.h): in parts of any size the same files come out of them; what
 * names a place elsewhere, is cut off or is garbled is refused, and nothing is made outside of the folder. */
#include "agents/postgresql/untar.h"
#include "agents/tree.h"
#include "lib/base/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define BLOCK 512u
#define MAX_ARCHIVE (1u << 20)
#define MTIME 1700000000

struct scene {
    char dir[256], in[300];
    int fd;
    uint8_t *p; /* the archive */
    size_t n;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    snprintf(s->dir, sizeof s->dir, "%s/untarXXXXXX", tmp);
    if (!mkdtemp(s->dir))
        return -1;
    snprintf(s->in, sizeof s->in, "%s/in", s->dir);
    if (mkdir(s->in, 0700) < 0)
        return -1;
    s->fd = sys_openat(AT_FDCWD, s->in, O_RDONLY | O_DIRECTORY, 0, NULL);
    s->p = calloc(1, MAX_ARCHIVE);
    *state = s;
    return s->p && s->fd >= 0 ? 0 : -1;
}

/* Nothing but the folder may lie there. */
static int teardown(void **state)
{
    struct scene *s = *state;
    int rc = tree_remove(AT_FDCWD, s->in, NULL);
    close(s->fd);
    rc = rmdir(s->dir) < 0 ? -1 : rc;
    free(s->p);
    free(s);
    return rc;
}

static void empty(struct scene *s)
{
    assert_int_equal(tree_remove(AT_FDCWD, s->in, NULL), 0);
    close(s->fd);
    assert_int_equal(mkdir(s->in, 0700), 0);
    s->fd = sys_openat(AT_FDCWD, s->in, O_RDONLY | O_DIRECTORY, 0, NULL);
    assert_true(s->fd >= 0);
}

static void set_sum(uint8_t *h)
{
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%07o", sum);
    h[155] = ' ';
}

/* As src/port/tar.c makes it; its content are bytes of `fill`. */
static uint8_t *add(struct scene *s, const char *name, char type, unsigned mode, size_t size,
                    uint8_t fill)
{
    uint8_t *h = s->p + s->n;
    memset(h, 0, BLOCK);
    for (size_t i = 0; name[i]; i++)
        h[i] = (uint8_t)name[i];
    snprintf((char *)h + 100, 8, "%07o", mode);
    snprintf((char *)h + 108, 8, "%07o", 113u);
    snprintf((char *)h + 116, 8, "%07o", 120u);
    snprintf((char *)h + 124, 12, "%011zo", size);
    snprintf((char *)h + 136, 12, "%011o", (unsigned)MTIME);
    h[156] = (uint8_t)type;
    snprintf((char *)h + 257, 6, "ustar");
    h[263] = h[264] = '0';
    set_sum(h);
    s->n += BLOCK;
    memset(s->p + s->n, fill, size);
    s->n += size;
    while (s->n % BLOCK)
        s->p[s->n++] = 0;
    return h;
}

static int unpack(struct scene *s, size_t part, struct err *e)
{
    struct untar *u = NULL;
    assert_int_equal(untar_new(s->fd, &u, e), 0);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < s->n; at += part)
        rc = untar_feed(u, s->p + at, s->n - at < part ? s->n - at : part, e);
    if (rc == 0)
        rc = untar_end(u, e);
    uint32_t uid = 0, gid = 0;
    if (rc == 0 && s->n > 0 && s->p[0])
        assert_true(untar_owner(u, &uid, &gid) && uid == 113 && gid == 120);
    untar_free(u);
    return rc;
}

static void check_file(struct scene *s, const char *name, unsigned mode, size_t size, uint8_t fill)
{
    uint8_t *text = NULL;
    size_t n = 0;
    struct stat st;
    assert_int_equal(sys_read_file(s->fd, name, MAX_ARCHIVE, &text, &n, NULL), 0);
    assert_int_equal(n, size);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(text[i], fill);
    free(text);
    assert_int_equal(fstatat(s->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFREG | mode);
    assert_int_equal(st.st_mtime, MTIME);
}

static void test_whole(void **state)
{
    static const size_t parts[] = { 1, 7, 511, 512, 513, 8192, MAX_ARCHIVE };
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct stat st;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        s->n = 0;
        empty(s);
        add(s, "backup_label", '0', 0600, 200, 'l');
        add(s, "base/", '5', 0750, 0, 0);
        add(s, "base/1/", '5', 0700, 0, 0);
        add(s, "base/1/1249", '0', 0640, 16384, 7);
        add(s, "base/1/empty", '0', 0600, 0, 0);
        add(s, "./base/1/dot/", '5', 0700, 0, 0);
        add(s, "base/1/dot/ted", '0', 0600, 5, 5);
        add(s, "base/1/block", '\0', 0600, 512, 9);
        add(s, "pg_tblspc/16400/", '2', 0777, 0, 0); /* a link: passed over */
        uint8_t *h = add(s, "base/1/large", '0', 0600, 1000,
                         3); /* its size as a number of base 256 */
        memset(h + 124, 0, 12);
        h[124] = 0x80;
        h[134] = 1000 >> 8;
        h[135] = 1000 & 255;
        set_sum(h);
        if (i % 2) { /* with the end that an archive on a tape has */
            memset(s->p + s->n, 0, 2 * BLOCK);
            s->n += 2 * BLOCK;
        }
        assert_int_equal(unpack(s, parts[i], &e), 0);
        check_file(s, "backup_label", 0600, 200, 'l');
        check_file(s, "base/1/1249", 0640, 16384, 7);
        check_file(s, "base/1/empty", 0600, 0, 0);
        check_file(s, "base/1/dot/ted", 0600, 5, 5);
        check_file(s, "base/1/block", 0600, 512, 9);
        check_file(s, "base/1/large", 0600, 1000, 3);
        assert_int_equal(fstatat(s->fd, "base", &st, 0), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0750);
        assert_int_equal(st.st_mtime, MTIME);
        assert_true(fstatat(s->fd, "pg_tblspc", &st, AT_SYMLINK_NOFOLLOW) < 0);
    }
}

static void test_elsewhere(void **state)
{
    static const char *const names[] = { "../out", "a/../../out", "/tmp/out",  "a//b",
                                         "././a",  "a/./b",       "..",        ".",
                                         "",       "a/..",        "no/folder", "/" };
    struct scene *s = *state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int folder = 0; folder < 2; folder++) {
            struct err e = ERR_INIT;
            s->n = 0;
            empty(s);
            add(s, "a", '5', 0700, 0, 0);
            add(s, names[i], folder ? '5' : '0', 0600, folder ? 0 : 10, 'x');
            assert_true(unpack(s, 512, &e) < 0);
        }
    /* What is there is not written to, and not gone through. */
    struct err e = ERR_INIT;
    s->n = 0;
    empty(s);
    add(s, "f", '0', 0600, 10, 'x');
    add(s, "f", '0', 0600, 10, 'y');
    assert_int_equal(unpack(s, 512, &e), -ERR_EXISTS);
    check_file(s, "f", 0600, 10, 'x');
    empty(s);
    assert_int_equal(symlinkat(s->dir, s->fd, "link"), 0);
    s->n = 0;
    add(s, "link", '0', 0600, 10, 'x');
    assert_true(unpack(s, 512, &e) < 0);
}

static void test_wrong(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    add(s, "base", '5', 0700, 0, 0);
    uint8_t *h = add(s, "base/1", '0', 0600, 1000, 'x');
    size_t whole = s->n, at = (size_t)(h - s->p);
    for (s->n = at + 1; s->n < whole; s->n += 97) { /* cut off */
        empty(s);
        assert_int_equal(unpack(s, 100, &e), -ERR_PROTOCOL);
    }
    s->n = whole;
    h[3] ^= 1; /* the sum of the header */
    empty(s);
    assert_int_equal(unpack(s, 512, &e), -ERR_PROTOCOL);
    h[3] ^= 1;
    static const char types[] = { '1', '3', '4', '6', '7', 'x', 'g', 'L', 'K' };
    for (size_t i = 0; i < sizeof types; i++) {
        h[156] = (uint8_t)types[i];
        set_sum(h);
        empty(s);
        assert_int_equal(unpack(s, 512, &e), -ERR_PROTOCOL);
    }
    h[156] = '0';
    memset(h + 124, 0xFF, 12); /* less than 0 */
    set_sum(h);
    empty(s);
    assert_int_equal(unpack(s, 512, &e), -ERR_PROTOCOL);
    memset(h + 124, 0, 12);
    h[124] = 0x80;
    h[127] = 1; /* 2^64 and more */
    set_sum(h);
    empty(s);
    assert_int_equal(unpack(s, 512, &e), -ERR_PROTOCOL);
}

/* Any bytes with a right sum: refused or unpacked, never elsewhere (teardown). */
static void test_any(void **state)
{
    struct scene *s = *state;
    uint64_t seed = 88172645463325252u;
    for (size_t i = 0; i < 3000; i++) {
        struct err e = ERR_INIT;
        s->n = 0;
        add(s, "a", '5', 0700, 0, 0);
        uint8_t *h = add(s, "a/../b/c", '0', 0600, 700, 'x');
        for (size_t k = 0; k < 1 + i % 5; k++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            h[seed % 160] = seed >> 32 & 1 ? (uint8_t)(seed >> 40)
                                           : (uint8_t)("/.0a57"[seed >> 40 & 3]);
        }
        set_sum(h);
        (void)unpack(s, 300, &e);
        if (i % 50 == 0)
            empty(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
