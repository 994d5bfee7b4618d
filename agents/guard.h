/*
 * guard.h - the guardian of a run's commands (lib/wire/hooks.h): a process of its own, `twofold-agent guard`, which outlives the agent
 * and so runs `after` whatever becomes of that. The agent (agents/hooks.c) starts it with a socket as its descriptors 0 and 1 and a lock, which
 * it holds as long as it lives, as descriptor 3:
 *
 *     agent     u32 length ‖ job
 *     guardian  marker made durable, `before` run;  struct guard_answer
 *     agent     u8 enum guard_result: what has become of the run
 *     guardian  `after` run, marker removed when that went well;  struct guard_answer
 *
 * The end of the stream stands for GUARD_FAILED, and ends a `before` that runs. The marker is a job, too: what there was to thaw when the host
 * went down. A command runs in a process group of its own, in /, with these variables and nothing else: PATH, HOME, LC_ALL, TWOFOLD_POLICY,
 * TWOFOLD_SOURCE, TWOFOLD_PHASE (before, after), TWOFOLD_RESULT (before: begun; after: captured, failed, or unknown: nobody knows what became of
 * that run). Standard input and output are /dev/null. What it leaves running may go on until the guardian ends.
 */
#ifndef TWOFOLD_AGENTS_GUARD_H
#define TWOFOLD_AGENTS_GUARD_H

#include "lib/wire/hooks.h"

#define GUARD_TEXT_BYTES (2 * ERR_TEXT_BYTES + 8)
#define GUARD_KILL_GRACE_MS 2000 /* between SIGTERM and SIGKILL */
#define MAX_GUARD_JOB_BYTES (96u << 10)

enum guard_result { GUARD_CAPTURED = 'c', GUARD_FAILED = 'f', GUARD_UNKNOWN = 'u' };

struct guard_job { /* all owned */
    char *marker;  /* absolute */
    char *policy, *source;
    struct hooks hooks;
    bool begun; /* `before` has run, or is not to */
};
void guard_job_done(struct guard_job *j);
/* "TWFH" ‖ u8 version (1) ‖ blob marker ‖ blob policy ‖ blob source ‖ hooks ‖ u8 begun */
void guard_job_write(struct wbuf *w, const struct guard_job *j);
/* -ERR_DAMAGED; *ret is untouched then. */
int guard_job_read(const void *p, size_t n, struct guard_job *ret, struct err *e);

struct guard_answer { /* between two processes of one program: as it lies in memory */
    bool ok;
    char text[GUARD_TEXT_BYTES]; /* for people, when it is not */
};

/* The guardian; what the process ends with. */
int guard_main(void);

#endif
