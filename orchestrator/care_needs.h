/* care_needs.h - the part of a scrub that looks from the backups' side: is every chunk that a snapshot needs in a pack that
 * the index names? What lies on the copies can be whole and still be too little. Needs no recovery key. */
#ifndef TWOFOLD_ORCHESTRATOR_CARE_NEEDS_H
#define TWOFOLD_ORCHESTRATOR_CARE_NEEDS_H

#include "orchestrator/app.h"

struct needs_result {
    uint64_t snapshots, bad; /* looked at; not whole */
};
/* Prints and counts what is not whole. Then, of each damaged pack (n at found; ids may come more than once), which backups need
 * something that lies in it. -ERR_INTERRUPTED when asked to stop. */
int care_needs(struct app *app, struct vault *v, const struct id *found, size_t n,
               struct needs_result *ret, struct err *e);

#endif
