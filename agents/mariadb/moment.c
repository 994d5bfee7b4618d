/* moment.c - see moment.h. */
#include "agents/mariadb/moment.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>

#define FAR_S 60
#define MAGIC_BYTES 4
#define HEAD_BYTES 19 /* time, kind, server, length, next position, flags */
#define WINDOW_BYTES (256u << 10)
/* Events that begin a transaction, or what stands alone, in logs of MySQL (with a GTID, without) and of MariaDB. */
#define KIND_QUERY 2
#define KIND_GTID 33
#define KIND_NO_GTID 34
#define KIND_MARIADB_GTID 162
#define KIND_ENCRYPTION 164 /* what comes is encrypted */

struct walk {
    int fd;
    uint64_t from; /* what of the file is in the window */
    size_t n;
    uint8_t window[WINDOW_BYTES];
    int64_t at_s, end_s;
    struct tally {      /* transactions so far */
        uint64_t early; /* begun before the moment */
        uint64_t late;  /* at it, or later */
        uint64_t wild;  /* after the log was closed: their times say nothing */
        uint64_t far_early, far_late;
        uint64_t queries; /* events with a statement, of a transaction or not */
    } now, best;          /* best: at the best place */
    _Atomic uint64_t *progress;
    bool open; /* the best place is what comes next */
    struct my_moment *ret;
};

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The heading of the event at that place; NULL without an error: the file ends before it. */
static const uint8_t *head_at(struct walk *w, uint64_t at, struct err *e)
{
    if (at < w->from || at + HEAD_BYTES > w->from + w->n) {
        ssize_t n = sys_pread(w->fd, w->window, sizeof w->window, at, e);
        if (n < 0)
            return NULL;
        w->from = at;
        w->n = (size_t)n;
        *w->progress += w->n;
    }
    return at + HEAD_BYTES <= w->from + w->n ? w->window + (at - w->from) : NULL;
}

static void count_group(struct walk *w, int64_t begun_s, size_t file, uint64_t at)
{
    struct tally *now = &w->now;
    if (w->open) {
        w->ret->n_files = file + 1;
        w->ret->stop = at;
        w->open = false;
    }
    if (begun_s > w->end_s + FAR_S) {
        now->wild++;
        return;
    }
    now->early += begun_s < w->at_s;
    now->late += begun_s >= w->at_s;
    now->far_early += begun_s < w->at_s - FAR_S;
    now->far_late += begun_s >= w->at_s + FAR_S;
    if (now->early + w->best.late > w->best.early + now->late) {
        w->best = *now;
        w->open = true;
    }
}

static int unreadable(const char *name, uint64_t at, struct err *e)
{
    err_set(e, ERR_DAMAGED, _("%s cannot be read at position %llu"), name, (unsigned long long)at);
    return err_next(e, _("encrypted binary logs (encrypt_binlog) cannot be replayed here; restore "
                         "the backup alone: --no-logs"));
}

static int walk_file(struct walk *w, const char *name, size_t file, uint64_t at, struct err *e)
{
    struct err why = ERR_INIT;
    const uint8_t *head;
    w->n = 0;
    while (!sys_interrupted() && (head = head_at(w, at, &why)) != NULL) {
        uint32_t len = u32_at(head + 9);
        if (head[4] == KIND_ENCRYPTION || len < HEAD_BYTES)
            return unreadable(name, at, e);
        if (head[4] == KIND_GTID || head[4] == KIND_NO_GTID || head[4] == KIND_MARIADB_GTID)
            count_group(w, u32_at(head), file, at);
        w->now.queries += head[4] == KIND_QUERY;
        at += len;
    }
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted"));
    if (why.code != ERR_NONE)
        *e = why;
    return -(int)why.code;
}

int my_moment_find(int dir_fd, const char *const *files, size_t n, uint64_t position, int64_t at_s,
                   int64_t end_s, _Atomic uint64_t *progress, struct my_moment *ret, struct err *e)
{
    struct walk *w = calloc(1, sizeof *w);
    *ret = (struct my_moment){ 0 };
    if (!w)
        return err_set(e, ERR_NOMEM, _("no memory"));
    w->at_s = at_s;
    w->end_s = end_s;
    w->progress = progress;
    w->open = true;
    w->ret = ret;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        w->fd = sys_openat(dir_fd, files[i], O_RDONLY | O_NOFOLLOW, 0, e);
        if (w->fd < 0) {
            rc = err_wrap(e, "%s", files[i]);
            break;
        }
        rc = walk_file(w, files[i], i, i == 0 && position > MAGIC_BYTES ? position : MAGIC_BYTES,
                       e);
        sys_close_quiet(w->fd);
    }
    if (w->open) {
        ret->n_files = n;
        ret->stop = 0;
    }
    if (rc == 0 && w->now.queries > 0 && w->now.early + w->now.late + w->now.wild == 0)
        rc = unreadable(files[0], position,
                        e); /* a log that has no transactions is too old for us */
    const struct tally *now = &w->now, *best = &w->best;
    ret->groups = best->early + best->late + best->wild;
    ret->later = best->late + best->wild;
    ret->earlier = now->early - best->early;
    ret->far = best->far_late + best->wild + now->far_early - best->far_early;
    free(w);
    return rc;
}
