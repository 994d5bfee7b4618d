/*
 * copy_access.h - getting at a copy on another host (sftp): whose host key is believed, and the key pair to log in with.
 * For `copy add`, `copy trust` and `init`; adopt takes what it is given.
 */
#ifndef TWOFOLD_ORCHESTRATOR_COPY_ACCESS_H
#define TWOFOLD_ORCHESTRATOR_COPY_ACCESS_H

#include "orchestrator/app.h"

/* The key that the copy's host shows now, once somebody has vouched for it: `fingerprint` ("SHA256:…", may be NULL), the user's
 * known_hosts, or whoever sits at the terminal. *ret is owned. -ERR_REFUSED with what to compare. */
int copy_host_key(struct app *app, const char *url, const char *fingerprint, char **ret,
                  struct err *e);
/* CONFIG/keys/VAULT-PLACE.ssh, made when it is not there; *ret_path and *ret_public (the line for authorized_keys) are owned.
 * *ret_new: it was made just now, so the host cannot know it yet. */
int copy_identity(struct app *app, const char *vault, const char *place, char **ret_path,
                  char **ret_public, bool *ret_new, struct err *e);
/* Both, where a new copy lacks them; 0 at once for a folder. */
int copy_prepare(struct app *app, const char *vault, struct copy_conf *c, struct err *e);
/* After such a copy could not be opened: where the host did not let us in, says which line is to be put where. Returns -e->code. */
int copy_not_let_in(const struct copy_conf *c, struct err *e);

#endif
