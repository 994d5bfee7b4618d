/*
 * backup.h - one run of one source of files: scan → compare → read → chunk → deduplicate → compress → seal →
 * send, up to the orchestrator's COMMITTED. docs/protocol.md has the frames, docs/format.md what they hold.
 *
 * Trouble with single entries is reported (NOTE) and the run goes on; what is returned ends it. The next run
 * is quick when this one ended well: see agents/state.h.
 */
#ifndef TWOFOLD_AGENTS_BACKUP_H
#define TWOFOLD_AGENTS_BACKUP_H

#include "agents/beat.h"
#include "lib/wire/wire.h"

/* A file whose times are not older than this before the start of the last run is read again. */
#define AGENT_RACY_NS INT64_C(2000000000)

struct rules;
struct agent_env {
    const char *state_dir;     /* made when absent */
    struct beat *beat;         /* may be NULL */
    int64_t racy_ns;           /* AGENT_RACY_NS */
    const struct rules *rules; /* agents/allow.h; NULL: of an orchestrator whose child this is */
    /* For tests, else NULL: called when a file is open and about to be read (path), and when a chunk has been
     * filled (NULL). */
    void (*hook)(void *ctx, const char *path);
    void *ctx;
};

/* Runs it over a wire that has said hello; nobody else may receive from it meanwhile. Errors are the
 * caller's to send: those of the wire and the peer (CANCEL is -ERR_INTERRUPTED), -ERR_ABSENT: none of the
 * roots is there, -ERR_BUSY: another agent works on this source, -ERR_CONFIG, -ERR_IO and -ERR_NOSPACE (the
 * state folder). */
int agent_backup(struct wire *w, const struct msg_backup *m, const struct agent_env *env,
                 struct err *e);

#endif
