/* fuzz_sftp.c - all that an SFTP server may answer: the input is its half of a conversation in which we ask for one of each.
 * Whatever comes, every call returns, and what is broken stays broken. */
#include "lib/ssh/sftp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 70000
#define DEADLINE_MS 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take_entry(void *ctx, const char *name, const struct sftp_attrs *a)
{
    (void)a;
    if (strlen(name) > 255 || strcmp(name, "..") == 0)
        abort();
    return ++*(unsigned *)ctx > 10000;
}

static void files(struct sftp *s, uint8_t *buf)
{
    struct sftp_file f = { .len = 0 };
    struct sftp_attrs a;
    struct sftp_source from = { .p = buf };
    bool source;
    if (sftp_open(s, "/x", SFTP_READ | SFTP_WRITE | SFTP_CREATE, &f, NULL) < 0)
        return;
    if (f.len == 0 || f.len > MAX_SFTP_HANDLE)
        abort();
    ssize_t n = sftp_read(s, &f, 7, READ_BYTES / 2, READ_BYTES / 2, buf, NULL);
    if (n > READ_BYTES / 2)
        abort();
    n = sftp_read(s, &f, 7 + READ_BYTES / 2, READ_BYTES / 2, 0, buf, NULL);
    if (n > READ_BYTES / 2)
        abort();
    sftp_write(s, &f, 0, &from, READ_BYTES, &source, NULL);
    sftp_fsync(s, &f, NULL);
    sftp_fstat(s, &f, &a, NULL);
    sftp_close_later(s, &f, NULL);
}

static void converse(int fd)
{
    static const char *const paths[] = { "/a", "/b", "/c" };
    struct sftp *s = NULL;
    struct sftp_attrs a, all[3];
    struct sftp_space sp;
    int rc[3];
    unsigned entries = 0;
    uint8_t *buf = calloc(1, READ_BYTES);
    if (buf && sftp_new(fd, DEADLINE_MS, NULL, &s, NULL) == 0) {
        sftp_lstat(s, "/a", &a, NULL);
        sftp_lstat_all(s, paths, 3, all, rc, NULL);
        sftp_list(s, "/", take_entry, &entries, NULL);
        files(s, buf);
        sftp_statvfs(s, "/", &sp, NULL);
        sftp_mkdir(s, "/m", NULL);
        sftp_rename(s, "/a", "/b", NULL);
        bool was_broken = sftp_broken(s);
        if (sftp_remove(s, "/a", NULL) == 0 && was_broken)
            abort();
        sftp_free(s);
    }
    free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return 0;
    if (send(pair[0], data, size, MSG_NOSIGNAL) >= 0)
        shutdown(pair[0], SHUT_WR); /* then the server is gone */
    converse(pair[1]);
    close(pair[0]);
    close(pair[1]);
    return 0;
}
