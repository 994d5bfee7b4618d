/*
 * copy_trust.h - a copy on another host (sftp) is let in and trusted: whose host key is pinned, and with which key of ours.
 */
#ifndef TWOFOLD_ORCHESTRATOR_COPY_TRUST_H
#define TWOFOLD_ORCHESTRATOR_COPY_TRUST_H

#include "orchestrator/app.h"

bool copy_is_remote(const struct copy_conf *c); /* sftp://… */

/* Fills in what a new copy on another host lacks: a key pair of its own (CONFIG/keys/VAULT-PLACE.ssh, kept and used again where it is
 * there already) and the host key: known by the user's known_hosts, else shown and asked about. -ERR_REFUSED when nobody vouched for
 * it (next: --host-key). Folders: 0 at once. */
int copy_prepare(struct app *app, const char *vault, struct copy_conf *c, struct err *e);
/* After opening failed: where the host did not let us in, says which line is to be put where. Returns -e->code. */
int copy_not_let_in(const struct copy_conf *c, struct err *e);

/* Pins the host key that the host of a configured copy shows now, or `key` when it is given and the host shows it. Both
 * fingerprints are shown and a person is asked; nobody to ask and no key: -ERR_REFUSED. */
int copy_trust(struct app *app, const char *vault, const char *place, const char *key,
               struct err *e);

#endif
