/* cmd_media.c - twofold media list|show|move|label: the register of carried disks - what is written on each, where it lies, who took
 * it, and when (PY-fire: the evacuation sheet says where each copy is). A history: nothing in it is changed. */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/catalog/catalog.h"
#include "orchestrator/text.h"

#include <stdlib.h>
#include <string.h>

enum { OPT_WHERE = OPT_OWN, OPT_WHO, OPT_NOTE };

struct args {
    const char *vault, *where, *who, *note;
    char **words;
    int n;
};

struct media {
    struct app *app;
    struct catalog *c;
    const struct args *a;
    struct vault_conf *conf;
    struct err *e;
};

/* --- what is known ----------------------------------------------------------------------------------------------------- */
/* One entry, owned. */
struct entry {
    char *label, *where, *who, *note;
    int64_t at_s;
};

static void entry_done(struct entry *x)
{
    free(x->label);
    free(x->where);
    free(x->who);
    free(x->note);
    *x = (struct entry){ 0 };
}

struct finding {
    const char *vault;
    struct entry newest;
};

static int take_newest(void *ctx, const struct medium *m)
{
    struct finding *f = ctx;
    if (strcmp(m->vault, f->vault) != 0)
        return 0;
    f->newest = (struct entry){ .label = text_print("%s", m->label),
                                .where = text_print("%s", m->where),
                                .who = text_print("%s", m->who),
                                .note = text_print("%s", m->note),
                                .at_s = m->at_s };
    return 1; /* newest first */
}

/* at_s 0: there is none. */
static int newest_of(struct media *m, const char *place, struct entry *ret)
{
    struct finding f = { .vault = m->conf->name };
    int rc = m->c ? catalog_media(m->c, place, true, take_newest, &f, m->e) : 0;
    *ret = f.newest;
    return rc < 0 ? rc : 0;
}

static void show(struct media *m, const char *place, const struct entry *x)
{
    char when[32];
    struct ui *ui = &m->app->ui;
    if (x->at_s == 0)
        ui_line(ui, _("%s: nothing is noted yet: twofold media move %s --where TEXT --who NAME"),
                place, place);
    else
        ui_line(ui, _("%s: \"%s\", %s; %s, %s%s%s"), place, x->label[0] ? x->label : place,
                x->where[0] ? x->where : _("nobody has noted where"),
                x->who[0] ? x->who : _("nobody is named"), ui_time(x->at_s * 1000000000, when),
                x->note[0] ? "; " : "", x->note);
    ui_json(ui, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "type", "medium", "vault",
                          m->conf->name, "place", place, "label", x->label ? x->label : "", "where",
                          x->where ? x->where : "", "who", x->who ? x->who : "", "note",
                          x->note ? x->note : "", "at_s", (json_int_t)x->at_s));
}

static int media_list(struct media *m)
{
    struct entry x;
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->conf->n_copies; i++) {
        const struct copy_conf *c = &m->conf->copies[i];
        rc = newest_of(m, c->place, &x);
        if (rc == 0 && (c->rotating || x.at_s)) {
            show(m, c->place, &x);
            n++;
        }
        entry_done(&x);
    }
    if (rc == 0 && n == 0)
        ui_line(&m->app->ui, _("No copy of vault \"%s\" is carried (presence: rotating)."),
                m->conf->name);
    return rc;
}

static int show_one(void *ctx, const struct medium *x)
{
    struct media *m = ctx;
    struct finding f = { .vault = m->conf->name };
    if (take_newest(&f, x))
        show(m, x->place, &f.newest);
    entry_done(&f.newest);
    return 0;
}

static int media_show(struct media *m)
{
    struct entry x;
    int rc = newest_of(m, m->a->words[0], &x);
    if (rc == 0 && x.at_s == 0)
        show(m, m->a->words[0], &x);
    entry_done(&x);
    return rc == 0 && m->c ? catalog_media(m->c, m->a->words[0], true, show_one, m, m->e) : rc;
}

/* --- new entries ---------------------------------------------------------------------------------------------------------- */
static int put(struct media *m, const char *label, const char *where, const char *who,
               const char *note)
{
    struct entry x = { 0 };
    struct medium new = { .vault = m->conf->name,
                          .place = m->a->words[0],
                          .label = label,
                          .where = where,
                          .who = who,
                          .note = note };
    int rc = catalog_medium_put(m->c, &new, m->e);
    if (rc == 0)
        rc = newest_of(m, m->a->words[0], &x);
    if (rc == 0)
        show(m, m->a->words[0], &x);
    entry_done(&x);
    return rc;
}

static int media_move(struct media *m)
{
    char me[AUDIT_WHO_BYTES];
    struct entry x;
    int rc = newest_of(m, m->a->words[0], &x);
    if (rc == 0)
        rc = put(m, x.label ? x.label : m->a->words[0], m->a->where,
                 m->a->who ? m->a->who : audit_who(me), m->a->note ? m->a->note : "");
    entry_done(&x);
    return rc;
}

static int media_label(struct media *m)
{
    char me[AUDIT_WHO_BYTES];
    struct entry x;
    int rc = newest_of(m, m->a->words[0], &x);
    if (rc == 0)
        rc = put(m, m->a->words[1], x.where ? x.where : "", m->a->who ? m->a->who : audit_who(me),
                 m->a->note ? m->a->note : "");
    entry_done(&x);
    return rc;
}

/* --- the command ------------------------------------------------------------------------------------------------------------ */
static const struct verb {
    const char *name;
    int (*run)(struct media *m);
    int words;
    bool writes, where;
} verbs[] = {
    { "list", media_list, 0, false, false },
    { "show", media_show, 1, false, false },
    { "move", media_move, 1, true, true },
    { "label", media_label, 2, true, false },
};

static int take_args(struct app *app, const struct verb *v, struct args *a, int argc, char **argv)
{
    static const struct option options[] = {
        { "vault", required_argument, NULL, OPT_VAULT },
        { "where", required_argument, NULL, OPT_WHERE },
        { "who", required_argument, NULL, OPT_WHO },
        { "note", required_argument, NULL, OPT_NOTE },
        OPTIONS_END,
    };
    int c;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        const char **to = c == OPT_VAULT   ? &a->vault
                          : c == OPT_WHERE ? &a->where
                          : c == OPT_WHO   ? &a->who
                          : c == OPT_NOTE  ? &a->note
                                           : NULL;
        if (!to)
            return args_bad(app, c, argv);
        *to = optarg;
    }
    a->words = argv + optind;
    a->n = argc - optind;
    if (a->n < v->words)
        return app_usage(app, v->words == 2 ? _("which copy, and what is written on the disk?")
                                            : _("which copy?"));
    if (a->n > v->words)
        return app_usage(app, _("\"%s\" is not expected here"), a->words[v->words]);
    if (v->where && (!a->where || !a->where[0]))
        return app_usage(app, _("where is it now? --where TEXT"));
    return 0;
}

static int check_place(const struct media *m)
{
    for (size_t i = 0; i < m->conf->n_copies; i++)
        if (m->a->n == 0 || strcmp(m->conf->copies[i].place, m->a->words[0]) == 0)
            return 0;
    err_set(m->e, ERR_USAGE, _("vault \"%s\" has no copy at a place \"%s\""), m->conf->name,
            m->a->words[0]);
    return err_next(m->e, _("see which there are: twofold copy list"));
}

int cmd_media(struct app *app, int argc, char **argv)
{
    struct args a = { 0 };
    struct err e = ERR_INIT;
    struct media m = { .app = app, .a = &a, .e = &e };
    const struct verb *v = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            v = &verbs[i];
    if (!v)
        return argc < 2 ? app_usage(app, _("say what to do: list, show, move or label"))
                        : app_usage(app, _("\"%s\" is none of list, show, move, label"), argv[1]);
    int rc = take_args(app, v, &a, argc - 1, argv + 1);
    if (rc != 0)
        return rc;
    rc = vault_conf_load(&app->paths, a.vault, &m.conf, &e);
    if (rc == 0)
        rc = check_place(&m);
    if (rc == 0)
        rc = catalog_open(&app->paths, v->writes ? CATALOG_WRITE : CATALOG_READ, &m.c, &e);
    if (rc == -ERR_ABSENT && !v->writes && m.conf) { /* no catalog yet: nothing is noted */
        err_clear(&e);
        rc = 0;
    }
    if (rc == 0)
        rc = v->run(&m);
    catalog_close(m.c);
    vault_conf_free(m.conf);
    if (rc == 0)
        return 0;
    err_wrap(&e, "media %s", v->name);
    return ui_error(&app->ui, &e);
}
