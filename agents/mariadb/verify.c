/* verify.c - a server started for a moment on the prepared files: as the user that owns them, with a configuration of ours, no network, no log of
 * its own, and a socket in a folder that only that user can enter. Every table is checked. It is shut down cleanly; of the files only its own
 * logs are then other ones than before. */
#include "agents/mariadb/restored.h"
#include "agents/report.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 100000
#define START_LIMIT_S 86400
#define CHECK_LIMIT_S (7 * 86400)
#define STOP_MS 600000
#define MAX_CHECK_LINE 8192
#define MAX_WRONG_TOLD 50
#define MAX_NAME 800 /* of a database and a table, in UTF-8 */

struct check {
    struct my_restored *x;
    struct prog server;
    struct my_server at;
    char socket[48];
    uint64_t tables, wrong, unchecked;
    char last[MAX_NAME]; /* the last table that was not right */
    char line[MAX_CHECK_LINE];
    size_t n;
};

static int start_server(struct check *c, const char *program, struct err *e)
{
    struct prog *r = &c->server;
    static const char *const fixed[] = {
        "--skip-networking",
        "--skip-grant-tables",
        "--skip-log-bin",
        "--skip-slave-start",
        "--skip-external-locking",
        "--loose-event-scheduler=OFF",
        "--innodb-buffer-pool-dump-at-shutdown=OFF",
        "--innodb-buffer-pool-load-at-startup=OFF",
        "--innodb-buffer-pool-size=64M",
        "--loose-performance-schema=OFF",
        "--loose-wsrep-on=OFF",
        "--loose-mysqlx=OFF",
        "--loose-userstat=OFF",
        "--general-log=OFF",
        "--slow-query-log=OFF",
    };
    prog_begin(r, program, &c->x->owner);
    prog_arg(r, "--defaults-file=%s", c->x->conf);
    prog_arg(r, "--datadir=%s", c->x->data);
    prog_arg(r, "--socket=%s", c->socket);
    prog_arg(r, "--pid-file=%s/pid", c->x->dir);
    prog_arg(r, "--tmpdir=%s", c->x->dir);
    prog_arg(r, "--secure-file-priv=%s", c->x->dir);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        prog_arg(r, "%s", fixed[i]);
    return prog_start(r, -1, e);
}

static int server_died(struct check *c, struct err *e)
{
    char tail[PROG_TAIL_BYTES + 1];
    prog_tail(&c->server, tail);
    return err_set(e, ERR_DAMAGED, _("the server does not run on what was restored: …%s"), tail);
}

/* Until it answers; it may have transactions to undo first. */
static int wait_answer(struct check *c, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + START_LIMIT_S * 1000ull;
    for (;; usleep(POLL_US)) {
        struct err ignored = ERR_INIT;
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted"));
        if (!prog_alive(&c->server))
            return server_died(c, e);
        if (sys_monotonic_ms() > until)
            return err_set(e, ERR_TIMEOUT, _("the server does not answer"));
        c->x->r->report->n.bytes_read++;
        if (access(c->socket, F_OK) == 0 && my_query(&c->at, "SELECT 1", NULL, &ignored) == 0)
            return 0;
    }
}

/* --- the tables ---------------------------------------------------------------------------------- */
static void put_quoted(struct wbuf *w, const char *name)
{
    wb_u8(w, '`');
    for (; *name; name++) {
        if (*name == '`')
            wb_u8(w, '`');
        wb_u8(w, (uint8_t)*name);
    }
    wb_u8(w, '`');
}

static int list_tables(struct check *c, struct wbuf *sql, struct err *e)
{
    char *text = NULL, *at, *f[2];
    int rc = my_query(&c->at,
                      "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE "
                      "TABLE_TYPE IN ('BASE TABLE', 'SEQUENCE', 'SYSTEM VERSIONED') AND "
                      "TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema') "
                      "ORDER BY TABLE_SCHEMA, TABLE_NAME",
                      &text, e);
    for (at = text; rc == 0 && my_fields(&at, f, 2) == 2; c->tables++) {
        wb_bytes(sql, "CHECK TABLE ", strlen("CHECK TABLE "));
        put_quoted(sql, f[0]);
        wb_u8(sql, '.');
        put_quoted(sql, f[1]);
        wb_bytes(sql, " EXTENDED;\n", strlen(" EXTENDED;\n"));
    }
    wb_u8(sql, 0);
    free(text);
    if (rc == 0 && sql->failed)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0 && c->tables == 0)
        rc = err_set(e, ERR_DAMAGED, _("the server finds no tables in what was restored"));
    return rc;
}

/* "d1.t <tab> check <tab> status <tab> OK": one or more lines of each table, the last a status. */
static void judge(struct check *c, char *line)
{
    char *f[4];
    if (my_fields(&line, f, 4) != 4 || strcmp(f[2], "note") == 0)
        return;
    if (strcmp(f[2], "status") == 0 &&
        (strcmp(f[3], "OK") == 0 || strncmp(f[3], "Table is already up to date", 27) == 0))
        return;
    if (strstr(f[3], "doesn't support check") || strstr(f[3], "does not support check")) {
        c->unchecked++;
        return;
    }
    if (strcmp(f[0], c->last) == 0)
        return; /* its first line says why */
    snprintf(c->last, sizeof c->last, "%s", f[0]);
    if (++c->wrong <= MAX_WRONG_TOLD)
        report_problem(c->x->r->report, NULL, 0, _("table %s is not right: %s"), f[0], f[3]);
}

static int take_part(void *ctx, const char *part, size_t n, struct err *e)
{
    struct check *c = ctx;
    (void)e;
    c->x->r->report->n.bytes_read++;
    for (size_t i = 0; i < n; i++) {
        if (c->n < MAX_CHECK_LINE - 1)
            c->line[c->n++] = part[i] == '\0' ? ' ' : part[i];
        if (part[i] == '\n') {
            c->line[c->n] = '\0';
            judge(c, c->line);
            c->n = 0;
        }
    }
    return 0;
}

static int beat(void *ctx, struct err *e)
{
    struct check *c = ctx;
    (void)e;
    c->x->r->report->n.bytes_read++;
    return 0;
}

static int check_tables(struct check *c, struct err *e)
{
    struct wbuf sql = WBUF_INIT;
    int rc = list_tables(c, &sql, e);
    if (rc == 0)
        rc = my_stream(&c->at, (const char *)sql.p, CHECK_LIMIT_S, take_part, beat, c, e);
    wbuf_free(&sql);
    if (rc < 0 && !prog_alive(&c->server))
        return server_died(c, e);
    if (rc < 0)
        return err_wrap(e, "CHECK TABLE");
    if (c->wrong > MAX_WRONG_TOLD)
        report_problem(c->x->r->report, NULL, 0, _("and %llu more tables that are not right"),
                       (unsigned long long)(c->wrong - MAX_WRONG_TOLD));
    if (c->wrong == 0)
        report_note(c->x->r->report, NULL, 0,
                    P_("verified: a server started; %llu table is right (CHECK TABLE EXTENDED)",
                       "verified: a server started; %llu tables are right (CHECK TABLE EXTENDED)",
                       c->tables - c->unchecked),
                    (unsigned long long)(c->tables - c->unchecked));
    return 0;
}

static int verify(struct check *c, const char *folder, struct err *e)
{
    char program[PATH_MAX];
    const char *version = json_string_value(json_object_get(c->x->facts, "server_version"));
    int rc = prog_find(TOOL_SERVER, folder, program, e);
    if (rc < 0)
        return err_next(
            e, _("install it (Debian: mariadb-server), or name the folder of its programs: "
                 "--verify=/opt/mariadb/bin"));
    rc = prog_find(TOOL_CLIENT, folder, c->at.client, e);
    if (rc == 0)
        rc = prog_check_version(program, version, c->x->r->state_dir, e);
    if (rc == 0)
        rc = start_server(c, program, e);
    if (rc == 0)
        rc = wait_answer(c, e);
    if (rc == 0)
        rc = check_tables(c, e);
    bool ran = c->server.pid > 0, well = prog_stop(&c->server, STOP_MS);
    if (rc == 0 && ran && !well)
        rc = server_died(c, e);
    return rc;
}

int my_verify(struct my_restored *x, const char *programs, struct err *e)
{
    struct check *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, _("no memory"));
    c->x = x;
    snprintf(c->socket, sizeof c->socket, "%s/sock", x->dir);
    c->at = (struct my_server){ .where = c->socket, .user = "root", .state_dir = x->r->state_dir };
    int rc = x->owner.st_uid == 0
                 ? err_set(e, ERR_REFUSED,
                           _("the data folder belongs to root, as whom no server starts"))
                 : prog_init(&c->server, x->r->state_dir, e);
    if (rc == 0) {
        rc = verify(c, programs[0] == '/' ? programs : NULL, e);
        prog_done(&c->server);
    }
    free(c);
    return rc < 0 ? err_wrap(e, _("verification")) : 0;
}
