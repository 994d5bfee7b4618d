/* bench_sftp.c - puts a file into a store as one object, or reads it back in pieces as large as a pack; prints the seconds it
 * took. Started by sftp.sh.
 *     bench_sftp put|get URL IDENTITY HOST-KEY FILE */
#include "lib/base/sys.h"
#include "lib/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT "packs/ab/bench"
#define PIECE_BYTES (24u << 20)

static int failed(const struct err *e)
{
    fprintf(stderr, "bench_sftp: %s: %s\n", e->what, e->why);
    return 1;
}

static int put(struct store *s, const char *file, struct err *e)
{
    struct stat st;
    int fd = sys_openat(AT_FDCWD, file, O_RDONLY, 0, e);
    if (fd < 0)
        return fd;
    int rc = fstat(fd, &st) < 0 ? err_sys(e, "%s", file) : 0;
    struct store_data d = { .fd = fd, .len = rc == 0 ? (uint64_t)st.st_size : 0 };
    if (rc == 0)
        rc = store_put(s, OBJECT, &d, e);
    sys_close_quiet(fd);
    return rc;
}

/* Written out like any client's download. */
static int get(struct store *s, const char *file, struct err *e)
{
    uint64_t len = 0;
    uint8_t *buf = malloc(PIECE_BYTES);
    int fd = sys_openat(AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC, 0600, e);
    int rc = fd < 0 ? fd : buf ? store_stat(s, OBJECT, &len, e) : -1;
    for (uint64_t at = 0; rc == 0 && at < len; at += PIECE_BYTES) {
        size_t n = len - at < PIECE_BYTES ? (size_t)(len - at) : PIECE_BYTES;
        rc = store_get(s, OBJECT, at, n, buf, e);
        if (rc == 0)
            rc = sys_write(fd, buf, n, e);
    }
    sys_close_quiet(fd);
    free(buf);
    return rc;
}

int main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    struct store *s = NULL;
    if (argc != 6)
        return 2;
    bool puts = strcmp(argv[1], "put") == 0;
    struct store_options o = { .identity = argv[3], .host_key = argv[4] };
    uint64_t begun = sys_monotonic_ms();
    int rc = store_open_with(argv[2], &o, puts ? STORE_CREATE : 0, &s, &e);
    if (rc == 0)
        rc = puts ? put(s, argv[5], &e) : get(s, argv[5], &e);
    store_close(s);
    if (rc < 0)
        return failed(&e);
    printf("%.3f\n", (double)(sys_monotonic_ms() - begun) / 1000);
    return 0;
}
