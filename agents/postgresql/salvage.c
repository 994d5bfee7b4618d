/* salvage.c - the log that survived on a server's host, in what was set aside of its data folder: what goes on from the end of the kept log is
 * taken, record by record, as far as each is right; see replay_inner.h. Nothing of it is believed: it may be torn, another server's, or an
 * abandoned branch. */
#include "agents/postgresql/inner.h"
#include "agents/postgresql/place.h"
#include "agents/postgresql/replay_inner.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART_BYTES ((size_t)256 << 10)
#define MAX_HISTORY_BYTES (1u << 20)
#define SHORT_HEADER \
    24 /* of a page: u16 magic, u16 flags, u32 timeline, u64 address, u32 rest of a record */
#define FLAG_CONTINUES 1
#define FLAG_LONG \
    2 /* of a segment's first page: u64 system, u32 size of a segment, u32 of a page */
#define LONG_HEADER 40
#define SYSTEM_AT 24
#define RECORD_ALIGN 8
/* In pg_control, as servers of 12 to 17 write it: the identifier first; where the last checkpoint is, and its timeline. */
#define CONTROL_BYTES 56
#define CONTROL_CHECKPOINT_AT 32
#define CONTROL_TIMELINE_AT 48

struct survived {
    struct replay *r;
    const char *folder;
    int top_fd, fd; /* the folder; that of its log */
    uint8_t *part;
    bool unreadable; /* a part of it: that is another thing than not being there */
};

/* --- the folder ------------------------------------------------------------------------------------------ */
static bool is_folder(int dir_fd, const char *name, bool follow)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* A log that lies elsewhere, behind a link, is read where nobody has forbidden what may be read. */
static int survived_open(struct replay *r, const char *folder, struct survived *ret, struct err *e)
{
    bool follow = !r->c->r->resolved;
    *ret = (struct survived){ .r = r, .folder = folder, .fd = -1, .part = malloc(PART_BYTES) };
    ret->top_fd = sys_open_folder(folder, r->c->r->resolved, e);
    if (ret->top_fd < 0)
        return err_wrap(e, "%s", folder);
    if (!ret->part)
        return err_set(e, ERR_NOMEM, _("no memory"));
    const char *log = is_folder(ret->top_fd, "pg_wal", follow) ? "pg_wal" : ".";
    ret->fd = sys_openat(ret->top_fd, log, O_RDONLY | O_DIRECTORY | (follow ? 0 : O_NOFOLLOW), 0,
                         e);
    return ret->fd < 0 ? err_wrap(e, "%s", folder) : 0;
}

static void survived_close(struct survived *s)
{
    sys_close_quiet(s->fd);
    sys_close_quiet(s->top_fd);
    free(s->part);
}

static int each_folder(struct replay *r, int (*fn)(struct survived *s, struct err *e),
                       struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->spec->n; i++) {
        struct survived s;
        if (strcmp(r->spec->v[i].key, "salvage") != 0)
            continue;
        r->survived = r->survived ? r->survived : r->spec->v[i].value;
        rc = survived_open(r, r->spec->v[i].value, &s, e);
        if (rc == 0)
            rc = fn(&s, e);
        survived_close(&s);
    }
    return rc;
}

static __attribute__((format(printf, 2, 3))) int lose(struct replay *r, const char *fmt, ...)
{
    va_list ap;
    free(r->lost);
    va_start(ap, fmt);
    if (vasprintf(&r->lost, fmt, ap) < 0)
        r->lost = NULL;
    va_end(ap);
    return 0;
}

/* --- timelines --------------------------------------------------------------------------------------------- */
/* By the server's own pg_control: its last timeline, and how far it had come at least; zeros: it cannot be told, or is another server's. */
static void read_control(const struct survived *s, uint32_t *ret_timeline, uint64_t *ret_checkpoint)
{
    uint8_t head[CONTROL_BYTES];
    uint64_t system = 0;
    *ret_timeline = 0;
    *ret_checkpoint = 0;
    int fd = sys_open_beneath(s->top_fd, PG_LAST "/pg_control", O_RDONLY | O_NONBLOCK, 0, NULL);
    if (fd >= 0 && sys_pread(fd, head, sizeof head, 0, NULL) == (ssize_t)sizeof head)
        memcpy(&system, head, sizeof system);
    sys_close_quiet(fd);
    if (system == 0 || system != s->r->system)
        return;
    memcpy(ret_timeline, head + CONTROL_TIMELINE_AT, sizeof *ret_timeline);
    memcpy(ret_checkpoint, head + CONTROL_CHECKPOINT_AT, sizeof *ret_checkpoint);
}

/* The beginning of a segment that this system has come to: another's, and one that is kept for later use, say otherwise. */
static bool is_begun(const struct survived *s, const char *name, uint64_t segment)
{
    uint8_t head[LONG_HEADER];
    uint16_t flags = 0;
    uint64_t its = 0, system = 0;
    int fd = sys_openat(s->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, NULL);
    if (fd >= 0 && sys_pread(fd, head, sizeof head, 0, NULL) == (ssize_t)sizeof head) {
        memcpy(&flags, head + 2, sizeof flags);
        memcpy(&its, head + 8, sizeof its);
        memcpy(&system, head + SYSTEM_AT, sizeof system);
    }
    sys_close_quiet(fd);
    return flags & FLAG_LONG && its == segment * s->r->segment_bytes && system == s->r->system;
}

/* pg_control knows of a new timeline only from its first checkpoint on, minutes later; and it may be gone. The names of the segments tell it, too. */
static uint32_t newest_begun(const struct survived *s)
{
    int fd = sys_openat(s->fd, ".", O_RDONLY | O_DIRECTORY, 0, NULL);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    uint32_t newest = 0, timeline;
    uint64_t segment;
    for (struct dirent *de; d && (de = readdir(d)) != NULL;)
        if (wal_name_parse(de->d_name, s->r->segment_bytes, &timeline, &segment) &&
            timeline > newest && is_begun(s, de->d_name, segment))
            newest = timeline;
    if (d)
        closedir(d);
    else
        sys_close_quiet(fd);
    return newest;
}

static int read_history(const struct survived *s, uint32_t timeline, char **ret, size_t *ret_n)
{
    char name[64];
    uint8_t *text = NULL;
    snprintf(name, sizeof name, "%08" PRIX32 ".history", timeline);
    int rc = sys_read_plain(s->fd, name, MAX_HISTORY_BYTES, &text, ret_n, NULL);
    *ret = (char *)text;
    return rc;
}

/* The history of a timeline names all before it; each is put into pg_wal, as the server's recovery looks for them. */
static int add_timeline(struct survived *s, uint32_t its, bool *ret_added, struct err *e)
{
    struct replay *r = s->r;
    uint32_t newest = r->way.v[r->way.n - 1].timeline;
    char *all = NULL;
    size_t n = 0;
    int rc = 0;
    *ret_added = its <= newest;
    if (*ret_added || read_history(s, its, &all, &n) < 0)
        return 0;
    for (const char *line = all; rc == 0 && *line;
         line += strcspn(line, "\n"), line += *line == '\n') {
        uint32_t timeline = 0;
        uint64_t left;
        char *text = NULL;
        size_t len = 0;
        if (history_line(line, &timeline, &left) && timeline > newest &&
            read_history(s, timeline, &text, &len) == 0 &&
            timelines_add(&r->way, timeline, text, len, r->c->stop_lsn))
            rc = replay_put_history(r, timeline, text, len, e);
        free(text);
    }
    if (rc == 0 && timelines_add(&r->way, its, all, n, r->c->stop_lsn)) {
        *ret_added = true;
        rc = replay_put_history(r, its, all, n, e);
    }
    free(all);
    return rc;
}

/* Where the history of the last one is not to be had, that which the server's last checkpoint was on lies on the way to it. */
static int add_timelines(struct survived *s, struct err *e)
{
    uint32_t its, begun = newest_begun(s);
    uint64_t checkpoint;
    bool added = false;
    read_control(s, &its, &checkpoint);
    int rc = begun > its ? add_timeline(s, begun, &added, e) : 0;
    return rc == 0 && !added ? add_timeline(s, its, &added, e) : rc;
}

int salvage_way(struct replay *r, struct err *e)
{
    return each_folder(r, add_timelines, e);
}

/* --- segments ------------------------------------------------------------------------------------------------ */
/* A standby that was promoted has the last one of the timeline before under another name. Negative: it is not there. */
static int open_segment(struct survived *s, uint64_t segment)
{
    char name[64], partial[80];
    struct stat st;
    replay_segment_name(s->r, segment, name);
    snprintf(partial, sizeof partial, "%s.partial", name);
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    int fd = sys_openat(s->fd, name, flags, 0, NULL);
    if (fd == -ERR_ABSENT)
        fd = sys_openat(s->fd, partial, flags, 0, NULL);
    s->unreadable |= fd < 0 && fd != -ERR_ABSENT;
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        sys_close_quiet(fd);
        fd = -1;
    }
    return fd;
}

static bool has_segment(struct survived *s, uint64_t segment)
{
    int fd = open_segment(s, segment);
    sys_close_quiet(fd);
    return fd >= 0;
}

/* Up to n bytes of the log that survived, of one segment; 0: there is none. */
static ssize_t read_log(struct survived *s, uint64_t at, uint8_t *p, size_t n)
{
    uint64_t within = at % s->r->segment_bytes;
    int fd = open_segment(s, at / s->r->segment_bytes);
    if (fd < 0)
        return 0;
    if (n > s->r->segment_bytes - within)
        n = (size_t)(s->r->segment_bytes - within);
    ssize_t got = sys_pread(fd, p, n, within, NULL);
    sys_close_quiet(fd);
    s->unreadable |= got < 0;
    return got > 0 ? got : 0;
}

/* What is kept of the log up to where that ends is the same in what survived: else that is of another life of the server. */
static int is_same_life(struct survived *s, uint64_t from, bool *ret, struct err *e)
{
    struct replay *r = s->r;
    uint8_t own[4096], its[4096];
    char name[64];
    *ret = true;
    for (uint64_t at = from; *ret && at < r->reached;) {
        size_t n = r->reached - at < sizeof own ? (size_t)(r->reached - at) : sizeof own;
        ssize_t got = read_log(s, at, its, n);
        if (got <= 0) {
            *ret = false;
            return 0;
        }
        replay_segment_name(r, at / r->segment_bytes, name);
        int fd = sys_openat(r->c->wal_fd, name, O_RDONLY | O_NOFOLLOW, 0, e);
        if (fd ==
            -ERR_ABSENT) { /* the first one of a timeline: up to its beginning it is the one before */
            err_clear(e);
            return 0;
        }
        if (fd < 0)
            return err_wrap(e, "pg_wal/%s", name);
        ssize_t have = sys_pread(fd, own, (size_t)got, at % r->segment_bytes, e);
        sys_close_quiet(fd);
        if (have < 0)
            return (int)have;
        *ret = have == got && memcmp(own, its, (size_t)got) == 0;
        at += (uint64_t)got;
    }
    return 0;
}

/* --- taking it ------------------------------------------------------------------------------------------------- */
/* Nothing is written behind the place where a segment was left, nor in one that is not there any more. */
static bool is_page(struct survived *s, uint64_t at)
{
    uint8_t head[SHORT_HEADER];
    uint64_t its = 0;
    if (read_log(s, at, head, sizeof head) == (ssize_t)sizeof head)
        memcpy(&its, head + 8, sizeof its);
    return its == at;
}

/* Where to begin: a little before the end of what there is, so that both can be compared; or at a segment's beginning. */
static uint64_t begin_at(struct survived *s)
{
    const struct replay *r = s->r;
    uint64_t least = r->step > 0 ? r->step_start : r->start_lsn,
             from = r->reached > SEAM_BYTES ? r->reached - SEAM_BYTES : 0;
    from = from > least ? from : least;
    from -= from % WAL_PAGE_BYTES;
    return is_page(s, from) ? from : r->reached / r->segment_bytes * r->segment_bytes;
}

/* What has been found right so far, from r->reached on, goes into pg_wal. */
static int take_right(struct survived *s, uint64_t limit, struct err *e)
{
    struct replay *r = s->r;
    uint64_t end = r->reader.end < limit ? r->reader.end : limit;
    int rc = 0;
    while (rc == 0 && r->reached < end) {
        size_t n = end - r->reached < PART_BYTES ? (size_t)(end - r->reached) : PART_BYTES;
        ssize_t got = read_log(s, r->reached, s->part, n);
        if (got <= 0)
            return err_set(e, ERR_IO, _("what survived of the log changes while it is read"));
        rc = replay_write(r, r->reached, s->part, (size_t)got, e);
        if (rc < 0)
            break;
        r->salvaged_from = r->salvaged_to ? r->salvaged_from : r->reached;
        r->reached += (uint64_t)got;
        r->salvaged_to = r->reached;
        r->c->r->report->n.bytes += (uint64_t)got;
    }
    return rc;
}

static int read_on(struct survived *s, uint64_t limit, struct err *e)
{
    struct replay *r = s->r;
    int rc = 0;
    while (rc == 0 && !r->stop && !r->reader.broken && r->reader.at < limit) {
        size_t n = limit - r->reader.at < PART_BYTES ? (size_t)(limit - r->reader.at) : PART_BYTES;
        ssize_t got = read_log(s, r->reader.at, s->part, n);
        if (got <= 0)
            break;
        r->c->r->report->n.bytes_read += (uint64_t)got;
        wal_reader_feed(&r->reader, s->part, (size_t)got);
        rc = sys_interrupted() ? err_set(e, ERR_INTERRUPTED, _("interrupted"))
                               : take_right(s, limit, e);
    }
    return rc;
}

/* Is a page there that the server came to, so that what lies before it was whole once? One that only goes on with a record may be of one that was
 * never finished; and segments that are kept for later use have an older one's pages. */
static bool is_written(struct survived *s, uint64_t at)
{
    uint8_t head[SHORT_HEADER];
    uint16_t flags;
    uint64_t its;
    uint32_t rest;
    if (read_log(s, at, head, sizeof head) != (ssize_t)sizeof head)
        return false;
    memcpy(&flags, head + 2, sizeof flags);
    memcpy(&its, head + 8, sizeof its);
    memcpy(&rest, head + 16, sizeof rest);
    return its == at && (!(flags & FLAG_CONTINUES) || rest + LONG_HEADER < WAL_PAGE_BYTES);
}

/* The last page of that kind behind where it ended, in the same segment or at the beginning of another one; 0: there is none. */
static uint64_t furthest(struct survived *s)
{
    const struct replay *r = s->r;
    uint64_t segment = r->reached / r->segment_bytes, its_segment, far = 0,
             next = r->reached + WAL_PAGE_BYTES - r->reached % WAL_PAGE_BYTES;
    uint32_t timeline;
    for (uint64_t at = next; at / r->segment_bytes == segment; at += WAL_PAGE_BYTES)
        far = is_written(s, at) ? at : far;
    int fd = sys_openat(s->fd, ".", O_RDONLY | O_DIRECTORY, 0, NULL);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *de; d && (de = readdir(d)) != NULL;)
        if (wal_name_parse(de->d_name, r->segment_bytes, &timeline, &its_segment) &&
            timeline == replay_timeline(r) && its_segment > segment &&
            its_segment * r->segment_bytes > far && is_written(s, its_segment * r->segment_bytes))
            far = its_segment * r->segment_bytes;
    if (d)
        closedir(d);
    else
        sys_close_quiet(fd);
    return far;
}

/* Where it ended, and whether that is the end that the server itself came to: not, where it went on on a timeline to which no way is known. */
static int judge_end(struct survived *s)
{
    struct replay *r = s->r;
    char at[LSN_TEXT_BYTES], far_at[LSN_TEXT_BYTES];
    uint32_t timeline, its = replay_timeline(r);
    uint64_t far = furthest(s), checkpoint;
    read_control(s, &timeline, &checkpoint);
    if (timeline >= its && checkpoint >= r->reached && checkpoint > far)
        far = checkpoint;
    bool later = timeline > its || newest_begun(s) > its || r->step + 1 < r->way.n;
    r->complete = !r->stop && far == 0 && !later && !s->unreadable;
    lsn_print(r->reached, at);
    if (r->stop || r->complete)
        return 0;
    return far == 0 ? lose(r, _("what survived of the log cannot be read behind %s"), at)
                    : lose(r,
                           _("what survived of the log is damaged or missing behind %s, and the "
                             "server had come to %s at least"),
                           at, lsn_print(far, far_at));
}

static void begin_strict(struct replay *r, uint64_t from)
{
    r->reader.strict = true;
    r->reader.system = r->system;
    r->reader.timeline = replay_timeline(r);
    r->reader.segment_bytes = (uint32_t)r->segment_bytes;
    replay_read_from(r, from);
}

/* before: the last transaction that was known, should it not even have come so far. */
static void end_strict(struct replay *r, const struct wal_commit *before)
{
    r->reader.strict = false;
    r->reading = false;
    if (r->last.end < before->end)
        r->last = *before;
}

/* Behind a segment that is there, the next one is not: it may be that the server had no more. */
static bool is_between(struct survived *s)
{
    const struct replay *r = s->r;
    return r->reached % r->segment_bytes == 0 && has_segment(s, r->reached / r->segment_bytes - 1);
}

/* The first segment of a timeline begins with what it shares with the one before; a server reads that there and nowhere else. */
static int share_segment(struct survived *s, struct err *e)
{
    struct replay *r = s->r;
    uint64_t segment = r->step_start / r->segment_bytes, at = segment * r->segment_bytes;
    char name[64], before[64];
    if (r->step == 0 || r->reached != r->step_start || at == r->step_start)
        return 0;
    replay_segment_name(r, segment, name);
    snprintf(before, sizeof before, "%08" PRIX32 "%s", r->way.v[r->step - 1].timeline, name + 8);
    int fd = faccessat(r->c->wal_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0
                 ? -ERR_ABSENT /* it was kept, with its beginning */
                 : sys_openat(r->c->wal_fd, before, O_RDONLY | O_NOFOLLOW, 0, e);
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    int rc = fd < 0 ? fd : 0;
    while (rc == 0 && at < r->step_start) {
        size_t n = r->step_start - at < PART_BYTES ? (size_t)(r->step_start - at) : PART_BYTES;
        ssize_t got = sys_pread(fd, s->part, n, at % r->segment_bytes, e);
        if (got <= 0)
            rc = got < 0 ? (int)got
                         : err_set(e, ERR_IO, _("the backup's own log is not whole: %s"), before);
        else
            rc = replay_write(r, at, s->part, (size_t)got, e);
        at += got > 0 ? (uint64_t)got : 0;
    }
    sys_close_quiet(fd);
    return rc;
}

/* A record begins at a multiple of 8, and a timeline ends where its next one would have begun: between that and the last one is nothing. */
static void pass_padding(struct replay *r, uint64_t limit)
{
    if (r->reached < limit && r->reached == r->reader.end && limit - r->reached < RECORD_ALIGN)
        r->reached = limit;
}

static int take_timeline(struct survived *s, struct err *e)
{
    struct replay *r = s->r;
    uint64_t limit = r->way.v[r->step].end, from = begin_at(s), last = r->reader.last;
    struct wal_commit before = r->last;
    bool same = true, seamless = from == r->reached && r->reading && !r->reader.lost;
    if (!has_segment(s, from / r->segment_bytes))
        return is_between(s) || furthest(s) > 0
                   ? 0
                   : lose(r, _("what survived of the log has nothing of where the rest ends"));
    int rc = share_segment(s, e);
    if (rc == 0)
        rc = is_same_life(s, from, &same, e);
    if (rc < 0)
        return rc;
    if (!same)
        return lose(r, _("what survived of the log is not that of this server's life: it is other "
                         "than what is kept"));
    begin_strict(r, from);
    r->reader.known = seamless;
    r->reader.last = seamless ? last : 0;
    rc = read_on(s, limit, e);
    pass_padding(r, limit);
    end_strict(r, &before);
    return rc;
}

static int take_log(struct survived *s, struct err *e)
{
    struct replay *r = s->r;
    int rc = 0;
    do {
        if (!r->stop)
            rc = take_timeline(s, e);
    } while (rc == 0 && !r->stop && replay_next_timeline(r));
    if (rc == 0 && r->reader.foreign && !r->lost)
        lose(r, _("what survived of the log has pages of another server"));
    return rc == 0 && !r->lost ? judge_end(s) : rc;
}

/* The backup's own last segment goes on behind its end: at least the server left it there. That is replayed in any case, and what survived may begin
 * with the next one, on another timeline. */
static int extend_own(struct replay *r, struct err *e)
{
    struct survived own = { .r = r, .top_fd = -1, .fd = r->c->wal_fd, .part = malloc(PART_BYTES) };
    struct wal_commit before = r->last;
    uint64_t limit = r->way.v[r->step].end;
    if (!own.part)
        return err_set(e, ERR_NOMEM, _("no memory"));
    begin_strict(r, begin_at(&own));
    while (!r->stop && !r->reader.broken && r->reader.at < limit) {
        size_t n = limit - r->reader.at < PART_BYTES ? (size_t)(limit - r->reader.at) : PART_BYTES;
        ssize_t got = read_log(&own, r->reader.at, own.part, n);
        if (got <= 0)
            break;
        wal_reader_feed(&r->reader, own.part, (size_t)got);
    }
    uint64_t end = r->reader.end < limit ? r->reader.end : limit;
    end_strict(r, &before);
    r->reached = end > r->reached ? end : r->reached;
    pass_padding(r, limit);
    free(own.part);
    return 0;
}

int salvage_log(struct replay *r, struct err *e)
{
    int rc = 0;
    if (!source_spec_get(r->spec, "salvage"))
        return 0;
    if (r->pieces == 0 && r->step == 0)
        rc = extend_own(r, e);
    if (rc == 0 && r->pieces == 0)
        (void)replay_next_timeline(r);
    return rc == 0 ? each_folder(r, take_log, e) : rc;
}
