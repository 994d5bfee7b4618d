/*
 * crash_conf.h - `crash:` of a policy: what the crash procedure (docs/crash.md) runs on the host of the data, how long its steps may take,
 * and who must agree. All of it is optional: where there is no command a person does it, and says so at a gate.
 *
 *     crash:
 *       stop: [/usr/bin/systemctl, stop, postgresql]    # on the source's host: lists of words, no shell's lines
 *       start: [/usr/bin/systemctl, start, postgresql]
 *       isolate: [/usr/local/sbin/off-the-network]      # attack (SMX-9.1)
 *       scan: [/usr/bin/clamscan, -r, --infected]       # before data go back (SMX-10.7); the restored folder is its last argument
 *       standby:                                        # SMX-12.2; commands for PostgreSQL: policies/standby
 *         on: db2                                       # an agent
 *         fence: [...]                                  # on the host of the data: it takes no more writes; fenced: is that so?
 *         promote: [...]                                # on the standby: it takes writes; position: how far its log is
 *         check: [...]
 *         switch: [...]                                 # clients go to the host on which it is run
 *         reseed: [...]                                 # a host follows the one that takes writes
 *         sync: [...]                                   # commits wait for the other host again
 *         switch-back: [...]                            # in place of `switch`, on the host of the data
 *       limits: { restore: 4h, gate: 30m }              # how long steps may take
 *       approve: two                                    # destructive steps need a second operator
 *       strict: false                                   # true: a copy with damage is dropped whole (PY-DB-5 to the letter)
 */
#ifndef TWOFOLD_POLICIES_CRASH_CONF_H
#define TWOFOLD_POLICIES_CRASH_CONF_H

#include "lib/base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crash_command { /* owned; n 0: there is none */
    char **words;
    size_t n;
};
enum crash_command_kind { CRASH_STOP, CRASH_START, CRASH_ISOLATE, CRASH_SCAN, CRASH_COMMANDS };
enum standby_command_kind {
    STANDBY_FENCE,
    STANDBY_FENCED,
    STANDBY_PROMOTE,
    STANDBY_POSITION,
    STANDBY_CHECK,
    STANDBY_SWITCH,
    STANDBY_RESEED,
    STANDBY_SYNC,
    STANDBY_SWITCH_BACK,
    STANDBY_COMMANDS
};
enum crash_limit {
    LIMIT_NOTIFY,  /* 10m: somebody is told */
    LIMIT_ISOLATE, /* 10m */
    LIMIT_STOP,    /* 10m */
    LIMIT_STANDBY, /* 15m, each of its commands */
    LIMIT_SCENE,   /* 1h */
    LIMIT_FACTS,   /* 5m */
    LIMIT_GATE,    /* 30m: an answer */
    LIMIT_RESTORE, /* `rto` of the policy, else 4h; each attempt */
    LIMIT_SCAN,    /* 2h */
    LIMIT_START,   /* 10m */
    LIMIT_CHECK,   /* 30m */
    LIMIT_RESEED,  /* 12h */
    CRASH_LIMITS
};
#define MAX_CRASH_LIMIT_S 86400
/* As they stand in the file: "switch-back". */
const char *crash_command_key(enum crash_command_kind k);
const char *standby_command_key(enum standby_command_kind k);
const char *crash_limit_key(enum crash_limit k);

struct crash_conf {
    bool set; /* the policy has the section */
    struct crash_command command[CRASH_COMMANDS];
    char *standby_on; /* owned; NULL: there is no standby */
    struct crash_command standby[STANDBY_COMMANDS];
    uint64_t limit_s[CRASH_LIMITS]; /* 0: crash_limit_s's default */
    bool approve_two, strict;
};
void crash_conf_done(struct crash_conf *c); /* leaves it empty */
/* rto_s: of the policy, 0: none. */
uint64_t crash_limit_s(const struct crash_conf *c, enum crash_limit k, uint64_t rto_s);
/* As in the file, limits in seconds: for the settings of an incident. NULL without memory. */
json_t *crash_conf_json(const struct crash_conf *c);
/* Back, as far as it is right; *ret is the caller's, also on failure (-ERR_NOMEM). */
int crash_conf_from_json(const json_t *o, struct crash_conf *ret, struct err *e);

#endif
