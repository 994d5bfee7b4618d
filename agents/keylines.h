/*
 * keylines.h - the lines of an orchestrator in ~/.ssh/authorized_keys, known by their last word "twofold:NAME". Everything else
 * in the file stays as it is. Called as the user whose file it is.
 */
#ifndef TWOFOLD_AGENTS_KEYLINES_H
#define TWOFOLD_AGENTS_KEYLINES_H

#include "lib/base/err.h"
#include <stddef.h>

#define MAX_KEY_LINE 4096

/* "ssh-ed25519 AAAA…", nothing in front or behind. */
bool public_key_ok(const char *key);
/* Removes the lines of this orchestrator but those whose key is one of `keep`, and any other line with `key`; then adds the
 * line "OPTIONS KEY twofold:NAME" (options NULL: none). *ret_removed may be NULL. Nothing is written when nothing changes. */
struct keylines {
    const char *home, *name;
    const char *const *keep;
    size_t n_keep;
    const char *options, *key;
};
int keylines_change(const struct keylines *k, size_t *ret_removed, struct err *e);
/* 1: a line of this orchestrator has this key; 0: none has. */
int keylines_has(const char *home, const char *name, const char *key, struct err *e);

#endif
