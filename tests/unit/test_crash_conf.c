/* test_crash_conf.c - "crash" of a policy: read, written, linted, and as settings of an incident. */
#include "policies/crash_conf.h"
#include "tests/unit/conf_kit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN "files: { paths: [/srv/app] }\n"
#define WHOLE                                                                                \
    BEGIN "crash:\n  stop: [/bin/true, \"it's: x\"]\n  start: [/bin/false]\n"                \
          "  isolate: [/bin/a]\n  scan: [/bin/b, -r]\n"                                      \
          "  standby:\n    on: db2\n    promote: [/bin/p, now]\n    switch-back: [/bin/s]\n" \
          "  limits: { restore: 2h, gate: 90s }\n  approve: two\n  strict: true\n"

static void check_whole(const struct crash_conf *c)
{
    assert_true(c->set && c->approve_two && c->strict);
    assert_int_equal(c->command[CRASH_STOP].n, 2);
    assert_string_equal(c->command[CRASH_STOP].words[1], "it's: x");
    assert_string_equal(c->command[CRASH_START].words[0], "/bin/false");
    assert_string_equal(c->command[CRASH_ISOLATE].words[0], "/bin/a");
    assert_string_equal(c->command[CRASH_SCAN].words[1], "-r");
    assert_string_equal(c->standby_on, "db2");
    assert_string_equal(c->standby[STANDBY_PROMOTE].words[1], "now");
    assert_string_equal(c->standby[STANDBY_SWITCH_BACK].words[0], "/bin/s");
    assert_int_equal(c->standby[STANDBY_FENCE].n, 0);
    assert_int_equal(crash_limit_s(c, LIMIT_RESTORE, 60), 7200);
    assert_int_equal(crash_limit_s(c, LIMIT_GATE, 60), 90);
    assert_int_equal(crash_limit_s(c, LIMIT_SCENE, 60), 3600);
}

static void read_and_written(void **state)
{
    struct fixture *f = *state;
    struct policy *pol = NULL;
    struct crash_conf back;
    policy_file(f, "a.yaml", WHOLE);
    assert_int_equal(policy_load(&f->p, "a", &pol, &f->e), 0);
    check_whole(&pol->crash);
    json_t *o = crash_conf_json(&pol->crash);
    assert_int_equal(crash_conf_from_json(o, &back, &f->e), 0);
    check_whole(&back);
    json_decref(o);
    crash_conf_done(&back);
    assert_false(back.set);
    free(pol->name);
    pol->name = strdup("b");
    assert_int_equal(policy_write(&f->p, pol, &f->e), 0);
    policy_free(pol);
    assert_int_equal(policy_load(&f->p, "b", &pol, &f->e), 0);
    check_whole(&pol->crash);
    policy_free(pol);

    policy_file(f, "c.yaml", BEGIN "rto: 3h\n");
    assert_int_equal(policy_load(&f->p, "c", &pol, &f->e), 0);
    assert_false(pol->crash.set);
    assert_int_equal(crash_limit_s(&pol->crash, LIMIT_RESTORE, pol->rto_s), 3 * 3600);
    assert_int_equal(crash_limit_s(&pol->crash, LIMIT_RESTORE, 0), 4 * 3600);
    policy_free(pol);
}

static void mistakes_are_told_with_their_line(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        int line;
    } wrong[] = {
        { "crash: { stop: [systemctl, stop] }\n", 2 },
        { "crash:\n  start: [/bin/x, \"\"]\n", 3 },
        { "crash:\n  approve: three\n", 3 },
        { "crash:\n  strict: perhaps\n", 3 },
        { "crash:\n  limits:\n    gate: soon\n", 4 },
        { "crash:\n  limits:\n    gate: 25h\n", 4 },
        { "crash:\n  standby: { promote: [/bin/p] }\n", 3 },
        { "crash:\n  standby:\n    on: \"a b\"\n", 4 },
        { "crash:\n  reboot: [/bin/x]\n", 3 },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct policy *pol = NULL;
        char text[256], line[32], name[16], file[24];
        snprintf(text, sizeof text, BEGIN "%s", wrong[i].text);
        snprintf(line, sizeof line, "line %d", wrong[i].line);
        snprintf(name, sizeof name, "p%zu", i);
        snprintf(file, sizeof file, "%s.yaml", name);
        policy_file(f, file, text);
        assert_int_equal(policy_load(&f->p, name, &pol, &f->e), -ERR_CONFIG);
        if (!strstr(f->e.what, line) || !f->e.next[0])
            fail_msg("%s: %s: %s (%s)", wrong[i].text, f->e.what, f->e.why, f->e.next);
    }
}

/* A timeline may come from anywhere: what is no command is none. */
static void settings_that_cannot_be(void **state)
{
    struct crash_conf c;
    json_error_t je;
    json_t *o = json_loads("{\"stop\": [\"rm -rf\", 1], \"start\": 3, \"limits\": {\"gate\": -5,"
                           "\"restore\": 99999999}, \"standby\": {\"promote\": [\"/bin/x\"]}}",
                           0, &je);
    (void)state;
    assert_non_null(o);
    assert_int_equal(crash_conf_from_json(o, &c, NULL), 0);
    assert_true(c.set && c.command[CRASH_STOP].n == 0 && c.command[CRASH_START].n == 0);
    assert_int_equal(crash_limit_s(&c, LIMIT_GATE, 0), 1800);
    assert_int_equal(crash_limit_s(&c, LIMIT_RESTORE, 0), 4 * 3600);
    assert_int_equal(c.standby[STANDBY_PROMOTE].n, 0);
    crash_conf_done(&c);
    json_decref(o);
    assert_int_equal(crash_conf_from_json(NULL, &c, NULL), 0);
    assert_false(c.set);
}

struct found {
    const char *text, *duty;
    enum lint_level level;
    unsigned n;
};

static void look(void *ctx, const struct lint_finding *f)
{
    struct found *want = ctx;
    if (strstr(f->text, want->text)) {
        assert_string_equal(f->duty, want->duty);
        assert_int_equal(f->level, want->level);
        want->n++;
    }
}

static void lint_says_what_a_crash_would_lack(void **state)
{
    struct fixture *f = *state;
    vault_file(f, "main.yaml", ANCHORS KEYS TWO_COPIES);
    policy_file(f, "db.yaml", "postgresql: { conninfo: \"host=/run/postgresql\" }\n");
    policy_file(f, "all.yaml", WHOLE);
    static const char contacts[] = "reviewed: 2026-10-01\nroles:\n  operator:\n"
                                   "    a: { name: A, phone: \"1\" }\n";
    write_conf(f, "", "contacts.yaml", contacts, sizeof contacts - 1);
    struct found all[] = {
        { "how the database is stopped", "PY-DB-3", LINT_WARNING, 0 },
        { "no role \"security-officer\"", "PY-DB-2", LINT_WARNING, 0 },
        { "no role \"vendor\"", "PY-DB-6", LINT_WARNING, 0 },
        { "no \"units\"", "PY-DB-2", LINT_WARNING, 0 },
        { "no agent \"db2\"", "SMX-12.2", LINT_ERROR, 0 },
        { "no \"fence\"", "SMX-12.3", LINT_WARNING, 0 },
        { "/bin/a is not there", "", LINT_WARNING, 0 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_true(policy_lint(&f->p, look, &all[i], &f->e) >= 0);
        if (all[i].n != 1)
            fail_msg("%s: %u", all[i].text, all[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(read_and_written),
        TEST(mistakes_are_told_with_their_line),
        TEST(settings_that_cannot_be),
        TEST(lint_says_what_a_crash_would_lack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
