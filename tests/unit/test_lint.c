/* test_lint.c - policies/: what lint finds, at which line, and which duty it names. */
#include "lib/base/sys.h"
#include "tests/unit/conf_kit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_FINDINGS 64
#define COPY(place, url) "  - place: " place "\n    url: " url "\n"
#define FILES "files:\n  paths: [/usr]\n"
#define DAILY "schedule: \"*-*-* 02:00:00\"\n"
#define KEEP "retention: { daily: 7, within: 3d }\n"

struct findings {
    struct lint_finding v[MAX_FINDINGS];
    size_t n;
};

static void collect(void *ctx, const struct lint_finding *finding)
{
    struct findings *l = ctx;
    assert_true(l->n < MAX_FINDINGS);
    assert_int_equal(finding->error, finding->level == LINT_ERROR);
    l->v[l->n++] = *finding;
}

static const struct lint_finding *find(const struct findings *l, const char *file, const char *text)
{
    for (size_t i = 0; i < l->n; i++)
        if (strstr(l->v[i].text, text) && strstr(l->v[i].file, file))
            return &l->v[i];
    return NULL;
}

static void show(const struct findings *l)
{
    for (size_t i = 0; i < l->n; i++)
        print_message("%s:%d: %d %s [%s]\n", l->v[i].file, l->v[i].line, (int)l->v[i].level,
                      l->v[i].text, l->v[i].duty);
}

static void expect(const struct findings *l, const char *file, const char *text,
                   enum lint_level level, int line, const char *duty)
{
    const struct lint_finding *x = find(l, file, text);
    if (x && x->level == level && x->line == line && strcmp(x->duty, duty) == 0)
        return;
    show(l);
    fail_msg("%s:%d: \"%s\" [%s] is not there like this", file, line, text, duty);
}

static void expect_none(const struct findings *l, const char *file, const char *text)
{
    if (find(l, file, text)) {
        show(l);
        fail_msg("%s says \"%s\"", file, text);
    }
}

static int lint(struct fixture *f, struct findings *l)
{
    l->n = 0;
    f->e = ERR_INIT;
    return policy_lint(&f->p, collect, l, &f->e);
}

static void text_file(struct fixture *f, const char *name, const char *text)
{
    write_conf(f, "", name, text, strlen(text));
}

static void key_file(struct fixture *f, const char *name, mode_t mode)
{
    char path[160];
    write_conf(f, "keys", name, "key\n", 4);
    snprintf(path, sizeof path, "%s/keys/%s", f->dir, name);
    assert_int_equal(chmod(path, mode), 0);
}

static bool has_systemd(void)
{
    return access("/usr/bin/systemd-analyze", X_OK) == 0;
}

static void test_nothing(void **state)
{
    struct fixture *f = *state;
    struct findings l;
    assert_int_equal(lint(f, &l), 0);
    assert_int_equal(l.n, 2);
    expect(&l, "", "no vault yet", LINT_WARNING, 0, "");
    expect(&l, "", "no contacts.yaml", LINT_NOTE, 0, "PY-contacts");
}

static void test_files(void **state)
{
    struct fixture *f = *state;
    struct findings l;
    char text[2000];
    snprintf(text, sizeof text,
             ANCHORS "copies:\n" COPY("a", "%s/vaults") COPY("b", "%s/policies")
                 COPY("c", "/nowhere/c"),
             f->dir, f->dir);
    vault_file(f, "main.yaml", text);
    vault_file(f, "one.yaml", ANCHORS "copies:\n" COPY("a", "/a"));
    vault_file(f, "notes.txt", "");
    vault_file(f, "main.yaml~", "");
    snprintf(text, sizeof text,
             "vault: main\nfiles:\n  paths:\n    - %s\n    - /nowhere/x\n    - %s/vaults\n"
             "  exclude: [%s/policies]\nrpo: 27h\n",
             f->dir, f->dir, f->dir);
    policy_file(f, "a.yaml", text);
    policy_file(f, "b.yaml",
                "vault: gone\nfiles:\n  paths: [/]\n  exclude: [/tmp, /nowhere]\nrpo: 26h\n");
    policy_file(f, "c.yaml", "files:\n  paths: [/dev]\n");
    policy_file(f, "d.yaml", "vault: main\nrpo: 1h\n");
    policy_file(f, "e.yml", "");
    policy_file(f, "g.yaml", "vault: main\nagent: away\n" FILES);
    assert_int_equal(lint(f, &l), 5);
    expect(&l, "main.yaml", "on one device", LINT_WARNING, 10, "PY-DB-1");
    expect(&l, "main.yaml", "copy \"c\" is not there", LINT_WARNING, 12, "PY-DB-1");
    expect(&l, "one.yaml", "at least two copies", LINT_ERROR, 6, "PY-DB-1");
    expect(&l, "a.yaml", "/nowhere/x is not there", LINT_WARNING, 5, "");
    expect(&l, "a.yaml", "is part of", LINT_WARNING, 6, "");
    expect(&l, "a.yaml", "holds the copy", LINT_WARNING, 4, "");
    expect(&l, "a.yaml", "RPO over 26 h", LINT_WARNING, 8, "SMX-6");
    expect_none(&l, "b.yaml", "RPO over 26 h");
    expect(&l, "b.yaml", "no vault \"gone\"", LINT_ERROR, 1, "");
    expect(&l, "c.yaml", "which vault keeps it", LINT_ERROR, 0, "");
    expect(&l, "d.yaml", "nothing to back up", LINT_ERROR, 1, "");
    expect(&l, "notes.txt", "is not used", LINT_WARNING, 0, "");
    expect_none(&l, "main.yaml~", "is not used");
    expect(&l, "e.yml", "is not used", LINT_WARNING, 0, "");
    expect(&l, "g.yaml", "no agent \"away\"", LINT_ERROR, 2, "");
}

static void test_copies(void **state)
{
    struct fixture *f = *state;
    struct findings l;
    char text[2000];
    snprintf(text, sizeof text, "%s/empty", f->dir);
    assert_int_equal(mkdir(text, 0700), 0);
    /* A mount point without its disk is on the same device as the folder beside it, which says nothing. */
    snprintf(
        text, sizeof text,
        ANCHORS "copies:\n" COPY("a", "%s/vaults") COPY("b", "sftp://u@storage/x") COPY(
            "c",
            "sftp://u@STORAGE:2222/y") "    identity: keys/c\n"
                                       "    host-key: " HOST_KEY "\n" COPY(
                                           "d",
                                           "%s/empty") "    presence: rotating\n    deletable: false\nmin-copies: 4\n",
        f->dir, f->dir);
    vault_file(f, "main.yaml", text);
    key_file(f, "c", 0640);
    key_file(f, "main.op", 0604);
    key_file(f, "main.recovery", 0600);
    assert_int_equal(lint(f, &l), 2);
    expect(&l, "main.yaml", "on one host (STORAGE)", LINT_WARNING, 12, "PY-DB-1");
    expect_none(&l, "main.yaml", "on one device");
    expect_none(&l, "main.yaml", "\"d\" is not there");
    expect(&l, "main.yaml", "\"b\" is not known by its key", LINT_WARNING, 9, "LY-2.2");
    expect_none(&l, "main.yaml", "\"c\" is not known by its key");
    expect(&l, "main.yaml", "private key of the copy \"c\"", LINT_ERROR, 13, "LY-2.2");
    expect(&l, "main.yaml", "others may read the operational key", LINT_ERROR, 0, "");
    expect_none(&l, "main.yaml", "recovery key");
    expect(&l, "main.yaml", "min-copies is 4, but only 3", LINT_WARNING, 19, "PY-DB-1");
    expect_none(&l, "main.yaml", "whoever steals");
    expect_none(&l, "main.yaml", "all copies");
    snprintf(text, sizeof text, ANCHORS "copies:\n" COPY("a", "%s/vaults") COPY("b", "/proc"),
             f->dir);
    vault_file(f, "main.yaml", text);
    key_file(f, "main.op", 0600);
    key_file(f, "main.recovery", 0644);
    assert_int_equal(lint(f, &l), 1);
    expect(&l, "main.yaml", "all copies are in this machine", LINT_WARNING, 6, "PY-DB-1");
    expect(&l, "main.yaml", "whoever steals this machine", LINT_WARNING, 6, "3-2-1-1-0");
    expect(&l, "main.yaml", "others may read the recovery key", LINT_ERROR, 0, "");
    vault_file(f, "main.yaml",
               ANCHORS "copies:\n" COPY("a", "/x/a") "    presence: rotating\n" COPY(
                   "b", "/x/b") "    presence: rotating\n");
    key_file(f, "main.recovery", 0600);
    assert_int_equal(lint(f, &l), 0);
    expect(&l, "main.yaml", "all copies are carried away", LINT_WARNING, 6, "PY-DB-1");
}

static void two_copies(struct fixture *f)
{
    vault_file(f, "main.yaml", ANCHORS TWO_COPIES);
    key_file(f, "main.op", 0600);
}

static void test_schedules(void **state)
{
    struct fixture *f = *state;
    struct findings l;
    two_copies(f);
    policy_file(f, "none.yaml", FILES KEEP);
    policy_file(f, "bad.yaml", FILES KEEP "schedule: nightly at two\n");
    policy_file(f, "once.yaml", FILES KEEP "schedule: \"2020-01-01\"\n");
    policy_file(f, "weekday.yaml", FILES KEEP "schedule: \"Mon..Fri 20:30\"\nrpo: 26h\n");
    policy_file(f, "daily.yaml", FILES KEEP DAILY "window: \"22:00-06:00\"\n");
    policy_file(f, "missed.yaml", FILES KEEP DAILY "window: \"03:00-06:00\"\n");
    policy_file(f, "zone.yaml",
                FILES KEEP "schedule: \"02:00 Asia/Shanghai\"\nwindow: \"01:00-03:00\"\n");
    policy_file(f, "hourly.yaml", FILES KEEP "schedule: hourly\nrpo: 30m\n");
    assert_int_equal(lint(f, &l), has_systemd() ? 2 : 0);
    expect(&l, "none.yaml", "no schedule", LINT_WARNING, 0, "SMX-6");
    if (!has_systemd()) {
        print_message("not tested here: systemd-analyze\n");
        return;
    }
    expect(&l, "bad.yaml", "does not understand", LINT_ERROR, 4, "SMX-6");
    expect(&l, "once.yaml", "comes no more", LINT_ERROR, 4, "SMX-6");
    expect(&l, "weekday.yaml", "up to 72 h, which is longer than the RPO of 26 h", LINT_WARNING, 5,
           "SMX-6");
    expect(&l, "hourly.yaml", "up to 1 h, which is longer than the RPO of 0.5 h", LINT_WARNING, 5,
           "SMX-6");
    expect_none(&l, "daily.yaml", "");
    expect(&l, "missed.yaml", "never falls into the window", LINT_WARNING, 5, "SMX-6");
    expect_none(&l, "zone.yaml", "");
}

static void test_retention(void **state)
{
    struct fixture *f = *state;
    struct findings l;
    two_copies(f);
    policy_file(f, "a.yaml", FILES DAILY);
    policy_file(f, "b.yaml", FILES DAILY "retention:\n  daily: 2\n");
    policy_file(f, "c.yaml", FILES DAILY "class: logs\nretention:\n  daily: 30\n  monthly: 3\n");
    policy_file(f, "d.yaml", FILES DAILY "class: logs\nretention:\n  within: 92d\n");
    policy_file(f, "e.yaml", FILES DAILY "class: logs\nretention:\n  within: 184d\n");
    policy_file(f, "f.yaml", FILES DAILY "class: logs\n"); /* the default: 184 days */
    policy_file(f, "g.yaml", FILES DAILY "class: logs\nretention: { yearly: 1 }\n");
    policy_file(f, "h.yaml", FILES DAILY "retention: { last: 4 }\n");
    assert_int_equal(lint(f, &l), 1);
    expect(&l, "a.yaml", "no retention", LINT_WARNING, 0, "");
    expect(&l, "b.yaml", "less than three", LINT_WARNING, 4, "PY-SW-1");
    expect(&l, "c.yaml", "this is 90 days", LINT_ERROR, 5, "JZ-5.4");
    expect(&l, "d.yaml", "kept for 92 days", LINT_NOTE, 5, "JZ-5.4");
    for (const char *name = "efg"; *name; name++)
        expect_none(&l, (char[]){ *name, '.', 'y', 'a', 'm', 'l', '\0' }, "");
    if (has_systemd())
        expect_none(&l, "h.yaml", "");
}

static void test_secrets(void **state)
{
    struct fixture *f = *state;
    struct findings l;
    vault_file(f, "main.yaml",
               ANCHORS "copies:\n" COPY("a", "/nowhere/a")
                   COPY("b", "sftp://u@h/b") "    host-key: " HOST_KEY "\n");
    key_file(f, "main.op", 0600);
    key_file(f, "agent-db1.ssh", 0600);
    key_file(f, "agent-db2.ssh", 0660);
    const char *agent = "host: db1\nhost-key: " HOST_KEY "\n";
    write_conf(f, "agents", "db1.yaml", agent, strlen(agent));
    write_conf(f, "agents", "db2.yaml", agent, strlen(agent));
    write_conf(f, "agents", "local.yaml", agent, strlen(agent));
    write_conf(f, "agents", "bad.yaml", "host: x\n", 8);
    policy_file(f, "a.yaml", "agent: db1\n" FILES "class: secret\n" DAILY KEEP);
    assert_int_equal(lint(f, &l), 5);
    expect(&l, "a.yaml", "agent \"db1\" is on another host", LINT_ERROR, 1, "LY");
    expect(&l, "a.yaml", "copy \"b\" is on one", LINT_ERROR, 4, "LY");
    expect(&l, "db2.yaml", "private key of the agent \"db2\"", LINT_ERROR, 0, "JZ-7.2");
    expect_none(&l, "db1.yaml", "");
    expect(&l, "local.yaml", "this machine and never a file", LINT_ERROR, 0, "");
    expect(&l, "bad.yaml", "\"host-key\" is missing", LINT_ERROR, 1, "");
    expect_none(&l, "a.yaml", "is not there"); /* on another host its paths are not looked for */
}

static void test_contacts(void **state)
{
    struct fixture *f = *state;
    struct findings l;
    char text[1000], day[16];
    time_t recently = time(NULL) - 10 * 86400;
    struct tm tm;
    gmtime_r(&recently, &tm);
    strftime(day, sizeof day, "%Y-%m-%d", &tm);
    two_copies(f);
    policy_file(f, "a.yaml", FILES DAILY KEEP "notify:\n  - operator\n  - nobody\n");
    text_file(
        f, "twofold.yaml",
        "notify:\n  webhooks:\n    - { name: duty, url: \"https://x/send?key=abc\" }\n"
        "  mail:\n    url: smtp://m\n    from: a@b\n    user: u\n    password-file: /dev/null\n"
        "    tls: try\n  command: [/nowhere/send]\n");
    snprintf(text, sizeof text,
             "reviewed: %s\nroles:\n  operator:\n    a: { name: X, webhook: duty }\n"
             "    b: { name: Y }\n  office-head:\n    a: { name: Z, phone: \"1\", webhook: gone }\n"
             "  vendor:\n    b: { name: V, mail: v@x }\n"
             "units:\n  - { name: County, mail: c@x }\n  - { name: Town }\n",
             day);
    text_file(f, "contacts.yaml", text);
    assert_int_equal(lint(f, &l), 2);
    expect(&l, "a.yaml", "no role \"nobody\"", LINT_ERROR, 7, "PY-AB");
    expect_none(&l, "a.yaml", "operator");
    expect(&l, "contacts.yaml", "no way to reach the B person of \"operator\"", LINT_WARNING, 5,
           "PY-contacts");
    expect(&l, "contacts.yaml", "no webhook \"gone\"", LINT_WARNING, 7, "PY-contacts");
    expect(&l, "contacts.yaml", "\"office-head\" has no B person", LINT_WARNING, 6, "PY-AB");
    expect(&l, "contacts.yaml", "\"vendor\" has no A person", LINT_WARNING, 8, "PY-AB");
    expect_none(&l, "contacts.yaml", "looked through");
    expect(&l, "contacts.yaml", "no way to tell the unit \"Town\"", LINT_WARNING, 12, "PY-DB-2");
    expect_none(&l, "contacts.yaml", "County");
    expect(&l, "twofold.yaml", "others may read the mail password", LINT_ERROR, 8, "");
    expect(&l, "twofold.yaml", "in clear", LINT_WARNING, 9, "LY-2.2");
    expect(&l, "twofold.yaml", "holds its key", LINT_WARNING, 3, "");
    expect(&l, "twofold.yaml", "cannot be run", LINT_WARNING, 10, "");
    snprintf(text, sizeof text, "review-every: 9d\nreviewed: %s\n", day);
    text_file(f, "contacts.yaml", text);
    text_file(f, "twofold.yaml", "site: x\nsize: 7\n");
    assert_int_equal(lint(f, &l), 3);
    expect(&l, "contacts.yaml", "last looked through 10 days ago", LINT_WARNING, 2, "PY-contacts");
    expect(&l, "twofold.yaml", "\"size\" is not known", LINT_ERROR, 2, "");
    text_file(f, "contacts.yaml", "roles: {}\n");
    assert_int_equal(lint(f, &l), 3);
    expect(&l, "contacts.yaml", "does not say when", LINT_WARNING, 0, "PY-contacts");
    text_file(f, "contacts.yaml", "reviewed: 2999-01-01\n");
    assert_int_equal(lint(f, &l), 3);
    expect(&l, "contacts.yaml", "still to come", LINT_WARNING, 1, "PY-contacts");
}

static void test_drills(void **state)
{
    struct fixture *f = *state;
    struct findings l;
    two_copies(f);
    policy_file(f, "good.yaml", FILES DAILY KEEP "drill: { every: 90d, to: /srv/x, lose: b }\n");
    policy_file(f, "empty.yaml", FILES DAILY KEEP "drill: {}\n");
    policy_file(f, "seldom.yaml", FILES DAILY KEEP "drill:\n  every: 366d\n");
    policy_file(f, "inside.yaml", FILES DAILY KEEP "drill:\n  every: 7d\n  to: /usr/x\n");
    policy_file(f, "copy.yaml", FILES DAILY KEEP "drill: { to: /nowhere/a/x }\n");
    policy_file(f, "place.yaml", FILES DAILY KEEP "drill: { from: c }\n");
    policy_file(f, "both.yaml", FILES DAILY KEEP "drill: { from: a, lose: b }\n");
    policy_file(f, "root.yaml", FILES DAILY KEEP "drill: { to: / }\n");
    policy_file(f, "agent.yaml", FILES DAILY KEEP "drill: { on: nowhere }\n");
    policy_file(f, "data.yaml",
                "postgresql: { conninfo: \"host=/x\", data: /srv/pg }\n" DAILY KEEP
                "drill: { to: /srv/pg/x }\n");
    assert_int_equal(lint(f, &l), 7);
    expect_none(&l, "good.yaml", "");
    expect_none(&l, "empty.yaml", "");
    expect(&l, "seldom.yaml", "once a year", LINT_WARNING, 6, "PY-8.3");
    expect(&l, "inside.yaml", "/usr/x lies in /usr, which is backed up", LINT_ERROR, 7, "PY-8.3");
    expect(&l, "copy.yaml", "/nowhere/a/x lies in the copy /nowhere/a", LINT_ERROR, 5, "PY-8.3");
    expect(&l, "place.yaml", "no copy \"c\"", LINT_ERROR, 5, "PY-8.3");
    expect(&l, "both.yaml", "exclude each other", LINT_ERROR, 5, "");
    expect(&l, "root.yaml", "cannot be /", LINT_ERROR, 5, "");
    expect(&l, "agent.yaml", "no agent \"nowhere\"", LINT_ERROR, 5, "");
    expect(&l, "data.yaml", "the database's own folder /srv/pg", LINT_ERROR, 4, "PY-8.3");
}

static void test_what_was_written(void **state)
{
    struct fixture *f = *state;
    struct findings l;
    char *paths[] = { "/usr" };
    struct policy pol = { .name = "p",
                          .vault = "",
                          .agent = "local",
                          .paths = paths,
                          .n_paths = 1,
                          .schedule = "*-*-* 02:00:00",
                          .retention = { .daily = 7 } };
    struct vault_conf v = { .name = "main",
                            .suite = 1,
                            .n_copies = 2,
                            .min_copies = 1,
                            .compression = 3,
                            .copies = { { .place = "a", .url = "/dev", .deletable = true },
                                        { .place = "b", .url = "/x", .rotating = true } } };
    assert_int_equal(vault_conf_write(&f->p, &v, &f->e), 0);
    assert_int_equal(policy_write(&f->p, &pol, &f->e), 0);
    key_file(f, "main.op", 0600);
    assert_int_equal(lint(f, &l), 0);
    assert_int_equal(l.n, 2);
    expect(&l, "", "no contacts.yaml", LINT_NOTE, 0, "PY-contacts");
    expect(&l, "", "1 policy has no drills (p …)", LINT_NOTE, 0, "PY-8.3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing),   TEST(test_files),     TEST(test_copies),
        TEST(test_schedules), TEST(test_retention), TEST(test_secrets),
        TEST(test_contacts),  TEST(test_drills),    TEST(test_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
