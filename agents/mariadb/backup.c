/* backup.c - a physical backup of a running server: mariadb-backup copies its files, and the log of what changes meanwhile, into a scratch folder
 * on the same host; that folder is then captured like any other, in pages, so that what is the same as the last time is stored once.
 *
 * Why a scratch folder and no stream: in its stream pieces of all files come in turns, in no order, while the manifest has them by name and
 * each file in one piece; and whether the copy is a good one is known at its end only. */
#include "agents/mariadb/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "policies/config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TIME_LIMIT_S 86400
#define INNODB_PAGE_BYTES 16384
#define MAX_CORRUPT_BYTES (1u << 20)

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static void driver_free(void *s)
{
    struct my *m = s;
    if (!m)
        return;
    my_scratch_close(&m->scratch);
    my_vars_done(&m->vars);
    json_decref(m->checks);
    json_decref(m->seam);
    free(m->logs_text);
    free(m->logs_place);
    free(m->data);
    free(m->backup);
    free(m->facts);
    free(m);
}

/* --- before -------------------------------------------------------------------------------------- */
static int find_data(struct my *m, struct err *e)
{
    const char *given = source_spec_get(m->spec, "data");
    m->data = strdup(given ? given : my_var(&m->vars, "datadir"));
    if (!m->data)
        return no_memory(e);
    for (size_t n = strlen(m->data); n > 1 && m->data[n - 1] == '/';)
        m->data[--n] = '\0';
    if (access(m->data, R_OK | X_OK) == 0 && stat(m->data, &m->owner) == 0)
        return 0;
    err_sys(e, "%s", m->data);
    return err_next(
        e, _("the agent must be able to read the server's data folder: run it as root or as "
             "the user that owns it; where the folder is elsewhere for the agent, write "
             "data: below mariadb: in the policy"));
}

/* Who holds the lock that a server has on its files as long as it runs: *ret, 0 where that is a process that we do not see. 1: nobody. */
static int lock_holder(struct my *m, pid_t *ret, struct err *e)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    const char *home = my_var(&m->vars, "innodb_data_home_dir");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/ibdata1", home[0] == '/' ? home : m->data);
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY, 0, e);
    if (fd < 0)
        return err_wrap(e, "%s", path);
    int rc = fcntl(fd, F_GETLK, &l) < 0 ? err_sys(e, "%s", path) : l.l_type == F_UNLCK ? 1 : 0;
    *ret = l.l_pid > 0 ? l.l_pid : 0;
    sys_close_quiet(fd);
    return rc;
}

/* The process that listens on the server's socket; 0 where that cannot be told (systemd may listen for it, the socket may be out of reach). */
static pid_t listener(struct my *m)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct ucred who = { .pid = 0 };
    socklen_t len = sizeof who;
    const char *path = m->server.where[0] == '/' ? m->server.where : my_var(&m->vars, "socket");
    if (path[0] != '/' || strlen(path) >= sizeof a.sun_path)
        return 0;
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        who.pid = 0;
    sys_close_quiet(fd);
    return who.pid == 1 ? 0 : who.pid;
}

/* The files must be those of the server that we talk to: with another one's, mariadb-backup would copy what nobody holds still. */
static int check_same(struct my *m, struct err *e)
{
    pid_t holder = 0;
    int rc = lock_holder(m, &holder, e);
    if (rc < 0)
        return rc;
    pid_t there = rc == 0 ? listener(m) : 0;
    if (rc == 0 && (holder == 0 || there == 0 || holder == there))
        return my_find_zone(m, holder ? holder : there, e);
    if (rc == 1)
        err_set(e, ERR_CONFIG, _("no server works on the data folder %s"), m->data);
    else
        err_set(e, ERR_CONFIG, _("on %s another server runs than the one that \"server\" leads to"),
                m->data);
    return err_next(e, _("correct data: or server: below mariadb: in the policy"));
}

static int open_scratch(struct my *m, struct err *e)
{
    uint64_t bytes = 0;
    int rc = my_look(m, &bytes, e);
    if (rc == 0)
        rc = my_scratch_open(&m->scratch, source_spec_get(m->spec, "scratch"), m->env.state_dir, e);
    if (rc == 0)
        rc = my_scratch_room(&m->scratch, bytes, e);
    if (rc == 0 && asprintf(&m->backup, "%s/backup", m->scratch.run) < 0) {
        m->backup = NULL;
        rc = no_memory(e);
    }
    return rc;
}

/* --- the copy ------------------------------------------------------------------------------------ */
static int copy_failed(struct my *m, const struct prog *r, struct err *e)
{
    char tail[PROG_TAIL_BYTES + 1];
    prog_tail(r, tail);
    if (my_scratch_full(&m->scratch) || prog_said(r, "No space left on device") ||
        prog_said(r, "OS error 28")) {
        err_set(e, ERR_NOSPACE, _("the scratch folder %s ran full; mariadb-backup says: …%s"),
                m->scratch.place, tail);
        err_next(e,
                 _("free space there, or name a folder with more: scratch: below mariadb: in the "
                   "policy"));
    } else {
        err_set(e, ERR_FAILED, _("mariadb-backup failed: …%s"), tail);
        err_next(e, _("mend what it says, then run the backup again"));
    }
    return -(int)e->code;
}

/* Where nobody named one, the client takes the system's; mariadb-backup before 10.6 takes none. */
static void put_user(const struct my *m, struct prog *r)
{
    const struct passwd *pw = getpwuid(geteuid());
    if (!m->server.user && !m->server.defaults_file && pw)
        prog_arg(r, "--user=%s", pw->pw_name);
}

static int make_copy(struct my *m, struct err *e)
{
    const char *binaries = source_spec_get(m->spec, "binaries"),
               *limit = source_spec_get(m->spec, "time-limit");
    uint64_t limit_s = TIME_LIMIT_S;
    char program[PATH_MAX];
    struct prog r;
    bool ok = false;
    if (limit && !duration_parse(limit, &limit_s))
        return err_set(e, ERR_CONFIG, _("\"%s\" is not a length of time"), limit);
    if (prog_find(TOOL_BACKUP, binaries, program, e) < 0 ||
        prog_check_version(program, my_var(&m->vars, "version"), m->env.state_dir, e) < 0 ||
        prog_init(&r, m->env.state_dir, e) < 0)
        return -(int)e->code;
    prog_begin(&r, program, NULL);
    my_server_args(&m->server, &r);
    put_user(m, &r);
    prog_arg(&r, "--backup");
    prog_arg(&r, "--target-dir=%s", m->backup);
    prog_arg(&r, "--datadir=%s", m->data);
    if (!strstr(program, "xtrabackup"))
        prog_arg(&r, "--log-innodb-page-corruption"); /* go on, and name them at the end */
    m->started_s = sys_realtime_s();
    int rc = prog_start(&r, m->scratch.lock_fd, e);
    if (rc == 0)
        rc = prog_wait(&r, limit_s, NULL, NULL, &ok, e);
    if (rc == -ERR_TIMEOUT)
        err_next(e, _("see what holds it up (a long statement that it waits for?), or allow more: "
                      "time-limit: below mariadb: in the policy"));
    m->stopped_s = sys_realtime_s();
    if (rc == 0 && (!ok || !prog_said(&r, "completed OK!")))
        rc = copy_failed(m, &r, e);
    prog_done(&r);
    return rc < 0 ? err_wrap(e, "%s", program) : 0;
}

/* "d1/ledger 5", then a line with the numbers of the pages; and again. */
static int tell_corrupt(struct my *m, char *text, struct err *e)
{
    char path[600], note[400], *rest = text, *line;
    int rc = 0;
    while (rc == 0 && (line = strsep(&rest, "\n")) != NULL) {
        char *pages = line[0] ? strsep(&rest, "\n") : NULL;
        char *space = strrchr(line, ' ');
        if (!pages)
            continue;
        if (space)
            *space = '\0';
        for (const char *p = pages; *p; p++)
            m->pages_wrong += *p != ' ' && (p == pages || p[-1] == ' ');
        snprintf(path, sizeof path, MY_BACKUP "/%.500s.ibd", line);
        snprintf(note, sizeof note,
                 _("damaged pages in the server's own file, stored as they are: %.200s"), pages);
        rc = m->env.note(m->env.ctx, true, path, strlen(path), note, e);
    }
    return rc;
}

static int check_corrupt(struct my *m, struct err *e)
{
    char path[PATH_MAX];
    uint8_t *text = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/innodb_corrupted_pages", m->backup);
    int rc = sys_read_plain(AT_FDCWD, path, MAX_CORRUPT_BYTES, &text, &n, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    if (rc == 0)
        rc = tell_corrupt(m, (char *)text, e);
    free(text);
    return rc < 0 ? err_wrap(e, "%s", path) : 0;
}

/* Owner and mode as the server's own: what is restored is then as it has to be. An agent with few rights (its unit's) cannot give files away: the
 * owner stands in the manifest alone. */
static int give_copy(struct my *m, struct err *e)
{
    m->copy_owner.uid = m->owner.st_uid;
    m->copy_owner.gid = m->owner.st_gid;
    return chmod(m->backup, m->owner.st_mode & 07777) < 0 ? err_sys(e, "%s", m->backup) : 0;
}

static int ask_questions(struct my *m, struct err *e)
{
    m->checks = json_array();
    return m->checks ? my_run_checks(&m->server, m->spec, &m->env, false, m->checks, e)
                     : no_memory(e);
}

/* --- the interface ------------------------------------------------------------------------------- */
static int prepare(struct my *m, struct err *e)
{
    int rc = my_server_init(&m->server, m->spec, m->env.state_dir, e);
    if (rc == 0)
        rc = my_vars_ask(&m->server, &m->vars, e);
    if (rc == 0)
        rc = my_check_rights(&m->server, e);
    if (rc == 0)
        rc = find_data(m, e);
    if (rc == 0)
        rc = check_same(m, e);
    if (rc == 0)
        rc = open_scratch(m, e);
    if (rc == 0)
        rc = make_copy(m, e);
    if (rc == 0)
        rc = my_look_again(m, e);
    if (rc == 0)
        rc = check_corrupt(m, e);
    if (rc == 0)
        rc = ask_questions(m, e);
    if (rc == 0)
        rc = give_copy(m, e);
    return rc == 0 && my_has_binlogs(m) ? my_close_binlogs(m, e) : rc;
}

static int driver_begin(const struct source_spec *spec, const struct source_env *env, void **ret,
                        struct err *e)
{
    struct my *m = calloc(1, sizeof *m);
    if (!m)
        return no_memory(e);
    m->spec = spec;
    m->env = *env;
    m->scratch.lock_fd = -1;
    int rc = prepare(m, e);
    if (rc < 0) {
        driver_free(m);
        return rc;
    }
    unsigned long page = strtoul(my_var(&m->vars, "innodb_page_size"), NULL, 10);
    bool usual = page >= 4096 && page <= 65536 && (page & (page - 1)) == 0;
    m->early[0] = (struct source_root){ .name = MY_BACKUP,
                                        .place = m->backup,
                                        .owner = &m->copy_owner,
                                        .delta = DELTA_PAGES,
                                        .page_bytes = usual ? page : INNODB_PAGE_BYTES };
    m->early[1] = my_binlog_root(m);
    *ret = m;
    return 0;
}

static int driver_roots(void *s, bool late, const struct source_root **ret, size_t *ret_n,
                        struct err *e)
{
    struct my *m = s;
    (void)e;
    *ret = late ? &m->late : m->early;
    *ret_n = !late && m->logs_place ? 2 : 1;
    return 0;
}

static int driver_end(void *s, struct err *e)
{
    struct my *m = s;
    int rc = source_spec_get(m->spec, "logs") ? my_find_seam(m, e) : 0;
    if (rc == 0)
        rc = my_make_facts(m, e);
    if (rc == 0)
        m->late = (struct source_root){ .name = MY_ROOT "/facts.json",
                                        .bytes = m->facts,
                                        .bytes_len = strlen(m->facts) };
    return rc;
}

static const struct source_setting settings[] = {
    { "server", SETTING_NAMES, true },
    { "user", SETTING_NAMES, false },
    { "defaults-file", SETTING_NAMES, false }, /* it says what the client does */
    { "data", SETTING_READS, false },
    { "binaries", SETTING_RUNS, false },
    { "scratch", SETTING_WRITES, false },
    { "time-limit", SETTING_PLAIN, false },
    { "binlog", SETTING_PLAIN, false },
    { "logs", SETTING_PLAIN, false }, /* of follow */
    SQL_CHECK_SETTINGS,
    { NULL, SETTING_PLAIN, false },
};
static const struct source_setting restore_settings[] = {
    { "verify", SETTING_RUNS,
      false }, /* "mariadb": the server as its package installs it; or the folder of its programs */
    { "binaries", SETTING_RUNS,
      false }, /* the folder of mariadb-backup, where it is no usual one */
    { "version", SETTING_PLAIN, false }, /* of the server that the backup is of: 10.11.6-MariaDB */
    { "salvage", SETTING_WRITES,
      false }, /* a folder with binary logs that survived: they go on from the kept ones */
    { "strict", SETTING_PLAIN, false }, /* with verify: what is found wrong is a failure */
    { "stage", SETTING_PLAIN, false },
    { "data", SETTING_WRITES, false },
    { "logs", SETTING_PLAIN, false }, /* what is kept of them is replayed, by `later`: all, or */
    { "position", SETTING_PLAIN, false }, /* up to FILE:POSITION, or up to `at`, µs since 1970 */
    { "replay", SETTING_WRITES, false },  /* the data folder that binary logs are replayed on */
    { "at", SETTING_PLAIN, false },       /* up to then: seconds since 1970 */
    { "tables", SETTING_PLAIN, false },   /* "check": all of them, after a replay */
    { "later", SETTING_RUNS,
      false }, /* binary logs will be replayed, by these programs: as verify */
    SQL_CHECK_SETTINGS,
    { NULL, SETTING_PLAIN, false },
};

const struct source_driver source_mariadb = {
    .kind = MY_ROOT,
    .settings = settings,
    .restore_settings = restore_settings,
    .begin = driver_begin,
    .probe = my_probe,
    .roots = driver_roots,
    .end = driver_end,
    .free = driver_free,
    .follow = my_follow,
    .restore_check = my_restore_check,
    .restore_over = my_restore_over,
    .restore_lend = my_restore_lend,
    .restore = my_restore,
    .host_facts = my_host_facts,
    .host_scene = my_host_scene,
};
