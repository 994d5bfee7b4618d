/* frames.c - see frames.h. */
#include "agents/host/frames.h"
#include "lib/base/i18n.h"

#include <stdlib.h>
#include <string.h>

#define MAX_POLICY 255
#define MAX_INCIDENT 96
#define MAX_ROOT_BYTES 65536

static void put_list(struct wbuf *w, char *const *v, size_t n)
{
    wb_varint(w, n);
    for (size_t i = 0; i < n; i++)
        wb_str(w, v[i]);
}

static void free_list(char **v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        free(v[i]);
    free(v);
}

static void get_list(struct rbuf *r, size_t max, size_t max_bytes, char ***ret, size_t *ret_n)
{
    size_t n = (size_t)rb_varint_max(r, max);
    if (r->bad || n == 0)
        return;
    *ret = n <= rb_left(r) / 2 ? calloc(n, sizeof **ret) : NULL;
    if (!*ret) {
        rb_fail(r);
        return;
    }
    for (*ret_n = 0; *ret_n < n && !r->bad; ++*ret_n) {
        (*ret)[*ret_n] = rb_strdup(r, max_bytes);
        if ((*ret)[*ret_n] && !(*ret)[*ret_n][0])
            rb_fail(r);
    }
}

bool host_name_ok(const char *name)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(name);
    return n > 0 && n <= MAX_INCIDENT && name[0] != '.' && strspn(name, fine) == n;
}

void msg_host_write(struct wbuf *w, const struct msg_host *m)
{
    wb_u8(w, (uint8_t)m->what);
    wb_str(w, m->policy);
    wb_str(w, m->name ? m->name : "");
    put_list(w, m->words, m->n_words);
    wb_varint(w, m->limit_s);
    put_list(w, m->roots, m->n_roots);
    wb_u8(w, m->n_sources > 0);
    if (m->n_sources > 0)
        source_specs_write(w, m->sources, m->n_sources);
}

void msg_host_done(struct msg_host *m)
{
    free(m->policy);
    free(m->name);
    free_list(m->words, m->n_words);
    free_list(m->roots, m->n_roots);
    source_specs_free(m->sources, m->n_sources);
    *m = (struct msg_host){ 0 };
}

/* What each of them cannot do without. */
static bool is_right(const struct msg_host *m)
{
    for (size_t i = 0; i < m->n_roots; i++)
        if (m->roots[i][0] != '/')
            return false;
    switch (m->what) {
    case HOST_FACTS:
        return m->n_words == 0;
    case HOST_RUN:
        return hook_check(m->words, m->n_words, NULL, NULL) == 0 && m->n_words > 0 &&
               (!m->name[0] || host_name_ok(m->name));
    case HOST_SCENE:
        return m->n_words == 0 && m->n_sources > 0 && host_name_ok(m->name);
    case HOST_CLEAR:
        return m->n_words == 0 && m->n_sources + m->n_roots > 0 && !strchr(m->name, '/');
    case HOST_DROP:
        return m->n_words == 0 && m->n_sources == 0 && m->n_roots > 0 && host_name_ok(m->name);
    }
    return false;
}

int msg_host_read(struct rbuf *r, struct msg_host *ret, struct err *e)
{
    struct msg_host m = { 0 };
    unsigned what = rb_u8(r);
    m.policy = rb_strdup(r, MAX_POLICY);
    m.name = rb_strdup(r, MAX_HOST_NAME);
    get_list(r, MAX_HOOK_WORDS, MAX_HOOK_WORD_BYTES, &m.words, &m.n_words);
    m.limit_s = (unsigned)rb_varint_max(r, MAX_COMMAND_LIMIT_S);
    get_list(r, MAX_PATTERNS, MAX_ROOT_BYTES, &m.roots, &m.n_roots);
    unsigned any = rb_u8(r);
    if (any == 1 && !r->bad)
        source_specs_read(r, &m.sources, &m.n_sources);
    m.what = (enum host_what)what;
    if (!rb_done(r) || any > 1 || what < HOST_FACTS || what > HOST_DROP || !is_right(&m)) {
        msg_host_done(&m);
        return err_set(e, ERR_PROTOCOL, _("the other side sent a malformed message (%s)"), "HOST");
    }
    *ret = m;
    return 0;
}
