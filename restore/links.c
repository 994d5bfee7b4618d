/* links.c - a table of files by their first name (POSIX search tree). The manual is restore/links.h. */
#include "restore/links.h"
#include "lib/base/i18n.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int by_target(const void *a, const void *b)
{
    const struct link *la = a, *lb = b;
    if (la->target_len != lb->target_len)
        return la->target_len < lb->target_len ? -1 : 1;
    return memcmp(la->target, lb->target, la->target_len);
}

static void link_free(void *p)
{
    struct link *l = p;
    free(l->target);
    free(l->name);
    free(l);
}

/* Not strndup(): what comes from a leaf ends where its buffer ends, with no NUL to be looked for. */
static char *text_of(const char *p, size_t n)
{
    char *s = malloc(n + 1);
    if (s) {
        memcpy(s, p, n);
        s[n] = '\0';
    }
    return s;
}

int links_add(struct links *l, const char *target, size_t target_len, const char *name,
              size_t name_len, struct err *e)
{
    struct link *n = calloc(1, sizeof(*n));
    if (n) {
        n->target = text_of(target, target_len);
        n->target_len = target_len;
        n->name = name ? text_of(name, name_len) : NULL;
        n->name_len = name_len;
    }
    if (n && n->target && (n->name || !name) && tsearch(n, &l->tree, by_target))
        return 0;
    if (n)
        link_free(n);
    return err_set(e, ERR_NOMEM, _("out of memory"));
}

const struct link *links_find(const struct links *l, const char *target, size_t target_len)
{
    struct link key = { .target = (char *)target, .target_len = target_len };
    struct link *const *found = tfind(&key, &l->tree, by_target);
    return found ? *found : NULL;
}

void links_done(struct links *l)
{
    tdestroy(l->tree, link_free);
    l->tree = NULL;
}
