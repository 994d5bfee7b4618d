/* wire_impl.h - what the files of this folder share. */
#ifndef TWOFOLD_WIRE_WIRE_IMPL_H
#define TWOFOLD_WIRE_WIRE_IMPL_H

#include "lib/wire/wire.h"

#define MAX_NAME_BYTES 255

/* A text for people as a blob of at most MAX_FRAME_TEXT bytes, cut between characters. */
void wire_put_text(struct wbuf *w, const char *text, size_t n);

#endif
