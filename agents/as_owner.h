/*
 * as_owner.h - the account as which a database's own programs work on files that were restored. These may come from a host in other hands, and a
 * hostile database is a program: so what they say of their owner is believed only where that is the account of such a server on this host, and of
 * their group nothing is. Otherwise the work is done as that account, and the files are given to it meanwhile.
 *
 *     as_owner_find(AS_OWNER_MARIADB, &st, &a, e)
 *     if (a.other) … give the files to a.uid, a.gid …
 *     n = as_owner_words(&a, "KILL", words)       then the program and its arguments
 *     if (a.other) … give them back …
 */
#ifndef TWOFOLD_AGENTS_AS_OWNER_H
#define TWOFOLD_AGENTS_AS_OWNER_H

#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define AS_OWNER_WORDS 8
enum as_owner_kind { AS_OWNER_MARIADB, AS_OWNER_POSTGRESQL };

struct as_owner {
    uid_t uid;
    gid_t gid;    /* the account's own */
    bool changes; /* we are root: false: all is done as ourselves */
    bool other;   /* the files belong to somebody else */
    char texts[3][32];
};

/* files: the folder that is worked on. -ERR_REFUSED: this host has no such account. */
int as_owner_find(enum as_owner_kind kind, const struct stat *files, struct as_owner *ret,
                  struct err *e);
/* Nobody's account: it owns nothing, and reads what everybody may. For a program that somebody else can have read any file. */
struct as_owner as_owner_nobody(void);
/* What stands before the program's name: no other groups, no way to more rights, and `signal` when we die. Borrowed from a; *n words, 0 where
 * nothing changes. */
size_t as_owner_words(struct as_owner *a, const char *signal, const char *ret[AS_OWNER_WORDS]);

#endif
