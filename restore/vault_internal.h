/* vault_internal.h - what vault.c, vault_state.c and fetch.c share; nobody else includes it. */
#ifndef TWOFOLD_RESTORE_VAULT_INTERNAL_H
#define TWOFOLD_RESTORE_VAULT_INTERNAL_H

#include "restore/vault.h"

/* What a copy shows, for certain or not: its heads join the tips. Fills state, problem, generation and head. */
void look_at_copy(struct vault *v, struct copy *c);
int none_readable(struct vault *v, struct err *e);
/* One that was away, and whose store is open now: is it ours, and does it have the tip? Its state says so then. */
int vault_join_copy(struct vault *v, struct copy *c, struct err *e);
/* What this orchestrator has seen; before the copies are looked at, or others might have moved on in between. Then: copies that
 * show less were rolled back. */
int load_seen(struct vault *v, struct err *e);
void check_rollback(struct vault *v);
/* Adds the heads of one copy to the tips; fills the copy's generation and head. */
int read_heads(struct vault *v, struct copy *c, struct err *e);
/* From the tips: state, lists, data keys. What is loaded already, and unchanged, is kept. */
int load_state(struct vault *v, struct err *e);
void drop_tips(struct vault *v);
int vault_lock_only(struct vault *v, struct err *e);
int vault_refresh(struct vault *v, struct err *e); /* with the lock: what others have committed */
int add_data_key(struct vault *v, const struct data_key *k, const struct id *object, struct err *e);
int add_own_keys(struct vault *v, struct err *e);
/* The plaintext of an index of all packs that the copies hold, from the packs themselves. */
int index_rebuild(struct vault *v, struct wbuf *out, struct err *e);
/* The snapshots of a source, from the snapshot objects on the copies. */
int list_rebuild(struct vault *v, const char *source, struct source_list **ret, struct err *e);
void judge_copies(struct vault *v);

#endif
