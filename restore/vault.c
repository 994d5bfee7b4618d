/* vault.c - opening a vault, from its configuration or from one copy alone; see vault.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "restore/vault_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_VAULT_OBJECT 4096
#define MAX_RECOVERY_BYTES 65536
#define OPEN_SLICE_MS 20
#define HURRY_LOOK_MS 30000 /* at what did not come with the opening: older heads */

static struct vault *vault_new(const char *name)
{
    struct vault *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->lock_fd = v->source_fd = -1;
    v->name = strdup(name);
    if (!v->name) {
        free(v);
        return NULL;
    }
    return v;
}

static void copy_done(struct copy *c)
{
    store_close(c->store);
    free(c->place);
    free(c->url);
    free(c->identity);
    free(c->host_key);
}

void vault_close(struct vault *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n_copies; i++)
        copy_done(&v->copies[i]);
    drop_tips(v);
    for (size_t i = 0; i < v->n_lists; i++)
        source_list_free(v->lists[i]);
    free(v->lists);
    free(v->list_objects);
    head_free(v->state);
    key_set_free(v->data_keys);
    free(v->key_objects);
    free(v->own_keys);
    chunkdb_close(v->db);
    vault_keys_done(&v->keys);
    vault_unlock(v);
    sys_close_quiet(v->source_fd);
    presence_end(v->presence);
    free(v->sessions_dir);
    free(v->state_dir);
    free(v->name);
    free(v);
}

static int add_copy(struct vault *v, const struct copy_conf *from, struct err *e)
{
    struct copy *c = &v->copies[v->n_copies++];
    c->place = strdup(from->place);
    c->url = strdup(from->url);
    c->identity = from->identity ? strdup(from->identity) : NULL;
    c->host_key = from->host_key ? strdup(from->host_key) : NULL;
    c->limit_bytes_s = from->limit_bytes_s;
    c->rotating = from->rotating;
    return c->place && c->url && !c->identity == !from->identity && !c->host_key == !from->host_key
               ? 0
               : err_set(e, ERR_NOMEM, _("no memory"));
}

/* Whose vault is it? A copy of another one must never be read as ours, or written. */
static int check_vault_object(struct vault *v, struct copy *c, struct err *e)
{
    uint8_t *p = NULL;
    size_t n = 0;
    struct vault_public pub;
    int rc = store_get_all(c->store, VAULT_OBJECT_NAME, MAX_VAULT_OBJECT, &p, &n, e);
    if (rc == 0)
        rc = vault_object_read(p, n, &pub, e);
    free(p);
    if (rc == -ERR_ABSENT)
        return err_set(e, ERR_UNREACHABLE, _("there is no vault in %s: is the disk mounted?"),
                       c->url);
    if (rc < 0)
        return rc;
    if (!id_eq(&pub.vault_id, &v->keys.vault_id)) {
        err_set(e, ERR_REFUSED, _("%s holds another vault"), c->url);
        return err_next(
            e, _("check the copy's url in the vault's configuration, and what is mounted there"));
    }
    if (!vault_object_is_of(&pub, &v->keys))
        return err_set(e, ERR_DAMAGED, _("its vault object names keys that are not this vault's"));
    return 0;
}

bool vault_copy_carried(const struct copy *c)
{
    int sys = c->problem.sys;
    return c->rotating && c->state == COPY_AWAY && c->problem.code == ERR_UNREACHABLE &&
           sys != EACCES && sys != EPERM && sys != EIO && sys != EUCLEAN && sys != ENOTDIR &&
           sys != ELOOP;
}

static void copy_fails(struct copy *c, int rc, const struct err *why)
{
    c->state = rc == -ERR_REFUSED || rc == -ERR_VERSION ? COPY_WRONG : COPY_AWAY;
    c->problem = *why;
    err_wrap(&c->problem, _("copy \"%s\""), c->place);
}

/* A copy whose vault object is damaged or gone is still ours, and can be mended, when a head on it proves that. */
static int read_copy(struct vault *v, struct copy *c, struct err *e)
{
    struct err why = ERR_INIT;
    int bad = check_vault_object(v, c, &why);
    bool doubtful = bad == -ERR_DAMAGED || bad == -ERR_VERSION || bad == -ERR_LIMIT ||
                    bad == -ERR_UNREACHABLE;
    int rc = bad == 0 || doubtful ? read_heads(v, c, e) : bad;
    if (bad < 0 && (rc < 0 || c->generation == 0)) {
        if (e)
            *e = why;
        return bad;
    }
    if (bad < 0)
        c->problem = why;
    return rc;
}

void look_at_copy(struct vault *v, struct copy *c)
{
    struct err e = ERR_INIT;
    c->generation = 0;
    c->head = (struct id){ 0 };
    c->bad_heads = 0;
    c->state = COPY_BEHIND; /* until they are judged */
    err_clear(&c->problem);
    int rc = read_copy(v, c, &e);
    if (rc < 0)
        copy_fails(c, rc, &e);
}

/* Its newest head is the one tip; the name of that is the hash of its bytes. */
static int has_tip(struct vault *v, struct copy *c, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    uint8_t *p = NULL;
    size_t n = 0;
    struct id id;
    const struct tip *tip = &v->tips[0];
    if (v->n_tips != 1)
        return err_set(e, ERR_ABSENT, _("there is no one newest state"));
    head_name(tip->head->generation, &tip->id, name);
    int rc = store_get_all(c->store, name, MAX_OBJECT_BYTES, &p, &n, e);
    if (rc < 0)
        return rc;
    sha256_of(p, n, &id);
    free(p);
    if (!id_eq(&id, &tip->id))
        return err_set(e, ERR_DAMAGED, _("its bytes do not have the hash that its name says"));
    c->generation = tip->head->generation;
    c->head = tip->id;
    return 0;
}

int vault_join_copy(struct vault *v, struct copy *c, struct err *e)
{
    struct err why = ERR_INIT;
    int ours = check_vault_object(v, c, e), tip;
    if (ours == -ERR_REFUSED || ours == -ERR_TIMEOUT)
        return ours;
    tip = has_tip(v, c, &why);
    if (tip == -ERR_TIMEOUT && e)
        *e = why;
    if (tip == -ERR_TIMEOUT || (ours < 0 && tip < 0))
        return tip == -ERR_TIMEOUT ? tip : ours;
    err_clear(&c->problem);
    c->state = tip == 0 ? COPY_CURRENT : COPY_BEHIND;
    return 0;
}

/* The bound on its speed is one for all processes; who may not write to the state folder keeps it alone. */
static int open_store(struct vault *v, struct copy *c, struct err *e)
{
    const struct store_first first = { .object = VAULT_OBJECT_NAME, .folder = "heads/" };
    struct store_options o = { .identity = c->identity,
                               .host_key = c->host_key,
                               .limit_bytes_s = c->limit_bytes_s };
    char *file = NULL;
    if (c->limit_bytes_s && v->presence &&
        asprintf(&file, "%s/limit-%s", v->state_dir, c->place) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    o.limit_file = file;
    int rc = v->hurry ? store_open_hasty(c->url, &o, &first, &c->store, e)
                      : store_open_with(c->url, &o, v->writes ? 0 : STORE_READ_ONLY, &c->store, e);
    free(file);
    return rc;
}

static void open_copy(struct vault *v, struct copy *c)
{
    struct err e = ERR_INIT;
    int rc = c->store ? 0 : open_store(v, c, &e);
    if (rc < 0)
        copy_fails(c, rc, &e);
    else
        look_at_copy(v, c);
}

int none_readable(struct vault *v, struct err *e)
{
    for (size_t i = 0; i < v->n_copies; i++)
        if (v->copies[i].state != COPY_AWAY && v->copies[i].state != COPY_WRONG)
            return 0;
    if (e)
        *e = v->copies[0].problem;
    return err_wrap(e, _("vault \"%s\": no copy can be read"), v->name);
}

int load_seen(struct vault *v, struct err *e)
{
    struct {
        uint64_t generation;
        struct id head;
    } seen;
    char key[2 * MAX_NAME + 16];
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < v->n_copies; i++) {
        struct copy *c = &v->copies[i];
        snprintf(key, sizeof key, "copy-head/%s", c->place);
        rc = chunkdb_get_meta(v->db, key, &seen, sizeof seen, e);
        c->seen = rc == (int)sizeof seen ? seen.generation : 0;
    }
    if (rc >= 0)
        rc = chunkdb_get_meta(v->db, "head-seen", &seen, sizeof seen, e);
    if (rc == (int)sizeof seen) {
        v->seen_generation = seen.generation;
        v->seen_head = seen.head;
    }
    return rc < 0 ? rc : 0;
}

void check_rollback(struct vault *v)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        struct copy *c = &v->copies[i];
        c->rolled_back = c->state != COPY_AWAY && c->state != COPY_WRONG && c->generation < c->seen;
    }
}

/* A reader has a cache of its own, and goes on without the facts where they cannot be had: a full disk here must not stop a
 * restore. */
static int open_db(struct vault *v, struct err *e)
{
    bool write = v->writes;
    char *index = NULL, *facts = NULL;
    if (asprintf(&index, "%s/index.db", v->state_dir) < 0 ||
        asprintf(&facts, "%s/facts.db", v->state_dir) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = chunkdb_open(write ? index : NULL, facts, &v->facts_lost, &v->db, e);
    if (rc < 0 && !write) {
        err_clear(e);
        v->facts_lost = true;
        rc = chunkdb_open(NULL, NULL, NULL, &v->db, e);
    }
    free(index);
    free(facts);
    return rc;
}

static int open_state_dir(struct vault *v, const struct vault_open_options *o, struct err *e)
{
    char hex[ID_HEX_BYTES];
    id_hex(&v->keys.vault_id, hex);
    if (asprintf(&v->state_dir, "%s/%.16s", o->paths->state_dir, hex) < 0) {
        v->state_dir = NULL;
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    if (asprintf(&v->sessions_dir, "%s/sessions", v->state_dir) < 0) {
        v->sessions_dir = NULL;
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    int rc = sys_mkdir_p(v->state_dir, 0700, e);
    if (rc < 0 || o->logs)
        return rc;
    /* Before a head is read: what it reaches stays from then on. A reader goes without where it must. */
    rc = presence_begin(v->sessions_dir, o->write,
                        o->what ? o->what : program_invocation_short_name, &v->presence, e);
    if (rc < 0 && !o->write) {
        err_clear(e);
        rc = 0;
    }
    return rc;
}

static bool session_lives(void *ctx, uint64_t session)
{
    return presence_is_live(((struct vault *)ctx)->sessions_dir, session);
}

/* In a file of its own, so that the index cache may be thrown away without this becoming another orchestrator. */
static int load_writer(struct vault *v, struct err *e)
{
    char hex[ID_HEX_BYTES], *path = NULL;
    uint8_t *text = NULL;
    size_t n = 0;
    if (asprintf(&path, "%s/writer", v->state_dir) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = sys_read_file(AT_FDCWD, path, ID_HEX_BYTES, &text, &n, e);
    if (rc == 0 && (n < ID_HEX_BYTES - 1 ||
                    (text[ID_HEX_BYTES - 1] = 0, !id_parse((const char *)text, &v->writer))))
        rc = -ERR_ABSENT; /* torn or foreign: a new name is always safe */
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        sys_random(v->writer.b, ID_BYTES);
        id_hex(&v->writer, hex);
        rc = sys_write_file(AT_FDCWD, path, hex, ID_HEX_BYTES - 1, 0600, e);
    }
    free(text);
    free(path);
    return rc;
}

static int load_keys(struct vault *v, const struct vault_open_options *o, struct err *e)
{
    const struct vault_conf *c = o->conf;
    char *path = NULL;
    v->keys.vault_id = c->id;
    memcpy(v->keys.recovery_pk, c->recovery_pk, PUBLIC_KEY_BYTES);
    memcpy(v->keys.sign_pk, c->signing_pk, PUBLIC_KEY_BYTES);
    memcpy(v->keys.root_pk, c->root_pk, PUBLIC_KEY_BYTES);
    if (asprintf(&path, "%s/keys/%s.op", o->paths->config_dir, c->name) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = op_key_load(path, &c->id, &v->keys, e);
    free(path);
    return rc < 0 ? err_wrap(e, _("operational key of vault \"%s\""), c->name) : 0;
}

/* Of one whose opening has begun: true when that has ended, well or not. */
static bool is_opened(struct vault *v, struct copy *c, uint32_t patience_ms)
{
    struct err e = ERR_INIT;
    store_patience(c->store, patience_ms);
    int rc = store_ready(c->store, &e);
    store_patience(c->store, HURRY_LOOK_MS);
    if (rc == -ERR_TIMEOUT) {
        copy_fails(c, rc, &e);
        return false;
    }
    if (rc < 0)
        copy_fails(c, rc, &e);
    else
        look_at_copy(v, c);
    return true;
}

/* Does a copy that has answered show all that we know of? Where nothing is known, nobody can tell. */
static bool is_enough(const struct vault *v)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct copy *c = &v->copies[i];
        if (c->state != COPY_AWAY && c->state != COPY_WRONG && v->seen_generation > 0 &&
            c->generation >= v->seen_generation)
            return true;
    }
    return false;
}

/* All at the same time. Who has not answered by then is waited for only while the others do not show enough. */
static void open_hastily(struct vault *v)
{
    uint64_t until = sys_monotonic_ms() + HURRY_OPEN_MS;
    uint32_t opening = 0;
    for (size_t i = 0; i < v->n_copies; i++) {
        struct copy *c = &v->copies[i];
        struct err e = ERR_INIT;
        int rc = open_store(v, c, &e);
        c->state = COPY_AWAY;
        if (rc < 0)
            copy_fails(c, rc, &e);
        else
            opening |= 1u << i;
    }
    while (opening && !sys_interrupted() && (!is_enough(v) || sys_monotonic_ms() < until))
        for (size_t i = 0; i < v->n_copies; i++)
            if (opening & (1u << i) && is_opened(v, &v->copies[i], OPEN_SLICE_MS))
                opening &= ~(1u << i);
    turns_opened(v);
}

/* A copy may take long to answer, or not to: that keeps nobody waiting for the lock. */
static int open_copies(struct vault *v, struct err *e)
{
    if (v->hurry)
        open_hastily(v);
    for (size_t i = 0; i < v->n_copies && !v->hurry; i++)
        open_copy(v, &v->copies[i]);
    int rc = none_readable(v, e);
    if (rc == 0)
        judge_copies(v);
    return rc;
}

static int open_for_writing(struct vault *v, const struct vault_open_options *o, struct err *e)
{
    struct chunkdb_who who = { .source = o->source, .live = session_lives, .ctx = v };
    int rc = open_copies(v, e);
    if (rc == 0)
        rc = vault_lock_only(v, e);
    if (rc == 0)
        rc = open_db(v, e);
    if (rc == 0)
        rc = load_writer(v, e);
    if (rc < 0)
        return rc;
    chunkdb_join(v->db, presence_id(v->presence), &who);
    v->dirty = true; /* nothing is loaded yet */
    rc = vault_refresh(v, e);
    vault_unlock(v);
    return rc;
}

static int open_for_reading(struct vault *v, struct err *e)
{
    int rc = open_db(v, e);
    if (rc == 0)
        rc = load_writer(v, e);
    if (rc == 0)
        rc = load_seen(v, e);
    if (rc == 0)
        rc = open_copies(v, e);
    if (rc == 0)
        rc = load_state(v, e);
    if (rc < 0)
        return rc;
    check_rollback(v);
    presence_generation(v->presence, v->state->generation, NULL);
    return 0;
}

static int open_all(struct vault *v, const struct vault_open_options *o, struct err *e)
{
    int rc = load_keys(v, o, e);
    v->writes = o->write || o->logs;
    v->hurry = o->hurry && !v->writes;
    for (size_t i = 0; rc == 0 && i < o->conf->n_copies; i++)
        rc = add_copy(v, &o->conf->copies[i], e);
    if (rc == 0)
        rc = open_state_dir(v, o, e);
    if (rc < 0)
        return rc;
    if (o->logs) {
        rc = load_writer(v, e);
        return rc == 0 ? open_copies(v, e) : rc;
    }
    return o->write ? open_for_writing(v, o, e) : open_for_reading(v, e);
}

int vault_open(const struct vault_open_options *o, struct vault **ret, struct err *e)
{
    struct vault *v = vault_new(o->conf->name);
    if (!v)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = open_all(v, o, e);
    if (rc < 0) {
        vault_close(v);
        return rc;
    }
    *ret = v;
    return 0;
}

int vault_check_recovery_file(const char *path, const void *p, size_t n, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    if (header_check(&r, OBJECT_RECOVERY, NULL) == 0)
        return 0;
    err_set(e, ERR_KEY, _("this is no recovery file"));
    err_next(e, _("give the one that init has written, or the lines of the printed kit through "
                  "base64 -d; a copy has one, too: leave the option out"));
    return err_wrap(e, "%s", path);
}

static int recover_keys(struct vault *v, const char *recovery_file, const struct secret *passphrase,
                        struct err *e)
{
    struct store *s = v->copies[0].store;
    uint8_t *rec = NULL, *obj = NULL;
    size_t rec_len = 0, obj_len = 0;
    char *name = NULL;
    int rc = store_get_all(s, VAULT_OBJECT_NAME, MAX_VAULT_OBJECT, &obj, &obj_len, e);
    if (rc == -ERR_ABSENT) {
        err_set(e, ERR_ABSENT, _("there is no vault in %s"), v->copies[0].url);
        err_next(e, _("give the folder that holds vault/, heads/ and packs/"));
    }
    if (rc == 0)
        rc = recovery_file
                 ? sys_read_file(AT_FDCWD, recovery_file, MAX_RECOVERY_BYTES, &rec, &rec_len, e)
                 : store_get_all(s, RECOVERY_OBJECT_NAME, MAX_RECOVERY_BYTES, &rec, &rec_len, e);
    if (rc == 0 && recovery_file)
        rc = vault_check_recovery_file(recovery_file, rec, rec_len, e);
    if (rc == 0)
        rc = vault_keys_recover(rec, rec_len, obj, obj_len, passphrase, &v->keys, &name, e);
    if (rc == 0) {
        free(v->name);
        v->name = name;
    }
    free(rec);
    free(obj);
    return rc;
}

int vault_open_copy(const char *url, const struct store_options *o, const char *recovery_file,
                    const struct secret *passphrase, struct vault **ret, struct err *e)
{
    char place[] = "copy";
    struct copy_conf conf = { .place = place, .url = (char *)(uintptr_t)url };
    struct vault *v = vault_new("");
    if (!v)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = add_copy(v, &conf, e);
    if (rc == 0)
        rc = store_open_with(url, o, STORE_READ_ONLY, &v->copies[0].store, e);
    if (rc == 0)
        rc = recover_keys(v, recovery_file, passphrase, e);
    if (rc == 0)
        rc = chunkdb_open(NULL, NULL, NULL, &v->db, e);
    if (rc == 0) {
        open_copy(v, &v->copies[0]);
        rc = none_readable(v, e);
    }
    if (rc == 0) {
        judge_copies(v);
        rc = load_state(v, e);
    }
    if (rc < 0) {
        vault_close(v);
        return err_wrap(e, _("copy %s"), url);
    }
    *ret = v;
    return 0;
}
