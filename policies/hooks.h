/*
 * hooks.h - "hooks" of a policy (lib/wire/hooks.h), read and written. For policies/ alone.
 */
#ifndef TWOFOLD_POLICIES_HOOKS_H
#define TWOFOLD_POLICIES_HOOKS_H

#include "policies/inner.h"

struct raw_hooks {
    char **before, **after, *limit;
    unsigned n_before, n_after;
};
extern const cyaml_schema_field_t hooks_fields[];
/* raw NULL: there are none. *ret is the caller's, also on failure. */
int hooks_take(struct yaml_doc *d, const struct raw_hooks *raw, struct hooks *ret, struct err *e);
/* Them as lines with comments, or how they would look. */
int hooks_put(struct wbuf *w, const struct hooks *h, struct err *e);

#endif
