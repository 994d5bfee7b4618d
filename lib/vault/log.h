/*
 * log.h - a database's log as objects in every copy (docs/format.md, "log"): what the server wrote, piece by piece, within seconds, and
 * under no head. A *stream* is the log of one source of one policy. Its *pieces* are numbered without a gap and sealed where the
 * database is; an object holds pieces that follow one another, so several objects can be put together without opening a piece.
 *
 *     object = u32 length of the table ‖ table, sealed with the operational key and signed ‖ the sealed pieces, end to end
 *
 * Within an *epoch* each piece begins where the one before it ended (or, on another timeline, where that branched off). What is missing
 * between two epochs is a gap, or the server was put back to an earlier state: nothing is replayed across that unseen.
 */
#ifndef TWOFOLD_VAULT_LOG_H
#define TWOFOLD_VAULT_LOG_H

#include "lib/vault/chunk.h"
#include "lib/vault/envelope.h"
#include "lib/vault/objects.h"

#define LOG_FOLDER "logs/"
#define LOG_STREAM_BYTES 8
#define MAX_LOG_PIECE (4u << 20) /* plaintext */
#define MAX_LOG_PIECES 65536     /* in one object */
#define MAX_LOG_KEYS 256         /* data keys that the pieces of one object need */
#define MAX_LOG_TABLE (8u << 20)
#define MAX_LOG_OBJECT (48u << 20)
#define LOG_MARK_BYTES 16
#define LOG_MARKED \
    8192u /* bytes at the end of a piece that its mark is of, or fewer where it is shorter */
#define MAX_LOG_SEQ UINT64_C(9999999999999999)

/* --- names ------------------------------------------------------------------------------------------ */
/* "logs/<16 hex digits>/<16 digits>-<16 digits>-<sha256>": stream, numbers of its first and last piece, hash of the object. */
struct log_name {
    uint8_t stream[LOG_STREAM_BYTES];
    uint64_t first, last;
    struct id hash;
};
const char *log_name_write(const struct log_name *n, char out[MAX_OBJECT_NAME]);
bool log_name_parse(const char *name, struct log_name *ret);
/* What a stream's folder is called, so that a copy's holder cannot tell of what it is. `source`: "POLICY/postgresql". */
void log_stream_id(const struct vault_keys *k, const char *source, uint8_t ret[LOG_STREAM_BYTES]);

/* --- pieces ----------------------------------------------------------------------------------------- */
enum log_kind {
    LOG_BYTES = 1, /* of the log, from `start` */
    LOG_HISTORY, /* a timeline's history: a file of its own; start == end: where the timeline begins */
};
struct log_piece {
    uint64_t seq, epoch;
    enum log_kind kind;
    uint64_t
        system; /* which database it is of, by the server's own number: another one is never gone on with */
    uint32_t timeline;
    uint64_t start, end; /* positions in the log: bytes */
    int64_t time_ns; /* when the agent had the last of it, by the clock of the database's host */
    size_t len;      /* plaintext; of LOG_BYTES end - start */
    uint8_t mark
        [LOG_MARK_BYTES]; /* of its last bytes (log_piece_mark): does the server still have these there? Zeros: not known */
};
/* The name under which a piece is sealed (chunk_seal): it binds all of the above, the vault and the source. */
void log_piece_id(const struct id *vault_id, const char *source, const struct log_piece *p,
                  struct id *ret);
/* p: the last min(n, LOG_MARKED) bytes of a piece. */
void log_piece_mark(const void *p, size_t n, uint8_t ret[LOG_MARK_BYTES]);
void log_piece_write(struct wbuf *w, const struct log_piece *p);
/* Checks every bound; what is wrong makes r bad. */
void log_piece_read(struct rbuf *r, struct log_piece *ret);
/* Does `next` go on where `p` ended, as one epoch? */
bool log_piece_follows(const struct log_piece *p, const struct log_piece *next);

/* --- objects ---------------------------------------------------------------------------------------- */
struct log_entry {
    struct log_piece piece;
    size_t key; /* index into the keys */
    uint64_t counter;
    size_t sealed_len;
};
struct log_table {
    char *source;        /* owned */
    int64_t received_ns; /* when the orchestrator had the last of them, by its clock, which is never
                            taken back within a stream: what retention goes by */
    struct data_key *keys;
    size_t n_keys;
    struct log_entry *entries; /* ascending by seq, without a gap */
    size_t n;
    uint64_t body_len;
    struct id body_hash;
};
void log_table_free(struct log_table *t); /* NULL-safe */
/* Its plaintext. */
void log_table_write(struct wbuf *w, const struct log_table *t);
int log_table_read(const void *p, size_t n, struct log_table **ret, struct err *e);
/* Appends a piece's entry; the key is found or added. -ERR_LIMIT where the object would be too large: begin another. */
int log_table_add(struct log_table *t, const struct log_piece *p, const struct data_key *key,
                  uint64_t counter, size_t sealed_len, struct err *e);
/* The object of a table and its pieces, end to end; *ret_name is its name. */
int log_object_seal(const struct vault_keys *k, struct log_table *t, const struct wbuf *body,
                    struct wbuf *out, char ret_name[MAX_OBJECT_NAME], struct err *e);
/* From the beginning of an object: how many bytes of it hold the table; 0: p does not hold even that number; -ERR_DAMAGED. */
int log_table_span(const void *p, size_t n, size_t *ret, struct err *e);
/* `name`: what the object is called; another range or stream is -ERR_DAMAGED. */
int log_table_open(const struct vault_keys *k, const struct log_name *name, const void *p, size_t n,
                   struct log_table **ret, struct err *e);
/* Is the rest of the object what the table says? */
int log_body_check(const struct log_table *t, const void *body, size_t n, struct err *e);

#endif
