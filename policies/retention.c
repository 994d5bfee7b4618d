/* retention.c - keep or drop, and why; see retention.h. */
#include "policies/retention.h"
#include "lib/base/i18n.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000LL
#define BUCKET_BYTES 40

static const struct {
    enum retention_rule rule;
    const char *name;
} rule_names[] = {
    { KEPT_HOLD, "hold" },       { KEPT_LAST_GOOD, "last-good" },
    { KEPT_FLOOR, "floor" },     { KEPT_WITHIN, "within" },
    { KEPT_LAST, "last" },       { KEPT_HOURLY, "hourly" },
    { KEPT_DAILY, "daily" },     { KEPT_WEEKLY, "weekly" },
    { KEPT_MONTHLY, "monthly" }, { KEPT_YEARLY, "yearly" },
    { KEPT_NEWEST, "newest" },   { KEPT_FUTURE, "future" },
    { KEPT_UNDATED, "undated" }, { KEPT_ALL, "all" },
};

const char *retention_rule_name(enum retention_rule rule)
{
    for (size_t i = 0; i < sizeof rule_names / sizeof *rule_names; i++)
        if (rule_names[i].rule == rule)
            return rule_names[i].name;
    return "";
}

static void keep(struct retained *s, enum retention_rule rule, const char *why)
{
    size_t n = strlen(s->why);
    if (s->rules & rule)
        return;
    s->rules |= rule;
    snprintf(s->why + n, sizeof s->why - n, "%s%s", n ? ", " : "", why);
}

/* Rounds down, also before 1970. */
static int64_t whole_seconds(int64_t ns)
{
    return ns / NS_PER_S - (ns % NS_PER_S < 0);
}

/* What names the bucket that a snapshot falls into; two are in one bucket when these are equal. */
static void bucket_name(enum retention_rule rule, int64_t received_ns, char out[BUCKET_BYTES])
{
    time_t s = (time_t)whole_seconds(received_ns);
    struct tm tm;
    size_t n = 0;
    if (localtime_r(&s, &tm))
        n = rule == KEPT_HOURLY    ? strftime(out, BUCKET_BYTES, "%Y-%m-%d %H:00%z", &tm)
            : rule == KEPT_DAILY   ? strftime(out, BUCKET_BYTES, "%Y-%m-%d", &tm)
            : rule == KEPT_WEEKLY  ? strftime(out, BUCKET_BYTES, "%G-W%V", &tm)
            : rule == KEPT_MONTHLY ? strftime(out, BUCKET_BYTES, "%Y-%m", &tm)
                                   : strftime(out, BUCKET_BYTES, "%Y", &tm);
    if (n == 0)
        snprintf(out, BUCKET_BYTES, "@%lld", (long long)received_ns); /* by itself */
}

static void keep_newest(struct retained *s, enum retention_rule rule, const char *bucket)
{
    char why[80];
    const char *word = rule == KEPT_HOURLY    ? _("hourly")
                       : rule == KEPT_DAILY   ? _("daily")
                       : rule == KEPT_WEEKLY  ? _("weekly")
                       : rule == KEPT_MONTHLY ? _("monthly")
                                              : _("yearly");
    snprintf(why, sizeof why, "%s %.16s", word, bucket); /* without an hour's zone */
    keep(s, rule, why);
}

/* From the newest bucket back: `want` of those that hold a whole one; between them, at most as many that hold none. Those in
 * quarantine are a line by themselves, in which all are alike. */
static void keep_buckets(struct retained *s, size_t n, enum retention_rule rule, unsigned want,
                         bool quarantine)
{
    unsigned wholes = 0, partials = 0;
    for (size_t i = n; i > 0 && wholes < want;) {
        char bucket[BUCKET_BYTES], other[BUCKET_BYTES];
        struct retained *whole = NULL, *any = NULL;
        bucket_name(rule, s[i - 1].received_ns, bucket);
        do {
            struct retained *r = &s[--i];
            if (r->quarantine == quarantine) {
                any = any ? any : r;
                whole = !whole && (r->whole || quarantine) ? r : whole;
            }
            if (i > 0)
                bucket_name(rule, s[i - 1].received_ns, other);
        } while (i > 0 && strcmp(bucket, other) == 0);
        if (whole)
            wholes++;
        else if (any)
            any = partials++ < want ? any : NULL;
        if (any)
            keep_newest(whole ? whole : any, rule, bucket);
    }
}

/* As above, each snapshot being a bucket. */
static void keep_last(struct retained *s, size_t n, unsigned want, bool quarantine)
{
    unsigned wholes = 0, partials = 0;
    char why[40];
    snprintf(why, sizeof why, _("last %u"), want);
    for (size_t i = n; i-- > 0 && wholes < want;) {
        if (s[i].quarantine != quarantine)
            continue;
        bool whole = s[i].whole || quarantine;
        if (whole)
            wholes++;
        if (whole || partials++ < want)
            keep(&s[i], KEPT_LAST, why);
    }
}

static void keep_younger(struct retained *s, size_t n, int64_t from_ns, uint64_t span_s,
                         enum retention_rule rule, const char *why)
{
    int64_t span_ns = span_s < (uint64_t)(INT64_MAX / NS_PER_S) ? (int64_t)span_s * NS_PER_S
                                                                : INT64_MAX;
    int64_t oldest = from_ns < INT64_MIN + span_ns ? INT64_MIN : from_ns - span_ns;
    for (size_t i = 0; i < n; i++)
        if (s[i].received_ns >= oldest)
            keep(&s[i], rule, why);
}

static void keep_within(struct retained *s, size_t n, int64_t from_ns, uint64_t span_s)
{
    char why[48], span[24];
    bool days = span_s % 86400 == 0, hours = span_s % 3600 == 0;
    snprintf(span, sizeof span, "%llu%s",
             (unsigned long long)(days    ? span_s / 86400
                                  : hours ? span_s / 3600
                                          : span_s),
             days    ? "d"
             : hours ? "h"
                     : "s");
    snprintf(why, sizeof why, _("within %s"), span);
    keep_younger(s, n, from_ns, span_s, KEPT_WITHIN, why);
}

/* Not asked of any rule. */
static void keep_always(enum policy_class class, int64_t from_ns, struct retained *s, size_t n)
{
    bool newest = true;
    for (size_t i = n; i-- > 0;) {
        if (s[i].quarantine)
            continue;
        if (s[i].whole) {
            keep(&s[i], KEPT_LAST_GOOD, _("last good one"));
            break;
        }
        if (newest)
            keep(&s[i], KEPT_NEWEST, _("newest"));
        newest = false;
    }
    if (class == CLASS_LOGS)
        keep_younger(s, n, from_ns, LOGS_FLOOR_S, KEPT_FLOOR, _("floor of class logs"));
}

static bool any_rule(const struct retention *r)
{
    return r->last || r->hourly || r->daily || r->weekly || r->monthly || r->yearly || r->within_s;
}

bool retention_is_set(const struct retention *r, enum policy_class class)
{
    return any_rule(r) || class == CLASS_LOGS;
}

static bool in_future(int64_t received_ns, int64_t now_ns)
{
    return now_ns < INT64_MAX - RETENTION_FUTURE_NS && received_ns > now_ns + RETENTION_FUTURE_NS;
}

void retention_apply(const struct retention *r, enum policy_class class, int64_t now_ns,
                     struct retained *snaps, size_t n)
{
    struct retention own = *r;
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || snaps[i - 1].received_ns <= snaps[i].received_ns);
        snaps[i].rules = 0;
        snaps[i].why[0] = '\0';
        if (snaps[i].hold)
            keep(&snaps[i], KEPT_HOLD, _("hold"));
    }
    for (; n > 0 && in_future(snaps[n - 1].received_ns, now_ns); n--)
        keep(&snaps[n - 1], KEPT_FUTURE, _("received in the future"));
    if (n == 0)
        return;
    for (size_t i = 1; i < n; i++)
        if (snaps[i].received_ns == snaps[i - 1].received_ns + 1)
            keep(&snaps[i], KEPT_UNDATED, _("its time is not known: the clock was behind"));
    int64_t from_ns = snaps[n - 1].received_ns < now_ns ? snaps[n - 1].received_ns : now_ns;
    keep_always(class, from_ns, snaps, n);
    if (!any_rule(r) && class == CLASS_LOGS)
        own.within_s = LOGS_DEFAULT_S;
    for (int quarantine = 0; quarantine < 2; quarantine++) {
        keep_last(snaps, n, own.last, quarantine);
        keep_buckets(snaps, n, KEPT_HOURLY, own.hourly, quarantine);
        keep_buckets(snaps, n, KEPT_DAILY, own.daily, quarantine);
        keep_buckets(snaps, n, KEPT_WEEKLY, own.weekly, quarantine);
        keep_buckets(snaps, n, KEPT_MONTHLY, own.monthly, quarantine);
        keep_buckets(snaps, n, KEPT_YEARLY, own.yearly, quarantine);
    }
    if (own.within_s)
        keep_within(snaps, n, from_ns, own.within_s);
    for (size_t i = 0; !any_rule(&own) && i < n; i++)
        keep(&snaps[i], KEPT_ALL, _("the policy has no retention"));
}
