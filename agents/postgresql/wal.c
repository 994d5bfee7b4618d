/* wal.c - see wal.h. */
#include "agents/postgresql/wal.h"

#include <string.h>

#define SHORT_HEADER 24
#define LONG_HEADER 40
#define FLAG_CONTINUES 1
#define FLAG_LONG 2
#define FLAG_OVERWRITES 8 /* the record that was begun before never came to its end */
#define KNOWN_FLAGS 15
#define RECORD_HEADER 24
#define MAX_RECORD (1020u << 20)
#define ALIGN 8u
#define RM_XLOG 0
#define RM_XACT 1
#define RM_TABLESPACE 5
#define PG_EPOCH_US INT64_C(946684800000000)
enum {
    XACT_COMMIT = 0x00,
    XACT_ABORT = 0x20,
    XACT_COMMIT_PREPARED = 0x30,
    XACT_ABORT_PREPARED = 0x40
};
enum { TABLESPACE_CREATE = 0x00 };
enum { SWITCH = 0x40, PARAMETER_CHANGE = 0x60, RESTORE_POINT = 0x70 };
enum { PREV_AT = 8, SUM_AT = 20 }; /* in a record's header */
enum { PART_DATA_SHORT = 255, PART_DATA_LONG = 254, PART_ORIGIN = 253, PART_TOP_XID = 252 };

static uint64_t get(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static uint32_t sum_by_table(uint32_t sum, const uint8_t *p, size_t n)
{
    static const uint32_t half[16] = { /* what four bits make of 0x82F63B78 */
                                       0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1,
                                       0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
                                       0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
                                       0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75
    };
    for (size_t i = 0; i < n; i++) {
        sum ^= p[i];
        sum = sum >> 4 ^ half[sum & 15];
        sum = sum >> 4 ^ half[sum & 15];
    }
    return sum;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t sum_by_processor(uint32_t sum, const uint8_t *p,
                                                                   size_t n)
{
    uint64_t wide = sum, part;
    for (; n >= sizeof part; p += sizeof part, n -= sizeof part) {
        memcpy(&part, p, sizeof part);
        wide = __builtin_ia32_crc32di(wide, part);
    }
    for (sum = (uint32_t)wide; n > 0; p++, n--)
        sum = __builtin_ia32_crc32qi(sum, *p);
    return sum;
}

uint32_t wal_sum(uint32_t sum, const uint8_t *p, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? sum_by_processor(sum, p, n) : sum_by_table(sum, p, n);
}
#else
uint32_t wal_sum(uint32_t sum, const uint8_t *p, size_t n)
{
    return sum_by_table(sum, p, n);
}
#endif

void wal_reader_begin(struct wal_reader *r, uint64_t at)
{
    struct wal_reader fresh = { .fn = r->fn,
                                .parameters = r->parameters,
                                .tablespace = r->tablespace,
                                .ctx = r->ctx,
                                .strict = r->strict,
                                .system = r->system,
                                .timeline = r->timeline,
                                .segment_bytes = r->segment_bytes,
                                .at = at };
    *r = fresh;
    r->page_want = SHORT_HEADER;
}

/* Where a record's own data begin; 0: it has parts that do not interest here, or is too short. */
static size_t data_at(const uint8_t *p, size_t n)
{
    size_t at = RECORD_HEADER;
    while (at + 2 <= n) {
        if (p[at] == PART_DATA_SHORT)
            return at + 2;
        if (p[at] == PART_DATA_LONG)
            return at + 5;
        if (p[at] == PART_ORIGIN)
            at += 3;
        else if (p[at] == PART_TOP_XID)
            at += 5;
        else
            return 0;
    }
    return 0;
}

static void tell_parameters(struct wal_reader *r, size_t n)
{
    uint32_t v[WAL_PARAMETERS];
    size_t at = data_at(r->head, n);
    if (at == 0 || at + sizeof v > n || !r->parameters)
        return;
    for (size_t i = 0; i < WAL_PARAMETERS; i++)
        v[i] = (uint32_t)get(r->head + at + 4 * i, 4);
    r->parameters(r->ctx, v);
}

static void tell_tablespace(struct wal_reader *r, size_t n)
{
    char place[WAL_PLACE_BYTES + 1];
    size_t at = data_at(r->head, n), len = 0;
    if (!r->tablespace)
        return;
    for (at = at ? at + 4 : n; at + len < n && len < WAL_PLACE_BYTES && r->head[at + len]; len++)
        place[len] = (char)r->head[at + len];
    place[len] = '\0';
    r->tablespace(r->ctx, r->begin, place);
}

static void break_off(struct wal_reader *r)
{
    r->broken = true;
    r->want = 0;
    r->have = 0;
}

/* The sum goes over what follows the header, and then over the header up to itself. */
static bool is_right(const struct wal_reader *r)
{
    return (~wal_sum(r->sum, r->head, SUM_AT) & UINT32_MAX) == get(r->head + SUM_AT, 4) &&
           (!r->known || get(r->head + PREV_AT, 8) == r->last);
}

static void record_done(struct wal_reader *r)
{
    size_t n = r->have < sizeof r->head ? r->have : sizeof r->head;
    uint8_t info = r->head[16] & 0xF0, rm = r->head[17];
    if (r->strict && !is_right(r)) {
        break_off(r);
        return;
    }
    bool ends = rm == RM_XACT &&
                ((info & 0x70) == XACT_COMMIT || (info & 0x70) == XACT_ABORT ||
                 (info & 0x70) == XACT_COMMIT_PREPARED || (info & 0x70) == XACT_ABORT_PREPARED);
    bool point = rm == RM_XLOG && info == RESTORE_POINT;
    size_t at = ends || point ? data_at(r->head, n) : 0;
    r->end = r->at;
    r->last = r->begin;
    r->known = true;
    if (r->strict && rm == RM_XLOG &&
        info == SWITCH) /* the server leaves the rest of the segment empty */
        r->end = r->idle_until = (r->at + r->segment_bytes - 1) / r->segment_bytes *
                                 r->segment_bytes;
    if (rm == RM_XLOG && info == PARAMETER_CHANGE)
        tell_parameters(r, n);
    if (rm == RM_TABLESPACE && info == TABLESPACE_CREATE)
        tell_tablespace(r, n);
    if (at == 0 || at + 8 + (point ? WAL_POINT_BYTES : 0) > n || !r->fn)
        return;
    struct wal_commit c = { .end = r->at,
                            .time_us = (int64_t)get(r->head + at, 8) + PG_EPOCH_US,
                            .is_point = point };
    if (point)
        memcpy(c.point, r->head + at + 8, WAL_POINT_BYTES);
    r->fn(r->ctx, &c);
}

/* Of the server, of this timeline or one before it. The first page of a segment says more. */
static bool is_own_page(const struct wal_reader *r, uint64_t page_at)
{
    uint32_t its = (uint32_t)get(r->page + 4, 4);
    bool is_first = page_at % r->segment_bytes == 0, is_long = get(r->page + 2, 2) & FLAG_LONG;
    if (its == 0 || its > r->timeline || is_first != is_long)
        return false;
    return !is_long ||
           (get(r->page + 24, 8) == r->system && get(r->page + 32, 4) == r->segment_bytes &&
            get(r->page + 36, 4) == WAL_PAGE_BYTES);
}

static void strict_page(struct wal_reader *r, uint64_t page_at, uint16_t flags, uint32_t rest)
{
    bool goes_on = flags & FLAG_CONTINUES;
    if (flags & ~KNOWN_FLAGS || get(r->page + 8, 8) != page_at || !is_own_page(r, page_at)) {
        r->foreign = get(r->page + 8, 8) == page_at && !is_own_page(r, page_at);
        break_off(r);
        return;
    }
    if (r->want && !goes_on && flags & FLAG_OVERWRITES) {
        r->want = 0;
        r->have = 0;
    }
    if (!r->known && !r->want && r->have == 0 && goes_on) /* the first page that is read */
        r->skip = rest;
    else if (goes_on != (r->want > 0 || r->have > 0) || (r->want > 0 && r->want - r->have != rest))
        break_off(r);
}

/* A page's header is whole. */
static void page_done(struct wal_reader *r)
{
    uint16_t flags = (uint16_t)get(r->page + 2, 2);
    uint32_t rest = (uint32_t)get(r->page + 16, 4);
    uint64_t page_at = r->at - r->page_have;
    if (r->page_want == SHORT_HEADER && flags & FLAG_LONG) {
        r->page_want = LONG_HEADER;
        return;
    }
    r->page_have = 0;
    r->page_want = 0;
    r->skip = 0;
    if (r->strict) {
        strict_page(r, page_at, flags, rest);
        return;
    }
    if (flags & ~KNOWN_FLAGS || get(r->page + 8, 8) != page_at) {
        r->lost = true; /* not written, or an older one's */
        r->want = 0;
        return;
    }
    bool goes_on = flags & FLAG_CONTINUES;
    if (goes_on && !r->lost && r->want && r->want - r->have == rest)
        return;
    r->lost = false;
    r->want = 0;
    r->have = 0;
    r->skip = goes_on ? rest : 0;
}

/* How many of the n bytes at p belong together now; they are taken. */
static size_t take(struct wal_reader *r, const uint8_t *p, size_t n)
{
    size_t left = WAL_PAGE_BYTES - (size_t)(r->at % WAL_PAGE_BYTES);
    if (r->broken || r->at < r->idle_until) {
        n = n < left ? n : left;
        r->at += n;
        return n;
    }
    if (r->at % WAL_PAGE_BYTES == 0 && r->page_want == 0)
        r->page_want = SHORT_HEADER;
    n = n < left ? n : left;
    if (r->page_want) {
        size_t part = r->page_want - r->page_have < n ? r->page_want - r->page_have : n;
        memcpy(r->page + r->page_have, p, part);
        r->page_have += part;
        r->at += part;
        if (r->page_have == r->page_want)
            page_done(r);
        return part;
    }
    if (r->lost) {
        r->at += n;
        return n;
    }
    if (r->skip) {
        size_t part = r->skip < n ? r->skip : n;
        r->skip -= (uint32_t)part;
        r->at += part;
        return part;
    }
    if (!r->want && r->have == 0 && r->at % ALIGN) { /* between two records */
        size_t pad = ALIGN - (size_t)(r->at % ALIGN), part = pad < n ? pad : n;
        r->at += part;
        return part;
    }
    if (!r->want && r->have == 0)
        r->begin = r->at;
    size_t part = (r->want ? r->want : 4) - r->have;
    part = part < n ? part : n;
    if (r->have < sizeof r->head) {
        size_t room = sizeof r->head - r->have;
        memcpy(r->head + r->have, p, part < room ? part : room);
    }
    if (r->strict && r->have + part > RECORD_HEADER) {
        size_t from = r->have < RECORD_HEADER ? RECORD_HEADER - r->have : 0;
        r->sum = wal_sum(r->have <= RECORD_HEADER ? UINT32_MAX : r->sum, p + from, part - from);
    } else if (r->strict) {
        r->sum = UINT32_MAX;
    }
    r->have += part;
    r->at += part;
    if (!r->want && r->have == 4) {
        r->want = (uint32_t)get(r->head, 4);
        if (r->want < RECORD_HEADER || r->want > MAX_RECORD) {
            r->lost = true; /* the log ends here, for now */
            r->want = 0;
            r->have = 0;
            r->broken = r->strict;
        }
    } else if (r->want && r->have == r->want) {
        record_done(r);
        r->want = 0;
        r->have = 0;
    }
    return part;
}

void wal_reader_feed(struct wal_reader *r, const uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t part = take(r, p, n);
        p += part;
        n -= part;
    }
}
