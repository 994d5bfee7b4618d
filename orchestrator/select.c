/* select.c - which snapshot and which moment a person means; see app.h. Times as `systemd-analyze timestamp` takes them,
 * as far as people use it: ISO 8601, words, and spans back from now. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000LL
#define MAX_SPAN_DAYS 400000    /* over a thousand years */
#define MAX_TIME_S 9000000000LL /* of 1970 + 285 years: fits into ns */
#define SOURCE_SUFFIX "/files"

void source_name(const char *policy, char out[MAX_FORMAT_NAME + 1])
{
    snprintf(out, MAX_FORMAT_NAME + 1, "%s%s", policy, SOURCE_SUFFIX);
}

const char *source_policy(const char *source, char out[MAX_FORMAT_NAME + 1])
{
    size_t n = strlen(source), suffix = strlen(SOURCE_SUFFIX);
    bool has = n > suffix && strcmp(source + n - suffix, SOURCE_SUFFIX) == 0;
    snprintf(out, MAX_FORMAT_NAME + 1, "%.*s", (int)(has ? n - suffix : n), source);
    return out;
}

const char *short_id(const struct id *id, char out[SHORT_ID_DIGITS + 1])
{
    hex_encode(id->b, SHORT_ID_DIGITS / 2, out);
    return out;
}

const char *short_time(int64_t ns, char out[32])
{
    time_t s = (time_t)(ns / NS_PER_S - (ns % NS_PER_S < 0));
    struct tm tm;
    if (!localtime_r(&s, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(out, 32, "@%lld", (long long)s);
    return out;
}

/* --- times ------------------------------------------------------------------------------------ */
static int bad_time(const char *text, struct err *e)
{
    err_set(e, ERR_USAGE, _("\"%s\" is not a time"), text);
    return err_next(e, _("write for instance 2026-11-21, \"2026-11-21 02:30\", "
                         "2026-11-21T02:30:00+08:00, now, yesterday, -2h, @1763700000"));
}

/* Up to `digits` digits (and at least `least`) from *at, which moves behind them. */
static bool take_number(const char **at, int least, int digits, int *ret)
{
    int n = 0, v = 0;
    while (n < digits && isdigit((unsigned char)(*at)[n]))
        v = v * 10 + ((*at)[n++] - '0');
    if (n < least)
        return false;
    *at += n;
    *ret = v;
    return true;
}

static bool take_char(const char **at, char c)
{
    if (**at != c)
        return false;
    ++*at;
    return true;
}

/* ".25" -> 250000000 ns; more than nine digits are dropped. */
static bool take_fraction(const char **at, int64_t *ret_ns)
{
    int64_t unit = NS_PER_S;
    *ret_ns = 0;
    if (**at != '.' && **at != ',')
        return true;
    ++*at;
    if (!isdigit((unsigned char)**at))
        return false;
    for (; isdigit((unsigned char)**at); ++*at) {
        unit /= 10;
        *ret_ns += unit * (**at - '0');
    }
    return true;
}

/* HH:MM[:SS[.fraction]] */
static bool take_clock(const char **at, struct tm *tm, int64_t *ret_ns)
{
    *ret_ns = 0;
    if (!take_number(at, 1, 2, &tm->tm_hour) || !take_char(at, ':') ||
        !take_number(at, 2, 2, &tm->tm_min))
        return false;
    if (take_char(at, ':') && (!take_number(at, 2, 2, &tm->tm_sec) || !take_fraction(at, ret_ns)))
        return false;
    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 61;
}

/* Z, UTC, +08:00, +0800, +08; *ret_set false: local time. */
static bool take_offset(const char **at, bool *ret_set, int *ret_s)
{
    int h = 0, m = 0;
    *ret_set = false;
    *ret_s = 0;
    if (**at == ' ' && (*at)[1])
        ++*at;
    if (**at == '\0')
        return true;
    *ret_set = true;
    if (strcmp(*at, "Z") == 0 || strcmp(*at, "UTC") == 0) {
        *at += strlen(*at);
        return true;
    }
    int sign = **at == '-' ? -1 : **at == '+' ? 1 : 0;
    if (!sign)
        return false;
    ++*at;
    if (!take_number(at, 2, 2, &h))
        return false;
    if (**at && ((void)take_char(at, ':'), !take_number(at, 2, 2, &m)))
        return false;
    *ret_s = sign * (h * 3600 + m * 60);
    return h < 24 && m < 60;
}

static bool finish_time(struct tm *tm, bool has_offset, int offset_s, int64_t *ret_s)
{
    struct tm asked = *tm;
    tm->tm_isdst = -1;
    time_t s = has_offset ? timegm(tm) : mktime(tm);
    /* 31 June becomes 1 July: not what was written. */
    if (tm->tm_mon != asked.tm_mon || tm->tm_mday != asked.tm_mday || tm->tm_year != asked.tm_year)
        return false;
    *ret_s = (int64_t)s - offset_s;
    return *ret_s >= 0 && *ret_s <= MAX_TIME_S;
}

static bool iso_time(const char *text, int64_t *ret_s, int64_t *ret_ns)
{
    struct tm tm = { 0 };
    const char *at = text;
    bool has_offset;
    int offset;
    *ret_ns = 0;
    if (!take_number(&at, 4, 4, &tm.tm_year) || !take_char(&at, '-') ||
        !take_number(&at, 2, 2, &tm.tm_mon) || !take_char(&at, '-') ||
        !take_number(&at, 2, 2, &tm.tm_mday))
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (*at && !((*at == 'T' || *at == ' ') && at++ && take_clock(&at, &tm, ret_ns)))
        return false;
    if (!take_offset(&at, &has_offset, &offset) || *at)
        return false;
    return finish_time(&tm, has_offset, offset, ret_s);
}

static int64_t unit_seconds(const char *p, size_t n)
{
    static const struct {
        const char *names;
        int64_t s;
    } units[] = {
        { " s sec second seconds ", 1 }, { " m min minute minutes ", 60 },
        { " h hr hour hours ", 3600 },   { " d day days ", 86400 },
        { " w week weeks ", 7 * 86400 },
    };
    char word[16];
    if (n == 0 || n > sizeof word - 3)
        return 0;
    snprintf(word, sizeof word, " %.*s ", (int)n, p);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strstr(units[i].names, word))
            return units[i].s;
    return 0;
}

/* "2h", "1d 12h", "3 days" to the end of the text. */
static bool span(const char *p, size_t n, int64_t *ret_s)
{
    const char *end = p + n;
    bool any = false;
    *ret_s = 0;
    while (p < end) {
        int64_t v = 0;
        const char *digits = p;
        for (; p < end && isdigit((unsigned char)*p) && v < MAX_TIME_S; p++)
            v = v * 10 + (*p - '0');
        if (p == digits)
            return false;
        while (p < end && *p == ' ')
            p++;
        const char *word = p;
        while (p < end && isalpha((unsigned char)*p))
            p++;
        int64_t unit = unit_seconds(word, (size_t)(p - word));
        if (!unit || v > MAX_SPAN_DAYS * 86400LL / unit)
            return false;
        *ret_s += v * unit;
        while (p < end && *p == ' ')
            p++;
        any = true;
    }
    return any;
}

/* Midnight, so many days from today. */
static int64_t midnight(int days)
{
    time_t now = (time_t)sys_realtime_s();
    struct tm tm;
    if (!localtime_r(&now, &tm))
        return 0;
    tm.tm_mday += days;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm);
}

/* 02:30 of today. */
static bool clock_time(const char *text, int64_t *ret_s, int64_t *ret_ns)
{
    time_t now = (time_t)sys_realtime_s();
    struct tm tm;
    const char *at = text;
    if (!localtime_r(&now, &tm))
        return false;
    tm.tm_sec = 0;
    if (!take_clock(&at, &tm, ret_ns) || *at)
        return false;
    return finish_time(&tm, false, 0, ret_s);
}

static bool unix_time(const char *text, int64_t *ret_s, int64_t *ret_ns)
{
    char *end = NULL;
    if (!isdigit((unsigned char)*text))
        return false;
    long long v = strtoll(text, &end, 10);
    const char *at = end;
    *ret_s = v;
    return v <= MAX_TIME_S && take_fraction(&at, ret_ns) && *at == '\0';
}

static bool relative_time(const char *text, int64_t *ret_s)
{
    size_t n = strlen(text);
    int64_t s;
    bool ok;
    if (text[0] == '-')
        ok = span(text + 1, n - 1, &s);
    else
        ok = n > 4 && strcmp(text + n - 4, " ago") == 0 && span(text, n - 4, &s);
    if (ok)
        *ret_s = sys_realtime_s() - s;
    return ok && *ret_s >= 0;
}

int parse_time(const char *text, int64_t *ret_ns, struct err *e)
{
    int64_t s = 0, ns = 0;
    bool ok = true;
    if (strcmp(text, "now") == 0) {
        *ret_ns = sys_realtime_ns();
        return 0;
    }
    if (strcmp(text, "today") == 0)
        s = midnight(0);
    else if (strcmp(text, "yesterday") == 0)
        s = midnight(-1);
    else if (text[0] == '@')
        ok = unix_time(text + 1, &s, &ns);
    else
        ok = iso_time(text, &s, &ns) || clock_time(text, &s, &ns) || relative_time(text, &s);
    if (!ok)
        return bad_time(text, e);
    *ret_ns = s * NS_PER_S + ns;
    return 0;
}

/* --- places --------------------------------------------------------------------------------------- */
int find_copy(const struct vault *v, const char *place, int *ret, struct err *e)
{
    char places[MAX_COPIES * (MAX_NAME + 2) + 1] = "";
    size_t n = 0;
    for (size_t i = 0; i < v->n_copies; i++) {
        if (strcmp(v->copies[i].place, place) == 0) {
            *ret = (int)i;
            return 0;
        }
        n += (size_t)snprintf(places + n, sizeof places - n, "%s%s", i ? ", " : "",
                              v->copies[i].place);
        if (n >= sizeof places)
            break;
    }
    err_set(e, ERR_USAGE, _("vault \"%s\" has no copy at a place \"%s\""), v->name, place);
    return err_next(e, _("its copies are at: %s"), places);
}

int look_from(const struct vault *v, const char *place, int *ret, struct err *e)
{
    *ret = -1;
    int rc = place ? find_copy(v, place, ret, e) : 0;
    if (rc < 0 || *ret < 0)
        return rc;
    const struct copy *c = &v->copies[*ret];
    if (c->state != COPY_AWAY && c->state != COPY_WRONG)
        return 0;
    if (e)
        *e = c->problem;
    return e ? -(int)e->code : -ERR_UNREACHABLE;
}

/* --- snapshots ----------------------------------------------------------------------------------------- */
struct found {
    const struct snap_ref *ref;
    const char *source;
};

static int none_yet(const struct vault *v, const char *policy, struct err *e)
{
    char name[MAX_FORMAT_NAME + 1], names[400] = "";
    size_t n = 0;
    if (v->n_lists == 0 || !policy) {
        err_set(e, ERR_ABSENT, _("vault \"%s\" holds no backup yet"), v->name);
        return err_next(e, _("make the first one: twofold backup %s"), policy ? policy : "POLICY");
    }
    for (size_t i = 0; i < v->n_lists && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "",
                              source_policy(v->lists[i]->source, name));
    err_set(e, ERR_ABSENT, _("vault \"%s\" holds no backup of policy \"%s\""), v->name, policy);
    return err_next(e, _("there are backups of: %s"), names);
}

static bool of_policy(const struct source_list *l, const char *policy)
{
    char source[MAX_FORMAT_NAME + 1];
    if (!policy)
        return true;
    source_name(policy, source);
    return strcmp(l->source, source) == 0 || strcmp(l->source, policy) == 0;
}

/* The newest not after `until` of this state (whole or partial); what is in quarantine is never taken by itself. */
static struct found newest(const struct vault *v, const char *policy, int64_t until, uint8_t state)
{
    struct found best = { NULL, NULL };
    for (size_t i = 0; i < v->n_lists; i++) {
        if (!of_policy(v->lists[i], policy))
            continue;
        for (size_t k = 0; k < v->lists[i]->n; k++) {
            const struct snap_ref *r = &v->lists[i]->snaps[k];
            if (r->state != state || (r->flags & SNAPSHOT_QUARANTINE) || r->received_ns > until)
                continue;
            if (!best.ref || r->received_ns >= best.ref->received_ns)
                best = (struct found){ r, v->lists[i]->source };
        }
    }
    return best;
}

static int newest_good(struct app *app, struct vault *v, const char *policy, int64_t until,
                       struct found *ret, struct err *e)
{
    char id[SHORT_ID_DIGITS + 1], when[32];
    struct found whole = newest(v, policy, until, SNAPSHOT_WHOLE);
    struct found partial = newest(v, policy, until, SNAPSHOT_PARTIAL);
    if (!whole.ref && !partial.ref) {
        if (until == INT64_MAX || !newest(v, policy, INT64_MAX, SNAPSHOT_WHOLE).ref)
            return none_yet(v, policy, e);
        err_set(e, ERR_ABSENT, _("there is no backup from before %s"), ui_time(until, when));
        return err_next(e, _("see which there are: twofold snapshots"));
    }
    *ret = whole.ref ? whole : partial;
    if (!partial.ref || (whole.ref && whole.ref->received_ns > partial.ref->received_ns))
        return 0;
    short_id(&partial.ref->ref.id, id);
    ui_time(partial.ref->received_ns, when);
    if (whole.ref)
        ui_warn(&app->ui, _("snapshot %s of %s is newer, but not whole; to use it, name it"), id,
                when);
    else
        ui_warn(&app->ui,
                _("there is no whole backup; this is snapshot %s of %s, which is not whole"), id,
                when);
    return 0;
}

static bool starts_with(const struct id *id, const char *digits)
{
    char hex[ID_HEX_BYTES];
    return strncasecmp(id_hex(id, hex), digits, strlen(digits)) == 0;
}

static int by_id(struct vault *v, const char *policy, const char *digits, struct found *ret,
                 struct err *e)
{
    struct found hit = { NULL, NULL };
    char name[MAX_FORMAT_NAME + 1];
    size_t n = 0;
    for (size_t i = 0; i < v->n_lists; i++)
        for (size_t k = 0; k < v->lists[i]->n; k++)
            if (starts_with(&v->lists[i]->snaps[k].ref.id, digits)) {
                hit = (struct found){ &v->lists[i]->snaps[k], v->lists[i]->source };
                n++;
            }
    if (n == 0) {
        err_set(e, ERR_ABSENT, _("there is no snapshot whose id begins with %s"), digits);
        return err_next(e, _("see which there are: twofold snapshots"));
    }
    if (n > 1) {
        err_set(e, ERR_USAGE, _("the ids of %zu snapshots begin with %s"), n, digits);
        return err_next(e, _("give more digits: twofold --json snapshots shows them all"));
    }
    if (policy) {
        char source[MAX_FORMAT_NAME + 1];
        source_name(policy, source);
        if (strcmp(hit.source, source) != 0) {
            err_set(e, ERR_USAGE, _("snapshot %s is of policy \"%s\", not of \"%s\""), digits,
                    source_policy(hit.source, name), policy);
            return err_next(e, _("see which there are: twofold snapshots %s"), policy);
        }
    }
    *ret = hit;
    return 0;
}

static bool is_id_prefix(const char *s)
{
    size_t n = strspn(s, "0123456789abcdefABCDEF");
    return s[n] == '\0' && n >= SHORT_ID_DIGITS && n < ID_HEX_BYTES;
}

/* POLICY@TIME */
static int by_time(struct app *app, struct vault *v, const char *policy, const char *text,
                   struct found *ret, struct err *e)
{
    char name[MAX_FORMAT_NAME + 1];
    const char *at = strchr(text, '@');
    size_t n = (size_t)(at - text);
    int64_t until = 0;
    if (n > MAX_FORMAT_NAME)
        n = MAX_FORMAT_NAME; /* no policy has such a name */
    memcpy(name, text, n);
    name[n] = '\0';
    if (n == 0 && !policy) {
        err_set(e, ERR_USAGE, _("the policy before the @ is missing"));
        return err_next(e, _("write POLICY@TIME, for instance: etc@yesterday"));
    }
    if (n > 0 && policy && strcmp(name, policy) != 0) {
        err_set(e, ERR_USAGE, _("policy \"%s\" is asked for, but the snapshot says \"%s\""), policy,
                name);
        return err_next(e, _("write %s@TIME, or ask for policy \"%s\""), policy, name);
    }
    int rc = parse_time(at + 1, &until, e);
    return rc < 0 ? rc : newest_good(app, v, n ? name : policy, until, ret, e);
}

int app_find_snapshot(struct app *app, struct vault *v, const char *policy, const char *snapshot,
                      const struct snap_ref **ret, const char **ret_source, struct err *e)
{
    struct found f = { NULL, NULL };
    int rc;
    if (!snapshot || strcmp(snapshot, "latest") == 0) {
        rc = newest_good(app, v, policy, INT64_MAX, &f, e);
    } else if (strchr(snapshot, '@')) {
        rc = by_time(app, v, policy, snapshot, &f, e);
    } else if (is_id_prefix(snapshot)) {
        rc = by_id(v, policy, snapshot, &f, e);
    } else {
        rc = err_set(e, ERR_USAGE, _("\"%s\" does not name a snapshot"), snapshot);
        err_next(e,
                 _("give 8 or more digits of an id (twofold snapshots), latest, or POLICY@TIME"));
    }
    if (rc < 0)
        return err_wrap(e, _("snapshot %s"), snapshot ? snapshot : "latest");
    *ret = f.ref;
    if (ret_source)
        *ret_source = f.source;
    return 0;
}
