/*
 * shift.h - what of a file in pages lies somewhere else than in the last run: data shift when something is inserted or taken out before
 * them. By how far is found by anchors (agents/anchors.h), 512 MiB to either side, and followed from there on, however far it gets. Then
 * the pages of the old file are looked for where they must lie now, and only one whose sum is right (SHA-256) is taken for the same.
 *
 *     shift_new(&opts, &s)
 *     shift_region(s, &view)            for each region that is read, in order; false: not worth a try
 *     shift_match(s, from, to, sink)    for stretches of it that are new where they lie, in order
 *     shift_seen(s, p, n)               every region's bytes, before the next one
 *
 * Where nothing is found it is looked for less and less often, in one region of 16 at last. Memory: some 3 MiB once something is
 * looked for, whatever the file's size.
 */
#ifndef TWOFOLD_AGENTS_SHIFT_H
#define TWOFOLD_AGENTS_SHIFT_H

#include "agents/anchors.h"
#include "agents/base_file.h"

struct shift_opts { /* all borrowed */
    const struct base_file *base;
    struct anchors *anchors;
    struct paged_hash *hash;
};
struct shift;
struct shift *shift_new(const struct shift_opts *o); /* NULL: no memory */
void shift_free(struct shift *s);                    /* NULL-safe */

/* A region of the file as it is now; all borrowed. */
struct shift_view {
    int fd; /* for what lies right behind it */
    uint64_t off;
    const uint8_t *p;
    size_t n;
};
bool shift_region(struct shift *s, const struct shift_view *v);

/* n bytes of the region from `at` on are those of `was` from `from` on. False: no more can be taken. */
struct shift_sink {
    bool (*same)(void *ctx, size_t at, size_t n, const struct base_region *was, size_t from);
    void *ctx;
};
/* [from, to) of the region. False: the sink could take no more. */
bool shift_match(struct shift *s, size_t from, size_t to, const struct shift_sink *sink);

/* n bytes were read behind those that were seen before; p NULL: something was not. */
void shift_seen(struct shift *s, const uint8_t *p, size_t n);

#endif
