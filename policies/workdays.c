/* workdays.c - which days are working days (PY-7.1, PY-24 h); see policies/workdays.h. */
#include "policies/workdays.h"
#include "lib/base/i18n.h"
#include "policies/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_S 86400
#define MAX_SPAN_DAYS 60 /* of one holiday: more is a slip of the pen */
#define MAX_LOOK_DAYS 3660

struct span {
    int64_t first, last; /* days since 1970-01-01 */
};
struct workdays {
    struct span *off, *on;
    size_t n_off, n_on;
    unsigned *years;
    size_t n_years;
};

/* --- the file as it is -------------------------------------------------------------------------- */
struct raw_holiday {
    char *from, *to, *name;
};
struct raw_workdays {
    char **years, **workdays;
    struct raw_holiday *holidays;
    unsigned n_years, n_workdays, n_holidays;
};
static const cyaml_schema_value_t day_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
static const cyaml_schema_field_t holiday_fields[] = {
    YAML_TEXT("from", struct raw_holiday, from),
    YAML_TEXT_OPT("to", struct raw_holiday, to),
    YAML_TEXT_OPT("name", struct raw_holiday, name),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t holiday_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_holiday, holiday_fields),
};
static const cyaml_schema_field_t workdays_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("years", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_workdays, years, n_years, &day_schema, 0, 100),
    CYAML_FIELD_SEQUENCE_COUNT("holidays", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_workdays, holidays, n_holidays, &holiday_schema, 0,
                               MAX_CONF_ENTRIES),
    CYAML_FIELD_SEQUENCE_COUNT("workdays", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_workdays, workdays, n_workdays, &day_schema, 0,
                               MAX_CONF_ENTRIES),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t workdays_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_workdays, workdays_fields),
};

void workdays_free(struct workdays *w)
{
    if (!w)
        return;
    free(w->off);
    free(w->on);
    free(w->years);
    free(w);
}

static int take_holiday(struct yaml_doc *d, unsigned i, const struct raw_holiday *raw,
                        struct span *ret, struct err *e)
{
    char from[48], to[48];
    int64_t first_s = 0, last_s = 0;
    snprintf(from, sizeof from, "holidays.%u.from", i);
    snprintf(to, sizeof to, "holidays.%u.to", i);
    int rc = yaml_day(d, from, raw->from, &first_s, e);
    last_s = first_s;
    if (rc == 0)
        rc = yaml_day(d, to, raw->to, &last_s, e);
    if (rc == 0 && (last_s < first_s || last_s - first_s > (int64_t)MAX_SPAN_DAYS * DAY_S)) {
        err_set(e, ERR_CONFIG, _("the holiday ends before it begins, or lasts more than %d days"),
                MAX_SPAN_DAYS);
        err_next(e, _("correct from: and to:; both are days off"));
        rc = yaml_mistake(d, from, e);
    }
    *ret = (struct span){ first_s / DAY_S, last_s / DAY_S };
    return rc;
}

static int take_workdays(struct yaml_doc *d, const struct raw_workdays *raw, struct workdays *w,
                         struct err *e)
{
    char path[48];
    int rc = 0;
    w->off = calloc(raw->n_holidays + 1, sizeof *w->off);
    w->on = calloc(raw->n_workdays + 1, sizeof *w->on);
    w->years = calloc(raw->n_years + 1, sizeof *w->years);
    if (!w->off || !w->on || !w->years)
        return conf_out_of_memory(e);
    for (unsigned i = 0; rc == 0 && i < raw->n_holidays; i++)
        rc = take_holiday(d, i, &raw->holidays[i], &w->off[w->n_off++], e);
    for (unsigned i = 0; rc == 0 && i < raw->n_workdays; i++) {
        int64_t s = 0;
        snprintf(path, sizeof path, "workdays.%u", i);
        rc = yaml_day(d, path, raw->workdays[i], &s, e);
        w->on[w->n_on++] = (struct span){ s / DAY_S, s / DAY_S };
    }
    for (unsigned i = 0; rc == 0 && i < raw->n_years; i++) {
        snprintf(path, sizeof path, "years.%u", i);
        rc = yaml_number(d, path, raw->years[i], 1970, 9999, &w->years[w->n_years++], e);
    }
    return rc;
}

int workdays_parse(struct yaml_doc *d, struct workdays **ret, struct err *e)
{
    void *raw = NULL;
    int rc = yaml_load(d, &workdays_schema, &raw, e);
    if (rc < 0)
        return rc;
    struct workdays *w = calloc(1, sizeof *w);
    rc = w ? take_workdays(d, raw, w, e) : conf_out_of_memory(e);
    yaml_free_value(&workdays_schema, raw);
    if (rc < 0)
        workdays_free(w);
    else
        *ret = w;
    return rc;
}

int workdays_load(const struct config_paths *p, struct workdays **ret, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct yaml_doc *d = NULL;
    e = e ? e : &ignored;
    char *file = conf_file(p, "", HOLIDAYS_FILE);
    if (!file)
        return conf_out_of_memory(e);
    int rc = yaml_read(file, &d, e);
    free(file);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        *ret = calloc(1, sizeof **ret);
        return *ret ? 0 : conf_out_of_memory(e);
    }
    if (rc == 0)
        rc = workdays_parse(d, ret, e);
    yaml_close(d);
    return rc;
}

/* --- days ------------------------------------------------------------------------------------------- */
/* The days since 1970 of a date of the Gregorian calendar. */
static int64_t day_number(const struct tm *tm)
{
    struct tm utc = { .tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday };
    return timegm(&utc) / DAY_S;
}

static bool in_spans(const struct span *s, size_t n, int64_t day)
{
    for (size_t i = 0; i < n; i++)
        if (day >= s[i].first && day <= s[i].last)
            return true;
    return false;
}

static bool is_workday(const struct workdays *w, int64_t day)
{
    int64_t weekday = ((day + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday; 0: Sunday */
    if (w && in_spans(w->on, w->n_on, day))
        return true;
    if (w && in_spans(w->off, w->n_off, day))
        return false;
    return weekday != 0 && weekday != 6;
}

static bool local(int64_t at_s, struct tm *ret)
{
    time_t t = (time_t)at_s;
    return localtime_r(&t, ret) != NULL;
}

bool workdays_is(const struct workdays *w, int64_t at_s)
{
    struct tm tm;
    return local(at_s, &tm) && is_workday(w, day_number(&tm));
}

bool workdays_covers(const struct workdays *w, int64_t at_s)
{
    struct tm tm;
    bool known = local(at_s, &tm);
    for (size_t i = 0; known && w && i < w->n_years; i++)
        if (w->years[i] == (unsigned)tm.tm_year + 1900)
            return true;
    return false;
}

int64_t workdays_after(const struct workdays *w, int64_t from_s, unsigned days)
{
    struct tm tm;
    if (!local(from_s, &tm))
        return from_s + (int64_t)days * DAY_S;
    int64_t day = day_number(&tm), at = day;
    bool whole = !is_workday(w, day); /* it begins with the next working day and ends with one */
    unsigned left = days;
    while (left > 0 && at - day < MAX_LOOK_DAYS)
        if (is_workday(w, ++at))
            left--;
    tm.tm_mday += (int)(at - day) + (whole ? 1 : 0);
    if (whole)
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_isdst = -1;
    return mktime(&tm);
}
