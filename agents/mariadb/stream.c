/* stream.c - see stream.h. The session is made by the server's own library; what follows the request for the logs is read from its socket here,
 * so that nothing waits for a server that has nothing to say, and an event of a gigabyte needs no memory (MariaDB's manual, "Replication
 * Protocol": frames, COM_BINLOG_DUMP, event header). */
#include "agents/mariadb/link.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <zlib.h>

#define COM_DUMP 0x12
#define WITH_ANNOTATIONS 2 /* else the server leaves those events out */
#define FRAME_HEAD 4u
#define FULL_FRAME 0xffffffu
#define IN_BYTES (256u << 10)
#define SMALL_BYTES 1024u
#define SUM_KNOWN 5u /* the end of a format event: how sums are made, then its own */
#define FLAG_ARTIFICIAL 0x20u
#define FIRST_ID 0x70000000u
#define BEAT_NS "5000000000"

enum event_type { EVENT_ROTATE = 4, EVENT_FORMAT = 15, EVENT_BEAT = 27, EVENT_BEAT_2 = 41 };
enum state {
    STATUS, /* the first byte of a packet */
    HEAD,   /* of an event */
    BODY,   /* of one that stands in the file */
    ASIDE,  /* of one that does not */
    FAILURE,
    LAST,
};
struct my_stream {
    const struct my_server *server; /* borrowed */
    MYSQL *c;
    int fd;
    uint8_t *in; /* owned */
    size_t in_at, in_n;
    bool closed; /* the server's side */
    /* the frame, the packet */
    size_t frame_left;
    bool frame_full, in_packet;
    enum state state;
    /* the event */
    uint8_t head[EVENT_HEAD_BYTES], small[SMALL_BYTES], tail[SUM_KNOWN];
    size_t head_n, small_n;
    uint32_t len, left, type, next;
    uLong sum;
    /* the file */
    char name[MAX_BINLOG_NAME];
    uint64_t at;
    bool magic_due;
    uint8_t sums; /* of its events: 0: none, 1: CRC32 */
};

/* --- the session -------------------------------------------------------------------------------- */
static int say(struct my_stream *s, const char *sql, struct err *e)
{
    return mysql_real_query(s->c, sql, (unsigned long)strlen(sql)) != 0
               ? my_link_failed(s->server, s->c, e)
               : 0;
}

/* A replica that understands all events, so that none is left out or changed, and is not thrown out when the copies are slow. */
static int introduce(struct my_stream *s, struct err *e)
{
    static const char *const statements[] = {
        "SET @mariadb_slave_capability = 4",
        "SET @master_binlog_checksum = @@global.binlog_checksum",
        "SET @source_binlog_checksum = @@global.binlog_checksum",
        "SET SESSION net_write_timeout = 86400",
        "SET @master_heartbeat_period = " BEAT_NS, /* so the server sees when we are gone */
        "SET @source_heartbeat_period = " BEAT_NS,
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof statements / sizeof *statements; i++)
        rc = say(s, statements[i], e);
    return rc;
}

static int send_request(struct my_stream *s, const char *file, struct err *e)
{
    uint32_t id = 0;
    struct wbuf w = WBUF_INIT;
    size_t n = strlen(file);
    sys_random(&id, sizeof id);
    id = FIRST_ID | (id >> 8); /* as whom: the server lets go of an older one of the same number */
    wb_u32(&w, (uint32_t)(n + 11));
    wb_u8(&w, COM_DUMP);
    wb_u32(&w, BINLOG_MAGIC_BYTES);
    wb_u16(&w, WITH_ANNOTATIONS);
    wb_u32(&w, id);
    wb_bytes(&w, file, n);
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
    for (size_t done = 0; rc == 0 && done < w.len;) {
        ssize_t did = send(s->fd, w.p + done, w.len - done, MSG_NOSIGNAL);
        if (did < 0 && errno != EINTR && errno != EAGAIN)
            rc = err_set(e, ERR_UNREACHABLE, _("the server has ended the session"));
        done += did > 0 ? (size_t)did : 0;
    }
    wbuf_free(&w);
    return rc;
}

int my_stream_open(const struct my_server *server, const char *file, struct my_stream **ret,
                   struct err *e)
{
    struct my_stream *s = calloc(1, sizeof *s);
    if (!s || !(s->in = malloc(IN_BYTES))) {
        free(s);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    s->server = server;
    int rc = my_connect(server, &s->c, e);
    if (rc == 0 && mysql_get_ssl_cipher(s->c)) {
        err_set(e, ERR_CONFIG, _("binary logs are not read over TLS"));
        rc = err_next(
            e, _("name the server's socket: \"server\" below mariadb: in the policy; or leave TLS "
                 "out of the file that defaults-file names"));
    }
    if (rc == 0)
        rc = introduce(s, e);
    s->fd = rc == 0 ? (int)mysql_get_socket(s->c) : -1;
    if (rc == 0)
        rc = send_request(s, file, e);
    if (rc < 0)
        my_stream_free(s);
    else
        *ret = s;
    return rc;
}

void my_stream_free(struct my_stream *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        (void)shutdown(s->fd, SHUT_RDWR); /* nothing is said to a server that waits to be read */
    if (s->c)
        mysql_close(s->c);
    free(s->in);
    free(s);
}

int my_stream_fd(const struct my_stream *s)
{
    return s->fd;
}

uint64_t my_stream_at(const struct my_stream *s)
{
    return s->at;
}

/* --- bytes -------------------------------------------------------------------------------------- */
static int broken(struct err *e)
{
    return err_set(e, ERR_PROTOCOL, _("the server sent what is not of its protocol"));
}

/* More into the buffer; *ret: there is some. */
static int fill(struct my_stream *s, bool *ret, struct err *e)
{
    *ret = false;
    if (s->in_at > 0) {
        memmove(s->in, s->in + s->in_at, s->in_n - s->in_at);
        s->in_n -= s->in_at;
        s->in_at = 0;
    }
    ssize_t n = recv(s->fd, s->in + s->in_n, IN_BYTES - s->in_n, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (n < 0)
        return err_set(e, ERR_UNREACHABLE, _("the server has ended the stream: %s"),
                       strerror(errno));
    s->closed = n == 0;
    s->in_n += (size_t)n;
    *ret = n > 0;
    return 0;
}

/* --- events ------------------------------------------------------------------------------------- */
static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | get16(p + 2) << 16;
}

static void count_in(struct my_stream *s, const uint8_t *p, size_t n)
{
    size_t summed = s->left > EVENT_SUM_BYTES ? s->left - EVENT_SUM_BYTES : 0;
    s->sum = crc32(s->sum, p, (uInt)(n < summed ? n : summed));
    for (size_t i = s->left > SUM_KNOWN ? s->left - SUM_KNOWN : 0; i < n; i++)
        s->tail[SUM_KNOWN - (s->left - i)] = p[i];
    s->left -= (uint32_t)n;
}

/* What the header says; true: its bytes stand in the file. */
static int on_head(struct my_stream *s, bool *ret, struct err *e)
{
    s->type = s->head[4];
    s->len = get32(s->head + 9);
    s->next = get32(s->head + 13);
    uint32_t flags = get16(s->head + 17);
    s->left = s->len;
    s->sum = crc32(0, NULL, 0);
    s->small_n = 0;
    if (s->len < EVENT_HEAD_BYTES)
        return broken(e);
    *ret = !(flags & FLAG_ARTIFICIAL) && s->next != 0 && s->type != EVENT_BEAT &&
           s->type != EVENT_BEAT_2;
    s->state = *ret ? BODY : ASIDE;
    if (*ret && !s->name[0])
        return broken(e);
    if (*ret && s->next != (uint32_t)(s->at + s->len))
        return err_set(e, ERR_PROTOCOL,
                       _("the server left out what comes behind position %llu of %s"),
                       (unsigned long long)s->at, s->name);
    if (*ret)
        count_in(s, s->head, sizeof s->head);
    return 0;
}

static int check_sum(struct my_stream *s, struct err *e)
{
    bool format = s->type == EVENT_FORMAT;
    if (format)
        s->sums = s->tail[0];
    if (s->sums == 0 || s->sums == UINT8_MAX || get32(s->tail + 1) == (uint32_t)s->sum)
        return 0;
    err_set(e, ERR_DAMAGED, _("the server's own log is damaged: %s, at position %llu"), s->name,
            (unsigned long long)s->at);
    return err_next(
        e,
        _("nothing behind it can be replayed: make a backup, then let the server drop that file: "
          "FLUSH BINARY LOGS; PURGE BINARY LOGS TO the next one; the log begins anew then"));
}

/* Another file begins: its position and its name, perhaps with a sum. */
static int on_rotate(struct my_stream *s, struct my_part *ret, struct err *e)
{
    const uint8_t *name = s->small + 8;
    size_t n = s->small_n > 8 ? s->small_n - 8 : 0;
    if (n > EVENT_SUM_BYTES &&
        crc32(crc32(crc32(0, NULL, 0), s->head, EVENT_HEAD_BYTES), s->small,
              (uInt)(s->small_n - EVENT_SUM_BYTES)) == get32(name + n - EVENT_SUM_BYTES))
        n -= EVENT_SUM_BYTES;
    if (n == 0 || n >= sizeof s->name || s->small_n != s->len - EVENT_HEAD_BYTES ||
        memchr(name, 0, n))
        return broken(e);
    if (strlen(s->name) == n && memcmp(s->name, name, n) == 0)
        return 0;
    memcpy(s->name, name, n);
    s->name[n] = '\0';
    s->at = 0;
    s->magic_due = true;
    ret->kind = PART_FILE;
    ret->name = s->name;
    return 0;
}

/* --- packets ------------------------------------------------------------------------------------ */
static int on_failure(struct my_stream *s, struct err *e)
{
    char text[SMALL_BYTES];
    unsigned number = s->small_n >= 2 ? get16(s->small) : 0;
    size_t from = s->small_n > 8 && s->small[2] == '#' ? 8 : 2;
    size_t n = s->small_n > from ? s->small_n - from : 0;
    snprintf(text, sizeof text, "%.*s", (int)n, n ? (const char *)s->small + from : "");
    if (strstr(text, "truncated in the middle"))
        return err_set(e, ERR_NOT_WHOLE, _("the server says: %s"), text);
    if (strstr(text, "Could not find first log"))
        return err_set(e, ERR_ABSENT, _("the server says: %s"), text);
    return my_failed(s->server, number, text, e);
}

static int on_packet_end(struct my_stream *s, struct my_part *ret, struct err *e)
{
    int rc = 0;
    if (s->state == FAILURE)
        return on_failure(s, e);
    if (s->state == LAST)
        ret->kind = PART_END;
    else if (s->state == HEAD || s->state == STATUS || (s->state == BODY && s->left > 0))
        rc = broken(e);
    else if (s->state == ASIDE && s->type == EVENT_ROTATE)
        rc = on_rotate(s, ret, e);
    else if (s->state == BODY && (rc = check_sum(s, e)) == 0)
        s->at += s->len;
    return rc;
}

/* The next frame. *ret_more: its head has not come yet. */
static int next_frame(struct my_stream *s, bool *ret_more, struct my_part *ret, struct err *e)
{
    if (s->in_packet && !s->frame_full) {
        s->in_packet = false;
        return on_packet_end(s, ret, e);
    }
    if (s->in_n - s->in_at < FRAME_HEAD) {
        *ret_more = true;
        return 0;
    }
    const uint8_t *p = s->in + s->in_at;
    s->frame_left = get16(p) | (size_t)p[2] << 16;
    s->frame_full = s->frame_left == FULL_FRAME;
    s->in_at += FRAME_HEAD;
    if (!s->in_packet) {
        s->state = STATUS;
        s->head_n = 0;
    }
    s->in_packet = true;
    return 0;
}

static void on_status(struct my_stream *s, uint8_t status)
{
    s->small_n = 0;
    s->state = status == 0 ? HEAD : status == 0xfe ? LAST : FAILURE;
}

/* Some of what is there of the frame; *ret is set where it belongs to a file. */
static int take(struct my_stream *s, size_t n, struct my_part *ret, struct err *e)
{
    const uint8_t *p = s->in + s->in_at;
    bool stands = false;
    int rc = 0;
    if (s->state == STATUS) {
        n = 1;
        on_status(s, p[0]);
    } else if (s->state == HEAD) {
        n = n < EVENT_HEAD_BYTES - s->head_n ? n : EVENT_HEAD_BYTES - s->head_n;
        memcpy(s->head + s->head_n, p, n);
        s->head_n += n;
        if (s->head_n == EVENT_HEAD_BYTES && (rc = on_head(s, &stands, e)) == 0 && stands)
            *ret = (struct my_part){ .kind = PART_BYTES, .p = s->head, .n = EVENT_HEAD_BYTES };
    } else if (s->state == BODY) {
        if (n > s->left)
            return broken(e);
        count_in(s, p, n);
        *ret = (struct my_part){ .kind = PART_BYTES, .p = p, .n = n };
    } else {
        size_t room = SMALL_BYTES - s->small_n, keep = n < room ? n : room;
        memcpy(s->small + s->small_n, p, keep);
        s->small_n += keep;
    }
    s->in_at += n;
    s->frame_left -= n;
    return rc;
}

int my_stream_next(struct my_stream *s, struct my_part *ret, struct err *e)
{
    int rc = 0;
    *ret = (struct my_part){ .kind = PART_NONE };
    if (s->magic_due) {
        s->magic_due = false;
        s->at = BINLOG_MAGIC_BYTES;
        *ret = (struct my_part){ .kind = PART_BYTES,
                                 .p = (const uint8_t *)BINLOG_MAGIC,
                                 .n = BINLOG_MAGIC_BYTES };
        return 0;
    }
    while (rc == 0 && ret->kind == PART_NONE) {
        size_t there = s->in_n - s->in_at;
        bool more = there == 0 && (s->frame_left > 0 || !s->in_packet || s->frame_full);
        if (!more && s->frame_left == 0)
            rc = next_frame(s, &more, ret, e);
        else if (!more)
            rc = take(s, there < s->frame_left ? there : s->frame_left, ret, e);
        if (rc < 0 || !more)
            continue;
        rc = fill(s, &more, e);
        if (rc == 0 && s->closed)
            rc = err_set(e, ERR_UNREACHABLE, _("the server has ended the stream"));
        if (rc < 0 || !more)
            break;
    }
    return rc;
}
