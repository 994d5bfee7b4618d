/*
 * packer.h - sealed chunks into packs (docs/format.md, "pack"). Two packs are filled at a time and chance says which
 * one a chunk goes to, so that a copy's holder learns nothing from the order. A full pack gets its table, is noted as
 * pending in the index cache, and goes to the copies from the spool file that it was written to.
 */
#ifndef TWOFOLD_ORCHESTRATOR_PACKER_H
#define TWOFOLD_ORCHESTRATOR_PACKER_H

#include "lib/vault/chunk.h"
#include "orchestrator/fanout.h"
#include "restore/vault.h"

#define PACKS_OPEN 2
#define PACK_TARGET_BYTES (24u << 20)

struct packer;
/* All borrowed until packer_free. Spool files lie, nameless, in the vault's state folder. */
int packer_new(struct vault *v, struct fanout *f, struct packer **ret, struct err *e);
void packer_free(struct packer *p); /* what is not finished is thrown away */
int packer_add(struct packer *p, const struct chunk_ref *ref, const void *sealed, size_t n,
               struct err *e);
/* Closes the open packs. They are not yet durable: fanout_flush. */
int packer_finish(struct packer *p, struct err *e);
uint64_t packer_bytes(const struct packer *p); /* of all packs closed so far */

/* A nameless file in dir, for what must not outlive the process. */
int spool_file(const char *dir, struct err *e);

#endif
