/* document.c - building a paper: blocks, tables, rows, cells, lines. The manual is document.h. */
#include "restore/report/document.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *paper_lang_name(enum paper_lang l)
{
    return l == PAPER_ZH ? "zh" : "en";
}

/* --- taking texts ---------------------------------------------------------------------------------------------------- */
static void fail(struct document *d, enum err_code code)
{
    if (d->failed == ERR_NONE)
        d->failed = code;
}

/* A clean copy; NULL stays NULL. */
static char *take(struct document *d, const char *text)
{
    static const char cut[] = " […]";
    if (!text)
        return NULL;
    size_t n = strlen(text);
    bool longer = n > MAX_PAPER_TEXT;
    char *clean = paper_clean(text, longer ? MAX_PAPER_TEXT : n);
    if (clean && longer) {
        size_t len = strlen(clean);
        char *more = realloc(clean, len + sizeof cut);
        if (more)
            memcpy(more + len, cut, sizeof cut);
        else
            free(clean);
        clean = more;
    }
    if (!clean)
        fail(d, ERR_NOMEM);
    return clean;
}

static void set(struct document *d, char **dst, const char *text)
{
    char *copy = take(d, text);
    free(*dst);
    *dst = copy;
}

/* Room for one more at the end; NULL, and failed, without memory. Arrays grow by doubling: their size is a power of two. */
static void *more(struct document *d, void *array, size_t n, size_t size)
{
    if (d->failed != ERR_NONE)
        return NULL;
    if (n > 0 && (n & (n - 1)) != 0)
        return array;
    void *grown = realloc(array, (n ? n * 2 : 1) * size);
    if (!grown)
        fail(d, ERR_NOMEM);
    return grown;
}

struct document *document_new(const char *form, enum paper_lang lang, const char *title)
{
    struct document *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->lang = lang;
    set(d, &d->form, form);
    set(d, &d->title, title);
    return d;
}

static void cell_done(struct doc_cell *c)
{
    for (size_t i = 0; i < c->n_lines; i++) {
        free(c->lines[i].label);
        free(c->lines[i].text);
        free(c->lines[i].field);
    }
    free(c->lines);
}

static void block_done(struct doc_block *b)
{
    free(b->text);
    for (size_t i = 0; i < b->n_labels; i++)
        free(b->labels[i]);
    free(b->labels);
    for (size_t i = 0; i < b->n_rows; i++) {
        for (size_t k = 0; k < b->rows[i].n_cells; k++)
            cell_done(&b->rows[i].cells[k]);
        free(b->rows[i].cells);
    }
    free(b->rows);
}

void document_free(struct document *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_blocks; i++)
        block_done(&d->blocks[i]);
    free(d->blocks);
    free(d->form);
    free(d->title);
    free(d->number);
    free(d->mark);
    free(d->foot);
    free(d);
}

void document_number(struct document *d, const char *text)
{
    set(d, &d->number, text);
}

void document_mark(struct document *d, const char *text)
{
    set(d, &d->mark, text);
}

void document_foot(struct document *d, const char *text)
{
    set(d, &d->foot, text);
}

/* --- blocks ------------------------------------------------------------------------------------------------------------ */
static struct doc_block *add_block(struct document *d, enum block_kind kind, const char *text)
{
    struct doc_block *grown = more(d, d->blocks, d->n_blocks, sizeof *grown);
    if (!grown)
        return NULL;
    d->blocks = grown;
    struct doc_block *b = &grown[d->n_blocks++];
    *b = (struct doc_block){ .kind = kind };
    set(d, &b->text, text);
    return b;
}

void doc_heading(struct document *d, const char *text)
{
    add_block(d, BLOCK_HEADING, text);
}

void doc_paragraph(struct document *d, const char *text)
{
    add_block(d, BLOCK_PARAGRAPH, text);
}

void doc_note(struct document *d, const char *text)
{
    add_block(d, BLOCK_NOTE, text);
}

void doc_signs(struct document *d, const char *const labels[], size_t n)
{
    struct doc_block *b = add_block(d, BLOCK_SIGNS, NULL);
    for (size_t i = 0; b && i < n; i++) {
        char **grown = more(d, b->labels, i, sizeof *grown);
        if (!grown)
            return;
        b->labels = grown;
        grown[i] = take(d, labels[i]);
        b->n_labels = i + (grown[i] != NULL);
    }
}

/* --- tables -------------------------------------------------------------------------------------------------------------- */
void doc_table(struct document *d, unsigned n_columns, const unsigned weights[])
{
    if (n_columns == 0 || n_columns > MAX_PAPER_COLUMNS)
        fail(d, ERR_LIMIT);
    struct doc_block *b = add_block(d, BLOCK_TABLE, NULL);
    if (!b)
        return;
    b->n_columns = n_columns;
    for (unsigned i = 0; i < n_columns; i++)
        b->weights[i] = weights[i] ? weights[i] : 1;
}

static struct doc_block *table_now(struct document *d)
{
    struct doc_block *b = d->n_blocks ? &d->blocks[d->n_blocks - 1] : NULL;
    if (d->failed != ERR_NONE || !b || b->kind != BLOCK_TABLE) {
        fail(d, ERR_FAILED);
        return NULL;
    }
    return b;
}

void doc_row(struct document *d, bool head)
{
    struct doc_block *b = table_now(d);
    if (b && d->n_rows >= MAX_PAPER_ROWS)
        fail(d, ERR_LIMIT);
    struct doc_row *grown = b ? more(d, b->rows, b->n_rows, sizeof *grown) : NULL;
    if (!grown)
        return;
    b->rows = grown;
    grown[b->n_rows++] = (struct doc_row){ .head = head };
    d->n_rows++;
}

static struct doc_row *row_now(struct document *d)
{
    struct doc_block *b = table_now(d);
    if (b && b->n_rows == 0)
        fail(d, ERR_FAILED);
    return b && b->n_rows ? &b->rows[b->n_rows - 1] : NULL;
}

void doc_cell(struct document *d, enum cell_kind kind, unsigned span)
{
    struct doc_row *row = row_now(d);
    struct doc_cell *grown = row ? more(d, row->cells, row->n_cells, sizeof *grown) : NULL;
    if (!grown)
        return;
    row->cells = grown;
    grown[row->n_cells++] = (struct doc_cell){ .kind = kind, .span = span };
}

static struct doc_cell *cell_now(struct document *d)
{
    struct doc_row *row = row_now(d);
    if (row && row->n_cells == 0)
        fail(d, ERR_FAILED);
    return row && row->n_cells ? &row->cells[row->n_cells - 1] : NULL;
}

void doc_room(struct document *d, unsigned min_lines)
{
    struct doc_cell *c = cell_now(d);
    if (c)
        c->min_lines = min_lines;
}

static void add_line(struct document *d, const char *label, const char *field, const char *text,
                     bool blank)
{
    struct doc_cell *c = cell_now(d);
    struct doc_line *grown = c ? more(d, c->lines, c->n_lines, sizeof *grown) : NULL;
    if (!grown)
        return;
    c->lines = grown;
    grown[c->n_lines++] = (struct doc_line){ .label = take(d, label),
                                             .text = take(d, text ? text : ""),
                                             .field = take(d, field),
                                             .blank = blank };
}

void doc_line(struct document *d, const char *label, const char *text)
{
    add_line(d, label, NULL, text, false);
}

void doc_field(struct document *d, const char *label, const char *field, const char *text)
{
    add_line(d, label, field, text, false);
}

void doc_blank(struct document *d, const char *label, const char *field, const char *what)
{
    add_line(d, label, field, what, true);
}

void doc_value(struct document *d, enum cell_kind kind, unsigned span, const char *text)
{
    doc_cell(d, kind, span);
    doc_line(d, NULL, text);
}

int document_check(const struct document *d, struct err *e)
{
    if (!d || d->failed == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    if (d->failed != ERR_NONE)
        return err_set(e, d->failed, _("the paper \"%s\" is too large, or was not built right"),
                       d->form ? d->form : "");
    for (size_t i = 0; i < d->n_blocks; i++)
        for (size_t k = 0; k < d->blocks[i].n_rows; k++) {
            const struct doc_row *row = &d->blocks[i].rows[k];
            unsigned columns = 0;
            for (size_t c = 0; c < row->n_cells; c++)
                columns += row->cells[c].span ? row->cells[c].span : MAX_PAPER_COLUMNS + 1;
            if (columns != d->blocks[i].n_columns)
                return err_set(e, ERR_FAILED,
                               _("row %zu of a table of \"%s\" does not fill its columns"), k,
                               d->form);
        }
    return 0;
}

char *doc_line_text(const struct document *d, const struct doc_line *l)
{
    bool zh = d->lang == PAPER_ZH;
    const char *label = l->label ? l->label : "", *colon = !*label ? "" : zh ? "：" : ":";
    /* A text of several lines begins below its label. */
    const char *gap = !*label ? "" : strchr(l->text, '\n') ? "\n" : zh ? "" : " ";
    char *text = NULL;
    int n = l->blank ? asprintf(&text, "%s%s%s________%s%s%s", label, colon, gap, zh ? "（" : " (",
                                l->text, zh ? "）" : ")")
                     : asprintf(&text, "%s%s%s%s", label, colon, gap, l->text);
    return n < 0 ? NULL : text;
}
