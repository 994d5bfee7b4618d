/*
 * backup_job.c - the orchestrator's side of a backup: answers the agent's questions, packs what it sends, and commits
 * what it reports; see backup_job.h and docs/protocol.md.
 */
#include "orchestrator/backup_job.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/wire/wire.h"
#include "orchestrator/checks.h"
#include "orchestrator/have.h"
#include "orchestrator/idlist.h"
#include "orchestrator/packer.h"
#include "orchestrator/pause.h"
#include "orchestrator/session.h"
#include "orchestrator/stall.h"
#include <stdio.h>
#include <stdlib.h>

#define MAX_NOTES 100000           /* that are shown */
#define CLOCK_SLACK_NS 60000000000 /* a minute */

struct backup {
    struct app *app;
    struct vault *v;
    struct backup_job *job;
    struct session *session;
    struct fanout *fanout;
    struct packer *packer;
    char source[MAX_FORMAT_NAME + 1];
    struct data_key key;
    bool have_key, done;
    struct have *have;
    struct idlist *reach;
    struct ui_progress progress;
    struct stall stall;
    uint64_t notes;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int malformed(struct err *e)
{
    return err_set(e, ERR_PROTOCOL, _("the agent sent a malformed message"));
}

/* --- progress --------------------------------------------------------------------------------------------------------- */
static void show(struct backup *b)
{
    struct ui_progress *p = &b->progress;
    for (size_t i = 0; i < b->v->n_copies; i++) {
        const struct copy *c = &b->v->copies[i];
        p->copies[i] = (struct ui_copy_line){ .place = c->place,
                                              .bytes = fanout_bytes(b->fanout, i),
                                              .state = fanout_alive(b->fanout, i)   ? N_("writing")
                                                       : fanout_error(b->fanout, i) ? N_("failed")
                                                                                    : N_("away") };
    }
    p->n_copies = b->v->n_copies;
    ui_progress(&b->app->ui, p);
}

static int on_progress(struct backup *b, struct rbuf *r, struct err *e)
{
    struct msg_progress m;
    int rc = msg_progress_read(r, &m, e);
    if (rc < 0)
        return rc;
    struct ui_progress *p = &b->progress;
    p->phase = m.phase == 0 ? N_("backing up") : N_("finishing");
    p->files = m.files;
    p->bytes = m.bytes;
    p->total_files = m.total_files;
    p->total_bytes = m.total_bytes;
    p->problems = m.problems;
    have_justified(b->have, m.files, m.bytes);
    stall_frame(&b->stall, FRAME_PROGRESS, &m);
    p->path = m.path;
    p->path_len = m.path_len;
    show(b);
    p->path = NULL;
    p->path_len = 0;
    return 0;
}

static int on_note(struct backup *b, struct rbuf *r, struct err *e)
{
    struct msg_note m;
    int rc = msg_note_read(r, &m, e);
    if (rc == 0 && b->notes++ < MAX_NOTES)
        ui_note(&b->app->ui, m.problem, m.path, m.path_len, m.text, m.text_len);
    if (rc == 0 && b->notes == MAX_NOTES)
        ui_warn(&b->app->ui, _("the agent has too much to say; no more of it is shown"));
    return rc;
}

/* --- chunks --------------------------------------------------------------------------------------------------------------- */
static int on_have(struct backup *b, struct rbuf *r, struct err *e)
{
    struct wbuf w = WBUF_INIT;
    int rc = have_answer(b->have, r, &w, e);
    if (rc == 0)
        rc = wire_send(session_wire(b->session), FRAME_HAD, &w, NULL, 0, e);
    wbuf_free(&w);
    return rc;
}

/* A key id or a chunk id that is taken is never taken again: an agent must not answer for another's data. */
static int on_data_key(struct backup *b, struct rbuf *r, struct err *e)
{
    size_t n = 0;
    rb_id(r, &b->key.id);
    const uint8_t *blob = rb_blob(r, DATA_KEY_BLOB_BYTES, &n);
    if (!rb_done(r) || n != DATA_KEY_BLOB_BYTES || b->have_key)
        return malformed(e);
    for (size_t i = 0; i < b->v->data_keys->n; i++)
        if (id_eq(&b->v->data_keys->keys[i].id, &b->key.id))
            return err_set(e, ERR_PROTOCOL, _("the agent sent a data key that is not new"));
    memcpy(b->key.blob, blob, n);
    b->have_key = true;
    return publish_key(b->v, b->fanout, &b->key, e);
}

static int on_put(struct backup *b, struct rbuf *r, struct err *e)
{
    struct chunk_ref ref = { .key_id = b->key.id };
    rb_id(r, &ref.id);
    ref.counter = rb_varint(r);
    size_t n = rb_left(r);
    const uint8_t *sealed = rb_bytes(r, n);
    if (!sealed || r->bad || n <= AEAD_TAG_BYTES || n > MAX_SEALED_BYTES || !b->have_key)
        return malformed(e);
    int rc = have_take(b->have, &ref.id, e);
    if (rc <= 0)
        return rc;
    return packer_add(b->packer, &ref, sealed, n, e);
}

/* --- the end ------------------------------------------------------------------------------------------------------------------- */
static int make_snapshot(struct backup *b, const struct msg_snapshot *m, struct snapshot *s)
{
    *s = (struct snapshot){
        .state = m->problems ? SNAPSHOT_PARTIAL : SNAPSHOT_WHOLE,
        .flags = b->job->quarantine ? SNAPSHOT_QUARANTINE : 0,
        .policy = (char *)b->job->policy->name,
        .source = b->source,
        .host = (char *)session_host(b->session),
        .kind = (char *)policy_kind(b->job->policy),
        .base = m->base,
        .started_ns = m->started_ns,
        .ended_ns = m->ended_ns,
        .received_ns = sys_realtime_ns(),
        .files = m->files,
        .dirs = m->dirs,
        .others = m->others,
        .bytes = m->bytes,
        .bytes_read = m->bytes_read,
        .bytes_stored = packer_bytes(b->packer),
        .problems = m->problems,
        .key_id = b->key.id,
        .counter = m->counter,
        .body = (uint8_t *)m->body,
        .body_len = m->body_len,
    };
    return 0;
}

static void keep_results(struct backup *b, const struct snapshot *s)
{
    struct backup_job *j = b->job;
    j->state = s->state;
    j->files = s->files;
    j->dirs = s->dirs;
    j->others = s->others;
    j->bytes = s->bytes;
    j->bytes_read = s->bytes_read;
    j->bytes_stored = s->bytes_stored;
    j->problems = s->problems;
}

static void on_transferred(void *ctx, uint64_t bytes)
{
    struct backup *b = ctx;
    (void)bytes;
    b->progress.phase = N_("catching up");
    show(b);
}

/* What others committed since this run began is the ground for what it commits. */
static int commit_locked(struct backup *b, struct snapshot *s, const struct id *ids, size_t n,
                         struct err *e)
{
    int rc = publish_check(b->v, b->job->take_over, e);
    if (rc == 0)
        rc = publish_index(b->v, b->fanout, e);
    if (rc == 0)
        rc = publish_snapshot(b->v, b->fanout, b->source, s, ids, n, &b->job->snapshot, e);
    if (rc == 0)
        rc = publish_head(b->v, b->fanout, true, on_transferred, b, &b->job->published, e);
    return rc;
}

static bool any_current(const struct vault *v)
{
    bool current = v->n_tips == 0;
    for (size_t i = 0; i < v->n_copies; i++)
        current |= v->copies[i].state == COPY_CURRENT;
    return current;
}

static int commit(struct backup *b, struct snapshot *s, struct err *e)
{
    struct published *p = &b->job->published, before = { 0 };
    const struct id *ids = NULL;
    size_t n = 0;
    struct err why = ERR_INIT;
    b->progress.phase = N_("committing");
    show(b);
    int rc = idlist_finish(b->reach, &ids, &n, e);
    /* Where every copy has something to catch up on, that is not done while others wait for the lock. */
    if (rc == 0 && !any_current(b->v))
        publish_replicate(b->v, b->fanout, b->job->take_over, on_transferred, b, &before, NULL);
    if (rc == 0)
        rc = vault_lock(b->v, e);
    if (rc < 0)
        return rc;
    rc = commit_locked(b, s, ids, n, e);
    vault_unlock(b->v);
    if (rc < 0)
        return rc;
    /* It is committed; what cannot be caught up now is said, and done later. */
    for (size_t i = 0; i < b->v->n_copies; i++) {
        p->caught_up[i].objects += before.caught_up[i].objects;
        p->caught_up[i].bytes += before.caught_up[i].bytes;
        p->caught_up[i].damaged += before.caught_up[i].damaged;
    }
    if (publish_replicate(b->v, b->fanout, b->job->take_over, on_transferred, b, p, &why) < 0)
        for (size_t i = 0; i < b->v->n_copies; i++)
            if (!p->current[i] && !p->problem[i].code)
                p->problem[i] = why;
    if (p->n_current < b->job->conf->min_copies)
        rc = err_set(e, ERR_FAILED, _("the backup is in %zu of at least %u copies"), p->n_current,
                     b->job->conf->min_copies);
    return rc;
}

/* A base is one of those that the agent was told of, or none. */
static bool is_live(const struct backup *b, const struct id *base)
{
    const struct source_list *l = vault_list(b->v, b->source);
    bool live = id_is_zero(base);
    for (size_t i = 0; l && !live && i < l->n; i++)
        live = id_eq(&l->snaps[i].ref.id, base);
    return live;
}

static int on_snapshot(struct backup *b, struct rbuf *r, struct err *e)
{
    struct msg_snapshot m;
    struct snapshot s;
    struct wbuf w = WBUF_INIT;
    int rc = msg_snapshot_read(r, &m, e);
    if (rc == 0 && (!b->have_key || !is_live(b, &m.base)))
        rc = malformed(e);
    if (rc == 0)
        rc = packer_finish(b->packer, e);
    if (rc == 0)
        rc = fanout_flush(b->fanout, e);
    if (rc < 0)
        return rc;
    make_snapshot(b, &m, &s);
    if (!b->job->as_it_is && !b->job->quarantine)
        rc = checks_doubt(b->v, b->job->policy, &s, b->job->doubt, e);
    s.flags |= rc > 0 ? SNAPSHOT_QUARANTINE : 0;
    if (rc >= 0)
        rc = commit(b, &s, e);
    if (rc < 0)
        return rc;
    keep_results(b, &s);
    b->done = true;
    if (s.received_ns > sys_realtime_ns() + CLOCK_SLACK_NS)
        ui_warn(
            &b->app->ui,
            _("this machine's clock is behind the last backup's; set it right: --at goes by it"));
    wb_id(&w, &b->job->snapshot);
    /* The backup is safe now, whatever becomes of the agent: without its answer it reads everything next time. */
    wire_send(session_wire(b->session), FRAME_COMMITTED, &w, NULL, 0, NULL);
    wbuf_free(&w);
    return 0;
}

static int handle(struct backup *b, enum frame_type type, struct rbuf *r, struct err *e)
{
    switch (type) {
    case FRAME_HAVE:
        return on_have(b, r, e);
    case FRAME_PUT:
        return on_put(b, r, e);
    case FRAME_DATAKEY:
        return on_data_key(b, r, e);
    case FRAME_NOTE:
        return on_note(b, r, e);
    case FRAME_PROGRESS:
        return on_progress(b, r, e);
    case FRAME_REACH:
        return have_reach(b->have, r, b->reach, e);
    case FRAME_SNAPSHOT:
        return on_snapshot(b, r, e);
    default:
        return err_set(e, ERR_PROTOCOL,
                       _("the agent sent a message that does not belong to a backup"));
    }
}

static int converse(struct backup *b, struct err *e)
{
    int rc = 0;
    stall_begin(&b->stall, session_wire(b->session));
    while (rc == 0 && !b->done) {
        enum frame_type type = FRAME_PING;
        struct rbuf r;
        if ((rc = pause_here(b->app, e)) > 0)
            stall_begin(&b->stall, session_wire(b->session)); /* it was told to wait */
        if (rc < 0)
            break;
        rc = wire_recv(session_wire(b->session), &type, &r, 0, e);
        if (rc == 0)
            rc = handle(b, type, &r, e);
        if (type != FRAME_PROGRESS) /* on_progress has said what that one is worth */
            stall_frame(&b->stall, type, NULL);
    }
    if (rc < 0)
        rc = session_failed(b->session, rc, e);
    return rc;
}

/* --- the beginning ------------------------------------------------------------------------------------------------------------- */
static int send_job(struct backup *b, struct err *e)
{
    const struct policy *p = b->job->policy;
    struct msg_backup m = { .vault_id = b->v->keys.vault_id,
                            .policy = p->name,
                            .source = b->source,
                            .compression = b->job->conf->compression,
                            .one_file_system = p->one_file_system,
                            .skip_cache_dirs = p->skip_cache_dirs,
                            .delta = p->delta,
                            .want_estimate = b->app->ui.tty,
                            .force_full = b->job->full,
                            .roots = p->paths,
                            .n_roots = p->n_paths,
                            .exclude = p->exclude,
                            .n_exclude = p->n_exclude,
                            .sources = p->sources,
                            .n_sources = p->n_sources,
                            .hooks = p->hooks };
    const struct source_list *l = vault_list(b->v, b->source);
    struct wbuf w = WBUF_INIT;
    memcpy(m.recovery_pk, b->v->keys.recovery_pk, PUBLIC_KEY_BYTES);
    unsigned rotation;
    int rc = session_rotation(b->app, p->agent, &rotation, e);
    if (rc < 0)
        return rc;
    dedup_key(&b->v->keys, p->agent, rotation, m.dedup_key);
    m.live = calloc((l ? l->n : 0) + 1, sizeof *m.live);
    if (!m.live)
        return no_memory(e);
    for (size_t i = l ? l->n : 0; i-- > 0 && m.n_live < MAX_FRAME_IDS;)
        m.live[m.n_live++] = l->snaps[i].ref.id;
    msg_backup_write(&w, &m);
    rc = w.failed ? no_memory(e)
                  : wire_send(session_wire(b->session), FRAME_BACKUP, &w, NULL, 0, e);
    secret_wipe(m.dedup_key, sizeof m.dedup_key);
    if (w.p)
        secret_wipe(w.p, w.len);
    wbuf_free(&w);
    free(m.live);
    return rc;
}

static int start_fanout(struct backup *b, struct err *e)
{
    struct store *stores[MAX_COPIES] = { 0 };
    for (size_t i = 0; i < b->v->n_copies; i++) {
        enum copy_state s = b->v->copies[i].state;
        if (s == COPY_CURRENT || s == COPY_BEHIND)
            stores[i] = b->v->copies[i].store;
    }
    return fanout_new(stores, b->v->n_copies, &b->fanout, e);
}

/* What the agent may build on must stay from now on: said under the lock, so that nobody takes it away in between. */
static int offer_live(struct backup *b, struct err *e)
{
    const struct source_list *l = vault_list(b->v, b->source);
    int rc = 0;
    for (size_t i = 0; l && rc == 0 && i < l->n; i++)
        rc = presence_offer(b->v->presence, &l->snaps[i].ref.id, 1, e);
    return rc;
}

static int begin(struct backup *b, struct err *e)
{
    int rc = vault_claim(b->v, b->source, e);
    if (rc == 0)
        rc = vault_lock(b->v, e);
    if (rc < 0)
        return rc;
    rc = publish_begin(b->v, b->job->take_over, e);
    if (rc == 0)
        rc = offer_live(b, e);
    vault_unlock(b->v);
    return rc;
}

static int prepare(struct backup *b, struct err *e)
{
    int rc = begin(b, e);
    if (rc == 0)
        rc = start_fanout(b, e);
    if (rc == 0)
        rc = publish_settle(b->v, b->fanout, e);
    if (rc == 0)
        rc = packer_new(b->v, b->fanout, &b->packer, e);
    if (rc == 0)
        rc = have_new(b->v, &b->have, e);
    if (rc == 0)
        rc = idlist_new(b->v->state_dir, &b->reach, e);
    return rc;
}

/* The next try finds it as pending packs, and the agent sends it no more. */
static void keep_what_came(struct backup *b)
{
    b->job->link_died = true;
    if (packer_finish(b->packer, NULL) == 0)
        fanout_flush(b->fanout, NULL);
}

static int limit_policy(struct backup *b, struct err *e)
{
    char name[MAX_NAME + 16];
    snprintf(name, sizeof name, "policy-%s", b->job->policy->name);
    return session_limit(b->app, b->session, name, b->job->policy->limit_bytes_s, e);
}

int backup_job_run(struct app *app, struct vault *v, struct backup_job *j, struct err *e)
{
    struct backup b = { .app = app, .v = v, .job = j };
    source_name(j->policy->name, b.source);
    pause_catch();
    j->started_ms = b.progress.started_ms = sys_monotonic_ms();
    int rc = prepare(&b, e);
    if (rc == 0)
        rc = session_start(app, j->policy->agent, &b.session, e);
    if (rc == 0)
        rc = limit_policy(&b, e);
    if (rc == 0)
        rc = send_job(&b, e);
    if (rc == 0)
        rc = converse(&b, e);
    if (rc == -ERR_UNREACHABLE && b.session && session_remote(b.session) &&
        !wire_told(session_wire(b.session)))
        keep_what_came(&b);
    /* Committed is committed: how the agent ends cannot change that any more. */
    if (b.session)
        session_end(b.session, true, NULL);
    ui_progress_end(&app->ui);
    packer_free(b.packer);
    for (size_t i = 0; b.fanout && i < v->n_copies; i++)
        if (fanout_stuck(b.fanout, i))
            v->copies[i].store = NULL; /* its writer still sits in it */
    fanout_free(b.fanout);
    have_free(b.have);
    idlist_free(b.reach);
    j->ended_ms = sys_monotonic_ms();
    return rc;
}
