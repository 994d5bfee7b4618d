/* cmd_drill.c - `twofold drill POLICY`: can it be restored, how fast, and how much would be lost? */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/drill/drill.h"
#include "orchestrator/look.h"
#include "orchestrator/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000

/* --- what came of it ---------------------------------------------------------------------------------------------- */
static void print_limit(struct ui *ui, const char *label, const char *value, uint64_t limit_s)
{
    char limit[64];
    if (limit_s)
        ui_line(ui, _("  %s %s; it may be %s"), label, value, ui_age((int64_t)limit_s, limit));
    else
        ui_line(ui, "  %s %s", label, value);
}

static void print_measures(struct ui *ui, const struct drill_outcome *o)
{
    const struct drill_measured *m = &o->m;
    char took[64], lost[64];
    int64_t rpo = drill_rpo_s(m);
    if (m->verified_s && m->rto_ms < 10000)
        snprintf(took, sizeof took, _("%d.%d s"), (int)(m->rto_ms / 1000),
                 (int)(m->rto_ms / 100 % 10));
    else
        ui_age(m->rto_ms / 1000, took);
    print_limit(ui, _("time (RTO):"), m->verified_s ? took : _("never restored"), m->max_rto_s);
    if (rpo < 0)
        snprintf(lost, sizeof lost, "%s", _("not known"));
    else
        ui_age(rpo, lost);
    print_limit(ui, _("loss (RPO):"), lost, m->max_rpo_s);
    if (m->checks)
        ui_line(ui, _("  checks:     %u, of these wrong: %u"), m->checks, m->wrong);
    if (m->missing || m->differ)
        ui_line(ui, _("  files:      missing: %llu, not as recorded: %llu"),
                (unsigned long long)m->missing, (unsigned long long)m->differ);
    if (m->damaged)
        ui_line(ui, _("  copies:     damaged or missing chunks: %llu"),
                (unsigned long long)m->damaged);
    if (m->attempts > 1)
        ui_line(ui, _("  attempts:   %u"), m->attempts);
}

static void print_outcome(struct ui *ui, const struct drill_outcome *o)
{
    char id[SHORT_ID_DIGITS + 1], when[32], size[32];
    ui_line(ui, o->reasons ? _("drill %s: FAILED") : _("drill %s: passed"), o->id);
    if (o->m.verified_s)
        ui_line(ui, _("  restored:   snapshot %s of %s, %llu files, %s"),
                short_id(&o->snapshot, id), short_time(o->received_ns, when),
                (unsigned long long)o->done.files, ui_bytes(o->done.bytes, size));
    print_measures(ui, o);
    if (o->kept)
        ui_line(ui, _("  kept:       %s; to take it away: twofold drill --clean"), o->folder);
    ui_line(ui, _("  its record: twofold report drill %s"), o->id);
}

static void print_json(struct ui *ui, const struct drill_outcome *o)
{
    char hex[ID_HEX_BYTES];
    const struct drill_measured *m = &o->m;
    json_t *reasons = json_array();
    for (unsigned i = 0; i < DRILL_REASONS; i++)
        if (o->reasons & 1u << i)
            json_array_append_new(reasons, json_string(drill_reason_name((enum drill_reason)i)));
    ui_json(ui,
            json_pack("{s:s, s:s, s:b, s:o, s:s, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:I, s:I, "
                      "s:I, s:I, s:s, s:b}",
                      "type", "drill", "id", o->id, "passed", o->reasons == 0, "reasons", reasons,
                      "snapshot", id_hex(&o->snapshot, hex), "rto_ms", (json_int_t)m->rto_ms,
                      "rpo_s", (json_int_t)drill_rpo_s(m), "max_rto_s", (json_int_t)m->max_rto_s,
                      "max_rpo_s", (json_int_t)m->max_rpo_s, "attempts", (int)m->attempts, "checks",
                      (int)m->checks, "wrong", (int)m->wrong, "damaged", (json_int_t)m->damaged,
                      "files", (json_int_t)o->done.files, "bytes", (json_int_t)o->done.bytes,
                      "recovered_to", (json_int_t)m->recovered_to_s, "folder", o->folder, "kept",
                      o->kept));
}

static const char *advice(unsigned reasons)
{
    return reasons & 1u << DRILL_COPY_DAMAGED
               ? _("see what is damaged, and mend it: twofold scrub --read-data=100%; twofold "
                   "repair; then the same drill again")
           : reasons & (1u << DRILL_NOT_STARTED | 1u << DRILL_CHECK_FALSE)
               ? _("what the server said stands above; look at what was restored: the same "
                   "command with --keep")
           : reasons & 1u << DRILL_OVER_RPO
               ? _("back up more often, or keep the database's log: logs: 5s in the policy")
           : reasons & 1u << DRILL_OVER_RTO
               ? _("a faster copy, a faster disk, or another rto in the policy")
               : _("what went wrong stands above; then the same drill again");
}

static int verdict(struct app *app, const struct drill_request *q, const struct drill_outcome *o)
{
    struct err e = ERR_INIT;
    char why[ERR_TEXT_BYTES] = "";
    size_t n = 0;
    if (o->last.code != ERR_NONE) {
        const char *what = o->last.what;
        ui_note(&app->ui, true, what, strlen(what), o->last.why, strlen(o->last.why));
    }
    if (o->reasons == 0)
        return 0;
    for (unsigned i = 0; i < DRILL_REASONS && n < sizeof why - 1; i++)
        if (o->reasons & 1u << i)
            n += (size_t)snprintf(why + n, sizeof why - n, "%s%s", n ? "; " : "",
                                  drill_reason_words((enum drill_reason)i));
    int status = drill_status(o->reasons);
    err_set(&e,
            status == 4     ? ERR_DAMAGED
            : status == 130 ? ERR_INTERRUPTED
                            : ERR_FAILED,
            "%s", why);
    err_wrap(&e, _("drill of \"%s\""), q->policy);
    err_next(&e, "%s", advice(o->reasons));
    return ui_error(&app->ui, &e);
}

static void keep_record(struct record *r, const struct drill_outcome *o)
{
    snprintf(r->vault, sizeof r->vault, "%s", o->vault);
    r->run.vault = r->vault;
    r->run.snapshot = o->snapshot;
    r->run.snapshot_state = o->state;
    r->run.files = o->done.files;
    r->run.bytes = o->done.bytes;
    r->run.bytes_read = o->bytes_read;
    r->run.problems = o->m.damaged + o->m.missing + o->m.differ + o->m.wrong;
}

static int drill(struct app *app, const struct drill_request *q)
{
    struct drill_outcome o;
    struct record record;
    struct err e = ERR_INIT;
    int status;
    record_begin(&record, app, "drill", q->policy);
    if (drill_run(app, q, &o, &e) < 0) {
        status = ui_error(&app->ui, &e);
    } else {
        print_outcome(&app->ui, &o);
        print_json(&app->ui, &o);
        keep_record(&record, &o);
        status = verdict(app, q, &o);
    }
    drill_outcome_done(&o);
    return record_end(&record, status);
}

/* --- by the timer -------------------------------------------------------------------------------------------------- */
struct past_of {
    const char *policy;
    struct drill_past past;
};

static int take_past(void *ctx, const char *id, const struct incident *inc,
                     const struct err *broken)
{
    struct past_of *p = ctx;
    (void)id;
    if (inc && !broken && strcmp(inc->policy, p->policy) == 0)
        drill_past_add(inc, &p->past);
    return 0;
}

/* Is one due? 1: yes. */
static int is_due(struct app *app, const char *policy, struct err *e)
{
    struct past_of p = { .policy = policy, .past = { .rpo_s = -1 } };
    struct policy *pol = NULL;
    char when[32];
    int rc = policy_load(&app->paths, policy, &pol, e);
    if (rc == 0)
        rc = incidents_each(&app->paths, false, take_past, &p, e);
    if (rc == 0 && p.past.passed_s) {
        int64_t due = drill_due_s(&pol->drill, p.past.passed_s, 0);
        rc = due <= sys_realtime_s();
        if (rc == 0)
            ui_line(&app->ui, _("the next drill of \"%s\" is due on %s"), policy,
                    short_time(due * NS_PER_S, when));
    } else if (rc == 0) {
        rc = 1;
    }
    policy_free(pol);
    return rc;
}

static int clean(struct app *app, const char *policy)
{
    struct err e = ERR_INIT;
    size_t n;
    if (drill_clean(app, policy, &n, &e) < 0) {
        err_wrap(&e, "drill --clean");
        return ui_error(&app->ui, &e);
    }
    ui_line(&app->ui, P_("%zu drill cleared up", "%zu drills cleared up", n), n);
    ui_json(&app->ui, json_pack("{s:s, s:I}", "type", "cleaned", "drills", (json_int_t)n));
    return 0;
}

struct options {
    struct drill_request q;
    bool clean, if_due, loses_two;
};

enum {
    OPT_FROM = OPT_OWN,
    OPT_LOSE,
    OPT_SNAPSHOT,
    OPT_AT,
    OPT_ON,
    OPT_TO,
    OPT_KEEP,
    OPT_CLEAN,
    OPT_IF_DUE
};

static bool take_option(int c, struct options *o)
{
    switch (c) {
    case OPT_FROM:
        o->q.from = optarg;
        break;
    case OPT_LOSE:
        o->loses_two |= o->q.lose != NULL;
        o->q.lose = optarg;
        break;
    case OPT_SNAPSHOT:
        o->q.snapshot = optarg;
        break;
    case OPT_AT:
        o->q.at = optarg;
        break;
    case OPT_ON:
        o->q.on = optarg;
        break;
    case OPT_TO:
        o->q.to = optarg;
        break;
    case OPT_KEEP:
        o->q.keep = true;
        break;
    case OPT_CLEAN:
        o->clean = true;
        break;
    case OPT_IF_DUE:
        o->if_due = true;
        break;
    default:
        return choice_option(c, &o->q.choice);
    }
    return true;
}

static int check_options(struct app *app, const struct options *o, int left)
{
    const struct drill_request *q = &o->q;
    if (left > 0)
        return app_usage(app, _("one policy at a time"));
    if (o->loses_two)
        return app_usage(app, _("--lose takes one copy; from one alone: --from PLACE"));
    if (q->from && q->lose)
        return app_usage(app, _("--from and --lose exclude each other"));
    if (q->at && q->snapshot)
        return app_usage(app, _("--snapshot and --at say the same thing; give one"));
    if (q->choice.copy)
        return app_usage(app, _("a drill needs the policy; from one copy alone: --from PLACE"));
    if (q->to && q->to[0] != '/')
        return app_usage(app, _("%s: give the whole path of a folder"), q->to);
    if (!q->policy && !o->clean)
        return app_usage(app, _("which policy?"));
    return 0;
}

int cmd_drill(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "from", required_argument, NULL, OPT_FROM },
                                             { "lose", required_argument, NULL, OPT_LOSE },
                                             { "snapshot", required_argument, NULL, OPT_SNAPSHOT },
                                             { "at", required_argument, NULL, OPT_AT },
                                             { "on", required_argument, NULL, OPT_ON },
                                             { "to", required_argument, NULL, OPT_TO },
                                             { "keep", no_argument, NULL, OPT_KEEP },
                                             { "clean", no_argument, NULL, OPT_CLEAN },
                                             { "if-due", no_argument, NULL, OPT_IF_DUE },
                                             CHOICE_OPTIONS,
                                             OPTIONS_END };
    struct options o = { 0 };
    struct err e = ERR_INIT;
    int c;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1)
        if (!take_option(c, &o))
            return args_bad(app, c, argv);
    if (optind < argc)
        o.q.policy = argv[optind++];
    int status = check_options(app, &o, argc - optind);
    if (status != 0)
        return status;
    if (o.clean)
        return clean(app, o.q.policy);
    int due = o.if_due ? is_due(app, o.q.policy, &e) : 1;
    return due < 0 ? ui_error(&app->ui, &e) : due ? drill(app, &o.q) : 0;
}
