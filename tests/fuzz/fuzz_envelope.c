/* fuzz_envelope.c - envelopes, names of objects and the end of a pack, docs/format.md, "Objects". */
#include "tests/vault_samples.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void names(const uint8_t *data, size_t size)
{
    char *name = malloc(size + 1), again[MAX_OBJECT_NAME];
    uint64_t generation;
    struct id id;
    if (!name)
        abort();
    memcpy(name, data, size);
    name[size] = '\0';
    for (int type = 0; type <= OBJECT_LOG; type++) {
        if (!object_name_parse(type, name, &generation, &id))
            continue;
        const char *want = type == OBJECT_HEAD ? head_name(generation, &id, again)
                                               : object_name(type, &id, again);
        if (strcmp(name, want) != 0)
            abort();
    }
    free(name);
}

static void seal_and_open(const struct vault_keys *k, enum object_type type, const uint8_t *data,
                          size_t size)
{
    struct wbuf w = WBUF_INIT, out = WBUF_INIT;
    if (envelope_seal(k, type, data, size, &w, NULL) < 0 ||
        envelope_open(k, type, w.p, w.len, &out, NULL) < 0 || out.len != size ||
        (size > 0 && memcmp(out.p, data, size) != 0))
        abort();
    wbuf_free(&w);
    wbuf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vault_keys k = sample_keys();
    struct wbuf out = WBUF_INIT;
    uint32_t len;
    enum object_type type = size > 4 ? OBJECT_KEYS + data[4] % 8 : OBJECT_HEAD;
    (void)envelope_open(&k, type, data, size, &out, NULL);
    if (size > 4 && data[4] >= OBJECT_KEYS && data[4] <= OBJECT_RECORD)
        (void)envelope_open(&k, data[4], data, size, &out, NULL);
    seal_and_open(&k, type, data, size);
    if (size >= PACK_TRAILER_BYTES)
        (void)pack_trailer_read(data + size - PACK_TRAILER_BYTES, &len);
    names(data, size);
    wbuf_free(&out);
    vault_keys_done(&k);
    return 0;
}
