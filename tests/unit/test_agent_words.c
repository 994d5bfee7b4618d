/* What SSH clients say, told apart by class: whether another try may help, and what the person reads. */
#include "orchestrator/agent_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static struct agent_conf conf = {
    .name = "db1",
    .host = "db1.example",
    .user = "twofold",
    .host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    .port = 22,
};

static void check(const char *words, int exit_status, bool greeted, enum err_code code,
                  const char *why)
{
    struct link_end end = {
        .conf = &conf, .words = words, .status = exit_status << 8, .greeted = greeted
    };
    struct err e = ERR_INIT;
    assert_int_equal(agent_words_explain(&end, &e), -(int)code);
    assert_int_equal(e.code, code);
    if (!strstr(e.why, why))
        fail_msg("\"%s\" is not in \"%s\"", why, e.why);
    assert_true(e.next[0] || greeted);
}

static void test_classes(void **state)
{
    (void)state;
    conf.transport = TRANSPORT_OPENSSH;
    check(
        "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\nThe fingerprint for the ED25519 key "
        "sent by the remote host is\nSHA256:abcDEF123+/x.\nHost key verification failed.\n",
        255, false, ERR_REFUSED, "SHA256:abcDEF123+/x");
    check("twofold@db1: Permission denied (publickey).\n", 255, false, ERR_REFUSED,
          "let this agent's key in");
    check("ssh: Could not resolve hostname db1.example: Name or service not known\n", 255, false,
          ERR_UNREACHABLE, "name of db1.example");
    check("ssh: connect to host db1.example port 22: Connection refused\n", 255, false,
          ERR_UNREACHABLE, "refuses connections");
    check("ssh: connect to host db1.example port 22: No route to host\n", 255, false,
          ERR_UNREACHABLE, "cannot be reached");
    check("Timeout, server db1.example not responding.\r\n", 255, true, ERR_UNREACHABLE, "broke");
    check("Unable to negotiate with 10.0.0.1 port 22: no matching cipher found. Their offer: x\n",
          255, false, ERR_CONFIG, "no method in common");
    check(
        "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa\n",
        255, false, ERR_REFUSED, "host key");
    check("bash: line 1: /usr/bin/twofold-agent: No such file or directory\n", 127, false,
          ERR_ABSENT, "no twofold-agent");
    check("sudo: a password is required\n", 1, false, ERR_REFUSED, "sudo");
    check("", 255, true, ERR_UNREACHABLE, "ended before it was done");
    check("", 137, true, ERR_UNREACHABLE, "signal 9");
    check("something odd\n", 3, false, ERR_FAILED, "something odd");
    conf.transport = TRANSPORT_LIBSSH2;
    check("", 255, true, ERR_UNREACHABLE, "broke");
    check("", 254, true, ERR_UNREACHABLE, "ended before it was done");
}

/* Whatever language the other host speaks, the three lines are its own. */
static void test_the_agents_own_words(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    assert_true(agent_words_own(
        "noise\ntwofold-agent: was es ist\n  warum:  darum\n  dann: tu das\n", 5, &e));
    assert_int_equal(e.code, ERR_REFUSED);
    assert_string_equal(e.what, "was es ist");
    assert_string_equal(e.why, "darum");
    assert_string_equal(e.next, "tu das");
    assert_false(agent_words_own("twofold-agent: half an error\n  why:", 5, &e));
    assert_false(agent_words_own("twofold-agent: \n\n", 5, &e));
    assert_false(agent_words_own("", 5, &e));
}

/* Control characters of another host do not reach a terminal. */
static void test_clean(void **state)
{
    (void)state;
    struct link_end end = { .conf = &conf, .words = "\033[2Jboo\007\n", .status = 3 << 8 };
    struct err e = ERR_INIT;
    agent_words_explain(&end, &e);
    assert_null(strchr(e.why, '\033'));
    assert_null(strchr(e.why, '\007'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_the_agents_own_words),
        cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
