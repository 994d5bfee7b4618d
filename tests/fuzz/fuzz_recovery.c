/* fuzz_recovery.c - the recovery file, docs/format.md, "recovery". Inputs that would ask for more than the
 * cheapest scrypt, or for it many times, are left out. */
#include "tests/vault_samples.h"

#include <stdlib.h>

#define SLOTS_AT HEADER_BYTES
#define SLOT_BYTES (2 + 32 + 113)
#define CHEAP_LOG2N 10
#define DEAREST_LOG2N 16
#define MAX_CHEAP_SLOTS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_cheap(const uint8_t *data, size_t size)
{
    if (size <= SLOTS_AT || data[SLOTS_AT] > MAX_CHEAP_SLOTS)
        return size <= SLOTS_AT || size != SLOTS_AT + 1 + (size_t)data[SLOTS_AT] * SLOT_BYTES;
    for (size_t at = SLOTS_AT + 2; at < size; at += SLOT_BYTES)
        if (data[at] != CHEAP_LOG2N && data[at] >= CHEAP_LOG2N && data[at] <= DEAREST_LOG2N)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vault_keys k = { 0 };
    struct id fingerprint;
    if (!is_cheap(data, size))
        return 0;
    struct secret *pass = secret_of(SAMPLE_PASSPHRASE, sizeof SAMPLE_PASSPHRASE - 1);
    if (recovery_open(data, size, pass, &k, &fingerprint, NULL) < 0 && k.recovery_sk)
        abort();
    vault_keys_done(&k);
    secret_free(pass);
    return 0;
}
