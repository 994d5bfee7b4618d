/* hello.c - the messages before the stream; see hello.h and ssh.h. */
#include "lib/ssh/hello.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO_VERSION 1
#define HEADER_BYTES 4

static int malformed(struct err *e)
{
    return err_set(e, ERR_PROTOCOL, _("twofold-ssh and this program do not understand each other"));
}

/* --- orders --------------------------------------------------------------------------------------- */
void ssh_orders_done(struct ssh_orders *o)
{
    if (o->private_key)
        OPENSSL_cleanse(o->private_key, strlen(o->private_key));
    free(o->host);
    free(o->user);
    free(o->host_key);
    free(o->private_key);
    free(o->command);
    *o = (struct ssh_orders){ 0 };
}

void ssh_orders_write(struct wbuf *w, const struct ssh_orders *o)
{
    wb_u8(w, HELLO_VERSION);
    wb_u8(w, (uint8_t)o->mode);
    wb_varint(w, o->deadline_ms);
    wb_str(w, o->host ? o->host : "");
    wb_str(w, o->user ? o->user : "");
    wb_str(w, o->host_key ? o->host_key : "");
    wb_str(w, o->private_key ? o->private_key : "");
    wb_str(w, o->command ? o->command : "");
}

int ssh_orders_read(const void *p, size_t n, struct ssh_orders *ret, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    struct ssh_orders o = { 0 };
    unsigned version = rb_u8(&r), mode = rb_u8(&r);
    o.mode = (enum ssh_mode)mode;
    o.deadline_ms = (unsigned)rb_varint_max(&r, INT_MAX);
    o.host = rb_strdup(&r, SSH_MAX_NAME);
    o.user = rb_strdup(&r, SSH_MAX_NAME);
    o.host_key = rb_strdup(&r, SSH_MAX_KEY);
    o.private_key = rb_strdup(&r, SSH_MAX_KEY);
    o.command = rb_strdup(&r, SSH_MAX_COMMAND);
    if (!rb_done(&r) || version != HELLO_VERSION || mode >= SSH_MODES) {
        ssh_orders_done(&o);
        return malformed(e);
    }
    *ret = o;
    return 0;
}

/* --- answers ---------------------------------------------------------------------------------------- */
void ssh_answer_write(struct wbuf *w, const struct err *said, const char *host_key)
{
    wb_varint(w, said ? (uint64_t)said->code : 0);
    wb_str(w, said ? said->what : "");
    wb_str(w, said ? said->why : "");
    wb_str(w, said ? said->next : "");
    wb_str(w, host_key ? host_key : "");
}

/* Text of a child that may have been taken over: nothing in it may drive a terminal. */
static void tame(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
}

int ssh_answer_read(const void *p, size_t n, char **ret_host_key, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    char *text[4];
    uint64_t code = rb_varint_max(&r, ERR_CODES - 1);
    int rc = 0;
    for (int i = 0; i < 4; i++) {
        text[i] = rb_strdup(&r, i < 3 ? ERR_TEXT_BYTES - 1 : SSH_MAX_KEY);
        if (text[i])
            tame(text[i]);
    }
    if (!rb_done(&r)) {
        rc = malformed(e);
    } else if (code != ERR_NONE) {
        rc = err_set(e, (enum err_code)code, "%s", text[1]);
        if (text[0][0])
            err_wrap(e, "%s", text[0]);
        if (text[2][0])
            err_next(e, "%s", text[2]);
    } else if (ret_host_key) {
        *ret_host_key = text[3][0] ? text[3] : NULL;
        if (text[3][0])
            text[3] = NULL;
    }
    for (int i = 0; i < 4; i++)
        free(text[i]);
    return rc;
}

/* --- over a descriptor --------------------------------------------------------------------------------- */
static int wait_for(int fd, short events, uint64_t deadline, struct err *e)
{
    uint64_t now = sys_monotonic_ms(), left = now < deadline ? deadline - now : 0;
    int rc = sys_wait_fd(fd, events, left > INT_MAX ? INT_MAX : (int)left, e);
    return rc == -ERR_TIMEOUT ? err_set(e, ERR_TIMEOUT, _("no answer in time")) : rc;
}

static int gone(struct err *e)
{
    return err_set(e, ERR_UNREACHABLE, _("twofold-ssh has ended"));
}

static int send_all(int fd, const uint8_t *p, size_t n, uint64_t deadline, struct err *e)
{
    while (n > 0) {
        ssize_t got = send(fd, p, n, MSG_NOSIGNAL);
        if (got < 0 && errno == EAGAIN) {
            int rc = wait_for(fd, POLLOUT, deadline, e);
            if (rc < 0)
                return rc;
        } else if (got < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return gone(e);
        } else if (got < 0 && errno != EINTR) {
            return err_sys(e, _("send"));
        }
        p += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

int ssh_message_send(int fd, const struct wbuf *payload, uint64_t deadline, struct err *e)
{
    if (payload->failed)
        return err_set(e, ERR_NOMEM, _("no memory"));
    if (payload->len > SSH_MAX_MESSAGE)
        return err_set(e, ERR_LIMIT, _("a message to twofold-ssh is too long"));
    uint32_t n = (uint32_t)payload->len;
    uint8_t header[HEADER_BYTES] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16),
                                     (uint8_t)(n >> 24) };
    int rc = send_all(fd, header, sizeof header, deadline, e);
    return rc < 0 ? rc : send_all(fd, payload->p, payload->len, deadline, e);
}

/* Never a byte more than asked for: the stream follows at once. */
static int receive_all(int fd, uint8_t *p, size_t n, uint64_t deadline, struct err *e)
{
    while (n > 0) {
        int rc = wait_for(fd, POLLIN, deadline, e);
        if (rc < 0)
            return rc;
        ssize_t got = read(fd, p, n);
        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return gone(e);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(e, _("receive"));
        p += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

int ssh_message_receive(int fd, uint64_t deadline, uint8_t **ret, size_t *ret_len, struct err *e)
{
    uint8_t header[HEADER_BYTES];
    int rc = receive_all(fd, header, sizeof header, deadline, e);
    if (rc < 0)
        return rc;
    size_t n = header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16 |
               (size_t)header[3] << 24;
    if (n > SSH_MAX_MESSAGE)
        return malformed(e);
    uint8_t *p = malloc(n + 1);
    if (!p)
        return err_set(e, ERR_NOMEM, _("no memory"));
    rc = receive_all(fd, p, n, deadline, e);
    if (rc < 0) {
        free(p);
        return rc;
    }
    *ret = p;
    *ret_len = n;
    return 0;
}
