/* fuzz_body.c - the plaintext of snapshot bodies: what is accepted has exactly one form
 * (lib/vault/manifest.h). */
#include "lib/vault/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snapshot_body *b;
    struct err e = ERR_INIT;
    if (snapshot_body_read(data, size, &b, &e) < 0)
        return 0;
    struct wbuf w = WBUF_INIT;
    snapshot_body_write(&w, b);
    if (w.failed || w.len != size || memcmp(w.p, data, size) != 0)
        abort();
    wbuf_free(&w);
    snapshot_body_free(b);
    return 0;
}
