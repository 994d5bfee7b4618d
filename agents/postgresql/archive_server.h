/*
 * archive_server.h - what the one who takes a server's log from a folder asks the server itself: which system it is, how far it is, whether
 * it can archive. No replication connection is needed for that.
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_ARCHIVE_SERVER_H
#define TWOFOLD_AGENTS_POSTGRESQL_ARCHIVE_SERVER_H

#include "agents/postgresql/inner.h"

struct archive_server {
    const struct source_spec *spec;
    const struct source_env *env;
    PGconn *sql;     /* NULL: it does not answer (any more), */
    struct err down; /* and why */
    uint64_t system, segment_bytes;
    uint32_t timeline;
    uint64_t head; /* how far it is */
    uint64_t
        need; /* with so much of its log all is there that was committed by now: what came since ended no transaction */
    bool standby;
    /* its own */
    uint64_t xid, asked_ms, timeout_s;
    uint64_t xid_ms, segment,
        segment_ms; /* since when the number of the last transaction, and the segment, are these */
    bool xid_stored;
    char failing[64]; /* the segment that it cannot archive, as was told */
};
/* Also tells what is wrong with its settings, and gives up a replication slot that this agent had there. -ERR_CONFIG: it archives nothing. */
int archive_server_open(struct archive_server *s, const struct source_spec *spec,
                        const struct source_env *env, struct err *e);
/* Once a second at most. A session that was lost is no error. */
int archive_server_ask(struct archive_server *s, struct err *e);
void archive_server_close(struct archive_server *s);

#endif
