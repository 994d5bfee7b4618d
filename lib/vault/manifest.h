/*
 * manifest.h - the entries of a snapshot, their leaves and the index of the leaves (docs/format.md,
 * "Manifest"). Writers add entries in path order and take a leaf whenever one is full; readers walk one
 * leaf at a time. Everything a reader returns is borrowed from the leaf until the next call.
 *
 * A *state* leaf ("S" instead of "L") is never stored in a copy: an agent keeps them as its memory of the
 * last run. Its entries of type 1 have three more fields at their end: zigzag (ctime seconds - mtime
 * seconds), varint ctime nanoseconds, varint inode; those in pages a fourth, varint where the sums of its pages are; and they may
 * have the flag REWRITTEN.
 */
#ifndef TWOFOLD_VAULT_MANIFEST_H
#define TWOFOLD_VAULT_MANIFEST_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/id.h"
#include "lib/vault/paged.h"

#define MAX_PATH_BYTES (1u << 20)
#define MAX_XATTR_BYTES (1u << 20) /* all of one entry */
#define MAX_PART_EXTENTS 2048
#define LEAF_MIN_BYTES (24u << 10)
#define LEAF_MAX_BYTES (512u << 10) /* a leaf is closed there; one entry may still exceed it */
#define MAX_LEAF_BYTES (8u << 20)   /* what a reader accepts */

enum entry_type {
    ENTRY_FILE = 1,
    ENTRY_DIR,
    ENTRY_SYMLINK,
    ENTRY_HARDLINK,
    ENTRY_FIFO,
    ENTRY_CHAR,
    ENTRY_BLOCK,
    ENTRY_SOCKET,
    ENTRY_MORE /* continuation of the extents of the file before */
};
enum entry_flags {
    ENTRY_XATTRS = 1,
    ENTRY_FFLAGS = 2,
    ENTRY_HAS_MORE = 4,
    ENTRY_LINKED = 8,
    ENTRY_SAME = 16,
    ENTRY_SPARSE = 32,
    ENTRY_ABOVE = 64,
    ENTRY_PAGED = 128, /* of a file and of all its continuations: in regions and pages (paged.h) */
    ENTRY_REWRITTEN =
        256 /* state leaves only: much of it was new, so the other way is worth a try */
};

struct xattr {
    const char *name; /* NUL-terminated for writers; readers: use name_len */
    size_t name_len;
    const uint8_t *value;
    size_t len;
};

struct extent {
    uint64_t len;
    bool hole;
    struct id chunk; /* undefined for a hole */
    uint32_t off;    /* in the chunk's plaintext */
};

struct entry {
    const char *path; /* absolute without the leading '/'; not NUL-terminated */
    size_t path_len;
    enum entry_type type;
    unsigned flags; /* writers need not set XATTRS, FFLAGS, SAME */
    uint32_t mode, uid, gid;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t size;
    struct id hash;
    uint32_t fflags;
    const struct xattr *xattrs;
    size_t n_xattrs;
    const char *target; /* symlink, hard link */
    size_t target_len;
    uint32_t dev_major, dev_minor;
    const struct extent *extents;
    size_t n_extents;
    /* PAGED: extents do not cross from one region into the next, but for holes, and parts are whole regions, but for the last. */
    unsigned page_bits;    /* of the file's first part */
    const struct id *sums; /* of the regions of this part that are not one hole, in order */
    size_t n_sums;         /* always paged_sums_of(extents) */
    int64_t ctime_s;       /* state leaves only */
    uint32_t ctime_ns;
    uint64_t ino;
    uint64_t page_sums_at; /* PAGED; 0: there are none */
};

/* How many regions of a part are not one hole. *ret_bad (may be NULL): an extent crosses into the next region. */
size_t paged_sums_of(const struct extent *extents, size_t n, bool *ret_bad);

/* The order of entries: bytewise, '/' below everything else. */
int path_cmp(const char *a, size_t a_len, const char *b, size_t b_len);
/* True when `path` is `dir` or below it. An empty dir holds everything. */
bool path_within(const char *path, size_t path_len, const char *dir, size_t dir_len);
/* What a path of an entry must be: 1 to MAX_PATH_BYTES bytes, no NUL, no empty, "." or ".." component. */
bool path_ok(const char *path, size_t len);

/* --- writing ---------------------------------------------------------------------------------------- */
struct leaf_writer;
struct leaf_writer *leaf_writer_new(bool state); /* NULL: no memory */
void leaf_writer_free(struct leaf_writer *w);
/* Adds an entry (copied). The caller splits a file of more than MAX_PART_EXTENTS extents. */
int leaf_add(struct leaf_writer *w, const struct entry *en, struct err *e);
/* Should the leaf end before an entry with this path? Depends on the size and the path alone. */
bool leaf_is_full(const struct leaf_writer *w, const char *next_path, size_t len);
size_t leaf_count(const struct leaf_writer *w); /* entries in it */
/* The distinct chunks that the leaf's extents use; borrowed until the next leaf_add or leaf_take. */
const struct id *leaf_chunks(const struct leaf_writer *w, size_t *ret_n);
/* Appends the finished leaf to out and its first path to first (both may hold something), then starts anew. */
int leaf_take(struct leaf_writer *w, struct wbuf *out, struct wbuf *first, struct err *e);

/* --- reading -------------------------------------------------------------------------------------------- */
struct leaf_reader;
/* The bytes stay the caller's and must live as long as the reader. -ERR_DAMAGED: not a leaf. */
int leaf_reader_new(const void *p, size_t n, bool state, struct leaf_reader **ret, struct err *e);
void leaf_reader_free(struct leaf_reader *r);
/* 1: an entry; 0: the end; negative: -ERR_DAMAGED. Paths are checked (path_ok, ascending order). */
int leaf_next(struct leaf_reader *r, struct entry *ret, struct err *e);
const struct id *leaf_reader_chunks(const struct leaf_reader *r, size_t *ret_n);

/* The index chunks: a list of leaves. */
struct leaf_info {
    struct id id;
    uint64_t entries;
    const char *first; /* borrowed */
    size_t first_len;
};
void leaf_info_write(struct wbuf *w, const struct leaf_info *li);
/* 1, 0 at the end, -ERR_DAMAGED. */
int leaf_info_read(struct rbuf *r, struct leaf_info *ret, struct err *e);

/* --- the snapshot's body (docs/format.md, "snapshot") -------------------------------------------------- */
#define MAX_ROOTS 4096
#define MAX_KEPT_PROBLEMS 1000
#define MAX_INDEX_CHUNKS (1u << 16)

struct body_problem {
    char *path, *text; /* owned */
    size_t path_len;
};
struct body_index {
    struct id id;
    char *first; /* owned */
    size_t first_len;
};
struct snapshot_body {
    char **
        roots; /* owned: absolute paths; without a '/' in front, the virtual root of a source (body_virtual_root) */
    size_t n_roots;
    struct body_index *index;
    size_t n_index;
    uint64_t entries;
    struct body_problem *problems;
    size_t n_problems;
};
void snapshot_body_write(struct wbuf *w, const struct snapshot_body *b);
int snapshot_body_read(const void *p, size_t n, struct snapshot_body **ret, struct err *e);
void snapshot_body_free(struct snapshot_body *b);
/* Is this root the folder of a source that is no tree of files? It is one component, and what lies below it in the manifest was never at
 * that place on a disk. No other root of the same snapshot has it or lies in it, nor is anything of that name stored below "/". */
bool body_root_is_virtual(const char *root);
/* The virtual root that an entry of the manifest (no '/' in front) is or lies below, or NULL. */
const char *body_virtual_root(const struct snapshot_body *b, const char *path, size_t len);

#endif
