/*
 * old.h - what of a log nothing can use any more: a backup needs only what came after it, so what came before the oldest backup of its
 * policy goes. Which moment that is decides no single clock: a piece counts as of the later one of when the orchestrator had it (never
 * taken back within a stream) and when the database's host said it wrote it, a backup of the earlier one of when it was received and when
 * its host said it began (a host's clock may keep a piece or a log by LOG_DOUBT_NS longer, not for ever), and LOG_OLD_NS lie between. All backups count that the newest head names, held ones and partial ones, too.
 *
 * Everything stays of a policy that has no backup; of one whose file is gone, until it is forgotten (prune --forget-policy); and of class
 * logs what is younger than 92 days.
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_OLD_H
#define TWOFOLD_ORCHESTRATOR_LOGS_OLD_H

#include "orchestrator/app.h"
#include "orchestrator/logs/shelf.h"

#define LOG_OLD_NS INT64_C(86400000000000) /* a day */
#define LOG_DOUBT_NS (31 * LOG_OLD_NS)

struct logs_stream {
    uint8_t id[LOG_STREAM_BYTES];
    char source[MAX_FORMAT_NAME + 1]; /* "": no object of it can be opened */
    char policy[MAX_FORMAT_NAME + 1];
    int64_t before_ns; /* what is older is of no use; INT64_MIN: all is */
    bool forgotten;    /* all of it goes */
};
struct logs_old {
    struct vault *v;
    struct logs_stream *streams; /* owned, ascending by id */
    size_t n;
};
/* `forget`: a policy whose file is gone and of which no backup is left; NULL: none. The vault's lists must be loaded. */
int logs_old_read(struct app *app, struct vault *v, const struct shelf *s, const char *forget,
                  struct logs_old *ret, struct err *e);
void logs_old_done(struct logs_old *x);
/* NULL: it came meanwhile. */
const struct logs_stream *logs_old_stream(const struct logs_old *x,
                                          const uint8_t stream[LOG_STREAM_BYTES]);
/* Are all pieces of the object so old? 1 or 0; an error where no copy can give its table. */
int logs_object_old(const struct logs_old *x, const struct shelf_object *o, struct err *e);

#endif
