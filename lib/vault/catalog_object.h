/*
 * catalog_object.h - the orchestrator's records as an object in every copy (docs/format.md, "catalog"): sections of rows,
 * compressed, sealed with the operational key and signed. What the rows say is orchestrator/catalog/rows.h's; here they are counted
 * bytes. No head names these objects: each stands for itself, and the newest of a chain counts.
 */
#ifndef TWOFOLD_VAULT_CATALOG_OBJECT_H
#define TWOFOLD_VAULT_CATALOG_OBJECT_H

#include "lib/vault/envelope.h"

#define CATALOG_FOLDER "catalog/"
#define MAX_CATALOG_PLAIN (64u << 20) /* of the sections, before compression */
#define MAX_CATALOG_SECTIONS 64
#define CATALOG_EXPORTS_KEPT 8 /* of one chain, on each copy */

/* "catalog/<16 digits>-<16 hex digits>-<sha256>": number, first half-word of the chain, hash. The number is above that of every
 * other export that its writer saw, whatever chain it is of. */
struct catalog_name {
    uint64_t number;
    uint8_t chain[8];
    struct id hash;
};
const char *catalog_name_write(const struct catalog_name *n, char out[MAX_OBJECT_NAME]);
bool catalog_name_parse(const char *name, struct catalog_name *ret);

struct catalog_section {
    uint8_t kind; /* rows of a kind that is not known are passed over */
    uint64_t rows;
    const uint8_t *p; /* borrowed */
    size_t len;
};
struct catalog_object {
    struct id chain, writer;
    uint64_t number, generation; /* of the vault's newest head then */
    int64_t written_s;
    uint64_t schema;
    uint64_t start_seq, last_seq; /* the trail before the rows that are in it, and its newest row */
    struct id start_hash, last_hash;
    struct catalog_section sections[MAX_CATALOG_SECTIONS];
    size_t n_sections;
    uint8_t *plain; /* owned, of one that was read */
};
/* Appends the plaintext. -ERR_LIMIT over MAX_CATALOG_PLAIN. */
int catalog_object_write(const struct catalog_object *o, struct wbuf *out, struct err *e);
int catalog_object_read(const void *p, size_t n, struct catalog_object **ret, struct err *e);
void catalog_object_free(struct catalog_object *o); /* NULL-safe */

#endif
