/* look.c - what the commands that look inside a backup share; see look.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void look_gap(void *ctx, const struct err *why)
{
    struct gaps *gaps = ctx;
    char *text = text_print("%s (%s)", why->what, why->why);
    if (why->code == ERR_UNREACHABLE)
        gaps->away++;
    else
        gaps->lost++;
    ui_note(&gaps->app->ui, true, NULL, 0, text, strlen(text));
    free(text);
}

int look_gaps_status(const struct gaps *gaps, const char *what)
{
    struct err e = ERR_INIT;
    if (gaps->lost > 0) {
        err_set(&e, ERR_DAMAGED,
                P_("%" PRIu64 " part of the backup is lost; it is named above",
                   "%" PRIu64 " parts of the backup are lost; they are named above", gaps->lost),
                gaps->lost);
    } else if (gaps->away > 0) {
        err_set(&e, ERR_PARTIAL,
                P_("%" PRIu64
                   " part of the backup could not be read: a copy that may have it is away",
                   "%" PRIu64
                   " parts of the backup could not be read: a copy that may have them is away",
                   gaps->away),
                gaps->away);
        err_next(&e, _("see which copy is away: twofold status; then run the same command again"));
    } else {
        return 0;
    }
    err_wrap(&e, "%s", what);
    return ui_error(&gaps->app->ui, &e);
}

int look_go_on(void)
{
    return ferror(stdout) || sys_interrupted() ? 1 : 0;
}

char *look_path(const char *path, size_t len)
{
    bool absolute = len > 0 && path[0] == '/';
    char *clean = ui_path(path, len), *whole = text_print("%s%s", absolute ? "" : "/", clean);
    free(clean);
    return whole;
}

void look_json_path(json_t *o, const char *path, size_t len)
{
    size_t slash = len > 0 && path[0] == '/' ? 0 : 1;
    char *whole = malloc(len + 2);
    if (!whole)
        return;
    whole[0] = '/';
    memcpy(whole + slash, path, len);
    ui_json_path(o, whole, len + slash);
    free(whole);
}

/* reader_each has one context for both of its callbacks. */
struct walk {
    entry_fn *fn;
    void *ctx;
    struct gaps *gaps;
};

static int walk_entry(void *ctx, const struct entry *en)
{
    struct walk *w = ctx;
    return w->fn(w->ctx, en);
}

static void walk_gap(void *ctx, const struct err *why)
{
    struct walk *w = ctx;
    look_gap(w->gaps, why);
}

int look_walk(struct view *view, const struct select *sel, entry_fn *fn, void *ctx,
              struct gaps *gaps, struct err *e)
{
    struct walk w = { .fn = fn, .ctx = ctx, .gaps = gaps };
    uint64_t n = 0;
    int rc = reader_each(&view->src, view->body, sel, walk_entry, walk_gap, &w, &n, e);
    if (rc > 0)
        rc = sys_interrupted() ? err_set(e, ERR_INTERRUPTED, _("interrupted by a signal")) : 0;
    return rc;
}

static const char *const what_names[] = { "mode", "owner", "mtime", "xattrs", "flags", "target" };
#define WHAT_BITS (sizeof what_names / sizeof *what_names)

static void diff_json(struct app *app, char change, unsigned what, const char *path, size_t len)
{
    char letter[2] = { change, '\0' };
    json_t *o = json_pack("{s:s, s:s}", "type", "diff", "change", letter), *words = json_array();
    look_json_path(o, path, len);
    for (size_t i = 0; i < WHAT_BITS; i++)
        if (what & (1u << i))
            json_array_append_new(words, json_string(what_names[i]));
    json_object_set_new(o, "what", words);
    ui_json(&app->ui, o);
}

void diff_print(struct app *app, char change, unsigned what, const char *path, size_t len)
{
    char words[64] = "";
    size_t n = 0;
    if (app->ui.json) {
        diff_json(app, change, what, path, len);
        return;
    }
    for (size_t i = 0; change == 'm' && i < WHAT_BITS && n < sizeof words; i++)
        if (what & (1u << i))
            n += (size_t)snprintf(words + n, sizeof words - n, "%s%s", n ? " " : "", what_names[i]);
    char *shown = look_path(path, len);
    ui_line(&app->ui, "%c %s%s%s%s", change, shown, n ? " (" : "", words, n ? ")" : "");
    free(shown);
}
