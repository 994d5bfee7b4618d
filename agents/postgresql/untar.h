/*
 * untar.h - unpacks what a server sends as an archive (BASE_BACKUP) while it comes: files and folders, of the one form that PostgreSQL's
 * src/port/tar.c writes (ustar; names of up to 100 bytes, sizes in octal or to the base of 256). What it names is only ever made below
 * the folder, and nothing that is there is written to.
 *
 *     untar_new(dir_fd, &u, e)
 *     untar_feed(u, p, n, e) …      bytes in their order, in parts of any size
 *     untar_end(u, e)               all files are whole; folders get their times
 *     untar_free(u)
 *
 * Links are passed over: the server tells of its tablespaces in another way. Owners are not set (untar_owner).
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_UNTAR_H
#define TWOFOLD_AGENTS_POSTGRESQL_UNTAR_H

#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct untar;
int untar_new(int dir_fd, struct untar **ret,
              struct err *e); /* dir_fd: borrowed until untar_free */
/* -ERR_PROTOCOL: it is no such archive, or names what lies elsewhere; -ERR_NOSPACE and others: it cannot be written. */
int untar_feed(struct untar *u, const uint8_t *p, size_t n, struct err *e);
int untar_end(struct untar *u, struct err *e);
/* Whom the first entry belongs to, there. False: there was none. */
bool untar_owner(const struct untar *u, uint32_t *ret_uid, uint32_t *ret_gid);
void untar_free(struct untar *u); /* NULL-safe */

#endif
