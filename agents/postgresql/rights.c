/* rights.c - what a backup of this server needs, whether it is there, and the statement that grants it. */
#include "agents/postgresql/archive.h"
#include "agents/postgresql/slot.h"
#include "lib/base/i18n.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct probe {
    const struct source_spec *spec;
    const struct source_env *env;
    PGconn *c;
    char *role; /* quoted for a statement */
    char *data;
    bool received; /* the server sends its files */
};

static __attribute__((format(printf, 3, 4))) int tell(struct probe *p, bool problem,
                                                      const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return p->env->note(p->env->ctx, problem, PG_ROOT, strlen(PG_ROOT), text, NULL);
}

/* *ret: the answer is true. */
static int ask(struct probe *p, const char *sql, bool *ret, struct err *e)
{
    char *answer = NULL;
    int rc = server_text(p->c, sql, &answer, e);
    *ret = answer && answer[0] == 't';
    free(answer);
    return rc;
}

static int check_rights(struct probe *p, struct err *e)
{
    bool may = false, settings = false, slots = false, stats = false;
    bool new = PQserverVersion(p->c) >= 150000;
    int rc = ask(
        p,
        new ? "SELECT has_function_privilege('pg_backup_start(text, boolean)', 'execute') AND "
              "has_function_privilege('pg_backup_stop(boolean)', 'execute')"
            : "SELECT has_function_privilege('pg_start_backup(text, boolean, boolean)', 'execute') AND "
              "has_function_privilege('pg_stop_backup(boolean, boolean)', 'execute')",
        &may, e);
    if (rc == 0)
        rc = ask(p, "SELECT pg_has_role('pg_read_all_settings', 'usage')", &settings, e);
    if (rc == 0)
        rc = ask(p, "SELECT pg_has_role('pg_read_all_stats', 'usage')", &stats, e);
    if (rc == 0)
        rc = ask(p, "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user",
                 &slots, e);
    if (rc < 0)
        return rc;
    if (!may && !p->received)
        tell(
            p, true,
            new ? _("it may not begin a backup. As a superuser, in database \"%s\": GRANT EXECUTE ON FUNCTION "
                    "pg_backup_start(text, boolean), pg_backup_stop(boolean) TO %s;")
                : _("it may not begin a backup. As a superuser, in database \"%s\": GRANT EXECUTE ON FUNCTION "
                    "pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean) TO %s;"),
            PQdb(p->c), p->role);
    if (!settings)
        tell(
            p, true,
            _("it may not see where the data are. As a superuser: GRANT pg_read_all_settings TO %s;"),
            p->role);
    if (!slots && (p->received || !source_spec_get(p->spec, "archive")))
        tell(
            p, true,
            p->received
                ? _("it may not have the server send its files. As a superuser: ALTER ROLE %s REPLICATION;")
                : _("it may not keep the log during a backup. As a superuser: ALTER ROLE %s REPLICATION;"),
            p->role);
    if (!stats)
        tell(
            p, false,
            _("it may not see the sizes of all databases. As a superuser: GRANT pg_read_all_stats TO %s;"),
            p->role);
    return settings ? server_text(p->c, "SELECT current_setting('data_directory')", &p->data, e)
                    : 0;
}

static int check_settings(struct probe *p, struct err *e)
{
    bool level = false, room = false, sums = false;
    int rc = ask(p, "SELECT current_setting('wal_level') <> 'minimal'", &level, e);
    if (rc == 0)
        rc = ask(
            p,
            "SELECT current_setting('max_replication_slots')::int > (SELECT count(*) FROM pg_replication_slots)",
            &room, e);
    if (rc == 0)
        rc = ask(p, "SELECT current_setting('data_checksums') = 'on'", &sums, e);
    if (rc < 0)
        return rc;
    if (!level)
        tell(
            p, true,
            _("wal_level is minimal: ALTER SYSTEM SET wal_level = 'replica'; then restart the server"));
    if (!room && !source_spec_get(p->spec, "archive"))
        tell(
            p, true,
            _("all replication slots are in use: ALTER SYSTEM SET max_replication_slots = 10; then restart the server"));
    if (!sums)
        tell(
            p, false,
            _("the server keeps no checksums of pages, so damaged ones cannot be found; while it is stopped: pg_checksums --enable"));
    return 0;
}

/* --- the log, where it is to be followed ---------------------------------------------------------- */
static int check_room(struct probe *p, const struct pg_slot *slot, struct err *e)
{
    bool slots = false, senders = slot->active;
    int rc = ask(p,
                 slot->there ? "SELECT true"
                             : "SELECT current_setting('max_replication_slots')::int > "
                               "(SELECT count(*) FROM pg_replication_slots) + 1",
                 &slots, e);
    if (rc == 0 && !senders)
        rc = ask(p,
                 "SELECT current_setting('max_wal_senders')::int > "
                 "(SELECT count(*) FROM pg_stat_get_wal_senders())",
                 &senders, e);
    if (rc < 0)
        return rc;
    if (!slots)
        tell(p, true,
             _("its log needs a replication slot beside that of the backup: ALTER SYSTEM SET "
               "max_replication_slots = 10; then restart the server"));
    if (!senders)
        tell(
            p, true,
            _("nobody more may follow its log: ALTER SYSTEM SET max_wal_senders = 10; then restart "
              "the server"));
    return 0;
}

/* Only a session that is let in as one who follows shows that it would be. */
static void try_to_follow(struct probe *p, const char *what)
{
    PGconn *c = NULL;
    struct err why = ERR_INIT;
    int rc = server_connect_replication(source_spec_get(p->spec, "conninfo"),
                                        source_spec_get(p->spec, "os-user"), &c, &why);
    PGresult *r = rc == 0 ? PQexec(c, "IDENTIFY_SYSTEM") : NULL;
    if (rc < 0)
        tell(p, true, "%s: %s", what, why.why);
    else if (PQresultStatus(r) != PGRES_TUPLES_OK)
        tell(p, true, "%s: %s", what, PQerrorMessage(c));
    PQclear(r);
    PQfinish(c);
}

/* --- where it comes by archive_command ------------------------------------------------------------ */
static void check_archive_folder(struct probe *p, const char *folder)
{
    const char *given = source_spec_get(p->spec, "data"), *data = given ? given : p->data;
    struct stat its, servers;
    if (stat(folder, &its) < 0 || !S_ISDIR(its.st_mode))
        tell(
            p, true,
            _("there is no folder %s. For the user that the server runs as: install -d -o postgres -m 700 %s"),
            folder, folder);
    else if (access(folder, R_OK | W_OK | X_OK) < 0)
        tell(p, true, _("the agent (user %u) may not take files from %s"), (unsigned)geteuid(),
             folder);
    else if (data && stat(data, &servers) == 0 && servers.st_uid != its.st_uid)
        tell(p, false,
             _("%s does not belong to the user that the server runs as: may it write there?"),
             folder);
}

static int check_archive(struct probe *p, const char *folder, struct err *e)
{
    bool on = false, standby = false, never = false, named = false, fails = false;
    const char *wanted = "twofold-agent archive";
    int rc = ask(p, "SELECT pg_is_in_recovery()", &standby, e);
    if (rc == 0)
        rc = ask(p,
                 standby ? "SELECT current_setting('archive_mode') = 'always'"
                         : "SELECT current_setting('archive_mode') <> 'off'",
                 &on, e);
    if (rc == 0)
        rc = ask(p, "SELECT setting = '0' FROM pg_settings WHERE name = 'archive_timeout'", &never,
                 e);
    if (rc == 0)
        rc = ask(p,
                 "SELECT failed_count > 0 AND last_failed_time > coalesce(last_archived_time, "
                 "'-infinity') FROM pg_stat_archiver",
                 &fails, e);
    char *command = NULL;
    if (rc == 0)
        rc = server_text(p->c, "SELECT setting FROM pg_settings WHERE name = 'archive_command'",
                         &command, e);
    if (rc < 0)
        return rc;
    named = !command || strstr(command, folder);
    free(command);
    if (!on)
        tell(
            p, true,
            _("it archives nothing: ALTER SYSTEM SET archive_mode = %s; ALTER SYSTEM SET archive_command = '%s %s %%p %%f'; then restart the server"),
            standby ? "always" : "on", wanted, folder);
    else if (!named)
        tell(
            p, false,
            _("its archive_command does not name %s: ALTER SYSTEM SET archive_command = '%s %s %%p %%f'; SELECT pg_reload_conf();"),
            folder, wanted, folder);
    if (on && fails)
        tell(p, true, _("its archive_command fails: see the server's own log"));
    if (never)
        tell(
            p, false,
            _("it archives a segment when it is full, however long that takes: what is committed until then is "
              "in no copy: ALTER SYSTEM SET archive_timeout = '60s'; SELECT pg_reload_conf();"));
    check_archive_folder(p, folder);
    return 0;
}

static int check_logs(struct probe *p, struct err *e)
{
    bool unbounded = false, standby = false, may = false;
    struct pg_slot slot;
    const char *folder = source_spec_get(p->spec, "archive");
    if (!source_spec_get(p->spec, "logs"))
        return 0;
    if (folder)
        return check_archive(p, folder, e);
    int rc = pg_slot_look(p->c, pg_slot_name(p->spec), &slot, e);
    if (rc == 0)
        rc = check_room(p, &slot, e);
    if (rc == 0)
        rc = ask(p, "SELECT coalesce(current_setting('max_slot_wal_keep_size', true), '-1') = '-1'",
                 &unbounded, e);
    if (rc == 0)
        rc = ask(p, "SELECT pg_is_in_recovery()", &standby, e);
    if (rc == 0)
        rc = ask(p, "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user",
                 &may, e);
    if (rc < 0)
        return rc;
    if (unbounded && PQserverVersion(p->c) >= 130000)
        tell(p, false,
             _("nothing bounds the log that the server keeps for us while nobody follows it: ALTER "
               "SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf();"));
    if (standby)
        tell(p, false,
             _("it is a standby: what the primary has and this server has not received is in no "
               "copy"));
    if (may) /* else that has been said */
        try_to_follow(p, _("its log cannot be followed"));
    return 0;
}

static void check_folder(struct probe *p)
{
    const char *given = source_spec_get(p->spec, "data"), *data = given ? given : p->data;
    char path[PATH_MAX];
    if (!data || snprintf(path, sizeof path, "%s/global/pg_control", data) >= (int)sizeof path)
        return;
    if (access(path, R_OK) == 0)
        return;
    tell(
        p, true,
        _("the agent (user %u) cannot read %s: run it as root or as the user that owns the folder; where it is elsewhere for "
          "the agent, write data: below postgresql: in the policy"),
        (unsigned)geteuid(), data);
    tell(p, false,
         _("if that cannot be: access: replication (policy add … --access replication) has the "
           "server send its files"));
}

/* --- where the server sends its files ------------------------------------------------------------- */
static int check_scratch(struct probe *p, struct err *e)
{
    struct scratch *s = NULL;
    struct err why = ERR_INIT;
    char *bytes = NULL;
    int rc = server_text(p->c,
                         "SELECT sum(CASE WHEN has_database_privilege(oid, 'CONNECT') OR "
                         "pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(oid) END)"
                         "::text FROM pg_database",
                         &bytes, e);
    if (rc == 0 && (pg_scratch_open(p->spec, p->env->state_dir, &s, &why) < 0 ||
                    scratch_room(scratch_dir(s), bytes ? strtoull(bytes, NULL, 10) : 0, &why) < 0))
        tell(p, true, "%s: %s", why.what, why.why);
    scratch_free(s);
    free(bytes);
    return rc;
}

/* Not all that is asked of files is asked here, and that it would be let in is tried. */
static int check_sending(struct probe *p, struct err *e)
{
    bool senders = false, may = false, reads = false, apart = false;
    int rc = ask(p,
                 "SELECT current_setting('max_wal_senders')::int > "
                 "(SELECT count(*) FROM pg_stat_get_wal_senders())",
                 &senders, e);
    if (rc == 0)
        rc = ask(p, "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user",
                 &may, e);
    if (rc == 0)
        rc = ask(p,
                 "SELECT has_function_privilege('pg_read_binary_file(text)', 'execute') AND "
                 "pg_has_role('pg_read_server_files', 'usage')",
                 &reads, e);
    if (rc == 0 && p->data)
        rc = ask(p,
                 "SELECT current_setting('config_file') NOT LIKE "
                 "current_setting('data_directory') || '/%'",
                 &apart, e);
    if (rc < 0)
        return rc;
    if (!senders)
        tell(
            p, true,
            _("nobody more may have it send its files: ALTER SYSTEM SET max_wal_senders = 10; then "
              "restart the server"));
    else if (may)
        try_to_follow(p, _("it does not let us have its files"));
    if (apart && !reads)
        tell(
            p, false,
            _("its configuration outside of the data folder will not be in the backup; only if it "
              "shall be (this lets it read every file of the server's user), as a superuser: GRANT "
              "pg_read_server_files TO %s; GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO "
              "%s;"),
            p->role, p->role);
    int64_t now_us;
    rc = pg_ask_clock(p->c, p->env, &now_us, e);
    return rc == 0 ? check_scratch(p, e) : rc;
}

static int say_server(struct probe *p, struct err *e)
{
    char *version = NULL;
    int rc = server_text(p->c, "SELECT current_setting('server_version')", &version, e);
    if (rc == 0)
        tell(p, false, _("PostgreSQL %s, connected as %s"), version, p->role);
    free(version);
    return rc;
}

int pg_probe(const struct source_spec *spec, const struct source_env *env, struct err *e)
{
    struct probe p = { .spec = spec, .env = env };
    int rc = server_connect(source_spec_get(spec, "conninfo"), source_spec_get(spec, "os-user"),
                            &p.c, e);
    if (rc < 0)
        return rc;
    p.role = PQescapeIdentifier(p.c, PQuser(p.c), strlen(PQuser(p.c)));
    rc = p.role ? say_server(&p, e) : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = pg_is_received(spec, &p.received, e);
    if (rc == 0)
        rc = check_rights(&p, e);
    if (rc == 0)
        rc = check_settings(&p, e);
    if (rc == 0)
        rc = check_logs(&p, e);
    if (rc == 0 && p.received)
        rc = check_sending(&p, e);
    else if (rc == 0)
        check_folder(&p);
    if (rc == 0)
        rc = pg_run_checks(spec, env, true, NULL, e);
    PQfreemem(p.role);
    free(p.data);
    PQfinish(p.c);
    return rc;
}
