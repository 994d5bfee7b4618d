/* trusted.c - see trusted.h. */
#include "agents/trusted.h"
#include "lib/base/i18n.h"

#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Debian lets the group staff write below /usr/local, and takes it for as good as root. */
static bool is_admins(gid_t gid)
{
    const struct group *g = gid == 0 ? NULL : getgrgid(gid);
    return gid == 0 || (g && strcmp(g->gr_name, "staff") == 0);
}

static int check_one(const char *path, struct err *e)
{
    struct stat st, link; /* a link in a folder for everybody is led elsewhere by its owner */
    if (stat(path, &st) < 0 || lstat(path, &link) < 0)
        return err_sys(e, "%s", path);
    bool sticky = S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX);
    if ((st.st_uid == 0 || st.st_uid == geteuid()) &&
        (link.st_uid == 0 || link.st_uid == geteuid()) && (sticky || !(st.st_mode & S_IWOTH)) &&
        (sticky || !(st.st_mode & S_IWGRP) || (S_ISDIR(st.st_mode) && is_admins(st.st_gid))))
        return 0;
    err_set(e, ERR_REFUSED, _("others than root and the agent's user can write it"));
    err_wrap(e, "%s", path);
    return err_next(e, _("look what stands in it, then: chmod go-w %s; chown root %s"), path, path);
}

/* The path and each folder on its way. */
static int check_way(const char *path, struct err *e)
{
    char at[PATH_MAX];
    if (path[0] != '/' || snprintf(at, sizeof at, "%s", path) >= (int)sizeof at)
        return err_set(e, ERR_CONFIG, _("\"%s\" is not a whole path"), path);
    int rc = check_one(at, e);
    for (char *slash; rc == 0 && (slash = strrchr(at, '/')) != NULL;) {
        if (slash == at) {
            rc = check_one("/", e);
            break;
        }
        *slash = '\0';
        rc = check_one(at, e);
    }
    return rc;
}

int trusted_check(const char *path, struct err *e)
{
    int rc = check_way(path, e);
    char *real = rc == 0 ? realpath(path, NULL) : NULL;
    if (rc == 0)
        rc = real ? check_way(real, e) : err_sys(e, "%s", path);
    free(real);
    return rc;
}
