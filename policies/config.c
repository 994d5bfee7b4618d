/* config.c - where the configuration lies, the names in it, and paths and addresses in general. The
 * manual is policies/config.h. */
#include "policies/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/mask.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINE_BYTES 8192
#define MAX_NAMES_SHOWN 400
#define SUFFIX ".yaml"

int conf_out_of_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- where ------------------------------------------------------------------------------------------- */
static char *join(const char *a, const char *b)
{
    size_t n = strlen(a);
    while (n > 1 && a[n - 1] == '/')
        n--;
    char *s = malloc(n + strlen(b) + 2);
    if (s)
        sprintf(s, "%.*s%s%s", (int)n, a, *b ? "/" : "", b);
    return s;
}

/* A relative one is relative to where the program was started, also after it goes elsewhere. */
static char *make_absolute(const char *path)
{
    char cwd[MAX_CONF_PATH];
    if (path[0] == '/' || !getcwd(cwd, sizeof cwd))
        return join(path, "");
    return join(cwd, path);
}

static char *in_home(const char *rest)
{
    const char *home = getenv("HOME");
    struct passwd pw, *found = NULL;
    char buf[16384];
    if (!home || home[0] != '/')
        home = getpwuid_r(getuid(), &pw, buf, sizeof buf, &found) == 0 && found ? pw.pw_dir : "/";
    return join(home, rest);
}

static char *choose(const char *first, const char *variable, const char *of_root,
                    const char *of_user)
{
    const char *set = getenv(variable);
    if (first && *first)
        return make_absolute(first);
    if (set && *set)
        return make_absolute(set);
    return geteuid() == 0 ? join(of_root, "") : in_home(of_user);
}

int config_paths_find(const char *config_opt, struct config_paths *ret, struct err *e)
{
    struct config_paths p = {
        .config_dir = choose(config_opt, "TWOFOLD_CONFIG", SYSTEM_CONFIG_DIR, ".config/twofold"),
        .state_dir = choose(NULL, "TWOFOLD_STATE", "/var/lib/twofold", ".local/state/twofold"),
    };
    if (!p.config_dir || !p.state_dir) {
        config_paths_done(&p);
        return conf_out_of_memory(e);
    }
    *ret = p;
    return 0;
}

void config_paths_done(struct config_paths *p)
{
    if (!p)
        return;
    free(p->config_dir);
    free(p->state_dir);
    *p = (struct config_paths){ 0 };
}

/* --- names --------------------------------------------------------------------------------------------- */
static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool config_name_ok(const char *name)
{
    size_t n = 0;
    if (!is_alnum(name[0]))
        return false;
    for (; name[n]; n++)
        if (n >= MAX_NAME || !(is_alnum(name[n]) || strchr("._-", name[n])))
            return false;
    return true;
}

char *conf_file(const struct config_paths *p, const char *kind, const char *name)
{
    char rest[32 + MAX_NAME];
    snprintf(rest, sizeof rest, "%s%s%s" SUFFIX, kind, *kind ? "/" : "", name);
    return join(p->config_dir, rest);
}

int conf_name_advice(struct err *e)
{
    return err_next(e,
                    _("a name has letters, digits, '.', '_' and '-', at most %d, and starts with a "
                      "letter or a digit"),
                    MAX_NAME);
}

char *conf_in_dir(const struct config_paths *p, const char *path)
{
    return path[0] == '/' ? join(path, "") : join(p->config_dir, path);
}

const char *conf_out_of_dir(const struct config_paths *p, const char *path)
{
    size_t n = strlen(p->config_dir);
    while (n > 1 && p->config_dir[n - 1] == '/')
        n--;
    return strncmp(path, p->config_dir, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1
                                                                                 : path;
}

/* --- the files of one kind -------------------------------------------------------------------------------- */
static int keep_visible(const struct dirent *de)
{
    return de->d_name[0] != '.';
}

/* The name of a policy or vault in a file's name, into out; false when it is not one. */
static bool name_in(const char *file, char out[MAX_NAME + 1])
{
    size_t n = strlen(file), suffix = strlen(SUFFIX);
    if (n <= suffix || n - suffix > MAX_NAME || strcmp(file + n - suffix, SUFFIX) != 0)
        return false;
    memcpy(out, file, n - suffix);
    out[n - suffix] = '\0';
    return config_name_ok(out);
}

static int compare_files(const struct dirent **a, const struct dirent **b)
{
    char x[MAX_NAME + 1] = "", y[MAX_NAME + 1] = "";
    name_in((*a)->d_name, x);
    name_in((*b)->d_name, y);
    int c = strcmp(x, y);
    return c ? c : strcmp((*a)->d_name, (*b)->d_name);
}

int conf_each(const struct config_paths *p, const char *kind, conf_name_fn *fn, conf_name_fn *other,
              void *ctx, struct err *e)
{
    char *folder = join(p->config_dir, kind);
    struct dirent **files = NULL;
    int r = 0;
    if (!folder)
        return conf_out_of_memory(e);
    int n = scandir(folder, &files, keep_visible, compare_files);
    if (n < 0 && errno != ENOENT)
        r = err_sys(e, _("read folder \"%s\""), folder);
    if (n > MAX_CONF_FILES) {
        err_set(e, ERR_LIMIT, _("there are more than %d files in it"), MAX_CONF_FILES);
        r = err_wrap(e, "%s", folder);
    }
    for (int i = 0; i < n; i++) {
        char name[MAX_NAME + 1];
        if (r == 0 && name_in(files[i]->d_name, name))
            r = fn(ctx, name);
        else if (r == 0 && other)
            r = other(ctx, files[i]->d_name);
        free(files[i]);
    }
    free(files);
    free(folder);
    return r;
}

static int add_name(void *ctx, const char *name)
{
    char *list = ctx;
    size_t n = strlen(list);
    if (n + strlen(name) + 6 < MAX_NAMES_SHOWN)
        sprintf(list + n, "%s%s", n ? ", " : "", name);
    else if (strcmp(list + n - 3, "...") != 0)
        strcpy(list + n, ", ...");
    return 0;
}

int conf_absent(const struct config_paths *p, const char *kind, const char *name, struct err *e)
{
    bool vault = strcmp(kind, VAULTS) == 0, agent = strcmp(kind, AGENTS) == 0;
    char list[MAX_NAMES_SHOWN] = "";
    int r = conf_each(p, kind, add_name, NULL, list, e);
    if (r < 0)
        return r;
    if (!name)
        err_set(e, ERR_ABSENT, _("there is no vault yet"));
    else
        err_set(e, ERR_NAME,
                vault   ? _("there is no vault \"%s\"")
                : agent ? _("there is no agent \"%s\"")
                        : _("there is no policy \"%s\""),
                name);
    err_wrap(e, "%s/%s", p->config_dir, kind);
    if (list[0])
        return err_next(e, _("name one of those that there are: %s"), list);
    if (vault)
        return err_next(
            e, _("make one: twofold init --vault NAME --copy PLACE=FOLDER --copy PLACE=FOLDER"));
    if (agent)
        return err_next(e, _("make one: twofold agent enrol HOST"));
    return err_next(e, _("make one: twofold policy add NAME --files PATH..."));
}

int conf_open(const struct config_paths *p, const char *kind, const char *name,
              struct yaml_doc **ret, struct err *e)
{
    if (!config_name_ok(name)) {
        err_set(e, ERR_USAGE, _("\"%s\" cannot be a name"), name);
        return conf_name_advice(e);
    }
    char *file = conf_file(p, kind, name);
    if (!file)
        return conf_out_of_memory(e);
    int r = yaml_read(file, ret, e);
    if (r == -ERR_ABSENT)
        r = conf_absent(p, kind, name, e);
    free(file);
    return r;
}

/* --- writing ------------------------------------------------------------------------------------------------ */
void conf_line(struct wbuf *w, const char *fmt, ...)
{
    char line[MAX_LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line)
        w->failed = true;
    else
        wb_bytes(w, line, (size_t)n);
}

/* Only the user who runs us reads a file with a password in it. */
static bool has_secret(const struct wbuf *w)
{
    char *text = malloc(w->len + 1), *masked = malloc(4 * w->len + 16);
    bool has = true;
    if (text && masked) {
        memcpy(text, w->p, w->len);
        text[w->len] = '\0';
        has = strcmp(mask_secrets(text, masked, 4 * w->len + 16), text) != 0;
    }
    free(text);
    free(masked);
    return has;
}

static int write_to(const char *folder, const char *file, bool replace, const struct wbuf *w,
                    struct err *e)
{
    struct stat st;
    int r = sys_mkdir_p(folder, 0755, e);
    if (r < 0)
        return r;
    if (!replace && lstat(file, &st) == 0) {
        err_set(e, ERR_EXISTS, _("the file is there already"));
        err_next(e, _("edit it, or remove it first, or choose another name"));
        return err_wrap(e, "%s", file);
    }
    /* One that is replaced keeps who may read it. */
    mode_t mode = replace && stat(file, &st) == 0 ? st.st_mode & 0777 : 0644;
    mode = has_secret(w) ? mode & 0700 : mode;
    return sys_write_file(AT_FDCWD, file, w->p, w->len, mode, e);
}

static int write_any(const struct config_paths *p, const char *kind, const char *name, bool replace,
                     struct wbuf *w, struct err *e)
{
    char *file = conf_file(p, kind, name), *folder = join(p->config_dir, kind);
    int r;
    if (!file || !folder || w->failed)
        r = conf_out_of_memory(e);
    else
        r = write_to(folder, file, replace, w, e);
    wbuf_free(w);
    free(file);
    free(folder);
    return r;
}

int conf_write(const struct config_paths *p, const char *kind, const char *name, struct wbuf *w,
               struct err *e)
{
    return write_any(p, kind, name, false, w, e);
}

int conf_replace(const struct config_paths *p, const char *kind, const char *name, struct wbuf *w,
                 struct err *e)
{
    return write_any(p, kind, name, true, w, e);
}

/* --- paths and addresses --------------------------------------------------------------------------------------- */
int conf_path_normalise(const char *path, char **ret, struct err *e)
{
    if (path[0] != '/' || strlen(path) >= MAX_CONF_PATH) {
        err_set(e, ERR_CONFIG,
                path[0] != '/' ? _("\"%s\" is not a whole path")
                               : _("\"%s\" is too long for a path"),
                path);
        return err_next(e, _("write the path from the root: /etc"));
    }
    char *out = malloc(strlen(path) + 1);
    size_t n = 0;
    if (!out)
        return conf_out_of_memory(e);
    for (const char *p = path; *p;) {
        p += strspn(p, "/");
        size_t len = strcspn(p, "/");
        if (len == 2 && p[0] == '.' && p[1] == '.') {
            free(out);
            err_set(e, ERR_CONFIG, _("\"%s\" holds \"..\""), path);
            return err_next(e, _("write the path without \"..\""));
        }
        if (len > 0 && !(len == 1 && p[0] == '.')) {
            out[n++] = '/';
            memcpy(out + n, p, len);
            n += len;
        }
        p += len;
    }
    strcpy(out + n, n ? "" : "/");
    *ret = out;
    return 0;
}

bool conf_path_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    if (strcmp(folder, "/") == 0)
        return true;
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

int conf_path(struct yaml_doc *d, const char *path, const char *text, char **ret, struct err *e)
{
    char *whole = NULL;
    if (!text)
        return 0;
    int r = conf_path_normalise(text, &whole, e);
    if (r < 0)
        return r == -ERR_CONFIG ? yaml_mistake(d, path, e) : r;
    free(*ret);
    *ret = whole;
    return 0;
}
