/*
 * agent_enrol.h - letting this orchestrator into another host, and out again (agents/enrol.h is the other side).
 *
 * An enrolment: the host's key is looked at and approved; a key pair for this agent alone is made; the operator's own access
 * installs it there, with the pins of all vaults; a conversation with the new key proves it; then agents/NAME.yaml is written, the
 * new key takes the old one's place, and the old one's line goes. Killed or failed before that, what was enrolled
 * before still works. Every enrolment takes the next rotation: a new deduplication key.
 */
#ifndef TWOFOLD_ORCHESTRATOR_AGENT_ENROL_H
#define TWOFOLD_ORCHESTRATOR_AGENT_ENROL_H

#include "orchestrator/app.h"

#define MAX_ENROL_PATHS 256

struct enrol_opts {
    const char *name;
    const char *host, *user, *login, *transport, *fingerprint,
        *from;     /* NULL: as before, else the default */
    unsigned port; /* 0: likewise */
    const char *backup[MAX_ENROL_PATHS], *restore[MAX_ENROL_PATHS];
    const char *sources[MAX_ENROL_PATHS], *commands[MAX_ENROL_PATHS];
    size_t n_backup, n_restore, n_sources, n_commands;
    bool sudo;
};
struct enrolled {
    struct agent_conf *conf;
    char fingerprint[64], host[256]; /* of the host key; what the host calls itself */
    char *answer;                    /* lines of the other side */
    bool again, old_lines_left; /* it was enrolled before; and its old line could not be removed */
};
int agent_enrol(struct app *app, const struct enrol_opts *o, struct enrolled *ret, struct err *e);
void enrolled_done(struct enrolled *x);

/* Tries to have the lines removed there, then takes the key away here and raises the rotation. *ret_left: why the
 * other side could not be reached (code 0: it was done). */
int agent_revoke(struct app *app, struct agent_conf *conf, struct err *ret_left, struct err *e);

/* The value of the n-th line "WORD VALUE" in the answer (from 0); borrowed, up to the end of its line. NULL: none. */
const char *answer_line(const char *answer, const char *word, size_t n, size_t *ret_len);

/* When a session last began, for `agent list`. */
struct agent_seen {
    int64_t at_ns; /* 0: never */
    char version[64];
};
void agent_seen_read(struct app *app, const char *name, struct agent_seen *ret);
void agent_seen_write(struct app *app, const char *name, const char *version);

#endif
