/* restore_binlog.c - see restore_binlog.h. */
#include "orchestrator/restore_binlog.h"
#include "lib/base/i18n.h"
#include "orchestrator/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FACTS "/mariadb/facts.json"
#define MAX_FACTS_BYTES (4u << 20)
#define USUAL_PROGRAMS "mariadb"

/* When the logs of that backup were closed, in seconds; 0: it has none. */
static int read_flushed(const struct restore_job *like, const struct snap_ref *s, int64_t *ret,
                        struct err *e)
{
    struct view view;
    char *text = NULL;
    size_t n = 0;
    json_error_t why;
    *ret = 0;
    int rc = view_open(like->v, s, like->from, &view, e);
    if (rc == 0)
        rc = look_read_file(&view, FACTS, MAX_FACTS_BYTES, &text, &n, e);
    view_close(&view);
    json_t *facts = rc == 0 ? json_loadb(text, n, 0, &why) : NULL;
    json_t *logs = json_object_get(facts, "binlogs");
    if (json_array_size(json_object_get(logs, "files")) > 0)
        *ret = json_integer_value(json_object_get(logs, "flushed_at"));
    json_decref(facts);
    free(text);
    return rc;
}

/* Another backup of the policy from `like` on; one that cannot be read is passed over: its logs are in later ones, too, or are missed then. */
static const struct snap_ref *choose(const struct restore_job *like, const char *policy,
                                     int64_t at_s)
{
    char source[MAX_FORMAT_NAME + 1];
    const struct snap_ref *best = NULL;
    source_name(policy, source);
    for (size_t i = 0; i < like->v->n_lists; i++) {
        const struct source_list *l = like->v->lists[i];
        if (strcmp(l->source, source) != 0 && strcmp(l->source, policy) != 0)
            continue;
        for (size_t k = 0; k < l->n; k++) { /* the oldest first */
            const struct snap_ref *s = &l->snaps[k];
            struct err ignored = ERR_INIT;
            int64_t flushed = 0;
            if (s->received_ns < like->snap->received_ns || s->flags & SNAPSHOT_QUARANTINE ||
                read_flushed(like, s, &flushed, &ignored) < 0 || flushed == 0)
                continue;
            best = s;
            if (flushed >= at_s)
                return best;
        }
    }
    return best;
}

static int make_spec(struct source_spec *spec, const char *to, int64_t at_s,
                     const struct db_options *o, struct err *e)
{
    const char *programs = o->verify && o->verify[0] ? o->verify : USUAL_PROGRAMS;
    char *data = NULL, at[24];
    snprintf(at, sizeof at, "%lld", (long long)at_s);
    if (asprintf(&data, "%s/mariadb/data", to) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = source_spec_add(spec, "replay", data, e);
    if (rc == 0)
        rc = source_spec_add(spec, "at", at, e);
    if (rc == 0)
        rc = source_spec_add(spec, "verify", programs, e);
    if (rc == 0 && o->verify)
        rc = source_spec_add(spec, "tables", "check", e);
    free(data);
    return rc;
}

int binlog_replay(struct app *app, const struct restore_job *like, const char *policy,
                  const char *to, const struct db_options *o, struct restore_job *ret,
                  struct err *e)
{
    static const char *const paths[] = { "/mariadb/binlog", FACTS };
    struct source_spec *spec = NULL;
    size_t n = 0;
    int64_t at_s = o->at_us / 1000000;
    char *target = NULL, when[32];
    const struct snap_ref *s = choose(like, policy, at_s);
    *ret = (struct restore_job){
        .v = like->v, .snap = s, .agent = like->agent, .from = like->from
    };
    if (!s) {
        ui_warn(&app->ui,
                _("no binary logs are kept: this is the backup of %s, not a later moment"),
                ui_time(like->snap->received_ns, when));
        return 0;
    }
    struct source_spec *all = NULL;
    int rc = source_specs_add(&all, &n, "mariadb", &spec, e);
    if (rc == 0)
        rc = make_spec(spec, to, at_s, o, e);
    if (rc == 0 && asprintf(&target, "%s/mariadb/replayed", to) < 0) {
        target = NULL;
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    }
    ret->msg.target = target;
    ret->msg.overwrite = true; /* an earlier try's */
    ret->msg.strip = "/mariadb";
    ret->msg.paths = (char **)(uintptr_t)paths;
    ret->msg.n_paths = sizeof paths / sizeof *paths;
    ret->msg.sources = all;
    ret->msg.n_sources = n;
    if (rc == 0)
        rc = restore_job_run(app, ret, e);
    source_specs_free(all, n);
    free(target);
    return rc;
}
