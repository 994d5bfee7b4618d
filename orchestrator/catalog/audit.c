/*
 * audit.c - the audit trail: rows that nothing changes or takes away, each hashed with the one before (docs/security.md, "The
 * audit trail"). The trail of a catalog has a name, its chain; a rebuilt catalog goes on with the chain of what it was built from.
 *
 *     hash = SHA-256("twofold v1 audit" ‖ hash of the row before ‖ varint seq ‖ zigzag at_s ‖ blob who ‖ blob action
 *            ‖ blob object ‖ blob result ‖ blob detail);  before the first row of all stands the chain's name
 */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "orchestrator/catalog/inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(struct wbuf *w, const char *s)
{
    struct sql_value v = sql_text(s); /* as the database keeps it */
    wb_blob(w, v.p, v.n);
}

int audit_hash(const struct id *before, const struct audit_row *r, struct id *ret)
{
    static const char label[] = "twofold v1 audit";
    struct wbuf w = WBUF_INIT;
    wb_bytes(&w, label, sizeof label - 1);
    wb_id(&w, before);
    wb_varint(&w, r->seq);
    wb_zigzag(&w, r->at_s);
    put_text(&w, r->who);
    put_text(&w, r->action);
    put_text(&w, r->object);
    put_text(&w, r->result);
    put_text(&w, r->detail);
    if (!w.failed)
        sha256_of(w.p, w.len, ret);
    int rc = w.failed ? -ERR_NOMEM : 0;
    wbuf_free(&w);
    return rc;
}

/* Where the trail begins: the first row's number, and the hash before it. Within a transaction, it is begun where there is none. */
static int trail_start(struct catalog *c, bool begin, struct audit_anchor *ret, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(&c->sql, &rows, e, "SELECT chain, seq, hash FROM audit_start");
    struct rbuf r = sql_reader(&rows);
    memset(ret, 0, sizeof *ret);
    if (rc >= 0 && rows.n > 0) {
        sql_id(&r, &ret->chain);
        ret->seq = (uint64_t)sql_int(&r);
        sql_id(&r, &ret->hash);
    } else if (rc >= 0 && begin) {
        sys_random(ret->chain.b, ID_BYTES);
        ret->seq = 0;
        ret->hash = ret->chain;
        rc = sql_do(&c->sql, e, "INSERT INTO audit_start(chain, seq, hash) VALUES (?1, ?2, ?3)",
                    SQL_ID(&ret->chain), SQL_INT(ret->seq), SQL_ID(&ret->hash));
    }
    sql_rows_free(&rows);
    return rc < 0 ? rc : 0;
}

static int newest_row(struct catalog *c, bool begin, struct audit_anchor *ret, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = trail_start(c, begin, ret, e);
    if (rc == 0)
        rc = sql_query(&c->sql, &rows, e, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
    struct rbuf r = sql_reader(&rows);
    if (rc >= 0 && rows.n > 0) {
        ret->seq = (uint64_t)sql_int(&r);
        sql_id(&r, &ret->hash);
    }
    sql_rows_free(&rows);
    return rc < 0 ? rc : 0;
}

int catalog_audit_anchor(struct catalog *c, struct audit_anchor *ret, struct err *e)
{
    return newest_row(c, false, ret, e);
}

int audit_put(struct catalog *c, const struct audit_row *row, const struct id *hash, struct err *e)
{
    int rc = sql_do(&c->sql, e,
                    "INSERT INTO audit(seq, at_s, who, action, object, result, detail, hash) "
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    SQL_INT(row->seq), SQL_INT(row->at_s), SQL_TEXT(row->who),
                    SQL_TEXT(row->action), SQL_TEXT(row->object), SQL_TEXT(row->result),
                    SQL_TEXT(row->detail), SQL_ID(hash));
    return rc < 0 ? rc : 0;
}

int audit_set_start(struct catalog *c, const struct audit_anchor *start, struct err *e)
{
    int rc = sql_do(&c->sql, e, "DELETE FROM audit_start");
    if (rc >= 0)
        rc = sql_do(&c->sql, e, "INSERT INTO audit_start(chain, seq, hash) VALUES (?1, ?2, ?3)",
                    SQL_ID(&start->chain), SQL_INT(start->seq), SQL_ID(&start->hash));
    return rc < 0 ? rc : 0;
}

int catalog_audit(struct catalog *c, const struct audit_row *r, struct err *e)
{
    struct audit_row row = *r;
    struct audit_anchor last;
    struct id hash;
    char who[AUDIT_WHO_BYTES];
    if (!row.who)
        row.who = audit_who(who);
    if (!row.at_s)
        row.at_s = sys_realtime_s();
    int rc = sql_begin(&c->sql, e);
    if (rc < 0)
        return rc;
    rc = newest_row(c, true, &last, e);
    row.seq = last.seq + 1;
    if (rc == 0 && audit_hash(&last.hash, &row, &hash) < 0)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = audit_put(c, &row, &hash, e);
    return sql_finish(&c->sql, rc, e);
}

/* --- reading ------------------------------------------------------------------------------------------------------------------ */
#define AUDIT_PAGE 2000 /* rows at a time: a trail may be long */

static void read_audit(struct rbuf *r, struct audit_row *row, struct id *hash)
{
    row->seq = (uint64_t)sql_int(r);
    row->at_s = sql_int(r);
    row->who = sql_str(r);
    row->action = sql_str(r);
    row->object = sql_str(r);
    row->result = sql_str(r);
    row->detail = sql_str(r);
    sql_id(r, hash);
}

int audit_walk(struct catalog *c, uint64_t from, size_t limit, catalog_audit_hashed_fn *fn,
               void *ctx, struct err *e)
{
    size_t left = limit;
    int rc = 0;
    while (rc == 0 && left > 0) {
        struct sql_rows rows = SQL_ROWS_INIT;
        rc = sql_query(
            &c->sql, &rows, e,
            "SELECT seq, at_s, who, action, object, result, detail, hash FROM audit WHERE seq >= ?1 "
            "ORDER BY seq LIMIT ?2",
            SQL_INT(from), SQL_INT(left < AUDIT_PAGE ? left : AUDIT_PAGE));
        struct rbuf r = sql_reader(&rows);
        for (size_t i = 0; rc >= 0 && i < rows.n; i++) {
            struct audit_row row;
            struct id hash;
            read_audit(&r, &row, &hash);
            from = row.seq + 1;
            if ((rc = fn(ctx, &row, &hash)) != 0)
                break;
        }
        left -= rows.n;
        if (rows.n == 0)
            left = 0;
        sql_rows_free(&rows);
    }
    return rc;
}

struct plain {
    catalog_audit_fn *fn;
    void *ctx;
};

static int without_hash(void *ctx, const struct audit_row *r, const struct id *hash)
{
    struct plain *p = ctx;
    (void)hash;
    return p->fn(p->ctx, r);
}

int catalog_audit_each(struct catalog *c, uint64_t from_seq, size_t limit, catalog_audit_fn *fn,
                       void *ctx, struct err *e)
{
    struct plain p = { fn, ctx };
    return audit_walk(c, from_seq, limit ? limit : SIZE_MAX, without_hash, &p, e);
}

int catalog_audit_hashed(struct catalog *c, uint64_t from_seq, catalog_audit_hashed_fn *fn,
                         void *ctx, struct err *e)
{
    return audit_walk(c, from_seq, SIZE_MAX, fn, ctx, e);
}

int catalog_audit_hash(struct catalog *c, uint64_t seq, struct id *ret, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(&c->sql, &rows, e, "SELECT hash FROM audit WHERE seq = ?1", SQL_INT(seq));
    struct rbuf r = sql_reader(&rows);
    bool there = rc >= 0 && rows.n > 0;
    if (there)
        sql_id(&r, ret);
    sql_rows_free(&rows);
    return rc < 0 ? rc : there;
}

int audit_start_at(struct catalog *c, uint64_t seq, struct audit_anchor *ret, struct err *e)
{
    struct id hash;
    int rc = trail_start(c, false, ret, e);
    if (rc == 0 && seq > ret->seq && (rc = catalog_audit_hash(c, seq, &hash, e)) > 0) {
        ret->seq = seq;
        ret->hash = hash;
    }
    return rc < 0 ? rc : 0;
}

struct verifying {
    struct audit_anchor last;
    uint64_t rows, bad;
};

static int verify_row(void *ctx, const struct audit_row *r, const struct id *hash)
{
    struct verifying *v = ctx;
    struct id right;
    if (audit_hash(&v->last.hash, r, &right) < 0)
        return -ERR_NOMEM;
    if (r->seq != v->last.seq + 1 || !id_eq(&right, hash)) {
        v->bad = r->seq == v->last.seq + 1 ? r->seq : v->last.seq + 1;
        return 1;
    }
    v->last.seq = r->seq;
    v->last.hash = *hash;
    v->rows++;
    return 0;
}

int catalog_audit_verify(struct catalog *c, uint64_t *ret_rows, uint64_t *ret_bad_seq,
                         struct err *e)
{
    struct verifying v = { .rows = 0 };
    int rc = trail_start(c, false, &v.last, e);
    if (rc == 0)
        rc = audit_walk(c, 0, SIZE_MAX, verify_row, &v, e);
    if (rc == -ERR_NOMEM)
        err_set(e, ERR_NOMEM, _("no memory"));
    if (rc < 0)
        return rc;
    *ret_rows = v.rows;
    *ret_bad_seq = v.bad;
    if (v.bad) {
        err_set(e, ERR_DAMAGED,
                _("row %" PRIu64 " of the audit trail was changed, or rows before it are gone"),
                v.bad);
        return err_next(
            e, _("find out who did it; a copy has the true rows: twofold audit list --copy URL"));
    }
    return 0;
}
