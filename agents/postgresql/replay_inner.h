/* replay_inner.h - what the files share that bring a server's log (replay.h): replay.c what is kept of it, salvage.c what survived on its host. */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_REPLAY_INNER_H
#define TWOFOLD_AGENTS_POSTGRESQL_REPLAY_INNER_H

#include "agents/fetch_remote.h"
#include "agents/log_frames.h"
#include "agents/postgresql/replay.h"
#include "agents/postgresql/timelines.h"

#define SEAM_BYTES \
    65536u /* before the backup's end: is the kept log of the same life of the server? */

struct replay {
    struct pg_cluster *c;
    const struct source_spec *spec;
    struct fetch *fetch;
    struct id vault_id;
    struct log_piece *v;
    size_t n;
    char *source, *why;
    uint64_t segment_bytes;
    struct timelines way;
    uint64_t step_start;
    size_t step; /* of the way: where we are, and how far */
    uint64_t reached, system, start_lsn;
    int fd; /* the segment that is being written; -1 */
    uint64_t fd_segment;
    uint32_t fd_timeline;
    struct wal_reader reader;
    bool reading;
    int64_t at_us; /* 0: not asked for */
    uint64_t lsn;
    const char *point;
    /* what was found */
    struct wal_commit last; /* that is not beyond the end that was asked for; end 0: none */
    bool beyond;            /* there is something beyond it: recovery will stop before */
    bool damaged;           /* the kept log ends because a piece of it is damaged or missing */
    bool stop;              /* more is not needed */

    uint64_t barrier; /* a record that must not be replayed; 0: there is none before the end */
    char barrier_place[WAL_PLACE_BYTES + 1];
    uint32_t parameters[WAL_PARAMETERS]; /* the last change; zeros: none */
    uint64_t pieces, bytes;
    int64_t known_ns;
    /* what survived on the host */
    const char *survived;                /* folders: the first; NULL: none is named */
    uint64_t salvaged_from, salvaged_to; /* to 0: nothing was taken */
    bool complete; /* with that the log has come to the end that the server itself wrote */
    char *lost;    /* owned: what survived, and could not be taken; NULL: nothing */
};

/* The timeline that it is at. */
uint32_t replay_timeline(const struct replay *r);
/* "000000010000000000000002": on that timeline. */
void replay_segment_name(const struct replay *r, uint64_t segment, char ret[64]);
/* Into pg_wal. */
int replay_write(struct replay *r, uint64_t at, const uint8_t *p, size_t n, struct err *e);
int replay_put_history(struct replay *r, uint32_t timeline, const void *p, size_t n, struct err *e);
/* r->reader at the page of that position: what it finds counts as far as it is of what was asked for. */
void replay_read_from(struct replay *r, uint64_t at);
/* 1: the log of the way goes on with the next timeline, from where this one ends; 0: it does not. */
int replay_next_timeline(struct replay *r);

/* --- salvage.c: folders that the setting "salvage" names, as the host's server left them */
/* Timelines that the server came to, of which the kept log knows nothing: the way leads there, too. */
int salvage_way(struct replay *r, struct err *e);
/* Goes on from r->reached. What cannot be taken is no error: r->lost says it. */
int salvage_log(struct replay *r, struct err *e);

#endif
