/* vault_state.c - which heads count and what they say together: tips, forks and the union; docs/format.md, rules 6 and 8. */
#include "restore/vault_internal.h"
#include "lib/base/i18n.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define MAX_HEAD_TRIES 5

bool head_descends(const struct head *h, const struct id *own, const struct id *ancestor)
{
    if (id_eq(own, ancestor))
        return true;
    for (size_t i = 0; i < h->n_ancestors; i++)
        if (id_eq(&h->ancestors[i].id, ancestor))
            return true;
    return false;
}

/* Rule 6. Beyond the ancestors that are named one by one, the chains tell. */
static bool supersedes(const struct tip *newer, const struct head *old, const struct id *old_id)
{
    const struct head *h = newer->head;
    if (head_descends(h, &newer->id, old_id))
        return true;
    if (h->n_ancestors < MAX_ANCESTORS ||
        h->ancestors[h->n_ancestors - 1].generation <= old->generation)
        return false;
    for (size_t i = 0; i < h->n_chains; i++)
        if (id_eq(&h->chains[i].writer, &old->writer) && h->chains[i].epoch == old->epoch)
            return h->chains[i].generation >= old->generation;
    return false;
}

/* --- gathering the heads of all copies --------------------------------------------------------------------------- */
struct seen_heads {
    struct seen_head *h;
    size_t n, cap;
};

static int note_head(void *ctx, const char *name, uint64_t len)
{
    struct seen_heads *s = ctx;
    struct seen_head h = { .len = len };
    if (!object_name_parse(OBJECT_HEAD, name, &h.generation, &h.id))
        return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        struct seen_head *grown = realloc(s->h, cap * sizeof *grown);
        if (!grown)
            return -ERR_NOMEM;
        s->h = grown;
        s->cap = cap;
    }
    s->h[s->n++] = h;
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct seen_head *x = a, *y = b;
    if (x->generation != y->generation)
        return x->generation < y->generation ? 1 : -1;
    return id_cmp(&x->id, &y->id);
}

int heads_of_store(struct store *s, struct seen_head **ret, size_t *ret_n, struct err *e)
{
    struct seen_heads list = { 0 };
    int rc = store_list(s, "heads/", note_head, &list, e);
    if (rc < 0) {
        free(list.h);
        return rc;
    }
    if (list.n)
        qsort(list.h, list.n, sizeof *list.h, newest_first);
    *ret = list.h;
    *ret_n = list.n;
    return 0;
}

/* Loads and verifies one head from one copy. */
static int load_head(struct vault *v, struct copy *c, const struct seen_head *sh, struct head **ret,
                     struct err *e)
{
    char name[MAX_OBJECT_NAME];
    uint8_t *p = NULL;
    size_t n = 0;
    struct id id;
    struct wbuf plain = WBUF_INIT;
    head_name(sh->generation, &sh->id, name);
    int rc = store_get_all(c->store, name, MAX_OBJECT_BYTES, &p, &n, e);
    if (rc < 0)
        return rc;
    sha256_of(p, n, &id);
    if (!id_eq(&id, &sh->id))
        rc = err_set(e, ERR_DAMAGED, _("its bytes do not have the hash that its name says"));
    if (rc == 0)
        rc = envelope_open(&v->keys, OBJECT_HEAD, p, n, &plain, e);
    if (rc == 0)
        rc = head_read(plain.p, plain.len, ret, e);
    if (rc == 0 && (*ret)->generation != sh->generation) {
        head_free(*ret);
        *ret = NULL;
        rc = err_set(e, ERR_DAMAGED, _("it is of another generation than its name says"));
    }
    free(p);
    wbuf_free(&plain);
    return rc < 0 ? err_wrap(e, _("copy \"%s\": %s"), c->place, name) : 0;
}

/* A head that is not yet among the candidates joins them; it and they may supersede one another. */
static int consider(struct vault *v, struct head *h, const struct seen_head *sh, struct err *e)
{
    struct tip mine = { .head = h, .id = sh->id };
    assert(h);
    for (size_t i = 0; i < v->n_tips; i++)
        if (supersedes(&v->tips[i], h, &sh->id)) {
            head_free(h);
            return 0;
        }
    size_t kept = 0;
    for (size_t i = 0; i < v->n_tips; i++) {
        if (supersedes(&mine, v->tips[i].head, &v->tips[i].id))
            head_free(v->tips[i].head);
        else
            v->tips[kept++] = v->tips[i];
    }
    v->n_tips = kept;
    if (v->n_tips == MAX_TIPS) {
        head_free(h);
        return err_set(e, ERR_LIMIT,
                       _("more than %d orchestrators have written to this vault at once"),
                       MAX_TIPS);
    }
    v->tips[v->n_tips++] = (struct tip){ .head = h, .id = sh->id, .len = sh->len };
    return 0;
}

static bool is_candidate(const struct vault *v, const struct id *id)
{
    for (size_t i = 0; i < v->n_tips; i++)
        if (head_descends(v->tips[i].head, &v->tips[i].id, id))
            return true;
    return false;
}

/* 1: one that was listed is gone by now: others commit, and old heads go. */
static int read_listed(struct vault *v, struct copy *c, const struct seen_head *list, size_t n,
                       bool again, struct err *e)
{
    for (size_t i = 0; i < n && i < MAX_HEADS_KEPT; i++) {
        struct head *h = NULL;
        struct err why = ERR_INIT;
        /* An older head is of no interest once a newer one of this copy was good: it is superseded or was, in its
         * time, a fork that the newer one merged. Only equals may both be tips. */
        if (c->generation != 0 && list[i].generation < c->generation &&
            is_candidate(v, &list[i].id))
            continue;
        int rc = load_head(v, c, &list[i], &h, &why);
        if (rc == -ERR_ABSENT && again)
            return 1;
        if (rc == -ERR_DAMAGED || rc == -ERR_ABSENT || rc == -ERR_VERSION) {
            c->bad_heads++;
            c->problem = why;
            continue;
        }
        if (rc < 0) {
            if (e)
                *e = why;
            return rc;
        }
        if (c->generation == 0) {
            c->generation = list[i].generation;
            c->head = list[i].id;
        }
        rc = consider(v, h, &list[i], e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int read_heads(struct vault *v, struct copy *c, struct err *e)
{
    int rc = 1;
    for (int tries = 0; rc == 1; tries++) {
        struct seen_head *list = NULL;
        size_t n = 0;
        rc = heads_of_store(c->store, &list, &n, e);
        c->bad_heads = 0;
        if (rc == 0)
            rc = read_listed(v, c, list, n, tries < MAX_HEAD_TRIES, e);
        free(list);
    }
    return rc;
}

static bool is_known(const struct seen_head *known, size_t n, const struct id *id)
{
    for (size_t i = 0; i < n; i++)
        if (id_eq(&known[i].id, id))
            return true;
    return false;
}

static int is_ours(struct vault *v, struct copy *c, const struct seen_head *sh, bool *ret,
                   struct err *e)
{
    struct tip newer = { .id = sh->id };
    int rc = load_head(v, c, sh, &newer.head, e);
    *ret = rc == -ERR_ABSENT; /* an old one that went */
    if (rc == -ERR_ABSENT || rc == -ERR_DAMAGED || rc == -ERR_VERSION) {
        err_clear(e);
        return 0;
    }
    if (rc == 0 && newer.head)
        *ret = id_eq(&newer.head->writer, &v->writer) &&
               supersedes(&newer, v->tips[0].head, &v->tips[0].id);
    head_free(newer.head);
    return rc;
}

int vault_others_wrote(struct vault *v, struct copy *c, const struct seen_head *known, size_t n,
                       bool *ret, struct err *e)
{
    struct seen_head *list = NULL;
    size_t n_list = 0;
    int rc = heads_of_store(c->store, &list, &n_list, e);
    *ret = false;
    for (size_t i = 0; rc == 0 && !*ret && i < n_list; i++) {
        bool ours = true;
        if (!is_known(known, n, &list[i].id) && !is_candidate(v, &list[i].id))
            rc = is_ours(v, c, &list[i], &ours, e);
        *ret = !ours;
    }
    free(list);
    return rc;
}

/* --- the union ----------------------------------------------------------------------------------------------------------- */
static int add_ref(struct object_ref **refs, size_t *n, const struct object_ref *r)
{
    for (size_t i = 0; i < *n; i++)
        if (id_eq(&(*refs)[i].id, &r->id))
            return 0;
    struct object_ref *grown = realloc(*refs, (*n + 1) * sizeof *grown);
    if (!grown)
        return -1;
    grown[(*n)++] = *r;
    *refs = grown;
    return 0;
}

static int add_refs(struct object_ref **refs, size_t *n, const struct object_ref *from,
                    size_t n_from)
{
    for (size_t i = 0; i < n_from; i++)
        if (add_ref(refs, n, &from[i]) < 0)
            return -1;
    return 0;
}

static int by_receipt(const void *a, const void *b)
{
    const struct snap_ref *x = a, *y = b;
    if (x->received_ns != y->received_ns)
        return x->received_ns < y->received_ns ? -1 : 1;
    return id_cmp(&x->ref.id, &y->ref.id);
}

/* Adds what `from` has and `to` lacks. */
static int merge_list(struct source_list *to, const struct source_list *from)
{
    for (size_t i = 0; i < from->n; i++) {
        bool there = false;
        for (size_t k = 0; k < to->n && !there; k++) {
            there = id_eq(&to->snaps[k].ref.id, &from->snaps[i].ref.id);
            to->snaps[k].flags |= there ? from->snaps[i].flags & SNAPSHOT_HELD : 0; /* by either */
        }
        if (there)
            continue;
        struct snap_ref *grown = realloc(to->snaps, (to->n + 1) * sizeof *grown);
        if (!grown)
            return -1;
        grown[to->n++] = from->snaps[i];
        to->snaps = grown;
    }
    if (to->n)
        qsort(to->snaps, to->n, sizeof *to->snaps, by_receipt);
    return 0;
}

static int put_list(struct vault *v, struct source_list *l, const struct id *object)
{
    struct source_list **lists = realloc(v->lists, (v->n_lists + 1) *
                                                       sizeof(struct source_list *)); /* NOLINT */
    if (lists)
        v->lists = lists;
    struct id *objects = lists ? realloc(v->list_objects, (v->n_lists + 1) * sizeof *objects)
                               : NULL;
    if (!objects)
        return -1;
    v->list_objects = objects;
    lists[v->n_lists] = l;
    objects[v->n_lists++] = *object;
    return 0;
}

/* Takes l. */
static int add_list(struct vault *v, struct source_list *l, const struct id *object, struct err *e)
{
    int rc = -1;
    for (size_t i = 0; i < v->n_lists; i++)
        if (strcmp(v->lists[i]->source, l->source) == 0) {
            v->list_objects[i] = (struct id){ 0 };
            rc = merge_list(v->lists[i], l);
            source_list_free(l);
            return rc < 0 ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
        }
    rc = put_list(v, l, object);
    if (rc < 0)
        source_list_free(l);
    return rc < 0 ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
}

int vault_list_at(struct vault *v, const char *source, size_t *ret_at, struct err *e)
{
    for (size_t i = 0; i < v->n_lists; i++)
        if (strcmp(v->lists[i]->source, source) == 0) {
            *ret_at = i;
            return 0;
        }
    struct source_list *l = calloc(1, sizeof *l);
    if (l && (l->source = strdup(source)) && put_list(v, l, &(struct id){ 0 }) == 0) {
        *ret_at = v->n_lists - 1;
        return 0;
    }
    source_list_free(l);
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* Nobody can give it. A reader makes do also when a copy is away; a writer waits for that copy. */
static bool is_gone(const struct vault *v, int rc)
{
    return rc == -ERR_DAMAGED || rc == -ERR_ABSENT || (rc == -ERR_UNREACHABLE && !v->writes);
}

/* What was loaded before: what has the same name now is taken from it. */
struct earlier {
    struct source_list **lists;
    struct id *list_objects;
    size_t n_lists;
    struct key_set *keys;
    struct id *key_objects;
};

static struct source_list *take_list(struct earlier *was, const struct id *object)
{
    for (size_t i = 0; i < was->n_lists; i++)
        if (was->lists[i] && id_eq(&was->list_objects[i], object)) {
            struct source_list *l = was->lists[i];
            was->lists[i] = NULL;
            return l;
        }
    return NULL;
}

static int read_list(struct vault *v, const struct head_list *hl, struct source_list **ret,
                     struct id *ret_object, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    int rc = vault_open_object(v, OBJECT_LIST, &hl->ref, &plain, e);
    *ret_object = hl->ref.id;
    if (is_gone(v, rc)) {
        err_clear(e);
        v->n_lost_lists++;
        *ret_object = (struct id){ 0 };
        rc = list_rebuild(v, hl->source, ret, e);
    } else if (rc == 0) {
        rc = source_list_read(plain.p, plain.len, ret, e);
    }
    wbuf_free(&plain);
    return rc;
}

static int load_lists(struct vault *v, const struct head *h, struct earlier *was, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h->n_lists; i++) {
        struct id object = h->lists[i].ref.id;
        struct source_list *l = take_list(was, &object);
        if (!l)
            rc = read_list(v, &h->lists[i], &l, &object, e);
        if (rc == 0 && strcmp(l->source, h->lists[i].source) != 0) {
            source_list_free(l);
            rc = err_set(e, ERR_DAMAGED,
                         _("a list of snapshots is of another source than the head says"));
        } else if (rc == 0) {
            rc = add_list(v, l, &object, e);
        }
    }
    return rc;
}

/* True when the object's keys were loaded before; they are now again. */
static bool take_keys(struct vault *v, const struct earlier *was, const struct id *object, int *rc,
                      struct err *e)
{
    bool found = false;
    for (size_t i = 0; *rc == 0 && was->keys && i < was->keys->n; i++)
        if (id_eq(&was->key_objects[i], object)) {
            *rc = add_data_key(v, &was->keys->keys[i], object, e);
            found = true;
        }
    return found;
}

static int read_keys(struct vault *v, const struct object_ref *ref, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    struct key_set *k = NULL;
    int rc = vault_open_object(v, OBJECT_KEYS, ref, &plain, e);
    if (is_gone(v, rc)) {
        v->n_lost_keys++;
        err_clear(e);
        rc = 0;
    } else if (rc == 0) {
        rc = key_set_read(plain.p, plain.len, &k, e);
    }
    for (size_t i = 0; rc == 0 && k && i < k->n; i++)
        rc = add_data_key(v, &k->keys[i], &ref->id, e);
    key_set_free(k);
    wbuf_free(&plain);
    return rc;
}

static int load_data_keys(struct vault *v, const struct earlier *was, struct err *e)
{
    int rc = 0;
    v->data_keys = calloc(1, sizeof *v->data_keys);
    if (!v->data_keys)
        return err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < v->state->n_keys; i++)
        if (!take_keys(v, was, &v->state->keys[i].id, &rc, e) && rc == 0)
            rc = read_keys(v, &v->state->keys[i], e);
    return rc;
}

static int lose_index(struct vault *v, const struct id *id, struct err *e)
{
    if (v->n_lost_index == MAX_LOST_INDEX)
        return err_set(e, ERR_LIMIT, _("more than %d index objects are lost"), MAX_LOST_INDEX);
    v->lost_index[v->n_lost_index++] = *id;
    return v->writes ? chunkdb_note_lost_index(v->db, id, e) : 0;
}

static int load_index(void *ctx, const struct object_ref *ref, struct wbuf *out, struct err *e)
{
    struct vault *v = ctx;
    int rc = vault_open_object(v, OBJECT_INDEX, ref, out, e);
    if (!is_gone(v, rc))
        return rc;
    err_clear(e);
    rc = index_rebuild(v, out, e);
    return rc < 0 ? rc : lose_index(v, &ref->id, e);
}

/* Those that an earlier process rebuilt, and nobody has written anew yet. */
static int recall_lost(struct vault *v, struct err *e)
{
    for (size_t i = 0; i < v->state->n_index; i++) {
        bool known = false;
        for (size_t k = 0; k < v->n_lost_index; k++)
            known |= id_eq(&v->lost_index[k], &v->state->index[i].id);
        int rc = known ? 0 : chunkdb_is_lost_index(v->db, &v->state->index[i].id, e);
        if (rc > 0)
            rc = lose_index(v, &v->state->index[i].id, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int vault_resync(struct vault *v, struct err *e)
{
    int rc = chunkdb_sync(v->db, v->state->index, v->state->n_index, load_index, v, e);
    if (rc == 0 && v->writes)
        rc = recall_lost(v, e);
    v->index_loaded = rc == 0;
    return rc;
}

int vault_need_index(struct vault *v, struct err *e)
{
    return v->index_loaded ? 0 : vault_resync(v, e);
}

void drop_tips(struct vault *v)
{
    for (size_t i = 0; i < v->n_tips; i++)
        head_free(v->tips[i].head);
    v->n_tips = 0;
}

static void earlier_done(struct earlier *was)
{
    for (size_t i = 0; i < was->n_lists; i++)
        source_list_free(was->lists[i]);
    free(was->lists);
    free(was->list_objects);
    key_set_free(was->keys);
    free(was->key_objects);
}

static int load_union(struct vault *v, struct earlier *was, struct err *e)
{
    struct head *s = v->state = calloc(1, sizeof *s);
    int rc = s ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < v->n_tips; i++) {
        const struct head *h = v->tips[i].head;
        s->generation = h->generation > s->generation ? h->generation : s->generation;
        if (add_refs(&s->index, &s->n_index, h->index, h->n_index) < 0 ||
            add_refs(&s->keys, &s->n_keys, h->keys, h->n_keys) < 0 ||
            add_refs(&s->bases, &s->n_bases, h->bases, h->n_bases) < 0)
            rc = err_set(e, ERR_NOMEM, _("no memory"));
        else
            rc = load_lists(v, h, was, e);
    }
    return rc < 0 ? rc : load_data_keys(v, was, e);
}

int load_state(struct vault *v, struct err *e)
{
    struct earlier was = { v->lists, v->list_objects, v->n_lists, v->data_keys, v->key_objects };
    head_free(v->state);
    v->state = NULL;
    v->lists = NULL;
    v->list_objects = NULL;
    v->data_keys = NULL;
    v->key_objects = NULL;
    v->n_lists = v->n_lost_lists = v->n_lost_keys = 0;
    int rc = load_union(v, &was, e);
    v->dirty = rc < 0;
    earlier_done(&was);
    return rc;
}

/* Current: its newest head is a tip, and the only one; with a fork nobody is. */
void judge_copies(struct vault *v)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        struct copy *c = &v->copies[i];
        if (c->state == COPY_AWAY || c->state == COPY_WRONG)
            continue;
        bool current = v->n_tips == 0 || (v->n_tips == 1 && id_eq(&v->tips[0].id, &c->head));
        c->state = current ? COPY_CURRENT : COPY_BEHIND;
    }
}

bool vault_written_elsewhere(const struct vault *v)
{
    for (size_t i = 0; i < v->n_tips; i++)
        if (!id_eq(&v->tips[i].head->writer, &v->writer))
            return true;
    return false;
}

const struct source_list *vault_list(const struct vault *v, const char *source)
{
    for (size_t i = 0; i < v->n_lists; i++)
        if (strcmp(v->lists[i]->source, source) == 0)
            return v->lists[i];
    return NULL;
}
