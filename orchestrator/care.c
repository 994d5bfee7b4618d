/* care.c - checks and mends the objects of copies; see care.h. */
#include "orchestrator/care.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/log.h"
#include "lib/vault/record_object.h"
#include <stdio.h>
#include <stdlib.h>

#define PIECE_BYTES (1u << 20)
#define MAX_SMALL_OBJECT 65536 /* vault and recovery objects */

struct note {
    char *name; /* of the object */
    bool met;
};

struct check {
    struct vault *v;
    const struct care_options *o;
    struct care_result *result;
    size_t at;
    struct copy *copy;
    struct listing *packs;
    struct object_ref *due; /* packs that are to be read */
    size_t n_due;
    struct id last_due; /* where the next turn goes on */
    struct note *notes; /* of damage seen before, ascending */
    size_t n_notes, cap_notes;
};

static bool usable(const struct copy *c)
{
    return c->state == COPY_CURRENT || c->state == COPY_BEHIND;
}

/* --- findings ------------------------------------------------------------------------------------------------------- */
static int report(struct check *c, enum object_type type, const struct object_ref *ref,
                  const char *name, int code, const char *why, struct err *e)
{
    struct finding f = { .copy = c->at, .type = type };
    f.kind = code == ERR_ABSENT    ? FINDING_MISSING
             : code == ERR_DAMAGED ? FINDING_DAMAGED
                                   : FINDING_UNREADABLE;
    if (ref)
        f.ref = *ref;
    snprintf(f.name, sizeof f.name, "%s", name);
    snprintf(f.why, sizeof f.why, "%s", why);
    c->result->findings++;
    int rc = chunkdb_note_damage(c->v->db, c->copy->place, name, why, e);
    return rc < 0 || !c->o->found ? rc : c->o->found(c->o->ctx, &f, e);
}

/* Damage that was noted earlier. What this check does not meet again is reached no longer: there is nothing to mend. */
static int take_note(void *ctx, const char *place, const char *name, const char *why, struct err *e)
{
    struct check *c = ctx;
    (void)why;
    /* Logs and records have checks of their own (logs/tend.c, crash/records_tend.c). */
    if (strcmp(place, c->copy->place) != 0 || strncmp(name, LOG_FOLDER, strlen(LOG_FOLDER)) == 0 ||
        strncmp(name, RECORD_FOLDER, strlen(RECORD_FOLDER)) == 0)
        return 0;
    if (c->n_notes == c->cap_notes) {
        size_t cap = c->cap_notes ? 2 * c->cap_notes : 64;
        struct note *grown = realloc(c->notes, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, _("no memory"));
        c->notes = grown;
        c->cap_notes = cap;
    }
    c->notes[c->n_notes] = (struct note){ .name = strdup(name) };
    return c->notes[c->n_notes++].name ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
}

static int note_cmp(const void *name, const void *note)
{
    return strcmp(name, ((const struct note *)note)->name);
}

static void met_again(struct check *c, const char *name)
{
    struct note *n = c->n_notes ? bsearch(name, c->notes, c->n_notes, sizeof *c->notes, note_cmp)
                                : NULL;
    if (n)
        n->met = true;
}

static int drop_stale_notes(struct check *c, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->n_notes; i++)
        if (!c->notes[i].met)
            rc = chunkdb_clear_damage(c->v->db, c->copy->place, c->notes[i].name, e);
    return rc;
}

static void check_done(struct check *c)
{
    for (size_t i = 0; i < c->n_notes; i++)
        free(c->notes[i].name);
    free(c->notes);
    listing_free(c->packs);
    free(c->due);
}

static void tell(struct check *c, uint64_t bytes)
{
    c->result->bytes_read += bytes;
    if (c->o->checked)
        c->o->checked(c->o->ctx, c->result->bytes_read);
}

/* The hash of a whole object, read in pieces from the copy itself. */
static int hash_object(struct store *s, const char *name, uint64_t len, struct id *ret,
                       struct err *e)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    struct sha256 *h = sha256_new();
    int rc = piece ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    for (uint64_t off = 0; rc == 0 && off < len;) {
        size_t n = len - off < PIECE_BYTES ? (size_t)(len - off) : PIECE_BYTES;
        rc = store_get(s, name, off, n, piece, e);
        if (rc == 0)
            sha256_update(h, piece, n);
        off += n;
    }
    sha256_final(h, ret);
    sha256_free(h);
    free(piece);
    return rc;
}

static int check_bytes(struct check *c, enum object_type type, const struct object_ref *ref,
                       const char *name, struct err *e)
{
    struct id id;
    struct err why = ERR_INIT;
    int rc = hash_object(c->copy->store, name, ref->len, &id, &why);
    tell(c, ref->len);
    if (rc == 0 && !id_eq(&id, &ref->id))
        rc = err_set(&why, ERR_DAMAGED, _("its bytes do not have the hash that its name says"));
    if (rc == 0)
        return chunkdb_clear_damage(c->v->db, c->copy->place, name, e);
    /* Listed a moment ago: who commits beside this takes old heads away. */
    if (rc == -ERR_ABSENT && type == OBJECT_HEAD)
        return 0;
    return report(c, type, ref, name, -rc, why.why, e);
}

/* --- one object after the other ---------------------------------------------------------------------------------------- */
static bool is_due(const struct check *c, const struct id *id)
{
    for (size_t lo = 0, hi = c->n_due; lo < hi;) {
        size_t mid = (lo + hi) / 2;
        int cmp = id_cmp(id, &c->due[mid].id);
        if (cmp == 0)
            return true;
        if (cmp < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return false;
}

/* May another copy have it? One that cannot be asked may. */
static bool is_elsewhere(const struct check *c, const char *name)
{
    uint64_t len;
    for (size_t i = 0; i < c->v->n_copies; i++) {
        const struct copy *other = &c->v->copies[i];
        if (other != c->copy &&
            (!usable(other) || store_stat(other->store, name, &len, NULL) != -ERR_ABSENT))
            return true;
    }
    return false;
}

static int check_object(void *ctx, enum object_type type, const struct object_ref *ref,
                        struct err *e)
{
    struct check *c = ctx;
    char name[MAX_OBJECT_NAME];
    uint64_t len = 0;
    struct err why = ERR_INIT;
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted"));
    object_name(type, &ref->id, name);
    met_again(c, name);
    c->result->objects++;
    c->result->packs += type == OBJECT_PACK;
    int rc = type == OBJECT_PACK && listing_has(c->packs, &ref->id, ref->len)
                 ? (len = ref->len, 0)
                 : store_stat(c->copy->store, name, &len, &why);
    if (rc == 0 && len != ref->len)
        rc = err_set(&why, ERR_DAMAGED, _("it is %llu bytes long and should be %llu"),
                     (unsigned long long)len, (unsigned long long)ref->len);
    /* What a copy that is behind lacks is no damage: replicate brings it. */
    if (rc == -ERR_ABSENT && c->copy->state == COPY_BEHIND && is_elsewhere(c, name))
        return 0;
    if (rc < 0)
        return report(c, type, ref, name, -rc, why.why, e);
    if (type == OBJECT_PACK && !is_due(c, &ref->id))
        return 0;
    c->result->packs_read += type == OBJECT_PACK;
    return check_bytes(c, type, ref, name, e);
}

/* --- which packs are read this time ---------------------------------------------------------------------------------------- */
struct all_packs {
    struct object_ref *refs;
    size_t n, cap;
};

static int collect(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    struct all_packs *a = ctx;
    if (pending)
        return 0;
    if (a->n == a->cap) {
        size_t cap = a->cap ? 2 * a->cap : 256;
        struct object_ref *grown = realloc(a->refs, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, _("no memory"));
        a->refs = grown;
        a->cap = cap;
    }
    a->refs[a->n++] = *pack;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(&((const struct object_ref *)a)->id, &((const struct object_ref *)b)->id);
}

static void cursor_key(const struct copy *c, char out[2 * MAX_NAME])
{
    snprintf(out, 2 * MAX_NAME, "scrubbed/%s", c->place);
}

/* By turns: the share that follows, in the order of the names, where the last one ended. */
static int choose_due(struct check *c, struct err *e)
{
    struct all_packs all = { 0 };
    struct id cursor = { 0 };
    char key[2 * MAX_NAME];
    size_t start = 0;
    int rc = chunkdb_each_pack(c->v->db, collect, &all, e);
    size_t want = (all.n * c->o->percent + 99) / 100;
    cursor_key(c->copy, key);
    if (rc == 0 && want > 0 && (rc = chunkdb_get_meta(c->v->db, key, cursor.b, ID_BYTES, e)) >= 0) {
        qsort(all.refs, all.n, sizeof *all.refs, by_id);
        while (rc == ID_BYTES && start < all.n && id_cmp(&all.refs[start].id, &cursor) <= 0)
            start++;
        rc = 0;
        c->due = malloc(want * sizeof *c->due);
        if (!c->due)
            rc = err_set(e, ERR_NOMEM, _("no memory"));
        for (size_t i = 0; c->due && i < want; i++)
            c->due[c->n_due++] = all.refs[(start + i) % all.n];
        if (rc == 0) {
            c->last_due = c->due[c->n_due - 1].id;
            qsort(c->due, c->n_due, sizeof *c->due, by_id);
        }
    }
    free(all.refs);
    return rc < 0 ? rc : 0;
}

/* --- objects without a hash in their name ---------------------------------------------------------------------------------------- */
static int check_vault(struct check *c, struct err *e)
{
    uint8_t *p = NULL;
    size_t n = 0;
    struct vault_public pub;
    struct err why = ERR_INIT;
    int rc = store_get_all(c->copy->store, VAULT_OBJECT_NAME, MAX_SMALL_OBJECT, &p, &n, &why);
    if (rc == 0)
        rc = vault_object_read(p, n, &pub, &why);
    if (rc == 0 && !vault_object_is_of(&pub, &c->v->keys))
        rc = err_set(&why, ERR_DAMAGED, _("it is not this vault's"));
    free(p);
    met_again(c, VAULT_OBJECT_NAME);
    c->result->objects++;
    if (rc < 0)
        return report(c, OBJECT_VAULT, NULL, VAULT_OBJECT_NAME, -rc, why.why, e);
    return chunkdb_clear_damage(c->v->db, c->copy->place, VAULT_OBJECT_NAME, e);
}

/* The recovery file has no hash in its name; what all copies agreed on once is remembered. */
static int check_recovery(struct check *c, struct err *e)
{
    uint8_t *p = NULL;
    size_t n = 0;
    struct id is, should;
    struct err why = ERR_INIT;
    int known = chunkdb_get_meta(c->v->db, "recovery", should.b, ID_BYTES, e);
    if (known < 0)
        return known;
    int rc = store_get_all(c->copy->store, RECOVERY_OBJECT_NAME, MAX_SMALL_OBJECT, &p, &n, &why);
    if (rc == 0)
        sha256_of(p, n, &is);
    free(p);
    if (rc == -ERR_ABSENT && known == 0)
        return 0; /* kept off the copies */
    met_again(c, RECOVERY_OBJECT_NAME);
    c->result->objects++;
    if (rc == 0 && known == ID_BYTES && !id_eq(&is, &should))
        rc = err_set(&why, ERR_DAMAGED, _("it is not the one that was written"));
    if (rc < 0)
        return report(c, OBJECT_RECOVERY, NULL, RECOVERY_OBJECT_NAME, -rc, why.why, e);
    return chunkdb_clear_damage(c->v->db, c->copy->place, RECOVERY_OBJECT_NAME, e);
}

/* Before the first look: when every copy that can be asked holds the same recovery file, that is the right one. */
static int learn_recovery(struct vault *v, struct err *e)
{
    struct id first, id;
    size_t same = 0;
    int rc = chunkdb_get_meta(v->db, "recovery", first.b, ID_BYTES, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    for (size_t i = 0; i < v->n_copies; i++) {
        uint8_t *p = NULL;
        size_t n = 0;
        if (!usable(&v->copies[i]) || store_get_all(v->copies[i].store, RECOVERY_OBJECT_NAME,
                                                    MAX_SMALL_OBJECT, &p, &n, NULL) < 0)
            continue;
        sha256_of(p, n, &id);
        free(p);
        if (same > 0 && !id_eq(&first, &id))
            return 0; /* they differ: nobody can tell without the passphrase */
        first = id;
        same++;
    }
    return same < 2 ? 0 : chunkdb_set_meta(v->db, "recovery", first.b, ID_BYTES, e);
}

struct head_check {
    struct check *c;
    struct err *e;
};

static int check_head(void *ctx, const char *name, uint64_t len)
{
    struct head_check *h = ctx;
    struct object_ref ref = { .len = len };
    if (!object_name_parse(OBJECT_HEAD, name, NULL, &ref.id))
        return 0;
    met_again(h->c, name);
    h->c->result->objects++;
    return check_bytes(h->c, OBJECT_HEAD, &ref, name, h->e);
}

/* --- the whole ------------------------------------------------------------------------------------------------------------------------ */
static int check_copy(struct check *c, struct err *e)
{
    struct head_check h = { c, e };
    int rc = chunkdb_each_damage(c->v->db, take_note, c, e);
    if (rc == 0)
        rc = check_vault(c, e);
    if (rc == 0)
        rc = check_recovery(c, e);
    if (rc == 0)
        rc = store_list(c->copy->store, "heads/", check_head, &h, e);
    if (rc == 0)
        rc = listing_load(c->copy->store, "packs/", &c->packs, e);
    if (rc == 0)
        rc = choose_due(c, e);
    if (rc == 0)
        rc = transfer_each_reached(c->v, check_object, c, e);
    if (rc == 0 && c->n_due > 0) {
        char key[2 * MAX_NAME];
        cursor_key(c->copy, key);
        rc = chunkdb_set_meta(c->v->db, key, c->last_due.b, ID_BYTES, e);
    }
    if (rc == 0)
        rc = drop_stale_notes(c, e);
    return rc < 0 ? err_wrap(e, _("copy \"%s\""), c->copy->place) : 0;
}

int care_check(struct vault *v, const struct care_options *o, struct care_result *ret,
               struct err *e)
{
    memset(ret, 0, sizeof *ret);
    int rc = vault_need_index(v, e);
    if (rc == 0)
        rc = learn_recovery(v, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++) {
        struct check c = { .v = v, .o = o, .result = ret, .at = i, .copy = &v->copies[i] };
        if (!usable(c.copy) || (o->only >= 0 && (size_t)o->only != i))
            continue;
        rc = check_copy(&c, e);
        ret->looked[i] = rc == 0;
        check_done(&c);
    }
    return rc;
}

/* --- mending ---------------------------------------------------------------------------------------------------------------------------- */
/* The good bytes of an object whose name has no hash of its own: from the copy where they prove right. */
static int other_good(struct vault *v, const struct finding *f, struct wbuf *out, struct err *e)
{
    struct id should, id;
    if (f->type == OBJECT_RECOVERY &&
        chunkdb_get_meta(v->db, "recovery", should.b, ID_BYTES, e) != ID_BYTES) {
        err_set(
            e, ERR_DAMAGED,
            _("the copies hold different recovery files, and which one is right only the passphrase tells"));
        return err_next(
            e, _("compare with the SHA-256 on the recovery kit, and copy the right file by hand"));
    }
    for (size_t i = 0; i < v->n_copies; i++) {
        struct vault_public pub;
        uint8_t *p = NULL;
        size_t n = 0;
        if (i == f->copy || !usable(&v->copies[i]) ||
            store_get_all(v->copies[i].store, f->name, MAX_OBJECT_BYTES, &p, &n, NULL) < 0)
            continue;
        sha256_of(p, n, &id);
        bool good = f->type == OBJECT_RECOVERY ? id_eq(&id, &should)
                    : f->type == OBJECT_HEAD   ? id_eq(&id, &f->ref.id)
                                               : vault_object_read(p, n, &pub, NULL) == 0 &&
                                                   vault_object_is_of(&pub, &v->keys);
        if (good)
            wb_bytes(out, p, n);
        free(p);
        if (good)
            return out->failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
    }
    return err_set(e, ERR_DAMAGED, _("no other copy has it whole"));
}

static int mend_small(struct vault *v, const struct finding *f, const char *stamp,
                      struct mended *ret, struct err *e)
{
    struct wbuf good = WBUF_INIT, back = WBUF_INIT;
    struct store *s = v->copies[f->copy].store;
    int rc = other_good(v, f, &good, e);
    struct store_data d = { .p = good.p, .fd = -1, .len = good.len };
    if (rc == 0)
        rc = store_replace(s, f->name, &d, stamp, e);
    if (rc == 0 && wb_grow(&back, good.len))
        rc = store_get(s, f->name, 0, good.len, back.p, e);
    if (rc == 0 &&
        (!back.p || !good.p || back.len != good.len || memcmp(back.p, good.p, good.len) != 0))
        rc = err_set(e, ERR_DAMAGED, _("what was written does not read back"));
    ret->bytes += rc == 0 ? good.len : 0;
    wbuf_free(&good);
    wbuf_free(&back);
    return rc;
}

static int mend_named(struct vault *v, const struct finding *f, const char *stamp,
                      struct mended *ret, struct err *e)
{
    struct store *s = v->copies[f->copy].store;
    struct id id;
    int fd = transfer_fetch(v, f->type, &f->ref, &ret->from_parts, e);
    if (fd < 0)
        return fd;
    struct store_data d = { .fd = fd, .len = f->ref.len };
    int rc = store_replace(s, f->name, &d, stamp, e);
    sys_close_quiet(fd);
    if (rc == 0)
        rc = hash_object(s, f->name, f->ref.len, &id, e);
    if (rc == 0 && !id_eq(&id, &f->ref.id))
        rc = err_set(e, ERR_DAMAGED, _("what was written does not read back"));
    ret->bytes += rc == 0 ? f->ref.len : 0;
    return rc;
}

int care_mend(struct vault *v, const struct finding *f, const char *stamp, struct mended *ret,
              struct err *e)
{
    bool small = f->type == OBJECT_VAULT || f->type == OBJECT_RECOVERY || f->type == OBJECT_HEAD;
    ret->from_parts = false;
    int rc = small ? mend_small(v, f, stamp, ret, e) : mend_named(v, f, stamp, ret, e);
    if (rc == 0)
        rc = chunkdb_clear_damage(v->db, v->copies[f->copy].place, f->name, e);
    if (rc < 0)
        return err_wrap(e, _("copy \"%s\": %s"), v->copies[f->copy].place, f->name);
    ret->objects++;
    return 0;
}
