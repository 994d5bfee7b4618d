/* packer.c - fills packs; see packer.h. */
#include "orchestrator/packer.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct open_pack {
    int fd; /* -1: none begun */
    uint64_t len, target;
    struct sha256 *hash;
    struct pack_table table;
};

struct packer {
    struct vault *v;
    struct fanout *f;
    struct open_pack open[PACKS_OPEN];
    uint64_t bytes;
    uint32_t chance;
};

int spool_file(const char *dir, struct err *e)
{
    char path[4096];
    int fd = sys_openat(AT_FDCWD, dir, O_TMPFILE | O_RDWR, 0600, NULL);
    if (fd >= 0)
        return fd;
    /* A file system without O_TMPFILE: a name that is taken away at once. */
    uint64_t tag;
    sys_random(&tag, sizeof tag);
    snprintf(path, sizeof path, "%s/spool-%016llx", dir, (unsigned long long)tag);
    fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL, 0600, e);
    if (fd >= 0)
        sys_unlinkat(AT_FDCWD, path, 0, NULL);
    return fd;
}

int packer_new(struct vault *v, struct fanout *f, struct packer **ret, struct err *e)
{
    struct packer *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, _("no memory"));
    p->v = v;
    p->f = f;
    for (int i = 0; i < PACKS_OPEN; i++) {
        p->open[i].fd = -1;
        p->open[i].hash = sha256_new();
        pack_table_init(&p->open[i].table);
    }
    *ret = p;
    return 0;
}

void packer_free(struct packer *p)
{
    if (!p)
        return;
    for (int i = 0; i < PACKS_OPEN; i++) {
        sys_close_quiet(p->open[i].fd);
        sha256_free(p->open[i].hash);
        pack_table_done(&p->open[i].table);
    }
    free(p);
}

static int pack_write(struct open_pack *o, const void *bytes, size_t n, struct err *e)
{
    int rc = sys_write(o->fd, bytes, n, e);
    if (rc < 0)
        return err_wrap(e, _("spool file"));
    sha256_update(o->hash, bytes, n);
    o->len += n;
    return 0;
}

static int pack_begin(struct packer *p, struct open_pack *o, struct err *e)
{
    uint32_t extra;
    o->fd = spool_file(p->v->state_dir, e);
    if (o->fd < 0)
        return err_wrap(e, _("spool file in %s"), p->v->state_dir);
    /* Lengths that differ by chance say less about what was added when. */
    sys_random(&extra, sizeof extra);
    o->target = PACK_TARGET_BYTES - (4u << 20) + extra % (8u << 20);
    o->len = 0;
    sha256_reset(o->hash);
    pack_table_done(&o->table);
    pack_table_init(&o->table);
    return 0;
}

static int write_table(struct packer *p, struct open_pack *o, struct err *e)
{
    struct wbuf plain = WBUF_INIT, sealed = WBUF_INIT;
    pack_table_write(&plain, &o->table);
    int rc = plain.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                          : envelope_seal(&p->v->keys, OBJECT_PACK, plain.p, plain.len, &sealed, e);
    if (rc == 0) {
        pack_trailer_write(&sealed, (uint32_t)sealed.len);
        rc = sealed.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                           : pack_write(o, sealed.p, sealed.len, e);
    }
    wbuf_free(&plain);
    wbuf_free(&sealed);
    return rc;
}

static int pack_close(struct packer *p, struct open_pack *o, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    struct index_pack ip = { .table = &o->table };
    int rc = write_table(p, o, e);
    if (rc < 0)
        return rc;
    sha256_final(o->hash, &ip.id);
    ip.len = o->len;
    rc = chunkdb_add_pending(p->v->db, &ip, e);
    if (rc < 0)
        return rc;
    int fd = o->fd;
    o->fd = -1;
    p->bytes += o->len;
    return fanout_put(p->f, outgoing_file(object_name(OBJECT_PACK, &ip.id, name), fd, o->len),
                      FANOUT_ALL, e);
}

int packer_add(struct packer *p, const struct chunk_ref *ref, const void *sealed, size_t n,
               struct err *e)
{
    struct id hash;
    if (p->chance <= 1)
        do
            sys_random(&p->chance, sizeof p->chance);
        while (p->chance == 0);
    struct open_pack *o = &p->open[p->chance % PACKS_OPEN];
    p->chance /= PACKS_OPEN;
    if (o->fd < 0) {
        int rc = pack_begin(p, o, e);
        if (rc < 0)
            return rc;
    }
    struct pack_chunk c = { .id = ref->id, .len = (uint32_t)n, .counter = ref->counter };
    sha256_of(sealed, n, &hash);
    memcpy(c.hash, hash.b, SHORT_HASH_BYTES);
    int rc = pack_table_add(&o->table, &ref->key_id, &c, e);
    if (rc == 0)
        rc = pack_write(o, sealed, n, e);
    if (rc == 0 && o->len >= o->target)
        rc = pack_close(p, o, e);
    return rc;
}

int packer_finish(struct packer *p, struct err *e)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < PACKS_OPEN; i++)
        if (p->open[i].fd >= 0)
            rc = pack_close(p, &p->open[i], e);
    return rc;
}

uint64_t packer_bytes(const struct packer *p)
{
    return p->bytes;
}
