/* sql_checks.c - see sql_checks.h. */
#include "policies/sql_checks.h"
#include "lib/base/i18n.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is expected --------------------------------------------------------------------------- */
static const struct {
    const char *sign;
    bool less, equal, more;
} signs[] = {
    { "<=", true, true, false }, { ">=", false, true, true }, { "!=", true, false, true },
    { "<>", true, false, true }, { "<", true, false, false }, { ">", false, false, true },
    { "=", false, true, false }, { "", false, true, false },
};

static size_t sign_of(const char *expect, const char **ret_rest)
{
    size_t i = 0;
    while (strncmp(expect, signs[i].sign, strlen(signs[i].sign)) != 0)
        i++;
    *ret_rest = expect + strlen(signs[i].sign);
    *ret_rest += strspn(*ret_rest, " ");
    return i;
}

/* A number as servers print it; not "inf", not "0x1F". */
static bool number(const char *text, long double *ret)
{
    char *end = NULL;
    text += strspn(text, " ");
    if (strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    errno = 0;
    *ret = strtold(text, &end);
    return end != text && *end == '\0' && errno == 0 && *ret == *ret;
}

struct decimal { /* without zeros that say nothing */
    bool negative;
    const char *whole, *fraction;
    size_t n_whole, n_fraction;
};

/* Digits with at most one point. Sums and texts of digits may be longer than any number that a machine has. */
static bool decimal(const char *text, struct decimal *ret)
{
    static const char digits[] = "0123456789";
    text += strspn(text, " ");
    bool negative = *text == '-';
    text += *text == '-' || *text == '+';
    size_t n = strspn(text, digits);
    struct decimal d = { .whole = text, .n_whole = n, .fraction = text + n };
    if (*d.fraction == '.')
        d.n_fraction = strspn(++d.fraction, digits);
    if (d.fraction[d.n_fraction] != '\0' || d.n_whole + d.n_fraction == 0)
        return false;
    for (; d.n_whole > 0 && *d.whole == '0'; d.n_whole--)
        d.whole++;
    while (d.n_fraction > 0 && d.fraction[d.n_fraction - 1] == '0')
        d.n_fraction--;
    d.negative = negative && d.n_whole + d.n_fraction > 0;
    *ret = d;
    return true;
}

/* Without regard to signs: negative, 0, positive. */
static int compare_sizes(const struct decimal *a, const struct decimal *b)
{
    if (a->n_whole != b->n_whole)
        return a->n_whole < b->n_whole ? -1 : 1;
    int c = memcmp(a->whole, b->whole, a->n_whole);
    if (c != 0)
        return c;
    size_t n = a->n_fraction < b->n_fraction ? a->n_fraction : b->n_fraction;
    c = memcmp(a->fraction, b->fraction, n);
    return c != 0 ? c : (a->n_fraction > n) - (b->n_fraction > n);
}

static int compare_decimals(const struct decimal *a, const struct decimal *b)
{
    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    return a->negative ? compare_sizes(b, a) : compare_sizes(a, b);
}

bool sql_expect_ok(const char *expect)
{
    const char *rest;
    long double n;
    size_t i = sign_of(expect + strspn(expect, " "), &rest);
    bool order = signs[i].less !=
                 signs[i].more; /* texts are equal or not: what is less depends on who sorts */
    return rest[0] && (!order || number(rest, &n));
}

bool sql_expect_holds(const char *expect, const char *value)
{
    const char *rest;
    struct decimal a, b;
    long double x, y;
    size_t i = sign_of(expect + strspn(expect, " "), &rest);
    bool order = signs[i].less != signs[i].more;
    int c;
    if (decimal(value, &a) && decimal(rest, &b))
        c = compare_decimals(&a, &b);
    else if (
        !order) /* two different texts are not equal, whatever numbers one could read in them */
        c = strcmp(value, rest);
    else if (number(value, &x) && number(rest, &y))
        c = (x > y) - (x < y);
    else
        return false;
    return c < 0 ? signs[i].less : c > 0 ? signs[i].more : signs[i].equal;
}

/* --- the policy's words ------------------------------------------------------------------------- */
static int check_one(const struct sql_checks *all, const struct sql_check *c, struct err *e)
{
    for (const struct sql_check *o = all->v; o < c; o++)
        if (strcmp(o->name, c->name) == 0)
            return err_set(e, ERR_CONFIG, _("two checks are called \"%s\""), c->name);
    if (!c->sql || !c->sql[0])
        return err_set(e, ERR_CONFIG, _("check \"%s\" asks nothing: it has no \"sql\""), c->name);
    if (c->expect && !sql_expect_ok(c->expect)) {
        err_set(e, ERR_CONFIG, _("check \"%s\": \"%s\" cannot be held against an answer"), c->name,
                c->expect);
        return err_next(e, _("write it like this: expect: \"> 0\""));
    }
    if (c->restored && strcmp(c->restored, "same") != 0 && strcmp(c->restored, "at-least") != 0) {
        err_set(e, ERR_CONFIG, _("check \"%s\": \"%s\" is not one of its values"), c->name,
                c->restored);
        return err_next(e, _("write \"%s\" or \"%s\""), "same", "at-least");
    }
    return 0;
}

int sql_checks_of(const struct source_spec *spec, struct sql_checks *ret, struct err *e)
{
    *ret = (struct sql_checks){ 0 };
    struct sql_check *c = NULL;
    for (size_t i = 0; i < spec->n; i++) {
        const char *key = spec->v[i].key, *value = spec->v[i].value;
        if (strcmp(key, "check") == 0) {
            if (ret->n == MAX_SQL_CHECKS)
                return err_set(e, ERR_CONFIG, _("more than %d checks"), MAX_SQL_CHECKS);
            c = &ret->v[ret->n++];
            c->name = value;
        } else if (!c || strncmp(key, "check-", 6) != 0) {
            continue;
        } else if (strcmp(key, "check-database") == 0) {
            c->database = value;
        } else if (strcmp(key, "check-sql") == 0) {
            c->sql = value;
        } else if (strcmp(key, "check-expect") == 0) {
            c->expect = value;
        } else if (strcmp(key, "check-restored") == 0) {
            c->restored = value;
        }
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ret->n; i++)
        rc = check_one(ret, &ret->v[i], e);
    return rc;
}

/* --- asking ------------------------------------------------------------------------------------- */
static const char *recorded_value(const json_t *recorded, const char *name)
{
    for (size_t i = 0; i < json_array_size(recorded); i++) {
        json_t *o = json_array_get(recorded, i);
        const char *n = json_string_value(json_object_get(o, "name"));
        if (n && strcmp(n, name) == 0)
            return json_string_value(json_object_get(o, "value"));
    }
    return NULL;
}

static void judge(struct sql_result *r, const json_t *recorded)
{
    const struct sql_check *c = r->check;
    const char *was = recorded && c->restored ? recorded_value(recorded, c->name) : NULL;
    char least[MAX_CHECK_VALUE + 4];
    bool at_least = c->restored && strcmp(c->restored, "at-least") == 0;
    snprintf(least, sizeof least, "%s%.256s", at_least ? ">=" : "=", was ? was : "");
    if (c->expect && !sql_expect_holds(c->expect, r->value)) {
        snprintf(r->text, sizeof r->text, _("check \"%s\": %s, but %s is expected"), c->name,
                 r->value, c->expect);
        return;
    }
    if (recorded && c->restored && !was) {
        snprintf(r->text, sizeof r->text,
                 _("check \"%s\": %s; the backup says nothing to hold it against"), c->name,
                 r->value);
        r->right = true;
        return;
    }
    if (was && !sql_expect_holds(least, r->value)) {
        snprintf(r->text, sizeof r->text,
                 _("check \"%s\": %s, but it was %s when it was backed up"), c->name, r->value,
                 was);
        return;
    }
    r->right = true;
    snprintf(r->text, sizeof r->text,
             was ? _("check \"%s\": %s (when it was backed up: %s)") : _("check \"%s\": %s"),
             c->name, r->value, was);
}

static void ask_one(struct sql_result *r, const json_t *recorded, sql_ask_fn *ask, void *ctx)
{
    struct err why = ERR_INIT;
    char *value = NULL;
    int rc = ask(ctx, r->check->database, r->check->sql, &value, &why);
    if (rc < 0 || !value) {
        snprintf(r->text, sizeof r->text, _("check \"%s\" has no answer: %s"), r->check->name,
                 rc < 0 ? why.why : _("no row"));
        return;
    }
    r->answered = true;
    snprintf(r->value, sizeof r->value, "%s", value);
    free(value);
    judge(r, recorded);
}

int sql_checks_run(const struct sql_checks *all, const json_t *recorded, sql_ask_fn *ask,
                   void *ask_ctx, sql_result_fn *fn, void *ctx, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < all->n; i++) {
        struct sql_result r = { .check = &all->v[i] };
        ask_one(&r, recorded, ask, ask_ctx);
        rc = fn(ctx, &r, e);
    }
    return rc;
}

json_t *sql_result_json(const struct sql_result *r)
{
    json_t *o = json_pack("{s:s, s:s, s:b}", "name", r->check->name, "sql", r->check->sql, "right",
                          r->right);
    if (r->check->database)
        json_object_set_new(o, "database", json_string(r->check->database));
    if (r->check->expect)
        json_object_set_new(o, "expect", json_string(r->check->expect));
    if (r->answered)
        json_object_set_new(o, "value", json_string(r->value));
    return o;
}
