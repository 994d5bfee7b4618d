/* keep.c - see keep.h. */
#include "orchestrator/logs/keep.h"
#include "agents/log_frames.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/fanout.h"
#include "orchestrator/logs/care.h"
#include "orchestrator/logs/claim.h"
#include "orchestrator/logs/reopen.h"
#include "orchestrator/probe.h"
#include "orchestrator/session.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_BYTES (8u << 20) /* sealed, in one object, when much comes at once */
#define MORE_MS 5              /* what comes so soon after goes into the same object; */
#define BACKLOG_MS 500         /* or so soon, where the server is ahead by more than */
#define BACKLOG_BYTES (2u << 20)
#define LOOK_AGAIN_MS 30000   /* at copies that are out */
#define MERGE_AGAIN_MS 600000 /* after objects could not be put together */
#define CATCH_UP_MS 5000      /* at most so long at a time: what comes waits */
#define ROOMS 1000u
#define TAKE_OVER_MS 3000 /* for what the one before is just putting */

struct keeper {
    struct app *app;
    const struct logs_job *job;
    struct vault *v;
    char source[MAX_FORMAT_NAME + 1];
    uint8_t stream[LOG_STREAM_BYTES];
    struct shelf shelf;
    bool skipped; /* an object at the end of the stream that no copy has right */
    struct logs_claim claim;
    struct fanout *fanout;
    struct reopen *owner, *opening; /* of v; under way, or done and not looked at yet */
    uint32_t joined;                /* copies that get what comes */
    struct session *session;
    struct data_key key;
    bool have_key;
    struct log_table *table; /* being filled */
    struct wbuf body;
    struct log_piece newest; /* that came */
    int64_t received_ns; /* of the newest object, and by the clock that nobody sets when that was */
    uint64_t received_ms;
    struct logs_state state;
    uint64_t state_ms, looked_ms;
    int64_t asked_s, newest_s; /* when the agent was asked to follow; when the newest piece came */
    char problem[ERR_TEXT_BYTES];   /* that the agent named last */
    char epoch_why[ERR_TEXT_BYTES]; /* of the epoch that has come and is not durable yet */
    uint64_t merge_ms;              /* not before: it failed */
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int malformed(struct err *e)
{
    return err_set(e, ERR_PROTOCOL, _("the agent sent a malformed message"));
}

/* --- what a policy says --------------------------------------------------------------------------------------------- */
const struct source_spec *logs_of_policy(const struct policy *p, unsigned *ret_interval_ms)
{
    for (size_t i = 0; i < p->n_sources; i++) {
        uint64_t s = 0;
        const char *text = source_spec_get(&p->sources[i], "logs");
        if (text && duration_parse(text, &s) && s * 1000 <= MAX_LOG_INTERVAL_MS) {
            *ret_interval_ms = (unsigned)s * 1000;
            return &p->sources[i];
        }
    }
    return NULL;
}

void logs_source(const char *policy, const char *kind, char out[MAX_FORMAT_NAME + 1])
{
    snprintf(out, MAX_FORMAT_NAME + 1, "%s/%s", policy, kind);
}

/* --- what others see -------------------------------------------------------------------------------------------------- */
static void count_objects(struct keeper *k)
{
    k->state.objects = k->state.bytes = 0;
    for (size_t i = 0; i < k->shelf.n; i++) {
        k->state.objects++;
        k->state.bytes += k->shelf.v[i].len;
    }
}

static int say_state(struct keeper *k, bool now, bool running, struct err *e)
{
    struct logs_state *s = &k->state;
    if (!now && k->state_ms && sys_monotonic_ms() - k->state_ms < LOGS_STATE_MS)
        return 0;
    s->n_copies = k->v ? k->v->n_copies : s->n_copies;
    for (size_t i = 0; k->v && i < k->v->n_copies; i++) {
        struct logs_copy_state *c = &s->copies[i];
        const struct err *why = k->fanout && fanout_error(k->fanout, i) ? fanout_error(k->fanout, i)
                                                                        : &k->v->copies[i].problem;
        snprintf(c->place, sizeof c->place, "%s", k->v->copies[i].place);
        c->joined = k->joined & (1u << i);
        if (c->joined) {
            c->seq = s->last.seq;
            c->time_ns = s->last.time_ns;
            c->complete_s = s->complete_s;
        }
        snprintf(c->why, sizeof c->why, "%s",
                 c->joined     ? ""
                 : why->why[0] ? why->why
                               : _("it is being caught up"));
    }
    s->written_s = sys_realtime_s();
    s->running = running;
    count_objects(k);
    k->state_ms = sys_monotonic_ms();
    return logs_state_write(&k->app->paths, s, e);
}

/* --- the copies ----------------------------------------------------------------------------------------------------------- */
static int open_vault(struct keeper *k, struct err *e)
{
    struct vault_open_options o = { .paths = &k->app->paths, .conf = k->job->conf, .logs = true };
    return vault_open(&o, &k->v, e);
}

/* The first time, or of copies that have come back. */
static int claim(struct keeper *k, struct vault *v, struct err *e)
{
    struct logs_claim c;
    int rc = logs_claim(v, k->source, &c, e);
    if (rc < 0)
        return rc;
    if (k->claim.number && c.number != k->claim.number)
        return err_set(e, ERR_REFUSED, _("another orchestrator keeps this log by now"));
    for (uint64_t end = sys_monotonic_ms() + TAKE_OVER_MS;
         c.taken_over && !sys_interrupted() && sys_monotonic_ms() < end;)
        poll(NULL, 0, MORE_MS);
    k->claim = c;
    return 0;
}

/* Should it have been taken over meanwhile, what was just put is acknowledged by nobody. */
static int still_ours(struct keeper *k, struct err *e)
{
    return k->joined ? logs_claim_holds(k->v, k->source, &k->claim, k->joined, e) : 0;
}

static int new_fanout(struct keeper *k, struct err *e)
{
    struct store *stores[MAX_COPIES] = { 0 };
    fanout_free(k->fanout);
    k->fanout = NULL;
    for (size_t i = 0; i < k->v->n_copies; i++)
        stores[i] = k->joined & (1u << i) ? k->v->copies[i].store : NULL;
    return fanout_new(stores, k->v->n_copies, &k->fanout, e);
}

/* Those that answer get what they lack; those that lack nothing join. */
static int join_copies(struct keeper *k, struct err *e)
{
    uint32_t before = k->joined;
    for (size_t i = 0; i < k->v->n_copies; i++) {
        struct copy *c = &k->v->copies[i];
        struct logs_bringing b = { .until_ms = sys_monotonic_ms() + CATCH_UP_MS,
                                   .only_what_follows = true };
        struct err why = ERR_INIT;
        if (k->joined & (1u << i) || !(k->shelf.listed & (1u << i)))
            continue;
        int rc = logs_catch_up(k->v, &k->shelf, i, &b, &why);
        if (rc == -ERR_INTERRUPTED || rc == -ERR_NOMEM) {
            if (e)
                *e = why;
            return rc;
        }
        if (rc == 0)
            k->joined |= 1u << i;
        else if (rc < 0)
            c->problem = why;
        if (b.objects > 0 || (rc == 0 && before))
            ui_line(&k->app->ui, _("copy \"%s\": caught up with %llu objects of the log%s"),
                    c->place, (unsigned long long)b.objects,
                    rc == 0 ? "" : _(", and there is more"));
    }
    return k->joined == before && k->fanout ? 0 : new_fanout(k, e);
}

/* From now on what was opened anew is used. */
static int use_opened(struct keeper *k, struct vault *v, struct err *e)
{
    struct vault *was = k->v;
    struct shelf shelf = { 0 };
    int rc = claim(k, v, e);
    if (rc == 0)
        rc = shelf_read(v, k->source, &shelf, e);
    fanout_free(k->fanout);
    k->fanout = NULL;
    k->v = v;
    vault_close(was);
    reopen_free(k->owner);
    k->owner = k->opening;
    k->opening = NULL;
    if (rc < 0)
        return rc;
    shelf_done(&k->shelf);
    k->shelf = shelf;
    k->joined = 0;
    rc = join_copies(k, e);
    k->looked_ms = sys_monotonic_ms();
    if (rc == 0 && !k->joined)
        rc = err_set(e, ERR_UNREACHABLE, _("no copy takes the log"));
    return rc;
}

/* Where none of those that are out answers, all goes on as it is. */
static int take_opened(struct keeper *k, struct err *e)
{
    struct vault *v = NULL;
    uint32_t listed = 0;
    struct err why = ERR_INIT;
    int rc = reopen_take(k->opening, &v, &listed, &why);
    bool same = rc == 0 && v->n_copies == k->v->n_copies;
    if (same && listed & ~k->joined)
        return use_opened(k, v, e);
    for (size_t i = 0; same && i < v->n_copies; i++)
        if (!(k->joined & (1u << i)) && v->copies[i].problem.code != ERR_NONE)
            k->v->copies[i].problem = v->copies[i].problem;
    vault_close(v);
    reopen_free(k->opening);
    k->opening = NULL;
    k->looked_ms = sys_monotonic_ms();
    return 0;
}

/* A copy that fell out is no more than one that is away: it is opened anew, beside what the others take, and caught up. */
static int look_again(struct keeper *k, struct err *e)
{
    uint32_t all = (1u << k->v->n_copies) - 1;
    if (k->opening)
        return reopen_done(k->opening) ? take_opened(k, e) : 0;
    if (k->joined == all || sys_monotonic_ms() - k->looked_ms < LOOK_AGAIN_MS)
        return 0;
    return reopen_start(k->app, k->job->conf->name, k->source, &k->opening, e);
}

static void drop_failed(struct keeper *k)
{
    for (size_t i = 0; i < k->v->n_copies; i++)
        if (k->joined & (1u << i) && !fanout_alive(k->fanout, i)) {
            const struct err *why = fanout_error(k->fanout, i);
            k->joined &= ~(1u << i);
            k->looked_ms = sys_monotonic_ms();
            ui_warn(&k->app->ui, _("copy \"%s\" does not take the log any more: %s"),
                    k->v->copies[i].place, why && why->why[0] ? why->why : "?");
        }
}

/* --- what comes ------------------------------------------------------------------------------------------------------------ */
static int new_table(struct keeper *k, struct err *e)
{
    k->table = calloc(1, sizeof *k->table);
    if (k->table)
        k->table->source = strdup(k->source);
    return k->table && k->table->source ? 0 : no_memory(e);
}

static int acknowledge(struct keeper *k, struct err *e)
{
    struct wbuf w = WBUF_INIT;
    wb_varint(&w, k->state.last.seq);
    int rc = wire_send(session_wire(k->session), FRAME_LOGGED, &w, NULL, 0, e);
    wbuf_free(&w);
    return rc;
}

static int merge(struct keeper *k)
{
    struct err why = ERR_INIT;
    size_t n = 0;
    if (sys_monotonic_ms() < k->merge_ms)
        return 0;
    int rc = logs_merge(k->v, &k->shelf, k->stream, k->joined, &n, &why);
    if (rc < 0) /* another time; nothing is lost */
        k->merge_ms = sys_monotonic_ms() + MERGE_AGAIN_MS;
    if (rc < 0)
        ui_warn(&k->app->ui, _("objects of the log could not be put together: %s: %s"), why.what,
                why.why);
    return 0;
}

/* Now; never before what has been said already, and never behind it by more than has gone by since: a clock that is set back must not
 * make what comes look old. */
static int64_t receive(struct keeper *k)
{
    uint64_t ms = sys_monotonic_ms();
    int64_t now_ns = sys_realtime_ns(),
            least_ns = k->received_ns + (int64_t)(ms - k->received_ms) * 1000000;
    k->received_ns = now_ns > least_ns ? now_ns : least_ns;
    k->received_ms = ms;
    return k->received_ns;
}

/* What a restore since then needs, and how far all is here. */
static void note_durable(struct keeper *k)
{
    struct logs_state *s = &k->state;
    if (k->newest.epoch != s->last.epoch || s->last.seq == 0) {
        s->epoch_s = k->asked_s;
        snprintf(s->epoch_why, sizeof s->epoch_why, "%s", k->epoch_why);
    }
    s->last = k->newest;
    s->complete_s = k->newest_s;
}

/* What has come so far, as one object, to all copies; it is acknowledged when it is durable in those that are not out. */
static int commit(struct keeper *k, struct err *e)
{
    struct wbuf object = WBUF_INIT;
    char name[MAX_OBJECT_NAME];
    struct log_name parsed;
    if (!k->table || k->table->n == 0)
        return 0;
    k->table->received_ns = receive(k);
    int rc = log_object_seal(&k->v->keys, k->table, &k->body, &object, name, e);
    uint64_t len = object.len;
    struct outgoing *o = rc == 0 ? outgoing_bytes(name, &object) : NULL;
    if (rc == 0 && !o)
        rc = no_memory(e);
    if (rc == 0)
        rc = fanout_put(k->fanout, o, k->joined, e);
    if (rc == 0)
        rc = fanout_flush(k->fanout, e);
    wbuf_free(&object);
    if (rc < 0)
        return err_wrap(e, _("no copy takes the log"));
    drop_failed(k);
    rc = still_ours(k, e);
    if (rc < 0)
        return rc;
    note_durable(k);
    if (!k->joined)
        return err_set(e, ERR_UNREACHABLE, _("no copy takes the log"));
    if (log_name_parse(name, &parsed))
        rc = shelf_add(&k->shelf, &parsed, len, k->joined, e);
    shelf_sort(&k->shelf);
    log_table_free(k->table);
    k->table = NULL;
    wbuf_reset(&k->body);
    /* The next keeper must know of it before the server lets go of it. */
    if (rc == 0)
        rc = say_state(k, true, true, e);
    if (rc == 0)
        rc = acknowledge(k, e);
    return rc == 0 ? merge(k) : rc;
}

static int on_data_key(struct keeper *k, struct rbuf *r, struct err *e)
{
    size_t n = 0;
    rb_id(r, &k->key.id);
    const uint8_t *blob = rb_blob(r, DATA_KEY_BLOB_BYTES, &n);
    if (!rb_done(r) || n != DATA_KEY_BLOB_BYTES || k->have_key)
        return malformed(e);
    memcpy(k->key.blob, blob, n);
    k->have_key = true;
    return 0;
}

static int on_log(struct keeper *k, struct rbuf *r, struct err *e)
{
    struct log_piece p;
    log_piece_read(r, &p);
    uint64_t counter = rb_varint(r);
    size_t n = rb_left(r);
    const uint8_t *sealed = rb_bytes(r, n);
    const struct log_piece *was = &k->newest;
    bool first = was->seq == 0, next_epoch = p.epoch == was->epoch + 1;
    if (r->bad || !sealed || n <= AEAD_TAG_BYTES || !k->have_key)
        return malformed(e);
    if (p.seq != was->seq + 1 || (first && p.epoch != 1) ||
        (!first && !next_epoch && !log_piece_follows(was, &p)))
        return err_set(e, ERR_PROTOCOL, _("pieces of a log do not follow one another"));
    int rc = k->table ? 0 : new_table(k, e);
    if (rc == 0)
        rc = log_table_add(k->table, &p, &k->key, counter, n, e);
    wb_bytes(&k->body, sealed, n);
    if (rc == 0 && k->body.failed)
        rc = no_memory(e);
    if (!first && next_epoch)
        snprintf(k->epoch_why, sizeof k->epoch_why, "%s",
                 k->problem[0] ? k->problem : _("it does not go on from what was kept"));
    k->newest = p;
    k->newest_s = sys_realtime_s();
    return rc;
}

static int on_head(struct keeper *k, struct rbuf *r, struct err *e)
{
    struct msg_log_head m;
    int rc = msg_log_head_read(r, &m, e);
    if (rc < 0)
        return rc;
    k->state.head_timeline = m.timeline;
    k->state.head = m.position;
    k->state.head_time_ns = m.time_ns;
    if (k->state.last.seq && k->state.last.timeline == m.timeline &&
        k->state.last.end >= m.position)
        k->state.complete_s = sys_realtime_s();
    return 0;
}

static int on_note(struct keeper *k, struct rbuf *r, struct err *e)
{
    struct msg_note m;
    int rc = msg_note_read(r, &m, e);
    if (rc < 0)
        return rc;
    ui_warn(&k->app->ui, "%.*s", (int)m.text_len, m.text);
    if (m.problem)
        snprintf(k->problem, sizeof k->problem, "%.*s", (int)m.text_len, m.text);
    return 0;
}

static int handle(struct keeper *k, enum frame_type type, struct rbuf *r, struct err *e)
{
    switch (type) {
    case FRAME_DATAKEY:
        return on_data_key(k, r, e);
    case FRAME_LOG:
        return on_log(k, r, e);
    case FRAME_LOG_HEAD:
        return on_head(k, r, e);
    case FRAME_NOTE:
        return on_note(k, r, e);
    case FRAME_PROGRESS:
        return 0;
    default:
        return err_set(e, ERR_PROTOCOL,
                       _("the agent sent a message that does not belong to a log"));
    }
}

/* The next message, and what comes right behind it, as long as it fits into one object. */
static int take(struct keeper *k, struct err *e)
{
    enum frame_type type = FRAME_PING;
    struct rbuf r;
    int rc = wire_recv(session_wire(k->session), &type, &r, 0, e);
    if (rc == 0)
        rc = handle(k, type, &r, e);
    while (rc == 0 && k->table && k->body.len < BATCH_BYTES) {
        struct err why = ERR_INIT;
        bool behind = k->state.head > k->newest.end + BACKLOG_BYTES &&
                      k->state.head_timeline == k->newest.timeline;
        rc = wire_recv(session_wire(k->session), &type, &r, behind ? BACKLOG_MS : MORE_MS, &why);
        if (rc == -ERR_TIMEOUT)
            return 0;
        if (rc < 0 && e)
            *e = why;
        if (rc == 0)
            rc = handle(k, type, &r, e);
    }
    return rc;
}

static int converse(struct keeper *k, struct err *e)
{
    struct err ignored = ERR_INIT;
    int rc = 0;
    while (rc == 0) {
        if (sys_interrupted())
            rc = err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
        if (rc == 0 && k->job->changed && k->job->changed(k->job->ctx))
            rc = err_set(e, ERR_BUSY, _("the configuration has changed"));
        bool taken = rc == 0;
        if (taken)
            rc = take(k, e);
        if (taken &&
            rc < 0) /* what came before that counts all the same; the next one goes on behind it */
            (void)commit(k, &ignored);
        if (rc == 0)
            rc = commit(k, e);
        if (rc == 0)
            rc = look_again(k, e);
        if (rc == 0)
            rc = say_state(k, false, true, e);
    }
    return session_failed(k->session, rc, e);
}

/* --- the beginning -------------------------------------------------------------------------------------------------------- */
static struct shelf_object *newest(const struct shelf *s)
{
    struct shelf_object *last = NULL;
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].copies & ~s->v[i].bad && (!last || s->v[i].name.last >= last->name.last))
            last = &s->v[i];
    return last;
}

/* The newest piece that a copy has. */
static int newest_on_shelf(struct keeper *k, struct log_piece *ret, struct err *e)
{
    struct shelf_reader r = { .v = k->v, .only = -1 };
    struct shelf_object *last = newest(&k->shelf);
    struct log_table *t = NULL;
    struct err why = ERR_INIT;
    int rc = 0;
    *ret = (struct log_piece){ 0 };
    while (last && (rc = shelf_table(&r, last, &t, &why)) != 0) {
        if (rc != -ERR_DAMAGED && rc != -ERR_ABSENT) {
            if (e)
                *e = why;
            return rc;
        }
        /* A name alone says nothing: anybody who may write to a copy can make one up. */
        ui_warn(&k->app->ui, "%s: %s", why.what, why.why);
        last->bad = last->copies;
        last = newest(&k->shelf);
        k->skipped = true;
        rc = 0;
    }

    if (rc == 0 && t) {
        *ret = t->entries[t->n - 1].piece;
        k->received_ns = t->received_ns;
    }
    for (size_t i = 0; i < k->v->n_tips; i++)
        if (k->v->tips[i].head->written_ns > k->received_ns)
            k->received_ns = k->v->tips[i].head->written_ns;
    k->received_ms = sys_monotonic_ms();
    log_table_free(t);
    return rc;
}

/* Room for what copies that are away may have; the next piece has a number that tells (logs/scrub.c). */
static uint64_t leave_room(const struct keeper *k, uint64_t seq)
{
    const struct id *writer = &k->v->writer; /* two that do so at once leave other rooms */
    unsigned more = (writer->b[0] << 8 | writer->b[1]) % ROOMS;
    return (seq / UNSEEN_PIECES + 2 + more) * UNSEEN_PIECES;
}

static void remember(struct keeper *k, const struct logs_state *was)
{
    for (size_t i = 0; i < k->v->n_copies; i++)
        for (size_t j = 0; j < was->n_copies; j++)
            if (strcmp(k->v->copies[i].place, was->copies[j].place) == 0)
                k->state.copies[i] = was->copies[j];
    k->state.complete_s = was->complete_s;
    k->state.epoch_s = was->epoch_s;
    snprintf(k->state.epoch_why, sizeof k->state.epoch_why, "%s", was->epoch_why);
}

/* Where the stream ended. A copy that is away may have more than the others; then our own memory tells, or, where that is lost, room is
 * left for what it may have. */
static int find_end(struct keeper *k, struct err *e)
{
    struct logs_state was = { 0 };
    struct err ignored = ERR_INIT;
    struct log_piece *last = &k->state.last;
    int rc = newest_on_shelf(k, last, e);
    bool remembered = logs_state_read(&k->app->paths, k->job->policy->name, &was, &ignored) == 0 &&
                      strcmp(was.vault, k->job->conf->name) == 0 &&
                      strcmp(was.kind, k->job->spec->kind) == 0;
    if (rc < 0 && !(remembered && was.last.seq >= last->seq))
        return rc;
    if (remembered && (rc < 0 || was.last.seq > last->seq))
        *last = was.last;
    /* It may also have what was never acknowledged, and what is spoilt may be mended: a number is never used twice. */
    if ((k->skipped || k->claim.taken_over || k->shelf.listed != (1u << k->v->n_copies) - 1) &&
        last->seq)
        last->seq = leave_room(k, last->seq);
    if (remembered)
        remember(k, &was);
    k->newest = *last;
    return 0;
}

static int send_job(struct keeper *k, struct err *e)
{
    struct msg_backup m = { .vault_id = k->v->keys.vault_id,
                            .policy = k->job->policy->name,
                            .source = k->source,
                            .compression = k->job->conf->compression,
                            .sources = (struct source_spec *)(uintptr_t)k->job->spec,
                            .n_sources = 1 };
    struct msg_logs l = { .last = k->state.last, .interval_ms = k->job->interval_ms };
    struct wbuf w = WBUF_INIT;
    memcpy(m.recovery_pk, k->v->keys.recovery_pk, PUBLIC_KEY_BYTES);
    msg_logs_write(&w, &m, &l);
    int rc = w.failed ? no_memory(e)
                      : wire_send(session_wire(k->session), FRAME_LOGS, &w, NULL, 0, e);
    wbuf_free(&w);
    return rc;
}

static int begin_copies(struct keeper *k, struct err *e)
{
    int rc = open_vault(k, e);
    if (rc == 0)
        rc = claim(k, k->v, e);
    if (rc == 0)
        rc = shelf_read(k->v, k->source, &k->shelf, e);
    if (rc == 0)
        rc = find_end(k, e);
    if (rc == 0)
        rc = join_copies(k, e);
    return rc == 0 && !k->joined ? err_set(e, ERR_UNREACHABLE, _("no copy takes the log")) : rc;
}

static int begin(struct keeper *k, struct err *e)
{
    int rc = begin_copies(k, e);
    if (rc < 0 && !sys_interrupted())
        probe_slot(k->app, k->job->policy, k->job->conf, k->job->spec);
    if (rc == 0)
        rc = session_start(k->app, k->job->policy->agent, &k->session, e);
    k->asked_s = sys_realtime_s();
    return rc == 0 ? send_job(k, e) : rc;
}

/* That it is followed no more, and why: for those who look. Where not even the end of the stream could be found, what is known of it stays. */
static void say_end(struct keeper *k, const struct err *why)
{
    struct logs_state was = { 0 };
    struct err ignored = ERR_INIT;
    struct logs_state *s = &k->state;
    bool known = s->last.seq > 0;
    if (!known) {
        if (logs_state_read(&k->app->paths, s->policy, &was, &ignored) < 0)
            return;
        s = &was;
    }
    snprintf(s->why, sizeof s->why, "%s",
             why->code == ERR_INTERRUPTED ? _("it was told to end") : why->why);
    if (known) {
        say_state(k, true, false, &ignored);
        return;
    }
    s->running = false;
    s->written_s = sys_realtime_s();
    logs_state_write(&k->app->paths, s, &ignored);
}

int logs_keep(struct app *app, const struct logs_job *j, struct err *e)
{
    struct keeper *k = calloc(1, sizeof *k);
    struct err ignored = ERR_INIT, own = ERR_INIT;
    e = e ? e : &own;
    if (!k)
        return no_memory(e);
    k->app = app;
    k->job = j;
    k->looked_ms = sys_monotonic_ms();
    k->state.since_s = sys_realtime_s();
    snprintf(k->state.policy, sizeof k->state.policy, "%s", j->policy->name);
    snprintf(k->state.kind, sizeof k->state.kind, "%s", j->spec->kind);
    snprintf(k->state.vault, sizeof k->state.vault, "%s", j->conf->name);
    logs_source(j->policy->name, j->spec->kind, k->source);
    int rc = begin(k, e);
    if (rc == 0) {
        log_stream_id(&k->v->keys, k->source, k->stream);
        rc = converse(k, e);
    }
    if (k->session)
        session_end(k->session, true, &ignored);
    say_end(k, e);
    fanout_free(k->fanout);
    log_table_free(k->table);
    wbuf_free(&k->body);
    shelf_done(&k->shelf);
    vault_close(k->v);
    reopen_free(k->owner);
    reopen_free(k->opening);
    free(k);
    return rc < 0 ? rc : -ERR_FAILED;
}
