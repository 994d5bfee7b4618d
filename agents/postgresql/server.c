/* server.c - see server.h. */
#include "agents/postgresql/server.h"
#include "lib/base/i18n.h"
#include "lib/base/mask.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_KEYS 8

/* libpq's messages have several lines. */
static void one_line(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; *text && n + 1 < size; text++)
        if (*text != '\n' || text[1] != '\0')
            out[n++] = *text == '\n' || *text == '\t' ? ' ' : *text;
    out[n] = '\0';
}

/* --- connecting ------------------------------------------------------------------------------- */
/* The value of a key of the connection's words, or what libpq would take. Owned; NULL: none. */
static char *word_of(PQconninfoOption *given, const char *key)
{
    PQconninfoOption *defaults = NULL;
    char *found = NULL;
    for (PQconninfoOption *o = given; o->keyword && !found; o++)
        if (strcmp(o->keyword, key) == 0 && o->val && o->val[0])
            found = strdup(o->val);
    if (!found)
        defaults = PQconndefaults();
    for (PQconninfoOption *o = defaults; o && o->keyword && !found; o++)
        if (strcmp(o->keyword, key) == 0 && o->val && o->val[0])
            found = strdup(o->val);
    PQconninfoFree(defaults);
    return found;
}

/* The system's user to connect as, or -1: as we are. */
static uid_t connect_as(PQconninfoOption *given, const char *os_user, struct err *e)
{
    char *host = word_of(given, "host"), *user = word_of(given, "user");
    bool local = !host || host[0] == '/' || host[0] == '@';
    const char *name = os_user ? os_user : geteuid() == 0 && local ? user : NULL;
    const struct passwd *pw = name ? getpwnam(name) : NULL;
    uid_t uid = pw ? pw->pw_uid : (uid_t)-1;
    if (os_user && !pw)
        err_set(e, ERR_CONFIG, _("this host has no user \"%s\""), os_user);
    free(host);
    free(user);
    return uid;
}

/* Credentials are each thread's own as far as the kernel is concerned; the library's call would change all of them. */
static bool become(uid_t uid)
{
    return syscall(SYS_setresuid, -1, uid, -1) == 0;
}

/* Notices are not for whoever reads our standard error. */
static void on_notice(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

struct how {                         /* a session is opened */
    const char *conninfo, *database; /* NULL: that of conninfo */
    bool replication;
};

static PGconn *open_session(const struct how *h, uid_t uid)
{
    /* Later ones win, but the database's name may only come behind the words in its place. */
    const char *const keys[MAX_KEYS] = { "application_name",
                                         "connect_timeout",
                                         "client_encoding",
                                         "keepalives_idle",
                                         h->replication ? "replication" : "keepalives_idle",
                                         "dbname",
                                         h->database ? "dbname" : NULL },
                      *const values[MAX_KEYS] = {
                          "twofold",   "10",       "UTF8", "60", h->replication ? "database" : "60",
                          h->conninfo, h->database
                      };
    uid_t before = geteuid();
    bool changed = uid != (uid_t)-1 && uid != before && become(uid);
    PGconn *c = PQconnectdbParams(keys, values, 1);
    if (changed && !become(before))
        abort(); /* we must not go on as somebody else */
    if (c)
        (void)PQsetNoticeProcessor(c, on_notice, NULL);
    return c;
}

static int cannot_connect(PGconn *c, const char *conninfo, struct err *e)
{
    char text[ERR_TEXT_BYTES], shown[256];
    one_line(c ? PQerrorMessage(c) : "", text, sizeof text);
    bool refused = strstr(text, "authentication") || strstr(text, "pg_hba") ||
                   strstr(text, "password") || strstr(text, "role ");
    err_set(e, refused ? ERR_REFUSED : ERR_UNREACHABLE, "%s", c ? text : _("no memory"));
    err_next(
        e,
        refused
            ? _("see the server's pg_hba.conf, and the user in \"conninfo\"; it can be tried with: psql \"%s\"")
            : _("is the server running, and does \"conninfo\" say where? Try: psql \"%s\""),
        mask_secrets(conninfo, shown, sizeof shown));
    return err_wrap(e, _("connect to the server"));
}

static int check_session(PGconn *c, struct err *e)
{
    if (PQserverVersion(c) < SERVER_MIN_VERSION) {
        err_set(e, ERR_VERSION,
                _("the server is of version %d; 12 is the oldest that is known here"),
                PQserverVersion(c) / 10000);
        return -ERR_VERSION;
    }
    /* The session is idle while files are read, for hours perhaps. */
    int rc = server_do(c,
                       "SET statement_timeout = 0; SET lock_timeout = 0; "
                       "SET idle_in_transaction_session_timeout = 0; SET datestyle = 'ISO'",
                       e);
    return rc == 0 && PQserverVersion(c) >= 140000 ? server_do(c, "SET idle_session_timeout = 0", e)
                                                   : rc;
}

static int connect_how(const struct how *how, const char *os_user, PGconn **ret, struct err *e)
{
    struct err own = ERR_INIT;
    const char *conninfo = how->conninfo;
    char *why = NULL;
    e = e ? e : &own;
    err_clear(e);
    PQconninfoOption *given = PQconninfoParse(conninfo, &why);
    if (!given) {
        char text[256];
        bool secret = strstr(conninfo, "password") || strstr(conninfo, "://");
        one_line(
            !why ? _("no memory")
            : secret
                ? _("it is not as libpq takes it") /* what it says of it may quote a password */
                : why,
            text, sizeof text);
        PQfreemem(why);
        err_set(e, ERR_CONFIG, _("\"conninfo\" cannot be read: %s"), text);
        return err_next(e, _("write it as libpq takes it: host=/run/postgresql user=postgres"));
    }
    uid_t uid = connect_as(given, os_user, e);
    char *database = word_of(given, "dbname");
    struct how h = *how;
    if (!h.database && !database)
        h.database = "postgres";

    free(database);
    PQconninfoFree(given);
    if (e->code != ERR_NONE)
        return -(int)e->code;
    PGconn *c = open_session(&h, uid);
    if (uid != (uid_t)-1 && !os_user && PQstatus(c) != CONNECTION_OK) {
        /* Perhaps it asks for a password, which lies where only we can read it. */
        PGconn *own_name = open_session(&h, (uid_t)-1);
        bool better = PQstatus(own_name) == CONNECTION_OK || PQconnectionNeedsPassword(c);
        PQfinish(better ? c : own_name);
        c = better ? own_name : c;
    }
    int rc = c && PQstatus(c) == CONNECTION_OK ? check_session(c, e)
                                               : cannot_connect(c, conninfo, e);
    if (rc < 0)
        PQfinish(c);
    else
        *ret = c;
    return rc;
}

int server_connect(const char *conninfo, const char *os_user, PGconn **ret, struct err *e)
{
    return connect_how(&(struct how){ conninfo, NULL, false }, os_user, ret, e);
}

int server_connect_to(const char *conninfo, const char *os_user, const char *database, PGconn **ret,
                      struct err *e)
{
    return connect_how(&(struct how){ conninfo, database, false }, os_user, ret, e);
}

int server_connect_replication(const char *conninfo, const char *os_user, PGconn **ret,
                               struct err *e)
{
    return connect_how(&(struct how){ conninfo, NULL, true }, os_user, ret, e);
}

/* --- questions -------------------------------------------------------------------------------- */
int server_failed(PGconn *c, const PGresult *r, struct err *e)
{
    char text[ERR_TEXT_BYTES];
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *message = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    one_line(message ? message : PQerrorMessage(c), text, sizeof text);
    enum err_code code = PQstatus(c) != CONNECTION_OK           ? ERR_UNREACHABLE
                         : state && strcmp(state, "42501") == 0 ? ERR_REFUSED
                                                                : ERR_FAILED;
    return err_set(e, code, _("the server says: %s"), text);
}

int server_query(PGconn *c, const char *sql, int n, const char *const *params, PGresult **ret,
                 struct err *e)
{
    PGresult *r = PQexecParams(c, sql, n, NULL, params, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        int rc = server_failed(c, r, e);
        PQclear(r);
        return rc;
    }
    *ret = r;
    return 0;
}

int server_do(PGconn *c, const char *sql, struct err *e)
{
    PGresult *r = PQexec(c, sql);
    ExecStatusType s = PQresultStatus(r);
    int rc = s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK ? 0 : server_failed(c, r, e);
    PQclear(r);
    return rc;
}

int server_text(PGconn *c, const char *sql, char **ret, struct err *e)
{
    PGresult *r = NULL;
    int rc = server_query(c, sql, 0, NULL, &r, e);
    if (rc < 0)
        return rc;
    *ret = NULL;
    if (PQntuples(r) > 0 && !PQgetisnull(r, 0, 0)) {
        *ret = strdup(PQgetvalue(r, 0, 0));
        rc = *ret ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    }
    PQclear(r);
    return rc;
}

/* --- positions -------------------------------------------------------------------------------- */
bool lsn_parse(const char *text, uint64_t *ret)
{
    size_t high = strspn(text, "0123456789ABCDEFabcdef");
    if (high == 0 || high > 8 || text[high] != '/')
        return false;
    const char *second = text + high + 1;
    size_t low = strspn(second, "0123456789ABCDEFabcdef");
    if (low == 0 || low > 8 || second[low] != '\0')
        return false;
    *ret = (uint64_t)strtoul(text, NULL, 16) << 32 | strtoul(second, NULL, 16);
    return true;
}

const char *lsn_print(uint64_t lsn, char ret[LSN_TEXT_BYTES])
{
    snprintf(ret, LSN_TEXT_BYTES, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return ret;
}
