/* inner.h - the state of twofoldd, shared by the files that are its parts. */
#ifndef TWOFOLD_ORCHESTRATOR_DAEMON_INNER_H
#define TWOFOLD_ORCHESTRATOR_DAEMON_INNER_H

#include "orchestrator/daemon/child.h"
#include "orchestrator/daemon/daemon.h"
#include "orchestrator/watch/watch.h"

#define OWNER_BYTES 128

/* Copies that are carried and are here now: "VAULT/PLACE". */
struct present {
    char (*names)[2 * MAX_NAME + 2]; /* owned */
    size_t n;
};

struct heartbeat {
    uint64_t next_ms;
    pid_t ping; /* 0: none is under way */
    uint64_t ping_until_ms;
    bool file_failed, ping_failed; /* was said */
};

struct daemon {
    const struct config_paths *paths;
    struct site *site; /* NULL: it could not be read yet */
    struct catalog *c; /* NULL: not open */
    uint64_t changes;
    int64_t wake_s; /* when a job's time comes; 0: none waits for that */
    struct child **children;
    size_t n_children, cap_children, n_queued;
    uint64_t stop_ms; /* until when what runs may take to end */
    uint64_t next_catalog_ms, next_changes_ms, next_config_ms, next_recover_ms, next_carried_ms;
    uint64_t watchdog_ms, next_watchdog_ms; /* 0: nobody watches */
    int64_t clock_offset_s;
    struct watch *watch; /* NULL: it could not be made */
    uint64_t next_watch_ms;
    struct present present;
    struct heartbeat heartbeat;
    unsigned lease_s, grace_s;
    int lock, signals, bell;
    bool dirty; /* the queue is to be looked at again */
    bool stopping;
    bool catalog_failed, watch_failed; /* was said */
    char owner[OWNER_BYTES], status[256];
};

/* Once, at the boundary: to the journal with fields where we run under it, else to standard error. priority as in syslog.h. */
void daemon_log(int priority, const struct child *about, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void daemon_log_err(int priority, const struct child *about, const char *doing,
                    const struct err *e);

/* --- work.c: the queue and what runs ------------------------------------------------------------------------- */
/* The catalog is opened, what runs is tended (leases, wishes, ends), and jobs whose process died come back. */
void work_tend(struct daemon *d, uint64_t now_ms);
void work_look(struct daemon *d); /* starts what may start */
void work_stop(struct daemon *d);
void work_done(struct daemon *d);

/* --- carried.c: a carried copy that has come is caught up at once ------------------------------------------------ */
void carried_look(struct daemon *d);
void carried_done(struct daemon *d);

/* --- heartbeat.c --------------------------------------------------------------------------------------------------- */
void heartbeat_tick(struct daemon *d, uint64_t now_ms);
void heartbeat_done(struct daemon *d);

#endif
