/* lint_policy.c - checks of policies/NAME.yaml: backups in time (SMX-6), kept for several days (PY-SW-1), logs for three
 * months (JZ-5.4), what is secret never over a network (LY), and somebody who is told (PY-AB). */
#include "lib/base/i18n.h"
#include "policies/lint_inner.h"
#include "policies/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_S ((uint64_t)86400)
#define SEVERAL_DAYS_S (3 * DAY_S)

struct checked {
    struct lint *l;
    const char *file;
    const struct yaml_doc *d;
    const struct policy *pol;
    const struct vault_conf *v; /* its vault; NULL: not known */
    bool local;
};

static struct place at_key(const struct checked *c, const char *key, const char *duty)
{
    return (struct place){ c->file, yaml_line(c->d, key), duty };
}

/* --- vault and agent ------------------------------------------------------------------------------------------ */
static void check_vault_of(struct checked *c)
{
    struct lint *l = c->l;
    struct place at = at_key(c, "vault", "");
    struct stat st;
    for (size_t i = 0; i < l->n_vaults; i++)
        if (c->pol->vault[0] ? strcmp(l->vaults[i]->name, c->pol->vault) == 0
                             : l->n_vault_files == 1)
            c->v = l->vaults[i];
    if (c->pol->vault[0]) {
        char *its = conf_file(l->p, VAULTS, c->pol->vault);
        if (its && stat(its, &st) < 0)
            lint_find(l, LINT_ERROR, at, _("there is no vault \"%s\": %s is not there"),
                      c->pol->vault, its);
        free(its);
    } else if (l->n_vault_files > 1) {
        at.line = 0;
        lint_find(l, LINT_ERROR, at,
                  _("it must say which vault keeps it, because there are several: vault: NAME"));
    }
}

static void check_agent_of(struct checked *c)
{
    struct stat st;
    c->local = strcmp(c->pol->agent, "local") == 0;
    char *its = c->local ? NULL : conf_file(c->l->p, AGENTS, c->pol->agent);
    if (its && stat(its, &st) < 0)
        lint_find(
            c->l, LINT_ERROR, at_key(c, "agent", ""),
            _("there is no agent \"%s\": %s is not there; enrol it: twofold agent enrol HOST"),
            c->pol->agent, its);
    free(its);
}

/* LY: machines with secrets are backed up to carried disks, over no network. */
static void check_secret(const struct checked *c)
{
    if (c->pol->class != CLASS_SECRET)
        return;
    if (!c->local)
        lint_find(
            c->l, LINT_ERROR, at_key(c, "agent", "LY"),
            _("what is secret may not go over a network, but the agent \"%s\" is on another host"),
            c->pol->agent);
    for (size_t i = 0; c->v && i < c->v->n_copies; i++)
        if (lint_where(&c->v->copies[i]) == WHERE_NETWORK)
            lint_find(
                c->l, LINT_ERROR, at_key(c, "class", "LY"),
                _("what is secret may not go over a network, but the copy \"%s\" is on one: give "
                  "it a vault of its own on carried disks"),
                c->v->copies[i].place);
}

/* --- paths ------------------------------------------------------------------------------------------------------- */
static bool is_excluded(const struct policy *pol, const char *path)
{
    for (size_t i = 0; i < pol->n_exclude; i++)
        if (pol->exclude[i][0] == '/' && conf_path_in(path, pol->exclude[i]))
            return true;
    return false;
}

/* A backup that holds its own copies grows without end. */
static void check_copies_in(const struct checked *c, struct place at, const char *path)
{
    for (size_t i = 0; i < c->l->n_vaults; i++)
        for (size_t j = 0; j < c->l->vaults[i]->n_copies; j++) {
            const char *folder = conf_url_folder(c->l->vaults[i]->copies[j].url);
            if (folder && conf_path_in(folder, path) && !is_excluded(c->pol, folder))
                lint_find(c->l, LINT_WARNING, at,
                          _("%s holds the copy %s itself: add that to \"exclude\""), path, folder);
        }
}

static void check_paths(const struct checked *c)
{
    const struct policy *pol = c->pol;
    struct stat st;
    char where[64];
    for (size_t i = 0; i < pol->n_paths; i++) {
        snprintf(where, sizeof where, "files.paths.%zu", i);
        struct place at = at_key(c, where, "");
        if (c->local && lstat(pol->paths[i], &st) < 0)
            lint_find(c->l, LINT_WARNING, at, _("%s is not there"), pol->paths[i]);
        if (c->local)
            check_copies_in(c, at, pol->paths[i]);
        for (size_t j = 0; j < pol->n_paths; j++)
            if (i != j && conf_path_in(pol->paths[i], pol->paths[j]) &&
                (i > j || strcmp(pol->paths[i], pol->paths[j]) != 0)) {
                lint_find(c->l, LINT_WARNING, at,
                          _("%s is part of %s, which is backed up, too: one of them is enough"),
                          pol->paths[i], pol->paths[j]);
                break;
            }
    }
}

/* --- commands ------------------------------------------------------------------------------------------------------- */
static void check_program(const struct checked *c, const char *key, char *const *words, size_t n)
{
    struct place at = at_key(c, key, "");
    struct stat st;
    if (n == 0 || !c->local)
        return;
    if (stat(words[0], &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
        lint_find(c->l, LINT_WARNING, at, _("%s is not there, or is no program"), words[0]);
    else if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
        lint_find(c->l, LINT_ERROR, at,
                  _("others than root and the agent's user can write %s, so it will not be run"),
                  words[0]);
}

static void check_hooks(const struct checked *c)
{
    const struct hooks *h = &c->pol->hooks;
    check_program(c, "hooks.before", h->before, h->n_before);
    check_program(c, "hooks.after", h->after, h->n_after);
    if (h->n_before > 0 && h->n_after == 0)
        lint_find(c->l, LINT_WARNING, at_key(c, "hooks", ""),
                  _("\"before\" has no \"after\": what it stops is not set going again"));
}

/* --- the crash procedure ---------------------------------------------------------------------------------------------- */
static bool is_server(const struct source_spec *s)
{
    return strcmp(s->kind, "postgresql") == 0 || strcmp(s->kind, "mariadb") == 0;
}

static void check_role_there(const struct checked *c, const char *role, const char *duty,
                             const char *why)
{
    if (c->l->contacts && !contacts_role(c->l->contacts, role))
        lint_find(c->l, LINT_WARNING, at_key(c, "crash", duty),
                  _("there is no role \"%s\" in contacts.yaml: %s"), role, why);
}

static void check_standby(const struct checked *c)
{
    const struct crash_conf *k = &c->pol->crash;
    struct place at = at_key(c, "crash.standby", "SMX-12.2");
    struct stat st;
    if (!k->standby_on)
        return;
    char *its = conf_file(c->l->p, AGENTS, k->standby_on);
    if (its && strcmp(k->standby_on, "local") != 0 && stat(its, &st) < 0)
        lint_find(
            c->l, LINT_ERROR, at,
            _("there is no agent \"%s\": %s is not there; enrol it: twofold agent enrol HOST"),
            k->standby_on, its);
    free(its);
    if (strcmp(k->standby_on, c->pol->agent) == 0)
        lint_find(c->l, LINT_ERROR, at, _("the standby is on the host of the data itself"));
    if (k->standby[STANDBY_PROMOTE].n == 0)
        lint_find(c->l, LINT_WARNING, at,
                  _("the standby has no \"promote\": a person has to start it"));
    at.duty = "SMX-12.3";
    if (k->standby[STANDBY_FENCE].n == 0)
        lint_find(
            c->l, LINT_WARNING, at,
            _("the standby has no \"fence\": nothing keeps the old server from taking writes"));
    else if (k->standby[STANDBY_FENCED].n == 0)
        lint_find(c->l, LINT_WARNING, at,
                  _("the standby has no \"fenced\": whether the old server takes no more writes "
                    "cannot be asked, so a person has to say it"));
    at.duty = "JZ-7.3";
    if (k->standby[STANDBY_POSITION].n == 0 || k->standby[STANDBY_RESEED].n == 0)
        lint_find(c->l, LINT_WARNING, at,
                  _("the standby has no \"position\" or no \"reseed\": the way back is by hand"));
}

static void check_crash(const struct checked *c)
{
    const struct crash_conf *k = &c->pol->crash;
    bool server = false;
    for (size_t i = 0; i < c->pol->n_sources; i++)
        server = server || is_server(&c->pol->sources[i]);
    if (server && (k->command[CRASH_STOP].n == 0 || k->command[CRASH_START].n == 0))
        lint_find(c->l, LINT_WARNING, at_key(c, "crash", "PY-DB-3"),
                  _("\"crash\" does not say how the database is stopped and started: in a crash a "
                    "person has to"));
    for (unsigned i = 0; i < CRASH_COMMANDS; i++) {
        char key[32];
        snprintf(key, sizeof key, "crash.%s", crash_command_key(i));
        check_program(c, key, k->command[i].words, k->command[i].n);
    }
    check_standby(c);
    if (!k->set)
        return;
    check_role_there(c, "security-officer", "PY-DB-2", _("nobody is reported to in a crash"));
    check_role_there(c, "vendor", "PY-DB-6", _("nobody is called when no copy restores"));
    if (c->l->contacts && c->l->contacts->n_units == 0)
        lint_find(c->l, LINT_WARNING, at_key(c, "crash", "PY-DB-2"),
                  _("there are no \"units\" in contacts.yaml: nobody is told to hold uploads"));
}

/* --- time ----------------------------------------------------------------------------------------------------------- */
/* Policies share few schedules, so each is asked once. NULL without memory. */
static const struct calendar *calendar_of(struct lint *l, const char *spec)
{
    for (size_t i = 0; i < l->n_calendars; i++)
        if (strcmp(l->calendars[i].spec, spec) == 0)
            return &l->calendars[i].c;
    struct known_calendar *grown = realloc(l->calendars, (l->n_calendars + 1) * sizeof *grown);
    if (!grown) {
        conf_out_of_memory(l->e);
        return NULL;
    }
    l->calendars = grown;
    grown += l->n_calendars;
    grown->spec = strdup(spec);
    if (!grown->spec) {
        conf_out_of_memory(l->e);
        return NULL;
    }
    l->n_calendars++;
    return calendar_ask(spec, &grown->c, l->e) < 0 ? NULL : &grown->c;
}

static bool in_window(unsigned minute, unsigned from, unsigned to)
{
    return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

/* "02:00 Asia/Shanghai", "02:00 UTC": not by the clock that the window goes by. */
static bool has_zone(const char *schedule)
{
    const char *last = strrchr(schedule, ' ');
    const char *slash = last ? strchr(last, '/') : NULL;
    return last &&
           (strcmp(last + 1, "UTC") == 0 || (slash && strspn(last + 1, "0123456789*") == 0));
}

static void check_window(const struct checked *c, const struct calendar *cal)
{
    unsigned from, to;
    if (!c->pol->window || !window_parse(c->pol->window, &from, &to) || cal->n == 0 ||
        has_zone(c->pol->schedule))
        return;
    for (size_t i = 0; i < cal->n; i++) /* the clock's face is the same in UTC and here */
        if (in_window((unsigned)(cal->elapses_s[i] % (int64_t)DAY_S / 60), from, to))
            return;
    lint_find(c->l, LINT_WARNING, at_key(c, "window", "SMX-6"),
              _("the schedule never falls into the window: every run waits until it opens"));
}

static const char *hours(uint64_t s, char out[32])
{
    snprintf(out, 32, s % 3600 ? "%.1f h" : "%.0f h", (double)s / 3600);
    return out;
}

static int check_schedule(const struct checked *c, uint64_t *ret_gap_s)
{
    struct place at = at_key(c, "schedule", "SMX-6");
    char gap_text[32], rpo_text[32];
    if (!c->pol->schedule) {
        at.line = 0;
        lint_find(c->l, LINT_WARNING, at, _("it has no schedule, so it runs only by hand"));
        return 0;
    }
    const struct calendar *cal = calendar_of(c->l, c->pol->schedule);
    if (!cal)
        return -ERR_NOMEM;
    if (cal->state == CALENDAR_BAD)
        lint_find(
            c->l, LINT_ERROR, at,
            _("systemd does not understand the schedule \"%s\"; try: systemd-analyze calendar "
              "\"...\", and see systemd.time(7)"),
            c->pol->schedule);
    if (cal->state != CALENDAR_GOOD)
        return 0;
    if (cal->n < 2)
        lint_find(c->l, LINT_ERROR, at, _("the schedule \"%s\" comes no more, or only once"),
                  c->pol->schedule);
    *ret_gap_s = calendar_longest_gap_s(cal);
    if (*ret_gap_s > c->pol->rpo_s)
        lint_find(
            c->l, LINT_WARNING, at_key(c, "rpo", "SMX-6"),
            _("between two runs of the schedule lie up to %s, which is longer than the RPO of %s: it "
              "will be overdue though all runs are good"),
            hours(*ret_gap_s, gap_text), hours(c->pol->rpo_s, rpo_text));
    check_window(c, cal);
    return 0;
}

/* --- retention ------------------------------------------------------------------------------------------------------ */
/* How far back backups reach once there are enough of them. */
static uint64_t reach_s(const struct retention *k, uint64_t gap_s)
{
    const uint64_t reaches[] = {
        k->within_s,
        k->last * gap_s,
        k->hourly * (uint64_t)3600,
        k->daily * DAY_S,
        k->weekly * 7 * DAY_S,
        k->monthly * 30 * DAY_S,
        k->yearly * 365 * DAY_S,
    };
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof reaches / sizeof *reaches; i++)
        most = reaches[i] > most ? reaches[i] : most;
    return most;
}

static void check_retention(const struct checked *c, uint64_t gap_s)
{
    const struct retention *k = &c->pol->retention;
    struct place at = at_key(c, "retention", "PY-SW-1");
    uint64_t reach = reach_s(k, gap_s);
    bool own = retention_is_set(k, CLASS_DATA);
    if (c->pol->class == CLASS_LOGS && own) {
        at.duty = "JZ-5.4";
        if (reach < LOGS_FLOOR_S)
            lint_find(
                c->l, LINT_ERROR, at,
                _("logs must be kept for three months or longer (92 days), this is %llu days; write "
                  "within: 184d"),
                (unsigned long long)(reach / DAY_S));
        else if (reach < LOGS_DEFAULT_S)
            lint_find(
                c->l, LINT_NOTE, at,
                _("logs are kept for %llu days; GB/T 22239 asks for six months (within: 184d)"),
                (unsigned long long)(reach / DAY_S));
    } else if (!retention_is_set(k, c->pol->class)) {
        at.line = 0;
        at.duty = "";
        lint_find(
            c->l, LINT_WARNING, at,
            _("it has no retention: every backup stays, and the copies grow until they are full"));
    } else if (own && reach < SEVERAL_DAYS_S) {
        lint_find(
            c->l, LINT_WARNING, at,
            _("backups of several days are to be kept, this is less than three; write daily: 7"));
    }
}

/* --- drills (PY-8.3) -------------------------------------------------------------------------------------------------- */
static void check_drill_place(const struct checked *c, const char *key, const char *place)
{
    bool there = !place || !c->v;
    for (size_t i = 0; !there && i < c->v->n_copies; i++)
        there = strcmp(c->v->copies[i].place, place) == 0;
    if (!there)
        lint_find(c->l, LINT_ERROR, at_key(c, key, "PY-8.3"),
                  _("the vault \"%s\" has no copy \"%s\""), c->v->name, place);
}

/* What is restored for a drill must not become part of what is backed up, or lie in a copy. */
static void check_drill_folder(const struct checked *c)
{
    const struct drill_conf *d = &c->pol->drill;
    bool here = !d->on || strcmp(d->on, "local") == 0;
    const char *folder = drill_folder(d, d->on);
    struct place at = at_key(c, "drill.to", "PY-8.3");
    for (size_t i = 0; i < c->pol->n_paths; i++)
        if (c->local == here && conf_path_in(folder, c->pol->paths[i]) &&
            !is_excluded(c->pol, folder))
            lint_find(c->l, LINT_ERROR, at,
                      _("the scratch folder %s lies in %s, which is backed up"), folder,
                      c->pol->paths[i]);
    for (size_t i = 0; i < c->pol->n_sources; i++) {
        const char *data = source_spec_get(&c->pol->sources[i], "data");
        if (data && c->local == here && (conf_path_in(folder, data) || conf_path_in(data, folder)))
            lint_find(c->l, LINT_ERROR, at,
                      _("the scratch folder %s and the database's own folder %s are one"), folder,
                      data);
    }
    for (size_t i = 0; here && i < c->l->n_vaults; i++)
        for (size_t j = 0; j < c->l->vaults[i]->n_copies; j++) {
            const char *copy = conf_url_folder(c->l->vaults[i]->copies[j].url);
            if (copy && conf_path_in(folder, copy))
                lint_find(c->l, LINT_ERROR, at, _("the scratch folder %s lies in the copy %s"),
                          folder, copy);
        }
}

static int check_drill(const struct checked *c)
{
    const struct drill_conf *d = &c->pol->drill;
    struct stat st;
    if (!d->set) {
        c->l->n_undrilled++;
        if (!c->l->undrilled[0])
            snprintf(c->l->undrilled, sizeof c->l->undrilled, "%s", c->pol->name);
        return 0;
    }
    if (d->every_s > DRILL_EVERY_S)
        lint_find(c->l, LINT_WARNING, at_key(c, "drill.every", "PY-8.3"),
                  _("drills are due once a year at least (365d)"));
    check_drill_place(c, "drill.from", d->from);
    check_drill_place(c, "drill.lose", d->lose);
    check_drill_folder(c);
    char *its = d->on && strcmp(d->on, "local") != 0 ? conf_file(c->l->p, AGENTS, d->on) : NULL;
    if (its && stat(its, &st) < 0)
        lint_find(c->l, LINT_ERROR, at_key(c, "drill.on", ""),
                  _("there is no agent \"%s\": %s is not there"), d->on, its);
    free(its);
    const struct calendar *cal = calendar_of(c->l, d->schedule ? d->schedule : DRILL_SCHEDULE);
    if (cal && cal->state == CALENDAR_BAD)
        lint_find(c->l, LINT_ERROR, at_key(c, "drill.schedule", ""),
                  _("systemd does not understand the schedule \"%s\"; try: systemd-analyze "
                    "calendar \"...\", and see systemd.time(7)"),
                  d->schedule);
    return cal ? 0 : -ERR_NOMEM;
}

/* --- people ------------------------------------------------------------------------------------------------------------ */
static void check_notify(const struct checked *c)
{
    char where[64];
    for (size_t i = 0; i < c->pol->n_notify && c->l->contacts; i++) {
        snprintf(where, sizeof where, "notify.%zu", i);
        if (!contacts_role(c->l->contacts, c->pol->notify[i]))
            lint_find(c->l, LINT_ERROR, at_key(c, where, "PY-AB"),
                      _("there is no role \"%s\" in contacts.yaml: nobody would be told"),
                      c->pol->notify[i]);
    }
}

/* --- the file ------------------------------------------------------------------------------------------------------------ */
static int check_policy(struct checked *c)
{
    uint64_t gap_s = 0;
    check_vault_of(c);
    check_agent_of(c);
    check_secret(c);
    check_paths(c);
    check_hooks(c);
    check_crash(c);
    if (c->pol->rpo_s > DEFAULT_RPO_S)
        lint_find(c->l, LINT_WARNING, at_key(c, "rpo", "SMX-6"),
                  _("an RPO over 26 h: a nightly run could be missed without an alarm"));
    int r = check_schedule(c, &gap_s);
    check_retention(c, gap_s);
    check_notify(c);
    return r < 0 ? r : check_drill(c);
}

int lint_policy(void *ctx, const char *name)
{
    struct lint *l = ctx;
    struct yaml_doc *d = NULL;
    struct policy *pol = NULL;
    struct err e = ERR_INIT;
    char *file = conf_file(l->p, POLICIES, name);
    if (!file)
        return conf_out_of_memory(l->e);
    int r = lint_read(l, file, &d);
    if (r == 0 && d) {
        r = policy_parse(d, name, &pol, &e);
        r = lint_parsed(l, file, d, r, &e);
        if (r > 0) {
            struct checked c = { .l = l, .file = file, .d = d, .pol = pol };
            r = check_policy(&c);
        }
    }
    policy_free(pol);
    yaml_close(d);
    free(file);
    return r;
}
