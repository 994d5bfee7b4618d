/* test_sftp_faults.c - copies over SFTP when the link breaks in the middle of an object, when the server answers nonsense, and
 * when it promises less: a real sshd, whose subsystem is sometimes not SFTP. */
#include "lib/base/rate.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "lib/store/store.h"
#include "tests/sshd_kit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ftw.h>
#include <pthread.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OBJECT_BYTES (24u << 20)
#define LIMIT_BYTES_S (16u << 20) /* so that it takes a second and a half */

struct fixture {
    struct sshd d;
    char dir[64], url[256];
    struct store_options o;
    struct store *s;
    unsigned opened_ms; /* how long that took: a link that is cut comes back no sooner */
    struct err e;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static struct fixture *fixture_new(const char *config)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!sshd_start(&f->d, config)) {
        free(f);
        return NULL;
    }
    strcpy(f->dir, "/tmp/tf-sftp-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->url, sizeof f->url, "sftp://%s@127.0.0.1:%u%s/copy", f->d.user, f->d.port, f->dir);
    f->o = (struct store_options){ .identity = f->d.identity, .host_key = f->d.host_key };
    return f;
}

static void fixture_free(struct fixture *f)
{
    store_close(f->s);
    sshd_done(&f->d);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
}

static struct fixture *with_sftp(void)
{
    struct fixture *f = fixture_new(NULL);
    if (f) {
        f->o.limit_bytes_s = LIMIT_BYTES_S;
        uint64_t before = sys_monotonic_ms();
        assert_int_equal(store_open_with(f->url, &f->o, STORE_CREATE, &f->s, &f->e), 0);
        f->opened_ms = (unsigned)(sys_monotonic_ms() - before);
    }
    return f;
}

/* --- the link breaks ------------------------------------------------------------------------------------------ */
struct cutter {
    struct fixture *f;
    unsigned first_ms, times;
    int cut;
};

static void *cut_again_and_again(void *arg)
{
    struct cutter *c = arg;
    for (unsigned i = 0; i < c->times; i++) {
        poll(NULL, 0, (int)(c->first_ms + 150 * i + (i > 0 ? 3 * c->f->opened_ms : 0)));
        c->cut += sshd_cut(&c->f->d);
    }
    return NULL;
}

static uint8_t *content(size_t n)
{
    uint8_t *p = malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 29 + i / 4093);
    return p;
}

static void assert_on_disk(struct fixture *f, const char *name, const uint8_t *p, size_t n)
{
    char path[160];
    uint8_t *got = NULL;
    size_t len = 0;
    snprintf(path, sizeof path, "%s/copy/%s", f->dir, name);
    assert_int_equal(sys_read_file(AT_FDCWD, path, OBJECT_BYTES, &got, &len, NULL), 0);
    assert_int_equal(len, n);
    assert_memory_equal(got, p, n);
    free(got);
}

static int count_one(void *ctx, const char *name, uint64_t len)
{
    ++*(int *)ctx;
    return 0;
}

static void cut_while_putting(unsigned first_ms, bool replace)
{
    struct fixture *f = with_sftp();
    if (!f)
        skip();
    uint8_t *p = content(OBJECT_BYTES);
    int drafts = 0;
    struct store_data d = { .p = p, .fd = -1, .len = OBJECT_BYTES };
    struct store_data old = { .p = "old", .fd = -1, .len = 3 };
    struct cutter c = { .f = f, .first_ms = first_ms, .times = 3 };
    pthread_t thread;
    if (replace)
        assert_int_equal(store_put(f->s, "packs/aa/bb", &old, &f->e), 0);
    assert_int_equal(pthread_create(&thread, NULL, cut_again_and_again, &c), 0);
    int rc = replace ? store_replace(f->s, "packs/aa/bb", &d, "s1", &f->e)
                     : store_put(f->s, "packs/aa/bb", &d, &f->e);
    pthread_join(thread, NULL);
    assert_int_equal(rc, 0);
    assert_true(c.cut > 0);
    assert_on_disk(f, "packs/aa/bb", p, OBJECT_BYTES);
    if (replace)
        assert_on_disk(f, "aside/s1/packs/aa/bb", (const uint8_t *)"old", 3);
    assert_int_equal(store_list(f->s, "tmp/", count_one, &drafts, &f->e), 0);
    assert_int_equal(drafts, 0); /* it went on with the draft that it had */
    free(p);
    fixture_free(f);
}

static void test_cut_while_putting(void **state)
{
    cut_while_putting(100, false);
    cut_while_putting(500, false);
}

static void test_cut_while_replacing(void **state)
{
    cut_while_putting(300, true);
}

static void test_cut_while_getting(void **state)
{
    struct fixture *f = with_sftp();
    if (!f)
        skip();
    uint8_t *p = content(OBJECT_BYTES), *got = malloc(OBJECT_BYTES);
    struct cutter c = { .f = f, .first_ms = 200, .times = 2 };
    pthread_t thread;
    assert_int_equal(
        store_put(f->s, "packs/aa/bb", &(struct store_data){ .p = p, .len = OBJECT_BYTES }, &f->e),
        0);
    assert_int_equal(pthread_create(&thread, NULL, cut_again_and_again, &c), 0);
    assert_int_equal(store_get(f->s, "packs/aa/bb", 0, OBJECT_BYTES, got, &f->e), 0);
    pthread_join(thread, NULL);
    assert_true(c.cut > 0);
    assert_memory_equal(got, p, OBJECT_BYTES);
    free(got);
    free(p);
    fixture_free(f);
}

/* A draft that was spoilt while the link was down is not built upon. Its first part is right, what follows is not. */
static void *spoil_the_draft(void *arg)
{
    struct cutter *c = arg;
    char command[256];
    poll(NULL, 0, (int)c->first_ms);
    sshd_stop(&c->f->d);
    snprintf(command, sizeof command,
             "for i in %s/copy/tmp/*; do printf xxxxxxxx | dd of=$i bs=1 seek=2000000 conv=notrunc "
             "2>/dev/null; done",
             c->f->dir);
    c->cut = system(command); // NOLINT(cert-env33-c): of the test's own making
    sshd_again(&c->f->d);
    return NULL;
}

static void test_a_spoilt_draft(void **state)
{
    struct fixture *f = with_sftp();
    if (!f)
        skip();
    uint8_t *p = content(OBJECT_BYTES);
    struct cutter c = { .f = f, .first_ms = 700 };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, spoil_the_draft, &c), 0);
    assert_int_equal(
        store_put(f->s, "packs/aa/bb", &(struct store_data){ .p = p, .len = OBJECT_BYTES }, &f->e),
        0);
    pthread_join(thread, NULL);
    assert_int_equal(c.cut, 0);
    assert_on_disk(f, "packs/aa/bb", p, OBJECT_BYTES);
    free(p);
    fixture_free(f);
}

/* --- the server answers nonsense -------------------------------------------------------------------------------- */
/* What `printf` of the shell makes of it is all that the server says; then it takes whatever comes. */
static void serve(const char *answer, int want)
{
    char config[1024], script[96];
    struct fixture *f = NULL;
    snprintf(script, sizeof script, "/tmp/tf-fake-%d", (int)getpid());
    snprintf(config, sizeof config, "#!/bin/sh\nprintf '%s'\nexec cat >/dev/null\n", answer);
    assert_int_equal(sys_write_file(AT_FDCWD, script, config, strlen(config), 0755, NULL), 0);
    snprintf(config, sizeof config, "Subsystem sftp %s", script);
    f = fixture_new(config);
    if (!f) {
        unlink(script);
        skip();
    }
    int rc = store_open_with(f->url, &f->o, STORE_CREATE, &f->s, &f->e);
    unlink(script);
    assert_int_equal(rc, want);
    assert_true(f->e.why[0]);
    fixture_free(f);
}

#define VERSION_3 "\\000\\000\\000\\005\\002\\000\\000\\000\\003"
static void test_nonsense(void **state)
{
    serve("Welcome to this host! Please do not disturb.\\n", -ERR_UNREACHABLE);
    serve("\\377\\377\\377\\377\\002", -ERR_UNREACHABLE);                 /* a length of 4 GiB */
    serve("\\000\\000\\000\\005\\002\\000\\000\\000\\002", -ERR_VERSION); /* SFTP 2 */
    serve(VERSION_3 "\\000\\000\\000\\011\\145\\000\\000\\000\\143\\000\\000\\000\\000",
          -ERR_UNREACHABLE); /* an answer to a question that was not asked */
    serve(VERSION_3 "\\000\\000\\000\\011\\150\\000\\000\\000\\001\\377\\377\\377\\377",
          -ERR_UNREACHABLE); /* four billion names, to the first question */
}

/* Chroot, no shell, and no fsync: works, and is said. */
static void test_a_server_without_fsync(void **state)
{
    struct fixture *f = fixture_new("Subsystem sftp internal-sftp -P fsync");
    struct store_space sp;
    if (!f)
        skip();
    assert_int_equal(store_open_with(f->url, &f->o, STORE_CREATE, &f->s, &f->e), 0);
    assert_int_equal(
        store_put(f->s, "packs/aa/bb", &(struct store_data){ .p = "abc", .len = 3 }, &f->e), 0);
    assert_int_equal(store_space(f->s, &sp, &f->e), 0);
    assert_false(sp.durable);
    fixture_free(f);
}

/* --- the bound --------------------------------------------------------------------------------------------------- */
struct taker {
    struct rate *r;
    uint64_t n;
};

static void *take(void *arg)
{
    struct taker *t = arg;
    assert_int_equal(rate_take(t->r, t->n, NULL), 0);
    return NULL;
}

/* Two that share a file are together as slow as one. */
static void test_a_bound_is_shared(void **state)
{
    char path[64];
    struct taker t[2];
    pthread_t thread[2];
    snprintf(path, sizeof path, "/tmp/tf-rate-%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rate_new(1u << 20, path, &t[i].r, NULL), 0);
        t[i].n = 512u << 10;
    }
    uint64_t before = sys_monotonic_ms();
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, take, &t[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        rate_free(t[i].r);
    }
    assert_true(sys_monotonic_ms() - before >= 700); /* a second, but for the burst */
    unlink(path);
    struct rate *none;
    assert_int_equal(rate_new(0, NULL, &none, NULL), 0);
    assert_null(none);
    assert_int_equal(rate_take(none, UINT64_MAX, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_while_putting), cmocka_unit_test(test_cut_while_replacing),
        cmocka_unit_test(test_cut_while_getting), cmocka_unit_test(test_a_spoilt_draft),
        cmocka_unit_test(test_nonsense),          cmocka_unit_test(test_a_server_without_fsync),
        cmocka_unit_test(test_a_bound_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
