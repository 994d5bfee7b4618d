/*
 * record_object.h - the record of an incident or a drill as an object in every copy (docs/format.md, "record"): its timeline and its papers,
 * sealed to the recovery key; around them, sealed with the operational key and signed, which incident it is of and how far it goes, so that
 * copies can be kept in order without the recovery key. No head names these objects: each stands for itself, and says which earlier ones of
 * its incident it replaces.
 *
 *     struct record_object o = { .incident = (char *)id, .number = 12, …, .timeline = p, .timeline_len = n };
 *     record_object_seal(&keys, &o, &object, e);                 the bytes of records/<their SHA-256>
 *     record_object_read(&keys, p, n, &o, e);                    with the operational key: what stands around it
 *     record_object_open(&keys, o, e);                           with the recovery key: timeline and papers
 *     record_object_free(o);
 */
#ifndef TWOFOLD_VAULT_RECORD_OBJECT_H
#define TWOFOLD_VAULT_RECORD_OBJECT_H

#include "lib/vault/envelope.h"

#define RECORD_FOLDER "records/"
#define MAX_RECORD_INCIDENT 96 /* bytes of its id */
#define MAX_RECORD_BEFORE 128
#define MAX_RECORD_FILES 64
#define MAX_RECORD_FILE_NAME 200
#define MAX_RECORD_PLAIN (48u << 20) /* timeline and papers, before compression */

struct record_before { /* an earlier record of the same timeline */
    uint64_t number;
    struct id last;
};
struct record_file {
    char name[MAX_RECORD_FILE_NAME + 1]; /* of one component: no /, and not . or .. */
    const uint8_t *p;                    /* borrowed */
    size_t len;
};
struct record_object {
    char incident[MAX_RECORD_INCIDENT + 1];
    bool drill, ended; /* ended: it was closed */
    uint64_t number;   /* lines of the timeline */
    struct id last;    /* SHA-256 of the last of them */
    int64_t written_s;
    struct record_before before[MAX_RECORD_BEFORE]; /* newest first */
    size_t n_before;
    /* after record_object_open, or to be sealed */
    const uint8_t *timeline; /* borrowed */
    size_t timeline_len;
    struct record_file files[MAX_RECORD_FILES];
    size_t n_files;
    /* its own */
    uint8_t *sealed, *plain;
    size_t sealed_len,
        head_len; /* head_len: of what stands before `sealed`, which it is bound to */
    struct id head_hash;
};
/* Appends the whole object. -ERR_LIMIT over MAX_RECORD_PLAIN. */
int record_object_seal(const struct vault_keys *k, const struct record_object *o, struct wbuf *out,
                       struct err *e);
/* -ERR_DAMAGED: not authentic, or malformed. */
int record_object_read(const struct vault_keys *k, const void *p, size_t n,
                       struct record_object **ret, struct err *e);
/* -ERR_KEY: the recovery key is not at hand, or it was not sealed to it. */
int record_object_open(const struct vault_keys *k, struct record_object *o, struct err *e);
void record_object_free(struct record_object *o); /* NULL-safe */
/* Does `newer` say that it goes on from `older`? */
bool record_object_replaces(const struct record_object *newer, const struct record_object *older);

/* --- the two plaintexts, for record_object.c and the fuzzer --------------------------------------- */
int record_head_parse(const void *p, size_t n, struct record_object *ret, struct err *e);
int record_content_parse(const void *p, size_t n, struct record_object *ret, struct err *e);
void record_head_write(const struct record_object *o, struct wbuf *out);
void record_content_write(const struct record_object *o, struct wbuf *out);

#endif
