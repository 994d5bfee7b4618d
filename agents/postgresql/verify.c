/* verify.c - a server started for a moment on restored files: as the account of such servers, with a configuration of ours (the restored one may
 * name other hosts, archives, libraries), on a socket in a folder that only that user can enter. */
#include "agents/as_owner.h"
#include "agents/host/host.h"
#include "agents/passing.h"
#include "agents/postgresql/cluster.h"
#include "agents/report.h"
#include "agents/tree.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENV_PROGRAM "/usr/bin/env"
#define MAX_ARGS 192
#define POLL_MS 200
#define RECOVERY_HOURS 24
#define STOP_MS 300000
#define LOG_TAIL 400
#define TRY_MS 20000
#define UNSHARE "/usr/bin/unshare"
#define SUMS_FAILED "checksum verification failed" /* pg_checksums says so of each page */

struct scratch {
    struct pg_cluster *c;
    struct passing passing;
    char dir[PASSING_BYTES]; /* its name */
    char bin[PATH_MAX];
    struct as_owner as;
    bool apart;      /* nothing that was restored can be run as a program */
    size_t home;     /* of the databases that are tried: the one that lets us in */
    char *texts[16]; /* owned: arguments that were made up */
    size_t n_texts;
    const char *argv[MAX_ARGS];
    size_t argc;
    int in_fd, log_fd;
    pid_t pid;
    PGconn *conn;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- the programs --------------------------------------------------------------------------------- */
static bool has_server(const char *dir)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/postgres", dir);
    return n > 0 && n < (int)sizeof path && access(path, X_OK) == 0;
}

int pg_find_programs(const char *programs, int version, char ret[PATH_MAX], struct err *e)
{
    static const char *const usual[] = { "/usr/lib/postgresql/%d/bin", "/usr/pgsql-%d/bin",
                                         "/opt/postgresql/%d/bin" };
    if (programs[0] == '/') {
        snprintf(ret, PATH_MAX, "%s", programs);
        if (has_server(ret))
            return 0;
    }
    for (size_t i = 0; programs[0] != '/' && i < sizeof usual / sizeof *usual; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(ret, PATH_MAX, usual[i], version);
#pragma GCC diagnostic pop
        if (has_server(ret))
            return 0;
    }
    err_set(e, ERR_ABSENT, _("there is no server of version %d on this host to look at it with"),
            version);
    return err_next(e,
                    _("install it (Debian: postgresql-%d), or name the folder of its programs: "
                      "--verify=/usr/lib/postgresql/%d/bin"),
                    version, version);
}

/* --- arguments -------------------------------------------------------------------------------------- */
static void arg(struct scratch *s, const char *text)
{
    if (s->argc < MAX_ARGS - 1)
        s->argv[s->argc++] = text;
}

static __attribute__((format(printf, 2, 3))) void arg_made(struct scratch *s, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    if (s->n_texts < sizeof s->texts / sizeof *s->texts && vasprintf(&text, fmt, ap) >= 0)
        arg(s, s->texts[s->n_texts++] = text);
    va_end(ap);
}

/* A setting of a restored database may name a library to be loaded, and that may have come with it: in a mount namespace of the server's
 * own, nothing can be run or loaded from the folders that were restored to. */
static void arg_apart(struct scratch *s)
{
    static const char script[] =
        "n=$1; shift; while [ \"$n\" -gt 0 ]; do mount --bind \"$1\" \"$1\" && "
        "mount -o remount,bind,noexec,nosuid,nodev \"$1\" || exit 126; shift; n=$((n-1)); done; "
        "exec \"$@\"";
    const struct source_spec *spec = s->c->r->spec;
    const char *const start[] = { UNSHARE,   "--mount", "--propagation", "private", "--",
                                  "/bin/sh", "-c",      script,          "sh" };
    size_t spaces = 0;
    for (size_t i = 0; i < spec->n; i++)
        spaces += strcmp(spec->v[i].key, "tablespace") == 0 && strchr(spec->v[i].value, '=');
    for (size_t i = 0; i < sizeof start / sizeof *start; i++)
        arg(s, start[i]);
    arg_made(s, "%zu", 1 + spaces);
    arg_made(s, "%s/..", s->c->r->folder); /* what came with the database, too */
    for (size_t i = 0; i < spec->n; i++)
        if (strcmp(spec->v[i].key, "tablespace") == 0 && strchr(spec->v[i].value, '='))
            arg(s, strchr(spec->v[i].value, '=') + 1);
}

/* program: NULL: it is added behind. */
static void begin_args(struct scratch *s, const char *program)
{
    for (size_t i = 0; i < s->n_texts; i++)
        free(s->texts[i]);
    s->n_texts = s->argc = 0;
    memset(s->argv, 0, sizeof s->argv);
    if (s->apart)
        arg_apart(s);
    const char *words[AS_OWNER_WORDS];
    size_t n = as_owner_words(&s->as, "QUIT", words); /* at once, and no files are left open */
    for (size_t i = 0; i < n; i++)
        arg(s, words[i]);
    if (program)
        arg_made(s, "%s/%s", s->bin, program);
}

/* Can this be had here? In a container, or as another user than root, often not. */
static void try_apart(struct scratch *s)
{
    int status = -1;
    if (geteuid() != 0)
        return;
    s->apart = true;
    begin_args(s, "postgres");
    arg(s, "--version");
    int fd = sys_spawn_heard(s->argv, -1, s->log_fd, &s->pid, NULL);
    if (fd >= 0 && sys_reap(s->pid, TRY_MS, &status, NULL) < 0)
        status = -1;
    sys_close_quiet(fd);
    s->pid = 0;
    s->apart = status == 0;
    if (!s->apart)
        report_note(s->c->r->report, NULL, 0,
                    _("this host gives no mount namespace: the server of --verify is not kept "
                      "from loading libraries out of what was restored"));
    if (ftruncate(s->log_fd, 0) < 0)
        s->apart = false;
}

static int spawn(struct scratch *s, struct err *e)
{
    s->in_fd = sys_spawn_heard(s->argv, -1, s->log_fd, &s->pid, e);
    return s->in_fd < 0 ? err_wrap(e, "%s", s->argv[s->argc - 1]) : 0;
}

/* --- the configuration ------------------------------------------------------------------------------ */
/* A standby in recovery refuses to have room for less than the original had. */
static void put_settings(const struct scratch *s, struct wbuf *w)
{
    static const char *const as_it_was[] = { "max_connections", "max_worker_processes",
                                             "max_wal_senders", "max_prepared_transactions",
                                             "max_locks_per_transaction" };
    char line[128];
    json_t *settings = json_object_get(s->c->facts, "settings");
    for (size_t i = 0; i < sizeof as_it_was / sizeof *as_it_was; i++) {
        const char *v = json_string_value(json_object_get(settings, as_it_was[i]));
        if (v && v[0] && strspn(v, "0123456789") == strlen(v) && strlen(v) < 10) {
            snprintf(line, sizeof line, "%s = %s\n", as_it_was[i], v);
            wb_bytes(w, line, strlen(line));
        }
    }
}

static int put_file(struct scratch *s, const char *name, const void *text, size_t n, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", s->dir, name);
    return sys_write_file(AT_FDCWD, path, text, n, 0644, e);
}

static int make_dir(struct scratch *s, struct err *e)
{
    static const char hba[] = "local all all trust\n";
    struct wbuf conf = WBUF_INIT;
    char log[64];
    int rc = passing_new(&s->passing, s->as.uid, e);
    if (rc < 0)
        return rc;
    snprintf(s->dir, sizeof s->dir, "%s", s->passing.dir);
    put_settings(s, &conf);
    rc = conf.failed ? no_memory(e) : put_file(s, "postgresql.conf", conf.p, conf.len, e);
    wbuf_free(&conf);
    if (rc == 0)
        rc = put_file(s, "pg_hba.conf", hba, strlen(hba), e);
    if (rc == 0)
        rc = put_file(s, "pg_ident.conf", "", 0, e);
    snprintf(log, sizeof log, "%s/log", s->dir);
    if (rc == 0)
        rc = s->log_fd = sys_openat(AT_FDCWD, log, O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0600, e);
    if (rc >= 0)
        rc = s->as.changes && chown(s->dir, s->as.uid, s->as.gid) < 0 ? err_sys(e, "%s", s->dir)
                                                                      : 0;
    return rc;
}

/* --- the server ------------------------------------------------------------------------------------- */
static int start_server(struct scratch *s, struct err *e)
{
    begin_args(s, "postgres");
    arg(s, "-D");
    arg(s, s->c->data);
    static const char *const fixed[] = { "listen_addresses=",
                                         "port=5432",
                                         "archive_mode=off",
                                         "shared_preload_libraries=",
                                         "logging_collector=off",
                                         "ssl=off",
                                         "primary_conninfo=",
                                         "autovacuum=off",
                                         "unix_socket_permissions=0700",
                                         "hot_standby=on",
                                         "log_destination=stderr",
                                         "shared_buffers=32MB",
                                         "session_preload_libraries=",
                                         "local_preload_libraries=",
                                         "recovery_end_command=",
                                         "archive_cleanup_command=",
                                         "external_pid_file=",
                                         "lc_messages=C",
                                         "jit=off" };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        arg(s, "-c");
        arg(s, fixed[i]);
    }
    if (json_integer_value(json_object_get(s->c->facts, "server_version_num")) >= 170000) {
        arg(s, "-c");
        arg(s, "event_triggers=off"); /* one could run at each login */
    }
    static const char *const files[] = { "config_file", "hba_file", "ident_file" };
    static const char *const names[] = { "postgresql", "pg_hba", "pg_ident" };
    for (size_t i = 0; i < 3; i++) {
        arg(s, "-c");
        arg_made(s, "%s=%s/%s.conf", files[i], s->dir, names[i]);
    }
    arg(s, "-k");
    arg(s, s->dir);
    return spawn(s, e);
}

/* The last that was said, in one line. */
static void last_words(struct scratch *s, char text[LOG_TAIL + 1])
{
    off_t end = lseek(s->log_fd, 0, SEEK_END), from = end > LOG_TAIL ? end - LOG_TAIL : 0;
    ssize_t n = pread(s->log_fd, text, LOG_TAIL, from);
    text[n > 0 ? n : 0] = '\0';
    for (char *p = text; *p; p++)
        *p = *p == '\n' || *p == '\t' ? ' ' : *p;
}

static int server_died(struct scratch *s, struct err *e)
{
    char text[LOG_TAIL + 1];
    last_words(s, text);
    return err_set(e, ERR_DAMAGED, _("the server does not start on what was restored: …%s"), text);
}

static bool is_alive(struct scratch *s)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

static int connect_to(struct scratch *s, const char *database, PGconn **ret, struct err *e)
{
    const char *user = json_string_value(json_object_get(s->c->facts, "superuser"));
    const char *const keys[] = { "host", "port", "user", "dbname", "connect_timeout", NULL },
                      *const values[] = { s->dir,   "5432", user ? user : "postgres",
                                          database, "10",   NULL };
    PGconn *c = PQconnectdbParams(keys, values, 0);
    if (c && PQstatus(c) == CONNECTION_OK) {
        *ret = c;
        return 0;
    }
    err_set(e, ERR_UNREACHABLE, "%s", c ? PQerrorMessage(c) : "");
    PQfinish(c);
    return -ERR_UNREACHABLE;
}

/* The databases that are entered to ask the server itself: one that every cluster had at first may have been dropped. */
static const char *home_name(const struct scratch *s, size_t i)
{
    json_t *all = json_object_get(s->c->facts, "databases");
    if (i < 2)
        return i == 0 ? "postgres" : "template1";
    const char *name = json_string_value(json_object_get(json_array_get(all, i - 2), "name"));
    return i - 2 < json_array_size(all) ? (name ? name : "template1") : NULL;
}

/* Is it only that the server does not take anybody yet, or that it does not listen yet? */
static bool is_early(const char *text)
{
    static const char *const words[] = { "starting up", "accepting connections", "shutting down",
                                         "recovery" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(text, words[i]))
            return true;
    return strstr(text, "FATAL:") == NULL;
}

/* 1: not yet. */
static int enter_home(struct scratch *s, struct err *e)
{
    struct err why = ERR_INIT;
    const char *name = home_name(s, s->home);
    if (s->conn || connect_to(s, name, &s->conn, &why) == 0)
        return 0;
    if (is_early(why.why))
        return 1;
    if (home_name(s, ++s->home))
        return 1;
    err_set(e, ERR_DAMAGED, _("the server lets nobody in: %s"), why.why);
    return -ERR_DAMAGED;
}

/* Until it is through with the log. */
static int wait_recovered(struct scratch *s, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + (uint64_t)RECOVERY_HOURS * 3600 * 1000;
    for (;; usleep(POLL_MS * 1000)) {
        struct err ignored = ERR_INIT;
        char *in_recovery = NULL;
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted"));
        if (!is_alive(s))
            return server_died(s, e);
        s->c->r->report->n.bytes_read++; /* it gets on: the orchestrator need not doubt it */
        if (sys_monotonic_ms() > until)
            return err_set(e, ERR_TIMEOUT, _("the server has not recovered within %d hours"),
                           RECOVERY_HOURS);
        int rc = enter_home(s, e);
        if (rc < 0)
            return rc;
        if (rc == 1)
            continue;
        if (server_text(s->conn, "SELECT pg_is_in_recovery()", &in_recovery, &ignored) < 0) {
            PQfinish(s->conn); /* sessions may end when it is promoted */
            s->conn = NULL;
            continue;
        }
        bool done = in_recovery && in_recovery[0] == 'f';
        free(in_recovery);
        if (done)
            return 0;
    }
}

/* --- what it says ------------------------------------------------------------------------------------ */
static int check_reached(struct scratch *s, struct err *e)
{
    char *lsn = NULL, *when = NULL, wanted[LSN_TEXT_BYTES];
    uint64_t reached = 0;
    int rc = server_text(s->conn, "SELECT pg_last_wal_replay_lsn()", &lsn, e);
    if (rc == 0)
        rc = server_text(s->conn,
                         "SELECT to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', "
                         "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
                         &when, e);
    if (rc == 0 && (!lsn || !lsn_parse(lsn, &reached) || reached < s->c->expect_lsn))
        rc = err_set(e, ERR_DAMAGED, _("recovery came to %s, but it should have come to %s"),
                     lsn ? lsn : "?", lsn_print(s->c->expect_lsn, wanted));
    if (rc == 0)
        report_note(
            s->c->r->report, NULL, 0,
            _("verified: a server recovered to %s (expected: at least %s); last transaction: %s"),
            lsn, lsn_print(s->c->expect_lsn, wanted), when ? when : _("none in this log"));
    free(lsn);
    free(when);
    return rc;
}

/* Every database that was there is there and can be entered; its catalog can be read. */
static int check_databases(struct scratch *s, struct err *e)
{
    json_t *all = json_object_get(s->c->facts, "databases");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(all); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(all, i), "name"));
        char *n = NULL;
        PGconn *c = NULL;
        if (!name)
            continue;
        rc = connect_to(s, name, &c, e);
        if (rc == 0)
            rc = server_text(
                c, "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid", &n,
                e);
        PQfinish(c);
        free(n);
        if (rc < 0) {
            err_next(e, _("what its settings and those of its role name may not be on this host: "
                          "see pg_db_role_setting; start a server on the folder by hand to look"));
            err_wrap(e, _("database \"%s\""), name);
        }
    }
    if (rc == 0)
        report_note(s->c->r->report, NULL, 0,
                    P_("verified: %zu database can be entered",
                       "verified: %zu databases can be entered", json_array_size(all)),
                    json_array_size(all));
    return rc;
}

/* --- the policy's questions ---------------------------------------------------------------------------- */
static int ask_scratch(void *ctx, const char *database, const char *sql, char **ret_value,
                       struct err *e)
{
    struct scratch *s = ctx;
    PGconn *c = NULL;
    int rc = connect_to(s, database ? database : home_name(s, s->home), &c, e);
    if (rc == 0)
        rc = pg_ask_in(c, sql, ret_value, e);
    PQfinish(c);
    return rc;
}

struct telling {
    struct report *report;
    size_t wrong;
};

static int tell_result(void *ctx, const struct sql_result *r, struct err *e)
{
    struct telling *t = ctx;
    (void)e;
    t->wrong += !r->right;
    if (r->right)
        report_note(t->report, NULL, 0, _("verified: %s"), r->text);
    else
        report_problem(t->report, NULL, 0, "%s", r->text);
    return 0;
}

static int check_answers(struct scratch *s, struct err *e)
{
    struct telling t = { .report = s->c->r->report };
    struct sql_checks checks;
    int rc = sql_checks_of(s->c->r->spec, &checks, e);
    if (rc == 0)
        rc = sql_checks_run(&checks, json_object_get(s->c->facts, "checks"), ask_scratch, s,
                            tell_result, &t, e);
    if (rc == 0 && t.wrong > 0)
        rc = err_set(e, ERR_DAMAGED,
                     P_("%zu of the policy's checks is not right on what was restored",
                        "%zu of the policy's checks are not right on what was restored", t.wrong),
                     t.wrong);
    return rc;
}

static int stop_server(struct scratch *s, struct err *e)
{
    int status = 0;
    PQfinish(s->conn);
    s->conn = NULL;
    if (s->pid <= 0)
        return 0;
    if (is_alive(s))
        (void)kill(s->pid, SIGINT); /* fast: sessions end, a checkpoint is made */
    int rc = sys_reap(s->pid, STOP_MS, &status, e);
    s->pid = 0;
    sys_close_quiet(s->in_fd);
    s->in_fd = -1;
    if (rc == 0 && status != 0)
        rc = server_died(s, e);
    return rc;
}

/* Wrong ones are said, and counted; the cluster is as the backup is. Where the caller is strict, it is not to be used. */
static int judge_sums(struct scratch *s, int status, struct err *e)
{
    struct report *report = s->c->r->report;
    char text[LOG_TAIL + 1];
    if (status == 0) {
        report_note(report, NULL, 0, _("verified: all page checksums are right"));
        report_check(report, PG_ROOT, "sums", true, "%s", "");
        return 0;
    }
    last_words(s, text);
    bool wrong = strstr(text, SUMS_FAILED) != NULL;
    report_problem(report, NULL, 0,
                   wrong ? _("checksums of pages are wrong: %s")
                         : _("checksums of pages were not checked: %s"),
                   text);
    if (wrong && source_spec_get(s->c->r->spec, "strict"))
        return err_set(e, ERR_DAMAGED, _("checksums of pages are wrong: %s"), text);
    report_check(report, PG_ROOT, "sums", !wrong, "%s", text);
    return 0;
}

static int check_sums(struct scratch *s, struct err *e)
{
    int status = 0;
    if (!json_is_true(json_object_get(s->c->facts, "data_checksums")))
        return 0;
    if (ftruncate(s->log_fd, 0) < 0)
        return err_sys(e, "log");
    begin_args(s, NULL);
    arg(s, ENV_PROGRAM);
    arg(s, "LC_ALL=C"); /* what it says is looked at */
    arg_made(s, "%s/pg_checksums", s->bin);
    arg(s, "--check");
    arg(s, "-D");
    arg(s, s->c->data);
    int rc = spawn(s, e);
    if (rc == 0) {
        char part[4096]; /* what it says of success goes to its stdout */
        for (int ready = -ERR_TIMEOUT;
             ready == -ERR_TIMEOUT || (ready == 0 && read(s->in_fd, part, sizeof part) > 0);) {
            s->c->r->report->n.bytes_read++;
            ready = sys_wait_fd(s->in_fd, POLLIN, 1000, NULL);
        }
        rc = sys_reap(s->pid, STOP_MS, &status, e);
    }
    s->pid = 0;
    sys_close_quiet(s->in_fd);
    s->in_fd = -1;
    return rc == 0 ? judge_sums(s, status, e) : rc;
}

/* What was restored belongs to nobody who runs such a server here: for a moment it does. */
static int take_files(struct scratch *s, bool back, struct err *e)
{
    struct pg_cluster *c = s->c;
    struct stat to = { .st_uid = s->as.uid, .st_gid = s->as.gid };
    struct stat at;
    if (!s->as.other)
        return 0;
    if (source_spec_get(c->r->spec, "tablespace"))
        return err_set(e, ERR_REFUSED,
                       _("the files belong to user %u, who is no database's account on this host"),
                       (unsigned)c->owner.st_uid);
    int rc = tree_give(c->folder_fd, "data", back ? &c->owner : &to, e);
    if (rc == 0 && fstatat(c->folder_fd, "data-spaces", &at, AT_SYMLINK_NOFOLLOW) == 0)
        rc = tree_give(c->folder_fd, "data-spaces", back ? &c->owner : &to, e);
    return rc;
}

static int started(struct scratch *s, struct err *e)
{
    int rc = start_server(s, e);
    return rc == 0 ? wait_recovered(s, e) : rc;
}

static int look_at_all(struct scratch *s, struct err *e)
{
    static const struct {
        const char *name;
        int (*step)(struct scratch *s, struct err *e);
    } all[] = { { "started", started },           { "reached", check_reached },
                { "databases", check_databases }, { "sql", check_answers },
                { "stopped", stop_server },       { "sums", check_sums } };
    struct report *report = s->c->r->report;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof all / sizeof *all; i++) {
        struct err why = ERR_INIT;
        rc = all[i].step(s, &why);
        if (rc == 0 && all[i].step != check_sums) /* which tells for itself */
            report_check(report, PG_ROOT, all[i].name, true, "%s", "");
        else if (rc < 0 && rc != -ERR_INTERRUPTED && rc != -ERR_NOMEM)
            report_check(report, PG_ROOT, all[i].name, false, "%s%s%s", why.what,
                         why.what[0] ? ": " : "", why.why);
        if (rc < 0 && e)
            *e = why;
    }
    return rc;
}

/* What a server has made of it must not come among what another restore brings to the same place. */
static int mark_tried(struct pg_cluster *c, struct err *e)
{
    char staging[NAME_MAX + 1], path[PATH_MAX];
    if (!source_spec_get(c->r->spec, "data"))
        return 0;
    int rc = pg_staging_name(c->r->folder, staging, e);
    if (rc == 0)
        rc = sys_write_file(c->folder_fd, "../" STAGING_TRIED, "", 0, 0600, e);
    for (size_t i = 0; rc == 0 && i < c->r->spec->n; i++) {
        const struct setting *s = &c->r->spec->v[i];
        const char *equals = strcmp(s->key, "tablespace") == 0 ? strchr(s->value, '=') : NULL;
        if (equals && snprintf(path, sizeof path, "%s/%s/" STAGING_TRIED, equals + 1, staging) <
                          (int)sizeof path)
            rc = sys_write_file(AT_FDCWD, path, "", 0, 0600, e);
    }
    return rc;
}

int pg_verify(struct pg_cluster *c, const char *programs, struct err *e)
{
    struct scratch s = { .c = c, .in_fd = -1, .log_fd = -1 };
    struct err ignored = ERR_INIT;
    int version = (int)json_integer_value(json_object_get(c->facts, "server_version_num")) / 10000;
    report_phase(c->r->report, 3);
    int rc = as_owner_find(AS_OWNER_POSTGRESQL, &c->owner, &s.as, e);
    if (rc == 0)
        rc = pg_find_programs(programs, version, s.bin, e);
    if (rc == 0)
        rc = make_dir(&s, e);
    if (rc == 0)
        rc = take_files(&s, false, e);
    if (rc == 0)
        rc = mark_tried(c, e);
    if (rc == 0) {
        try_apart(&s);
        rc = look_at_all(&s, e);
    }
    stop_server(&s, &ignored); /* after a failure */
    int back = take_files(&s, true, rc == 0 ? e : &ignored);
    rc = rc == 0 ? back : rc;
    for (size_t i = 0; i < s.n_texts; i++)
        free(s.texts[i]);
    sys_close_quiet(s.log_fd);
    passing_done(&s.passing);
    return rc < 0 ? err_wrap(e, _("verification")) : 0;
}
