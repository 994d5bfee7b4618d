/* carried.c - copies on disks that are carried away and back: when one has come it is caught up at once, not by the next night. Which
 * vault it belongs to, replicate sees by the vault's id; here it counts that something lies where the disk should be. */
#include "orchestrator/daemon/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static bool is_here(const struct site_copy *c)
{
    char *path = NULL;
    bool here = asprintf(&path, "%s/vault", c->folder) >= 0 && access(path, F_OK) == 0;
    free(path);
    return here;
}

static bool was_here(const struct present *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->names[i], name) == 0)
            return true;
    return false;
}

static int catch_up(struct daemon *d, const char *vault, const char *place, struct err *e)
{
    struct queue_request q;
    char slot[SLOT_BYTES];
    snprintf(slot, sizeof slot, "here/%" PRId64 "/%.40s", sys_realtime_s(), place);
    int rc = queue_prepare(d->paths, JOB_REPLICATE, vault, slot, &q, e);
    if (rc == 0)
        rc = queue_put(d->c, &q, NULL, e);
    if (rc > 0) {
        daemon_log(LOG_INFO, NULL, _("copy \"%s\" of vault \"%s\" has come: it is caught up"),
                   place, vault);
        d->dirty = true;
    }
    return rc < 0 ? rc : 0;
}

static void look_at(struct daemon *d, const struct site_vault *v, const struct site_copy *c,
                    struct present *now)
{
    struct err e = ERR_INIT;
    char *name = now->names[now->n];
    if (!c->rotating || !c->folder || !is_here(c))
        return;
    snprintf(name, sizeof *now->names, "%s/%s", v->name, c->place);
    int rc = was_here(&d->present, name) ? 0 : catch_up(d, v->name, c->place, &e);
    if (rc < 0)
        daemon_log_err(LOG_WARNING, NULL, _("a carried copy has come"), &e);
    else
        now->n++; /* else it counts as new the next time, too */
}

void carried_look(struct daemon *d)
{
    size_t most = 0;
    for (size_t i = 0; i < d->site->n_vaults; i++)
        most += d->site->vaults[i].n_copies;
    struct present now = { calloc(most + 1, sizeof *now.names), 0 };
    if (!now.names)
        return;
    for (size_t i = 0; i < d->site->n_vaults; i++)
        for (size_t k = 0; k < d->site->vaults[i].n_copies; k++)
            look_at(d, &d->site->vaults[i], &d->site->vaults[i].copies[k], &now);
    free(d->present.names);
    d->present = now;
}

void carried_done(struct daemon *d)
{
    free(d->present.names);
    d->present = (struct present){ 0 };
}
