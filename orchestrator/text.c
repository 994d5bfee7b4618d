/* text.c - widths, cuts and escapes of texts for a terminal; see text.h. */
#include "orchestrator/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#define CUT_MARK "..."
#define ESCAPE_BYTES 4   /* \ooo */
#define CONTINUED 8      /* so much deeper a line begins no entry of its own */
#define ENTRY_COLUMNS 26 /* where an entry of a help text says what it does */

/* A few bytes for a message: there is no sensible way on. */
static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

/* One character of the locale: its bytes, and its columns (-1: not printable, then it is one byte). */
static size_t next_char(const char *p, size_t n, int *ret_columns)
{
    mbstate_t state = { 0 };
    wchar_t wc = 0;
    size_t len = mbrtowc(&wc, p, n, &state);
    *ret_columns = -1;
    if (len == 0 || len == (size_t)-1 || len == (size_t)-2)
        return 1;
    /* Invisible ones that turn the direction of text or hide in names are printable to the locale. */
    bool hidden = (wc >= 0x200B && wc <= 0x200F) || (wc >= 0x2028 && wc <= 0x202E) ||
                  (wc >= 0x2060 && wc <= 0x206F) || wc == 0xFEFF || wc == 0x61C || wc == 0x180E ||
                  (wc >= 0xE0000 && wc <= 0xE007F);
    int columns = wcwidth(wc);
    if (hidden || !iswprint((wint_t)wc) || columns < 0)
        return len == 1 ? 1 : len;
    *ret_columns = columns;
    return len;
}

size_t text_width(const char *s)
{
    size_t n = strlen(s), width = 0;
    while (n > 0) {
        int columns;
        size_t len = next_char(s, n, &columns);
        width += columns < 0 ? len : (size_t)columns;
        s += len;
        n -= len;
    }
    return width;
}

char *text_clean(const char *p, size_t n, bool names)
{
    char *out = must(malloc(n * ESCAPE_BYTES + 1)), *at = out;
    while (n > 0) {
        int columns;
        size_t len = next_char(p, n, &columns);
        if (columns < 0 || (names && *p == '\\')) {
            for (size_t i = 0; i < len; i++)
                at += sprintf(at, "\\%03o", (unsigned)(unsigned char)p[i]);
        } else {
            memcpy(at, p, len);
            at += len;
        }
        p += len;
        n -= len;
    }
    *at = '\0';
    return out;
}

/* Bytes of the longest beginning that is at most so wide. */
static size_t head_bytes(const char *s, size_t columns)
{
    size_t n = strlen(s), done = 0, width = 0;
    while (done < n) {
        int w;
        size_t len = next_char(s + done, n - done, &w);
        width += w < 0 ? len : (size_t)w;
        if (width > columns)
            break;
        done += len;
    }
    return done;
}

char *text_fit(const char *s, size_t columns, bool keep_end)
{
    size_t mark = strlen(CUT_MARK), width = text_width(s);
    if (width <= columns)
        return must(strdup(s));
    if (columns <= mark)
        return must(strndup(CUT_MARK, columns));
    size_t room = columns - mark;
    if (!keep_end)
        return text_print("%.*s%s", (int)head_bytes(s, room), s, CUT_MARK);
    while (text_width(s) > room) {
        int w;
        s += next_char(s, strlen(s), &w);
        /* Paths are up to a megabyte long: step over what is far too much. */
        size_t left = strlen(s);
        if (left > 8 * room + 64)
            s += left - (8 * room + 64);
    }
    return text_print("%s%s", CUT_MARK, s);
}

/* May a line not begin with this character? Chinese has no blanks to break lines at, but rules. */
static bool clings(const char *p, size_t len)
{
    static const char *const closing[] = { "、", "。", "，", "；", "：", "）", "】" };
    for (size_t i = 0; i < sizeof closing / sizeof *closing; i++)
        if (len == strlen(closing[i]) && memcmp(p, closing[i], len) == 0)
            return true;
    return false;
}

static size_t indent_of(const char *s)
{
    return strspn(s, " ");
}

/* What may stand in a command that people copy: no end of a clause, nothing Chinese. */
static size_t command_bytes(const char *s)
{
    size_t n = 0;
    while (s[n] && (unsigned char)s[n] < 0x80 && !strchr(";,)", s[n]))
        n++;
    return n;
}

/* A line that would end within a command ends before it, if the command then fits into the next. */
static size_t before_command(const char *s, size_t best, size_t columns)
{
    static const char name[] = "twofold ";
    for (size_t at = best; at-- > 2 && command_bytes(s + at) > best - at;) {
        bool begins = s[at - 1] == ' ' || (unsigned char)s[at - 1] >= 0x80;
        if (!begins || strncmp(s + at, name, strlen(name)) != 0)
            continue;
        return command_bytes(s + at) <= columns ? at - (s[at - 1] == ' ') : best;
    }
    return best;
}

size_t text_break(const char *s, size_t columns)
{
    size_t n = strlen(s), done = 0, width = 0, best = 0;
    bool after_wide = false;
    while (done < n) {
        int w;
        size_t len = next_char(s + done, n - done, &w);
        bool wide = w > 1;
        if (done && (s[done] == ' ' || ((wide || after_wide) && !clings(s + done, len)))) {
            if (width > columns)
                return best ? before_command(s, best, columns) : done;
            best = done;
        }
        width += w < 0 ? len : (size_t)w;
        after_wide = wide;
        done += len;
    }
    return width > columns && best ? before_command(s, best, columns) : n;
}

void text_put_line(FILE *f, const char *s, size_t hang, size_t columns)
{
    size_t take = indent_of(s);
    take += text_break(s + take, columns - take);
    fprintf(f, "%.*s\n", (int)take, s);
    for (s += take; *(s += indent_of(s)); s += take) {
        take = text_break(s, columns - hang);
        fprintf(f, "%*s%.*s\n", (int)hang, "", (int)take, s);
    }
}

/* --- texts of several lines ---------------------------------------------------------------------- */
static size_t line_bytes(const char *s)
{
    return strcspn(s, "\n");
}

/* Lines from s on that are one entry: a first line, and those that go on much deeper; or a paragraph at the margin.
 * *ret_wide: one is wider than `columns`. *ret_hang: how deep they go on. */
static const char *entry_end(const char *s, size_t columns, bool *ret_wide, size_t *ret_hang)
{
    size_t first = indent_of(s), gap = first;
    *ret_wide = false;
    *ret_hang = 0;
    if (*s == '\n')
        return s + 1;
    while (s[gap] && s[gap] != '\n' && strncmp(s + gap, "  ", 2) != 0)
        gap++;
    *ret_hang = first ? ENTRY_COLUMNS : 0;
    if (first && s[gap] == ' ' && gap < ENTRY_COLUMNS)
        *ret_hang = gap + indent_of(s + gap);
    for (const char *at = s;;) {
        char *line = text_print("%.*s", (int)line_bytes(at), at);
        *ret_wide = *ret_wide || text_width(line) > columns;
        free(line);
        at += line_bytes(at);
        at += *at == '\n';
        size_t deep = indent_of(at);
        if (!*at || at[deep] == '\n' || (first ? deep < first + CONTINUED : deep > 0))
            return at;
        *ret_hang = deep;
    }
}

/* One line of those from s to end; Chinese needs no blank where two of them meet. */
static char *joined(const char *s, const char *end)
{
    char *out = must(malloc((size_t)(end - s) + 1)), *to = out;
    for (const char *at = s; at < end; at += line_bytes(at) + 1) {
        const char *word = at == s ? at : at + indent_of(at);
        if (at > s && !((unsigned char)to[-1] >= 0x80 && (unsigned char)*word >= 0x80))
            *to++ = ' ';
        size_t n = line_bytes(at) - (size_t)(word - at);
        memcpy(to, word, n);
        to += n;
    }
    *to = '\0';
    return out;
}

void text_put(FILE *f, const char *text, size_t columns)
{
    while (*text) {
        bool wide;
        size_t hang;
        const char *end = entry_end(text, columns, &wide, &hang);
        if (!wide) {
            fwrite(text, 1, (size_t)(end - text), f);
            if (end[-1] != '\n')
                putc('\n', f);
            text = end;
            continue;
        }
        char *line = joined(text, end);
        text_put_line(f, line, hang, columns);
        free(line);
        text = end;
    }
}

char *text_pad(const char *s, size_t columns, bool right)
{
    size_t width = text_width(s);
    int blanks = width < columns ? (int)(columns - width) : 0;
    return right ? text_print("%*s%s", blanks, "", s) : text_print("%s%*s", s, blanks, "");
}

char *text_print(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    return s;
}

/* How many bytes follow the first byte of a character; -1: none starts so. */
static int utf8_tail(unsigned char c)
{
    return c < 0x80                ? 0
           : c >= 0xC2 && c < 0xE0 ? 1
           : c >= 0xE0 && c < 0xF0 ? 2
           : c >= 0xF0 && c < 0xF5 ? 3
                                   : -1;
}

bool text_is_utf8(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    for (size_t i = 0; i < n;) {
        int tail = utf8_tail(u[i]);
        if (u[i] == 0 || tail < 0 || n - i <= (size_t)tail)
            return false;
        uint32_t c = tail == 0 ? u[i] : u[i] & (0x3Fu >> tail);
        for (int k = 1; k <= tail; k++) {
            if ((u[i + (size_t)k] & 0xC0) != 0x80)
                return false;
            c = c << 6 | (u[i + (size_t)k] & 0x3F);
        }
        if ((tail == 2 && (c < 0x800 || (c >= 0xD800 && c < 0xE000))) ||
            (tail == 3 && (c < 0x10000 || c > 0x10FFFF)))
            return false;
        i += (size_t)tail + 1;
    }
    return true;
}
