/* files.c - which files of a cluster belong into a snapshot: all but what a server makes anew at its start, or has only for itself while
 * it runs (PostgreSQL's manual, "Making a Base Backup Using the Low Level API", and basebackup.c). */
#include "agents/postgresql/archive.h"
#include "agents/postgresql/page.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_AGAIN \
    5 /* times, with growing pauses: a page being written is whole within microseconds */

/* --- names ------------------------------------------------------------------------------------ */
static bool is_one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Sorting on disk, and a cache that may be older than what the log brings. */
static bool is_passing(const char *name)
{
    return starts_with(name, "pgsql_tmp") || starts_with(name, "pg_internal.init");
}

/* A table that no crash survives: its init fork, which is beside it, is what it starts with again. */
static bool is_unlogged(int dir_fd, const char *name, const struct relation_name *r)
{
    char init[32];
    if (r->fork == 'i' || r->node_len > 10)
        return false;
    snprintf(init, sizeof init, "%.*s_init", (int)r->node_len, name);
    return faccessat(dir_fd, init, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool leave_out_relation(int dir_fd, const char *name)
{
    struct relation_name r;
    return relation_name_parse(name, &r) && (r.temporary || is_unlogged(dir_fd, name, &r));
}

bool pg_leave_out_data(void *ctx, int dir_fd, const char *name, const char *path, size_t len)
{
    static const char *const files[] = {
        "postmaster.pid", "postmaster.opts",          "backup_label",         "backup_label.old",
        "tablespace_map", "tablespace_map.old",       "backup_manifest",      "recovery.signal",
        "standby.signal", "postgresql.auto.conf.tmp", "current_logfiles.tmp", NULL
    };
    static const char *const emptied[] = { "pg_replslot",  "pg_dynshmem",
                                           "pg_notify",    "pg_serial",
                                           "pg_snapshots", "pg_stat_tmp",
                                           "pg_subtrans",  NULL };
    const char *below = path + sizeof PG_DATA; /* behind "postgresql/data/" */
    const char *slash = strchr(below, '/');
    (void)ctx;
    (void)len;
    if (is_passing(name))
        return true;
    if (!slash)
        return strcmp(below, "pg_wal") == 0 || is_one_of(below, files) ||
               starts_with(below, ".twofold-"); /* what a restore set aside */
    char top[32] = "";
    if ((size_t)(slash - below) < sizeof top)
        memcpy(top, below, (size_t)(slash - below));
    if (is_one_of(top, emptied) || strcmp(below, "global/pg_control") == 0)
        return true;
    bool relations = strcmp(top, "base") == 0 || strcmp(top, "global") == 0 ||
                     strcmp(top, "pg_tblspc") == 0;
    return relations && leave_out_relation(dir_fd, name);
}

/* The folder of our version was met: the tablespace is there. */
static void space_seen(struct pg *p, const char *oid, size_t len)
{
    for (size_t i = 0; i < p->n_spaces; i++)
        if (strncmp(p->spaces[i].oid, oid, len) == 0 && p->spaces[i].oid[len] == '\0')
            p->spaces[i].seen = true;
}

bool pg_leave_out_space(void *ctx, int dir_fd, const char *name, const char *path, size_t len)
{
    struct pg *p = ctx;
    const char *oid = path + sizeof PG_SPACES, *below = strchr(oid, '/');
    (void)len;
    if (!below)
        return false;
    if (!strchr(below + 1, '/')) { /* another version's cluster may have a folder beside ours */
        if (strcmp(name, p->version_folder) != 0)
            return true;
        space_seen(p, oid, (size_t)(below - oid));
        return false;
    }
    return is_passing(name) || leave_out_relation(dir_fd, name);
}

/* --- the log ---------------------------------------------------------------------------------- */
bool wal_name_parse(const char *name, uint64_t segment_bytes, uint32_t *ret_timeline,
                    uint64_t *ret_segment)
{
    char part[9] = "";
    unsigned long n[3]; /* timeline, log, segment */
    uint64_t per_log = UINT64_C(0x100000000) / segment_bytes;
    if (strlen(name) != WAL_NAME_DIGITS || strspn(name, "0123456789ABCDEF") != WAL_NAME_DIGITS)
        return false;
    for (size_t i = 0; i < 3; i++) {
        memcpy(part, name + 8 * i, 8);
        n[i] = strtoul(part, NULL, 16);
    }
    if (n[2] >= per_log)
        return false;
    *ret_timeline = (uint32_t)n[0];
    *ret_segment = n[1] * per_log + n[2];
    return true;
}

/* Each page of the log says where it belongs (access/xlog_internal.h: u16 magic, u16 info, u32 timeline, u64 address): a file that was
 * recycled or made anew under the name has something else there. */
static bool is_segment(const struct pg *p, int dir_fd, const char *name, uint64_t segment)
{
    uint8_t head[16];
    uint64_t address;
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : sys_pread(fd, head, sizeof head, 0, NULL);
    sys_close_quiet(fd);
    if (n != (ssize_t)sizeof head)
        return false;
    memcpy(&address, head + 8, sizeof address);
    return address == segment * p->wal_segment_bytes;
}

uint64_t pg_segments_there(const struct pg *p)
{
    char path[PATH_MAX], name[3 * 8 + 1];
    uint64_t per_log = UINT64_C(0x100000000) / p->wal_segment_bytes, n = 0;
    snprintf(path, sizeof path, "%s/pg_wal", p->data);
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, NULL);
    for (uint64_t s = p->first_segment; fd >= 0 && s <= p->last_segment; s++) {
        snprintf(name, sizeof name, "%08X%08X%08X", p->timeline, (unsigned)(s / per_log),
                 (unsigned)(s % per_log));
        n += is_segment(p, fd, name, s);
    }
    sys_close_quiet(fd);
    return n;
}

static int add_log(struct pg *p, const char *wal, const char *name, uint64_t segment, struct err *e)
{
    const char *folder = source_spec_get(p->spec, "archive");
    struct archive_file f;
    struct pg_log_file *x = &p->log[p->n_log];
    int fd = sys_open_folder(folder, false, e);
    if (fd < 0)
        return err_wrap(e, "%s", folder);
    archive_name_parse(name, &f);
    bool there = fstatat(fd, name, &f.st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(f.st.st_mode);
    if (there && f.kind == ARCHIVE_SEGMENT)
        there = archive_check(fd, &f, strtoull(p->system_id, NULL, 10), NULL, NULL, NULL) == 0;
    sys_close_quiet(fd);
    snprintf(x->name, sizeof x->name, PG_WAL "/%s", name);
    x->segment = segment;
    if (asprintf(&x->place, "%s/%s", there ? folder : wal, name) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    p->n_log++;
    return 0;
}

int pg_find_log(struct pg *p, const char *wal, struct err *e)
{
    char name[40];
    int rc = 0;
    p->log = calloc(p->last_segment - p->first_segment + 2, sizeof *p->log);
    if (!p->log)
        return err_set(e, ERR_NOMEM, _("no memory"));
    snprintf(name, sizeof name, "%08X.history", p->timeline);
    if (p->timeline > 1)
        rc = add_log(p, wal, name, UINT64_MAX, e);
    for (uint64_t s = p->first_segment; rc == 0 && s <= p->last_segment; s++) {
        archive_segment_name(p->timeline, s * p->wal_segment_bytes, p->wal_segment_bytes, name);
        rc = add_log(p, wal, name, s, e);
    }
    return rc;
}

uint64_t pg_log_there(const struct pg *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->n_log; i++)
        if (p->log[i].segment != UINT64_MAX)
            n += is_segment(p, AT_FDCWD, p->log[i].place, p->log[i].segment);
    return n;
}

bool pg_leave_out_wal(void *ctx, int dir_fd, const char *name, const char *path, size_t len)
{
    struct pg *p = ctx;
    uint32_t timeline;
    uint64_t segment;
    char history[32];
    (void)path;
    (void)len;
    snprintf(history, sizeof history, "%08X.history", p->timeline);
    if (strcmp(name, history) == 0)
        return false;
    if (!wal_name_parse(name, p->wal_segment_bytes, &timeline, &segment) ||
        timeline != p->timeline || segment < p->first_segment || segment > p->last_segment ||
        !is_segment(p, dir_fd, name, segment))
        return true;
    p->segments_seen++;
    return false;
}

/* --- pages ------------------------------------------------------------------------------------ */
static bool file_of(const char *path, struct relation_name *ret)
{
    const char *name = strrchr(path, '/');
    const char *below = path + sizeof PG_ROOT;
    bool place = starts_with(below, "data/base/") || starts_with(below, "data/global/") ||
                 starts_with(below, "data-spaces/") || starts_with(below, "data/pg_tblspc/");
    return place && name && relation_name_parse(name + 1, ret);
}

struct page_check *pg_check_of(void *ctx, const char *path, size_t len)
{
    struct pg *p = ctx;
    struct relation_name r;
    (void)len;
    return p->checksums && file_of(path, &r) ? &p->check : NULL;
}

/* 1: the page, read again, is right (and in place of the first); 0: it is not. */
static int read_again(struct pg *p, int fd, uint64_t off, uint8_t *page, uint32_t block)
{
    for (unsigned i = 0; i < READ_AGAIN; i++) {
        struct err ignored = ERR_INIT;
        ssize_t n = sys_pread(fd, p->again, p->page_bytes, off, &ignored);
        if (n != (ssize_t)p->page_bytes) /* cut off meanwhile: the log says so, too */
            return 1;
        if (page_look(p->again, p->page_bytes, block) != PAGE_WRONG) {
            memcpy(page, p->again, p->page_bytes);
            return 1;
        }
        usleep(500u << i);
    }
    return 0;
}

static int tell_wrong(struct pg *p, const char *path, size_t len, uint32_t block, struct err *e)
{
    char text[160];
    p->pages_wrong++;
    snprintf(text, sizeof text,
             _("page %u is damaged in the database itself: its checksum is wrong"), block);
    return p->env.note(p->env.ctx, true, path, len, text, e);
}

static int wrong_page(struct pg *p, const char *path, size_t len, int fd, uint64_t off,
                      uint8_t *page, uint32_t block, struct err *e)
{
    /* What was received does not change; the server has read such a page again itself. */
    if (!p->received && read_again(p, fd, off, page, block))
        return 0;
    uint64_t lsn = page_lsn(page);
    /* Written since the backup began: the log has the whole page, or what was changed in it is not yet flushed. */
    if (lsn <= p->start_lsn || p->n_torn == MAX_TORN)
        return tell_wrong(p, path, len, block, e);
    struct pg_torn *t = &p->torn[p->n_torn];
    *t = (struct pg_torn){ .path = strndup(path, len), .block = block, .lsn = lsn };
    if (!t->path)
        return err_set(e, ERR_NOMEM, _("no memory"));
    p->n_torn++;
    p->check.doubtful++;
    return 0;
}

int pg_check_pages(void *ctx, const char *path, size_t path_len, int fd, uint64_t off,
                   uint8_t *bytes, size_t n, struct err *e)
{
    struct pg *p = ctx;
    struct relation_name r;
    if (!file_of(path, &r))
        return 0;
    uint32_t block = r.segment * p->segment_pages + (uint32_t)(off / p->page_bytes);
    for (size_t at = 0; at + p->page_bytes <= n; at += p->page_bytes, block++) {
        p->pages_checked++;
        if (page_look(bytes + at, p->page_bytes, block) == PAGE_WRONG &&
            wrong_page(p, path, path_len, fd, off + at, bytes + at, block, e) < 0)
            return -e->code;
    }
    return 0;
}

int pg_judge_torn(struct pg *p, struct err *e)
{
    for (size_t i = 0; i < p->n_torn; i++) {
        const struct pg_torn *t = &p->torn[i];
        if (t->lsn > p->stop_lsn && tell_wrong(p, t->path, strlen(t->path), t->block, e) < 0)
            return -e->code;
    }
    return 0;
}
