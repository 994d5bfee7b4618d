/* restore_db.c - see restore_db.h. */
#include "orchestrator/restore_db.h"
#include "lib/base/i18n.h"
#include "orchestrator/look.h"
#include "orchestrator/restore_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIND "postgresql"
#define COMMAND_KIND "command"
#define MAX_FACTS_BYTES (4u << 20)

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

void db_plan_done(struct db_plan *p)
{
    for (size_t i = 0; i < p->n_spaces; i++) {
        free(p->spaces[i].path);
        free(p->spaces[i].strip);
        free(p->spaces[i].target);
    }
    for (size_t i = 0; i < p->n_paths; i++)
        free(p->paths[i]);
    free(p->paths);
    free(p->target);
    source_specs_free(p->sources, p->n_sources);
    *p = (struct db_plan){ 0 };
}

/* --- what the backup has --------------------------------------------------------------------------- */
static bool has_root(const struct snapshot_body *b, const char *root)
{
    for (size_t i = 0; i < b->n_roots; i++)
        if (strcmp(b->roots[i], root) == 0)
            return true;
    return false;
}

/* The kinds that have steps of their own at a restore, what stands for the usual programs of --verify, and the parts of one in the
 * backup (postgresql's config/ comes where it is there). */
static const struct db_kind {
    const char *kind, *facts, *programs;
    const char *parts[5];
} db_kinds[] = {
    { KIND, DB_FACTS, "postgres", { "data", "facts.json", "label", "wal", NULL } },
    { "mariadb", "/mariadb/facts.json", MARIADB_PROGRAMS, { "backup", "facts.json", NULL } },
};
#define DB_KINDS (sizeof db_kinds / sizeof *db_kinds)

static int read_facts(struct view *view, const char *path, json_t **ret, struct err *e)
{
    char *text = NULL;
    size_t n = 0;
    json_error_t why;
    int rc = look_read_file(view, path, MAX_FACTS_BYTES, &text, &n, e);
    if (rc < 0)
        return err_wrap(e, "%s", path);
    *ret = json_loadb(text, n, 0, &why);
    free(text);
    return *ret ? 0 : err_set(e, ERR_DAMAGED, _("%s of the backup cannot be read"), path);
}

/* --- tablespaces --------------------------------------------------------------------------------------- */
static const char *text_of(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static bool oid_ok(const char *oid)
{
    size_t n = strlen(oid);
    return n > 0 && n <= 10 && strspn(oid, "0123456789") == n;
}

/* The new folder that an option gives to this tablespace, or NULL. */
static const char *new_place(const struct db_options *o, json_t *space, bool used[])
{
    const char *keys[] = { "oid", "name", "location" };
    for (size_t i = 0; i < o->n_spaces; i++) {
        const char *equals = strrchr(o->spaces[i], '=');
        for (size_t k = 0; equals && k < sizeof keys / sizeof *keys; k++) {
            const char *v = text_of(space, keys[k]);
            if (strlen(v) == (size_t)(equals - o->spaces[i]) &&
                strncmp(v, o->spaces[i], strlen(v)) == 0) {
                used[i] = true;
                return equals + 1;
            }
        }
    }
    return NULL;
}

static int add_space(struct db_plan *p, const char *oid, const char *place, const char *staging,
                     struct err *e)
{
    char *setting = NULL;
    if (p->n_spaces == MAX_SPACE_OPTIONS)
        return err_set(e, ERR_LIMIT, _("more than %d tablespaces"), MAX_SPACE_OPTIONS);
    struct db_space *s = &p->spaces[p->n_spaces++];
    if (asprintf(&s->path, "/" KIND "/data-spaces/%s", oid) < 0)
        s->path = NULL;
    if (asprintf(&s->target, "%s%s%s", place, staging ? "/" : "", staging ? staging : "") < 0)
        s->target = NULL;
    int rc = s->path && s->target && asprintf(&setting, "%s=%s", oid, place) >= 0
                 ? source_spec_add(p->sources, "tablespace", setting, e)
                 : no_memory(e);
    free(setting);
    return rc;
}

static int add_text(char ***list, size_t *n, const char *slash, const char *path, struct err *e)
{
    char **grown = realloc(*list, (*n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    *list = grown;
    if (asprintf(&grown[*n], "%s%s", slash, path) < 0)
        return no_memory(e);
    (*n)++;
    return 0;
}

static int add_path(struct db_plan *p, const char *slash, const char *path, struct err *e)
{
    return add_text(&p->paths, &p->n_paths, slash, path, e);
}

static int no_such_space(json_t *all, const char *asked, struct err *e)
{
    char names[400] = "";
    for (size_t i = 0; i < json_array_size(all); i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "",
                 text_of(json_array_get(all, i), "name"));
    }
    err_set(e, ERR_USAGE, _("the backup has no tablespace as in --tablespace %s"), asked);
    if (!names[0])
        return err_next(e, _("leave the option out: it has no tablespaces of its own"));
    return err_next(e, _("its tablespaces are: %s; write NAME=FOLDER"), names);
}

static int plan_spaces(struct db_plan *p, json_t *facts, const struct db_options *o,
                       const char *staging, struct err *e)
{
    json_t *all = json_object_get(facts, "tablespaces");
    bool used[MAX_SPACE_OPTIONS] = { false };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(all); i++) {
        json_t *space = json_array_get(all, i);
        const char *place = new_place(o, space, used), *oid = text_of(space, "oid");
        char path[64];
        if (rc == 0 && !oid_ok(oid))
            rc = err_set(e, ERR_DAMAGED, _("%s of the backup cannot be read"), DB_FACTS);
        if (!place && o->in_place)
            place = text_of(space, "location");
        snprintf(path, sizeof path, KIND "/data-spaces/%.10s", oid);
        if (rc == 0 && place && place[0] != '/')
            rc = err_set(e, ERR_USAGE, _("\"%s\" is not an absolute path"), place);
        else if (rc == 0)
            rc = place ? add_space(p, oid, place, o->in_place ? staging : NULL, e)
                       : add_path(p, "/", path, e);
    }
    for (size_t i = 0; rc == 0 && i < o->n_spaces; i++)
        if (!used[i])
            rc = no_such_space(all, o->spaces[i], e);
    return rc;
}

/* --- the main job ---------------------------------------------------------------------------------------- */
static int has_config(void *ctx, const struct entry *en)
{
    *(bool *)ctx = true;
    (void)en;
    return 1;
}

static int add_config(struct db_plan *p, struct view *view, struct err *e)
{
    char *config = (char *)"/" KIND "/config";
    struct select sel = { .paths = &config, .n_paths = 1 };
    struct err ignored = ERR_INIT;
    uint64_t gaps = 0;
    bool there = false;
    (void)reader_each(&view->src, view->body, &sel, has_config, NULL, &there, &gaps, &ignored);
    return there ? add_path(p, "", config, e) : 0;
}

/* What is left of the database, and, unless it goes in place, the files of the set. */
static int plan_paths(struct db_plan *p, struct view *view, const struct db_kind *k, bool in_place,
                      struct err *e)
{
    char folder[64];
    int rc = 0;
    snprintf(folder, sizeof folder, "/%s/", k->kind);
    for (const char *const *part = k->parts; rc == 0 && *part; part++)
        rc = add_path(p, folder, *part, e);
    if (rc == 0 && strcmp(k->kind, KIND) == 0)
        rc = add_config(p, view, e);
    for (size_t i = 0; rc == 0 && !in_place && i < view->body->n_roots; i++)
        if (strcmp(view->body->roots[i], k->kind) != 0)
            rc = add_path(p, view->body->roots[i][0] == '/' ? "" : "/", view->body->roots[i], e);
    return rc;
}

static const struct source_spec *of_policy(const struct db_options *o, const char *kind)
{
    for (size_t i = 0; i < o->n_sources; i++)
        if (strcmp(o->sources[i].kind, kind) == 0)
            return &o->sources[i];
    return NULL;
}

/* Where the backup says that it was. The policy, if it names a folder, must say the same; the agent looks whether there is a database's. */
static int plan_in_place(struct db_plan *p, struct source_spec *spec, const struct db_options *o,
                         json_t *facts, const char *staging, struct err *e)
{
    const struct source_spec *from = of_policy(o, spec->kind);
    const char *data = text_of(facts, "data_directory");
    const char *named = from ? source_spec_get(from, "data") : NULL;
    if (data[0] != '/')
        return err_set(e, ERR_DAMAGED, _("%s of the backup cannot be read"), "facts.json");
    if (named && strcmp(named, data) != 0) {
        err_set(e, ERR_REFUSED, _("the backup comes from %s, but the policy names %s"), data,
                named);
        return err_next(e,
                        _("restore with --to DIR, then put the files where they belong by hand"));
    }
    if (json_object_size(json_object_get(facts, "folders")) > 0) {
        err_set(e, ERR_REFUSED,
                _("the server keeps files outside of its data folder, which --in-place does not "
                  "replace"));
        return err_next(e, _("restore with --to DIR, then put each file where it belongs by hand"));
    }
    if (asprintf(&p->target, "%s/%s", data, staging) < 0) {
        p->target = NULL;
        return no_memory(e);
    }
    p->overwrite = true;
    return source_spec_add(spec, "data", data, e);
}

static int plan_log(struct source_spec *spec, const struct db_options *o, struct err *e)
{
    char us[24];
    snprintf(us, sizeof us, "%lld", (long long)o->at_us);
    int rc = source_spec_add(spec, "logs", "all", e);
    if (rc == 0 && o->at_us)
        rc = source_spec_add(spec, "at", us, e);
    if (rc == 0 && o->lsn)
        rc = source_spec_add(spec, "lsn", o->lsn, e);
    return rc == 0 && o->point ? source_spec_add(spec, "point", o->point, e) : rc;
}

/* The same for MariaDB; what replays it is run, as for --verify. */
static int plan_binlog(struct source_spec *spec, const struct db_options *o, const char *programs,
                       struct err *e)
{
    char us[24];
    snprintf(us, sizeof us, "%lld", (long long)o->at_us);
    int rc = source_spec_add(spec, "logs", "all", e);
    if (rc == 0)
        rc = source_spec_add(spec, "later", o->verify && o->verify[0] ? o->verify : programs, e);
    if (rc == 0 && o->at_us)
        rc = source_spec_add(spec, "at", us, e);
    return rc == 0 && o->lsn ? source_spec_add(spec, "position", o->lsn, e) : rc;
}

static bool is_check(const char *key)
{
    return strcmp(key, "check") == 0 || strncmp(key, "check-", 6) == 0;
}

/* What is run, and what is asked, is the policy's to say: never the backup's, which is what a host sent that may have been in other hands. */
int db_take_policy(struct source_spec *spec, const struct db_options *o, bool verify, struct err *e)
{
    const struct source_spec *from = of_policy(o, spec->kind);
    const char *binaries = from ? source_spec_get(from, "binaries") : NULL;
    int rc = binaries ? source_spec_add(spec, "binaries", binaries, e) : 0;
    for (size_t i = 0; rc == 0 && from && verify && i < from->n; i++)
        if (is_check(from->v[i].key))
            rc = source_spec_add(spec, from->v[i].key, from->v[i].value, e);
    return rc;
}

/* So that whether there are programs of it is known before anything is brought. */
static int add_version(struct source_spec *spec, json_t *facts, struct err *e)
{
    char version[16];
    snprintf(version, sizeof version, "%d",
             (int)json_integer_value(json_object_get(facts, "server_version_num")) / 10000);
    return source_spec_add(spec, "version", version, e);
}

/* "KIND=FOLDER", or a folder for all. */
static int plan_salvage(struct source_spec *spec, const struct db_options *o, struct err *e)
{
    size_t n = strlen(spec->kind);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->n_salvage; i++) {
        const char *s = o->salvage[i];
        if (strncmp(s, spec->kind, n) == 0 && s[n] == '=')
            s += n + 1;
        if (s[0] == '/')
            rc = source_spec_add(spec, "salvage", s, e);
    }
    return rc;
}

static int make_kind(struct view *view, const struct db_kind *k, const struct db_options *o,
                     const char *staging, struct db_plan *p, struct err *e)
{
    bool spaces = strcmp(k->kind, KIND) == 0 && (o->in_place || o->n_spaces > 0);
    const char *verify = o->verify && !o->verify[0] ? k->programs : o->verify;
    struct source_spec *spec = NULL;
    json_t *facts = NULL;
    p->facts = k->facts;
    int rc = read_facts(view, k->facts, &facts, e);
    if (rc == 0)
        rc = source_specs_add(&p->sources, &p->n_sources, k->kind, &spec, e);
    bool binlogs = strcmp(k->kind, "mariadb") == 0;
    bool kept = binlogs && o->my_logs && json_is_object(json_object_get(facts, "log"));
    p->binlogs |= binlogs && o->at_us > 0 && !kept;
    p->unlogged |= binlogs && o->my_logs && !kept;
    if (rc == 0 && binlogs && o->point && !o->logs)
        rc = err_set(e, ERR_USAGE, _("--point is for PostgreSQL"));
    if (rc == 0 && binlogs && o->lsn && !o->logs && !kept)
        rc = err_set(e, ERR_ABSENT, _("the backup was made before its log was followed"));
    bool behind = p->binlogs && binlogs && o->binlogs; /* it is looked at behind its logs */
    if (rc == 0)
        rc = db_take_policy(spec, o, verify != NULL && !behind, e);
    if (rc == 0 && verify && !behind)
        rc = source_spec_add(spec, "verify", verify, e);
    if (rc == 0 && verify && !behind && o->strict)
        rc = source_spec_add(spec, "strict", "yes", e);
    if (rc == 0 && verify && strcmp(k->kind, KIND) == 0)
        rc = add_version(spec, facts, e);
    if (rc == 0 && o->delta && strcmp(k->kind, KIND) == 0)
        rc = source_spec_add(spec, "system", text_of(facts, "system_identifier"), e);
    if (rc == 0 && behind)
        rc = source_spec_add(spec, "later", verify ? verify : k->programs, e);
    if (rc == 0 && o->logs && strcmp(k->kind, KIND) == 0)
        rc = plan_log(spec, o, e);
    if (rc == 0 && kept)
        rc = plan_binlog(spec, o, k->programs, e);
    if (rc == 0)
        rc = plan_salvage(spec, o, e);
    if (rc == 0 && binlogs && !kept && source_spec_get(spec, "salvage") &&
        json_is_object(json_object_get(facts, "log")))
        rc = source_spec_add(spec, "later", verify ? verify : k->programs, e);
    if (rc == 0 && o->in_place)
        rc = plan_in_place(p, spec, o, facts, staging, e);
    if (rc == 0 && spaces)
        rc = plan_spaces(p, facts, o, staging, e);
    if (rc == 0 && (o->in_place || spaces || (binlogs && json_object_get(facts, "binlogs"))))
        rc = plan_paths(p, view, k, o->in_place, e);
    json_decref(facts);
    return rc;
}

/* Files of SQLite, which have no server. */
static int make_sqlite(struct view *view, const struct db_options *o, const char *staging,
                       struct db_plan *p, struct err *e)
{
    if (p->n_sources == 0 && (o->n_spaces > 0 || o->lsn || o->point))
        return err_set(
            e, ERR_USAGE,
            _("this backup has no database server: --tablespace, --lsn and --point are for those"));
    p->facts = p->facts ? p->facts : SQLITE_FACTS;
    int rc = sqlite_plan(view, o->in_place, of_policy(o, SQLITE_KIND), staging, p, e);
    struct source_spec *spec = rc == 0 ? &p->sources[p->n_sources - 1] : NULL;
    if (rc == 0 && o->verify)
        rc = source_spec_add(spec, "verify", "checks", e);
    return rc == 0 ? db_take_policy(spec, o, o->verify != NULL, e) : rc;
}

/* Dumps of programs, which are loaded when that is asked for. */
static int make_command(const struct db_options *o, struct db_plan *p, struct err *e)
{
    struct source_spec *spec;
    int rc = source_specs_add(&p->sources, &p->n_sources, COMMAND_KIND, &spec, e);
    for (size_t i = 0; rc == 0 && i < o->n_loads; i++)
        rc = source_spec_add(spec, "load", o->loads[i], e);
    return rc;
}

static int make(struct view *view, const struct snap_ref *snap, const struct db_options *o,
                struct db_plan *p, struct err *e)
{
    char id[SHORT_ID_DIGITS + 1], staging[sizeof IN_PLACE_FOLDER + SHORT_ID_DIGITS];
    int rc = 0;
    snprintf(staging, sizeof staging, IN_PLACE_FOLDER "%s", short_id(&snap->ref.id, id));
    for (size_t i = 0; rc == 0 && i < DB_KINDS; i++) {
        if (!has_root(view->body, db_kinds[i].kind) ||
            (o->only && strcmp(o->only, db_kinds[i].kind) != 0))
            continue;
        rc = make_kind(view, &db_kinds[i], o, staging, p, e);
    }
    if (rc == 0 && has_root(view->body, SQLITE_KIND) &&
        (!o->only || strcmp(o->only, SQLITE_KIND) == 0))
        rc = make_sqlite(view, o, staging, p, e);
    if (rc == 0 && o->n_loads > 0 && (o->in_place || !has_root(view->body, COMMAND_KIND)))
        return err_set(e, ERR_USAGE,
                       o->in_place
                           ? _("--load goes with --to")
                           : _("this backup has no dump of a program: --load is for those"));
    return rc == 0 && !o->in_place && has_root(view->body, COMMAND_KIND) ? make_command(o, p, e)
                                                                         : rc;
}

int db_plan_make(struct vault *v, const struct snap_ref *snap, int from, const struct db_options *o,
                 struct db_plan *ret, struct err *e)
{
    struct view view;
    struct db_plan p = { 0 };
    int rc = view_open(v, snap, from, &view, e);
    if (rc == 0)
        rc = make(&view, snap, o, &p, e);
    if (rc == 0 && p.n_sources == 0 &&
        (o->in_place || o->verify || o->n_spaces > 0 || o->lsn || o->point)) {
        err_set(
            e, ERR_USAGE,
            _("this backup has no database: --in-place, --verify, --tablespace, --lsn and --point are for those"));
        rc = err_next(e, _("restore its files into a folder: --to TARGET, and none of these"));
    } else if (rc == 0 && o->n_spaces > 0 && strcmp(p.sources[0].kind, KIND) != 0) {
        rc = no_such_space(NULL, o->spaces[0], e);
    }
    view_close(&view);
    if (rc < 0)
        db_plan_done(&p);
    else
        *ret = p;
    return rc;
}
