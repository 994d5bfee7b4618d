/* bench_catalog.c - a catalog of 1,000 policies with a year of nightly runs and snapshots: how long its questions take.
 *     build/tests/bench/bench_catalog FOLDER        (on a real disk; some 200 MB)
 * Prints a line of JSON for each measurement, milliseconds. */
#include "lib/base/sys.h"
#include "lib/vault/objects.h"
#include "orchestrator/catalog/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLICIES 1000
#define NIGHTS 365
#define ROUNDS 9

static void must(int rc, const struct err *e, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "bench_catalog: %s: %s: %s\n", what, e->what, e->why);
        exit(1);
    }
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fill(struct catalog *c)
{
    struct err e = ERR_INIT;
    int64_t start_s = sys_realtime_s() - (int64_t)NIGHTS * 86400;
    must(catalog_begin(c, &e), &e, "begin");
    for (unsigned night = 0; night < NIGHTS; night++)
        for (unsigned p = 0; p < POLICIES; p++) {
            char policy[32];
            unsigned n = night * POLICIES + p;
            int64_t at_s = start_s + (int64_t)night * 86400 + p;
            struct run r = { .kind = "backup",
                             .policy = policy,
                             .vault = "main",
                             .agent = "local",
                             .started_s = at_s,
                             .ended_s = at_s + 9,
                             .snapshot_state = SNAPSHOT_WHOLE,
                             .files = 1000 };
            struct snapshot_row s = { .vault = "main",
                                      .policy = policy,
                                      .source = policy,
                                      .host = "h",
                                      .received_s = at_s,
                                      .state = SNAPSHOT_WHOLE };
            snprintf(policy, sizeof policy, "policy-%04u", p);
            memcpy(r.snapshot.b, &n, sizeof n);
            s.id = r.snapshot;
            must(catalog_run_put(c, &r, NULL, &e), &e, "run");
            must(catalog_snapshot_put(c, &s, &e), &e, "snapshot");
        }
    must(catalog_finish(c, 0, &e), &e, "commit");
}

static int count_run(void *ctx, const struct run *r)
{
    (void)r;
    ++*(size_t *)ctx;
    return 0;
}

static int count_snapshot(void *ctx, const struct snapshot_row *s)
{
    (void)s;
    ++*(size_t *)ctx;
    return 0;
}

static int count_job(void *ctx, const struct job *j)
{
    (void)j;
    ++*(size_t *)ctx;
    return 0;
}

static int ask(struct catalog *c, int what, size_t *n, struct err *e)
{
    struct run r = { .kind = "backup", .policy = "policy-0500" };
    uint64_t id = 0;
    switch (what) {
    case 0:
        return catalog_newest(c, count_snapshot, n, e);
    case 1:
        return catalog_last_runs(c, "backup", count_run, n, e);
    case 2:
        return catalog_runs(c, "policy-0500", 10, count_run, n, e);
    case 3:
        return catalog_jobs(c, 1u << JOB_QUEUED | 1u << JOB_RUNNING, 0, count_job, n, e);
    case 4:
        return catalog_run_begin(c, &r, &id, e);
    default:
        return catalog_audit(c, &(struct audit_row){ .action = "backup" }, e);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {
        "newest snapshot of each policy", "last run of each policy", "ten runs of a policy",
        "queued and running jobs",        "one run written",         "one audit row written"
    };
    struct err e = ERR_INIT;
    struct catalog *c = NULL;
    char path[4096];
    if (argc != 2)
        return 2;
    snprintf(path, sizeof path, "%s/bench-catalog.db", argv[1]);
    remove(path);
    must(catalog_open_file(path, CATALOG_WRITE, &c, &e), &e, "open");
    double start = now_ms();
    fill(c);
    printf("{\"what\": \"filled\", \"ms\": %.0f}\n", now_ms() - start);
    for (int what = 0; what < 6; what++) {
        double ms[ROUNDS];
        size_t n = 0;
        for (int i = 0; i < ROUNDS; i++) {
            n = 0;
            start = now_ms();
            must(ask(c, what, &n, &e), &e, names[what]);
            ms[i] = now_ms() - start;
        }
        qsort(ms, ROUNDS, sizeof *ms, by_value);
        printf("{\"what\": \"%s\", \"rows\": %zu, \"ms\": %.2f}\n", names[what], n, ms[ROUNDS / 2]);
    }
    start = now_ms();
    catalog_close(c);
    must(catalog_open_file(path, CATALOG_READ, &c, &e), &e, "open again");
    printf("{\"what\": \"opened again\", \"ms\": %.2f}\n", now_ms() - start);
    catalog_close(c);
    remove(path);
    return 0;
}
