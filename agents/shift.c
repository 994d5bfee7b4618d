/* shift.c - see agents/shift.h. */
#include "agents/shift.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OLD_REGIONS 4 /* that are kept at hand */
#define MAX_REWINDS 64
#define WINDOW_REGIONS (MAX_ANCHOR_REGIONS / 2) /* to either side */
#define MAX_SKIP 16                             /* regions */
#define MAX_MISSES 8 /* searches in a region that has something, until no more is expected */
#define MIN_REST \
    (4 * ANCHOR_BYTES) /* is searched at the end of a stretch, where something was found */
#define MAX_PAGE_BYTES ((size_t)1 << MAX_PAGE_BITS)

struct old_region {
    bool have, right; /* it is there; its sums are known */
    struct base_region r;
    struct extent *x; /* owned */
    size_t x_cap;
    struct id sums[MAX_REGION_PAGES];
};

struct shift {
    struct shift_opts o;
    unsigned page_bits;
    struct base_file *cursor; /* NULL: not begun */
    uint64_t next;            /* region that the cursor comes to */
    unsigned rewinds;
    uint64_t regions; /* that there are; as far as is known */
    bool lost;        /* the old file cannot be read any more */
    struct old_region *old[OLD_REGIONS];
    bool indexed;    /* the anchors around `center` are in the index */
    uint64_t center; /* region */
    bool known;
    int64_t by;             /* where a byte lay, less where it lies: of what was found last */
    unsigned skip, in_vain; /* regions: not to be tried; tried and nothing found */
    /* the region: */
    struct shift_view v;
    bool active, hit,
        tried; /* something was found in the one before; in this one; was looked for */
    unsigned misses;
    ssize_t behind; /* bytes behind the region; -1: not read yet */
    uint8_t behind_bytes[MAX_PAGE_BYTES];
    size_t before; /* bytes before it */
    uint8_t before_bytes[MAX_PAGE_BYTES];
    uint8_t page[MAX_PAGE_BYTES];
};

struct shift *shift_new(const struct shift_opts *o)
{
    struct shift *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->o = *o;
    s->regions = UINT64_MAX;
    s->page_bits = base_page_bits(o->base);
    return s;
}

void shift_free(struct shift *s)
{
    if (!s)
        return;
    base_file_free(s->cursor);
    for (size_t i = 0; i < OLD_REGIONS; i++) {
        if (s->old[i])
            free(s->old[i]->x);
        free(s->old[i]);
    }
    free(s);
}

bool shift_region(struct shift *s, const struct shift_view *v)
{
    if (s->hit)
        s->skip = s->in_vain = 0;
    else if (s->tried)
        s->skip = ++s->in_vain / 2 < MAX_SKIP ? s->in_vain / 2 : MAX_SKIP - 1;
    s->active = s->hit;
    s->hit = s->tried = false;
    s->misses = 0;
    s->v = *v;
    s->behind = -1;
    if (s->skip == 0)
        return !s->lost;
    s->skip--;
    return false;
}

void shift_seen(struct shift *s, const uint8_t *p, size_t n)
{
    size_t page = (size_t)1 << s->page_bits;
    s->before = p && n >= page ? page : 0;
    if (s->before > 0)
        memcpy(s->before_bytes, p + n - page, page);
}

/* --- the old file ------------------------------------------------------------------------------- */
static bool rewind_to(struct shift *s, uint64_t number)
{
    if (s->cursor && s->next <= number)
        return true;
    if (s->cursor && s->rewinds++ == MAX_REWINDS)
        return false;
    base_file_free(s->cursor);
    s->cursor = base_file_again(s->o.base);
    s->next = 0;
    return s->cursor;
}

static bool keep(struct shift *s, struct old_region *to, const struct base_region *r)
{
    if (!to->x || to->x_cap < r->n) {
        struct extent *x = realloc(to->x, r->n * sizeof *x);
        if (!x)
            return false;
        to->x = x;
        to->x_cap = r->n;
    }
    memcpy(to->x, r->x, r->n * sizeof *to->x);
    to->r = *r;
    to->r.x = to->x;
    to->right = base_page_sums(s->cursor, r, s->o.hash, to->sums);
    to->r.sum = NULL; /* borrowed from the cursor */
    to->have = true;
    return true;
}

/* NULL: there is none with this number. */
static const struct old_region *old_region(struct shift *s, uint64_t number)
{
    struct old_region **at = &s->old[number % OLD_REGIONS], *known = *at;
    struct base_region r;
    if (known && known->have && known->r.number == number)
        return known;
    if (number >= s->regions)
        return NULL;
    if (!*at && !(*at = calloc(1, sizeof **at)))
        return NULL;
    if (s->lost || !rewind_to(s, number)) {
        s->lost = true;
        return NULL;
    }
    (*at)->have = false;
    do {
        if (!base_next(s->cursor, &r)) {
            s->regions = s->next;
            return NULL;
        }
        s->next = r.number + 1;
    } while (r.number < number);
    return keep(s, *at, &r) ? *at : NULL;
}

/* --- pages ----------------------------------------------------------------------------------------- */
struct spot { /* a page of the old file, and where it would lie in the region now */
    int64_t at, end;
    const struct old_region *old;
    size_t from; /* in that */
    size_t page;
};

/* The page that holds what would be the byte `at` of the region. False: there was none, up to ret->end. */
static bool spot_at(struct shift *s, int64_t by, size_t at, struct spot *ret)
{
    int64_t was = (int64_t)(s->v.off + at) + by;
    ret->end = was < 0 ? (int64_t)at - was : INT64_MAX;
    if (was < 0)
        return false;
    uint64_t number = (uint64_t)was / REGION_BYTES;
    const struct old_region *old = old_region(s, number);
    size_t in = (size_t)((uint64_t)was % REGION_BYTES), page = (size_t)1 << s->page_bits;
    if (!old || in >= old->r.len)
        return false;
    ret->old = old;
    ret->page = in >> s->page_bits;
    ret->from = ret->page * page;
    size_t len = old->r.len - ret->from < page ? (size_t)old->r.len - ret->from : page;
    ret->at = (int64_t)at - (int64_t)(in - ret->from);
    ret->end = ret->at + (int64_t)len;
    return true;
}

/* Bytes of the file from `at` on, which may begin before the region or end behind it, but are in it in part. NULL: not there. */
static const uint8_t *bytes_at(struct shift *s, int64_t at, size_t n)
{
    const struct shift_view *v = &s->v;
    size_t head = at < 0 ? (size_t)-at : 0, from = at < 0 ? 0 : (size_t)at;
    size_t tail = from + n - head > v->n ? from + n - head - v->n : 0;
    if (head == 0 && tail == 0)
        return v->p + from;
    if (tail > 0 && s->behind < 0)
        s->behind = pread(v->fd, s->behind_bytes, MAX_PAGE_BYTES, (off_t)(v->off + v->n));
    if (head > s->before || (tail > 0 && (ssize_t)tail > s->behind))
        return NULL;
    memcpy(s->page, s->before_bytes + s->before - head, head);
    memcpy(s->page + head, v->p + from, n - head - tail);
    memcpy(s->page + n - tail, s->behind_bytes, tail);
    return s->page;
}

static bool is_there(struct shift *s, const struct spot *sp)
{
    struct id sum = { 0 };
    size_t n = (size_t)(sp->end - sp->at);
    const uint8_t *p = sp->old->right ? bytes_at(s, sp->at, n) : NULL;
    if (!p)
        return false;
    paged_sums(s->o.hash, s->page_bits, p, n, &sum);
    return id_eq(&sum, &sp->old->sums[sp->page]);
}

/* --- how far it shifted ------------------------------------------------------------------------------ */
static void add_anchors(struct shift *s, struct anchor_sums *room, uint64_t from, size_t n,
                        uint64_t center)
{
    n = base_anchors(s->o.base, from, room, n);
    for (size_t d = 0; d <= MAX_ANCHOR_REGIONS; d++) { /* the nearest first */
        if (center + d >= from && center + d < from + n)
            anchors_add(s->o.anchors, center + d, &room[center + d - from]);
        if (d > 0 && center >= d && center - d >= from && center - d < from + n)
            anchors_add(s->o.anchors, center - d, &room[center - d - from]);
    }
}

/* Those around the place where what comes now is expected are in the index. False: there are none. */
static bool index_around(struct shift *s, size_t at)
{
    int64_t was = (int64_t)(s->v.off + at) + (s->known ? s->by : 0);
    uint64_t center = was > 0 ? (uint64_t)was / REGION_BYTES : 0;
    uint64_t off = center > s->center ? center - s->center : s->center - center;
    if (!s->indexed || off > WINDOW_REGIONS / 2) {
        struct anchor_sums *room = malloc(MAX_ANCHOR_REGIONS * sizeof *room);
        anchors_clear(s->o.anchors);
        if (room)
            add_anchors(s, room, center > WINDOW_REGIONS ? center - WINDOW_REGIONS : 0,
                        MAX_ANCHOR_REGIONS, center);
        free(room);
        s->indexed = true;
        s->center = center;
    }
    return anchors_build(s->o.anchors);
}

/* Is a page around this place what it was? One that was found may be followed, or led, by one that is. */
static bool believable(struct shift *s, size_t at, int64_t by)
{
    size_t page = (size_t)1 << s->page_bits;
    const size_t where[] = { at, at + page, at >= page ? at - page : 0 };
    for (size_t i = 0; i < 3; i++) {
        struct spot sp;
        if (where[i] < s->v.n && spot_at(s, by, where[i], &sp) && is_there(s, &sp))
            return true;
    }
    return false;
}

/* Looks through [from, to) of the region, at most ANCHOR_REACH, for anything old. */
static bool search(struct shift *s, size_t from, size_t to)
{
    struct anchor_hit hits[MAX_ANCHOR_HITS];
    s->tried = true;
    size_t n = index_around(s, from) ? anchors_find(s->o.anchors, s->v.p + from, to - from, hits)
                                     : 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = from + hits[i].at;
        int64_t by = (int64_t)hits[i].old - (int64_t)(s->v.off + at);
        if (by == 0 || (s->known && by == s->by) || !believable(s, at, by))
            continue;
        s->known = s->hit = true;
        s->by = by;
        return true;
    }
    s->misses++;
    return false;
}

/* --- a stretch of a region ---------------------------------------------------------------------------- */
struct stretch {
    size_t done;     /* up to there all is decided */
    size_t searched; /* and up to there no anchors are left */
    size_t at, to;   /* [done, at) does not match what is known */
};

/* Takes what is known for right. False: the sink could take no more. */
static bool walk(struct shift *s, struct stretch *x, const struct shift_sink *sink)
{
    struct spot sp;
    bool there = spot_at(s, s->by, x->at, &sp);
    size_t begin = there && sp.at > (int64_t)x->done ? (size_t)sp.at : x->done;
    x->at = sp.end < (int64_t)x->to ? (size_t)sp.end : x->to;
    if (!there || !is_there(s, &sp))
        return true;
    s->hit = true;
    x->done = x->at;
    return sink->same(sink->ctx, begin, x->at - begin, &sp.old->r,
                      sp.from + (size_t)((int64_t)begin - sp.at));
}

/* Nothing was found in a part of the stretch that is long enough, or at its end. Where there was something before it, it may go on by another
 * shift in this very part; else what is old again begins anywhere, and the end is the best place. False: give up. */
static bool seek(struct shift *s, struct stretch *x)
{
    bool hopeful = s->hit || s->active;
    size_t from = x->done > x->searched ? x->done : x->searched, to = x->to;
    if (!hopeful && to - from > ANCHOR_REACH)
        from = to - ANCHOR_REACH;
    if (hopeful && to - from > ANCHOR_REACH)
        to = from + ANCHOR_REACH;
    if (hopeful && to > x->at)
        to = x->at;
    if (s->misses >= (hopeful ? MAX_MISSES : 1) ||
        to - from < (hopeful ? MIN_REST : ANCHOR_REACH)) {
        x->searched = x->to;
        return s->hit;
    }
    bool found = search(s, from, to);
    if (hopeful)
        x->searched = to < x->to && !found ? from + ANCHOR_STEP : to;
    if (found)
        x->at = x->done;
    return found || s->hit;
}

bool shift_match(struct shift *s, size_t from, size_t to, const struct shift_sink *sink)
{
    struct stretch x = { .done = from, .searched = from, .at = from, .to = to };
    while (x.at < to) {
        size_t begin = x.done > x.searched ? x.done : x.searched;
        if (s->known && !walk(s, &x, sink))
            return false;
        if (!s->known)
            x.at = to - begin > ANCHOR_REACH ? begin + ANCHOR_REACH : to;
        begin = x.done > x.searched ? x.done : x.searched;
        bool end = x.at == to && begin < to;
        if ((end || (x.at > begin && x.at - begin >= ANCHOR_REACH)) && !seek(s, &x))
            break;
    }
    return true;
}
