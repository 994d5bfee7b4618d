/*
 * document.h - a paper before it is drawn: title, tables whose cells span columns, paragraphs, blanks that a person fills in, places
 * for signatures. Forms (forms.h) make one; every renderer (render.h) draws all of it and adds nothing, so the same words stand
 * in the text, the HTML, the PDF, the DOCX and the JSON.
 *
 *     struct document *d = document_new("incident", PAPER_ZH, "网络与信息安全事件情况报告书");
 *     doc_table(d, 4, (unsigned[]){ 20, 30, 20, 30 });
 *     doc_row(d, false);
 *     doc_cell(d, CELL_LABEL, 1);  doc_line(d, NULL, "单位名称");
 *     doc_cell(d, CELL_VALUE, 3);  doc_line(d, NULL, "财政局");
 *     doc_row(d, false); …         doc_blank(d, "地点", "place", "待填写");
 *     doc_note(d, "注：…");        doc_signs(d, (const char *[]){ "负责人签字" }, 1);
 *     if (document_check(d, e) == 0) render(d, PAPER_PDF, &out, e);
 *     document_free(d);
 *
 * Texts may come from anywhere. They are made clean when they are taken: what is not UTF-8, controls, and characters that hide or turn
 * the direction of text become \ooo, as everywhere in the program; a line break stays one. So no renderer meets a byte that XML
 * or a terminal could not take. Building is sticky: without memory, or over a bound, nothing more is added and document_check says so.
 */
#ifndef TWOFOLD_RESTORE_REPORT_DOCUMENT_H
#define TWOFOLD_RESTORE_REPORT_DOCUMENT_H

#include "lib/base/err.h"
#include <jansson.h>
#include <stddef.h>

#define MAX_PAPER_TEXT ((size_t)256 << 10) /* of one line; longer ones lose their end, and say so */
#define MAX_PAPER_COLUMNS 16
#define MAX_PAPER_ROWS 200000 /* of a document */

enum paper_lang { PAPER_ZH, PAPER_EN };
const char *paper_lang_name(enum paper_lang l); /* "zh" */

enum cell_kind { CELL_VALUE, CELL_LABEL, CELL_HEAD, CELL_NUMBER /* a value, to the right */ };
struct doc_line {
    char *label; /* "地点": stands before the text with a colon; NULL: none */
    char *text;  /* of a blank: what it is for, "待填写" */
    char *field; /* of docs/forms.md; NULL: none */
    bool blank;  /* nobody has said it: drawn as a marked blank */
};
struct doc_cell {
    enum cell_kind kind;
    unsigned span;      /* columns, from 1 */
    unsigned min_lines; /* room for so many, for a pen */
    struct doc_line *lines;
    size_t n_lines;
};
struct doc_row {
    struct doc_cell *cells; /* their spans make up all columns */
    size_t n_cells;
    bool head; /* a table's first rows may be: repeated on each page */
};
enum block_kind { BLOCK_HEADING, BLOCK_PARAGRAPH, BLOCK_TABLE, BLOCK_NOTE, BLOCK_SIGNS };
struct doc_block {
    enum block_kind kind;
    char *text;    /* heading, paragraph, note */
    char **labels; /* places for signatures */
    size_t n_labels;
    unsigned n_columns, weights[MAX_PAPER_COLUMNS];
    struct doc_row *rows;
    size_t n_rows;
};
struct document {
    char *form, *title;
    char *number; /* "第 3 次"; NULL: none */
    char *mark;   /* "草稿"; NULL: none */
    char *foot;   /* what the paper can be found by; on every page; NULL: none */
    enum paper_lang lang;
    struct doc_block *blocks;
    size_t n_blocks, n_rows;
    enum err_code failed;
};

struct document *document_new(const char *form, enum paper_lang lang,
                              const char *title); /* NULL without memory */
void document_free(struct document *d);           /* NULL-safe */
void document_number(struct document *d, const char *text);
void document_mark(struct document *d, const char *text);
void document_foot(struct document *d, const char *text);
void doc_heading(struct document *d, const char *text);
void doc_paragraph(struct document *d, const char *text);
void doc_note(struct document *d, const char *text);
void doc_signs(struct document *d, const char *const labels[], size_t n);
/* What follows goes into the newest table, row and cell. Weights are widths to one another. */
void doc_table(struct document *d, unsigned n_columns, const unsigned weights[]);
void doc_row(struct document *d, bool head);
void doc_cell(struct document *d, enum cell_kind kind, unsigned span);
void doc_room(struct document *d, unsigned min_lines); /* of that cell */
/* A text, which may have several lines; NULL or "" is an empty line. field, label: may be NULL. */
void doc_line(struct document *d, const char *label, const char *text);
void doc_field(struct document *d, const char *label, const char *field, const char *text);
void doc_blank(struct document *d, const char *label, const char *field, const char *what);
/* A cell of one line: what most are. */
void doc_value(struct document *d, enum cell_kind kind, unsigned span, const char *text);
/* -ERR_NOMEM, -ERR_LIMIT, or -ERR_FAILED where the spans of a row do not make up its table's columns. */
int document_check(const struct document *d, struct err *e);

/* "地点：" and the text, or the blank as it is drawn, "________（待填写）". Owned; NULL without memory. */
char *doc_line_text(const struct document *d, const struct doc_line *l);

/* The whole of it as an object with names that stay (docs/forms.md), and back. */
json_t *document_json(const struct document *d); /* NULL without memory */
int document_parse(const json_t *o, struct document **ret, struct err *e);

/* Clean text, as above; owned, NULL without memory. */
char *paper_clean(const char *p, size_t n);
/* One character of clean text: its bytes; *ret: its number. */
size_t paper_char(const char *p, unsigned *ret);
/* Columns of a terminal: 2 for wide characters, 0 for those that join the one before. Needs no locale. */
unsigned paper_columns(unsigned ch);
size_t paper_width(const char *s);
/* Bytes of the first line of s when it is broken into lines of `columns`: behind a blank, beside a wide character, else where it must
 * be; at least one character. *ret_next: where the next line begins. */
size_t paper_break(const char *s, size_t columns, size_t *ret_next);

#endif
