/* status_print.c - `twofold status` for people: a verdict first, then what is wrong and what helps; no line wider than 80. */
#include "orchestrator/look.h"
#include "lib/base/i18n.h"
#include "orchestrator/queue.h"
#include "orchestrator/status_view.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/log_words.h"
#include "orchestrator/watch/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_COLUMNS 16
#define STATE_COLUMNS 28
#define SIZE_COLUMNS 9
#define INDENT 6
#define MAX_ALARMS_SHOWN 5

/* "label text", broken so that no line is wider than 80 columns (but for a long path). */
static void print_wrapped(struct ui *ui, int indent, const char *label, const char *text)
{
    int hang = (int)text_width(label);
    size_t room = 80 - (size_t)indent - (size_t)hang;
    char *clean = text_clean(text, strlen(text), false);
    for (const char *at = clean; *at; at += strspn(at, " ")) {
        size_t take = text_break(at, room);
        if (at == clean)
            ui_line(ui, "%*s%s%.*s", indent, "", label, (int)take, at);
        else
            ui_line(ui, "%*s%*s%.*s", indent, "", hang, "", (int)take, at);
        at += take;
    }
    free(clean);
}

/* --- the head ---------------------------------------------------------------------------------------- */
static void print_scheduler(const struct status_view *v)
{
    const struct facts *f = v->f;
    char age[64];
    size_t scheduled = 0;
    for (size_t i = 0; i < f->n_policies; i++)
        scheduled += f->policies[i].schedule != NULL;
    bool fresh = f->heartbeat_s && f->now_s - f->heartbeat_s <= heartbeat_limit_s(f->settings);
    if (fresh && !queue_is_heard(&v->app->paths))
        ui_line(&v->app->ui, _("Scheduler: STOPPED %s ago; next: systemctl start twofoldd"),
                ui_age(f->now_s - f->heartbeat_s, age));
    else if (fresh)
        ui_line(&v->app->ui, _("Scheduler: alive; %zu jobs run, %zu wait"), f->jobs_running,
                f->jobs_queued);
    else if (f->heartbeat_s)
        ui_line(&v->app->ui, _("Scheduler: NO SIGN OF LIFE for %s"),
                ui_age(f->now_s - f->heartbeat_s, age));
    else if (scheduled)
        ui_line(&v->app->ui,
                _("Scheduler: none has run yet; next: systemctl enable --now twofoldd"));
}

static void print_alarms(const struct status_view *v)
{
    const struct facts *f = v->f;
    size_t unacked = 0, shown = 0;
    for (size_t i = 0; i < f->n_alarms; i++)
        unacked += f->alarms[i].acked_s == 0;
    if (unacked == 0)
        return;
    ui_line(&v->app->ui,
            P_("%zu alarm is not acknowledged: twofold alarms ack NUMBER",
               "%zu alarms are not acknowledged: twofold alarms ack NUMBER", unacked),
            unacked);
    for (size_t i = 0; i < f->n_alarms && shown < MAX_ALARMS_SHOWN; i++) {
        if (f->alarms[i].acked_s)
            continue;
        char *label = text_print("%5" PRIu64 "  ", f->alarms[i].id);
        print_wrapped(&v->app->ui, 0, label, f->alarms[i].text);
        free(label);
        shown++;
    }
    if (unacked > shown)
        ui_line(&v->app->ui, _("       and %zu more: twofold alarms"), unacked - shown);
}

/* Before anything else: something is down, and a clock runs. */
static void print_incidents(const struct status_view *v)
{
    for (size_t i = 0; i < v->f->n_incidents; i++) {
        const struct incident_fact *n = &v->f->incidents[i];
        char since[32];
        size_t overdue = 0;
        if (n->drill || n->closed_s || n->unread || n->settled)
            continue;
        for (size_t k = 0; k < n->duties.n; k++)
            overdue += n->duties.all[k].state == DUTY_OVERDUE;
        char *text = text_print(n->escalated_s   ? _("%s, ESCALATED: open since %s")
                                : n->recovered_s ? _("%s: back in service, opened %s")
                                                 : _("%s: open since %s"),
                                n->id, time_text(n->opened_s, since));
        char *duties = overdue ? text_print(P_("%s; %zu duty is OVERDUE",
                                               "%s; %zu duties are OVERDUE", overdue),
                                            text, overdue)
                               : text_print("%s", text);
        char *standby = text_print(
            n->primary_unproven
                ? _("%s; that the old primary takes no writes was stated, not asked")
                : "%s",
            failback_phase_text(n->standby));
        char *next = text_print("twofold crash status %s", n->id);
        print_wrapped(&v->app->ui, 0, _("INCIDENT "), duties);
        if (n->standby != PAIR_AS_EVER)
            print_wrapped(&v->app->ui, INDENT, "", standby);
        print_wrapped(&v->app->ui, INDENT, _("next: "), next);
        free(next);
        free(standby);
        free(duties);
        free(text);
    }
}

/* What is wrong and belongs to no line below. */
static void print_site_findings(const struct status_view *v)
{
    for (size_t i = 0; i < v->fs->n; i++) {
        const struct finding *g = &v->fs->all[i];
        bool below = g->policy || g->copy || g->vault;
        if (below)
            continue;
        char *label = text_print("%s: ", level_word(g->level));
        print_wrapped(&v->app->ui, 0, label, g->text);
        print_wrapped(&v->app->ui, INDENT, _("next: "), g->next);
        free(label);
    }
}

/* --- copies -------------------------------------------------------------------------------------------- */
static const struct finding *copy_finding(const struct status_view *v, const struct copy_fact *c,
                                          const char *kind)
{
    size_t n = strlen(kind);
    for (size_t i = 0; i < v->fs->n; i++)
        if (v->fs->all[i].copy == c && strncmp(v->fs->all[i].key, kind, n) == 0)
            return &v->fs->all[i];
    return NULL;
}

static void print_finding(const struct status_view *v, const struct finding *g)
{
    if (!g)
        return;
    print_wrapped(&v->app->ui, INDENT, _("why:  "), g->text);
    print_wrapped(&v->app->ui, INDENT, _("next: "), g->next);
}

static void print_copy_more(const struct status_view *v, const struct copy_fact *c)
{
    struct ui *ui = &v->app->ui;
    char lag[64];
    int64_t lag_s = copy_lag_s(v->f, c);
    if (copy_carried(v->f, c)) {
        if (c->medium)
            print_wrapped(ui, INDENT, _("where: "), c->medium);
        return;
    }
    if (copy_attention(v->f, c) && c->why[0])
        print_wrapped(ui, INDENT, _("why:  "), c->why);
    if (lag_s > 0 && c->current_s) {
        char *text = text_print(_("for %s"), ui_age(lag_s, lag));
        print_wrapped(ui, INDENT, _("lag:  "), text);
        free(text);
    }
    if (copy_attention(v->f, c) && c->looked && c->next[0])
        print_wrapped(ui, INDENT, _("next: "), c->next);
    else if (copy_attention(v->f, c)) {
        const struct finding *g = copy_finding(v, c, "");
        print_wrapped(ui, INDENT, _("next: "),
                      g ? g->next : _("look at it now: twofold status --live"));
    }
    if (c->rotating && c->medium)
        print_wrapped(ui, INDENT, _("where: "), c->medium);
}

static void print_copy(const struct status_view *v, const struct copy_fact *c)
{
    struct ui *ui = &v->app->ui;
    char free_bytes[32], words[200];
    char *place = text_pad(c->place, PLACE_COLUMNS, false);
    copy_words(v->f, c, words);
    char *state = text_pad(words, STATE_COLUMNS, false);
    char *size = text_pad(ui_bytes(c->free_bytes, free_bytes), SIZE_COLUMNS, true);
    if (c->has_space)
        ui_line(ui, _("  %s %s %s free"), place, state, size);
    else
        ui_line(ui, "  %s %s", place, words);
    print_copy_more(v, c);
    print_finding(v, copy_finding(v, c, "space/"));
    print_finding(v, copy_finding(v, c, "medium/"));
    free(place);
    free(state);
    free(size);
}

static void print_devices(const struct status_view *v, const struct vault_fact *vault)
{
    const struct facts *f = v->f;
    for (size_t i = 0; i < f->n_copies; i++)
        for (size_t k = 0; k < i; k++) {
            const struct copy_fact *a = &f->copies[k], *b = &f->copies[i];
            if (&f->vaults[a->vault] != vault || &f->vaults[b->vault] != vault || !a->device ||
                a->device != b->device)
                continue;
            char *text = text_print(
                _("copies \"%s\" and \"%s\" are on one device; PY-DB-1 asks for two places"),
                a->place, b->place);
            char *label = text_print("  %s: ", level_word(ALARM_WARNING));
            print_wrapped(&v->app->ui, 0, label, text);
            free(label);
            free(text);
            k = i; /* one line a copy is enough */
        }
}

/* --- vaults -------------------------------------------------------------------------------------------------- */
static void print_care(const struct status_view *v, const struct vault_fact *vault)
{
    char scrub[64], prune[64];
    const struct facts *f = v->f;
    if (vault->scrub_s && vault->prune_s)
        ui_line(&v->app->ui, _("  last scrub %s ago, last prune %s ago"),
                ui_age(f->now_s - vault->scrub_s, scrub), ui_age(f->now_s - vault->prune_s, prune));
    else if (vault->scrub_s)
        ui_line(&v->app->ui, _("  last scrub %s ago"), ui_age(f->now_s - vault->scrub_s, scrub));
    else if (vault->prune_s)
        ui_line(&v->app->ui, _("  last prune %s ago"), ui_age(f->now_s - vault->prune_s, prune));
    for (size_t i = 0; i < v->fs->n; i++) {
        const struct finding *g = &v->fs->all[i];
        if (g->vault == vault && !g->copy && strncmp(g->key, "vault/", 6) != 0)
            print_finding(v, g);
    }
}

static void print_vault(const struct status_view *v, const struct vault_fact *vault)
{
    struct ui *ui = &v->app->ui;
    const struct facts *f = v->f;
    uint64_t generation = vault->generation;
    for (size_t i = 0; i < f->n_copies; i++)
        if (&f->vaults[f->copies[i].vault] == vault && f->copies[i].generation > generation)
            generation = f->copies[i].generation;
    if (generation)
        ui_line(ui, _("Vault %s, generation %" PRIu64), vault->name, generation);
    else
        ui_line(ui, _("Vault %s, nothing in it yet"), vault->name);
    for (size_t i = 0; i < f->n_copies; i++)
        if (&f->vaults[f->copies[i].vault] == vault)
            print_copy(v, &f->copies[i]);
    print_devices(v, vault);
    if (vault->n_tips > 1) {
        ui_line(ui,
                _("  FORK: %zu orchestrators have written at the same time; all is shown, nothing"),
                vault->n_tips);
        ui_line(ui, _("  is deleted"));
        print_wrapped(ui, INDENT, _("next: "),
                      _("the next backup merges it: twofold backup POLICY"));
    }
    for (size_t i = 0; i < v->fs->n; i++)
        if (v->fs->all[i].vault == vault && strncmp(v->fs->all[i].key, "vault/", 6) == 0 &&
            vault->n_tips <= 1)
            print_finding(v, &v->fs->all[i]);
    print_care(v, vault);
}

/* --- policies -------------------------------------------------------------------------------------------------- */
static void print_run(const struct status_view *v, const char *label, const struct id *id,
                      int64_t received_s, const char *remark)
{
    char hex[SHORT_ID_DIGITS + 1], when[32];
    ui_line(&v->app->ui, "  %s %s  %s  %s", label, short_id(id, hex), time_text(received_s, when),
            remark);
}

static void print_last_whole(const struct status_view *v, const struct policy_fact *p,
                             const struct policy_sum *s)
{
    char age[64], rpo[64];
    ui_age(v->f->now_s - p->whole_s, age);
    ui_age((int64_t)p->rpo_s, rpo);
    char *remark = text_print(_("%s ago (RPO %s)"), age, rpo);
    print_run(v, _("last whole:  "), &p->whole, p->whole_s, remark);
    free(remark);
    if (s->places < PLACES_WANTED) {
        print_wrapped(&v->app->ui, INDENT, _("why:  "),
                      s->places
                          ? _("the last backup is known to be whole in 1 place only; what the "
                              "other copies lack stands with them")
                          : _("of no copy it is known that it has the last backup whole; what "
                              "each lacks stands with it"));
    }
}

static void print_last_partial(const struct status_view *v, const struct policy_fact *p)
{
    char age[64];
    char *remark = text_print(_("%s ago"), ui_age(v->f->now_s - p->partial_s, age));
    print_run(v, _("last partial:"), &p->partial, p->partial_s, remark);
    free(remark);
    print_wrapped(&v->app->ui, INDENT, _("why:  "), _("some files could not be read"));
    char *next = text_print(
        _("a run by hand names them, twofold backup %s; then let the agent read "
          "them, or exclude them in the policy"),
        p->name);
    print_wrapped(&v->app->ui, INDENT, _("next: "), next);
    free(next);
}

static void print_next_run(const struct status_view *v, const struct policy_fact *p)
{
    char when[32];
    if (p->next_s)
        ui_line(&v->app->ui, _("  next run:     %s"), time_text(p->next_s, when));
    else if (p->held || p->no_timer || p->bad_schedule)
        ui_line(&v->app->ui, _("  next run:     NONE"));
    else if (p->schedule)
        ui_line(&v->app->ui, _("  schedule:     %s"), p->schedule);
}

/* What is wrong with the runs of a policy stands with it; the rest follows below. */
static bool is_told_here(const char *key)
{
    static const char *const kinds[] = { "run/",      "held/",    "timer/",    "schedule/", "log/",
                                         "log-copy/", "log-gap/", "log-slot/", "drill/" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(key, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

/* How far the log of its database is; where it is not as it shall be, the alarm may have its time, the command stands here at once. */
static void print_log(const struct status_view *v, const struct policy_fact *p,
                      const struct policy_sum *s)
{
    char key[MAX_NAME + 8], next[FINDING_TEXT_BYTES], size[32];
    struct log_sum sum;
    if (!p->logs)
        return;
    char *words = log_words(p->log, v->f->now_s);
    print_wrapped(&v->app->ui, 2, _("log:          "), words);
    free(words);
    log_sum(p->log, v->f->now_s, log_limit_s(p), &sum);
    if (sum.ahead && s->log) {
        char *text = text_print(_("the server is %s ahead"), ui_bytes(sum.ahead, size));
        print_wrapped(&v->app->ui, INDENT, _("lag:  "), text);
        free(text);
    }
    snprintf(key, sizeof key, "log/%s", p->name);
    if (s->log && !findings_get(v->fs, key)) {
        if (p->log && p->log->why[0])
            print_wrapped(&v->app->ui, INDENT, _("why:  "), p->log->why);
        print_wrapped(&v->app->ui, INDENT, _("next: "), log_next(v->f, p, next));
    }
}

/* Whether it could be restored when that was last tried; what is wrong with it follows below. */
static void print_drill(const struct status_view *v, const struct policy_fact *p)
{
    char age[64], took[64], lost[64];
    struct drill_past past = policy_drills(v->f, p->name);
    ui_age(v->f->now_s - past.last_s, age);
    ui_age((past.rto_ms + 999) / 1000, took);
    ui_age(past.rpo_s, lost);
    if (!past.last_s)
        ui_line(&v->app->ui, _("  last drill:   never"));
    else if (past.failed)
        ui_line(&v->app->ui, _("  last drill:   FAILED %s ago"), age);
    else
        ui_line(&v->app->ui, _("  last drill:   %s ago: restored in %s, %s lost"), age, took, lost);
    if (p->no_drill_timer)
        print_wrapped(&v->app->ui, INDENT, _("next: "),
                      _("its drills have no timer: twofold schedule apply"));
}

/* "good" is said of nothing that somebody has to look after. */
static const char *policy_word(const struct policy_fact *p, const struct policy_sum *s)
{
    return !p->whole_s      ? (p->partial_s ? _("NO WHOLE BACKUP YET") : _("NOTHING YET"))
           : s->overdue     ? _("OVERDUE")
           : s->places == 0 ? _("IN NO PLACE FOR CERTAIN")
           : s->places < PLACES_WANTED ? _("IN ONE PLACE ONLY")
           : s->own                    ? _("ATTENTION")
           : s->attention              ? _("good; but see above")
                                       : _("good");
}

static void print_policy(const struct status_view *v, const struct policy_fact *p)
{
    struct ui *ui = &v->app->ui;
    struct policy_sum s;
    policy_sum(v->f, v->fs, p, &s);
    ui_line(ui, _("Policy %s: %s"), p->name, policy_word(p, &s));
    if (p->whole_s)
        print_last_whole(v, p, &s);
    if (p->partial_s > p->whole_s)
        print_last_partial(v, p);
    print_next_run(v, p);
    print_log(v, p, &s);
    print_drill(v, p);
    if (s.future)
        print_wrapped(ui, INDENT, _("why:  "),
                      _("the last backup is from the future: check this machine's clock"));
    bool said = false;
    for (size_t i = 0; i < v->fs->n; i++) {
        const struct finding *g = &v->fs->all[i];
        if (g->policy != p || !is_told_here(g->key))
            continue;
        print_finding(v, g);
        said = true;
    }
    if (s.overdue && !said) {
        char *next = text_print("twofold backup %s", p->name);
        print_wrapped(ui, INDENT, _("next: "), next);
        free(next);
    }
}

/* Policies that are up to date, in one line. */
static void print_well(const struct status_view *v, const struct facts *f, size_t n,
                       int64_t oldest_s)
{
    char age[64];
    ui_line(&v->app->ui,
            P_("%zu more policy is up to date (within %s); each: twofold status --all",
               "%zu more policies are up to date (within %s); each: twofold status --all", n),
            n, ui_age(f->now_s - oldest_s, age));
}

static void print_policies_of(const struct status_view *v, const struct vault_fact *vault,
                              const size_t *order, size_t n)
{
    const struct facts *f = v->f;
    size_t well = 0, counted = 0;
    int64_t oldest_s = 0;
    for (size_t i = 0; i < n; i++) {
        struct policy_sum s;
        policy_sum(f, v->fs, &f->policies[order[i]], &s);
        well += strcmp(f->policies[order[i]].vault, vault->name) == 0 && !s.own;
    }
    for (size_t i = 0; i < n; i++) {
        const struct policy_fact *p = &f->policies[order[i]];
        struct policy_sum s;
        if (strcmp(p->vault, vault->name) != 0)
            continue;
        policy_sum(f, v->fs, p, &s);
        if (!v->all && !s.own && well > MANY_POLICIES) {
            counted++;
            oldest_s = !oldest_s || p->whole_s < oldest_s ? p->whole_s : oldest_s;
            continue;
        }
        print_policy(v, p);
    }
    if (counted)
        print_well(v, f, counted, oldest_s);
}

void status_print(const struct status_view *v)
{
    const struct facts *f = v->f;
    size_t n, *order = policies_by_rank(f, v->fs, &n);
    if (n > 0) {
        char *verdict = site_verdict(&v->sum);
        print_wrapped(&v->app->ui, 0, "", verdict);
        free(verdict);
    }
    print_incidents(v);
    print_scheduler(v);
    print_alarms(v);
    print_site_findings(v);
    for (size_t i = 0; i < f->n_vaults; i++) {
        if (!status_shows_vault(v, &f->vaults[i]) || f->vaults[i].n_copies == 0)
            continue;
        print_vault(v, &f->vaults[i]);
        print_policies_of(v, &f->vaults[i], order, n);
    }
    free(order);
}
