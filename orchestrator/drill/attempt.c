/* attempt.c - one restore of a drill, and whether what came is right: started and asked by its own server, file by file compared. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/drill/inner.h"
#include "orchestrator/look.h"
#include "orchestrator/restore_job.h"
#include "orchestrator/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TOLD 20 /* files that are named */

int drill_note(struct drill *d, const char *step, const char *state, unsigned attempt,
               const char *text, json_t *facts, struct err *e)
{
    json_t *body = json_pack("{s:s, s:s, s:i, s:o, s:s}", "step", step, "state", state, "attempt",
                             (int)attempt, "text", event_json(text, 0), "duty", "PY-8.3");
    if (body && facts)
        json_object_set_new(body, "facts", facts);
    return incident_add(d->inc, EVENT_STEP, body, e);
}

/* --- files --------------------------------------------------------------------------------------------------------- */
struct comparing {
    struct drill *d;
    uint64_t missing, differ, other;
};

static void on_diff(void *ctx, const struct msg_diff *m)
{
    struct comparing *c = ctx;
    uint64_t told = c->missing + c->differ;
    if (m->change ==
        'm') { /* an owner that only root can give, and the like: restore has said so */
        c->other++;
        return;
    }
    c->missing += m->change == 'D';
    c->differ += m->change != 'D';
    if (told < MAX_TOLD)
        diff_print(c->d->app, m->change, m->what, m->path, m->path_len);
}

int drill_compare(struct drill *d, const struct snap_ref *snap, const char *folder, struct err *e)
{
    struct comparing c = { .d = d };
    struct restore_job j = { .v = d->v, .snap = snap, .agent = d->on ? d->on : "local" };
    j.from = d->from_at;
    j.diff = on_diff;
    j.ctx = &c;
    j.msg.mode = RESTORE_COMPARE;
    j.msg.target = (char *)(uintptr_t)folder;
    j.msg.paths = d->pol->paths;
    j.msg.n_paths = d->pol->n_paths;
    j.msg.exclude = d->pol->exclude;
    j.msg.n_exclude = d->pol->n_exclude;
    if (d->pol->n_paths == 0)
        return 0;
    int rc = restore_job_run(d->app, &j, e);
    d->out->m.missing = c.missing;
    d->out->m.differ = c.differ;
    return rc;
}

const struct snap_ref *drill_find_snap(const struct vault *v, const char *policy,
                                       const struct id *id)
{
    char source[MAX_FORMAT_NAME + 1];
    source_name(policy, source);
    const struct source_list *l = vault_list(v, source);
    for (size_t i = 0; l && i < l->n; i++)
        if (id_eq(&l->snaps[i].ref.id, id))
            return &l->snaps[i];
    return NULL;
}

/* --- what came of it ------------------------------------------------------------------------------------------------- */
static json_t *copies_json(const struct restore_outcome *o)
{
    json_t *all = json_array();
    for (size_t i = 0; i < o->n_copies; i++) {
        const struct restore_copy *c = &o->copies[i];
        uint64_t bad = c->chunks_bad + c->logs_bad;
        json_array_append_new(all, json_pack("{s:s, s:b, s:I, s:I, s:I}", "place", c->place, "used",
                                             c->used, "chunks", (json_int_t)c->chunks, "bytes",
                                             (json_int_t)c->bytes, "damaged", (json_int_t)bad));
    }
    return all;
}

/* As the crash procedure writes them, and what a drill measures beside. */
static json_t *restore_facts(const struct drill *d, const struct crash_next *n,
                             const struct restore_outcome *o, const char *end)
{
    char hex[ID_HEX_BYTES];
    json_t *f = json_pack("{s:s, s:s, s:s, s:I, s:s}", "snapshot", id_hex(&n->id, hex), "from",
                          n->from, "target", d->out->folder, "received",
                          (json_int_t)(o ? o->received_ns / 1000000000 : 0), "kind",
                          policy_kind(d->pol));
    if (!o)
        return f;
    json_t *more = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "end", end, "ms",
                             (json_int_t)o->ms, "bytes", (json_int_t)o->done.bytes, "files",
                             (json_int_t)o->done.files, "failed", (json_int_t)o->done.failed,
                             "problems", (json_int_t)o->problems, "attempt_of",
                             (json_int_t)n->attempt, "copies", copies_json(o));
    json_object_update(f, more);
    json_decref(more);
    return f;
}

/* Lists of what drivers said, as far as a line has room. */
static void add_words(json_t *facts, const struct restore_outcome *o)
{
    static const char *const lists[] = { "recovered", "check" };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_t *from = json_object_get(o->facts, lists[i]), *to = json_array();
        for (size_t k = 0; k < json_array_size(from) && k < MAX_TOLD; k++)
            json_array_append(to, json_array_get(from, k));
        json_object_set_new(facts, lists[i], to);
    }
}

static void take_outcome(struct drill *d, const struct restore_outcome *o, enum restore_end end)
{
    struct drill_outcome *out = d->out;
    struct drill_measured *m = &out->m;
    m->end = end;
    m->recovered_to_s = o->received_ns / 1000000000;
    drill_take_facts(o->facts, d->pol, m);
    for (size_t i = 0; i < o->n_copies; i++) {
        m->damaged += o->copies[i].chunks_bad + o->copies[i].logs_bad;
        m->damaged_logs += o->copies[i].logs_bad;
        out->bytes_read += o->copies[i].bytes;
    }
    m->missing = o->done.failed;
    m->differ = 0;
    out->snapshot = o->snapshot;
    out->received_ns = o->received_ns;
    out->state = o->state;
    out->done = o->done;
    snprintf(out->vault, sizeof out->vault, "%s", o->vault);
}

static struct restore_request request_of(const struct drill *d, const struct crash_next *n,
                                         const char *target, const char *hex)
{
    struct restore_request r = { .vault = d->v, .conf = d->pol, .policy = d->pol->name };
    bool newest = d->with_log && n->attempt == 1;
    r.to = target;
    r.from = n->from[0] ? n->from : NULL;
    r.on = d->on;
    r.at = d->q->at;
    r.snapshot = newest || d->q->at ? NULL : hex;
    r.db.verify = d->pol->n_sources > 0 ? "" : NULL;
    r.strict = d->pol->n_sources > 0;
    return r;
}

static int compare(struct drill *d, const struct restore_outcome *o, const char *target,
                   enum restore_end *end, struct err *e)
{
    struct drill_measured *m = &d->out->m;
    const struct snap_ref *snap = drill_find_snap(d->v, d->pol->name, &o->snapshot);
    uint64_t failed = m->missing;
    int rc = snap ? drill_compare(d, snap, target, e) : 0;
    if (rc ==
        -ERR_REFUSED) { /* that host does not let us read there: each file was checked as it was written */
        err_clear(e);
        return 0;
    }
    m->missing = m->missing > failed ? m->missing : failed;
    if (rc == 0 && (m->missing > failed || m->differ))
        *end = RESTORE_CHECK_FAILED;
    return rc;
}

static const char *why_text(const struct drill *d, enum restore_end end, const struct err *e)
{
    const struct drill_measured *m = &d->out->m;
    return e->why[0]                     ? e->why
           : m->differ || m->missing     ? _("files are not as they were recorded")
           : end == RESTORE_CHECK_FAILED ? _("a check of what was restored is wrong")
                                         : "";
}

static bool is_good(enum restore_end end)
{
    return end == RESTORE_WHOLE || end == RESTORE_PROBLEMS;
}

int drill_attempt(struct drill *d, const struct crash_next *n, struct err *e)
{
    char hex[ID_HEX_BYTES];
    struct restore_outcome o;
    struct err why = ERR_INIT;
    id_hex(&n->id, hex);
    int rc = drill_note(d, "restore", "intent", n->attempt, NULL, restore_facts(d, n, NULL, NULL),
                        e);
    if (rc < 0)
        return rc;
    char *target = text_print("%s/attempt-%u", d->out->folder, n->attempt);
    struct restore_request r = request_of(d, n, target, hex);
    int result = restore_run(d->app, &r, &o, &why);
    enum restore_end end = restore_end_of(result, &o);
    d->out->m.attempts = n->attempt;
    take_outcome(d, &o, end);
    if (is_good(end) && compare(d, &o, target, &end, &why) < 0)
        end = restore_end_of(-(int)why.code, &o);
    if (is_good(end)) {
        d->out->m.verified_s = sys_realtime_s();
        d->out->m.rto_ms = (int64_t)(sys_monotonic_ms() - d->started_ms);
    }
    d->out->m.end = end;
    d->out->last = why.code != ERR_NONE ? why : o.verdict;
    json_t *facts = restore_facts(d, n, &o, restore_end_name(end));
    add_words(facts, &o);
    rc = drill_note(d, "restore", is_good(end) ? "done" : "failed", n->attempt,
                    is_good(end) ? "" : why_text(d, end, &why), facts, e);
    restore_outcome_done(&o);
    free(target);
    return rc;
}
