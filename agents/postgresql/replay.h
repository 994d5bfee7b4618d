/* replay.h - the log of a server from the end of a backup on, brought to where its recovery finds it. */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_REPLAY_H
#define TWOFOLD_AGENTS_POSTGRESQL_REPLAY_H

#include "agents/postgresql/cluster.h"

struct pg_replay {
    bool wanted; /* by the settings: "logs" */
    char target
        [256]; /* lines for the configuration: where recovery is to end; empty: where the log does */
    uint64_t expect_lsn; /* recovery must come at least so far */
};
/* Settings: logs (of any value: what is kept of the log is wanted), and one of at (microseconds since 1970), lsn ("16/B374D848"), point (a
 * named restore point): where to end. Puts the files into pg_wal, and says what was found. -ERR_ABSENT: what was asked for is not in it. */
int pg_bring_log(struct pg_cluster *c, struct pg_replay *ret, struct err *e);

#endif
