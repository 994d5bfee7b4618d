/*
 * archive.h - a folder into which a server's archive_command puts what it has finished of its log, and from which it is taken into the
 * copies (follow_archive.c): a queue, not an archive. Files are named as the server names them:
 *
 *     <timeline><segment>            a segment                                  24 hex digits
 *     <timeline><segment>.partial    the last one of a timeline that was left
 *     <timeline>.history             where a timeline came from                  8 hex digits
 *     <timeline><segment>.<at>.backup   that a backup was made: nothing of the log
 *
 * What else lies there is nobody's business here: it is named, and never touched.
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_ARCHIVE_H
#define TWOFOLD_AGENTS_POSTGRESQL_ARCHIVE_H

#include "agents/postgresql/inner.h"

#include <sys/stat.h>

#define ARCHIVE_HISTORY_BYTES (1u << 20) /* at most */
#define ARCHIVE_TEMPORARY_BYTES 300

enum archive_kind {
    ARCHIVE_FOREIGN,
    ARCHIVE_HISTORY,
    ARCHIVE_SEGMENT,
    ARCHIVE_PARTIAL,
    ARCHIVE_LABEL,
};
struct archive_file {
    char name[256];
    enum archive_kind kind;
    uint32_t timeline, log, part; /* of a segment: its number is log * (segments of 4 GiB) + part */
    struct stat st;
};
/* Of a name alone; false: foreign. */
bool archive_name_parse(const char *name, struct archive_file *ret);
/* The position at which a segment begins; UINT64_MAX: with segments of this size there is none of that name. */
uint64_t archive_start(const struct archive_file *f, uint64_t segment_bytes);
void archive_segment_name(uint32_t timeline, uint64_t at, uint64_t segment_bytes, char ret[32]);

struct archive_list {
    struct archive_file
        *v; /* owned; segments by timeline and position, each other kind for itself */
    size_t n;
    uint64_t bytes; /* of all that is of the log */
};
/* Regular files only are of any other kind than foreign; hidden ones (an archive_command may be writing them) are left out. */
int archive_list(int folder, struct archive_list *ret, struct err *e);
void archive_list_done(struct archive_list *l);

/* The first page of a segment says which one it is. 0: it is what its name says, of this system (0: of any). -ERR_DAMAGED; -ERR_CONFIG: of another
 * system. *ret_system and *ret_segment_bytes (may be NULL): what it says. */
int archive_check(int folder, const struct archive_file *f, uint64_t system, uint64_t *ret_system,
                  uint64_t *ret_segment_bytes, struct err *e);

/* `twofold-agent archive FOLDER PATH NAME`: copies the file, so that it is there whole and for good, or not at all. The same again is
 * well. -ERR_EXISTS: another one of that name is there. */
int archive_put(const char *folder, const char *path, const char *name, struct err *e);

/* While one is held nothing is removed from the folder: a backup that no slot helps needs what comes meanwhile. Returns a descriptor. */
int archive_hold(const char *state_dir, const char *folder, struct err *e);
bool archive_held(const char *state_dir, const char *folder);
/* A file of the agent's own about that folder; owned, NULL: no memory. */
char *archive_state_file(const char *state_dir, const char *folder, const char *what);

/* --- follow_archive.c */
int pg_follow_archive(const struct source_spec *spec, const struct source_env *env,
                      const struct log_piece *last, unsigned interval_ms, struct log_sink *k,
                      struct err *e);
/* Says how much lies there, where that is much. */
int archive_note(const struct source_spec *spec, const struct source_env *env, struct err *e);

#endif
