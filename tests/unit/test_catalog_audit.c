/* test_catalog_audit.c - the audit trail: rows stay as they are, what was tampered with is named; and the catalog as an object: what
 * goes out comes back, from the newest whole export of each trail. */
#include "lib/base/sys.h"
#include "lib/vault/objects.h"
#include "orchestrator/catalog/inner.h"
#include "orchestrator/catalog/rebuild.h"
#include "orchestrator/catalog/rows.h"
#include "tests/vault_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define NOW 1790000000

struct scene {
    char *dir, url[2][160];
    struct config_paths paths;
    struct catalog *c;
    struct vault v; /* two copies and the keys, opened by hand */
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    static char places[2][2] = { "a", "b" };
    if (asprintf(&s->dir, "%s/audXXXXXX", tmp) < 0 || !mkdtemp(s->dir))
        return -1;
    s->paths.state_dir = s->dir;
    s->v.name = (char *)"main";
    s->v.keys = sample_keys();
    s->v.writer = sample_id(0x90);
    s->v.n_copies = 2;
    if (chunkdb_open(NULL, NULL, NULL, &s->v.db, NULL) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        snprintf(s->url[i], sizeof s->url[i], "%s/copy-%d", s->dir, i);
        s->v.copies[i] = (struct copy){ .place = places[i],
                                        .url = s->url[i],
                                        .state = COPY_CURRENT };
        if (store_open(s->url[i], STORE_CREATE, &s->v.copies[i].store, NULL) < 0)
            return -1;
    }
    *state = s;
    return catalog_open(&s->paths, CATALOG_WRITE, &s->c, NULL);
}

static int teardown(void **state)
{
    struct scene *s = *state;
    char cmd[256];
    catalog_close(s->c);
    for (int i = 0; i < 2; i++)
        store_close(s->v.copies[i].store);
    chunkdb_close(s->v.db);
    vault_keys_done(&s->v.keys);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", s->dir);
    int rc = system(cmd);
    free(s->dir);
    free(s);
    return rc;
}

static void add(struct catalog *c, int n)
{
    struct err e = ERR_INIT;
    for (int i = 0; i < n; i++)
        assert_int_equal(
            catalog_audit(
                c, &(struct audit_row){ .action = "restore", .object = "etc", .result = "exit 0" },
                &e),
            0);
}

static int verify(struct catalog *c, uint64_t *bad)
{
    struct err e = ERR_INIT;
    uint64_t rows = 0;
    *bad = 0;
    return catalog_audit_verify(c, &rows, bad, &e);
}

static int keep_who(void *ctx, const struct audit_row *r)
{
    snprintf(ctx, AUDIT_WHO_BYTES, "%s", r->who);
    return 0;
}

static void rows_are_appended_and_nothing_else(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    uint64_t bad;
    char who[AUDIT_WHO_BYTES] = "";
    assert_int_equal(verify(s->c, &bad), 0); /* an empty one is whole */
    add(s->c, 5);
    assert_int_equal(verify(s->c, &bad), 0);
    assert_true(sql_do(&s->c->sql, &e, "UPDATE audit SET who = 'x' WHERE seq = 2") < 0);
    assert_true(sql_do(&s->c->sql, &e, "DELETE FROM audit WHERE seq = 5") < 0);
    assert_int_equal(verify(s->c, &bad), 0);
    assert_int_equal(catalog_audit_each(s->c, 5, 1, keep_who, who, &e), 0);
    assert_true(strlen(who) > 0);
}

static void unlocked(struct scene *s)
{
    assert_int_equal(s->c->sql.ops->define(
                         s->c->sql.db, "DROP TRIGGER audit_stays; DROP TRIGGER audit_keeps", NULL),
                     0);
}

static void what_was_changed_is_named(void **state)
{
    static const char *const changes[] = {
        "UPDATE audit SET who = 'x' WHERE seq = 3",
        "UPDATE audit SET at_s = at_s + 1 WHERE seq = 3",
        "UPDATE audit SET result = '' WHERE seq = 3",
        "UPDATE audit SET object = action, action = object WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 3",
        "UPDATE audit SET seq = 30 WHERE seq = 3",
    };
    struct scene *s = *state;
    struct err e = ERR_INIT;
    uint64_t bad;
    add(s->c, 6);
    unlocked(s);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        assert_int_equal(sql_begin(&s->c->sql, &e), 0);
        assert_int_equal(sql_run(&s->c->sql, NULL, changes[i], NULL, 0, &e), 1);
        assert_int_equal(verify(s->c, &bad), -ERR_DAMAGED);
        assert_int_equal(bad, 3);
        sql_finish(&s->c->sql, -1, &e);
        assert_int_equal(verify(s->c, &bad), 0);
    }
    /* Without the trail's name nothing fits. */
    assert_int_equal(sql_do(&s->c->sql, &e, "DELETE FROM audit_start"), 1);
    assert_int_equal(verify(s->c, &bad), -ERR_DAMAGED);
}

/* --- exports ---------------------------------------------------------------------------------------------------------- */
static struct export_result export_one(struct scene *s)
{
    struct export_result r;
    struct err e = ERR_INIT;
    assert_int_equal(catalog_export(s->c, &s->v, &r, &e), 0);
    return r;
}

static void fill(struct scene *s)
{
    struct err e = ERR_INIT;
    int64_t now = sys_realtime_s();
    for (int i = 0; i < 3; i++) {
        struct run r = { .kind = "backup",
                         .policy = "etc",
                         .vault = "main",
                         .started_s = now + i,
                         .ended_s = now + i,
                         .files = (uint64_t)i };
        assert_int_equal(catalog_run_put(s->c, &r, NULL, &e), 0);
    }
    struct run old = { .kind = "backup", .policy = "etc", .started_s = now - 500LL * 86400 };
    assert_int_equal(catalog_run_put(s->c, &old, NULL, &e), 0);
    struct id held = sample_id(0x33);
    assert_int_equal(catalog_hold(s->c, "main", &held, true, "court", "li", &e), 0);
    for (int i = 0; i < 2; i++) {
        struct medium m = { .vault = "main",
                            .place = "safe",
                            .label = "D1",
                            .where = i ? "drawer" : "safe",
                            .at_s = now + i };
        assert_int_equal(catalog_medium_put(s->c, &m, &e), 0);
    }
    struct alarm a = { .key = "rpo/etc", .text = "old" };
    assert_int_equal(catalog_alarm_raise(s->c, &a, NULL, &e), 1);
    assert_int_equal(catalog_fact_set(s->c, "clock-seen", "7", &e), 0);
    add(s->c, 4);
}

struct counted {
    int runs, media, holds, alarms;
    uint64_t first_files, last_files;
    char where[32];
};

static int count_run(void *ctx, const struct run *r)
{
    struct counted *n = ctx;
    if (n->runs++ == 0)
        n->first_files = r->files; /* newest first */
    return 0;
}

static int count_medium(void *ctx, const struct medium *m)
{
    struct counted *n = ctx;
    if (n->media++ == 0)
        snprintf(n->where, sizeof n->where, "%s", m->where);
    return 0;
}

static int count_hold(void *ctx, const struct hold *h)
{
    struct counted *n = ctx;
    (void)h;
    n->holds++;
    return 0;
}

static int count_alarm(void *ctx, const struct alarm *a)
{
    struct counted *n = ctx;
    (void)a;
    n->alarms++;
    return 0;
}

static struct counted count(struct catalog *c)
{
    struct counted n = { 0 };
    struct err e = ERR_INIT;
    assert_int_equal(catalog_runs(c, NULL, 0, count_run, &n, &e), 0);
    assert_int_equal(catalog_media(c, NULL, true, count_medium, &n, &e), 0);
    assert_int_equal(catalog_holds(c, NULL, count_hold, &n, &e), 0);
    assert_int_equal(catalog_alarms(c, true, 0, count_alarm, &n, &e), 0);
    return n;
}

/* The catalog of the scene is made again from the copies; returns what was found. */
static struct rebuilt rebuild(struct scene *s, size_t want_chains)
{
    struct export_found found[MAX_EXPORT_CHAINS];
    struct rebuilt r;
    struct catalog *c = NULL;
    struct err e = ERR_INIT;
    size_t n = 0, bad = 0;
    catalog_close(s->c);
    s->c = NULL;
    assert_int_equal(exports_find(&s->v, -1, found, &n, &bad, &e), 0);
    assert_int_equal(n, want_chains);
    assert_int_equal(rebuild_begin(&s->paths, &s->v, found, n, &c, &r, &e), 0);
    assert_int_equal(rebuild_commit(&s->paths, c, &r, &e), 0);
    exports_free(found, n);
    assert_int_equal(catalog_open(&s->paths, CATALOG_WRITE, &s->c, &e), 0);
    return r;
}

static void what_goes_out_comes_back(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct audit_anchor before, after, noted;
    char path[160], value[8];
    uint64_t bad, epoch_before = 0, epoch_after = 0;
    bool due = false;
    fill(s);
    assert_int_equal(catalog_lease(s->c, "x", "a", NOW, &epoch_before, &e), 0);
    assert_int_equal(catalog_export_due(s->c, "main", &due, &e), 0);
    assert_true(due);
    struct export_result x = export_one(s);
    assert_int_equal(x.n_done, 2);
    assert_int_equal(catalog_export_due(s->c, "main", &due, &e), 0);
    assert_false(due);
    assert_int_equal(catalog_audit_anchor(s->c, &before, &e), 0);
    assert_int_equal(export_noted_anchor(&s->v, &noted, &e), 1);
    assert_memory_equal(&noted, &before, sizeof noted);
    snprintf(path, sizeof path, "%s/catalog.db", s->dir);
    assert_int_equal(unlink(path), 0);
    usleep(1100000); /* epochs count by the second */
    struct rebuilt r = rebuild(s, 1);
    assert_int_equal(r.audit, 4);
    assert_string_equal(r.kept, "");
    struct counted n = count(s->c);
    assert_int_equal(n.runs, 3); /* not the one of 500 days ago */
    assert_int_equal(n.first_files, 2);
    assert_int_equal(n.media, 2);
    assert_string_equal(n.where, "drawer");
    assert_int_equal(n.holds, 1);
    assert_int_equal(n.alarms, 1);
    assert_int_equal(catalog_fact_get(s->c, "clock-seen", value, sizeof value, &e), 1);
    assert_int_equal(catalog_audit_anchor(s->c, &after, &e), 0);
    assert_memory_equal(&after, &before, sizeof after);
    add(s->c, 1); /* the chain goes on */
    assert_int_equal(verify(s->c, &bad), 0);
    assert_int_equal(catalog_lease(s->c, "x", "b", NOW * 2LL, &epoch_after, &e), 0);
    assert_true(epoch_after > epoch_before);
}

static void a_damaged_export_gives_way_to_the_next(void **state)
{
    struct scene *s = *state;
    struct export_found found[MAX_EXPORT_CHAINS];
    struct err e = ERR_INIT;
    size_t n = 0, bad = 0;
    char cmd[512];
    fill(s);
    export_one(s);
    export_one(s);
    snprintf(
        cmd, sizeof cmd,
        "for f in '%s'/copy-?/catalog/0000000000000002-*; do chmod u+w $f; printf x | dd of=$f bs=1 seek=99 conv=notrunc status=none; done",
        s->dir);
    assert_int_equal(system(cmd), 0);
    assert_int_equal(exports_find(&s->v, -1, found, &n, &bad, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(bad, 2);
    assert_int_equal(found[0].name.number, 1);
    exports_free(found, n);
}

static int count_name(void *ctx, const char *name, uint64_t len)
{
    (void)name;
    (void)len;
    ++*(int *)ctx;
    return 0;
}

static void eight_are_kept_and_anothers_are_left_alone(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    int n = 0;
    char path[160];
    add(s->c, 3);
    export_one(s);
    /* Lost, and begun anew: another trail. */
    catalog_close(s->c);
    snprintf(path, sizeof path, "%s/catalog.db", s->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(catalog_open(&s->paths, CATALOG_WRITE, &s->c, &e), 0);
    add(s->c, 1);
    size_t removed = 0;
    for (int i = 0; i < CATALOG_EXPORTS_KEPT + 2; i++)
        removed += export_one(s).removed;
    assert_int_equal(removed, 4);
    assert_int_equal(store_list(s->v.copies[0].store, CATALOG_FOLDER, count_name, &n, &e), 0);
    assert_int_equal(n, CATALOG_EXPORTS_KEPT + 1);
    /* The longer trail goes on, though the other one is newer. */
    struct rebuilt r = rebuild(s, 2);
    assert_int_equal(r.audit, 3);
    assert_false(r.was_damaged);
    assert_non_null(strstr(r.kept, ".old-"));
}

static void a_full_copy_does_not_keep_it_from_the_other(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct export_result r;
    bool due = false;
    add(s->c, 1);
    assert_int_equal(store_faulty(s->v.copies[0].store, "put:ENOSPC", &s->v.copies[0].store, &e),
                     0);
    r = export_one(s);
    assert_int_equal(r.n_done, 1);
    assert_false(r.done[0]);
    assert_int_equal(r.problem[0].code, ERR_NOSPACE);
    assert_int_equal(store_faulty(s->v.copies[1].store, "put:ENOSPC", &s->v.copies[1].store, &e),
                     0);
    assert_int_equal(sql_do(&s->c->sql, &e, "DELETE FROM facts WHERE key = 'export/main'"), 1);
    assert_int_equal(catalog_export(s->c, &s->v, &r, &e), -ERR_NOSPACE);
    assert_int_equal(catalog_export_due(s->c, "main", &due, &e), 0);
    assert_true(due); /* it is tried again */
}

static void a_killed_rebuild_leaves_the_old_one(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct catalog *c = NULL;
    struct rebuilt r;
    char path[160];
    fill(s);
    export_one(s);
    assert_int_equal(rebuild_begin(&s->paths, &s->v, NULL, 0, &c, &r, &e), 0);
    catalog_close(c); /* and that was that */
    assert_int_equal(count(s->c).runs, 4);
    rebuild(s, 1);
    assert_int_equal(count(s->c).runs, 3);
    snprintf(path, sizeof path, "%s/catalog.db.new", s->dir);
    assert_int_equal(access(path, F_OK), -1);
}

/* Many rows of the trail: only the newest go out, and the rebuilt one begins in the middle. */
static void a_long_trail_goes_out_from_the_middle(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct audit_anchor last, before = { .seq = 0 };
    uint64_t bad;
    struct id hash;
    add(s->c, 1);
    assert_int_equal(catalog_audit_anchor(s->c, &last, &e), 0);
    assert_int_equal(sql_begin(&s->c->sql, &e), 0);
    for (uint64_t i = 2; i <= 50010; i++) {
        struct audit_row row = { .seq = i,
                                 .at_s = NOW,
                                 .who = "w",
                                 .action = "a",
                                 .object = "",
                                 .result = "",
                                 .detail = "" };
        assert_int_equal(audit_hash(&last.hash, &row, &hash), 0);
        assert_int_equal(audit_put(s->c, &row, &hash, &e), 0);
        last.hash = hash;
    }
    assert_int_equal(sql_finish(&s->c->sql, 0, &e), 0);
    assert_int_equal(verify(s->c, &bad), 0);
    export_one(s);
    struct rebuilt r = rebuild(s, 1);
    assert_int_equal(r.audit, 50000);
    assert_int_equal(verify(s->c, &bad), 0);
    assert_int_equal(audit_start_at(s->c, 0, &before, &e), 0);
    assert_int_equal(before.seq, 10);
    add(s->c, 1);
    assert_int_equal(verify(s->c, &bad), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rows_are_appended_and_nothing_else),
        T(what_was_changed_is_named),
        T(what_goes_out_comes_back),
        T(a_damaged_export_gives_way_to_the_next),
        T(eight_are_kept_and_anothers_are_left_alone),
        T(a_full_copy_does_not_keep_it_from_the_other),
        T(a_killed_rebuild_leaves_the_old_one),
        T(a_long_trail_goes_out_from_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
