/* rights.c - what a backup of this server needs, whether it is there, and the statement that grants it. */
#include "agents/mariadb/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_RIGHTS 128
#define SHORT_S 86400 /* a server that drops its logs so soon */

struct rights {
    char *text; /* owned */
    char *have[MAX_RIGHTS];
    size_t n;
    bool mysql;
    unsigned version;  /* 1011 */
    char account[400]; /* as a statement takes it: `b`@`localhost` */
};

/* The account's own, as mariadb-backup itself looks at them: a role that is not set counts for nothing. */
#define RIGHTS                                                                                     \
    "SELECT VERSION(), LEFT(CURRENT_USER(), LENGTH(CURRENT_USER()) - 1 - "                         \
    "LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1))), SUBSTRING_INDEX(CURRENT_USER(), '@', -1);" \
    "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = "               \
    "CONCAT('''', LEFT(CURRENT_USER(), LENGTH(CURRENT_USER()) - 1 - "                              \
    "LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1))), '''@''', "                                 \
    "SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')"

static void quote(char *to, size_t size, const char *name)
{
    size_t n = 0;
    for (; *name && n + 3 < size; name++) {
        if (*name == '`')
            to[n++] = '`';
        to[n++] = *name;
    }
    to[n] = '\0';
}

static int ask(const struct my_server *s, struct rights *r, struct err *e)
{
    char *at, *f[3], user[160], host[160];
    int rc = my_query(s, RIGHTS, &r->text, e);
    if (rc < 0)
        return rc;
    at = r->text;
    if (my_fields(&at, f, 3) != 3)
        return err_set(e, ERR_PROTOCOL, _("the server does not say who we are"));
    char *minor = NULL;
    r->version = (unsigned)strtoul(f[0], &minor, 10) * 100;
    r->version += *minor == '.' ? (unsigned)strtoul(minor + 1, NULL, 10) : 0;
    r->mysql = strstr(f[0], "MariaDB") == NULL;
    quote(user, sizeof user, f[1]);
    quote(host, sizeof host, f[2]);
    snprintf(r->account, sizeof r->account, "`%s`@`%s`", user, host);
    while (r->n < MAX_RIGHTS && my_fields(&at, f, 1) == 1)
        r->have[r->n++] = f[0];
    return 0;
}

static bool has(const struct rights *r, const char *right)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->have[i], right) == 0)
            return true;
    return false;
}

static void add(const struct rights *r, const char *right, char *list, size_t size)
{
    size_t n = strlen(list);
    if (!has(r, right))
        snprintf(list + n, size - n, "%s%s", n ? ", " : "", right);
}

/* What is missing without which a backup fails. */
static void missing(const struct rights *r, char *list, size_t size)
{
    list[0] = '\0';
    add(r, "RELOAD", list, size);
    add(r, "PROCESS", list, size);
    if (r->mysql || r->version < 1005)
        add(r, "LOCK TABLES", list, size);
    if (!has(r, "SUPER"))
        add(r, r->mysql || r->version < 1005 ? "REPLICATION CLIENT" : "BINLOG MONITOR", list, size);
    if (r->mysql && r->version >= 800)
        add(r, "BACKUP_ADMIN", list, size);
}

int my_check_rights(const struct my_server *s, struct err *e)
{
    struct rights r = { 0 };
    char list[256];
    int rc = ask(s, &r, e);
    if (rc == 0)
        missing(&r, list, sizeof list);
    if (rc == 0 && list[0]) {
        rc = err_set(e, ERR_REFUSED, _("%s lacks rights that a backup needs: %s"), r.account, list);
        err_next(e, _("as an administrator of the server: GRANT %s ON *.* TO %s"), list, r.account);
    }
    free(r.text);
    return rc;
}

int my_check_log_rights(const struct my_server *s, struct err *e)
{
    struct rights r = { 0 };
    int rc = ask(s, &r, e);
    if (rc == 0 && !has(&r, "REPLICATION SLAVE")) {
        rc = err_set(e, ERR_REFUSED, _("%s lacks the right to follow the server's log"), r.account);
        err_next(e, _("as an administrator of the server: GRANT %s ON *.* TO %s"),
                 "REPLICATION SLAVE", r.account);
    }
    free(r.text);
    return rc;
}

/* --- its log ------------------------------------------------------------------------------------ */
const char *my_head_statement(const struct my_vars *v)
{
    const char *version = my_var(v, "version");
    bool renamed = !strstr(version, "MariaDB") &&
                   (strtoul(version, NULL, 10) > 8 || strncmp(version, "8.4", 3) == 0);
    return renamed ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
}

int my_check_log_settings(const struct my_vars *v, struct err *e)
{
    const char *format = my_var(v, "binlog_format");
    if (strcmp(my_var(v, "log_bin"), "ON") != 0) {
        err_set(e, ERR_CONFIG,
                _("the server writes no binary log (log_bin): there is nothing to follow"));
        return err_next(
            e, _("in its configuration, below [mariadbd]: log_bin = binlog, server_id = 1, "
                 "binlog_format = ROW, sync_binlog = 1; then restart it"));
    }
    if (strcmp(format, "STATEMENT") == 0) {
        err_set(e, ERR_CONFIG,
                _("the server's binlog_format is STATEMENT: what it writes may give other data "
                  "when it is replayed"));
        return err_next(e,
                        _("in its configuration, below [mariadbd]: binlog_format = ROW; now: SET "
                          "GLOBAL binlog_format = ROW, for new sessions"));
    }
    return 0;
}

static int doubt(const struct source_env *env, bool problem, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static int doubt(const struct source_env *env, bool problem, struct err *e, const char *fmt, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return env->note(env->ctx, problem, MY_ROOT, strlen(MY_ROOT), text, e);
}

/* Seconds until it drops a log; 0: it never does. */
static double keeps_s(const struct my_vars *v)
{
    double s = strtod(my_var(v, "binlog_expire_logs_seconds"), NULL);
    return s > 0 ? s : strtod(my_var(v, "expire_logs_days"), NULL) * 86400;
}

/* Databases that it leaves out of the log; what comes by replication, and is not in it. */
static int tell_left_out(const struct my_server *s, const struct my_vars *v,
                         const struct source_env *env, bool problem, struct err *e)
{
    char *row = NULL, *at, *f[4] = { NULL };
    int rc = my_query(s, my_head_statement(v), &row, e);
    at = row;
    size_t n = rc == 0 ? my_fields(&at, f, 4) : 0;
    if (n == 4 && (f[2][0] || f[3][0]))
        rc = doubt(env, problem, e,
                   _("the server leaves databases out of its log (binlog_do_db: %.100s; "
                     "binlog_ignore_db: %.100s): what is done there is in backups only"),
                   f[2][0] ? f[2] : "-", f[3][0] ? f[3] : "-");
    free(row);
    row = NULL;
    if (rc == 0 && strcmp(my_var(v, "log_slave_updates"), "OFF") == 0)
        rc = my_query(s, "SHOW GLOBAL STATUS LIKE 'Slave_running'", &row, e);
    if (rc == 0 && row && strstr(row, "ON"))
        rc = doubt(env, problem, e,
                   _("the server is a replica, and what it replicates is not in its own log: "
                     "log_slave_updates = ON, or follow the primary"));
    free(row);
    return rc;
}

int my_tell_log_doubts(const struct my_server *s, const struct my_vars *v,
                       const struct source_env *env, bool problem, struct err *e)
{
    double keeps = keeps_s(v);
    int rc = tell_left_out(s, v, env, problem, e);
    if (rc == 0 && strcmp(my_var(v, "binlog_format"), "ROW") != 0)
        rc = doubt(env, false, e,
                   _("binlog_format is %s: statements that use temporary tables may not be "
                     "replayed; better: ROW"),
                   my_var(v, "binlog_format"));
    if (rc == 0 && strcmp(my_var(v, "sync_binlog"), "1") != 0)
        rc = doubt(env, false, e,
                   _("sync_binlog is %s: if the server's host crashes, its log may lose what is "
                     "kept here already, and then begins anew; better: 1"),
                   my_var(v, "sync_binlog"));
    if (rc == 0 && strcmp(my_var(v, "innodb_flush_log_at_trx_commit"), "1") != 0)
        rc = doubt(env, false, e,
                   _("innodb_flush_log_at_trx_commit is %s: a server that crashes forgets what "
                     "its log has, which then cannot be replayed beyond that; better: 1"),
                   my_var(v, "innodb_flush_log_at_trx_commit"));
    if (rc == 0 && keeps > 0 && keeps < SHORT_S)
        rc = doubt(env, false, e,
                   _("the server drops its logs after %.0f hours: if they are not followed for so "
                     "long, there is a gap (binlog_expire_logs_seconds)"),
                   keeps / 3600);
    return rc;
}

/* --- a probe ------------------------------------------------------------------------------------- */
struct probe {
    struct my m;
    struct rights r;
};

static __attribute__((format(printf, 3, 4))) void tell(struct probe *p, bool problem,
                                                       const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)p->m.env.note(p->m.env.ctx, problem, MY_ROOT, strlen(MY_ROOT), text, NULL);
}

static void tell_err(struct probe *p, const struct err *why)
{
    tell(p, true, "%s%s%s. %s", why->what, why->what[0] ? ": " : "", why->why, why->next);
}

static void check_rights(struct probe *p)
{
    char list[256];
    missing(&p->r, list, sizeof list);
    if (list[0])
        tell(
            p, true,
            _("it lacks rights that a backup needs. As an administrator of the server: GRANT %s ON "
              "*.* TO %s;"),
            list, p->r.account);
}

/* Where its log shall be followed. */
static void check_log(struct probe *p)
{
    struct err why = ERR_INIT;
    if (!source_spec_get(p->m.spec, "logs"))
        return;
    if (!has(&p->r, "REPLICATION SLAVE"))
        tell(p, true,
             _("it lacks the right to follow the server's log. As an administrator of the server: "
               "GRANT %s ON *.* TO %s;"),
             "REPLICATION SLAVE", p->r.account);
    if (my_check_log_settings(&p->m.vars, &why) < 0 ||
        my_tell_log_doubts(&p->m.server, &p->m.vars, &p->m.env, true, &why) < 0)
        tell_err(p, &why);
}

static void check_programs(struct probe *p)
{
    struct err why = ERR_INIT;
    char path[PATH_MAX];
    if (prog_find(TOOL_BACKUP, source_spec_get(p->m.spec, "binaries"), path, &why) < 0 ||
        prog_check_version(path, my_var(&p->m.vars, "version"), p->m.server.state_dir, &why) < 0)
        tell_err(p, &why);
}

static void check_folders(struct probe *p)
{
    struct err why = ERR_INIT;
    const char *given = source_spec_get(p->m.spec, "data"),
               *data = given ? given : my_var(&p->m.vars, "datadir");
    uint64_t bytes = 0;
    if (access(data, R_OK | X_OK) < 0) {
        tell(
            p, true,
            _("the agent (user %u) cannot read %s: run it as root or as the user that owns the folder; "
              "where it is elsewhere for the agent, write data: below mariadb: in the policy"),
            (unsigned)geteuid(), data);
        return;
    }
    if (!(p->m.data = strdup(data)) || my_look(&p->m, &bytes, &why) < 0 ||
        my_scratch_open(&p->m.scratch, source_spec_get(p->m.spec, "scratch"), p->m.env.state_dir,
                        &why) < 0 ||
        my_scratch_room(&p->m.scratch, bytes, &why) < 0)
        tell_err(p, &why);
}

int my_probe(const struct source_spec *spec, const struct source_env *env, struct err *e)
{
    struct probe p = { .m = { .spec = spec, .env = *env, .scratch = { .lock_fd = -1 } } };
    int rc = my_server_init(&p.m.server, spec, env->state_dir, e);
    if (rc == 0)
        rc = my_vars_ask(&p.m.server, &p.m.vars, e);
    if (rc == 0)
        rc = ask(&p.m.server, &p.r, e);
    if (rc == 0) {
        tell(&p, false, _("MariaDB %s, connected as %s"), my_var(&p.m.vars, "version"),
             p.r.account);
        check_rights(&p);
        check_programs(&p);
        check_folders(&p);
        check_log(&p);
        char text[200];
        if ((my_has_binlogs(&p.m) || source_spec_get(spec, "logs")) &&
            my_tell_binlogs(&p.m, text, sizeof text))
            tell(&p, false, "%s", text);
        else if (strcmp(my_var(&p.m.vars, "log_bin"), "ON") != 0 && !source_spec_get(spec, "logs"))
            tell(&p, false,
                 _("the server keeps no binary log (log_bin): a restore brings back the moments of "
                   "backups only"));
    }
    if (rc == 0)
        rc = my_run_checks(&p.m.server, spec, env, true, NULL, e);
    my_scratch_close(&p.m.scratch);
    my_vars_done(&p.m.vars);
    free(p.r.text);
    free(p.m.data);
    return rc;
}
