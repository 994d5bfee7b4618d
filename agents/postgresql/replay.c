/* replay.c - see replay.h. */
#include "agents/postgresql/replay.h"
#include "agents/fetch_remote.h"
#include "agents/log_frames.h"
#include "agents/postgresql/wal.h"
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
#include <unistd.h>

#define JUST_NOW_US \
    INT64_C(5000000) /* what is committed now needs so long until the copies have it */
#define AHEAD 12u
#define SLACK_US \
    INT64_C(600000000) /* what was had so much later is still looked at: clocks, and what waited */

struct replay {
    struct pg_cluster *c;
    const struct source_spec *spec;
    struct fetch *fetch;
    struct id vault_id;
    struct log_piece *v;
    size_t n;
    char *source, *why;
    uint64_t segment_bytes;
    uint32_t timeline; /* where we are, and how far */
    uint64_t reached, system;
    int fd; /* the segment that is being written; -1 */
    uint64_t fd_segment;
    uint32_t fd_timeline;
    struct wal_reader reader;
    bool reading;
    int64_t at_us; /* 0: not asked for */
    uint64_t lsn;
    const char *point;
    /* what was found */
    struct wal_commit last; /* that is not beyond the end that was asked for; end 0: none */
    bool beyond;            /* there is one beyond it: recovery will stop before */
    bool stop;              /* more is not needed */
    uint64_t pieces, bytes;
    int64_t known_ns;
};

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
    bool over = (r->at_us && c->time_us > r->at_us && !c->is_point) || (r->lsn && c->end > r->lsn);
    if (r->point && c->is_point && strcmp(c->point, r->point) == 0 && !r->stop) {
        r->last = *c;
        r->beyond = r->stop = true;
    }
    if (over || r->beyond)
        r->beyond = true;
    else if (!c->is_point)
        r->last = *c;
    r->stop |= over;
}

/* --- files -------------------------------------------------------------------------------------------- */
static int give(struct replay *r, const char *name, struct err *e)
{
    struct stat *o = &r->c->owner;
    if (geteuid() != 0)
        return 0;
    return fchownat(r->c->data_fd, name, o->st_uid, o->st_gid, AT_SYMLINK_NOFOLLOW) < 0
               ? err_sys(e, "%s", name)
               : 0;
}

static int open_segment(struct replay *r, uint64_t segment, struct err *e)
{
    char name[64];
    uint64_t per = UINT64_C(0x100000000) / r->segment_bytes;
    if (r->fd >= 0 && r->fd_segment == segment && r->fd_timeline == r->timeline)
        return 0;
    sys_close_quiet(r->fd);
    snprintf(name, sizeof name, "pg_wal/%08" PRIX32 "%08" PRIX64 "%08" PRIX64, r->timeline,
             segment / per, segment % per);
    r->fd = sys_openat(r->c->data_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600, e);
    r->fd_segment = segment;
    r->fd_timeline = r->timeline;
    if (r->fd < 0)
        return err_wrap(e, "%s", name);
    if (ftruncate(r->fd, (off_t)r->segment_bytes) <
        0) /* what is not written is zeros: the log ends there */
        return err_sys(e, "%s", name);
    return give(r, name, e);
}

static int write_bytes(struct replay *r, uint64_t at, const uint8_t *p, size_t n, struct err *e)
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
static int get_piece(struct replay *r, size_t i, struct piece **ret, struct err *e)
{
    struct id id;
    for (size_t k = i; k < r->n && k < i + AHEAD; k++) {
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

/* Where, by its history, a timeline left ours; false: it does not come from it. */
static bool left_at(const char *history, size_t n, uint32_t timeline, uint64_t *ret)
{
    char line[256];
    for (size_t at = 0; at < n;) {
        size_t end = at, len;
        unsigned tli = 0;
        char lsn[LSN_TEXT_BYTES + 1];
        while (end < n && history[end] != '\n')
            end++;
        len = end - at < sizeof line - 1 ? end - at : sizeof line - 1;
        memcpy(line, history + at, len);
        line[len] = '\0';
        if (sscanf(line, " %u %24[0-9A-Fa-f/]", &tli, lsn) == 2 && tli == timeline)
            return lsn_parse(lsn, ret);
        at = end + 1;
    }
    return false;
}

/* 1: it is not of ours. */
static int take_history(struct replay *r, const struct log_piece *x, const struct piece *p,
                        struct err *e)
{
    char name[64];
    uint64_t left = 0;
    if (x->timeline <= r->timeline)
        return 0;
    if (!left_at((const char *)piece_bytes(p), piece_len(p), r->timeline, &left) ||
        left > r->reached)
        return 1;
    snprintf(name, sizeof name, "pg_wal/%08" PRIX32 ".history", x->timeline);
    int rc = sys_write_file(r->c->data_fd, name, piece_bytes(p), piece_len(p), 0600, e);
    if (rc == 0)
        rc = give(r, name, e);
    r->timeline = x->timeline;
    r->reached = x->start;
    r->reading = false;
    return rc;
}

static int take_bytes(struct replay *r, const struct log_piece *x, const struct piece *p,
                      struct err *e)
{
    const uint8_t *bytes = piece_bytes(p);
    size_t n = piece_len(p);
    if (x->timeline != r->timeline || x->end <= r->reached)
        return 0;
    if (x->start > r->reached)
        return 1;
    /* The backup's own files have what lies before, and it is the same; the reader begins at a page. */
    int rc = write_bytes(r, x->start, bytes, n, e);
    uint64_t from = r->reading ? r->reader.at : r->reached - r->reached % WAL_PAGE_BYTES;
    if (!r->reading && from < x->start)
        from = x->start + (WAL_PAGE_BYTES - x->start % WAL_PAGE_BYTES) % WAL_PAGE_BYTES;
    if (!r->reading && from < x->end) {
        r->reader.fn = on_commit;
        r->reader.ctx = r;
        wal_reader_begin(&r->reader, from);
        r->reading = true;
    }
    if (r->reading && from < x->end)
        wal_reader_feed(&r->reader, bytes + (from - x->start), (size_t)(x->end - from));
    r->reached = x->end;
    r->pieces++;
    r->bytes += n;
    report_phase(r->c->r->report, 2);
    r->c->r->report->n.bytes += n;
    return rc;
}

/* Why the log ends here. */
static int end_with(struct replay *r, const char *why, struct err *e)
{
    free(r->why);
    r->why = strdup(why);
    return r->why ? 0 : no_memory(e);
}

/* Piece by piece as long as each goes on from the one before; r->why says what ends it. */
static int take_all(struct replay *r, struct err *e)
{
    char text[2 * ERR_TEXT_BYTES + 8], lsn[LSN_TEXT_BYTES];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->n && !r->stop; i++) {
        const struct log_piece *x = &r->v[i];
        struct piece *p = NULL;
        bool breaks = i > 0 && x->epoch != r->v[i - 1].epoch;
        if (breaks || x->system != r->system) {
            rc = 1;
            break;
        }
        if (x->kind == LOG_BYTES && x->timeline == r->timeline && x->end <= r->reached)
            continue;
        if (r->at_us && x->time_ns / 1000 > r->at_us + SLACK_US && r->beyond)
            break;
        struct err lost = ERR_INIT;
        rc = get_piece(r, i, &p, &lost);
        if (rc == -ERR_DAMAGED) { /* what comes before is whole, and is more than the backup has */
            snprintf(text, sizeof text, "%s: %s", lost.what, lost.why);
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
    if (rc != 1)
        return rc;
    snprintf(text, sizeof text, _("what comes behind %s is not kept: there is a gap"),
             lsn_print(r->reached, lsn));
    return end_with(r, text, e);
}

/* --- what is asked for ----------------------------------------------------------------------------------- */
static int read_settings(struct replay *r, struct err *e)
{
    const char *at = source_spec_get(r->spec, "at"), *lsn = source_spec_get(r->spec, "lsn");
    const char *system = json_string_value(json_object_get(r->c->facts, "system_identifier"));
    r->point = source_spec_get(r->spec, "point");
    r->at_us = at ? strtoll(at, NULL, 10) : 0;
    r->segment_bytes = (uint64_t)json_integer_value(
        json_object_get(r->c->facts, "wal_segment_size"));
    r->timeline = (uint32_t)json_integer_value(json_object_get(r->c->facts, "timeline"));
    r->reached = r->c->stop_lsn;
    r->system = system ? strtoull(system, NULL, 10) : 0;
    if (lsn && !lsn_parse(lsn, &r->lsn))
        return err_set(e, ERR_USAGE, _("\"%s\" is no position in the log (like 16/B374D848)"), lsn);
    if (r->segment_bytes < (1u << 20) || r->segment_bytes & (r->segment_bytes - 1) ||
        !r->timeline || !r->system)
        return err_set(e, ERR_DAMAGED, _("facts.json of the backup cannot be read"));
    if (r->point && (strlen(r->point) > WAL_POINT_BYTES - 1 || strpbrk(r->point, "'\\\n")))
        return err_set(e, ERR_USAGE, _("\"%s\" is no name of a restore point"), r->point);
    return 0;
}

static int ask(struct replay *r, struct err *e)
{
    struct msg_want_log w = { .kind = (char *)(uintptr_t)PG_ROOT,
                              .system = r->system,
                              .timeline = r->timeline,
                              .position = r->c->stop_lsn,
                              .until_ns = r->at_us ? (r->at_us + SLACK_US) * 1000 : 0 };
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

/* --- what came of it --------------------------------------------------------------------------------------- */
static void say(struct replay *r)
{
    struct report *rep = r->c->r->report;
    char lsn[LSN_TEXT_BYTES], when[40];
    if (r->pieces > 0)
        report_note(rep, NULL, 0, _("its log: from the backup's end to %s on timeline %" PRIu32),
                    lsn_print(r->reached, lsn), r->timeline);
    if (r->last.end)
        report_note(rep, NULL, 0, _("the last transaction in it ended at %s (%s)"),
                    time_text(r->last.time_us, when), lsn_print(r->last.end, lsn));
    if (r->why[0] && !r->beyond)
        report_problem(rep, NULL, 0, _("the log does not go on: %s"), r->why);
    if (r->at_us && !r->beyond && r->known_ns / 1000 + JUST_NOW_US < r->at_us) {
        char known[40];
        report_problem(
            rep, NULL, 0,
            _("%s was asked for, and the log is known up to %s only: what was committed in "
              "between is not in the copies"),
            time_text(r->at_us, when), time_text(r->known_ns / 1000, known));
    }
}

static int set_target(struct replay *r, struct pg_replay *ret, struct err *e)
{
    char when[40], lsn[LSN_TEXT_BYTES];
    ret->expect_lsn = r->last.end > r->c->stop_lsn ? r->last.end : r->c->stop_lsn;
    if (r->at_us &&
        r->at_us / 1000000 < json_integer_value(json_object_get(r->c->facts, "stopped_at")))
        return err_set(e, ERR_ABSENT, _("the backup ends later than %s; take an earlier one"),
                       time_text(r->at_us, when));
    if (r->lsn && r->lsn < r->c->stop_lsn)
        return err_set(e, ERR_ABSENT,
                       _("the backup ends behind %s; take an earlier one: --snapshot ID"),
                       lsn_print(r->lsn, lsn));
    if (r->lsn && r->reached < r->lsn)
        return err_set(e, ERR_ABSENT, _("the log is kept up to %s only"),
                       lsn_print(r->reached, lsn));
    if (r->point && !r->beyond)
        return err_set(e, ERR_ABSENT, _("no restore point \"%s\" is in the log behind this backup"),
                       r->point);
    /* Without a transaction beyond it the server would wait for one: then the end of the log is what was asked for. */
    if (r->at_us && r->beyond)
        snprintf(ret->target, sizeof ret->target, "recovery_target_time = '%s'\n",
                 target_time(r->at_us, when));
    else if (r->lsn)
        snprintf(ret->target, sizeof ret->target, "recovery_target_lsn = '%s'\n",
                 lsn_print(r->lsn, lsn));
    else if (r->point)
        snprintf(ret->target, sizeof ret->target, "recovery_target_name = '%s'\n", r->point);
    if (ret->target[0])
        strcat(ret->target, "recovery_target_action = 'promote'\n");
    return 0;
}

int pg_bring_log(struct pg_cluster *c, struct pg_replay *ret, struct err *e)
{
    struct replay r = { .c = c, .spec = c->r->spec, .fetch = c->r->fetch, .fd = -1 };
    *ret = (struct pg_replay){ .expect_lsn = c->stop_lsn };
    if (!source_spec_get(c->r->spec, "logs"))
        return 0;
    ret->wanted = true;
    r.vault_id = *c->r->vault_id;
    int rc = read_settings(&r, e);
    if (rc == 0)
        rc = ask(&r, e);
    if (rc == 0)
        rc = take_all(&r, e);
    if (rc == 0)
        rc = set_target(&r, ret, e);
    if (rc == 0)
        say(&r);
    sys_close_quiet(r.fd);
    free(r.v);
    free(r.source);
    free(r.why);
    return rc < 0 ? err_wrap(e, _("its log")) : 0;
}
