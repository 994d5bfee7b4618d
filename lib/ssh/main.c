/* main.c - twofold-ssh: one SSH connection for one stream, without privileges. Started by ssh_start(), never by hand. The manual
 * is lib/ssh/ssh.h; what it gives up is in sandbox.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/link.h"
#include "lib/ssh/sandbox.h"
#include "lib/ssh/ssh.h"

#include <libssh2.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_FD 3
#define ORDERS_MS 10000
#define ANSWER_MS 10000
#define STATUS_USAGE 2
#define STREAM_BYTES (1 << 20)
#define KEPT_BYTES (64 << 20)
#define TOP_PAD_BYTES (4 << 20)

static int begin(struct ssh_orders *o, struct err *e)
{
    uint8_t *p = NULL, chance[32];
    size_t n = 0;
    int rc = ssh_message_receive(0, sys_monotonic_ms() + ORDERS_MS, &p, &n, e);
    if (rc == 0)
        rc = ssh_orders_read(p, n, o, e);
    if (p)
        OPENSSL_cleanse(p, n);
    free(p);
    if (rc < 0)
        return rc;
    /* Whatever these read from the disk, they read now. */
    if (libssh2_init(0) != 0 || RAND_bytes(chance, sizeof chance) != 1)
        return err_set(e, ERR_FAILED, _("libssh2 cannot be used"));
    return sandbox_enter(e);
}

static bool set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static int answer(int rc, struct err *said, const char *host_key)
{
    struct wbuf w = WBUF_INIT;
    ssh_answer_write(&w, rc < 0 ? said : NULL, host_key);
    int sent = ssh_message_send(1, &w, sys_monotonic_ms() + ANSWER_MS, NULL);
    wbuf_free(&w);
    return sent;
}

int main(int argc, char **argv)
{
    struct ssh_orders o = { 0 };
    struct link *l = NULL;
    struct err e = ERR_INIT;
    char *host_key = NULL;
    int type = 0, status = SSH_STATUS_LOST;
    socklen_t len = sizeof type;
    i18n_init();
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf(_("%s is started by twofold, not by hand\n"), argv[0]);
        return 0;
    }
    /* Packets come and go by the thousand: their memory is not to be given back to the system, and asked for again, each time. */
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_TOP_PAD, TOP_PAD_BYTES);
    if (argc != 1 || getsockopt(SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
        getsockopt(0, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        fprintf(stderr, _("%s is started by twofold, not by hand\n"), argv[0]);
        return STATUS_USAGE;
    }
    /* The thread that started us may end before the store that it works for: our stream's end tells us enough. */
    prctl(PR_SET_PDEATHSIG, 0);
    signal(SIGPIPE, SIG_IGN);
    sys_widen(1, STREAM_BYTES);
    int rc = begin(&o, &e);
    if (rc == 0 && (!set_nonblocking(0) || !set_nonblocking(SOCKET_FD)))
        rc = err_sys(&e, _("prepare the connection"));
    if (rc == 0)
        rc = link_open(SOCKET_FD, &o, &l, &host_key, &e);
    bool carries = rc == 0 && o.mode != SSH_LOOK;
    if (answer(rc, &e, host_key) == 0 && carries)
        status = link_carry(l, 0, 1, STDERR_FILENO);
    else if (rc == 0 && !carries)
        status = 0;
    link_close(l);
    ssh_orders_done(&o);
    free(host_key);
    /* No handlers: in the sandbox they could not do what they are for. */
    _exit(status);
}
