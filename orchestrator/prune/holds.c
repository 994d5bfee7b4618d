/* holds.c - snapshots that stay; see holds.h. */
#include "orchestrator/prune/holds.h"
#include "lib/base/i18n.h"
#include "orchestrator/prune/prune.h"
#include <stdio.h>
#include <stdlib.h>

#define KEY_BYTES_MAX (sizeof "hold/" + ID_HEX_BYTES)

static const char *note_key(const struct id *snapshot, char out[KEY_BYTES_MAX])
{
    char hex[ID_HEX_BYTES];
    snprintf(out, KEY_BYTES_MAX, "hold/%s", id_hex(snapshot, hex));
    return out;
}

int hold_note_get(struct vault *v, const struct id *snapshot, struct hold_note *ret, struct err *e)
{
    char key[KEY_BYTES_MAX];
    uint8_t bytes[sizeof *ret + 32];
    size_t n = 0;
    memset(ret, 0, sizeof *ret);
    int rc = chunkdb_get_meta(v->db, note_key(snapshot, key), bytes, sizeof bytes, e);
    if (rc <= 0)
        return rc;
    struct rbuf r = rbuf_of(bytes, (size_t)rc);
    ret->at_s = rb_zigzag(&r);
    const uint8_t *who = rb_blob(&r, sizeof ret->who - 1, &n);
    if (who)
        memcpy(ret->who, who, n);
    const uint8_t *why = rb_blob(&r, sizeof ret->why - 1, &n);
    if (why)
        memcpy(ret->why, why, n);
    return 1;
}

int hold_is_set(struct vault *v, const struct snap_ref *ref, struct err *e)
{
    struct hold_note note;
    return ref->flags & SNAPSHOT_HELD ? 1 : hold_note_get(v, &ref->ref.id, &note, e);
}

static int write_note(struct vault *v, const struct id *snapshot, const struct hold_note *note,
                      struct err *e)
{
    char key[KEY_BYTES_MAX];
    struct wbuf w = WBUF_INIT;
    if (note) {
        wb_zigzag(&w, note->at_s);
        wb_str(&w, note->who);
        wb_str(&w, note->why);
    }
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                      : chunkdb_set_meta(v->db, note_key(snapshot, key), w.p ? (void *)w.p : "",
                                         w.len, e);
    wbuf_free(&w);
    return rc;
}

/* 1: the list says it now; 0: it did before; -ERR_ABSENT: there is no such snapshot. */
static int flag(struct vault *v, const struct id *snapshot, bool held, struct err *e)
{
    for (size_t i = 0; i < v->n_lists; i++)
        for (size_t k = 0; k < v->lists[i]->n; k++) {
            struct snap_ref *s = &v->lists[i]->snaps[k];
            if (!id_eq(&s->ref.id, snapshot))
                continue;
            if (((s->flags & SNAPSHOT_HELD) != 0) == held)
                return 0;
            v->dirty = true;
            s->flags ^= SNAPSHOT_HELD;
            v->list_objects[i] = (struct id){ 0 };
            return 1;
        }
    return err_set(e, ERR_ABSENT, _("the snapshot is no longer there"));
}

static int commit_flag(struct vault *v, struct fanout *f, const struct id *snapshot, bool held,
                       struct published *done, struct err *e)
{
    int rc = publish_check(v, false, e);
    if (rc == 0)
        rc = flag(v, snapshot, held, e);
    return rc <= 0 ? rc : publish_head(v, f, true, NULL, NULL, done, e);
}

/* The note first, the flag off last: between the two it is held. */
int hold_set(struct vault *v, const struct id *snapshot, const struct hold_note *note,
             struct err *e)
{
    struct published done = { 0 };
    struct fanout *f = NULL;
    int rc = note ? write_note(v, snapshot, note, e) : 0;
    if (rc == 0)
        rc = prune_fanout(v, &f, e);
    if (rc == 0 && (rc = vault_lock(v, e)) == 0) {
        rc = commit_flag(v, f, snapshot, note != NULL, &done, e);
        vault_unlock(v);
    }
    if (rc == 0 && !note)
        rc = write_note(v, snapshot, NULL, e);
    if (rc == 0)
        publish_replicate(v, f, false, NULL, NULL, &done, NULL);
    fanout_free(f);
    return rc;
}
