/* incident_yaml.h - `incident:` of twofold.yaml and of a policy (policies/incident_conf.h), read. For policies/ alone. */
#ifndef TWOFOLD_POLICIES_INCIDENT_YAML_H
#define TWOFOLD_POLICIES_INCIDENT_YAML_H

#include "policies/incident_conf.h"
#include "policies/yaml.h"

#define INCIDENT_KEYS 14
struct raw_incident {
    char *v[INCIDENT_KEYS]; /* in the order of the manual */
};
extern const cyaml_schema_field_t incident_fields[];
/* raw NULL: nothing is changed. */
int incident_conf_take(struct yaml_doc *d, const struct raw_incident *raw,
                       struct incident_conf *ret, struct err *e);

#endif
