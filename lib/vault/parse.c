/* parse.c - bounded reading of counted arrays, names and ids; docs/format.md, "Encoding". */
#include "lib/vault/parse.h"
#include "lib/base/i18n.h"

#include <stdlib.h>

struct parse parse_of(const void *p, size_t n)
{
    return (struct parse){ .r = rbuf_of(p, n) };
}

static void *no_memory(struct parse *in)
{
    in->no_memory = true;
    rb_fail(&in->r);
    return NULL;
}

void *parse_array(struct parse *in, size_t min_bytes, size_t item_size, size_t *ret_n)
{
    *ret_n = 0;
    uint64_t n = rb_varint(&in->r);
    if (n > rb_left(&in->r) / min_bytes)
        rb_fail(&in->r);
    if (in->r.bad || n == 0)
        return NULL;
    void *p = calloc((size_t)n, item_size);
    if (!p)
        return no_memory(in);
    *ret_n = (size_t)n;
    return p;
}

char *parse_name(struct parse *in)
{
    size_t n;
    const uint8_t *p = rb_blob(&in->r, MAX_FORMAT_NAME, &n);
    if (!p)
        return NULL;
    if (memchr(p, '\0', n)) {
        rb_fail(&in->r);
        return NULL;
    }
    char *s = malloc(n + 1);
    if (!s)
        return no_memory(in);
    memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

struct id *parse_ids(struct parse *in, size_t *ret_n)
{
    struct id *ids = parse_array(in, ID_BYTES, sizeof *ids, ret_n);
    for (size_t i = 0; i < *ret_n; i++)
        rb_id(&in->r, &ids[i]);
    return ids;
}

int parse_end(const struct parse *in, struct err *e)
{
    if (in->no_memory)
        return err_set(e, ERR_NOMEM, _("no memory"));
    if (!rb_done(&in->r))
        return err_set(e, ERR_DAMAGED, _("its content is not as the format demands"));
    return 0;
}

void ids_write(struct wbuf *w, const struct id *ids, size_t n)
{
    wb_varint(w, n);
    for (size_t i = 0; i < n; i++)
        wb_id(w, &ids[i]);
}

bool ids_ascend(const struct id *ids, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (id_cmp(&ids[i - 1], &ids[i]) >= 0)
            return false;
    return true;
}
