/* log_sink.c - see log_sink.h. */
#include "agents/log_sink.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "lib/vault/recovery.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HEAD_MS 1000

struct sent {
    uint32_t timeline;
    uint64_t end;
    size_t len;
};
struct log_sink {
    struct wire *w;
    struct chunk_box *box;
    struct id vault_id;
    const char *source;
    int level;
    struct log_piece last; /* that was put; seq 0: none, ever */
    uint64_t system, epoch, counter, first_seq;
    bool broken_off; /* the next one begins an epoch */
    struct wbuf sealed;
    uint64_t head_ms;
    /* the listener's */
    pthread_t thread;
    bool listening;
    int event_fd;
    pthread_mutex_t lock;
    uint64_t durable;                  /* seq; 0: none of ours */
    struct sent ring[LOG_SINK_PIECES]; /* by seq modulo its length: what is on its way */
    size_t bytes;
    uint64_t asked_ms; /* since when something waits to be made durable */
    struct err failed; /* code ERR_NONE: not */
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- what the orchestrator says ----------------------------------------------------------------- */
static int take_logged(struct log_sink *k, uint64_t seq, struct err *e)
{
    uint64_t from = k->durable ? k->durable : k->first_seq - 1;
    if (seq < from || seq > k->last.seq)
        return err_set(e, ERR_PROTOCOL,
                       _("the orchestrator names pieces of the log that it has not"));
    for (uint64_t s = from + 1; s <= seq; s++)
        k->bytes -= k->ring[s % LOG_SINK_PIECES].len;
    k->durable = seq;
    k->asked_ms = sys_monotonic_ms();
    return 0;
}

static int hear(struct log_sink *k, struct err *e)
{
    enum frame_type type = FRAME_PING;
    struct rbuf r;
    int rc = wire_recv(k->w, &type, &r, 0, e);
    if (rc < 0)
        return rc;
    if (type == FRAME_CANCEL)
        return err_set(e, ERR_INTERRUPTED, _("the orchestrator has ended it"));
    uint64_t seq = type == FRAME_LOGGED ? rb_varint(&r) : 0;
    if (type != FRAME_LOGGED || !rb_done(&r))
        return err_set(e, ERR_PROTOCOL,
                       _("the orchestrator sent a message that does not belong here"));
    pthread_mutex_lock(&k->lock);
    rc = take_logged(k, seq, e);
    pthread_mutex_unlock(&k->lock);
    return rc;
}

static void *listen_main(void *arg)
{
    struct log_sink *k = arg;
    int rc = 0;
    while (rc == 0) {
        struct err e = ERR_INIT;
        uint64_t one = 1;
        rc = hear(k, &e);
        pthread_mutex_lock(&k->lock);
        if (rc < 0)
            k->failed = e;
        pthread_mutex_unlock(&k->lock);
        if (write(k->event_fd, &one, sizeof one) < 0 && errno != EAGAIN)
            break;
    }
    return NULL;
}

/* --- the beginning ------------------------------------------------------------------------------ */
static int send_key(struct log_sink *k, const struct msg_backup *m, struct err *e)
{
    struct data_key dk;
    uint8_t key[KEY_BYTES];
    struct wbuf head = WBUF_INIT;
    sys_random(&dk.id, sizeof dk.id);
    sys_random(key, sizeof key);
    int rc = data_key_seal(m->recovery_pk, &m->vault_id, &dk.id, key, dk.blob, e);
    k->box = rc == 0 ? chunk_box_new(&m->vault_id, &dk.id, key) : NULL;
    secret_wipe(key, sizeof key);
    if (rc == 0 && !k->box)
        rc = no_memory(e);
    wb_id(&head, &dk.id);
    wb_blob(&head, dk.blob, sizeof dk.blob);
    if (rc == 0)
        rc = wire_send(k->w, FRAME_DATAKEY, &head, NULL, 0, e);
    wbuf_free(&head);
    return rc;
}

static int start_listener(struct log_sink *k, struct err *e)
{
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    k->listening = pthread_create(&k->thread, NULL, listen_main, k) == 0;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return k->listening ? 0 : err_set(e, ERR_NOMEM, _("cannot start a thread"));
}

int log_sink_new(struct wire *w, const struct msg_backup *m, const struct msg_logs *start,
                 struct log_sink **ret, struct err *e)
{
    struct log_sink *k = calloc(1, sizeof *k);
    if (!k)
        return no_memory(e);
    k->w = w;
    k->vault_id = m->vault_id;
    k->source = m->source;
    k->level = (int)m->compression;
    k->last = start->last;
    k->first_seq = start->last.seq + 1;
    k->epoch = start->last.seq ? start->last.epoch : 1;
    k->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&k->lock, NULL);
    int rc = k->event_fd < 0 ? err_sys(e, "eventfd") : send_key(k, m, e);
    if (rc == 0)
        rc = start_listener(k, e);
    if (rc < 0)
        log_sink_free(k);
    else
        *ret = k;
    return rc;
}

/* The listener may wait for the orchestrator for long: it is the process's last job, which ends now. */
void log_sink_free(struct log_sink *k)
{
    if (!k)
        return;
    if (k->listening) {
        pthread_cancel(k->thread);
        pthread_join(k->thread, NULL);
    }
    sys_close_quiet(k->event_fd);
    chunk_box_free(k->box);
    wbuf_free(&k->sealed);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* --- pieces ------------------------------------------------------------------------------------- */
void log_sink_system(struct log_sink *k, uint64_t system)
{
    k->system = system;
}

void log_sink_break(struct log_sink *k)
{
    k->broken_off = k->last.seq > 0;
}

static int send_piece(struct log_sink *k, const struct log_piece *x, struct err *e)
{
    struct wbuf head = WBUF_INIT;
    log_piece_write(&head, x);
    wb_varint(&head, k->counter);
    int rc = wire_send(k->w, FRAME_LOG, &head, k->sealed.p, k->sealed.len, e);
    wbuf_free(&head);
    return rc;
}

int log_sink_put(struct log_sink *k, enum log_kind kind, uint32_t timeline, uint64_t start,
                 const void *p, size_t n, struct err *e)
{
    struct log_piece x = { .seq = k->last.seq + 1,
                           .epoch = k->epoch + k->broken_off,
                           .kind = kind,
                           .system = k->system,
                           .timeline = timeline,
                           .start = start,
                           .end = kind == LOG_BYTES ? start + n : start,
                           .time_ns = sys_realtime_ns(),
                           .len = n };
    struct id id;
    size_t tail = n < LOG_MARKED ? n : LOG_MARKED;
    log_piece_mark((const uint8_t *)p + n - tail, tail, x.mark);
    if (k->last.seq && !k->broken_off && !log_piece_follows(&k->last, &x))
        return err_set(e, ERR_PROTOCOL, _("pieces of a log do not follow one another"));
    log_piece_id(&k->vault_id, k->source, &x, &id);
    wbuf_reset(&k->sealed);
    int rc = chunk_seal(k->box, &id, ++k->counter, k->level, p, n, &k->sealed, e);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&k->lock);
    if (k->bytes == 0)
        k->asked_ms = sys_monotonic_ms();
    k->ring[x.seq % LOG_SINK_PIECES] = (struct sent){ timeline, x.end, n };
    k->bytes += n;
    k->last = x;
    pthread_mutex_unlock(&k->lock);
    k->epoch = x.epoch;
    k->broken_off = false;
    return send_piece(k, &x, e);
}

bool log_sink_full(struct log_sink *k)
{
    pthread_mutex_lock(&k->lock);
    uint64_t from = k->durable ? k->durable : k->first_seq - 1;
    bool full = k->bytes + MAX_LOG_PIECE > LOG_SINK_ROOM ||
                k->last.seq - from + 8 >=
                    LOG_SINK_PIECES; /* a few may come all the same: histories, what is left */
    pthread_mutex_unlock(&k->lock);
    return full;
}

bool log_sink_durable(struct log_sink *k, uint32_t *ret_timeline, uint64_t *ret_position)
{
    pthread_mutex_lock(&k->lock);
    uint64_t seq = k->durable;
    const struct sent *s = &k->ring[seq % LOG_SINK_PIECES];
    *ret_timeline = s->timeline;
    *ret_position = s->end;
    pthread_mutex_unlock(&k->lock);
    return seq > 0;
}

uint64_t log_sink_seq(const struct log_sink *k)
{
    return k->last.seq;
}

uint64_t log_sink_durable_seq(struct log_sink *k)
{
    pthread_mutex_lock(&k->lock);
    uint64_t seq = k->durable ? k->durable : k->first_seq - 1;
    pthread_mutex_unlock(&k->lock);
    return seq;
}

void log_sink_owner(const struct log_sink *k, struct id *ret)
{
    struct wbuf w = WBUF_INIT;
    wb_id(&w, &k->vault_id);
    wb_str(&w, k->source);
    sha256_of(w.p, w.len, ret);
    wbuf_free(&w);
}

/* --- waiting ------------------------------------------------------------------------------------ */
static int check(struct log_sink *k, struct err *e)
{
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
    pthread_mutex_lock(&k->lock);
    struct err failed = k->failed;
    bool late = k->bytes > 0 && sys_monotonic_ms() - k->asked_ms > LOG_SINK_REPLY_MS;
    pthread_mutex_unlock(&k->lock);
    if (failed.code != ERR_NONE) {
        if (e)
            *e = failed;
        return -(int)failed.code;
    }
    return late ? err_set(e, ERR_TIMEOUT,
                          _("the orchestrator has made nothing durable for %u minutes"),
                          LOG_SINK_REPLY_MS / 60000)
                : 0;
}

int log_sink_wait(struct log_sink *k, int fd, unsigned ms, bool *ret_readable, struct err *e)
{
    struct pollfd p[2] = { { .fd = k->event_fd, .events = POLLIN },
                           { .fd = fd, .events = POLLIN } };
    uint64_t news;
    int rc = check(k, e);
    *ret_readable = false;
    if (rc < 0)
        return rc;
    if (poll(p, 2, (int)ms) < 0 && errno != EINTR)
        return err_sys(e, "poll");
    if (p[0].revents && read(k->event_fd, &news, sizeof news) < 0 && errno != EAGAIN)
        return err_sys(e, "eventfd");
    *ret_readable = fd >= 0 && p[1].revents != 0;
    return check(k, e);
}

int log_sink_head(struct log_sink *k, uint32_t timeline, uint64_t position, struct err *e)
{
    uint64_t now = sys_monotonic_ms();
    if (k->head_ms && now - k->head_ms < HEAD_MS)
        return 0;
    k->head_ms = now;
    struct wbuf w = WBUF_INIT;
    struct msg_log_head m = { timeline, position, sys_realtime_ns() };
    msg_log_head_write(&w, &m);
    int rc = wire_send(k->w, FRAME_LOG_HEAD, &w, NULL, 0, e);
    wbuf_free(&w);
    return rc;
}
