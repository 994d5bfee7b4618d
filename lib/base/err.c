/* err.c - filling, wrapping and classifying errors; the one table that gives every code its name,
 * exit status and default advice (docs/cli: exit status). */
#include "lib/base/err.h"
#include "lib/base/i18n.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Longest text that is formatted before it is cut; a path beyond PATH_MAX still keeps its end. */
#define MAX_FORMATTED_BYTES 16384

enum { EXIT_OK, EXIT_FAIL, EXIT_USAGE, EXIT_PARTIAL, EXIT_DAMAGE, EXIT_REFUSE, EXIT_ESCALATE };
#define EXIT_INTERRUPT 130

static const struct err_info table[ERR_CODES] = {
    [ERR_NONE] = { "none", EXIT_OK, false, N_("nothing to do") },
    [ERR_FAILED] = { "failed", EXIT_FAIL, false,
                     N_("correct what the line above names, then run the same command again") },
    [ERR_USAGE] = { "usage", EXIT_USAGE, false, N_("see how the command is used: twofold help") },
    [ERR_CONFIG] = { "config", EXIT_USAGE, false,
                     N_("correct the file named above, then check it: twofold policy lint") },
    [ERR_IO] = { "io", EXIT_FAIL, true,
                 N_("look for disk or network errors (journalctl -k), then run the same command "
                    "again") },
    [ERR_NOSPACE] = { "no-space", EXIT_FAIL, true,
                      N_("free space or raise the quota there, then run the same command again") },
    [ERR_READONLY] = { "read-only", EXIT_FAIL, false,
                       N_("mount it writable (a disk with errors turns read-only: see "
                          "journalctl -k), then run the same command again") },
    [ERR_ABSENT] = { "absent", EXIT_FAIL, false,
                     N_("check the name; if an object of a copy is missing, run: twofold repair") },
    [ERR_UNREACHABLE] = { "unreachable", EXIT_FAIL, true,
                          N_("check that it is mounted or switched on and that the network "
                             "reaches it, then run the same command again") },
    [ERR_DAMAGED] = { "damaged", EXIT_DAMAGE, false,
                      N_("find out what else is damaged: twofold scrub; then mend it from another "
                         "copy: twofold repair") },
    [ERR_EXISTS] = { "exists", EXIT_FAIL, false,
                     N_("choose another name or place, or move away what is there") },
    [ERR_REFUSED] = { "refused", EXIT_REFUSE, false,
                      N_("run it as a user who may do this, or have the permission or the policy "
                         "changed") },
    [ERR_BUSY] = { "busy", EXIT_REFUSE, true,
                   N_("wait until the other job is done (twofold status shows it), then run the "
                      "same command again") },
    [ERR_KEY] = { "key", EXIT_REFUSE, false,
                  N_("check the passphrase and that the recovery key belongs to this vault "
                     "(see the printed recovery kit)") },
    [ERR_PROTOCOL] = { "protocol", EXIT_FAIL, true,
                       N_("run the same command again; if it happens again, check that both hosts "
                          "run the same version of twofold") },
    [ERR_VERSION] = { "version", EXIT_FAIL, false,
                      N_("install the newer version of twofold on both hosts") },
    [ERR_TIMEOUT] = { "timeout", EXIT_FAIL, true,
                      N_("check that the other side is up and not overloaded, then run the same "
                         "command again") },
    [ERR_LIMIT] = { "limit", EXIT_FAIL, false,
                    N_("make it smaller or raise the limit that is named above") },
    [ERR_NOMEM] = { "no-memory", EXIT_FAIL, true,
                    N_("free memory or give the job fewer threads, then run the same command "
                       "again") },
    [ERR_PARTIAL] = { "partial", EXIT_PARTIAL, true,
                      N_("see what is missing: twofold status; copies that missed the run are "
                         "caught up by: twofold replicate") },
    [ERR_ROLLBACK] = { "rollback", EXIT_DAMAGE, false,
                       N_("do not use this copy until it is known who put the older state there; "
                          "another copy is still good: twofold restore --from PLACE") },
    [ERR_NOT_WHOLE] = { "not-whole", EXIT_DAMAGE, false,
                        N_("bring a copy that is away back (twofold status), mend: twofold repair; "
                           "then back up anew: twofold backup POLICY") },
    [ERR_NAME] = { "no-such-name", EXIT_USAGE, false,
                   N_("check the name; twofold status shows the policies, vaults and copies") },
    [ERR_INTERRUPTED] = { "interrupted", EXIT_INTERRUPT, true,
                          N_("run the same command again; it goes on where it stopped") },
    [ERR_ESCALATED] = { "escalated", EXIT_ESCALATE, false,
                        N_("call the vendor's support and keep all copies and the scene as they "
                           "are; see: twofold crash status") },
};

const struct err_info *err_info(enum err_code code)
{
    if ((unsigned)code >= ERR_CODES)
        code = ERR_FAILED;
    return &table[code];
}

/* --- texts ------------------------------------------------------------------------------------ */
static bool is_utf8_tail(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Copies text into out; one that is too long loses its middle, never half a UTF-8 character. */
static void put_text(char out[ERR_TEXT_BYTES], const char *text)
{
    static const char gap[] = " ... ";
    size_t len = strlen(text);
    if (len < ERR_TEXT_BYTES) {
        memcpy(out, text, len + 1);
        return;
    }
    size_t room = ERR_TEXT_BYTES - sizeof gap;
    size_t head = room / 3, tail = len - (room - room / 3);
    while (head > 0 && is_utf8_tail(text[head]))
        head--;
    while (tail < len && is_utf8_tail(text[tail]))
        tail++;
    memcpy(out, text, head);
    memcpy(out + head, gap, sizeof gap - 1);
    memcpy(out + head + sizeof gap - 1, text + tail, len - tail + 1);
}

/* The arguments may lie in the very error that is being filled, hence the detour. */
__attribute__((format(printf, 2, 0))) static void format_into(char out[ERR_TEXT_BYTES],
                                                              const char *fmt, va_list ap)
{
    char text[MAX_FORMATTED_BYTES];
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    put_text(out, text);
}

static int settled(struct err *e)
{
    if (!e)
        return -ERR_FAILED;
    if (e->code == ERR_NONE)
        e->code = ERR_FAILED;
    return -(int)e->code;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    if (e) {
        char why[ERR_TEXT_BYTES];
        va_list ap;
        va_start(ap, fmt);
        format_into(why, fmt, ap);
        va_end(ap);
        err_clear(e);
        e->code = code;
        memcpy(e->why, why, sizeof why);
    }
    return -(int)code;
}

int err_sys(struct err *e, const char *fmt, ...)
{
    int sys = errno;
    enum err_code code = err_code_of_errno(sys);
    if (e) {
        char what[ERR_TEXT_BYTES], buf[128];
        va_list ap;
        va_start(ap, fmt);
        format_into(what, fmt, ap);
        va_end(ap);
        err_clear(e);
        e->code = code;
        e->sys = sys;
        memcpy(e->what, what, sizeof what);
        put_text(e->why, strerror_r(sys, buf, sizeof buf));
    }
    errno = sys;
    return -(int)code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    if (e) {
        char front[ERR_TEXT_BYTES], both[2 * ERR_TEXT_BYTES + 2];
        va_list ap;
        va_start(ap, fmt);
        format_into(front, fmt, ap);
        va_end(ap);
        snprintf(both, sizeof both, "%s%s%s", front, e->what[0] ? ": " : "", e->what);
        put_text(e->what, both);
    }
    return settled(e);
}

int err_next(struct err *e, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        format_into(e->next, fmt, ap);
        va_end(ap);
    }
    return settled(e);
}

void err_clear(struct err *e)
{
    if (!e)
        return;
    e->code = ERR_NONE;
    e->sys = 0;
    e->what[0] = e->why[0] = e->next[0] = '\0';
}

/* --- errno ------------------------------------------------------------------------------------ */
/* ERR_ABSENT is said only where the kernel knows that there is nothing: it may end a search. */
static const struct {
    int sys;
    enum err_code code;
} of_errno[] = {
    { ENOSPC, ERR_NOSPACE },
    { EDQUOT, ERR_NOSPACE },
    { EROFS, ERR_READONLY },
    { ENOENT, ERR_ABSENT },
    { ENOTDIR, ERR_ABSENT },
    { EACCES, ERR_REFUSED },
    { EPERM, ERR_REFUSED },
    { ELOOP, ERR_REFUSED },
    { EEXIST, ERR_EXISTS },
    { ENOTEMPTY, ERR_EXISTS },
    { EBUSY, ERR_BUSY },
    { EAGAIN, ERR_BUSY },
    { ETXTBSY, ERR_BUSY },
    { EADDRINUSE, ERR_BUSY },
    { ETIMEDOUT, ERR_TIMEOUT },
    { ENOMEM, ERR_NOMEM },
    { ENAMETOOLONG, ERR_LIMIT },
    { EFBIG, ERR_LIMIT },
    { EMFILE, ERR_LIMIT },
    { ENFILE, ERR_LIMIT },
    { E2BIG, ERR_LIMIT },
    { EINTR, ERR_INTERRUPTED },
    { ENODEV, ERR_UNREACHABLE },
    { ENXIO, ERR_UNREACHABLE },
    { ENOMEDIUM, ERR_UNREACHABLE },
    { ESTALE, ERR_UNREACHABLE },
    { ENOTCONN, ERR_UNREACHABLE },
    { ECONNREFUSED, ERR_UNREACHABLE },
    { ECONNRESET, ERR_UNREACHABLE },
    { ECONNABORTED, ERR_UNREACHABLE },
    { ENETDOWN, ERR_UNREACHABLE },
    { ENETUNREACH, ERR_UNREACHABLE },
    { EHOSTDOWN, ERR_UNREACHABLE },
    { EHOSTUNREACH, ERR_UNREACHABLE },
    { EPIPE, ERR_UNREACHABLE },
    { ENOLINK, ERR_UNREACHABLE },
};

enum err_code err_code_of_errno(int sys)
{
    for (size_t i = 0; i < sizeof of_errno / sizeof *of_errno; i++)
        if (of_errno[i].sys == sys)
            return of_errno[i].code;
    return sys == 0 ? ERR_FAILED : ERR_IO;
}
