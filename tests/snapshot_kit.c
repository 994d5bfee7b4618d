/* snapshot_kit.c - see snapshot_kit.h. Chunks are named by SHA-256 here: a source never looks inside. */
#include "tests/snapshot_kit.h"
#include "lib/crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>

struct chunk {
    struct id id;
    struct wbuf bytes;
    enum err_code lost;
};

struct kit {
    struct chunk *chunks;
    size_t n_chunks;
    struct leaf_writer *w;
    struct wbuf index, index_first;
    struct snapshot_body body;
    unsigned gets;
};

static void need(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "snapshot_kit: %s\n", what);
        abort();
    }
}

struct kit *kit_new(void)
{
    struct kit *k = calloc(1, sizeof(*k));
    need(k, "memory");
    k->w = leaf_writer_new(false);
    need(k->w, "memory");
    return k;
}

void kit_free(struct kit *k)
{
    for (size_t i = 0; i < k->n_chunks; i++)
        wbuf_free(&k->chunks[i].bytes);
    for (size_t i = 0; i < k->body.n_index; i++)
        free(k->body.index[i].first);
    free(k->body.index);
    free(k->chunks);
    leaf_writer_free(k->w);
    wbuf_free(&k->index);
    wbuf_free(&k->index_first);
    free(k);
}

static struct chunk *find(struct kit *k, const struct id *id)
{
    for (size_t i = 0; i < k->n_chunks; i++)
        if (id_eq(&k->chunks[i].id, id))
            return &k->chunks[i];
    return NULL;
}

struct id kit_chunk(struct kit *k, const void *p, size_t n)
{
    struct id id;
    sha256_of(p, n, &id);
    if (!find(k, &id)) {
        k->chunks = realloc(k->chunks, (k->n_chunks + 1) * sizeof(*k->chunks));
        need(k->chunks, "memory");
        struct chunk *c = &k->chunks[k->n_chunks++];
        *c = (struct chunk){ .id = id };
        wb_bytes(&c->bytes, p, n);
        need(!c->bytes.failed, "memory");
    }
    return id;
}

void kit_add(struct kit *k, const struct entry *en)
{
    struct err e = ERR_INIT;
    need(leaf_add(k->w, en, &e) == 0, e.why);
}

struct entry kit_entry(enum entry_type type, const char *path)
{
    return (struct entry){ .path = path,
                           .path_len = strlen(path),
                           .type = type,
                           .mode = 0644,
                           .uid = 1,
                           .gid = 2,
                           .mtime_s = 1700000000,
                           .mtime_ns = 123456789 };
}

void kit_dir(struct kit *k, const char *path, unsigned mode)
{
    struct entry en = kit_entry(ENTRY_DIR, path);
    en.mode = mode;
    kit_add(k, &en);
}

void kit_pieces(struct kit *k, struct entry en, const struct piece *pieces, size_t n)
{
    struct extent *ex = calloc(n + 1, sizeof(*ex));
    struct sha256 *h = sha256_new();
    need(ex && h, "memory");
    bool sparse = false;
    for (size_t i = 0; i < n; i++)
        sparse |= !pieces[i].data;
    if (sparse)
        en.flags |= ENTRY_SPARSE;
    for (size_t i = 0; i < n; i++) {
        ex[i].len = pieces[i].len;
        ex[i].hole = !pieces[i].data;
        if (!ex[i].hole) {
            ex[i].chunk = kit_chunk(k, pieces[i].data, pieces[i].len);
            if (sparse && (i == 0 || !pieces[i - 1].data)) {
                uint64_t run = 0;
                for (size_t j = i; j < n && pieces[j].data; j++)
                    run += pieces[j].len;
                struct wbuf w = WBUF_INIT;
                wb_u64(&w, en.size);
                wb_u64(&w, run);
                sha256_update(h, w.p, w.len);
                wbuf_free(&w);
            }
            sha256_update(h, pieces[i].data, pieces[i].len);
        }
        en.size += pieces[i].len;
    }
    sha256_final(h, &en.hash);
    en.extents = ex;
    en.n_extents = n;
    kit_add(k, &en);
    sha256_free(h);
    free(ex);
}

void kit_file(struct kit *k, const char *path, const void *p, size_t n)
{
    struct piece piece = { .len = n, .data = p };
    kit_pieces(k, kit_entry(ENTRY_FILE, path), &piece, n > 0);
}

void kit_link(struct kit *k, const char *path, const char *target)
{
    struct entry en = kit_entry(ENTRY_HARDLINK, path);
    en.target = target;
    en.target_len = strlen(target);
    kit_add(k, &en);
}

void kit_symlink(struct kit *k, const char *path, const char *target)
{
    struct entry en = kit_entry(ENTRY_SYMLINK, path);
    en.mode = 0777;
    en.target = target;
    en.target_len = strlen(target);
    kit_add(k, &en);
}

struct id kit_leaf(struct kit *k)
{
    struct wbuf bytes = WBUF_INIT, first = WBUF_INIT;
    struct err e = ERR_INIT;
    struct leaf_info li = { .entries = leaf_count(k->w) };
    need(li.entries > 0, "an empty leaf");
    need(leaf_take(k->w, &bytes, &first, &e) == 0, e.why);
    li.id = kit_chunk(k, bytes.p, bytes.len);
    li.first = (const char *)first.p;
    li.first_len = first.len;
    if (k->index.len == 0)
        wb_bytes(&k->index_first, first.p, first.len);
    leaf_info_write(&k->index, &li);
    k->body.entries += li.entries;
    wbuf_free(&bytes);
    wbuf_free(&first);
    return li.id;
}

struct id kit_index(struct kit *k)
{
    if (leaf_count(k->w) > 0)
        kit_leaf(k);
    k->body.index = realloc(k->body.index, (k->body.n_index + 1) * sizeof(*k->body.index));
    need(k->body.index, "memory");
    struct body_index *bi = &k->body.index[k->body.n_index++];
    bi->id = kit_chunk(k, k->index.p, k->index.len);
    bi->first_len = k->index_first.len;
    bi->first = malloc(bi->first_len + 1);
    need(bi->first, "memory");
    memcpy(bi->first, k->index_first.p, bi->first_len);
    wbuf_reset(&k->index);
    wbuf_reset(&k->index_first);
    return bi->id;
}

const struct snapshot_body *kit_finish(struct kit *k)
{
    if (leaf_count(k->w) > 0 || k->index.len > 0)
        kit_index(k);
    return &k->body;
}

static int get(void *ctx, const struct id *id, struct wbuf *out, struct err *e)
{
    struct kit *k = ctx;
    const struct chunk *c = find(k, id);
    k->gets++;
    wbuf_reset(out);
    if (!c)
        return err_set(e, ERR_ABSENT, "no such chunk");
    if (c->lost)
        return err_set(e, c->lost, "the test lost this chunk");
    wb_bytes(out, c->bytes.p, c->bytes.len);
    return 0;
}

struct chunk_source kit_source(struct kit *k)
{
    return (struct chunk_source){ .get = get, .ctx = k };
}

void kit_lose(struct kit *k, const struct id *id, enum err_code code)
{
    struct chunk *c = find(k, id);
    need(c, "losing a chunk that is not there");
    c->lost = code;
}

unsigned kit_gets(const struct kit *k)
{
    return k->gets;
}

void kit_each(const struct kit *k,
              void (*fn)(void *ctx, const struct id *id, const void *p, size_t n), void *ctx)
{
    for (size_t i = 0; i < k->n_chunks; i++)
        fn(ctx, &k->chunks[i].id, k->chunks[i].bytes.p, k->chunks[i].bytes.len);
}
