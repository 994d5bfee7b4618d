/*
 * restore_kit.h - an orchestrator in memory for tests of the restore side of the agent: a snapshot
 * built entry by entry with the product's own writer, served over a socket pair to a child that
 * runs agent_restore.
 *
 *     int main(int argc, char **argv) { rk_maybe_agent(argc, argv); return cmocka_run_group_tests(...); }
 *     struct rk *k = rk_new();
 *     rk_dir(k, "a", 0755);  rk_file(k, "a/f", "hello", 5);  ...            in path order
 *     struct rk_job job = { .target = dir };
 *     rk_restore(k, &job);    looks at job.rc, job.done, rk_note(&job, "/a/f") ...
 *     rk_job_done(&job);  rk_free(k);
 *
 * The child is this program again, so that TWOFOLD_FAULT can be set for it alone.
 */
#ifndef TWOFOLD_TESTS_RESTORE_KIT_H
#define TWOFOLD_TESTS_RESTORE_KIT_H

#include "agents/apply.h"
#include "lib/vault/manifest.h"

void rk_maybe_agent(int argc, char **argv); /* does not return in the child */

struct rk;
struct rk *rk_new(void);
void rk_free(struct rk *k);
void rk_root(struct rk *k, const char *path);              /* by default one: "/" */
struct id rk_chunk(struct rk *k, const void *p, size_t n); /* stores it, sealed */
/* Owner: whoever runs the test, unless rk_owner. Mode 0644 (folder 0755), mtime
 * 1700000000.123456789. */
struct entry rk_entry(const struct rk *k, enum entry_type type, const char *path);
void rk_add(struct rk *k, const struct entry *en);
void rk_dir(struct rk *k, const char *path, unsigned mode);
struct id rk_file(struct rk *k, const char *path, const void *p, size_t n); /* returns its chunk */
void rk_symlink(struct rk *k, const char *path, const char *target);
void rk_link(struct rk *k, const char *path, const char *target);
void rk_leaf(struct rk *k);  /* ends the leaf; else when it is full */
void rk_index(struct rk *k); /* ends leaf and index chunk */
/* A leaf of its own with one symbolic link of this path, without the writer's checks. `first`: its
 * path in the index. */
void rk_raw_symlink(struct rk *k, const char *path, const char *target, const char *first);
void rk_lose(struct rk *k, const struct id *id, enum chunk_status status);
void rk_spoil(struct rk *k, const struct id *id, unsigned copies); /* so many copies do not open */
void rk_lose_last_leaf(struct rk *k);

void rk_owner(struct rk *k, unsigned uid, unsigned gid); /* of entries made from now on */

struct rk_note {
    bool problem;
    char *path, *text;
};
struct rk_diff {
    char change;
    unsigned what;
    char *path;
};
struct rk_job {
    /* what to do */
    const char *target, *fault; /* fault: TWOFOLD_FAULT of the agent, or NULL */
    enum restore_mode mode;
    bool overwrite, strip_source;
    bool delta; /* with overwrite */
    bool set_aside;
    const char *paths[8], *exclude[8];
    struct id snapshot;
    size_t kill_after;                         /* SIGKILL when so many chunks were sent; 0: never */
    unsigned uid;                              /* run as this user, 0: as we are */
    void (*before_chunk)(void *ctx, size_t n); /* called before the n-th chunk is sent */
    void *ctx;
    /* what came of it */
    int rc, status; /* 0, or the negative code of `err`; -1: the agent ended without a word */
    struct err err;
    struct msg_done done;
    struct rk_note *notes;
    size_t n_notes, n_gets, n_bads, n_progress, chunks_sent;
    struct rk_diff *diffs;
    size_t n_diffs;
};
void rk_restore(struct rk *k, struct rk_job *job);
void rk_job_done(struct rk_job *job);
const struct rk_note *rk_note(const struct rk_job *job,
                              const char *path); /* problem about it, or NULL */
const struct rk_diff *rk_diff(const struct rk_job *job, const char *path);
size_t rk_problems(const struct rk_job *job);

/* --- folders of a test ------------------------------------------------------------------------ */
/* A setup and teardown for cmocka: *state is a new folder's path; it must be gone afterwards. */
int rk_setup(void **state);
int rk_teardown(void **state);
/* "<folder>/<path>", good until the teardown. */
const char *rk_path(const char *dir, const char *path);
void rk_write(const char *path, const void *p, size_t n);
bool rk_exists(const char *path);
/* Asserts that it is a regular file of this content. */
void rk_holds(const char *path, const void *p, size_t n);
size_t rk_count(const char *dir, const char *prefix); /* names in the folder that begin so */
void rk_waits_for(const char *path);                  /* until it exists; fails after a minute */

#endif
