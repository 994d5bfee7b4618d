/* host.c - see host.h. */
#include "orchestrator/host.h"
#include "agents/host/frames.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/restore_db.h"
#include "orchestrator/restore_job.h"
#include "orchestrator/session.h"
#include "orchestrator/stall.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPARE_S 60 /* beside a command's own limit */
#define CLOCK_GOOD_S 2.0
#define CLOCK_DOUBTFUL_S 60.0

/* --- the conversation ------------------------------------------------------------------------------- */
struct talk {
    struct app *app;
    struct session *session;
    json_t *facts; /* as in a restore */
    double time_s; /* ours, when the host told its own */
    bool done;
};

static int on_facts(struct talk *t, struct rbuf *p, struct err *e)
{
    struct msg_facts m;
    int rc = msg_facts_read(p, &m, e);
    if (rc == 0 && m.name_len == strlen("host") && memcmp(m.name, "host", m.name_len) == 0)
        t->time_s = (double)sys_realtime_ns() / 1000000000.0;
    if (rc == 0 && !facts_take(t->facts, &m))
        rc = err_set(e, ERR_PROTOCOL, _("the agent sent a malformed message"));
    return rc;
}

static int on_frame(struct talk *t, enum frame_type type, struct rbuf *p, struct err *e)
{
    struct msg_note note;
    struct msg_progress progress;
    struct msg_done done;
    int rc;
    switch (type) {
    case FRAME_NOTE:
        rc = msg_note_read(p, &note, e);
        if (rc == 0)
            ui_note(&t->app->ui, note.problem, note.path, note.path_len, note.text, note.text_len);
        return rc;
    case FRAME_PROGRESS:
        return msg_progress_read(p, &progress, e);
    case FRAME_FACTS:
        return on_facts(t, p, e);
    case FRAME_DONE:
        rc = msg_done_read(p, &done, e);
        t->done = rc == 0;
        return rc;
    default:
        return err_set(e, ERR_PROTOCOL, _("the agent sent a message that does not belong here"));
    }
}

/* limit_s: how long the whole may take; 0: as long as it gets on. */
static int converse(struct talk *t, unsigned limit_s, struct err *e)
{
    struct wire *w = session_wire(t->session);
    struct stall stall;
    int rc = 0;
    if (limit_s)
        wire_set_stall(w, (limit_s + SPARE_S) * 1000);
    else
        stall_begin(&stall, w);
    while (rc == 0 && !t->done) {
        enum frame_type type = FRAME_PING;
        struct rbuf p;
        rc = wire_recv(w, &type, &p, 0, e);
        if (rc == 0 && !limit_s && type != FRAME_PROGRESS)
            stall_frame(&stall, type, NULL);
        if (rc == 0)
            rc = on_frame(t, type, &p, e);
    }
    return rc < 0 ? session_failed(t->session, rc, e) : 0;
}

static int ask(struct app *app, const struct host_job *j, struct msg_host *m, struct talk *t,
               struct err *e)
{
    const char *agent = j->agent ? j->agent : j->policy->agent;
    struct wbuf w = WBUF_INIT;
    *t = (struct talk){ .app = app, .facts = json_object() };
    m->policy = j->policy ? j->policy->name : (char *)"";
    msg_host_write(&w, m);
    int rc = w.failed || !t->facts ? err_set(e, ERR_NOMEM, _("no memory"))
                                   : session_start(app, agent, &t->session, e);
    if (rc == 0)
        rc = wire_send(session_wire(t->session), FRAME_HOST, &w, NULL, 0, e);
    if (rc == 0)
        rc = converse(t, m->limit_s, e);
    if (t->session) {
        int end = session_end(t->session, rc < 0, e);
        rc = rc < 0 ? rc : end;
    }
    wbuf_free(&w);
    return rc;
}

/* --- places ------------------------------------------------------------------------------------------- */
static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int add_spaces(struct source_spec *spec, const json_t *facts, struct err *e)
{
    size_t i;
    json_t *space;
    int rc = 0;
    json_array_foreach(json_object_get(facts, "tablespaces"), i, space)
    {
        char *value = NULL;
        if (rc < 0 || text_of(space, "location")[0] != '/')
            continue;
        if (asprintf(&value, "%s=%s", text_of(space, "oid"), text_of(space, "location")) < 0)
            return err_set(e, ERR_NOMEM, _("no memory"));
        rc = source_spec_add(spec, "tablespace", value, e);
        free(value);
    }
    return rc;
}

/* "15" of PostgreSQL; of MariaDB all of it, as its programs are compared with it. */
static int add_version(struct source_spec *spec, const json_t *facts, struct err *e)
{
    char major[24];
    const char *version = text_of(facts, "server_version");
    if (strcmp(spec->kind, "postgresql") == 0) {
        json_int_t n = json_integer_value(json_object_get(facts, "server_version_num"));
        snprintf(major, sizeof major, "%lld", (long long)(n / 10000));
        version = n > 0 ? major : "";
    }
    return version[0] ? source_spec_add(spec, "version", version, e) : 0;
}

static int add_server(struct source_spec *spec, const struct source_spec *from, const json_t *facts,
                      struct err *e)
{
    const char *data = text_of(facts, "data_directory"),
               *binaries = source_spec_get(from, "binaries");
    if (data[0] != '/') {
        const char *named = source_spec_get(from, "data");
        data = named ? named : "";
    }
    int rc = data[0] == '/' ? source_spec_add(spec, "data", data, e) : 0;
    if (rc == 0)
        rc = add_spaces(spec, facts, e);
    if (rc == 0)
        rc = add_version(spec, facts, e);
    return rc == 0 && binaries && strcmp(spec->kind, "mariadb") == 0
               ? source_spec_add(spec, "binaries", binaries, e)
               : rc;
}

/* Where each source's data lie: as the backup says, else as the policy does. */
static int add_places(const struct host_job *j, struct msg_host *m, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < j->policy->n_sources; i++) {
        const struct source_spec *from = &j->policy->sources[i];
        struct source_spec *spec;
        bool server = strcmp(from->kind, "postgresql") == 0 || strcmp(from->kind, "mariadb") == 0;
        if (!server && strcmp(from->kind, "sqlite") != 0)
            continue;
        rc = source_specs_add(&m->sources, &m->n_sources, from->kind, &spec, e);
        if (rc == 0 && server)
            rc = add_server(spec, from, json_object_get(j->backup, from->kind), e);
        for (size_t k = 0; rc == 0 && !server && k < from->n; k++)
            if (strcmp(from->v[k].key, "files") == 0)
                rc = source_spec_add(spec, "files", from->v[k].value, e);
    }
    return rc;
}

/* --- facts --------------------------------------------------------------------------------------------- */
static json_t *clock_fact(const struct talk *t)
{
    const json_t *host = json_array_get(json_object_get(t->facts, "host"), 0);
    double its = json_real_value(json_object_get(host, "time_s")), difference = its - t->time_s;
    const char *verdict = "unknown";
    char text[200];
    if (its > 0 && t->time_s > 0) {
        double far = fabs(difference);
        verdict = far <= CLOCK_GOOD_S ? "good" : far <= CLOCK_DOUBTFUL_S ? "doubtful" : "bad";
        snprintf(text, sizeof text, _("its clock differs from this machine's by %.1f s"), far);
    } else {
        difference = 0;
        snprintf(text, sizeof text, "%s", _("it has not told its time"));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:f}", "fact", "clock", "place", "", "verdict", verdict,
                     "text", text, "difference_s", difference);
}

int host_facts(struct app *app, const struct host_job *j, json_t **ret, struct err *e)
{
    struct msg_host m = { .what = HOST_FACTS,
                          .roots = j->policy->paths,
                          .n_roots = j->policy->n_paths };
    struct talk t = { .facts = NULL };
    int rc = add_places(j, &m, e);
    if (rc == 0)
        rc = ask(app, j, &m, &t, e);
    if (rc == 0) {
        json_t *all = json_object_get(t.facts, "fact");
        json_t *facts = all ? json_copy(all) : json_array();
        json_array_insert_new(facts, 0, clock_fact(&t));
        *ret = json_pack("{s:s, s:I, s:o}", "host",
                         text_of(json_array_get(json_object_get(t.facts, "host"), 0), "host"), "at",
                         (json_int_t)sys_realtime_s(), "facts", facts);
        if (!*ret)
            rc = err_set(e, ERR_NOMEM, _("no memory"));
    }
    json_decref(t.facts);
    source_specs_free(m.sources, m.n_sources);
    return rc < 0 ? err_wrap(e, _("facts of the host")) : 0;
}

/* --- commands ---------------------------------------------------------------------------------------------- */
int host_run(struct app *app, const struct host_job *j, char *const *words, size_t n,
             unsigned limit_s, struct host_result *ret, struct err *e)
{
    struct msg_host m = { .what = HOST_RUN,
                          .name = (char *)(uintptr_t)(j->incident ? j->incident : ""),
                          .words = (char **)(uintptr_t)words,
                          .n_words = n,
                          .limit_s = limit_s ? limit_s : DEFAULT_HOOK_LIMIT_S };
    struct talk t = { .facts = NULL };
    *ret = (struct host_result){ 0 };
    int rc = n > 0 && m.limit_s <= MAX_COMMAND_LIMIT_S
                 ? hook_check(words, n, NULL, e)
                 : err_set(e, ERR_USAGE, _("no command, or no time limit for it"));
    if (rc == 0)
        rc = ask(app, j, &m, &t, e);
    const json_t *ran = json_array_get(json_object_get(t.facts, "run"), 0);
    if (rc == 0 && !ran)
        rc = err_set(e, ERR_PROTOCOL, _("the agent did not say how the command ended"));
    if (rc == 0) {
        ret->status = (int)json_integer_value(json_object_get(ran, "status"));
        ret->timed_out = json_is_true(json_object_get(ran, "timed_out"));
        ret->ms = (uint64_t)json_integer_value(json_object_get(ran, "ms"));
        ret->output = strdup(text_of(ran, "output"));
        rc = ret->output ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    }
    json_decref(t.facts);
    return rc < 0 && n > 0 ? err_wrap(e, "%s", words[0]) : rc;
}

void host_result_done(struct host_result *r)
{
    free(r->output);
    *r = (struct host_result){ 0 };
}

/* --- scenes ------------------------------------------------------------------------------------------------ */
int host_scene(struct app *app, const struct host_job *j, const char *incident, json_t **ret,
               struct err *e)
{
    struct msg_host m = { .what = HOST_SCENE, .name = (char *)(uintptr_t)incident };
    struct talk t = { .facts = NULL };
    int rc = host_name_ok(incident)
                 ? add_places(j, &m, e)
                 : err_set(e, ERR_USAGE, _("\"%s\" is no name of an incident"), incident);
    if (rc == 0 && m.n_sources > 0)
        rc = ask(app, j, &m, &t, e);
    if (rc == 0) {
        json_t *all = json_object_get(t.facts, "scene");
        *ret = json_pack("{s:o}", "places", all ? json_copy(all) : json_array());
        if (!*ret)
            rc = err_set(e, ERR_NOMEM, _("no memory"));
    }
    json_decref(t.facts);
    source_specs_free(m.sources, m.n_sources);
    return rc < 0 ? err_wrap(e, _("what is there is to be set aside")) : 0;
}

int host_clear(struct app *app, const struct host_job *j, bool tried_only, const struct id *keep,
               uint64_t *ret_bytes, struct err *e)
{
    char id[SHORT_ID_DIGITS + 1], name[sizeof IN_PLACE_FOLDER + SHORT_ID_DIGITS] = "";
    struct msg_host m = { .what = HOST_CLEAR, .name = name };
    struct talk t = { .facts = NULL };
    if (tried_only)
        snprintf(name, sizeof name, HOST_TRIED);
    else if (keep)
        snprintf(name, sizeof name, IN_PLACE_FOLDER "%s", short_id(keep, id));
    int rc = add_places(j, &m, e);
    if (rc == 0 && m.n_sources > 0)
        rc = ask(app, j, &m, &t, e);
    if (rc == 0 && ret_bytes)
        *ret_bytes = (uint64_t)json_integer_value(
            json_object_get(json_array_get(json_object_get(t.facts, "cleared"), 0), "bytes"));
    json_decref(t.facts);
    source_specs_free(m.sources, m.n_sources);
    return rc < 0 ? err_wrap(e, _("what earlier attempts left")) : 0;
}

/* --- drills ------------------------------------------------------------------------------------------------- */
int host_drop(struct app *app, const struct host_job *j, const char *folder, const char *drill,
              struct err *e)
{
    char *roots[] = { (char *)(uintptr_t)folder };
    struct msg_host m = {
        .what = HOST_DROP, .name = (char *)(uintptr_t)drill, .roots = roots, .n_roots = 1
    };
    struct talk t = { .facts = NULL };
    int rc = ask(app, j, &m, &t, e);
    json_decref(t.facts);
    return rc < 0 ? err_wrap(e, "%s", folder) : 0;
}

int host_clear_folder(struct app *app, const struct host_job *j, const char *folder, struct err *e)
{
    char *root = (char *)(uintptr_t)folder;
    struct msg_host m = { .what = HOST_CLEAR, .name = (char *)"", .roots = &root, .n_roots = 1 };
    struct talk t = { .facts = NULL };
    int rc = ask(app, j, &m, &t, e);
    json_decref(t.facts);
    return rc < 0 ? err_wrap(e, _("what was looked at")) : 0;
}

/* --- what the backup says ------------------------------------------------------------------------------- */
int host_backup_facts(struct vault *v, const struct snap_ref *snap, int from, json_t **ret,
                      struct err *e)
{
    static const char *const kinds[] = { "postgresql", "mariadb", "sqlite" };
    struct view view;
    json_t *all = json_object();
    int rc = all ? view_open(v, snap, from, &view, e) : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < view.body->n_roots; i++)
        for (size_t k = 0; rc == 0 && k < sizeof kinds / sizeof *kinds; k++) {
            char path[64], *text = NULL;
            size_t n = 0;
            if (strcmp(view.body->roots[i], kinds[k]) != 0)
                continue;
            snprintf(path, sizeof path, "/%s/facts.json", kinds[k]);
            rc = look_read_file(&view, path, MAX_BACKUP_FACTS, &text, &n, e);
            if (rc == 0 && json_object_set_new(all, kinds[k], json_loadb(text, n, 0, NULL)) < 0)
                rc = err_set(e, ERR_DAMAGED, _("%s of the backup cannot be read"), path);
            free(text);
        }
    if (all)
        view_close(&view);
    if (rc < 0)
        json_decref(all);
    else
        *ret = all;
    return rc;
}
