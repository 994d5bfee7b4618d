/* allow_file.c - the agent's own file: read, checked, written; the manual is allow.h. */
#include "agents/allow.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "policies/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- the file as it is ------------------------------------------------------------------------------ */
struct raw_pin {
    char *vault, *key;
};
struct raw_allow {
    char **backup, **restore, **commands, **sources;
    unsigned n_backup, n_restore, n_commands, n_sources;
};
struct raw_rules {
    char *name;
    struct raw_pin *pins;
    unsigned n_pins;
    struct raw_allow *allow;
};
struct raw_file {
    struct raw_rules *all;
    unsigned n;
};

#define NEEDED(key, type, member) \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 0, CYAML_UNLIMITED)
#define LIST(key, member)                                                                       \
    CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_allow, \
                               member, n_##member, &text_schema, 0, MAX_ALLOWED)

static const cyaml_schema_value_t text_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
static const cyaml_schema_field_t pin_fields[] = {
    NEEDED("vault", struct raw_pin, vault),
    NEEDED("recovery-public-key", struct raw_pin, key),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t pin_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_pin, pin_fields),
};
static const cyaml_schema_field_t allow_fields[] = {
    LIST("backup", backup),   LIST("restore", restore), LIST("commands", commands),
    LIST("sources", sources), CYAML_FIELD_END,
};
static const cyaml_schema_field_t rules_fields[] = {
    NEEDED("name", struct raw_rules, name),
    CYAML_FIELD_SEQUENCE_COUNT("pins", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_rules,
                               pins, n_pins, &pin_schema, 0, MAX_PINS),
    CYAML_FIELD_MAPPING_PTR("allow", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_rules,
                            allow, allow_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t rules_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_rules, rules_fields),
};
static const cyaml_schema_field_t file_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("orchestrators", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_file, all, n, &rules_schema, 0, MAX_ORCHESTRATORS),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t file_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_file, file_fields),
};

/* --- rules --------------------------------------------------------------------------------------------- */
static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

int rules_add(char ***list, size_t *n, const char *text, struct err *e)
{
    if (*n >= MAX_ALLOWED)
        return err_set(e, ERR_LIMIT, _("more than %d entries in an allow-list"), MAX_ALLOWED);
    char **grown = realloc(*list, (*n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    *list = grown;
    grown[*n] = strdup(text);
    if (!grown[*n])
        return no_memory(e);
    ++*n;
    return 0;
}

void rules_clear(char ***list, size_t *n)
{
    for (size_t i = 0; *list && i < *n; i++)
        free((*list)[i]);
    free(*list);
    *list = NULL;
    *n = 0;
}

static void rules_free(struct rules *r)
{
    if (!r)
        return;
    rules_clear(&r->backup, &r->n_backup);
    rules_clear(&r->restore, &r->n_restore);
    rules_clear(&r->commands, &r->n_commands);
    rules_clear(&r->sources, &r->n_sources);
    free(r->name);
    free(r);
}

void agent_file_free(struct agent_file *f)
{
    for (size_t i = 0; f && i < f->n; i++)
        rules_free(f->all[i]);
    if (f)
        free(f->path);
    free(f);
}

static size_t place_of(const struct agent_file *f, const char *name)
{
    size_t i = 0;
    while (i < f->n && strcmp(f->all[i]->name, name) != 0)
        i++;
    return i;
}

int agent_file_find(const struct agent_file *f, const char *name, struct rules **ret, struct err *e)
{
    size_t i = place_of(f, name);
    if (i < f->n) {
        *ret = f->all[i];
        return 0;
    }
    err_set(e, ERR_REFUSED, _("%s does not allow the orchestrator \"%s\" anything"), f->path, name);
    return err_next(e, _("enrol this agent again from there: twofold agent enrol"));
}

int agent_file_add(struct agent_file *f, const char *name, struct rules **ret, struct err *e)
{
    size_t i = place_of(f, name);
    if (i == f->n) {
        if (f->n == MAX_ORCHESTRATORS)
            return err_set(e, ERR_LIMIT, _("%s already allows %d orchestrators"), f->path,
                           MAX_ORCHESTRATORS);
        struct rules *r = calloc(1, sizeof *r);
        if (r)
            r->name = strdup(name);
        if (!r || !r->name) {
            free(r);
            return no_memory(e);
        }
        f->all[f->n++] = r;
    }
    *ret = f->all[i];
    return 0;
}

void agent_file_remove(struct agent_file *f, const char *name)
{
    size_t i = place_of(f, name);
    if (i == f->n)
        return;
    rules_free(f->all[i]);
    for (f->n--; i < f->n; i++)
        f->all[i] = f->all[i + 1];
}

/* --- loading ----------------------------------------------------------------------------------------------- */
static int take_paths(char ***list, size_t *n, char **raw, unsigned n_raw, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < n_raw; i++) {
        char *path = NULL;
        rc = conf_path_normalise(raw[i], &path, e);
        if (rc == 0)
            rc = rules_add(list, n, path, e);
        free(path);
    }
    return rc;
}

static int take_rules(struct agent_file *f, const struct raw_rules *raw, struct err *e)
{
    struct rules *r = NULL;
    if (place_of(f, raw->name) < f->n)
        return err_set(e, ERR_CONFIG, _("the orchestrator \"%s\" is there twice"), raw->name);
    int rc = agent_file_add(f, raw->name, &r, e);
    for (unsigned i = 0; rc == 0 && i < raw->n_pins; i++, r->n_pins++)
        if (!id_parse(raw->pins[i].vault, &r->pins[i].vault) ||
            !hex_decode(raw->pins[i].key, r->pins[i].recovery_pk, sizeof r->pins[i].recovery_pk))
            rc = err_set(e, ERR_CONFIG, _("a pin is not 64 hex digits twice"));
    const struct raw_allow *a = raw->allow;
    if (rc == 0 && a)
        rc = take_paths(&r->backup, &r->n_backup, a->backup, a->n_backup, e);
    if (rc == 0 && a)
        rc = take_paths(&r->restore, &r->n_restore, a->restore, a->n_restore, e);
    for (unsigned i = 0; rc == 0 && a && i < a->n_commands; i++)
        rc = rules_add(&r->commands, &r->n_commands, a->commands[i], e);
    for (unsigned i = 0; rc == 0 && a && i < a->n_sources; i++)
        rc = rules_add(&r->sources, &r->n_sources, a->sources[i], e);
    return rc;
}

static int take_file(struct yaml_doc *d, struct agent_file *f, struct err *e)
{
    void *value = NULL;
    int rc = yaml_load(d, &file_schema, &value, e);
    const struct raw_file *raw = value;
    for (unsigned i = 0; rc == 0 && i < raw->n; i++) {
        rc = take_rules(f, &raw->all[i], e);
        if (rc == -ERR_CONFIG) {
            char path[64];
            snprintf(path, sizeof path, "orchestrators.%u", i);
            rc = yaml_mistake(d, path, e);
        }
    }
    yaml_free_value(&file_schema, value);
    return rc;
}

static int check_mode(const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_sys(e, "%s", path);
    if ((st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return 0;
    err_set(e, ERR_REFUSED, _("others than root and the agent's user can write it"));
    err_wrap(e, "%s", path);
    return err_next(e, _("look what stands in it, then: chmod go-w %s; chown root %s"), path, path);
}

int agent_file_load(const char *path, struct agent_file **ret, struct err *e)
{
    struct agent_file *f = calloc(1, sizeof *f);
    struct yaml_doc *d = NULL;
    if (f)
        f->path = strdup(path);
    if (!f || !f->path) {
        free(f);
        return no_memory(e);
    }
    int rc = yaml_read(path, &d, e);
    if (rc == 0)
        rc = check_mode(path, e);
    if (rc == 0)
        rc = take_file(d, f, e);
    else if (rc == -ERR_ABSENT)
        rc = 0;
    yaml_close(d);
    if (rc < 0) {
        agent_file_free(f);
        return rc;
    }
    *ret = f;
    return 0;
}

/* --- writing ------------------------------------------------------------------------------------------------- */
static int put_list(struct wbuf *w, const char *key, char *const *v, size_t n, struct err *e)
{
    int rc = 0;
    conf_line(w, n ? "      %s:\n" : "      %s: []\n", key);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        conf_line(w, "        - ");
        rc = yaml_put(w, v[i], e);
        conf_line(w, "\n");
    }
    return rc;
}

static int put_rules(struct wbuf *w, const struct rules *r, struct err *e)
{
    char id[ID_HEX_BYTES], key[2 * sizeof r->pins[0].recovery_pk + 1];
    conf_line(w, "  - name: ");
    int rc = yaml_put(w, r->name, e);
    conf_line(w, r->n_pins ? "\n    pins:\n" : "\n    pins: []\n");
    for (size_t i = 0; i < r->n_pins; i++) {
        hex_encode(r->pins[i].recovery_pk, sizeof r->pins[i].recovery_pk, key);
        conf_line(w, "      - vault: \"%s\"\n        recovery-public-key: \"%s\"\n",
                  id_hex(&r->pins[i].vault, id), key);
    }
    conf_line(w, "    allow:\n");
    if (rc == 0)
        rc = put_list(w, "backup", r->backup, r->n_backup, e);
    if (rc == 0)
        rc = put_list(w, "restore", r->restore, r->n_restore, e);
    if (rc == 0)
        rc = put_list(w, "commands", r->commands, r->n_commands, e);
    if (rc == 0 && r->n_sources > 0)
        rc = put_list(w, "sources", r->sources, r->n_sources, e);
    return rc;
}

int agent_file_write(const struct agent_file *f, struct err *e)
{
    struct wbuf w = WBUF_INIT;
    char *folder = strdup(f->path), *slash = folder ? strrchr(folder, '/') : NULL;
    int rc = 0;
    conf_line(
        &w,
        "# What the orchestrators that enrolled this host may have its twofold-agent do. Written by\n"
        "# \"twofold agent enrol\" there; change the lists below \"allow\" here as you see fit:\n"
        "#   backup   folders that may be read: these and what is below\n"
        "#   restore  folders that may be restored to: these and what is below\n"
        "#   commands programs that may be run for a source; whole lines that may be run around a backup\n"
        "#   sources  databases: the kind, a space, and what names it in the policy\n"
        "# The pins say which vaults may be written for, and whose recovery key opens what is sent.\n");
    conf_line(&w, f->n ? "orchestrators:\n" : "orchestrators: []\n");
    for (size_t i = 0; rc == 0 && i < f->n; i++)
        rc = put_rules(&w, f->all[i], e);
    if (rc == 0 && (w.failed || !slash))
        rc = no_memory(e);
    if (rc == 0 && slash > folder) {
        *slash = '\0';
        rc = sys_mkdir_p(folder, 0755, e);
    }
    if (rc == 0)
        rc = sys_write_file(AT_FDCWD, f->path, w.p, w.len, 0644, e);
    free(folder);
    wbuf_free(&w);
    return rc < 0 ? err_wrap(e, "%s", f->path) : 0;
}
