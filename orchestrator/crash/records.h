/*
 * records.h - the records of incidents and drills in the copies (docs/format.md, "record"): put there while the procedure runs, so that the
 * evidence, and the state to go on from, survive this machine; and read back. No head names them. Nothing here takes the vault's lock.
 *
 *     records_later(app, inc);                     after each step: at once, never an error; a process of its own does it
 *     records_put(app, v, inc, &r, e);             what it does, for a vault that is open for writing (vault_open with .logs, too)
 *
 *     records_look(v, -1, &rs, e);                 what the copies have; with the recovery key also what is in it
 *     records_adopt(app, v, "ID", &n, e);          puts incidents on this machine, so that `crash resume` goes on
 *
 * A record names the earlier ones of its timeline; those go away, RECORDS_KEPT stay. Of two that went on apart neither replaces the other, and
 * both stay. Superseding is only ever done by what the records themselves say.
 */
#ifndef TWOFOLD_ORCHESTRATOR_CRASH_RECORDS_H
#define TWOFOLD_ORCHESTRATOR_CRASH_RECORDS_H

#include "orchestrator/app.h"
#include "restore/incident/record.h"
#include "restore/vault.h"

#define RECORDS_KEPT 3
#define RECORD_EVERY_S 10
/* Of a copy; one that lists more is left out. */
#ifdef TWOFOLD_FAULTS /* so that a test can make so many */
#define MAX_RECORDS 2000
#else
#define MAX_RECORDS 100000
#endif

struct record_put {
    uint64_t number, bytes;
    size_t n_done; /* copies that have it, of those below */
    bool done[MAX_COPIES];
    struct err problem[MAX_COPIES];
    size_t removed;
};
/* Lets a process put it into the copies of its vault, which must be configured here; at most one process for an incident, which goes on as long
 * as lines are added, one record in RECORD_EVERY_S. */
void records_later(struct app *app, const struct incident *inc);
/* `twofold crash record INCIDENT`, that process. */
int records_run(struct app *app, struct incident *inc, struct err *e);
/* Once, into every copy that can be reached. When no copy took it: the first copy's error. -ERR_BUSY: another process is at it. */
int records_put(struct app *app, struct vault *v, struct incident *inc, struct record_put *ret,
                struct err *e);

/* --- what the copies have ----------------------------------------------------------------------------- */
struct record_seen {
    struct id object;
    uint64_t len;
    uint32_t copies,
        bad; /* bits: which list it, and where its bytes are not right or cannot be read */
    struct record_object *o; /* NULL: no copy has it whole */
    bool covered;            /* its lines begin the timeline of a newer one that was opened */
};
struct records {
    struct record_seen *v; /* by incident, the newest first */
    size_t n;
    uint32_t listed; /* copies that could be listed */
};
typedef int record_bad_fn(void *ctx, size_t copy, const char *name, const struct err *why,
                          struct err *e);
/* only: one copy, or -1. Each is read from every copy that lists it where `bad` is given, else from the first that has it whole. */
int records_look(struct vault *v, int only, record_bad_fn *bad, void *ctx, struct records *ret,
                 struct err *e);
void records_done(struct records *rs);
/* How many others, on the copies of `copies`, replace it. */
size_t records_replacing(const struct records *rs, size_t i, uint32_t copies);

/* Adopts the newest record of each incident (name NULL: of all; else of the one whose id begins so); *ret: how many. Needs the recovery key. One
 * that cannot be adopted is said, and the others are; when none could be, that is the error. So are copies that could not be listed, and records that
 * no copy has whole: they may have been newer. */
int records_adopt(struct app *app, struct vault *v, const char *name, size_t *ret, struct err *e);
/* Lists them: with the recovery key each incident with its state, without it how many there are. */
int records_print(struct app *app, struct vault *v, struct err *e);
/* After a catalog was rebuilt, or a copy adopted: adopts what it can, or says how many records wait for the recovery key. Never an error. */
void records_after_rebuild(struct app *app, struct vault *v);

#endif
