/* slot.c - see slot.h. */
#include "agents/postgresql/slot.h"
#include "agents/postgresql/archive.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "policies/config.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_SLOT "twofold"
#define MUCH_BYTES (UINT64_C(10) << 30) /* is said, where no limit is set */
#define LET_GO_MS 10000 /* so long may the server take to notice that a session ended */
#define LET_GO_STEP_MS 100
#define GUARD_MS 2000
#define GUARD_LOOKS 3 /* in succession: once may be a moment in which it writes much */

const char *pg_slot_name(const struct source_spec *spec)
{
    const char *slot = source_spec_get(spec, "slot");
    return slot ? slot : DEFAULT_SLOT;
}

uint64_t pg_slot_limit(const struct source_spec *spec)
{
    const char *text = source_spec_get(spec, "slot-limit");
    uint64_t limit = 0;
    return text && size_parse(text, &limit) ? limit : 0;
}

int pg_slot_look(PGconn *c, const char *slot, struct pg_slot *ret, struct err *e)
{
    static const char sql[] =
        "SELECT active, kept, pg_size_pretty(kept), %s FROM (SELECT *, greatest(0, pg_wal_lsn_diff("
        "CASE WHEN pg_is_in_recovery() "
        "THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) "
        "ELSE pg_current_wal_lsn() END, restart_lsn))::bigint AS kept "
        "FROM pg_replication_slots WHERE slot_name = $1 AND slot_type = 'physical') s";
    const char *const params[] = { slot };
    char text[sizeof sql + 64];
    PGresult *r = NULL;
    *ret = (struct pg_slot){ 0 };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, sql,
             PQserverVersion(c) >= 130000 ? "wal_status IN ('unreserved', 'lost')" : "false");
#pragma GCC diagnostic pop
    int rc = server_query(c, text, 1, params, &r, e);
    if (rc < 0)
        return err_wrap(e, _("replication slot"));
    if (PQntuples(r) == 1) {
        ret->there = true;
        ret->active = PQgetvalue(r, 0, 0)[0] == 't';
        ret->kept = strtoull(PQgetvalue(r, 0, 1), NULL, 10);
        snprintf(ret->kept_text, sizeof ret->kept_text, "%s", PQgetvalue(r, 0, 2));
        ret->threatened = PQgetvalue(r, 0, 3)[0] == 't';
    }
    PQclear(r);
    return 0;
}

static void pause_ms(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

/* A session that has ended just now holds it for another moment. */
static int drop(PGconn *c, const char *slot, struct err *e)
{
    const char *const params[] = { slot };
    struct pg_slot s = { .active = true };
    PGresult *r = NULL;
    uint64_t until = sys_monotonic_ms() + LET_GO_MS;
    int rc = pg_slot_look(c, slot, &s, e);
    while (rc == 0 && s.active && sys_monotonic_ms() < until) {
        pause_ms(LET_GO_STEP_MS);
        rc = pg_slot_look(c, slot, &s, e);
    }
    if (rc == 0 && s.there)
        rc = server_query(c, "SELECT pg_drop_replication_slot($1)", 1, params, &r, e);
    PQclear(r);
    return rc < 0 ? err_wrap(e, _("replication slot")) : 0;
}

int pg_slot_guard(PGconn *c, const struct source_spec *spec, char text[ERR_TEXT_BYTES],
                  struct err *e)
{
    const char *slot = pg_slot_name(spec);
    uint64_t limit = pg_slot_limit(spec);
    struct pg_slot s;
    int rc = limit ? pg_slot_look(c, slot, &s, e) : 0;
    if (rc < 0 || !limit || !s.there || s.kept <= limit)
        return rc;
    rc = drop(c, slot, e);
    if (rc < 0)
        return rc;
    snprintf(
        text, ERR_TEXT_BYTES,
        _("the server kept %s of its log for us, more than slot-limit (%s): its slot \"%s\" is "
          "given up, so that its disk does not fill; the log will begin anew, and needs a "
          "new backup then"),
        s.kept_text, source_spec_get(spec, "slot-limit"), slot);
    return 1;
}

/* --- beside the one who follows ------------------------------------------------------------------ */
struct pg_guard {
    const struct source_spec *spec;
    int socket;
    PGconn *c;
    pthread_t thread;
    bool running, stop, acting, fired;
    char text[ERR_TEXT_BYTES];
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static bool must_stop(struct pg_guard *g, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    pthread_mutex_lock(&g->lock);
    if (!g->stop)
        pthread_cond_timedwait(&g->changed, &g->lock, &until);
    bool stop = g->stop;
    pthread_mutex_unlock(&g->lock);
    return stop;
}

static bool is_over(struct pg_guard *g)
{
    struct pg_slot s;
    struct err ignored = ERR_INIT;
    if (!g->c && server_connect(source_spec_get(g->spec, "conninfo"),
                                source_spec_get(g->spec, "os-user"), &g->c, &ignored) < 0)
        return false; /* then the one who follows hears of it, too */
    if (pg_slot_look(g->c, pg_slot_name(g->spec), &s, &ignored) == 0)
        return s.kept > pg_slot_limit(g->spec);
    PQfinish(g->c);
    g->c = NULL;
    return false;
}

static void give_up(struct pg_guard *g)
{
    char text[ERR_TEXT_BYTES];
    struct err ignored = ERR_INIT;
    pthread_mutex_lock(&g->lock);
    g->acting = true;
    pthread_mutex_unlock(&g->lock);
    shutdown(g->socket, SHUT_RDWR);
    int rc = pg_slot_guard(g->c, g->spec, text, &ignored);
    pthread_mutex_lock(&g->lock);
    g->acting = false;
    g->fired = rc == 1;
    if (g->fired)
        memcpy(g->text, text, sizeof text);
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void *guard_main(void *arg)
{
    struct pg_guard *g = arg;
    for (unsigned over = 0; over < GUARD_LOOKS;) {
        if (must_stop(g, GUARD_MS))
            return NULL;
        over = is_over(g) ? over + 1 : 0;
    }
    give_up(g);
    return NULL;
}

int pg_guard_start(const struct source_spec *spec, int socket, struct pg_guard **ret, struct err *e)
{
    sigset_t all, was;
    if (!pg_slot_limit(spec))
        return 0;
    struct pg_guard *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(e, ERR_NOMEM, _("no memory"));
    g->spec = spec;
    g->socket = socket;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    g->running = pthread_create(&g->thread, NULL, guard_main, g) == 0;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    *ret = g;
    return g->running ? 0 : err_set(e, ERR_NOMEM, _("cannot start a thread"));
}

bool pg_guard_fired(struct pg_guard *g, char text[ERR_TEXT_BYTES])
{
    if (!g)
        return false;
    pthread_mutex_lock(&g->lock);
    while (g->acting)
        pthread_cond_wait(&g->changed, &g->lock);
    bool fired = g->fired;
    if (fired)
        memcpy(text, g->text, sizeof g->text);
    pthread_mutex_unlock(&g->lock);
    return fired;
}

void pg_guard_free(struct pg_guard *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    if (g->running)
        pthread_join(g->thread, NULL);
    PQfinish(g->c);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* --- whose it is --------------------------------------------------------------------------------- */
static int mark_path(PGconn *c, const struct source_spec *spec, const struct source_env *env,
                     char **ret, struct err *e)
{
    char *system = NULL, *text = NULL, hex[17];
    struct id sum;
    *ret = NULL;
    int rc = server_text(c, "SELECT system_identifier FROM pg_control_system()", &system, e);
    if (rc == 0 && asprintf(&text, "%s %s", system ? system : "", pg_slot_name(spec)) < 0)
        text = NULL;
    if (rc == 0 && text) {
        sha256_of(text, strlen(text), &sum);
        hex_encode(&sum, 8, hex);
        if (asprintf(ret, "%s/slot-%s", env->state_dir, hex) < 0)
            *ret = NULL;
    }
    if (rc == 0 && !*ret)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    free(text);
    free(system);
    return rc;
}

int pg_slot_made(PGconn *c, const struct source_spec *spec, const struct source_env *env,
                 struct err *e)
{
    char *path = NULL;
    int rc = mark_path(c, spec, env, &path, e);
    if (rc == 0 && access(path, F_OK) < 0)
        rc = sys_mkdir_p(env->state_dir, 0700, e);
    if (rc == 0 && access(path, F_OK) < 0)
        rc = sys_write_file(AT_FDCWD, path, pg_slot_name(spec), strlen(pg_slot_name(spec)), 0600,
                            e);
    free(path);
    return rc;
}

static int retire(PGconn *c, const struct source_spec *spec, const struct source_env *env,
                  const char *mark, struct err *e)
{
    const char *slot = pg_slot_name(spec);
    char text[ERR_TEXT_BYTES];
    struct pg_slot s;
    struct err why = ERR_INIT;
    bool ours = access(mark, F_OK) == 0;
    int rc = pg_slot_look(c, slot, &s, e);
    if (rc < 0 || (!s.there && !ours))
        return rc;
    if (s.there && ours && !s.active && drop(c, slot, &why) == 0)
        snprintf(
            text, sizeof text,
            _("its log comes by archive_command now: the replication slot \"%s\", by which it was followed before, is given up"),
            slot);
    else if (s.there)
        snprintf(
            text, sizeof text,
            _("there is a replication slot \"%s\", which this policy does not use any more; if nobody else does: SELECT pg_drop_replication_slot('%s');"),
            slot, slot);
    if (ours && !s.active && why.code == ERR_NONE)
        (void)unlink(mark);
    return s.there ? env->note(env->ctx, false, "", 0, text, e) : 0;
}

int pg_slot_retire(PGconn *c, const struct source_spec *spec, const struct source_env *env,
                   struct err *e)
{
    char *mark = NULL;
    int rc = mark_path(c, spec, env, &mark, e);
    if (rc == 0)
        rc = retire(c, spec, env, mark, e);
    free(mark);
    return rc;
}

/* --- in a backup ---------------------------------------------------------------------------------- */
int pg_slot_note(PGconn *c, const struct source_spec *spec, const struct source_env *env,
                 struct err *e)
{
    uint64_t limit = pg_slot_limit(spec);
    char text[ERR_TEXT_BYTES];
    struct pg_slot s;
    if (!source_spec_get(spec, "logs"))
        return 0;
    if (source_spec_get(spec, "archive"))
        return archive_note(spec, env, e);
    int rc = pg_slot_look(c, pg_slot_name(spec), &s, e);
    if (rc < 0 || !s.there || (!s.threatened && s.kept <= (limit ? limit / 2 : MUCH_BYTES)))
        return rc;
    if (s.threatened)
        snprintf(
            text, sizeof text,
            _("the server is about to remove log that its slot \"%s\" has to keep for us (%s): "
              "see: twofold logs"),
            pg_slot_name(spec), s.kept_text);
    else
        snprintf(text, sizeof text,
                 _("the server keeps %s of its log for us, in its slot \"%s\": see: twofold logs"),
                 s.kept_text, pg_slot_name(spec));
    return env->note(env->ctx, false, "", 0, text, e);
}
