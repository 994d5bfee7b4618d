/* contacts.c - contacts.yaml: people by role, each with an A and a B person (PY-AB), and subordinate units. The manual is
 * policies/contacts.h. Roles are names that people choose, so no schema holds them: they are taken from the tree. */
#include "policies/contacts.h"
#include "lib/base/i18n.h"
#include "policies/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_REVIEW_S ((uint64_t)90 * 86400)
#define MAX_ROLES 256
#define MAX_ROLE_PATH (MAX_NAME + 64)

struct raw_unit {
    char *name, *contact, *phone, *mail;
};
struct raw_contacts {
    char *reviewed, *review_every;
    struct raw_unit *units;
    unsigned n_units;
};

static const cyaml_schema_field_t unit_fields[] = {
    YAML_TEXT("name", struct raw_unit, name),
    YAML_TEXT_OPT("contact", struct raw_unit, contact),
    YAML_TEXT_OPT("phone", struct raw_unit, phone),
    YAML_TEXT_OPT("mail", struct raw_unit, mail),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t unit_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_unit, unit_fields),
};
static const cyaml_schema_field_t contacts_fields[] = {
    YAML_TEXT_OPT("reviewed", struct raw_contacts, reviewed),
    YAML_TEXT_OPT("review-every", struct raw_contacts, review_every),
    CYAML_FIELD_IGNORE("roles", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_SEQUENCE_COUNT("units", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_contacts, units, n_units, &unit_schema, 0,
                               MAX_CONF_ENTRIES),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t contacts_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_contacts, contacts_fields),
};

/* --- freeing and finding ---------------------------------------------------------------------------------------------- */
static void person_done(struct person *p)
{
    free(p->name);
    free(p->unit);
    free(p->phone);
    free(p->mail);
    free(p->webhook);
}

void contacts_free(struct contacts *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_roles; i++) {
        free(c->roles[i].name);
        person_done(&c->roles[i].a);
        person_done(&c->roles[i].b);
    }
    for (size_t i = 0; i < c->n_units; i++) {
        free(c->units[i].name);
        free(c->units[i].contact);
        free(c->units[i].phone);
        free(c->units[i].mail);
    }
    free(c->roles);
    free(c->units);
    free(c);
}

const struct role *contacts_role(const struct contacts *c, const char *name)
{
    for (size_t i = 0; i < c->n_roles; i++)
        if (strcmp(c->roles[i].name, name) == 0)
            return &c->roles[i];
    return NULL;
}

/* --- people --------------------------------------------------------------------------------------------------------------- */
struct reading {
    struct yaml_doc *d;
    struct contacts *c;
    char role[MAX_ROLE_PATH];   /* "roles.NAME" */
    char person[MAX_ROLE_PATH]; /* "roles.NAME.a" */
    struct person *to;
};

static int unknown_key(struct yaml_doc *d, const char *path, const char *key, const char *known,
                       struct err *e)
{
    err_set(e, ERR_CONFIG, _("the key \"%s\" is not known here"), key);
    err_next(e, _("the keys that may stand here are: %s"), known);
    return yaml_mistake(d, path, e);
}

static int take_detail(void *ctx, const char *key, struct err *e)
{
    struct reading *r = ctx;
    char path[MAX_ROLE_PATH + 16];
    const char *text = NULL;
    char **to = strcmp(key, "name") == 0      ? &r->to->name
                : strcmp(key, "unit") == 0    ? &r->to->unit
                : strcmp(key, "phone") == 0   ? &r->to->phone
                : strcmp(key, "mail") == 0    ? &r->to->mail
                : strcmp(key, "webhook") == 0 ? &r->to->webhook
                                              : NULL;
    snprintf(path, sizeof path, "%s.%.12s", r->person, key);
    if (!to)
        return unknown_key(r->d, strlen(key) > 12 ? r->person : path, key,
                           "name, unit, phone, mail, webhook", e);
    int rc = yaml_text(r->d, path, &text, e);
    return rc == 0 && text && *text ? yaml_copy(r->d, path, text, to, e) : rc;
}

static int take_person(void *ctx, const char *key, struct err *e)
{
    struct reading *r = ctx;
    struct role *role = &r->c->roles[r->c->n_roles - 1];
    bool is_a = strcmp(key, "a") == 0;
    if (!is_a && strcmp(key, "b") != 0)
        return unknown_key(r->d, r->role, key, "a, b", e);
    snprintf(r->person, sizeof r->person, "%.*s.%s", MAX_NAME + 8, r->role, key);
    r->to = is_a ? &role->a : &role->b;
    return yaml_each_key(r->d, r->person, take_detail, r, e);
}

static int take_role(void *ctx, const char *key, struct err *e)
{
    struct reading *r = ctx;
    struct contacts *c = r->c;
    if (!config_name_ok(key)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a role"), key);
        conf_name_advice(e);
        return yaml_mistake(r->d, "roles", e);
    }
    if (c->n_roles == MAX_ROLES) {
        err_set(e, ERR_CONFIG, _("there are more than %d roles"), MAX_ROLES);
        return yaml_mistake(r->d, "roles", e);
    }
    struct role *grown = realloc(c->roles, (c->n_roles + 1) * sizeof *grown);
    if (!grown)
        return conf_out_of_memory(e);
    c->roles = grown;
    grown[c->n_roles++] = (struct role){ .name = strdup(key) };
    if (!grown[c->n_roles - 1].name)
        return conf_out_of_memory(e);
    snprintf(r->role, sizeof r->role, "roles.%s", key);
    return yaml_each_key(r->d, r->role, take_person, r, e);
}

/* --- units and dates ---------------------------------------------------------------------------------------------------------- */
static int take_units(struct yaml_doc *d, const struct raw_contacts *raw, struct contacts *c,
                      struct err *e)
{
    c->units = calloc(raw->n_units + 1, sizeof *c->units);
    int r = c->units ? 0 : conf_out_of_memory(e);
    for (unsigned i = 0; i < raw->n_units && r == 0; i++) {
        struct unit_contact *u = &c->units[i];
        const struct raw_unit *from = &raw->units[i];
        char path[64];
        c->n_units = i + 1;
        snprintf(path, sizeof path, "units.%u.name", i);
        r = yaml_copy(d, path, from->name, &u->name, e);
        if (r == 0 && from->contact && *from->contact)
            r = yaml_copy(d, path, from->contact, &u->contact, e);
        if (r == 0 && from->phone && *from->phone)
            r = yaml_copy(d, path, from->phone, &u->phone, e);
        if (r == 0 && from->mail && *from->mail)
            r = yaml_copy(d, path, from->mail, &u->mail, e);
    }
    return r;
}

static int take_contacts(struct yaml_doc *d, const struct raw_contacts *raw, struct contacts *c,
                         struct err *e)
{
    struct reading reading = { .d = d, .c = c };
    int r = yaml_day(d, "reviewed", raw->reviewed, &c->reviewed_s, e);
    if (r == 0)
        r = yaml_duration(d, "review-every", raw->review_every, &c->review_every_s, e);
    if (r == 0)
        r = yaml_each_key(d, "roles", take_role, &reading, e);
    return r == 0 ? take_units(d, raw, c, e) : r;
}

static struct contacts *contacts_new(void)
{
    struct contacts *c = calloc(1, sizeof *c);
    if (c)
        c->review_every_s = DEFAULT_REVIEW_S;
    return c;
}

int contacts_parse(struct yaml_doc *d, struct contacts **ret, struct err *e)
{
    void *raw = NULL;
    int r = yaml_load(d, &contacts_schema, &raw, e);
    if (r < 0)
        return r;
    struct contacts *c = contacts_new();
    r = c ? take_contacts(d, raw, c, e) : conf_out_of_memory(e);
    yaml_free_value(&contacts_schema, raw);
    if (r < 0) {
        contacts_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

int contacts_load(const struct config_paths *p, struct contacts **ret, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct yaml_doc *d = NULL;
    e = e ? e : &ignored;
    char *file = conf_file(p, "", CONTACTS_FILE);
    if (!file)
        return conf_out_of_memory(e);
    int r = yaml_read(file, &d, e);
    free(file);
    if (r == -ERR_ABSENT) {
        err_clear(e);
        *ret = contacts_new();
        return *ret ? 0 : conf_out_of_memory(e);
    }
    if (r == 0)
        r = contacts_parse(d, ret, e);
    yaml_close(d);
    return r;
}
