/* move.c - what goes is said to be going, and what lives on in packs that are given up is moved; see prune.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include "orchestrator/prune/prune.h"
#include <stdlib.h>

#define DOOM_BATCH 4096

int prune_fanout(struct vault *v, struct fanout **ret, struct err *e)
{
    struct store *stores[MAX_COPIES] = { 0 };
    for (size_t i = 0; i < v->n_copies; i++)
        if (v->copies[i].state == COPY_CURRENT || v->copies[i].state == COPY_BEHIND)
            stores[i] = v->copies[i].store;
    return fanout_new(stores, v->n_copies, ret, e);
}

/* --- doom ---------------------------------------------------------------------------------------------------------------- */
struct batch {
    struct prune *p;
    struct id ids[DOOM_BATCH];
    size_t n;
};

static int flush(struct batch *b, struct err *e)
{
    int rc = b->n ? chunkdb_doom(b->p->v->db, b->ids, b->n, e) : 0;
    b->n = 0;
    return rc;
}

static int doom_one(void *ctx, struct prune_pack *pk, const struct id *chunk, struct err *e)
{
    struct batch *b = ctx;
    (void)pk;
    b->ids[b->n++] = *chunk;
    return b->n == DOOM_BATCH ? flush(b, e) : 0;
}

/* A pack that holds something which a run was told is there stays as it is, for now. */
static int look_for_pin(void *ctx, struct prune_pack *pk, const struct id *chunk, struct err *e)
{
    struct prune *p = ctx;
    int rc = prune_gone(pk) ? chunkdb_is_pinned(p->v->db, chunk, e) : 0;
    if (rc > 0)
        pk->fate = PACK_STAYS;
    return rc < 0 ? rc : 0;
}

int prune_doom(struct prune *p, struct err *e)
{
    struct batch *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, _("no memory"));
    b->p = p;
    prune_tell(p, N_("looking at what runs"), 0, 0);
    int rc = prune_each_dead(p, doom_one, b, e);
    if (rc == 0)
        rc = flush(b, e);
    free(b);
    if (rc == 0)
        rc = chunkdb_load_pins(p->v->db, p->v->sessions_dir, e);
    return rc < 0 ? rc : prune_each_dead(p, look_for_pin, p, e);
}

/* --- what a prune that was killed had moved ---------------------------------------------------------------------------- */
struct own_packs {
    struct object_ref *refs;
    size_t n;
};

static int collect(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    struct own_packs *o = ctx;
    (void)pending;
    struct object_ref *grown = realloc(o->refs, (o->n + 1) * sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, _("no memory"));
    o->refs = grown;
    o->refs[o->n++] = *pack;
    return 0;
}

/* Is there anything in it that is needed and would be moved? */
static int is_of_use(struct prune *p, const struct pack_table *t, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->n; i++)
        rc = marks_is_live(p->marks, &t->chunks[i].id, e);
    return rc;
}

/* A pending pack of a dead run that nobody needs is forgotten, and is litter. One with something needed is taken. */
static int take_or_forget(struct prune *p, const struct object_ref *pack, struct err *e)
{
    struct pack_table t;
    int rc = chunkdb_pack_table(p->v->db, &pack->id, &t, e);
    if (rc < 0)
        return rc;
    rc = is_of_use(p, &t, e);
    for (size_t i = 0; rc > 0 && i < t.n; i++)
        rc = marks_add_moved(p->marks, &t.chunks[i].id, e) < 0 ? -ERR_IO : 1;
    pack_table_done(&t);
    return rc != 0 ? rc : chunkdb_drop_pack(p->v->db, &pack->id, e);
}

static int drop_useless(struct prune *p, struct own_packs *own, struct err *e)
{
    int rc = chunkdb_each_own(p->v->db, collect, own, e);
    for (size_t i = 0; rc >= 0 && i < own->n; i++)
        rc = take_or_forget(p, &own->refs[i], e);
    return rc < 0 ? rc : 0;
}

static int settle(struct prune *p, struct err *e)
{
    struct own_packs own = { 0 }, left = { 0 };
    int rc = chunkdb_adopt_dead(p->v->db, sys_realtime_s(), e);
    if (rc >= 0)
        rc = drop_useless(p, &own, e);
    /* What is taken is read back first; what is not whole anywhere is forgotten, and then its chunks are moved again. */
    if (rc == 0)
        rc = publish_settle(p->v, p->f, e);
    if (rc == 0)
        rc = chunkdb_each_own(p->v->db, collect, &left, e);
    if (rc == 0 && left.n != own.n) {
        marks_forget_moved(p->marks);
        free(left.refs);
        left = (struct own_packs){ 0 };
        rc = drop_useless(p, &left, e);
    }
    free(own.refs);
    free(left.refs);
    return rc;
}

/* --- moving --------------------------------------------------------------------------------------------------------------- */
struct move {
    struct prune *p;
    struct packer *packer;
    uint8_t *buf;
    uint64_t packs, done;
};

/* The pack is whole; still, what the index says of it is compared with what is there. */
static int move_chunk(struct move *m, const struct pack_table *t, size_t at, int fd, uint64_t off,
                      struct err *e)
{
    const struct pack_chunk *c = &t->chunks[at];
    struct chunk_ref ref = { .id = c->id, .key_id = t->keys[c->key], .counter = c->counter };
    struct id hash;
    if (c->len > MAX_SEALED_BYTES)
        return -ERR_DAMAGED;
    ssize_t n = sys_pread(fd, m->buf, c->len, off, e);
    if (n < 0)
        return (int)n;
    sha256_of(m->buf, (size_t)n, &hash);
    if ((size_t)n != c->len || memcmp(hash.b, c->hash, SHORT_HASH_BYTES) != 0)
        return -ERR_DAMAGED;
    int rc = marks_add_moved(m->p->marks, &c->id, e);
    if (rc <= 0)
        return rc;
    m->p->moved_bytes += c->len;
    return packer_add(m->packer, &ref, m->buf, c->len, e);
}

static int move_live(struct move *m, const struct prune_pack *pk, int fd, struct err *e)
{
    struct pack_table t;
    uint64_t off = 0;
    int rc = chunkdb_pack_table(m->p->v->db, &pk->ref.id, &t, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < t.n; off += t.chunks[i++].len) {
        rc = marks_is_live(m->p->marks, &t.chunks[i].id, e);
        if (rc > 0)
            rc = marks_is_moved(m->p->marks, &t.chunks[i].id, e) == 1
                     ? 0
                     : move_chunk(m, &t, i, fd, off, e);
    }
    pack_table_done(&t);
    return rc;
}

/* What cannot be had whole is left where it is, and said. */
static int left_alone(struct prune *p, struct prune_pack *pk, const struct err *why)
{
    char name[MAX_OBJECT_NAME];
    object_name(OBJECT_PACK, &pk->ref.id, name);
    pk->fate = why->code == ERR_UNREACHABLE ? PACK_STAYS : PACK_DAMAGED;
    p->damaged_packs += pk->fate == PACK_DAMAGED;
    ui_warn(&p->app->ui, _("%s stays as it is: %s"), name, why->why);
    return 0;
}

static int move_pack(struct move *m, struct prune_pack *pk, struct err *e)
{
    struct err why = ERR_INIT;
    int fd = transfer_fetch(m->p->v, OBJECT_PACK, &pk->ref, NULL, &why);
    if (fd == -ERR_DAMAGED || fd == -ERR_ABSENT || fd == -ERR_UNREACHABLE)
        return left_alone(m->p, pk, &why);
    if (fd < 0) {
        if (e)
            *e = why;
        return fd;
    }
    int rc = move_live(m, pk, fd, e);
    sys_close_quiet(fd);
    if (rc == -ERR_DAMAGED) {
        err_set(&why, ERR_DAMAGED, _("the index does not say what is in it"));
        err_clear(e);
        rc = left_alone(m->p, pk, &why);
    }
    return rc;
}

static int move_all(struct move *m, struct err *e)
{
    struct prune *p = m->p;
    int rc = 0;
    for (size_t i = 0; i < p->n_packs; i++)
        m->packs += p->packs[i].fate == PACK_MOVED;
    for (size_t i = 0; rc == 0 && i < p->n_packs; i++) {
        if (p->packs[i].fate != PACK_MOVED)
            continue;
        prune_tell(p, N_("moving what is still needed"), ++m->done, m->packs);
        rc = sys_interrupted()
                 ? err_set(e, ERR_INTERRUPTED, _("interrupted; run it again to go on"))
                 : move_pack(m, &p->packs[i], e);
    }
    if (rc == 0)
        rc = packer_finish(m->packer, e);
    return rc < 0 ? rc : fanout_flush(p->f, e);
}

int prune_move(struct prune *p, struct err *e)
{
    struct move m = { .p = p, .buf = malloc(MAX_SEALED_BYTES) };
    int rc = m.buf ? prune_fanout(p->v, &p->f, e) : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = settle(p, e);
    if (rc == 0)
        rc = packer_new(p->v, p->f, &m.packer, e);
    if (rc == 0)
        rc = move_all(&m, e);
    if (rc == 0)
        p->packed_bytes = packer_bytes(m.packer);
    packer_free(m.packer);
    free(m.buf);
    return rc;
}
