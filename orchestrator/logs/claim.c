/* claim.c - see claim.h. */
#include "orchestrator/logs/claim.h"
#include "lib/base/i18n.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM_KIND 2 /* 1 is a table (lib/vault/log.h) */
#define MAX_CLAIM_BYTES 4096
#define CLAIM_DIGITS 16
#define MAX_FALSE_CLAIMS 16 /* of a copy, that are looked at */

struct claim { /* as one copy has it; number 0: none */
    uint64_t number;
    struct id writer;
};

static bool answers(const struct copy *c)
{
    return c->store && (c->state == COPY_CURRENT || c->state == COPY_BEHIND);
}

static void folder_name(const uint8_t *stream, char out[MAX_OBJECT_NAME])
{
    char hex[2 * LOG_STREAM_BYTES + 1];
    hex_encode(stream, LOG_STREAM_BYTES, hex);
    snprintf(out, MAX_OBJECT_NAME, LOG_FOLDER "%s/keeper/", hex);
}

static void object_name_of(const uint8_t *stream, uint64_t number, char out[MAX_OBJECT_NAME])
{
    folder_name(stream, out);
    size_t n = strlen(out);
    snprintf(out + n, MAX_OBJECT_NAME - n, "%0*" PRIu64, CLAIM_DIGITS, number);
}

/* --- one claim ---------------------------------------------------------------------------------------- */
static int seal(const struct vault *v, const char *source, uint64_t number, struct wbuf *out,
                struct err *e)
{
    struct wbuf w = WBUF_INIT;
    wb_u8(&w, CLAIM_KIND);
    wb_str(&w, source);
    wb_varint(&w, number);
    wb_id(&w, &v->writer);
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                      : envelope_seal(&v->keys, OBJECT_LOG, w.p, w.len, out, e);
    wbuf_free(&w);
    return rc;
}

/* 1: whose it is; 0: it is none (anybody who may write to a copy can make up a name). */
static int open_claim(const struct vault *v, const char *source, uint64_t number, const void *p,
                      size_t n, struct claim *ret)
{
    struct wbuf plain = WBUF_INIT;
    int is = envelope_open(&v->keys, OBJECT_LOG, p, n, &plain, NULL) == 0;
    struct rbuf r = rbuf_of(plain.p, plain.len);
    struct claim c = { 0 };
    size_t len = 0;
    is = is && rb_u8(&r) == CLAIM_KIND;
    const uint8_t *name = rb_blob(&r, MAX_FORMAT_NAME, &len);
    c.number = rb_varint(&r);
    rb_id(&r, &c.writer);
    is = is && rb_done(&r) && name && len == strlen(source) && memcmp(name, source, len) == 0 &&
         c.number == number;
    wbuf_free(&plain);
    if (is)
        *ret = c;
    return is;
}

/* 1, or 0; negative: it cannot be told. */
static int read_claim(const struct vault *v, struct store *s, const char *source,
                      const uint8_t *stream, uint64_t number, struct claim *ret, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    uint8_t *p = NULL;
    size_t n = 0;
    object_name_of(stream, number, name);
    int rc = store_get_all(s, name, MAX_CLAIM_BYTES, &p, &n, e);
    if (rc == 0)
        rc = open_claim(v, source, number, p, n, ret);
    else if (rc == -ERR_ABSENT || rc == -ERR_LIMIT || rc == -ERR_DAMAGED)
        rc = 0;
    free(p);
    return rc;
}

/* --- the newest --------------------------------------------------------------------------------------- */
struct numbers {
    uint64_t below, highest; /* of those below that bound */
};

static int take_number(void *ctx, const char *name, uint64_t len)
{
    struct numbers *x = ctx;
    const char *digits = strrchr(name, '/') + 1;
    char *end;
    uint64_t n = strtoull(digits, &end, 10);
    (void)len;
    if (!*end && end - digits == CLAIM_DIGITS && n < x->below && n > x->highest)
        x->highest = n;
    return 0;
}

static int newest_on(struct vault *v, struct store *s, const char *source, const uint8_t *stream,
                     struct claim *ret, struct err *e)
{
    char folder[MAX_OBJECT_NAME];
    struct numbers x = { .below = MAX_LOG_SEQ };
    folder_name(stream, folder);
    *ret = (struct claim){ 0 };
    for (int i = 0; i < MAX_FALSE_CLAIMS; i++) {
        x.highest = 0;
        int rc = store_list(s, folder, take_number, &x, e);
        if (rc == 0 && x.highest > 0)
            rc = read_claim(v, s, source, stream, x.highest, ret, e);
        if (rc != 0 || x.highest == 0)
            return rc < 0 ? rc : 0;
        x.below = x.highest; /* that was none */
    }
    return 0;
}

/* Of all copies that answer; of two of one number the one that is not ours. *ret_asked: which did. */
static int newest(struct vault *v, const char *source, const uint8_t *stream, struct claim *ret,
                  uint32_t *ret_asked, struct err *e)
{
    struct err why = ERR_INIT;
    *ret_asked = 0;
    *ret = (struct claim){ 0 };
    for (size_t i = 0; i < v->n_copies; i++) {
        struct claim c;
        if (!answers(&v->copies[i]))
            continue;
        int rc = newest_on(v, v->copies[i].store, source, stream, &c, &why);
        if (rc < 0) {
            v->copies[i].problem = why;
            continue;
        }
        *ret_asked |= 1u << i;
        if (c.number > ret->number || (c.number == ret->number && !id_eq(&c.writer, &v->writer)))
            *ret = c;
    }
    if (*ret_asked)
        return 0;
    if (e && why.code != ERR_NONE)
        *e = why;
    else
        err_set(e, ERR_UNREACHABLE, _("no copy can be read"));
    return -ERR_UNREACHABLE;
}

/* --- claiming ----------------------------------------------------------------------------------------- */
static int not_ours(const char *source, struct err *e)
{
    err_set(e, ERR_REFUSED, _("another orchestrator keeps this log"));
    return err_next(e,
                    _("if that one is gone, or this one shall keep it from now on: twofold backup "
                      "%.*s --take-over"),
                    (int)strcspn(source, "/"), source);
}

/* Whoever was first there, has it. -ERR_DAMAGED: something else has the name. */
static int put_on(struct vault *v, struct copy *c, const char *source,
                  const struct logs_claim *claim, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    struct wbuf sealed = WBUF_INIT;
    struct claim there = { 0 };
    object_name_of(claim->stream, claim->number, name);
    int rc = read_claim(v, c->store, source, claim->stream, claim->number, &there, e);
    if (rc == 0)
        rc = seal(v, source, claim->number, &sealed, e);
    if (rc == 0 && sealed.p) {
        struct store_data data = { .p = sealed.p, .fd = -1, .len = sealed.len };
        rc = store_put(c->store, name, &data, e);
        if (rc == 0)
            rc = read_claim(v, c->store, source, claim->stream, claim->number, &there, e);
        if (rc == 0)
            rc = err_set(e, ERR_DAMAGED, _("\"%s\" is there and cannot be read"), name);
    }
    wbuf_free(&sealed);
    return rc < 0 ? rc : id_eq(&there.writer, &v->writer) ? 0 : not_ours(source, e);
}

/* 1: on one at least; 0: on none, for *why. *ret_false: on one of them something else has the name. */
static int put_on_all(struct vault *v, uint32_t copies, const char *source,
                      const struct logs_claim *claim, bool *ret_false, struct err *why)
{
    int put = 0;
    *ret_false = false;
    for (size_t i = 0; i < v->n_copies; i++) {
        if (!(copies & (1u << i)))
            continue;
        int rc = put_on(v, &v->copies[i], source, claim, why);
        if (rc == -ERR_REFUSED || rc == -ERR_NOMEM)
            return rc;
        if (rc == 0)
            put = 1;
        else
            v->copies[i].problem = *why;
        *ret_false |= rc == -ERR_DAMAGED;
    }
    return put;
}

int logs_claim(struct vault *v, const char *source, struct logs_claim *ret, struct err *e)
{
    struct logs_claim c = { 0 };
    struct claim last;
    uint32_t asked = 0;
    struct err why = ERR_INIT;
    bool in_the_way;
    log_stream_id(&v->keys, source, c.stream);
    int rc = newest(v, source, c.stream, &last, &asked, e);
    if (rc < 0)
        return rc;
    bool mine = last.number > 0 && id_eq(&last.writer, &v->writer);
    c.taken_over = last.number > 0 && !mine;
    /* Where no claim is seen, another's may lie in a copy that is away. */
    if (!mine && (vault_written_elsewhere(v) || (c.taken_over && v->n_tips == 0)))
        return not_ours(source, e);
    c.number = mine ? last.number : last.number + 1;
    rc = put_on_all(v, asked, source, &c, &in_the_way, &why);
    /* Another name, for all: whoever kept it must find the claim on each copy that takes his log. */
    for (int i = 0; !mine && rc >= 0 && in_the_way && i < MAX_FALSE_CLAIMS; i++) {
        c.number++;
        rc = put_on_all(v, asked, source, &c, &in_the_way, &why);
    }
    if (rc > 0) {
        *ret = c;
        return 0;
    }
    if (e)
        *e = why;
    return rc < 0 ? rc : err_wrap(e, _("no copy takes the log"));
}

/* 1: there is a later claim than this; 0: none, but for names that somebody made up. */
static int is_taken(struct vault *v, struct store *s, const char *source,
                    const struct logs_claim *c, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    struct claim later = { 0 };
    uint64_t len;
    object_name_of(c->stream, c->number + 1, name);
    int rc = store_stat(s, name, &len, e);
    if (rc < 0)
        return rc == -ERR_ABSENT ? 0 : rc;
    rc = read_claim(v, s, source, c->stream, c->number + 1, &later, e);
    if (rc == 0) {
        rc = newest_on(v, s, source, c->stream, &later, e);
        rc = rc < 0 ? rc : later.number > c->number;
    }
    return rc;
}

int logs_claim_holds(struct vault *v, const char *source, const struct logs_claim *c,
                     uint32_t copies, struct err *e)
{
    struct err why = ERR_INIT;
    bool told = false;
    for (size_t i = 0; i < v->n_copies; i++) {
        if (!(copies & (1u << i)))
            continue;
        int rc = is_taken(v, v->copies[i].store, source, c, &why);
        if (rc == 1)
            return err_set(e, ERR_REFUSED, _("another orchestrator keeps this log by now"));
        told |= rc == 0;
    }
    if (told)
        return 0;
    if (e)
        *e = why;
    return err_wrap(e, _("no copy takes the log"));
}

int logs_claims_drop(struct store *s, const uint8_t stream[LOG_STREAM_BYTES], struct err *e)
{
    char name[MAX_OBJECT_NAME];
    struct numbers x = { .below = UINT64_MAX };
    int rc = 0;
    do {
        x.highest = 0;
        folder_name(stream, name);
        rc = store_list(s, name, take_number, &x, e);
        object_name_of(stream, x.highest, name);
        if (rc == 0 && x.highest > 0)
            rc = store_delete(s, name, e);
        x.below = x.highest;
    } while (rc == 0 && x.highest > 0);
    return rc;
}
