/*
 * beat.h - the thread that tells the orchestrator once a second that the agent lives: with PROGRESS where
 * a job has said how far it is, else with PING.
 */
#ifndef TWOFOLD_AGENTS_BEAT_H
#define TWOFOLD_AGENTS_BEAT_H

#include "lib/wire/wire.h"

struct beat;
int beat_start(struct wire *w, struct beat **ret, struct err *e); /* w: borrowed until beat_stop */
void beat_stop(struct beat *b); /* waits for the thread; NULL-safe */
/* True when the next message is near and should have news; cheap. NULL: false. */
bool beat_wants(struct beat *b);
/* What the next messages say. Copied; of the path as much as is useful. */
void beat_progress(struct beat *b, const struct msg_progress *m);

#endif
