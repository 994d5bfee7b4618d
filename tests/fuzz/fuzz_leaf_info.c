/* fuzz_leaf_info.c - index chunks: what is accepted has exactly one form (lib/vault/manifest.h). */
#include "lib/vault/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rbuf r = rbuf_of(data, size);
    struct wbuf w = WBUF_INIT;
    struct leaf_info li;
    struct err e = ERR_INIT;
    int rc;
    while ((rc = leaf_info_read(&r, &li, &e)) == 1)
        leaf_info_write(&w, &li);
    if (rc == 0 && (w.failed || w.len != size || (size > 0 && memcmp(w.p, data, size) != 0)))
        abort();
    wbuf_free(&w);
    return 0;
}
