/*
 * reopen.h - opens the copies of a vault anew in a thread of its own, for one who keeps a log and must not wait for a host that does not
 * answer: what the healthy copies take goes on meanwhile.
 *
 *     reopen_start(app, vault, source, &r, e);
 *     if (reopen_done(r)) reopen_take(r, &v, e);      and vault_close(v) before reopen_free(r):
 *     reopen_free(r);                                 programs that the copies need may live as long as that thread only
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_REOPEN_H
#define TWOFOLD_ORCHESTRATOR_LOGS_REOPEN_H

#include "orchestrator/app.h"
#include "orchestrator/logs/shelf.h"

struct reopen;
/* app is borrowed for as long as the process lives. */
int reopen_start(struct app *app, const char *vault, const char *source, struct reopen **ret,
                 struct err *e);
bool reopen_done(struct reopen *r);
/* The vault, and the copies of it that say what they have of the log; the caller's. Once. */
int reopen_take(struct reopen *r, struct vault **ret, uint32_t *ret_listed, struct err *e);
/* NULL-safe. Waits for nothing: what is still being opened is closed by itself. */
void reopen_free(struct reopen *r);

#endif
