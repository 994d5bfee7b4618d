/*
 * state.h - an agent's memory of its last run of one source: the entries with extents, ctime and inode, so
 * that an unchanged file costs one statx. It is a help and never needed: a file that is torn, foreign or
 * missing only makes the next run read everything.
 *
 * The file: "TWFS" ‖ u8 version (1) ‖ id vault ‖ blob policy ‖ blob source
 *           ‖ each leaf (manifest.h, kind 'S'): u32 length, not 0 ‖ bytes ‖ u32 0
 *           ‖ id snapshot ‖ u64 started ‖ u64 ended (ns, the agent's clock) ‖ u64 files ‖ u64 bytes
 *           ‖ SHA-256 of all before
 * Little-endian throughout. It lies in the state folder as <first 32 hex digits of SHA-256 of vault ‖ blob
 * policy ‖ blob source>.state, is written as .new and renamed once the snapshot is committed.
 *
 * Beside it lie, as .sums, the sums of the pages of files that are kept in pages: "TWFP" ‖ 28 zeros ‖ 32 bytes each, where the
 * file's entry says. They are never believed by themselves: those of a region must make the region's sum, which is in the entry.
 * And as .sigs, by what data that shifted are looked for: "TWFG" ‖ 28 zeros ‖ struct anchor_sums for each region; those of a file begin
 * with number (place of its sums of pages in .sums - 32) / 512. Nothing rests on them but what a search costs.
 */
#ifndef TWOFOLD_AGENTS_STATE_H
#define TWOFOLD_AGENTS_STATE_H

#include "agents/anchors.h"
#include "lib/base/id.h"
#include "lib/vault/manifest.h"

#define STATE_NAME_BYTES 48

struct state_key { /* borrowed */
    const struct id *vault_id;
    const char *policy, *source;
};
/* The name of the file without ".state"; for the lock beside it, too. */
void state_name(const struct state_key *k, char ret[STATE_NAME_BYTES]);

struct state_summary {
    struct id snapshot;
    int64_t started_ns, ended_ns;
    uint64_t files, bytes;
};

/* --- reading ---------------------------------------------------------------------------------- */
struct state_reader;
/* 0 with *ret NULL: there is none. -ERR_DAMAGED: torn, or of another source. */
int state_open(int dir_fd, const struct state_key *k, struct state_reader **ret, struct err *e);
void state_close(struct state_reader *s); /* NULL-safe */
const struct state_summary *state_summary(const struct state_reader *s);
/* Moves to the first entry that is not before the path (the paths asked for must ascend) and returns it when
 * it has that very path, else NULL; borrowed until the next call. Damage is taken as the end. */
const struct entry *state_seek(struct state_reader *s, const char *path, size_t len);
/* Behind an entry with ENTRY_HAS_MORE: its next part, or NULL. */
const struct entry *state_more(struct state_reader *s);
/* n sums of pages from `at` (in the file's bytes) on. False: they are not there. */
bool state_page_sums(const struct state_reader *s, uint64_t at, struct id *ret, size_t n);
/* The anchors of `n` regions from the given one on of the file whose sums of pages begin at `at`. How many there are. */
size_t state_anchors(const struct state_reader *s, uint64_t at, uint64_t region,
                     struct anchor_sums *ret, size_t n);

/* Where a reader stands, and a second one that begins there. It has the first one's summary and must not outlive it. NULL: no memory,
 * or the state cannot be read any more. */
struct state_place {
    uint64_t leaf_at;
    size_t entry; /* of that leaf */
};
struct state_place state_place(const struct state_reader *s);
struct state_reader *state_again(const struct state_reader *s, struct state_place place,
                                 const struct entry **ret);

/* --- writing ---------------------------------------------------------------------------------- */
struct state_writer;
int state_create(int dir_fd, const struct state_key *k, struct state_writer **ret, struct err *e);
int state_add_leaf(struct state_writer *s, const struct wbuf *leaf, struct err *e);
/* Sums of pages. Where the next ones will lie, or 0: none can be kept (no space …), which only makes the next run store more. */
uint64_t state_page_sums_at(struct state_writer *s);
void state_add_page_sums(struct state_writer *s, const struct id *sums, size_t n);
void state_skip_page_sums(struct state_writer *s,
                          uint64_t n); /* room for n that nobody will ask for */
/* n of the last run, from `from` on. */
void state_copy_page_sums(struct state_writer *s, const struct state_reader *r, uint64_t from,
                          uint64_t n);
/* The anchors of a region of the file whose sums of pages begin at `at` in the new state; errors are nobody's. */
void state_put_anchors(struct state_writer *s, uint64_t at, uint64_t region,
                       const struct anchor_sums *sums);
/* Those of n regions of the last run: that file's sums begin at `from`, in the new state at `at`. */
void state_copy_anchors(struct state_writer *s, const struct state_reader *r, uint64_t from,
                        uint64_t at, uint64_t n);
/* What was added is made durable; may be done before it is known whether there will be a commit. */
int state_sync(struct state_writer *s, struct err *e);
/* Writes the end and puts it in the place of the old one. */
int state_commit(struct state_writer *s, const struct state_summary *sum, struct err *e);
void state_abort(struct state_writer *s); /* also after a commit: frees; NULL-safe */

#endif
