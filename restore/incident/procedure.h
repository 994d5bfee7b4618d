/*
 * procedure.h - the crash procedure as a pure function: given the timeline of an incident and what is known (settings, backups, copies), it says
 * what comes next. Nothing is remembered but the timeline, so whoever asks after a kill, a reboot or a handover gets the same answer.
 *
 *     procedure_next(inc, &facts, &next);
 *     NEXT_STEP: incident_add(step, state intent); act; incident_add(step, state done or failed, facts); ask again
 *     NEXT_GATE: ask a person; incident_add(gate, answer); ask again
 *
 * A step with an intent and no outcome is taken again (`again`): every step can be. One that failed is asked about at its gate.
 * The order (requirements.md, "A database crash"), with the duty of each; [a] after an attack, [s] with a standby, [d] of a database server:
 *
 *     notify PY-DB-2 → [a] isolate SMX-9.1 → [a] stop → [a] gate source-found PY-SW-2
 *     → [s] fence → promote → standby-check → switch SMX-12.2 → resume → recovered
 *           → facts → gate host-repaired → reseed → gate quiet → switch-back SMX-12.3 → check → end
 *           → standby-give-up, when the standby is no way out: it may take writes
 *     → stop → [d] scene SMX-8 → facts → gate host-repaired PY-DB-3
 *     → restore PY-DB-4, PY-DB-5 → start → check PY-UPS → resume PY-DB-2 → recovered
 *     → escalate PY-DB-6, when nothing is left to restore from, or the host cannot be repaired
 *
 * A restore that fails, a server that does not start on it, or a check that is wrong makes a failed attempt, and the next backup or copy is
 * taken: the newest whole backup, from whichever copy has each piece; strict: from the first copy alone, the second alone …; then older ones,
 * newest first, then those that are not whole, at last those that no copy seems to have all of. After an attack only those from before the first sign.
 * One that is next and lies only where nothing can be read now is asked about (reachable), before an older one is taken for it. Events of restore, start and check, of
 * stop after the first, and of their gates, carry the number of the attempt.
 * A scene of a place that was not known (facts: unknown) is set aside once it is, before the first restore. Before a server is started beside a
 * standby that was to take writes that one is asked again; where it was asked and did not say that it takes none (facts: refused), nobody's yes counts.
 * With a first sign of a mistake the standby is no way out either, unless clients were led to it before that was noted.
 * A drill has restore alone, to a folder: it ends recovered or escalated.
 */
#ifndef TWOFOLD_RESTORE_INCIDENT_PROCEDURE_H
#define TWOFOLD_RESTORE_INCIDENT_PROCEDURE_H

#include "lib/base/id.h"
#include "policies/crash_conf.h"
#include "restore/incident/timeline.h"

enum crash_step {
    STEP_NOTIFY,
    STEP_ISOLATE,
    STEP_STOP,
    STEP_FENCE,
    STEP_PROMOTE,
    STEP_STANDBY_CHECK,
    STEP_SWITCH,
    STEP_GIVE_UP, /* a standby that may take writes does not: before anything is stopped for a restore, and before the server is started */
    STEP_SCENE,
    STEP_FACTS,
    STEP_RESTORE,
    STEP_START,
    STEP_CHECK,
    STEP_RESUME,
    STEP_RESEED,
    STEP_SWITCH_BACK,
    CRASH_STEPS
};
enum crash_gate {
    GATE_ISOLATED,
    GATE_STOPPED,
    GATE_SOURCE_FOUND,
    GATE_FENCED,
    GATE_PROMOTED,
    GATE_STANDBY_RIGHT,
    GATE_SWITCHED,
    GATE_STANDBY_AWAY, /* "standby-off": one that was to take writes cannot be asked */
    GATE_SCENE_KEPT,
    GATE_HOST_REPAIRED,
    GATE_COPIES, /* no copy can be read */
    GATE_REACHABLE, /* copies or host are away: of a restore that failed, or of the backup that is next */
    GATE_RESTORE_AGAIN, /* one that failed for another reason than damage */
    GATE_IN_PART,       /* files that no copy has whole are missing */
    GATE_STARTED,
    GATE_CHECKED,
    GATE_RESEEDED,
    GATE_QUIET,
    GATE_SWITCHED_BACK,
    CRASH_GATES
};
enum crash_answer {
    ANSWER_YES = 1,      /* it is so */
    ANSWER_AGAIN = 2,    /* the step is to be tried again */
    ANSWER_NO = 4,       /* this way leads nowhere: see the gate's question */
    ANSWER_OVERRIDE = 8, /* it is not so, and is gone on with: why is written down */
};
const char *crash_step_name(enum crash_step s); /* "switch-back" */
bool crash_step_parse(const char *name, enum crash_step *ret);
const char *crash_step_title(enum crash_step s); /* translated: "Stop the service" */
const char *crash_step_duty(enum crash_step s);  /* "PY-DB-4" */
bool crash_step_destroys(enum crash_step s);     /* needs the second person of approve: two */
const char *crash_gate_name(enum crash_gate g);
bool crash_gate_parse(const char *name, enum crash_gate *ret);
const char *crash_gate_question(enum crash_gate g); /* translated */
const char *crash_gate_duty(enum crash_gate g);
unsigned crash_gate_answers(enum crash_gate g); /* ANSWER_…, or-ed */
const char *crash_answer_name(enum crash_answer a);
const char *crash_answer_word(enum crash_answer a); /* translated; may be typed, too */
bool crash_answer_parse(const char *name, enum crash_answer *ret);

struct crash_snapshot {
    struct id id;
    int64_t received_s;
    uint64_t bytes; /* of the data, before they were stored */
    bool whole;
    bool lost; /* no copy has all that it takes, as far as is known: it is tried after all others */
    bool
        away; /* it is known of, and no copy that can be read shows it: asked about, before an older one is taken */
};
struct crash_facts { /* borrowed */
    const struct crash_conf *conf;
    uint64_t rto_s;
    bool server;     /* the policy has a database server in it */
    bool files_only; /* it has nothing but files */
    bool no_standby;
    bool
        ask_standby; /* a standby that was given up was last asked too long ago to start a server beside it */
    bool
        elsewhere; /* restored to a folder: nothing in service is stopped or replaced, and a person puts it into service */
    bool no_copy;  /* none can be read: a person is asked */
    bool places_known;    /* where the databases' files lie */
    bool snapshots_known; /* else NEXT_SNAPSHOTS is answered where they are needed */
    const struct crash_snapshot *snapshots; /* newest first; none of the quarantine */
    size_t n_snapshots;
    const char *const *places; /* of the copies, in their order */
    size_t n_places;
    uint64_t restore_bytes_s; /* measured; 0: not known */
    uint64_t seconds
        [CRASH_STEPS]; /* that the step took in earlier incidents of this policy; 0: not known */
    const char *me;    /* who takes the step: audit_who */
};

enum next_kind {
    NEXT_STEP,
    NEXT_GATE,
    NEXT_APPROVAL,  /* of `step`, by a second person */
    NEXT_SNAPSHOTS, /* ask again with the backups that there are */
    NEXT_RECOVERED, /* the service is back: EVENT_RECOVERED is to be written */
    NEXT_ESCALATE,  /* EVENT_ESCALATED is to be written */
    NEXT_ESCALATED, /* it was; somebody has to resume it */
    NEXT_END,       /* nothing is left but to close it */
    NEXT_CLOSED
};
enum escalate_why {
    ESCALATE_NO_BACKUP, /* no backup that could be taken, or none from before the first sign */
    ESCALATE_TRIED_ALL,
    ESCALATE_HOST /* it cannot be repaired */
};
struct crash_next {
    enum next_kind kind;
    enum crash_step step;
    unsigned attempt;
    bool again; /* its intent is there and no outcome */
    enum crash_gate gate;
    unsigned answers; /* of the gate, that make sense here */
    const char *duty;
    uint64_t limit_s;
    uint64_t expect_s; /* how long it takes; 0: not known */
    int64_t
        since_s; /* of a step: its first intent; of a gate: when it was first asked; 0: not yet */
    const struct crash_snapshot
        *snapshot; /* restore: of the facts; NULL: `id` is not among them any more */
    struct id id;
    char from[MAX_NAME + 1]; /* only this copy; "": any */
    enum escalate_why why;
    const struct crash_snapshot *
        other; /* of the gate reachable: what no would take in place of the one that is away; NULL: no other backup */
};
/* Never fails. */
void procedure_next(const struct incident *inc, const struct crash_facts *f,
                    struct crash_next *ret);

/* What --yes may answer: 0: nothing, a person is needed. `running`: 1: the server runs, 0: it does not, -1: not known. `host_good`: no fact of
 * the host is bad, and somebody could look. Steps that failed are tried again once; a quiet time, the source of an attack, the isolation
 * of a host and whether an old server or a standby is fenced are never guessed. Nor is a backup that is away given up for an older one. */
enum crash_answer procedure_unattended(const struct incident *inc, const struct crash_next *next,
                                       int running, bool host_good);

/* The steps and gates that an incident of that cause goes through when all goes well. */
struct plan_line {
    bool is_gate;
    enum crash_step step;
    enum crash_gate gate;
    const char *duty;
    uint64_t limit_s, expect_s;
    const struct crash_command *command; /* NULL: a person does it, or Twofold itself */
};
#define MAX_PLAN_LINES 32
size_t procedure_plan(const struct crash_facts *f, enum crash_cause cause,
                      struct plan_line ret[MAX_PLAN_LINES]);
/* The command of the policy that the step runs, or NULL. */
const struct crash_command *crash_step_command(const struct crash_conf *c, enum crash_step s);
enum crash_limit crash_step_limit(enum crash_step s);

/* What was tried and why it failed, newest last. */
struct crash_attempt {
    const struct event *last; /* of its restore: facts: snapshot, received, from, end, copies */
    const char *why;          /* borrowed from the timeline */
    unsigned number;
    bool done, failed; /* failed: also where its server did not start or its check was wrong */
};
#define MAX_CRASH_ATTEMPTS 200
size_t procedure_attempts(const struct incident *inc, struct crash_attempt *ret, size_t max);

/* "wang (as root)" and "wang (as wang2)" are one person. */
bool crash_same_person(const char *a, const char *b);

#endif
