/* channels.c - picks the channel; commands and the console; what the channels share. See channels.h. */
#include "orchestrator/watch/channels.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/secret.h"
#include "orchestrator/text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MAX_COMMAND_WORDS 64
#define END_MS 2000

void message_done(struct message *m)
{
    free(m->subject);
    free(m->body);
    free(m->brief);
    json_decref(m->json);
    *m = (struct message){ 0 };
}

unsigned channel_timeout_ms(void)
{
#ifdef TWOFOLD_FAULTS
    const char *given = getenv("TWOFOLD_CHANNEL_TIMEOUT_MS");
    if (given && *given)
        return (unsigned)strtoul(given, NULL, 10);
#endif
    return CHANNEL_TIMEOUT_MS;
}

char *url_shown(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/?#");
    /* A name and password before the host are nobody's business either. */
    for (size_t i = 0; i < n; i++)
        if (host[i] == '@') {
            host += i + 1;
            n -= i + 1;
            i = (size_t)-1;
        }
    const char *scheme = strstr(url, "://");
    return text_print("%.*s%.*s%s", scheme ? (int)(scheme + 3 - url) : 0, url, (int)n, host,
                      host[n] ? "/…" : "");
}

char *cut_utf8(const char *text, size_t max)
{
    size_t n = strlen(text);
    if (n <= max)
        return text_print("%s", text);
    n = max > 3 ? max - 3 : 0; /* room for the sign that something is missing */
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return text_print("%.*s…", (int)n, text);
}

int secret_line(const char *path, char **ret, struct err *e)
{
    uint8_t *p = NULL;
    size_t n = 0;
    struct stat st;
    int rc = sys_read_file(AT_FDCWD, path, MAX_SECRET_FILE, &p, &n, e);
    if (rc == 0 && (stat(path, &st) < 0 || (st.st_mode & 0027) != 0)) {
        rc = err_set(e, ERR_REFUSED, _("%s holds a secret, and others may read or change it"),
                     path);
        err_next(e, "chmod 600 %s", path);
    }
    if (rc < 0) {
        secret_line_free((char *)p);
        return rc;
    }
    p[strcspn((char *)p, "\r\n")] = '\0';
    *ret = (char *)p;
    return 0;
}

void secret_line_free(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
}

/* --- programs ------------------------------------------------------------------------------------------ */
/* Writes what is left of the text when it is taken, and collects what comes. 1: its output has ended. */
struct talk {
    int fd;
    const char *text;
    size_t left;
    char *out;
    size_t n_out;
};

static int send_some(struct talk *t, struct err *e)
{
    ssize_t n = send(t->fd, t->text, t->left, MSG_NOSIGNAL);
    if (n >= 0) {
        t->text += n;
        t->left -= (size_t)n;
    } else if (errno == EPIPE || errno == ECONNRESET) {
        t->left = 0; /* it does not want to read it all: its exit status tells */
    } else if (errno != EAGAIN && errno != EINTR) {
        return err_sys(e, _("write to the command"));
    }
    if (t->left == 0)
        shutdown(t->fd, SHUT_WR);
    return 0;
}

static int take_some(struct talk *t, struct err *e)
{
    char buf[4096];
    ssize_t n = recv(t->fd, buf, sizeof buf, 0);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return 1;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : err_sys(e, _("read from the command"));
    size_t room = MAX_ANSWER_BYTES - t->n_out, take = (size_t)n < room ? (size_t)n : room;
    memcpy(t->out + t->n_out, buf, take);
    t->n_out += take;
    t->out[t->n_out] = '\0';
    return 0;
}

static int talk_until(struct talk *t, uint64_t deadline_ms, struct err *e)
{
    int rc = 0;
    if (t->left == 0)
        shutdown(t->fd, SHUT_WR);
    while (rc == 0) {
        struct pollfd p = { .fd = t->fd, .events = (short)(POLLIN | (t->left ? POLLOUT : 0)) };
        uint64_t now = sys_monotonic_ms();
        if (now >= deadline_ms)
            return err_set(e, ERR_TIMEOUT, _("it has not ended in time"));
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
        int n = poll(&p, 1, deadline_ms - now > 500 ? 500 : (int)(deadline_ms - now));
        if (n < 0 && errno != EINTR)
            return err_sys(e, _("wait"));
        if (n > 0 && (p.revents & POLLOUT))
            rc = send_some(t, e);
        if (rc == 0 && n > 0 && (p.revents & (POLLIN | POLLHUP | POLLERR)))
            rc = take_some(t, e);
    }
    return rc;
}

static const char *last_line(char *out)
{
    size_t n = strlen(out);
    while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == ' '))
        out[--n] = '\0';
    char *nl = strrchr(out, '\n');
    return nl ? nl + 1 : out;
}

static int judge_end(int status, char *out, struct err *e)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    const char *last = last_line(out);
    char *shown = text_clean(last, strnlen(last, 200), false);
    if (WIFSIGNALED(status))
        err_set(e, ERR_FAILED, _("ended by signal %d"), WTERMSIG(status));
    else
        err_set(e, ERR_FAILED, _("exit status %d%s%s"), WEXITSTATUS(status), *shown ? ": " : "",
                shown);
    free(shown);
    return -ERR_FAILED;
}

int run_program(char *const argv[], const char *text, unsigned timeout_ms, char **ret_out,
                struct err *e)
{
    const char *words[MAX_COMMAND_WORDS + 8];
    const char *path = getenv("PATH");
    char *path_word = text_print("PATH=%s", path && *path
                                                ? path
                                                : "/usr/local/sbin:/usr/local/bin:/usr/sbin:"
                                                  "/usr/bin:/sbin:/bin");
    size_t n = 0;
    pid_t pid = -1;
    int status = 0;
    words[n++] = "/usr/bin/env";
    words[n++] = "-i";
    words[n++] = path_word;
    words[n++] = "LANG=C.UTF-8";
    words[n++] = "HOME=/";
    for (size_t i = 0; i < MAX_COMMAND_WORDS && argv[i]; i++)
        words[n++] = argv[i];
    words[n] = NULL;
    uint64_t deadline_ms = sys_monotonic_ms() + timeout_ms;
    struct talk t = { .text = text, .left = strlen(text), .out = calloc(1, MAX_ANSWER_BYTES + 1) };
    if (!t.out)
        abort();
    int rc = t.fd = sys_spawn(words, -1, &pid, e);
    if (t.fd >= 0) {
        rc = talk_until(&t, deadline_ms, e);
        sys_close_quiet(t.fd);
        int ended = sys_reap(pid, rc == -ERR_TIMEOUT ? 0 : END_MS, &status, rc < 0 ? NULL : e);
        rc = rc < 0 ? rc : ended < 0 ? ended : judge_end(status, t.out, e);
    }
    free(path_word);
    if (ret_out && rc == 0)
        *ret_out = t.out;
    else
        free(t.out);
    return rc;
}

static int channel_command(const struct settings *s, const struct recipient *r,
                           const struct message *m, struct err *e)
{
    char *argv[MAX_COMMAND_WORDS];
    size_t n = 0;
    if (!s->command)
        return err_set(e, ERR_CONFIG, _("no command is set in twofold.yaml"));
    while (n < MAX_COMMAND_WORDS - 2 && s->command[n]) {
        argv[n] = s->command[n];
        n++;
    }
    /* A number that begins with a dash would be an option. */
    if (r->to[0] == '-')
        return err_set(e, ERR_CONFIG, _("\"%s\" is no telephone number"), r->to);
    argv[n++] = (char *)r->to;
    argv[n] = NULL;
    int rc = run_program(argv, m->brief, channel_timeout_ms(), NULL, e);
    return rc < 0 ? err_wrap(e, "%s", s->command[0]) : 0;
}

/* Line by line: a line end is one of ours, never one that somebody's words spell out. */
static int channel_console(const struct message *m, struct err *e)
{
    char *argv[] = { "wall", NULL };
    struct wbuf w = WBUF_INIT;
    for (const char *line = m->body; *line;) {
        size_t n = strcspn(line, "\n");
        char *clean = text_clean(line, n, false);
        wb_bytes(&w, clean, strlen(clean));
        wb_bytes(&w, "\n", line[n] == '\n');
        free(clean);
        line += n + (line[n] == '\n');
    }
    wb_bytes(&w, "", 1);
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("out of memory"))
                      : run_program(argv, (const char *)w.p, channel_timeout_ms(), NULL, e);
    wbuf_free(&w);
    return rc < 0 ? err_wrap(e, "wall") : 0;
}

int channel_send(const struct settings *s, const struct recipient *r, const struct message *m,
                 struct err *e)
{
    if (strcmp(r->channel, "mail") == 0)
        return channel_mail(s, r, m, e);
    if (strcmp(r->channel, "webhook") == 0)
        return channel_webhook(s, r, m, e);
    if (strcmp(r->channel, "command") == 0)
        return channel_command(s, r, m, e);
    return channel_console(m, e);
}
