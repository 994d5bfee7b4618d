/*
 * store_kit.h - what the tests of stores share: a fixture for every kind of driver, a server that they may log in to, and shorthands.
 */
#ifndef TWOFOLD_TESTS_CONTRACT_STORE_KIT_H
#define TWOFOLD_TESTS_CONTRACT_STORE_KIT_H

#include "lib/store/store.h"
#include "tests/sshd_kit.h"
#include <ftw.h>
#include <stdbool.h>

enum kind { FOLDER, MEMORY, FAULTY_FOLDER, FAULTY_MEMORY, LIMITED, SFTP };

/* The server of the tests that need one; nobody may log in to it but they. */
extern struct sshd server;
extern bool has_server;
extern const char *server_sees; /* what is before the paths that it knows: the chroot's folder */

struct fixture {
    enum kind kind;
    char dir[64], root[96], url[256];
    struct store_options options;
    struct store *s;
    struct err e;
    int open_fds;
};

struct seen {
    char names[32][MAX_STORE_NAME + 1];
    uint64_t lens[32];
    size_t n;
    size_t stop_after;
};

int setup_folder(void **state);
int setup_memory(void **state);
int setup_faulty_folder(void **state);
int setup_faulty_memory(void **state);
int setup_limited(void **state);
int setup_sftp(void **state);
int teardown(void **state);
int put_text(struct fixture *f, const char *name, const char *text);
int replace_text(struct fixture *f, const char *name, const char *text, const char *stamp);
void assert_object(struct fixture *f, const char *name, const char *text);
void assert_absent(struct fixture *f, const char *name);
int open_again(struct fixture *f, unsigned flags, struct store **ret);
int make_source(struct fixture *f, size_t n);
int note(void *ctx, const char *name, uint64_t len);
bool saw(const struct seen *s, const char *name);
void assert_list(struct fixture *f, const char *prefix, size_t n, ...);
int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw);

/* There is no fixture where the machine has no sshd. */
#define NEEDS(f) \
    if (!(f))    \
    skip()

#endif
