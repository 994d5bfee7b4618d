/* place.c - see place.h. */
#include "agents/postgresql/place.h"
#include "agents/postgresql/cluster.h"
#include "agents/works_in.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MOUNTS "/proc/self/mountinfo"

/* Does somebody listen on the socket that postmaster.pid names (line 4 the port, line 5 the folder)? The process may live where its number
 * says nothing to us, in a container. */
static bool answers(const char *lines)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const char *line[5] = { lines };
    for (int i = 1; i < 5 && line[i - 1]; i++) {
        line[i] = strchr(line[i - 1], '\n');
        line[i] += line[i] != NULL;
    }
    if (!line[4] || line[4][0] != '/')
        return false;
    int len = (int)strcspn(line[4], "\n");
    int n = snprintf(a.sun_path, sizeof a.sun_path, "%.*s/.s.PGSQL.%ld", len, line[4],
                     strtol(line[3], NULL, 10));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool there = n > 0 && (size_t)n < sizeof a.sun_path && fd >= 0 &&
                 connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    sys_close_quiet(fd);
    return there;
}

/* Is the process a server that works here? A number in a file that a crash left may be anybody's by now. One that we cannot look at
 * counts as a server. */
static bool is_server(pid_t pid, int data_fd)
{
    char path[48], exe[PATH_MAX];
    struct stat here, there;
    if (pid <= 0 || (kill(pid, 0) < 0 && errno == ESRCH))
        return false;
    if (access(MOUNTS, F_OK) < 0) /* no /proc */
        return true;
    snprintf(path, sizeof path, "/proc/%ld/cwd", (long)pid);
    if (fstat(data_fd, &here) < 0 || stat(path, &there) < 0)
        return errno != ENOENT;
    if (here.st_dev == there.st_dev && here.st_ino == there.st_ino)
        return true;
    snprintf(path, sizeof path, "/proc/%ld/exe", (long)pid);
    ssize_t n = readlink(path, exe, sizeof exe - 1);
    if (n < 0)
        return errno != ENOENT;
    exe[n] = '\0';
    const char *name = strrchr(exe, '/');
    return strncmp(name ? name + 1 : exe, "postgres", strlen("postgres")) == 0;
}

int pg_place_forgotten(int data_fd, const char *data, struct err *e)
{
    static const char *const programs[] = { "postgres", NULL };
    long pid = works_in(data_fd, data, programs);
    if (pid == 0)
        return 0;
    err_set(e, ERR_BUSY, _("a server (process %ld) works on %s"), pid, data);
    return err_next(e, _("its files were taken away under it: end it first, kill -QUIT %ld"), pid);
}

int pg_place_stopped(int data_fd, const char *data, struct err *e)
{
    uint8_t *text = NULL;
    size_t n = 0;
    int rc = sys_read_plain(data_fd, "postmaster.pid", 4096, &text, &n, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        return pg_place_forgotten(data_fd, data, e);
    }
    if (rc < 0)
        return err_wrap(e, "%s/postmaster.pid", data);
    char lines[512] = "";
    memcpy(lines, text, n < sizeof lines - 1 ? n : sizeof lines - 1);
    free(text);
    long pid = strtol(lines, NULL, 10);
    if (!answers(lines) && !is_server((pid_t)pid, data_fd))
        return 0;
    err_set(e, ERR_BUSY, _("a server (process %ld) works on %s"), pid, data);
    return err_next(e,
                    _("stop it first: pg_ctl stop -D %s; if that process is another cluster's, "
                      "remove %s/postmaster.pid"),
                    data, data);
}

/* --- may it be replaced? -------------------------------------------------------------------------- */
bool pg_is_ours(const char *name)
{
    return strncmp(name, PG_OURS, strlen(PG_OURS)) == 0;
}

bool pg_is_version_folder(const char *name)
{
    static const char digits[] = "0123456789";
    if (strncmp(name, "PG_", 3) != 0)
        return false;
    size_t version = strspn(name + 3, digits);
    const char *catalog = name + 3 + version;
    return version > 0 && catalog[0] == '_' && catalog[1] &&
           strspn(catalog + 1, digits) == strlen(catalog + 1);
}

bool pg_is_cluster_entry(const char *name)
{
    return strcmp(name, "PG_VERSION") == 0;
}

/* What a fence leaves where the cluster was taken away (policies/standby). */
static bool is_fence(const char *name)
{
    return strcmp(name, "standby.signal") == 0;
}

/* Which folder is replaced comes from the backup, which a host sent that may have been in other hands: only a database's folder is, an empty
 * one, or one that an earlier restore has not finished. */
int pg_place_kind(int fd, const char *place, bool (*known)(const char *), struct err *e)
{
    int own = sys_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
    DIR *d = own < 0 ? NULL : fdopendir(own);
    struct dirent *de;
    bool empty = true, fine = false;
    if (!d) {
        sys_close_quiet(own);
        return own < 0 ? own : err_sys(e, "%s", place);
    }
    while ((de = readdir(d)) != NULL) {
        const char *n = de->d_name;
        if (strcmp(n, ".") == 0 || strcmp(n, "..") == 0 || strcmp(n, "lost+found") == 0)
            continue;
        fine |= known(n) || strncmp(n, PG_BEFORE, strlen(PG_BEFORE)) == 0;
        empty &= pg_is_ours(n) || is_fence(n);
    }
    closedir(d);
    if (fine || empty)
        return 0;
    err_set(e, ERR_REFUSED, _("%s has no database in it, but something else: it is not replaced"),
            place);
    return err_next(e, _("restore with --to DIR, then put the files where they belong by hand"));
}

/* In /proc/self/mountinfo a space is "\040". */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (s[0] == '\\' && s[1] && s[2] && s[3]) {
            *to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

/* The mount point of a line (its fifth field), if it lies below the folder: its name there. */
static const char *mounted_below(char *line, const char *folder)
{
    size_t n = strlen(folder);
    for (int i = 0; line && i < 4; i++) {
        line = strchr(line, ' ');
        line += line != NULL;
    }
    if (!line)
        return NULL;
    line[strcspn(line, " \n")] = '\0';
    unescape(line);
    return strncmp(line, folder, n) == 0 && line[n] == '/' && line[n + 1] ? line + n + 1 : NULL;
}

/* A file system cannot be renamed; with one in the middle, the exchange would stop half-way. spaces: only what is a tablespace's counts. */
int pg_place_mounts(const char *place, bool spaces, struct err *e)
{
    char *whole = realpath(place, NULL), *line = NULL, found[NAME_MAX + 1] = "";
    FILE *f = whole ? fopen(MOUNTS, "re") : NULL;
    size_t room = 0;
    int rc = 0;
    while (f && !found[0] && getline(&line, &room, f) > 0) {
        const char *name = mounted_below(line, whole);
        if (name && !pg_is_ours(name))
            snprintf(found, sizeof found, "%.*s", (int)strcspn(name, "/"), name);
        if (spaces && !pg_is_version_folder(found))
            found[0] = '\0';
    }
    if (!f) {
        rc = err_sys(e, "%s", whole ? MOUNTS : place);
    } else if (found[0]) {
        err_set(e, ERR_REFUSED,
                _("%s/%s is, or has in it, a file system of its own, which cannot be moved aside"),
                place, found);
        err_next(e, _("unmount it, and try again; or restore to another place: --to DIR"));
        rc = -ERR_REFUSED;
    }
    if (f)
        (void)fclose(f);
    free(line);
    free(whole);
    return rc;
}

/* A place and the question to it; its descriptor is closed again. */
static int check_place(const struct source_restore *r, const char *place, bool space, struct err *e)
{
    int fd = sys_open_folder(place, r->resolved, e);
    if (fd < 0) {
        err_next(e, _("make the folder, empty, or restore to another place: --to DIR"));
        return err_wrap(e, "%s", place);
    }
    int rc = space ? 0 : pg_place_stopped(fd, place, e);
    if (rc == 0)
        rc = pg_place_kind(fd, place, space ? pg_is_version_folder : pg_is_cluster_entry, e);
    if (rc == 0)
        rc = pg_place_mounts(place, space, e);
    sys_close_quiet(fd);
    return rc;
}

int pg_check_replaceable(const struct source_restore *r, const char *data, struct err *e)
{
    int rc = check_place(r, data, false, e);
    for (size_t i = 0; rc == 0 && i < r->spec->n; i++) {
        const struct setting *s = &r->spec->v[i];
        const char *equals = strcmp(s->key, "tablespace") == 0 ? strchr(s->value, '=') : NULL;
        if (equals)
            rc = check_place(r, equals + 1, true, e);
    }
    return rc;
}
