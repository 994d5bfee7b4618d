/* test_logs_claim.c - orchestrator/logs/claim.c: whose a log is to keep, when two orchestrators want it, at once or one after the other. */
#include "orchestrator/logs/claim.h"
#include "tests/vault_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SOURCE "db/postgresql"
#define COPIES 2

struct scene {
    struct vault a, b; /* two orchestrators' views of the same copies */
    struct head heads[2];
    struct store *stores[COPIES];
    struct err e;
};

static void set_up(struct scene *s, struct vault *v, uint8_t who)
{
    static const char *const places[] = { "one", "two" };
    v->keys = sample_keys();
    v->writer.b[0] = who;
    v->n_copies = COPIES;
    for (size_t i = 0; i < COPIES; i++) {
        v->copies[i].place = (char *)(uintptr_t)places[i];
        v->copies[i].state = COPY_CURRENT;
        v->copies[i].store = s->stores[i];
    }
}

static void begin(struct scene *s)
{
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < COPIES; i++)
        assert_int_equal(store_open("memory:claim", STORE_CREATE, &s->stores[i], &s->e), 0);
    set_up(s, &s->a, 1);
    set_up(s, &s->b, 2);
}

static void end(struct scene *s)
{
    for (size_t i = 0; i < COPIES; i++)
        store_close(s->stores[i]);
    vault_keys_done(&s->a.keys);
    vault_keys_done(&s->b.keys);
}

/* The newest head is by this writer, for both. */
static void head_of(struct scene *s, uint8_t who)
{
    struct vault *all[] = { &s->a, &s->b };
    for (size_t i = 0; i < 2; i++) {
        s->heads[i].writer.b[0] = who;
        all[i]->tips[0].head = &s->heads[i];
        all[i]->n_tips = 1;
    }
}

static int count_one(void *ctx, const char *name, uint64_t len)
{
    ++*(size_t *)ctx;
    (void)len;
    return strstr(name, "/keeper/") ? 0 : -1;
}

static size_t claims_on(const struct scene *s, size_t copy)
{
    size_t n = 0;
    assert_int_equal(store_list(s->stores[copy], "logs/", count_one, &n, NULL), 0);
    return n;
}

static void one_after_the_other(void **state)
{
    struct scene s;
    struct logs_claim a, b, again;
    begin(&s);
    assert_int_equal(logs_claim(&s.a, SOURCE, &a, &s.e), 0);
    assert_int_equal(a.number, 1);
    assert_false(a.taken_over);
    assert_true(claims_on(&s, 0) == 1 && claims_on(&s, 1) == 1);
    assert_int_equal(logs_claim(&s.a, SOURCE, &again, &s.e), 0); /* its own */
    assert_true(again.number == 1 && !again.taken_over && claims_on(&s, 0) == 1);
    /* no head yet, or the other's: the log is the first one's */
    assert_int_equal(logs_claim(&s.b, SOURCE, &b, &s.e), -ERR_REFUSED);
    head_of(&s, 1);
    assert_int_equal(logs_claim(&s.b, SOURCE, &b, &s.e), -ERR_REFUSED);
    assert_non_null(strstr(s.e.next, "backup db --take-over"));
    assert_int_equal(logs_claim_holds(&s.a, SOURCE, &a, 3, &s.e), 0);
    /* taken over: the first one sees it at once, and may not come back */
    head_of(&s, 2);
    assert_int_equal(logs_claim(&s.b, SOURCE, &b, &s.e), 0);
    assert_true(b.number == 2 && b.taken_over);
    assert_int_equal(logs_claim_holds(&s.a, SOURCE, &a, 3, &s.e), -ERR_REFUSED);
    assert_int_equal(logs_claim_holds(&s.b, SOURCE, &b, 3, &s.e), 0);
    assert_int_equal(logs_claim(&s.a, SOURCE, &again, &s.e), -ERR_REFUSED);
    assert_int_equal(logs_claim(&s.b, SOURCE, &again, &s.e), 0);
    assert_true(again.number == 2 && !again.taken_over);
    /* another stream is another's business */
    assert_int_equal(logs_claim(&s.b, "other/postgresql", &again, &s.e), 0);
    assert_int_equal(again.number, 1);
    /* nor is one that has none yet for whoever does not write the vault: a claim may lie in a copy that is away */
    assert_int_equal(logs_claim(&s.a, "third/postgresql", &again, &s.e), -ERR_REFUSED);
    end(&s);
}

/* The second one claims between the first one's look and its put. */
struct race {
    struct store *real;
    struct scene *s;
    bool done;
    int rc;
};

static int race_put(void *d, const char *name, const struct store_data *data, struct err *e)
{
    struct race *r = d;
    if (!r->done) {
        struct logs_claim c;
        r->done = true;
        r->rc = logs_claim(&r->s->b, SOURCE, &c, NULL);
    }
    return store_put(r->real, name, data, e);
}
static int race_get(void *d, const char *name, uint64_t off, size_t len, void *out, struct err *e)
{
    return store_get(((struct race *)d)->real, name, off, len, out, e);
}
static int race_stat(void *d, const char *name, uint64_t *ret_len, struct err *e)
{
    return store_stat(((struct race *)d)->real, name, ret_len, e);
}
static int race_list(void *d, const char *prefix, store_list_fn *fn, void *ctx, struct err *e)
{
    return store_list(((struct race *)d)->real, prefix, fn, ctx, e);
}
/* What a claim does not use. */
static int race_replace(void *d, const char *name, const struct store_data *data, const char *stamp,
                        struct err *e)
{
    fail();
    return -ERR_FAILED;
}
static int race_restore(void *d, const char *stamp, struct err *e)
{
    fail();
    return -ERR_FAILED;
}
static int race_delete(void *d, const char *name, struct err *e)
{
    fail();
    return -ERR_FAILED;
}
static int race_space(void *d, struct store_space *ret, struct err *e)
{
    fail();
    return -ERR_FAILED;
}
static int race_sweep(void *d, struct err *e)
{
    fail();
    return -ERR_FAILED;
}
static void race_close(void *d)
{
    (void)d;
}

static void both_at_once(void **state)
{
    static const struct store_ops ops = { .put = race_put,
                                          .replace = race_replace,
                                          .restore_aside = race_restore,
                                          .get = race_get,
                                          .stat = race_stat,
                                          .list = race_list,
                                          .del = race_delete,
                                          .space = race_space,
                                          .sweep_tmp = race_sweep,
                                          .close = race_close };
    struct scene s;
    struct logs_claim a;
    begin(&s);
    struct race r = { .real = s.stores[0], .s = &s };
    assert_int_equal(store_new(&ops, &r, "memory:race", &s.a.copies[0].store, &s.e), 0);
    assert_int_equal(logs_claim(&s.a, SOURCE, &a, &s.e), -ERR_REFUSED);
    assert_true(r.done);
    assert_int_equal(r.rc, 0);
    store_close(s.a.copies[0].store);
    end(&s);
}

/* A copy that was away when it was claimed, one that fails, and names that somebody made up. */
static void copies_that_differ(void **state)
{
    struct scene s;
    struct logs_claim a, b;
    char name[MAX_OBJECT_NAME], hex[2 * LOG_STREAM_BYTES + 1];
    uint8_t stream[LOG_STREAM_BYTES];
    begin(&s);
    s.a.copies[1].state = COPY_AWAY;
    assert_int_equal(logs_claim(&s.a, SOURCE, &a, &s.e), 0);
    assert_true(claims_on(&s, 0) == 1 && claims_on(&s, 1) == 0);
    s.a.copies[1].state = COPY_CURRENT;
    assert_int_equal(logs_claim(&s.a, SOURCE, &a, &s.e), 0);
    assert_true(a.number == 1 && claims_on(&s, 1) == 1);
    end(&s);
    /* each has claimed on a copy that the other did not see: whoever is not the vault's writer gives way */
    begin(&s);
    s.a.copies[1].state = s.b.copies[0].state = COPY_AWAY;
    assert_int_equal(logs_claim(&s.a, SOURCE, &a, &s.e), 0);
    assert_int_equal(logs_claim(&s.b, SOURCE, &b, &s.e), 0);
    s.a.copies[1].state = s.b.copies[0].state = COPY_CURRENT;
    head_of(&s, 2);
    assert_int_equal(logs_claim(&s.a, SOURCE, &a, &s.e), -ERR_REFUSED);
    assert_int_equal(logs_claim(&s.b, SOURCE, &b, &s.e), 0);
    assert_true(b.number == 2 && b.taken_over);
    /* a name alone is no claim */
    log_stream_id(&s.a.keys, SOURCE, stream);
    hex_encode(stream, sizeof stream, hex);
    snprintf(name, sizeof name, "logs/%s/keeper/%016d", hex, 900);
    struct store_data junk = { .p = "what somebody wrote", .fd = -1, .len = 19 };
    assert_int_equal(store_put(s.stores[0], name, &junk, &s.e), 0);
    assert_int_equal(logs_claim(&s.b, SOURCE, &b, &s.e), 0);
    assert_int_equal(b.number, 2);
    end(&s);
}

static void put_false(struct scene *s, size_t copy, int number, const char *text)
{
    char name[MAX_OBJECT_NAME], hex[2 * LOG_STREAM_BYTES + 1];
    uint8_t stream[LOG_STREAM_BYTES];
    struct store_data junk = { .p = text, .fd = -1, .len = strlen(text) };
    log_stream_id(&s->a.keys, SOURCE, stream);
    hex_encode(stream, sizeof stream, hex);
    snprintf(name, sizeof name, "logs/%s/keeper/%016d", hex, number);
    assert_int_equal(store_put(s->stores[copy], name, &junk, &s->e), 0);
}

/* What somebody put beside the claim of one copy ends nobody's log, and hides no claim that comes behind it. */
static void made_up_names(void **state)
{
    struct scene s;
    struct logs_claim a, b;
    begin(&s);
    put_false(&s, 1, 1, ""); /* before there was any */
    assert_int_equal(logs_claim(&s.a, SOURCE, &a, &s.e), 0);
    assert_int_equal(a.number, 2);
    put_false(&s, 1, 3, "");
    put_false(&s, 1, 9, "what somebody wrote");
    for (uint32_t copies = 1; copies <= 3; copies++)
        assert_int_equal(logs_claim_holds(&s.a, SOURCE, &a, copies, &s.e), 0);
    assert_int_equal(logs_claim(&s.a, SOURCE, &a, &s.e), 0);
    assert_int_equal(a.number, 2);
    head_of(&s, 2);
    assert_int_equal(logs_claim(&s.b, SOURCE, &b, &s.e), 0);
    assert_true(b.number == 4 && b.taken_over);
    for (uint32_t copies = 1; copies <= 3; copies++) {
        assert_int_equal(logs_claim_holds(&s.a, SOURCE, &a, copies, &s.e), -ERR_REFUSED);
        assert_int_equal(logs_claim_holds(&s.b, SOURCE, &b, copies, &s.e), 0);
    }
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(both_at_once),
        cmocka_unit_test(copies_that_differ),
        cmocka_unit_test(made_up_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
