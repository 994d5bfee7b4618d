/* screen.c - pages, numbers and lines of text on a terminal; see screen.h. */
#include "orchestrator/menu/screen.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MIN_COLUMNS 40
#define MIN_LINES 12
#define USUAL_COLUMNS 80
#define USUAL_LINES 24
#define NUMBER_COLUMNS 5 /* "  12  " less one */
#define FOOT_LINES 6     /* more, back, blank, notice, prompt, what is typed */
#define HANG 8

void rows_add(struct screen_rows *r, char *text, char *more)
{
    struct screen_row *grown = realloc(r->v, (r->n + 1) * sizeof *grown);
    if (!grown || !text)
        abort();
    r->v = grown;
    r->v[r->n++] = (struct screen_row){ text, more };
}

void rows_done(struct screen_rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].text);
        free(r->v[i].more);
    }
    free(r->v);
    *r = (struct screen_rows){ 0 };
}

void screen_notice(struct screen *s, char *text)
{
    free(s->notice);
    s->notice = text;
}

void screen_done(struct screen *s)
{
    free(s->head);
    free(s->notice);
    s->head = s->notice = NULL;
}

static void measure(struct screen *s)
{
    struct winsize w = { 0 };
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0;
    s->columns = known && w.ws_col >= MIN_COLUMNS ? w.ws_col : USUAL_COLUMNS;
    s->lines = known && w.ws_row >= MIN_LINES ? w.ws_row : USUAL_LINES;
}

/* A terminal that cannot be cleared gets a blank line. */
void screen_clear(const struct screen *s)
{
    const char *term = getenv("TERM");
    (void)s;
    if (term && *term && strcmp(term, "dumb") != 0)
        fputs("\033[H\033[2J", stdout);
    else
        putchar('\n');
}

/* --- drawing ------------------------------------------------------------------------------------------- */
static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* Each line of text, broken where it is too wide; a final newline is there already or is added. */
static void put_lines(FILE *f, const char *text, size_t columns)
{
    while (text && *text) {
        size_t n = strcspn(text, "\n");
        char *line = text_print("%.*s", (int)n, text);
        if (*line)
            text_put_line(f, line, strspn(line, " "), columns);
        else
            putc('\n', f);
        free(line);
        text += n + (text[n] == '\n');
    }
}

/* Its name in one line; what does not fit is cut, never the number. A command, or what else it says, is shown whole. */
static char *row_text(const struct screen_row *row, size_t number, size_t columns)
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);
    if (!f)
        abort();
    char *text = text_fit(row->text, columns - NUMBER_COLUMNS - 1, false);
    fprintf(f, "%*zu  %s\n", NUMBER_COLUMNS - 2, number, text);
    free(text);
    if (row->more) {
        text = text_print("%*s%s", HANG, "", row->more);
        text_put_line(f, text, HANG + 2, columns);
        free(text);
    }
    if (fclose(f) != 0)
        abort();
    return out;
}

/* Rows from `first` on, as many as fit into so many lines; one at least. Returns how many. */
static size_t put_rows(FILE *f, const struct screen_rows *rows, size_t first, size_t lines,
                       size_t columns)
{
    size_t n = 0, used = 0;
    for (size_t i = first; i < rows->n; i++, n++) {
        char *text = row_text(&rows->v[i], i + 1, columns);
        used += count_lines(text);
        bool fits = used <= lines || n == 0;
        if (fits)
            fputs(text, f);
        free(text);
        if (!fits)
            break;
    }
    return n;
}

char *screen_page(const struct screen *s, const char *title, const char *explain,
                  const struct screen_rows *rows, size_t first, size_t *ret_n)
{
    char *out = NULL;
    size_t len = 0, columns = s->columns - 1; /* a full last column may wrap */
    FILE *f = open_memstream(&out, &len);
    if (!f)
        abort();
    put_lines(f, s->head, columns);
    put_lines(f, title, columns);
    put_lines(f, explain, columns);
    putc('\n', f);
    fflush(f);
    size_t used = count_lines(out) + FOOT_LINES, room = s->lines > used ? s->lines - used : 1;
    size_t n = rows ? put_rows(f, rows, first, room, columns) : 0;
    if (rows && n < rows->n) {
        char *more = text_print(_("%zu to %zu of %zu; Enter alone: the next ones"), first + 1,
                                first + n, rows->n);
        fprintf(f, "%*s%s\n", HANG - 2, "", more);
        free(more);
    }
    if (fclose(f) != 0)
        abort();
    *ret_n = n;
    return out;
}

static void show(struct screen *s, const char *page, const char *back, const char *prompt)
{
    screen_clear(s);
    fputs(page, stdout);
    if (back) {
        char *line = text_fit(back, s->columns - NUMBER_COLUMNS - 1, false);
        printf("%*d  %s\n\n", NUMBER_COLUMNS - 2, 0, line);
        free(line);
    }
    if (s->notice)
        put_lines(stdout, s->notice, s->columns - 1);
    screen_notice(s, NULL);
    printf("%s ", prompt);
    fflush(stdout);
}

/* --- answers -------------------------------------------------------------------------------------------- */
/* One line, without its end and without blanks around it. false: there is nobody any more. */
static bool read_answer(struct screen *s, char out[MAX_ANSWER])
{
    struct err e = ERR_INIT;
    out[0] = '\0';
    if (s->over || sys_wait_fd(STDIN_FILENO, POLLIN, -1, &e) < 0) {
        putchar('\n');
        s->over = true;
        return false;
    }
    ssize_t n = read(STDIN_FILENO, out, MAX_ANSWER - 1);
    if (n <= 0) {
        putchar('\n');
        s->over = true;
        return false;
    }
    size_t end = (size_t)n;
    while (end > 0 && strchr(" \t\r\n", out[end - 1]))
        end--;
    out[end] = '\0';
    size_t begin = strspn(out, " \t");
    memmove(out, out + begin, end - begin + 1);
    return true;
}

/* Digits of the width of a Chinese character are what a Chinese keyboard may give. */
static bool take_digit(const char **at, unsigned *ret)
{
    static const char wide[] = "０";
    const unsigned char *p = (const unsigned char *)*at;
    if (*p >= '0' && *p <= '9') {
        *ret = *p - '0';
        *at += 1;
        return true;
    }
    if (strncmp(*at, wide, 2) == 0 && p[2] >= 0x90 && p[2] <= 0x99) {
        *ret = p[2] - 0x90u;
        *at += 3;
        return true;
    }
    return false;
}

static bool take_number(const char *text, size_t *ret)
{
    size_t v = 0;
    unsigned digit;
    const char *at = text;
    while (take_digit(&at, &digit) && v < 100000)
        v = 10 * v + digit;
    *ret = v;
    return at > text && (*at == '\0' || strcmp(at, ".") == 0 || strcmp(at, "。") == 0);
}

size_t screen_choose(struct screen *s, const char *title, const char *explain,
                     const struct screen_rows *rows)
{
    char answer[MAX_ANSWER];
    size_t first = 0, shown = 0, number = 0;
    for (;;) {
        measure(s);
        char *page = screen_page(s, title, explain, rows, first, &shown);
        show(s, page, s->back ? s->back : _("back"), _("Number, then Enter:"));
        free(page);
        if (!read_answer(s, answer))
            return 0;
        if (!*answer) {
            first = first + shown < rows->n ? first + shown : 0;
            continue;
        }
        if (take_number(answer, &number) && number <= rows->n)
            return number;
        char *clean = text_clean(answer, strlen(answer), false), *cut = text_fit(clean, 20, false);
        screen_notice(s, text_print(_("\"%s\" is none of these. Type a number from 0 to %zu."), cut,
                                    rows->n));
        free(cut);
        free(clean);
    }
}

char *screen_ask(struct screen *s, const char *title, const char *explain, const char *prompt)
{
    char answer[MAX_ANSWER];
    size_t shown;
    measure(s);
    char *page = screen_page(s, title, explain, NULL, 0, &shown);
    show(s, page, s->back ? s->back : _("back"), prompt);
    free(page);
    if (!read_answer(s, answer) || !*answer || strcmp(answer, "0") == 0 ||
        strcmp(answer, "０") == 0)
        return NULL;
    char *copy = strdup(answer);
    if (!copy)
        abort();
    return copy;
}

void screen_pause(struct screen *s, const char *prompt)
{
    char answer[MAX_ANSWER];
    printf("%s ", prompt);
    fflush(stdout);
    read_answer(s, answer);
}

void screen_text(struct screen *s, const char *text)
{
    char *broken = NULL, answer[MAX_ANSWER];
    size_t len = 0;
    measure(s);
    FILE *f = open_memstream(&broken, &len);
    if (!f)
        abort();
    put_lines(f, text, s->columns); /* as the commands break them: twice would leave scraps */
    if (fclose(f) != 0)
        abort();
    unsigned line = 1; /* the command is above the first page */
    for (const char *at = broken; *at;) {
        size_t n = strcspn(at, "\n");
        printf("%.*s\n", (int)n, at);
        at += n + (at[n] == '\n');
        if (++line < s->lines - 1 || !*at)
            continue;
        line = 0;
        printf("%s ", _("Enter: more; 0, Enter: enough:"));
        fflush(stdout);
        if (!read_answer(s, answer) || strcmp(answer, "0") == 0)
            break;
    }
    free(broken);
}
