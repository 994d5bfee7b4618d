/* test_catalog.c - jobs, leases, runs, snapshots, copies, media, alarms and facts in a catalog on a real disk: each comes back as it
 * was put, twice is once, and whoever lost a lease changes nothing any more. */
#include "lib/base/sys.h"
#include "lib/vault/objects.h"
#include "orchestrator/catalog/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define NOW 1790000000

struct scene {
    char dir[128];
    struct config_paths paths;
    struct catalog *c;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    struct err e = ERR_INIT;
    snprintf(s->dir, sizeof s->dir, "%s/catXXXXXX", tmp);
    if (!mkdtemp(s->dir))
        return -1;
    s->paths.state_dir = s->dir;
    *state = s;
    return catalog_open(&s->paths, CATALOG_WRITE, &s->c, &e);
}

static int teardown(void **state)
{
    struct scene *s = *state;
    char cmd[256];
    catalog_close(s->c);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", s->dir);
    int rc = system(cmd);
    free(s);
    return rc;
}

static struct catalog *again(struct scene *s)
{
    struct err e = ERR_INIT;
    catalog_close(s->c);
    s->c = NULL;
    assert_int_equal(catalog_open(&s->paths, CATALOG_WRITE, &s->c, &e), 0);
    return s->c;
}

static struct id id_of(int n)
{
    struct id id = { { 0 } };
    memcpy(id.b, &n, sizeof n);
    return id;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */
static void path_of(const struct scene *s, char out[160])
{
    snprintf(out, 160, "%s/catalog.db", s->dir);
}

static void absent_is_not_made_for_a_reader(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct catalog *c = NULL;
    char path[160];
    struct stat st;
    path_of(s, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    catalog_close(s->c);
    s->c = NULL;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(catalog_open(&s->paths, CATALOG_READ, &c, &e), -ERR_ABSENT);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(catalog_open(&s->paths, CATALOG_WRITE, &s->c, &e), 0);
    assert_int_equal(catalog_open(&s->paths, CATALOG_READ, &c, &e), 0);
    catalog_close(c);
}

static void spoil(const char *path, long at, size_t n)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    while (n-- > 0)
        fputc(0x5a, f);
    fclose(f);
}

static void damaged_file_is_recognised_and_kept(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct catalog *c = NULL;
    char path[160];
    struct stat st, after;
    path_of(s, path);
    catalog_close(s->c);
    s->c = NULL;
    assert_int_equal(stat(path, &st), 0);
    spoil(path, 4096, 3000); /* a page in the middle */
    assert_int_equal(catalog_open(&s->paths, CATALOG_WRITE, &c, &e), -ERR_DAMAGED);
    assert_non_null(strstr(e.next, "catalog rebuild"));
    spoil(path, 0, 100); /* the header */
    assert_int_equal(catalog_open(&s->paths, CATALOG_WRITE, &c, &e), -ERR_DAMAGED);
    assert_int_equal(catalog_open(&s->paths, CATALOG_READ, &c, &e), -ERR_DAMAGED);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(st.st_ino, after.st_ino);
    assert_int_equal(st.st_size, after.st_size);
}

static void a_database_of_others_is_not_touched(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct sql db;
    struct catalog *c = NULL;
    char path[160];
    snprintf(path, sizeof path, "%s/other.db", s->dir);
    assert_int_equal(sql_open_sqlite(path, true, &db, &e), 0);
    assert_int_equal(db.ops->define(db.db, "CREATE TABLE theirs(x BIGINT)", &e), 0);
    sql_close(&db);
    assert_int_equal(catalog_open_file(path, CATALOG_WRITE, &c, &e), -ERR_DAMAGED);
}

static void an_old_schema_is_brought_up_to_date(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct sql db;
    struct catalog *c = NULL;
    char path[160], value[16];
    for (int64_t v = 1; v < schema_newest(); v++) {
        snprintf(path, sizeof path, "%s/old%d.db", s->dir, (int)v);
        assert_int_equal(sql_open_sqlite(path, true, &db, &e), 0);
        assert_int_equal(schema_bring_to(&db, v, &e), 0);
        assert_true(sql_do(&db, &e, "INSERT INTO facts(key, value) VALUES ('kept', 'yes')") == 1);
        sql_close(&db);
        assert_int_equal(catalog_open_file(path, CATALOG_READ, &c, &e), -ERR_VERSION);
        assert_int_equal(catalog_open_file(path, CATALOG_WRITE, &c, &e), 0);
        assert_int_equal(catalog_fact_get(c, "kept", value, sizeof value, &e), 1);
        assert_string_equal(value, "yes");
        assert_int_equal(catalog_audit(c, &(struct audit_row){ .who = "w", .action = "a" }, &e), 0);
        catalog_close(c);
    }
}

static void a_newer_schema_is_refused(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct catalog *c = NULL;
    assert_int_equal(sql_do(&s->c->sql, &e, "UPDATE schema_version SET version = version + 1"), 1);
    catalog_close(s->c);
    s->c = NULL;
    assert_int_equal(catalog_open(&s->paths, CATALOG_WRITE, &c, &e), -ERR_VERSION);
    assert_int_equal(catalog_open(&s->paths, CATALOG_READ, &c, &e), -ERR_VERSION);
}

/* --- leases ------------------------------------------------------------------------------------------------------------ */
static void a_lease_has_one_holder_and_epochs_rise(void **state)
{
    struct scene *s = *state;
    struct catalog *c = s->c;
    struct err e = ERR_INIT;
    uint64_t first = 0, second = 0, third = 0;
    int64_t now = sys_realtime_s();
    assert_int_equal(catalog_lease(c, "x", "a", now + 60, &first, &e), 0);
    assert_int_equal(catalog_lease(c, "x", "b", now + 60, &second, &e), -ERR_BUSY);
    assert_int_equal(second, 0);
    assert_int_equal(catalog_lease_renew(c, "x", first, now - 1, &e),
                     0); /* as if time had passed */
    assert_int_equal(catalog_lease(c, "x", "b", now + 60, &second, &e), 0);
    assert_true(second > first);
    assert_int_equal(catalog_lease_renew(c, "x", first, now + 60, &e), -ERR_REFUSED);
    assert_int_equal(catalog_lease_end(c, "x", first, &e), -ERR_REFUSED);
    assert_int_equal(catalog_lease_check(c, "x", first, &e), -ERR_REFUSED);
    assert_int_equal(catalog_lease_check(c, "x", second, &e), 0);
    assert_int_equal(catalog_lease_end(c, "x", second, &e), 0);
    c = again(s);
    assert_int_equal(catalog_lease(c, "x", "c", now + 60, &third, &e), 0);
    assert_true(third > second);
    assert_int_equal(catalog_lease_renew(c, "never given", 1, now, &e), -ERR_REFUSED);
}

/* --- jobs ---------------------------------------------------------------------------------------------------------------- */
static uint64_t enqueue(struct catalog *c, const char *target, const char *slot, unsigned priority)
{
    struct err e = ERR_INIT;
    uint64_t id = 0;
    struct job j = { .kind = JOB_BACKUP,
                     .target = target,
                     .slot = slot,
                     .vault = "main",
                     .agent = "local",
                     .priority = priority,
                     .max_tries = 2 };
    assert_int_equal(catalog_enqueue(c, &j, &id, &e), 1);
    return id;
}

struct seen {
    size_t n;
    uint64_t ids[64];
    struct job last;
    char target[64], error[64], code[64];
};

static int see_job(void *ctx, const struct job *j)
{
    struct seen *seen = ctx;
    seen->ids[seen->n++] = j->id;
    seen->last = *j;
    snprintf(seen->target, sizeof seen->target, "%s", j->target);
    snprintf(seen->error, sizeof seen->error, "%s", j->error);
    snprintf(seen->code, sizeof seen->code, "%s", j->error_code);
    return 0;
}

static struct seen look(struct catalog *c, uint64_t id)
{
    struct seen seen = { 0 };
    struct err e = ERR_INIT;
    assert_int_equal(catalog_job(c, id, see_job, &seen, &e), 0);
    return seen;
}

static void leases_of_the_dead_run_out_at_once(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    uint64_t a, b, old;
    int64_t until = sys_realtime_s() + 1000;
    assert_int_equal(catalog_lease(s->c, "a", "dead", until, &old, &e), 0);
    assert_int_equal(catalog_lease(s->c, "b", "alive", until, &b, &e), 0);
    assert_int_equal(catalog_lease(s->c, "a", "alive", until, &a, &e), -ERR_BUSY);
    assert_int_equal(catalog_lease_orphan(s->c, "dead", &e), 1);
    assert_int_equal(catalog_lease_orphan(s->c, "", &e), 0);
    assert_int_equal(catalog_lease(s->c, "a", "alive", until, &a, &e), 0);
    assert_true(a > old);
    assert_int_equal(catalog_lease(s->c, "b", "other", until, &b, &e), -ERR_BUSY);
}

static void twice_is_once(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    uint64_t id = enqueue(s->c, "etc", "2026-11-25T02:00", 50), same = 0, epoch;
    struct job j = { .kind = JOB_BACKUP, .target = "etc", .slot = "2026-11-25T02:00" };
    struct seen seen;
    assert_int_equal(catalog_enqueue(s->c, &j, &same, &e), 0);
    assert_int_equal(same, id);
    assert_int_equal(catalog_job_start(s->c, id, "p", NOW * 2LL, &epoch, &e), 0);
    assert_int_equal(catalog_job_end(s->c, id, epoch, JOB_DONE, 0, "", "", 0, &e), 0);
    assert_int_equal(catalog_enqueue(s->c, &j, &same, &e), 0); /* also when it is done */
    j.kind = JOB_SCRUB;
    assert_int_equal(catalog_enqueue(s->c, &j, &same, &e), 1);
    j.slot = "";
    assert_int_equal(catalog_enqueue(s->c, &j, &same, &e), -ERR_USAGE);
    seen = look(s->c, id);
    assert_int_equal(seen.last.state, JOB_DONE);
    assert_string_equal(seen.target, "etc");
    assert_int_equal(catalog_job(s->c, 999, see_job, &seen, &e), -ERR_NAME);
}

static void jobs_come_by_priority_and_age(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct seen seen = { 0 };
    uint64_t low = enqueue(s->c, "low", "1", 10), a = enqueue(s->c, "a", "1", 50),
             b = enqueue(s->c, "b", "1", 50), high = enqueue(s->c, "high", "1", 90), epoch;
    assert_int_equal(catalog_jobs(s->c, 1u << JOB_QUEUED, 0, see_job, &seen, &e), 0);
    assert_int_equal(seen.n, 4);
    assert_int_equal(seen.ids[0], high);
    assert_int_equal(seen.ids[1], a);
    assert_int_equal(seen.ids[2], b);
    assert_int_equal(seen.ids[3], low);
    assert_int_equal(catalog_job_start(s->c, b, "p", NOW * 2LL, &epoch, &e), 0);
    assert_int_equal(catalog_job_cancel(s->c, low, &e), 0);
    assert_int_equal(catalog_job_cancel(s->c, b, &e), -ERR_BUSY);
    memset(&seen, 0, sizeof seen);
    assert_int_equal(
        catalog_jobs(s->c, 1u << JOB_RUNNING | 1u << JOB_CANCELLED, 0, see_job, &seen, &e), 0);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.ids[0], b); /* newest first */
    memset(&seen, 0, sizeof seen);
    assert_int_equal(catalog_jobs(s->c, ~0u, 3, see_job, &seen, &e), 0);
    assert_int_equal(seen.n, 3);
}

static void a_job_is_started_once_and_ended_by_its_holder(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    uint64_t id = enqueue(s->c, "etc", "1", 50), old = 0, epoch = 0;
    int64_t now = sys_realtime_s();
    struct seen seen;
    assert_int_equal(catalog_job_start(s->c, id, "p1", now - 1, &old, &e), 0);
    assert_int_equal(catalog_job_start(s->c, id, "p2", now + 60, &epoch, &e), -ERR_BUSY);
    assert_int_equal(catalog_job_pause(s->c, id, true, &e), 0);
    assert_true(look(s->c, id).last.pause);
    /* Its lease has run out: another takes over, and the first one is fenced off. */
    assert_int_equal(catalog_jobs_recover(s->c, now, &e), 1);
    assert_int_equal(catalog_jobs_recover(s->c, now, &e), 0);
    assert_int_equal(look(s->c, id).last.state, JOB_QUEUED);
    assert_int_equal(catalog_job_end(s->c, id, old, JOB_DONE, 0, "", "", 0, &e), -ERR_REFUSED);
    assert_int_equal(catalog_job_renew(s->c, id, old, now + 60, &e), -ERR_REFUSED);
    assert_int_equal(catalog_job_start(s->c, id, "p2", now + 60, &epoch, &e), 0);
    assert_true(epoch > old);
    assert_int_equal(catalog_job_end(s->c, id, old, JOB_DONE, 0, "", "", 0, &e), -ERR_REFUSED);
    assert_int_equal(catalog_job_renew(s->c, id, epoch, now + 120, &e), 0);
    assert_int_equal(catalog_jobs_recover(s->c, now + 60, &e), 0);
    assert_int_equal(
        catalog_job_end(s->c, id, epoch, JOB_QUEUED, 1, "busy", "b: held", now + 300, &e), 0);
    seen = look(s->c, id);
    assert_int_equal(seen.last.state, JOB_QUEUED);
    assert_int_equal(seen.last.tries, 1); /* to find things busy costs none */
    assert_int_equal(seen.last.not_before_s, now + 300);
    assert_int_equal(seen.last.exit_status, 1);
    assert_string_equal(seen.error, "b: held");
    assert_string_equal(seen.code, "busy");
    assert_false(seen.last.pause);
    assert_int_equal(catalog_job_end(s->c, id, epoch, JOB_DONE, 0, "", "", 0, &e), -ERR_REFUSED);
    assert_int_equal(catalog_job_start(s->c, id, "p2", now + 60, &epoch, &e), 0);
    assert_int_equal(
        catalog_job_end(s->c, id, epoch, JOB_QUEUED, 1, "unreachable", "b: away", now, &e), 0);
    assert_int_equal(look(s->c, id).last.tries, 2);
    /* No tries are left: the next death is the last. */
    assert_int_equal(catalog_job_start(s->c, id, "p3", now - 1, &epoch, &e), 0);
    assert_int_equal(catalog_jobs_recover(s->c, now, &e), 1);
    assert_int_equal(look(s->c, id).last.state, JOB_FAILED);
}

static int start_within(void *ctx, const struct job *j)
{
    struct scene *s = ctx;
    struct err e = ERR_INIT;
    uint64_t epoch;
    assert_int_equal(catalog_job_start(s->c, j->id, "p", NOW * 2LL, &epoch, &e), 0);
    return 7;
}

static void a_callback_may_use_the_catalog(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    uint64_t id = enqueue(s->c, "etc", "1", 1);
    enqueue(s->c, "etc", "2", 1);
    assert_int_equal(catalog_jobs(s->c, 1u << JOB_QUEUED, 0, start_within, s, &e), 7);
    assert_int_equal(look(s->c, id).last.state, JOB_RUNNING);
}

/* Each process does what a scheduler does, in competition with the others; exit status: how many jobs it got to do. */
#define HAMMER_JOBS 40
static int hammer(const struct config_paths *paths, int self)
{
    struct err e = ERR_INIT;
    struct catalog *c = NULL;
    char slot[32], owner[32];
    int mine = 0;
    uint64_t id, epoch;
    snprintf(owner, sizeof owner, "p%d", self);
    if (catalog_open(paths, CATALOG_WRITE, &c, &e) < 0)
        return 200;
    for (int i = 0; i < HAMMER_JOBS; i++) {
        snprintf(slot, sizeof slot, "%d", i);
        struct job j = { .kind = JOB_BACKUP, .target = "t", .slot = slot };
        if (catalog_enqueue(c, &j, &id, &e) < 0)
            return 201;
        int rc = catalog_job_start(c, id, owner, NOW * 2LL, &epoch, &e);
        if (rc == 0) {
            if (catalog_job_end(c, id, epoch, JOB_DONE, 0, "", "", 0, &e) < 0)
                return 202;
            mine++;
        } else if (rc != -ERR_BUSY) {
            return 203;
        }
    }
    catalog_close(c);
    return mine;
}

static void processes_compete_and_each_job_is_done_once(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct seen seen = { 0 };
    pid_t pids[3];
    int total = 0;
    for (int i = 0; i < 3; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(hammer(&s->paths, i));
    }
    for (int i = 0; i < 3; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) <= HAMMER_JOBS);
        total += WEXITSTATUS(status);
    }
    assert_int_equal(total, HAMMER_JOBS);
    assert_int_equal(catalog_jobs(s->c, 1u << JOB_DONE, 0, see_job, &seen, &e), 0);
    assert_int_equal(seen.n, HAMMER_JOBS);
    assert_int_equal(seen.last.tries, 1);
}

/* --- runs and snapshots ---------------------------------------------------------------------------------------------------- */
struct run_seen {
    size_t n;
    struct run last;
    char policy[64], error[MAX_CATALOG_TEXT + 8];
};

static int see_run(void *ctx, const struct run *r)
{
    struct run_seen *seen = ctx;
    if (seen->n++ == 0) {
        seen->last = *r;
        snprintf(seen->policy, sizeof seen->policy, "%s", r->policy);
        snprintf(seen->error, sizeof seen->error, "%s", r->error);
    }
    return 0;
}

static void runs_come_back_newest_first(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct run_seen seen = { 0 };
    struct run r = { .kind = "backup", .policy = "etc", .started_s = NOW, .job = 5 };
    uint64_t first, second;
    char *longest = malloc(3 * 1000 + 1);
    for (int i = 0; i < 1000; i++)
        memcpy(longest + 3 * i, "\xe5\xa4\x87", 4);
    assert_int_equal(catalog_run_begin(s->c, &r, &first, &e), 0);
    assert_int_equal(catalog_run_begin(s->c, &r, &second, &e), 0);
    r = (struct run){ .kind = "scrub", .vault = "main", .started_s = NOW };
    assert_int_equal(catalog_run_begin(s->c, &r, NULL, &e), 0);
    r = (struct run){ .ended_s = NOW + 9,
                      .exit_status = 3,
                      .error_code = "partial",
                      .error = longest,
                      .snapshot = id_of(7),
                      .snapshot_state = SNAPSHOT_WHOLE,
                      .files = 1,
                      .bytes = UINT64_MAX / 3,
                      .bytes_read = 3,
                      .bytes_stored = 4,
                      .problems = 5,
                      .copies_reached = 1,
                      .copies_wanted = 2,
                      .vault = "main" };
    assert_int_equal(catalog_run_end(s->c, second, &r, &e), 0);
    assert_int_equal(catalog_run_end(s->c, 77, &r, &e), -ERR_ABSENT);
    assert_int_equal(catalog_runs(again(s), "etc", 0, see_run, &seen, &e), 0);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.last.id, second);
    assert_int_equal(seen.last.job, 5);
    assert_int_equal(seen.last.started_s, NOW);
    assert_int_equal(seen.last.ended_s, NOW + 9);
    assert_int_equal(seen.last.exit_status, 3);
    assert_true(seen.last.bytes == UINT64_MAX / 3);
    assert_int_equal(seen.last.problems, 5);
    assert_int_equal(seen.last.copies_wanted, 2);
    assert_memory_equal(seen.last.snapshot.b, id_of(7).b, ID_BYTES);
    assert_int_equal(strlen(seen.error), MAX_CATALOG_TEXT / 3 * 3); /* cut between two characters */
    memset(&seen, 0, sizeof seen);
    assert_int_equal(catalog_runs(s->c, NULL, 2, see_run, &seen, &e), 0);
    assert_int_equal(seen.n, 2);
    memset(&seen, 0, sizeof seen);
    assert_int_equal(catalog_last_runs(s->c, "backup", see_run, &seen, &e), 0);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.last.id, second);
    free(longest);
}

static void put_snapshot(struct catalog *c, int n, const char *policy, int64_t at, unsigned state,
                         unsigned flags)
{
    struct err e = ERR_INIT;
    struct snapshot_row s = { .id = id_of(n),
                              .vault = "main",
                              .policy = policy,
                              .source = "s/files",
                              .host = "h",
                              .received_s = at,
                              .state = state,
                              .flags = flags,
                              .files = 3,
                              .generation = 9 };
    assert_int_equal(catalog_snapshot_put(c, &s, &e), 0);
}

struct snap_seen {
    size_t n;
    struct snapshot_row rows[8];
    char policy[8][32], why[8][32];
};

static int see_snapshot(void *ctx, const struct snapshot_row *r)
{
    struct snap_seen *seen = ctx;
    seen->rows[seen->n] = *r;
    snprintf(seen->policy[seen->n], 32, "%s", r->policy);
    snprintf(seen->why[seen->n], 32, "%s", r->hold_why);
    seen->n++;
    return 0;
}

static int count_hold(void *ctx, const struct hold *h)
{
    ++*(int *)ctx;
    assert_string_equal(h->who, "alice");
    return 0;
}

static void the_newest_whole_snapshot_of_each_policy(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct snap_seen seen = { 0 };
    int holds = 0;
    struct id one = id_of(1), nine = id_of(9);
    put_snapshot(s->c, 1, "a", NOW, SNAPSHOT_WHOLE, 0);
    put_snapshot(s->c, 2, "a", NOW + 1, SNAPSHOT_PARTIAL, 0);
    put_snapshot(s->c, 3, "a", NOW + 2, SNAPSHOT_WHOLE, SNAPSHOT_QUARANTINE);
    put_snapshot(s->c, 4, "b", NOW + 1, SNAPSHOT_WHOLE, 0);
    put_snapshot(s->c, 5, "b", NOW + 2, SNAPSHOT_WHOLE, 0);
    put_snapshot(s->c, 6, "c", NOW, SNAPSHOT_PARTIAL, 0);
    put_snapshot(s->c, 5, "b", NOW + 2, SNAPSHOT_WHOLE, 0); /* again */
    assert_int_equal(catalog_hold(s->c, "main", &one, true, "court", "alice", &e), 0);
    assert_int_equal(catalog_hold(s->c, "main", &nine, false, "", "alice", &e), -ERR_ABSENT);
    assert_int_equal(catalog_newest(s->c, see_snapshot, &seen, &e), 0);
    assert_int_equal(seen.n, 2);
    assert_memory_equal(seen.rows[0].id.b, one.b, ID_BYTES);
    assert_true(seen.rows[0].hold);
    assert_string_equal(seen.why[0], "court");
    assert_memory_equal(seen.rows[1].id.b, id_of(5).b, ID_BYTES);
    assert_false(seen.rows[1].hold);
    assert_int_equal(seen.rows[1].generation, 9);
    struct id five = id_of(5);
    assert_int_equal(catalog_snapshot_drop(s->c, &five, &e), 0);
    assert_int_equal(catalog_snapshot_drop(s->c, &five, &e), 0);
    memset(&seen, 0, sizeof seen);
    assert_int_equal(catalog_newest(s->c, see_snapshot, &seen, &e), 0);
    assert_memory_equal(seen.rows[1].id.b, id_of(4).b, ID_BYTES);
    memset(&seen, 0, sizeof seen);
    assert_int_equal(catalog_snapshots(s->c, "main", "a", 2, see_snapshot, &seen, &e), 0);
    assert_int_equal(seen.n, 2);
    assert_memory_equal(seen.rows[0].id.b, id_of(3).b, ID_BYTES); /* newest first */
    memset(&seen, 0, sizeof seen);
    assert_int_equal(catalog_snapshots(s->c, NULL, NULL, 0, see_snapshot, &seen, &e), 0);
    assert_int_equal(seen.n, 5);
    memset(&seen, 0, sizeof seen);
    assert_int_equal(catalog_snapshots(s->c, "other", "a", 0, see_snapshot, &seen, &e), 0);
    assert_int_equal(seen.n, 0);
    assert_int_equal(catalog_holds(s->c, NULL, count_hold, &holds, &e), 0);
    assert_int_equal(holds, 1);
    assert_int_equal(catalog_hold(s->c, "main", &one, false, "", "bob", &e), 0);
    holds = 0;
    assert_int_equal(catalog_holds(s->c, NULL, count_hold, &holds, &e), 0);
    assert_int_equal(holds, 0);
}

/* --- copies and media -------------------------------------------------------------------------------------------------------- */
static int see_copy(void *ctx, const struct copy_row *r)
{
    struct copy_row *row = ctx;
    *row = *r;
    row->vault = row->place = row->state = row->why = NULL;
    return 0;
}

static void a_copy_keeps_when_it_was_current(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct copy_row got = { 0 };
    struct copy_row r = { .vault = "main",
                          .place = "b",
                          .state = "current",
                          .generation = 5,
                          .seen_s = NOW,
                          .free_bytes = 10,
                          .total_bytes = 20 };
    assert_int_equal(catalog_copy_put(s->c, &r, &e), 0);
    r = (struct copy_row){ .vault = "main", .place = "b", .state = "away", .why = "no mount" };
    assert_int_equal(catalog_copy_put(s->c, &r, &e), 0);
    assert_int_equal(catalog_copies(s->c, "main", see_copy, &got, &e), 0);
    assert_int_equal(got.current_s, NOW);
    assert_int_equal(got.seen_s, NOW);
    assert_int_equal(got.generation, 5);
    assert_int_equal(got.free_bytes, 10);
    r = (struct copy_row){
        .vault = "main", .place = "b", .state = "behind", .generation = 6, .seen_s = NOW + 5
    };
    assert_int_equal(catalog_copy_put(s->c, &r, &e), 0);
    assert_int_equal(catalog_copies(s->c, NULL, see_copy, &got, &e), 0);
    assert_int_equal(got.current_s, NOW);
    assert_int_equal(got.seen_s, NOW + 5);
    assert_int_equal(got.generation, 6);
    assert_int_equal(catalog_copy_drop(s->c, "main", "b", &e), 0);
    memset(&got, 0, sizeof got);
    assert_int_equal(catalog_copies(s->c, NULL, see_copy, &got, &e), 0);
    assert_int_equal(got.seen_s, 0);
}

struct media_seen {
    int n;
    char where[4][32];
};

static int see_medium(void *ctx, const struct medium *m)
{
    struct media_seen *seen = ctx;
    snprintf(seen->where[seen->n++], 32, "%s", m->where);
    return 0;
}

static void the_register_of_media_is_a_history(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct media_seen seen = { 0 };
    struct medium m = {
        .vault = "main", .place = "safe", .label = "D1", .where = "safe 2", .who = "li"
    };
    assert_int_equal(catalog_medium_put(s->c, &m, &e), 0);
    m.where = "on the way";
    assert_int_equal(catalog_medium_put(s->c, &m, &e), 0);
    m.label = "D2";
    m.where = "drawer";
    assert_int_equal(catalog_medium_put(s->c, &m, &e), 0);
    assert_int_equal(catalog_media(s->c, "safe", false, see_medium, &seen, &e), 0);
    assert_int_equal(seen.n, 2);
    assert_string_equal(seen.where[0], "drawer");
    assert_string_equal(seen.where[1], "on the way");
    memset(&seen, 0, sizeof seen);
    assert_int_equal(catalog_media(s->c, NULL, true, see_medium, &seen, &e), 0);
    assert_int_equal(seen.n, 3);
}

/* --- alarms and facts ------------------------------------------------------------------------------------------------------- */
struct alarm_seen {
    size_t n;
    struct alarm last;
    char text[32], by[32];
};

static int see_alarm(void *ctx, const struct alarm *a)
{
    struct alarm_seen *seen = ctx;
    if (seen->n++ == 0) {
        seen->last = *a;
        snprintf(seen->text, sizeof seen->text, "%s", a->text);
        snprintf(seen->by, sizeof seen->by, "%s", a->acked_by);
    }
    return 0;
}

static int count_telling(void *ctx, const struct telling *t)
{
    *(int *)ctx += t->ok ? 1 : 100;
    return 0;
}

static struct alarm_seen alarms(struct catalog *c, bool open_only)
{
    struct alarm_seen seen = { 0 };
    struct err e = ERR_INIT;
    assert_int_equal(catalog_alarms(c, open_only, 0, see_alarm, &seen, &e), 0);
    return seen;
}

static void an_alarm_is_raised_once_told_acknowledged_and_cleared(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct alarm a = {
        .key = "rpo/etc", .level = ALARM_WARNING, .text = "old", .roles = "x y", .raised_s = NOW
    };
    uint64_t id = 0, same = 0;
    int told = 0;
    assert_int_equal(catalog_alarm_raise(s->c, &a, &id, &e), 1);
    a.text = "older";
    assert_int_equal(catalog_alarm_raise(s->c, &a, &same, &e), 0);
    assert_int_equal(same, id);
    assert_int_equal(catalog_alarm_told(s->c, id, "mail", "li", false, "refused", NOW + 1, &e), 0);
    assert_int_equal(alarms(s->c, true).last.told, 0);
    assert_int_equal(catalog_alarm_told(s->c, id, "mail", "wang", true, "", NOW + 2, &e), 0);
    assert_int_equal(catalog_alarm_told(s->c, 99, "mail", "wang", true, "", NOW + 2, &e),
                     -ERR_NAME);
    assert_int_equal(catalog_tellings(s->c, id, count_telling, &told, &e), 0);
    assert_int_equal(told, 101);
    assert_int_equal(catalog_alarm_ack(s->c, id, "wang", "phone", NOW + 3, &e), 0);
    assert_int_equal(catalog_alarm_ack(s->c, id, "li", "mail", NOW + 4, &e), 0);
    assert_int_equal(catalog_alarm_ack(s->c, 99, "li", "mail", NOW + 4, &e), -ERR_NAME);
    struct alarm_seen seen = alarms(s->c, true);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.text, "older");
    assert_string_equal(seen.by, "wang");
    assert_int_equal(seen.last.raised_s, NOW);
    assert_int_equal(seen.last.told, 1);
    assert_int_equal(seen.last.told_s, NOW + 2);
    assert_int_equal(seen.last.acked_s, NOW + 3);
    a.level = ALARM_NOTICE;
    assert_int_equal(catalog_alarm_raise(s->c, &a, &same, &e), 0);
    assert_int_equal(alarms(s->c, true).last.acked_s, NOW + 3);
    a.level = ALARM_CRITICAL; /* worse than what was acknowledged */
    assert_int_equal(catalog_alarm_raise(s->c, &a, &same, &e), 0);
    assert_int_equal(alarms(s->c, true).last.acked_s, 0);
    assert_int_equal(alarms(s->c, true).last.told_s, 0);
    assert_int_equal(catalog_alarm_clear(s->c, "rpo/etc", NOW + 5, &e), 1);
    assert_int_equal(catalog_alarm_clear(s->c, "rpo/etc", NOW + 5, &e), 0);
    assert_int_equal(alarms(s->c, true).n, 0);
    assert_int_equal(catalog_alarm_raise(s->c, &a, &same, &e), 1);
    assert_true(same > id);
    assert_int_equal(alarms(s->c, false).n, 2);
}

static void facts_are_kept_and_replaced(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    char value[8] = "";
    assert_int_equal(catalog_fact_get(s->c, "k", value, sizeof value, &e), 0);
    assert_int_equal(catalog_fact_set(s->c, "k", "one", &e), 0);
    assert_int_equal(catalog_fact_set(s->c, "k", "two", &e), 0);
    assert_int_equal(catalog_fact_get(again(s), "k", value, sizeof value, &e), 1);
    assert_string_equal(value, "two");
    assert_int_equal(catalog_fact_set(s->c, "k", "eight letters", &e), 0);
    assert_int_equal(catalog_fact_get(s->c, "k", value, sizeof value, &e), -ERR_LIMIT);
}

static void what_others_write_shows_as_a_change(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct catalog *other = NULL;
    uint64_t before = catalog_changes(s->c);
    assert_int_equal(catalog_changes(s->c), before);
    assert_int_equal(catalog_open(&s->paths, CATALOG_WRITE, &other, &e), 0);
    assert_int_equal(catalog_fact_set(other, "k", "one", &e), 0);
    assert_true(catalog_changes(s->c) != before);
    catalog_close(other);
}

static void only_the_newest_are_kept_and_the_queue_is_not_touched(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    struct run_seen runs = { 0 };
    struct seen jobs = { 0 };
    struct run r = { .kind = "backup", .policy = "p" };
    uint64_t waits = enqueue(s->c, "waits", "1", 1), epoch;
    for (int i = 0; i < 6; i++) {
        char slot[16];
        snprintf(slot, sizeof slot, "s%d", i);
        uint64_t id = enqueue(s->c, "t", slot, 1);
        assert_int_equal(catalog_job_start(s->c, id, "p", NOW * 2LL, &epoch, &e), 0);
        assert_int_equal(catalog_job_end(s->c, id, epoch, JOB_DONE, 0, "", "", 0, &e), 0);
        assert_int_equal(catalog_run_begin(s->c, &r, NULL, &e), 0);
    }
    assert_int_equal(catalog_tidy(s->c, &e), 0);
    assert_int_equal(catalog_runs(s->c, "p", 0, see_run, &runs, &e), 0);
    assert_int_equal(runs.n, 6);
    assert_int_equal(catalog_tidy_to(s->c, 4, 2, &e), 0);
    memset(&runs, 0, sizeof runs);
    assert_int_equal(catalog_runs(s->c, "p", 0, see_run, &runs, &e), 0);
    assert_int_equal(runs.n, 4);
    assert_int_equal(catalog_jobs(s->c, ~0u, 0, see_job, &jobs, &e), 0);
    assert_int_equal(jobs.n, 3);
    assert_int_equal(jobs.ids[0], waits);
}

static void a_catalog_that_was_replaced_is_noticed(void **state)
{
    struct scene *s = *state;
    char path[160], other[176];
    path_of(s, path);
    snprintf(other, sizeof other, "%s.bad", path);
    assert_false(catalog_replaced(s->c));
    assert_int_equal(rename(path, other), 0);
    assert_true(catalog_replaced(s->c));
    again(s);
    assert_false(catalog_replaced(s->c));
}

/* Killed at any time, what was reported as done is there, and the file is whole. */
static int write_for_ever(const struct config_paths *paths, int fd)
{
    struct err e = ERR_INIT;
    struct catalog *c = NULL;
    if (catalog_open(paths, CATALOG_WRITE, &c, &e) < 0)
        return 1;
    for (int i = 0;; i++) {
        struct run r = { .kind = "backup", .policy = "p", .files = (uint64_t)i };
        uint64_t id = 0;
        if (catalog_run_begin(c, &r, &id, &e) < 0 || catalog_run_end(c, id, &r, &e) < 0 ||
            catalog_audit(c, &(struct audit_row){ .who = "w", .action = "run" }, &e) < 0)
            return 2;
        if (write(fd, &id, sizeof id) != sizeof id)
            return 3;
    }
}

static void killed_writers_leave_a_whole_file(void **state)
{
    struct scene *s = *state;
    struct err e = ERR_INIT;
    uint64_t rows, bad, id, last = 0, reported = 0;
    for (int round = 0; round < 12; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0)
            _exit(write_for_ever(&s->paths, fds[1]));
        close(fds[1]);
        for (int i = 0; i <= round % 4; i++)
            assert_int_equal(read(fds[0], &last, sizeof last), sizeof last);
        reported += (uint64_t)(round % 4) + 1;
        usleep((useconds_t)(round * 137)); /* the kill is to come at any point of a transaction */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(fds[0], &id, sizeof id) == sizeof id) {
            last = id;
            reported++;
        }
        close(fds[0]);
        struct run_seen seen = { 0 };
        struct catalog *c = again(s);
        assert_int_equal(catalog_check(c, &e), 0);
        assert_int_equal(catalog_runs(c, "p", 1, see_run, &seen, &e), 0);
        assert_true(seen.last.id >= last);
        assert_int_equal(catalog_audit_verify(c, &rows, &bad, &e), 0);
        assert_true(rows >= reported);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(absent_is_not_made_for_a_reader),
        T(damaged_file_is_recognised_and_kept),
        T(a_database_of_others_is_not_touched),
        T(an_old_schema_is_brought_up_to_date),
        T(a_newer_schema_is_refused),
        T(a_lease_has_one_holder_and_epochs_rise),
        T(leases_of_the_dead_run_out_at_once),
        T(twice_is_once),
        T(jobs_come_by_priority_and_age),
        T(a_job_is_started_once_and_ended_by_its_holder),
        T(a_callback_may_use_the_catalog),
        T(processes_compete_and_each_job_is_done_once),
        T(runs_come_back_newest_first),
        T(the_newest_whole_snapshot_of_each_policy),
        T(a_copy_keeps_when_it_was_current),
        T(the_register_of_media_is_a_history),
        T(an_alarm_is_raised_once_told_acknowledged_and_cleared),
        T(facts_are_kept_and_replaced),
        T(what_others_write_shows_as_a_change),
        T(only_the_newest_are_kept_and_the_queue_is_not_touched),
        T(a_catalog_that_was_replaced_is_noticed),
        T(killed_writers_leave_a_whole_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
