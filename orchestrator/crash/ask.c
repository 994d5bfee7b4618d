/* ask.c - gates: who answers them, and how that is written down. See crash.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/host.h"
#include "orchestrator/text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINE 1000
#define MAX_ASKED 20 /* answers that cannot be read, before nobody is there */
#define REACH_PAUSE_MS 2000

/* --- the terminal --------------------------------------------------------------------------------------------- */
static bool has_person(const struct crash *c)
{
    return !c->app->ui.json && !c->app->ui.yes && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

static bool read_within(char *out, size_t max, int timeout_ms, bool *ret_late)
{
    struct err e = ERR_INIT;
    *ret_late = false;
    int rc = sys_wait_fd(STDIN_FILENO, POLLIN, timeout_ms, &e);
    if (rc == -ERR_TIMEOUT)
        *ret_late = true;
    if (rc < 0)
        return false;
    ssize_t n = read(STDIN_FILENO, out, max - 1);
    if (n <= 0)
        return false;
    out[n] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    memmove(out, out + strspn(out, " "), strlen(out + strspn(out, " ")) + 1);
    for (size_t k = strlen(out); k > 0 && out[k - 1] == ' '; k--)
        out[k - 1] = '\0';
    return true;
}

bool crash_read_line(struct crash *c, const char *prompt, char *out, size_t max)
{
    bool late;
    ui_progress_end(&c->app->ui);
    fflush(stdout);
    ui_drop_typed();
    fprintf(stderr, "%s ", prompt);
    fflush(stderr);
    return read_within(out, max, -1, &late);
}

/* --- writing it down -------------------------------------------------------------------------------------------- */
/* Which backup it was about, and where it may lie: who gave it up is told of it at the end. */
static void note_away(struct crash *c, const struct crash_next *n, json_t *body)
{
    char hex[ID_HEX_BYTES];
    json_t *away = json_array();
    for (size_t i = 0; c->vault && i < c->vault->n_copies; i++)
        if (c->vault->copies[i].state == COPY_AWAY)
            json_array_append_new(away, json_string(c->vault->copies[i].place));
    json_object_set_new(body, "snapshot", json_string(id_hex(&n->id, hex)));
    json_object_set_new(body, "received", json_integer((json_int_t)n->snapshot->received_s));
    json_object_set_new(body, "away", away);
}

static int write_gate(struct crash *c, const struct crash_next *n, const char *answer,
                      const char *why, const char *through, struct err *e)
{
    json_t *body = json_pack("{s:s, s:s, s:i, s:s, s:o, s:s, s:o}", "gate",
                             crash_gate_name(n->gate), "answer", answer, "attempt", (int)n->attempt,
                             "duty", n->duty, "why", event_json(why, 0), "through", through,
                             "approver", event_json(c->o.approved_by, 0));
    if (body && n->gate == GATE_REACHABLE && n->snapshot)
        note_away(c, n, body);
    return incident_add(c->inc, EVENT_GATE, body, e);
}

int crash_answer_gate(struct crash *c, const struct crash_next *n, enum crash_answer a,
                      const char *why, const char *through, struct err *e)
{
    int rc = write_gate(c, n, crash_answer_name(a), why ? why : "", through, e);
    if (rc == 0 && (n->gate == GATE_REACHABLE || n->gate == GATE_RESTORE_AGAIN))
        crash_forget_vault(c);
    if (n->gate == GATE_COPIES) /* they are looked for again, whatever was answered */
        c->facts.no_copy = false;
    if (rc == 0) {
        crash_line(c, 10, _("answered: %s (%s)%s%s"), crash_answer_word(a), through,
                   why && *why ? ": " : "", why ? why : "");
        ui_json(&c->app->ui, json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "answer", "incident",
                                       c->inc->id, "gate", crash_gate_name(n->gate), "answer",
                                       crash_answer_name(a), "through", through));
    }
    return rc;
}

/* That it was asked, once: from then on its time runs. */
static int write_waiting(struct crash *c, const struct crash_next *n, struct err *e)
{
    const char *why = n->gate == GATE_COPIES ? c->no_copy : "";
    return n->since_s ? 0 : write_gate(c, n, "waiting", why, "", e);
}

/* --- on the command line ------------------------------------------------------------------------------------------ */
static struct given_answer *given(struct crash *c, const struct crash_next *n)
{
    for (size_t i = 0; i < c->o.n_given; i++)
        if (!c->o.given[i].used && c->o.given[i].gate == n->gate)
            return &c->o.given[i];
    return NULL;
}

static int take_given(struct crash *c, const struct crash_next *n, struct given_answer *g,
                      struct err *e)
{
    const char *name = crash_gate_name(n->gate);
    g->used = true;
    if (!(n->answers & g->answer)) {
        int rc = err_set(e, ERR_USAGE, _("\"%s\" is no answer to \"%s\" here"),
                         crash_answer_name(g->answer), name);
        err_next(e, _("see what it can be: twofold crash status %s"), c->inc->id);
        return rc;
    }
    if (g->answer == ANSWER_OVERRIDE && !c->o.why) {
        int rc = err_set(e, ERR_USAGE, _("an override needs a reason, which is written down"));
        err_next(e, "twofold crash resume %s --answer %s=override --why TEXT", c->inc->id, name);
        return rc;
    }
    return crash_answer_gate(c, n, g->answer, c->o.why, _("by command"), e);
}

/* --- without a person ------------------------------------------------------------------------------------------------ */
/* Whether the server runs is asked of the host itself, now. */
static void look_again(struct crash *c, enum crash_gate g)
{
    struct host_job j = crash_host_job(c);
    json_t *facts = NULL, *fact;
    size_t i;
    if (g != GATE_STOPPED && g != GATE_STARTED)
        return;
    c->running = -1;
    if (c->o.to) /* what runs in the database's own place is not what was restored */
        return;
    if (host_facts(c->app, &j, &facts, NULL) < 0)
        return;
    json_array_foreach(json_object_get(facts, "facts"), i, fact)
    {
        const char *name = json_string_value(json_object_get(fact, "fact"));
        const json_t *running = json_object_get(fact, "running");
        if (name && strcmp(name, "server") == 0 && json_is_boolean(running))
            c->running = json_is_true(running) || c->running == 1;
    }
    json_decref(facts);
}

static const char *why_unattended(const struct crash_next *n, enum crash_answer a)
{
    if (a == ANSWER_AGAIN || (a == ANSWER_YES && n->gate == GATE_REACHABLE) ||
        (a == ANSWER_YES && n->gate == GATE_RESTORE_AGAIN))
        return _("tried once more");
    if (a == ANSWER_NO)
        return _("it did not come right: the next way is taken");
    if (n->gate == GATE_HOST_REPAIRED)
        return _("no fact of the host is bad");
    return n->gate == GATE_STOPPED ? _("the host says that the server does not run")
                                   : _("the host says that the server runs");
}

static int take_unattended(struct crash *c, const struct crash_next *n, enum crash_answer *ret,
                           struct err *e)
{
    look_again(c, n->gate);
    *ret = procedure_unattended(c->inc, n, c->running, crash_host_is_good(c));
    if (*ret == 0)
        return 0;
    crash_say_gate(c, n, false);
    if (n->gate == GATE_REACHABLE && *ret == ANSWER_YES)
        poll(NULL, 0, REACH_PAUSE_MS);
    return crash_answer_gate(c, n, *ret, why_unattended(n, *ret), "--yes", e);
}

/* --- a person ---------------------------------------------------------------------------------------------------------- */
/* A translated word with the plain one behind it: a console may have no way to type the former. */
static void put_answer(char *out, size_t max, unsigned number, const char *words, const char *name)
{
    bool same = strcmp(words, name) == 0;
    snprintf(out + strlen(out), max - strlen(out), "%s%u %s%s%s%s", *out ? " / " : "", number,
             words, same ? "" : " (", same ? "" : name, same ? "" : ")");
}

/* "1 yes / 2 again / 0 stop:". */
static void prompt_of(const struct crash_next *n, char *out, size_t max)
{
    out[0] = '\0';
    for (unsigned a = ANSWER_YES, k = 1; a <= ANSWER_OVERRIDE; a <<= 1)
        if (n->answers & a)
            put_answer(out, max, k++, crash_answer_word((enum crash_answer)a),
                       crash_answer_name((enum crash_answer)a));
    put_answer(out, max, 0, _("stop"), "stop");
    snprintf(out + strlen(out), max - strlen(out), ":");
}

/* The number that stands before an answer in the prompt. */
static enum crash_answer numbered(const struct crash_next *n, const char *line)
{
    unsigned k = 1;
    for (unsigned a = ANSWER_YES; a <= ANSWER_OVERRIDE; a <<= 1)
        if (n->answers & a && line[0] == (char)('0' + k++) && line[1] == '\0')
            return (enum crash_answer)a;
    return 0;
}

static enum crash_answer understood(const struct crash_next *n, const char *line)
{
    enum crash_answer a = numbered(n, line);
    for (unsigned k = ANSWER_YES; k <= ANSWER_OVERRIDE && *line; k <<= 1) {
        const char *name = crash_answer_name((enum crash_answer)k);
        if ((n->answers & k) && (strncasecmp(line, name, strlen(line)) == 0 ||
                                 strcmp(line, crash_answer_word((enum crash_answer)k)) == 0))
            a = (enum crash_answer)k;
    }
    return a;
}

/* After an attack: when it began decides which backups are clean. */
static int ask_first_sign(struct crash *c, struct err *e)
{
    char line[MAX_LINE];
    int64_t ns = 0;
    while (c->inc->first_sign_s == 0) {
        if (!crash_read_line(c,
                             _("When was its first sign? (only backups from before are taken; "
                               "empty: not known)"),
                             line, sizeof line) ||
            !*line)
            return 0;
        struct err bad = ERR_INIT;
        if (parse_time(line, &ns, &bad) < 0) {
            crash_line(c, 10, "%s; %s", bad.why, bad.next);
            continue;
        }
        int rc = incident_add(c->inc, EVENT_NOTE,
                              json_pack("{s:s, s:o, s:I}", "field", "first-sign", "text",
                                        event_json(line, 0), "first_sign",
                                        (json_int_t)(ns / 1000000000)),
                              e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int late(struct crash *c, const struct crash_next *n, struct err *e)
{
    char span[64];
    crash_line(c, 10, _("NO ANSWER within %s: this is written down; tell the office head"),
               crash_span(n->limit_s, span));
    return incident_add(c->inc, EVENT_GATE,
                        json_pack("{s:s, s:s, s:i}", "gate", crash_gate_name(n->gate), "answer",
                                  "overdue", "attempt", (int)n->attempt),
                        e);
}

static int ask_person(struct crash *c, const struct crash_next *n, enum crash_answer *ret,
                      struct err *e)
{
    char prompt[240], line[MAX_LINE] = "", why[MAX_LINE] = "";
    bool is_late = false;
    int rc = 0;
    prompt_of(n, prompt, sizeof prompt);
    for (int i = 0; i < MAX_ASKED && rc == 0; i++) {
        ui_progress_end(&c->app->ui);
        fflush(stdout);
        ui_drop_typed();
        fprintf(stderr, "%s ", prompt);
        int wait_ms = i == 0 && n->limit_s < 1000000 ? (int)(n->limit_s * 1000) : -1;
        bool got = read_within(line, sizeof line, wait_ms, &is_late);
        if (is_late) {
            rc = late(c, n, e);
            continue;
        }
        if (!got || strcasecmp(line, "stop") == 0 || strcmp(line, "0") == 0)
            return 0;
        *ret = understood(n, line);
        if (*ret != 0)
            break;
    }
    if (rc < 0 || *ret == 0)
        return rc;
    if (*ret == ANSWER_OVERRIDE &&
        (!crash_read_line(c, _("Why? (it is written down):"), why, sizeof why) || !*why)) {
        *ret = 0;
        return 0;
    }
    if (n->gate == GATE_SOURCE_FOUND)
        rc = ask_first_sign(c, e);
    return rc < 0 ? rc : crash_answer_gate(c, n, *ret, why, _("at the terminal"), e);
}

int crash_ask(struct crash *c, const struct crash_next *n, enum crash_answer *ret, struct err *e)
{
    struct given_answer *g = given(c, n);
    int rc = 0;
    *ret = 0;
    if (g) {
        crash_say_gate(c, n, false);
        *ret = g->answer;
        return take_given(c, n, g, e);
    }
    if (c->app->ui.yes)
        rc = take_unattended(c, n, ret, e);
    if (rc < 0 || *ret != 0)
        return rc;
    rc = write_waiting(c, n, e);
    crash_say_gate(c, n, !has_person(c));
    if (rc == 0 && has_person(c))
        rc = ask_person(c, n, ret, e);
    if (rc == 0 && *ret == 0)
        crash_line(c, 10, _("it waits; go on with: twofold crash resume %s"), c->inc->id);
    return rc;
}
