/* calendar.c - what systemd makes of a calendar expression (systemd.time(7)): its own program is asked, so that nothing is
 * accepted here that a timer would refuse at night. */
#include "lib/base/sys.h"
#include "policies/lint_inner.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_WAIT_MS 20000
#define MAX_ANSWER 65536
#define NOT_FOUND 127

/* One line: "Next elapse: Thu 2026-11-26 02:00:00 UTC", or one of an iteration, or something else. */
static void take_line(const char *line, struct calendar *c)
{
    struct tm tm = { 0 };
    const char *at = strstr(line, "Next elapse: ");
    at = at ? at + strlen("Next elapse: ") : strstr(line, "Iter") ? strstr(line, ": ") : NULL;
    if (!at || c->n == MAX_ELAPSES)
        return;
    at += strspn(at, ": ");
    at += strcspn(at, " "); /* the day of the week */
    const char *end = strptime(at, " %Y-%m-%d %H:%M:%S", &tm);
    if (end && strncmp(end, " UTC", 4) == 0)
        c->elapses_s[c->n++] = timegm(&tm);
}

static int read_answer(int fd, char *answer)
{
    size_t n = 0;
    ssize_t got = 1;
    while (got > 0 && n < MAX_ANSWER - 1) {
        if (sys_wait_fd(fd, POLLIN, ANSWER_WAIT_MS, NULL) < 0)
            return -1;
        got = read(fd, answer + n, MAX_ANSWER - 1 - n);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            got = 1;
        else if (got > 0)
            n += (size_t)got;
    }
    answer[n] = '\0';
    return got < 0 ? -1 : 0;
}

int calendar_ask(const char *spec, struct calendar *ret, struct err *e)
{
    /* The expression is an argument of its own: no shell reads it. In UTC no hour is missing or twice. */
    const char *const argv[] = {
        "/bin/sh",
        "-c",
        "LC_ALL=C TZ=UTC exec systemd-analyze calendar --iterations=24 -- \"$1\" 2>/dev/null",
        "sh",
        spec,
        NULL
    };
    pid_t pid;
    int status = 0;
    *ret = (struct calendar){ .state = CALENDAR_UNKNOWN };
    char *answer = malloc(MAX_ANSWER), *save = NULL;
    if (!answer)
        return conf_out_of_memory(e);
    int fd = sys_spawn(argv, -1, &pid, NULL);
    if (fd >= 0) {
        bool whole = read_answer(fd, answer) == 0;
        sys_close_quiet(fd);
        if (sys_reap(pid, ANSWER_WAIT_MS, &status, NULL) == 0 && whole && WIFEXITED(status) &&
            WEXITSTATUS(status) < NOT_FOUND - 1)
            ret->state = WEXITSTATUS(status) == 0 ? CALENDAR_GOOD : CALENDAR_BAD;
    }
    if (ret->state == CALENDAR_GOOD)
        for (char *line = strtok_r(answer, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            take_line(line, ret);
    free(answer);
    return 0;
}

uint64_t calendar_longest_gap_s(const struct calendar *c)
{
    int64_t longest = 0;
    for (size_t i = 1; i < c->n; i++)
        if (c->elapses_s[i] - c->elapses_s[i - 1] > longest)
            longest = c->elapses_s[i] - c->elapses_s[i - 1];
    return (uint64_t)longest;
}
