/* wire.c - frames over a stream: sending whole under a lock, receiving with a deadline, the
 * handshake. docs/protocol.md. */
#include "lib/wire/wire_impl.h"
#include "lib/base/i18n.h"
#include "lib/base/rate.h"
#include "lib/base/sys.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADER_BYTES 5
#define FIRST_BUFFER_BYTES (64u << 10)

struct wire {
    int in, out;
    bool own, out_is_socket;
    char *peer;
    unsigned deadline_ms, send_deadline_ms;
    bool lets_pause;
    _Atomic uint64_t paused_ms; /* when the last PAUSE came */
    struct rate *limits[MAX_WIRE_LIMITS];
    char version[MAX_NAME_BYTES + 1]; /* of the peer's program; from its greeting */
    pthread_mutex_t send_lock;
    bool told;        /* the peer has said why it stops */
    bool send_broken; /* a frame was sent in part: nothing can follow it */
    uint8_t *buf;     /* what was received: [at, end) is still to come */
    size_t cap, at, end;
    size_t lent;       /* bytes of the frame at `at` that the caller borrows */
    uint8_t *lent_buf; /* an older buffer in which the borrowed frame lies */
    uint64_t stall_at; /* 0: none */
    unsigned stall_ms;
};

/* --- making ----------------------------------------------------------------------------------- */
static void set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

struct wire *wire_new(int in_fd, int out_fd, bool own)
{
    struct wire *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->buf = malloc(FIRST_BUFFER_BYTES);
    if (!w->buf || pthread_mutex_init(&w->send_lock, NULL) != 0) {
        free(w->buf);
        free(w);
        return NULL;
    }
    w->cap = FIRST_BUFFER_BYTES;
    w->in = in_fd;
    w->out = out_fd;
    w->own = own;
    w->deadline_ms = WIRE_DEADLINE_MS;
    w->send_deadline_ms = WIRE_SEND_DEADLINE_MS;
    set_nonblocking(in_fd);
    set_nonblocking(out_fd);
    struct stat st;
    w->out_is_socket = fstat(out_fd, &st) == 0 && S_ISSOCK(st.st_mode);
    return w;
}

void wire_free(struct wire *w)
{
    if (!w)
        return;
    if (w->own) {
        sys_close_quiet(w->in);
        if (w->out != w->in)
            sys_close_quiet(w->out);
    }
    pthread_mutex_destroy(&w->send_lock);
    free(w->peer);
    free(w->buf);
    free(w->lent_buf);
    free(w);
}

void wire_set_peer(struct wire *w, const char *peer)
{
    free(w->peer);
    w->peer = peer ? strdup(peer) : NULL;
}

void wire_set_deadline(struct wire *w, unsigned ms)
{
    w->deadline_ms = ms;
}

void wire_set_send_deadline(struct wire *w, unsigned ms)
{
    w->send_deadline_ms = ms;
}

void wire_let_pause(struct wire *w)
{
    w->lets_pause = true;
}

void wire_add_limit(struct wire *w, struct rate *r)
{
    size_t i = 0;
    while (i < MAX_WIRE_LIMITS && w->limits[i])
        i++;
    assert(i < MAX_WIRE_LIMITS);
    w->limits[i] = r;
}

static int pay(struct wire *w, size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < MAX_WIRE_LIMITS && rc == 0; i++)
        rc = rate_take(w->limits[i], n, e);
    return rc;
}

const char *wire_peer_version(const struct wire *w)
{
    return w->version;
}

int wire_fd(const struct wire *w)
{
    return w->in;
}

/* Says whose connection it was, where that is known. */
static int from_peer(struct wire *w, int rc, struct err *e)
{
    if (w->peer && e)
        err_wrap(e, "%s", w->peer);
    return rc;
}

static int remaining_ms(uint64_t deadline)
{
    uint64_t now = sys_monotonic_ms(), left = now >= deadline ? 0 : deadline - now;
    return left > INT_MAX ? INT_MAX : (int)left;
}

static int closed(struct err *e)
{
    int rc = err_set(e, ERR_UNREACHABLE, _("the connection was closed by the other side"));
    err_next(e, _("look there for why it ended, then run the same command again"));
    return rc;
}

/* --- sending ---------------------------------------------------------------------------------- */
/* One write of as much as goes; no SIGPIPE where that can be asked for. */
static ssize_t write_some(struct wire *w, struct iovec *v, int n)
{
    if (!w->out_is_socket)
        return writev(w->out, v, n);
    struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)n };
    return sendmsg(w->out, &m, MSG_NOSIGNAL);
}

/* begun_ms: since when the frame is to be sent. */
static int wait_to_send(struct wire *w, uint64_t begun_ms, struct err *e)
{
    for (;;) {
        uint64_t paused = atomic_load(&w->paused_ms), from = paused > begun_ms ? paused : begun_ms;
        int rc = sys_wait_fd(w->out, POLLOUT, remaining_ms(from + w->send_deadline_ms), e);
        if (rc != -ERR_TIMEOUT)
            return rc;
        if (atomic_load(&w->paused_ms) <= from)
            return err_set(e, ERR_TIMEOUT, _("the other side took nothing for %u ms"),
                           w->send_deadline_ms);
        err_clear(e);
    }
}

static int write_all(struct wire *w, struct iovec *v, int n, struct err *e)
{
    uint64_t since = sys_monotonic_ms();
    bool begun = false;
    int rc = 0;
    while (n > 0 && rc == 0) {
        if (v->iov_len == 0) {
            v++, n--;
            continue;
        }
        ssize_t got = write_some(w, v, n);
        if (got < 0 && errno == EAGAIN)
            rc = wait_to_send(w, since, e);
        else if (got < 0 && (errno == EPIPE || errno == ECONNRESET))
            rc = closed(e);
        else if (got < 0 && errno != EINTR)
            rc = err_sys(e, _("send"));
        for (size_t left = got > 0 ? (size_t)got : 0; left > 0 && n > 0; begun = true) {
            size_t part = left < v->iov_len ? left : v->iov_len;
            v->iov_base = (uint8_t *)v->iov_base + part;
            v->iov_len -= part;
            left -= part;
            if (v->iov_len == 0)
                v++, n--;
        }
    }
    if (rc < 0 && begun)
        w->send_broken = true;
    return rc;
}

int wire_send(struct wire *w, enum frame_type type, const struct wbuf *head, const void *body,
              size_t body_len, struct err *e)
{
    size_t head_len = head ? head->len : 0;
    if (head && head->failed)
        return err_set(e, ERR_NOMEM, _("no memory for a message"));
    if (head_len > MAX_FRAME_BYTES || body_len > MAX_FRAME_BYTES - head_len)
        return err_set(e, ERR_LIMIT, _("a message is longer than %u bytes"), MAX_FRAME_BYTES);
    uint32_t len = (uint32_t)(head_len + body_len);
    uint8_t header[HEADER_BYTES] = { (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16),
                                     (uint8_t)(len >> 24), (uint8_t)type };
    struct iovec v[] = { { header, sizeof header },
                         { head ? head->p : NULL, head_len },
                         { (void *)(uintptr_t)body, body_len } };
    int rc = type == FRAME_PING || type == FRAME_PAUSE ? 0 : pay(w, HEADER_BYTES + len, e);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&w->send_lock);
    rc = w->send_broken ? err_set(e, ERR_UNREACHABLE, _("the connection is broken"))
                        : write_all(w, v, 3, e);
    pthread_mutex_unlock(&w->send_lock);
    return rc < 0 ? from_peer(w, rc, e) : 0;
}

void wire_send_error(struct wire *w, const struct err *e)
{
    struct wbuf b = WBUF_INIT;
    wb_varint(&b, (uint64_t)e->code);
    wire_put_text(&b, e->what, strlen(e->what));
    wire_put_text(&b, e->why, strlen(e->why));
    wire_put_text(&b, e->next, strlen(e->next));
    (void)wire_send(w, FRAME_ERROR, &b, NULL, 0, NULL);
    wbuf_free(&b);
}

/* --- receiving -------------------------------------------------------------------------------- */
static bool known(unsigned type)
{
    return (type >= FRAME_HELLO && type <= FRAME_PING) ||
           (type >= FRAME_BACKUP && type <= FRAME_HOST) ||
           (type >= FRAME_HAVE && type <= FRAME_FACTS);
}

static size_t frame_len(const uint8_t *p)
{
    return p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

/* How many bytes must be in the buffer before there is a frame, as far as can be told by now;
 * 0: what comes cannot be a frame. */
static size_t wanted(const struct wire *w)
{
    const uint8_t *p = w->buf + w->at + w->lent;
    size_t have = w->end - w->at - w->lent;
    if (have < HEADER_BYTES)
        return HEADER_BYTES;
    size_t len = frame_len(p);
    return len > MAX_FRAME_BYTES || !known(p[4]) ? 0 : HEADER_BYTES + len;
}

/* Makes room for `want` bytes of what is to come. A borrowed frame stays where it is. */
static int make_room(struct wire *w, size_t want, struct err *e)
{
    size_t from = w->at + w->lent, have = w->end - from;
    if (w->cap - from >= want && w->end < w->cap)
        return 0;
    if (w->lent > 0 || want > w->cap) {
        size_t cap = want > FIRST_BUFFER_BYTES ? want : FIRST_BUFFER_BYTES;
        uint8_t *p = malloc(cap);
        if (!p)
            return err_set(e, ERR_NOMEM, _("no memory for a message of %zu bytes"), want);
        memcpy(p, w->buf + from, have);
        if (w->lent > 0)
            w->lent_buf = w->buf;
        else
            free(w->buf);
        w->buf = p;
        w->cap = cap;
        w->lent = 0;
    } else
        memmove(w->buf, w->buf + from, have);
    w->at = 0;
    w->end = have;
    return 0;
}

/* Reads what is there without waiting. 1: something came; 0: nothing now; negative: an error. */
static int read_some(struct wire *w, struct err *e)
{
    for (;;) {
        ssize_t n = read(w->in, w->buf + w->end, w->cap - w->end);
        if (n > 0) {
            w->end += (size_t)n;
            return 1;
        }
        if (n == 0 || errno == ECONNRESET)
            return closed(e);
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR)
            return err_sys(e, _("receive"));
    }
}

/* 1: a whole frame is in the buffer; 0: not yet, and nothing more has come; negative: an error. */
static int fill(struct wire *w, struct err *e)
{
    for (;;) {
        size_t want = wanted(w), have = w->end - w->at - w->lent;
        if (want == 0)
            return err_set(e, ERR_PROTOCOL, _("what came is not a message of the protocol"));
        if (have >= HEADER_BYTES && have >= want)
            return 1;
        int rc = make_room(w, want, e);
        if (rc == 0)
            rc = read_some(w, e);
        if (rc <= 0)
            return rc;
    }
}

/* Length of the UTF-8 character at p that a terminal may show, 0 when there is none. */
static size_t printable(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7F;
    size_t len = p[0] >= 0xC2 && p[0] < 0xE0   ? 2
                 : (p[0] & 0xF0) == 0xE0       ? 3
                 : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                               : 0;
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xC2 && p[1] < 0xA0) || (p[0] == 0xE0 && p[1] < 0xA0) ||
        (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return len;
}

/* Text of a peer, for people: what could drive a terminal becomes '?'. */
static void sanitise(char *out, size_t out_bytes, const uint8_t *p, size_t n)
{
    size_t at = 0;
    while (n > 0) {
        size_t len = printable(p, n), step = len ? len : 1;
        if (at + step >= out_bytes)
            break;
        if (len)
            memcpy(out + at, p, len);
        else
            out[at] = '?';
        at += step;
        p += step;
        n -= step;
    }
    out[at] = '\0';
}

/* Turns the peer's ERROR frame into our error. */
static int take_error(struct rbuf *r, struct err *e)
{
    char text[3][MAX_FRAME_TEXT + 1];
    uint64_t code = rb_varint(r);
    for (int i = 0; i < 3; i++) {
        size_t n;
        const uint8_t *p = rb_blob(r, MAX_FRAME_TEXT, &n);
        sanitise(text[i], sizeof text[i], p, n);
    }
    if (!rb_done(r))
        return err_set(e, ERR_PROTOCOL, _("the other side failed but could not say why"));
    if (code == ERR_NONE || code >= ERR_CODES)
        code = ERR_FAILED;
    int rc = err_set(e, (enum err_code)code, "%s", text[1]);
    if (text[0][0])
        err_wrap(e, "%s", text[0]);
    if (text[2][0])
        err_next(e, "%s", text[2]);
    return rc;
}

/* What was lent is not needed any more. */
static void give_back(struct wire *w)
{
    w->at += w->lent;
    w->lent = 0;
    free(w->lent_buf);
    w->lent_buf = NULL;
    if (w->at == w->end)
        w->at = w->end = 0;
}

void wire_set_stall(struct wire *w, unsigned ms)
{
    w->stall_ms = ms;
    w->stall_at = ms ? sys_monotonic_ms() + ms : 0;
}

static int stalled(const struct wire *w, struct err *e)
{
    err_set(e, ERR_TIMEOUT, _("the other side lives, but has got nowhere for %u s"),
            w->stall_ms / 1000);
    return err_next(e, _("see what it hangs on there (a dead network mount?), then run it again"));
}

static int receive(struct wire *w, enum frame_type *ret_type, struct rbuf *ret_payload,
                   unsigned timeout_ms, struct err *e)
{
    uint64_t deadline = sys_monotonic_ms() + timeout_ms;
    for (;;) {
        give_back(w);
        uint64_t until = w->stall_at && w->stall_at < deadline ? w->stall_at : deadline;
        int rc = fill(w, e);
        if (rc == 0 && (rc = sys_wait_fd(w->in, POLLIN, remaining_ms(until), e)) == 0)
            continue;
        if (rc == -ERR_TIMEOUT && until == w->stall_at)
            return stalled(w, e);
        if (rc == -ERR_TIMEOUT)
            return err_set(e, ERR_TIMEOUT, _("nothing was heard from the other side for %u ms"),
                           timeout_ms);
        if (rc < 0)
            return rc;
        const uint8_t *p = w->buf + w->at;
        enum frame_type type = (enum frame_type)p[4];
        struct rbuf payload = rbuf_of(p + HEADER_BYTES, frame_len(p));
        w->lent = HEADER_BYTES + frame_len(p);
        if (type == FRAME_ERROR) {
            w->told = true;
            return take_error(&payload, e);
        }
        if (type != FRAME_PING && type != FRAME_PAUSE) {
            *ret_type = type;
            *ret_payload = payload;
            return pay(w, w->lent, e);
        }
        if (type == FRAME_PAUSE)
            atomic_store(&w->paused_ms, sys_monotonic_ms());
        if (rb_left(&payload) > 0 || (type == FRAME_PAUSE && !w->lets_pause))
            return err_set(e, ERR_PROTOCOL, _("what came is not a message of the protocol"));
        if (w->stall_at && sys_monotonic_ms() >= w->stall_at)
            return stalled(w, e);
        deadline = sys_monotonic_ms() + timeout_ms;
    }
}

int wire_recv(struct wire *w, enum frame_type *ret_type, struct rbuf *ret_payload,
              unsigned timeout_ms, struct err *e)
{
    unsigned ms = timeout_ms ? timeout_ms : w->deadline_ms;
    int rc = receive(w, ret_type, ret_payload, ms, e);
    return rc < 0 ? from_peer(w, rc, e) : 0;
}

bool wire_pending(struct wire *w)
{
    /* An error is a thing that wire_recv can tell without waiting, too. */
    return fill(w, NULL) != 0;
}

/* --- handshake -------------------------------------------------------------------------------- */
static const char magic[] = "twofold";

static int send_hello(struct wire *w, const char *program_version, struct err *e)
{
    char host[MAX_NAME_BYTES + 1] = "";
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    struct wbuf b = WBUF_INIT;
    wb_bytes(&b, magic, sizeof magic - 1);
    wb_u16(&b, WIRE_VERSION_MIN);
    wb_u16(&b, WIRE_VERSION_MAX);
    wb_blob(&b, program_version, strnlen(program_version, MAX_NAME_BYTES));
    wb_str(&b, host);
    int rc = wire_send(w, FRAME_HELLO, &b, NULL, 0, e);
    wbuf_free(&b);
    return rc;
}

static int check_versions(unsigned min, unsigned max, const char *program, struct err *e)
{
    if (min <= WIRE_VERSION_MAX && max >= WIRE_VERSION_MIN)
        return 0;
    int rc = err_set(e, ERR_VERSION,
                     _("the other side (version %s) speaks protocol %u to %u, this one %u to %u"),
                     program, min, max, WIRE_VERSION_MIN, WIRE_VERSION_MAX);
    if (min > WIRE_VERSION_MAX)
        err_next(e, _("upgrade twofold on this host"));
    else
        err_next(e, _("upgrade twofold on the other host"));
    return rc;
}

static int take_hello(struct wire *w, struct rbuf *r, char ret_host[256], struct err *e)
{
    const uint8_t *m = rb_bytes(r, sizeof magic - 1);
    if (!m || memcmp(m, magic, sizeof magic - 1) != 0)
        return err_set(e, ERR_PROTOCOL, _("the other side is not twofold"));
    unsigned min = rb_u16(r), max = rb_u16(r);
    size_t program_len, host_len;
    const uint8_t *program = rb_blob(r, MAX_NAME_BYTES, &program_len);
    const uint8_t *host = rb_blob(r, MAX_NAME_BYTES, &host_len);
    /* A later version may say more here; who is too old for it must still get to the versions. */
    if (r->bad || min > max)
        return err_set(e, ERR_PROTOCOL, _("the other side's greeting is malformed"));
    sanitise(w->version, sizeof w->version, program, program_len);
    int rc = check_versions(min, max, w->version, e);
    if (rc == 0)
        sanitise(ret_host, MAX_NAME_BYTES + 1, host, host_len);
    return rc;
}

bool wire_told(const struct wire *w)
{
    return w->told;
}

int wire_hello(struct wire *w, const char *program_version, char ret_host[256], struct err *e)
{
    enum frame_type type = FRAME_ERROR;
    struct rbuf r;
    int rc = send_hello(w, program_version, e);
    if (rc == -ERR_UNREACHABLE) /* it may have gone already: what it said before tells more */
        err_clear(e);
    if (rc == 0 || rc == -ERR_UNREACHABLE)
        rc = wire_recv(w, &type, &r, 0, e);
    if (rc < 0)
        return rc;
    rc = type == FRAME_HELLO ? take_hello(w, &r, ret_host, e)
                             : err_set(e, ERR_PROTOCOL, _("the other side did not say hello"));
    return rc < 0 ? from_peer(w, rc, e) : 0;
}
