/* cmd_report.c - `twofold report`: the papers of the plans (docs/forms.md), and which one a file is. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "orchestrator/args.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/paper/evidence.h"
#include "orchestrator/paper/paper.h"
#include "orchestrator/text.h"
#include "restore/report/render.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_REPORT_NUMBER 9999
#define MAX_VERIFIED ((size_t)512 << 20)

struct report_args {
    struct paper_wish wish;
    const char *output, *evidence;
    enum paper_format format;
    bool has_format;
};

/* --- options -------------------------------------------------------------------------------------------------------------------- */
/* NAME=TEXT, cut in two where it stands: the words of the command line are ours. */
static int take_answer(struct paper_wish *w, char *word, struct err *e)
{
    char *equals = strchr(word, '=');
    if (!equals || equals == word) {
        err_set(e, ERR_USAGE, _("\"%s\" is not NAME=TEXT"), word);
        return err_next(
            e, _("names of fields: docs/forms.md; for instance --set place=\"machine room\""));
    }
    if (w->n_answers == MAX_PAPER_ANSWERS)
        return err_set(e, ERR_USAGE, _("there are more than %d --set"), MAX_PAPER_ANSWERS);
    *equals = '\0';
    if (!form_field_known(word)) {
        err_set(e, ERR_USAGE, _("no form has a field \"%s\""), word);
        return err_next(e, _("their names stand in docs/forms.md"));
    }
    w->answers[w->n_answers++] = (struct paper_answer){ word, equals + 1 };
    return 0;
}

static int take_number(struct paper_wish *w, const char *text, struct err *e)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);
    if (!*text || *end || n < 1 || n > MAX_REPORT_NUMBER)
        return err_set(e, ERR_USAGE, _("\"%s\" is not a number from 1 to %d"), text,
                       MAX_REPORT_NUMBER);
    w->number = (unsigned)n;
    return 0;
}

static int take_format(struct report_args *a, const char *text, struct err *e)
{
    a->has_format = true;
    if (!paper_format_parse(text, &a->format)) {
        err_set(e, ERR_USAGE, _("there is no format \"%s\""), text);
        return err_next(e, _("formats: text, html, pdf, docx, json"));
    }
    return 0;
}

/* By the name of the file, where nobody says. One without an ending is a text. */
static int guess_format(struct app *app, struct report_args *a, struct err *e)
{
    const char *name = a->output ? strrchr(a->output, '/') : NULL;
    name = name ? name + 1 : a->output;
    const char *dot = name ? strrchr(name, '.') : NULL;
    if (a->has_format)
        return 0;
    a->format = app->ui.json ? PAPER_JSON : PAPER_TEXT;
    if (!dot || paper_format_parse(dot + 1, &a->format))
        return 0;
    err_set(e, ERR_USAGE, _("there is no format \"%s\""), dot + 1);
    return err_next(e, _("formats: text, html, pdf, docx, json; of another ending: --format"));
}

/* --- writing ---------------------------------------------------------------------------------------------------------------------- */
/* On the timeline: that file is this report. */
static int note_report(struct app *app, struct paper *p, const struct form *f,
                       const struct report_args *a, const char *sha256, struct err *e)
{
    char path[PATH_MAX];
    const char *whole = realpath(a->output, path) ? path : a->output;
    json_t *body = json_pack("{s:s, s:i, s:s, s:s, s:o, s:s}", "form", f->name, "number",
                             (int)p->r.number, "format", paper_format_name(a->format), "sha256",
                             sha256, "path", ui_json_text(whole, strlen(whole)), "lang",
                             paper_lang_name(p->r.lang));
    if (!body)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int rc = incident_add(p->inc, EVENT_REPORT, body, e);
    if (rc == 0)
        records_later(app, p->inc);
    else
        err_wrap(e, _("note it on the timeline (%s is written, and noted nowhere)"), a->output);
    return rc;
}

/* The asked fields that nobody has answered yet: what the operator can do about them. */
static void say_blanks(struct app *app, const struct paper *p, const struct form *f)
{
    char *names = NULL;
    size_t n = 0;
    for (size_t i = 0; i < f->n_fields; i++) {
        const struct field *one = &f->fields[i];
        char *preset = one->value ? one->value(&p->r) : NULL;
        if (one->source == FIELD_ASKED && !preset && !report_answer(&p->r, one->name)) {
            char *more = text_print("%s%s%s", names ? names : "", names ? ", " : "", one->name);
            free(names);
            names = more;
            n++;
        }
        free(preset);
    }
    if (n && p->inc)
        ui_line(&app->ui,
                _("still blank: %s; say it with: twofold crash note %s --field NAME TEXT"), names,
                p->inc->id);
    else if (n)
        ui_line(&app->ui, _("still blank: %s; say it with: --set NAME=TEXT"), names);
    free(names);
}

static int write_file(struct app *app, struct paper *p, const struct form *f,
                      const struct report_args *a, const struct wbuf *out, struct err *e)
{
    char hex[2 * sizeof(struct id) + 1];
    struct id hash;
    if (access(a->output, F_OK) == 0) {
        err_set(e, ERR_EXISTS, _("there is such a file already"));
        err_next(e, _("give another name: a paper that was written stays as it is"));
        return err_wrap(e, "%s", a->output);
    }
    int rc = sys_write_file(AT_FDCWD, a->output, out->p, out->len, 0600, e);
    if (rc == -ERR_ABSENT)
        err_next(e, _("make its folder first, or give another: --output FILE"));
    if (rc < 0)
        return rc;
    sha256_of(out->p, out->len, &hash);
    hex_encode(hash.b, sizeof hash.b, hex);
    if (p->inc)
        rc = note_report(app, p, f, a, hex, e);
    if (rc < 0)
        return rc;
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "report", "form", f->name, "format",
                          paper_format_name(a->format), "sha256", hex, "path",
                          ui_json_text(a->output, strlen(a->output)));
    if (p->inc) {
        json_object_set_new(o, "incident", json_string(p->inc->id));
        json_object_set_new(o, "number", json_integer(p->r.number));
        ui_line(&app->ui, _("written: %s; noted on the timeline of %s as number %u"), a->output,
                p->inc->id, p->r.number);
    } else {
        ui_line(&app->ui, _("written: %s"), a->output);
    }
    ui_json(&app->ui, o);
    say_blanks(app, p, f);
    return 0;
}

static int show(struct app *app, const struct report_args *a, const struct wbuf *out, struct err *e)
{
    bool bytes = a->format == PAPER_PDF || a->format == PAPER_DOCX;
    if (bytes && isatty(STDOUT_FILENO)) {
        err_set(e, ERR_USAGE, _("%s is no text for a terminal"), paper_format_name(a->format));
        return err_next(e, _("say where to: --output FILE.%s"), paper_format_name(a->format));
    }
    if (app->ui.json && a->format == PAPER_JSON) {
        json_t *paper = json_loadb((const char *)out->p, out->len, 0, NULL);
        ui_json(&app->ui, json_pack("{s:s, s:o}", "type", "paper", "paper", paper));
        return 0;
    }
    if (fwrite(out->p, 1, out->len, stdout) != out->len || fflush(stdout) != 0)
        return err_sys(e, _("write to standard output"));
    return 0;
}

static int make(struct app *app, const struct form *f, struct report_args *a, struct err *e)
{
    struct paper p;
    struct document *d = NULL;
    struct wbuf out = WBUF_INIT;
    int rc = guess_format(app, a, e);
    if (rc < 0)
        return rc;
    a->wish.draft = f->of == FORM_OF_INCIDENT && !a->output;
    a->wish.noted = a->output != NULL;
    rc = paper_gather(app, f, &a->wish, &p, e);
    if (rc == 0)
        rc = form_fill(f, &p.r, &d, e);
    if (rc == 0)
        rc = render(d, a->format, &out, e);
    if (rc == 0)
        rc = a->output ? write_file(app, &p, f, a, &out, e) : show(app, a, &out, e);
    wbuf_free(&out);
    document_free(d);
    paper_done(&p);
    return rc;
}

/* --- verify ------------------------------------------------------------------------------------------------------------------------- */
struct search {
    struct app *app;
    const char *sha256;
    size_t found, broken;
};

static void say_found(struct search *s, const char *id, const struct event *ev)
{
    struct ui *ui = &s->app->ui;
    const struct form *f = form_find(event_text(ev, "form"));
    struct report words = { .lang = strncmp(_("en"), "zh", 2) == 0 ? PAPER_ZH : PAPER_EN };
    char when[32];
    ui_line(ui, _("it is report \"%s\" (%s), number %d, of incident %s"), event_text(ev, "form"),
            f ? say(&words, f->title) : "?", (int)event_int(ev, "number"), id);
    ui_line(ui, _("written %s by %s on %s"), ui_time(ev->at_s * 1000000000, when), ev->by,
            ev->host);
    ui_json(ui, json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "type", "report-verify",
                          "incident", id, "form", event_text(ev, "form"), "number",
                          (json_int_t)event_int(ev, "number"), "at", (json_int_t)ev->at_s, "by",
                          ev->by, "host", ev->host, "sha256", s->sha256));
}

static int look_into(void *ctx, const char *id, const struct incident *inc,
                     const struct err *broken)
{
    struct search *s = ctx;
    if (!inc) {
        s->broken++;
        ui_warn(&s->app->ui, _("the timeline of incident \"%s\" is left out: %s"), id,
                broken ? broken->why : "");
        return 0;
    }
    for (size_t i = 0; i < inc->n; i++)
        if (inc->events[i].kind == EVENT_REPORT &&
            strcmp(event_text(&inc->events[i], "sha256"), s->sha256) == 0) {
            say_found(s, id, &inc->events[i]);
            s->found++;
        }
    return 0;
}

static int verify(struct app *app, const char *file, struct err *e)
{
    uint8_t *p = NULL;
    size_t n = 0;
    struct id hash;
    char hex[2 * sizeof(struct id) + 1];
    int rc = sys_read_file(AT_FDCWD, file, MAX_VERIFIED, &p, &n, e);
    if (rc == -ERR_ABSENT)
        err_next(e,
                 _("check the name: it is for a paper that was written with: twofold report FORM "
                   "INCIDENT --output FILE"));
    if (rc < 0)
        return rc;
    sha256_of(p, n, &hash);
    hex_encode(hash.b, sizeof hash.b, hex);
    free(p);
    struct search s = { .app = app, .sha256 = hex };
    rc = incidents_each(&app->paths, false, look_into, &s, e);
    if (rc < 0 || s.found)
        return rc;
    if (s.broken)
        err_set(e, ERR_UNREACHABLE, _("no timeline that can be read notes this file"));
    else
        err_set(e, ERR_DAMAGED, _("no timeline of this machine notes this file"));
    err_next(
        e,
        _("at the foot of each page stands what it says it is; write that report anew and compare; "
          "a file that was changed, if only by saving it anew, is another one"));
    return err_wrap(e, "%s", file);
}

/* --- the command ----------------------------------------------------------------------------------------------------------------------- */
static char *form_names(void)
{
    char *names = text_print("%s", "");
    for (const struct form *const *f = forms; *f; f++) {
        char *more = text_print("%s%s%s", names, *names ? ", " : "", (*f)->name);
        free(names);
        names = more;
    }
    return names;
}

static int take_options(struct app *app, int argc, char **argv, struct report_args *a,
                        int *ret_status, struct err *e)
{
    enum { OPT_NUMBER = OPT_OWN, OPT_FORMAT, OPT_LANG, OPT_OUTPUT, OPT_SET, OPT_EVIDENCE };
    static const struct option options[] = { { "number", required_argument, NULL, OPT_NUMBER },
                                             { "format", required_argument, NULL, OPT_FORMAT },
                                             { "lang", required_argument, NULL, OPT_LANG },
                                             { "output", required_argument, NULL, OPT_OUTPUT },
                                             { "set", required_argument, NULL, OPT_SET },
                                             { "evidence", required_argument, NULL, OPT_EVIDENCE },
                                             OPTIONS_END };
    int c, rc = 0;
    args_begin();
    while (rc == 0 && (c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_NUMBER)
            rc = take_number(&a->wish, optarg, e);
        else if (c == OPT_FORMAT)
            rc = take_format(a, optarg, e);
        else if (c == OPT_LANG)
            a->wish.lang = optarg;
        else if (c == OPT_OUTPUT)
            a->output = optarg;
        else if (c == OPT_SET)
            rc = take_answer(&a->wish, optarg, e);
        else if (c == OPT_EVIDENCE)
            a->evidence = optarg;
        else
            return *ret_status = args_bad(app, c, argv);
    }
    return rc;
}

static int run(struct app *app, const struct form *f, struct report_args *a, struct err *e)
{
    size_t files = 0;
    if (!a->evidence)
        return make(app, f, a, e);
    int rc = evidence_write(app, &a->wish, a->evidence, &files, e);
    if (rc == 0) {
        ui_line(&app->ui, P_("%zu file written into %s", "%zu files written into %s", files), files,
                a->evidence);
        ui_json(&app->ui, json_pack("{s:s, s:I, s:s}", "type", "evidence", "files",
                                    (json_int_t)files, "path", a->evidence));
    }
    return rc;
}

int cmd_report(struct app *app, int argc, char **argv)
{
    struct report_args a = { 0 };
    struct err e = ERR_INIT;
    int status = 0, rc = take_options(app, argc, argv, &a, &status, &e);
    if (status)
        return status;
    const char *what = optind < argc ? argv[optind++] : NULL;
    const struct form *f = what ? form_find(what) : NULL;
    bool verifies = what && strcmp(what, "verify") == 0;
    if (rc == 0 && optind < argc)
        a.wish.what = argv[optind++];
    if (rc == 0 && optind < argc)
        return app_usage(app, _("unknown argument: %s"), argv[optind]);
    if (rc == 0 && a.wish.lang && strcmp(a.wish.lang, "zh") != 0 && strcmp(a.wish.lang, "en") != 0)
        return app_usage(app, _("the language \"%s\" is not known; there are zh and en"),
                         a.wish.lang);
    if (rc == 0 && !f && !verifies) {
        char *names = form_names();
        status = app_usage(app, _("which paper? %s; or verify"), names);
        free(names);
        return status;
    }
    if (rc == 0 && verifies && !a.wish.what)
        return app_usage(app, _("which file?"));
    if (rc == 0 && f && f->of == FORM_OF_SITE && a.wish.what)
        return app_usage(app, _("unknown argument: %s"), a.wish.what);
    if (rc == 0 && a.evidence && (!f || strcmp(f->name, "scoring") != 0))
        return app_usage(app, _("--evidence goes with: twofold report scoring"));
    if (rc == 0)
        rc = verifies ? verify(app, a.wish.what, &e) : run(app, f, &a, &e);
    if (rc < 0) {
        err_wrap(&e, "report%s%s", what ? " " : "", what ? what : "");
        status = ui_error(&app->ui, &e);
    }
    return status;
}
