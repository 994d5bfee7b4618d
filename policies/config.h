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
 *         url: sftp://backup@10.0.2.7/srv/twofold
 *         host-key: ssh-ed25519 AAAA…  # pinned by `init` or `copy trust`
 *         identity: keys/main-building-2.ssh  # below the configuration's folder; or an absolute path
 *         limit: 20MiB                 # per second; nothing: as fast as it goes
 *         jobs: 4                      # runs that may write to it at once (0: no bound)
 *       - place: safe
 *         url: /media/twofold-a
 *         presence: rotating           # carried: expected only so often, not an alarm in between
 *         every: 7d
 *         deletable: false             # not by a stolen orchestrator: carried away, append-only, locked
 *     min-copies: 1                    # a run that reached fewer has failed; fewer than all: degraded
 *     compression: 3                   # zstd level 1 to 19
 *
 * policies/NAME.yaml:
 *     vault: main                      # optional where there is only one vault
 *     agent: local                     # or the NAME of a file agents/NAME.yaml
 *     files:
 *       paths: [/etc, /home]
 *       exclude: ["*.tmp", /home/x/cache]
 *       one-file-system: false
 *       skip-cache-dirs: true          # folders with a CACHEDIR.TAG
 *     hooks:                           # on the source's host: lists of words, no shell's lines
 *       before: [/usr/local/sbin/freeze-app, --now]   # before anything else; fails: nothing is backed up
 *       after: [/usr/local/sbin/thaw-app]             # when everything is read, and whatever happens
 *       time-limit: 5m                 # of each
 *     class: data                      # data, system, logs (JZ-5.3: kept 92 days at least), secret (LY: no network)
 *     schedule: "*-*-* 02:00:00"       # systemd.time(7), "Calendar events"; nothing: by hand
 *     window: "20:00-06:00"            # runs of the scheduler begin only then (local time)
 *     priority: 50                     # 0 to 100, higher first
 *     retries: 3
 *     limit: 20MiB                     # per second, of this policy's agent
 *     retention: { last: 3, daily: 7, weekly: 5, monthly: 12, yearly: 3, within: 14d }
 *     rpo: 26h                         # status says "overdue" when the newest whole backup is older
 *     rto: 4h                          # how long a restore may take; drills measure it
 *     drill: { every: 365d, to: /srv/drill }   # drill_conf.h
 *     notify: [security-officer]       # roles of contacts.yaml
 *     incident: { first-report: 5m }   # deadlines that differ from the site's (policies/incident_conf.h)
 *     crash: { stop: […], … }          # of the crash procedure (policies/crash_conf.h)
 */
#ifndef TWOFOLD_POLICIES_CONFIG_H
#define TWOFOLD_POLICIES_CONFIG_H

#include "lib/base/err.h"
#include "lib/wire/hooks.h"
#include "lib/wire/source_spec.h"
#include "lib/base/id.h"
#include "policies/incident_conf.h"
#include "lib/crypto/crypto.h"
#include "policies/crash_conf.h"
#include "policies/drill_conf.h"
#include <stdbool.h>
#include <stdint.h>

#define MAX_NAME 64 /* of a policy, vault or place: [A-Za-z0-9][A-Za-z0-9._-]* */
#define MAX_COPIES 8

struct config_paths {
    char *config_dir; /* --config, TWOFOLD_CONFIG, /etc/twofold (root) or ~/.config/twofold */
    char *state_dir;  /* TWOFOLD_STATE, /var/lib/twofold (root) or ~/.local/state/twofold */
};
#define SYSTEM_CONFIG_DIR "/etc/twofold" /* root's; the units that timers start read it */
/* config_opt may be NULL. Nothing is made on disk. Owned: config_paths_done. */
int config_paths_find(const char *config_opt, struct config_paths *ret, struct err *e);
void config_paths_done(struct config_paths *p);
bool config_name_ok(const char *name);
bool duration_parse(const char *text, uint64_t *ret_s); /* 90s 15m 26h 7d, up to 3650d; never 0 */
bool size_parse(const char *text, uint64_t *ret); /* 500KiB 20MiB 1GiB 2TiB, or bytes; never 0 */

#define DEFAULT_EVERY_S ((uint64_t)7 * 86400)
struct copy_conf {
    char *place, *url;
    char *host_key;         /* of an sftp copy, as in authorized_keys; NULL: none is pinned */
    char *identity;         /* file with the private key, absolute; NULL: none */
    uint64_t every_s;       /* of a rotating one */
    uint64_t limit_bytes_s; /* 0: none */
    unsigned jobs;          /* 0: no bound */
    bool rotating;          /* carried away and back; else always expected */
    bool deletable;         /* default true */
};
void copy_conf_done(struct copy_conf *c); /* frees its texts; NULL-safe */

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
/* Changes in vaults/NAME.yaml that keep everything else in it, comments too; nothing is written that would not load. A vault keeps two
 * copies (-ERR_CONFIG), and only the usual form of the file can be changed: "- place: …" and each key on its own line. */
int vault_conf_copy_add(const struct config_paths *p, const char *vault, const struct copy_conf *c,
                        struct err *e);
int vault_conf_copy_remove(const struct config_paths *p, const char *vault, const char *place,
                           struct err *e);
/* One key of one copy ("host-key"), made or replaced. */
int vault_conf_copy_set(const struct config_paths *p, const char *vault, const char *place,
                        const char *key, const char *value, struct err *e);
/* Calls fn with each vault's name, sorted. */
int vault_conf_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                    struct err *e);

/* sftp://[user@]host[:port]/path */
struct sftp_address {
    char *user, *host, *path; /* user NULL: not given; the path normalised */
    unsigned port;
};
/* 1: it is one (owned: sftp_address_done); 0: another kind of address. */
int sftp_address_parse(const char *url, struct sftp_address *ret, struct err *e);
void sftp_address_done(struct sftp_address *a);

/* Two copies may not share a place name, be the same folder, or lie one in the other: -ERR_CONFIG
 * (PY-DB-1). Fewer than two copies likewise. Works before the folders exist. */
int copies_check(const struct copy_conf *c, size_t n, struct err *e);

/* How many snapshots of a source stay (policies/retention.h decides). All zero: everything stays. */
struct retention {
    unsigned last, hourly, daily, weekly, monthly, yearly;
    uint64_t within_s;
};

enum policy_class { CLASS_DATA, CLASS_SYSTEM, CLASS_LOGS, CLASS_SECRET };
#define LOGS_FLOOR_S ((uint64_t)92 * 86400)    /* JZ-5.4: three months or longer */
#define LOGS_DEFAULT_S ((uint64_t)184 * 86400) /* GB/T 22239: six months */

/* What a right backup has; one that has less goes to quarantine. 0: not asked. */
struct policy_checks {
    unsigned min_files;
    uint64_t min_bytes;
    unsigned max_shrink_percent; /* fewer files, or fewer bytes, than the newest good backup */
};

struct policy {
    char *name, *vault, *agent; /* vault: "" where the file names none */
    char **paths;               /* absolute, normalised: no //, no ., no .., no trailing / */
    size_t n_paths;
    char **exclude;
    size_t n_exclude;
    bool one_file_system, skip_cache_dirs;
    enum source_delta delta; /* of files */
    struct source_spec
        *sources; /* what is no tree of files (policies/sources.h); paths may be empty then */
    size_t n_sources;
    struct hooks hooks;
    struct drill_conf drill;
    uint64_t rpo_s; /* default 26 h */
    uint64_t rto_s; /* 0: none is set */
    enum policy_class class;
    char *schedule;             /* OnCalendar of systemd; NULL: by hand */
    char *window;               /* "HH:MM-HH:MM"; NULL: always */
    unsigned priority, retries; /* 50, 3 */
    uint64_t limit_bytes_s;
    struct retention retention;
    struct policy_checks checks;
    struct crash_conf crash;
    char **notify; /* roles */
    size_t n_notify;
    struct incident_conf incident; /* 0 where the site's holds */
};
#define DEFAULT_PRIORITY 50
#define MAX_PRIORITY 100
#define MAX_KEPT 100000 /* by one rule of retention */
#define MAX_CHECKED_FILES 4000000000u
#define DEFAULT_RETRIES 3
#define MAX_RETRIES 100
struct policy *policy_new(
    const char *name); /* with all defaults and no paths; NULL without memory */
/* "files", the kind of its one source, or "set": what a snapshot of it is called. */
const char *policy_kind(const struct policy *pol);
const char *policy_class_name(enum policy_class c);
bool policy_class_parse(const char *name, enum policy_class *ret);
/* "HH:MM-HH:MM" in minutes of the day; the second may be less than the first (over midnight). */
bool window_parse(const char *text, unsigned *ret_from_min, unsigned *ret_to_min);
/* Whether it may be a calendar expression: its characters only; systemd-analyze knows (lint asks it). */
int schedule_check(const char *text, struct err *e);
#define DEFAULT_SCHEDULE \
    "*-*-* 02:00:00" /* of `policy add`; the timers spread what begins together */
/* What `policy add` writes where nothing was asked for: daily 7, weekly 5, monthly 12, within 3 days; logs: within 184 days. */
struct retention retention_default(enum policy_class c);
int policy_load(const struct config_paths *p, const char *name, struct policy **ret, struct err *e);
void policy_free(struct policy *pol);
/* Writes policies/NAME.yaml with comments; -ERR_EXISTS when it is there. */
int policy_write(const struct config_paths *p, const struct policy *pol, struct err *e);
int policy_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                struct err *e);

/* --- agents on other hosts: agents/NAME.yaml, written by `agent enrol` ----------------------------------
 *     host: db1.example                # name or address
 *     port: 22
 *     user: twofold
 *     transport: openssh               # or libssh2
 *     host-key: ssh-ed25519 AAAA…      # pinned; a list of several is not taken: the one that was seen
 *     rotation: 1                      # of the deduplication key; each enrolment takes the next
 *     jobs: 1                          # sessions at once
 *     limit: 20MiB                     # per second, over all its sessions
 *     revoked: true                    # what `agent revoke` leaves, so that the rotation never goes back
 * The private key is CONFIG/keys/agent-NAME.ssh (0600), made for this agent alone. "local" is never a file. */
enum agent_transport { TRANSPORT_OPENSSH, TRANSPORT_LIBSSH2 };
struct agent_conf {
    char *name, *host, *user, *host_key, *identity;
    unsigned port, rotation, jobs;
    bool revoked;
    enum agent_transport transport;
    uint64_t limit_bytes_s;
};
int agent_conf_load(const struct config_paths *p, const char *name, struct agent_conf **ret,
                    struct err *e);
void agent_conf_free(struct agent_conf *a);
/* Makes or replaces the file. */
int agent_conf_write(const struct config_paths *p, const struct agent_conf *a, struct err *e);
int agent_conf_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                    struct err *e);

/* --- lint ------------------------------------------------------------------------------------------------ */
enum lint_level { LINT_NOTE, LINT_WARNING, LINT_ERROR };
struct lint_finding {
    enum lint_level level;
    bool error;       /* level is LINT_ERROR */
    const char *duty; /* a row of the requirements ("PY-DB-1"), or "" */
    char file[256];
    int line; /* 0: the whole file */
    char text[512];
};
typedef void lint_fn(void *ctx, const struct lint_finding *f);
/* Checks all vaults, agents, policies, contacts.yaml and twofold.yaml; returns the number of errors, or a negative code.
 * Findings: what the loaders refuse, and
 *   PY-DB-1      fewer than two copies; two copies on one device or host; all in this machine
 *   3-2-1-1-0    no copy that whoever steals this machine could not delete
 *   LY, LY-2.2   class secret over a network; a host without a pinned key; keys that others may read
 *   SMX-6        no schedule; an RPO over 26 h, or shorter than the schedule's interval; a window that is always missed
 *   JZ-5.4       logs kept under 92 days (error) or 184 days (note)
 *   PY-SW-1      backups of less than several days
 *   PY-8.3       no drills, or seldom ones; a scratch folder in what is backed up
 *   PY-AB        a role without an A or B person; a role in notify: that does not exist
 *   PY-contacts  contacts that were not looked through in time; nobody to be reached
 * and without a duty: unknown vaults and agents, a schedule that systemd does not understand (asked: systemd-analyze),
 * paths that do not exist, no retention, files that others may write. */
int policy_lint(const struct config_paths *p, lint_fn *fn, void *ctx, struct err *e);

#endif
