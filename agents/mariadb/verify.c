/* verify.c - every table of a server that works on prepared files (instance.c) is checked. The server is shut down cleanly; of the files only its
 * own logs are then other ones than before. */
#include "agents/host/host.h"
#include "agents/mariadb/restored.h"
#include "agents/report.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_LIMIT_S (7 * 86400)
#define MAX_CHECK_LINE 8192
#define MAX_WRONG_TOLD 50
#define MAX_NAME 800 /* of a database and a table, in UTF-8 */

struct check {
    struct my_instance *i;
    struct report *report;
    uint64_t tables, wrong, unchecked;
    char last[MAX_NAME]; /* the last table that was not right */
    char line[MAX_CHECK_LINE];
    size_t n;
};

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
    int rc = my_query(&c->i->at,
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
        report_problem(c->report, NULL, 0, _("table %s is not right: %s"), f[0], f[3]);
}

static int take_part(void *ctx, const char *part, size_t n, struct err *e)
{
    struct check *c = ctx;
    (void)e;
    c->report->n.bytes_read++;
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
    c->report->n.bytes_read++;
    return 0;
}

static int check_tables(struct check *c, struct err *e)
{
    struct wbuf sql = WBUF_INIT;
    int rc = list_tables(c, &sql, e);
    if (rc == 0)
        rc = my_stream(&c->i->at, (const char *)sql.p, CHECK_LIMIT_S, take_part, beat, c, e);
    wbuf_free(&sql);
    if (rc < 0 && !prog_alive(&c->i->server))
        return my_instance_died(c->i, e);
    if (rc < 0)
        return err_wrap(e, "CHECK TABLE");
    if (c->wrong > MAX_WRONG_TOLD)
        report_problem(c->report, NULL, 0, _("and %llu more tables that are not right"),
                       (unsigned long long)(c->wrong - MAX_WRONG_TOLD));
    report_check(c->report, MY_ROOT, "tables", c->wrong == 0,
                 c->wrong ? _("%llu tables are not right") : _("%llu tables are right"),
                 (unsigned long long)(c->wrong ? c->wrong : c->tables - c->unchecked));
    if (c->wrong > 0 && source_spec_get(c->i->x->r->spec, "strict"))
        return err_set(e, ERR_DAMAGED, _("%llu tables are not right"),
                       (unsigned long long)c->wrong);
    if (c->wrong == 0)
        report_note(c->report, NULL, 0,
                    P_("verified: a server started; %llu table is right (CHECK TABLE EXTENDED)",
                       "verified: a server started; %llu tables are right (CHECK TABLE EXTENDED)",
                       c->tables - c->unchecked),
                    (unsigned long long)(c->tables - c->unchecked));
    return 0;
}

int my_check_tables(struct my_instance *i, struct err *e)
{
    struct check *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, _("no memory"));
    c->i = i;
    c->report = i->x->r->report;
    int rc = check_tables(c, e);
    free(c);
    return rc;
}

/* Returns rc. */
static int tell(struct my_restored *x, const char *name, int rc, const struct err *why)
{
    if (rc == 0)
        report_check(x->r->report, MY_ROOT, name, true, "%s", "");
    else if (rc != -ERR_INTERRUPTED && rc != -ERR_NOMEM)
        report_check(x->r->report, MY_ROOT, name, false, "%s%s%s", why->what,
                     why->what[0] ? ": " : "", why->why);
    return rc;
}

int my_verify(struct my_restored *x, const char *programs, bool same, struct err *e)
{
    struct my_instance i;
    struct err own = ERR_INIT;
    e = e ? e : &own;
    if (source_spec_get(x->r->spec, "data") &&
        sys_write_file(x->folder_fd, "../" STAGING_TRIED, "", 0, 0600, e) < 0)
        return err_wrap(e, _("verification"));
    int rc = tell(x, "started", my_instance_start(&i, x, programs, e), e);
    if (rc == 0 && (rc = my_check_tables(&i, e)) < 0)
        tell(x, "tables", rc, e);
    if (rc == 0)
        rc = tell(x, "sql", my_check_answers(&i, same, e), e);
    int stopped = my_instance_stop(&i, rc, e);
    rc = rc < 0 ? rc : tell(x, "stopped", stopped, e);
    return rc < 0 ? err_wrap(e, _("verification")) : 0;
}
