/* heartbeat.c - signs of life for something else that watches: a file written anew, and an address that is asked for by a short-lived
 * process, so that a network that hangs holds nobody up. A dead scheduler writes and asks no more. */
#include "orchestrator/daemon/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/calendar.h"

#include <curl/curl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#define PING_S 20
#define PING_MOST_MS ((PING_S + 10) * 1000u)
#define MAX_URL 4096

static void write_file(struct daemon *d, const char *path)
{
    char when[32], text[128];
    struct err e = ERR_INIT;
    calendar_slot(sys_realtime_s(), when);
    int n = snprintf(text, sizeof text, "%s running=%zu queued=%zu\n", when, d->n_children,
                     d->n_queued);
    int rc = sys_write_file(AT_FDCWD, path, text, (size_t)n, 0644, &e);
    if (rc < 0 && !d->heartbeat.file_failed)
        daemon_log_err(LOG_WARNING, NULL, _("the heartbeat file"), &e);
    d->heartbeat.file_failed = rc < 0;
}

/* The address may hold a secret: it goes over a pipe, not into the arguments. */
static int start_ping(struct heartbeat *h, const char *url, struct err *e)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return err_sys(e, "/proc/self/exe");
    self[n] = '\0';
    const char *const argv[] = { self, "--ping", NULL };
    int fd = sys_spawn(argv, -1, &h->ping, e);
    if (fd < 0) {
        h->ping = 0;
        return fd;
    }
    int rc = sys_write(fd, url, strnlen(url, MAX_URL), e);
    sys_close_quiet(fd);
    return rc;
}

static void end_ping(struct heartbeat *h, uint64_t now_ms)
{
    int status = 0;
    if (h->ping == 0)
        return;
    pid_t got = waitpid(h->ping, &status, WNOHANG);
    if (got == 0 && now_ms >= h->ping_until_ms)
        kill(h->ping, SIGKILL);
    if (got == 0)
        return;
    bool failed = got < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    if (failed && !h->ping_failed)
        daemon_log(LOG_WARNING, NULL, _("the heartbeat's address does not answer"));
    h->ping_failed = failed;
    h->ping = 0;
}

void heartbeat_tick(struct daemon *d, uint64_t now_ms)
{
    struct heartbeat *h = &d->heartbeat;
    const struct settings *s = d->site ? d->site->settings : NULL;
    struct err e = ERR_INIT;
    end_ping(h, now_ms);
    if (!s || now_ms < h->next_ms)
        return;
    h->next_ms = now_ms + (s->heartbeat_every_s ? s->heartbeat_every_s : 60) * 1000;
    if (s->heartbeat_file)
        write_file(d, s->heartbeat_file);
    if (!s->heartbeat_url || h->ping)
        return;
    h->ping_until_ms = now_ms + PING_MOST_MS;
    if (start_ping(h, s->heartbeat_url, &e) < 0)
        daemon_log_err(LOG_WARNING, NULL, _("the heartbeat's address"), &e);
}

void heartbeat_done(struct daemon *d)
{
    if (d->heartbeat.ping)
        sys_reap(d->heartbeat.ping, 0, NULL, NULL);
}

static size_t swallow(char *p, size_t size, size_t n, void *ctx)
{
    (void)p;
    (void)ctx;
    return size * n;
}

int heartbeat_ping(struct err *e)
{
    char url[MAX_URL + 1];
    ssize_t n = sys_read(STDIN_FILENO, url, MAX_URL, e);
    if (n < 0)
        return (int)n;
    url[n] = '\0';
    CURL *curl = curl_easy_init();
    if (!curl)
        return err_set(e, ERR_NOMEM, _("no memory"));
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)PING_S);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "twofoldd");
    long status = 0;
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (rc != CURLE_OK)
        return err_set(e, ERR_UNREACHABLE, "%s", curl_easy_strerror(rc));
    /* Who sends us elsewhere has not heard it, and we follow nobody. */
    return status >= 200 && status <= 299
               ? 0
               : err_set(e, ERR_UNREACHABLE, _("HTTP status %ld"), status);
}
