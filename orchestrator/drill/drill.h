/*
 * drill.h - a drill (PY-8.3, SMX-25): what a crash would ask for, tried on a scratch folder. It is an incident with drill: true
 * (restore/incident/timeline.h) that goes through the procedure's restore, attempt by attempt; nothing of the live system is touched: no
 * data folder, no socket, no port, no command of the policy, no notice to anybody. The folder is taken away at the end, or, after a kill,
 * by the next drill or `drill --clean`.
 *
 *     opened      settings.drill: from, lose, snapshot, at, on, to, max_rto_s, max_rpo_s, every_s
 *     step        prepare: facts.folder, facts.on
 *     step        restore, by attempts: facts as in the crash procedure: snapshot, received, from, end, ms, bytes, files, copies, notes
 *     step        verify: facts.checks, facts.wrong, facts.files, facts.missing, facts.differ
 *     loss        crashed (the drill's start), recovered_to, gap_s
 *     recovered   when it was restored and verified
 *     step        clean: facts.folder, facts.kept
 *     step        drill: done (passed) or failed; text; facts.rto_ms, rpo_s, max_rto_s, max_rpo_s, reasons: [names], and the above
 *     closed
 */
#ifndef TWOFOLD_ORCHESTRATOR_DRILL_DRILL_H
#define TWOFOLD_ORCHESTRATOR_DRILL_DRILL_H

#include "orchestrator/app.h"
#include "orchestrator/drill/judge.h"
#include "orchestrator/drill/past.h"
#include "restore/incident/timeline.h"

struct drill_request { /* borrowed */
    struct vault_choice choice;
    const char *policy;
    const char *from, *lose, *snapshot, *at, *on, *to; /* NULL: as the policy says */
    bool keep; /* the folder stays, to be looked at; `drill --clean` takes it away */
};
struct drill_outcome {
    char id[MAX_INCIDENT_ID]; /* "": it was not begun */
    char vault[MAX_FORMAT_NAME + 1];
    char *folder; /* owned */
    bool kept;    /* the folder is still there */
    struct drill_measured m;
    unsigned reasons; /* as drill_judge */
    struct id snapshot;
    int64_t received_ns;
    unsigned state; /* of the snapshot */
    struct msg_done done;
    uint64_t bytes_read; /* sealed, from the copies */
    struct err last;     /* of the last attempt; code ERR_NONE: it has none */
};
/* Negative: it was not begun, or could not be recorded. A drill that was failed is an outcome, and no error. ret: drill_outcome_done. */
int drill_run(struct app *app, const struct drill_request *q, struct drill_outcome *ret,
              struct err *e);
void drill_outcome_done(struct drill_outcome *o);

/* Takes away what drills that were killed, or told to keep it, have left, and closes them; policy NULL: of all. *ret_n: how many. -ERR_BUSY:
 * one of them runs. */
int drill_clean(struct app *app, const char *policy, size_t *ret_n, struct err *e);
/* --- the scratch folder (scratch.c) ------------------------------------------------------------------------------ */
/* -ERR_REFUSED where what is restored would lie in what is backed up, in a copy, or in a database's own folder, or the other way round.
 * to: absolute; on: whose host it is on, NULL: this one. vault: its copies; may be NULL. */
int drill_check_folder(const struct policy *pol, const struct vault_conf *vault, const char *to,
                       const char *on, struct err *e);
/* -ERR_REFUSED when others than root and this user could put another folder in its place: all that is backed up is going to lie there. */
int drill_check_owner(const char *to, struct err *e);
/* -ERR_NOSPACE when so much does not fit there and leave something for others: a drill that fills a disk is a crash. Of this host. */
int drill_check_room(const char *to, uint64_t bytes, struct err *e);
struct drill_place {         /* borrowed */
    const char *folder, *id; /* the folder, and the drill's name, which is its last part */
    const char *on;          /* another host's agent; NULL: this one */
    bool around;             /* the one that it lies in goes, too, when nothing else is in that */
    const struct policy *policy;
};
/* The folder and all that is in it. 0 also when it is not there. */
int drill_remove_folder(struct app *app, const struct drill_place *at, struct err *e);

#endif
