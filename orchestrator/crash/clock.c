/* clock.c - the duties of an incident with this site's configuration, shown and reminded of; see clock.h. */
#include "orchestrator/crash/clock.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/gather.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"
#include "policies/contacts.h"
#include "policies/settings.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_COLUMNS 80

/* --- the site --------------------------------------------------------------------------------------- */
struct site {
    struct settings *settings;
    struct contacts *contacts;
    struct workdays *workdays;
    const char **units;
};

static void site_done(struct site *s)
{
    settings_free(s->settings);
    contacts_free(s->contacts);
    workdays_free(s->workdays);
    free(s->units);
}

static void site_load(const struct config_paths *p, struct site *ret)
{
    *ret = (struct site){ 0 };
    if (settings_load(p, &ret->settings, NULL) < 0)
        ret->settings = NULL;
    if (contacts_load(p, &ret->contacts, NULL) < 0)
        ret->contacts = NULL;
    if (workdays_load(p, &ret->workdays, NULL) < 0)
        ret->workdays = NULL;
    size_t n = ret->contacts ? ret->contacts->n_units : 0;
    ret->units = calloc(n + 1, sizeof *ret->units);
    for (size_t i = 0; ret->units && i < n; i++)
        ret->units[i] = ret->contacts->units[i].name;
}

static struct incident_conf site_conf(const struct config_paths *p, const struct site *s,
                                      const char *policy)
{
    struct incident_conf site = s->settings ? s->settings->incident : incident_conf_default();
    struct policy *pol = NULL;
    if (policy_load(p, policy, &pol, NULL) < 0)
        return site;
    struct incident_conf c = incident_conf_for(&site, &pol->incident);
    policy_free(pol);
    return c;
}

static int duties_here(const struct config_paths *p, const struct site *s,
                       const struct incident *inc, int64_t now_s, struct duty_list *ret,
                       struct err *e)
{
    struct incident_conf conf = site_conf(p, s, inc->policy ? inc->policy : "");
    struct duty_rules r = { .conf = duty_conf(inc, &conf),
                            .calendar = s->workdays,
                            .units = s->units };
    return duties_of(inc, &r, now_s, ret, e);
}

int crash_duties(const struct config_paths *p, const struct incident *inc, int64_t now_s,
                 struct duty_list *ret, struct err *e)
{
    struct site s;
    site_load(p, &s);
    int rc = duties_here(p, &s, inc, now_s, ret, e);
    site_done(&s);
    return rc;
}

json_t *crash_deadlines_json(const struct config_paths *p, const char *policy)
{
    struct site s;
    site_load(p, &s);
    struct incident_conf c = site_conf(p, &s, policy);
    site_done(&s);
    return incident_conf_json(&c);
}

/* --- shown -------------------------------------------------------------------------------------------- */
static void print_json(struct app *app, const struct incident *inc, const struct duty *d)
{
    char word[MAX_DUTY_ID + 12];
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:o, s:s, s:I, s:I, s:o, s:s}", "type",
                      "duty", "incident", inc->id, "duty", duty_word(d, word), "number",
                      (json_int_t)d->number, "row", d->row, "state", duty_state_name(d->state),
                      "text", ui_json_text(d->text, strlen(d->text)), "roles", d->roles, "due_s",
                      (json_int_t)d->due_s, "remind_s", (json_int_t)d->remind_s, "done_s",
                      d->done_s ? json_integer((json_int_t)d->done_s) : json_null(), "next",
                      d->next));
}

static void print_duty(struct app *app, const struct duty *d, int64_t now_s)
{
    unsigned columns = app->ui.out_columns;
    app->ui.out_columns = columns ? columns
                                  : DEFAULT_COLUMNS; /* read on paper, too, as all of this */
    char when[32], age[64];
    char *text = text_clean(d->text, strlen(d->text), false);
    char *state = text_pad(duty_state_word(d->state), 9, false);
    int64_t at_s = d->state == DUTY_DONE ? d->done_s : d->due_s;
    ui_line(&app->ui, "  %s  %s  %s  [%s]", state, time_text(at_s, when), text, d->row);
    if (d->state == DUTY_OVERDUE)
        ui_line(&app->ui, _("             since %s; then: %s"), ui_age(now_s - d->due_s, age),
                d->next);
    else if (d->state < DUTY_DONE)
        ui_line(&app->ui, _("             within %s: %s"), ui_age(d->due_s - now_s, age), d->next);
    if (d->state < DUTY_DONE && d->roles[0])
        ui_line(&app->ui, _("             by: %s"), d->roles);
    app->ui.out_columns = columns;
    free(text);
    free(state);
}

int duties_print(struct app *app, const struct incident *inc, bool all, size_t *ret_overdue,
                 struct err *e)
{
    static const enum duty_state order[] = { DUTY_OVERDUE, DUTY_DUE, DUTY_COMING, DUTY_DONE,
                                             DUTY_NOT_NEEDED };
    struct duty_list l;
    int64_t now_s = watch_now_s();
    size_t overdue = 0;
    int rc = crash_duties(&app->paths, inc, now_s, &l, e);
    for (size_t k = 0; rc == 0 && k < sizeof order / sizeof *order; k++)
        for (size_t i = 0; i < l.n; i++) {
            if (l.all[i].state != order[k])
                continue;
            overdue += order[k] == DUTY_OVERDUE;
            if (app->ui.json)
                print_json(app, inc, &l.all[i]);
            else if (all || order[k] < DUTY_DONE)
                print_duty(app, &l.all[i], now_s);
        }
    if (rc == 0)
        duties_done(&l);
    if (ret_overdue)
        *ret_overdue = overdue;
    return rc;
}

/* --- reminders ------------------------------------------------------------------------------------------- */
static int note(struct incident *inc, const struct duty *d, const char *state, struct err *e)
{
    int rc = incident_add(inc, EVENT_DUTY,
                          json_pack("{s:s, s:s, s:I, s:I, s:s}", "duty", d->id, "state", state,
                                    "number", (json_int_t)d->number, "due", (json_int_t)d->due_s,
                                    "roles", d->roles),
                          e);
    return rc < 0 ? rc : 1;
}

/* One that is overdue when it is first looked at is not reminded of any more. */
static int note_due(const struct site *s, const struct config_paths *p, struct incident *inc,
                    int64_t now_s, struct err *e)
{
    struct duty_list l;
    int lines = 0, rc = duties_here(p, s, inc, now_s, &l, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < l.n; i++) {
        const struct duty *d = &l.all[i];
        const char *state = d->state == DUTY_DUE       ? "reminded"
                            : d->state == DUTY_OVERDUE ? "overdue"
                                                       : NULL;
        rc = 0;
        if (state && !duty_noted(inc, d->id, d->number, state))
            rc = note(inc, d, state, e);
        lines += rc;
    }
    duties_done(&l);
    return rc < 0 ? rc : lines;
}

int crash_remind(const struct config_paths *p, const char *incident, int64_t now_s, struct err *e)
{
    struct incident *inc = NULL;
    struct site s;
    char *lock = text_print("%s/incidents/%s/clock", p->state_dir, incident);
    int fd = sys_lock_file(lock, e);
    free(lock);
    if (fd < 0)
        return fd;
    /* With the lock: what others have written meanwhile is read. */
    int rc = incident_open(p, incident, &inc, e);
    if (rc == 0 && inc->broken.code == ERR_NONE) {
        site_load(p, &s);
        rc = note_due(&s, p, inc, now_s, e);
        site_done(&s);
        if (rc > 0)
            records_later(&(struct app){ .paths = *p }, inc);
    }
    incident_free(inc);
    sys_close_quiet(fd);
    return rc;
}
