/* care_open.h - the part of a scrub that needs the recovery key: are the snapshots what their lists say, and do the chunks
 * open? */
#ifndef TWOFOLD_ORCHESTRATOR_CARE_OPEN_H
#define TWOFOLD_ORCHESTRATOR_CARE_OPEN_H

#include "orchestrator/app.h"

struct opened_result {
    uint64_t snapshots, chunks, bad;
};
/* Every snapshot: its manifest is walked, the chunks that its entries use are compared with its reach list, and `percent`
 * of its content chunks (all of its manifest's) are opened. What is wrong is printed and counted. only: one copy, or -1. */
int care_open(struct app *app, struct vault *v, int only, unsigned percent,
              struct opened_result *ret, struct err *e);

#endif
