/* test_watch.c - orchestrator/watch/watch.c with a real catalog: alarms are raised, cleared and left alone when they must be; the
 * tick is cheap when nothing has changed, and starts a process that tells when somebody is to be told. */
#include "orchestrator/watch/watch.h"
#include "lib/base/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW 1800000000LL

struct fixture {
    char dir[64];
    struct config_paths paths;
    struct catalog *c;
    char config[80], state[80];
};

static void write_text(const struct fixture *x, const char *name, const char *text, mode_t mode)
{
    char path[160];
    struct err e = ERR_INIT;
    snprintf(path, sizeof path, "%s/%s", x->dir, name);
    if (sys_write_file(AT_FDCWD, path, text, strlen(text), mode, &e) < 0)
        fail_msg("%s: %s", path, e.why);
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    struct err e = ERR_INIT;
    char path[160];
    snprintf(x->dir, sizeof x->dir, "/tmp/tfwatch-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    snprintf(x->config, sizeof x->config, "%s/c", x->dir);
    snprintf(x->state, sizeof x->state, "%s/s", x->dir);
    x->paths = (struct config_paths){ x->config, x->state };
    static const char *const folders[] = { "c", "c/policies", "c/vaults", "s" };
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", x->dir, folders[i]);
        assert_int_equal(sys_mkdir_p(path, 0700, &e), 0);
    }
    write_text(x, "c/policies/db.yaml", "vault: none\nfiles:\n  paths: [/etc]\nrpo: 1h\n", 0600);
    if (catalog_open(&x->paths, CATALOG_WRITE, &x->c, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    char command[128];
    catalog_close(x->c);
    snprintf(command, sizeof command, "rm -rf '%s'", x->dir);
    int rc = system(command); // NOLINT(cert-env33-c): a folder of our own
    free(x);
    unsetenv("TWOFOLD_PROGRAM");
    return rc;
}

static int count(void *ctx, const struct alarm *a)
{
    ++*(size_t *)ctx;
    return 0;
}

static size_t open_alarms(struct fixture *x)
{
    size_t n = 0;
    struct err e = ERR_INIT;
    assert_true(catalog_alarms(x->c, true, 0, count, &n, &e) >= 0);
    return n;
}

static struct watch_done tick(struct fixture *x, struct watch *w, int64_t now_s)
{
    struct watch_done done;
    struct err e = ERR_INIT;
    if (watch_tick(w, x->c, now_s, &done, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    return done;
}

static struct watch *new_watch(struct fixture *x)
{
    struct watch *w;
    struct err e = ERR_INIT;
    assert_int_equal(watch_new(&x->paths, &w, &e), 0);
    return w;
}

static void whole_backup(struct fixture *x, int64_t at_s)
{
    struct err e = ERR_INIT;
    struct snapshot_row s = { .vault = "none",
                              .policy = "db",
                              .source = "db/files",
                              .host = "h",
                              .received_s = at_s,
                              .state = 1,
                              .files = 1,
                              .bytes = 1 };
    memset(&s.id, (int)(at_s & 0xff), sizeof s.id);
    if (catalog_snapshot_put(x->c, &s, &e) < 0)
        fail_msg("%s", e.why);
}

static void an_alarm_comes_and_goes(void **state)
{
    struct fixture *x = *state;
    struct watch *w = new_watch(x);
    assert_int_equal(tick(x, w, NOW).raised, 0); /* just seen: its RPO begins */
    assert_int_equal(tick(x, w, NOW + 3600).raised, 0);
    assert_int_equal(tick(x, w, NOW + 3661).raised, 1);
    assert_int_equal(tick(x, w, NOW + 3730).raised, 0); /* not twice */
    assert_int_equal(open_alarms(x), 1);
    whole_backup(x, NOW + 3800);
    assert_int_equal(tick(x, w, NOW + 3801).cleared, 1);
    assert_int_equal(open_alarms(x), 0);
    watch_free(w);
}

static void the_time_since_a_policy_is_known_outlives_the_process(void **state)
{
    struct fixture *x = *state;
    struct watch *w = new_watch(x);
    tick(x, w, NOW);
    watch_free(w);
    w = new_watch(x);
    assert_int_equal(tick(x, w, NOW + 3601).raised, 1);
    watch_free(w);
}

static void it_is_cheap_when_nothing_has_changed(void **state)
{
    struct fixture *x = *state;
    struct watch *w = new_watch(x);
    struct catalog *other;
    struct err e = ERR_INIT;
    assert_true(tick(x, w, NOW).judged);
    assert_false(tick(x, w, NOW + 4).judged);
    assert_false(tick(x, w, NOW + 59).judged);
    assert_true(tick(x, w, NOW + 60).judged);
    assert_int_equal(catalog_open(&x->paths, CATALOG_WRITE, &other, &e), 0);
    assert_int_equal(catalog_fact_set(other, "x", "y", &e), 0);
    catalog_close(other);
    assert_false(tick(x, w, NOW + 61).judged); /* not at once: a run writes a lot */
    assert_true(tick(x, w, NOW + 66).judged);
    assert_true(tick(x, w, NOW - 5000).judged); /* a clock that was set back */
    watch_free(w);
}

static void a_broken_file_clears_nothing(void **state)
{
    struct fixture *x = *state;
    struct watch *w = new_watch(x);
    tick(x, w, NOW);
    assert_int_equal(tick(x, w, NOW + 4000).raised, 1);
    write_text(x, "c/policies/db.yaml", "rpo: [\n", 0600);
    struct watch_done d = tick(x, w, NOW + 4100);
    assert_int_equal(d.raised, 1); /* the mistake itself */
    assert_int_equal(d.cleared, 0);
    assert_int_equal(open_alarms(x), 2);
    write_text(x, "c/policies/db.yaml", "vault: none\nfiles:\n  paths: [/etc]\nrpo: 9d\n", 0600);
    d = tick(x, w, NOW + 4200);
    assert_int_equal(d.cleared, 2);
    /* A mistake in another file does not keep it open. */
    write_text(x, "c/policies/db.yaml", "vault: none\nfiles:\n  paths: [/etc]\nrpo: 1h\n", 0600);
    assert_int_equal(tick(x, w, NOW + 4300).raised, 1);
    write_text(x, "c/contacts.yaml", "roles: [\n", 0600);
    write_text(x, "c/policies/db.yaml", "vault: none\nfiles:\n  paths: [/etc]\nrpo: 9d\n", 0600);
    d = tick(x, w, NOW + 4400);
    assert_int_equal(d.cleared, 1);
    assert_int_equal(d.raised, 1);
    char path[160];
    snprintf(path, sizeof path, "%s/c/contacts.yaml", x->dir);
    assert_int_equal(unlink(path), 0);
    tick(x, w, NOW + 4500);
    /* A policy that is gone has nothing overdue. */
    write_text(x, "c/policies/db.yaml", "vault: none\nfiles:\n  paths: [/etc]\nrpo: 60m\n", 0600);
    assert_int_equal(tick(x, w, NOW + 4600).raised, 1);
    snprintf(path, sizeof path, "%s/c/policies/db.yaml", x->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tick(x, w, NOW + 4700).cleared, 1);
    watch_free(w);
}

static void what_only_a_look_shows_is_cleared_only_by_one(void **state)
{
    struct fixture *x = *state;
    struct vault_fact v = { .name = (char *)"main", .n_tips = 2, .looked = true };
    struct facts f = { .now_s = NOW, .has_catalog = true, .vaults = &v, .n_vaults = 1 };
    struct watch_done d;
    struct err e = ERR_INIT;
    assert_int_equal(watch_judge(&f, x->c, &d, &e), 0);
    assert_int_equal(d.raised, 1);
    for (int looked = 0; looked < 2; looked++) {
        v.n_tips = 0;
        v.looked = looked;
        struct open_alarm a = { .id = 1, .key = (char *)"vault/main", .text = (char *)"t" };
        f.alarms = &a;
        f.n_alarms = 1;
        assert_int_equal(watch_judge(&f, x->c, &d, &e), 0);
        assert_int_equal(d.cleared, looked);
    }
}

static void somebody_to_tell_starts_the_teller(void **state)
{
    struct fixture *x = *state;
    struct watch *w = new_watch(x);
    char script[256], path[160];
    struct stat st;
    snprintf(script, sizeof script,
             "#!/bin/sh\necho \"$@\" >'%s/told.new'; mv '%s/told.new' '%s/told'\n", x->dir, x->dir,
             x->dir);
    write_text(x, "teller", script, 0700);
    snprintf(path, sizeof path, "%s/teller", x->dir);
    setenv("TWOFOLD_PROGRAM", path, 1);
    write_text(x, "c/twofold.yaml", "notify:\n  console: true\n", 0600);
    assert_false(tick(x, w, NOW).telling);
    assert_true(tick(x, w, NOW + 4000).telling);
    snprintf(path, sizeof path, "%s/told", x->dir);
    for (int i = 0; i < 500 && stat(path, &st) < 0; i++)
        usleep(10000);
    uint8_t *text = NULL;
    size_t n;
    assert_int_equal(sys_read_file(AT_FDCWD, path, 4096, &text, &n, NULL), 0);
    assert_non_null(strstr((char *)text, "alarms tell"));
    free(text);
    watch_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(an_alarm_comes_and_goes),
        T(the_time_since_a_policy_is_known_outlives_the_process),
        T(it_is_cheap_when_nothing_has_changed),
        T(a_broken_file_clears_nothing),
        T(what_only_a_look_shows_is_cleared_only_by_one),
        T(somebody_to_tell_starts_the_teller),
    };
    setenv("TWOFOLD_PROGRAM", "/bin/true", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
