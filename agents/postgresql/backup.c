/* backup.c - a physical backup of a running PostgreSQL server: backup mode in one session, the files of its folders, and the log from
 * the start of the backup to its end, which a temporary replication slot keeps there meanwhile. When the session ends, for whatever
 * reason, the server leaves backup mode and drops the slot by itself. The map of the files is in inner.h. */
#include "agents/postgresql/archive.h"
#include "agents/postgresql/links.h"
#include "agents/postgresql/slot.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABEL "twofold"
#define MAX_CONTROL_BYTES 65536
#define CONTROL_TRIES 1000
#define START_SLACK_S 5
#define MAX_PID_BYTES 8192

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static void driver_free(void *s)
{
    struct pg *p = s;
    if (!p)
        return;
    PQfinish(p->c);
    for (size_t i = 0; i < p->n_spaces; i++) {
        free(p->spaces[i].name);
        free(p->spaces[i].place);
        free(p->spaces[i].root);
        free(p->spaces[i].place_now);
    }
    for (size_t i = 0; i < p->n_paths; i++)
        free(p->paths[i]);
    for (size_t i = 0; i < p->n_torn; i++)
        free(p->torn[i].path);
    free(p->spaces);
    free(p->early);
    free(p->late);
    free(p->version_text);
    free(p->system_id);
    free(p->data);
    free(p->server_data);
    scratch_free(p->scratch);
    free(p->catalog);
    free(p->label);
    free(p->map);
    free(p->facts);
    json_decref(p->checks);
    for (size_t i = 0; i < p->n_log; i++)
        free(p->log[i].place);
    free(p->log);
    sys_close_quiet(p->hold_fd);
    free(p->control);
    free(p->again);
    free(p);
}

/* --- what the server is ------------------------------------------------------------------------- */
static int ask_server(struct pg *p, struct err *e)
{
    static const char sql[] =
        "SELECT current_setting('server_version'), "
        "(SELECT system_identifier FROM pg_control_system())::text, "
        "current_setting('data_directory'), current_setting('data_checksums'), "
        "pg_is_in_recovery(), current_setting('block_size'), "
        "(SELECT setting FROM pg_settings WHERE name = 'segment_size'), "
        "(SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'), "
        "(SELECT catalog_version_no FROM pg_control_system())::text";
    PGresult *r = NULL;
    if (server_query(p->c, sql, 0, NULL, &r, e) < 0) {
        if (e->code == ERR_REFUSED)
            err_next(e, _("as a superuser of the server: GRANT pg_read_all_settings TO %s"),
                     PQuser(p->c));
        return -e->code;
    }
    p->version = PQserverVersion(p->c);
    p->version_text = strdup(PQgetvalue(r, 0, 0));
    p->system_id = strdup(PQgetvalue(r, 0, 1));
    p->data = strdup(PQgetvalue(r, 0, 2));
    p->server_data = strdup(PQgetvalue(r, 0, 2));
    p->checksums = strcmp(PQgetvalue(r, 0, 3), "on") == 0;
    p->standby = PQgetvalue(r, 0, 4)[0] == 't';
    p->page_bytes = (uint32_t)strtoul(PQgetvalue(r, 0, 5), NULL, 10);
    p->segment_pages = (uint32_t)strtoul(PQgetvalue(r, 0, 6), NULL, 10);
    p->wal_segment_bytes = strtoull(PQgetvalue(r, 0, 7), NULL, 10);
    p->catalog = strdup(PQgetvalue(r, 0, 8));
    PQclear(r);
    if (!p->version_text || !p->system_id || !p->data || !p->server_data || !p->catalog)
        return no_memory(e);
    if (p->page_bytes < 1024 || p->page_bytes > MAX_CHECKED_PAGE_BYTES || p->page_bytes % 1024 ||
        p->segment_pages == 0 || p->wal_segment_bytes < (1u << 20) ||
        (p->wal_segment_bytes & (p->wal_segment_bytes - 1)))
        return err_set(e, ERR_VERSION, _("the server has pages or segments of an unknown size"));
    snprintf(p->version_folder, sizeof p->version_folder, "PG_%d_%s", p->version / 10000,
             p->catalog);
    p->again = malloc(p->page_bytes);
    p->check = (struct page_check){ .page_bytes = p->page_bytes,
                                    .check = pg_check_pages,
                                    .ctx = p };
    return p->again ? 0 : no_memory(e);
}

/* The folder is another one from where we are (a container, another mount): then the policy says so. Either way it must be the server's. */
static int check_data(struct pg *p, struct err *e)
{
    const char *data = source_spec_get(p->spec, "data");
    char path[PATH_MAX];
    uint64_t id;
    if (data) {
        free(p->data);
        if (!(p->data = strdup(data)))
            return no_memory(e);
    }
    snprintf(path, sizeof path, "%s/global/pg_control", p->data);
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    if (fd < 0) {
        err_next(
            e,
            _("the agent must be able to read the server's data folder: run it as root or as "
              "the user that owns %s; where the folder is elsewhere for the agent, write data: "
              "below postgresql: in the policy, and where it cannot be had, access: replication"),
            p->data);
        return err_wrap(e, "%s", path);
    }
    ssize_t n = sys_read(fd, &id, sizeof id, e);
    sys_close_quiet(fd);
    if (n != (ssize_t)sizeof id)
        return n < 0 ? (int)n : err_set(e, ERR_DAMAGED, _("%s is too short"), path);
    if (strtoull(p->system_id, NULL, 10) == id)
        return 0;
    err_set(e, ERR_CONFIG,
            _("%s is the folder of another server than the one that \"conninfo\" leads to"),
            p->data);
    return err_next(e, _("correct data: or conninfo: below postgresql: in the policy"));
}

/* A standby has the identifier of its primary, so the folder must be the one that this server was started on, and then: postmaster.pid has
 * process, folder and second of the start in its first lines. */
static bool is_running(const char *pid_file, const char *data, long long started)
{
    const char *folder = strchr(pid_file, '\n');
    const char *start = folder ? strchr(folder + 1, '\n') : NULL;
    size_t n = start ? (size_t)(start - folder - 1) : 0;
    return start && strlen(data) == n && strncmp(folder + 1, data, n) == 0 &&
           llabs(strtoll(start + 1, NULL, 10) - started) <= START_SLACK_S;
}

static int check_running(struct pg *p, struct err *e)
{
    char path[PATH_MAX];
    uint8_t *text = NULL;
    size_t n = 0;
    PGresult *r = NULL;
    if (server_query(p->c,
                     "SELECT extract(epoch FROM pg_postmaster_start_time())::bigint::text, "
                     "current_setting('data_directory')",
                     0, NULL, &r, e) < 0)
        return -e->code;
    snprintf(path, sizeof path, "%s/postmaster.pid", p->data);
    int rc = sys_read_plain(AT_FDCWD, path, MAX_PID_BYTES, &text, &n, e);
    bool same = rc == 0 && is_running((char *)text, PQgetvalue(r, 0, 1),
                                      strtoll(PQgetvalue(r, 0, 0), NULL, 10));
    PQclear(r);
    free(text);
    if (same)
        return 0;
    if (rc < 0)
        return err_wrap(e, "%s", path);
    err_set(e, ERR_CONFIG, _("on %s another server runs than the one that \"conninfo\" leads to"),
            p->data);
    return err_next(e, _("correct data: or conninfo: below postgresql: in the policy"));
}

/* --- tablespaces -------------------------------------------------------------------------------- */
static int by_root(const void *a, const void *b)
{
    const struct pg_space *x = a, *y = b;
    return strcmp(x->root, y->root);
}

void pg_sort_spaces(struct pg *p)
{
    if (p->spaces && p->n_spaces > 1)
        qsort(p->spaces, p->n_spaces, sizeof *p->spaces, by_root);
}

int pg_add_space(struct pg *p, const char *oid, const char *name, const char *place, struct err *e)
{
    struct pg_space *s = &p->spaces[p->n_spaces];
    *s = (struct pg_space){ .name = strdup(name), .place = strdup(place) };
    snprintf(s->oid, sizeof s->oid, "%s", oid);
    if (asprintf(&s->root, PG_SPACES "/%s", s->oid) < 0)
        s->root = NULL;
    p->n_spaces++;
    return s->name && s->place && s->root ? 0 : no_memory(e);
}

/* Those that lie outside of the data folder; one that is a plain folder below pg_tblspc is captured with that. */
static int ask_spaces(struct pg *p, struct err *e)
{
    PGresult *r = NULL;
    if (server_query(p->c,
                     "SELECT oid::text, spcname, pg_tablespace_location(oid) FROM pg_tablespace "
                     "WHERE pg_tablespace_location(oid) <> '' ORDER BY oid",
                     0, NULL, &r, e) < 0)
        return -e->code;
    int n = PQntuples(r), rc = 0;
    if (n > MAX_TABLESPACES)
        rc = err_set(e, ERR_LIMIT, _("the server has more than %d tablespaces"), MAX_TABLESPACES);
    p->spaces = calloc((size_t)n + 1, sizeof *p->spaces);
    if (!p->spaces)
        rc = no_memory(e);
    for (int i = 0; rc == 0 && i < n; i++)
        if (PQgetvalue(r, i, 2)[0] == '/')
            rc = pg_add_space(p, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2), e);
    PQclear(r);
    pg_sort_spaces(p);
    return rc;
}

static const struct pg_space *find_space(const struct pg *p, const char *oid)
{
    for (size_t i = 0; i < p->n_spaces; i++)
        if (strcmp(p->spaces[i].oid, oid) == 0)
            return &p->spaces[i];
    return NULL;
}

/* One that the server has, and in which the agent found nothing: it looks at another place than the server does, or a mount is away. */
static int check_seen(const struct pg_space *s, struct err *e)
{
    if (s->seen)
        return 0;
    err_set(e, ERR_ABSENT, _("the tablespace \"%s\" is not to be seen at %s"), s->name, s->place);
    return err_next(e, _("let the agent see it there, as the server does (is it mounted?); then "
                         "run the backup again"));
}

/* Those that the server has now: each known, and where `read`, with something in it. The log of this backup would make a tablespace that
 * came meanwhile at its own place again, wherever it is replayed, and first delete what is there: on this host, the original. */
static int check_spaces(struct pg *p, bool read, struct err *e)
{
    PGresult *r = NULL;
    if (server_query(
            p->c,
            "SELECT oid::text, spcname FROM pg_tablespace WHERE pg_tablespace_location(oid) LIKE '/%'",
            0, NULL, &r, e) < 0)
        return -e->code;
    int rc = 0;
    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        const struct pg_space *s = find_space(p, PQgetvalue(r, i, 0));
        if (s) {
            rc = read ? check_seen(s, e) : 0;
        } else if (!read || !p->received) {
            err_set(e, ERR_BUSY, _("the tablespace \"%s\" was made while the backup ran"),
                    PQgetvalue(r, i, 1));
            rc = err_next(e, _("run the backup again"));
        }
    }
    PQclear(r);
    return rc;
}

/* What is moved to another disk and linked is not in a backup, which is not whole then, but says that it is. */
static int check_links(struct pg *p, struct err *e)
{
    int fd = sys_open_folder(p->data, false, e);
    int rc = fd < 0 ? err_wrap(e, "%s", p->data) : pg_links_data(fd, ".", p->data, false, e);
    sys_close_quiet(fd);
    for (size_t i = 0; rc == 0 && i < p->n_spaces; i++) {
        fd = sys_open_folder(p->spaces[i].place, false, NULL);
        if (fd >= 0) /* else that is said at the end */
            rc = pg_links_all(fd, p->version_folder, p->spaces[i].place, false, e);
        sys_close_quiet(fd);
    }
    return rc;
}

/* --- backup mode -------------------------------------------------------------------------------- */
/* What the server archives meanwhile stays in that folder until we end. */
static int hold_archive(struct pg *p, struct err *e)
{
    p->hold_fd = archive_hold(p->env.state_dir, source_spec_get(p->spec, "archive"), e);
    return p->hold_fd < 0 ? err_wrap(e, "%s", source_spec_get(p->spec, "archive")) : 0;
}

const char *pg_keep_setting(const struct pg *p)
{
    return p->version >= 130000 ? "wal_keep_size" : "wal_keep_segments";
}

/* Without a slot the server may take the log away before it is read; then the end of the backup finds it missing. */
static int take_slot(struct pg *p, struct err *e)
{
    struct err why = ERR_INIT;
    char *name = NULL, text[2 * ERR_TEXT_BYTES];
    uint32_t any;
    sys_random(&any, sizeof any);
    if (asprintf(&name, "twofold_backup_%08x", any) < 0)
        return no_memory(e);
    const char *const params[] = { name };
    PGresult *r = NULL;
    int rc = server_query(p->c, "SELECT pg_create_physical_replication_slot($1, true, true)", 1,
                          params, &r, &why);
    free(name);
    if (rc == 0) {
        p->has_slot = true;
        PQclear(r);
        return 0;
    }
    if (why.code == ERR_UNREACHABLE) {
        *e = why;
        return rc;
    }
    if (!p->received && source_spec_get(p->spec, "archive"))
        return hold_archive(p, e);
    snprintf(text, sizeof text,
             _("no replication slot keeps the log during the backup (%s); set %s, or: "
               "ALTER ROLE %s REPLICATION"),
             why.why, pg_keep_setting(p), PQuser(p->c));
    return p->env.note(p->env.ctx, false, PG_ROOT, strlen(PG_ROOT), text, e);
}

static int start(struct pg *p, struct err *e)
{
    const char *spread = source_spec_get(p->spec, "checkpoint");
    const char *const params[] = { LABEL, spread && strcmp(spread, "spread") == 0 ? "f" : "t" };
    const char *sql = p->version >= 150000 ? "SELECT pg_backup_start($1, $2::boolean)"
                                           : "SELECT pg_start_backup($1, $2::boolean, false)";
    PGresult *r = NULL;
    p->started_s = sys_realtime_s();
    if (server_query(p->c, sql, 2, params, &r, e) < 0) {
        if (e->code == ERR_REFUSED)
            err_next(
                e,
                p->version >= 150000
                    ? _("as a superuser, in the database that conninfo names: GRANT EXECUTE ON FUNCTION "
                        "pg_backup_start(text, boolean), pg_backup_stop(boolean) TO %s")
                    : _("as a superuser, in the database that conninfo names: GRANT EXECUTE ON FUNCTION "
                        "pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean) TO %s"),
                PQuser(p->c));
        return err_wrap(e, _("begin backup mode"));
    }
    bool ok = lsn_parse(PQgetvalue(r, 0, 0), &p->start_lsn);
    PQclear(r);
    p->in_backup = true;
    return ok ? 0 : err_set(e, ERR_PROTOCOL, _("the server gave no position in its log"));
}

/* --- roots -------------------------------------------------------------------------------------- */
static int make_early(struct pg *p, struct err *e)
{
    p->early = calloc(p->n_spaces + 4 + MAX_INCLUDED, sizeof *p->early);
    if (!p->early)
        return no_memory(e);
    if (pg_add_config(p, e) < 0)
        return -e->code;
    struct source_root common = { .may_change = !p->received,
                                  .owner = p->received ? &p->owner : NULL,
                                  .delta = DELTA_PAGES,
                                  .page_bytes = p->page_bytes,
                                  .check_of = pg_check_of,
                                  .ctx = p };
    struct source_root *r = &p->early[p->n_early++];
    *r = common;
    r->name = PG_DATA;
    r->place = p->data;
    r->leave_out = pg_leave_out_data;
    for (size_t i = 0; i < p->n_spaces; i++) {
        r = &p->early[p->n_early++];
        *r = common;
        r->name = p->spaces[i].root;
        r->place = p->spaces[i].place_now ? p->spaces[i].place_now : p->spaces[i].place;
        r->leave_out = pg_leave_out_space;
        r->may_be_absent = true; /* dropped meanwhile, which the log says, too */
    }
    return 0;
}

/* Each segment by itself, from where it is: from the folder, where it stays, if it has been archived, else from the server's own. */
static int make_log_roots(struct pg *p, const char *wal, struct err *e)
{
    int rc = pg_find_log(p, wal, e);
    for (size_t i = 0; rc == 0 && i < p->n_log; i++)
        p->late[p->n_late++] = (struct source_root){ .name = p->log[i].name,
                                                     .place = p->log[i].place,
                                                     .may_change = true,
                                                     .may_be_absent = true };
    return rc;
}

static int make_late(struct pg *p, struct err *e)
{
    char *wal = NULL;
    p->late = calloc(6 + (p->hold_fd >= 0 ? p->last_segment - p->first_segment + 1 : 0),
                     sizeof *p->late);
    if (!p->late || asprintf(&wal, "%s/pg_wal", p->data) < 0)
        return no_memory(e);
    p->paths[p->n_paths++] = wal;
    p->late[p->n_late++] = (struct source_root){ .name = PG_ROOT "/facts.json",
                                                 .bytes = p->facts,
                                                 .bytes_len = strlen(p->facts) };
    p->late[p->n_late++] = (struct source_root){ .name = PG_ROOT "/label/backup_label",
                                                 .bytes = p->label,
                                                 .bytes_len = strlen(p->label) };
    p->late[p->n_late++] = (struct source_root){ .name = PG_ROOT "/label/pg_control",
                                                 .bytes = p->control,
                                                 .bytes_len = p->control_len };
    if (p->map)
        p->late[p->n_late++] = (struct source_root){ .name = PG_ROOT "/label/tablespace_map",
                                                     .bytes = p->map,
                                                     .bytes_len = strlen(p->map) };
    if (p->hold_fd >= 0)
        return make_log_roots(p, wal, e);
    p->late[p->n_late++] = (struct source_root){ .name = PG_WAL,
                                                 .place = wal,
                                                 .may_change = !p->received,
                                                 .owner = p->received ? &p->owner : NULL,
                                                 .leave_out = pg_leave_out_wal,
                                                 .ctx = p };
    return 0;
}

/* --- the interface -------------------------------------------------------------------------------- */
static int prepare(struct pg *p, struct err *e)
{
    int rc = server_connect(source_spec_get(p->spec, "conninfo"),
                            source_spec_get(p->spec, "os-user"), &p->c, e);
    if (rc == 0)
        rc = ask_server(p, e);
    if (rc == 0)
        rc = pg_is_received(p->spec, &p->received, e);
    if (rc == 0 && !p->received)
        rc = check_data(p, e);
    if (rc == 0 && !p->received)
        rc = check_running(p, e);
    if (rc == 0)
        rc = pg_slot_note(p->c, p->spec, &p->env, e);
    if (rc == 0)
        rc = take_slot(p, e);
    if (rc == 0)
        rc = p->received ? pg_receive(p, e) : start(p, e);
    if (rc == 0)
        rc = p->received ? check_spaces(p, false, e) : ask_spaces(p, e);
    if (rc == 0 && !p->received)
        rc = check_links(p, e);
    return rc == 0 ? make_early(p, e) : rc;
}

static int driver_begin(const struct source_spec *spec, const struct source_env *env, void **ret,
                        struct err *e)
{
    struct pg *p = calloc(1, sizeof *p);
    if (!p)
        return no_memory(e);
    p->spec = spec;
    p->env = *env;
    p->hold_fd = -1;
    int rc = prepare(p, e);
    if (rc < 0)
        driver_free(p);
    else
        *ret = p;
    return rc;
}

static int driver_roots(void *s, bool late, const struct source_root **ret, size_t *ret_n,
                        struct err *e)
{
    struct pg *p = s;
    (void)e;
    *ret = late ? p->late : p->early;
    *ret_n = late ? p->n_late : p->n_early;
    return 0;
}

/* "START TIMELINE: 3" */
static int read_timeline(struct pg *p, struct err *e)
{
    const char *at = strstr(p->label, "START TIMELINE: ");
    p->timeline = at ? (uint32_t)strtoul(at + strlen("START TIMELINE: "), NULL, 10) : 0;
    return p->timeline ? 0 : err_set(e, ERR_PROTOCOL, _("the backup's label names no timeline"));
}

static int stop(struct pg *p, struct err *e)
{
    const char *sql = p->version >= 150000
                          ? "SELECT lsn, labelfile, spcmapfile FROM pg_backup_stop(false)"
                          : "SELECT lsn, labelfile, spcmapfile FROM pg_stop_backup(false, false)";
    PGresult *r = NULL;
    if (server_query(p->c, sql, 0, NULL, &r, e) < 0)
        return err_wrap(e, _("end backup mode"));
    p->in_backup = false;
    p->stopped_us = p->end_us = sys_realtime_ns() / 1000;
    bool ok = PQntuples(r) == 1 && lsn_parse(PQgetvalue(r, 0, 0), &p->stop_lsn);
    if (ok) {
        p->label = strdup(PQgetvalue(r, 0, 1));
        p->map = PQgetvalue(r, 0, 2)[0] ? strdup(PQgetvalue(r, 0, 2)) : NULL;
    }
    PQclear(r);
    if (!ok || p->stop_lsn <= p->start_lsn)
        return err_set(e, ERR_PROTOCOL, _("the server gave no position in its log"));
    return p->label ? read_timeline(p, e) : no_memory(e);
}

/* After all data, and before the end: of a standby's backup it says how far the log must be replayed. The server writes it at once, but
 * we may read while it does: what is the same twice is whole. */
static int read_control(struct pg *p, struct err *e)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/global/pg_control", p->data);
    for (unsigned i = 0; i < CONTROL_TRIES; i++) {
        uint8_t *text = NULL;
        size_t n = 0;
        if (sys_read_plain(AT_FDCWD, path, MAX_CONTROL_BYTES, &text, &n, e) < 0)
            return err_wrap(e, "%s", path);
        bool same = p->control && n == p->control_len && memcmp(text, p->control, n) == 0;
        free(p->control);
        p->control = text;
        p->control_len = n;
        if (same)
            return 0;
    }
    return err_set(e, ERR_BUSY, _("%s changes all the time"), path);
}

int pg_ask_questions(struct pg *p, struct err *e)
{
    p->checks = json_array();
    return p->checks ? pg_run_checks(p->spec, &p->env, false, p->checks, e) : no_memory(e);
}

/* What the server saw while it read its pages, and is not to be seen in what it sent. */
static int tell_damage(struct pg *p, struct err *e)
{
    char text[400];
    if (!p->sender_found_damage || p->pages_wrong > 0)
        return 0;
    snprintf(text, sizeof text, _("the server found damaged pages while it sent its files: %s"),
             p->warning[0] ? p->warning : _("see its log"));
    return p->env.note(p->env.ctx, true, PG_ROOT, strlen(PG_ROOT), text, e);
}

static int driver_end(void *s, struct err *e)
{
    struct pg *p = s;
    /* As near to the end as can be: that is what a restore comes to. */
    int rc = p->received ? read_timeline(p, e) : pg_ask_questions(p, e);
    if (rc == 0)
        rc = read_control(p, e);
    if (rc == 0 && !p->received)
        rc = stop(p, e);
    if (rc == 0 && !p->received)
        rc = check_links(p, e);
    if (rc == 0)
        rc = check_spaces(p, true, e);
    if (rc < 0)
        return rc;
    p->first_segment = p->start_lsn / p->wal_segment_bytes;
    p->last_segment = (p->stop_lsn - 1) / p->wal_segment_bytes;
    rc = pg_judge_torn(p, e);
    if (rc == 0)
        rc = tell_damage(p, e);
    if (rc == 0)
        rc = pg_make_facts(p, e);
    return rc == 0 ? make_late(p, e) : rc;
}

/* Without all of the log between start and end the files are worth nothing. A server that no slot holds back takes a segment away, or gives
 * its file to a later one: those that are still there after they were read were themselves while they were. */
static int driver_check(void *s, struct err *e)
{
    struct pg *p = s;
    uint64_t wanted = p->last_segment - p->first_segment + 1,
             there = p->hold_fd >= 0 ? pg_log_there(p) : pg_segments_there(p);
    if (p->hold_fd >= 0 || there < p->segments_seen)
        p->segments_seen = there;
    if (p->segments_seen == wanted)
        return 0;
    err_set(e, ERR_ABSENT,
            _("of %llu segments of the log that the backup needs %llu are not in pg_wal any more"),
            (unsigned long long)wanted, (unsigned long long)(wanted - p->segments_seen));
    return err_next(
        e,
        _("let a replication slot keep them (ALTER ROLE %s REPLICATION; "
          "max_replication_slots above what is in use), raise %s, or let its log be archived "
          "(archive: below postgresql: in the policy); then run it again"),
        PQuser(p->c), pg_keep_setting(p));
}

static const struct source_setting settings[] = {
    { "conninfo", SETTING_NAMES, true },
    { "data", SETTING_READS, false },
    { "os-user", SETTING_NAMES, false },
    { "checkpoint", SETTING_PLAIN, false },
    { "slot", SETTING_PLAIN, false },
    { "logs", SETTING_PLAIN, false },
    { "slot-limit", SETTING_PLAIN, false },
    { "archive", SETTING_NAMES, false },
    { "access", SETTING_PLAIN, false },
    { "scratch", SETTING_WRITES, false },
    SQL_CHECK_SETTINGS,
    { NULL, SETTING_PLAIN, false },
};
static const struct source_setting restore_settings[] = {
    { "verify", SETTING_RUNS,
      false }, /* "postgres": the server as its package installs it; or the folder of its programs */
    { "version", SETTING_PLAIN, false }, /* of the server that the backup is of: 15 */
    { "system", SETTING_PLAIN, false },  /* with --delta: its identifier */
    { "tablespace", SETTING_WRITES, false },
    { "logs", SETTING_PLAIN, false },
    { "at", SETTING_PLAIN, false },
    SQL_CHECK_SETTINGS,
    { "lsn", SETTING_PLAIN, false },
    { "point", SETTING_PLAIN, false },
    { "stage", SETTING_PLAIN,
      false }, /* "ask": only whether it can be done; "space": the files of a tablespace alone */
    { "data", SETTING_WRITES, false },
    { "strict", SETTING_PLAIN, false }, /* with verify: what is found wrong is a failure */
    { "salvage", SETTING_WRITES,
      false }, /* a data folder that was set aside: what survived of its log goes on from the kept one */
    { NULL, SETTING_PLAIN, false },
};

/* Administrators put settings, keys and the server's messages elsewhere, and pg_tblspc is made anew. All other folders have a cluster's tables
 * and its log, which no server looks for behind a link that a backup brings. */
static bool link_ok(const char *path, size_t len)
{
    static const char data[] = PG_DATA "/", spaces[] = "pg_tblspc/";
    (void)len;
    if (strncmp(path, data, strlen(data)) != 0)
        return strncmp(path, PG_ROOT "/config", strlen(PG_ROOT "/config")) == 0;
    const char *below = path + strlen(data);
    if (strncmp(below, spaces, strlen(spaces)) == 0)
        return !strchr(below + strlen(spaces), '/');
    char top[NAME_MAX + 1];
    snprintf(top, sizeof top, "%.*s", (int)strcspn(below, "/"), below);
    return !pg_is_servers(top);
}

const struct source_driver source_postgresql = {
    .kind = PG_ROOT,
    .settings = settings,
    .restore_settings = restore_settings,
    .begin = driver_begin,
    .probe = pg_probe,
    .follow = pg_follow,
    .roots = driver_roots,
    .end = driver_end,
    .check = driver_check,
    .free = driver_free,
    .link_ok = link_ok,
    .restore_check = pg_restore_check,
    .restore_over = pg_restore_over,
    .restore_lend = pg_lend,
    .restore = pg_restore,
    .host_facts = pg_host_facts,
    .host_scene = pg_host_scene,
};
