/* procedure_words.c - the table of the procedure's steps and gates: names, duties, texts. procedure.h is the manual. */
#include "lib/base/i18n.h"
#include "restore/incident/procedure.h"

#include <string.h>

static const struct {
    const char *name, *duty, *title;
    enum crash_limit limit;
    bool destroys;
} steps[CRASH_STEPS] = {
    [STEP_NOTIFY] = { "notify", "PY-DB-2", N_("Report it, and have uploads held"), LIMIT_NOTIFY,
                      false },
    [STEP_ISOLATE] = { "isolate", "SMX-9.1", N_("Take the host off the network"), LIMIT_ISOLATE,
                       false },
    [STEP_STOP] = { "stop", "PY-SW-2", N_("Stop the service"), LIMIT_STOP, true },
    [STEP_FENCE] = { "fence", "SMX-12.3", N_("Keep the old server from taking writes"),
                     LIMIT_STANDBY, true },
    [STEP_PROMOTE] = { "promote", "SMX-12.2", N_("Have the standby take over"), LIMIT_STANDBY,
                       false },
    [STEP_STANDBY_CHECK] = { "standby-check", "SMX-12.2", N_("Check the standby"), LIMIT_STANDBY,
                             false },
    [STEP_SWITCH] = { "switch", "SMX-12.2", N_("Lead clients to the standby"), LIMIT_STANDBY,
                      false },
    [STEP_GIVE_UP] = { "standby-give-up", "SMX-12.3", N_("Keep the standby from taking writes"),
                       LIMIT_STANDBY, true },
    [STEP_SCENE] = { "scene", "SMX-8", N_("Set the scene aside"), LIMIT_SCENE, true },
    [STEP_FACTS] = { "facts", "PY-DB-3", N_("Look at the host"), LIMIT_FACTS, false },
    [STEP_RESTORE] = { "restore", "PY-DB-4", N_("Restore"), LIMIT_RESTORE, true },
    [STEP_START] = { "start", "PY-DB-4", N_("Start the service"), LIMIT_START, false },
    [STEP_CHECK] = { "check", "PY-UPS", N_("Check the live database"), LIMIT_CHECK, false },
    [STEP_RESUME] = { "resume", "PY-DB-2", N_("Say that uploads may go on"), LIMIT_NOTIFY, false },
    [STEP_RESEED] = { "reseed", "JZ-7.3", N_("Make the repaired host follow the standby"),
                      LIMIT_RESEED, true },
    [STEP_SWITCH_BACK] = { "switch-back", "JZ-7.3", N_("Go back to the repaired host"),
                           LIMIT_STANDBY, true },
};

#define YES ANSWER_YES
#define AGAIN ANSWER_AGAIN
#define NO ANSWER_NO
#define OVERRIDE ANSWER_OVERRIDE
static const struct {
    const char *name, *duty, *question;
    unsigned answers;
} gates[CRASH_GATES] = {
    [GATE_ISOLATED] = { "isolated", "SMX-9.1", N_("Is the host off the network?"),
                        YES | AGAIN | OVERRIDE },
    [GATE_STOPPED] = { "stopped", "PY-SW-2", N_("Does the service stand still?"), YES | AGAIN },
    [GATE_SOURCE_FOUND] = { "source-found", "PY-SW-2",
                            N_("Is the source of the attack found, and closed?"), YES | OVERRIDE },
    [GATE_FENCED] = { "fenced", "SMX-12.3",
                      N_("Is it certain that the old server takes no more writes?"), YES | AGAIN },
    [GATE_PROMOTED] = { "promoted", "SMX-12.2",
                        N_("Does the standby take writes? (no: restore without it)"),
                        YES | AGAIN | NO },
    [GATE_STANDBY_RIGHT] = { "standby-right", "SMX-12.2",
                             N_("Is the standby's database right? (no: restore without it)"),
                             YES | AGAIN | NO },
    [GATE_SWITCHED] = { "switched", "SMX-12.2", N_("Do clients come to the standby?"),
                        YES | AGAIN },
    [GATE_STANDBY_AWAY] = { "standby-off", "SMX-12.3",
                            N_("Is it certain that the standby takes no writes? (turn it off, or "
                               "take it off the network)"),
                            YES | AGAIN },
    [GATE_SCENE_KEPT] = { "scene-kept", "SMX-8",
                          N_("Is what lies on the host kept? (override: go on; what the restore "
                             "replaces is set aside by itself)"),
                          YES | AGAIN | OVERRIDE },
    [GATE_HOST_REPAIRED] = { "host-repaired", "PY-DB-3",
                             N_("Is the host repaired? (again: look once more; no: it cannot be, the "
                                "vendor is called)"),
                             YES | AGAIN | NO },
    [GATE_COPIES] = { "copies", "PY-DB-5",
                      N_("No copy can be read. Try again? (no: nothing can be restored, and the "
                         "vendor is called)"),
                      AGAIN | NO },
    [GATE_REACHABLE] = { "reachable", "PY-DB-4",
                         N_("Can what could not be reached be reached now? (no: it is gone on "
                            "without)"),
                         YES | NO },
    [GATE_RESTORE_AGAIN] = { "restore-again", "PY-DB-4",
                             N_("Try the same restore again? (no: it counts as a failed attempt)"),
                             YES | NO },
    [GATE_IN_PART] = { "in-part", "PY-DB-5",
                       N_("Go on without the files that no copy has whole? (no: take an older backup)"),
                       YES | NO },
    [GATE_STARTED] = { "started", "PY-DB-4",
                       N_("Does the service run? (no: this restore counts as failed)"),
                       YES | AGAIN | NO },
    [GATE_CHECKED] = { "checked", "PY-UPS",
                       N_("The check found something wrong. What now? (no: this restore counts as "
                          "failed; override: the data are right all the same)"),
                       AGAIN | NO | OVERRIDE },
    [GATE_RESEEDED] = { "reseeded", "JZ-7.3", N_("Does the repaired host follow the standby?"),
                        YES | AGAIN },
    [GATE_QUIET] = { "quiet", "JZ-7.3", N_("Is this a quiet time to go back to the repaired host?"),
                     YES },
    [GATE_SWITCHED_BACK] = { "switched-back", "JZ-7.3",
                             N_("Do clients come to the repaired host again?"), YES | AGAIN },
};

static const struct {
    enum crash_answer answer;
    const char *name;
} answers[] = { { YES, "yes" }, { AGAIN, "again" }, { NO, "no" }, { OVERRIDE, "override" } };

const char *crash_step_name(enum crash_step s)
{
    return s < CRASH_STEPS ? steps[s].name : "";
}

bool crash_step_parse(const char *name, enum crash_step *ret)
{
    for (unsigned i = 0; i < CRASH_STEPS; i++)
        if (strcmp(steps[i].name, name) == 0) {
            *ret = (enum crash_step)i;
            return true;
        }
    return false;
}

const char *crash_step_title(enum crash_step s)
{
    return s < CRASH_STEPS ? _(steps[s].title) : "";
}

const char *crash_step_duty(enum crash_step s)
{
    return s < CRASH_STEPS ? steps[s].duty : "";
}

bool crash_step_destroys(enum crash_step s)
{
    return s < CRASH_STEPS && steps[s].destroys;
}

enum crash_limit crash_step_limit(enum crash_step s)
{
    return steps[s].limit;
}

const char *crash_gate_name(enum crash_gate g)
{
    return g < CRASH_GATES ? gates[g].name : "";
}

bool crash_gate_parse(const char *name, enum crash_gate *ret)
{
    for (unsigned i = 0; i < CRASH_GATES; i++)
        if (strcmp(gates[i].name, name) == 0) {
            *ret = (enum crash_gate)i;
            return true;
        }
    return false;
}

const char *crash_gate_question(enum crash_gate g)
{
    return g < CRASH_GATES ? _(gates[g].question) : "";
}

const char *crash_gate_duty(enum crash_gate g)
{
    return g < CRASH_GATES ? gates[g].duty : "";
}

unsigned crash_gate_answers(enum crash_gate g)
{
    return g < CRASH_GATES ? gates[g].answers : 0;
}

const char *crash_answer_name(enum crash_answer a)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (answers[i].answer == a)
            return answers[i].name;
    return "";
}

const char *crash_answer_word(enum crash_answer a)
{
    switch (a) {
    case ANSWER_YES:
        return _("yes");
    case ANSWER_AGAIN:
        return _("again");
    case ANSWER_NO:
        return _("no");
    default:
        return _("override");
    }
}

bool crash_answer_parse(const char *name, enum crash_answer *ret)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (strcmp(answers[i].name, name) == 0) {
            *ret = answers[i].answer;
            return true;
        }
    return false;
}

const struct crash_command *crash_step_command(const struct crash_conf *c, enum crash_step s)
{
    static const struct {
        enum crash_step step;
        enum crash_command_kind kind;
    } own[] = { { STEP_ISOLATE, CRASH_ISOLATE },
                { STEP_STOP, CRASH_STOP },
                { STEP_START, CRASH_START } };
    static const struct {
        enum crash_step step;
        enum standby_command_kind kind;
    } standby[] = {
        { STEP_FENCE, STANDBY_FENCE },         { STEP_PROMOTE, STANDBY_PROMOTE },
        { STEP_STANDBY_CHECK, STANDBY_CHECK }, { STEP_SWITCH, STANDBY_SWITCH },
        { STEP_RESEED, STANDBY_RESEED },       { STEP_SWITCH_BACK, STANDBY_SWITCH_BACK }
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].step == s && c->command[own[i].kind].n > 0)
            return &c->command[own[i].kind];
    for (size_t i = 0; i < sizeof standby / sizeof *standby; i++)
        if (standby[i].step == s && c->standby[standby[i].kind].n > 0)
            return &c->standby[standby[i].kind];
    if (s == STEP_SWITCH_BACK && c->standby[STANDBY_SWITCH].n > 0)
        return &c->standby[STANDBY_SWITCH];
    return NULL;
}

/* What stands before " (as …)". */
static size_t person_bytes(const char *who)
{
    const char *as = strstr(who, " (");
    return as ? (size_t)(as - who) : strlen(who);
}

bool crash_same_person(const char *a, const char *b)
{
    size_t n = person_bytes(a);
    return n == person_bytes(b) && strncmp(a, b, n) == 0;
}
