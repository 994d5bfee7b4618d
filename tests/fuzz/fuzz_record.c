/* fuzz_record.c - the two plaintexts of a record, docs/format.md, "record": 'h' and its head, or 'c' and its content. What was read is within its
 * bounds and is written as it was. */
#include "lib/crypto/hpke.h"
#include "lib/vault/record_object.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void head(struct record_object *o, const uint8_t *p, size_t n)
{
    struct wbuf w = WBUF_INIT;
    if (record_head_parse(p, n, o, NULL) < 0)
        return;
    if (o->n_before > MAX_RECORD_BEFORE || strlen(o->incident) > MAX_RECORD_INCIDENT ||
        strchr(o->incident, '/') || o->incident[0] == '.' || o->sealed_len < HPKE_OVERHEAD_BYTES)
        abort();
    for (size_t i = 0; i < o->n_before; i++)
        if (o->before[i].number >= (i ? o->before[i - 1].number : o->number))
            abort();
    record_head_write(o, &w);
    if (w.failed || w.len != o->head_len || memcmp(w.p, p, w.len) != 0)
        abort();
    wbuf_free(&w);
}

static void content(struct record_object *o, const uint8_t *p, size_t n)
{
    struct wbuf w = WBUF_INIT;
    if (record_content_parse(p, n, o, NULL) < 0)
        return;
    if (o->n_files > MAX_RECORD_FILES)
        abort();
    for (size_t i = 0; i < o->n_files; i++)
        if (strchr(o->files[i].name, '/') || o->files[i].name[0] == '.' || !o->files[i].name[0])
            abort();
    record_content_write(o, &w);
    if (w.failed || w.len != n || memcmp(w.p, p, n) != 0)
        abort();
    wbuf_free(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_object *o = size ? calloc(1, sizeof *o) : NULL;
    if (o && data[0] == 'h')
        head(o, data + 1, size - 1);
    else if (o)
        content(o, data + 1, size - 1);
    free(o);
    return 0;
}
