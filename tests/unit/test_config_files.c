/* test_config_files.c - policies/: all that copies and policies may say, and the files agents/NAME.yaml, twofold.yaml and
 * contacts.yaml: loaded, mistakes with their lines, written and read back. */
#include "lib/base/sys.h"
#include "policies/contacts.h"
#include "policies/settings.h"
#include "tests/unit/conf_kit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- copies -------------------------------------------------------------------------------------------------------- */
static void test_copies_in_full(void **state)
{
    struct fixture *f = *state;
    struct vault_conf *v = NULL;
    char want[128];
    vault_file(f, "main.yaml",
               ANCHORS "copies:\n"
                       "  - { place: room, url: \"file:///nowhere/a\" }\n"
                       "  - place: building-2\n"
                       "    url: sftp://backup@storage.example:2222/srv/twofold/\n"
                       "    host-key: " HOST_KEY " root@storage\n"
                       "    identity: keys/main-building-2.ssh\n"
                       "    limit: 20MiB\n"
                       "    jobs: 4\n"
                       "  - place: safe\n"
                       "    url: /nowhere/safe\n"
                       "    presence: rotating\n"
                       "    every: 14d\n"
                       "    deletable: false\n"
                       "  - place: far\n"
                       "    url: \"sftp://[fd00::1]/far\"\n"
                       "    presence: always\n"
                       "    identity: /root/far.key\n");
    assert_int_equal(vault_conf_load(&f->p, "main", &v, &f->e), 0);
    const struct copy_conf *c = v->copies;
    assert_int_equal(v->n_copies, 4);
    assert_false(c[0].rotating || c[0].host_key || c[0].identity || c[0].limit_bytes_s ||
                 c[0].jobs);
    assert_true(c[0].deletable);
    assert_string_equal(c[1].host_key, HOST_KEY);
    snprintf(want, sizeof want, "%s/keys/main-building-2.ssh", f->dir);
    assert_string_equal(c[1].identity, want);
    assert_int_equal(c[1].limit_bytes_s, 20 << 20);
    assert_int_equal(c[1].jobs, 4);
    assert_true(c[2].rotating);
    assert_int_equal(c[2].every_s, 14 * 86400);
    assert_false(c[2].deletable);
    assert_string_equal(c[3].identity, "/root/far.key");
    assert_int_equal(c[3].every_s, DEFAULT_EVERY_S);
    vault_conf_free(v);
}

static void test_copies_written_and_read_back(void **state)
{
    struct fixture *f = *state;
    struct vault_conf *got = NULL;
    char inside[128];
    snprintf(inside, sizeof inside, "%s/keys/b.ssh", f->dir);
    struct vault_conf v = {
        .name = "main",
        .suite = 1,
        .n_copies = 4,
        .min_copies = 1,
        .compression = 3,
        .copies = {
            { .place = "a", .url = "/nowhere/a", .deletable = true },
            { .place = "b", .url = "sftp://u@h/b", .host_key = HOST_KEY, .identity = inside, .deletable = true, .limit_bytes_s = 1000 },
            { .place = "c", .url = "/nowhere/c", .rotating = true, .every_s = 86400, .limit_bytes_s = 3ULL << 40, .jobs = 2 },
            { .place = "d", .url = "sftp://u@h/d", .identity = "/else/where", .rotating = true, .deletable = true },
        },
    };
    assert_int_equal(vault_conf_write(&f->p, &v, &f->e), 0);
    assert_int_equal(vault_conf_load(&f->p, "main", &got, &f->e), 0);
    for (size_t i = 0; i < 4; i++) {
        const struct copy_conf *a = &v.copies[i], *b = &got->copies[i];
        assert_string_equal(a->place, b->place);
        assert_string_equal(a->url, b->url);
        assert_string_equal(a->host_key ? a->host_key : "", b->host_key ? b->host_key : "");
        assert_string_equal(a->identity ? a->identity : "", b->identity ? b->identity : "");
        assert_int_equal(a->rotating, b->rotating);
        assert_int_equal(a->every_s ? a->every_s : DEFAULT_EVERY_S, b->every_s);
        assert_int_equal(a->deletable, b->deletable);
        assert_int_equal(a->limit_bytes_s, b->limit_bytes_s);
        assert_int_equal(a->jobs, b->jobs);
    }
    vault_conf_free(got);
    /* The configuration can be moved: what lies in it is named from there. */
    uint8_t *text = NULL;
    size_t len = 0;
    char file[128];
    snprintf(file, sizeof file, "%s/vaults/main.yaml", f->dir);
    assert_int_equal(sys_read_file(AT_FDCWD, file, 100000, &text, &len, &f->e), 0);
    assert_non_null(strstr((char *)text, "identity: keys/b.ssh\n"));
    assert_non_null(strstr((char *)text, "limit: 3TiB\n"));
    assert_non_null(strstr((char *)text, "limit: 1000\n"));
    free(text);
}

static char *conf_of(struct fixture *f)
{
    uint8_t *text = NULL;
    size_t len = 0;
    char file[128];
    snprintf(file, sizeof file, "%s/vaults/main.yaml", f->dir);
    assert_int_equal(sys_read_file(AT_FDCWD, file, 100000, &text, &len, &f->e), 0);
    return (char *)text;
}

static void expect_conf(struct fixture *f, const char *want)
{
    char *text = conf_of(f);
    assert_string_equal(text, want);
    free(text);
}

static void test_copies_edited(void **state)
{
    struct fixture *f = *state;
    struct copy_conf c = { .place = "c", .url = "/nowhere/c", .rotating = true, .every_s = 86400 };
    vault_file(f, "main.yaml",
               ANCHORS
               "copies: # two\n    - place: a # first\n      url: /nowhere/a\n    # the other\n"
               "    - place: b\n      url: sftp://u@h/b\n# end\nmin-copies: 1 # at least\n");
    assert_int_equal(vault_conf_copy_add(&f->p, "main", &c, &f->e), 0);
    expect_conf(
        f, ANCHORS
        "copies: # two\n    - place: a # first\n      url: /nowhere/a\n    # the other\n"
        "    - place: b\n      url: sftp://u@h/b\n"
        "    - place: c\n      url: /nowhere/c\n      presence: rotating\n      every: 24h\n"
        "      deletable: false\n# end\nmin-copies: 1 # at least\n");
    assert_int_equal(vault_conf_copy_add(&f->p, "main", &c, &f->e), -ERR_CONFIG); /* twice */
    assert_int_equal(vault_conf_copy_set(&f->p, "main", "b", "host-key", "nonsense", &f->e),
                     -ERR_CONFIG);
    assert_int_equal(vault_conf_copy_set(&f->p, "main", "b", "host-key", HOST_KEY, &f->e), 0);
    assert_int_equal(vault_conf_copy_set(&f->p, "main", "b", "identity", "keys/b", &f->e), 0);
    assert_int_equal(vault_conf_copy_set(&f->p, "main", "b", "host-key", HOST_KEY, &f->e), 0);
    assert_int_equal(vault_conf_copy_set(&f->p, "main", "b", "place", "d", &f->e), -ERR_CONFIG);
    assert_int_equal(vault_conf_copy_set(&f->p, "main", "x", "limit", "1", &f->e), -ERR_ABSENT);
    assert_int_equal(vault_conf_copy_remove(&f->p, "main", "a", &f->e), 0);
    expect_conf(
        f, ANCHORS
        "copies: # two\n    # the other\n"
        "    - place: b\n      url: sftp://u@h/b\n      host-key: \"" HOST_KEY
        "\"\n      identity: keys/b\n"
        "    - place: c\n      url: /nowhere/c\n      presence: rotating\n      every: 24h\n"
        "      deletable: false\n# end\nmin-copies: 1 # at least\n");
    assert_int_equal(vault_conf_copy_remove(&f->p, "main", "b", &f->e), -ERR_CONFIG);
    assert_non_null(strstr(f->e.why, "two copies"));
    assert_int_equal(vault_conf_copy_remove(&f->p, "main", "x", &f->e), -ERR_ABSENT);
}

static void test_copies_that_cannot_be_edited(void **state)
{
    struct fixture *f = *state;
    struct copy_conf c = { .place = "c", .url = "/nowhere/c", .deletable = true };
    const char *flow = ANCHORS "copies: [{ place: a, url: /x/a }, { place: b, url: /x/b }]\n";
    vault_file(f, "main.yaml", flow);
    assert_int_equal(vault_conf_copy_add(&f->p, "main", &c, &f->e), -ERR_CONFIG);
    assert_non_null(strstr(f->e.next, "by hand"));
    expect_conf(f, flow);
    /* The last line has no end, and the dash stands alone. */
    vault_file(f, "main.yaml", ANCHORS "copies:\n- place: a\n  url: /x/a\n- url: /x/b\n  place: b");
    assert_int_equal(vault_conf_copy_add(&f->p, "main", &c, &f->e), 0);
    expect_conf(f, ANCHORS "copies:\n- place: a\n  url: /x/a\n- url: /x/b\n  place: b\n"
                           "- place: c\n  url: /nowhere/c\n");
    vault_file(f, "main.yaml",
               ANCHORS "copies:\n-\n  place: a\n  url: /x/a\n- place: b\n  url: /x/b\n"
                       "- place: c\n  url: /x/c\nmin-copies: 3\n");
    assert_int_equal(vault_conf_copy_remove(&f->p, "main", "a", &f->e), -ERR_CONFIG);
    assert_non_null(strstr(f->e.next, "by hand"));
    assert_int_equal(vault_conf_copy_remove(&f->p, "main", "b", &f->e), -ERR_CONFIG);
    assert_non_null(strstr(f->e.why, "1 to 2")); /* min-copies says no */
}

/* --- policies ---------------------------------------------------------------------------------------------------------- */
static void test_policy_in_full(void **state)
{
    struct fixture *f = *state;
    struct policy *pol = NULL;
    policy_file(f, "web.yaml",
                "agent: web-1\nfiles:\n  paths: [/srv]\nclass: logs\nschedule: \"Mon..Fri *-*-* "
                "20:30:00\"\nwindow: 20:00-06:00\npriority: 0\nretries: 0\nlimit: 512KiB\n"
                "retention: { last: 3, hourly: 24, daily: 7, weekly: 5, monthly: 12, yearly: 0, "
                "within: 14d }\nrpo: 1h\nrto: 4h\nnotify: [operator, security-officer]\n");
    assert_int_equal(policy_load(&f->p, "web", &pol, &f->e), 0);
    assert_string_equal(pol->agent, "web-1");
    assert_int_equal(pol->class, CLASS_LOGS);
    assert_string_equal(pol->schedule, "Mon..Fri *-*-* 20:30:00");
    assert_string_equal(pol->window, "20:00-06:00");
    assert_int_equal(pol->priority, 0);
    assert_int_equal(pol->retries, 0);
    assert_int_equal(pol->limit_bytes_s, 512 * 1024);
    assert_int_equal(pol->retention.last, 3);
    assert_int_equal(pol->retention.hourly, 24);
    assert_int_equal(pol->retention.daily, 7);
    assert_int_equal(pol->retention.weekly, 5);
    assert_int_equal(pol->retention.monthly, 12);
    assert_int_equal(pol->retention.yearly, 0);
    assert_int_equal(pol->retention.within_s, 14 * 86400);
    assert_int_equal(pol->rto_s, 4 * 3600);
    assert_int_equal(pol->n_notify, 2);
    assert_string_equal(pol->notify[1], "security-officer");
    policy_free(pol);
    policy_file(f, "etc.yaml", "files:\n  paths: [/etc]\n");
    assert_int_equal(policy_load(&f->p, "etc", &pol, &f->e), 0);
    assert_null(pol->schedule);
    assert_null(pol->window);
    assert_int_equal(pol->class, CLASS_DATA);
    assert_int_equal(pol->priority, 50);
    assert_int_equal(pol->retries, 3);
    assert_int_equal(pol->rto_s, 0);
    assert_int_equal(pol->n_notify, 0);
    assert_int_equal(pol->retention.daily + pol->retention.within_s, 0);
    policy_free(pol);
}

static void test_policy_written_and_read_back(void **state)
{
    struct fixture *f = *state;
    char *paths[] = { "/srv" }, *roles[] = { "operator", "yes" };
    struct policy *got = NULL, pol = {
        .name = "p",
        .vault = "",
        .agent = "db1",
        .paths = paths,
        .n_paths = 1,
        .class = CLASS_SECRET,
        .schedule = "*-*-* 02:00:00",
        .window = "22:00-04:30",
        .priority = 7,
        .retries = 0,
        .limit_bytes_s = 5 << 20,
        .rto_s = 7200,
        .notify = roles,
        .n_notify = 2,
        .retention = { .last = 1,
                       .hourly = 2,
                       .daily = 3,
                       .weekly = 4,
                       .monthly = 5,
                       .yearly = 6,
                       .within_s = 86400 * 3 },
    };
    assert_int_equal(policy_write(&f->p, &pol, &f->e), 0);
    assert_int_equal(policy_load(&f->p, "p", &got, &f->e), 0);
    assert_string_equal(got->agent, pol.agent);
    assert_int_equal(got->class, pol.class);
    assert_string_equal(got->schedule, pol.schedule);
    assert_string_equal(got->window, pol.window);
    assert_int_equal(got->priority, pol.priority);
    assert_int_equal(got->retries, pol.retries);
    assert_int_equal(got->limit_bytes_s, pol.limit_bytes_s);
    assert_int_equal(got->rto_s, pol.rto_s);
    assert_memory_equal(&got->retention, &pol.retention, sizeof pol.retention);
    assert_int_equal(got->n_notify, 2);
    assert_string_equal(got->notify[0], roles[0]);
    assert_string_equal(got->notify[1], roles[1]);
    policy_free(got);
    /* What would not be read back is not written. */
    pol.name = "q";
    pol.schedule = "02:00\n[Service]";
    assert_int_equal(policy_write(&f->p, &pol, &f->e), -ERR_CONFIG);
    pol.schedule = NULL;
    pol.window = "night";
    assert_int_equal(policy_write(&f->p, &pol, &f->e), -ERR_CONFIG);
}

static void test_windows(void **state)
{
    unsigned from = 0, to = 0;
    assert_true(window_parse("20:00-06:30", &from, &to));
    assert_int_equal(from, 1200);
    assert_int_equal(to, 390);
    assert_true(window_parse("00:00-24:00", &from, &to) == false); /* always: leave it out */
    assert_true(window_parse("08:00-24:00", &from, &to));
    assert_int_equal(to, 0);
    assert_false(window_parse("8:00-24:00", &from, &to));
    assert_false(window_parse("", &from, &to));
}

/* --- agents ---------------------------------------------------------------------------------------------------------------- */
static int add_name(void *ctx, const char *name)
{
    strcat(strcat(ctx, name), " ");
    return 0;
}

static void test_agent(void **state)
{
    struct fixture *f = *state;
    struct agent_conf *a = NULL;
    char want[128], names[64] = "";
    assert_int_equal(agent_conf_load(&f->p, "db1", &a, &f->e), -ERR_NAME);
    assert_non_null(strstr(f->e.next, "agent enrol"));
    const char *text = "host: db1.example\nhost-key: " HOST_KEY "\n";
    write_conf(f, "agents", "db1.yaml", text, strlen(text));
    assert_int_equal(agent_conf_load(&f->p, "db1", &a, &f->e), 0);
    assert_string_equal(a->name, "db1");
    assert_string_equal(a->host, "db1.example");
    assert_string_equal(a->user, "twofold");
    assert_string_equal(a->host_key, HOST_KEY);
    assert_int_equal(a->port, 22);
    assert_int_equal(a->rotation, 1);
    assert_int_equal(a->jobs, 1);
    assert_int_equal(a->limit_bytes_s, 0);
    assert_int_equal(a->transport, TRANSPORT_OPENSSH);
    snprintf(want, sizeof want, "%s/keys/agent-db1.ssh", f->dir);
    assert_string_equal(a->identity, want);
    agent_conf_free(a);
    struct agent_conf b = {
        .name = "db1",
        .host = "fd00::7",
        .user = "back-up",
        .host_key = HOST_KEY,
        .port = 2222,
        .rotation = 7,
        .jobs = 3,
        .transport = TRANSPORT_LIBSSH2,
        .limit_bytes_s = 1 << 20,
    };
    assert_int_equal(agent_conf_write(&f->p, &b, &f->e), 0); /* replaces */
    assert_int_equal(agent_conf_load(&f->p, "db1", &a, &f->e), 0);
    assert_string_equal(a->host, b.host);
    assert_string_equal(a->user, b.user);
    assert_int_equal(a->port, b.port);
    assert_int_equal(a->rotation, b.rotation);
    assert_int_equal(a->jobs, b.jobs);
    assert_int_equal(a->limit_bytes_s, b.limit_bytes_s);
    assert_int_equal(a->transport, b.transport);
    agent_conf_free(a);
    agent_conf_free(NULL);
    b.name = "local";
    assert_int_equal(agent_conf_write(&f->p, &b, &f->e), -ERR_CONFIG);
    b.name = "db2";
    b.host = "-oProxyCommand=x";
    assert_int_equal(agent_conf_write(&f->p, &b, &f->e), -ERR_CONFIG);
    b.host = "db2";
    b.host_key = NULL;
    assert_int_equal(agent_conf_write(&f->p, &b, &f->e), -ERR_CONFIG);
    assert_int_equal(agent_conf_each(&f->p, add_name, names, NULL), 0);
    assert_string_equal(names, "db1 ");
}

#define AGENT "host: db1\nhost-key: " HOST_KEY "\n"
struct mistake {
    const char *text;
    int line;
    const char *why;
};
static const struct mistake agent_mistakes[] = {
    { "host: db1\n", 1, "\"host-key\" is missing" },
    { "host-key: " HOST_KEY "\n", 1, "\"host\" is missing" },
    { "host: -x\nhost-key: " HOST_KEY "\n", 1, "host" },
    { "host: \"a b\"\nhost-key: " HOST_KEY "\n", 1, "host" },
    { AGENT "user: \"-l\"\n", 3, "user" },
    { AGENT "user: root;x\n", 3, "user" },
    { AGENT "port: 0\n", 3, "1 to 65535" },
    { AGENT "port: 65536\n", 3, "1 to 65535" },
    { AGENT "transport: telnet\n", 3, "none of: openssh, libssh2" },
    { AGENT "rotation: 0\n", 3, "rotation" },
    { AGENT "jobs: 0\n", 3, "jobs" },
    { AGENT "limit: much\n", 3, "bytes" },
    { AGENT "hots: x\n", 3, "hots" },
};

/* --- twofold.yaml ------------------------------------------------------------------------------------------------------------ */
static void conf_text(struct fixture *f, const char *name, const char *text)
{
    write_conf(f, "", name, text, strlen(text));
}

static void test_settings(void **state)
{
    struct fixture *f = *state;
    struct settings *s = NULL;
    assert_int_equal(settings_load(&f->p, &s, &f->e), 0); /* without the file */
    assert_int_equal(s->jobs, 4);
    assert_int_equal(s->heartbeat_every_s, 60);
    assert_int_equal(s->repeat_s, 1800);
    assert_int_equal(s->mail_tls, MAIL_TLS_REQUIRED);
    assert_true(!s->site && !s->page && !s->mail_url && !s->command && !s->console);
    settings_free(s);
    settings_free(NULL);
    conf_text(
        f, "twofold.yaml",
        "site: 财政局\nlanguage: zh\njobs: 2\npage: /var/lib/twofold/status.html\n"
        "metrics: /var/lib/x.prom\n"
        "heartbeat: { every: 30s, file: /run/twofold/heartbeat, url: \"https://watch/ping/1\" }\n"
        "notify:\n  repeat: 10m\n"
        "  mail: { url: \"smtps://mail.example:465\", from: t@example, user: u, "
        "password-file: /etc/k, tls: try }\n"
        "  webhooks:\n"
        "    - { name: duty, url: \"https://qyapi/x?key=1\", shape: wecom, secret-file: /etc/s }\n"
        "    - { name: other, url: \"http://10.0.0.1/\" }\n"
        "  command: [/usr/local/bin/send-sms, --to]\n  console: true\n");
    assert_int_equal(settings_load(&f->p, &s, &f->e), 0);
    assert_string_equal(s->site, "财政局");
    assert_string_equal(s->language, "zh");
    assert_int_equal(s->jobs, 2);
    assert_string_equal(s->page, "/var/lib/twofold/status.html");
    assert_string_equal(s->metrics, "/var/lib/x.prom");
    assert_string_equal(s->heartbeat_file, "/run/twofold/heartbeat");
    assert_string_equal(s->heartbeat_url, "https://watch/ping/1");
    assert_int_equal(s->heartbeat_every_s, 30);
    assert_int_equal(s->repeat_s, 600);
    assert_string_equal(s->mail_url, "smtps://mail.example:465");
    assert_string_equal(s->mail_from, "t@example");
    assert_string_equal(s->mail_user, "u");
    assert_string_equal(s->mail_password_file, "/etc/k");
    assert_int_equal(s->mail_tls, MAIL_TLS_TRY);
    assert_int_equal(s->n_webhooks, 2);
    assert_int_equal(s->webhooks[0].shape, WEBHOOK_WECOM);
    assert_string_equal(s->webhooks[0].secret_file, "/etc/s");
    assert_int_equal(s->webhooks[1].shape, WEBHOOK_JSON);
    assert_null(s->webhooks[1].secret_file);
    assert_string_equal(s->command[1], "--to");
    assert_null(s->command[2]);
    assert_true(s->console);
    settings_free(s);
}

static void test_forms_conf(void **state)
{
    struct fixture *f = *state;
    struct settings *s = NULL;
    conf_text(
        f, "twofold.yaml",
        "forms:\n  unit: 财政局\n  fax: \"0393-1\"\n  stamp: 营业部\n"
        "  bulletin: { contact-label: 联系人, copy-to: 档案室 }\n"
        "  scoring:\n    - { item: 备份, points: \"10\" }\n    - { item: 演练, method: 现场查看 }\n");
    assert_int_equal(settings_load(&f->p, &s, &f->e), 0);
    assert_string_equal(s->forms.unit, "财政局");
    assert_string_equal(s->forms.fax, "0393-1");
    assert_string_equal(s->forms.stamp, "营业部");
    assert_null(s->forms.telephone);
    assert_string_equal(s->forms.contact_label, "联系人");
    assert_string_equal(s->forms.bulletin_copy_to, "档案室");
    assert_null(s->forms.contact);
    assert_int_equal(s->forms.n_scoring, 2);
    assert_string_equal(s->forms.scoring[0].points, "10");
    assert_null(s->forms.scoring[0].method);
    assert_string_equal(s->forms.scoring[1].method, "现场查看");
    settings_free(s);
}

static const struct mistake settings_mistakes[] = {
    { "forms:\n  unit: \"\"\n", 2, "says nothing" },
    { "forms:\n  colour: red\n", 2, "colour" },
    { "forms:\n  scoring:\n    - { points: \"1\" }\n", 3, "item" },
    { "site: \"\"\n", 1, "says nothing" },
    { "jobs: 2\nlanguage: fr\n", 2, "none of: zh, en" },
    { "jobs: 0\n", 1, "1 to" },
    { "page: status.html\n", 1, "whole path" },
    { "heartbeat:\n  file: x\n", 2, "whole path" },
    { "heartbeat:\n  url: ftp://x\n", 2, "http" },
    { "heartbeat:\n  evry: 1s\n", 2, "evry" },
    { "notify:\n  repeat: often\n", 2, "duration" },
    { "notify:\n  mail:\n    url: smtp://m\n", 3, "\"from\" is missing" },
    { "notify:\n  mail:\n    url: http://m\n    from: a@b\n", 3, "smtp" },
    { "notify:\n  mail:\n    url: smtp://u:p@m\n    from: a@b\n", 3, "password" },
    { "notify:\n  mail:\n    url: \"smtp:// x\"\n    from: a@b\n", 3, "smtp" },
    { "notify:\n  mail:\n    url: smtp://m\n    from: \"A <a@b>\"\n", 4, "mailbox" },
    { "notify:\n  mail:\n    url: smtp://m\n    from: a@b\n    user: u\n", 5, "password-file" },
    { "notify:\n  mail:\n    url: smtp://m\n    from: a@b\n    tls: yes\n", 5, "none of" },
    { "notify:\n  mail:\n    url: smtp://m\n    from: a@b\n    password: x\n", 5, "password" },
    { "notify:\n  webhooks:\n    - name: a\n      url: https://x\n    - name: a\n      url: "
      "https://y\n",
      5, "two webhooks" },
    { "notify:\n  webhooks:\n    - name: a\n      url: https://x\n      shape: slack\n", 5,
      "none of" },
    { "notify:\n  webhooks:\n    - name: a b\n      url: https://x\n", 3, "name of a webhook" },
    { "notify:\n  command: [send-sms]\n", 2, "whole path" },
    { "notify:\n  console: perhaps\n", 2, "true nor false" },
    { "notify:\n  sms: x\n", 2, "sms" },
};

/* --- contacts.yaml -------------------------------------------------------------------------------------------------------------- */
static void test_contacts(void **state)
{
    struct fixture *f = *state;
    struct contacts *c = NULL;
    assert_int_equal(contacts_load(&f->p, &c, &f->e), 0);
    assert_int_equal(c->n_roles, 0);
    assert_int_equal(c->reviewed_s, 0);
    contacts_free(c);
    contacts_free(NULL);
    conf_text(f, "contacts.yaml",
              "reviewed: 2026-10-01\nreview-every: 30d\nroles:\n"
              "  office-head:\n"
              "    a: { name: 张三, unit: 办公室, phone: \"0393-1\", mail: a@x, webhook: duty }\n"
              "    b:\n      name: \"Li Si\"\n      phone: \"\"\n"
              "  security-officer:\n    a: { name: Wang }\n    b:\n  vendor: {}\n"
              "units:\n  - { name: County, contact: Zhao, phone: \"1\", mail: z@x }\n"
              "  - { name: Town }\n");
    assert_int_equal(contacts_load(&f->p, &c, &f->e), 0);
    assert_int_equal(c->reviewed_s, 1790812800);
    assert_int_equal(c->review_every_s, 30 * 86400);
    assert_int_equal(c->n_roles, 3);
    const struct role *head = contacts_role(c, "office-head");
    assert_string_equal(head->a.name, "张三");
    assert_string_equal(head->a.unit, "办公室");
    assert_string_equal(head->a.webhook, "duty");
    assert_string_equal(head->b.name, "Li Si");
    assert_null(head->b.phone);
    assert_null(contacts_role(c, "security-officer")->b.name);
    assert_null(contacts_role(c, "vendor")->a.name);
    assert_null(contacts_role(c, "police"));
    assert_int_equal(c->n_units, 2);
    assert_string_equal(c->units[0].contact, "Zhao");
    assert_null(c->units[1].mail);
    contacts_free(c);
}

static const struct mistake contacts_mistakes[] = {
    { "reviewed: 2026-02-30\n", 1, "not a day" },
    { "reviewed: 01.10.2026\n", 1, "not a day" },
    { "reviewed: 2026-1-001\n", 1, "not a day" },
    { "review-every: 90\n", 1, "duration" },
    { "roles: [a]\n", 1, "key: value" },
    { "roles:\n  head:\n    c: { name: x }\n", 2, "\"c\" is not known" },
    { "roles:\n  head:\n    a: x\n", 3, "key: value" },
    { "roles:\n  head:\n    a:\n      name: x\n      fax: y\n", 5, "\"fax\" is not known" },
    { "roles:\n  head:\n    a:\n      name: [x]\n", 4, "single texts" },
    { "roles:\n  head: {}\n  tail: {}\n  head: {}\n", 4, "twice" },
    { "roles:\n  a.b: {}\n", 2, "cannot be a name" },
    { "roles:\n  \"a b\": {}\n", 1, "name of a role" },
    { "units:\n  - phone: x\n", 2, "\"name\" is missing" },
    { "units:\n  - name: \"\"\n", 2, "says nothing" },
    { "role: {}\n", 1, "\"role\" is not known" },
};

static int load_agent(struct fixture *f)
{
    struct agent_conf *a = NULL;
    return agent_conf_load(&f->p, "x", &a, &f->e);
}

static int load_settings(struct fixture *f)
{
    struct settings *s = NULL;
    return settings_load(&f->p, &s, &f->e);
}

static int load_contacts(struct fixture *f)
{
    struct contacts *c = NULL;
    return contacts_load(&f->p, &c, &f->e);
}

static void check_mistakes(struct fixture *f, const char *kind, const char *name,
                           int (*load)(struct fixture *), const struct mistake *m, size_t n)
{
    char where[160], file[80];
    snprintf(file, sizeof file, "%s.yaml", name);
    for (size_t i = 0; i < n; i++) {
        write_conf(f, kind, file, m[i].text, strlen(m[i].text));
        f->e = ERR_INIT;
        if (load(f) != -ERR_CONFIG)
            fail_msg("not refused: %s", m[i].text);
        snprintf(where, sizeof where, "%s%s/%s, line %d", f->dir, kind[0] ? "/agents" : "", file,
                 m[i].line);
        if (strcmp(f->e.what, where) != 0 || !strstr(f->e.why, m[i].why) || !f->e.next[0])
            fail_msg("%s: %s / %s / %s", m[i].text, f->e.what, f->e.why, f->e.next);
    }
}

static void test_mistakes(void **state)
{
    struct fixture *f = *state;
    check_mistakes(f, "agents", "x", load_agent, agent_mistakes,
                   sizeof agent_mistakes / sizeof *agent_mistakes);
    check_mistakes(f, "", "twofold", load_settings, settings_mistakes,
                   sizeof settings_mistakes / sizeof *settings_mistakes);
    check_mistakes(f, "", "contacts", load_contacts, contacts_mistakes,
                   sizeof contacts_mistakes / sizeof *contacts_mistakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_copies_in_full),
        TEST(test_copies_written_and_read_back),
        TEST(test_copies_edited),
        TEST(test_copies_that_cannot_be_edited),
        TEST(test_policy_in_full),
        TEST(test_policy_written_and_read_back),
        cmocka_unit_test(test_windows),
        TEST(test_agent),
        TEST(test_settings),
        TEST(test_forms_conf),
        TEST(test_contacts),
        TEST(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
