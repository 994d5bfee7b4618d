/* paper.c - see paper.h. */
#include "orchestrator/paper/paper.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/base/who.h"
#include "orchestrator/gather.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"
#include "orchestrator/watch/watch.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOCK_WAIT_MS 60000
#define LOCK_PAUSE_MS 20
#define FIRST_YEAR 2000
#define LAST_YEAR 9999

/* --- language and year -------------------------------------------------------------------------------------------------------- */
static void choose_language(struct paper *p, const struct form *f, const char *lang)
{
    const char *name = lang ? lang : p->settings ? p->settings->language : NULL;
    if (f->looks) /* they quote the program's own texts */
        watch_language(name);
    /* TRANSLATORS: the language of the page, as HTML names it: zh-CN */
    p->r.lang = strncmp(name ? name : _("en"), "zh", 2) == 0 ? PAPER_ZH : PAPER_EN;
}

static int choose_year(struct paper *p, const char *text, struct err *e)
{
    time_t now = p->r.now_s;
    struct tm tm;
    char *end = NULL;
    long year = localtime_r(&now, &tm) ? tm.tm_year + 1900 : FIRST_YEAR;
    if (text)
        year = strtol(text, &end, 10);
    if (text && (!*text || *end || year < FIRST_YEAR || year > LAST_YEAR)) {
        err_set(e, ERR_USAGE, _("\"%s\" is not a year"), text);
        return err_next(e, _("write it with four digits: twofold report annual 2026"));
    }
    p->r.year = (int)year;
    return 0;
}

/* --- incidents ------------------------------------------------------------------------------------------------------------------ */
struct ids {
    struct app *app;
    char **all;
    size_t n;
};
static int note_id(void *ctx, const char *id, const struct incident *inc, const struct err *broken)
{
    struct ids *ids = ctx;
    if (!inc) {
        ui_warn(&ids->app->ui, _("the timeline of incident \"%s\" is left out: %s"), id,
                broken ? broken->why : "");
        return 0;
    }
    ids->all = facts_more(ids->all, ids->n, sizeof *ids->all);
    ids->all[ids->n++] = text_print("%s", id);
    return 0;
}

static int open_all(struct app *app, struct paper *p, struct err *e)
{
    struct ids ids = { .app = app };
    int rc = incidents_each(&app->paths, false, note_id, &ids, e);
    p->all = calloc(ids.n + 1, sizeof(struct incident *)); /* NOLINT */
    if (rc == 0 && !p->all)
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    for (size_t i = 0; rc == 0 && i < ids.n; i++) {
        rc = incident_open(&app->paths, ids.all[i], &p->all[p->n_all], e);
        p->n_all += rc == 0;
    }
    for (size_t i = 0; i < ids.n; i++)
        free(ids.all[i]);
    free(ids.all);
    p->r.incidents = (const struct incident *const *)p->all;
    p->r.n_incidents = p->n_all;
    return rc;
}

/* --- the site --------------------------------------------------------------------------------------------------------------------- */
/* When the policy was last restored in a drill that went well. */
static int64_t last_drill_s(const struct paper *p, const char *policy)
{
    int64_t newest = 0;
    for (size_t i = 0; i < p->n_all; i++) {
        const struct incident *inc = p->all[i];
        if (inc->drill && inc->recovered_s > newest && strcmp(inc->policy, policy) == 0)
            newest = inc->recovered_s;
    }
    return newest;
}

static uint64_t rto_of(struct app *app, const char *name)
{
    struct policy *pol = NULL;
    uint64_t rto_s = policy_load(&app->paths, name, &pol, NULL) == 0 ? pol->rto_s : 0;
    policy_free(pol);
    return rto_s;
}

static void take_policies(struct app *app, struct paper *p)
{
    const struct facts *f = &p->facts;
    char key[sizeof((struct finding *)NULL)->key];
    for (size_t i = 0; i < f->n_policies; i++) {
        const struct policy_fact *from = &f->policies[i];
        p->policies = facts_more(p->policies, i, sizeof *p->policies);
        snprintf(key, sizeof key, "rpo/%s", from->name);
        p->policies[i] = (struct paper_policy){ .name = from->name,
                                                .vault = from->vault,
                                                .agent = from->agent,
                                                .whole_s = from->whole_s,
                                                .files = from->files,
                                                .bytes = from->bytes,
                                                .rpo_s = from->rpo_s,
                                                .rto_s = rto_of(app, from->name),
                                                .late = findings_get(&p->findings, key) != NULL,
                                                .run_s = from->last.ended_s,
                                                .run_status = from->last.exit_status,
                                                .drill_s = last_drill_s(p, from->name) };
    }
    p->site.policies = p->policies;
    p->site.n_policies = f->n_policies;
}

static void take_copies(struct paper *p)
{
    const struct facts *f = &p->facts;
    for (size_t i = 0; i < f->n_copies; i++) {
        const struct copy_fact *from = &f->copies[i];
        p->copies = facts_more(p->copies, i, sizeof *p->copies);
        p->copies[i] = (struct paper_copy){ .vault = f->vaults[from->vault].name,
                                            .place = from->place,
                                            .url = from->url,
                                            .state = from->state,
                                            .text = from->text,
                                            .medium = from->medium,
                                            .rotating = from->rotating,
                                            .bad = from->bad,
                                            .seen_s = from->seen_s,
                                            .free_bytes = from->free_bytes,
                                            .total_bytes = from->total_bytes,
                                            .damaged = from->damaged_objects };
    }
    p->site.copies = p->copies;
    p->site.n_copies = f->n_copies;
}

static void take_alarms(struct paper *p)
{
    static const char *const levels[] = { N_("notice"), N_("warning"), N_("critical") };
    for (size_t i = 0; i < p->findings.n; i++) {
        const struct finding *from = &p->findings.all[i];
        struct paper_alarm *to = facts_more(p->alarms, i, sizeof *p->alarms);
        p->alarms = to;
        to[i] = (struct paper_alarm){ .level = _(levels[from->level]),
                                      .duty = from->duty,
                                      .text = from->text };
        for (size_t k = 0; k < p->facts.n_alarms; k++)
            if (strcmp(p->facts.alarms[k].key, from->key) == 0)
                to[i].raised_s = p->facts.alarms[k].raised_s;
    }
    p->site.alarms = p->alarms;
    p->site.n_alarms = p->findings.n;
}

static void add_finding(struct paper *p, const char *duty, const char *text, bool error)
{
    p->lint = facts_more(p->lint, p->n_lint, sizeof *p->lint);
    p->lint[p->n_lint++] = (struct paper_finding){ .duty = text_print("%s", duty),
                                                   .text = text_print("%s", text),
                                                   .error = error };
}

static void take_lint(void *ctx, const struct lint_finding *f)
{
    struct paper *p = ctx;
    if (f->duty && *f->duty && f->level != LINT_NOTE) {
        char *text = text_print("%s: %s", f->file, f->text);
        add_finding(p, f->duty, text, f->error);
        free(text);
    }
}

/* Policies without a drill that went well in the last year. */
static void take_drills(struct paper *p)
{
    for (size_t i = 0; i < p->site.n_policies; i++)
        if (p->policies[i].drill_s < p->r.now_s - (int64_t)365 * DAY_S) {
            char *text = text_print(_("policy \"%s\": no drill in the last year"),
                                    p->policies[i].name);
            add_finding(p, "PY-8.3", text, false);
            free(text);
        }
}

static int take_findings(struct app *app, struct paper *p, struct err *e)
{
    int rc = policy_lint(&app->paths, take_lint, p, e);
    for (size_t i = 0; i < p->findings.n; i++)
        if (*p->findings.all[i].duty)
            add_finding(p, p->findings.all[i].duty, p->findings.all[i].text,
                        p->findings.all[i].level == ALARM_CRITICAL);
    take_drills(p);
    p->site.findings = p->lint;
    p->site.n_findings = p->n_lint;
    return rc < 0 ? rc : 0;
}

static int count_run(void *ctx, const struct run *run)
{
    struct paper *p = ctx;
    time_t t = run->started_s;
    struct tm tm;
    if (strcmp(run->kind, "backup") != 0 || !localtime_r(&t, &tm))
        return 0;
    if (tm.tm_year + 1900 != p->r.year)
        return 0;
    for (size_t i = 0; i < p->site.n_policies; i++) {
        struct paper_policy *to = &p->policies[i];
        if (strcmp(to->name, run->policy) != 0)
            continue;
        to->runs++;
        to->good += run->ended_s && run->exit_status == 0;
        to->partial += run->ended_s && run->exit_status == 3;
        to->failed += !run->ended_s || (run->exit_status != 0 && run->exit_status != 3);
        to->bytes_stored += run->bytes_stored;
    }
    return 0;
}

/* What the year's runs did. Without a catalog the paper says nothing of them, and that is said. */
static void count_runs(struct app *app, struct paper *p)
{
    struct catalog *c = NULL;
    struct err why = ERR_INIT;
    int rc = catalog_open(&app->paths, CATALOG_READ, &c, &why);
    if (rc == 0)
        rc = catalog_runs(c, NULL, 0, count_run, p, &why);
    catalog_close(c);
    p->site.known = rc == 0;
    if (rc < 0)
        ui_warn(&app->ui, _("the runs of the year cannot be read: %s"), why.why);
}

static int take_site(struct app *app, const struct form *f, struct paper *p, struct err *e)
{
    const struct gather g = { .look = true };
    p->has_facts = true;
    int rc = open_all(app, p, e);
    if (rc == 0)
        rc = gather_facts(app, &g, &p->facts, NULL, e);
    if (rc < 0)
        return rc;
    findings_find(&p->facts, &p->findings);
    p->site.known = p->facts.has_catalog;
    take_policies(app, p);
    take_copies(p);
    take_alarms(p);
    if (f->of == FORM_OF_YEAR)
        count_runs(app, p);
    return strcmp(f->name, "duties") == 0 ? take_findings(app, p, e) : 0;
}

/* --- the whole ---------------------------------------------------------------------------------------------------------------------- */
/* What people wrote. A mistake in it must not keep a report from being written: what cannot be read is blank. */
static int take_settings(struct app *app, struct paper *p, struct err *e)
{
    static const struct forms_conf nothing;
    struct err why = ERR_INIT;
    if (settings_load(&app->paths, &p->settings, &why) < 0)
        ui_warn(&app->ui, _("%s: %s; what it says is left out"), why.what, why.why);
    if (contacts_load(&app->paths, &p->contacts, &why) < 0)
        ui_warn(&app->ui, _("%s: %s; what it says is left out"), why.what, why.why);
    p->r.conf = p->settings ? &p->settings->forms : &nothing;
    p->r.site_name = p->settings ? p->settings->site : NULL;
    p->r.contacts = p->contacts;
    p->r.who = audit_who(p->who);
    p->r.host = this_host(p->host);
    p->r.site = &p->site;
    return 0;
}

/* Until the paper stands on the timeline its number is nobody else's. */
static int lock_numbers(struct paper *p, struct err *e)
{
    char *folder = NULL;
    int rc = incident_folder(p->inc, &folder, e);
    if (rc < 0)
        return rc;
    char *path = text_print("%s/papers.lock", folder);
    uint64_t until = sys_monotonic_ms() + LOCK_WAIT_MS;
    while ((p->lock_fd = sys_lock_file(path, e)) == -ERR_BUSY && sys_monotonic_ms() < until &&
           !sys_interrupted())
        poll(NULL, 0, LOCK_PAUSE_MS);
    free(path);
    free(folder);
    if (p->lock_fd == -ERR_BUSY)
        err_next(e, _("another paper of this incident is being written; try again"));
    return p->lock_fd < 0 ? p->lock_fd : incident_refresh(p->inc, e);
}

struct drill_search {
    const char *policy; /* NULL: any */
    char id[MAX_INCIDENT_ID];
};

static int seek_drill(void *ctx, const char *id, const struct incident *inc,
                      const struct err *broken)
{
    struct drill_search *s = ctx;
    (void)broken;
    if (!inc || !inc->drill || (s->policy && strcmp(s->policy, inc->policy) != 0))
        return 0;
    snprintf(s->id, sizeof s->id, "%s", id);
    return 1; /* newest first */
}

/* A drill is not written up as what happened unless it is named: "drill-…" begins its id. */
static bool names_drill(const char *what)
{
    static const char begin[] = "drill-";
    return what && strncmp(what, begin, sizeof begin - 1) == 0 && what[sizeof begin - 1];
}

static int check_kind(const struct form *f, const char *what, const struct incident *inc,
                      struct err *e)
{
    bool of_drill = strcmp(f->name, "drill") == 0;
    if (of_drill && !inc->drill) {
        err_set(e, ERR_REFUSED, _("the incident %s is no drill: it happened"), inc->id);
        return err_next(e, _("its papers: twofold report summary %s; a drill: twofold drill %s"),
                        inc->id, inc->policy);
    }
    if (!of_drill && inc->drill && !names_drill(what)) {
        err_set(e, ERR_REFUSED, _("what there is of it is a drill"));
        return err_next(e, _("to write it up all the same, name it: %s"), inc->id);
    }
    return 0;
}

/* For the record of a drill: the newest one of that policy, where that is what was said. */
static int find_incident(struct app *app, const struct form *f, const char *what,
                         struct incident **ret, struct err *e)
{
    struct drill_search s = { .policy = what };
    int rc = strcmp(f->name, "drill") == 0 ? incidents_each(&app->paths, false, seek_drill, &s, e)
                                           : 0;
    if (rc >= 0)
        rc = incident_open(&app->paths, s.id[0] ? s.id : what, ret, e);
    return rc == 0 ? check_kind(f, what, *ret, e) : rc;
}

static int take_incident(struct app *app, const struct form *f, const struct paper_wish *w,
                         struct paper *p, struct err *e)
{
    if (f->of != FORM_OF_INCIDENT && !(f->of == FORM_OF_ANY && w->what))
        return 0;
    int rc = find_incident(app, f, w->what, &p->inc, e);
    if (rc == 0 && w->noted)
        rc = lock_numbers(p, e);
    if (rc < 0)
        return rc;
    p->r.inc = p->inc;
    p->r.number = w->number ? w->number : form_next_number(p->inc, f->name);
    return 0;
}

int paper_gather(struct app *app, const struct form *f, const struct paper_wish *w,
                 struct paper *ret, struct err *e)
{
    *ret = (struct paper){ .r = { .now_s = watch_now_s(),
                                  .draft = w->draft,
                                  .answers = w->answers,
                                  .n_answers = w->n_answers },
                           .lock_fd = -1 };
    int rc = take_settings(app, ret, e);
    choose_language(ret, f, w->lang);
    if (rc == 0)
        rc = choose_year(ret, f->of == FORM_OF_YEAR ? w->what : NULL, e);
    if (rc == 0)
        rc = take_incident(app, f, w, ret, e);
    if (rc == 0 && f->looks)
        rc = take_site(app, f, ret, e);
    return rc;
}

void paper_done(struct paper *p)
{
    for (size_t i = 0; i < p->n_lint; i++) {
        free((char *)p->lint[i].duty);
        free((char *)p->lint[i].text);
    }
    free(p->lint);
    free(p->policies);
    free(p->copies);
    free(p->alarms);
    findings_done(&p->findings);
    if (p->has_facts)
        facts_done(&p->facts);
    for (size_t i = 0; i < p->n_all; i++)
        incident_free(p->all[i]);
    free(p->all);
    incident_free(p->inc);
    sys_close_quiet(p->lock_fd);
    contacts_free(p->contacts);
    settings_free(p->settings);
}
