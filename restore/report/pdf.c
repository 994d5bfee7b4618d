/* pdf.c - a paper as PDF, A4, by pango and cairo: rows break over pages between lines, a table's head is repeated, every page says which
 * of how many it is. Linked into twofold-paper alone. Drawn twice: the first time nothing is shown and pages are counted. See render.h. */
#include "restore/report/pdf.h"
#include "lib/base/i18n.h"
#include "restore/report/render.h"

#include <cairo-pdf.h>
#include <pango/pangocairo.h>
#include <string.h>

#define PAGE_WIDTH 595.276 /* A4, in points */
#define PAGE_HEIGHT 841.89
#define MARGIN 46.0
#define TEXT_WIDTH (PAGE_WIDTH - 2 * MARGIN)
#define TOP MARGIN
#define BOTTOM (PAGE_HEIGHT - MARGIN - 16)
#define PAD 3.0                           /* around the text of a cell */
#define PEN_LINE 16.0                     /* room that a line by hand takes */
#define KEEP_WHOLE ((BOTTOM - TOP) * 0.3) /* a row up to so high is not broken */
#define EDGE 0.7
#define PIECE_BYTES \
    8192 /* of a paragraph that is laid out at once: pango's time grows with its square */
#define FOOT_BYTES 400 /* more than one line takes */
#define FAMILIES_ZH \
    "Times New Roman, Liberation Serif, DejaVu Serif, SimSun, NSimSun, Noto Serif CJK SC, Source Han Serif SC, Noto Sans CJK SC, WenQuanYi Zen Hei, WenQuanYi Micro Hei, serif"
#define FAMILIES_EN \
    "Times New Roman, Liberation Serif, DejaVu Serif, Noto Serif, Noto Serif CJK SC, WenQuanYi Zen Hei, serif"

struct canvas {
    const struct document *d;
    cairo_t *cr; /* NULL: only counting */
    PangoContext *pango;
    struct glyphs *glyphs;
    double y;
    unsigned page, pages;
    const struct doc_block *table; /* whose head is repeated; NULL: none */
    double widths[MAX_PAPER_COLUMNS];
    bool in_head, failed;
};

/* --- texts ------------------------------------------------------------------------------------------------------------------ */
/* How texts are set. */
struct face {
    double size;
    bool bold;
    PangoAlignment align;
};

/* The first bytes of it, whole characters: at most `most`. */
static size_t first_bytes(const char *text, size_t most)
{
    size_t n = strnlen(text, most + 1);
    if (n <= most)
        return n;
    for (n = most; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80;)
        n--;
    return n;
}

/* How much of a text is laid out at once: all of it, or of a long one the first lines, words or, of a word that is so long, characters.
 * *ret_next: where the rest begins. */
static size_t next_piece(const char *text, size_t *ret_next)
{
    size_t n = first_bytes(text, PIECE_BYTES);
    *ret_next = n;
    if (!text[n])
        return n;
    for (const char *mark = "\n "; *mark; mark++)
        for (size_t at = n; at > n / 2; at--)
            if (text[at] == *mark) {
                *ret_next = at + 1;
                return at;
            }
    return n;
}

static PangoLayout *lay(struct canvas *c, const char *text, size_t n, double width, struct face f)
{
    PangoLayout *layout = pango_layout_new(c->pango);
    PangoFontDescription *font = pango_font_description_from_string(
        c->d->lang == PAPER_ZH ? FAMILIES_ZH : FAMILIES_EN);
    char *shown = glyphs_show(c->glyphs, text, n);
    pango_font_description_set_absolute_size(font, f.size * PANGO_SCALE);
    pango_font_description_set_weight(font, f.bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
    pango_layout_set_font_description(layout, font);
    pango_layout_set_width(layout, (int)(width * PANGO_SCALE));
    pango_layout_set_wrap(layout, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_alignment(layout, f.align);
    pango_layout_set_line_spacing(layout, 1.15F);
    pango_layout_set_auto_dir(layout, FALSE);
    pango_layout_set_text(layout, shown ? shown : "", -1);
    pango_font_description_free(font);
    c->failed = c->failed || !shown;
    free(shown);
    return layout;
}

/* The lines of a text, or of all texts of a cell, one below the other. */
struct strip {
    PangoLayout *
        layout; /* which must outlive the line: without it a PDF does not know the text of its glyphs */
    PangoLayoutLine *line;
    double x, height, baseline;
};
struct strips {
    struct strip *s;
    size_t n, cap, done; /* done: drawn on an earlier page */
    double left, width;
    enum cell_kind kind;
};

static void add_layout(struct canvas *c, struct strips *to, PangoLayout *layout)
{
    PangoLayoutIter *it = pango_layout_get_iter(layout);
    do {
        PangoRectangle box;
        int from = 0, until = 0;
        pango_layout_iter_get_line_extents(it, NULL, &box);
        pango_layout_iter_get_line_yrange(it, &from, &until);
        if (to->n == to->cap) {
            struct strip *grown = realloc(to->s, (to->cap * 2 + 4) * sizeof *grown);
            c->failed = c->failed || !grown;
            if (!grown)
                break;
            to->s = grown;
            to->cap = to->cap * 2 + 4;
        }
        to->s[to->n++] = (struct strip){
            .layout = g_object_ref(layout),
            .line = pango_layout_line_ref(pango_layout_iter_get_line_readonly(it)),
            .x = (double)box.x / PANGO_SCALE,
            .height = (double)(until - from) / PANGO_SCALE,
            .baseline = (double)(pango_layout_iter_get_baseline(it) - from) / PANGO_SCALE
        };
    } while (pango_layout_iter_next_line(it));
    pango_layout_iter_free(it);
}

static void add_strips(struct canvas *c, struct strips *to, const char *text, double width,
                       struct face f)
{
    size_t next = 0;
    do {
        size_t n = next_piece(text, &next);
        PangoLayout *layout = lay(c, text, n, width, f);
        add_layout(c, to, layout);
        g_object_unref(layout);
        text += next;
    } while (*text && !c->failed);
}

static void strips_done(struct strips *s)
{
    for (size_t i = 0; i < s->n; i++) {
        pango_layout_line_unref(s->s[i].line);
        g_object_unref(s->s[i].layout);
    }
    free(s->s);
}

static void draw_strip(struct canvas *c, const struct strip *s, double left, double top)
{
    if (!c->cr)
        return;
    cairo_move_to(c->cr, left + s->x, top + s->baseline);
    pango_cairo_show_layout_line(c->cr, s->line);
}

/* --- pages --------------------------------------------------------------------------------------------------------------------- */
static void foot_line(struct canvas *c, const char *text, double y)
{
    struct strips s = { 0 };
    PangoLayout *layout = lay(c, text, first_bytes(text, FOOT_BYTES), TEXT_WIDTH,
                              (struct face){ 8, false, PANGO_ALIGN_CENTER });
    add_layout(c, &s, layout);
    if (s.n)
        draw_strip(c, &s.s[0], MARGIN, y);
    strips_done(&s);
    g_object_unref(layout);
}

static void end_page(struct canvas *c)
{
    char text[96];
    snprintf(text, sizeof text, c->d->lang == PAPER_ZH ? "第 %u 页，共 %u 页" : "Page %u of %u",
             c->page, c->pages);
    if (c->cr) {
        if (c->d->foot)
            foot_line(c, c->d->foot, BOTTOM + 10);
        foot_line(c, text, BOTTOM + 22);
        cairo_show_page(c->cr);
    }
}

static void draw_head(struct canvas *c);
static void new_page(struct canvas *c)
{
    end_page(c);
    c->page++;
    c->y = TOP;
    if (c->table && !c->in_head)
        draw_head(c);
}

static void draw_text(struct canvas *c, const char *text, double size, bool bold,
                      PangoAlignment align, double before, double after)
{
    struct strips s = { 0 };
    add_strips(c, &s, text ? text : "", TEXT_WIDTH, (struct face){ size, bold, align });
    c->y += before;
    for (size_t i = 0; i < s.n; i++) {
        if (c->y + s.s[i].height > BOTTOM)
            new_page(c);
        draw_strip(c, &s.s[i], MARGIN, c->y);
        c->y += s.s[i].height;
    }
    c->y += after;
    strips_done(&s);
}

/* --- rows ------------------------------------------------------------------------------------------------------------------------ */
static void lay_cell(struct canvas *c, const struct doc_cell *cell, struct strips *to)
{
    bool bold = cell->kind == CELL_LABEL || cell->kind == CELL_HEAD;
    PangoAlignment align = cell->kind == CELL_HEAD     ? PANGO_ALIGN_CENTER
                           : cell->kind == CELL_NUMBER ? PANGO_ALIGN_RIGHT
                                                       : PANGO_ALIGN_LEFT;
    for (size_t i = 0; i < cell->n_lines; i++) {
        char *text = doc_line_text(c->d, &cell->lines[i]);
        c->failed = c->failed || !text;
        add_strips(c, to, text ? text : "", to->width - 2 * PAD,
                   (struct face){ 10.5, bold, align });
        free(text);
    }
}

/* How high the next lines of it are, of at most `room`; *ret_n: how many lines. */
static double fit(const struct strips *s, double room, size_t *ret_n)
{
    double height = 0;
    size_t i = s->done;
    while (i < s->n && height + s->s[i].height <= room)
        height += s->s[i++].height;
    *ret_n = i - s->done;
    return height;
}

/* The part of a row that stands on this page. */
static void draw_piece(struct canvas *c, struct strips *cells, size_t n, double height, double room)
{
    for (size_t i = 0; i < n; i++) {
        size_t lines = 0;
        double used = fit(&cells[i], room, &lines), y = c->y + PAD;
        bool middle = cells[i].kind == CELL_LABEL || cells[i].kind == CELL_HEAD;
        if (middle)
            y = c->y + (height - used) / 2;
        for (size_t k = 0; k < lines && cells[i].s; k++) {
            const struct strip *s = &cells[i].s[cells[i].done + k];
            draw_strip(c, s, cells[i].left + PAD, y);
            y += s->height;
        }
        cells[i].done += lines;
        if (c->cr)
            cairo_rectangle(c->cr, cells[i].left, c->y, cells[i].width, height);
    }
    if (c->cr)
        cairo_stroke(c->cr);
    c->y += height;
}

static double rest_height(const struct strips *cells, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t lines = 0;
        double height = fit(&cells[i], 1e12, &lines);
        most = height > most ? height : most;
    }
    return most;
}

static bool all_drawn(const struct strips *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cells[i].done < cells[i].n)
            return false;
    return true;
}

/* Over as many pages as it takes. On a fresh page at least one line of each cell is drawn, whatever its height. */
static void break_row(struct canvas *c, struct strips *cells, size_t n)
{
    do {
        double room = BOTTOM - c->y - 2 * PAD, rest = rest_height(cells, n);
        bool fresh = false;
        if (room < 2 * PEN_LINE && rest > room) {
            new_page(c);
            room = BOTTOM - c->y - 2 * PAD;
            fresh = true;
        }
        room = room < PEN_LINE ? PEN_LINE : room;
        if (fresh) /* a line that is higher than a page is cut off by the paper, not by us */
            for (size_t i = 0; i < n; i++)
                if (cells[i].done < cells[i].n && cells[i].s[cells[i].done].height > room)
                    room = cells[i].s[cells[i].done].height;
        draw_piece(c, cells, n, (rest < room ? rest : room) + 2 * PAD, room);
        if (!all_drawn(cells, n))
            new_page(c);
    } while (!all_drawn(cells, n) && !c->failed);
}

static void draw_row(struct canvas *c, const struct doc_row *row)
{
    struct strips cells[MAX_PAPER_COLUMNS] = { 0 };
    double left = MARGIN, least = 0;
    for (size_t i = 0, column = 0; i < row->n_cells; i++) {
        cells[i].left = left;
        cells[i].kind = row->cells[i].kind;
        for (unsigned k = 0; k < row->cells[i].span; k++)
            cells[i].width += c->widths[column++];
        left += cells[i].width;
        lay_cell(c, &row->cells[i], &cells[i]);
        if (row->cells[i].min_lines * PEN_LINE > least)
            least = row->cells[i].min_lines * PEN_LINE;
    }
    double height = rest_height(cells, row->n_cells) + 2 * PAD;
    height = height < least ? least : height;
    if (c->y + height > BOTTOM && height <= KEEP_WHOLE && c->y > TOP)
        new_page(c);
    if (c->y + height <= BOTTOM)
        draw_piece(c, cells, row->n_cells, height, height);
    else
        break_row(c, cells, row->n_cells);
    for (size_t i = 0; i < row->n_cells; i++)
        strips_done(&cells[i]);
}

static void draw_head(struct canvas *c)
{
    double before = c->y;
    c->in_head = true;
    for (size_t i = 0; i < c->table->n_rows && c->table->rows[i].head; i++)
        draw_row(c, &c->table->rows[i]);
    c->in_head = false;
    if (c->y - before > (BOTTOM - TOP) / 2)
        c->table = NULL; /* so high a head is not drawn on every page */
}

static void draw_table(struct canvas *c, const struct doc_block *b)
{
    double sum = 0;
    for (unsigned i = 0; i < b->n_columns; i++)
        sum += b->weights[i];
    for (unsigned i = 0; i < b->n_columns; i++)
        c->widths[i] = TEXT_WIDTH * b->weights[i] / sum;
    c->y += 4;
    if (c->y + 3 * PEN_LINE > BOTTOM)
        new_page(c);
    c->table = b;
    draw_head(c);
    for (size_t i = 0; i < b->n_rows && !c->failed; i++)
        if (!b->rows[i].head)
            draw_row(c, &b->rows[i]);
    c->table = NULL;
    c->y += 6;
}

/* --- the whole ---------------------------------------------------------------------------------------------------------------------- */
static void draw_signs(struct canvas *c, const struct doc_block *b)
{
    if (c->y + 30.0 * (double)b->n_labels > BOTTOM)
        new_page(c);
    for (size_t i = 0; i < b->n_labels; i++) {
        char *line = NULL;
        if (asprintf(&line, "%s%s____________________", b->labels[i],
                     c->d->lang == PAPER_ZH ? "：" : ": ") < 0)
            line = NULL;
        c->failed = c->failed || !line;
        draw_text(c, line, 10.5, false, PANGO_ALIGN_RIGHT, 15, 0);
        free(line);
    }
}

static void draw_block(struct canvas *c, const struct doc_block *b)
{
    switch (b->kind) {
    case BLOCK_HEADING:
        if (c->y + 110 > BOTTOM) /* not alone at the end of a page */
            new_page(c);
        draw_text(c, b->text, 12, true, PANGO_ALIGN_LEFT, 8, 2);
        break;
    case BLOCK_PARAGRAPH:
        draw_text(c, b->text, 10.5, false, PANGO_ALIGN_LEFT, 3, 3);
        break;
    case BLOCK_NOTE:
        draw_text(c, b->text, 9.5, false, PANGO_ALIGN_LEFT, 3, 2);
        break;
    case BLOCK_TABLE:
        draw_table(c, b);
        break;
    case BLOCK_SIGNS:
        draw_signs(c, b);
        break;
    }
}

static void draw(struct canvas *c)
{
    c->y = TOP;
    c->page = 1;
    if (c->d->mark)
        draw_text(c, c->d->mark, 10.5, true, PANGO_ALIGN_RIGHT, 0, 0);
    draw_text(c, c->d->title, 17, true, PANGO_ALIGN_CENTER, 0, 4);
    if (c->d->number)
        draw_text(c, c->d->number, 10.5, false, PANGO_ALIGN_CENTER, 0, 4);
    for (size_t i = 0; i < c->d->n_blocks && !c->failed; i++)
        draw_block(c, &c->d->blocks[i]);
    end_page(c);
}

static cairo_status_t keep(void *ctx, const unsigned char *p, unsigned n)
{
    struct wbuf *out = ctx;
    wb_bytes(out, p, n);
    return out->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

static int draw_both(struct canvas *c, cairo_surface_t *surface, struct err *e)
{
    cairo_t *cr = cairo_create(surface);
    c->pango = pango_cairo_create_context(cr);
    pango_context_set_language(c->pango,
                               pango_language_from_string(c->d->lang == PAPER_ZH ? "zh-cn" : "en"));
    pango_context_set_base_dir(c->pango, PANGO_DIRECTION_LTR);
    draw(c);
    c->pages = c->page;
    c->cr = cr;
    cairo_set_line_width(cr, EDGE);
    draw(c);
    g_object_unref(c->pango);
    cairo_destroy(cr);
    cairo_surface_finish(surface);
    cairo_status_t status = cairo_surface_status(surface);
    if (c->failed || status == CAIRO_STATUS_NO_MEMORY)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    return status == CAIRO_STATUS_SUCCESS
               ? 0
               : err_set(e, ERR_FAILED, _("cairo: %s"), cairo_status_to_string(status));
}

int render_pdf(const struct document *d, struct wbuf *out, struct err *e)
{
    struct canvas c = { .d = d };
    int rc = glyphs_new(d, &c.glyphs, e);
    if (rc < 0)
        return rc;
    cairo_surface_t *surface = cairo_pdf_surface_create_for_stream(keep, out, PAGE_WIDTH,
                                                                   PAGE_HEIGHT);
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, d->title);
    if (d->foot)
        cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_SUBJECT, d->foot);
    rc = draw_both(&c, surface, e);
    cairo_surface_destroy(surface);
    glyphs_free(c.glyphs);
    return rc;
}
