/*
 * drivers.h - what the files of lib/store share; nobody else includes it.
 *
 * Drivers get names, prefixes and stamps that store.c has checked, and an `e` that is never NULL.
 */
#ifndef TWOFOLD_STORE_DRIVERS_H
#define TWOFOLD_STORE_DRIVERS_H

#include "lib/store/store.h"

/* Longest address of a copy. */
#define MAX_STORE_URL 4096
/* "aside/<stamp>-undone/<name>" must still be a name that can be listed and read. */
#define ASIDE_FOLDER "aside/"
#define UNDONE_SUFFIX "-undone"

int folder_open(const char *path, const char *url, unsigned flags, struct store **ret,
                struct err *e);
int sftp_store_open(const char *url, const struct store_options *o, unsigned flags,
                    struct store **ret, struct err *e);
/* Every open of memory: starts empty, whatever its name. */
int memory_open(const char *url, unsigned flags, struct store **ret, struct err *e);

bool store_name_ok(const char *name);
/* Where a prefix leads: its length without a final '/'. */
size_t store_prefix_len(const char *prefix);
/* Whether a whole name lies under the prefix; never for tmp/ and aside/ unless the prefix names them. */
bool store_prefix_matches(const char *prefix, const char *name);
/* Makes an error about what was to be put the source's own: -ERR_FAILED. */
int store_source_failed(struct err *e);
int store_out_of_memory(struct err *e);

#endif
