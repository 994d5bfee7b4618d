/* store_kit.c - fixtures of the stores' tests; see store_kit.h. */
#include "tests/contract/store_kit.h"
#include "lib/base/sys.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- fixture: a store of some kind, and for folders the place where it lies ------------------------- */

/* The server of the tests that need one; nobody may log in to it but they. */
struct sshd server;
bool has_server;
const char *server_sees = ""; /* what is before the paths that it knows: the chroot's folder */

static int count_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int setup_kind(void **state, enum kind kind)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    bool memory = kind == MEMORY || kind == FAULTY_MEMORY;
    f->kind = kind;
    f->open_fds = count_fds();
    if (kind == SFTP && !has_server) {
        free(f);
        *state = NULL;
        return 0;
    }
    if (kind == SFTP && server_sees[0])
        tmp = server_sees;
    snprintf(f->dir, sizeof f->dir, "%s/tf-store-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->root, sizeof f->root, "%s/copies/a", f->dir);
    snprintf(f->url, sizeof f->url, "%s", memory ? "memory:test" : f->root);
    if (kind == SFTP) {
        snprintf(f->url, sizeof f->url, "sftp://%s@127.0.0.1:%u%s", server.user, server.port,
                 f->root + strlen(server_sees));
        f->options.identity = server.identity;
        f->options.host_key = server.host_key;
    }
    f->options.limit_bytes_s = kind == LIMITED ? 1u << 30 : 0;
    assert_int_equal(store_open_with(f->url, &f->options, STORE_CREATE, &f->s, &f->e), 0);
    if (kind == FAULTY_FOLDER || kind == FAULTY_MEMORY) {
        struct store *under = f->s;
        assert_int_equal(store_faulty(under, "", &f->s, &f->e), 0);
    }
    *state = f;
    return 0;
}

int setup_folder(void **state)
{
    return setup_kind(state, FOLDER);
}
int setup_memory(void **state)
{
    return setup_kind(state, MEMORY);
}
int setup_faulty_folder(void **state)
{
    return setup_kind(state, FAULTY_FOLDER);
}
int setup_faulty_memory(void **state)
{
    return setup_kind(state, FAULTY_MEMORY);
}

int setup_limited(void **state)
{
    return setup_kind(state, LIMITED);
}
int setup_sftp(void **state)
{
    return setup_kind(state, SFTP);
}

int teardown(void **state)
{
    struct fixture *f = *state;
    if (!f)
        return 0;
    store_close(f->s);
    int leaked = count_fds() - f->open_fds;
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return leaked; /* fails the test */
}

/* --- helpers -------------------------------------------------------------------------------------------- */
int put_text(struct fixture *f, const char *name, const char *text)
{
    struct store_data d = { .p = text, .fd = -1, .len = strlen(text) };
    return store_put(f->s, name, &d, &f->e);
}

int replace_text(struct fixture *f, const char *name, const char *text, const char *stamp)
{
    struct store_data d = { .p = text, .fd = -1, .len = strlen(text) };
    return store_replace(f->s, name, &d, stamp, &f->e);
}

void assert_object(struct fixture *f, const char *name, const char *text)
{
    uint8_t *p = NULL;
    size_t len = 0;
    assert_int_equal(store_get_all(f->s, name, 1 << 20, &p, &len, &f->e), 0);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(p, text, len);
    free(p);
}

void assert_absent(struct fixture *f, const char *name)
{
    uint64_t len;
    assert_int_equal(store_stat(f->s, name, &len, &f->e), -ERR_ABSENT);
}

/* The fixture's copy once more. */
int open_again(struct fixture *f, unsigned flags, struct store **ret)
{
    return store_open_with(f->url, &f->options, flags, ret, &f->e);
}

/* A file of n bytes in the fixture's folder, open for reading. */
int make_source(struct fixture *f, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/source", f->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i++) {
        uint8_t b = (uint8_t)(i * 7 + i / 251);
        assert_int_equal(write(fd, &b, 1), 1);
    }
    return fd;
}

int note(void *ctx, const char *name, uint64_t len)
{
    struct seen *s = ctx;
    assert_true(s->n < 32);
    snprintf(s->names[s->n], sizeof s->names[0], "%s", name);
    s->lens[s->n++] = len;
    return s->stop_after && s->n == s->stop_after ? 42 : 0;
}

bool saw(const struct seen *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->names[i], name) == 0)
            return true;
    return false;
}

void assert_list(struct fixture *f, const char *prefix, size_t n, ...)
{
    struct seen s = { .n = 0 };
    assert_int_equal(store_list(f->s, prefix, note, &s, &f->e), 0);
    assert_int_equal(s.n, n);
    va_list ap;
    va_start(ap, n);
    for (size_t i = 0; i < n; i++)
        assert_true(saw(&s, va_arg(ap, const char *)));
    va_end(ap);
}
