/* mounts.c - file systems that belong on a host and are not mounted now; see host.h. */
#include "agents/host/host.h"
#include "lib/base/i18n.h"
#include "lib/base/sys_fault.h"
#include "lib/vault/manifest.h"

#include <dirent.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FSTAB "/etc/fstab"
#define NOW_MOUNTED "/proc/self/mounts"
#define MAX_LINKS 16
#define MAX_LINE 8192

/* The link at the end of path[0..cut) is followed, to what may not be there. */
static bool follow(char path[PATH_MAX], size_t cut)
{
    char head[PATH_MAX], link[PATH_MAX], next[PATH_MAX];
    snprintf(head, sizeof head, "%.*s", (int)cut, path);
    ssize_t n = readlink(head, link, sizeof link - 1);
    if (n <= 0)
        return false;
    link[n] = '\0';
    *strrchr(head, '/') = '\0';
    int len = link[0] == '/' ? snprintf(next, sizeof next, "%s%s", link, path + cut)
                             : snprintf(next, sizeof next, "%s/%s%s", head, link, path + cut);
    if (len < 0 || len >= PATH_MAX)
        return false;
    memcpy(path, next, (size_t)len + 1);
    return true;
}

/* Without links, as far as it is there. */
static bool resolve(const char *place, char ret[PATH_MAX])
{
    char path[PATH_MAX], head[PATH_MAX], real[PATH_MAX];
    if (place[0] != '/' || snprintf(path, sizeof path, "%s", place) >= PATH_MAX)
        return false;
    for (int links = 0; links < MAX_LINKS;) {
        size_t cut = strlen(path);
        bool followed = false;
        snprintf(head, sizeof head, "%s", path);
        while (cut > 0 && !realpath(head, real) && !(followed = follow(path, cut))) {
            cut = (size_t)(strrchr(head, '/') - head);
            head[cut] = '\0';
        }
        if (!followed)
            return snprintf(ret, PATH_MAX, "%s%s", cut == 0 || strcmp(real, "/") == 0 ? "" : real,
                            path + cut) < PATH_MAX;
        links++;
    }
    return false;
}

/* It is not there, or nothing is in it. */
static bool is_bare(const char *path)
{
    DIR *d = opendir(path);
    bool bare = true;
    if (!d)
        return access(path, F_OK) < 0;
    for (struct dirent *de; bare && (de = readdir(d)) != NULL;)
        bare = strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0;
    closedir(d);
    return bare;
}

/* The innermost mount point of a table that the path lies in; "": none. */
static bool innermost(const char *table, const char *path, char ret[PATH_MAX])
{
    char text[MAX_LINE], point[PATH_MAX];
    struct mntent m;
    FILE *f = setmntent(table, "re");
    ret[0] = '\0';
    if (!f)
        return false;
    while (getmntent_r(f, &m, text, sizeof text)) {
        if (m.mnt_dir[0] != '/' || !resolve(m.mnt_dir, point))
            continue;
        size_t n = strlen(point);
        if (n > strlen(ret) && path_within(path, strlen(path), point, n))
            memcpy(ret, point, n + 1);
    }
    endmntent(f);
    return true;
}

bool host_unmounted(const char *place, char ret[PATH_MAX])
{
    char path[PATH_MAX], mounted[PATH_MAX];
    const char *table = sys_fault_fstab();
    return resolve(place, path) && is_bare(path) && innermost(table ? table : FSTAB, path, ret) &&
           innermost(NOW_MOUNTED, path, mounted) && strlen(ret) > strlen(mounted);
}

int host_check_mounted(void *ctx, const char *place, struct err *e)
{
    char point[PATH_MAX];
    (void)ctx;
    if (!host_unmounted(place, point))
        return 0;
    err_set(e, ERR_REFUSED, _("%s of /etc/fstab is not mounted, and nothing is in %s"), point,
            place);
    return err_next(
        e, _("mount it, and try again; where it is gone for good, take it out of /etc/fstab"));
}
