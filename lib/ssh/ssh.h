/*
 * ssh.h - a byte stream to another host over SSH, carried by the program twofold-ssh.
 *
 * libssh2 parses what a possibly hostile server sends, so it does not run here. ssh_start() resolves the name, connects,
 * and starts twofold-ssh with the connected socket (its descriptor 3) and a socket pair (its 0 and 1). The first message
 * over the pair tells it what to do, the private key included: nothing secret is in arguments, environment or files that it
 * would have to read. The child then gives up what it could do - another user id, no new files, sockets or processes
 * (lib/ssh/sandbox.h) -, checks the host's key against the pinned one, logs in, starts a command or the subsystem
 * "sftp", says so, and from then on only carries bytes:
 *
 *     pid_t pid;
 *     int fd = ssh_start(&(struct ssh_settings){ .host = "10.0.2.7", .user = "backup", .host_key = "ssh-ed25519 AAAA…",
 *                        .identity = "/etc/twofold/keys/main-b.ssh", .command = "twofold-agent" }, -1, &pid, e);
 *     … read and write fd (non-blocking); shutdown(fd, SHUT_WR) is the end of the remote's input …
 *     close(fd); sys_reap(pid, 10000, &status, e);
 *
 * The remote's stderr goes to ours (or to err_fd). The child's exit status is the remote command's; SSH_STATUS_LOST when
 * the connection broke or was refused, SSH_STATUS_SIGNAL when a signal ended the command. It ends by itself
 * when our end of the pair is closed.
 *
 * The two messages, little-endian, each `u32 length ‖ payload`, are written and read by hello.c:
 *     to the child    u8 version 1 ‖ u8 mode (0 look at the host key, 1 command, 2 subsystem) ‖ varint deadline in ms ‖
 *                     blob host (for texts) ‖ blob user ‖ blob host key ‖ blob private key ‖ blob command or subsystem
 *     from the child  varint code (0: what follows is the stream) ‖ blob what ‖ blob why ‖ blob next ‖ blob host key
 */
#ifndef TWOFOLD_SSH_SSH_H
#define TWOFOLD_SSH_SSH_H

#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SSH_CONNECT_MS 15000 /* to be connected and logged in */
#define SSH_LOST_MS 90000
#define SSH_STATUS_LOST 255
#define SSH_STATUS_SIGNAL 254

struct ssh_settings {
    const char *host; /* name or address */
    unsigned port;    /* 0: 22 */
    const char *user;
    const char
        *host_key; /* "ssh-ed25519 AAAA…" or ecdsa-sha2-nistp…: the only one that is accepted */
    const char *identity; /* file with the private key (Ed25519 or ECDSA, no passphrase) */
    const char *command;  /* NULL: the subsystem "sftp" */
    unsigned deadline_ms; /* 0: SSH_CONNECT_MS */
    unsigned lost_ms;     /* a host that acknowledges nothing for so long is gone; 0: SSH_LOST_MS */
};

/* Returns our end of the stream, or a negative code: -ERR_UNREACHABLE (name, route, closed), -ERR_TIMEOUT,
 * -ERR_REFUSED (another host key: both fingerprints are told; or the server does not take ours), -ERR_KEY (the identity
 * cannot be read or used), -ERR_ABSENT (no twofold-ssh; TWOFOLD_SSH says where it is), -ERR_PROTOCOL. */
int ssh_start(const struct ssh_settings *s, int err_fd, pid_t *ret_pid, struct err *e);

/* The key that the host shows, as in authorized_keys; nobody has vouched for it. Ed25519 before ECDSA. Owned. */
int ssh_host_key(const char *host, unsigned port, unsigned deadline_ms, char **ret, struct err *e);

/* --- keys ------------------------------------------------------------------------------------------------------ */
#define SSH_FINGERPRINT_BYTES 64
/* "SHA256:…", as ssh-keygen -l shows it, of "ssh-ed25519 AAAA…"; false: that is no key. */
bool ssh_fingerprint(const char *key, char out[SSH_FINGERPRINT_BYTES]);
/* The bytes of the key in "TYPE BASE64[ COMMENT]"; at most max. -1: it is none. */
int ssh_key_bytes(const char *key, uint8_t *out, size_t max);
/* "TYPE BASE64" of a public key's bytes (the type is in them); owned, NULL without memory or where that is no key. */
char *ssh_key_line(const uint8_t *p, size_t n);
/* Makes a new Ed25519 key pair: `path` (0600, as OpenSSH writes it; -ERR_EXISTS) and *ret_public, the line for
 * authorized_keys (owned). */
int ssh_key_make(const char *path, const char *comment, char **ret_public, struct err *e);
/* The public half of such a file, as a line for authorized_keys (owned). */
int ssh_key_public(const char *path, char **ret_public, struct err *e);
/* 1: the user's known_hosts file has this key for the host; 0: it has none for it; -ERR_REFUSED: it has another one. */
int ssh_known_host(const char *file, const char *host, unsigned port, const char *key,
                   struct err *e);

#endif
