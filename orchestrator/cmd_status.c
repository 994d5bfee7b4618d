/* cmd_status.c - `twofold status`: per vault its copies, per policy its last good run against the RPO, and for every
 * problem the command that helps. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/look.h"
#include "orchestrator/status.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_COLUMNS 16
#define STATE_COLUMNS 28
#define SIZE_COLUMNS 9
#define INDENT 6

struct status {
    struct app *app;
    const char *vault; /* only this one, or NULL */
    char **only;       /* only these policies; none: all */
    int n_only;
    struct policy **policies;
    size_t n_policies;
    int64_t now_ns;
    bool bad;  /* something is overdue, behind, away or wrong */
    int worst; /* an exit status that is worse than 3 being due */
    size_t vaults, shown;
};

/* --- lines ------------------------------------------------------------------------------------------ */
/* "label text", broken so that no line is wider than 80 columns (but for a long path). */
static void print_wrapped(struct ui *ui, const char *label, const char *text)
{
    int hang = (int)text_width(label);
    size_t room = 80 - INDENT - (size_t)hang;
    char *clean = text_clean(text, strlen(text), false);
    for (const char *at = clean; *at; at += strspn(at, " ")) {
        size_t take = text_break(at, room);
        if (at == clean)
            ui_line(ui, "%*s%s%.*s", INDENT, "", label, (int)take, at);
        else
            ui_line(ui, "%*s%*s%.*s", INDENT, "", hang, "", (int)take, at);
        at += take;
    }
    free(clean);
}

static void print_copy(struct ui *ui, const struct copy *c, const struct copy_status *s)
{
    char free_bytes[32], *place = text_pad(c->place, PLACE_COLUMNS, false);
    char *state = text_pad(s->text, STATE_COLUMNS, false);
    char *size = text_pad(ui_bytes(s->space.free_bytes, free_bytes), SIZE_COLUMNS, true);
    if (s->has_space)
        ui_line(ui, _("  %s %s %s free"), place, state, size);
    else
        ui_line(ui, "  %s %s", place, s->text);
    if (s->why[0])
        print_wrapped(ui, _("why:  "), s->why);
    if (s->next[0])
        print_wrapped(ui, _("next: "), s->next);
    free(place);
    free(state);
    free(size);
}

static void print_run(struct ui *ui, const char *label, const struct snap_ref *r,
                      const char *remark)
{
    char id[SHORT_ID_DIGITS + 1], when[32];
    ui_line(ui, "  %s %s  %s  %s", label, short_id(&r->ref.id, id),
            short_time(r->received_ns, when), remark);
}

static void print_policy(struct status *st, const struct policy *pol, const struct policy_status *s)
{
    struct ui *ui = &st->app->ui;
    char age[64], rpo[64];
    ui_age((int64_t)pol->rpo_s, rpo);
    ui_line(ui, _("Policy %s: %s"), pol->name,
            !s->whole    ? (s->partial ? _("NO WHOLE BACKUP YET") : _("NOTHING YET"))
            : s->overdue ? _("OVERDUE")
                         : _("good"));
    if (s->whole) {
        char *remark = text_print(_("%s ago (RPO %s)"), ui_age(s->age_s, age), rpo);
        print_run(ui, _("last whole:  "), s->whole, remark);
        free(remark);
    }
    if (s->partial && (!s->whole || s->partial->received_ns > s->whole->received_ns)) {
        char *remark = text_print(_("%s ago"),
                                  ui_age((st->now_ns - s->partial->received_ns) / 1000000000, age));
        print_run(ui, _("last partial:"), s->partial, remark);
        print_wrapped(ui, _("why:  "), _("some files could not be read; the run named them"));
        free(remark);
    }
    if (s->future)
        print_wrapped(ui, _("why:  "),
                      _("the last backup is from the future: check this machine's clock"));
    if (s->overdue) {
        char *next = text_print("twofold backup %s", pol->name);
        print_wrapped(ui, _("next: "), next);
        free(next);
    }
}

/* --- JSON ------------------------------------------------------------------------------------------------- */
static json_t *run_json(const struct snap_ref *r, int64_t now_ns)
{
    char id[ID_HEX_BYTES], when[32];
    if (!r)
        return json_null();
    return json_pack("{s:s, s:s, s:I}", "id", id_hex(&r->ref.id, id), "received",
                     ui_time(r->received_ns, when), "age_s",
                     (json_int_t)((now_ns - r->received_ns) / 1000000000));
}

/* One object per policy and copy; without a policy, per copy. */
static void status_json(struct status *st, const struct vault *v, size_t i,
                        const struct copy_status *cs, const struct policy *pol)
{
    const struct copy *c = &v->copies[i];
    uint64_t newest = v->state ? v->state->generation : 0;
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:o, s:s, s:b, s:I, s:I, s:i, s:b, s:b}", "type", "status", "vault",
        v->name, "copy", c->place, "url", ui_json_text(c->url, strlen(c->url)), "copy_state",
        cs->name, "copy_bad", cs->bad, "generation", (json_int_t)c->generation, "behind",
        (json_int_t)(newest > c->generation ? newest - c->generation : 0), "bad_heads",
        (int)c->bad_heads, "rolled_back", c->rolled_back, "fork", v->n_tips > 1);
    json_object_set_new(o, "free_bytes",
                        cs->has_space ? json_integer((json_int_t)cs->space.free_bytes)
                                      : json_null());
    json_object_set_new(o, "damaged_objects", json_integer((json_int_t)cs->damaged_objects));
    json_object_set_new(o, "why", ui_json_text(cs->why, strlen(cs->why)));
    json_object_set_new(o, "next", ui_json_text(cs->next, strlen(cs->next)));
    if (pol) {
        struct policy_status ps;
        policy_judge(v, pol, st->now_ns, &ps);
        json_object_set_new(o, "policy", json_string(pol->name));
        json_object_set_new(o, "state",
                            json_string(!ps.whole    ? "never"
                                        : ps.overdue ? "overdue"
                                                     : "good"));
        json_object_set_new(o, "overdue", json_boolean(ps.overdue));
        json_object_set_new(o, "rpo_s", json_integer((json_int_t)pol->rpo_s));
        json_object_set_new(o, "last_whole", run_json(ps.whole, st->now_ns));
        json_object_set_new(o, "last_partial", run_json(ps.partial, st->now_ns));
    }
    ui_json(&st->app->ui, o);
}

/* --- one vault ---------------------------------------------------------------------------------------------- */
static bool belongs(const struct status *st, const struct policy *pol, const char *vault)
{
    return pol->vault[0] ? strcmp(pol->vault, vault) == 0 : st->vaults == 1;
}

static void show_copies(struct status *st, const struct vault *v)
{
    struct copy_status cs[MAX_COPIES];
    struct ui *ui = &st->app->ui;
    if (v->n_tips)
        ui_line(ui, _("Vault %s, generation %" PRIu64), v->name, v->state->generation);
    else
        ui_line(ui, _("Vault %s, nothing in it yet"), v->name);
    for (size_t i = 0; i < v->n_copies; i++) {
        bool any = false;
        struct err e = ERR_INIT;
        if (copy_judge(v, i, &cs[i], &e) < 0) {
            st->worst = ui_error(ui, &e);
            return;
        }
        st->bad = st->bad || cs[i].bad;
        print_copy(ui, &v->copies[i], &cs[i]);
        for (size_t k = 0; ui->json && k < st->n_policies; k++)
            if (belongs(st, st->policies[k], v->name)) {
                status_json(st, v, i, &cs[i], st->policies[k]);
                any = true;
            }
        if (ui->json && !any)
            status_json(st, v, i, &cs[i], NULL);
    }
    for (size_t i = 0; i < v->n_copies; i++)
        for (size_t k = 0; k < i; k++)
            if (cs[i].has_space && cs[k].has_space && cs[i].space.device &&
                cs[i].space.device == cs[k].space.device) {
                ui_warn(
                    ui,
                    _("copies \"%s\" and \"%s\" are on one device; PY-DB-1 asks for two places"),
                    v->copies[k].place, v->copies[i].place);
                k = i; /* one line a copy is enough */
            }
}

static void show_vault(struct status *st, const struct vault *v)
{
    struct ui *ui = &st->app->ui;
    show_copies(st, v);
    if (v->n_tips > 1) {
        st->bad = true;
        ui_line(ui,
                _("  FORK: %zu orchestrators have written at the same time; all is shown, nothing"),
                v->n_tips);
        ui_line(ui, _("  is deleted"));
        print_wrapped(ui, _("next: "), _("the next backup merges it: twofold backup POLICY"));
    }
    if (v->n_lost_keys) {
        st->bad = true;
        print_wrapped(
            ui, _("why:  "),
            _("some data keys could not be read from any copy: what they sealed is lost"));
        print_wrapped(ui, _("next: "),
                      _("bring every copy back; then make a new backup: twofold backup POLICY"));
    }
    if (v->n_tips == 0 && v->seen_generation) {
        st->bad = true;
        print_wrapped(ui, _("why:  "), _("backups were here, and no copy shows any of them"));
        print_wrapped(ui, _("next: "),
                      _("find out what happened to the copies before anything is written"));
    }
    for (size_t i = 0; i < st->n_policies; i++) {
        struct policy_status ps;
        if (!belongs(st, st->policies[i], v->name))
            continue;
        policy_judge(v, st->policies[i], st->now_ns, &ps);
        st->shown++;
        st->bad = st->bad || ps.overdue || ps.future;
        print_policy(st, st->policies[i], &ps);
    }
}

/* Is there anything to show of this vault? */
static bool concerns(const struct status *st, const char *vault)
{
    if (st->vault && strcmp(st->vault, vault) != 0)
        return false;
    for (size_t i = 0; i < st->n_policies; i++)
        if (belongs(st, st->policies[i], vault))
            return true;
    return st->n_only == 0;
}

static int status_of_vault(void *ctx, const char *name)
{
    struct status *st = ctx;
    struct vault *v = NULL;
    struct err e = ERR_INIT;
    if (!concerns(st, name))
        return 0;
    if (open_vault_quietly(st->app, name, false, &v, &e) < 0) {
        /* The others are shown all the same. */
        int status = ui_error(&st->app->ui, &e);
        st->bad = true;
        if (e.code != ERR_UNREACHABLE && (st->worst == 0 || status == 2))
            st->worst = status;
        return 0;
    }
    show_vault(st, v);
    vault_close(v);
    return 0;
}

static int count_vault(void *ctx, const char *name)
{
    (void)name;
    ++*(size_t *)ctx;
    return 0;
}

/* --- policies ------------------------------------------------------------------------------------------------- */
static int load_policy(void *ctx, const char *name)
{
    struct status *st = ctx;
    struct policy *pol = NULL;
    struct err e = ERR_INIT;
    struct policy **grown = realloc(st->policies, (st->n_policies + 1) * sizeof(void *));
    if (!grown)
        return -ERR_NOMEM;
    st->policies = grown;
    if (policy_load(&st->app->paths, name, &pol, &e) < 0) {
        st->worst = ui_error(&st->app->ui, &e);
        return 0;
    }
    st->policies[st->n_policies++] = pol;
    return 0;
}

static int load_policies(struct status *st, struct err *e)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < st->n_only; i++)
        rc = load_policy(st, st->only[i]);
    if (st->n_only == 0)
        rc = policy_each(&st->app->paths, load_policy, st, e);
    return rc;
}

static void say_what_is_missing(struct status *st)
{
    struct ui *ui = &st->app->ui;
    if (st->vaults == 0)
        ui_line(
            ui,
            _("No vault yet. Next: twofold init --vault NAME --copy PLACE=URL --copy PLACE=URL"));
    else if (st->n_policies == 0 && st->worst == 0)
        ui_line(ui, _("No policy yet. Next: twofold policy add NAME --files PATH"));
    for (size_t i = 0; i < st->n_policies; i++) {
        const struct policy *pol = st->policies[i];
        struct vault_conf *conf = NULL;
        struct err e = ERR_INIT;
        if (st->vault || (st->vaults == 1 && !pol->vault[0]))
            continue;
        int rc = vault_conf_load(&st->app->paths, pol->vault[0] ? pol->vault : NULL, &conf, &e);
        /* A mistake in a vault's file was shown when it was its turn. */
        if (rc == -ERR_ABSENT || (rc < 0 && !pol->vault[0])) {
            err_wrap(&e, _("policy \"%s\""), pol->name);
            st->worst = ui_error(ui, &e);
        }
        vault_conf_free(conf);
    }
}

int cmd_status(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "vault", required_argument, NULL, OPT_VAULT },
                                             OPTIONS_END };
    struct status st = { .app = app, .now_ns = sys_realtime_ns() };
    struct vault_choice choice = { 0 };
    struct err e = ERR_INIT;
    int c;
    args_begin();
    while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1)
        if (!choice_option(c, &choice))
            return args_bad(app, c, argv);
    st.vault = choice.vault;
    st.only = argv + optind;
    st.n_only = argc - optind;
    int rc = load_policies(&st, &e);
    if (rc == 0)
        rc = vault_conf_each(&app->paths, count_vault, &st.vaults, &e);
    if (rc == 0)
        rc = vault_conf_each(&app->paths, status_of_vault, &st, &e);
    if (rc == 0)
        say_what_is_missing(&st);
    else if (e.code == ERR_NONE)
        err_set(&e, ERR_NOMEM, _("out of memory")); /* what the callbacks can fail of */
    int status = rc < 0 ? ui_error(&app->ui, &e) : st.worst ? st.worst : st.bad ? 3 : 0;
    for (size_t i = 0; i < st.n_policies; i++)
        policy_free(st.policies[i]);
    free(st.policies);
    return status;
}
