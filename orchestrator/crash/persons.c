/* persons.c - the report to the security officer (PY-DB-2) and, when no copy restores, to the vendor and the superior unit (PY-DB-6): by a
 * process of its own that nobody waits for. See crash.h; units are notice.c's. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/program.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLES_ESCALATED "vendor superior-unit leading-group " CRASH_ROLES_TOLD
#define BOTH_PERSONS 1 /* A and B: nobody waits for an answer */

static const char *about(const struct incident *inc)
{
    return incident_last(inc, EVENT_ESCALATED, NULL, NULL) ? "escalated" : "opened";
}

int crash_report_to(struct crash *c, struct err *e)
{
    extern char **environ;
    char path[PATH_MAX];
    pid_t pid;
    int rc = program_find("twofold", "TWOFOLD_PROGRAM", path, e);
    const char *argv[] = { path,       "--config", c->app->paths.config_dir,
                           "--quiet",  "crash",    "report-to",
                           c->inc->id, NULL };
    struct sys_child child = { .argv = argv,
                               .env = (const char *const *)environ,
                               .in_fd = -1,
                               .out_fd = -1,
                               .err_fd = -1,
                               .outlives = true };
    return rc == 0 ? sys_spawn_group(&child, &pid, e) : rc;
}

static void write_message(const struct incident *inc, const struct settings *s, struct message *m)
{
    char when[32], host[256];
    const char *site = s->site ? s->site : "", *gap = s->site ? ": " : "";
    const struct event *esc = incident_last(inc, EVENT_ESCALATED, NULL, NULL);
    *m = (struct message){ 0 };
    m->subject = esc ? text_print(_("%s%sno copy restores \"%s\": urgent support is needed"), site,
                                  gap, inc->policy)
                     : text_print(_("%s%sthe database of \"%s\" has crashed"), site, gap,
                                  inc->policy);
    m->body = text_print(_("%s\n\nIncident %s, cause: %s, opened %s on %s.\n%s%s\n\nHow it stands: "
                           "twofold crash status %s\n"),
                         m->subject, inc->id, crash_cause_name(inc->cause),
                         time_text(inc->opened_s, when), this_host(host),
                         esc ? event_text(esc, "why") : "", esc ? "." : "", inc->id);
    char *brief = text_print("%s (%s)", m->subject, inc->id);
    m->brief = cut_utf8(brief, MAX_BRIEF_BYTES);
    free(brief);
    m->json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "twofold", "state", "incident",
                        "incident", inc->id, "policy", inc->policy, "subject", m->subject);
}

static bool was_told(const struct incident *inc, const char *what, const struct recipient *to)
{
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        if (ev->kind == EVENT_NOTICE && strcmp(event_text(ev, "notice"), "told") == 0 &&
            strcmp(event_text(ev, "about"), what) == 0 &&
            strcmp(event_text(ev, "channel"), to->channel) == 0 &&
            strcmp(event_text(ev, "address"), to->to) == 0 &&
            json_is_true(json_object_get(ev->body, "ok")))
            return true;
    }
    return false;
}

static int write_told(struct incident *inc, const char *what, const struct recipient *to,
                      const struct err *problem, struct err *e)
{
    return incident_add(inc, EVENT_NOTICE,
                        json_pack("{s:s, s:s, s:o, s:s, s:o, s:b, s:o}", "notice", "told", "about",
                                  what, "to", event_json(to->name[0] ? to->name : to->to, 0),
                                  "channel", to->channel, "address", event_json(to->to, 0), "ok",
                                  problem == NULL, "detail",
                                  event_json(problem ? problem->why : "", 0)),
                        e);
}

/* Each attempt may take a while: an incident that was closed meanwhile is told to nobody any more. A drill, closed at its end by itself, notes all
 * of them. */
static int tell_all(struct incident *inc, const char *what, const struct settings *s,
                    const struct recipients *ways, struct err *e)
{
    struct message m;
    int rc = 0;
    write_message(inc, s, &m);
    for (size_t i = 0; rc == 0 && i < ways->n; i++) {
        struct err problem = ERR_INIT;
        const struct recipient *to = &ways->all[i];
        rc = incident_refresh(inc, e);
        if (rc < 0 || (inc->closed_s && !inc->drill))
            break;
        if (was_told(inc, what, to))
            continue;
        int sent = inc->drill ? 0 : channel_send(s, to, &m, &problem);
        rc = write_told(inc, what, to, sent < 0 ? &problem : NULL, e);
    }
    message_done(&m);
    return rc;
}

int crash_tell_persons(struct app *app, struct incident *inc, struct err *e)
{
    struct settings *s = NULL;
    struct contacts *c = NULL;
    struct recipients ways = { .n = 0 };
    struct err nobody = ERR_INIT;
    const char *what = about(inc);
    int rc = settings_load(&app->paths, &s, e);
    if (rc == 0)
        rc = contacts_load(&app->paths, &c, e);
    if (rc == 0) {
        tell_ways(strcmp(what, "escalated") == 0 ? ROLES_ESCALATED : CRASH_ROLES_TOLD, BOTH_PERSONS,
                  false, s, c, &ways);
        rc = tell_all(inc, what, s, &ways, e);
    }
    if (rc == 0 && ways.n == 0) {
        struct recipient none = { .channel = "none", .name = "security-officer" };
        err_set(&nobody, ERR_ABSENT, _("nobody can be reached by a program: call them"));
        rc = write_told(inc, what, &none, &nobody, e);
    }
    settings_free(s);
    contacts_free(c);
    return rc;
}
