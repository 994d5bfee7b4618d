/* agent_link.c - starts the child that carries a stream to an agent; see agent_link.h. */
#include "orchestrator/agent_link.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "orchestrator/agent_words.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define END_MS 10000
#define DEATH_MS 3000 /* a client whose stream has ended is about to end */
#define WORDS_BYTES 8192
#define MAX_DEADLINE_S 3600
#define MAX_ARGV 64
#define CONNECT_S(deadline) ((deadline) < LINK_CONNECT_S ? (deadline) : LINK_CONNECT_S)

struct agent_link {
    const struct agent_conf *conf; /* borrowed; NULL: local */
    pid_t pid;                     /* 0: reaped */
    int fd, err_fd, status;
    char words[WORDS_BYTES]; /* the last of what was said */
    size_t n_words;
};

unsigned link_deadline_s(void)
{
    const char *set = getenv("TWOFOLD_LINK_DEADLINE_S");
    unsigned long s = set ? strtoul(set, NULL, 10) : 0;
    return s > 0 && s <= MAX_DEADLINE_S ? (unsigned)s : DEFAULT_LINK_DEADLINE_S;
}

/* --- arguments ---------------------------------------------------------------------------------------- */
struct argv {
    const char *v[MAX_ARGV + 1];
    char *own[MAX_ARGV];
    size_t n, n_own;
    bool failed;
};

static void arg(struct argv *a, const char *text)
{
    if (a->n < MAX_ARGV)
        a->v[a->n++] = text;
    else
        a->failed = true;
}

__attribute__((format(printf, 2, 3))) static void argf(struct argv *a, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0 || a->n_own == MAX_ARGV) {
        a->failed = true;
        return;
    }
    a->own[a->n_own++] = text;
    arg(a, text);
}

static void argv_done(struct argv *a)
{
    for (size_t i = 0; i < a->n_own; i++)
        free(a->own[i]);
}

/* A restore needs it only for scratch: on a rescue system it may be anywhere. */
static int local_argv(struct app *app, char path[PATH_MAX], struct argv *a, struct err *e)
{
    char *state = NULL;
    const char *tmp = getenv("TMPDIR");
    int rc = sys_program_path("twofold-agent", "TWOFOLD_AGENT", path, e);
    if (rc < 0)
        return rc;
    if (asprintf(&state, "%s/agent", app->paths.state_dir) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    bool usable = sys_mkdir_p(state, 0700, NULL) == 0 && access(state, W_OK) == 0;
    arg(a, path);
    arg(a, "--state");
    argf(a, "%s", usable ? state : tmp && *tmp ? tmp : "/tmp");
    free(state);
    return 0;
}

/* Rewritten only on change. */
int link_known_hosts(struct app *app, const struct agent_conf *conf, char *path, struct err *e)
{
    char folder[PATH_MAX], *line = NULL;
    uint8_t *had = NULL;
    size_t had_len = 0;
    if (snprintf(folder, sizeof folder, "%s/agent-hosts", app->paths.state_dir) >= PATH_MAX ||
        snprintf(path, PATH_MAX, "%.3900s/%s", folder, conf->name) >= PATH_MAX)
        return err_set(e, ERR_LIMIT, _("the path of the state folder is too long"));
    int len = asprintf(&line, "twofold-agent-%s %s\n", conf->name, conf->host_key);
    if (len < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = sys_read_file(AT_FDCWD, path, 64 << 10, &had, &had_len, NULL);
    if (rc < 0 || had_len != (size_t)len || memcmp(had, line, had_len) != 0) {
        rc = sys_mkdir_p(folder, 0700, e);
        if (rc == 0)
            rc = sys_write_file(AT_FDCWD, path, line, (size_t)len, 0600, e);
    }
    free(had);
    free(line);
    return rc;
}

static void ssh_options(struct argv *a)
{
    static const char *const fixed[] = {
        "-F",
        "none",
        "-T",
        "-a",
        "-x",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "GlobalKnownHostsFile=none",
        "-o",
        "CheckHostIP=no",
        "-o",
        "UpdateHostKeys=no",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "IdentityAgent=none",
        "-o",
        "PreferredAuthentications=publickey",
        "-o",
        "ClearAllForwardings=yes",
        "-o",
        "ConnectionAttempts=1",
        "-o",
        "Compression=no",
        "-o",
        "Ciphers=aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"
        "aes256-ctr,aes128-ctr"
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        arg(a, fixed[i]);
}

static int ssh_argv(struct app *app, const struct agent_conf *conf, const char *word,
                    char path[PATH_MAX], struct argv *a, struct err *e)
{
    char hosts[PATH_MAX];
    unsigned deadline = link_deadline_s();
    int rc = sys_program_path("ssh", "TWOFOLD_OPENSSH", path, e);
    if (rc == 0)
        rc = link_known_hosts(app, conf, hosts, e);
    if (rc < 0)
        return rc;
    arg(a, path);
    ssh_options(a);
    arg(a, "-o");
    argf(a, "UserKnownHostsFile=\"%s\"", hosts);
    arg(a, "-o");
    argf(a, "HostKeyAlias=twofold-agent-%s", conf->name);
    arg(a, "-o");
    argf(a, "ConnectTimeout=%u", CONNECT_S(deadline));
    arg(a, "-o");
    argf(a, "ServerAliveInterval=%u", deadline >= 12 ? deadline / 12 : 1);
    arg(a, "-o");
    argf(a, "ServerAliveCountMax=%u", deadline >= 12 ? 3 : 1);
    arg(a, "-i");
    arg(a, conf->identity);
    arg(a, "-p");
    argf(a, "%u", conf->port);
    arg(a, "-l");
    arg(a, conf->user);
    arg(a, "--");
    arg(a, conf->host);
    arg(a, word);
    return 0;
}

/* --- the child --------------------------------------------------------------------------------------------- */
static int start_libssh2(const struct agent_conf *conf, const char *word, int err_fd,
                         pid_t *ret_pid, struct err *e)
{
    unsigned deadline = link_deadline_s();
    struct ssh_settings s = { .host = conf->host,
                              .port = conf->port,
                              .user = conf->user,
                              .host_key = conf->host_key,
                              .identity = conf->identity,
                              .command = word,
                              .deadline_ms = CONNECT_S(deadline) * 1000,
                              .lost_ms = deadline * 1000 / 4 };
    struct err own = ERR_INIT;
    e = e ? e : &own;
    int fd = ssh_start(&s, err_fd, ret_pid, e);
    if (fd == -ERR_TIMEOUT) { /* of the connection: the agent was not asked yet */
        e->code = ERR_UNREACHABLE;
        return -ERR_UNREACHABLE;
    }
    if (fd == -ERR_REFUSED || fd == -ERR_KEY)
        err_next(e,
                 _("was it installed anew, or revoked? Then: twofold agent enrol %s; if not, "
                   "something else may answer in its place"),
                 conf->name);
    return fd;
}

static int start(struct app *app, struct agent_link *l, const char *word, struct err *e)
{
    struct argv a = { .n = 0 };
    char path[PATH_MAX];
    int pipe_fd[2] = { -1, -1 };
    bool libssh2 = l->conf && l->conf->transport == TRANSPORT_LIBSSH2;
    int rc = !l->conf  ? local_argv(app, path, &a, e)
             : libssh2 ? 0
                       : ssh_argv(app, l->conf, word, path, &a, e);
    if (rc == 0 && a.failed)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0 && l->conf && pipe2(pipe_fd, O_CLOEXEC) < 0)
        rc = err_sys(e, "pipe");
    l->err_fd = pipe_fd[0];
    if (rc == 0)
        rc = l->fd = libssh2 ? start_libssh2(l->conf, word, pipe_fd[1], &l->pid, e)
                             : sys_spawn_heard(a.v, -1, pipe_fd[1], &l->pid, e);
    sys_close_quiet(pipe_fd[1]);
    if (l->err_fd >= 0)
        (void)fcntl(l->err_fd, F_SETFL, O_NONBLOCK);
    argv_done(&a);
    return rc < 0 ? rc : 0;
}

int agent_link_open(struct app *app, const struct agent_conf *conf, const char *word,
                    struct agent_link **ret, struct err *e)
{
    struct agent_link *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, _("no memory"));
    *l = (struct agent_link){ .conf = conf, .fd = -1, .err_fd = -1, .status = -1 };
    int rc = start(app, l, word, e);
    if (rc < 0) {
        l->fd = -1;
        agent_link_close(l, NULL, NULL);
        return rc;
    }
    *ret = l;
    return 0;
}

int agent_link_fd(const struct agent_link *l)
{
    return l->fd;
}

bool agent_link_hear(struct agent_link *l)
{
    char buf[4096];
    ssize_t n;
    bool some = false;
    /* A bound: who never stops talking is not listened to for ever. */
    for (int i = 0; l->err_fd >= 0 && i < 64 && (n = read(l->err_fd, buf, sizeof buf)) > 0; i++) {
        size_t room = WORDS_BYTES - 1 - l->n_words, more = (size_t)n;
        some = true;
        if (more > room) {
            size_t gone = more - room < l->n_words ? more - room : l->n_words;
            memmove(l->words, l->words + gone, l->n_words - gone);
            l->n_words -= gone;
        }
        memcpy(l->words + l->n_words, buf, more);
        l->n_words += more;
        l->words[l->n_words] = '\0';
    }
    return some;
}

static void reap(struct agent_link *l, unsigned ms)
{
    if (l->pid > 0 && sys_reap(l->pid, ms, &l->status, NULL) == 0)
        l->pid = 0;
}

int agent_link_lost(struct agent_link *l, bool greeted, int rc, struct err *e)
{
    if (!l->conf || rc == -ERR_INTERRUPTED)
        return rc;
    if (rc == -ERR_TIMEOUT) {
        agent_link_hear(l);
        err_next(e,
                 _("see whether twofold-agent hangs on %s (ps -C twofold-agent), end it there, and "
                   "run the same command again"),
                 l->conf->host);
        return rc;
    }
    if (rc == -ERR_PROTOCOL && !greeted)
        err_next(e,
                 _("something on %s prints text into the stream: look for an echo in the login "
                   "files (.bashrc) of \"%s\", then: twofold agent check %s"),
                 l->conf->host, l->conf->user, l->conf->name);
    if (rc != -ERR_UNREACHABLE)
        return rc;
    reap(l, DEATH_MS);
    agent_link_hear(l);
    struct link_end end = {
        .conf = l->conf, .words = l->words, .status = l->status, .greeted = greeted
    };
    return agent_words_explain(&end, e);
}

int agent_link_close(struct agent_link *l, int *ret_status, struct err *e)
{
    int rc = 0;
    if (!l)
        return 0;
    sys_close_quiet(l->fd);
    /* Not heard any more, an SSH client could block; its pipe is closed, and then it ends. */
    if (l->err_fd >= 0)
        agent_link_hear(l);
    sys_close_quiet(l->err_fd);
    if (l->pid > 0)
        rc = sys_reap(l->pid, END_MS, &l->status, e);
    if (ret_status)
        *ret_status = l->status;
    free(l);
    return rc;
}

/* --- words ------------------------------------------------------------------------------------------------------ */
int take_all(int fd, unsigned timeout_ms, char **ret, struct err *e)
{
    struct wbuf w = WBUF_INIT;
    uint64_t until = sys_monotonic_ms() + timeout_ms, now;
    char buf[4096];
    int rc = 0;
    for (ssize_t n = 1; rc == 0 && n != 0;) {
        n = read(fd, buf, sizeof buf);
        if (n > 0 && w.len + (size_t)n > MAX_WORD_ANSWER)
            rc = err_set(e, ERR_LIMIT, _("the answer is longer than %u bytes"), MAX_WORD_ANSWER);
        else if (n > 0)
            wb_bytes(&w, buf, (size_t)n);
        else if (n < 0 && errno == ECONNRESET)
            n = 0;
        else if (n < 0 && errno == EAGAIN)
            rc = (now = sys_monotonic_ms()) >= until
                     ? err_set(e, ERR_TIMEOUT, _("no answer within %u s"), timeout_ms / 1000)
                     : sys_wait_fd(fd, POLLIN, (int)(until - now), e);
        else if (n < 0 && errno != EINTR)
            rc = err_sys(e, _("receive"));
    }
    wb_u8(&w, '\0');
    if (rc == 0 && w.failed)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc < 0) {
        wbuf_free(&w);
        return rc;
    }
    *ret = (char *)w.p;
    return 0;
}

static bool ends_with_done(const char *text)
{
    size_t n = strlen(text);
    return n >= 5 && strcmp(text + n - 5, "done\n") == 0 && (n == 5 || text[n - 6] == '\n');
}

int agent_ask(struct app *app, const struct agent_conf *conf, const char *word, const char *input,
              char **ret, struct err *e)
{
    struct agent_link *l = NULL;
    char *text = NULL;
    int rc = agent_link_open(app, conf, word, &l, e);
    if (rc < 0)
        return rc;
    /* A key, a hundred bytes: the socket takes it at once. */
    if (input && send(l->fd, input, strlen(input), MSG_NOSIGNAL) < 0 && errno != EPIPE)
        rc = err_sys(e, _("send"));
    shutdown(l->fd, SHUT_WR);
    if (rc == 0)
        rc = take_all(l->fd, link_deadline_s() * 1000, &text, e);
    if (rc == 0 && !ends_with_done(text))
        rc = agent_link_lost(l, false, -ERR_UNREACHABLE, e);
    agent_link_close(l, NULL, NULL);
    if (rc < 0) {
        free(text);
        return rc;
    }
    *ret = text;
    return 0;
}
