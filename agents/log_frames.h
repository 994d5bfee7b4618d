/*
 * log_frames.h - what agent and orchestrator say to each other about a database's log (docs/protocol.md), beside lib/wire/wire.h.
 *
 * FRAME_LOGS        orchestrator: follow the log of this source; msg_logs
 * FRAME_LOG         agent: a piece. log_piece_write ‖ varint counter ‖ sealed bytes to the end; its data key came with FRAME_DATAKEY.
 * FRAME_LOGGED      orchestrator: varint seq; all up to this piece is durable in the copies
 * FRAME_LOG_HEAD    agent: how far the server itself is; msg_log_head
 * FRAME_WANT_LOG    agent, in a restore: what was written from there on; msg_want_log. Answered by
 * FRAME_LOG_LIST    varint n ‖ pieces (log_piece_write), in their order, as often as it takes, and
 * FRAME_LOG_END     blob source ‖ blob: why there is no more, for people; empty: these are all ‖ zigzag: up to when the database wrote no
 *                   more than these, ns. A piece is then asked for as a chunk is, by its log_piece_id.
 */
#ifndef TWOFOLD_AGENTS_LOG_FRAMES_H
#define TWOFOLD_AGENTS_LOG_FRAMES_H

#include "lib/vault/log.h"
#include "lib/wire/wire.h"

#define MAX_LOG_INTERVAL_MS 3600000u

struct msg_logs {          /* blob BACKUP's payload (one source and no roots) ‖ … */
    struct log_piece last; /* of the stream; seq 0: there is none */
    /* So long may what the server wrote wait for more. 0: nothing is followed, and no piece is sent; where the server keeps more for us than
     * its limit, that is given up. Answered by notes and FRAME_DONE. */
    unsigned interval_ms;
};
void msg_logs_write(struct wbuf *w, const struct msg_backup *job, const struct msg_logs *m);
/* ret_job: as from msg_backup_read. */
int msg_logs_read(struct rbuf *r, struct msg_backup *ret_job, struct msg_logs *ret, struct err *e);

struct msg_log_head {
    uint32_t timeline;
    uint64_t position;
    int64_t time_ns; /* by the clock of the database's host */
};
void msg_log_head_write(struct wbuf *w, const struct msg_log_head *m);
int msg_log_head_read(struct rbuf *r, struct msg_log_head *ret, struct err *e);

struct msg_want_log {
    char *kind; /* of the source; owned */
    uint64_t system;
    uint32_t timeline;
    uint64_t position;
    int64_t
        backup_ns; /* when the backup that it is wanted for ended, by the same clock as the pieces' */
};
#define MAX_WANTED_PIECES 16000000u /* half a year of a piece each second, some 100 bytes each */
void msg_want_log_write(struct wbuf *w, const struct msg_want_log *m);
int msg_want_log_read(struct rbuf *r, struct msg_want_log *ret, struct err *e);

#endif
