/* restore.c - the steps that make restored files a cluster that starts: label and log to where the server looks for them, tablespaces,
 * recovery. The server then replays the log from the start of the backup to its end, and what lies behind that in pg_wal.
 *
 * Settings: data (in place: where the folder is to be in the end; what is there is set aside), tablespace ("OID=/FOLDER", where it is
 * now), verify ("postgres", or a folder of programs). */
#include "agents/postgresql/links.h"
#include "agents/postgresql/replay.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_FACTS_BYTES (4u << 20)
#define AUTO_CONF "postgresql.auto.conf"
#define MAX_AUTO_CONF (1u << 20)
static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- what was restored -------------------------------------------------------------------------- */
static int read_facts(struct pg_cluster *c, struct err *e)
{
    uint8_t *text = NULL;
    size_t n = 0;
    json_error_t why;
    int rc = sys_read_plain(c->folder_fd, "facts.json", MAX_FACTS_BYTES, &text, &n, e);
    if (rc < 0)
        return err_wrap(e, "facts.json");
    c->facts = json_loadb((const char *)text, n, 0, &why);
    free(text);
    const char *lsn = json_string_value(json_object_get(c->facts, "stop_lsn"));
    if (!c->facts || !lsn || !lsn_parse(lsn, &c->stop_lsn))
        return err_set(e, ERR_DAMAGED, _("facts.json of the backup cannot be read"));
    return 0;
}

static int open_cluster(struct pg_cluster *c, const struct source_restore *r, struct err *e)
{
    c->r = r;
    c->folder_fd = sys_open_folder(r->folder, r->resolved, e);
    if (c->folder_fd < 0)
        return err_wrap(e, "%s", r->folder);
    int rc = read_facts(c, e);
    if (rc == 0 && asprintf(&c->data, "%s/data", r->folder) < 0) {
        c->data = NULL;
        rc = no_memory(e);
    }
    if (rc == 0)
        c->data_fd = rc = sys_openat(c->folder_fd, "data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                                     e);
    if (rc >= 0)
        rc = fstat(c->data_fd, &c->owner) < 0 ? err_sys(e, "%s", c->data) : 0;
    return rc;
}

static void close_cluster(struct pg_cluster *c)
{
    sys_close_quiet(c->wal_fd);
    sys_close_quiet(c->data_fd);
    sys_close_quiet(c->folder_fd);
    json_decref(c->facts);
    free(c->recovery);
    free(c->data);
}

/* --- links --------------------------------------------------------------------------------------- */
/* One that lies elsewhere; in place, what was restored of it lies in a folder of the same name as ours. */
static int check_space(struct pg_cluster *c, const char *place, struct err *e)
{
    char staging[NAME_MAX + 1];
    bool in_place = source_spec_get(c->r->spec, "data") != NULL;
    int rc = in_place ? pg_staging_name(c->r->folder, staging, e) : 0;
    int fd = rc < 0 ? rc : sys_open_folder(place, c->r->resolved, e);
    if (fd >= 0 && in_place)
        rc = pg_links_all(fd, staging, place, true, e);
    else if (fd >= 0)
        rc = pg_links_space(fd, place, e);
    sys_close_quiet(fd);
    return fd < 0 ? err_wrap(e, "%s", place) : rc;
}

/* A backup comes from a host that may have been in other hands: what it has instead of the server's files must lead nowhere else. */
static int check_links(struct pg_cluster *c, struct err *e)
{
    static const char *const own[] = { "label", "wal", "data-spaces" };
    char place[PATH_MAX];
    int rc = pg_links_data(c->folder_fd, "data", c->data, true, e);
    for (size_t i = 0; rc == 0 && i < sizeof own / sizeof *own; i++) {
        snprintf(place, sizeof place, "%s/%s", c->r->folder, own[i]);
        rc = pg_links_all(c->folder_fd, own[i], place, true, e);
    }
    for (size_t i = 0; rc == 0 && i < c->r->spec->n; i++) {
        const struct setting *s = &c->r->spec->v[i];
        const char *equals = strcmp(s->key, "tablespace") == 0 ? strchr(s->value, '=') : NULL;
        if (equals)
            rc = check_space(c, equals + 1, e);
    }
    return rc;
}

/* --- label and log ------------------------------------------------------------------------------ */
static int give(struct pg_cluster *c, int dir_fd, const char *name, struct err *e)
{
    if (geteuid() != 0)
        return 0;
    return fchownat(dir_fd, name, c->owner.st_uid, c->owner.st_gid, AT_SYMLINK_NOFOLLOW) < 0
               ? err_sys(e, "%s", name)
               : 0;
}

/* A folder in another one, opened without following a link; made where it is missing. */
static int open_made(struct pg_cluster *c, int dir_fd, const char *name, struct err *e)
{
    int rc = sys_mkdirat(dir_fd, name, 0700, e);
    if (rc == 0)
        rc = give(c, dir_fd, name, e);
    else if (rc == -ERR_EXISTS) {
        err_clear(e);
        rc = 0;
    }
    if (rc == 0)
        rc = sys_openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    return rc < 0 ? err_wrap(e, "%s", name) : rc;
}

/* Takes away what is in a folder and no folder itself; links: only those. */
static int empty_folder(int folder_fd, bool links, struct err *e)
{
    int fd = sys_openat(folder_fd, ".", O_RDONLY | O_DIRECTORY, 0, e), rc = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        sys_close_quiet(fd);
        return fd < 0 ? fd : err_sys(e, "%s", _("list the folder"));
    }
    struct dirent *de;
    struct stat st;
    while (rc == 0 && (de = readdir(d)) != NULL)
        if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (links ? S_ISLNK(st.st_mode) : !S_ISDIR(st.st_mode)))
            rc = sys_unlinkat(fd, de->d_name, 0, e);
    closedir(d);
    return rc;
}

/* What is there is not of the backup, which has none of pg_wal. */
static int begin_wal(struct pg_cluster *c, struct err *e)
{
    int rc = c->wal_fd = open_made(c, c->data_fd, "pg_wal", e);
    if (rc < 0)
        return rc;
    int status = open_made(c, c->wal_fd, "archive_status", e);
    rc = status < 0 ? status : empty_folder(c->wal_fd, false, e);
    if (rc == 0)
        rc = empty_folder(status, false, e);
    sys_close_quiet(status);
    return rc < 0 ? err_wrap(e, "pg_wal") : 0;
}

/* Everything in `from` (below the folder) to another one. */
static int move_all(struct pg_cluster *c, const char *from, int to_fd, struct err *e)
{
    int from_fd = sys_openat(c->folder_fd, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e), rc = 0;
    DIR *d = from_fd < 0 ? NULL : fdopendir(from_fd);
    if (!d) {
        if (from_fd >= 0)
            err_sys(e, "%s", _("list the folder"));
        sys_close_quiet(from_fd);
        return err_wrap(e, "%s", from);
    }
    struct dirent *de;
    while (rc == 0 && (de = readdir(d)) != NULL) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        rc = sys_renameat(dirfd(d), de->d_name, to_fd, de->d_name, true, e);
        if (rc == 0)
            rc = give(c, to_fd, de->d_name, e);
    }
    closedir(d);
    if (rc == 0)
        rc = sys_unlinkat(c->folder_fd, from, AT_REMOVEDIR, e);
    return rc < 0 ? err_wrap(e, "%s", from) : 0;
}

static int write_owned(struct pg_cluster *c, const char *name, const void *text, size_t n,
                       struct err *e)
{
    int rc = sys_write_file(c->data_fd, name, text, n, 0600, e);
    return rc < 0 ? rc : give(c, c->data_fd, name, e);
}

/* --- tablespaces -------------------------------------------------------------------------------- */
/* Where the tablespace is to lie: as the restore was told, or below the folder. In place, it lies beside what it replaces until then, and that is
 * where a server that is started before must find it: what is there is the old one's. */
static int space_place(struct pg_cluster *c, const char *oid, char out[PATH_MAX], struct err *e)
{
    size_t n = strlen(oid);
    char staging[NAME_MAX + 1] = "";
    int len = snprintf(out, PATH_MAX, "%s/data-spaces/%s", c->r->folder, oid);
    if (c->looked_at && source_spec_get(c->r->spec, "data")) {
        int rc = pg_staging_name(c->r->folder, staging, e);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < c->r->spec->n; i++) {
        const struct setting *s = &c->r->spec->v[i];
        if (strcmp(s->key, "tablespace") == 0 && strncmp(s->value, oid, n) == 0 &&
            s->value[n] == '=')
            len = snprintf(out, PATH_MAX, "%s%s%s", s->value + n + 1, staging[0] ? "/" : "",
                           staging);
    }
    return len >= 0 && len < PATH_MAX ? 0 : err_set(e, ERR_LIMIT, _("the path is too long"));
}

/* In tablespace_map a backslash stands before itself and before the end of a line. */
static void map_line(struct wbuf *map, const char *oid, const char *place)
{
    wb_bytes(map, oid, strlen(oid));
    wb_u8(map, ' ');
    for (; *place; place++) {
        if (*place == '\n' || *place == '\r' || *place == '\\')
            wb_u8(map, '\\');
        wb_u8(map, (uint8_t)*place);
    }
    wb_u8(map, '\n');
}

static int link_space(struct pg_cluster *c, int links_fd, json_t *space, struct wbuf *map,
                      struct err *e)
{
    const char *oid = json_string_value(json_object_get(space, "oid"));
    char place[PATH_MAX];
    if (!oid || strspn(oid, "0123456789") != strlen(oid) || strlen(oid) > 10)
        return err_set(e, ERR_DAMAGED, _("facts.json of the backup cannot be read"));
    int rc = space_place(c, oid, place, e);
    if (rc < 0)
        return rc;
    if (symlinkat(place, links_fd, oid) < 0)
        return err_sys(e, "pg_tblspc/%s", oid);
    map_line(map, oid, place);
    if (!c->looked_at)
        report_note(c->r->report, NULL, 0, _("tablespace %s lies in %s"),
                    json_string_value(json_object_get(space, "name")), place);
    return give(c, links_fd, oid, e);
}

/* with_map: for a server that recovers; afterwards it wants none. */
static int link_spaces(struct pg_cluster *c, bool with_map, struct err *e)
{
    json_t *all = json_object_get(c->facts, "tablespaces");
    struct wbuf map = WBUF_INIT;
    int fd = open_made(c, c->data_fd, "pg_tblspc", e);
    int rc = fd < 0 ? fd : empty_folder(fd, true, e); /* those of the original, or of anybody */
    for (size_t i = 0; rc == 0 && i < json_array_size(all); i++)
        rc = link_space(c, fd, json_array_get(all, i), &map, e);
    sys_close_quiet(fd);
    if (rc == 0 && map.failed)
        rc = no_memory(e);
    if (rc == 0 && with_map && map.len > 0)
        rc = write_owned(c, "tablespace_map", map.p, map.len, e);
    wbuf_free(&map);
    return rc;
}

/* --- recovery ----------------------------------------------------------------------------------- */
static __attribute__((format(printf, 2, 3))) void put_line(struct wbuf *w, const char *fmt, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    wb_bytes(w, line, n > 0 ? (size_t)n : 0);
}

static void put_target(struct wbuf *w, const char *name, const char *value, bool set)
{
    if (set == (value[0] != '\0'))
        put_line(w, "%s = '%s'\n", name, value);
}

/* The last line for a setting counts. What an earlier restore of this cluster asked for may stand above, so each is said; and a server in
 * recovery must have room for what the original had (hot_standby): what was changed since the backup is in no file of it. */
static void put_recovery(struct wbuf *w, const struct pg_replay *log)
{
    static const char *const parameters[WAL_PARAMETERS] = {
        "max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
        "max_locks_per_transaction"
    };
    put_line(w, "# Added by twofold restore: the log is in pg_wal.\nrestore_command = 'false'\n");
    /* Empty ones first: the server refuses any that it meets after one that is not. */
    put_line(w, "recovery_target = ''\nrecovery_target_xid = ''\n");
    for (int set = 0; set < 2; set++) {
        put_target(w, "recovery_target_time", log->time, set);
        put_target(w, "recovery_target_lsn", log->lsn, set);
        put_target(w, "recovery_target_name", log->point, set);
    }
    put_line(w, "recovery_target_inclusive = %s\n", log->lsn[0] ? "off" : "on");
    if (log->timeline)
        put_line(w, "recovery_target_timeline = '%u'\n", log->timeline);
    else
        put_line(w, "recovery_target_timeline = 'latest'\n");
    put_line(w, "recovery_target_action = 'promote'\n");
    for (size_t i = 0; log->parameters[0] && i < WAL_PARAMETERS; i++)
        put_line(w, "%s = %u\n", parameters[i], log->parameters[i]);
}

/* recovery.signal makes the server begin a timeline of its own when it is through: what it writes then is never taken for what the
 * original wrote. */
static int set_recovery(struct pg_cluster *c, const struct pg_replay *log, struct err *e)
{
    struct wbuf conf = WBUF_INIT;
    uint8_t *old = NULL;
    size_t n = 0;
    int rc = sys_read_plain(c->data_fd, AUTO_CONF, MAX_AUTO_CONF, &old, &n, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        rc = 0;
    }
    if (rc < 0)
        return rc;
    if (n > 0)
        wb_bytes(&conf, old, n);
    if (n > 0 && old[n - 1] != '\n')
        wb_u8(&conf, '\n');
    free(old);
    size_t from = conf.len;
    put_recovery(&conf, log);
    if (!conf.failed && (c->recovery = malloc(conf.len - from)) != NULL) {
        c->recovery_len = conf.len - from;
        memcpy(c->recovery, conf.p + from, c->recovery_len);
    }
    rc = conf.failed ? no_memory(e) : write_owned(c, AUTO_CONF, conf.p, conf.len, e);
    wbuf_free(&conf);
    return rc < 0 ? rc : write_owned(c, "recovery.signal", "", 0, e);
}

/* --- the whole ---------------------------------------------------------------------------------- */
/* The last of all: before, no server starts on what is not whole. */
static int put_control(struct pg_cluster *c, struct err *e)
{
    int fd = sys_openat(c->data_fd, "global", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    int rc = fd < 0 ? err_wrap(e, "%s/global", c->data)
                    : sys_renameat(c->folder_fd, "pg_control", fd, "pg_control", true, e);
    if (rc == 0)
        rc = give(c, fd, "pg_control", e);
    if (rc == 0)
        rc = sys_fsync_dir(fd, ".", e);
    sys_close_quiet(fd);
    return rc;
}

static int assemble(struct pg_cluster *c, struct err *e)
{
    struct pg_replay log;
    int rc = begin_wal(c, e);
    if (rc == 0)
        rc = move_all(c, "wal", c->wal_fd, e);
    if (rc == 0)
        rc = sys_renameat(c->folder_fd, "label/pg_control", c->folder_fd, "pg_control", true, e);
    if (rc == 0)
        rc = move_all(c, "label", c->data_fd, e);
    if (rc == 0)
        rc = link_spaces(c, true, e);
    if (rc == 0)
        rc = pg_bring_log(c, &log, e);
    if (rc == 0) {
        c->expect_lsn = log.expect_lsn;
        rc = set_recovery(c, &log, e);
    }
    if (rc == 0)
        rc = sys_syncfs(c->data_fd, e);
    return rc == 0 ? put_control(c, e) : rc;
}

static void say_expected(struct pg_cluster *c)
{
    char when[32] = "?", lsn[LSN_TEXT_BYTES];
    time_t t = (time_t)json_integer_value(json_object_get(c->facts, "stopped_at"));
    struct tm tm;
    if (gmtime_r(&t, &tm))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    report_note(c->r->report, NULL, 0,
                _("PostgreSQL %s, system %s: the backup ends at %s (%s), timeline %lld"),
                json_string_value(json_object_get(c->facts, "server_version")),
                json_string_value(json_object_get(c->facts, "system_identifier")),
                lsn_print(c->stop_lsn, lsn), when,
                (long long)json_integer_value(json_object_get(c->facts, "timeline")));
}

/* The original's own settings name programs, files and libraries; and a file is written where they say. So they are away while the server
 * of the verification runs. */
static int verify(struct pg_cluster *c, const char *programs, struct err *e)
{
    struct err ignored = ERR_INIT;
    if (!c->recovery)
        return no_memory(e);
    int rc = sys_renameat(c->data_fd, AUTO_CONF, c->folder_fd, AUTO_CONF, true, e);
    if (rc < 0)
        return rc;
    rc = write_owned(c, AUTO_CONF, c->recovery, c->recovery_len, e);
    if (rc == 0)
        rc = pg_verify(c, programs, e);
    if (rc == 0) {
        c->looked_at = false;
        rc = link_spaces(c, false, e);
    }
    int back = sys_renameat(c->folder_fd, AUTO_CONF, c->data_fd, AUTO_CONF, true,
                            rc == 0 ? e : &ignored);
    if (back == 0)
        back = sys_fsync_dir(c->data_fd, ".", rc == 0 ? e : &ignored);
    return rc == 0 ? back : rc;
}

int pg_restore_check(const struct source_restore *r, struct err *e)
{
    const char *in = source_spec_get(r->spec, "data"), *verify = source_spec_get(r->spec, "verify"),
               *version = source_spec_get(r->spec, "version");
    char bin[PATH_MAX];
    int rc = in ? pg_check_replaceable(r, in, e) : r->delta ? pg_check_stopped(r, e) : 0;
    if (rc == 0 && r->delta)
        rc = pg_check_same(r, e);
    if (rc == 0 && verify && version) /* rather now than when all has been brought */
        rc = pg_find_programs(verify, (int)strtol(version, NULL, 10), bin, e);
    return rc;
}

int pg_restore(const struct source_restore *r, struct err *e)
{
    struct pg_cluster c = { .folder_fd = -1, .data_fd = -1, .wal_fd = -1 };
    const char *programs = source_spec_get(r->spec, "verify"),
               *in = source_spec_get(r->spec, "data");
    if (source_spec_get(r->spec, "stage"))
        return 0;
    int rc = open_cluster(&c, r, e);
    c.looked_at = programs != NULL;
    if (rc == 0)
        rc = check_links(&c, e);
    if (rc == 0)
        rc = assemble(&c, e);
    if (rc == 0)
        say_expected(&c);
    if (rc == 0 && programs)
        rc = verify(&c, programs, e);
    if (rc == 0 && in)
        rc = pg_put_in_place(&c, in, e);
    if (rc == 0)
        report_note(r->report, NULL, 0, _("the data folder: %s"), in ? in : c.data);
    close_cluster(&c);
    return rc;
}
