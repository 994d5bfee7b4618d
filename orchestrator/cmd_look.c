/* cmd_look.c - `twofold ls`, `find` and `diff`: looking inside backups. They need the recovery key. Paths from a backup
 * are hostile: what goes to a terminal is escaped. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/look.h"
#include "orchestrator/restore_job.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

static const char *kind_name(enum entry_type type)
{
    static const char *const names[] = {
        [ENTRY_FILE] = "file",         [ENTRY_DIR] = "folder",    [ENTRY_SYMLINK] = "symlink",
        [ENTRY_HARDLINK] = "hardlink", [ENTRY_FIFO] = "fifo",     [ENTRY_CHAR] = "char",
        [ENTRY_BLOCK] = "block",       [ENTRY_SOCKET] = "socket",
    };
    return (size_t)type < sizeof names / sizeof *names && names[type] ? names[type] : "other";
}

static json_t *entry_json(const struct entry *en)
{
    char when[32], mode[8];
    snprintf(mode, sizeof mode, "%04o", en->mode & 07777);
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:s}", "type", "entry", "kind",
                          kind_name(en->type), "mode", mode, "uid", (int)en->uid, "gid",
                          (int)en->gid, "size", (json_int_t)(en->type == ENTRY_FILE ? en->size : 0),
                          "mtime", ui_time(en->mtime_s * NS_PER_S + en->mtime_ns, when));
    look_json_path(o, en->path, en->path_len);
    if (en->type == ENTRY_SYMLINK) {
        json_object_set_new(o, "target", ui_json_text(en->target, en->target_len));
    } else if (en->type == ENTRY_HARDLINK) {
        char *target = text_print("/%.*s", (int)en->target_len, en->target);
        json_object_set_new(o, "target", ui_json_text(target, strlen(target)));
        free(target);
    }
    return o;
}

/* --- ls ----------------------------------------------------------------------------------------------- */
struct listing {
    struct app *app;
    bool details, raw;
};

static void mode_text(const struct entry *en, char out[11])
{
    static const char kinds[] = " -dlhpcbs";
    static const char letters[] = "rwxrwxrwx";
    out[0] = (size_t)en->type < sizeof kinds - 1 ? kinds[en->type] : '?';
    for (int i = 0; i < 9; i++)
        out[i + 1] = en->mode & (0400u >> i) ? letters[i] : '-';
    if (en->mode & 04000)
        out[3] = en->mode & 0100 ? 's' : 'S';
    if (en->mode & 02000)
        out[6] = en->mode & 0010 ? 's' : 'S';
    if (en->mode & 01000)
        out[9] = en->mode & 0001 ? 't' : 'T';
    out[10] = '\0';
}

static void print_details(struct listing *l, const struct entry *en)
{
    char mode[11], size[32] = "-", when[32], *target = NULL;
    char *path = look_path(en->path, en->path_len);
    mode_text(en, mode);
    if (en->type == ENTRY_FILE)
        ui_bytes(en->size, size);
    else if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK)
        snprintf(size, sizeof size, "%u,%u", en->dev_major, en->dev_minor);
    else if (en->type == ENTRY_SYMLINK)
        target = ui_path(en->target, en->target_len);
    else if (en->type == ENTRY_HARDLINK)
        target = look_path(en->target, en->target_len);
    ui_line(&l->app->ui, "%s %5u %5u %9s %s %s%s%s", mode, en->uid, en->gid, size,
            short_time(en->mtime_s * NS_PER_S, when), path,
            !target                      ? ""
            : en->type == ENTRY_HARDLINK ? " = "
                                         : " -> ",
            target ? target : "");
    free(target);
    free(path);
}

static int list_entry(void *ctx, const struct entry *en)
{
    struct listing *l = ctx;
    if (l->app->ui.json) {
        ui_json(&l->app->ui, entry_json(en));
    } else if (l->raw) {
        putchar('/');
        fwrite(en->path, 1, en->path_len, stdout);
        putchar('\0');
    } else if (l->details) {
        print_details(l, en);
    } else {
        char *path = look_path(en->path, en->path_len);
        ui_line(&l->app->ui, "%s", path);
        free(path);
    }
    return look_go_on();
}

/* --- ls, find: one or many snapshots ------------------------------------------------------------------ */
struct look_options {
    struct vault_choice choice;
    const char *place, *policy, *snapshot;
    bool details, raw;
};

enum { OPT_FROM = OPT_OWN, OPT_POLICY, OPT_SNAPSHOT };

/* 0, or an exit status after an error was shown. `shorts` and `options` as for args_next. */
static int take_options(struct app *app, int argc, char **argv, const char *shorts,
                        const struct option *options, struct look_options *o)
{
    int c;
    args_begin();
    while ((c = args_next(argc, argv, shorts, options)) != -1)
        switch (c) {
        case 'l':
            o->details = true;
            break;
        case '0':
            o->raw = true;
            break;
        case OPT_FROM:
            o->place = optarg;
            break;
        case OPT_POLICY:
            o->policy = optarg;
            break;
        case OPT_SNAPSHOT:
            o->snapshot = optarg;
            break;
        default:
            if (!choice_option(c, &o->choice))
                return args_bad(app, c, argv);
        }
    return 0;
}

/* The vault, and which of its copies. */
static int open_for_look(struct app *app, const struct look_options *o, struct vault **ret,
                         int *ret_from, struct err *e)
{
    struct vault_choice choice = o->choice;
    choice.hurry = true;
    int rc = app_open_vault(app, &choice, false, true, ret, e);
    return rc < 0 ? rc : look_from(*ret, o->place, ret_from, e);
}

int cmd_ls(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "long", no_argument, NULL, 'l' },
                                             { "from", required_argument, NULL, OPT_FROM },
                                             CHOICE_OPTIONS,
                                             OPTIONS_END };
    struct look_options o = { .raw = false };
    struct vault *v = NULL;
    struct view view = { .snap = NULL };
    const struct snap_ref *snap = NULL;
    struct err e = ERR_INIT;
    struct gaps gaps = { .app = app };
    int from, status = take_options(app, argc, argv, ":l0", options, &o);
    if (status)
        return status;
    if (optind == argc)
        return app_usage(app, _("which backup? name a SNAPSHOT"));
    if (o.raw && isatty(STDOUT_FILENO))
        return app_usage(app,
                         _("raw names are not for a terminal: send them to a program, | xargs -0"));
    struct select sel = { .paths = argv + optind + 1, .n_paths = (size_t)(argc - optind - 1) };
    struct listing l = { .app = app, .details = o.details, .raw = o.raw };
    int rc = open_for_look(app, &o, &v, &from, &e);
    if (rc == 0)
        rc = app_find_snapshot(app, v, NULL, argv[optind], &snap, NULL, &e);
    if (rc == 0)
        rc = view_open(v, snap, from, &view, &e);
    if (rc == 0)
        rc = look_walk(&view, &sel, list_entry, &l, &gaps, &e);
    if (rc < 0)
        status = (err_wrap(&e, "ls"), ui_error(&app->ui, &e));
    else
        status = look_gaps_status(&gaps, "ls");
    view_close(&view);
    vault_close(v);
    return status;
}

/* --- find ------------------------------------------------------------------------------------------------ */
struct search {
    struct app *app;
    const struct snap_ref *snap;
    const char *source;
    uint64_t hits;
};

static int found_entry(void *ctx, const struct entry *en)
{
    struct search *s = ctx;
    char id[ID_HEX_BYTES], digits[SHORT_ID_DIGITS + 1], when[32], size[32] = "-";
    char policy[MAX_FORMAT_NAME + 1];
    s->hits++;
    if (s->app->ui.json) {
        json_t *o = entry_json(en);
        source_policy(s->source, policy);
        json_object_set_new(o, "snapshot", json_string(id_hex(&s->snap->ref.id, id)));
        json_object_set_new(o, "policy", ui_json_text(policy, strlen(policy)));
        json_object_set_new(o, "received", json_string(ui_time(s->snap->received_ns, when)));
        ui_json(&s->app->ui, o);
        return look_go_on();
    }
    if (en->type == ENTRY_FILE)
        ui_bytes(en->size, size);
    char *path = look_path(en->path, en->path_len);
    ui_line(&s->app->ui, "%s %s %9s %s", short_id(&s->snap->ref.id, digits),
            short_time(s->snap->received_ns, when), size, path);
    free(path);
    return look_go_on();
}

/* What is to be searched, newest first. */
struct target {
    const struct snap_ref *snap;
    const char *source;
};

static int newest_first(const void *a, const void *b)
{
    const struct target *x = a, *y = b;
    return (x->snap->received_ns < y->snap->received_ns) -
           (x->snap->received_ns > y->snap->received_ns);
}

static int all_targets(const struct vault *v, const char *policy, struct target **ret,
                       size_t *ret_n, struct err *e)
{
    char source[MAX_FORMAT_NAME + 1];
    size_t n = 0, k = 0;
    for (size_t i = 0; i < v->n_lists; i++)
        n += v->lists[i]->n;
    struct target *t = calloc(n + 1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    source_name(policy ? policy : "", source);
    for (size_t i = 0; i < v->n_lists; i++)
        for (size_t j = 0; j < v->lists[i]->n; j++)
            if (!policy || strcmp(v->lists[i]->source, source) == 0)
                t[k++] = (struct target){ &v->lists[i]->snaps[j], v->lists[i]->source };
    qsort(t, k, sizeof *t, newest_first);
    *ret = t;
    *ret_n = k;
    return 0;
}

/* One that cannot be opened is a gap; the others are searched all the same. */
static int search_one(struct search *s, struct vault *v, int from, const char *name,
                      struct gaps *gaps, struct err *e)
{
    struct view view;
    struct err why = ERR_INIT;
    struct select sel = { .name = name };
    int rc = view_open(v, s->snap, from, &view, &why);
    if (rc == -ERR_DAMAGED || rc == -ERR_ABSENT || rc == -ERR_UNREACHABLE) {
        look_gap(gaps, &why);
        rc = 0;
    } else if (rc == 0) {
        rc = look_walk(&view, &sel, found_entry, s, gaps, &why);
    }
    view_close(&view);
    if (rc < 0)
        *e = why;
    return rc;
}

static int search_all(struct search *s, struct vault *v, const struct look_options *o,
                      const char *name, struct gaps *gaps, struct err *e)
{
    struct target *targets = NULL;
    size_t n = 0;
    int from = -1, rc = look_from(v, o->place, &from, e);
    if (rc == 0 && o->snapshot) {
        rc = app_find_snapshot(s->app, v, o->policy, o->snapshot, &s->snap, &s->source, e);
        return rc < 0 ? rc : search_one(s, v, from, name, gaps, e);
    }
    if (rc == 0)
        rc = all_targets(v, o->policy, &targets, &n, e);
    for (size_t i = 0; rc == 0 && i < n && !look_go_on(); i++) {
        s->snap = targets[i].snap;
        s->source = targets[i].source;
        rc = search_one(s, v, from, name, gaps, e);
    }
    if (rc == 0 && sys_interrupted())
        rc = err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
    free(targets);
    return rc;
}

int cmd_find(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "policy", required_argument, NULL, OPT_POLICY },
                                             { "snapshot", required_argument, NULL, OPT_SNAPSHOT },
                                             { "from", required_argument, NULL, OPT_FROM },
                                             CHOICE_OPTIONS,
                                             OPTIONS_END };
    struct look_options o = { .raw = false };
    struct search s = { .app = app };
    struct vault *v = NULL;
    struct policy *pol = NULL;
    struct err e = ERR_INIT;
    struct gaps gaps = { .app = app };
    int status = take_options(app, argc, argv, ":", options, &o);
    if (status)
        return status;
    if (argc - optind != 1)
        return app_usage(app, _("give one NAME (quote a pattern: '*.conf')"));
    const char *name = argv[optind];
    if (strchr(name, '/'))
        return app_usage(app,
                         _("NAME is the last part of a path, without /; for a path: twofold ls"));
    if (o.policy && !o.choice.copy && !o.choice.vault &&
        policy_load(&app->paths, o.policy, &pol, NULL) == 0 && pol->vault[0])
        o.choice.vault = pol->vault;
    o.choice.hurry = true;
    int rc = app_open_vault(app, &o.choice, false, true, &v, &e);
    if (rc == 0)
        rc = search_all(&s, v, &o, name, &gaps, &e);
    if (rc == 0 && s.hits == 0 && gaps.lost + gaps.away == 0) {
        rc = err_set(&e, ERR_ABSENT, _("no file of that name is in any of these backups"));
        if (strpbrk(name, "*?["))
            err_next(&e, _("see what a backup holds: twofold ls SNAPSHOT; and which there are: "
                           "twofold snapshots"));
        else
            err_next(&e, _("try a pattern, for instance: twofold find '*%s*'"), name);
        err_wrap(&e, "%s", name);
    }
    if (rc < 0)
        status = (err_wrap(&e, "find"), ui_error(&app->ui, &e));
    else
        status = look_gaps_status(&gaps, "find");
    policy_free(pol);
    vault_close(v);
    return status;
}

/* --- diff --------------------------------------------------------------------------------------------------- */
static int show_difference(void *ctx, char change, unsigned what, const struct entry *a,
                           const struct entry *b)
{
    const struct entry *en = b ? b : a;
    diff_print(ctx, change, what, en->path, en->path_len);
    return look_go_on();
}

static int pass_over(void *ctx, const struct entry *en)
{
    return look_go_on();
}

/* A comparison only counts gaps: a walk over each side names them. */
static void name_gaps(struct view *view, struct gaps *gaps)
{
    look_walk(view, NULL, pass_over, NULL, gaps, NULL);
}

static int diff_two(struct vault *v, int from, const struct snap_ref *const snaps[2],
                    struct gaps *gaps, struct err *e)
{
    struct view a = { .snap = NULL }, b = { .snap = NULL };
    uint64_t n = 0;
    int rc = view_open(v, snaps[0], from, &a, e);
    if (rc == 0)
        rc = view_open(v, snaps[1], from, &b, e);
    if (rc == 0)
        rc = reader_diff(&a.src, a.body, &b.src, b.body, show_difference, gaps->app, &n, e);
    if (rc > 0)
        rc = sys_interrupted() ? err_set(e, ERR_INTERRUPTED, _("interrupted by a signal")) : 0;
    if (rc == 0 && n > 0) {
        name_gaps(&a, gaps);
        name_gaps(&b, gaps);
        if (gaps->lost + gaps->away == 0)
            gaps->lost = n;
    }
    view_close(&a);
    view_close(&b);
    return rc;
}

/* The live files of a policy are where its configuration says, so there must be one. */
static int diff_with_live(struct app *app, struct vault *v, const char *source,
                          const struct snap_ref *snap, struct err *e)
{
    char name[MAX_FORMAT_NAME + 1];
    struct policy *pol = NULL;
    int rc = policy_load(&app->paths, source_policy(source, name), &pol, e);
    if (rc == 0)
        rc = diff_live(app, v, pol, snap, e);
    policy_free(pol);
    return rc;
}

int cmd_diff(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "from", required_argument, NULL, OPT_FROM },
                                             CHOICE_OPTIONS,
                                             OPTIONS_END };
    struct look_options o = { .raw = false };
    struct vault *v = NULL;
    const struct snap_ref *snaps[2] = { NULL, NULL };
    const char *source = NULL;
    struct err e = ERR_INIT;
    struct gaps gaps = { .app = app };
    int from = -1, status = take_options(app, argc, argv, ":", options, &o), n = argc - optind;
    if (status)
        return status;
    if (n < 1 || n > 2)
        return app_usage(app, _("name one SNAPSHOT, or two"));
    bool live = n == 1 || strcmp(argv[optind + 1], "live") == 0;
    if (live && o.choice.copy)
        return app_usage(
            app, _("without a configuration nobody knows the live files: name two SNAPSHOTs"));
    int rc = open_for_look(app, &o, &v, &from, &e);
    if (rc == 0)
        rc = app_find_snapshot(app, v, NULL, argv[optind], &snaps[0], &source, &e);
    if (rc == 0 && !live)
        rc = app_find_snapshot(app, v, NULL, argv[optind + 1], &snaps[1], NULL, &e);
    if (rc == 0)
        rc = live ? diff_with_live(app, v, source, snaps[0], &e)
                  : diff_two(v, from, snaps, &gaps, &e);
    if (rc < 0)
        status = (err_wrap(&e, "diff"), ui_error(&app->ui, &e));
    else
        status = look_gaps_status(&gaps, "diff");
    vault_close(v);
    return status;
}
