/* checks.c - the policy's expectations of a backup; see checks.h. */
#include "orchestrator/checks.h"
#include "lib/base/i18n.h"
#include "orchestrator/status.h"
#include "orchestrator/ui.h"
#include <inttypes.h>
#include <stdio.h>

static int too_little(const struct policy_checks *c, const struct snapshot *s,
                      char doubt[ERR_TEXT_BYTES])
{
    char is[32], should[32];
    if (s->files < c->min_files) {
        snprintf(doubt, ERR_TEXT_BYTES,
                 _("it has %" PRIu64 " files, and the policy's checks expect at least %u"),
                 s->files, c->min_files);
        return 1;
    }
    if (s->bytes >= c->min_bytes)
        return 0;
    snprintf(doubt, ERR_TEXT_BYTES, _("it has %s, and the policy's checks expect at least %s"),
             ui_bytes(s->bytes, is), ui_bytes(c->min_bytes, should));
    return 1;
}

static bool shrank(uint64_t was, uint64_t is, unsigned percent)
{
    return is < was && was - is > was / 100 * percent + was % 100 * percent / 100;
}

static int shrunk(const struct policy_checks *c, const struct snapshot *was,
                  const struct snapshot *s, char doubt[ERR_TEXT_BYTES])
{
    char is[32], before[32];
    if (s->files == 0 &&
        was->files > 0) { /* whatever the policy says: the folder of a mount that is away */
        snprintf(doubt, ERR_TEXT_BYTES,
                 _("it has no file, and the last good one had %" PRIu64 ", %s: is it mounted?"),
                 was->files, ui_bytes(was->bytes, before));
        return 1;
    }
    if (c->max_shrink_percent == 0)
        return 0;
    if (!shrank(was->files, s->files, c->max_shrink_percent) &&
        !shrank(was->bytes, s->bytes, c->max_shrink_percent))
        return 0;
    snprintf(doubt, ERR_TEXT_BYTES,
             _("it has %" PRIu64 " files, %s; the last good one had %" PRIu64
               ", %s, and the policy's checks allow %u%% less"),
             s->files, ui_bytes(s->bytes, is), was->files, ui_bytes(was->bytes, before),
             c->max_shrink_percent);
    return 1;
}

int checks_doubt(struct vault *v, const struct policy *p, const struct snapshot *s,
                 char ret_doubt[ERR_TEXT_BYTES], struct err *e)
{
    const struct snap_ref *whole = NULL, *partial = NULL;
    const struct policy_checks *c = &p->checks;
    struct snapshot *was = NULL;
    if (too_little(c, s, ret_doubt))
        return 1;
    newest_snapshots(v, p->name, &whole, &partial);
    if (!whole)
        return 0;
    int rc = vault_snapshot(v, &whole->ref, &was, e);
    if (rc == 0)
        rc = shrunk(c, was, s, ret_doubt);
    snapshot_free(was);
    /* Damage over there is scrub's to tell. */
    return rc == -ERR_DAMAGED || rc == -ERR_ABSENT || rc == -ERR_KEY ? (err_clear(e), 0) : rc;
}
