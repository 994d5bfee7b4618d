/* ui.c - results, findings and errors for people and scripts; see ui.h. */
#include "orchestrator/ui.h"
#include "lib/base/i18n.h"
#include "lib/base/id.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_COLUMNS 80
#define HANG 2 /* a line that was broken goes on so much deeper */
#define NS_PER_S 1000000000LL

void ui_init(struct ui *ui)
{
    struct winsize w;
    const char *term = getenv("TERM");
    memset(ui, 0, sizeof *ui);
    ui->tty = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
    ui->columns = DEFAULT_COLUMNS;
    if (ui->tty && ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
        ui->columns = w.ws_col;
    if (isatty(STDOUT_FILENO))
        ui->out_columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0
                              ? w.ws_col
                              : DEFAULT_COLUMNS;
}

/* --- JSON ------------------------------------------------------------------------------------- */
void ui_json(struct ui *ui, json_t *o)
{
    if (ui->json && o) {
        if (ui->command)
            json_object_set_new(o, "command", json_string(ui->command));
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(o);
}

json_t *ui_json_text(const char *p, size_t n)
{
    if (text_is_utf8(p, n))
        return json_stringn(p, n);
    char *shown = text_clean(p, n, true);
    json_t *s = json_string(shown);
    if (!s) { /* the locale prints what is not UTF-8 */
        for (char *c = shown; *c; c++)
            *c = (unsigned char)*c < 0x80 ? *c : '?';
        s = json_string(shown);
    }
    free(shown);
    return s;
}

static void json_set_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, ui_json_text(text, strlen(text)));
}

void ui_json_path(json_t *o, const char *path, size_t len)
{
    json_object_set_new(o, "path", ui_json_text(path, len));
    if (text_is_utf8(path, len))
        return;
    char *hex = malloc(2 * len + 1);
    if (!hex)
        return;
    hex_encode(path, len, hex);
    json_object_set_new(o, "path_hex", json_string(hex));
    free(hex);
}

/* --- errors, findings, warnings ---------------------------------------------------------------------- */
/* Scripts get the line as it is; on a terminal it is broken between words. */
static void print_line(const struct ui *ui, const char *line, size_t hang)
{
    if (ui->tty && ui->columns > 2 * hang)
        text_put_line(stderr, line, hang, ui->columns);
    else
        fprintf(stderr, "%s\n", line);
}

/* A line for stderr: nothing in it can move the cursor or begin another line. */
static void print_clean(struct ui *ui, const char *label, const char *text)
{
    char *clean = text_clean(text, strlen(text), false);
    char *line = text_print("%s%s", label, clean);
    print_line(ui, line, text_width(label));
    free(line);
    free(clean);
}

static void error_json(struct ui *ui, const struct err *e, const char *next)
{
    const struct err_info *info = err_info(e->code);
    json_t *o = json_pack("{s:s, s:s, s:i, s:b}", "type", "error", "code", info->name, "exit",
                          info->exit_status, "retry", info->retry);
    if (!o)
        return;
    json_set_text(o, "what", e->what);
    json_set_text(o, "why", e->why);
    json_set_text(o, "next", next);
    if (e->sys)
        json_object_set_new(o, "errno", json_integer(e->sys));
    ui_json(ui, o);
    fflush(stdout);
}

int ui_error(struct ui *ui, const struct err *e)
{
    const struct err_info *info = err_info(e->code);
    const char *next = e->next[0] ? e->next : _(info->next);
    ui_progress_end(ui);
    ui->last = *e;
    if (ui->json) {
        error_json(ui, e, next);
        return info->exit_status;
    }
    fflush(stdout); /* what came before stands before */
    print_clean(ui, "twofold: ", e->what[0] ? e->what : ui->command ? ui->command : _("failed"));
    print_clean(ui, _("  why:  "), e->why[0] ? e->why : _("not known"));
    print_clean(ui, _("  next: "), next);
    return info->exit_status;
}

void ui_note(struct ui *ui, bool problem, const char *path, size_t path_len, const char *text,
             size_t text_len)
{
    if (ui->json) {
        json_t *o = json_pack("{s:s}", "type", problem ? "problem" : "note");
        if (!o)
            return;
        if (path_len)
            ui_json_path(o, path, path_len);
        json_object_set_new(o, "text", ui_json_text(text, text_len));
        ui_json(ui, o);
        return;
    }
    if (ui->quiet && !problem)
        return;
    ui_progress_end(ui);
    char *p = ui_path(path, path_len), *t = text_clean(text, text_len, false);
    char *line = text_print("%s%s%s", p, path_len ? ": " : "", t);
    print_line(ui, line, HANG);
    free(line);
    free(p);
    free(t);
}

void ui_warn(struct ui *ui, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if (ui->json) {
        json_t *o = json_pack("{s:s}", "type", "warning");
        if (o) {
            json_set_text(o, "text", text);
            ui_json(ui, o);
        }
    } else {
        ui_progress_end(ui);
        fflush(stdout);
        print_clean(ui, _("twofold: warning: "), text);
    }
    free(text);
}

void ui_line(struct ui *ui, const char *fmt, ...)
{
    va_list ap;
    if (ui->json || ui->quiet)
        return;
    ui_progress_end(ui);
    va_start(ap, fmt);
    char *line = NULL;
    int n = vasprintf(&line, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    for (char *at = line, *next = line; next; at = next) {
        if ((next = strchr(at, '\n')))
            *next++ = '\0';
        size_t hang = strspn(at, " ") + HANG;
        if (ui->out_columns > 2 * hang)
            text_put_line(stdout, at, hang, ui->out_columns);
        else
            puts(at);
    }
    free(line);
}

/* --- values ------------------------------------------------------------------------------------------ */
char *ui_path(const char *path, size_t len)
{
    return text_clean(path, len, true);
}

const char *ui_bytes(uint64_t n, char buf[32])
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    if (n < 1024) {
        snprintf(buf, 32, "%u B", (unsigned)n);
        return buf;
    }
    double v = (double)n / 1024;
    size_t u = 0;
    while (v >= 1023.95 && u + 1 < sizeof units / sizeof *units) {
        v /= 1024;
        u++;
    }
    snprintf(buf, 32, v < 99.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
    return buf;
}

const char *ui_age(int64_t s, char buf[64])
{
    if (s < 0)
        s = 0;
    int64_t days = s / 86400, hours = s / 3600, minutes = s / 60;
    char d[40];
    if (s < 60) {
        snprintf(buf, 64, _("%d s"), (int)s);
    } else if (minutes < 60) {
        snprintf(buf, 64, _("%d min"), (int)minutes);
    } else if (days < 2) {
        if (minutes % 60)
            snprintf(buf, 64, _("%d h %d min"), (int)hours, (int)(minutes % 60));
        else
            snprintf(buf, 64, _("%d h"), (int)hours);
    } else {
        snprintf(d, sizeof d, P_("%" PRId64 " day", "%" PRId64 " days", days), days);
        if (hours % 24 && days < 10)
            snprintf(buf, 64, _("%s %d h"), d, (int)(hours % 24));
        else
            snprintf(buf, 64, "%s", d);
    }
    return buf;
}

const char *ui_time(int64_t ns, char buf[32])
{
    time_t s = (time_t)(ns / NS_PER_S - (ns % NS_PER_S < 0));
    struct tm tm;
    size_t n = localtime_r(&s, &tm) ? strftime(buf, 32, "%Y-%m-%dT%H:%M:%S%z", &tm) : 0;
    if (n < 5 || n > 30) {
        snprintf(buf, 32, "@%lld", (long long)s);
        return buf;
    }
    memmove(buf + n - 1, buf + n - 2, 3); /* +0800 -> +08:00 */
    buf[n - 2] = ':';
    return buf;
}
