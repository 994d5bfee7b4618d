/* follow.c - what the server writes into its log, as it writes it: one replication session with a slot of its own, which keeps the log
 * until it is durable in the copies (PostgreSQL's manual, "Streaming Replication Protocol"). */
#include "agents/log_sink.h"
#include "agents/postgresql/archive.h"
#include "agents/postgresql/slot.h"
#include "agents/postgresql/timelines.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES (1u << 20)
#define STATUS_MS 5000
#define LOOK_MS 500
#define LATE_MS \
    10000 /* the server waits for us and the copies do not take it: it must not wait for ever */
#define DATA_HEADER 25
#define NO_SUCH_FILE "58P01" /* SQLSTATE: a segment was removed */
#define PG_EPOCH_US INT64_C(946684800000000)
#define MAX_HISTORY_BYTES (1u << 20)

struct follow {
    const struct source_spec *spec;
    const struct source_env *env;
    struct log_sink *k;
    const struct log_piece *last;
    unsigned interval_ms;
    PGconn *sql, *c; /* for questions; for the log */
    const char *slot;
    uint64_t system, flushed, segment_bytes, slot_lsn;
    uint32_t server_timeline, timeline;
    bool more;         /* there is something to take without waiting */
    bool standby, got; /* the server is one; a piece has been made */
    uint64_t slot_was; /* where the slot stood when we came; 0: there was none */
    uint64_t at;       /* what comes next from the server */
    uint64_t head;     /* how far the server is */
    uint8_t *buf;      /* what is not a piece yet: it ends at `at` */
    size_t n;
    uint64_t since_ms, status_ms,
        asked_ms; /* first byte in buf; last status; the server wants to hear (0: no) */
    struct pg_guard *guard;
    uint64_t told; /* the last flush position that the server knows */
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
static int ask(struct follow *f, struct err *e)
{
    char *segment = NULL, *standby = NULL, *level = NULL, *keep = NULL;
    PGresult *r = PQexec(f->c, "IDENTIFY_SYSTEM");
    bool ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1 &&
              lsn_parse(PQgetvalue(r, 0, 2), &f->flushed);
    if (ok) {
        f->system = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
        f->server_timeline = (uint32_t)strtoul(PQgetvalue(r, 0, 1), NULL, 10);
    }
    PQclear(r);
    if (!ok || !f->system || !f->server_timeline)
        return err_set(e, ERR_PROTOCOL, _("the server does not say which system it is: %s"),
                       PQerrorMessage(f->c));
    int rc = server_text(f->sql,
                         "SELECT setting::bigint * CASE unit WHEN '8kB' THEN 8192 ELSE 1 END "
                         "FROM pg_settings WHERE name = 'wal_segment_size'",
                         &segment, e);
    if (rc == 0)
        rc = server_text(f->sql, "SELECT pg_is_in_recovery()", &standby, e);
    f->standby = standby && standby[0] == 't';
    free(standby);
    if (rc == 0)
        rc = server_text(f->sql, "SHOW wal_level", &level, e);
    if (rc == 0)
        rc = server_text(f->sql, "SELECT current_setting('max_slot_wal_keep_size', true)", &keep,
                         e);
    f->segment_bytes = segment ? strtoull(segment, NULL, 10) : 0;
    if (rc == 0 && (f->segment_bytes < (1u << 20) || f->segment_bytes & (f->segment_bytes - 1)))
        rc = err_set(e, ERR_PROTOCOL,
                     _("the server does not say how large a segment of its log is"));
    if (rc == 0 && level && strcmp(level, "minimal") == 0) {
        err_set(e, ERR_CONFIG,
                _("the server's wal_level is minimal: its log is not enough to restore from"));
        rc = err_next(e, _("ALTER SYSTEM SET wal_level = replica; then restart the server"));
    }
    if (rc == 0 && (!keep || strcmp(keep, "-1") == 0))
        rc = note(
            f, false,
            _("nothing bounds what the server keeps for us when we are away: its disk could fill; "
              "set a bound: ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'"),
            e);
    free(segment);
    free(level);
    free(keep);
    return rc;
}

/* "0/3000000", what the slot still keeps; slot_lsn 0: there is none, or nothing of it. */
static int look_at_slot(struct follow *f, bool *ret_exists, bool *ret_lost, struct err *e)
{
    const char *const params[] = { f->slot };
    PGresult *r = NULL;
    const char *sql = PQserverVersion(f->sql) >= 130000
                          ? "SELECT restart_lsn, active_pid, slot_type, wal_status = 'lost' FROM "
                            "pg_replication_slots WHERE slot_name = $1"
                          : "SELECT restart_lsn, active_pid, slot_type, false FROM "
                            "pg_replication_slots WHERE slot_name = $1";
    int rc = server_query(f->sql, sql, 1, params, &r, e);
    if (rc < 0)
        return rc;
    *ret_exists = PQntuples(r) > 0;
    *ret_lost = *ret_exists && PQgetvalue(r, 0, 3)[0] == 't';
    f->slot_lsn = 0;
    if (*ret_exists && !PQgetisnull(r, 0, 0) && !lsn_parse(PQgetvalue(r, 0, 0), &f->slot_lsn))
        f->slot_lsn = 0;
    if (*ret_exists && strcmp(PQgetvalue(r, 0, 2), "physical") != 0) {
        err_set(e, ERR_CONFIG, _("the replication slot \"%s\" is another's"), f->slot);
        rc = err_next(e, _("name another one in the policy: \"slot: NAME\""));
    } else if (*ret_exists && !PQgetisnull(r, 0, 1)) {
        err_set(e, ERR_BUSY, _("the replication slot \"%s\" is in use by the server's process %s"),
                f->slot, PQgetvalue(r, 0, 1));
        rc = err_next(
            e, _("if that is another policy or orchestrator, name another one in the policy: "
                 "\"slot: NAME\""));
    }
    PQclear(r);
    return rc;
}

static int take_slot(struct follow *f, struct err *e)
{
    const char *const params[] = { f->slot };
    PGresult *r = NULL;
    bool exists = false, lost = false;
    int rc = look_at_slot(f, &exists, &lost, e);
    f->slot_was = f->slot_lsn;
    if (rc == 0 && exists && f->slot_lsn == 0 && !lost) { /* ours keeps something from the first */
        err_set(
            e, ERR_CONFIG,
            _("the replication slot \"%s\" keeps nothing yet: another made it, and has not used it"),
            f->slot);
        return err_next(
            e,
            _("name another one in the policy: \"slot: NAME\"; if nobody needs it: SELECT "
              "pg_drop_replication_slot('%s');"),
            f->slot);
    }
    if (rc == 0 && exists && lost) { /* the server took away what it kept, to protect its disk */
        rc = server_query(f->sql, "SELECT pg_drop_replication_slot($1)", 1, params, &r, e);
        PQclear(r);
        r = NULL;
        exists = false;
    }
    if (rc == 0 && !exists) {
        rc = server_query(f->sql, "SELECT pg_create_physical_replication_slot($1, true)", 1, params,
                          &r, e);
        PQclear(r);
        if (rc == -ERR_REFUSED)
            err_next(e, _("ALTER ROLE %s REPLICATION;"), PQuser(f->sql));
        else if (rc < 0)
            err_next(e, _("is there room for another one? See max_replication_slots"));
        if (rc == 0)
            rc = look_at_slot(f, &exists, &lost, e);
    }
    if (rc == 0)
        rc = pg_slot_made(f->sql, f->spec, f->env, e);
    return rc < 0 ? err_wrap(e, _("replication slot")) : 0;
}

/* It was followed by archive_command before, and the server still does its part. */
static int check_archiving(struct follow *f, struct err *e)
{
    char *command = NULL, text[2 * ERR_TEXT_BYTES];
    int rc = server_text(f->sql,
                         "SELECT c.setting FROM pg_settings c, pg_settings m WHERE c.name = "
                         "'archive_command' AND m.name = 'archive_mode' AND m.setting <> 'off' "
                         "AND c.setting LIKE '%twofold-agent archive %'",
                         &command, e);
    if (rc == 0 && command) {
        snprintf(
            text, sizeof text,
            _("nobody takes from the folder that archive_command fills (%s), and its disk will fill: "
              "ALTER SYSTEM RESET archive_command; SELECT pg_reload_conf(); or say so in the policy: archive: FOLDER"),
            command);
        rc = note(f, false, text, e);
    }
    free(command);
    return rc;
}

/* --- timelines ---------------------------------------------------------------------------------- */
/* The history of a timeline as a piece; *ret (may be NULL) is its text, owned. */
static int put_history(struct follow *f, uint32_t timeline, uint64_t at, struct err *e)
{
    char sql[64];
    if (timeline < 2)
        return 0;
    snprintf(sql, sizeof sql, "TIMELINE_HISTORY %" PRIu32, timeline);
    PGresult *r = PQexec(f->c, sql);
    int n = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1 ? PQgetlength(r, 0, 1) : 0;
    int rc = n > 0 && n <= (int)MAX_HISTORY_BYTES
                 ? log_sink_put(f->k, LOG_HISTORY, timeline, at, PQgetvalue(r, 0, 1), (size_t)n, e)
                 : err_set(e, ERR_FAILED,
                           _("the server has no history of its timeline %" PRIu32 ": %s"), timeline,
                           PQerrorMessage(f->c));
    PQclear(r);
    return rc;
}

static int ask_switch(struct follow *f, bool *ret_found, uint64_t *ret_at, uint32_t *ret_next,
                      struct err *e)
{
    char sql[64];
    snprintf(sql, sizeof sql, "TIMELINE_HISTORY %" PRIu32, f->server_timeline);
    PGresult *r = PQexec(f->c, sql);
    bool ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;
    *ret_found = ok && history_next(PQgetvalue(r, 0, 1), f->last->timeline, f->server_timeline,
                                    ret_at, ret_next);
    PQclear(r);
    return ok ? 0
              : err_set(e, ERR_FAILED,
                        _("the server has no history of its timeline %" PRIu32 ": %s"),
                        f->server_timeline, PQerrorMessage(f->c));
}

static uint64_t segment_start(const struct follow *f, uint64_t lsn)
{
    return lsn - lsn % f->segment_bytes;
}

static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get64(const char *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

/* --- where to begin ----------------------------------------------------------------------------- */
/* On which timeline the server has the segment that begins at f->at. */
static int find_timeline(struct follow *f, struct err *e)
{
    char sql[64];
    f->timeline = f->server_timeline;
    if (f->timeline < 2)
        return 0;
    snprintf(sql, sizeof sql, "TIMELINE_HISTORY %" PRIu32, f->server_timeline);
    PGresult *r = PQexec(f->c, sql);
    bool ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;
    for (const char *line = ok ? PQgetvalue(r, 0, 1) : ""; *line;
         line += strcspn(line, "\n"), line += *line == '\n') {
        uint32_t tli = 0;
        uint64_t left = 0;
        if (history_line(line, &tli, &left) && segment_start(f, left) > f->at) {
            f->timeline = tli;
            break;
        }
    }
    PQclear(r);
    return ok ? 0
              : err_set(e, ERR_FAILED,
                        _("the server has no history of its timeline %" PRIu32 ": %s"),
                        f->server_timeline, PQerrorMessage(f->c));
}

/* An epoch of its own, from what the server still keeps. */
static int begin_anew(struct follow *f, const char *why, struct err *e)
{
    char text[ERR_TEXT_BYTES], end[LSN_TEXT_BYTES], start[LSN_TEXT_BYTES];
    f->at = segment_start(f, f->slot_lsn);
    log_sink_break(f->k);
    int rc = find_timeline(f, e);
    if (rc < 0)
        return rc;
    if (why) {
        snprintf(
            text, sizeof text,
            _("the log that is kept ends at %s and does not go on: %s; it begins anew at %s: to "
              "restore what comes now, a backup is needed"),
            lsn_print(f->last->end, end), why, lsn_print(f->at, start));
        rc = note(f, true, text, e);
    }
    return rc == 0 ? put_history(f, f->timeline, f->at, e) : rc;
}

static int go_on_behind(struct follow *f, struct err *e)
{
    uint64_t at = 0;
    uint32_t next = 0;
    bool found = false;
    int rc = ask_switch(f, &found, &at, &next, e);
    if (rc < 0)
        return rc;
    if (!found)
        return begin_anew(f, _("the server's timeline does not come from it"), e);
    /* The next one's first segment has what it shares with the one before: the rest of that is only needed up to there. */
    if (segment_start(f, at) > f->last->end) {
        f->timeline = f->last->timeline;
        f->at = f->last->end;
        return 0;
    }
    f->timeline = next;
    f->at = segment_start(f, at);
    return put_history(f, next, f->at, e);
}

/* The end of what is kept, as the server has it now; *ret_n 0: it cannot be had any more. In a session of its own, which ends with it. */
static int read_seam(struct follow *f, uint64_t from, uint8_t *p, size_t n, size_t *ret_n,
                     struct err *e)
{
    char sql[128], lsn[LSN_TEXT_BYTES];
    PGconn *c = NULL;
    int rc = server_connect_replication(source_spec_get(f->spec, "conninfo"),
                                        source_spec_get(f->spec, "os-user"), &c, e);
    if (rc < 0)
        return rc;
    snprintf(sql, sizeof sql, "START_REPLICATION PHYSICAL %s TIMELINE %" PRIu32,
             lsn_print(from, lsn), f->last->timeline);
    PGresult *r = PQexec(c, sql);
    size_t have = 0;
    int got = PQresultStatus(r) == PGRES_COPY_BOTH ? 1 : 0;
    PQclear(r);
    while (got > 0 && have < n) {
        char *m = NULL;
        got = PQgetCopyData(c, &m, 0);
        size_t len = got > DATA_HEADER && m[0] == 'w' ? (size_t)got - DATA_HEADER : 0;
        bool next = len > 0 && get64(m + 1) == from + have;
        len = !next ? 0 : len < n - have ? len : n - have;
        if (len > 0)
            memcpy(p + have, m + DATA_HEADER, len);
        have += len;
        PQfreemem(m);
    }
    PQfinish(c);
    *ret_n = have == n ? n : 0;
    return 0;
}

/* A server that was put back and has written as much again, but other things, has the same positions: only the bytes tell. Where it has
 * removed them its slot does: it stands where our last word left it. 1: it begins anew. */
static int check_seam(struct follow *f, struct err *e)
{
    const struct log_piece *l = f->last;
    uint8_t mark[LOG_MARK_BYTES], *p;
    size_t n = l->len < LOG_MARKED ? l->len : LOG_MARKED, have = 0;
    if (l->kind != LOG_BYTES || bytes_all_zero(l->mark, sizeof l->mark))
        return 0;
    p = malloc(LOG_MARKED);
    int rc = p ? read_seam(f, l->end - n, p, n, &have, e) : no_memory(e);
    if (rc == 0 && have > 0)
        log_piece_mark(p, n, mark);
    bool same = have > 0 && memcmp(mark, l->mark, sizeof mark) == 0;
    free(p);
    if (rc < 0 || same || (have == 0 && f->slot_was == l->end))
        return rc;
    rc = begin_anew(f,
                    have > 0 ? _("the server was put back to an earlier state")
                             : _("it cannot be told whether the server was put back meanwhile"),
                    e);
    return rc < 0 ? rc : 1;
}

static int choose_start(struct follow *f, struct err *e)
{
    const struct log_piece *l = f->last;
    if (l->seq == 0)
        return begin_anew(f, NULL, e);
    if (l->system != f->system)
        return begin_anew(f, _("this is another database system"), e);
    if (l->timeline > f->server_timeline)
        return begin_anew(f, _("the server is on an older timeline"), e);
    if (l->timeline < f->server_timeline)
        return go_on_behind(f, e);
    if (l->end > f->flushed && f->standby) {
        err_set(e, ERR_UNREACHABLE,
                _("the standby has not received again yet what is kept already"));
        return err_next(e, _("it goes on when it has; does its primary run?"));
    }
    if (l->end > f->flushed)
        return begin_anew(f, _("the server was put back to an earlier state"), e);
    if (l->end < segment_start(f, f->slot_lsn))
        return begin_anew(f, _("the server has removed what came next"), e);
    int rc = check_seam(f, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;

    f->timeline = l->timeline;
    f->at = l->end;
    return 0;
}

/* --- the stream --------------------------------------------------------------------------------- */
static int lost(struct follow *f, struct err *e)
{
    char text[ERR_TEXT_BYTES];
    if (pg_guard_fired(f->guard, text)) {
        err_set(e, ERR_LIMIT, "%s", text);
        return err_next(e, _("see what the copies do: twofold status; then make a backup"));
    }
    snprintf(text, sizeof text, "%s", PQerrorMessage(f->c));
    text[strcspn(text, "\n")] = '\0';
    err_set(e, ERR_UNREACHABLE, _("the server has ended the stream: %s"),
            text[0] ? text : _("it is gone"));
    return err_next(e, _("is it running? It goes on from here when it is"));
}

static int flush_piece(struct follow *f, struct err *e)
{
    int rc = f->n ? log_sink_put(f->k, LOG_BYTES, f->timeline, f->at - f->n, f->buf, f->n, e) : 0;
    f->got |= f->n > 0;
    f->n = 0;
    return rc;
}

static int send_status(struct follow *f, struct err *e)
{
    uint8_t m[34] = { 'r' };
    uint32_t timeline = 0;
    uint64_t durable = 0, now = sys_monotonic_ms();
    if (!log_sink_durable(f->k, &timeline, &durable) || timeline != f->timeline)
        durable = 0;
    if (durable == f->told && f->status_ms && now - f->status_ms < STATUS_MS)
        return 0;
    put64(m + 1, f->at);
    put64(m + 9, durable);
    put64(
        m + 17,
        durable); /* who made us a synchronous standby with remote_apply waits, but not for ever */
    put64(m + 25, (uint64_t)(sys_realtime_ns() / 1000 - PG_EPOCH_US));
    if (PQputCopyData(f->c, (const char *)m, sizeof m) <= 0 || PQflush(f->c) < 0)
        return lost(f, e);
    f->told = durable;
    f->status_ms = now;
    if (durable == f->at)
        f->asked_ms = 0;
    return 0;
}

static int take_data(struct follow *f, const char *p, size_t n, uint64_t from, struct err *e)
{
    if (from != f->at)
        return err_set(e, ERR_PROTOCOL,
                       _("the server sent another part of its log than was asked for"));
    while (n > 0) {
        size_t part = PIECE_BYTES - f->n < n ? PIECE_BYTES - f->n : n;
        if (f->n == 0)
            f->since_ms = sys_monotonic_ms();
        memcpy(f->buf + f->n, p, part);
        f->n += part;
        f->at += part;
        p += part;
        n -= part;
        int rc = f->n == PIECE_BYTES ? flush_piece(f, e) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int take_message(struct follow *f, const char *p, size_t n, struct err *e)
{
    if (p[0] == 'w' && n >= DATA_HEADER) {
        f->head = get64(p + 9);
        return take_data(f, p + DATA_HEADER, n - DATA_HEADER, get64(p + 1), e);
    }
    if (p[0] == 'k' && n >= 18) {
        f->head = get64(p + 1);
        f->status_ms = p[17] ? 0 : f->status_ms; /* it wants to hear from us */
        if (p[17] && !f->asked_ms)
            f->asked_ms = sys_monotonic_ms();
        return p[17] ? flush_piece(f, e) : 0;
    }
    return err_set(e, ERR_PROTOCOL, _("the server sent what is not of its protocol"));
}

/* All that has come by now. 1: the timeline has ended. */
static int take_all(struct follow *f, struct err *e)
{
    f->more = true;
    uint64_t until = sys_monotonic_ms() + LOOK_MS; /* the server wants to hear from us, too */
    while (!log_sink_full(f->k) && sys_monotonic_ms() < until) {
        char *p = NULL;
        int n = PQgetCopyData(f->c, &p, 1);
        if (n == 0 && !PQconsumeInput(f->c))
            return lost(f, e);
        if (n == 0 && (n = PQgetCopyData(f->c, &p, 1)) == 0) {
            f->more = false;
            return 0;
        }
        if (n == -1)
            return 1;
        if (n < 0)
            return lost(f, e);
        int rc = take_message(f, p, (size_t)n, e);
        PQfreemem(p);
        if (rc < 0)
            return rc;
    }
    f->more = f->more && !log_sink_full(f->k);
    return 0;
}

static int keep_time(struct follow *f, struct err *e)
{
    uint64_t now = sys_monotonic_ms();
    int rc = f->n && now - f->since_ms >= f->interval_ms ? flush_piece(f, e) : 0;
    if (rc == 0)
        rc = send_status(f, e);
    if (rc == 0)
        rc = log_sink_head(f->k, f->timeline, f->head > f->at ? f->head : f->at, e);
    if (rc == 0 && f->asked_ms && now - f->asked_ms > LATE_MS) {
        err_set(e, ERR_TIMEOUT, _("the server waits for its log to be safe, and no copy takes it"));
        rc = err_next(e, _("see what the copies do: twofold status"));
    }
    return rc;
}

/* 1: the timeline has ended. */
static int run_timeline(struct follow *f, struct err *e)
{
    int rc = 0;
    while (rc == 0) {
        bool readable = false;
        rc = take_all(f, e);
        if (rc == 0)
            rc = keep_time(f, e);
        unsigned ms = f->more ? 0 : f->interval_ms < LOOK_MS ? f->interval_ms : LOOK_MS;
        if (rc == 0)
            rc = log_sink_wait(f->k, log_sink_full(f->k) ? -1 : PQsocket(f->c), ms, &readable, e);
    }
    if (rc == 1) {
        int flushed = flush_piece(f, e);
        rc = flushed < 0 ? flushed : 1;
    }
    return rc;
}

/* The server's answer to the end of a timeline: which one goes on, and where. */
static int take_next(struct follow *f, const PGresult *r, struct err *e)
{
    uint64_t at = 0;
    if (PQntuples(r) != 1 || PQnfields(r) < 2 || !lsn_parse(PQgetvalue(r, 0, 1), &at))
        return lost(f, e);
    f->timeline = (uint32_t)strtoul(PQgetvalue(r, 0, 0), NULL, 10);
    f->at = segment_start(f, at);
    return put_history(f, f->timeline, f->at, e);
}

/* The server has ended the stream: a timeline is over, it shuts down, or has not got what was asked for. */
static int stream_over(struct follow *f, struct err *e)
{
    if (PQputCopyEnd(f->c, NULL) > 0) /* not where the server has said so already */
        (void)PQflush(f->c);
    PGresult *r = PQgetResult(f->c);
    if (PQresultStatus(r) == PGRES_COPY_IN || PQresultStatus(r) == PGRES_COPY_OUT) {
        PQclear(r);
        r = PQgetResult(f->c);
    }
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    bool removed = state && strcmp(state, NO_SUCH_FILE) == 0 && !f->got;
    int rc = 0;
    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        rc = take_next(f, r, e);
    else if (PQresultStatus(r) == PGRES_COMMAND_OK)
        rc = err_set(e, ERR_UNREACHABLE, _("the server shuts down"));
    else if (!removed)
        rc = lost(f, e);
    do
        PQclear(r);
    while ((r = PQgetResult(f->c)) != NULL);
    return removed ? begin_anew(f, _("the server has removed what came next"), e) : rc;
}

/* 1: the timeline was over already, and the next one is set. */
static int start(struct follow *f, struct err *e)
{
    char sql[256], lsn[LSN_TEXT_BYTES], text[ERR_TEXT_BYTES];
    snprintf(sql, sizeof sql, "START_REPLICATION SLOT \"%s\" PHYSICAL %s TIMELINE %" PRIu32,
             f->slot, lsn_print(f->at, lsn), f->timeline);
    PGresult *r = PQexec(f->c, sql);
    const char *why = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    int rc = PQresultStatus(r) == PGRES_COPY_BOTH   ? 0
             : PQresultStatus(r) == PGRES_TUPLES_OK ? 1
                                                    : -1;
    snprintf(text, sizeof text, "%s", why ? why : PQerrorMessage(f->c));
    if (rc < 0)
        rc = err_set(e, ERR_FAILED, _("the server says: %s"), text);
    else if (rc == 1 && take_next(f, r, e) < 0)
        rc = -(int)e->code;
    PQclear(r);
    f->told = 0;
    f->status_ms = 0;
    return rc;
}

static int follow(struct follow *f, struct err *e)
{
    const char *conninfo = source_spec_get(f->spec, "conninfo"),
               *os_user = source_spec_get(f->spec, "os-user");
    int rc = server_connect(conninfo, os_user, &f->sql, e);
    if (rc == 0)
        rc = take_slot(f, e);
    if (rc == 0)
        rc = check_archiving(f, e);
    if (rc == 0)
        rc = server_connect_replication(conninfo, os_user, &f->c, e);
    if (rc == 0)
        rc = pg_guard_start(f->spec, PQsocket(f->c), &f->guard, e);
    if (rc == 0)
        rc = ask(f, e);
    PQfinish(f->sql);
    f->sql = NULL;
    if (rc == 0) {
        log_sink_system(f->k, f->system);
        rc = choose_start(f, e);
    }
    while (rc == 0) {
        rc = start(f, e);
        if (rc == 1) {
            rc = 0;
            continue;
        }
        if (rc == 0)
            rc = run_timeline(f, e);
        if (rc == 1)
            rc = stream_over(f, e);
    }
    return rc;
}

/* While no copy takes the log. */
static int only_guard(struct follow *f, struct err *e)
{
    char text[ERR_TEXT_BYTES];
    int rc = server_connect(source_spec_get(f->spec, "conninfo"),
                            source_spec_get(f->spec, "os-user"), &f->sql, e);
    if (rc == 0)
        rc = pg_slot_guard(f->sql, f->spec, text, e);
    return rc == 1 ? f->env->note(f->env->ctx, true, PG_ROOT, strlen(PG_ROOT), text, e) : rc;
}

int pg_follow(const struct source_spec *spec, const struct source_env *env,
              const struct log_piece *last, unsigned interval_ms, struct log_sink *k, struct err *e)
{
    if (source_spec_get(spec, "archive"))
        return pg_follow_archive(spec, env, last, interval_ms, k, e);
    struct follow f = { .spec = spec,
                        .env = env,
                        .k = k,
                        .last = last,
                        .interval_ms = interval_ms,
                        .slot = pg_slot_name(spec) };
    if (strlen(f.slot) > 63 ||
        strspn(f.slot, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(f.slot))
        return err_set(e, ERR_CONFIG, _("\"%s\" is no name of a replication slot (a-z, 0-9, _)"),
                       f.slot);
    f.buf = k ? malloc(PIECE_BYTES) : NULL;
    int rc = !k ? only_guard(&f, e) : f.buf ? follow(&f, e) : no_memory(e);
    pg_guard_free(f.guard);
    PQfinish(f.sql);
    PQfinish(f.c);
    free(f.buf);
    return rc;
}
