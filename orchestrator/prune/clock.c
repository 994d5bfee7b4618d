/* clock.c - is the clock believed? see clock.h. */
#include "orchestrator/prune/clock.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/ui.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HOUR_NS 3600000000000LL
#define FACT_KEY "prune-clock"

static int refuse(struct err *e)
{
    err_next(e, _("set this machine's clock; if it is right, run it again with --clock-is-right"));
    return -ERR_REFUSED;
}

static int behind(int64_t now_ns, int64_t newest_ns, struct err *e)
{
    char a[32], b[32];
    err_set(e, ERR_REFUSED, _("this machine's clock (%s) is behind the vault's newest entry (%s)"),
            ui_time(now_ns, a), ui_time(newest_ns, b));
    return refuse(e);
}

static int leapt(int64_t from_ns, int64_t to_ns, struct err *e)
{
    char a[32], b[32];
    err_set(e, ERR_REFUSED,
            _("nothing is known of the time between %s and %s: the clock may have jumped"),
            ui_time(from_ns, a), ui_time(to_ns, b));
    return refuse(e);
}

/* 1: it went as the time since boot did; 0: not known. */
static int compare_boot(const struct clock_fact *now, const struct clock_fact *last, struct err *e)
{
    if (!last || !last->boot[0] || strcmp(last->boot, now->boot) != 0 ||
        now->boot_ns < last->boot_ns)
        return 0;
    int64_t real = now->now_ns - last->now_ns, ran = now->boot_ns - last->boot_ns;
    int64_t off = real > ran ? real - ran : ran - real;
    if (off <= HOUR_NS + ran / 20)
        return 1;
    err_set(e, ERR_REFUSED,
            _("since the last prune this machine's clock went %lld h and the machine ran %lld h"),
            (long long)(real / HOUR_NS), (long long)(ran / HOUR_NS));
    return refuse(e);
}

/* Twice the longest time without anything that was believed before, but at least CLOCK_GAP_NS. */
static int64_t plausible_gap(const int64_t *known, size_t n, int64_t accepted)
{
    int64_t gap = CLOCK_GAP_NS;
    size_t end = accepted == INT64_MAX ? (n > 1 ? n - 1 : 0) : n;
    for (size_t i = 1; i < end && known[i] <= accepted; i++)
        if (known[i] - known[i - 1] > gap / 2)
            gap = 2 * (known[i] - known[i - 1]);
    return gap;
}

int clock_judge(const struct clock_fact *now, const struct clock_fact *last, const int64_t *known,
                size_t n, struct err *e)
{
    int64_t accepted = last ? last->newest_ns : INT64_MIN;
    if (n > 0 && known[n - 1] > accepted && known[n - 1] > now->now_ns + CLOCK_BEHIND_NS)
        return behind(now->now_ns, known[n - 1], e);
    if (last && last->now_ns > now->now_ns + CLOCK_BEHIND_NS)
        return behind(now->now_ns, last->now_ns, e);
    int rc = compare_boot(now, last, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    int64_t gap = plausible_gap(known, n, last ? accepted : INT64_MAX);
    size_t from = last    ? 0
                  : n > 1 ? n - 2
                          : 0; /* nothing was looked at before: the last two steps */
    int64_t at = last ? last->now_ns : n > 0 ? known[from] : now->now_ns;
    for (size_t i = from; i <= n; i++) {
        int64_t next = i < n ? known[i] : now->now_ns;
        if (next > accepted && next - at > gap)
            return leapt(at, next, e);
        at = next > at ? next : at;
    }
    return 0;
}

/* --- a vault's ------------------------------------------------------------------------------------------------------ */
static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int moments(const struct vault *v, int64_t **ret, size_t *ret_n, struct err *e)
{
    size_t n = v->n_tips;
    for (size_t i = 0; i < v->n_lists; i++)
        n += v->lists[i]->n;
    int64_t *at = calloc(n + 1, sizeof *at);
    if (!at)
        return err_set(e, ERR_NOMEM, _("no memory"));
    n = 0;
    for (size_t i = 0; i < v->n_tips; i++)
        at[n++] = v->tips[i].head->written_ns;
    for (size_t i = 0; i < v->n_lists; i++)
        for (size_t k = 0; k < v->lists[i]->n; k++)
            at[n++] = v->lists[i]->snaps[k].received_ns;
    qsort(at, n, sizeof *at, by_value);
    *ret = at;
    *ret_n = n;
    return 0;
}

static void look_at_clock(struct clock_fact *now)
{
    struct timespec t = { 0 };
    memset(now, 0, sizeof *now);
    now->now_ns = sys_realtime_ns();
    if (clock_gettime(CLOCK_BOOTTIME, &t) == 0)
        now->boot_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    sys_boot_id(now->boot);
}

int clock_check(struct vault *v, bool is_right, struct clock_fact *ret, struct err *e)
{
    struct clock_fact last;
    int64_t *at = NULL;
    size_t n = 0;
    look_at_clock(ret);
    int known = chunkdb_get_meta(v->db, FACT_KEY, &last, sizeof last, e);
    int rc = known < 0 ? known : moments(v, &at, &n, e);
    if (rc < 0)
        return rc;
    ret->newest_ns = n && at[n - 1] > ret->now_ns ? at[n - 1] : ret->now_ns;
    if (!is_right)
        rc = clock_judge(ret, known == (int)sizeof last ? &last : NULL, at, n, e);
    free(at);
    return rc;
}

int clock_accept(struct vault *v, const struct clock_fact *now, struct err *e)
{
    return chunkdb_set_meta(v->db, FACT_KEY, now, sizeof *now, e);
}
