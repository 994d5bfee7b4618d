/* fuzz_leaf.c - leaves from somebody hostile: none may do harm, and whatever a reader accepts
 * can be written again and read back (lib/vault/manifest.h). */
#include "lib/vault/manifest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Touches all that an entry points to. */
static unsigned touch(const struct entry *en)
{
    unsigned sum = en->path_len ? (unsigned)en->path[en->path_len - 1] : 0;
    for (size_t i = 0; i < en->target_len; i++)
        sum += (unsigned)en->target[i];
    for (size_t i = 0; i < en->n_xattrs; i++) {
        must(en->xattrs[i].name_len > 0);
        sum += (unsigned)en->xattrs[i].name[en->xattrs[i].name_len - 1];
        if (en->xattrs[i].len > 0)
            sum += en->xattrs[i].value[en->xattrs[i].len - 1];
    }
    for (size_t i = 0; i < en->n_extents; i++)
        sum += en->extents[i].hole ? 0 : en->extents[i].chunk.b[31];
    return sum;
}

/* Reads a leaf to its end; with a writer, into that. True when the leaf is sound. */
static bool read_leaf(const void *p, size_t n, bool state, struct leaf_writer *w)
{
    struct leaf_reader *r;
    struct entry en;
    struct err e = ERR_INIT;
    volatile unsigned sum = 0;
    if (leaf_reader_new(p, n, state, &r, &e) < 0)
        return false;
    int rc;
    while ((rc = leaf_next(r, &en, &e)) == 1) {
        sum += touch(&en);
        must(path_ok(en.path, en.path_len));
        must(!w || leaf_add(w, &en, &e) == 0);
    }
    must(rc == 0 || rc == -ERR_DAMAGED);
    leaf_reader_free(r);
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int state = 0; state < 2; state++) {
        struct leaf_writer *w = leaf_writer_new(state);
        struct wbuf again = WBUF_INIT, first = WBUF_INIT;
        if (read_leaf(data, size, state, w)) {
            must(leaf_take(w, &again, &first, NULL) == 0);
            must(path_ok((const char *)first.p, first.len));
            must(read_leaf(again.p, again.len, state, NULL));
        }
        leaf_writer_free(w);
        wbuf_free(&again);
        wbuf_free(&first);
    }
    return 0;
}
