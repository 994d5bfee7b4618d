/*
 * session.h - an agent at work: started, greeted, kept alive by PINGs, ended. On this host it is a child over a socket pair, on
 * another one a child that carries the same stream there over SSH (agent_link.h); the protocol is the same.
 */
#ifndef TWOFOLD_ORCHESTRATOR_SESSION_H
#define TWOFOLD_ORCHESTRATOR_SESSION_H

#include "lib/wire/wire.h"
#include "orchestrator/app.h"

struct session;
/* "local": starts twofold-agent (TWOFOLD_AGENT, else beside this program, else in the PATH). Else the agent of agents/NAME.yaml: where
 * it cannot be reached and trying again may help (err_info), that is done a few times, with growing pauses; the person
 * is told. -ERR_REFUSED without another try: another host key, a key that is not let in, an agent that was revoked. */
int session_start(struct app *app, const char *agent, struct session **ret, struct err *e);
struct wire *session_wire(struct session *s);
const char *session_host(const struct session *s); /* what the agent calls its host */
/* No more than so many bytes a second pass between us, over all sessions with the same name ("policy-etc"); 0: no bound. What agents/
 * NAME.yaml says is heeded already. */
int session_limit(struct app *app, struct session *s, const char *name, uint64_t bytes_s,
                  struct err *e);
bool session_remote(const struct session *s);
/* How often the agent's deduplication key was changed (config.h); 1 for the local one. -ERR_REFUSED: it was revoked. */
int session_rotation(struct app *app, const char *agent, unsigned *ret, struct err *e);
/* Tells the agent why the job ends. Where the link broke because the agent gave up, its own words are still to be read and
 * replace the error; where the transport knows why it broke, that does. Returns the code. */
int session_failed(struct session *s, int rc, struct err *e);
/* Waits for the agent's end. `job_failed`: an error is known already; then how the agent ended adds nothing. Else an agent that
 * did not end well is an error. Frees s. */
int session_end(struct session *s, bool job_failed, struct err *e);

/* Waits `ms`, more or less (a quarter, by chance: those who failed together should not come back together).
 * -ERR_INTERRUPTED. */
int pause_between_tries(unsigned ms, struct err *e);

/* Only a conversation: hello, and goodbye. *ret_host: what the agent calls its host. */
int session_try(struct app *app, const struct agent_conf *conf, char ret_host[256], struct err *e);

#endif
