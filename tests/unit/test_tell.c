/* test_tell.c - orchestrator/watch/tell.c: who is told of an alarm, and when (PY-AB); and the encodings of the channels. */
#include "orchestrator/watch/channels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 1800000000LL
#define MIN 60LL

static struct role roles[] = {
    { (char *)"operator",
      { .name = (char *)"Op A",
        .phone = (char *)"100",
        .mail = (char *)"opa@x",
        .webhook = (char *)"opa" },
      { .name = (char *)"Op B", .phone = (char *)"101", .mail = (char *)"opb@x" } },
    { (char *)"office-head",
      { .name = (char *)"Head A", .mail = (char *)"heada@x" },
      { .name = (char *)"Head B", .mail = (char *)"headb@x" } },
    { (char *)"vendor", { .name = (char *)"Vendor", .mail = (char *)"v@x" }, { 0 } },
    { (char *)"only-b", { 0 }, { .name = (char *)"Bee", .mail = (char *)"bee@x" } },
};
static struct contacts contacts = { .roles = roles, .n_roles = sizeof roles / sizeof *roles };
static char *command[] = { (char *)"/bin/sms", NULL };
static struct settings settings = {
    .repeat_s = 30 * MIN,
    .mail_url = (char *)"smtp://h",
    .mail_from = (char *)"t@x",
};

static void all_channels(bool on)
{
    settings.console = on;
    settings.command = on ? command : NULL;
    settings.n_webhooks = on ? 2 : 0;
    settings.webhooks[0].name = (char *)"opa";
    settings.webhooks[1].name = (char *)"group";
}

static struct alarm alarm_of(const char *words)
{
    return (struct alarm){ .id = 1,
                           .key = "k",
                           .level = ALARM_WARNING,
                           .duty = "",
                           .text = "t",
                           .next = "n",
                           .roles = words,
                           .raised_s = T0,
                           .acked_by = "",
                           .acked_through = "" };
}

static void due_is(const struct alarm *a, const struct telling *past, size_t n, int64_t now_s,
                   const char *want)
{
    static struct recipients r;
    char got[2048];
    size_t at = 0;
    got[0] = '\0';
    tell_due(a, past, n, &settings, &contacts, now_s, &r);
    for (size_t i = 0; i < r.n; i++)
        at += (size_t)snprintf(got + at, sizeof got - at, "%s%s:%s", i ? " " : "", r.all[i].channel,
                               r.all[i].to);
    if (strcmp(got, want) != 0)
        fail_msg("\"%s\" instead of \"%s\"", got, want);
}

#define TOLD(at, chan, who, good)                                                            \
    {                                                                                        \
        .alarm = 1, .at_s = (at), .channel = (chan), .to = (who), .detail = "", .ok = (good) \
    }

static void a_first_then_b_then_the_next_role(void **unused)
{
    struct alarm a = alarm_of("operator");
    struct telling past[8] = { TOLD(T0, "mail", "opa@x", true) };
    all_channels(false);
    due_is(&a, NULL, 0, T0, "mail:opa@x");
    a.told_s = T0;
    due_is(&a, past, 1, T0 + 29 * MIN, "");
    due_is(&a, past, 1, T0 + 30 * MIN, "mail:opa@x mail:opb@x");
    past[1] = (struct telling)TOLD(T0 + 30 * MIN, "mail", "opa@x", true);
    past[2] = (struct telling)TOLD(T0 + 30 * MIN, "mail", "opb@x", true);
    due_is(&a, past, 3, T0 + 59 * MIN, "");
    due_is(&a, past, 3, T0 + 60 * MIN, "mail:opa@x mail:opb@x mail:heada@x mail:headb@x");
    /* The vendor is never told by a program, however long it takes. */
    due_is(&a, past, 3, T0 + 6000 * MIN, "mail:opa@x mail:opb@x mail:heada@x mail:headb@x");
    a.acked_s = T0 + 61 * MIN;
    due_is(&a, past, 3, T0 + 6000 * MIN, "");
}

static void a_failed_attempt_is_repeated_sooner(void **unused)
{
    struct alarm a = alarm_of("operator");
    struct telling past[8] = { TOLD(T0, "mail", "opa@x", false) };
    all_channels(false);
    due_is(&a, past, 1, T0 + 59, "");
    due_is(&a, past, 1, T0 + 60, "mail:opa@x");
    past[1] = (struct telling)TOLD(T0 + 60, "mail", "opa@x", false);
    due_is(&a, past, 2, T0 + 60 + 119, "");
    due_is(&a, past, 2, T0 + 60 + 120, "mail:opa@x");
    /* B's turn comes though A could not be told. */
    due_is(&a, past, 2, T0 + 30 * MIN, "mail:opa@x mail:opb@x");
    past[2] = (struct telling)TOLD(T0 + 180, "mail", "opa@x", true);
    a.told_s = T0 + 180;
    due_is(&a, past, 3, T0 + 180 + 29 * MIN, "mail:opb@x");
}

static void a_clock_that_was_set_back_silences_nobody(void **unused)
{
    struct alarm a = alarm_of("operator");
    struct telling past[] = { TOLD(T0 + 9000 * MIN, "mail", "opa@x", true) };
    all_channels(false);
    a.told_s = T0 + 9000 * MIN;
    due_is(&a, past, 1, T0, "mail:opa@x");
}

static void all_ways_and_roles(void **unused)
{
    struct alarm a = alarm_of("operator vendor");
    all_channels(true);
    due_is(&a, NULL, 0, T0,
           "console:all command:100 webhook:opa mail:opa@x mail:v@x webhook:group");
    a.level = ALARM_NOTICE; /* not on every terminal, and once a day */
    due_is(&a, NULL, 0, T0, "command:100 webhook:opa mail:opa@x mail:v@x webhook:group");
    struct telling past[] = { TOLD(T0, "mail", "opa@x", true) };
    all_channels(false);
    a = alarm_of("operator");
    a.level = ALARM_NOTICE;
    a.told_s = T0;
    due_is(&a, past, 1, T0 + 23 * 60 * MIN, "");
    due_is(&a, past, 1, T0 + 24 * 60 * MIN, "mail:opa@x mail:opb@x");
    a = alarm_of("only-b");
    due_is(&a, NULL, 0, T0, "mail:bee@x");
    a = alarm_of(""); /* nobody in particular, and a role that nobody has */
    due_is(&a, NULL, 0, T0, "mail:opa@x");
    a = alarm_of("police");
    due_is(&a, NULL, 0, T0, "mail:opa@x");
}

static void a_worse_alarm_is_told_at_once(void **unused)
{
    struct alarm a = alarm_of("operator");
    struct telling past[] = { TOLD(T0, "mail", "opa@x", true) };
    all_channels(false);
    a.level = ALARM_CRITICAL;
    a.told_s = 0; /* as catalog_alarm_raise leaves it */
    due_is(&a, past, 1, T0 + MIN, "mail:opa@x");
}

static void recovery_is_told_once_to_whoever_knew(void **unused)
{
    struct alarm a = alarm_of("operator");
    struct telling past[8] = { TOLD(T0, "mail", "opa@x", true), TOLD(T0, "mail", "opb@x", false),
                               TOLD(T0, "call", "Op B", true) };
    all_channels(false);
    a.cleared_s = T0 + 10 * MIN;
    a.told = 2;
    due_is(&a, past, 3, T0 + 11 * MIN, "mail:opa@x");
    past[3] = (struct telling)TOLD(T0 + 11 * MIN, "mail", "opa@x", false);
    past[3].detail = TELL_CLEARED ": no answer";
    due_is(&a, past, 4, T0 + 11 * MIN + 30, "");
    due_is(&a, past, 4, T0 + 12 * MIN, "mail:opa@x");
    past[4] = (struct telling)TOLD(T0 + 12 * MIN, "mail", "opa@x", true);
    past[4].detail = TELL_CLEARED;
    due_is(&a, past, 5, T0 + 90 * MIN, "");
    due_is(&a, past, 1, T0 + 10 * MIN + TELL_CLEARED_S + 1, ""); /* no news any more */
    a.acked_s = T0 + MIN; /* whoever took it on wants to know, too */
    due_is(&a, past, 1, T0 + 11 * MIN, "mail:opa@x");
}

/* --- encodings ------------------------------------------------------------------------------------------ */
static void header_is(const char *text, const char *want)
{
    char *got = mail_header_text(text, strlen("Subject: "));
    assert_string_equal(got, want);
    free(got);
}

static void headers_are_encoded_by_rfc_2047(void **unused)
{
    header_is("plain", "plain");
    header_is("备份", "=?UTF-8?B?5aSH5Lu9?=");
    header_is("a\r\nBcc: x@y", "a  Bcc: x@y"); /* no header within a header */
    header_is("=?UTF-8?B?eA==?=", "=?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=");
    /* Long: several words, each within its line, none cut inside a character. */
    char *got = mail_header_text(
        "财政局的备份系统报警：数据库服务器的备份已经过期请立即处理并确认收到本通知", 9);
    for (const char *line = got; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        assert_true(strcspn(line, "\r\n") + (line == got ? 9 : 0) <= 76);
    assert_non_null(strstr(got, "?=\r\n =?UTF-8?B?"));
    free(got);
}

static void dingtalk_signs_as_its_manual_says(void **unused)
{
    /* Computed by: printf '%s\n%s' TIME SECRET | openssl dgst -sha256 -hmac SECRET -binary | base64, then percent-encoded. */
    char *got = dingtalk_signature("SEC000", 1577262236757);
    assert_string_equal(got, "0mUoy51oaZiRp9zSbtu3Gh7pbwvH33YBGob4MsxeXA4%3D");
    free(got);
}

static void keys_in_urls_are_not_shown(void **unused)
{
    static const char *const t[][2] = {
        { "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=SECRET",
          "https://qyapi.weixin.qq.com/…" },
        { "https://h", "https://h" },
        { "https://user:pw@h:8/x", "https://h:8/…" },
        { "smtp://h?x", "smtp://h/…" },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char *got = url_shown(t[i][0]);
        assert_string_equal(got, t[i][1]);
        free(got);
    }
}

static void texts_are_cut_between_characters(void **unused)
{
    char *got = cut_utf8("备份备份", 12);
    assert_string_equal(got, "备份备份");
    free(got);
    got = cut_utf8("备份备份", 11);
    assert_string_equal(got, "备份…");
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_then_b_then_the_next_role),
        cmocka_unit_test(a_failed_attempt_is_repeated_sooner),
        cmocka_unit_test(a_clock_that_was_set_back_silences_nobody),
        cmocka_unit_test(all_ways_and_roles),
        cmocka_unit_test(a_worse_alarm_is_told_at_once),
        cmocka_unit_test(recovery_is_told_once_to_whoever_knew),
        cmocka_unit_test(headers_are_encoded_by_rfc_2047),
        cmocka_unit_test(dingtalk_signs_as_its_manual_says),
        cmocka_unit_test(keys_in_urls_are_not_shown),
        cmocka_unit_test(texts_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
