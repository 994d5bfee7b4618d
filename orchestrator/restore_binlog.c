/* restore_binlog.c - see restore_binlog.h. */
#include "orchestrator/restore_binlog.h"
#include "lib/base/i18n.h"
#include "orchestrator/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FACTS "/mariadb/facts.json"
#define MAX_FACTS_BYTES (4u << 20)

static int read_facts(const struct restore_job *like, const struct snap_ref *s, json_t **ret,
                      struct err *e)
{
    struct view view;
    char *text = NULL;
    size_t n = 0;
    json_error_t why;
    int rc = view_open(like->v, s, like->from, &view, e);
    if (rc == 0)
        rc = look_read_file(&view, FACTS, MAX_FACTS_BYTES, &text, &n, e);
    view_close(&view);
    *ret = rc == 0 ? json_loadb(text, n, 0, &why) : NULL;
    free(text);
    return rc;
}

/* When the logs of that backup were closed, in seconds; 0: it has none. */
static int64_t flushed_at(json_t *facts)
{
    json_t *logs = json_object_get(facts, "binlogs");
    return json_array_size(json_object_get(logs, "files")) > 0
               ? json_integer_value(json_object_get(logs, "flushed_at"))
               : 0;
}

/* Another backup of the policy from `like` on; one that cannot be read is passed over: its logs are in later ones, too, or are missed then. */
static const struct snap_ref *choose(const struct restore_job *like, const char *policy,
                                     int64_t at_s, json_t **ret_facts)
{
    char source[MAX_FORMAT_NAME + 1];
    const struct snap_ref *best = NULL;
    *ret_facts = NULL;
    source_name(policy, source);
    for (size_t i = 0; i < like->v->n_lists; i++) {
        const struct source_list *l = like->v->lists[i];
        if (strcmp(l->source, source) != 0 && strcmp(l->source, policy) != 0)
            continue;
        for (size_t k = 0; k < l->n; k++) { /* the oldest first */
            const struct snap_ref *s = &l->snaps[k];
            struct err ignored = ERR_INIT;
            json_t *facts = NULL;
            if (s->received_ns < like->snap->received_ns || s->flags & SNAPSHOT_QUARANTINE ||
                read_facts(like, s, &facts, &ignored) < 0 || flushed_at(facts) == 0) {
                json_decref(facts);
                continue;
            }
            json_decref(*ret_facts);
            *ret_facts = facts;
            best = s;
            if (flushed_at(facts) >= at_s)
                return best;
        }
    }
    return best;
}

/* "bl.000012": 12; 0: it has no number. */
static unsigned long long number_of(const char *name)
{
    const char *dot = name ? strrchr(name, '.') : NULL;
    return dot ? strtoull(dot + 1, NULL, 10) : 0;
}

static bool has_number(json_t *files, unsigned long long number)
{
    for (size_t i = 0; i < json_array_size(files); i++)
        if (number_of(json_string_value(json_array_get(files, i))) == number)
            return true;
    return false;
}

/* Each from the one in which the backup ended to the last. The agent looks again, at the files: this is to fail before everything was brought. */
static int check_chain(json_t *base, json_t *logs, struct err *e)
{
    json_t *files = json_object_get(json_object_get(logs, "binlogs"), "files");
    const char *first = json_string_value(json_object_get(json_object_get(base, "binlog"), "file"));
    unsigned long long from = number_of(first), last = from;
    for (size_t i = 0; i < json_array_size(files); i++) {
        unsigned long long n = number_of(json_string_value(json_array_get(files, i)));
        last = n > last ? n : last;
    }
    if (from == 0 ||
        last - from > json_array_size(files)) /* at least one is missing; the first is told */
        last = from + json_array_size(files);
    for (unsigned long long n = from; from > 0 && n <= last; n++)
        if (!has_number(files, n)) {
            err_set(e, ERR_NOT_WHOLE,
                    _("the binary log %.*s%06llu is not in any backup: there is a gap"),
                    (int)(strrchr(first, '.') - first + 1), first, n);
            return err_next(e, _("restore a moment before it, or the backup alone: --no-logs"));
        }
    return 0;
}

int binlog_find(const struct restore_job *like, const char *policy, const struct db_options *o,
                const struct snap_ref **ret, struct err *e)
{
    struct err ignored = ERR_INIT;
    json_t *base = NULL, *logs;
    *ret = NULL;
    if (read_facts(like, like->snap, &base, &ignored) < 0)
        return 0; /* no backup of such a server */
    if (o->my_logs && json_is_object(json_object_get(base, "log"))) {
        json_decref(base);
        return 0;
    }
    *ret = choose(like, policy, o->at_us / 1000000, &logs);
    int rc = *ret ? check_chain(base, logs, e) : 0;
    json_decref(base);
    json_decref(logs);
    return rc;
}

static int make_spec(struct source_spec *spec, const char *to, int64_t at_s,
                     const struct db_options *o, struct err *e)
{
    const char *programs = o->verify && o->verify[0] ? o->verify : MARIADB_PROGRAMS;
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
    if (rc == 0)
        rc = db_take_policy(spec, o, o->verify != NULL, e);
    free(data);
    return rc;
}

int binlog_replay(struct app *app, const struct restore_job *like, const struct snap_ref *logs,
                  const char *to, const struct db_options *o, struct restore_job *ret,
                  struct err *e)
{
    static const char *const paths[] = { "/mariadb/binlog", FACTS };
    struct source_spec *spec = NULL;
    size_t n = 0;
    int64_t at_s = o->at_us / 1000000;
    char *target = NULL;
    *ret = (struct restore_job){ .v = like->v,
                                 .snap = logs,
                                 .agent = like->agent,
                                 .from = like->from,
                                 .notes = like->notes,
                                 .facts = like->facts };
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
