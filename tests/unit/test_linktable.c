/* test_linktable.c - the table of hard links and the spool beneath it, beyond what fits into memory. */
#include "agents/linktable.h"
#include "agents/reach.h"
#include "agents/spool.h"
#include "lib/base/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static int setup(void **state)
{
    static char dir[256];
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/linktableXXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    *state = dir;
    return 0;
}

/* Nothing may have a name there, so the folder is empty. */
static int teardown(void **state)
{
    return rmdir(*state);
}

static int open_dir(void **state)
{
    struct err e = ERR_INIT;
    int fd = sys_openat(AT_FDCWD, *state, O_RDONLY | O_DIRECTORY, 0, &e);
    assert_true(fd >= 0);
    return fd;
}

static void pairs_are_found_again(void **state)
{
    enum { N = 50000 };
    struct err e = ERR_INIT;
    int fd = open_dir(state);
    struct linktable *t = linktable_new(fd);
    const char *path;
    size_t len;
    char want[64];
    assert_int_equal(linktable_find(t, 1, 2, &path, &len, &e), 0);
    for (uint64_t i = 0; i < N; i++) {
        int n = snprintf(want, sizeof want, "folder/%lu", (unsigned long)i);
        assert_int_equal(linktable_add(t, i % 3, i * 4096, want, (size_t)n, &e), 0);
    }
    for (uint64_t i = 0; i < N; i++) {
        snprintf(want, sizeof want, "folder/%lu", (unsigned long)i);
        assert_int_equal(linktable_find(t, i % 3, i * 4096, &path, &len, &e), 1);
        assert_string_equal(path, want);
        assert_int_equal(len, strlen(want));
        assert_int_equal(linktable_find(t, i % 3 + 1, i * 4096, &path, &len, &e), 0);
    }
    linktable_free(t);
    linktable_free(NULL);
    close(fd);
}

static void zero_is_a_key_like_any(void **state)
{
    struct err e = ERR_INIT;
    int fd = open_dir(state);
    struct linktable *t = linktable_new(fd);
    const char *path;
    size_t len;
    assert_int_equal(linktable_add(t, 0, 0, "z\xff\n", 3, &e), 0);
    assert_int_equal(linktable_find(t, 0, 0, &path, &len, &e), 1);
    assert_string_equal(path, "z\xff\n");
    assert_int_equal(linktable_find(t, 0, 1, &path, &len, &e), 0);
    linktable_free(t);
    close(fd);
}

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 31 + (i >> 8));
}

static void a_spool_gives_back_what_it_got(void **state)
{
    enum { N = 200000 };
    struct err e = ERR_INIT;
    int fd = open_dir(state);
    struct spool *s = spool_new(fd);
    uint8_t part[777];
    void *map;
    size_t len;
    assert_int_equal(spool_map(s, &map, &len, &e), 0);
    assert_int_equal(len, 0);
    for (uint64_t at = 0; at < N; at += sizeof part) {
        for (size_t i = 0; i < sizeof part; i++)
            part[i] = byte_at(at + i);
        assert_int_equal(spool_add(s, part, sizeof part, &e), 0);
    }
    for (uint64_t at = 0; at + sizeof part <= spool_len(s); at += 12345) {
        assert_int_equal(spool_read(s, at, part, sizeof part, &e), 0);
        for (size_t i = 0; i < sizeof part; i++)
            assert_int_equal(part[i], byte_at(at + i));
    }
    assert_int_equal(spool_map(s, &map, &len, &e), 0);
    assert_int_equal(len, spool_len(s));
    for (size_t i = 0; i < len; i++)
        assert_int_equal(((uint8_t *)map)[i], byte_at(i));
    assert_int_equal(spool_reset(s, &e), 0);
    assert_int_equal(spool_len(s), 0);
    assert_int_equal(spool_add(s, "abc", 3, &e), 0);
    assert_int_equal(spool_read(s, 1, part, 2, &e), 0);
    assert_memory_equal(part, "bc", 2);
    spool_free(s);
    close(fd);
}

static void ids_are_sorted_without_repeats(void **state)
{
    enum { N = 30000 };
    struct id *ids = calloc(N, sizeof *ids);
    assert_non_null(ids);
    /* Many that are equal, many that differ in the last byte only, and evenly spread ones. */
    for (size_t i = 0; i < N; i++) {
        if (i % 3 == 0)
            ids[i].b[31] = (uint8_t)(i / 3);
        else if (i % 3 == 1)
            sys_random(&ids[i], sizeof ids[i]);
        else
            memset(ids[i].b, 0x55, sizeof ids[i].b);
    }
    size_t n = reach_sort(ids, N);
    assert_int_equal(n, N / 3 + 256 + 1);
    for (size_t i = 1; i < n; i++)
        assert_true(id_cmp(&ids[i - 1], &ids[i]) < 0);
    assert_int_equal(reach_sort(ids, 0), 0);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pairs_are_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(zero_is_a_key_like_any, setup, teardown),
        cmocka_unit_test_setup_teardown(a_spool_gives_back_what_it_got, setup, teardown),
        cmocka_unit_test(ids_are_sorted_without_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
