/* events.c - see events.h (MariaDB's manual, "Replication Protocol", "Binlog Event header", "GTID_EVENT", "QUERY_EVENT"). */
#include "agents/mariadb/events.h"
#include "agents/mariadb/stream.h"

#include <string.h>

enum {
    TYPE_QUERY = 2,
    TYPE_XID = 16,
    TYPE_LOAD = 18,
    TYPE_GTID_MYSQL = 33,
    TYPE_ANONYMOUS = 34,
    TYPE_XA_PREPARE = 38,
    TYPE_GTID = 162,
    TYPE_ENCRYPTION = 164,
    TYPE_QUERY_PACKED = 165,
};
#define FAR_S 60
#define GTID_FLAGS_AT (EVENT_HEAD_BYTES + 12)
#define GTID_SINGLE 0x81u /* no COMMIT stands at its end; it ends a transaction that was prepared */

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool begins_group(uint8_t type)
{
    return type == TYPE_GTID || type == TYPE_GTID_MYSQL || type == TYPE_ANONYMOUS;
}

void my_events_begin(struct my_events *v, uint64_t at)
{
    v->event = v->at = v->whole = at;
    v->len = 0;
    v->got = 0;
    v->in_group = v->counts = false;
}

/* --- where the moment lies ----------------------------------------------------------------------- */
static bool is_late(const struct my_events *v)
{
    int64_t begun_s = get32(v->text);
    if (v->seen_s && begun_s > v->seen_s)
        begun_s = v->seen_s;
    return v->at_s && begun_s >= v->at_s;
}

/* One is there whole. Behind it is the best place where more of those since the best one are early than late. */
static void count_group(struct my_events *v)
{
    struct my_tally *now = &v->now;
    int64_t begun_s = v->group_s;
    v->counts = false;
    if (!v->at_s)
        return;
    if (!v->placed) {
        v->placed = true;
        v->place_file = v->file;
        v->place_at = v->group;
    }
    if (v->seen_s && begun_s > v->seen_s) {
        if (v->seen_s >= v->at_s && begun_s > v->seen_s + FAR_S) {
            now->wild++;
            v->unsure += now->late == v->best.late;
            return;
        }
        begun_s = v->seen_s;
    }
    now->early += begun_s < v->at_s;
    now->late += begun_s >= v->at_s;
    now->far_early += begun_s < v->at_s - FAR_S;
    now->far_late += begun_s >= v->at_s + FAR_S;
    if (now->early + v->best.late > v->best.early + now->late) {
        v->best = *now;
        v->placed = v->passed = false;
        v->unsure = 0;
    }
}

void my_events_moment(const struct my_events *v, size_t n_files, struct my_moment *ret)
{
    const struct my_tally *now = &v->now, *best = &v->best;
    *ret = (struct my_moment){ .n_files = v->placed ? v->place_file + 1 : n_files,
                               .stop = v->placed ? v->place_at : 0,
                               .groups = best->early + best->late + best->wild,
                               .later = best->late + best->wild,
                               .earlier = now->early - best->early,
                               .far = best->far_late + best->wild + now->far_early -
                                      best->far_early };
}

/* --- the walk ------------------------------------------------------------------------------------ */
/* Events of a transaction have the times of its statements: it counts by the last one. */
static void on_time(struct my_events *v)
{
    int64_t time_s = get32(v->text);
    uint8_t type = v->text[4];
    v->passed |= is_late(v);
    if (begins_group(type)) { /* so the one before it has ended */
        if (v->counts)
            count_group(v);
        v->whole = v->group = v->event;
        v->group_s = time_s;
        v->counts = true;
    } else if (v->counts && time_s > v->group_s) {
        v->group_s = time_s;
    } else if (!v->in_group && (type == TYPE_QUERY || type == TYPE_QUERY_PACKED) && is_late(v)) {
        v->beyond = true; /* a statement of no transaction that is known as one */
    }
}

static void on_begin(struct my_events *v)
{
    v->len = get32(v->text + 9);
    if (v->len < EVENT_HEAD_BYTES) {
        v->wrong = true;
        return;
    }
    if (v->event >= v->stop || v->event + v->len > v->stop)
        v->beyond = true;
    else
        on_time(v);
}

/* Does its statement say that? At its end; a sum may stand behind it. */
static bool says(const struct my_events *v, const char *word)
{
    size_t n = strlen(word);
    if (v->len > EVENT_TEXT_BYTES || v->len < EVENT_HEAD_BYTES + n + EVENT_SUM_BYTES)
        return false;
    const uint8_t *end = v->text + v->len;
    return memcmp(end - n, word, n) == 0 || memcmp(end - EVENT_SUM_BYTES - n, word, n) == 0;
}

static bool query_ends(struct my_events *v)
{
    if (v->single || says(v, "COMMIT") || says(v, "ROLLBACK"))
        return true;
    if (!v->other_kind)
        return false;
    bool begin = says(v, "BEGIN"), alone = !v->begin_said && !begin;
    v->begin_said |= begin;
    return alone;
}

static void on_end(struct my_events *v)
{
    uint8_t type = v->text[4];
    if (begins_group(type)) {
        v->in_group = true;
        v->other_kind = type != TYPE_GTID;
        v->begin_said = false;
        v->single = type == TYPE_GTID && v->len > GTID_FLAGS_AT &&
                    v->text[GTID_FLAGS_AT] & GTID_SINGLE;
    } else if (type == TYPE_XID || type == TYPE_XA_PREPARE || (type == TYPE_LOAD && v->single)) {
        v->in_group = false;
    } else if (type == TYPE_QUERY || type == TYPE_QUERY_PACKED) {
        v->in_group = v->in_group && !query_ends(v);
    } else if (type == TYPE_ENCRYPTION && v->encrypted) {
        v->encrypted(v->ctx, v->event, v->text, v->len < EVENT_TEXT_BYTES ? v->len : 0);
    }
    v->event += v->len;
    v->len = 0;
    v->got = 0;
    if (v->in_group)
        return;
    v->whole = v->event;
    if (v->group_s && (!v->at_s || v->group_s < v->at_s))
        v->last_s = v->group_s;
    if (v->counts)
        count_group(v);
}

void my_events_feed(struct my_events *v, const uint8_t *p, size_t n)
{
    while (n > 0 && !v->beyond && !v->wrong) {
        size_t want = !v->len                     ? EVENT_HEAD_BYTES
                      : v->len < EVENT_TEXT_BYTES ? v->len
                                                  : EVENT_TEXT_BYTES;
        size_t part = v->got < want ? want - v->got : (size_t)(v->event + v->len - v->at);
        part = part < n ? part : n;
        if (v->got < want) {
            memcpy(v->text + v->got, p, part);
            v->got += part;
        }
        p += part;
        n -= part;
        v->at += part;
        if (!v->len && v->got == EVENT_HEAD_BYTES)
            on_begin(v);
        if (v->len && !v->beyond && !v->wrong && v->at == v->event + v->len)
            on_end(v);
    }
}
