/* zone.c - in which time zone a server runs. It is in no log: a statement like INSERT … VALUES (NOW()) is done again in the zone of whoever does it
 * again. So its name is taken from where the server has it: its environment, or the link /etc/localtime that it sees (in a container another one
 * than ours). An agent without the right to look there (its unit leaves few rights) takes this host's zone, if the server says the same of its own.
 * Where nothing tells, what is left is how far it is from UTC now. */
#include "agents/mariadb/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ZONES "zoneinfo/"
#define MAX_ENVIRON_BYTES (4u << 20)
#define TAIL_BYTES 128

bool my_zone_ok(const char *zone)
{
    size_t n = strlen(zone);
    return n > 0 && n < MY_ZONE_BYTES && zone[0] != '/' && zone[0] != '.' && !strstr(zone, "..") &&
           strspn(zone,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/<>:.,") == n;
}

static bool take(const char *text, char ret[MY_ZONE_BYTES])
{
    const char *at = strstr(text, ZONES);
    snprintf(ret, MY_ZONE_BYTES, "%s", at ? at + strlen(ZONES) : text);
    return my_zone_ok(ret);
}

/* A file's last line is the rule that holds from its last change on (RFC 9636). */
static bool last_line(int fd, char ret[MY_ZONE_BYTES])
{
    char tail[TAIL_BYTES + 1];
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < TAIL_BYTES)
        return false;
    if (sys_pread(fd, tail, TAIL_BYTES, (uint64_t)st.st_size - TAIL_BYTES, NULL) != TAIL_BYTES ||
        tail[TAIL_BYTES - 1] != '\n')
        return false;
    tail[TAIL_BYTES - 1] = '\0';
    const char *line = memrchr(tail, '\n', TAIL_BYTES - 1);
    return line && take(line + 1, ret);
}

/* As that process sees it; 0: as we do. */
static bool of_system(pid_t pid, char ret[MY_ZONE_BYTES])
{
    char path[64], to[PATH_MAX];
    if (pid > 0)
        snprintf(path, sizeof path, "/proc/%ld/root/etc/localtime", (long)pid);
    else
        snprintf(path, sizeof path, "/etc/localtime");
    ssize_t n = readlink(path, to, sizeof to - 1);
    if (n >= 0) {
        to[n] = '\0';
        return strstr(to, ZONES) && take(to, ret);
    }
    if (errno == ENOENT)
        return take("UTC", ret);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool found = fd >= 0 && last_line(fd, ret);
    sys_close_quiet(fd);
    return found;
}

/* *ret: TZ of that process, "" where it has none. False: that cannot be read. */
static bool of_process(pid_t pid, char ret[PATH_MAX])
{
    char path[64];
    uint8_t *text = NULL;
    size_t n = 0;
    ret[0] = '\0';
    snprintf(path, sizeof path, "/proc/%ld/environ", (long)pid);
    if (pid <= 0 || sys_read_file(AT_FDCWD, path, MAX_ENVIRON_BYTES, &text, &n, NULL) < 0)
        return false;
    for (const char *p = (const char *)text; p < (const char *)text + n; p += strlen(p) + 1)
        if (strncmp(p, "TZ=", 3) == 0)
            snprintf(ret, PATH_MAX, "%s", p[3] ? p + 3 + (p[3] == ':') : "UTC");
    free(text);
    return true;
}

/* Is the server's zone what ours is: by its name in short, and now? */
static bool same_as_ours(const struct my *m)
{
    struct tm tm;
    time_t at = (time_t)m->zone_at_s;
    const char *name = my_var(&m->vars, "system_time_zone");
    if (getenv("TZ"))
        return false;
    tzset();
    return localtime_r(&at, &tm) && tm.tm_gmtoff == m->zone_offset_s &&
           (strcmp(tzname[0], name) == 0 || strcmp(tzname[1], name) == 0);
}

static bool by_name(const struct my *m, pid_t pid, char ret[MY_ZONE_BYTES])
{
    char tz[PATH_MAX];
    if (!of_process(pid, tz))
        return same_as_ours(m) && of_system(0, ret);
    if (!tz[0] || strcmp(tz, "/etc/localtime") == 0)
        return of_system(pid, ret);
    return take(tz, ret);
}

int my_offset_at(const struct my_server *s, int64_t at_s, long *ret, struct err *e)
{
    char sql[200], *text = NULL;
    snprintf(sql, sizeof sql,
             "SET time_zone = 'SYSTEM'; SELECT TIMESTAMPDIFF(SECOND, '1970-01-01', "
             "FROM_UNIXTIME(%lld)) - %lld",
             (long long)at_s, (long long)at_s);
    int rc = my_query(s, sql, &text, e);
    *ret = rc == 0 ? strtol(text, NULL, 10) : 0;
    free(text);
    return rc;
}

int my_find_zone(struct my *m, pid_t server, struct err *e)
{
    m->zone_at_s = sys_realtime_s();
    int rc = my_offset_at(&m->server, m->zone_at_s, &m->zone_offset_s, e);
    if (rc == 0 && !by_name(m, server, m->zone)) {
        long minutes = labs(m->zone_offset_s) / 60;
        const char *sign = m->zone_offset_s < 0 ? "-+" : "+-"; /* TZ counts the other way round */
        snprintf(m->zone, sizeof m->zone, "<%c%02ld%02ld>%c%02ld:%02ld", sign[0], minutes / 60,
                 minutes % 60, sign[1], minutes / 60, minutes % 60);
    }
    return rc < 0 ? err_wrap(e, _("the server's time zone")) : 0;
}
