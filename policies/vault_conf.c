/* vault_conf.c - vaults/NAME.yaml: a vault's trust anchors and copies. The manual is policies/config.h;
 * its copies are in copies.c. */
#include "policies/inner.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the file as it is ------------------------------------------------------------------------------- */
struct raw_vault {
    char *id, *suite, *recovery, *signing, *root;
    struct raw_copy *copies;
    unsigned n_copies;
    char *min_copies, *compression;
};

static const cyaml_schema_field_t vault_fields[] = {
    YAML_TEXT("id", struct raw_vault, id),
    YAML_TEXT("suite", struct raw_vault, suite),
    YAML_TEXT("recovery-public-key", struct raw_vault, recovery),
    YAML_TEXT("signing-public-key", struct raw_vault, signing),
    YAML_TEXT("root-public-key", struct raw_vault, root),
    CYAML_FIELD_SEQUENCE_COUNT("copies", CYAML_FLAG_POINTER, struct raw_vault, copies, n_copies,
                               &copy_schema, 0, MAX_CONF_ENTRIES),
    YAML_TEXT_OPT("min-copies", struct raw_vault, min_copies),
    YAML_TEXT_OPT("compression", struct raw_vault, compression),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t vault_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_vault, vault_fields),
};

/* --- loading ------------------------------------------------------------------------------------------------- */
void vault_conf_free(struct vault_conf *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n_copies; i++)
        copy_conf_done(&v->copies[i]);
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

static int take_copies(struct yaml_doc *d, const struct config_paths *p,
                       const struct raw_vault *raw, struct vault_conf *v, struct err *e)
{
    char path[64] = "copies";
    size_t bad = raw->n_copies;
    int r = 0;
    for (size_t i = 0; i < raw->n_copies && i < MAX_COPIES && r == 0; i++) {
        r = copy_take(d, p, i, &raw->copies[i], &v->copies[i], e);
        v->n_copies = i + 1;
    }
    if (r < 0)
        return r;
    if (raw->n_copies <= MAX_COPIES)
        r = copies_check_at(v->copies, v->n_copies, &bad, e);
    else
        r = copies_check_at(NULL, raw->n_copies, &bad, e);
    if (r == 0 || r == -ERR_NOMEM)
        return r;
    if (raw->n_copies < 2)
        err_next(e, _("write a second one below copies:, with place: and url:"));
    if (bad < raw->n_copies)
        snprintf(path, sizeof path, "copies.%zu", bad);
    return yaml_mistake(d, path, e);
}

static int take_vault(struct yaml_doc *d, const struct config_paths *p, const struct raw_vault *raw,
                      struct vault_conf *v, struct err *e)
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
        r = take_copies(d, p, raw, v, e);
    if (r == 0)
        r = yaml_uint(d, "min-copies", raw->min_copies, (unsigned)v->n_copies, &v->min_copies, e);
    if (r == 0)
        r = yaml_uint(d, "compression", raw->compression, MAX_COMPRESSION, &v->compression, e);
    return r;
}

int vault_conf_parse(struct yaml_doc *d, const struct config_paths *p, const char *name,
                     struct vault_conf **ret, struct err *e)
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
    r = v && v->name ? take_vault(d, p, raw, v, e) : conf_out_of_memory(e);
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
        r = vault_conf_parse(d, p, name ? name : only, ret, e);
    yaml_close(d);
    return r;
}

int vault_conf_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                    struct err *e)
{
    return conf_each(p, VAULTS, fn, NULL, ctx, e);
}

/* --- writing --------------------------------------------------------------------------------------------------- */
static int put_copies(struct wbuf *w, const struct config_paths *p, const struct vault_conf *v,
                      struct err *e)
{
    int r = 0;
    conf_line(
        w,
        "\n# The copies. Each holds everything and restores everything alone. They belong on different\n"
        "# disks in different places: one in the machine room, one in another safe building.\n"
        "#   place:     a name for the place, used in reports and in --from PLACE\n"
        "#   url:       a folder by its whole path, or sftp://user@host/path on another host\n"
        "#   host-key:  (sftp) the host's public key, as ssh-keyscan prints it; no other is believed\n"
        "#   identity:  (sftp) the private key to log in with: a file, whole path or below this folder\n"
        "#   presence:  rotating: a disk that is carried away and back; it is not missed in between\n"
        "#   every:     (rotating) how often it must have been here, for instance 7d\n"
        "#   deletable: false: nobody who steals this machine can delete what is on it (carried away,\n"
        "#              append-only, locked)\n"
        "#   limit:     bytes per second to it, for instance 20MiB\n"
        "#   jobs:      how many runs may write to it at once; 0 or nothing: no bound\n"
        "copies:\n");
    for (size_t i = 0; i < v->n_copies && r == 0; i++)
        r = copy_put(w, p, &v->copies[i], 2, e);
    return r;
}

static int check_for_writing(const struct vault_conf *v, struct err *e)
{
    if (!config_name_ok(v->name)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a vault"), v->name);
        return conf_name_advice(e);
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
    r = put_copies(&w, p, v, e);
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
