/* test_procedure.c - restore/incident/procedure.h: the order of steps and gates in every kind of crash, also when whoever takes them is killed
 * after any line of the timeline; a story is played against the procedure, which is all that decides what is done. */
#include "restore/incident/procedure.h"
#include "restore/incident/timeline_inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_TURNS 80
#define LOG_BYTES 4096
#define SNAPSHOTS 4
#define DAY 86400

/* --- a story ------------------------------------------------------------------------------------------------ */
struct story {
    int64_t first_sign;
    /* "restore1=damaged start2=failed": how the steps end, by their numbers; others do well */
    const char *ends;
    /* "stopped=again,yes": what is answered, in turn, the last one for ever; others "yes", or "again" */
    const char *answers;
    enum crash_cause cause;
    int running;    /* for procedure_unattended */
    unsigned away;  /* bits of the backups that no copy which can be read shows, */
    bool come_back; /* until they are said to be reachable */
    bool drill, strict, no_standby, files_only, two, elsewhere;
    bool no_commands, standby, standby_lost, no_copy;
    bool unattended; /* the answers are procedure_unattended's */
    bool host_bad;
    bool slow; /* the standby was asked too long ago, in the beginning and after every start */
};

struct play {
    const struct story *s;
    struct incident *inc;
    struct crash_conf conf;
    struct crash_snapshot snaps[SNAPSHOTS];
    struct crash_facts f;
    char log[LOG_BYTES];
    char approved[LOG_BYTES];
    unsigned writes,
        kill_at; /* lines of the timeline; after which one the taker is killed (0: never) */
    bool killed;
};

static const char *const places[] = { "room", "building-2" };

static struct crash_command command_of(const char *word)
{
    struct crash_command c = { 0 };
    c.words = calloc(2, sizeof *c.words);
    c.words[0] = strdup(word);
    c.n = 1;
    return c;
}

/* As in a file, but none is written: there are thousands of lines in here. */
static void append(struct incident *inc, enum event_kind kind, json_t *body)
{
    struct wbuf line = WBUF_INIT;
    size_t used;
    assert_int_equal(incident_line(inc, kind, body, &line, NULL), 0);
    assert_int_equal(incident_take(inc, line.p, line.len, &used, NULL), 0);
    wbuf_free(&line);
}

static void begin(struct play *p, const struct story *s)
{
    *p = (struct play){ .s = s };
    for (unsigned i = 0; i < CRASH_COMMANDS && !s->no_commands; i++)
        p->conf.command[i] = command_of("/bin/x");
    for (unsigned i = 0; i < STANDBY_COMMANDS && s->standby; i++)
        p->conf.standby[i] = command_of("/bin/y");
    p->conf.standby_on = s->standby ? strdup("db2") : NULL;
    p->conf.approve_two = s->two;
    for (unsigned i = 0; i < SNAPSHOTS; i++) { /* the newest is not whole */
        memset(p->snaps[i].id.b, (int)(0xa0 + i), ID_BYTES);
        p->snaps[i].received_s = (int64_t)(10 - i) * DAY;
        p->snaps[i].bytes = 1000;
        p->snaps[i].whole = i > 0;
        p->snaps[i].away = s->away >> i & 1;
    }
    p->f = (struct crash_facts){ .conf = &p->conf,
                                 .server = !s->files_only,
                                 .files_only = s->files_only,
                                 .no_standby = s->no_standby,
                                 .elsewhere = s->elsewhere,
                                 .ask_standby = s->slow,
                                 .snapshots = p->snaps,
                                 .n_snapshots = SNAPSHOTS,
                                 .places = places,
                                 .n_places = 2,
                                 .restore_bytes_s = 100,
                                 .me = "wang (as root)" };
    p->inc = incident_new("billing-20261126-0001");
    assert_non_null(p->inc);
    append(p->inc, EVENT_OPENED,
           json_pack("{s:s, s:s, s:b, s:b, s:i, s:{s:b}}", "policy", "billing", "cause",
                     crash_cause_name(s->cause), "strict", s->strict, "drill", s->drill,
                     "first_sign", (int)s->first_sign, "settings", "standby_lost",
                     s->standby_lost));
}

static void finish(struct play *p)
{
    incident_free(p->inc);
    crash_conf_done(&p->conf);
}

/* The n-th of what stands after "name=", parted by commas; the last one for ever. */
static bool look_up(const char *list, const char *name, unsigned n, char out[32])
{
    size_t len = strlen(name);
    for (const char *c = list; c && *c; c += strcspn(c, " "), c += strspn(c, " ")) {
        if (strncmp(c, name, len) != 0 || c[len] != '=')
            continue;
        const char *v = c + len + 1;
        while (n > 0 && v[strcspn(v, ", ")] == ',') {
            v += strcspn(v, ",") + 1;
            n--;
        }
        snprintf(out, 32, "%.*s", (int)strcspn(v, ", "), v);
        return true;
    }
    return false;
}

static void note(struct play *p, const char *what)
{
    size_t n = strlen(p->log);
    assert_true(n + strlen(what) + 2 < sizeof p->log);
    snprintf(p->log + n, sizeof p->log - n, "%s%s", n ? " " : "", what);
}

/* False: the taker was killed behind this line. */
static bool put(struct play *p, enum event_kind kind, json_t *body)
{
    append(p->inc, kind, body);
    p->killed = ++p->writes == p->kill_at;
    return !p->killed;
}

static unsigned count_of(const struct play *p, enum event_kind kind, const char *key,
                         const char *value, unsigned attempt, const char *state)
{
    unsigned n = 0;
    for (size_t i = 0; i < p->inc->n; i++) {
        const struct event *ev = &p->inc->events[i];
        if (ev->kind == kind && strcmp(event_text(ev, key), value) == 0 &&
            event_int(ev, "attempt") == attempt &&
            (!state || strcmp(event_text(ev, "state"), state) == 0))
            n++;
    }
    return n;
}

static json_t *restore_facts(const struct play *p, const struct crash_next *n, const char *end)
{
    char hex[ID_HEX_BYTES];
    return json_pack("{s:s, s:s, s:s, s:b}", "snapshot", id_hex(&n->id, hex), "from", n->from,
                     "end", end, "files_only", p->s->files_only);
}

static bool take_step(struct play *p, const struct crash_next *n)
{
    char name[64], end[32] = "done", word[96];
    const char *step = crash_step_name(n->step);
    snprintf(name, sizeof name, "%s%u", step, n->attempt);
    bool restores = n->step == STEP_RESTORE;
    if (!put(p, EVENT_STEP,
             json_pack("{s:s, s:i, s:s, s:o}", "step", step, "attempt", n->attempt, "state",
                       "intent", "facts", restore_facts(p, n, ""))))
        return false;
    if (restores)
        snprintf(word, sizeof word, "restore%u:%c%s%s", n->attempt, 'a' + (n->id.b[0] & 0x0f),
                 n->from[0] ? "@" : "", n->from);
    else
        snprintf(word, sizeof word, n->attempt > 1 ? "%s%u" : "%s", step, n->attempt);
    note(p, word);
    look_up(p->s->ends, name,
            count_of(p, EVENT_STEP, "step", step, n->attempt, "done") +
                count_of(p, EVENT_STEP, "step", step, n->attempt, "failed"),
            end);
    bool unknown = strcmp(end, "unknown") == 0; /* done, but where the scene lies is not known */
    bool well = strcmp(end, "done") == 0 || unknown;
    json_t *facts = restore_facts(p, n, well ? "whole" : end);
    json_object_set_new(facts, "unknown", json_boolean(unknown));
    json_object_set_new(facts, "refused", json_boolean(strcmp(end, "refused") == 0));
    if (n->step == STEP_START || n->step == STEP_GIVE_UP)
        p->f.ask_standby = n->step == STEP_START && p->s->slow;
    return put(p, EVENT_STEP,
               json_pack("{s:s, s:i, s:s, s:s, s:o}", "step", step, "attempt", n->attempt, "state",
                         well ? "done" : "failed", "text", end, "facts", facts));
}

static bool answer_gate(struct play *p, const struct crash_next *n)
{
    char said[32], word[96];
    const char *gate = crash_gate_name(n->gate);
    enum crash_answer a = n->answers & ANSWER_YES ? ANSWER_YES : ANSWER_AGAIN;
    assert_true(n->answers != 0);
    unsigned asked = count_of(p, EVENT_GATE, "gate", gate, n->attempt, NULL);
    if (p->s->unattended)
        a = procedure_unattended(p->inc, n, p->s->running, !p->s->host_bad);
    else if (look_up(p->s->answers, gate, asked, said))
        assert_true(crash_answer_parse(said, &a));
    if (a != 0 && !(n->answers & a))
        fail_msg("%s cannot be answered %s", gate, crash_answer_name(a));
    p->f.no_copy = false; /* they are looked for again */
    const char *how = a == 0 ? "?" : crash_answer_name(a);
    snprintf(word, sizeof word, "[%s%s%s]", gate, a == 0 || a == ANSWER_YES ? "" : "=",
             a == ANSWER_YES ? "" : how);
    note(p, word);
    for (unsigned i = 0; i < SNAPSHOTS && p->s->come_back && n->gate == GATE_REACHABLE; i++)
        p->snaps[i].away = p->snaps[i].away && a != ANSWER_YES;
    return a != 0 && put(p, EVENT_GATE,
                         json_pack("{s:s, s:s, s:i}", "gate", gate, "answer", crash_answer_name(a),
                                   "attempt", n->attempt));
}

/* One turn; false: it has come to an end, or the taker was killed. */
static bool turn_to(struct play *p, const struct crash_next *n)
{
    char word[64];
    switch (n->kind) {
    case NEXT_STEP:
        return take_step(p, n);
    case NEXT_GATE:
        return answer_gate(p, n);
    case NEXT_SNAPSHOTS:
        if (p->s->no_copy) { /* until it was asked about three times */
            p->f.no_copy = count_of(p, EVENT_GATE, "gate", "copies", 0, NULL) < 3;
            if (p->f.no_copy)
                return true;
        }
        p->f.snapshots_known = p->f.places_known = true;
        return true;
    case NEXT_APPROVAL:
        snprintf(word, sizeof word, "<%s>", crash_step_name(n->step));
        note(p, word);
        return put(p, EVENT_APPROVAL,
                   json_pack("{s:s, s:s, s:s}", "what", crash_step_name(n->step), "who",
                             "li (as root)", "through", "terminal"));
    case NEXT_RECOVERED:
        note(p, "recovered");
        return put(p, EVENT_RECOVERED, json_object());
    case NEXT_ESCALATE:
        note(p, n->why == ESCALATE_HOST        ? "escalate-host"
                : n->why == ESCALATE_TRIED_ALL ? "escalate-tried"
                                               : "escalate-none");
        return put(p, EVENT_ESCALATED, json_object());
    case NEXT_ESCALATED:
        note(p, "escalated");
        return false;
    case NEXT_END:
        note(p, "end");
        return false;
    case NEXT_CLOSED:
        note(p, "closed");
        return false;
    }
    return false;
}

static bool turn(struct play *p)
{
    struct crash_next n;
    procedure_next(p->inc, &p->f, &n);
    return turn_to(p, &n);
}

static void run(struct play *p)
{
    for (unsigned i = 0; i < MAX_TURNS; i++)
        if (!turn(p))
            return;
    fail_msg("it never ends: %s", p->log);
}

/* Another process, which knows the timeline alone. */
static void start_again(struct play *p)
{
    void *bytes;
    size_t n;
    assert_int_equal(incident_bytes(p->inc, &bytes, &n, NULL), 0);
    incident_free(p->inc);
    assert_int_equal(incident_parse("billing-20261126-0001", bytes, n, &p->inc, NULL), 0);
    free(bytes);
    p->f.snapshots_known = p->f.places_known = p->f.no_copy = false;
    p->killed = false;
    p->kill_at = 0;
}

/* A step that was cut off is there twice, one behind the other. */
static void drop_repeated(char *log)
{
    char out[LOG_BYTES] = "", last[128] = "", *rest = NULL;
    for (char *w = strtok_r(log, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        if (strcmp(w, last) != 0)
            snprintf(out + strlen(out), sizeof out - strlen(out), "%s%s", out[0] ? " " : "", w);
        snprintf(last, sizeof last, "%s", w);
    }
    snprintf(log, LOG_BYTES, "%s", out);
}

/* Plays it whole, and once for each line of its timeline with whoever takes the steps killed behind that line. */
static void tells(int line, struct story s, const char *want)
{
    struct play p;
    begin(&p, &s);
    run(&p);
    unsigned writes = p.writes;
    if (strcmp(p.log, want) != 0)
        fail_msg("line %d:\n  is   %s\n  not  %s", line, p.log, want);
    finish(&p);
    char once[LOG_BYTES], twice[LOG_BYTES];
    snprintf(once, sizeof once, "%s", want);
    drop_repeated(once);
    for (unsigned k = 1; k <= writes; k++) {
        begin(&p, &s);
        p.kill_at = k;
        run(&p);
        assert_true(p.killed);
        start_again(&p);
        run(&p);
        snprintf(twice, sizeof twice, "%s", p.log);
        drop_repeated(twice);
        if (strcmp(twice, once) != 0)
            fail_msg("line %d, killed behind line %u:\n  is   %s\n  not  %s", line, k, twice, once);
        finish(&p);
    }
}
#define TELLS(want, ...) tells(__LINE__, (struct story){ __VA_ARGS__ }, want)

/* --- the ways ------------------------------------------------------------------------------------------------- */
static void when_all_goes_well(void **state)
{
    (void)state;
    TELLS("notify stop scene facts [host-repaired] restore1:b start check resume recovered end",
          .cause = CAUSE_FAULT);
    TELLS("notify isolate stop [source-found] scene facts [host-repaired] restore1:b start check "
          "resume recovered end",
          .cause = CAUSE_ATTACK);
    TELLS(
        "notify [stopped] scene facts [host-repaired] restore1:b [started] check resume recovered "
        "end",
        .cause = CAUSE_DISASTER, .no_commands = true);
    TELLS("notify facts [host-repaired] restore1:b check resume recovered end", .files_only = true,
          .no_commands = true);
    TELLS(
        "notify [isolated] [stopped] [source-found] facts [host-repaired] restore1:b check resume "
        "recovered end",
        .cause = CAUSE_ATTACK, .files_only = true, .no_commands = true);
    TELLS("restore1:b recovered end", .drill = true);
    TELLS("notify facts [host-repaired] restore1:b restore2:c [started] resume recovered end",
          .elsewhere = true, .ends = "restore1=check-failed");
}

static void the_next_backup_is_taken(void **state)
{
    (void)state;
    TELLS("notify stop scene facts [host-repaired] restore1:b restore2:c restore3:d restore4:a "
          "escalate-tried escalated",
          .ends = "restore1=damaged restore2=check-failed restore3=in-part restore4=damaged");
    TELLS("notify stop scene facts [host-repaired] restore1:b restore2:c start2 check2 resume "
          "recovered end",
          .ends = "restore1=damaged");
    TELLS("restore1:b@room restore2:b@building-2 restore3:c@room recovered end", .drill = true,
          .strict = true, .ends = "restore1=damaged restore2=check-failed");
    TELLS("restore1:b restore2:c restore3:d restore4:a escalate-tried escalated", .drill = true,
          .ends = "restore1=damaged restore2=damaged restore3=damaged restore4=damaged");
}

static void only_from_before_the_first_sign(void **state)
{
    (void)state;
    TELLS("notify isolate stop [source-found=override] scene facts [host-repaired] restore1:d "
          "escalate-tried escalated",
          .cause = CAUSE_ATTACK, .first_sign = 8 * DAY, .answers = "source-found=override",
          .ends = "restore1=damaged");
    TELLS("notify isolate stop [source-found] scene facts [host-repaired] escalate-none escalated",
          .cause = CAUSE_ATTACK, .first_sign = DAY);
    TELLS("notify stop scene facts [host-repaired] restore1:d start check resume recovered end",
          .first_sign = 8 * DAY); /* a mistake */
}

static void a_restore_that_starts_and_is_wrong_has_failed(void **state)
{
    (void)state;
    TELLS("notify stop scene facts [host-repaired] restore1:b start check [checked=no] stop2 "
          "restore2:c start2 [started=no] stop3 restore3:d start3 check3 resume recovered end",
          .ends = "check1=failed start2=failed", .answers = "checked=no started=no");
    TELLS("notify stop scene facts [host-repaired] restore1:b start check [checked=again] check "
          "[checked=override] resume recovered end",
          .ends = "check1=failed,failed", .answers = "checked=again,override");
}

static void what_failed_is_asked_about(void **state)
{
    (void)state;
    TELLS(
        "notify stop [stopped=again] stop [stopped] scene [scene-kept=override] facts "
        "[host-repaired=again] facts [host-repaired] restore1:b start [started=again] start check "
        "resume recovered end",
        .ends =
            "notify1=failed stop1=failed,failed scene1=failed facts1=failed,done start1=failed,done "
            "resume1=failed",
        .answers = "stopped=again,yes scene-kept=override host-repaired=again,yes started=again");
    TELLS("notify stop scene facts [host-repaired=no] escalate-host escalated",
          .answers = "host-repaired=no");
    TELLS(
        "notify stop scene facts [host-repaired] restore1:b [reachable] restore1:b [reachable=no] "
        "restore2:c [restore-again] restore2:c start2 check2 resume recovered end",
        .ends = "restore1=away,away restore2=broken,done", .answers = "reachable=yes,no");
    TELLS("notify facts [host-repaired] restore1:b [in-part] check resume recovered end",
          .files_only = true, .no_commands = true, .ends = "restore1=in-part");
    TELLS("notify facts [host-repaired] restore1:b [in-part=no] restore2:c check2 resume recovered "
          "end",
          .files_only = true, .no_commands = true, .ends = "restore1=in-part",
          .answers = "in-part=no");
}

static void the_standby_takes_over(void **state)
{
    (void)state;
    TELLS("notify fence promote standby-check switch resume recovered facts [host-repaired] reseed "
          "[quiet] switch-back check end",
          .standby = true);
    TELLS("notify isolate stop [source-found] fence promote standby-check switch resume recovered "
          "facts [host-repaired] reseed [quiet] switch-back check end",
          .cause = CAUSE_ATTACK, .standby = true);
    TELLS("notify fence [fenced] promote [promoted=no] standby-give-up stop scene facts "
          "[host-repaired] restore1:b standby-give-up start check resume recovered end",
          .standby = true, .ends = "fence1=failed promote1=failed", .answers = "promoted=no");
    TELLS("notify stop scene facts [host-repaired] restore1:b start check resume recovered end",
          .standby = true, .no_standby = true);
}

/* One that may take writes is asked before anything is stopped, and again before the host's own server is started. */
static void the_standby_is_given_up(void **state)
{
    (void)state;
    TELLS("notify fence promote standby-check [standby-right=no] standby-give-up "
          "[standby-off=again] standby-give-up [standby-off] stop scene facts [host-repaired] "
          "restore1:b restore2:c standby-give-up2 [standby-off=again] standby-give-up2 "
          "[standby-off] start2 check2 resume recovered end",
          .standby = true,
          .ends = "standby-check1=failed standby-give-up1=failed,failed restore1=damaged "
                  "standby-give-up2=failed",
          .answers = "standby-right=no standby-off=again,yes");
    /* it serves by an earlier incident, and is said to be lost */
    TELLS("notify standby-give-up [standby-off] stop scene facts [host-repaired] restore1:b "
          "standby-give-up start check resume recovered end",
          .standby = true, .no_standby = true, .standby_lost = true,
          .ends = "standby-give-up1=failed,done");
    TELLS("notify facts [host-repaired] restore1:b [started] resume recovered end", .standby = true,
          .no_standby = true, .standby_lost = true, .elsewhere = true);
    /* one that says that it takes writes is not overridden: answer_gate sees that yes is none of the answers */
    TELLS("notify fence promote [promoted=no] standby-give-up [standby-off=again] standby-give-up "
          "[standby-off=again] standby-give-up [standby-off] stop scene facts [host-repaired] "
          "restore1:b standby-give-up start check resume recovered end",
          .standby = true, .ends = "promote1=failed standby-give-up1=refused,refused,failed,done",
          .answers = "promoted=no standby-off=again,again,yes");
    /* the server did not start, and hours later the standby says that it writes: it is not started, nor does it count as failed */
    TELLS("notify fence promote [promoted=no] standby-give-up stop scene facts [host-repaired] "
          "restore1:b standby-give-up start standby-give-up [standby-off=again] standby-give-up "
          "[standby-off] [started=again] start check resume recovered end",
          .standby = true, .slow = true,
          .ends = "promote1=failed standby-give-up1=done,done,refused,failed start1=failed,done",
          .answers = "promoted=no standby-off=again,yes started=again");
    TELLS("notify fence promote [promoted=again] promote [promoted=no] standby-give-up stop scene "
          "facts [host-repaired] restore1:b standby-give-up start standby-give-up "
          "[standby-off=again] standby-give-up [standby-off?]",
          .standby = true, .slow = true, .unattended = true,
          .ends = "promote1=failed standby-give-up1=done,done,refused start1=failed");
    TELLS("notify standby-give-up [standby-off=again] standby-give-up [standby-off?]",
          .standby = true, .no_standby = true, .standby_lost = true, .unattended = true,
          .ends = "standby-give-up1=failed");
}

static enum crash_step after_a_sign(const char *ends, unsigned turns)
{
    struct story s = { .standby = true, .ends = ends };
    struct play p;
    struct crash_next n;
    begin(&p, &s);
    while (turns-- > 0)
        assert_true(turn(&p));
    put(&p, EVENT_NOTE,
        json_pack("{s:s, s:s, s:i}", "field", "first-sign", "text", "", "first_sign", 20 * DAY));
    procedure_next(p.inc, &p.f, &n);
    finish(&p);
    assert_int_equal(n.kind, NEXT_STEP);
    return n.step;
}

/* The standby has it, too, whenever it is found out before clients are led there. An attack's first sign says nothing of the standby. */
static void a_mistake_is_on_the_standby_too(void **state)
{
    (void)state;
    TELLS("notify stop scene facts [host-repaired] restore1:b start check resume recovered end",
          .standby = true, .first_sign = (int64_t)20 * DAY, .cause = CAUSE_FAULT);
    TELLS("notify stop scene facts [host-repaired] restore1:b start check resume recovered end",
          .standby = true, .first_sign = (int64_t)20 * DAY, .cause = CAUSE_DISASTER);
    TELLS("notify isolate stop [source-found] fence promote standby-check switch resume recovered "
          "facts [host-repaired] reseed [quiet] switch-back check end",
          .standby = true, .first_sign = (int64_t)20 * DAY, .cause = CAUSE_ATTACK);
    assert_int_equal(after_a_sign("", 1), STEP_STOP);                   /* notify */
    assert_int_equal(after_a_sign("", 2), STEP_STOP);                   /* fence */
    assert_int_equal(after_a_sign("promote1=failed", 3), STEP_GIVE_UP); /* promote */
    assert_int_equal(after_a_sign("", 5), STEP_RESUME);                 /* switch */
}

/* A place that no copy told is set aside as soon as one does, and once; not what was restored. */
static void the_scene_is_set_aside_once_its_place_is_known(void **state)
{
    (void)state;
    TELLS("notify stop scene facts [host-repaired] scene restore1:b start check resume recovered "
          "end",
          .ends = "scene1=unknown,done");
    TELLS("notify stop scene facts [host-repaired] scene [scene-kept=override] restore1:b start "
          "check resume recovered end",
          .ends = "scene1=unknown,failed", .answers = "scene-kept=override");
    TELLS("notify stop scene facts [host-repaired=no] escalate-host escalated",
          .ends = "scene1=unknown", .answers = "host-repaired=no");
}

static void no_copy_can_be_read(void **state)
{
    (void)state;
    TELLS("notify stop scene facts [host-repaired] [copies=again] [copies=again] [copies=again] "
          "restore1:b start check resume recovered end",
          .no_copy = true);
    TELLS("notify stop scene facts [host-repaired] [copies=no] escalate-none escalated",
          .no_copy = true, .answers = "copies=no");
}

static void without_a_person(void **state)
{
    (void)state;
    TELLS("notify stop scene facts [host-repaired] restore1:b start check resume recovered end",
          .unattended = true);
    TELLS("notify [stopped] scene facts [host-repaired] restore1:b [started?]", .unattended = true,
          .no_commands = true, .running = 0);
    TELLS("notify [stopped?]", .unattended = true, .no_commands = true, .running = 1);
    TELLS("notify isolate stop [source-found?]", .unattended = true, .cause = CAUSE_ATTACK);
    TELLS("notify isolate [isolated=again] isolate [isolated?]", .unattended = true,
          .cause = CAUSE_ATTACK, .ends = "isolate1=failed");
    TELLS("notify stop scene facts [host-repaired?]", .unattended = true, .host_bad = true);
    TELLS("notify stop [stopped=again] stop scene [scene-kept=again] scene [scene-kept?]",
          .unattended = true, .running = -1, .ends = "stop1=failed,done scene1=failed");
    TELLS(
        "notify stop scene facts [host-repaired] restore1:b [restore-again] restore1:b "
        "[restore-again=no] restore2:c start2 [started=again] start2 [started=no] stop3 restore3:d "
        "start3 check3 [checked=again] check3 [checked=no] stop4 restore4:a [reachable] restore4:a "
        "[reachable] restore4:a [reachable] restore4:a [reachable=no] escalate-tried escalated",
        .unattended = true, .running = -1,
        .ends = "restore1=broken start2=failed check3=failed restore4=away");
    TELLS("notify stop scene facts [host-repaired] restore1:b [reachable] restore1:b [reachable] "
          "restore1:b [reachable] restore1:b [reachable?]",
          .unattended = true, .running = -1, .ends = "restore1=away");
    TELLS("notify stop scene facts [host-repaired] restore1:b [restore-again] restore1:b "
          "[restore-again?]",
          .unattended = true, .ends = "restore1=refused");
    TELLS(
        "notify fence promote [promoted=again] promote [promoted=no] standby-give-up stop scene facts "
        "[host-repaired] restore1:b standby-give-up start check resume recovered end",
        .unattended = true, .standby = true, .ends = "promote1=failed");
    TELLS("notify fence promote standby-check switch resume recovered facts [host-repaired] reseed "
          "[quiet?]",
          .unattended = true, .standby = true);
}

static void two_persons(void **state)
{
    (void)state;
    TELLS("notify <stop> stop <scene> scene facts [host-repaired] <restore> restore1:b restore2:c "
          "start2 check2 resume recovered end",
          .two = true, .ends = "restore1=damaged");
    TELLS(
        "notify <fence> fence promote standby-check switch resume recovered facts [host-repaired] "
        "<reseed> reseed [quiet] <switch-back> switch-back check end",
        .two = true, .standby = true);
    TELLS(
        "notify <fence> fence promote [promoted=no] <standby-give-up> standby-give-up <stop> stop "
        "<scene> scene facts [host-repaired] <restore> restore1:b standby-give-up start check "
        "resume recovered end",
        .two = true, .standby = true, .ends = "promote1=failed", .answers = "promoted=no");
    /* only asked: it serves by an earlier incident */
    TELLS("notify standby-give-up <stop> stop <scene> scene facts [host-repaired] <restore> "
          "restore1:b standby-give-up start check resume recovered end",
          .two = true, .standby = true, .no_standby = true, .standby_lost = true);
    TELLS("restore1:b recovered end", .two = true, .drill = true);
}

static void who_approves_is_another_one(void **state)
{
    (void)state;
    static const struct {
        const char *what, *who, *through;
        enum next_kind kind;
    } cases[] = {
        { "stop", "wang (as root)", "terminal", NEXT_APPROVAL },
        { "stop", "wang", "terminal", NEXT_APPROVAL },
        { "scene", "li", "terminal", NEXT_APPROVAL },
        { "stop", "li (as root)", "terminal", NEXT_STEP },
        { "all", "wan", "terminal", NEXT_STEP },
        { "stop", "wang (as root)", "code", NEXT_STEP },
        { "stop", "wang (as root)", "telephone", NEXT_STEP },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct story s = { .two = true };
        struct play p;
        struct crash_next n;
        begin(&p, &s);
        assert_true(turn(&p)); /* notify */
        procedure_next(p.inc, &p.f, &n);
        assert_int_equal(n.kind, NEXT_APPROVAL);
        put(&p, EVENT_APPROVAL,
            json_pack("{s:s, s:s, s:s}", "what", cases[i].what, "who", cases[i].who, "through",
                      cases[i].through));
        procedure_next(p.inc, &p.f, &n);
        if (n.kind != cases[i].kind || n.step != STEP_STOP)
            fail_msg("%s by %s", cases[i].what, cases[i].who);
        finish(&p);
    }
}

static void after_an_escalation_all_is_tried_anew(void **state)
{
    (void)state;
    struct story s = {
        .ends =
            "restore1=damaged restore2=damaged restore3=damaged restore4=damaged restore5=damaged"
    };
    struct play p;
    begin(&p, &s);
    run(&p);
    struct crash_attempt all[MAX_CRASH_ATTEMPTS];
    assert_int_equal(procedure_attempts(p.inc, all, MAX_CRASH_ATTEMPTS), 4);
    assert_true(all[3].failed && all[3].number == 4);
    assert_string_equal(all[3].why, "damaged");
    p.log[0] = '\0';
    put(&p, EVENT_STEP, json_pack("{s:s, s:s}", "step", "resumed", "state", "done"));
    run(&p);
    assert_string_equal(p.log, "facts [host-repaired] restore5:b restore6:c start6 check6 resume "
                               "recovered end");
    finish(&p);
}

/* What no copy seems to have all of comes last, but is not given up. */
static void what_seems_lost_is_tried_last(void **state)
{
    (void)state;
    struct story s = { .ends = "restore1=damaged restore2=damaged restore3=damaged" };
    struct play p;
    begin(&p, &s);
    p.snaps[1].lost = true; /* b; a is not whole */
    run(&p);
    assert_non_null(strstr(p.log, "restore1:c restore2:d restore3:a restore4:b start4"));
    finish(&p);
}

#define B 2U /* the newest whole one */
#define C 4U
static void a_backup_that_is_away_is_asked_about(void **state)
{
    (void)state;
    TELLS("notify stop scene facts [host-repaired] [reachable] restore1:b start check resume "
          "recovered end",
          .away = B, .come_back = true);
    TELLS("notify stop scene facts [host-repaired] [reachable] [reachable=no] restore1:c start "
          "check resume recovered end",
          .away = B, .answers = "reachable=yes,no");
    TELLS("notify stop scene facts [host-repaired] restore1:b [reachable=no] restore2:d start2 "
          "check2 resume recovered end",
          .away = C, .ends = "restore1=damaged", .answers = "reachable=no");
    TELLS("notify stop scene facts [host-repaired] [reachable=no] restore1:c [reachable=no] "
          "restore2:d [reachable=no] restore3:a [reachable=no] escalate-tried escalated",
          .away = B, .ends = "restore1=damaged restore2=damaged restore3=damaged",
          .answers = "reachable=no");
    TELLS("notify stop scene facts [host-repaired] [reachable=no] escalate-none escalated",
          .away = 0xf, .answers = "reachable=no");
    TELLS("notify stop scene facts [host-repaired] [reachable] [reachable] [reachable] "
          "[reachable?]",
          .unattended = true, .away = B);
    TELLS("notify stop scene facts [host-repaired] [reachable] [reachable] [reachable] "
          "[reachable=no] escalate-none escalated",
          .unattended = true, .away = 0xf);
    TELLS("notify isolate stop [source-found] scene facts [host-repaired] restore1:c start check "
          "resume recovered end",
          .cause = CAUSE_ATTACK, .first_sign = 9 * DAY, .away = B);
    TELLS("notify stop scene facts [host-repaired] [reachable=no] restore1:c@room "
          "[reachable=no] restore2:c@building-2 start2 check2 resume recovered end",
          .strict = true, .away = B, .ends = "restore1=damaged", .answers = "reachable=no");
}

static void what_is_said_of_a_step(void **state)
{
    (void)state;
    struct story s = { .ends = "restore1=damaged" };
    struct play p;
    struct crash_next n;
    begin(&p, &s);
    p.f.seconds[STEP_STOP] = 7;
    p.conf.limit_s[LIMIT_STOP] = 33;
    p.f.rto_s = 1234;
    assert_true(turn(&p));
    procedure_next(p.inc, &p.f, &n);
    assert_true(n.step == STEP_STOP && n.expect_s == 7 && n.limit_s == 33 && n.since_s == 0);
    while (n.kind != NEXT_STEP || n.step != STEP_RESTORE) {
        assert_true(turn(&p));
        procedure_next(p.inc, &p.f, &n);
    }
    assert_string_equal(n.duty, "PY-DB-4");
    assert_int_equal(n.limit_s, 1234);
    assert_int_equal(n.expect_s, 11);
    assert_true(turn(&p));
    procedure_next(p.inc, &p.f, &n);
    assert_string_equal(n.duty, "PY-DB-5");
    assert_int_equal(n.attempt, 2);
    /* a backup that came meanwhile does not change an attempt that has begun */
    put(&p, EVENT_STEP,
        json_pack("{s:s, s:i, s:s, s:o}", "step", "restore", "attempt", 2, "state", "intent",
                  "facts", restore_facts(&p, &n, "")));
    struct id chosen = n.id;
    memset(p.snaps[1].id.b, 0xee, ID_BYTES);
    procedure_next(p.inc, &p.f, &n);
    assert_true(n.again && id_eq(&n.id, &chosen) && n.since_s > 0);
    finish(&p);
}

static void the_plan_is_what_happens(void **state)
{
    (void)state;
    struct story stories[] = { { 0 },
                               { .cause = CAUSE_ATTACK },
                               { .standby = true },
                               { .no_commands = true, .files_only = true } };
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
        struct play p;
        struct plan_line lines[MAX_PLAN_LINES];
        char plan[LOG_BYTES] = "";
        begin(&p, &stories[i]);
        size_t n = procedure_plan(&p.f, stories[i].cause, lines);
        for (size_t k = 0; k < n; k++)
            snprintf(
                plan + strlen(plan), sizeof plan - strlen(plan), lines[k].is_gate ? "[%s] " : "%s ",
                lines[k].is_gate ? crash_gate_name(lines[k].gate) : crash_step_name(lines[k].step));
        run(&p);
        char *at = p.log, seen[LOG_BYTES] = "", *rest = NULL;
        for (char *w = strtok_r(at, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
            if (strcmp(w, "recovered") != 0 && strcmp(w, "end") != 0)
                snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s ",
                         strncmp(w, "restore1", 8) == 0 ? "restore" : w);
        assert_string_equal(plan, seen);
        finish(&p);
    }
}

static void names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CRASH_STEPS; i++) {
        enum crash_step s;
        assert_true(crash_step_parse(crash_step_name(i), &s) && s == i);
        assert_true(crash_step_title(i)[0] && crash_step_duty(i)[0]);
    }
    for (unsigned i = 0; i < CRASH_GATES; i++) {
        enum crash_gate g;
        assert_true(crash_gate_parse(crash_gate_name(i), &g) && g == i);
        assert_true(crash_gate_question(i)[0] && crash_gate_duty(i)[0] && crash_gate_answers(i));
    }
    assert_true(crash_same_person("wang (as root)", "wang"));
    assert_true(crash_same_person("uid 7", "uid 7"));
    assert_false(crash_same_person("uid 7", "uid 8"));
    assert_false(crash_same_person("wang", "wan"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(when_all_goes_well),
        cmocka_unit_test(the_next_backup_is_taken),
        cmocka_unit_test(only_from_before_the_first_sign),
        cmocka_unit_test(a_restore_that_starts_and_is_wrong_has_failed),
        cmocka_unit_test(what_failed_is_asked_about),
        cmocka_unit_test(the_standby_takes_over),
        cmocka_unit_test(the_standby_is_given_up),
        cmocka_unit_test(a_mistake_is_on_the_standby_too),
        cmocka_unit_test(the_scene_is_set_aside_once_its_place_is_known),
        cmocka_unit_test(no_copy_can_be_read),
        cmocka_unit_test(without_a_person),
        cmocka_unit_test(two_persons),
        cmocka_unit_test(who_approves_is_another_one),
        cmocka_unit_test(after_an_escalation_all_is_tried_anew),
        cmocka_unit_test(what_seems_lost_is_tried_last),
        cmocka_unit_test(a_backup_that_is_away_is_asked_about),
        cmocka_unit_test(what_is_said_of_a_step),
        cmocka_unit_test(the_plan_is_what_happens),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
