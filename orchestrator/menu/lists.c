/* lists.c - what is chosen from: policies with their state, backups by date, copies, folders with room; see inner.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include "orchestrator/menu/inner.h"
#include "orchestrator/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define NAME_COLUMNS 24
#define FEW 6           /* policies that have two lines each */
#define MAX_BACKUPS 500 /* newest first; older ones are chosen by date */
#define NS_PER_S 1000000000

/* --- policies ---------------------------------------------------------------------------------------------- */
static const char *kind_words(const char *kind)
{
    return strcmp(kind, "postgresql") == 0 ? "PostgreSQL"
           : strcmp(kind, "mariadb") == 0  ? "MariaDB"
           : strcmp(kind, "sqlite") == 0   ? "SQLite"
           : strcmp(kind, "files") == 0    ? _("files")
           : strcmp(kind, "set") == 0      ? _("software and its data")
                                           : kind;
}

static char *policy_title(const struct menu *m, const struct policy_fact *p)
{
    struct policy *pol = NULL;
    char *name = text_pad(p->name, NAME_COLUMNS, false), *title;
    bool known = policy_load(&m->app->paths, p->name, &pol, NULL) == 0;
    const char *kind = known ? kind_words(policy_kind(pol)) : "";
    if (strcmp(p->agent, "local") == 0)
        title = text_print("%s %s", name, kind);
    else
        title = text_print(_("%s %s on %s"), name, kind, p->agent);
    policy_free(pol);
    free(name);
    return title;
}

static char *policy_state(const struct menu *m, const struct policy_fact *p)
{
    struct policy_sum s;
    char age[64];
    const struct incident_fact *o = site_incident(m, p->name);
    if (o)
        return text_print(_("OPEN INCIDENT %s"), o->id);
    policy_sum(&m->facts, &m->findings, p, &s);
    if (!p->whole_s)
        return text_print("%s", p->partial_s ? _("NO WHOLE BACKUP YET") : _("NOTHING YET"));
    ui_age(m->facts.now_s - p->whole_s, age);
    const char *word = s.overdue     ? _("OVERDUE")
                       : !s.places   ? _("IN NO PLACE FOR CERTAIN")
                       : s.attention ? _("ATTENTION")
                                     : _("good");
    return text_print(_("%s; last whole backup %s ago, in %zu places"), word, age, s.places);
}

const char *choose_policy(struct menu *m, const char *title)
{
    struct screen_rows rows = { 0 };
    for (size_t i = 0; i < m->facts.n_policies; i++) {
        char *name = policy_title(m, &m->facts.policies[i]);
        char *state = policy_state(m, &m->facts.policies[i]);
        if (m->facts.n_policies <= FEW) {
            rows_add(&rows, name, state);
            continue;
        }
        rows_add(&rows, text_print("%s  %s", name, state), NULL);
        free(name);
        free(state);
    }
    size_t n = screen_choose(&m->screen, title,
                             rows.n ? _("Which one?") : _("There is no policy on this machine."),
                             &rows);
    rows_done(&rows);
    return n ? m->facts.policies[n - 1].name : NULL;
}

/* --- backups --------------------------------------------------------------------------------------------------- */
void chosen_backup_done(struct chosen_backup *b)
{
    free(b->snapshot);
    free(b->at);
    *b = (struct chosen_backup){ 0 };
}

static char *backup_words(const struct menu *m, const struct snap_ref *r)
{
    char id[SHORT_ID_DIGITS + 1], when[32], age[64];
    ui_age(m->facts.now_s - r->received_ns / NS_PER_S, age);
    const char *state = r->flags & SNAPSHOT_QUARANTINE ? _("QUARANTINE: of a suspect host")
                        : r->state == SNAPSHOT_WHOLE   ? _("whole")
                                                       : _("partial");
    return text_print(_("%s   %s   %s ago, %s"), short_time(r->received_ns, when),
                      short_id(&r->ref.id, id), age, state);
}

static uint64_t newest_bytes(struct vault *v, const struct source_list *l)
{
    for (size_t i = l->n; i-- > 0;) {
        struct snapshot *s = NULL;
        if (l->snaps[i].state != SNAPSHOT_WHOLE || l->snaps[i].flags & SNAPSHOT_QUARANTINE)
            continue;
        uint64_t bytes = vault_snapshot(v, &l->snaps[i].ref, &s, NULL) == 0 ? s->bytes : 0;
        snapshot_free(s);
        return bytes;
    }
    return 0;
}

char *ask_moment(struct menu *m, const char *title, const char *explain)
{
    for (;;) {
        int64_t ns;
        struct err e = ERR_INIT;
        char *at = screen_ask(&m->screen, title, explain, _("Moment:"));
        if (!at || parse_time(at, &ns, &e) == 0)
            return at;
        screen_notice(&m->screen, text_print("%s; %s", e.why, e.next));
        free(at);
    }
}

static char *ask_restore_moment(struct menu *m)
{
    return ask_moment(m, _("Restore to which moment?"),
                      _("For instance 2026-11-26 09:30, or -2h for two hours ago. A "
                        "database whose log is kept comes back as it was then; anything "
                        "else as in the newest backup before."));
}

/* The rows, then which of them stands for what: 1 the newest, 2 a moment, then the backups. */
static int pick_backup(struct menu *m, const struct source_list *l, struct chosen_backup *ret)
{
    struct screen_rows rows = { 0 };
    size_t shown = l ? l->n : 0, n;
    shown = shown > MAX_BACKUPS ? MAX_BACKUPS : shown;
    rows_add(&rows, text_print("%s", _("As new as it can be (after a fault)")), NULL);
    rows_add(&rows, text_print("%s", _("As it was at a moment that I type")), NULL);
    for (size_t i = 0; i < shown; i++)
        rows_add(&rows, backup_words(m, &l->snaps[l->n - 1 - i]), NULL);
    do {
        n = screen_choose(&m->screen, _("Restore from which backup?"),
                          _("After an attack take one from before its first sign."), &rows);
    } while (n == 2 && !(ret->at = ask_restore_moment(m)) && !m->screen.over);
    rows_done(&rows);
    if (l && n > 2) {
        char id[SHORT_ID_DIGITS + 1];
        ret->snapshot = text_print("%s", short_id(&l->snaps[l->n - (n - 2)].ref.id, id));
    }
    return n && !m->screen.over ? NEXT : BACK;
}

int choose_backup(struct menu *m, const char *policy, struct chosen_backup *ret)
{
    char source[MAX_FORMAT_NAME + 1];
    struct vault *v = NULL;
    struct err e = ERR_INIT;
    const struct policy_fact *p = facts_policy(&m->facts, policy);
    const struct source_list *l = NULL;
    chosen_backup_done(ret);
    source_name(policy, source);
    if (open_vault_quietly(m->app, p && p->vault[0] ? p->vault : NULL, false, &v, &e) == 0)
        l = vault_list(v, source);
    else
        screen_notice(&m->screen, text_print("%s: %s", e.what, e.why));
    if (v && !l)
        screen_notice(&m->screen, text_print(_("There is no backup of \"%s\" yet."), policy));
    if (l)
        ret->bytes = newest_bytes(v, l);
    int way = pick_backup(m, l, ret);
    vault_close(v);
    return way;
}

/* --- copies ------------------------------------------------------------------------------------------------------ */
char *choose_place(struct menu *m, const char *policy, const char *title)
{
    struct screen_rows rows = { 0 };
    char words[200], *place = NULL;
    const char *places[MAX_COPIES] = { NULL };
    const struct policy_fact *p = facts_policy(&m->facts, policy);
    for (size_t i = 0; p && i < m->facts.n_copies && rows.n < MAX_COPIES; i++) {
        const struct copy_fact *c = &m->facts.copies[i];
        if (strcmp(m->facts.vaults[c->vault].name, p->vault) != 0)
            continue;
        places[rows.n] = c->place;
        char *name = text_pad(c->place, NAME_COLUMNS, false);
        rows_add(&rows, text_print("%s %s", name, copy_words(&m->facts, c, words)), NULL);
        free(name);
    }
    size_t n = screen_choose(&m->screen, title, NULL, &rows);
    if (n)
        place = text_print("%s", places[n - 1]);
    rows_done(&rows);
    return place;
}

/* --- folders ------------------------------------------------------------------------------------------------------ */
static char *new_folder(const char *below, const char *policy, int64_t now_s)
{
    struct tm tm;
    time_t t = (time_t)now_s;
    char when[32] = "";
    if (localtime_r(&t, &tm))
        (void)strftime(when, sizeof when, "%Y%m%d-%H%M%S", &tm);
    return text_print("%s/twofold-%s-%s", strcmp(below, "/") == 0 ? "" : below, policy, when);
}

static void add_folder(struct menu *m, struct screen_rows *rows, char *found[4], const char *below,
                       const char *policy, uint64_t bytes)
{
    struct statvfs st;
    char room[32], need[32];
    if (!below || below[0] != '/' || access(below, W_OK | X_OK) < 0 || statvfs(below, &st) < 0)
        return;
    uint64_t there = (uint64_t)st.f_bavail * st.f_frsize;
    char *path = new_folder(below, policy, m->facts.now_s);
    ui_bytes(there, room);
    ui_bytes(bytes, need);
    found[rows->n] = path;
    rows_add(rows, text_print("%s", path),
             bytes && there < bytes
                 ? text_print(_("TOO SMALL: %s free, some %s needed"), room, need)
             : bytes ? text_print(_("%s free, some %s needed"), room, need)
                     : text_print(_("%s free"), room));
}

static char *type_folder(struct menu *m)
{
    for (;;) {
        char *path = screen_ask(&m->screen, _("Restore to which folder?"),
                                _("It must be new or empty, so that nothing is written over."),
                                _("Folder, like /srv/restored:"));
        if (!path || path[0] == '/')
            return path;
        screen_notice(&m->screen, text_print("%s", _("Type the whole path, from the first / on.")));
        free(path);
    }
}

char *choose_target(struct menu *m, const char *policy, uint64_t bytes)
{
    struct screen_rows rows = { 0 };
    char *found[4] = { NULL }, *chosen = NULL;
    const char *home = getenv("HOME");
    add_folder(m, &rows, found, "/srv", policy, bytes);
    add_folder(m, &rows, found, "/var/tmp", policy, bytes);
    if (home && strcmp(home, "/") != 0)
        add_folder(m, &rows, found, home, policy, bytes);
    size_t typed = rows.n + 1, n;
    rows_add(&rows, text_print("%s", _("another folder, that I type")), NULL);
    do {
        n = screen_choose(&m->screen, _("Restore to which folder?"),
                          _("A new folder: what is there now stays as it is."), &rows);
        if (n == typed)
            chosen = type_folder(m);
        else if (n)
            chosen = text_print("%s", found[n - 1]);
    } while (n && !chosen && !m->screen.over);
    rows_done(&rows);
    for (size_t i = 0; i < 4; i++)
        free(found[i]);
    return chosen;
}
