/*
 * shelf.h - the objects of a database's log as they lie on the copies (lib/vault/log.h): which there are, and reading them with fallback
 * from copy to copy. An object that was put together from others may lie beside them for a while, and a copy that was away has the ones
 * from before: what counts is which pieces are there, not in which objects.
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_SHELF_H
#define TWOFOLD_ORCHESTRATOR_LOGS_SHELF_H

#include "lib/vault/log.h"
#include "restore/vault.h"

struct shelf_object {
    struct log_name name;
    uint64_t len;
    uint32_t copies; /* a bit for each that has it, as far as is known */
    uint32_t sound;  /* of these: was read right, or put, by this process */
    uint32_t bad;    /* of these: is not right there, and is not read there any more */
    bool uneven;     /* not of the same length everywhere: one of them is damaged */
    bool full;       /* nothing more can be put together with it */
};
struct shelf {
    struct shelf_object
        *v; /* owned; by stream, then first piece ascending, last piece descending */
    size_t n, cap;
    uint32_t listed; /* copies that answered */
};

/* All streams, or (source not NULL) one. Copies that do not answer are left out (their problem says why); -ERR_UNREACHABLE: none does. */
int shelf_read(struct vault *v, const char *source, struct shelf *ret, struct err *e);
void shelf_done(struct shelf *s);
/* One that was put just now. */
int shelf_add(struct shelf *s, const struct log_name *name, uint64_t len, uint32_t copies,
              struct err *e);
void shelf_sort(struct shelf *s);
/* Less than, equal to or greater than 0, by the names alone. */
int shelf_order(const struct shelf_object *a, const struct shelf_object *b);

/* The way through a stream in as few objects as there are, among those that one of `copies` has. `at` saves looking: nothing before it on
 * the shelf has piece `seq` or a later one (0 is always true). */
struct shelf_pos {
    uint64_t seq; /* the piece that is wanted next */
    size_t at;
};
/* The object that holds it; pos is behind that then. NULL: no copy has that piece, and pos is at the next that one has (seq 0: there is
 * none), for the caller to say what is missing. */
const struct shelf_object *shelf_next(const struct shelf *s, const uint8_t stream[LOG_STREAM_BYTES],
                                      uint32_t copies, struct shelf_pos *pos);

/* Does this copy have all pieces of n? Nothing on the shelf before `from` has any of them. */
bool shelf_has(const struct shelf *s, const struct log_name *n, size_t copy, size_t from);

/* From the first copy that has it right; `only` >= 0: from that copy. What is damaged on the way is remembered as damage and told
 * to `damage` (may be NULL), as in vault_fetch. -ERR_DAMAGED, -ERR_ABSENT, -ERR_UNREACHABLE. */
struct shelf_reader {
    struct vault *v;
    int only;
    void (*damage)(void *ctx, const struct copy *c, const char *object, const struct err *what);
    void *ctx;
};
int shelf_table(const struct shelf_reader *r, const struct shelf_object *o, struct log_table **ret,
                struct err *e);
/* All of it: its bytes (owned by *out) and the table; *ret_body: where the pieces begin. */
int shelf_object_read(const struct shelf_reader *r, const struct shelf_object *o, struct wbuf *out,
                      struct log_table **ret, size_t *ret_body, struct err *e);

#endif
