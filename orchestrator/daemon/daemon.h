/*
 * daemon.h - twofoldd: takes due jobs from the catalog, runs each as a process of its own, and records how it ended. One loop around
 * poll(), no threads; whatever may hang (an address to ping, a backup) is another process.
 *
 * It wakes up when the bell rings (queue.h), a process says something or ends, a job's time comes, and every few seconds to ask the
 * catalog for its number of changes. SIGHUP, or a changed file: the configuration is read again. SIGTERM: nothing more is started,
 * what runs is asked to end and is queued again.
 *
 * Without a catalog (locked, damaged, on a full disk) it goes on, says so, and tries again.
 */
#ifndef TWOFOLD_ORCHESTRATOR_DAEMON_DAEMON_H
#define TWOFOLD_ORCHESTRATOR_DAEMON_DAEMON_H

#include "policies/config.h"

struct daemon_options {
    const struct config_paths *paths;
    unsigned lease_s; /* of a running job: after a crash it waits so long before it is run again */
    unsigned grace_s; /* for what runs, when we are to stop */
};
#define DAEMON_LEASE_S 60
#define DAEMON_GRACE_S 60

/* Until a signal ends it. -ERR_BUSY: there is one already. Signals must be blocked by daemon_block_signals before. */
int daemon_run(const struct daemon_options *o, struct err *e);
void daemon_block_signals(void);
/* Asks for the address on standard input, once, and waits at most 20 s for an answer: what a process of its own does. */
int heartbeat_ping(struct err *e);

#endif
