/* cmd_restore.c - twofold restore POLICY --to TARGET …, also from nothing but one copy and the passphrase. */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/record.h"
#include "orchestrator/restore_run.h"
#include <stdlib.h>
#include <string.h>

#define MUCH_QUICKER 3

/* The order of the copies is the plan's; which one is quicker is worth knowing for the next restore. */
static void say_quicker(struct app *app, const struct restore_outcome *out)
{
    const struct restore_copy *most = NULL, *quick = NULL;
    char was[32], is[32];
    for (size_t i = 0; i < out->n_copies; i++) {
        const struct restore_copy *c = &out->copies[i];
        most = !most || c->bytes > most->bytes ? c : most;
        quick = c->used && (!quick || c->speed > quick->speed) ? c : quick;
    }
    if (!most || !quick || most->speed == 0 || quick->speed / most->speed < MUCH_QUICKER)
        return;
    ui_line(
        &app->ui,
        _("  copy \"%s\" is quicker (%s/s) than \"%s\" (%s/s); to read from it alone: --from %s"),
        quick->place, ui_bytes(quick->speed, is), most->place, ui_bytes(most->speed, was),
        quick->place);
}

static void print_copies(struct app *app, const struct restore_outcome *out)
{
    bool damaged = false;
    for (size_t i = 0; i < out->n_copies; i++) {
        const struct restore_copy *c = &out->copies[i];
        char size[32];
        if (!c->used)
            ui_line(&app->ui, _("  copy \"%s\": not used"), c->place);
        else if (c->chunks_bad)
            ui_line(&app->ui,
                    _("  copy \"%s\": %llu chunks, and %llu that were DAMAGED or missing"),
                    c->place, (unsigned long long)c->chunks, (unsigned long long)c->chunks_bad);
        else
            ui_line(&app->ui, _("  copy \"%s\": %llu chunks, %s"), c->place,
                    (unsigned long long)c->chunks, ui_bytes(c->bytes, size));
        if (c->late)
            ui_line(&app->ui,
                    P_("  copy \"%s\" failed or did not answer in time: %u time",
                       "  copy \"%s\" failed or did not answer in time: %u times", c->late),
                    c->place, c->late);
        damaged |= c->chunks_bad > 0;
    }
    say_quicker(app, out);
    if (damaged)
        ui_line(&app->ui, _("  to mend the copies: twofold repair"));
}

/* What is there and not in the backup. */
static void print_extra(struct app *app, const struct restore_request *q,
                        const struct restore_outcome *out)
{
    const struct msg_done *d = &out->done;
    if (q->db.in_place) /* the driver has said where it is by now */
        return;
    if (d->extra_aside)
        ui_line(
            &app->ui,
            P_("  %llu thing that the backup does not have is set aside in %s/.twofold-extra-…",
               "  %llu things that the backup does not have are set aside in %s/.twofold-extra-…",
               d->extra_aside),
            (unsigned long long)d->extra_aside, out->target);
    if (d->extra > d->extra_aside)
        ui_line(&app->ui,
                P_("  %llu thing that the backup does not have is there and stays",
                   "  %llu things that the backup does not have are there and stay",
                   d->extra - d->extra_aside),
                (unsigned long long)(d->extra - d->extra_aside));
    if (d->extra > d->extra_aside && !q->set_aside)
        ui_line(&app->ui, _("  to have them set aside: the same command with --set-aside"));
}

static void print_json(struct app *app, const struct restore_outcome *out, const char *hex)
{
    const struct msg_done *d = &out->done;
    json_t *copies = json_array();
    for (size_t i = 0; i < out->n_copies; i++) {
        const struct restore_copy *c = &out->copies[i];
        json_array_append_new(
            copies, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "place", c->place, "chunks",
                              (json_int_t)c->chunks, "bytes", (json_int_t)c->bytes, "damaged",
                              (json_int_t)c->chunks_bad, "late", (json_int_t)c->late, "read_ms",
                              (json_int_t)(c->us / 1000)));
    }
    ui_json(
        &app->ui,
        json_pack(
            "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:O}",
            "type", "restore", "end", restore_end_name(restore_end_of(0, out)), "snapshot", hex,
            "target", out->target, "files", (json_int_t)d->files, "folders", (json_int_t)d->dirs,
            "bytes", (json_int_t)d->bytes, "already", (json_int_t)d->already, "failed",
            (json_int_t)d->failed, "set_aside", (json_int_t)d->set_aside, "extra",
            (json_int_t)d->extra, "extra_set_aside", (json_int_t)d->extra_aside, "ms",
            (json_int_t)out->ms, "chunks_lost", (json_int_t)out->chunks_lost, "chunks_away",
            (json_int_t)out->chunks_away, "copies", copies, "facts", out->facts));
}

static void print_result(struct app *app, const struct restore_request *q,
                         const struct restore_outcome *out)
{
    char hex[ID_HEX_BYTES], size[32];
    const struct msg_done *d = &out->done;
    id_hex(&out->snapshot, hex);
    if (d->failed)
        ui_line(&app->ui, _("restored snapshot %.8s IN PART to %s"), hex, out->target);
    else if (q->db.in_place && !out->database)
        ui_line(&app->ui, _("restored snapshot %.8s in place"), hex);
    else if (q->db.in_place) /* what is at the target was only on the way */
        ui_line(&app->ui, _("restored snapshot %.8s in place; next: start the server"), hex);
    else
        ui_line(&app->ui, _("restored snapshot %.8s to %s"), hex, out->target);
    ui_line(&app->ui,
            P_("  %llu file, %s, folders: %llu; there already: %llu; %llu.%llu s",
               "  %llu files, %s, folders: %llu; there already: %llu; %llu.%llu s", d->files),
            (unsigned long long)d->files, ui_bytes(d->bytes, size), (unsigned long long)d->dirs,
            (unsigned long long)d->already, (unsigned long long)(out->ms / 1000),
            (unsigned long long)(out->ms / 100 % 10));
    if (d->set_aside && !q->db.in_place)
        ui_line(&app->ui,
                _("  %llu things that were in the way are set aside in %s/.twofold-aside-…"),
                (unsigned long long)d->set_aside, out->target);
    print_extra(app, q, out);
    print_copies(app, out);
    print_json(app, out, hex);
}

/* What the catalog is to know of it. */
static void keep_record(struct record *r, const struct restore_outcome *out)
{
    snprintf(r->vault, sizeof r->vault, "%s", out->vault);
    r->run.vault = r->vault;
    r->run.snapshot = out->snapshot;
    r->run.snapshot_state = (uint8_t)out->state;
    r->run.files = out->done.files;
    r->run.bytes = out->done.bytes;
    r->run.problems = out->problems + out->done.failed;
    r->run.copies_wanted = (unsigned)out->n_copies;
    r->run.copies_reached = (unsigned)out->n_reached;
}

static int restore(struct app *app, const struct restore_request *q)
{
    struct restore_outcome out;
    struct record record;
    struct err e = ERR_INIT;
    int status = 0;
    record_begin(&record, app, "restore", q->policy);
    int rc = restore_run(app, q, &out, &e);
    if (rc < 0)
        ui_json(&app->ui,
                json_pack("{s:s, s:s, s:O}", "type", "failed", "end",
                          restore_end_name(restore_end_of(rc, &out)), "facts", out.facts));
    if (rc == 0) {
        print_result(app, q, &out);
        keep_record(&record, &out);
        e = out.verdict;
    }
    if (e.code != ERR_NONE) {
        err_wrap(&e, _("restore of \"%s\""), q->policy);
        status = ui_error(&app->ui, &e);
    }
    restore_outcome_done(&out);
    return record_end(&record, status);
}

static int paths_ok(struct app *app, const struct restore_request *q)
{
    for (size_t i = 0; i < q->n_paths; i++)
        if (q->paths[i][0] != '/')
            return app_usage(app, _("%s: paths in a backup are absolute, like /etc/hosts"),
                             q->paths[i]);
    return 0;
}

static bool take_space(struct db_options *o, const char *text)
{
    const char *equals = text ? strrchr(text, '=') : NULL;
    if (!equals || equals == text || !equals[1] || o->n_spaces == MAX_SPACE_OPTIONS)
        return false;
    o->spaces[o->n_spaces++] = text;
    return true;
}

static bool take_salvage(struct db_options *o, const char *text)
{
    const char *path = text && text[0] != '/' ? strchr(text, '=') : text;
    if (!path || (path > text && path[1] != '/') || o->n_salvage == MAX_SOURCES)
        return false;
    o->salvage[o->n_salvage++] = text;
    return true;
}

int cmd_restore(struct app *app, int argc, char **argv)
{
    enum {
        OPT_TO = OPT_OWN,
        OPT_SNAPSHOT,
        OPT_AT,
        OPT_FROM,
        OPT_OVERWRITE,
        OPT_DELTA,
        OPT_SET_ASIDE,
        OPT_STRIP,
        OPT_POLICY,
        OPT_ON,
        OPT_IN_PLACE,
        OPT_VERIFY,
        OPT_LOAD,
        OPT_TABLESPACE,
        OPT_LSN,
        OPT_POINT,
        OPT_NO_LOGS,
        OPT_SALVAGE,
        OPT_CHANGED_ONLY
    };
    static const struct option options[] = {
        { "to", required_argument, NULL, OPT_TO },
        { "snapshot", required_argument, NULL, OPT_SNAPSHOT },
        { "at", required_argument, NULL, OPT_AT },
        { "from", required_argument, NULL, OPT_FROM },
        { "overwrite", no_argument, NULL, OPT_OVERWRITE },
        { "delta", no_argument, NULL, OPT_DELTA },
        { "set-aside", no_argument, NULL, OPT_SET_ASIDE },
        { "strip-source", no_argument, NULL, OPT_STRIP },
        { "policy", required_argument, NULL, OPT_POLICY },
        { "on", required_argument, NULL, OPT_ON },
        { "in-place", no_argument, NULL, OPT_IN_PLACE },
        { "verify", optional_argument, NULL, OPT_VERIFY },
        { "load", required_argument, NULL, OPT_LOAD },
        { "tablespace", required_argument, NULL, OPT_TABLESPACE },
        { "lsn", required_argument, NULL, OPT_LSN },
        { "position", required_argument, NULL, OPT_LSN },
        { "point", required_argument, NULL, OPT_POINT },
        { "no-logs", no_argument, NULL, OPT_NO_LOGS },
        { "changed-only", no_argument, NULL, OPT_CHANGED_ONLY },
        { "salvage", required_argument, NULL, OPT_SALVAGE },
        CHOICE_OPTIONS,
        OPTIONS_END
    };
    struct restore_request q = { 0 };
    int c, status = 0;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        switch (c) {
        case OPT_TO:
            q.to = optarg;
            break;
        case OPT_SNAPSHOT:
            q.snapshot = optarg;
            break;
        case OPT_AT:
            q.at = optarg;
            break;
        case OPT_FROM:
            q.from = optarg;
            break;
        case OPT_OVERWRITE:
            q.overwrite = true;
            break;
        case OPT_DELTA:
            q.delta = true;
            break;
        case OPT_SET_ASIDE:
            q.set_aside = true;
            break;
        case OPT_STRIP:
            q.strip = true;
            break;
        case OPT_POLICY:
            q.policy = optarg;
            break;
        case OPT_ON:
            q.on = optarg;
            break;
        case OPT_IN_PLACE:
            q.db.in_place = true;
            break;
        case OPT_VERIFY:
            q.db.verify = optarg ? optarg : "";
            break;
        case OPT_LSN:
            q.db.lsn = optarg;
            break;
        case OPT_POINT:
            q.db.point = optarg;
            break;
        case OPT_NO_LOGS:
            q.no_logs = true;
            break;
        case OPT_CHANGED_ONLY:
            q.changed_only = true;
            break;
        case OPT_SALVAGE:
            if (!take_salvage(&q.db, optarg))
                return app_usage(app, _("--salvage takes [KIND=]FOLDER, up to 16 times"));
            break;
        case OPT_LOAD:
            if (q.db.n_loads == MAX_LOADS)
                return app_usage(app, _("more than %d times --load"), MAX_LOADS);
            q.db.loads[q.db.n_loads++] = optarg;
            break;
        case OPT_TABLESPACE:
            if (!take_space(&q.db, optarg))
                return app_usage(app, _("--tablespace takes OLD=NEW, up to 64 times"));
            break;
        default:
            if (!choice_option(c, &q.choice))
                return args_bad(app, c, argv);
        }
    }
    if (!q.policy && optind < argc)
        q.policy = argv[optind++];
    if (!q.policy)
        return app_usage(app, q.choice.copy
                                  ? _("which policy? Give --policy NAME, one of those that twofold "
                                      "snapshots --copy URL shows")
                                  : _("which policy?"));
    if (!q.to == !q.db.in_place)
        return app_usage(app, q.to ? _("--to and --in-place exclude each other")
                                   : _("where to? Give --to TARGET"));
    if (!!q.at + !!q.db.lsn + !!q.db.point > 1)
        return app_usage(app,
                         _("--at, --lsn, --position and --point say the same thing; give one"));
    if (q.delta && q.db.in_place && (q.db.lsn || q.db.point))
        return app_usage(app,
                         _("what --lsn, --position or --point names is found in the log only when "
                           "--delta has changed the files already: leave --delta out, or "
                           "restore with --to"));
    if (q.changed_only && q.strip)
        return app_usage(app, _("--changed-only and --strip-source exclude each other"));
    if (q.set_aside && !q.delta && !q.overwrite && !q.changed_only && !q.db.in_place)
        return app_usage(
            app, _("--set-aside goes with --in-place, --changed-only, --delta or --overwrite"));
    if (q.set_aside && q.choice.copy)
        return app_usage(
            app, _("--set-aside needs the policy, which says what backups leave out: it does "
                   "not go with --copy"));
    q.paths = argv + optind;
    q.n_paths = (size_t)(argc - optind);
    status = paths_ok(app, &q);
    if (status != 0)
        return status;
    return restore(app, &q);
}
