/* render_html.c - a paper as one HTML file that prints on A4 as it looks. See render.h. */
#include "restore/report/render.h"

#include <stdlib.h>

static const char style[] =
    "@page{size:A4;margin:18mm 16mm}*{box-sizing:border-box}"
    "body{font:15px/1.55 'SimSun','Songti SC','Noto Serif CJK SC','Source Han Serif SC','Noto Sans CJK SC',"
    "'WenQuanYi Zen Hei','DejaVu Serif',serif;color:#000;background:#fff;max-width:50em;margin:0 auto;padding:1.5em}"
    "h1{font-size:1.55em;text-align:center;margin:.2em 0 .5em;font-weight:bold}"
    "h2{font-size:1.1em;margin:1.2em 0 .4em;break-after:avoid}"
    ".number{text-align:center;margin:0 0 .8em}.mark{text-align:right;font-weight:bold;border:0;margin:0}"
    "p{margin:.5em 0;white-space:pre-line}"
    "table{border-collapse:collapse;width:100%;table-layout:fixed;margin:.6em 0}"
    "th,td{border:1px solid #000;padding:.35em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere;"
    "font-weight:normal}"
    "th{vertical-align:middle;font-weight:bold}th[scope=col]{text-align:center}"
    "td.n{text-align:right}tr{break-inside:auto}thead{display:table-header-group}"
    "td p,th p{margin:0}.blank{color:#333}.room{min-height:1.55em}"
    ".note{font-size:.93em}.signs{margin:2em 0 0;break-inside:avoid}"
    ".signs p{text-align:right;margin:1.4em 0}.foot{font-size:.8em;color:#333;border-top:1px solid #999;"
    "margin-top:2em;padding-top:.4em;overflow-wrap:anywhere}"
    "@media print{body{font-size:10.5pt;max-width:none;padding:0}}";

static void element(struct wbuf *out, const char *name, const char *class, const char *text)
{
    putf(out, "<%s%s%s%s>", name, class ? " class=\"" : "", class ? class : "", class ? "\"" : "");
    put_xml(out, text ? text : "", "\n");
    putf(out, "</%s>\n", name);
}

static void draw_line(const struct document *d, const struct doc_line *l, struct wbuf *out)
{
    char *text = doc_line_text(d, l);
    put(out, l->blank ? "<p class=\"blank\"" : "<p");
    if (l->field) {
        put(out, " data-field=\"");
        put_xml(out, l->field, " ");
        put(out, "\"");
    }
    put(out, ">");
    put_xml(out, text ? text : "", "\n");
    put(out, "</p>");
    out->failed = out->failed || !text;
    free(text);
}

static void draw_cell(const struct document *d, const struct doc_cell *c, struct wbuf *out)
{
    bool head = c->kind == CELL_HEAD || c->kind == CELL_LABEL;
    put(out, head ? "<th" : "<td");
    if (c->kind == CELL_HEAD)
        put(out, " scope=\"col\"");
    if (c->kind == CELL_NUMBER)
        put(out, " class=\"n\"");
    if (c->span > 1)
        putf(out, " colspan=\"%u\"", c->span);
    if (c->min_lines > 1)
        putf(out, " style=\"height:%u.%uem\"", c->min_lines * 31 / 20, c->min_lines * 31 % 20 / 2);
    put(out, ">");
    for (size_t i = 0; i < c->n_lines; i++)
        draw_line(d, &c->lines[i], out);
    put(out, head ? "</th>" : "</td>");
}

static void draw_table(const struct document *d, const struct doc_block *b, struct wbuf *out)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < b->n_columns; i++)
        sum += b->weights[i];
    put(out, "<table>\n<colgroup>");
    for (unsigned i = 0; i < b->n_columns; i++)
        putf(out, "<col style=\"width:%u%%\">", b->weights[i] * 100 / sum);
    put(out, "</colgroup>\n");
    const char *part = NULL;
    for (size_t i = 0; i < b->n_rows; i++) {
        const char *in = b->rows[i].head ? "thead" : "tbody";
        if (in != part && part)
            putf(out, "</%s>\n", part);
        if (in != part)
            putf(out, "<%s>\n", in);
        part = in;
        put(out, "<tr>");
        for (size_t k = 0; k < b->rows[i].n_cells; k++)
            draw_cell(d, &b->rows[i].cells[k], out);
        put(out, "</tr>\n");
    }
    if (part)
        putf(out, "</%s>\n", part);
    put(out, "</table>\n");
}

static void draw_block(const struct document *d, const struct doc_block *b, struct wbuf *out)
{
    switch (b->kind) {
    case BLOCK_HEADING:
        element(out, "h2", NULL, b->text);
        break;
    case BLOCK_PARAGRAPH:
        element(out, "p", NULL, b->text);
        break;
    case BLOCK_NOTE:
        element(out, "p", "note", b->text);
        break;
    case BLOCK_SIGNS:
        put(out, "<div class=\"signs\">\n");
        for (size_t i = 0; i < b->n_labels; i++) {
            put(out, "<p>");
            put_xml(out, b->labels[i], " ");
            put(out, d->lang == PAPER_ZH ? "：____________________</p>\n"
                                         : ": ____________________</p>\n");
        }
        put(out, "</div>\n");
        break;
    case BLOCK_TABLE:
        draw_table(d, b, out);
        break;
    }
}

void render_html(const struct document *d, struct wbuf *out)
{
    putf(out, "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n",
         d->lang == PAPER_ZH ? "zh-CN" : "en");
    put(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
             "style-src 'unsafe-inline'\">\n");
    element(out, "title", NULL, d->title);
    put(out, "<style>");
    put(out, style);
    put(out, "</style>\n</head>\n<body>\n");
    if (d->mark)
        element(out, "p", "mark", d->mark);
    element(out, "h1", NULL, d->title);
    if (d->number)
        element(out, "p", "number", d->number);
    for (size_t i = 0; i < d->n_blocks && !out->failed; i++)
        draw_block(d, &d->blocks[i], out);
    if (d->foot)
        element(out, "p", "foot", d->foot);
    put(out, "</body>\n</html>\n");
}
