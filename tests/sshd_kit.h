/*
 * sshd_kit.h - a real sshd for tests: on loopback, on a port of its own, with its own keys and configuration in a
 * temporary folder, for the user who runs the tests.
 */
#ifndef TWOFOLD_TESTS_SSHD_KIT_H
#define TWOFOLD_TESTS_SSHD_KIT_H

#include <stdbool.h>
#include <sys/types.h>

struct sshd {
    char dir[64];
    char identity[96]; /* file of a key that is let in */
    char user[64];
    char *host_key;   /* as in authorized_keys */
    char *public_key; /* of identity */
    unsigned port;
    pid_t pid;
};

/* `config`: further lines of sshd_config, or NULL (then there is the subsystem sftp of OpenSSH). False where this machine has no
 * sshd: the test is to be skipped. Anything else that fails ends the test. */
bool sshd_start(struct sshd *s, const char *config);
void sshd_stop(struct sshd *s);  /* what is connected is cut */
void sshd_again(struct sshd *s); /* on the same port, with the same keys */
/* A new host key; takes effect with the next connection. */
void sshd_new_host_key(struct sshd *s);
/* Ends all sessions that are connected, as a cut link does. Returns how many. */
int sshd_cut(struct sshd *s);
void sshd_done(struct sshd *s); /* stops and removes all of it */

#endif
