/* say.c - what a person under stress reads, at 80 columns: which step, what happens now, how long, what was found, what to do next. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/wire/hooks.h"
#include "orchestrator/crash/clock.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/gather.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"
#include "restore/incident/failback.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INDENT 10
#define DEFAULT_COLUMNS 80

/* Some of it comes from other hosts: nothing in it steers the terminal, and no line of it looks like one of ours. */
void crash_line(struct crash *c, size_t indent, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    if (c->app->ui.json || c->app->ui.quiet)
        return;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    size_t columns = c->app->ui.out_columns ? c->app->ui.out_columns : DEFAULT_COLUMNS;
    for (char *at = text, *next = text; next; at = next) {
        if ((next = strchr(at, '\n')))
            *next++ = '\0';
        char *clean = text_clean(at, strlen(at), false);
        char *line = text_print("%*s%s", (int)(at == text || indent > 0 ? indent : INDENT), "",
                                clean);
        text_put_line(stdout, line, indent, columns);
        free(line);
        free(clean);
    }
    fflush(stdout);
    free(text);
}

static const char *clock_of(int64_t s, char out[16])
{
    time_t t = (time_t)s;
    struct tm tm;
    if (!localtime_r(&t, &tm) || strftime(out, 16, "%H:%M:%S", &tm) == 0)
        snprintf(out, 16, "--:--:--");
    return out;
}

static const char *now(char out[16])
{
    return clock_of(sys_realtime_s(), out);
}

const char *crash_span(uint64_t s, char out[64])
{
    if (s < 120)
        snprintf(out, 64, _("%" PRIu64 " s"), s);
    else if (s < (uint64_t)2 * 3600)
        snprintf(out, 64, _("%" PRIu64 " min"), (s + 30) / 60);
    else if (s % 3600 < 60)
        snprintf(out, 64, _("%" PRIu64 " h"), s / 3600);
    else
        snprintf(out, 64, _("%" PRIu64 " h %" PRIu64 " min"), s / 3600, s % 3600 / 60);
    return out;
}

/* "about 5 s, at most 10 min" */
static void how_long(uint64_t expect_s, uint64_t limit_s, char out[160])
{
    char about[64], most[64];
    if (expect_s > 0)
        snprintf(out, 160, _("about %s, at most %s"), crash_span(expect_s, about),
                 crash_span(limit_s, most));
    else
        snprintf(out, 160, _("at most %s"), crash_span(limit_s, most));
}

/* --- the beginning --------------------------------------------------------------------------------------------------- */
static const char *cause_word(const struct incident *inc)
{
    return inc->cause == CAUSE_ATTACK     ? _("an attack")
           : inc->cause == CAUSE_DISASTER ? _("a disaster")
           : incident_sign_s(inc) > 0     ? _("a mistake")
                                          : _("a fault");
}

void crash_say_opening(struct crash *c)
{
    const struct incident *inc = c->inc;
    char when[32];
    ui_json(&c->app->ui,
            json_pack("{s:s, s:s, s:s, s:s, s:I}", "type", "incident", "incident", inc->id,
                      "policy", inc->policy, "cause", crash_cause_name(inc->cause), "opened",
                      (json_int_t)inc->opened_s));
    crash_line(c, 0, _("INCIDENT %s   cause: %s   opened %s"), inc->id, cause_word(inc),
               time_text(inc->opened_s, when));
    crash_line(c, 2, _("What people see or do:  twofold crash note %s \"TEXT\""), inc->id);
    crash_line(c, 2, _("How it stands:          twofold crash status %s"), inc->id);
    crash_line(c, 2, _("Cut off? Go on with:    twofold crash resume %s"), inc->id);
}

/* --- steps ---------------------------------------------------------------------------------------------------------------- */
static void say_what_it_does(struct crash *c, const struct crash_next *n)
{
    const struct crash_command *cmd = crash_step_command(c->facts.conf, n->step);
    char *line = cmd ? hook_line(cmd->words, cmd->n) : NULL;
    if (line)
        crash_line(c, INDENT, "%s", line);
    free(line);
    switch (n->step) {
    case STEP_NOTIFY:
        crash_line(
            c, INDENT, "%s",
            _("the security officer is told; subordinate units are told to hold their uploads"));
        break;
    case STEP_SCENE:
        crash_line(c, INDENT, "%s",
                   _("what lies there is renamed, never deleted; its log is used in the restore"));
        break;
    case STEP_FACTS:
        crash_line(c, INDENT, "%s",
                   _("disks, file systems, free space, programs, clock; nothing is changed"));
        break;
    default:
        break;
    }
}

static void say_restore(struct crash *c, const struct crash_next *n)
{
    char hex[ID_HEX_BYTES], when[32], size[32];
    id_hex(&n->id, hex);
    if (n->snapshot && n->from[0])
        crash_line(c, INDENT, _("backup %.8s of %s, from the copy \"%s\" alone"), hex,
                   time_text(n->snapshot->received_s, when), n->from);
    else if (n->snapshot)
        crash_line(c, INDENT,
                   _("backup %.8s of %s, each piece from the first copy that has it whole"), hex,
                   time_text(n->snapshot->received_s, when));
    if (n->snapshot && n->snapshot->bytes > 0)
        crash_line(c, INDENT, _("%s to restore, then verified"),
                   ui_bytes(n->snapshot->bytes, size));
    if (c->o.to)
        crash_line(c, INDENT, _("to %s"), c->o.to);
}

void crash_say_step(struct crash *c, const struct crash_next *n)
{
    char at[16], long_[160], nth[32] = "";
    if (n->step == STEP_RESTORE)
        snprintf(nth, sizeof nth, " %u", n->attempt);
    how_long(n->expect_s, n->limit_s, long_);
    crash_line(c, 0, "%s  %s%s  [%s]  %s", now(at), crash_step_title(n->step), nth, n->duty, long_);
    if (n->again)
        crash_line(c, INDENT, "%s", _("it was cut off, and is taken again"));
    if (n->step == STEP_RESTORE)
        say_restore(c, n);
    else
        say_what_it_does(c, n);
}

void crash_say_outcome(struct crash *c, const struct crash_next *n, const struct step_result *r,
                       uint64_t ms)
{
    char at[16];
    (void)n;
    if (r->cut)
        crash_line(c, 0, _("%s    CUT OFF: %s"), now(at), r->text);
    else if (r->failed)
        crash_line(c, 0, _("%s    FAILED after %" PRIu64 ".%" PRIu64 " s: %s"), now(at), ms / 1000,
                   ms / 100 % 10, r->text);
    else
        crash_line(c, 0, _("%s    done, %" PRIu64 ".%" PRIu64 " s%s%s"), now(at), ms / 1000,
                   ms / 100 % 10, r->text[0] ? ": " : "", r->text);
    if (r->next[0])
        crash_line(c, INDENT, _("next: %s"), r->next);
}

/* --- gates ------------------------------------------------------------------------------------------------------------------- */
void crash_say_host(struct crash *c)
{
    static const struct {
        const char *verdict, *word;
    } words[] = { { "good", N_("good    ") },
                  { "doubtful", N_("DOUBTFUL") },
                  { "bad", N_("BAD     ") },
                  { "unknown", N_("unknown ") } };
    size_t i;
    json_t *fact;
    if (!c->host)
        crash_line(c, INDENT, "%s", _("nobody could look at the host"));
    json_array_foreach(json_object_get(c->host, "facts"), i, fact)
    {
        const char *verdict = json_string_value(json_object_get(fact, "verdict"));
        const char *text = json_string_value(json_object_get(fact, "text"));
        const char *place = json_string_value(json_object_get(fact, "place"));
        const char *name = json_string_value(json_object_get(fact, "fact"));
        const char *word = "";
        for (size_t k = 0; verdict && k < sizeof words / sizeof *words; k++)
            if (strcmp(words[k].verdict, verdict) == 0)
                word = _(words[k].word);
        crash_line(c, INDENT, "%s %s%s%s: %s", word, name ? name : "", place && *place ? " " : "",
                   place ? place : "", text ? text : "");
    }
}

static void say_answers(struct crash *c, const struct crash_next *n)
{
    for (unsigned a = ANSWER_YES; a <= ANSWER_OVERRIDE; a <<= 1)
        if (n->answers & a)
            crash_line(c, INDENT, "twofold crash resume %s --answer %s=%s%s", c->inc->id,
                       crash_gate_name(n->gate), crash_answer_name(a),
                       a == ANSWER_OVERRIDE ? " --why TEXT" : "");
    if (n->gate == GATE_SOURCE_FOUND && c->inc->first_sign_s == 0)
        crash_line(c, INDENT, "%s",
                   _("--first-sign TIME says when it began: only backups from before are taken"));
}

/* Which backup it is about, and where it can only be. */
static void say_away(struct crash *c, const struct crash_snapshot *s)
{
    char when[32];
    if (id_is_zero(&s->id))
        crash_line(c, INDENT, "%s",
                   _("a later state than what can be read now was seen here, and the catalog does "
                     "not tell what is in it: there may be a newer backup"));
    else
        crash_line(c, INDENT, _("the backup of %s is in none of the copies that can be read now"),
                   time_text(s->received_s, when));
    for (size_t i = 0; c->vault && i < c->vault->n_copies; i++)
        if (c->vault->copies[i].state == COPY_AWAY)
            crash_line(c, INDENT, _("copy \"%s\" cannot be reached: %s"), c->vault->copies[i].place,
                       c->vault->copies[i].problem.why);
}

/* What a no costs. */
static void say_other(struct crash *c, const struct crash_next *n)
{
    char when[32], span[64];
    if (!n->other && n->snapshot->away)
        crash_line(c, INDENT, "%s", _("no: there is no other backup to take"));
    if (!n->other)
        return;
    int64_t older = n->snapshot->received_s - n->other->received_s;
    if (older > 0)
        crash_line(c, INDENT, _("no: the backup of %s is taken instead, which is %s older"),
                   time_text(n->other->received_s, when), crash_span((uint64_t)older, span));
    else
        crash_line(c, INDENT, _("no: the backup of %s is taken instead"),
                   time_text(n->other->received_s, when));
}

void crash_say_gate(struct crash *c, const struct crash_next *n, bool waits)
{
    char at[16], limit[64];
    crash_line(c, 0, _("%s  QUESTION  [%s]  to be answered within %s"), now(at), n->duty,
               crash_span(n->limit_s, limit));
    crash_line(c, INDENT, "%s", crash_gate_question(n->gate));
    if (n->gate == GATE_HOST_REPAIRED)
        crash_say_host(c);
    if (n->gate == GATE_REACHABLE && n->snapshot && n->snapshot->away)
        say_away(c, n->snapshot);
    if (n->gate == GATE_REACHABLE && n->snapshot)
        say_other(c, n);
    if (waits)
        say_answers(c, n);
    ui_json(&c->app->ui, json_pack("{s:s, s:s, s:s, s:o, s:i, s:I, s:O?}", "type", "gate",
                                   "incident", c->inc->id, "gate", crash_gate_name(n->gate),
                                   "question", event_json(crash_gate_question(n->gate), 0),
                                   "answers", (int)n->answers, "limit_s", (json_int_t)n->limit_s,
                                   "host", n->gate == GATE_HOST_REPAIRED ? c->host : NULL));
}

void crash_say_approval(struct crash *c, const struct crash_next *n)
{
    char at[16];
    crash_line(c, 0, _("%s  A SECOND PERSON must agree to: %s  [%s]"), now(at),
               crash_step_title(n->step), n->duty);
    crash_line(c, INDENT, "%s", _("another operator, with a login of their own:"));
    crash_line(c, INDENT + 2, "twofold crash approve %s", c->inc->id);
    crash_line(c, INDENT, "%s", _("or with a sealed one-time code:"));
    crash_line(c, INDENT + 2, "twofold crash approve %s --code", c->inc->id);
    crash_line(c, INDENT, "%s", _("or by telephone, by the leader on duty:"));
    crash_line(c, INDENT + 2, "twofold crash approve %s --by-telephone --approved-by NAME",
               c->inc->id);
    crash_line(c, INDENT, "%s", _("--step all agrees to all later steps, too:"));
    crash_line(c, INDENT + 2, "twofold crash approve %s --step all", c->inc->id);
    crash_line(c, INDENT, _("then: twofold crash resume %s"), c->inc->id);
    ui_json(&c->app->ui, json_pack("{s:s, s:s, s:s}", "type", "approval", "incident", c->inc->id,
                                   "step", crash_step_name(n->step)));
}

/* --- ends ------------------------------------------------------------------------------------------------------------------------- */
static void say_person(struct crash *c, const char *role, const char *letter,
                       const struct person *p)
{
    if (p->name)
        crash_line(c, INDENT, "%-16s %s  %s%s%s  %s", role, letter, p->name, p->unit ? ", " : "",
                   p->unit ? p->unit : "",
                   p->phone  ? p->phone
                   : p->mail ? p->mail
                             : "-");
}

static void say_roles(struct crash *c, const char *const roles[], size_t n)
{
    for (size_t i = 0; c->contacts && i < n; i++) {
        const struct role *r = contacts_role(c->contacts, roles[i]);
        if (!r)
            continue;
        say_person(c, r->name, "A", &r->a);
        say_person(c, "", "B", &r->b);
    }
    if (c->contacts_broken)
        crash_line(c, INDENT, "%s",
                   _("contacts.yaml cannot be read: take the printed handbook now, and mend the "
                     "file; what is wrong: twofold policy lint"));
    else if (!c->contacts || c->contacts->n_roles == 0)
        crash_line(c, INDENT, "%s", _("no contacts are known here: take the printed handbook"));
}

void crash_say_officer(struct crash *c)
{
    static const char *const roles[] = { "security-officer" };
    if (!c->contacts || c->contacts->n_roles == 0)
        return;
    crash_line(c, INDENT, "%s", _("by telephone, if nobody answers:"));
    say_roles(c, roles, 1);
}

static void say_attempts(struct crash *c)
{
    struct crash_attempt all[MAX_CRASH_ATTEMPTS];
    size_t n = procedure_attempts(c->inc, all, MAX_CRASH_ATTEMPTS);
    char when[32];
    for (size_t i = 0; i < n; i++) {
        const json_t *f = json_object_get(all[i].last->body, "facts");
        const char *hex = json_string_value(json_object_get(f, "snapshot"));
        const char *from = json_string_value(json_object_get(f, "from"));
        crash_line(c, INDENT, "%u. %.8s (%s)%s%s: %s", all[i].number, hex ? hex : "",
                   time_text(json_integer_value(json_object_get(f, "received")), when),
                   from && *from ? " @ " : "", from ? from : "",
                   all[i].why[0] ? all[i].why : event_text(all[i].last, "state"));
    }
}

void crash_say_escalated(struct crash *c)
{
    static const char *const roles[] = { "vendor", "superior-unit", "security-officer",
                                         "office-head" };
    const struct event *ev = incident_last(c->inc, EVENT_ESCALATED, NULL, NULL);
    char at[16];
    crash_line(c, 0, _("%s  ESCALATED  [PY-DB-6]  %s"), clock_of(ev ? ev->at_s : 0, at),
               ev ? event_text(ev, "why") : "");
    crash_line(c, INDENT, "%s", _("What was tried, and why it failed:"));
    say_attempts(c);
    crash_line(c, INDENT, "%s", _("CALL NOW, for urgent support:"));
    say_roles(c, roles, sizeof roles / sizeof *roles);
    crash_line(c, INDENT, "%s",
               _("Do not delete anything: copies, the scene and what restores set aside stay."));
    crash_line(c, INDENT, _("When there is something new to try: twofold crash resume %s"),
               c->inc->id);
    ui_json(&c->app->ui, json_pack("{s:s, s:s, s:o}", "type", "escalated", "incident", c->inc->id,
                                   "why", event_json(ev ? event_text(ev, "why") : "", 0)));
}

/* What somebody has to do yet, by the commands that end it; closing ends the reminders. */
static void say_to_do(struct crash *c)
{
    struct duty_list l = { 0 };
    int rc = crash_duties(&c->app->paths, c->inc, watch_now_s(), &l, NULL);
    crash_line(c, INDENT, "%s",
               _("Still to do: a new backup, what has a time limit, and then closing it:"));
    crash_line(c, INDENT + 2, "twofold backup %s", c->inc->policy);
    for (size_t i = 0; rc == 0 && i < l.n; i++)
        if (l.all[i].state < DUTY_DONE && strcmp(l.all[i].id, "action") != 0)
            crash_line(c, INDENT + 2, "%s", l.all[i].next);
    crash_line(c, INDENT + 2, "twofold crash close %s", c->inc->id);
    duties_done(&l);
}

/* Of the backup that was restored. */
static const json_t *restored(const struct incident *inc)
{
    const struct event *ev = incident_last(inc, EVENT_STEP, "step", "restore");
    return json_object_get(ev ? ev->body : NULL, "facts");
}

/* A person's no took an older backup than there is: what the newer one has is not lost. */
static void say_given_up(struct crash *c)
{
    const struct event *ev = incident_last(c->inc, EVENT_GATE, "gate",
                                           crash_gate_name(GATE_REACHABLE));
    const json_t *away = json_object_get(ev ? ev->body : NULL, "away"), *one;
    int64_t received = ev ? event_int(ev, "received") : 0;
    char when[32];
    size_t i;
    const json_t *taken = restored(c->inc);
    const char *id = json_string_value(json_object_get(taken, "snapshot"));
    if (!ev || strcmp(event_text(ev, "answer"), crash_answer_name(ANSWER_NO)) != 0 || !id ||
        strcmp(id, event_text(ev, "snapshot")) == 0 ||
        received < json_integer_value(json_object_get(taken, "received")))
        return;
    struct id newer;
    bool known = id_parse(event_text(ev, "snapshot"), &newer) && !id_is_zero(&newer);
    if (!known)
        crash_line(c, INDENT, "%s",
                   _("There may be a newer backup, in a copy that could not be reached; once it "
                     "can, see:"));
    else
        crash_line(c, INDENT,
                   _("A newer backup, of %s, was given up. It lies in a copy that could not "
                     "be reached; once it can, what is missing is in it:"),
                   time_text(received, when));
    json_array_foreach(away, i, one) if (json_is_string(one))
        crash_line(c, INDENT + 2, _("copy \"%s\""), json_string_value(one));
    if (known)
        crash_line(c, INDENT + 2, "twofold restore %s --snapshot %.12s --to FOLDER", c->inc->policy,
                   event_text(ev, "snapshot"));
    else
        crash_line(c, INDENT + 2, "twofold snapshots %s", c->inc->policy);
}

void crash_say_end(struct crash *c)
{
    const struct incident *inc = c->inc;
    const struct event *loss = incident_last(inc, EVENT_LOSS, NULL, NULL);
    char at[16], span[64];
    if (inc->closed_s) {
        crash_line(c, 0, _("%s  the incident %s is closed"), clock_of(inc->closed_s, at), inc->id);
    } else {
        crash_line(c, 0, _("%s  RECOVERED, %s after the incident was opened"),
                   clock_of(inc->recovered_s, at),
                   crash_span((uint64_t)(inc->recovered_s - inc->opened_s), span));
        if (loss)
            crash_line(c, INDENT, "%s", event_text(loss, "text"));
        say_given_up(c);
        say_to_do(c);
    }
    ui_json(&c->app->ui, json_pack("{s:s, s:s, s:I, s:I, s:O?}", "type", "recovered", "incident",
                                   inc->id, "recovered", (json_int_t)inc->recovered_s, "closed",
                                   (json_int_t)inc->closed_s, "loss", loss ? loss->body : NULL));
}

/* --- the plan ------------------------------------------------------------------------------------------------------------------------ */
static void say_plan_line(struct crash *c, size_t number, const struct plan_line *l)
{
    char long_[160], limit[64];
    if (l->is_gate) {
        crash_line(c, 0, _("%3zu. [ ] QUESTION: %s  [%s]  within %s"), number,
                   crash_gate_name(l->gate), l->duty, crash_span(l->limit_s, limit));
        crash_line(c, 9, "%s", crash_gate_question(l->gate));
        return;
    }
    how_long(l->expect_s, l->limit_s, long_);
    crash_line(c, 0, "%3zu. [ ] %s  [%s]  %s", number, crash_step_title(l->step), l->duty, long_);
    if (l->command) {
        char *line = hook_line(l->command->words, l->command->n);
        crash_line(c, 9, "%s", line ? line : "");
        free(line);
    } else if (l->step == STEP_STOP || l->step == STEP_START || l->step == STEP_ISOLATE) {
        crash_line(c, 9, "%s", _("by hand: the policy has no command for it"));
    }
    if (crash_step_destroys(l->step) && c->facts.conf->approve_two)
        crash_line(c, 9, "%s", _("a second person must agree"));
}

void crash_say_plan(struct crash *c, enum crash_cause cause, const char *start)
{
    static const char *const roles[] = { "security-officer", "office-head",   "operator",
                                         "vendor",           "superior-unit", "leading-group" };
    struct plan_line lines[MAX_PLAN_LINES];
    size_t n = procedure_plan(&c->facts, cause, lines);
    char when[32];
    crash_line(c, 0, _("CRASH PLAN of the policy \"%s\"   cause: %s   printed %s"), c->inc->policy,
               cause_word(c->inc), time_text(sys_realtime_s(), when));
    crash_line(c, 0, _("Start it: %s"), start);
    crash_line(c, 0, "%s", "");
    for (size_t i = 0; i < n; i++)
        say_plan_line(c, i + 1, &lines[i]);
    crash_line(c, 0, "%s", "");
    if (!c->facts.conf->standby_on || c->facts.no_standby)
        crash_line(
            c, 0, "%s",
            c->facts.conf->strict
                ? _("A restore that fails: the next copy alone, then older backups, then the vendor.")
                : _("A restore that fails: the next older backup, then the vendor. Each piece "
                    "comes from the first copy that has it whole."));
    crash_line(c, 0, "%s", "");
    crash_line(c, 0, "%s", _("WHO IS CALLED"));
    say_roles(c, roles, sizeof roles / sizeof *roles);
    for (size_t i = 0; c->contacts && i < c->contacts->n_units; i++) {
        const struct unit_contact *u = &c->contacts->units[i];
        crash_line(c, INDENT, _("uploads held:    %s, %s, %s"), u->name,
                   u->contact ? u->contact : "-",
                   u->phone  ? u->phone
                   : u->mail ? u->mail
                             : "-");
    }
    json_t *steps = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            steps,
            json_pack("{s:s, s:s, s:s, s:I, s:I}", lines[i].is_gate ? "gate" : "step",
                      lines[i].is_gate ? crash_gate_name(lines[i].gate)
                                       : crash_step_name(lines[i].step),
                      "duty", lines[i].duty, "title",
                      lines[i].is_gate ? "" : crash_step_name(lines[i].step), "limit_s",
                      (json_int_t)lines[i].limit_s, "expect_s", (json_int_t)lines[i].expect_s));
    ui_json(&c->app->ui, json_pack("{s:s, s:s, s:s, s:o, s:o}", "type", "plan", "policy",
                                   c->inc->policy, "cause", crash_cause_name(cause), "start",
                                   event_json(start, 0), "steps", steps));
}

/* --- how it stands ------------------------------------------------------------------------------------------------------------------------ */
static const char *const state_words[][2] = {
    { "intent", N_("begun") },
    { "done", N_("done") },
    { "failed", N_("FAILED") },
    { "skipped", N_("skipped") },
    { "cut", N_("cut off") },
    { "waiting", N_("waits") },
    { "overdue", N_("OVER ITS TIME") },
    /* other lines of the timeline, and notices */
    { "loss", N_("loss") },
    { "recovered", N_("recovered") },
    { "level", N_("level") },
    { "escalated", N_("escalated") },
    { "report", N_("report") },
    { "action", N_("corrective action") },
    { "closed", N_("closed") },
    { "told", N_("that it has crashed") },
    { "hold-uploads", N_("hold uploads") },
    { "resume-uploads", N_("resume uploads") },
};

static const char *state_word(const char *state)
{
    for (size_t i = 0; i < sizeof state_words / sizeof *state_words; i++)
        if (strcmp(state_words[i][0], state) == 0)
            return _(state_words[i][1]);
    return state;
}

/* The question without what stands in brackets behind it. */
static void say_gate_event(struct crash *c, const struct event *ev, const char *at)
{
    enum crash_gate g;
    enum crash_answer a;
    const char *answer = event_text(ev, "answer"), *why = event_text(ev, "why");
    const char *text = crash_gate_parse(event_text(ev, "gate"), &g) ? crash_gate_question(g)
                                                                    : event_text(ev, "gate");
    const char *end = strstr(text, " (");
    end = end ? end : strstr(text, "（"); /* as it stands in a Chinese text */
    const char *word = strcmp(answer, "waiting") == 0   ? _("waits for an answer")
                       : strcmp(answer, "overdue") == 0 ? _("NO ANSWER IN TIME")
                       : crash_answer_parse(answer, &a) ? crash_answer_word(a)
                                                        : answer;
    crash_line(c, 2, "%s  %.*s %s%s%s (%s)", at, (int)(end ? (size_t)(end - text) : strlen(text)),
               text, word, *why ? ": " : "", why, ev->by);
}

static void say_event(struct crash *c, const struct event *ev)
{
    char at[16];
    enum crash_step s;
    const char *text = event_text(ev, "text"), *kind = state_word(event_kind_name(ev->kind));
    enum failback_step own = failback_step_parse(event_text(ev, "step"));
    clock_of(ev->at_s, at);
    if (ev->kind == EVENT_STEP && strcmp(event_text(ev, "state"), "intent") == 0)
        return;
    if (ev->kind == EVENT_STEP && crash_step_parse(event_text(ev, "step"), &s))
        crash_line(c, 2, "%s  %s: %s%s%s", at, crash_step_title(s),
                   state_word(event_text(ev, "state")), *text ? ": " : "", text);
    else if (ev->kind == EVENT_STEP && own != FB_STEPS)
        crash_line(c, 2, "%s  %s: %s%s%s", at, failback_step_title(own),
                   state_word(event_text(ev, "state")), *text ? ": " : "", text);
    else if (ev->kind == EVENT_GATE)
        say_gate_event(c, ev, at);
    else if (ev->kind == EVENT_APPROVAL)
        crash_line(c, 2, _("%s  agreed to %s: %s, by %s %s"), at, event_text(ev, "what"),
                   event_text(ev, "who"), event_text(ev, "through"), event_text(ev, "leader"));
    else if (ev->kind == EVENT_HANDOVER)
        crash_line(c, 2, _("%s  %s goes on, after %s; approved by %s"), at, event_text(ev, "to"),
                   event_text(ev, "from"), event_text(ev, "approver"));
    else if (ev->kind == EVENT_NOTE)
        crash_line(c, 2, "%s  \"%s\" (%s)", at, text, ev->by);
    else if (ev->kind == EVENT_NOTICE)
        crash_line(c, 2, "%s  %s → %s: %s%s%s", at, state_word(event_text(ev, "notice")),
                   event_text(ev, "to"),
                   json_is_true(json_object_get(ev->body, "ok")) ? _("told") : _("not told"),
                   *event_text(ev, "detail") ? ": " : "", event_text(ev, "detail"));
    else if (ev->kind != EVENT_DUTY)
        crash_line(c, 2, "%s  %s%s%s", at, kind, *text ? ": " : "", text);
}

static void say_next(struct crash *c)
{
    struct crash_next n;
    char at[16];
    procedure_next(c->inc, &c->facts, &n);
    switch (n.kind) {
    case NEXT_STEP:
        crash_line(c, 0, _("Next: %s%s"), crash_step_title(n.step),
                   n.again ? _(" (begun, no outcome yet)") : "");
        if (n.since_s)
            crash_line(c, 2, _("since %s"), clock_of(n.since_s, at));
        break;
    case NEXT_SNAPSHOTS:
        crash_line(c, 0, "%s", _("Next: a backup is chosen and restored"));
        break;
    case NEXT_GATE:
        crash_say_gate(c, &n, true);
        break;
    case NEXT_APPROVAL:
        crash_say_approval(c, &n);
        break;
    case NEXT_ESCALATED:
        crash_say_escalated(c);
        break;
    default:
        crash_say_end(c);
    }
    if (n.kind == NEXT_STEP || n.kind == NEXT_SNAPSHOTS)
        crash_line(c, 2, "twofold crash resume %s", c->inc->id);
}

int crash_say_status(struct crash *c, struct err *e)
{
    const struct incident *inc = c->inc;
    char when[32], span[64];
    int64_t end = inc->recovered_s ? inc->recovered_s : sys_realtime_s();
    crash_line(c, 0, _("INCIDENT %s   cause: %s   opened %s"), inc->id, cause_word(inc),
               time_text(inc->opened_s, when));
    if (inc->level)
        crash_line(c, 2, _("level %u"), inc->level);
    if (inc->broken.code)
        crash_line(c, 2, _("THE TIMELINE IS DAMAGED: %s"), inc->broken.why);
    crash_line(c, 2, inc->recovered_s ? _("recovered after %s") : _("open for %s"),
               crash_span((uint64_t)(end > inc->opened_s ? end - inc->opened_s : 0), span));
    for (size_t i = 1; i < inc->n; i++)
        say_event(c, &inc->events[i]);
    ui_json(&c->app->ui,
            json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:i}", "type", "incident",
                      "incident", inc->id, "policy", inc->policy, "cause",
                      crash_cause_name(inc->cause), "opened", (json_int_t)inc->opened_s,
                      "recovered", (json_int_t)inc->recovered_s, "escalated",
                      (json_int_t)inc->escalated_s, "closed", (json_int_t)inc->closed_s, "level",
                      (int)inc->level));
    for (size_t i = 0; c->app->ui.json && i < inc->n; i++)
        ui_json(&c->app->ui,
                json_pack("{s:s, s:O}", "type", "event", "event", inc->events[i].body));
    crash_say_calls(c);
    say_next(c);
    return duties_print(c->app, inc, false, NULL, e);
}
