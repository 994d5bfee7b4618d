/*
 * agent_kit.h - an orchestrator in memory for tests of the agent: it starts the agent's code in a child
 * process with a socket pair between, keeps what is PUT, checks every frame, and opens the result.
 */
#ifndef TWOFOLD_TESTS_AGENT_KIT_H
#define TWOFOLD_TESTS_AGENT_KIT_H

#include "agents/backup.h"
#include "lib/vault/chunk.h"
#include "lib/vault/manifest.h"

struct ak_chunk {
    struct id id, key_id;
    uint64_t counter;
    uint8_t *sealed, *plain; /* plain: once it was opened for a file's content */
    size_t len, plain_len;
};

struct ak_kept;
struct ak_key {
    struct id id;
    uint8_t key[KEY_BYTES];
};

#define MAX_AK_RUNS 2048
struct ak_vault {
    struct id id;
    uint8_t recovery_sk[KEY_BYTES], recovery_pk[PUBLIC_KEY_BYTES], dedup_key[KEY_BYTES];
    struct ak_chunk *chunks;
    size_t n_chunks, cap_chunks;
    size_t *slots, n_slots;
    struct ak_kept *kept; /* the bytes of chunks */
    struct ak_key keys[MAX_AK_RUNS];
    size_t n_keys;
    struct id live[MAX_AK_RUNS]; /* newest first */
    size_t n_live;
    bool drop; /* do not keep what is sealed (for measuring) */
    /* what goes wrong, for tests; 0: nothing */
    size_t cancel_after, hang_up_after; /* so many PUTs */
};

struct ak_note {
    char path[512], text[512];
    size_t path_len;
    bool problem;
};

struct ak_run {
    /* what to do */
    const char *roots[16], *exclude[16];
    bool one_file_system, skip_cache_dirs, want_estimate, force_full;
    enum source_delta delta;
    unsigned compression;
    const char *policy, *source; /* NULL: "p", "s" */
    struct agent_env env;
    const char *fault; /* TWOFOLD_FAULT (lib/base/sys.h); without env's hooks then */
    /* what came of it */
    int rc; /* 0: committed; else the agent's error: */
    struct err err;
    struct id snapshot;
    struct msg_snapshot sum; /* without the body */
    struct snapshot_body *body;
    struct ak_note *notes;
    size_t n_notes;
    struct id *reach;
    size_t n_reach, puts, asked, progress;
    uint64_t put_bytes, total_files;
    int status; /* of the child */
};

/* First thing in a main whose tests set `fault`: such an agent is the test program started anew. Returns
 * when this is not one. */
void ak_child(int argc, char **argv);

void ak_vault_init(struct ak_vault *v);
void ak_vault_done(struct ak_vault *v);
/* Runs one backup. Asserts (cmocka) that the protocol is kept; r is filled. */
void ak_backup(struct ak_vault *v, struct ak_run *r);
void ak_run_done(struct ak_run *r);
const struct ak_note *ak_note_for(const struct ak_run *r, const char *path);

const struct ak_chunk *ak_find(const struct ak_vault *v, const struct id *id);
/* The plaintext, checked; owned by the caller. */
uint8_t *ak_open(const struct ak_vault *v, const struct id *id, size_t *ret_len);

/* All entries of the run's manifest in order; pointers live until ak_entries_free. Checks that every chunk
 * named is there and in the reach list. */
struct ak_entries {
    struct entry *e;
    size_t n;
    uint8_t **leaves; /* owned */
    size_t n_leaves;
    void **copies;
    size_t n_copies;
};
void ak_entries(const struct ak_vault *v, const struct ak_run *r, struct ak_entries *ret);
void ak_entries_free(struct ak_entries *k);
const struct entry *ak_entry(const struct ak_entries *k, const char *path);
/* The content of the file (with its continuations), put together from its extents and checked against its
 * hash; owned by the caller. */
uint8_t *ak_content(struct ak_vault *v, const struct ak_entries *k, const struct entry *en);

#endif
