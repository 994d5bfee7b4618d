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

/* What systemd says of n expressions; false: it does not know one of them (or is not here). */
static bool ask(char *const list[], size_t n, int64_t next[])
{
    /* The shell, for its complaints alone: they are told in our own words. */
    char *argv[MAX_EXPRESSIONS + 5] = {
        (char *)"sh", (char *)"-c", (char *)"exec systemd-analyze calendar -- \"$@\" 2>/dev/null",
        (char *)"sh"
    };
    char *out = NULL;
    for (size_t i = 0; i < n; i++)
        argv[4 + i] = list[i];
    if (run_program(argv, "", NEXT_RUN_MS, &out, NULL) < 0)
        return false;
    read_blocks(out, next, n);
    free(out);
    return true;
}

void facts_next_runs(struct facts *f)
{
    char *list[MAX_EXPRESSIONS] = { NULL }, *known[] = { (char *)"hourly" };
    int64_t next[MAX_EXPRESSIONS] = { 0 }, unused = 0;
    bool bad[MAX_EXPRESSIONS] = { false };
    size_t n = 0;
    for (size_t i = 0; i < f->n_policies; i++) {
        char *text = f->policies[i].schedule;
        if (f->policies[i].selected && text && n < MAX_EXPRESSIONS &&
            find_expression(list, n, text) == n)
            list[n++] = text;
    }
    if (n == 0)
        return;
    /* One that is wrong must not hide the others. */
    if (!ask(list, n, next) && ask(known, 1, &unused))
        for (size_t i = 0; i < n; i++)
            bad[i] = !ask(list + i, 1, next + i);
    for (size_t i = 0; i < f->n_policies; i++) {
        struct policy_fact *p = &f->policies[i];
        size_t at = p->selected && p->schedule ? find_expression(list, n, p->schedule) : n;
        if (at == n)
            continue;
        p->bad_schedule = bad[at];
        p->next_s = p->held || p->no_timer ? 0 : next[at];
    }
}
