/* fuzz_vault.c - the vault object, docs/format.md, "vault": as it comes, and signed anew after the change, so
 * that what lies behind the signature is reached. */
#include "tests/vault_samples.h"

#include <stdlib.h>

#define ROOT_PK_AT (HEADER_BYTES + 8 + ID_BYTES + 2 * PUBLIC_KEY_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_and_open(const uint8_t *p, size_t n)
{
    struct vault_keys k = sample_keys();
    struct vault_public v;
    char *name = NULL;
    if (vault_object_read(p, n, &v, NULL) == 0)
        (void)vault_object_open(p, n, &k, &name, NULL);
    free(name);
    vault_keys_done(&k);
}

/* By the holder of the sample's recovery key, for whatever vault it says it is. */
static void sign_anew(struct wbuf *w)
{
    struct vault_keys k = sample_keys();
    uint8_t root_sk[KEY_BYTES];
    if (w->len >= ROOT_PK_AT + PUBLIC_KEY_BYTES) {
        memcpy(k.vault_id.b, w->p + HEADER_BYTES + 8, ID_BYTES);
        root_key_public(&k.vault_id, k.recovery_sk, w->p + ROOT_PK_AT);
    }
    root_key_secret(&k.vault_id, k.recovery_sk, root_sk);
    object_sign(&k.vault_id, root_sk, w);
    vault_keys_done(&k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wbuf w = WBUF_INIT;
    read_and_open(data, size);
    if (size >= SIGNATURE_BYTES) {
        wb_bytes(&w, data, size - SIGNATURE_BYTES);
        sign_anew(&w);
        read_and_open(w.p, w.len);
    }
    wbuf_free(&w);
    return 0;
}
