/* manifest_body.c - the plaintext of a snapshot's body. docs/format.md, "snapshot". */
#include "lib/base/i18n.h"
#include "lib/vault/manifest.h"

#include <stdlib.h>

#define BODY_VERSION 1
#define MAX_PROBLEM_TEXT 4096

void snapshot_body_write(struct wbuf *w, const struct snapshot_body *b)
{
    wb_u8(w, BODY_VERSION);
    wb_varint(w, b->n_roots);
    for (size_t i = 0; i < b->n_roots; i++)
        wb_str(w, b->roots[i]);
    wb_varint(w, b->n_index);
    for (size_t i = 0; i < b->n_index; i++) {
        wb_id(w, &b->index[i].id);
        wb_blob(w, b->index[i].first, b->index[i].first_len);
    }
    wb_varint(w, b->entries);
    size_t kept = b->n_problems < MAX_KEPT_PROBLEMS ? b->n_problems : MAX_KEPT_PROBLEMS;
    wb_varint(w, kept);
    for (size_t i = 0; i < kept; i++) {
        wb_blob(w, b->problems[i].path, b->problems[i].path_len);
        wb_blob(w, b->problems[i].text, strnlen(b->problems[i].text, MAX_PROBLEM_TEXT));
    }
}

void snapshot_body_free(struct snapshot_body *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n_roots; i++)
        free(b->roots[i]);
    for (size_t i = 0; i < b->n_index; i++)
        free(b->index[i].first);
    for (size_t i = 0; i < b->n_problems; i++) {
        free(b->problems[i].path);
        free(b->problems[i].text);
    }
    free(b->roots);
    free(b->index);
    free(b->problems);
    free(b);
}

/* A number of things that take at least min_bytes each, and zeroed room for them (NULL for
 * none). */
static void *read_array(struct rbuf *r, size_t max, size_t min_bytes, size_t size, size_t *ret_n)
{
    size_t n = (size_t)rb_varint_max(r, max);
    if (n > rb_left(r) / min_bytes)
        rb_fail(r);
    void *p = n > 0 && !r->bad ? calloc(n, size) : NULL;
    if (!p && n > 0)
        rb_fail(r);
    *ret_n = p ? n : 0;
    return p;
}

bool body_root_is_virtual(const char *root)
{
    return root[0] != '/';
}

const char *body_virtual_root(const struct snapshot_body *b, const char *path, size_t len)
{
    for (size_t i = 0; i < b->n_roots; i++)
        if (body_root_is_virtual(b->roots[i]) &&
            path_within(path, len, b->roots[i], strlen(b->roots[i])))
            return b->roots[i];
    return NULL;
}

static bool root_ok(const char *root)
{
    if (body_root_is_virtual(root))
        return !strchr(root, '/') && path_ok(root, strlen(root));
    return root[1] == '\0' || path_ok(root + 1, strlen(root + 1));
}

/* A virtual root is where nothing else is. */
static bool roots_apart(const struct snapshot_body *b)
{
    if (!b->roots)
        return true;
    for (size_t i = 0; i < b->n_roots; i++) {
        const char *v = b->roots[i];
        for (size_t k = 0; v && body_root_is_virtual(v) && k < b->n_roots; k++) {
            const char *other = b->roots[k] + (b->roots[k][0] == '/');
            if (k != i && path_within(other, strlen(other), v, strlen(v)))
                return false;
        }
    }
    return true;
}

static void read_roots(struct rbuf *r, struct snapshot_body *b)
{
    b->roots = read_array(r, MAX_ROOTS, 2, sizeof *b->roots, &b->n_roots);
    for (size_t i = 0; i < b->n_roots && !r->bad; i++) {
        b->roots[i] = rb_strdup(r, MAX_PATH_BYTES + 1);
        if (!b->roots[i] || !root_ok(b->roots[i]))
            rb_fail(r);
    }
    if (!r->bad && !roots_apart(b))
        rb_fail(r);
}

static void read_index(struct rbuf *r, struct snapshot_body *b)
{
    b->index = read_array(r, MAX_INDEX_CHUNKS, ID_BYTES + 2, sizeof *b->index, &b->n_index);
    for (size_t i = 0; i < b->n_index && !r->bad; i++) {
        struct body_index *x = &b->index[i];
        rb_id(r, &x->id);
        x->first = rb_strdup(r, MAX_PATH_BYTES);
        x->first_len = x->first ? strlen(x->first) : 0;
        if (!path_ok(x->first ? x->first : "", x->first_len))
            rb_fail(r);
    }
}

static void read_problems(struct rbuf *r, struct snapshot_body *b)
{
    b->problems = read_array(r, MAX_KEPT_PROBLEMS, 2, sizeof *b->problems, &b->n_problems);
    for (size_t i = 0; i < b->n_problems && !r->bad; i++) {
        struct body_problem *x = &b->problems[i];
        x->path = rb_strdup(r, MAX_PATH_BYTES + 1);
        x->path_len = x->path ? strlen(x->path) : 0;
        x->text = rb_strdup(r, MAX_PROBLEM_TEXT);
    }
}

int snapshot_body_read(const void *p, size_t n, struct snapshot_body **ret, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    struct snapshot_body *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, _("no memory for a snapshot's body"));
    if (rb_u8(&r) != BODY_VERSION)
        rb_fail(&r);
    read_roots(&r, b);
    read_index(&r, b);
    b->entries = rb_varint(&r);
    read_problems(&r, b);
    if (!rb_done(&r)) {
        snapshot_body_free(b);
        return err_set(e, ERR_DAMAGED, _("the snapshot's body is damaged"));
    }
    *ret = b;
    return 0;
}
