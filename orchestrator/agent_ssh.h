/*
 * agent_ssh.h - what the enrolment has OpenSSH's programs do: look at a host key, log in as the operator.
 */
#ifndef TWOFOLD_ORCHESTRATOR_AGENT_SSH_H
#define TWOFOLD_ORCHESTRATOR_AGENT_SSH_H

#include "orchestrator/app.h"

struct ran {
    char *out, *words; /* what it said on stdout and (the last of it) on stderr; owned */
    int status;        /* exit status, or -1 when a signal ended it */
};
/* Runs argv[0] (a path), gives it `input` (may be NULL) and takes all it says. Its failure is no error here. */
int run_heard(const char *const argv[], const char *input, unsigned timeout_ms, struct ran *ret,
              struct err *e);
void ran_done(struct ran *r);

/* The host key that HOST shows now, as in authorized_keys ("ssh-ed25519 AAAA…"), Ed25519 before ECDSA before RSA. Nobody has
 * vouched for it. By ssh-keyscan: it also knows the ciphers of a hardened server. Owned. */
int host_key_scan(const char *host, unsigned port, char **ret, struct err *e);
/* Runs a shell command over the operator's own access (ssh_config, agent, keys, a password on the terminal), but only on the
 * host that shows the key in the file `hosts` under the name `alias`. */
struct login {
    const char *to; /* [USER@]HOST */
    unsigned port;
    const char *hosts, *alias;
};
int login_run(const struct login *l, const char *command, const char *input, struct ran *ret,
              struct err *e);

#endif
