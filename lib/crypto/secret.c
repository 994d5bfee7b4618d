/* secret.c - memory for keys: pages of its own, locked, left out of core dumps, wiped. */
#include "lib/crypto/secret.h"
#include "lib/base/sys.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct secret {
    uint8_t *p; /* mapped */
    size_t len, mapped;
};

struct secret *secret_new(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (n > SIZE_MAX - page)
        return NULL;
    struct secret *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    s->len = n;
    s->mapped = n == 0 ? page : (n + page - 1) / page * page;
    void *p = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        free(s);
        return NULL;
    }
    /* Without the limit for it (ulimit -l) a key in swap is still better than no backup. */
    (void)mlock(p, s->mapped);
    (void)madvise(p, s->mapped, MADV_DONTDUMP);
    s->p = p;
    return s;
}

struct secret *secret_of(const void *bytes, size_t n)
{
    struct secret *s = secret_new(n);
    if (s && n > 0)
        memcpy(s->p, bytes, n);
    return s;
}

struct secret *secret_random(size_t n)
{
    struct secret *s = secret_new(n);
    if (s)
        sys_random(s->p, n);
    return s;
}

struct secret *secret_clone(const struct secret *s)
{
    return secret_of(s->p, s->len);
}

void secret_free(struct secret *s)
{
    if (!s)
        return;
    OPENSSL_cleanse(s->p, s->len);
    munmap(s->p, s->mapped);
    free(s);
}

uint8_t *secret_data(struct secret *s)
{
    return s->p;
}

const uint8_t *secret_bytes(const struct secret *s)
{
    return s->p;
}

size_t secret_len(const struct secret *s)
{
    return s->len;
}

void secret_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}
