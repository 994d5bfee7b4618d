/*
 * claim.h - whose a database's log is to keep. Two orchestrators that follow one stream would give the same numbers to different pieces. So the
 * keeper puts a *claim* into every copy before it puts anything else, an object that says who it is (docs/format.md, "log"), numbered by how often
 * the stream has changed hands. A copy takes one object under a name, so of two that claim at once one finds the other's there.
 *
 *     logs_claim(v, source, &c, e)                  before the shelf is read; again when copies have come back
 *     … an object is put …
 *     logs_claim_holds(v, source, &c, copies, e)    before it is acknowledged: has nobody taken the log over meanwhile?
 *
 * Who may take over another's: whose head is the newest in the vault, which is what a person says with `backup --take-over`.
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_CLAIM_H
#define TWOFOLD_ORCHESTRATOR_LOGS_CLAIM_H

#include "lib/vault/log.h"
#include "restore/vault.h"

struct logs_claim {
    uint8_t stream[LOG_STREAM_BYTES];
    uint64_t number;
    bool
        taken_over; /* by this call: the one before may have put something that nobody has acknowledged */
};
/* On every copy that answers. -ERR_REFUSED: it is another orchestrator's. */
int logs_claim(struct vault *v, const char *source, struct logs_claim *ret, struct err *e);
/* -ERR_REFUSED: it has been taken over, by a claim that was read: whoever may write to a copy can make up its name, which counts for
 * nothing. -ERR_UNREACHABLE: none of these copies (bits) says. */
int logs_claim_holds(struct vault *v, const char *source, const struct logs_claim *c,
                     uint32_t copies, struct err *e);
/* All claims of a stream that a copy no longer has anything of. */
int logs_claims_drop(struct store *s, const uint8_t stream[LOG_STREAM_BYTES], struct err *e);

#endif
