/* test_apply_fetch.c - what a restore fetches: every chunk once, though far more is asked for ahead and used
 * again and again than there is memory for. */
#include "agents/fetch_remote.h"
#include "tests/restore_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FILES 150 /* with some 1 MiB each: several times FETCH_CACHE_BYTES */
#define LEAST_BYTES (256u << 10)
#define MOST_BYTES (2048u << 10)

static void every_chunk_once(void **state)
{
    const char *to = rk_path(*state, "to");
    struct rk *k = rk_new();
    char path[32], *p = malloc(MOST_BYTES);
    uint64_t chance = 1;
    assert_non_null(p);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%03u", i);
        for (size_t at = 0; at < MOST_BYTES; at++)
            p[at] = (char)((chance = chance * 6364136223846793005u + 1442695040888963407u) >> 56);
        rk_file(k, path, p, LEAST_BYTES + chance % (MOST_BYTES - LEAST_BYTES));
        /* All in one chunk: what is in use is always newer than what waits. */
        snprintf(path, sizeof path, "%03us", i);
        rk_file(k, path, "small", 5);
    }
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.files, 2 * FILES);
    /* Beside the content: the index chunk, and a few leaves. */
    assert_in_range(job.chunks_sent, FILES + 1, FILES + 1 + 10);
    rk_job_done(&job);
    rk_free(k);
    free(p);
}

int main(int argc, char **argv)
{
    rk_maybe_agent(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_chunk_once, rk_setup, rk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
