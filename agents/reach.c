/* reach.c - see agents/reach.h. The sort is American flag sort (McIlroy, Bostic, McIlroy 1993): qsort(3)
 * would take half as much memory again, and ids are evenly spread. */
#include "agents/reach.h"

#define SMALL 32

static void swap(struct id *a, struct id *b)
{
    struct id t = *a;
    *a = *b;
    *b = t;
}

static void insertion_sort(struct id *ids, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct id t = ids[i];
        size_t k = i;
        for (; k > 0 && id_cmp(&ids[k - 1], &t) > 0; k--)
            ids[k] = ids[k - 1];
        ids[k] = t;
    }
}

/* Sorts by the bytes from `depth` on; those before are equal. At most ID_BYTES calls deep. */
static void flag_sort(struct id *ids, size_t n, unsigned depth)
{
    size_t count[256] = { 0 }, next[256], end[256], at = 0;
    if (n <= SMALL || depth == ID_BYTES) {
        if (depth < ID_BYTES)
            insertion_sort(ids, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        count[ids[i].b[depth]]++;
    for (unsigned b = 0; b < 256; b++) {
        next[b] = at;
        end[b] = at += count[b];
    }
    for (unsigned b = 0; b < 256; b++) {
        while (next[b] < end[b]) {
            unsigned is = ids[next[b]].b[depth];
            if (is == b)
                next[b]++;
            else
                swap(&ids[next[b]], &ids[next[is]++]);
        }
    }
    for (unsigned b = 0; b < 256; b++)
        if (count[b] > 1)
            flag_sort(ids + end[b] - count[b], count[b], depth + 1);
}

size_t reach_sort(struct id *ids, size_t n)
{
    size_t kept = 0;
    flag_sort(ids, n, 0);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !id_eq(&ids[kept - 1], &ids[i]))
            ids[kept++] = ids[i];
    return kept;
}

int reach_send(struct spool *spool, struct wire *w, struct err *e)
{
    void *map;
    size_t bytes;
    struct wbuf head = WBUF_INIT;
    int rc = spool_map(spool, &map, &bytes, e);
    struct id *ids = map;
    size_t n = rc == 0 ? reach_sort(ids, bytes / sizeof *ids) : 0;
    for (size_t at = 0; rc == 0 && at < n; at += MAX_FRAME_IDS) {
        size_t part = n - at < MAX_FRAME_IDS ? n - at : MAX_FRAME_IDS;
        wbuf_reset(&head);
        wb_varint(&head, part);
        rc = wire_send(w, FRAME_REACH, &head, ids + at, part * sizeof *ids, e);
    }
    wbuf_free(&head);
    return rc;
}
