/* cmd_audit.c - twofold audit: who did what (list, export), and whether anybody touched the record of it (verify). */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/catalog/choose.h"
#include "orchestrator/catalog/export.h"
#include "orchestrator/catalog/rows.h"
#include "orchestrator/look.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000LL

struct options {
    struct vault_choice choice;
    const char *who;
    int64_t since_s;
    bool with_hashes; /* export: one object of JSON a row, to be checked elsewhere */
};

/* --- list and export ---------------------------------------------------------------------------------------------------- */
struct listing_audit {
    struct app *app;
    const struct options *o;
};

static json_t *row_json(const struct audit_row *r, const struct id *hash)
{
    char hex[ID_HEX_BYTES], when[32];
    json_t *o = json_pack("{s:s, s:I, s:s}", "type", "audit", "seq", (json_int_t)r->seq, "at",
                          ui_time(r->at_s * NS_PER_S, when));
    const char *const names[] = { "who", "action", "object", "result", "detail" };
    const char *const texts[] = { r->who, r->action, r->object, r->result, r->detail };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_object_set_new(o, names[i], ui_json_text(texts[i], strlen(texts[i])));
    json_object_set_new(o, "at_s", json_integer((json_int_t)r->at_s));
    if (hash)
        json_object_set_new(o, "hash", json_string(id_hex(hash, hex)));
    return o;
}

static int show_row(void *ctx, const struct audit_row *r, const struct id *hash)
{
    struct listing_audit *l = ctx;
    struct ui *ui = &l->app->ui;
    char when[32];
    if (r->at_s < l->o->since_s || (l->o->who && !strstr(r->who, l->o->who)))
        return look_go_on();
    if (l->o->with_hashes && !ui->json) {
        json_t *o = row_json(r, hash);
        char *line = json_dumps(o, JSON_COMPACT);
        ui_line(ui, "%s", line ? line : "");
        free(line);
        json_decref(o);
    } else if (ui->json) {
        ui_json(ui, row_json(r, hash));
    } else {
        char *object = text_clean(r->object, strlen(r->object), false);
        ui_line(ui, "%" PRIu64 "  %s  %s  %s%s%s: %s%s%s", r->seq,
                short_time(r->at_s * NS_PER_S, when), r->who, r->action, object[0] ? " " : "",
                object, r->result, r->detail[0] ? ", " : "", r->detail);
        free(object);
    }
    return look_go_on();
}

static int list_here(struct listing_audit *l, struct err *e)
{
    struct catalog *c = NULL;
    int rc = catalog_open(&l->app->paths, CATALOG_READ, &c, e);
    if (rc == 0)
        rc = catalog_audit_hashed(c, 0, show_row, l, e);
    catalog_close(c);
    return rc > 0 ? 0 : rc;
}

/* As the newest export of each trail on a copy has it: what a lost or altered catalog no longer shows. */
static int list_copy(struct listing_audit *l, struct err *e)
{
    struct export_found found[MAX_EXPORT_CHAINS];
    struct vault *v = NULL;
    const struct row_sink sink = { .ctx = l, .audit = show_row };
    size_t n = 0, bad = 0;
    char chain[17], when[32];
    int only = -1, rc = catalog_choose_vault(l->app, &l->o->choice, &v, &only, e);
    if (rc == 0)
        rc = exports_find(v, only, found, &n, &bad, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        hex_encode(found[i].name.chain, sizeof found[i].name.chain, chain);
        if (!l->o->with_hashes)
            ui_line(&l->app->ui, _("trail %s, exported %s:"), chain,
                    ui_time(found[i].o->written_s * NS_PER_S, when));
        rc = rows_read(found[i].o, &sink, NULL, e);
    }
    if (rc == 0 && n == 0)
        rc = err_set(e, ERR_ABSENT, _("there is no whole export of a catalog on it"));
    if (bad)
        ui_warn(&l->app->ui,
                P_("%zu export is damaged and was not used",
                   "%zu exports are damaged and were not used", bad),
                bad);
    exports_free(found, n);
    vault_close(v);
    return rc > 0 ? 0 : rc;
}

/* --- verify ---------------------------------------------------------------------------------------------------------------- */
struct verifying {
    struct app *app;
    struct catalog *c;
    const struct options *o;
    struct audit_anchor last;
    uint64_t compared;
    size_t not_asked; /* copies */
    struct err bad;   /* the worst that was found */
};

static void found_bad(struct verifying *v, const struct err *what)
{
    ui_note(&v->app->ui, true, NULL, 0, what->why, strlen(what->why));
    if (v->bad.code == ERR_NONE)
        v->bad = *what;
}

/* An anchor of our own trail: is the row still there, and is it that one? */
static int compare(struct verifying *v, const struct audit_anchor *a, const char *where,
                   struct err *e)
{
    struct id hash;
    struct err bad = ERR_INIT;
    int there = catalog_audit_hash(v->c, a->seq, &hash, e);
    if (there < 0)
        return there;
    if (a->seq > v->last.seq)
        err_set(&bad, ERR_DAMAGED,
                _("the audit trail was cut off: it ends with row %" PRIu64
                  ", and %s knows row %" PRIu64),
                v->last.seq, where, a->seq);
    else if (there && !id_eq(&hash, &a->hash))
        err_set(&bad, ERR_DAMAGED,
                _("row %" PRIu64 " of the audit trail is not the one that %s knows"), a->seq,
                where);
    else if (there)
        v->compared++;
    if (bad.code)
        found_bad(v, &bad);
    return 0;
}

static int compare_facts(struct verifying *v, struct vault *vault, struct err *e)
{
    struct audit_anchor a;
    int rc = export_noted_anchor(vault, &a, e);
    if (rc > 0 && id_eq(&a.chain, &v->last.chain))
        rc = compare(v, &a, _("this machine's memory of the vault"), e);
    return rc < 0 ? rc : 0;
}

static int compare_exports(struct verifying *v, struct vault *vault, int only, struct err *e)
{
    struct export_found found[MAX_EXPORT_CHAINS];
    char where[MAX_NAME + 32];
    size_t n = 0, bad = 0;
    int rc = exports_find(vault, only, found, &n, &bad, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct catalog_object *o = found[i].o;
        const struct audit_anchor a = { .chain = o->chain,
                                        .seq = o->last_seq,
                                        .hash = o->last_hash };
        snprintf(where, sizeof where, _("copy \"%s\""), vault->copies[found[i].copy].place);
        if (id_eq(&o->chain, &v->last.chain)) {
            rc = compare(v, &a, where, e);
        } else if (id_eq(&o->writer, &vault->writer) && !id_is_zero(&vault->writer) &&
                   o->last_seq) {
            struct err other = ERR_INIT;
            err_set(&other, ERR_DAMAGED,
                    _("this is another trail than the one of %" PRIu64
                      " rows that %s holds: the catalog was replaced"),
                    o->last_seq, where);
            found_bad(v, &other);
        }
    }
    if (bad)
        ui_warn(&v->app->ui,
                P_("%zu export is damaged and was not used",
                   "%zu exports are damaged and were not used", bad),
                bad);
    exports_free(found, n);
    for (size_t i = 0; i < vault->n_copies; i++)
        v->not_asked += (only < 0 || (size_t)only == i) &&
                        (vault->copies[i].state == COPY_AWAY ||
                         vault->copies[i].state == COPY_WRONG) &&
                        !vault_copy_carried(&vault->copies[i]);
    return rc;
}

static int compare_vault(void *ctx, const char *name)
{
    struct verifying *v = ctx;
    struct vault *vault = NULL;
    struct err e = ERR_INIT;
    if (v->o->choice.vault && strcmp(v->o->choice.vault, name) != 0)
        return 0;
    int rc = open_vault_quietly(v->app, name, false, &vault, &e);
    if (rc == 0)
        rc = compare_facts(v, vault, &e);
    if (rc == 0)
        rc = compare_exports(v, vault, -1, &e);
    if (rc < 0) {
        ui_warn(&v->app->ui, _("vault \"%s\" could not be asked: %s"), name, e.why);
        v->not_asked++;
    }
    vault_close(vault);
    return 0;
}

static int compare_all(struct verifying *v, struct err *e)
{
    struct vault *vault = NULL;
    int only = -1;
    if (!v->o->choice.copy)
        return vault_conf_each(&v->app->paths, compare_vault, v, e);
    int rc = catalog_choose_vault(v->app, &v->o->choice, &vault, &only, e);
    if (rc == 0)
        rc = compare_exports(v, vault, only, e);
    vault_close(vault);
    return rc;
}

static int verdict(struct verifying *v, uint64_t rows)
{
    struct ui *ui = &v->app->ui;
    ui_json(ui, json_pack("{s:s, s:I, s:I, s:I, s:b}", "type", "audit-verify", "rows",
                          (json_int_t)rows, "anchors", (json_int_t)v->compared, "not_asked",
                          (json_int_t)v->not_asked, "good", v->bad.code == ERR_NONE));
    if (v->bad.code != ERR_NONE) {
        err_wrap(&v->bad, "audit verify");
        err_next(
            &v->bad,
            _("find out who did it; the copies hold the rows as they were: twofold audit list --copy URL; a catalog that was lost comes back with: twofold catalog rebuild"));
        return ui_error(ui, &v->bad);
    }
    ui_line(ui, P_("%" PRIu64 " row, unbroken", "%" PRIu64 " rows, unbroken", rows), rows);
    if (v->compared)
        ui_line(ui, _("nothing was cut off that the copies and this machine's memory know of"));
    if (v->not_asked || !v->compared) {
        struct err e = ERR_INIT;
        err_set(&e, ERR_PARTIAL,
                v->compared ? _("%zu copies could not be asked")
                            : _("no copy could say whether rows were cut off at the end"),
                v->not_asked);
        err_wrap(&e, "audit verify");
        err_next(&e,
                 _("put the catalog into the copies: twofold catalog export; then run this again"));
        return ui_error(ui, &e);
    }
    return 0;
}

static int verify(struct app *app, const struct options *o, int *ret_status, struct err *e)
{
    struct verifying v = { .app = app, .o = o };
    uint64_t rows = 0, bad = 0;
    struct err broken = ERR_INIT;
    int rc = catalog_open(&app->paths, CATALOG_READ, &v.c, e);
    if (rc == 0)
        rc = catalog_audit_anchor(v.c, &v.last, e);
    if (rc == 0) {
        rc = catalog_audit_verify(v.c, &rows, &bad, &broken);
        if (rc == -ERR_DAMAGED) {
            found_bad(&v, &broken);
            rc = 0;
        } else if (rc < 0 && e) {
            *e = broken;
        }
    }
    if (rc == 0)
        rc = compare_all(&v, e);
    if (rc == 0)
        *ret_status = verdict(&v, rows);
    catalog_close(v.c);
    return rc;
}

int cmd_audit(struct app *app, int argc, char **argv)
{
    enum { OPT_SINCE = OPT_OWN, OPT_WHO };
    static const struct option options[] = { { "since", required_argument, NULL, OPT_SINCE },
                                             { "who", required_argument, NULL, OPT_WHO },
                                             CHOICE_OPTIONS,
                                             OPTIONS_END };
    struct options o = { .since_s = INT64_MIN };
    struct err e = ERR_INIT;
    int ch, status = 0, rc = 0;
    int64_t ns = 0;
    args_begin();
    while (rc == 0 && (ch = args_next(argc, argv, ":", options)) != -1) {
        if (ch == OPT_WHO)
            o.who = optarg;
        else if (ch == OPT_SINCE && (rc = parse_time(optarg, &ns, &e)) == 0)
            o.since_s = ns / NS_PER_S;
        else if (ch != OPT_SINCE && !choice_option(ch, &o.choice))
            return args_bad(app, ch, argv);
    }
    const char *what = optind < argc ? argv[optind++] : "list";
    struct listing_audit l = { app, &o };
    if (rc == 0 && optind < argc)
        return app_usage(app, _("unexpected: %s"), argv[optind]);
    o.with_hashes = strcmp(what, "export") == 0;
    if (rc == 0 && strcmp(what, "verify") == 0)
        rc = verify(app, &o, &status, &e);
    else if (rc == 0 && (strcmp(what, "list") == 0 || o.with_hashes))
        rc = o.choice.copy ? list_copy(&l, &e) : list_here(&l, &e);
    else if (rc == 0)
        return app_usage(app, _("list, verify or export?"));
    if (rc < 0) {
        err_wrap(&e, "audit %s", what);
        status = ui_error(&app->ui, &e);
    }
    return status;
}
