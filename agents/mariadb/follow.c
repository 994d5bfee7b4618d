/* follow.c - what the server writes into its binary logs, as it writes it. In the stream a file of the log is a timeline, by the number in its
 * name, and a position is one within that file: so files follow one another as timelines do, each with its history before it (its name), which
 * says where the file before it ended.
 *
 * Nothing at the server remembers us. What it has dropped before it was durable in the copies is a gap; while we read a file it drops neither
 * that nor any later one. After a break the file that we were in is read again from its beginning, up to where the stream ended: the bytes
 * before that must be those that were kept. */
#include "agents/log_sink.h"
#include "agents/mariadb/seam.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES (1u << 20)
#define LOOK_MS 500
#define HEAD_MS 1000

struct follow {
    const struct source_spec *spec;
    const struct source_env *env;
    struct log_sink *k;
    const struct log_piece *last;
    unsigned interval_ms;
    struct my_server server;
    struct my_vars vars;
    struct my_link *sql;
    struct my_stream *stream;
    char file[MAX_BINLOG_NAME]; /* that is being read; "": it has not begun */
    uint32_t number;
    uint64_t at;     /* how much of it has come */
    uint64_t skip;   /* so much of it is kept already: it is held against that */
    uint64_t before; /* how long the file before it in the stream is */
    bool told;       /* its history is in the stream */
    bool joined;     /* what comes goes on where the stream ended, or anew */
    bool more;       /* there is something to take without waiting */
    struct my_window *seen;
    uint8_t head[FILE_HEAD_BYTES]; /* the beginning of the file */
    uint8_t *buf;                  /* what is not a piece yet: it ends at `at` */
    size_t n;
    uint64_t since_ms, asked_ms; /* the first byte in buf; the server was asked how far it is */
    uint32_t head_number;
    uint64_t head_at;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int note(struct follow *f, bool problem, const char *text, struct err *e)
{
    return f->env->note(f->env->ctx, problem, "", 0, text, e);
}

/* --- what the server is ------------------------------------------------------------------------- */
struct logs_there {
    char oldest[MAX_BINLOG_NAME];
    uint32_t first, last;
    uint64_t kept; /* bytes of the file that was asked for */
    bool has;
};

static int look_at_logs(struct follow *f, uint32_t number, struct logs_there *ret, struct err *e)
{
    char *rows = NULL, *at, *col[2];
    *ret = (struct logs_there){ 0 };
    int rc = my_link_query(f->sql, "SHOW BINARY LOGS", &rows, e);
    for (at = rows; rc == 0 && my_fields(&at, col, 2) == 2;) {
        uint32_t n = my_log_number(col[0]);
        if (n == 0 || strlen(col[0]) >= sizeof ret->oldest)
            rc = err_set(e, ERR_PROTOCOL, _("\"%s\" is no name of a binary log"), col[0]);
        if (rc == 0 && !ret->first) {
            ret->first = n;
            snprintf(ret->oldest, sizeof ret->oldest, "%s", col[0]);
        }
        ret->last = n;
        if (n == number) {
            ret->has = true;
            ret->kept = strtoull(col[1], NULL, 10);
        }
    }
    if (rc == 0 && !ret->first)
        rc = err_set(e, ERR_ABSENT, _("the server has no binary log"));
    free(rows);
    return rc;
}

static int ask_head(struct follow *f, struct err *e)
{
    char *row = NULL, *at, *col[2];
    int rc = my_link_query(f->sql, my_head_statement(&f->vars), &row, e);
    at = row;
    if (rc == 0 && (my_fields(&at, col, 2) != 2 || !my_log_number(col[0])))
        rc = err_set(e, ERR_PROTOCOL, _("the server does not say how far its binary log is"));
    if (rc == 0) {
        f->head_number = my_log_number(col[0]);
        f->head_at = strtoull(col[1], NULL, 10);
    }
    free(row);
    f->asked_ms = sys_monotonic_ms();
    return rc;
}

static int ask(struct follow *f, struct err *e)
{
    int rc = my_server_init(&f->server, f->spec, f->env->state_dir, e);
    if (rc == 0)
        rc = my_vars_ask(&f->server, &f->vars, e);
    if (rc == 0)
        rc = my_check_log_settings(&f->vars, e);
    if (rc == 0)
        rc = my_check_log_rights(&f->server, e);
    if (rc == 0)
        rc = my_tell_log_doubts(&f->server, &f->vars, f->env, false, e);
    return rc == 0 ? my_link_open(&f->server, &f->sql, e) : rc;
}

/* --- pieces ------------------------------------------------------------------------------------- */
static int flush_piece(struct follow *f, struct err *e)
{
    char history[MAX_FILE_HISTORY];
    int rc = 0;
    if (f->n == 0 || f->at < FILE_HEAD_BYTES)
        return 0;
    if (!f->told) {
        size_t len = my_file_history(f->file, f->head, history);
        rc = log_sink_put(f->k, LOG_HISTORY, f->number, f->before, history, len, e);
        f->told = true;
    }
    if (rc == 0)
        rc = log_sink_put(f->k, LOG_BYTES, f->number, f->at - f->n, f->buf, f->n, e);
    f->n = 0;
    return rc;
}

static int keep(struct follow *f, const uint8_t *p, size_t n, struct err *e)
{
    int rc = 0;
    while (rc == 0 && n > 0) {
        size_t part = PIECE_BYTES - f->n < n ? PIECE_BYTES - f->n : n;
        if (f->n == 0)
            f->since_ms = sys_monotonic_ms();
        memcpy(f->buf + f->n, p, part);
        f->n += part;
        f->at += part;
        p += part;
        n -= part;
        rc = f->n == PIECE_BYTES ? flush_piece(f, e) : 0;
    }
    return rc;
}

/* --- where it goes on --------------------------------------------------------------------------- */
static int open_file(struct follow *f, const char *file, struct err *e)
{
    my_stream_free(f->stream);
    f->stream = NULL;
    f->file[0] = '\0';
    f->number = my_log_number(file);
    f->n = 0;
    return my_stream_open(&f->server, file, &f->stream, e);
}

/* An epoch of its own, from the oldest file that the server still has. */
static int begin_anew(struct follow *f, const char *why, struct err *e)
{
    char text[ERR_TEXT_BYTES];
    struct logs_there there;
    int rc = look_at_logs(f, 0, &there, e);
    if (rc < 0)
        return rc;
    log_sink_break(f->k);
    if (why) {
        uint32_t file = !f->joined ? f->last->timeline : f->told ? f->number : f->number - 1;
        uint64_t end = !f->joined ? f->last->end : f->told ? f->at : f->before;
        snprintf(text, sizeof text,
                 _("the log that is kept ends in file %" PRIu32 " at position %" PRIu64
                   " and does not go on: %s; it begins anew with %.100s: to restore what comes "
                   "now, a backup is needed"),
                 file, end, why, there.oldest);
        rc = note(f, true, text, e);
    }
    f->skip = f->before = 0;
    f->joined = true;
    return rc == 0 ? open_file(f, there.oldest, e) : rc;
}

static int choose_start(struct follow *f, struct err *e)
{
    const struct log_piece *l = f->last;
    struct logs_there there;
    char file[MAX_BINLOG_NAME + 16];
    int rc = look_at_logs(f, l->timeline, &there, e);
    if (rc < 0)
        return rc;
    uint64_t system = my_log_system(my_var(&f->vars, "server_id"), there.oldest);
    log_sink_system(f->k, system);
    if (l->seq == 0)
        return begin_anew(f, NULL, e);
    if (l->system != system)
        return begin_anew(f, _("this is another database server"), e);
    if (!there.has && there.first > l->timeline)
        return begin_anew(f, _("the server has dropped what came next"), e);
    if (!there.has)
        return begin_anew(f, _("the server's logs were reset, or it was put back"), e);
    if (there.kept < l->end)
        return begin_anew(
            f,
            _("the server has less of that file than was kept: it was put back, its logs were "
              "reset, or its host lost what it had not written yet (sync_binlog)"),
            e);
    f->skip = l->kind == LOG_BYTES ? l->end : 0;
    /* As it is written: at least six digits. */
    snprintf(file, sizeof file, "%.*s.%06" PRIu32, (int)(strrchr(there.oldest, '.') - there.oldest),
             there.oldest, l->timeline);
    return open_file(f, file, e);
}

/* 1: it begins anew. */
static int check_seam(struct follow *f, struct err *e)
{
    const struct log_piece *l = f->last;
    uint8_t mark[LOG_MARK_BYTES];
    char history[MAX_FILE_HISTORY];
    if (l->kind == LOG_HISTORY)
        log_piece_mark(history, my_file_history(f->file, f->head, history), mark);
    else
        my_window_mark(f->seen, l->len < LOG_MARKED ? l->len : LOG_MARKED, mark);
    f->joined = memcmp(mark, l->mark, sizeof mark) == 0;
    if (f->joined)
        return 0;
    int rc = begin_anew(f, _("the server's logs were reset, or it was put back"), e);
    return rc < 0 ? rc : 1;
}

/* --- the stream --------------------------------------------------------------------------------- */
static int take_file(struct follow *f, const char *name, struct err *e)
{
    bool first = !f->file[0];
    int rc = flush_piece(f, e);
    if (rc < 0)
        return rc;
    if (!f->joined && !first)
        return begin_anew(f, _("the server's logs were reset, or it was put back"), e);
    if (my_log_number(name) != f->number + !first)
        return err_set(e, ERR_PROTOCOL, _("the server sent %s, which does not follow"), name);
    if (!first && f->told)
        f->before = f->at;
    snprintf(f->file, sizeof f->file, "%s", name);
    f->number = my_log_number(name);
    f->at = f->n = 0;
    f->seen->n = 0;
    f->told = !f->joined; /* what is kept of it begins with its history */
    return 0;
}

/* What is kept already is only looked at. 1: it begins anew. */
static int take_kept(struct follow *f, const uint8_t **p, size_t *n, struct err *e)
{
    uint64_t left = f->skip > f->at ? f->skip - f->at : 0;
    size_t part = *n < left ? *n : (size_t)left;
    my_window_add(f->seen, *p, part);
    f->at += part;
    *p += part;
    *n -= part;
    if (f->at < f->skip || (f->last->kind == LOG_HISTORY && f->at + *n < FILE_HEAD_BYTES))
        return 0;
    return check_seam(f, e);
}

static int take_bytes(struct follow *f, const uint8_t *p, size_t n, struct err *e)
{
    if (!f->file[0])
        return err_set(e, ERR_PROTOCOL, _("the server sent what is not of its protocol"));
    if (f->at < FILE_HEAD_BYTES) {
        size_t room = FILE_HEAD_BYTES - (size_t)f->at;
        memcpy(f->head + f->at, p, n < room ? n : room);
    }
    if (!f->joined) {
        int rc = take_kept(f, &p, &n, e);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    return keep(f, p, n, e);
}

/* The file ends within an event that was being written when the server died, and which it does not count: the next one goes on. */
static int next_file(struct follow *f, struct err *e)
{
    struct logs_there there = { 0 };
    char file[MAX_BINLOG_NAME + 16];
    struct err was = e ? *e : ERR_INIT;
    err_clear(e);
    int rc = flush_piece(f, e);
    if (rc == 0)
        rc = look_at_logs(f, f->number, &there, e);
    if (rc < 0)
        return rc;
    if (!f->joined)
        return begin_anew(f, _("the server's host lost what it had not written yet (sync_binlog)"),
                          e);
    if (there.has && there.kept < f->at)
        return begin_anew(f, _("the server's logs were reset, or it was put back"), e);
    if (!there.has || there.last <= f->number) {
        err_set(e, ERR_UNREACHABLE, "%s", was.why);
        return err_next(e, _("is it running? It goes on from here when it is"));
    }
    snprintf(file, sizeof file, "%.*s.%06" PRIu32, (int)(strrchr(there.oldest, '.') - there.oldest),
             there.oldest, f->number + 1);
    if (f->told)
        f->before = f->at;
    return open_file(f, file, e);
}

static int take_part(struct follow *f, const struct my_part *p, struct err *e)
{
    if (p->kind == PART_FILE)
        return take_file(f, p->name, e);
    if (p->kind == PART_BYTES)
        return take_bytes(f, p->p, p->n, e);
    err_set(e, ERR_UNREACHABLE, _("the server has ended the stream"));
    return err_next(e, _("is it running? It goes on from here when it is"));
}

/* All that has come by now. */
static int take_all(struct follow *f, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + LOOK_MS;
    int rc = 0;
    f->more = true;
    while (rc == 0 && !log_sink_full(f->k) && sys_monotonic_ms() < until) {
        struct my_part p;
        rc = my_stream_next(f->stream, &p, e);
        if (rc == -ERR_NOT_WHOLE) {
            rc = next_file(f, e);
            continue;
        }
        if (rc == 0 && p.kind == PART_NONE) {
            f->more = false;
            return 0;
        }
        rc = rc == 0 ? take_part(f, &p, e) : rc;
    }
    f->more = f->more && !log_sink_full(f->k);
    return rc;
}

/* What had come before the server went is not lost with the session. */
static int end_with(struct follow *f, int rc, struct err *e)
{
    struct err ignored = ERR_INIT;
    uint64_t whole = rc == -ERR_DAMAGED && f->stream ? my_stream_at(f->stream) : f->at;
    if (whole < f->at) { /* an event that is not right is not kept */
        f->n = f->n > f->at - whole ? f->n - (size_t)(f->at - whole) : 0;
        f->at = whole;
    }
    if (f->joined && rc != -ERR_INTERRUPTED)
        (void)flush_piece(f, &ignored);
    if (rc == -ERR_ABSENT) {
        struct err was = e ? *e : ERR_INIT;
        return err_set(e, ERR_UNREACHABLE, "%s", was.why);
    }
    return rc;
}

/* The server has less than it has sent: where its first file was reset, the new one is called the same, and the stream stays with the old one,
 * in which nothing is written any more. */
static bool was_reset(const struct follow *f)
{
    return f->file[0] &&
           (f->head_number < f->number || (f->head_number == f->number && f->head_at < f->at));
}

static int look_at_head(struct follow *f, struct err *e)
{
    int rc = ask_head(f, e);
    if (rc < 0 || !f->joined || !was_reset(f))
        return rc;
    rc = flush_piece(f, e); /* it was written before that */
    if (rc == 0)
        rc = begin_anew(f, _("the server's logs were reset, or it was put back"), e);
    f->more = true;
    return rc;
}

static int keep_time(struct follow *f, struct err *e)
{
    uint64_t now = sys_monotonic_ms();
    int rc = f->joined && f->n && now - f->since_ms >= f->interval_ms ? flush_piece(f, e) : 0;
    if (rc == 0 && (!f->asked_ms || now - f->asked_ms >= HEAD_MS))
        rc = look_at_head(f, e);
    /* A head of a file that has not begun to come is not held against what is kept. */
    return rc == 0 && f->joined && f->file[0] ? log_sink_head(f->k, f->head_number, f->head_at, e)
                                              : rc;
}

static int run(struct follow *f, struct err *e)
{
    int rc = 0;
    while (rc == 0) {
        bool readable = false;
        rc = take_all(f, e);
        if (rc == 0)
            rc = keep_time(f, e);
        if (rc < 0) /* there may be no stream then */
            break;
        unsigned ms = f->more ? 0 : f->interval_ms < LOOK_MS ? f->interval_ms : LOOK_MS;
        int fd = log_sink_full(f->k) ? -1 : my_stream_fd(f->stream);
        rc = log_sink_wait(f->k, fd, ms, &readable, e);
    }
    return end_with(f, rc, e);
}

int my_follow(const struct source_spec *spec, const struct source_env *env,
              const struct log_piece *last, unsigned interval_ms, struct log_sink *k, struct err *e)
{
    struct follow f = {
        .spec = spec, .env = env, .k = k, .last = last, .interval_ms = interval_ms
    };
    if (!k) /* the server keeps nothing for us */
        return 0;
    f.buf = malloc(PIECE_BYTES);
    f.seen = calloc(1, sizeof *f.seen);
    int rc = f.buf && f.seen ? ask(&f, e) : no_memory(e);
    if (rc == 0)
        rc = choose_start(&f, e);
    if (rc == 0)
        rc = run(&f, e);
    my_stream_free(f.stream);
    my_link_free(f.sql);
    my_vars_done(&f.vars);
    free(f.seen);
    free(f.buf);
    return rc;
}
