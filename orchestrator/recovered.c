/* recovered.c - up to which moment a database came back; see recovered.h. */
#include "orchestrator/recovered.h"

#include <stdbool.h>

static int64_t seconds(const json_t *o, const char *key)
{
    return (int64_t)json_number_value(json_object_get(o, key));
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void recovered_of(const json_t *one, struct recovered *ret)
{
    const char *gap = json_string_value(json_object_get(one, "gap"));
    int64_t asked = seconds(one, "expected_at");
    bool beyond = json_is_true(json_object_get(one, "beyond"));
    *ret = (struct recovered){ .facts = one, .gap = gap ? gap : "" };
    ret->commit_s = later(seconds(one, "last_commit_at"), seconds(one, "backup_end_at"));
    ret->to_s = ret->commit_s;
    if (*ret->gap)
        return;
    if (!beyond)
        ret->to_s = later(ret->to_s, seconds(one, "known_at"));
    if (asked && (beyond || ret->to_s > asked))
        ret->to_s = asked;
}

void recovered_least(const json_t *facts, struct recovered *ret)
{
    size_t i;
    json_t *one;
    *ret = (struct recovered){ .gap = "" };
    json_array_foreach(json_object_get(facts, "recovered"), i, one)
    {
        struct recovered r;
        recovered_of(one, &r);
        if (r.to_s > 0 && (ret->to_s == 0 || r.to_s < ret->to_s))
            *ret = r;
    }
}
