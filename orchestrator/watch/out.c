/* out.c - see out.h. */
#include "orchestrator/watch/out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void out_v(struct wbuf *o, const char *fmt, va_list ap)
{
    char *text = NULL;
    int n = vasprintf(&text, fmt, ap);
    if (n < 0)
        abort();
    wb_bytes(o, text, (size_t)n);
    free(text);
    if (o->failed)
        abort();
}

void out(struct wbuf *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    out_v(o, fmt, ap);
    va_end(ap);
}

char *out_take(struct wbuf *o)
{
    wb_u8(o, 0);
    if (o->failed)
        abort();
    char *text = (char *)o->p;
    *o = WBUF_INIT;
    return text;
}
