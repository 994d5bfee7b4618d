/* test_config.c - policies/: loading, mistakes with their lines, writing and reading back, lint. */
#include "lib/base/sys.h"
#include "policies/config.h"
#include "policies/yaml.h"
#include "tests/unit/conf_kit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- where ---------------------------------------------------------------------------------------------- */
static void test_paths(void **state)
{
    struct fixture *f = *state;
    struct config_paths p;
    char cwd[4096], want[4200];
    assert_string_equal(f->p.config_dir, f->dir);
    setenv("TWOFOLD_CONFIG", "/some/where/", 1);
    setenv("TWOFOLD_STATE", "/some/state", 1);
    assert_int_equal(config_paths_find(NULL, &p, &f->e), 0);
    assert_string_equal(p.config_dir, "/some/where");
    assert_string_equal(p.state_dir, "/some/state");
    config_paths_done(&p);
    assert_int_equal(config_paths_find("rel", &p, &f->e), 0); /* the option wins */
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(want, sizeof want, "%s/rel", cwd);
    assert_string_equal(p.config_dir, want);
    config_paths_done(&p);
    unsetenv("TWOFOLD_CONFIG");
    unsetenv("TWOFOLD_STATE");
    assert_int_equal(config_paths_find(NULL, &p, &f->e), 0);
    if (geteuid() == 0) {
        assert_string_equal(p.config_dir, "/etc/twofold");
        assert_string_equal(p.state_dir, "/var/lib/twofold");
    } else {
        assert_non_null(strstr(p.config_dir, "/.config/twofold"));
    }
    config_paths_done(&p);
    config_paths_done(&p);
}

static void test_names(void **state)
{
    char longest[MAX_NAME + 2];
    memset(longest, 'a', sizeof longest);
    longest[MAX_NAME + 1] = '\0';
    assert_false(config_name_ok(longest));
    longest[MAX_NAME] = '\0';
    assert_true(config_name_ok(longest));
    assert_true(config_name_ok("etc"));
    assert_true(config_name_ok("9-a_b.C"));
    static const char *const bad[] = { "", ".", "..", ".a", "-a", "_a", "a/b", "a b", "ä", "a\n" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(config_name_ok(bad[i]));
}

/* --- policies ---------------------------------------------------------------------------------------------- */
static void test_policy_defaults(void **state)
{
    struct fixture *f = *state;
    struct policy *pol = NULL;
    policy_file(f, "etc.yaml", "files:\n  paths: [/etc, //home/./x/]\n");
    assert_int_equal(policy_load(&f->p, "etc", &pol, &f->e), 0);
    assert_string_equal(pol->name, "etc");
    assert_string_equal(pol->vault, "");
    assert_string_equal(pol->agent, "local");
    assert_int_equal(pol->n_paths, 2);
    assert_string_equal(pol->paths[0], "/etc");
    assert_string_equal(pol->paths[1], "/home/x");
    assert_int_equal(pol->n_exclude, 0);
    assert_false(pol->one_file_system);
    assert_true(pol->skip_cache_dirs);
    assert_int_equal(pol->rpo_s, 26 * 3600);
    policy_free(pol);
    policy_free(NULL);
}

static void test_policy_in_full(void **state)
{
    struct fixture *f = *state;
    struct policy *pol = NULL;
    policy_file(
        f, "etc.yaml",
        "vault: main\nagent: local\nfiles:\n  paths: [/]\n  exclude: [\"*.tmp\", /home/x/cache]\n"
        "  one-file-system: yes\n  skip-cache-dirs: false\nrpo: 90s\n");
    assert_int_equal(policy_load(&f->p, "etc", &pol, &f->e), 0);
    assert_string_equal(pol->vault, "main");
    assert_string_equal(pol->paths[0], "/");
    assert_int_equal(pol->n_exclude, 2);
    assert_string_equal(pol->exclude[0], "*.tmp");
    assert_true(pol->one_file_system);
    assert_false(pol->skip_cache_dirs);
    assert_int_equal(pol->rpo_s, 90);
    policy_free(pol);
}

#define FILES "files:\n  paths: [/etc]\n"
/* Each mistake, the line that must be named, a word of the reason and one of the advice. */
static const struct {
    const char *text;
    int line;
    const char *why, *next;
} policy_mistakes[] = {
    { "", 0, "empty", "" },
    { "# nothing\n\n", 0, "empty", "" },
    { "- a\n", 1, "key: value", "own" },
    { "files:\n  paths: [/etc]\nrpo: 26h\nretension: 1\n", 4, "retension",
      "vault, agent, files, command, mariadb, postgresql, sqlite" },
    { "retension: 1\nfiles:\n  paths: [/etc]\n", 1, "retension",
      "vault, agent, files, command, mariadb, postgresql, sqlite" },
    { "files:\n  paths: [/etc]\n  excludes: [a]\n", 3, "excludes",
      "paths, exclude, one-file-system" },
    { "files:\n  paths:\n    - /etc\n\n  vault: x\n", 5, "vault", "skip-cache-dirs" },
    { "files:\n  paths: [/etc]\n  paths: [/home]\n", 3, "twice", "remove" },
    { "vault: a\nfiles:\n  paths: /etc\n", 3, "list", "paths: [one, two]" },
    { "vault: [a]\nfiles:\n  paths: [/etc]\n", 1, "vault", "text" },
    { "files: [/etc]\n", 1, "key: value", "indented" },
    { "files:\n", 1, "key: value", "indented" },
    { "vault: main\n", 1, "nothing to back up", "paths:" },
    { "vault: main\nfiles:\n  paths: []\n", 3, "nothing to back up", "paths:" },
    { "files:\n  paths: [/etc\nrpo: 1h\n", 3, "YAML", "brackets" },
    { "files:\n\tpaths: [/etc]\n", 2, "YAML", "tabs" },
    { "files:\n  paths:\n    - '/etc\n", 4, "YAML", "quotes" },
    { "rpo: 26\nfiles:\n  paths: [/etc]\n", 1, "duration", "26h" },
    { "files:\n  paths: [/etc]\nrpo: 0h\n", 3, "duration", "26h" },
    { "files:\n  paths: [/etc]\nrpo: -1h\n", 3, "duration", "26h" },
    { "files:\n  paths: [/etc]\nrpo: 1h30m\n", 3, "duration", "26h" },
    { "files:\n  paths: [/etc]\nrpo: 99999999999999999999d\n", 3, "duration", "26h" },
    { "files:\n  paths: [/etc]\nrpo: 3651d\n", 3, "duration", "26h" },
    { "files:\n  paths: [/etc]\nrpo:\n", 3, "duration", "26h" },
    { "files:\n  paths:\n    - /etc\n    - etc\n", 4, "whole path", "/etc" },
    { "files:\n  paths:\n    - /etc\n    - /etc/../home\n", 4, "..", "without" },
    { "files:\n  paths: [/etc]\n  exclude:\n    - a\n    - ''\n", 5, "empty", "*.tmp" },
    { "files:\n  paths: [/etc]\n  one-file-system: maybe\n", 3, "true nor false", "true or" },
    { "files:\n  paths: [/etc]\n  skip-cache-dirs: 1\n", 3, "true nor false", "true or" },
    { "vault: ../x\nfiles:\n  paths: [/etc]\n", 1, "name of a vault", "vaults/" },
    { "vault: a\nagent: db/1\nfiles:\n  paths: [/etc]\n", 2, "db/1", "local" },
    { "agent:\nfiles:\n  paths: [/etc]\n", 1, "says nothing", "remove" },
    { FILES "class: log\n", 3, "none of", "logs" },
    { FILES "schedule: \"\"\n", 3, "says nothing", "remove" },
    { FILES "schedule: \"02:00; reboot\"\n", 3, "calendar", "systemd-analyze" },
    { FILES "schedule: \" \"\n", 3, "calendar", "systemd-analyze" },
    { FILES "window: 20-06\n", 3, "window", "20:00-06:00" },
    { FILES "window: 20:00-24:01\n", 3, "window", "20:00-06:00" },
    { FILES "window: 20:00-20:00\n", 3, "window", "20:00-06:00" },
    { FILES "window: 25:00-06:00\n", 3, "window", "20:00-06:00" },
    { FILES "priority: 101\n", 3, "0 to 100", "0 to 100" },
    { FILES "priority: high\n", 3, "0 to 100", "0 to 100" },
    { FILES "retries: -1\n", 3, "0 to 100", "0 to 100" },
    { FILES "limit: 20MB\n", 3, "bytes", "20MiB" },
    { FILES "limit: 0\n", 3, "bytes", "20MiB" },
    { FILES "limit: 1025TiB\n", 3, "bytes", "20MiB" },
    { FILES "limit: 20MiB/s\n", 3, "bytes", "20MiB" },
    { FILES "limit: 99999999999999999999\n", 3, "bytes", "20MiB" },
    { FILES "retention:\n  daily: 7\n  wekly: 3\n", 5, "wekly", "last, hourly, daily" },
    { FILES "retention: { daily: many }\n", 3, "daily", "0 to" },
    { FILES "retention:\n  daily: 7\n  within: 2w\n", 5, "duration", "7d" },
    { FILES "retention: 7\n", 3, "key: value", "indented" },
    { FILES "rto: soon\n", 3, "duration", "26h" },
    { FILES "notify: operator\n", 3, "list", "notify: [one, two]" },
    { FILES "notify:\n  - operator\n  - security officer\n", 5, "name of a role", "letters" },
    { "vault: &x a\nagent: *x\nfiles:\n  paths: [/etc]\n", 2, "reference", "value" },
    { "files:\n  paths: [/etc]\n---\nfiles:\n  paths: [/etc]\n", 4, "second", "---" },
    { "files:\n  paths: [\"/e\\0tc\"]\n", 2, "NUL", "" },
    { "? [a]\n: b\n", 1, "key", "" },
    { "vault: a\nfiles:\n  paths: [/\xff]\n", 3, "UTF-8", "UTF-8" },
};

static void test_policy_mistakes(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof policy_mistakes / sizeof *policy_mistakes; i++) {
        struct policy *pol = NULL;
        char where[128];
        policy_file(f, "etc.yaml", policy_mistakes[i].text);
        f->e = ERR_INIT;
        if (policy_load(&f->p, "etc", &pol, &f->e) != -ERR_CONFIG)
            fail_msg("not refused: %s", policy_mistakes[i].text);
        snprintf(where, sizeof where, "%s/policies/etc.yaml, line %d", f->dir,
                 policy_mistakes[i].line);
        if (policy_mistakes[i].line == 0)
            *strchr(where, ',') = '\0';
        if (strcmp(f->e.what, where) != 0 || !strstr(f->e.why, policy_mistakes[i].why) ||
            !strstr(f->e.next, policy_mistakes[i].next))
            fail_msg("%s: %s / %s / %s", policy_mistakes[i].text, f->e.what, f->e.why, f->e.next);
        assert_null(pol);
        assert_int_equal(policy_load(&f->p, "etc", &pol, NULL), -ERR_CONFIG);
    }
}

static void test_policy_absent(void **state)
{
    struct fixture *f = *state;
    struct policy *pol = NULL;
    assert_int_equal(policy_load(&f->p, "etc", &pol, &f->e), -ERR_NAME);
    assert_non_null(strstr(f->e.next, "policy add"));
    policy_file(f, "www.yaml", "x");
    policy_file(f, "home.yaml", "x");
    assert_int_equal(policy_load(&f->p, "etc", &pol, &f->e), -ERR_NAME);
    assert_non_null(strstr(f->e.next, "home, www"));
    assert_int_equal(policy_load(&f->p, "../policies/www", &pol, &f->e), -ERR_USAGE);
}

static void test_policy_written_and_read_back(void **state)
{
    struct fixture *f = *state;
    static char *paths[] = { "/etc",
                             "/a b",
                             "/it's",
                             "/say \"hi\"",
                             "/a: b",
                             "/a #b",
                             "/- x",
                             "/数据/备份",
                             "/back\\slash",
                             "/tab\there",
                             "/\x01\x7f",
                             "/nel\xc2\x85x",
                             "/ls\xe2\x80\xa8",
                             "/bom\xef\xbb\xbf",
                             "/{x}",
                             "/[y]",
                             "/*z",
                             "/emoji\xf0\x9f\x98\x80",
                             "/!t",
                             "/%a@b`c",
                             "/trailing ",
                             "/" };
    static char *exclude[] = {
        "*.tmp", "- x", "-x", "~",    "true", "null",          "12",
        "&a",    "#c",  "'",  "x: y", "?",    "/home/x/cache", "\xef\xbf\xbe"
    };
    struct policy pol = { .name = "odd",
                          .vault = "main",
                          .agent = "local",
                          .paths = paths,
                          .n_paths = sizeof paths / sizeof *paths,
                          .exclude = exclude,
                          .n_exclude = sizeof exclude / sizeof *exclude,
                          .one_file_system = true,
                          .skip_cache_dirs = false,
                          .rpo_s = 26 * 3600 },
                  *got = NULL;
    assert_int_equal(policy_write(&f->p, &pol, &f->e), 0);
    assert_int_equal(policy_load(&f->p, "odd", &got, &f->e), 0);
    assert_string_equal(got->vault, pol.vault);
    assert_string_equal(got->agent, pol.agent);
    assert_int_equal(got->n_paths, pol.n_paths);
    for (size_t i = 0; i < pol.n_paths; i++)
        assert_string_equal(got->paths[i], paths[i]);
    assert_int_equal(got->n_exclude, pol.n_exclude);
    for (size_t i = 0; i < pol.n_exclude; i++)
        assert_string_equal(got->exclude[i], exclude[i]);
    assert_true(got->one_file_system);
    assert_false(got->skip_cache_dirs);
    assert_int_equal(got->rpo_s, pol.rpo_s);
    policy_free(got);
    assert_int_equal(policy_write(&f->p, &pol, &f->e), -ERR_EXISTS);
}

static void test_policy_minimal_written(void **state)
{
    struct fixture *f = *state;
    static const uint64_t durations[] = {
        1, 60, 61, 3600, 86400, 7 * 86400, 93600, 3650ULL * 86400
    };
    char *paths[] = { "/etc//x/" };
    struct policy pol = { .vault = "", .agent = "local", .paths = paths, .n_paths = 1 },
                  *got = NULL;
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%zu", i);
        pol.name = name;
        pol.rpo_s = durations[i];
        assert_int_equal(policy_write(&f->p, &pol, &f->e), 0);
        assert_int_equal(policy_load(&f->p, name, &got, &f->e), 0);
        assert_string_equal(got->vault, "");
        assert_string_equal(got->paths[0], "/etc/x");
        assert_int_equal(got->n_exclude, 0);
        assert_int_equal(got->rpo_s, durations[i]);
        policy_free(got);
    }
}

static void test_policy_that_cannot_be_written(void **state)
{
    struct fixture *f = *state;
    static char *const bad[] = { "/a\nb",      "/a\rb", "/\xff\xfe", "/\xc0\x80", "/\xed\xa0\x80",
                                 "/x\xe2\x82", "etc",   "/a/../b",   "" };
    char *paths[1];
    struct policy pol = {
        .name = "x", .vault = "", .agent = "local", .paths = paths, .n_paths = 1
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        paths[0] = bad[i];
        f->e = ERR_INIT;
        assert_int_equal(policy_write(&f->p, &pol, &f->e), -ERR_CONFIG);
        assert_true(f->e.why[0] && f->e.next[0]);
    }
    paths[0] = "/etc";
    pol.name = "a/b";
    assert_int_equal(policy_write(&f->p, &pol, &f->e), -ERR_CONFIG);
    pol.name = "x";
    pol.n_paths = 0;
    assert_int_equal(policy_write(&f->p, &pol, &f->e), -ERR_CONFIG);
    assert_int_equal(policy_load(&f->p, "x", &(struct policy *){ NULL }, &f->e), -ERR_NAME);
}

static int note_name(void *ctx, const char *name)
{
    strcat(strcat(ctx, name), " ");
    return strcmp(name, "stop") == 0 ? 7 : 0;
}

static void test_each(void **state)
{
    struct fixture *f = *state;
    char names[64] = "";
    assert_int_equal(policy_each(&f->p, note_name, names, &f->e), 0);
    assert_string_equal(names, "");
    policy_file(f, "b.yaml", "");
    policy_file(f, "a.yaml", "");
    policy_file(f, "a-1.yaml", "");
    policy_file(f, "c.yml", "");
    policy_file(f, ".d.yaml", "");
    policy_file(f, "e e.yaml", "");
    assert_int_equal(policy_each(&f->p, note_name, names, &f->e), 0);
    assert_string_equal(names, "a a-1 b ");
    policy_file(f, "stop.yaml", "");
    policy_file(f, "z.yaml", "");
    names[0] = '\0';
    assert_int_equal(policy_each(&f->p, note_name, names, &f->e), 7);
    assert_string_equal(names, "a a-1 b stop ");
}

/* --- vaults --------------------------------------------------------------------------------------------------- */
static void test_vault_load(void **state)
{
    struct fixture *f = *state;
    struct vault_conf *v = NULL;
    assert_int_equal(vault_conf_load(&f->p, NULL, &v, &f->e), -ERR_ABSENT);
    assert_non_null(strstr(f->e.next, "twofold init"));
    vault_file(f, "main.yaml", ANCHORS TWO_COPIES "min-copies: 2\ncompression: 19\n");
    assert_int_equal(vault_conf_load(&f->p, NULL, &v, &f->e), 0); /* the only one */
    assert_string_equal(v->name, "main");
    assert_int_equal(v->id.b[1], 0x11);
    assert_int_equal(v->signing_pk[31], 0xff);
    assert_int_equal(v->root_pk[2], 0x22);
    assert_int_equal(v->suite, 1);
    assert_int_equal(v->n_copies, 2);
    assert_string_equal(v->copies[1].place, "b");
    assert_string_equal(v->copies[1].url, "/nowhere/b");
    assert_int_equal(v->min_copies, 2);
    assert_int_equal(v->compression, 19);
    vault_conf_free(v);
    vault_file(f, "other.yaml", ANCHORS TWO_COPIES);
    assert_int_equal(vault_conf_load(&f->p, NULL, &v, &f->e), -ERR_CONFIG);
    assert_non_null(strstr(f->e.next, "main, other"));
    assert_int_equal(vault_conf_load(&f->p, "third", &v, &f->e), -ERR_NAME);
    assert_non_null(strstr(f->e.next, "main, other"));
    assert_int_equal(vault_conf_load(&f->p, "other", &v, &f->e), 0);
    assert_int_equal(v->min_copies, 1);
    assert_int_equal(v->compression, 3);
    vault_conf_free(v);
    vault_conf_free(NULL);
}

#define COPY(place, url) "  - place: " place "\n    url: " url "\n"
static const struct {
    const char *text;
    int line;
    const char *why;
} vault_mistakes[] = {
    { TWO_COPIES, 1, "\"id\" is missing" },
    { "id: " HEX "\nsuite: 1\n" TWO_COPIES, 1, "\"recovery-public-key\" is missing" },
    { "id: " HEX "\nsuite: 1\nrecovery-public-key: " HEX "\nsigning-public-key: " HEX
      "\n" TWO_COPIES,
      1, "\"root-public-key\" is missing" },
    { "id: 12\nsuite: 1\nrecovery-public-key: " HEX "\n" KEYS TWO_COPIES, 1, "64" },
    { "id: " HEX "\nsuite: 2\nrecovery-public-key: " HEX "\n" KEYS TWO_COPIES, 2, "suite" },
    { "id: " HEX "\nsuite: 1\nrecovery-public-key: " HEX "0\n" KEYS TWO_COPIES, 3, "64" },
    { "id: " HEX "\nsuite: 1\nrecovery-public-key: " HEX "\nsigning-public-key: " HEX
      "\nroot-public-key: 12\n" TWO_COPIES,
      5, "\"root-public-key\" is not 64" },
    { ANCHORS, 1, "copies" },
    { ANCHORS "copies:\n" COPY("a", "/a"), 6, "PY-DB-1" },
    { ANCHORS "copies: []\n", 6, "PY-DB-1" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") "  - place: b\n", 9, "\"url\" is missing" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/b") "    uri: c\n", 11, "uri" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("a", "/x/b"), 9, "place name" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x//a/"), 9, "same folder" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "file:///x/a"), 9, "same folder" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/a/b"), 9, "lies in" },
    { ANCHORS "copies:\n" COPY("a", "/x/a/b") COPY("b", "/x"), 9, "lies in" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b b", "/x/b"), 9, "name of a place" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "s3://x/b"), 9, "not supported yet" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "ftp://x/b"), 9, "supported" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://h"), 9, "which folder" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://h/"), 9, "which folder" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp:///x"), 9, "host" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://u:geheim@h/x"), 9, "password" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://-u@h/x"), 9, "user" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://@h/x"), 9, "user" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://-oProxy=x/x"), 9, "host" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://h:0/x"), 9, "port" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://h:65536/x"), 9, "port" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://h:/x"), 9, "port" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://h:22x/x"), 9, "port" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "\"sftp://[::1/x\""), 9, "bracket" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "\"sftp://[::1]y/x\""), 9, "host" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://h/x/../y"), 9, "\"..\"" },
    { ANCHORS "copies:\n" COPY("a", "sftp://u@h/x") COPY("b", "sftp://u@H:22/x/y"), 9,
      "one folder" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/b") "    host-key: " HOST_KEY "\n", 11,
      "other hosts" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/b") "    identity: keys/b\n", 11,
      "other hosts" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://h/x") "    host-key: ssh-dss AAAA\n",
      11, "host key" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "sftp://h/x") "    host-key: ssh-ed25519\n",
      11, "host key" },
    { ANCHORS "copies:\n" COPY("a", "/x/a")
          COPY("b", "sftp://h/x") "    host-key: ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA\n",
      11, "host key" },
    { ANCHORS "copies:\n" COPY("a", "/x/a")
          COPY("b", "sftp://h/x") "    host-key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAA\n",
      11, "host key" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/b") "    presence: sometimes\n", 11,
      "none of: always, rotating" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/b") "    every: 7d\n", 11, "rotating" },
    { ANCHORS "copies:\n" COPY("a", "/x/a")
          COPY("b", "/x/b") "    presence: rotating\n    every: weekly\n",
      12, "duration" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/b") "    deletable: never\n", 11,
      "true nor false" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/b") "    limit: fast\n", 11, "bytes" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/b") "    jobs: 65\n", 11, "0 to 64" },
    { ANCHORS "copies:\n" COPY("a", "/x/a") COPY("b", "/x/b") "    place: c\n", 11, "twice" },
    { ANCHORS "copies:\n" COPY("a", "x/a") COPY("b", "/x/b"), 7, "supported" },
    { ANCHORS TWO_COPIES "min-copies: 3\n", 11, "1 to 2" },
    { ANCHORS TWO_COPIES "min-copies: 0\n", 11, "1 to 2" },
    { ANCHORS TWO_COPIES "min-copies: -1\n", 11, "1 to 2" },
    { ANCHORS TWO_COPIES "compression: 20\n", 11, "1 to 19" },
    { ANCHORS TWO_COPIES "compression: 0x3\n", 11, "1 to 19" },
    { ANCHORS "copies:\n" COPY("1", "/1") COPY("2", "/2") COPY("3", "/3") COPY("4", "/4")
          COPY("5", "/5") COPY("6", "/6") COPY("7", "/7") COPY("8", "/8") COPY("9", "/9"),
      6, "at most 8" },
};

static void test_vault_mistakes(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof vault_mistakes / sizeof *vault_mistakes; i++) {
        struct vault_conf *v = NULL;
        char where[128];
        vault_file(f, "main.yaml", vault_mistakes[i].text);
        f->e = ERR_INIT;
        if (vault_conf_load(&f->p, "main", &v, &f->e) != -ERR_CONFIG)
            fail_msg("not refused: %s", vault_mistakes[i].text);
        snprintf(where, sizeof where, "main.yaml, line %d", vault_mistakes[i].line);
        if (!strstr(f->e.what, where) || !strstr(f->e.why, vault_mistakes[i].why) || !f->e.next[0])
            fail_msg("%s: %s / %s / %s", vault_mistakes[i].text, f->e.what, f->e.why, f->e.next);
    }
}

static void test_vault_written_and_read_back(void **state)
{
    struct fixture *f = *state;
    struct vault_conf v = {
        .name = "main", .suite = 1, .n_copies = 3, .min_copies = 2, .compression = 5,
        .copies = { { .place = "room", .url = "/nowhere/a b: \"c\"" }, { .place = "building-2", .url = "/nowhere/楼" }, { .place = "on", .url = "/nowhere/it's #1" } },
    }, *got = NULL;
    for (int i = 0; i < 32; i++) {
        v.id.b[i] = (uint8_t)i;
        v.recovery_pk[i] = (uint8_t)(200 + i);
        v.signing_pk[i] = (uint8_t)(100 + i);
        v.root_pk[i] = (uint8_t)(50 + i);
    }
    assert_int_equal(vault_conf_write(&f->p, &v, &f->e), 0);
    assert_int_equal(vault_conf_load(&f->p, "main", &got, &f->e), 0);
    assert_true(id_eq(&got->id, &v.id));
    assert_memory_equal(got->recovery_pk, v.recovery_pk, 32);
    assert_memory_equal(got->signing_pk, v.signing_pk, 32);
    assert_memory_equal(got->root_pk, v.root_pk, 32);
    assert_int_equal(got->n_copies, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(got->copies[i].place, v.copies[i].place);
        assert_string_equal(got->copies[i].url, v.copies[i].url);
    }
    assert_int_equal(got->min_copies, 2);
    assert_int_equal(got->compression, 5);
    vault_conf_free(got);
    assert_int_equal(vault_conf_write(&f->p, &v, &f->e), -ERR_EXISTS);
    v.name = "second";
    v.copies[1].url = "/new\nline";
    assert_int_equal(vault_conf_write(&f->p, &v, &f->e), -ERR_CONFIG);
    v.copies[1].url = v.copies[0].url;
    assert_int_equal(vault_conf_write(&f->p, &v, &f->e), -ERR_CONFIG);
}

static void test_copies_that_exist(void **state)
{
    struct fixture *f = *state;
    char a[100], link[100], inner[120], beside[100];
    snprintf(a, sizeof a, "%s/a", f->dir);
    snprintf(link, sizeof link, "%s/link", f->dir);
    snprintf(inner, sizeof inner, "%s/link/x/y", f->dir);
    snprintf(beside, sizeof beside, "%s/a-b", f->dir);
    assert_int_equal(mkdir(a, 0700), 0);
    assert_int_equal(symlink("a", link), 0);
    struct copy_conf same[] = { { .place = "a", .url = a }, { .place = "b", .url = link } },
                     nested[] = { { .place = "a", .url = inner }, { .place = "b", .url = a } };
    struct copy_conf fine[] = { { .place = "a", .url = a }, { .place = "b", .url = beside } },
                     memory[] = { { .place = "a", .url = "memory:a" },
                                  { .place = "b", .url = "memory:b" } };
    assert_int_equal(copies_check(same, 2, &f->e), -ERR_CONFIG);
    assert_non_null(strstr(f->e.why, "same folder"));
    assert_int_equal(copies_check(nested, 2, &f->e), -ERR_CONFIG);
    assert_non_null(strstr(f->e.why, "lies in"));
    assert_int_equal(copies_check(fine, 2, &f->e), 0);
    assert_int_equal(copies_check(memory, 2, &f->e), 0);
    assert_int_equal(copies_check(fine, 1, &f->e), -ERR_CONFIG);
    assert_int_equal(copies_check(fine, 0, NULL), -ERR_CONFIG);
}

/* --- sources ------------------------------------------------------------------------------------ */
static void test_policy_of_a_database(void **state)
{
    struct fixture *f = *state;
    struct policy *pol = NULL;
    policy_file(
        f, "db.yaml",
        "postgresql:\n  conninfo: \"host=/run/postgresql user=postgres\"\n  data: /srv//pg/\n"
        "  checkpoint: spread\n");
    assert_int_equal(policy_load(&f->p, "db", &pol, &f->e), 0);
    assert_int_equal(pol->n_paths, 0);
    assert_int_equal(pol->n_sources, 1);
    assert_string_equal(policy_kind(pol), "postgresql");
    assert_string_equal(source_spec_get(&pol->sources[0], "conninfo"),
                        "host=/run/postgresql user=postgres");
    assert_string_equal(source_spec_get(&pol->sources[0], "data"), "/srv/pg");
    assert_null(source_spec_get(&pol->sources[0], "os-user"));
    free(pol->name);
    pol->name = strdup("written");
    assert_int_equal(policy_write(&f->p, pol, &f->e), 0);
    policy_free(pol);
    assert_int_equal(policy_load(&f->p, "written", &pol, &f->e), 0);
    assert_int_equal(pol->sources[0].n, 3);
    assert_string_equal(source_spec_get(&pol->sources[0], "checkpoint"), "spread");
    policy_free(pol);
    policy_file(f, "set.yaml",
                "files: { paths: [/srv/app] }\npostgresql: { conninfo: dbname=x }\n");
    assert_int_equal(policy_load(&f->p, "set", &pol, &f->e), 0);
    assert_string_equal(policy_kind(pol), "set");
    policy_free(pol);
}

static void test_policy_of_sqlite(void **state)
{
    struct fixture *f = *state;
    struct policy *pol = NULL;
    policy_file(f, "lite.yaml", "sqlite:\n  files: [/srv//a b.db, \"/srv/x: y.db\"]\n  wait: 5s\n");
    assert_int_equal(policy_load(&f->p, "lite", &pol, &f->e), 0);
    assert_string_equal(policy_kind(pol), "sqlite");
    free(pol->name);
    pol->name = strdup("written");
    assert_int_equal(policy_write(&f->p, pol, &f->e), 0);
    policy_free(pol);
    assert_int_equal(policy_load(&f->p, "written", &pol, &f->e), 0);
    assert_int_equal(pol->sources[0].n, 3);
    assert_string_equal(pol->sources[0].v[0].value, "/srv/a b.db");
    assert_string_equal(pol->sources[0].v[1].value, "/srv/x: y.db");
    assert_string_equal(source_spec_get(&pol->sources[0], "wait"), "5s");
    policy_free(pol);
}

static void test_policy_with_commands(void **state)
{
    struct fixture *f = *state;
    struct policy *pol = NULL;
    policy_file(f, "set.yaml",
                "files: { paths: [/srv/app] }\nhooks:\n  before: [/sbin/freeze, \"it's: now\"]\n"
                "  after: [/sbin/thaw]\n");
    assert_int_equal(policy_load(&f->p, "set", &pol, &f->e), 0);
    assert_int_equal(pol->hooks.limit_s, DEFAULT_HOOK_LIMIT_S);
    pol->hooks.limit_s = 90;
    free(pol->name);
    pol->name = strdup("rewritten");
    assert_int_equal(policy_write(&f->p, pol, &f->e), 0);
    policy_free(pol);
    assert_int_equal(policy_load(&f->p, "rewritten", &pol, &f->e), 0);
    assert_true(pol->hooks.n_before == 2 && pol->hooks.n_after == 1 && pol->hooks.limit_s == 90);
    assert_string_equal(pol->hooks.before[1], "it's: now");
    policy_free(pol);
    static const char *const wrong[] = { "hooks: {}\n",
                                         "hooks: { before: [freeze] }\n",
                                         "hooks: { after: [/sbin/thaw, \"\"] }\n",
                                         "hooks: { after: [/sbin/thaw], time-limit: 21m }\n",
                                         "hooks: { after: [/sbin/thaw], time-limit: soon }\n",
                                         "hooks: { after: /sbin/thaw }\n" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[256];
        snprintf(text, sizeof text, "files: { paths: [/srv] }\n%s", wrong[i]);
        policy_file(f, "wrong.yaml", text);
        assert_int_equal(policy_load(&f->p, "wrong", &pol, &f->e), -ERR_CONFIG);
        assert_non_null(strstr(f->e.what, "line 2"));
    }
}

static void test_policy_of_a_database_mistakes(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {
        "postgresql: { data: /srv/pg }\n",
        "postgresql: { conninfo: \"\" }\n",
        "postgresql: { conninfo: x=y, data: srv/pg }\n",
        "postgresql: { conninfo: x=y, checkpoint: soon }\n",
        "postgresql: { conninfo: x=y, pasword: secret }\n",
        "command: { drivers: [../x] }\n",
        "command: { drivers: [] }\n",
        "sqlite: { wait: 5s }\n",
        "sqlite: { files: [] }\n",
        "sqlite: { files: [/a, b.db] }\n",
        "sqlite: { files: [/a], wait: 5 }\n",
        "sqlite: { files: [/a], check: none }\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct policy *pol = NULL;
        policy_file(f, "wrong.yaml", wrong[i]);
        f->e = ERR_INIT;
        assert_int_equal(policy_load(&f->p, "wrong", &pol, &f->e), -ERR_CONFIG);
        assert_non_null(strstr(f->e.what, "wrong.yaml, line 1"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_paths),
        cmocka_unit_test(test_names),
        TEST(test_policy_defaults),
        TEST(test_policy_in_full),
        TEST(test_policy_mistakes),
        TEST(test_policy_absent),
        TEST(test_policy_written_and_read_back),
        TEST(test_policy_of_a_database),
        TEST(test_policy_of_sqlite),
        TEST(test_policy_of_a_database_mistakes),
        TEST(test_policy_with_commands),
        TEST(test_policy_minimal_written),
        TEST(test_policy_that_cannot_be_written),
        TEST(test_each),
        TEST(test_vault_load),
        TEST(test_vault_mistakes),
        TEST(test_vault_written_and_read_back),
        TEST(test_copies_that_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
