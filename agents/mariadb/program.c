/* run.c - see program.h. */
#include "agents/mariadb/program.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 1000
#define REAP_MS 60000
#define LOG_LOOK_BYTES (64u << 10)
#define MAX_LINE_TOLD 300
#define MAX_LINES_LOOKED 64
#define VERSION_LIMIT_S 60

/* --- the programs ------------------------------------------------------------------------------ */
static bool has(const char *folder, const char *name, char ret[PATH_MAX])
{
    int n = snprintf(ret, PATH_MAX, "%s/%s", folder, name);
    return n > 0 && n < PATH_MAX && access(ret, X_OK) == 0;
}

int prog_find(enum my_tool tool, const char *folder, char ret[PATH_MAX], struct err *e)
{
    static const char *const names[][4] = {
        [TOOL_BACKUP] = { "mariadb-backup", "mariabackup", "xtrabackup", NULL },
        [TOOL_CLIENT] = { "mariadb", "mysql", NULL },
        [TOOL_SERVER] = { "mariadbd", "mysqld", NULL },
        [TOOL_BINLOG] = { "mariadb-binlog", "mysqlbinlog", NULL },
    };
    static const char *const usual[] = { "/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/local/bin",
                                         NULL };
    for (const char *const *n = names[tool]; *n; n++) {
        if (folder && has(folder, *n, ret))
            return 0;
        for (const char *const *d = usual; !folder && *d; d++)
            if (has(*d, *n, ret))
                return 0;
    }
    err_set(e, ERR_ABSENT, _("there is no %s in %s"), names[tool][0],
            folder ? folder : "/usr/bin, /usr/sbin, /usr/libexec, /usr/local/bin");
    return err_next(e, tool == TOOL_SERVER
                           ? _("install it on this host (Debian: mariadb-server)")
                           : _("install it on this host (Debian: mariadb-backup, mariadb-client), "
                               "of the server's own version"));
}

/* --- arguments ----------------------------------------------------------------------------------- */
void prog_arg(struct prog *r, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    if (r->n == PROG_MAX_ARGS || vasprintf(&text, fmt, ap) < 0)
        r->failed = true;
    else
        r->argv[r->n] = r->texts[r->n] = text;
    r->n += !r->failed;
    va_end(ap);
}

static void clear_args(struct prog *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->texts[i]);
    memset(r->argv, 0, sizeof r->argv);
    r->n = 0;
    r->failed = false;
}

void prog_begin(struct prog *r, const char *program, struct as_owner *as)
{
    const char *words[AS_OWNER_WORDS];
    size_t n = as ? as_owner_words(as, "KILL", words) : 0;
    clear_args(r);
    for (size_t i = 0; i < n; i++)
        prog_arg(r, "%s", words[i]);
    prog_arg(r, "%s", program);
}

int prog_init(struct prog *r, const char *state_dir, struct err *e)
{
    char path[PATH_MAX];
    *r = (struct prog){ .log_fd = -1, .fd = -1 };
    snprintf(path, sizeof path, "%s/said-XXXXXX", state_dir);
    if (sys_mkdir_p(state_dir, 0700, e) < 0)
        return -e->code;
    r->log_fd = mkostemp(path, O_CLOEXEC | O_APPEND);
    if (r->log_fd < 0)
        return err_sys(e, "%s", state_dir);
    (void)unlink(path);
    return 0;
}

int prog_start(struct prog *r, int lock_fd, struct err *e)
{
    if (r->failed)
        return err_set(e, ERR_NOMEM, _("no memory"));
    if (ftruncate(r->log_fd, 0) < 0)
        return err_sys(e, "%s", r->argv[0]);
    r->fd = sys_spawn_heard(r->argv, lock_fd, r->log_fd, &r->pid, e);
    return r->fd < 0 ? r->fd : 0;
}

bool prog_alive(struct prog *r)
{
    siginfo_t info = { 0 };
    return r->pid > 0 && waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

/* --- waiting ------------------------------------------------------------------------------------- */
/* Its end; it has closed its output already, or is to be killed. */
static bool reap(struct prog *r, unsigned timeout_ms)
{
    int status = -1;
    if (r->pid > 0 && sys_reap(r->pid, timeout_ms, &status, NULL) < 0)
        status = -1;
    r->pid = 0;
    sys_close_quiet(r->fd);
    r->fd = -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct talk { /* what is exchanged with it meanwhile */
    const char *input;
    size_t left;
    int (*each)(void *ctx, const char *part, size_t n, struct err *e);
    int (*tick)(void *ctx, struct err *e);
    void *ctx;
};

static void give_input(struct prog *r, struct talk *t)
{
    ssize_t n = t->left > 0 ? send(r->fd, t->input, t->left, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (n > 0) {
        t->input += n;
        t->left -= (size_t)n;
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        t->left = 0; /* it does not listen; it will say why */
    }
    if (t->left == 0 && t->input) {
        (void)shutdown(r->fd, SHUT_WR);
        t->input = NULL;
    }
}

/* 0: go on; 1: it has closed its output. */
static int take_output(struct prog *r, const struct talk *t, struct err *e)
{
    char part[16384];
    ssize_t n = recv(r->fd, part, sizeof part, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return 1;
    return t->each ? t->each(t->ctx, part, (size_t)n, e) : 0;
}

static int talk(struct prog *r, struct talk *t, uint64_t limit_s, bool *ret_ok, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + limit_s * 1000, next = 0;
    int rc = 0;
    while (rc == 0) {
        short events = (short)(POLLIN | (t->input ? POLLOUT : 0));
        int ready = sys_wait_fd(r->fd, events, TICK_MS, NULL);
        if (sys_interrupted())
            rc = err_set(e, ERR_INTERRUPTED, _("interrupted"));
        else if (sys_monotonic_ms() > until)
            rc = err_set(e, ERR_TIMEOUT, _("it did not end within %llu s"),
                         (unsigned long long)limit_s);
        else if (t->tick && sys_monotonic_ms() >= next)
            rc = t->tick(t->ctx, e);
        if (sys_monotonic_ms() >= next)
            next = sys_monotonic_ms() + TICK_MS;
        if (rc == 0 && ready == 0 && t->input)
            give_input(r, t);
        if (rc == 0 && ready == 0)
            rc = take_output(r, t, e);
    }
    *ret_ok = reap(r, rc < 0 ? 0 : REAP_MS);
    return rc < 0 ? rc : 0;
}

int prog_wait(struct prog *r, uint64_t limit_s, int (*tick)(void *ctx, struct err *e), void *ctx,
              bool *ret_ok, struct err *e)
{
    struct talk t = { .tick = tick, .ctx = ctx };
    return talk(r, &t, limit_s, ret_ok, e);
}

int prog_feed(struct prog *r, const char *input, uint64_t limit_s,
              int (*each)(void *ctx, const char *part, size_t n, struct err *e),
              int (*tick)(void *ctx, struct err *e), void *ctx, bool *ret_ok, struct err *e)
{
    struct talk t = {
        .input = input, .left = strlen(input), .each = each, .tick = tick, .ctx = ctx
    };
    return talk(r, &t, limit_s, ret_ok, e);
}

bool prog_stop(struct prog *r, unsigned timeout_ms)
{
    if (r->pid <= 0)
        return false;
    if (prog_alive(r))
        (void)kill(r->pid, SIGTERM);
    return reap(r, timeout_ms);
}

/* --- what it said -------------------------------------------------------------------------------- */
/* The end of it; owned, NULL: no memory. */
static char *said(const struct prog *r)
{
    char *text = malloc(LOG_LOOK_BYTES + 1);
    off_t end = lseek(r->log_fd, 0, SEEK_END);
    off_t from = end > (off_t)LOG_LOOK_BYTES ? end - (off_t)LOG_LOOK_BYTES : 0;
    ssize_t n = text ? sys_pread(r->log_fd, text, LOG_LOOK_BYTES, (uint64_t)from, NULL) : 0;
    for (ssize_t i = 0; i < n; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    if (text)
        text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Without what stands before each: "[00] 2026-11-26 03:25:52 ", "2026-11-26  3:25:52 0 [ERROR] ". */
static const char *message_of(const char *line)
{
    const char *p = line;
    if (strncmp(p, "[00] ", 5) == 0)
        p += 5;
    size_t stamp = strspn(p, "0123456789-: ");
    if (stamp < 19)
        return p;
    p += stamp;
    const char *end = *p == '[' ? strstr(p, "] ") : NULL;
    return end && end - p < 12 ? end + 2 : p;
}

/* A page's dump is as long as a page. */
static bool is_told(const char *line, bool only_errors)
{
    if (!line[0] || strlen(line) > MAX_LINE_TOLD)
        return false;
    return !only_errors || ((strstr(line, "rror") || strstr(line, "ERROR")) &&
                            !strstr(line, "my_thread_global_end"));
}

/* As many of the last lines as there is room for, in their order. */
static void put_lines(char *const *lines, size_t n, bool only_errors, char ret[PROG_TAIL_BYTES + 1])
{
    size_t room = PROG_TAIL_BYTES, first = n;
    for (; first > 0; first--) {
        size_t len = strlen(lines[first - 1]) + 1;
        if (is_told(lines[first - 1], only_errors) && len > room)
            break;
        room -= is_told(lines[first - 1], only_errors) ? len : 0;
    }
    char *at = ret;
    for (size_t i = first; i < n; i++) {
        if (!is_told(lines[i], only_errors))
            continue;
        const char *text = message_of(lines[i]);
        if (at > ret)
            *at++ = ' ';
        memcpy(at, text, strlen(text));
        at += strlen(text);
    }
    *at = '\0';
}

void prog_tail(const struct prog *r, char ret[PROG_TAIL_BYTES + 1])
{
    char *text = said(r), *rest = text, *line, *lines[MAX_LINES_LOOKED];
    size_t n = 0;
    ret[0] = '\0';
    while (rest && (line = strsep(&rest, "\n")) != NULL) {
        if (n == MAX_LINES_LOOKED)
            memmove(lines, lines + 1, --n * sizeof *lines);
        lines[n++] = line;
    }
    put_lines(lines, n, true, ret);
    if (!ret[0])
        put_lines(lines, n, false, ret);
    for (char *p = ret; *p; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' ';
    free(text);
}

bool prog_said(const struct prog *r, const char *what)
{
    char *text = said(r);
    bool found = text && strstr(text, what);
    free(text);
    return found;
}

void prog_done(struct prog *r)
{
    if (r->pid > 0)
        reap(r, 0);
    clear_args(r);
    sys_close_quiet(r->log_fd);
    r->log_fd = -1;
}

/* --- versions ------------------------------------------------------------------------------------ */
struct first_words {
    char text[512];
    size_t n;
};

static int keep_words(void *ctx, const char *part, size_t n, struct err *e)
{
    struct first_words *w = ctx;
    size_t room = sizeof w->text - 1 - w->n, take = n < room ? n : room;
    (void)e;
    memcpy(w->text + w->n, part, take);
    w->n += take;
    return 0;
}

/* Major and minor number of the first "10.11.…" in it. */
static bool release_of(const char *text, unsigned long ret[2])
{
    for (const char *p = text; *p; p++) {
        char *end = NULL;
        if (*p < '0' || *p > '9' || (p > text && (p[-1] == '.' || (p[-1] >= '0' && p[-1] <= '9'))))
            continue;
        ret[0] = strtoul(p, &end, 10);
        if (*end != '.' || end[1] < '0' || end[1] > '9')
            continue;
        ret[1] = strtoul(end + 1, &end, 10);
        if (*end == '.')
            return true;
    }
    return false;
}

int prog_check_version(const char *program, const char *version, const char *state_dir,
                       struct err *e)
{
    struct prog r;
    struct first_words out = { .n = 0 };
    char tail[PROG_TAIL_BYTES + 1];
    unsigned long is[2], wanted[2];
    bool ok = false;
    int rc = prog_init(&r, state_dir, e);
    if (rc < 0)
        return rc;
    prog_begin(&r, program, NULL);
    prog_arg(&r, "--no-defaults");
    prog_arg(&r, "--version");
    rc = prog_start(&r, -1, e);
    if (rc == 0)
        rc = prog_feed(&r, "", VERSION_LIMIT_S, keep_words, NULL, &out, &ok, e);
    prog_tail(&r, tail);
    prog_done(&r);
    out.text[out.n] = '\0';
    if (rc < 0 || (!release_of(out.text, is) && !release_of(tail, is)) ||
        !release_of(version, wanted) || (is[0] == wanted[0] && is[1] == wanted[1]))
        return rc;
    err_set(e, ERR_VERSION, _("%s is of version %lu.%lu, but the server is of %lu.%lu"), program,
            is[0], is[1], wanted[0], wanted[1]);
    return err_next(e, _("install the programs of the server's own version, and name their folder "
                         "where they are not in the usual place (binaries:, --verify=FOLDER)"));
}
