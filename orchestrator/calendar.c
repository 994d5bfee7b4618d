/* calendar.c - calendar expressions, by systemd-analyze; see calendar.h. */
#include "orchestrator/calendar.h"
#include "lib/base/i18n.h"
#include "orchestrator/program.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define ANSWER_MS 10000
#define HOUR_S ((int64_t)3600)
#define LONGEST_BACK_S (4 * 366 * 24 * HOUR_S)
#define MAX_SPEC 512

/* "    Next elapse: Tue 2026-09-22 02:00:00 UTC", "       (in UTC): Mon 2026-09-21 18:00:00 UTC": whatever zone this host lives in,
 * every elapse has one line that ends with UTC. */
static bool utc_time(const char *line, int64_t *ret)
{
    struct tm tm = { 0 };
    const char *at = strstr(line, ": ");
    at = at ? strchr(at + 2, ' ') : NULL; /* after the day of the week */
    at = at ? strptime(at, " %Y-%m-%d %H:%M:%S", &tm) : NULL;
    if (!at || strcmp(at, " UTC") != 0)
        return false;
    *ret = (int64_t)timegm(&tm);
    return true;
}

static int ask(const char *spec, int64_t from_s, struct wbuf *out, struct err *e)
{
    /* What it complains about goes into our own words, not to the terminal. */
    static const char script[] =
        "exec \"$0\" calendar --iterations=\"$1\" --base-time=\"$2\" -- \"$3\" 2>&1";
    char path[PATH_MAX], base[32], iterations[16];
    int status = 0, rc = program_find("systemd-analyze", NULL, path, e);
    if (rc < 0)
        return rc;
    snprintf(base, sizeof base, "@%" PRId64, from_s);
    snprintf(iterations, sizeof iterations, "%d", CALENDAR_BATCH);
    const char *const argv[] = { "/bin/sh", "-c", script, path, iterations, base, spec, NULL };
    rc = program_run(argv, ANSWER_MS, out, &status, e);
    if (rc == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        err_set(e, ERR_CONFIG, _("\"%s\" is no calendar expression"), spec);
        rc = err_next(
            e, _("write it as systemd.time(7) says, for instance \"*-*-* 02:00:00\"; try it with: "
                 "systemd-analyze calendar '...'"));
    }
    return rc;
}

int calendar_next(const char *spec, int64_t from_s, int64_t ret[CALENDAR_BATCH], size_t *ret_n,
                  struct err *e)
{
    struct wbuf out = WBUF_INIT;
    size_t n = 0;
    if (strlen(spec) > MAX_SPEC)
        return err_set(e, ERR_CONFIG, _("a calendar expression has at most %d letters"), MAX_SPEC);
    int rc = ask(spec, from_s, &out, e);
    char *rest = NULL;
    for (char *line = rc == 0 ? strtok_r((char *)out.p, "\n", &rest) : NULL;
         line && n < CALENDAR_BATCH; line = strtok_r(NULL, "\n", &rest))
        n += utc_time(line, &ret[n]) && ret[n] > from_s;
    wbuf_free(&out);
    if (rc == 0)
        *ret_n = n;
    return rc;
}

/* The last one up to now, when there is one after from_s. */
static int last_after(const char *spec, int64_t from_s, int64_t now_s, int64_t *ret, struct err *e)
{
    int64_t at[CALENDAR_BATCH];
    int found = 0;
    for (;;) {
        size_t n = 0, k = 0;
        int rc = calendar_next(spec, from_s, at, &n, e);
        if (rc < 0)
            return rc;
        while (k < n && at[k] <= now_s)
            k++;
        if (k > 0) {
            *ret = from_s = at[k - 1];
            found = 1;
        }
        if (k < CALENDAR_BATCH)
            return found;
    }
}

int calendar_last(const char *spec, int64_t now_s, int64_t *ret, struct err *e)
{
    for (int64_t back = HOUR_S; back < LONGEST_BACK_S * 6; back *= 6) {
        int64_t last = 0;
        int rc = last_after(spec, now_s - (back < LONGEST_BACK_S ? back : LONGEST_BACK_S), now_s,
                            &last, e);
        if (rc > 0)
            *ret = last;
        if (rc != 0)
            return rc;
    }
    return 0;
}

void calendar_slot(int64_t at_s, char out[32])
{
    time_t t = (time_t)at_s;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, 32, "@%" PRId64, at_s);
}
