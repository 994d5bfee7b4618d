/* pipeline.c - see agents/pipeline.h. Chunk ids, sealing and data keys: docs/format.md; frames:
 * docs/protocol.md.
 *
 * Locks: `lock` guards the queues and is held for moments; `ask_lock` keeps the order of HAVE frames the
 * order of `asked` and is held while a frame is sent. The receiver takes only `lock`, so answers are
 * taken in even when the peer is slow to read. */
#include "agents/pipeline.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/hpke.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define MET_SLOTS 4096 /* a power of two, at most 2^16 */

struct queue {
    struct chunk_buf *head, **tail;
};

struct window_slot {
    _Atomic uint64_t done; /* seq + 1 of the chunk whose id this is */
    struct id id;
};

struct worker {
    struct pipeline *p;
    pthread_t thread;
    struct chunk_box *box;
    struct hmac *hmac;
    struct wbuf sealed, head;
};

struct pipeline {
    struct wire *w;
    int level;
    pthread_mutex_t lock, ask_lock;
    pthread_cond_t work, free_cv, hashed_cv, idle_cv;
    struct queue to_hash, to_seal, asked, free_list;
    size_t in_flight; /* submitted, and neither there nor sent yet */
    bool waiting_hashed, stop;
    struct id met[MET_SLOTS];

    bool failed;
    _Atomic bool failed_fast;
    struct err why;
    bool committed;
    struct id committed_id;

    struct window_slot *window;
    uint64_t next_seq; /* the filling thread's */
    _Atomic uint64_t counter, bytes_sent;
    uint8_t *pool;
    struct chunk_buf bufs[PIPELINE_BUFFERS];
    struct chunk_box *body_box;
    struct worker workers[PIPELINE_MAX_WORKERS];
    unsigned n_workers, started;
    pthread_t receiver;
    bool receiving;
    int stop_fd;
};

/* --- queues ----------------------------------------------------------------------------------- */
static void queue_init(struct queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static void push(struct queue *q, struct chunk_buf *b)
{
    b->next = NULL;
    *q->tail = b;
    q->tail = &b->next;
}

static struct chunk_buf *pop(struct queue *q)
{
    struct chunk_buf *b = q->head;
    if (b && !(q->head = b->next))
        q->tail = &q->head;
    return b;
}

/* --- failure ---------------------------------------------------------------------------------- */
static void fail_locked(struct pipeline *p, const struct err *e)
{
    if (!p->failed) {
        p->failed = true;
        p->why = *e;
        atomic_store(&p->failed_fast, true);
    }
    pthread_cond_broadcast(&p->work);
    pthread_cond_broadcast(&p->free_cv);
    pthread_cond_broadcast(&p->hashed_cv);
    pthread_cond_broadcast(&p->idle_cv);
}

void pipeline_fail(struct pipeline *p, const struct err *e)
{
    pthread_mutex_lock(&p->lock);
    fail_locked(p, e);
    pthread_mutex_unlock(&p->lock);
}

static int failure(struct pipeline *p, struct err *e)
{
    if (e)
        *e = p->why;
    return -(int)p->why.code;
}

int pipeline_check(struct pipeline *p, struct err *e)
{
    if (!atomic_load_explicit(&p->failed_fast, memory_order_relaxed))
        return 0;
    pthread_mutex_lock(&p->lock);
    int rc = failure(p, e);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* --- chunks in flight -------------------------------------------------------------------------- */
/* True when this chunk was met in this session, not so long ago that it is forgotten: then it is there, or
 * will be sent before the snapshot is. Remembers it. Under the lock. */
static bool met_before(struct pipeline *p, const struct id *id)
{
    struct id *slot = &p->met[(id->b[0] | (size_t)id->b[1] << 8) & (MET_SLOTS - 1)];
    bool met = id_eq(slot, id);
    *slot = *id;
    return met;
}

/* The chunk is in the vault, or on its way there. Under the lock. */
static void settle(struct pipeline *p, struct chunk_buf *b)
{
    if (b->pooled) {
        push(&p->free_list, b);
        pthread_cond_signal(&p->free_cv);
    } else {
        free(b);
    }
    if (--p->in_flight == 0)
        pthread_cond_broadcast(&p->idle_cv);
}

static struct chunk_buf *number(struct pipeline *p, struct chunk_buf *b)
{
    b->len = 0;
    b->seq = p->next_seq++;
    return b;
}

void pipeline_renumber(struct pipeline *p, struct chunk_buf *b)
{
    assert(b->len == 0);
    b->seq = p->next_seq++;
}

struct chunk_buf *pipeline_buffer(struct pipeline *p, struct err *e)
{
    struct chunk_buf *b = NULL;
    pthread_mutex_lock(&p->lock);
    while (!p->failed && !(b = pop(&p->free_list)))
        pthread_cond_wait(&p->free_cv, &p->lock);
    if (!b)
        failure(p, e);
    pthread_mutex_unlock(&p->lock);
    return b ? number(p, b) : NULL;
}

struct chunk_buf *pipeline_buffer_of(struct pipeline *p, size_t n, struct err *e)
{
    if (n <= PIPELINE_BUFFER_BYTES)
        return pipeline_buffer(p, e);
    struct chunk_buf *b = malloc(sizeof *b + n);
    if (!b) {
        err_set(e, ERR_NOMEM, _("no memory"));
        return NULL;
    }
    *b = (struct chunk_buf){ .p = (uint8_t *)(b + 1), .cap = n };
    return number(p, b);
}

void pipeline_submit(struct pipeline *p, struct chunk_buf *b)
{
    assert(b->len > 0 && b->len <= b->cap);
    pthread_mutex_lock(&p->lock);
    p->in_flight++;
    push(&p->to_hash, b);
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

void pipeline_discard(struct pipeline *p, struct chunk_buf *b)
{
    pthread_mutex_lock(&p->lock);
    if (b->pooled)
        push(&p->free_list, b);
    else
        free(b);
    pthread_mutex_unlock(&p->lock);
}

/* --- ids -------------------------------------------------------------------------------------- */
static struct window_slot *slot_of(const struct pipeline *p, uint64_t seq)
{
    return &p->window[seq & (PIPELINE_WINDOW - 1)];
}

bool pipeline_is_hashed(const struct pipeline *p, uint64_t seq)
{
    return atomic_load_explicit(&slot_of(p, seq)->done, memory_order_acquire) == seq + 1;
}

const struct id *pipeline_id(const struct pipeline *p, uint64_t seq)
{
    assert(pipeline_is_hashed(p, seq));
    return &slot_of(p, seq)->id;
}

int pipeline_wait_hashed(struct pipeline *p, uint64_t seq, struct err *e)
{
    int rc = 0;
    if (pipeline_is_hashed(p, seq))
        return 0;
    pthread_mutex_lock(&p->lock);
    p->waiting_hashed = true;
    while (!p->failed && !pipeline_is_hashed(p, seq))
        pthread_cond_wait(&p->hashed_cv, &p->lock);
    p->waiting_hashed = false;
    if (p->failed)
        rc = failure(p, e);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* --- workers ---------------------------------------------------------------------------------- */
static int ask(struct worker *k, struct chunk_buf *b, struct err *e)
{
    struct pipeline *p = k->p;
    wbuf_reset(&k->head);
    wb_varint(&k->head, 1);
    wb_id(&k->head, &b->id);
    pthread_mutex_lock(&p->ask_lock);
    pthread_mutex_lock(&p->lock);
    push(&p->asked, b);
    pthread_mutex_unlock(&p->lock);
    int rc = wire_send(p->w, FRAME_HAVE, &k->head, NULL, 0, e);
    pthread_mutex_unlock(&p->ask_lock);
    return rc;
}

static int hash(struct worker *k, struct chunk_buf *b, struct err *e)
{
    struct pipeline *p = k->p;
    hmac_of(k->hmac, b->p, b->len, &b->id);
    struct window_slot *s = slot_of(p, b->seq);
    s->id = b->id;
    atomic_store_explicit(&s->done, b->seq + 1, memory_order_release);
    pthread_mutex_lock(&p->lock);
    if (p->waiting_hashed)
        pthread_cond_broadcast(&p->hashed_cv);
    bool met = met_before(p, &b->id);
    if (met)
        settle(p, b);
    pthread_mutex_unlock(&p->lock);
    return met ? 0 : ask(k, b, e);
}

static int seal_and_send(struct worker *k, struct chunk_buf *b, struct err *e)
{
    struct pipeline *p = k->p;
    uint64_t counter = atomic_fetch_add(&p->counter, 1);
    wbuf_reset(&k->sealed);
    wbuf_reset(&k->head);
    wb_id(&k->head, &b->id);
    wb_varint(&k->head, counter);
    if (chunk_seal(k->box, &b->id, counter, p->level, b->p, b->len, &k->sealed, e) < 0 ||
        wire_send(p->w, FRAME_PUT, &k->head, k->sealed.p, k->sealed.len, e) < 0)
        return -e->code;
    atomic_fetch_add(&p->bytes_sent, b->len);
    pthread_mutex_lock(&p->lock);
    settle(p, b);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

uint64_t pipeline_bytes_sent(const struct pipeline *p)
{
    return atomic_load(&p->bytes_sent);
}

static void *work(void *arg)
{
    struct worker *k = arg;
    struct pipeline *p = k->p;
    struct err e = ERR_INIT;
    for (;;) {
        struct chunk_buf *seal = NULL, *b = NULL;
        pthread_mutex_lock(&p->lock);
        /* Sealing first: it is what frees memory. */
        while (!p->stop && !p->failed && !(seal = pop(&p->to_seal)) && !(b = pop(&p->to_hash)))
            pthread_cond_wait(&p->work, &p->lock);
        pthread_mutex_unlock(&p->lock);
        if (!seal && !b)
            return NULL;
        int rc = seal ? seal_and_send(k, seal, &e) : hash(k, b, &e);
        if (rc < 0) {
            pipeline_fail(p, &e);
            return NULL;
        }
    }
}

/* --- the receiver ------------------------------------------------------------------------------ */
static int take_had(struct pipeline *p, struct rbuf *r, struct err *e)
{
    uint64_t n = rb_varint_max(r, MAX_FRAME_IDS);
    const uint8_t *bits = rb_bytes(r, (n + 7) / 8);
    int rc = rb_done(r) && bits ? 0 : err_set(e, ERR_PROTOCOL, _("malformed answer to HAVE"));
    pthread_mutex_lock(&p->lock);
    for (uint64_t i = 0; rc == 0 && bits && i < n; i++) {
        struct chunk_buf *b = pop(&p->asked);
        if (!b) {
            rc = err_set(e, ERR_PROTOCOL, _("an answer to a question that was not asked"));
        } else if (bits[i / 8] >> (i % 8) & 1) {
            settle(p, b);
        } else {
            push(&p->to_seal, b);
            pthread_cond_signal(&p->work);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static int take_frame(struct pipeline *p, enum frame_type type, struct rbuf *r, struct err *e)
{
    switch (type) {
    case FRAME_HAD:
        return take_had(p, r, e);
    case FRAME_CANCEL:
        return err_set(e, ERR_INTERRUPTED, _("cancelled by the orchestrator"));
    case FRAME_COMMITTED:
        pthread_mutex_lock(&p->lock);
        rb_id(r, &p->committed_id);
        p->committed = rb_done(r);
        pthread_cond_broadcast(&p->idle_cv);
        pthread_mutex_unlock(&p->lock);
        return p->committed ? 0 : err_set(e, ERR_PROTOCOL, _("malformed COMMITTED"));
    default:
        return err_set(e, ERR_PROTOCOL, _("a message of type %d that does not belong here"),
                       (int)type);
    }
}

/* Waits until the peer says something, whatever it is; 1 when the pipeline is to stop. */
static int wait_for_peer(struct pipeline *p, struct err *e)
{
    struct pollfd fds[] = { { .fd = wire_fd(p->w), .events = POLLIN },
                            { .fd = p->stop_fd, .events = POLLIN } };
    if (wire_pending(p->w))
        return 0;
    for (;;) {
        int n = poll(fds, 2, WIRE_DEADLINE_MS);
        if (n == 0)
            return err_set(e, ERR_TIMEOUT, _("nothing was heard from the orchestrator for %d s"),
                           WIRE_DEADLINE_MS / 1000);
        if (n < 0 && sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
        if (n < 0 && errno != EINTR)
            return err_sys(e, _("wait for the orchestrator"));
        if (n > 0)
            return fds[1].revents != 0;
    }
}

static void *receive(void *arg)
{
    struct pipeline *p = arg;
    struct err e = ERR_INIT;
    int rc = 0;
    while (rc == 0 && !p->committed) {
        enum frame_type type;
        struct rbuf r;
        rc = wait_for_peer(p, &e);
        if (rc != 0)
            break;
        /* A PING is taken silently and half a frame is kept: so wait for a moment only, and then for
         * the next sign of life. */
        rc = wire_recv(p->w, &type, &r, 1, &e);
        if (rc == -ERR_TIMEOUT)
            rc = 0;
        else if (rc == 0)
            rc = take_frame(p, type, &r, &e);
    }
    if (rc < 0)
        pipeline_fail(p, &e);
    return NULL;
}

/* --- the whole --------------------------------------------------------------------------------- */
static int send_data_key(struct pipeline *p, const struct pipeline_opts *o, const struct id *key_id,
                         const uint8_t key[KEY_BYTES], struct err *e)
{
    static const char info[] = "twofold v1 data key";
    uint8_t aad[2 * ID_BYTES], sealed[KEY_BYTES + HPKE_OVERHEAD_BYTES];
    struct wbuf head = WBUF_INIT;
    memcpy(aad, o->vault_id.b, ID_BYTES);
    memcpy(aad + ID_BYTES, key_id->b, ID_BYTES);
    struct hpke_text t = {
        .info = info, .info_len = sizeof info - 1, .aad = aad, .aad_len = sizeof aad
    };
    int rc = hpke_seal(o->recovery_pk, &t, key, KEY_BYTES, sealed, e);
    if (rc == 0) {
        wb_id(&head, key_id);
        wb_blob(&head, sealed, sizeof sealed);
        rc = wire_send(p->w, FRAME_DATAKEY, &head, NULL, 0, e);
    }
    wbuf_free(&head);
    return rc;
}

static int make_keys(struct pipeline *p, const struct pipeline_opts *o, struct err *e)
{
    struct id key_id;
    uint8_t key[KEY_BYTES];
    sys_random(&key_id, sizeof key_id);
    sys_random(key, sizeof key);
    int rc = send_data_key(p, o, &key_id, key, e);
    p->body_box = chunk_box_new(&o->vault_id, &key_id, key);
    for (unsigned i = 0; i < p->n_workers; i++) {
        struct worker *k = &p->workers[i];
        k->p = p;
        k->box = chunk_box_new(&o->vault_id, &key_id, key);
        k->hmac = hmac_new(o->dedup_key);
        if (rc == 0 && (!k->box || !k->hmac || !p->body_box))
            rc = err_set(e, ERR_NOMEM, _("no memory"));
    }
    secret_wipe(key, sizeof key);
    return rc;
}

static int make_buffers(struct pipeline *p, struct err *e)
{
    size_t bytes = (size_t)PIPELINE_BUFFERS * PIPELINE_BUFFER_BYTES;
    p->window = calloc(PIPELINE_WINDOW, sizeof *p->window);
    void *pool = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p->pool = pool == MAP_FAILED ? NULL : pool;
    if (!p->window || !p->pool)
        return err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; i < PIPELINE_BUFFERS; i++) {
        p->bufs[i].p = p->pool + i * PIPELINE_BUFFER_BYTES;
        p->bufs[i].cap = PIPELINE_BUFFER_BYTES;
        p->bufs[i].pooled = true;
        push(&p->free_list, &p->bufs[i]);
    }
    return 0;
}

static int start_threads(struct pipeline *p, struct err *e)
{
    for (; p->started < p->n_workers; p->started++) {
        struct worker *k = &p->workers[p->started];
        if ((errno = pthread_create(&k->thread, NULL, work, k)) != 0)
            return err_sys(e, _("start a thread"));
    }
    if ((errno = pthread_create(&p->receiver, NULL, receive, p)) != 0)
        return err_sys(e, _("start a thread"));
    p->receiving = true;
    return 0;
}

static unsigned processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > PIPELINE_MAX_WORKERS ? PIPELINE_MAX_WORKERS : (unsigned)n;
}

int pipeline_new(const struct pipeline_opts *o, struct pipeline **ret, struct err *e)
{
    struct pipeline *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, _("no memory"));
    p->w = o->w;
    p->level = o->level;
    p->n_workers = o->workers && o->workers <= PIPELINE_MAX_WORKERS ? o->workers : processors();
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->ask_lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->free_cv, NULL);
    pthread_cond_init(&p->hashed_cv, NULL);
    pthread_cond_init(&p->idle_cv, NULL);
    queue_init(&p->to_hash);
    queue_init(&p->to_seal);
    queue_init(&p->asked);
    queue_init(&p->free_list);
    p->stop_fd = eventfd(0, EFD_CLOEXEC);
    int rc = p->stop_fd < 0 ? err_sys(e, "eventfd") : make_buffers(p, e);
    if (rc == 0)
        rc = make_keys(p, o, e);
    if (rc == 0)
        rc = start_threads(p, e);
    if (rc < 0) {
        pipeline_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

static void stop_threads(struct pipeline *p)
{
    uint64_t one = 1;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    p->started = 0;
    if (p->receiving && write(p->stop_fd, &one, sizeof one) == (ssize_t)sizeof one)
        pthread_join(p->receiver, NULL);
    p->receiving = false;
}

static void free_queue(struct queue *q)
{
    for (struct chunk_buf *b; (b = pop(q));)
        if (!b->pooled)
            free(b);
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    stop_threads(p);
    free_queue(&p->to_hash);
    free_queue(&p->to_seal);
    free_queue(&p->asked);
    for (unsigned i = 0; i < p->n_workers; i++) {
        chunk_box_free(p->workers[i].box);
        hmac_free(p->workers[i].hmac);
        wbuf_free(&p->workers[i].sealed);
        wbuf_free(&p->workers[i].head);
    }
    chunk_box_free(p->body_box);
    if (p->pool)
        munmap(p->pool, (size_t)PIPELINE_BUFFERS * PIPELINE_BUFFER_BYTES);
    free(p->window);
    if (p->stop_fd >= 0)
        close(p->stop_fd);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->ask_lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->free_cv);
    pthread_cond_destroy(&p->hashed_cv);
    pthread_cond_destroy(&p->idle_cv);
    free(p);
}

int pipeline_finish(struct pipeline *p, struct err *e)
{
    pthread_mutex_lock(&p->lock);
    while (!p->failed && p->in_flight > 0)
        pthread_cond_wait(&p->idle_cv, &p->lock);
    int rc = p->failed ? failure(p, e) : 0;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int pipeline_committed(struct pipeline *p, struct id *ret, struct err *e)
{
    pthread_mutex_lock(&p->lock);
    while (!p->failed && !p->committed)
        pthread_cond_wait(&p->idle_cv, &p->lock);
    int rc = p->committed ? 0 : failure(p, e);
    if (rc == 0)
        *ret = p->committed_id;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

struct chunk_box *pipeline_box(struct pipeline *p)
{
    return p->body_box;
}
