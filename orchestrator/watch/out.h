/* out.h - a text that grows: for the page and the metrics. Aborts without memory. */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_OUT_H
#define TWOFOLD_ORCHESTRATOR_WATCH_OUT_H

#include "lib/base/bytes.h"
#include <stdarg.h>

void out_v(struct wbuf *o, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void out(struct wbuf *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The text, owned; o is empty afterwards. */
char *out_take(struct wbuf *o);

#endif
