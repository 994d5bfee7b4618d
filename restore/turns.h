/*
 * turns.h - which copy is asked next. As a rule one after the other, in the order of the configuration, each for as long as it
 * takes. A vault that is opened in a hurry (vault_open_options, for restores) waits for nobody while another copy may answer:
 *
 *   - A copy that has not answered within HURRY_ANSWER_MS and the time that so many bytes take at HURRY_BYTES_S is left to
 *     itself, and the next one is asked meanwhile. What it was asked for goes on: its connection is mended behind the scenes.
 *   - One that failed, or was late, is *put last* for all that is asked from then on. Now and then (HURRY_AGAIN_MS, growing to
 *     HURRY_AGAIN_MAX_MS) it gets a question beside the others; when it answers in time it has its place again. Copies that were away when
 *     the vault was opened join in the same way.
 *   - Only when no other could give what is asked for, those that were put last are waited for: as long as they are at work (at most
 *     HURRY_HANG_MS), and those that have worked since the vault was opened for HURRY_OUTAGE_MS after they have begun to fail. What
 *     they do not say by then is unreachable, never absent. After that, nobody waits for them until they answer again.
 *
 *     struct turns t;
 *     turns_begin(&t, v, -1, len);
 *     while ((c = turns_next(&t)))
 *         if (!t.ask) … c->problem …                         it cannot be asked
 *         else { rc = store_get(c->store, …, &why); if (turns_told(&t, c, rc, &why)) … an answer for certain … }
 */
#ifndef TWOFOLD_RESTORE_TURNS_H
#define TWOFOLD_RESTORE_TURNS_H

#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HURRY_ANSWER_MS 2000
#define HURRY_LIST_MS 10000 /* for a list of a database's log */
#define HURRY_BYTES_S 4000000
#define HURRY_AGAIN_MS 5000
#define HURRY_AGAIN_MAX_MS 60000
#define HURRY_OUTAGE_MS 120000
#define HURRY_HANG_MS 600000

struct vault;
struct copy;

/* What is known of a copy, for the life of an opened vault. */
struct turn {
    bool last;           /* put last */
    bool worked;         /* it has been read since the vault was opened */
    unsigned failures;   /* and late answers, in a row */
    uint64_t again_ms;   /* when it gets a question beside the others */
    uint64_t failing_ms; /* since when it fails; 0: it does not */
    uint64_t waiting_ms; /* since when it is waited for; 0: it is not */
    bool waited;         /* TURN_WAITED was told, since it had its place */
};

/* What becomes of a copy, for people (struct vault, turned). */
enum turn_event {
    TURN_LATE,   /* it has not answered in time: put last */
    TURN_FAILS,  /* it cannot be read: put last */
    TURN_WAITED, /* no other could give what is asked for: it is waited for now */
    TURN_BACK    /* it has its place again */
};
typedef void turn_fn(void *ctx, const struct copy *c, enum turn_event event);

struct turns {
    struct vault *v;
    int only;
    size_t len;
    bool ask;    /* of the copy that turns_next has just returned */
    bool beside; /* it is asked beside the others: nobody waits */
    bool again;  /* the second round: those that were put last */
    bool pause;  /* one of them has just failed */
    size_t at;
    uint32_t put_off; /* bits of copies */
};
/* Of one copy, or (`only` < 0) of all; len: how many bytes are asked for. */
void turns_begin(struct turns *t, struct vault *v, int only, size_t len);
struct copy *turns_next(struct turns *t); /* NULL: all have been asked */
/* With what the copy said. False: that says nothing yet; it may be asked once more. */
bool turns_told(struct turns *t, struct copy *c, int rc, const struct err *why);

/* After `c` has given a chunk, which is slow work with it (below HURRY_SLOW_BYTES_S): now and then another one is asked for the same, only
 * to know whether it would be quicker. Nobody waits for that. */
#define HURRY_SLOW_BYTES_S 20000000
void turns_compare(struct vault *v, const struct copy *c, const char *object, uint64_t off,
                   size_t len);
/* How fast it was read, bytes a second; 0: too little to say. */
uint64_t turns_speed(const struct copy *c);

/* After the copies of a vault in a hurry were opened: those that are away are put last. */
void turns_opened(struct vault *v);

#endif
