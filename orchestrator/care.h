/*
 * care.h - looking after copies: is everything there that the head reaches, and are its bytes the right ones (scrub); and
 * putting right what is not, from another copy (repair). Neither needs the recovery key: names are hashes.
 */
#ifndef TWOFOLD_ORCHESTRATOR_CARE_H
#define TWOFOLD_ORCHESTRATOR_CARE_H

#include "orchestrator/transfer.h"
#include "restore/vault.h"

enum finding_kind { FINDING_MISSING, FINDING_DAMAGED, FINDING_UNREADABLE };
struct finding {
    size_t copy;
    enum finding_kind kind;
    enum object_type type;
    struct object_ref ref; /* len 0 for vault, recovery and heads: not known */
    char name[MAX_OBJECT_NAME];
    char why[ERR_TEXT_BYTES];
};
typedef int finding_fn(void *ctx, const struct finding *f, struct err *e);

struct care_options {
    int only; /* one copy, or -1 */
    unsigned
        percent; /* of the packs that are read and hashed, by turns: the ones not read for longest first */
    finding_fn *found;
    void (*checked)(void *ctx, uint64_t bytes_read); /* after each object; may be NULL */
    void *ctx;
};
struct care_result {
    uint64_t objects, packs, packs_read, bytes_read, findings;
    bool looked[MAX_COPIES]; /* copies that could be checked */
};
/* Goes over every copy. Findings are also noted in the index cache, so that status and repair know them. Small objects are
 * always read; packs by their share. -ERR_INTERRUPTED when asked to stop. */
int care_check(struct vault *v, const struct care_options *o, struct care_result *ret,
               struct err *e);

struct mended {
    uint64_t objects, bytes;
    bool from_parts; /* a pack was put together from the healthy parts of several copies */
};
/* Mends one finding: the right bytes from elsewhere, written beside, verified, then switched; what was there goes to
 * aside/<stamp>/. The finding is forgotten when reading it back gives the right bytes. */
int care_mend(struct vault *v, const struct finding *f, const char *stamp, struct mended *ret,
              struct err *e);

#endif
