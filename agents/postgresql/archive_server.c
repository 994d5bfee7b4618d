/* archive_server.c - see archive_server.h. */
#include "agents/postgresql/archive_server.h"
#include "agents/postgresql/archive.h"
#include "agents/postgresql/slot.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 1000
#define LONG_HEADER 40 /* of the first page of a segment */

static const char *place(const struct archive_server *s)
{
    return source_spec_get(s->spec, "archive");
}

static int note(struct archive_server *s, bool problem, const char *text, struct err *e)
{
    return s->env->note(s->env->ctx, problem, "", 0, text, e);
}

/* The number of the last transaction, before how far the log is: what was committed until then is in it. */
#define HOW_FAR                                                                                      \
    "SELECT txid_snapshot_xmax(txid_current_snapshot()), CASE WHEN pg_is_in_recovery() THEN "        \
    "coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE pg_current_wal_insert_lsn() END, "               \
    "pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM "              \
    "pg_control_checkpoint())::text ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END," \
    " CASE WHEN failed_count > 0 AND last_failed_time > coalesce(last_archived_time, '-infinity') "  \
    "THEN last_failed_wal END, extract(epoch FROM current_setting('archive_timeout')::interval)"     \
    "::bigint FROM pg_stat_archiver"

static int tell_failing(struct archive_server *s, const char *segment, struct err *e)
{
    char text[ERR_TEXT_BYTES];
    if (strcmp(s->failing, segment) == 0)
        return 0;
    snprintf(s->failing, sizeof s->failing, "%s", segment);
    if (!segment[0])
        return 0;
    snprintf(
        text, sizeof text,
        _("the server cannot archive %s: its own log says why; until it can, nothing of it is in the copies"),
        segment);
    return note(s, true, text, e);
}

/* "SYSTEM XID LSN": since then no transaction has ended. It holds over a restart of ours. */
static void remember_quiet(struct archive_server *s, bool write)
{
    char text[96], *path = archive_state_file(s->env->state_dir, place(s), "quiet"), *end = NULL;
    uint8_t *have = NULL;
    size_t n = 0;
    int len = snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64 " ", s->system, s->xid);
    if (path && !write && sys_read_file(AT_FDCWD, path, sizeof text, &have, &n, NULL) == 0 &&
        n > (size_t)len && memcmp(have, text, (size_t)len) == 0) {
        uint64_t need = strtoull((const char *)have + len, &end, 10);
        s->xid_stored = *end == '\n' && need <= s->need;
        if (s->xid_stored)
            s->need = need;
    }
    snprintf(text + len, sizeof text - (size_t)len, "%" PRIu64 "\n", s->need);
    if (path && write)
        s->xid_stored = sys_write_file(AT_FDCWD, path, text, strlen(text), 0600, NULL) == 0;
    free(have);
    free(path);
}

/* Had anything been committed in the segment that is being written, the server would have gone over to the next one by now. */
static bool is_quiet(const struct archive_server *s)
{
    uint64_t limit_ms = (2 * s->timeout_s + 2) * 1000;
    return s->timeout_s > 0 && !s->standby && s->segment == s->head / s->segment_bytes &&
           sys_monotonic_ms() - s->xid_ms > limit_ms &&
           sys_monotonic_ms() - s->segment_ms > limit_ms;
}

static int take_answer(struct archive_server *s, const PGresult *r, struct err *e)
{
    uint64_t xid = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
    s->standby = PQgetvalue(r, 0, 2)[0] == 't';
    s->timeline = (uint32_t)strtoul(PQgetvalue(r, 0, 3), NULL, s->standby ? 10 : 16);
    if (!lsn_parse(PQgetvalue(r, 0, 1), &s->head) || !s->timeline)
        return err_set(e, ERR_PROTOCOL, _("the server gave no position in its log"));
    if (s->head % s->segment_bytes <= LONG_HEADER) /* nothing is in that segment yet */
        s->head -= s->head % s->segment_bytes;
    s->timeout_s = strtoull(PQgetvalue(r, 0, 5), NULL, 10);
    if (s->segment != s->head / s->segment_bytes) {
        s->segment = s->head / s->segment_bytes;
        s->segment_ms = sys_monotonic_ms();
    }
    bool first = s->xid == 0;
    if (xid != s->xid) {
        s->xid = xid;
        s->xid_ms = sys_monotonic_ms();
        s->need = s->head;
        s->xid_stored = false;
        if (first)
            remember_quiet(s, false);
    } else if (is_quiet(s) && s->need > s->head - s->head % s->segment_bytes) {
        s->need = s->head - s->head % s->segment_bytes;
        s->xid_stored = false;
    } else if (!s->xid_stored) {
        remember_quiet(s, true);
    }
    return tell_failing(s, PQgetvalue(r, 0, 4), e);
}

int archive_server_ask(struct archive_server *s, struct err *e)
{
    PGresult *r = NULL;
    uint64_t now = sys_monotonic_ms();
    if (!s->sql || (s->asked_ms && now - s->asked_ms < ASK_MS))
        return 0;
    s->asked_ms = now;
    int rc = server_query(s->sql, HOW_FAR, 0, NULL, &r, &s->down);
    if (rc == -ERR_UNREACHABLE) { /* what it has archived can be taken all the same */
        PQfinish(s->sql);
        s->sql = NULL;
        return 0;
    }
    if (rc < 0) {
        *e = s->down;
        return rc;
    }
    rc = take_answer(s, r, e);
    PQclear(r);
    return rc;
}

static int check_settings(struct archive_server *s, struct err *e)
{
    char *mode = NULL, *timeout = NULL, text[ERR_TEXT_BYTES];
    int rc = server_text(s->sql, "SHOW archive_mode", &mode, e);
    if (rc == 0)
        rc = server_text(s->sql, "SELECT setting FROM pg_settings WHERE name = 'archive_timeout'",
                         &timeout, e);
    if (rc == 0 && mode && strcmp(mode, "off") == 0) {
        err_set(e, ERR_CONFIG, _("the server archives nothing: its archive_mode is off"));
        rc = err_next(e,
                      _("ALTER SYSTEM SET archive_mode = on; ALTER SYSTEM SET archive_command = "
                        "'twofold-agent archive %s %%p %%f'; then restart the server"),
                      place(s));
    }
    if (rc == 0 && timeout && strcmp(timeout, "0") == 0) {
        snprintf(
            text, sizeof text,
            _("the server archives a segment when it is full, however long that takes: what is committed "
              "until then is in no copy; set a bound: ALTER SYSTEM SET archive_timeout = '60s'"));
        rc = note(s, false, text, e);
    }
    free(mode);
    free(timeout);
    return rc;
}

int archive_server_open(struct archive_server *s, const struct source_spec *spec,
                        const struct source_env *env, struct err *e)
{
    *s = (struct archive_server){ .spec = spec, .env = env };
    char *system = NULL, *segment = NULL;
    int rc = server_connect(source_spec_get(s->spec, "conninfo"),
                            source_spec_get(s->spec, "os-user"), &s->sql, e);
    if (rc == 0)
        rc = server_text(s->sql, "SELECT system_identifier FROM pg_control_system()", &system, e);
    if (rc == 0)
        rc = server_text(s->sql,
                         "SELECT setting::bigint * CASE unit WHEN '8kB' THEN 8192 ELSE 1 END "
                         "FROM pg_settings WHERE name = 'wal_segment_size'",
                         &segment, e);
    s->system = system ? strtoull(system, NULL, 10) : 0;
    s->segment_bytes = segment ? strtoull(segment, NULL, 10) : 0;
    free(system);
    free(segment);
    if (rc == 0 &&
        (!s->system || s->segment_bytes < (1u << 20) || s->segment_bytes & (s->segment_bytes - 1)))
        rc = err_set(e, ERR_PROTOCOL, _("the server does not say which system it is: %s"), "?");
    if (rc == 0)
        rc = check_settings(s, e);
    if (rc == 0)
        rc = pg_slot_retire(s->sql, s->spec, s->env, e);
    return rc == 0 ? archive_server_ask(s, e) : rc;
}

void archive_server_close(struct archive_server *s)
{
    PQfinish(s->sql);
    s->sql = NULL;
}
