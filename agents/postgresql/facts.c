/* facts.c - facts.json: what the server was like, for later checks and for a restore that needs to know. */
#include "agents/postgresql/inner.h"
#include "lib/base/i18n.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *spaces_json(const struct pg *p)
{
    json_t *a = json_array();
    for (size_t i = 0; i < p->n_spaces; i++)
        json_array_append_new(a, json_pack("{s:s, s:s, s:s}", "oid", p->spaces[i].oid, "name",
                                           p->spaces[i].name, "location", p->spaces[i].place));
    return a;
}

/* Rows of texts as objects; what may not be asked is left out. */
static json_t *rows_json(struct pg *p, const char *sql)
{
    struct err ignored = ERR_INIT;
    PGresult *r = NULL;
    json_t *a = json_array();
    if (server_query(p->c, sql, 0, NULL, &r, &ignored) < 0)
        return a;
    for (int i = 0; i < PQntuples(r); i++) {
        json_t *o = json_object();
        for (int k = 0; k < PQnfields(r); k++)
            json_object_set_new(o, PQfname(r, k),
                                PQgetisnull(r, i, k) ? json_null()
                                                     : json_string(PQgetvalue(r, i, k)));
        json_array_append_new(a, o);
    }
    PQclear(r);
    return a;
}

static json_t *settings_json(struct pg *p)
{
    json_t *rows = rows_json(
        p, "SELECT name, setting FROM pg_settings WHERE name IN ('max_connections', "
           "'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', "
           "'max_locks_per_transaction', 'shared_preload_libraries', 'wal_level', 'port', "
           "'server_encoding', 'TimeZone', 'full_page_writes', 'fsync')");
    json_t *o = json_object();
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        json_object_set(o, json_string_value(json_object_get(row, "name")),
                        json_object_get(row, "setting"));
    }
    json_decref(rows);
    return o;
}

int pg_make_facts(struct pg *p, struct err *e)
{
    char start[LSN_TEXT_BYTES], stop[LSN_TEXT_BYTES];
    json_t *o = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:b, s:b, s:i, s:I, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "kind",
        PG_ROOT, "server_version", p->version_text, "server_version_num", p->version,
        "system_identifier", p->system_id, "data_directory", p->received ? p->server_data : p->data,
        "data_checksums", p->checksums, "standby", p->standby, "block_size", (int)p->page_bytes,
        "wal_segment_size", (json_int_t)p->wal_segment_bytes, "timeline", (json_int_t)p->timeline,
        "start_lsn", lsn_print(p->start_lsn, start), "stop_lsn", lsn_print(p->stop_lsn, stop),
        "started_at", (json_int_t)p->started_s, "stopped_at", (json_int_t)(p->stopped_us / 1000000),
        "pages_checked", (json_int_t)p->pages_checked, "pages_wrong", (json_int_t)p->pages_wrong);
    json_object_set_new(o, "stopped_at_us", json_integer((json_int_t)p->end_us));
    json_object_set_new(o, "access", json_string(p->received ? "replication" : "files"));
    json_object_set_new(o, "tablespaces", spaces_json(p));
    json_t *owner = rows_json(p, "SELECT rolname AS name FROM pg_roles WHERE oid = 10");
    json_object_set(o, "superuser", json_object_get(json_array_get(owner, 0), "name"));
    json_decref(owner);
    json_object_set_new(o, "settings", settings_json(p));
    json_object_set_new(
        o, "databases",
        rows_json(p, "SELECT datname AS name, oid::text, "
                     "CASE WHEN has_database_privilege(oid, 'CONNECT') OR "
                     "pg_has_role('pg_read_all_stats', 'USAGE') "
                     "THEN pg_database_size(oid)::text END AS bytes, "
                     "pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, "
                     "datfrozenxid::text AS frozen_xid "
                     "FROM pg_database WHERE datallowconn ORDER BY oid"));
    if (p->checks && json_array_size(p->checks) > 0)
        json_object_set(o, "checks", p->checks);
    p->facts = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    return p->facts ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
}
