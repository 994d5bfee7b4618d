/* transfer.c - verified copies of whole objects; see transfer.h. */
#include "orchestrator/transfer.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/packer.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (1u << 20)

static bool usable(const struct copy *c)
{
    return c->store && c->state != COPY_AWAY && c->state != COPY_WRONG;
}

static const char *spool_dir(const struct vault *v)
{
    return v->state_dir ? v->state_dir : "/tmp";
}

static int restart(int fd, struct err *e)
{
    if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(e, _("spool file"));
    return 0;
}

/* What goes wrong with our own spool says nothing about a copy: its code is ERR_FAILED, which no copy answers. */
static int spool_failed(struct err *e)
{
    if (e)
        e->code = ERR_FAILED;
    err_wrap(e, _("spool file"));
    return -ERR_FAILED;
}

/* Appends [off, off + len) of an object to the spool and the hash. */
static int append_range(struct store *s, const char *name, uint64_t off, uint64_t len, int fd,
                        struct sha256 *h, struct err *e)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    int rc = piece ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    while (rc == 0 && len > 0) {
        size_t n = len < PIECE_BYTES ? (size_t)len : PIECE_BYTES;
        rc = store_get(s, name, off, n, piece, e);
        if (rc == 0) {
            sha256_update(h, piece, n);
            if (sys_write(fd, piece, n, e) < 0)
                rc = spool_failed(e);
        }
        off += n;
        len -= n;
    }
    free(piece);
    return rc;
}

/* From one copy; -ERR_DAMAGED when the bytes are not the right ones. */
static int fetch_whole(struct copy *c, const char *name, const struct object_ref *ref, int fd,
                       struct sha256 *h, struct err *e)
{
    struct id id;
    int rc = restart(fd, e);
    if (rc < 0)
        return rc;
    sha256_reset(h);
    rc = append_range(c->store, name, 0, ref->len, fd, h, e);
    sha256_final(h, &id);
    if (rc == 0 && !id_eq(&id, &ref->id))
        rc = err_set(e, ERR_DAMAGED, _("its bytes do not have the hash that its name says"));
    return rc;
}

/* The chunks of a pack, each from whichever copy has it healthy; as_is: else as some copy has it. */
static int gather_chunks(struct vault *v, const struct pack_table *t, const char *name, bool as_is,
                         int fd, struct sha256 *h, struct err *e)
{
    uint8_t *buf = malloc(MAX_SEALED_BYTES);
    uint64_t off = 0;
    int rc = buf ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < t->n; off += t->chunks[i++].len) {
        const struct pack_chunk *pc = &t->chunks[i];
        struct id id;
        bool good = false, got = false;
        for (size_t k = 0; k < v->n_copies && !good && pc->len <= MAX_SEALED_BYTES; k++) {
            if (!usable(&v->copies[k]) ||
                store_get(v->copies[k].store, name, off, pc->len, buf, NULL) < 0)
                continue;
            sha256_of(buf, pc->len, &id);
            good = memcmp(id.b, pc->hash, SHORT_HASH_BYTES) == 0;
            got = true;
        }
        if (!good && !(as_is && got))
            rc = err_set(e, ERR_DAMAGED, _("one of its chunks is damaged in every copy"));
        if (rc == 0) {
            sha256_update(h, buf, pc->len);
            if (sys_write(fd, buf, pc->len, e) < 0)
                rc = spool_failed(e);
        }
    }
    free(buf);
    return rc;
}

/* Damaged everywhere, but perhaps not at the same places. The table at the end has no hash of its own: each copy's is tried,
 * and the whole must have the hash in the name; as_is: or what can be had of it. */
static int mend_pack(struct vault *v, const char *name, const struct object_ref *ref, bool as_is,
                     int fd, struct sha256 *h, struct err *e)
{
    struct pack_table t;
    int rc = chunkdb_pack_table(v->db, &ref->id, &t, e);
    if (rc < 0)
        return rc;
    uint64_t table_at = pack_table_chunk_bytes(&t);
    rc = t.n == 0 || table_at >= ref->len
             ? err_set(e, ERR_DAMAGED, _("the index does not know what is in it"))
             : -ERR_DAMAGED;
    for (size_t k = 0; t.n && table_at < ref->len && k < v->n_copies && rc == -ERR_DAMAGED; k++) {
        struct id id;
        if (!usable(&v->copies[k]))
            continue;
        rc = restart(fd, e);
        sha256_reset(h);
        if (rc == 0)
            rc = gather_chunks(v, &t, name, as_is, fd, h, e);
        if (rc < 0)
            break;
        rc = append_range(v->copies[k].store, name, table_at, ref->len - table_at, fd, h, e);
        sha256_final(h, &id);
        if (rc == 0 && !as_is && !id_eq(&id, &ref->id))
            rc = err_set(e, ERR_DAMAGED, _("its table is damaged in every copy"));
        else if (rc < 0)
            rc = -ERR_DAMAGED;
    }
    pack_table_done(&t);
    return rc;
}

int transfer_fetch(struct vault *v, enum object_type type, const struct object_ref *ref,
                   bool *ret_mended, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    bool away = false, damaged = false;
    object_name(type, &ref->id, name);
    int fd = spool_file(spool_dir(v), e);
    if (fd < 0)
        return fd;
    struct sha256 *h = sha256_new();
    int rc = -ERR_ABSENT;
    for (size_t i = 0; rc != 0 && i < v->n_copies; i++) {
        struct err why = ERR_INIT;
        if (!usable(&v->copies[i])) {
            away = true;
            continue;
        }
        rc = fetch_whole(&v->copies[i], name, ref, fd, h, &why);
        if (rc == -ERR_FAILED) {
            if (e)
                *e = why;
            break;
        }
        damaged |= rc == -ERR_DAMAGED;
        away |= rc < 0 && rc != -ERR_DAMAGED && rc != -ERR_ABSENT;
    }
    if (ret_mended)
        *ret_mended = false;
    if (rc != 0 && type == OBJECT_PACK && damaged) {
        rc = mend_pack(v, name, ref, false, fd, h, e);
        if (rc == 0 && ret_mended)
            *ret_mended = true;
    }
    sha256_free(h);
    if (rc == 0)
        return fd;
    sys_close_quiet(fd);
    if (rc == -ERR_FAILED)
        return rc;
    if (away)
        rc = err_set(e, ERR_UNREACHABLE, _("a copy that may have it cannot be reached"));
    else if (damaged)
        rc = err_set(e, ERR_DAMAGED, _("it is damaged in every copy that has it"));
    else
        rc = err_set(e, ERR_ABSENT, _("no copy has it"));
    err_wrap(e, "%s", name);
    return rc;
}

/* As much as there is of an object that no copy can give whole: a spool of its length, or negative. */
static int fetch_remains(struct vault *v, enum object_type type, const struct object_ref *ref,
                         const char *name, struct err *e)
{
    struct stat st;
    int fd = spool_file(spool_dir(v), e), rc = -ERR_DAMAGED;
    if (fd < 0)
        return fd;
    struct sha256 *h = sha256_new();
    if (type == OBJECT_PACK)
        rc = mend_pack(v, name, ref, true, fd, h, NULL);
    for (size_t i = 0; rc < 0 && rc != -ERR_FAILED && i < v->n_copies; i++)
        if (usable(&v->copies[i]) &&
            fetch_whole(&v->copies[i], name, ref, fd, h, NULL) == -ERR_DAMAGED &&
            fstat(fd, &st) == 0 && (uint64_t)st.st_size == ref->len)
            rc = 0;
    sha256_free(h);
    if (rc == 0)
        return fd;
    sys_close_quiet(fd);
    return err_set(e, ERR_DAMAGED, _("nothing of it is left"));
}

/* --- what a head reaches ------------------------------------------------------------------------------------------ */
struct pack_refs {
    struct object_ref *refs;
    size_t n, cap;
};

static int gather_pack(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    struct pack_refs *p = ctx;
    if (pending)
        return 0;
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;
        struct object_ref *grown = realloc(p->refs, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, _("no memory"));
        p->refs = grown;
        p->cap = cap;
    }
    p->refs[p->n++] = *pack;
    return 0;
}

static int each_ref(enum object_type type, const struct object_ref *refs, size_t n, reached_fn *fn,
                    void *ctx, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = fn(ctx, type, &refs[i], e);
    return rc;
}

int transfer_each_reached(struct vault *v, reached_fn *fn, void *ctx, struct err *e)
{
    /* Gathered first: what is done with each may take hours, and no question to the database may stay open for so long. */
    struct pack_refs packs = { 0 };
    int rc = vault_need_index(v, e);
    if (rc == 0)
        rc = chunkdb_each_pack(v->db, gather_pack, &packs, e);
    if (rc == 0)
        rc = each_ref(OBJECT_KEYS, v->state->keys, v->state->n_keys, fn, ctx, e);
    if (rc == 0)
        rc = each_ref(OBJECT_PACK, packs.refs, packs.n, fn, ctx, e);
    free(packs.refs);
    if (rc == 0)
        rc = each_ref(OBJECT_INDEX, v->state->index, v->state->n_index, fn, ctx, e);
    if (rc == 0)
        rc = each_ref(OBJECT_REACH, v->state->bases, v->state->n_bases, fn, ctx, e);
    for (size_t i = 0; rc == 0 && i < v->n_lists; i++)
        for (size_t k = 0; rc == 0 && k < v->lists[i]->n; k++) {
            const struct snap_ref *s = &v->lists[i]->snaps[k];
            rc = fn(ctx, OBJECT_SNAPSHOT, &s->ref, e);
            if (rc == 0)
                rc = fn(ctx, OBJECT_REACH, &s->reach, e);
        }
    for (size_t t = 0; rc == 0 && t < v->n_tips; t++)
        for (size_t i = 0; rc == 0 && i < v->tips[t].head->n_lists; i++)
            rc = fn(ctx, OBJECT_LIST, &v->tips[t].head->lists[i].ref, e);
    return rc;
}

/* --- listings ------------------------------------------------------------------------------------------------------- */
struct listing {
    struct object_ref *refs;
    size_t n, cap;
    enum object_type type;
};

static int note_name(void *ctx, const char *name, uint64_t len)
{
    struct listing *l = ctx;
    struct object_ref ref = { .len = len };
    if (!object_name_parse(l->type, name, NULL, &ref.id))
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 256;
        struct object_ref *grown = realloc(l->refs, cap * sizeof *grown);
        if (!grown)
            return -ERR_NOMEM;
        l->refs = grown;
        l->cap = cap;
    }
    l->refs[l->n++] = ref;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(&((const struct object_ref *)a)->id, &((const struct object_ref *)b)->id);
}

int listing_load(struct store *s, const char *prefix, struct listing **ret, struct err *e)
{
    static const struct {
        const char *prefix;
        enum object_type type;
    } kinds[] = { { "packs/", OBJECT_PACK },
                  { "keys/", OBJECT_KEYS },
                  { "index/", OBJECT_INDEX },
                  { "snapshots/", OBJECT_SNAPSHOT },
                  { "lists/", OBJECT_LIST } };
    struct listing *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(prefix, kinds[i].prefix) == 0)
            l->type = kinds[i].type;
    int rc = store_list(s, prefix, note_name, l, e);
    if (rc < 0) {
        listing_free(l);
        return rc == -ERR_NOMEM ? err_set(e, ERR_NOMEM, _("no memory")) : rc;
    }
    if (l->n)
        qsort(l->refs, l->n, sizeof *l->refs, by_id);
    *ret = l;
    return 0;
}

bool listing_has(const struct listing *l, const struct id *id, uint64_t len)
{
    struct object_ref key = { .id = *id };
    const struct object_ref *r = l->n ? bsearch(&key, l->refs, l->n, sizeof *l->refs, by_id) : NULL;
    return r && (len == 0 || r->len == len);
}

size_t listing_count(const struct listing *l)
{
    return l->n;
}

void listing_free(struct listing *l)
{
    if (!l)
        return;
    free(l->refs);
    free(l);
}

/* --- catching up ------------------------------------------------------------------------------------------------------ */
struct catch_up {
    struct vault *v;
    struct copy *to;
    struct listing *packs;
    transferred_fn *fn;
    void *ctx;
    struct caught_up done;
};

/* One rotten object must not keep a copy from all that is sound. What is left of it is brought, so that the copy is as whole as those that
 * it comes from; what is nowhere, when every copy was asked, is left out. Both are noted as this copy's damage. */
static int bring_remains(struct catch_up *c, enum object_type type, const struct object_ref *ref,
                         const char *name, const struct err *why, int *ret_fd, struct err *e)
{
    *ret_fd = why->code == ERR_ABSENT ? -ERR_ABSENT : fetch_remains(c->v, type, ref, name, NULL);
    if (*ret_fd < 0 && why->code != ERR_ABSENT) { /* perhaps a copy that is away has it */
        if (e)
            *e = *why;
        return -(int)why->code;
    }
    c->done.damaged++;
    return chunkdb_note_damage(c->v->db, c->to->place, name, why->why, e);
}

/* Is there a copy away, and is each that is a carried one? That may take weeks. */
static bool only_carried_away(const struct vault *v)
{
    bool carried = false;
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct copy *c = &v->copies[i];
        if (!usable(c) && !vault_copy_carried(c))
            return false;
        carried = carried || !usable(c);
    }
    return carried;
}

static int bring(struct catch_up *c, enum object_type type, const struct object_ref *ref,
                 const char *name, struct err *e)
{
    char stamp[40];
    uint64_t len;
    struct err why = ERR_INIT;
    int fd = transfer_fetch(c->v, type, ref, NULL, &why);
    bool whole = fd >= 0;
    if (!whole && (why.code == ERR_DAMAGED || why.code == ERR_ABSENT ||
                   (why.code == ERR_UNREACHABLE && only_carried_away(c->v)))) {
        int rc = bring_remains(c, type, ref, name, &why, &fd, e);
        if (rc < 0 || fd < 0)
            return rc;
    } else if (!whole) {
        if (e)
            *e = why;
        return -(int)why.code;
    }
    struct store_data d = { .fd = fd, .len = ref->len };
    int rc = store_put(c->to->store, name, &d, e);
    if (rc == -ERR_DAMAGED && store_stat(c->to->store, name, &len, NULL) == 0) {
        /* Something of another length has the name: what is there is set aside, not lost. */
        snprintf(stamp, sizeof stamp, "catch-up-%lld", (long long)sys_realtime_s());
        rc = store_replace(c->to->store, name, &d, stamp, e);
    }
    sys_close_quiet(fd);
    if (rc == 0 && whole)
        rc = chunkdb_clear_damage(c->v->db, c->to->place, name, e); /* noted as missing, perhaps */
    if (rc < 0)
        return err_wrap(e, _("copy \"%s\": %s"), c->to->place, name);
    c->done.objects++;
    c->done.bytes += ref->len;
    if (c->fn)
        c->fn(c->ctx, ref->len);
    return 0;
}

static int bring_missing(void *ctx, enum object_type type, const struct object_ref *ref,
                         struct err *e)
{
    struct catch_up *c = ctx;
    char name[MAX_OBJECT_NAME];
    uint64_t len = 0;
    object_name(type, &ref->id, name);
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted"));
    if (type == OBJECT_PACK) {
        if (listing_has(c->packs, &ref->id, ref->len))
            return 0;
    } else {
        struct err why = ERR_INIT;
        int rc = store_stat(c->to->store, name, &len, &why);
        if (rc == 0 && len == ref->len)
            return 0;
        if (rc < 0 && rc != -ERR_ABSENT && rc != -ERR_DAMAGED) {
            if (e)
                *e = why;
            return err_wrap(e, _("copy \"%s\""), c->to->place);
        }
    }
    return bring(c, type, ref, name, e);
}

int transfer_catch_up(struct vault *v, size_t at, transferred_fn *fn, void *ctx,
                      struct caught_up *ret, struct err *e)
{
    struct catch_up c = { .v = v, .to = &v->copies[at], .fn = fn, .ctx = ctx };
    int rc = listing_load(c.to->store, "packs/", &c.packs, e);
    if (rc == 0)
        rc = transfer_each_reached(v, bring_missing, &c, e);
    listing_free(c.packs);
    if (ret) {
        ret->objects += c.done.objects;
        ret->bytes += c.done.bytes;
        ret->damaged += c.done.damaged;
    }
    return rc;
}
