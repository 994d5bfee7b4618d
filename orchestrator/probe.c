/* probe.c - see probe.h. */
#include "orchestrator/probe.h"
#include "lib/base/i18n.h"
#include "agents/log_frames.h"
#include "lib/wire/wire.h"
#include "orchestrator/session.h"

#include <string.h>

static int send_job(struct session *s, const struct policy *pol, const struct vault_conf *conf,
                    struct err *e)
{
    struct msg_backup m = { .vault_id = conf->id,
                            .policy = pol->name,
                            .source = pol->name,
                            .probe = true,
                            .sources = pol->sources,
                            .n_sources = pol->n_sources };
    struct wbuf w = WBUF_INIT;
    memcpy(m.recovery_pk, conf->recovery_pk, sizeof m.recovery_pk);
    msg_backup_write(&w, &m);
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                      : wire_send(session_wire(s), FRAME_BACKUP, &w, NULL, 0, e);
    wbuf_free(&w);
    return rc;
}

static int listen(struct app *app, struct session *s, uint64_t *ret_missing, struct err *e)
{
    for (;;) {
        enum frame_type type = FRAME_PING;
        struct rbuf r;
        struct msg_note note;
        struct msg_done done;
        int rc = wire_recv(session_wire(s), &type, &r, 0, e);
        if (rc == 0 && type == FRAME_NOTE) {
            rc = msg_note_read(&r, &note, e);
            if (rc == 0)
                ui_note(&app->ui, note.problem, note.path, note.path_len, note.text, note.text_len);
        } else if (rc == 0 && type == FRAME_DONE) {
            rc = msg_done_read(&r, &done, e);
            *ret_missing = done.failed;
            return rc;
        } else if (rc == 0) {
            rc = err_set(e, ERR_PROTOCOL, _("the agent sent a message that does not belong here"));
        }
        if (rc < 0)
            return rc;
    }
}

static int send_slot_job(struct session *s, const struct policy *pol, const struct vault_conf *conf,
                         const struct source_spec *spec, struct err *e)
{
    struct msg_backup m = { .vault_id = conf->id,
                            .policy = pol->name,
                            .source = pol->name,
                            .sources = (struct source_spec *)(uintptr_t)spec,
                            .n_sources = 1 };
    struct msg_logs l = { .interval_ms = 0 };
    struct wbuf w = WBUF_INIT;
    memcpy(m.recovery_pk, conf->recovery_pk, sizeof m.recovery_pk);
    msg_logs_write(&w, &m, &l);
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                      : wire_send(session_wire(s), FRAME_LOGS, &w, NULL, 0, e);
    wbuf_free(&w);
    return rc;
}

void probe_slot(struct app *app, const struct policy *pol, const struct vault_conf *conf,
                const struct source_spec *spec)
{
    struct session *s = NULL;
    struct err e = ERR_INIT;
    uint64_t problems = 0;
    if (!source_spec_get(spec, "slot-limit"))
        return;
    int rc = session_start(app, pol->agent, &s, &e);
    if (rc == 0)
        rc = send_slot_job(s, pol, conf, spec, &e);
    if (rc == 0)
        rc = listen(app, s, &problems, &e);
    if (s && rc < 0)
        session_failed(s, rc, &e);
    if (s)
        session_end(s, true, NULL);
    if (rc < 0)
        ui_warn(&app->ui, _("what the server keeps of its log could not be looked at: %s"), e.why);
}

int probe_sources(struct app *app, const struct policy *pol, const struct vault_conf *conf,
                  uint64_t *ret_missing, struct err *e)
{
    struct session *s = NULL;
    *ret_missing = 0;
    if (pol->n_sources == 0)
        return 0;
    int rc = session_start(app, pol->agent, &s, e);
    if (rc < 0)
        return rc;
    rc = send_job(s, pol, conf, e);
    if (rc == 0)
        rc = listen(app, s, ret_missing, e);
    if (rc < 0)
        rc = session_failed(s, rc, e);
    session_end(s, true, NULL);
    return rc;
}
