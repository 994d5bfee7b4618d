/* vault_samples.c - fixed keys and objects for the tests of the format; docs/format.md. */
#include "tests/vault_samples.h"

#include <stdio.h>
#include <stdlib.h>

const enum object_type sample_types[] = { OBJECT_KEYS,  OBJECT_INDEX, OBJECT_SNAPSHOT, OBJECT_LIST,
                                          OBJECT_REACH, OBJECT_HEAD,  OBJECT_PACK };
const size_t n_sample_types = sizeof sample_types / sizeof *sample_types;

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

struct id sample_id(unsigned x)
{
    struct id id;
    for (unsigned i = 0; i < ID_BYTES; i++)
        id.b[i] = (uint8_t)(x + i);
    return id;
}

struct vault_keys sample_keys(void)
{
    struct id op = sample_id(0x10), sign = sample_id(0x20), recovery = sample_id(0x30);
    struct vault_keys k = {
        .vault_id = sample_id(0x40),
        .op = must(secret_of(op.b, ID_BYTES)),
        .sign_sk = must(secret_of(sign.b, ID_BYTES)),
        .recovery_sk = must(secret_of(recovery.b, ID_BYTES)),
    };
    ed25519_public(sign.b, k.sign_pk);
    x25519_public(recovery.b, k.recovery_pk);
    root_key_public(&k.vault_id, k.recovery_sk, k.root_pk);
    return k;
}

const char *sample_name(enum object_type type)
{
    static const char *const names[] = {
        [OBJECT_VAULT] = "vault", [OBJECT_RECOVERY] = "recovery", [OBJECT_KEYS] = "keys",
        [OBJECT_INDEX] = "index", [OBJECT_SNAPSHOT] = "snapshot", [OBJECT_LIST] = "list",
        [OBJECT_REACH] = "reach", [OBJECT_HEAD] = "head",         [OBJECT_PACK] = "pack_table",
    };
    return names[type];
}

uint8_t *golden_read(const char *name, const char *suffix, size_t *ret_n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s.%s", GOLDEN_FOLDER, name, suffix);
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        abort();
    }
    uint8_t *p = must(malloc(65536));
    *ret_n = fread(p, 1, 65536, f);
    fclose(f);
    return must(realloc(p, *ret_n + 1));
}

/* --- the samples ------------------------------------------------------------------------------ */
struct head *sample_head(void)
{
    struct head *h = must(calloc(1, sizeof *h));
    *h = (struct head){
        .generation = 7,
        .writer = sample_id(1),
        .epoch = 3,
        .written_ns = 1700000000123456789,
        .vault_generation = 1,
        .parents = { { 6, sample_id(2) }, { 5, sample_id(3) } },
        .n_parents = 2,
        .ancestors = { { 6, sample_id(2) }, { 5, sample_id(3) }, { 4, sample_id(4) } },
        .n_ancestors = 3,
        .chains = { { sample_id(1), 3, 6 }, { sample_id(0xB0), 258, 5 } },
        .n_chains = 2,
        .lists = must(calloc(2, sizeof *h->lists)),
        .n_lists = 2,
        .index = must(calloc(1, sizeof *h->index)),
        .keys = must(calloc(2, sizeof *h->keys)),
        .bases = must(calloc(1, sizeof *h->bases)),
        .n_index = 1,
        .n_keys = 2,
        .n_bases = 1,
    };
    h->lists[0] = (struct head_list){ must(strdup("etc")), { sample_id(5), 300 } };
    h->lists[1] = (struct head_list){ must(strdup("home")), { sample_id(6), 70000 } };
    h->index[0] = (struct object_ref){ sample_id(7), 1000 };
    h->keys[0] = (struct object_ref){ sample_id(8), 200 };
    h->keys[1] = (struct object_ref){ sample_id(9), 201 };
    h->bases[0] = (struct object_ref){ sample_id(10), 64 };
    return h;
}

struct source_list *sample_list(void)
{
    struct source_list *l = must(calloc(1, sizeof *l));
    l->source = must(strdup("etc"));
    l->n = 2;
    l->snaps = must(calloc(2, sizeof *l->snaps));
    l->snaps[0] = (struct snap_ref){ .ref = { sample_id(0x50), 400 },
                                     .received_ns = 1700000000000000000,
                                     .state = SNAPSHOT_WHOLE,
                                     .reach = { sample_id(0x51), 500 } };
    l->snaps[1] = (struct snap_ref){ .ref = { sample_id(0x52), 401 },
                                     .received_ns = 1700086400000000000,
                                     .state = SNAPSHOT_PARTIAL,
                                     .flags = SNAPSHOT_QUARANTINE,
                                     .reach = { sample_id(0x53), 128 } };
    return l;
}

struct reach *sample_reach(void)
{
    struct reach *r = must(calloc(1, sizeof *r));
    r->base = sample_id(0x51);
    r->depth = 1;
    r->n_add = 3;
    r->add = must(calloc(3, sizeof *r->add));
    r->add[0] = sample_id(1);
    r->add[1] = sample_id(2);
    r->add[2] = sample_id(0x80);
    r->n_drop = 1;
    r->drop = must(calloc(1, sizeof *r->drop));
    r->drop[0] = sample_id(3);
    return r;
}

struct snapshot *sample_snapshot(void)
{
    struct snapshot *s = must(calloc(1, sizeof *s));
    *s = (struct snapshot){
        .state = SNAPSHOT_WHOLE,
        .policy = must(strdup("files")),
        .source = must(strdup("etc")),
        .host = must(strdup("db1")),
        .kind = must(strdup("files")),
        .started_ns = -1,
        .ended_ns = 1699999999000000000,
        .received_ns = 1700000000000000000,
        .files = 10,
        .dirs = 3,
        .others = 1,
        .bytes = 123456789,
        .bytes_read = 123456790,
        .bytes_stored = 4567,
        .problems = 2,
        .reach = sample_id(0x51),
        .key_id = sample_id(0x60),
        .counter = 5,
        .body = must(malloc(ID_BYTES)),
        .body_len = ID_BYTES,
    };
    memcpy(s->body, sample_id(0).b, ID_BYTES);
    return s;
}

static void add_chunk(struct pack_table *t, unsigned i, uint32_t len, unsigned key,
                      uint64_t counter)
{
    struct id key_id = sample_id(0x60 + key);
    struct pack_chunk c = { .id = sample_id(i), .len = len, .counter = counter };
    memcpy(c.hash, sample_id(0x90 + i).b, SHORT_HASH_BYTES);
    if (pack_table_add(t, &key_id, &c, NULL) < 0)
        abort();
}

void sample_table(struct pack_table *t)
{
    pack_table_init(t);
    add_chunk(t, 1, 1000, 0, 0);
    add_chunk(t, 2, 70000, 1, 300);
    add_chunk(t, 3, 21, 0, 1);
}

static void add_pack(struct index_writer *w, unsigned id, uint64_t len, const struct pack_table *t)
{
    struct index_pack p = { .id = sample_id(id), .len = len, .table = t };
    if (index_writer_add(w, &p, NULL) < 0)
        abort();
}

static void sample_index(struct wbuf *out)
{
    struct index_writer *w = must(index_writer_new());
    struct pack_table t;
    sample_table(&t);
    add_pack(w, 0xA0, 80000, &t);
    pack_table_done(&t);
    add_chunk(&t, 4, 300, 1, 301);
    add_pack(w, 0xA1, 500, &t);
    pack_table_done(&t);
    index_writer_finish(w, out);
    index_writer_free(w);
}

void sample_plain(enum object_type type, struct wbuf *w)
{
    struct head *h;
    struct source_list *l;
    struct reach *r;
    struct snapshot *s;
    struct pack_table t;
    uint8_t *p;
    size_t n;
    switch (type) {
    case OBJECT_HEAD:
        head_write(w, h = sample_head());
        head_free(h);
        break;
    case OBJECT_LIST:
        source_list_write(w, l = sample_list());
        source_list_free(l);
        break;
    case OBJECT_REACH:
        reach_write(w, r = sample_reach());
        reach_free(r);
        break;
    case OBJECT_SNAPSHOT:
        snapshot_write(w, s = sample_snapshot());
        snapshot_free(s);
        break;
    case OBJECT_PACK:
        sample_table(&t);
        pack_table_write(w, &t);
        pack_table_done(&t);
        break;
    case OBJECT_INDEX:
        sample_index(w);
        break;
    default:
        p = golden_read("keys", "plain", &n);
        wb_bytes(w, p, n);
        free(p);
    }
}

/* --- there and back --------------------------------------------------------------------------- */
static int copy_pack(void *ctx, const struct index_pack *p, struct err *e)
{
    return index_writer_add(ctx, p, e);
}

static int index_round_trip(const void *p, size_t n, struct wbuf *w, struct err *e)
{
    struct index_writer *iw = must(index_writer_new());
    int rc = index_read(p, n, copy_pack, iw, e);
    if (rc == 0)
        index_writer_finish(iw, w);
    index_writer_free(iw);
    return rc;
}

#define ROUND_TRIP(kind)                          \
    do {                                          \
        struct kind *x = NULL;                    \
        if ((rc = kind##_read(p, n, &x, e)) == 0) \
            kind##_write(&w, x);                  \
        kind##_free(x);                           \
    } while (0)

int sample_round_trip(enum object_type type, const void *p, size_t n, bool *ret_same, struct err *e)
{
    struct wbuf w = WBUF_INIT;
    struct pack_table t;
    int rc;
    switch (type) {
    case OBJECT_HEAD:
        ROUND_TRIP(head);
        break;
    case OBJECT_LIST:
        ROUND_TRIP(source_list);
        break;
    case OBJECT_REACH:
        ROUND_TRIP(reach);
        break;
    case OBJECT_SNAPSHOT:
        ROUND_TRIP(snapshot);
        break;
    case OBJECT_KEYS:
        ROUND_TRIP(key_set);
        break;
    case OBJECT_INDEX:
        rc = index_round_trip(p, n, &w, e);
        break;
    default:
        rc = pack_table_read(p, n, &t, e);
        if (rc == 0) {
            pack_table_write(&w, &t);
            pack_table_done(&t);
        }
    }
    *ret_same = rc == 0 && !w.failed && w.len == n && (n == 0 || memcmp(w.p, p, n) == 0);
    wbuf_free(&w);
    return rc;
}
