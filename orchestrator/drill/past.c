/* past.c - what drills came to; see past.h. */
#include "orchestrator/drill/past.h"

#include <stdio.h>
#include <string.h>

/* Somebody ended it: that says nothing of the backups. */
static bool was_stopped(const json_t *facts)
{
    size_t i;
    json_t *reason;
    json_array_foreach(json_object_get(facts, "reasons"), i, reason)
    {
        const char *name = json_string_value(reason);
        if (name && strcmp(name, "stopped") == 0)
            return true;
    }
    return false;
}

void drill_past_add(const struct incident *inc, struct drill_past *ret)
{
    const struct event *ev = incident_last(inc, EVENT_STEP, "step", "drill");
    const json_t *facts = ev ? json_object_get(ev->body, "facts") : NULL;
    if (!inc->drill || !ev || was_stopped(facts))
        return;
    struct drill_past one = { .last_s = ev->at_s, .rpo_s = -1 };
    one.failed = strcmp(event_text(ev, "state"), "done") != 0;
    if (one.failed) {
        snprintf(one.why, sizeof one.why, "%.*s", (int)sizeof one.why - 1, event_text(ev, "text"));
    } else {
        one.passed_s = ev->at_s;
        one.rto_ms = json_integer_value(json_object_get(facts, "rto_ms"));
        one.rpo_s = json_integer_value(json_object_get(facts, "rpo_s"));
    }
    drill_past_join(&one, ret);
}

void drill_past_join(const struct drill_past *one, struct drill_past *ret)
{
    if (one->last_s && one->last_s > ret->last_s) {
        ret->last_s = one->last_s;
        ret->failed = one->failed;
        memcpy(ret->why, one->why, sizeof ret->why);
    }
    if (one->passed_s && one->passed_s > ret->passed_s) {
        ret->passed_s = one->passed_s;
        ret->rto_ms = one->rto_ms;
        ret->rpo_s = one->rpo_s;
    }
}
