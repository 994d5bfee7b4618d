/* fuzz_paper.c - a paper as JSON, as twofold-paper reads it: what was read is within its bounds, reads again as the same, and every renderer but
 * that of PDF draws it; none of them lets a control or an element of the texts through. */
#include "restore/report/render.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void clean(const struct wbuf *w)
{
    for (size_t i = 0; i < w->len; i++)
        if ((w->p[i] < 0x20 && w->p[i] != '\n') || w->p[i] == 0x7F)
            abort();
}

/* The same bytes again: 'once' is of a document, 'twice' of what was read from its JSON. */
static void same(const struct document *d, const struct wbuf *once)
{
    struct document *back = NULL;
    struct wbuf twice = WBUF_INIT;
    json_t *o = document_json(d);
    if (!o || document_parse(o, &back, NULL) < 0)
        abort();
    render_html(back, &twice);
    if (twice.len != once->len || memcmp(twice.p, once->p, twice.len) != 0)
        abort();
    wbuf_free(&twice);
    document_free(back);
    json_decref(o);
}

static void draw(const struct document *d)
{
    struct wbuf text = WBUF_INIT, html = WBUF_INIT, docx = WBUF_INIT;
    render_text(d, &text);
    render_html(d, &html);
    clean(&text);
    clean(&html);
    wb_u8(&html, 0);
    if (strstr((const char *)html.p, "<script") || strstr((const char *)html.p, "<img"))
        abort();
    html.len--;
    same(d, &html);
    if (render_docx(d, &docx, NULL) < 0)
        abort();
    wbuf_free(&text);
    wbuf_free(&html);
    wbuf_free(&docx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document *d = NULL;
    json_t *o = json_loadb((const char *)data, size, 0, NULL);
    if (o && document_parse(o, &d, NULL) == 0) {
        draw(d);
        document_free(d);
    }
    json_decref(o);
    return 0;
}
