/* timelines.c - see timelines.h. */
#include "agents/postgresql/timelines.h"
#include "agents/postgresql/server.h"

#include <stdio.h>
#include <string.h>

bool history_left(const char *history, size_t n, uint32_t timeline, uint64_t *ret)
{
    char line[256];
    for (size_t at = 0; at < n;) {
        size_t end = at, len;
        unsigned tli = 0;
        char lsn[LSN_TEXT_BYTES + 1];
        while (end < n && history[end] != '\n')
            end++;
        len = end - at < sizeof line - 1 ? end - at : sizeof line - 1;
        memcpy(line, history + at, len);
        line[len] = '\0';
        if (sscanf(line, " %u %24[0-9A-Fa-f/]", &tli, lsn) == 2 && tli == timeline)
            return lsn_parse(lsn, ret);
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
        char lsn[LSN_TEXT_BYTES + 1];
        unsigned tli = 0;
        if (sscanf(line, " %u %24[0-9A-Fa-f/]", &tli, lsn) != 2)
            continue;
        if (found) {
            *ret_next = tli;
            break;
        }
        found = tli == timeline && lsn_parse(lsn, ret_at);
    }
    return found;
}

bool history_last(const char *history, uint64_t *ret)
{
    bool found = false;
    for (const char *line = history; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        char lsn[LSN_TEXT_BYTES + 1];
        unsigned tli = 0;
        if (sscanf(line, " %u %24[0-9A-Fa-f/]", &tli, lsn) == 2)
            found = lsn_parse(lsn, ret) || found;
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
        if ((i == 0 && left < backup_end) || i + 1 == MAX_TIMELINES)
            return false;
        t->v[i].end = left;
        t->v[i + 1] = (struct timeline_step){ timeline, UINT64_MAX };
        t->n = i + 2;
        return true;
    }
    return false;
}
