/* sftp_data.c - reading and writing files over SFTP with many requests under way. See sftp.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/sftp_impl.h"

#include <string.h>

/* So much may be under way: a channel's window at both ends is 2 to 8 MiB. */
#define WINDOW_BYTES (4u << 20)
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
    size_t next; /* the next to be asked for */
    size_t end;  /* of what is wanted, or of the file, as far as is known */
    size_t ahead_end;
    size_t under_way, wanted; /* bytes; wanted: of those before `end` */
    struct slot slots[MAX_SLOTS];
    int rc; /* what the server said of one of them */
    struct err *e;
};

void sftp_forget_ahead(struct sftp *s)
{
    for (size_t i = 0; i < s->ahead.n; i++)
        packet_ignore(s, s->ahead.slots[i].id);
    s->ahead.n = 0;
}

static void ask(struct reading *r, struct slot *slot, size_t off, size_t len)
{
    size_t start;
    *slot = (struct slot){ packet_begin(r->s, FXP_READ, &start), off, len };
    pk_string(&r->s->out, r->f->handle, r->f->len);
    pk_u64(&r->s->out, r->off + off);
    pk_u32(&r->s->out, (uint32_t)len);
    packet_end(r->s, start, 0);
}

static void count_in(struct reading *r, const struct slot *slot)
{
    r->under_way += slot->len;
    if (slot->off < r->end)
        r->wanted += slot->len;
}

static void count_out(struct reading *r, const struct slot *slot, size_t n)
{
    r->under_way -= n;
    if (slot->off < r->end)
        r->wanted -= n;
}

/* A request lies before the end or behind it, never across: a slot is one or the other. */
static void ask_ahead(struct reading *r)
{
    struct slot *slot;
    while (r->rc == 0 && r->next < r->ahead_end && r->under_way < WINDOW_BYTES &&
           (slot = free_slot(r->slots))) {
        size_t left = (r->next < r->end ? r->end : r->ahead_end) - r->next;
        size_t n = left < r->s->max_read ? left : r->s->max_read;
        ask(r, slot, r->next, n);
        r->next += n;
        count_in(r, slot);
    }
}

/* Goes on with what was asked for before, if it is just what comes now. */
static void take_over(struct reading *r)
{
    struct ahead *a = &r->s->ahead;
    bool same = a->n > 0 && a->off == r->off && a->file.len == r->f->len &&
                memcmp(a->file.handle, r->f->handle, r->f->len) == 0;
    for (size_t i = 0; i < a->n && same; i++) {
        const struct slot *s = &a->slots[i];
        bool across = s->off < r->end && s->len > r->end - s->off;
        same = s->off == r->next && !across && s->off + s->len <= r->ahead_end;
        if (same) {
            r->slots[i] = *s;
            r->next += s->len;
            count_in(r, s);
        } else {
            for (; i < a->n; i++)
                packet_ignore(r->s, a->slots[i].id);
            a->n = 0;
        }
    }
    if (same)
        a->n = 0;
    else
        sftp_forget_ahead(r->s);
}

/* In order of their offsets, and without a gap; what comes after one is of no use. */
static void leave_for_next(struct reading *r)
{
    struct ahead *a = &r->s->ahead;
    size_t next = r->end;
    a->n = 0;
    a->off = r->off + r->end;
    a->file = *r->f;
    for (bool found = r->rc == 0 && r->ahead_end > r->end; found;) {
        found = false;
        for (size_t i = 0; i < MAX_SLOTS && !found; i++) {
            struct slot *s = &r->slots[i];
            if (s->id == 0 || s->off != next)
                continue;
            a->slots[a->n++] = (struct slot){ s->id, s->off - r->end, s->len };
            next += s->len;
            s->id = 0;
            found = true;
        }
    }
    for (size_t i = 0; i < MAX_SLOTS; i++)
        if (r->slots[i].id != 0)
            packet_ignore(r->s, r->slots[i].id);
}

static int take_data(struct reading *r, struct slot *slot, struct packet *p)
{
    size_t n = 0;
    const uint8_t *data = pk_take_string(&p->body, slot->len, &n);
    if (!data || n == 0)
        return packet_bad(r->s, r->e);
    count_out(r, slot, n);
    int rc = rate_take(r->s->rate, n, r->e);
    if (slot->off >= r->end) { /* out of turn: it will be asked for again */
        r->under_way -= slot->len - n;
        slot->id = 0;
        return rc;
    }
    memcpy(r->out + slot->off, data, n);
    if (n < slot->len)
        ask(r, slot, slot->off + n, slot->len - n);
    else
        slot->id = 0;
    return rc;
}

/* The file ends before `at`. */
static void ends_at(struct reading *r, size_t at)
{
    r->end = at < r->end ? at : r->end;
    r->ahead_end = r->next = r->end;
    r->wanted = 0;
    for (size_t i = 0; i < MAX_SLOTS; i++)
        if (r->slots[i].id != 0 && r->slots[i].off < r->end)
            r->wanted += r->slots[i].len;
}

static int take_status(struct reading *r, struct slot *slot, struct packet *p)
{
    bool eof = false;
    struct err said = ERR_INIT;
    int rc = packet_status(r->s, p, &eof, &said);
    count_out(r, slot, slot->len);
    slot->id = 0;
    if (r->s->broken || rc == 0) {
        if (rc == 0)
            return packet_bad(r->s, r->e);
        if (r->e)
            *r->e = said;
        return rc;
    }
    if (eof) {
        ends_at(r, slot->off);
    } else if (slot->off < r->end && r->rc == 0) {
        r->rc = rc;
        if (r->e)
            *r->e = said;
    }
    return 0;
}

ssize_t sftp_read(struct sftp *s, const struct sftp_file *f, uint64_t off, size_t len, size_t ahead,
                  void *out, struct err *e)
{
    if (ahead > SIZE_MAX - len)
        ahead = 0;
    struct reading r = {
        .s = s, .f = f, .off = off, .out = out, .end = len, .ahead_end = len + ahead, .e = e
    };
    struct packet p;
    take_over(&r);
    for (;;) {
        ask_ahead(&r);
        int rc = s->out.len > 0 ? packet_send(s, NULL, 0, e) : 0;
        if (rc == 0 && r.wanted == 0)
            break;
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
    leave_for_next(&r);
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
