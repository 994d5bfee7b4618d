/* policy.c - policies/NAME.yaml: what is backed up, and how old the newest backup may be. The manual is
 * policies/config.h. */
#include "policies/inner.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the file as it is --------------------------------------------------------------------------------- */
struct raw_files {
    char **paths, **exclude;
    unsigned n_paths, n_exclude;
    char *one_file_system, *skip_cache_dirs;
};

struct raw_policy {
    char *vault, *agent, *rpo;
    struct raw_files *files;
};

#define TEXT(key, type, member)                                                            \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, \
                           CYAML_UNLIMITED)

static const cyaml_schema_value_t entry_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
static const cyaml_schema_field_t files_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("paths", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_files,
                               paths, n_paths, &entry_schema, 0, MAX_CONF_ENTRIES),
    CYAML_FIELD_SEQUENCE_COUNT("exclude", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_files, exclude, n_exclude, &entry_schema, 0,
                               MAX_CONF_ENTRIES),
    TEXT("one-file-system", struct raw_files, one_file_system),
    TEXT("skip-cache-dirs", struct raw_files, skip_cache_dirs),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t policy_fields[] = {
    TEXT("vault", struct raw_policy, vault),
    TEXT("agent", struct raw_policy, agent),
    CYAML_FIELD_MAPPING_PTR("files", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_policy,
                            files, files_fields),
    TEXT("rpo", struct raw_policy, rpo),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t policy_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_policy, policy_fields),
};

/* --- loading ---------------------------------------------------------------------------------------------- */
static void free_list(char **v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        free(v[i]);
    free(v);
}

void policy_free(struct policy *pol)
{
    if (!pol)
        return;
    free_list(pol->paths, pol->n_paths);
    free_list(pol->exclude, pol->n_exclude);
    free(pol->name);
    free(pol->vault);
    free(pol->agent);
    free(pol);
}

static int check_exclude(const char *pattern, char **ret, struct err *e)
{
    if (pattern[0] == '\0') {
        err_set(e, ERR_CONFIG, _("an exclude pattern is empty"));
        return err_next(e, _("write a pattern like \"*.tmp\" or a whole path, or remove the line"));
    }
    *ret = strdup(pattern);
    return *ret ? 0 : conf_out_of_memory(e);
}

/* Fills a list with what `take` makes of each entry. */
static int take_list(struct yaml_doc *d, const char *key, char **raw, unsigned n,
                     struct policy *pol, struct err *e)
{
    bool is_paths = strcmp(key, "paths") == 0;
    char **v = calloc(n + 1, sizeof *v);
    int r = v ? 0 : conf_out_of_memory(e);
    for (unsigned i = 0; i < n && r == 0; i++) {
        r = is_paths ? conf_path_normalise(raw[i], &v[i], e) : check_exclude(raw[i], &v[i], e);
        if (r == -ERR_CONFIG) {
            char path[64];
            snprintf(path, sizeof path, "files.%s.%u", key, i);
            r = yaml_mistake(d, path, e);
        }
    }
    if (is_paths) {
        pol->paths = v;
        pol->n_paths = v ? n : 0;
    } else {
        pol->exclude = v;
        pol->n_exclude = v ? n : 0;
    }
    return r;
}

static int take_files(struct yaml_doc *d, const struct raw_files *raw, struct policy *pol,
                      struct err *e)
{
    if (!raw || raw->n_paths == 0) {
        err_set(e, ERR_CONFIG, _("the policy names nothing to back up"));
        err_next(e,
                 _("write \"files:\", and indented below it, for instance: paths: [/etc, /home]"));
        return yaml_mistake(d, "files.paths", e);
    }
    int r = take_list(d, "paths", raw->paths, raw->n_paths, pol, e);
    if (r == 0)
        r = take_list(d, "exclude", raw->exclude, raw->n_exclude, pol, e);
    if (r == 0)
        r = yaml_bool(d, "files.one-file-system", raw->one_file_system, &pol->one_file_system, e);
    if (r == 0)
        r = yaml_bool(d, "files.skip-cache-dirs", raw->skip_cache_dirs, &pol->skip_cache_dirs, e);
    return r;
}

static int check_words(const struct policy *pol, const char **ret_key, struct err *e)
{
    *ret_key = "vault";
    if (pol->vault[0] && !config_name_ok(pol->vault)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a vault"), pol->vault);
        return err_next(e, _("write the name of a file in vaults/, without .yaml"));
    }
    *ret_key = "agent";
    if (strcmp(pol->agent, "local") != 0) {
        err_set(e, ERR_CONFIG, _("there is no agent \"%s\""), pol->agent);
        return err_next(
            e, _("write agent: local, which is the only one for now, or leave the line out"));
    }
    return 0;
}

static int take_policy(struct yaml_doc *d, const struct raw_policy *raw, struct policy *pol,
                       struct err *e)
{
    const char *key;
    pol->vault = strdup(raw->vault ? raw->vault : "");
    pol->agent = strdup(raw->agent ? raw->agent : "local");
    if (!pol->vault || !pol->agent)
        return conf_out_of_memory(e);
    int r = check_words(pol, &key, e);
    if (r < 0)
        return yaml_mistake(d, key, e);
    r = take_files(d, raw->files, pol, e);
    return r < 0 ? r : yaml_duration(d, "rpo", raw->rpo, &pol->rpo_s, e);
}

int policy_parse(struct yaml_doc *d, const char *name, struct policy **ret, struct err *e)
{
    void *raw = NULL;
    int r = yaml_load(d, &policy_schema, &raw, e);
    if (r < 0)
        return r;
    struct policy *pol = calloc(1, sizeof *pol);
    if (pol)
        *pol = (struct policy){ .name = strdup(name),
                                .skip_cache_dirs = true,
                                .rpo_s = DEFAULT_RPO_S };
    r = pol && pol->name ? take_policy(d, raw, pol, e) : conf_out_of_memory(e);
    yaml_free_value(&policy_schema, raw);
    if (r < 0) {
        policy_free(pol);
        return r;
    }
    *ret = pol;
    return 0;
}

int policy_load(const struct config_paths *p, const char *name, struct policy **ret, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct yaml_doc *d = NULL;
    e = e ? e : &ignored;
    int r = conf_open(p, POLICIES, name, &d, e);
    if (r == 0)
        r = policy_parse(d, name, ret, e);
    yaml_close(d);
    return r;
}

int policy_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                struct err *e)
{
    return conf_each(p, POLICIES, fn, NULL, ctx, e);
}

/* --- writing -------------------------------------------------------------------------------------------------- */
static int put_list(struct wbuf *w, char **v, size_t n, bool is_paths, struct err *e)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        char *text = NULL;
        r = is_paths ? conf_path_normalise(v[i], &text, e) : check_exclude(v[i], &text, e);
        conf_line(w, "    - ");
        if (r == 0)
            r = yaml_put(w, text, e);
        conf_line(w, "\n");
        free(text);
    }
    return r;
}

static int put_files(struct wbuf *w, const struct policy *pol, struct err *e)
{
    conf_line(w, "\nfiles:\n"
                 "  # Folders and files, by their whole paths, with all that is in them.\n"
                 "  paths:\n");
    int r = put_list(w, pol->paths, pol->n_paths, true, e);
    conf_line(
        w,
        "\n  # What to leave out: a whole path (/home/x/cache), or a pattern for names (\"*.tmp\").\n"
        "  # Patterns with a star belong in double quotes.\n");
    conf_line(w, pol->n_exclude ? "  exclude:\n" : "  exclude: []\n");
    if (r == 0)
        r = put_list(w, pol->exclude, pol->n_exclude, false, e);
    conf_line(
        w,
        "\n  # true: stay on the file systems of the paths above, do not enter others mounted below.\n"
        "  one-file-system: %s\n",
        pol->one_file_system ? "true" : "false");
    conf_line(w,
              "\n  # true: leave out the content of folders that hold a CACHEDIR.TAG.\n"
              "  skip-cache-dirs: %s\n",
              pol->skip_cache_dirs ? "true" : "false");
    return r;
}

static int check_for_writing(const struct policy *pol, struct err *e)
{
    const char *key;
    if (!config_name_ok(pol->name)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a policy"), pol->name);
        return err_next(
            e,
            _("a name has letters, digits, '.', '_' and '-', at most %d, and starts with a "
              "letter or a digit"),
            MAX_NAME);
    }
    if (pol->n_paths == 0) {
        err_set(e, ERR_CONFIG, _("the policy names nothing to back up"));
        return err_next(e, _("name at least one folder or file: --files PATH"));
    }
    return check_words(pol, &key, e);
}

int policy_write(const struct config_paths *p, const struct policy *pol, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct wbuf w = WBUF_INIT;
    e = e ? e : &ignored;
    int r = check_for_writing(pol, e);
    if (r < 0)
        return r;
    conf_line(&w,
              "# The policy \"%s\": what is backed up. After a change: twofold policy lint\n"
              "# Run it now: twofold backup %s\n\n",
              pol->name, pol->name);
    conf_line(
        &w, "# The vault that keeps it (a file in vaults/). Not needed where there is only one.\n");
    conf_line(&w, pol->vault[0] ? "vault: %s\n" : "# vault: main%s\n", pol->vault);
    conf_line(&w, "\n# Which host it is on; local is this one.\nagent: %s\n", pol->agent);
    r = put_files(&w, pol, e);
    conf_line(
        &w,
        "\n# How old the newest whole backup may be (s, m, h, d) before twofold status says that it is\n"
        "# overdue. 26h: a nightly run that may take two hours more.\nrpo: ");
    yaml_put_duration(&w, pol->rpo_s ? pol->rpo_s : DEFAULT_RPO_S);
    conf_line(&w, "\n");
    if (r == 0)
        return conf_write(p, POLICIES, pol->name, &w, e);
    wbuf_free(&w);
    return r;
}
