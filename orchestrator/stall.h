/*
 * stall.h - does an agent get on? PINGs, and PROGRESS that says the same again, are signs of life only. One that lives but gets
 * nowhere for AGENT_STALL_S (a dead network mount, a bug, malice) ends its job: wire_recv fails with -ERR_TIMEOUT.
 *
 *     stall_begin(&s, wire);
 *     wire_recv(…); handle it; stall_frame(&s, type, progress or NULL);
 */
#ifndef TWOFOLD_ORCHESTRATOR_STALL_H
#define TWOFOLD_ORCHESTRATOR_STALL_H

#include "lib/wire/wire.h"

/* Seconds; TWOFOLD_AGENT_STALL_S in the environment says otherwise. */
#define AGENT_STALL_S 1800

struct stall {
    struct wire *wire;
    unsigned limit_ms;
    uint64_t sum; /* of what the last PROGRESS said */
};
void stall_begin(struct stall *s, struct wire *w);
/* After the frame was dealt with, so that our own waiting for a slow copy is not held against the agent. */
void stall_frame(struct stall *s, enum frame_type type, const struct msg_progress *p);

#endif
