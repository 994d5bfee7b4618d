/* failback.c - see failback.h. */
#include "restore/incident/failback.h"
#include "lib/base/i18n.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum pair_host host;
    const char *title;
} steps[FB_STEPS] = {
    [FB_FENCE] = { "fence", PAIR_PRIMARY, N_("Keep the old server from taking writes") },
    [FB_PROMOTE] = { "promote", PAIR_STANDBY, N_("Have the standby take over") },
    [FB_CHECK] = { "standby-check", PAIR_STANDBY, N_("Check the standby") },
    [FB_SWITCH] = { "switch", PAIR_STANDBY, N_("Lead clients to the standby") },
    [FB_GIVE_UP] = { "standby-give-up", PAIR_STANDBY, N_("Keep the standby from taking writes") },
    [FB_REFENCE] = { "reseed-fence", PAIR_PRIMARY, N_("Ask whether the host takes no writes") },
    [FB_RESEED] = { "reseed", PAIR_PRIMARY, N_("Make the repaired host follow the standby") },
    [FB_READY] = { "failback-ready", PAIR_PRIMARY, N_("See whether the host is ready") },
    [FB_STOP] = { "failback-stop", PAIR_STANDBY, N_("Stop writes on the standby") },
    [FB_COMPARE] = { "failback-compare", PAIR_PRIMARY, N_("Compare: has the host all of it?") },
    [FB_BACK_PROMOTE] = { "failback-promote", PAIR_PRIMARY, N_("Have the host take writes") },
    [FB_BACK_CHECK] = { "failback-check", PAIR_PRIMARY, N_("Check the host's database") },
    [FB_BACK_SWITCH] = { "failback-switch", PAIR_PRIMARY, N_("Lead clients to the host") },
    [FB_BACK_RESEED] = { "failback-reseed", PAIR_STANDBY, N_("Make the standby follow the host") },
    [FB_BACK_SYNC] = { "failback-sync", PAIR_PRIMARY, N_("Have commits wait for the standby") },
    [FB_UNDO_FENCE] = { "failback-undo-fence", PAIR_PRIMARY,
                        N_("See that the host has taken no writes") },
    [FB_UNDO] = { "failback-undo", PAIR_STANDBY, N_("Have the standby take writes again") },
    [FB_UNDO_SWITCH] = { "failback-undo-switch", PAIR_STANDBY,
                         N_("Lead clients to the standby again") },
};
static const char *const phases[PAIR_PHASES] = {
    [PAIR_AS_EVER] = "as-ever",
    [PAIR_TAKING_OVER] = "taking-over",
    [PAIR_STANDBY_RUNS] = "standby-runs",
    [PAIR_FOLLOWS] = "follows",
    [PAIR_CHANGING_BACK] = "changing-back",
    [PAIR_PRIMARY_RUNS] = "primary-runs",
    [PAIR_WHOLE_AGAIN] = "whole-again",
    [PAIR_GIVEN_UP] = "given-up",
};

const char *failback_step_name(enum failback_step s)
{
    return s < FB_STEPS ? steps[s].name : "";
}

const char *failback_step_title(enum failback_step s)
{
    return s < FB_STEPS ? _(steps[s].title) : "";
}

enum failback_step failback_step_parse(const char *name)
{
    unsigned s = 0;
    while (s < FB_STEPS && strcmp(steps[s].name, name) != 0)
        s++;
    return (enum failback_step)s;
}

enum pair_host failback_step_host(enum failback_step s)
{
    return s < FB_STEPS ? steps[s].host : PAIR_PRIMARY;
}

const char *failback_phase_name(enum failback_phase p)
{
    return p < PAIR_PHASES ? phases[p] : "";
}

const char *failback_phase_text(enum failback_phase p)
{
    switch (p) {
    case PAIR_TAKING_OVER:
        return _("the standby is taking over");
    case PAIR_STANDBY_RUNS:
        return _("the standby runs in place of the primary");
    case PAIR_FOLLOWS:
        return _("the standby runs, and the primary follows it");
    case PAIR_CHANGING_BACK:
        return _("the change back to the primary is under way");
    case PAIR_PRIMARY_RUNS:
        return _("the primary runs again, and the standby does not follow it yet");
    case PAIR_WHOLE_AGAIN:
        return _("the primary runs again, and the standby follows it");
    case PAIR_GIVEN_UP:
        return _("the standby was given up");
    case PAIR_AS_EVER:
    case PAIR_PHASES:
        break;
    }
    return "";
}

/* --- reading the timeline ---------------------------------------------------------------------------------- */
static void forget(struct failback *f, enum failback_step from, enum failback_step to)
{
    for (unsigned s = from; s <= to; s++)
        f->begun[s] = f->done[s] = false;
}

static void intent(struct failback *f, enum failback_step s)
{
    f->begun[s] = true;
    f->done[s] = false;
    f->attempts[s]++;
    switch (s) {
    case FB_PROMOTE:
        f->may_write[PAIR_STANDBY] = true;
        break;
    case FB_STOP: /* where it ended, what was compared, or given up, belongs to an older try */
        f->stopped_at[0] = '\0';
        forget(f, FB_COMPARE, FB_COMPARE);
        forget(f, FB_UNDO_FENCE, FB_UNDO_SWITCH);
        break;
    case FB_BACK_PROMOTE:
        f->may_write[PAIR_PRIMARY] = true;
        forget(f, FB_UNDO_FENCE, FB_UNDO_SWITCH);
        break;
    case FB_UNDO:
        f->may_write[PAIR_STANDBY] = true;
        f->done[FB_STOP] = f->done[FB_COMPARE] = false;
        break;
    default:
        break;
    }
}

static void fenced(struct failback *f, enum pair_host h, bool stated)
{
    f->may_write[h] = false;
    f->stated[h] = stated;
}

static void position_of(const struct event *ev, const char *key, char ret[MAX_POSITION])
{
    const char *text = json_string_value(json_object_get(json_object_get(ev->body, "facts"), key));
    if (text && text[0])
        snprintf(ret, MAX_POSITION, "%s", text);
}

static void facts_of_done(struct failback *f, enum failback_step s, const struct event *ev)
{
    const json_t *facts = json_object_get(ev->body, "facts");
    if (s == FB_FENCE || (s == FB_REFENCE && !f->fenced_at[0] && f->attempts[FB_RESEED] == 0))
        position_of(ev, "position", f->fenced_at);
    if (s == FB_FENCE) {
        position_of(ev, "standby_position", f->promoted_at);
        f->last_commit_s = json_integer_value(json_object_get(facts, "standby_last_commit_s"));
    }
    if (s == FB_STOP)
        position_of(ev, "position", f->stopped_at);
    if (s == FB_PROMOTE) {
        position_of(ev, "position", f->promoted_at);
        f->last_commit_s = json_integer_value(json_object_get(facts, "last_commit_s"));
    }
    if (s == FB_PROMOTE || s == FB_UNDO || s == FB_BACK_PROMOTE)
        f->serves_since_s = ev->at_s;
}

static void done(struct failback *f, enum failback_step s, const struct event *ev)
{
    bool proven = json_is_true(json_object_get(json_object_get(ev->body, "facts"), "proven"));
    f->done[s] = true;
    facts_of_done(f, s, ev);
    switch (s) {
    case FB_FENCE:
    case FB_REFENCE:
    case FB_UNDO_FENCE:
    case FB_STOP:
    case FB_GIVE_UP: /* a stated one has been noted by its gate */
        if (proven)
            fenced(f, steps[s].host, false);
        break;
    case FB_UNDO_SWITCH: /* the standby serves as before */
        forget(f, FB_READY, FB_BACK_SYNC);
        forget(f, FB_UNDO_FENCE, FB_UNDO_SWITCH);
        f->stopped_at[0] = '\0';
        break;
    default:
        break;
    }
}

/* What a person has done, or says, in place of a command. */
static void take_gate(struct failback *f, const struct event *ev)
{
    static const struct {
        const char *gate;
        enum failback_step step;
    } by_hand[] = { { "promoted", FB_PROMOTE },
                    { "standby-right", FB_CHECK },
                    { "switched", FB_SWITCH },
                    { "reseeded", FB_RESEED } };
    const char *gate = event_text(ev, "gate"), *answer = event_text(ev, "answer");
    if (strcmp(answer, "yes") != 0 && strcmp(answer, "override") != 0)
        return;
    if (strcmp(gate, "fenced") == 0) {
        fenced(f, PAIR_PRIMARY, true);
        f->begun[FB_FENCE] = f->done[FB_FENCE] = true;
    }
    if (strcmp(gate, GATE_STANDBY_OFF) == 0)
        fenced(f, PAIR_STANDBY, true);
    for (size_t i = 0; i < sizeof by_hand / sizeof *by_hand; i++)
        if (strcmp(gate, by_hand[i].gate) == 0) {
            intent(f, by_hand[i].step);
            done(f, by_hand[i].step, ev);
        }
    if (strcmp(gate, "switched-back") == 0) {
        intent(f, FB_BACK_PROMOTE);
        fenced(f, PAIR_STANDBY, true);
        for (unsigned s = FB_READY; s <= FB_BACK_SYNC; s++)
            f->begun[s] = f->done[s] = true;
        f->serves_since_s = ev->at_s;
    }
}

static void take_opening(struct failback *f, const struct event *ev)
{
    const json_t *settings = json_object_get(ev->body, "settings");
    if (json_is_true(json_object_get(settings, "standby_lost")))
        f->lost = f->may_write[PAIR_STANDBY] = true;
}

/* It was asked, and did not say that it takes none: what was proven or stated before counts no more. */
static void refused(struct failback *f, enum failback_step s, const struct event *ev)
{
    if (s != FB_GIVE_UP ||
        !json_is_true(json_object_get(json_object_get(ev->body, "facts"), "refused")))
        return;
    f->may_write[PAIR_STANDBY] = true;
    f->stated[PAIR_STANDBY] = f->done[FB_GIVE_UP] = false;
}

void failback_take(struct failback *f, const struct event *ev)
{
    if (ev->kind == EVENT_OPENED)
        take_opening(f, ev);
    if (ev->kind == EVENT_GATE)
        take_gate(f, ev);
    if (ev->kind != EVENT_STEP)
        return;
    enum failback_step s = failback_step_parse(event_text(ev, "step"));
    const char *state = event_text(ev, "state");
    if (s == FB_STEPS)
        return;
    if (strcmp(state, "intent") == 0)
        intent(f, s);
    else if (strcmp(state, "done") == 0 || strcmp(state, "skipped") == 0)
        done(f, s, ev);
    else if (strcmp(state, "failed") == 0)
        refused(f, s, ev);
}

void failback_of(const struct incident *inc, struct failback *ret)
{
    *ret = FAILBACK_INIT;
    for (size_t i = 0; i < inc->n; i++)
        failback_take(ret, &inc->events[i]);
}

/* --- where it stands ------------------------------------------------------------------------------------------ */
enum failback_phase failback_phase_of(const struct failback *f)
{
    if (f->done[FB_GIVE_UP])
        return PAIR_GIVEN_UP;
    if (f->done[FB_BACK_SWITCH])
        return f->done[FB_BACK_RESEED] ? PAIR_WHOLE_AGAIN : PAIR_PRIMARY_RUNS;
    if (f->begun[FB_STOP])
        return PAIR_CHANGING_BACK;
    if (f->done[FB_SWITCH])
        return f->done[FB_RESEED] ? PAIR_FOLLOWS : PAIR_STANDBY_RUNS;
    return f->begun[FB_FENCE] ? PAIR_TAKING_OVER : PAIR_AS_EVER;
}

enum pair_host failback_serves(const struct failback *f)
{
    if (f->may_write[PAIR_STANDBY])
        return PAIR_STANDBY;
    if (f->may_write[PAIR_PRIMARY])
        return PAIR_PRIMARY;
    return f->begun[FB_STOP] && !f->begun[FB_BACK_PROMOTE] ? PAIR_STANDBY : PAIR_PRIMARY;
}

bool failback_in_doubt(const struct failback *f)
{
    return f->lost || f->attempts[FB_PROMOTE] > 0;
}

static enum failback_step first_open(const struct failback *f, enum failback_step from,
                                     enum failback_step to)
{
    unsigned s = from;
    while (s <= to && f->done[s])
        s++;
    return s <= to ? (enum failback_step)s : FB_STEPS;
}

static enum failback_step next_undo(const struct failback *f)
{
    bool safe = !f->may_write[PAIR_PRIMARY] && !f->begun[FB_BACK_PROMOTE];
    if (safe || f->done[FB_UNDO_FENCE])
        return first_open(f, FB_UNDO, FB_UNDO_SWITCH);
    return FB_UNDO_FENCE;
}

enum failback_step failback_next(const struct failback *f, bool undo)
{
    if (failback_why_not(f, undo))
        return FB_STEPS;
    if (undo)
        return next_undo(f);
    /* asked anew however long ago that was */
    return f->begun[FB_STOP] ? first_open(f, FB_STOP, FB_BACK_SYNC)
                             : first_open(f, FB_READY, FB_BACK_SYNC);
}

const char *failback_why_not(const struct failback *f, bool undo)
{
    enum failback_phase p = failback_phase_of(f);
    if (p == PAIR_GIVEN_UP)
        return _("the standby was given up");
    if (p == PAIR_AS_EVER || p == PAIR_TAKING_OVER)
        return _("the standby has not taken over");
    if (!undo)
        return p == PAIR_STANDBY_RUNS ? _("the primary does not follow the standby yet") : NULL;
    if (f->done[FB_BACK_PROMOTE])
        return _("the primary takes writes already: what it accepted would be lost");
    return f->begun[FB_STOP] ? NULL : _("no change back was begun");
}

static const char *writes_already(enum pair_host h)
{
    return h == PAIR_PRIMARY ? _("the primary is not known to take no writes")
                             : _("the standby is not known to take no writes");
}

/* Which step must have been done before. */
static enum failback_step before(enum failback_step s)
{
    switch (s) {
    case FB_PROMOTE:
    case FB_CHECK:
    case FB_SWITCH:
    case FB_RESEED:
    case FB_STOP:
    case FB_COMPARE:
    case FB_BACK_PROMOTE:
    case FB_BACK_CHECK:
    case FB_BACK_SWITCH:
    case FB_BACK_RESEED:
    case FB_BACK_SYNC:
    case FB_UNDO_SWITCH:
        return (enum failback_step)(s - 1);
    case FB_REFENCE:
        return FB_SWITCH;
    case FB_READY:
        return FB_RESEED;
    default:
        return FB_STEPS;
    }
}

/* Of the two of which one is to take writes, or to lose what it has. */
static const char *writers(const struct failback *f, enum failback_step s)
{
    if ((s == FB_PROMOTE || s == FB_UNDO || s == FB_RESEED) && f->may_write[PAIR_PRIMARY])
        return writes_already(PAIR_PRIMARY);
    if ((s == FB_BACK_PROMOTE || s == FB_BACK_RESEED) && f->may_write[PAIR_STANDBY])
        return writes_already(PAIR_STANDBY);
    if (s == FB_UNDO && f->begun[FB_BACK_PROMOTE] && !f->done[FB_UNDO_FENCE])
        return writes_already(PAIR_PRIMARY);
    return NULL;
}

static const char *out_of_turn(const struct failback *f, enum failback_step s)
{
    enum failback_step first = before(s);
    switch (s) {
    case FB_FENCE:
    case FB_PROMOTE:
        return f->attempts[FB_SWITCH] > 0 ? _("the standby has taken over") : NULL;
    case FB_GIVE_UP:
        return f->attempts[FB_SWITCH] > 0
                   ? _("clients were led to the standby: what it accepted would be lost")
                   : NULL;
    case FB_STOP:
        if (f->begun[FB_BACK_PROMOTE])
            return _("the primary serves again");
        break;
    case FB_REFENCE:
    case FB_RESEED:
    case FB_READY:
        if (f->begun[FB_STOP])
            return _("the change back has begun");
        break;
    case FB_UNDO_FENCE:
    case FB_UNDO:
    case FB_UNDO_SWITCH:
        return failback_why_not(f, true);
    default:
        break;
    }
    return first < FB_STEPS && !f->done[first] ? _("the step before it is not done") : NULL;
}

bool failback_may(const struct failback *f, enum failback_step s, const char **ret_why)
{
    const char *why = writers(f, s);
    if (!why && s == FB_PROMOTE && !f->done[FB_FENCE])
        why = writes_already(PAIR_PRIMARY);
    if (!why)
        why = out_of_turn(f, s);
    if (!why && s == FB_UNDO_SWITCH && !f->done[FB_UNDO])
        why = _("the step before it is not done");
    if (ret_why)
        *ret_why = why;
    return why == NULL;
}

/* --- positions ---------------------------------------------------------------------------------------------------- */
struct position {
    bool lsn;
    uint64_t at, timeline;
};

static bool number(const char **p, int base, uint64_t max, uint64_t *ret)
{
    static const char digits[] = "0123456789ABCDEFabcdef";
    size_t n = strspn(*p, base == 10 ? "0123456789" : digits);
    char text[24];
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, *p, n);
    text[n] = '\0';
    *p += n;
    char *end = NULL;
    unsigned long long v = strtoull(text, &end, base);
    *ret = v;
    return v <= max && (v < UINT64_MAX || max == UINT64_MAX) && *end == '\0';
}

static bool position_read(const char *text, struct position *ret)
{
    const char *p = text;
    uint64_t high = 0, low = 0;
    *ret = (struct position){ 0 };
    if (!strchr(text, '/'))
        return number(&p, 10, UINT64_MAX - 1, &ret->at) && *p == '\0';
    if (!number(&p, 16, UINT32_MAX, &high) || *p++ != '/' || !number(&p, 16, UINT32_MAX, &low) ||
        *p++ != '@' || !number(&p, 10, UINT32_MAX, &ret->timeline) || *p != '\0')
        return false;
    ret->lsn = true;
    ret->at = high << 32 | low;
    return true;
}

enum position_verdict position_compare(const char *need, const char *has, uint64_t *ret_missing)
{
    struct position a, b;
    if (ret_missing)
        *ret_missing = 0;
    if (!position_read(need, &a) || !position_read(has, &b) || a.lsn != b.lsn)
        return POSITION_UNKNOWN;
    if (a.timeline != b.timeline)
        return POSITION_ELSEWHERE;
    if (b.at >= a.at)
        return POSITION_HAS_ALL;
    if (ret_missing)
        *ret_missing = a.at - b.at;
    return POSITION_BEHIND;
}

/* The last line that begins with one: what a command warned of comes before or after. */
bool position_parse(const char *output, char ret[MAX_POSITION], int64_t *ret_last_commit_s)
{
    static const char key[] = "last-commit=";
    bool found = false;
    if (ret_last_commit_s)
        *ret_last_commit_s = 0;
    for (const char *line = output; line && *line;) {
        size_t n = strcspn(line, "\n"), word = strcspn(line, " \n");
        struct position p;
        char text[MAX_POSITION];
        if (word > 0 && word < sizeof text) {
            memcpy(text, line, word);
            text[word] = '\0';
            if (position_read(text, &p)) {
                found = true;
                memcpy(ret, text, word + 1);
                const char *commit = strstr(line, key);
                if (ret_last_commit_s)
                    *ret_last_commit_s = commit && commit < line + n
                                             ? strtoll(commit + sizeof key - 1, NULL, 10)
                                             : 0;
            }
        }
        line += n + (line[n] == '\n');
    }
    return found;
}

/* --- what was lost ----------------------------------------------------------------------------------------------------- */
void failback_loss(const struct failback *f, int64_t crashed_s, char ret_text[LOSS_TEXT_BYTES],
                   int64_t *ret_gap_s)
{
    uint64_t missing = 0;
    enum position_verdict v = position_compare(f->fenced_at, f->promoted_at, &missing);
    *ret_gap_s = -1;
    if (v == POSITION_HAS_ALL) {
        *ret_gap_s = 0;
        snprintf(ret_text, LOSS_TEXT_BYTES,
                 _("nothing is lost: the old primary's log ended at %s, and the standby had it to "
                   "%s when it was promoted"),
                 f->fenced_at, f->promoted_at);
        return;
    }
    if (f->last_commit_s > 0 && crashed_s > 0)
        *ret_gap_s = crashed_s > f->last_commit_s ? crashed_s - f->last_commit_s : 0;
    if (v == POSITION_BEHIND)
        snprintf(ret_text, LOSS_TEXT_BYTES,
                 _("the old primary's log ended at %s, and the standby had it to %s when it was "
                   "promoted: what was committed in the %" PRIu64
                   " bytes between is not on the standby; it lies on the old primary's disk"),
                 f->fenced_at, f->promoted_at, missing);
    else
        snprintf(
            ret_text, 640,
            _("how far the old primary was is not known%s%s; the standby was at %s when it was "
              "promoted, and what was committed later on the old primary is not there"),
            f->fenced_at[0] ? ": " : "", f->fenced_at, f->promoted_at[0] ? f->promoted_at : "?");
}
