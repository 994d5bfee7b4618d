/* ui_prompt.c - what is asked of a person: a yes or no, and passphrases (never from an argument); see ui.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/recovery.h"
#include "orchestrator/text.h"
#include "orchestrator/ui.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define MAX_TRIES 3
#define ANSWER_BYTES 64
#define ANSWER_COLUMNS 12 /* "[Y/n] " and what is typed */

void ui_drop_typed(void)
{
    if (isatty(STDIN_FILENO))
        tcflush(STDIN_FILENO, TCIFLUSH);
}

bool ui_ask(struct ui *ui, const char *question, bool def)
{
    char answer[ANSWER_BYTES];
    struct err e = ERR_INIT;
    if (ui->yes || !isatty(STDIN_FILENO))
        return def;
    ui_progress_end(ui);
    for (int i = 0; i < MAX_TRIES; i++) {
        fflush(stdout);
        ui_drop_typed();
        bool wide = !strchr(question, '\n') && text_width(question) + ANSWER_COLUMNS > ui->columns;
        if (wide)
            text_put_line(stderr, question, 0, ui->columns);
        fprintf(stderr, "%s%s%s ", wide ? "" : question, wide ? "" : " ",
                def ? _("[Y/n]") : _("[y/N]"));
        if (sys_wait_fd(STDIN_FILENO, POLLIN, -1, &e) < 0) {
            putc('\n', stderr);
            return false;
        }
        ssize_t n = read(STDIN_FILENO, answer, sizeof answer - 1);
        if (n <= 0 || answer[0] == '\n')
            return def;
        answer[n] = '\0';
        answer[strcspn(answer, "\n")] = '\0';
        if (rpmatch(answer) == 1 || strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0)
            return true;
        if (rpmatch(answer) == 0 || strcasecmp(answer, "n") == 0 || strcasecmp(answer, "no") == 0)
            return false;
    }
    return def;
}

/* --- passphrases ---------------------------------------------------------------------------------- */
/* A file may be a pipe: read to its end, at most what a passphrase may have. */
static int read_secret(int fd, struct secret **ret, struct err *e)
{
    struct secret *room = secret_new(MAX_PASSPHRASE_BYTES + 2);
    if (!room)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    ssize_t n = sys_read(fd, secret_data(room), MAX_PASSPHRASE_BYTES + 2, e);
    int rc = n < 0 ? (int)n : 0;
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len > 0 && secret_bytes(room)[len - 1] == '\n')
        len--;
    if (rc == 0 && len > MAX_PASSPHRASE_BYTES)
        rc = err_set(e, ERR_KEY, _("the passphrase is longer than %d bytes"), MAX_PASSPHRASE_BYTES);
    else if (rc == 0 && len == 0)
        rc = err_set(e, ERR_KEY, _("there is no passphrase in it"));
    if (rc == 0 && !(*ret = secret_of(secret_bytes(room), len)))
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    secret_free(room);
    return rc;
}

static int passphrase_from_file(struct ui *ui, const char *file, struct secret **ret, struct err *e)
{
    struct stat st;
    struct err why = ERR_INIT;
    int rc = 0, fd = sys_openat(AT_FDCWD, file, O_RDONLY | O_NOCTTY, 0, &why);
    if (fd < 0) {
        err_set(e, ERR_KEY, "%s", why.why); /* whatever it is, what lacks is the key */
        err_next(e, _("name a file that holds the passphrase in one line and that you may read"));
        return err_wrap(e, _("passphrase file \"%s\""), file);
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 044))
        ui_warn(ui, _("others can read the passphrase file \"%s\": chmod 600 %s"), file, file);
    rc = read_secret(fd, ret, e);
    sys_close_quiet(fd);
    return rc < 0 ? err_wrap(e, _("passphrase file \"%s\""), file) : 0;
}

/* One line of the terminal without echo. In canonical mode it is readable when the line is complete. */
static int ask_once(int tty, const char *prompt, struct secret **ret, struct err *e)
{
    struct termios old, silent;
    if (tcgetattr(tty, &old) < 0)
        return err_sys(e, "/dev/tty");
    silent = old;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ECHONL | ICANON;
    /* Silent before it asks: what is typed at once is neither shown nor lost. */
    if (tcsetattr(tty, TCSAFLUSH, &silent) < 0)
        return err_sys(e, "/dev/tty");
    int rc = sys_write(tty, prompt, strlen(prompt), e);
    if (rc == 0)
        rc = sys_wait_fd(tty, POLLIN, -1, e);
    if (rc == 0) {
        struct secret *room = secret_new(MAX_PASSPHRASE_BYTES + 2);
        ssize_t n = room ? read(tty, secret_data(room), MAX_PASSPHRASE_BYTES + 2) : -1;
        size_t len = n > 0 ? (size_t)n : 0;
        if (len > 0 && secret_bytes(room)[len - 1] == '\n')
            len--;
        if (n < 0)
            rc = room ? err_sys(e, "/dev/tty") : err_set(e, ERR_NOMEM, _("out of memory"));
        else if (len == 0)
            rc = err_set(e, ERR_KEY, _("no passphrase was typed"));
        else if (!(*ret = secret_of(secret_bytes(room), len)))
            rc = err_set(e, ERR_NOMEM, _("out of memory"));
        secret_free(room);
    }
    tcsetattr(tty, TCSAFLUSH, &old);
    if (rc == -ERR_INTERRUPTED)
        sys_write(tty, "\n", 1, NULL); /* what is said next begins a line */
    return rc;
}

static bool same(const struct secret *a, const struct secret *b)
{
    return secret_len(a) == secret_len(b) &&
           memcmp(secret_bytes(a), secret_bytes(b), secret_len(a)) == 0;
}

static int ask_twice(int tty, struct secret **ret, struct err *e)
{
    for (int i = 0; i < MAX_TRIES; i++) {
        struct secret *first = NULL, *second = NULL;
        int rc = ask_once(tty, _("New passphrase (16 or more characters of three kinds): "), &first,
                          e);
        if (rc == 0)
            rc = passphrase_check(first, e);
        if (rc == 0)
            rc = ask_once(tty, _("The same again: "), &second, e);
        bool equal = rc == 0 && same(first, second);
        secret_free(second);
        if (equal) {
            *ret = first;
            return 0;
        }
        secret_free(first);
        if (rc == -ERR_USAGE)
            dprintf(tty, "%s\n", e->why);
        else if (rc < 0)
            return rc;
        else
            dprintf(tty, "%s\n", _("The two are not the same."));
    }
    return err_set(e, ERR_KEY, _("no new passphrase after %d tries"), MAX_TRIES);
}

static int passphrase_from_terminal(struct ui *ui, bool again, struct secret **ret, struct err *e)
{
    int tty = sys_openat(AT_FDCWD, "/dev/tty", O_RDWR | O_NOCTTY, 0, NULL);
    if (tty < 0) {
        err_set(e, ERR_KEY, _("a passphrase is needed, and there is no terminal to ask for it"));
        err_next(e, _("give --passphrase-file FILE, or set TWOFOLD_PASSPHRASE_FILE"));
        return err_wrap(e, _("passphrase"));
    }
    ui_progress_end(ui);
    fflush(stdout);
    int rc = again ? ask_twice(tty, ret, e) : ask_once(tty, _("Passphrase: "), ret, e);
    sys_close_quiet(tty);
    return rc < 0 ? err_wrap(e, _("passphrase")) : 0;
}

/* The file that it is in: owned, NULL when it is to be typed. */
static char *passphrase_path(const char *file)
{
    struct stat st;
    char *path = NULL;
    if (!file)
        file = getenv("TWOFOLD_PASSPHRASE_FILE");
    if (file && *file)
        return strdup(file);
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (!credentials || asprintf(&path, "%s/twofold-passphrase", credentials) < 0)
        return NULL;
    if (stat(path, &st) == 0)
        return path;
    free(path);
    return NULL;
}

bool ui_passphrase_is_typed(const char *file)
{
    char *path = passphrase_path(file);
    free(path);
    return !path;
}

int ui_passphrase(struct ui *ui, const char *file, bool again, struct secret **ret, struct err *e)
{
    char *path = passphrase_path(file);
    int rc = path ? passphrase_from_file(ui, path, ret, e)
                  : passphrase_from_terminal(ui, again, ret, e);
    free(path);
    return rc;
}
