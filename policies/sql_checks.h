/*
 * sql_checks.h - the questions that a policy asks a database (`checks:` of its source) and what their answers should be: when it is backed
 * up, where they are written down (PY-UPS: are production data normal?), live (twofold check), and of what was restored, beside what
 * was written down then. A driver brings the session; here is what is the same for all.
 *
 * In a source_spec each check is a run of settings, in this order: check (its name), check-database, check-sql, check-expect,
 * check-restored; all but the first and check-sql may be left out.
 */
#ifndef TWOFOLD_POLICIES_SQL_CHECKS_H
#define TWOFOLD_POLICIES_SQL_CHECKS_H

#include "lib/wire/source_spec.h"
#include <jansson.h>

#define MAX_SQL_CHECKS 32
#define MAX_CHECK_VALUE 256 /* of an answer: its first column in its first row, as text */
#define SQL_CHECK_MS 600000

struct sql_check { /* borrowed from the spec */
    const char *name, *database, *sql;
    const char *expect;   /* "> 0", "= 5", "!= x"; a plain value: equal to it; NULL: anything */
    const char *restored; /* "same", "at-least"; NULL: anything */
};
struct sql_checks {
    struct sql_check v[MAX_SQL_CHECKS];
    size_t n;
};
/* -ERR_CONFIG: one without a question, two of one name, more than MAX_SQL_CHECKS, an expectation that cannot be understood. */
int sql_checks_of(const struct source_spec *spec, struct sql_checks *ret, struct err *e);

/* How one came out. `text` is for people, translated: its name, the answer, and what is wrong with it. */
struct sql_result {
    const struct sql_check *check;
    char value[MAX_CHECK_VALUE + 1];
    bool answered, right;
    char text[2 * ERR_TEXT_BYTES];
};
/* *ret_value (owned; NULL: no row, or NULL in it). The session can do nothing but read, as far as the driver can see to that. */
typedef int sql_ask_fn(void *ctx, const char *database, const char *sql, char **ret_value,
                       struct err *e);
typedef int sql_result_fn(void *ctx, const struct sql_result *r, struct err *e);
/* Asks all, and tells of each. recorded: an array as sql_results_json makes it, or NULL: it is not what was restored. Negative only
 * when fn says so. */
int sql_checks_run(const struct sql_checks *all, const json_t *recorded, sql_ask_fn *ask,
                   void *ask_ctx, sql_result_fn *fn, void *ctx, struct err *e);
/* For facts.json. */
json_t *sql_result_json(const struct sql_result *r);

/* As "expect" says: does it hold? (For tests.) */
bool sql_expect_holds(const char *expect, const char *value);
bool sql_expect_ok(const char *expect);

#endif
