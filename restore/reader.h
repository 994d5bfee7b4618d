/*
 * reader.h - walks the entries of a snapshot in path order, reads files, and builds on that what people
 * look at: ls, find, the difference of two snapshots, and an export to plain tar.
 *
 *     struct reader *r;
 *     reader_open(&source, body, &r, e);
 *     reader_seek(r, "etc/ssh", 7, e);                 optional: start at this path or the first after it
 *     while ((rc = reader_next(r, &entry, e)) > 0) ...
 *     reader_close(r);
 *
 * A leaf or index chunk that is lost does not end the walk: reader_next returns -ERR_DAMAGED once for the gap (the
 * error names the first path that the gap hides and the next known one), and may be called again to go
 * on behind it. ENTRY_MORE parts are returned as entries of their own, right behind their file.
 */
#ifndef TWOFOLD_RESTORE_READER_H
#define TWOFOLD_RESTORE_READER_H

#include "lib/vault/manifest.h"
#include "restore/source.h"

struct reader;
int reader_open(const struct chunk_source *src, const struct snapshot_body *body,
                struct reader **ret, struct err *e); /* both borrowed until reader_close */
void reader_close(struct reader *r);
int reader_seek(struct reader *r, const char *path, size_t len, struct err *e);
/* 1: an entry, borrowed until the next call; 0: the end; -ERR_DAMAGED or (a copy that may have it is
 * away) -ERR_UNREACHABLE: a gap, see above; other codes: a failure that ends the walk. */
int reader_next(struct reader *r, struct entry *ret, struct err *e);

/* What the last gap hides: paths from `from` on and before `to` (NULL: to the end). Borrowed until the
 * next call of reader_next. */
struct gap {
    const char *from, *to;
    size_t from_len, to_len;
};
void reader_gap(const struct reader *r, struct gap *ret);

/* Which entries: those at or below one of the paths (absolute, "/etc"), or all when n is 0; and, where
 * `name` is set, only those whose last component matches the glob (fnmatch). ABOVE entries are left out. */
struct select {
    char *const *paths;
    size_t n_paths;
    const char *name;
};
/* Calls fn for each selected entry (ENTRY_MORE left out); fn's non-zero return ends the walk and is
 * returned. Gaps are counted in *ret_gaps and told to gap_fn (may be NULL). A path that matches nothing is
 * -ERR_ABSENT. */
typedef int entry_fn(void *ctx, const struct entry *en);
typedef void gap_fn(void *ctx, const struct err *why);
int reader_each(const struct chunk_source *src, const struct snapshot_body *body,
                const struct select *sel, entry_fn *fn, gap_fn *gap, void *ctx, uint64_t *ret_gaps,
                struct err *e);

/* Differences between two snapshots, in path order. `change` and `what` as struct msg_diff of wire.h:
 * 'A' only in the second, 'D' only in the first, 'M' content, 'm' metadata, 'T' type. */
typedef int diff_fn(void *ctx, char change, unsigned what, const struct entry *a,
                    const struct entry *b);
int reader_diff(const struct chunk_source *sa, const struct snapshot_body *a,
                const struct chunk_source *sb, const struct snapshot_body *b, diff_fn *fn,
                void *ctx, uint64_t *ret_gaps, struct err *e);

/* Everything selected as a pax archive to fd, through libarchive: owners, times, ACLs, xattrs, flags, sparse
 * files, hard links, names of any bytes. A file of which a chunk is lost is left out whole (its first
 * chunks are read before its header is written only as far as memory allows: at most EXPORT_AHEAD_BYTES; a
 * longer file that breaks midway ends the export with -ERR_DAMAGED naming it, since a tar cannot take bytes
 * back), named to gap_fn and counted. */
#define EXPORT_AHEAD_BYTES (32u << 20)
int reader_export(const struct chunk_source *src, const struct snapshot_body *body,
                  const struct select *sel, int fd, gap_fn *gap, void *ctx, uint64_t *ret_lost,
                  struct err *e);

#endif
