/*
 * care.h - keeping the objects of logs in order (docs/format.md, "log"): few of them, and the same pieces in every copy.
 *
 * Both may be stopped at any point: what is put together lies in a copy, whole, before its parts go there, and what a copy lacks is put
 * there as it is elsewhere. Others may do the same at the same time, and prune may take old objects away: an object that is gone when it is
 * to be read is taken off the shelf. Of two objects of the same pieces the one with the smaller hash stays, whoever looks.
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_CARE_H
#define TWOFOLD_ORCHESTRATOR_LOGS_CARE_H

#include "orchestrator/logs/shelf.h"

#define LOG_MERGE 16                 /* so many objects of about as many pieces become one, */
#define LOG_MERGED_BYTES (32u << 20) /* or fewer that are so large together; never larger */
/* So many at least a copy which is away may have that nothing else knows of: a stream goes on behind a multiple of it then, and what is
 * missing before that is no damage. */
#define UNSEEN_PIECES 1000000

/* At the end of a stream, of which `s` is the shelf: puts together what there is to, in the copies of `copies`, and deletes there what is
 * in another object that is whole there. *ret: how many objects it put. A copy that takes no more is left as it is (its problem says why);
 * an error: no copy takes anything. */
int logs_merge(struct vault *v, struct shelf *s, const uint8_t stream[LOG_STREAM_BYTES],
               uint32_t copies, size_t *ret, struct err *e);

struct logs_bringing {
    uint64_t until_ms; /* monotonic: then it stops; 0: it does not */
    const char
        *stamp; /* what is bad on the copy goes to aside/<stamp>/; NULL: it is left as it is */
    bool
        only_what_follows; /* what ends before the first piece that the copy has was pruned there: it is not brought */
    bool only_count; /* nothing is brought */
    /* May be NULL: is the object of any use? */
    bool (*wanted)(void *ctx, const struct shelf_object *o);
    /* May be NULL: after each that was brought (why NULL), and for each that no copy has whole. */
    void (*told)(void *ctx, const struct shelf_object *o, const struct err *why);
    void *ctx;
    /* results, added to */
    uint64_t objects, bytes, lost;
};
/* Brings copy `at` all pieces of all streams on the shelf that it lacks. 1: there is more to bring (the time is over, or what there was has
 * been put together meanwhile: read the shelf again). */
int logs_catch_up(struct vault *v, struct shelf *s, size_t at, struct logs_bringing *b,
                  struct err *e);

#endif
