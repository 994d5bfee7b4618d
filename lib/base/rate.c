/* rate.c - a bound on bytes a second, as a "theoretical arrival time" (GCRA, ITU-T I.371): one number says when all that was let
 * through would have arrived at the given speed. See rate.h. */
#include "lib/base/rate.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ull
#define BURST_NS (NS / 5)
/* Taken in pieces, so that those who share take turns. */
#define PIECE_BYTES (64u << 10)
/* As many pieces may be waited for at once; a time further ahead is of another boot. */
#define MAX_WAITING 256
#define SLICE_MS 200

struct rate {
    uint64_t bytes_s;
    _Atomic uint64_t *at_ns; /* own, or of the file */
    bool shared;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static int map_file(struct rate *r, const char *path, struct err *e)
{
    int fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0600, e), rc = 0;
    if (fd < 0)
        return fd;
    void *p = MAP_FAILED;
    if (ftruncate(fd, sizeof *r->at_ns) < 0)
        rc = err_sys(e, "%s", path);
    else if ((p = mmap(NULL, sizeof *r->at_ns, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) ==
             MAP_FAILED)
        rc = err_sys(e, "%s", path);
    sys_close_quiet(fd);
    if (rc == 0) {
        r->at_ns = p;
        r->shared = true;
    }
    return rc;
}

int rate_new(uint64_t bytes_s, const char *path, struct rate **ret, struct err *e)
{
    *ret = NULL;
    if (bytes_s == 0)
        return 0;
    struct rate *r = calloc(1, sizeof *r);
    int rc = 0;
    if (r && path)
        rc = map_file(r, path, e);
    else if (r)
        r->at_ns = calloc(1, sizeof *r->at_ns);
    if (!r || (rc == 0 && !r->at_ns))
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc < 0) {
        free(r);
        return rc;
    }
    r->bytes_s = bytes_s;
    *ret = r;
    return 0;
}

void rate_free(struct rate *r)
{
    if (!r)
        return;
    if (r->shared)
        munmap((void *)r->at_ns, sizeof *r->at_ns);
    else
        free((void *)r->at_ns);
    free(r);
}

int rate_sleep_ms(uint64_t ms, struct err *e)
{
    uint64_t until = sys_monotonic_ms() + ms;
    for (;;) {
        uint64_t now = sys_monotonic_ms();
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
        if (now >= until)
            return 0;
        uint64_t left = until - now;
        (void)poll(NULL, 0, left < SLICE_MS ? (int)left : SLICE_MS);
    }
}

/* Books n bytes; returns how long to wait for them, in ms. */
static uint64_t book(struct rate *r, uint64_t n)
{
    uint64_t cost = (uint64_t)((double)n * NS / (double)r->bytes_s);
    uint64_t far = MAX_WAITING * (uint64_t)((double)PIECE_BYTES * NS / (double)r->bytes_s) + NS;
    uint64_t was = atomic_load(r->at_ns), now, at;
    do {
        now = now_ns();
        at = was < now || was - now > far ? now : was;
    } while (!atomic_compare_exchange_weak(r->at_ns, &was, at + cost));
    at += cost;
    return at > now + BURST_NS ? (at - now - BURST_NS) / (NS / 1000) : 0;
}

int rate_take(struct rate *r, uint64_t n, struct err *e)
{
    for (int rc = 0; r && n > 0;) {
        uint64_t piece = n < PIECE_BYTES ? n : PIECE_BYTES, ms = book(r, piece);
        if (ms > 0 && (rc = rate_sleep_ms(ms, e)) < 0)
            return rc;
        n -= piece;
    }
    return 0;
}
