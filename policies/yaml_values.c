/* yaml_values.c - values in configuration files that are not plain texts, read and written (yaml.h). */
#include "policies/yaml.h"
#include "lib/base/i18n.h"
#include "policies/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MAX_DURATION_S ((uint64_t)3650 * 86400)
#define MAX_SIZE_BYTES ((uint64_t)1 << 50)

/* --- reading ------------------------------------------------------------------------------------------ */
static const char *last_key(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

int yaml_bool(struct yaml_doc *d, const char *path, const char *text, bool *ret, struct err *e)
{
    static const char *const words[2][3] = { { "false", "no", "off" }, { "true", "yes", "on" } };
    if (!text)
        return 0;
    for (int v = 0; v < 2; v++)
        for (int i = 0; i < 3; i++)
            if (strcmp(text, words[v][i]) == 0) {
                *ret = v == 1;
                return 0;
            }
    err_set(e, ERR_CONFIG, _("\"%s\" is \"%s\", which is neither true nor false"), last_key(path),
            text);
    err_next(e, _("write %s: true or %s: false"), last_key(path), last_key(path));
    return yaml_mistake(d, path, e);
}

/* Decimal digits only, and at least one; returns what follows them, or NULL. */
static const char *digits(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++) {
        if (v > max / 10)
            return NULL;
        v = v * 10 + (uint64_t)(*c - '0');
        if (v > max)
            return NULL;
    }
    *ret = v;
    return c == text ? NULL : c;
}

int yaml_number(struct yaml_doc *d, const char *path, const char *text, unsigned min, unsigned max,
                unsigned *ret, struct err *e)
{
    uint64_t v = 0;
    if (!text)
        return 0;
    const char *end = digits(text, max, &v);
    if (end && *end == '\0' && v >= min) {
        *ret = (unsigned)v;
        return 0;
    }
    err_set(e, ERR_CONFIG, _("\"%s\" is \"%s\", which is not a number from %u to %u"),
            last_key(path), text, min, max);
    err_next(e, _("write a whole number from %u to %u"), min, max);
    return yaml_mistake(d, path, e);
}

int yaml_uint(struct yaml_doc *d, const char *path, const char *text, unsigned max, unsigned *ret,
              struct err *e)
{
    return yaml_number(d, path, text, 1, max, ret, e);
}

static const struct {
    char letter;
    uint64_t seconds;
} units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };

bool duration_parse(const char *text, uint64_t *ret_s)
{
    uint64_t v = 0;
    const char *end = digits(text, MAX_DURATION_S, &v);
    for (size_t i = 0; end && v > 0 && i < sizeof units / sizeof *units; i++)
        if (end[0] == units[i].letter && end[1] == '\0' && v <= MAX_DURATION_S / units[i].seconds) {
            *ret_s = v * units[i].seconds;
            return true;
        }
    return false;
}

int yaml_duration(struct yaml_doc *d, const char *path, const char *text, uint64_t *ret_s,
                  struct err *e)
{
    if (!text || duration_parse(text, ret_s))
        return 0;
    err_set(e, ERR_CONFIG, _("\"%s\" is \"%s\", which is not a duration"), last_key(path), text);
    err_next(e, _("write a number and s, m, h or d: 90s, 15m, 26h, 7d (at most 3650d)"));
    return yaml_mistake(d, path, e);
}

int yaml_day(struct yaml_doc *d, const char *path, const char *text, int64_t *ret_s, struct err *e)
{
    struct tm tm = { 0 }, back;
    if (!text)
        return 0;
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    bool ok = end && !*end && strlen(text) == strlen("2026-10-01") && tm.tm_year >= 70;
    struct tm asked = tm;
    time_t t = ok ? timegm(&tm) : 0;
    if (ok && gmtime_r(&t, &back) && back.tm_mon == asked.tm_mon && back.tm_mday == asked.tm_mday) {
        *ret_s = t;
        return 0;
    }
    err_set(e, ERR_CONFIG, _("\"%s\" is not a day"), text);
    err_next(e, _("write year, month and day: 2026-10-01"));
    return yaml_mistake(d, path, e);
}

static const struct {
    const char *name;
    unsigned shift;
} size_units[] = { { "TiB", 40 }, { "GiB", 30 }, { "MiB", 20 }, { "KiB", 10 }, { "", 0 } };

bool size_parse(const char *text, uint64_t *ret)
{
    uint64_t v = 0;
    const char *end = digits(text, MAX_SIZE_BYTES, &v);
    for (size_t i = 0; end && v > 0 && i < sizeof size_units / sizeof *size_units; i++)
        if (strcmp(end, size_units[i].name) == 0 && v <= MAX_SIZE_BYTES >> size_units[i].shift) {
            *ret = v << size_units[i].shift;
            return true;
        }
    return false;
}

int yaml_size(struct yaml_doc *d, const char *path, const char *text, uint64_t *ret, struct err *e)
{
    if (!text || size_parse(text, ret))
        return 0;
    err_set(e, ERR_CONFIG, _("\"%s\" is \"%s\", which is not a number of bytes"), last_key(path),
            text);
    err_next(e, _("write a whole number and KiB, MiB, GiB or TiB, or bytes alone: 500KiB, 20MiB"));
    return yaml_mistake(d, path, e);
}

int yaml_choice(struct yaml_doc *d, const char *path, const char *text, const char *const words[],
                unsigned *ret, struct err *e)
{
    char list[200] = "";
    if (!text)
        return 0;
    for (unsigned i = 0; words[i]; i++) {
        size_t n = strlen(list);
        if (strcmp(words[i], text) == 0) {
            *ret = i;
            return 0;
        }
        snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", words[i]);
    }
    err_set(e, ERR_CONFIG, _("\"%s\" is \"%s\", which is none of: %s"), last_key(path), text, list);
    err_next(e, _("write one of: %s"), list);
    return yaml_mistake(d, path, e);
}

int yaml_copy(struct yaml_doc *d, const char *path, const char *text, char **ret, struct err *e)
{
    if (!text)
        return 0;
    if (!*text) {
        err_set(e, ERR_CONFIG, _("\"%s\" says nothing"), last_key(path));
        err_next(e, _("write what it is, or remove the line"));
        return yaml_mistake(d, path, e);
    }
    char *copy = strdup(text);
    if (!copy)
        return err_set(e, ERR_NOMEM, _("no memory"));
    free(*ret);
    *ret = copy;
    return 0;
}

/* --- writing ------------------------------------------------------------------------------------------- */
/* The length of the UTF-8 character at c, and its number; 0 when it is not one. */
static size_t utf8_char(const unsigned char *c, uint32_t *ret)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {
        { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 }
    };
    for (size_t n = 0; n < 4; n++) {
        if ((c[0] & forms[n].mask) != forms[n].lead)
            continue;
        uint32_t v = c[0] & (unsigned char)~forms[n].mask;
        for (size_t i = 1; i <= n; i++) {
            if ((c[i] & 0xc0) != 0x80)
                return 0;
            v = v << 6 | (c[i] & 0x3f);
        }
        *ret = v;
        return v < forms[n].least || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : n + 1;
    }
    return 0;
}

/* Words that mean something to YAML's readers are quoted even though ours would not mind. */
static bool is_plain(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char others[] = "0123456789/._+-";
    static const char *const words[] = {
        "true", "false", "yes", "no", "on", "off", "null", "y", "n"
    };
    if (text[0] != '/' && (!text[0] || !strchr(letters, text[0])))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    for (const char *c = text; *c; c++)
        if (!strchr(letters, *c) && !strchr(others, *c))
            return false;
    return true;
}

/* What YAML lets stand in double quotes as it is, and a person can see. */
static bool is_printable(uint32_t v)
{
    if (v < 0x20 || (v >= 0x7f && v < 0xa0) || v == 0x2028 || v == 0x2029 || v == 0xfeff)
        return false;
    return (v & 0xfffe) != 0xfffe;
}

static void put_string(struct wbuf *w, const char *text)
{
    wb_bytes(w, text, strlen(text));
}

static int put_quoted(struct wbuf *w, const char *text, struct err *e)
{
    const unsigned char *c = (const unsigned char *)text;
    char escape[16];
    wb_u8(w, '"');
    while (*c) {
        uint32_t v = 0;
        size_t n = utf8_char(c, &v);
        if (n == 0 || v == '\n' || v == '\r') {
            err_set(e, ERR_CONFIG,
                    n == 0 ? _("its bytes are not UTF-8, which YAML cannot hold")
                           : _("it holds a line break"));
            err_next(e, _("name a folder above it instead, or rename it"));
            return err_wrap(e, "\"%s\"", text);
        }
        if (v == '"' || v == '\\')
            wb_u8(w, '\\');
        if (is_printable(v)) {
            wb_bytes(w, c, n);
        } else {
            snprintf(escape, sizeof escape, "\\U%08X", (unsigned)v);
            put_string(w, escape);
        }
        c += n;
    }
    wb_u8(w, '"');
    return 0;
}

int yaml_put(struct wbuf *w, const char *text, struct err *e)
{
    if (!is_plain(text))
        return put_quoted(w, text, e);
    put_string(w, text);
    return 0;
}

void yaml_put_duration(struct wbuf *w, uint64_t s)
{
    char text[32];
    size_t i = 0;
    /* 26h rather than 93600s, but 48h rather than 2d: hours are what people say of a nightly run. */
    while (s % units[i].seconds != 0 || (units[i].letter == 'd' && s < 3 * units[i].seconds))
        i++;
    snprintf(text, sizeof text, "%llu%c", (unsigned long long)(s / units[i].seconds),
             units[i].letter);
    put_string(w, text);
}

void yaml_put_size(struct wbuf *w, uint64_t bytes)
{
    char text[32];
    size_t i = 0;
    while (bytes & (((uint64_t)1 << size_units[i].shift) - 1))
        i++;
    snprintf(text, sizeof text, "%llu%s", (unsigned long long)(bytes >> size_units[i].shift),
             size_units[i].name);
    put_string(w, text);
}
