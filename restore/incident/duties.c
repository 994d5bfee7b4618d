/* duties.c - what is to be done by when, from the lines of a timeline; the table is in duties.h. */
#include "restore/incident/duties.h"
#include "lib/base/i18n.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTION_LEAD_S 86400 /* whoever mends something hears of it a day before */
#define MAX_NUMBER 1000000
#define REPORT_FORM "incident"
#define OFFICERS "security-officer operator"
#define HEADS "office-head leading-group"
#define JZ_FIRST_REPORT_S 300

const char *duty_state_name(enum duty_state s)
{
    static const char *const names[DUTY_STATES] = { "coming", "due", "overdue", "done",
                                                    "not-needed" };
    return names[s];
}

const char *duty_state_word(enum duty_state s)
{
    return s == DUTY_COMING    ? _("coming")
           : s == DUTY_DUE     ? _("due")
           : s == DUTY_OVERDUE ? _("OVERDUE")
           : s == DUTY_DONE    ? _("done")
                               : _("not needed any more");
}

struct incident_conf duty_conf(const struct incident *inc, const struct incident_conf *site)
{
    struct incident_conf c = site ? *site : incident_conf_default();
    const json_t *noted = NULL;
    if (inc->n && inc->events[0].kind == EVENT_OPENED)
        noted = json_object_get(json_object_get(inc->events[0].body, "settings"), "incident");
    incident_conf_from_json(&c, noted);
    return c;
}

/* --- making the list ---------------------------------------------------------------------------- */
struct making {
    const struct incident *inc;
    struct incident_conf conf;
    const struct duty_rules *r;
    int64_t now_s;
    struct duty_list *l;
    bool no_memory;
};

/* When a duty begins and is due, and what ends it without being done. */
struct span {
    int64_t begin_s, due_s;
    uint64_t lead_s;  /* 0: the usual one */
    bool till_normal; /* of no use once the service is back, even when it was due before */
    bool stays;       /* recovery changes nothing */
};

static int64_t later(int64_t at_s, uint64_t by_s)
{
    return at_s + (int64_t)by_s;
}

static bool given_up(const struct making *m, const struct span *t, const char *id)
{
    const struct incident *inc = m->inc;
    if (inc->closed_s && strcmp(id, "action") != 0)
        return true;
    return inc->recovered_s && !t->stays && (t->till_normal || t->due_s > inc->recovered_s);
}

static enum duty_state judge(const struct making *m, const struct span *t, const struct duty *d)
{
    if (d->done_s)
        return DUTY_DONE;
    if (given_up(m, t, d->id))
        return DUTY_NOT_NEEDED;
    if (m->now_s > d->due_s)
        return DUTY_OVERDUE;
    return m->now_s >= d->remind_s ? DUTY_DUE : DUTY_COMING;
}

/* NULL without memory: then nothing is added any more. */
static struct duty *add(struct making *m, const char *id, const char *row, const char *roles,
                        const struct span *t, int64_t done_s, unsigned number)
{
    struct duty *grown = m->no_memory ? NULL : realloc(m->l->all, (m->l->n + 1) * sizeof *grown);
    if (!grown) {
        m->no_memory = true;
        return NULL;
    }
    m->l->all = grown;
    struct duty *d = &grown[m->l->n++];
    *d = (struct duty){
        .number = number, .row = row, .roles = roles, .due_s = t->due_s, .done_s = done_s
    };
    snprintf(d->id, sizeof d->id, "%s", id);
    int64_t lead = (int64_t)(t->lead_s ? t->lead_s : m->conf.remind_s);
    int64_t half = (t->due_s - t->begin_s) / 2;
    d->remind_s = t->due_s - (lead < half ? lead : half > 0 ? half : 0);
    d->state = judge(m, t, d);
    snprintf(d->next, sizeof d->next, "twofold crash done %s --incident %s", id, m->inc->id);
    return d;
}

static void say(char out[DUTY_TEXT_BYTES], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void say(char out[DUTY_TEXT_BYTES], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out, DUTY_TEXT_BYTES, fmt, ap);
    va_end(ap);
    if (n < DUTY_TEXT_BYTES)
        return;
    /* It was cut: not within a character. */
    size_t at = DUTY_TEXT_BYTES - 1;
    while (at > 0 && ((unsigned char)out[at - 1] & 0xc0) == 0x80)
        at--;
    if (at > 0 && (unsigned char)out[at - 1] >= 0xc0)
        at--;
    out[at] = '\0';
}

/* --- what the timeline says ------------------------------------------------------------------------ */
static bool is_text(const struct event *ev, const char *key, const char *value)
{
    return strcmp(event_text(ev, key), value) == 0;
}

static bool is_noted(const struct event *ev, const char *id, unsigned number, const char *state)
{
    return ev->kind == EVENT_DUTY && is_text(ev, "duty", id) && is_text(ev, "state", state) &&
           event_int(ev, "number") == (int64_t)number;
}

bool duty_noted(const struct incident *inc, const char *id, unsigned number, const char *state)
{
    for (size_t i = inc->n; i-- > 0;)
        if (is_noted(&inc->events[i], id, number, state))
            return true;
    return false;
}

static int64_t done_at(const struct event *ev)
{
    int64_t said = event_int(ev, "done");
    return said > 0 ? said : ev->at_s;
}

/* The first `crash done` of it; 0: there is none. */
static int64_t said_done(const struct making *m, const char *id, unsigned number)
{
    for (size_t i = 0; i < m->inc->n; i++)
        if (is_noted(&m->inc->events[i], id, number, "done"))
            return done_at(&m->inc->events[i]);
    return 0;
}

/* The first report of a form from an event on; 0: none. *ret_at (may be NULL): which event it is. */
static int64_t reported(const struct making *m, const char *form, size_t from, size_t *ret_at)
{
    for (size_t i = from; i < m->inc->n; i++)
        if (m->inc->events[i].kind == EVENT_REPORT && is_text(&m->inc->events[i], "form", form)) {
            if (ret_at)
                *ret_at = i;
            return m->inc->events[i].at_s;
        }
    return 0;
}

static int64_t down_since(const struct incident *inc)
{
    return inc->crashed_s && inc->crashed_s < inc->opened_s ? inc->crashed_s : inc->opened_s;
}

/* --- reports that repeat ---------------------------------------------------------------------------- */
struct made {
    unsigned number;
    int64_t at_s;
};
struct series {
    struct made *all; /* by number; each once, as it was first made */
    size_t n;
};

static void keep(struct making *m, struct series *s, int64_t number, int64_t at_s)
{
    size_t at = s->n;
    if (number < 1 || number > MAX_NUMBER)
        number = s->n ? (int64_t)s->all[s->n - 1].number + 1 : 1;
    while (at > 0 && s->all[at - 1].number > (unsigned)number)
        at--;
    if (at > 0 && s->all[at - 1].number == (unsigned)number)
        return;
    struct made *grown = realloc(s->all, (s->n + 1) * sizeof *grown);
    if (!grown) {
        m->no_memory = true;
        return;
    }
    s->all = grown;
    memmove(grown + at + 1, grown + at, (s->n - at) * sizeof *grown);
    grown[at] = (struct made){ (unsigned)number, at_s };
    s->n++;
}

/* Those of a form, and those that somebody says were made (first: the id that means number 1, or NULL). */
static void find_series(struct making *m, const char *form, const char *id, const char *first,
                        struct series *ret)
{
    *ret = (struct series){ 0 };
    for (size_t i = 0; i < m->inc->n && !m->no_memory; i++) {
        const struct event *ev = &m->inc->events[i];
        if (ev->kind == EVENT_REPORT && is_text(ev, "form", form))
            keep(m, ret, event_int(ev, "number"), ev->at_s);
        else if (ev->kind == EVENT_DUTY && is_text(ev, "state", "done") && first &&
                 is_text(ev, "duty", first))
            keep(m, ret, 1, done_at(ev));
        else if (ev->kind == EVENT_DUTY && is_text(ev, "state", "done") && is_text(ev, "duty", id))
            keep(m, ret, event_int(ev, "number"), done_at(ev));
    }
}

static void add_report(struct making *m, unsigned number, int64_t before_s, int64_t done_s)
{
    struct span t = { .begin_s = before_s, .till_normal = true };
    t.due_s = later(before_s, m->conf.report_every_s);
    struct duty *d = add(m, "report", "PY-6.2", OFFICERS, &t, done_s, number);
    if (!d)
        return;
    say(d->text, _("report no. %u on how things stand; one every %" PRIu64 " minutes until normal"),
        number, m->conf.report_every_s / 60);
    say(d->next, "twofold report incident %s --number %u --output incident-%u.docx", m->inc->id,
        number, number);
}

/* The next one is due so long after the one before was made: one at a time is to be made, however many were left out. */
static void add_reports(struct making *m)
{
    struct series s;
    struct span t = { .begin_s = m->inc->opened_s, .stays = true };
    t.due_s = later(t.begin_s, m->conf.first_report_s);
    find_series(m, REPORT_FORM, "report", "first-report", &s);
    bool jz = m->conf.first_report_s <= JZ_FIRST_REPORT_S;
    struct duty *d = add(m, "first-report", jz ? "JZ-8" : "XJ-3.1", OFFICERS, &t,
                         s.n ? s.all[0].at_s : 0, 0);
    if (d) {
        say(d->text, _("first report to the leaders and the superior unit"));
        say(d->next, "twofold report incident %s --number 1 --output incident-1.docx", m->inc->id);
    }
    for (size_t i = 0; i < s.n; i++)
        if (s.all[i].number > 1)
            add_report(m, s.all[i].number, i ? s.all[i - 1].at_s : m->inc->opened_s, s.all[i].at_s);
    if (s.n)
        add_report(m, s.all[s.n - 1].number + 1, s.all[s.n - 1].at_s, 0);
    free(s.all);
}

/* Since when the level is I or II; 0: it is not. */
static int64_t grave_since(const struct incident *inc)
{
    int64_t since = 0;
    for (size_t i = 0; i < inc->n; i++) {
        if (inc->events[i].kind != EVENT_LEVEL)
            continue;
        int64_t level = event_int(&inc->events[i], "level");
        if (level != 1 && level != 2)
            since = 0;
        else if (!since)
            since = inc->events[i].at_s;
    }
    return since;
}

static void add_daily(struct making *m)
{
    struct series s;
    int64_t since = grave_since(m->inc);
    find_series(m, "daily", "daily", NULL, &s);
    for (size_t i = 0; i <= s.n; i++) {
        bool open = i == s.n;
        unsigned number = !open ? s.all[i].number : s.n ? s.all[s.n - 1].number + 1 : 1;
        struct span t = { .begin_s = i ? s.all[i - 1].at_s : since, .till_normal = true };
        t.begin_s = t.begin_s > since ? t.begin_s : since;
        t.due_s = later(t.begin_s, m->conf.daily_report_s);
        if (open && !since)
            break;
        struct duty *d = add(m, "daily", "XJ-3.2", OFFICERS, &t, open ? 0 : s.all[i].at_s, number);
        if (d)
            say(d->text, _("daily report no. %u to the superior unit (levels I and II)"), number);
        if (d)
            say(d->next, "twofold report daily %s --number %u --output daily-%u.docx", m->inc->id,
                number, number);
    }
    free(s.all);
}

/* --- units ------------------------------------------------------------------------------------------- */
struct units {
    const char *names[MAX_DUTY_UNITS];
    size_t n;
};

static void keep_unit(struct units *u, const char *name)
{
    for (size_t i = 0; i < u->n; i++)
        if (strcmp(u->names[i], name) == 0)
            return;
    if (*name && u->n < MAX_DUTY_UNITS)
        u->names[u->n++] = name;
}

/* Those of the contacts, and those that were told or called: on another machine nobody may know the contacts. */
static void find_units(const struct making *m, struct units *ret)
{
    ret->n = 0;
    for (size_t i = 0; m->r->units && m->r->units[i]; i++)
        keep_unit(ret, m->r->units[i]);
    for (size_t i = 0; i < m->inc->n; i++) {
        const struct event *ev = &m->inc->events[i];
        const char *what = ev->kind == EVENT_NOTICE ? event_text(ev, "notice") : "";
        what = strcmp(what, "acknowledged") == 0 ? event_text(ev, "of") : what;
        if (strcmp(what, "hold-uploads") == 0 || strcmp(what, "resume-uploads") == 0)
            keep_unit(ret, event_text(ev, "to"));
    }
}

static int64_t unit_told(const struct incident *inc, const char *notice, const char *unit)
{
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        if (ev->kind != EVENT_NOTICE || !is_text(ev, "to", unit))
            continue;
        bool told = is_text(ev, "notice", notice) && json_is_true(json_object_get(ev->body, "ok"));
        if (told || (is_text(ev, "notice", "acknowledged") && is_text(ev, "of", notice)))
            return ev->at_s;
    }
    return 0;
}

/* 0 while somebody does not know; `missing` lists them. */
static int64_t all_told(const struct making *m, const struct units *u, const char *notice,
                        char missing[DUTY_TEXT_BYTES])
{
    int64_t last = 0;
    bool all = true;
    missing[0] = '\0';
    for (size_t i = 0; i < u->n; i++) {
        int64_t at = unit_told(m->inc, notice, u->names[i]);
        last = at > last ? at : last;
        if (at)
            continue;
        size_t n = strlen(missing);
        snprintf(missing + n, DUTY_TEXT_BYTES - n, "%s%s", n ? ", " : "", u->names[i]);
        all = false;
    }
    return all ? last : 0;
}

static void add_notice(struct making *m, const char *notice, const struct span *t)
{
    struct units u;
    char missing[DUTY_TEXT_BYTES];
    bool hold = strcmp(notice, "hold-uploads") == 0;
    find_units(m, &u);
    int64_t done = u.n ? all_told(m, &u, notice, missing) : 0;
    if (!done)
        done = said_done(m, notice, 0);
    if (u.n == 0 && !done)
        return;
    struct duty *d = add(m, notice, "PY-DB-2", OFFICERS, t, done, 0);
    if (!d)
        return;
    if (done)
        say(d->text, hold ? _("tell the subordinate units to hold their uploads")
                          : _("tell the subordinate units that they may upload again"));
    else
        say(d->text,
            hold ? _("tell the subordinate units to hold their uploads; not told yet: %s")
                 : _("tell the subordinate units that they may upload again; not told yet: %s"),
            missing);
    say(d->next, "twofold crash ack UNIT --notice %s --incident %s", notice, m->inc->id);
}

static bool uploads_held(const struct incident *inc)
{
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        if (ev->kind == EVENT_NOTICE &&
            (is_text(ev, "notice", "hold-uploads") || is_text(ev, "of", "hold-uploads")))
            return true;
        if (is_noted(ev, "hold-uploads", 0, "done"))
            return true;
    }
    return false;
}

static void add_notices(struct making *m)
{
    const struct incident *inc = m->inc;
    struct span hold = { .begin_s = inc->opened_s, .till_normal = true };
    struct span resume = { .begin_s = inc->recovered_s, .stays = true };
    hold.due_s = later(hold.begin_s, m->conf.hold_uploads_s);
    resume.due_s = later(resume.begin_s, m->conf.resume_uploads_s);
    add_notice(m, "hold-uploads", &hold);
    if (inc->recovered_s && uploads_held(inc))
        add_notice(m, "resume-uploads", &resume);
}

/* --- while it is down ---------------------------------------------------------------------------------- */
static void add_first_hour(struct making *m)
{
    const struct incident *inc = m->inc;
    struct span t = { .begin_s = inc->opened_s };
    struct duty *d;
    if (inc->cause == CAUSE_ATTACK) {
        t.due_s = later(t.begin_s, m->conf.on_site_s);
        d = add(m, "on-site", "PY-10 min", OFFICERS, &t, said_done(m, "on-site", 0), 0);
        if (d)
            say(d->text, _("be on site"));
    }
    t.stays = true;
    t.due_s = later(t.begin_s, m->conf.level_s);
    const struct event *judged = NULL;
    for (size_t i = 0; i < inc->n && !judged; i++)
        judged = inc->events[i].kind == EVENT_LEVEL ? &inc->events[i] : NULL;
    d = add(m, "level", "XJ-3.2", "security-officer office-head", &t,
            judged ? judged->at_s : said_done(m, "level", 0), 0);
    if (d) {
        say(d->text, _("judge the level of the incident, I to IV"));
        say(d->next, "twofold crash level 1|2|3|4 WHY --incident %s", inc->id);
    }
}

static void add_longer(struct making *m)
{
    const struct incident *inc = m->inc;
    struct span t = { .begin_s = down_since(inc) };
    t.due_s = later(t.begin_s, m->conf.investigation_s);
    struct duty *d = add(m, "investigation", "PY-7.1", HEADS, &t, said_done(m, "investigation", 0),
                         0);
    if (d)
        say(d->text,
            _("set up the investigation group: it is down for more than %" PRIu64 " minutes"),
            m->conf.investigation_s / 60);
    t.due_s = workdays_after(m->r->calendar, t.begin_s, m->conf.experts_days);
    d = add(m, "experts", "PY-7.1", HEADS, &t, said_done(m, "experts", 0), 0);
    if (d)
        say(d->text,
            P_("call in outside experts: it is down for more than %u working day",
               "call in outside experts: it is down for more than %u working days",
               m->conf.experts_days),
            m->conf.experts_days);
    t = (struct span){ .begin_s = inc->opened_s, .till_normal = true };
    t.due_s = later(t.begin_s, m->conf.superior_help_s);
    d = add(m, "superior-help", "PY-24 h", "office-head", &t, said_done(m, "superior-help", 0), 0);
    if (d)
        say(d->text, _("the superior unit helps: it must have been asked, and be there"));
}

/* --- afterwards ------------------------------------------------------------------------------------------ */
static size_t newest(const struct incident *inc, enum event_kind kind)
{
    for (size_t i = inc->n; i-- > 0;)
        if (inc->events[i].kind == kind)
            return i;
    return inc->n;
}

/* The cause was found when the summary was written already. */
static void add_supplement(struct making *m, size_t summary)
{
    const struct incident *inc = m->inc;
    size_t cause = inc->n;
    for (size_t i = summary + 1; i < inc->n; i++)
        if (inc->events[i].kind == EVENT_NOTE && is_text(&inc->events[i], "field", CAUSE_FIELD))
            cause = i;
    if (cause == inc->n)
        return;
    struct span t = { .begin_s = inc->events[cause].at_s, .stays = true };
    t.due_s = later(t.begin_s, m->conf.supplement_s);
    int64_t done = reported(m, "supplement", cause + 1, NULL);
    struct duty *d = add(m, "supplement", "PY-6.5", OFFICERS, &t,
                         done ? done : said_done(m, "supplement", 0), 0);
    if (!d)
        return;
    say(d->text, _("supplement to the summary: the cause is known now"));
    say(d->next, "twofold report supplement %s --output supplement.docx", inc->id);
}

static void add_afterwards(struct making *m)
{
    const struct incident *inc = m->inc;
    struct span t = { .begin_s = inc->recovered_s, .stays = true };
    size_t summary = inc->n;
    if (!inc->recovered_s)
        return;
    size_t from = newest(inc, EVENT_RECOVERED);
    int64_t done = reported(m, "summary", from < inc->n ? from : 0, &summary);
    t.due_s = later(t.begin_s, m->conf.summary_s);
    struct duty *d = add(m, "summary", "PY-6.5", OFFICERS, &t,
                         done ? done : said_done(m, "summary", 0), 0);
    if (d) {
        say(d->text, _("summary of the incident: overview, handling, causes, conclusion"));
        say(d->next, "twofold report summary %s --output summary.docx", inc->id);
    }
    const struct event *first = NULL;
    for (size_t i = 0; i < inc->n && !first; i++)
        first = inc->events[i].kind == EVENT_ACTION ? &inc->events[i] : NULL;
    t.due_s = later(t.begin_s, m->conf.actions_s);
    d = add(m, "actions", "PY-7.3", "office-head security-officer", &t,
            first ? first->at_s : said_done(m, "actions", 0), 0);
    if (d) {
        say(d->text, _("name what is to be mended, by whom and until when"));
        say(d->next, "twofold crash action add TEXT --owner NAME --due DATE --incident %s",
            inc->id);
    }
    if (summary < inc->n)
        add_supplement(m, summary);
}

static void add_action(struct making *m, const struct event *ev, int64_t begin_s)
{
    struct span t = {
        .begin_s = begin_s, .due_s = event_int(ev, "due"), .stays = true, .lead_s = ACTION_LEAD_S
    };
    unsigned number = (unsigned)event_int(ev, "action");
    struct duty *d = add(m, "action", "PY-7.3", "security-officer", &t, event_int(ev, "done"),
                         number);
    if (!d)
        return;
    say(d->text, _("corrective action %u (%s): %s"), number, event_text(ev, "owner"),
        event_text(ev, "text"));
    say(d->next, "twofold crash action done %u --incident %s", number, m->inc->id);
}

/* The newest line of each number says how it stands. */
static void add_actions(struct making *m)
{
    const struct incident *inc = m->inc;
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i], *last = ev;
        int64_t number = event_int(ev, "action");
        bool first = ev->kind == EVENT_ACTION && number >= 1 && number <= MAX_NUMBER;
        for (size_t k = 0; first && k < i; k++)
            first = inc->events[k].kind != EVENT_ACTION ||
                    event_int(&inc->events[k], "action") != number;
        for (size_t k = i + 1; first && k < inc->n; k++)
            if (inc->events[k].kind == EVENT_ACTION &&
                event_int(&inc->events[k], "action") == number)
                last = &inc->events[k];
        if (first && event_int(last, "due") > 0)
            add_action(m, last, ev->at_s);
    }
}

/* --- the whole list ------------------------------------------------------------------------------------------ */
static int by_time(const void *a, const void *b)
{
    const struct duty *x = a, *y = b;
    if (x->due_s != y->due_s)
        return x->due_s < y->due_s ? -1 : 1;
    int by_id = strcmp(x->id, y->id);
    return by_id ? by_id : x->number < y->number ? -1 : x->number > y->number;
}

int duties_of(const struct incident *inc, const struct duty_rules *r, int64_t now_s,
              struct duty_list *ret, struct err *e)
{
    *ret = (struct duty_list){ 0 };
    struct making m = { .inc = inc, .conf = r->conf, .r = r, .now_s = now_s, .l = ret };
    if (!inc->drill) {
        add_notices(&m);
        add_reports(&m);
        add_first_hour(&m);
        add_daily(&m);
        add_longer(&m);
        add_afterwards(&m);
    }
    add_actions(&m);
    if (m.no_memory) {
        duties_done(ret);
        return err_set(e, ERR_NOMEM, _("out of memory"));
    }
    if (ret->n)
        qsort(ret->all, ret->n, sizeof *ret->all, by_time);
    return 0;
}

void duties_done(struct duty_list *l)
{
    free(l->all);
    *l = (struct duty_list){ 0 };
}

const char *duty_word(const struct duty *d, char out[MAX_DUTY_ID + 12])
{
    if (d->number)
        snprintf(out, MAX_DUTY_ID + 12, "%s-%u", d->id, d->number);
    else
        snprintf(out, MAX_DUTY_ID + 12, "%s", d->id);
    return out;
}

const struct duty *duties_find(const struct duty_list *l, const char *word)
{
    char own[MAX_DUTY_ID + 12];
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(duty_word(&l->all[i], own), word) == 0)
            return &l->all[i];
    for (size_t i = l->n; i-- > 0;)
        if (strcmp(l->all[i].id, word) == 0 && l->all[i].state < DUTY_DONE)
            return &l->all[i];
    return NULL;
}

int64_t duties_change_s(const struct duty_list *l, int64_t now_s)
{
    int64_t next = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct duty *d = &l->all[i];
        int64_t at = d->state == DUTY_COMING ? d->remind_s : d->due_s + 1;
        if (d->state < DUTY_OVERDUE && at > now_s && (!next || at < next))
            next = at;
    }
    return next;
}
