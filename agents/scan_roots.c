/* scan_roots.c - see agents/scan_roots.h. */
#include "agents/scan_roots.h"
#include "lib/base/i18n.h"
#include "lib/vault/manifest.h"

#include <stdlib.h>
#include <string.h>

/* Copies the components, one '/' between them. */
static int clean(const char *path, struct root *ret, struct err *e)
{
    size_t len = strlen(path), n = 0;
    if (path[0] != '/')
        return err_set(e, ERR_CONFIG, _("it is not an absolute path"));
    if (len > MAX_PATH_BYTES)
        return err_set(e, ERR_CONFIG, _("it is longer than %u bytes"), MAX_PATH_BYTES);
    char *out = malloc(len + 1);
    if (!out)
        return err_set(e, ERR_NOMEM, _("no memory"));
    for (const char *p = path; *p;) {
        size_t c = strcspn(p, "/");
        if (c == 2 && p[0] == '.' && p[1] == '.') {
            free(out);
            return err_set(e, ERR_CONFIG, _("it has a component \"..\""));
        }
        if (c > 0 && !(c == 1 && p[0] == '.')) {
            if (n > 0)
                out[n++] = '/';
            memcpy(out + n, p, c);
            n += c;
        }
        p += c + (p[c] == '/');
    }
    out[n] = '\0';
    *ret = (struct root){ .path = out, .len = n };
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct root *x = a, *y = b;
    return path_cmp(x->path, x->len, y->path, y->len);
}

int roots_init(struct roots *r, char *const *paths, size_t n, struct err *e)
{
    *r = (struct roots){ .all = calloc(n ? n : 1, sizeof *r->all) };
    if (!r->all)
        return err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; i < n; i++) {
        if (clean(paths[i], &r->all[i], e) < 0) {
            roots_done(r);
            return err_wrap(e, _("path \"%s\" of the policy"), paths[i]);
        }
        r->n++;
    }
    if (r->n > 1)
        qsort(r->all, r->n, sizeof *r->all, compare);
    size_t kept = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (kept > 0 && compare(&r->all[kept - 1], &r->all[i]) == 0)
            free(r->all[i].path);
        else
            r->all[kept++] = r->all[i];
    }
    r->n = kept;
    return 0;
}

void roots_done(struct roots *r)
{
    for (size_t i = 0; r->all && i < r->n; i++)
        free(r->all[i].path);
    free(r->all);
    *r = (struct roots){ 0 };
}

void roots_within(const struct roots *r, const char *path, size_t len, size_t *ret_lo,
                  size_t *ret_hi)
{
    size_t lo = 0, hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (path_cmp(r->all[mid].path, r->all[mid].len, path, len) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (hi = lo; hi < r->n && path_within(r->all[hi].path, r->all[hi].len, path, len);)
        hi++;
    *ret_lo = lo;
    *ret_hi = hi;
}

char **roots_absolute(const struct roots *r)
{
    char **paths = calloc(r->n ? r->n : 1, sizeof *paths);
    for (size_t i = 0; paths && i < r->n; i++) {
        paths[i] = malloc(r->all[i].len + 2);
        if (!paths[i]) {
            roots_absolute_free(paths, r->n);
            return NULL;
        }
        paths[i][0] = '/';
        memcpy(paths[i] + 1, r->all[i].path, r->all[i].len + 1);
    }
    return paths;
}

void roots_absolute_free(char **paths, size_t n)
{
    for (size_t i = 0; paths && i < n; i++)
        free(paths[i]);
    free(paths);
}
