/* seam.c - see seam.h. */
#include "agents/mariadb/seam.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 120000
#define TYPE_START_ENCRYPTION 164u

/* --- the last bytes ----------------------------------------------------------------------------- */
void my_window_add(struct my_window *w, const uint8_t *p, size_t n)
{
    size_t keep = n < sizeof w->p ? n : sizeof w->p;
    size_t old = w->n < sizeof w->p - keep ? w->n : sizeof w->p - keep;
    memmove(w->p, w->p + (w->n - old), old);
    memcpy(w->p + old, p + (n - keep), keep);
    w->n = old + keep;
}

void my_window_mark(const struct my_window *w, size_t n, uint8_t ret[LOG_MARK_BYTES])
{
    n = n < w->n ? n : w->n;
    log_piece_mark(w->p + (w->n - n), n, ret);
}

/* --- which log ---------------------------------------------------------------------------------- */
uint64_t my_log_system(const char *server_id, const char *file)
{
    char text[MAX_BINLOG_NAME + 64];
    const char *dot = strrchr(file, '.');
    struct id sum;
    uint64_t n = 0;
    snprintf(text, sizeof text, "mariadb %s %.*s", server_id,
             (int)(dot ? (size_t)(dot - file) : strlen(file)), file);
    sha256_of(text, strlen(text), &sum);
    for (size_t i = 0; i < 7; i++) /* it is written as a number that may have a sign */
        n = n << 8 | sum.b[i];
    return n ? n : 1;
}

size_t my_file_history(const char *name, const uint8_t *head, char out[MAX_FILE_HISTORY])
{
    struct id sum;
    char hex[ID_HEX_BYTES];
    sha256_of(head, FILE_HEAD_BYTES, &sum);
    int n = snprintf(out, MAX_FILE_HISTORY, "%s\n%s\n", name, id_hex(&sum, hex));
    return n > 0 && n < MAX_FILE_HISTORY ? (size_t)n : MAX_FILE_HISTORY - 1;
}

bool my_file_history_name(const uint8_t *p, size_t n, char ret[MAX_BINLOG_NAME])
{
    const uint8_t *end = memchr(p, '\n', n);
    size_t len = end ? (size_t)(end - p) : 0;
    if (len == 0 || len >= MAX_BINLOG_NAME || memchr(p, 0, len))
        return false;
    memcpy(ret, p, len);
    ret[len] = '\0';
    return my_log_number(ret) > 0;
}

/* --- a backup's end ----------------------------------------------------------------------------- */
struct seam_ask {
    struct my_window window;
    uint8_t head[MAX_LOG_HEAD];
    size_t head_n;
    uint64_t at;
};

static void take(struct seam_ask *a, const uint8_t *p, size_t n)
{
    size_t keep = n < sizeof a->head - a->head_n ? n : sizeof a->head - a->head_n;
    memcpy(a->head + a->head_n, p, keep);
    a->head_n += keep;
    my_window_add(&a->window, p, n);
    a->at += n;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* How much of the beginning is to be had before any other event can be read; 0: it is not there. */
static size_t head_span(const uint8_t *p, size_t n)
{
    size_t at = BINLOG_MAGIC_BYTES;
    for (unsigned i = 0; i < 2 && at + EVENT_HEAD_BYTES <= n; i++) {
        if (i == 1 && p[at + 4] != TYPE_START_ENCRYPTION)
            return at;
        uint32_t len = get32(p + at + 9);
        if (len < EVENT_HEAD_BYTES || len > n - at)
            return 0;
        at += len;
    }
    return at > BINLOG_MAGIC_BYTES ? at : 0;
}

static int read_up_to(struct my_stream *s, const char *file, uint64_t position, struct seam_ask *a,
                      struct err *e)
{
    bool there = false;
    while (a->at < position) {
        struct my_part p;
        int rc = my_stream_next(s, &p, e);
        if (rc < 0)
            return rc;
        if (p.kind == PART_NONE && sys_wait_fd(my_stream_fd(s), POLLIN, ANSWER_MS, e) < 0)
            return -(int)e->code;
        bool other = p.kind == PART_FILE && (there || strcmp(p.name, file) != 0);
        if (other || p.kind == PART_END)
            return err_set(e, ERR_NOT_WHOLE, _("the server has %s only up to position %" PRIu64),
                           file, a->at);
        there |= p.kind == PART_FILE;
        if (p.kind == PART_BYTES)
            take(a, p.p, p.n < position - a->at ? p.n : (size_t)(position - a->at));
    }
    return 0;
}

int my_seam_ask(const struct my_server *server, const char *file, uint64_t position, json_t **ret,
                struct err *e)
{
    struct seam_ask *a = calloc(1, sizeof *a);
    struct my_stream *s = NULL;
    uint8_t mark[LOG_MARK_BYTES];
    char hex[2 * LOG_MARK_BYTES + 1], head[2 * MAX_LOG_HEAD + 1];
    int rc = a ? my_stream_open(server, file, &s, e) : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = read_up_to(s, file, position, a, e);
    size_t span = rc == 0 ? head_span(a->head, a->head_n) : 0;
    if (rc == 0 && span == 0)
        rc = err_set(e, ERR_PROTOCOL, _("%s does not begin as a binary log does"), file);
    if (rc == 0) {
        my_window_mark(&a->window, a->window.n, mark);
        hex_encode(mark, sizeof mark, hex);
        hex_encode(a->head, span, head);
        *ret = json_pack("{s:s, s:I, s:I, s:s, s:s}", "file", file, "position",
                         (json_int_t)position, "marked", (json_int_t)a->window.n, "mark", hex,
                         "head", head);
    }
    my_stream_free(s);
    free(a);
    return rc == 0 && !*ret ? err_set(e, ERR_NOMEM, _("no memory")) : rc;
}

bool my_seam_read(json_t *o, struct my_seam *ret)
{
    const char *mark = json_string_value(json_object_get(o, "mark")),
               *head = json_string_value(json_object_get(o, "head"));
    json_int_t position = json_integer_value(json_object_get(o, "position")),
               marked = json_integer_value(json_object_get(o, "marked"));
    ret->file = json_string_value(json_object_get(o, "file"));
    ret->head_n = head ? strlen(head) / 2 : 0;
    if (!ret->file || !mark || !head || ret->head_n == 0 || ret->head_n > sizeof ret->head ||
        strlen(head) % 2 != 0 || !hex_decode(head, ret->head, ret->head_n) ||
        strlen(mark) != (size_t)2 * LOG_MARK_BYTES || !hex_decode(mark, ret->mark, LOG_MARK_BYTES))
        return false;
    ret->number = my_log_number(ret->file);
    ret->position = (uint64_t)position;
    ret->marked = (uint64_t)marked;
    return ret->number > 0 && marked > 0 && marked <= LOG_MARKED && position >= marked &&
           head_span(ret->head, ret->head_n) == ret->head_n && (uint64_t)position >= ret->head_n;
}
