/*
 * source_spec.h - a source of a policy that is no tree of files: what kind it is, and its settings as pairs of words. It travels in
 * BACKUP and RESTORE (docs/protocol.md), is made from the policy's file (policies/sources.c) and is read by the driver of that kind
 * (agents/source.h). A key may come several times: then it is a list, in that order.
 */
#ifndef TWOFOLD_WIRE_SOURCE_SPEC_H
#define TWOFOLD_WIRE_SOURCE_SPEC_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include <stdbool.h>

#define MAX_SOURCES 16
#define MAX_SOURCE_SETTINGS 256
#define MAX_SOURCE_WORD 32 /* a kind, a key: a-z, 0-9, '-', a letter first */
#define MAX_SETTING_BYTES 16384

/* How a file's content is cut (docs/format.md: extents): by its content, in pages, or as its history says. */
enum source_delta { DELTA_AUTO, DELTA_CONTENT, DELTA_PAGES };

struct setting {
    char *key, *value;
};
struct source_spec {
    char *kind;
    struct setting *v;
    size_t n;
};

/* Appends a setting; both are copied. -ERR_LIMIT, -ERR_NOMEM. */
int source_spec_add(struct source_spec *s, const char *key, const char *value, struct err *e);
/* The first with that key, or NULL. */
const char *source_spec_get(const struct source_spec *s, const char *key);
/* Appends a source of that kind to an array; *ret is it. */
int source_specs_add(struct source_spec **all, size_t *n, const char *kind,
                     struct source_spec **ret, struct err *e);
void source_specs_free(struct source_spec *all, size_t n); /* NULL-safe; the array, too */

/* varint n (1 to MAX_SOURCES) ‖ each: blob kind ‖ varint settings ‖ each: blob key ‖ blob value */
void source_specs_write(struct wbuf *w, const struct source_spec *all, size_t n);
/* What is over a bound, or no word, makes r bad; *ret and *ret_n are the caller's even then. */
void source_specs_read(struct rbuf *r, struct source_spec **ret, size_t *ret_n);

#endif
