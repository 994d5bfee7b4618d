/* agent_ssh.c - ssh and ssh-keyscan as programs; see agent_ssh.h. */
#include "orchestrator/agent_ssh.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/agent_link.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCAN_MS 30000
#define LOGIN_MS 300000 /* a person types a password meanwhile */
#define REAP_MS 5000
#define WORDS_BYTES 8192

/* --- running a program ------------------------------------------------------------------------------- */
static int send_input(int fd, const char *input, unsigned timeout_ms, struct err *e)
{
    size_t left = input ? strlen(input) : 0;
    while (left > 0) {
        ssize_t n = send(fd, input, left, MSG_NOSIGNAL);
        if (n > 0) {
            input += n;
            left -= (size_t)n;
        } else if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            break; /* it will say why */
        } else if (n < 0 && errno == EAGAIN) {
            int rc = sys_wait_fd(fd, POLLOUT, (int)timeout_ms, e);
            if (rc < 0)
                return rc;
        } else if (n < 0 && errno != EINTR) {
            return err_sys(e, _("send"));
        }
    }
    shutdown(fd, SHUT_WR);
    return 0;
}

static char *words_of(int fd)
{
    struct stat st;
    char *text = calloc(1, WORDS_BYTES + 1);
    off_t from = fd >= 0 && fstat(fd, &st) == 0 && st.st_size > WORDS_BYTES
                     ? st.st_size - WORDS_BYTES
                     : 0;
    if (text && fd >= 0 && sys_pread(fd, text, WORDS_BYTES, (uint64_t)from, NULL) < 0)
        text[0] = '\0';
    return text;
}

int run_heard(const char *const argv[], const char *input, unsigned timeout_ms, struct ran *ret,
              struct err *e)
{
    struct ran r = { .status = -1 };
    pid_t pid;
    int status = -1, words = memfd_create("words", MFD_CLOEXEC);
    int fd = words < 0 ? err_sys(e, "memfd") : sys_spawn_heard(argv, -1, words, &pid, e);
    if (fd < 0) {
        sys_close_quiet(words < 0 ? -1 : words);
        return fd;
    }
    int rc = send_input(fd, input, timeout_ms, e);
    if (rc == 0)
        rc = take_all(fd, timeout_ms, &r.out, e);
    sys_close_quiet(fd);
    int reaped = sys_reap(pid, rc == 0 ? REAP_MS : 0, &status, rc == 0 ? e : NULL);
    rc = rc < 0 ? rc : reaped;
    r.words = words_of(words);
    sys_close_quiet(words);
    if (rc == 0 && !r.words)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc < 0) {
        ran_done(&r);
        return err_wrap(e, "%s", argv[0]);
    }
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    *ret = r;
    return 0;
}

void ran_done(struct ran *r)
{
    free(r->out);
    free(r->words);
    *r = (struct ran){ .status = -1 };
}

/* --- keys ------------------------------------------------------------------------------------------------ */
static int rank(const char *type, size_t len)
{
    static const char *const types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256",
                                         "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa" };
    for (int i = 0; i < (int)(sizeof types / sizeof *types); i++)
        if (strlen(types[i]) == len && memcmp(types[i], type, len) == 0)
            return i;
    return INT_MAX;
}

/* "NAMES TYPE BASE64 …" of a known_hosts line; false: it is none. */
static bool parse_known(const char *line, const char **ret_type, size_t *ret_type_len,
                        const char **ret_key, size_t *ret_key_len)
{
    size_t len = strcspn(line, "\n"), names = strcspn(line, " \n");
    const char *type = line + names + 1, *end = line + len;
    if (line[0] == '#' || line[0] == '@' || names >= len)
        return false;
    size_t type_len = strcspn(type, " \n");
    const char *key = type + type_len + 1;
    if (type + type_len >= end)
        return false;
    *ret_type = type;
    *ret_type_len = type_len;
    *ret_key = key;
    *ret_key_len = strcspn(key, " \r\n");
    return *ret_key_len > 0;
}

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : line;
}

/* The best of what ssh-keyscan printed; owned, NULL: none. */
static char *best_key(const char *text)
{
    const char *type, *key, *best_type = NULL, *best = NULL;
    size_t type_len, key_len, best_type_len = 0, best_len = 0;
    int best_rank = INT_MAX;
    char *s = NULL;
    for (; *text; text = next_line(text)) {
        if (!parse_known(text, &type, &type_len, &key, &key_len) ||
            rank(type, type_len) >= best_rank)
            continue;
        best_rank = rank(type, type_len);
        best_type = type;
        best_type_len = type_len;
        best = key;
        best_len = key_len;
    }
    if (best && asprintf(&s, "%.*s %.*s", (int)best_type_len, best_type, (int)best_len, best) < 0)
        s = NULL;
    return s;
}

int host_key_scan(const char *host, unsigned port, char **ret, struct err *e)
{
    char program[PATH_MAX], number[16];
    struct ran r = { .status = -1 };
    snprintf(number, sizeof number, "%u", port);
    const char *argv[] = { program, "-T", "10", "-p", number, "-t", "ed25519,ecdsa,rsa",
                           "--",    host, NULL };
    int rc = sys_program_path("ssh-keyscan", "TWOFOLD_SSH_KEYSCAN", program, e);
    if (rc == 0)
        rc = run_heard(argv, NULL, SCAN_MS, &r, e);
    if (rc < 0)
        return rc;
    *ret = r.out ? best_key(r.out) : NULL;
    if (!*ret) {
        rc = err_set(e, ERR_UNREACHABLE, _("%s shows no host key on port %u"), host, port);
        err_next(e, _("check the name, and that this works: ssh -p %u %s"), port, host);
    }
    ran_done(&r);
    return rc;
}

/* --- logging in ----------------------------------------------------------------------------------------------- */
int login_run(const struct login *l, const char *command, const char *input, struct ran *ret,
              struct err *e)
{
    char program[PATH_MAX], number[16], *hosts = NULL, *alias = NULL;
    int rc = sys_program_path("ssh", "TWOFOLD_OPENSSH", program, e);
    if (rc < 0)
        return rc;
    if (asprintf(&hosts, "UserKnownHostsFile=\"%s\"", l->hosts) < 0)
        hosts = NULL;
    if (asprintf(&alias, "HostKeyAlias=%s", l->alias) < 0)
        alias = NULL;
    snprintf(number, sizeof number, "%u", l->port);
    const char *batch = isatty(STDIN_FILENO) ? "BatchMode=no" : "BatchMode=yes";
    const char *argv[] = { program, "-T",
                           "-a",    "-x",
                           "-o",    "StrictHostKeyChecking=yes",
                           "-o",    hosts,
                           "-o",    "GlobalKnownHostsFile=none",
                           "-o",    alias,
                           "-o",    batch,
                           "-o",    "ClearAllForwardings=yes",
                           "-o",    "ConnectTimeout=10",
                           "-o",    "ServerAliveInterval=10",
                           "-p",    number,
                           "--",    l->to,
                           command, NULL };
    rc = hosts && alias ? run_heard(argv, input, LOGIN_MS, ret, e)
                        : err_set(e, ERR_NOMEM, _("no memory"));
    free(hosts);
    free(alias);
    return rc;
}
