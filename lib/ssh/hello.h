/*
 * hello.h - the two messages that twofold-ssh and whoever started it exchange before the stream begins (ssh.h). Each side
 * takes the other's bytes for hostile: every length is bounded.
 */
#ifndef TWOFOLD_SSH_HELLO_H
#define TWOFOLD_SSH_HELLO_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

#define SSH_MAX_MESSAGE (64u << 10)
#define SSH_MAX_NAME 255
#define SSH_MAX_KEY 16384
#define SSH_MAX_COMMAND 8192

enum ssh_mode { SSH_LOOK, SSH_COMMAND, SSH_SUBSYSTEM, SSH_MODES };

struct ssh_orders { /* owned texts; none holds a NUL byte */
    enum ssh_mode mode;
    unsigned deadline_ms;
    unsigned lost_ms; /* for who connects; not in the message */
    char *host, *user, *host_key, *private_key, *command;
};
void ssh_orders_done(struct ssh_orders *o); /* wipes the private key */
void ssh_orders_write(struct wbuf *w, const struct ssh_orders *o);
int ssh_orders_read(const void *p, size_t n, struct ssh_orders *ret, struct err *e);

/* What the child answers: e (code 0 where all is well) and the host key that was seen (NULL: none). */
void ssh_answer_write(struct wbuf *w, const struct err *said, const char *host_key);
/* Returns 0 or the code that the child said, with its texts in e. *ret_host_key: owned, or NULL. */
int ssh_answer_read(const void *p, size_t n, char **ret_host_key, struct err *e);

/* A message over a descriptor, non-blocking or not, until the deadline (sys_monotonic_ms). *ret is owned; a closed
 * stream is -ERR_UNREACHABLE. */
int ssh_message_send(int fd, const struct wbuf *payload, uint64_t deadline, struct err *e);
int ssh_message_receive(int fd, uint64_t deadline, uint8_t **ret, size_t *ret_len, struct err *e);

#endif
