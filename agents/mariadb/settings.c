/* settings.c - what a statement's result depends on and no binary log says: a server of ours that does statements again, or is asked questions,
 * gets it as the original had it when it was backed up. What a session had set for itself is known to nobody. */
#include "agents/mariadb/restored.h"
#include "agents/report.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <string.h>

#define MAX_VALUE 200

const char *const my_original_settings[] = {
    "div_precision_increment",
    "default_week_format",
    "group_concat_max_len",
    "default_storage_engine",
    "default_tmp_storage_engine",
    "default_regex_flags",
    "old_mode",
    "explicit_defaults_for_timestamp",
    "updatable_views_with_limit",
    "max_sort_length",
    "max_heap_table_size",
    "max_recursive_iterations",
    "max_sp_recursion_depth",
    "system_versioning_alter_history",
    "character_set_filesystem",
    "ft_min_word_len",
    "ft_max_word_len",
    "innodb_default_row_format",
    "innodb_strict_mode",
    "innodb_file_per_table",
    "innodb_ft_min_token_size",
    "innodb_ft_max_token_size",
    "innodb_ft_enable_stopword",
    NULL,
};

static const char *setting_of(json_t *facts, const char *name)
{
    return json_string_value(json_object_get(json_object_get(facts, "settings"), name));
}

/* It comes from the backup: a word, a number, or a list of words. */
static bool value_ok(const char *v)
{
    static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_,-";
    size_t n = strlen(v);
    return n > 0 && n <= MAX_VALUE && v[0] != '-' && strspn(v, may) == n;
}

/* "+08:00"; a name is one of a table's, and what depends on it has it in the log. */
static bool is_offset(const char *v)
{
    return strlen(v) == 6 && (v[0] == '+' || v[0] == '-') && v[3] == ':' &&
           strspn(v + 1, "0123456789:") == 5;
}

const char *my_zone_of(json_t *facts, int64_t *ret_at_s, long *ret_offset_s)
{
    json_t *o = json_object_get(facts, "zone");
    const char *zone = json_string_value(json_object_get(o, "name"));
    *ret_at_s = json_integer_value(json_object_get(o, "at"));
    *ret_offset_s = (long)json_integer_value(json_object_get(o, "utc_offset_s"));
    return zone && my_zone_ok(zone) ? zone : NULL;
}

void my_original_args(json_t *facts, struct prog *r)
{
    const char *v = setting_of(facts, "time_zone");
    if (v && is_offset(v))
        prog_arg(r, "--default-time-zone=%s", v);
    for (const char *const *name = my_original_settings; *name; name++) {
        v = setting_of(facts, *name);
        if (v && (value_ok(v) || (!v[0] && strcmp(*name, "old_mode") == 0)))
            prog_arg(r, "--loose-%s=%s", *name, v);
    }
}

void my_tell_changed(json_t *one, json_t *two, struct report *report)
{
    for (const char *const *name = my_original_settings; *name; name++) {
        const char *a = setting_of(one, *name), *b = setting_of(two, *name);
        if (a && b && strcmp(a, b) != 0)
            report_problem(report, NULL, 0,
                           _("the server's setting %s was changed from %.200s to %.200s before the "
                             "next backup, and the log does not say when: what was done by "
                             "statements that depend on it may have come out otherwise"),
                           *name, a, b);
    }
}

static int other_zone(const char *zone, struct err *e)
{
    err_set(e, ERR_REFUSED,
            _("the time zone %.60s of the original is not the same on this host: times of "
              "statements in the log would come out wrong"),
            zone);
    return err_next(e,
                    _("install this host's time zones (Debian: tzdata) and try again; or restore "
                      "the backup alone: --no-logs"));
}

/* One that only says how far it was from UTC then. */
static bool is_fixed(const char *zone)
{
    return zone[0] == '<';
}

int my_choose_zone(struct my_restored *x, json_t *logs, struct err *e)
{
    int64_t at_s;
    long offset_s;
    const char *one = my_zone_of(x->facts, &at_s, &offset_s),
               *two = my_zone_of(logs, &at_s, &offset_s);
    if (one && two && (strcmp(one, two) == 0 || is_fixed(two) || is_fixed(one))) {
        x->zone = is_fixed(one) ? two : one;
        if (strcmp(one, two) == 0 || !is_fixed(x->zone))
            return 0;
    }
    if (!one || !two)
        err_set(e, ERR_REFUSED, _("the backup does not say in which time zone the server ran"));
    else
        err_set(e, ERR_REFUSED,
                _("the server's time zone was changed from %s to %s before the next backup, and "
                  "the log does not say when"),
                one, two);
    return err_next(e, _("restore the backup alone: --no-logs"));
}

int my_check_zone(struct my_instance *i, json_t *logs, struct err *e)
{
    json_t *both[2] = { i->x->facts, logs };
    for (size_t k = 0; k < 2; k++) {
        int64_t at_s;
        long wanted, is;
        (void)my_zone_of(both[k], &at_s, &wanted);
        if (my_offset_at(&i->at, at_s, &is, e) < 0)
            return -(int)e->code;
        if (is != wanted)
            return other_zone(i->x->zone, e);
    }
    return 0;
}
