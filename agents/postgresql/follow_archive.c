/* follow_archive.c - a server's log by its archive_command: takes segment by segment from a folder (archive.h), in their order and over changes
 * of timeline, and removes what is durable in the copies. The server is asked how far it is; what has come is taken without it, too. */
#include "agents/log_sink.h"
#include "agents/postgresql/archive.h"
#include "agents/postgresql/archive_server.h"
#include "agents/postgresql/archive_taken.h"
#include "agents/postgresql/slot.h"
#include "agents/postgresql/timelines.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define PIECE_BYTES (1u << 20)
#define LOOK_MS 500
#define GAP_MS \
    10000 /* what comes later is there, and what comes next is not: so long it may yet come */
#define BEING_WRITTEN_S 60 /* a file that was touched so lately may be unfinished */
#define MAX_NAMED 1024     /* files that were named already */
#define MUCH_BYTES (UINT64_C(10) << 30)

struct queued { /* taken, and to be removed when it is durable */
    char name[48];
    struct stat st;
    uint64_t seq; /* of its last piece */
    uint32_t
        timeline; /* of a history: it stays until the first segment of its timeline is durable; else 0 */
    uint64_t until;
};
struct follow {
    const struct source_spec *spec;
    const struct source_env *env;
    struct log_sink *k;
    const struct log_piece *last;
    const char *place;
    int folder;
    struct archive_server server;
    /* the stream */
    uint64_t system, segment_bytes, at;
    uint32_t timeline;
    bool begun, seam; /* seam: nothing was compared yet with what is kept */
    char anew[ERR_TEXT_BYTES];
    char *history; /* of `timeline`, where it is known; owned */
    /* the folder */
    struct archive_list list;
    struct archive_taken *taken;
    struct sha256 *sha;
    struct queued *queue;
    size_t n_queue, cap_queue;
    struct id named[MAX_NAMED];
    size_t n_named;
    uint64_t gap_ms;
    size_t n_older; /* files from before its log was taken from there */
    char older[2][48];
    bool older_told;
    uint8_t *buf;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int note(struct follow *f, bool problem, const char *text, struct err *e)
{
    return f->env->note(f->env->ctx, problem, "", 0, text, e);
}

/* Once for each file and reason. */
static int name_file(struct follow *f, const struct archive_file *x, const char *why, struct err *e)
{
    char text[ERR_TEXT_BYTES];
    struct id sum;
    snprintf(text, sizeof text, _("%s/%s is not taken, and stays: %s"), f->place, x->name, why);
    sha256_of(text, strlen(text), &sum);
    for (size_t i = 0; i < f->n_named; i++)
        if (id_eq(&f->named[i], &sum))
            return 0;
    if (f->n_named == MAX_NAMED)
        return err_set(e, ERR_LIMIT, _("more than %u files in %s are nothing that could be taken"),
                       MAX_NAMED, f->place);
    f->named[f->n_named++] = sum;
    return note(f, true, text, e);
}

static uint64_t segment_start(const struct follow *f, uint64_t lsn)
{
    return lsn - lsn % f->segment_bytes;
}

/* --- how far the server is ---------------------------------------------------------------------- */
static int tell_head(struct follow *f, struct err *e)
{
    int rc = archive_server_ask(&f->server, e);
    if (rc < 0 || !f->server.sql || !f->begun)
        return rc;
    /* What it has written since is not what is kept. */
    if (f->server.timeline < f->timeline ||
        (f->server.timeline == f->timeline && f->server.head < f->at && !f->server.standby))
        return 0;
    bool more = f->server.need > f->at || f->server.timeline != f->timeline;
    return log_sink_head(f->k, more ? f->server.timeline : f->timeline,
                         more ? f->server.need : f->at, e);
}

/* --- what has been taken ------------------------------------------------------------------------ */
static int enqueue(struct follow *f, const struct archive_file *x, uint64_t seq, uint64_t until,
                   struct err *e)
{
    if (f->n_queue == f->cap_queue) {
        size_t cap = f->cap_queue ? 2 * f->cap_queue : 64;
        struct queued *grown = realloc(f->queue, cap * sizeof *grown);
        if (!grown)
            return no_memory(e);
        f->queue = grown;
        f->cap_queue = cap;
    }
    struct queued *q = &f->queue[f->n_queue++];
    *q = (struct queued){ .st = x->st, .seq = seq, .until = until };
    q->timeline = until ? x->timeline : 0;
    snprintf(q->name, sizeof q->name, "%.47s", x->name);
    return 0;
}

static bool is_queued(const struct follow *f, const struct archive_file *x)
{
    for (size_t i = f->n_queue; i-- > 0;)
        if (f->queue[i].st.st_ino == x->st.st_ino && strcmp(f->queue[i].name, x->name) == 0)
            return true;
    return false;
}

/* Only what it was when it was read. */
static int remove_file(struct follow *f, const char *name, const struct stat *was, struct err *e)
{
    struct stat now;
    struct err why = ERR_INIT;
    if (fstatat(f->folder, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s/%s", f->place, name);
    if (now.st_ino != was->st_ino || now.st_size != was->st_size ||
        now.st_mtim.tv_sec != was->st_mtim.tv_sec || now.st_mtim.tv_nsec != was->st_mtim.tv_nsec)
        return 0;
    int rc = sys_unlinkat(f->folder, name, 0, &why);
    if (rc < 0 && rc != -ERR_ABSENT) {
        *e = why;
        return err_wrap(e, "%s", f->place);
    }
    return 0;
}

/* How far the copies have it. */
static void safe_end(const struct follow *f, uint32_t *ret_timeline, uint64_t *ret_at)
{
    if (log_sink_durable(f->k, ret_timeline, ret_at))
        return;
    *ret_timeline = f->last->seq ? f->last->timeline : 0;
    *ret_at = f->last->end;
}

static bool is_reached(const struct follow *f, uint32_t timeline, uint64_t at)
{
    uint32_t t;
    uint64_t end;
    safe_end(f, &t, &end);
    return t > timeline || (t == timeline && end >= at);
}

static int remove_durable(struct follow *f, struct err *e)
{
    uint64_t seq = log_sink_durable_seq(f->k);
    size_t kept = 0;
    int rc = 0;
    if (f->n_queue == 0 || archive_held(f->env->state_dir, f->place))
        return 0;
    for (size_t i = 0; i < f->n_queue; i++) {
        struct queued *q = &f->queue[i];
        bool goes = rc == 0 && q->seq <= seq &&
                    (q->timeline == 0 || is_reached(f, q->timeline, q->until));
        if (goes)
            rc = remove_file(f, q->name, &q->st, e);
        else
            f->queue[kept++] = *q;
    }
    f->n_queue = kept;
    return rc;
}

/* What is no part of the stream and whose time is over: that a backup was made; the last, unfinished segment of a timeline whose rest the
 * next one's first segment has. */
static int remove_idle(struct follow *f, const struct archive_file *x, struct err *e)
{
    uint64_t start = archive_start(x, f->segment_bytes), left;
    if (start == UINT64_MAX || !is_reached(f, x->timeline, start + f->segment_bytes))
        return 0;
    if (x->kind == ARCHIVE_PARTIAL) {
        bool known = f->history && history_left(f->history, strlen(f->history), x->timeline, &left);
        if (known && !is_reached(f, f->timeline, start + f->segment_bytes))
            return 0;
        if (!known || segment_start(f, left) != start)
            return name_file(
                f, x,
                _("it is the end of a timeline, and not the one that what is kept comes from"), e);
    }
    return remove_file(f, x->name, &x->st, e);
}

static int tidy(struct follow *f, struct err *e)
{
    int rc = remove_durable(f, e);
    bool held = archive_held(f->env->state_dir, f->place);
    for (size_t i = 0; rc == 0 && !held && f->begun && i < f->list.n; i++) {
        const struct archive_file *x = &f->list.v[i];
        if (x->kind == ARCHIVE_LABEL || x->kind == ARCHIVE_PARTIAL)
            rc = remove_idle(f, x, e);
    }
    return rc;
}

/* --- pieces ------------------------------------------------------------------------------------- */
static int wait_room(struct follow *f, struct err *e)
{
    bool readable;
    int rc = 0;
    while (rc == 0 && log_sink_full(f->k)) {
        rc = log_sink_wait(f->k, -1, LOOK_MS, &readable, e);
        if (rc == 0)
            rc = tell_head(f, e);
    }
    return rc;
}

static void begin_sum(struct follow *f)
{
    struct id owner;
    log_sink_owner(f->k, &owner);
    sha256_reset(f->sha);
    sha256_update(f->sha, &owner, sizeof owner);
}

/* [f->at, start + limit) of a file that begins at start, and whose sum is noted before its last piece is sent. */
static int send_file(struct follow *f, int fd, const struct archive_file *x, uint64_t start,
                     uint64_t limit, struct err *e)
{
    int rc = 0;
    begin_sum(f);
    for (uint64_t off = 0; rc == 0 && off < limit;) {
        size_t n = limit - off < PIECE_BYTES ? (size_t)(limit - off) : PIECE_BYTES;
        ssize_t got = sys_pread(fd, f->buf, n, off, e);
        if (got != (ssize_t)n)
            return got < 0 ? (int)got : err_set(e, ERR_DAMAGED, _("it is cut off"));
        sha256_update(f->sha, f->buf, n);
        off += n;
        if (off == limit && x->kind == ARCHIVE_SEGMENT) {
            struct id sum;
            sha256_final(f->sha, &sum);
            rc = archive_taken_add(f->taken, x->name, log_sink_seq(f->k) + 1, &sum, e);
        }
        size_t skip = f->at > start + off - n ? (size_t)(f->at - (start + off - n)) : 0;
        if (rc == 0 && skip < n)
            rc = wait_room(f, e);
        if (rc == 0 && skip < n)
            rc = log_sink_put(f->k, LOG_BYTES, f->timeline, f->at, f->buf + skip, n - skip, e);
        if (rc == 0 && skip < n)
            f->at = start + off;
    }
    return rc;
}

static const struct archive_file *find(const struct follow *f, enum archive_kind kind,
                                       uint32_t timeline, uint64_t start)
{
    for (size_t i = 0; i < f->list.n; i++) {
        const struct archive_file *x = &f->list.v[i];
        if (x->kind == kind && x->timeline == timeline &&
            (kind == ARCHIVE_HISTORY || archive_start(x, f->segment_bytes) == start))
            return x;
    }
    return NULL;
}

/* --- timelines ---------------------------------------------------------------------------------- */
static int read_history(struct follow *f, const struct archive_file *x, char **ret, struct err *e)
{
    uint8_t *text = NULL;
    size_t n = 0;
    int rc = sys_read_plain(f->folder, x->name, ARCHIVE_HISTORY_BYTES, &text, &n, e);
    if (rc == 0 && (n == 0 || memchr(text, '\0', n)))
        rc = err_set(e, ERR_DAMAGED, _("it is no history of a timeline"));
    if (rc < 0) {
        free(text);
        return err_wrap(e, "%s", x->name);
    }
    *ret = (char *)text;
    return 0;
}

/* Takes text. x: the file that it is, or NULL (part of a later one's). */
static int put_history(struct follow *f, const struct archive_file *x, uint32_t timeline,
                       uint64_t at, char *text, struct err *e)
{
    struct id sum;
    size_t n = strlen(text);
    begin_sum(f);
    sha256_update(f->sha, text, n);
    sha256_final(f->sha, &sum);
    free(f->history);
    f->history = text;
    int rc = wait_room(f, e);
    if (rc == 0 && x)
        rc = archive_taken_add(f->taken, x->name, log_sink_seq(f->k) + 1, &sum, e);
    if (rc == 0)
        rc = log_sink_put(f->k, LOG_HISTORY, timeline, at, text, n, e);
    if (rc == 0 && x)
        rc = enqueue(f, x, log_sink_seq(f->k), at + f->segment_bytes, e);
    return rc;
}

/* The history of the timeline that went on from ours is the beginning of those that came from it. */
static void cut_history(char *text, uint32_t timeline)
{
    for (char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strtoul(line, NULL, 10) == timeline) {
            *line = '\0';
            return;
        }
    }
}

/* An epoch of its own, from this segment on. */
static int begin_at(struct follow *f, const struct archive_file *x, const char *why, struct err *e)
{
    char text[ERR_TEXT_BYTES], end[LSN_TEXT_BYTES], start[LSN_TEXT_BYTES], *history = NULL;
    const struct archive_file *h = find(f, ARCHIVE_HISTORY, x->timeline, 0);
    uint64_t was = f->begun ? f->at : f->last->end;
    int rc = 0;
    if (why) {
        snprintf(
            text, sizeof text,
            _("the log that is kept ends at %s and does not go on: %s; it begins anew at %s: to "
              "restore what comes now, a backup is needed"),
            lsn_print(was, end), why, lsn_print(archive_start(x, f->segment_bytes), start));
        rc = note(f, true, text, e);
    }
    log_sink_break(f->k);
    f->timeline = x->timeline;
    f->at = archive_start(x, f->segment_bytes);
    f->begun = true;
    f->seam = false;
    f->gap_ms = 0;
    free(f->history);
    f->history = NULL;
    if (rc == 0 && h && x->timeline > 1)
        rc = read_history(f, h, &history, e);
    return history ? put_history(f, h, x->timeline, f->at, history, e) : rc;
}

/* 1: gone over to the timeline that left ours where we are. */
static int switch_timeline(struct follow *f, struct err *e)
{
    for (size_t i = 0; i < f->list.n && f->list.v[i].kind <= ARCHIVE_HISTORY; i++) {
        const struct archive_file *x = &f->list.v[i], *partial;
        char *text = NULL;
        uint64_t left = 0;
        uint32_t next = 0;
        if (x->kind != ARCHIVE_HISTORY || x->timeline <= f->timeline)
            continue;
        int rc = read_history(f, x, &text, e);
        if (rc < 0)
            return rc;
        if (!history_next(text, f->timeline, x->timeline, &left, &next) ||
            segment_start(f, left) > f->at) {
            free(text);
            continue;
        }
        /* What was committed last on the one that was left, without waiting for the first segment of the next one. */
        partial = find(f, ARCHIVE_PARTIAL, f->timeline, segment_start(f, left));
        if (partial && left > f->at &&
            archive_check(f->folder, partial, f->system, NULL, NULL, NULL) == 0) {
            int fd = sys_openat(f->folder, partial->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
            rc = fd < 0 ? fd
                        : send_file(f, fd, partial, segment_start(f, left),
                                    left - segment_start(f, left), e);
            sys_close_quiet(fd);
        }
        f->timeline = next;
        f->at = segment_start(f, left);
        f->seam = false;
        if (next != x->timeline)
            cut_history(text, next);
        if (rc < 0) {
            free(text);
            return rc;
        }
        rc = put_history(f, next == x->timeline ? x : NULL, next, f->at, text, e);
        return rc < 0 ? rc : 1;
    }
    return 0;
}

/* --- segments ----------------------------------------------------------------------------------- */
/* Does what is kept end with the same bytes as this file has there? 1: it does, or it cannot be told. */
static int check_seam(struct follow *f, int fd, uint64_t start, struct err *e)
{
    const struct log_piece *l = f->last;
    size_t n = l->len < LOG_MARKED ? l->len : LOG_MARKED;
    uint8_t mark[LOG_MARK_BYTES];
    if (!f->seam || l->kind != LOG_BYTES || f->at != l->end || l->end < start + n ||
        bytes_all_zero(l->mark, sizeof l->mark))
        return 1;
    ssize_t got = sys_pread(fd, f->buf, n, l->end - n - start, e);
    if (got < 0)
        return (int)got;
    log_piece_mark(f->buf, n, mark);
    return got == (ssize_t)n && memcmp(mark, l->mark, sizeof mark) == 0;
}

/* A file that an archive_command of another kind is still writing. */
static bool is_fresh(const struct archive_file *x)
{
    int64_t age_s = sys_realtime_s() - x->st.st_mtim.tv_sec;
    return age_s >= 0 && age_s < BEING_WRITTEN_S;
}

static int cannot_take(struct follow *f, struct err *e)
{
    err_wrap(e, "%s", f->place);
    return err_next(
        e,
        _("the log cannot go on without it: put it right, from another archive or the server's "
          "pg_wal; if it is lost, move it away: then the log begins anew behind it, and a backup is needed"));
}

/* 1: taken; 0: it is not ready. */
static int take_segment(struct follow *f, const struct archive_file *x, struct err *e)
{
    uint64_t start = archive_start(x, f->segment_bytes), bytes = 0;
    struct err why = ERR_INIT;
    int rc = archive_check(f->folder, x, f->system, NULL, &bytes, &why);
    if (rc == 0 && bytes != f->segment_bytes)
        rc = err_set(&why, ERR_DAMAGED, _("%s has segments of another size than the server"),
                     x->name);
    if (rc == -ERR_DAMAGED && is_fresh(x))
        return 0;
    if (rc < 0) {
        *e = why;
        return rc == -ERR_DAMAGED || rc == -ERR_CONFIG ? cannot_take(f, e) : rc;
    }
    int fd = sys_openat(f->folder, x->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    rc = fd < 0 ? fd : check_seam(f, fd, start, e);
    if (rc == 0)
        rc = begin_at(f, x, _("the server was put back to an earlier state"), e);
    f->seam = false;
    if (rc >= 0)
        rc = send_file(f, fd, x, start, f->segment_bytes, e);
    sys_close_quiet(fd);
    if (rc == 0)
        rc = enqueue(f, x, log_sink_seq(f->k), 0, e);
    return rc < 0 ? err_wrap(e, "%s/%s", f->place, x->name) : 1;
}

/* Is it nothing that comes yet? Of another timeline than ours: see settle_one. */
static bool is_behind(const struct follow *f, const struct archive_file *x)
{
    return x->timeline < f->timeline ||
           (x->timeline == f->timeline &&
            (x->kind == ARCHIVE_HISTORY ||
             archive_start(x, f->segment_bytes) + f->segment_bytes <= f->at));
}

static int sum_file(struct follow *f, const struct archive_file *x, struct id *ret, struct err *e)
{
    ssize_t n = 1;
    int fd = sys_openat(f->folder, x->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    begin_sum(f);
    for (uint64_t at = 0; fd >= 0 && n > 0; at += n > 0 ? (uint64_t)n : 0) {
        n = sys_pread(fd, f->buf, PIECE_BYTES, at, e);
        if (n > 0)
            sha256_update(f->sha, f->buf, (size_t)n);
    }
    sha256_final(f->sha, ret);
    sys_close_quiet(fd);
    return fd < 0 ? fd : n < 0 ? (int)n : 0;
}

/* Behind the first segment of a timeline, as far as its history is known. */
static uint64_t first_end(const struct follow *f, uint32_t timeline)
{
    uint64_t began = 0;
    if (timeline == f->timeline && f->history)
        history_last(f->history, &began);
    return segment_start(f, began) + f->segment_bytes;
}

/* It was archived before we had the last of what is kept, and was not taken from here: a slot was followed then. */
static bool is_older(const struct follow *f, const struct archive_file *x)
{
    return x->kind == ARCHIVE_SEGMENT && !archive_taken_knows(f->taken, x->name) &&
           (int64_t)x->st.st_mtim.tv_sec * 1000000000 + x->st.st_mtim.tv_nsec <= f->last->time_ns;
}

static int tell_older(struct follow *f, struct err *e)
{
    char text[ERR_TEXT_BYTES];
    if (f->n_older == 0 || f->older_told)
        return 0;
    f->older_told = true;
    snprintf(
        text, sizeof text,
        _("%zu files in %s are from before its log was taken from there (%s to %s): it cannot be told "
          "whether the copies have them; they stay: move them away"),
        f->n_older, f->place, f->older[0], f->older[f->n_older > 1]);
    return note(f, false, text, e);
}

/* What lies before the end of what is kept: the same that was taken, and could not be removed yet or was archived again; or it shows that
 * the server was put back. 1: it is where the log begins anew. */
static int settle_one(struct follow *f, const struct archive_file *x, struct err *e)
{
    struct id sum;
    uint64_t seq;
    if (is_older(f, x)) {
        snprintf(f->older[f->n_older++ > 0], sizeof f->older[0], "%.47s", x->name);
        return 0;
    }
    int rc = sum_file(f, x, &sum, e);
    if (rc < 0)
        return rc == -ERR_ABSENT ? (err_clear(e), 0) : err_wrap(e, "%s/%s", f->place, x->name);
    if (archive_taken_has(f->taken, x->name, &sum, &seq))
        return enqueue(f, x, seq, x->kind == ARCHIVE_HISTORY ? first_end(f, x->timeline) : 0, e);
    bool is_log = x->kind == ARCHIVE_SEGMENT &&
                  archive_check(f->folder, x, f->system, NULL, NULL, NULL) == 0;
    if (is_log && (x->timeline == f->timeline || x->timeline == f->server.timeline))
        return 1;
    if (is_log || x->kind == ARCHIVE_HISTORY)
        return name_file(f, x, _("it is of a timeline that was left, and nothing of it comes next"),
                         e);
    return is_fresh(x)
               ? 0
               : name_file(f, x, _("it is no segment of this server's log that comes next"), e);
}

static int settle_behind(struct follow *f, struct err *e)
{
    f->n_older = 0;
    for (size_t i = 0; i < f->list.n; i++) {
        const struct archive_file *x = &f->list.v[i];
        bool log = x->kind == ARCHIVE_SEGMENT || x->kind == ARCHIVE_HISTORY;
        if (!log || !is_behind(f, x) || is_queued(f, x))
            continue;
        int rc = settle_one(f, x, e);
        if (rc == 1)
            rc = begin_at(f, x, _("the server was put back to an earlier state"), e);
        if (rc < 0)
            return rc;
    }
    return tell_older(f, e);
}

/* Compressed by another archive_command, or renamed. */
static int find_disguised(struct follow *f, const char *segment, struct err *e)
{
    for (size_t i = 0; i < f->list.n; i++) {
        const struct archive_file *x = &f->list.v[i];
        if (x->kind == ARCHIVE_FOREIGN && strncmp(x->name, segment, WAL_NAME_DIGITS) == 0) {
            err_set(e, ERR_CONFIG, _("%s comes next, and is there as %s only: it is not read"),
                    segment, x->name);
            return cannot_take(f, e);
        }
    }
    return 0;
}

/* The first that is not behind us. */
static const struct archive_file *first_ahead(const struct follow *f)
{
    for (size_t i = 0; i < f->list.n; i++) {
        const struct archive_file *x = &f->list.v[i];
        if (x->kind != ARCHIVE_SEGMENT || archive_start(x, f->segment_bytes) == UINT64_MAX ||
            is_queued(f, x) || (f->begun && is_behind(f, x)))
            continue;
        if (archive_check(f->folder, x, f->system, NULL, NULL, NULL) == 0)
            return x;
    }
    return NULL;
}

/* What will never be taken is named before it is its turn. */
static int name_unfit(struct follow *f, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < f->list.n; i++) {
        const struct archive_file *x = &f->list.v[i];
        struct err why = ERR_INIT;
        if (x->kind != ARCHIVE_SEGMENT || is_queued(f, x) || is_fresh(x) ||
            (f->begun && is_behind(f, x)))
            continue;
        if (archive_check(f->folder, x, f->system, NULL, NULL, &why) < 0)
            rc = name_file(f, x, why.why, e);
    }
    return rc;
}

/* What comes next is not there. Is what comes after it? */
static int look_for_gap(struct follow *f, struct err *e)
{
    char segment[32], text[ERR_TEXT_BYTES];
    archive_segment_name(f->timeline, f->at, f->segment_bytes, segment);
    int rc = find_disguised(f, segment, e);
    if (rc == 0)
        rc = name_unfit(f, e);
    const struct archive_file *x = rc == 0 ? first_ahead(f) : NULL;
    uint64_t now = sys_monotonic_ms();
    if (rc < 0 || !x) {
        f->gap_ms = 0;
        return rc;
    }
    f->gap_ms = f->gap_ms ? f->gap_ms : now;
    if (now - f->gap_ms < GAP_MS)
        return 0;
    snprintf(text, sizeof text, _("%s has not come, and %s has"), segment, x->name);
    rc = begin_at(f, x, text, e);
    return rc < 0 ? rc : 1;
}

/* 1: something was taken; 0: there is nothing now. */
static int take_next(struct follow *f, struct err *e)
{
    if (!f->begun) {
        const struct archive_file *x = first_ahead(f);
        int rc = x ? begin_at(f, x, f->anew[0] ? f->anew : NULL, e) : name_unfit(f, e);
        return rc < 0 || !x ? rc : 1;
    }
    int rc = switch_timeline(f, e);
    if (rc != 0)
        return rc;
    const struct archive_file *x = find(f, ARCHIVE_SEGMENT, f->timeline, segment_start(f, f->at));
    if (!x || is_queued(f, x))
        return look_for_gap(f, e);
    f->gap_ms = 0;
    return take_segment(f, x, e);
}

static int name_foreign(struct follow *f, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < f->list.n; i++) {
        const struct archive_file *x = &f->list.v[i];
        if (x->kind == ARCHIVE_FOREIGN)
            rc = name_file(f, x, _("it is no file of a server's log as the server names it"), e);
    }
    return rc;
}

/* 1: something was taken. */
static int pass(struct follow *f, struct err *e)
{
    int taken = 0;
    archive_list_done(&f->list);
    int rc = archive_list(f->folder, &f->list, e);
    if (rc < 0)
        return err_wrap(e, "%s", f->place);
    if (rc == 0)
        rc = name_foreign(f, e);
    if (rc == 0 && f->begun)
        rc = settle_behind(f, e);
    while (rc == 0 && (rc = take_next(f, e)) == 1) {
        taken = 1;
        rc = remove_durable(f, e);
        if (rc == 0)
            rc = tell_head(f, e);
    }
    if (rc == 0)
        rc = tidy(f, e);
    return rc < 0 ? rc : taken;
}

/* --- the beginning ------------------------------------------------------------------------------ */
/* Without the server: the segments say it, too. */
static void find_segment_bytes(struct follow *f)
{
    struct archive_list l = { 0 };
    uint64_t bytes = 0;
    if (f->segment_bytes || archive_list(f->folder, &l, NULL) < 0)
        return;
    for (size_t i = 0; i < l.n && !f->segment_bytes; i++)
        if (l.v[i].kind == ARCHIVE_SEGMENT &&
            archive_check(f->folder, &l.v[i], f->system, NULL, &bytes, NULL) == 0)
            f->segment_bytes = bytes;
    archive_list_done(&l);
}

static int open_folder(struct follow *f, struct err *e)
{
    f->folder = sys_open_folder(f->place, false, e);
    if (f->folder < 0) {
        err_wrap(e, "%s", f->place);
        return err_next(
            e, _("make it, for the user that the server runs as: install -d -o postgres -m 700 %s"),
            f->place);
    }
    if (flock(f->folder, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_sys(e, "%s", f->place);
    err_set(e, ERR_BUSY, _("another process takes from %s already"), f->place);
    return err_next(
        e, _("each policy needs a folder of its own, and an archive_command that fills it"));
}

static int open_state(struct follow *f, struct err *e)
{
    char *path = archive_state_file(f->env->state_dir, f->place, "taken");
    f->buf = malloc(PIECE_BYTES);
    f->sha = sha256_new();
    int rc = path && f->buf && f->sha ? sys_mkdir_p(f->env->state_dir, 0700, e) : no_memory(e);
    if (rc == 0)
        rc = archive_taken_open(path, f->last->seq, &f->taken, e);
    free(path);
    return rc;
}

/* Without the server what has come is taken, too, where it is known what goes on. */
static int meet_server(struct follow *f, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = archive_server_open(&f->server, f->spec, f->env, &why);
    if (rc == 0)
        return 0;
    if (why.code != ERR_UNREACHABLE || f->last->seq == 0) {
        *e = why;
        return rc;
    }
    archive_server_close(&f->server);
    f->server.down = why;
    return 0;
}

static int begin(struct follow *f, struct err *e)
{
    const struct log_piece *l = f->last;
    int rc = open_folder(f, e);
    if (rc == 0)
        rc = open_state(f, e);
    if (rc == 0)
        rc = meet_server(f, e);
    if (rc < 0)
        return rc;
    f->system = f->server.system ? f->server.system : l->system;
    f->segment_bytes = f->server.segment_bytes;
    find_segment_bytes(f);
    if (!f->segment_bytes) { /* nothing is there, and nobody to ask */
        *e = f->server.down;
        return -(int)e->code;
    }
    log_sink_system(f->k, f->system);
    f->begun = f->seam = l->seq > 0 && l->system == f->system;
    if (l->seq > 0 && !f->begun)
        snprintf(f->anew, sizeof f->anew, "%s", _("this is another database system"));
    f->timeline = l->timeline;
    f->at = l->end;
    return 0;
}

/* The history of the timeline that we are on may still be there. */
static int find_history(struct follow *f, struct err *e)
{
    int rc = archive_list(f->folder, &f->list, e);
    const struct archive_file *x = rc == 0 && f->begun ? find(f, ARCHIVE_HISTORY, f->timeline, 0)
                                                       : NULL;
    return x ? read_history(f, x, &f->history, e) : rc;
}

static int run(struct follow *f, unsigned interval_ms, struct err *e)
{
    unsigned ms = interval_ms < LOOK_MS ? interval_ms : LOOK_MS;
    bool readable;
    int rc = begin(f, e);
    if (rc == 0)
        rc = find_history(f, e);
    while (rc >= 0) {
        rc = pass(f, e);
        if (rc >= 0 && tell_head(f, e) < 0)
            rc = -(int)e->code;
        /* All that it had archived is safe: whoever starts us again asks whether it is back. */
        if (rc == 0 && !f->server.sql && log_sink_durable_seq(f->k) >= log_sink_seq(f->k)) {
            *e = f->server.down;
            return -(int)e->code;
        }
        if (rc >= 0)
            rc = log_sink_wait(f->k, -1, rc == 1 ? 0 : ms, &readable, e);
    }
    return rc;
}

/* Nothing is thrown away here; people must know. */
int archive_note(const struct source_spec *spec, const struct source_env *env, struct err *e)
{
    const char *place = source_spec_get(spec, "archive");
    uint64_t limit = pg_slot_limit(spec);
    char text[ERR_TEXT_BYTES];
    struct archive_list l = { 0 };
    int fd = sys_open_folder(place, false, e);
    int rc = fd < 0 ? fd : archive_list(fd, &l, e);
    uint64_t bytes = l.bytes;
    sys_close_quiet(fd);
    archive_list_done(&l);
    if (rc < 0)
        return err_wrap(e, "%s", place);
    if (bytes <= (limit ? limit / 2 : MUCH_BYTES))
        return 0;
    snprintf(text, sizeof text,
             _("%" PRIu64
               " MiB of the server's log lie in %s until the copies have them: see: twofold logs"),
             bytes >> 20, place);
    return env->note(env->ctx, false, "", 0, text, e);
}

int pg_follow_archive(const struct source_spec *spec, const struct source_env *env,
                      const struct log_piece *last, unsigned interval_ms, struct log_sink *k,
                      struct err *e)
{
    if (!k)
        return archive_note(spec, env, e);
    struct follow *f = calloc(1, sizeof *f);
    if (!f)
        return no_memory(e);
    f->spec = spec;
    f->env = env;
    f->k = k;
    f->last = last;
    f->place = source_spec_get(spec, "archive");
    f->folder = -1;
    int rc = run(f, interval_ms, e);
    archive_list_done(&f->list);
    archive_taken_free(f->taken);
    sha256_free(f->sha);
    archive_server_close(&f->server);
    sys_close_quiet(f->folder);
    free(f->history);
    free(f->queue);
    free(f->buf);
    free(f);
    return rc;
}
