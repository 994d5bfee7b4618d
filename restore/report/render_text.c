/* render_text.c - a paper as text of 80 columns, whose tables are drawn with + - and |, which every terminal and printer has in one
 * width. See render.h. */
#include "restore/report/render.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_COLUMNS 80
#define EDGES 3 /* columns between the texts of two cells: " | " */
#define LEAST_COLUMNS 4

static void spaces(struct wbuf *out, size_t n)
{
    while (n-- > 0)
        wb_u8(out, ' ');
}

/* A text broken into lines, each with the same indent. */
static void broken(struct wbuf *out, const char *text, size_t indent, bool centred)
{
    size_t columns = PAGE_COLUMNS - indent, next = 0;
    do {
        size_t n = paper_break(text, columns, &next);
        char *line = strndup(text, n);
        if (!line) {
            out->failed = true;
            return;
        }
        size_t width = paper_width(line);
        spaces(out, indent + (centred && width < columns ? (columns - width) / 2 : 0));
        put(out, line);
        put(out, "\n");
        free(line);
        text += next;
    } while (*text);
}

/* --- tables ---------------------------------------------------------------------------------------------------------------- */
struct grid {
    const struct document *d;
    struct wbuf *out;
    const struct doc_block *b;
    size_t widths[MAX_PAPER_COLUMNS]; /* of the texts */
};

static void share_out(struct grid *g)
{
    size_t n = g->b->n_columns, room = PAGE_COLUMNS - (EDGES * n + 1), sum = 0, used = 0, most = 0;
    for (size_t i = 0; i < n; i++)
        sum += g->b->weights[i];
    for (size_t i = 0; i < n; i++) {
        g->widths[i] = room * g->b->weights[i] / sum;
        if (g->widths[i] < LEAST_COLUMNS)
            g->widths[i] = LEAST_COLUMNS;
        used += g->widths[i];
        most = g->widths[i] > g->widths[most] ? i : most;
    }
    for (; used < room; used++) /* what was rounded away, and what small columns took */
        g->widths[most]++;
    for (; used > room && g->widths[most] > LEAST_COLUMNS; used--)
        g->widths[most]--;
}

static size_t cell_width(const struct grid *g, size_t first, unsigned span)
{
    size_t width = EDGES * (span - 1);
    for (unsigned i = 0; i < span; i++)
        width += g->widths[first + i];
    return width;
}

/* The border between two rows (NULL: the table's edge): a + where either of them has one. */
static void border(const struct grid *g, const struct doc_row *above, const struct doc_row *below)
{
    char line[PAGE_COLUMNS + 64];
    const struct doc_row *rows[] = { above, below };
    size_t length = cell_width(g, 0, g->b->n_columns) + EDGES + 1;
    memset(line, '-', sizeof line);
    line[0] = '+';
    for (size_t r = 0; r < 2; r++)
        for (size_t i = 0, at = 0, column = 0; rows[r] && i < rows[r]->n_cells; i++) {
            at += cell_width(g, column, rows[r]->cells[i].span) + EDGES;
            column += rows[r]->cells[i].span;
            if (at < sizeof line)
                line[at] = '+';
        }
    line[length - 1] = '+';
    wb_bytes(g->out, line, length);
    put(g->out, "\n");
}

/* Where the drawing of a cell has got to. */
struct pen {
    char *text; /* of the line that is being drawn; owned */
    const char *at;
    size_t line, drawn, width;
};

/* The next line of a cell; false: there is none left, and only its edge was drawn. */
static bool cell_line(const struct grid *g, const struct doc_cell *c, struct pen *p)
{
    if (!p->at && p->line < c->n_lines) {
        p->at = p->text = doc_line_text(g->d, &c->lines[p->line++]);
        if (!p->text)
            g->out->failed = true;
    }
    if (!p->at) {
        spaces(g->out, p->width);
        return p->drawn++ < c->min_lines;
    }
    size_t next = 0, n = paper_break(p->at, p->width, &next);
    char *line = strndup(p->at, n);
    size_t width = line ? paper_width(line) : 0, gap = width < p->width ? p->width - width : 0;
    g->out->failed = g->out->failed || !line;
    size_t before = c->kind == CELL_NUMBER ? gap : c->kind == CELL_HEAD ? gap / 2 : 0;
    spaces(g->out, before);
    put(g->out, line ? line : "");
    spaces(g->out, gap - before);
    free(line);
    p->at += next;
    p->drawn++;
    if (!*p->at) {
        free(p->text);
        p->text = NULL;
        p->at = NULL;
    }
    return true;
}

static bool more_to_draw(const struct doc_row *row, const struct pen *pens)
{
    for (size_t i = 0; i < row->n_cells; i++)
        if (pens[i].at || pens[i].line < row->cells[i].n_lines ||
            pens[i].drawn < row->cells[i].min_lines)
            return true;
    return false;
}

static void draw_row(const struct grid *g, const struct doc_row *row)
{
    struct pen pens[MAX_PAPER_COLUMNS] = { 0 };
    for (size_t i = 0, column = 0; i < row->n_cells; i++) {
        pens[i].width = cell_width(g, column, row->cells[i].span);
        column += row->cells[i].span;
    }
    do {
        put(g->out, "| ");
        for (size_t i = 0; i < row->n_cells; i++) {
            cell_line(g, &row->cells[i], &pens[i]);
            put(g->out, i + 1 < row->n_cells ? " | " : " |\n");
        }
    } while (more_to_draw(row, pens) && !g->out->failed);
    for (size_t i = 0; i < row->n_cells; i++)
        free(pens[i].text);
}

static void draw_table(const struct document *d, const struct doc_block *b, struct wbuf *out)
{
    struct grid g = { .d = d, .out = out, .b = b };
    share_out(&g);
    for (size_t i = 0; i < b->n_rows; i++) {
        border(&g, i ? &b->rows[i - 1] : NULL, &b->rows[i]);
        draw_row(&g, &b->rows[i]);
    }
    border(&g, b->n_rows ? &b->rows[b->n_rows - 1] : NULL, NULL);
}

/* --- the whole ---------------------------------------------------------------------------------------------------------------- */
static void draw_signs(const struct document *d, const struct doc_block *b, struct wbuf *out)
{
    for (size_t i = 0; i < b->n_labels; i++) {
        size_t width = paper_width(b->labels[i]) + 22;
        spaces(out, width < PAGE_COLUMNS ? PAGE_COLUMNS - width : 0);
        put(out, b->labels[i]);
        put(out, d->lang == PAPER_ZH ? "：" : ": ");
        put(out, "____________________\n");
    }
}

static void draw_block(const struct document *d, const struct doc_block *b, struct wbuf *out)
{
    put(out, "\n");
    if (b->kind == BLOCK_TABLE)
        draw_table(d, b, out);
    else if (b->kind == BLOCK_SIGNS)
        draw_signs(d, b, out);
    else
        broken(out, b->text ? b->text : "", 0, false);
    if (b->kind == BLOCK_HEADING)
        put(out, "--------\n");
}

void render_text(const struct document *d, struct wbuf *out)
{
    if (d->mark)
        broken(out, d->mark, 0, true);
    broken(out, d->title, 0, true);
    if (d->number)
        broken(out, d->number, 0, true);
    for (size_t i = 0; i < d->n_blocks && !out->failed; i++)
        draw_block(d, &d->blocks[i], out);
    if (d->foot) {
        put(out, "\n");
        broken(out, d->foot, 0, false);
    }
}
