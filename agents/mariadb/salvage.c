/* salvage.c - binary logs that survived on a server's host, in what was set aside of its data folder: what goes on from the end of the kept log is taken,
 * event by event, as far as each is right by its length, its place and its sum; see kept.h. Nothing of it is believed. */
#include "agents/mariadb/kept.h"
#include "agents/report.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define PART_BYTES ((size_t)1 << 20)
#define SAME_BYTES 65536u
#define TYPE_FORMAT 15
#define TYPE_ENCRYPTION 164
#define FLAG_IN_USE 1 /* of the file; it is not in the sum */
#define FLAGS_AT 17
#define IN_USE_AT ((size_t)BINLOG_MAGIC_BYTES + FLAGS_AT)
#define NEXT_AT 13
#define SUMS_NONE 0
#define SUMS_CRC32 1

struct survived {
    struct kept *k;
    int dir_fd, fd;
    uint64_t size;
    int64_t written_s; /* when it was changed last */
    unsigned sums;     /* how its events are summed */
    uint8_t *part;     /* of PART_BYTES: what of the file is looked at */
    uint64_t part_at;
    size_t part_n;
};

static __attribute__((format(printf, 2, 3))) int lose(struct kept *k, const char *fmt, ...)
{
    va_list ap;
    free(k->lost);
    va_start(ap, fmt);
    if (vasprintf(&k->lost, fmt, ap) < 0)
        k->lost = NULL;
    va_end(ap);
    return 0;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Up to n bytes of it at that place, lent until the next call; NULL: they are not there, or cannot be read. */
static const uint8_t *look(struct survived *s, uint64_t at, size_t n)
{
    if (at >= s->part_at && at + n <= s->part_at + s->part_n)
        return s->part + (at - s->part_at);
    ssize_t got = sys_pread(s->fd, s->part, PART_BYTES, at, NULL);
    s->part_at = at;
    s->part_n = got > 0 ? (size_t)got : 0;
    return s->part_n >= n ? s->part : NULL;
}

/* --- a file ---------------------------------------------------------------------------------------------- */
static bool open_file(struct survived *s, const char *name)
{
    struct stat st;
    sys_close_quiet(s->fd);
    s->part_n = 0;
    s->fd = sys_openat(s->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, NULL);
    if (s->fd < 0 || fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    s->size = (uint64_t)st.st_size;
    s->written_s = st.st_mtime;
    return true;
}

/* The first event says how all others are summed. */
static bool read_format(struct survived *s)
{
    const uint8_t *p = look(s, 0, BINLOG_MAGIC_BYTES + EVENT_HEAD_BYTES);
    uint32_t len = p ? get32(p + BINLOG_MAGIC_BYTES + 9) : 0;
    if (!p || memcmp(p, BINLOG_MAGIC, BINLOG_MAGIC_BYTES) != 0 ||
        p[BINLOG_MAGIC_BYTES + 4] != TYPE_FORMAT || len < EVENT_HEAD_BYTES + 64 || len > 4096)
        return false;
    p = look(s, BINLOG_MAGIC_BYTES, len);
    s->sums = p ? p[len - EVENT_SUM_BYTES - 1] : 0;
    return p && (s->sums == SUMS_NONE || s->sums == SUMS_CRC32);
}

/* --- is it the same log? ------------------------------------------------------------------------------------ */
/* The last bytes of what there is, from `from` on. A file that was open is marked so at its beginning; what is kept of it is not. */
static bool is_same(struct survived *s, uint64_t from)
{
    uint8_t own[4096];
    for (uint64_t at = from; at < s->k->at;) {
        size_t n = s->k->at - at < sizeof own ? (size_t)(s->k->at - at) : sizeof own;
        const uint8_t *its = look(s, at, n);
        if (!its || sys_pread(s->k->fd, own, n, at, NULL) != (ssize_t)n)
            return false;
        if (at <= IN_USE_AT && IN_USE_AT - at < n)
            own[IN_USE_AT - at] ^= (own[IN_USE_AT - at] ^ its[IN_USE_AT - at]) & FLAG_IN_USE;
        if (memcmp(own, its, n) != 0)
            return false;
        at += n;
    }
    return true;
}

/* Before the backup's end there is only what it remembers: a mark of the last bytes, as they are when the file is not open. */
static bool is_marked(struct survived *s)
{
    const struct my_seam *seam = &s->k->seam;
    uint8_t its[LOG_MARKED], mark[LOG_MARK_BYTES];
    uint64_t begin = seam->position - seam->marked;
    const uint8_t *p = look(s, begin, (size_t)seam->marked);
    if (!p)
        return false;
    memcpy(its, p, (size_t)seam->marked);
    if (begin <= IN_USE_AT && IN_USE_AT - begin < seam->marked)
        its[IN_USE_AT - begin] &= (uint8_t)~FLAG_IN_USE;
    log_piece_mark(its, (size_t)seam->marked, mark);
    return memcmp(mark, seam->mark, sizeof mark) == 0;
}

static bool is_same_log(struct survived *s)
{
    struct kept *k = s->k;
    uint64_t from = k->at > SAME_BYTES ? k->at - SAME_BYTES : 0;
    if (k->number == k->seam.number) {
        if (!is_marked(s))
            return false;
        from = from > k->seam.position ? from : k->seam.position;
    }
    return is_same(s, from);
}

/* --- events --------------------------------------------------------------------------------------------------- */
enum event { EVENT_RIGHT, EVENT_CUT, EVENT_WRONG, EVENT_SEALED };

static uLong sum_of(struct survived *s, uint64_t at, uint32_t len)
{
    uLong sum = crc32(0, NULL, 0);
    for (uint64_t from = at, end = at + len; from < end;) {
        size_t n = end - from < PART_BYTES ? (size_t)(end - from) : PART_BYTES;
        const uint8_t *p = look(s, from, n);
        if (!p)
            return 0;
        sum = crc32(sum, p, (uInt)n);
        from += n;
    }
    return sum;
}

/* The first one's flag says whether the file was closed, and is reckoned as if it had been. */
static bool is_summed(struct survived *s, uint64_t at, uint32_t len, uint8_t type)
{
    uint8_t head[4096] = { 0 };
    uint32_t body = len - EVENT_SUM_BYTES;
    uLong sum;
    if (type == TYPE_FORMAT && len <= sizeof head) {
        const uint8_t *p = look(s, at, len);
        if (!p)
            return false;
        memcpy(head, p, len);
        head[FLAGS_AT] &= (uint8_t)~FLAG_IN_USE;
        sum = crc32(crc32(0, NULL, 0), head, (uInt)body);
    } else {
        sum = sum_of(s, at, body);
    }
    const uint8_t *end = look(s, at + body, EVENT_SUM_BYTES);
    return end && get32(end) == (uint32_t)sum;
}

static enum event look_at(struct survived *s, uint64_t at, uint32_t *ret_len)
{
    const uint8_t *p = look(s, at, EVENT_HEAD_BYTES);
    if (!p)
        return EVENT_CUT;
    uint32_t len = get32(p + 9), next = get32(p + NEXT_AT);
    uint8_t type = p[4];
    *ret_len = len;
    if (len < EVENT_HEAD_BYTES + (s->sums == SUMS_CRC32 ? EVENT_SUM_BYTES : 0))
        return EVENT_WRONG;
    if (next != (uint32_t)(at + len) && (next != 0 || at + len > s->size))
        return EVENT_WRONG;
    if (at + len > s->size)
        return EVENT_CUT;
    if (type == TYPE_ENCRYPTION)
        return EVENT_SEALED;
    return s->sums == SUMS_CRC32 && !is_summed(s, at, len, type) ? EVENT_WRONG : EVENT_RIGHT;
}

/* From the end of what there is to `end`. */
static int take(struct survived *s, uint64_t end, struct err *e)
{
    int rc = 0;
    while (rc == 0 && s->k->at < end) {
        size_t n = end - s->k->at < PART_BYTES ? (size_t)(end - s->k->at) : PART_BYTES;
        const uint8_t *p = look(s, s->k->at, n);
        if (!p)
            return err_set(e, ERR_IO, _("what survived of the log changes while it is read"));
        s->k->salvaged_bytes += n;
        rc = kept_write(s->k, p, n, s->written_s, e);
    }
    return rc;
}

static bool is_empty_from(struct survived *s, uint64_t at)
{
    while (at < s->size) {
        size_t n = s->size - at < PART_BYTES ? (size_t)(s->size - at) : PART_BYTES;
        const uint8_t *p = look(s, at, n);
        for (size_t i = 0; i < n; i++)
            if (!p || p[i])
                return false;
        at += n;
    }
    return true;
}

/* One file; *ret_whole: it was right to its end; *ret_cut: but for an event that a crash cut off, which is an end only where no file follows. */
static int take_file(struct survived *s, bool *ret_whole, bool *ret_cut, struct err *e)
{
    struct kept *k = s->k;
    uint64_t at = k->at > BINLOG_MAGIC_BYTES ? k->at : BINLOG_MAGIC_BYTES;
    enum event found = EVENT_RIGHT;
    int rc = 0;
    *ret_whole = *ret_cut = false;
    while (rc == 0 && at < s->size && found == EVENT_RIGHT && !kept_is_enough(k)) {
        uint32_t len = 0;
        found = look_at(s, at, &len);
        if (found != EVENT_RIGHT)
            break;
        at += len;
        k->r->report->n.bytes_read += len;
        if (at - k->at >= PART_BYTES / 2)
            rc = sys_interrupted() ? err_set(e, ERR_INTERRUPTED, _("interrupted")) : take(s, at, e);
    }
    if (rc == 0 && at > k->at)
        rc = take(s, at, e);
    if (rc < 0 || kept_is_enough(k))
        return rc;
    *ret_cut = found == EVENT_CUT || (found == EVENT_WRONG && is_empty_from(s, at));
    *ret_whole = found == EVENT_RIGHT || *ret_cut;
    if (found == EVENT_SEALED)
        return lose(k, _("what survived of the log is encrypted, and cannot be read"));
    if (!*ret_whole)
        lose(k, _("what survived of the log is damaged behind %s, position %" PRIu64),
             k->names[k->n_names - 1], k->at);
    return 0;
}

/* --- the files ------------------------------------------------------------------------------------------------- */
/* The name of the one behind it. */
static bool next_name(const char *name, char ret[MAX_BINLOG_NAME])
{
    const char *dot = strrchr(name, '.');
    int width = dot ? (int)strlen(dot + 1) : 0;
    return dot && snprintf(ret, MAX_BINLOG_NAME, "%.*s.%0*" PRIu32, (int)(dot - name), name, width,
                           my_log_number(name) + 1) < (int)MAX_BINLOG_NAME;
}

/* Is there one with a greater number than the one that is being made? */
static bool has_later(const struct survived *s)
{
    const struct kept *k = s->k;
    bool later = false;
    int fd = sys_openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY, 0, NULL);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        sys_close_quiet(fd);
    for (struct dirent *de; d && !later && (de = readdir(d)) != NULL;)
        later = my_log_base_same(de->d_name, k->seam.file) && my_log_number(de->d_name) > k->number;
    if (d)
        closedir(d);
    return later;
}

static int take_files(struct survived *s, struct err *e)
{
    struct kept *k = s->k;
    char name[MAX_BINLOG_NAME];
    int rc = 0;
    for (bool whole = true, cut = false; rc == 0;) {
        rc = take_file(s, &whole, &cut, e);
        if (rc < 0 || !whole || kept_is_enough(k) || !next_name(k->names[k->n_names - 1], name))
            return rc;
        if (!open_file(s, name)) {
            k->complete = !has_later(s);
            return k->complete
                       ? 0
                       : lose(
                             k,
                             _("of what survived of the log %s is missing, and later ones are there"),
                             name);
        }
        if (cut)
            return lose(k, _("what survived of the log is damaged behind %s, position %" PRIu64),
                        k->names[k->n_names - 1], k->at);
        if (k->n_names == MAX_BINLOGS || !read_format(s))
            return lose(k, _("what survived of the log is damaged: %s"), name);
        rc = kept_next_file(k, name, my_log_number(name), e);
    }
    return rc;
}

static int salvage(struct survived *s, const char *folder, struct err *e)
{
    struct kept *k = s->k;
    const char *name = k->names[k->n_names - 1];
    s->dir_fd = sys_open_folder(folder, k->r->resolved, e);
    if (s->dir_fd < 0)
        return err_wrap(e, "%s", folder);
    if (!open_file(s, name) || s->size < k->at)
        return lose(k, _("what survived of the log has nothing of where the rest ends: %s"), name);
    if (!read_format(s) || !is_same_log(s))
        return lose(k,
                    _("what survived of the log is not that of this server's life: %s is other "
                      "than what is kept"),
                    name);
    return take_files(s, e);
}

int my_salvage(struct kept *k, struct err *e)
{
    struct survived s = { .k = k, .dir_fd = -1, .fd = -1 };
    k->survived = source_spec_get(k->r->spec, "salvage");
    if (!k->survived)
        return 0;
    s.part = malloc(PART_BYTES);
    int rc = s.part ? salvage(&s, k->survived, e) : err_set(e, ERR_NOMEM, _("no memory"));
    sys_close_quiet(s.fd);
    sys_close_quiet(s.dir_fd);
    free(s.part);
    return rc;
}
