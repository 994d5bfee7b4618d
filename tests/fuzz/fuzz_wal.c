/* fuzz_wal.c - the records of a server's log (agents/postgresql/wal.h), which a backup brings from a host that may have been in other hands.
 * In whatever parts they come, the same is found. */
#include "agents/postgresql/wal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (256u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct found {
    uint64_t sum, n;
};

static void add(struct found *f, uint64_t v)
{
    f->sum = f->sum * 31 + v;
    f->n++;
}

static void on_commit(void *ctx, const struct wal_commit *c)
{
    if (strlen(c->point) > WAL_POINT_BYTES)
        abort();
    add(ctx, c->end ^ (uint64_t)c->time_us ^ c->is_point);
}

static void on_parameters(void *ctx, const uint32_t v[WAL_PARAMETERS])
{
    for (size_t i = 0; i < WAL_PARAMETERS; i++)
        add(ctx, v[i]);
}

static void on_tablespace(void *ctx, uint64_t at, const char *place)
{
    if (strlen(place) > WAL_PLACE_BYTES)
        abort();
    add(ctx, at + strlen(place));
}

static struct found read_log(const uint8_t *p, size_t n, size_t part)
{
    struct found f = { 0 };
    struct wal_reader r = {
        .fn = on_commit, .parameters = on_parameters, .tablespace = on_tablespace, .ctx = &f
    };
    wal_reader_begin(&r, 0);
    for (size_t at = 0; at < n; at += part)
        wal_reader_feed(&r, p + at, n - at < part ? n - at : part);
    add(&f, r.end);
    add(&f, r.last);
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = size < MAX_BYTES ? size : MAX_BYTES;
    struct found whole = read_log(data, n, n ? n : 1), parts = read_log(data, n, 37);
    if (whole.sum != parts.sum || whole.n != parts.n)
        abort();
    return 0;
}
