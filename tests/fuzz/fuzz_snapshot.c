/* fuzz_snapshot.c - the plaintext of a snapshot, docs/format.md: whatever is read has one form only. */
#include "tests/vault_samples.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool same;
    if (sample_round_trip(OBJECT_SNAPSHOT, data, size, &same, NULL) == 0 && !same)
        abort();
    return 0;
}
