/* idlist.c - a buffer, a spool file behind it, and a map of that; see idlist.h. */
#include "orchestrator/idlist.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/packer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define IDS_IN_MEMORY 16384

struct idlist {
    char *dir;
    int fd;   /* -1: all of it is in the buffer */
    size_t n; /* in all */
    size_t buffered;
    struct id last;
    void *map;
    struct id buf[IDS_IN_MEMORY];
};

int idlist_new(const char *spool_dir, struct idlist **ret, struct err *e)
{
    struct idlist *l = malloc(sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, _("no memory"));
    l->fd = -1;
    l->n = l->buffered = 0;
    l->map = NULL;
    l->dir = strdup(spool_dir);
    if (!l->dir) {
        free(l);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    *ret = l;
    return 0;
}

void idlist_free(struct idlist *l)
{
    if (!l)
        return;
    if (l->map)
        munmap(l->map, l->n * sizeof(struct id));
    sys_close_quiet(l->fd);
    free(l->dir);
    free(l);
}

static int flush(struct idlist *l, struct err *e)
{
    if (l->fd < 0)
        l->fd = spool_file(l->dir, e);
    int rc = l->fd < 0 ? l->fd : sys_write(l->fd, l->buf, l->buffered * sizeof *l->buf, e);
    l->buffered = 0;
    return rc < 0 ? err_wrap(e, _("spool file")) : 0;
}

int idlist_add(struct idlist *l, const struct id *id, struct err *e)
{
    if (l->n > 0 && id_cmp(&l->last, id) >= 0)
        return err_set(e, ERR_PROTOCOL, _("the agent sent a malformed message"));
    if (l->n == MAX_REACH_IDS)
        return err_set(e, ERR_LIMIT, _("the snapshot has too many chunks; split the policy"));
    int rc = l->buffered == IDS_IN_MEMORY ? flush(l, e) : 0;
    if (rc < 0)
        return rc;
    l->buf[l->buffered++] = l->last = *id;
    l->n++;
    return 0;
}

int idlist_finish(struct idlist *l, const struct id **ret, size_t *ret_n, struct err *e)
{
    *ret_n = l->n;
    *ret = l->buf;
    if (l->fd < 0)
        return 0;
    int rc = flush(l, e);
    if (rc < 0)
        return rc;
    void *map = mmap(NULL, l->n * sizeof(struct id), PROT_READ, MAP_PRIVATE, l->fd, 0);
    if (map == MAP_FAILED)
        return err_sys(e, _("spool file"));
    l->map = map;
    *ret = map;
    return 0;
}
