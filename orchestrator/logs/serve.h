/* serve.h - the kept log of a database for an agent that restores: which pieces there are behind its backup, and each of them. */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_SERVE_H
#define TWOFOLD_ORCHESTRATOR_LOGS_SERVE_H

#include "agents/log_frames.h"
#include "orchestrator/app.h"
#include "orchestrator/logs/shelf.h"

struct logs_serve;
/* *ret: of the stream of that policy and kind, what is asked for. Keys that the pieces need are known to the vault from then on. reader:
 * copied; its vault must stay. */
int logs_serve_new(struct app *app, const struct shelf_reader *reader, const char *policy,
                   const struct msg_want_log *want, struct logs_serve **ret, struct err *e);
void logs_serve_free(struct logs_serve *s); /* NULL-safe */
/* Sends the list. */
int logs_serve_list(struct logs_serve *s, struct wire *w, struct err *e);
bool logs_serve_has(const struct logs_serve *s, const struct id *piece);
/* One that it has; *ret_sealed is borrowed until the next call. As vault_fetch says. */
int logs_serve_get(struct logs_serve *s, const struct id *piece, struct chunk_ref *ret,
                   const uint8_t **ret_sealed, size_t *ret_len, struct err *e);

/* Is there a log of this source, or was there one, as far as the copies and this machine know? */
bool logs_are_kept(struct app *app, struct vault *v, const char *policy, const char *kind);

#endif
