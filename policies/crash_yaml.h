/* crash_yaml.h - "crash" of a policy (crash_conf.h), read and shown. For policies/ alone. */
#ifndef TWOFOLD_POLICIES_CRASH_YAML_H
#define TWOFOLD_POLICIES_CRASH_YAML_H

#include "policies/crash_conf.h"
#include "policies/inner.h"

struct raw_words {
    char **v;
    unsigned n;
};
struct raw_standby {
    char *on;
    struct raw_words command[STANDBY_COMMANDS];
};
struct raw_limits {
    char *limit[CRASH_LIMITS];
};
struct raw_crash {
    struct raw_words command[CRASH_COMMANDS];
    struct raw_standby *standby;
    struct raw_limits *limits;
    char *approve, *strict;
};
extern const cyaml_schema_field_t crash_fields[];
/* raw NULL: there is none. *ret is the caller's, also on failure. */
int crash_take(struct yaml_doc *d, const struct raw_crash *raw, struct crash_conf *ret,
               struct err *e);
/* The section as lines with comments, or how it would look. */
int crash_put(struct wbuf *w, const struct crash_conf *c, struct err *e);

#endif
