/* test_store.c - the conformance suite that every store driver passes (lib/store/store.h), and after it
 * what only a folder and the faulty decorator have to show. */
#include "lib/base/id.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "lib/store/store.h"
#include "tests/contract/store_kit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- what every driver does -------------------------------------------------------------------------------- */
static void test_put_and_get(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    char buf[8] = { 0 };
    uint64_t len = 0;
    assert_int_equal(put_text(f, "packs/ab/abcdef", "0123456789"), 0);
    assert_object(f, "packs/ab/abcdef", "0123456789");
    assert_int_equal(store_stat(f->s, "packs/ab/abcdef", &len, &f->e), 0);
    assert_int_equal(len, 10);
    assert_int_equal(store_stat(f->s, "packs/ab/abcdef", NULL, NULL), 0);
    assert_int_equal(store_get(f->s, "packs/ab/abcdef", 7, 3, buf, &f->e), 0);
    assert_string_equal(buf, "789");
    assert_int_equal(store_get(f->s, "packs/ab/abcdef", 10, 0, buf, &f->e), 0);
    assert_int_equal(put_text(f, "recovery", ""), 0);
    assert_object(f, "recovery", "");
}

static void test_put_from_a_file(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    size_t n = 300000, len;
    uint8_t *got;
    int fd = make_source(f, n);
    uint8_t *want = malloc(n);
    assert_int_equal(pread(fd, want, n, 0), n);
    assert_int_equal(lseek(fd, 17, SEEK_SET), 17); /* from offset 0 all the same */
    assert_int_equal(store_put(f->s, "index/aa", &(struct store_data){ .fd = fd, .len = n }, &f->e),
                     0);
    assert_int_equal(store_put(f->s, "index/bb", &(struct store_data){ .fd = fd, .len = 5 }, &f->e),
                     0);
    assert_int_equal(store_get_all(f->s, "index/aa", n, &got, &len, &f->e), 0);
    assert_int_equal(len, n);
    assert_memory_equal(got, want, n);
    assert_int_equal(store_stat(f->s, "index/bb", &(uint64_t){ 0 }, &f->e), 0);
    free(got);
    free(want);
    close(fd);
}

static void test_source_that_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    int fd = make_source(f, 100);
    struct store_data d = { .fd = fd, .len = 101 };
    assert_int_equal(store_put(f->s, "index/aa", &d, &f->e), -ERR_FAILED);
    assert_int_equal(f->e.code, ERR_FAILED);
    assert_int_equal(store_put(f->s, "index/aa", &d, NULL), -ERR_FAILED);
    assert_absent(f, "index/aa");
    close(fd);
    d.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(store_put(f->s, "index/aa", &d, &f->e), -ERR_FAILED);
    assert_absent(f, "index/aa");
    assert_int_equal(put_text(f, "index/cc", "old"), 0);
    assert_int_equal(store_replace(f->s, "index/cc", &d, "s1", &f->e), -ERR_FAILED);
    assert_object(f, "index/cc", "old");
    close(d.fd);
    assert_list(f, "tmp/", 0); /* no draft is left behind */
}

static void test_put_again(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    assert_int_equal(put_text(f, "keys/aa", "one"), 0);
    assert_int_equal(put_text(f, "keys/aa", "two"), 0); /* the name says that it is the same */
    assert_object(f, "keys/aa", "one");
    assert_int_equal(put_text(f, "keys/aa", "three"), -ERR_DAMAGED);
    assert_object(f, "keys/aa", "one");
}

static void test_absent(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    char buf[4];
    uint8_t *p;
    size_t n;
    assert_int_equal(put_text(f, "packs/ab/aa", "x"), 0);
    assert_absent(f, "packs/ab/bb");
    assert_absent(f, "packs/cd/bb");
    assert_absent(f, "nothing");
    assert_int_equal(store_get(f->s, "packs/ab/bb", 0, 1, buf, &f->e), -ERR_ABSENT);
    assert_int_equal(store_get(f->s, "packs/ab/bb", 0, 0, buf, NULL), -ERR_ABSENT);
    assert_int_equal(store_get_all(f->s, "packs/ab/bb", 9, &p, &n, &f->e), -ERR_ABSENT);
    assert_int_equal(store_delete(f->s, "packs/ab/bb", &f->e), 0);
    assert_int_equal(store_delete(f->s, "lists/bb", &f->e), 0);
}

static void test_short_object_is_damaged(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    char buf[16];
    assert_int_equal(put_text(f, "packs/ab/aa", "12345"), 0);
    assert_int_equal(store_get(f->s, "packs/ab/aa", 0, 6, buf, &f->e), -ERR_DAMAGED);
    assert_int_equal(store_get(f->s, "packs/ab/aa", 6, 0, buf, &f->e), -ERR_DAMAGED);
    assert_int_equal(store_get(f->s, "packs/ab/aa", UINT64_MAX, 2, buf, &f->e), -ERR_DAMAGED);
    assert_int_equal(store_get(f->s, "packs/ab/aa", 1, SIZE_MAX, buf, &f->e), -ERR_DAMAGED);
}

static void test_get_all_is_bounded(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    uint8_t *p;
    size_t n;
    assert_int_equal(put_text(f, "lists/aa", "12345"), 0);
    assert_int_equal(store_get_all(f->s, "lists/aa", 4, &p, &n, &f->e), -ERR_LIMIT);
    assert_int_equal(store_get_all(f->s, "lists/aa", 5, &p, &n, &f->e), 0);
    assert_string_equal((char *)p, "12345"); /* ends in a NUL beyond its length */
    free(p);
}

static void test_list(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    struct seen s = { .stop_after = 2 };
    assert_list(f, "", 0);
    assert_list(f, "packs/", 0);
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    assert_int_equal(put_text(f, "packs/ab/bb", "22"), 0);
    assert_int_equal(put_text(f, "packs/cd/aa", "1"), 0);
    assert_int_equal(put_text(f, "packs-x/cd", "1"), 0);
    assert_int_equal(put_text(f, "recovery", "1"), 0);
    assert_int_equal(replace_text(f, "recovery", "2", "s1"), 0);
    assert_list(f, "", 5, "packs/ab/aa", "packs/ab/bb", "packs/cd/aa", "packs-x/cd", "recovery");
    assert_list(f, "packs/", 3, "packs/ab/aa", "packs/ab/bb", "packs/cd/aa");
    assert_list(f, "packs", 3, "packs/ab/aa", "packs/ab/bb", "packs/cd/aa");
    assert_list(f, "packs/ab/", 2, "packs/ab/aa", "packs/ab/bb");
    assert_list(f, "packs/a", 0);
    assert_list(f, "recovery", 1, "recovery");
    assert_list(f, "aside/", 1, "aside/s1/recovery");
    assert_list(f, "aside/s1/", 1, "aside/s1/recovery");
    assert_int_equal(store_list(f->s, "packs/", note, &s, &f->e), 42);
    assert_int_equal(s.n, 2);
    s = (struct seen){ 0 };
    assert_int_equal(store_list(f->s, "packs/ab/bb", note, &s, &f->e), 0);
    assert_int_equal(s.lens[0], 2);
}

static int delete_it(void *ctx, const char *name, uint64_t len)
{
    struct fixture *f = ctx;
    return store_delete(f->s, name, &f->e);
}

static void test_store_used_while_listing(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "packs/%02d/x%d", i % 3, i);
        assert_int_equal(put_text(f, name, "x"), 0);
    }
    assert_int_equal(store_list(f->s, "packs/", delete_it, f, &f->e), 0);
    assert_list(f, "", 0);
}

static void test_bad_names(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    static const char *const bad[] = { "",    "/abs",  "a//b", "a/",   "../x", "a/../b",
                                       "a/.", "Upper", "a b",  "a\nb", "ä",    ".",
                                       "a.b", "a\\b",  "a_b",  "/" };
    char longest[MAX_STORE_NAME + 2], buf[1];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(put_text(f, bad[i], "x"), -ERR_FAILED);
        assert_int_equal(store_get(f->s, bad[i], 0, 1, buf, &f->e), -ERR_FAILED);
        assert_int_equal(store_stat(f->s, bad[i], &(uint64_t){ 0 }, &f->e), -ERR_FAILED);
        assert_int_equal(store_delete(f->s, bad[i], &f->e), -ERR_FAILED);
        assert_int_equal(replace_text(f, bad[i], "x", "s1"), -ERR_FAILED);
    }
    assert_int_equal(put_text(f, "tmp/x", "x"), -ERR_FAILED);
    assert_int_equal(put_text(f, "aside/s/x", "x"), -ERR_FAILED);
    assert_int_equal(replace_text(f, "keys/aa", "x", "a/b"), -ERR_FAILED);
    assert_int_equal(replace_text(f, "keys/aa", "x", ""), -ERR_FAILED);
    assert_int_equal(store_restore_aside(f->s, "../x", &f->e), -ERR_FAILED);
    struct seen s = { 0 };
    assert_int_equal(store_list(f->s, "../", note, &s, &f->e), -ERR_FAILED);
    assert_int_equal(store_list(f->s, "/", note, &s, &f->e), -ERR_FAILED);
    memset(longest, 'a', sizeof longest);
    longest[MAX_STORE_NAME + 1] = '\0';
    assert_int_equal(put_text(f, longest, "x"), -ERR_FAILED);
    longest[MAX_STORE_NAME] = '\0';
    assert_int_equal(put_text(f, longest, "x"), 0);
    assert_int_equal(replace_text(f, longest, "y", "s1"), -ERR_LIMIT);
    assert_object(f, longest, "x");
    assert_list(f, "", 1, longest);
}

static void test_delete(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    assert_int_equal(put_text(f, "packs/ab/bb", "1"), 0);
    assert_int_equal(store_delete(f->s, "packs/ab/aa", &f->e), 0);
    assert_absent(f, "packs/ab/aa");
    assert_object(f, "packs/ab/bb", "1");
    assert_int_equal(store_delete(f->s, "packs/ab/aa", &f->e), 0);
    assert_int_equal(put_text(f, "packs/ab/aa", "other"), 0);
    assert_object(f, "packs/ab/aa", "other");
}

static void test_replace_and_restore(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    assert_int_equal(store_restore_aside(f->s, "never", &f->e), 0);
    assert_int_equal(put_text(f, "packs/ab/aa", "rotten"), 0);
    assert_int_equal(put_text(f, "recovery", "old"), 0);
    assert_int_equal(replace_text(f, "packs/ab/aa", "good", "2024-s1"), 0);
    assert_int_equal(replace_text(f, "recovery", "new", "2024-s1"), 0);
    assert_int_equal(replace_text(f, "keys/aa", "fresh", "2024-s1"), 0); /* nothing to set aside */
    assert_object(f, "packs/ab/aa", "good");
    assert_object(f, "keys/aa", "fresh");
    assert_object(f, "aside/2024-s1/packs/ab/aa", "rotten");
    assert_list(f, "aside/", 2, "aside/2024-s1/packs/ab/aa", "aside/2024-s1/recovery");

    assert_int_equal(store_restore_aside(f->s, "2024-s1", &f->e), 2);
    assert_object(f, "packs/ab/aa", "rotten");
    assert_object(f, "recovery", "old");
    assert_object(f, "keys/aa", "fresh");
    assert_object(f, "aside/2024-s1-undone/packs/ab/aa", "good");
    assert_list(f, "aside/2024-s1/", 0);
    assert_int_equal(store_restore_aside(f->s, "2024-s1", &f->e), 0);
    assert_int_equal(store_restore_aside(f->s, "2024-s1-undone", &f->e), 2); /* and back again */
    assert_object(f, "packs/ab/aa", "good");
}

static void test_replace_never_loses_what_was_set_aside(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    assert_int_equal(put_text(f, "packs/ab/aa", "first"), 0);
    assert_int_equal(replace_text(f, "packs/ab/aa", "second", "s1"), 0);
    assert_int_equal(replace_text(f, "packs/ab/aa", "third", "s1"), -ERR_EXISTS);
    assert_object(f, "packs/ab/aa", "second");
    assert_object(f, "aside/s1/packs/ab/aa", "first");
    assert_int_equal(replace_text(f, "packs/ab/aa", "third", "s2"), 0);
    assert_object(f, "aside/s2/packs/ab/aa", "second");
    assert_int_equal(store_delete(f->s, "packs/ab/aa", &f->e), 0);
    assert_int_equal(store_restore_aside(f->s, "s1", &f->e), 1); /* nothing stands in its way */
    assert_object(f, "packs/ab/aa", "first");
    assert_list(f, "aside/s1-undone/", 0);
}

static void test_whole_store(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    struct store_space space;
    assert_int_equal(store_space(f->s, &space, &f->e), 0);
    assert_true(space.total_bytes > 0 && space.free_bytes <= space.total_bytes);
    assert_non_null(store_url(f->s));
    assert_int_equal(store_sweep_tmp(f->s, &f->e), 0);
    store_close(NULL);
}

struct reader {
    struct fixture *f;
    int bad;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    for (int i = 0; i < 200; i++) {
        char name[32], buf[4] = { 0 };
        snprintf(name, sizeof name, "packs/%02d/x", i % 20);
        struct err e = ERR_INIT;
        int got = store_get(r->f->s, name, 0, 3, buf, &e);
        r->bad += got != -ERR_ABSENT && (got != 0 || strcmp(buf, "abc") != 0);
    }
    return NULL;
}

static void test_reading_beside_writing(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    struct reader readers[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = (struct reader){ .f = f };
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "packs/%02d/x", i);
        assert_int_equal(put_text(f, name, "abc"), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].bad, 0);
    }
}

/* --- what a folder does besides ----------------------------------------------------------------------------- */
static char *path_in(struct fixture *f, const char *rest)
{
    static char path[300]; /* used at once, by one thread */
    snprintf(path, sizeof path, "%s/%s", f->root, rest);
    return path;
}

static void test_folder_survives_close(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    store_close(f->s);
    char url[300];
    snprintf(url, sizeof url, "%s%s/", f->kind == SFTP ? "" : "file://", f->url);
    assert_int_equal(store_open_with(url, &f->options, 0, &f->s, &f->e), 0);
    assert_string_equal(store_url(f->s), url);
    assert_object(f, "packs/ab/aa", "1");
}

static void test_folder_addresses(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    struct store *s = NULL;
    static const char *const bad[] = { "relative/path", "",         "sftp:/x", "s3://e/b",
                                       "file://host/x", "FILE:///x" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(store_open(bad[i], 0, &s, &f->e), -ERR_CONFIG);
    assert_int_equal(store_open(path_in(f, "nowhere"), 0, &s, &f->e), -ERR_UNREACHABLE);
    assert_non_null(strstr(f->e.next, "mounted"));
    assert_int_equal(put_text(f, "recovery", "x"), 0);
    assert_int_equal(store_open(path_in(f, "recovery"), 0, &s, &f->e), -ERR_UNREACHABLE);
    assert_int_equal(store_open(f->root, STORE_CREATE, &s, &f->e), -ERR_EXISTS);
    assert_null(s);
}

static void test_folder_empty_root(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    struct store *s = NULL;
    if (f->kind == SFTP)
        assert_int_equal(rmdir(path_in(f, "tmp")), 0);
    assert_int_equal(open_again(f, 0, &s), -ERR_UNREACHABLE);
    assert_int_equal(mkdir(path_in(f, "lost+found"), 0700), 0);
    assert_int_equal(open_again(f, STORE_READ_ONLY, &s), -ERR_UNREACHABLE);
    assert_int_equal(open_again(f, STORE_CREATE, &s), 0);
    store_close(s);
}

static void test_folder_root_taken_away(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    char away[128], buf[1];
    struct seen s = { 0 };
    struct store_space space;
    snprintf(away, sizeof away, "%s/away", f->dir);
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    assert_int_equal(rename(f->root, away), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_stat(f->s, "packs/ab/bb", &(uint64_t){ 0 }, &f->e),
                         -ERR_UNREACHABLE);
        assert_int_equal(store_get(f->s, "keys/bb", 0, 1, buf, &f->e), -ERR_UNREACHABLE);
        assert_int_equal(store_list(f->s, "", note, &s, &f->e), -ERR_UNREACHABLE);
        assert_int_equal(store_list(f->s, "keys/", note, &s, &f->e), -ERR_UNREACHABLE);
        assert_int_equal(store_delete(f->s, "keys/bb", &f->e), -ERR_UNREACHABLE);
        assert_int_equal(put_text(f, "keys/cc", "1"), -ERR_UNREACHABLE);
        assert_int_equal(replace_text(f, "keys/cc", "1", "s1"), -ERR_UNREACHABLE);
        assert_int_equal(store_restore_aside(f->s, "s1", &f->e), -ERR_UNREACHABLE);
        assert_int_equal(store_space(f->s, &space, &f->e), -ERR_UNREACHABLE);
        if (i == 0) /* and now an empty folder, as where a disk was mounted */
            assert_int_equal(mkdir(f->root, 0700), 0);
    }
}

static void test_folder_links_are_not_followed(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    char buf[1], outside[128];
    struct stat st;
    snprintf(outside, sizeof outside, "%s/outside", f->dir);
    assert_int_equal(mkdir(outside, 0700), 0);
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    assert_int_equal(symlink("aa", path_in(f, "packs/ab/bb")), 0);
    assert_int_equal(symlink(outside, path_in(f, "packs/cd")), 0);
    assert_int_equal(symlink(outside, path_in(f, "keys")), 0);

    assert_int_equal(store_get(f->s, "packs/ab/bb", 0, 1, buf, &f->e), -ERR_DAMAGED);
    assert_int_equal(store_stat(f->s, "packs/ab/bb", &(uint64_t){ 0 }, &f->e), -ERR_DAMAGED);
    assert_int_equal(put_text(f, "packs/ab/bb", "1"), -ERR_DAMAGED);
    assert_int_equal(store_get(f->s, "packs/cd/x", 0, 1, buf, &f->e), -ERR_UNREACHABLE);
    assert_int_equal(store_stat(f->s, "packs/cd/x", &(uint64_t){ 0 }, &f->e), -ERR_UNREACHABLE);
    assert_int_equal(put_text(f, "packs/cd/x", "1"), -ERR_UNREACHABLE);
    assert_int_equal(put_text(f, "keys/x", "1"), -ERR_UNREACHABLE);
    assert_int_equal(store_delete(f->s, "keys/x", &f->e), -ERR_UNREACHABLE);
    assert_list(f, "packs/", 1, "packs/ab/aa");
    /* A repair sets the link itself aside. */
    assert_int_equal(replace_text(f, "packs/ab/bb", "2", "s1"), 0);
    assert_object(f, "packs/ab/bb", "2");
    assert_object(f, "packs/ab/aa", "1");
    assert_int_equal(lstat(path_in(f, "aside/s1/packs/ab/bb"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(store_restore_aside(f->s, "s1", &f->e), 1);
    assert_int_equal(rmdir(outside), 0); /* nothing was written through a link */
}

static void test_folder_strange_things(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    char buf[1];
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    assert_int_equal(mkfifo(path_in(f, "packs/ab/pipe"), 0600), 0);
    assert_int_equal(mkdir(path_in(f, "packs/ab/dir"), 0700), 0);
    assert_int_equal(mkdir(path_in(f, "Other Things"), 0700), 0);
    assert_int_equal(mknod(path_in(f, "Other Things/x"), S_IFREG | 0600, 0), 0);
    assert_int_equal(store_get(f->s, "packs/ab/pipe", 0, 1, buf, &f->e), -ERR_DAMAGED);
    assert_int_equal(store_get(f->s, "packs/ab/dir", 0, 1, buf, &f->e), -ERR_DAMAGED);
    assert_int_equal(store_stat(f->s, "packs/ab/dir", &(uint64_t){ 0 }, &f->e), -ERR_DAMAGED);
    assert_int_equal(put_text(f, "packs/ab/dir", "1"), -ERR_DAMAGED);
    /* A file where a folder should be: nobody can tell what was in it. */
    assert_int_equal(store_get(f->s, "packs/ab/aa/x", 0, 1, buf, &f->e), -ERR_UNREACHABLE);
    assert_int_equal(store_stat(f->s, "packs/ab/aa/x", &(uint64_t){ 0 }, &f->e), -ERR_UNREACHABLE);
    assert_int_equal(put_text(f, "packs/ab/aa/x", "1"), -ERR_UNREACHABLE);
    assert_list(f, "", 1, "packs/ab/aa");
}

static void test_folder_without_permission(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    char buf[1];
    struct seen s = { 0 };
    struct store *other = NULL;
    if (geteuid() != 0)
        skip();
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(chmod(path_in(f, "..") /* copies */, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    int opened = store_open(f->root, 0, &other, &f->e);
    int got = store_get(f->s, "packs/ab/aa", 0, 1, buf, &f->e);
    int stated = store_stat(f->s, "packs/ab/zz", &(uint64_t){ 0 }, &f->e);
    int listed = store_list(f->s, "packs/", note, &s, &f->e);
    int put = put_text(f, "keys/aa", "1");
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(opened, -ERR_UNREACHABLE);
    assert_int_equal(got, -ERR_UNREACHABLE);
    assert_int_equal(stated, -ERR_UNREACHABLE);
    assert_int_equal(listed, -ERR_UNREACHABLE);
    assert_int_equal(put, -ERR_REFUSED);
}

static void test_folder_modes_and_tmp(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    struct stat st;
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    assert_int_equal(stat(path_in(f, "packs/ab"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(path_in(f, "packs/ab/aa"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_list(f, "tmp/", 0);
    assert_int_equal(mknod(path_in(f, "tmp/0123"), S_IFREG | 0600, 0), 0);
    assert_list(f, "tmp/", 1, "tmp/0123");
    assert_list(f, "", 1, "packs/ab/aa");
    assert_int_equal(store_sweep_tmp(f->s, &f->e), 0);
    assert_list(f, "tmp/", 0);
}

static void test_folder_read_only(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    assert_int_equal(put_text(f, "recovery", "1"), 0);
    assert_int_equal(rmdir(path_in(f, "tmp")), 0);
    store_close(f->s);
    assert_int_equal(open_again(f, STORE_READ_ONLY, &f->s), 0);
    assert_object(f, "recovery", "1");
    assert_int_equal(put_text(f, "recovery", "1"), -ERR_READONLY);
    assert_int_equal(replace_text(f, "recovery", "1", "s1"), -ERR_READONLY);
    assert_int_equal(store_restore_aside(f->s, "s1", &f->e), -ERR_READONLY);
    assert_int_equal(store_delete(f->s, "recovery", &f->e), -ERR_READONLY);
    assert_int_equal(store_sweep_tmp(f->s, &f->e), -ERR_READONLY);
    assert_int_equal(access(path_in(f, "tmp"), F_OK), -1);
}

static void test_folder_made_again_under_us(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    assert_int_equal(unlink(path_in(f, "packs/ab/aa")), 0);
    assert_int_equal(rmdir(path_in(f, "packs/ab")), 0);
    assert_int_equal(rmdir(path_in(f, "tmp")), 0);
    assert_int_equal(put_text(f, "packs/ab/aa", "1"), 0);
    assert_object(f, "packs/ab/aa", "1");
}

static void test_folder_same_device(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    struct store *b = NULL;
    struct store_space x, y;
    char root[128];
    snprintf(root, sizeof root, "%s/b", f->dir);
    assert_int_equal(store_open(root, STORE_CREATE, &b, &f->e), 0);
    assert_int_equal(store_space(f->s, &x, &f->e), 0);
    assert_int_equal(store_space(b, &y, &f->e), 0);
    assert_true(x.device != 0 && x.device == y.device);
    store_close(b);
}

/* --- what the faulty decorator does ---------------------------------------------------------------------------- */
static void with_plan(struct fixture *f, const char *plan)
{
    struct store *s = NULL;
    assert_int_equal(store_faulty(f->s, plan, &s, &f->e), 0);
    f->s = s;
}

static void test_faults(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    char buf[4] = { 0 };
    assert_int_equal(put_text(f, "keys/aa", "abc"), 0);
    with_plan(f,
              "put@2:ENOSPC,get@2:EIO,get@3:FLIP,stat@2+:ESTALE,list:UNREACHABLE,delete@1:EROFS");
    assert_int_equal(put_text(f, "keys/bb", "1"), 0);
    assert_int_equal(put_text(f, "keys/cc", "1"), -ERR_NOSPACE);
    assert_int_equal(put_text(f, "keys/cc", "1"), 0);
    assert_int_equal(store_get(f->s, "keys/aa", 0, 3, buf, &f->e), 0);
    assert_int_equal(store_get(f->s, "keys/aa", 0, 3, buf, &f->e), -ERR_IO);
    assert_int_equal(store_get(f->s, "keys/aa", 0, 3, buf, &f->e), 0);
    assert_string_equal(buf, "acc"); /* 'b' with its lowest bit turned */
    assert_int_equal(store_get(f->s, "keys/aa", 0, 3, buf, &f->e), 0);
    assert_string_equal(buf, "abc");
    assert_int_equal(store_stat(f->s, "keys/aa", &(uint64_t){ 0 }, &f->e), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_stat(f->s, "keys/aa", &(uint64_t){ 0 }, &f->e), -ERR_UNREACHABLE);
    struct seen s = { 0 };
    assert_int_equal(store_list(f->s, "keys/", note, &s, &f->e), -ERR_UNREACHABLE);
    assert_int_equal(store_delete(f->s, "keys/aa", &f->e), -ERR_READONLY);
    assert_int_equal(store_delete(f->s, "keys/aa", &f->e), 0);
}

static void test_fault_of_any_and_delay(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    with_plan(f, "any@3:ENODEV,get:30ms");
    char buf[1];
    assert_int_equal(put_text(f, "keys/aa", "1"), 0);
    uint64_t before = sys_monotonic_ms();
    assert_int_equal(store_get(f->s, "keys/aa", 0, 1, buf, &f->e), 0);
    assert_true(sys_monotonic_ms() - before >= 29);
    assert_int_equal(store_delete(f->s, "keys/aa", &f->e), -ERR_UNREACHABLE);
    assert_object(f, "keys/aa", "1");
}

static void test_fault_plans_that_are_wrong(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    static const char *const bad[] = { "put",      "put@:EIO",    "put@0:EIO", "put@1-:EIO",
                                       "puts:EIO", "put:EWHAT",   "put:FLIP",  "get:5",
                                       ":EIO",     "put@1:EIO,,", "get:-5ms" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct store *m = NULL, *s = NULL;
        assert_int_equal(store_open("memory:x", 0, &m, &f->e), 0);
        assert_int_equal(store_faulty(m, bad[i], &s, &f->e), -ERR_USAGE);
        assert_null(s);
    }
}

#define EVERY(test, kind) cmocka_unit_test_setup_teardown(test, setup_##kind, teardown)
#define SUITE(kind)                                                                    \
    {                                                                                  \
        EVERY(test_put_and_get, kind), EVERY(test_put_from_a_file, kind),              \
            EVERY(test_source_that_cannot_be_read, kind), EVERY(test_put_again, kind), \
            EVERY(test_absent, kind), EVERY(test_short_object_is_damaged, kind),       \
            EVERY(test_get_all_is_bounded, kind), EVERY(test_list, kind),              \
            EVERY(test_store_used_while_listing, kind), EVERY(test_bad_names, kind),   \
            EVERY(test_delete, kind), EVERY(test_replace_and_restore, kind),           \
            EVERY(test_replace_never_loses_what_was_set_aside, kind),                  \
            EVERY(test_whole_store, kind), EVERY(test_reading_beside_writing, kind),   \
    }

/* --- what a copy on another host does besides ---------------------------------------------------------------- */
static void test_sftp_addresses(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    struct store *s = NULL;
    static const char *const bad[] = { "sftp://",        "sftp://h",      "sftp://h/",
                                       "sftp://u@/x",    "sftp://h:0/x",  "sftp://h:99999/x",
                                       "sftp://h:x/y",   "sftp://[::1/x", "sftp://u:pw@h/x",
                                       "sftp://h/a/../b" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(store_open_with(bad[i], &f->options, 0, &s, &f->e), -ERR_CONFIG);
    char url[128];
    snprintf(url, sizeof url, "sftp://%s@127.0.0.1:%u/no/where", server.user, server.port);
    assert_int_equal(store_open_with(url, &f->options, 0, &s, &f->e), -ERR_UNREACHABLE);
    assert_non_null(strstr(f->e.next, "mounted"));
    assert_null(s);
}

static void test_sftp_same_host(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    struct store_space a, b;
    struct store *other = NULL;
    char url[300];
    snprintf(url, sizeof url, "%s-b", f->url);
    assert_int_equal(store_open_with(url, &f->options, STORE_CREATE, &other, &f->e), 0);
    assert_int_equal(store_space(f->s, &a, &f->e), 0);
    assert_int_equal(store_space(other, &b, &f->e), 0);
    assert_true(a.device != 0 && a.device == b.device && a.durable);
    store_close(other);
}

/* Other programs at the same name: neither waits for ever nor is taken for an object. */
static void test_sftp_large_object(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    size_t n = 9000001, got = 0;
    uint8_t *p = malloc(n), *back = NULL;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 13 + i / 4099);
    assert_int_equal(
        store_put(f->s, "packs/aa/bb", &(struct store_data){ .p = p, .len = n }, &f->e), 0);
    assert_int_equal(store_get_all(f->s, "packs/aa/bb", n, &back, &got, &f->e), 0);
    assert_int_equal(got, n);
    assert_memory_equal(p, back, n);
    for (size_t off = 0; off < n; off += 777777) {
        size_t len = n - off < 555555 ? n - off : 555555;
        assert_int_equal(store_get(f->s, "packs/aa/bb", off, len, back, &f->e), 0);
        assert_memory_equal(p + off, back, len);
    }
    /* One after the other, with a jump in the middle: what was asked for ahead is then of no use. */
    for (size_t off = 0; off < n; off += off == 3000000 ? 2000000 : 1000000) {
        size_t len = n - off < 1000000 ? n - off : 1000000;
        memset(back, 0, len);
        assert_int_equal(store_get(f->s, "packs/aa/bb", off, len, back, &f->e), 0);
        assert_memory_equal(p + off, back, len);
        if (off == 6000000)
            assert_int_equal(store_stat(f->s, "packs/aa/bb", &(uint64_t){ 0 }, &f->e), 0);
    }
    assert_int_equal(store_delete(f->s, "packs/aa/bb", &f->e), 0); /* also what is still open */
    assert_int_equal(store_get(f->s, "packs/aa/bb", 0, 1, back, &f->e), -ERR_ABSENT);
    free(p);
    free(back);
}

/* The link breaks between any two verbs, and the store goes on. */
static void test_sftp_link_breaks(void **state)
{
    struct fixture *f = *state;
    NEEDS(f);
    char buf[4] = "";
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "keys/%d", i);
        assert_int_equal(put_text(f, name, "abc"), 0);
        assert_true(sshd_cut(&server) > 0);
        assert_int_equal(store_get(f->s, name, 0, 3, buf, &f->e), 0);
        assert_string_equal(buf, "abc");
    }
    assert_true(sshd_cut(&server) > 0);
    assert_list(f, "keys/", 3, "keys/0", "keys/1", "keys/2");
}

/* internal-sftp in a chroot: no shell, no other programs there. Every folder above must be root's alone, so not below /tmp. */
static char chroot_dir[] = "/srv/tf-chroot-XXXXXX";
static bool in_chroot_now;

static bool start_chroot(void)
{
    char config[256];
    if (geteuid() != 0 || !mkdtemp(chroot_dir))
        return false;
    in_chroot_now = true;
    server_sees = chroot_dir;
    assert_int_equal(chmod(chroot_dir, 0755), 0);
    snprintf(config, sizeof config,
             "Subsystem sftp internal-sftp\nForceCommand internal-sftp\nChrootDirectory %s",
             chroot_dir);
    return sshd_start(&server, config);
}

static void stop_chroot(void)
{
    if (!in_chroot_now)
        return;
    sshd_done(&server);
    nftw(chroot_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest folder[] = SUITE(folder), memory[] = SUITE(memory);
    const struct CMUnitTest faulty_folder[] = SUITE(faulty_folder);
    const struct CMUnitTest faulty_memory[] = SUITE(faulty_memory);
    const struct CMUnitTest only_folder[] = {
        EVERY(test_folder_survives_close, folder),
        EVERY(test_folder_addresses, folder),
        EVERY(test_folder_empty_root, folder),
        EVERY(test_folder_root_taken_away, folder),
        EVERY(test_folder_links_are_not_followed, folder),
        EVERY(test_folder_strange_things, folder),
        EVERY(test_folder_without_permission, folder),
        EVERY(test_folder_modes_and_tmp, folder),
        EVERY(test_folder_read_only, folder),
        EVERY(test_folder_made_again_under_us, folder),
        EVERY(test_folder_same_device, folder),
    };
    const struct CMUnitTest limited[] = SUITE(limited), sftp[] = SUITE(sftp);
    const struct CMUnitTest in_chroot[] = SUITE(sftp);
    const struct CMUnitTest only_sftp[] = {
        EVERY(test_folder_survives_close, sftp),  EVERY(test_folder_empty_root, sftp),
        EVERY(test_folder_root_taken_away, sftp), EVERY(test_folder_links_are_not_followed, sftp),
        EVERY(test_folder_strange_things, sftp),  EVERY(test_folder_modes_and_tmp, sftp),
        EVERY(test_folder_read_only, sftp),       EVERY(test_folder_made_again_under_us, sftp),
        EVERY(test_sftp_addresses, sftp),         EVERY(test_sftp_same_host, sftp),
        EVERY(test_sftp_large_object, sftp),      EVERY(test_sftp_link_breaks, sftp),
    };
    const struct CMUnitTest only_faulty[] = {
        EVERY(test_faults, memory),
        EVERY(test_fault_of_any_and_delay, memory),
        EVERY(test_fault_plans_that_are_wrong, memory),
    };
    int failed = cmocka_run_group_tests(folder, NULL, NULL);
    failed += cmocka_run_group_tests(memory, NULL, NULL);
    failed += cmocka_run_group_tests(faulty_folder, NULL, NULL);
    failed += cmocka_run_group_tests(faulty_memory, NULL, NULL);
    failed += cmocka_run_group_tests(only_folder, NULL, NULL);
    failed += cmocka_run_group_tests(only_faulty, NULL, NULL);
    failed += cmocka_run_group_tests(limited, NULL, NULL);
    has_server = sshd_start(&server, NULL);
    failed += cmocka_run_group_tests(sftp, NULL, NULL);
    failed += cmocka_run_group_tests(only_sftp, NULL, NULL);
    sshd_done(&server);
    has_server = start_chroot();
    failed += cmocka_run_group_tests(in_chroot, NULL, NULL);
    stop_chroot();
    return failed != 0;
}
