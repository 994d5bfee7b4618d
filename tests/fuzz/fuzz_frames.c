/* fuzz_frames.c - what a hostile peer sends: the handshake, the frames and their payloads
 * (lib/wire/wire.h). */
#include "agents/host/frames.h"
#include "lib/wire/wire.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* An error's texts may go to a terminal. */
static void check_error(const struct err *e)
{
    must(e->code > ERR_NONE && e->code < ERR_CODES);
    for (const char *p = e->why; *p; p++)
        must((unsigned char)*p >= 0x20 && *p != 0x7f);
}

/* The payload read as what its type says; then written again, which must give the same bytes. */
#define SAME_AGAIN(name)                          \
    do {                                          \
        struct msg_##name m;                      \
        if (msg_##name##_read(&r, &m, NULL) == 0) \
            msg_##name##_write(&again, &m);       \
    } while (0)

static void read_payload(enum frame_type type, struct rbuf r)
{
    struct wbuf again = WBUF_INIT;
    struct rbuf whole = r;
    struct msg_backup backup;
    struct msg_restore restore;
    struct msg_chunk chunk;
    struct msg_host host;
    if (type == FRAME_BACKUP && msg_backup_read(&r, &backup, NULL) == 0) {
        msg_backup_write(&again, &backup);
        msg_backup_done(&backup);
    } else if (type == FRAME_RESTORE && msg_restore_read(&r, &restore, NULL) == 0) {
        msg_restore_write(&again, &restore);
        msg_restore_done(&restore);
    } else if (type == FRAME_HOST && msg_host_read(&r, &host, NULL) == 0) {
        msg_host_write(&again, &host);
        msg_host_done(&host);
    } else if (type == FRAME_CHUNK && msg_chunk_read(&r, &chunk, NULL) == 0) {
        msg_chunk_write(&again, &chunk);
        wb_bytes(&again, chunk.sealed, chunk.sealed_len);
    } else if (type == FRAME_SNAPSHOT)
        SAME_AGAIN(snapshot);
    else if (type == FRAME_PROGRESS)
        SAME_AGAIN(progress);
    else if (type == FRAME_NOTE)
        SAME_AGAIN(note);
    else if (type == FRAME_DIFF)
        SAME_AGAIN(diff);
    else if (type == FRAME_DONE)
        SAME_AGAIN(done);
    else if (type == FRAME_FACTS)
        SAME_AGAIN(facts);
    if (again.len > 0)
        must(again.len == rb_left(&whole) && memcmp(again.p, whole.p, again.len) == 0);
    wbuf_free(&again);
}

static void take_frames(int in, int out)
{
    struct wire *w = wire_new(in, out, false);
    struct err e = ERR_INIT;
    enum frame_type type;
    struct rbuf r;
    must(w != NULL);
    while (wire_recv(w, &type, &r, 1000, &e) == 0) {
        read_payload(type, r);
        (void)wire_pending(w);
    }
    check_error(&e);
    wire_free(w);
}

static void take_hello(int in, int out)
{
    struct wire *w = wire_new(in, out, false);
    struct err e = ERR_INIT;
    char host[256];
    must(w != NULL);
    if (wire_hello(w, "1", host, &e) < 0)
        check_error(&e);
    else
        must(strlen(host) < sizeof host);
    wire_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A file is a stream that never blocks and then ends. */
    static int in = -1, out = -1;
    if (in < 0) {
        in = memfd_create("frames", MFD_CLOEXEC);
        out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    must(ftruncate(in, 0) == 0 && pwrite(in, data, size, 0) == (ssize_t)size);
    must(lseek(in, 0, SEEK_SET) == 0);
    take_hello(in, out);
    must(lseek(in, 0, SEEK_SET) == 0);
    take_frames(in, out);
    return 0;
}
