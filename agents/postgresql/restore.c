/* restore.c - the steps that make a restored cluster one that starts. */
#include "agents/postgresql/inner.h"
#include "lib/base/i18n.h"

int pg_restore(const struct source_restore *r, struct err *e)
{
    (void)r;
    (void)e;
    return 0;
}
