/* ui_progress.c - the lines that a running job redraws on a terminal, or one JSON line a second; see ui.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"
#include "orchestrator/ui.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAW_EVERY_MS 200
#define JSON_EVERY_MS 1000
#define MIN_COLUMNS 20

static void compute_rate(struct ui_progress *p, uint64_t now_ms)
{
    uint64_t ms = now_ms > p->started_ms ? now_ms - p->started_ms : 0;
    p->rate_bytes_s = ms ? (uint64_t)((double)p->bytes * 1000 / (double)ms) : 0;
    p->eta_s = p->rate_bytes_s && p->total_bytes > p->bytes
                   ? (p->total_bytes - p->bytes) / p->rate_bytes_s
                   : 0;
}

/* --- JSON ------------------------------------------------------------------------------------- */
static void progress_json(struct ui *ui, const struct ui_progress *p)
{
    json_t *copies = json_array();
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "type", "progress",
                          "phase", p->phase, "files", (json_int_t)p->files, "bytes",
                          (json_int_t)p->bytes, "total_files", (json_int_t)p->total_files,
                          "total_bytes", (json_int_t)p->total_bytes, "problems",
                          (json_int_t)p->problems, "rate_bytes_s", (json_int_t)p->rate_bytes_s,
                          "eta_s", (json_int_t)p->eta_s);
    for (size_t i = 0; i < p->n_copies; i++)
        json_array_append_new(copies, json_pack("{s:s, s:s, s:I}", "place", p->copies[i].place,
                                                "state", p->copies[i].state, "bytes",
                                                (json_int_t)p->copies[i].bytes));
    if (p->path_len)
        ui_json_path(o, p->path, p->path_len);
    json_object_set_new(o, "copies", copies);
    ui_json(ui, o);
    fflush(stdout);
}

/* --- the terminal -------------------------------------------------------------------------------------- */
/* Adds a part of a line, two blanks before it. Takes part. */
static void add(char **line, char *part)
{
    char *longer = text_print("%s%s%s", *line, **line ? "  " : "", part);
    free(*line);
    free(part);
    *line = longer;
}

static char *summary(const struct ui_progress *p)
{
    char a[32], b[64];
    char *line = text_print("%s", p->phase ? _(p->phase) : "");
    if (p->total_files)
        add(&line, text_print(_("%" PRIu64 "/%" PRIu64 " files"), p->files, p->total_files));
    else
        add(&line, text_print(_("%" PRIu64 " files"), p->files));
    if (p->total_bytes) {
        uint64_t percent = (uint64_t)((double)p->bytes * 100 / (double)p->total_bytes);
        add(&line,
            text_print(_("%s of %s (%u%%)"), ui_bytes(p->bytes, a), ui_bytes(p->total_bytes, b),
                       (unsigned)(percent < 100 ? percent : 100)));
    } else {
        add(&line, text_print("%s", ui_bytes(p->bytes, a)));
    }
    if (p->rate_bytes_s)
        add(&line, text_print("%s/s", ui_bytes(p->rate_bytes_s, a)));
    if (p->eta_s)
        add(&line, text_print(_("%s left"), ui_age((int64_t)p->eta_s, b)));
    if (p->problems)
        add(&line, text_print(P_("%" PRIu64 " problem", "%" PRIu64 " problems", p->problems),
                              p->problems));
    return line;
}

/* One line, never wider than the terminal, its last column left free: some wrap already there. Takes s. */
static void draw(struct ui *ui, FILE *f, char *s, bool keep_end)
{
    char *fit = text_fit(s, ui->columns - 1, keep_end);
    fprintf(f, "%s\033[K\n", fit);
    free(fit);
    free(s);
    ui->drawn++;
}

static void draw_copy(struct ui *ui, FILE *f, const struct ui_copy_line *c)
{
    char bytes[32];
    char *place = text_pad(c->place, 20, false), *state = text_pad(_(c->state), 14, false);
    char *size = text_pad(ui_bytes(c->bytes, bytes), 9, true);
    draw(ui, f, text_print("  %s %s %s", place, state, size), false);
    free(place);
    free(state);
    free(size);
}

static void draw_all(struct ui *ui, const struct ui_progress *p)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return;
    unsigned before = ui->drawn;
    ui->drawn = 0;
    if (before)
        fprintf(f, "\033[%uA\r", before);
    draw(ui, f, summary(p), false);
    if (p->path_len) {
        char *path = ui_path(p->path, p->path_len);
        char *fit = text_fit(path, ui->columns > 3 ? ui->columns - 3 : 1, true);
        draw(ui, f, text_print("  %s", fit), true);
        free(fit);
        free(path);
    }
    for (size_t i = 0; i < p->n_copies; i++)
        draw_copy(ui, f, &p->copies[i]);
    if (before > ui->drawn)
        fputs("\033[J", f);
    if (fclose(f) == 0)
        fwrite(text, 1, len, stderr); /* at once, so that it does not flicker */
    free(text);
}

void ui_progress(struct ui *ui, struct ui_progress *p)
{
    uint64_t now = sys_monotonic_ms();
    bool drawing = ui->tty && !ui->json && !ui->quiet && ui->columns >= MIN_COLUMNS;
    if (!ui->json && !drawing)
        return;
    if (ui->last_draw_ms && now - ui->last_draw_ms < (ui->json ? JSON_EVERY_MS : DRAW_EVERY_MS))
        return;
    ui->last_draw_ms = now ? now : 1;
    compute_rate(p, now);
    if (ui->json)
        progress_json(ui, p);
    else
        draw_all(ui, p);
}

void ui_progress_end(struct ui *ui)
{
    if (!ui->drawn)
        return;
    fprintf(stderr, "\033[%uA\r\033[J", ui->drawn);
    ui->drawn = 0;
    ui->last_draw_ms = 0;
}
