/* prog_host.c - what orchestrator/host.h does, for scenarios: prog_host facts|scene|clear|run POLICY [INCIDENT] [-- WORD…]. Prints JSON.
 * prog_host attempt POLICY SNAPSHOT [-- WORD…]: a restore in place as the crash procedure has it done; the words scan it.
 * Configuration and state from the environment. */
#include "lib/base/sys.h"
#include "orchestrator/host.h"
#include "orchestrator/restore_run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int show(json_t *o)
{
    if (o)
        json_dumpf(o, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
    printf("\n");
    json_decref(o);
    return 0;
}

static int run(struct app *app, const struct host_job *j, char **words, struct err *e)
{
    struct host_result r;
    size_t n = 0;
    const char *limit = getenv("HOST_LIMIT_S");
    while (words[n])
        n++;
    int rc = host_run(app, j, words, n, limit ? (unsigned)strtoul(limit, NULL, 10) : 20, &r, e);
    if (rc == 0)
        show(json_pack("{s:i, s:b, s:s}", "status", r.status, "timed_out", r.timed_out, "output",
                       r.output));
    host_result_done(&r);
    return rc;
}

static int attempt(struct app *app, const char *policy, const char *snapshot, char **words,
                   struct err *e)
{
    struct restore_request q = { .policy = policy,
                                 .snapshot = snapshot,
                                 .db = { .in_place = true, .verify = "" },
                                 .strict = true,
                                 .clear = true,
                                 .with_logs = true,
                                 .on = getenv("HOST_ON"),
                                 .scan = words };
    struct restore_outcome o;
    while (words[q.n_scan])
        q.n_scan++;
    int rc = restore_run(app, &q, &o, e);
    show(json_pack("{s:s, s:O, s:O}", "end", restore_end_name(restore_end_of(rc, &o)), "facts",
                   o.facts, "notes", o.notes));
    restore_outcome_done(&o);
    return rc;
}

static int job(struct app *app, const char *what, struct host_job *j, char **words, struct err *e)
{
    json_t *o = NULL;
    uint64_t bytes = 0;
    if (strcmp(what, "run") == 0)
        return run(app, j, words, e);
    int rc = strcmp(what, "facts") == 0   ? host_facts(app, j, &o, e)
             : strcmp(what, "scene") == 0 ? host_scene(app, j, j->incident, &o, e)
                                          : host_clear(app, j, false, NULL, &bytes, e);
    return rc == 0 ? show(o ? o : json_pack("{s:I}", "bytes", (json_int_t)bytes)) : rc;
}

int main(int argc, char **argv)
{
    struct app app = { .program = "host" };
    struct vault_choice choice = { .what = "looks" };
    struct policy *p = NULL;
    struct vault *v = NULL;
    const struct snap_ref *snap = NULL;
    const char *source = NULL;
    json_t *backup = NULL;
    struct err e = ERR_INIT;
    if (argc < 3)
        return 2;
    sys_catch_signals();
    ui_init(&app.ui);
    int rc = config_paths_find(NULL, &app.paths, &e);
    if (rc == 0 && strcmp(argv[1], "attempt") == 0) {
        rc = attempt(&app, argv[2], argv[3], argv + (argc > 4 ? 5 : argc), &e);
        if (rc < 0)
            ui_error(&app.ui, &e);
        config_paths_done(&app.paths);
        return rc < 0 ? err_info(e.code)->exit_status : 0;
    }
    if (rc == 0)
        rc = app_open_policy(&app, argv[2], &choice, false, true, &p, &v, &e);
    if (rc == 0)
        rc = app_find_snapshot(&app, v, argv[2], NULL, &snap, &source, &e);
    if (rc == 0)
        rc = host_backup_facts(v, snap, -1, &backup, &e);
    struct host_job j = { .policy = p, .backup = backup, .incident = argc > 3 ? argv[3] : "one" };
    if (rc == 0)
        rc = job(&app, argv[1], &j, argv + (argc > 4 ? 5 : argc), &e);
    if (rc < 0)
        ui_error(&app.ui, &e);
    json_decref(backup);
    policy_free(p);
    vault_close(v);
    config_paths_done(&app.paths);
    return rc < 0 ? err_info(e.code)->exit_status : 0;
}
