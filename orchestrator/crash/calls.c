/* calls.c - whom to call: persons and units that no program reaches, and those whose messages have failed, with their telephone numbers. It is
 * the timeline's word and contacts.yaml's alone. See crash.h. */
#include "lib/base/i18n.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/crash/notice_inner.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/tell.h"

#include <stdlib.h>
#include <string.h>

#define INDENT 10
#define BOTH_PERSONS 1

static bool is_text(const struct event *ev, const char *key, const char *value)
{
    return value && *value && strcmp(event_text(ev, key), value) == 0;
}

static bool is_ok(const struct event *ev)
{
    return json_is_true(json_object_get(ev->body, "ok"));
}

static bool has_begun(const struct incident *inc, enum crash_step step)
{
    return incident_last(inc, EVENT_STEP, "step", crash_step_name(step)) != NULL;
}

/* Once for each person and notice in the life of this process: whoever was named already is not named at each question. */
static void say_call(struct crash *c, const char *notice, const char *name, const char *more,
                     const char *phone, const char *why)
{
    char *key = text_print("%s/%s", notice, name);
    bool said = json_object_get(c->called, key) != NULL;
    if (!c->called)
        c->called = json_object();
    json_object_set_new(c->called, key, json_true());
    free(key);
    if (said)
        return;
    crash_line(c, INDENT, _("CALL %s%s%s, telephone %s: %s (%s)"), name, more && *more ? ", " : "",
               more ? more : "", phone && *phone ? phone : "-",
               strcmp(notice, "told") == 0                     ? _("that it has crashed")
               : strcmp(notice, notice_name(NOTICE_HOLD)) == 0 ? _("hold uploads")
                                                               : _("uploads may go on"),
               why);
    ui_json(&c->app->ui, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "type", "call", "incident",
                                   c->inc->id, "notice", notice, "to", event_json(name, 0), "phone",
                                   event_json(phone, 0), "why", event_json(why, 0)));
}

/* --- units ------------------------------------------------------------------------------------------------------- */
static const char *failure(const struct incident *inc, const char *notice, const char *unit)
{
    for (size_t i = inc->n; i-- > 0;) {
        const struct event *ev = &inc->events[i];
        if (ev->kind == EVENT_NOTICE && is_text(ev, "notice", notice) && is_text(ev, "to", unit))
            return is_ok(ev) ? NULL : event_text(ev, "detail");
    }
    return NULL;
}

static void say_units(struct crash *c, enum notice_kind kind)
{
    const char *notice = notice_name(kind);
    for (size_t i = 0; i < c->contacts->n_units; i++) {
        const struct unit_contact *u = &c->contacts->units[i];
        const char *why = failure(c->inc, notice, u->name);
        if (!why || notice_done(c->inc, kind, u->name, NULL) ||
            !notice_wanted(c->inc, kind, u->name))
            continue;
        bool way = c->settings &&
                   (notice_way(c->settings, u, "mail") || notice_way(c->settings, u, "command"));
        say_call(c, notice, u->name, u->contact, u->phone,
                 way ? why : _("no message reaches them"));
    }
}

/* --- persons -------------------------------------------------------------------------------------------------------- */
static bool is_theirs(const struct person *p, const char *address)
{
    return (p->phone && strcmp(p->phone, address) == 0) ||
           (p->mail && strcmp(p->mail, address) == 0) ||
           (p->webhook && strcmp(p->webhook, address) == 0);
}

/* NULL: they were told, or it is not known yet. */
static const char *why_call(const struct crash *c, const struct person *p,
                            const struct recipients *ways)
{
    const char *why = NULL;
    bool way = false;
    for (size_t i = 0; i < c->inc->n; i++) {
        const struct event *ev = &c->inc->events[i];
        if (ev->kind != EVENT_NOTICE || !is_text(ev, "notice", "told") ||
            !is_text(ev, "about", "opened") || !is_theirs(p, event_text(ev, "address")))
            continue;
        if (is_ok(ev))
            return NULL;
        why = event_text(ev, "detail");
    }
    for (size_t i = 0; i < ways->n; i++)
        way = way || is_theirs(p, ways->all[i].to);
    return way ? why : _("no message reaches them");
}

static void say_persons(struct crash *c)
{
    struct called_person persons[MAX_RECIPIENTS];
    struct recipients ways = { .n = 0 };
    if (c->settings)
        tell_ways(CRASH_ROLES_TOLD, BOTH_PERSONS, false, c->settings, c->contacts, &ways);
    size_t n = tell_persons(c->contacts, CRASH_ROLES_TOLD, BOTH_PERSONS, persons, MAX_RECIPIENTS);
    for (size_t i = 0; i < n; i++) {
        const char *why = why_call(c, persons[i].who, &ways);
        if (why)
            say_call(c, "told", persons[i].who->name, persons[i].role, persons[i].who->phone, why);
    }
}

void crash_say_calls(struct crash *c)
{
    const struct incident *inc = c->inc;
    if (!c->contacts || inc->drill || inc->closed_s || !has_begun(inc, STEP_NOTIFY))
        return;
    say_persons(c);
    if (has_begun(inc, STEP_RESUME))
        say_units(c, NOTICE_RESUME);
    else
        say_units(c, NOTICE_HOLD);
}
