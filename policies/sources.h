/*
 * sources.h - what a policy may have beside "files": one mapping for each kind of source, read into settings (lib/wire/source_spec.h) and
 * written again. A new kind is a line in the enum, a table of its keys and a line in SOURCE_FIELDS. For policies/ alone.
 */
#ifndef TWOFOLD_POLICIES_SOURCES_H
#define TWOFOLD_POLICIES_SOURCES_H

#include "policies/inner.h"

enum source_kind { SOURCE_COMMAND, SOURCE_MARIADB, SOURCE_POSTGRESQL, SOURCE_SQLITE, SOURCE_KINDS };

#define MAX_SOURCE_KEYS 16
#define MAX_SOURCE_LISTS 4
struct raw_list {
    char **v;
    unsigned n;
};
struct raw_sql_check {
    char *name, *database, *sql, *expect, *restored;
};
struct raw_source { /* in the order of the kind's table of keys */
    char *text[MAX_SOURCE_KEYS];
    struct raw_list list[MAX_SOURCE_LISTS];
    struct raw_sql_check *checks;
    unsigned n_checks;
};

extern const cyaml_schema_field_t command_fields[], mariadb_fields[], postgresql_fields[],
    sqlite_fields[];
/* NOLINTBEGIN(bugprone-macro-parentheses): types and members cannot stand in them */
#define SOURCE_FIELD(type, member, kind, name, fields)                                            \
    CYAML_FIELD_MAPPING_PTR(name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member[(kind)], \
                            fields)
/* NOLINTEND(bugprone-macro-parentheses) */
#define SOURCE_FIELDS(type, member)                                                     \
    SOURCE_FIELD(type, member, SOURCE_COMMAND, "command", command_fields),              \
        SOURCE_FIELD(type, member, SOURCE_MARIADB, "mariadb", mariadb_fields),          \
        SOURCE_FIELD(type, member, SOURCE_POSTGRESQL, "postgresql", postgresql_fields), \
        SOURCE_FIELD(type, member, SOURCE_SQLITE, "sqlite", sqlite_fields)

/* *ret and *ret_n are the caller's, also on failure. */
int sources_take(struct yaml_doc *d, struct raw_source *const raw[SOURCE_KINDS],
                 struct source_spec **ret, size_t *ret_n, struct err *e);
/* Them as lines with comments. */
int sources_put(struct wbuf *w, const struct source_spec *all, size_t n, struct err *e);

#endif
