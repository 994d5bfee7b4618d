/* cmd_copy.c - twofold copy list|add|remove|trust: the copies of a vault that exists (PY-DB-1). A new one is made, then written into
 * vaults/NAME.yaml, and filled by the next run; a removed one leaves the configuration and keeps its data. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/catalog/catalog.h"
#include "orchestrator/copy_access.h"
#include "orchestrator/init.h"
#include "orchestrator/look.h"
#include "orchestrator/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RECOVERY_FILE 65536

enum {
    OPT_ROTATING = OPT_OWN,
    OPT_EVERY,
    OPT_NOT_DELETABLE,
    OPT_LIMIT,
    OPT_FINGERPRINT,
    OPT_FORCE
};

struct args {
    const char *vault, *fingerprint, *identity, *host_key;
    struct copy_conf copy; /* rotating, every, deletable, limit; the rest by `add` */
    bool force, every;
    const char *word; /* PLACE=URL, or PLACE */
};

/* --- list ------------------------------------------------------------------------------------------------------------ */
struct states {
    const struct vault_conf *conf;
    char name[MAX_COPIES][24];
    int64_t current_s[MAX_COPIES];
};

static int take_state(void *ctx, const struct copy_row *r)
{
    struct states *s = ctx;
    for (size_t i = 0; i < s->conf->n_copies; i++)
        if (strcmp(s->conf->copies[i].place, r->place) == 0) {
            snprintf(s->name[i], sizeof s->name[i], "%s", r->state);
            s->current_s[i] = r->current_s;
        }
    return 0;
}

/* As last seen; without a catalog nothing is known, which is no error here. */
static void read_states(struct app *app, struct states *s)
{
    struct catalog *c = NULL;
    if (catalog_open(&app->paths, CATALOG_READ, &c, NULL) == 0)
        catalog_copies(c, s->conf->name, take_state, s, NULL);
    catalog_close(c);
}

static void list_copy(struct app *app, const struct states *s, size_t i)
{
    const struct copy_conf *c = &s->conf->copies[i];
    char every[64], *place = text_pad(c->place, 16, false), *url = ui_path(c->url, strlen(c->url));
    char *carried = c->rotating
                        ? text_print(_(", carried, every %s"), ui_age((int64_t)c->every_s, every))
                        : text_print("%s", "");
    ui_line(&app->ui, "%s %s (%s%s%s)", place, url, s->name[i][0] ? s->name[i] : _("not seen yet"),
            carried, c->deletable ? "" : _(", not deletable from here"));
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:s, s:o, s:b, s:I, s:b, s:s, s:I}", "type", "copy", "vault",
                      s->conf->name, "place", c->place, "url", ui_json_text(c->url, strlen(c->url)),
                      "rotating", c->rotating, "every_s",
                      (json_int_t)(c->rotating ? c->every_s : 0), "deletable", c->deletable,
                      "state", s->name[i], "current_s", (json_int_t)s->current_s[i]));
    free(place);
    free(url);
    free(carried);
}

static int verb_list(struct app *app, struct args *a, struct vault_conf *conf, struct err *e)
{
    struct states s = { .conf = conf };
    (void)a;
    (void)e;
    read_states(app, &s);
    for (size_t i = 0; i < conf->n_copies; i++)
        list_copy(app, &s, i);
    return 0;
}

/* --- add --------------------------------------------------------------------------------------------------------------- */
/* What each copy begins with, from one that there is. */
struct beginning {
    uint8_t *vault, *recovery;
    size_t vault_len, recovery_len; /* recovery_len 0: it is kept off the copies */
};

static void beginning_done(struct beginning *b)
{
    free(b->vault);
    free(b->recovery);
}

static bool is_this_vault(const struct vault *v, const uint8_t *p, size_t n)
{
    struct vault_public pub;
    return vault_object_read(p, n, &pub, NULL) == 0 && id_eq(&pub.vault_id, &v->keys.vault_id) &&
           vault_object_is_of(&pub, &v->keys);
}

static int read_beginning(const struct vault *v, struct beginning *b, struct err *e)
{
    int rc = err_set(e, ERR_UNREACHABLE, _("no copy can be read"));
    for (size_t i = 0; rc < 0 && i < v->n_copies; i++) {
        const struct copy *c = &v->copies[i];
        if (!c->store || c->state == COPY_AWAY || c->state == COPY_WRONG)
            continue;
        free(b->vault);
        b->vault = NULL;
        rc = store_get_all(c->store, VAULT_OBJECT_NAME, MAX_RECOVERY_FILE, &b->vault, &b->vault_len,
                           e);
        if (rc == 0 && !is_this_vault(v, b->vault, b->vault_len))
            rc = err_set(e, ERR_DAMAGED, _("its vault object is not the right one"));
    }
    for (size_t i = 0; rc == 0 && !b->recovery && i < v->n_copies; i++) {
        const struct copy *c = &v->copies[i];
        if (c->store && c->state != COPY_AWAY && c->state != COPY_WRONG)
            store_get_all(c->store, RECOVERY_OBJECT_NAME, MAX_RECOVERY_FILE, &b->recovery,
                          &b->recovery_len, NULL);
    }
    return rc;
}

/* A copy of this vault that is there already (an earlier try, or a disk that was removed once) is taken as it is. */
static int open_existing(const struct vault *v, const char *url, const struct store_options *o,
                         struct store **ret, const struct err *why, struct err *e)
{
    struct store *s = NULL;
    uint8_t *p = NULL;
    size_t n = 0;
    int rc = store_open_with(url, o, 0, &s, e);
    if (rc == 0)
        rc = store_get_all(s, VAULT_OBJECT_NAME, MAX_RECOVERY_FILE, &p, &n, e);
    if (rc == 0 && is_this_vault(v, p, n)) {
        *ret = s;
        s = NULL;
    } else if (e) {
        *e = *why; /* "the folder is not empty" says it best */
        rc = -(int)why->code;
    }
    store_close(s);
    free(p);
    return rc;
}

/* Recovery object first, vault object last: with that it is a copy. */
static int make_copy(const struct vault *v, const struct copy_conf *c, bool *ret_was_there,
                     struct err *e)
{
    struct store_options o = { .identity = c->identity, .host_key = c->host_key };
    struct beginning b = { 0 };
    struct store *s = NULL;
    int rc = read_beginning(v, &b, e);
    if (rc == 0 && (rc = store_open_with(c->url, &o, STORE_CREATE, &s, e)) == -ERR_EXISTS) {
        struct err why = e ? *e : ERR_INIT;
        rc = open_existing(v, c->url, &o, &s, &why, e);
        *ret_was_there = rc == 0;
    }
    struct store_data recovery = { .p = b.recovery, .fd = -1, .len = b.recovery_len },
                      vault = { .p = b.vault, .fd = -1, .len = b.vault_len };
    if (rc == 0 && !*ret_was_there && b.recovery_len)
        rc = store_put(s, RECOVERY_OBJECT_NAME, &recovery, e);
    if (rc == 0 && !*ret_was_there)
        rc = store_put(s, VAULT_OBJECT_NAME, &vault, e);
    store_close(s);
    beginning_done(&b);
    return rc < 0 ? err_wrap(e, _("make copy \"%s\""), c->place) : 0;
}

static int set(char **to, const char *text, struct err *e)
{
    *to = strdup(text);
    return *to ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
}

/* How the other host is known and entered: what was said, and else what copy_prepare finds out or makes. */
static int fill_access(struct app *app, const struct args *a, const char *vault,
                       struct copy_conf *c, struct err *e)
{
    int rc = a->host_key ? set(&c->host_key, a->host_key, e) : 0;
    if (rc == 0 && a->fingerprint && !a->host_key)
        rc = copy_host_key(app, c->url, a->fingerprint, &c->host_key, e);
    if (rc == 0 && a->identity)
        rc = absolute_url(a->identity, &c->identity, e);
    return rc == 0 ? copy_prepare(app, vault, c, e) : rc;
}

static int check_with(const struct vault_conf *conf, const struct copy_conf *c, struct err *e)
{
    struct copy_conf all[MAX_COPIES + 1];
    memcpy(all, conf->copies, conf->n_copies * sizeof *all);
    all[conf->n_copies] = *c;
    return copies_check(all, conf->n_copies + 1, e);
}

static int add_to(struct app *app, const struct vault_conf *conf, const struct copy_conf *c,
                  bool *ret_was_there, struct err *e)
{
    struct vault *v = NULL;
    int rc = open_vault_quietly(app, conf->name, false, &v, e);
    if (rc == 0)
        rc = make_copy(v, c, ret_was_there, e);
    vault_close(v);
    return rc == 0 ? vault_conf_copy_add(&app->paths, conf->name, c, e) : rc;
}

static void say_added(struct app *app, const struct vault_conf *conf, const struct copy_conf *c,
                      bool was_there)
{
    ui_line(&app->ui,
            was_there
                ? _("Copy \"%s\" of vault \"%s\" was there already, and belongs to it again: %s")
                : _("Copy \"%s\" of vault \"%s\" is made: %s"),
            c->place, conf->name, c->url);
    ui_line(&app->ui, _("Next: fill it: twofold replicate --copy %s, or the next backup does"),
            c->place);
    ui_json(&app->ui, json_pack("{s:s, s:s, s:s, s:o, s:b}", "type", "copy", "vault", conf->name,
                                "place", c->place, "url", ui_json_text(c->url, strlen(c->url)),
                                "was_there", was_there));
}

/* A carried disk that is not mounted leaves an empty folder on the system's own disk, where nobody wants its copy. */
static int check_mounted(const struct args *a, const struct copy_conf *c, struct err *e)
{
    struct stat root, st;
    char *folder = c->url[0] == '/' ? text_print("%s", c->url) : NULL;
    bool on_system = false;
    while (c->rotating && folder && folder[1]) { /* the folder itself may not be there yet */
        if (stat(folder, &st) == 0) {
            on_system = stat("/", &root) == 0 && st.st_dev == root.st_dev;
            break;
        }
        char *slash = strrchr(folder, '/');
        slash[slash == folder] = '\0';
    }
    free(folder);
    if (!on_system || a->force)
        return 0;
    err_set(e, ERR_REFUSED, _("%s is on this machine's own disk"), c->url);
    return err_next(e, _("mount the disk that is to be carried there; or say --force"));
}

static int verb_add(struct app *app, struct args *a, struct vault_conf *conf, struct err *e)
{
    struct copy_conf c = { .place = NULL };
    bool was_there = false;
    int rc = copy_argument(a->word, &c, e);
    c.rotating = a->copy.rotating || a->every;
    c.every_s = a->every ? a->copy.every_s : DEFAULT_EVERY_S;
    c.deletable = a->copy.deletable;
    c.limit_bytes_s = a->copy.limit_bytes_s;
    if (rc == 0)
        rc = check_with(conf, &c, e);
    if (rc == 0)
        rc = check_mounted(a, &c, e);
    if (rc == 0)
        rc = fill_access(app, a, conf->name, &c, e);
    if (rc == 0 && (rc = add_to(app, conf, &c, &was_there, e)) < 0)
        rc = copy_not_let_in(&c, e);
    if (rc == 0)
        say_added(app, conf, &c, was_there);
    copy_conf_done(&c);
    return rc;
}

/* --- remove ---------------------------------------------------------------------------------------------------------------- */
/* The others must have everything: what only this copy shows would be gone from sight. */
static int check_others(struct app *app, const struct vault_conf *conf, const char *place,
                        struct err *e)
{
    struct vault *v = NULL;
    bool current = false;
    int rc = open_vault_quietly(app, conf->name, false, &v, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        current = current || (strcmp(v->copies[i].place, place) != 0 &&
                              (v->copies[i].state == COPY_CURRENT || v->n_tips == 0));
    vault_close(v);
    if (rc == 0 && !current)
        rc = err_set(e, ERR_REFUSED, _("no other copy is known to have all backups"));
    if (rc < 0 && e) {
        e->code = ERR_REFUSED;
        err_next(e, _("bring the others up to date first: twofold replicate; or say --force"));
    }
    return rc < 0 ? -ERR_REFUSED : 0;
}

static void forget_copy(struct app *app, const char *vault, const char *place)
{
    struct catalog *c = NULL;
    struct err e = ERR_INIT;
    int rc = catalog_open(&app->paths, CATALOG_WRITE, &c, &e);
    if (rc == 0)
        rc = catalog_copy_drop(c, vault, place, &e);
    if (rc < 0)
        ui_warn(&app->ui, _("the catalog still names it: %s"), e.why);
    catalog_close(c);
}

static const struct copy_conf *copy_of(const struct vault_conf *conf, const char *place,
                                       struct err *e)
{
    for (size_t i = 0; i < conf->n_copies; i++)
        if (strcmp(conf->copies[i].place, place) == 0)
            return &conf->copies[i];
    err_set(e, ERR_USAGE, _("vault \"%s\" has no copy at a place \"%s\""), conf->name, place);
    err_next(e, _("see which there are: twofold copy list"));
    return NULL;
}

static int verb_remove(struct app *app, struct args *a, struct vault_conf *conf, struct err *e)
{
    const struct copy_conf *c = copy_of(conf, a->word, e);
    if (!c)
        return -ERR_USAGE;
    int rc = a->force ? 0 : check_others(app, conf, a->word, e);
    if (rc == 0)
        rc = vault_conf_copy_remove(&app->paths, conf->name, a->word, e);
    if (rc < 0)
        return rc;
    forget_copy(app, conf->name, a->word);
    ui_line(&app->ui,
            _("Copy \"%s\" is no longer one of vault \"%s\". Its data are still there: %s"),
            c->place, conf->name, c->url);
    ui_json(&app->ui, json_pack("{s:s, s:s, s:s, s:o}", "type", "removed", "vault", conf->name,
                                "place", c->place, "url", ui_json_text(c->url, strlen(c->url))));
    return 0;
}

/* --- trust ------------------------------------------------------------------------------------------------------------------ */
static int verb_trust(struct app *app, struct args *a, struct vault_conf *conf, struct err *e)
{
    const struct copy_conf *c = copy_of(conf, a->word, e);
    char *key = NULL;
    if (!c)
        return -ERR_USAGE;
    int rc = a->host_key ? set(&key, a->host_key, e)
                         : copy_host_key(app, c->url, a->fingerprint, &key, e);
    if (rc == 0)
        rc = vault_conf_copy_set(&app->paths, conf->name, c->place, "host-key", key, e);
    if (rc == 0) {
        ui_line(&app->ui, _("The host of copy \"%s\" is known by this key now: %s"), c->place, key);
        ui_json(&app->ui, json_pack("{s:s, s:s, s:s, s:s}", "type", "trusted", "vault", conf->name,
                                    "place", c->place, "host_key", key));
    }
    free(key);
    return rc;
}

/* --- the command -------------------------------------------------------------------------------------------------------------- */
static int take_option(struct args *a, int c, struct err *e)
{
    switch (c) {
    case OPT_VAULT:
        a->vault = optarg;
        return 0;
    case OPT_ROTATING:
        a->copy.rotating = true;
        return 0;
    case OPT_EVERY:
        a->every = true;
        if (duration_parse(optarg, &a->copy.every_s))
            return 0;
        err_set(e, ERR_USAGE, _("\"%s\" is not a length of time"), optarg);
        return err_next(e, _("write for instance: %s 7d (s, m, h or d)"), "--every");
    case OPT_NOT_DELETABLE:
        a->copy.deletable = false;
        return 0;
    case OPT_LIMIT:
        if (size_parse(optarg, &a->copy.limit_bytes_s))
            return 0;
        err_set(e, ERR_USAGE, _("\"%s\" is not a number of bytes"), optarg);
        return err_next(e, _("write for instance: --limit 20MiB (KiB, MiB, GiB), per second"));
    case OPT_FINGERPRINT:
        a->fingerprint = optarg;
        return 0;
    case OPT_IDENTITY:
        a->identity = optarg;
        return 0;
    case OPT_HOST_KEY:
        a->host_key = optarg;
        return 0;
    case OPT_FORCE:
        a->force = true;
        return 0;
    default:
        return 1;
    }
}

static const struct verb {
    const char *name;
    int (*run)(struct app *app, struct args *a, struct vault_conf *conf, struct err *e);
    bool word;
} verbs[] = {
    { "list", verb_list, false },
    { "add", verb_add, true },
    { "remove", verb_remove, true },
    { "trust", verb_trust, true },
};

static int take_args(struct app *app, const struct verb *v, struct args *a, int argc, char **argv,
                     struct err *e)
{
    static const struct option options[] = {
        { "vault", required_argument, NULL, OPT_VAULT },
        { "rotating", no_argument, NULL, OPT_ROTATING },
        { "every", required_argument, NULL, OPT_EVERY },
        { "not-deletable", no_argument, NULL, OPT_NOT_DELETABLE },
        { "limit", required_argument, NULL, OPT_LIMIT },
        { "identity", required_argument, NULL, OPT_IDENTITY },
        { "host-key", required_argument, NULL, OPT_HOST_KEY },
        { "fingerprint", required_argument, NULL, OPT_FINGERPRINT },
        { "force", no_argument, NULL, OPT_FORCE },
        OPTIONS_END,
    };
    int c, rc = 0;
    args_begin();
    while (rc == 0 && (c = args_next(argc, argv, ":", options)) != -1)
        if ((rc = take_option(a, c, e)) > 0)
            return args_bad(app, c, argv);
    if (rc < 0)
        return rc;
    a->word = v->word && optind < argc ? argv[optind++] : NULL;
    if (v->word && !a->word)
        return app_usage(app, _("which copy?"));
    return optind < argc ? app_usage(app, _("\"%s\" is not expected here"), argv[optind]) : 0;
}

int cmd_copy(struct app *app, int argc, char **argv)
{
    struct args a = { .copy = { .deletable = true } };
    struct vault_conf *conf = NULL;
    const struct verb *v = NULL;
    struct err e = ERR_INIT;
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            v = &verbs[i];
    if (!v)
        return argc < 2 ? app_usage(app, _("say what to do: list, add, remove or trust"))
                        : app_usage(app, _("\"%s\" is none of list, add, remove, trust"), argv[1]);
    int rc = take_args(app, v, &a, argc - 1, argv + 1, &e);
    if (rc > 0)
        return rc;
    if (rc == 0)
        rc = vault_conf_load(&app->paths, a.vault, &conf, &e);
    if (rc == 0)
        rc = v->run(app, &a, conf, &e);
    vault_conf_free(conf);
    if (rc == 0)
        return 0;
    err_wrap(&e, "copy %s", v->name);
    return ui_error(&app->ui, &e);
}
