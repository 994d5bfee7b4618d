/*
 * care.h - keeping the objects of logs in order (docs/format.md, "log"): few of them, and the same pieces in every copy.
 *
 * Both may be stopped at any point: what is put together lies in a copy before its parts go, and what a copy lacks is put there as it
 * is elsewhere.
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_CARE_H
#define TWOFOLD_ORCHESTRATOR_LOGS_CARE_H

#include "orchestrator/logs/shelf.h"

#define LOG_MERGE 16                 /* so many objects of about as many pieces become one */
#define LOG_MERGED_BYTES (32u << 20) /* as long as that is not larger */

/* So many at least a copy which is away may have that nothing else knows of: a stream goes on behind a multiple of it then, and what is
 * missing before that is no damage. */
#define UNSEEN_PIECES 1000000

/* At the end of a stream, of which `s` is the shelf: puts together what there is to, in the copies of `copies`, and deletes there what is
 * in another object. *ret: how many objects it put. */
int logs_merge(struct vault *v, struct shelf *s, const uint8_t stream[LOG_STREAM_BYTES],
               uint32_t copies, size_t *ret, struct err *e);
/* Brings copy `at` all pieces of all streams on the shelf that it lacks; counts are added to. until_ms (monotonic): then it stops; 0: it
 * does not. 1: there is more to bring. */
int logs_catch_up(struct vault *v, struct shelf *s, size_t at, uint64_t until_ms, uint64_t *objects,
                  uint64_t *bytes, struct err *e);

#endif
