/* loss.c - the loss statement (JZ-software): up to when the data came back, and what can be missing at most. See crash.h. */
#include "lib/base/i18n.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/recovered.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"

#include <stdlib.h>
#include <string.h>

const json_t *crash_scene_places(const struct incident *inc)
{
    for (size_t i = inc->n; i-- > 0;) {
        const struct event *ev = &inc->events[i];
        const json_t *places = json_object_get(json_object_get(ev->body, "facts"), "places");
        if (ev->kind == EVENT_STEP && strcmp(event_text(ev, "step"), "scene") == 0 &&
            json_array_size(places) > 0)
            return places;
    }
    return NULL;
}

/* The newest file of the scene tells when the server last wrote, where nobody said when it crashed. */
static int64_t scene_newest_s(const struct incident *inc)
{
    int64_t newest = 0;
    size_t i;
    json_t *place;
    json_array_foreach(crash_scene_places(inc), i, place)
    {
        int64_t s = recovered_seconds(place, "newest");
        newest = s > newest ? s : newest;
    }
    return newest;
}

/* "/srv/a.scene, /srv/b.scene"; NULL: there is none. */
static char *scene_folders(const struct incident *inc)
{
    char *all = NULL;
    size_t i;
    json_t *place;
    json_array_foreach(crash_scene_places(inc), i, place)
    {
        const char *one = json_string_value(json_object_get(place, "scene"));
        if (!one || !*one)
            continue;
        char *more = text_print("%s%s%s", all ? all : "", all ? ", " : "", one);
        free(all);
        all = more;
    }
    return all;
}

struct loss {
    struct recovered r;
    int64_t to_s, crashed_s, upto_s, gap_s;
    bool beyond; /* what was committed after the time that was told came, too */
    char *scene; /* owned; NULL: none */
};

/* Up to a moment on purpose: what was written later is not lost by a fault. */
static char *went_back_text(const struct incident *inc, const struct loss *l)
{
    char sign[32], to[32], upto[32], span[64];
    char *text = text_print(inc->cause == CAUSE_ATTACK
                                ? _("gone back on purpose to before %s, because of an attack: "
                                    "recovered up to %s; what was written from then to %s (at most "
                                    "%s) is left out")
                                : _("gone back on purpose to before %s, because of a mistake: "
                                    "recovered up to %s; what was written from then to %s (at most "
                                    "%s) is left out"),
                            time_text(incident_sign_s(inc), sign), time_text(l->to_s, to),
                            time_text(l->upto_s, upto), crash_span((uint64_t)l->gap_s, span));
    if (!l->scene)
        return text;
    char *more = text_print(_("%s; it lies in the scene: %s"), text, l->scene);
    free(text);
    return more;
}

static char *text_of(const struct incident *inc, const struct loss *l)
{
    char to[32], upto[32], span[64];
    time_text(l->to_s, to);
    time_text(l->upto_s, upto);
    if (incident_sign_s(inc) > 0)
        return went_back_text(inc, l);
    if (*l->r.gap && l->gap_s > 0)
        return text_print(_("recovered up to %s: the log does not go on: %s; what was written from "
                            "then to %s (at most %s) is not in it"),
                          to, l->r.gap, upto, crash_span((uint64_t)l->gap_s, span));
    if (*l->r.gap) /* by the clocks nothing can be missing, and something may be */
        return text_print(_("recovered up to %s: the log does not go on: %s"), to, l->r.gap);
    if (l->beyond)
        return text_print(_("recovered up to %s: that is after the time of the crash that was "
                            "told, %s. What was written in between is kept; if it is a mistake, "
                            "go back to before it: --first-sign"),
                          to, upto);
    if (l->gap_s == 0)
        return text_print(_("recovered up to %s: nothing that was written until %s is missing"), to,
                          upto);
    return text_print(
        _("recovered up to %s; what was written from then to %s (at most %s) is not in it"), to,
        upto, crash_span((uint64_t)l->gap_s, span));
}

/* Where the log has a gap, what is told of the crash says nothing of what came behind the gap. What is left of the scene may be old files only:
 * those of before what came back tell nothing of the crash. */
static void find_end(const struct incident *inc, struct loss *l)
{
    int64_t newest = scene_newest_s(inc);
    if (newest < l->to_s)
        newest = 0;
    l->crashed_s = inc->crashed_s ? inc->crashed_s : newest;
    l->upto_s = l->crashed_s ? l->crashed_s : inc->opened_s;
    if (!*l->r.gap)
        return;
    l->upto_s = newest > l->upto_s ? newest : l->upto_s;
    if (l->upto_s <= l->to_s)
        l->upto_s = inc->opened_s;
}

/* Without the policy's file its paths are not known; that there are any was written down when the incident was opened. */
static struct policy parts_of(const struct crash *c)
{
    struct policy pol = *c->policy; /* what it points to is borrowed */
    const json_t *settings = json_object_get(c->inc->events[0].body, "settings");
    size_t i;
    json_t *one;
    json_array_foreach(c->bare ? json_object_get(settings, "kinds") : NULL, i, one)
    {
        const char *kind = json_string_value(one);
        pol.n_paths += kind && strcmp(kind, "postgresql") != 0 && strcmp(kind, "mariadb") != 0;
    }
    return pol;
}

static void know(const struct crash *c, const json_t *facts, int64_t received_s, struct loss *ret)
{
    const struct incident *inc = c->inc;
    *ret = (struct loss){ 0 };
    const struct policy pol = parts_of(c);
    recovered_least(facts, &pol, received_s, &ret->r);
    ret->to_s = ret->r.to_s ? ret->r.to_s : received_s;
    find_end(inc, ret);
    ret->gap_s = ret->upto_s > ret->to_s ? ret->upto_s - ret->to_s : 0;
    ret->beyond = !*ret->r.gap && inc->crashed_s && ret->r.commit_s > inc->crashed_s;
    ret->scene = scene_folders(inc);
}

int crash_write_loss(struct crash *c, const json_t *facts, int64_t received_s, struct err *e)
{
    struct loss l;
    know(c, facts, received_s, &l);
    int64_t sign = incident_sign_s(c->inc);
    char *text = text_of(c->inc, &l);
    json_t *body = json_pack("{s:I, s:I, s:I, s:b, s:b, s:o, s:O?}", "crashed",
                             (json_int_t)l.crashed_s, "recovered_to", (json_int_t)l.to_s, "gap_s",
                             (json_int_t)l.gap_s, "crash_is_known", l.crashed_s != 0, "after_crash",
                             l.beyond, "text", event_json(text, 0), "driver", l.r.facts);
    if (body && sign > 0) { /* on purpose, and where the rest lies */
        json_object_set_new(body, "before", json_integer((json_int_t)sign));
        json_object_set_new(body, "scene", event_json(l.scene ? l.scene : "", 0));
    }
    crash_line(c, 10, "%s", text);
    free(text);
    free(l.scene);
    return incident_add(c->inc, EVENT_LOSS, body, e);
}
