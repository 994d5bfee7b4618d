/* cmd_restore.c - twofold restore POLICY --to TARGET …, also from nothing but one copy and the passphrase. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/logs/keep.h"
#include "orchestrator/logs/serve.h"
#include "orchestrator/look.h"
#include "orchestrator/record.h"
#include "orchestrator/restore_binlog.h"
#include "orchestrator/restore_db.h"
#include "orchestrator/restore_job.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
    struct vault_choice choice;
    const char *policy, *to, *snapshot, *at, *from, *on; /* on: another agent's host */
    bool overwrite, delta, set_aside, strip, no_logs;
    struct db_options db;
    char **paths;
    size_t n_paths;
};

/* "--at TIME" is the newest snapshot not after it. */
static int choose(struct app *app, struct vault *v, const struct options *o,
                  const struct snap_ref **ret, struct err *e)
{
    char *name = NULL;
    const char *source = NULL;
    int rc;
    if (o->at && !o->snapshot && asprintf(&name, "%s@%s", o->policy, o->at) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    rc = app_find_snapshot(app, v, o->policy, name ? name : o->snapshot, ret, &source, e);
    free(name);
    return rc;
}

static int absolute(const char *path, char **ret, struct err *e)
{
    char cwd[PATH_MAX];
    if (path[0] == '/')
        *ret = strdup(path);
    else if (!getcwd(cwd, sizeof cwd))
        return err_sys(e, "%s", path);
    else if (asprintf(ret, "%s/%s", cwd, path) < 0)
        *ret = NULL;
    return *ret ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
}

static void print_copies(struct app *app, const struct vault *v, const struct restore_job *j)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct copy *c = &v->copies[i];
        char size[32];
        if (c->state == COPY_AWAY || c->state == COPY_WRONG)
            ui_line(&app->ui, _("  copy \"%s\": not used"), c->place);
        else if (j->bad[i])
            ui_line(&app->ui,
                    _("  copy \"%s\": %llu chunks, and %llu that were DAMAGED or missing"),
                    c->place, (unsigned long long)j->served[i], (unsigned long long)j->bad[i]);
        else
            ui_line(&app->ui, _("  copy \"%s\": %llu chunks, %s"), c->place,
                    (unsigned long long)j->served[i], ui_bytes(j->served_bytes[i], size));
    }
}

/* What is there and not in the backup. */
static void print_extra(struct app *app, const struct msg_done *d, const struct options *o)
{
    if (o->db.in_place) /* the driver has said where it is by now */
        return;
    if (d->extra_aside)
        ui_line(
            &app->ui,
            P_("  %llu thing that the backup does not have is set aside in %s/.twofold-extra-…",
               "  %llu things that the backup does not have are set aside in %s/.twofold-extra-…",
               d->extra_aside),
            (unsigned long long)d->extra_aside, o->to);
    if (d->extra > d->extra_aside)
        ui_line(&app->ui,
                P_("  %llu thing that the backup does not have is there and stays",
                   "  %llu things that the backup does not have are there and stay",
                   d->extra - d->extra_aside),
                (unsigned long long)(d->extra - d->extra_aside));
    if (d->extra > d->extra_aside && !o->set_aside)
        ui_line(&app->ui, _("  to have them set aside: the same command with --set-aside"));
}

static void print_result(struct app *app, const struct vault *v, const struct restore_job *j,
                         const struct options *o, uint64_t ms)
{
    char hex[ID_HEX_BYTES], size[32];
    const struct msg_done *d = &j->done;
    json_t *copies = json_array();
    id_hex(&j->snap->ref.id, hex);
    if (d->failed)
        ui_line(&app->ui, _("restored snapshot %.8s IN PART to %s"), hex, o->to);
    else if (o->db.in_place) /* what is at o->to was only on the way */
        ui_line(&app->ui, _("restored snapshot %.8s in place; next: start the server"), hex);
    else
        ui_line(&app->ui, _("restored snapshot %.8s to %s"), hex, o->to);
    ui_line(&app->ui,
            P_("  %llu file, %s, folders: %llu; there already: %llu; %llu.%llu s",
               "  %llu files, %s, folders: %llu; there already: %llu; %llu.%llu s", d->files),
            (unsigned long long)d->files, ui_bytes(d->bytes, size), (unsigned long long)d->dirs,
            (unsigned long long)d->already, (unsigned long long)(ms / 1000),
            (unsigned long long)(ms / 100 % 10));
    if (d->set_aside && !o->db.in_place)
        ui_line(&app->ui,
                _("  %llu things that were in the way are set aside in %s/.twofold-aside-…"),
                (unsigned long long)d->set_aside, o->to);
    print_extra(app, d, o);
    print_copies(app, v, j);
    for (size_t i = 0; i < v->n_copies; i++)
        json_array_append_new(copies, json_pack("{s:s, s:I, s:I, s:I}", "place", v->copies[i].place,
                                                "chunks", (json_int_t)j->served[i], "bytes",
                                                (json_int_t)j->served_bytes[i], "damaged",
                                                (json_int_t)j->bad[i]));
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "type",
                      "restore", "snapshot", hex, "target", o->to, "files", (json_int_t)d->files,
                      "folders", (json_int_t)d->dirs, "bytes", (json_int_t)d->bytes, "already",
                      (json_int_t)d->already, "failed", (json_int_t)d->failed, "set_aside",
                      (json_int_t)d->set_aside, "extra", (json_int_t)d->extra, "extra_set_aside",
                      (json_int_t)d->extra_aside, "ms", (json_int_t)ms, "copies", copies));
}

static int verdict(struct app *app, const struct restore_job *j, const char *policy)
{
    struct err e = ERR_INIT;
    if (j->done.failed) {
        err_set(&e, ERR_DAMAGED,
                P_("%llu file could not be restored whole and was left out; it is named above",
                   "%llu files could not be restored whole and were left out; each is named above",
                   j->done.failed),
                (unsigned long long)j->done.failed);
        err_next(
            &e,
            _("take them from an older snapshot (twofold find NAME), then run: twofold scrub, twofold repair"));
    } else if (j->problems) {
        err_set(&e, ERR_PARTIAL,
                _("the files are whole, but %llu things are not as they were; each is named above"),
                (unsigned long long)j->problems);
        err_next(
            &e, j->msg.n_sources > 0
                    ? _("read them before the database is given to its users")
                    : _("see to them; as root, owners and special attributes can be restored too"));
    } else {
        return 0;
    }
    err_wrap(&e, _("restore of \"%s\""), policy);
    return ui_error(&app->ui, &e);
}

/* What could not be checked is said (docs/security.md). */
static void say_unchecked(struct app *app, const struct vault *v, const struct options *o)
{
    if (o->choice.copy)
        ui_warn(
            &app->ui,
            _("read from one copy alone: whether newer backups exist elsewhere cannot be told from here"));
    (void)v;
}

/* What the catalog is to know of it. */
static void keep_record(struct record *r, const struct vault *v, const struct restore_job *j)
{
    snprintf(r->vault, sizeof r->vault, "%s", v->name);
    r->run.vault = r->vault;
    r->run.snapshot = j->snap->ref.id;
    r->run.snapshot_state = j->snap->state;
    r->run.files = j->done.files;
    r->run.bytes = j->done.bytes;
    r->run.problems = j->problems + j->done.failed;
    r->run.copies_wanted = (unsigned)v->n_copies;
    for (size_t i = 0; i < v->n_copies; i++)
        r->run.copies_reached += v->copies[i].state == COPY_CURRENT ||
                                 v->copies[i].state == COPY_BEHIND;
}

static void add_counts(struct restore_job *sum, const struct restore_job *j)
{
    sum->done.files += j->done.files;
    sum->done.dirs += j->done.dirs;
    sum->done.bytes += j->done.bytes;
    sum->done.already += j->done.already;
    sum->done.failed += j->done.failed;
    sum->done.set_aside += j->done.set_aside;
    sum->done.extra += j->done.extra;
    sum->done.extra_aside += j->done.extra_aside;
    sum->problems += j->problems;
    for (size_t k = 0; k < MAX_COPIES; k++) {
        sum->served[k] += j->served[k];
        sum->served_bytes[k] += j->served_bytes[k];
        sum->bad[k] += j->bad[k];
    }
}

static void free_settings(struct source_spec *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].key);
        free(s->v[i].value);
    }
    free(s->v);
}

/* Tablespaces that go to places of their own, each a job; their counts are added to those of the whole. In place they go to a folder
 * of ours beside what is there; else the driver looks whether another one's lies there. */
static int restore_spaces(struct app *app, const struct restore_job *like, const struct db_plan *p,
                          struct restore_job *sum, struct err *e)
{
    struct source_spec space = { .kind = p->n_sources > 0 ? p->sources[0].kind : NULL };
    int rc = p->target ? 0 : source_spec_add(&space, "stage", "space", e);
    for (size_t i = 0; rc == 0 && i < p->n_spaces; i++) {
        struct restore_job j = { .v = like->v, .snap = like->snap, .agent = like->agent };
        j.from = like->from;
        j.msg.overwrite = like->msg.overwrite || p->overwrite;
        j.msg.target = p->spaces[i].target;
        j.msg.strip = p->spaces[i].strip ? p->spaces[i].strip : p->spaces[i].path;
        j.msg.paths = (char **)(uintptr_t)&p->spaces[i].path;
        j.msg.n_paths = 1;
        j.msg.sources = p->target ? NULL : &space;
        j.msg.n_sources = p->target ? 0 : 1;
        rc = restore_job_run(app, &j, e);
        if (rc < 0)
            err_wrap(e, "%s", p->spaces[i].target);
        else
            add_counts(sum, &j);
    }
    free_settings(&space);
    return rc;
}

/* A driver is asked whether its folder may be replaced before its tablespaces are brought: by a job that brings one small file. */
static int ask_first(struct app *app, const struct restore_job *like, const struct db_plan *p,
                     struct err *e)
{
    char *only = (char *)(uintptr_t)p->facts;
    struct restore_job j = { .v = like->v, .snap = like->snap, .agent = like->agent };
    struct source_spec ask = { .kind = p->sources[0].kind };
    const struct source_spec *all = &p->sources[0];
    int rc = source_spec_add(&ask, "stage", "ask", e);
    for (size_t i = 0; rc == 0 && i < all->n; i++) /* what would be replaced */
        if (strcmp(all->v[i].key, "data") == 0 || strcmp(all->v[i].key, "files") == 0 ||
            (p->overwrite && strcmp(all->v[i].key, "tablespace") == 0))
            rc = source_spec_add(&ask, all->v[i].key, all->v[i].value, e);
    j.from = like->from;
    j.msg.target = p->target;
    j.msg.overwrite = true;
    j.msg.paths = &only;
    j.msg.n_paths = 1;
    j.msg.sources = &ask;
    j.msg.n_sources = 1;
    if (rc == 0)
        rc = restore_job_run(app, &j, e);
    free_settings(&ask);
    return rc;
}

/* A database comes back as it was last, or at the moment that was asked for: with what is kept of its log. A backup that was named is
 * restored as it is. */
static int plan_logs(struct app *app, struct restore_job *j, const struct policy *p,
                     struct options *o, struct err *e)
{
    int64_t ns = 0;
    bool asked = o->at || o->db.lsn || o->db.point;
    int rc = o->at ? parse_time(o->at, &ns, e) : 0;
    if (rc < 0 || o->no_logs || (o->snapshot && !asked))
        return rc;
    o->db.at_us = ns / 1000;
    unsigned interval_ms;
    const struct source_spec *spec = p ? logs_of_policy(p, &interval_ms) : NULL;
    o->db.logs = (spec && strcmp(spec->kind, "postgresql") == 0) ||
                 logs_are_kept(app, j->v, o->policy, "postgresql");
    o->db.my_logs = (spec && strcmp(spec->kind, "mariadb") == 0) ||
                    logs_are_kept(app, j->v, o->policy, "mariadb");
    bool kept = o->db.logs || o->db.my_logs;
    if (!kept && o->snapshot && o->at)
        return err_set(e, ERR_USAGE, _("--snapshot and --at say the same thing; give one"));
    if (!kept && (o->db.lsn || o->db.point)) {
        err_set(e, ERR_ABSENT, _("no log of it is kept, only backups"));
        rc = err_next(e, _("see which there are: twofold snapshots %s"), o->policy);
    }
    return rc;
}

/* Before anything is done: the backup whose binary logs are needed (NULL: none is). */
static int find_binlogs(const struct restore_job *j, const struct options *o,
                        const struct snap_ref **ret, struct err *e)
{
    *ret = NULL;
    if (o->n_paths > 0 || o->db.at_us == 0)
        return 0;
    return binlog_find(j, o->policy, &o->db, ret, e);
}

/* A moment of a PostgreSQL server of which no log is kept: what was done since the backup is nowhere. */
static bool is_without_log(const struct restore_job *j, const struct db_plan *p,
                           const struct options *o)
{
    bool there = false;
    for (size_t i = 0; i < p->n_sources; i++)
        there |= strcmp(p->sources[i].kind, "postgresql") == 0;
    return there && !o->db.logs && o->db.at_us / 1000000 > j->snap->received_ns / 1000000000;
}

/* An older state than the one that was asked for must not replace what is there. */
static int check_moment(const struct restore_job *j, const struct db_plan *p,
                        const struct options *o, struct err *e)
{
    bool without = is_without_log(j, p, o);
    if ((!p->binlogs && !without) || !o->db.in_place)
        return 0;
    err_set(e, ERR_USAGE,
            without ? _("no log of it is kept, only backups: --in-place would put back an older "
                        "state than that of --at")
                    : _("--in-place replays no binary logs: it would put back an older state "
                        "than that of --at"));
    return err_next(e, _("to put the backup itself back: --no-logs; for the moment itself restore "
                         "with --to DIR"));
}

static void say_without_log(struct app *app, struct restore_job *j)
{
    char when[32], text[300];
    snprintf(text, sizeof text,
             _("no log of it is kept: this is the backup of %s; what was done from then to the "
               "moment of --at is not in it"),
             ui_time(j->snap->received_ns, when));
    ui_note(&app->ui, true, "postgresql", strlen("postgresql"), text, strlen(text));
    j->problems++;
}

static int replay_binlogs(struct app *app, struct restore_job *j, const struct snap_ref *logs,
                          const struct db_options *db, const char *to, struct restore_job *sum,
                          struct err *e)
{
    struct restore_job replay;
    char when[32], text[300];
    if (!logs) {
        snprintf(text, sizeof text,
                 _("no binary logs are kept: this is the backup of %s, not a later moment"),
                 ui_time(j->snap->received_ns, when));
        ui_note(&app->ui, true, "mariadb", strlen("mariadb"), text, strlen(text));
        j->problems++;
        return 0;
    }
    int rc = binlog_replay(app, j, logs, to, db, &replay, e);
    if (rc == 0)
        add_counts(sum, &replay);
    return rc;
}

/* What is going to be replaced, before anything is done. */
static void say_places(struct app *app, const struct db_plan *p)
{
    const struct source_spec *s = p->overwrite ? &p->sources[0] : NULL;
    for (size_t i = 0; s && i < s->n; i++)
        if (strcmp(s->v[i].key, "data") == 0 || strcmp(s->v[i].key, "files") == 0 ||
            strcmp(s->v[i].key, "tablespace") == 0)
            ui_line(&app->ui, _("in place: %s"), s->v[i].value);
}

/* A set that is put back in half is no state of a moment: it must not pass for one. */
static void say_left(struct app *app, const struct db_plan *p, struct restore_job *j)
{
    const char *text = _("was not put back: --in-place is for the database alone; restore it with "
                         "--to DIR, then put it where it belongs");
    for (size_t i = 0; i < p->n_left; i++)
        ui_note(&app->ui, true, p->left[i], strlen(p->left[i]), text, strlen(text));
    j->problems += p->n_left;
}

/* Files of the others are no server's, which would start on what is whole alone. */
static int check_delta(const struct db_plan *p, struct err *e)
{
    for (size_t i = 0; i < p->n_sources; i++) {
        const char *kind = p->sources[i].kind;
        if (strcmp(kind, "postgresql") == 0 || strcmp(kind, "mariadb") == 0)
            continue;
        err_set(e, ERR_USAGE,
                _("--delta is for files, PostgreSQL and MariaDB; this backup has: %s"), kind);
        return err_next(e, _("restore it with --in-place, or to a new folder"));
    }
    return 0;
}

/* All jobs of a restore. Files that are asked for by name are only files, also those of a database. */
static int run_jobs(struct app *app, struct restore_job *j, const struct options *o, char **to,
                    struct err *e)
{
    struct db_plan plan = { 0 };
    struct restore_job sum = { .from = -1 };
    struct db_options db = o->db;
    db.delta = o->delta;
    const struct snap_ref *logs;
    int rc = find_binlogs(j, o, &logs, e);
    db.binlogs = logs != NULL;
    if (rc == 0 && o->n_paths == 0)
        rc = db_plan_make(j->v, j->snap, j->from, &db, &plan, e);
    if (rc == 0)
        rc = check_moment(j, &plan, o, e);
    if (rc == 0 && o->delta)
        rc = check_delta(&plan, e);
    if (rc == 0)
        say_places(app, &plan);
    if (rc == 0 && plan.target && plan.n_spaces > 0)
        rc = ask_first(app, j, &plan, e);
    if (rc == 0)
        rc = restore_spaces(app, j, &plan, &sum, e);
    if (rc == 0 && sum.done.failed > 0)
        rc = err_set(e, ERR_DAMAGED,
                     _("a part of the database is not whole; each file is named above"));
    if (rc == 0) {
        if (plan.target && !(*to = strdup(plan.target)))
            rc = err_set(e, ERR_NOMEM, _("no memory"));
        j->msg.target = *to;
        j->msg.overwrite |= plan.overwrite;
        j->msg.sources = plan.sources;
        j->msg.n_sources = plan.n_sources;
        if (plan.n_paths > 0) {
            j->msg.paths = plan.paths;
            j->msg.n_paths = plan.n_paths;
        }
    }
    if (rc == 0)
        rc = restore_job_run(app, j, e);
    if (rc == 0 && plan.binlogs && j->done.failed == 0)
        rc = replay_binlogs(app, j, logs, &db, *to, &sum, e);
    if (rc == 0 && plan.unlogged && !plan.binlogs) {
        ui_warn(&app->ui, _("this backup was made before its log was followed: it is restored as "
                            "it is"));
        sum.problems++;
    }
    if (rc == 0)
        add_counts(j, &sum);
    if (rc == 0)
        say_left(app, &plan, j);
    if (rc == 0 && is_without_log(j, &plan, o))
        say_without_log(app, j);
    db_plan_done(&plan);
    return rc;
}

/* What the policy leaves out is no extra. */
static void take_excludes(struct restore_job *j, const struct policy *p)
{
    if (!p || (!j->msg.delta && !j->msg.set_aside))
        return;
    j->msg.exclude = p->exclude;
    j->msg.n_exclude = p->n_exclude;
}

static void warn_of_gaps(struct app *app, const struct restore_job *j)
{
    if (j->msg.set_aside && j->snap->state == SNAPSHOT_PARTIAL)
        ui_warn(
            &app->ui,
            _("this backup is not whole: what could not be read then counts as not being in it"));
}

static int restore(struct app *app, struct options *o, struct record *record, struct err *e,
                   int *ret_status)
{
    struct restore_job j = { .from = -1 };
    struct policy *p = NULL;
    struct vault *v = NULL;
    char *to = NULL;
    uint64_t start = sys_monotonic_ms();
    int rc = o->to ? absolute(o->to, &to, e) : 0;
    if (rc == 0)
        rc = app_open_policy(app, o->policy, &o->choice, false, true, &p, &v, e);
    if (rc == 0 && o->from)
        rc = find_copy(v, o->from, &j.from, e);
    if (rc == 0)
        rc = choose(app, v, o, &j.snap, e);
    if (rc == 0) {
        o->db.sources = p ? p->sources : NULL;
        o->db.n_sources = p ? p->n_sources : 0;
        say_unchecked(app, v, o);
        j.v = v;
        j.agent = o->on ? o->on : "local";
        j.msg.overwrite = o->overwrite || o->delta;
        j.msg.delta = o->delta;
        j.msg.set_aside = o->set_aside;
        take_excludes(&j, p);
        warn_of_gaps(app, &j);
        j.msg.strip_source = o->strip;
        j.msg.paths = o->paths;
        j.msg.n_paths = o->n_paths;
        rc = plan_logs(app, &j, p, o, e);
    }
    if (rc == 0) {
        rc = run_jobs(app, &j, o, &to, e);
        if ((rc == -ERR_DAMAGED || rc == -ERR_ABSENT) && !e->next[0])
            err_next(
                e,
                _("see which other backups there are: twofold snapshots %s; then add --snapshot ID"),
                o->policy);
    }
    if (rc == 0) {
        o->to = to;
        print_result(app, v, &j, o, sys_monotonic_ms() - start);
        *ret_status = verdict(app, &j, o->policy);
        keep_record(record, v, &j);
    }
    free(to);
    policy_free(p);
    vault_close(v);
    return rc;
}

static int paths_ok(struct app *app, const struct options *o)
{
    for (size_t i = 0; i < o->n_paths; i++)
        if (o->paths[i][0] != '/')
            return app_usage(app, _("%s: paths in a backup are absolute, like /etc/hosts"),
                             o->paths[i]);
    return 0;
}

static bool take_space(struct db_options *o, const char *text)
{
    const char *equals = text ? strrchr(text, '=') : NULL;
    if (!equals || equals == text || !equals[1] || o->n_spaces == MAX_SPACE_OPTIONS)
        return false;
    o->spaces[o->n_spaces++] = text;
    return true;
}

int cmd_restore(struct app *app, int argc, char **argv)
{
    enum {
        OPT_TO = OPT_OWN,
        OPT_SNAPSHOT,
        OPT_AT,
        OPT_FROM,
        OPT_OVERWRITE,
        OPT_DELTA,
        OPT_SET_ASIDE,
        OPT_STRIP,
        OPT_POLICY,
        OPT_ON,
        OPT_IN_PLACE,
        OPT_VERIFY,
        OPT_LOAD,
        OPT_TABLESPACE,
        OPT_LSN,
        OPT_POINT,
        OPT_NO_LOGS
    };
    static const struct option options[] = { { "to", required_argument, NULL, OPT_TO },
                                             { "snapshot", required_argument, NULL, OPT_SNAPSHOT },
                                             { "at", required_argument, NULL, OPT_AT },
                                             { "from", required_argument, NULL, OPT_FROM },
                                             { "overwrite", no_argument, NULL, OPT_OVERWRITE },
                                             { "delta", no_argument, NULL, OPT_DELTA },
                                             { "set-aside", no_argument, NULL, OPT_SET_ASIDE },
                                             { "strip-source", no_argument, NULL, OPT_STRIP },
                                             { "policy", required_argument, NULL, OPT_POLICY },
                                             { "on", required_argument, NULL, OPT_ON },
                                             { "in-place", no_argument, NULL, OPT_IN_PLACE },
                                             { "verify", optional_argument, NULL, OPT_VERIFY },
                                             { "load", required_argument, NULL, OPT_LOAD },
                                             { "tablespace", required_argument, NULL,
                                               OPT_TABLESPACE },
                                             { "lsn", required_argument, NULL, OPT_LSN },
                                             { "position", required_argument, NULL, OPT_LSN },
                                             { "point", required_argument, NULL, OPT_POINT },
                                             { "no-logs", no_argument, NULL, OPT_NO_LOGS },
                                             CHOICE_OPTIONS,
                                             OPTIONS_END };
    struct options o = { 0 };
    struct record record;
    struct err e = ERR_INIT;
    int c, status = 0;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        switch (c) {
        case OPT_TO:
            o.to = optarg;
            break;
        case OPT_SNAPSHOT:
            o.snapshot = optarg;
            break;
        case OPT_AT:
            o.at = optarg;
            break;
        case OPT_FROM:
            o.from = optarg;
            break;
        case OPT_OVERWRITE:
            o.overwrite = true;
            break;
        case OPT_DELTA:
            o.delta = true;
            break;
        case OPT_SET_ASIDE:
            o.set_aside = true;
            break;
        case OPT_STRIP:
            o.strip = true;
            break;
        case OPT_POLICY:
            o.policy = optarg;
            break;
        case OPT_ON:
            o.on = optarg;
            break;
        case OPT_IN_PLACE:
            o.db.in_place = true;
            break;
        case OPT_VERIFY:
            o.db.verify = optarg ? optarg : "";
            break;
        case OPT_LSN:
            o.db.lsn = optarg;
            break;
        case OPT_POINT:
            o.db.point = optarg;
            break;
        case OPT_NO_LOGS:
            o.no_logs = true;
            break;
        case OPT_LOAD:
            if (o.db.n_loads == MAX_LOADS)
                return app_usage(app, _("more than %d times --load"), MAX_LOADS);
            o.db.loads[o.db.n_loads++] = optarg;
            break;
        case OPT_TABLESPACE:
            if (!take_space(&o.db, optarg))
                return app_usage(app, _("--tablespace takes OLD=NEW, up to 64 times"));
            break;
        default:
            if (!choice_option(c, &o.choice))
                return args_bad(app, c, argv);
        }
    }
    if (!o.policy && optind < argc)
        o.policy = argv[optind++];
    if (!o.policy)
        return app_usage(app, o.choice.copy
                                  ? _("which policy? Give --policy NAME, one of those that twofold "
                                      "snapshots --copy URL shows")
                                  : _("which policy?"));
    if (!o.to == !o.db.in_place)
        return app_usage(app, o.to ? _("--to and --in-place exclude each other")
                                   : _("where to? Give --to TARGET"));
    if (!!o.at + !!o.db.lsn + !!o.db.point > 1)
        return app_usage(app,
                         _("--at, --lsn, --position and --point say the same thing; give one"));
    if (o.delta && o.db.in_place && (o.db.lsn || o.db.point))
        return app_usage(app,
                         _("what --lsn, --position or --point names is found in the log only when "
                           "--delta has changed the files already: leave --delta out, or "
                           "restore with --to"));
    if (o.set_aside && !o.delta && !o.overwrite)
        return app_usage(app, _("--set-aside goes with --delta or --overwrite"));
    if (o.set_aside && o.choice.copy)
        return app_usage(
            app, _("--set-aside needs the policy, which says what backups leave out: it does "
                   "not go with --copy"));
    o.paths = argv + optind;
    o.n_paths = (size_t)(argc - optind);
    status = paths_ok(app, &o);
    if (status != 0)
        return status;
    record_begin(&record, app, "restore", o.policy);
    if (restore(app, &o, &record, &e, &status) < 0) {
        err_wrap(&e, _("restore of \"%s\""), o.policy);
        status = ui_error(&app->ui, &e);
    }
    return record_end(&record, status);
}
