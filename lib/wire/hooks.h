/*
 * hooks.h - the commands of a policy that are run on the source's host around what is read (freeze, thaw): argument lists, never
 * a shell's line. They travel in BACKUP (docs/protocol.md); agents/hooks.h runs them.
 */
#ifndef TWOFOLD_WIRE_HOOKS_H
#define TWOFOLD_WIRE_HOOKS_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include <stdbool.h>

#define MAX_HOOK_WORDS 32        /* of one command */
#define MAX_HOOK_WORD_BYTES 1024 /* of one of its words */
#define DEFAULT_HOOK_LIMIT_S 300
#define MAX_HOOK_LIMIT_S 1200 /* less than what an orchestrator takes for a stall */

#define MAX_COMMAND_LIMIT_S \
    86400 /* of one that an orchestrator waits for by itself: agents/host/ */

struct hooks {
    char **before, **after; /* owned; the first word is the program's whole path */
    size_t n_before, n_after;
    unsigned limit_s; /* of each; 0: DEFAULT_HOOK_LIMIT_S */
};

bool hooks_any(const struct hooks *h);
void hooks_done(struct hooks *h);
/* Appends a word, copied. -ERR_LIMIT, -ERR_NOMEM. */
int hook_add(char ***words, size_t *n, const char *word, struct err *e);
/* Whether it can be a command: -ERR_CONFIG, and which word (*ret_bad, may be NULL) is no good. None at all is good. */
int hook_check(char *const *words, size_t n, size_t *ret_bad, struct err *e);
/* The command as one line, as it stands in an allow-list: words parted by one space, each with anything but A-Za-z0-9_./:=@%+,- in it in
 * single quotes, as a shell would read it. Owned; NULL: no memory. */
char *hook_line(char *const *words, size_t n);

/* list before ‖ list after ‖ varint time limit */
void hooks_write(struct wbuf *w, const struct hooks *h);
/* What is over a bound, or no command, makes r bad; *ret is the caller's even then. */
void hooks_read(struct rbuf *r, struct hooks *ret);

#endif
