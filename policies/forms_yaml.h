/* forms_yaml.h - `forms:` of twofold.yaml as libcyaml reads it. Inner header of policies/; see forms_conf.h. */
#ifndef TWOFOLD_POLICIES_FORMS_YAML_H
#define TWOFOLD_POLICIES_FORMS_YAML_H

#include "policies/forms_conf.h"
#include "policies/yaml.h"

extern const cyaml_schema_field_t forms_fields[];

struct raw_bulletin {
    char *to, *copy_to, *contact_label, *contact, *telephone, *fax, *issued_by;
};
struct raw_scoring {
    char *item, *standard, *points, *content, *criteria, *method;
};
struct raw_forms {
    char *unit, *telephone, *fax, *place, *stamp;
    struct raw_bulletin *bulletin;
    struct raw_scoring *scoring;
    unsigned n_scoring;
};
/* raw may be NULL. *ret is the caller's, also on failure. */
int forms_conf_take(struct yaml_doc *d, const struct raw_forms *raw, struct forms_conf *ret,
                    struct err *e);

#endif
