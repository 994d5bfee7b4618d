/* window.c - the hours in which jobs may begin; see site.h. Local time as the C library knows it, so a night on which the
 * clocks change has its 23 or 25 hours. */
#include "orchestrator/daemon/site.h"

#include <time.h>

#define HOUR_S 3600

bool window_open(const struct window *w, int64_t now_s)
{
    time_t t = (time_t)now_s;
    struct tm tm;
    if (!w->set || !localtime_r(&t, &tm))
        return true;
    unsigned min = (unsigned)tm.tm_hour * 60 + (unsigned)tm.tm_min;
    return w->from_min < w->to_min ? min >= w->from_min && min < w->to_min
                                   : min >= w->from_min || min < w->to_min;
}

/* The first open minute in the hour before and after: where the clocks are put forward over the window's beginning, or back so
 * that it comes twice. */
static int64_t open_near(const struct window *w, int64_t at_s, int64_t now_s)
{
    for (int64_t t = at_s - HOUR_S; t <= at_s + HOUR_S; t += 60)
        if (t > now_s && window_open(w, t) && !window_open(w, t - 60))
            return t;
    return 0;
}

int64_t window_opens_at(const struct window *w, int64_t now_s)
{
    time_t t = (time_t)now_s;
    struct tm today;
    if (window_open(w, now_s) || !localtime_r(&t, &today))
        return now_s;
    for (int day = 0; day <= 2; day++) {
        struct tm tm = today;
        tm.tm_mday += day;
        tm.tm_hour = (int)w->from_min / 60;
        tm.tm_min = (int)w->from_min % 60;
        tm.tm_sec = 0;
        tm.tm_isdst = -1;
        int64_t at = (int64_t)mktime(&tm);
        if (at > now_s && window_open(w, at) && !window_open(w, at - 60))
            return at;
        if (at > now_s - HOUR_S && (at = open_near(w, at, now_s)) > 0)
            return at;
    }
    return now_s + HOUR_S / 4;
}
