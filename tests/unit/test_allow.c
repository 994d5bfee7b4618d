/* The agent's own file: what it says, what is refused of it, and where paths lead. */
#include "agents/allow.h"
#include "agents/keylines.h"
#include "lib/base/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[256];

static char *at(const char *rest)
{
    static char path[4][512];
    static unsigned n;
    char *p = path[n++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, rest);
    return p;
}

static int make_dir(void **state)
{
    (void)state;
    char text[200];
    const char *tmp = getenv("TMPDIR");
    snprintf(text, sizeof text, "%s/allow.XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(text) && realpath(text, dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void test_file(void **state)
{
    (void)state;
    struct agent_file *f = NULL;
    struct rules *r = NULL;
    struct err e = ERR_INIT;
    char *path = at("conf/agent.yaml");
    assert_int_equal(agent_file_load(path, &f, &e), 0); /* not there: nobody is allowed anything */
    assert_int_equal(agent_file_find(f, "orch", &r, &e), -ERR_REFUSED);
    assert_int_equal(agent_file_add(f, "orch", &r, &e), 0);
    assert_int_equal(rules_add(&r->backup, &r->n_backup, "/srv/with: colon and \"quotes\"", &e), 0);
    assert_int_equal(rules_add(&r->restore, &r->n_restore, "/back", &e), 0);
    memset(&r->pins[0], 7, sizeof r->pins[0]);
    r->n_pins = 1;
    assert_int_equal(agent_file_write(f, &e), 0);
    agent_file_free(f);
    assert_int_equal(agent_file_load(path, &f, &e), 0);
    assert_int_equal(agent_file_find(f, "orch", &r, &e), 0);
    assert_string_equal(r->backup[0], "/srv/with: colon and \"quotes\"");
    assert_string_equal(r->restore[0], "/back");
    assert_int_equal(r->pins[0].recovery_pk[31], 7);
    agent_file_remove(f, "orch");
    assert_int_equal(agent_file_find(f, "orch", &r, &e), -ERR_REFUSED);
    agent_file_free(f);
    chmod(path, 0664);
    assert_int_equal(agent_file_load(path, &f, &e), -ERR_REFUSED);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "orchestrators:\n  - name: a\n    allow: { backup: [srv] }\n",
        "orchestrators:\n  - name: a\n    allow: { backup: [/srv/../etc] }\n",
        "orchestrators:\n  - name: a\n    pins: [{ vault: 12, recovery-public-key: 34 }]\n",
        "orchestrators:\n  - name: a\n  - name: a\n",
        "orchestrators:\n  - allow: { backup: [/srv] }\n",
        "orchestrators:\n  - name: a\n    deny: [/srv]\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct agent_file *f = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(
            sys_write_file(AT_FDCWD, at("bad.yaml"), texts[i], strlen(texts[i]), 0644, &e), 0);
        assert_int_equal(agent_file_load(at("bad.yaml"), &f, &e), -ERR_CONFIG);
        assert_non_null(strstr(e.what, "line"));
    }
}

static int backup_of(struct rules *r, const char *path)
{
    char *roots[] = { (char *)path };
    struct msg_backup m = { .vault_id = r->pins[0].vault, .roots = roots, .n_roots = 1 };
    struct err e = ERR_INIT;
    memcpy(m.recovery_pk, r->pins[0].recovery_pk, sizeof m.recovery_pk);
    return allow_backup(r, &m, &e);
}

static int restore_to(struct rules *r, const char *target, char **ret)
{
    struct msg_restore m = { .vault_id = r->pins[0].vault, .target = strdup(target) };
    struct err e = ERR_INIT;
    int rc = allow_restore(r, &m, &e);
    if (ret && rc == 0)
        *ret = m.target;
    else
        free(m.target);
    return rc;
}

static void test_paths(void **state)
{
    (void)state;
    char srv[512], back[512], path[512];
    char *allowed[] = { srv }, *targets[] = { back }, *used = NULL;
    struct rules r = { .name = (char *)"orch",
                       .n_pins = 1,
                       .backup = allowed,
                       .n_backup = 1,
                       .restore = targets,
                       .n_restore = 1 };
    struct err e = ERR_INIT;
    snprintf(srv, sizeof srv, "%s/srv", dir);
    snprintf(back, sizeof back, "%s/back", dir);
    memset(&r.pins[0], 3, sizeof r.pins[0]);
    assert_int_equal(sys_mkdir_p(at("srv/in"), 0755, &e), 0);
    assert_int_equal(sys_mkdir_p(at("back/in"), 0755, &e), 0);
    assert_int_equal(sys_mkdir_p(at("etc/in"), 0755, &e), 0);
    assert_int_equal(symlink(at("etc"), at("srv/way")), 0);
    assert_int_equal(symlink(at("etc"), at("back/way")), 0);
    assert_int_equal(symlink(at("srv"), at("way-in")), 0);

    assert_int_equal(backup_of(&r, at("srv")), 0);
    assert_int_equal(backup_of(&r, at("srv/in/not/there/yet")), 0);
    assert_int_equal(backup_of(&r, at("way-in/in")), 0);
    assert_int_equal(backup_of(&r, at("srv/way")), 0); /* the link itself: that is what is kept */
    assert_int_equal(backup_of(&r, at("srv/way/in")), -ERR_REFUSED);
    assert_int_equal(backup_of(&r, at("srv/way/not-there")), -ERR_REFUSED);
    assert_int_equal(backup_of(&r, at("srv2")), -ERR_REFUSED); /* a name that begins alike */
    assert_int_equal(backup_of(&r, at("etc")), -ERR_REFUSED);
    assert_int_equal(backup_of(&r, "/"), -ERR_REFUSED);
    snprintf(path, sizeof path, "%s/srv/../etc", dir);
    assert_int_equal(backup_of(&r, path), -ERR_REFUSED);

    assert_int_equal(restore_to(&r, at("back/new/deep"), &used), 0);
    assert_string_equal(used, at("back/new/deep"));
    free(used);
    assert_int_equal(restore_to(&r, at("back"), NULL), 0);
    assert_int_equal(restore_to(&r, at("back/way"), NULL), -ERR_REFUSED);
    assert_int_equal(restore_to(&r, at("back/way/x"), NULL), -ERR_REFUSED);
    assert_int_equal(restore_to(&r, at("srv/x"), NULL), -ERR_REFUSED);
    snprintf(path, sizeof path, "%s/back/new/../../etc", dir);
    assert_int_equal(restore_to(&r, path, NULL), -ERR_REFUSED);

    /* Another vault, or another key. */
    struct rules other = r;
    memset(&other.pins[0], 4, sizeof other.pins[0]);
    char *roots[] = { srv };
    struct msg_backup m = { .vault_id = r.pins[0].vault, .roots = roots, .n_roots = 1 };
    assert_int_equal(allow_backup(&r, &m, &e), -ERR_REFUSED);
    memcpy(m.recovery_pk, r.pins[0].recovery_pk, sizeof m.recovery_pk);
    assert_int_equal(allow_backup(&r, &m, &e), 0);
    assert_int_equal(allow_backup(&other, &m, &e), -ERR_REFUSED);
}

/* `becomes`: what the value is afterwards, or NULL. */
static int source_becomes(struct rules *r, const char *kind, const char *key, const char *value,
                          bool restore, const char *becomes)
{
    struct setting v[] = { { (char *)"conninfo", (char *)"host=/run user=backup" },
                           { (char *)(uintptr_t)key, strdup(value) } };
    bool alone = restore || strcmp(kind, "postgresql") != 0;
    struct source_spec s = { (char *)(uintptr_t)kind, alone ? v + 1 : v, alone ? 1 : 2 };
    struct msg_backup b = { .vault_id = r->pins[0].vault, .sources = &s, .n_sources = 1 };
    struct msg_restore m = { .vault_id = r->pins[0].vault, .sources = &s, .n_sources = 1 };
    struct err e = ERR_INIT;
    m.target = strdup(r->n_restore ? r->restore[0] : "/srv/back");
    int rc = restore ? allow_restore(r, &m, &e) : allow_backup(r, &b, &e);
    free(m.target);
    if (becomes)
        assert_string_equal(v[1].value, becomes);
    free(v[1].value);
    return rc;
}

static int source_is(struct rules *r, const char *kind, const char *key, const char *value,
                     bool restore)
{
    return source_becomes(r, kind, key, value, restore, NULL);
}

/* What was checked is what is used, should a link be changed meanwhile. */
static void what_a_source_writes_to_is_resolved(void **state)
{
    (void)state;
    char back[512], asked[600], is[600];
    char *targets[] = { back };
    struct rules r = { .name = (char *)"o", .n_pins = 1, .restore = targets, .n_restore = 1 };
    struct err e = ERR_INIT;
    snprintf(back, sizeof back, "%s/kept", dir);
    assert_int_equal(sys_mkdir_p(at("kept/in"), 0755, &e), 0);
    assert_int_equal(symlink(at("kept/in"), at("kept/way")), 0);
    snprintf(asked, sizeof asked, "1663=%s/way/ts", back);
    snprintf(is, sizeof is, "1663=%s/in/ts", back);
    assert_int_equal(source_becomes(&r, "postgresql", "tablespace", asked, true, is), 0);
}

static void sources_are_held_to_the_list(void **state)
{
    char *sources[] = { (char *)"postgresql host=/run user=backup", (char *)"postgresql postgres" };
    char *reads[] = { (char *)"/srv/pg" }, *writes[] = { (char *)"/srv/back" };
    char *commands[] = { (char *)"/opt/pg/bin" };
    struct rules r = { .name = (char *)"o", .n_pins = 1, .backup = reads, .n_backup = 1 };
    r.restore = writes;
    r.n_restore = 1;
    assert_int_equal(source_is(&r, "postgresql", "checkpoint", "fast", false), -ERR_REFUSED);
    r.sources = sources;
    r.n_sources = 2;
    assert_int_equal(source_is(&r, "postgresql", "checkpoint", "fast", false), 0);
    assert_int_equal(source_is(&r, "postgresql", "conninfo", "host=/evil", false), -ERR_REFUSED);
    assert_int_equal(source_is(&r, "postgresql", "os-user", "postgres", false), 0);
    assert_int_equal(source_is(&r, "postgresql", "os-user", "root", false), -ERR_REFUSED);
    assert_int_equal(source_is(&r, "postgresql", "data", "/srv/pg/main", false), 0);
    assert_int_equal(source_is(&r, "postgresql", "data", "/etc", false), -ERR_REFUSED);
    assert_int_equal(source_is(&r, "postgresql", "unheard-of", "x", false), -ERR_VERSION);
    assert_int_equal(source_is(&r, "oracle", "checkpoint", "fast", false), -ERR_VERSION);
    /* restores */
    assert_int_equal(source_is(&r, "postgresql", "data", "/srv/back/pg", true), 0);
    assert_int_equal(source_is(&r, "postgresql", "data", "/srv/pg", true), -ERR_REFUSED);
    assert_int_equal(source_is(&r, "postgresql", "tablespace", "1663=/srv/back/ts", true), 0);
    assert_int_equal(source_is(&r, "postgresql", "tablespace", "1663=/etc", true), -ERR_REFUSED);
    assert_int_equal(source_is(&r, "postgresql", "tablespace", "1663", true), -ERR_REFUSED);
    assert_int_equal(source_is(&r, "postgresql", "verify", "postgres", true), -ERR_REFUSED);
    r.commands = commands;
    r.n_commands = 1;
    assert_int_equal(source_is(&r, "postgresql", "verify", "/opt/pg/bin", true), 0);
    assert_int_equal(source_is(&r, "postgresql", "verify", "/tmp/bin", true), -ERR_REFUSED);
}

static void commands_are_allowed_as_whole_lines(void **state)
{
    (void)state;
    char *commands[] = { (char *)"/sbin/freeze --now", (char *)"/sbin/thaw", (char *)"postgres" };
    char *freeze[] = { (char *)"/sbin/freeze", (char *)"--now" };
    char *one[] = { (char *)"/sbin/freeze --now" }; /* a program with a space in its name */
    char *more[] = { (char *)"/sbin/thaw", (char *)"--evil" }, *other[] = { (char *)"postgres" };
    struct rules r = { .name = (char *)"o", .commands = commands, .n_commands = 3 };
    struct err e = ERR_INIT;
    assert_int_equal(allow_hook(&r, NULL, 0, &e), 0);
    assert_int_equal(allow_hook(&r, freeze, 2, &e), 0);
    assert_int_equal(allow_hook(&r, more, 1, &e), 0);
    assert_int_equal(allow_hook(&r, freeze, 1, &e), -ERR_REFUSED);
    assert_int_equal(allow_hook(&r, more, 2, &e), -ERR_REFUSED);
    assert_non_null(strstr(e.why, "\"/sbin/thaw --evil\""));
    assert_int_equal(allow_hook(&r, one, 1, &e), -ERR_REFUSED);
    struct msg_backup m = { .hooks = { freeze, more, 2, 2, 0 } };
    r.n_pins = 1;
    assert_int_equal(allow_backup(&r, &m, &e), -ERR_REFUSED);
    m.hooks.n_after = 1;
    assert_int_equal(allow_backup(&r, &m, &e), 0);
    m.hooks.before = other;
    m.hooks.n_before = 1;
    assert_int_equal(allow_backup(&r, &m, &e),
                     0); /* the wire lets no name without a path through */
}

/* Neither dumped nor loaded by a driver file that the host did not name for it. */
static void driver_files_are_named_by_the_host(void **state)
{
    (void)state;
    char *sources[] = { (char *)"command budget" }, *commands[] = { (char *)"budget" };
    struct rules r = { .name = (char *)"o", .n_pins = 1, .sources = sources, .n_sources = 1 };
    assert_int_equal(source_is(&r, "command", "drivers", "budget", false), 0);
    assert_int_equal(source_is(&r, "command", "drivers", "other", false), -ERR_REFUSED);
    char *writes[] = { (char *)"/srv/back" };
    r.restore = writes;
    r.n_restore = 1;
    assert_int_equal(source_is(&r, "command", "load", "budget", true), -ERR_REFUSED);
    r.commands = commands;
    r.n_commands = 1;
    assert_int_equal(source_is(&r, "command", "load", "budget", true), 0);
    assert_int_equal(source_is(&r, "command", "load", "other", true), -ERR_REFUSED);
}

static void a_database_file_counts_where_it_leads(void **state)
{
    (void)state;
    char back[512], way[600], other[600];
    char *reads[] = { back };
    struct rules r = { .name = (char *)"o", .n_pins = 1, .backup = reads, .n_backup = 1 };
    struct err e = ERR_INIT;
    snprintf(back, sizeof back, "%s/lite", dir);
    snprintf(way, sizeof way, "%s/lite/way.db", dir);
    snprintf(other, sizeof other, "%s/secret.db", dir);
    assert_int_equal(sys_mkdir_p(at("lite"), 0755, &e), 0);
    assert_int_equal(sys_write_file(AT_FDCWD, other, "x", 1, 0600, &e), 0);
    assert_int_equal(symlink(other, way), 0);
    assert_int_equal(source_is(&r, "sqlite", "files", at("lite/none.db"), false), 0);
    assert_int_equal(source_is(&r, "sqlite", "files", way, false), -ERR_REFUSED);
    assert_int_equal(source_is(&r, "sqlite", "files", other, false), -ERR_REFUSED);
}

#define KEY_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY_B "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
#define KEY_C "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"

static void check_keys(const char *want)
{
    uint8_t *text = NULL;
    size_t len;
    assert_int_equal(sys_read_file(AT_FDCWD, at(".ssh/authorized_keys"), 65536, &text, &len, NULL),
                     0);
    assert_string_equal((char *)text, want);
    free(text);
}

static void test_key_lines(void **state)
{
    (void)state;
    static const char others[] = "# a comment\n" KEY_C " somebody twofold:other\nfrom=\"x\" " KEY_C
                                 " twofold:orch-2\n";
    const char *keep[] = { KEY_A };
    struct keylines k = { .home = dir, .name = "orch", .options = "restrict", .key = KEY_A };
    struct err e = ERR_INIT;
    size_t removed = 9;
    assert_true(public_key_ok(KEY_A));
    assert_false(public_key_ok("restrict " KEY_A));
    assert_false(public_key_ok(KEY_A "\nssh-ed25519 AAAA"));
    assert_int_equal(sys_mkdir_p(at(".ssh"), 0700, &e), 0);
    assert_int_equal(
        sys_write_file(AT_FDCWD, at(".ssh/authorized_keys"), others, strlen(others), 0600, &e), 0);
    assert_int_equal(keylines_change(&k, &removed, &e), 0);
    assert_int_equal(removed, 0);
    k.key = KEY_B;
    k.keep = keep;
    k.n_keep = 1;
    assert_int_equal(keylines_change(&k, &removed, &e), 0);
    assert_int_equal(keylines_has(dir, "orch", KEY_A, &e), 1);
    assert_int_equal(keylines_has(dir, "orch", KEY_B, &e), 1);
    assert_int_equal(keylines_has(dir, "orch", KEY_C, &e), 0);
    keep[0] = KEY_B;
    k.options = NULL;
    assert_int_equal(keylines_change(&k, &removed, &e), 0);
    assert_int_equal(removed, 1);
    assert_int_equal(keylines_has(dir, "orch", KEY_A, &e), 0);
    k.n_keep = 0;
    assert_int_equal(keylines_change(&k, &removed, &e), 0);
    check_keys(others); /* what is not ours stays as it was */
    assert_int_equal(unlink(at(".ssh/authorized_keys")), 0);
    assert_int_equal(symlink("/etc/passwd", at(".ssh/authorized_keys")), 0);
    assert_int_equal(keylines_change(&k, &removed, &e), -ERR_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(what_a_source_writes_to_is_resolved),
        cmocka_unit_test(test_key_lines),
        cmocka_unit_test(sources_are_held_to_the_list),
        cmocka_unit_test(commands_are_allowed_as_whole_lines),
        cmocka_unit_test(a_database_file_counts_where_it_leads),
        cmocka_unit_test(driver_files_are_named_by_the_host),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
