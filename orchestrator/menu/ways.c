/* ways.c - from an item of the menu to a command: each asks only what it needs, one question a page, and 0 goes back by one. */
#include "lib/base/i18n.h"
#include "orchestrator/menu/inner.h"
#include "orchestrator/text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void words_begin(const struct menu *m, struct words *w)
{
    *w = (struct words){ 0 };
    if (m->config)
        words_put(w, "--config", m->config);
}

/* Shows the command whole, and runs it when that is wanted. Takes w. */
static void confirm(struct menu *m, const char *title, const char *explain, struct words *w)
{
    struct screen_rows rows = { 0 };
    char *shown = words_shown(w);
    char *text = text_print(_("%s\n\nThis is run:\n  %s"), explain, shown);
    rows_add(&rows, text_print("%s", _("run it")), NULL);
    if (screen_choose(&m->screen, title, text, &rows) == 1)
        start_here(&m->screen, w);
    rows_done(&rows);
    free(text);
    free(shown);
    words_done(w);
}

void way_status(struct menu *m)
{
    struct words w;
    words_begin(m, &w);
    words_add(&w, "status");
    start_told(&m->screen, &w);
    words_done(&w);
}

/* --- an incident ------------------------------------------------------------------------------------------------- */
static char *command_row(const char *command, const char *id, const char *rest)
{
    return text_print("twofold %s %s%s", command, id, rest);
}

static void note(struct menu *m, const char *id)
{
    struct words w;
    char *text = screen_ask(
        &m->screen, _("What do you know?"),
        _("Who was told, what was seen, what was done: one line. It goes onto the incident's "
          "timeline with your name and the time, and into its reports."),
        _("Note:"));
    if (!text)
        return;
    words_begin(m, &w);
    words_put(&w, "crash", "note", id, text);
    start_here(&m->screen, &w);
    words_done(&w);
    free(text);
}

static void with_incident(struct menu *m, const char *verb, const char *id, bool told)
{
    struct words w;
    words_begin(m, &w);
    words_put(&w, "crash", verb, id);
    if (told)
        start_told(&m->screen, &w);
    else
        start_here(&m->screen, &w);
    words_done(&w);
}

void way_incident(struct menu *m, const struct incident_fact *inc)
{
    struct screen_rows rows = { 0 };
    char id[MAX_INCIDENT_ID]; /* the list may be read again */
    snprintf(id, sizeof id, "%s", inc->id);
    rows_add(&rows, text_print("%s", _("go on with it: what was done is not done again")),
             command_row("crash resume", id, ""));
    rows_add(&rows, text_print("%s", _("how far it is")), command_row("crash status", id, ""));
    rows_add(&rows, text_print("%s", _("note what I know")),
             command_row("crash note", id, " TEXT"));
    rows_add(&rows, text_print("%s", _("it is over: close it")),
             command_row("crash close", id, ""));
    char *title = text_print(_("Incident %s"), id);
    for (size_t n; (n = screen_choose(&m->screen, title, NULL, &rows)) > 0;) {
        if (n == 3)
            note(m, id);
        else
            with_incident(m, n == 1 ? "resume" : n == 2 ? "status" : "close", id, n == 2);
        if (n != 2)
            break; /* it may be another list now */
    }
    free(title);
    rows_done(&rows);
}

/* --- one copy alone ----------------------------------------------------------------------------------------------- */
/* The copy is asked for its backups, so that a wrong address or passphrase shows at once. */
static char *choose_copy(struct menu *m)
{
    for (;;) {
        struct words w;
        char *url = screen_ask(&m->screen, _("From one copy alone"),
                               _("Nothing but this program, one copy and the passphrase is needed. "
                                 "Where is the copy? A folder, like /mnt/b, or another host, like "
                                 "sftp://USER@HOST/PATH."),
                               _("Copy:"));
        if (!url)
            return NULL;
        words_begin(m, &w);
        words_put(&w, "snapshots", "--copy", url);
        int status = start_told(&m->screen, &w);
        words_done(&w);
        if (status == 0 || status == 4) /* 4: some are damaged */
            return url;
        free(url);
    }
}

static char *type_policy(struct menu *m)
{
    for (;;) {
        char *policy = screen_ask(&m->screen, _("From one copy alone"),
                                  _("The list of backups named the policies. Whose newest whole "
                                    "backup is to be restored?"),
                                  _("Policy:"));
        if (!policy || config_name_ok(policy))
            return policy;
        screen_notice(&m->screen, text_print(_("\"%s\" cannot be the name of a policy"), policy));
        free(policy);
    }
}

/* --- a crash -------------------------------------------------------------------------------------------------------- */
struct crashed {
    const char *policy;
    const char *url; /* a copy, where nothing is configured; or NULL */
    enum crash_cause cause;
    char *before; /* owned; of a mistake: when it began; or NULL */
};

/* As a time of the day, so that what was two hours ago stays so while the plan is read. Owned; NULL: back. */
static char *ask_before(struct menu *m)
{
    char *text = ask_moment(
        m, _("Since when are the data wrong?"),
        _("For instance 2026-11-26 09:30, or -2h for two hours ago; rather too early than too "
          "late. The data come back as they were just before; what was written from then on is set "
          "aside."));
    int64_t ns = 0;
    char at[32] = "";
    struct tm tm;
    if (!text || parse_time(text, &ns, NULL) < 0)
        return text;
    time_t s = (time_t)(ns / 1000000000);
    if (localtime_r(&s, &tm))
        strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S", &tm);
    free(text);
    return text_print("%s", at);
}

/* false: back. */
static bool choose_cause(struct menu *m, struct crashed *c)
{
    static const enum crash_cause causes[] = { CAUSE_FAULT, CAUSE_FAULT, CAUSE_ATTACK,
                                               CAUSE_DISASTER };
    struct screen_rows rows = { 0 };
    rows_add(&rows, text_print("%s", _("a fault")),
             text_print("%s", _("a broken disk, a power cut, damaged or missing files")));
    rows_add(&rows, text_print("%s", _("a mistake")),
             text_print("%s", _("a person or a program deleted or changed data: back to before")));
    rows_add(&rows, text_print("%s", _("an attack")),
             text_print("%s", _("a break-in, ransomware, a virus, tampering; or it may be one")));
    rows_add(&rows, text_print("%s", _("a disaster")),
             text_print("%s", _("fire, water: the machine or the whole room is lost")));
    char *title = text_print(_("\"%s\" has crashed. What is the cause, as far as it is known?"),
                             c->policy);
    size_t n;
    free(c->before);
    c->before = NULL;
    do {
        n = screen_choose(&m->screen, title, NULL, &rows);
        if (n == 2)
            c->before = ask_before(m);
    } while (n == 2 && !c->before && !m->screen.over);
    if (n)
        c->cause = causes[n - 1];
    free(title);
    rows_done(&rows);
    return n > 0 && !m->screen.over;
}

static void crash_words(const struct menu *m, const struct crashed *c, bool plan, struct words *ret)
{
    words_begin(m, ret);
    words_add(ret, "crash");
    if (c->url)
        words_put(ret, "--copy", c->url, "--policy");
    words_put(ret, c->policy, "--cause", crash_cause_name(c->cause));
    if (c->before)
        words_put(ret, "--first-sign", c->before);
    if (plan)
        words_add(ret, "--plan");
}

/* false: back. */
static bool begin_crash(struct menu *m, const struct crashed *c)
{
    struct screen_rows rows = { 0 };
    struct words w, plan;
    crash_words(m, c, false, &w);
    crash_words(m, c, true, &plan);
    rows_add(&rows,
             text_print(
                 "%s", _("begin: units are told and the service is stopped at once; then it asks")),
             words_shown(&w));
    rows_add(&rows, text_print("%s", _("first show the plan and the contacts; nothing is done")),
             words_shown(&plan));
    size_t n;
    while ((n = screen_choose(&m->screen, _("The crash procedure"),
                              _("Damaged data are set aside, never deleted. It can be "
                                "interrupted at any moment, and goes on where it was."),
                              &rows)) == 2)
        start_told(&m->screen, &plan);
    if (n == 1)
        start_here(&m->screen, &w);
    rows_done(&rows);
    words_done(&w);
    words_done(&plan);
    return n == 1;
}

/* On a machine that knows nothing: from one copy. */
static void crash_from_copy(struct menu *m)
{
    char *url = choose_copy(m), *policy;
    bool begun = false;
    while (url && !begun && (policy = type_policy(m)) != NULL) {
        struct crashed c = { .policy = policy, .url = url };
        while (!begun && choose_cause(m, &c))
            begun = begin_crash(m, &c);
        free(c.before);
        free(policy);
    }
    free(url);
}

void way_crash(struct menu *m)
{
    struct crashed c = { 0 };
    if (m->facts.n_policies == 0) {
        crash_from_copy(m);
        return;
    }
    while ((c.policy = choose_policy(m, _("A database crash, or data are lost"))) != NULL) {
        const struct incident_fact *o = site_incident(m, c.policy);
        if (o) {
            way_incident(m, o);
            return;
        }
        bool begun = false;
        while (!begun && choose_cause(m, &c))
            begun = begin_crash(m, &c);
        free(c.before);
        c.before = NULL;
        if (begun)
            return;
    }
}

/* --- a restore ------------------------------------------------------------------------------------------------------ */
struct restoring {
    const char *policy;
    struct chosen_backup backup;
    char *path, *target; /* owned; path NULL: everything */
};

static void backup_options(const struct restoring *r, struct words *w)
{
    if (r->backup.snapshot)
        words_put(w, "--snapshot", r->backup.snapshot);
    if (r->backup.at)
        words_put(w, "--at", r->backup.at);
}

static void look_for(struct menu *m, const struct restoring *r)
{
    struct words w;
    char *name = screen_ask(&m->screen, _("Look for a file by its name"),
                            _("The last part of its path; * stands for anything: *.conf"),
                            _("Name:"));
    if (!name)
        return;
    words_begin(m, &w);
    words_put(&w, "find", name, "--policy", r->policy);
    if (r->backup.snapshot)
        words_put(&w, "--snapshot", r->backup.snapshot);
    start_told(&m->screen, &w);
    words_done(&w);
    free(name);
}

/* In the backup of a database files lie below the name of its kind. */
static bool has_own_paths(struct menu *m, const char *policy, bool *ret_sqlite)
{
    struct policy *pol = NULL;
    bool known = policy_load(&m->app->paths, policy, &pol, NULL) == 0;
    bool own = known && pol->n_sources > 0;
    *ret_sqlite = known && strcmp(policy_kind(pol), "sqlite") == 0;
    policy_free(pol);
    return own;
}

static char *type_path(struct menu *m, const char *policy)
{
    bool sqlite, own = has_own_paths(m, policy, &sqlite);
    for (;;) {
        char *path = screen_ask(&m->screen, _("Which file or folder?"),
                                own ? _("Its path in the backup; \"look for a file\" shows it.")
                                    : _("Its path in the backup, as it was on its host."),
                                sqlite ? _("Path, like /sqlite/files/srv/app.db:")
                                       : _("Path, like /etc/hosts:"));
        if (!path || path[0] == '/')
            return path;
        screen_notice(&m->screen, text_print("%s", _("Type the whole path, from the first / on.")));
        free(path);
    }
}

static int choose_what(struct menu *m, struct restoring *r)
{
    struct screen_rows rows = { 0 };
    size_t n;
    free(r->path);
    r->path = NULL;
    rows_add(&rows, text_print("%s", _("everything")), NULL);
    rows_add(&rows, text_print("%s", _("one file or folder, whose path I type")), NULL);
    rows_add(&rows, text_print("%s", _("look for a file by its name first")),
             text_print("twofold find NAME --policy %s", r->policy));
    do {
        n = screen_choose(&m->screen, _("Restore what of it?"), NULL, &rows);
        if (n == 3)
            look_for(m, r);
        if (n == 2)
            r->path = type_path(m, r->policy);
    } while ((n == 3 || (n == 2 && !r->path)) && !m->screen.over);
    rows_done(&rows);
    return n && !m->screen.over ? NEXT : BACK;
}

static int choose_where(struct menu *m, struct restoring *r)
{
    free(r->target);
    r->target = choose_target(m, r->policy, r->path ? 0 : r->backup.bytes);
    return r->target ? NEXT : BACK;
}

static void run_restore(struct menu *m, const struct restoring *r)
{
    struct words w;
    words_begin(m, &w);
    words_put(&w, "restore", r->policy, "--to", r->target);
    backup_options(r, &w);
    if (r->path)
        words_add(&w, r->path);
    confirm(m, _("Restore"),
            _("It comes into a new folder; nothing that is there is touched. For a database that "
              "is to run again where it was, take \"a database crash\" in the first menu."),
            &w);
}

void way_restore(struct menu *m)
{
    struct restoring r = { 0 };
    for (int step = 0; step >= 0 && step < 5 && !m->screen.over;) {
        int way = NEXT;
        switch (step) {
        case 0:
            r.policy = choose_policy(m, _("Restore files into a new folder"));
            way = r.policy ? NEXT : BACK;
            break;
        case 1:
            way = choose_backup(m, r.policy, &r.backup);
            break;
        case 2:
            way = choose_what(m, &r);
            break;
        case 3:
            way = choose_where(m, &r);
            break;
        default:
            run_restore(m, &r);
        }
        step += way;
    }
    chosen_backup_done(&r.backup);
    free(r.path);
    free(r.target);
}

/* --- a drill ---------------------------------------------------------------------------------------------------------- */
static bool drill_one(struct menu *m, const char *policy)
{
    struct screen_rows rows = { 0 };
    struct words w;
    char *place = NULL;
    size_t n;
    rows_add(&rows, text_print("%s", _("an ordinary restore, from all copies")), NULL);
    rows_add(&rows, text_print("%s", _("as if one copy were gone")), NULL);
    rows_add(&rows, text_print("%s", _("from one copy alone")), NULL);
    do {
        n = screen_choose(&m->screen, _("What is to be tried?"),
                          _("A drill restores into a scratch folder, checks what came, measures "
                            "the time, and clears up. The live data are not touched."),
                          &rows);
        if (n > 1)
            place = choose_place(m, policy, n == 2 ? _("Which copy is gone?") : _("Which copy?"));
    } while (n > 1 && !place && !m->screen.over);
    rows_done(&rows);
    if (!n || m->screen.over) {
        free(place);
        return false;
    }
    words_begin(m, &w);
    words_put(&w, "drill", policy);
    if (place)
        words_put(&w, n == 2 ? "--lose" : "--from", place);
    free(place);
    confirm(m, _("Drill"), _("The live data are not touched."), &w);
    return true;
}

void way_drill(struct menu *m)
{
    const char *policy;
    while ((policy = choose_policy(m, _("A drill: can it be restored, and how fast?"))) != NULL)
        if (drill_one(m, policy))
            return;
}

/* --- from one copy alone --------------------------------------------------------------------------------------------- */
static void run_rescue(struct menu *m, const char *url, const char *policy, const char *target)
{
    struct words w;
    words_begin(m, &w);
    words_put(&w, "restore", "--copy", url, "--policy", policy, "--to", target);
    confirm(m, _("From one copy alone"), _("Its newest whole backup is restored."), &w);
}

void way_rescue(struct menu *m)
{
    char *url = choose_copy(m), *policy, *target = NULL;
    while (url && !target && (policy = type_policy(m)) != NULL) {
        target = choose_target(m, policy, 0);
        if (target)
            run_rescue(m, url, policy, target);
        free(policy);
    }
    free(target);
    free(url);
}
