/*
 * err.h - how a failure travels from where it happened to the person who reads it.
 *
 * A function that can fail returns 0 or a negative `enum err_code` and fills its last parameter,
 * a `struct err`. It is of fixed size and owns nothing, so filling it cannot fail. Each layer may
 * put its own part in front with err_wrap(). The mains print it once, as three lines:
 *
 *     twofold: backup of policy "etc": copy "building-2": /mnt/b/packs/ab/...      (what)
 *       why:  No space left on device                                             (why)
 *       next: free space there, then run: twofold replicate                       (next)
 *
 *     struct err e = ERR_INIT;
 *     if (store_stat(s, name, &len, &e) < 0)
 *         return err_wrap(&e, _("copy \"%s\""), place);
 *
 * Texts are translated where they are made (see i18n.h). No text may hold a secret.
 * `e` may be NULL everywhere: then only the code is returned.
 */
#ifndef TWOFOLD_BASE_ERR_H
#define TWOFOLD_BASE_ERR_H

#include <stdbool.h>

enum err_code {
    ERR_NONE = 0,
    ERR_FAILED,      /* none of the others */
    ERR_USAGE,       /* the command line */
    ERR_CONFIG,      /* a configuration or policy file */
    ERR_IO,          /* a system call on a disk or a pipe */
    ERR_NOSPACE,     /* disk or quota full */
    ERR_READONLY,    /* read-only medium */
    ERR_ABSENT,      /* not there, for certain */
    ERR_UNREACHABLE, /* cannot tell whether it is there: mount, link, host, permission */
    ERR_DAMAGED,     /* there, but its bytes are not the right ones */
    ERR_EXISTS,      /* there already, and must not be */
    ERR_REFUSED,     /* permission or policy says no */
    ERR_BUSY,        /* another process or orchestrator holds it */
    ERR_KEY,         /* key or passphrase missing or wrong */
    ERR_PROTOCOL,    /* the peer broke the protocol */
    ERR_VERSION,     /* the peer or the object is of a version we do not speak */
    ERR_TIMEOUT,     /* a deadline passed */
    ERR_LIMIT,       /* a bound (MAX_...) was exceeded */
    ERR_NOMEM,
    ERR_PARTIAL,     /* done, but not all of it */
    ERR_ROLLBACK,    /* a copy shows an older state than was seen before */
    ERR_INTERRUPTED, /* by a signal */
    ERR_ESCALATED,   /* no copy could restore it */
    ERR_NOT_WHOLE,   /* a backup needs something that no copy has */
    ERR_NAME,        /* no policy, vault, agent, job, alarm of the name or number that was given */
    ERR_CODES        /* how many */
};

#define ERR_TEXT_BYTES 640

struct err {
    enum err_code code;
    int sys;                   /* errno where one was behind it, else 0 */
    char what[ERR_TEXT_BYTES]; /* "copy "b": packs/ab/..."; built by err_wrap, outermost first */
    char why[ERR_TEXT_BYTES];
    char next[ERR_TEXT_BYTES]; /* empty: the table's advice for the code is printed */
};

#define ERR_INIT ((struct err){ .code = ERR_NONE })

/* One row of the table that says what a code means to the outside. */
struct err_info {
    const char *name; /* stable, for --json: "no-space" */
    int exit_status;  /* cli.md: 0 done 1 failed 2 usage 3 partial 4 damage 5 refused 6 escalated */
    bool retry;       /* trying the same again later may help */
    const char *next; /* default advice, untranslated (N_) */
};
const struct err_info *err_info(enum err_code code); /* never NULL */

/* Start a new error; forgets what was in `e`. Returns -code. `fmt` becomes `why`. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same from errno: the code is chosen by err_code_of_errno(), `why` is strerror(errno), and
 * `fmt` (what was done to what: "open %s") becomes `what`. Returns -code. Keeps errno. */
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put context before `what` ("<fmt>: <what>"). Returns -e->code (-ERR_FAILED where e is NULL or
 * unset), so `return err_wrap(...)` reads well. Over-long texts lose their middle, never the end. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Say what to do next; replaces what was said. Returns -e->code. */
int err_next(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

enum err_code err_code_of_errno(int sys);
void err_clear(struct err *e);

#endif
