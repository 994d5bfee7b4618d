/* presence.c - sessions as locked files; see presence.h. */
#include "restore/presence.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID_DIGITS 16
#define NEW_SUFFIX ".new"
#define PINS_SUFFIX ".pins"
#define OFFERS_SUFFIX ".offers"
#define MAX_INFO_BYTES 512
#define MAX_BEGIN_TRIES 8
#define GENERATION_AT 2 /* "w 00000000000000000017 0000001234 what" */
#define GENERATION_DIGITS 20
#define IDS_AT_ONCE 2048

struct presence {
    char *dir;
    uint64_t id;
    int fd, pins, offers; /* -1: nothing was pinned or offered yet */
    char what[MAX_PRESENCE_TEXT + 1];
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static char *path_of(const char *dir, uint64_t id, const char *suffix)
{
    char *path = NULL;
    return asprintf(&path, "%s/%016" PRIx64 "%s", dir, id, suffix) < 0 ? NULL : path;
}

static void take_away(const char *dir, uint64_t id, const char *suffix)
{
    char *path = path_of(dir, id, suffix);
    if (path)
        sys_unlinkat(AT_FDCWD, path, 0, NULL);
    free(path);
}

/* Locked before it has its name: nobody ever sees a session that lives and is not locked. */
static int make_file(struct presence *p, struct err *e)
{
    char *new = path_of(p->dir, p->id, NEW_SUFFIX), *path = path_of(p->dir, p->id, "");
    int rc = new &&path ? 0 : no_memory(e);
    if (rc == 0)
        rc = p->fd = sys_lock_file(new, e);
    if (rc >= 0)
        rc = sys_renameat(AT_FDCWD, new, AT_FDCWD, path, false, e);
    if (rc < 0) {
        sys_close_quiet(p->fd);
        p->fd = -1;
    }
    free(new);
    free(path);
    return rc;
}

static int write_text(struct presence *p, bool writes, struct err *e)
{
    char text[MAX_INFO_BYTES];
    int n = snprintf(text, sizeof text, "%c %020d %010ld %s\n", writes ? 'w' : 'r', 0,
                     (long)getpid(), p->what);
    return sys_pwrite(p->fd, text, (size_t)n, 0, e);
}

int presence_begin(const char *dir, bool writes, const char *what, struct presence **ret,
                   struct err *e)
{
    struct presence *p = calloc(1, sizeof *p);
    if (!p || !(p->dir = strdup(dir))) {
        free(p);
        return no_memory(e);
    }
    p->fd = p->pins = p->offers = -1;
    snprintf(p->what, sizeof p->what, "%s", what);
    int rc = sys_mkdir_p(dir, 0700, e);
    /* One who looks for dead sessions may have touched the new file: another try. */
    for (int i = 0; rc == 0 && p->fd < 0; i++) {
        do
            sys_random(&p->id, sizeof p->id);
        while ((p->id &= INT64_MAX) == 0);
        rc = make_file(p, e);
        if (i < MAX_BEGIN_TRIES && (rc == -ERR_BUSY || rc == -ERR_ABSENT || rc == -ERR_EXISTS))
            rc = 0;
    }
    if (rc == 0)
        rc = write_text(p, writes, e);
    if (rc < 0) {
        presence_end(p);
        return err_wrap(e, _("session in %s"), dir);
    }
    *ret = p;
    return 0;
}

void presence_end(struct presence *p)
{
    if (!p)
        return;
    /* The lock's file last: others are nobody's without it. */
    if (p->pins >= 0)
        take_away(p->dir, p->id, PINS_SUFFIX);
    if (p->offers >= 0)
        take_away(p->dir, p->id, OFFERS_SUFFIX);
    if (p->fd >= 0)
        take_away(p->dir, p->id, "");
    sys_close_quiet(p->pins);
    sys_close_quiet(p->offers);
    sys_close_quiet(p->fd);
    free(p->dir);
    free(p);
}

uint64_t presence_id(const struct presence *p)
{
    return p ? p->id : 0;
}

const char *presence_what(const struct presence *p)
{
    return p ? p->what : "";
}

int presence_generation(struct presence *p, uint64_t generation, struct err *e)
{
    char text[GENERATION_DIGITS + 1];
    if (!p)
        return 0;
    snprintf(text, sizeof text, "%020" PRIu64, generation);
    int rc = sys_pwrite(p->fd, text, GENERATION_DIGITS, GENERATION_AT, e);
    return rc < 0 ? err_wrap(e, _("session in %s"), p->dir) : 0;
}

static int append(struct presence *p, int *fd, const char *suffix, const struct id *ids, size_t n,
                  struct err *e)
{
    int rc = 0;
    if (n == 0)
        return 0;
    if (*fd < 0) {
        char *path = path_of(p->dir, p->id, suffix);
        rc = path ? sys_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600, e)
                  : no_memory(e);
        *fd = rc < 0 ? -1 : rc;
        free(path);
    }
    if (rc >= 0)
        rc = sys_write(*fd, ids, n * sizeof *ids, e);
    return rc < 0 ? err_wrap(e, _("session in %s"), p->dir) : 0;
}

int presence_pin(struct presence *p, const struct id *chunks, size_t n, struct err *e)
{
    return append(p, &p->pins, PINS_SUFFIX, chunks, n, e);
}

int presence_offer(struct presence *p, const struct id *snapshots, size_t n, struct err *e)
{
    return append(p, &p->offers, OFFERS_SUFFIX, snapshots, n, e);
}

/* --- looking at others -------------------------------------------------------------------------------------------- */
bool presence_is_live(const char *dir, uint64_t id)
{
    char *path = path_of(dir, id, "");
    int held = path ? sys_lock_held(path) : 1;
    free(path);
    return held != 0;
}

static void read_info(const char *dir, uint64_t id, struct presence_info *ret)
{
    char *path = path_of(dir, id, "");
    uint8_t *text = NULL;
    size_t n = 0;
    *ret = (struct presence_info){ .id = id, .writes = true };
    if (path && sys_read_file(AT_FDCWD, path, MAX_INFO_BYTES, &text, &n, NULL) == 0 &&
        n > GENERATION_AT + GENERATION_DIGITS) {
        char *end = NULL;
        ret->writes = text[0] != 'r';
        ret->generation = strtoull((char *)text + GENERATION_AT, &end, 10);
        ret->pid = strtol(end, &end, 10);
        snprintf(ret->what, sizeof ret->what, "%s", *end == ' ' ? end + 1 : end);
        ret->what[strcspn(ret->what, "\n")] = '\0';
    }
    free(text);
    free(path);
}

/* The names in the folder, gathered before anything is taken away. */
struct found {
    struct {
        uint64_t id;
        bool plain; /* the session itself; else what belongs to it, or one that was never begun */
        char suffix[16];
    } * f;
    size_t n, cap;
};

static int gather(const char *dir, struct found *l, struct err *e)
{
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? 0 : err_sys(e, _("open folder \"%s\""), dir);
    int rc = 0;
    for (struct dirent *de; rc == 0 && (de = readdir(d));) {
        size_t digits = strspn(de->d_name, "0123456789abcdef");
        const char *suffix = de->d_name + digits;
        if (digits != ID_DIGITS || strlen(suffix) >= sizeof l->f->suffix)
            continue;
        if (l->n == l->cap) {
            size_t cap = l->cap ? 2 * l->cap : 64;
            void *grown = realloc(l->f, cap * sizeof *l->f);
            if (!grown) {
                rc = no_memory(e);
                break;
            }
            l->f = grown;
            l->cap = cap;
        }
        l->f[l->n].id = strtoull(de->d_name, NULL, 16);
        l->f[l->n].plain = !*suffix;
        snprintf(l->f[l->n++].suffix, sizeof l->f->suffix, "%s", suffix);
    }
    closedir(d);
    return rc;
}

/* What has no living session. The session's own file is looked for, not only asked for its lock: one that begins has it
 * before all others. */
static void sweep(const char *dir, const struct found *l)
{
    for (size_t i = 0; i < l->n; i++) {
        char *path = path_of(dir, l->f[i].id, l->f[i].plain ? "" : l->f[i].suffix);
        bool beginning = strcmp(l->f[i].suffix, NEW_SUFFIX) == 0;
        bool dead = path &&
                    (beginning ? sys_lock_held(path) == 0 : !presence_is_live(dir, l->f[i].id));
        if (dead)
            sys_unlinkat(AT_FDCWD, path, 0, NULL);
        free(path);
    }
}

int presence_each(const char *dir, presence_fn *fn, void *ctx, struct err *e)
{
    struct found l = { 0 };
    int rc = gather(dir, &l, e);
    if (rc == 0)
        sweep(dir, &l);
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        struct presence_info info;
        if (!l.f[i].plain || !presence_is_live(dir, l.f[i].id))
            continue;
        read_info(dir, l.f[i].id, &info);
        rc = fn(ctx, &info, e);
    }
    free(l.f);
    return rc;
}

struct id_walk {
    const char *dir, *suffix;
    uint64_t except;
    presence_id_fn *fn;
    void *ctx;
};

/* A last id that is half written was not answered for yet. */
static int walk_ids(int fd, const struct id_walk *w, uint64_t session, struct err *e)
{
    struct id *ids = malloc(IDS_AT_ONCE * sizeof *ids);
    uint64_t off = 0;
    int rc = ids ? 0 : no_memory(e);
    while (rc == 0) {
        ssize_t got = sys_pread(fd, ids, IDS_AT_ONCE * sizeof *ids, off, e);
        if (got < (ssize_t)sizeof *ids) {
            rc = got < 0 ? (int)got : 0;
            break;
        }
        size_t n = (size_t)got / sizeof *ids;
        for (size_t i = 0; rc == 0 && i < n; i++)
            rc = w->fn(w->ctx, session, &ids[i], e);
        off += n * sizeof *ids;
    }
    free(ids);
    return rc;
}

static int ids_of(void *ctx, const struct presence_info *s, struct err *e)
{
    const struct id_walk *w = ctx;
    if (s->id == w->except)
        return 0;
    char *path = path_of(w->dir, s->id, w->suffix);
    if (!path)
        return no_memory(e);
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY, 0, e);
    int rc = fd < 0 ? fd : walk_ids(fd, w, s->id, e);
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        rc = 0;
    }
    sys_close_quiet(fd);
    free(path);
    return rc;
}

int presence_each_pin(const char *dir, uint64_t except, presence_id_fn *fn, void *ctx,
                      struct err *e)
{
    struct id_walk w = { dir, PINS_SUFFIX, except, fn, ctx };
    return presence_each(dir, ids_of, &w, e);
}

int presence_each_offer(const char *dir, uint64_t except, presence_id_fn *fn, void *ctx,
                        struct err *e)
{
    struct id_walk w = { dir, OFFERS_SUFFIX, except, fn, ctx };
    return presence_each(dir, ids_of, &w, e);
}
