/* log_frames.c - see log_frames.h. */
#include "agents/log_frames.h"
#include "lib/base/i18n.h"
#include "lib/crypto/secret.h"

#include <stdlib.h>

static int malformed(struct err *e, const char *what)
{
    return err_set(e, ERR_PROTOCOL, _("the other side sent a malformed message (%s)"), what);
}
void msg_logs_write(struct wbuf *w, const struct msg_backup *job, const struct msg_logs *m)
{
    struct wbuf b = WBUF_INIT;
    msg_backup_write(&b, job);
    w->failed |= b.failed;
    wb_blob(w, b.p, b.len);
    wb_u8(w, m->last.seq > 0);
    if (m->last.seq > 0)
        log_piece_write(w, &m->last);
    wb_varint(w, m->interval_ms);
    if (b.p)
        secret_wipe(b.p, b.len);
    wbuf_free(&b);
}

int msg_logs_read(struct rbuf *r, struct msg_backup *ret_job, struct msg_logs *ret, struct err *e)
{
    struct msg_logs m = { 0 };
    size_t n = 0;
    const uint8_t *job = rb_blob(r, MAX_FRAME_BYTES, &n);
    unsigned any = rb_u8(r);
    if (any == 1)
        log_piece_read(r, &m.last);
    m.interval_ms = (unsigned)rb_varint_max(r, MAX_LOG_INTERVAL_MS);
    if (!job || any > 1 || !rb_done(r))
        return malformed(e, "LOGS");
    struct rbuf inner = rbuf_of(job, n);
    int rc = msg_backup_read(&inner, ret_job, e);
    if (rc == 0 && ret_job->n_sources != 1) {
        msg_backup_done(ret_job);
        return malformed(e, "LOGS");
    }
    *ret = m;
    return rc;
}

void msg_log_head_write(struct wbuf *w, const struct msg_log_head *m)
{
    wb_varint(w, m->timeline);
    wb_varint(w, m->position);
    wb_zigzag(w, m->time_ns);
}

int msg_log_head_read(struct rbuf *r, struct msg_log_head *ret, struct err *e)
{
    struct msg_log_head m = { .timeline = (uint32_t)rb_varint_max(r, UINT32_MAX) };
    m.position = rb_varint(r);
    m.time_ns = rb_zigzag(r);
    if (!rb_done(r))
        return malformed(e, "LOG_HEAD");
    *ret = m;
    return 0;
}

void msg_want_log_write(struct wbuf *w, const struct msg_want_log *m)
{
    wb_str(w, m->kind);
    wb_u64(w, m->system);
    wb_varint(w, m->timeline);
    wb_varint(w, m->position);
    wb_zigzag(w, m->backup_ns);
}

int msg_want_log_read(struct rbuf *r, struct msg_want_log *ret, struct err *e)
{
    struct msg_want_log m = { .kind = rb_strdup(r, MAX_SOURCE_WORD) };
    m.system = rb_u64(r);
    m.timeline = (uint32_t)rb_varint_max(r, UINT32_MAX);
    m.position = rb_varint(r);
    m.backup_ns = rb_zigzag(r);

    if (!rb_done(r) || !m.kind) {
        free(m.kind);
        return malformed(e, "WANT_LOG");
    }
    *ret = m;
    return 0;
}
