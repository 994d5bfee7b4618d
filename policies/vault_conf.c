/* vault_conf.c - vaults/NAME.yaml: a vault's trust anchors and copies. The manual is policies/config.h;
 * the rules for copies are those of the duty PY-DB-1: two backups in two places. */
#include "policies/inner.h"
#include "lib/base/i18n.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- the file as it is ------------------------------------------------------------------------------- */
struct raw_copy {
    char *place, *url;
};

struct raw_vault {
    char *id, *suite, *recovery, *signing, *root;
    struct raw_copy *copies;
    unsigned n_copies;
    char *min_copies, *compression;
};

#define TEXT(key, type, member) \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 0, CYAML_UNLIMITED)
#define OPTIONAL_TEXT(key, type, member)                                                   \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, \
                           CYAML_UNLIMITED)

static const cyaml_schema_field_t copy_fields[] = {
    TEXT("place", struct raw_copy, place),
    TEXT("url", struct raw_copy, url),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t copy_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_copy, copy_fields),
};
static const cyaml_schema_field_t vault_fields[] = {
    TEXT("id", struct raw_vault, id),
    TEXT("suite", struct raw_vault, suite),
    TEXT("recovery-public-key", struct raw_vault, recovery),
    TEXT("signing-public-key", struct raw_vault, signing),
    TEXT("root-public-key", struct raw_vault, root),
    CYAML_FIELD_SEQUENCE_COUNT("copies", CYAML_FLAG_POINTER, struct raw_vault, copies, n_copies,
                               &copy_schema, 0, MAX_CONF_ENTRIES),
    OPTIONAL_TEXT("min-copies", struct raw_vault, min_copies),
    OPTIONAL_TEXT("compression", struct raw_vault, compression),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t vault_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_vault, vault_fields),
};

/* --- copies ---------------------------------------------------------------------------------------------- */
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

static int check_folders(const struct copy_conf *a, const struct copy_conf *b, struct err *e)
{
    const char *fa = conf_url_folder(a->url), *fb = conf_url_folder(b->url);
    char *na = NULL, *nb = NULL, *ra = NULL, *rb = NULL;
    int r = 0;
    if (!fa || !fb)
        return 0;
    r = conf_path_normalise(fa, &na, e);
    if (r == 0)
        r = conf_path_normalise(fb, &nb, e);
    if (r == 0 && (!(ra = resolve(na)) || !(rb = resolve(nb))))
        r = conf_out_of_memory(e);
    if (r == 0) {
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
    free(na);
    free(nb);
    free(ra);
    free(rb);
    return r;
}

static int check_one(const struct copy_conf *c, struct err *e)
{
    if (!config_name_ok(c->place)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a place"), c->place);
        return err_next(
            e,
            _("a name has letters, digits, '.', '_' and '-', at most %d, and starts with a "
              "letter or a digit"),
            MAX_NAME);
    }
    return conf_url_check(c->url, e);
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

/* --- loading ------------------------------------------------------------------------------------------------- */
void vault_conf_free(struct vault_conf *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n_copies; i++) {
        free(v->copies[i].place);
        free(v->copies[i].url);
    }
    free(v->name);
    free(v);
}

static int take_hex(struct yaml_doc *d, const char *key, const char *text, void *out, struct err *e)
{
    if (hex_decode(text, out, 32))
        return 0;
    err_set(e, ERR_CONFIG, _("\"%s\" is not 64 hexadecimal digits"), key);
    err_next(e, _("take it from the printed recovery kit"));
    return yaml_mistake(d, key, e);
}

static int take_copies(struct yaml_doc *d, const struct raw_vault *raw, struct vault_conf *v,
                       struct err *e)
{
    char path[64] = "copies";
    size_t bad = raw->n_copies;
    int r = 0;
    for (size_t i = 0; i < raw->n_copies && i < MAX_COPIES; i++) {
        v->copies[i].place = strdup(raw->copies[i].place);
        v->copies[i].url = strdup(raw->copies[i].url);
        v->n_copies = i + 1;
        if (!v->copies[i].place || !v->copies[i].url)
            return conf_out_of_memory(e);
    }
    if (raw->n_copies <= MAX_COPIES)
        r = copies_check_at(v->copies, v->n_copies, &bad, e);
    else
        r = copies_check_at(NULL, raw->n_copies, &bad, e);
    if (r == 0 || r == -ERR_NOMEM)
        return r;
    if (bad < raw->n_copies)
        snprintf(path, sizeof path, "copies.%zu", bad);
    return yaml_mistake(d, path, e);
}

static int take_vault(struct yaml_doc *d, const struct raw_vault *raw, struct vault_conf *v,
                      struct err *e)
{
    int r = take_hex(d, "id", raw->id, v->id.b, e);
    if (r == 0)
        r = yaml_uint(d, "suite", raw->suite, SUITE_1, &v->suite, e);
    if (r == 0)
        r = take_hex(d, "recovery-public-key", raw->recovery, v->recovery_pk, e);
    if (r == 0)
        r = take_hex(d, "signing-public-key", raw->signing, v->signing_pk, e);
    if (r == 0)
        r = take_hex(d, "root-public-key", raw->root, v->root_pk, e);
    if (r == 0)
        r = take_copies(d, raw, v, e);
    if (r == 0)
        r = yaml_uint(d, "min-copies", raw->min_copies, (unsigned)v->n_copies, &v->min_copies, e);
    if (r == 0)
        r = yaml_uint(d, "compression", raw->compression, MAX_COMPRESSION, &v->compression, e);
    return r;
}

int vault_conf_parse(struct yaml_doc *d, const char *name, struct vault_conf **ret, struct err *e)
{
    void *raw = NULL;
    int r = yaml_load(d, &vault_schema, &raw, e);
    if (r < 0)
        return r;
    struct vault_conf *v = calloc(1, sizeof *v);
    if (v)
        *v = (struct vault_conf){ .name = strdup(name),
                                  .min_copies = 1,
                                  .compression = DEFAULT_COMPRESSION };
    r = v && v->name ? take_vault(d, raw, v, e) : conf_out_of_memory(e);
    yaml_free_value(&vault_schema, raw);
    if (r < 0) {
        vault_conf_free(v);
        return r;
    }
    *ret = v;
    return 0;
}

/* The names of all vaults, as far as it matters whether there is exactly one. */
struct only {
    char first[MAX_NAME + 1];
    size_t n;
};

static int count_vault(void *ctx, const char *name)
{
    struct only *o = ctx;
    if (o->n++ == 0)
        strcpy(o->first, name);
    return 0;
}

static int the_only_one(const struct config_paths *p, char out[MAX_NAME + 1], struct err *e)
{
    struct only o = { .n = 0 };
    int r = conf_each(p, VAULTS, count_vault, NULL, &o, e);
    if (r < 0)
        return r;
    strcpy(out, o.first);
    if (o.n == 1)
        return 0;
    r = conf_absent(p, VAULTS, NULL, e);
    if (o.n == 0 || r != -ERR_ABSENT)
        return r;
    e->code = ERR_CONFIG; /* its advice, the names that there are, holds here, too */
    strcpy(e->why, _("there are several vaults, and none was named"));
    return -ERR_CONFIG;
}

int vault_conf_load(const struct config_paths *p, const char *name, struct vault_conf **ret,
                    struct err *e)
{
    struct err ignored = ERR_INIT;
    char only[MAX_NAME + 1];
    struct yaml_doc *d = NULL;
    e = e ? e : &ignored;
    int r = name ? 0 : the_only_one(p, only, e);
    if (r == 0)
        r = conf_open(p, VAULTS, name ? name : only, &d, e);
    if (r == 0)
        r = vault_conf_parse(d, name ? name : only, ret, e);
    yaml_close(d);
    return r;
}

int vault_conf_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                    struct err *e)
{
    return conf_each(p, VAULTS, fn, NULL, ctx, e);
}

/* --- writing --------------------------------------------------------------------------------------------------- */
static int put_copies(struct wbuf *w, const struct vault_conf *v, struct err *e)
{
    int r = 0;
    conf_line(
        w,
        "\n# The copies. Each holds everything and restores everything alone. They belong on different\n"
        "# disks in different places: one in the machine room, one in another safe building.\n"
        "#   place: a name for the place, used in reports and in --from PLACE\n"
        "#   url:   a folder, by its whole path\n"
        "copies:\n");
    for (size_t i = 0; i < v->n_copies && r == 0; i++) {
        conf_line(w, "  - place: ");
        r = yaml_put(w, v->copies[i].place, e);
        conf_line(w, "\n    url: ");
        if (r == 0)
            r = yaml_put(w, v->copies[i].url, e);
        conf_line(w, "\n");
    }
    return r;
}

static int check_for_writing(const struct vault_conf *v, struct err *e)
{
    if (!config_name_ok(v->name)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a vault"), v->name);
        return err_next(
            e,
            _("a name has letters, digits, '.', '_' and '-', at most %d, and starts with a "
              "letter or a digit"),
            MAX_NAME);
    }
    if (v->suite != SUITE_1 || v->min_copies < 1 || v->min_copies > v->n_copies ||
        v->compression < 1 || v->compression > MAX_COMPRESSION)
        return err_set(e, ERR_CONFIG,
                       _("the vault's suite, min-copies or compression is out of range"));
    return copies_check(v->copies, v->n_copies, e);
}

int vault_conf_write(const struct config_paths *p, const struct vault_conf *v, struct err *e)
{
    struct err ignored = ERR_INIT;
    char id[ID_HEX_BYTES], recovery[2 * PUBLIC_KEY_BYTES + 1], signing[2 * PUBLIC_KEY_BYTES + 1],
        root[2 * PUBLIC_KEY_BYTES + 1];
    struct wbuf w = WBUF_INIT;
    e = e ? e : &ignored;
    int r = check_for_writing(v, e);
    if (r < 0)
        return r;
    hex_encode(v->recovery_pk, sizeof v->recovery_pk, recovery);
    hex_encode(v->signing_pk, sizeof v->signing_pk, signing);
    hex_encode(v->root_pk, sizeof v->root_pk, root);
    conf_line(
        &w,
        "# The vault \"%s\": who it is and where its copies are. After a change: twofold policy lint\n"
        "#\n"
        "# The next five lines are the trust anchors: a copy is believed only as far as they vouch\n"
        "# for it. Never change them; they are also in the printed recovery kit. None is secret.\n"
        "#   root-public-key: signs the vault object, which says what the other keys are. Its secret\n"
        "#   half goes with the recovery key, so whoever steals this machine cannot exchange them.\n",
        v->name);
    conf_line(&w,
              "id: %s\nsuite: %u\nrecovery-public-key: %s\nsigning-public-key: %s\n"
              "root-public-key: %s\n",
              id_hex(&v->id, id), v->suite, recovery, signing, root);
    r = put_copies(&w, v, e);
    conf_line(
        &w,
        "\n# A run that reached fewer copies than this has failed. One that reached these but not\n"
        "# all is degraded: kept, shown by twofold status, and caught up by the next run.\n"
        "min-copies: %u\n",
        v->min_copies);
    conf_line(&w,
              "\n# How hard to compress, 1 (fast) to 19 (small, slow). 3 suits nearly everything.\n"
              "compression: %u\n",
              v->compression);
    if (r == 0)
        return conf_write(p, VAULTS, v->name, &w, e);
    wbuf_free(&w);
    return r;
}
