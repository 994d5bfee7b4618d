/*
 * link.h - the SSH connection inside twofold-ssh: the only user of libssh2's transport. Everything here runs in the sandbox.
 */
#ifndef TWOFOLD_SSH_LINK_H
#define TWOFOLD_SSH_LINK_H

#include "lib/ssh/hello.h"

struct link;
/* Handshake on the connected socket (made non-blocking), host key, login, channel with its command. In the mode SSH_LOOK
 * only the first. *ret_host_key: what the host showed, as a line; owned; also when that is the reason of the failure.
 * The private key in `o` is wiped. */
int link_open(int sock, struct ssh_orders *o, struct link **ret, char **ret_host_key,
              struct err *e);
/* Carries bytes: in to the channel, the channel to out and its stderr to err_fd, until the channel has ended, our side of the
 * stream is closed, or the connection breaks. Returns the exit status for the process (ssh.h). */
int link_carry(struct link *l, int in, int out, int err_fd);
void link_close(struct link *l); /* NULL-safe */

#endif
