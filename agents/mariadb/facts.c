/* facts.c - facts.json: what the server was like, for later checks and for a restore that needs to know. */
#include "agents/mariadb/seam.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INFO_BYTES (1u << 20)

/* A file of mariadb-backup's own, which newer versions call mariadb_backup_… Owned text, or NULL. */
static char *own_file(const struct my *m, const char *name)
{
    static const char *const prefixes[] = { "xtrabackup_", "mariadb_backup_" };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char path[PATH_MAX];
        uint8_t *text = NULL;
        size_t n = 0;
        int len = snprintf(path, sizeof path, "%s/%s%s", m->backup, prefixes[i], name);
        if (len > 0 && len < (int)sizeof path &&
            sys_read_plain(AT_FDCWD, path, MAX_INFO_BYTES, &text, &n, NULL) == 0)
            return (char *)text;
    }
    return NULL;
}

/* "last_lsn = 3808729" */
static json_t *line_value(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = text; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (strncmp(p, key, n) == 0 && strncmp(p + n, " = ", 3) == 0)
            return json_stringn(p + n + 3, strcspn(p + n + 3, "\n"));
    return json_null();
}

/* "bl.000001 <tab> 2875 <tab> 0-7-14" */
static void put_binlog(json_t *o, char *text)
{
    char *at = text, *f[3] = { NULL, NULL, NULL };
    size_t n = my_fields(&at, f, 3);
    if (n < 2)
        return;
    json_object_set_new(o, "binlog",
                        json_pack("{s:s?, s:s?, s:s?}", "file", f[0], "position", f[1], "gtid",
                                  n > 2 ? f[2] : NULL));
}

static json_t *settings_json(const struct my *m)
{
    json_t *o = json_object();
    for (size_t i = 0; i < m->vars.n; i++)
        json_object_set_new(o, m->vars.name[i], json_string(m->vars.value[i]));
    return o;
}

static const char *elsewhere(const struct my *m, const char *name)
{
    const char *v = my_var(&m->vars, name);
    size_t n = strlen(m->data);
    return v[0] == '/' &&
                   !(strncmp(v, m->data, n) == 0 && (v[n] == '\0' || strcmp(v + n, "/") == 0))
               ? v
               : NULL;
}

/* Folders of its own that the server's settings name: at a restore all lies in one. */
static json_t *folders_json(const struct my *m)
{
    static const char *const names[] = { "innodb_data_home_dir", "innodb_undo_directory",
                                         "innodb_log_group_home_dir", "aria_log_dir_path" };
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (elsewhere(m, names[i]))
            json_object_set_new(o, names[i], json_string(elsewhere(m, names[i])));
    return o;
}

/* The sizes of databases, as far as the account may see their tables. */
static json_t *databases_json(const struct my *m)
{
    char *text = NULL, *at, *f[3];
    json_t *a = json_array();
    if (my_query(&m->server,
                 "SELECT TABLE_SCHEMA, COUNT(*), SUM(IFNULL(DATA_LENGTH, 0) + IFNULL(INDEX_LENGTH, "
                 "0)) FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND "
                 "TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys') "
                 "GROUP BY TABLE_SCHEMA ORDER BY TABLE_SCHEMA",
                 &text, NULL) < 0)
        return a;
    for (at = text; my_fields(&at, f, 3) == 3;)
        json_array_append_new(
            a, json_pack("{s:s, s:s, s:s}", "name", f[0], "tables", f[1], "bytes", f[2]));
    free(text);
    return a;
}

static json_t *binlogs_json(const struct my *m)
{
    json_t *files = json_array();
    for (size_t i = 0; i < m->n_logs; i++)
        if (m->logs_seen[i])
            json_array_append_new(files, json_string(m->logs[i]));
    return json_pack("{s:I, s:o}", "flushed_at", (json_int_t)m->flushed_s, "files", files);
}

/* A backup of which the place in the log cannot be told is one all the same. */
int my_find_seam(struct my *m, struct err *e)
{
    char *text = own_file(m, "binlog_info"), *at = text, *f[2], said[2 * ERR_TEXT_BYTES];
    struct err why = ERR_INIT;
    int rc = text && my_fields(&at, f, 2) == 2
                 ? my_seam_ask(&m->server, f[0], strtoull(f[1], NULL, 10), &m->seam, &why)
                 : err_set(&why, ERR_ABSENT, _("mariadb-backup does not say where it ended"));
    free(text);
    if (rc == 0)
        return 0;
    snprintf(said, sizeof said, _("its log cannot be replayed on this backup: %s"), why.why);
    return m->env.note(m->env.ctx, true, MY_ROOT, strlen(MY_ROOT), said, e);
}

int my_make_facts(struct my *m, struct err *e)
{
    char *info = own_file(m, "info"), *points = own_file(m, "checkpoints"),
         *binlog = own_file(m, "binlog_info");
    const char *uid = my_var(&m->vars, "server_uid"), *uuid = my_var(&m->vars, "server_uuid");
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "kind", MY_ROOT, "server_version",
        my_var(&m->vars, "version"), "server_id", my_var(&m->vars, "server_id"), "server_uid",
        uid[0] ? uid : uuid, "data_directory", m->data, "started_at", (json_int_t)m->started_s,
        "stopped_at", (json_int_t)m->stopped_s, "pages_wrong", (json_int_t)m->pages_wrong);
    const char *binaries = source_spec_get(m->spec, "binaries");
    if (binaries)
        json_object_set_new(o, "binaries", json_string(binaries));
    json_object_set_new(o, "tool_version", line_value(info, "tool_version"));
    json_object_set_new(o, "from_lsn", line_value(points, "to_lsn"));
    json_object_set_new(o, "last_lsn", line_value(points, "last_lsn"));
    if (binlog)
        put_binlog(o, binlog);
    if (json_array_size(m->checks) > 0)
        json_object_set(o, "checks", m->checks);
    if (m->seam)
        json_object_set(o, "log", m->seam);
    if (m->logs_place)
        json_object_set_new(o, "binlogs", binlogs_json(m));
    json_object_set_new(o, "folders", folders_json(m));
    json_object_set_new(o, "settings", settings_json(m));
    json_object_set_new(o, "zone",
                        json_pack("{s:s, s:I, s:I}", "name", m->zone, "at",
                                  (json_int_t)m->zone_at_s, "utc_offset_s",
                                  (json_int_t)m->zone_offset_s));
    json_object_set_new(o, "databases", databases_json(m));
    m->facts = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    free(info);
    free(points);
    free(binlog);
    return m->facts ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
}
