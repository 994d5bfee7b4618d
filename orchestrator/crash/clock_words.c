/* clock_words.c - `twofold crash done|level|action|ack|duties|tell`: what people say to the incident clock; see clock.h. */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/crash/clock.h"
#include "orchestrator/crash/notice.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/gather.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000
#define MAX_ACTION_NUMBER 100000

enum {
    OPT_INCIDENT = OPT_OWN,
    OPT_AT,
    OPT_OWNER,
    OPT_DUE,
    OPT_NOTICE,
    OPT_THROUGH,
    OPT_ALL,
    OPT_ADOPT
};

const char *const crash_clock_usage[] = {
    "crash done DUTY [--at TIME] [--incident ID]",
    "crash level 1|2|3|4 [WHY…] [--incident ID]",
    "crash action add TEXT… --owner NAME --due DATE [--incident ID]",
    "crash action done NUMBER [--at TIME] [--incident ID]",
    "crash ack UNIT [--notice hold-uploads|resume-uploads] [--through HOW] [--incident ID]",
    "crash duties [--all] [--incident ID]",
    "crash records [--adopt] [ID] [--vault NAME | --copy URL …]",
    NULL,
};

struct words {
    const char *incident, *at, *owner, *due, *notice, *through;
    bool all, adopt;
    struct vault_choice choice;
    char **v;
    int n;
};

/* All words from the n-th on, as one text; owned. */
static char *rest(const struct words *w, int from)
{
    char *text = text_print("%s", "");
    for (int i = from; i < w->n; i++) {
        char *joined = text_print("%s%s%s", text, *text ? " " : "", w->v[i]);
        free(text);
        text = joined;
    }
    return text;
}

static int usage(struct err *e, const char *next)
{
    err_set(e, ERR_USAGE, _("something is missing, or too much"));
    return err_next(e, "twofold %s", next);
}

/* When it was done: now, or as --at says; 0 with `now` only when nothing is said. */
static int time_of(const char *text, int64_t *ret_s, struct err *e)
{
    int64_t ns = 0;
    int rc = text ? parse_time(text, &ns, e) : 0;
    if (rc == 0)
        *ret_s = ns / NS_PER_S;
    return rc;
}

static int number_of(const char *text, int64_t *ret, struct err *e)
{
    char *end = NULL;
    unsigned long v = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (v >= 1 && v <= MAX_ACTION_NUMBER && *end == '\0') {
        *ret = (int64_t)v;
        return 0;
    }
    err_set(e, ERR_USAGE, _("\"%s\" is not a number"), text);
    return err_next(e, _("the numbers stand in: twofold crash duties --all"));
}

/* --- done ------------------------------------------------------------------------------------------- */
static int no_duty(const struct duty_list *l, const char *word, struct err *e)
{
    char list[500] = "", own[MAX_DUTY_ID + 12];
    for (size_t i = 0; i < l->n; i++) {
        size_t n = strlen(list);
        if (l->all[i].state < DUTY_DONE && n + sizeof own + 2 < sizeof list)
            snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", duty_word(&l->all[i], own));
    }
    err_set(e, ERR_NAME, _("the incident has no duty \"%s\""), word);
    return err_next(e, _("those that are open: %s"), *list ? list : "-");
}

/* What says more than that it was done is said by a word of its own. */
static int needs_more(const struct duty *d, struct err *e)
{
    if (strcmp(d->id, "level") != 0 && strcmp(d->id, "action") != 0)
        return 0;
    err_set(e, ERR_USAGE, _("\"%s\" is not just done: say what came of it"), d->id);
    return err_next(e, "%s", d->next);
}

static int run_done(struct app *app, struct incident *inc, const struct words *w, struct err *e)
{
    struct duty_list l = { 0 };
    char own[MAX_DUTY_ID + 12], when[32];
    int64_t at_s = 0;
    if (w->n != 1)
        return usage(e, crash_clock_usage[0]);
    int rc = time_of(w->at, &at_s, e);
    if (rc == 0)
        rc = crash_duties(&app->paths, inc, watch_now_s(), &l, e);
    const struct duty *d = rc == 0 ? duties_find(&l, w->v[0]) : NULL;
    if (rc == 0 && !d)
        rc = no_duty(&l, w->v[0], e);
    if (rc == 0 && d)
        rc = needs_more(d, e);
    if (rc == 0 && d && d->state == DUTY_DONE) {
        ui_line(&app->ui, _("%s was done: %s"), duty_word(d, own), time_text(d->done_s, when));
    } else if (rc == 0 && d) {
        json_t *body = json_pack("{s:s, s:s, s:I}", "duty", d->id, "state", "done", "number",
                                 (json_int_t)d->number);
        if (at_s)
            json_object_set_new(body, "done", json_integer((json_int_t)at_s));
        rc = incident_add(inc, EVENT_DUTY, body, e);
        if (rc == 0)
            ui_line(&app->ui, _("noted: %s is done"), duty_word(d, own));
    }
    duties_done(&l);
    return rc;
}

/* --- level --------------------------------------------------------------------------------------------- */
static int run_level(struct app *app, struct incident *inc, const struct words *w, struct err *e)
{
    static const char *const roman[] = { "I", "II", "III", "IV" };
    int level = 0;
    for (int i = 0; w->n > 0 && i < 4; i++)
        if (strcmp(w->v[0], roman[i]) == 0 || (w->v[0][0] == '1' + i && w->v[0][1] == '\0'))
            level = i + 1;
    if (!level) {
        err_set(e, ERR_USAGE, _("say the level: 1 (the gravest) to 4, or I to IV"));
        return err_next(e, "twofold %s", crash_clock_usage[1]);
    }
    char *why = rest(w, 1);
    int rc = incident_add(inc, EVENT_LEVEL,
                          json_pack("{s:i, s:o}", "level", level, "why", event_json(why, 0)), e);
    free(why);
    if (rc == 0)
        ui_line(&app->ui, _("noted: level %s%s"), roman[level - 1],
                level <= 2 ? _("; a report every day, too (XJ-3.2)") : "");
    return rc;
}

/* --- corrective actions ----------------------------------------------------------------------------------- */
static const struct event *newest_action(const struct incident *inc, int64_t number)
{
    for (size_t i = inc->n; i-- > 0;)
        if (inc->events[i].kind == EVENT_ACTION &&
            (number == 0 || event_int(&inc->events[i], "action") == number))
            return &inc->events[i];
    return NULL;
}

static json_t *action_json(int64_t number, const char *text, const char *owner, int64_t due_s,
                           int64_t done_s)
{
    return json_pack("{s:I, s:o, s:o, s:I, s:I}", "action", (json_int_t)number, "text",
                     event_json(text, 0), "owner", event_json(owner, 0), "due", (json_int_t)due_s,
                     "done", (json_int_t)done_s);
}

static int64_t next_action(const struct incident *inc)
{
    int64_t most = 0;
    for (size_t i = 0; i < inc->n; i++)
        if (inc->events[i].kind == EVENT_ACTION && event_int(&inc->events[i], "action") > most)
            most = event_int(&inc->events[i], "action");
    return most + 1;
}

static int add_action(struct app *app, struct incident *inc, const struct words *w, struct err *e)
{
    int64_t due_s = 0, number = next_action(inc);
    char when[32];
    if (w->n < 2 || !w->owner || !*w->owner || !w->due) {
        err_set(e, ERR_USAGE, _("a corrective action has an owner and a date (PY-7.3)"));
        return err_next(e, "twofold %s", crash_clock_usage[2]);
    }
    int rc = time_of(w->due, &due_s, e);
    if (rc == 0 && due_s <= inc->opened_s) {
        err_set(e, ERR_USAGE, _("the date is before the incident: %s"), w->due);
        return err_next(e, "twofold %s", crash_clock_usage[2]);
    }
    char *text = rest(w, 1);
    if (rc == 0)
        rc = incident_add(inc, EVENT_ACTION, action_json(number, text, w->owner, due_s, 0), e);
    free(text);
    if (rc == 0)
        ui_line(&app->ui,
                _("noted: corrective action %lld, due %s; when it is mended: twofold "
                  "crash action done %lld --incident %s"),
                (long long)number, time_text(due_s, when), (long long)number, inc->id);
    return rc;
}

static int end_action(struct app *app, struct incident *inc, const struct words *w, struct err *e)
{
    int64_t number = 0, at_s = 0;
    if (w->n != 2)
        return usage(e, crash_clock_usage[3]);
    int rc = number_of(w->v[1], &number, e);
    if (rc == 0)
        rc = time_of(w->at, &at_s, e);
    const struct event *ev = rc == 0 ? newest_action(inc, number) : NULL;
    if (rc == 0 && !ev) {
        err_set(e, ERR_NAME, _("there is no corrective action %lld"), (long long)number);
        return err_next(e, _("those that there are: twofold crash duties --all --incident %s"),
                        inc->id);
    }
    if (rc == 0)
        rc = incident_add(inc, EVENT_ACTION,
                          action_json(number, event_text(ev, "text"), event_text(ev, "owner"),
                                      event_int(ev, "due"), at_s ? at_s : watch_now_s()),
                          e);
    if (rc == 0)
        ui_line(&app->ui, _("noted: corrective action %lld is done"), (long long)number);
    return rc;
}

static int run_action(struct app *app, struct incident *inc, const struct words *w, struct err *e)
{
    if (w->n >= 1 && strcmp(w->v[0], "add") == 0)
        return add_action(app, inc, w, e);
    if (w->n >= 1 && strcmp(w->v[0], "done") == 0)
        return end_action(app, inc, w, e);
    return usage(e, crash_clock_usage[2]);
}

/* --- units ---------------------------------------------------------------------------------------------------- */
static int run_ack(struct app *app, struct incident *inc, const struct words *w, struct err *e)
{
    enum notice_kind kind = inc->recovered_s ? NOTICE_RESUME : NOTICE_HOLD;
    if (w->n != 1 || (w->notice && !notice_parse(w->notice, &kind)))
        return usage(e, crash_clock_usage[4]);
    int rc = notice_ack(app, inc, kind, w->v[0], w->through, e);
    if (rc == 0)
        ui_line(&app->ui, _("noted: %s knows (%s)"), w->v[0], notice_name(kind));
    return rc;
}

/* NOTICE, and then UNIT CHANNEL for one attempt; for the processes that notice_send starts. */
static int run_tell(struct app *app, struct incident *inc, const struct words *w, struct err *e)
{
    enum notice_kind kind;
    if ((w->n != 1 && w->n != 3) || !notice_parse(w->v[0], &kind))
        return usage(e, "crash tell INCIDENT hold-uploads|resume-uploads [UNIT mail|command]");
    return w->n == 1 ? notice_tell(app, inc, kind, e)
                     : notice_try(app, inc, kind, w->v[1], w->v[2], e);
}

static int run_duties(struct app *app, struct incident *inc, const struct words *w, struct err *e)
{
    size_t overdue = 0;
    if (w->n != 0)
        return usage(e, crash_clock_usage[5]);
    int rc = duties_print(app, inc, w->all, &overdue, e);
    if (rc < 0 || overdue == 0)
        return rc;
    err_set(e, ERR_PARTIAL,
            P_("%zu duty of the incident is overdue", "%zu duties of the incident are overdue",
               overdue),
            overdue);
    return err_next(e, _("each says above what does it"));
}

/* --- records ------------------------------------------------------------------------------------------------------ */
/* For the process that records_later starts. */
static int run_record(struct app *app, struct incident *inc, const struct words *w, struct err *e)
{
    return w->n == 0 ? records_run(app, inc, e) : usage(e, "crash record INCIDENT");
}

/* Of the copies, not of this machine: so it needs no incident. */
static int show_records(struct app *app, const struct words *w, struct err *e)
{
    const struct vault_choice *c = &w->choice;
    struct vault *v = NULL;
    size_t n = 0;
    bool key = w->adopt || c->recovery_file || c->passphrase_file;
    if (w->n > 1 || (w->n == 1 && !w->adopt))
        return usage(e, crash_clock_usage[6]);
    int rc = app_open_vault(app, c, false, key, &v, e);
    if (rc == 0 && w->adopt)
        rc = records_adopt(app, v, w->n ? w->v[0] : NULL, &n, e);
    else if (rc == 0)
        rc = records_print(app, v, e);
    vault_close(v);
    return rc;
}

/* --- which word -------------------------------------------------------------------------------------------------- */
typedef int word_fn(struct app *app, struct incident *inc, const struct words *w, struct err *e);
static const struct word {
    const char *name;
    word_fn *run;
} table[] = {
    { "done", run_done },     { "level", run_level }, { "action", run_action }, { "ack", run_ack },
    { "duties", run_duties }, { "tell", run_tell },   { "record", run_record },
};

static int run_word(struct app *app, word_fn *run, struct words *w)
{
    struct incident *inc = NULL;
    struct err e = ERR_INIT;
    /* These are called by programs, with the incident as their first word. */
    bool by_program = run == run_tell || run == run_record;
    if (by_program && w->n > 0) {
        w->incident = w->v[0];
        w->v++;
        w->n--;
    }
    int rc = incident_open(&app->paths, w->incident, &inc, &e);
    if (rc == 0)
        rc = run(app, inc, w, &e);
    if (rc == 0 && !by_program && run != run_duties)
        records_later(app, inc);
    incident_free(inc);
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}

int crash_clock_word(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "incident", required_argument, NULL, OPT_INCIDENT },
                                             { "at", required_argument, NULL, OPT_AT },
                                             { "owner", required_argument, NULL, OPT_OWNER },
                                             { "due", required_argument, NULL, OPT_DUE },
                                             { "notice", required_argument, NULL, OPT_NOTICE },
                                             { "through", required_argument, NULL, OPT_THROUGH },
                                             { "all", no_argument, NULL, OPT_ALL },
                                             { "adopt", no_argument, NULL, OPT_ADOPT },
                                             CHOICE_OPTIONS,
                                             OPTIONS_END };
    struct words w = { 0 };
    word_fn *run = NULL;
    int c;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, argv[0]) == 0)
            run = table[i].run;
    bool records = strcmp(argv[0], "records") == 0;
    if (!run && !records)
        return -1;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        const char **to = c == OPT_INCIDENT  ? &w.incident
                          : c == OPT_AT      ? &w.at
                          : c == OPT_OWNER   ? &w.owner
                          : c == OPT_DUE     ? &w.due
                          : c == OPT_NOTICE  ? &w.notice
                          : c == OPT_THROUGH ? &w.through
                                             : NULL;
        if (to)
            *to = optarg;
        else if (c == OPT_ALL)
            w.all = true;
        else if (c == OPT_ADOPT)
            w.adopt = true;
        else if (!records || !choice_option(c, &w.choice))
            return args_bad(app, c, argv);
    }
    w.v = argv + optind;
    w.n = argc - optind;
    if (run)
        return run_word(app, run, &w);
    struct err e = ERR_INIT;
    return show_records(app, &w, &e) < 0 ? ui_error(&app->ui, &e) : 0;
}
