/* checks.c - the policy's questions to a server (policies/sql_checks.h): each in a session of its own, in a transaction that may only read, and as
 * one statement that the server has prepared: a second one behind it could end the transaction, and the client has words of its own. */
#include "agents/mariadb/restored.h"
#include "agents/report.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "policies/sql_checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(struct wbuf *w, const char *text)
{
    wb_bytes(w, text, strlen(text));
}

/* ctx: the server. */
static int ask(void *ctx, const char *database, const char *sql, char **ret_value, struct err *e)
{
    const struct my_server *s = ctx;
    struct wbuf w = WBUF_INIT;
    char *rows = NULL, *at, *f[1], hex[3];
    put_text(&w, "SET SESSION TRANSACTION READ ONLY;\n");
    if (database) {
        put_text(&w, "USE `");
        for (const char *p = database; *p; p++) {
            if (*p == '`')
                wb_u8(&w, '`');
            wb_u8(&w, (uint8_t)*p);
        }
        put_text(&w, "`;\n");
    }
    put_text(&w, "SET @twofold = CONVERT(X'");
    for (const char *p = sql; *p; p++) {
        snprintf(hex, sizeof hex, "%02x", (unsigned char)*p);
        put_text(&w, hex);
    }
    put_text(&w, "' USING utf8mb4);\nPREPARE twofold FROM @twofold;\nSTART TRANSACTION READ ONLY;\n"
                 "EXECUTE twofold;\n");
    wb_u8(&w, 0);
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                      : my_query(s, (const char *)w.p, &rows, e);
    *ret_value = NULL;
    at = rows;
    if (rc == 0 && my_fields(&at, f, 1) == 1 && strcmp(f[0], "NULL") != 0 &&
        !(*ret_value = strdup(f[0])))
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    free(rows);
    wbuf_free(&w);
    return rc;
}

struct telling {
    const struct source_env *env; /* or */
    struct report *report;
    json_t *results; /* or NULL */
    bool all;        /* those that are right as well */
    size_t wrong;
};

static int tell(void *ctx, const struct sql_result *r, struct err *e)
{
    struct telling *t = ctx;
    t->wrong += !r->right;
    if (t->results)
        json_array_append_new(t->results, sql_result_json(r));
    if (t->report && r->right)
        report_note(t->report, NULL, 0, _("verified: %s"), r->text);
    else if (t->report)
        report_problem(t->report, NULL, 0, "%s", r->text);
    else if (t->all || !r->right)
        return t->env->note(t->env->ctx, !r->right, "", 0, r->text, e);
    return 0;
}

int my_run_checks(const struct my_server *s, const struct source_spec *spec,
                  const struct source_env *env, bool all, json_t *results, struct err *e)
{
    struct telling t = { .env = env, .results = results, .all = all };
    struct sql_checks checks;
    int rc = sql_checks_of(spec, &checks, e);
    return rc == 0 ? sql_checks_run(&checks, NULL, ask, (void *)(uintptr_t)s, tell, &t, e) : rc;
}

int my_check_answers(struct my_instance *i, bool same, struct err *e)
{
    struct telling t = { .report = i->x->r->report };
    struct sql_checks checks;
    int rc = sql_checks_of(i->x->r->spec, &checks, e);
    for (size_t k = 0; rc == 0 && !same && k < checks.n; k++)
        if (checks.v[k].restored && strcmp(checks.v[k].restored, "same") == 0)
            checks.v[k].restored = NULL;
    if (rc == 0)
        rc = sql_checks_run(&checks, json_object_get(i->x->facts, "checks"), ask, &i->at, tell, &t,
                            e);
    if (rc == 0 && t.wrong > 0)
        rc = err_set(e, ERR_DAMAGED,
                     P_("%zu of the policy's checks is not right on what was restored",
                        "%zu of the policy's checks are not right on what was restored", t.wrong),
                     t.wrong);
    return rc;
}
