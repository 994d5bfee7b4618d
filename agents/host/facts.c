/* facts.c - how this host is: clock, memory, room where the data lie; see host.h. */
#include "agents/host/host.h"
#include "agents/tree.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define COUNT_MS 3000 /* so long it is counted how much lies in a place */
#define LOW_MEMORY_BYTES (UINT64_C(128) << 20)
#define MAX_TEXT 600

void fact_tell(struct report *r, const char *fact, const char *place, enum fact_verdict verdict,
               json_t *more, const char *fmt, ...)
{
    static const char *const names[] = { [FACT_GOOD] = "good",
                                         [FACT_DOUBTFUL] = "doubtful",
                                         [FACT_BAD] = "bad",
                                         [FACT_UNKNOWN] = "unknown" };
    char text[MAX_TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_t *o = json_pack("{s:s, s:s, s:s}", "fact", fact, "verdict", names[verdict], "text", text);
    json_t *where = json_string(place ? place : "");
    if (o && where) /* a path that is not UTF-8 has no name here */
        json_object_set_new(o, "place", where);
    if (o && more)
        json_object_update(o, more);
    json_decref(more);
    report_facts(r, "fact", o);
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* --- memory --------------------------------------------------------------------------------------------- */
static uint64_t of_meminfo(const char *text, const char *key)
{
    const char *line = strstr(text, key);
    return line ? strtoull(line + strlen(key), NULL, 10) << 10 : 0;
}

static void tell_memory(struct report *r)
{
    uint8_t *text = NULL;
    size_t n = 0;
    if (sys_read_file(AT_FDCWD, "/proc/meminfo", 65536, &text, &n, NULL) < 0) {
        fact_tell(r, "memory", NULL, FACT_UNKNOWN, NULL, _("how much memory is free is not known"));
        return;
    }
    uint64_t total = of_meminfo((const char *)text, "MemTotal:"),
             available = of_meminfo((const char *)text, "MemAvailable:");
    free(text);
    fact_tell(r, "memory", NULL, available < LOW_MEMORY_BYTES ? FACT_DOUBTFUL : FACT_GOOD,
              json_pack("{s:I, s:I}", "total_bytes", (json_int_t)total, "available_bytes",
                        (json_int_t)available),
              _("%.0f MiB of %.0f MiB are free"), mib(available), mib(total));
}

/* --- room ------------------------------------------------------------------------------------------------- */
struct counting {
    struct report *r;
    uint64_t bytes, until_ms;
    bool stopped;
};

static int count_one(void *ctx, int dir_fd, const char *name, unsigned depth, const struct stat *st,
                     struct err *e)
{
    struct counting *c = ctx;
    (void)dir_fd;
    (void)name;
    (void)depth;
    c->bytes += (uint64_t)st->st_blocks * 512;
    c->stopped = sys_monotonic_ms() > c->until_ms;
    return c->stopped ? err_set(e, ERR_TIMEOUT, _("there is too much")) : 0;
}

static int64_t count(struct report *r, const char *place)
{
    struct counting c = { .r = r, .until_ms = sys_monotonic_ms() + COUNT_MS };
    struct err ignored = ERR_INIT;
    return tree_each(AT_FDCWD, place, false, count_one, &c, &ignored) == 0 ? (int64_t)c.bytes : -1;
}

/* The folder itself, or the nearest above it that is there. */
static void nearest(const char *place, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s", place);
    while (access(ret, F_OK) < 0 && errno == ENOENT) {
        char *slash = strrchr(ret, '/');
        if (!slash || slash == ret) {
            snprintf(ret, PATH_MAX, "/");
            return;
        }
        *slash = '\0';
    }
}

static void tell_room(struct report *r, const char *place, const char *at, bool there)
{
    struct statvfs v;
    if (statvfs(at, &v) < 0) {
        fact_tell(r, "space", place, FACT_UNKNOWN, NULL, "%s", strerror(errno));
        return;
    }
    uint64_t total = (uint64_t)v.f_blocks * v.f_frsize, unused = (uint64_t)v.f_bavail * v.f_frsize;
    int64_t used = there ? count(r, place) : 0;
    /* What is there is set aside, and as much again comes beside it. */
    bool fits = used < 0 || unused > (uint64_t)used + total / 50;
    fact_tell(r, "space", place, fits ? FACT_GOOD : FACT_BAD,
              json_pack("{s:I, s:I, s:I, s:b}", "total_bytes", (json_int_t)total, "free_bytes",
                        (json_int_t)unused, "used_bytes", (json_int_t)used, "there", there),
              there ? _("%.0f MiB of %.0f MiB are free")
                    : _("the folder is not there; %.0f MiB of %.0f MiB are free"),
              mib(unused), mib(total));
}

struct looking {
    struct report *r;
    char **seen;
    size_t n;
};

static int look_at(void *ctx, const char *place, struct err *e)
{
    struct looking *l = ctx;
    char at[PATH_MAX], point[PATH_MAX];
    struct stat st;
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->seen[i], place) == 0)
            return 0;
    char **grown = realloc(l->seen, (l->n + 1) * sizeof *grown);
    if (!grown || (l->seen = grown, !(grown[l->n] = strdup(place))))
        return err_set(e, ERR_NOMEM, _("no memory"));
    l->n++;
    if (host_unmounted(place, point))
        fact_tell(l->r, "filesystem", place, FACT_BAD, json_pack("{s:b}", "mounted", 0),
                  _("%s of /etc/fstab is not mounted: mount it, what is missed may be on it"),
                  point);
    nearest(place, at);
    if (stat(at, &st) < 0) {
        fact_tell(l->r, "space", place, FACT_UNKNOWN, NULL, "%s", strerror(errno));
        return 0;
    }
    tell_room(l->r, place, at, strcmp(at, place) == 0 && S_ISDIR(st.st_mode));
    facts_of_disks(l->r, place, &st);
    return 0;
}

void facts_of_host(struct report *r, const struct msg_host *m)
{
    struct looking l = { .r = r };
    struct err ignored = ERR_INIT;
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    report_facts(
        r, "host",
        json_pack("{s:s, s:f}", "host", host, "time_s", (double)sys_realtime_ns() / 1000000000.0));
    tell_memory(r);
    (void)host_places(m, look_at, &l, &ignored);
    for (size_t i = 0; i < m->n_roots; i++)
        (void)look_at(&l, m->roots[i], &ignored);
    facts_of_kernel(r);
    for (size_t i = 0; i < l.n; i++)
        free(l.seen[i]);
    free(l.seen);
}
