/* document_text.c - texts of a paper: made clean, measured in columns, broken into lines. The manual is document.h. */
#include "restore/report/document.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ESCAPE_BYTES 4 /* \ooo */
#define LAST_CHAR 0x10FFFF

/* One character as RFC 3629 has it; 0: these bytes are none. */
static size_t decode(const unsigned char *p, size_t n, unsigned *ret)
{
    static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (len == 0 || len > n || p[0] > 0xF4)
        return 0;
    unsigned ch = len == 1 ? p[0] : p[0] & (0x7FU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        ch = ch << 6 | (p[i] & 0x3FU);
    }
    if (ch < least[len] || ch > LAST_CHAR || (ch >= 0xD800 && ch <= 0xDFFF))
        return 0;
    *ret = ch;
    return len;
}

/* Controls, what turns the direction of text or hides in it, what means no character, and what is for private use. */
static bool unfit(unsigned ch)
{
    return ch < 0x20 || (ch >= 0x7F && ch < 0xA0) || ch == 0xAD || ch == 0x61C || ch == 0x180E ||
           (ch >= 0x200B && ch <= 0x200F) || (ch >= 0x2028 && ch <= 0x202E) ||
           (ch >= 0x2060 && ch <= 0x206F) || (ch >= 0xE000 && ch <= 0xF8FF) ||
           (ch >= 0xFDD0 && ch <= 0xFDEF) || ch == 0xFEFF || (ch >= 0xFFF0 && ch <= 0xFFFB) ||
           (ch & 0xFFFE) == 0xFFFE || ch >= 0xE0000;
}

char *paper_clean(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    char *out = malloc(n * ESCAPE_BYTES + 1), *at = out;
    if (!out)
        return NULL;
    while (n > 0) {
        unsigned ch = 0;
        size_t len = decode(p, n, &ch);
        bool returned = p[0] == '\r' && n > 1 && p[1] == '\n';
        if (p[0] == '\n') {
            *at++ = '\n';
        } else if (p[0] == '\t') {
            *at++ = ' ';
        } else if (len == 0 || unfit(ch)) {
            len = len ? len : 1;
            for (size_t i = 0; i < len && !returned; i++)
                at += sprintf(at, "\\%03o", p[i]);
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

size_t paper_char(const char *p, unsigned *ret)
{
    size_t len = *p ? decode((const unsigned char *)p, strnlen(p, 4), ret) : 0;
    if (len == 0)
        *ret = (unsigned char)*p;
    return len || !*p ? len : 1;
}

struct range {
    unsigned from, to;
};
static bool within(unsigned ch, const struct range *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ch >= r[i].from && ch <= r[i].to)
            return true;
    return false;
}

unsigned paper_columns(unsigned ch)
{
    /* Unicode: East_Asian_Width W and F, and combining marks that names and texts are likely to have. */
    static const struct range wide[] = {
        { 0x1100, 0x115F },   { 0x231A, 0x231B },   { 0x2E80, 0x303E },   { 0x3041, 0x33FF },
        { 0x3400, 0x4DBF },   { 0x4E00, 0x9FFF },   { 0xA000, 0xA4CF },   { 0xA960, 0xA97F },
        { 0xAC00, 0xD7A3 },   { 0xF900, 0xFAFF },   { 0xFE10, 0xFE19 },   { 0xFE30, 0xFE6F },
        { 0xFF00, 0xFF60 },   { 0xFFE0, 0xFFE6 },   { 0x17000, 0x18CFF }, { 0x1F300, 0x1F64F },
        { 0x1F680, 0x1F6FF }, { 0x1F900, 0x1F9FF }, { 0x20000, 0x3FFFD },
    };
    static const struct range joined[] = {
        { 0x300, 0x36F },   { 0x483, 0x489 },   { 0x591, 0x5BD },   { 0x610, 0x61A },
        { 0x64B, 0x65F },   { 0x6D6, 0x6DC },   { 0x93C, 0x93C },   { 0x941, 0x948 },
        { 0xE31, 0xE31 },   { 0xE34, 0xE3A },   { 0xE47, 0xE4E },   { 0x1AB0, 0x1AFF },
        { 0x1DC0, 0x1DFF }, { 0x20D0, 0x20FF }, { 0x302A, 0x302D }, { 0x3099, 0x309A },
        { 0xFE00, 0xFE0F }, { 0xFE20, 0xFE2F },
    };
    if (ch < 0x300)
        return 1;
    if (within(ch, joined, sizeof joined / sizeof *joined))
        return 0;
    return within(ch, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

size_t paper_width(const char *s)
{
    size_t width = 0;
    unsigned ch = 0;
    while (*s) {
        s += paper_char(s, &ch);
        width += paper_columns(ch);
    }
    return width;
}

/* What must not begin a line: closing marks. They hang on to the character before them. */
static bool closes(unsigned ch)
{
    static const unsigned marks[] = { 0x3001, 0x3002, 0x300B, 0x300D, 0x300F, 0x3011, 0x3015,
                                      0xFF01, 0xFF09, 0xFF0C, 0xFF0E, 0xFF1A, 0xFF1B, 0xFF1F };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (marks[i] == ch)
            return true;
    return false;
}

/* What must not end a line: opening marks. */
static bool opens(unsigned ch)
{
    return ch == 0x300A || ch == 0x300C || ch == 0x300E || ch == 0x3010 || ch == 0x3014 ||
           ch == 0xFF08;
}

size_t paper_break(const char *s, size_t columns, size_t *ret_next)
{
    size_t at = 0, width = 0, good = 0;
    unsigned ch = 0, before = 0;
    while (s[at] && s[at] != '\n') {
        size_t len = paper_char(s + at, &ch);
        bool apart = at > 0 && !closes(ch) && !opens(before) &&
                     (before == ' ' || paper_columns(ch) == 2 || paper_columns(before) == 2);
        if (apart && ch != ' ')
            good = at;
        if (at > 0 && width + paper_columns(ch) > columns && ch != ' ')
            break;
        width += paper_columns(ch);
        before = ch;
        at += len;
    }
    if (s[at] == '\0' || s[at] == '\n') {
        *ret_next = at + (s[at] == '\n');
        return at;
    }
    at = good ? good : at;
    *ret_next = at;
    while (at > 0 && s[at - 1] == ' ')
        at--;
    return at ? at : *ret_next;
}
