/* apply.c - a restore from its first entry to its last: what is asked for, in which order, and how
 * it ends. Manual: agents/apply.h; its parts: agents/restore_run.h. */
#include "agents/host/host.h"
#include "agents/apply.h"
#include "agents/beside.h"
#include "agents/compare.h"
#include "agents/exclude.h"
#include "agents/restore_run.h"
#include "agents/saved_entry.h"
#include "agents/source.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCAN_TOLD_BYTES 400

int run_judge(int code)
{
    switch (-code) {
    case ERR_NONE:
    case -FAILED_HERE:
        return code;
    case ERR_NOSPACE:
    case ERR_READONLY:
    case ERR_NOMEM:
    case ERR_INTERRUPTED:
        return code;
    default:
        return FAILED_HERE;
    }
}

int run_check(struct run *r, struct err *e)
{
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted"));
    return fetch_broken(r->fetch) ? fetch_drain(r->fetch, e) : 0;
}

bool run_stop(void *ctx, uint64_t n)
{
    struct run *r = ctx;
    r->rep.n.bytes_read += n;
    return sys_interrupted() || fetch_broken(r->fetch);
}

bool run_relative(const struct run *r, const char *path, size_t len, const char **ret,
                  size_t *ret_len)
{
    if (len < r->strip_len)
        return false;
    bool slash = r->strip_len > 0 && len > r->strip_len;
    *ret = path + r->strip_len + slash;
    *ret_len = len - r->strip_len - slash;
    return true;
}

/* --- one entry -------------------------------------------------------------------------------- */
static int save_root_entry(struct run *r, const struct entry *en, bool way, struct err *e)
{
    struct dir *root = &r->dirs.v[0];
    if (root->saved)
        return 0;
    if (way && r->m->strip &&
        !r->t.made) /* somebody's folder, of which only something in it is put back */
        return 0;
    root->saved = entry_save(en);
    if (!root->saved)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    r->rep.n.dirs++;
    return extra_enter(r, NULL, root->saved->path, root->saved->path_len, !way, root, e);
}

static int place_entry(struct run *r, struct entry *en, bool way, struct place *p, struct err *e)
{
    if (en->type == ENTRY_DIR)
        return dirs_enter(r, en, p, way, e);
    int rc = dirs_place(r, p, e);
    if (rc != 0)
        return rc;
    if (p->dir->lost) {
        r->rep.n.failed++; /* the folder was named */
        return 0;
    }
    switch (en->type) {
    case ENTRY_FILE:
        return place_file(r, r->walk, en, p, e);
    case ENTRY_SYMLINK:
        return place_symlink(r, en, p, e);
    case ENTRY_HARDLINK:
        return place_hardlink(r, en, p, e);
    case ENTRY_FIFO:
    case ENTRY_CHAR:
    case ENTRY_BLOCK:
        return place_node(r, en, p, e);
    case ENTRY_DIR:
    case ENTRY_SOCKET:
    case ENTRY_MORE:
        break;
    }
    err_set(e, ERR_DAMAGED, _("an entry of a kind that cannot be restored"));
    return FAILED_HERE;
}

static bool is_marker(const struct place *p)
{
    return p->path_len == strlen(RESTORE_MARKER) &&
           memcmp(p->path, RESTORE_MARKER, p->path_len) == 0;
}

static int apply_entry(struct run *r, struct entry *en, struct err *e)
{
    struct err why = ERR_INIT;
    struct place p = { 0 };
    bool held = pathset_holds(r->set, en->path, en->path_len);
    bool way = en->flags & ENTRY_ABOVE || !held;
    if (en->type == ENTRY_MORE) /* of a file that failed, or that is not asked for */
        return 0;
    if (!held && (en->type != ENTRY_DIR || !pathset_above(r->set, en->path, en->path_len)))
        return 0;
    if (held)
        pathset_hit(r->set, en->path, en->path_len);
    if (!run_relative(r, en->path, en->path_len, &p.path, &p.path_len))
        return 0;
    if (p.path_len == 0)
        return save_root_entry(r, en, way, e);
    /* Reading on may overwrite the leaf's buffer in which the path lies, so it is copied for
     * notes. */
    char *shown = malloc(en->path_len + 1);
    if (!shown)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    memcpy(shown, en->path, en->path_len);
    shown[en->path_len] = '\0';
    p.path = shown + (p.path - en->path);
    p.shown = shown;
    p.shown_len = en->path_len;
    report_at(&r->rep, shown, p.shown_len);
    int rc;
    if (is_marker(&p)) {
        err_set(&why, ERR_REFUSED, _("its name is in use for the restore itself"));
        rc = FAILED_HERE;
    } else if (source_entry_check(r->m->sources, r->m->n_sources, en, &why) < 0) {
        rc = FAILED_HERE; /* and so no steps are taken */
    } else {
        rc = place_entry(r, en, way, &p, &why);
    }
    if (rc == FAILED_HERE) {
        report_err(&r->rep, shown, p.shown_len, &why);
        r->rep.n.failed++;
        r->rep.n.away += why.code == ERR_UNREACHABLE;
        rc = 0;
    } else if (rc < 0 && e) {
        *e = why;
        err_wrap(e, "/%.300s", shown);
    }
    free(shown);
    return rc;
}

static int apply_entries(struct run *r, struct err *e)
{
    for (;;) {
        struct entry en;
        struct err why = ERR_INIT;
        int rc = entries_next(r->walk, &en, &why);
        if (rc == 0)
            return 0;
        if (rc < 0) {
            if (e)
                *e = why;
            return rc;
        }
        if (rc == ENTRIES_GAP) {
            report_err(&r->rep, NULL, 0, &why);
            r->rep.n.failed++;
            r->rep.n.away += why.code == ERR_UNREACHABLE;
            extra_unsure(r);
            continue;
        }
        rc = apply_entry(r, &en, e);
        entries_pump(r->walk);
        if (rc == 0)
            rc = run_check(r, e);
        if (rc < 0)
            return rc;
    }
}

/* --- the whole -------------------------------------------------------------------------------- */
/* Paths that the snapshot does not have. When it has none of them, that is the end of it. */
static int check_missed(struct run *r, struct err *e)
{
    size_t at = 0, len, missed = 0;
    const char *path, *first = NULL;
    while ((path = pathset_missed(r->set, &at, &len)) != NULL) {
        first = first ? first : path;
        missed++;
        r->rep.n.failed++;
        report_problem(&r->rep, path, len, _("not in the snapshot"));
    }
    if (missed == 0 || missed < pathset_count(r->set))
        return 0;
    target_undo(r); /* or the same with the right path would find the folder taken */
    err_set(e, ERR_ABSENT, _("\"/%.400s\" is not in the snapshot"), first);
    return err_next(e, _("see what it holds: twofold ls SNAPSHOT; where a file is: twofold find "
                         "NAME"));
}

static int sync_all(struct run *r, struct err *e)
{
    int rc = sys_syncfs(r->t.fd, e);
    for (size_t i = 0; rc == 0 && i < r->n_other; i++)
        rc = sys_syncfs(r->other_fd[i], e);
    return rc < 0 ? err_wrap(e, "%s", r->m->target) : 0;
}

enum step { STEP_CHECK, STEP_OVER, STEP_LAST };

/* The whole folder of a database goes out of the way: what a server made of it there must not come among what is restored. */
static int clear_folder(struct run *r, const char *kind, struct err *e)
{
    bool keep = false;
    struct place p = { .dir = &r->dirs.v[0], .path = kind, .path_len = strlen(kind) };
    if (r->strip_len) {
        err_set(e, ERR_EXISTS,
                _("a database lies there, of which nothing may come among what is "
                  "restored"));
        return err_next(e, _("give an empty folder, or leave --strip-source out"));
    }
    snprintf(p.name, sizeof p.name, "%s", kind);
    return target_set_aside(r, &p, &keep, e);
}

static int source_step(struct run *r, const struct source_driver *d, const struct source_restore *x,
                       enum step step, struct err *e)
{
    if (step == STEP_CHECK)
        return d->restore_check ? d->restore_check(x, e) : 0;
    if (step == STEP_LAST)
        return d->restore ? d->restore(x, e) : 0;
    if (x->delta && !d->restore_over)
        return err_set(e, ERR_USAGE, _("there is no --delta for this kind of database"));
    bool continuing = r->t.continuing && r->t.was_delta == x->delta;
    int rc = d->restore_over ? d->restore_over(x, continuing, e) : 0;
    if (rc == 1)
        rc = clear_folder(r, d->kind, e);
    return rc == 0 && x->delta && d->restore_lend ? d->restore_lend(x, continuing, e) : rc;
}

/* What a source's driver has to do before anything is there, or once its files are (agents/source.h). */
static int source_steps(struct run *r, enum step step, struct err *e)
{
    if (r->rep.n.failed > 0) /* what is not whole does not start */
        return 0;
    int rc = source_specs_check(r->m->sources, r->m->n_sources, true, e);
    for (size_t i = 0; rc == 0 && i < r->m->n_sources; i++) {
        const struct source_spec *spec = &r->m->sources[i];
        const struct source_driver *d = source_driver(spec->kind);
        char *folder = NULL;
        if (asprintf(&folder, "%s%s%s", r->m->target, r->strip_len ? "" : "/",
                     r->strip_len ? "" : spec->kind) < 0)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        struct source_restore x = { .folder = folder,
                                    .spec = spec,
                                    .delta = r->m->delta,
                                    .resolved = r->m->resolved,
                                    .report = &r->rep,
                                    .state_dir = r->state_dir,
                                    .fetch = r->fetch,
                                    .vault_id = &r->m->vault_id };
        rc = source_step(r, d, &x, step, e);
        free(folder);
        if (rc < 0)
            err_wrap(e, "%s", spec->kind);
    }
    return rc;
}

static int scan_tick(void *ctx, struct err *e)
{
    return run_check(ctx, e);
}

/* The policy's program looks at what came, before anything of it is used. */
static int scan_all(struct run *r, struct err *e)
{
    const struct msg_restore *m = r->m;
    struct host_command c = { .words = m->scan,
                              .n = m->n_scan,
                              .last = m->target,
                              .limit_s = m->scan_limit_s,
                              .tick = scan_tick,
                              .ctx = r,
                              .report = &r->rep };
    struct host_ran ran = { 0 };
    if (m->n_scan == 0)
        return 0;
    int rc = host_command_run(&c, &ran, e);
    const char *said = ran.output ? ran.output : "";
    size_t n = strlen(said), from = n > SCAN_TOLD_BYTES ? n - SCAN_TOLD_BYTES : 0;
    bool fine = rc == 0 && ran.status == 0 && !ran.timed_out;
    if (rc == 0)
        report_check(&r->rep, "scan", "scan", fine, "%s", said + from);
    if (rc == 0 && fine)
        report_note(&r->rep, NULL, 0, _("%s has found nothing wrong in %s"), m->scan[0], m->target);
    else if (rc == 0 && ran.timed_out)
        rc = err_set(e, ERR_TIMEOUT, _("%s has not ended in its time"), m->scan[0]);
    else if (rc == 0)
        rc = err_set(e, ERR_DAMAGED, _("%s ended with status %d: %s"), m->scan[0], ran.status,
                     said + from);
    free(ran.output);
    return rc < 0 ? err_wrap(e, _("the scan of what was restored")) : 0;
}

/* The marker goes when everything is on disk; since that changes the target's time, its metadata
 * comes once more after it. It stays when the same command can bring more, once a copy is back. */
static int finish(struct run *r, struct err *e)
{
    int rc = dirs_leave_all(r, e);
    if (rc == 0)
        rc = dirs_late_flags(r, e);
    if (rc == 0)
        rc = check_missed(r, e);
    if (rc == 0) {
        dirs_finish_root(r, false);
        rc = sync_all(r, e);
    }
    if (rc == 0 && r->rep.n.failed == 0)
        rc = scan_all(r, e);
    if (rc == 0)
        rc = source_steps(r, STEP_LAST, e);
    if (rc == 0 && r->rep.n.away == 0)
        rc = target_finish(r, e);
    if (rc == 0) {
        struct err why = ERR_INIT;
        dirs_finish_root(r, true);
        /* All that was restored is on disk; what may be undone is that the marker went. */
        if (sys_fsync_dir(r->t.fd, ".", &why) < 0)
            report_err(&r->rep, NULL, 0, &why);
    }
    return rc;
}

/* The folder whose path goes from the front of all others: the one that was named, or the snapshot's only root. */
static int folder_to_strip(struct run *r, char **ret, struct err *e)
{
    const char *root = r->m->strip ? r->m->strip : r->body->roots[0];
    if (!r->m->strip && r->body->n_roots != 1)
        return err_set(e, ERR_USAGE,
                       _("--strip-source needs a snapshot of a single folder; this one has %zu"),
                       r->body->n_roots);
    if (asprintf(ret, "%s%s", root[0] == '/' ? "" : "/", root) < 0)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    return 0;
}

/* It must be a folder. */
static int prepare_strip(struct run *r, struct err *e)
{
    struct pathset *only;
    struct entry en;
    size_t len;
    char *root = NULL;
    int rc = folder_to_strip(r, &root, e);
    if (rc < 0)
        return rc;
    rc = pathset_new(&root, 1, &only, e);
    if (rc < 0 || pathset_all(only)) {
        if (rc == 0)
            pathset_free(only);
        free(root);
        return rc;
    }
    const char *path = pathset_at(only, 0, &len);
    rc = entries_find(r->links_walk, path, len, &en, e);
    if (rc == 1 && en.type == ENTRY_DIR)
        rc = 0;
    else if (rc >= 0)
        rc = err_set(e, ERR_USAGE, _("--strip-source: \"%.400s\" is not a folder in the snapshot"),
                     root);
    r->strip_len = len;
    pathset_free(only);
    free(root);
    return rc;
}

static int apply_run(struct run *r, struct err *e)
{
    int rc = 0;
    (void)umask(0);
    if (r->m->strip_source || r->m->strip)
        rc = prepare_strip(r, e);
    if (rc == 0 && extra_wanted(r))
        rc = exclude_new(r->m->exclude, r->m->n_exclude, &r->exclude, e);
    if (rc == 0 && r->m->set_aside)
        rc = extra_check(r, e);
    if (rc == 0)
        rc = source_steps(r, STEP_CHECK, e);
    if (rc == 0)
        rc = target_open(r, e);
    if (rc == 0)
        rc = dirs_begin(r, e);
    if (rc == 0 && target_is_delta(r)) /* what is changed then is no longer what it was */
        rc = target_begin(r, e);
    if (rc == 0)
        rc = source_steps(r, STEP_OVER, e);
    if (rc == 0 && !target_is_delta(r))
        rc = target_begin(r, e);
    if (rc == 0) /* where "/" was saved; else its entry comes, or it is no folder of the snapshot */
        rc = extra_enter(r, NULL, "", 0, r->strip_len == 0, &r->dirs.v[0], e);
    if (rc == 0)
        rc = apply_entries(r, e);
    if (rc == 0)
        rc = finish(r, e);
    return rc;
}

static int open_all(struct run *r, const char *state_dir, struct err *e)
{
    const struct msg_restore *m = r->m;
    int rc = snapshot_body_read(m->body, m->body_len, &r->body, e);
    if (rc == 0)
        rc = pathset_new(m->paths, m->n_paths, &r->set, e);
    if (rc == 0)
        rc = pathset_new(NULL, 0, &r->everything, e);
    if (rc < 0)
        return rc;
    rc = sys_mkdir_p(state_dir, 0700, e);
    if (rc < 0)
        return rc;
    r->state_fd = sys_openat(AT_FDCWD, state_dir, O_RDONLY | O_DIRECTORY, 0, e);
    if (r->state_fd < 0)
        return r->state_fd;
    r->links = linktable_new(r->state_fd);
    r->late_flags = spool_new(r->state_fd);
    r->sm = setmeta_new(&r->rep);
    r->with.sha = sha256_new();
    r->with.paged = paged_hash_new();
    r->io = malloc(IO_BYTES);
    r->beside = beside_new();
    if (!r->links || !r->late_flags || !r->sm || !r->with.sha || !r->with.paged || !r->io ||
        !r->beside)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    uint64_t total = pathset_all(r->set) ? r->body->entries : 0;
    rc = report_begin(&r->rep, r->w, m->mode == RESTORE_COMPARE ? 3 : 2, total, e);
    if (rc == 0)
        rc = fetch_new(r->w, &m->vault_id, &r->fetch, e);
    if (rc == 0)
        rc = entries_open(r->fetch, r->body, r->set, &r->walk, e);
    if (rc == 0)
        rc = entries_open(r->fetch, r->body, r->everything, &r->links_walk, e);
    if (rc == 0)
        rc = entries_open(r->fetch, r->body, r->everything, &r->runs_walk, e);
    return rc;
}

static void close_all(struct run *r)
{
    entries_close(r->walk);
    entries_close(r->links_walk);
    entries_close(r->runs_walk);
    fetch_free(r->fetch);
    report_end(&r->rep);
    dirs_done(&r->dirs);
    target_close(r);
    for (size_t i = 0; i < r->n_other; i++)
        sys_close_quiet(r->other_fd[i]);
    linktable_free(r->links);
    spool_free(r->late_flags);
    setmeta_free(r->sm);
    beside_free(r->beside);
    sha256_free(r->with.sha);
    paged_hash_free(r->with.paged);
    free(r->io);
    free(r->pour);
    sys_close_quiet(r->state_fd);
    exclude_free(r->exclude);
    pathset_free(r->set);
    pathset_free(r->everything);
    snapshot_body_free(r->body);
}

int agent_restore(struct wire *w, const struct msg_restore *m, const char *state_dir, struct err *e)
{
    struct run r = {
        .w = w,
        .m = m,
        .state_fd = -1,
        .state_dir = state_dir,
        .t = { .fd = -1, .place_fd = -1, .aside = { .fd = -1 }, .extra = { .fd = -1 } },
        .uid = geteuid(),
        .gid = getegid()
    };
    int rc = open_all(&r, state_dir, e);
    if (rc == 0)
        rc = m->mode == RESTORE_COMPARE ? compare_run(&r, e) : apply_run(&r, e);
    if (rc == 0)
        rc = fetch_drain(r.fetch, e);
    if (rc == 0)
        rc = report_done(&r.rep, e);
    close_all(&r);
    return rc;
}
