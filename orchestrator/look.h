/*
 * look.h - what the commands that look inside a backup share: ls, find, diff, export, snapshots, status.
 *
 *     struct view v;
 *     view_open(app, vault, snap, from, &v, e);      body and chunk source of one snapshot
 *     reader_each(&v.src, v.body, ...);
 *     view_close(&v);
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOOK_H
#define TWOFOLD_ORCHESTRATOR_LOOK_H

#include "orchestrator/app.h"
#include "restore/reader.h"
#include "restore/source.h"

#define SHORT_ID_DIGITS 8

/* One line of a comparison: 'A' only in the second (or live), 'D' only in the first, 'M' content, 'm' metadata, 'T' kind.
 * `path` with or without its leading '/'; `what` as struct msg_diff of lib/wire/wire.h. */
void diff_print(struct app *app, char change, unsigned what, const char *path, size_t len);

struct view {
    struct snapshot *snap;
    struct snapshot_body *body;
    struct opener *opener;
    struct chunk_source src;
};
/* from: index of the only copy to read, or -1. The vault needs its recovery key. */
int view_open(struct vault *v, const struct snap_ref *ref, int from, struct view *ret,
              struct err *e);
void view_close(struct view *v); /* also after a failed view_open */

/* The content of one file of a backup (path absolute), owned, with a NUL behind it. -ERR_ABSENT; -ERR_LIMIT: more than max. */
int look_read_file(struct view *view, const char *path, size_t max, char **ret, size_t *ret_len,
                   struct err *e);

/* What of a backup could not be read: lost for certain, or perhaps in a copy that is away. */
struct gaps {
    struct app *app;
    uint64_t lost, away;
};
/* A gap_fn that names the gap as a problem and counts it. ctx is a struct gaps. */
void look_gap(void *ctx, const struct err *why);
/* The exit status of a walk that came to its end: 0; or, after an error that says so, 4 (lost) or 3 (away). */
int look_gaps_status(const struct gaps *gaps, const char *what);

/* reader_each on a view; an interruption is an error, a reader that is gone (| head) is not. Adds to *gaps. */
int look_walk(struct view *view, const struct select *sel, entry_fn *fn, void *ctx,
              struct gaps *gaps, struct err *e);
/* What an entry_fn or diff_fn returns: 1 where nobody reads on or a signal came, else 0. */
int look_go_on(void);
/* A path of an entry with its leading '/' (added where it has none), for a terminal; owned. The same as "path" of o. */
char *look_path(const char *path, size_t len);
void look_json_path(json_t *o, const char *path, size_t len);

/* "--from PLACE", or NULL: -1. A copy that cannot be read is an error. */
int look_from(const struct vault *v, const char *place, int *ret, struct err *e);
/* The first 8 digits of an id; returns out. */
const char *short_id(const struct id *id, char out[SHORT_ID_DIGITS + 1]);
/* "etc" of "etc/files". Returns out. */
const char *source_policy(const char *source, char out[MAX_FORMAT_NAME + 1]);
/* "2026-11-21 02:30", local time; returns out. */
const char *short_time(int64_t ns, char out[32]);

/* Holds a snapshot, so that no prune drops it, or lets it go (why NULL); in the catalog, too. The vault is open for writing. */
int hold_now(struct app *app, struct vault *v, const struct id *snapshot, const char *why,
             struct err *e);

/* Opens a vault by its configuration, without a word about its copies. */
int open_vault_quietly(struct app *app, const char *name, bool write, struct vault **ret,
                       struct err *e);
/* A URL as it is to be stored: a relative path becomes absolute. Owned. */
int absolute_url(const char *url, char **ret, struct err *e);

#endif
