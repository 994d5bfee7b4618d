/* fetch_remote.c - asking for chunks, opening them on worker threads, and a bounded cache of
 * opened ones. Manual: agents/fetch_remote.h; frames: lib/wire/wire.h; chunk: docs/format.md. */
#include "agents/fetch_remote.h"
#include "agents/log_frames.h"
#include "agents/fetch_keys.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/chunk.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BUCKETS 8192
#define GONE_IDS 4096
#define PIECE_OVERHEAD 256 /* what a piece costs beside its bytes */
#define FIRST_GUESS_BYTES (1u << 20)
#define IDLE_MS 1000 /* how often the receiver looks whether the peer has fallen silent */
#define SPARES 6     /* buffers kept for the next chunks: new memory costs more than a copy */
#define SPARE_MIN_BYTES (128u << 10)
#define SPARE_MAX_BYTES (2u << 20)
#define FRAME_MS 5 /* how long it waits for a frame before it looks around */

enum piece_state { ASKED, SEALED, OPENING, READY, GONE };

/* A piece is in the table from when it is asked for until it is evicted; on the list of those that
 * may be evicted while it is READY or GONE and nobody holds it. */
struct piece {
    struct id id, key_id;
    uint64_t counter;
    enum piece_state state;
    enum chunk_status status;
    unsigned refs, tries;
    bool ahead;         /* asked for ahead and not used yet: counted in ahead_bytes */
    bool spent;         /* was used to its end: then it goes first, but for the first time only */
    uint64_t turn;      /* of those asked for ahead */
    size_t cost;        /* what it counts for, estimated until it is open */
    struct wbuf sealed; /* while SEALED and OPENING */
    struct wbuf plain;
    struct piece *chain; /* of its bucket */
    struct piece *newer, *older, *queued;
};

struct fetch {
    struct wire *w; /* borrowed */
    struct id vault_id;
    struct keyring *keys;
    pthread_mutex_t lock;
    pthread_cond_t work, ready;
    int stop_fd; /* an eventfd: wakes the receiver when it is to stop */
    pthread_t receiver, workers[FETCH_MAX_WORKERS];
    unsigned n_workers;
    bool receiving, stop, broken;
    struct err why; /* when broken */
    struct piece *buckets[BUCKETS];
    struct piece *newest, *oldest;    /* evictable */
    struct piece *queue, **queue_end; /* sealed ones, for the workers */
    struct wbuf spares[SPARES];
    unsigned n_spares;
    unsigned asked, waiting; /* pieces not READY or GONE; threads in fetch_get */
    size_t cached_bytes, ahead_bytes, guess;
    struct { /* of a log's pieces, while it comes */
        struct fetch_log_result got;
        size_t cap;
        bool wanted, whole;
    } list;
    uint64_t turns;
    uint64_t gone
        [GONE_IDS]; /* a part of the ids of what was spent and went: should it come again, that was wrong */
};

/* --- the table (all under the lock) ----------------------------------------------------------- */
static struct piece **bucket_of(struct fetch *f, const struct id *id)
{
    uint32_t h;
    memcpy(&h, id->b, sizeof h); /* an HMAC: any part of it is as good as a hash */
    return &f->buckets[h % BUCKETS];
}

static struct piece *find(struct fetch *f, const struct id *id)
{
    struct piece *p = *bucket_of(f, id);
    while (p && !id_eq(&p->id, id))
        p = p->chain;
    return p;
}

static void unlist(struct fetch *f, struct piece *p)
{
    if (p->newer)
        p->newer->older = p->older;
    else if (f->newest == p)
        f->newest = p->older;
    if (p->older)
        p->older->newer = p->newer;
    else if (f->oldest == p)
        f->oldest = p->newer;
    p->newer = p->older = NULL;
}

static void enlist(struct fetch *f, struct piece *p)
{
    p->newer = NULL;
    p->older = f->newest;
    if (f->newest)
        f->newest->newer = p;
    else
        f->oldest = p;
    f->newest = p;
}

static void enlist_first_to_go(struct fetch *f, struct piece *p)
{
    p->older = NULL;
    p->newer = f->oldest;
    if (f->oldest)
        f->oldest->older = p;
    else
        f->newest = p;
    f->oldest = p;
}

static void not_ahead(struct fetch *f, struct piece *p)
{
    if (p->ahead)
        f->ahead_bytes -= p->cost;
    p->ahead = false;
}

static void spare(struct fetch *f, struct wbuf *b)
{
    if (f->n_spares < SPARES && b->cap >= SPARE_MIN_BYTES && b->cap <= SPARE_MAX_BYTES)
        f->spares[f->n_spares++] = *b;
    else
        wbuf_free(b);
    *b = WBUF_INIT;
}

/* The smallest spare buffer that holds n bytes, or an empty one. */
static struct wbuf take_spare(struct fetch *f, size_t n)
{
    unsigned best = f->n_spares;
    for (unsigned i = 0; i < f->n_spares; i++) {
        if (f->spares[i].cap >= n &&
            (best == f->n_spares || f->spares[i].cap < f->spares[best].cap))
            best = i;
    }
    if (best == f->n_spares || n < SPARE_MIN_BYTES / 2)
        return WBUF_INIT;
    struct wbuf b = f->spares[best];
    f->spares[best] = f->spares[--f->n_spares];
    wbuf_reset(&b);
    return b;
}

static void free_piece(struct fetch *f, struct piece *p)
{
    spare(f, &p->plain);
    spare(f, &p->sealed);
    free(p);
}

/* Where it is noted that a piece was spent, and what stands there then. */
static uint64_t *gone_at(struct fetch *f, const struct id *id, uint64_t *ret)
{
    memcpy(ret, id->b, sizeof *ret);
    return &f->gone[*ret % GONE_IDS];
}

/* It must be on no list any more. */
static void drop(struct fetch *f, struct piece *p)
{
    struct piece **at = bucket_of(f, &p->id);
    while (*at != p)
        at = &(*at)->chain;
    *at = p->chain;
    not_ahead(f, p);
    f->cached_bytes -= p->cost;
    uint64_t mark, *gone = gone_at(f, &p->id, &mark);
    if (p->spent)
        *gone = mark;
    free_piece(f, p);
}

/* Those that were asked for ahead go last: they are needed soon, and what is used again and again would
 * be newer than they are. */
static void evict(struct fetch *f)
{
    while (f->cached_bytes > FETCH_CACHE_BYTES && f->oldest) {
        struct piece *p = f->oldest;
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): unlist() took what was freed off this list */
        while (p && p->ahead)
            p = p->newer;
        if (!p)
            p = f->oldest;
        unlist(f, p);
        drop(f, p);
    }
}

/* Pieces are used in the order in which they were asked for: what should have come before this one
 * was passed over, and is not waited for any longer. */
static void passed_over(struct fetch *f, const struct piece *used)
{
    for (struct piece *p = f->oldest; p; p = p->newer) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what is on the list is not freed */
        if (p->ahead && p->turn < used->turn)
            not_ahead(f, p);
    }
}

static struct piece *ask_for(struct fetch *f, const struct id *id)
{
    struct piece *p = calloc(1, sizeof *p), **bucket = bucket_of(f, id);
    if (!p)
        return NULL;
    uint64_t mark, *gone = gone_at(f, id, &mark);
    p->id = *id;
    p->spent = *gone == mark;
    p->cost = f->guess + PIECE_OVERHEAD;
    p->chain = *bucket;
    *bucket = p;
    f->cached_bytes += p->cost;
    f->asked++;
    evict(f);
    return p;
}

/* The piece has come to its end, one way or the other. */
static void settle(struct fetch *f, struct piece *p, enum piece_state state)
{
    size_t cost = (state == READY ? p->plain.cap : 0) + PIECE_OVERHEAD;
    if (p->ahead)
        f->ahead_bytes = f->ahead_bytes - p->cost + cost;
    f->cached_bytes = f->cached_bytes - p->cost + cost;
    p->cost = cost;
    if (state == READY)
        f->guess = (f->guess * 7 + cost) / 8;
    p->state = state;
    f->asked--;
    if (p->refs == 0)
        enlist(f, p);
    evict(f);
    if (f->waiting > 0)
        pthread_cond_broadcast(&f->ready);
}

static void break_off(struct fetch *f, const struct err *why)
{
    pthread_mutex_lock(&f->lock);
    if (!f->broken) {
        f->broken = true;
        f->why = *why;
    }
    pthread_cond_broadcast(&f->ready);
    pthread_mutex_unlock(&f->lock);
}

/* --- opening ---------------------------------------------------------------------------------- */
static void give_back(struct fetch *f, const struct id *id, const struct err *why)
{
    struct wbuf head = WBUF_INIT;
    struct err e = ERR_INIT;
    size_t n = strlen(why->why);
    wb_id(&head, id);
    wb_blob(&head, why->why, n < MAX_FRAME_TEXT ? n : MAX_FRAME_TEXT);
    if (head.failed)
        err_set(&e, ERR_NOMEM, _("out of memory"));
    if (head.failed || wire_send(f->w, FRAME_BAD, &head, NULL, 0, &e) < 0)
        break_off(f, &e);
    wbuf_free(&head);
}

/* A buffer grown by doubling may be twice as large as what it holds. */
static void trim(struct wbuf *b)
{
    if (b->len == 0 || b->cap - b->len < b->len / 2 + 4096)
        return;
    uint8_t *p = realloc(b->p, b->len);
    if (p) {
        b->p = p;
        b->cap = b->len;
    }
}

static void open_one(struct fetch *f, struct boxes *boxes, struct piece *p)
{
    struct err e = ERR_INIT;
    struct chunk_ref ref = { .id = p->id, .key_id = p->key_id, .counter = p->counter };
    struct chunk_box *box = boxes_get(boxes, &p->key_id, &e);
    int r = box ? chunk_open(box, &ref, p->sealed.p, p->sealed.len, &p->plain, &e) : -(int)e.code;
    trim(&p->plain);
    if (r == -ERR_NOMEM) {
        break_off(f, &e);
        return;
    }
    pthread_mutex_lock(&f->lock);
    spare(f, &p->sealed);
    bool again = r < 0 && ++p->tries < FETCH_MAX_TRIES;
    if (again)
        p->state = ASKED;
    else if (r < 0)
        p->status = CHUNK_LOST;
    if (!again)
        settle(f, p, r < 0 ? GONE : READY);
    pthread_mutex_unlock(&f->lock);
    /* From here on the piece may be gone: a peer that answers before it is asked is possible. */
    if (again)
        give_back(f, &ref.id, &e);
}

static void *work(void *arg)
{
    struct fetch *f = arg;
    struct boxes *boxes = boxes_new(f->keys, &f->vault_id);
    if (!boxes) {
        struct err e = ERR_INIT;
        err_set(&e, ERR_NOMEM, _("out of memory"));
        break_off(f, &e);
        return NULL;
    }
    pthread_mutex_lock(&f->lock);
    for (;;) {
        while (!f->stop && !f->queue)
            pthread_cond_wait(&f->work, &f->lock);
        if (f->stop)
            break;
        struct piece *p = f->queue;
        f->queue = p->queued;
        if (!f->queue)
            f->queue_end = &f->queue;
        p->state = OPENING;
        /* What is packed well needs more room than this; then the buffer grows. */
        p->plain = take_spare(f, f->guess);
        pthread_mutex_unlock(&f->lock);
        open_one(f, boxes, p);
        pthread_mutex_lock(&f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    boxes_free(boxes);
    return NULL;
}

/* --- receiving -------------------------------------------------------------------------------- */
static int copy_sealed(struct fetch *f, const struct msg_chunk *m, struct wbuf *ret, struct err *e)
{
    if (m->sealed_len == 0 || m->sealed_len > MAX_SEALED_BYTES)
        return err_set(e, ERR_PROTOCOL, _("a sealed chunk of %zu bytes"), m->sealed_len);
    pthread_mutex_lock(&f->lock);
    struct wbuf b = take_spare(f, m->sealed_len);
    pthread_mutex_unlock(&f->lock);
    if (!b.p) {
        /* Of just this size: growing would round up. */
        b.p = malloc(m->sealed_len);
        b.cap = m->sealed_len;
    }
    if (!b.p)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    memcpy(b.p, m->sealed, m->sealed_len);
    b.len = m->sealed_len;
    *ret = b;
    return 0;
}

static int take_chunk(struct fetch *f, struct rbuf *payload, struct err *e)
{
    struct msg_chunk m;
    struct wbuf sealed = WBUF_INIT;
    int r = msg_chunk_read(payload, &m, e);
    if (r == 0 && m.status == CHUNK_OK)
        r = copy_sealed(f, &m, &sealed, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&f->lock);
    struct piece *p = find(f, &m.id);
    if (!p || p->state != ASKED) {
        r = err_set(e, ERR_PROTOCOL, _("a chunk came that was not asked for"));
        wbuf_free(&sealed);
    } else if (m.status == CHUNK_OK) {
        p->key_id = m.key_id;
        p->counter = m.counter;
        p->sealed = sealed;
        p->state = SEALED;
        p->queued = NULL;
        *f->queue_end = p;
        f->queue_end = &p->queued;
        pthread_cond_signal(&f->work);
    } else {
        p->status = m.status;
        settle(f, p, GONE);
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

/* --- the list of a log's pieces (under the lock) ------------------------------------------------ */
static int bad_list(struct err *e)
{
    return err_set(e, ERR_PROTOCOL, _("the orchestrator sent a malformed list of a log"));
}

static int take_pieces(struct fetch *f, struct rbuf *payload, struct err *e)
{
    uint64_t n = rb_varint_max(payload, rb_left(payload));
    if (!f->list.wanted || f->list.whole || payload->bad || f->list.got.n + n > MAX_WANTED_PIECES)
        return bad_list(e);
    if (f->list.got.n + n > f->list.cap) {
        size_t cap = 2 * f->list.cap > f->list.got.n + n ? 2 * f->list.cap
                                                         : f->list.got.n + (size_t)n;
        struct log_piece *grown = realloc(f->list.got.pieces, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        f->list.got.pieces = grown;
        f->list.cap = cap;
    }
    for (uint64_t i = 0; i < n && !payload->bad; i++)
        log_piece_read(payload, &f->list.got.pieces[f->list.got.n++]);
    return rb_done(payload) ? 0 : bad_list(e);
}

static int take_list_end(struct fetch *f, struct rbuf *payload, struct err *e)
{
    if (!f->list.wanted || f->list.whole)
        return bad_list(e);
    f->list.got.source = rb_strdup(payload, MAX_FRAME_TEXT);
    f->list.got.why = rb_strdup(payload, MAX_FRAME_TEXT);
    f->list.got.known_ns = rb_zigzag(payload);
    f->list.whole = true;
    return rb_done(payload) && f->list.got.source && f->list.got.why ? 0 : bad_list(e);
}

static int take_frame(struct fetch *f, enum frame_type type, struct rbuf *payload, struct err *e)
{
    switch (type) {
    case FRAME_CHUNK:
        return take_chunk(f, payload, e);
    case FRAME_KEY:
        return keyring_add(f->keys, payload, e);
    case FRAME_LOG_LIST:
    case FRAME_LOG_END:
        pthread_mutex_lock(&f->lock);
        int r = type == FRAME_LOG_LIST ? take_pieces(f, payload, e) : take_list_end(f, payload, e);
        pthread_cond_broadcast(&f->ready);
        pthread_mutex_unlock(&f->lock);
        return r;
    case FRAME_CANCEL:
        return err_set(e, ERR_INTERRUPTED, _("cancelled"));
    default:
        return err_set(e, ERR_PROTOCOL, _("frame %d is not expected here"), (int)type);
    }
}

/* Waits for the peer, but not longer than until it is to stop. */
static int wait_for_peer(struct fetch *f, struct err *e)
{
    struct pollfd p[2] = { { .fd = wire_fd(f->w), .events = POLLIN },
                           { .fd = f->stop_fd, .events = POLLIN } };
    int n = poll(p, 2, IDLE_MS);
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted"));
    if (n < 0 && errno != EINTR)
        return err_sys(e, _("wait for the orchestrator"));
    return n > 0 && p[0].revents ? 0 : -ERR_TIMEOUT;
}

/* PINGs are taken silently, so what counts as silence is judged here, by whether bytes come at all.
 * Asking wire_pending first would keep the frame before in memory beside the one that comes. */
static int receive_turn(struct fetch *f, uint64_t *heard_ms, struct err *e)
{
    enum frame_type type;
    struct rbuf payload;
    int r = wire_recv(f->w, &type, &payload, FRAME_MS, e);
    if (r == 0) {
        *heard_ms = sys_monotonic_ms();
        return take_frame(f, type, &payload, e);
    }
    if (r == -ERR_TIMEOUT)
        r = wait_for_peer(f, e);
    if (r == 0)
        *heard_ms = sys_monotonic_ms();
    if (r != -ERR_TIMEOUT || sys_monotonic_ms() - *heard_ms < WIRE_DEADLINE_MS)
        return r == -ERR_TIMEOUT ? 0 : r;
    return err_set(e, ERR_TIMEOUT, _("nothing was heard from the orchestrator for %u ms"),
                   WIRE_DEADLINE_MS);
}

static void *receive(void *arg)
{
    struct fetch *f = arg;
    uint64_t heard_ms = sys_monotonic_ms();
    for (;;) {
        struct err e = ERR_INIT;
        pthread_mutex_lock(&f->lock);
        bool stop = f->stop;
        pthread_mutex_unlock(&f->lock);
        if (stop)
            return NULL;
        if (receive_turn(f, &heard_ms, &e) < 0) {
            break_off(f, &e);
            return NULL;
        }
    }
}

/* --- for the callers -------------------------------------------------------------------------- */
static void send_get(struct fetch *f, const struct id *id)
{
    struct wbuf head = WBUF_INIT;
    struct err e = ERR_INIT;
    wb_varint(&head, 1);
    wb_id(&head, id);
    if (head.failed)
        err_set(&e, ERR_NOMEM, _("out of memory"));
    if (head.failed || wire_send(f->w, FRAME_GET, &head, NULL, 0, &e) < 0)
        break_off(f, &e);
    wbuf_free(&head);
}

bool fetch_ahead(struct fetch *f, const struct id *id)
{
    bool room = true, ask = false;
    pthread_mutex_lock(&f->lock);
    struct piece *p = find(f, id);
    if (p) {
        /* The newest are the last to be evicted. */
        if ((p->state == READY || p->state == GONE) && p->refs == 0) {
            unlist(f, p);
            enlist(f, p);
        }
    } else if (f->broken) {
        room = false;
    } else if (f->asked >= FETCH_MAX_ASKED || f->ahead_bytes + f->guess > FETCH_AHEAD_BYTES) {
        room = false;
    } else if ((p = ask_for(f, id)) != NULL) {
        p->ahead = true;
        p->turn = f->turns++;
        f->ahead_bytes += p->cost;
        ask = true;
    }
    pthread_mutex_unlock(&f->lock);
    /* Not under the lock: when the wire is full, the receiver must be able to go on. */
    if (ask)
        send_get(f, id);
    return room;
}

struct piece *fetch_peek(struct fetch *f, const struct id *id)
{
    pthread_mutex_lock(&f->lock);
    struct piece *p = find(f, id);
    if (p && p->state != READY)
        p = NULL;
    if (p && p->refs++ == 0)
        unlist(f, p);
    pthread_mutex_unlock(&f->lock);
    return p;
}

static int why_gone(const struct piece *p, struct err *e)
{
    if (p->status == CHUNK_AWAY)
        err_set(e, ERR_UNREACHABLE, _("a copy that may hold its content could not be reached"));
    else
        err_set(e, ERR_DAMAGED, _("its content is damaged or missing in every copy"));
    return FETCH_GONE;
}

int fetch_get(struct fetch *f, const struct id *id, struct piece **ret, struct err *e)
{
    int r = 0;
    bool ask = false;
    pthread_mutex_lock(&f->lock);
    struct piece *p = find(f, id);
    if (!p && !f->broken) {
        p = ask_for(f, id);
        ask = p != NULL;
        if (!p)
            r = err_set(e, ERR_NOMEM, _("out of memory"));
    }
    if (p) {
        if (p->ahead)
            passed_over(f, p);
        not_ahead(f, p);
        if (p->refs++ == 0)
            unlist(f, p);
    }
    if (ask) {
        pthread_mutex_unlock(&f->lock);
        send_get(f, id);
        pthread_mutex_lock(&f->lock);
    }
    f->waiting++;
    while (p && p->state != READY && p->state != GONE && !f->broken)
        pthread_cond_wait(&f->ready, &f->lock);
    f->waiting--;
    if (r == 0 && f->broken) {
        if (e)
            *e = f->why;
        r = -(int)f->why.code;
    } else if (r == 0 && p->state == GONE) {
        r = why_gone(p, e);
    }
    pthread_mutex_unlock(&f->lock);
    if (r == 0)
        *ret = p;
    else
        fetch_put(f, p);
    return r;
}

int fetch_drain(struct fetch *f, struct err *e)
{
    int r = 0;
    pthread_mutex_lock(&f->lock);
    f->waiting++;
    while (f->asked > 0 && !f->broken)
        pthread_cond_wait(&f->ready, &f->lock);
    f->waiting--;
    if (f->broken) {
        if (e)
            *e = f->why;
        r = -(int)f->why.code;
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

bool fetch_broken(struct fetch *f)
{
    pthread_mutex_lock(&f->lock);
    bool broken = f->broken;
    pthread_mutex_unlock(&f->lock);
    return broken;
}

static void put(struct fetch *f, struct piece *p, bool spent)
{
    pthread_mutex_lock(&f->lock);
    assert(p->refs > 0);
    bool first = spent && !p->spent; /* what was wrong once is not believed again */
    p->spent = p->spent || spent;
    if (--p->refs == 0 && (p->state == READY || p->state == GONE)) {
        if (first)
            enlist_first_to_go(f, p);
        else
            enlist(f, p);
        evict(f);
    }
    pthread_mutex_unlock(&f->lock);
}

void fetch_put(struct fetch *f, struct piece *p)
{
    if (p)
        put(f, p, false);
}

void fetch_put_spent(struct fetch *f, struct piece *p)
{
    put(f, p, true);
}

const uint8_t *piece_bytes(const struct piece *p)
{
    return p->plain.p;
}

size_t piece_len(const struct piece *p)
{
    return p->plain.len;
}

int fetch_log_list(struct fetch *f, const struct msg_want_log *want, struct fetch_log_result *ret,
                   struct err *e)
{
    struct wbuf w = WBUF_INIT;
    pthread_mutex_lock(&f->lock);
    f->list.wanted = true;
    pthread_mutex_unlock(&f->lock);
    msg_want_log_write(&w, want);
    int r = wire_send(f->w, FRAME_WANT_LOG, &w, NULL, 0, e);
    wbuf_free(&w);
    pthread_mutex_lock(&f->lock);
    while (r == 0 && !f->list.whole && !f->broken)
        pthread_cond_wait(&f->ready, &f->lock);
    if (r == 0 && !f->list.whole) {
        r = -(int)f->why.code;
        if (e)
            *e = f->why;
    }
    if (r == 0) {
        *ret = f->list.got;
        memset(&f->list, 0, sizeof f->list);
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

/* --- beginning and end ------------------------------------------------------------------------ */
static int start_threads(struct fetch *f)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned want = cpus < 1 ? 1 : cpus > FETCH_MAX_WORKERS ? FETCH_MAX_WORKERS : (unsigned)cpus;
    if (pthread_create(&f->receiver, NULL, receive, f) != 0)
        return -1;
    f->receiving = true;
    while (f->n_workers < want && pthread_create(&f->workers[f->n_workers], NULL, work, f) == 0)
        f->n_workers++;
    return f->n_workers > 0 ? 0 : -1;
}

int fetch_new(struct wire *w, const struct id *vault_id, struct fetch **ret, struct err *e)
{
    struct fetch *f = calloc(1, sizeof *f);
    struct keyring *keys = keyring_new();
    if (!f || !keys) {
        free(f);
        keyring_free(keys);
        return err_set(e, ERR_NOMEM, _("out of memory"));
    }
    f->w = w;
    f->vault_id = *vault_id;
    f->keys = keys;
    f->queue_end = &f->queue;
    f->guess = FIRST_GUESS_BYTES;
    f->stop_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
    pthread_cond_init(&f->ready, NULL);
    if (f->stop_fd < 0 || start_threads(f) < 0) {
        fetch_free(f);
        return err_set(e, ERR_NOMEM, _("no thread could be started"));
    }
    *ret = f;
    return 0;
}

void fetch_free(struct fetch *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
    if (f->stop_fd >= 0)
        (void)eventfd_write(f->stop_fd, 1);
    if (f->receiving)
        pthread_join(f->receiver, NULL);
    for (unsigned i = 0; i < f->n_workers; i++)
        pthread_join(f->workers[i], NULL);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct piece *p = f->buckets[i], *next; p; p = next) {
            next = p->chain;
            free_piece(f, p);
        }
    }
    while (f->n_spares > 0)
        wbuf_free(&f->spares[--f->n_spares]);
    keyring_free(f->keys);
    free(f->list.got.pieces);
    free(f->list.got.source);
    free(f->list.got.why);
    sys_close_quiet(f->stop_fd);
    pthread_cond_destroy(&f->ready);
    pthread_cond_destroy(&f->work);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
