/* document_json.c - a paper as JSON and back; how twofold hands it to twofold-paper, and `--format json`. Names: docs/forms.md. */
#include "lib/base/i18n.h"
#include "restore/report/document.h"

#include <stdlib.h>
#include <string.h>

static const char *const cell_kinds[] = { "value", "label", "head", "number" };
static const char *const block_kinds[] = { "heading", "paragraph", "table", "note", "signs" };
#define N(array) (sizeof(array) / sizeof *(array))

/* --- writing ------------------------------------------------------------------------------------------------------------ */
static json_t *line_json(const struct doc_line *l)
{
    return json_pack("{s:s*, s:s, s:s*, s:b}", "label", l->label, "text", l->text ? l->text : "",
                     "field", l->field, "blank", l->blank);
}

static json_t *cell_json(const struct doc_cell *c)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < c->n_lines; i++)
        json_array_append_new(lines, line_json(&c->lines[i]));
    return json_pack("{s:s, s:i, s:i, s:o}", "kind", cell_kinds[c->kind], "span", (int)c->span,
                     "room", (int)c->min_lines, "lines", lines);
}

static json_t *block_json(const struct doc_block *b)
{
    json_t *o = json_pack("{s:s, s:s*}", "kind", block_kinds[b->kind], "text", b->text);
    if (b->kind == BLOCK_SIGNS) {
        json_t *labels = json_array();
        for (size_t i = 0; i < b->n_labels; i++)
            json_array_append_new(labels, json_string(b->labels[i]));
        json_object_set_new(o, "labels", labels);
    }
    if (b->kind != BLOCK_TABLE)
        return o;
    json_t *weights = json_array(), *rows = json_array();
    for (unsigned i = 0; i < b->n_columns; i++)
        json_array_append_new(weights, json_integer(b->weights[i]));
    for (size_t i = 0; i < b->n_rows; i++) {
        json_t *cells = json_array();
        for (size_t k = 0; k < b->rows[i].n_cells; k++)
            json_array_append_new(cells, cell_json(&b->rows[i].cells[k]));
        json_array_append_new(rows,
                              json_pack("{s:b, s:o}", "head", b->rows[i].head, "cells", cells));
    }
    json_object_set_new(o, "weights", weights);
    json_object_set_new(o, "rows", rows);
    return o;
}

json_t *document_json(const struct document *d)
{
    json_t *blocks = json_array();
    for (size_t i = 0; i < d->n_blocks; i++)
        json_array_append_new(blocks, block_json(&d->blocks[i]));
    return json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:o}", "form", d->form, "lang",
                     paper_lang_name(d->lang), "title", d->title, "number", d->number, "mark",
                     d->mark, "foot", d->foot, "blocks", blocks);
}

/* --- reading ------------------------------------------------------------------------------------------------------------- */
static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static int kind_of(const json_t *o, const char *const *names, size_t n)
{
    const char *kind = text_of(o, "kind");
    for (size_t i = 0; kind && i < n; i++)
        if (strcmp(kind, names[i]) == 0)
            return (int)i;
    return -1;
}

static bool read_cell(struct document *d, const json_t *o)
{
    json_int_t span = json_integer_value(json_object_get(o, "span"));
    json_int_t room = json_integer_value(json_object_get(o, "room"));
    int kind = kind_of(o, cell_kinds, N(cell_kinds));
    const json_t *lines = json_object_get(o, "lines"), *line;
    size_t i;
    if (kind < 0 || span < 1 || span > MAX_PAPER_COLUMNS || room < 0 || room > 100)
        return false;
    doc_cell(d, (enum cell_kind)kind, (unsigned)span);
    doc_room(d, (unsigned)room);
    json_array_foreach(lines, i, line)
    {
        const char *text = text_of(line, "text");
        if (json_is_true(json_object_get(line, "blank")))
            doc_blank(d, text_of(line, "label"), text_of(line, "field"), text);
        else
            doc_field(d, text_of(line, "label"), text_of(line, "field"), text);
    }
    return true;
}

static bool read_table(struct document *d, const json_t *o)
{
    const json_t *weights = json_object_get(o, "weights"), *rows = json_object_get(o, "rows");
    unsigned w[MAX_PAPER_COLUMNS] = { 0 };
    size_t n = json_array_size(weights), i, k;
    const json_t *row, *cell;
    if (n == 0 || n > MAX_PAPER_COLUMNS)
        return false;
    for (i = 0; i < n; i++) {
        json_int_t one = json_integer_value(json_array_get(weights, i));
        w[i] = one > 0 && one < 10000 ? (unsigned)one : 1;
    }
    doc_table(d, (unsigned)n, w);
    json_array_foreach(rows, i, row)
    {
        doc_row(d, json_is_true(json_object_get(row, "head")));
        json_array_foreach(json_object_get(row, "cells"), k,
                           cell) if (!read_cell(d, cell)) return false;
    }
    return true;
}

static bool read_block(struct document *d, const json_t *o)
{
    const char *text = text_of(o, "text");
    const char *labels[MAX_PAPER_COLUMNS];
    const json_t *list = json_object_get(o, "labels");
    switch (kind_of(o, block_kinds, N(block_kinds))) {
    case BLOCK_HEADING:
        doc_heading(d, text);
        return text != NULL;
    case BLOCK_PARAGRAPH:
        doc_paragraph(d, text);
        return text != NULL;
    case BLOCK_NOTE:
        doc_note(d, text);
        return text != NULL;
    case BLOCK_TABLE:
        return read_table(d, o);
    case BLOCK_SIGNS:
        if (json_array_size(list) > MAX_PAPER_COLUMNS)
            return false;
        for (size_t i = 0; i < json_array_size(list); i++)
            if (!(labels[i] = json_string_value(json_array_get(list, i))))
                return false;
        doc_signs(d, labels, json_array_size(list));
        return true;
    default:
        return false;
    }
}

int document_parse(const json_t *o, struct document **ret, struct err *e)
{
    const char *form = text_of(o, "form"), *title = text_of(o, "title"), *lang = text_of(o, "lang");
    const json_t *block;
    size_t i;
    bool good = form && title && lang;
    struct document *d = good ? document_new(form, strcmp(lang, "zh") == 0 ? PAPER_ZH : PAPER_EN,
                                             title)
                              : NULL;
    if (good && !d)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    if (good) {
        document_number(d, text_of(o, "number"));
        document_mark(d, text_of(o, "mark"));
        document_foot(d, text_of(o, "foot"));
        json_array_foreach(json_object_get(o, "blocks"), i, block)
            good = good && read_block(d, block);
    }
    int rc = good ? document_check(d, e)
                  : err_set(e, ERR_PROTOCOL, _("this is not a paper as JSON has it"));
    if (rc < 0)
        document_free(d);
    else
        *ret = d;
    return rc;
}
