/* recovered.c - up to which moment a database came back; see recovered.h. */
#include "orchestrator/recovered.h"

#include <string.h>

#define FAR_S 253402300799.0 /* the last second of the year 9999 */

/* It comes from a host, and may be any number. */
int64_t recovered_seconds(const json_t *o, const char *key)
{
    double s = json_number_value(json_object_get(o, key));
    return s > 0 && s <= FAR_S ? (int64_t)s : 0;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void recovered_of(const json_t *one, struct recovered *ret)
{
    const char *gap = json_string_value(json_object_get(one, "gap"));
    int64_t asked = recovered_seconds(one, "expected_at");
    bool beyond = json_is_true(json_object_get(one, "beyond"));
    *ret = (struct recovered){ .facts = one, .gap = gap ? gap : "" };
    ret->commit_s = later(recovered_seconds(one, "last_commit_at"),
                          recovered_seconds(one, "backup_end_at"));
    ret->to_s = ret->commit_s;
    if (*ret->gap)
        return;
    if (!beyond)
        ret->to_s = later(ret->to_s, recovered_seconds(one, "known_at"));
    if (asked && (beyond || ret->to_s > asked))
        ret->to_s = asked;
}

static bool tells(const json_t *facts, const char *kind)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(facts, "recovered"), i, one)
    {
        const char *of = json_string_value(json_object_get(one, "kind"));
        if (of && strcmp(of, kind) == 0)
            return true;
    }
    return false;
}

/* Is there anything that does not tell of itself? */
static bool any_silent(const json_t *facts, const struct policy *pol)
{
    bool any = json_array_size(json_object_get(facts, "recovered")) == 0 || (pol && pol->n_paths);
    for (size_t i = 0; pol && i < pol->n_sources; i++)
        any |= !tells(facts, pol->sources[i].kind);
    return any;
}

void recovered_least(const json_t *facts, const struct policy *pol, int64_t backup_s,
                     struct recovered *ret)
{
    struct recovered r = { .gap = "" };
    const char *gap = "";
    const json_t *of_gap = NULL;
    size_t i;
    json_t *one;
    *ret = r;
    json_array_foreach(json_object_get(facts, "recovered"), i, one)
    {
        recovered_of(one, &r);
        if (i == 0 || r.to_s < ret->to_s)
            *ret = r;
        if (!*gap && *r.gap) {
            gap = r.gap;
            of_gap = one;
        }
    }
    if (any_silent(facts, pol) && (!ret->facts || backup_s < ret->to_s))
        ret->to_s = ret->commit_s = backup_s;
    if (*gap && !*ret->gap) {
        ret->gap = gap;
        ret->facts = of_gap;
    }
}
