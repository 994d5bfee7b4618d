/* closed.c - the binary logs that were kept with the backups, when they were closed, are replayed onto a data folder that another restore has just
 * made: up to a moment.
 *
 * What is replayed must be the log of that server, from the file in which the backup ended on, without a gap. Of a moment that the logs do not
 * reach it is said how far they do. Logs count whole seconds: what was begun before that second is in, what was begun in it or later is not. */
#include "agents/mariadb/moment.h"
#include "agents/mariadb/restored.h"
#include "agents/tree.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_MAGIC \
    "\xfe"        \
    "bin"
#define LOG_HEAD_BYTES 23 /* magic, then the first event up to its next position */

struct replay {
    struct my_restored x; /* of the backup; facts, data folder */
    const struct source_restore *r;
    json_t *facts;          /* of the logs' backup */
    int folder_fd, logs_fd; /* what they were restored to; the logs in it */
    int64_t at_s;
    const char *first, *position; /* where the backup ended */
    const char *files[MAX_BINLOGS];
    size_t n;
    struct my_moment moment;
    struct my_logs logs;
};

/* --- which logs ---------------------------------------------------------------------------------- */
static int by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    size_t n = strlen(*x), m = strlen(*y);
    return n != m ? (n < m ? -1 : 1) : strcmp(*x, *y); /* 999999 is before 1000000 */
}

static unsigned long long number_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? strtoull(dot + 1, NULL, 10) : 0;
}

static int gap(const char *missing, struct err *e)
{
    err_set(e, ERR_NOT_WHOLE, _("the binary log %s is not in any backup: there is a gap"), missing);
    return err_next(e, _("restore a moment before it, or the backup alone: --no-logs"));
}

/* From the first one that is needed, each the next of the one before. */
static int choose_files(struct replay *p, struct err *e)
{
    json_t *all = json_object_get(json_object_get(p->facts, "binlogs"), "files");
    char missing[300];
    for (size_t i = 0; i < json_array_size(all) && p->n < MAX_BINLOGS; i++) {
        const char *name = json_string_value(json_array_get(all, i));
        if (name && !strchr(name, '/') && number_of(name) >= number_of(p->first))
            p->files[p->n++] = name;
    }
    qsort(p->files, p->n, sizeof *p->files, by_name);
    if (p->n == 0 || strcmp(p->files[0], p->first) != 0)
        return gap(p->first, e);
    for (size_t i = 1; i < p->n; i++)
        if (number_of(p->files[i]) != number_of(p->files[i - 1]) + 1) {
            snprintf(missing, sizeof missing, "%.*s%06llu",
                     (int)(strrchr(p->first, '.') - p->first + 1), p->first,
                     number_of(p->files[i - 1]) + 1);
            return gap(missing, e);
        }
    for (size_t i = 0; i < p->n; i++)
        if (faccessat(p->logs_fd, p->files[i], R_OK, AT_SYMLINK_NOFOLLOW) < 0)
            return gap(p->files[i], e);
    return 0;
}

/* A server whose logs were reset begins with the same names again: the file of the backup's end must have been begun before that, and be as
 * long at least. */
static int check_first(struct replay *p, struct err *e)
{
    uint8_t head[LOG_HEAD_BYTES];
    struct stat st;
    int fd = sys_openat(p->logs_fd, p->first, O_RDONLY | O_NOFOLLOW, 0, e);
    if (fd < 0)
        return err_wrap(e, "%s", p->first);
    ssize_t n = sys_read(fd, head, sizeof head, e);
    bool there = n == (ssize_t)sizeof head && fstat(fd, &st) == 0;
    sys_close_quiet(fd);
    if (!there || memcmp(head, LOG_MAGIC, 4) != 0) {
        err_set(e, ERR_DAMAGED, _("%s is no binary log that can be read"), p->first);
        return err_next(e,
                        _("encrypted binary logs (encrypt_binlog) cannot be replayed here; restore "
                          "the backup alone: --no-logs"));
    }
    int64_t begun = (int64_t)head[4] | (int64_t)head[5] << 8 | (int64_t)head[6] << 16 |
                    (int64_t)head[7] << 24;
    int64_t ended = json_integer_value(json_object_get(p->x.facts, "stopped_at"));
    if (begun <= ended && (uint64_t)st.st_size >= strtoull(p->position, NULL, 10))
        return 0;
    err_set(e, ERR_NOT_WHOLE,
            _("the binary log %s is not the one that the backup ended in: the "
              "server's logs were reset"),
            p->first);
    return err_next(e, _("restore the backup alone: --no-logs"));
}

/* Older servers have no identifier of their own, only the number that their administrator gave them. */
static const char *identity(json_t *facts)
{
    const char *uid = json_string_value(json_object_get(facts, "server_uid"));
    return uid && uid[0] ? uid : json_string_value(json_object_get(facts, "server_id"));
}

static int check_server(struct replay *p, struct err *e)
{
    const char *one = identity(p->x.facts), *two = identity(p->facts);
    json_t *log = json_object_get(p->x.facts, "binlog");
    p->first = json_string_value(json_object_get(log, "file"));
    p->position = json_string_value(json_object_get(log, "position"));
    if (!p->first || !p->position || !strrchr(p->first, '.') ||
        strspn(p->position, "0123456789") != strlen(p->position))
        return err_set(e, ERR_ABSENT, _("the backup knows no position in a binary log"));
    if (one && two && strcmp(one, two) == 0)
        return 0;
    err_set(e, ERR_NOT_WHOLE, _("the next backup is one of another server"));
    return err_next(e, _("restore the backup alone: --no-logs"));
}

static int64_t flushed_at(const struct replay *p)
{
    return json_integer_value(json_object_get(json_object_get(p->facts, "binlogs"), "flushed_at"));
}

static int find_moment(struct replay *p, struct err *e)
{
    int rc = my_moment_find(p->logs_fd, p->files, p->n, strtoull(p->position, NULL, 10), p->at_s,
                            flushed_at(p), &p->r->report->n.bytes_read, &p->moment, e);
    if (rc == 0)
        p->n = p->moment.n_files;
    return rc;
}

/* --- the whole ----------------------------------------------------------------------------------- */
/* The order of the log is that of commits, and each has the time at which it was begun. */
void my_say_order(struct report *report, const struct my_moment *m, const char *file)
{
    char place[300] = "";
    if (m->later == 0 && m->earlier == 0)
        return;
    if (m->stop > 0)
        snprintf(place, sizeof place, "%.250s:%llu", file, (unsigned long long)m->stop);
    (m->far ? report_problem : report_note)(
        report, NULL, 0,
        _("times in the binary logs do not follow each other (long transactions, a clock that was set, SET "
          "TIMESTAMP): all up to %s was replayed, with %llu transactions of a later time; %llu of an "
          "earlier time come after it and were not"),
        place[0] ? place : _("the end"), (unsigned long long)m->later,
        (unsigned long long)m->earlier);
}

static void say_reached(struct replay *p)
{
    char when[32], end[32];
    time_t at = (time_t)p->at_s;
    time_t flushed = (time_t)flushed_at(p);
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    gmtime_r(&flushed, &tm);
    strftime(end, sizeof end, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (flushed < at)
        report_problem(p->r->report, NULL, 0,
                       _("the kept binary logs end at %s: what was done from then to %s is lost"),
                       end, when);
    my_tell_changed(p->x.facts, p->facts, p->r->report);
    my_say_order(p->r->report, &p->moment, p->files[p->n - 1]);
    report_note(p->r->report, NULL, 0,
                _("replayed: binary logs %s to %s, what was begun before %s; the last event: %s"),
                p->files[0], p->files[p->n - 1], flushed < at ? end : when,
                p->logs.last[0] ? p->logs.last + 1 : _("none"));
}

static int open_all(struct replay *p, const char *data, struct err *e)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(data, '/'), *at = source_spec_get(p->r->spec, "at");
    if (!slash || strcmp(slash, "/data") != 0 || (size_t)(slash - data) >= sizeof parent || !at)
        return err_set(e, ERR_USAGE, _("\"%s\" is not the data folder of a restore"), data);
    p->at_s = strtoll(at, NULL, 10);
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - data), data);
    p->x.r = p->r;
    p->x.folder_fd = sys_open_folder(parent, p->r->resolved, e);
    if (p->x.folder_fd < 0)
        return err_wrap(e, "%s", parent);
    int rc = my_read_facts(p->x.folder_fd, &p->x.facts, e);
    if (rc == 0)
        rc = p->folder_fd = sys_open_folder(p->r->folder, p->r->resolved, e);
    if (rc >= 0)
        rc = my_read_facts(p->folder_fd, &p->facts, e);
    if (rc == 0)
        rc = p->logs_fd = sys_openat(p->folder_fd, "binlog", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                                     e);
    if (rc >= 0)
        rc = fstatat(p->x.folder_fd, "data", &p->x.owner, AT_SYMLINK_NOFOLLOW) < 0
                 ? err_sys(e, "%s", data)
                 : 0;
    if (rc == 0 && asprintf(&p->x.data, "%s/" MY_REPLAYING, parent) < 0) {
        p->x.data = NULL;
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    }
    return rc;
}

static int replay_files(struct replay *p, const char *programs, struct err *e)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s/binlog", p->r->folder);
    p->logs = (struct my_logs){ .folder = folder,
                                .files = p->files,
                                .n = p->n,
                                .position = strtoull(p->position, NULL, 10),
                                .stop = p->moment.stop,
                                .facts = p->facts,
                                .programs = programs };
    return p->moment.groups > 0 ? my_replay_logs(&p->x, &p->logs, e)
                                : 0; /* nothing was begun before it */
}

static int bring_to_moment(struct replay *p, struct err *e)
{
    const char *programs = source_spec_get(p->r->spec, "verify");
    programs = programs ? programs : "";
    int rc = replay_files(p, programs, e);
    return rc == 0 && source_spec_get(p->r->spec, "tables") ? my_verify(&p->x, programs, false, e)
                                                            : rc;
}

static int replay_all(struct replay *p, const char *data, struct err *e)
{
    int rc = open_all(p, data, e);
    if (rc == 0)
        rc = my_check_plain(p->folder_fd, "binlog", e);
    if (rc == 0)
        rc = my_check_plain(p->x.folder_fd, "data", e);
    if (rc == 0)
        rc = my_hide_data(&p->x, data, e);
    if (rc == 0)
        rc = check_server(p, e);
    if (rc == 0)
        rc = choose_files(p, e);
    if (rc == 0)
        rc = check_first(p, e);
    if (rc == 0)
        rc = find_moment(p, e);
    if (rc == 0)
        rc = my_make_conf(&p->x, MY_REPLAYING, e);
    if (rc == 0)
        rc = bring_to_moment(p, e);
    if (rc == 0)
        rc = my_show_data(&p->x, e);
    if (rc == 0)
        say_reached(p);
    return rc == 0 ? tree_remove(p->folder_fd, "binlog", e) : rc;
}

int my_replay(const struct source_restore *r, struct err *e)
{
    const char *data = source_spec_get(r->spec, "replay");
    struct replay *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, _("no memory"));
    p->r = r;
    p->x.folder_fd = p->folder_fd = p->logs_fd = -1;
    report_phase(r->report, 3);
    int rc = replay_all(p, data, e);
    my_restored_done(&p->x);
    json_decref(p->facts);
    sys_close_quiet(p->logs_fd);
    sys_close_quiet(p->folder_fd);
    free(p);
    return rc < 0 ? err_wrap(e, _("replay of binary logs")) : 0;
}
