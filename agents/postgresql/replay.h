/* replay.h - the log of a server from the end of a backup on, brought to where its recovery finds it. */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_REPLAY_H
#define TWOFOLD_AGENTS_POSTGRESQL_REPLAY_H

#include "agents/postgresql/cluster.h"
#include "agents/postgresql/wal.h"

struct pg_replay {
    bool wanted; /* by the settings: "logs" or "salvage" */
    /* Where recovery is to end, as the server's settings take it; all empty: where the log does. */
    char time[40], lsn[LSN_TEXT_BYTES], point[WAL_POINT_BYTES + 1];
    uint32_t timeline; /* to which; 0: the backup's own */
    uint32_t
        parameters[WAL_PARAMETERS]; /* that the original had in the end; zeros: as in the backup */
    uint64_t expect_lsn;            /* recovery must come at least so far */
};
/* Settings: logs (of any value: what is kept of the log is wanted), and one of at (microseconds since 1970), lsn ("16/B374D848"), point (a
 * named restore point): where to end. Puts the files into pg_wal, and says what was found. -ERR_ABSENT: what was asked for is not in it. */
int pg_bring_log(struct pg_cluster *c, struct pg_replay *ret, struct err *e);

#endif
