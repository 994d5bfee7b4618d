/*
 * beside.h - a thread that does one thing at a time for another one, which meanwhile does something else: hashing what is being written.
 *
 *     beside_run(b, fn, ctx);   starts it; nothing that fn uses may be touched until
 *     rc = beside_wait(b, e);   what fn returned, and its error
 *
 * For one caller. Where no thread can be had, beside_run does the work itself.
 */
#ifndef TWOFOLD_AGENTS_BESIDE_H
#define TWOFOLD_AGENTS_BESIDE_H

#include "lib/base/err.h"

struct beside;
typedef int beside_fn(void *ctx, struct err *e);
struct beside *beside_new(void);    /* NULL: no memory */
void beside_free(struct beside *b); /* NULL-safe; nothing may be running */
void beside_run(struct beside *b, beside_fn *fn, void *ctx);
int beside_wait(struct beside *b, struct err *e);

#endif
