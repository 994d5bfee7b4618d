/* timelines.c - see timelines.h. */
#include "agents/postgresql/timelines.h"
#include "agents/postgresql/server.h"

#include <stdlib.h>
#include <string.h>

bool history_line(const char *line, uint32_t *ret_timeline, uint64_t *ret_lsn)
{
    char *end, lsn[LSN_TEXT_BYTES + 1];
    line += strspn(line, " \t"); /* an empty one is none: strtoul would pass over its end */
    unsigned long timeline = *line >= '0' && *line <= '9' ? strtoul(line, &end, 10) : 0;
    if (timeline == 0 || timeline > UINT32_MAX)
        return false;
    const char *at = end + strspn(end, " \t");
    size_t n = strspn(at, "0123456789ABCDEFabcdef/");
    if (at == end || n == 0 || n >= sizeof lsn)
        return false;
    memcpy(lsn, at, n);
    lsn[n] = '\0';
    *ret_timeline = (uint32_t)timeline;
    return lsn_parse(lsn, ret_lsn);
}

bool history_left(const char *history, size_t n, uint32_t timeline, uint64_t *ret)
{
    char line[256];
    for (size_t at = 0; at < n;) {
        size_t end = at, len;
        uint32_t tli = 0;
        uint64_t lsn = 0;
        while (end < n && history[end] != '\n')
            end++;
        len = end - at < sizeof line - 1 ? end - at : sizeof line - 1;
        memcpy(line, history + at, len);
        line[len] = '\0';
        if (history_line(line, &tli, &lsn) && tli == timeline) {
            *ret = lsn;
            return true;
        }
        at = end + 1;
    }
    return false;
}

bool history_next(const char *history, uint32_t timeline, uint32_t its, uint64_t *ret_at,
                  uint32_t *ret_next)
{
    bool found = false;
    *ret_next = its;
    for (const char *line = history; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        uint32_t tli = 0;
        uint64_t lsn = 0;
        if (!history_line(line, &tli, &lsn))
            continue;
        if (found) {
            *ret_next = tli;
            break;
        }
        found = tli == timeline;
        if (found)
            *ret_at = lsn;
    }
    return found;
}

bool history_last(const char *history, uint64_t *ret)
{
    bool found = false;
    for (const char *line = history; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        uint32_t tli = 0;
        found = history_line(line, &tli, ret) || found;
    }
    return found;
}

void timelines_begin(struct timelines *t, uint32_t timeline)
{
    t->v[0] = (struct timeline_step){ timeline, UINT64_MAX };
    t->n = 1;
}

bool timelines_add(struct timelines *t, uint32_t timeline, const char *history, size_t n,
                   uint64_t backup_end)
{
    uint64_t left = 0;
    for (size_t i = t->n; i-- > 0;) {
        if (t->v[i].timeline >= timeline || !history_left(history, n, t->v[i].timeline, &left))
            continue;
        if (left < (i == 0 ? backup_end : t->v[i - 1].end) || i + 1 == MAX_TIMELINES)
            return false;
        t->v[i].end = left;
        t->v[i + 1] = (struct timeline_step){ timeline, UINT64_MAX };
        t->n = i + 2;
        return true;
    }
    return false;
}
