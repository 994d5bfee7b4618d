/* logs.c - see logs.h. */
#include "orchestrator/prune/logs.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/logs/claim.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- what goes ------------------------------------------------------------------------------------------------------------ */
static bool is_asked_for(const struct prune_logs *x, const struct logs_stream *s)
{
    const struct plan_options *o = x->o;
    return s->source[0] && (!o->policy || strcmp(o->policy, s->policy) == 0);
}

/* v[first] to v[end - 1] are the stream's, ascending by their first pieces. Pieces were received in their order, so what comes before
 * one that is old is old, too, whether its table can be read or not. */
static int choose_in(struct prune_logs *x, const struct logs_stream *s, size_t first, size_t end,
                     struct err *e)
{
    uint64_t last = 0, old = 0; /* pieces */
    for (size_t i = first; i < end; i++)
        last = x->shelf.v[i].name.last > last ? x->shelf.v[i].name.last : last;
    if (s->forgotten)
        old = last;
    for (size_t i = first; !s->forgotten && i < end; i++) {
        struct err why = ERR_INIT;
        int rc = x->shelf.v[i].name.last == last ? 0
                                                 : logs_object_old(&x->old, &x->shelf.v[i], &why);
        if (rc == -ERR_NOMEM) {
            if (e)
                *e = why;
            return rc;
        }
        if (rc == 0)
            break;
        if (rc == 1 && x->shelf.v[i].name.last > old)
            old = x->shelf.v[i].name.last;
    }
    for (size_t i = first; i < end; i++)
        x->goes[i] = x->shelf.v[i].name.last <= old;
    return 0;
}

static int choose_all(struct prune_logs *x, struct err *e)
{
    int rc = 0;
    for (size_t first = 0, end; rc == 0 && first < x->shelf.n; first = end) {
        const uint8_t *id = x->shelf.v[first].name.stream;
        for (end = first;
             end < x->shelf.n && memcmp(x->shelf.v[end].name.stream, id, LOG_STREAM_BYTES) == 0;)
            end++;
        const struct logs_stream *s = logs_old_stream(&x->old, id);
        if (s && is_asked_for(x, s))
            rc = choose_in(x, s, first, end, e);
    }
    return rc;
}

int prune_logs_choose(struct prune_logs *x, struct err *e)
{
    x->generation = x->v->state->generation;
    int rc = shelf_read(x->v, NULL, &x->shelf, e);
    if (rc == 0)
        rc = logs_old_read(x->app, x->v, &x->shelf, NULL, &x->old, e);
    if (rc == 0 && !(x->goes = calloc(x->shelf.n + 1, sizeof *x->goes)))
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    return rc == 0 ? choose_all(x, e) : rc;
}

/* Whose backups are gone by now, all of them: that is seen after the commit. In a dry run: which would be. */
static int choose_forgotten(struct prune_logs *x, struct err *e)
{
    if (!x->o->forget)
        return 0;
    logs_old_done(&x->old);
    int rc = logs_old_read(x->app, x->v, &x->shelf, x->o->forget, &x->old, e);
    for (size_t i = 0; rc == 0 && x->dry_run && x->forgets_all && i < x->old.n; i++)
        x->old.streams[i].forgotten = strcmp(x->old.streams[i].policy, x->o->forget) == 0;
    return rc == 0 ? choose_all(x, e) : rc;
}

/* --- deleting it ------------------------------------------------------------------------------------------------------------ */
static int is_older(void *ctx, const struct presence_info *p, struct err *e)
{
    const struct prune_logs *x = ctx;
    uint64_t needed = x->o->forget ? x->v->state->generation : x->generation;
    (void)e;
    return p->id != presence_id(x->v->presence) && p->generation < needed;
}

static const char *leave_alone(const struct prune_logs *x, size_t at)
{
    const struct copy *c = &x->v->copies[at];
    if (!(x->shelf.listed & (1u << at)))
        return _("it is away; its turn comes when it is back");
    if (c->bad_heads || c->rolled_back)
        return _("its heads are damaged or older than they were; see: twofold status");
    return c->state == COPY_CURRENT ? NULL : _("it is behind; catch it up: twofold replicate");
}

/* Of streams that went: nobody keeps them any more. */
static int drop_claims(const struct prune_logs *x, size_t at, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < x->old.n; i++)
        if (x->old.streams[i].forgotten && is_asked_for(x, &x->old.streams[i]))
            rc = logs_claims_drop(x->v->copies[at].store, x->old.streams[i].id, e);
    return rc;
}

static int delete_on(struct prune_logs *x, size_t at, struct err *e)
{
    struct copy *c = &x->v->copies[at];
    const char *why = leave_alone(x, at);
    struct err *problem = &x->problem[at];
    uint64_t objects = 0, bytes = 0;
    char name[MAX_OBJECT_NAME], size[32];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < x->shelf.n; i++) {
        struct shelf_object *o = &x->shelf.v[i];
        if (!x->goes[i] || !(o->copies & (1u << at)))
            continue;
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted; run it again to go on"));
        if (!x->dry_run && !why)
            rc = store_delete(c->store, log_name_write(&o->name, name), problem);
        if (rc == -ERR_REFUSED || rc == -ERR_READONLY) { /* it keeps what it has */
            ui_line(&x->app->ui, _("copy \"%s\": logs: nothing deleted: %s"), c->place,
                    problem->why);
            err_clear(problem);
            return 0;
        }
        objects += rc == 0;
        bytes += rc == 0 ? o->len : 0;
    }
    if (rc == 0 && !x->dry_run && !why)
        rc = drop_claims(x, at, problem);
    if (objects == 0 && rc == 0)
        return 0;
    if (why)
        ui_line(&x->app->ui, _("copy \"%s\": logs: nothing deleted: %s"), c->place, why);
    else
        ui_line(&x->app->ui,
                x->dry_run ? _("copy \"%s\": logs: %s would be freed now (%" PRIu64 " objects)")
                           : _("copy \"%s\": logs: %s freed (%" PRIu64 " objects)"),
                c->place, ui_bytes(bytes, size), objects);
    if (rc < 0)
        ui_warn(&x->app->ui, _("copy \"%s\": logs: %s"), c->place, problem->why);
    x->objects += why ? 0 : objects;
    x->bytes += why ? 0 : bytes;
    ui_json(&x->app->ui,
            json_pack("{s:s, s:s, s:I, s:I, s:s}", "type", "copy_logs", "place", c->place,
                      "objects", (json_int_t)objects, "bytes", (json_int_t)bytes, "problem",
                      rc < 0 ? problem->why
                      : why  ? why
                             : ""));
    return 0;
}

static void say_streams(const struct prune_logs *x)
{
    for (size_t k = 0; k < x->old.n; k++) {
        const struct logs_stream *s = &x->old.streams[k];
        uint64_t objects = 0, bytes = 0;
        char size[32];
        for (size_t i = 0; i < x->shelf.n; i++)
            if (x->goes[i] && memcmp(x->shelf.v[i].name.stream, s->id, sizeof s->id) == 0) {
                objects++;
                bytes += x->shelf.v[i].len;
            }
        if (objects == 0)
            continue;
        ui_line(&x->app->ui,
                s->forgotten
                    ? _("log of \"%s\": all of it goes: %" PRIu64 " objects (%s)")
                    : _("log of \"%s\": %" PRIu64 " objects (%s) are older than its oldest backup"),
                s->source, objects, ui_bytes(bytes, size));
        ui_json(&x->app->ui, json_pack("{s:s, s:s, s:b, s:b, s:I, s:I}", "type", "log", "source",
                                       s->source, "dry_run", x->dry_run, "forgotten", s->forgotten,
                                       "objects", (json_int_t)objects, "bytes", (json_int_t)bytes));
    }
}

int prune_logs_delete(struct prune_logs *x, struct err *e)
{
    int rc = choose_forgotten(x, e);
    if (rc < 0)
        return rc;
    say_streams(x);
    bool any = false;
    for (size_t i = 0; i < x->shelf.n; i++)
        any |= x->goes[i];
    if (!any || x->v->n_tips != 1)
        return 0;
    if (!x->dry_run && x->v->sessions_dir &&
        (rc = presence_each(x->v->sessions_dir, is_older, x, e)) != 0) {
        if (rc > 0)
            ui_line(
                &x->app->ui,
                _("logs: nothing deleted: something still works with the vault as it was; the next prune goes on"));
        return rc < 0 ? rc : 0;
    }
    for (size_t i = 0; rc == 0 && i < x->v->n_copies; i++)
        rc = delete_on(x, i, e);
    return rc;
}

void prune_logs_done(struct prune_logs *x)
{
    logs_old_done(&x->old);
    shelf_done(&x->shelf);
    free(x->goes);
    x->goes = NULL;
}

bool prune_logs_of(struct app *app, struct vault *v, const char *policy)
{
    struct shelf s = { 0 };
    struct logs_old old = { 0 };
    struct err ignored = ERR_INIT;
    bool any = false;
    if (shelf_read(v, NULL, &s, &ignored) == 0 &&
        logs_old_read(app, v, &s, NULL, &old, &ignored) == 0)
        for (size_t i = 0; i < old.n; i++)
            any |= strcmp(old.streams[i].policy, policy) == 0;
    logs_old_done(&old);
    shelf_done(&s);
    return any;
}
