/* replay.c - see replay.h. */
#include "agents/postgresql/replay_inner.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define JUST_NOW_US \
    INT64_C(5000000) /* what is committed now needs so long until the copies have it */
#define AHEAD 12u
static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static const char *time_text(int64_t us, char out[40])
{
    time_t s = (time_t)(us / 1000000);
    struct tm tm;
    char date[24] = "?";
    if (gmtime_r(&s, &tm))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 40, "%s.%06dZ", date, (int)(us % 1000000));
    return out;
}

/* As the server's configuration takes it. */
static const char *target_time(int64_t us, char out[40])
{
    time_text(us, out);
    out[10] = ' ';
    snprintf(out + strlen(out) - 1, 4, "+00");
    return out;
}

/* --- what was committed ------------------------------------------------------------------------------- */
static void on_commit(void *ctx, const struct wal_commit *c)
{
    struct replay *r = ctx;
    bool over = (r->at_us && c->time_us > r->at_us && !c->is_point) ||
                (r->lsn && r->reader.last >= r->lsn);
    if (r->stop)
        return;
    if (r->point && c->is_point && strcmp(c->point, r->point) == 0) {
        r->last = *c;
        r->beyond = r->stop = true;
    }
    r->beyond |= over;
    r->stop |= over;
    if (!r->beyond && !c->is_point)
        r->last = *c;
}

/* Replayed, it would make and empty the original's folder, wherever this is: on its own host, the live one. */
static void on_tablespace(void *ctx, uint64_t at, const char *place)
{
    struct replay *r = ctx;
    if (r->stop)
        return;
    r->stop = r->beyond = true;
    r->barrier = at;
    snprintf(r->barrier_place, sizeof r->barrier_place, "%s", place);
}

static void on_parameters(void *ctx, const uint32_t v[WAL_PARAMETERS])
{
    struct replay *r = ctx;
    if (!r->stop)
        memcpy(r->parameters, v, sizeof r->parameters);
}

static uint64_t seam_begin(const struct replay *r)
{
    uint64_t begin = r->c->stop_lsn > SEAM_BYTES ? r->c->stop_lsn - SEAM_BYTES : 0;
    return begin > r->start_lsn ? begin : r->start_lsn;
}

uint32_t replay_timeline(const struct replay *r)
{
    return r->way.v[r->step].timeline;
}

/* --- files -------------------------------------------------------------------------------------------- */
static int give(struct replay *r, const char *name, struct err *e)
{
    struct stat *o = &r->c->owner;
    if (geteuid() != 0)
        return 0;
    return fchownat(r->c->wal_fd, name, o->st_uid, o->st_gid, AT_SYMLINK_NOFOLLOW) < 0
               ? err_sys(e, "%s", name)
               : 0;
}

void replay_segment_name(const struct replay *r, uint64_t segment, char ret[64])
{
    uint64_t per = UINT64_C(0x100000000) / r->segment_bytes;
    snprintf(ret, 64, "%08" PRIX32 "%08" PRIX64 "%08" PRIX64, replay_timeline(r), segment / per,
             segment % per);
}

static int open_segment(struct replay *r, uint64_t segment, struct err *e)
{
    char name[64];
    if (r->fd >= 0 && r->fd_segment == segment && r->fd_timeline == replay_timeline(r))
        return 0;
    sys_close_quiet(r->fd);
    replay_segment_name(r, segment, name);
    r->fd = sys_openat(r->c->wal_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600, e);
    r->fd_segment = segment;
    r->fd_timeline = replay_timeline(r);
    if (r->fd < 0)
        return err_wrap(e, "pg_wal/%s", name);
    if (ftruncate(r->fd, (off_t)r->segment_bytes) <
        0) /* what is not written is zeros: the log ends there */
        return err_sys(e, "%s", name);
    return give(r, name, e);
}

int replay_write(struct replay *r, uint64_t at, const uint8_t *p, size_t n, struct err *e)
{
    int rc = 0;
    while (rc == 0 && n > 0) {
        uint64_t within = at % r->segment_bytes;
        size_t part = n < r->segment_bytes - within ? n : (size_t)(r->segment_bytes - within);
        rc = open_segment(r, at / r->segment_bytes, e);
        for (size_t done = 0; rc == 0 && done < part;) {
            ssize_t w = pwrite(r->fd, p + done, part - done, (off_t)(within + done));
            if (w < 0 && errno != EINTR)
                rc = err_sys(e, "pg_wal");
            done += w > 0 ? (size_t)w : 0;
        }
        at += part;
        p += part;
        n -= part;
    }
    return rc;
}

/* --- pieces ------------------------------------------------------------------------------------------- */
static int get_piece(struct replay *r, size_t i, bool ahead, struct piece **ret, struct err *e)
{
    struct id id;
    for (size_t k = i; ahead && k < r->n && k < i + AHEAD; k++) {
        log_piece_id(&r->vault_id, r->source, &r->v[k], &id);
        if (!fetch_ahead(r->fetch, &id))
            break;
    }
    log_piece_id(&r->vault_id, r->source, &r->v[i], &id);
    int rc = fetch_get(r->fetch, &id, ret, e);
    if (rc == FETCH_GONE) {
        char lsn[LSN_TEXT_BYTES];
        err_wrap(e, _("the log at %s"), lsn_print(r->v[i].start, lsn));
        return -(int)(e ? e->code : ERR_DAMAGED);
    }
    if (rc == 0 && piece_len(*ret) != r->v[i].len) {
        fetch_put(r->fetch, *ret);
        return err_set(e, ERR_DAMAGED, _("a piece of the log has another length than stated"));
    }
    return rc;
}

int replay_put_history(struct replay *r, uint32_t timeline, const void *p, size_t n, struct err *e)
{
    char name[64];
    snprintf(name, sizeof name, "%08" PRIX32 ".history", timeline);
    int rc = sys_write_file(r->c->wal_fd, name, p, n, 0600, e);
    return rc == 0 ? give(r, name, e) : rc;
}

/* 1: what comes before it is not all there. */
static int take_history(struct replay *r, const struct log_piece *x, const struct piece *p,
                        struct err *e)
{
    bool next = r->step + 1 < r->way.n && r->way.v[r->step + 1].timeline == x->timeline;
    if (next && x->start > r->reached)
        return 1;
    bool first = x->timeline ==
                 replay_timeline(
                     r); /* of the backup's own timeline: it is of use, and that is all */
    if (!next && !first)
        return 0;
    int rc = replay_put_history(r, x->timeline, piece_bytes(p), piece_len(p), e);
    if (!next)
        return rc;
    r->step++;
    r->reached = r->step_start = x->start;
    r->reading = false;
    return rc;
}

int replay_next_timeline(struct replay *r)
{
    if (r->step + 1 >= r->way.n || r->reached < r->way.v[r->step].end)
        return 0;
    r->reached = r->step_start = r->way.v[r->step].end;
    r->step++;
    r->reading = false;
    return 1;
}

void replay_read_from(struct replay *r, uint64_t at)
{
    r->reader.fn = on_commit;
    r->reader.parameters = on_parameters;
    r->reader.tablespace = on_tablespace;
    r->reader.ctx = r;
    wal_reader_begin(&r->reader, at);
    r->reading = true;
}

/* Reads the records of [x->start, x->end), as far as they are of the way. The reader begins at a page. */
static void read_records(struct replay *r, const struct log_piece *x, const uint8_t *bytes)
{
    uint64_t limit = r->way.v[r->step].end, end = x->end < limit ? x->end : limit;
    uint64_t from = r->reading ? r->reader.at : r->reached - r->reached % WAL_PAGE_BYTES;
    if (!r->reading && from < x->start)
        from = x->start + (WAL_PAGE_BYTES - x->start % WAL_PAGE_BYTES) % WAL_PAGE_BYTES;
    if (from >= end)
        return;
    if (!r->reading)
        replay_read_from(r, from);
    wal_reader_feed(&r->reader, bytes + (from - x->start), (size_t)(end - from));
    if (r->lsn && !r->stop && r->reader.last >= r->lsn)
        r->beyond = r->stop = true;
}

/* Why the log ends here. */
static int end_with(struct replay *r, const char *why, struct err *e)
{
    free(r->why);
    r->why = strdup(why);
    return r->why ? 0 : no_memory(e);
}

/* What the backup has of the log itself, before its end, is the same in the kept one: else that is of another life of the server, before or
 * after it was put back. */
static int is_same_life(struct replay *r, const struct log_piece *x, const struct piece *p,
                        bool *ret, struct err *e)
{
    uint64_t begin = x->start > seam_begin(r) ? x->start : seam_begin(r),
             end = x->end < r->c->stop_lsn ? x->end : r->c->stop_lsn;
    uint8_t own[4096];
    *ret = true;
    for (uint64_t at = begin; *ret && at < end;) {
        uint64_t within = at % r->segment_bytes;
        size_t n = end - at < sizeof own ? (size_t)(end - at) : sizeof own;
        n = n < r->segment_bytes - within ? n : (size_t)(r->segment_bytes - within);
        char name[64];
        replay_segment_name(r, at / r->segment_bytes, name);
        int fd = sys_openat(r->c->wal_fd, name, O_RDONLY | O_NOFOLLOW, 0, e);
        if (fd < 0)
            return err_wrap(e, "pg_wal/%s", name);
        ssize_t got = pread(fd, own, n, (off_t)within);
        sys_close_quiet(fd);
        if (got != (ssize_t)n)
            return err_set(e, ERR_DAMAGED, _("the backup's own log is not whole: %s"), name);
        *ret = memcmp(own, piece_bytes(p) + (at - x->start), n) == 0;
        at += n;
    }
    return 0;
}

/* 1: what comes before it is not all there. */
static int take_bytes(struct replay *r, const struct log_piece *x, const struct piece *p,
                      struct err *e)
{
    if (x->timeline != replay_timeline(r) || x->end <= r->reached)
        return 0;
    if (x->start > r->reached)
        return 1;
    /* The backup has what lies before its end itself; what lies behind the end of a timeline is of an abandoned branch, and a server that
     * does not find the next one's would go on with it. */
    uint64_t limit = r->way.v[r->step].end, begin = x->start, end = x->end < limit ? x->end : limit;
    if (r->step == 0 && begin < r->c->stop_lsn)
        begin = r->c->stop_lsn;
    int rc = begin < end ? replay_write(r, begin, piece_bytes(p) + (begin - x->start),
                                        (size_t)(end - begin), e)
                         : 0;
    if (rc == 0)
        read_records(r, x, piece_bytes(p));
    r->reached = x->end;
    r->pieces++;
    r->bytes += piece_len(p);
    r->c->r->report->n.bytes += piece_len(p);
    return rc;
}

/* The pieces of the epoch in which the backup was made come to the front: of those that have something of its last log, the one that has the
 * same. What comes before them is not needed. None: the log has nothing of the server's life that the backup is of. */
static int find_epoch(struct replay *r, struct err *e)
{
    size_t first = 0, at = 0;
    bool found = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && !found && i < r->n; i++) {
        const struct log_piece *x = &r->v[i];
        struct piece *p = NULL;
        if (i > 0 && x->epoch != r->v[i - 1].epoch)
            first = i;
        bool overlaps = x->kind == LOG_BYTES && x->system == r->system &&
                        x->timeline == replay_timeline(r) && x->start < r->c->stop_lsn &&
                        x->end > seam_begin(r);
        if (!overlaps)
            continue;
        rc = get_piece(r, i, false, &p, e);
        if (rc == -ERR_DAMAGED) {
            err_clear(e);
            rc = 0;
            continue;
        }
        if (rc == 0)
            rc = is_same_life(r, x, p, &found, e);
        fetch_put(r->fetch, p);
        at = first;
    }
    if (rc < 0)
        return rc;
    r->n = found ? r->n - at : 0;
    if (r->n > 0)
        memmove(r->v, r->v + at, r->n * sizeof *r->v);
    return found || r->why[0] ? 0 : end_with(r, _("it has nothing of the time of this backup"), e);
}

/* The way is known before anything is replayed: what an abandoned branch wrote must not count. */
static int find_way(struct replay *r, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->n && r->v[i].epoch == r->v[0].epoch; i++) {
        struct piece *p = NULL;
        if (r->v[i].kind != LOG_HISTORY || r->v[i].system != r->system)
            continue;
        rc = get_piece(r, i, false, &p, e);
        if (rc ==
            -ERR_DAMAGED) { /* as if it were not kept: what comes on that timeline is not reached */
            err_clear(e);
            rc = 0;
            continue;
        }
        if (rc == 0)
            (void)timelines_add(&r->way, r->v[i].timeline, (const char *)piece_bytes(p),
                                piece_len(p), r->c->stop_lsn);
        fetch_put(r->fetch, p);
    }
    return rc;
}

/* Piece by piece as long as each goes on from the one before; r->why says what ends it. */
static int take_all(struct replay *r, struct err *e)
{
    char text[2 * ERR_TEXT_BYTES + 8], lsn[LSN_TEXT_BYTES];
    bool anew =
        false; /* a gap that was known when it came to be: nothing that was kept is missing */
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->n && !r->stop; i++) {
        const struct log_piece *x = &r->v[i];
        struct piece *p = NULL;
        anew = (i > 0 && x->epoch != r->v[i - 1].epoch) || x->system != r->system;
        if (anew) {
            rc = 1;
            break;
        }
        if (x->kind == LOG_BYTES && (x->timeline != replay_timeline(r) || x->end <= r->reached))
            continue;
        struct err lost = ERR_INIT;
        rc = get_piece(r, i, true, &p, &lost);
        if (rc == -ERR_DAMAGED) { /* what comes before is whole, and is more than the backup has */
            snprintf(text, sizeof text, "%s: %s", lost.what, lost.why);
            r->damaged = true;
            return end_with(r, text, e);
        }
        if (rc < 0) {
            if (e)
                *e = lost;
            break;
        }
        rc = x->kind == LOG_HISTORY ? take_history(r, x, p, e) : take_bytes(r, x, p, e);
        fetch_put(r->fetch, p);
    }
    if (rc == 0 && r->n > 0 && r->step > 0 && r->reached == r->step_start && !r->why[0]) {
        snprintf(text, sizeof text, _("nothing is kept yet of what came on timeline %" PRIu32),
                 replay_timeline(r));
        return end_with(r, text, e);
    }
    if (rc != 1)
        return rc;
    r->damaged = !anew;
    snprintf(text, sizeof text, _("what comes behind %s is not kept: there is a gap"),
             lsn_print(r->reached, lsn));
    return end_with(r, text, e);
}

/* --- what is asked for ----------------------------------------------------------------------------------- */
static int read_settings(struct replay *r, struct err *e)
{
    const char *at = source_spec_get(r->spec, "at"), *lsn = source_spec_get(r->spec, "lsn");
    const char *system = json_string_value(json_object_get(r->c->facts, "system_identifier")),
               *start = json_string_value(json_object_get(r->c->facts, "start_lsn"));
    r->point = source_spec_get(r->spec, "point");
    r->at_us = at ? strtoll(at, NULL, 10) : 0;
    r->segment_bytes = (uint64_t)json_integer_value(
        json_object_get(r->c->facts, "wal_segment_size"));
    r->reached = r->c->stop_lsn;
    timelines_begin(&r->way,
                    (uint32_t)json_integer_value(json_object_get(r->c->facts, "timeline")));
    r->system = system ? strtoull(system, NULL, 10) : 0;
    if (lsn && !lsn_parse(lsn, &r->lsn))
        return err_set(e, ERR_USAGE, _("\"%s\" is no position in the log (like 16/B374D848)"), lsn);
    if (r->segment_bytes < (1u << 20) || r->segment_bytes & (r->segment_bytes - 1) || !r->system ||
        !start || !lsn_parse(start, &r->start_lsn) ||
        json_integer_value(json_object_get(r->c->facts, "timeline")) <= 0)
        return err_set(e, ERR_DAMAGED, _("facts.json of the backup cannot be read"));
    if (r->point && (strlen(r->point) > WAL_POINT_BYTES - 1 || strpbrk(r->point, "'\\\n")))
        return err_set(e, ERR_USAGE, _("\"%s\" is no name of a restore point"), r->point);
    return 0;
}

static int ask(struct replay *r, struct err *e)
{
    struct msg_want_log w = { .kind = (char *)(uintptr_t)PG_ROOT,
                              .system = r->system,
                              .timeline = (uint32_t)json_integer_value(
                                  json_object_get(r->c->facts, "timeline")),
                              .position = seam_begin(r) };
    w.backup_ns = json_integer_value(json_object_get(r->c->facts, "stopped_at")) * 1000000000;
    struct fetch_log_result got = { 0 };
    int rc = fetch_log_list(r->fetch, &w, &got, e);
    r->v = got.pieces;
    r->n = got.n;
    r->source = got.source;
    r->why = got.why;
    r->known_ns = got.known_ns;
    return rc;
}

/* It lies in pg_wal until it is replayed. */
static int check_room(struct replay *r, struct err *e)
{
    struct statvfs v;
    uint64_t bytes = 2 * r->segment_bytes;
    for (size_t i = 0; i < r->n; i++)
        bytes += r->v[i].len;
    if (fstatvfs(r->c->data_fd, &v) < 0 || (uint64_t)v.f_bavail * v.f_frsize >= bytes)
        return 0;
    err_set(e, ERR_NOSPACE, _("the log takes %llu MiB in %s, and %llu MiB are free"),
            (unsigned long long)(bytes >> 20), r->c->data,
            (unsigned long long)((uint64_t)v.f_bavail * v.f_frsize >> 20));
    return err_next(e, _("make room, or restore to a larger disk; without the log: --no-logs"));
}

/* Before it the server is not consistent, and refuses to stop there. Older backups know the second only. */
static int64_t backup_end_us(const struct replay *r)
{
    int64_t us = json_integer_value(json_object_get(r->c->facts, "stopped_at_us"));
    return us ? us
              : (json_integer_value(json_object_get(r->c->facts, "stopped_at")) + 1) * 1000000 - 1;
}

/* Up to when it is known that all is there. */
static int64_t known_us_of(const struct replay *r)
{
    int64_t end_us = backup_end_us(r);
    return r->known_ns ? r->known_ns / 1000 : r->last.time_us > end_us ? r->last.time_us : end_us;
}

/* --- what came of it --------------------------------------------------------------------------------------- */
static void say(struct replay *r)
{
    struct report *rep = r->c->r->report;
    char lsn[LSN_TEXT_BYTES], when[40];
    if (r->pieces > 0 || r->salvaged_to)
        report_note(rep, NULL, 0, _("its log: from the backup's end to %s on timeline %" PRIu32),
                    lsn_print(r->reached, lsn), replay_timeline(r));
    if (r->last.end > r->c->stop_lsn)
        report_note(rep, NULL, 0, _("the last transaction in it ended at %s (%s)"),
                    time_text(r->last.time_us, when), lsn_print(r->last.end, lsn));
    if (r->barrier)
        report_problem(
            rep, NULL, 0,
            _("the log is replayed up to %s only: there a tablespace was made at %s, and to replay that would "
              "empty the folder there; take a newer backup"),
            lsn_print(r->barrier, lsn), r->barrier_place);
    if (r->salvaged_to)
        report_note(rep, NULL, 0,
                    _("of that, %llu KiB were not kept yet and are what survived in %s"),
                    (unsigned long long)((r->salvaged_to - r->salvaged_from) >> 10), r->survived);
    if (r->why[0] && !r->beyond && r->complete)
        report_note(rep, NULL, 0, _("the log that is kept does not go on: %s; what survived does"),
                    r->why);
    else if (r->why[0] && !r->beyond)
        report_problem(rep, NULL, 0, _("the log does not go on: %s"), r->why);
    if (r->lost)
        report_problem(rep, NULL, 0, "%s", r->lost);
    if (r->complete && !r->beyond)
        return;
    int64_t known_us = known_us_of(r);
    if (r->at_us && !r->beyond && known_us + JUST_NOW_US < r->at_us) {
        char known[40];
        report_problem(
            rep, NULL, 0,
            _("%s was asked for, and the log is known up to %s only: what was committed in "
              "between is not in the copies"),
            time_text(r->at_us, when), time_text(known_us, known));
    }
}

/* --- for programs -------------------------------------------------------------------------------------- */
static json_t *seconds(int64_t us)
{
    return json_real((double)us / 1000000.0);
}

static json_t *position(uint64_t at)
{
    char lsn[LSN_TEXT_BYTES];
    return json_string(at ? lsn_print(at, lsn) : "");
}

static json_t *salvaged(const struct replay *r)
{
    if (!r->survived)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:I, s:b, s:s}", "folder", r->survived, "from",
                     position(r->salvaged_from), "to", position(r->salvaged_to), "bytes",
                     (json_int_t)(r->salvaged_to - r->salvaged_from), "complete", r->complete,
                     "lost", r->lost ? r->lost : "");
}

static void tell(const struct replay *r)
{
    bool other = r->complete &&
                 r->why[0]; /* the kept log's end is not the end of what was replayed */
    int64_t known_us = other ? 0 : known_us_of(r);
    const char *gap = r->barrier                 ? r->barrier_place
                      : r->complete || r->beyond ? ""
                      : r->lost                  ? r->lost
                                                 : r->why;
    uint64_t at = r->barrier ? r->barrier : r->beyond ? r->last.end : r->reached;
    report_facts(r->c->r->report, "recovered",
                 json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:s, s:b, s:o}",
                           "kind", PG_ROOT, "system",
                           json_string_value(json_object_get(r->c->facts, "system_identifier")),
                           "timeline", (json_int_t)replay_timeline(r), "position",
                           position(at > r->c->stop_lsn ? at : r->c->stop_lsn), "last_commit",
                           position(r->last.end), "last_commit_at", seconds(r->last.time_us),
                           "backup_end_at", seconds(backup_end_us(r)), "known_at",
                           seconds(known_us), "expected_at", seconds(r->at_us), "beyond", r->beyond,
                           "gap", gap, "damaged", *gap && r->damaged, "salvaged", salvaged(r)));
}

static int set_target(struct replay *r, struct pg_replay *ret, struct err *e)
{
    char when[40], lsn[LSN_TEXT_BYTES];
    ret->expect_lsn = r->last.end > r->c->stop_lsn ? r->last.end : r->c->stop_lsn;
    if (r->at_us && r->at_us < backup_end_us(r))
        return err_set(e, ERR_ABSENT, _("the backup ends later than %s; take an earlier one"),
                       time_text(r->at_us, when));
    if (r->lsn && r->lsn < r->c->stop_lsn)
        return err_set(e, ERR_ABSENT,
                       _("the backup ends behind %s; take an earlier one: --snapshot ID"),
                       lsn_print(r->lsn, lsn));
    if (r->lsn && (r->barrier ? r->barrier : r->reached) < r->lsn)
        return err_set(e, ERR_ABSENT, _("the log is kept up to %s only"),
                       lsn_print(r->reached, lsn));
    if (r->point && (!r->beyond || r->barrier))
        return err_set(e, ERR_ABSENT, _("no restore point \"%s\" is in the log behind this backup"),
                       r->point);
    ret->timeline = replay_timeline(r);
    memcpy(ret->parameters, r->parameters, sizeof ret->parameters);
    /* Without something beyond it the server would wait for it, and not come up: then the end of the log is what was asked for. */
    if (!r->beyond)
        return 0;
    if (r->barrier) {
        snprintf(ret->lsn, sizeof ret->lsn, "%s", lsn_print(r->barrier, lsn));
        return 0;
    }
    if (r->at_us)
        snprintf(ret->time, sizeof ret->time, "%s", target_time(r->at_us, when));
    if (r->lsn)
        snprintf(ret->lsn, sizeof ret->lsn, "%s", lsn_print(r->lsn, lsn));
    if (r->point)
        snprintf(ret->point, sizeof ret->point, "%s", r->point);
    return 0;
}

/* --- the backup's own log --------------------------------------------------------------------------------- */
static void on_own_commit(void *ctx, const struct wal_commit *c)
{
    struct replay *r = ctx;
    if (!c->is_point)
        r->last = *c;
}

/* What was committed last before the backup ended: it may be all that comes back. What cannot be read tells nothing. */
static void read_own(struct replay *r)
{
    struct wal_reader reader = { .fn = on_own_commit, .ctx = r };
    uint8_t part[65536];
    char name[64];
    uint64_t at = r->start_lsn - r->start_lsn % WAL_PAGE_BYTES;
    wal_reader_begin(&reader, at);
    while (at < r->c->stop_lsn) {
        uint64_t within = at % r->segment_bytes, left = r->c->stop_lsn - at;
        size_t n = left < sizeof part ? (size_t)left : sizeof part;
        n = n < r->segment_bytes - within ? n : (size_t)(r->segment_bytes - within);
        replay_segment_name(r, at / r->segment_bytes, name);
        int fd = sys_openat(r->c->wal_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, NULL);
        ssize_t got = fd < 0 ? -1 : sys_pread(fd, part, n, within, NULL);
        sys_close_quiet(fd);
        if (got <= 0)
            return;
        wal_reader_feed(&reader, part, (size_t)got);
        at += (uint64_t)got;
    }
}

static int bring_kept(struct replay *r, struct err *e)
{
    bool kept = source_spec_get(r->spec, "logs") != NULL;
    int rc = kept ? ask(r, e) : end_with(r, "", e);
    report_phase(r->c->r->report, 2);
    if (rc == 0 && kept)
        rc = find_epoch(r, e);
    if (rc == 0 && kept)
        rc = find_way(r, e);
    if (rc == 0)
        rc = salvage_way(r, e);
    if (rc == 0)
        rc = check_room(r, e);
    return rc == 0 ? take_all(r, e) : rc;
}

int pg_bring_log(struct pg_cluster *c, struct pg_replay *ret, struct err *e)
{
    struct replay r = { .c = c, .spec = c->r->spec, .fetch = c->r->fetch, .fd = -1 };
    *ret = (struct pg_replay){ .expect_lsn = c->stop_lsn };
    ret->wanted = source_spec_get(c->r->spec, "logs") || source_spec_get(c->r->spec, "salvage");
    r.vault_id = *c->r->vault_id;
    int rc = read_settings(&r, e);
    if (rc == 0)
        read_own(&r);
    if (rc == 0)
        rc = ret->wanted ? bring_kept(&r, e) : end_with(&r, "", e);
    if (rc == 0 && !r.stop)
        rc = salvage_log(&r, e);
    if (rc == 0 && ret->wanted)
        rc = set_target(&r, ret, e);
    if (rc == 0 && ret->wanted)
        say(&r);
    if (rc == 0)
        tell(&r);
    sys_close_quiet(r.fd);
    free(r.v);
    free(r.source);
    free(r.why);
    free(r.lost);
    return rc < 0 ? err_wrap(e, _("its log")) : 0;
}
