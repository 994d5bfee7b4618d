/* link_carry.c - bytes between descriptors and an SSH channel, in both directions at once. See link.h. Memory is bounded: one
 * buffer a direction, and what the channel's window lets the host send. */
#include "lib/base/sys.h"
#include "lib/ssh/link_impl.h"
#include "lib/ssh/ssh.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CARRY_BYTES (256u << 10)
#define CLOSE_MS 5000

struct pipe_half {
    uint8_t *buf;
    size_t at, end;
};

struct carrier {
    struct link *l;
    int in, out, err_fd;
    struct pipe_half up, down, err;
    bool in_ended, eof_sent;
    bool stuck_up; /* the channel takes no more for now */
    bool moved;    /* something went somewhere in this round */
    int status;    /* -1: goes on */
};

static bool is_empty(const struct pipe_half *h)
{
    return h->at == h->end;
}

/* --- in to the channel ---------------------------------------------------------------------------------------- */
static void take_in(struct carrier *c)
{
    if (!is_empty(&c->up) || c->in_ended)
        return;
    ssize_t n = read(c->in, c->up.buf, CARRY_BYTES);
    if (n > 0) {
        c->up.at = 0;
        c->up.end = (size_t)n;
        c->moved = true;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        c->in_ended = true;
        c->moved = true;
    }
}

static void lost(struct carrier *c)
{
    c->status = SSH_STATUS_LOST;
}

static void send_up(struct carrier *c)
{
    c->stuck_up = false;
    while (!is_empty(&c->up)) {
        ssize_t n = libssh2_channel_write(c->l->channel, (const char *)c->up.buf + c->up.at,
                                          c->up.end - c->up.at);
        if (n == LIBSSH2_ERROR_EAGAIN || n == 0) {
            c->stuck_up = true;
            return;
        }
        if (n == LIBSSH2_ERROR_CHANNEL_CLOSED || n == LIBSSH2_ERROR_CHANNEL_EOF_SENT) {
            c->up.at = c->up.end; /* nobody reads it any more; what it said is still to come */
            c->in_ended = c->eof_sent = true;
            return;
        }
        if (n < 0) {
            lost(c);
            return;
        }
        c->up.at += (size_t)n;
        c->moved = true;
    }
    if (c->in_ended && !c->eof_sent) {
        int rc = libssh2_channel_send_eof(c->l->channel);
        c->stuck_up = rc == LIBSSH2_ERROR_EAGAIN;
        c->eof_sent = !c->stuck_up;
    }
}

/* --- the channel to out and err ---------------------------------------------------------------------------------- */
static void take_down(struct carrier *c, struct pipe_half *h, int stream)
{
    if (!is_empty(h) || c->status >= 0)
        return;
    ssize_t n = libssh2_channel_read_ex(c->l->channel, stream, (char *)h->buf, CARRY_BYTES);
    if (n > 0) {
        h->at = 0;
        h->end = (size_t)n;
        c->moved = true;
    } else if (n < 0 && n != LIBSSH2_ERROR_EAGAIN && n != LIBSSH2_ERROR_CHANNEL_CLOSED) {
        lost(c);
    }
}

static void give_down(struct carrier *c, struct pipe_half *h, int fd)
{
    while (!is_empty(h)) {
        ssize_t n = write(fd, h->buf + h->at, h->end - h->at);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && fd == c->out) {
            lost(c); /* whoever started us is gone */
            return;
        }
        h->at = n < 0 ? h->end : h->at + (size_t)n;
        c->moved = true;
    }
}

/* Reading one of the two streams takes whatever came off the socket, and leaves the other's share in the queue: the socket
 * has nothing more to say of that. */
static bool has_queued(const struct carrier *c)
{
    return (is_empty(&c->down) && libssh2_poll_channel_read(c->l->channel, 0) > 0) ||
           (is_empty(&c->err) &&
            libssh2_poll_channel_read(c->l->channel, SSH_EXTENDED_DATA_STDERR) > 0);
}

/* --- the loop --------------------------------------------------------------------------------------------------------- */
static void wait_for_more(struct carrier *c)
{
    int dirs = libssh2_session_block_directions(c->l->session);
    bool want_input = is_empty(&c->down) || is_empty(&c->err) || c->stuck_up;
    struct pollfd p[] = {
        { .fd = c->l->sock,
          .events = (short)((want_input ? POLLIN : 0) |
                            (dirs & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : 0)) },
        { .fd = is_empty(&c->up) && !c->in_ended ? c->in : -1, .events = POLLIN },
        { .fd = c->out, .events = is_empty(&c->down) ? 0 : POLLOUT },
        { .fd = is_empty(&c->err) ? -1 : c->err_fd, .events = POLLOUT },
    };
    if (c->l->ahead_at < c->l->ahead_end && want_input)
        return;
    if (poll(p, sizeof p / sizeof *p, -1) < 0 && errno != EINTR)
        lost(c);
    if (p[2].revents & (POLLHUP | POLLERR | POLLNVAL))
        lost(c); /* both directions of our stream are closed */
}

static int exit_status(struct link *l)
{
    char *signal_name = NULL;
    libssh2_channel_get_exit_signal(l->channel, &signal_name, NULL, NULL, NULL, NULL, NULL);
    if (signal_name) {
        libssh2_free(l->session, signal_name);
        return SSH_STATUS_SIGNAL;
    }
    int status = libssh2_channel_get_exit_status(l->channel);
    return status >= 0 && status <= 255 ? status : SSH_STATUS_LOST;
}

/* The exit status comes beside the end of the stream: wait for the close that follows both. */
static void wait_closed(struct link *l)
{
    uint64_t until = sys_monotonic_ms() + CLOSE_MS;
    while (sys_monotonic_ms() < until) {
        int rc = libssh2_channel_wait_closed(l->channel);
        if (rc != LIBSSH2_ERROR_EAGAIN)
            return;
        if (l->ahead_at == l->ahead_end)
            (void)sys_wait_fd(l->sock, POLLIN, 200, NULL);
    }
}

static void carry(struct carrier *c)
{
    while (c->status < 0) {
        c->moved = false;
        take_in(c);
        send_up(c);
        take_down(c, &c->down, 0);
        give_down(c, &c->down, c->out);
        take_down(c, &c->err, SSH_EXTENDED_DATA_STDERR);
        give_down(c, &c->err, c->err_fd);
        if (c->status >= 0)
            return;
        if (libssh2_channel_eof(c->l->channel) && is_empty(&c->down) && is_empty(&c->err)) {
            wait_closed(c->l);
            c->status = exit_status(c->l);
        } else if (!c->moved && !has_queued(c)) {
            wait_for_more(c);
        }
    }
}

int link_carry(struct link *l, int in, int out, int err_fd)
{
    struct carrier c = { .l = l, .in = in, .out = out, .err_fd = err_fd, .status = -1 };
    c.up.buf = malloc(CARRY_BYTES);
    c.down.buf = malloc(CARRY_BYTES);
    c.err.buf = malloc(CARRY_BYTES);
    if (c.up.buf && c.down.buf && c.err.buf)
        carry(&c);
    else
        lost(&c);
    free(c.up.buf);
    free(c.down.buf);
    free(c.err.buf);
    return c.status;
}
