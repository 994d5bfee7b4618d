/*
 * tend.h - what `twofold replicate`, `scrub` and `repair` do with the objects of logs, and say of it. No head names them, so each copy is
 * held against all others: what one has of use, all should have. Nothing here takes the vault's lock.
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_TEND_H
#define TWOFOLD_ORCHESTRATOR_LOGS_TEND_H

#include "orchestrator/app.h"
#include "restore/vault.h"

struct logs_brought {
    uint64_t objects, bytes, lost; /* lost: no copy that is here has them whole */
    struct err problem;            /* code ERR_NONE: the copy has all that is of use and whole */
};
/* Brings these copies what they lack. Objects that nothing can use any more (old.h) are not brought. */
int logs_replicate(struct app *app, struct vault *v, const bool *copies, struct logs_brought *ret,
                   struct err *e);

struct logs_checked {
    uint64_t objects, read, bytes_read; /* looked at; of them read and hashed */
    uint64_t findings;                  /* damaged or unreadable */
    uint64_t holes;                     /* pieces are missing in every copy */
    uint64_t lacking;                   /* copies that lack what others have */
};
/* Each object's table is opened, and `percent` of them are read and hashed, by turns; then the sequence is gone through. Findings are
 * printed and noted, as those of a scrub are. only: one copy, or -1. */
int logs_scrub(struct app *app, struct vault *v, int only, unsigned percent,
               struct logs_checked *ret, struct err *e);

struct logs_mended {
    uint64_t objects, bytes, failed;
};
/* The same; then what is damaged or lacking is put there again, as it is elsewhere; the bytes that were there go to aside/<stamp>/. */
int logs_repair(struct app *app, struct vault *v, int only, unsigned percent, const char *stamp,
                struct logs_mended *ret, struct err *e);

#endif
