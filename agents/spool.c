/* spool.c - see agents/spool.h. */
#include "agents/spool.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFER_BYTES (64u << 10)

struct spool {
    int dir_fd, fd;
    uint64_t in_file; /* bytes already written */
    size_t buffered;
    void *map;
    size_t map_len;
    uint8_t buffer[BUFFER_BYTES];
};

int spool_file(int dir_fd, struct err *e)
{
    int fd = sys_openat(dir_fd, ".", O_TMPFILE | O_RDWR, 0600, NULL);
    if (fd >= 0)
        return fd;
    /* NFS and others have no O_TMPFILE. */
    char name[64];
    snprintf(name, sizeof name, ".spool.%ld.%ld", (long)getpid(), (long)gettid());
    fd = sys_openat(dir_fd, name, O_CREAT | O_EXCL | O_RDWR, 0600, e);
    if (fd >= 0 && sys_unlinkat(dir_fd, name, 0, e) < 0) {
        sys_close_quiet(fd);
        return -ERR_IO;
    }
    return fd;
}

struct spool *spool_new(int dir_fd)
{
    struct spool *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    s->dir_fd = dir_fd;
    s->fd = -1;
    s->in_file = 0;
    s->buffered = 0;
    s->map = NULL;
    s->map_len = 0;
    return s;
}

static void unmap(struct spool *s)
{
    if (s->map)
        munmap(s->map, s->map_len);
    s->map = NULL;
}

void spool_free(struct spool *s)
{
    if (!s)
        return;
    unmap(s);
    sys_close_quiet(s->fd);
    free(s);
}

uint64_t spool_len(const struct spool *s)
{
    return s->in_file + s->buffered;
}

static int flush(struct spool *s, struct err *e)
{
    if (s->fd < 0 && (s->fd = spool_file(s->dir_fd, e)) < 0)
        return err_wrap(e, _("temporary file in the agent's state folder"));
    if (sys_pwrite(s->fd, s->buffer, s->buffered, s->in_file, e) < 0)
        return err_wrap(e, _("temporary file in the agent's state folder"));
    s->in_file += s->buffered;
    s->buffered = 0;
    return 0;
}

int spool_add(struct spool *s, const void *p, size_t n, struct err *e)
{
    unmap(s);
    for (const uint8_t *from = p; n > 0;) {
        if (s->buffered == BUFFER_BYTES && flush(s, e) < 0)
            return -e->code;
        size_t take = BUFFER_BYTES - s->buffered < n ? BUFFER_BYTES - s->buffered : n;
        memcpy(s->buffer + s->buffered, from, take);
        s->buffered += take;
        from += take;
        n -= take;
    }
    return 0;
}

int spool_read(struct spool *s, uint64_t off, void *p, size_t n, struct err *e)
{
    assert(off <= spool_len(s) && n <= spool_len(s) - off);
    size_t from_file = 0;
    if (off < s->in_file) {
        from_file = s->in_file - off < n ? (size_t)(s->in_file - off) : n;
        ssize_t got = sys_pread(s->fd, p, from_file, off, e);
        if (got >= 0 && (size_t)got < from_file)
            err_set(e, ERR_IO, _("it is shorter than what was written"));
        if (got < 0 || (size_t)got < from_file)
            return err_wrap(e, _("temporary file in the agent's state folder"));
    }
    if (n > from_file)
        memcpy((uint8_t *)p + from_file, s->buffer + (off + from_file - s->in_file), n - from_file);
    return 0;
}

int spool_map(struct spool *s, void **ret, size_t *ret_len, struct err *e)
{
    unmap(s);
    *ret_len = (size_t)spool_len(s);
    *ret = s->buffer;
    if (s->in_file == 0) {
        *ret = *ret_len ? s->buffer : NULL;
        return 0;
    }
    if (flush(s, e) < 0)
        return -e->code;
    void *map = mmap(NULL, *ret_len, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (map == MAP_FAILED)
        return err_sys(e, _("map a temporary file in the agent's state folder"));
    s->map = *ret = map;
    s->map_len = *ret_len;
    return 0;
}

int spool_reset(struct spool *s, struct err *e)
{
    unmap(s);
    s->in_file = 0;
    s->buffered = 0;
    if (s->fd >= 0 && ftruncate(s->fd, 0) < 0)
        return err_sys(e, _("empty a temporary file in the agent's state folder"));
    return 0;
}
