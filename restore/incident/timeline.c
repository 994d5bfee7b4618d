/* timeline.c - the files of incidents: making one, appending under a lock, finding one by what people type. Lines are events.c's. */
#include "restore/incident/timeline.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/base/who.h"
#include "restore/incident/timeline_inner.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 10000
#define LOCK_PAUSE_MS 5
#define ID_TRIES 8
#define MAX_LISTED_TEXT 400
#define MAX_INCIDENTS 20000

/* --- memory -------------------------------------------------------------------------------------------------- */
struct incident *incident_new(const char *id)
{
    struct incident *inc = calloc(1, sizeof *inc);
    struct incident_file *f = calloc(1, sizeof *f);
    if (!inc || !f) {
        free(inc);
        free(f);
        return NULL;
    }
    inc->file = f;
    f->run_fd = -1;
    snprintf(inc->id, sizeof inc->id, "%s", id);
    incident_reset(inc);
    return inc;
}

void incident_reset(struct incident *inc)
{
    struct incident fresh = { .file = inc->file, .policy = "", .vault = "", .agent = "" };
    for (size_t i = 0; i < inc->n; i++)
        json_decref((json_t *)inc->events[i].body);
    free(inc->events);
    memcpy(fresh.id, inc->id, sizeof fresh.id);
    *inc = fresh;
    inc->file->cap = 0;
    memset(&inc->file->last, 0, sizeof inc->file->last);
    wbuf_reset(&inc->file->raw);
}

void incident_free(struct incident *inc)
{
    if (!inc)
        return;
    incident_reset(inc);
    wbuf_free(&inc->file->raw);
    sys_close_quiet(inc->file->run_fd);
    free(inc->file->dir);
    free(inc->file);
    free(inc);
}

static char *path_of(const char *dir, const char *name, struct err *e)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) >= 0)
        return path;
    err_set(e, ERR_NOMEM, _("out of memory"));
    return NULL;
}

/* --- reading the file ---------------------------------------------------------------------------------------- */
/* What lies behind the lines that were read. *ret_size: of the file. */
static int read_more(struct incident *inc, int fd, uint64_t *ret_size, struct err *e)
{
    struct incident_file *f = inc->file;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, _("timeline of %s"), inc->id);
    *ret_size = (uint64_t)st.st_size;
    if (*ret_size > MAX_TIMELINE_BYTES)
        return err_set(e, ERR_LIMIT, _("the timeline is larger than %zu bytes"),
                       MAX_TIMELINE_BYTES);
    if (*ret_size <= f->raw.len)
        return 0;
    size_t n = (size_t)(*ret_size - f->raw.len), used = 0;
    char *p = malloc(n);
    if (!p)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    ssize_t got = sys_pread(fd, p, n, f->raw.len, e);
    int rc = got < 0 ? (int)got : incident_take(inc, p, (size_t)got, &used, e);
    free(p);
    return rc;
}

/* A line whose writer failed to make it durable may have been read before it was taken away again: then the file is read anew. */
static int read_on(struct incident *inc, int fd, uint64_t *ret_size, struct err *e)
{
    int rc = read_more(inc, fd, ret_size, e);
    if (rc == 0 && (*ret_size < inc->file->raw.len || inc->broken.code != ERR_NONE)) {
        incident_reset(inc);
        rc = read_more(inc, fd, ret_size, e);
    }
    if (rc < 0)
        err_wrap(e, _("incident %s"), inc->id);
    return rc;
}

static int open_timeline(const struct incident *inc, int flags, struct err *e)
{
    char *path = path_of(inc->file->dir, "timeline", e);
    int fd = path ? sys_openat(AT_FDCWD, path, flags | O_NOFOLLOW, 0, e) : -ERR_NOMEM;
    free(path);
    return fd;
}

int incident_refresh(struct incident *inc, struct err *e)
{
    uint64_t size;
    if (!inc->file->dir)
        return 0;
    int fd = open_timeline(inc, O_RDONLY, e);
    if (fd < 0)
        return fd;
    int rc = read_on(inc, fd, &size, e);
    sys_close_quiet(fd);
    return rc;
}

int incident_parse(const char *id, const void *p, size_t n, struct incident **ret, struct err *e)
{
    struct incident *inc = incident_new(id);
    size_t used = 0;
    if (!inc)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int rc = n > MAX_TIMELINE_BYTES
                 ? err_set(e, ERR_LIMIT, _("the timeline is larger than %zu bytes"),
                           MAX_TIMELINE_BYTES)
                 : incident_take(inc, p, n, &used, e);
    if (rc == 0 && inc->n == 0) {
        rc = err_set(e, ERR_DAMAGED, "%s",
                     inc->broken.code ? inc->broken.why : _("the timeline has no first line"));
        err_wrap(e, _("timeline of %s"), id);
    }
    if (rc < 0) {
        incident_free(inc);
        return rc;
    }
    *ret = inc;
    return 0;
}

int incident_bytes(struct incident *inc, void **ret, size_t *ret_n, struct err *e)
{
    const struct wbuf *raw = &inc->file->raw;
    char *p = malloc(raw->len + 1);
    if (!p)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    if (raw->len > 0)
        memcpy(p, raw->p, raw->len);
    p[raw->len] = '\0';
    *ret = p;
    *ret_n = raw->len;
    return 0;
}

/* --- appending ---------------------------------------------------------------------------------------------------- */
static int lock_for_a_moment(int fd, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + LOCK_WAIT_MS;
    int rc = sys_lock_open(fd, e);
    while (rc == -ERR_BUSY && sys_monotonic_ms() < until) {
        poll(NULL, 0, LOCK_PAUSE_MS);
        rc = sys_lock_open(fd, e);
    }
    return rc;
}

/* Locked, read up to its end, and without a line that was cut short. *ret_fd: open. */
static int begin_append(struct incident *inc, int *ret_fd, struct err *e)
{
    uint64_t size = 0;
    if (!inc->file->dir)
        return err_set(e, ERR_REFUSED, _("this timeline is a copy: nothing is added to it"));
    int fd = open_timeline(inc, O_RDWR | O_APPEND, e);
    if (fd < 0)
        return fd;
    int rc = lock_for_a_moment(fd, e);
    if (rc == 0)
        rc = read_on(inc, fd, &size, e);
    if (rc == 0 && inc->broken.code != ERR_NONE) {
        if (e)
            *e = inc->broken;
        err_next(e, _("it is kept as it is; go on with a new incident: twofold crash %s"),
                 inc->policy);
        rc = -ERR_DAMAGED;
    }
    if (rc == 0 && size > inc->file->raw.len)
        rc = sys_truncate(fd, inc->file->raw.len, e);
    if (rc < 0)
        sys_close_quiet(fd);
    else
        *ret_fd = fd;
    return rc;
}

/* All of it durable, or, as far as this machine lets us, nothing of it there. */
static int append(const struct incident *inc, int fd, const void *p, size_t n, struct err *e)
{
    int rc = sys_write(fd, p, n, e);
    if (rc == 0)
        rc = sys_fsync(fd, e);
    if (rc < 0 && sys_truncate(fd, inc->file->raw.len, NULL) == 0)
        sys_fsync(fd, NULL);
    return rc;
}

int incident_add(struct incident *inc, enum event_kind kind, json_t *body, struct err *e)
{
    struct wbuf line = WBUF_INIT;
    size_t used = 0;
    int fd = -1, rc = begin_append(inc, &fd, e);
    if (rc < 0)
        json_decref(body);
    else
        rc = incident_line(inc, kind, body, &line, e);
    if (rc == 0)
        rc = append(inc, fd, line.p, line.len, e);
    if (rc == 0)
        rc = incident_take(inc, line.p, line.len, &used, e);
    sys_close_quiet(fd);
    wbuf_free(&line);
    if (rc < 0)
        err_wrap(e, _("incident %s: \"%s\" could not be written down"), inc->id,
                 event_kind_name(kind));
    return rc;
}

/* --- making one ------------------------------------------------------------------------------------------------------ */
/* STATE/incidents; owned. Made, durably, with `make`. */
static int incidents_dir(const struct config_paths *p, bool make, char **ret, struct err *e)
{
    char *dir = path_of(p->state_dir, "incidents", e);
    int rc = !dir ? -ERR_NOMEM : make ? sys_mkdir_p(dir, 0700, e) : 0;
    if (rc == 0 && make)
        rc = sys_fsync_dir(AT_FDCWD, p->state_dir, e);
    if (rc < 0)
        free(dir);
    else
        *ret = dir;
    return rc;
}

static int make_folder(const char *all, const char *id, const void *bytes, size_t n, char **ret_dir,
                       struct err *e)
{
    char *dir = path_of(all, id, e);
    int fd = -1;
    int rc = dir ? sys_mkdir_p(dir, 0700, e) : -ERR_NOMEM;
    if (rc == 0)
        fd = sys_open_folder(dir, false, e);
    rc = rc < 0 ? rc : fd < 0 ? fd : sys_write_file(fd, "timeline", bytes, n, 0600, e);
    if (rc == 0)
        rc = sys_fsync_dir(AT_FDCWD, all, e);
    sys_close_quiet(fd);
    if (rc < 0)
        free(dir);
    else
        *ret_dir = dir;
    return rc;
}

static bool is_there(const char *all, const char *id)
{
    char *dir = path_of(all, id, NULL);
    struct stat st;
    bool there = !dir || lstat(dir, &st) == 0 || errno != ENOENT;
    free(dir);
    return there;
}

static int choose_id(const char *all, const struct incident_opening *o, char ret[MAX_INCIDENT_ID],
                     struct err *e)
{
    time_t now = (time_t)sys_realtime_s();
    struct tm tm;
    localtime_r(&now, &tm);
    if (!config_name_ok(o->policy))
        return err_set(e, ERR_NAME, _("\"%s\" is no name of a policy"), o->policy);
    for (unsigned i = 0; i < ID_TRIES; i++) {
        uint16_t chance;
        sys_random(&chance, sizeof chance);
        snprintf(ret, MAX_INCIDENT_ID, "%s%.64s-%04d%02d%02d-%04x", o->drill ? "drill-" : "",
                 o->policy, (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, chance);
        if (!is_there(all, ret))
            return 0;
    }
    return err_set(e, ERR_EXISTS, _("too many incidents of \"%s\" today"), o->policy);
}

static json_t *opening_body(const struct incident_opening *o)
{
    json_t *settings = o->settings ? json_incref(o->settings) : json_object();
    return json_pack("{s:o, s:o, s:o, s:s, s:b, s:b, s:I, s:I, s:o}", "policy",
                     event_json(o->policy, 0), "vault", event_json(o->vault, 0), "agent",
                     event_json(o->agent, 0), "cause", crash_cause_name(o->cause), "strict",
                     o->strict, "drill", o->drill, "crashed", (json_int_t)o->crashed_s,
                     "first_sign", (json_int_t)o->first_sign_s, "settings", settings);
}

int incident_create(const struct config_paths *p, const struct incident_opening *o,
                    struct incident **ret, struct err *e)
{
    char *all = NULL, id[MAX_INCIDENT_ID];
    struct incident *inc = NULL;
    struct wbuf line = WBUF_INIT;
    size_t used;
    int rc = incidents_dir(p, true, &all, e);
    if (rc == 0)
        rc = choose_id(all, o, id, e);
    if (rc == 0 && !(inc = incident_new(id)))
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    if (rc == 0)
        rc = incident_line(inc, EVENT_OPENED, opening_body(o), &line, e);
    if (rc == 0)
        rc = make_folder(all, id, line.p, line.len, &inc->file->dir, e);
    if (rc == 0)
        rc = incident_take(inc, line.p, line.len, &used, e);
    json_decref(o->settings);
    wbuf_free(&line);
    free(all);
    if (rc == 0) {
        *ret = inc;
        return 0;
    }
    incident_free(inc);
    err_wrap(e, _("open an incident in %s"), p->state_dir);
    return err_next(e,
                    _("if that disk is full or broken, keep it elsewhere: "
                      "TWOFOLD_STATE=/another/folder twofold crash %s"),
                    o->policy);
}

int incident_paper(const struct incident_opening *o, struct incident **ret, struct err *e)
{
    struct incident *inc = incident_new("-");
    struct wbuf line = WBUF_INIT;
    size_t used;
    int rc = inc ? incident_line(inc, EVENT_OPENED, opening_body(o), &line, e)
                 : err_set(e, ERR_NOMEM, _("out of memory"));
    if (rc == 0)
        rc = incident_take(inc, line.p, line.len, &used, e);
    json_decref(o->settings);
    wbuf_free(&line);
    if (rc < 0)
        incident_free(inc);
    else
        *ret = inc;
    return rc;
}

/* The file that is there becomes these bytes, by adding: who has it open to add a note keeps the right one. */
static int adopt_more(const char *all, const char *id, const void *bytes, size_t n, struct err *e)
{
    struct incident *inc = incident_new(id);
    int fd = -1, rc = 0;
    if (!inc || !(inc->file->dir = path_of(all, id, e)))
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    if (rc == 0)
        rc = begin_append(inc, &fd, e);
    size_t have = rc == 0 ? inc->file->raw.len : 0;
    if (rc == 0 && (have == 0 || memcmp(inc->file->raw.p, bytes, have < n ? have : n) != 0))
        rc = err_set(e, ERR_EXISTS, _("another incident of the name %s is there already"), id);
    if (rc == 0 && n > have)
        rc = append(inc, fd, (const char *)bytes + have, n - have, e);
    sys_close_quiet(fd);
    incident_free(inc);
    return rc;
}

static bool id_ok(const char *id)
{
    return id[0] != '.' && id[0] != '\0' && strlen(id) < MAX_INCIDENT_ID && !strchr(id, '/');
}

int incident_adopt(const struct config_paths *p, const char *id, const void *bytes, size_t n,
                   struct err *e)
{
    struct incident *inc = NULL;
    char *all = NULL, *dir = NULL, *file = NULL;
    if (!id_ok(id))
        return err_set(e, ERR_NAME, _("\"%s\" is no name of an incident"), id);
    int rc = incident_parse(id, bytes, n, &inc, e);
    if (rc == 0 && (inc->broken.code != ERR_NONE || inc->file->raw.len != n))
        rc = err_set(e, ERR_DAMAGED, _("the timeline is not whole"));
    incident_free(inc);
    if (rc == 0)
        rc = incidents_dir(p, true, &all, e);
    struct stat st;
    if (rc == 0 && (dir = path_of(all, id, e)) && (file = path_of(dir, "timeline", e))) {
        bool there = lstat(file, &st) == 0;
        free(dir);
        dir = NULL;
        rc = there ? adopt_more(all, id, bytes, n, e) : make_folder(all, id, bytes, n, &dir, e);
    } else if (rc == 0) {
        rc = -ERR_NOMEM;
    }
    free(file);
    free(dir);
    free(all);
    if (rc < 0)
        err_wrap(e, _("take over the incident %s"), id);
    return rc;
}

/* --- finding ------------------------------------------------------------------------------------------------------------ */
struct listed {
    char id[MAX_INCIDENT_ID];
    int64_t opened_s;
};

static int load(const char *all, const char *id, struct incident **ret, struct err *e)
{
    struct incident *inc = incident_new(id);
    if (!inc)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    inc->file->dir = path_of(all, id, e);
    int rc = inc->file->dir ? incident_refresh(inc, e) : -ERR_NOMEM;
    if (rc == 0 && inc->n == 0) {
        rc = err_set(e, ERR_DAMAGED, "%s",
                     inc->broken.code ? inc->broken.why : _("the timeline has no first line"));
        err_wrap(e, _("timeline of %s"), id);
    }
    if (rc < 0)
        incident_free(inc);
    else
        *ret = inc;
    return rc;
}

static int newer_first(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return x->opened_s != y->opened_s ? (x->opened_s < y->opened_s) - (x->opened_s > y->opened_s)
                                      : -strcmp(x->id, y->id);
}

/* Of one whose first line cannot be read, when its file was changed. */
static int64_t opened_at(const char *all, const char *id, bool *ret_is_one)
{
    int64_t at = 0;
    size_t n = 0, used;
    uint8_t *p = NULL;
    struct stat st;
    char *dir = path_of(all, id, NULL), *file = dir ? path_of(dir, "timeline", NULL) : NULL;
    struct incident *inc = incident_new(id);
    int fd = file ? sys_openat(AT_FDCWD, file, O_RDONLY | O_NOFOLLOW, 0, NULL) : -ERR_NOMEM;
    *ret_is_one = fd != -ERR_ABSENT;
    if (fd >= 0 && inc && (p = malloc(MAX_EVENT_BYTES + 1))) {
        ssize_t got = sys_pread(fd, p, MAX_EVENT_BYTES + 1, 0, NULL);
        n = got < 0 ? 0 : (size_t)got;
        const uint8_t *nl = memchr(p, '\n', n);
        if (nl && incident_take(inc, p, (size_t)(nl - p) + 1, &used, NULL) == 0)
            at = inc->opened_s;
    }
    if (at == 0 && fd >= 0 && fstat(fd, &st) == 0)
        at = st.st_mtim.tv_sec;
    sys_close_quiet(fd);
    incident_free(inc);
    free(p);
    free(file);
    free(dir);
    return at;
}

/* All, newest first; owned. Where there is no folder there is none. */
static int list(const char *all, struct listed **ret, size_t *ret_n, struct err *e)
{
    DIR *d = opendir(all);
    struct listed *list = NULL;
    size_t n = 0, cap = 0;
    int rc = 0;
    if (!d && errno != ENOENT)
        return err_sys(e, "%s", all);
    for (struct dirent *de; d && rc == 0 && (de = readdir(d));) {
        bool is_one = false;
        int64_t at = id_ok(de->d_name) ? opened_at(all, de->d_name, &is_one) : 0;
        if (!is_one || n >= MAX_INCIDENTS)
            continue;
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            struct listed *more = reallocarray(list, cap, sizeof *more);
            if (!more) {
                rc = err_set(e, ERR_NOMEM, _("out of memory"));
                break;
            }
            list = more;
        }
        list[n] = (struct listed){ .opened_s = at };
        snprintf(list[n++].id, sizeof list->id, "%s", de->d_name);
    }
    if (d)
        closedir(d);
    if (rc < 0) {
        free(list);
        return rc;
    }
    if (n > 1)
        qsort(list, n, sizeof *list, newer_first);
    *ret = list;
    *ret_n = n;
    return 0;
}

int incidents_each(const struct config_paths *p, bool open_only, incident_fn *fn, void *ctx,
                   struct err *e)
{
    char *all = NULL;
    struct listed *found = NULL;
    size_t n = 0;
    int rc = incidents_dir(p, false, &all, e);
    if (rc == 0)
        rc = list(all, &found, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct err broken = ERR_INIT;
        struct incident *inc = NULL;
        if (load(all, found[i].id, &inc, &broken) == -ERR_ABSENT)
            continue;
        if (inc)
            broken = inc->broken;
        if (!open_only || !inc || inc->closed_s == 0)
            rc = fn(ctx, found[i].id, inc, broken.code ? &broken : NULL);
        incident_free(inc);
    }
    free(found);
    free(all);
    return rc;
}

struct search {
    const char *name;           /* NULL: any open one */
    char best[MAX_INCIDENT_ID]; /* of the best class so far, the newest */
    unsigned rank, n;           /* its class, and how many fit it */
    char names[MAX_LISTED_TEXT];
};

/* How well it fits what was asked for; 0: not at all. */
static unsigned rank_of(const struct search *s, const char *id, const struct incident *inc)
{
    /* Of a damaged one nobody knows how it went on: one that is whole goes before. */
    bool broken = inc && inc->broken.code != ERR_NONE;
    bool open = inc && inc->closed_s == 0 && !broken;
    if (!s->name)
        return !inc || inc->closed_s ? 0 : inc->drill || broken ? 1 : 2;
    if (strcmp(s->name, id) == 0)
        return 5;
    if (inc && !inc->drill && strcmp(s->name, inc->policy) == 0)
        return open ? 4 : 3;
    return strncmp(s->name, id, strlen(s->name)) == 0 ? 2 : 0;
}

static int seek(void *ctx, const char *id, const struct incident *inc, const struct err *broken)
{
    struct search *s = ctx;
    unsigned rank = rank_of(s, id, inc);
    size_t len = strlen(s->names);
    if (rank > s->rank) {
        s->rank = rank;
        s->n = 0;
        snprintf(s->best, sizeof s->best, "%s", id);
    }
    if (rank > 0 && rank == s->rank)
        s->n++;
    if (len + strlen(id) + 3 < sizeof s->names)
        snprintf(s->names + len, sizeof s->names - len, "%s%s", len ? ", " : "", id);
    (void)broken;
    return 0;
}

/* By its whole id, which fits best: then the others need not be read. */
static int open_by_id(const struct config_paths *p, const char *name, struct incident **ret,
                      struct err *e)
{
    char *all = NULL, *dir = NULL, *file = NULL;
    int rc = name && *name && *name != '.' && !strchr(name, '/') && strlen(name) < MAX_INCIDENT_ID
                 ? incidents_dir(p, false, &all, e)
                 : -ERR_ABSENT;
    if (rc == 0 && (!(dir = path_of(all, name, e)) || !(file = path_of(dir, "timeline", e))))
        rc = -ERR_NOMEM;
    if (rc == 0)
        rc = access(file, F_OK) == 0 ? load(all, name, ret, e) : -ERR_ABSENT;
    free(all);
    free(dir);
    free(file);
    return rc;
}

int incident_open(const struct config_paths *p, const char *name, struct incident **ret,
                  struct err *e)
{
    struct search s = { .name = name };
    char *all = NULL;
    int rc = open_by_id(p, name, ret, e);
    if (rc != -ERR_ABSENT)
        return rc;
    err_clear(e);
    rc = incidents_each(p, false, seek, &s, e);
    if (rc < 0)
        return rc;
    if (s.rank == 0) {
        rc = name ? err_set(e, ERR_NAME, _("there is no incident \"%s\""), name)
                  : err_set(e, ERR_NAME, _("no incident is open"));
        if (s.names[0])
            err_next(e, _("there are: %s"), s.names);
        else
            err_next(e, _("a new one is begun by: twofold crash POLICY"));
        return rc;
    }
    if (s.n > 1 && s.rank <= 2) {
        rc = err_set(e, ERR_USAGE, _("several incidents fit"));
        err_next(e, _("say which: %s"), s.names);
        return rc;
    }
    rc = incidents_dir(p, false, &all, e);
    if (rc == 0)
        rc = load(all, s.best, ret, e);
    free(all);
    return rc;
}

/* --- who takes the steps ---------------------------------------------------------------------------------------------- */
int incident_run_lock(struct incident *inc, struct err *e)
{
    char *path, who[AUDIT_WHO_BYTES], text[AUDIT_WHO_BYTES + 64], since[32];
    uint8_t *held = NULL;
    size_t n = 0;
    if (inc->file->run_fd >= 0)
        return 0;
    if (!inc->file->dir)
        return err_set(e, ERR_REFUSED, _("this timeline is a copy: nothing is added to it"));
    if (!(path = path_of(inc->file->dir, "runner", e)))
        return -ERR_NOMEM;
    int fd = sys_lock_file(path, e);
    if (fd == -ERR_BUSY) {
        if (sys_read_file(AT_FDCWD, path, sizeof text, &held, &n, NULL) < 0)
            held = NULL;
        err_set(e, ERR_BUSY, _("%s takes its steps"),
                held && n > 0 ? (const char *)held : _("another process"));
        err_wrap(e, _("incident %s"), inc->id);
        err_next(e, _("see how it goes: twofold crash status %s; notes can be added at any time"),
                 inc->id);
        free(held);
    }
    if (fd >= 0) {
        time_t now = (time_t)sys_realtime_s();
        struct tm tm;
        localtime_r(&now, &tm);
        strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", &tm);
        snprintf(text, sizeof text, "%s (%ld, %s)", audit_who(who), (long)getpid(), since);
        /* What it says is for people; the lock is what counts. */
        if (sys_truncate(fd, 0, NULL) == 0)
            sys_pwrite(fd, text, strlen(text), 0, NULL);
        inc->file->run_fd = fd;
    }
    free(path);
    return fd < 0 ? fd : 0;
}

int incident_folder(struct incident *inc, char **ret, struct err *e)
{
    if (!inc->file->dir)
        return err_set(e, ERR_REFUSED, _("this timeline is a copy: nothing is added to it"));
    char *dir = path_of(inc->file->dir, "files", e);
    int rc = dir ? sys_mkdir_p(dir, 0700, e) : -ERR_NOMEM;
    if (rc < 0)
        free(dir);
    else
        *ret = dir;
    return rc;
}
