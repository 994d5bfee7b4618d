/*
 * failback.h - a standby that takes over, and the way back (SMX-12.2, SMX-12.3, JZ-7.3): who may write, who serves, and which step of the way
 * back is next, as a function of the timeline. procedure.h says when; orchestrator/crash/standby.h takes the steps. Of the two
 * hosts "the primary" is always the one that the policy names as its own, and "the standby" the other one, whoever serves.
 *
 *     failback_of(inc, &f);
 *     if (!failback_may(&f, step, &why)) …                   before the command of a step is run
 *     step = failback_next(&f, false);                       of the way back; FB_STEPS: it is gone
 *
 * | step                 | on      | what is done                                                               |
 * |----------------------|---------|----------------------------------------------------------------------------|
 * | fence                | primary | takes no writes any more: asked, or (gate fenced) stated by a person       |
 * | promote              | standby | takes writes                                                               |
 * | standby-check        | standby | the policy's questions                                                     |
 * | switch               | standby | clients go there                                                           |
 * | standby-give-up      | standby | takes no writes: asked, or (gate standby-off) stated; only before `switch` |
 * | reseed-fence         | primary | takes no writes: asked, now that it is there again                         |
 * | reseed               | primary | made anew from the standby, follows it                                     |
 * | failback-ready       | both    | asked again: it takes no writes, it follows, it is on the same timeline    |
 * | failback-stop        | standby | takes no writes: asked, or (gate standby-off) stated                       |
 * | failback-compare     | both    | the primary has all of it; (gate failback-compare: what may be missing)    |
 * | failback-promote     | primary | takes writes                                                               |
 * | failback-check       | primary | the policy's questions; (gate failback-check: gone on with in spite of it) |
 * | failback-switch      | primary | clients go there                                                           |
 * | failback-reseed      | standby | made anew from the primary, follows it                                     |
 * | failback-sync        | primary | commits wait for the standby again                                         |
 * | failback-undo-fence  | primary | takes no writes, and never did since it followed                           |
 * | failback-undo        | standby | takes writes again                                                         |
 * | failback-undo-switch | standby | clients go there again                                                     |
 *
 * A step's events are EVENT_STEP with state intent, then done or failed. Facts: of a fence proven (true: it was asked); position, last_commit_s; of
 * `fence` also standby_position and standby_last_commit_s.
 * Gates of the procedure that a person answers instead of a command (promoted, standby-right, switched, reseeded, switched-back) count as done.
 *
 * **May write**: a host does from the moment at which the *intent* of its promotion is written down (a command that was cut off may still come to
 * its end) until a fence of it is done or stated; a standby also from an opening whose settings say "standby_lost", and from a
 * standby-give-up that failed with the fact "refused": it was asked, and did not say that it takes none. failback_may lets no host be promoted while the other one may write, and no host be made
 * anew while it may: so no kill and no order of commands leads to two servers that take writes.
 */
#ifndef TWOFOLD_RESTORE_INCIDENT_FAILBACK_H
#define TWOFOLD_RESTORE_INCIDENT_FAILBACK_H

#include "restore/incident/timeline.h"

enum failback_step {
    FB_FENCE,
    FB_PROMOTE,
    FB_CHECK,
    FB_SWITCH,
    FB_GIVE_UP,
    FB_REFENCE,
    FB_RESEED,
    FB_READY, /* the way back: from here … */
    FB_STOP,
    FB_COMPARE,
    FB_BACK_PROMOTE,
    FB_BACK_CHECK,
    FB_BACK_SWITCH,
    FB_BACK_RESEED,
    FB_BACK_SYNC, /* … to here */
    FB_UNDO_FENCE,
    FB_UNDO,
    FB_UNDO_SWITCH,
    FB_STEPS
};
const char *failback_step_name(enum failback_step s); /* "failback-stop" */
const char *failback_step_title(
    enum failback_step s); /* translated: "Stop writes on the standby" */
/* FB_STEPS: none of these. */
enum failback_step failback_step_parse(const char *name);

enum pair_host { PAIR_PRIMARY, PAIR_STANDBY, PAIR_HOSTS };
enum pair_host failback_step_host(enum failback_step s); /* on which it acts */
#define GATE_STANDBY_OFF "standby-off"

enum failback_phase {
    PAIR_AS_EVER,       /* no step was taken */
    PAIR_TAKING_OVER,   /* from the first intent until clients go to the standby */
    PAIR_STANDBY_RUNS,  /* the standby serves; the primary is away, or in repair */
    PAIR_FOLLOWS,       /* the standby serves, the primary follows it: ready for the way back */
    PAIR_CHANGING_BACK, /* writes are stopped, or about to be */
    PAIR_PRIMARY_RUNS,  /* the primary serves again; the standby does not follow yet */
    PAIR_WHOLE_AGAIN,   /* ... and follows: all is as it was */
    PAIR_GIVEN_UP,      /* the standby is fenced: the primary is restored from backups */
    PAIR_PHASES
};
const char *failback_phase_name(enum failback_phase p); /* "standby-runs" */
const char *failback_phase_text(enum failback_phase p); /* for people, translated */

#define MAX_POSITION 64
struct failback {
    bool begun[FB_STEPS]; /* it has an intent that counts */
    bool done[FB_STEPS];
    unsigned attempts[FB_STEPS]; /* intents, all of them */
    bool may_write[PAIR_HOSTS];  /* see above */
    bool stated[PAIR_HOSTS];     /* that it does not is a person's word, and was not asked */
    bool
        lost; /* a standby that could not be asked served by an earlier incident when this one was opened */
    char fenced_at[MAX_POSITION];   /* how far the old primary was; "": not known */
    char promoted_at[MAX_POSITION]; /* how far the standby was when it was promoted */
    char stopped_at[MAX_POSITION];  /* where the standby stopped for the way back */
    int64_t last_commit_s;          /* on the standby at its promotion; 0: not known */
    int64_t serves_since_s;         /* of the last promotion; 0: the primary as ever */
};
#define FAILBACK_INIT ((struct failback){ .may_write = { true, false } })

void failback_take(struct failback *f, const struct event *ev);
void failback_of(const struct incident *inc, struct failback *ret);
enum failback_phase failback_phase_of(const struct failback *f);
/* Whose data count: what is to be backed up. */
enum pair_host failback_serves(const struct failback *f);
/* Whether the standby was to take writes, by this incident or an earlier one: before the primary's own server runs again it is asked. */
bool failback_in_doubt(const struct failback *f);
/* Which step of the way back is next, or (undo) of giving it up. FB_STEPS: nothing is left, or failback_why_not. */
enum failback_step failback_next(const struct failback *f, bool undo);
/* NULL: the way back can be begun or gone on with (undo: given up); else why not, translated. */
const char *failback_why_not(const struct failback *f, bool undo);
/* Entry conditions of a step. *ret_why (translated; may be NULL) when they do not hold. */
bool failback_may(const struct failback *f, enum failback_step s, const char **ret_why);

/* --- positions: the first word of what `position` prints: a number, or LSN@TIMELINE ("0/3000148@2") ------------------------ */
enum position_verdict {
    POSITION_HAS_ALL,
    POSITION_BEHIND,    /* *ret_missing: by how much, bytes where it is an LSN */
    POSITION_ELSEWHERE, /* another timeline: neither contains the other */
    POSITION_UNKNOWN    /* one of them is no position, or they are of two kinds */
};
enum position_verdict position_compare(const char *need, const char *has, uint64_t *ret_missing);
/* Takes that word, and last-commit=SECONDS if it is there, from what a command said. false: there is no position in it. */
bool position_parse(const char *output, char ret[MAX_POSITION], int64_t *ret_last_commit_s);

/* What the take-over lost, for people (translated), and in seconds (-1: not known). Once the standby is promoted. */
#define LOSS_TEXT_BYTES 640
void failback_loss(const struct failback *f, int64_t crashed_s, char ret_text[LOSS_TEXT_BYTES],
                   int64_t *ret_gap_s);

#endif
