/* restore_files.c - see restore_files.h. */
#include "orchestrator/restore_files.h"
#include "agents/apply.h"
#include "lib/base/i18n.h"
#include "orchestrator/host.h"
#include "orchestrator/look.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- what the backup has ------------------------------------------------------------------------------ */
void place_parts_done(struct place_parts *p)
{
    for (size_t i = 0; i < p->n_roots; i++)
        free(p->roots[i].path);
    free(p->roots);
    for (size_t i = 0; i < p->n_left; i++)
        free(p->left[i]);
    free(p->left);
    *p = (struct place_parts){ 0 };
}

static bool lies_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static bool is_asked_for(const struct restore_request *q, const char *root)
{
    for (size_t i = 0; i < q->n_paths; i++)
        if (lies_in(q->paths[i], root) || lies_in(root, q->paths[i]))
            return true;
    return q->n_paths == 0;
}

struct first {
    bool folder;
    struct err away; /* of a part of the list that a copy may have which cannot be reached */
};

static int first_entry(void *ctx, const struct entry *en)
{
    ((struct first *)ctx)->folder = en->type == ENTRY_DIR;
    return 1;
}

static void first_gap(void *ctx, const struct err *why)
{
    if (why->code == ERR_UNREACHABLE)
        ((struct first *)ctx)->away = *why;
}

static int check_root(const struct policy *conf, const char *root, struct err *e)
{
    bool named = !conf;
    for (size_t i = 0; conf && i < conf->n_paths; i++)
        named |= strcmp(conf->paths[i], root) == 0;
    if (strcmp(root, "/") == 0) {
        err_set(e, ERR_REFUSED, _("all of \"/\" is not replaced under a running system"));
        return err_next(e, _("name what is to be put back: twofold restore … --in-place PATH…; or "
                             "restore it with --to DIR"));
    }
    if (named)
        return 0;
    err_set(e, ERR_REFUSED,
            _("the backup has %s, which the policy does not name now: it is not replaced"), root);
    return err_next(e, _("name it below \"paths\" of the policy, or restore with --to DIR"));
}

static int add_root(struct view *view, const struct policy *conf, const char *name,
                    struct place_parts *p, struct err *e)
{
    struct place_root *grown = realloc(p->roots, (p->n_roots + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    p->roots = grown;
    struct place_root *r = &grown[p->n_roots];
    *r = (struct place_root){ .path = NULL };
    if (asprintf(&r->path, "%s%s", name[0] == '/' ? "" : "/", name) < 0)
        return no_memory(e);
    p->n_roots++;
    struct select sel = { .paths = &r->path, .n_paths = 1 };
    struct first first = { .folder = false };
    uint64_t gaps = 0;
    int rc = check_root(conf, r->path, e);
    if (rc == 0)
        rc = reader_each(&view->src, view->body, &sel, first_entry, first_gap, &first, &gaps, e);
    r->folder = first.folder;
    if (rc != 0)
        return rc == 1 ? 0 : rc;
    if (first.away.code == ERR_NONE)
        return err_set(e, ERR_DAMAGED, _("the list of its files is damaged at %s"), r->path);
    if (e)
        *e = first.away;
    return -ERR_UNREACHABLE;
}

static int add_virtual(struct place_parts *p, const char *name, struct err *e)
{
    static const char *const databases[] = { "postgresql", "mariadb", "sqlite" };
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++)
        if (strcmp(databases[i], name) == 0) {
            p->kinds[p->n_kinds++] = databases[i];
            return 0;
        }
    char **grown = realloc(p->left, (p->n_left + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    p->left = grown;
    if (!(grown[p->n_left] = strdup(name)))
        return no_memory(e);
    p->n_left++;
    return 0;
}

static int find_all(struct view *view, const struct policy *conf, const struct restore_request *q,
                    struct place_parts *p, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < view->body->n_roots; i++) {
        const char *name = view->body->roots[i];
        char *path = NULL;
        if (body_root_is_virtual(name)) {
            rc = q->n_paths == 0 ? add_virtual(p, name, e) : 0;
            continue;
        }
        if (asprintf(&path, "%s%s", name[0] == '/' ? "" : "/", name) < 0)
            return no_memory(e);
        rc = is_asked_for(q, path) ? add_root(view, conf, name, p, e) : 0;
        free(path);
    }
    if (rc == 0 && p->n_kinds + p->n_roots == 0) {
        err_set(e, ERR_USAGE,
                q->n_paths ? _("none of these paths lies in a folder of this backup")
                           : _("this backup has nothing that has a place of its own"));
        rc = err_next(e, _("restore it to a folder: --to TARGET"));
    }
    return rc;
}

int place_parts_find(struct vault *v, const struct snap_ref *snap, int from,
                     const struct policy *conf, const struct restore_request *q,
                     struct place_parts *ret, struct err *e)
{
    struct view view;
    struct place_parts p = { .n_kinds = 0 };
    int rc = view_open(v, snap, from, &view, e);
    if (rc == 0)
        rc = find_all(&view, conf, q, &p, e);
    view_close(&view);
    if (rc < 0)
        place_parts_done(&p);
    else
        *ret = p;
    return rc;
}

/* --- what differs ----------------------------------------------------------------------------------------- */
struct changes {
    struct app *app;
    char *const *roots; /* which are compared; none: the target is */
    size_t n_roots;
    json_t *facts;
    bool all;           /* also what bears the name of what earlier restores have set aside */
    uint64_t n, passed; /* passed: folders of that name */
};

/* What an earlier restore has set aside lies in folders of its own at the top of what is restored: the path from there on, or NULL. */
static const char *was_set_aside(const struct changes *c, const char *path)
{
    char top[] = "/", *const target[] = { top };
    char *const *roots = c->n_roots ? c->roots : target;
    for (size_t i = 0; i < (c->n_roots ? c->n_roots : 1); i++) {
        size_t n = strlen(roots[i]);
        if (strncmp(path, roots[i], n) != 0)
            continue;
        const char *name = path + n + strspn(path + n, "/");
        if ((name > path + n || (n > 0 && path[n - 1] == '/')) && restore_aside_stamp(name))
            return name;
    }
    return NULL;
}

static void on_change(void *ctx, const struct msg_diff *d)
{
    struct changes *c = ctx;
    char change[2] = { d->change, '\0' };
    char *path = look_path(d->path, d->path_len);
    json_t *list = json_object_get(c->facts, "changed");
    const char *aside = d->change == 'A' && path && !c->all ? was_set_aside(c, path) : NULL;
    if (aside) {
        c->passed += strchr(aside, '/') == NULL;
        free(path);
        return;
    }
    c->n++;
    diff_print(c->app, d->change, d->what, d->path, d->path_len);
    if (!list && c->facts) {
        list = json_array();
        json_object_set_new(c->facts, "changed", list);
    }
    if (list && path && json_array_size(list) < MAX_FACTS)
        json_array_append_new(list, json_pack("{s:s, s:s, s:i}", "change", change, "path", path,
                                              "what", (int)d->what));
    free(path);
}

int files_changed(struct app *app, const struct restore_job *like, const struct policy *conf,
                  const char *target, char *const *paths, size_t n_paths, bool all, uint64_t *ret,
                  struct err *e)
{
    struct changes c = {
        .app = app, .facts = like->facts, .roots = paths, .n_roots = n_paths, .all = all
    };
    struct restore_job j = { .v = like->v,
                             .snap = like->snap,
                             .agent = like->agent,
                             .from = like->from,
                             .notes = like->notes,
                             .facts = like->facts,
                             .diff = on_change,
                             .ctx = &c };
    j.msg.mode = RESTORE_COMPARE;
    j.msg.target = (char *)(uintptr_t)target;
    j.msg.paths = (char **)(uintptr_t)paths;
    j.msg.n_paths = n_paths;
    j.msg.exclude = conf ? conf->exclude : NULL;
    j.msg.n_exclude = conf ? conf->n_exclude : 0;
    int rc = restore_job_run(app, &j, e);
    *ret = c.n;
    if (c.passed > 0)
        ui_line(&app->ui,
                P_("  passed over: %llu folder that bears the name of what a restore sets aside",
                   "  passed over: %llu folders that bear the names of what a restore sets aside",
                   c.passed),
                (unsigned long long)c.passed);
    if (rc == 0 && j.done.failed > 0) { /* what cannot be compared may differ */
        *ret += j.done.failed;
        err_clear(e);
    }
    return rc < 0 ? err_wrap(e, _("the comparison with what is there")) : 0;
}

/* --- putting back ------------------------------------------------------------------------------------------- */
static struct restore_job job_of(const struct restore_job *like, const struct policy *conf,
                                 const struct restore_request *q)
{
    struct restore_job j = { .v = like->v,
                             .snap = like->snap,
                             .agent = like->agent,
                             .from = like->from,
                             .notes = like->notes,
                             .facts = like->facts };
    j.msg.overwrite = true;
    j.msg.delta = q->delta;
    j.msg.set_aside = q->set_aside;
    j.msg.exclude = conf && (q->delta || q->set_aside) ? conf->exclude : NULL;
    j.msg.n_exclude = j.msg.exclude ? conf->n_exclude : 0;
    return j;
}

struct one_root { /* a root, and what of it is wanted */
    const struct place_root *root;
    char *folder; /* owned: where its job goes */
    char **paths; /* borrowed */
    size_t n_paths;
};

static int one_root(const struct place_root *root, const struct restore_request *q,
                    struct one_root *ret, struct err *e)
{
    const char *end = strrchr(root->path, '/');
    int n = root->folder        ? (int)strlen(root->path)
            : end == root->path ? 1
                                : (int)(end - root->path);
    *ret = (struct one_root){ .root = root };
    ret->paths = calloc(q->n_paths + 1, sizeof *ret->paths);
    if (!ret->paths || asprintf(&ret->folder, "%.*s", n, root->path) < 0) {
        free(ret->paths);
        ret->folder = NULL;
        return no_memory(e);
    }
    for (size_t i = 0; i < q->n_paths; i++)
        if (lies_in(q->paths[i], root->path))
            ret->paths[ret->n_paths++] = q->paths[i];
        else if (lies_in(root->path, q->paths[i])) {
            ret->n_paths = 0;
            break;
        }
    if (ret->n_paths == 0)
        ret->paths[ret->n_paths++] = root->path;
    return 0;
}

static void one_root_done(struct one_root *o)
{
    free(o->folder);
    free(o->paths);
}

static void take_place(struct restore_job *j, const struct one_root *o)
{
    j->msg.target = o->folder;
    j->msg.strip = strcmp(o->folder, "/") == 0 ? NULL : o->folder;
    j->msg.paths = o->paths;
    j->msg.n_paths = o->n_paths;
}

/* The policy's program looks at what will be put back before it is: in a folder beside. */
static int scan_first(struct app *app, const struct restore_job *like, const struct policy *conf,
                      const struct restore_request *q, const struct one_root *o, struct err *e)
{
    char id[SHORT_ID_DIGITS + 1], *beside = NULL;
    struct restore_job j = job_of(like, NULL, q);
    struct host_job h = { .policy = conf, .agent = like->agent };
    if (q->n_scan == 0)
        return 0;
    if (asprintf(&beside, "%s/" IN_PLACE_FOLDER "%s", strcmp(o->folder, "/") == 0 ? "" : o->folder,
                 short_id(&like->snap->ref.id, id)) < 0)
        return no_memory(e);
    take_place(&j, o);
    j.msg.target = beside;
    j.msg.delta = j.msg.set_aside = false;
    j.msg.scan = (char **)(uintptr_t)q->scan;
    j.msg.n_scan = q->n_scan;
    j.msg.scan_limit_s = q->scan_limit_s;
    int rc = restore_job_run(app, &j, e);
    if (rc == 0 && j.done.failed > 0)
        rc = err_set(e, ERR_DAMAGED,
                     _("not all of it could be looked at; each file is named above"));
    if (rc == 0)
        rc = host_clear_folder(app, &h, o->folder, e);
    free(beside);
    return rc;
}

static void say_aside(struct app *app, struct restore_job *j, const struct one_root *o)
{
    char text[300];
    if (j->done.set_aside) {
        snprintf(text, sizeof text,
                 P_("%llu thing that was in the way is set aside in .twofold-aside-… there",
                    "%llu things that were in the way are set aside in .twofold-aside-… there",
                    j->done.set_aside),
                 (unsigned long long)j->done.set_aside);
        restore_job_note(app, j, false, o->folder, strlen(o->folder), text, strlen(text));
    }
    if (j->done.extra_aside) {
        snprintf(
            text, sizeof text,
            P_("%llu thing that the backup does not have is set aside in .twofold-extra-… there",
               "%llu things that the backup does not have are set aside in .twofold-extra-… there",
               j->done.extra_aside),
            (unsigned long long)j->done.extra_aside);
        restore_job_note(app, j, false, o->folder, strlen(o->folder), text, strlen(text));
    }
}

static int put_back(struct app *app, const struct restore_job *like, const struct policy *conf,
                    const struct restore_request *q, const struct one_root *o,
                    struct restore_job *sum, struct err *e)
{
    uint64_t n = 1;
    struct restore_job j = job_of(like, conf, q);
    ui_line(&app->ui, _("in place: %s"), o->root->path);
    int rc = q->changed_only
                 ? files_changed(app, like, conf, "/", o->paths, o->n_paths, q->set_aside, &n, e)
                 : 0;
    if (rc == 0 && n == 0)
        ui_line(&app->ui, _("  nothing differs there"));
    if (rc < 0 || n == 0)
        return rc;
    rc = scan_first(app, like, conf, q, o, e);
    take_place(&j, o);
    if (rc == 0)
        rc = restore_job_run(app, &j, e);
    if (rc == 0)
        say_aside(app, &j, o);
    if (rc == 0)
        restore_job_add(sum, &j);
    return rc;
}

int files_in_place(struct app *app, const struct restore_job *like, const struct policy *conf,
                   const struct restore_request *q, const struct place_parts *p,
                   struct restore_job *sum, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->n_roots; i++) {
        struct one_root o;
        rc = one_root(&p->roots[i], q, &o, e);
        if (rc < 0)
            return rc;
        rc = put_back(app, like, conf, q, &o, sum, e);
        one_root_done(&o);
        if (rc < 0)
            err_wrap(e, "%s", p->roots[i].path);
    }
    return rc;
}
