/* sftp_wire.c - packets of SFTP over a stream: length, type, id, and what is in every answer. See sftp.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/sftp_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADER_BYTES 4
#define MAX_STATUS_TEXT 256

int packet_bad(struct sftp *s, struct err *e)
{
    s->broken = true;
    return err_set(e, ERR_PROTOCOL, _("the server's answer is not SFTP"));
}

static int closed(struct sftp *s, struct err *e)
{
    s->broken = true;
    return err_set(e, ERR_UNREACHABLE, _("the connection broke"));
}

static int wait_for(struct sftp *s, short events, struct err *e)
{
    int rc = sys_wait_fd(s->fd, events, (int)s->deadline_ms, e);
    if (rc == -ERR_TIMEOUT)
        err_set(e, ERR_TIMEOUT, _("the server did not answer for %u s"), s->deadline_ms / 1000);
    if (rc < 0)
        s->broken = true;
    return rc;
}

/* --- requests ----------------------------------------------------------------------------------------- */
uint32_t packet_begin(struct sftp *s, unsigned type, size_t *ret_start)
{
    if (type != FXP_READ)
        sftp_forget_ahead(s);
    *ret_start = s->out.len;
    pk_u32(&s->out, 0);
    wb_u8(&s->out, (uint8_t)type);
    pk_u32(&s->out, ++s->last_id);
    return s->last_id;
}

void packet_end(struct sftp *s, size_t start, size_t extra)
{
    if (s->out.failed)
        return;
    size_t n = s->out.len - start - HEADER_BYTES + extra;
    for (int i = 0; i < HEADER_BYTES; i++)
        s->out.p[start + (size_t)i] = (uint8_t)(n >> (24 - 8 * i));
}

static int send_all(struct sftp *s, struct iovec *v, size_t n, struct err *e)
{
    while (n > 0) {
        if (v->iov_len == 0) {
            v++, n--;
            continue;
        }
        struct msghdr m = { .msg_iov = v, .msg_iovlen = n };
        ssize_t got = sendmsg(s->fd, &m, MSG_NOSIGNAL);
        int rc = 0;
        if (got < 0 && errno == EAGAIN)
            rc = wait_for(s, POLLOUT, e);
        else if (got < 0 && errno != EINTR)
            rc = closed(s, e);
        if (rc < 0)
            return rc;
        for (size_t left = got > 0 ? (size_t)got : 0; left > 0 && n > 0;) {
            size_t part = left < v->iov_len ? left : v->iov_len;
            v->iov_base = (uint8_t *)v->iov_base + part;
            v->iov_len -= part;
            left -= part;
            if (v->iov_len == 0)
                v++, n--;
        }
    }
    return 0;
}

int packet_send(struct sftp *s, const void *p, size_t n, struct err *e)
{
    int rc;
    if (s->broken)
        return err_set(e, ERR_UNREACHABLE, _("the connection broke"));
    if (s->out.failed) {
        s->broken = true;
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    } else {
        struct iovec v[] = { { s->out.p, s->out.len }, { (void *)(uintptr_t)p, n } };
        rc = send_all(s, v, 2, e);
    }
    wbuf_reset(&s->out);
    return rc;
}

/* --- answers --------------------------------------------------------------------------------------------- */
static uint32_t packet_len(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Until `want` bytes lie at s->at. */
static int fill(struct sftp *s, size_t want, struct err *e)
{
    while (s->end - s->at < want) {
        if (s->cap - s->at < want || s->end == s->cap) {
            memmove(s->in, s->in + s->at, s->end - s->at);
            s->end -= s->at;
            s->at = 0;
        }
        ssize_t got = read(s->fd, s->in + s->end, s->cap - s->end);
        int rc = 0;
        if (got > 0)
            s->end += (size_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            rc = closed(s, e);
        else if (errno == EAGAIN)
            rc = wait_for(s, POLLIN, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void packet_ignore(struct sftp *s, uint32_t id)
{
    for (size_t i = 0; i < MAX_UNHEARD; i++)
        if (s->unheard[i] == 0) {
            s->unheard[i] = id;
            return;
        }
    s->broken = true; /* a server that answers nothing */
}

static bool nobody_waits_for(struct sftp *s, uint32_t id)
{
    for (size_t i = 0; i < MAX_UNHEARD; i++)
        if (id != 0 && s->unheard[i] == id) {
            s->unheard[i] = 0;
            return true;
        }
    return false;
}

static int receive_one(struct sftp *s, struct packet *ret, struct err *e)
{
    if (s->broken)
        return err_set(e, ERR_UNREACHABLE, _("the connection broke"));
    if (s->at == s->end)
        s->at = s->end = 0;
    int rc = fill(s, HEADER_BYTES, e);
    if (rc < 0)
        return rc;
    uint32_t n = packet_len(s->in + s->at);
    if (n < 1 + 4 || n > MAX_PACKET_BYTES)
        return packet_bad(s, e);
    rc = fill(s, HEADER_BYTES + n, e);
    if (rc < 0)
        return rc;
    ret->body = rbuf_of(s->in + s->at + HEADER_BYTES, n);
    s->at += HEADER_BYTES + n;
    ret->type = rb_u8(&ret->body);
    ret->id = pk_take_u32(&ret->body); /* of VERSION: the version */
    return 0;
}

int packet_receive(struct sftp *s, struct packet *ret, struct err *e)
{
    int rc;
    do {
        rc = receive_one(s, ret, e);
    } while (rc == 0 && ret->type != FXP_VERSION && nobody_waits_for(s, ret->id));
    return rc;
}

/* --- statuses: draft-ietf-secsh-filexfer, section 7 and its later codes ------------------------------------------- */
static enum err_code code_of(uint32_t status)
{
    switch (status) {
    case 2:  /* no such file */
    case 10: /* no such path */
        return ERR_ABSENT;
    case 3: /* permission denied */
        return ERR_REFUSED;
    case 8: /* not supported */
        return ERR_VERSION;
    case 11:
        return ERR_EXISTS;
    case 12:
        return ERR_READONLY;
    case 14: /* no space */
    case 15: /* quota */
        return ERR_NOSPACE;
    default:
        return ERR_IO;
    }
}

int packet_status(struct sftp *s, struct packet *p, bool *ret_eof, struct err *e)
{
    char text[MAX_STATUS_TEXT + 1] = "";
    size_t n = 0;
    uint32_t status = pk_take_u32(&p->body);
    /* Some servers leave text and language out. */
    if (rb_left(&p->body) > 0) {
        const uint8_t *t = pk_take_string(&p->body, MAX_PACKET_BYTES, &n);
        n = n > MAX_STATUS_TEXT ? MAX_STATUS_TEXT : n;
        if (t)
            memcpy(text, t, n);
        for (char *c = text; *c; c++)
            if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7E)
                *c = '?';
    }
    if (p->body.bad)
        return packet_bad(s, e);
    if (ret_eof)
        *ret_eof = status == FX_EOF;
    if (status == FX_OK)
        return 0;
    return err_set(e, status == FX_EOF ? ERR_ABSENT : code_of(status), _("the server says: %s"),
                   text[0] ? text : _("failure"));
}

bool packet_attrs(struct rbuf *r, struct sftp_attrs *ret)
{
    uint32_t flags = pk_take_u32(r);
    size_t n;
    *ret = (struct sftp_attrs){ .has_size = flags & 1, .has_mode = flags & 4 };
    if (flags & 1)
        ret->size = pk_take_u64(r);
    if (flags & 2)
        pk_take_u64(r); /* uid, gid */
    if (flags & 4)
        ret->mode = pk_take_u32(r);
    if (flags & 8)
        pk_take_u64(r); /* atime, mtime */
    if (flags & 0x80000000) {
        uint32_t more = pk_take_u32(r);
        for (uint32_t i = 0; i < more && !r->bad; i++) {
            pk_take_string(r, MAX_PACKET_BYTES, &n);
            pk_take_string(r, MAX_PACKET_BYTES, &n);
        }
    }
    return !r->bad;
}
