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

#define YAML_TEXT(key, type, member) \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 0, CYAML_UNLIMITED)
#define YAML_TEXT_OPT(key, type, member)                                                   \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, \
                           CYAML_UNLIMITED)

struct yaml_doc;

/* Reads the file; -ERR_ABSENT when it is not there. Nothing is parsed yet. */
int yaml_read(const char *file, struct yaml_doc **ret, struct err *e);
/* The same of a text that is not in the file yet. */
int yaml_from(const char *file, const void *text, size_t len, struct yaml_doc **ret, struct err *e);
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
int yaml_number(struct yaml_doc *d, const char *path, const char *text, unsigned min, unsigned max,
                unsigned *ret, struct err *e);
/* 90s 15m 26h 7d, as duration_parse reads them */
int yaml_duration(struct yaml_doc *d, const char *path, const char *text, uint64_t *ret_s,
                  struct err *e);

/* 2026-10-01, as midnight UTC; only days that there are. */
int yaml_day(struct yaml_doc *d, const char *path, const char *text, int64_t *ret_s, struct err *e);

/* Bytes: 500KiB 20MiB 1GiB 2TiB, or a plain number */
int yaml_size(struct yaml_doc *d, const char *path, const char *text, uint64_t *ret, struct err *e);
/* One of the words; *ret is its index. `words` ends with NULL. */
int yaml_choice(struct yaml_doc *d, const char *path, const char *text, const char *const words[],
                unsigned *ret, struct err *e);
/* An owned copy; an empty text is a mistake. */
int yaml_copy(struct yaml_doc *d, const char *path, const char *text, char **ret, struct err *e);

/* Where keys are names that people choose, which no schema can hold: the keys of the mapping at a path, in order
 * (none where nothing is there), and a text, borrowed, or NULL. After yaml_load. A key with a '.' is a mistake. */
typedef int yaml_key_fn(void *ctx, const char *key, struct err *e);
int yaml_each_key(struct yaml_doc *d, const char *path, yaml_key_fn *fn, void *ctx, struct err *e);
int yaml_text(struct yaml_doc *d, const char *path, const char **ret, struct err *e);
/* How many entries the list at a path has (0: no list). */
size_t yaml_count(const struct yaml_doc *d, const char *path);
/* The lines (from 1) of the first and the last text in what is at a path, and the column (from 0) where it starts; false
 * where nothing is there or it is written in one line with its neighbours ([a, b]). For edits that keep comments. */
bool yaml_extent(const struct yaml_doc *d, const char *path, int *ret_first, int *ret_last,
                 int *ret_column);
/* The file as it was read; borrowed. */
const char *yaml_source(const struct yaml_doc *d, size_t *ret_len);

/* Appends the text as a YAML scalar, quoted where it must be. -ERR_CONFIG for one that YAML or a person
 * could not read back: not UTF-8, or with a line break. */
int yaml_put(struct wbuf *w, const char *text, struct err *e);
void yaml_put_duration(struct wbuf *w, uint64_t s);
void yaml_put_size(struct wbuf *w, uint64_t bytes);

#endif
