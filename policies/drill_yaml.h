/*
 * drill_yaml.h - "drill" of a policy (drill_conf.h), read and written. For policies/ alone.
 */
#ifndef TWOFOLD_POLICIES_DRILL_YAML_H
#define TWOFOLD_POLICIES_DRILL_YAML_H

#include "policies/inner.h"

struct raw_drill {
    char *every, *schedule, *on, *to, *from, *lose, *max_rto, *max_rpo;
};
extern const cyaml_schema_field_t drill_fields[];
/* raw NULL: there is none. *ret is the caller's, also on failure. */
int drill_take(struct yaml_doc *d, const struct raw_drill *raw, struct drill_conf *ret,
               struct err *e);
/* How it would look, with comments. */
void drill_put(struct wbuf *w);

#endif
