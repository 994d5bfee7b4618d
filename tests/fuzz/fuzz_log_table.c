/* fuzz_log_table.c - the plaintext of a log object's table, docs/format.md, "log": what was read is within its bounds and is written as it was. */
#include "lib/vault/log.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_table *t = NULL;
    struct wbuf w = WBUF_INIT;
    if (log_table_read(data, size, &t, NULL) < 0)
        return 0;
    if (t->n == 0 || t->n > MAX_LOG_PIECES || t->n_keys > MAX_LOG_KEYS)
        abort();
    for (size_t i = 0; i < t->n; i++) {
        const struct log_entry *x = &t->entries[i];
        if (x->key >= t->n_keys || x->piece.len == 0 || x->piece.len > MAX_LOG_PIECE ||
            x->piece.end < x->piece.start || x->piece.seq != t->entries[0].piece.seq + i)
            abort();
    }
    log_table_write(&w, t);
    if (w.failed || w.len != size || memcmp(w.p, data, size) != 0)
        abort();
    wbuf_free(&w);
    log_table_free(t);
    return 0;
}
