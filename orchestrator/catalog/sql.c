/* sql.c - values and rows between the catalog and its database driver; see sql.h. */
#include "orchestrator/catalog/sql.h"
#include "lib/base/i18n.h"
#include "orchestrator/catalog/catalog.h"

#include <string.h>

struct sql_value sql_text(const char *s)
{
    size_t n = s ? strnlen(s, MAX_CATALOG_TEXT + 1) : 0;
    if (n > MAX_CATALOG_TEXT) {
        n = MAX_CATALOG_TEXT;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
            n--; /* not within a character of UTF-8 */
    }
    return (struct sql_value){ .type = SQL_STRING, .p = s ? s : "", .n = n };
}

/* --- rows: a type and a value for each column --------------------------------------------------------------- */
void sql_rows_free(struct sql_rows *rows)
{
    wbuf_free(&rows->w);
    rows->n = 0;
}

struct rbuf sql_reader(const struct sql_rows *rows)
{
    return rbuf_of(rows->w.p, rows->w.len);
}

void sql_put_null(struct sql_rows *rows)
{
    wb_u8(&rows->w, SQL_NULL);
}

void sql_put_int(struct sql_rows *rows, int64_t v)
{
    wb_u8(&rows->w, SQL_NUMBER);
    wb_zigzag(&rows->w, v);
}

void sql_put_text(struct sql_rows *rows, const char *p, size_t n)
{
    wb_u8(&rows->w, SQL_STRING);
    wb_varint(&rows->w, n);
    wb_bytes(&rows->w, p, n);
    wb_u8(&rows->w, 0);
}

void sql_put_bytes(struct sql_rows *rows, const void *p, size_t n)
{
    wb_u8(&rows->w, SQL_BLOB);
    wb_blob(&rows->w, p, n);
}

/* The next column, whatever it is. */
static struct sql_value next_value(struct rbuf *r)
{
    struct sql_value v = { .type = (enum sql_type)rb_u8(r) };
    if (v.type == SQL_NUMBER) {
        v.number = rb_zigzag(r);
    } else if (v.type == SQL_STRING || v.type == SQL_BLOB) {
        v.n = rb_varint(r);
        v.p = rb_bytes(r, v.n);
        if (v.type == SQL_STRING)
            rb_u8(r);
    }
    return v;
}

int64_t sql_int(struct rbuf *r)
{
    return next_value(r).number;
}

const char *sql_str(struct rbuf *r)
{
    struct sql_value v = next_value(r);
    return v.type == SQL_STRING && v.p ? v.p : "";
}

void sql_id(struct rbuf *r, struct id *ret)
{
    struct sql_value v = next_value(r);
    memset(ret, 0, sizeof *ret);
    if (v.type == SQL_BLOB && v.p && v.n == ID_BYTES)
        memcpy(ret->b, v.p, ID_BYTES);
}

/* --- statements ------------------------------------------------------------------------------------------------ */
int sql_run(struct sql *s, struct sql_rows *rows, const char *sql, const struct sql_value *v,
            size_t n, struct err *e)
{
    int rc = s->ops->run(s->db, sql, v, n, rows, e);
    if (rc >= 0 && rows && rows->w.failed)
        return err_set(e, ERR_NOMEM, _("no memory"));
    return rc;
}

int sql_number(struct sql *s, const char *sql, const struct sql_value *v, size_t n, int64_t none,
               int64_t *ret, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_run(s, &rows, sql, v, n, e);
    struct rbuf r = sql_reader(&rows);
    if (rc >= 0)
        *ret = rows.n > 0 ? sql_int(&r) : none;
    sql_rows_free(&rows);
    return rc < 0 ? rc : 0;
}

int sql_begin(struct sql *s, struct err *e)
{
    int rc = s->depth == 0 ? s->ops->begin(s->db, e) : 0;
    if (rc == 0)
        s->depth++;
    return rc;
}

int sql_finish(struct sql *s, int rc, struct err *e)
{
    if (--s->depth > 0)
        return rc;
    if (rc >= 0) {
        int done = s->ops->commit(s->db, e);
        if (done == 0)
            return rc;
        rc = done;
    }
    s->ops->rollback(s->db);
    return rc;
}

void sql_close(struct sql *s)
{
    if (s->ops)
        s->ops->close(s->db);
    s->ops = NULL;
    s->db = NULL;
}
