/* place_file.c - regular files: written beside under a temporary name, checked against the
 * snapshot's hash, given their metadata, and only then renamed to where they belong. */
#include "agents/beside.h"
#include "agents/content.h"
#include "agents/delta.h"
#include "agents/restore_run.h"
#include "agents/saved_entry.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <unistd.h>

#define WRITE_AHEAD_BYTES (8u << 20)
#define BESIDE_BYTES (128u << 10) /* from here on another thread is worth its while */
#define POUR_BYTES (1u << 20)

/* --- content ---------------------------------------------------------------------------------- */
/* The content of a file on its way: small extents are put together, and what is long enough is hashed by another thread while this one
 * writes it and gets the next. */
struct filling {
    struct content_hash *h;
    int fd;
    /* what is being hashed: */
    bool busy;
    uint64_t off;
    const uint8_t *p;
    size_t n;
    struct piece *piece; /* that the bytes are in; NULL: in a buffer */
    bool spent;          /* the bytes go to its end */
    /* what has been put together, and is not written yet: */
    uint8_t *buffer;
    unsigned other; /* which of the two it is */
    uint64_t at;
    size_t filled;
};

static int hash_it(void *ctx, struct err *e)
{
    struct filling *t = ctx;
    return content_hash_data(t->h, t->off, t->p, t->n, e);
}

static void give_back(struct run *r, struct piece *piece, bool spent)
{
    if (piece && spent)
        fetch_put_spent(r->fetch, piece);
    else
        fetch_put(r->fetch, piece);
}

/* Nothing is being hashed any more, and its piece is given back. */
static int settle(struct run *r, struct filling *t, struct err *e)
{
    if (!t->busy)
        return 0;
    int rc = beside_wait(r->beside, e);
    give_back(r, t->piece, t->spent);
    t->piece = NULL;
    t->busy = false;
    return rc;
}

/* Nothing is being hashed at the moment. */
static int hash_and_write(struct run *r, struct filling *t, uint64_t off, const uint8_t *p,
                          size_t n, struct piece *piece, struct err *e)
{
    t->off = off;
    t->p = p;
    t->n = n;
    if (n >= BESIDE_BYTES) {
        t->piece = piece;
        t->busy = true;
        beside_run(r->beside, hash_it, t);
        return run_judge(sys_pwrite(t->fd, p, n, off, e));
    }
    int rc = hash_it(t, e);
    if (rc == 0)
        rc = run_judge(sys_pwrite(t->fd, p, n, off, e));
    give_back(r, piece, t->spent);
    return rc;
}

/* What was put together is written. */
static int pour(struct run *r, struct filling *t, struct err *e)
{
    size_t n = t->filled;
    int rc = n > 0 ? settle(r, t, e) : 0;
    if (n == 0 || rc != 0)
        return rc;
    const uint8_t *p = t->buffer + t->other * (size_t)POUR_BYTES;
    t->other ^= 1;
    t->filled = 0;
    return hash_and_write(r, t, t->at, p, n, NULL, e);
}

static int put_together(struct run *r, struct filling *t, uint64_t off, const uint8_t *p, size_t n,
                        struct err *e)
{
    int rc = t->filled + n > POUR_BYTES ? pour(r, t, e) : 0;
    if (rc != 0)
        return rc;
    if (t->filled == 0)
        t->at = off;
    memcpy(t->buffer + t->other * (size_t)POUR_BYTES + t->filled, p, n);
    t->filled += n;
    return 0;
}

static int write_extent(struct run *r, const struct extent *x, uint64_t off, struct filling *t,
                        struct err *e)
{
    struct piece *piece;
    int rc = fetch_get(r->fetch, &x->chunk, &piece, e);
    if (rc != 0)
        return rc == FETCH_GONE ? FAILED_HERE : rc;
    bool spent = false;
    if (x->off > piece_len(piece) || x->len > piece_len(piece) - x->off) {
        err_set(e, ERR_DAMAGED, _("a piece of its content is shorter than the snapshot says"));
        rc = FAILED_HERE;
    } else if (x->len < BESIDE_BYTES && t->buffer) {
        spent = x->off + x->len == piece_len(piece);
        rc = put_together(r, t, off, piece_bytes(piece) + x->off, (size_t)x->len, e);
    } else {
        rc = pour(r, t, e);
        if (rc == 0)
            rc = settle(r, t, e);
        t->spent = x->off + x->len == piece_len(piece);
        if (rc == 0)
            return hash_and_write(r, t, off, piece_bytes(piece) + x->off, (size_t)x->len, piece, e);
    }
    give_back(r, piece, spent);
    return rc;
}

/* The disk begins to write while we go on, so that little is left to be synced at the end. What cannot be begun is done then. */
static void begin_writing(int fd, uint64_t *begun, uint64_t end, bool all)
{
    if (end - *begun >= WRITE_AHEAD_BYTES || (all && end - *begun >= WRITE_AHEAD_BYTES / 8)) {
        (void)sync_file_range(fd, (off_t)*begun, (off_t)(end - *begun), SYNC_FILE_RANGE_WRITE);
        *begun = end;
    }
}

/* Holes are what is not written. *ret_end: how far the content goes. */
static int write_parts(struct run *r, struct entries *walk, struct entry *en, struct filling *t,
                       uint64_t *ret_end, struct err *e)
{
    uint64_t size = en->size, off = 0, begun = 0;
    struct parts parts = parts_of(walk, en);
    struct extent x = { 0 };
    bool hole = false;
    int rc = 0;
    while (rc == 0) {
        rc = parts_next(&parts, &x, &off, e);
        if (rc != 0 || x.len == 0)
            break;
        hole = x.hole;
        *ret_end = off + x.len;
        if (!hole)
            rc = write_extent(r, &x, off, t, e);
        else if ((rc = pour(r, t, e)) == 0 && (rc = settle(r, t, e)) == 0)
            content_hash_hole(t->h, x.len);
        if (!hole && rc == 0)
            r->rep.n.bytes += x.len;
        begin_writing(t->fd, &begun, *ret_end - t->filled, false);
        entries_pump(r->walk);
        if (rc == 0)
            rc = run_check(r, e);
    }
    if (rc == 0)
        rc = pour(r, t, e);
    if (rc == 0 && hole) {
        rc = sys_fault_step();
        if (rc == 0)
            rc = ftruncate(t->fd, (off_t)size);
        if (rc < 0)
            rc = run_judge(err_sys(e, _("write")));
    }
    begin_writing(t->fd, &begun, *ret_end, true);
    return rc;
}

static int write_content(struct run *r, struct entries *walk, struct entry *en, int fd,
                         struct err *e)
{
    struct content_hash h;
    uint64_t size = en->size, end = 0;
    struct id want = en->hash, have;
    struct filling t = { .h = &h, .fd = fd };
    struct err late = ERR_INIT;
    int rc = content_hash_begin(&h, &r->with, r->runs_walk, en, e);
    if (size >= POUR_BYTES) /* without memory for it, it goes without */
        t.buffer = r->pour ? r->pour : (r->pour = malloc((size_t)2 * POUR_BYTES));
    if (rc == 0)
        rc = write_parts(r, walk, en, &t, &end, e);
    int hashed = settle(r, &t, &late);
    if (rc == 0 && hashed != 0 && e)
        *e = late;
    rc = rc ? rc : hashed;
    if (rc != 0)
        return rc;
    content_hash_final(&h, &have);
    if (end == size && id_eq(&have, &want))
        return 0;
    err_set(e, ERR_DAMAGED, _("its content is not what was saved"));
    return FAILED_HERE;
}

/* --- making ----------------------------------------------------------------------------------- */
static const struct id *first_chunk(const struct entry *en)
{
    for (size_t i = 0; i < en->n_extents; i++) {
        if (!en->extents[i].hole)
            return &en->extents[i].chunk;
    }
    return NULL;
}

/* A file that will be ours anyway can have its mode at once, which saves a call. */
static mode_t first_mode(const struct run *r, const struct entry *en)
{
    bool plain = en->uid == r->uid && en->gid == r->gid && en->n_xattrs == 0;
    return plain && !(en->mode & 07000) ? en->mode : 0600;
}

/* Everything from the name on: metadata, rename, flags. */
static int finish_file(struct run *r, const struct entry *en, const struct place *p,
                       const char *temp, int fd, enum way way, struct err *e)
{
    bool clean = !p->dir->inherit_acl && !p->dir->inherit_flags;
    struct object o = { .fd = fd, .clean = clean, .path = p->shown, .path_len = p->shown_len };
    if (fstat(fd, &o.st) < 0) {
        err_sys(e, "fstat");
        return FAILED_HERE;
    }
    setmeta_apply(r->sm, &o, en, NULL);
    int rc = place_rename(r, p, temp, way, e);
    if (rc != 0)
        return rc;
    if (!clean || en->fflags) {
        /* No further link could be made to an immutable file. */
        if (en->flags & ENTRY_LINKED && en->fflags & FFLAGS_LOCKING)
            rc = dirs_add_late_flags(r, &o, p->path, p->path_len, en->fflags, e);
        else
            setmeta_flags(r->sm, &o, en->fflags);
    }
    return rc == 0 ? place_remember(r, en, p, &o.st, e) : rc;
}

static int write_file(struct run *r, struct entries *walk, struct entry *en,
                      const struct entry *meta, const struct place *p, enum way way, struct err *e)
{
    char temp[TEMP_NAME_BYTES];
    target_temp_name(r, temp);
    int fd = sys_openat(p->dir->fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY,
                        first_mode(r, meta), e);
    if (fd < 0)
        return run_judge(fd);
    /* This one flag can only be set while a file is empty. */
    if (meta->fflags & FS_NOCOW_FL) {
        struct object o = { .fd = fd, .path = p->shown, .path_len = p->shown_len };
        setmeta_flags(r->sm, &o, FS_NOCOW_FL);
    }
    if (meta->size > 0)
        entries_ahead(r->walk, true, first_chunk(en));
    int rc = meta->size > 0 ? write_content(r, walk, en, fd, e) : 0;
    if (rc == 0)
        rc = finish_file(r, meta, p, temp, fd, way, e);
    else
        sys_unlinkat(p->dir->fd, temp, 0, NULL);
    if (rc == FAILED_HERE)
        sys_unlinkat(p->dir->fd, temp, 0, NULL);
    int closed = sys_close(fd, rc == 0 ? e : NULL);
    return rc == 0 && closed < 0 ? closed : rc;
}

/* --- what is there already -------------------------------------------------------------------- */
/* The file at p has the right content: its metadata, unless other names of it may be somebody
 * else's. */
static int keep_metadata(struct run *r, const struct entry *en, const struct place *p,
                         struct object *o, bool *ret_kept, struct err *e)
{
    unsigned diff = setmeta_diff(r->sm, o, en);
    bool unlocked = false;
    int rc = 0;
    *ret_kept = diff == 0 || o->st.st_nlink == 1;
    if (!*ret_kept)
        return 0;
    if (diff & ~(unsigned)DIFF_FLAGS)
        setmeta_apply(r->sm, o, en, &unlocked);
    if (diff & DIFF_FLAGS || unlocked) {
        if (en->flags & ENTRY_LINKED && en->fflags & FFLAGS_LOCKING)
            rc = dirs_add_late_flags(r, o, p->path, p->path_len, en->fflags, e);
        else
            setmeta_flags(r->sm, o, en->fflags);
    }
    return rc == 0 ? place_remember(r, en, p, &o->st, e) : rc;
}

/* What is there is kept when its content is right by its hash, never by its time. Trouble in
 * finding out means that it is replaced. */
static int keep_file(struct run *r, const struct entry *en, const struct place *p, bool *ret_kept,
                     struct err *e)
{
    struct disk_check c = {
        .with = r->with, .runs_walk = r->runs_walk, .io = r->io, .stop = run_stop, .ctx = r
    };
    bool same = false;
    int rc = 0;
    *ret_kept = false;
    struct object o = {
        .fd = sys_openat(p->dir->fd, p->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0,
                         NULL),
        .path = p->shown,
        .path_len = p->shown_len,
    };
    if (o.fd < 0)
        return 0;
    if (fstat(o.fd, &o.st) == 0 && S_ISREG(o.st.st_mode) && (uint64_t)o.st.st_size == en->size)
        rc = content_on_disk(&c, o.fd, en, &same, e);
    if (rc == FAILED_HERE)
        rc = run_check(r, e);
    else if (rc == 0 && same)
        rc = keep_metadata(r, en, p, &o, ret_kept, e);
    sys_close_quiet(o.fd);
    return rc;
}

/* The file that is there is made right where it is. Not kept: it cannot be opened so, and nothing was done. meta: of the whole file. */
static int mend_file(struct run *r, struct entries *walk, struct entry *en,
                     const struct entry *meta, const struct place *p, bool *ret_kept, struct err *e)
{
    int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    struct object o = { .fd = sys_openat(p->dir->fd, p->name, flags, 0, NULL),
                        .path = p->shown,
                        .path_len = p->shown_len };
    uint64_t written = 0;
    *ret_kept = false;
    if (o.fd < 0)
        return 0;
    if (fstat(o.fd, &o.st) < 0 || !S_ISREG(o.st.st_mode) || o.st.st_nlink != 1) {
        sys_close_quiet(o.fd);
        return 0;
    }
    /* Until it is right, it is nobody's who may not have it. */
    bool same = o.st.st_uid == meta->uid && o.st.st_gid == meta->gid &&
                (o.st.st_mode & 07777) == meta->mode;
    if (!same && (fchmod(o.fd, 0600) < 0 || (geteuid() == 0 && fchown(o.fd, 0, 0) < 0))) {
        sys_close_quiet(o.fd);
        return 0;
    }
    entries_ahead(r->walk, false, NULL);
    *ret_kept = true; /* from here on the entry has been read on */
    bool set = true;
    int rc = delta_content(r, walk, en, o.fd, &written, e);
    if (rc == 0 && fstat(o.fd, &o.st) < 0)
        rc = run_judge(err_sys(e, "fstat"));
    if (rc == 0)
        rc = keep_metadata(r, meta, p, &o, &set, e);
    if (rc == 0 && !set) { /* it has got another name meanwhile */
        err_set(e, ERR_EXISTS, _("something else has its name"));
        rc = FAILED_HERE;
    }
    if (rc == 0 && written == 0)
        r->rep.n.already++;
    int closed = sys_close(o.fd, rc == 0 ? e : NULL);
    return rc == 0 && closed < 0 ? closed : rc;
}

int place_file(struct run *r, struct entries *walk, struct entry *en, const struct place *p,
               struct err *e)
{
    struct stat st;
    enum way way;
    bool kept = false, same = false;
    /* The entry of a file of several parts is gone when the next part is read. */
    struct entry *saved = en->flags & ENTRY_HAS_MORE ? entry_save(en) : NULL;
    if (en->flags & ENTRY_HAS_MORE && !saved)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int rc = place_look(r, p, S_IFREG, &way, &st, e);
    bool delta = r->m->delta && way == WAY_SAME_TYPE && en->flags & ENTRY_PAGED;
    if (rc == 0 && delta)
        rc = mend_file(r, walk, en, saved ? saved : en, p, &kept, e);
    else if (rc == 0 && way == WAY_SAME_TYPE && (uint64_t)st.st_size == en->size)
        rc = keep_file(r, en, p, &same, e);
    if (rc == 0 && same) {
        r->rep.n.already++;
        entries_ahead(r->walk, false, NULL);
    } else if (rc == 0 && !kept) {
        rc = write_file(r, walk, en, saved ? saved : en, p, way, e);
    }
    if (rc == 0)
        r->rep.n.files++;
    free(saved);
    return rc;
}
