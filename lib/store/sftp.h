/*
 * sftp.h - what sftp.c (the verbs), sftp_put.c (writing) and sftp_conn.c (connections, paths, judging of errors) share.
 *
 * A copy on another host, over SFTP (lib/ssh/sftp.h) through twofold-ssh. One connection for the writer, one for readers, each
 * opened when it is first needed and opened again, with growing pauses, when it breaks inside a verb: every verb is
 * written so that it can be begun again.
 *
 * The server's account may do as it likes below the root; it is believed in nothing that a hash does not prove. A server without
 * fsync@openssh.com can promise less: store_space() says `durable: false`, and an object may be lost in a power cut of the server
 * that comes soon after the put (scrub finds that).
 */
#ifndef TWOFOLD_STORE_SFTP_H
#define TWOFOLD_STORE_SFTP_H

#include "lib/base/rate.h"
#include "lib/ssh/sftp.h"
#include "lib/store/drivers.h"
#include <pthread.h>
#include <stdatomic.h>

#define MAX_KNOWN_PATHS 1024
#define MAX_FULL_PATH (MAX_SFTP_PATH - 1)

struct conn {
    pthread_mutex_t lock;
    int fd; /* -1: not connected */
    pid_t pid;
    struct sftp *s;
};

/* The object that a reader has open on its connection (sftp.c). */
struct last_read {
    struct sftp_file f;
    char name[MAX_STORE_NAME + 1];
    uint64_t size, opened_ms;
    uint64_t end; /* of what was read last */
    unsigned changes;
};

struct remote {
    char *host, *user, *root; /* root: without a final '/', "" for "/" */
    unsigned port;
    char *identity, *host_key;
    char *where; /* for errors */
    struct rate *rate;
    bool read_only;
    bool has_fsid;
    uint64_t fsid;
    uint64_t device;
    struct conn writer, reader;
    struct last_read last; /* under reader.lock */
    atomic_uint changes;   /* what the writer did so far */
    /* Folders that were seen, and made durable, since this store was opened; only the writer uses it. */
    char *known[MAX_KNOWN_PATHS];
    size_t n_known;
};

/* --- connections */
/* What is done over a connection; may be called again when the connection broke. */
typedef int remote_fn(struct remote *r, struct sftp *s, void *ctx, struct err *e);
/* Runs fn over c, connecting (again) where needed. Errors of the link come back as -ERR_UNREACHABLE. */
int remote_do(struct remote *r, struct conn *c, remote_fn *fn, void *ctx, struct err *e);
int remote_connect(struct remote *r, struct conn *c,
                   struct err *e); /* once, without trying again */
void remote_disconnect(struct remote *r, struct conn *c);

/* --- paths */
/* "ROOT/name" ("" is the root itself); out has MAX_SFTP_PATH bytes. */
int remote_path(const struct remote *r, const char *name, char *out, struct err *e);
/* -ERR_UNREACHABLE when the copy is not where it was when it was opened. */
int remote_check_root(struct remote *r, struct sftp *s, struct err *e);
/* After the server said that nothing has this name: -ERR_ABSENT when that is certain, else -ERR_UNREACHABLE. */
int remote_absent(struct remote *r, struct sftp *s, const char *name, struct err *e);
/* The folders above `name` are folders: 0; -ERR_ABSENT; -ERR_UNREACHABLE for a link or a file among them. */
int remote_check_way(struct remote *r, struct sftp *s, const char *name, struct err *e);
int remote_make_folder(struct remote *r, struct sftp *s, const char *name, struct err *e);
void remote_forget_folders(struct remote *r);
/* The entries of the folder are durable; without fsync on the server: 0. */
int remote_sync_folder(struct remote *r, struct sftp *s, const char *name, struct err *e);

/* --- errors, as folder.h has them; leave those of the link alone */
int remote_must_be_file(const struct sftp_attrs *a, struct err *e);
int remote_read_failed(struct remote *r, struct sftp *s, const char *name, struct err *e);
/* need: how many bytes were to be written. */
int remote_write_failed(struct remote *r, struct sftp *s, const char *name, uint64_t need,
                        struct err *e);
/* Every writing verb calls it first. */
int remote_begin_writing(struct remote *r, struct err *e);

/* --- writing (sftp_put.c) */
int remote_put(void *d, const char *name, const struct store_data *data, struct err *e);
int remote_replace(void *d, const char *name, const struct store_data *data, const char *stamp,
                   struct err *e);
int remote_restore_aside(void *d, const char *stamp, struct err *e);
/* Gathers the names of all that is no folder below a prefix; owned by the caller (free each and the array). */
struct remote_names {
    char **v;
    size_t n, cap;
};
int remote_gather(struct remote *r, struct conn *c, const char *prefix, struct remote_names *ret,
                  struct err *e);
void remote_names_done(struct remote_names *l);

#endif
