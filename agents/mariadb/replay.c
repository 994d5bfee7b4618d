/* replay.c - binary logs are replayed onto a data folder that has just been restored, by a server of ours, through mariadb-binlog and the client as
 * one session. Meanwhile the folder has a name that no server is started on, and keeps it should anything fail. */
#include "agents/mariadb/restored.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPLAY_LIMIT_S (7 * 86400)

struct engine {
    struct my_restored *x;
    struct my_logs *l;
    struct my_instance i;
    struct as_owner nobody; /* the client */
    char loads[48];         /* in x->dir: content of tables that the log brings as files */
    struct prog reader, client;
    char line[MAX_EVENT_LINE];
    size_t line_len;
};

/* --- from the one program to the other ------------------------------------------------------------- */
/* "#261126  3:20:37 server id 7  end_log_pos 1369862 …" */
static void look_at(struct engine *p, const char *part, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (part[i] != '\n') {
            if (p->line_len < MAX_EVENT_LINE - 1)
                p->line[p->line_len++] = part[i] == '\t' ? ' ' : part[i];
            continue;
        }
        p->line[p->line_len] = '\0';
        p->line_len = 0;
        if (p->line[0] == '#' && p->line[1] >= '0' && p->line[1] <= '9' &&
            strstr(p->line, "end_log_pos"))
            memcpy(p->l->last, p->line, sizeof p->l->last);
    }
}

static int client_failed(struct engine *p, struct err *e)
{
    char tail[PROG_TAIL_BYTES + 1];
    prog_tail(&p->client, tail);
    err_set(e, ERR_DAMAGED, _("the log cannot be replayed: …%s"), tail);
    return err_next(e,
                    _("restore the backup alone (--no-logs), or a moment before that statement"));
}

/* ANALYZE TABLE and the like answer with rows; a client that nobody reads waits for ever. */
static void pass_over(struct engine *p)
{
    char part[16384];
    while (recv(p->client.fd, part, sizeof part, MSG_DONTWAIT) > 0)
        continue;
}

static int hand_over(void *ctx, const char *part, size_t n, struct err *e)
{
    struct engine *p = ctx;
    look_at(p, part, n);
    while (n > 0) {
        ssize_t did = send(p->client.fd, part, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (did > 0) {
            part += did;
            n -= (size_t)did;
            continue;
        }
        if (did < 0 && errno != EAGAIN && errno != EINTR)
            return client_failed(p, e);
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted"));
        p->x->r->report->n.bytes_read++;
        (void)sys_wait_fd(p->client.fd, POLLIN | POLLOUT, 1000, NULL);
        pass_over(p);
    }
    return 0;
}

static int still_there(void *ctx, struct err *e)
{
    struct engine *p = ctx;
    (void)e;
    p->x->r->report->n.bytes_read++;
    return 0;
}

static int start_reader(struct engine *p, const char *folder, struct err *e)
{
    char program[PATH_MAX];
    int rc = prog_find(TOOL_BINLOG, folder, program, e);
    if (rc < 0)
        return rc;
    prog_begin(&p->reader, ENV_PROGRAM, &p->x->as);
    prog_arg(&p->reader, "TZ=UTC");
    prog_arg(&p->reader, "TMPDIR=%s", p->x->data); /* for large events; its user can write there */
    prog_arg(&p->reader, "%s", program);
    prog_arg(&p->reader, "--no-defaults");
    prog_arg(&p->reader, "--start-position=%" PRIu64, p->l->position);
    if (p->l->stop > 0)
        prog_arg(&p->reader, "--stop-position=%" PRIu64, p->l->stop);
    prog_arg(&p->reader, "--local-load=%s", p->loads);
    for (size_t i = 0; i < p->l->n; i++)
        prog_arg(&p->reader, "%s/%s", p->l->folder, p->l->files[i]);
    return prog_start(&p->reader, -1, e);
}

static int start_client(struct engine *p, struct err *e)
{
    static const char first[] =
        "FLUSH PRIVILEGES;\n"; /* so that accounts can be changed; we stay what we are */
    prog_begin(&p->client, p->i.at.client, &p->nobody);
    my_server_args(&p->i.at, &p->client);
    prog_arg(&p->client, "--batch");
    prog_arg(&p->client, "--binary-mode");
    prog_arg(&p->client, "--skip-reconnect");
    prog_arg(&p->client, "--max-allowed-packet=1G");
    int rc = prog_start(&p->client, -1, e);
    return rc == 0 ? hand_over(p, first, strlen(first), e) : rc;
}

static int replay(struct engine *p, const char *folder, struct err *e)
{
    char tail[PROG_TAIL_BYTES + 1];
    bool read_ok = false, done_ok = false;
    int rc = start_client(p, e);
    if (rc == 0)
        rc = start_reader(p, folder, e);
    if (rc == 0)
        rc = prog_feed(&p->reader, "", REPLAY_LIMIT_S, hand_over, still_there, p, &read_ok, e);
    if (rc < 0)
        return rc;
    if (!read_ok) { /* what came so far is not the whole */
        prog_tail(&p->reader, tail);
        err_set(e, ERR_DAMAGED, _("mariadb-binlog failed: …%s"), tail);
        return err_next(e, _("restore the backup alone (--no-logs), or an earlier moment"));
    }
    (void)shutdown(p->client.fd, SHUT_WR);
    rc = prog_feed(&p->client, "", REPLAY_LIMIT_S, NULL, still_there, p, &done_ok, e);
    return rc == 0 && !done_ok ? client_failed(p, e) : rc;
}

/* --- the whole ----------------------------------------------------------------------------------- */
/* The log is a stranger's: LOAD DATA LOCAL in it reads what the client may read. So that is nobody's, who can read what everybody can, and the files
 * that the reader makes for it. */
static int make_loads(struct engine *p, struct err *e)
{
    struct my_restored *x = p->x;
    p->nobody = as_owner_nobody();
    snprintf(p->loads, sizeof p->loads, "%s/load", x->dir);
    if (mkdir(p->loads, 0700) < 0)
        return err_sys(e, "%s", p->loads);
    if (!p->nobody.changes)
        return 0;
    if (chown(p->loads, x->as.uid, p->nobody.gid) < 0 || chmod(p->loads, 02750) < 0)
        return err_sys(e, "%s", p->loads);
    if (chown(x->dir, x->as.uid, p->nobody.gid) < 0 || chmod(x->dir, 0710) < 0)
        return err_sys(e, "%s", x->dir);
    return 0;
}

static int on_server(struct engine *p, struct err *e)
{
    const char *programs = p->l->programs;
    int rc = my_instance_start(&p->i, p->x, programs, e);
    if (rc == 0)
        rc = my_check_zone(&p->i, p->l->facts, e);
    if (rc == 0)
        rc = make_loads(p, e);
    if (rc == 0)
        rc = replay(p, programs[0] == '/' ? programs : NULL, e);
    return my_instance_stop(&p->i, rc, e);
}

int my_hide_data(struct my_restored *x, const char *data, struct err *e)
{
    int rc = my_check_stopped(data, e);
    if (rc == 0)
        rc = sys_renameat(x->folder_fd, "data", x->folder_fd, MY_REPLAYING, false, e);
    return rc == 0 ? sys_fsync_dir(x->folder_fd, ".", e) : rc;
}

int my_show_data(struct my_restored *x, struct err *e)
{
    int rc = sys_syncfs(x->folder_fd, e);
    if (rc == 0)
        rc = sys_renameat(x->folder_fd, MY_REPLAYING, x->folder_fd, "data", false, e);
    return rc == 0 ? sys_fsync_dir(x->folder_fd, ".", e) : rc;
}

int my_replay_logs(struct my_restored *x, struct my_logs *l, struct err *e)
{
    struct engine *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, _("no memory"));
    p->x = x;
    p->l = l;
    l->last[0] = '\0';
    p->reader = p->client = (struct prog){ .log_fd = -1, .fd = -1 };
    int rc = my_choose_zone(x, l->facts, e);
    if (rc == 0)
        rc = prog_init(&p->reader, x->r->state_dir, e);
    if (rc == 0)
        rc = prog_init(&p->client, x->r->state_dir, e);
    if (rc == 0)
        rc = on_server(p, e);
    prog_done(&p->reader);
    prog_done(&p->client);
    free(p);
    return rc;
}
