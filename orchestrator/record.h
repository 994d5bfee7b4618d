/*
 * record.h - what commands leave in the catalog: a run with its results, the snapshots that there are now, the copies as they were
 * seen, and rows of the audit trail. The copies are the truth and the catalog only knows of it, so where it cannot be written a
 * command says so once and goes on. Only what destroys (record_command_begin) does not begin unrecorded.
 *
 *     struct record r;
 *     record_begin(&r, app, "backup", policy);
 *     … r.run.vault = …; r.run.files = …;      texts that live until the end
 *     record_vault(&r, v, published, source);  while the vault is open
 *     record_end(&r, status);                  with what ui_error said last
 *     record_export(app, v);                   the nightly export (catalog/export.h), when it is due
 */
#ifndef TWOFOLD_ORCHESTRATOR_RECORD_H
#define TWOFOLD_ORCHESTRATOR_RECORD_H

#include "orchestrator/app.h"
#include "orchestrator/catalog/catalog.h"
#include "orchestrator/publish.h"

struct record {
    struct app *app;
    struct catalog *c; /* NULL: nothing is recorded */
    uint64_t id;       /* of the run */
    struct run run;    /* its results, filled in by the command */
    int64_t started_s;
    char vault[MAX_FORMAT_NAME + 1];
};

/* A run begins. policy may be NULL. */
void record_begin(struct record *r, struct app *app, const char *kind, const char *policy);
/* How the copies of an opened vault are, and which snapshots of `source` (NULL: of all) it has. `p` (NULL: nothing was
 * published): what the run made of the copies; it also fills in run.copies_reached. */
void record_vault(struct record *r, struct vault *v, const struct published *p, const char *source);
/* Only how the copies are: of a vault whose state is of no use any more. */
void record_copies(struct record *r, struct vault *v, const struct published *p);
/* The vault could not be opened: where that is because no copy answers, they are noted as away. */
void record_away(struct record *r, const struct vault_conf *conf, const struct err *why);
/* Ends the run with this exit status and the error that was shown last, if it is not 0. Returns status. */
int record_end(struct record *r, int status);

/* Puts the catalog into the copies, when that is due; what goes wrong is only said. The vault is open for writing. */
void record_export(struct app *app, struct vault *v);

/* --- the audit trail: main.c records every command that changes something or reads content ---------------------------- */
struct record_command {
    struct app *app;
    char action[64], object[MAX_CATALOG_TEXT]; /* the command, and its arguments without secrets */
    bool looks;                                /* it only looks: not recorded */
    bool begun;                                /* that it begins stands there: its end must, too */
};
/* 0, or the exit status of a command that may not run: it takes something away for good and cannot be recorded. */
int record_command_begin(struct record_command *rc, struct app *app, int argc, char **argv);
void record_command_end(const struct record_command *rc, int status);

#endif
