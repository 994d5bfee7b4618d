/* links.c - see links.h. */
#include "agents/postgresql/links.h"
#include "agents/tree.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_LEVELS 20 /* more than tree_each goes down */

struct look {
    const char *place;
    bool restored, data, space;
    char path[PATH_MAX]; /* of the entry, below the folder */
    size_t end[MAX_LEVELS];
};

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with)
{
    size_t n = strlen(s), k = strlen(with);
    return n >= k && strcmp(s + n - k, with) == 0;
}

bool pg_is_servers(const char *name)
{
    static const char *const files[] = { "PG_VERSION",      "postgresql.auto.conf", "backup_label",
                                         "tablespace_map",  "backup_manifest",      "postmaster.",
                                         "current_logfiles" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (begins(name, files[i]))
            return true;
    if (ends(name, ".signal") || strcmp(name, "base") == 0 || strcmp(name, "global") == 0)
        return true;
    return begins(name, "pg_") && !ends(name, ".conf") && strcmp(name, "pg_log") != 0;
}

bool pg_links_matter(const char *path)
{
    char top[NAME_MAX + 1];
    snprintf(top, sizeof top, "%.*s", (int)strcspn(path, "/"), path);
    return pg_is_servers(top);
}

static bool is_space(const struct look *l, const char *name)
{
    size_t n = strlen("pg_tblspc");
    return l->data && l->end[0] == n && begins(l->path, "pg_tblspc") &&
           strspn(name, "0123456789") == strlen(name);
}

static void add_name(struct look *l, const char *name, unsigned depth)
{
    size_t from = depth > 0 ? l->end[depth - 1] : 0;
    int n = snprintf(l->path + from, sizeof l->path - from, "%s%s", depth > 0 ? "/" : "", name);
    l->end[depth] = n > 0 && from + (size_t)n < sizeof l->path ? from + (size_t)n : from;
}

static int refuse(const struct look *l, const struct stat *st, struct err *e)
{
    const char *slash = l->path[0] ? "/" : "";
    if (!S_ISLNK(st->st_mode))
        err_set(e, ERR_REFUSED, _("%s%s%s is neither a file nor a folder"), l->place, slash,
                l->path);
    else if (l->restored)
        err_set(e, ERR_REFUSED, _("%s%s%s is a link: a server would work on what it leads to"),
                l->place, slash, l->path);
    else
        err_set(e, ERR_REFUSED, _("%s%s%s is a link: what it leads to would not be in the backup"),
                l->place, slash, l->path);
    return err_next(e, l->restored
                           ? _("take another backup; its files alone, as they are: restore … --to "
                               "DIR /postgresql")
                           : _("stop the server, and move that back to where the link is; for "
                               "another disk make a tablespace there"));
}

static int look_at(void *ctx, int dir_fd, const char *name, unsigned depth, const struct stat *st,
                   struct err *e)
{
    struct look *l = ctx;
    bool top = l->data && depth == 0, fine = S_ISREG(st->st_mode) || S_ISDIR(st->st_mode);
    (void)dir_fd;
    if (depth >= MAX_LEVELS)
        return err_set(e, ERR_LIMIT, _("folders are nested too deep"));
    if (depth == 1 && is_space(l, name) && S_ISLNK(st->st_mode))
        return 0;
    add_name(l, name, depth);
    if ((top && !pg_is_servers(name)) || (l->space && depth == 0 && !begins(name, "PG_")))
        return 1;
    if (top && !l->restored && strcmp(name, "pg_wal") == 0)
        return 1;
    return fine ? 0 : refuse(l, st, e);
}

static int look(int dir_fd, const char *name, struct look *l, struct err *e)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", l->place);
    if (!S_ISDIR(st.st_mode))
        return refuse(l, &st, e);
    int rc = tree_each(dir_fd, name, false, look_at, l, e);
    return rc < 0 && e->code != ERR_REFUSED ? err_wrap(e, "%s/%s", l->place, l->path) : rc;
}

int pg_links_data(int dir_fd, const char *name, const char *place, bool restored, struct err *e)
{
    struct look l = { .place = place, .restored = restored, .data = true };
    return look(dir_fd, name, &l, e);
}

int pg_links_all(int dir_fd, const char *name, const char *place, bool restored, struct err *e)
{
    struct look l = { .place = place, .restored = restored };
    return look(dir_fd, name, &l, e);
}

int pg_links_space(int dir_fd, const char *place, struct err *e)
{
    struct look l = { .place = place, .restored = true, .space = true };
    return look(dir_fd, ".", &l, e);
}
