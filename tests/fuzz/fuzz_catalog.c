/* fuzz_catalog.c - the plaintext of an export of the catalog, docs/format.md, "catalog": the object, and the rows in it. */
#include "orchestrator/catalog/rows.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Texts end where they say, and what was read can be written. */
static int on_run(void *ctx, const struct run *r)
{
    struct wbuf w = WBUF_INIT;
    (void)ctx;
    row_write_run(&w, r);
    if (w.failed || strlen(r->error) > MAX_CATALOG_TEXT)
        abort();
    wbuf_free(&w);
    return 0;
}

static int on_alarm(void *ctx, const struct alarm *a)
{
    (void)ctx;
    if (a->level > ALARM_CRITICAL || strlen(a->acked_through) > MAX_CATALOG_TEXT)
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct row_sink sink = { .run = on_run, .alarm = on_alarm };
    struct catalog_object *o = NULL;
    struct wbuf w = WBUF_INIT;
    if (catalog_object_read(data, size, &o, NULL) < 0)
        return 0;
    (void)rows_read(o, &sink, NULL, NULL);
    if (catalog_object_write(o, &w, NULL) < 0)
        abort();
    wbuf_free(&w);
    catalog_object_free(o);
    return 0;
}
