/*
 * clock.h - may retention go by this machine's clock? Only receipt times of the orchestrator count in the vault, so the one
 * clock that could make backups look old is its own. Prune stops where that clock
 *   - is behind what the vault shows: the newest head's time, or the receipt of a snapshot, is later than now by more
 *     than CLOCK_BEHIND_NS;
 *   - ran differently from the clock of this boot since the last prune (CLOCK_BOOTTIME, which nobody sets), by more than
 *     an hour and a twentieth of the span;
 *   - or, where that cannot be told (another boot, or no prune yet), leapt: of the moments that are known, the last
 *     accepted clock, the receipts since (before the first prune the newest two), the newest head, and now, two that
 *     follow one another lie more than CLOCK_GAP_NS apart, and more than twice what ever lay between two before.
 * `--clock-is-right` passes over all of it and is remembered, so that the next prune does not ask again for the same.
 */
#ifndef TWOFOLD_ORCHESTRATOR_PRUNE_CLOCK_H
#define TWOFOLD_ORCHESTRATOR_PRUNE_CLOCK_H

#include "lib/base/sys.h"
#include "restore/vault.h"

#define CLOCK_BEHIND_NS 60000000000LL
#define CLOCK_GAP_NS (7 * 86400 * 1000000000LL)

/* What was true when a prune last believed the clock. */
struct clock_fact {
    int64_t now_ns, boot_ns;      /* the clock, and the time since boot */
    int64_t newest_ns;            /* the latest moment that the vault showed */
    char boot[SYS_BOOT_ID_BYTES]; /* which boot; empty: not known */
};
/* `known`: ascending moments of the vault. `last` NULL: there is none. -ERR_REFUSED with what is wrong. Pure. */
int clock_judge(const struct clock_fact *now, const struct clock_fact *last, const int64_t *known,
                size_t n, struct err *e);
/* The same for a vault, by the machine's clocks. is_right: nothing is asked. */
int clock_check(struct vault *v, bool is_right, struct clock_fact *ret, struct err *e);
/* Remembers that it was believed. */
int clock_accept(struct vault *v, const struct clock_fact *now, struct err *e);

#endif
