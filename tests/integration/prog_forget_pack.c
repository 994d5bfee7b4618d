/* prog_forget_pack.c - makes a vault's newest head forget one of its packs, as a wrong prune would: everything that is left is
 * whole, and too little. Configuration and state from the environment. */
#include "orchestrator/app.h"
#include "orchestrator/prune/prune.h"
#include <stdio.h>

static int first(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    (void)e;
    *(struct id *)ctx = pack->id;
    return pending ? 0 : 1;
}

static int forget(struct vault *v, struct fanout *f, struct err *e)
{
    struct published done = { 0 };
    struct id pack;
    int rc = chunkdb_each_pack(v->db, first, &pack, e);
    if (rc != 1)
        return rc < 0 ? rc : err_set(e, ERR_ABSENT, "no pack");
    v->dirty = true;
    rc = publish_index_without(v, f, &pack, 1, e);
    return rc < 0 ? rc : publish_head(v, f, true, NULL, NULL, &done, e);
}

int main(void)
{
    struct app app = { .program = "forget-pack" };
    struct vault_choice choice = { .what = "forgets a pack" };
    struct vault *v = NULL;
    struct fanout *f = NULL;
    struct err e = ERR_INIT;
    ui_init(&app.ui);
    int rc = config_paths_find(NULL, &app.paths, &e);
    if (rc == 0)
        rc = app_open_vault(&app, &choice, true, false, &v, &e);
    if (rc == 0)
        rc = prune_fanout(v, &f, &e);
    if (rc == 0 && (rc = vault_lock(v, &e)) == 0) {
        rc = forget(v, f, &e);
        vault_unlock(v);
    }
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", e.what, e.why);
    fanout_free(f);
    vault_close(v);
    config_paths_done(&app.paths);
    return rc < 0;
}
