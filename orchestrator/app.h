/*
 * app.h - what every command gets, and the table of commands. A command parses its own arguments with getopt_long, prints
 * through ui.h, and returns an exit status (cli.md: 0 done, 1 failed, 2 usage or configuration, 3 done but not all of it,
 * 4 damage, 5 refused, 6 escalated, 130 interrupted).
 */
#ifndef TWOFOLD_ORCHESTRATOR_APP_H
#define TWOFOLD_ORCHESTRATOR_APP_H

#include "orchestrator/ui.h"
#include "policies/config.h"
#include "restore/vault.h"

struct app {
    struct config_paths paths;
    struct ui ui;
    const char *program; /* argv[0] */
    uint64_t job;    /* --job: the job of the catalog that this command is run for; 0: by hand */
    bool unrecorded; /* the catalog cannot be written, and that was said (record.h) */
};

struct command {
    const char *name;
    int (*run)(struct app *app, int argc, char **argv); /* argv[0] is the command's name */
    const char *usage;   /* "POLICY… [--quarantine]", untranslated */
    const char *summary; /* N_() */
};

int cmd_init(struct app *app, int argc, char **argv);
int cmd_policy(struct app *app, int argc, char **argv);
int cmd_agent(struct app *app, int argc, char **argv);
int cmd_backup(struct app *app, int argc, char **argv);
int cmd_status(struct app *app, int argc, char **argv);
int cmd_snapshots(struct app *app, int argc, char **argv);
int cmd_ls(struct app *app, int argc, char **argv);
int cmd_find(struct app *app, int argc, char **argv);
int cmd_diff(struct app *app, int argc, char **argv);
int cmd_restore(struct app *app, int argc, char **argv);
int cmd_export(struct app *app, int argc, char **argv);
int cmd_scrub(struct app *app, int argc, char **argv);
int cmd_repair(struct app *app, int argc, char **argv);
int cmd_replicate(struct app *app, int argc, char **argv);
int cmd_check(struct app *app, int argc, char **argv);
int cmd_crash(struct app *app, int argc, char **argv);
int cmd_logs(struct app *app, int argc, char **argv);
int cmd_jobs(struct app *app, int argc, char **argv);
int cmd_enqueue(struct app *app, int argc, char **argv);
int cmd_pause(struct app *app, int argc, char **argv);
int cmd_resume(struct app *app, int argc, char **argv);
int cmd_cancel(struct app *app, int argc, char **argv);
int cmd_schedule(struct app *app, int argc, char **argv);
int cmd_prune(struct app *app, int argc, char **argv);
int cmd_hold(struct app *app, int argc, char **argv);
int cmd_adopt(struct app *app, int argc, char **argv);
int cmd_catalog(struct app *app, int argc, char **argv);
int cmd_audit(struct app *app, int argc, char **argv);
int cmd_alarms(struct app *app, int argc, char **argv);
int cmd_notify(struct app *app, int argc, char **argv);
int cmd_drill(struct app *app, int argc, char **argv);
int cmd_metrics(struct app *app, int argc, char **argv);
int cmd_page(struct app *app, int argc, char **argv);
int cmd_report(struct app *app, int argc, char **argv);
int cmd_copy(struct app *app, int argc, char **argv);
int cmd_media(struct app *app, int argc, char **argv);
int cmd_version(struct app *app, int argc, char **argv);

/* Prints "twofold: COMMAND: why" as a usage error with the command's usage as the next step; returns 2. */
int app_usage(struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- shared by commands (orchestrator/open.c) ---------------------------------------------------------------- */
/* Where a reading command takes its vault from: the options --vault NAME, --copy URL, --recovery-file F,
 * --passphrase-file F, --identity F, --host-key KEY. */
struct vault_choice {
    const char *vault, *copy, *recovery_file, *passphrase_file;
    const char *identity, *host_key; /* of a --copy on another host */
    const char *what; /* is done with it, for others who wait: "backup of etc"; NULL: the command */
    const char *source; /* that is written ("etc/files"), if it is one */
    bool hurry;         /* what is read must not wait for a copy that hangs: vault_open_options */
    const char *lose;   /* the place of a copy that counts as gone, for a drill; NULL: none */
};
/* Opens the vault (by configuration, or from the copy alone) and warns about copies with problems. need_recovery: the
 * recovery key is loaded too: from keys/NAME.recovery, else by the recovery object and a passphrase. */
int app_open_vault(struct app *app, const struct vault_choice *c, bool write, bool need_recovery,
                   struct vault **ret, struct err *e);
/* The vault of a policy: loads the policy and the vault's configuration. With --copy (c->copy) only the name counts. */
int app_open_policy(struct app *app, const char *policy, const struct vault_choice *c, bool write,
                    bool need_recovery, struct policy **ret_policy, struct vault **ret,
                    struct err *e);

/* "POLICY/files": the source of a policy. */
void source_name(const char *policy, char out[MAX_FORMAT_NAME + 1]);
/* SNAPSHOT of cli.md: an id prefix (8 or more hex digits), "latest", or POLICY@TIME (the newest not after it); `policy` may be
 * NULL when the snapshot says it all. "latest" and NULL: the newest whole one (with a warning, the newest partial one
 * where there is no whole one). *ret_source (borrowed from the vault) may be NULL. */
int app_find_snapshot(struct app *app, struct vault *v, const char *policy, const char *snapshot,
                      const struct snap_ref **ret, const char **ret_source, struct err *e);
/* ISO 8601, "2026-11-21", "2026-11-21 02:30[:00]", "now", "-2h", "yesterday", "@1763700000". */
int parse_time(const char *text, int64_t *ret_ns, struct err *e);
int find_copy(const struct vault *v, const char *place, int *ret,
              struct err *e); /* index of a place */

#endif
