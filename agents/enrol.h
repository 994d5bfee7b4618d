/*
 * enrol.h - how a host comes to let an orchestrator in, and how that ends. `twofold agent enrol` logs in to the host the way
 * its operator does and runs `twofold-agent enrol` there, as the agent's user or as root; settings come as lines on
 * standard input, what was done goes as lines to standard output (docs/protocol.md, "Enrolment"). Written are
 *
 *   ~/.ssh/authorized_keys  of the agent's user: one line,
 *                           restrict,from="…",command="/usr/bin/twofold-agent serve --orchestrator N --config F" KEY twofold:N
 *   the agent's own file    (allow.h): pins and allow-list for N
 *   /etc/sudoers.d/twofold-agent-N   with `sudo`: this one command, as root
 *
 * Later the new key itself brings words (SSH_ORIGINAL_COMMAND) to `twofold-agent serve`, of which there are these and
 * no others: "serve" (or none), "status", "settle" (with the key on standard input: older lines of the same orchestrator go),
 * "revoke" (all of its lines go, and its rules).
 */
#ifndef TWOFOLD_AGENTS_ENROL_H
#define TWOFOLD_AGENTS_ENROL_H

#include "lib/base/err.h"

#define MAX_ENROL_BYTES (256u << 10)

/* `program`: the path that the forced command names. */
int enrol_main(const char *program, struct err *e);

/* What the forced command says. All borrowed; strings may be NULL. */
struct serve_opts {
    const char *orchestrator, *config,
        *account; /* account: whose line, where root serves by sudo */
};
int serve_status(const struct serve_opts *o, struct err *e);
int serve_settle(const struct serve_opts *o, struct err *e);
int serve_revoke(const struct serve_opts *o, struct err *e);

/* CONFIG of this user: /etc/twofold/agent.yaml or ~/.config/twofold/agent.yaml. Owned; NULL: no memory or home. */
char *agent_config_path(void);

#endif
