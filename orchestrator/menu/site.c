/* site.c - what the menu knows of the site: incidents that are open, duties that are overdue, policies and alarms; see inner.h. */
#include "lib/base/i18n.h"
#include "orchestrator/gather.h"
#include "orchestrator/menu/inner.h"
#include "orchestrator/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TOLD 2 /* incidents in the head; the others are counted */
#define HEAD_COLUMNS 79

const char *cause_words(enum crash_cause c)
{
    return c == CAUSE_ATTACK ? _("attack") : c == CAUSE_DISASTER ? _("disaster") : _("fault");
}

/* --- incidents ---------------------------------------------------------------------------------------------- */
bool site_is_open(const struct incident_fact *n)
{
    return !n->drill && !n->closed_s;
}

const struct incident_fact *site_incident(const struct menu *m, const char *policy)
{
    for (size_t i = 0; i < m->facts.n_incidents; i++)
        if (site_is_open(&m->facts.incidents[i]) &&
            strcmp(m->facts.incidents[i].policy, policy) == 0)
            return &m->facts.incidents[i];
    return NULL;
}

/* --- the head of every page ------------------------------------------------------------------------------------- */
/* What is overdue, else what is due next: they come by the time at which each is due. */
static void put_duty(FILE *f, const struct menu *m, const struct incident_fact *n)
{
    size_t overdue = 0;
    char when[64];
    const struct duty *first = n->duties.n ? &n->duties.all[0] : NULL;
    for (size_t i = 0; i < n->duties.n; i++)
        overdue += n->duties.all[i].state == DUTY_OVERDUE;
    if (!first)
        return;
    ui_age(first->due_s > m->facts.now_s ? first->due_s - m->facts.now_s
                                         : m->facts.now_s - first->due_s,
           when);
    char *line = overdue > 1 ? text_print(_("!   OVERDUE (%zu), the first for %s: %s"), overdue,
                                          when, first->text)
                 : overdue   ? text_print(_("!   OVERDUE for %s: %s"), when, first->text)
                             : text_print(_("!   due in %s: %s"), when, first->text);
    char *fit = text_fit(line, m->screen.columns ? m->screen.columns - 1 : HEAD_COLUMNS, false);
    fprintf(f, "%s\n", fit);
    free(fit);
    free(line);
}

static void put_incident(FILE *f, const struct menu *m, const struct incident_fact *n)
{
    char age[64];
    ui_age(m->facts.now_s - n->opened_s, age);
    if (n->unread || n->damage[0])
        fprintf(f, _("! INCIDENT %s: its timeline is damaged"), n->id);
    else if (n->recovered_s)
        fprintf(f, _("! OPEN INCIDENT %s: the service is back"), n->id);
    else if (n->escalated_s)
        fprintf(f, _("! OPEN INCIDENT %s: ESCALATED, begun %s ago"), n->id, age);
    else
        fprintf(f, _("! OPEN INCIDENT %s (%s), begun %s ago"), n->id, cause_words(n->cause), age);
    putc('\n', f);
    put_duty(f, m, n);
}

static void put_incidents(FILE *f, const struct menu *m)
{
    size_t told = 0, left = 0;
    for (size_t i = 0; i < m->facts.n_incidents; i++) {
        if (!site_is_open(&m->facts.incidents[i]))
            continue;
        if (told < MAX_TOLD) {
            put_incident(f, m, &m->facts.incidents[i]);
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

static bool any_open(const struct menu *m)
{
    for (size_t i = 0; i < m->facts.n_incidents; i++)
        if (site_is_open(&m->facts.incidents[i]))
            return true;
    return false;
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
    if (!any_open(m)) /* else there is something to do before */
        put_site(f, m);
    putc('\n', f);
    if (fclose(f) != 0)
        abort();
    return out;
}

void site_forget(struct menu *m)
{
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
    free(m->screen.head);
    m->screen.head = make_head(m);
}
