/* checks.c - the policy's questions to a server (policies/sql_checks.h): each in a session of its own that may only read. */
#include "agents/postgresql/inner.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pg_ask_in(PGconn *c, const char *sql, char **ret_value, struct err *e)
{
    char limit[128];
    snprintf(
        limit, sizeof limit,
        "SET statement_timeout = %d; SET lock_timeout = %d; SET default_transaction_read_only = on",
        SQL_CHECK_MS, SQL_CHECK_MS);
    int rc = server_do(c, limit, e);
    return rc == 0 ? server_text(c, sql, ret_value, e) : rc;
}

static int ask(void *ctx, const char *database, const char *sql, char **ret_value, struct err *e)
{
    const struct source_spec *spec = ctx;
    PGconn *c = NULL;
    int rc = server_connect_to(source_spec_get(spec, "conninfo"), source_spec_get(spec, "os-user"),
                               database, &c, e);
    if (rc == 0)
        rc = pg_ask_in(c, sql, ret_value, e);
    PQfinish(c);
    return rc;
}

struct telling {
    const struct source_env *env;
    json_t *results; /* or NULL */
    bool all;        /* those that are right as well */
};

static int tell(void *ctx, const struct sql_result *r, struct err *e)
{
    struct telling *t = ctx;
    if (t->results)
        json_array_append_new(t->results, sql_result_json(r));
    if (r->right && !t->all)
        return 0;
    return t->env->note(t->env->ctx, !r->right, "", 0, r->text, e);
}

int pg_run_checks(const struct source_spec *spec, const struct source_env *env, bool all,
                  json_t *results, struct err *e)
{
    struct telling t = { env, results, all };
    struct sql_checks checks;
    int rc = sql_checks_of(spec, &checks, e);
    return rc == 0 ? sql_checks_run(&checks, NULL, ask, (void *)(uintptr_t)spec, tell, &t, e) : rc;
}
