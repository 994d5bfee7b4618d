/* test_select.c - orchestrator/select.c: the times that people write, and which snapshot they mean. */
#include "lib/base/sys.h"
#include "orchestrator/look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define NS 1000000000LL

/* --- times ------------------------------------------------------------------------------------------- */
static void check_time(const char *text, int64_t ns)
{
    struct err e = ERR_INIT;
    int64_t got = -1;
    if (parse_time(text, &got, &e) < 0)
        fail_msg("\"%s\" is refused: %s", text, e.why);
    if (got != ns)
        fail_msg("\"%s\" is %lld, not %lld", text, (long long)got, (long long)ns);
}

static void check_refused(const char *text)
{
    struct err e = ERR_INIT;
    int64_t got = 42;
    if (parse_time(text, &got, &e) != -ERR_USAGE)
        fail_msg("\"%s\" is taken for %lld", text, (long long)got);
    assert_int_equal(got, 42);
    assert_true(e.why[0] && e.next[0]);
}

static void zone(const char *tz)
{
    setenv("TZ", tz, 1);
    tzset();
}

static void iso_times_are_local_unless_they_say(void **state)
{
    zone("CST-8");
    check_time("2023-11-15", 1699977600 * NS);
    check_time("2023-11-15 06:13", 1699999980 * NS);
    check_time("2023-11-15 06:13:20", 1700000000 * NS);
    check_time("2023-11-15T06:13:20", 1700000000 * NS);
    check_time("2023-11-15T06:13:20.5", 1700000000 * NS + 500000000);
    check_time("2023-11-15T06:13:20.123456789999", 1700000000 * NS + 123456789);
    check_time("2023-11-14T22:13:20Z", 1700000000 * NS);
    check_time("2023-11-14 22:13:20 UTC", 1700000000 * NS);
    check_time("2023-11-14T23:13:20+01:00", 1700000000 * NS);
    check_time("2023-11-14T17:13:20-0500", 1700000000 * NS);
    check_time("2023-11-14T17:13:20-05", 1700000000 * NS);
    check_time("2023-11-15 6:13:20", 1700000000 * NS);
    check_time("2024-02-29", 1709136000 * NS);
}

static void summer_time_is_the_locals_matter(void **state)
{
    zone("CET-1CEST,M3.5.0,M10.5.0/3");
    check_time("2024-07-01 12:00", 1719828000 * NS);
    check_time("2024-01-01 12:00", 1704106800 * NS);
}

static void unix_times(void **state)
{
    zone("CST-8");
    check_time("@1763700000", 1763700000 * NS);
    check_time("@0", 0);
    check_time("@1.25", NS + NS / 4);
}

static int64_t parsed(const char *text)
{
    int64_t ns = -1;
    assert_int_equal(parse_time(text, &ns, NULL), 0);
    return ns;
}

/* Between two looks at the clock. */
static void check_back(const char *text, int64_t seconds)
{
    int64_t before = sys_realtime_s(), got = parsed(text) / NS, after = sys_realtime_s();
    if (got < before - seconds || got > after - seconds)
        fail_msg("\"%s\" is not %lld s ago", text, (long long)seconds);
}

static void spans_count_back_from_now(void **state)
{
    check_back("now", 0);
    check_back("-2h", 7200);
    check_back("-90s", 90);
    check_back("-15min", 900);
    check_back("-3d", 3 * 86400);
    check_back("-1w", 7 * 86400);
    check_back("-1d 12h", 36 * 3600);
    check_back("-1d12h", 36 * 3600);
    check_back("2 hours ago", 7200);
    check_back("3 days ago", 3 * 86400);
}

static void days_begin_at_midnight(void **state)
{
    zone("CST-8");
    int64_t today = parsed("today"), yesterday = parsed("yesterday");
    assert_int_equal(today - yesterday, 86400 * NS);
    assert_int_equal((today / NS + 8 * 3600) % 86400, 0);
    assert_true(today <= parsed("now") && parsed("now") - today < 86401 * NS);
    assert_int_equal(parsed("00:30") % (86400 * NS), (today + 1800 * NS) % (86400 * NS));
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "soon",
        "2023",
        "2023-13-01",
        "2023-00-10",
        "2023-06-31",
        "2023-02-29",
        "2023-11-15T",
        "2023-11-15 25:00",
        "2023-11-15 12:60",
        "2023-11-15 12:00:00 Mars",
        "2023-11-15x",
        "2023-11-15T12:00:00+25:00",
        "2023-11-15T12:00:00+0",
        "23-11-15",
        "1969-12-31",
        "9999-12-31",
        "@",
        "@-1",
        "@12x",
        "@99999999999999999999",
        "-",
        "-2",
        "-h",
        "-2x",
        "-99999999999999999999d",
        "2 ago",
        " ago",
        "12:00:00:00",
        "\xff\xff",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_refused(texts[i]);
}

/* --- snapshots ---------------------------------------------------------------------------------------------- */
/* etc: whole at 100, partial at 200, whole at 300, quarantined at 400; home: partial at 350. */
static struct snap_ref etc_snaps[4], home_snaps[1];
static struct source_list etc_list = { (char *)"etc/files", etc_snaps, 4 };
static struct source_list home_list = { (char *)"home/files", home_snaps, 1 };
static struct source_list *lists[] = { &etc_list, &home_list };

static struct snap_ref snap(uint8_t first, int64_t at, uint8_t is, uint8_t flags)
{
    struct snap_ref r = { .received_ns = at * NS, .state = is, .flags = flags };
    memset(r.ref.id.b, 0xab, ID_BYTES);
    r.ref.id.b[3] = first;
    return r;
}

static struct vault sample_vault(void)
{
    etc_snaps[0] = snap(1, 100, SNAPSHOT_WHOLE, 0);
    etc_snaps[1] = snap(2, 200, SNAPSHOT_PARTIAL, 0);
    etc_snaps[2] = snap(3, 300, SNAPSHOT_WHOLE, 0);
    etc_snaps[3] = snap(4, 400, SNAPSHOT_WHOLE, SNAPSHOT_QUARANTINE);
    home_snaps[0] = snap(5, 350, SNAPSHOT_PARTIAL, 0);
    return (struct vault){ .name = (char *)"main", .lists = lists, .n_lists = 2 };
}

static int find_in(struct vault *v, const char *policy, const char *text,
                   const struct snap_ref **ret, const char **source, char **ret_warnings)
{
    struct app app = { .ui = { .json = true,
                               .command = "test" } }; /* warnings as JSON, on stdout */
    struct err e = ERR_INIT;
    fflush(stdout);
    int fd = memfd_create("out", MFD_CLOEXEC), saved = dup(STDOUT_FILENO);
    dup2(fd, STDOUT_FILENO);
    int rc = app_find_snapshot(&app, v, policy, text, ret, source, &e);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    *ret_warnings = calloc(1, 4096);
    assert_true(pread(fd, *ret_warnings, 4095, 0) >= 0);
    close(fd);
    if (rc < 0)
        assert_true(e.what[0] && e.why[0] && e.next[0]);
    return rc;
}

static void check_found(const char *policy, const char *text, const struct snap_ref *want,
                        bool warns)
{
    struct vault v = sample_vault();
    const struct snap_ref *got = NULL;
    const char *source = NULL;
    char *warnings;
    int rc = find_in(&v, policy, text, &got, &source, &warnings);
    if (rc != 0 || got != want || (warnings[0] != '\0') != warns)
        fail_msg("%s of %s: %d, at %lld, \"%s\"", text ? text : "-", policy ? policy : "-", rc,
                 got ? (long long)(got->received_ns / NS) : -1, warnings);
    assert_string_equal(source, want == home_snaps ? "home/files" : "etc/files");
    free(warnings);
}

static void check_not_found(const char *policy, const char *text, int rc)
{
    struct vault v = sample_vault();
    const struct snap_ref *got = NULL;
    char *warnings;
    assert_int_equal(find_in(&v, policy, text, &got, NULL, &warnings), rc);
    assert_null(got);
    free(warnings);
}

static void the_newest_whole_one_is_latest(void **state)
{
    check_found("etc", NULL, &etc_snaps[2], false); /* never what is in quarantine */
    check_found("etc", "latest", &etc_snaps[2], false);
    check_found("home", "latest", &home_snaps[0], true); /* only partial ones: said so */
    check_found(NULL, "latest", &etc_snaps[2],
                true); /* a newer one of home is not whole: said so */
    check_not_found("www", "latest", -ERR_ABSENT);
}

static void an_id_needs_eight_digits(void **state)
{
    check_found(NULL, "ababab04", &etc_snaps[3], false); /* by name also out of quarantine */
    check_found(NULL, "ABABAB02", &etc_snaps[1], false);
    check_found("home", "ababab05", &home_snaps[0], false);
    check_not_found(NULL, "ababab0", -ERR_USAGE);
    check_not_found(NULL, "ababab99", -ERR_ABSENT);
    check_not_found("home", "ababab01", -ERR_USAGE); /* of another policy */
    check_not_found(NULL, "nonsense", -ERR_USAGE);
}

static void an_ambiguous_id_is_refused(void **state)
{
    struct vault v = sample_vault();
    const struct snap_ref *got = NULL;
    char *warnings;
    etc_snaps[1].ref.id = etc_snaps[0].ref.id;
    assert_int_equal(find_in(&v, NULL, "ababab01", &got, NULL, &warnings), -ERR_USAGE);
    free(warnings);
}

static void a_moment_means_the_newest_not_after_it(void **state)
{
    check_found(NULL, "etc@@100", &etc_snaps[0], false);
    check_found(NULL, "etc@@150", &etc_snaps[0], false);
    check_found(NULL, "etc@@250", &etc_snaps[0], true); /* the newer one is partial: said so */
    check_found(NULL, "etc@now", &etc_snaps[2], false);
    check_found("etc", "@@320", &etc_snaps[2], false);
    check_found("etc", "etc@@320", &etc_snaps[2], false);
    check_not_found(NULL, "etc@@99", -ERR_ABSENT);
    check_not_found(NULL, "etc@soon", -ERR_USAGE);
    check_not_found(NULL, "@now", -ERR_USAGE);
    check_not_found("home", "etc@now", -ERR_USAGE);
    check_not_found(NULL, "www@now", -ERR_ABSENT);
}

static void an_empty_vault_says_what_to_do(void **state)
{
    struct vault v = { .name = (char *)"main" };
    const struct snap_ref *got = NULL;
    char *warnings;
    assert_int_equal(find_in(&v, "etc", "latest", &got, NULL, &warnings), -ERR_ABSENT);
    free(warnings);
    assert_int_equal(find_in(&v, NULL, NULL, &got, NULL, &warnings), -ERR_ABSENT);
    free(warnings);
}

static void places_and_names(void **state)
{
    struct vault v = { .name = (char *)"main", .n_copies = 2 };
    struct err e = ERR_INIT;
    char out[MAX_FORMAT_NAME + 1];
    int i = -1;
    v.copies[0].place = (char *)"room";
    v.copies[1].place = (char *)"building-2";
    assert_int_equal(find_copy(&v, "building-2", &i, &e), 0);
    assert_int_equal(i, 1);
    assert_int_equal(find_copy(&v, "moon", &i, &e), -ERR_USAGE);
    assert_non_null(strstr(e.next, "room, building-2"));
    source_name("etc", out);
    assert_string_equal(out, "etc/files");
    assert_string_equal(source_policy("etc/files", out), "etc");
    assert_string_equal(source_policy("/files", out), "/files");
    assert_string_equal(source_policy("other/pg", out), "other/pg");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_times_are_local_unless_they_say),
        cmocka_unit_test(summer_time_is_the_locals_matter),
        cmocka_unit_test(unix_times),
        cmocka_unit_test(spans_count_back_from_now),
        cmocka_unit_test(days_begin_at_midnight),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(the_newest_whole_one_is_latest),
        cmocka_unit_test(an_id_needs_eight_digits),
        cmocka_unit_test(an_ambiguous_id_is_refused),
        cmocka_unit_test(a_moment_means_the_newest_not_after_it),
        cmocka_unit_test(an_empty_vault_says_what_to_do),
        cmocka_unit_test(places_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
