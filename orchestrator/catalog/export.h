/*
 * export.h - the catalog as a sealed and signed object in every copy (docs/format.md, "catalog"), and back. The object is sealed with
 * the operational key, so a rebuild needs no recovery key; it holds what concerns all vaults of this orchestrator, so that any copy
 * of any vault will do. In it are the runs of 400 days, the snapshots, the copies as they were, holds, media, alarms, facts, and the
 * newest rows of the audit trail with the hash of the last: an *anchor*, against which a trail that was cut off shows.
 *
 *     if (catalog_export_due(c, v->name, &due, e) == 0 && due)
 *         catalog_export(c, v, &result, e);                 after the head: no head names it
 *
 *     exports_find(v, -1, found, &n, e);                    the newest of every chain
 */
#ifndef TWOFOLD_ORCHESTRATOR_CATALOG_EXPORT_H
#define TWOFOLD_ORCHESTRATOR_CATALOG_EXPORT_H

#include "lib/vault/catalog_object.h"
#include "orchestrator/catalog/catalog.h"
#include "restore/vault.h"

#define EXPORT_EVERY_S ((int64_t)20 * 3600) /* once a night */
#define EXPORT_AUDIT_ROWS 1000 /* so many new rows of the audit trail are worth one, too */

struct export_result {
    uint64_t number, bytes;
    size_t n_done;         /* copies that have it */
    bool done[MAX_COPIES]; /* of the vault */
    struct err problem[MAX_COPIES];
    size_t removed; /* older ones */
};
int catalog_export_due(struct catalog *c, const char *vault, bool *ret, struct err *e);
/* Puts one into every copy that can be reached, and takes away those of this chain beyond the newest CATALOG_EXPORTS_KEPT. -ERR_BUSY:
 * another process is at it. When no copy took it: the first copy's error. The vault is opened for writing. */
int catalog_export(struct catalog *c, struct vault *v, struct export_result *ret, struct err *e);

/* The plaintext of an export, as of now. */
int catalog_export_make(struct catalog *c, const struct vault *v, uint64_t number, struct wbuf *out,
                        struct err *e);

#define MAX_EXPORT_CHAINS 32
struct export_found {
    struct catalog_name name;
    size_t copy; /* of the vault */
    struct catalog_object *o;
};
/* On the copies (only < 0: all that can be read), for each chain the newest that is whole and authentic; newest first. *ret_bad
 * counts those that are not. exports_free is the caller's. */
int exports_find(struct vault *v, int only, struct export_found found[MAX_EXPORT_CHAINS],
                 size_t *ret_n, size_t *ret_bad, struct err *e);
void exports_free(struct export_found *found, size_t n);

/* The anchor that was noted beside the catalog, among the vault's facts. 1: there, 0: not. */
int export_noted_anchor(struct vault *v, struct audit_anchor *ret, struct err *e);

#endif
