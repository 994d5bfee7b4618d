/*
 * parse.h - what the readers of objects share (lib/vault only): counted arrays whose memory is asked for
 * only after the count was held against the bytes that are left, names, and one verdict at the end.
 *
 *     struct parse in = parse_of(p, n);
 *     things = parse_array(&in, 33, sizeof *things, &n_things);      at least 33 bytes each
 *     for (size_t i = 0; i < n_things && !in.r.bad; i++) ...
 *     rc = parse_end(&in, e);
 */
#ifndef TWOFOLD_VAULT_PARSE_H
#define TWOFOLD_VAULT_PARSE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/vault/objects.h"

struct parse {
    struct rbuf r;
    bool no_memory; /* then r is bad as well */
};

struct parse parse_of(const void *p, size_t n);
/* Reads a count and returns zeroed memory for so many items, which the caller frees. NULL and *ret_n 0
 * when the count is 0 or the input turns bad. min_bytes: the least that one item takes in the input. */
void *parse_array(struct parse *in, size_t min_bytes, size_t item_size, size_t *ret_n);
/* A name: 0 to MAX_FORMAT_NAME bytes without NUL, owned; NULL when bad. */
char *parse_name(struct parse *in);
/* A counted array of ids, owned. */
struct id *parse_ids(struct parse *in, size_t *ret_n);
/* 0 when all was well and every byte was used; else -ERR_NOMEM or -ERR_DAMAGED. */
int parse_end(const struct parse *in, struct err *e);

void ids_write(struct wbuf *w, const struct id *ids, size_t n);
bool ids_ascend(const struct id *ids, size_t n); /* strictly: without repeats */

/* One chunk's row, in a pack's table and in an index alike. */
#define MIN_PACK_CHUNK_BYTES (ID_BYTES + 3 + SHORT_HASH_BYTES)
void pack_chunk_write(struct wbuf *w, const struct pack_chunk *c, uint32_t key);
void pack_chunk_read(struct rbuf *r, size_t n_keys, struct pack_chunk *ret);

#endif
