/* prog_hostile_agent.c - an agent that lies, hangs or floods, as HOSTILE_MODE says; started by twofold through TWOFOLD_AGENT. */
#include "lib/base/id.h"
#include "lib/base/sys.h"
#include "lib/wire/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOW_US 100000

static void stop(const char *where, struct err *e)
{
    /* The orchestrator's last word, so that the scenario sees it. */
    fprintf(stderr, "hostile agent: %s: %s\n", where, e->why);
    exit(1);
}

static void must(int rc, const char *where, struct err *e)
{
    if (rc < 0)
        stop(where, e);
}

static void send_ids(struct wire *w, enum frame_type type, const struct id *ids, size_t n,
                     struct err *e)
{
    struct wbuf b = WBUF_INIT;
    wb_varint(&b, n);
    for (size_t i = 0; i < n; i++)
        wb_id(&b, &ids[i]);
    int rc = wire_send(w, type, &b, NULL, 0, e);
    wbuf_free(&b);
    must(rc, "ids", e);
}

static void send_key(struct wire *w, struct id *ret, struct err *e)
{
    uint8_t blob[80];
    struct wbuf b = WBUF_INIT;
    sys_random(ret, sizeof *ret);
    sys_random(blob, sizeof blob);
    wb_id(&b, ret);
    wb_blob(&b, blob, sizeof blob);
    int rc = wire_send(w, FRAME_DATAKEY, &b, NULL, 0, e);
    wbuf_free(&b);
    must(rc, "data key", e);
}

static void send_put(struct wire *w, const struct id *id, uint64_t counter, struct err *e)
{
    uint8_t junk[400];
    struct wbuf b = WBUF_INIT;
    sys_random(junk, sizeof junk);
    wb_id(&b, id);
    wb_varint(&b, counter);
    int rc = wire_send(w, FRAME_PUT, &b, junk, sizeof junk, e);
    wbuf_free(&b);
    must(rc, "chunk", e);
}

static void send_progress(struct wire *w, const struct msg_progress *p, struct err *e)
{
    struct wbuf b = WBUF_INIT;
    msg_progress_write(&b, p);
    int rc = wire_send(w, FRAME_PROGRESS, &b, NULL, 0, e);
    wbuf_free(&b);
    must(rc, "progress", e);
}

static void take_had(struct wire *w, struct err *e)
{
    enum frame_type type;
    struct rbuf r;
    must(wire_recv(w, &type, &r, 0, e), "waits for HAD", e);
}

static void ping_for_ever(struct wire *w, struct err *e)
{
    for (;; usleep(SLOW_US))
        must(wire_send(w, FRAME_PING, NULL, NULL, 0, e), "ping", e);
}

static void same_progress_for_ever(struct wire *w, struct err *e)
{
    struct msg_progress p = { .files = 7, .bytes = 70, .path = "/dead/mount", .path_len = 11 };
    for (;; usleep(SLOW_US))
        send_progress(w, &p, e);
}

/* Asks for chunks that nobody has, and never sends one. */
static void ask_for_ever(struct wire *w, struct err *e)
{
    struct id ids[MAX_FRAME_IDS];
    for (;;) {
        sys_random(ids, sizeof ids);
        send_ids(w, FRAME_HAVE, ids, MAX_FRAME_IDS, e);
        take_had(w, e);
    }
}

/* Asks the same over and over: no promise grows, but the questions do. */
static void repeat_for_ever(struct wire *w, struct err *e)
{
    struct id ids[MAX_FRAME_IDS];
    sys_random(ids, sizeof ids);
    for (;;) {
        send_ids(w, FRAME_HAVE, ids, MAX_FRAME_IDS, e);
        take_had(w, e);
    }
}

static void reach_what_is_not_there(struct wire *w, struct err *e)
{
    struct id id;
    send_key(w, &id, e);
    for (uint64_t i = 1;; i++) {
        struct id ids[MAX_FRAME_IDS] = { 0 };
        for (size_t k = 0; k < MAX_FRAME_IDS; k++)
            for (size_t b = 0; b < 8; b++)
                ids[k].b[b] = (uint8_t)((i * MAX_FRAME_IDS + k) >> (56 - 8 * b));
        send_ids(w, FRAME_REACH, ids, MAX_FRAME_IDS, e);
    }
}

static void reach_backwards(struct wire *w, struct err *e)
{
    struct id key, ids[2];
    send_key(w, &key, e);
    memset(&ids[0], 9, sizeof *ids);
    memset(&ids[1], 8, sizeof *ids);
    send_ids(w, FRAME_HAVE, ids, 2, e);
    take_had(w, e);
    send_put(w, &ids[0], 0, e);
    send_put(w, &ids[1], 1, e);
    send_ids(w, FRAME_REACH, ids, 2, e);
}

/* Promised, named by the snapshot, never sent. */
static void reach_what_never_came(struct wire *w, struct err *e)
{
    struct id key, id;
    struct msg_snapshot m = { .body = key.b, .body_len = sizeof key };
    struct wbuf b = WBUF_INIT;
    send_key(w, &key, e);
    sys_random(&id, sizeof id);
    send_ids(w, FRAME_HAVE, &id, 1, e);
    take_had(w, e);
    send_ids(w, FRAME_REACH, &id, 1, e);
    msg_snapshot_write(&b, &m);
    int rc = wire_send(w, FRAME_SNAPSHOT, &b, NULL, 0, e);
    wbuf_free(&b);
    must(rc, "snapshot", e);
}

static void put_unasked(struct wire *w, struct err *e)
{
    struct id key, id;
    send_key(w, &key, e);
    sys_random(&id, sizeof id);
    send_put(w, &id, 0, e);
}

static void two_keys(struct wire *w, struct err *e)
{
    struct id key;
    send_key(w, &key, e);
    send_key(w, &key, e);
}

/* The orchestrator lets the first of them lie and packs what is new. */
static void put_before_key(struct wire *w, struct err *e)
{
    struct id id;
    sys_random(&id, sizeof id);
    send_ids(w, FRAME_HAVE, &id, 1, e);
    take_had(w, e);
    send_put(w, &id, 0, e);
}

static const struct {
    const char *name;
    void (*run)(struct wire *w, struct err *e);
} modes[] = { { "ping", ping_for_ever },
              { "progress", same_progress_for_ever },
              { "ask", ask_for_ever },
              { "repeat", repeat_for_ever },
              { "reach-unknown", reach_what_is_not_there },
              { "reach-backwards", reach_backwards },
              { "reach-unsent", reach_what_never_came },
              { "put-unasked", put_unasked },
              { "two-keys", two_keys },
              { "put-before-key", put_before_key } };

int main(void)
{
    const char *mode = getenv("HOSTILE_MODE");
    char host[256];
    struct err e = ERR_INIT;
    enum frame_type type;
    struct rbuf r;
    struct wire *w = wire_new(0, 1, true);
    if (!w || !mode)
        return 2;
    must(wire_hello(w, TWOFOLD_VERSION, host, &e), "hello", &e);
    must(wire_recv(w, &type, &r, 0, &e), "waits for a job", &e);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, mode) == 0)
            modes[i].run(w, &e);
    /* What is said to that. */
    while (wire_recv(w, &type, &r, 0, &e) == 0)
        ;
    fprintf(stderr, "hostile agent: %s\n", e.why);
    wire_free(w);
    return 0;
}
