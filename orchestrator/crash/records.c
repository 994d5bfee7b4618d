/* records.c - puts the record of an incident into the copies; see records.h. */
#include "orchestrator/crash/records.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PUT 256 /* records that are remembered for an incident */
#define MAX_PUT_BYTES ((size_t)64 << 10)

static bool usable(const struct copy *c)
{
    return c->store && (c->state == COPY_CURRENT || c->state == COPY_BEHIND);
}

/* --- what was put before ---------------------------------------------------------------------------- */
struct put_before {
    struct record_before at;
    struct id object;
};
struct history {
    struct put_before v[MAX_PUT]; /* newest first */
    size_t n;
};

static char *file_of(struct app *app, const char *incident, const char *name)
{
    return text_print("%s/incidents/%s/%s", app->paths.state_dir, incident, name);
}

static void add_put(struct history *h, const struct record_before *at, const struct id *object)
{
    if (h->n == MAX_PUT)
        h->n--;
    memmove(h->v + 1, h->v, h->n * sizeof *h->v);
    h->v[0] = (struct put_before){ *at, *object };
    h->n++;
}

/* "NUMBER LAST OBJECT", newest first. What cannot be read of it was never put, as far as this machine knows. 1: there is a file. */
static int read_history(struct app *app, const char *incident, struct history *ret)
{
    char *file = file_of(app, incident, "records"), *save = NULL;
    uint8_t *p = NULL;
    size_t n = 0;
    ret->n = 0;
    int rc = sys_read_file(AT_FDCWD, file, MAX_PUT_BYTES, &p, &n, NULL);
    free(file);
    if (rc < 0)
        return 0;
    for (char *line = strtok_r((char *)p, "\n", &save); line && ret->n < MAX_PUT;
         line = strtok_r(NULL, "\n", &save)) {
        char *end = line, *words = NULL;
        struct put_before b;
        b.at.number = strtoull(line, &end, 10);
        const char *last = strtok_r(end, " ", &words), *object = strtok_r(NULL, " ", &words);
        if (last && object && id_parse(last, &b.at.last) && id_parse(object, &b.object))
            ret->v[ret->n++] = b;
    }
    free(p);
    return 1;
}

static int write_history(struct app *app, const char *incident, const struct history *h,
                         struct err *e)
{
    char *file = file_of(app, incident, "records");
    char last[ID_HEX_BYTES], object[ID_HEX_BYTES], line[64 + 2 * ID_HEX_BYTES];
    struct wbuf w = WBUF_INIT;
    for (size_t i = 0; i < h->n; i++) {
        int n = snprintf(line, sizeof line, "%" PRIu64 " %s %s\n", h->v[i].at.number,
                         id_hex(&h->v[i].at.last, last), id_hex(&h->v[i].object, object));
        wb_bytes(&w, line, (size_t)n);
    }
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                      : sys_write_file(AT_FDCWD, file, w.p, w.len, 0600, e);
    wbuf_free(&w);
    free(file);
    return rc;
}

/* On a machine that has taken the incident over: what the copies have of it counts as put. (record_make leaves out what is of another
 * timeline.) */
static int learn(struct vault *v, const char *incident, struct history *ret, struct err *e)
{
    struct records rs;
    int rc = records_look(v, -1, NULL, NULL, &rs, e);
    if (rc < 0)
        return rc;
    for (size_t i = rs.n; i-- > 0;) { /* the oldest first */
        const struct record_object *o = rs.v[i].o;
        if (o && strcmp(o->incident, incident) == 0)
            add_put(ret, &(struct record_before){ o->number, o->last }, &rs.v[i].object);
    }
    records_done(&rs);
    return 0;
}

/* --- into the copies ------------------------------------------------------------------------------------ */
/* Older ones of this timeline that a copy still has, but for the newest. */
struct dropping {
    const struct history *h;
    const struct record_object *o;
    struct id v[MAX_PUT];
    size_t n;
};

static bool is_of(const struct record_object *o, const struct record_before *at)
{
    if (at->number == o->number)
        return id_eq(&at->last, &o->last);
    for (size_t i = 0; i < o->n_before; i++)
        if (o->before[i].number == at->number && id_eq(&o->before[i].last, &at->last))
            return true;
    return false;
}

static int on_name(void *ctx, const char *name, uint64_t len)
{
    struct dropping *d = ctx;
    struct id id;
    (void)len;
    if (!object_name_parse(OBJECT_RECORD, name, NULL, &id))
        return 0;
    for (size_t i = 1; i < d->h->n && d->n < MAX_PUT; i++) {
        const struct put_before *b = &d->h->v[i];
        /* One that says the same came to some copies only: this one is in its place. */
        bool goes = b->at.number == d->o->number || i >= RECORDS_KEPT;
        if (goes && id_eq(&b->object, &id) && is_of(d->o, &b->at))
            d->v[d->n++] = id;
    }
    return 0;
}

static size_t drop_old(struct store *s, const struct history *h, const struct record_object *o)
{
    struct dropping *d = calloc(1, sizeof *d);
    char name[MAX_OBJECT_NAME];
    size_t dropped = 0;
    if (!d)
        return 0;
    d->h = h;
    d->o = o;
    if (store_list(s, RECORD_FOLDER, on_name, d, NULL) < 0)
        d->n = 0;
    for (size_t i = 0; i < d->n; i++)
        dropped += store_delete(s, object_name(OBJECT_RECORD, &d->v[i], name), NULL) == 0;
    free(d);
    return dropped;
}

static int put_all(struct vault *v, const struct wbuf *sealed, const struct id *object,
                   struct record_put *ret, struct err *e)
{
    struct store_data d = { .p = sealed->p, .fd = -1, .len = sealed->len };
    char name[MAX_OBJECT_NAME];
    object_name(OBJECT_RECORD, object, name);
    for (size_t i = 0; i < v->n_copies; i++) {
        struct copy *c = &v->copies[i];
        struct err *why = &ret->problem[i];
        if (!usable(c)) {
            *why = c->problem;
            if (why->code == ERR_NONE)
                err_set(why, ERR_UNREACHABLE, _("it is away"));
        } else if (store_put(c->store, name, &d, why) == 0) {
            ret->done[i] = true;
            ret->n_done++;
        }
    }
    for (size_t i = 0; ret->n_done == 0 && i < v->n_copies; i++)
        if (ret->problem[i].code != ERR_NONE) {
            if (e)
                *e = ret->problem[i];
            return err_wrap(e, _("copy \"%s\""), v->copies[i].place);
        }
    return 0;
}

static int put_now(struct app *app, struct vault *v, struct incident *inc, struct history *h,
                   struct record_put *ret, struct err *e)
{
    struct record_before before[MAX_PUT];
    struct record_object *o = NULL;
    struct wbuf sealed = WBUF_INIT;
    struct id object;
    int rc = incident_refresh(inc, e);
    if (rc == 0 && !read_history(app, inc->id, h))
        rc = learn(v, inc->id, h, e);
    for (size_t i = 0; i < h->n; i++)
        before[i] = h->v[i].at;
    if (rc == 0)
        rc = record_make(inc, before, h->n, &o, e);
    if (rc == 0)
        rc = record_object_seal(&v->keys, o, &sealed, e);
    if (rc == 0) {
        sha256_of(sealed.p, sealed.len, &object);
        ret->number = o->number;
        ret->bytes = sealed.len;
        /* Before it is put: what a copy has, this machine knows. */
        add_put(h, &(struct record_before){ o->number, o->last }, &object);
        rc = write_history(app, inc->id, h, e);
    }
    if (rc == 0)
        rc = put_all(v, &sealed, &object, ret, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        if (ret->done[i])
            ret->removed += drop_old(v->copies[i].store, h, o);
    record_made_free(o);
    wbuf_free(&sealed);
    return rc;
}

int records_put(struct app *app, struct vault *v, struct incident *inc, struct record_put *ret,
                struct err *e)
{
    *ret = (struct record_put){ 0 };
    struct history *h = calloc(1, sizeof *h);
    char *lock = file_of(app, inc->id, "recording");
    int fd = h ? sys_lock_file(lock, e) : err_set(e, ERR_NOMEM, _("no memory"));
    int rc = fd < 0 ? fd : put_now(app, v, inc, h, ret, e);
    if (fd >= 0)
        sys_close_quiet(fd);
    free(lock);
    free(h);
    return rc < 0 ? err_wrap(e, _("the record of %s"), inc->id) : 0;
}

/* --- in a process of its own --------------------------------------------------------------------------------- */
void records_later(struct app *app, const struct incident *inc)
{
    extern char **environ;
    char path[PATH_MAX];
    pid_t pid;
    if (!inc->vault || !*inc->vault ||
        sys_program_path("twofold", "TWOFOLD_PROGRAM", path, NULL) < 0)
        return;
    /* One is running: it sees what was added. */
    char *lock = file_of(app, inc->id, "recorder");
    bool running = sys_lock_held(lock) == 1;
    free(lock);
    const char *argv[] = { path,    "--config", app->paths.config_dir, "--quiet", "crash", "record",
                           inc->id, NULL };
    struct sys_child child = { .argv = argv,
                               .env = (const char *const *)environ,
                               .in_fd = -1,
                               .out_fd = -1,
                               .err_fd = -1,
                               .outlives = true };
    if (!running)
        (void)sys_spawn_group(&child, &pid, NULL);
}

static int put_once(struct app *app, struct incident *inc, struct record_put *ret, struct err *e)
{
    struct vault_conf *conf = NULL;
    struct vault *v = NULL;
    int rc = vault_conf_load(&app->paths, inc->vault, &conf, e);
    struct vault_open_options o = { .paths = &app->paths, .conf = conf, .logs = true };
    if (rc == 0)
        rc = vault_open(&o, &v, e);
    if (rc == 0)
        rc = records_put(app, v, inc, ret, e);
    vault_close(v);
    vault_conf_free(conf);
    return rc;
}

/* False: a signal came, or the incident is gone from this machine. */
static bool pause_between(struct app *app, const struct incident *inc)
{
    uint64_t end_ms = sys_monotonic_ms() + (uint64_t)RECORD_EVERY_S * 1000;
    char *timeline = file_of(app, inc->id, "timeline");
    bool there = true;
    while (there && sys_monotonic_ms() < end_ms && !sys_interrupted()) {
        poll(NULL, 0, 200);
        there = access(timeline, F_OK) == 0;
    }
    free(timeline);
    return there && !sys_interrupted();
}

/* As long as something is added: whoever adds while this one runs starts no other. The lock goes first and the timeline is looked at once
 * more, so that a line of the last moment is not left to nobody. */
static int run_locked(struct app *app, struct incident *inc, bool *ret_grown, struct err *e)
{
    struct record_put put;
    char *lock = file_of(app, inc->id, "recorder");
    int fd = sys_lock_file(lock, e), rc = 0;
    free(lock);
    *ret_grown = false;
    if (fd == -ERR_BUSY)
        return 0;
    if (fd < 0)
        return fd;
    do {
        rc = put_once(app, inc, &put, e);
        bool more = rc == 0 && !inc->closed_s && pause_between(app, inc);
        if (more)
            rc = incident_refresh(inc, e);
        if (!more || rc < 0)
            break;
    } while (inc->n > put.number);
    sys_close_quiet(fd);
    if (rc == 0)
        rc = incident_refresh(inc, e);
    *ret_grown = rc == 0 && !sys_interrupted() && inc->n > put.number;
    return rc;
}

int records_run(struct app *app, struct incident *inc, struct err *e)
{
    bool grown = true;
    int rc = 0;
    while (rc == 0 && grown)
        rc = run_locked(app, inc, &grown, e);
    return rc;
}
