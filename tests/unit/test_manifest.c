/* test_manifest.c - lib/vault/manifest.h: order, leaves and where they are cut, index, bodies,
 * and readers that are given bytes of somebody hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/vault/manifest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct entry named(const char *path, enum entry_type type)
{
    return (struct entry){ .path = path,
                           .path_len = strlen(path),
                           .type = type,
                           .mode = 0644,
                           .uid = 1000,
                           .gid = 100,
                           .mtime_s = 1700000000,
                           .mtime_ns = 5 };
}

static struct extent data(uint8_t chunk, uint32_t off, uint64_t len)
{
    return (struct extent){ .len = len, .chunk = { { chunk } }, .off = off };
}

/* A file of the given extents, its size their sum. */
static struct entry file(const char *path, const struct extent *x, size_t n)
{
    struct entry en = named(path, ENTRY_FILE);
    en.extents = x;
    en.n_extents = n;
    for (size_t i = 0; i < n; i++)
        en.size += x[i].len;
    if (en.size > 0)
        memset(en.hash.b, 0xab, sizeof en.hash.b);
    return en;
}

static int add(struct leaf_writer *w, struct entry en)
{
    return leaf_add(w, &en, NULL);
}

static void take(struct leaf_writer *w, struct wbuf *out)
{
    struct wbuf first = WBUF_INIT;
    wbuf_reset(out);
    assert_int_equal(leaf_take(w, out, &first, NULL), 0);
    wbuf_free(&first);
}

/* --- paths ------------------------------------------------------------------------------------ */
static int cmp(const char *a, const char *b)
{
    return path_cmp(a, strlen(a), b, strlen(b));
}

static void paths_are_in_walk_order(void **state)
{
    static const char *const walk[] = { "a",   "a/b", "a/b/c", "a/b.c", "a/c",  "a b",
                                        "a.b", "a0",  "aa",    "b",     "b\xff" };
    size_t n = sizeof walk / sizeof *walk;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            int c = cmp(walk[i], walk[k]);
            assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
        }
    assert_true(cmp("longer/than/eight/a", "longer/than/eight/b") < 0);
    assert_true(cmp("longer/than/eight", "longer/than/eight/b") < 0);
}

static bool ok(const char *path)
{
    return path_ok(path, strlen(path));
}

static bool within(const char *path, const char *dir)
{
    return path_within(path, strlen(path), dir, strlen(dir));
}

static void forms_of_paths(void **state)
{
    static const char *const good[] = { "a", "a/b", "...", ".a", "..a", "a..", "a/.b/c.", "a\n" };
    static const char *const bad[] = { "",    "/",    "/a",  "a/",   "a//b",  ".",     "..",
                                       "a/.", "a/..", "./a", "../a", "a/./b", "a/../b" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(ok(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ok(bad[i]));
    assert_false(path_ok("a\0b", 3));
    assert_true(within("a/b", "a") && within("a", "a") && within("a", "") &&
                within("a/b/c", "a/b"));
    assert_false(within("ab", "a") || within("a", "a/b") || within("b", "a"));
    char *longest = malloc(MAX_PATH_BYTES + 1);
    memset(longest, 'x', MAX_PATH_BYTES + 1);
    assert_true(path_ok(longest, MAX_PATH_BYTES));
    assert_false(path_ok(longest, MAX_PATH_BYTES + 1));
    free(longest);
}

/* --- round trips ------------------------------------------------------------------------------ */
static void same_extents(const struct entry *a, const struct entry *b)
{
    assert_int_equal(a->n_extents, b->n_extents);
    for (size_t i = 0; i < a->n_extents; i++) {
        assert_int_equal(a->extents[i].len, b->extents[i].len);
        assert_int_equal(a->extents[i].hole, b->extents[i].hole);
        if (a->extents[i].hole)
            continue;
        assert_int_equal(a->extents[i].off, b->extents[i].off);
        assert_memory_equal(&a->extents[i].chunk, &b->extents[i].chunk, ID_BYTES);
    }
}

static void same_xattrs(const struct entry *a, const struct entry *b)
{
    assert_int_equal(a->n_xattrs, b->n_xattrs);
    for (size_t i = 0; i < a->n_xattrs; i++) {
        assert_int_equal(a->xattrs[i].name_len, b->xattrs[i].name_len);
        assert_memory_equal(a->xattrs[i].name, b->xattrs[i].name, a->xattrs[i].name_len);
        assert_int_equal(a->xattrs[i].len, b->xattrs[i].len);
        assert_memory_equal(a->xattrs[i].value, b->xattrs[i].value, a->xattrs[i].len);
    }
}

static void same(const struct entry *a, const struct entry *b, bool state)
{
    assert_int_equal(a->path_len, b->path_len);
    assert_memory_equal(a->path, b->path, a->path_len);
    assert_int_equal(a->type, b->type);
    same_extents(a, b);
    if (a->type == ENTRY_MORE)
        return;
    unsigned given = ~(unsigned)(ENTRY_XATTRS | ENTRY_FFLAGS);
    assert_int_equal(a->flags & given, b->flags & given);
    assert_true(a->mode == b->mode && a->uid == b->uid && a->gid == b->gid);
    assert_true(a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns);
    assert_true(a->size == b->size && id_eq(&a->hash, &b->hash) && a->fflags == b->fflags);
    same_xattrs(a, b);
    assert_int_equal(a->target_len, b->target_len);
    if (a->target_len)
        assert_memory_equal(a->target, b->target, a->target_len);
    assert_true(a->dev_major == b->dev_major && a->dev_minor == b->dev_minor);
    assert_int_equal(a->n_sums, b->n_sums);
    assert_memory_equal(a->n_sums ? a->sums : (const void *)"",
                        a->n_sums ? b->sums : (const void *)"", a->n_sums * sizeof *a->sums);
    assert_int_equal(a->page_bits, b->page_bits);
    if (state && a->flags & ENTRY_PAGED)
        assert_int_equal(a->page_sums_at, b->page_sums_at);
    if (state && a->type == ENTRY_FILE)
        assert_true(a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns && a->ino == b->ino);
}

static const struct extent extents[] = { { .len = 100, .chunk = { { 1 } }, .off = 50 },
                                         { .len = 10, .chunk = { { 1 } }, .off = 150 },
                                         { .len = UINT64_C(1) << 40, .hole = true },
                                         { .len = 8 << 20, .chunk = { { 2 } } },
                                         { .len = 1, .chunk = { { 1 } }, .off = 160 } };
static const struct extent after_extents[] = { { .len = 7, .chunk = { { 1 } }, .off = 161 } };
static const struct extent second_part[] = { { .len = 1000, .chunk = { { 9 } } } };
static const struct extent third_part[] = { { .len = 10, .chunk = { { 9 } }, .off = 1000 } };
static const struct xattr xattrs[] = {
    { "system.posix_acl_access", 23, (const uint8_t *)"\2\0\0\0", 4 },
    { "user.empty", 10, (const uint8_t *)"", 0 },
};

/* In pages: a region of two pieces, a hole over two and a half regions, the second part. */
static const struct extent paged_extents[] = { { .len = 4096, .chunk = { { 3 } } },
                                               { .len = (1 << 20) - 4096, .chunk = { { 4 } } },
                                               { .len = 2 << 20, .hole = true },
                                               { .len = 1 << 19, .hole = true },
                                               { .len = 1 << 19, .chunk = { { 5 } } } };
static const struct extent paged_rest[] = { { .len = 100, .chunk = { { 5 } }, .off = 1 << 19 } };
static const struct id sums_of_pages[] = { { { 7 } }, { { 8 } }, { { 9 } } };

/* One of each kind, and all that they may have. */
static size_t all_kinds(struct entry en[16])
{
    size_t n = 0;
    en[n] = named("a", ENTRY_DIR);
    en[n].mode = 07777;
    en[n].flags = ENTRY_ABOVE;
    en[n++].mtime_s = INT64_MIN;
    en[n] = file("a/b", extents, 5);
    en[n].flags = ENTRY_LINKED | ENTRY_SPARSE;
    en[n].xattrs = xattrs;
    en[n].n_xattrs = 2;
    en[n].fflags = 0x10;
    en[n].ctime_s = INT64_MIN + 3;
    en[n].ctime_ns = 999999999;
    en[n].ino = UINT64_MAX;
    en[n++].mtime_s = INT64_MAX;
    en[n++] = file("a/empty", NULL, 0);
    en[n] = file("a/follows", after_extents, 1);
    en[n++].uid = UINT32_MAX;
    en[n] = named("a/link", ENTRY_SYMLINK);
    en[n].target = "../\xff";
    en[n++].target_len = 4;
    en[n] = named("a/name", ENTRY_HARDLINK);
    en[n].target = "a/b";
    en[n++].target_len = 3;
    en[n++] = named("b", ENTRY_FIFO);
    en[n] = named("c", ENTRY_CHAR);
    en[n].dev_major = UINT32_MAX;
    en[n++].dev_minor = 7;
    en[n] = named("d", ENTRY_BLOCK);
    en[n++].flags = ENTRY_LINKED;
    en[n] = file("e", extents, 2);
    en[n].size = 110 + 1010;
    en[n++].flags = ENTRY_HAS_MORE;
    en[n] = named("e", ENTRY_MORE);
    en[n].flags = ENTRY_HAS_MORE;
    en[n].extents = second_part;
    en[n++].n_extents = 1;
    en[n] = named("e", ENTRY_MORE);
    en[n].extents = third_part;
    en[n++].n_extents = 1;
    en[n++] = named("f", ENTRY_DIR);
    en[n] = file("g", paged_extents, 5);
    en[n].size = (4 << 20) + 100;
    en[n].flags = ENTRY_HAS_MORE | ENTRY_PAGED;
    en[n].page_bits = 13;
    en[n].page_sums_at = 1234567;
    en[n].sums = sums_of_pages;
    en[n++].n_sums = 2;
    en[n] = named("g", ENTRY_MORE);
    en[n].flags = ENTRY_PAGED;
    en[n].extents = paged_rest;
    en[n].n_extents = 1;
    en[n].sums = sums_of_pages + 2;
    en[n++].n_sums = 1;
    return n;
}

static void write_kinds(bool state, struct wbuf *out)
{
    struct entry en[16];
    size_t n = all_kinds(en), chunks;
    struct leaf_writer *w = leaf_writer_new(state);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(add(w, en[i]), 0);
    assert_int_equal(leaf_count(w), n);
    const struct id *ids = leaf_chunks(w, &chunks);
    assert_int_equal(chunks, 6);
    assert_int_equal(ids[2].b[0], 9);
    take(w, out);
    assert_int_equal(leaf_count(w), 0);
    leaf_writer_free(w);
}

static void entries_come_back(bool state)
{
    struct entry en[16], got;
    size_t n = all_kinds(en), chunks;
    struct wbuf leaf = WBUF_INIT, again = WBUF_INIT;
    struct leaf_reader *r;
    struct leaf_writer *w = leaf_writer_new(state);
    write_kinds(state, &leaf);
    assert_int_equal(leaf_reader_new(leaf.p, leaf.len, !state, &r, NULL), -ERR_DAMAGED);
    assert_int_equal(leaf_reader_new(leaf.p, leaf.len, state, &r, NULL), 0);
    (void)leaf_reader_chunks(r, &chunks);
    assert_int_equal(chunks, 6);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(leaf_next(r, &got, NULL), 1);
        same(&en[i], &got, state);
        assert_int_equal(add(w, got), 0);
    }
    assert_int_equal(leaf_next(r, &got, NULL), 0);
    take(w, &again); /* what was read can be written again and makes the same leaf */
    assert_int_equal(again.len, leaf.len);
    assert_memory_equal(again.p, leaf.p, leaf.len);
    leaf_reader_free(r);
    leaf_writer_free(w);
    wbuf_free(&leaf);
    wbuf_free(&again);
}

static void leaves_come_back(void **state)
{
    entries_come_back(false);
}

static void state_leaves_come_back(void **state)
{
    entries_come_back(true);
}

static void continuation_may_begin_a_leaf(void **state)
{
    struct entry part = named("x/file", ENTRY_MORE), got;
    struct extent x = data(3, 0, 77);
    struct wbuf leaf = WBUF_INIT, first = WBUF_INIT;
    struct leaf_reader *r;
    struct leaf_writer *w = leaf_writer_new(false);
    part.extents = &x;
    part.n_extents = 1;
    assert_int_equal(add(w, part), 0);
    assert_int_equal(add(w, named("y", ENTRY_DIR)), 0);
    assert_int_equal(leaf_take(w, &leaf, &first, NULL), 0);
    assert_memory_equal(first.p, "x/file", first.len);
    assert_int_equal(leaf_reader_new(leaf.p, leaf.len, false, &r, NULL), 0);
    assert_int_equal(leaf_next(r, &got, NULL), 1);
    same(&part, &got, false);
    assert_int_equal(leaf_next(r, &got, NULL), 1);
    assert_int_equal(got.mtime_s, 1700000000);
    assert_int_equal(leaf_next(r, &got, NULL), 0);
    leaf_reader_free(r);
    leaf_reader_free(NULL);
    leaf_writer_free(w);
    leaf_writer_free(NULL);
    wbuf_free(&leaf);
    wbuf_free(&first);
}

static void a_part_has_many_extents(void **state)
{
    static struct extent x[MAX_PART_EXTENTS + 1];
    struct wbuf leaf = WBUF_INIT;
    struct leaf_writer *w = leaf_writer_new(false);
    struct leaf_reader *r;
    struct entry got;
    for (size_t i = 0; i <= MAX_PART_EXTENTS; i++)
        x[i] = (struct extent){ .len = i + 1,
                                .off = (uint32_t)i,
                                .chunk = { { (uint8_t)i, (uint8_t)(i >> 8) } } };
    assert_int_equal(add(w, file("f", x, MAX_PART_EXTENTS + 1)), -ERR_LIMIT);
    struct entry en = file("f", x, MAX_PART_EXTENTS);
    assert_int_equal(add(w, en), 0);
    take(w, &leaf);
    assert_int_equal(leaf_reader_new(leaf.p, leaf.len, false, &r, NULL), 0);
    assert_int_equal(leaf_next(r, &got, NULL), 1);
    same(&en, &got, false);
    leaf_reader_free(r);
    leaf_writer_free(w);
    wbuf_free(&leaf);
}

/* --- what the writer refuses ------------------------------------------------------------------ */
static void writer_refuses(struct entry en)
{
    struct wbuf plain = WBUF_INIT, after = WBUF_INIT;
    struct leaf_writer *w = leaf_writer_new(false), *v = leaf_writer_new(false);
    assert_int_equal(add(v, named("m", ENTRY_DIR)), 0);
    assert_int_equal(add(v, named("z", ENTRY_DIR)), 0);
    take(v, &plain);
    assert_int_equal(add(w, named("m", ENTRY_DIR)), 0);
    assert_true(add(w, en) < 0);
    /* The leaf is as it was before. */
    assert_int_equal(add(w, named("z", ENTRY_DIR)), 0);
    take(w, &after);
    assert_int_equal(after.len, plain.len);
    assert_memory_equal(after.p, plain.p, plain.len);
    leaf_writer_free(w);
    leaf_writer_free(v);
    wbuf_free(&plain);
    wbuf_free(&after);
}

static void entries_that_cannot_be_are_refused(void **state)
{
    struct entry en;
    writer_refuses(named("m", ENTRY_DIR));
    writer_refuses(named("l", ENTRY_DIR));
    writer_refuses(named("n/../o", ENTRY_DIR));
    writer_refuses(named("n", ENTRY_SOCKET));
    writer_refuses(named("n", (enum entry_type)0));
    writer_refuses(named("n", ENTRY_SYMLINK));
    en = named("n", ENTRY_HARDLINK);
    en.target = "n";
    en.target_len = 1;
    writer_refuses(en);
    en.target = "a//b";
    en.target_len = 4;
    writer_refuses(en);
    en = named("n", ENTRY_FIFO);
    en.mode = 0100644;
    writer_refuses(en);
    en = named("n", ENTRY_FIFO);
    en.mtime_ns = 1000000000;
    writer_refuses(en);
    struct xattr x = { "user.big", 8, NULL, MAX_XATTR_BYTES };
    en = named("n", ENTRY_DIR);
    en.xattrs = &x;
    en.n_xattrs = 1;
    writer_refuses(en);
    x = (struct xattr){ "", 0, (const uint8_t *)"v", 1 };
    writer_refuses(en);
}

static void extents_that_cannot_be_are_refused(void **state)
{
    struct entry en = file("n", extents, 5);
    en.size++;
    writer_refuses(en);
    en.size -= 2;
    writer_refuses(en);
    en = file("n", extents, 5);
    en.flags = ENTRY_HAS_MORE;
    writer_refuses(en);
    en = file("n", NULL, 0);
    en.flags = ENTRY_HAS_MORE;
    en.size = 1;
    writer_refuses(en);
    struct extent x[2] = { data(1, 1, 8 << 20), data(1, 0, 1) };
    writer_refuses(file("n", x, 1));
    x[0] = data(1, 0, 0);
    writer_refuses(file("n", x, 2));
    x[0] = (struct extent){ .len = UINT64_C(1) << 60, .hole = true };
    writer_refuses(file("n", x, 2));
    x[1] = (struct extent){ .len = UINT64_MAX, .hole = true };
    writer_refuses(file("n", x, 2));
    en = named("m", ENTRY_MORE); /* of a folder */
    x[0] = data(1, 0, 1);
    en.extents = x;
    en.n_extents = 1;
    writer_refuses(en);
}

static void pages_that_cannot_be_are_refused(void **state)
{
    struct entry en = file("n", paged_extents, 5);
    struct extent x[2] = { data(1, 0, (1 << 20) - 1), data(1, 1 << 20, 2) };
    en.flags = ENTRY_PAGED;
    en.page_bits = 13;
    en.sums = sums_of_pages;
    en.n_sums = 2;
    struct leaf_writer *w = leaf_writer_new(false);
    assert_int_equal(add(w, en), 0);
    leaf_writer_free(w);
    en.n_sums = 1;
    writer_refuses(en);
    en.n_sums = 3;
    writer_refuses(en);
    en.n_sums = 2;
    en.page_bits = 8;
    writer_refuses(en);
    en.page_bits = 17;
    writer_refuses(en);
    en.page_bits = 13;
    en.flags = ENTRY_PAGED | ENTRY_SPARSE;
    writer_refuses(en);
    en.flags = ENTRY_PAGED;
    en.extents = x; /* the second lies in two regions */
    en.n_extents = 2;
    en.size = (1 << 20) + 1;
    writer_refuses(en);
    en.flags = ENTRY_PAGED | ENTRY_HAS_MORE; /* a part that ends within a region */
    en.extents = paged_extents;
    en.n_extents = 1;
    en.n_sums = 1;
    en.size = 1 << 20;
    writer_refuses(en);
    en = file("n", NULL, 0);
    en.flags = ENTRY_PAGED;
    en.page_bits = 13;
    writer_refuses(en);
}

static void an_open_file_must_go_on(void **state)
{
    struct extent x = data(1, 0, 10);
    struct entry en = file("f", &x, 1), more = named("f", ENTRY_MORE);
    struct leaf_writer *w = leaf_writer_new(false);
    en.size = 20;
    en.flags = ENTRY_HAS_MORE;
    assert_int_equal(add(w, en), 0);
    assert_true(add(w, named("g", ENTRY_DIR)) < 0);
    more.extents = &x;
    more.n_extents = 1;
    more.path = "g";
    assert_true(add(w, more) < 0);
    more.path = "f";
    x.len = 11;
    assert_true(add(w, more) < 0);
    x.len = 9;
    assert_true(add(w, more) < 0);
    x.len = 10;
    assert_int_equal(add(w, more), 0);
    assert_true(add(w, more) < 0);
    assert_int_equal(add(w, named("g", ENTRY_DIR)), 0);
    leaf_writer_free(w);
}

/* Reads to the end; the last answer. */
static int read_all(const void *p, size_t n, bool state)
{
    struct leaf_reader *r;
    struct entry en;
    int rc = leaf_reader_new(p, n, state, &r, NULL);
    if (rc < 0)
        return rc;
    while ((rc = leaf_next(r, &en, NULL)) > 0)
        ;
    assert_int_equal(leaf_next(r, &en, NULL), rc);
    leaf_reader_free(r);
    return rc;
}

/* --- where leaves are cut --------------------------------------------------------------------- */
#define N_FILES 20000

/* Writes all files but `without` and keeps the hash-like sum of each leaf. */
static size_t cut_leaves(int without, uint64_t sums[], size_t max)
{
    struct leaf_writer *w = leaf_writer_new(false);
    struct wbuf leaf = WBUF_INIT;
    size_t n = 0;
    for (int i = 0; i <= N_FILES; i++) {
        char path[64];
        snprintf(path, sizeof path, "srv/data/folder%03d/file%06d", i / 100, i);
        bool end = i == N_FILES;
        if (leaf_count(w) > 0 && (end || leaf_is_full(w, path, strlen(path)))) {
            take(w, &leaf);
            assert_true(end || leaf.len >= LEAF_MIN_BYTES);
            assert_true(leaf.len < LEAF_MAX_BYTES + 4096);
            assert_true(n < max);
            assert_int_equal(read_all(leaf.p, leaf.len, false), 0);
            uint64_t h = 0;
            for (size_t k = 0; k < leaf.len; k++)
                h = (h ^ leaf.p[k]) * UINT64_C(0x100000001b3);
            sums[n++] = h;
        }
        struct extent x = data((uint8_t)(i / 1000), (uint32_t)(i % 1000) * 100, 100);
        if (!end && i != without)
            assert_int_equal(add(w, file(path, &x, 1)), 0);
    }
    leaf_writer_free(w);
    wbuf_free(&leaf);
    return n;
}

static void unchanged_stretches_make_the_same_leaves(void **state)
{
    uint64_t a[200], b[200];
    size_t n = cut_leaves(-1, a, 200), m = cut_leaves(50, b, 200), equal = 0;
    assert_in_range(n, 10, 100);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++)
            equal += a[i] == b[k];
    assert_in_range(equal, n - 4, n - 1);
}

static void a_leaf_ends_at_its_greatest_length(void **state)
{
    struct leaf_writer *w = leaf_writer_new(false);
    struct xattr x = { "user.x", 6, NULL, LEAF_MAX_BYTES };
    struct entry en = named("a", ENTRY_DIR);
    x.value = calloc(1, x.len);
    assert_false(leaf_is_full(w, "b", 1));
    en.xattrs = &x;
    en.n_xattrs = 1;
    assert_int_equal(add(w, en), 0);
    assert_true(leaf_is_full(w, "b", 1));
    free((void *)(uintptr_t)x.value);
    leaf_writer_free(w);
}

/* --- hostile leaves --------------------------------------------------------------------------- */
static void every_cut_and_addition_is_damage(void **state)
{
    for (int s = 0; s < 2; s++) {
        struct wbuf leaf = WBUF_INIT;
        write_kinds(s, &leaf);
        assert_int_equal(read_all(leaf.p, leaf.len, s), 0);
        for (size_t i = 0; i < leaf.len; i++) {
            uint8_t *exact = malloc(i + 1);
            memcpy(exact, leaf.p, i);
            assert_int_equal(read_all(exact, i, s), -ERR_DAMAGED);
            free(exact);
        }
        wb_u8(&leaf, 0);
        assert_int_equal(read_all(leaf.p, leaf.len, s), -ERR_DAMAGED);
        wbuf_free(&leaf);
    }
}

/* A leaf with one chunk and n entries given as raw bytes. */
#define RAW(n, bytes) raw(n, bytes, sizeof bytes - 1)
static int raw(unsigned n, const char *bytes, size_t len)
{
    struct wbuf w = WBUF_INIT;
    wb_bytes(&w, "L\1\1", 3);
    wb_id(&w, &(struct id){ { 1 } });
    wb_varint(&w, n);
    wb_bytes(&w, bytes, len);
    int rc = read_all(w.p, w.len, false);
    wbuf_free(&w);
    return rc;
}

#define HASH "0123456789abcdef0123456789abcdef"
#define META "\0\0\0\0\0" /* mode, uid, gid, mtime s, ns */
#define A_DIR "\0\1a\2\0" META
#define A_FILE(flags, size) "\0\1a\1" flags META size HASH

static void entries_by_hand(void **state)
{
    assert_int_equal(RAW(1, A_DIR), 0);
    assert_int_equal(RAW(2, A_DIR "\0\1b\2\x10\0\0"), 0);
    assert_int_equal(RAW(2, A_DIR "\1\2/b\2\x10\0\0"), 0);
    assert_int_equal(RAW(2, "\0\3...\2\0" META "\3\2/b\2\x10\0\0"), 0);
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\1\x14\0\0"), 0);
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\2\x10\0\0\6"), 0);
    assert_int_equal(RAW(1, "\0\1a\1\0" META "\0"), 0);
    assert_int_equal(RAW(1, A_FILE("\4", "\5") "\1\x10\0\0"), 0);
    assert_int_equal(RAW(2, A_FILE("\4", "\5") "\1\x10\0\0"
                                               "\1\0\x9\0\1\6"),
                     0);
}

static void forged_paths_and_flags(void **state)
{
    assert_int_equal(RAW(0, ""), -ERR_DAMAGED);
    assert_int_equal(RAW(1, A_DIR "\0"), -ERR_DAMAGED);
    assert_int_equal(RAW(2, A_DIR "\0\1a\2\x10\0\0"), -ERR_DAMAGED); /* the same path */
    assert_int_equal(RAW(2, "\0\1b\2\0" META A_DIR), -ERR_DAMAGED);  /* order */
    assert_int_equal(RAW(2, A_DIR "\2\1b\2\x10\0\0"), -ERR_DAMAGED); /* shared too long */
    assert_int_equal(RAW(1, "\1\1a\2\0" META), -ERR_DAMAGED);        /* shared with nothing */
    assert_int_equal(RAW(1, "\0\0\2\0" META), -ERR_DAMAGED);         /* no path */
    assert_int_equal(RAW(1, "\0\2..\2\0" META), -ERR_DAMAGED);
    assert_int_equal(RAW(1, "\0\2a\0\2\0" META), -ERR_DAMAGED);
    assert_int_equal(RAW(2, A_DIR "\1\3/..\2\x10\0\0"), -ERR_DAMAGED);
    assert_int_equal(RAW(2, "\0\2a.\2\0" META "\2\2/.\2\x10\0\0"), -ERR_DAMAGED);
    assert_int_equal(RAW(2, "\0\3a/-\2\0" META "\2\1.\2\x10\0\0"), -ERR_DAMAGED);
    assert_int_equal(RAW(1, "\0\1a\2\x10\0\0"), -ERR_DAMAGED);           /* SAME as nothing */
    assert_int_equal(RAW(1, "\0\1a\2\4" META), -ERR_DAMAGED);            /* a folder with MORE */
    assert_int_equal(RAW(1, "\0\1a\2\x80\1" META), -ERR_DAMAGED);        /* unknown flag */
    assert_int_equal(RAW(1, "\0\1a\2\1" META "\0"), -ERR_DAMAGED);       /* XATTRS, but none */
    assert_int_equal(RAW(1, "\0\1a\2\2" META "\0"), -ERR_DAMAGED);       /* FFLAGS, but none */
    assert_int_equal(RAW(1, "\0\1a\2\0\x80\x20\0\0\0\0"), -ERR_DAMAGED); /* mode */
    assert_int_equal(RAW(1, "\0\1a\x8\0" META), -ERR_DAMAGED);           /* socket */
    assert_int_equal(RAW(1, "\0\1a\xa\0" META), -ERR_DAMAGED);
    assert_int_equal(RAW(1, "\0\1a\3\0" META "\0"), -ERR_DAMAGED);  /* empty target */
    assert_int_equal(RAW(1, "\0\1a\4\0" META "\1a"), -ERR_DAMAGED); /* a hard link to itself */
    assert_int_equal(RAW(1, "\0\1a\4\0" META "\3../"), -ERR_DAMAGED);
}

static void forged_extents(void **state)
{
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\0"), -ERR_DAMAGED);
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\1\x10\0\0"), -ERR_DAMAGED);   /* 4 of 5 bytes */
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\1\x18\0\0"), -ERR_DAMAGED);   /* 6 of 5 */
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\1\x14\1\0"), -ERR_DAMAGED);   /* no such chunk */
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\1\x16"), -ERR_DAMAGED);       /* follows nothing */
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\2\5\x12"), -ERR_DAMAGED);     /* follows a hole */
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\1\x17"), -ERR_DAMAGED);       /* both */
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\2\0\0\0\x16"), -ERR_DAMAGED); /* length 0 */
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\1\x14\0\xfc\xff\xff\3"),
                     -ERR_DAMAGED); /* over the end */
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\1\x14\0\xff\xff\xff\xff\x1f"), -ERR_DAMAGED);
    assert_int_equal(RAW(1, A_FILE("\4", "\5") "\1\x14\0\0"), -ERR_DAMAGED); /* whole, yet MORE */
    assert_int_equal(RAW(1, A_FILE("\0", "\x81\x80\x80\x80\x80\x80\x80\x80\x10") "\1\1"),
                     -ERR_DAMAGED);
    assert_int_equal(RAW(2, A_FILE("\4", "\5") "\1\x10\0\0"
                                               "\0\1b\2\x10\0\0"),
                     -ERR_DAMAGED);
    assert_int_equal(RAW(2, A_FILE("\4", "\5") "\1\x10\0\0"
                                               "\1\0\x9\0\1\x9"),
                     -ERR_DAMAGED);
    assert_int_equal(RAW(2, A_FILE("\4", "\5") "\1\x10\0\0"
                                               "\1\0\x9\0\0"),
                     -ERR_DAMAGED);
    assert_int_equal(RAW(2, A_FILE("\4", "\5") "\1\x10\0\0"
                                               "\0\1b\x9\0\1\6"),
                     -ERR_DAMAGED);
    assert_int_equal(RAW(2, A_DIR "\1\0\x9\0\1\4\0\0"), -ERR_DAMAGED); /* of a folder */
    assert_int_equal(RAW(1, "\0\1a\x9\x10\1\4\0\0"), -ERR_DAMAGED);    /* SAME */
}

static void counts_beyond_the_leaf_cost_nothing(void **state)
{
    assert_int_equal(read_all("L\1\xff\xff\3", 5, false), -ERR_DAMAGED);
    assert_int_equal(read_all("L\1\0\xff\xff\xff\x3", 7, false), -ERR_DAMAGED);
    assert_int_equal(read_all("L\2\0\1" A_DIR, 14, false), -ERR_DAMAGED);
    assert_int_equal(RAW(1, "\0\1a\2\1" META "\xff\xff\3"), -ERR_DAMAGED);  /* xattrs */
    assert_int_equal(RAW(1, A_FILE("\0", "\5") "\xff\xf\1"), -ERR_DAMAGED); /* extents */
    uint8_t *big = calloc(1, MAX_LEAF_BYTES + 1);
    memcpy(big, "L\1\0\1" A_DIR, 14);
    assert_int_equal(read_all(big, MAX_LEAF_BYTES + 1, false), -ERR_DAMAGED);
    free(big);
}

/* A very long common prefix with many short rests must not be walked again for every entry. */
static void long_prefixes_are_cheap(void **state)
{
    struct wbuf w = WBUF_INIT;
    uint8_t *prefix = malloc(MAX_PATH_BYTES);
    size_t n = 300000;
    memset(prefix, 'x', MAX_PATH_BYTES);
    wb_bytes(&w, "L\1\0", 3);
    wb_varint(&w, n + 1);
    wb_u8(&w, 0);
    wb_blob(&w, prefix, MAX_PATH_BYTES - 3);
    wb_bytes(&w, "\2\0" META, 7);
    for (size_t i = 0; i < n; i++) {
        wb_varint(&w, MAX_PATH_BYTES - 3);
        uint8_t rest[3] = { (uint8_t)(0x40 + (i >> 14)), (uint8_t)(0x40 + (i >> 7) % 128),
                            (uint8_t)(0x40 + i % 128) };
        wb_blob(&w, rest, 3);
        wb_bytes(&w, "\2\x10\0\0", 4);
    }
    assert_int_equal(read_all(w.p, w.len, false), 0);
    free(prefix);
    wbuf_free(&w);
}

/* --- index chunks and bodies ------------------------------------------------------------------ */
static void leaf_infos_come_back(void **state)
{
    struct wbuf w = WBUF_INIT;
    struct leaf_info a = { { { 1 } }, 300, "a/b", 3 }, b = { { { 2 } }, 1, "c", 1 }, got;
    leaf_info_write(&w, &a);
    size_t one = w.len;
    leaf_info_write(&w, &b);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(leaf_info_read(&r, &got, NULL), 1);
    assert_true(id_eq(&got.id, &a.id) && got.entries == 300 && got.first_len == 3);
    assert_int_equal(leaf_info_read(&r, &got, NULL), 1);
    assert_memory_equal(got.first, "c", 1);
    assert_int_equal(leaf_info_read(&r, &got, NULL), 0);
    for (size_t i = 1; i < one; i++) {
        r = rbuf_of(w.p, i);
        assert_int_equal(leaf_info_read(&r, &got, NULL), -ERR_DAMAGED);
        assert_int_equal(leaf_info_read(&r, &got, NULL), -ERR_DAMAGED);
    }
    b.first = "..";
    b.first_len = 2;
    wbuf_reset(&w);
    leaf_info_write(&w, &b);
    r = rbuf_of(w.p, w.len);
    assert_int_equal(leaf_info_read(&r, &got, NULL), -ERR_DAMAGED);
    wbuf_free(&w);
}

static void bodies_come_back(void **state)
{
    char *roots[] = { (char *)"/", (char *)"/srv/data" };
    struct body_index index[] = { { { { 5 } }, (char *)"srv", 3 },
                                  { { { 6 } }, (char *)"srv/x", 5 } };
    struct body_problem problems[] = { { (char *)"srv/gone", (char *)"vanished", 8 } };
    struct snapshot_body b = { roots, 2, index, 2, 12345, problems, 1 }, *got;
    struct wbuf w = WBUF_INIT;
    snapshot_body_write(&w, &b);
    assert_int_equal(snapshot_body_read(w.p, w.len, &got, NULL), 0);
    assert_true(got->n_roots == 2 && got->n_index == 2 && got->n_problems == 1 &&
                got->entries == 12345);
    assert_string_equal(got->roots[1], "/srv/data");
    assert_string_equal(got->index[1].first, "srv/x");
    assert_int_equal(got->index[1].first_len, 5);
    assert_int_equal(got->index[0].id.b[0], 5);
    assert_string_equal(got->problems[0].path, "srv/gone");
    assert_string_equal(got->problems[0].text, "vanished");
    snapshot_body_free(got);
    snapshot_body_free(NULL);
    for (size_t i = 0; i < w.len; i++)
        assert_int_equal(snapshot_body_read(w.p, i, &got, NULL), -ERR_DAMAGED);
    wb_u8(&w, 0);
    assert_int_equal(snapshot_body_read(w.p, w.len, &got, NULL), -ERR_DAMAGED);
    wbuf_free(&w);
}

#define BODY(bytes) snapshot_body_read(bytes, sizeof bytes - 1, &got, NULL)

static void forged_bodies(void **state)
{
    struct snapshot_body *got;
    assert_int_equal(BODY("\1\0\0\0\0"), 0);
    snapshot_body_free(got);
    assert_int_equal(BODY("\2\0\0\0\0"), -ERR_DAMAGED);
    assert_int_equal(BODY("\1\1\3a/b\0\0\0"), -ERR_DAMAGED);
    assert_int_equal(BODY("\1\1\2..\0\0\0"), -ERR_DAMAGED);
    assert_int_equal(BODY("\1\2\1a\2/a\0\0\0"), -ERR_DAMAGED); /* one place for two things */
    assert_int_equal(BODY("\1\2\4/a/b\1a\0\0\0"), -ERR_DAMAGED);
    assert_int_equal(BODY("\1\2\1a\1a\0\0\0"), -ERR_DAMAGED);
    assert_int_equal(BODY("\1\3\1/\1a\2/b\0\0\0"), 0);
    assert_true(!body_root_is_virtual(got->roots[0]) && body_root_is_virtual(got->roots[1]));
    assert_ptr_equal(body_virtual_root(got, "a/x", 3), got->roots[1]);
    assert_null(body_virtual_root(got, "ab", 2));
    assert_null(body_virtual_root(got, "b", 1));
    snapshot_body_free(got);
    assert_int_equal(BODY("\1\1\3/..\0\0\0"), -ERR_DAMAGED);
    assert_int_equal(BODY("\1\1\0\0\0\0"), -ERR_DAMAGED);
    assert_int_equal(BODY("\1\x80\x20\2/a\0\0\0"), -ERR_DAMAGED); /* roots that are not there */
    assert_int_equal(BODY("\1\0\1" HASH "\2..\0\0"), -ERR_DAMAGED);
    assert_int_equal(BODY("\1\0\0\0\xff\x7\1a"), -ERR_DAMAGED);
    assert_int_equal(BODY("\1\0\0\0\1\3a\0b\1t"), -ERR_DAMAGED); /* a NUL */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_in_walk_order),
        cmocka_unit_test(forms_of_paths),
        cmocka_unit_test(leaves_come_back),
        cmocka_unit_test(state_leaves_come_back),
        cmocka_unit_test(continuation_may_begin_a_leaf),
        cmocka_unit_test(a_part_has_many_extents),
        cmocka_unit_test(entries_that_cannot_be_are_refused),
        cmocka_unit_test(extents_that_cannot_be_are_refused),
        cmocka_unit_test(pages_that_cannot_be_are_refused),
        cmocka_unit_test(an_open_file_must_go_on),
        cmocka_unit_test(unchanged_stretches_make_the_same_leaves),
        cmocka_unit_test(a_leaf_ends_at_its_greatest_length),
        cmocka_unit_test(every_cut_and_addition_is_damage),
        cmocka_unit_test(entries_by_hand),
        cmocka_unit_test(forged_paths_and_flags),
        cmocka_unit_test(forged_extents),
        cmocka_unit_test(counts_beyond_the_leaf_cost_nothing),
        cmocka_unit_test(long_prefixes_are_cheap),
        cmocka_unit_test(leaf_infos_come_back),
        cmocka_unit_test(bodies_come_back),
        cmocka_unit_test(forged_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
