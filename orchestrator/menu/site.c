/* site.c - what the menu knows of the site: incidents that are open, duties that are overdue, policies and alarms; see inner.h. */
#include "lib/base/i18n.h"
#include "orchestrator/gather.h"
#include "orchestrator/menu/inner.h"
#include "orchestrator/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TOLD 2 /* incidents in the head; the others are counted */

const char *cause_words(enum crash_cause c)
{
    return c == CAUSE_ATTACK ? _("attack") : c == CAUSE_DISASTER ? _("disaster") : _("fault");
}

/* --- incidents ---------------------------------------------------------------------------------------------- */
/* Is this the newest event of its duty, and does it say that its time has passed? */
static bool is_overdue(const struct incident *inc, size_t at)
{
    const struct event *ev = &inc->events[at];
    if (ev->kind != EVENT_DUTY || strcmp(event_text(ev, "state"), "overdue") != 0)
        return false;
    for (size_t i = at + 1; i < inc->n; i++)
        if (inc->events[i].kind == EVENT_DUTY &&
            strcmp(event_text(&inc->events[i], "duty"), event_text(ev, "duty")) == 0 &&
            event_int(&inc->events[i], "number") == event_int(ev, "number"))
            return false;
    return true;
}

static int on_incident(void *ctx, const char *id, const struct incident *inc,
                       const struct err *broken)
{
    struct menu *m = ctx;
    struct open_incident o = { .broken = broken != NULL };
    if (broken && inc && inc->closed_s)
        return 0;
    snprintf(o.id, sizeof o.id, "%s", id);
    o.policy = strdup(inc ? inc->policy : "");
    if (inc) {
        o.cause = inc->cause;
        o.drill = inc->drill;
        o.opened_s = inc->opened_s;
        o.recovered_s = inc->recovered_s;
    }
    for (size_t i = 0; inc && i < inc->n; i++)
        if (is_overdue(inc, i)) {
            o.overdue++;
            facts_set(&o.duty, event_text(&inc->events[i], "duty"));
        }
    m->incidents = facts_more(m->incidents, m->n_incidents, sizeof *m->incidents);
    m->incidents[m->n_incidents++] = o;
    return o.policy ? 0 : -ERR_NOMEM;
}

const struct open_incident *site_incident(const struct menu *m, const char *policy, bool drill)
{
    for (size_t i = 0; i < m->n_incidents; i++)
        if (m->incidents[i].drill == drill && strcmp(m->incidents[i].policy, policy) == 0)
            return &m->incidents[i];
    return NULL;
}

/* --- the head of every page ------------------------------------------------------------------------------------- */
static void put_incident(FILE *f, const struct menu *m, const struct open_incident *o)
{
    char age[64];
    ui_age(m->facts.now_s - o->opened_s, age);
    if (o->broken)
        fprintf(f, _("! INCIDENT %s: its timeline is damaged"), o->id);
    else if (o->recovered_s)
        fprintf(f, _("! OPEN INCIDENT %s: the service is back; reports are still to be made"),
                o->id);
    else
        fprintf(f, _("! OPEN INCIDENT %s (%s), begun %s ago"), o->id, cause_words(o->cause), age);
    putc('\n', f);
    if (o->overdue) {
        fprintf(f,
                P_("! %zu duty of it is OVERDUE: %s", "! %zu duties of it are OVERDUE: %s, …",
                   o->overdue),
                o->overdue, o->duty ? o->duty : "");
        putc('\n', f);
    }
}

static void put_incidents(FILE *f, const struct menu *m)
{
    size_t told = 0, left = 0;
    for (size_t i = 0; i < m->n_incidents; i++) {
        if (m->incidents[i].drill)
            continue;
        if (told < MAX_TOLD) {
            put_incident(f, m, &m->incidents[i]);
            told++;
        } else {
            left++;
        }
    }
    if (left) {
        fprintf(f, P_("! and %zu more open incident", "! and %zu more open incidents", left), left);
        putc('\n', f);
    }
}

static void put_site(FILE *f, const struct menu *m)
{
    size_t unacked = 0;
    struct site_sum sum;
    site_sum(&m->facts, &m->findings, &sum);
    for (size_t i = 0; i < m->facts.n_alarms; i++)
        unacked += m->facts.alarms[i].acked_s == 0;
    if (m->facts.n_vaults == 0) {
        fprintf(f, "%s\n", _("No vault is configured on this machine."));
        return;
    }
    char *verdict = site_verdict(&sum);
    fprintf(f, "%s%s\n", sum.attention || sum.others ? "! " : "", verdict);
    free(verdict);
    if (unacked) {
        fprintf(f,
                P_("! %zu alarm is not acknowledged", "! %zu alarms are not acknowledged", unacked),
                unacked);
        putc('\n', f);
    }
}

static char *make_head(const struct menu *m)
{
    char *out = NULL, when[32];
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);
    if (!f)
        abort();
    ui_time(m->facts.now_s * 1000000000, when);
    when[10] = ' '; /* 2026-11-26 09:30 */
    when[16] = '\0';
    fprintf(f, "TWOFOLD   %s\n", when);
    put_incidents(f, m);
    put_site(f, m);
    putc('\n', f);
    if (fclose(f) != 0)
        abort();
    return out;
}

void site_forget(struct menu *m)
{
    for (size_t i = 0; i < m->n_incidents; i++) {
        free(m->incidents[i].policy);
        free(m->incidents[i].duty);
    }
    free(m->incidents);
    m->incidents = NULL;
    m->n_incidents = 0;
    findings_done(&m->findings);
    facts_done(&m->facts);
}

void site_read(struct menu *m)
{
    struct gather g = { 0 };
    struct err e = ERR_INIT;
    site_forget(m);
    if (gather_facts(m->app, &g, &m->facts, NULL, &e) < 0)
        screen_notice(&m->screen, text_print("%s: %s", e.what, e.why));
    findings_find(&m->facts, &m->findings);
    if (incidents_each(&m->app->paths, true, on_incident, m, &e) < 0)
        screen_notice(&m->screen, text_print("%s: %s", e.what, e.why));
    free(m->screen.head);
    m->screen.head = make_head(m);
}
