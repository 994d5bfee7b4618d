/* copies.c - the copies in vaults/NAME.yaml: read, checked, and written. The manual is policies/config.h; the rules are
 * those of the duty PY-DB-1: two backups in two places. */
#include "policies/inner.h"
#include "lib/base/i18n.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define MAX_COPY_PATH 64

static const cyaml_schema_field_t copy_fields[] = {
    YAML_TEXT("place", struct raw_copy, place),
    YAML_TEXT("url", struct raw_copy, url),
    YAML_TEXT_OPT("host-key", struct raw_copy, host_key),
    YAML_TEXT_OPT("identity", struct raw_copy, identity),
    YAML_TEXT_OPT("presence", struct raw_copy, presence),
    YAML_TEXT_OPT("every", struct raw_copy, every),
    YAML_TEXT_OPT("deletable", struct raw_copy, deletable),
    YAML_TEXT_OPT("limit", struct raw_copy, limit),
    YAML_TEXT_OPT("jobs", struct raw_copy, jobs),
    CYAML_FIELD_END,
};
const cyaml_schema_value_t copy_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_copy, copy_fields),
};

void copy_conf_done(struct copy_conf *c)
{
    if (!c)
        return;
    free(c->place);
    free(c->url);
    free(c->host_key);
    free(c->identity);
    *c = (struct copy_conf){ 0 };
}

/* --- reading --------------------------------------------------------------------------------------------------- */
static const char *key_at(char out[MAX_COPY_PATH], size_t i, const char *key)
{
    snprintf(out, MAX_COPY_PATH, "copies.%zu.%s", i, key);
    return out;
}

/* What only means something beside something else. */
static int check_together(struct yaml_doc *d, size_t i, const struct raw_copy *raw,
                          const struct copy_conf *c, struct err *e)
{
    bool sftp = strncmp(c->url, "sftp://", 7) == 0;
    char path[MAX_COPY_PATH];
    const char *key = NULL;
    if (!sftp && (raw->host_key || raw->identity)) {
        key = raw->host_key ? "host-key" : "identity";
        err_set(e, ERR_CONFIG,
                _("\"%s\" is for copies on other hosts (sftp://), which this is not"), key);
        err_next(e, _("remove the line, or correct the url"));
    } else if (raw->every && !c->rotating) {
        key = "every";
        err_set(e, ERR_CONFIG, _("\"every\" is for rotating copies, which this is not"));
        err_next(e, _("write presence: rotating if the disk is carried away and back, or remove "
                      "the line"));
    }
    return key ? yaml_mistake(d, key_at(path, i, key), e) : 0;
}

static int take_identity(const struct config_paths *p, const char *text, char **ret)
{
    *ret = conf_in_dir(p, text);
    return *ret ? 0 : -ERR_NOMEM;
}

int copy_take(struct yaml_doc *d, const struct config_paths *p, size_t i,
              const struct raw_copy *raw, struct copy_conf *ret, struct err *e)
{
    static const char *const presences[] = { "always", "rotating", NULL };
    char path[MAX_COPY_PATH], *identity = NULL;
    unsigned presence = 0;
    *ret = (struct copy_conf){ .every_s = DEFAULT_EVERY_S, .deletable = true };
    ret->place = strdup(raw->place);
    ret->url = strdup(raw->url);
    int r = ret->place && ret->url ? 0 : conf_out_of_memory(e);
    if (r == 0)
        r = conf_host_key(d, key_at(path, i, "host-key"), raw->host_key, &ret->host_key, e);
    if (r == 0)
        r = yaml_copy(d, key_at(path, i, "identity"), raw->identity, &identity, e);
    if (r == 0 && identity && take_identity(p, identity, &ret->identity) < 0)
        r = conf_out_of_memory(e);
    free(identity);
    if (r == 0)
        r = yaml_choice(d, key_at(path, i, "presence"), raw->presence, presences, &presence, e);
    ret->rotating = presence == 1;
    if (r == 0)
        r = yaml_duration(d, key_at(path, i, "every"), raw->every, &ret->every_s, e);
    if (r == 0)
        r = yaml_bool(d, key_at(path, i, "deletable"), raw->deletable, &ret->deletable, e);
    if (r == 0)
        r = yaml_size(d, key_at(path, i, "limit"), raw->limit, &ret->limit_bytes_s, e);
    if (r == 0)
        r = yaml_number(d, key_at(path, i, "jobs"), raw->jobs, 0, MAX_CONF_JOBS, &ret->jobs, e);
    return r == 0 ? check_together(d, i, raw, ret, e) : r;
}

/* --- checks -------------------------------------------------------------------------------------------------------- */
/* What the path leads to: links resolved as far as it exists. Owned; NULL without memory. */
static char *resolve(const char *path)
{
    char *head = strdup(path), *out = NULL;
    size_t n = head ? strlen(head) : 0;
    while (head && n > 0) {
        char real[PATH_MAX];
        if (realpath(head, real)) {
            const char *rest = path + n;
            out = malloc(strlen(real) + strlen(rest) + 2);
            if (out)
                strcat(strcpy(out, strcmp(real, "/") == 0 && rest[0] == '/' ? "" : real), rest);
            break;
        }
        while (n > 0 && head[n - 1] != '/')
            n--;
        while (n > 1 && head[n - 1] == '/')
            n--;
        head[n] = '\0';
    }
    if (head && !out)
        out = strdup(path);
    free(head);
    return out;
}

/* Also by device and inode, which sees through bind mounts. */
static bool lies_in(const char *path, const char *folder)
{
    struct stat outer, st;
    char *p;
    bool found = conf_path_in(path, folder);
    if (found || stat(folder, &outer) < 0 || !(p = strdup(path)))
        return found;
    for (;;) {
        if (stat(p, &st) == 0 && st.st_dev == outer.st_dev && st.st_ino == outer.st_ino)
            found = true;
        char *slash = strrchr(p, '/');
        if (found || !slash || strcmp(p, "/") == 0)
            break;
        slash[slash == p] = '\0';
    }
    free(p);
    return found;
}

static int check_places(const struct copy_conf *a, const struct copy_conf *b, struct err *e)
{
    if (strcmp(a->place, b->place) == 0) {
        err_set(e, ERR_CONFIG, _("two copies have the place name \"%s\""), a->place);
        return err_next(e, _("give each copy the name of the place where it is kept"));
    }
    if (strcmp(a->url, b->url) != 0)
        return 0;
    err_set(e, ERR_CONFIG, _("the copies \"%s\" and \"%s\" are the same: %s"), a->place, b->place,
            a->url);
    return err_next(e, _("name two folders, on two disks in two places"));
}

/* Where the copy really is; *ret NULL where it is no folder of this machine. Owned. */
static int resolved_folder(const struct copy_conf *c, char **ret, struct err *e)
{
    const char *folder = conf_url_folder(c->url);
    char *normal = NULL;
    *ret = NULL;
    if (!folder)
        return 0;
    int r = conf_path_normalise(folder, &normal, e);
    if (r < 0)
        return r;
    *ret = resolve(normal);
    free(normal);
    return *ret ? 0 : conf_out_of_memory(e);
}

static int check_folders(const struct copy_conf *a, const struct copy_conf *b, struct err *e)
{
    char *ra = NULL, *rb = NULL;
    int r = resolved_folder(a, &ra, e);
    if (r == 0)
        r = resolved_folder(b, &rb, e);
    if (r == 0 && ra && rb) {
        bool a_in_b = lies_in(ra, rb), b_in_a = lies_in(rb, ra);
        if (a_in_b && b_in_a)
            r = err_set(e, ERR_CONFIG, _("the copies \"%s\" and \"%s\" are the same folder: %s"),
                        a->place, b->place, ra);
        else if (a_in_b || b_in_a)
            r = err_set(e, ERR_CONFIG, _("the copy \"%s\" lies in the copy \"%s\": %s"),
                        a_in_b ? a->place : b->place, a_in_b ? b->place : a->place,
                        a_in_b ? ra : rb);
        if (r < 0)
            err_next(e, _("name two folders, on two disks in two places"));
    }
    free(ra);
    free(rb);
    return r;
}

/* Two folders on one host, as one user: under chroot the same path may be two folders for two users. */
static int check_hosts(const struct copy_conf *a, const struct copy_conf *b, struct err *e)
{
    struct sftp_address x = { 0 }, y = { 0 };
    int rx = sftp_address_parse(a->url, &x, e), ry = rx > 0 ? sftp_address_parse(b->url, &y, e) : 0;
    int r = rx < 0 ? rx : ry < 0 ? ry : 0;
    bool one_account = rx > 0 && ry > 0 && x.port == y.port && strcasecmp(x.host, y.host) == 0 &&
                       strcmp(x.user ? x.user : "", y.user ? y.user : "") == 0;
    if (one_account && (conf_path_in(x.path, y.path) || conf_path_in(y.path, x.path))) {
        r = err_set(e, ERR_CONFIG,
                    _("the copies \"%s\" and \"%s\" are one folder, or lie one in the "
                      "other: %s on %s"),
                    a->place, b->place, x.path, x.host);
        err_next(e, _("name two folders, on two hosts in two places"));
    }
    sftp_address_done(&x);
    sftp_address_done(&y);
    return r;
}

static int check_one(const struct copy_conf *c, struct err *e)
{
    if (config_name_ok(c->place))
        return conf_url_check(c->url, e);
    err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a place"), c->place);
    return conf_name_advice(e);
}

int copies_check_at(const struct copy_conf *c, size_t n, size_t *ret_bad, struct err *e)
{
    int r = 0;
    *ret_bad = n;
    if (n < 2 || n > MAX_COPIES) {
        err_set(e, ERR_CONFIG,
                n < 2 ? _("a vault needs at least two copies, in two places (PY-DB-1)")
                      : _("a vault has at most %d copies"),
                MAX_COPIES);
        return err_next(e, _("give each copy a place and an address, for instance --copy "
                             "machine-room=/backup/a --copy building-2=/mnt/b"));
    }
    for (size_t i = 0; i < n && r == 0; i++) {
        *ret_bad = i;
        r = check_one(&c[i], e);
        for (size_t j = 0; j < i && r == 0; j++) {
            r = check_places(&c[j], &c[i], e);
            if (r == 0)
                r = check_folders(&c[j], &c[i], e);
            if (r == 0)
                r = check_hosts(&c[j], &c[i], e);
        }
    }
    return r;
}

int copies_check(const struct copy_conf *c, size_t n, struct err *e)
{
    struct err ignored = ERR_INIT;
    size_t bad;
    return copies_check_at(c, n, &bad, e ? e : &ignored);
}

/* --- writing --------------------------------------------------------------------------------------------------------- */
static int put_text(struct wbuf *w, int column, const char *key, const char *text, struct err *e)
{
    conf_line(w, "%*s%s: ", column, "", key);
    int r = yaml_put(w, text, e);
    conf_line(w, "\n");
    return r;
}

int copy_put(struct wbuf *w, const struct config_paths *p, const struct copy_conf *c, int column,
             struct err *e)
{
    int inner = column + 2;
    conf_line(w, "%*s- place: ", column, "");
    int r = yaml_put(w, c->place, e);
    conf_line(w, "\n");
    if (r == 0)
        r = put_text(w, inner, "url", c->url, e);
    if (r == 0 && c->host_key)
        r = put_text(w, inner, "host-key", c->host_key, e);
    if (r == 0 && c->identity)
        r = put_text(w, inner, "identity", conf_out_of_dir(p, c->identity), e);
    if (c->rotating) {
        conf_line(w, "%*spresence: rotating\n%*severy: ", inner, "", inner, "");
        yaml_put_duration(w, c->every_s ? c->every_s : DEFAULT_EVERY_S);
        conf_line(w, "\n");
    }
    if (!c->deletable)
        conf_line(w, "%*sdeletable: false\n", inner, "");
    if (c->limit_bytes_s) {
        conf_line(w, "%*slimit: ", inner, "");
        yaml_put_size(w, c->limit_bytes_s);
        conf_line(w, "\n");
    }
    if (c->jobs)
        conf_line(w, "%*sjobs: %u\n", inner, "", c->jobs);
    return r;
}
