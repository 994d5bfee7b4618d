/*
 * ui.h - everything that a person or a script reads: results on stdout, errors and progress on stderr. In text mode an
 * error is three lines (cli.md); with --json every line is one object with stable field names, on stdout.
 */
#ifndef TWOFOLD_ORCHESTRATOR_UI_H
#define TWOFOLD_ORCHESTRATOR_UI_H

#include "lib/base/err.h"
#include "lib/crypto/secret.h"
#include <jansson.h>
#include <stdint.h>

struct ui {
    bool json, quiet, yes;
    bool tty;             /* stderr is a terminal (and neither json nor quiet) */
    unsigned columns;     /* of that terminal; 80 where it cannot be told */
    unsigned out_columns; /* of stdout, if that is a terminal: longer lines are broken; else 0 */
    unsigned drawn;       /* progress lines now on the screen */
    uint64_t last_draw_ms;
    const char *command; /* "backup": a field of every JSON line */
    struct err last;     /* what ui_error printed last; code ERR_NONE: nothing */
};

void ui_init(struct ui *ui);
/* Prints the error and returns the exit status that the table gives it. */
int ui_error(struct ui *ui, const struct err *e);
/* A finding that does not end the command: one line "path: text" on stderr, or {"type":"note"|"problem",…}. Bytes of a
 * path that are not printable or not of the locale are shown as \ooo; in JSON, not-UTF-8 paths likewise. */
void ui_note(struct ui *ui, bool problem, const char *path, size_t path_len, const char *text,
             size_t text_len);
/* A line of the result, on stdout; nothing with --quiet or --json. */
void ui_line(struct ui *ui, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A warning: stderr, also with --quiet; with --json {"type":"warning","text":…}. */
void ui_warn(struct ui *ui, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One JSON line (only with --json; else nothing). "command" is added. Takes o. */
void ui_json(struct ui *ui, json_t *o);
/* A JSON string of text of any origin: what is not UTF-8 is shown as \ooo. */
json_t *ui_json_text(const char *p, size_t n);
/* Sets "path" of o; for one that is not UTF-8 also "path_hex", its bytes. */
void ui_json_path(json_t *o, const char *path, size_t len);
/* A path safe to show on a terminal: see ui_note. Owned. */
char *ui_path(const char *path, size_t len);
/* "1.2 GiB", "3 days"; return buf. */
const char *ui_bytes(uint64_t n, char buf[32]);
const char *ui_age(int64_t seconds, char buf[64]); /* "3 h 12 min" */
const char *ui_time(int64_t ns_since_1970,
                    char buf[32]); /* local time, ISO 8601: 2026-11-21T02:30:00+08:00 */

/* Progress: drawn in place on a terminal at most five times a second, at most one JSON line a second, nothing otherwise. */
struct ui_copy_line {
    const char *place, *state; /* "machine-room", N_("writing") */
    uint64_t bytes;
};
struct ui_progress {
    const char *phase;                                         /* translated */
    uint64_t files, bytes, total_files, total_bytes, problems; /* totals 0: not known */
    uint64_t rate_bytes_s, eta_s; /* computed by ui_progress from started_ms */
    uint64_t started_ms;
    const char *path;
    size_t path_len;
    struct ui_copy_line copies[8];
    size_t n_copies;
};
void ui_progress(struct ui *ui, struct ui_progress *p);
void ui_progress_end(struct ui *ui); /* takes the lines away */

/* What was typed before a question could be seen is no answer to it: called before each question. Only of a terminal. */
void ui_drop_typed(void);
/* A yes or no; `def` with --yes or when stdin is no terminal. */
bool ui_ask(struct ui *ui, const char *question, bool def);
/* A passphrase: from `file` (--passphrase-file), TWOFOLD_PASSPHRASE_FILE, the systemd credential "twofold-passphrase"
 * ($CREDENTIALS_DIRECTORY), else asked for on /dev/tty without echo (twice when `again`). One final newline is cut off.
 * -ERR_KEY, with what to do, when there is none of these. A file that others can read: a warning. */
int ui_passphrase(struct ui *ui, const char *file, bool again, struct secret **ret, struct err *e);
/* Nothing of these but a terminal: who types may mistype. */
bool ui_passphrase_is_typed(const char *file);

#endif
