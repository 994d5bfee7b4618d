/* child.c - a job at work; see child.h. */
#include "orchestrator/daemon/child.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/job_signals.h"
#include "orchestrator/program.h"
#include "orchestrator/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_LINE ((size_t)64 << 10)
#define START_AGAIN_S 60
#define FENCED_GRACE_MS 20000
#define CANCEL_GRACE_MS 60000

const char *fact_cancel(uint64_t job, char out[FACT_BYTES])
{
    snprintf(out, FACT_BYTES, "cancel/%" PRIu64, job);
    return out;
}

const char *fact_hold(const char *policy, char out[FACT_BYTES])
{
    snprintf(out, FACT_BYTES, "hold/%s", policy);
    return out;
}

bool fact_is_set(struct catalog *c, const char *key)
{
    char value[8];
    return catalog_fact_get(c, key, value, sizeof value, NULL) == 1 && value[0] != '\0';
}

/* --- starting ---------------------------------------------------------------------------------------------- */
static int take_job(void *ctx, const struct job *j)
{
    struct child *k = ctx;
    k->kind = j->kind;
    k->tries = j->tries;
    k->max_tries = j->max_tries;
    snprintf(k->target, sizeof k->target, "%s", j->target);
    snprintf(k->vault, sizeof k->vault, "%s", j->vault);
    return 0;
}

static int spawn(const struct config_paths *p, struct child *k, struct err *e)
{
    char path[PATH_MAX], id[24];
    const char *argv[16] = { path,      "--config", p->config_dir, "--json",
                             "--quiet", "--yes",    "--job",       id };
    size_t n = 8;
    snprintf(id, sizeof id, "%" PRIu64, k->job);
    int rc = program_find("twofold", "TWOFOLD_PROGRAM", path, e);
    argv[n++] = job_kind_name(k->kind);
    if (k->kind == JOB_BACKUP) {
        argv[n++] = "--";
        argv[n++] = k->target;
    } else if (k->kind != JOB_PAGE) {
        argv[n++] = "--vault";
        argv[n++] = k->vault;
    }
    k->fd = rc == 0 ? sys_spawn(argv, -1, &k->pid, e) : -1;
    return rc == 0 && k->fd < 0 ? k->fd : rc;
}

int child_start(const struct config_paths *p, struct catalog *c, uint64_t job, const char *owner,
                unsigned lease_s, struct child **ret, struct err *e)
{
    int64_t now_s = sys_realtime_s();
    struct child *k = calloc(1, sizeof *k);
    if (!k || !(k->line = malloc(MAX_LINE))) {
        free(k);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    k->job = job;
    k->fd = -1;
    k->lease_s = lease_s;
    k->started_s = now_s;
    k->renew_ms = sys_monotonic_ms();
    int rc = catalog_job_start(c, job, owner, now_s + lease_s, &k->epoch, e);
    if (rc == 0) {
        rc = catalog_job(c, job, take_job, k, e);
        if (rc == 0)
            rc = spawn(p, k, e);
        if (rc < 0 && e)
            catalog_job_end(c, job, k->epoch, JOB_QUEUED, 1, err_info(e->code)->name, e->why,
                            now_s + START_AGAIN_S, NULL);
    }
    if (rc < 0) {
        k->ended = true;
        child_free(k);
        return rc;
    }
    *ret = k;
    return 0;
}

void child_free(struct child *k)
{
    if (!k)
        return;
    sys_close_quiet(k->fd);
    if (!k->ended && k->pid > 0)
        sys_reap(k->pid, 0, NULL, NULL);
    free(k->line);
    free(k);
}

/* --- what it says -------------------------------------------------------------------------------------------- */
static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static void hear_line(struct child *k, const char *line, size_t n)
{
    json_t *o = json_loadb(line, n, 0, NULL), *copy;
    const char *type = text_of(o, "type");
    size_t i;
    if (strcmp(type, "error") == 0) {
        const char *what = text_of(o, "what");
        snprintf(k->outcome.error_code, sizeof k->outcome.error_code, "%s", text_of(o, "code"));
        snprintf(k->outcome.error, sizeof k->outcome.error, "%s%s%s", what, *what ? ": " : "",
                 text_of(o, "why"));
    } else if (strcmp(type, "backup") == 0) {
        json_array_foreach(json_object_get(o, "copies"), i,
                           copy) if (json_is_false(json_object_get(copy, "complete")))
            k->outcome.copies_lack = true;
    }
    json_decref(o);
}

/* A line that is too long is none of ours: its pieces are no JSON. */
static void hear(struct child *k, const char *p, size_t n)
{
    while (n > 0) {
        const char *end = memchr(p, '\n', n);
        size_t len = end ? (size_t)(end - p) : n, room = MAX_LINE - k->line_len;
        size_t take = len < room ? len : room;
        memcpy(k->line + k->line_len, p, take);
        k->line_len += take;
        if (end || take < len) {
            hear_line(k, k->line, k->line_len);
            k->line_len = 0;
        }
        if (end && take == len)
            take++;
        p += take;
        n -= take;
    }
}

void child_hear(struct child *k)
{
    char part[4096];
    ssize_t n;
    while (k->fd >= 0) {
        do {
            n = read(k->fd, part, sizeof part);
        } while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            sys_close_quiet(k->fd);
            k->fd = -1;
            return;
        }
        hear(k, part, (size_t)n);
    }
}

int child_fd(const struct child *k)
{
    return k->fd;
}

bool child_ended(const struct child *k)
{
    return k->ended;
}

static void look_whether_it_ended(struct child *k)
{
    int status = 0;
    pid_t got = k->ended ? 0 : waitpid(k->pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR))
        return;
    child_hear(k);
    k->ended = true;
    k->outcome.killed = got < 0 || WIFSIGNALED(status);
    k->outcome.exit_status = got < 0               ? 128
                             : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                                   : WEXITSTATUS(status);
}

/* --- while it runs ----------------------------------------------------------------------------------------------- */
/* Whether the process does something of its own at that signal: else it would be its end. */
static bool catches(pid_t pid, int sig)
{
    char path[64], *text = NULL;
    uint8_t *p = NULL;
    size_t n = 0;
    bool yes = false;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    if (sys_read_file(AT_FDCWD, path, 65536, &p, &n, NULL) < 0)
        return false;
    text = strstr((char *)p, "\nSigCgt:");
    if (text)
        yes = strtoull(text + 8, NULL, 16) >> (sig - 1) & 1;
    free(p);
    return yes;
}

static int see_wishes(void *ctx, const struct job *j)
{
    struct child *k = ctx;
    int sig = j->pause ? JOB_SIGNAL_PAUSE : JOB_SIGNAL_RESUME;
    if (j->state == JOB_RUNNING && j->epoch == k->epoch && j->pause != k->paused &&
        catches(k->pid, sig) && kill(k->pid, sig) == 0)
        k->paused = j->pause;
    return 0;
}

static int renew(struct child *k, struct catalog *c, uint64_t now_ms, struct err *e)
{
    if (k->fenced || now_ms < k->renew_ms + (uint64_t)k->lease_s * 1000 / 3)
        return 0;
    int rc = catalog_job_renew(c, k->job, k->epoch, sys_realtime_s() + k->lease_s, e);
    if (rc == 0)
        k->renew_ms = now_ms;
    if (rc == -ERR_REFUSED) { /* we slept too long, and the job was given to somebody else */
        k->fenced = true;
        child_stop(k, FENCED_GRACE_MS);
    }
    return rc;
}

int child_tend(struct child *k, struct catalog *c, struct err *e)
{
    uint64_t now = sys_monotonic_ms();
    char key[FACT_BYTES];
    look_whether_it_ended(k);
    if (k->ended)
        return 0;
    if (k->kill_ms && now >= k->kill_ms)
        kill(k->pid, SIGKILL);
    if (!c)
        return 0;
    int rc = renew(k, c, now, e);
    if (rc == 0)
        rc = catalog_job(c, k->job, see_wishes, k, e);
    if (rc == 0 && !k->kill_ms && fact_is_set(c, fact_cancel(k->job, key))) {
        child_stop(k, CANCEL_GRACE_MS);
        k->outcome.stopped = false;
        k->outcome.cancelled = true;
    }
    return rc;
}

void child_stop(struct child *k, unsigned grace_ms)
{
    look_whether_it_ended(k);
    if (k->ended || k->kill_ms)
        return;
    k->outcome.stopped = true;
    k->kill_ms = sys_monotonic_ms() + grace_ms;
    if (k->paused && catches(k->pid, JOB_SIGNAL_RESUME))
        kill(k->pid, JOB_SIGNAL_RESUME);
    kill(k->pid, SIGTERM);
}

/* --- afterwards ----------------------------------------------------------------------------------------------------- */
int child_settle(struct child *k, struct catalog *c, struct job_verdict *ret, struct err *e)
{
    uint32_t chance;
    char key[FACT_BYTES];
    sys_random(&chance, sizeof chance);
    struct job_outcome *o = &k->outcome;
    struct job_verdict v = plan_after(k->kind, k->tries, k->max_tries, o, sys_realtime_s(), chance);
    int rc = catalog_job_end(c, k->job, k->epoch, v.state, o->exit_status, o->error_code, o->error,
                             v.retry_at_s, e);
    if (rc < 0)
        return rc;
    if (v.state == JOB_CANCELLED)
        catalog_fact_set(c, fact_cancel(k->job, key), "", NULL);
    *ret = v;
    return 0;
}

int child_follow_up(const struct child *k, const struct config_paths *p, struct catalog *c,
                    struct err *e)
{
    struct queue_request q;
    char slot[SLOT_BYTES];
    if (k->kind != JOB_BACKUP || !k->outcome.copies_lack)
        return 0;
    snprintf(slot, sizeof slot, "after/%" PRIu64 "/%" PRIu64, k->job, k->epoch);
    int rc = queue_prepare(p, JOB_REPLICATE, k->vault, slot, &q, e);
    return rc == 0 ? queue_put(c, &q, NULL, e) : rc;
}
