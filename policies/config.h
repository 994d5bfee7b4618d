/*
 * config.h - what people write: vaults/NAME.yaml (a vault and its copies; made by `init`) and
 * policies/NAME.yaml (what is backed up). Parsed with libcyaml; every mistake is named with file and line.
 *
 *   /etc/twofold/vaults/main.yaml             /etc/twofold/policies/etc.yaml
 *   /etc/twofold/keys/main.op        0600     operational key and signing key, see lib/vault/keys.h
 *   /etc/twofold/keys/main.recovery  0600     recovery key, only where the operator chose so
 *
 * vaults/NAME.yaml:
 *     id: 64 hex digits
 *     suite: 1
 *     recovery-public-key: hex        # the trust anchors: taken from here, never from a copy
 *     signing-public-key: hex
 *     root-public-key: hex             # signs the vault object
 *     copies:
 *       - place: machine-room
 *         url: /backup/a
 *       - place: building-2
 *         url: /mnt/b
 *     min-copies: 1                    # a run that reached fewer has failed; fewer than all: degraded
 *     compression: 3                   # zstd level 1 to 19
 *
 * policies/NAME.yaml:
 *     vault: main                      # optional where there is only one vault
 *     agent: local                     # the only one for now
 *     files:
 *       paths: [/etc, /home]
 *       exclude: ["*.tmp", /home/x/cache]
 *       one-file-system: false
 *       skip-cache-dirs: true          # folders with a CACHEDIR.TAG
 *     rpo: 26h                         # status says "overdue" when the newest whole backup is older
 */
#ifndef TWOFOLD_POLICIES_CONFIG_H
#define TWOFOLD_POLICIES_CONFIG_H

#include "lib/base/err.h"
#include "lib/base/id.h"
#include "lib/crypto/crypto.h"
#include <stdbool.h>
#include <stdint.h>

#define MAX_NAME 64 /* of a policy, vault or place: [A-Za-z0-9][A-Za-z0-9._-]* */
#define MAX_COPIES 8

struct config_paths {
    char *config_dir; /* --config, TWOFOLD_CONFIG, /etc/twofold (root) or ~/.config/twofold */
    char *state_dir;  /* TWOFOLD_STATE, /var/lib/twofold (root) or ~/.local/state/twofold */
};
/* config_opt may be NULL. Nothing is made on disk. Owned: config_paths_done. */
int config_paths_find(const char *config_opt, struct config_paths *ret, struct err *e);
void config_paths_done(struct config_paths *p);
bool config_name_ok(const char *name);

struct copy_conf {
    char *place, *url;
};

struct vault_conf {
    char *name;
    struct id id;
    unsigned suite;
    uint8_t recovery_pk[PUBLIC_KEY_BYTES], signing_pk[PUBLIC_KEY_BYTES], root_pk[PUBLIC_KEY_BYTES];
    struct copy_conf copies[MAX_COPIES];
    size_t n_copies;
    unsigned min_copies, compression;
};
/* -ERR_CONFIG with "FILE, line N: …" for a mistake; -ERR_ABSENT when there is no such vault (next: the
 * names that there are). name NULL: the only one there is. */
int vault_conf_load(const struct config_paths *p, const char *name, struct vault_conf **ret,
                    struct err *e);
void vault_conf_free(struct vault_conf *v);
/* Writes vaults/NAME.yaml with comments that explain each field; -ERR_EXISTS when it is there. */
int vault_conf_write(const struct config_paths *p, const struct vault_conf *v, struct err *e);
/* Calls fn with each vault's name, sorted. */
int vault_conf_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                    struct err *e);

/* Two copies may not share a place name, be the same folder, or lie one in the other: -ERR_CONFIG
 * (PY-DB-1). Fewer than two copies likewise. Works before the folders exist. */
int copies_check(const struct copy_conf *c, size_t n, struct err *e);

struct policy {
    char *name, *vault, *agent; /* vault: "" where the file names none */
    char **paths;               /* absolute, normalised: no //, no ., no .., no trailing / */
    size_t n_paths;
    char **exclude;
    size_t n_exclude;
    bool one_file_system, skip_cache_dirs;
    uint64_t rpo_s; /* default 26 h */
};
int policy_load(const struct config_paths *p, const char *name, struct policy **ret, struct err *e);
void policy_free(struct policy *pol);
/* Writes policies/NAME.yaml with comments; -ERR_EXISTS when it is there. */
int policy_write(const struct config_paths *p, const struct policy *pol, struct err *e);
int policy_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                struct err *e);

/* One finding of lint. */
struct lint_finding {
    bool error;       /* else a warning */
    const char *duty; /* "PY-DB-1", or "" */
    char file[256];
    int line; /* 0: the whole file */
    char text[512];
};
typedef void lint_fn(void *ctx, const struct lint_finding *f);
/* Checks all vaults and policies; returns the number of errors, or a negative code. Findings: what the
 * loaders refuse, fewer than two copies, two copies on one device (PY-DB-1), unknown vault, paths that
 * do not exist (warning), an RPO over 26 h (SMX-6, warning), a policy without sources. */
int policy_lint(const struct config_paths *p, lint_fn *fn, void *ctx, struct err *e);

#endif
