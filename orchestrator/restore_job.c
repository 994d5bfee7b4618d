/*
 * restore_job.c - serves an agent that restores or compares: chunks from the first copy that has them healthy, from the next
 * one when the agent cannot open what it got; see restore_job.h and docs/protocol.md.
 */
#include "orchestrator/restore_job.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/logs/serve.h"
#include "orchestrator/look.h"
#include "orchestrator/session.h"
#include "orchestrator/stall.h"
#include <stdio.h>
#include <stdlib.h>

#define MAX_DAMAGE_NOTES 20
#define MAX_NOTED \
    1024 /* damaged objects that are remembered, so that each is said and written down once */
#define MAX_RETRIED 256  /* chunks that an agent could not open, with the answers that it has had */
#define MAX_ANSWERED 256 /* answers that are remembered; an agent has far fewer under way */

struct retried {
    struct id id;
    uint64_t answers; /* as in struct fetched */
};

struct restore {
    struct app *app;
    struct restore_job *job;
    struct session *session;
    struct fetched fetched;
    struct id *sent_keys; /* data keys that the agent has */
    size_t n_keys, cap_keys;
    struct retried retried[MAX_RETRIED];
    size_t n_retried;
    struct retried answered[MAX_ANSWERED]; /* a ring */
    size_t next_answered;
    struct ui_progress progress;
    struct id *reach; /* what the snapshot reaches: the target's host gets nothing else */
    size_t n_reach;
    char *policy;            /* of the snapshot; owned */
    struct logs_serve *logs; /* once the agent has asked for them */
    struct {
        size_t place;
        char object[MAX_OBJECT_NAME];
    } noted[MAX_NOTED];
    size_t n_noted;
    bool done;
    struct stall stall;
    bool said_waited;
};

static int malformed(struct err *e)
{
    return err_set(e, ERR_PROTOCOL, _("the agent sent a malformed message"));
}

static bool noted_before(struct restore *r, size_t place, const char *object)
{
    for (size_t i = 0; i < r->n_noted; i++)
        if (r->noted[i].place == place && strcmp(r->noted[i].object, object) == 0)
            return true;
    if (r->n_noted == MAX_NOTED)
        return false;
    r->noted[r->n_noted].place = place;
    snprintf(r->noted[r->n_noted++].object, MAX_OBJECT_NAME, "%s", object);
    return false;
}

/* Said once for each object of a copy, and remembered until it is mended. False: it was before. */
static bool say_damage(struct restore *r, const struct copy *c, const char *object,
                       const struct err *what)
{
    char text[ERR_TEXT_BYTES + 200];
    size_t place = (size_t)(c - r->job->v->copies);
    if (noted_before(r, place, object))
        return false;
    int n = snprintf(
        text, sizeof text,
        _("copy \"%s\": %s; taken from another copy where one has it (mend it: twofold repair)"),
        c->place, what->why);
    if (r->n_noted <= MAX_DAMAGE_NOTES)
        ui_note(&r->app->ui, false, object, strlen(object), text, (size_t)n);
    chunkdb_note_damage(r->job->v->db, c->place, object, what->why, NULL);
    return true;
}

static void on_damage(void *ctx, const struct copy *c, const char *object, const struct err *what)
{
    say_damage(ctx, c, object, what);
}

static void on_log_damage(void *ctx, const struct copy *c, const char *object,
                          const struct err *what)
{
    struct restore *r = ctx;
    r->job->bad_logs[c - r->job->v->copies] += say_damage(r, c, object, what);
}

static int send_key(struct restore *r, const struct id *key_id, struct err *e)
{
    uint8_t key[KEY_BYTES];
    struct wbuf w = WBUF_INIT;
    for (size_t i = 0; i < r->n_keys; i++)
        if (id_eq(&r->sent_keys[i], key_id))
            return 0;
    if (r->n_keys == r->cap_keys) {
        size_t cap = r->cap_keys ? 2 * r->cap_keys : 16;
        struct id *grown = realloc(r->sent_keys, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, _("no memory"));
        r->sent_keys = grown;
        r->cap_keys = cap;
    }
    int rc = vault_data_key(r->job->v, key_id, key, e);
    if (rc < 0)
        return rc;
    wb_id(&w, key_id);
    wb_bytes(&w, key, sizeof key);
    secret_wipe(key, sizeof key);
    rc = wire_send(session_wire(r->session), FRAME_KEY, &w, NULL, 0, e);
    if (w.p)
        secret_wipe(w.p, w.len);
    wbuf_free(&w);
    r->sent_keys[r->n_keys++] = *key_id;
    return rc;
}

/* A copy that does not answer, or does again. */
static void say_turn(void *ctx, const struct copy *c, enum turn_event event)
{
    struct restore *r = ctx;
    struct ui *ui = &r->app->ui;
    switch (event) {
    case TURN_LATE:
        ui_warn(ui, _("copy \"%s\" has not answered in time; the others are asked meanwhile"),
                c->place);
        break;
    case TURN_FAILS:
        ui_warn(ui, _("copy \"%s\" cannot be read now (%s); the others are asked"), c->place,
                c->problem.why);
        break;
    case TURN_WAITED: /* where only one is to be read, that is what was asked for */
        if (r->job->from >= 0 || r->said_waited)
            break;
        r->said_waited = true;
        ui_warn(ui, _("no other copy has all that is needed: copy \"%s\" is waited for"), c->place);
        break;
    case TURN_BACK:
        ui_warn(ui, _("copy \"%s\" answers again"), c->place);
        break;
    }
    r->job->late[c - r->job->v->copies] += event == TURN_LATE || event == TURN_FAILS;
}

static int answer(struct restore *r, const struct id *id, uint64_t skip, struct err *e)
{
    struct fetch_options o = { .from = r->job->from, .skip = skip, .damage = on_damage, .ctx = r };
    struct msg_chunk m = { .id = *id };
    struct wbuf w = WBUF_INIT;
    struct err why = ERR_INIT;
    int rc = vault_fetch(r->job->v, id, &o, &r->fetched, &why);
    if (rc == 0) {
        r->answered[r->next_answered++ % MAX_ANSWERED] = (struct retried){ *id, r->fetched.answer };
        m.key_id = r->fetched.ref.key_id;
        m.counter = r->fetched.ref.counter;
        rc = send_key(r, &m.key_id, &why);
        if (rc < 0 && rc != -ERR_DAMAGED && e)
            *e = why;
        if (rc < 0 && rc != -ERR_DAMAGED)
            return rc;
    }
    if (rc == 0) {
        m.status = CHUNK_OK;
    } else if (rc == -ERR_DAMAGED || rc == -ERR_ABSENT) {
        m.status = CHUNK_LOST;
        r->job->lost++;
    } else if (rc == -ERR_UNREACHABLE) {
        m.status = CHUNK_AWAY;
        r->job->away++;
    } else {
        if (e)
            *e = why;
        return rc;
    }
    msg_chunk_write(&w, &m);
    bool ok = m.status == CHUNK_OK;
    rc = wire_send(session_wire(r->session), FRAME_CHUNK, &w, ok ? r->fetched.sealed.p : NULL,
                   ok ? r->fetched.sealed.len : 0, e);
    wbuf_free(&w);
    return rc;
}

/* --- the log of a database ------------------------------------------------------------------------------------------------ */
static int on_want_log(struct restore *r, struct rbuf *p, struct err *e)
{
    struct msg_want_log m;
    struct shelf_reader reader = {
        .v = r->job->v, .only = r->job->from, .damage = on_log_damage, .ctx = r
    };
    int rc = msg_want_log_read(p, &m, e);
    if (rc < 0)
        return rc;
    if (r->logs)
        rc = malformed(e);
    if (rc == 0)
        rc = logs_serve_new(r->app, &reader, r->policy, &m, &r->logs, e);
    if (rc == 0)
        rc = logs_serve_list(r->logs, session_wire(r->session), e);
    free(m.kind);
    return rc;
}

static int answer_lost(struct restore *r, const struct id *id, struct err *e)
{
    struct msg_chunk m = { .id = *id, .status = CHUNK_LOST };
    struct wbuf w = WBUF_INIT;
    r->job->lost++;
    msg_chunk_write(&w, &m);
    int rc = wire_send(session_wire(r->session), FRAME_CHUNK, &w, NULL, 0, e);
    wbuf_free(&w);
    return rc;
}

static int answer_piece(struct restore *r, const struct id *id, struct err *e)
{
    struct chunk_ref ref = { .id = *id };
    struct msg_chunk m = { .id = *id };
    const uint8_t *sealed = NULL;
    size_t n = 0;
    struct wbuf w = WBUF_INIT;
    struct err why = ERR_INIT;
    int rc = logs_serve_get(r->logs, id, &ref, &sealed, &n, &why);
    if (rc == 0)
        rc = send_key(r, &ref.key_id, &why);
    if (rc < 0 && rc != -ERR_DAMAGED && rc != -ERR_ABSENT && rc != -ERR_UNREACHABLE) {
        if (e)
            *e = why;
        return rc;
    }
    m.status = rc == 0 ? CHUNK_OK : rc == -ERR_UNREACHABLE ? CHUNK_AWAY : CHUNK_LOST;
    r->job->away += m.status == CHUNK_AWAY;
    r->job->lost += m.status == CHUNK_LOST;
    m.key_id = ref.key_id;
    m.counter = ref.counter;
    msg_chunk_write(&w, &m);
    rc = wire_send(session_wire(r->session), FRAME_CHUNK, &w, rc == 0 ? sealed : NULL,
                   rc == 0 ? n : 0, e);
    wbuf_free(&w);
    return rc;
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(a, b);
}

static bool is_reached(const struct restore *r, const struct id *id)
{
    return !r->reach || bsearch(id, r->reach, r->n_reach, sizeof *r->reach, by_id);
}

static int on_get(struct restore *r, struct rbuf *p, struct err *e)
{
    uint64_t n = rb_varint_max(p, MAX_FRAME_IDS);
    if (rb_left(p) != n * ID_BYTES)
        return malformed(e);
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        struct id id;
        rb_id(p, &id);
        if (p->bad)
            rc = malformed(e);
        else if (logs_serve_has(r->logs, &id))
            rc = answer_piece(r, &id, e);
        else if (!is_reached(r, &id))
            rc = err_set(e, ERR_PROTOCOL,
                         _("the agent asked for a chunk that is not of this snapshot"));
        else
            rc = answer(r, &id, 0, e);
    }
    return rc;
}

/* The agent alone can open a chunk, so it has the last word for this restore: the next answer, if there is one. */
static int on_bad(struct restore *r, struct rbuf *p, struct err *e)
{
    struct id id;
    size_t n, i = 0;
    rb_id(p, &id);
    const uint8_t *why = rb_blob(p, MAX_FRAME_TEXT, &n);
    if (!rb_done(p) || !why || (!is_reached(r, &id) && !logs_serve_has(r->logs, &id)))
        return malformed(e);
    if (logs_serve_has(r->logs, &id)) /* by its object's hash it is what every copy has */
        return answer_lost(r, &id, e);
    while (i < r->n_retried && !id_eq(&r->retried[i].id, &id))
        i++;
    if (i == MAX_RETRIED) /* given up */
        return answer_lost(r, &id, e);
    if (i == r->n_retried)
        r->retried[r->n_retried++] = (struct retried){ .id = id };
    n = MAX_ANSWERED;
    while (n > 0 && !id_eq(&r->answered[(r->next_answered + n - 1) % MAX_ANSWERED].id, &id))
        n--;
    if (n == 0) /* it did not have it from us */
        return malformed(e);
    r->retried[i].answers |= r->answered[(r->next_answered + n - 1) % MAX_ANSWERED].answers;
    return answer(r, &id, r->retried[i].answers, e);
}

static int on_progress(struct restore *r, struct rbuf *p, struct err *e)
{
    struct msg_progress m;
    int rc = msg_progress_read(p, &m, e);
    if (rc < 0)
        return rc;
    stall_frame(&r->stall, FRAME_PROGRESS, &m);
    struct ui_progress *u = &r->progress;
    u->phase = r->job->msg.mode == RESTORE_COMPARE ? N_("comparing")
               : m.phase == 3                      ? N_("finishing")
                                                   : N_("restoring");
    u->files = m.files;
    u->bytes = m.bytes;
    u->total_files = m.total_files;
    u->total_bytes = m.total_bytes;
    u->problems = m.problems;
    u->path = m.path;
    u->path_len = m.path_len;
    u->n_copies = r->job->v->n_copies;
    for (size_t i = 0; i < u->n_copies; i++) {
        const struct copy *c = &r->job->v->copies[i];
        u->copies[i] = (struct ui_copy_line){
            .place = c->place,
            .bytes = 0,
            .state = c->state == COPY_AWAY || c->state == COPY_WRONG || c->turn.last ? N_("away")
                     : c->chunks_bad                                                 ? N_("damaged")
                     : c->chunks_served                                              ? N_("reading")
                                        : N_("standing by")
        };
    }
    ui_progress(&r->app->ui, u);
    u->path = NULL;
    u->path_len = 0;
    return 0;
}

bool facts_take(json_t *facts, const struct msg_facts *m)
{
    char name[MAX_FACTS_NAME + 1];
    snprintf(name, sizeof name, "%.*s", (int)m->name_len, m->name);
    json_t *list = json_object_get(facts, name), *one = json_loadb(m->text, m->text_len, 0, NULL);
    if (!json_is_object(one)) {
        json_decref(one);
        return false;
    }
    if (!list && json_object_size(facts) < MAX_KINDS_OF_FACTS) {
        list = json_array();
        json_object_set_new(facts, name, list);
    }
    if (list && json_array_size(list) < MAX_FACTS)
        json_array_append(list, one);
    json_decref(one);
    return true;
}

void restore_job_note(struct app *app, struct restore_job *j, bool problem, const char *path,
                      size_t path_len, const char *text, size_t text_len)
{
    j->problems += problem;
    ui_note(&app->ui, problem, path, path_len, text, text_len);
    if (j->notes && json_array_size(j->notes) < MAX_RESTORE_NOTES)
        json_array_append_new(j->notes, json_pack("{s:b, s:o, s:o}", "problem", problem, "path",
                                                  ui_json_text(path, path_len), "text",
                                                  ui_json_text(text, text_len)));
}

void restore_job_add(struct restore_job *sum, const struct restore_job *j)
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
    sum->lost += j->lost;
    sum->away += j->away;
    for (size_t k = 0; k < MAX_COPIES; k++) {
        sum->served[k] += j->served[k];
        sum->served_bytes[k] += j->served_bytes[k];
        sum->bad[k] += j->bad[k];
        sum->bad_logs[k] += j->bad_logs[k];
        sum->served_us[k] += j->served_us[k];
        sum->speed[k] = j->speed[k] ? j->speed[k] : sum->speed[k];
        sum->late[k] += j->late[k];
    }
}

static int on_note(struct restore *r, struct rbuf *p, struct err *e)
{
    struct msg_note m;
    int rc = msg_note_read(p, &m, e);
    if (rc < 0)
        return rc;
    restore_job_note(r->app, r->job, m.problem, m.path, m.path_len, m.text, m.text_len);
    return 0;
}

static int on_facts(struct restore *r, struct rbuf *p, struct err *e)
{
    struct msg_facts m;
    int rc = msg_facts_read(p, &m, e);
    if (rc == 0 && r->job->facts && !facts_take(r->job->facts, &m))
        rc = malformed(e);
    return rc;
}

static int on_diff(struct restore *r, struct rbuf *p, struct err *e)
{
    struct msg_diff m;
    int rc = msg_diff_read(p, &m, e);
    if (rc == 0 && r->job->diff)
        r->job->diff(r->job->ctx, &m);
    return rc;
}

static int handle(struct restore *r, enum frame_type type, struct rbuf *p, struct err *e)
{
    int rc;
    switch (type) {
    case FRAME_GET:
        return on_get(r, p, e);
    case FRAME_BAD:
        return on_bad(r, p, e);
    case FRAME_PROGRESS:
        return on_progress(r, p, e);
    case FRAME_NOTE:
        return on_note(r, p, e);
    case FRAME_FACTS:
        return on_facts(r, p, e);
    case FRAME_DIFF:
        return on_diff(r, p, e);
    case FRAME_WANT_LOG:
        return on_want_log(r, p, e);
    case FRAME_DONE:
        rc = msg_done_read(p, &r->job->done, e);
        r->done = rc == 0;
        return rc;
    default:
        return err_set(e, ERR_PROTOCOL,
                       _("the agent sent a message that does not belong to a restore"));
    }
}

static int converse(struct restore *r, struct err *e)
{
    int rc = 0;
    stall_begin(&r->stall, session_wire(r->session));
    while (rc == 0 && !r->done) {
        enum frame_type type = FRAME_PING;
        struct rbuf p;
        rc = wire_recv(session_wire(r->session), &type, &p, 0, e);
        if (rc == 0)
            rc = handle(r, type, &p, e);
        if (type != FRAME_PROGRESS) /* on_progress has said what that one is worth */
            stall_frame(&r->stall, type, NULL);
    }
    return rc < 0 ? session_failed(r->session, rc, e) : 0;
}

/* What the agent is to do; read before it is started, so that a damaged snapshot is one error and not two. */
static int make_job(struct restore *r, struct wbuf *w, struct err *e)
{
    struct restore_job *j = r->job;
    struct snapshot *s = NULL;
    struct wbuf body = WBUF_INIT;
    int rc = vault_snapshot(j->v, &j->snap->ref, &s, e);
    if (rc == 0)
        rc = vault_body(j->v, s, &body, e);
    if (rc == 0 && !(r->policy = strdup(s->policy)))
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0) {
        j->msg.vault_id = j->v->keys.vault_id;
        j->msg.snapshot_id = j->snap->ref.id;
        j->msg.body = body.p;
        j->msg.body_len = body.len;
        r->progress.total_files = s->files;
        msg_restore_write(w, &j->msg);
        rc = w->failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
        j->msg.body = NULL;
    }
    snapshot_free(s);
    wbuf_free(&body);
    return rc;
}

int restore_job_run(struct app *app, struct restore_job *j, struct err *e)
{
    struct restore r = { .app = app, .job = j };
    r.progress.started_ms = sys_monotonic_ms();
    for (size_t i = 0; i < j->v->n_copies; i++) {
        struct copy *c = &j->v->copies[i];
        c->chunks_served = c->chunks_bad = c->bytes_served = c->served_us = 0;
        c->beside_bytes = c->beside_ms = 0;
    }
    j->v->turned = say_turn;
    j->v->turned_ctx = &r;
    struct wbuf w = WBUF_INIT;
    int rc = make_job(&r, &w, e);
    /* Where the list itself is damaged, a restore matters more than this precaution. */
    if (rc == 0 && vault_reach(j->v, &j->snap->reach, &r.reach, &r.n_reach, NULL) < 0)
        r.reach = NULL;
    if (rc == 0)
        rc = session_start(app, j->agent, &r.session, e);
    if (rc == 0)
        rc = wire_send(session_wire(r.session), FRAME_RESTORE, &w, NULL, 0, e);
    wbuf_free(&w);
    if (rc == 0)
        rc = converse(&r, e);
    if (r.session) {
        int end = session_end(r.session, rc < 0, e);
        rc = rc < 0 ? rc : end;
    }
    ui_progress_end(&app->ui);
    j->v->turned = NULL;
    for (size_t i = 0; i < j->v->n_copies; i++) {
        j->served[i] = j->v->copies[i].chunks_served;
        j->served_bytes[i] = j->v->copies[i].bytes_served;
        j->served_us[i] = j->v->copies[i].served_us;
        j->speed[i] = turns_speed(&j->v->copies[i]);
        j->bad[i] = j->v->copies[i].chunks_bad;
    }
    if (rc == 0 && j->away)
        ui_warn(&app->ui, _("%llu chunks may lie in a copy that could not be reached"),
                (unsigned long long)j->away);
    wbuf_free(&r.fetched.sealed);
    free(r.sent_keys);
    free(r.reach);
    free(r.policy);
    logs_serve_free(r.logs);
    return rc;
}

static void print_diff(void *ctx, const struct msg_diff *d)
{
    diff_print(ctx, d->change, d->what, d->path, d->path_len);
}

int diff_live(struct app *app, struct vault *v, const struct policy *pol,
              const struct snap_ref *snap, struct err *e)
{
    struct restore_job j = {
        .v = v, .snap = snap, .agent = pol->agent, .from = -1, .diff = print_diff, .ctx = app
    };
    j.msg.mode = RESTORE_COMPARE;
    j.msg.target = (char *)"/";
    j.msg.exclude = pol->exclude;
    j.msg.n_exclude = pol->n_exclude;
    int rc = restore_job_run(app, &j, e);
    if (rc == 0 && (j.problems || j.done.failed)) {
        rc = err_set(e, ERR_PARTIAL, _("some things could not be compared; each is named above"));
        err_next(e, _("see to them, then compare again"));
    }
    return rc;
}
