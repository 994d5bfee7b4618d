/* kept.c - what is kept of the log as it was written (follow.c) becomes files again, from the backup's end on, and is replayed: to its end, up to
 * a moment, up to a position.
 *
 * It must be of the same life of the server as the backup: what stood in the log right before the backup's end is the same. Nothing is replayed
 * across what is missing, and no part of a transaction. Logs count whole seconds: what was begun before that second is in. Times need not follow
 * each other (moment.h): it is read on behind the moment, for some minutes and some MiB behind the last transaction that was begun before it. */
#include "agents/fetch_remote.h"
#include "agents/log_frames.h"
#include "agents/mariadb/kept.h"
#include "agents/tree.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define LOGS ".twofold-binlog"
#define AHEAD 12u
#define JUST_NOW_NS \
    INT64_C(5000000000) /* what is written now needs so long until the copies have it */
#define ROOM_SLACK (64u << 20)
#define READ_ON_S 300
#define READ_ON_BYTES (64u << 20)
#define TYPE_IGNORED 28
#define FLAG_IGNORED 0x80

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static const char *time_text(int64_t s, char out[32])
{
    time_t t = (time_t)s;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, 32, "?");
    return out;
}

/* Why the log ends here. */
static int end_with(struct kept *k, const char *why, struct err *e)
{
    free(k->why);
    k->why = strdup(why);
    return k->why ? 0 : no_memory(e);
}

/* --- what is asked for -------------------------------------------------------------------------- */
/* "bl.000007:1234" */
static bool read_position(const char *text, char file[MAX_BINLOG_NAME], uint64_t *ret)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (n == 0 || n >= MAX_BINLOG_NAME || !colon[1] || strlen(colon + 1) > 15 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    memcpy(file, text, n);
    file[n] = '\0';
    *ret = strtoull(colon + 1, NULL, 10);
    return my_log_number(file) > 0;
}

int my_check_position(const struct source_restore *r, struct err *e)
{
    const char *text = source_spec_get(r->spec, "position");
    char file[MAX_BINLOG_NAME];
    uint64_t at;
    if (!text || read_position(text, file, &at))
        return 0;
    return err_set(e, ERR_USAGE,
                   _("\"%s\" is no position in a binary log (like binlog.000007:1234)"), text);
}

static int read_settings(struct kept *k, struct err *e)
{
    const char *at = source_spec_get(k->r->spec, "at"),
               *position = source_spec_get(k->r->spec, "position"),
               *id = json_string_value(json_object_get(k->x->facts, "server_id"));
    char file[MAX_BINLOG_NAME], when[32], backup[32];
    int64_t stopped = json_integer_value(json_object_get(k->x->facts, "stopped_at"));
    if (!id || !my_seam_read(json_object_get(k->x->facts, "log"), &k->seam))
        return err_set(e, ERR_DAMAGED, _("facts.json of the backup cannot be read"));
    k->system = my_log_system(id, k->seam.file);
    k->at_us = at ? strtoll(at, NULL, 10) : 0;
    if (k->at_us && k->at_us / 1000000 < stopped)
        return err_set(e, ERR_ABSENT,
                       _("the backup ends at %s, later than %s; take an earlier one"),
                       time_text(stopped, backup), time_text(k->at_us / 1000000, when));
    if (!position)
        return 0;
    if (my_check_position(k->r, e) < 0)
        return -ERR_USAGE;
    (void)read_position(position, file, &k->stop_at);
    k->stop_number = my_log_number(file);
    if (!my_log_base_same(file, k->seam.file))
        return err_set(e, ERR_USAGE, _("the server's binary logs have other names: %s"),
                       k->seam.file);
    if (k->stop_number < k->seam.number ||
        (k->stop_number == k->seam.number && k->stop_at < k->seam.position))
        return err_set(e, ERR_ABSENT,
                       _("the backup ends behind %s; take an earlier one: --snapshot ID"),
                       position);
    return 0;
}

static int ask(struct kept *k, struct err *e)
{
    struct msg_want_log w = { .kind = (char *)(uintptr_t)MY_ROOT,
                              .system = k->system,
                              .timeline = k->seam.number,
                              .position = k->seam.position - k->seam.marked };
    struct fetch_log_result got = { 0 };
    w.backup_ns = json_integer_value(json_object_get(k->x->facts, "stopped_at")) * 1000000000;
    int rc = fetch_log_list(k->r->fetch, &w, &got, e);
    k->v = got.pieces;
    k->n = got.n;
    k->source = got.source;
    k->why = got.why;
    k->known_ns = got.known_ns;
    return rc;
}

/* --- pieces ------------------------------------------------------------------------------------- */
static int get_piece(struct kept *k, size_t i, bool ahead, struct piece **ret, struct err *e)
{
    struct id id;
    for (size_t n = i; ahead && n < k->n && n < i + AHEAD; n++) {
        log_piece_id(k->r->vault_id, k->source, &k->v[n], &id);
        if (!fetch_ahead(k->r->fetch, &id))
            break;
    }
    log_piece_id(k->r->vault_id, k->source, &k->v[i], &id);
    int rc = fetch_get(k->r->fetch, &id, ret, e);
    if (rc == FETCH_GONE)
        return -(int)(e ? e->code : ERR_DAMAGED);
    if (rc == 0 && piece_len(*ret) != k->v[i].len) {
        fetch_put(k->r->fetch, *ret);
        return err_set(e, ERR_DAMAGED, _("a piece of the log has another length than stated"));
    }
    return rc;
}

/* The bytes that the backup's mark is of, of one epoch. */
struct gathered {
    uint8_t p[LOG_MARKED];
    uint64_t at; /* how far they are there */
};

static int gather(struct kept *k, size_t i, struct gathered *g, struct err *e)
{
    const struct log_piece *x = &k->v[i];
    uint64_t begin = k->seam.position - k->seam.marked;
    struct piece *p = NULL;
    if (x->kind != LOG_BYTES || x->timeline != k->seam.number || x->start > g->at ||
        x->end <= g->at || g->at >= k->seam.position)
        return 0;
    int rc = get_piece(k, i, false, &p, e);
    if (rc == -ERR_DAMAGED) { /* as if it were not kept */
        err_clear(e);
        return 0;
    }
    if (rc < 0)
        return rc;
    uint64_t end = x->end < k->seam.position ? x->end : k->seam.position;
    memcpy(g->p + (g->at - begin), piece_bytes(p) + (g->at - x->start), (size_t)(end - g->at));
    g->at = end;
    fetch_put(k->r->fetch, p);
    return 0;
}

/* The pieces of the epoch in which the backup was made come to the front. None: the log has nothing of the life that the backup is of. */
static int find_epoch(struct kept *k, struct err *e)
{
    struct gathered *g = calloc(1, sizeof *g);
    size_t first = 0;
    bool found = false;
    int rc = g ? 0 : no_memory(e);
    for (size_t i = 0; rc == 0 && !found && i < k->n; i++) {
        uint8_t mark[LOG_MARK_BYTES];
        if (i == 0 || k->v[i].epoch != k->v[i - 1].epoch) {
            first = i;
            g->at = k->seam.position - k->seam.marked;
        }
        if (k->v[i].system == k->system)
            rc = gather(k, i, g, e);
        if (rc < 0 || g->at < k->seam.position)
            continue;
        log_piece_mark(g->p, (size_t)k->seam.marked, mark);
        found = memcmp(mark, k->seam.mark, sizeof mark) == 0;
        g->at = found ? g->at : 0; /* another life: nothing more of it is gathered */
        if (!found)
            while (i + 1 < k->n && k->v[i + 1].epoch == k->v[i].epoch)
                i++;
    }
    free(g);
    if (rc < 0)
        return rc;
    k->n = found ? k->n - first : 0;
    if (k->n > 0)
        memmove(k->v, k->v + first, k->n * sizeof *k->v);
    return found || k->why[0] ? 0 : end_with(k, _("it has nothing of the time of this backup"), e);
}

/* --- files -------------------------------------------------------------------------------------- */
static int check_room(struct kept *k, struct err *e)
{
    struct statvfs v;
    uint64_t bytes = ROOM_SLACK;
    for (size_t i = 0; i < k->n; i++)
        bytes += k->v[i].len;
    if (fstatvfs(k->x->folder_fd, &v) < 0 || (uint64_t)v.f_bavail * v.f_frsize >= bytes)
        return 0;
    err_set(e, ERR_NOSPACE, _("the log takes %llu MiB in %s, and %llu MiB are free"),
            (unsigned long long)(bytes >> 20), k->r->folder,
            (unsigned long long)((uint64_t)v.f_bavail * v.f_frsize >> 20));
    return err_next(e, _("make room, or restore to a larger disk; without the log: --no-logs"));
}

/* What only says how the server's own file is encrypted: the bytes here are not. It stays as an event of no meaning, with its sum. */
static void disarm(void *ctx, uint64_t at, const uint8_t *text, size_t n)
{
    struct kept *k = ctx;
    uint8_t own[EVENT_TEXT_BYTES];
    if (n < EVENT_HEAD_BYTES + EVENT_SUM_BYTES)
        return;
    memcpy(own, text, n);
    own[4] = TYPE_IGNORED;
    own[17] |= FLAG_IGNORED;
    uLong sum = crc32(crc32(0, NULL, 0), own, (uInt)(n - EVENT_SUM_BYTES));
    for (size_t i = 0; i < EVENT_SUM_BYTES; i++)
        own[n - EVENT_SUM_BYTES + i] = (uint8_t)(sum >> 8 * i);
    struct err ignored = ERR_INIT;
    (void)sys_pwrite(k->fd, own, n, at, &ignored);
}

static int begin_file(struct kept *k, const char *name, uint32_t number, struct err *e)
{
    if (k->n_names == MAX_BINLOGS)
        return err_set(e, ERR_LIMIT, _("the server has more than %d binary logs"), MAX_BINLOGS);
    if (!(k->names[k->n_names] = strdup(name)))
        return no_memory(e);
    k->n_names++;
    k->fd = sys_openat(k->logs_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, e);
    if (k->fd < 0)
        return err_wrap(e, "%s", name);
    k->number = number;
    k->events.file = k->n_names - 1;
    k->events.stop = number == k->stop_number                    ? k->stop_at
                     : k->stop_number && number > k->stop_number ? 0
                                                                 : UINT64_MAX;
    return k->x->as.changes && fchown(k->fd, k->x->as.uid, k->x->as.gid) < 0
               ? err_sys(e, "%s", name)
               : 0;
}

/* Only whole transactions. A file in which nothing is left does not count. */
static int end_file(struct kept *k, struct err *e)
{
    int rc = 0;
    if (k->fd < 0)
        return 0;
    uint64_t first = k->n_names == 1 ? k->seam.position : BINLOG_MAGIC_BYTES;
    if (ftruncate(k->fd, (off_t)k->events.whole) < 0)
        rc = err_sys(e, "%s", k->names[k->n_names - 1]);
    int closed = sys_close(k->fd, rc < 0 ? NULL : e);
    k->fd = -1;
    if (k->n_names > 1 && k->events.whole <= first)
        free(k->names[--k->n_names]);
    else
        k->end_at = k->events.whole;
    k->beyond |= k->events.beyond;
    return rc < 0 ? rc : closed;
}

/* The first one: its beginning, and what comes behind the backup's end. */
static int begin_first(struct kept *k, struct err *e)
{
    int rc = tree_remove(k->x->folder_fd, LOGS, e);
    if (rc == 0)
        rc = sys_mkdirat(k->x->folder_fd, LOGS, 0700, e);
    if (rc == 0)
        rc = k->logs_fd = sys_openat(k->x->folder_fd, LOGS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                                     e);
    if (rc >= 0 && k->x->as.changes && fchown(k->logs_fd, k->x->as.uid, k->x->as.gid) < 0)
        rc = err_sys(e, LOGS);
    if (rc >= 0)
        rc = begin_file(k, k->seam.file, k->seam.number, e);
    if (rc == 0)
        rc = sys_pwrite(k->fd, k->seam.head, k->seam.head_n, 0, e);
    if (rc < 0)
        return rc;
    struct my_events head = { .stop = UINT64_MAX, .encrypted = disarm, .ctx = k };
    my_events_begin(&head, BINLOG_MAGIC_BYTES);
    my_events_feed(&head, k->seam.head + BINLOG_MAGIC_BYTES, k->seam.head_n - BINLOG_MAGIC_BYTES);
    k->at = k->seam.position;
    my_events_begin(&k->events, k->at);
    return 0;
}

int kept_write(struct kept *k, const uint8_t *p, size_t n, int64_t seen_s, struct err *e)
{
    int rc = sys_pwrite(k->fd, p, n, k->at, e);
    if (rc < 0)
        return err_wrap(e, "%s", k->names[k->n_names - 1]);
    k->events.seen_s = seen_s;
    uint64_t early = k->events.now.early;
    uint64_t skip = k->events.at > k->at ? k->events.at - k->at : 0; /* the magic of a file */
    if (skip < n)
        my_events_feed(&k->events, p + skip, n - (size_t)skip);
    k->since = k->events.now.early == early ? k->since + n : 0;
    k->at += n;
    k->r->report->n.bytes += n;
    return 0;
}

int kept_next_file(struct kept *k, const char *name, uint32_t number, struct err *e)
{
    int rc = end_file(k, e);
    if (rc == 0)
        rc = begin_file(k, name, number, e);
    k->at = 0;
    my_events_begin(&k->events, BINLOG_MAGIC_BYTES);
    return rc;
}

/* 1: what comes before it is not all there. */
static int take_bytes(struct kept *k, const struct log_piece *x, const struct piece *p,
                      struct err *e)
{
    if (x->timeline > k->number || x->start > k->at)
        return 1;
    return kept_write(k, piece_bytes(p) + (k->at - x->start), (size_t)(x->end - k->at),
                      x->time_ns / 1000000000, e);
}

/* Files of one length are ordinary: that one ended where this one says is not enough. A number may be left out, of a file of which nothing was
 * kept (it had no event yet when the server died), but no piece. */
static int take_history(struct kept *k, const struct log_piece *was, const struct log_piece *x,
                        const struct piece *p, struct err *e)
{
    char name[MAX_BINLOG_NAME];
    bool next = x->timeline == k->number + 1 || (was && x->seq == was->seq + 1);
    if (x->start != k->at || !next)
        return 1;
    if (!my_file_history_name(piece_bytes(p), piece_len(p), name) ||
        my_log_number(name) != x->timeline || !my_log_base_same(name, k->seam.file))
        return err_set(e, ERR_DAMAGED, _("a file of the log has no name"));
    return kept_next_file(k, name, x->timeline, e);
}

/* Is it behind what is there already? */
static bool is_of_use(const struct kept *k, const struct log_piece *x)
{
    if (x->kind == LOG_HISTORY)
        return x->timeline > k->number;
    return x->timeline > k->number || (x->timeline == k->number && x->end > k->at);
}

/* damaged: what was kept is missing; else the log began anew, and that was known. */
static int say_gap(struct kept *k, bool damaged, struct err *e)
{
    char text[ERR_TEXT_BYTES];
    k->damaged = damaged;
    snprintf(text, sizeof text,
             _("what comes behind %.200s, position %" PRIu64 ", is not kept: there is a gap"),
             k->names[k->n_names - 1], k->at);
    return end_with(k, text, e);
}

bool kept_is_enough(const struct kept *k)
{
    const struct my_events *v = &k->events;
    if (v->beyond || v->wrong)
        return true;
    return v->now.late > v->best.late &&
           (k->n_names == MAX_BINLOGS ||
            (v->seen_s >= v->at_s + READ_ON_S && k->since >= READ_ON_BYTES));
}

/* Piece by piece as long as each goes on from the one before; k->why says what ends it. */
static int take_all(struct kept *k, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < k->n && !kept_is_enough(k); i++) {
        const struct log_piece *x = &k->v[i];
        struct err lost = ERR_INIT;
        struct piece *p = NULL;
        if (x->epoch != k->v[0].epoch || x->system != k->system)
            return say_gap(k, false, e);
        if (!is_of_use(k, x))
            continue;
        rc = get_piece(k, i, true, &p, &lost);
        if (rc == -ERR_DAMAGED) { /* what comes before is whole */
            char text[2 * ERR_TEXT_BYTES + 8];
            snprintf(text, sizeof text, "%s: %s", lost.what, lost.why);
            k->damaged = true;
            return end_with(k, text, e);
        }
        if (rc < 0) {
            if (e)
                *e = lost;
            return rc;
        }
        rc = x->kind == LOG_HISTORY ? take_history(k, i > 0 ? x - 1 : NULL, x, p, e)
                                    : take_bytes(k, x, p, e);
        fetch_put(k->r->fetch, p);
    }
    if (rc == 1)
        return say_gap(k, true, e);
    if (rc < 0 || !k->events.wrong)
        return rc;
    k->damaged = true;
    return end_with(k, _("what is kept of it is no binary log"), e);
}

/* What lies behind the moment goes. */
static int cut_at_moment(struct kept *k, struct err *e)
{
    struct my_moment *m = &k->moment;
    k->beyond |= k->events.passed;
    my_events_moment(&k->events, k->n_names, m);
    if (!m->stop || m->n_files > k->n_names)
        return 0;
    const char *name = k->names[m->n_files - 1];
    int fd = sys_openat(k->logs_fd, name, O_WRONLY | O_NOFOLLOW, 0, e);
    if (fd < 0)
        return err_wrap(e, "%s", name);
    int rc = ftruncate(fd, (off_t)m->stop) < 0 ? err_sys(e, "%s", name) : 0;
    int closed = sys_close(fd, rc < 0 ? NULL : e);
    while (k->n_names > m->n_files)
        free(k->names[--k->n_names]);
    k->end_at = m->stop;
    return rc < 0 ? rc : closed;
}

/* --- replay ------------------------------------------------------------------------------------- */
static int replay(struct kept *k, struct my_logs *l, struct err *e)
{
    char folder[PATH_MAX], hidden[PATH_MAX];
    char *data = k->x->data;
    const char *programs = source_spec_get(k->r->spec, "later");
    if (snprintf(folder, sizeof folder, "%s/" LOGS, k->r->folder) >= (int)sizeof folder ||
        snprintf(hidden, sizeof hidden, "%s/" MY_REPLAYING, k->r->folder) >= (int)sizeof hidden)
        return err_set(e, ERR_LIMIT, _("the path is too long"));
    *l = (struct my_logs){ .folder = folder,
                           .files = (const char *const *)k->names,
                           .n = k->n_names,
                           .position = k->seam.position,
                           .facts = k->x->facts,
                           .programs = programs ? programs : "" };
    int rc = my_hide_data(k->x, data, e);
    k->x->data = hidden;
    if (rc == 0)
        rc = my_replay_logs(k->x, l, e);
    if (rc == 0)
        rc = my_show_data(k->x, e);
    k->x->data = data;
    l->folder = NULL;
    return rc;
}

static void say(struct kept *k, const struct my_logs *l)
{
    struct report *rep = k->r->report;
    char when[32], known[32];
    if (l->n > 0)
        report_note(rep, NULL, 0,
                    _("its log: replayed from the backup's end to %s, position %" PRIu64
                      "; the last event: %s"),
                    l->files[l->n - 1], k->end_at, l->last[0] ? l->last + 1 : _("none"));
    my_say_order(rep, &k->moment, k->names[k->n_names - 1]);
    if (k->events.unsure)
        report_problem(
            rep, NULL, 0,
            _("%llu transactions right behind that have times which had not come yet (a clock that "
              "was set, SET TIMESTAMP) and were not replayed: they may be of before the moment"),
            (unsigned long long)k->events.unsure);
    if (k->salvaged_bytes)
        report_note(rep, NULL, 0,
                    _("of that, %llu KiB were not kept yet and are what survived in %s"),
                    (unsigned long long)(k->salvaged_bytes >> 10), k->survived);
    if (k->lost)
        report_problem(rep, NULL, 0, "%s", k->lost);
    if (k->complete && !k->beyond)
        return;
    if (k->why[0] && !k->beyond)
        report_problem(rep, NULL, 0, _("the log does not go on: %s"), k->why);
    int64_t known_ns = k->known_ns ? k->known_ns : k->events.last_s * 1000000000;
    if (k->at_us && !k->beyond && known_ns + JUST_NOW_NS < k->at_us * 1000)
        report_problem(
            rep, NULL, 0,
            _("%s was asked for, and the log is known up to %s only: what was committed in "
              "between is not in the copies"),
            time_text(k->at_us / 1000000, when), time_text(known_ns / 1000000000, known));
}

static int check_reached(struct kept *k, struct err *e)
{
    if (!k->stop_number || k->beyond || (k->number == k->stop_number && k->at >= k->stop_at) ||
        k->number > k->stop_number)
        return 0;
    return err_set(e, ERR_ABSENT, _("the log is kept up to %s, position %" PRIu64 " only"),
                   k->n_names ? k->names[k->n_names - 1] : k->seam.file, k->at);
}

/* --- for programs -------------------------------------------------------------------------------- */
static json_t *salvaged(const struct kept *k)
{
    return k->survived ? json_pack("{s:s, s:I, s:b, s:s}", "folder", k->survived, "bytes",
                                   (json_int_t)k->salvaged_bytes, "complete", k->complete, "lost",
                                   k->lost ? k->lost : "")
                       : json_null();
}

static void tell(const struct kept *k)
{
    char position[MAX_BINLOG_NAME + 24];
    const char *gap = k->complete || k->beyond ? "" : k->lost ? k->lost : k->why;
    bool other = k->complete &&
                 k->why[0]; /* the kept log's end is not the end of what was replayed */
    snprintf(position, sizeof position, "%s:%" PRIu64,
             k->n_names ? k->names[k->n_names - 1] : k->seam.file,
             k->end_at ? k->end_at : k->seam.position);
    report_facts(
        k->r->report, "recovered",
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:b, s:s, s:b, s:o}", "kind", MY_ROOT,
                  "system", json_string_value(json_object_get(k->x->facts, "server_id")),
                  "position", position, "last_commit", position, "last_commit_at",
                  (json_int_t)k->events.last_s, "backup_end_at",
                  (json_int_t)json_integer_value(json_object_get(k->x->facts, "stopped_at")),
                  "known_at", other ? 0.0 : (double)k->known_ns / 1000000000.0, "expected_at",
                  (double)k->at_us / 1000000.0, "beyond", k->beyond, "gap", gap, "damaged",
                  *gap && k->damaged, "salvaged", salvaged(k)));
}

/* A backup alone is what it is. */
static void tell_backup(const struct my_restored *x)
{
    const json_t *log = json_object_get(x->facts, "binlog");
    const char *file = json_string_value(json_object_get(log, "file")),
               *at = json_string_value(json_object_get(log, "position"));
    char position[MAX_BINLOG_NAME + 24] = "";
    json_int_t stopped = json_integer_value(json_object_get(x->facts, "stopped_at"));
    if (file && at)
        snprintf(position, sizeof position, "%s:%.20s", file, at);
    report_facts(x->r->report, "recovered",
                 json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:b, s:s, s:n}", "kind",
                           MY_ROOT, "system",
                           json_string_value(json_object_get(x->facts, "server_id")), "position",
                           position, "last_commit", position, "last_commit_at", stopped,
                           "backup_end_at", stopped, "known_at", stopped, "expected_at", 0,
                           "beyond", 0, "gap", "", "salvaged"));
}

static int bring(struct kept *k, struct err *e)
{
    struct my_logs replayed = { .n = 0 };
    bool logs = source_spec_get(k->r->spec, "logs") != NULL;
    int rc = read_settings(k, e);
    if (rc == 0)
        rc = logs ? ask(k, e) : end_with(k, "", e);
    report_phase(k->r->report, 2);
    if (rc == 0 && logs)
        rc = find_epoch(k, e);
    if (rc == 0)
        rc = check_room(k, e);
    k->events.at_s = k->at_us / 1000000;
    k->events.encrypted = disarm;
    k->events.ctx = k;
    if (rc == 0)
        rc = begin_first(k, e);
    if (rc == 0)
        rc = take_all(k, e);
    if (rc == 0 && !k->events.wrong && !kept_is_enough(k))
        rc = my_salvage(k, e);
    if (rc == 0)
        rc = end_file(k, e);
    if (rc == 0)
        rc = check_reached(k, e);
    if (rc == 0)
        rc = cut_at_moment(k, e);
    report_phase(k->r->report, 3);
    if (rc == 0 && (k->n_names > 1 || k->end_at > k->seam.position))
        rc = replay(k, &replayed, e);
    if (rc == 0)
        say(k, &replayed);
    if (rc == 0)
        tell(k);
    return rc == 0 ? tree_remove(k->x->folder_fd, LOGS, e) : rc;
}

int my_bring_log(struct my_restored *x, bool *ret_later, struct err *e)
{
    *ret_later = false;
    bool wanted = source_spec_get(x->r->spec, "logs") || source_spec_get(x->r->spec, "salvage");
    if (wanted && !json_is_object(json_object_get(x->facts, "log"))) {
        report_problem(x->r->report, NULL, 0,
                       _("what survived of its log is not replayed: the backup was made before its "
                         "log was followed, and does not know its place in it"));
        wanted = false;
    }
    if (!wanted) {
        tell_backup(x);
        return 0;
    }
    struct kept *k = calloc(1, sizeof *k);
    if (!k)
        return no_memory(e);
    k->x = x;
    k->r = x->r;
    k->fd = k->logs_fd = -1;
    int rc = bring(k, e);
    *ret_later = k->n_names > 1 || k->end_at > k->seam.position;
    sys_close_quiet(k->fd);
    sys_close_quiet(k->logs_fd);
    for (size_t i = 0; i < k->n_names; i++)
        free(k->names[i]);
    free(k->v);
    free(k->source);
    free(k->why);
    free(k->lost);
    free(k);
    return rc < 0 ? err_wrap(e, _("its log")) : 0;
}
