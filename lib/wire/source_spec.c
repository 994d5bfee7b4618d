/* source_spec.c - see lib/wire/source_spec.h. */
#include "lib/wire/source_spec.h"
#include "lib/base/i18n.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

int source_spec_add(struct source_spec *s, const char *key, const char *value, struct err *e)
{
    if (s->n >= MAX_SOURCE_SETTINGS || strlen(value) > MAX_SETTING_BYTES)
        return err_set(e, ERR_LIMIT, _("the source \"%s\" has too many settings, or too long ones"),
                       s->kind);
    struct setting *grown = realloc(s->v, (s->n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    s->v = grown;
    struct setting *x = &grown[s->n];
    *x = (struct setting){ .key = strdup(key), .value = strdup(value) };
    if (!x->key || !x->value) {
        free(x->key);
        free(x->value);
        return no_memory(e);
    }
    s->n++;
    return 0;
}

const char *source_spec_get(const struct source_spec *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].key, key) == 0)
            return s->v[i].value;
    return NULL;
}

int source_specs_add(struct source_spec **all, size_t *n, const char *kind,
                     struct source_spec **ret, struct err *e)
{
    if (*n >= MAX_SOURCES)
        return err_set(e, ERR_LIMIT, _("more than %d sources"), MAX_SOURCES);
    struct source_spec *grown = realloc(*all, (*n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    *all = grown;
    grown[*n] = (struct source_spec){ .kind = strdup(kind) };
    if (!grown[*n].kind)
        return no_memory(e);
    *ret = &grown[(*n)++];
    return 0;
}

void source_specs_free(struct source_spec *all, size_t n)
{
    for (size_t i = 0; all && i < n; i++) {
        for (size_t k = 0; k < all[i].n; k++) {
            free(all[i].v[k].key);
            free(all[i].v[k].value);
        }
        free(all[i].v);
        free(all[i].kind);
    }
    free(all);
}

/* --- on the wire ------------------------------------------------------------------------------ */
void source_specs_write(struct wbuf *w, const struct source_spec *all, size_t n)
{
    wb_varint(w, n);
    for (size_t i = 0; i < n; i++) {
        wb_str(w, all[i].kind);
        wb_varint(w, all[i].n);
        for (size_t k = 0; k < all[i].n; k++) {
            wb_str(w, all[i].v[k].key);
            wb_str(w, all[i].v[k].value);
        }
    }
}

static char *get_word(struct rbuf *r)
{
    char *s = rb_strdup(r, MAX_SOURCE_WORD);
    if (s &&
        (s[0] < 'a' || s[0] > 'z' || s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0'))
        rb_fail(r);
    return s;
}

static void get_settings(struct rbuf *r, struct source_spec *s)
{
    size_t n = (size_t)rb_varint_max(r, MAX_SOURCE_SETTINGS);
    if (n > rb_left(r) / 2)
        rb_fail(r);
    if (r->bad || n == 0)
        return;
    s->v = calloc(n, sizeof *s->v);
    if (!s->v) {
        rb_fail(r);
        return;
    }
    for (s->n = 0; s->n < n && !r->bad; s->n++) {
        s->v[s->n].key = get_word(r);
        s->v[s->n].value = rb_strdup(r, MAX_SETTING_BYTES);
    }
}

void source_specs_read(struct rbuf *r, struct source_spec **ret, size_t *ret_n)
{
    size_t n = (size_t)rb_varint_max(r, MAX_SOURCES);
    *ret = NULL;
    *ret_n = 0;
    if (n == 0)
        rb_fail(r);
    if (r->bad || n == 0)
        return;
    *ret = calloc(n, sizeof **ret);
    if (!*ret) {
        rb_fail(r);
        return;
    }
    for (; *ret_n < n && !r->bad; ++*ret_n) {
        (*ret)[*ret_n].kind = get_word(r);
        get_settings(r, &(*ret)[*ret_n]);
    }
}
