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
    struct app *app = *(struct app **)ctx;
    ui_note(&app->ui, true, NULL, 0, why->what, strlen(why->what));
}

int look_gaps_status(struct app *app, uint64_t gaps, const char *what)
{
    struct err e = ERR_INIT;
    if (gaps == 0)
        return 0;
    err_set(&e, ERR_DAMAGED, P_("%" PRIu64 " part of the backup is lost; it is named above",
                                "%" PRIu64 " parts of the backup are lost; they are named above", gaps),
            gaps);
    err_wrap(&e, "%s", what);
    return ui_error(&app->ui, &e);
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

int look_walk(struct view *view, const struct select *sel, entry_fn *fn, void *ctx, uint64_t *gaps,
              struct err *e)
{
    uint64_t n = 0;
    int rc = reader_each(&view->src, view->body, sel, fn, look_gap, ctx, &n, e);
    *gaps += n;
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
