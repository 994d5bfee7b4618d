/* server.c - see server.h. */
#include "agents/mariadb/server.h"
#include "agents/trusted.h"
#include "lib/base/i18n.h"
#include "lib/base/bytes.h"
#include "lib/base/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_LIMIT_S 600
#define MAX_ANSWER_BYTES (16u << 20)

int my_server_init(struct my_server *s, const struct source_spec *spec, const char *state_dir,
                   struct err *e)
{
    *s = (struct my_server){ .where = source_spec_get(spec, "server"),
                             .user = source_spec_get(spec, "user"),
                             .defaults_file = source_spec_get(spec, "defaults-file"),
                             .state_dir = state_dir };
    /* It may name libraries and programs, which the client would run as we are. */
    if (s->defaults_file && trusted_check(s->defaults_file, e) < 0)
        return err_wrap(e, "defaults-file");
    return prog_find(TOOL_CLIENT, source_spec_get(spec, "binaries"), s->client, e);
}

void my_server_args(const struct my_server *s, struct prog *r)
{
    const char *colon = strrchr(s->where, ':');
    if (s->defaults_file)
        prog_arg(r, "--defaults-file=%s", s->defaults_file);
    else
        prog_arg(r, "--no-defaults");
    if (s->where[0] == '/') {
        prog_arg(r, "--socket=%s", s->where);
    } else if (colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1)) {
        prog_arg(r, "--host=%.*s", (int)(colon - s->where), s->where);
        prog_arg(r, "--port=%s", colon + 1);
        prog_arg(r, "--protocol=tcp");
    } else {
        prog_arg(r, "--host=%s", s->where);
        prog_arg(r, "--protocol=tcp");
    }
    if (s->user)
        prog_arg(r, "--user=%s", s->user);
}

/* --- questions ----------------------------------------------------------------------------------- */
static int add_part(void *ctx, const char *part, size_t n, struct err *e)
{
    struct wbuf *w = ctx;
    if (w->len + n > MAX_ANSWER_BYTES)
        return err_set(e, ERR_LIMIT, _("the server's answer is too long"));
    wb_bytes(w, part, n);
    return 0;
}

static bool is_one_of(unsigned long number, const unsigned *list)
{
    while (*list && *list != number)
        list++;
    return *list != 0;
}

int my_failed(const struct my_server *s, unsigned long number, const char *text, struct err *e)
{
    static const unsigned login[] = { 1044, 1045, 1130, 1251, 1698, 4151, 0 };
    static const unsigned rights[] = { 1142, 1143, 1227, 1370, 0 };
    static const unsigned away[] = { 2002, 2003, 2005, 2006, 2013, 2026, 1040, 1053, 0 };
    enum err_code code = is_one_of(number, login) || is_one_of(number, rights) ? ERR_REFUSED
                         : is_one_of(number, away)                             ? ERR_UNREACHABLE
                                                                               : ERR_FAILED;
    err_set(e, code, _("the server says: %s"), text);
    if (is_one_of(number, away))
        err_next(e,
                 _("is the server running, and does \"server\" below mariadb: in the policy say "
                   "where (now: %s)?"),
                 s->where);
    else if (is_one_of(number, login))
        err_next(e, _("correct user: and defaults-file: below mariadb: in the policy; the password "
                      "belongs into that file: [client], password=…"));
    return -(int)code;
}

/* "ERROR 1045 (28000): Access denied for user …" */
static int failed(const struct my_server *s, const struct prog *r, struct err *e)
{
    char text[PROG_TAIL_BYTES + 1];
    prog_tail(r, text);
    const char *at = strstr(text, "ERROR ");
    return my_failed(s, at ? strtoul(at + strlen("ERROR "), NULL, 10) : 0, at ? at : text, e);
}

int my_stream(const struct my_server *s, const char *sql, uint64_t limit_s,
              int (*each)(void *ctx, const char *part, size_t n, struct err *e),
              int (*tick)(void *ctx, struct err *e), void *ctx, struct err *e)
{
    struct prog r;
    bool ok = false;
    int rc = prog_init(&r, s->state_dir, e);
    if (rc < 0)
        return rc;
    prog_begin(&r, s->client, s->as);
    my_server_args(s, &r);
    prog_arg(&r, "--local-infile=0"); /* a server could ask for any file that the client can read */
    prog_arg(&r, "--batch");
    prog_arg(&r, "--skip-column-names");
    prog_arg(&r, "--skip-reconnect");
    prog_arg(&r, "--unbuffered");
    prog_arg(&r, "--default-character-set=utf8mb4");
    prog_arg(&r, "--connect-timeout=10");
    rc = prog_start(&r, -1, e);
    if (rc == 0)
        rc = prog_feed(&r, sql, limit_s, each, tick, ctx, &ok, e);
    if (rc == 0 && !ok)
        rc = failed(s, &r, e);
    prog_done(&r);
    return rc;
}

int my_query(const struct my_server *s, const char *sql, char **ret, struct err *e)
{
    struct wbuf out = WBUF_INIT;
    int rc = my_stream(s, sql, QUERY_LIMIT_S, add_part, NULL, &out, e);
    wb_u8(&out, 0);
    if (rc == 0 && out.failed)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0 && ret) {
        *ret = (char *)out.p;
        out = WBUF_INIT;
    }
    wbuf_free(&out);
    return rc;
}

static void unescape(char *field)
{
    char *to = field;
    for (const char *p = field; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            *to++ = *p == 'n' ? '\n' : *p == 't' ? '\t' : *p == '0' ? ' ' : *p;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

size_t my_fields(char **text, char *fields[], size_t max)
{
    char *line = *text;
    size_t n = 0;
    if (!line || !*line)
        return 0;
    size_t len = strcspn(line, "\n");
    *text = line + len + (line[len] == '\n');
    line[len] = '\0';
    for (char *f; n < max && (f = strsep(&line, "\t"));) {
        unescape(f);
        fields[n++] = f;
    }
    return n;
}

/* --- variables ----------------------------------------------------------------------------------- */
#define VARS                                                                                   \
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'version_comment', 'datadir', "  \
    "'socket', 'port', 'hostname', 'server_id', 'server_uid', 'server_uuid', 'log_bin', "      \
    "'log_bin_basename', 'binlog_format', 'expire_logs_days', 'binlog_expire_logs_seconds', "  \
    "'gtid_binlog_pos', 'gtid_current_pos', 'gtid_mode', 'gtid_executed', "                    \
    "'innodb_data_home_dir', 'innodb_data_file_path', 'innodb_undo_directory', "               \
    "'innodb_undo_tablespaces', 'innodb_log_group_home_dir', 'innodb_log_file_size', "         \
    "'innodb_page_size', 'innodb_encrypt_log', 'innodb_encrypt_tables', 'aria_log_dir_path', " \
    "'lower_case_table_names', 'character_set_server', 'collation_server', 'time_zone', "      \
    "'system_time_zone', 'wsrep_on', 'plugin_dir', 'sync_binlog', 'log_slave_updates', "       \
    "'innodb_flush_log_at_trx_commit'"

int my_vars_ask(const struct my_server *s, struct my_vars *ret, struct err *e)
{
    struct wbuf sql = WBUF_INIT;
    *ret = (struct my_vars){ 0 };
    wb_bytes(&sql, VARS, strlen(VARS));
    for (const char *const *name = my_original_settings; *name; name++) {
        wb_bytes(&sql, ", '", 3);
        wb_bytes(&sql, *name, strlen(*name));
        wb_u8(&sql, '\'');
    }
    wb_bytes(&sql, ")", sizeof ")");
    int rc = sql.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                        : my_query(s, (const char *)sql.p, &ret->text, e);
    wbuf_free(&sql);
    char *at = ret->text, *fields[2];
    while (rc == 0 && ret->n < MAX_VARS && my_fields(&at, fields, 2) == 2) {
        ret->name[ret->n] = fields[0];
        ret->value[ret->n++] = fields[1];
    }
    if (rc == 0 && (!my_var(ret, "version")[0] || my_var(ret, "datadir")[0] != '/'))
        rc = err_set(e, ERR_PROTOCOL, _("the server does not say its version or its data folder"));
    return rc;
}

const char *my_var(const struct my_vars *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->name[i], name) == 0)
            return v->value[i];
    return "";
}

void my_vars_done(struct my_vars *v)
{
    free(v->text);
    *v = (struct my_vars){ 0 };
}
