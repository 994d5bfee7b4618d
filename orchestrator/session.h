/*
 * session.h - an agent at work: started, greeted, kept alive by PINGs, ended. On this host it is a child over a socket pair;
 * the protocol is the one that will run over SSH.
 */
#ifndef TWOFOLD_ORCHESTRATOR_SESSION_H
#define TWOFOLD_ORCHESTRATOR_SESSION_H

#include "lib/wire/wire.h"
#include "orchestrator/app.h"

struct session;
/* Starts twofold-agent (TWOFOLD_AGENT, else beside this program, else in the PATH) and shakes hands. */
int session_start(struct app *app, const char *agent, struct session **ret, struct err *e);
struct wire *session_wire(struct session *s);
const char *session_host(const struct session *s); /* what the agent calls its host */
/* Tells the agent why the job ends. Where the link broke because the agent gave up, its own words are still to be read and
 * replace the error. Returns the code. */
int session_failed(struct session *s, int rc, struct err *e);
/* Waits for the agent's end. `job_failed`: an error is known already; then how the agent ended adds nothing. Else an agent that
 * did not end well is an error. Frees s. */
int session_end(struct session *s, bool job_failed, struct err *e);

#endif
