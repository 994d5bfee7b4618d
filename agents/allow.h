/*
 * allow.h - what this host lets an orchestrator have done here: the agent's own file, which no orchestrator can change
 * but by somebody's login to this host (`twofold agent enrol`). A local agent, a child of the orchestrator, needs none.
 *
 *   /etc/twofold/agent.yaml, else ~/.config/twofold/agent.yaml; or --config FILE:
 *     orchestrators:
 *       - name: orch-1a2b3c4d-db1         # stands in the forced command of its key
 *         pins:                           # vaults that may be written for, each with the key that it is sealed to
 *           - vault: 64 hex digits
 *             recovery-public-key: 64 hex digits
 *         allow:
 *           backup: [/etc, /srv]          # these and what is below; also for `diff … live`
 *           restore: [/srv/restored]      # targets of restores: these and what is below
 *           commands: []                  # programs that may be run for a source, lines that may be run around a backup
 *           sources: [postgresql host=/run/postgresql user=postgres]   # KIND and what it is called in the policy, word for word
 *
 * Only its owner (root, or the agent's user) may be able to write the file: else it is refused.
 */
#ifndef TWOFOLD_AGENTS_ALLOW_H
#define TWOFOLD_AGENTS_ALLOW_H

#include "lib/wire/wire.h"

#define MAX_ORCHESTRATORS 16
#define MAX_PINS 64
#define MAX_ALLOWED 1024 /* paths in one list */
#define DEFAULT_RESTORE_FOLDER_OF_ROOT "/var/lib/twofold/restore"
#define DEFAULT_RESTORE_FOLDER_OF_USER ".local/state/twofold/restore" /* below the home folder */

struct pin {
    struct id vault;
    uint8_t recovery_pk[32];
};
struct rules { /* for one orchestrator */
    char *name;
    struct pin pins[MAX_PINS];
    size_t n_pins;
    char **backup, **restore, **commands, **sources; /* backup, restore: absolute, normalised */
    size_t n_backup, n_restore, n_commands, n_sources;
};
struct agent_file {
    char *path;
    struct rules *all[MAX_ORCHESTRATORS];
    size_t n;
};

/* A file that is not there gives an empty one. -ERR_CONFIG with the line of a mistake; -ERR_REFUSED: others may write it. */
int agent_file_load(const char *path, struct agent_file **ret, struct err *e);
void agent_file_free(struct agent_file *f); /* NULL-safe */
/* Makes or replaces the file (mode 0644) and its folder. */
int agent_file_write(const struct agent_file *f, struct err *e);
/* -ERR_REFUSED: there are none for this name. */
int agent_file_find(const struct agent_file *f, const char *name, struct rules **ret,
                    struct err *e);
/* The rules of this name, made when there are none (empty). */
int agent_file_add(struct agent_file *f, const char *name, struct rules **ret, struct err *e);
void agent_file_remove(struct agent_file *f, const char *name);
int rules_add(char ***list, size_t *n, const char *text, struct err *e);
void rules_clear(char ***list, size_t *n);

/* -ERR_REFUSED where the rules do not hold what is asked for. Symbolic links on the way to a path count: it is where the
 * path leads that must be allowed. allow_restore puts that place into m->target, and restricts a comparison to the
 * roots of the snapshot. */
int allow_backup(const struct rules *r, const struct msg_backup *m, struct err *e);
int allow_restore(const struct rules *r, struct msg_restore *m, struct err *e);
/* A command around a run: its whole line (hook_line) must stand in `commands`, arguments too, for they say what it does. */
struct msg_host;
/* Places of databases must be those that may be restored to; to look at them (FACTS) it is enough that they may be backed up: others are taken
 * out of the message, and so are roots. A command as around a run. */
int allow_host(const struct rules *r, struct msg_host *m, struct err *e);
int allow_hook(const struct rules *r, char *const *words, size_t n, struct err *e);

#endif
