/* procedure.c - which step, gate or end comes next. procedure.h is the manual; names and texts are procedure_words.c's. */
#include "restore/incident/procedure.h"
#include "lib/base/i18n.h"
#include "restore/incident/failback.h"

#include <stdio.h>
#include <string.h>

#define UNATTENDED_REACH 3 /* tries of what could not be reached */

struct view {
    const struct incident *inc;
    const struct crash_facts *f;
    struct crash_next *ret;
    uint64_t round;    /* the newest escalation: what is asked and tried anew since */
    bool without_away; /* of the backups: only what can be read now */
};
enum taken { TAKEN_NEXT, TAKEN_DONE, TAKEN_NO };

/* --- what the timeline says ------------------------------------------------------------------------------------- */
static bool is_state(const struct event *ev, const char *state)
{
    return ev && strcmp(event_text(ev, "state"), state) == 0;
}

static bool is_answer(const struct event *ev, enum crash_answer a)
{
    return ev && strcmp(event_text(ev, "answer"), crash_answer_name(a)) == 0;
}

static bool is_step_of(const struct event *ev, enum crash_step s)
{
    return ev->kind == EVENT_STEP && strcmp(event_text(ev, "step"), crash_step_name(s)) == 0;
}

static bool of_attempt(const struct event *ev, unsigned attempt)
{
    return attempt == 0 || event_int(ev, "attempt") == attempt;
}

/* attempt 0: any */
static const struct event *last_step(const struct incident *inc, enum crash_step s,
                                     unsigned attempt, uint64_t after)
{
    for (size_t i = inc->n; i-- > 0 && inc->events[i].seq > after;) {
        const struct event *ev = &inc->events[i];
        if (is_step_of(ev, s) && of_attempt(ev, attempt))
            return ev;
    }
    return NULL;
}

/* The newest answer; that it was asked is none. */
static const struct event *last_answer(const struct incident *inc, enum crash_gate g,
                                       unsigned attempt, uint64_t after)
{
    enum crash_answer a;
    for (size_t i = inc->n; i-- > 0 && inc->events[i].seq > after;) {
        const struct event *ev = &inc->events[i];
        if (ev->kind == EVENT_GATE && of_attempt(ev, attempt) &&
            strcmp(event_text(ev, "gate"), crash_gate_name(g)) == 0 &&
            crash_answer_parse(event_text(ev, "answer"), &a))
            return ev;
    }
    return NULL;
}

static int64_t first_time(const struct incident *inc, enum event_kind kind, const char *key,
                          const char *name, unsigned attempt, uint64_t after)
{
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        if (ev->seq > after && ev->kind == kind && of_attempt(ev, attempt) &&
            strcmp(event_text(ev, key), name) == 0)
            return ev->at_s;
    }
    return 0;
}

static bool approved(const struct view *v, enum crash_step s)
{
    for (size_t i = v->inc->n; i-- > 0;) {
        const struct event *ev = &v->inc->events[i];
        const char *what = event_text(ev, "what");
        if (ev->kind == EVENT_APPROVAL &&
            (strcmp(what, "all") == 0 || strcmp(what, crash_step_name(s)) == 0) &&
            (strcmp(event_text(ev, "through"), "terminal") != 0 ||
             !crash_same_person(event_text(ev, "who"), v->f->me)))
            return true;
    }
    return false;
}

static struct failback standby_of(const struct view *v)
{
    struct failback f;
    failback_of(v->inc, &f);
    return f;
}

/* A standby that was promoted by this incident is fenced, when it is given up; one that serves by an earlier one is only asked. */
static bool needs_two(const struct view *v, enum crash_step s)
{
    return crash_step_destroys(s) && (s != STEP_GIVE_UP || standby_of(v).attempts[FB_PROMOTE] > 0);
}

/* --- saying it ------------------------------------------------------------------------------------------------------ */
static enum taken say_step(struct view *v, enum crash_step s, unsigned attempt, uint64_t after,
                           bool again)
{
    struct crash_next *n = v->ret;
    n->kind = NEXT_STEP;
    n->step = s;
    n->attempt = attempt;
    n->again = again;
    n->duty = crash_step_duty(s);
    n->limit_s = crash_limit_s(v->f->conf, crash_step_limit(s), v->f->rto_s);
    n->expect_s = v->f->seconds[s];
    n->since_s = first_time(v->inc, EVENT_STEP, "step", crash_step_name(s), attempt, after);
    if (needs_two(v, s) && v->f->conf->approve_two && !v->inc->drill && !again && !approved(v, s))
        n->kind = NEXT_APPROVAL;
    return TAKEN_NEXT;
}

static enum taken say_gate(struct view *v, enum crash_gate g, unsigned attempt, uint64_t after,
                           unsigned without)
{
    struct crash_next *n = v->ret;
    n->kind = NEXT_GATE;
    n->gate = g;
    n->attempt = attempt;
    n->answers = crash_gate_answers(g) & ~without;
    n->duty = crash_gate_duty(g);
    n->limit_s = crash_limit_s(v->f->conf, LIMIT_GATE, 0);
    n->since_s = first_time(v->inc, EVENT_GATE, "gate", crash_gate_name(g), attempt, after);
    return TAKEN_NEXT;
}

static enum taken say(struct view *v, enum next_kind kind)
{
    v->ret->kind = kind;
    return TAKEN_NEXT;
}

/* --- steps and gates ------------------------------------------------------------------------------------------------- */
static bool by_itself(enum crash_step s)
{
    return s == STEP_NOTIFY || s == STEP_SCENE || s == STEP_FACTS || s == STEP_RESTORE ||
           s == STEP_CHECK || s == STEP_RESUME || s == STEP_STANDBY_CHECK || s == STEP_GIVE_UP;
}

/* A standby that was asked, and takes writes, or is not certain: nobody's word counts against that. */
static bool says_it_writes(const struct event *step)
{
    return step && is_step_of(step, STEP_GIVE_UP) && is_state(step, "failed") &&
           json_is_true(json_object_get(json_object_get(step->body, "facts"), "refused"));
}

/* A step that a person is asked about when it has failed, or when there is no command for it. */
static enum taken take(struct view *v, enum crash_step s, unsigned attempt, uint64_t after,
                       enum crash_gate g)
{
    const struct event *last = last_step(v->inc, s, attempt, after);
    const struct event *answer = last_answer(v->inc, g, attempt, last ? last->seq : after);
    bool can = by_itself(s) ||
               (crash_step_command(v->f->conf, s) && !(s == STEP_START && v->f->elsewhere));
    unsigned without = says_it_writes(last) ? ANSWER_YES : 0;
    if (!without && (is_answer(answer, ANSWER_YES) || is_answer(answer, ANSWER_OVERRIDE)))
        return TAKEN_DONE;
    if (is_answer(answer, ANSWER_NO))
        return TAKEN_NO;
    if (is_state(last, "done") || is_state(last, "skipped"))
        return TAKEN_DONE;
    if (!last || is_state(last, "failed")) {
        if (can && (!last || is_answer(answer, ANSWER_AGAIN)))
            return say_step(v, s, attempt, after, false);
        return say_gate(v, g, attempt, last ? last->seq : after, can ? without : ANSWER_AGAIN);
    }
    return can ? say_step(v, s, attempt, after, true)
               : say_gate(v, g, attempt, last->seq, ANSWER_AGAIN);
}

/* One that holds nobody up when it fails. */
static enum taken take_freely(struct view *v, enum crash_step s, uint64_t after)
{
    const struct event *last = last_step(v->inc, s, 0, after);
    if (!last)
        return say_step(v, s, 1, after, false);
    return is_state(last, "done") || is_state(last, "failed") || is_state(last, "skipped")
               ? TAKEN_DONE
               : say_step(v, s, 1, after, true);
}

static enum taken ask_after(struct view *v, enum crash_gate g, uint64_t after)
{
    const struct event *answer = last_answer(v->inc, g, 0, after);
    if (is_answer(answer, ANSWER_YES) || is_answer(answer, ANSWER_OVERRIDE))
        return TAKEN_DONE;
    return is_answer(answer, ANSWER_NO) ? TAKEN_NO : say_gate(v, g, 0, after, 0);
}

static enum taken ask(struct view *v, enum crash_gate g)
{
    return ask_after(v, g, v->round);
}

static enum taken ask_host(struct view *v)
{
    const struct event *facts = last_step(v->inc, STEP_FACTS, 0, v->round);
    const struct event *answer = last_answer(v->inc, GATE_HOST_REPAIRED, 0, v->round);
    if (is_answer(answer, ANSWER_AGAIN) && facts && answer->seq > facts->seq)
        return say_step(v, STEP_FACTS, 1, v->round, false);
    enum taken t = take_freely(v, STEP_FACTS, v->round);
    if (t == TAKEN_DONE && is_answer(answer, ANSWER_AGAIN))
        t = say_gate(v, GATE_HOST_REPAIRED, 0, v->round, 0);
    else if (t == TAKEN_DONE)
        t = ask(v, GATE_HOST_REPAIRED);
    if (t != TAKEN_NO)
        return t;
    v->ret->why = ESCALATE_HOST;
    return say(v, NEXT_ESCALATE);
}

/* --- attempts ------------------------------------------------------------------------------------------------------------ */
static const char *end_of(const struct event *restore)
{
    const char *end = json_string_value(
        json_object_get(json_object_get(restore->body, "facts"), "end"));
    return end ? end : "";
}

/* Where it is for a person to say whether the same is tried again; CRASH_GATES: it has failed for good. */
static enum crash_gate gate_of(const struct event *restore, bool files_only)
{
    const char *end = end_of(restore);
    if (strcmp(end, "damaged") == 0 || strcmp(end, "check-failed") == 0)
        return CRASH_GATES;
    if (strcmp(end, "in-part") == 0)
        return files_only ? GATE_IN_PART : CRASH_GATES;
    return strcmp(end, "away") == 0 ? GATE_REACHABLE : GATE_RESTORE_AGAIN;
}

/* files_only is told by the restore itself, so that this needs no settings. */
static bool was_files_only(const struct event *restore)
{
    return json_is_true(json_object_get(json_object_get(restore->body, "facts"), "files_only"));
}

static bool gives_up(const struct event *ev)
{
    static const enum crash_gate gates[] = { GATE_REACHABLE, GATE_RESTORE_AGAIN, GATE_IN_PART,
                                             GATE_STARTED, GATE_CHECKED };
    if (ev->kind != EVENT_GATE || !is_answer(ev, ANSWER_NO))
        return false;
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
        if (strcmp(event_text(ev, "gate"), crash_gate_name(gates[i])) == 0)
            return true;
    return false;
}

size_t procedure_attempts(const struct incident *inc, struct crash_attempt *ret, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        int64_t number = event_int(ev, "attempt");
        const char *step = event_text(ev, "step");
        if (ev->kind == EVENT_STEP && strcmp(step, "restore") == 0 && number > 0) {
            if (n == 0 || ret[n - 1].number != number) {
                if (n == max)
                    break;
                ret[n++] = (struct crash_attempt){ .number = (unsigned)number, .why = "" };
            }
            ret[n - 1].last = ev;
            ret[n - 1].done = is_state(ev, "done");
            ret[n - 1].failed = is_state(ev, "failed") &&
                                gate_of(ev, was_files_only(ev)) == CRASH_GATES;
            if (is_state(ev, "failed"))
                ret[n - 1].why = event_text(ev, "text");
        } else if (n > 0 && ret[n - 1].number == number) {
            if (ev->kind == EVENT_STEP && is_state(ev, "failed") &&
                (strcmp(step, "start") == 0 || strcmp(step, "check") == 0))
                ret[n - 1].why = event_text(ev, "text");
            if (gives_up(ev))
                ret[n - 1].failed = true;
        }
    }
    return n;
}

static const char *fact_text(const struct event *ev, const char *key)
{
    const char *s = json_string_value(json_object_get(json_object_get(ev->body, "facts"), key));
    return s ? s : "";
}

static bool was_tried(const struct view *v, const struct crash_attempt *all, size_t n,
                      const struct id *id, const char *from)
{
    char hex[ID_HEX_BYTES];
    id_hex(id, hex);
    for (size_t i = 0; i < n; i++)
        if (all[i].failed && all[i].last->seq > v->round &&
            strcmp(fact_text(all[i].last, "snapshot"), hex) == 0 &&
            strcmp(fact_text(all[i].last, "from"), from) == 0)
            return true;
    return false;
}

/* After an attack nothing from the first sign on. */
static bool is_early_enough(const struct view *v, const struct crash_snapshot *s)
{
    int64_t sign = incident_sign_s(v->inc);
    return sign == 0 || s->received_s < sign;
}

enum { RANK_WHOLE, RANK_PARTIAL, RANK_LOST, RANKS };
static int rank_of(const struct crash_snapshot *s)
{
    return s->lost ? RANK_LOST : s->whole ? RANK_WHOLE : RANK_PARTIAL;
}

static bool choose(struct view *v, const struct crash_attempt *all, size_t n)
{
    const struct crash_facts *f = v->f;
    bool strict = (v->inc->strict || f->conf->strict) && f->n_places > 0;
    size_t ways = strict ? f->n_places : 1;
    for (int rank = 0; rank < RANKS; rank++)
        for (size_t i = 0; i < f->n_snapshots; i++)
            for (size_t k = 0; k < ways; k++) {
                const struct crash_snapshot *s = &f->snapshots[i];
                const char *from = strict ? f->places[k] : "";
                if (rank_of(s) != rank || !is_early_enough(v, s) || (s->away && v->without_away) ||
                    was_tried(v, all, n, &s->id, from))
                    continue;
                v->ret->snapshot = s;
                v->ret->id = s->id;
                snprintf(v->ret->from, sizeof v->ret->from, "%s", from);
                return true;
            }
    return false;
}

static void take_choice_of(struct view *v, const struct event *restore)
{
    struct crash_next *r = v->ret;
    if (!id_parse(fact_text(restore, "snapshot"), &r->id))
        memset(&r->id, 0, sizeof r->id);
    snprintf(r->from, sizeof r->from, "%s", fact_text(restore, "from"));
    for (size_t i = 0; i < v->f->n_snapshots; i++)
        if (id_eq(&v->f->snapshots[i].id, &r->id))
            r->snapshot = &v->f->snapshots[i];
}

/* Were the newest attempt given up: which other backup would be taken? NULL: none. */
static const struct crash_snapshot *another(const struct view *v, const struct crash_attempt *all,
                                            size_t n)
{
    struct crash_attempt given_up[MAX_CRASH_ATTEMPTS];
    struct crash_next next = { 0 };
    struct view w = *v;
    w.ret = &next;
    memcpy(given_up, all, n * sizeof *all);
    given_up[n - 1].failed = true;
    return choose(&w, given_up, n) && !id_eq(&next.id, &v->ret->id) ? next.snapshot : NULL;
}

static enum taken say_restore(struct view *v, unsigned attempt, bool again)
{
    enum taken t = say_step(v, STEP_RESTORE, attempt, 0, again);
    const struct crash_snapshot *s = v->ret->snapshot;
    if (attempt > 1)
        v->ret->duty = "PY-DB-5";
    if (s && v->f->restore_bytes_s > 0)
        v->ret->expect_s = s->bytes / v->f->restore_bytes_s + 1;
    return t;
}

/* One that lies only where nothing can be read now is asked about; no: what can be read is taken. */
static enum taken begin_restore(struct view *v, const struct crash_attempt *all, size_t n,
                                unsigned attempt)
{
    struct crash_next other = { 0 };
    struct view w = *v;
    w.ret = &other;
    w.without_away = true;
    v->without_away = is_answer(last_answer(v->inc, GATE_REACHABLE, attempt, v->round), ANSWER_NO);
    if (!choose(v, all, n)) {
        v->ret->why = n > 0 ? ESCALATE_TRIED_ALL : ESCALATE_NO_BACKUP;
        return say(v, NEXT_ESCALATE);
    }
    if (!v->ret->snapshot->away)
        return say_restore(v, attempt, false);
    v->ret->other = choose(&w, all, n) ? other.snapshot : NULL;
    return say_gate(v, GATE_REACHABLE, attempt, v->round, 0);
}

static enum taken ask_copies(struct view *v)
{
    const struct event *answer = last_answer(v->inc, GATE_COPIES, 0, v->round);
    if (!is_answer(answer, ANSWER_NO))
        return say_gate(v, GATE_COPIES, 0, answer ? answer->seq : v->round, 0);
    v->ret->why = ESCALATE_NO_BACKUP;
    return say(v, NEXT_ESCALATE);
}

static enum taken take_restore(struct view *v, const struct crash_attempt *all, size_t n,
                               unsigned attempt)
{
    const struct event *last = last_step(v->inc, STEP_RESTORE, attempt, 0);
    if (is_state(last, "done"))
        return TAKEN_DONE;
    if (!v->f->snapshots_known)
        return v->f->no_copy ? ask_copies(v) : say(v, NEXT_SNAPSHOTS);
    if (!last)
        return begin_restore(v, all, n, attempt);
    take_choice_of(v, last);
    if (!is_state(last, "failed"))
        return say_restore(v, attempt, true);
    enum crash_gate g = gate_of(last, was_files_only(last));
    const struct event *answer = last_answer(v->inc, g, attempt, last->seq);
    v->ret->other = g == GATE_REACHABLE ? another(v, all, n) : NULL;
    if (!is_answer(answer, ANSWER_YES))
        return say_gate(v, g, attempt, last->seq, 0);
    return g == GATE_IN_PART ? TAKEN_DONE : say_restore(v, attempt, false);
}

/* --- the ways ----------------------------------------------------------------------------------------------------------------- */
static enum taken finish(struct view *v)
{
    enum taken t = take_freely(v, STEP_RESUME, 0);
    if (t != TAKEN_DONE)
        return t;
    return v->inc->recovered_s == 0 ? say(v, NEXT_RECOVERED) : TAKEN_DONE;
}

/* A way back that was given up (failback.h) is no part of the next one. */
static uint64_t undone(const struct incident *inc)
{
    const struct event *ev = incident_last(inc, EVENT_STEP, "step", failback_step_name(FB_UNDO));
    return ev ? ev->seq : 0;
}

static enum taken way_back(struct view *v)
{
    uint64_t from = undone(v->inc);
    enum taken t = finish(v); /* the standby serves */
    if (t == TAKEN_DONE)
        t = ask_host(v);
    if (t == TAKEN_DONE)
        t = take(v, STEP_RESEED, 1, 0, GATE_RESEEDED);
    if (t == TAKEN_DONE)
        t = ask_after(v, GATE_QUIET, from > v->round ? from : v->round);
    if (t == TAKEN_DONE)
        t = take(v, STEP_SWITCH_BACK, 1, from, GATE_SWITCHED_BACK);
    if (t == TAKEN_DONE)
        t = take(v, STEP_CHECK, 1, 0, GATE_CHECKED);
    return t == TAKEN_NEXT ? t : say(v, NEXT_END);
}

/* TAKEN_NO: it is no way out, the host is restored. */
static enum taken by_standby(struct view *v)
{
    enum taken t = take(v, STEP_FENCE, 1, 0, GATE_FENCED);
    if (t == TAKEN_DONE)
        t = take(v, STEP_PROMOTE, 1, 0, GATE_PROMOTED);
    if (t == TAKEN_DONE && (v->f->server || crash_step_command(v->f->conf, STEP_STANDBY_CHECK)))
        t = take(v, STEP_STANDBY_CHECK, 1, 0, GATE_STANDBY_RIGHT);
    if (t == TAKEN_DONE)
        t = take(v, STEP_SWITCH, 1, 0, GATE_SWITCHED);
    return t == TAKEN_DONE ? way_back(v) : t;
}

/* One that was to take writes, or did by an earlier incident, and the host's own server are not to run at the same time. */
static enum taken give_up_standby(struct view *v, unsigned attempt, uint64_t after)
{
    struct failback f = standby_of(v);
    return failback_in_doubt(&f) ? take(v, STEP_GIVE_UP, attempt, after, GATE_STANDBY_AWAY)
                                 : TAKEN_DONE;
}

/* It has the mistake, too. Once clients were led to it, it stays the way: what it accepted would be lost. */
static bool has_the_mistake(const struct view *v)
{
    return v->inc->cause != CAUSE_ATTACK && incident_sign_s(v->inc) > 0 &&
           standby_of(v).attempts[FB_SWITCH] == 0;
}

/* What was not known where it lies when the scene was set aside: nothing was replaced since. */
static enum taken scene_again(struct view *v)
{
    const struct event *scene = last_step(v->inc, STEP_SCENE, 1, 0);
    bool unknown = is_state(scene, "done") &&
                   json_is_true(json_object_get(json_object_get(scene->body, "facts"), "unknown"));
    for (size_t i = 0; unknown && i < v->inc->n; i++)
        if (is_step_of(&v->inc->events[i], STEP_RESTORE) && is_state(&v->inc->events[i], "done"))
            return TAKEN_DONE;
    return unknown && v->f->places_known ? say_step(v, STEP_SCENE, 1, 0, false) : TAKEN_DONE;
}

static enum taken start(struct view *v, unsigned k)
{
    const struct event *restored = last_step(v->inc, STEP_RESTORE, k, 0);
    struct failback f = standby_of(v);
    bool beside = failback_in_doubt(&f) && !v->f->elsewhere;
    enum taken t = beside ? give_up_standby(v, k, restored ? restored->seq : 0) : TAKEN_DONE;
    if (t != TAKEN_DONE)
        return t;
    t = take(v, STEP_START, k, 0, GATE_STARTED);
    return t == TAKEN_NEXT && beside && v->f->ask_standby
               ? say_step(v, STEP_GIVE_UP, k, restored ? restored->seq : 0, false)
               : t;
}

static enum taken by_restore(struct view *v)
{
    const struct crash_facts *f = v->f;
    struct crash_attempt all[MAX_CRASH_ATTEMPTS];
    size_t n = procedure_attempts(v->inc, all, MAX_CRASH_ATTEMPTS);
    unsigned k = n == 0 ? 1 : all[n - 1].number + (all[n - 1].failed ? 1 : 0);
    bool stops = !f->elsewhere && (f->server || crash_step_command(f->conf, STEP_STOP));
    enum taken t = TAKEN_DONE;
    if (n >= MAX_CRASH_ATTEMPTS - 1 && all[n - 1].failed) {
        v->ret->why = ESCALATE_TRIED_ALL;
        return say(v, NEXT_ESCALATE);
    }
    if (!f->elsewhere)
        t = give_up_standby(v, 1, 0);
    if (t == TAKEN_DONE && stops && (k == 1 || last_step(v->inc, STEP_START, k - 1, 0)))
        t = take(v, STEP_STOP, k, 0, GATE_STOPPED);
    if (t == TAKEN_DONE && !f->files_only && !f->elsewhere)
        t = take(v, STEP_SCENE, 1, 0, GATE_SCENE_KEPT);
    if (t == TAKEN_DONE)
        t = ask_host(v);
    if (t == TAKEN_DONE && !f->files_only && !f->elsewhere)
        t = scene_again(v);
    if (t == TAKEN_DONE)
        t = take_restore(v, all, n, k);
    if (t == TAKEN_DONE && (f->server || crash_step_command(f->conf, STEP_START)))
        t = start(v, k);
    if (t == TAKEN_DONE && !f->elsewhere)
        t = take(v, STEP_CHECK, k, 0, GATE_CHECKED);
    if (t == TAKEN_DONE)
        t = finish(v);
    return t == TAKEN_DONE ? say(v, NEXT_END) : t;
}

static enum taken drill(struct view *v)
{
    struct crash_attempt all[MAX_CRASH_ATTEMPTS];
    size_t n = procedure_attempts(v->inc, all, MAX_CRASH_ATTEMPTS);
    unsigned k = n == 0 ? 1 : all[n - 1].number + (all[n - 1].failed ? 1 : 0);
    enum taken t = take_restore(v, all, n, k);
    if (t == TAKEN_DONE && v->inc->recovered_s == 0)
        return say(v, NEXT_RECOVERED);
    return t == TAKEN_DONE ? say(v, NEXT_END) : t;
}

static enum taken after_an_attack(struct view *v)
{
    enum taken t = take(v, STEP_ISOLATE, 1, 0, GATE_ISOLATED);
    if (t == TAKEN_DONE)
        t = take(v, STEP_STOP, 1, 0, GATE_STOPPED);
    return t == TAKEN_DONE ? ask(v, GATE_SOURCE_FOUND) : t;
}

void procedure_next(const struct incident *inc, const struct crash_facts *f, struct crash_next *ret)
{
    struct view v = { .inc = inc, .f = f, .ret = ret };
    const struct event *escalated = incident_last(inc, EVENT_ESCALATED, NULL, NULL);
    v.round = escalated ? escalated->seq : 0;
    *ret = (struct crash_next){ .kind = NEXT_END, .duty = "" };
    enum taken t = TAKEN_DONE;
    if (inc->closed_s)
        t = say(&v, NEXT_CLOSED);
    else if (inc->escalated_s)
        t = say(&v, NEXT_ESCALATED);
    else if (inc->drill)
        t = drill(&v);
    if (t == TAKEN_DONE && !inc->drill)
        t = take_freely(&v, STEP_NOTIFY, 0);
    if (t == TAKEN_DONE && inc->cause == CAUSE_ATTACK)
        t = after_an_attack(&v);
    if (t == TAKEN_DONE && f->conf->standby_on && !f->no_standby && !has_the_mistake(&v))
        t = by_standby(&v);
    if (t != TAKEN_NEXT)
        by_restore(&v);
}

/* --- without a person ------------------------------------------------------------------------------------------------------------ */
static unsigned said(const struct incident *inc, const struct crash_next *n, enum crash_answer a)
{
    unsigned count = 0;
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        if (ev->kind == EVENT_GATE && is_answer(ev, a) && of_attempt(ev, n->attempt) &&
            strcmp(event_text(ev, "gate"), crash_gate_name(n->gate)) == 0)
            count++;
    }
    return count;
}

/* It was not begun: no room, a server that runs, a host that does not allow it. Another backup would be refused as well. */
static bool was_refused(const struct incident *inc, unsigned attempt)
{
    const struct event *last = last_step(inc, STEP_RESTORE, attempt, 0);
    return last && strcmp(end_of(last), "refused") == 0;
}

enum crash_answer procedure_unattended(const struct incident *inc, const struct crash_next *next,
                                       int running, bool host_good)
{
    bool may_again = (next->answers & ANSWER_AGAIN) && said(inc, next, ANSWER_AGAIN) == 0;
    switch (next->gate) {
    case GATE_STOPPED:
        return running == 0 ? ANSWER_YES : may_again ? ANSWER_AGAIN : 0;
    case GATE_SCENE_KEPT:
    case GATE_SWITCHED:
    case GATE_RESEEDED:
    case GATE_SWITCHED_BACK:
        return may_again ? ANSWER_AGAIN : 0;
    case GATE_PROMOTED:
    case GATE_STANDBY_RIGHT:
        return may_again ? ANSWER_AGAIN : ANSWER_NO;
    case GATE_HOST_REPAIRED:
        return host_good ? ANSWER_YES : 0;
    case GATE_REACHABLE:
        if (said(inc, next, ANSWER_YES) < UNATTENDED_REACH)
            return ANSWER_YES;
        return next->other ? 0 : ANSWER_NO;
    case GATE_RESTORE_AGAIN:
        if (said(inc, next, ANSWER_YES) == 0)
            return ANSWER_YES;
        return was_refused(inc, next->attempt) ? 0 : ANSWER_NO;
    case GATE_IN_PART:
        return ANSWER_NO;
    case GATE_STARTED:
        if (!(next->answers & ANSWER_AGAIN)) /* a person starts it */
            return running == 1 ? ANSWER_YES : 0;
        return may_again ? ANSWER_AGAIN : ANSWER_NO;
    case GATE_CHECKED:
        return may_again ? ANSWER_AGAIN : ANSWER_NO;
    case GATE_COPIES:
        return may_again ? ANSWER_AGAIN : ANSWER_NO;
    case GATE_ISOLATED:
    case GATE_STANDBY_AWAY:
    case GATE_FENCED:
        return may_again ? ANSWER_AGAIN : 0;
    default: /* GATE_SOURCE_FOUND, GATE_QUIET */
        return 0;
    }
}

/* --- the plan ----------------------------------------------------------------------------------------------------------------------- */
struct plan {
    const struct crash_facts *f;
    struct plan_line *line;
    size_t n;
};

static void plan_step(struct plan *p, enum crash_step s)
{
    if (p->n == MAX_PLAN_LINES)
        return;
    struct plan_line *l = &p->line[p->n++];
    *l = (struct plan_line){ .step = s, .duty = crash_step_duty(s) };
    l->command = crash_step_command(p->f->conf, s);
    l->limit_s = crash_limit_s(p->f->conf, crash_step_limit(s), p->f->rto_s);
    l->expect_s = p->f->seconds[s];
    if (s == STEP_RESTORE && p->f->n_snapshots > 0 && p->f->restore_bytes_s > 0)
        l->expect_s = p->f->snapshots[0].bytes / p->f->restore_bytes_s + 1;
}

static void plan_gate(struct plan *p, enum crash_gate g)
{
    if (p->n == MAX_PLAN_LINES)
        return;
    p->line[p->n++] = (struct plan_line){ .is_gate = true,
                                          .gate = g,
                                          .duty = crash_gate_duty(g),
                                          .limit_s = crash_limit_s(p->f->conf, LIMIT_GATE, 0) };
}

static void plan_standby(struct plan *p)
{
    plan_step(p, STEP_FENCE);
    plan_step(p, STEP_PROMOTE);
    if (p->f->server || crash_step_command(p->f->conf, STEP_STANDBY_CHECK))
        plan_step(p, STEP_STANDBY_CHECK);
    plan_step(p, STEP_SWITCH);
    plan_step(p, STEP_RESUME);
    plan_step(p, STEP_FACTS);
    plan_gate(p, GATE_HOST_REPAIRED);
    plan_step(p, STEP_RESEED);
    plan_gate(p, GATE_QUIET);
    plan_step(p, STEP_SWITCH_BACK);
    plan_step(p, STEP_CHECK);
}

size_t procedure_plan(const struct crash_facts *f, enum crash_cause cause,
                      struct plan_line ret[MAX_PLAN_LINES])
{
    struct plan p = { .f = f, .line = ret };
    bool attack = cause == CAUSE_ATTACK;
    plan_step(&p, STEP_NOTIFY);
    if (attack) {
        plan_step(&p, STEP_ISOLATE);
        plan_step(&p, STEP_STOP);
        plan_gate(&p, GATE_SOURCE_FOUND);
    }
    if (f->conf->standby_on && !f->no_standby) {
        plan_standby(&p);
        return p.n;
    }
    if (!attack && !f->elsewhere && (f->server || crash_step_command(f->conf, STEP_STOP)))
        plan_step(&p, STEP_STOP);
    if (!f->files_only && !f->elsewhere)
        plan_step(&p, STEP_SCENE);
    plan_step(&p, STEP_FACTS);
    plan_gate(&p, GATE_HOST_REPAIRED);
    plan_step(&p, STEP_RESTORE);
    if (f->server || crash_step_command(f->conf, STEP_START))
        plan_step(&p, STEP_START);
    if (!f->elsewhere)
        plan_step(&p, STEP_CHECK);
    plan_step(&p, STEP_RESUME);
    return p.n;
}
