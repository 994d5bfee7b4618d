/* test_host_frames.c - what an orchestrator asks of a host (agents/host/frames.h): what is written is read, what is not allowed is not; and what a restore came
 * to, in one word (orchestrator/restore_run.h). */
#include "agents/host/frames.h"
#include "orchestrator/restore_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static int again(const struct msg_host *m, struct msg_host *ret)
{
    struct wbuf w = WBUF_INIT;
    msg_host_write(&w, m);
    struct rbuf r = rbuf_of(w.p, w.len);
    int rc = msg_host_read(&r, ret, NULL);
    wbuf_free(&w);
    return rc;
}

static char *words[] = { (char *)"/bin/systemctl", (char *)"stop", (char *)"db" };

static void commands_travel(void **state)
{
    struct msg_host m = { .what = HOST_RUN,
                          .policy = (char *)"db",
                          .name = (char *)"db-20261126-1a2b",
                          .words = words,
                          .n_words = 3,
                          .limit_s = 60 },
                    got;
    assert_int_equal(again(&m, &got), 0);
    assert_int_equal(got.n_words, 3);
    assert_string_equal(got.words[1], "stop");
    assert_string_equal(got.name, m.name);
    assert_int_equal(got.limit_s, 60);
    msg_host_done(&got);
    m.limit_s = MAX_COMMAND_LIMIT_S + 1;
    assert_int_equal(again(&m, &got), -ERR_PROTOCOL);
    m.limit_s = 1;
    m.n_words = 0;
    assert_int_equal(again(&m, &got), -ERR_PROTOCOL);
    m.n_words = 1;
    words[0] = (char *)"systemctl"; /* no whole path */
    assert_int_equal(again(&m, &got), -ERR_PROTOCOL);
    words[0] = (char *)"/bin/systemctl";
}

static void scenes_have_names_that_can_be_a_folders(void **state)
{
    static const char *const bad[] = { "", ".", "..", ".x", "a/b", "a b", "a\nb", "é" };
    struct source_spec *all = NULL, *spec;
    size_t n = 0;
    assert_int_equal(source_specs_add(&all, &n, "postgresql", &spec, NULL), 0);
    assert_int_equal(source_spec_add(spec, "data", "/srv/pg", NULL), 0);
    struct msg_host m = { .what = HOST_SCENE,
                          .policy = (char *)"db",
                          .name = (char *)"one",
                          .sources = all,
                          .n_sources = n },
                    got;
    assert_int_equal(again(&m, &got), 0);
    assert_string_equal(source_spec_get(&got.sources[0], "data"), "/srv/pg");
    msg_host_done(&got);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        m.name = (char *)(uintptr_t)bad[i];
        assert_false(host_name_ok(bad[i]));
        assert_int_equal(again(&m, &got), -ERR_PROTOCOL);
    }
    m.what = HOST_CLEAR; /* the folder that stays is a name, too */
    m.name = (char *)"../x";
    assert_int_equal(again(&m, &got), -ERR_PROTOCOL);
    m.what = (enum host_what)99;
    m.name = (char *)"one";
    assert_int_equal(again(&m, &got), -ERR_PROTOCOL);
    source_specs_free(all, n);
}

static void what_a_restore_came_to(void **state)
{
    struct restore_outcome o = { .facts = json_object() };
    assert_int_equal(restore_end_of(0, &o), RESTORE_WHOLE);
    o.problems = 1;
    assert_int_equal(restore_end_of(0, &o), RESTORE_PROBLEMS);
    o.done.failed = 1;
    assert_int_equal(restore_end_of(0, &o), RESTORE_IN_PART);
    assert_int_equal(restore_end_of(-ERR_DAMAGED, &o), RESTORE_DAMAGED);
    assert_int_equal(restore_end_of(-ERR_UNREACHABLE, &o), RESTORE_AWAY);
    assert_int_equal(restore_end_of(-ERR_BUSY, &o), RESTORE_REFUSED);
    assert_int_equal(restore_end_of(-ERR_INTERRUPTED, &o), RESTORE_STOPPED);
    assert_int_equal(restore_end_of(-ERR_IO, &o), RESTORE_BROKEN);
    json_object_set_new(o.facts, "check", json_pack("[{s:b}]", "ok", 1));
    assert_int_equal(restore_end_of(-ERR_DAMAGED, &o), RESTORE_DAMAGED);
    json_array_append_new(json_object_get(o.facts, "check"), json_pack("{s:b}", "ok", 0));
    assert_int_equal(restore_end_of(-ERR_DAMAGED, &o), RESTORE_CHECK_FAILED);
    assert_string_equal(restore_end_name(RESTORE_CHECK_FAILED), "check-failed");
    restore_outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_travel),
        cmocka_unit_test(scenes_have_names_that_can_be_a_folders),
        cmocka_unit_test(what_a_restore_came_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
