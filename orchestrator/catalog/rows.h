/* rows.h - the rows of an exported catalog, byte by byte (docs/format.md, "catalog"): written one by one, read through a sink. */
#ifndef TWOFOLD_ORCHESTRATOR_CATALOG_ROWS_H
#define TWOFOLD_ORCHESTRATOR_CATALOG_ROWS_H

#include "lib/vault/catalog_object.h"
#include "orchestrator/catalog/catalog.h"

enum row_kind {
    ROW_RUN = 1,
    ROW_SNAPSHOT,
    ROW_COPY,
    ROW_HOLD,
    ROW_MEDIUM,
    ROW_ALARM,
    ROW_FACT,
    ROW_AUDIT,
    ROW_KINDS
};

void row_write_run(struct wbuf *w, const struct run *r);
void row_write_snapshot(struct wbuf *w, const struct snapshot_row *s);
void row_write_copy(struct wbuf *w, const struct copy_row *c);
void row_write_hold(struct wbuf *w, const struct hold *h);
void row_write_medium(struct wbuf *w, const struct medium *m);
void row_write_alarm(struct wbuf *w, const struct alarm *a);
void row_write_fact(struct wbuf *w, const char *key, const char *value);
void row_write_audit(struct wbuf *w, const struct audit_row *a, const struct id *hash);

/* Called for each row; texts are borrowed for the call. Any may be NULL: its rows are checked all the same. A non-zero return ends
 * the reading and is returned. */
struct row_sink {
    void *ctx;
    catalog_run_fn *run;
    catalog_snapshot_fn *snapshot;
    catalog_copy_fn *copy;
    catalog_hold_fn *hold;
    catalog_medium_fn *medium;
    catalog_alarm_fn *alarm;
    int (*fact)(void *ctx, const char *key, const char *value);
    int (*audit)(void *ctx, const struct audit_row *r, const struct id *hash);
};
/* -ERR_DAMAGED for a malformed row. *ret_unknown (may be NULL): how many rows were of a kind that is not known. */
int rows_read(const struct catalog_object *o, const struct row_sink *sink, uint64_t *ret_unknown,
              struct err *e);

#endif
