/*
 * host.h - what is done on the host of a policy's data beside backups and restores: by its agent, within what that host allows
 * (agents/allow.h). Each is one conversation (FRAME_HOST, docs/protocol.md); notes are printed as they come.
 *
 *     struct host_job j = { .policy = p };                agent and sources are the policy's
 *     host_facts(app, &j, &facts, e);
 *     host_run(app, &j, words, n, limit_s, &result, e);
 *     host_scene(app, &j, incident_id, &scene, e);
 */
#ifndef TWOFOLD_ORCHESTRATOR_HOST_H
#define TWOFOLD_ORCHESTRATOR_HOST_H

#include "orchestrator/app.h"
#include "orchestrator/look.h"

struct host_job {                /* borrowed */
    const struct policy *policy; /* NULL: only host_clear_folder, with an agent */
    const char *agent;           /* NULL: the policy's */
    const char *incident; /* its name, which a command is told (TWOFOLD_INCIDENT); may be NULL */
    const json_t *backup; /* what host_backup_facts says; NULL: places are what the policy names */
};

/* Where the data of a backup's databases lay, their versions: {"postgresql": {…facts.json…}}. Needs the recovery key. from: the only copy
 * to read, or -1. *ret is owned. */
int host_backup_facts(struct vault *v, const struct snap_ref *snap, int from, json_t **ret,
                      struct err *e);
#define MAX_BACKUP_FACTS (16u << 20)

/*
 * How the host is. *ret (owned): {"host", "at" (our clock, seconds), "facts": [
 *   {"fact": NAME, "place": PATH or "", "verdict": "good" | "doubtful" | "bad" | "unknown", "text": for people, …its own fields}]}
 *
 *   clock       difference_s: its clock minus ours
 *   memory      total_bytes, available_bytes
 *   space       of each place that data lie in: there, total_bytes, free_bytes, used_bytes (what lies there now; -1: too much to count)
 *   filesystem  of each place: type, device, read_only, errors (ext4's own count; -1: it has none)
 *   disk        of each disk below: disk, errors (what the device counts; -1: it does not), array ("degraded", "clean" or "")
 *   kernel      errors of disks in the kernel's log: lines (-1: it cannot be read), newest
 *   programs    of each database: kind, path, wanted (the version of the backup)
 *   server      of each database: kind, running
 *
 * A place that the host does not let us look at is not among them.
 */
int host_facts(struct app *app, const struct host_job *j, json_t **ret, struct err *e);

/* One command of the policy, its words as they stand there; the agent's `commands` must hold the line. */
struct host_result {
    int status; /* its exit status; 128 + N: ended by signal N */
    bool timed_out;
    uint64_t ms;
    char *output; /* owned; the last of what it said, out and error; NUL-terminated */
};
/* Words as those of hooks (lib/wire/hooks.h): the program's whole path first. limit_s: at most MAX_COMMAND_LIMIT_S; 0: DEFAULT_HOOK_LIMIT_S.
 * 0: it has run, whatever its status. -ERR_REFUSED: that host does not allow it; -ERR_ABSENT: no such program. */
int host_run(struct app *app, const struct host_job *j, char *const *words, size_t n,
             unsigned limit_s, struct host_result *ret, struct err *e);
void host_result_done(struct host_result *r);

/*
 * Sets the scene aside: what lies in the places of the policy's databases (PostgreSQL with its tablespaces, MariaDB's data folder, files
 * of SQLite) is renamed, within its file system, into a folder named after the incident; nothing is deleted, nothing replaced.
 * Roots of files stay: a restore in place sets aside what it replaces there. Called again it goes on, or finds it done.
 * -ERR_BUSY: a server works on it. *ret (owned): {"places": [{"kind", "place", "scene", "files", "bytes", "newest" (seconds), "moved" (false: it was
 * done before, or the place was not there: then scene is "")}]}.
 * In a restore the scene of a kind is what `salvage` of struct db_options names.
 */
int host_scene(struct app *app, const struct host_job *j, const char *incident, json_t **ret,
               struct err *e);
/* The same (below) in one folder of files. */
int host_clear_folder(struct app *app, const struct host_job *j, const char *folder, struct err *e);
/* Takes away what earlier restores in place brought and did not put into service (folders .twofold-restore-… in these places): all but that of the
 * backup `keep` (may be NULL), with which a restore that was cut off goes on. One on which a server was started (a verification that failed) goes
 * in any case; tried_only: nothing else. *ret_bytes (may be NULL): how much that was. */
int host_clear(struct app *app, const struct host_job *j, bool tried_only, const struct id *keep,
               uint64_t *ret_bytes, struct err *e);
/* Takes away the folder of a drill (its last part is the drill's name), which that host must allow as a target of restores. */
int host_drop(struct app *app, const struct host_job *j, const char *folder, const char *drill,
              struct err *e);

#endif
