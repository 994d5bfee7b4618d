/* linktable.c - open addressing in a mapped file that doubles; paths in a spool beside it. The manual is
 * agents/linktable.h. */
#include "agents/linktable.h"
#include "agents/spool.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIRST_SLOTS ((size_t)4096) /* a power of two */

struct slot {
    uint64_t a, b;
    uint64_t path; /* where its record starts in the spool, + 1; 0: the slot is free */
};

struct linktable {
    int dir_fd, fd;
    struct slot *slots; /* mapped */
    size_t n_slots, n;
    struct spool *paths; /* each: u32 length, bytes */
    char *path;          /* the one found last */
    size_t path_cap;
};

struct linktable *linktable_new(int dir_fd)
{
    struct linktable *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->dir_fd = dir_fd;
    t->fd = -1;
    t->paths = spool_new(dir_fd);
    if (!t->paths) {
        free(t);
        return NULL;
    }
    return t;
}

void linktable_free(struct linktable *t)
{
    if (!t)
        return;
    if (t->slots)
        munmap(t->slots, t->n_slots * sizeof *t->slots);
    sys_close_quiet(t->fd);
    spool_free(t->paths);
    free(t->path);
    free(t);
}

static uint64_t mix(uint64_t h)
{
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

/* The slot of the pair, or the free one where it would go. At most half of the slots are used. */
static struct slot *locate(struct slot *slots, size_t n_slots, uint64_t a, uint64_t b)
{
    size_t i = (size_t)mix(mix(a) + b) & (n_slots - 1);
    while (slots[i].path != 0 && (slots[i].a != a || slots[i].b != b))
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static int grow(struct linktable *t, struct err *e)
{
    size_t n = t->n_slots ? 2 * t->n_slots : FIRST_SLOTS, bytes = n * sizeof *t->slots;
    int fd = spool_file(t->dir_fd, e);
    if (fd < 0)
        return err_wrap(e, _("table of hard links"));
    /* Blocks are taken at once: a full disk must not show when the mapping is written to. */
    int sys = posix_fallocate(fd, 0, (off_t)bytes);
    void *map = sys ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        errno = sys ? sys : errno;
        err_sys(e, _("table of hard links in the agent's state folder"));
        sys_close_quiet(fd);
        return -e->code;
    }
    for (size_t i = 0; i < t->n_slots; i++)
        if (t->slots[i].path != 0)
            *locate(map, n, t->slots[i].a, t->slots[i].b) = t->slots[i];
    if (t->slots)
        munmap(t->slots, t->n_slots * sizeof *t->slots);
    sys_close_quiet(t->fd);
    t->fd = fd;
    t->slots = map;
    t->n_slots = n;
    return 0;
}

int linktable_find(struct linktable *t, uint64_t a, uint64_t b, const char **ret_path,
                   size_t *ret_len, struct err *e)
{
    const struct slot *s = t->n ? locate(t->slots, t->n_slots, a, b) : NULL;
    uint32_t len;
    if (!s || s->path == 0)
        return 0;
    if (spool_read(t->paths, s->path - 1, &len, sizeof len, e) < 0)
        return -e->code;
    if (t->path_cap < (size_t)len + 1) {
        char *p = realloc(t->path, (size_t)len + 1);
        if (!p)
            return err_set(e, ERR_NOMEM, _("no memory"));
        t->path = p;
        t->path_cap = (size_t)len + 1;
    }
    if (spool_read(t->paths, s->path - 1 + sizeof len, t->path, len, e) < 0)
        return -e->code;
    t->path[len] = '\0';
    *ret_path = t->path;
    *ret_len = len;
    return 1;
}

int linktable_add(struct linktable *t, uint64_t a, uint64_t b, const char *path, size_t len,
                  struct err *e)
{
    uint32_t len32 = (uint32_t)len;
    uint64_t at = spool_len(t->paths);
    if (2 * (t->n + 1) > t->n_slots && grow(t, e) < 0)
        return -e->code;
    if (spool_add(t->paths, &len32, sizeof len32, e) < 0 || spool_add(t->paths, path, len, e) < 0)
        return -e->code;
    *locate(t->slots, t->n_slots, a, b) = (struct slot){ .a = a, .b = b, .path = at + 1 };
    t->n++;
    return 0;
}
