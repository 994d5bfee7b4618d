/* mask.c - see mask.h. */
#include "lib/base/mask.h"

#include <string.h>
#include <strings.h>

#define WORD "password"
#define BLANK " \t\n"

static const char *min_of(const char *a, const char *b)
{
    return a < b ? a : b;
}

/* The end of a value as libpq reads it: in single quotes, or up to a blank; a backslash takes the next character with it. */
static const char *value_end(const char *s)
{
    char quote = *s == '\'' ? *s++ : '\0';
    for (; *s; s++) {
        if (*s == '\\' && s[1])
            s++;
        else if (quote ? *s == quote : strchr(BLANK "&\"", *s) != NULL)
            return quote ? s + 1 : s;
    }
    return s;
}

/* Where the secret that this place announces begins, and where it ends; NULL: it announces none. */
static const char *secret_at(const char *s, const char **ret_end)
{
    if (strncasecmp(s, WORD, strlen(WORD)) == 0) {
        const char *p = s + strlen(WORD) + strspn(s + strlen(WORD), BLANK);
        if (*p != '=')
            return NULL;
        p += 1 + strspn(p + 1, BLANK);
        *ret_end = value_end(p);
        return p;
    }
    if (strncmp(s, "://", 3) != 0)
        return NULL;
    const char *user = s + 3, *stop = user + strcspn(user, BLANK "\"");
    const char *authority = min_of(user + strcspn(user, "/?"), stop);
    const char *at = memrchr(user, '@', (size_t)(authority - user));
    if (!at) /* one that was written with a slash in it */
        at = memchr(user, '@', (size_t)(stop - user));
    const char *colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;
    *ret_end = at;
    return colon ? colon + 1 : NULL;
}

static char *put(char *to, const char *last, const char *from, size_t n)
{
    while (n-- > 0 && to < last)
        *to++ = *from++;
    return to;
}

char *mask_secrets(const char *text, char *out, size_t size)
{
    char *to = out, *last = out + size - 1;
    while (*text) {
        const char *end = NULL, *secret = secret_at(text, &end);
        if (!secret) {
            to = put(to, last, text++, 1);
            continue;
        }
        to = put(to, last, text, (size_t)(secret - text));
        to = put(to, last, "***", 3);
        text = end;
    }
    *to = '\0';
    return out;
}
