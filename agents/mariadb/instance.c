/* instance.c - a server for a moment on the prepared files: as the user that owns them, with a configuration of ours, no network, no log of its
 * own, and a socket in a folder that only that user can enter. */
#include "agents/mariadb/restored.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 100000
#define START_LIMIT_S 86400
#define STOP_MS 600000

static int start_server(struct my_instance *i, const char *program, struct err *e)
{
    struct prog *r = &i->server;
    static const char *const fixed[] = {
        "--skip-networking",
        "--skip-grant-tables",
        "--skip-log-bin",
        "--skip-slave-start",
        "--skip-external-locking",
        "--loose-event-scheduler=OFF",
        "--innodb-buffer-pool-dump-at-shutdown=OFF",
        "--innodb-buffer-pool-load-at-startup=OFF",
        "--innodb-buffer-pool-size=64M",
        "--max-allowed-packet=1G",
        "--loose-performance-schema=OFF",
        "--loose-wsrep-on=OFF",
        "--loose-mysqlx=OFF",
        "--loose-userstat=OFF",
        "--general-log=OFF",
        "--slow-query-log=OFF",
    };
    int64_t at_s;
    long offset_s;
    const char *zone = i->x->zone ? i->x->zone : my_zone_of(i->x->facts, &at_s, &offset_s);
    prog_begin(r, ENV_PROGRAM, &i->x->as);
    prog_arg(r, "TZ=%s", zone ? zone : "UTC");
    prog_arg(r, "%s", program);
    prog_arg(r, "--defaults-file=%s", i->x->conf);
    prog_arg(r, "--datadir=%s", i->x->data);
    prog_arg(r, "--socket=%s", i->socket);
    prog_arg(r, "--pid-file=%s/pid", i->x->dir);
    prog_arg(r, "--tmpdir=%s", i->x->dir);
    prog_arg(r, "--secure-file-priv=%s", i->x->dir);
    for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++)
        prog_arg(r, "%s", fixed[k]);
    my_original_args(i->x->facts, r);
    return prog_start(r, -1, e);
}

int my_instance_died(struct my_instance *i, struct err *e)
{
    char tail[PROG_TAIL_BYTES + 1];
    prog_tail(&i->server, tail);
    return err_set(e, ERR_DAMAGED, _("the server does not run on what was restored: …%s"), tail);
}

/* Until it answers; it may have transactions to undo first. */
static int wait_answer(struct my_instance *i, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + START_LIMIT_S * 1000ull;
    for (;; usleep(POLL_US)) {
        struct err ignored = ERR_INIT;
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted"));
        if (!prog_alive(&i->server))
            return my_instance_died(i, e);
        if (sys_monotonic_ms() > until)
            return err_set(e, ERR_TIMEOUT, _("the server does not answer"));
        i->x->r->report->n.bytes_read++;
        if (access(i->socket, F_OK) == 0 && my_query(&i->at, "SELECT 1", NULL, &ignored) == 0)
            return 0;
    }
}

static int start(struct my_instance *i, const char *folder, struct err *e)
{
    char program[PATH_MAX];
    const char *version = json_string_value(json_object_get(i->x->facts, "server_version"));
    int rc = prog_find(TOOL_SERVER, folder, program, e);
    if (rc < 0)
        return err_next(
            e, _("install it (Debian: mariadb-server), or name the folder of its programs: "
                 "--verify=/opt/mariadb/bin"));
    rc = prog_find(TOOL_CLIENT, folder, i->at.client, e);
    if (rc == 0)
        rc = prog_check_version(program, version, i->x->r->state_dir, e);
    if (rc == 0)
        rc = start_server(i, program, e);
    return rc == 0 ? wait_answer(i, e) : rc;
}

static const char *name_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

int my_instance_start(struct my_instance *i, struct my_restored *x, const char *programs,
                      struct err *e)
{
    *i = (struct my_instance){ .x = x, .server = { .log_fd = -1, .fd = -1 } };
    snprintf(i->socket, sizeof i->socket, "%s/sock", x->dir);
    i->at = (struct my_server){
        .where = i->socket, .user = "root", .state_dir = x->r->state_dir, .as = &x->as
    };
    int rc = my_take_files(x, name_of(x->data), e);
    if (rc == 0)
        rc = prog_init(&i->server, x->r->state_dir, e);
    return rc == 0 ? start(i, programs[0] == '/' ? programs : NULL, e) : rc;
}

int my_instance_stop(struct my_instance *i, int rc, struct err *e)
{
    bool ran = i->server.pid > 0, well = prog_stop(&i->server, STOP_MS);
    if (rc == 0 && ran && !well)
        rc = my_instance_died(i, e);
    prog_done(&i->server);
    struct err other = ERR_INIT;
    int given = my_give_files(i->x, name_of(i->x->data), rc == 0 ? e : &other);
    return rc == 0 ? given : rc;
}
