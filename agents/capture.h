/*
 * capture.h - one entry of a source after the other becomes an entry of the manifest: its metadata, and for
 * a file either the extents of the last run (when it is unchanged) or its content. For agents/backup.c; one
 * thread.
 *
 * A regular file is unchanged when its size, mtime, ctime and inode are those of the state and the times are
 * not so close to the last run that a change could hide in them. It is not opened then. ctime covers
 * attributes, ACLs, owner and mode.
 */
#ifndef TWOFOLD_AGENTS_CAPTURE_H
#define TWOFOLD_AGENTS_CAPTURE_H

#include "agents/inventory.h"
#include "agents/linktable.h"
#include "agents/meta.h"
#include "agents/problems.h"
#include "agents/source.h"

struct capture_counts {
    uint64_t files, dirs, others; /* names; a hard link counts as what it leads to */
    uint64_t bytes;               /* content of files, each inode once */
};

struct capture_opts { /* all borrowed */
    struct inventory *inventory;
    struct feed *feed;
    struct problems *problems;
    struct linktable *links;
    struct state_reader *state; /* NULL: everything is read */
    struct state_writer *next;  /* for the sums of pages; may be NULL */
    int64_t racy_ns;            /* see AGENT_RACY_NS */
    enum source_delta delta;    /* of what is in no root of a source */
    /* See struct agent_env. */
    void (*hook)(void *ctx, const char *path);
    void *ctx;
};

struct capture;
int capture_new(const struct capture_opts *o, struct capture **ret, struct err *e);
void capture_free(struct capture *c); /* NULL-safe */
/* What comes from now on belongs to this root of a source (borrowed until the next call); NULL: to a tree of files. */
void capture_set_root(struct capture *c, const struct source_root *root);
/* A file that is on no disk, with what root->read gives. */
int capture_stream(struct capture *c, const struct source_root *root, struct err *e);
int capture_entry(struct capture *c, const struct scan_item *it, struct err *e);
const struct capture_counts *capture_counts(const struct capture *c);

#endif
