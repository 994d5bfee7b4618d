/* test_golden_manifest.c - a leaf, an index chunk, a body and sealed chunks whose bytes were
 * worked out by another program from docs/format.md alone. Whoever changes a byte here changes
 * the format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/vault/chunk.h"
#include "lib/vault/manifest.h"
#include <stdlib.h>
#include <string.h>

static const char golden_leaf[] =
    "4c01020101010101010101010101010101010101010101010101010101010101010101020202020202020202"
    "02020202020202020202020202020202020202020202020a00036574630240ed03000080c49fd50c0103072f"
    "706173737764010ba4030000c701ff93ebdc03100106757365722e6b0200ff8008aaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa02a01f00006001050a012d041000000a6574632f706173"
    "7377640406736861646f770100a003002a0a0046bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    "bbbbbbbbbbbbbbbb019a02000673706172736501340000ac82808020cccccccccccccccccccccccccccccccc"
    "cccccccccccccccccccccccccccccccc02818080808001a00600000600090001920300037474790600900300"
    "0580808080804000044000017a0300ff03e807ffffffff0fffffffffff3f00042f657463010365726f011000"
    "000001046669666f05100000";

static const char golden_index[] =
    "0303030303030303030303030303030303030303030303030303030303030303ac0203657463040404040404"
    "040404040404040404040404040404040404040404040404040401057372762f78";

static const char golden_body[] =
    "0101042f65746301050505050505050505050505050505050505050505050505050505050505050503657463"
    "ad0201086574632f676f6e650876616e6973686564";

static const char golden_plain[] =
    "a7fd45f7a284b71f7cc9e7c66070e0884e6216cee5bdee2f39d077b668fe87bc5e";

static const char golden_zstd[] = "a9d3e762dcd509c1441c80c56e953d4b30cd8b7165a34e27b3e94b957754b7";

static const char golden_sealed_body[] =
    "f38113dc165bc1f90d31cbc0ab4214e3306e277b40e0ebd10aa722d9f99312b031dc41727b7ded0196a78f37"
    "168df662ac04db3dcf620af492ce4fcdfb8000191be25d69fe32703abb32087b9b9cea0315";

static uint8_t *bytes_of(const char *hex, size_t *ret_n)
{
    *ret_n = strlen(hex) / 2;
    uint8_t *p = malloc(*ret_n);
    assert_true(hex_decode(hex, p, *ret_n));
    return p;
}

static void is_golden(const struct wbuf *w, const char *hex)
{
    char *ours = malloc(2 * w->len + 1);
    hex_encode(w->p, w->len, ours);
    assert_string_equal(ours, hex);
    free(ours);
}

static struct id id_of(uint8_t byte)
{
    struct id id;
    memset(id.b, byte, sizeof id.b);
    return id;
}

/* --- the leaf --------------------------------------------------------------------------------- */
#define HOLE_BYTES (UINT64_C(1) << 33)
#define FAR (INT64_C(1) << 40)
static const struct xattr xattr = { "user.k", 6, (const uint8_t *)"\0\xff", 2 };

static struct entry base(const char *path, enum entry_type type, uint32_t mode, int64_t mtime_s)
{
    return (struct entry){
        .path = path, .path_len = strlen(path), .type = type, .mode = mode, .mtime_s = mtime_s
    };
}

/* The entries of the golden leaf; x is room for their extents. */
static size_t golden_entries(struct entry en[10], struct extent x[6])
{
    x[0] = (struct extent){ .len = 1000, .chunk = id_of(1) };
    x[1] = (struct extent){ .len = 24, .chunk = id_of(2), .off = 5 };
    x[2] = (struct extent){ .len = 70, .chunk = id_of(2), .off = 29 };
    x[3] = (struct extent){ .len = HOLE_BYTES, .hole = true };
    x[4] = (struct extent){ .len = 200, .chunk = id_of(1) };
    x[5] = (struct extent){ .len = 100, .chunk = id_of(1), .off = 200 };
    size_t n = 0;
    en[n] = base("etc", ENTRY_DIR, 0755, 1700000000);
    en[n].flags = ENTRY_ABOVE;
    en[n++].mtime_ns = 1;
    en[n] = base("etc/passwd", ENTRY_FILE, 0644, 1699999900);
    en[n].flags = ENTRY_LINKED;
    en[n].mtime_ns = 999999999;
    en[n].fflags = 0x10;
    en[n].xattrs = &xattr;
    en[n].n_xattrs = 1;
    en[n].size = 1024;
    en[n].hash = id_of(0xaa);
    en[n].extents = x;
    en[n++].n_extents = 2;
    en[n] = base("etc/passwd-", ENTRY_HARDLINK, 0644, 1699999900);
    en[n].target = "etc/passwd";
    en[n++].target_len = 10;
    en[n] = base("etc/shadow", ENTRY_FILE, 0640, 1699999905);
    en[n].gid = 42;
    en[n].size = 70;
    en[n].hash = id_of(0xbb);
    en[n].extents = x + 2;
    en[n++].n_extents = 1;
    en[n] = base("sparse", ENTRY_FILE, 0640, 1699999905);
    en[n].gid = 42;
    en[n].flags = ENTRY_SPARSE | ENTRY_HAS_MORE;
    en[n].size = HOLE_BYTES + 300;
    en[n].hash = id_of(0xcc);
    en[n].extents = x + 3;
    en[n++].n_extents = 2;
    en[n] = base("sparse", ENTRY_MORE, 0, 0);
    en[n].extents = x + 5;
    en[n++].n_extents = 1;
    en[n] = base("tty", ENTRY_CHAR, 0620, 1699999905 + FAR);
    en[n].gid = 5;
    en[n].dev_major = 4;
    en[n++].dev_minor = 64;
    en[n] = base("z", ENTRY_SYMLINK, 0777, 1699999905);
    en[n].uid = 1000;
    en[n].gid = UINT32_MAX;
    en[n].target = "/etc";
    en[n++].target_len = 4;
    en[n] = en[n - 1];
    en[n].path = "zero";
    en[n].path_len = 4;
    en[n++].type = ENTRY_FILE;
    en[n] = en[n - 1];
    en[n].path = "zfifo";
    en[n].path_len = 5;
    en[n++].type = ENTRY_FIFO;
    return n;
}

static void leaf_has_the_golden_bytes(void **state)
{
    struct entry en[10];
    struct extent x[6];
    size_t n = golden_entries(en, x);
    struct wbuf leaf = WBUF_INIT, first = WBUF_INIT;
    struct leaf_writer *w = leaf_writer_new(false);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(leaf_add(w, &en[i], NULL), 0);
    assert_int_equal(leaf_take(w, &leaf, &first, NULL), 0);
    is_golden(&leaf, golden_leaf);
    leaf_writer_free(w);
    wbuf_free(&leaf);
    wbuf_free(&first);
}

static void golden_leaf_is_read(void **state)
{
    struct entry en[10], got;
    struct extent x[6];
    size_t n = golden_entries(en, x), len;
    uint8_t *p = bytes_of(golden_leaf, &len);
    struct leaf_reader *r;
    assert_int_equal(leaf_reader_new(p, len, false, &r, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(leaf_next(r, &got, NULL), 1);
        assert_int_equal(got.path_len, en[i].path_len);
        assert_memory_equal(got.path, en[i].path, got.path_len);
        assert_true(got.type == en[i].type && got.mode == en[i].mode && got.uid == en[i].uid);
        assert_true(got.mtime_s == en[i].mtime_s && got.size == en[i].size && got.gid == en[i].gid);
        assert_int_equal(got.n_extents, en[i].n_extents);
        for (size_t k = 0; k < got.n_extents; k++) {
            const struct extent *a = &got.extents[k], *b = &en[i].extents[k];
            assert_true(a->len == b->len && a->hole == b->hole && a->off == b->off);
            assert_true(a->hole || id_eq(&a->chunk, &b->chunk));
        }
    }
    assert_int_equal(leaf_next(r, &got, NULL), 0);
    leaf_reader_free(r);
    free(p);
}

/* --- index chunk and body --------------------------------------------------------------------- */
static void index_chunk_has_the_golden_bytes(void **state)
{
    struct wbuf w = WBUF_INIT;
    leaf_info_write(&w, &(struct leaf_info){ id_of(3), 300, "etc", 3 });
    leaf_info_write(&w, &(struct leaf_info){ id_of(4), 1, "srv/x", 5 });
    is_golden(&w, golden_index);
    wbuf_free(&w);
}

static void write_body(struct wbuf *w)
{
    char *roots[] = { (char *)"/etc" };
    struct body_index index = { id_of(5), (char *)"etc", 3 };
    struct body_problem problem = { (char *)"etc/gone", (char *)"vanished", 8 };
    snapshot_body_write(w, &(struct snapshot_body){ roots, 1, &index, 1, 301, &problem, 1 });
}

static void body_has_the_golden_bytes(void **state)
{
    struct wbuf w = WBUF_INIT;
    write_body(&w);
    is_golden(&w, golden_body);
    wbuf_free(&w);
}

/* --- sealed ----------------------------------------------------------------------------------- */
static struct chunk_box *golden_box(void)
{
    struct id vault_id = id_of(0x11), key_id = id_of(0x33), key = id_of(0x44);
    return chunk_box_new(&vault_id, &key_id, key.b);
}

static void open_golden(const char *hex, uint64_t counter, struct wbuf *out)
{
    struct chunk_box *b = golden_box();
    struct chunk_ref ref = { .id = id_of(0x22), .key_id = id_of(0x33), .counter = counter };
    size_t n;
    uint8_t *p = bytes_of(hex, &n);
    assert_int_equal(chunk_open(b, &ref, p, n, out, NULL), 0);
    free(p);
    chunk_box_free(b);
}

static void chunks_have_the_golden_bytes(void **state)
{
    struct wbuf w = WBUF_INIT;
    struct chunk_box *b = golden_box();
    struct id id = id_of(0x22);
    assert_int_equal(chunk_seal(b, &id, 0x0102030405060708, 0, "some content", 12, &w, NULL), 0);
    is_golden(&w, golden_plain);
    open_golden(golden_plain, 0x0102030405060708, &w);
    assert_int_equal(w.len, 12);
    assert_memory_equal(w.p, "some content", 12);
    open_golden(golden_zstd, 1, &w);
    assert_int_equal(w.len, 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(w.p[i], 'z');
    wbuf_free(&w);
    chunk_box_free(b);
}

static void sealed_body_has_the_golden_bytes(void **state)
{
    struct wbuf body = WBUF_INIT, binding = WBUF_INIT, w = WBUF_INIT;
    struct chunk_box *b = golden_box();
    write_body(&body);
    wb_str(&binding, "etc");
    wb_str(&binding, "etc@db1");
    wb_str(&binding, "db1");
    assert_int_equal(body_seal(b, 9, &binding, body.p, body.len, &w, NULL), 0);
    is_golden(&w, golden_sealed_body);
    chunk_box_free(b);
    wbuf_free(&body);
    wbuf_free(&binding);
    wbuf_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaf_has_the_golden_bytes),
        cmocka_unit_test(golden_leaf_is_read),
        cmocka_unit_test(index_chunk_has_the_golden_bytes),
        cmocka_unit_test(body_has_the_golden_bytes),
        cmocka_unit_test(chunks_have_the_golden_bytes),
        cmocka_unit_test(sealed_body_has_the_golden_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
