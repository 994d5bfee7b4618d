/* works_in.c - see works_in.h. */
#include "agents/works_in.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROCESSES "/proc"
#define DELETED " (deleted)"

static bool read_link(long pid, const char *what, char out[PATH_MAX])
{
    char path[64];
    snprintf(path, sizeof path, PROCESSES "/%ld/%s", pid, what);
    ssize_t n = readlink(path, out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool is_one_of(long pid, const char *const *programs)
{
    char exe[PATH_MAX];
    if (!read_link(pid, "exe", exe))
        return false;
    const char *slash = strrchr(exe, '/'), *name = slash ? slash + 1 : exe;
    for (; *programs; programs++)
        if (strncmp(name, *programs, strlen(*programs)) == 0)
            return true;
    return false;
}

static bool is_there(long pid, const struct stat *here, const char *folder)
{
    char path[64], cwd[PATH_MAX];
    struct stat its;
    size_t n = strlen(folder);
    snprintf(path, sizeof path, PROCESSES "/%ld/cwd", pid);
    if (here && stat(path, &its) == 0 && its.st_dev == here->st_dev && its.st_ino == here->st_ino)
        return true;
    return read_link(pid, "cwd", cwd) && strncmp(cwd, folder, n) == 0 &&
           strcmp(cwd + n, DELETED) == 0;
}

pid_t works_in(int fd, const char *folder, const char *const *programs)
{
    struct stat here;
    bool known = fd >= 0 && fstat(fd, &here) == 0;
    long found = 0;
    DIR *d = opendir(PROCESSES);
    for (struct dirent *de; d && found == 0 && (de = readdir(d)) != NULL;) {
        char *end;
        long pid = strtol(de->d_name, &end, 10);
        if (pid > 0 && *end == '\0' && is_there(pid, known ? &here : NULL, folder) &&
            is_one_of(pid, programs))
            found = pid;
    }
    if (d)
        closedir(d);
    return (pid_t)found;
}
