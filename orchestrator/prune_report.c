/* prune_report.c - what `twofold prune` says; see prune_report.h. */
#include "orchestrator/prune_report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include <inttypes.h>
#include <stdlib.h>

static const char *state_name(const struct snap_ref *r)
{
    if (r->flags & SNAPSHOT_QUARANTINE)
        return N_("quarantine");
    return r->state == SNAPSHOT_WHOLE ? N_("whole") : N_("partial");
}

/* --- the plan ---------------------------------------------------------------------------------------------------------- */
static void json_snapshot(struct ui *ui, const struct plan_source *s, const struct plan_snap *snap)
{
    char id[ID_HEX_BYTES], when[32];
    json_t *rules = json_array();
    for (unsigned bit = 1; bit <= KEPT_ALL; bit <<= 1)
        if (snap->keep.rules & bit)
            json_array_append_new(rules, json_string(retention_rule_name(bit)));
    if (snap->base)
        json_array_append_new(rules, json_string("base"));
    ui_json(ui, json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:s}", "type", "snapshot", "id",
                          id_hex(&snap->ref.ref.id, id), "policy",
                          ui_json_text(s->policy, strlen(s->policy)), "received",
                          ui_time(snap->ref.received_ns, when), "state", state_name(&snap->ref),
                          "action", plan_goes(snap) ? "drop" : "keep", "rules", rules, "why",
                          snap->keep.why));
}

static void print_snapshot(struct ui *ui, const struct plan_snap *snap)
{
    char id[SHORT_ID_DIGITS + 1], when[32];
    bool goes = plan_goes(snap);
    ui_line(ui, "  %s %s %s %s%s%s", goes ? _("goes ") : _("stays"),
            short_id(&snap->ref.ref.id, id), short_time(snap->ref.received_ns, when),
            _(state_name(&snap->ref)), goes ? "" : ": ", goes ? "" : snap->keep.why);
}

static void report_source(struct ui *ui, const struct plan_source *s, bool dry_run)
{
    if (dry_run || s->dropped)
        ui_line(ui, _("%s: %zu backups stay, %zu go"), s->policy, s->n - s->dropped, s->dropped);
    for (size_t i = 0; i < s->n; i++) {
        if (dry_run || plan_goes(&s->snaps[i]))
            print_snapshot(ui, &s->snaps[i]);
        json_snapshot(ui, s, &s->snaps[i]);
    }
}

void report_plan(const struct prune *p, bool dry_run)
{
    struct ui *ui = &p->app->ui;
    uint64_t dropped = 0, moved = 0, live = 0, waste = 0;
    size_t n_dropped = 0, n_moved = 0;
    char a[32], b[32], c[32];
    for (size_t i = 0; i < p->plan->n; i++)
        report_source(ui, &p->plan->sources[i], dry_run);
    for (size_t i = 0; i < p->n_packs; i++) {
        const struct prune_pack *pk = &p->packs[i];
        n_dropped += pk->fate == PACK_DROPPED;
        n_moved += pk->fate == PACK_MOVED;
        dropped += pk->fate == PACK_DROPPED ? pk->ref.len : 0;
        moved += pk->fate == PACK_MOVED ? pk->ref.len : 0;
        live += pk->fate == PACK_MOVED ? pk->live_bytes : 0;
        waste += pk->fate == PACK_STAYS ? pk->chunk_bytes - pk->live_bytes : 0;
    }
    ui_line(ui, _("of %zu packs %zu are not needed (%s)"), p->n_packs, n_dropped,
            ui_bytes(dropped, a));
    if (n_moved)
        ui_line(ui, _("and %zu hardly (%s): what is needed of them (%s) goes to new ones"), n_moved,
                ui_bytes(moved, a), ui_bytes(live, b));
    ui_line(ui, _("in those that stay %s are not needed"), ui_bytes(waste, c));
    if (dry_run && dropped + moved)
        ui_line(ui, _("each copy would give back %s for it, by the prune after that one"),
                ui_bytes(dropped + moved - live, a));
    ui_json(ui,
            json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "type", "plan",
                      "dry_run", dry_run, "kept", (json_int_t)p->plan->kept, "dropped",
                      (json_int_t)p->plan->dropped, "packs", (json_int_t)p->n_packs,
                      "packs_dropped", (json_int_t)n_dropped, "packs_moved", (json_int_t)n_moved,
                      "bytes_dropped", (json_int_t)dropped, "bytes_moved", (json_int_t)moved,
                      "bytes_needed", (json_int_t)live, "bytes_unused", (json_int_t)waste));
}

/* --- the copies ---------------------------------------------------------------------------------------------------------- */
static const char *problem_text(const struct err *e)
{
    return e->why[0] ? e->why : e->what;
}

/* A copy that keeps what it has, or is carried away: that is as it should be. */
static bool expected(const struct copy_conf *c, const struct copy *copy, const struct err *problem)
{
    if (copy->state == COPY_AWAY && c->rotating)
        return true;
    return !c->deletable && (problem->code == ERR_REFUSED || problem->code == ERR_READONLY);
}

static void report_copy(const struct prune *p, size_t i, const struct swept_copy *s, bool dry_run)
{
    struct ui *ui = &p->app->ui;
    const char *place = p->v->copies[i].place;
    char a[32], b[32];
    if (s->problem.code && dry_run)
        ui_line(ui, _("copy \"%s\": cannot be pruned now: %s"), place, problem_text(&s->problem));
    else if (s->problem.code)
        ui_line(ui, _("copy \"%s\": %s deleted (%" PRIu64 " objects), then: %s"), place,
                ui_bytes(s->bytes, a), s->objects, problem_text(&s->problem));
    else if (s->waits[0])
        ui_line(ui, _("copy \"%s\": nothing deleted: %s"), place, s->waits);
    else
        ui_line(ui,
                dry_run ? _("copy \"%s\": %s would be freed now (%" PRIu64 " objects)")
                        : _("copy \"%s\": %s freed (%" PRIu64 " objects)"),
                place, ui_bytes(s->bytes, a), s->objects);
    if (s->aside_bytes)
        ui_line(ui, _("  of that %s are what repairs of more than %d days ago replaced"),
                ui_bytes(s->aside_bytes, a), SWEEP_ASIDE_S / 86400);
    if (s->later)
        ui_line(ui, _("  %s (%" PRIu64 " objects) wait for a later prune"),
                ui_bytes(s->later_bytes, b), s->later);
    ui_json(ui, json_pack("{s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:s}", "type", "copy", "place",
                          place, "current", p->v->copies[i].state == COPY_CURRENT, "swept",
                          s->swept, "objects", (json_int_t)s->objects, "bytes",
                          (json_int_t)s->bytes, "later_objects", (json_int_t)s->later,
                          "later_bytes", (json_int_t)s->later_bytes, "problem",
                          s->problem.code ? problem_text(&s->problem) : s->waits));
}

static void report_totals(const struct prune *p, const struct swept *swept, bool dry_run)
{
    struct ui *ui = &p->app->ui;
    char a[32], b[32];
    if (!dry_run && p->committed)
        ui_line(
            ui,
            _("%zu backups and %zu packs (%s) are out of the vault; %s were moved to new packs"),
            p->dropped_snapshots, p->dropped_packs + p->moved_packs,
            ui_bytes(p->dropped_pack_bytes, a), ui_bytes(p->moved_bytes, b));
    if (swept->holder[0])
        ui_line(ui, _("%s still works with the vault as it was: what it may need stays until then"),
                swept->holder);
    ui_json(ui, json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "type",
                          "prune", "dry_run", dry_run, "committed", p->committed,
                          "snapshots_dropped", (json_int_t)p->dropped_snapshots, "packs_dropped",
                          (json_int_t)p->dropped_packs, "packs_moved", (json_int_t)p->moved_packs,
                          "packs_damaged", (json_int_t)p->damaged_packs, "keys_dropped",
                          (json_int_t)p->dropped_keys, "bytes_moved", (json_int_t)p->moved_bytes,
                          "bytes_dropped", (json_int_t)p->dropped_pack_bytes, "ms",
                          (json_int_t)(sys_monotonic_ms() - p->progress.started_ms), "waits_for",
                          swept->holder));
}

int report_result(const struct prune *p, const struct vault_conf *conf, const struct swept *swept,
                  bool dry_run)
{
    struct err e = ERR_INIT;
    size_t bad = p->v->n_copies;
    report_totals(p, swept, dry_run);
    for (size_t i = 0; i < p->v->n_copies; i++) {
        const struct swept_copy *s = &swept->copies[i];
        report_copy(p, i, s, dry_run);
        if (!s->swept && !expected(&conf->copies[i], &p->v->copies[i], &s->problem))
            bad = i;
    }
    if (p->damaged_packs) {
        err_set(&e, ERR_DAMAGED, _("%zu packs are damaged in every copy; they were left alone"),
                p->damaged_packs);
        err_next(&e, _("see what they held, and mend it: twofold repair"));
    } else if (bad < p->v->n_copies && !dry_run) {
        const struct swept_copy *s = &swept->copies[bad];
        err_set(&e, ERR_PARTIAL, _("copy \"%s\" was not pruned: %s"), p->v->copies[bad].place,
                s->problem.code ? problem_text(&s->problem) : s->waits);
        err_next(&e, _("see to it; the next prune goes on there"));
    } else {
        return 0;
    }
    err_wrap(&e, "prune");
    return ui_error(&p->app->ui, &e);
}
