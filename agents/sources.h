/*
 * sources.h - the sources of one run (agents/source.h): all begun, each captured where its virtual root comes in the order of the
 * manifest, each ended, all freed. For agents/backup.c; one thread.
 */
#ifndef TWOFOLD_AGENTS_SOURCES_H
#define TWOFOLD_AGENTS_SOURCES_H

#include "agents/capture.h"
#include "agents/source.h"

struct sources_opts { /* all borrowed */
    const struct source_spec *specs;
    size_t n_specs;
    char *const *roots; /* the paths of the policy, absolute and clean */
    size_t n_roots;
    const char *state_dir;
    int state_fd;
    struct capture *capture;
    /* As in struct scan_opts. */
    int (*on_entry)(void *ctx, const struct scan_item *it, struct err *e);
    int (*on_note)(void *ctx, bool problem, const char *path, size_t len, const char *text,
                   struct err *e);
    int (*on_tick)(void *ctx, const char *path, size_t len, uint64_t bytes, struct err *e);
    void *ctx;
};

struct sources;
/* -ERR_CONFIG: a real path has the name of a virtual root. */
int sources_begin(const struct sources_opts *o, struct sources **ret, struct err *e);
/* Captures and ends all that come before the path, which is about to be captured; NULL: all that are left. */
int sources_before(struct sources *s, const char *path, size_t len, struct err *e);
void sources_free(struct sources *s); /* NULL-safe */

#endif
