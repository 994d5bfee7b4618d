/* receive.c - the files of a server to which the agent has no access: the server itself sends them (BASE_BACKUP of the replication protocol,
 * with the log from its start to its end) into a scratch folder, which is then captured as a data folder would be. Two forms of the
 * stream are known: up to version 14 an archive after the other, from 15 on all in one, with messages that tell them apart.
 *
 * The scratch folder: data/ · spaces/OID/. It goes when the run ends, and with the next run where one was killed. */
#include "agents/postgresql/untar.h"
#include "agents/postgresql/inner.h"
#include "agents/postgresql/links.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRAMED_SINCE 150000
#define WAIT_MS 1000
#define TICK_MS 500
#define STALL_MS (UINT64_C(3600) * 1000) /* without a word from the server, which reads and sends */
#define SPREAD_MS \
    (UINT64_C(48) * 3600 * 1000) /* until the checkpoint that it begins with is done */
#define SLACK_BYTES (64u << 20)
#define SLACK_SHARE 20 /* for what is written meanwhile: its log */
#define MAX_LABEL_BYTES (1u << 20)
#define MAX_LEFT_OUT 8
#define CLOCKS_DIFFER_US 2000000
#define DATA_CORRUPTED \
    "XX001" /* SQLSTATE: pages of which the checksums were wrong; all has been sent */

struct receive {
    struct pg *p;
    PGconn *c;
    int dir_fd; /* of the scratch folder */
    uint64_t stall_ms, got, next_tick_ms;
    struct untar *tar;
    int tar_fd;           /* the folder that it is unpacked to */
    char (*names)[16];    /* of the archives in their order: an OID, or "" for the data folder; of
                          * those that lie below pg_tblspc as folders: with a '.' before */
    size_t n_names, next; /* next: so many have come */
    bool *came;           /* which of them; of a stream with names */
    char left_out[MAX_LEFT_OUT]
                 [256]; /* what it said of the first links and the like, which it does not send */
    size_t n_left_out;
    char missing[256]; /* one of them where it keeps its own files */
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- the session -------------------------------------------------------------------------------- */
static int lost(struct receive *r, struct err *e)
{
    char text[ERR_TEXT_BYTES];
    snprintf(text, sizeof text, "%s", PQerrorMessage(r->c));
    text[strcspn(text, "\n")] = '\0';
    err_set(e, ERR_UNREACHABLE, _("the server has ended the backup: %s"),
            text[0] ? text : _("it is gone"));
    return err_next(e, _("is it running? Then run the backup again"));
}

/* Until there is something to read. */
static int wait_for_it(struct receive *r, uint64_t until_ms, struct err *e)
{
    for (;;) {
        uint64_t now = sys_monotonic_ms();
        if (now >= r->next_tick_ms && r->p->env.tick &&
            r->p->env.tick(r->p->env.ctx, PG_DATA, strlen(PG_DATA), r->got, e) < 0)
            return -e->code;
        if (now >= r->next_tick_ms)
            r->next_tick_ms = now + TICK_MS;
        int rc = sys_wait_fd(PQsocket(r->c), POLLIN, WAIT_MS, e);
        if (rc == 0)
            return PQconsumeInput(r->c) ? 0 : lost(r, e);
        if (rc != -ERR_TIMEOUT)
            return rc;
        err_clear(e);
        if (now > until_ms) {
            err_set(e, ERR_TIMEOUT, _("the server has sent nothing for %llu min"),
                    (unsigned long long)(r->stall_ms / 60000));
            return err_next(e, _("see what it does: SELECT * FROM pg_stat_progress_basebackup"));
        }
    }
}

/* PQclear's; NULL: the command is over. */
static int next_result(struct receive *r, PGresult **ret, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + r->stall_ms;
    while (PQisBusy(r->c)) {
        int rc = wait_for_it(r, until, e);
        if (rc < 0)
            return rc;
    }
    *ret = PQgetResult(r->c);
    return 0;
}

static int refused(struct receive *r, const PGresult *res, struct err *e)
{
    int rc = server_failed(r->c, res, e);
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    if (rc == -ERR_UNREACHABLE)
        return err_next(e, _("is it running? Then run the backup again"));
    if (rc == -ERR_REFUSED)
        return err_next(e, _("as a superuser of the server: ALTER ROLE %s REPLICATION"),
                        PQuser(r->c));
    if (state && strcmp(state, "55000") == 0)
        return err_next(e, _("see: SHOW wal_level; it must be replica or logical"));
    if (!r->p->has_slot)
        return err_next(
            e,
            _("if the log is missing: let a replication slot keep it (max_replication_slots "
              "above what is in use), or raise %s; then run it again"),
            pg_keep_setting(r->p));
    return err_next(e, _("mend what it says, then run the backup again"));
}

/* An answer of rows. */
static int next_rows(struct receive *r, int least_fields, PGresult **ret, struct err *e)
{
    int rc = next_result(r, ret, e);
    if (rc < 0)
        return rc;
    if (PQresultStatus(*ret) != PGRES_TUPLES_OK)
        rc = refused(r, *ret, e);
    else if (PQntuples(*ret) < 1 || PQnfields(*ret) < least_fields)
        rc = err_set(e, ERR_PROTOCOL, _("the server sent what is not of its protocol"));
    if (rc < 0) {
        PQclear(*ret);
        *ret = NULL;
    }
    return rc;
}

/* A link where the server's own files are: what it leads to is not sent, and the backup would not be whole. */
static int check_missing(const struct receive *r, struct err *e)
{
    if (!r->missing[0])
        return 0;
    err_set(e, ERR_REFUSED, _("the server says: %s"), r->missing);
    return err_next(e, _("if that is a link: what it leads to would not be in the backup; stop the "
                         "server, and move that back to where the link is; for another disk make "
                         "a tablespace there"));
}

/* --- archives ----------------------------------------------------------------------------------- */
static int make_folder(int dir_fd, const char *name, struct err *e)
{
    int rc = sys_mkdirat(dir_fd, name, 0700, e);
    if (rc == -ERR_EXISTS) {
        err_clear(e);
        rc = 0;
    }
    return rc;
}

static int end_archive(struct receive *r, struct err *e)
{
    uint32_t uid, gid;
    int rc = r->tar ? untar_end(r->tar, e) : 0;
    if (rc == 0 && r->tar && untar_owner(r->tar, &uid, &gid)) {
        r->p->owner.uid = uid;
        r->p->owner.gid = gid;
    }
    untar_free(r->tar);
    sys_close_quiet(r->tar_fd);
    r->tar = NULL;
    r->tar_fd = -1;
    return rc;
}

static int begin_archive(struct receive *r, const char *name, struct err *e)
{
    char folder[64];
    if (end_archive(r, e) < 0)
        return -e->code;
    snprintf(folder, sizeof folder, "%s%.15s",
             name[0] == '.'    ? "data/pg_tblspc/"
             : name[0] == '\0' ? "data"
                               : "spaces/",
             name[0] == '.' ? name + 1 : name);
    int rc = name[0] == '.' ? make_folder(r->dir_fd, "data/pg_tblspc", e) : 0;
    if (rc == 0)
        rc = make_folder(r->dir_fd, folder, e);
    if (rc == 0)
        r->tar_fd = rc = sys_openat(r->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    return rc < 0 ? rc : untar_new(r->tar_fd, &r->tar, e);
}

/* "16385.tar", "base.tar": one of those that it has announced. */
static int begin_named(struct receive *r, const char *name, size_t n, struct err *e)
{
    const char *end = memchr(name, '\0', n), *dot = end ? strstr(name, ".tar") : NULL;
    size_t len = dot ? (size_t)(dot - name) : 0;
    bool base = len == 4 && memcmp(name, "base", 4) == 0;
    for (size_t i = 0; len > 0 && i < r->n_names; i++) {
        const char *known = r->names[i] + (r->names[i][0] == '.');
        if (r->came[i] || (base ? known[0] : strlen(known) != len || memcmp(known, name, len) != 0))
            continue;
        r->came[i] = true;
        r->next++;
        return begin_archive(r, r->names[i], e);
    }
    return err_set(e, ERR_PROTOCOL, _("the server sent an archive that it had not announced"));
}

static int take_bytes(struct receive *r, const char *p, size_t n, struct err *e)
{
    if (!r->tar)
        return err_set(e, ERR_PROTOCOL, _("the server sent what is not of its protocol"));
    r->got += n;
    int rc = untar_feed(r->tar, (const uint8_t *)p, n, e);
    if (rc == -ERR_NOSPACE)
        err_next(e, _("free space there, or name a folder with more: scratch: below postgresql: in "
                      "the policy"));
    return rc < 0 ? err_wrap(e, "%s", scratch_dir(r->p->scratch)) : 0;
}

/* BASE_BACKUP of 15 and later: n(ew archive), d(ata), p(rogress), m(anifest). */
static int take_message(struct receive *r, const char *p, size_t n, struct err *e)
{
    switch (n > 0 ? p[0] : '\0') {
    case 'n':
        return begin_named(r, p + 1, n - 1, e);
    case 'd':
        return take_bytes(r, p + 1, n - 1, e);
    case 'p':
        return 0;
    default:
        return err_set(e, ERR_PROTOCOL, _("the server sent what is not of its protocol"));
    }
}

/* All of one stream. */
static int take_stream(struct receive *r, bool framed, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + r->stall_ms;
    int rc = 0;
    if (!framed && r->next == r->n_names)
        rc = err_set(e, ERR_PROTOCOL, _("the server sent an archive that it had not announced"));
    else if (!framed)
        rc = begin_archive(r, r->names[r->next++], e);
    while (rc == 0) {
        char *m = NULL;
        int n = PQgetCopyData(r->c, &m, 1);
        if (n == -1)
            return end_archive(r, e);
        if (n < -1)
            return lost(r, e);
        if (n == 0) {
            rc = wait_for_it(r, until, e);
        } else {
            rc = framed ? take_message(r, m, (size_t)n, e) : take_bytes(r, m, (size_t)n, e);
            until = sys_monotonic_ms() + r->stall_ms;
        }
        PQfreemem(m);
        if (rc == 0)
            rc = check_missing(r, e);
    }
    return rc;
}

/* --- the command -------------------------------------------------------------------------------- */
/* What a tablespace is called; where it has gone already, its number. */
static int add_space(struct receive *r, const char *oid, const char *place, struct err *e)
{
    const char *const params[] = { oid };
    PGresult *res = NULL;
    if (server_query(r->p->c, "SELECT spcname FROM pg_tablespace WHERE oid = $1::oid", 1, params,
                     &res, e) < 0)
        return -e->code;
    int rc = pg_add_space(r->p, oid, PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : oid, place, e);
    PQclear(res);
    return rc;
}

/* One row for each archive: number and place of the tablespace, its size in KiB. */
static int take_announced(struct receive *r, const PGresult *res, uint64_t *ret_bytes,
                          struct err *e)
{
    int n = PQntuples(res), rc = 0;
    if (n > MAX_TABLESPACES)
        return err_set(e, ERR_LIMIT, _("the server has more than %d tablespaces"), MAX_TABLESPACES);
    r->names = calloc((size_t)n, sizeof *r->names);
    r->came = calloc((size_t)n, sizeof *r->came);
    r->p->spaces = calloc((size_t)n + 1, sizeof *r->p->spaces);
    if (!r->names || !r->came || !r->p->spaces)
        return no_memory(e);
    for (int i = 0; rc == 0 && i < n; i++) {
        const char *oid = PQgetvalue(res, i, 0), *place = PQgetvalue(res, i, 1);
        size_t len = strlen(oid);
        if (len > 10 || strspn(oid, "0123456789") != len)
            return err_set(e, ERR_PROTOCOL, _("the server sent what is not of its protocol"));
        snprintf(r->names[r->n_names++], sizeof *r->names, "%s%.10s",
                 len > 0 && place[0] != '/' ? "." : "", oid);
        uint64_t kib = strtoull(PQgetvalue(res, i, 2), NULL, 10);
        *ret_bytes += kib < UINT64_MAX >> 20 ? kib << 10 : 0;
        if (len > 0 && place[0] == '/')
            rc = add_space(r, oid, place, e);
    }
    pg_sort_spaces(r->p);
    return rc;
}

static int check_room(struct receive *r, uint64_t bytes, struct err *e)
{
    int rc = scratch_room(scratch_dir(r->p->scratch), bytes + bytes / SLACK_SHARE + SLACK_BYTES, e);
    if (rc == -ERR_NOSPACE)
        err_next(e, _("free space there, or name a folder with more: scratch: below postgresql: in "
                      "the policy"));
    return rc;
}

/* "skipping special file "./base/16384"", in its own language. One of a tablespace has its whole path. */
static void add_left_out(struct receive *r, const char *text)
{
    const char *at = strstr(text, "./");
    if (!at || pg_links_matter(at + 2))
        snprintf(r->missing, sizeof r->missing, "%s", text);
    else if (strncmp(at, "./.s.PGSQL.", 11) != 0 && r->n_left_out < MAX_LEFT_OUT)
        snprintf(r->left_out[r->n_left_out++], sizeof *r->left_out, "%s", text);
}

/* What it says beside, which is more than nothing: the first of it is told, should something turn out to be wrong. */
static void on_notice(void *ctx, const PGresult *res)
{
    struct receive *r = ctx;
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *level = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *by = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
    if (!text || !level || strcmp(level, "WARNING") != 0)
        return;
    if (by && strcmp(by, "sendDir") == 0) /* which has no other warning */
        add_left_out(r, text);
    else if (!r->p->warning[0])
        snprintf(r->p->warning, sizeof r->p->warning, "%s", text);
}

static int tell_left_out(struct receive *r, struct err *e)
{
    int rc = check_missing(r, e);
    for (size_t i = 0; rc == 0 && i < r->n_left_out; i++) {
        char text[400];
        snprintf(text, sizeof text, _("the server says: %s"), r->left_out[i]);
        rc = r->p->env.note(r->p->env.ctx, false, PG_DATA, strlen(PG_DATA), text, e);
    }
    return rc;
}

static int begin_command(struct receive *r, struct err *e)
{
    const char *how = source_spec_get(r->p->spec, "checkpoint");
    bool spread = how && strcmp(how, "spread") == 0;
    char text[160];
    if (r->p->version >= FRAMED_SINCE)
        snprintf(text, sizeof text,
                 "BASE_BACKUP (LABEL 'twofold', PROGRESS, CHECKPOINT '%s', WAL, WAIT false, "
                 "TABLESPACE_MAP)",
                 spread ? "spread" : "fast");
    else
        snprintf(text, sizeof text,
                 "BASE_BACKUP LABEL 'twofold' PROGRESS %sWAL NOWAIT TABLESPACE_MAP",
                 spread ? "" : "FAST ");
    r->stall_ms = spread ? SPREAD_MS : STALL_MS;
    r->p->started_s = sys_realtime_s();
    return PQsendQuery(r->c, text) ? 0 : lost(r, e);
}

/* Where it begins, and what will come. What is asked now is not of later than the end of the backup, to which a restore comes. */
static int take_start(struct receive *r, struct err *e)
{
    PGresult *res = NULL;
    uint64_t bytes = 0;
    int rc = next_rows(r, 2, &res, e);
    if (rc < 0)
        return rc;
    bool ok = lsn_parse(PQgetvalue(res, 0, 0), &r->p->start_lsn);
    PQclear(res);
    r->stall_ms = STALL_MS;
    if (!ok)
        return err_set(e, ERR_PROTOCOL, _("the server gave no position in its log"));
    rc = next_rows(r, 3, &res, e);
    if (rc == 0)
        rc = take_announced(r, res, &bytes, e);
    PQclear(res);
    if (rc == 0)
        rc = check_room(r, bytes, e);
    return rc == 0 ? pg_ask_questions(r->p, e) : rc;
}

static int take_end(struct receive *r, const PGresult *res, struct err *e)
{
    PGresult *last = NULL;
    if (PQntuples(res) != 1 || !lsn_parse(PQgetvalue(res, 0, 0), &r->p->stop_lsn) ||
        r->p->stop_lsn <= r->p->start_lsn)
        return err_set(e, ERR_PROTOCOL, _("the server gave no position in its log"));
    if (next_result(r, &last, e) < 0)
        return -e->code;
    const char *state = PQresultErrorField(last, PG_DIAG_SQLSTATE);
    int rc = 0;
    if (PQresultStatus(last) == PGRES_FATAL_ERROR && state && strcmp(state, DATA_CORRUPTED) == 0)
        r->p->sender_found_damage = true;
    else if (PQresultStatus(last) != PGRES_COMMAND_OK)
        rc = refused(r, last, e);
    PQclear(last);
    return rc;
}

static int take_all(struct receive *r, struct err *e)
{
    bool framed = r->p->version >= FRAMED_SINCE, over = false;
    int rc = take_start(r, e);
    while (rc == 0 && !over) {
        PGresult *res = NULL;
        rc = next_result(r, &res, e);
        if (rc < 0)
            return rc;
        switch (PQresultStatus(res)) {
        case PGRES_COPY_OUT:
            rc = take_stream(r, framed, e);
            break;
        case PGRES_TUPLES_OK:
            rc = take_end(r, res, e);
            over = true;
            break;
        default:
            rc = refused(r, res, e);
        }
        PQclear(res);
    }
    if (rc == 0 && r->next < r->n_names)
        rc = err_set(e, ERR_PROTOCOL, _("the server did not send all archives that it announced"));
    if (rc < 0)
        return rc;
    r->p->stopped_us = sys_realtime_ns() / 1000;
    return pg_ask_clock(r->p->c, &r->p->env, &r->p->end_us, e);
}

/* --- the whole ---------------------------------------------------------------------------------- */
static int check_role(struct receive *r, struct err *e)
{
    char *may = NULL;
    int rc = server_text(r->p->c,
                         "SELECT rolreplication OR rolsuper FROM pg_roles "
                         "WHERE rolname = current_user",
                         &may, e);
    if (rc == 0 && !(may && may[0] == 't')) {
        err_set(e, ERR_REFUSED, _("the role may not have the server send its files"));
        rc = err_next(e, _("as a superuser of the server: ALTER ROLE %s REPLICATION"),
                      PQuser(r->p->c));
    }
    free(may);
    return rc;
}

int pg_ask_clock(PGconn *c, const struct source_env *env, int64_t *ret_us, struct err *e)
{
    char *text = NULL, said[300];
    int64_t before = sys_realtime_ns() / 1000;
    int rc = server_text(
        c, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text", &text, e);
    int64_t after = sys_realtime_ns() / 1000;
    int64_t its = text ? strtoll(text, NULL, 10) : 0;
    free(text);
    if (rc < 0)
        return rc;
    *ret_us = its;
    int64_t off = its < before ? before - its : its > after ? its - after : 0;
    if (off < CLOCKS_DIFFER_US)
        return 0;
    snprintf(said, sizeof said,
             _("the clocks of the server and of the agent's host differ by %lld s: what is said of "
               "how far the log is known is wrong by that much; set both by NTP"),
             (long long)((off + 500000) / 1000000));
    return env->note(env->ctx, false, PG_ROOT, strlen(PG_ROOT), said, e);
}

int pg_is_received(const struct source_spec *spec, bool *ret, struct err *e)
{
    const char *by = source_spec_get(spec, "access");
    *ret = by && strcmp(by, "replication") == 0;
    if (by && !*ret && strcmp(by, "files") != 0)
        return err_set(e, ERR_VERSION, _("this host's agent knows no access by \"%s\""), by);
    if (!*ret || !source_spec_get(spec, "data"))
        return 0;
    err_set(e, ERR_CONFIG, _("with access: replication no files are read at the place of data:"));
    return err_next(e, _("take one of the two out of the policy"));
}

int pg_scratch_open(const struct source_spec *spec, const char *state_dir, struct scratch **ret,
                    struct err *e)
{
    const char *place = source_spec_get(spec, "scratch");
    struct stat st;
    if (place && stat(place, &st) < 0) {
        err_sys(e, "%s", place);
        return err_next(e,
                        _("make the folder of scratch: below postgresql: in the policy, or mount "
                          "it"));
    }
    /* Who may rename what is in it could have us write, or remove, elsewhere. */
    if (place && st.st_mode & S_IWOTH) {
        err_set(e, ERR_REFUSED, _("everybody may write to the scratch folder %s"), place);
        return err_next(e, _("name a folder of its own: scratch: below postgresql: in the policy"));
    }
    return scratch_new(place ? place : state_dir, PG_ROOT, ret, e);
}

static int open_folders(struct receive *r, struct err *e)
{
    struct pg *p = r->p;
    int rc = pg_scratch_open(p->spec, p->env.state_dir, &p->scratch, e);
    if (rc < 0)
        return rc;
    r->dir_fd = rc = sys_openat(AT_FDCWD, scratch_dir(p->scratch),
                                O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (rc >= 0)
        rc = make_folder(r->dir_fd, "data", e);
    if (rc == 0)
        rc = make_folder(r->dir_fd, "spaces", e);
    free(p->data);
    p->data = NULL;
    if (rc == 0 && asprintf(&p->data, "%s/data", scratch_dir(p->scratch)) < 0) {
        p->data = NULL;
        rc = no_memory(e);
    }
    return rc;
}

/* The folders' own modes: what the server demands of a data folder, and gives one of a tablespace. And where they are now. */
static int place_folders(struct receive *r, struct err *e)
{
    struct pg *p = r->p;
    char *mode = NULL;
    int rc = server_text(p->c, "SELECT current_setting('data_directory_mode')", &mode, e);
    mode_t m = mode ? (mode_t)strtoul(mode, NULL, 8) & 0777 : 0;
    free(mode);
    if (rc == 0 && chmod(p->data, m ? m | 0700 : 0700) < 0)
        rc = err_sys(e, "%s", p->data);
    for (size_t i = 0; rc == 0 && i < p->n_spaces; i++) {
        free(p->spaces[i].place_now);
        if (asprintf(&p->spaces[i].place_now, "%s/spaces/%s", scratch_dir(p->scratch),
                     p->spaces[i].oid) < 0) {
            p->spaces[i].place_now = NULL;
            rc = no_memory(e);
        }
    }
    return rc;
}

static int read_text(struct pg *p, const char *name, bool needed, char **ret, struct err *e)
{
    char path[PATH_MAX];
    uint8_t *text = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", p->data, name);
    int rc = sys_read_file(AT_FDCWD, path, MAX_LABEL_BYTES, &text, &n, e);
    if (rc == -ERR_ABSENT && !needed) {
        err_clear(e);
        return 0;
    }
    if (rc < 0)
        return err_wrap(e, "%s", name);
    *ret = (char *)text;
    return 0;
}

static int open_session(struct receive *r, struct err *e)
{
    const struct source_spec *spec = r->p->spec;
    int rc = server_connect_replication(source_spec_get(spec, "conninfo"),
                                        source_spec_get(spec, "os-user"), &r->c, e);
    if (rc < 0 && e && strstr(e->why, "max_wal_senders"))
        err_next(e, _("ALTER SYSTEM SET max_wal_senders = 10; then restart the server"));
    if (rc == 0)
        (void)PQsetNoticeReceiver(r->c, on_notice, r);
    return rc == 0 ? server_do(r->c, "SET client_min_messages = warning", e) : rc;
}

int pg_receive(struct pg *p, struct err *e)
{
    struct err own = ERR_INIT;
    struct receive r = { .p = p, .dir_fd = -1, .tar_fd = -1 };
    e = e ? e : &own;
    int rc = check_role(&r, e);
    if (rc == 0)
        rc = open_folders(&r, e);
    if (rc == 0)
        rc = open_session(&r, e);
    if (rc == 0)
        rc = begin_command(&r, e);
    if (rc == 0)
        rc = take_all(&r, e);
    if (rc == 0)
        rc = tell_left_out(&r, e);
    if (rc == 0)
        rc = place_folders(&r, e);
    if (rc == 0)
        rc = read_text(p, "backup_label", true, &p->label, e);
    if (rc == 0)
        rc = read_text(p, "tablespace_map", false, &p->map, e);
    untar_free(r.tar);
    sys_close_quiet(r.tar_fd);
    sys_close_quiet(r.dir_fd);
    PQfinish(r.c);
    free(r.names);
    free(r.came);
    return rc < 0 ? err_wrap(e, _("files sent by the server")) : 0;
}
