/* exclude.c - glob patterns over byte paths. fnmatch(3) is not used: it refuses names that are not valid
 * in the locale, and it has no "**". The manual is agents/exclude.h. */
#include "agents/exclude.h"
#include "lib/base/i18n.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum scope { SCOPE_NAME, SCOPE_PATH };

struct pattern {
    char *text; /* owned, without '/' at either end */
    size_t len;
    enum scope scope;
    bool plain; /* no wildcard: bytes are compared */
};

struct exclude {
    struct pattern *patterns;
    size_t n;
};

/* --- globs ------------------------------------------------------------------------------------ */
static size_t character_bytes(const char *s, const char *end)
{
    unsigned char c = (unsigned char)*s;
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    if (n > (size_t)(end - s))
        return 1;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 1;
    return n;
}

/* Matches one [...] at p against c. Returns where the pattern goes on, or NULL when there is no closing
 * bracket (then '[' stands for itself). */
static const char *bracket(const char *p, const char *p_end, unsigned char c, bool *ret_match)
{
    const char *q = p + 1;
    bool negate = q < p_end && (*q == '!' || *q == '^'), match = false;
    q += negate;
    for (bool first = true; q < p_end && (first || *q != ']'); first = false) {
        if (*q == '\\' && q + 1 < p_end)
            q++;
        unsigned char lo = (unsigned char)*q++, hi = lo;
        if (q + 1 < p_end && *q == '-' && q[1] != ']') {
            q += 1 + (q[1] == '\\' && q + 2 < p_end);
            hi = (unsigned char)*q++;
        }
        match = match || (lo <= c && c <= hi);
    }
    if (q >= p_end)
        return NULL;
    *ret_match = match != negate;
    return q + 1;
}

/* One component against one component; backtracks over the last '*' only, so it takes at most
 * length times length steps. */
static bool match_component(const char *p, const char *p_end, const char *s, const char *s_end)
{
    const char *star = NULL, *resume = NULL;
    while (s < s_end) {
        bool ok = false;
        const char *p_next = p + 1, *s_next = s + 1;
        if (p < p_end && *p == '*') {
            star = p++;
            resume = s;
            continue;
        }
        if (p < p_end) {
            const char *q = *p == '[' ? bracket(p, p_end, (unsigned char)*s, &ok) : NULL;
            if (q) {
                p_next = q;
            } else if (*p == '?') {
                ok = true;
                s_next = s + character_bytes(s, s_end);
            } else {
                const char *literal = p + (*p == '\\' && p + 1 < p_end);
                ok = *literal == *s;
                p_next = literal + 1;
            }
        }
        if (ok) {
            p = p_next;
            s = s_next;
        } else if (star) {
            p = star + 1;
            s = ++resume;
        } else {
            return false;
        }
    }
    while (p < p_end && *p == '*')
        p++;
    return p == p_end;
}

static const char *component_end(const char *p, const char *end)
{
    const char *slash = memchr(p, '/', (size_t)(end - p));
    return slash ? slash : end;
}

static bool is_deep(const char *p, const char *p_end)
{
    return p_end - p == 2 && p[0] == '*' && p[1] == '*';
}

/* Component by component; as above, only the last "**" is ever tried again. */
static bool match_path(const char *p, const char *p_end, const char *s, const char *s_end)
{
    const char *deep = NULL, *resume = NULL; /* behind the "**"; what it takes up to */
    for (;;) {
        const char *pe = p < p_end ? component_end(p, p_end) : p;
        if (p < p_end && is_deep(p, pe)) {
            deep = pe < p_end ? pe + 1 : p_end;
            if (deep == p_end) /* at the end: all that is below, but not the folder itself */
                return s < s_end;
            p = deep;
            resume = s;
            continue;
        }
        if (s >= s_end && p >= p_end)
            return true;
        const char *se = s < s_end ? component_end(s, s_end) : s;
        if (s < s_end && p < p_end && match_component(p, pe, s, se)) {
            p = pe < p_end ? pe + 1 : p_end;
            s = se < s_end ? se + 1 : s_end;
            continue;
        }
        if (!deep || resume >= s_end)
            return false;
        const char *re = component_end(resume, s_end);
        s = resume = re < s_end ? re + 1 : s_end;
        p = deep;
    }
}

/* --- patterns --------------------------------------------------------------------------------- */
static int add_pattern(struct exclude *x, const char *text, struct err *e)
{
    size_t len = strlen(text);
    bool inner = false, absolute = text[0] == '/';
    if (len > MAX_PATTERN_BYTES)
        return err_set(e, ERR_CONFIG, _("an exclude pattern is longer than %d bytes"),
                       MAX_PATTERN_BYTES);
    while (len > 0 && text[len - 1] == '/')
        len--;
    while (len > 0 && text[0] == '/') {
        text++;
        len--;
    }
    if (len == 0)
        return err_set(e, ERR_CONFIG, _("an exclude pattern is empty or \"/\""));
    inner = memchr(text, '/', len) != NULL;
    bool floating = inner && !absolute; /* "a/b" is the same as a "**" before it */
    struct pattern *pt = &x->patterns[x->n];
    pt->len = len + (floating ? 3 : 0);
    pt->text = malloc(pt->len + 1);
    if (!pt->text)
        return err_set(e, ERR_NOMEM, _("no memory"));
    memcpy(pt->text, "**/", floating ? 3 : 0);
    memcpy(pt->text + (floating ? 3 : 0), text, len);
    pt->text[pt->len] = '\0';
    pt->scope = inner || absolute ? SCOPE_PATH : SCOPE_NAME;
    pt->plain = strpbrk(pt->text, "*?[\\") == NULL;
    x->n++;
    return 0;
}

int exclude_new(char *const *patterns, size_t n, struct exclude **ret, struct err *e)
{
    struct exclude *x = calloc(1, sizeof *x);
    if (!x || !(x->patterns = calloc(n ? n : 1, sizeof *x->patterns))) {
        exclude_free(x);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    for (size_t i = 0; i < n; i++) {
        if (add_pattern(x, patterns[i], e) < 0) {
            exclude_free(x);
            return err_wrap(e, _("exclude \"%s\""), patterns[i]);
        }
    }
    *ret = x;
    return 0;
}

void exclude_free(struct exclude *x)
{
    if (!x)
        return;
    for (size_t i = 0; x->patterns && i < x->n; i++)
        free(x->patterns[i].text);
    free(x->patterns);
    free(x);
}

bool exclude_match(const struct exclude *x, const char *path, size_t len)
{
    if (!x || x->n == 0 || len == 0)
        return false;
    const char *slash = memrchr(path, '/', len), *end = path + len;
    const char *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < x->n; i++) {
        const struct pattern *p = &x->patterns[i];
        const char *s = p->scope == SCOPE_NAME ? name : path;
        if (p->plain ? p->len == (size_t)(end - s) && memcmp(p->text, s, p->len) == 0
            : p->scope == SCOPE_NAME ? match_component(p->text, p->text + p->len, s, end)
                                     : match_path(p->text, p->text + p->len, s, end))
            return true;
    }
    return false;
}

bool exclude_covers(const struct exclude *x, const char *path, size_t len)
{
    if (!x || x->n == 0)
        return false;
    for (size_t i = 1; i <= len; i++)
        if ((i == len || path[i] == '/') && exclude_match(x, path, i))
            return true;
    return false;
}
