/* ssh.c - connects, starts twofold-ssh and tells it what to do. See ssh.h. */
#include "lib/ssh/ssh.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/hello.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SSH_PORT 22
#define CHILD_EXTRA_MS 2000 /* its own deadline comes first, with a better text */
#define CHILD_END_MS 3000
/* A host that is gone is noticed by the kernel: data not acknowledged, or silence answered by nobody. */
#define TCP_IDLE_S 30
#define TCP_PROBE_S 10
#define TCP_PROBES 6

/* --- connecting --------------------------------------------------------------------------------------- */
static void watch_link(int fd, unsigned lost_ms)
{
    const struct {
        int level, name, value;
    } options[] = {
        { SOL_SOCKET, SO_KEEPALIVE, 1 },           { IPPROTO_TCP, TCP_NODELAY, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, TCP_IDLE_S }, { IPPROTO_TCP, TCP_KEEPINTVL, TCP_PROBE_S },
        { IPPROTO_TCP, TCP_KEEPCNT, TCP_PROBES },  { IPPROTO_TCP, TCP_USER_TIMEOUT, (int)lost_ms },
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof options[i].value);
}

static int connect_one(const struct addrinfo *a, unsigned lost_ms, uint64_t deadline, struct err *e)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), sys = 0;
    socklen_t len = sizeof sys;
    if (fd < 0)
        return err_sys(e, _("make a socket"));
    watch_link(fd, lost_ms);
    int rc = 0;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
        uint64_t now = sys_monotonic_ms(), left = now < deadline ? deadline - now : 0;
        rc = errno == EINPROGRESS
                 ? sys_wait_fd(fd, POLLOUT, left > INT_MAX ? INT_MAX : (int)left, e)
                 : err_sys(e, _("connect"));
        if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) == 0 && sys != 0) {
            errno = sys;
            rc = err_sys(e, _("connect"));
        }
        if (rc == -ERR_TIMEOUT)
            err_set(e, ERR_TIMEOUT, _("nobody answers at this address"));
    }
    if (rc == 0)
        return fd;
    sys_close_quiet(fd);
    return rc;
}

static int unreachable(int rc, struct err *e)
{
    if (e && rc != -ERR_INTERRUPTED && rc != -ERR_TIMEOUT)
        e->code = ERR_UNREACHABLE;
    if (rc != -ERR_INTERRUPTED)
        err_next(e,
                 _("check that the host is switched on, that its sshd runs, and that no firewall "
                   "is between"));
    return e ? -(int)e->code : rc;
}

static int connect_to(const char *host, unsigned port, unsigned lost_ms, uint64_t deadline,
                      struct err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *all = NULL;
    char service[16];
    snprintf(service, sizeof service, "%u", port ? port : SSH_PORT);
    int got = getaddrinfo(host, service, &hints, &all), rc = -ERR_UNREACHABLE;
    if (got != 0) {
        err_set(e, ERR_UNREACHABLE, _("its address is not known: %s"), gai_strerror(got));
        return err_wrap(e, "%s", host);
    }
    err_set(e, ERR_UNREACHABLE, _("its address is not known: %s"), host);
    for (const struct addrinfo *a = all; a && rc < 0 && rc != -ERR_INTERRUPTED; a = a->ai_next)
        rc = connect_one(a, lost_ms, deadline, e);
    freeaddrinfo(all);
    if (rc >= 0) {
        err_clear(e);
        return rc;
    }
    rc = unreachable(rc, e);
    err_wrap(e, _("%s, port %s"), host, service);
    return rc;
}

/* --- the child ---------------------------------------------------------------------------------------------- */
static int converse(int fd, const struct ssh_orders *o, uint64_t deadline, char **ret_host_key,
                    struct err *e)
{
    struct wbuf w = WBUF_INIT;
    uint8_t *p = NULL;
    size_t n = 0;
    ssh_orders_write(&w, o);
    int rc = ssh_message_send(fd, &w, deadline, e);
    if (w.p)
        OPENSSL_cleanse(w.p, w.cap);
    wbuf_free(&w);
    if (rc == 0)
        rc = ssh_message_receive(fd, deadline, &p, &n, e);
    if (rc == 0)
        rc = ssh_answer_read(p, n, ret_host_key, e);
    free(p);
    return rc;
}

/* Connects and starts; on return 0 or more the child has said that all is well. */
static int start(const char *host, unsigned port, struct ssh_orders *o, int err_fd, pid_t *ret_pid,
                 char **ret_host_key, struct err *e)
{
    char program[PATH_MAX];
    const char *argv[] = { program, NULL };
    struct err ignored = ERR_INIT;
    e = e ? e : &ignored;
    uint64_t deadline = sys_monotonic_ms() + o->deadline_ms;
    pid_t pid = 0;
    int rc = sys_program_path("twofold-ssh", "TWOFOLD_SSH", program, e);
    if (rc < 0)
        return rc;
    int sock = connect_to(host, port, o->lost_ms, deadline, e);
    if (sock < 0)
        return sock;
    int fd = sys_spawn_heard(argv, sock, err_fd, &pid, e);
    sys_close_quiet(sock);
    if (fd < 0)
        return fd;
    uint64_t now = sys_monotonic_ms();
    o->deadline_ms = deadline > now ? (unsigned)(deadline - now) : 1;
    rc = converse(fd, o, deadline + CHILD_EXTRA_MS, ret_host_key, e);
    if (rc < 0) {
        sys_close_quiet(fd);
        (void)sys_reap(pid, CHILD_END_MS, NULL, NULL);
        return rc;
    }
    *ret_pid = pid;
    return fd;
}

static int read_identity(const char *path, char **ret, struct err *e)
{
    uint8_t *p = NULL;
    size_t n = 0;
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
        err_set(e, ERR_KEY, _("others can read this private key"));
        err_wrap(e, "%s", path);
        return err_next(e, _("chmod 600 %s"), path);
    }
    int rc = sys_read_file(AT_FDCWD, path, SSH_MAX_KEY, &p, &n, e);
    if (rc < 0) {
        e->code = rc == -ERR_NOMEM ? ERR_NOMEM : ERR_KEY;
        err_next(e, _("name the file with the private key for this host (identity:)"));
        return err_wrap(e, _("private key"));
    }
    *ret = (char *)p;
    return 0;
}

int ssh_start(const struct ssh_settings *s, int err_fd, pid_t *ret_pid, struct err *e)
{
    struct err ignored = ERR_INIT;
    char *key = NULL;
    e = e ? e : &ignored;
    int rc = read_identity(s->identity, &key, e);
    if (rc < 0)
        return rc;
    struct ssh_orders o = { .mode = s->command ? SSH_COMMAND : SSH_SUBSYSTEM,
                            .deadline_ms = s->deadline_ms ? s->deadline_ms : SSH_CONNECT_MS,
                            .lost_ms = s->lost_ms ? s->lost_ms : SSH_LOST_MS,
                            .host = (char *)(uintptr_t)s->host,
                            .user = (char *)(uintptr_t)s->user,
                            .host_key = (char *)(uintptr_t)s->host_key,
                            .private_key = key,
                            .command = (char *)(uintptr_t)(s->command ? s->command : "sftp") };
    rc = start(s->host, s->port, &o, err_fd, ret_pid, NULL, e);
    OPENSSL_cleanse(key, strlen(key));
    free(key);
    return rc;
}

int ssh_host_key(const char *host, unsigned port, unsigned deadline_ms, char **ret, struct err *e)
{
    struct ssh_orders o = { .mode = SSH_LOOK,
                            .deadline_ms = deadline_ms ? deadline_ms : SSH_CONNECT_MS,
                            .lost_ms = SSH_LOST_MS,
                            .host = (char *)(uintptr_t)host };
    char *key = NULL;
    pid_t pid;
    int fd = start(host, port, &o, -1, &pid, &key, e);
    if (fd < 0)
        return fd;
    sys_close_quiet(fd);
    (void)sys_reap(pid, CHILD_END_MS, NULL, NULL);
    if (!key)
        return err_set(e, ERR_PROTOCOL, _("the host shows no key that can be read"));
    *ret = key;
    return 0;
}
