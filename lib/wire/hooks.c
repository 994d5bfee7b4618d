/* hooks.c - see lib/wire/hooks.h. */
#include "lib/wire/hooks.h"
#include "lib/base/i18n.h"

#include <stdlib.h>
#include <string.h>

#define PLAIN_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=@%+,-"

bool hooks_any(const struct hooks *h)
{
    return h->n_before > 0 || h->n_after > 0;
}

static void free_words(char **v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        free(v[i]);
    free(v);
}

void hooks_done(struct hooks *h)
{
    if (!h)
        return;
    free_words(h->before, h->n_before);
    free_words(h->after, h->n_after);
    *h = (struct hooks){ 0 };
}

int hook_add(char ***words, size_t *n, const char *word, struct err *e)
{
    if (*n >= MAX_HOOK_WORDS)
        return err_set(e, ERR_LIMIT, _("a command of more than %d words"), MAX_HOOK_WORDS);
    /* One more, so that it can be ended with a NULL. */
    char **grown = realloc(*words, (*n + 2) * sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, _("no memory"));
    *words = grown;
    grown[*n] = strdup(word);
    grown[*n + 1] = NULL;
    if (!grown[*n])
        return err_set(e, ERR_NOMEM, _("no memory"));
    ++*n;
    return 0;
}

static const char *what_is_wrong(const char *word, bool first)
{
    size_t n = strlen(word);
    if (n == 0)
        return _("a word of the command is empty");
    if (n > MAX_HOOK_WORD_BYTES)
        return _("a word of the command is too long");
    for (const char *c = word; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return _("a word of the command has a control character");
    return first && word[0] != '/' ? _("the program is not given by its whole path") : NULL;
}

int hook_check(char *const *words, size_t n, size_t *ret_bad, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const char *why = what_is_wrong(words[i], i == 0);
        if (!why)
            continue;
        if (ret_bad)
            *ret_bad = i;
        err_set(e, ERR_CONFIG, "%s", why);
        return err_next(
            e, _("write the program and its arguments as a list, for instance: "
                 "[/usr/local/sbin/freeze-app, --now]; there is no shell that would read it"));
    }
    return 0;
}

static void put_quoted(struct wbuf *w, const char *word)
{
    if (word[0] && word[strspn(word, PLAIN_CHARS)] == '\0') {
        wb_bytes(w, word, strlen(word));
        return;
    }
    wb_u8(w, '\'');
    for (const char *c = word; *c; c++)
        if (*c == '\'')
            wb_bytes(w, "'\\''", 4);
        else
            wb_u8(w, (uint8_t)*c);
    wb_u8(w, '\'');
}

char *hook_line(char *const *words, size_t n)
{
    struct wbuf w = WBUF_INIT;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            wb_u8(&w, ' ');
        put_quoted(&w, words[i]);
    }
    wb_u8(&w, 0);
    char *line = w.failed ? NULL : strdup((const char *)w.p);
    wbuf_free(&w);
    return line;
}

/* --- on the wire ------------------------------------------------------------------------------ */
static void put_words(struct wbuf *w, char *const *v, size_t n)
{
    wb_varint(w, n);
    for (size_t i = 0; i < n; i++)
        wb_str(w, v[i]);
}

void hooks_write(struct wbuf *w, const struct hooks *h)
{
    put_words(w, h->before, h->n_before);
    put_words(w, h->after, h->n_after);
    wb_varint(w, h->limit_s);
}

static void get_words(struct rbuf *r, char ***ret, size_t *ret_n)
{
    size_t n = (size_t)rb_varint_max(r, MAX_HOOK_WORDS);
    for (size_t i = 0; i < n && !r->bad; i++) {
        char *word = rb_strdup(r, MAX_HOOK_WORD_BYTES);
        if (!word || hook_add(ret, ret_n, word, NULL) < 0)
            rb_fail(r);
        free(word);
    }
    if (!r->bad && hook_check(*ret, *ret_n, NULL, NULL) < 0)
        rb_fail(r);
}

void hooks_read(struct rbuf *r, struct hooks *ret)
{
    *ret = (struct hooks){ 0 };
    get_words(r, &ret->before, &ret->n_before);
    get_words(r, &ret->after, &ret->n_after);
    ret->limit_s = (unsigned)rb_varint_max(r, MAX_HOOK_LIMIT_S);
}
