/* test_wire.c - lib/wire/wire.h, the frames: split, cut, garbled and stalled streams, errors of
 * the peer, the handshake, and several senders. The payloads are in test_messages.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/rate.h"
#include "lib/base/sys.h"
#include "lib/wire/wire.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Our side is a wire, the other side a bare descriptor. */
struct pair {
    struct wire *w;
    int peer;
};

static struct pair open_pair(void)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    struct pair p = { wire_new(fd[0], fd[0], true), fd[1] };
    assert_non_null(p.w);
    return p;
}

static void close_pair(struct pair *p)
{
    wire_free(p->w);
    if (p->peer >= 0)
        close(p->peer);
}

static void raw(struct pair *p, const void *bytes, size_t n)
{
    assert_int_equal(write(p->peer, bytes, n), n);
}
#define RAW(p, bytes) raw(p, bytes, sizeof bytes - 1)

/* rc 1: under way. */
struct one_send {
    struct wire *w;
    const uint8_t *body;
    size_t len;
    _Atomic int rc;
};

static void *send_one(void *arg)
{
    struct one_send *o = arg;
    o->rc = 1;
    o->rc = wire_send(o->w, FRAME_PUT, NULL, o->body, o->len, NULL);
    return NULL;
}

static int recv_one(struct wire *w, enum frame_type *type, struct rbuf *r, struct err *e)
{
    return wire_recv(w, type, r, 20000, e);
}

static int fails(struct pair *p, unsigned timeout_ms)
{
    enum frame_type type;
    struct rbuf r;
    return wire_recv(p->w, &type, &r, timeout_ms, NULL);
}

static void expect(struct wire *w, enum frame_type want, const void *bytes, size_t n)
{
    enum frame_type type;
    struct rbuf r;
    assert_int_equal(recv_one(w, &type, &r, NULL), 0);
    assert_int_equal(type, want);
    assert_int_equal(rb_left(&r), n);
    assert_memory_equal(r.p, bytes, n);
}

/* --- frames ----------------------------------------------------------------------------------- */
static void a_frame_is_length_type_payload(void **state)
{
    struct pair p = open_pair();
    struct wbuf head = WBUF_INIT;
    uint8_t got[64];
    wb_str(&head, "ab");
    assert_int_equal(wire_send(p.w, FRAME_PUT, &head, "body", 4, NULL), 0);
    assert_int_equal(wire_send(p.w, FRAME_PING, NULL, NULL, 0, NULL), 0);
    assert_int_equal(read(p.peer, got, sizeof got), 17);
    assert_memory_equal(got, "\7\0\0\0\x21\2abbody\0\0\0\0\3", 17);
    wbuf_free(&head);
    close_pair(&p);
}

static void frames_come_however_the_stream_is_cut(void **state)
{
    static const char stream[] = "\3\0\0\0\40xyz\0\0\0\0\x16\1\0\0\0\x24!";
    for (size_t cut = 0; cut < sizeof stream; cut++) {
        struct pair p = open_pair();
        raw(&p, stream, cut);
        if (cut < 8)
            assert_int_equal(fails(&p, 1), -ERR_TIMEOUT);
        assert_int_equal(wire_pending(p.w), cut >= 8);
        raw(&p, stream + cut, sizeof stream - 1 - (cut < sizeof stream ? cut : 0));
        expect(p.w, FRAME_HAVE, "xyz", 3);
        expect(p.w, FRAME_CANCEL, "", 0);
        expect(p.w, FRAME_PROGRESS, "!", 1);
        assert_false(wire_pending(p.w));
        close_pair(&p);
    }
}

static void what_is_no_frame_is_refused(void **state)
{
    static const char *const bad[] = { "\0\0\0\0\0",   "\0\0\0\0\4",    "\0\0\0\0\x0f",
                                       "\0\0\0\0\x1d", "\0\0\0\0\x1f",  "\0\0\0\0\x2f",
                                       "\0\0\0\0\xff", "\1\0\x90\0\40", "\xff\xff\xff\xff\40" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pair p = open_pair();
        raw(&p, bad[i], 5);
        assert_true(wire_pending(p.w));
        assert_int_equal(fails(&p, 0), -ERR_PROTOCOL);
        assert_int_equal(fails(&p, 0), -ERR_PROTOCOL);
        close_pair(&p);
    }
}

static void end_of_stream_is_told(void **state)
{
    struct pair p = open_pair();
    struct err e = ERR_INIT;
    enum frame_type type;
    struct rbuf r;
    wire_set_peer(p.w, "agent local");
    RAW(&p, "\1\0\0\0\40x\5\0\0\0\40xyz");
    close(p.peer);
    p.peer = -1;
    expect(p.w, FRAME_HAVE, "x", 1);
    assert_int_equal(recv_one(p.w, &type, &r, &e), -ERR_UNREACHABLE);
    assert_string_equal(e.what, "agent local");
    assert_true(e.why[0] && e.next[0]);
    /* No SIGPIPE, and the same error. */
    assert_int_equal(wire_send(p.w, FRAME_PING, NULL, NULL, 0, NULL), -ERR_UNREACHABLE);
    close_pair(&p);
}

static void silence_has_a_deadline(void **state)
{
    struct pair p = open_pair();
    assert_int_equal(fails(&p, 20), -ERR_TIMEOUT);
    RAW(&p, "\2\0\0\0\40x");
    assert_int_equal(fails(&p, 20), -ERR_TIMEOUT);
    RAW(&p, "y");
    expect(p.w, FRAME_HAVE, "xy", 2);
    close_pair(&p);
}

static void pings_are_taken_silently(void **state)
{
    struct pair p = open_pair();
    RAW(&p, "\0\0\0\0\3\0\0\0\0\3\1\0\0\0\40x\0\0\0\0\3");
    expect(p.w, FRAME_HAVE, "x", 1);
    assert_int_equal(fails(&p, 20), -ERR_TIMEOUT);
    RAW(&p, "\1\0\0\0\3x");
    assert_int_equal(fails(&p, 20), -ERR_PROTOCOL);
    close_pair(&p);
}

static void too_long_is_not_sent(void **state)
{
    struct pair p = open_pair();
    struct wbuf head = WBUF_INIT;
    uint8_t *body = calloc(1, MAX_FRAME_BYTES + 1);
    wb_u8(&head, 0);
    assert_int_equal(wire_send(p.w, FRAME_PUT, NULL, body, MAX_FRAME_BYTES + 1, NULL), -ERR_LIMIT);
    assert_int_equal(wire_send(p.w, FRAME_PUT, &head, body, MAX_FRAME_BYTES, NULL), -ERR_LIMIT);
    head.failed = true;
    assert_int_equal(wire_send(p.w, FRAME_PUT, &head, NULL, 0, NULL), -ERR_NOMEM);
    assert_int_equal(recv(p.peer, body, 1, MSG_DONTWAIT), -1);
    wbuf_free(&head);
    free(body);
    close_pair(&p);
}

/* --- big frames, several senders -------------------------------------------------------------- */
#define N_SENDERS 3
#define N_SENT 60

struct sender {
    struct wire *w;
    uint8_t number;
    int rc;
};

static size_t len_of(unsigned i)
{
    return i % 20 == 7 ? 2u << 20 : i * 37 % 5000;
}

static void *send_many(void *arg)
{
    struct sender *s = arg;
    uint8_t *body = malloc(2u << 20);
    memset(body, 'a' + s->number, 2u << 20);
    for (unsigned i = 0; i < N_SENT && s->rc == 0; i++) {
        struct wbuf head = WBUF_INIT;
        wb_u8(&head, s->number);
        wb_u8(&head, (uint8_t)i);
        s->rc = wire_send(s->w, FRAME_PUT, &head, body, len_of(i), NULL);
        wbuf_free(&head);
    }
    free(body);
    return NULL;
}

static void senders_do_not_mix(void **state)
{
    int fd[2];
    pthread_t threads[N_SENDERS];
    struct sender senders[N_SENDERS];
    unsigned next[N_SENDERS] = { 0 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    struct wire *a = wire_new(fd[0], fd[0], true), *b = wire_new(fd[1], fd[1], true);
    for (uint8_t i = 0; i < N_SENDERS; i++) {
        senders[i] = (struct sender){ .w = a, .number = i };
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    for (unsigned n = 0; n < N_SENDERS * N_SENT; n++) {
        enum frame_type type;
        struct rbuf r;
        assert_int_equal(recv_one(b, &type, &r, NULL), 0);
        unsigned who = rb_u8(&r), i = rb_u8(&r);
        assert_true(who < N_SENDERS && i == next[who]++);
        if (n % 3 == 0)
            (void)wire_pending(b); /* must leave the borrowed payload alone */
        assert_int_equal(rb_left(&r), len_of(i));
        for (size_t k = 0; k < len_of(i); k++)
            if (r.p[k] != 'a' + who)
                fail();
    }
    for (size_t i = 0; i < N_SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(senders[i].rc, 0);
    }
    wire_free(a);
    wire_free(b);
    wire_free(NULL);
}

static void borrowed_payload_outlives_pending(void **state)
{
    struct pair p = open_pair();
    enum frame_type type;
    struct rbuf r;
    uint8_t *second = malloc(100000);
    memset(second, 'b', 100000);
    memcpy(second, "\x9b\x86\1\0\40", 5); /* a frame of 100,000 bytes in all */
    RAW(&p, "\5\0\0\0\40first");
    raw(&p, second, 60000);
    assert_int_equal(recv_one(p.w, &type, &r, NULL), 0);
    assert_false(wire_pending(p.w));
    raw(&p, second + 60000, 40000);
    for (int i = 0; i < 3; i++)
        assert_true(wire_pending(p.w));
    assert_memory_equal(r.p, "first", 5);
    expect(p.w, FRAME_HAVE, second + 5, 100000 - 5);
    free(second);
    close_pair(&p);
}

/* A frame of which a part was sent cannot be followed by anything. */
static void a_half_sent_frame_ends_the_sending(void **state)
{
    struct pair p = open_pair();
    uint8_t *body = calloc(1, MAX_FRAME_BYTES);
    pid_t pid = fork();
    if (pid == 0) {
        wire_free(p.w);
        uint8_t some[1000];
        _exit(read(p.peer, some, sizeof some) == sizeof some ? 0 : 1); /* and the peer is gone */
    }
    close(p.peer);
    p.peer = -1;
    int rc = wire_send(p.w, FRAME_PUT, NULL, body, MAX_FRAME_BYTES, NULL);
    assert_int_equal(rc, -ERR_UNREACHABLE);
    assert_int_equal(wire_send(p.w, FRAME_PING, NULL, NULL, 0, NULL), -ERR_UNREACHABLE);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    free(body);
    close_pair(&p);
}

static void pipes_will_do(void **state)
{
    int there[2], back[2];
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    struct wire *a = wire_new(back[0], there[1], true), *b = wire_new(there[0], back[1], true);
    assert_int_equal(wire_send(a, FRAME_HAVE, NULL, "x", 1, NULL), 0);
    expect(b, FRAME_HAVE, "x", 1);
    assert_int_equal(wire_send(b, FRAME_HAD, NULL, "y", 1, NULL), 0);
    expect(a, FRAME_HAD, "y", 1);
    assert_int_equal(wire_fd(a), back[0]);
    wire_free(a);
    wire_free(b);
}

/* --- errors of the peer ----------------------------------------------------------------------- */
static void errors_travel(void **state)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    struct wire *a = wire_new(fd[0], fd[0], true), *b = wire_new(fd[1], fd[1], true);
    struct err sent = ERR_INIT, got = ERR_INIT;
    enum frame_type type;
    struct rbuf r;
    wire_set_peer(b, "agent db1");
    err_set(&sent, ERR_NOSPACE, "disk \033[31mfull\n\x7f\xc2\x9b \xff gr\xc3\xbc\xc3\x9f");
    err_wrap(&sent, "/var/lib");
    err_next(&sent, "tidy up");
    wire_send_error(a, &sent);
    assert_int_equal(recv_one(b, &type, &r, &got), -ERR_NOSPACE);
    assert_int_equal(got.code, ERR_NOSPACE);
    assert_string_equal(got.what, "agent db1: /var/lib");
    assert_string_equal(got.why, "disk ?[31mfull???? ? gr\xc3\xbc\xc3\x9f");
    assert_string_equal(got.next, "tidy up");
    wire_free(a);
    wire_send_error(b, &sent); /* to nobody: ignored */
    wire_free(b);
}

static void strange_errors_are_errors_too(void **state)
{
    struct pair p = open_pair();
    RAW(&p, "\4\0\0\0\2\xff\1\0\0");
    assert_int_equal(fails(&p, 0), -ERR_PROTOCOL);
    RAW(&p, "\5\0\0\0\2\x7f\0\1x\0");
    assert_int_equal(fails(&p, 0), -ERR_FAILED);
    RAW(&p, "\4\0\0\0\2\0\0\0\0");
    assert_int_equal(fails(&p, 0), -ERR_FAILED);
    RAW(&p, "\0\0\0\0\2");
    assert_int_equal(fails(&p, 0), -ERR_PROTOCOL);
    close_pair(&p);
}

/* --- handshake -------------------------------------------------------------------------------- */
static void hello_names_the_host(void **state)
{
    int fd[2];
    char host[256] = "", mine[256] = "";
    struct err e = ERR_INIT;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    struct wire *a = wire_new(fd[0], fd[0], true);
    pid_t pid = fork();
    if (pid == 0) {
        wire_free(a);
        struct wire *b = wire_new(fd[1], fd[1], true);
        int rc = wire_hello(b, "1.0", host, NULL);
        wire_free(b);
        _exit(rc == 0 ? 0 : 1);
    }
    close(fd[1]);
    int status = 1;
    assert_int_equal(wire_hello(a, "1.0", host, &e), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    gethostname(mine, sizeof mine - 1);
    assert_string_equal(host, mine);
    wire_free(a);
}

static int hello_to(const char *bytes, size_t n, struct err *e, char host[256])
{
    struct pair p = open_pair();
    raw(&p, bytes, n);
    int rc = wire_hello(p.w, "1.0", host, e);
    close_pair(&p);
    return rc;
}
#define HELLO_TO(bytes) hello_to(bytes, sizeof bytes - 1, &e, host)

static void hello_is_checked(void **state)
{
    struct err e = ERR_INIT;
    char host[256];
    assert_int_equal(HELLO_TO("\x13\0\0\0\1twofold\1\0\1\0\1v\5h\nos\xff"), 0);
    assert_string_equal(host, "h?os?");
    /* A later program may say more, and speak more. */
    assert_int_equal(HELLO_TO("\x14\0\0\0\1twofold\1\0\7\0\1v\4hostmore"), 0);
    assert_string_equal(host, "host");
    assert_int_equal(HELLO_TO("\x12\0\0\0\1twofold\2\0\3\0\1v\4host"), -ERR_VERSION);
    assert_string_equal(e.next, "upgrade twofold on this host");
    assert_int_equal(HELLO_TO("\x12\0\0\0\1twofold\0\0\0\0\1v\4host"), -ERR_VERSION);
    assert_string_equal(e.next, "upgrade twofold on the other host");
    assert_int_equal(HELLO_TO("\x12\0\0\0\1threefo\1\0\1\0\1v\4host"), -ERR_PROTOCOL);
    assert_int_equal(HELLO_TO("\x12\0\0\0\1twofold\2\0\1\0\1v\4host"), -ERR_PROTOCOL);
    assert_int_equal(HELLO_TO("\x0c\0\0\0\1twofold\1\0\1\0\1"), -ERR_PROTOCOL);
    assert_int_equal(HELLO_TO("\1\0\0\0\40x"), -ERR_PROTOCOL);
    assert_int_equal(HELLO_TO("Welcome to host\n"), -ERR_PROTOCOL);
}

/* What it said is read although it is gone before we say anything. */
static int hello_after(const char *bytes, size_t n, struct err *e, char host[256])
{
    struct pair p = open_pair();
    raw(&p, bytes, n);
    shutdown(p.peer, SHUT_RD); /* as of one that has ended: nothing can be sent to it */
    shutdown(p.peer, SHUT_WR);
    int rc = wire_hello(p.w, "1.0", host, e);
    close_pair(&p);
    return rc;
}

static void last_words_are_heard(void **state)
{
    struct err e = ERR_INIT;
    char host[256];
    static const char noise[] = "Welcome to host\n",
                      good[] = "\x12\0\0\0\1twofold\1\0\1\0\1v\4host";
    assert_int_equal(hello_after(noise, sizeof noise - 1, &e, host), -ERR_PROTOCOL);
    assert_int_equal(hello_after("", 0, &e, host), -ERR_UNREACHABLE);
    assert_int_equal(hello_after(good, sizeof good - 1, &e, host), 0);
}

/* --- signals ---------------------------------------------------------------------------------- */
static void a_signal_ends_the_waits(void **state)
{
    struct pair p = open_pair();
    uint8_t *body = calloc(1, MAX_FRAME_BYTES);
    pid_t pid = fork(); /* the flag cannot be taken back */
    if (pid == 0) {
        sys_catch_signals();
        raise(SIGTERM);
        int got = fails(&p, 0);
        int sent = wire_send(p.w, FRAME_PUT, NULL, body, MAX_FRAME_BYTES, NULL);
        while (recv(p.peer, body, MAX_FRAME_BYTES, MSG_DONTWAIT) > 0)
            ;
        /* There is room again, but a part of that frame is under way. */
        int after = wire_send(p.w, FRAME_PING, NULL, NULL, 0, NULL);
        _exit(got == -ERR_INTERRUPTED && sent == -ERR_INTERRUPTED && after == -ERR_UNREACHABLE ? 0
                                                                                               : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    free(body);
    close_pair(&p);
}

/* --- pauses and bounds --------------------------------------------------------------------------------------- */
static void *receive_until_closed(void *arg)
{
    enum frame_type type;
    struct rbuf r;
    while (wire_recv(arg, &type, &r, 20000, NULL) == 0)
        ;
    return NULL;
}

/* The other end takes nothing for a second, and sends `beat` meanwhile; the deadline is a third of that. */
static int send_to_one_who_waits(const char *beat)
{
    struct pair p = open_pair();
    pthread_t receiver, sender;
    static uint8_t body[1u << 20];
    uint8_t sink[65536];
    struct one_send one = { .w = p.w, .body = body, .len = sizeof body };
    wire_set_send_deadline(p.w, 350);
    wire_let_pause(p.w);
    assert_int_equal(pthread_create(&receiver, NULL, receive_until_closed, p.w), 0);
    assert_int_equal(pthread_create(&sender, NULL, send_one, &one), 0);
    for (int i = 0; i < 10; i++) {
        raw(&p, beat, 5);
        usleep(100000);
    }
    for (size_t left = sizeof body + 5; left > 0;) {
        ssize_t n = recv(p.peer, sink, sizeof sink, one.rc == 1 ? 0 : MSG_DONTWAIT);
        if (n <= 0)
            break;
        left -= (size_t)n;
    }
    pthread_join(sender, NULL);
    shutdown(p.peer, SHUT_RDWR);
    pthread_join(receiver, NULL);
    close_pair(&p);
    return one.rc;
}

static void test_a_pause_is_waited_for(void **state)
{
    assert_int_equal(send_to_one_who_waits("\0\0\0\0\x17"), 0);
    assert_int_equal(send_to_one_who_waits("\0\0\0\0\x03"),
                     -ERR_TIMEOUT); /* PINGs do not do that */
}

static void test_only_agents_take_a_pause(void **state)
{
    struct pair p = open_pair();
    RAW(&p, "\0\0\0\0\x17");
    assert_int_equal(fails(&p, 1000), -ERR_PROTOCOL);
    close_pair(&p);
}

static void test_a_bound_on_speed(void **state)
{
    struct pair p = open_pair();
    struct rate *r = NULL;
    static uint8_t body[60000];
    uint64_t before = sys_monotonic_ms();
    assert_int_equal(rate_new(100000, NULL, &r, NULL), 0);
    wire_add_limit(p.w, r);
    assert_int_equal(wire_send(p.w, FRAME_CHUNK, NULL, body, sizeof body, NULL), 0);
    assert_true(sys_monotonic_ms() - before >= 300); /* 0.6 s but for the burst */
    close_pair(&p);
    rate_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_length_type_payload),
        cmocka_unit_test(frames_come_however_the_stream_is_cut),
        cmocka_unit_test(what_is_no_frame_is_refused),
        cmocka_unit_test(end_of_stream_is_told),
        cmocka_unit_test(silence_has_a_deadline),
        cmocka_unit_test(pings_are_taken_silently),
        cmocka_unit_test(too_long_is_not_sent),
        cmocka_unit_test(senders_do_not_mix),
        cmocka_unit_test(borrowed_payload_outlives_pending),
        cmocka_unit_test(a_half_sent_frame_ends_the_sending),
        cmocka_unit_test(pipes_will_do),
        cmocka_unit_test(errors_travel),
        cmocka_unit_test(strange_errors_are_errors_too),
        cmocka_unit_test(hello_names_the_host),
        cmocka_unit_test(hello_is_checked),
        cmocka_unit_test(last_words_are_heard),
        cmocka_unit_test(a_signal_ends_the_waits),
        cmocka_unit_test(test_a_pause_is_waited_for),
        cmocka_unit_test(test_only_agents_take_a_pause),
        cmocka_unit_test(test_a_bound_on_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
