/* vault_lock.c - many processes, one vault: the lock, and what is done with it first; see vault.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "restore/vault_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOCK_POLL_MS 20
#define MAX_HOLDER_BYTES 256

static char *lock_path(const struct vault *v, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", v->state_dir, name) < 0 ? NULL : path;
}

/* For whoever waits for it. That it cannot be written keeps nobody from work. */
static void sign(int fd, const char *text)
{
    if (ftruncate(fd, 0) == 0)
        sys_pwrite(fd, text, strlen(text), 0, NULL);
}

static void holder(const char *path, char out[MAX_HOLDER_BYTES])
{
    uint8_t *text = NULL;
    size_t n = 0;
    bool known = sys_read_file(AT_FDCWD, path, MAX_HOLDER_BYTES - 1, &text, &n, NULL) == 0 && n > 0;
    snprintf(out, MAX_HOLDER_BYTES, "%s", known ? (char *)text : _("another process"));
    free(text);
}

static void sign_as_self(const struct vault *v, int fd)
{
    char text[MAX_HOLDER_BYTES];
    snprintf(text, sizeof text, _("%s (process %ld)"), presence_what(v->presence), (long)getpid());
    sign(fd, text);
}

/* Waits by asking again: the order in which they come to it does not matter, and each has it for a moment only. */
int vault_lock_only(struct vault *v, struct err *e)
{
    char who[MAX_HOLDER_BYTES];
    char *path = lock_path(v, "lock");
    uint64_t until = sys_monotonic_ms() + VAULT_LOCK_WAIT_MS;
    int fd = path ? sys_lock_file(path, e) : err_set(e, ERR_NOMEM, _("no memory"));
    while (fd == -ERR_BUSY && sys_monotonic_ms() < until && !sys_interrupted()) {
        uint8_t chance;
        sys_random(&chance, 1);
        usleep((LOCK_POLL_MS + chance % LOCK_POLL_MS) * 1000);
        err_clear(e);
        fd = sys_lock_file(path, e);
    }
    if (fd == -ERR_BUSY && sys_interrupted()) {
        fd = err_set(e, ERR_INTERRUPTED, _("interrupted"));
    } else if (fd == -ERR_BUSY) {
        holder(path, who);
        err_set(e, ERR_BUSY, _("%s has been writing to vault \"%s\" for %d s without an end"), who,
                v->name, VAULT_LOCK_WAIT_MS / 1000);
        err_next(e, _("see what keeps it (a slow copy?), then run this again"));
    }
    free(path);
    if (fd < 0)
        return fd;
    v->lock_fd = fd;
    sign_as_self(v, fd);
    return 0;
}

/* The newest head of each copy is the one that was seen on it: nothing has changed. */
static bool is_unchanged(struct vault *v)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        struct copy *c = &v->copies[i];
        struct seen_head *list = NULL;
        size_t n = 0;
        if (c->state == COPY_AWAY || c->state == COPY_WRONG)
            continue;
        if (c->bad_heads || heads_of_store(c->store, &list, &n, NULL) < 0)
            return false;
        bool same = n == 0 ? c->generation == 0
                           : list[0].generation == c->generation && id_eq(&list[0].id, &c->head) &&
                                 (n == 1 || list[1].generation < c->generation);
        free(list);
        if (!same)
            return false;
    }
    return true;
}

static bool same_tips(const struct vault *v, const struct tip *was, size_t n_was)
{
    size_t same = 0;
    for (size_t i = 0; i < v->n_tips; i++)
        for (size_t k = 0; k < n_was; k++)
            same += id_eq(&v->tips[i].id, &was[k].id);
    return v->n_tips == n_was && same == n_was;
}

/* All heads anew. Lists that have the same name as before need not be read again, so the old tips are kept until then. */
static int read_tips(struct vault *v, struct err *e)
{
    struct tip was[MAX_TIPS];
    size_t n_was = v->n_tips;
    memcpy(was, v->tips, sizeof was);
    v->n_tips = 0;
    for (size_t i = 0; i < v->n_copies; i++)
        if (v->copies[i].state != COPY_AWAY && v->copies[i].state != COPY_WRONG)
            look_at_copy(v, &v->copies[i]);
    int rc = none_readable(v, e);
    if (rc == 0)
        judge_copies(v);
    if (rc == 0 && (v->dirty || !same_tips(v, was, n_was)))
        rc = load_state(v, e);
    for (size_t i = 0; i < n_was; i++)
        head_free(was[i].head);
    return rc;
}

int vault_refresh(struct vault *v, struct err *e)
{
    int rc = 0;
    if (!is_unchanged(v))
        rc = read_tips(v, e);
    else if (v->dirty)
        rc = load_state(v, e);
    if (rc == 0)
        rc = load_seen(v, e);
    if (rc == 0)
        rc = vault_resync(v, e);
    if (rc == 0)
        rc = add_own_keys(v, e);
    if (rc == 0)
        rc = presence_generation(v->presence, v->state->generation, e);
    check_rollback(v);
    return rc;
}

int vault_lock(struct vault *v, struct err *e)
{
    int rc = vault_lock_only(v, e);
    if (rc == 0 && (rc = vault_refresh(v, e)) < 0) {
        v->dirty = true;
        vault_unlock(v);
    }
    return rc < 0 ? err_wrap(e, _("vault \"%s\""), v->name) : 0;
}

void vault_unlock(struct vault *v)
{
    sys_close_quiet(v->lock_fd);
    v->lock_fd = -1;
}

int vault_claim(struct vault *v, const char *source, struct err *e)
{
    char who[MAX_HOLDER_BYTES], hex[ID_HEX_BYTES], name[64];
    struct id hash;
    sha256_of(source, strlen(source), &hash);
    snprintf(name, sizeof name, "sources/%.32s", id_hex(&hash, hex));
    char *dir = lock_path(v, "sources"), *path = lock_path(v, name);
    int rc = dir && path ? sys_mkdir_p(dir, 0700, e) : err_set(e, ERR_NOMEM, _("no memory"));
    int fd = rc == 0 ? sys_lock_file(path, e) : rc;
    if (fd == -ERR_BUSY) {
        holder(path, who);
        err_set(e, ERR_BUSY, _("it is being done already: %s"), who);
        err_next(e, _("wait until that has ended; see what it does: twofold status"));
    }
    free(dir);
    free(path);
    if (fd < 0)
        return fd;
    v->source_fd = fd;
    sign_as_self(v, fd);
    return 0;
}

/* --- own data keys -------------------------------------------------------------------------------------------------- */
int add_data_key(struct vault *v, const struct data_key *k, const struct id *object, struct err *e)
{
    size_t n = v->data_keys->n;
    struct data_key *keys = realloc(v->data_keys->keys, (n + 1) * sizeof *keys);
    if (keys)
        v->data_keys->keys = keys;
    struct id *objects = keys ? realloc(v->key_objects, (n + 1) * sizeof *objects) : NULL;
    if (!objects)
        return err_set(e, ERR_NOMEM, _("no memory"));
    v->key_objects = objects;
    keys[n] = *k;
    objects[n] = *object;
    v->data_keys->n++;
    return 0;
}

static int add_own_key(struct vault *v, const struct own_key *k, struct err *e)
{
    struct head *s = v->state;
    for (size_t i = 0; i < v->data_keys->n; i++)
        if (id_eq(&v->data_keys->keys[i].id, &k->key.id))
            return 0;
    struct object_ref *grown = realloc(s->keys, (s->n_keys + 1) * sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, _("no memory"));
    s->keys = grown;
    grown[s->n_keys++] = k->ref;
    return add_data_key(v, &k->key, &k->ref.id, e);
}

int add_own_keys(struct vault *v, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < v->n_own_keys; i++)
        rc = add_own_key(v, &v->own_keys[i], e);
    return rc;
}

int vault_add_own_key(struct vault *v, const struct data_key *k, const struct object_ref *ref,
                      struct err *e)
{
    int rc = chunkdb_add_pending_key(v->db, k, ref, e);
    if (rc < 0)
        return rc;
    struct own_key *grown = realloc(v->own_keys, (v->n_own_keys + 1) * sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, _("no memory"));
    v->own_keys = grown;
    grown[v->n_own_keys] = (struct own_key){ *k, *ref };
    return add_own_key(v, &grown[v->n_own_keys++], e);
}
