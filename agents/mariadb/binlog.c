/* binlog.c - the binary logs that are closed: the server is told to begin a new one, and all before it are captured where they lie. They do not
 * change any more, so from the second night on only new ones are read. What a restore to a moment needs is then in the first backup after it. */
#include "agents/mariadb/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool my_has_binlogs(const struct my *m)
{
    const char *wanted = source_spec_get(m->spec, "binlog");
    bool keep = wanted ? strcmp(wanted, "none") != 0 : !source_spec_get(m->spec, "logs");
    return keep && strcmp(my_var(&m->vars, "log_bin"), "ON") == 0;
}

/* Where they lie, seen by the agent: in the data folder, perhaps under another path, or where the server says. */
static int find_place(struct my *m, struct err *e)
{
    const char *base = my_var(&m->vars, "log_bin_basename"), *slash = strrchr(base, '/'),
               *dir = my_var(&m->vars, "datadir");
    size_t n = strlen(dir), len = slash ? (size_t)(slash - base) : 0;
    while (n > 1 && dir[n - 1] == '/')
        n--;
    bool in_data = len == n && strncmp(base, dir, n) == 0;
    if (base[0] != '/' || !slash)
        return err_set(e, ERR_PROTOCOL, _("the server does not say where its binary logs are"));
    m->logs_place = in_data ? strdup(m->data) : strndup(base, len);
    if (!m->logs_place)
        return err_set(e, ERR_NOMEM, _("no memory"));
    if (access(m->logs_place, R_OK | X_OK) == 0)
        return 0;
    err_sys(e, "%s", m->logs_place);
    return err_next(e,
                    _("the agent must be able to read the binary logs; or leave them out: binlog: "
                      "none below mariadb: in the policy"));
}

int my_close_binlogs(struct my *m, struct err *e)
{
    char *at, *f[1];
    int rc = find_place(m, e);
    m->flushed_s = sys_realtime_s();
    if (rc == 0)
        rc = my_query(&m->server, "FLUSH LOCAL BINARY LOGS; SHOW BINARY LOGS", &m->logs_text, e);
    if (rc < 0)
        return err_wrap(e, "FLUSH BINARY LOGS");
    for (at = m->logs_text; my_fields(&at, f, 1) == 1;) {
        if (m->n_logs == MAX_BINLOGS) {
            err_set(e, ERR_LIMIT, _("the server has more than %d binary logs"), MAX_BINLOGS);
            return err_next(
                e, _("let it drop old ones (binlog_expire_logs_seconds), or leave them out: "
                     "binlog: none below mariadb: in the policy"));
        }
        m->logs[m->n_logs++] = f[0];
    }
    m->n_logs -= m->n_logs > 0; /* the last one is written to */
    return 0;
}

static bool leave_out(void *ctx, int dir_fd, const char *name, const char *path, size_t len)
{
    struct my *m = ctx;
    (void)dir_fd;
    (void)path;
    (void)len;
    for (size_t i = 0; i < m->n_logs; i++)
        if (strcmp(m->logs[i], name) == 0) {
            m->logs_seen[i] = true;
            return false;
        }
    return true;
}

struct source_root my_binlog_root(struct my *m)
{
    return (struct source_root){ .name = MY_BINLOG,
                                 .place = m->logs_place,
                                 .may_change = true, /* old ones are dropped by the server */
                                 .delta = DELTA_CONTENT,
                                 .leave_out = leave_out,
                                 .ctx = m };
}

bool my_tell_binlogs(const struct my *m, char *text, size_t size)
{
    char *rows = NULL, *at, *f[2];
    unsigned long long n = 0, bytes = 0;
    if (my_query(&m->server, "SHOW BINARY LOGS", &rows, NULL) < 0)
        return false;
    for (at = rows; my_fields(&at, f, 2) == 2; n++)
        bytes += strtoull(f[1], NULL, 10);
    free(rows);
    if (source_spec_get(m->spec, "logs"))
        snprintf(text, size,
                 _("its log is followed from the oldest that it has: %llu binary logs, %llu MiB"),
                 n, bytes >> 20);
    else
        snprintf(text, size,
                 _("%llu binary logs, %llu MiB, are kept with its backups; to leave them out: "
                   "binlog: none"),
                 n, bytes >> 20);
    return n > 0;
}
