/* publish_internal.h - what publish.c and publish_head.c share; nobody else includes it. */
#ifndef TWOFOLD_ORCHESTRATOR_PUBLISH_INTERNAL_H
#define TWOFOLD_ORCHESTRATOR_PUBLISH_INTERNAL_H

#include "orchestrator/publish.h"

/* Seals and names an object; `out` is it. */
int seal_object(struct vault *v, enum object_type type, const struct wbuf *plain, struct wbuf *out,
                struct object_ref *ret, struct err *e);
/* Seals, names and queues an object for all copies. */
int put_object(struct vault *v, struct fanout *f, enum object_type type, const struct wbuf *plain,
               struct object_ref *ret, struct err *e);

#endif
