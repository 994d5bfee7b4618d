/* test_objects.c - lib/vault/objects.h: there and back, every bound, every order that the format demands,
 * and every shortening of every object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/vault/chunk.h"
#include "lib/vault/parse.h"
#include "tests/vault_samples.h"
#include <stdlib.h>

static int read_only(enum object_type type, const struct wbuf *w)
{
    bool same;
    return sample_round_trip(type, w->p, w->len, &same, NULL);
}

/* Frees w; whatever it holds must not be readable. */
static void assert_refused(enum object_type type, struct wbuf *w)
{
    assert_false(w->failed);
    assert_int_equal(read_only(type, w), -ERR_DAMAGED);
    wbuf_free(w);
}

static void assert_accepted(enum object_type type, struct wbuf *w)
{
    assert_false(w->failed);
    assert_int_equal(read_only(type, w), 0);
    wbuf_free(w);
}

static void ids(struct wbuf *w, unsigned first, size_t n)
{
    wb_varint(w, n);
    for (size_t i = 0; i < n; i++) {
        struct id id = sample_id(first + (unsigned)i);
        wb_id(w, &id);
    }
}

static void an_id(struct wbuf *w, unsigned x)
{
    struct id id = sample_id(x);
    wb_id(w, &id);
}

/* --- all of them ------------------------------------------------------------------------------ */
static void every_sample_comes_back_the_same(void **state)
{
    for (size_t i = 0; i < n_sample_types; i++) {
        struct wbuf w = WBUF_INIT;
        bool same;
        sample_plain(sample_types[i], &w);
        assert_int_equal(sample_round_trip(sample_types[i], w.p, w.len, &same, NULL), 0);
        assert_true(same);
        wbuf_free(&w);
    }
}

static void no_shortening_and_no_rest_is_read(void **state)
{
    for (size_t i = 0; i < n_sample_types; i++) {
        struct wbuf w = WBUF_INIT;
        bool same;
        sample_plain(sample_types[i], &w);
        for (size_t n = 0; n < w.len; n++) {
            /* In memory of its own, so that the sanitizer sees a byte too many. */
            uint8_t *p = malloc(n + 1);
            memcpy(p, w.p, n);
            assert_int_equal(sample_round_trip(sample_types[i], p, n, &same, NULL), -ERR_DAMAGED);
            free(p);
        }
        wb_u8(&w, 0);
        assert_refused(sample_types[i], &w);
    }
}

/* A count of 2^62 items in a few bytes must be refused before memory is asked for: 2^62 items would
 * overflow, 2^24 would be 1 GiB and more. */
static void counts_are_held_against_the_input(void **state)
{
    static const uint64_t counts[] = { UINT64_C(1) << 62, UINT64_MAX, 1 << 24, 2 };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct wbuf keys = WBUF_INIT, table = WBUF_INIT, rows = WBUF_INIT, reach = WBUF_INIT;
        struct wbuf index = WBUF_INIT, list = WBUF_INIT;
        wb_varint(&keys, counts[i]);
        assert_refused(OBJECT_KEYS, &keys);
        wb_varint(&table, counts[i]);
        an_id(&table, 1);
        assert_refused(OBJECT_PACK, &table);
        ids(&rows, 1, 1);
        wb_varint(&rows, counts[i]);
        assert_refused(OBJECT_PACK, &rows);
        ids(&index, 1, 1);
        wb_varint(&index, 1);
        an_id(&index, 2);
        wb_varint(&index, 5000);
        wb_varint(&index, counts[i]);
        an_id(&index, 3);
        assert_refused(OBJECT_INDEX, &index);
        an_id(&reach, 0);
        wb_u8(&reach, 1);
        wb_varint(&reach, counts[i]);
        an_id(&reach, 0);
        wb_varint(&reach, 0);
        assert_refused(OBJECT_REACH, &reach);
        wb_str(&list, "s");
        wb_varint(&list, counts[i]);
        assert_refused(OBJECT_LIST, &list);
    }
}

static void memory_is_asked_for_only_when_the_input_can_fill_it(void **state)
{
    uint8_t bytes[1 + 65] = { 2 };
    size_t n = 9;
    struct parse in = parse_of(bytes, sizeof bytes);
    assert_null(parse_array(&in, 33, 1, &n));
    assert_int_equal(n, 0);
    assert_int_equal(parse_end(&in, NULL), -ERR_DAMAGED);
    in = parse_of(bytes, sizeof bytes);
    void *p = parse_array(&in, 32, 1, &n);
    assert_non_null(p);
    assert_int_equal(n, 2);
    free(p);
}

/* --- head ------------------------------------------------------------------------------------- */
static void head_fields(void **state)
{
    struct head *want = sample_head(), *h;
    struct wbuf w = WBUF_INIT;
    head_write(&w, want);
    assert_int_equal(head_read(w.p, w.len, &h, NULL), 0);
    assert_int_equal(h->generation, 7);
    assert_int_equal(h->epoch, 3);
    assert_int_equal(h->written_ns, want->written_ns);
    assert_int_equal(h->vault_generation, 1);
    assert_int_equal(h->n_parents, 2);
    assert_int_equal(h->parents[1].generation, 5);
    assert_true(id_eq(&h->parents[1].id, &want->parents[1].id));
    assert_int_equal(h->n_ancestors, 3);
    assert_int_equal(h->ancestors[2].generation, 4);
    assert_true(id_eq(&h->ancestors[2].id, &want->ancestors[2].id));
    assert_int_equal(h->n_chains, 2);
    assert_true(id_eq(&h->chains[1].writer, &want->chains[1].writer));
    assert_int_equal(h->chains[1].epoch, 258);
    assert_int_equal(h->chains[1].generation, 5);
    assert_int_equal(h->n_lists, 2);
    assert_string_equal(h->lists[1].source, "home");
    assert_int_equal(h->lists[1].ref.len, 70000);
    assert_int_equal(h->n_index, 1);
    assert_int_equal(h->n_keys, 2);
    assert_true(id_eq(&h->keys[1].id, &want->keys[1].id));
    assert_int_equal(h->n_bases, 1);
    assert_int_equal(h->bases[0].len, 64);
    head_free(h);
    head_free(want);
    head_free(NULL);
    wbuf_free(&w);
}

struct head_shape {
    uint64_t generation;
    uint64_t newest, step; /* ancestors: newest, newest - step, newest - 2 * step, ... */
    uint64_t parent_generation, n_parents, n_ancestors, n_chains, len, extensions;
    unsigned parent; /* of the ancestors 1, 2, 3, ... */
    size_t name;
    const char *second; /* source of another list */
};
static const struct head_shape good_head = { 7, 6, 0, 6, 1, 3, 2, 300, 0, 2, 5, NULL };

static void write_history(struct wbuf *w, const struct head_shape *s)
{
    wb_varint(w, s->n_parents);
    for (unsigned i = 0; i < s->n_parents; i++) {
        wb_u64(w, s->parent_generation);
        an_id(w, s->parent + i);
    }
    wb_varint(w, s->n_ancestors);
    for (unsigned i = 0; i < s->n_ancestors; i++) {
        wb_u64(w, s->newest - i * s->step);
        an_id(w, 1 + i);
    }
    wb_varint(w, s->n_chains);
    for (unsigned i = 0; i < s->n_chains; i++) {
        an_id(w, i);
        wb_u64(w, 1);
        wb_u64(w, UINT64_MAX);
    }
}

static void write_head(struct wbuf *w, const struct head_shape *s)
{
    char name[300];
    memset(name, 'x', sizeof name);
    name[s->name] = '\0';
    wb_u64(w, s->generation);
    an_id(w, 0);
    wb_u64(w, 1);
    wb_zigzag(w, -5);
    wb_u64(w, 1);
    write_history(w, s);
    wb_varint(w, s->second ? 2 : 1);
    wb_str(w, name);
    an_id(w, 9);
    wb_varint(w, s->len);
    if (s->second) {
        wb_str(w, s->second);
        an_id(w, 10);
        wb_varint(w, s->len);
    }
    wb_varint(w, 0);
    wb_varint(w, 0);
    wb_varint(w, 0);
    wb_varint(w, s->extensions);
}

static void heads_beyond_a_bound_are_refused(void **state)
{
    struct head_shape shapes[8];
    size_t n = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        shapes[i] = good_head;
    shapes[n++].generation = UINT64_C(10000000000000000); /* 17 digits */
    shapes[n].n_ancestors = 20;
    shapes[n++].n_parents = 9;
    shapes[n++].n_ancestors = 65;
    shapes[n++].n_chains = 1025;
    shapes[n++].len = MAX_OBJECT_BYTES + 1;
    shapes[n++].name = 256;
    for (size_t i = 0; i < n; i++) {
        struct wbuf w = WBUF_INIT;
        write_head(&w, &shapes[i]);
        assert_refused(OBJECT_HEAD, &w);
    }
    struct wbuf w = WBUF_INIT;
    shapes[n].extensions = 1;
    write_head(&w, &shapes[n]);
    assert_int_equal(read_only(OBJECT_HEAD, &w), -ERR_VERSION);
    wbuf_free(&w);
}

static void heads_at_a_bound_are_read(void **state)
{
    struct head_shape shapes[6];
    size_t n = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        shapes[i] = good_head;
    n++; /* as it is: ancestors of one generation */
    shapes[n].n_parents = 8;
    shapes[n].parent = 57;
    shapes[n++].n_ancestors = 64;
    shapes[n].generation = UINT64_C(9999999999999999);
    shapes[n].len = MAX_OBJECT_BYTES;
    shapes[n++].name = 255;
    shapes[n++].n_chains = 64;
    shapes[n].step = 1; /* 6, 5, 4 */
    shapes[n].parent = 1;
    shapes[n++].name = 0;
    shapes[n].generation = shapes[n].n_parents = shapes[n].n_ancestors = shapes[n].n_chains = 0;
    n++;
    for (size_t i = 0; i < n; i++) {
        struct wbuf w = WBUF_INIT;
        write_head(&w, &shapes[i]);
        assert_accepted(OBJECT_HEAD, &w);
    }
}

static void heads_whose_history_contradicts_itself_are_refused(void **state)
{
    struct head_shape shapes[9];
    size_t n = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        shapes[i] = good_head;
    shapes[n++].parent = 4;            /* not among the ancestors */
    shapes[n++].parent_generation = 5; /* another one than there */
    shapes[n].newest = shapes[n].parent_generation = 7;
    n++; /* not below its own */
    shapes[n].newest = shapes[n].parent_generation = UINT64_MAX;
    n++;
    for (size_t i = n; i < sizeof shapes / sizeof *shapes; i++)
        shapes[i].n_parents = 0; /* only the ancestors are wrong */
    shapes[n++].newest = 7;
    shapes[n++].newest = 8;
    shapes[n].generation = 0; /* nothing is below that */
    shapes[n++].newest = 0;
    shapes[n].newest = 4; /* 4, 5, 6 */
    shapes[n++].step = UINT64_MAX;
    shapes[n].newest = 0; /* 0, UINT64_MAX, ... */
    shapes[n++].step = 1;
    for (size_t i = 0; i < n; i++) {
        struct wbuf w = WBUF_INIT;
        write_head(&w, &shapes[i]);
        assert_refused(OBJECT_HEAD, &w);
    }
}

static void lists_of_a_head_are_sorted_by_source(void **state)
{
    static const char *const behind[] = { "xxxxxx", "xxxxy", "y", "\xff" };
    char too_long[MAX_FORMAT_NAME + 2] = "";
    memset(too_long, 'y', sizeof too_long - 1);
    const char *const not_behind[] = { "xxxxx", "xxxx", "xxxxw", "a", "", too_long };
    struct head_shape s = good_head; /* whose first is of "xxxxx" */
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        struct wbuf w = WBUF_INIT;
        s.second = behind[i];
        write_head(&w, &s);
        assert_accepted(OBJECT_HEAD, &w);
    }
    for (size_t i = 0; i < sizeof not_behind / sizeof *not_behind; i++) {
        struct wbuf w = WBUF_INIT;
        s.second = not_behind[i];
        write_head(&w, &s);
        assert_refused(OBJECT_HEAD, &w);
    }
}

/* --- lists ------------------------------------------------------------------------------------ */
static void lists_are_written_oldest_first(void **state)
{
    struct source_list *l = sample_list(), *back;
    struct snap_ref first = l->snaps[0];
    struct wbuf w = WBUF_INIT;
    l->snaps[0] = l->snaps[1];
    l->snaps[1] = first;
    source_list_write(&w, l);
    assert_int_equal(source_list_read(w.p, w.len, &back, NULL), 0);
    assert_int_equal(back->n, 2);
    assert_string_equal(back->source, "etc");
    assert_true(id_eq(&back->snaps[0].ref.id, &first.ref.id));
    assert_int_equal(back->snaps[0].received_ns, first.received_ns);
    assert_int_equal(back->snaps[0].reach.len, 500);
    assert_int_equal(back->snaps[1].state, SNAPSHOT_PARTIAL);
    assert_int_equal(back->snaps[1].flags, SNAPSHOT_QUARANTINE);
    source_list_free(back);
    source_list_free(l);
    wbuf_free(&w);
}

static void snap_row(struct wbuf *w, unsigned id, int64_t at, uint8_t state, uint8_t flags)
{
    an_id(w, id);
    wb_varint(w, 100);
    wb_zigzag(w, at);
    wb_u8(w, state);
    wb_u8(w, flags);
    an_id(w, 9);
    wb_varint(w, 100);
}

static void list_of_two(struct wbuf *w, unsigned id, int64_t at, uint8_t state, uint8_t flags)
{
    *w = WBUF_INIT;
    wb_str(w, "etc");
    wb_varint(w, 2);
    snap_row(w, 5, 1000, SNAPSHOT_WHOLE, 0);
    snap_row(w, id, at, state, flags);
}

static void lists_out_of_order_are_refused(void **state)
{
    struct wbuf w;
    list_of_two(&w, 6, 1001, SNAPSHOT_WHOLE, 0);
    assert_accepted(OBJECT_LIST, &w);
    list_of_two(&w, 6, 1000, SNAPSHOT_PARTIAL, 1);
    assert_accepted(OBJECT_LIST, &w);
    list_of_two(&w, 6, 999, SNAPSHOT_WHOLE, 0);
    assert_refused(OBJECT_LIST, &w);
    list_of_two(&w, 5, 1000, SNAPSHOT_WHOLE, 0);
    assert_refused(OBJECT_LIST, &w);
    list_of_two(&w, 4, 1000, SNAPSHOT_WHOLE, 0);
    assert_refused(OBJECT_LIST, &w);
    list_of_two(&w, 6, 1001, 0, 0);
    assert_refused(OBJECT_LIST, &w);
    list_of_two(&w, 6, 1001, 3, 0);
    assert_refused(OBJECT_LIST, &w);
    list_of_two(&w, 6, 1001, SNAPSHOT_WHOLE, SNAPSHOT_HELD | SNAPSHOT_QUARANTINE);
    assert_accepted(OBJECT_LIST, &w);
    list_of_two(&w, 6, 1001, SNAPSHOT_WHOLE, 4);
    assert_refused(OBJECT_LIST, &w);
}

static void reach_list(struct wbuf *w, unsigned base, uint8_t depth)
{
    static const struct id none;
    *w = WBUF_INIT;
    if (base)
        an_id(w, base);
    else
        wb_id(w, &none);
    wb_u8(w, depth);
}

static void reach_lists_are_sorted_and_of_a_depth(void **state)
{
    struct wbuf w;
    reach_list(&w, 0, 0);
    ids(&w, 1, 3);
    ids(&w, 0, 0);
    assert_accepted(OBJECT_REACH, &w);
    reach_list(&w, 5, 8);
    ids(&w, 1, 3);
    ids(&w, 7, 2);
    assert_accepted(OBJECT_REACH, &w);

    static const struct {
        unsigned base;
        uint8_t depth;
    } wrong[] = { { 0, 1 }, { 5, 0 }, { 5, 9 } };
    for (size_t i = 0; i < 3; i++) {
        reach_list(&w, wrong[i].base, wrong[i].depth);
        ids(&w, 0, 0);
        ids(&w, 0, 0);
        assert_refused(OBJECT_REACH, &w);
    }
    static const unsigned pairs[2][2] = { { 2, 1 }, { 1, 1 } };
    for (size_t i = 0; i < 4; i++) {
        reach_list(&w, 5, 1);
        if (i & 1)
            ids(&w, 0, 0);
        wb_varint(&w, 2);
        an_id(&w, pairs[i / 2][0]);
        an_id(&w, pairs[i / 2][1]);
        if (!(i & 1))
            ids(&w, 0, 0);
        assert_refused(OBJECT_REACH, &w);
    }
}

/* --- snapshot --------------------------------------------------------------------------------- */
static void snapshot_fields(void **state)
{
    struct snapshot *want = sample_snapshot(), *s;
    struct wbuf w = WBUF_INIT;
    snapshot_write(&w, want);
    assert_int_equal(snapshot_read(w.p, w.len, &s, NULL), 0);
    assert_int_equal(s->state, SNAPSHOT_WHOLE);
    assert_string_equal(s->policy, "files");
    assert_string_equal(s->source, "etc");
    assert_string_equal(s->host, "db1");
    assert_string_equal(s->kind, "files");
    assert_true(id_is_zero(&s->base));
    assert_int_equal(s->started_ns, -1);
    assert_int_equal(s->ended_ns, want->ended_ns);
    assert_int_equal(s->received_ns, want->received_ns);
    assert_int_equal(s->files, 10);
    assert_int_equal(s->dirs, 3);
    assert_int_equal(s->others, 1);
    assert_int_equal(s->bytes, 123456789);
    assert_int_equal(s->bytes_read, 123456790);
    assert_int_equal(s->bytes_stored, 4567);
    assert_int_equal(s->problems, 2);
    assert_true(id_eq(&s->reach, &want->reach));
    assert_true(id_eq(&s->key_id, &want->key_id));
    assert_int_equal(s->counter, 5);
    assert_int_equal(s->body_len, 32);
    assert_memory_equal(s->body, want->body, 32);
    snapshot_free(s);
    snapshot_free(want);
    wbuf_free(&w);
}

static void snapshot_state_flags_and_names(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct snapshot *s = sample_snapshot();
        struct wbuf w = WBUF_INIT;
        if (i == 0)
            s->state = 0;
        else if (i == 1)
            s->state = 3;
        else if (i == 2)
            s->flags = 2;
        snapshot_write(&w, s);
        if (i == 3)
            w.p[4] = '\0'; /* within "files" */
        assert_refused(OBJECT_SNAPSHOT, &w);
        snapshot_free(s);
    }
    struct snapshot *s = sample_snapshot();
    struct wbuf w = WBUF_INIT;
    s->body_len = 0;
    s->state = SNAPSHOT_PARTIAL;
    s->flags = SNAPSHOT_QUARANTINE;
    snapshot_write(&w, s);
    assert_accepted(OBJECT_SNAPSHOT, &w);
    snapshot_free(s);
}

static void snapshot_binding_is_three_blobs(void **state)
{
    struct wbuf w = WBUF_INIT;
    snapshot_binding(&w, "p", "so", "");
    assert_int_equal(w.len, 6);
    assert_memory_equal(w.p, "\1p\2so\0", 6);
    wbuf_free(&w);
}

/* --- data keys -------------------------------------------------------------------------------- */
static void data_keys_are_of_one_length(void **state)
{
    static const uint8_t blob[DATA_KEY_BLOB_BYTES + 1];
    for (size_t n = DATA_KEY_BLOB_BYTES - 1; n <= sizeof blob; n++) {
        struct wbuf w = WBUF_INIT;
        wb_varint(&w, 1);
        an_id(&w, 1);
        wb_blob(&w, blob, n);
        if (n < DATA_KEY_BLOB_BYTES)
            wb_u8(&w, 0); /* so that one key could be there by the count */
        if (n == DATA_KEY_BLOB_BYTES)
            assert_accepted(OBJECT_KEYS, &w);
        else
            assert_refused(OBJECT_KEYS, &w);
    }
}

/* --- packs ------------------------------------------------------------------------------------ */
static void pack_tables_collect_keys(void **state)
{
    struct pack_table t, back;
    struct wbuf w = WBUF_INIT;
    sample_table(&t);
    assert_int_equal(t.n_keys, 2);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.chunks[2].key, 0);
    assert_int_equal(pack_table_chunk_bytes(&t), 71021);
    pack_table_write(&w, &t);
    assert_int_equal(pack_table_read(w.p, w.len, &back, NULL), 0);
    assert_int_equal(back.n, 3);
    assert_int_equal(back.chunks[1].len, 70000);
    assert_int_equal(back.chunks[1].counter, 300);
    assert_memory_equal(back.chunks[1].hash, t.chunks[1].hash, SHORT_HASH_BYTES);
    pack_table_done(&back);

    struct id key = sample_id(1);
    struct pack_chunk c = { .len = 0 };
    assert_int_equal(pack_table_add(&t, &key, &c, NULL), -ERR_LIMIT);
    c.len = MAX_SEALED_BYTES + 1;
    assert_int_equal(pack_table_add(&t, &key, &c, NULL), -ERR_LIMIT);
    c.len = MAX_SEALED_BYTES;
    for (size_t i = 0; i < 1000; i++) {
        key = sample_id((unsigned)i % 7);
        assert_int_equal(pack_table_add(&t, &key, &c, NULL), 0);
    }
    assert_int_equal(t.n, 1003);
    assert_int_equal(t.n_keys, 9);
    pack_table_done(&t);
    wbuf_free(&w);
}

static void row(struct wbuf *w, uint64_t len, uint64_t key)
{
    static const uint8_t hash[SHORT_HASH_BYTES];
    an_id(w, 3);
    wb_varint(w, len);
    wb_varint(w, key);
    wb_varint(w, UINT64_MAX);
    wb_bytes(w, hash, sizeof hash);
}

static void pack_table_bounds(void **state)
{
    static const struct {
        uint64_t len, key;
        size_t n;
        bool ok;
    } rows[] = {
        { 1, 1, 1, true },
        { MAX_SEALED_BYTES, 0, 31, true },
        { MAX_SEALED_BYTES, 0, 32, false }, /* more than a pack holds */
        { MAX_SEALED_BYTES + 1, 0, 1, false },
        { 0, 0, 1, false },
        { 100, 2, 1, false },                 /* no such key */
        { 100, UINT64_C(1) << 32, 1, false }, /* not cut down to 0 */
        { (UINT64_C(1) << 32) + 5, 0, 1, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wbuf w = WBUF_INIT;
        ids(&w, 1, 2);
        wb_varint(&w, rows[i].n);
        for (size_t k = 0; k < rows[i].n; k++)
            row(&w, rows[i].len, rows[i].key);
        if (rows[i].ok)
            assert_accepted(OBJECT_PACK, &w);
        else
            assert_refused(OBJECT_PACK, &w);
    }
}

static void trailers(void **state)
{
    struct wbuf w = WBUF_INIT;
    uint32_t len = 0;
    pack_trailer_write(&w, 0x01020304 & (MAX_OBJECT_BYTES - 1));
    assert_int_equal(w.len, PACK_TRAILER_BYTES);
    assert_memory_equal(w.p, "\4\3\2\1TWFP", 8);
    assert_true(pack_trailer_read(w.p, &len));
    assert_int_equal(len, 0x01020304);
    w.p[3] = 4; /* 64 MiB and more */
    assert_false(pack_trailer_read(w.p, &len));
    w.p[3] = 0;
    w.p[7] = 'Q';
    assert_false(pack_trailer_read(w.p, &len));
    assert_int_equal(len, 0x01020304);
    wbuf_free(&w);
}

/* --- indexes ---------------------------------------------------------------------------------- */
struct seen {
    size_t packs, chunks, stop_at;
    const struct pack_chunk *memory;
    struct id keys[3]; /* of the chunks in the first pack */
};

static int see(void *ctx, const struct index_pack *p, struct err *e)
{
    struct seen *s = ctx;
    for (size_t i = 0; s->packs == 0 && i < 3; i++)
        s->keys[i] = p->table->keys[p->table->chunks[i].key];
    s->packs++;
    s->chunks += p->table->n;
    s->memory = p->table->chunks;
    return s->packs == s->stop_at ? 42 : 0;
}

static void indexes_share_keys(void **state)
{
    struct wbuf w = WBUF_INIT;
    struct seen s = { 0 };
    sample_plain(OBJECT_INDEX, &w);
    assert_int_equal(w.p[0], 2); /* keys */
    assert_int_equal(index_read(w.p, w.len, see, &s, NULL), 0);
    assert_int_equal(s.packs, 2);
    assert_int_equal(s.chunks, 4);
    assert_memory_equal(&s.keys[0], sample_id(0x60).b, ID_BYTES);
    assert_memory_equal(&s.keys[1], sample_id(0x61).b, ID_BYTES);
    assert_memory_equal(&s.keys[2], sample_id(0x60).b, ID_BYTES);
    s = (struct seen){ .stop_at = 1 };
    assert_int_equal(index_read(w.p, w.len, see, &s, NULL), 42);
    assert_int_equal(s.packs, 1);
    wbuf_free(&w);
}

/* More keys and packs than the writer starts with room for; the second use starts anew. */
static void index_of_many(void **state)
{
    enum { PACKS = 500, CHUNKS = 3, KEYS = 300 };
    struct index_writer *iw = index_writer_new();
    struct wbuf first = WBUF_INIT, second = WBUF_INIT;
    for (int turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < PACKS; i++) {
            struct pack_table t;
            struct index_pack p = { .id = sample_id(i), .len = 1000, .table = &t };
            pack_table_init(&t);
            for (unsigned k = 0; k < CHUNKS; k++) {
                struct pack_chunk c = { .id = sample_id(k), .len = 100 };
                struct id key = sample_id(i % KEYS);
                key.b[9] = (uint8_t)(i % KEYS >> 8); /* some share a hash */
                assert_int_equal(pack_table_add(&t, &key, &c, NULL), 0);
            }
            assert_int_equal(index_writer_add(iw, &p, NULL), 0);
            pack_table_done(&t);
        }
        assert_int_equal(index_writer_chunks(iw), PACKS * CHUNKS);
        index_writer_finish(iw, turn ? &second : &first);
        assert_int_equal(index_writer_chunks(iw), 0);
    }
    struct seen s = { 0 };
    assert_int_equal(index_read(first.p, first.len, see, &s, NULL), 0);
    assert_int_equal(s.packs, PACKS);
    assert_int_equal(s.chunks, PACKS * CHUNKS);
    struct rbuf r = rbuf_of(first.p, first.len);
    assert_int_equal(rb_varint(&r), KEYS);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.p, second.p, first.len);
    wbuf_free(&first);
    wbuf_free(&second);
    index_writer_free(iw);
    index_writer_free(NULL);
}

static void index_packs_hold_their_chunks(void **state)
{
    static const struct {
        uint64_t len;
        bool ok;
    } packs[] = { { 200, true },
                  { 199, false },
                  { MAX_PACK_BYTES, true },
                  { (uint64_t)MAX_PACK_BYTES + 1, false } };
    for (size_t i = 0; i < 4; i++) {
        struct wbuf w = WBUF_INIT;
        ids(&w, 1, 1);
        wb_varint(&w, 1);
        an_id(&w, 9);
        wb_varint(&w, packs[i].len);
        wb_varint(&w, 2);
        row(&w, 100, 0);
        row(&w, 100, 0);
        if (packs[i].ok)
            assert_accepted(OBJECT_INDEX, &w);
        else
            assert_refused(OBJECT_INDEX, &w);
    }
    struct pack_table t;
    sample_table(&t);
    struct index_pack p = { .len = 71020, .table = &t };
    struct index_writer *iw = index_writer_new();
    assert_int_equal(index_writer_add(iw, &p, NULL), -ERR_LIMIT);
    index_writer_free(iw);
    pack_table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_comes_back_the_same),
        cmocka_unit_test(no_shortening_and_no_rest_is_read),
        cmocka_unit_test(counts_are_held_against_the_input),
        cmocka_unit_test(memory_is_asked_for_only_when_the_input_can_fill_it),
        cmocka_unit_test(head_fields),
        cmocka_unit_test(heads_beyond_a_bound_are_refused),
        cmocka_unit_test(heads_at_a_bound_are_read),
        cmocka_unit_test(heads_whose_history_contradicts_itself_are_refused),
        cmocka_unit_test(lists_of_a_head_are_sorted_by_source),
        cmocka_unit_test(lists_are_written_oldest_first),
        cmocka_unit_test(lists_out_of_order_are_refused),
        cmocka_unit_test(reach_lists_are_sorted_and_of_a_depth),
        cmocka_unit_test(snapshot_fields),
        cmocka_unit_test(snapshot_state_flags_and_names),
        cmocka_unit_test(snapshot_binding_is_three_blobs),
        cmocka_unit_test(data_keys_are_of_one_length),
        cmocka_unit_test(pack_tables_collect_keys),
        cmocka_unit_test(pack_table_bounds),
        cmocka_unit_test(trailers),
        cmocka_unit_test(indexes_share_keys),
        cmocka_unit_test(index_of_many),
        cmocka_unit_test(index_packs_hold_their_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
