/* mask.h - text of an operator's without the passwords in it, for messages, trails and screens. */
#ifndef TWOFOLD_BASE_MASK_H
#define TWOFOLD_BASE_MASK_H

#include <stddef.h>

/* What stands behind "password=" (as libpq reads it: quoted, or to the next space; in a URL to the next "&"), and between ":" and "@" of a URL's
 * user, becomes "***". At most size bytes with the final NUL; what does not fit is cut off. Returns out. */
char *mask_secrets(const char *text, char *out, size_t size);

#endif
