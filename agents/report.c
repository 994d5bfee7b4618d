/* report.c - counts, notes and the progress thread of restore and compare. Manual:
 * agents/report.h. */
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/manifest.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHOWN_PATH_BYTES 512

struct report_thread {
    struct wire *w; /* borrowed */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    uint8_t phase;
    uint64_t total_files;
    char path[SHOWN_PATH_BYTES + 1]; /* with its leading '/' */
    size_t path_len;
};

static void send_progress(struct report *r)
{
    struct report_thread *t = r->thread;
    char path[sizeof t->path];
    struct msg_progress m = {
        .files = r->n.files + r->n.others,
        .bytes = r->n.bytes,
        .bytes_read = r->n.bytes_read,
        .problems = r->n.problems,
        .total_files = t->total_files,
        .path = path,
    };
    pthread_mutex_lock(&t->lock);
    m.phase = t->phase;
    m.path_len = t->path_len;
    memcpy(path, t->path, t->path_len);
    pthread_mutex_unlock(&t->lock);
    struct wbuf head = WBUF_INIT;
    msg_progress_write(&head, &m);
    if (!head.failed)
        wire_send(t->w, FRAME_PROGRESS, &head, NULL, 0, NULL);
    wbuf_free(&head);
}

static void *beat(void *arg)
{
    struct report *r = arg;
    struct report_thread *t = r->thread;
    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += WIRE_BEAT_MS / 1000;
        until.tv_nsec += (long)(WIRE_BEAT_MS % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        int rc = 0;
        while (!t->stop && rc == 0)
            rc = pthread_cond_timedwait(&t->wake, &t->lock, &until);
        if (t->stop)
            break;
        pthread_mutex_unlock(&t->lock);
        send_progress(r);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

int report_begin(struct report *r, struct wire *w, unsigned phase, uint64_t total_files,
                 struct err *e)
{
    struct report_thread *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    t->w = w;
    t->phase = (uint8_t)phase;
    t->total_files = total_files;
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r->thread = t;
    if (pthread_create(&t->thread, NULL, beat, r) != 0) {
        pthread_cond_destroy(&t->wake);
        pthread_mutex_destroy(&t->lock);
        free(t);
        r->thread = NULL;
        return err_set(e, ERR_NOMEM, _("no thread could be started"));
    }
    return 0;
}

void report_end(struct report *r)
{
    struct report_thread *t = r->thread;
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t);
    r->thread = NULL;
}

void report_phase(struct report *r, unsigned phase)
{
    pthread_mutex_lock(&r->thread->lock);
    r->thread->phase = (uint8_t)phase;
    pthread_mutex_unlock(&r->thread->lock);
}

void report_at(struct report *r, const char *path, size_t len)
{
    struct report_thread *t = r->thread;
    size_t n = len < SHOWN_PATH_BYTES ? len : SHOWN_PATH_BYTES - 1;
    pthread_mutex_lock(&t->lock);
    t->path[0] = '/';
    memcpy(t->path + 1, path, n);
    t->path_len = n + 1;
    pthread_mutex_unlock(&t->lock);
}

static void send_note(struct report *r, bool problem, const char *path, size_t len,
                      const char *text)
{
    char *full = path && len < MAX_PATH_BYTES ? malloc(len + 1) : NULL;
    struct msg_note m = { .problem = problem, .text = text, .path = "" };
    size_t text_len = strlen(text);
    m.text_len = text_len < MAX_FRAME_TEXT ? text_len : MAX_FRAME_TEXT;
    if (full) {
        full[0] = '/';
        memcpy(full + 1, path, len);
        m.path = full;
        m.path_len = len + 1;
    }
    struct wbuf head = WBUF_INIT;
    msg_note_write(&head, &m);
    if (problem)
        r->n.problems++;
    if (!head.failed)
        wire_send(r->thread->w, FRAME_NOTE, &head, NULL, 0, NULL);
    wbuf_free(&head);
    free(full);
}

void report_problem(struct report *r, const char *path, size_t len, const char *fmt, ...)
{
    char text[MAX_FRAME_TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    send_note(r, true, path, len, text);
}

void report_note(struct report *r, const char *path, size_t len, const char *fmt, ...)
{
    char text[MAX_FRAME_TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    send_note(r, false, path, len, text);
}

void report_err(struct report *r, const char *path, size_t len, const struct err *why)
{
    if (why->what[0])
        report_problem(r, path, len, "%s: %s", why->what, why->why);
    else
        report_problem(r, path, len, "%s", why->why);
}

void report_owner_once(struct report *r)
{
    if (!atomic_exchange(&r->owner_told, true))
        report_note(r, NULL, 0, _("not running as root: owners are not restored"));
}

void report_facts(struct report *r, const char *name, json_t *o)
{
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    struct msg_facts m = { .name = name, .name_len = strlen(name), .text = text };
    struct wbuf head = WBUF_INIT;
    m.text_len = text ? strlen(text) : 0;
    msg_facts_write(&head, &m);
    if (text && m.text_len <= MAX_FACTS_TEXT && !head.failed)
        wire_send(r->thread->w, FRAME_FACTS, &head, NULL, 0, NULL);
    wbuf_free(&head);
    free(text);
    json_decref(o);
}

void report_check(struct report *r, const char *kind, const char *name, bool ok, const char *fmt,
                  ...)
{
    char text[MAX_FRAME_TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    report_facts(r, "check",
                 json_pack("{s:s, s:s, s:b, s:o}", "kind", kind, "name", name, "ok", ok, "text",
                           json_string_nocheck(text)));
}

int report_done(struct report *r, struct err *e)
{
    struct msg_done m = {
        .files = r->n.files,
        .dirs = r->n.dirs,
        .others = r->n.others,
        .bytes = r->n.bytes,
        .already = r->n.already,
        .failed = r->n.failed,
        .set_aside = r->n.set_aside,
        .extra = r->n.extra,
        .extra_aside = r->n.extra_aside,
    };
    struct wbuf head = WBUF_INIT;
    msg_done_write(&head, &m);
    int rc = head.failed ? err_set(e, ERR_NOMEM, _("out of memory"))
                         : wire_send(r->thread->w, FRAME_DONE, &head, NULL, 0, e);
    wbuf_free(&head);
    return rc;
}
