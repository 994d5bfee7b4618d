/* zstd.c - compression of chunks: libzstd's one-shot calls with contexts that are used again.
 * docs/format.md, "chunk": codec 1 is one zstd frame (RFC 8878). */
#include "lib/codec/zstd.h"
#include "lib/base/i18n.h"

#include <stdlib.h>
#include <zstd.h>

struct zstd {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
};

struct zstd *zstd_new(void)
{
    return calloc(1, sizeof(struct zstd));
}

void zstd_free(struct zstd *z)
{
    if (!z)
        return;
    ZSTD_freeCCtx(z->c);
    ZSTD_freeDCtx(z->d);
    free(z);
}

size_t zstd_bound(size_t n)
{
    return ZSTD_compressBound(n);
}

size_t zstd_compress(struct zstd *z, int level, const void *in, size_t n, void *out, size_t out_cap)
{
    if (n < 2 || (!z->c && !(z->c = ZSTD_createCCtx())))
        return 0;
    /* What does not fit below n is not wanted, so zstd may give up early. */
    size_t cap = out_cap < n - 1 ? out_cap : n - 1;
    size_t got = ZSTD_compressCCtx(z->c, out, cap, in, n, level);
    return ZSTD_isError(got) ? 0 : got;
}

int zstd_decompress(struct zstd *z, const void *in, size_t n, void *out, size_t out_len,
                    struct err *e)
{
    if (!z->d && !(z->d = ZSTD_createDCtx()))
        return err_set(e, ERR_NOMEM, _("no memory for decompression"));
    /* The call below would take several frames, and what is left over would go unnoticed. */
    if (ZSTD_findFrameCompressedSize(in, n) != n)
        return err_set(e, ERR_DAMAGED, _("the compressed data are not one zstd frame"));
    size_t got = ZSTD_decompressDCtx(z->d, out, out_len, in, n);
    if (ZSTD_isError(got))
        return err_set(e, ERR_DAMAGED, _("the compressed data are damaged: %s"),
                       ZSTD_getErrorName(got));
    if (got != out_len)
        return err_set(e, ERR_DAMAGED, _("the compressed data have another length than stated"));
    return 0;
}
