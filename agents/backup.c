/* backup.c - the order of a run; see agents/backup.h. */
#include "agents/backup.h"
#include "agents/capture.h"
#include "agents/estimate.h"
#include "agents/hooks.h"
#include "agents/reach.h"
#include "agents/scan_roots.h"
#include "agents/sources.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_HOST_BYTES 255
#define LOCK_WAIT_MS 12000
#define LOCK_LOOK_MS 200

struct job {
    struct wire *w;
    const struct msg_backup *m;
    const struct agent_env *env;
    int state_fd, lock_fd; /* the state folder; the lock on this source's state */
    struct scan_stat state_st;
    struct state_key key;
    struct state_reader *state; /* of the base; NULL: everything is read */
    struct state_writer *next;
    struct exclude *exclude;
    char **roots; /* of the message, cleaned and sorted */
    size_t n_roots;
    struct pipeline *pipeline;
    struct feed *feed;
    struct inventory *inventory;
    struct problems *problems;
    struct linktable *links;
    struct capture *capture;
    struct spool *reach;
    struct estimate *estimate;
    struct sources *sources; /* NULL: there are none */
    struct hooks_run *hooks; /* likewise */
    int64_t started_ns, ended_ns;
};

/* --- progress ----------------------------------------------------------------------------------- */
static void say(struct job *j, uint8_t phase, const char *path, size_t len)
{
    const struct capture_counts *n = capture_counts(j->capture);
    char absolute[1024] = "/";
    size_t fits = len < sizeof absolute - 1 ? len : sizeof absolute - 1;
    if (fits > 0)
        memcpy(absolute + 1, path, fits);
    struct msg_progress p = {
        .phase = phase,
        .files = n->files,
        .bytes = n->bytes,
        .bytes_read = feed_bytes_read(j->feed),
        .problems = problems_count(j->problems),
        .path = absolute,
        .path_len = phase == 0 ? fits + 1 : 0,
    };
    estimate_totals(j->estimate, &p.total_files, &p.total_bytes);
    if (j->state) {
        p.total_files = state_summary(j->state)->files;
        p.total_bytes = state_summary(j->state)->bytes;
    }
    beat_progress(j->env->beat, &p);
}

/* --- the walk's callbacks ------------------------------------------------------------------------ */
static int check(struct job *j, struct err *e)
{
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
    return pipeline_check(j->pipeline, e);
}

static int on_entry(void *ctx, const struct scan_item *it, struct err *e)
{
    struct job *j = ctx;
    if (beat_wants(j->env->beat))
        say(j, 0, it->path, it->path_len);
    int rc = check(j, e);
    return rc < 0 ? rc : capture_entry(j->capture, it, e);
}

/* An entry of the trees of files: sources whose names come before it are captured first. */
static int on_file_entry(void *ctx, const struct scan_item *it, struct err *e)
{
    struct job *j = ctx;
    int rc = j->sources ? sources_before(j->sources, it->path, it->path_len, e) : 0;
    return rc < 0 ? rc : on_entry(ctx, it, e);
}

static int on_note(void *ctx, bool problem, const char *path, size_t len, const char *text,
                   struct err *e)
{
    struct job *j = ctx;
    return problems_add(j->problems, problem, path, len, text, e);
}

/* A driver is at work before anything is read. */
static int on_tick(void *ctx, const char *path, size_t len, uint64_t bytes, struct err *e)
{
    struct job *j = ctx;
    if (beat_wants(j->env->beat)) {
        struct msg_progress p = { .bytes_read = feed_bytes_read(j->feed) + bytes,
                                  .problems = problems_count(j->problems),
                                  .path = path,
                                  .path_len = len };
        beat_progress(j->env->beat, &p);
    }
    return check(j, e);
}

static int on_chunk(void *ctx, struct err *e)
{
    struct job *j = ctx;
    if (j->env->hook)
        j->env->hook(j->env->ctx, NULL);
    int rc = check(j, e);
    return rc < 0 ? rc : inventory_advance(j->inventory, e);
}

/* --- preparations -------------------------------------------------------------------------------- */
/* An agent whose orchestrator lost its power may not know yet that it is alone: a moment later it does. */
static int lock_patiently(const char *path, struct err *e)
{
    uint64_t until_ms = sys_monotonic_ms() + LOCK_WAIT_MS;
    int fd = sys_lock_file(path, e);
    while (fd == -ERR_BUSY && sys_monotonic_ms() < until_ms && !sys_interrupted()) {
        poll(NULL, 0, LOCK_LOOK_MS);
        err_clear(e);
        fd = sys_lock_file(path, e);
    }
    return fd;
}

static int open_state_dir(struct job *j, struct err *e)
{
    const char *dir = j->env->state_dir;
    char name[STATE_NAME_BYTES], *lock = NULL;
    if (sys_mkdir_p(dir, 0700, e) < 0)
        return err_wrap(e, _("the agent's state folder"));
    j->state_fd = sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, e);
    if (j->state_fd < 0)
        return err_wrap(e, _("the agent's state folder"));
    if (scan_stat_fd(j->state_fd, &j->state_st) < 0)
        return err_sys(e, _("the agent's state folder \"%s\""), dir);
    state_name(&j->key, name);
    if (asprintf(&lock, "%s/%s.lock", dir, name) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    j->lock_fd = lock_patiently(lock, e);
    free(lock);
    if (j->lock_fd == -ERR_BUSY)
        err_set(e, ERR_BUSY, _("another backup of \"%s\" is running on this host"), j->m->source);
    return j->lock_fd < 0 ? err_wrap(e, _("the agent's state folder")) : 0;
}

static bool is_live(const struct msg_backup *m, const struct id *id)
{
    for (size_t i = 0; i < m->n_live; i++)
        if (id_eq(&m->live[i], id))
            return true;
    return false;
}

/* Whatever is wrong with the state, the run goes on and reads everything. */
static int open_base(struct job *j, struct err *e)
{
    struct err se = ERR_INIT;
    if (j->m->force_full)
        return 0;
    if (state_open(j->state_fd, &j->key, &j->state, &se) < 0) {
        char text[2 * ERR_TEXT_BYTES];
        snprintf(text, sizeof text,
                 _("what the agent remembered of the last run is not usable, so "
                   "everything is read: %s: %s"),
                 se.what, se.why);
        return problems_add(j->problems, false, "", 0, text, e);
    }
    if (j->state && !is_live(j->m, &state_summary(j->state)->snapshot)) {
        state_close(j->state);
        j->state = NULL;
    }
    return 0;
}

static void create_next_state(struct job *j, struct err *ret_why)
{
    if (state_create(j->state_fd, &j->key, &j->next, ret_why) < 0)
        j->next = NULL;
}

static int start_pipeline(struct job *j, struct err *e)
{
    static const char info[] = "twofold v1 cdc";
    uint8_t cdc_key[KEY_BYTES];
    struct pipeline_opts po = { .w = j->w,
                                .vault_id = j->m->vault_id,
                                .recovery_pk = j->m->recovery_pk,
                                .dedup_key = j->m->dedup_key,
                                .level = (int)j->m->compression };
    if (pipeline_new(&po, &j->pipeline, e) < 0)
        return -e->code;
    hkdf(NULL, 0, j->m->dedup_key, KEY_BYTES, info, sizeof info - 1, cdc_key, sizeof cdc_key);
    struct feed_opts fo = {
        .p = j->pipeline, .cdc_key = cdc_key, .dir_fd = j->state_fd, .on_chunk = on_chunk, .ctx = j
    };
    int rc = feed_new(&fo, &j->feed, e);
    secret_wipe(cdc_key, sizeof cdc_key);
    return rc;
}

static int make_parts(struct job *j, struct err *e)
{
    struct inventory_opts io = { .p = j->pipeline, .reach = j->reach, .state = j->next };
    if (inventory_new(&io, &j->inventory, e) < 0)
        return -e->code;
    inventory_set_feed(j->inventory, j->feed);
    struct capture_opts co = { .inventory = j->inventory,
                               .feed = j->feed,
                               .problems = j->problems,
                               .links = j->links,
                               .state = j->state,
                               .next = j->next,
                               .delta = j->m->delta,
                               .racy_ns = j->env->racy_ns,
                               .hook = j->env->hook,
                               .ctx = j->env->ctx };
    return capture_new(&co, &j->capture, e);
}

/* The snapshot's: paths, and the virtual roots of sources. Borrowed, but for the array. */
static char **body_roots(const struct job *j, size_t *ret_n)
{
    char **v = calloc(j->n_roots + j->m->n_sources + 1, sizeof *v);
    *ret_n = v ? j->n_roots + j->m->n_sources : 0;
    for (size_t i = 0; v && i < *ret_n; i++)
        v[i] = i < j->n_roots ? j->roots[i] : j->m->sources[i - j->n_roots].kind;
    return v;
}

static int clean_roots(struct job *j, struct err *e)
{
    struct roots r;
    if (roots_init(&r, j->m->roots, j->m->n_roots, e) < 0)
        return -e->code;
    j->roots = roots_absolute(&r);
    j->n_roots = r.n;
    roots_done(&r);
    return j->roots ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
}

static int prepare(struct job *j, struct err *ret_state_err, struct err *e)
{
    if (clean_roots(j, e) < 0 || open_state_dir(j, e) < 0)
        return -e->code;
    j->problems = problems_new(j->w);
    j->links = linktable_new(j->state_fd);
    j->reach = spool_new(j->state_fd);
    if (!j->problems || !j->links || !j->reach)
        return err_set(e, ERR_NOMEM, _("no memory"));
    if (exclude_new(j->m->exclude, j->m->n_exclude, &j->exclude, e) < 0 || open_base(j, e) < 0)
        return -e->code;
    create_next_state(j, ret_state_err);
    if (start_pipeline(j, e) < 0)
        return -e->code;
    return make_parts(j, e);
}

static int hooks_tick(void *ctx, struct err *e)
{
    return check(ctx, e);
}

static int hooks_note(void *ctx, bool problem, const char *text, struct err *e)
{
    struct job *j = ctx;
    return problems_add(j->problems, problem, "", 0, text, e);
}

/* Before a database is put into backup mode or a file is looked at. */
static int begin_hooks(struct job *j, struct err *e)
{
    char name[STATE_NAME_BYTES];
    struct hooks_opts o = { .state_dir = j->env->state_dir,
                            .name = name,
                            .policy = j->m->policy,
                            .source = j->m->source,
                            .hooks = &j->m->hooks,
                            .rules = j->env->rules,
                            .tick = hooks_tick,
                            .note = hooks_note,
                            .ctx = j };
    state_name(&j->key, name);
    return hooks_begin(&o, &j->hooks, e);
}

/* Everything is read, or the run has failed: nothing of it must keep a program waiting any longer. The commit does not. */
static int end_hooks(struct job *j, int rc, struct err *e)
{
    char text[2 * ERR_TEXT_BYTES + 128];
    struct err why = ERR_INIT;
    if (!j->hooks)
        return rc;
    estimate_stop(j->estimate); /* "after" may want to unmount what it walks through */
    j->estimate = NULL;
    sources_free(j->sources);
    j->sources = NULL;
    int after = hooks_end(j->hooks, rc == 0, &why);
    j->hooks = NULL;
    if (after == 0)
        return rc;
    snprintf(
        text, sizeof text,
        _("the command \"after\" failed; what \"before\" stopped may still stand still: %s%s%s"),
        why.what, why.what[0] ? ": " : "", why.why);
    after = problems_add(j->problems, true, "", 0, text, rc < 0 ? NULL : e);
    return rc < 0 ? rc : after;
}

static int begin_sources(struct job *j, struct err *e)
{
    if (j->m->n_sources == 0)
        return 0;
    struct sources_opts o = { .specs = j->m->sources,
                              .n_specs = j->m->n_sources,
                              .roots = j->roots,
                              .n_roots = j->n_roots,
                              .state_dir = j->env->state_dir,
                              .state_fd = j->state_fd,
                              .capture = j->capture,
                              .on_entry = on_entry,
                              .on_note = on_note,
                              .on_tick = on_tick,
                              .ctx = j };
    return sources_begin(&o, &j->sources, e);
}

/* --- the run ------------------------------------------------------------------------------------- */
static int walk(struct job *j, struct err *e)
{
    struct scan_opts o = { .roots = j->roots,
                           .n_roots = j->n_roots,
                           .exclude = j->exclude,
                           .one_file_system = j->m->one_file_system,
                           .skip_cache_dirs = j->m->skip_cache_dirs,
                           .skip_dev = j->state_st.dev,
                           .skip_ino = j->state_st.ino,
                           .on_entry = on_file_entry,
                           .on_note = on_note,
                           .ctx = j };
    if (j->m->want_estimate && !j->state && !j->sources)
        j->estimate = estimate_start(&o);
    int rc = j->n_roots > 0 ? scan_run(&o, e) : 0;
    return rc == 0 && j->sources ? sources_before(j->sources, NULL, 0, e) : rc;
}

static int seal_body(struct job *j, const struct snapshot_body *b, struct wbuf *out, struct err *e)
{
    struct wbuf plain = WBUF_INIT, binding = WBUF_INIT;
    char host[MAX_HOST_BYTES + 1] = ""; /* what the HELLO said */
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    wb_str(&binding, j->m->policy);
    wb_str(&binding, j->m->source);
    wb_str(&binding, host);
    snapshot_body_write(&plain, b);
    int rc = plain.failed || binding.failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
    if (rc == 0)
        rc = body_seal(pipeline_box(j->pipeline), 0, &binding, plain.p, plain.len, out, e);
    if (rc == 0 && out->len > MAX_BODY_BYTES)
        rc = err_set(e, ERR_LIMIT, _("the source has too many entries for one snapshot"));
    wbuf_free(&plain);
    wbuf_free(&binding);
    return rc;
}

static int send_snapshot(struct job *j, const struct snapshot_body *b, struct err *e)
{
    const struct capture_counts *n = capture_counts(j->capture);
    struct wbuf body = WBUF_INIT, head = WBUF_INIT;
    int rc = seal_body(j, b, &body, e);
    j->ended_ns = sys_realtime_ns();
    if (rc == 0) {
        struct msg_snapshot s = { .started_ns = j->started_ns,
                                  .ended_ns = j->ended_ns,
                                  .files = n->files,
                                  .dirs = n->dirs,
                                  .others = n->others,
                                  .bytes = n->bytes,
                                  .bytes_read = feed_bytes_read(j->feed),
                                  .problems = problems_count(j->problems),
                                  .counter = 0,
                                  .body = body.p,
                                  .body_len = body.len };
        if (j->state)
            s.base = state_summary(j->state)->snapshot;
        msg_snapshot_write(&head, &s);
        rc = wire_send(j->w, FRAME_SNAPSHOT, &head, NULL, 0, e);
    }
    wbuf_free(&body);
    wbuf_free(&head);
    return rc;
}

/* The new state is made durable while the orchestrator commits. Its failure is no failure of the run. */
static int commit(struct job *j, const struct err *state_err, struct err *e)
{
    struct err se = *state_err;
    struct state_summary sum = { .started_ns = j->started_ns,
                                 .ended_ns = j->ended_ns,
                                 .files = capture_counts(j->capture)->files,
                                 .bytes = capture_counts(j->capture)->bytes };
    if (se.code == ERR_NONE)
        inventory_state_error(j->inventory, &se);
    if (se.code == ERR_NONE)
        state_sync(j->next, &se);
    if (pipeline_committed(j->pipeline, &sum.snapshot, e) < 0)
        return -e->code;
    if (se.code == ERR_NONE)
        state_commit(j->next, &sum, &se);
    if (se.code != ERR_NONE) {
        char text[2 * ERR_TEXT_BYTES];
        snprintf(text, sizeof text, _("the next run will read everything: %s: %s"), se.what,
                 se.why);
        problems_add(j->problems, false, "", 0, text, NULL);
    }
    return 0;
}

/* What is stored is complete: the index of its leaves, what it reaches, and the snapshot itself. */
static int finish_body(struct job *j, struct snapshot_body *b, struct err *e)
{
    const struct body_index *index;
    if (feed_cut(j->feed, e) < 0 ||
        inventory_finish(j->inventory, &index, &b->n_index, &b->entries, e) < 0 ||
        pipeline_finish(j->pipeline, e) < 0)
        return -e->code;
    b->index = (struct body_index *)(uintptr_t)index; /* only read there */
    problems_kept(j->problems, b);
    return reach_send(j->reach, j->w, e) < 0 ? -(int)e->code : send_snapshot(j, b, e);
}

static int finish(struct job *j, const struct err *state_err, struct err *e)
{
    struct snapshot_body b = { 0 };
    say(j, 1, NULL, 0);
    if (!(b.roots = body_roots(j, &b.n_roots)))
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = finish_body(j, &b, e);
    free(b.roots);
    return rc < 0 ? rc : commit(j, state_err, e);
}

static void done(struct job *j)
{
    estimate_stop(j->estimate);
    sources_free(j->sources);
    capture_free(j->capture);
    if (j->feed)
        feed_free(j->feed);
    inventory_free(j->inventory);
    pipeline_free(j->pipeline);
    problems_free(j->problems);
    linktable_free(j->links);
    spool_free(j->reach);
    exclude_free(j->exclude);
    roots_absolute_free(j->roots, j->n_roots);
    state_close(j->state);
    state_abort(j->next);
    sys_close_quiet(j->lock_fd);
    sys_close_quiet(j->state_fd);
}

int agent_backup(struct wire *w, const struct msg_backup *m, const struct agent_env *env,
                 struct err *e)
{
    struct err own = ERR_INIT, state_err = ERR_INIT;
    e = e ? e : &own;
    struct job j = { .w = w, .m = m, .env = env, .state_fd = -1, .lock_fd = -1 };
    j.key = (struct state_key){ .vault_id = &m->vault_id,
                                .policy = m->policy,
                                .source = m->source };
    j.started_ns = sys_realtime_ns();
    int rc = prepare(&j, &state_err, e);
    if (rc == 0)
        rc = begin_hooks(&j, e);
    if (rc == 0)
        rc = begin_sources(&j, e);
    if (rc == 0)
        rc = walk(&j, e);
    rc = end_hooks(&j, rc, e);
    if (rc == 0)
        rc = finish(&j, &state_err, e);
    /* What failed first is what to tell; the rest only followed from it. */
    if (rc < 0 && j.pipeline && pipeline_check(j.pipeline, NULL) < 0)
        pipeline_check(j.pipeline, e);
    done(&j);
    return rc < 0 ? -(int)e->code : 0;
}
