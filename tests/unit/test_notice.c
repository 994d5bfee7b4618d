/* test_notice.c - notices to subordinate units (orchestrator/crash/notice.h), told by processes: this program, started by itself, is "twofold" for
 * them. Numbers are taken by a command that writes down what it hears, and fails as often as a file says. */
#include "lib/base/sys.h"
#include "orchestrator/crash/clock.h"
#include "orchestrator/crash/notice.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/channels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SENDER                                                                      \
    "#!/bin/sh\nd=$(dirname \"$0\")\n[ ! -e \"$d/hang-$1\" ] || exec sleep 60\n"    \
    "[ ! -s \"$d/fail-$1\" ] || { sed -i 1d \"$d/fail-$1\"; echo busy; exit 7; }\n" \
    "{ echo \"to $1\"; cat; echo; } >>\"$d/heard\"\n"
#define CONTACTS                                                                         \
    "reviewed: 2026-11-01\nroles:\n  operator: { a: { name: Chen, phone: \"139\" } }\n"  \
    "units:\n  - { name: County, phone: \"101\" }\n  - { name: Town, phone: \"102\" }\n" \
    "  - { name: Village, contact: Zhou }\n"

struct fixture {
    char *dir;
    struct app app;
    struct incident *inc;
};

static void write_text(const struct fixture *x, const char *name, const char *text, mode_t mode)
{
    struct err e = ERR_INIT;
    char *path = text_print("%s/%s", x->dir, name);
    if (sys_write_file(AT_FDCWD, path, text, strlen(text), mode, &e) < 0)
        fail_msg("%s: %s", path, e.why);
    free(path);
}

static void open_incident(struct fixture *x, bool drill)
{
    struct incident_opening o = { .policy = "billing", .drill = drill };
    incident_free(x->inc);
    x->inc = NULL;
    assert_int_equal(incident_create(&x->app.paths, &o, &x->inc, NULL), 0);
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    x->dir = text_print("/tmp/tfnot-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    x->app.paths = (struct config_paths){ x->dir, x->dir };
    x->app.ui = (struct ui){ .quiet = true, .command = "crash" };
    char *settings = text_print("site: Bureau\nlanguage: en\nnotify: { command: [%s/send] }\n",
                                x->dir);
    write_text(x, "send", SENDER, 0700);
    write_text(x, "twofold.yaml", settings, 0600);
    write_text(x, "contacts.yaml", CONTACTS, 0600);
    free(settings);
    setenv("TWOFOLD_STATE", x->dir, 1);
    setenv("TWOFOLD_PROGRAM", "/proc/self/exe", 1);
    setenv("TWOFOLD_NOTICE_RETRY_S", "0", 1);
    open_incident(x, false);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    char *command = text_print("rm -rf '%s'", x->dir);
    int rc = system(command); // NOLINT(cert-env33-c): a folder of our own
    incident_free(x->inc);
    free(command);
    free(x->dir);
    free(x);
    unsetenv("TWOFOLD_CHANNEL_TIMEOUT_MS");
    return rc;
}

static size_t attempts(const struct fixture *x, const char *unit, bool ok)
{
    size_t n = 0;
    for (size_t i = 0; i < x->inc->n; i++)
        n += x->inc->events[i].kind == EVENT_NOTICE &&
             strcmp(event_text(&x->inc->events[i], "to"), unit) == 0 &&
             json_is_true(json_object_get(x->inc->events[i].body, "ok")) == ok;
    return n;
}

static char *heard(const struct fixture *x)
{
    char *path = text_print("%s/heard", x->dir);
    uint8_t *p = NULL;
    size_t n = 0;
    int rc = sys_read_file(AT_FDCWD, path, 100000, &p, &n, NULL);
    free(path);
    return rc == 0 ? (char *)p : text_print("%s", "");
}

/* What the process of notice_send does is watched, not slept for; ten seconds are far more than it needs. */
static void wait_until_told(struct fixture *x, const char *unit)
{
    for (int i = 0; i < 200 && attempts(x, unit, true) == 0; i++) {
        usleep(50000);
        assert_int_equal(incident_refresh(x->inc, NULL), 0);
    }
    assert_int_equal(attempts(x, unit, true), 1);
}

static void each_is_told_once(void **state)
{
    struct fixture *x = *state;
    struct notice_result r;
    struct err e = ERR_INIT;
    assert_int_equal(notice_send(&x->app, x->inc, NOTICE_HOLD, &r, &e), 0);
    assert_int_equal(r.units, 3);
    assert_int_equal(r.no_way, 1);
    assert_true(r.telling);
    wait_until_told(x, "County");
    wait_until_told(x, "Town");
    assert_int_equal(attempts(x, "Village", false), 1); /* nobody can be told by a program: call */
    char *text = heard(x);
    assert_non_null(strstr(text, "to 101\n"));
    assert_non_null(strstr(text, "to 102\n"));
    assert_non_null(strstr(text, "Hold your uploads"));
    assert_non_null(strstr(text, "Chen"));
    free(text);

    /* Whoever was killed calls it again: nobody is told twice. */
    size_t n = x->inc->n;
    int rc;
    while ((rc = notice_tell(&x->app, x->inc, NOTICE_HOLD, &e)) ==
           -ERR_BUSY) /* it is about to end */
        usleep(20000);
    assert_int_equal(rc, 0);
    assert_int_equal(notice_send(&x->app, x->inc, NOTICE_HOLD, &r, &e), 0);
    assert_int_equal(r.told, 2);
    assert_false(r.telling);
    assert_int_equal(incident_refresh(x->inc, &e), 0);
    assert_int_equal(x->inc->n, n);
    assert_int_equal(notice_ack(&x->app, x->inc, NOTICE_HOLD, "Village", "phone", &e), 0);
    assert_int_equal(notice_ack(&x->app, x->inc, NOTICE_HOLD, "Hamlet", NULL, &e), -ERR_NAME);
    assert_int_equal(notice_send(&x->app, x->inc, NOTICE_HOLD, &r, &e), 0);
    assert_int_equal(r.told, 3);
}

static void what_fails_is_tried_again(void **state)
{
    struct fixture *x = *state;
    struct err e = ERR_INIT;
    write_text(x, "fail-101", "1\n", 0600);
    write_text(x, "fail-102", "1\n2\n3\n4\n", 0600);
    assert_int_equal(notice_tell(&x->app, x->inc, NOTICE_RESUME, &e), -ERR_PARTIAL);
    assert_int_equal(incident_refresh(x->inc, &e), 0);
    assert_int_equal(attempts(x, "County", false), 1);
    assert_int_equal(attempts(x, "County", true), 1);
    assert_int_equal(attempts(x, "Town", false), NOTICE_TRIES);
    assert_int_equal(attempts(x, "Town", true), 0);
    const struct event *last = incident_last(x->inc, EVENT_NOTICE, "to", "Town");
    assert_non_null(strstr(event_text(last, "detail"), "busy"));
    assert_string_equal(event_text(last, "notice"), "resume-uploads");
}

static void end_with(struct fixture *x, enum event_kind kind, const char *key, const char *value)
{
    struct err e = ERR_INIT;
    assert_int_equal(incident_add(x->inc, kind, json_pack("{s:s}", key, value), &e), 0);
    assert_int_equal(incident_refresh(x->inc, &e), 0);
}

/* What failed is not tried again once it would be wrong: each attempt asks the timeline. */
static void nobody_holds_after_the_all_clear(void **state)
{
    struct fixture *x = *state;
    struct err e = ERR_INIT;
    write_text(x, "fail-101", "1\n2\n3\n", 0600);
    assert_int_equal(notice_try(&x->app, x->inc, NOTICE_HOLD, "County", "command", &e),
                     -ERR_FAILED);
    assert_int_equal(notice_try(&x->app, x->inc, NOTICE_HOLD, "Town", "command", &e), 0);
    end_with(x, EVENT_STEP, "step", "resume");
    assert_int_equal(notice_try(&x->app, x->inc, NOTICE_HOLD, "County", "command", &e), 0);
    assert_int_equal(notice_tell(&x->app, x->inc, NOTICE_HOLD, &e), 0);
    end_with(x, EVENT_RECOVERED, "text", "");
    assert_int_equal(notice_tell(&x->app, x->inc, NOTICE_HOLD, &e), 0);
    end_with(x, EVENT_CLOSED, "text", "");
    assert_int_equal(notice_tell(&x->app, x->inc, NOTICE_HOLD, &e), 0);
    assert_int_equal(incident_refresh(x->inc, &e), 0);
    assert_int_equal(attempts(x, "County", false), 1);
    assert_int_equal(attempts(x, "County", true), 0);

    /* Who was told to hold is told to go on all the same; nobody else is, after the closing. */
    assert_int_equal(notice_tell(&x->app, x->inc, NOTICE_RESUME, &e), 0);
    assert_int_equal(incident_refresh(x->inc, &e), 0);
    assert_int_equal(attempts(x, "Town", true), 2);
    assert_int_equal(attempts(x, "County", false), 1);
    char *text = heard(x);
    assert_null(strstr(text, "to 101\n"));
    free(text);
}

/* One that hangs keeps the others for its deadline at most, and is on the timeline. */
static void one_that_hangs(void **state)
{
    struct fixture *x = *state;
    struct err e = ERR_INIT;
    setenv("TWOFOLD_CHANNEL_TIMEOUT_MS", "300", 1);
    write_text(x, "hang-101", "", 0600);
    assert_int_equal(notice_tell(&x->app, x->inc, NOTICE_HOLD, &e), -ERR_PARTIAL);
    assert_int_equal(incident_refresh(x->inc, &e), 0);
    assert_int_equal(attempts(x, "County", false), NOTICE_TRIES);
    assert_int_equal(attempts(x, "Town", true), 1);
}

static void nobody_is_told_in_a_drill(void **state)
{
    struct fixture *x = *state;
    struct notice_result r;
    struct err e = ERR_INIT;
    open_incident(x, true);
    assert_int_equal(notice_send(&x->app, x->inc, NOTICE_HOLD, &r, &e), 0);
    assert_false(r.telling);
    assert_int_equal(r.told, 3);
    assert_string_equal(event_text(incident_last(x->inc, EVENT_NOTICE, NULL, NULL), "channel"),
                        "drill");
    char *text = heard(x);
    assert_string_equal(text, "");
    free(text);
}

static void no_contacts_no_notice(void **state)
{
    struct fixture *x = *state;
    struct notice_result r;
    struct err e = ERR_INIT;
    write_text(x, "contacts.yaml", "roles: {}\n", 0600);
    assert_int_equal(notice_send(&x->app, x->inc, NOTICE_HOLD, &r, &e), 0);
    assert_int_equal(r.units, 0);
    assert_false(r.telling);
    write_text(x, "contacts.yaml", "units: 7\n", 0600);
    assert_int_equal(notice_send(&x->app, x->inc, NOTICE_HOLD, &r, &e), -ERR_CONFIG);
}

static void in_the_language_of_the_site(void **state)
{
    struct fixture *x = *state;
    struct settings s = { .site = (char *)"财政局", .language = (char *)"zh" };
    struct contacts *c = NULL;
    struct message m;
    assert_int_equal(contacts_load(&x->app.paths, &c, NULL), 0);
    for (unsigned k = 0; k < NOTICE_KINDS; k++) {
        notice_message(x->inc, (enum notice_kind)k, &s, c, &m);
        assert_non_null(strstr(m.subject, "财政局"));
        assert_non_null(strstr(m.subject, "billing"));
        assert_non_null(strstr(m.body, "billing"));
        assert_non_null(strstr(m.body, "联系人：Chen，电话：139"));
        assert_non_null(strstr(m.body, k == NOTICE_HOLD ? "暂停向该系统上传" : "可以恢复上传"));
        assert_non_null(strstr(m.brief, "billing"));
        assert_true(strlen(m.brief) <= MAX_BRIEF_BYTES);
        message_done(&m);
        notice_message(x->inc, (enum notice_kind)k, NULL, NULL,
                       &m); /* both, and nothing is known */
        assert_non_null(strstr(m.body, "各单位"));
        assert_non_null(strstr(m.body, "To all units"));
        assert_true(strlen(m.brief) <= MAX_BRIEF_BYTES);
        message_done(&m);
    }
    contacts_free(c);
}

/* --config DIR --quiet crash WORD… */
static int be_twofold(int argc, char **argv)
{
    struct app app = { .ui = { .quiet = true, .command = "crash" }, .program = argv[0] };
    struct err e = ERR_INIT;
    if (argc < 6 || config_paths_find(argv[2], &app.paths, &e) < 0)
        return 2;
    int status = crash_clock_word(&app, argc - 5, argv + 5);
    config_paths_done(&app.paths);
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return be_twofold(argc, argv);
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_is_told_once),
        T(what_fails_is_tried_again),
        T(one_that_hangs),
        T(nobody_holds_after_the_all_clear),
        T(nobody_is_told_in_a_drill),
        T(no_contacts_no_notice),
        T(in_the_language_of_the_site),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
