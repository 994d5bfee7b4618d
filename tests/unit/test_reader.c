/* test_reader.c - walking, seeking, selecting and comparing snapshots, with and without lost chunks
 * (restore/reader.c, select.c, diff.c). */
#include "restore/reader.h"
#include "lib/crypto/crypto.h"
#include "tests/snapshot_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_BYTES 4096

/* What a walk saw, one word each. */
struct log {
    char text[LOG_BYTES];
    unsigned gaps;
    char gap_text[2 * ERR_TEXT_BYTES + 2];
    int stop_after; /* 0: never */
};

static void say(struct log *l, const char *word, size_t len)
{
    size_t at = strlen(l->text);
    snprintf(l->text + at, sizeof(l->text) - at, "%s%.*s", at ? " " : "", (int)len, word);
}

static int see(void *ctx, const struct entry *en)
{
    struct log *l = ctx;
    say(l, en->path, en->path_len);
    return l->stop_after && --l->stop_after == 0 ? 77 : 0;
}

static void see_gap(void *ctx, const struct err *why)
{
    struct log *l = ctx;
    l->gaps++;
    snprintf(l->gap_text, sizeof(l->gap_text), "%s: %s", why->what, why->why);
}

/* Three leaves in two index chunks. */
struct tree {
    struct kit *kit;
    struct chunk_source src;
    const struct snapshot_body *body;
    struct id leaf[3], index[2];
};

static void plant(struct tree *t)
{
    t->kit = kit_new();
    struct entry above = kit_entry(ENTRY_DIR, "a");
    above.flags = ENTRY_ABOVE;
    kit_add(t->kit, &above);
    kit_dir(t->kit, "a/b", 0755);
    kit_file(t->kit, "a/b/f.txt", "one", 3);
    kit_file(t->kit, "a/b/g", "two", 3);
    t->leaf[0] = kit_leaf(t->kit);
    kit_dir(t->kit, "a/b!", 0755); /* '!' sorts below '/' bytewise, but not as a path */
    kit_file(t->kit, "a/b!/f.txt", "three", 5);
    t->leaf[1] = kit_leaf(t->kit);
    t->index[0] = kit_index(t->kit);
    kit_dir(t->kit, "c", 0755);
    kit_file(t->kit, "c/x.txt", "four", 4);
    t->leaf[2] = kit_leaf(t->kit);
    t->index[1] = kit_index(t->kit);
    t->body = kit_finish(t->kit);
    t->src = kit_source(t->kit);
}

static int setup(void **state)
{
    struct tree *t = calloc(1, sizeof(*t));
    plant(t);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct tree *t = *state;
    kit_free(t->kit);
    free(t);
    return 0;
}

/* Walks to the end from `from` (NULL: the start); gaps appear as [from,to). */
static void walk(struct tree *t, const char *from, struct log *l)
{
    struct reader *r;
    struct entry en;
    struct err e = ERR_INIT;
    int rc;
    memset(l, 0, sizeof(*l));
    assert_int_equal(reader_open(&t->src, t->body, &r, &e), 0);
    if (from)
        assert_int_equal(reader_seek(r, from, strlen(from), &e), 0);
    while ((rc = reader_next(r, &en, &e)) != 0) {
        if (rc > 0) {
            see(l, &en);
            continue;
        }
        struct gap g;
        char word[256];
        reader_gap(r, &g);
        int n = snprintf(word, sizeof(word), "[%.*s,%.*s)", (int)g.from_len, g.from,
                         g.to ? (int)g.to_len : 1, g.to ? g.to : "$");
        say(l, word, (size_t)n);
        see_gap(l, &e);
        assert_true(l->gaps < 10);
    }
    reader_close(r);
}

#define ALL "a a/b a/b/f.txt a/b/g a/b! a/b!/f.txt c c/x.txt"

static void walks_everything(void **state)
{
    struct log l;
    walk(*state, NULL, &l);
    assert_string_equal(l.text, ALL);
    assert_int_equal(l.gaps, 0);
}

static void seeks(void **state)
{
    static const struct {
        const char *from, *want;
    } rows[] = {
        { "", ALL },
        { "a", ALL },
        { "a/b/g", "a/b/g a/b! a/b!/f.txt c c/x.txt" },
        { "a/b/h", "a/b! a/b!/f.txt c c/x.txt" },
        { "a/b!", "a/b! a/b!/f.txt c c/x.txt" },
        { "b", "c c/x.txt" },
        { "c/x.txt", "c/x.txt" },
        { "d", "" },
    };
    struct log l;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        walk(*state, rows[i].from, &l);
        assert_string_equal(l.text, rows[i].want);
    }
}

static void seeks_back_in_the_same_reader(void **state)
{
    struct tree *t = *state;
    struct reader *r;
    struct entry en;
    struct err e = ERR_INIT;
    assert_int_equal(reader_open(&t->src, t->body, &r, &e), 0);
    while (reader_next(r, &en, &e) > 0)
        ;
    assert_int_equal(reader_seek(r, "a/b/g", 5, &e), 0);
    assert_int_equal(reader_next(r, &en, &e), 1);
    unsigned gets = kit_gets(t->kit);
    assert_int_equal(reader_seek(r, "a/b", 3, &e), 0);
    assert_int_equal(reader_next(r, &en, &e), 1);
    assert_int_equal(en.path_len, 3);
    assert_int_equal(kit_gets(t->kit), gets); /* the leaf is kept */
    reader_close(r);
}

static void walks_over_a_lost_leaf(void **state)
{
    struct tree *t = *state;
    struct log l;
    kit_lose(t->kit, &t->leaf[1], ERR_DAMAGED);
    walk(t, NULL, &l);
    assert_string_equal(l.text, "a a/b a/b/f.txt a/b/g [a/b!,c) c c/x.txt");
    assert_non_null(strstr(l.gap_text, "/a/b!"));
    assert_non_null(strstr(l.gap_text, "\"/c\""));
    kit_lose(t->kit, &t->leaf[2], ERR_ABSENT);
    walk(t, NULL, &l);
    assert_string_equal(l.text, "a a/b a/b/f.txt a/b/g [a/b!,c) [c,$)");
    kit_lose(t->kit, &t->leaf[0], ERR_UNREACHABLE);
    walk(t, NULL, &l);
    assert_string_equal(l.text, "[a,a/b!) [a/b!,c) [c,$)");
}

static void walks_over_a_lost_index(void **state)
{
    struct tree *t = *state;
    struct log l;
    kit_lose(t->kit, &t->index[0], ERR_DAMAGED);
    walk(t, NULL, &l);
    assert_string_equal(l.text, "[a,c) c c/x.txt");
    walk(t, "a/b/g", &l);
    assert_string_equal(l.text, "[a,c) c c/x.txt");
    walk(t, "c", &l);
    assert_string_equal(l.text, "c c/x.txt");
}

static int other_failure(void *ctx, const struct id *id, struct wbuf *out, struct err *e)
{
    return err_set(e, ERR_NOMEM, "test");
}

static void other_failures_end_the_walk(void **state)
{
    struct tree *t = *state;
    struct chunk_source src = { .get = other_failure };
    struct log l = { .gaps = 0 };
    struct err e = ERR_INIT;
    uint64_t gaps = 5;
    assert_int_equal(reader_each(&src, t->body, NULL, see, see_gap, &l, &gaps, &e), -ERR_NOMEM);
    assert_int_equal(l.gaps, 0);
    assert_int_equal(gaps, 0);
}

/* An index that promises other paths than its leaf holds, or has them out of order, is damage. */
static void a_false_index_is_damage(void **state)
{
    struct tree *t = *state;
    struct wbuf w = WBUF_INIT;
    struct leaf_info li = { .id = t->leaf[0], .entries = 4, .first = "a", .first_len = 1 };
    struct leaf_info wrong = { .id = t->leaf[2], .entries = 2, .first = "b", .first_len = 1 };
    leaf_info_write(&w, &li);
    leaf_info_write(&w, &wrong);
    struct body_index bi[2] = { { .first = "a", .first_len = 1 },
                                { .first = "b", .first_len = 1 } };
    struct snapshot_body body = { .index = bi, .n_index = 1 };
    struct tree other = { .src = t->src, .body = &body };
    struct log l;
    bi[0].id = kit_chunk(t->kit, w.p, w.len);
    walk(&other, NULL, &l);
    assert_string_equal(l.text, "a a/b a/b/f.txt a/b/g [b,$)");

    wbuf_reset(&w);
    leaf_info_write(&w, &wrong);
    leaf_info_write(&w, &li);
    bi[0].id = kit_chunk(t->kit, w.p, w.len);
    walk(&other, NULL, &l);
    assert_string_equal(l.text, "[a,$)");

    wbuf_reset(&w);
    leaf_info_write(&w, &li); /* its entries reach into what the second index chunk promises */
    bi[0].id = bi[1].id = kit_chunk(t->kit, w.p, w.len);
    bi[1].first = "a/b/f";
    bi[1].first_len = 5;
    body.n_index = 2;
    walk(&other, NULL, &l);
    assert_string_equal(l.text, "a a/b [a/b,a/b/f) [a/b/f,$)");
    wbuf_free(&w);
}

/* A file of three parts over three leaves; the sought path is also where the later leaves begin. */
static void plant_parts(struct kit *k, struct id leaf[3])
{
    static const char part[] = "part";
    struct extent ex = { .len = 4, .chunk = kit_chunk(k, part, 4) };
    struct entry en = kit_entry(ENTRY_FILE, "m/big");
    kit_file(k, "m/a", "1", 1);
    en.flags = ENTRY_HAS_MORE;
    en.size = 12;
    en.extents = &ex;
    en.n_extents = 1;
    sha256_of("partpartpart", 12, &en.hash);
    kit_add(k, &en);
    leaf[0] = kit_leaf(k);
    en.type = ENTRY_MORE;
    kit_add(k, &en);
    leaf[1] = kit_leaf(k);
    en.flags = 0;
    kit_add(k, &en);
    kit_file(k, "m/c", "2", 1);
    leaf[2] = kit_leaf(k);
}

static void finds_a_file_before_its_further_parts(void **state)
{
    struct tree t = { .kit = kit_new() };
    struct log l;
    struct id leaf[3];
    plant_parts(t.kit, leaf);
    t.body = kit_finish(t.kit);
    t.src = kit_source(t.kit);
    walk(&t, "m/big", &l);
    assert_string_equal(l.text, "m/big m/big m/big m/c");
    kit_lose(t.kit, &leaf[0], ERR_DAMAGED);
    walk(&t, "m/big", &l);
    assert_string_equal(l.text, "[m/a,m/big) m/big m/big m/c");
    kit_free(t.kit);
}

static void select_into(struct tree *t, const char *p1, const char *p2, const char *name,
                        struct log *l, int want)
{
    char *paths[2] = { (char *)p1, (char *)p2 };
    struct select sel = { .paths = paths, .n_paths = p2 ? 2 : p1 ? 1 : 0, .name = name };
    struct err e = ERR_INIT;
    uint64_t gaps = 0;
    int stop_after = l->stop_after;
    memset(l, 0, sizeof(*l));
    l->stop_after = stop_after;
    assert_int_equal(reader_each(&t->src, t->body, &sel, see, see_gap, l, &gaps, &e), want);
    assert_int_equal(gaps, l->gaps);
}

static void selects(void **state)
{
    struct log l = { .gaps = 0 };
    select_into(*state, NULL, NULL, NULL, &l, 0);
    assert_string_equal(l.text, "a/b a/b/f.txt a/b/g a/b! a/b!/f.txt c c/x.txt");
    select_into(*state, "/", NULL, NULL, &l, 0);
    assert_string_equal(l.text, "a/b a/b/f.txt a/b/g a/b! a/b!/f.txt c c/x.txt");
    select_into(*state, "/a/b", NULL, NULL, &l, 0);
    assert_string_equal(l.text, "a/b a/b/f.txt a/b/g");
    select_into(*state, "//a//b!/", NULL, NULL, &l, 0);
    assert_string_equal(l.text, "a/b! a/b!/f.txt");
    select_into(*state, "/c/x.txt", "/a/b/g", NULL, &l, 0);
    assert_string_equal(l.text, "a/b/g c/x.txt");
    select_into(*state, "/a/b", "/a", NULL, &l, 0);
    assert_string_equal(l.text, "a/b a/b/f.txt a/b/g a/b! a/b!/f.txt");
    select_into(*state, NULL, NULL, "*.txt", &l, 0);
    assert_string_equal(l.text, "a/b/f.txt a/b!/f.txt c/x.txt");
    select_into(*state, "/a", NULL, "b*", &l, 0);
    assert_string_equal(l.text, "a/b a/b!");
    l.stop_after = 2;
    select_into(*state, NULL, NULL, NULL, &l, 77);
    assert_string_equal(l.text, "a/b a/b/f.txt");
}

static void names_a_path_that_is_not_there(void **state)
{
    struct tree *t = *state;
    struct log l = { .gaps = 0 };
    select_into(t, "/a/b/nothing", NULL, NULL, &l, -ERR_ABSENT);
    select_into(t, "/a/b", "/a/b/nothing", NULL, &l, -ERR_ABSENT);
    assert_string_equal(l.text, "");
    select_into(t, "/z", NULL, NULL, &l, -ERR_ABSENT);
    select_into(t, "/a/../c", NULL, NULL, &l, -ERR_USAGE);
    /* Behind a gap nobody knows. */
    kit_lose(t->kit, &t->leaf[0], ERR_DAMAGED);
    select_into(t, "/a/b/nothing", NULL, NULL, &l, 0);
    assert_string_equal(l.text, "");
    assert_int_equal(l.gaps, 1);
}

static void only_gaps_that_matter_count(void **state)
{
    struct tree *t = *state;
    struct log l = { .gaps = 0 };
    kit_lose(t->kit, &t->leaf[1], ERR_DAMAGED);
    select_into(t, "/a/b", NULL, NULL, &l, 0);
    assert_string_equal(l.text, "a/b a/b/f.txt a/b/g");
    assert_int_equal(l.gaps, 0);
    select_into(t, "/c", NULL, NULL, &l, 0);
    assert_int_equal(l.gaps, 0);
    select_into(t, "/a", NULL, NULL, &l, 0);
    assert_string_equal(l.text, "a/b a/b/f.txt a/b/g");
    assert_int_equal(l.gaps, 1);
}

/* --- differences ------------------------------------------------------------------------------------ */

static int see_change(void *ctx, char change, unsigned what, const struct entry *a,
                      const struct entry *b)
{
    const struct entry *en = a ? a : b;
    char word[256];
    int n = snprintf(word, sizeof(word), "%c%.0u:%.*s", change, what, (int)en->path_len, en->path);
    say(ctx, word, (size_t)n);
    assert_true((change == 'A') == !a && (change == 'D') == !b);
    return 0;
}

static void diff(struct tree *a, struct tree *b, struct log *l)
{
    struct err e = ERR_INIT;
    uint64_t gaps;
    memset(l, 0, sizeof(*l));
    assert_int_equal(reader_diff(&a->src, a->body, &b->src, b->body, see_change, l, &gaps, &e), 0);
    l->gaps = (unsigned)gaps;
}

static void finds_no_difference(void **state)
{
    struct log l;
    diff(*state, *state, &l);
    assert_string_equal(l.text, "");
}

static void plant_change(struct kit *k, int side)
{
    struct xattr x[2] = {
        { .name = "user.a", .name_len = 6, .value = (const uint8_t *)"1", .len = 1 },
        { .name = "user.b", .name_len = 6, .value = (const uint8_t *)"2", .len = 1 }
    };
    struct xattr swapped[2] = { x[1], x[0] };
    struct entry en;
    if (side == 0)
        kit_file(k, "deleted", "x", 1);
    else
        kit_file(k, "added", "x", 1);
    en = kit_entry(ENTRY_CHAR, "device");
    en.dev_minor = side ? 4 : 3;
    kit_add(k, &en);
    en = kit_entry(ENTRY_FILE, "flags");
    en.fflags = side ? 0x10 : 0;
    kit_add(k, &en);
    kit_file(k, "grown", "content", side ? 7 : 6);
    if (side == 0) { /* the first name of a file goes away: the second is the file then */
        en = kit_entry(ENTRY_FILE, "h1");
        en.flags = ENTRY_LINKED;
        kit_pieces(k, en, &(struct piece){ .len = 4, .data = "hard" }, 1);
        kit_link(k, "h2", "h1");
    } else {
        kit_file(k, "h2", "hard", 4);
    }
    en = kit_entry(ENTRY_FILE, "mode");
    en.mode = side ? 0600 : 0644;
    kit_add(k, &en);
    en = kit_entry(ENTRY_FILE, "mtime");
    en.mtime_ns += (uint32_t)side;
    kit_add(k, &en);
    en = kit_entry(ENTRY_FILE, "owner");
    en.gid += (uint32_t)side;
    kit_add(k, &en);
    en = kit_entry(ENTRY_FILE, "swapped-xattrs");
    en.xattrs = side ? x : swapped;
    en.n_xattrs = 2;
    kit_add(k, &en);
    kit_symlink(k, "symlink", side ? "there" : "here");
    if (side)
        kit_dir(k, "type", 0644);
    else
        kit_file(k, "type", "", 0);
    en = kit_entry(ENTRY_FILE, "xattrs");
    en.xattrs = x;
    en.n_xattrs = side ? 2 : 1;
    kit_add(k, &en);
}

static void names_every_kind_of_difference(void **state)
{
    struct tree a = { .kit = kit_new() }, b = { .kit = kit_new() };
    struct log l;
    plant_change(a.kit, 0);
    plant_change(b.kit, 1);
    a.body = kit_finish(a.kit);
    b.body = kit_finish(b.kit);
    a.src = kit_source(a.kit);
    b.src = kit_source(b.kit);
    diff(&a, &b, &l);
    assert_string_equal(l.text,
                        "A:added D:deleted M:device m16:flags M:grown D:h1 m1:mode m4:mtime "
                        "m2:owner m32:symlink T:type m8:xattrs");
    kit_free(a.kit);
    kit_free(b.kit);
}

static void a_gap_is_no_difference(void **state)
{
    struct tree *a = *state, b;
    struct log l;
    plant(&b);
    kit_lose(b.kit, &b.leaf[1], ERR_DAMAGED);
    diff(a, &b, &l);
    assert_string_equal(l.text, "");
    assert_int_equal(l.gaps, 1);
    diff(&b, a, &l);
    assert_string_equal(l.text, "");
    kit_lose(b.kit, &b.index[0], ERR_DAMAGED);
    diff(&b, a, &l);
    assert_string_equal(l.text, "");
    kit_lose(b.kit, &b.index[1], ERR_UNREACHABLE);
    diff(&b, a, &l);
    assert_string_equal(l.text, "");
    assert_int_equal(l.gaps, 2);
    kit_free(b.kit);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(walks_everything),
        T(seeks),
        T(seeks_back_in_the_same_reader),
        T(walks_over_a_lost_leaf),
        T(walks_over_a_lost_index),
        T(other_failures_end_the_walk),
        T(a_false_index_is_damage),
        T(finds_a_file_before_its_further_parts),
        T(selects),
        T(names_a_path_that_is_not_there),
        T(only_gaps_that_matter_count),
        T(finds_no_difference),
        T(names_every_kind_of_difference),
        T(a_gap_is_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
