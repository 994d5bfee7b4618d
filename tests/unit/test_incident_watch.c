/* test_incident_watch.c - an incident of 13 hours under the watch (orchestrator/watch/), minute by minute with a clock of its own: each duty is
 * raised as an alarm once and cleared when it is done, and its reminder and its being overdue stand on the timeline once, however many
 * processes look. */
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "orchestrator/crash/clock.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/watch/watch.h"
#include "tests/unit/timeline_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define T0 INT64_C(1795680000) /* a Thursday, 08:00 UTC */
#define MIN(n) (T0 + (n)*INT64_C(60))
#define FILES "s/incidents/" KIT_ID

struct fixture {
    char dir[64];
    struct config_paths paths;
    struct catalog *c;
    char config[80], state[80], timeline[160];
};

static void write_text(const struct fixture *x, const char *name, const char *text)
{
    char path[160];
    struct err e = ERR_INIT;
    snprintf(path, sizeof path, "%s/%s", x->dir, name);
    if (sys_write_file(AT_FDCWD, path, text, strlen(text), 0600, &e) < 0)
        fail_msg("%s: %s", path, e.why);
}

static int setup(void **state)
{
    static const char *const folders[] = { "c/policies", "c/vaults", FILES };
    struct fixture *x = calloc(1, sizeof *x);
    struct err e = ERR_INIT;
    char path[160];
    setenv("TZ", "UTC", 1);
    tzset();
    setenv("TWOFOLD_PROGRAM", "/bin/true", 1);
    snprintf(x->dir, sizeof x->dir, "/tmp/tfinc-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    snprintf(x->config, sizeof x->config, "%s/c", x->dir);
    snprintf(x->state, sizeof x->state, "%s/s", x->dir);
    snprintf(x->timeline, sizeof x->timeline, "%s/" FILES "/timeline", x->dir);
    x->paths = (struct config_paths){ x->config, x->state };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", x->dir, folders[i]);
        assert_int_equal(sys_mkdir_p(path, 0700, &e), 0);
    }
    write_text(x, "c/twofold.yaml", "incident: { first-report: 5m, remind: 2m }\n");
    write_text(x, "c/contacts.yaml",
               "reviewed: 2026-11-01\nreview-every: 3650d\nunits:\n  - { name: County }\n");
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

/* --- the timeline, with lines at the times that a test wants ------------------------------------- */
static void load_kit(const struct fixture *x, struct line_kit *k)
{
    uint8_t *p = NULL;
    size_t n = 0, from = 0;
    *k = (struct line_kit){ 0 };
    if (access(x->timeline, F_OK) < 0)
        return;
    assert_int_equal(sys_read_file(AT_FDCWD, x->timeline, 16u << 20, &p, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        if (p[i] == '\n') {
            k->seq++;
            sha256_of(p + from, i - from, &k->last);
            from = i + 1;
        }
    wb_bytes(&k->bytes, p, n);
    free(p);
}

static void save_kit(const struct fixture *x, struct line_kit *k)
{
    assert_int_equal(sys_write_file(AT_FDCWD, x->timeline, k->bytes.p, k->bytes.len, 0600, NULL),
                     0);
    kit_done(k);
}

/* One line more; the arguments are kit_line's. */
#define APPEND(x, ...)               \
    do {                             \
        struct line_kit kit;         \
        load_kit(x, &kit);           \
        kit_line(&kit, __VA_ARGS__); \
        save_kit(x, &kit);           \
    } while (0)

static struct incident *now_there(const struct fixture *x)
{
    struct incident *inc = NULL;
    struct err e = ERR_INIT;
    if (incident_open(&x->paths, KIT_ID, &inc, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    assert_int_equal(inc->broken.code, ERR_NONE);
    return inc;
}

static size_t lines_of(const struct fixture *x, const char *duty, int number, const char *state)
{
    struct incident *inc = now_there(x);
    size_t n = 0;
    for (size_t i = 0; i < inc->n; i++)
        n += inc->events[i].kind == EVENT_DUTY &&
             strcmp(event_text(&inc->events[i], "duty"), duty) == 0 &&
             strcmp(event_text(&inc->events[i], "state"), state) == 0 &&
             event_int(&inc->events[i], "number") == number;
    incident_free(inc);
    return n;
}

/* --- alarms ------------------------------------------------------------------------------------------- */
struct seen {
    const char *key;
    size_t all, open;
    enum alarm_level level;
    char roles[80];
};

static int see(void *ctx, const struct alarm *a)
{
    struct seen *s = ctx;
    if (strcmp(a->key, s->key) != 0)
        return 0;
    s->all++;
    s->open += a->cleared_s == 0;
    s->level = a->level;
    snprintf(s->roles, sizeof s->roles, "%s", a->roles);
    return 0;
}

static struct seen alarms_of(struct fixture *x, const char *key)
{
    struct seen s = { .key = key };
    assert_true(catalog_alarms(x->c, false, 0, see, &s, NULL) >= 0);
    return s;
}

static void tick(struct fixture *x, struct watch *w, int64_t now_s)
{
    struct watch_done done;
    struct err e = ERR_INIT;
    if (watch_tick(w, x->c, now_s, &done, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
}

/* What people do, by the minute: the first report is in time, the second late, the third never; level and recovery. */
static void people(struct fixture *x, int minute)
{
    if (minute == 4)
        APPEND(x, MIN(4), "report", "{s:s, s:i}", "form", "incident", "number", 1);
    if (minute == 6)
        APPEND(x, MIN(6), "notice", "{s:s, s:s, s:s, s:b}", "notice", "hold-uploads", "to",
               "County", "channel", "mail", "ok", 1);
    if (minute == 40)
        APPEND(x, MIN(40), "report", "{s:s, s:i}", "form", "incident", "number", 2);
    if (minute == 59)
        APPEND(x, MIN(59), "level", "{s:i}", "level", 2);
    if (minute == 90)
        APPEND(x, MIN(90), "recovered", "{s:s}", "text", "back");
    if (minute == 100)
        APPEND(x, MIN(100), "notice", "{s:s, s:s, s:s}", "notice", "acknowledged", "of",
               "resume-uploads", "to", "County");
}

#define KEY(duty) "duty/" KIT_ID "/" duty

static void thirteen_hours_and_more(void **state)
{
    struct fixture *x = *state;
    struct watch *w;
    struct err e = ERR_INIT;
    assert_int_equal(watch_new(&x->paths, &w, &e), 0);
    APPEND(x, T0, "opened", "{s:s, s:s, s:s}", "policy", "billing", "vault", "main", "cause",
           "fault");
    for (int minute = 0; minute <= 15 * 60; minute += minute < 110 ? 1 : 5) {
        people(x, minute);
        tick(x, w, MIN(minute));
        if (minute == 3)
            assert_int_equal(alarms_of(x, KEY("first-report")).open, 1);
        if (minute == 35)
            assert_int_equal(alarms_of(x, KEY("report-2")).level, ALARM_CRITICAL);
    }
    watch_free(w);

    static const struct {
        const char *duty;
        int number;
        size_t reminded, overdue;
        bool open;
    } want[] = {
        { "first-report", 0, 1, 0, false },   { "hold-uploads", 0, 0, 0, false },
        { "report", 2, 1, 1, false },         { "report", 3, 1, 1, false }, /* recovery ended it */
        { "level", 0, 1, 0, false },          { "investigation", 0, 1, 1, true },
        { "experts", 0, 0, 0, false },        { "superior-help", 0, 0, 0, false },
        { "resume-uploads", 0, 0, 0, false }, { "summary", 0, 1, 1, true },
        { "daily", 1, 0, 0, false },          { "report", 4, 0, 0, false },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char key[160], word[40];
        snprintf(word, sizeof word, want[i].number ? "%s-%d" : "%s", want[i].duty, want[i].number);
        snprintf(key, sizeof key, "duty/" KIT_ID "/%s", word);
        struct seen s = alarms_of(x, key);
        size_t reminded = lines_of(x, want[i].duty, want[i].number, "reminded");
        size_t overdue = lines_of(x, want[i].duty, want[i].number, "overdue");
        if (reminded != want[i].reminded || overdue != want[i].overdue || s.open != want[i].open ||
            s.all != (reminded || overdue ? 1 : 0))
            fail_msg("%s: reminded %zu, overdue %zu, alarms %zu, open %zu", word, reminded, overdue,
                     s.all, s.open);
    }
    assert_string_equal(alarms_of(x, KEY("investigation")).roles, "office-head leading-group");

    /* A process that begins anew knows it all, and says nothing twice. */
    struct incident *inc = now_there(x);
    size_t n = inc->n;
    incident_free(inc);
    assert_int_equal(watch_new(&x->paths, &w, &e), 0);
    tick(x, w, MIN(901));
    watch_free(w);
    inc = now_there(x);
    assert_int_equal(inc->n, n);
    incident_free(inc);
    assert_int_equal(alarms_of(x, KEY("summary")).all, 1);
}

/* Several processes at the same moment: each line once. */
static void many_processes(void **state)
{
    struct fixture *x = *state;
    APPEND(x, T0, "opened", "{s:s, s:s}", "policy", "billing", "cause", "attack");
    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            struct err e = ERR_INIT;
            int rc;
            do
                rc = crash_remind(&x->paths, KIT_ID, MIN(4), &e);
            while (rc == -ERR_BUSY);
            _exit(rc < 0);
        }
    int status;
    while (wait(&status) > 0)
        assert_int_equal(status, 0);
    assert_int_equal(lines_of(x, "first-report", 0, "reminded"), 1);
    assert_int_equal(lines_of(x, "first-report", 0, "overdue"), 0);
    struct err e = ERR_INIT;
    assert_int_equal(crash_remind(&x->paths, KIT_ID, MIN(4), &e), 0);
    assert_true(crash_remind(&x->paths, KIT_ID, MIN(30), &e) > 0);
    assert_int_equal(lines_of(x, "first-report", 0, "overdue"), 1);
    assert_int_equal(lines_of(x, "on-site", 0, "overdue"), 1);
    assert_int_equal(lines_of(x, "on-site", 0, "reminded"), 0); /* it is too late for that */
}

static void look(struct fixture *x, struct facts *f, int64_t now_s)
{
    f->now_s = now_s;
    facts_incidents(f, &x->paths);
}

/* One that is over is not read again; one that cannot be read keeps its alarms; a broken one is told. */
static void over_unread_broken(void **state)
{
    struct fixture *x = *state;
    struct facts f;
    struct findings found;
    struct watch_done done;
    struct err e = ERR_INIT;
    facts_init(&f, MIN(0));
    assert_int_equal(facts_config(&f, &x->paths, &e), 0);
    look(x, &f, MIN(0));
    assert_true(f.incidents_read);
    assert_int_equal(f.n_incidents, 0);
    APPEND(x, T0, "opened", "{s:s}", "policy", "billing");
    look(x, &f, MIN(6));
    assert_int_equal(f.n_incidents, 1);
    assert_true(f.incidents[0].to_note);
    assert_int_equal(facts_duty_change_s(&f), MIN(8)); /* hold-uploads */
    assert_int_equal(facts_catalog(&f, x->c, &e), 0);
    assert_int_equal(watch_judge(&f, x->c, &done, &e), 0);
    assert_int_equal(alarms_of(x, KEY("first-report")).open, 1);

    /* Its folder is not to be read: nothing is cleared. */
    char aside[200];
    snprintf(aside, sizeof aside, "%s.aside", x->timeline);
    assert_int_equal(rename(x->timeline, aside), 0);
    assert_int_equal(mkdir(x->timeline, 0700), 0);
    look(x, &f, MIN(7));
    assert_true(f.incidents[0].unread);
    assert_int_equal(facts_catalog(&f, x->c, &e), 0);
    assert_int_equal(watch_judge(&f, x->c, &done, &e), 0);
    assert_int_equal(alarms_of(x, KEY("first-report")).open, 1);
    assert_int_equal(alarms_of(x, "incident/" KIT_ID).open, 1);
    assert_int_equal(rmdir(x->timeline), 0);
    assert_int_equal(rename(aside, x->timeline), 0);

    APPEND(x, MIN(8), "closed", NULL);
    look(x, &f, MIN(9));
    assert_true(f.incidents[0].settled);
    findings_find(&f, &found);
    assert_null(findings_get(&found, KEY("first-report")));
    findings_done(&found);
    assert_int_equal(facts_catalog(&f, x->c, &e), 0);
    assert_int_equal(watch_judge(&f, x->c, &done, &e), 0);
    assert_int_equal(alarms_of(x, KEY("first-report")).open, 0);
    assert_int_equal(alarms_of(x, "incident/" KIT_ID).open, 0);

    struct line_kit k;
    load_kit(x, &k);
    assert_true(k.bytes.p && k.bytes.len > 3);
    k.bytes.p[k.bytes.len - 3] ^= 1;
    save_kit(x, &k);
    look(x, &f, MIN(10));
    findings_find(&f, &found);
    assert_non_null(findings_get(&found, "incident/" KIT_ID));
    assert_false(f.incidents[0].to_note); /* nothing can be added to it */
    findings_done(&found);
    facts_done(&f);
}

/* A scene that was to be taken again, and was not: what the first one set aside is there all the same. */
static void scene_taken_again(void **state)
{
    struct line_kit k = { 0 };
    (void)state;
    kit_line(&k, T0, "opened", "{s:s, s:s}", "policy", "billing", "cause", "fault");
    struct incident *inc = kit_incident(&k);
    assert_null(crash_scene_places(inc));
    incident_free(inc);
    kit_line(&k, T0 + 1, "step", "{s:s, s:s, s:{s:[{s:s}], s:b}}", "step", "scene", "state", "done",
             "facts", "places", "scene", "/srv/a.scene", "unknown", 1);
    kit_line(&k, T0 + 2, "step", "{s:s, s:s}", "step", "scene", "state", "begun");
    kit_line(&k, T0 + 3, "step", "{s:s, s:s}", "step", "scene", "state", "failed");
    inc = kit_incident(&k);
    const json_t *place = json_array_get(crash_scene_places(inc), 0);
    assert_string_equal(json_string_value(json_object_get(place, "scene")), "/srv/a.scene");
    incident_free(inc);
    kit_done(&k);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(thirteen_hours_and_more),
        T(many_processes),
        T(over_unread_broken),
        cmocka_unit_test(scene_taken_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
