/*
 * yaml.h - a configuration file: loaded by libcyaml against a schema; libyaml's positions name the line of
 * every mistake. Inner header of policies/.
 *
 *     struct yaml_doc *d;                            r = yaml_read(file, &d, e);
 *     r = yaml_load(d, &schema, &value, e);          -ERR_CONFIG: "FILE, line N"
 *     err_set(e, ERR_CONFIG, ...); return yaml_mistake(d, "copies.1.url", e);
 *     yaml_free_value(&schema, value); yaml_close(d);
 */
#ifndef TWOFOLD_POLICIES_YAML_H
#define TWOFOLD_POLICIES_YAML_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include <cyaml/cyaml.h>
#include <stdbool.h>

#define MAX_CONF_BYTES ((size_t)1 << 20)
#define MAX_CONF_ENTRIES 10000 /* of a list */

struct yaml_doc;

/* Reads the file; -ERR_ABSENT when it is not there. Nothing is parsed yet. */
int yaml_read(const char *file, struct yaml_doc **ret, struct err *e);
void yaml_close(struct yaml_doc *d); /* NULL-safe */
int yaml_load(struct yaml_doc *d, const cyaml_schema_value_t *schema, void **ret, struct err *e);
void yaml_free_value(const cyaml_schema_value_t *schema, void *value);
/* The line of the value at a path like "files.paths.0", or of what there is of the path; 0: none. */
int yaml_line(const struct yaml_doc *d, const char *path);
/* Says of an error where it is: "FILE, line N". Returns -ERR_CONFIG. */
int yaml_mistake(struct yaml_doc *d, const char *path, struct err *e);
/* The line of the mistake that was reported last; 0: the whole file. */
int yaml_mistake_line(const struct yaml_doc *d);

/* Values that are not texts; `path` says where they are. NULL text: *ret is left as it is. */
int yaml_bool(struct yaml_doc *d, const char *path, const char *text, bool *ret, struct err *e);
int yaml_uint(struct yaml_doc *d, const char *path, const char *text, unsigned max, unsigned *ret,
              struct err *e);
/* 90s 15m 26h 7d */
int yaml_duration(struct yaml_doc *d, const char *path, const char *text, uint64_t *ret_s,
                  struct err *e);

/* Appends the text as a YAML scalar, quoted where it must be. -ERR_CONFIG for one that YAML or a person
 * could not read back: not UTF-8, or with a line break. */
int yaml_put(struct wbuf *w, const char *text, struct err *e);
void yaml_put_duration(struct wbuf *w, uint64_t s);

#endif
