/* next_run.c - see next_run.h. */
#include "orchestrator/watch/next_run.h"
#include "orchestrator/watch/channels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "    (in UTC): Thu 2026-11-26 02:00:00 UTC", or the same after "Next elapse:" where local time is UTC. */
static int64_t parse_utc(const char *text)
{
    struct tm tm = { 0 };
    const char *day = strchr(text, ' '); /* after the weekday */
    const char *zone = day ? strptime(day, " %Y-%m-%d %H:%M:%S ", &tm) : NULL;
    if (!zone || strncmp(zone, "UTC", 3) != 0)
        return 0;
    return (int64_t)timegm(&tm);
}

/* One block an expression, in their order; a block begins with its normalized or original form. */
static void read_blocks(char *text, int64_t next[], size_t n)
{
    size_t at = 0;
    bool any = false;
    for (char *line = text; at < n; line += strlen(line) + 1) {
        char *end = strchr(line, '\n');
        bool last = !end;
        if (end)
            *end = '\0';
        line += strspn(line, " ");
        if (line[0] == '\0' && any) {
            at++;
            any = false;
        } else if (line[0] != '\0') {
            const char *value = strstr(line, ": ");
            any = true;
            if (value &&
                (strncmp(line, "Next elapse", 11) == 0 || strncmp(line, "(in UTC)", 8) == 0)) {
                int64_t t = parse_utc(value + 2);
                next[at] = t ? t : next[at];
            }
        }
        if (last)
            break;
    }
}

static size_t find_expression(char *const list[], size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return i;
    return n;
}

void facts_next_runs(struct facts *f)
{
    char *argv[MAX_EXPRESSIONS + 4] = { (char *)"systemd-analyze", (char *)"calendar",
                                        (char *)"--" };
    char **list = argv + 3, *out = NULL;
    int64_t next[MAX_EXPRESSIONS] = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < f->n_policies; i++) {
        char *text = f->policies[i].schedule;
        if (f->policies[i].selected && text && n < MAX_EXPRESSIONS &&
            find_expression(list, n, text) == n)
            list[n++] = text;
    }
    if (n == 0 || run_program(argv, "", NEXT_RUN_MS, &out, NULL) < 0)
        return;
    read_blocks(out, next, n);
    for (size_t i = 0; i < f->n_policies; i++) {
        struct policy_fact *p = &f->policies[i];
        size_t at = p->selected && p->schedule ? find_expression(list, n, p->schedule) : n;
        if (at < n)
            p->next_s = next[at];
    }
    free(out);
}
