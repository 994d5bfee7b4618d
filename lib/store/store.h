/*
 * store.h - a place that keeps the objects of one copy: a folder, or one on another host over SFTP. Five verbs and
 * one for repair; every driver passes the same suite (tests/contract/test_store.c).
 *
 * Names are relative, of the characters [a-z0-9/-], at most MAX_STORE_NAME, no empty or dot component
 * (docs/format.md, "Objects"). Four answers about an object are kept apart in every verb: there (0),
 * absent for certain (-ERR_ABSENT), unreachable, so that nobody can tell (-ERR_UNREACHABLE), damaged
 * (-ERR_DAMAGED; only where the verb itself sees it). "Absent" is never said of a copy whose root is not
 * there or is another vault's: that is -ERR_UNREACHABLE.
 *
 * One thread writes to a store at a time; reads may run in several threads beside it.
 *
 *     struct store *s;
 *     if (store_open("/backup/a", 0, &s, e) < 0) ...
 *     store_put(s, "packs/ab/ab…", &(struct store_data){ .fd = fd, .len = n }, e);
 *     store_close(s);
 */
#ifndef TWOFOLD_STORE_STORE_H
#define TWOFOLD_STORE_STORE_H

#include "lib/base/err.h"
#include "lib/base/id.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_STORE_NAME 160

struct store;
struct rate;

/* What is to be put: bytes in memory (p) or, when p is NULL, `len` bytes of a file from offset 0. */
struct store_data {
    const void *p;
    int fd;
    uint64_t len;
};

enum store_open_flags {
    STORE_CREATE =
        1, /* make the root when it is not there; it must be empty (but for lost+found) */
    STORE_READ_ONLY = 2 /* never write, not even tmp/ */
};

/* url: an absolute path, file:///path, sftp://[user@]host[:port]/path, or (tests) memory:NAME. Other schemes: -ERR_CONFIG, with what is
 * supported. A root that is not there, or is empty without STORE_CREATE (a mount point without its disk):
 * -ERR_UNREACHABLE ("is the disk mounted?"). */
int store_open(const char *url, unsigned flags, struct store **ret, struct err *e);
/* What goes with an address; each may be left out, and `o` may be NULL. For sftp: the file with the private key (else
 * ~/.ssh/id_ed25519) and the host key as in authorized_keys (else what ~/.ssh/known_hosts has). For all: bytes a second, both ways
 * together; with a file (lib/base/rate.h) shared by all processes that name it. */
struct store_options {
    const char *identity, *host_key;
    uint64_t limit_bytes_s;
    const char *limit_file;
};
int store_open_with(const char *url, const struct store_options *o, unsigned flags,
                    struct store **ret, struct err *e);
void store_close(struct store *s); /* NULL-safe; removes nothing */

/* Makes a new object, whole and durable, or not at all: on return 0 it survives a power cut. An object
 * of that name and length that is there already is success and is not written again (names are content
 * hashes); of another length: -ERR_DAMAGED. -ERR_FAILED wrapped with ERR_IO for a source that cannot be
 * read: such an error's `code` is ERR_FAILED, never one of the copy's. */
int store_put(struct store *s, const char *name, const struct store_data *d, struct err *e);
/* The same, but whatever has the name is moved to aside/<stamp>/<name> first (repair). `stamp` is
 * [a-z0-9-]+. Undone by store_restore_aside. */
int store_replace(struct store *s, const char *name, const struct store_data *d, const char *stamp,
                  struct err *e);
/* Moves every object under aside/<stamp>/ back to its name; what stands there is swapped into
 * aside/<stamp>-undone/. Returns how many, or a negative code. */
int store_restore_aside(struct store *s, const char *stamp, struct err *e);

/* len bytes at off; all of them or an error (-ERR_DAMAGED when the object is shorter). */
int store_get(struct store *s, const char *name, uint64_t off, size_t len, void *out,
              struct err *e);
int store_stat(struct store *s, const char *name, uint64_t *ret_len, struct err *e);
/* Calls fn for every object whose name starts with `prefix` ("packs/", "heads/"; whole components), in no
 * order; tmp/ and aside/ only when the prefix names them. A non-zero return of fn ends it and is
 * returned. A prefix that does not exist is an empty list. */
typedef int store_list_fn(void *ctx, const char *name, uint64_t len);
int store_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct err *e);
/* Durable when it returns. Absent already: 0. */
int store_delete(struct store *s, const char *name, struct err *e);

/* Free bytes (total 0: not known), and a number that is equal for two stores on one device (0: not known). */
struct store_space {
    uint64_t free_bytes, total_bytes;
    uint64_t device;
    bool
        durable; /* what was put survives a power cut there (an SFTP server without fsync cannot say so) */
};
int store_space(struct store *s, struct store_space *ret, struct err *e);
const char *store_url(const struct store *s);
/* Removes unfinished writes in tmp/ (of a run that was killed). Only while holding the vault's lock. */
int store_sweep_tmp(struct store *s, struct err *e);

/* The whole object into owned memory; -ERR_LIMIT above max. */
int store_get_all(struct store *s, const char *name, size_t max, uint8_t **ret, size_t *ret_len,
                  struct err *e);

/* --- for one who is in a hurry ------------------------------------------------------------------------- */
/* A restore reads what it can get, from wherever that is quick, and must not wait for a place that hangs while another one would
 * answer. Such a store is only read. It opens, and reads, in a thread of its own, one verb at a time:
 *
 *     store_open_hasty(url, &o, &first, &s, e);   returns at once; the opening has begun
 *     store_patience(s, 2000);
 *     store_ready(s, e)                           0: it is open; -ERR_TIMEOUT: not yet, it goes on; else why not
 *     store_get(s, …)                             the same: -ERR_TIMEOUT says nothing of the object
 *     store_doing(s, &rc, &ms)                    what has become of that
 *
 * A verb that is asked for again, with the same words, goes on waiting for the same answer; another one waits until the place
 * is free. A place that could not be opened is tried anew by the next verb. store_close leaves a thread that hangs to itself:
 * it ends, and closes the store, when its place answers or the process ends. */
struct store_first {
    const char *object; /* read whole when it is opened (at most MAX_FIRST_BYTES), or NULL */
    const char *folder; /* listed then ("heads/"), and its last object by name is read, or NULL */
};
#define MAX_FIRST_BYTES (1u << 20)
int store_open_hasty(const char *url, const struct store_options *o,
                     const struct store_first *first, struct store **ret, struct err *e);
/* How long the verbs from now on wait; STORE_PATIENT: as long as the place takes, as those of all other stores always do. */
#define STORE_PATIENT UINT32_MAX
void store_patience(struct store *s, uint32_t ms);
/* Of any other store: 0. */
int store_ready(struct store *s, struct err *e);
enum store_doing {
    STORE_IDLE,
    STORE_WORKING, /* at something that nobody waits for any more */
    STORE_ANSWERED /* such a thing has ended: with which code, and after how long. Told once */
};
enum store_doing store_doing(struct store *s, int *ret_rc, uint64_t *ret_ms);

/* --- for drivers and decorators --------------------------------------------------------------------- */
struct store_ops {
    int (*put)(void *d, const char *name, const struct store_data *data, struct err *e);
    int (*replace)(void *d, const char *name, const struct store_data *data, const char *stamp,
                   struct err *e);
    int (*restore_aside)(void *d, const char *stamp, struct err *e);
    int (*get)(void *d, const char *name, uint64_t off, size_t len, void *out, struct err *e);
    int (*stat)(void *d, const char *name, uint64_t *ret_len, struct err *e);
    int (*list)(void *d, const char *prefix, store_list_fn *fn, void *ctx, struct err *e);
    int (*del)(void *d, const char *name, struct err *e);
    int (*space)(void *d, struct store_space *ret, struct err *e);
    int (*sweep_tmp)(void *d, struct err *e);
    void (*close)(void *d);
    /* Of a hasty store alone; NULL elsewhere. */
    void (*patience)(void *d, uint32_t ms);
    int (*ready)(void *d, struct err *e);
    enum store_doing (*doing)(void *d, int *ret_rc, uint64_t *ret_ms);
};
/* Takes d (closed by ops->close, also on failure). */
int store_new(const struct store_ops *ops, void *d, const char *url, struct store **ret,
              struct err *e);

/* A decorator: what is read and written first waits until the bound lets it pass. Takes s and rate, also on failure; rate NULL: *ret is
 * s. The sftp driver needs none: it bounds each piece of an object. */
int store_limited(struct store *s, struct rate *rate, struct store **ret, struct err *e);

/* A decorator for tests and drills: fails or delays what `plan` says, e.g. "put@3:EIO", "get:EIO",
 * "put@5+:ENOSPC". Takes s, also on failure. The plan is a list of VERB[@N[+]]:WHAT, separated by commas;
 * VERB: put replace restore get stat list delete space sweep, or any; N counts the calls of that verb
 * from 1; WHAT: a name of errno, ABSENT, UNREACHABLE, DAMAGED, FLIP (get only: one bit of what is read is
 * wrong) or a delay like 50ms. */
int store_faulty(struct store *s, const char *plan, struct store **ret, struct err *e);

#endif
