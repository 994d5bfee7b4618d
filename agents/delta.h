/*
 * delta.h - a file in pages that is there already, damaged or out of date: its regions are hashed where they are, and only those that differ from
 * the snapshot's are fetched and written. What was in them is gone then. For agents/place_file.c; returns as in restore_run.h.
 */
#ifndef TWOFOLD_AGENTS_DELTA_H
#define TWOFOLD_AGENTS_DELTA_H

#include "agents/restore_run.h"

/* `en` is the file's entry and is overwritten by its continuations, which are read from `walk`; fd is open for reading and writing.
 * Interrupted at any point, the same call goes on: what is right stays. *ret_written: bytes. FAILED_HERE: a region could not be had; those
 * before it are right. */
int delta_content(struct run *r, struct entries *walk, struct entry *en, int fd,
                  uint64_t *ret_written, struct err *e);

#endif
