/* approve.c - the second person (approve: two): another login, a sealed one-time code, or the leader on duty by telephone. See crash.h;
 * docs/security.md says what that does and does not prove. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODES_FILE "keys/approval-codes"
#define MAX_CODES 64
#define CODE_CHARS 16 /* of 32 letters: 80 bits */
#define SALT_BYTES 8
#define CODE_LINE_BYTES (2 * SALT_BYTES + 1 + 2 * ID_BYTES + 1)
#define MAX_CODES_FILE 65536

/* No letters that look like others. */
static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/* --- codes -------------------------------------------------------------------------------------------------------- */
static void hash_code(const uint8_t salt[SALT_BYTES], const char *code, struct id *ret)
{
    static const char label[] = "twofold v1 approval";
    struct sha256 *h = sha256_new();
    sha256_update(h, label, sizeof label);
    sha256_update(h, salt, SALT_BYTES);
    sha256_update(h, code, strlen(code));
    sha256_final(h, ret);
    sha256_free(h);
}

/* As it was printed, whatever blanks, dashes and small letters it was typed with. */
static bool normalise(const char *typed, char out[CODE_CHARS + 1])
{
    size_t n = 0;
    for (; *typed; typed++) {
        char ch = (char)toupper((unsigned char)*typed);
        if (ch == '-' || ch == ' ' || ch == '\n' || ch == '\r')
            continue;
        if (n == CODE_CHARS || !strchr(alphabet, ch))
            return false;
        out[n++] = ch;
    }
    out[n] = '\0';
    return n == CODE_CHARS;
}

static int lock_codes(const struct config_paths *p, char **ret_path, struct err *e)
{
    char *path = text_print("%s/" CODES_FILE, p->config_dir);
    char *lock = text_print("%s.lock", path), *dir = text_print("%s/keys", p->config_dir);
    int rc = sys_mkdir_p(dir, 0700, e);
    int fd = rc < 0 ? rc : sys_lock_file(lock, e);
    free(lock);
    free(dir);
    if (fd < 0)
        free(path);
    else
        *ret_path = path;
    return fd;
}

int crash_make_codes(struct app *app, unsigned n, struct err *e)
{
    char *path = NULL;
    uint8_t *old = NULL;
    size_t n_old = 0;
    struct wbuf w = WBUF_INIT, shown = WBUF_INIT;
    if (n == 0 || n > MAX_CODES) {
        err_set(e, ERR_USAGE, _("1 to %d codes can be made"), MAX_CODES);
        return err_next(e, "twofold crash codes --count 4");
    }
    int fd = lock_codes(&app->paths, &path, e);
    if (fd < 0)
        return fd;
    int rc = sys_read_file(AT_FDCWD, path, MAX_CODES_FILE, &old, &n_old, e);
    rc = rc == -ERR_ABSENT ? 0 : rc;
    wb_bytes(&w, old ? old : (const uint8_t *)"", n_old);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        char code[CODE_CHARS + 1], hex[2 * SALT_BYTES + 1], sum[ID_HEX_BYTES];
        uint8_t salt[SALT_BYTES], chance[CODE_CHARS];
        struct id id;
        sys_random(salt, sizeof salt);
        sys_random(chance, sizeof chance);
        for (size_t k = 0; k < CODE_CHARS; k++)
            code[k] = alphabet[chance[k] & 31];
        code[CODE_CHARS] = '\0';
        hash_code(salt, code, &id);
        hex_encode(salt, SALT_BYTES, hex);
        char *line = text_print("%s %s\n", hex, id_hex(&id, sum));
        char *print = text_print("  %.4s-%.4s-%.4s-%.4s\n", code, code + 4, code + 8, code + 12);
        wb_bytes(&w, line, strlen(line));
        wb_bytes(&shown, print, strlen(print));
        free(line);
        free(print);
    }
    if (rc == 0)
        rc = w.failed || shown.failed ? err_set(e, ERR_NOMEM, _("out of memory"))
                                      : sys_write_file(AT_FDCWD, path, w.p, w.len, 0600, e);
    if (rc == 0) {
        ui_line(
            &app->ui, "%s",
            _("One-time codes. Print them, seal each in an envelope of its own, and clear this screen;\n"
              "they are not kept on this machine, only their hashes are:"));
        wb_u8(&shown, 0);
        ui_line(&app->ui, "%s", (const char *)shown.p);
    }
    sys_close_quiet(fd);
    free(old);
    free(path);
    wbuf_free(&w);
    wbuf_free(&shown);
    return rc;
}

/* The line that the code belongs to; its number in the file, or -1. */
static ssize_t find_code(const char *text, size_t n, const char *code)
{
    for (size_t at = 0; at + CODE_LINE_BYTES <= n; at += CODE_LINE_BYTES) {
        char hex[2 * SALT_BYTES + 1], sum[ID_HEX_BYTES];
        uint8_t salt[SALT_BYTES];
        struct id is, want;
        snprintf(hex, sizeof hex, "%.*s", 2 * SALT_BYTES, text + at);
        snprintf(sum, sizeof sum, "%.*s", 2 * ID_BYTES, text + at + 2 * SALT_BYTES + 1);
        if (!hex_decode(hex, salt, SALT_BYTES) || !id_parse(sum, &want))
            continue;
        hash_code(salt, code, &is);
        if (id_eq(&is, &want))
            return (ssize_t)at;
    }
    return -1;
}

int crash_use_code(const struct config_paths *p, const char *typed, struct err *e)
{
    char code[CODE_CHARS + 1], *path = NULL;
    uint8_t *text = NULL;
    size_t n = 0;
    int fd = lock_codes(p, &path, e);
    if (fd < 0)
        return fd;
    int rc = sys_read_file(AT_FDCWD, path, MAX_CODES_FILE, &text, &n, e);
    ssize_t at = rc == 0 && normalise(typed, code) ? find_code((const char *)text, n, code) : -1;
    if (rc == -ERR_ABSENT || (rc == 0 && at < 0)) {
        rc = err_set(e, ERR_KEY, _("it is none of the codes that are left"));
        err_next(e, _("read it again from its envelope; each works once"));
    } else if (
        rc ==
        0) { /* used up before it counts: a kill may lose one, and never lets one count twice */
        size_t rest = n - (size_t)at - CODE_LINE_BYTES;
        memmove(text + at, text + at + CODE_LINE_BYTES, rest);
        rc = sys_write_file(AT_FDCWD, path, text, n - CODE_LINE_BYTES, 0600, e);
    }
    memset(code, 0, sizeof code);
    sys_close_quiet(fd);
    free(text);
    free(path);
    return rc;
}

/* --- approving -------------------------------------------------------------------------------------------------------- */
/* Who takes the steps: the newest who began one, else who opened it. */
static const char *taker(const struct incident *inc)
{
    for (size_t i = inc->n; i-- > 0;)
        if (inc->events[i].kind == EVENT_STEP || inc->events[i].kind == EVENT_HANDOVER ||
            inc->events[i].kind == EVENT_OPENED)
            return inc->events[i].by;
    return "";
}

static int what_waits(struct crash *c, const char **ret, struct err *e)
{
    struct crash_next n;
    procedure_next(c->inc, &c->facts, &n);
    if (n.kind == NEXT_APPROVAL)
        *ret = crash_step_name(n.step);
    else if (n.kind == NEXT_SNAPSHOTS)
        *ret = crash_step_name(STEP_RESTORE);
    else if (!*ret) {
        int rc = err_set(e, ERR_ABSENT, _("no step of %s waits for a second person"), c->inc->id);
        err_next(e, _("for those that will: --step NAME, or --step all"));
        return rc;
    }
    return 0;
}

static int read_code(struct crash *c, const struct approval *a, struct err *e)
{
    char line[128] = "";
    uint8_t *text = NULL;
    size_t n = 0;
    int rc = 0;
    if (a->code_file) {
        rc = sys_read_file(AT_FDCWD, a->code_file, sizeof line - 1, &text, &n, e);
        if (rc == 0)
            snprintf(line, sizeof line, "%s", (const char *)text);
        free(text);
    } else if (!crash_read_line(c, _("The code from the envelope:"), line, sizeof line)) {
        rc = err_set(e, ERR_KEY, _("no code was given"));
        err_next(e, _("type it at a terminal, or give --code-file FILE"));
    }
    if (rc == 0)
        rc = crash_use_code(&c->app->paths, line, e);
    memset(line, 0, sizeof line);
    return rc;
}

int crash_approve(struct crash *c, const struct approval *a, struct err *e)
{
    const char *what = a->what, *through = "terminal";
    int rc = a->what ? 0 : what_waits(c, &what, e);
    if (rc < 0)
        return rc;
    if (a->by_telephone && !a->leader) {
        rc = err_set(e, ERR_USAGE, _("it is written down who agreed by telephone"));
        err_next(e, "twofold crash approve %s --by-telephone --approved-by NAME", c->inc->id);
        return rc;
    }
    if (a->by_code) {
        through = "code";
        rc = read_code(c, a, e);
    } else if (a->by_telephone) {
        through = "telephone";
    } else if (crash_same_person(c->me, taker(c->inc))) {
        rc = err_set(e, ERR_REFUSED,
                     _("you are %s, who takes the steps; a second person must agree"), c->me);
        err_next(e, _("another operator logs in (not by su from here), or: --code, or: "
                      "--by-telephone --approved-by NAME"));
    }
    if (rc == 0)
        rc = incident_add(c->inc, EVENT_APPROVAL,
                          json_pack("{s:s, s:s, s:s, s:o}", "what", what, "who", c->me, "through",
                                    through, "leader", event_json(a->leader, 0)),
                          e);
    if (rc == 0) {
        ui_line(&c->app->ui, _("agreed: %s (%s)"), what, through);
        ui_json(&c->app->ui, json_pack("{s:s, s:s, s:s, s:s}", "type", "approved", "incident",
                                       c->inc->id, "what", what, "through", through));
    }
    return rc;
}
