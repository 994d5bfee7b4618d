/* test_timeline.c - restore/incident/timeline.h: what was acknowledged is there, what was not is not, and what was changed is noticed. */
#include "restore/incident/timeline.h"
#include "lib/base/sys.h"
#include "tests/unit/sys_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY 60
#define MAX_STEPS 60

static struct config_paths paths_in(const char *dir)
{
    return (struct config_paths){ .config_dir = (char *)dir, .state_dir = (char *)dir };
}

static struct incident *create(const char *dir, const char *policy, bool drill)
{
    struct config_paths p = paths_in(dir);
    struct incident *inc = NULL;
    struct err e = ERR_INIT;
    struct incident_opening o = { .policy = policy,
                                  .vault = "main",
                                  .agent = "local",
                                  .cause = CAUSE_ATTACK,
                                  .drill = drill,
                                  .first_sign_s = 77,
                                  .settings = json_pack("{s:s}", "stop", "x") };
    if (incident_create(&p, &o, &inc, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    return inc;
}

static struct incident *open_one(const char *dir, const char *name)
{
    struct config_paths p = paths_in(dir);
    struct incident *inc = NULL;
    struct err e = ERR_INIT;
    if (incident_open(&p, name, &inc, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    return inc;
}

static int note(struct incident *inc, const char *text, struct err *e)
{
    return incident_add(inc, EVENT_NOTE, json_pack("{s:o}", "text", event_json(text, 0)), e);
}

static void file_of(const char *dir, const struct incident *inc, char out[512])
{
    snprintf(out, 512, "%s/incidents/%s/timeline", dir, inc->id);
}

static void what_was_added_is_there(void **state)
{
    struct fixture *f = *state;
    struct incident *inc = create(f->dir, "billing", false);
    assert_int_equal(note(inc, "it smokes", NULL), 0);
    assert_int_equal(incident_add(inc, EVENT_NOTE,
                                  json_pack("{s:s, s:s}", "field", "place", "text", "room 1"),
                                  NULL),
                     0);
    assert_int_equal(incident_add(inc, EVENT_LEVEL, json_pack("{s:i}", "level", 2), NULL), 0);
    assert_int_equal(incident_add(inc, EVENT_LOSS, json_pack("{s:i}", "crashed", 99), NULL), 0);
    assert_int_equal(incident_add(inc, EVENT_ESCALATED, json_object(), NULL), 0);
    assert_int_equal(incident_add(inc, EVENT_NOTE, NULL, NULL), -ERR_NOMEM);

    struct incident *two = open_one(f->dir, NULL);
    assert_int_equal(two->n, 6);
    assert_string_equal(two->id, inc->id);
    assert_int_equal(two->cause, CAUSE_ATTACK);
    assert_int_equal(two->level, 2);
    assert_int_equal(two->crashed_s, 99);
    assert_int_equal(two->first_sign_s, 77);
    assert_true(two->escalated_s > 0);
    assert_string_equal(two->policy, "billing");
    assert_string_equal(incident_field(two, "place"), "room 1");
    assert_null(incident_field(two, "person"));
    assert_string_equal(event_text(&two->events[1], "text"), "it smokes");
    assert_true(two->events[1].by[0] && two->events[1].host[0]);
    assert_int_equal(event_int(&two->events[3], "seq"), 4);

    /* another process's additions are seen, and go before one's own */
    assert_int_equal(incident_add(two, EVENT_STEP, json_pack("{s:s}", "step", "x"), NULL), 0);
    assert_int_equal(note(inc, "later", NULL), 0);
    assert_int_equal(inc->n, 8);
    assert_int_equal(inc->escalated_s, 0);
    assert_int_equal(incident_refresh(two, NULL), 0);
    assert_int_equal(two->n, 8);
    assert_ptr_equal(incident_last(two, EVENT_NOTE, NULL, NULL), &two->events[7]);
    incident_free(two);
    incident_free(inc);
}

static void any_text_can_be_said(void **state)
{
    struct fixture *f = *state;
    struct incident *inc = create(f->dir, "billing", false);
    char *long_text = malloc(200001);
    memset(long_text, 'x', 200000);
    long_text[200000] = '\0';
    assert_int_equal(note(inc, "数据库 \xff\xc0\x80 \x01\xed\xa0\x80 \xe4\xb8", NULL), 0);
    assert_string_equal(event_text(&inc->events[1], "text"),
                        "数据库 \\377\\300\\200 \\001\\355\\240\\200 \\344\\270");
    /* what steers a terminal, or hides in a text */
    json_t *said = event_json(
        "\xc2\x9b"
        "2J é \xe2\x80\xae” \xe2\x81\xa6 \xef\xbb\xbf \xd8\x9c \xe1\xa0\x8e "
        "\xf3\xa0\x80\x81 \xf3\xa0\x81\xbf \xf0\x9f\x98\x80 \xd8\x9b \xe1\xa0\x8f \xf3\xa0\x84\x80",
        0);
    assert_string_equal(
        json_string_value(said),
        "\\302\\2332J é \\342\\200\\256” \\342\\201\\246 \\357\\273\\277 \\330\\234 \\341\\240\\216 "
        "\\363\\240\\200\\201 \\363\\240\\201\\277 \xf0\x9f\x98\x80 \xd8\x9b \xe1\xa0\x8f "
        "\xf3\xa0\x84\x80");
    json_decref(said);
    assert_int_equal(note(inc, long_text, NULL), 0);
    assert_int_equal(strlen(event_text(&inc->events[2], "text")), 4000 + strlen("…"));
    struct err e = ERR_INIT;
    assert_int_equal(incident_add(inc, EVENT_NOTE, json_pack("{s:s}", "text", long_text), &e),
                     -ERR_LIMIT);
    /* an odd field of ours is not taken from others */
    assert_int_equal(incident_add(inc, EVENT_NOTE,
                                  json_pack("{s:s, s:i, s:s, s:s}", "sum", "0", "seq", 90, "prev",
                                            "", "by", "nobody"),
                                  NULL),
                     0);
    assert_int_equal(inc->n, 4);
    assert_string_not_equal(inc->events[3].by, "nobody");
    incident_free(inc);
    inc = open_one(f->dir, "billing");
    assert_int_equal(inc->n, 4);
    assert_int_equal(inc->broken.code, ERR_NONE);
    incident_free(inc);
    free(long_text);
}

/* --- damage ------------------------------------------------------------------------------------------------- */
static void every_flipped_byte_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct incident *inc = create(f->dir, "billing", false), *got;
    void *bytes;
    size_t n;
    struct err e = ERR_INIT;
    assert_int_equal(note(inc, "one", NULL), 0);
    assert_int_equal(note(inc, "two", NULL), 0);
    assert_int_equal(incident_bytes(inc, &bytes, &n, NULL), 0);
    char *p = bytes;
    for (size_t i = 0; i < n; i++) {
        size_t lines = 0;
        for (size_t k = 0; k < i; k++)
            lines += p[k] == '\n';
        p[i] ^= 0x04;
        got = NULL;
        int rc = incident_parse("x", p, n, &got, &e);
        if (lines == 0) {
            assert_int_equal(rc, -ERR_DAMAGED);
        } else if (i == n - 1) { /* the last line has lost its end: never acknowledged */
            assert_int_equal(got->n, 2);
            assert_int_equal(got->broken.code, ERR_NONE);
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(got->n, lines);
            assert_int_equal(got->broken.code, ERR_DAMAGED);
            assert_non_null(strstr(got->broken.why, lines == 1 ? "line 2" : "line 3"));
        }
        incident_free(got);
        p[i] ^= 0x04;
    }
    /* a line taken out of the middle */
    char *second = strchr(p, '\n') + 1, *third = strchr(second, '\n') + 1;
    memmove(second, third, n - (size_t)(third - p));
    assert_int_equal(incident_parse("x", p, n - (size_t)(third - second), &got, &e), 0);
    assert_int_equal(got->n, 1);
    assert_int_equal(got->broken.code, ERR_DAMAGED);
    incident_free(got);
    free(bytes);
    incident_free(inc);
}

static void a_broken_one_is_read_and_not_written(void **state)
{
    struct fixture *f = *state;
    struct incident *inc = create(f->dir, "billing", false);
    char path[512];
    struct err e = ERR_INIT;
    file_of(f->dir, inc, path);
    assert_int_equal(note(inc, "one", NULL), 0);
    assert_int_equal(note(inc, "two", NULL), 0);
    uint8_t *p;
    size_t n;
    assert_int_equal(sys_read_file(AT_FDCWD, path, 1 << 20, &p, &n, NULL), 0);
    p[n - 200] ^= 1;
    assert_int_equal(sys_write_file(AT_FDCWD, path, p, n, 0600, NULL), 0);
    free(p);
    incident_free(inc);
    inc = open_one(f->dir, "billing");
    assert_int_equal(inc->n, 2);
    assert_int_equal(inc->broken.code, ERR_DAMAGED);
    assert_int_equal(note(inc, "three", &e), -ERR_DAMAGED);
    assert_non_null(strstr(e.next, "twofold crash billing"));
    incident_free(inc);
    struct incident *whole = create(f->dir, "billing", false); /* the one that goes on is meant */
    inc = open_one(f->dir, NULL);
    assert_string_equal(inc->id, whole->id);
    incident_free(whole);
    incident_free(inc);
}

static void a_torn_line_is_taken_away(void **state)
{
    struct fixture *f = *state;
    struct incident *inc = create(f->dir, "billing", false), *two;
    char path[512];
    file_of(f->dir, inc, path);
    assert_int_equal(note(inc, "one", NULL), 0);
    FILE *file = fopen(path, "ae");
    fputs("{\"seq\":3,\"at\":17", file);
    fclose(file);
    two = open_one(f->dir, inc->id);
    assert_int_equal(two->n, 2);
    assert_int_equal(two->broken.code, ERR_NONE);
    assert_int_equal(note(inc, "two", NULL), 0);
    assert_int_equal(incident_refresh(two, NULL), 0);
    assert_int_equal(two->n, 3);
    assert_string_equal(event_text(&two->events[2], "text"), "two");
    incident_free(two);
    incident_free(inc);
}

/* A line that was read before its writer took it away, because it did not get to the disk. */
static void a_line_that_was_taken_away_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct incident *inc = create(f->dir, "billing", false), *reader;
    char path[512];
    struct stat before;
    file_of(f->dir, inc, path);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(note(inc, "one", NULL), 0);
    reader = open_one(f->dir, inc->id);
    assert_int_equal(reader->n, 2);
    assert_int_equal(truncate(path, before.st_size), 0);
    assert_int_equal(incident_refresh(reader, NULL), 0);
    assert_int_equal(reader->n, 1);
    struct incident *other = open_one(f->dir, inc->id);
    assert_int_equal(note(other, "another, longer than the one before", NULL), 0);
    assert_int_equal(note(other, "more", NULL), 0);
    assert_int_equal(incident_refresh(inc, NULL), 0);
    assert_int_equal(inc->n, 3);
    assert_string_equal(event_text(&inc->events[2], "text"), "more");
    assert_int_equal(inc->broken.code, ERR_NONE);
    incident_free(other);
    incident_free(reader);
    incident_free(inc);
}

/* --- kills and full disks --------------------------------------------------------------------------------------- */
static int scene_create(const char *dir)
{
    incident_free(create(dir, "billing", false));
    return 0;
}

static int scene_add(const char *dir)
{
    struct incident *inc = open_one(dir, "billing");
    struct err e = ERR_INIT;
    if (note(inc, "one", &e) < 0 || note(inc, "two", &e) < 0) {
        incident_free(inc);
        return 9;
    }
    incident_free(inc);
    return 0;
}

static int scene_many(const char *dir)
{
    struct incident *inc = open_one(dir, "billing");
    int rc = 0;
    for (int i = 0; i < MANY && rc == 0; i++)
        rc = note(inc, "many", NULL);
    incident_free(inc);
    return rc == 0 ? 0 : 9;
}

static int scene_holds(const char *dir)
{
    struct incident *inc = open_one(dir, "billing");
    struct err e = ERR_INIT;
    int rc = incident_run_lock(inc, &e);
    incident_free(inc);
    return rc == -ERR_BUSY && strstr(e.why, "(") ? 0 : 9;
}

static void killed_while_it_is_made(void **state)
{
    struct fixture *f = *state;
    char fault[64];
    struct config_paths p = paths_in(f->dir);
    struct incident *inc = NULL;
    bool whole = false;
    for (unsigned k = 1; k <= MAX_STEPS && !whole; k++) {
        snprintf(fault, sizeof fault, "kill@%u", k);
        int status = play("create", f->dir, fault);
        whole = WIFEXITED(status);
        int rc = incident_open(&p, "billing", &inc, NULL);
        assert_true(rc == 0 || (rc == -ERR_NAME && !whole));
        if (rc == 0)
            assert_int_equal(inc->n, 1);
        if (rc == 0)
            incident_free(inc);
    }
    assert_true(whole);
}

static size_t notes(const char *dir)
{
    struct incident *inc = open_one(dir, "billing");
    assert_int_equal(inc->broken.code, ERR_NONE);
    size_t n = inc->n - 1;
    incident_free(inc);
    return n;
}

static void faults_while_it_grows(void **state)
{
    struct fixture *f = *state;
    static const char *const kinds[] = { "kill@%u", "fail@%u:ENOSPC", "fail@%u+:EIO" };
    incident_free(create(f->dir, "billing", false));
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        bool whole = false;
        for (unsigned i = 1; i <= MAX_STEPS && !whole; i++) {
            char fault[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(fault, sizeof fault, kinds[k], i);
#pragma GCC diagnostic pop
            size_t before = notes(f->dir);
            int status = play("add", f->dir, fault);
            whole = WIFEXITED(status) && WEXITSTATUS(status) == 0;
            size_t added = notes(f->dir) - before;
            assert_true(whole ? added == 2 : added <= 2);
            /* and it goes on, whatever is left of it */
            assert_plays("add", f->dir, NULL);
            assert_true(notes(f->dir) >= before + added + 2);
        }
        assert_true(whole);
    }
}

static void two_at_once_make_one_chain(void **state)
{
    struct fixture *f = *state;
    int status;
    pid_t pid = -1;
    incident_free(create(f->dir, "billing", false));
    pid = fork();
    if (pid == 0)
        _exit(scene_many(f->dir));
    assert_int_equal(scene_many(f->dir), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(notes(f->dir), 2 * MANY);
}

static void one_takes_the_steps(void **state)
{
    struct fixture *f = *state;
    struct incident *inc = create(f->dir, "billing", false);
    assert_int_equal(incident_run_lock(inc, NULL), 0);
    assert_int_equal(incident_run_lock(inc, NULL), 0);
    assert_plays("holds", f->dir, NULL);
    assert_plays("add", f->dir, NULL); /* notes need no lock */
    incident_free(inc);
    inc = open_one(f->dir, "billing");
    assert_int_equal(incident_run_lock(inc, NULL), 0);
    char *folder = NULL;
    assert_int_equal(incident_folder(inc, &folder, NULL), 0);
    assert_int_equal(access(folder, W_OK), 0);
    free(folder);
    incident_free(inc);
}

/* --- taking over, finding ----------------------------------------------------------------------------------------- */
static void adopted_by_another_machine(void **state)
{
    struct fixture *f = *state;
    struct incident *inc = create(f->dir, "billing", false), *two;
    void *bytes, *more;
    size_t n, n_more;
    char other[600];
    snprintf(other, sizeof other, "%s/other", f->dir);
    struct config_paths p = paths_in(other);
    assert_int_equal(note(inc, "one", NULL), 0);
    assert_int_equal(incident_bytes(inc, &bytes, &n, NULL), 0);
    assert_int_equal(note(inc, "two", NULL), 0);
    assert_int_equal(incident_bytes(inc, &more, &n_more, NULL), 0);

    assert_int_equal(incident_adopt(&p, inc->id, more, n_more - 1, NULL), -ERR_DAMAGED);
    assert_int_equal(incident_adopt(&p, "../x", bytes, n, NULL), -ERR_NAME);
    assert_int_equal(incident_adopt(&p, inc->id, bytes, n, NULL), 0);
    two = open_one(other, "billing");
    assert_int_equal(two->n, 2);
    assert_int_equal(incident_adopt(&p, inc->id, more, n_more, NULL), 0); /* it has grown */
    assert_int_equal(incident_adopt(&p, inc->id, bytes, n, NULL), 0); /* older: nothing is lost */
    assert_int_equal(incident_refresh(two, NULL), 0);
    assert_int_equal(two->n, 3);
    assert_int_equal(note(two, "here", NULL), 0);
    assert_int_equal(note(inc, "there", NULL), 0); /* both went on: neither replaces the other */
    free(more);
    assert_int_equal(incident_bytes(inc, &more, &n_more, NULL), 0);
    assert_int_equal(incident_adopt(&p, inc->id, more, n_more, NULL), -ERR_EXISTS);
    assert_int_equal(incident_refresh(two, NULL), 0);
    assert_string_equal(event_text(&two->events[3], "text"), "here");
    incident_free(two);

    assert_int_equal(incident_parse("x", more, n_more, &two, NULL), 0);
    assert_int_equal(note(two, "no", NULL), -ERR_REFUSED);
    incident_free(two);
    incident_free(inc);
    free(bytes);
    free(more);
}

static int count(void *ctx, const char *id, const struct incident *inc, const struct err *broken)
{
    assert_true(id && inc && !broken);
    ++*(int *)ctx;
    return 0;
}

static void found_by_what_people_type(void **state)
{
    struct fixture *f = *state;
    struct config_paths p = paths_in(f->dir);
    struct incident *got = NULL;
    struct err e = ERR_INIT;
    int n = 0;
    assert_int_equal(incident_open(&p, NULL, &got, &e), -ERR_NAME);
    assert_int_equal(incidents_each(&p, true, count, &n, NULL), 0);
    struct incident *a = create(f->dir, "billing", false), *b = create(f->dir, "bill", true);
    got = open_one(f->dir, NULL); /* a drill is not meant */
    assert_string_equal(got->id, a->id);
    incident_free(got);
    assert_int_equal(incident_open(&p, "bill", &got, &e), 0); /* the beginning of one alone */
    assert_string_equal(got->id, a->id);
    incident_free(got);
    got = open_one(f->dir, b->id);
    assert_true(got->drill);
    incident_free(got);

    struct incident *c = create(f->dir, "billing", false);
    assert_int_equal(incident_open(&p, NULL, &got, &e), -ERR_USAGE);
    assert_non_null(strstr(e.next, c->id));
    assert_int_equal(incident_open(&p, "billing-", &got, &e), -ERR_USAGE);
    assert_int_equal(incident_open(&p, "nothing", &got, &e), -ERR_NAME);
    assert_int_equal(incident_add(c, EVENT_CLOSED, json_object(), NULL), 0);
    got = open_one(f->dir, "billing"); /* the open one, though the other is newer */
    assert_string_equal(got->id, a->id);
    incident_free(got);
    n = 0;
    assert_int_equal(incidents_each(&p, true, count, &n, NULL), 0);
    assert_int_equal(n, 2);
    n = 0;
    assert_int_equal(incidents_each(&p, false, count, &n, NULL), 0);
    assert_int_equal(n, 3);
    incident_free(a);
    incident_free(b);
    incident_free(c);
}

int main(int argc, char **argv)
{
    static const struct scene scenes[] = { { "create", scene_create },
                                           { "add", scene_add },
                                           { "holds", scene_holds } };
    int played = scene_main(argc, argv, scenes, sizeof scenes / sizeof *scenes);
    if (played >= 0)
        return played;
#define TEST(t) cmocka_unit_test_setup_teardown(t, sys_kit_setup, sys_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_added_is_there),       TEST(any_text_can_be_said),
        TEST(every_flipped_byte_is_noticed), TEST(a_broken_one_is_read_and_not_written),
        TEST(a_torn_line_is_taken_away),     TEST(a_line_that_was_taken_away_is_forgotten),
        TEST(killed_while_it_is_made),       TEST(faults_while_it_grows),
        TEST(two_at_once_make_one_chain),    TEST(one_takes_the_steps),
        TEST(adopted_by_another_machine),    TEST(found_by_what_people_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
