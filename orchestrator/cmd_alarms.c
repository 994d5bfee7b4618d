/* cmd_alarms.c - `twofold alarms`: what is open, who knows of it, who was called; and `check`, which a timer of its own runs so that
 * somebody notices when twofoldd is dead (PY-DB-2, PY-AB). */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/gather.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"
#include "orchestrator/watch/watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LISTED 200
#define MAX_CALLED 64

enum { OPT_ALL = OPT_OWN, OPT_WHO, OPT_THROUGH, OPT_REACHED, OPT_NO_ANSWER };

struct args {
    const char *who, *through;
    bool all, reached, no_answer;
    char **words;
    int n;
};

/* --- list ------------------------------------------------------------------------------------------------ */
struct listing {
    struct app *app;
    size_t n;
    int64_t now_s;
};

static json_t *alarm_json(const struct alarm *a)
{
    return json_pack(
        "{s:s, s:I, s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:i, s:I, s:o, s:o}", "type",
        "alarm", "id", (json_int_t)a->id, "key", ui_json_text(a->key, strlen(a->key)), "level",
        level_name(a->level), "duty", ui_json_text(a->duty, strlen(a->duty)), "text",
        ui_json_text(a->text, strlen(a->text)), "next", ui_json_text(a->next, strlen(a->next)),
        "roles", ui_json_text(a->roles, strlen(a->roles)), "raised_s", (json_int_t)a->raised_s,
        "cleared_s", (json_int_t)a->cleared_s, "told_s", (json_int_t)a->told_s, "told",
        (int)a->told, "acked_s", (json_int_t)a->acked_s, "acked_by",
        ui_json_text(a->acked_by, strlen(a->acked_by)), "acked_through",
        ui_json_text(a->acked_through, strlen(a->acked_through)));
}

static void print_alarm(struct app *app, const struct alarm *a)
{
    char when[32], at[32];
    ui_line(&app->ui, "%5" PRIu64 "  %s  %s", a->id, time_text(a->raised_s, when),
            a->cleared_s ? _("well again") : level_word(a->level));
    char *text = text_clean(a->text, strlen(a->text), false);
    for (const char *p = text; *p; p += strspn(p, " ")) {
        size_t take = text_break(p, 72);
        ui_line(&app->ui, "       %.*s", (int)take, p);
        p += take;
    }
    free(text);
    if (!a->cleared_s && a->next[0])
        ui_line(&app->ui, _("       next: %s"), a->next);
    if (a->acked_s)
        ui_line(&app->ui, _("       acknowledged by %s at %s%s%s"), a->acked_by,
                time_text(a->acked_s, at), a->acked_through[0] ? _(", through ") : "",
                a->acked_through);
    else if (!a->cleared_s && a->told)
        ui_line(&app->ui, _("       told %u times, not acknowledged"), a->told);
    else if (!a->cleared_s)
        ui_line(&app->ui,
                _("       NOBODY WAS REACHED; whom to call: twofold alarms calls %" PRIu64), a->id);
}

static int list_one(void *ctx, const struct alarm *a)
{
    struct listing *l = ctx;
    l->n++;
    if (l->app->ui.json)
        ui_json(&l->app->ui, alarm_json(a));
    else
        print_alarm(l->app, a);
    return 0;
}

static int run_list(struct app *app, const struct args *a)
{
    struct catalog *c = NULL;
    struct err e = ERR_INIT;
    struct listing l = { .app = app };
    int rc = catalog_open(&app->paths, CATALOG_READ, &c, &e);
    if (rc == 0)
        rc = catalog_alarms(c, !a->all, MAX_LISTED, list_one, &l, &e);
    catalog_close(c);
    if (rc < 0 && rc != -ERR_ABSENT)
        return ui_error(&app->ui, &e);
    if (l.n == 0)
        ui_line(&app->ui, a->all ? _("There has been no alarm.") : _("No alarm is open."));
    return 0;
}

/* --- one alarm --------------------------------------------------------------------------------------------- */
struct find {
    struct app *app;
    uint64_t id;
    bool found;
    struct alarm a;
    char *roles, *text;
};

static int take_alarm(void *ctx, const struct alarm *a)
{
    struct find *f = ctx;
    if (a->id != f->id)
        return 0;
    f->found = true;
    f->a = *a;
    f->roles = text_print("%s", a->roles);
    f->text = text_print("%s", a->text);
    if (f->app->ui.json)
        ui_json(&f->app->ui, alarm_json(a));
    else
        print_alarm(f->app, a);
    return 1;
}

static int parse_number(const char *word, uint64_t *ret, struct err *e)
{
    char *end;
    unsigned long long n = word ? strtoull(word, &end, 10) : 0;
    if (!word || n == 0 || *end || word[0] == '-' || word[0] == '+') {
        err_set(e, ERR_USAGE, _("which alarm? \"%s\" is no number"), word ? word : "");
        return err_next(e, _("the numbers stand in: twofold alarms"));
    }
    *ret = n;
    return 0;
}

/* Prints the alarm. `show` false: silently. find_done frees. */
static int find_alarm(struct catalog *c, struct find *f, struct err *e)
{
    int rc = catalog_alarms(c, false, 0, take_alarm, f, e);
    if (rc >= 0 && !f->found) {
        err_set(e, ERR_NAME, _("there is no alarm %" PRIu64), f->id);
        return err_next(e, _("the numbers stand in: twofold alarms"));
    }
    return rc < 0 ? rc : 0;
}

static void find_done(struct find *f)
{
    free(f->roles);
    free(f->text);
}

/* --- ack ---------------------------------------------------------------------------------------------------- */
static int ack_one(struct app *app, struct catalog *c, uint64_t id, const struct args *a,
                   const char *who, struct err *e)
{
    const char *through = a->through ? a->through : "command line";
    char number[24];
    int rc = catalog_alarm_ack(c, id, who, through, watch_now_s(), e);
    if (rc < 0)
        return rc;
    snprintf(number, sizeof number, "%" PRIu64, id);
    rc = catalog_audit(
        c,
        &(struct audit_row){
            .action = "alarm.ack", .object = number, .result = "done", .detail = who },
        e);
    if (rc >= 0)
        ui_line(&app->ui, _("alarm %" PRIu64 ": acknowledged by %s, through %s"), id, who, through);
    return rc < 0 ? rc : 0;
}

struct ids {
    uint64_t *all;
    size_t n;
};

static int take_unacked(void *ctx, const struct alarm *a)
{
    struct ids *ids = ctx;
    if (a->acked_s)
        return 0;
    ids->all = facts_more(ids->all, ids->n, sizeof *ids->all);
    ids->all[ids->n++] = a->id;
    return 0;
}

static int ack_words(struct app *app, struct catalog *c, const struct args *a, struct err *e)
{
    char me[AUDIT_WHO_BYTES];
    const char *who = a->who ? a->who : audit_who(me);
    struct ids ids = { 0 };
    int rc = 0;
    if (a->n == 1 && strcmp(a->words[0], "all") == 0)
        rc = catalog_alarms(c, true, 0, take_unacked, &ids, e);
    for (int i = 0; rc >= 0 && ids.all == NULL && i < a->n; i++) {
        uint64_t id;
        if (strcmp(a->words[i], "all") == 0)
            continue;
        rc = parse_number(a->words[i], &id, e);
        if (rc == 0)
            rc = ack_one(app, c, id, a, who, e);
    }
    for (size_t i = 0; rc >= 0 && ids.all && i < ids.n; i++)
        rc = ack_one(app, c, ids.all[i], a, who, e);
    free(ids.all);
    return rc < 0 ? rc : 0;
}

/* --- the call list -------------------------------------------------------------------------------------------- */
struct history {
    struct telling *all;
    size_t n;
};

static int keep(void *ctx, const struct telling *t)
{
    struct history *h = ctx;
    h->all = facts_more(h->all, h->n, sizeof *h->all);
    h->all[h->n] = *t;
    h->all[h->n].channel = text_print("%s", t->channel);
    h->all[h->n].to = text_print("%s", t->to);
    h->all[h->n].detail = text_print("%s", t->detail);
    h->n++;
    return 0;
}

static void history_done(struct history *h)
{
    for (size_t i = 0; i < h->n; i++) {
        free((char *)h->all[i].channel);
        free((char *)h->all[i].to);
        free((char *)h->all[i].detail);
    }
    free(h->all);
}

static const struct telling *last_call(const struct history *h, const char *name)
{
    const struct telling *last = NULL;
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->all[i].channel, "call") == 0 && strcmp(h->all[i].to, name) == 0)
            last = &h->all[i];
    return last;
}

static void print_person(struct app *app, const struct called_person *p, const struct telling *t)
{
    char when[32];
    const char *phone = p->who->phone ? p->who->phone : _("no number");
    if (app->ui.json) {
        ui_json(&app->ui,
                json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:b}", "type", "call", "role",
                          p->role, "person", p->letter == 'A' ? "a" : "b", "name",
                          ui_json_text(p->who->name, strlen(p->who->name)), "phone",
                          p->who->phone ? ui_json_text(p->who->phone, strlen(p->who->phone))
                                        : json_null(),
                          "called_s", t ? json_integer((json_int_t)t->at_s) : json_null(),
                          "reached", t && t->ok, "no_answer", t && !t->ok));
        return;
    }
    char *name = text_pad(p->who->name, 18, false), *number = text_pad(phone, 18, false);
    char *role = text_pad(p->role, 17, false);
    ui_line(&app->ui, "  [%s] %s %c  %s  %s  %s",
            !t      ? " "
            : t->ok ? "x"
                    : "-",
            role, p->letter, name, number,
            !t      ? ""
            : t->ok ? time_text(t->at_s, when)
                    : _("no answer"));
    free(name);
    free(number);
    free(role);
}

static int show_calls(struct app *app, struct catalog *c, const struct args *a, struct err *e)
{
    struct find f = { .app = app };
    struct contacts *k = NULL;
    struct history h = { 0 };
    struct called_person persons[MAX_CALLED];
    int rc = parse_number(a->n == 1 ? a->words[0] : NULL, &f.id, e);
    if (rc == 0)
        rc = find_alarm(c, &f, e);
    if (rc == 0)
        rc = contacts_load(&app->paths, &k, e);
    if (rc == 0)
        rc = catalog_tellings(c, f.id, keep, &h, e);
    /* Everybody whose turn may come: a list that is printed once. */
    size_t n = rc >= 0 ? tell_persons(k, f.roles, 5, persons, MAX_CALLED) : 0;
    if (rc >= 0 && n == 0)
        ui_line(&app->ui, _("Nobody is named in contacts.yaml: write down there whom to call."));
    for (size_t i = 0; i < n; i++)
        print_person(app, &persons[i], last_call(&h, persons[i].who->name));
    if (n)
        ui_line(&app->ui,
                _("Tick each: twofold alarms called %" PRIu64 " NAME --reached or --no-answer"),
                f.id);
    history_done(&h);
    contacts_free(k);
    find_done(&f);
    return rc < 0 ? rc : 0;
}

static int note_call(struct app *app, struct catalog *c, const struct args *a, struct err *e)
{
    uint64_t id;
    char number[24];
    if (a->n != 2 || a->reached == a->no_answer) {
        err_set(e, ERR_USAGE, _("say whom, and how it ended"));
        return err_next(e, "twofold alarms called NUMBER NAME --reached|--no-answer");
    }
    int rc = parse_number(a->words[0], &id, e);
    if (rc == 0)
        rc = catalog_alarm_told(c, id, "call", a->words[1], a->reached,
                                a->reached ? "" : "no answer", watch_now_s(), e);
    if (rc < 0)
        return rc;
    snprintf(number, sizeof number, "%" PRIu64, id);
    rc = catalog_audit(c,
                       &(struct audit_row){ .action = "alarm.called",
                                            .object = number,
                                            .result = a->reached ? "reached" : "no answer",
                                            .detail = a->words[1] },
                       e);
    if (rc >= 0 && a->reached)
        ui_line(&app->ui,
                _("noted; when they take it on: twofold alarms ack %" PRIu64
                  " --who \"%s\" --through phone"),
                id, a->words[1]);
    else if (rc >= 0)
        ui_line(&app->ui, _("noted; the next one: twofold alarms calls %" PRIu64), id);
    return rc < 0 ? rc : 0;
}

/* --- history ------------------------------------------------------------------------------------------------------ */
static int show_history(struct app *app, struct catalog *c, const struct args *a, struct err *e)
{
    struct find f = { .app = app };
    struct history h = { 0 };
    char when[32];
    int rc = parse_number(a->n == 1 ? a->words[0] : NULL, &f.id, e);
    if (rc == 0)
        rc = find_alarm(c, &f, e);
    if (rc == 0)
        rc = catalog_tellings(c, f.id, keep, &h, e);
    for (size_t i = 0; i < h.n; i++) {
        const struct telling *t = &h.all[i];
        char *detail = text_clean(t->detail, strlen(t->detail), false);
        ui_line(&app->ui, "  %s  %s %s: %s%s%s", time_text(t->at_s, when), t->channel, t->to,
                t->ok ? _("told") : _("NOT TOLD"), *detail ? ": " : "", detail);
        ui_json(&app->ui, json_pack("{s:s, s:I, s:I, s:s, s:o, s:b, s:o}", "type", "telling",
                                    "alarm", (json_int_t)t->alarm, "at_s", (json_int_t)t->at_s,
                                    "channel", t->channel, "to", ui_json_text(t->to, strlen(t->to)),
                                    "ok", t->ok, "detail", ui_json_text(detail, strlen(detail))));
        free(detail);
    }
    history_done(&h);
    find_done(&f);
    return rc < 0 ? rc : 0;
}

/* --- check and tell ------------------------------------------------------------------------------------------------ */
static void heard(void *ctx, const struct recipient *r, const struct err *problem)
{
    struct app *app = ctx;
    const char *name = r->name[0] ? r->name : r->to;
    if (problem->code == ERR_NONE)
        ui_line(&app->ui, _("told: %s, %s"), r->channel, name);
    else
        ui_warn(&app->ui, _("not told: %s, %s: %s%s%s"), r->channel, name, problem->what,
                problem->what[0] ? ": " : "", problem->why);
}

static int tell(struct app *app, struct catalog *c, struct tell_result *told, struct err *e)
{
    int rc = watch_tell(c, &app->paths, watch_now_s(), heard, app, told, e);
    if (rc == -ERR_BUSY) {
        err_clear(e); /* another process does it */
        return 0;
    }
    return rc;
}

/* What a look at the copies has shown is put into the catalog, so that the watch of twofoldd knows it too. */
static int put_copies(const struct facts *f, struct catalog *c, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < f->n_copies; i++) {
        const struct copy_fact *k = &f->copies[i];
        if (!k->looked)
            continue;
        struct copy_row r = { .vault = f->vaults[k->vault].name,
                              .place = k->place,
                              .state = k->state,
                              .generation = k->generation,
                              .seen_s = k->seen_s,
                              .current_s = k->current_s,
                              .free_bytes = k->has_space ? k->free_bytes : 0,
                              .total_bytes = k->has_space ? k->total_bytes : 0,
                              .damaged_objects = k->damaged_objects,
                              .why = k->why };
        rc = catalog_copy_put(c, &r, e);
    }
    return rc < 0 ? rc : 0;
}

static void print_incidents(struct app *app, const struct facts *f)
{
    for (size_t i = 0; i < f->n_incidents; i++) {
        const struct incident_fact *n = &f->incidents[i];
        char since[32];
        size_t overdue = 0;
        if (n->drill || n->closed_s || n->unread || n->settled)
            continue;
        for (size_t k = 0; k < n->duties.n; k++)
            overdue += n->duties.all[k].state == DUTY_OVERDUE;
        time_text(n->opened_s, since);
        ui_line(&app->ui,
                P_("incident %s, open since %s: %zu duty is overdue: twofold crash duties "
                   "--incident %s",
                   "incident %s, open since %s: %zu duties are overdue: twofold crash duties "
                   "--incident %s",
                   overdue),
                n->id, since, overdue, n->id);
    }
}

static bool has_channel(const struct settings *s)
{
    return s && (s->mail_url || s->n_webhooks || s->command || s->console);
}

static int check(struct app *app, struct catalog *c, struct err *e)
{
    struct gather g = { .look = true };
    struct facts f;
    struct watch_done done = { 0 };
    struct tell_result told = { 0 };
    facts_init(&f, 0);
    int rc = gather_facts(app, &g, &f, NULL, e);
    if (rc == 0 && f.settings)
        watch_language(f.settings->language);
    if (rc == 0) {
        facts_incidents(&f, &app->paths); /* their words, in the site's language */
        facts_remind(&f, &app->paths);
    }
    if (rc == 0)
        rc = put_copies(&f, c, e);
    if (rc == 0 && !f.has_catalog) /* it has just been made */
        rc = facts_catalog(&f, c, e);
    if (rc == 0)
        rc = watch_judge(&f, c, &done, e);
    if (rc == 0)
        rc = tell(app, c, &told, e);
    if (rc == 0 && done.open && !has_channel(f.settings))
        ui_warn(&app->ui, _("nobody is told of it: there is no channel; write `notify:` into "
                            "twofold.yaml, and try it: twofold notify test"));
    if (rc == 0)
        print_incidents(app, &f);
    facts_done(&f);
    if (rc < 0)
        return rc;
    ui_line(&app->ui, _("open: %zu, new: %zu, well again: %zu; messages sent: %zu, failed: %zu"),
            done.open, done.raised, done.cleared, told.sent, told.failed);
    ui_json(&app->ui, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "type", "summary", "open",
                                (json_int_t)done.open, "raised", (json_int_t)done.raised, "cleared",
                                (json_int_t)done.cleared, "sent", (json_int_t)told.sent, "failed",
                                (json_int_t)told.failed));
    return told.failed ? -ERR_PARTIAL : 0;
}

static int run_tell(struct app *app, struct catalog *c, const struct args *a, struct err *e)
{
    struct tell_result told;
    struct settings *s = NULL;
    (void)a;
    if (settings_load(&app->paths, &s, NULL) == 0)
        watch_language(s->language);
    settings_free(s);
    return tell(app, c, &told, e);
}

static int run_check(struct app *app, struct catalog *c, const struct args *a, struct err *e)
{
    (void)a;
    int rc = check(app, c, e);
    if (rc == -ERR_PARTIAL && e->code == ERR_NONE) {
        err_set(e, ERR_PARTIAL, _("somebody could not be told"));
        err_next(e, _("see which channel failed above, and try it: twofold notify test"));
    }
    return rc;
}

/* The catalog itself cannot be read or written: nothing can be recorded, and just that must be told. */
static void tell_of_catalog(struct app *app, const struct err *why)
{
    struct settings *s = NULL;
    struct contacts *k = NULL;
    struct recipients *to = calloc(1, sizeof *to);
    char *text = text_print(_("the catalog cannot be used: %s"), why->why);
    struct alarm a = { .key = "catalog",
                       .level = ALARM_CRITICAL,
                       .duty = "SMX-6",
                       .text = text,
                       .next = why->next[0] ? why->next : "twofold catalog rebuild --copy URL",
                       .raised_s = watch_now_s() };
    const struct alarm *list[] = { &a };
    if (to && settings_load(&app->paths, &s, NULL) == 0) {
        if (contacts_load(&app->paths, &k, NULL) < 0)
            k = NULL;
        tell_ways("", 1, true, s, k, to);
    }
    for (size_t i = 0; to && i < to->n; i++) {
        struct message m;
        struct err problem = ERR_INIT;
        message_of_alarms(list, 1, s, watch_now_s(), &m);
        channel_send(s, &to->all[i], &m, &problem);
        heard(app, &to->all[i], &problem);
        message_done(&m);
    }
    settings_free(s);
    contacts_free(k);
    free(to);
    free(text);
}

/* --- the command ------------------------------------------------------------------------------------------------------ */
typedef int verb_fn(struct app *app, struct catalog *c, const struct args *a, struct err *e);
static const struct verb {
    const char *name;
    verb_fn *run;
    bool write;
} verbs[] = {
    { "ack", ack_words, true },    { "show", show_history, false }, { "calls", show_calls, false },
    { "called", note_call, true }, { "check", run_check, true },    { "tell", run_tell, true },
};

static int run_verb(struct app *app, const struct verb *v, const struct args *a)
{
    struct catalog *c = NULL;
    struct err e = ERR_INIT;
    if (strcmp(v->name, "ack") == 0 && a->n == 0)
        return app_usage(app, _("say which: a number, or all"));
    int rc = catalog_open(&app->paths, v->write ? CATALOG_WRITE : CATALOG_READ, &c, &e);
    if (rc < 0 && strcmp(v->name, "check") == 0)
        tell_of_catalog(app, &e);
    if (rc == 0)
        rc = v->run(app, c, a, &e);
    catalog_close(c);
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}

int cmd_alarms(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "all", no_argument, NULL, OPT_ALL },
                                             { "who", required_argument, NULL, OPT_WHO },
                                             { "through", required_argument, NULL, OPT_THROUGH },
                                             { "reached", no_argument, NULL, OPT_REACHED },
                                             { "no-answer", no_argument, NULL, OPT_NO_ANSWER },
                                             OPTIONS_END };
    struct args a = { 0 };
    int c;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_ALL)
            a.all = true;
        else if (c == OPT_WHO)
            a.who = optarg;
        else if (c == OPT_THROUGH)
            a.through = optarg;
        else if (c == OPT_REACHED)
            a.reached = true;
        else if (c == OPT_NO_ANSWER)
            a.no_answer = true;
        else
            return args_bad(app, c, argv);
    }
    const char *verb = optind < argc ? argv[optind] : "list";
    a.words = argv + optind + 1;
    a.n = optind < argc ? argc - optind - 1 : 0;
    if (strcmp(verb, "list") == 0)
        return a.n ? app_usage(app, _("unknown argument: %s"), a.words[0]) : run_list(app, &a);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, verb) == 0)
            return run_verb(app, &verbs[i], &a);
    return app_usage(app, _("there is no such action: %s"), verb);
}
