/*
 * fetch_keys.h - the data keys that the orchestrator hands out for a restore, and each worker's
 * boxes made from them. A keyring may be used by several threads, a `boxes` by one.
 */
#ifndef TWOFOLD_AGENTS_FETCH_KEYS_H
#define TWOFOLD_AGENTS_FETCH_KEYS_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/vault/chunk.h"

struct keyring;
struct keyring *keyring_new(void); /* NULL: no memory */
void keyring_free(struct keyring *k);
/* The payload of a FRAME_KEY. -ERR_PROTOCOL, -ERR_LIMIT (MAX_SESSION_KEYS), -ERR_NOMEM. */
int keyring_add(struct keyring *k, struct rbuf *payload, struct err *e);

struct boxes;
/* Both are borrowed. NULL: no memory. */
struct boxes *boxes_new(struct keyring *k, const struct id *vault_id);
void boxes_free(struct boxes *b);
/* The box for a key, good until the next call. NULL: e says why (-ERR_KEY: the key was never
 * sent). */
struct chunk_box *boxes_get(struct boxes *b, const struct id *key_id, struct err *e);

#endif
