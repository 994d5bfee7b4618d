/*
 * records_tend.h - what `twofold replicate`, `scrub`, `repair` and `prune` do with the records of incidents (records.h), as with logs: no head
 * names them, so each copy is held against all others. What is replaced by newer ones is not missed.
 */
#ifndef TWOFOLD_ORCHESTRATOR_CRASH_RECORDS_TEND_H
#define TWOFOLD_ORCHESTRATOR_CRASH_RECORDS_TEND_H

#include "orchestrator/app.h"
#include "restore/vault.h"

struct records_tended {
    uint64_t objects, bytes;        /* scrub: read and checked; else: brought, mended, removed */
    uint64_t findings;              /* damaged or unreadable */
    uint64_t lacking;               /* copies that lack what others have */
    uint64_t lost;                  /* that no copy has whole */
    struct err problem[MAX_COPIES]; /* of replicate and prune */
};
/* Brings these copies what they lack. */
int records_replicate(struct app *app, struct vault *v, const bool *copies,
                      struct records_tended *ret, struct err *e);
/* Each is read and its signature checked; findings are printed, and noted as those of a scrub are. only: one copy, or -1. */
int records_scrub(struct app *app, struct vault *v, int only, struct records_tended *ret,
                  struct err *e);
/* The same; then what is damaged is put there again as it is elsewhere (the bytes that were there go to aside/<stamp>/), and what is lacking is
 * brought. */
int records_repair(struct app *app, struct vault *v, int only, const char *stamp,
                   struct records_tended *ret, struct err *e);
/* Deletes on each copy those that RECORDS_KEPT newer ones there replace. */
int records_prune(struct app *app, struct vault *v, bool dry_run, struct records_tended *ret,
                  struct err *e);

#endif
