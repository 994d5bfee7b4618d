/* cmd_care.c - twofold scrub and twofold repair. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/care.h"
#include "orchestrator/care_needs.h"
#include "orchestrator/care_open.h"
#include "orchestrator/crash/records_tend.h"
#include "orchestrator/logs/tend.h"
#include "orchestrator/record.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_PERCENT 10
#define MAX_FINDINGS 100000

struct care {
    struct app *app;
    struct vault *v;
    struct finding *findings;
    size_t n, cap;
    struct ui_progress progress;
};

static const char *kind_text(enum finding_kind k)
{
    return k == FINDING_MISSING   ? _("MISSING")
           : k == FINDING_DAMAGED ? _("DAMAGED")
                                  : _("UNREADABLE");
}

static int on_finding(void *ctx, const struct finding *f, struct err *e)
{
    struct care *c = ctx;
    const char *place = c->v->copies[f->copy].place;
    ui_progress_end(&c->app->ui);
    ui_line(&c->app->ui, _("copy \"%s\": %s: %s (%s)"), place, f->name, kind_text(f->kind), f->why);
    ui_json(&c->app->ui, json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "finding", "place", place,
                                   "object", f->name, "kind",
                                   f->kind == FINDING_MISSING   ? "missing"
                                   : f->kind == FINDING_DAMAGED ? "damaged"
                                                                : "unreadable",
                                   "why", f->why));
    if (c->n == MAX_FINDINGS)
        return err_set(e, ERR_LIMIT,
                       _("more than %d objects are damaged; the copy is better replaced"),
                       MAX_FINDINGS);
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64;
        struct finding *grown = realloc(c->findings, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, _("no memory"));
        c->findings = grown;
        c->cap = cap;
    }
    c->findings[c->n++] = *f;
    return 0;
}

static void on_checked(void *ctx, uint64_t bytes_read)
{
    struct care *c = ctx;
    c->progress.files++;
    c->progress.bytes = bytes_read;
    ui_progress(&c->app->ui, &c->progress);
}

static int parse_percent(struct app *app, const char *text, unsigned *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (end == text || n > 100 || (*end && strcmp(end, "%") != 0))
        return app_usage(app, _("--read-data=%s: give a share from 0%% to 100%%"), text);
    *ret = (unsigned)n;
    return 0;
}

static int check(struct care *c, int only, unsigned percent, struct care_result *r, struct err *e)
{
    struct care_options o = {
        .only = only, .percent = percent, .found = on_finding, .checked = on_checked, .ctx = c
    };
    c->progress.phase = N_("checking");
    c->progress.started_ms = sys_monotonic_ms();
    int rc = care_check(c->v, &o, r, e);
    ui_progress_end(&c->app->ui);
    return rc;
}

/* Copies that should have been looked at and could not: not a clean bill of health. */
static size_t not_looked(const struct vault *v, int only, const struct care_result *r)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_copies; i++)
        n += only < 0 ? !r->looked[i] && !vault_copy_carried(&v->copies[i])
                      : (size_t)only == i && !r->looked[i];
    return n;
}

/* --- what is lost ----------------------------------------------------------------------------------------------------- */
/* How many chunks of the pack no copy can give: vault_fetch remembers each, so that the next backup stores it again. */
static size_t find_lost(struct vault *v, const struct id *pack)
{
    struct pack_table t;
    struct fetch_options o = { .from = -1 };
    struct fetched got = { .sealed = WBUF_INIT };
    size_t lost = 0;
    if (chunkdb_pack_table(v->db, pack, &t, NULL) < 0)
        return 0;
    for (size_t i = 0; i < t.n; i++) {
        int rc = vault_fetch(v, &t.chunks[i].id, &o, &got, NULL);
        lost += rc == -ERR_DAMAGED || rc == -ERR_ABSENT;
    }
    wbuf_free(&got.sealed);
    pack_table_done(&t);
    return lost;
}

static void say_lost(struct app *app, size_t lost)
{
    if (lost)
        ui_line(
            &app->ui,
            P_("  %zu chunk is lost in every copy; where the source still has it, the next backup stores it again",
               "  %zu chunks are lost in every copy; where the source still has them, the next backup stores them again",
               lost),
            lost);
}

static bool is_found(const struct care *c, size_t copy, const struct id *pack)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->findings[i].copy == copy && c->findings[i].type == OBJECT_PACK &&
            id_eq(&c->findings[i].ref.id, pack))
            return true;
    return false;
}

/* Packs in which something was found in every copy: elsewhere another copy has all of it. */
static void look_for_lost(struct care *c, const struct care_result *r)
{
    size_t lost = 0;
    for (size_t i = 0; i < c->n && !sys_interrupted(); i++) {
        const struct finding *f = &c->findings[i];
        bool everywhere = f->type == OBJECT_PACK, first = true;
        for (size_t k = 0; everywhere && k < c->v->n_copies; k++)
            everywhere = !r->looked[k] || is_found(c, k, &f->ref.id);
        for (size_t k = 0; first && k < i; k++)
            first = !id_eq(&c->findings[k].ref.id, &f->ref.id);
        if (everywhere && first)
            lost += find_lost(c->v, &f->ref.id);
    }
    say_lost(c->app, lost);
}

static void not_looked_at(struct err *e, size_t n)
{
    err_set(e, ERR_PARTIAL,
            P_("%zu copy could not be looked at", "%zu copies could not be looked at", n), n);
}

/* --- scrub -------------------------------------------------------------------------------------------------------------- */
static int scrub_verdict(struct app *app, const struct care *c, int only,
                         const struct care_result *r, const struct opened_result *opened,
                         const struct needs_result *needs, const struct logs_checked *logs,
                         const struct records_tended *records)
{
    struct err e = ERR_INIT;
    if (needs->bad) {
        err_set(&e, ERR_NOT_WHOLE, _("%llu backups are not whole; each is named above"),
                (unsigned long long)needs->bad);
    } else if (r->findings || opened->bad || logs->findings || records->findings) {
        unsigned long long n = (unsigned long long)r->findings + opened->bad + logs->findings +
                               records->findings;
        err_set(&e, ERR_DAMAGED,
                P_("%llu object is damaged or missing; it is named above",
                   "%llu objects are damaged or missing; each is named above", n),
                n);
        err_next(&e, _("mend them from another copy: twofold repair"));
    } else if (logs->holes) {
        err_set(&e, ERR_DAMAGED,
                P_("%llu part of a log is missing in every copy",
                   "%llu parts of logs are missing in every copy", logs->holes),
                (unsigned long long)logs->holes);
        err_next(
            &e,
            _("no restore goes over them; back up anew to go on behind: twofold backup POLICY"));
    } else if (logs->lacking) {
        err_set(&e, ERR_PARTIAL,
                P_("%llu copy lacks objects of logs that others have",
                   "%llu copies lack objects of logs that others have", logs->lacking),
                (unsigned long long)logs->lacking);
        err_next(&e, _("bring them: twofold replicate"));
    } else if (records->lacking) {
        err_set(&e, ERR_PARTIAL,
                P_("%llu copy lacks records of incidents that others have",
                   "%llu copies lack records of incidents that others have", records->lacking),
                (unsigned long long)records->lacking);
        err_next(&e, _("bring them: twofold replicate"));
    } else if (not_looked(c->v, only, r)) {
        not_looked_at(&e, not_looked(c->v, only, r));
        err_next(&e, _("see what is wrong with them: twofold status"));
    } else {
        ui_line(&app->ui, _("no damage found"));
        return 0;
    }
    err_wrap(&e, "scrub");
    return ui_error(&app->ui, &e);
}

static void print_scrub(struct app *app, const struct care_result *r, const struct opened_result *o,
                        const struct needs_result *needs, bool open)
{
    char size[32];
    ui_line(&app->ui,
            _("checked %llu objects; of %llu packs %llu were read and hashed (%s read in all)"),
            (unsigned long long)r->objects, (unsigned long long)r->packs,
            (unsigned long long)r->packs_read, ui_bytes(r->bytes_read, size));
    if (needs->bad == 0 && needs->snapshots > 0)
        ui_line(&app->ui, _("all that %llu backups need is in the index"),
                (unsigned long long)needs->snapshots);
    if (open)
        ui_line(&app->ui, _("opened %llu snapshots and %llu of their chunks"),
                (unsigned long long)o->snapshots, (unsigned long long)o->chunks);
    ui_json(&app->ui,
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "type", "scrub",
                      "objects", (json_int_t)r->objects, "packs", (json_int_t)r->packs,
                      "packs_read", (json_int_t)r->packs_read, "bytes_read",
                      (json_int_t)r->bytes_read, "findings", (json_int_t)r->findings,
                      "snapshots_opened", (json_int_t)o->snapshots, "chunks_opened",
                      (json_int_t)o->chunks, "open_problems", (json_int_t)o->bad, "not_whole",
                      (json_int_t)needs->bad));
}

static int needs_of(struct care *c, struct needs_result *ret, struct err *e)
{
    struct id *packs = malloc((c->n + 1) * sizeof *packs);
    size_t n = 0;
    if (!packs)
        return err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; i < c->n; i++)
        if (c->findings[i].type == OBJECT_PACK)
            packs[n++] = c->findings[i].ref.id;
    int rc = care_needs(c->app, c->v, packs, n, ret, e);
    free(packs);
    return rc;
}

static int scrub(struct app *app, const struct vault_choice *choice, const char *place,
                 unsigned percent, bool open, struct record *record, int *ret_status, struct err *e)
{
    struct care c = { .app = app };
    struct care_result r;
    struct opened_result opened = { 0 };
    struct needs_result needs = { 0 };
    struct logs_checked logs = { 0 };
    struct records_tended records = { 0 };
    int only = -1;
    int rc = app_open_vault(app, choice, false, open, &c.v, e); /* beside a backup, if need be */
    if (rc == 0 && place)
        rc = find_copy(c.v, place, &only, e);
    if (rc == 0)
        rc = check(&c, only, percent, &r, e);
    if (rc == 0)
        look_for_lost(&c, &r);
    if (rc == 0)
        rc = needs_of(&c, &needs, e);
    if (rc == 0 && open)
        rc = care_open(app, c.v, only, percent, &opened, e);
    if (rc == 0)
        rc = logs_scrub(app, c.v, only, percent, &logs, e);
    if (rc == 0)
        rc = records_scrub(app, c.v, only, &records, e);
    if (rc == 0) {
        print_scrub(app, &r, &opened, &needs, open);
        *ret_status = scrub_verdict(app, &c, only, &r, &opened, &needs, &logs, &records);
        record->run.problems = r.findings + opened.bad + needs.bad + logs.findings + logs.holes +
                               logs.lacking + records.findings + records.lacking;
        record->run.bytes_read = r.bytes_read + logs.bytes_read + records.bytes;
        record->run.files = r.objects + logs.objects + records.objects;
    }
    if (rc == 0)
        record_vault(record, c.v, NULL, NULL);
    else if (c.v)
        record_copies(record, c.v, NULL);
    free(c.findings);
    vault_close(c.v);
    return rc;
}

int cmd_scrub(struct app *app, int argc, char **argv)
{
    enum { OPT_READ = OPT_OWN, OPT_OPEN };
    static const struct option options[] = {
        { "read-data", required_argument, NULL, OPT_READ },
        { "open", no_argument, NULL, OPT_OPEN },
        { "vault", required_argument, NULL, OPT_VAULT },
        { "recovery-file", required_argument, NULL, OPT_RECOVERY_FILE },
        { "passphrase-file", required_argument, NULL, OPT_PASSPHRASE_FILE },
        OPTIONS_END
    };
    struct vault_choice choice = { 0 };
    struct record record;
    struct err e = ERR_INIT;
    unsigned percent = DEFAULT_PERCENT;
    bool open = false;
    int ch, status = 0;
    args_begin();
    while ((ch = args_next(argc, argv, ":", options)) != -1) {
        if (ch == OPT_OPEN)
            open = true;
        else if (ch == OPT_READ && (status = parse_percent(app, optarg, &percent)) != 0)
            return status;
        else if (ch != OPT_READ && !choice_option(ch, &choice))
            return args_bad(app, ch, argv);
    }
    if (argc - optind > 1)
        return app_usage(app, _("one place, or none for all of them"));
    record_begin(&record, app, "scrub", NULL);
    if (scrub(app, &choice, optind < argc ? argv[optind] : NULL, percent, open, &record, &status,
              &e) < 0) {
        err_wrap(&e, "scrub");
        status = ui_error(&app->ui, &e);
    }
    return record_end(&record, status);
}

/* --- repair --------------------------------------------------------------------------------------------------------------------- */
static void make_stamp(char out[40])
{
    time_t now = (time_t)sys_realtime_s();
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(out, 40, "%Y%m%dt%H%M%Sz", &tm);
    for (char *p = out; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
}

/* Damage that was noted earlier (by a scrub, by a restore) and lies in packs which this check did not read. */
static int add_noted(void *ctx, const char *place, const char *name, const char *why, struct err *e)
{
    struct care *c = ctx;
    struct finding f = { .kind = FINDING_DAMAGED, .type = OBJECT_PACK };
    int at = -1;
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->findings[i].name, name) == 0 &&
            strcmp(c->v->copies[c->findings[i].copy].place, place) == 0)
            return 0;
    if (!object_name_parse(OBJECT_PACK, name, NULL, &f.ref.id) ||
        find_copy(c->v, place, &at, NULL) < 0)
        return 0;
    f.copy = (size_t)at;
    snprintf(f.name, sizeof f.name, "%s", name);
    snprintf(f.why, sizeof f.why, "%s", why);
    return on_finding(c, &f, e);
}

struct len_of {
    const struct id *id;
    uint64_t len;
};

static int find_len(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    struct len_of *l = ctx;
    (void)pending;
    (void)e;
    if (id_eq(&pack->id, l->id))
        l->len = pack->len;
    return 0;
}

/* A pack that no copy can give back: its chunks count as lost, so that the next backup stores them again, and the snapshots
 * that need them are named. */
static void give_up(struct care *c, const struct finding *f, const struct err *why)
{
    ui_line(&c->app->ui, _("copy \"%s\": %s: NOT mended: %s"), c->v->copies[f->copy].place, f->name,
            why->why);
    if (f->type == OBJECT_INDEX && (why->code == ERR_DAMAGED || why->code == ERR_ABSENT) &&
        chunkdb_note_lost_index(c->v->db, &f->ref.id, NULL) == 0)
        ui_line(&c->app->ui, _("  the next backup writes it anew from the packs"));
    if (f->type == OBJECT_PACK && (why->code == ERR_DAMAGED || why->code == ERR_ABSENT))
        say_lost(c->app, find_lost(c->v, &f->ref.id));
}

static int mend_all(struct care *c, const char *stamp, struct mended *m, size_t *ret_failed,
                    struct err *e)
{
    for (size_t i = 0; i < c->n; i++) {
        struct finding *f = &c->findings[i];
        struct err why = ERR_INIT;
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted; run it again to mend the rest"));
        if (f->type == OBJECT_PACK && f->ref.len == 0) {
            struct len_of l = { .id = &f->ref.id };
            chunkdb_each_pack(c->v->db, find_len, &l, NULL);
            f->ref.len = l.len;
        }
        if (care_mend(c->v, f, stamp, m, &why) < 0) {
            (*ret_failed)++;
            give_up(c, f, &why);
            continue;
        }
        ui_line(&c->app->ui,
                m->from_parts
                    ? _("copy \"%s\": %s: mended from the healthy parts of several copies")
                    : _("copy \"%s\": %s: mended"),
                c->v->copies[f->copy].place, f->name);
        ui_json(&c->app->ui, json_pack("{s:s, s:s, s:s}", "type", "mended", "place",
                                       c->v->copies[f->copy].place, "object", f->name));
        c->progress.files++;
        ui_progress(&c->app->ui, &c->progress);
    }
    return 0;
}

static int repair_verdict(struct app *app, const struct care *c, int only,
                          const struct care_result *r, const char *stamp, const struct mended *m,
                          size_t failed)
{
    struct err e = ERR_INIT;
    char size[32];
    if (m->objects) {
        ui_line(&app->ui,
                P_("mended %llu object, %s; what was there before is kept in aside/%s of the copy",
                   "mended %llu objects, %s; what was there before is kept in aside/%s of the copy",
                   m->objects),
                (unsigned long long)m->objects, ui_bytes(m->bytes, size), stamp);
        ui_line(&app->ui, _("to take it back: twofold repair --undo %s"), stamp);
    }
    ui_line(&app->ui,
            _("of %llu packs %llu were read and hashed; to read all of them: --read-data=100%%"),
            (unsigned long long)r->packs, (unsigned long long)r->packs_read);
    ui_json(&app->ui, json_pack("{s:s, s:I, s:I, s:I, s:s}", "type", "repair", "mended",
                                (json_int_t)m->objects, "bytes", (json_int_t)m->bytes, "failed",
                                (json_int_t)failed, "stamp", stamp));
    if (failed) {
        err_set(&e, ERR_DAMAGED,
                P_("%zu object could not be mended; it is named above",
                   "%zu objects could not be mended; each is named above", failed),
                failed);
        err_next(
            &e,
            _("bring a copy that is away back and run it again; then back up anew: twofold backup POLICY"));
    } else if (not_looked(c->v, only, r)) {
        not_looked_at(&e, not_looked(c->v, only, r));
        err_next(&e, _("see what is wrong with them: twofold status"));
    } else {
        if (m->objects == 0)
            ui_line(&app->ui, _("nothing to mend"));
        return 0;
    }
    err_wrap(&e, "repair");
    return ui_error(&app->ui, &e);
}

static int repair(struct app *app, const struct vault_choice *choice, const char *place,
                  unsigned percent, struct record *record, int *ret_status, struct err *e)
{
    struct care c = { .app = app };
    struct care_result r;
    struct mended m = { 0 };
    struct logs_mended logs = { 0 };
    struct records_tended records = { 0 };
    size_t failed = 0;
    char stamp[40];
    int only = -1;
    make_stamp(stamp);
    int rc = app_open_vault(app, choice, true, false, &c.v, e);
    if (rc == 0 && place)
        rc = find_copy(c.v, place, &only, e);
    if (rc == 0)
        rc = check(&c, only, percent, &r, e);
    if (rc == 0)
        rc = chunkdb_each_damage(c.v->db, add_noted, &c, e);
    c.progress = (struct ui_progress){ .phase = N_("mending"),
                                       .started_ms = sys_monotonic_ms(),
                                       .total_files = c.n };
    if (rc == 0)
        rc = mend_all(&c, stamp, &m, &failed, e);
    ui_progress_end(&app->ui);
    if (rc == 0)
        rc = logs_repair(app, c.v, only, percent, stamp, &logs, e);
    if (rc == 0)
        rc = records_repair(app, c.v, only, stamp, &records, e);
    m.objects += logs.objects + records.objects;
    m.bytes += logs.bytes + records.bytes;
    failed += logs.failed + records.lost;
    if (rc == 0)
        *ret_status = repair_verdict(app, &c, only, &r, stamp, &m, failed);
    record->run.problems = failed;
    record->run.files = m.objects;
    record->run.bytes_stored = m.bytes;
    if (rc == 0)
        record_vault(record, c.v, NULL, NULL);
    else if (c.v)
        record_copies(record, c.v, NULL);
    free(c.findings);
    vault_close(c.v);
    return rc;
}

static int undo(struct app *app, const struct vault_choice *choice, const char *stamp,
                struct err *e)
{
    struct vault *v = NULL;
    int rc = app_open_vault(app, choice, true, false, &v, e), n = 0;
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++) {
        if (v->copies[i].state != COPY_CURRENT && v->copies[i].state != COPY_BEHIND)
            continue;
        int back = store_restore_aside(v->copies[i].store, stamp, e);
        if (back < 0)
            rc = err_wrap(e, _("copy \"%s\""), v->copies[i].place);
        else
            n += back;
        if (back > 0)
            ui_line(&app->ui, _("copy \"%s\": %d objects are as they were before"),
                    v->copies[i].place, back);
    }
    if (rc == 0 && n == 0) {
        err_set(e, ERR_ABSENT, _("no copy keeps anything under aside/%s"), stamp);
        rc = err_next(e, _("give the stamp that the repair printed"));
    }
    vault_close(v);
    return rc;
}

int cmd_repair(struct app *app, int argc, char **argv)
{
    enum { OPT_READ = OPT_OWN, OPT_UNDO };
    static const struct option options[] = { { "read-data", required_argument, NULL, OPT_READ },
                                             { "undo", required_argument, NULL, OPT_UNDO },
                                             { "vault", required_argument, NULL, OPT_VAULT },
                                             OPTIONS_END };
    struct vault_choice choice = { 0 };
    struct record record;
    struct err e = ERR_INIT;
    unsigned percent = 0;
    const char *stamp = NULL;
    int ch, status = 0;
    args_begin();
    while ((ch = args_next(argc, argv, ":", options)) != -1) {
        if (ch == OPT_UNDO)
            stamp = optarg;
        else if (ch == OPT_READ && (status = parse_percent(app, optarg, &percent)) != 0)
            return status;
        else if (ch != OPT_READ && !choice_option(ch, &choice))
            return args_bad(app, ch, argv);
    }
    if (argc - optind > 1)
        return app_usage(app, _("one place, or none for all of them"));
    record_begin(&record, app, "repair", NULL);
    int rc = stamp ? undo(app, &choice, stamp, &e)
                   : repair(app, &choice, optind < argc ? argv[optind] : NULL, percent, &record,
                            &status, &e);
    if (rc < 0) {
        err_wrap(&e, "repair");
        status = ui_error(&app->ui, &e);
    }
    return record_end(&record, status);
}
