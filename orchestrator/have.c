/* have.c - answers the agent's questions and remembers the answers; see have.h. */
#include "orchestrator/have.h"
#include "lib/base/i18n.h"
#include "lib/wire/wire.h"
#include <inttypes.h>
#include <stdlib.h>

#define BYTES_A_QUESTION 16384
#define QUESTIONS_A_FILE 4

struct have {
    struct vault *v;
    uint64_t asked, allowed, open;
    struct id ids[MAX_FRAME_IDS], known[MAX_FRAME_IDS];
};

int have_new(struct vault *v, struct have **ret, struct err *e)
{
    struct have *h = malloc(sizeof *h);
    if (!h)
        return err_set(e, ERR_NOMEM, _("no memory"));
    h->v = v;
    h->asked = h->open = 0;
    h->allowed = FREE_QUESTIONS;
    chunkdb_forget_promises(v->db);
    *ret = h;
    return 0;
}

void have_free(struct have *h)
{
    free(h);
}

void have_justified(struct have *h, uint64_t files, uint64_t bytes)
{
    uint64_t n = FREE_QUESTIONS + bytes / BYTES_A_QUESTION;
    n += files < MAX_QUESTIONS ? files * QUESTIONS_A_FILE : MAX_QUESTIONS;
    if (n > h->allowed)
        h->allowed = n < MAX_QUESTIONS ? n : MAX_QUESTIONS;
}

/* Pins first and then looks for what is doomed: whoever dooms looks for pins then, and one of the two sees the other. (While
 * this asks nobody can doom: it was before, and is seen, or comes later, and sees the pins.) */
static int pin_known(struct have *h, size_t n, uint8_t *bits, struct err *e)
{
    size_t n_known = 0;
    for (size_t i = 0; i < n; i++)
        if (bits[i / 8] & (1u << (i % 8)))
            h->known[n_known++] = h->ids[i];
    int rc = presence_pin(h->v->presence, h->known, n_known, e);
    for (size_t i = 0; rc == 0 && n_known && i < n; i++) {
        if (!(bits[i / 8] & (1u << (i % 8))))
            continue;
        int doomed = chunkdb_is_doomed(h->v->db, &h->ids[i], e);
        if (doomed > 0)
            bits[i / 8] &= (uint8_t) ~(1u << (i % 8));
        rc = doomed < 0 ? doomed : 0;
    }
    return rc;
}

/* The first question for a chunk that is not there is the promise that it comes; later ones are answered yes. */
static int promise_rest(struct have *h, size_t n, uint8_t *bits, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (bits[i / 8] & (1u << (i % 8)))
            continue;
        int rc = chunkdb_is_promised(h->v->db, &h->ids[i], e);
        if (rc > 0) {
            bits[i / 8] |= (uint8_t)(1u << (i % 8));
            continue;
        }
        if (rc == 0 && h->open >= MAX_PROMISES_OPEN)
            rc = err_set(e, ERR_PROTOCOL,
                         _("the agent asks and asks, and does not send what is missing"));
        if (rc == 0)
            rc = chunkdb_promise(h->v->db, &h->ids[i], e);
        if (rc < 0)
            return rc;
        h->open++;
    }
    return 0;
}

static int read_ids(struct have *h, struct rbuf *r, size_t *ret_n, struct err *e)
{
    uint64_t n = rb_varint_max(r, MAX_FRAME_IDS);
    for (uint64_t i = 0; i < n && !r->bad; i++)
        rb_id(r, &h->ids[i]);
    if (!rb_done(r))
        return err_set(e, ERR_PROTOCOL, _("the agent sent a malformed message"));
    *ret_n = (size_t)n;
    return 0;
}

static int find_answers(struct have *h, size_t n, uint8_t *bits, struct err *e)
{
    int rc = chunkdb_begin_asking(h->v->db, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        rc = chunkdb_has(h->v->db, &h->ids[i], e);
        if (rc > 0)
            bits[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    if (rc >= 0)
        rc = pin_known(h, n, bits, e);
    if (rc == 0)
        rc = promise_rest(h, n, bits, e);
    return chunkdb_end_asking(h->v->db, rc, e);
}

int have_answer(struct have *h, struct rbuf *r, struct wbuf *out, struct err *e)
{
    uint8_t bits[MAX_FRAME_IDS / 8] = { 0 };
    size_t n = 0;
    int rc = read_ids(h, r, &n, e);
    h->asked += n;
    if (rc == 0 && h->asked > h->allowed)
        rc = err_set(e, ERR_PROTOCOL,
                     _("the agent asked for %" PRIu64 " chunks, more than it can have read"),
                     h->asked);
    if (rc == 0)
        rc = find_answers(h, n, bits, e);
    if (rc < 0)
        return rc;
    wb_varint(out, n);
    wb_bytes(out, bits, (n + 7) / 8);
    return out->failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
}

/* Only what was asked for and is not there, and once: a second delivery is dropped. */
int have_take(struct have *h, const struct id *id, struct err *e)
{
    int rc = chunkdb_keep_promise(h->v->db, id, e);
    if (rc > 0)
        h->open--;
    if (rc != 0)
        return rc;
    rc = chunkdb_is_promised(h->v->db, id, e);
    return rc > 0 ? 0
           : rc < 0
               ? rc
               : err_set(e, ERR_PROTOCOL, _("the agent sent a chunk that it was not asked for"));
}

static int must_be_there(struct have *h, const struct id *id, struct err *e)
{
    char hex[ID_HEX_BYTES];
    int rc = chunkdb_has(h->v->db, id, e);
    if (rc == 0)
        rc = chunkdb_is_promised(h->v->db, id, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    err_set(e, ERR_DAMAGED, _("the snapshot needs chunk %.12s, which the vault does not hold"),
            id_hex(id, hex));
    return err_next(e, _("run the backup again: it will read everything anew"));
}

int have_reach(struct have *h, struct rbuf *r, struct idlist *to, struct err *e)
{
    size_t n = 0;
    int rc = read_ids(h, r, &n, e);
    if (rc == 0)
        rc = chunkdb_begin_asking(h->v->db, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = must_be_there(h, &h->ids[i], e);
        if (rc == 0)
            rc = idlist_add(to, &h->ids[i], e);
    }
    return chunkdb_end_asking(h->v->db, rc, e);
}
