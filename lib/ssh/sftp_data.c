/* sftp_data.c - reading and writing files over SFTP with many requests under way. See sftp.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/sftp_impl.h"

#include <string.h>

/* So much may be under way: a channel's window at both ends is 2 to 8 MiB. */
#define WINDOW_BYTES (4u << 20)
#define MAX_SLOTS 128

struct slot {
    uint32_t id; /* 0: free */
    size_t off, len;
};

static struct slot *slot_of(struct slot *slots, uint32_t id)
{
    for (size_t i = 0; i < MAX_SLOTS; i++)
        if (slots[i].id == id && id != 0)
            return &slots[i];
    return NULL;
}

static struct slot *free_slot(struct slot *slots)
{
    for (size_t i = 0; i < MAX_SLOTS; i++)
        if (slots[i].id == 0)
            return &slots[i];
    return NULL;
}

/* --- reading ------------------------------------------------------------------------------------------- */
struct reading {
    struct sftp *s;
    const struct sftp_file *f;
    uint64_t off;
    uint8_t *out;
    size_t next, end; /* the next to be asked for; where the file ends, as far as is known */
    size_t under_way;
    struct slot slots[MAX_SLOTS];
    int rc; /* what the server said of one of them */
    struct err *e;
};

static void ask(struct reading *r, struct slot *slot, size_t off, size_t len)
{
    size_t start;
    *slot = (struct slot){ packet_begin(r->s, FXP_READ, &start), off, len };
    pk_string(&r->s->out, r->f->handle, r->f->len);
    pk_u64(&r->s->out, r->off + off);
    pk_u32(&r->s->out, (uint32_t)len);
    packet_end(r->s, start, 0);
}

static void ask_ahead(struct reading *r)
{
    struct slot *slot;
    while (r->rc == 0 && r->next < r->end && r->under_way < WINDOW_BYTES &&
           (slot = free_slot(r->slots))) {
        size_t left = r->end - r->next, n = left < r->s->max_read ? left : r->s->max_read;
        ask(r, slot, r->next, n);
        r->next += n;
        r->under_way += n;
    }
}

static int take_data(struct reading *r, struct slot *slot, struct packet *p)
{
    size_t n = 0;
    const uint8_t *data = pk_take_string(&p->body, slot->len, &n);
    if (!data || n == 0)
        return packet_bad(r->s, r->e);
    memcpy(r->out + slot->off, data, n);
    r->under_way -= n;
    if (n < slot->len)
        ask(r, slot, slot->off + n, slot->len - n);
    else
        slot->id = 0;
    return rate_take(r->s->rate, n, r->e);
}

static int take_status(struct reading *r, struct slot *slot, struct packet *p)
{
    bool eof = false;
    struct err said = ERR_INIT;
    int rc = packet_status(r->s, p, &eof, &said);
    r->under_way -= slot->len;
    slot->id = 0;
    if (r->s->broken || rc == 0) {
        if (rc == 0)
            return packet_bad(r->s, r->e);
        if (r->e)
            *r->e = said;
        return rc;
    }
    if (eof) {
        r->end = slot->off < r->end ? slot->off : r->end;
    } else if (r->rc == 0) {
        r->rc = rc;
        if (r->e)
            *r->e = said;
    }
    return 0;
}

ssize_t sftp_read(struct sftp *s, const struct sftp_file *f, uint64_t off, size_t len, void *out,
                  struct err *e)
{
    struct reading r = { .s = s, .f = f, .off = off, .out = out, .end = len, .e = e };
    struct packet p;
    for (;;) {
        ask_ahead(&r);
        if (r.under_way == 0)
            break;
        int rc = s->out.len > 0 ? packet_send(s, NULL, 0, e) : 0;
        if (rc == 0)
            rc = packet_receive(s, &p, e);
        struct slot *slot = rc == 0 ? slot_of(r.slots, p.id) : NULL;
        if (rc == 0 && slot && p.type == FXP_DATA)
            rc = take_data(&r, slot, &p);
        else if (rc == 0 && slot && p.type == FXP_STATUS)
            rc = take_status(&r, slot, &p);
        else if (rc == 0)
            rc = packet_bad(s, e);
        if (rc < 0) {
            s->broken = true;
            return rc;
        }
    }
    return r.rc < 0 ? r.rc : (ssize_t)r.end;
}

/* --- writing ------------------------------------------------------------------------------------------------ */
struct writing {
    struct sftp *s;
    const struct sftp_file *f;
    const struct sftp_source *from;
    size_t under_way;
    struct slot slots[MAX_SLOTS];
    int rc;
    struct err *e;
};

static int send_piece(struct writing *w, struct slot *slot, uint64_t off, uint64_t at, size_t n)
{
    size_t start;
    const uint8_t *p = w->from->p ? w->from->p + at : w->s->scratch;
    if (!w->from->p) {
        ssize_t got = sys_pread(w->from->fd, w->s->scratch, n, off, w->e);
        if (got >= 0 && (size_t)got < n)
            got = err_set(w->e, ERR_DAMAGED, _("it ended early"));
        if (got < 0)
            return (int)got;
    }
    *slot = (struct slot){ packet_begin(w->s, FXP_WRITE, &start), 0, n };
    pk_string(&w->s->out, w->f->handle, w->f->len);
    pk_u64(&w->s->out, off);
    pk_u32(&w->s->out, (uint32_t)n);
    packet_end(w->s, start, n);
    w->under_way += n;
    int rc = rate_take(w->s->rate, n, w->e);
    if (rc < 0) {
        w->s->broken = true;
        return rc;
    }
    return packet_send(w->s, p, n, w->e);
}

static int take_one(struct writing *w)
{
    struct packet p;
    struct err said = ERR_INIT;
    int rc = packet_receive(w->s, &p, w->e);
    if (rc < 0)
        return rc;
    struct slot *slot = slot_of(w->slots, p.id);
    if (!slot || p.type != FXP_STATUS)
        return packet_bad(w->s, w->e);
    w->under_way -= slot->len;
    slot->id = 0;
    rc = packet_status(w->s, &p, NULL, &said);
    if (rc < 0 && w->rc == 0) {
        w->rc = rc;
        if (w->e)
            *w->e = said;
    }
    return w->s->broken ? rc : 0;
}

int sftp_write(struct sftp *s, const struct sftp_file *f, uint64_t off,
               const struct sftp_source *from, uint64_t len, bool *ret_source, struct err *e)
{
    struct writing w = { .s = s, .f = f, .from = from, .e = e };
    int rc = 0, source = 0;
    struct slot *slot;
    *ret_source = false;
    for (uint64_t done = 0; rc == 0 && w.rc == 0 && source == 0 && done < len;) {
        size_t n = len - done < s->max_write ? (size_t)(len - done) : s->max_write;
        if (w.under_way < WINDOW_BYTES && (slot = free_slot(w.slots))) {
            rc = send_piece(&w, slot, off + done, done, n);
            if (rc < 0 && !s->broken) {
                source = rc;
                rc = 0;
            }
            done += n;
        } else {
            rc = take_one(&w);
        }
    }
    while (rc == 0 && w.under_way > 0)
        rc = take_one(&w);
    *ret_source = source < 0 && rc == 0;
    return rc < 0 ? rc : source < 0 ? source : w.rc;
}
