/* test_state.c - the agent's memory of its last run: what is written comes back, what is torn or foreign is
 * not believed, and nothing takes its place before the commit. */
#include "agents/state.h"
#include "lib/base/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct scene {
    char dir[256];
    int fd;
    struct id vault;
    struct state_key key;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    snprintf(s->dir, sizeof s->dir, "%s/stateXXXXXX", tmp);
    if (!mkdtemp(s->dir))
        return -1;
    s->fd = sys_openat(AT_FDCWD, s->dir, O_RDONLY | O_DIRECTORY, 0, NULL);
    memset(s->vault.b, 5, sizeof s->vault.b);
    s->key = (struct state_key){ .vault_id = &s->vault, .policy = "etc", .source = "files:etc" };
    *state = s;
    return 0;
}

static void name_of(const struct scene *s, const char *suffix, char ret[512])
{
    char base[STATE_NAME_BYTES];
    state_name(&s->key, base);
    snprintf(ret, 512, "%s/%s.%s", s->dir, base, suffix);
}

static int teardown(void **state)
{
    struct scene *s = *state;
    char path[512];
    name_of(s, "state", path);
    unlink(path);
    close(s->fd);
    int rc = rmdir(s->dir); /* no .new is left */
    free(s);
    return rc;
}

static void path_of(size_t i, char ret[32])
{
    snprintf(ret, 32, "d/%06zu", i);
}

static struct entry entry_for(const char *path, size_t i, struct extent *x)
{
    *x = (struct extent){ .len = 10 + i, .off = (uint32_t)i };
    x->chunk.b[0] = (uint8_t)i;
    return (struct entry){ .path = path,
                           .path_len = strlen(path),
                           .type = ENTRY_FILE,
                           .mode = 0600,
                           .size = 10 + i,
                           .mtime_s = 1000,
                           .ctime_s = (int64_t)i - 50,
                           .ctime_ns = 7,
                           .ino = i,
                           .extents = x,
                           .n_extents = 1 };
}

/* n files in as many leaves as it takes. */
static void write_state(struct scene *s, size_t n, bool commit)
{
    struct err e = ERR_INIT;
    struct state_writer *w;
    struct leaf_writer *lw = leaf_writer_new(true);
    struct wbuf leaf = WBUF_INIT, first = WBUF_INIT;
    assert_int_equal(state_create(s->fd, &s->key, &w, &e), 0);
    for (size_t i = 0; i <= n; i++) {
        char path[32];
        struct extent x;
        path_of(i, path);
        if (i == n || leaf_is_full(lw, path, strlen(path))) {
            wbuf_reset(&leaf);
            assert_int_equal(leaf_take(lw, &leaf, &first, &e), 0);
            assert_int_equal(state_add_leaf(w, &leaf, &e), 0);
        }
        struct entry en = entry_for(path, i, &x);
        if (i < n)
            assert_int_equal(leaf_add(lw, &en, &e), 0);
    }
    struct state_summary sum = { .started_ns = 11, .ended_ns = 22, .files = n, .bytes = 99 };
    memset(sum.snapshot.b, 8, sizeof sum.snapshot.b);
    assert_int_equal(state_sync(w, &e), 0);
    if (commit)
        assert_int_equal(state_commit(w, &sum, &e), 0);
    state_abort(w);
    leaf_writer_free(lw);
    wbuf_free(&leaf);
    wbuf_free(&first);
}

static void entries_come_back(void **state)
{
    enum { N = 5000 };
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct state_reader *r;
    char path[32];
    write_state(s, N, true);
    assert_int_equal(state_open(s->fd, &s->key, &r, &e), 0);
    assert_non_null(r);
    assert_int_equal(state_summary(r)->files, N);
    assert_int_equal(state_summary(r)->started_ns, 11);
    assert_int_equal(state_summary(r)->ended_ns, 22);
    assert_int_equal(state_summary(r)->bytes, 99);
    assert_int_equal(state_summary(r)->snapshot.b[31], 8);
    assert_null(state_seek(r, "c", 1));
    for (size_t i = 0; i < N; i += 1 + i % 7) {
        path_of(i, path);
        const struct entry *en = state_seek(r, path, strlen(path));
        assert_non_null(en);
        assert_int_equal(en->ino, i);
        assert_int_equal(en->ctime_s, (int64_t)i - 50);
        assert_int_equal(en->ctime_ns, 7);
        assert_int_equal(en->extents[0].chunk.b[0], (uint8_t)i);
        strcat(path, "x"); /* one that is not there, right behind it */
        assert_null(state_seek(r, path, strlen(path)));
    }
    assert_null(state_seek(r, "e", 1));
    state_close(r);
}

static void none_is_no_error(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct state_reader *r = (void *)s;
    assert_int_equal(state_open(s->fd, &s->key, &r, &e), 0);
    assert_null(r);
    state_close(NULL);
    state_abort(NULL);
}

static void nothing_changes_without_a_commit(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct state_reader *r;
    write_state(s, 10, true);
    write_state(s, 20, false);
    assert_int_equal(state_open(s->fd, &s->key, &r, &e), 0);
    assert_int_equal(state_summary(r)->files, 10);
    state_close(r);
}

/* Its name is a hash of what it is for; one that was put there under another's name is not believed. */
static void a_foreign_state_is_refused(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct state_reader *r;
    char from[512], to[512];
    write_state(s, 10, true);
    name_of(s, "state", from);
    s->key.source = "files:var";
    name_of(s, "state", to);
    assert_string_not_equal(from, to);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(state_open(s->fd, &s->key, &r, &e), -ERR_DAMAGED);
    assert_null(r);
}

static void every_damage_is_noticed(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct state_reader *r;
    char path[512];
    uint8_t *bytes;
    size_t len;
    write_state(s, 3, true);
    name_of(s, "state", path);
    assert_int_equal(sys_read_file(AT_FDCWD, path, 1 << 20, &bytes, &len, &e), 0);
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 0x10;
        assert_int_equal(sys_write_file(AT_FDCWD, path, bytes, len, 0600, &e), 0);
        assert_int_equal(state_open(s->fd, &s->key, &r, &e), -ERR_DAMAGED);
        bytes[i] ^= 0x10;
    }
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(sys_write_file(AT_FDCWD, path, bytes, i, 0600, &e), 0);
        assert_int_equal(state_open(s->fd, &s->key, &r, &e), -ERR_DAMAGED);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(none_is_no_error, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_changes_without_a_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_foreign_state_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(every_damage_is_noticed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
