/*
 * seam.h - is what a server has, or what is kept, of the same life as something else? What tells is the last bytes before a position of a binary
 * log: they have times, numbers and sums in them. A server whose logs were reset, or which was put back, has others there.
 */
#ifndef TWOFOLD_AGENTS_MARIADB_SEAM_H
#define TWOFOLD_AGENTS_MARIADB_SEAM_H

#include "agents/mariadb/inner.h"
#include "agents/mariadb/stream.h"
#include "lib/vault/log.h"

/* --- the last bytes of what goes by */
struct my_window {
    uint8_t p[LOG_MARKED];
    size_t n;
};
void my_window_add(struct my_window *w, const uint8_t *p, size_t n);
/* Of its last min(n, …) bytes. */
void my_window_mark(const struct my_window *w, size_t n, uint8_t ret[LOG_MARK_BYTES]);

/* --- which log it is */
/* The server's own number and the name of the series: with another one it is never gone on. Not 0. */
uint64_t my_log_system(const char *server_id, const char *file);

/* --- the history of a file of the log, the piece before its bytes: its name, and what tells that it is this one */
#define FILE_HEAD_BYTES (BINLOG_MAGIC_BYTES + EVENT_HEAD_BYTES)
#define MAX_FILE_HISTORY (MAX_BINLOG_NAME + 80)
/* head: its first FILE_HEAD_BYTES. The length. */
size_t my_file_history(const char *name, const uint8_t *head, char out[MAX_FILE_HISTORY]);
/* False: it is none. */
bool my_file_history_name(const uint8_t *p, size_t n, char ret[MAX_BINLOG_NAME]);

/* --- in a backup's facts: where in the log it ended. The log has there, and at the beginning of that file, what the server says now. */
#define MAX_LOG_HEAD 4096u /* the first events of a file, which say how all others are to be read */
int my_seam_ask(const struct my_server *s, const char *file, uint64_t position, json_t **ret,
                struct err *e);
struct my_seam {
    const char *file; /* borrowed */
    uint32_t number;
    uint64_t position, marked; /* so many bytes before it are in the mark */
    uint8_t mark[LOG_MARK_BYTES];
    uint8_t head[MAX_LOG_HEAD];
    size_t head_n;
};
bool my_seam_read(json_t *o, struct my_seam *ret);

#endif
