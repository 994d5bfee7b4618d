/* restore_run.c - see restore_run.h. */
#include "orchestrator/restore_run.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/host.h"
#include "orchestrator/logs/keep.h"
#include "orchestrator/logs/serve.h"
#include "orchestrator/look.h"
#include "orchestrator/restore_binlog.h"
#include "orchestrator/restore_files.h"
#include "orchestrator/restore_job.h"
#include "orchestrator/usable.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct running {
    struct app *app;
    const struct restore_request *q;
    struct restore_outcome *out;
    struct db_options db;
    struct vault *v, *own_v; /* own: opened here */
    const struct policy *conf;
    struct policy *own_conf;
    struct restore_job job; /* the main one; its results are those of all */
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- jobs -------------------------------------------------------------------------------------- */
/* What is brought is looked at by the policy's program before it is used. */
static void take_scan(struct restore_job *j, const struct restore_request *q)
{
    j->msg.scan = (char **)(uintptr_t)q->scan;
    j->msg.n_scan = q->n_scan;
    j->msg.scan_limit_s = q->scan_limit_s;
}

static struct restore_job job_like(const struct restore_job *like)
{
    return (struct restore_job){ .v = like->v,
                                 .snap = like->snap,
                                 .agent = like->agent,
                                 .from = like->from,
                                 .notes = like->notes,
                                 .facts = like->facts };
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
static int restore_spaces(struct running *r, const struct db_plan *p, struct restore_job *sum,
                          struct err *e)
{
    const struct restore_job *like = &r->job;
    struct source_spec space = { .kind = p->n_sources > 0 ? p->sources[0].kind : NULL };
    int rc = p->target ? 0 : source_spec_add(&space, "stage", "space", e);
    for (size_t i = 0; rc == 0 && i < p->n_spaces; i++) {
        struct restore_job j = job_like(like);
        j.msg.overwrite = like->msg.overwrite || p->overwrite;
        j.msg.target = p->spaces[i].target;
        j.msg.strip = p->spaces[i].strip ? p->spaces[i].strip : p->spaces[i].path;
        j.msg.paths = (char **)(uintptr_t)&p->spaces[i].path;
        j.msg.n_paths = 1;
        j.msg.sources = p->target ? NULL : &space;
        j.msg.n_sources = p->target ? 0 : 1;
        take_scan(&j, r->q);
        rc = restore_job_run(r->app, &j, e);
        if (rc < 0)
            err_wrap(e, "%s", p->spaces[i].target);
        else
            restore_job_add(sum, &j);
    }
    free_settings(&space);
    return rc;
}

/* A driver is asked whether its folder may be replaced before its tablespaces are brought: by a job that brings one small file. */
static int ask_first(struct app *app, const struct restore_job *like, const struct db_plan *p,
                     struct err *e)
{
    char *only = (char *)(uintptr_t)p->facts;
    struct restore_job j = job_like(like);
    struct source_spec ask = { .kind = p->sources[0].kind };
    const struct source_spec *all = &p->sources[0];
    int rc = source_spec_add(&ask, "stage", "ask", e);
    for (size_t i = 0; rc == 0 && i < all->n; i++) /* what would be replaced */
        if (strcmp(all->v[i].key, "data") == 0 || strcmp(all->v[i].key, "files") == 0 ||
            (p->overwrite && strcmp(all->v[i].key, "tablespace") == 0))
            rc = source_spec_add(&ask, all->v[i].key, all->v[i].value, e);
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
static int plan_logs(struct running *r, struct err *e)
{
    const struct restore_request *o = r->q;
    struct db_options *db = &r->db;
    int64_t ns = 0;
    bool asked = o->at || db->lsn || db->point;
    int rc = o->at ? parse_time(o->at, &ns, e) : 0;
    if (rc < 0 || o->no_logs || (o->snapshot && !asked && !o->with_logs))
        return rc;
    db->at_us = ns / 1000;
    unsigned interval_ms;
    const struct source_spec *spec = r->conf ? logs_of_policy(r->conf, &interval_ms) : NULL;
    db->logs = (spec && strcmp(spec->kind, "postgresql") == 0) ||
               logs_are_kept(r->app, r->v, o->policy, "postgresql");
    db->my_logs = (spec && strcmp(spec->kind, "mariadb") == 0) ||
                  logs_are_kept(r->app, r->v, o->policy, "mariadb");
    bool kept = db->logs || db->my_logs;
    if (!kept && o->snapshot && o->at)
        return err_set(e, ERR_USAGE, _("--snapshot and --at say the same thing; give one"));
    if (!kept && (db->lsn || db->point)) {
        err_set(e, ERR_ABSENT, _("no log of it is kept, only backups"));
        rc = err_next(e, _("see which there are: twofold snapshots %s"), o->policy);
    }
    return rc;
}

/* Before anything is done: the backup whose binary logs are needed (NULL: none is). */
static int find_binlogs(const struct running *r, const struct snap_ref **ret, struct err *e)
{
    *ret = NULL;
    if (r->q->n_paths > 0 || r->db.at_us == 0)
        return 0;
    return binlog_find(&r->job, r->q->policy, &r->db, ret, e);
}

/* A moment of a PostgreSQL server of which no log is kept: what was done since the backup is nowhere. */
static bool is_without_log(const struct running *r, const struct db_plan *p)
{
    bool there = false;
    for (size_t i = 0; i < p->n_sources; i++)
        there |= strcmp(p->sources[i].kind, "postgresql") == 0;
    return there && !r->db.logs && r->db.at_us / 1000000 > r->job.snap->received_ns / 1000000000;
}

/* An older state than the one that was asked for must not replace what is there. */
static int check_moment(const struct running *r, const struct db_plan *p, struct err *e)
{
    bool without = is_without_log(r, p);
    if ((!p->binlogs && !without) || !r->db.in_place)
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
    restore_job_note(app, j, true, "postgresql", strlen("postgresql"), text, strlen(text));
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
        restore_job_note(app, j, true, "mariadb", strlen("mariadb"), text, strlen(text));
        return 0;
    }
    int rc = binlog_replay(app, j, logs, to, db, &replay, e);
    if (rc == 0)
        restore_job_add(sum, &replay);
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

/* What the main job brings, and where. */
static int take_plan(struct running *r, const struct db_plan *plan, struct err *e)
{
    struct restore_job *j = &r->job;
    if (plan->target) {
        free(r->out->target);
        r->out->target = strdup(plan->target);
        if (!r->out->target)
            return no_memory(e);
    }
    j->msg.target = r->out->target;
    j->msg.overwrite |= plan->overwrite;
    j->msg.sources = plan->sources;
    j->msg.n_sources = plan->n_sources;
    if (plan->n_paths > 0) {
        j->msg.paths = plan->paths;
        j->msg.n_paths = plan->n_paths;
    }
    return 0;
}

/* Files that are asked for by name are only files, also those of a database. */
static int make_plan(struct running *r, bool binlogs, struct db_plan *plan, struct err *e)
{
    r->db.delta = r->q->delta;
    r->db.strict = r->q->strict;
    r->db.binlogs = binlogs;
    int rc = r->q->n_paths > 0 ? 0 : db_plan_make(r->v, r->job.snap, r->job.from, &r->db, plan, e);
    if (rc == 0)
        rc = check_moment(r, plan, e);
    return rc == 0 && r->q->delta ? check_delta(plan, e) : rc;
}

/* What comes before the main job. */
static int restore_beside(struct running *r, const struct db_plan *plan, struct restore_job *sum,
                          struct err *e)
{
    int rc = 0;
    say_places(r->app, plan);
    if (plan->target && plan->n_spaces > 0)
        rc = ask_first(r->app, &r->job, plan, e);
    if (rc == 0)
        rc = restore_spaces(r, plan, sum, e);
    if (rc == 0 && sum->done.failed > 0)
        rc = err_set(e, ERR_DAMAGED,
                     _("a part of the database is not whole; each file is named above"));
    return rc;
}

/* What an earlier attempt brought, and nobody has put into service, takes room; and where a server was started on it, nothing of it may come
 * among what is brought now. */
static int clear_attempts(struct running *r, struct err *e)
{
    struct host_job h = { .policy = r->conf, .agent = r->job.agent };
    json_t *backup = NULL;
    uint64_t bytes = 0;
    char size[32];
    if (!r->conf || !r->db.in_place || r->conf->n_sources == 0 || r->q->n_paths > 0)
        return 0;
    int rc = host_backup_facts(r->v, r->job.snap, r->job.from, &backup, e);
    h.backup = backup;
    if (rc == 0)
        rc = host_clear(r->app, &h, !r->q->clear, &r->job.snap->ref.id, &bytes, e);
    if (rc == -ERR_PROTOCOL && !r->q->clear) { /* an older agent, which leaves none of that kind */
        err_clear(e);
        rc = 0;
    }
    if (rc == 0 && bytes > 0)
        ui_line(&r->app->ui, _("of earlier attempts %s were taken away"), ui_bytes(bytes, size));
    json_decref(backup);
    return rc;
}

static int run_plan(struct running *r, struct err *e)
{
    struct restore_job *j = &r->job, sum = { .from = -1 };
    struct db_plan plan = { 0 };
    const struct snap_ref *logs;
    int rc = find_binlogs(r, &logs, e);
    if (rc == 0)
        rc = make_plan(r, logs != NULL, &plan, e);
    if (rc == 0)
        rc = restore_beside(r, &plan, &sum, e);
    if (rc == 0)
        rc = take_plan(r, &plan, e);
    if (rc == 0)
        rc = restore_job_run(r->app, j, e);
    if (rc == 0 && plan.binlogs && j->done.failed == 0)
        rc = replay_binlogs(r->app, j, logs, &r->db, r->out->target, &sum, e);
    if (rc == 0 && plan.unlogged && !plan.binlogs) {
        ui_warn(&r->app->ui, _("this backup was made before its log was followed: it is restored "
                               "as it is"));
        sum.problems++;
    }
    restore_job_add(j, &sum);
    if (rc == 0 && is_without_log(r, &plan))
        say_without_log(r->app, j);
    db_plan_done(&plan);
    return rc;
}

/* A set that is put back in part is no state of a moment: it must not pass for one. */
static void say_left(struct running *r, const struct place_parts *parts)
{
    const char *text = _("was not put back: it has no place of its own; restore it with --to DIR");
    for (size_t i = 0; i < parts->n_left; i++)
        restore_job_note(r->app, &r->job, true, parts->left[i], strlen(parts->left[i]), text,
                         strlen(text));
}

/* One database after the other, then files: those of a server that cannot be put back stay as they are. */
static int put_parts(struct running *r, const struct place_parts *parts, struct err *e)
{
    struct restore_job base = r->job, sum = { .from = -1 };
    int rc = 0;
    bool server = false;
    for (size_t i = 0; i < parts->n_kinds; i++)
        server |= strcmp(parts->kinds[i], "sqlite") != 0;
    if (server || r->q->clear)
        rc = clear_attempts(r, e);
    for (size_t i = 0; rc == 0 && i < parts->n_kinds; i++) {
        r->job = base;
        r->db.only = parts->kinds[i];
        rc = run_plan(r, e);
        if (rc == 0 && r->job.done.failed > 0 && parts->n_kinds + parts->n_roots > 1)
            rc = err_set(e, ERR_DAMAGED,
                         _("a part of the database is not whole; each file is named above"));
        restore_job_add(&sum, &r->job);
        r->out->database = true;
    }
    r->job = base;
    if (rc == 0)
        rc = files_in_place(r->app, &base, r->conf, r->q, parts, &sum, e);
    restore_job_add(&r->job, &sum);
    if (rc == 0)
        say_left(r, parts);
    if (rc == 0 && !r->out->target && parts->n_roots > 0 &&
        !(r->out->target = strdup(parts->roots[0].path)))
        rc = no_memory(e);
    return rc;
}

static int run_in_place(struct running *r, struct err *e)
{
    struct place_parts parts;
    int rc = place_parts_find(r->v, r->job.snap, r->job.from, r->conf, r->q, &parts, e);
    if (rc == 0 && parts.n_kinds == 0 && (r->db.n_spaces > 0 || r->db.lsn || r->db.point))
        rc = err_set(e, ERR_USAGE,
                     _("this backup has no database server: --tablespace, --lsn and "
                       "--point are for those"));
    if (rc < 0)
        return rc;
    rc = put_parts(r, &parts, e);
    place_parts_done(&parts);
    return rc;
}

/* What differs is told first; the rest is a restore over what is there. */
static int run_over(struct running *r, struct err *e)
{
    uint64_t n = 1;
    int rc = r->q->changed_only ? files_changed(r->app, &r->job, r->conf, r->out->target,
                                                r->q->paths, r->q->n_paths, r->q->set_aside, &n, e)
                                : 0;
    if (rc == 0 && n == 0)
        ui_line(&r->app->ui, _("  nothing differs there"));
    return rc < 0 || n == 0 ? rc : run_plan(r, e);
}

/* --- what is asked for ---------------------------------------------------------------------------- */
/* "--at TIME" is the newest snapshot not after it. */
static int choose(struct running *r, struct err *e)
{
    const struct restore_request *q = r->q;
    char *name = NULL;
    const char *source = NULL;
    if (q->at && !q->snapshot && asprintf(&name, "%s@%s", q->policy, q->at) < 0)
        return no_memory(e);
    int rc = app_find_snapshot(r->app, r->v, q->policy, name ? name : q->snapshot, &r->job.snap,
                               &source, e);
    free(name);
    if (rc < 0)
        return rc;
    r->out->chosen = true;
    r->out->snapshot = r->job.snap->ref.id;
    r->out->received_ns = r->job.snap->received_ns;
    r->out->state = r->job.snap->state;
    return 0;
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
    return *ret ? 0 : no_memory(e);
}

/* What could not be checked is said (docs/security.md). */
static void say_unchecked(const struct running *r)
{
    if (r->q->choice.copy)
        ui_warn(
            &r->app->ui,
            _("read from one copy alone: whether newer backups exist elsewhere cannot be told from here"));
}

/* What the policy leaves out is no extra. */
static void take_excludes(struct restore_job *j, const struct policy *p)
{
    if (!p || (!j->msg.delta && !j->msg.set_aside))
        return;
    j->msg.exclude = p->exclude;
    j->msg.n_exclude = p->n_exclude;
}

static void warn_of_gaps(const struct running *r)
{
    if (r->job.msg.set_aside && r->job.snap->state == SNAPSHOT_PARTIAL)
        ui_warn(
            &r->app->ui,
            _("this backup is not whole: what could not be read then counts as not being in it"));
}

static int open_all(struct running *r, struct err *e)
{
    const struct restore_request *q = r->q;
    int rc = q->to ? absolute(q->to, &r->out->target, e) : 0;
    r->v = q->vault;
    r->conf = q->conf;
    if (rc == 0 && !q->vault) {
        struct vault_choice choice = q->choice;
        choice.hurry = true;
        rc = app_open_policy(r->app, q->policy, &choice, false, true, &r->own_conf, &r->own_v, e);
        r->v = r->own_v;
        r->conf = r->own_conf;
    }
    if (rc == 0 && q->from)
        rc = find_copy(r->v, q->from, &r->job.from, e);
    return rc == 0 ? choose(r, e) : rc;
}

static int make_job(struct running *r, struct err *e)
{
    const struct restore_request *q = r->q;
    struct restore_job *j = &r->job;
    r->db.sources = r->conf ? r->conf->sources : NULL;
    r->db.n_sources = r->conf ? r->conf->n_sources : 0;
    say_unchecked(r);
    j->v = r->v;
    j->agent = q->on ? q->on : "local";
    j->notes = r->out->notes;
    j->facts = r->out->facts;
    j->msg.overwrite = q->overwrite || q->delta || q->changed_only;
    j->msg.delta = q->delta;
    j->msg.set_aside = q->set_aside;
    take_excludes(j, r->conf);
    warn_of_gaps(r);
    j->msg.strip_source = q->strip;
    take_scan(j, q);
    j->msg.paths = q->paths;
    j->msg.n_paths = q->n_paths;
    return plan_logs(r, e);
}

/* --- what came of it ------------------------------------------------------------------------------ */
static void take_results(struct running *r)
{
    struct restore_outcome *out = r->out;
    out->done = r->job.done;
    out->problems = r->job.problems;
    out->chunks_lost = r->job.lost;
    out->chunks_away = r->job.away;
    if (!r->v)
        return;
    snprintf(out->vault, sizeof out->vault, "%s", r->v->name);
    out->n_copies = r->v->n_copies;
    for (size_t i = 0; i < out->n_copies; i++) {
        const struct copy *c = &r->v->copies[i];
        struct restore_copy *o = &out->copies[i];
        snprintf(o->place, sizeof o->place, "%s", c->place);
        o->used = c->state != COPY_AWAY && c->state != COPY_WRONG;
        o->chunks = r->job.served[i];
        o->bytes = r->job.served_bytes[i];
        o->chunks_bad = r->job.bad[i];
        o->logs_bad = r->job.bad_logs[i];
        o->us = r->job.served_us[i];
        o->speed = r->job.speed[i];
        o->late = r->job.late[i];
        out->n_reached += o->used;
    }
}

/* What is lost here may be whole in an older backup. */
static void find_older(struct running *r)
{
    struct usable *u = NULL;
    struct usable_answer a;
    const struct source_list *l = NULL;
    size_t at = 0, found = 0;
    if (!r->v)
        return;
    for (size_t i = 0; i < r->v->n_lists && !l; i++)
        for (at = 0; at < r->v->lists[i]->n && !l; at++)
            if (&r->v->lists[i]->snaps[at] == r->job.snap) {
                l = r->v->lists[i];
                break;
            }
    if (l && usable_new(r->v, r->job.from, &u, NULL) == 0 &&
        usable_older(u, l, at, &found, &a, NULL) == 0) {
        r->out->older = true;
        r->out->older_id = l->snaps[found].ref.id;
        r->out->older_ns = l->snaps[found].received_ns;
    }
    usable_free(u);
}

/* After nothing could be restored. */
static void name_another(struct running *r, struct err *e)
{
    char id[SHORT_ID_DIGITS + 1], when[32];
    find_older(r);
    if (r->out->older)
        err_next(e, _("the newest older backup that seems whole is %s of %s: add --snapshot %s"),
                 short_id(&r->out->older_id, id), ui_time(r->out->older_ns, when), id);
    else
        err_next(
            e, _("see which other backups there are: twofold snapshots %s; then add --snapshot ID"),
            r->q->policy);
}

/* After files were left out. */
static void judge_missing(struct running *r)
{
    struct err *e = &r->out->verdict;
    unsigned long long n = (unsigned long long)r->job.done.failed;
    char id[SHORT_ID_DIGITS + 1], when[32];
    if (r->job.away && !r->job.lost) {
        err_set(
            e, ERR_NOT_WHOLE,
            P_("%llu file is missing: what it needs may lie in a copy that could not be reached",
               "%llu files are missing: what they need may lie in a copy that could not be reached",
               n),
            n);
        err_next(e, _("bring that copy back (twofold status), then run the same command again: it "
                      "brings what is missing"));
        return;
    }
    err_set(e, ERR_DAMAGED,
            P_("%llu file could not be restored whole and was left out; it is named above",
               "%llu files could not be restored whole and were left out; each is named above", n),
            n);
    find_older(r);
    if (r->out->older)
        err_next(e,
                 _("take them from an older backup, the newest that seems whole is %s of %s: add "
                   "--snapshot %s; then run: twofold scrub, twofold repair"),
                 short_id(&r->out->older_id, id), ui_time(r->out->older_ns, when), id);
    else
        err_next(
            e,
            _("take them from an older snapshot (twofold find NAME), then run: twofold scrub, twofold repair"));
}

static void judge(struct running *r)
{
    struct err *e = &r->out->verdict;
    const struct restore_job *j = &r->job;
    if (j->done.failed) {
        judge_missing(r);
    } else if (j->problems) {
        err_set(e, ERR_PARTIAL,
                _("the files are whole, but %llu things are not as they were; each is named above"),
                (unsigned long long)j->problems);
        err_next(
            e, j->msg.n_sources > 0
                   ? _("read them before the database is given to its users")
                   : _("see to them; as root, owners and special attributes can be restored too"));
    }
}

int restore_run(struct app *app, const struct restore_request *q, struct restore_outcome *ret,
                struct err *e)
{
    uint64_t start = sys_monotonic_ms();
    *ret = (struct restore_outcome){ .notes = json_array(), .facts = json_object() };
    struct running r = { .app = app, .q = q, .out = ret, .db = q->db, .job = { .from = -1 } };
    int rc = ret->notes && ret->facts ? open_all(&r, e) : no_memory(e);
    if (rc == 0)
        rc = make_job(&r, e);
    if (rc == 0)
        rc = r.db.in_place ? run_in_place(&r, e) : run_over(&r, e);
    if ((rc == -ERR_DAMAGED || rc == -ERR_ABSENT) && e && !e->next[0] && ret->chosen)
        name_another(&r, e);
    take_results(&r);
    if (rc == 0)
        judge(&r);
    ret->ms = sys_monotonic_ms() - start;
    policy_free(r.own_conf);
    vault_close(r.own_v);
    return rc;
}

void restore_outcome_done(struct restore_outcome *o)
{
    free(o->target);
    json_decref(o->notes);
    json_decref(o->facts);
    *o = (struct restore_outcome){ 0 };
}

/* --- in one word ------------------------------------------------------------------------------------ */
static bool has_wrong_check(const json_t *facts)
{
    size_t i;
    json_t *check;
    json_array_foreach(json_object_get(facts, "check"), i,
                       check) if (json_is_false(json_object_get(check, "ok"))) return true;
    return false;
}

enum restore_end restore_end_of(int rc, const struct restore_outcome *o)
{
    if (has_wrong_check(o->facts))
        return RESTORE_CHECK_FAILED;
    switch (-rc) {
    case 0:
        if (o->done.failed)
            return o->chunks_away && !o->chunks_lost ? RESTORE_AWAY : RESTORE_IN_PART;
        return o->problems ? RESTORE_PROBLEMS : RESTORE_WHOLE;
    case ERR_DAMAGED:
    case ERR_ABSENT:
    case ERR_NOT_WHOLE:
    case ERR_ROLLBACK:
        return RESTORE_DAMAGED;
    case ERR_UNREACHABLE:
    case ERR_TIMEOUT:
        return RESTORE_AWAY;
    case ERR_USAGE:
    case ERR_CONFIG:
    case ERR_REFUSED:
    case ERR_BUSY:
    case ERR_NOSPACE:
    case ERR_READONLY:
    case ERR_EXISTS:
    case ERR_KEY:
        return RESTORE_REFUSED;
    case ERR_INTERRUPTED:
        return RESTORE_STOPPED;
    default:
        return RESTORE_BROKEN;
    }
}

const char *restore_end_name(enum restore_end end)
{
    static const char *const names[] = {
        [RESTORE_WHOLE] = "whole",     [RESTORE_PROBLEMS] = "problems",
        [RESTORE_IN_PART] = "in-part", [RESTORE_CHECK_FAILED] = "check-failed",
        [RESTORE_DAMAGED] = "damaged", [RESTORE_AWAY] = "away",
        [RESTORE_REFUSED] = "refused", [RESTORE_STOPPED] = "stopped",
        [RESTORE_BROKEN] = "broken"
    };
    return names[end];
}
