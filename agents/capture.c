/* capture.c - see agents/capture.h. */
#include "agents/capture.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct capture {
    struct capture_opts o;
    const struct source_root *root; /* NULL: a tree of files */
    struct capture_counts counts;
    struct meta *meta;
    struct scan_stat limit; /* only its times: from there on, those of the state are not trusted */
    int64_t limit_end_s;
    char *target; /* of a symlink */
    size_t target_cap;
};

int capture_new(const struct capture_opts *o, struct capture **ret, struct err *e)
{
    struct capture *c = calloc(1, sizeof *c);
    if (!c || !(c->meta = meta_new())) {
        free(c);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    c->o = *o;
    if (o->state) {
        const struct state_summary *sum = state_summary(o->state);
        int64_t ns = sum->started_ns - o->racy_ns, s = ns / 1000000000 - (ns % 1000000000 < 0);
        c->limit.ctime_s = s;
        c->limit.ctime_ns = (uint32_t)(ns - s * 1000000000);
        c->limit_end_s = sum->ended_ns / 1000000000 + 2;
    }
    *ret = c;
    return 0;
}

void capture_free(struct capture *c)
{
    if (!c)
        return;
    meta_free(c->meta);
    free(c->target);
    free(c);
}

const struct capture_counts *capture_counts(const struct capture *c)
{
    return &c->counts;
}

void capture_set_root(struct capture *c, const struct source_root *root)
{
    c->root = root;
}

static bool may_change(const struct capture *c)
{
    return c->root && c->root->may_change;
}

static int problem(struct capture *c, const struct scan_item *it, const char *text, struct err *e)
{
    return problems_add(c->o.problems, true, it->path, it->path_len, text, e);
}

static int problem_sys(struct capture *c, const struct scan_item *it, int sys, struct err *e)
{
    if (sys == ENOENT && may_change(c))
        return 0;
    const char *text = sys == ENOENT ? _("vanished while it was being captured") : strerror(sys);
    return problem(c, it, text, e);
}

static struct entry entry_of(const struct capture *c, const struct scan_item *it,
                             const struct scan_stat *st, enum entry_type type)
{
    const struct scan_stat *owner = c->root && c->root->owner ? c->root->owner : st;
    return (struct entry){
        .path = it->path,
        .path_len = it->path_len,
        .type = type,
        .flags = it->above                            ? ENTRY_ABOVE
                 : st->nlink > 1 && type != ENTRY_DIR ? ENTRY_LINKED
                                                      : 0,
        .mode = st->mode & 07777,
        .uid = owner->uid,
        .gid = owner->gid,
        .mtime_s = st->mtime_s,
        .mtime_ns = st->mtime_ns,
        .size = type == ENTRY_FILE ? st->size : 0,
        .ctime_s = st->ctime_s,
        .ctime_ns = st->ctime_ns,
        .ino = st->ino,
    };
}

/* --- unchanged files ---------------------------------------------------------------------------- */
static bool not_before(int64_t s, uint32_t ns, int64_t limit_s, uint32_t limit_ns)
{
    return s > limit_s || (s == limit_s && ns >= limit_ns);
}

/* A file could have been written to again within one tick of its time stamp, after it had been read. A
 * ctime cannot be set, so one of later than the last run means a clock that jumped. An mtime can be set to
 * any time to come and then says nothing. */
static bool is_racy(const struct capture *c, const struct scan_stat *st)
{
    int64_t s = c->limit.ctime_s;
    uint32_t ns = c->limit.ctime_ns;
    return not_before(st->ctime_s, st->ctime_ns, s, ns) ||
           (not_before(st->mtime_s, st->mtime_ns, s, ns) && st->mtime_s <= c->limit_end_s);
}

/* The file in the last run, or NULL. */
static const struct entry *in_base(struct capture *c, const struct scan_item *it)
{
    const struct entry *b = c->o.state ? state_seek(c->o.state, it->path, it->path_len) : NULL;
    return b && b->type == ENTRY_FILE ? b : NULL;
}

static bool unchanged(const struct capture *c, const struct scan_item *it, const struct entry *b)
{
    const struct scan_stat *st = it->st;
    if (!b || b->size != st->size || b->ino != st->ino || b->mtime_s != st->mtime_s ||
        b->mtime_ns != st->mtime_ns || b->ctime_s != st->ctime_s || b->ctime_ns != st->ctime_ns ||
        is_racy(c, st))
        return false;
    return true;
}

/* The sums of the pages of a file that did not change go into the new state. Where they will be. */
static uint64_t keep_page_sums(struct capture *c, const struct entry *b)
{
    uint64_t at = 0;
    if (!(b->flags & ENTRY_PAGED) || b->page_sums_at == 0 || !c->o.next)
        return 0;
    at = state_page_sums_at(c->o.next);
    if (at > 0) {
        state_copy_page_sums(c->o.next, c->o.state, b->page_sums_at,
                             (b->size + (UINT64_C(1) << b->page_bits) - 1) >> b->page_bits);
        state_copy_anchors(c->o.next, c->o.state, b->page_sums_at, at,
                           (b->size + REGION_BYTES - 1) / REGION_BYTES);
    }
    return at;
}

/* Takes everything over, part by part. */
static int take_over(struct capture *c, const struct scan_item *it, const struct entry *b,
                     struct err *e)
{
    struct entry en = entry_of(c, it, it->st, ENTRY_FILE);
    en.flags |= b->flags & (ENTRY_SPARSE | ENTRY_HAS_MORE | ENTRY_PAGED | ENTRY_REWRITTEN);
    en.hash = b->hash;
    en.page_bits = b->page_bits;
    en.page_sums_at = keep_page_sums(c, b);
    en.sums = b->sums;
    en.n_sums = b->n_sums;
    en.fflags = b->fflags;
    en.xattrs = b->xattrs;
    en.n_xattrs = b->n_xattrs;
    en.extents = b->extents;
    en.n_extents = b->n_extents;
    for (;;) {
        bool more = en.flags & ENTRY_HAS_MORE;
        if (inventory_add(c->o.inventory, &en, NULL, 0, e) < 0)
            return -e->code;
        if (!more)
            return 0;
        if (!(b = state_more(c->o.state)))
            return err_set(e, ERR_DAMAGED, _("the agent's state of the last run cannot be read"));
        en = (struct entry){ .path = it->path,
                             .path_len = it->path_len,
                             .type = ENTRY_MORE,
                             .flags = b->flags & (ENTRY_HAS_MORE | ENTRY_PAGED),
                             .extents = b->extents,
                             .n_extents = b->n_extents,
                             .sums = b->sums,
                             .n_sums = b->n_sums };
    }
}

/* --- files that are read ------------------------------------------------------------------------ */
static int open_file(const struct scan_item *it)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    int fd = openat(it->dir_fd, it->name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM) /* not our file */
        fd = openat(it->dir_fd, it->name, flags);
    return fd;
}

static int add_xattrs(struct capture *c, const struct scan_item *it, int fd, struct entry *en,
                      struct err *e)
{
    int sys = meta_xattrs(c->meta, fd, it->dir_fd, it->name, &en->xattrs, &en->n_xattrs);
    if (sys < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    if (sys == 0)
        return 0;
    char text[256];
    snprintf(text, sizeof text, _("extended attributes could not all be read: %s"), strerror(sys));
    return problem(c, it, text, e);
}

/* The extents of a file, in as many entries as they take. */
static int add_parts(struct capture *c, struct entry *en, struct err *e)
{
    unsigned paged = en->flags & ENTRY_PAGED;
    struct feed_part part;
    int rc;
    while ((rc = feed_next_part(c->o.feed, &part, e)) == 1) {
        en->extents = part.extents;
        en->n_extents = part.n;
        en->sums = part.sums;
        en->n_sums = part.n_sums;
        en->flags = (en->flags & ~(unsigned)ENTRY_HAS_MORE) | (part.last ? 0 : ENTRY_HAS_MORE);
        if (inventory_add(c->o.inventory, en, part.pieces, part.pieces ? part.n : 0, e) < 0)
            return -e->code;
        *en = (struct entry){
            .path = en->path, .path_len = en->path_len, .type = ENTRY_MORE, .flags = paged
        };
    }
    return rc;
}

/* A copy made for this run is never the file that the next run finds, so it is always read. */
static void take_after(const struct scan_stat *like, struct entry *en)
{
    en->mode = like->mode & 07777;
    en->uid = like->uid;
    en->gid = like->gid;
    en->mtime_s = like->mtime_s;
    en->mtime_ns = like->mtime_ns;
    en->ino = 0;
}

static bool same_times(const struct scan_stat *a, const struct scan_stat *b)
{
    return a->size == b->size && a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns &&
           a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns;
}

/* A file of which much was new, though it was there before, may be one that is rewritten in place, or, where it is in pages, none: its data
 * shift, or are new altogether. Under `auto` it is read the other way the next time (ENTRY_REWRITTEN). */
#define REWRITTEN_MIN_BYTES (32u << 20)
#define REWRITTEN_SHARE 4 /* a fourth of it or more */
#define FILE_PAGE_BITS 12 /* of what is no database's */

/* 0: as a stream; else the size of its pages. b: the file in the last run, or NULL. */
static unsigned page_bits_for(const struct capture *c, const struct scan_stat *st,
                              const struct entry *b)
{
    enum source_delta delta = c->root ? c->root->delta : c->o.delta;
    unsigned bits = MIN_PAGE_BITS;
    bool was_paged = b && b->flags & ENTRY_PAGED;
    if (st->size < FEED_OWN_BYTES || delta == DELTA_CONTENT)
        return 0;
    bool turn = b && b->flags & ENTRY_REWRITTEN;
    if (delta == DELTA_AUTO && was_paged == turn)
        return 0;
    if (!c->root || c->root->page_bytes == 0)
        return was_paged ? b->page_bits : FILE_PAGE_BITS;
    while (bits < MAX_PAGE_BITS && (size_t)1 << bits < c->root->page_bytes)
        bits++;
    return bits;
}

static int read_pages(struct capture *c, const struct scan_stat *st, const struct entry *b, int fd,
                      unsigned bits, struct feed_result *r, struct err *e)
{
    bool database = c->root && c->root->page_bytes > 0; /* its pages stay where they are */
    struct feed_pages o = { .page_bits = bits, .next = c->o.next, .shifts = !database };
    if (b && b->flags & ENTRY_PAGED && !(o.base = base_file_new(c->o.state, b)))
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = feed_read_pages(c->o.feed, fd, st, &o, r, e);
    base_file_free(o.base);
    return rc;
}

/* The content of an open file, and what its entry says of it. */
static int read_content(struct capture *c, const struct scan_stat *st, const struct entry *b,
                        int fd, struct entry *en, struct feed_result *r, struct err *e)
{
    unsigned bits = page_bits_for(c, st, b);
    bool before = b && b->size > 0 &&
                  !(b->flags & ENTRY_PAGED); /* else all of it is new this way */
    uint64_t sent = feed_bytes_sent(c->o.feed);
    int rc = bits ? read_pages(c, st, b, fd, bits, r, e) : feed_read(c->o.feed, fd, st, r, e);
    if (rc < 0 || r->sys)
        return rc;
    en->size = r->size;
    en->hash = r->hash;
    if (r->sparse)
        en->flags |= ENTRY_SPARSE;
    if (bits && r->size > 0)
        en->flags |= ENTRY_PAGED;
    en->page_bits = r->size > 0 ? bits : 0;
    en->page_sums_at = r->page_sums_at;
    sent = feed_bytes_sent(c->o.feed) - sent;
    bool much = bits
                    ? r->fresh > r->size / 2
                    : before && r->size >= REWRITTEN_MIN_BYTES && sent >= r->size / REWRITTEN_SHARE;
    if (much)
        en->flags |= ENTRY_REWRITTEN;
    return 0;
}

/* Who writes through a mapping (mmap) changes a file's times only with the first write to a page that is clean. So those that are dirty
 * are given to the disk before they are read: what is written to them from now on can be seen by the times in the next run. No waiting. */
static void show_mapped_writes(int fd)
{
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* 1: the file has an entry; 0: it could not be read and has none. */
static int read_open_file(struct capture *c, const struct scan_item *it, const struct entry *b,
                          int fd, struct err *e)
{
    struct scan_stat st, after;
    struct feed_result r;
    if (scan_stat_fd(fd, &st) < 0)
        return problem_sys(c, it, errno, e);
    bool same = st.ino == it->st->ino && st.dev == it->st->dev;
    if ((!same && !may_change(c)) || !S_ISREG(st.mode))
        return problem(c, it, _("was replaced while it was being captured"), e);
    struct entry en = entry_of(c, it, &st, ENTRY_FILE);
    uint64_t problems = problems_count(c->o.problems);
    if (c->root && c->root->like)
        take_after(c->root->like, &en);
    if (add_xattrs(c, it, fd, &en, e) < 0)
        return -e->code;
    en.fflags = meta_fflags(c->meta, fd, st.dev);
    if (c->o.hook)
        c->o.hook(c->o.ctx, it->path);
    struct page_check *check = NULL;
    if (c->root && c->root->check_of)
        check = c->root->check_of(c->root->ctx, it->path, it->path_len);
    feed_set_check(c->o.feed, check, it->path, it->path_len);
    uint64_t doubtful = check ? check->doubtful : 0;
    if (!may_change(c))
        show_mapped_writes(fd);
    if (read_content(c, &st, b, fd, &en, &r, e) < 0)
        return -e->code;
    if (r.sys)
        return problem_sys(c, it, r.sys, e);
    /* What is wrong with it is to be found, and said, again the next time. */
    if (problems_count(c->o.problems) > problems || (check && check->doubtful > doubtful))
        en.ino = 0;
    c->counts.bytes += r.size;
    if (!may_change(c) &&
        (r.size != st.size || scan_stat_fd(fd, &after) < 0 || !same_times(&st, &after)) &&
        problem(c, it, _("changed while it was being read"), e) < 0)
        return -e->code;
    return add_parts(c, &en, e) < 0 ? -(int)e->code : 1;
}

static int regular(struct capture *c, const struct scan_item *it, struct err *e)
{
    const struct entry *b = in_base(c, it);
    if (unchanged(c, it, b)) {
        c->counts.bytes += it->st->size;
        return take_over(c, it, b, e) < 0 ? -(int)e->code : 1;
    }
    int fd = open_file(it);
    if (fd < 0)
        return problem_sys(c, it, errno, e);
    int rc = read_open_file(c, it, b, fd, e);
    close(fd);
    return rc;
}

/* --- everything else ----------------------------------------------------------------------------- */
static int folder(struct capture *c, const struct scan_item *it, struct err *e)
{
    struct entry en = entry_of(c, it, it->st, ENTRY_DIR);
    if (it->fd >= 0) {
        if (add_xattrs(c, it, it->fd, &en, e) < 0)
            return -e->code;
        en.fflags = meta_fflags(c->meta, it->fd, it->st->dev);
    }
    return inventory_add(c->o.inventory, &en, NULL, 0, e) < 0 ? -(int)e->code : 1;
}

/* Length, or -1 with errno. */
static ssize_t read_target(struct capture *c, const struct scan_item *it)
{
    size_t want = it->st->size + 1 > 256 ? it->st->size + 1 : 256;
    for (;; want *= 2) {
        if (want > MAX_PATH_BYTES) {
            errno = ENAMETOOLONG;
            return -1;
        }
        if (c->target_cap < want) {
            char *p = realloc(c->target, want);
            if (!p)
                return -1;
            c->target = p;
            c->target_cap = want;
        }
        ssize_t n = readlinkat(it->dir_fd, it->name, c->target, c->target_cap);
        if (n < (ssize_t)c->target_cap)
            return n;
    }
}

/* Links, pipes and devices: what there is has no descriptor to ask. */
static int special(struct capture *c, const struct scan_item *it, enum entry_type type,
                   struct err *e)
{
    struct entry en = entry_of(c, it, it->st, type);
    if (type == ENTRY_SYMLINK) {
        ssize_t n = read_target(c, it);
        if (n < 0)
            return problem_sys(c, it, errno, e);
        en.target = c->target;
        en.target_len = (size_t)n;
    } else if (type != ENTRY_FIFO) {
        en.dev_major = it->st->rdev_major;
        en.dev_minor = it->st->rdev_minor;
    }
    if (add_xattrs(c, it, -1, &en, e) < 0)
        return -e->code;
    return inventory_add(c->o.inventory, &en, NULL, 0, e) < 0 ? -(int)e->code : 1;
}

static int by_type(struct capture *c, const struct scan_item *it, struct err *e)
{
    switch (it->st->mode & S_IFMT) {
    case S_IFREG:
        return regular(c, it, e);
    case S_IFDIR:
        return folder(c, it, e);
    case S_IFLNK:
        return special(c, it, ENTRY_SYMLINK, e);
    case S_IFIFO:
        return special(c, it, ENTRY_FIFO, e);
    case S_IFCHR:
        return special(c, it, ENTRY_CHAR, e);
    case S_IFBLK:
        return special(c, it, ENTRY_BLOCK, e);
    case S_IFSOCK:
        return problems_add(c->o.problems, false, it->path, it->path_len, _("a socket, not stored"),
                            e);
    default:
        return problem(c, it, _("of a kind that is not known here, not stored"), e);
    }
}

/* What the other names of the same thing are found by. A number of an inode is given out again as soon as what had it is gone; when it was
 * born tells the two apart, or where that is not known, when it was last written. 128 bits of a hash are not met twice. */
static void link_key(const struct scan_stat *st, uint64_t ret[2])
{
    bool born = st->birth_s != 0;
    const uint64_t who[] = { st->dev, st->ino, (uint64_t)(born ? st->birth_s : st->mtime_s),
                             born ? st->birth_ns : st->mtime_ns, st->mode & S_IFMT };
    struct id hash;
    sha256_of(who, sizeof who, &hash);
    memcpy(ret, hash.b, 2 * sizeof *ret);
}

/* A name of something that has several. The first one that could be captured stands for all. */
static int linked(struct capture *c, const struct scan_item *it, struct err *e)
{
    struct entry en = entry_of(c, it, it->st, ENTRY_HARDLINK);
    uint64_t key[2];
    link_key(it->st, key);
    int rc = linktable_find(c->o.links, key[0], key[1], &en.target, &en.target_len, e);
    if (rc < 0)
        return rc;
    en.flags = 0;
    if (rc > 0)
        return inventory_add(c->o.inventory, &en, NULL, 0, e) < 0 ? -(int)e->code : 1;
    rc = by_type(c, it, e);
    if (rc <= 0)
        return rc;
    rc = linktable_add(c->o.links, key[0], key[1], it->path, it->path_len, e);
    return rc < 0 ? rc : 1;
}

int capture_entry(struct capture *c, const struct scan_item *it, struct err *e)
{
    bool is_dir = S_ISDIR(it->st->mode), is_file = S_ISREG(it->st->mode);
    bool many = it->st->nlink > 1 && !is_dir && !S_ISSOCK(it->st->mode);
    int rc = many ? linked(c, it, e) : by_type(c, it, e);
    if (rc <= 0)
        return rc;
    c->counts.files += is_file;
    c->counts.dirs += is_dir;
    c->counts.others += !is_file && !is_dir;
    return 0;
}

int capture_stream(struct capture *c, const struct source_root *root, struct err *e)
{
    struct feed_result r;
    int64_t now = sys_realtime_ns();
    struct entry en = { .path = root->name,
                        .path_len = strlen(root->name),
                        .type = ENTRY_FILE,
                        .mode = 0600,
                        .uid = geteuid(),
                        .gid = getegid(),
                        .mtime_s = now / 1000000000,
                        .mtime_ns = (uint32_t)(now % 1000000000) };
    feed_set_check(c->o.feed, NULL, NULL, 0);
    if (feed_read_stream(c->o.feed, root->read, root->ctx, &r, e) < 0)
        return -e->code;
    en.size = r.size;
    en.hash = r.hash;
    c->counts.bytes += r.size;
    c->counts.files++;
    return add_parts(c, &en, e);
}
