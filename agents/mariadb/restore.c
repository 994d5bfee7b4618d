/* restore.c - the steps that make what mariadb-backup wrote a data folder that starts: FOLDER/backup is prepared by mariadb-backup, as its owner,
 * under a name that no server is started on, and called FOLDER/data at the end; so what is not finished is never taken for a database.
 *
 * Settings: data (in place: where the folder is to be in the end; what is there is set aside), binaries (the folder of mariadb-backup),
 * verify ("mariadb", or a folder of programs). */
#include "agents/mariadb/restored.h"
#include "agents/tree.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PREPARING ".twofold-preparing"
#define DAMAGED "innodb_corrupted_pages"
#define PREPARE_LIMIT_S 86400
#define MAX_CONF_BYTES (256u << 10)

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- what was restored --------------------------------------------------------------------------- */
int my_read_facts(int folder_fd, json_t **ret, struct err *e)
{
    uint8_t *text = NULL;
    size_t n = 0;
    json_error_t why;
    int rc = sys_read_plain(folder_fd, "facts.json", MAX_MY_FACTS_BYTES, &text, &n, e);
    if (rc < 0)
        return err_wrap(e, "facts.json");
    *ret = json_loadb((const char *)text, n, 0, &why);
    free(text);
    return json_is_string(json_object_get(*ret, "server_version"))
               ? 0
               : err_set(e, ERR_DAMAGED, _("facts.json of the backup cannot be read"));
}

static int open_restored(struct my_restored *x, const struct source_restore *r, struct err *e)
{
    x->r = r;
    x->folder_fd = sys_open_folder(r->folder, r->resolved, e);
    if (x->folder_fd < 0)
        return err_wrap(e, "%s", r->folder);
    int rc = my_read_facts(x->folder_fd, &x->facts, e);
    if (rc == 0 && asprintf(&x->data, "%s/data", r->folder) < 0) {
        x->data = NULL;
        rc = no_memory(e);
    }
    if (rc == 0 && (fstatat(x->folder_fd, "backup", &x->owner, AT_SYMLINK_NOFOLLOW) < 0 ||
                    !S_ISDIR(x->owner.st_mode)))
        rc = err_set(e, ERR_ABSENT, _("%s/backup is not there"), r->folder);
    return rc;
}

void my_restored_done(struct my_restored *x)
{
    passing_done(&x->passing);
    sys_close_quiet(x->folder_fd);
    json_decref(x->facts);
    free(x->data);
}

/* --- the settings that the files need ------------------------------------------------------------ */
/* backup-my.cnf comes from the backup: of it only what says how the files are made, and no library but the one that keeps keys in a file. */
static bool may_use(const char *key, const char *value)
{
    static const char *const keys[] = { "innodb_checksum_algorithm", "innodb_page_size",
                                        "innodb_undo_tablespaces",   "innodb_log_file_size",
                                        "innodb_compression_level",  "innodb_encrypt_log",
                                        "innodb_encrypt_tables",     "innodb_data_file_path" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return value[0] && !strchr(value, '/');
    if (strcmp(key, "plugin_load") == 0)
        return strcmp(value, "file_key_management=file_key_management") == 0;
    if (strcmp(key, "plugin_dir") == 0)
        return strncmp(value, "/usr/", 5) == 0 && !strstr(value, "/..");
    return strncmp(key, "file_key_management_", strlen("file_key_management_")) == 0 && value[0];
}

static void put_setting(struct wbuf *w, char *line)
{
    char *value = strchr(line, '=');
    if (!value || line[0] == '#' || line[0] == '[')
        return;
    *value++ = '\0';
    size_t n = strlen(value);
    if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
        value[n - 1] = '\0';
        value++;
    }
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20)
            return;
    if (!may_use(line, value))
        return;
    wb_bytes(w, line, strlen(line));
    wb_u8(w, '=');
    wb_bytes(w, value, strlen(value));
    wb_u8(w, '\n');
}

/* Whether a table's name is written as it was said, or in small letters: files are found by it. */
static void put_letters(const struct my_restored *x, struct wbuf *w)
{
    const char *v = json_string_value(
        json_object_get(json_object_get(x->facts, "settings"), "lower_case_table_names"));
    char line[64];
    if (v && strlen(v) == 1 && v[0] >= '0' && v[0] <= '2') {
        snprintf(line, sizeof line, "loose_lower_case_table_names=%s\n", v);
        wb_bytes(w, line, strlen(line));
    }
}

int my_make_conf(struct my_restored *x, const char *from, struct err *e)
{
    static const char head[] = "[mysqld]\ninnodb_undo_directory=.\n";
    if (as_owner_find(AS_OWNER_MARIADB, &x->owner, &x->as, e) < 0)
        return -(int)e->code;
    struct wbuf w = WBUF_INIT;
    uint8_t *text = NULL;
    char path[64], *rest, *line;
    size_t n = 0;
    if (passing_new(&x->passing, x->as.uid, e) < 0)
        return -(int)e->code;
    snprintf(x->dir, sizeof x->dir, "%s", x->passing.dir);
    snprintf(x->conf, sizeof x->conf, "%s/my.cnf", x->dir);
    snprintf(path, sizeof path, "%s/backup-my.cnf", from);
    int rc = sys_read_plain(x->folder_fd, path, MAX_CONF_BYTES, &text, &n, e);
    if (rc < 0)
        return err_wrap(e, "%s", path);
    wb_bytes(&w, head, strlen(head));
    for (rest = (char *)text; (line = strsep(&rest, "\n")) != NULL;)
        put_setting(&w, line);
    put_letters(x, &w);
    rc = w.failed ? no_memory(e) : sys_write_file(AT_FDCWD, x->conf, w.p, w.len, 0644, e);
    wbuf_free(&w);
    free(text);
    if (rc == 0 && x->as.changes && chown(x->dir, x->as.uid, x->as.gid) < 0)
        rc = err_sys(e, "%s", x->dir);
    return rc;
}

int my_take_files(struct my_restored *x, const char *name, struct err *e)
{
    struct stat to = { .st_uid = x->as.uid, .st_gid = x->as.gid };
    return x->as.other ? tree_give(x->folder_fd, name, &to, e) : 0;
}

int my_give_files(struct my_restored *x, const char *name, struct err *e)
{
    return x->as.other ? tree_give(x->folder_fd, name, &x->owner, e) : 0;
}

/* --- preparing ----------------------------------------------------------------------------------- */
static int still_there(void *ctx, struct err *e)
{
    struct report *r = ctx;
    (void)e;
    r->n.bytes_read++; /* it gets on: the orchestrator need not doubt it */
    return 0;
}

static const char *programs_folder(const struct source_restore *r)
{
    const char *verify = source_spec_get(r->spec, "verify"),
               *binaries = source_spec_get(r->spec, "binaries");
    if (!verify)
        verify = source_spec_get(r->spec, "later");
    return verify && verify[0] == '/' ? verify : binaries;
}

/* *ret_damaged: all is applied, but pages that were damaged when they were backed up still are. */
static int run_prepare(struct my_restored *x, const char *program, bool *ret_damaged, struct err *e)
{
    struct prog r;
    char tail[PROG_TAIL_BYTES + 1];
    bool ok = false;
    int rc = prog_init(&r, x->r->state_dir, e);
    if (rc < 0)
        return rc;
    prog_begin(&r, program, &x->as);
    prog_arg(&r, "--defaults-file=%s", x->conf);
    prog_arg(&r, "--prepare");
    prog_arg(&r, "--innodb-undo-directory=.");
    prog_arg(&r, "--tmpdir=%s", x->dir);
    prog_arg(&r, "--target-dir=%s/" PREPARING, x->r->folder);
    rc = prog_start(&r, -1, e);
    if (rc == 0)
        rc = prog_wait(&r, PREPARE_LIMIT_S, still_there, x->r->report, &ok, e);
    prog_tail(&r, tail);
    *ret_damaged = rc == 0 && !ok && prog_said(&r, "can not be fixed");
    if (rc == 0 && (!ok || !prog_said(&r, "completed OK!"))) {
        rc = err_set(e, ERR_DAMAGED, _("mariadb-backup --prepare failed: …%s"), tail);
        err_next(e,
                 _("restore an older backup: --snapshot ID; the files as they are in the backup: "
                   "restore … --to DIR /mariadb"));
    }
    prog_done(&r);
    return rc < 0 ? err_wrap(e, "%s", program) : 0;
}

/* The list of damaged pages goes out of the way, to where it can be read. */
static int put_list_away(struct my_restored *x, struct err *e)
{
    uint8_t *text = NULL;
    size_t n = 0;
    int rc = sys_renameat(x->folder_fd, PREPARING "/" DAMAGED, x->folder_fd, DAMAGED, true, e);
    if (rc == 0)
        rc = sys_read_plain(x->folder_fd, DAMAGED, MAX_CONF_BYTES, &text, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        text[i] = text[i] < 0x20 ? ' ' : text[i];
    if (rc == 0)
        report_problem(x->r->report, NULL, 0,
                       _("pages that were damaged in the server's own files are still: %.300s"),
                       (char *)text);
    free(text);
    return rc;
}

/* The log of what changed while the backup ran goes into the files. */
static int prepare_files(struct my_restored *x, struct err *e)
{
    char program[PATH_MAX];
    bool damaged = false;
    const char *version = json_string_value(json_object_get(x->facts, "server_version"));
    int rc = prog_find(TOOL_BACKUP, programs_folder(x->r), program, e);
    if (rc == 0)
        rc = prog_check_version(program, version, x->r->state_dir, e);
    if (rc == 0)
        rc = run_prepare(x, program, &damaged, e);
    if (rc == 0 || !damaged)
        return rc;
    err_clear(e);
    rc = put_list_away(x, e);
    return rc == 0 ? run_prepare(x, program, &damaged, e) : rc;
}

/* An older one in this place is set aside. */
static int name_data(struct my_restored *x, struct err *e)
{
    char before[NAME_MAX + 1];
    int rc = sys_renameat(x->folder_fd, PREPARING, x->folder_fd, "data", false, e);
    if (rc == -ERR_EXISTS) {
        err_clear(e);
        rc = my_check_stopped(x->data, e);
        if (rc == 0)
            rc = my_name_before(x->folder_fd, "data", before, e);
        if (rc == 0)
            rc = sys_renameat(x->folder_fd, "data", x->folder_fd, before, false, e);
        if (rc == 0)
            report_note(x->r->report, NULL, 0, _("what was in %s is in %s/%s"), x->data,
                        x->r->folder, before);
        if (rc == 0)
            rc = sys_renameat(x->folder_fd, PREPARING, x->folder_fd, "data", false, e);
    }
    return rc == 0 ? sys_fsync_dir(x->folder_fd, ".", e) : rc;
}

static int is_plain(void *ctx, int dir_fd, const char *name, unsigned depth, const struct stat *st,
                    struct err *e)
{
    (void)ctx;
    (void)dir_fd;
    (void)depth;
    if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
        return 0;
    err_set(e, ERR_REFUSED,
            _("%s is neither a file nor a folder: a database's own programs would work through it"),
            name);
    return err_next(e, _("restore to a folder in which nothing of earlier restores is"));
}

int my_check_plain(int folder_fd, const char *name, struct err *e)
{
    return tree_each(folder_fd, name, false, is_plain, NULL, e);
}

static int assemble(struct my_restored *x, struct err *e)
{
    int rc = my_check_plain(x->folder_fd, "backup", e);
    if (rc == 0)
        rc = tree_remove(x->folder_fd, PREPARING, e); /* an earlier try's */
    if (rc == 0)
        rc = tree_remove(x->folder_fd, MY_REPLAYING, e);
    if (rc == 0)
        rc = my_make_conf(x, "backup", e);
    if (rc == 0)
        rc = sys_renameat(x->folder_fd, "backup", x->folder_fd, PREPARING, false, e);
    if (rc == 0)
        rc = my_take_files(x, PREPARING, e);
    if (rc == 0)
        rc = prepare_files(x, e);
    if (rc == 0)
        rc = tree_give(x->folder_fd, PREPARING, &x->owner, e);
    if (rc == 0)
        rc = sys_syncfs(x->folder_fd, e);
    return rc == 0 ? name_data(x, e) : rc;
}

/* --- the whole ----------------------------------------------------------------------------------- */
static void say_where(struct my_restored *x)
{
    char when[32] = "?";
    time_t t = (time_t)json_integer_value(json_object_get(x->facts, "stopped_at"));
    struct tm tm;
    json_t *log = json_object_get(x->facts, "binlog");
    const char *file = json_string_value(json_object_get(log, "file")),
               *at = json_string_value(json_object_get(log, "position")),
               *gtid = json_string_value(json_object_get(log, "gtid"));
    if (gmtime_r(&t, &tm))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    report_note(x->r->report, NULL, 0, _("MariaDB %s, server %s: the backup ends at %s"),
                json_string_value(json_object_get(x->facts, "server_version")),
                json_string_value(json_object_get(x->facts, "server_id")), when);
    if (file && at)
        report_note(x->r->report, NULL, 0, _("binary log: %s, position %s%s%s"), file, at,
                    gtid && gtid[0] ? ", GTID " : "", gtid ? gtid : "");
}

/* The original's settings may name folders that are its own: a server that is started with them would mix both. */
static void warn_folders(struct my_restored *x)
{
    json_t *all = json_object_get(x->facts, "folders");
    for (void *i = json_object_iter(all); i; i = json_object_iter_next(all, i))
        report_note(
            x->r->report, NULL, 0,
            _("start no server on it with the original's setting %s = %s: that folder's files "
              "are in the data folder now"),
            json_object_iter_key(i), json_string_value(json_object_iter_value(i)));
}

/* What will be needed at the end is looked for at the beginning. */
static int find_programs(const struct source_restore *r, struct err *e)
{
    const char *verify = source_spec_get(r->spec, "verify"),
               *later = source_spec_get(r->spec, "later");
    const char *programs = later ? later : verify;
    const char *folder = programs && programs[0] == '/' ? programs : NULL;
    char program[PATH_MAX];
    int rc = prog_find(TOOL_BACKUP, programs_folder(r), program, e);
    if (rc == 0 && programs)
        rc = prog_find(TOOL_SERVER, folder, program, e);
    if (rc == 0 && programs)
        rc = prog_find(TOOL_CLIENT, folder, program, e);
    return rc == 0 && later ? prog_find(TOOL_BINLOG, folder, program, e) : rc;
}

int my_restore_check(const struct source_restore *r, struct err *e)
{
    const char *in = source_spec_get(r->spec, "data");
    char data[PATH_MAX];
    if (source_spec_get(r->spec, "replay"))
        return 0;
    int rc = my_check_position(r, e);
    if (rc == 0)
        rc = find_programs(r, e);
    if (rc == 0 && snprintf(data, sizeof data, "%s/data", r->folder) < (int)sizeof data)
        rc = my_check_stopped(data, e);
    return rc == 0 && in ? my_check_replaceable(r, in, e) : rc;
}

/* What there is of an earlier restore, finished or not, is what the backup's files are made of. */
static int take_for_delta(const struct source_restore *r, int fd, struct err *e)
{
    char data[PATH_MAX];
    int rc = snprintf(data, sizeof data, "%s/data", r->folder) < (int)sizeof data
                 ? my_check_stopped(data, e)
                 : err_set(e, ERR_LIMIT, _("the path is too long"));
    static const char *const names[] = { PREPARING, "data" };
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++) {
        rc = sys_renameat(fd, names[i], fd, "backup", false, e);
        if (rc == -ERR_ABSENT || rc == -ERR_EXISTS) {
            err_clear(e);
            rc = 0;
        }
    }
    return rc;
}

static int over_delta(const struct source_restore *r, bool continuing, struct err *e)
{
    int fd = sys_open_folder(r->folder, r->resolved, e), rc;
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    if (fd < 0)
        return err_wrap(e, "%s", r->folder);
    bool other = source_spec_get(r->spec, "data") &&
                 !continuing; /* the place's own files come there */
    rc = other ? 1 : take_for_delta(r, fd, e);
    sys_close_quiet(fd);
    return rc;
}

int my_restore_lend(const struct source_restore *r, bool continuing, struct err *e)
{
    const char *in = source_spec_get(r->spec, "data");
    if (!in || source_spec_get(r->spec, "stage") || source_spec_get(r->spec, "replay"))
        return 0;
    int to_fd = source_restore_folder(r, "backup", e);
    int rc = to_fd < 0 ? to_fd : my_lend(r, in, to_fd, continuing, e);
    sys_close_quiet(to_fd);
    if (rc == 0)
        report_note(r->report, NULL, 0,
                    _("the server's own files are in %s/%s now, and become those of the backup; "
                      "until that is done no server starts: if it breaks off, run the same again"),
                    r->folder, "backup");
    return rc;
}

int my_restore_over(const struct source_restore *r, bool continuing, struct err *e)
{
    if (r->delta && !source_spec_get(r->spec, "stage") && !source_spec_get(r->spec, "replay"))
        return over_delta(r, continuing, e);
    char *data = NULL;
    struct stat st;
    bool there = false;
    if (continuing || source_spec_get(r->spec, "stage") || source_spec_get(r->spec, "replay"))
        return 0; /* an unfinished one goes before its files are used, a finished one is renamed */
    int fd = sys_open_folder(r->folder, r->resolved, e), rc = 0;
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    if (fd < 0)
        return err_wrap(e, "%s", r->folder);
    if (fstatat(fd, "data", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
        there = true;
        rc = asprintf(&data, "%s/data", r->folder) < 0 ? no_memory(e) : my_check_stopped(data, e);
        free(data);
    }
    there |= fstatat(fd, "backup", &st, AT_SYMLINK_NOFOLLOW) == 0;
    sys_close_quiet(fd);
    return rc < 0 ? rc : there;
}

int my_restore(const struct source_restore *r, struct err *e)
{
    struct my_restored x = { .folder_fd = -1 };
    bool later = false; /* than the backup */
    const char *verify = source_spec_get(r->spec, "verify"), *in = source_spec_get(r->spec, "data");
    if (source_spec_get(r->spec, "stage"))
        return 0;
    if (source_spec_get(r->spec, "replay"))
        return my_replay(r, e);
    int rc = open_restored(&x, r, e);
    if (rc == 0 && in && json_object_size(json_object_get(x.facts, "folders")) > 0) {
        rc = err_set(
            e, ERR_REFUSED,
            _("the server keeps files outside of its data folder, which --in-place does not "
              "replace"));
        err_next(e, _("restore with --to DIR, then put each file where it belongs by hand"));
    }
    if (rc == 0) {
        report_phase(r->report, 3);
        rc = assemble(&x, e);
    }
    if (rc == 0)
        say_where(&x);
    if (rc == 0)
        rc = my_bring_log(&x, &later, e);
    if (rc == 0 && verify)
        rc = my_verify(&x, verify, !later, e);
    if (rc == 0 && in)
        rc = my_put_in_place(&x, in, e);
    if (rc == 0) {
        warn_folders(&x);
        report_note(r->report, NULL, 0, _("the data folder: %s"), in ? in : x.data);
    }
    my_restored_done(&x);
    return rc;
}
