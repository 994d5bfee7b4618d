/* scratch.c - the folder that a drill restores to: where it may lie, and how it goes; see drill.h. */
#include "orchestrator/drill/drill.h"
#include "agents/host/host.h"
#include "agents/trusted.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/host.h"
#include "orchestrator/text.h"

#include <limits.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* --- where it may lie ------------------------------------------------------------------------------------------ */
static bool lies_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    return n == 1 || (strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0'));
}

/* The path without links, as far as it is there. */
static void resolve(const char *path, char out[PATH_MAX])
{
    char *copy = strdup(path);
    size_t n = copy ? strlen(copy) : 0;
    char *real = NULL;
    while (n > 1 && !(real = realpath(copy, NULL))) {
        while (n > 1 && copy[n - 1] != '/')
            n--;
        while (n > 1 && copy[n - 1] == '/')
            n--;
        copy[n] = '\0';
    }
    snprintf(out, PATH_MAX, "%s%s", real && strcmp(real, "/") != 0 ? real : "",
             path + (real && n > 1 ? n : 0));
    free(real);
    free(copy);
}

static int refuse(struct err *e, const char *to, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(struct err *e, const char *to, const char *fmt, ...)
{
    char *why = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&why, fmt, ap);
    va_end(ap);
    err_set(e, ERR_REFUSED, "%s", n < 0 ? _("no memory") : why);
    if (n >= 0)
        free(why);
    err_wrap(e, _("scratch folder \"%s\""), to);
    return err_next(e, _("name another one: drill: { to: FOLDER } in the policy, or --to FOLDER"));
}

/* A folder around it that a database server calls its own. */
static bool is_data_folder(const char *path)
{
    static const char *const marks[] = { "PG_VERSION", "ibdata1", "aria_log_control" };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char *file = text_print("%s/%s", path, marks[i]);
        bool there = access(file, F_OK) == 0;
        free(file);
        if (there)
            return true;
    }
    return false;
}

static int check_around(const char *to, struct err *e)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", to);
    for (char *slash; *path; *slash = '\0') {
        if (is_data_folder(path))
            return refuse(e, to, _("%s is the data folder of a database server"), path);
        if (!(slash = strrchr(path, '/')))
            break;
    }
    return 0;
}

int drill_check_folder(const struct policy *pol, const struct vault_conf *vault, const char *to,
                       const char *on, struct err *e)
{
    char real[PATH_MAX], other[PATH_MAX];
    bool here = !on, at_source = strcmp(pol->agent, on ? on : "local") == 0;
    if (to[0] != '/' || strcmp(to, "/") == 0)
        return refuse(e, to, _("\"%s\" is not the whole path of a folder"), to);
    if (here)
        resolve(to, real);
    else
        snprintf(real, sizeof real, "%s", to);
    for (size_t i = 0; at_source && i < pol->n_paths; i++) {
        if (here)
            resolve(pol->paths[i], other);
        else
            snprintf(other, sizeof other, "%s", pol->paths[i]);
        if (lies_in(real, other))
            return refuse(e, to, _("it lies in %s, which is backed up"), other);
    }
    for (size_t i = 0; at_source && i < pol->n_sources; i++) {
        const char *data = source_spec_get(&pol->sources[i], "data");
        if (data && (lies_in(real, data) || lies_in(data, real)))
            return refuse(e, to, _("it and the database's own folder %s are one"), data);
    }
    for (size_t i = 0; vault && here && i < vault->n_copies; i++) {
        const char *url = vault->copies[i].url;
        url = strncmp(url, "file://", 7) == 0 ? url + 7 : url;
        if (url[0] != '/')
            continue;
        resolve(url, other);
        if (lies_in(real, other))
            return refuse(e, to, _("it lies in the copy %s"), other);
    }
    return here ? check_around(real, e) : 0;
}

int drill_check_owner(const char *to, struct err *e)
{
    int rc = trusted_check(to, e);
    return rc == -ERR_REFUSED
               ? err_next(
                     e, _("name another one: drill: { to: FOLDER } in the policy, or --to FOLDER"))
               : rc;
}

/* --- is there room? ----------------------------------------------------------------------------------------------- */
#define SPARE_PERCENT 5 /* of the file system, that stay free */

int drill_check_room(const char *to, uint64_t bytes, struct err *e)
{
    struct statvfs st;
    char need[32], there[32], *path = text_print("%s", to), *slash;
    int rc;
    while ((rc = statvfs(path, &st)) < 0 && errno == ENOENT && (slash = strrchr(path, '/')) > path)
        *slash = '\0';
    if (rc < 0)
        rc = statvfs("/", &st);
    free(path);
    if (rc < 0)
        return err_sys(e, "%s", to);
    uint64_t unit = st.f_frsize, avail = st.f_bavail * unit;
    uint64_t spare = st.f_blocks * unit / 100 * SPARE_PERCENT;
    if (avail > spare && avail - spare >= bytes)
        return 0;
    err_set(e, ERR_NOSPACE, _("%s are free there, %s are needed, and a twentieth is to stay free"),
            ui_bytes(avail, there), ui_bytes(bytes, need));
    err_wrap(e, _("scratch folder \"%s\""), to);
    return err_next(e, _("name another one: drill: { to: FOLDER } in the policy, or --to FOLDER"));
}

/* --- how it goes ------------------------------------------------------------------------------------------------- */
int drill_remove_folder(struct app *app, const struct drill_place *at, struct err *e)
{
    if (at->on) {
        struct host_job j = { .policy = at->policy, .agent = at->on };
        return host_drop(app, &j, at->folder, at->id, e);
    }
    int rc = host_drop_folder(at->folder, at->id, false, e);
    char *slash = rc == 0 && at->around ? strrchr(at->folder, '/') : NULL;
    char *around = slash ? text_print("%.*s", (int)(slash - at->folder), at->folder) : NULL;
    if (around)
        (void)rmdir(around); /* not empty: others use it */
    free(around);
    return rc;
}
