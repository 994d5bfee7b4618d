/* saved_entry.c - see agents/saved_entry.h. */
#include "agents/saved_entry.h"

#include <stdlib.h>

static char *put(char **at, const void *p, size_t n)
{
    char *to = *at;
    if (n > 0)
        memcpy(to, p, n);
    to[n] = '\0';
    *at += n + 1;
    return to;
}

struct entry *entry_save(const struct entry *en)
{
    size_t array = en->n_xattrs * sizeof *en->xattrs;
    size_t bytes = sizeof *en + array + en->path_len + 1 + en->target_len + 1;
    for (size_t i = 0; i < en->n_xattrs; i++)
        bytes += en->xattrs[i].name_len + 1 + en->xattrs[i].len + 1;
    struct entry *to = malloc(bytes);
    if (!to)
        return NULL;
    struct xattr *xattrs = (struct xattr *)(to + 1);
    char *at = (char *)xattrs + array;
    *to = *en;
    to->extents = NULL;
    to->n_extents = 0;
    to->sums = NULL;
    to->n_sums = 0;
    to->xattrs = xattrs;
    to->path = put(&at, en->path, en->path_len);
    to->target = put(&at, en->target, en->target_len);
    for (size_t i = 0; i < en->n_xattrs; i++) {
        const struct xattr *x = &en->xattrs[i];
        xattrs[i] = *x;
        xattrs[i].name = put(&at, x->name, x->name_len);
        xattrs[i].value = (const uint8_t *)put(&at, x->value, x->len);
    }
    return to;
}
