/* fuzz_index.c - the plaintext of an index, docs/format.md: what is read can be written again. */
#include "tests/vault_samples.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool same; /* not asked for: an index may name keys in any order, and keys that no chunk uses */
    int rc = sample_round_trip(OBJECT_INDEX, data, size, &same, NULL);
    if (rc < 0 && rc != -ERR_DAMAGED)
        abort();
    return 0;
}
