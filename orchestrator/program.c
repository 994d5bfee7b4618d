/* program.c - other programs; see program.h. */
#include "orchestrator/program.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define END_WAIT_MS 5000

int program_find(const char *name, const char *variable, char out[PATH_MAX], struct err *e)
{
    const char *env = variable ? getenv(variable) : NULL, *path = getenv("PATH");
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (env && *env) {
        snprintf(out, PATH_MAX, "%s", env);
        return 0;
    }
    if (n > 0) {
        self[n] = '\0';
        if (snprintf(out, PATH_MAX, "%s/%s", dirname(self), name) < PATH_MAX &&
            access(out, X_OK) == 0)
            return 0;
    }
    for (const char *p = path ? path : "/usr/local/bin:/usr/bin:/bin"; *p;) {
        size_t len = strcspn(p, ":");
        if (len && snprintf(out, PATH_MAX, "%.*s/%s", (int)len, p, name) < PATH_MAX &&
            access(out, X_OK) == 0)
            return 0;
        p += len + (p[len] == ':');
    }
    err_set(e, ERR_ABSENT, _("the program %s is neither beside this one nor in the PATH"), name);
    return err_next(e, _("install it, then run the same command again"));
}

static int collect(int fd, uint64_t deadline_ms, struct wbuf *out, struct err *e)
{
    for (;;) {
        char part[4096];
        uint64_t now = sys_monotonic_ms();
        int rc = sys_wait_fd(fd, POLLIN, now < deadline_ms ? (int)(deadline_ms - now) : 0, e);
        if (rc < 0)
            return rc;
        ssize_t n = read(fd, part, sizeof part);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return err_sys(e, _("read what a program prints"));
        if (out->len + (size_t)n > MAX_PROGRAM_OUTPUT)
            return err_set(e, ERR_LIMIT, _("it prints too much"));
        wb_bytes(out, part, (size_t)n);
    }
}

int program_run(const char *const argv[], unsigned timeout_ms, struct wbuf *out, int *ret_status,
                struct err *e)
{
    pid_t pid = 0;
    int fd = sys_spawn(argv, -1, &pid, e);
    if (fd < 0)
        return fd;
    int rc = collect(fd, sys_monotonic_ms() + timeout_ms, out, e);
    sys_close_quiet(fd);
    int ended = sys_reap(pid, rc == 0 ? END_WAIT_MS : 0, ret_status, rc == 0 ? e : NULL);
    if (rc == 0)
        rc = ended;
    wb_u8(out, 0);
    if (rc == 0 && out->failed)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (out->len)
        out->len--;
    return rc < 0 ? err_wrap(e, "%s", argv[0]) : 0;
}
