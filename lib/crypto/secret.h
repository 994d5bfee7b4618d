/* secret.h - memory for keys and passphrases: locked where the system lets us, never dumped, wiped
 * when freed, and with no way to print it. */
#ifndef TWOFOLD_CRYPTO_SECRET_H
#define TWOFOLD_CRYPTO_SECRET_H

#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 32

struct secret; /* a fixed number of bytes */

struct secret *secret_new(size_t n);                   /* zeros; NULL: no memory */
struct secret *secret_of(const void *bytes, size_t n); /* a copy */
struct secret *secret_random(size_t n);
struct secret *secret_clone(const struct secret *s);
void secret_free(struct secret *s); /* wipes; NULL-safe */
uint8_t *secret_data(struct secret *s);
const uint8_t *secret_bytes(const struct secret *s);
size_t secret_len(const struct secret *s);
void secret_wipe(void *p, size_t n); /* for stack copies; not optimised away */

#endif
