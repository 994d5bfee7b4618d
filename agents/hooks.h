/*
 * hooks.h - the commands around a run (lib/wire/hooks.h), for agents/backup.c:
 *
 *     hooks_begin(&o, &h, e)     what an earlier run left to be thawed is thawed; `before` is run
 *       … everything is read …
 *     hooks_end(h, captured, e)  `after` is run
 *
 * `after` is run by a guardian (agents/guard.h) also when this process is killed; when the host goes down, a marker in the state folder, durable
 * before `before` starts, has the next run begin with it. It stays until `after` has ended well. Commands of one source never run at the same
 * time: a lock beside the marker, which the guardian holds, too.
 */
#ifndef TWOFOLD_AGENTS_HOOKS_H
#define TWOFOLD_AGENTS_HOOKS_H

#include "agents/allow.h"
#include "lib/wire/hooks.h"

struct hooks_opts {               /* all borrowed until hooks_end */
    const char *state_dir, *name; /* of the source's state: state_name */
    const char *policy, *source;
    const struct hooks *hooks;
    const struct rules
        *rules; /* an earlier run's `after` must still be allowed; NULL: everything is */
    /* Called several times a second while a command runs; negative: it is to be ended. */
    int (*tick)(void *ctx, struct err *e);
    int (*note)(void *ctx, bool problem, const char *text, struct err *e);
    void *ctx;
};

struct hooks_run;
/* *ret NULL: there are none. What fails of an earlier run's `after` is told (note) and nothing more. When `before` fails, `after` has been run. -ERR_BUSY:
 * commands of an earlier run still run. */
int hooks_begin(const struct hooks_opts *o, struct hooks_run **ret, struct err *e);
/* captured: everything was read. Negative: `after` has failed. Frees; NULL-safe. */
int hooks_end(struct hooks_run *h, bool captured, struct err *e);

/* For when everything that a service had started was ended at once, the guardians, too: what runs have left to be thawed in a state folder is
 * thawed, as the next run of each would do it. Of a run whose agent or guardian lives it is let alone. note: of each, by its policy; may be called
 * never. Negative: not even that could be found out, or a signal came. */
int hooks_thaw(const char *state_dir,
               int (*note)(void *ctx, bool problem, const char *text, struct err *e), void *ctx,
               struct err *e);

#endif
