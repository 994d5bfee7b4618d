/* conf_edit.c - changes of the copies in vaults/NAME.yaml that leave what people wrote there as it is: comments, order, other
 * keys. The new text is read like any other before it takes the place of the old one. The manual is policies/config.h. */
#include "policies/inner.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct edit {
    const struct config_paths *p;
    const char *vault;
    char *file;
    struct yaml_doc *d;
    struct vault_conf *v;
};

static void edit_done(struct edit *x)
{
    vault_conf_free(x->v);
    yaml_close(x->d);
    free(x->file);
}

static int edit_open(struct edit *x, struct err *e)
{
    int r = conf_open(x->p, VAULTS, x->vault, &x->d, e);
    if (r == 0)
        r = vault_conf_parse(x->d, x->p, x->vault, &x->v, e);
    if (r == 0 && !(x->file = conf_file(x->p, VAULTS, x->vault)))
        r = conf_out_of_memory(e);
    return r;
}

/* Where line number `line` (from 1) begins. */
static size_t line_start(const char *text, size_t len, int line)
{
    size_t at = 0;
    for (int i = 1; i < line && at < len; i++) {
        const char *end = memchr(text + at, '\n', len - at);
        at = end ? (size_t)(end - text) + 1 : len;
    }
    return at;
}

/* The new text: the old one with what lies between two lines replaced. Written only when it can be read again. */
static int edit_commit(struct edit *x, int from_line, int to_line, const struct wbuf *with,
                       struct err *e)
{
    size_t len = 0;
    const char *text = yaml_source(x->d, &len);
    size_t from = line_start(text, len, from_line), to = line_start(text, len, to_line);
    struct wbuf w = WBUF_INIT;
    struct yaml_doc *d = NULL;
    struct vault_conf *v = NULL;
    wb_bytes(&w, text, from);
    if (from > 0 && text[from - 1] != '\n')
        wb_u8(&w, '\n'); /* the last line of the file had no end */
    wb_bytes(&w, with->p, with->len);
    wb_bytes(&w, text + to, len - to);
    int r = w.failed || with->failed ? conf_out_of_memory(e)
                                     : yaml_from(x->file, w.p, w.len, &d, e);
    if (r == 0)
        r = vault_conf_parse(d, x->p, x->vault, &v, e);
    vault_conf_free(v);
    yaml_close(d);
    if (r == 0)
        return conf_replace(x->p, VAULTS, x->vault, &w, e);
    wbuf_free(&w);
    return r;
}

/* Where entry i is. Only the usual form can be changed: "- " and the first key on one line. */
static int entry_extent(struct edit *x, size_t i, int *ret_first, int *ret_last, int *ret_column,
                        struct err *e)
{
    char path[32];
    size_t len = 0;
    const char *text = yaml_source(x->d, &len);
    snprintf(path, sizeof path, "copies.%zu", i);
    if (yaml_extent(x->d, path, ret_first, ret_last, ret_column) && *ret_column >= 2) {
        size_t at = line_start(text, len, *ret_first) + (size_t)*ret_column - 2;
        if (at + 1 < len && text[at] == '-' && text[at + 1] == ' ')
            return 0;
    }
    err_set(e, ERR_CONFIG, _("the copies are not written one key to a line, as this needs it"));
    err_next(e, _("edit the file by hand"));
    return yaml_mistake(x->d, path, e);
}

static int entry_of(const struct edit *x, const char *place, size_t *ret, struct err *e)
{
    for (size_t i = 0; i < x->v->n_copies; i++)
        if (strcmp(x->v->copies[i].place, place) == 0) {
            *ret = i;
            return 0;
        }
    err_set(e, ERR_ABSENT, _("vault \"%s\" has no copy at a place \"%s\""), x->vault, place);
    return err_next(e, _("see which there are: twofold copy list"));
}

int vault_conf_copy_add(const struct config_paths *p, const char *vault, const struct copy_conf *c,
                        struct err *e)
{
    struct err ignored = ERR_INIT;
    struct edit x = { .p = p, .vault = vault };
    struct wbuf w = WBUF_INIT;
    int first, last = 0, column = 0;
    e = e ? e : &ignored;
    int r = edit_open(&x, e);
    if (r == 0 && x.v->n_copies == MAX_COPIES)
        r = err_set(e, ERR_CONFIG, _("a vault has at most %d copies"), MAX_COPIES);
    if (r == 0)
        r = entry_extent(&x, x.v->n_copies - 1, &first, &last, &column, e);
    if (r == 0)
        r = copy_put(&w, p, c, column - 2, e);
    if (r == 0)
        r = edit_commit(&x, last + 1, last + 1, &w, e);
    wbuf_free(&w);
    edit_done(&x);
    return r;
}

int vault_conf_copy_remove(const struct config_paths *p, const char *vault, const char *place,
                           struct err *e)
{
    struct err ignored = ERR_INIT;
    struct edit x = { .p = p, .vault = vault };
    int first = 0, last = 0, column;
    size_t i = 0;
    e = e ? e : &ignored;
    int r = edit_open(&x, e);
    if (r == 0)
        r = entry_of(&x, place, &i, e);
    if (r == 0 && x.v->n_copies <= 2) {
        err_set(e, ERR_CONFIG, _("a vault needs at least two copies, in two places (PY-DB-1)"));
        r = err_next(e, _("add another one first: twofold copy add PLACE=URL"));
    }
    if (r == 0)
        r = entry_extent(&x, i, &first, &last, &column, e);
    if (r == 0)
        r = edit_commit(&x, first, last + 1, &WBUF_INIT, e);
    edit_done(&x);
    return r;
}

int vault_conf_copy_set(const struct config_paths *p, const char *vault, const char *place,
                        const char *key, const char *value, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct edit x = { .p = p, .vault = vault };
    struct wbuf w = WBUF_INIT;
    char path[64];
    int first = 0, last = 0, column = 0, key_first = 0, key_last = 0, unused;
    size_t i = 0;
    e = e ? e : &ignored;
    int r = edit_open(&x, e);
    if (r == 0)
        r = entry_of(&x, place, &i, e);
    if (r == 0)
        r = entry_extent(&x, i, &first, &last, &column, e);
    snprintf(path, sizeof path, "copies.%zu.%s", i, key);
    if (r == 0 && !yaml_extent(x.d, path, &key_first, &key_last, &unused))
        key_first = key_last = 0;
    if (r == 0 && key_first == first) {
        err_set(e, ERR_CONFIG, _("\"%s\" is the first key of the copy and is not changed here"),
                key);
        r = err_next(e, _("edit the file by hand"));
    }
    conf_line(&w, "%*s%s: ", column, "", key);
    if (r == 0)
        r = yaml_put(&w, value, e);
    conf_line(&w, "\n");
    if (r == 0 && key_first)
        r = edit_commit(&x, key_first, key_last + 1, &w, e);
    else if (r == 0)
        r = edit_commit(&x, last + 1, last + 1, &w, e);
    wbuf_free(&w);
    edit_done(&x);
    return r;
}
