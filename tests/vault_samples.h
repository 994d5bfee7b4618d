/*
 * vault_samples.h - one vault with fixed keys and one object of every type with fixed content, for the tests
 * of the format. tests/format/golden holds the bytes of the same objects, made by another program.
 */
#ifndef TWOFOLD_TESTS_VAULT_SAMPLES_H
#define TWOFOLD_TESTS_VAULT_SAMPLES_H

#include "lib/vault/objects.h"
#include "lib/vault/recovery.h"

#define SAMPLE_PASSPHRASE "correct Horse 42 battery"
#define SAMPLE_OFFICERS "First officer 11\0Second officer 22" /* with a NUL between them */
#define SAMPLE_VAULT_NAME "main"
#define SAMPLE_CREATED_S 1700000000
#define GOLDEN_FOLDER "tests/format/golden"

/* 32 bytes: x, x + 1, x + 2, ... */
struct id sample_id(unsigned x);
struct vault_keys sample_keys(void); /* vault_keys_done() it */

extern const enum object_type sample_types[]; /* all that are enveloped */
extern const size_t n_sample_types;
const char *sample_name(enum object_type type); /* "head", ... */

/* A file of the golden folder, owned; stops the program when it is not there. */
uint8_t *golden_read(const char *name, const char *suffix, size_t *ret_n);
/* The plaintext of a sample, encoded by the library (keys: from the golden file, since it is random). */
void sample_plain(enum object_type type, struct wbuf *w);

struct head *sample_head(void);
struct source_list *sample_list(void);
struct reach *sample_reach(void);
struct snapshot *sample_snapshot(void);
void sample_table(struct pack_table *t);

/* Decodes and encodes again. 0, or what the reader said; *ret_same: whether the bytes are the same. */
int sample_round_trip(enum object_type type, const void *p, size_t n, bool *ret_same,
                      struct err *e);

#endif
