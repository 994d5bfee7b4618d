/* start.c - commands of the menu: shown, run on this terminal, and how they ended; see start.h. */
#include "orchestrator/menu/start.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/program.h"
#include "orchestrator/text.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOLD_MS 600000 /* a command that only tells is over by then */
#define SELF "/proc/self/exe"

void words_add(struct words *w, const char *word)
{
    char *copy = strdup(word);
    if (!copy || w->n == MAX_WORDS)
        abort();
    w->v[w->n++] = copy;
}

void words_put_all(struct words *w, const char *const words[])
{
    for (size_t i = 0; words[i]; i++)
        words_add(w, words[i]);
}

void words_done(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
    *w = (struct words){ 0 };
}

/* --- shown ----------------------------------------------------------------------------------------------- */
static bool is_plain(const char *word)
{
    static const char special[] = " \t\n\"'\\$`&|;<>(){}[]*?#~!";
    return *word && strcspn(word, special) == strlen(word);
}

/* In quotes where a shell would take it apart. */
static void put_word(FILE *f, const char *word)
{
    if (is_plain(word)) {
        fputs(word, f);
        return;
    }
    putc('\'', f);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", f);
        else
            putc(*word, f);
    putc('\'', f);
}

char *words_shown(const struct words *w)
{
    char *raw = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&raw, &len);
    if (!f)
        abort();
    fputs("twofold", f);
    for (size_t i = 0; i < w->n; i++) {
        putc(' ', f);
        put_word(f, w->v[i]);
    }
    if (fclose(f) != 0)
        abort();
    char *clean = text_clean(raw, len, false);
    free(raw);
    return clean;
}

/* --- run --------------------------------------------------------------------------------------------------- */
static const char *ending(int status)
{
    switch (status) {
    case 0:
        return _("Done.");
    case 2:
        return _("Not begun: what was asked for does not fit.");
    case 3:
        return _("Done, but something needs attention; see above.");
    case 4:
        return _("DAMAGE or a failed check was found; see above.");
    case 5:
        return _("Refused; see above.");
    case 6:
        return _("No copy could restore it: call for help; see above.");
    case 130:
        return _("Interrupted. The same command goes on where it can.");
    default:
        return _("FAILED; see above.");
    }
}

static void say_ending(struct screen *s, int status)
{
    ui_drop_typed(); /* it was not meant for the menu */
    putchar('\n');
    printf("%s\n", ending(status));
    screen_pause(s, _("Enter: back to the menu"));
}

static void say_command(const struct screen *s, const struct words *w)
{
    char *shown = words_shown(w), *line = text_print("$ %s", shown);
    screen_clear(s);
    text_put_line(stdout, line, 4, s->columns - 1);
    fflush(stdout);
    free(line);
    free(shown);
}

static void run_child(const struct words *w)
{
    const char *argv[MAX_WORDS + 2] = { "twofold" };
    for (size_t i = 0; i < w->n; i++)
        argv[i + 1] = w->v[i];
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
    execv(SELF, (char *const *)argv);
    fprintf(stderr, "twofold: %s\n", strerror(errno));
    _exit(1);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    pid_t got;
    do {
        got = waitpid(pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What the terminal's keys end is the command. */
static void leave_signals(void)
{
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
}

static void take_signals(void)
{
    (void)signal(SIGQUIT, SIG_DFL);
    sys_catch_signals();
}

int start_here(struct screen *s, const struct words *w)
{
    say_command(s, w);
    leave_signals();
    pid_t pid = fork();
    if (pid == 0)
        run_child(w);
    int status = pid < 0 ? 1 : wait_for(pid);
    if (pid < 0)
        printf("twofold: %s\n", strerror(errno));
    take_signals();
    say_ending(s, status);
    return status;
}

int start_told(struct screen *s, const struct words *w)
{
    char self[PATH_MAX];
    const char *argv[MAX_WORDS + 2] = { self };
    struct wbuf out = { 0 };
    struct err e = ERR_INIT;
    int status = 0;
    ssize_t n = readlink(SELF, self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    for (size_t i = 0; i < w->n; i++)
        argv[i + 1] = w->v[i];
    say_command(s, w);
    leave_signals();
    int rc = program_run(argv, TOLD_MS, &out, &status, &e);
    take_signals();
    ui_drop_typed(); /* it was not meant for the menu */
    if (out.len)
        screen_text(s, (const char *)out.p);
    wbuf_free(&out);
    if (rc < 0)
        printf("twofold: %s: %s\n", e.what, e.why);
    status = rc < 0 ? 1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    say_ending(s, status);
    return status;
}
