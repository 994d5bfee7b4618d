/* test_record.c - which commands are recorded when, what is left out of the trail, and that nothing is destroyed unrecorded. */
#include "orchestrator/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct scene {
    char *dir, *config, *state, *db;
    struct app app;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    char *vaults = NULL;
    if (asprintf(&s->dir, "%s/recXXXXXX", tmp) < 0 || !mkdtemp(s->dir) ||
        asprintf(&s->config, "%s/c", s->dir) < 0 || asprintf(&s->state, "%s/s", s->dir) < 0 ||
        asprintf(&s->db, "%s/catalog.db", s->state) < 0 ||
        asprintf(&vaults, "%s/vaults", s->config) < 0)
        return -1;
    ui_init(&s->app.ui);
    s->app.ui.quiet = true;
    s->app.paths = (struct config_paths){ s->config, s->state };
    int rc = mkdir(s->config, 0700) || mkdir(vaults, 0700) || mkdir(s->state, 0700);
    free(vaults);
    *state = s;
    return rc;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    char cmd[256];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", s->dir);
    int rc = system(cmd);
    free(s->dir);
    free(s->config);
    free(s->state);
    free(s->db);
    free(s);
    return rc;
}

static void spoil(const struct scene *s)
{
    FILE *f = fopen(s->db, "w");
    assert_non_null(f);
    for (int i = 0; i < 5000; i++)
        fputc('x', f);
    fclose(f);
}

struct last {
    int n;
    char action[64], object[256], result[32], who[64];
};

static int keep(void *ctx, const struct audit_row *r)
{
    struct last *l = ctx;
    l->n++;
    snprintf(l->action, sizeof l->action, "%s", r->action);
    snprintf(l->object, sizeof l->object, "%s", r->object);
    snprintf(l->result, sizeof l->result, "%s", r->result);
    snprintf(l->who, sizeof l->who, "%s", r->who);
    return 0;
}

static struct last trail(const struct scene *s)
{
    struct last l = { 0 };
    struct catalog *c = NULL;
    struct err e = ERR_INIT;
    if (catalog_open(&s->app.paths, CATALOG_READ, &c, &e) == 0)
        assert_int_equal(catalog_audit_each(c, 0, 0, keep, &l, &e), 0);
    catalog_close(c);
    return l;
}

/* "A B C" as a command; returns what record_command_begin says, and ends it with `status` where it may run. */
static int command(struct scene *s, const char *words, int status)
{
    struct record_command rc;
    char text[256], *argv[16] = { 0 }, *rest = NULL;
    int argc = 0;
    snprintf(text, sizeof text, "%s", words);
    for (char *w = strtok_r(text, " ", &rest); w && argc < 15; w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    int refused = record_command_begin(&rc, &s->app, argc, argv);
    if (refused == 0)
        record_command_end(&rc, status);
    return refused;
}

static void what_changes_is_recorded_and_what_looks_is_not(void **state)
{
    struct scene *s = *state;
    assert_int_equal(command(s, "status", 0), 0);
    assert_int_equal(command(s, "policy list", 0), 0);
    assert_int_equal(command(s, "backup --wrong", 2), 0);
    assert_int_equal(trail(s).n, 0);
    assert_int_equal(command(s, "backup etc", 3), 0);
    struct last l = trail(s);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.action, "backup");
    assert_string_equal(l.object, "etc");
    assert_string_equal(l.result, "exit 3");
    assert_int_equal(command(s, "restore etc --to /x", 0), 0); /* when it begins, too */
    assert_int_equal(trail(s).n, 3);
    s->app.job = 7;
    assert_int_equal(command(s, "backup etc", 0), 0);
    assert_string_equal(trail(s).who, "twofoldd");
}

static void secrets_are_left_out(void **state)
{
    struct scene *s = *state;
    command(
        s,
        "adopt --copy a=sftp://u:hunter2@h/x --password hunter2 --token=hunter2 --password-file pw",
        0);
    struct last l = trail(s);
    assert_null(strstr(l.object, "hunter2"));
    assert_string_equal(l.object,
                        "--copy a=sftp://u:***@h/x --password *** --token=*** --password-file pw");
}

static void nothing_is_destroyed_unrecorded(void **state)
{
    static const char *const destroying[] = { "prune", "agent revoke db1", "hold remove 12345678" };
    struct scene *s = *state;
    spoil(s);
    for (size_t i = 0; i < sizeof destroying / sizeof *destroying; i++)
        assert_int_equal(command(s, destroying[i], 0), 5);
    assert_int_equal(command(s, "prune --dry-run", 0), 0);
    assert_int_equal(command(s, "backup etc", 0), 0);
    assert_true(s->app.unrecorded);
    assert_int_equal(unlink(s->db), 0);
    assert_int_equal(command(s, "prune", 0), 0);
    assert_int_equal(trail(s).n, 2);
}

static void a_bare_machine_gets_no_catalog(void **state)
{
    struct scene *s = *state;
    s->app.paths.config_dir = (char *)"/nonexistent";
    assert_int_equal(command(s, "restore etc --to /x", 0), 0);
    assert_int_equal(access(s->db, F_OK), -1);
    assert_false(s->app.unrecorded);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_changes_is_recorded_and_what_looks_is_not),
        T(secrets_are_left_out),
        T(nothing_is_destroyed_unrecorded),
        T(a_bare_machine_gets_no_catalog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
