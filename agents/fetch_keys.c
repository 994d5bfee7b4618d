/* fetch_keys.c - data keys of a restore and the boxes that workers open chunks with. Manual:
 * agents/fetch_keys.h. */
#include "agents/fetch_keys.h"
#include "agents/fetch_remote.h"
#include "lib/base/i18n.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A box holds two buffers as large as a chunk. Chunks of one session lie together, so few are
 * needed. */
#define BOXES 3

struct key {
    struct id id;
    struct secret *key;
};

struct keyring {
    pthread_mutex_t lock;
    struct key *v;
    size_t n, cap;
};

struct boxes {
    struct keyring *keys;
    struct id vault_id;
    struct chunk_box *box[BOXES]; /* the last used first */
};

struct keyring *keyring_new(void)
{
    struct keyring *k = calloc(1, sizeof *k);
    if (k)
        pthread_mutex_init(&k->lock, NULL);
    return k;
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->n; i++)
        secret_free(k->v[i].key);
    free(k->v);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* Under the lock. The last ones are the likeliest. */
static const struct key *find(const struct keyring *k, const struct id *id)
{
    for (size_t i = k->n; i > 0; i--) {
        if (id_eq(&k->v[i - 1].id, id))
            return &k->v[i - 1];
    }
    return NULL;
}

static int append(struct keyring *k, const struct id *id, const uint8_t *bytes, struct err *e)
{
    if (k->n >= MAX_SESSION_KEYS)
        return err_set(e, ERR_LIMIT, _("more than %d data keys"), MAX_SESSION_KEYS);
    if (k->n == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 16;
        struct key *v = realloc(k->v, cap * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        k->v = v;
        k->cap = cap;
    }
    struct secret *key = secret_of(bytes, KEY_BYTES);
    if (!key)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    k->v[k->n++] = (struct key){ .id = *id, .key = key };
    return 0;
}

int keyring_add(struct keyring *k, struct rbuf *payload, struct err *e)
{
    struct id id;
    int r = 0;
    rb_id(payload, &id);
    const uint8_t *bytes = rb_bytes(payload, KEY_BYTES);
    if (!bytes || !rb_done(payload))
        return err_set(e, ERR_PROTOCOL, _("a data key is not as it should be"));
    pthread_mutex_lock(&k->lock);
    if (!find(k, &id))
        r = append(k, &id, bytes, e);
    pthread_mutex_unlock(&k->lock);
    return r;
}

struct boxes *boxes_new(struct keyring *k, const struct id *vault_id)
{
    struct boxes *b = calloc(1, sizeof *b);
    if (b) {
        b->keys = k;
        b->vault_id = *vault_id;
    }
    return b;
}

void boxes_free(struct boxes *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < BOXES; i++)
        chunk_box_free(b->box[i]);
    free(b);
}

static struct chunk_box *to_front(struct boxes *b, size_t i, struct chunk_box *box)
{
    for (; i > 0; i--)
        b->box[i] = b->box[i - 1];
    b->box[0] = box;
    return box;
}

struct chunk_box *boxes_get(struct boxes *b, const struct id *key_id, struct err *e)
{
    for (size_t i = 0; i < BOXES && b->box[i]; i++) {
        if (id_eq(chunk_box_key_id(b->box[i]), key_id))
            return to_front(b, i, b->box[i]);
    }
    struct chunk_box *box = NULL;
    pthread_mutex_lock(&b->keys->lock);
    const struct key *k = find(b->keys, key_id);
    if (k)
        box = chunk_box_new(&b->vault_id, key_id, secret_bytes(k->key));
    pthread_mutex_unlock(&b->keys->lock);
    if (!box) {
        if (k)
            err_set(e, ERR_NOMEM, _("out of memory"));
        else
            err_set(e, ERR_KEY, _("the key of the chunk was not sent"));
        return NULL;
    }
    chunk_box_free(b->box[BOXES - 1]);
    return to_front(b, BOXES - 1, box);
}
