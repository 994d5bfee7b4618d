/* as_owner.c - see as_owner.h. */
#include "agents/as_owner.h"
#include "lib/base/i18n.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SETPRIV "/usr/bin/setpriv"

/* Of the numbers that systems give to nobody: below those of 16 bits with a meaning, above those of services. */
#define NOBODY 65529

/* As packages name them. */
static const char *const accounts[][4] = {
    [AS_OWNER_MARIADB] = { "mysql", "mariadb", "_mysql", NULL },
    [AS_OWNER_POSTGRESQL] = { "postgres", "_postgresql", "enterprisedb", NULL },
};

static bool is_owner(enum as_owner_kind kind, uid_t uid, struct as_owner *ret)
{
    for (const char *const *name = accounts[kind]; *name; name++) {
        const struct passwd *pw = getpwnam(*name);
        if (pw && pw->pw_uid != 0 && pw->pw_uid == uid) {
            ret->uid = pw->pw_uid;
            ret->gid = pw->pw_gid;
            return true;
        }
    }
    return false;
}

int as_owner_find(enum as_owner_kind kind, const struct stat *files, struct as_owner *ret,
                  struct err *e)
{
    *ret = (struct as_owner){ .uid = geteuid(), .gid = getegid() };
    if (geteuid() != 0)
        return 0;
    ret->changes = true;
    if (is_owner(kind, files->st_uid, ret))
        return 0;
    ret->other = true;
    for (const char *const *name = accounts[kind]; *name; name++) {
        const struct passwd *pw = getpwnam(*name);
        if (pw && is_owner(kind, pw->pw_uid, ret))
            return 0;
    }
    err_set(e, ERR_REFUSED,
            _("the files belong to user %u, who is no database's account on this host"),
            (unsigned)files->st_uid);
    return err_next(e, _("install the database's server, or make its account: useradd --system %s"),
                    accounts[kind][0]);
}

struct as_owner as_owner_nobody(void)
{
    bool root = geteuid() == 0;
    return (struct as_owner){ .uid = root ? NOBODY : geteuid(),
                              .gid = root ? NOBODY : getegid(),
                              .changes = root };
}

size_t as_owner_words(struct as_owner *a, const char *signal, const char *ret[AS_OWNER_WORDS])
{
    size_t n = 0;
    if (!a->changes)
        return 0;
    snprintf(a->texts[0], sizeof a->texts[0], "--reuid=%u", (unsigned)a->uid);
    snprintf(a->texts[1], sizeof a->texts[1], "--regid=%u", (unsigned)a->gid);
    snprintf(a->texts[2], sizeof a->texts[2], "--pdeathsig=%s", signal);
    ret[n++] = SETPRIV;
    ret[n++] = a->texts[0];
    ret[n++] = a->texts[1];
    ret[n++] = "--clear-groups";
    ret[n++] = "--no-new-privs";
    ret[n++] = "--inh-caps=-all";
    ret[n++] = a->texts[2]; /* a change of user takes it away: set behind it */
    ret[n++] = "--";
    return n;
}
