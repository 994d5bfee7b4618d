/* cmd_snapshots.c - `twofold snapshots`: the backups that a vault holds. Needs no recovery key. */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/look.h"
#include "orchestrator/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_POLICY_COLUMNS 6
#define STATE_COLUMNS 10
#define NUMBER_COLUMNS 9

struct table {
    struct app *app;
    struct vault *v;
    char **policies; /* only these; none: all */
    int n_policies;
    size_t policy_columns;
    size_t rows, damaged;
};

static bool wanted(const struct table *t, const char *policy)
{
    for (int i = 0; i < t->n_policies; i++)
        if (strcmp(t->policies[i], policy) == 0)
            return true;
    return t->n_policies == 0;
}

static const char *state_name(const struct snap_ref *r)
{
    if (r->flags & SNAPSHOT_QUARANTINE)
        return N_("quarantine");
    return r->state == SNAPSHOT_WHOLE ? N_("whole") : N_("partial");
}

static void print_row(const struct table *t, const char *const cells[7])
{
    const size_t widths[] = { SHORT_ID_DIGITS, t->policy_columns, 16, STATE_COLUMNS, NUMBER_COLUMNS,
                              NUMBER_COLUMNS,  NUMBER_COLUMNS };
    char *line = text_print("%s", "");
    for (size_t i = 0; i < 7; i++) {
        char *cell = text_pad(cells[i], widths[i], i > 3);
        char *longer = text_print("%s%s%s", line, i ? " " : "", cell);
        free(line);
        free(cell);
        line = longer;
    }
    ui_line(&t->app->ui, "%s", line);
    free(line);
}

static void row_json(struct table *t, const char *source, const struct snap_ref *r,
                     const struct snapshot *s)
{
    char id[ID_HEX_BYTES], when[32], policy[MAX_FORMAT_NAME + 1];
    json_t *o = json_pack("{s:s, s:s, s:s, s:b}", "type", "snapshot", "id", id_hex(&r->ref.id, id),
                          "received", ui_time(r->received_ns, when), "quarantine",
                          (r->flags & SNAPSHOT_QUARANTINE) != 0);
    source_policy(source, policy);
    json_object_set_new(o, "policy", ui_json_text(policy, strlen(policy)));
    json_object_set_new(o, "state", json_string(r->state == SNAPSHOT_WHOLE ? "whole" : "partial"));
    if (s) {
        json_object_set_new(o, "host", ui_json_text(s->host, strlen(s->host)));
        json_object_set_new(o, "files", json_integer((json_int_t)s->files));
        json_object_set_new(o, "folders", json_integer((json_int_t)s->dirs));
        json_object_set_new(o, "bytes", json_integer((json_int_t)s->bytes));
        json_object_set_new(o, "bytes_stored", json_integer((json_int_t)s->bytes_stored));
        json_object_set_new(o, "problems", json_integer((json_int_t)s->problems));
    } else {
        json_object_set_new(o, "state", json_string("lost"));
    }
    ui_json(&t->app->ui, o);
}

/* A snapshot that is damaged in every copy still has its place in the list. */
static int show_one(struct table *t, const char *source, const struct snap_ref *r, struct err *e)
{
    char id[SHORT_ID_DIGITS + 1], when[32], files[32] = "-", size[32] = "-", stored[32] = "-";
    char name[MAX_FORMAT_NAME + 1];
    struct snapshot *s = NULL;
    struct err why = ERR_INIT;
    int rc = vault_snapshot(t->v, &r->ref, &s, &why);
    if (rc < 0 && rc != -ERR_DAMAGED && rc != -ERR_ABSENT && rc != -ERR_UNREACHABLE) {
        *e = why;
        return rc;
    }
    t->rows++;
    if (rc < 0) {
        t->damaged++;
        short_id(&r->ref.id, id);
        ui_note(&t->app->ui, true, id, strlen(id), why.why, strlen(why.why));
    } else {
        snprintf(files, sizeof files, "%llu", (unsigned long long)s->files);
        ui_bytes(s->bytes, size);
        ui_bytes(s->bytes_stored, stored);
    }
    if (t->app->ui.json) {
        row_json(t, source, r, s);
    } else {
        source_policy(source, name);
        char *policy = ui_path(name, strlen(name));
        print_row(t, (const char *const[]){
                         short_id(&r->ref.id, id), policy, short_time(r->received_ns, when),
                         rc < 0 ? _("LOST") : _(state_name(r)), files, size, stored });
        free(policy);
    }
    snapshot_free(s);
    return 0;
}

static int show_all(struct table *t, struct err *e)
{
    char name[MAX_FORMAT_NAME + 1];
    int rc = 0;
    t->policy_columns = MIN_POLICY_COLUMNS;
    for (size_t i = 0; i < t->v->n_lists; i++) {
        size_t width = text_width(source_policy(t->v->lists[i]->source, name));
        if (wanted(t, name) && width > t->policy_columns)
            t->policy_columns = width;
    }
    for (size_t i = 0; rc == 0 && i < t->v->n_lists; i++) {
        const struct source_list *l = t->v->lists[i];
        if (!wanted(t, source_policy(l->source, name)))
            continue;
        if (t->rows == 0 && l->n)
            print_row(t, (const char *const[]){ _("id"), _("policy"), _("received"), _("state"),
                                                _("files"), _("size"), _("new") });
        for (size_t k = 0; rc == 0 && k < l->n; k++)
            rc = show_one(t, l->source, &l->snaps[k], e);
    }
    return rc;
}

static int finish(struct table *t)
{
    struct err e = ERR_INIT;
    if (t->rows == 0 && t->n_policies == 0)
        ui_line(&t->app->ui, _("Nothing yet. Next: twofold backup POLICY"));
    else if (t->rows == 0) {
        err_set(&e, ERR_ABSENT, _("there is no backup of this policy"));
        err_wrap(&e, "snapshots %s", t->policies[0]);
        err_next(&e, _("see what there is: twofold snapshots; make one: twofold backup %s"),
                 t->policies[0]);
        return ui_error(&t->app->ui, &e);
    }
    if (!t->damaged)
        return 0;
    err_set(&e, ERR_DAMAGED,
            P_("%zu snapshot cannot be read from any copy",
               "%zu snapshots cannot be read from any copy", t->damaged),
            t->damaged);
    err_wrap(&e, "snapshots");
    return ui_error(&t->app->ui, &e);
}

int cmd_snapshots(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { CHOICE_OPTIONS, OPTIONS_END };
    struct vault_choice choice = { 0 };
    struct table t = { .app = app };
    struct err e = ERR_INIT;
    int c, rc;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1)
        if (!choice_option(c, &choice))
            return args_bad(app, c, argv);
    t.policies = argv + optind;
    t.n_policies = argc - optind;
    /* The policy knows its vault; one that was removed meanwhile may still have backups. */
    struct policy *pol = NULL;
    if (t.n_policies > 0 && !choice.vault && !choice.copy &&
        policy_load(&app->paths, t.policies[0], &pol, NULL) == 0 && pol->vault[0])
        choice.vault = pol->vault;
    rc = app_open_vault(app, &choice, false, false, &t.v, &e);
    policy_free(pol);
    if (rc == 0)
        rc = show_all(&t, &e);
    int status = rc < 0 ? ui_error(&app->ui, &e) : finish(&t);
    vault_close(t.v);
    return status;
}
