/*
 * sftp.h - a client of SFTP version 3 (draft-ietf-secsh-filexfer-02) over a byte stream, usually one of ssh_start(). Reads and writes
 * keep many requests under way. The server is taken for hostile: every length and count it sends is bounded, ids and types
 * must be those that were asked for, memory does not depend on it, every wait has a deadline. Fuzzed by tests/fuzz/fuzz_sftp.c.
 *
 *     struct sftp *s;
 *     sftp_new(fd, 0, NULL, &s, e);
 *     sftp_open(s, "/srv/x", SFTP_READ, &file, e); sftp_read(s, &file, 0, n, buf, e); sftp_close(s, &file, e);
 *     sftp_free(s);
 *
 * Errors of the server's (a status) leave the connection usable: -ERR_ABSENT, -ERR_REFUSED, -ERR_EXISTS, -ERR_NOSPACE,
 * -ERR_READONLY where it says so exactly, -ERR_IO for its "failure", which can be anything. All others - -ERR_UNREACHABLE
 * (closed), -ERR_TIMEOUT, -ERR_PROTOCOL, -ERR_INTERRUPTED, -ERR_NOMEM - end it: sftp_broken(). OpenSSH's "no such file" may also mean that
 * a part of the path is no folder. One thread at a time.
 */
#ifndef TWOFOLD_SSH_SFTP_H
#define TWOFOLD_SSH_SFTP_H

#include "lib/base/err.h"
#include "lib/base/rate.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SFTP_ANSWER_MS 120000    /* without a byte from the server */
#define MAX_SFTP_HANDLE 256      /* RFC draft: a handle's length */
#define MAX_SFTP_ENTRIES 4194304 /* of one folder */
#define MAX_SFTP_PATH 4096

struct sftp;
/* fd: non-blocking, borrowed. deadline_ms 0: SFTP_ANSWER_MS. rate (may be NULL; borrowed) bounds what is read and written. */
int sftp_new(int fd, unsigned deadline_ms, struct rate *rate, struct sftp **ret, struct err *e);
void sftp_free(struct sftp *s); /* NULL-safe; says nothing to the server */
bool sftp_broken(const struct sftp *s);
enum sftp_features { SFTP_FSYNC = 1, SFTP_STATVFS = 2 }; /* extensions of openssh.com that we use */
unsigned sftp_features(const struct sftp *s);

struct sftp_attrs {
    uint64_t size;
    uint32_t mode; /* as st_mode */
    bool has_size, has_mode;
};
struct sftp_file {
    uint8_t handle[MAX_SFTP_HANDLE];
    size_t len; /* 0: not open */
};

enum sftp_open_flags { SFTP_READ = 1, SFTP_WRITE = 2, SFTP_CREATE = 8, SFTP_EXCLUSIVE = 32 };
int sftp_open(struct sftp *s, const char *path, unsigned flags, struct sftp_file *ret,
              struct err *e);
int sftp_close(struct sftp *s, struct sftp_file *f, struct err *e); /* not open: 0 */
/* The same without waiting for the answer, which nobody needs (of files that were only read). */
int sftp_close_later(struct sftp *s, struct sftp_file *f, struct err *e);
/* Reads until len bytes or the end; returns how many. `ahead`: so many bytes behind them are asked for already (of those that
 * a window takes), and are the beginning of the next read if that begins there and nothing else is asked for before. */
ssize_t sftp_read(struct sftp *s, const struct sftp_file *f, uint64_t off, size_t len, size_t ahead,
                  void *out, struct err *e);
/* What is written: `len` bytes at p or, when it is NULL, of fd from the same offset as in the file. *ret_source: it is the source that
 * could not be read (the connection stays usable). */
struct sftp_source {
    const uint8_t *p;
    int fd;
};
int sftp_write(struct sftp *s, const struct sftp_file *f, uint64_t off,
               const struct sftp_source *from, uint64_t len, bool *ret_source, struct err *e);
int sftp_fsync(struct sftp *s, const struct sftp_file *f, struct err *e);
int sftp_fstat(struct sftp *s, const struct sftp_file *f, struct sftp_attrs *ret, struct err *e);

int sftp_lstat(struct sftp *s, const char *path, struct sftp_attrs *ret, struct err *e);
/* Many at once, for one wait. rc[i] gets 0, -ERR_ABSENT or another code of the server's for that path. At most 16. */
int sftp_lstat_all(struct sftp *s, const char *const paths[], size_t n, struct sftp_attrs ret[],
                   int rc[], struct err *e);
int sftp_mkdir(struct sftp *s, const char *path, struct err *e); /* 0700 */
int sftp_rename(struct sftp *s, const char *from, const char *to, struct err *e);
int sftp_remove(struct sftp *s, const char *path, struct err *e);
/* Calls fn for every entry but . and ..; a non-zero return ends it and is returned. fn must not use the connection. Names with
 * NUL bytes or longer than 255 are left out. */
typedef int sftp_entry_fn(void *ctx, const char *name, const struct sftp_attrs *a);
int sftp_list(struct sftp *s, const char *path, sftp_entry_fn *fn, void *ctx, struct err *e);

struct sftp_space {
    uint64_t free_bytes, total_bytes;
    uint64_t fsid;
    bool read_only;
};
int sftp_statvfs(struct sftp *s, const char *path, struct sftp_space *ret, struct err *e);

#endif
