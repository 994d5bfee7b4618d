/* look.c - the data folder before mariadb-backup copies it: how much it is, what could not be restored from a copy, and what mariadb-backup
 * does not take without a word. */
#include "agents/mariadb/inner.h"
#include "agents/tree.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_STRANGE_TOLD 20
#define SLACK_BYTES (64u << 20) /* the log of what changes meanwhile, and small files */
#define SLACK_SHARE 20

struct look {
    struct my *m;
    uint64_t bytes, strange;
    bool copy; /* it is what mariadb-backup wrote */
};

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static int refuse_elsewhere(const char *folder, const char *name, struct err *e)
{
    err_set(
        e, ERR_CONFIG,
        _("the table of %s/%s lies outside of the data folder (DATA DIRECTORY): a restored server "
          "would open the original's file"),
        folder, name);
    return err_next(e,
                    _("move it into the data folder (ALTER TABLE … without DATA DIRECTORY, or dump "
                      "and load it); or back it up by a dump"));
}

/* mariadb-backup follows links and reads as we do. Who may write to the data folder, the server's user, must not have it read what only we can read:
 * at a restore the copy would be theirs. */
static int check_link(struct look *l, int dir_fd, const char *folder, const char *name,
                      const struct stat *st, struct err *e)
{
    struct stat to;
    uid_t owner = l->m->owner.st_uid;
    if (l->copy || !S_ISLNK(st->st_mode) || geteuid() == owner ||
        fstatat(dir_fd, name, &to, 0) < 0 || to.st_uid == owner)
        return 0;
    err_set(e, ERR_CONFIG,
            _("%s/%s is a link to what does not belong to the server's user: mariadb-backup would "
              "copy it as the agent's user"),
            folder, name);
    return err_next(e, _("remove the link; or give what it leads to to the server's user"));
}

/* What mariadb-backup copies, and what is only of the moment. */
static bool is_known(const char *name)
{
    static const char *const known[] = { "ibd", "frm", "MYD", "MYI", "MAD", "MAI", "MRG",
                                         "TRG", "TRN", "ARM", "ARZ", "CSM", "CSV", "opt",
                                         "par", "isl", "sdi", "cfg", "cfp", "TMD", "new" };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof known / sizeof *known; i++)
        if (strcmp(dot + 1, known[i]) == 0)
            return true;
    return begins(name, "#");
}

static int tell_strange(struct look *l, const char *folder, const char *name, struct err *e)
{
    char path[600];
    if (l->copy || ++l->strange > MAX_STRANGE_TOLD)
        return 0;
    snprintf(path, sizeof path, MY_BACKUP "/%.250s/%.250s", folder, name);
    return l->m->env.note(l->m->env.ctx, true, path, strlen(path),
                          _("mariadb-backup takes no files of this kind: not in the backup"), e);
}

struct database {
    struct look *l;
    const char *name;
};

static int look_file(void *ctx, int dir_fd, const char *name, unsigned depth, const struct stat *st,
                     struct err *e)
{
    struct database *d = ctx;
    size_t n = strlen(name);
    if (check_link(d->l, dir_fd, d->name, name, st, e) < 0)
        return -(int)e->code;
    if (n > 4 && strcmp(name + n - 4, ".isl") == 0)
        return refuse_elsewhere(d->name, name, e);
    if (S_ISDIR(st->st_mode) || depth > 0)
        return 0;
    d->l->bytes += (uint64_t)st->st_blocks * 512;
    return is_known(name) ? 0 : tell_strange(d->l, d->name, name, e);
}

static int look_top(void *ctx, int dir_fd, const char *name, unsigned depth, const struct stat *st,
                    struct err *e)
{
    struct look *l = ctx;
    struct database d = { .l = l, .name = name };
    struct stat to;
    (void)depth;
    if (name[0] == '.' || name[0] == '#' || strcmp(name, "lost+found") == 0)
        return 1;
    bool own = begins(name, "ibdata") || begins(name, "undo") || begins(name, "aria_log") ||
               begins(name, "ib_");
    bool folder = S_ISLNK(st->st_mode) && fstatat(dir_fd, name, &to, 0) == 0 && S_ISDIR(to.st_mode);
    if ((own || folder) && check_link(l, dir_fd, l->m->data, name, st, e) < 0)
        return -(int)e->code;
    if (S_ISREG(st->st_mode) && own && !begins(name, "ib_"))
        l->bytes += (uint64_t)st->st_blocks * 512;
    /* A database's folder may be a link; mariadb-backup follows it. */
    if (!S_ISDIR(st->st_mode) && !folder)
        return 1;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/", name);
    int rc = tree_each(dir_fd, path, false, look_file, &d, e);
    return rc < 0 ? rc : 1;
}

static int look_at(struct look *l, const char *folder, struct err *e)
{
    if (tree_each(AT_FDCWD, folder, false, look_top, l, e) < 0)
        return err_wrap(e, "%s", folder);
    return 0;
}

/* A file of InnoDB's own at a place of its own: nobody could say where it belongs at a restore. */
static int check_system_space(struct my *m, struct err *e)
{
    const char *files = my_var(&m->vars, "innodb_data_file_path");
    if (!strchr(files, '/') && !strstr(files, "newraw") && !strstr(files, "raw"))
        return 0;
    err_set(e, ERR_CONFIG,
            _("innodb_data_file_path names files outside of the data folder (%s), which are not "
              "supported"),
            files);
    return err_next(
        e, _("give it plain names, with innodb_data_home_dir for their folder; or back the "
             "server up by a dump"));
}

int my_look(struct my *m, uint64_t *ret_bytes, struct err *e)
{
    struct look l = { .m = m };
    int rc = check_system_space(m, e);
    if (rc == 0)
        rc = look_at(&l, m->data, e);
    const char *home = my_var(&m->vars, "innodb_data_home_dir"),
               *undo = my_var(&m->vars, "innodb_undo_directory");
    struct look other = { .m = m, .copy = true };
    if (rc == 0 && home[0] == '/' && strcmp(home, m->data) != 0)
        rc = look_at(&other, home, e);
    if (rc == 0 && undo[0] == '/' && strcmp(undo, home) != 0 && strcmp(undo, m->data) != 0)
        rc = look_at(&other, undo, e);
    if (rc == 0 && l.strange > MAX_STRANGE_TOLD) {
        char text[128];
        snprintf(text, sizeof text, _("and %llu more such files"),
                 (unsigned long long)(l.strange - MAX_STRANGE_TOLD));
        rc = m->env.note(m->env.ctx, true, MY_ROOT, strlen(MY_ROOT), text, e);
    }
    *ret_bytes = (l.bytes + other.bytes) / SLACK_SHARE * (SLACK_SHARE + 1) + SLACK_BYTES;
    return rc;
}

int my_look_again(struct my *m, struct err *e)
{
    struct look l = { .m = m, .copy = true };
    return look_at(&l, m->backup, e);
}
