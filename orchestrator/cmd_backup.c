/* cmd_backup.c - twofold backup POLICY…: one run each, to all copies. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/backup_job.h"
#include "orchestrator/crash/standby.h"
#include "orchestrator/look.h"
#include "orchestrator/record.h"
#include "orchestrator/session.h"
#include "orchestrator/text.h"
#include <stdio.h>
#include <stdlib.h>

#define LINK_TRIES 4 /* after a link that died */

struct options {
    bool quarantine, full, take_over, as_it_is;
    const char *hold; /* why it is held at once; NULL: it is not */
};
struct tries {
    unsigned n;
    bool link_died;
};

static void json_result(struct app *app, const struct vault *v, const struct backup_job *j)
{
    char hex[ID_HEX_BYTES];
    json_t *copies = json_array();
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct err *why = &j->published.problem[i];
        json_t *c = json_pack("{s:s, s:b, s:b}", "place", v->copies[i].place, "complete",
                              j->published.current[i], "carried",
                              vault_copy_carried(&v->copies[i]));
        if (!j->published.current[i])
            json_object_set_new(c, "problem", json_string(why->why[0] ? why->why : why->what));
        json_array_append_new(copies, c);
    }
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "type",
                      "backup", "policy", j->policy->name, "snapshot", id_hex(&j->snapshot, hex),
                      "state", j->state == SNAPSHOT_WHOLE ? "whole" : "partial", "files",
                      (json_int_t)j->files, "folders", (json_int_t)j->dirs, "others",
                      (json_int_t)j->others, "bytes", (json_int_t)j->bytes, "bytes_read",
                      (json_int_t)j->bytes_read, "bytes_stored", (json_int_t)j->bytes_stored,
                      "problems", (json_int_t)j->problems, "ms",
                      (json_int_t)(j->ended_ms - j->started_ms), "copies", copies));
}

static void print_result(struct app *app, const struct vault *v, const struct backup_job *j)
{
    char hex[ID_HEX_BYTES], a[32], b[32], c[32];
    uint64_t ms = j->ended_ms - j->started_ms;
    ui_line(&app->ui, _("%s: snapshot %.8s, %s"), j->policy->name, id_hex(&j->snapshot, hex),
            j->doubt[0] || j->quarantine ? _("in QUARANTINE")
            : j->state == SNAPSHOT_WHOLE ? _("whole")
                                         : _("PARTIAL"));
    bool all = j->published.n_current == v->n_copies;
    char *where = all ? text_print("%s", _("in each copy"))
                      : text_print(_("in %zu of %zu copies"), j->published.n_current, v->n_copies);
    ui_line(&app->ui,
            P_("  %llu file, %s; read %s, stored %s %s, %llu.%llu s",
               "  %llu files, %s; read %s, stored %s %s, %llu.%llu s", j->files),
            (unsigned long long)j->files, ui_bytes(j->bytes, a), ui_bytes(j->bytes_read, b),
            ui_bytes(j->bytes_stored, c), where, (unsigned long long)(ms / 1000),
            (unsigned long long)(ms / 100 % 10));
    free(where);
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct caught_up *cu = &j->published.caught_up[i];
        const struct err *why = &j->published.problem[i];
        if (j->published.current[i] && cu->objects)
            ui_line(&app->ui, _("  copy \"%s\": complete (caught up: %llu objects, %s)"),
                    v->copies[i].place, (unsigned long long)cu->objects, ui_bytes(cu->bytes, a));
        else if (j->published.current[i])
            ui_line(&app->ui, _("  copy \"%s\": complete"), v->copies[i].place);
        else if (vault_copy_carried(&v->copies[i]))
            ui_line(&app->ui, _("  copy \"%s\": carried away; it gets this when it is back"),
                    v->copies[i].place);
        else
            ui_line(&app->ui, _("  copy \"%s\": LACKS this backup: %s"), v->copies[i].place,
                    why->why[0] ? why->why : why->what);
        if (cu->damaged)
            ui_line(
                &app->ui,
                _("  %llu objects are damaged or missing in every copy that is here, so in it, too"),
                (unsigned long long)cu->damaged);
    }
    json_result(app, v, j);
}

/* Done, but not all of it: says so in three lines, and what to do. */
static int verdict(struct app *app, const struct vault *v, const struct backup_job *j)
{
    struct err e = ERR_INIT;
    size_t i = 0;
    while (i < v->n_copies && (j->published.current[i] || vault_copy_carried(&v->copies[i])))
        i++;
    if (j->doubt[0]) {
        err_set(
            &e, ERR_FAILED,
            _("the backup does not look right: %s; it is kept in quarantine, and no restore takes it by itself"),
            j->doubt);
        err_next(
            &e,
            _("see whether all is mounted and there, then run it again; if it is right as it is: twofold backup %s --as-it-is"),
            j->policy->name);
    } else if (i < v->n_copies) {
        const struct err *why = &j->published.problem[i];
        err_set(&e, ERR_PARTIAL, _("the backup is good, but copy \"%s\" lacks it: %s"),
                v->copies[i].place, why->why[0] ? why->why : why->what);
        publish_next(&e, why);
    } else if (j->state != SNAPSHOT_WHOLE) {
        err_set(&e, ERR_PARTIAL,
                _("%llu things could not be read as they should; each is named above"),
                (unsigned long long)j->problems);
        err_next(&e, _("see to them, or exclude them in the policy; what could be read is saved"));
    } else {
        return 0;
    }
    err_wrap(&e, _("backup of \"%s\""), j->policy->name);
    return ui_error(&app->ui, &e);
}

static int run(struct app *app, struct policy *p, struct vault_conf *conf, struct vault *v,
               const struct options *o, bool full, struct backup_job *ret, struct err *e)
{
    *ret = (struct backup_job){ .policy = p,
                                .conf = conf,
                                .quarantine = o->quarantine,
                                .full = full,
                                .as_it_is = o->as_it_is,
                                .take_over = o->take_over };
    return backup_job_run(app, v, ret, e);
}

/* What the catalog is to know of it. */
static void keep_record(struct record *r, const struct policy *p, struct vault *v,
                        const struct vault_conf *conf, const struct backup_job *j,
                        const struct err *why)
{
    char source[MAX_FORMAT_NAME + 1];
    if (p)
        r->run.agent = p->agent;
    if (conf)
        r->run.vault = conf->name;
    if (j) {
        r->run.snapshot = j->snapshot;
        r->run.snapshot_state = j->state;
        r->run.files = j->files;
        r->run.bytes = j->bytes;
        r->run.bytes_read = j->bytes_read;
        r->run.bytes_stored = j->bytes_stored;
        r->run.problems = j->problems;
    }
    if (v && j) {
        source_name(p->name, source);
        record_vault(r, v, &j->published, source);
    } else if (v) {
        record_copies(r, v, NULL);
    } else if (conf) {
        record_away(r, conf, why);
    }
}

/* Whether a failed run is worth another one at once. *full: that one reads everything. */
static bool again(struct app *app, const struct backup_job *j, int rc, struct tries *t, bool *full,
                  struct err *e)
{
    static const unsigned pause_ms[LINK_TRIES] = { 3000, 10000, 30000, 90000 };
    /* What the agent remembers is not in the vault any more: once again, reading everything. */
    if (rc == -ERR_DAMAGED && !*full) {
        ui_warn(&app->ui,
                _("the vault lacks something that the last backup had; everything is read again"));
        return *full = true;
    }
    /* The agent at the other end of a dead link may not know yet that it is alone, and hold its state. */
    t->link_died |= j->link_died;
    if (!t->link_died || t->n == LINK_TRIES || !err_info(e->code)->retry ||
        rc == -ERR_INTERRUPTED || rc == -ERR_TIMEOUT)
        return false;
    ui_warn(&app->ui, _("%s: %s; going on with what is still to be sent in %u s"), e->what, e->why,
            pause_ms[t->n] / 1000);
    return pause_between_tries(pause_ms[t->n++], e) == 0;
}

/* Evidence: no prune may drop it, from the first moment on. */
static int hold_it(struct app *app, struct vault *v, const struct backup_job *j, const char *why,
                   int status)
{
    struct err e = ERR_INIT;
    if (hold_now(app, v, &j->snapshot, why, &e) == 0)
        return status;
    char id[ID_HEX_BYTES];
    err_wrap(&e, _("backup of \"%s\": hold it"), j->policy->name);
    err_next(&e, "twofold hold add %.8s --why TEXT", id_hex(&j->snapshot, id));
    return ui_error(&app->ui, &e);
}

static int backup_one(struct app *app, const char *name, const struct options *o)
{
    struct policy *p = NULL;
    struct vault_conf *conf = NULL;
    struct vault *v = NULL;
    struct backup_job j = { 0 };
    struct record record;
    struct err e = ERR_INIT;
    struct tries tries = { 0 };
    char what[2 * MAX_NAME], source[MAX_FORMAT_NAME + 1];
    bool full = o->full;
    record_begin(&record, app, "backup", name);
    int rc = policy_load(&app->paths, name, &p, &e), status;
    if (rc == 0)
        standby_follow(app, p);
    snprintf(what, sizeof what, _("backup of %.64s"), name);
    source_name(name, source);
    for (bool more = rc == 0; more;) {
        vault_conf_free(conf);
        vault_close(v);
        conf = NULL;
        v = NULL;
        rc = vault_conf_load(&app->paths, p->vault[0] ? p->vault : NULL, &conf, &e);
        if (rc == 0) {
            struct vault_choice c = { .vault = conf->name, .what = what, .source = source };
            rc = app_open_vault(app, &c, true, false, &v, &e);
        }
        if (rc == 0)
            rc = run(app, p, conf, v, o, full, &j, &e);
        more = rc < 0 && again(app, &j, rc, &tries, &full, &e);
    }
    if (rc == 0) {
        print_result(app, v, &j);
        status = verdict(app, v, &j);
        status = o->hold ? hold_it(app, v, &j, o->hold, status) : status;
    } else {
        err_wrap(&e, _("backup of \"%s\""), name);
        status = ui_error(&app->ui, &e);
    }
    keep_record(&record, p, v, conf, rc == 0 ? &j : NULL, &e);
    record_end(&record, status);
    if (rc == 0)
        record_export(app, v);
    vault_close(v);
    vault_conf_free(conf);
    policy_free(p);
    return status;
}

/* The worst of several: a failure counts more than an incomplete run. */
static int worse(int a, int b)
{
    if (a == 0 || b == 0)
        return a ? a : b;
    return a == 3 ? b : a;
}

/* Before the first of them runs: one that is no policy at all is a slip of the hand. */
static int check_names(struct app *app, int n, char **names)
{
    for (int i = 0; i < n; i++) {
        struct policy *p = NULL;
        struct err e = ERR_INIT;
        int rc = policy_load(&app->paths, names[i], &p, &e);
        policy_free(p);
        if (rc == -ERR_NAME) {
            err_wrap(&e, _("backup of \"%s\""), names[i]);
            return ui_error(&app->ui, &e);
        }
    }
    return 0;
}

int cmd_backup(struct app *app, int argc, char **argv)
{
    enum { OPT_QUARANTINE = OPT_OWN, OPT_FULL, OPT_TAKE_OVER, OPT_AS_IT_IS, OPT_HOLD };
    static const struct option options[] = { { "quarantine", no_argument, NULL, OPT_QUARANTINE },
                                             { "full", no_argument, NULL, OPT_FULL },
                                             { "take-over", no_argument, NULL, OPT_TAKE_OVER },
                                             { "as-it-is", no_argument, NULL, OPT_AS_IT_IS },
                                             { "hold", required_argument, NULL, OPT_HOLD },
                                             OPTIONS_END };
    struct options o = { 0 };
    int c, status = 0;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_QUARANTINE)
            o.quarantine = true;
        else if (c == OPT_FULL)
            o.full = true;
        else if (c == OPT_TAKE_OVER)
            o.take_over = true;
        else if (c == OPT_AS_IT_IS)
            o.as_it_is = true;
        else if (c == OPT_HOLD && *optarg)
            o.hold = optarg;
        else
            return args_bad(app, c, argv);
    }
    if (optind == argc)
        return app_usage(app, _("which policy?"));
    if (argc - optind > 1 && (status = check_names(app, argc - optind, argv + optind)) != 0)
        return status;
    for (int i = optind; i < argc && !sys_interrupted(); i++)
        status = worse(status, backup_one(app, argv[i], &o));
    return sys_interrupted() && status == 0 ? 130 : status;
}
