/* render_docx.c - a paper as Office Open XML (ECMA-376, WordprocessingML): real tables, styles and page numbers, for Word and WPS. The
 * container is written by libarchive. See render.h. */
#include "lib/base/i18n.h"
#include "restore/report/render.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_TWIPS 11906        /* A4: 210 mm; a twip is 1/1440 inch */
#define PAGE_HEIGHT_TWIPS 16838 /* 297 mm */
#define MARGIN_TWIPS 907        /* 16 mm */
#define TEXT_TWIPS (PAGE_TWIPS - 2 * MARGIN_TWIPS)
#define LINE_TWIPS 320 /* of a line in a table, where room for a pen is left */
#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
#define WORD "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
#define RELS "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define PACKAGE "http://schemas.openxmlformats.org/package/2006"
#define TYPE "application/vnd.openxmlformats-officedocument.wordprocessingml."

static const char content_types[] = XML
    "<Types xmlns=\"" PACKAGE "/content-types\">"
    "<Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>"
    "<Default Extension=\"xml\" ContentType=\"application/xml\"/>"
    "<Override PartName=\"/word/document.xml\" ContentType=\"" TYPE "document.main+xml\"/>"
    "<Override PartName=\"/word/styles.xml\" ContentType=\"" TYPE "styles+xml\"/>"
    "<Override PartName=\"/word/footer1.xml\" ContentType=\"" TYPE "footer+xml\"/>"
    "<Override PartName=\"/docProps/core.xml\" "
    "ContentType=\"application/vnd.openxmlformats-package.core-properties+xml\"/></Types>";
static const char package_rels[] = XML
    "<Relationships xmlns=\"" PACKAGE "/relationships\">"
    "<Relationship Id=\"rId1\" Type=\"" RELS "/officeDocument\" Target=\"word/document.xml\"/>"
    "<Relationship Id=\"rId2\" Type=\"" PACKAGE
    "/relationships/metadata/core-properties\" Target=\"docProps/core.xml\"/></Relationships>";
static const char document_rels[] = XML
    "<Relationships xmlns=\"" PACKAGE "/relationships\">"
    "<Relationship Id=\"rId1\" Type=\"" RELS "/styles\" Target=\"styles.xml\"/>"
    "<Relationship Id=\"rId2\" Type=\"" RELS "/footer\" Target=\"footer1.xml\"/></Relationships>";
/* SimSun is on every Windows; elsewhere the name is mapped to the system's serif Chinese font. Sizes are in half points. */
#define FONTS \
    "<w:rFonts w:ascii=\"Times New Roman\" w:hAnsi=\"Times New Roman\" w:eastAsia=\"宋体\" w:cs=\"Times New Roman\"/>"
#define STYLE(id, name, paragraph, run)                                                    \
    "<w:style w:type=\"paragraph\" w:styleId=\"" id "\"><w:name w:val=\"" name             \
    "\"/><w:basedOn w:val=\"Normal\"/><w:qFormat/><w:pPr>" paragraph "</w:pPr><w:rPr>" run \
    "</w:rPr></w:style>"
/* clang-format off */
static const char styles[] = XML
    "<w:styles xmlns:w=\"" WORD "\"><w:docDefaults><w:rPrDefault><w:rPr>" FONTS
    "<w:sz w:val=\"21\"/><w:szCs w:val=\"21\"/><w:lang w:val=\"en-US\" w:eastAsia=\"zh-CN\"/></w:rPr></w:rPrDefault>"
    "<w:pPrDefault><w:pPr><w:spacing w:after=\"0\" w:line=\"264\" w:lineRule=\"auto\"/></w:pPr></w:pPrDefault></w:docDefaults>"
    "<w:style w:type=\"paragraph\" w:default=\"1\" w:styleId=\"Normal\"><w:name w:val=\"Normal\"/><w:qFormat/></w:style>"
    STYLE("Title", "Title",
          "<w:keepNext/><w:spacing w:before=\"60\" w:after=\"120\"/><w:jc w:val=\"center\"/>",
          "<w:b/><w:sz w:val=\"34\"/><w:szCs w:val=\"34\"/>")
    STYLE("Number", "Number", "<w:spacing w:after=\"120\"/><w:jc w:val=\"center\"/>", "")
    STYLE("Mark", "Mark", "<w:jc w:val=\"right\"/>", "<w:b/>")
    STYLE("Heading1", "heading 1",
          "<w:keepNext/><w:spacing w:before=\"200\" w:after=\"80\"/><w:outlineLvl w:val=\"0\"/>",
          "<w:b/><w:sz w:val=\"24\"/><w:szCs w:val=\"24\"/>")
    STYLE("Text", "Text", "<w:spacing w:before=\"60\" w:after=\"60\"/>", "")
    STYLE("Note", "Note", "<w:spacing w:before=\"60\" w:after=\"60\"/>", "<w:sz w:val=\"20\"/><w:szCs w:val=\"20\"/>")
    STYLE("Sign", "Sign",
          "<w:keepLines/><w:spacing w:before=\"120\" w:line=\"560\" w:lineRule=\"exact\"/><w:jc w:val=\"right\"/>", "")
    STYLE("Gap", "Gap", "<w:spacing w:line=\"140\" w:lineRule=\"exact\"/>", "")
    STYLE("Cell", "Cell", "<w:spacing w:line=\"252\" w:lineRule=\"auto\"/>", "")
    STYLE("CellRight", "Cell right", "<w:jc w:val=\"right\"/>", "")
    STYLE("CellHead", "Cell head", "<w:jc w:val=\"center\"/>", "<w:b/>")
    STYLE("CellLabel", "Cell label", "", "<w:b/>")
    STYLE("Foot", "footer", "<w:jc w:val=\"center\"/>", "<w:sz w:val=\"16\"/><w:szCs w:val=\"16\"/>")
    "</w:styles>";
/* clang-format on */

/* --- paragraphs --------------------------------------------------------------------------------------------------------- */
static void paragraph(struct wbuf *out, const char *style, const char *text)
{
    putf(out, "<w:p><w:pPr><w:pStyle w:val=\"%s\"/></w:pPr><w:r><w:t xml:space=\"preserve\">",
         style);
    put_xml(out, text ? text : "", "</w:t><w:br/><w:t xml:space=\"preserve\">");
    put(out, "</w:t></w:r></w:p>");
}

static void field(struct wbuf *out, const char *name)
{
    putf(
        out,
        "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText xml:space=\"preserve\"> %s </w:instrText></w:r>"
        "<w:r><w:fldChar w:fldCharType=\"separate\"/></w:r><w:r><w:t>1</w:t></w:r>"
        "<w:r><w:fldChar w:fldCharType=\"end\"/></w:r>",
        name);
}

static void run(struct wbuf *out, const char *text)
{
    put(out, "<w:r><w:t xml:space=\"preserve\">");
    put_xml(out, text, " ");
    put(out, "</w:t></w:r>");
}

static void footer(const struct document *d, struct wbuf *out)
{
    bool zh = d->lang == PAPER_ZH;
    put(out, XML "<w:ftr xmlns:w=\"" WORD "\">");
    if (d->foot)
        paragraph(out, "Foot", d->foot);
    put(out, "<w:p><w:pPr><w:pStyle w:val=\"Foot\"/></w:pPr>");
    run(out, zh ? "第 " : "Page ");
    field(out, "PAGE");
    run(out, zh ? " 页，共 " : " of ");
    field(out, "NUMPAGES");
    run(out, zh ? " 页" : "");
    put(out, "</w:p></w:ftr>");
}

/* --- tables --------------------------------------------------------------------------------------------------------------- */
static void cell(const struct document *d, const struct doc_cell *c, unsigned twips,
                 struct wbuf *out)
{
    static const char *const cell_styles[] = { "Cell", "CellLabel", "CellHead", "CellRight" };
    bool middle = c->kind == CELL_LABEL || c->kind == CELL_HEAD;
    putf(out, "<w:tc><w:tcPr><w:tcW w:w=\"%u\" w:type=\"dxa\"/>", twips);
    if (c->span > 1)
        putf(out, "<w:gridSpan w:val=\"%u\"/>", c->span);
    put(out, middle ? "<w:vAlign w:val=\"center\"/></w:tcPr>" : "</w:tcPr>");
    for (size_t i = 0; i < c->n_lines; i++) {
        char *text = doc_line_text(d, &c->lines[i]);
        paragraph(out, cell_styles[c->kind], text);
        out->failed = out->failed || !text;
        free(text);
    }
    if (c->n_lines == 0)
        paragraph(out, cell_styles[c->kind], "");
    put(out, "</w:tc>");
}

static void row(const struct document *d, const struct doc_row *r, const unsigned twips[],
                struct wbuf *out)
{
    unsigned room = 0, column = 0;
    for (size_t i = 0; i < r->n_cells; i++)
        room = r->cells[i].min_lines > room ? r->cells[i].min_lines : room;
    put(out, "<w:tr><w:trPr>");
    if (room > 1)
        putf(out, "<w:trHeight w:val=\"%u\" w:hRule=\"atLeast\"/>", room * LINE_TWIPS);
    put(out, r->head ? "<w:tblHeader/></w:trPr>" : "</w:trPr>");
    for (size_t i = 0; i < r->n_cells; i++) {
        unsigned width = 0;
        for (unsigned k = 0; k < r->cells[i].span; k++)
            width += twips[column++];
        cell(d, &r->cells[i], width, out);
    }
    put(out, "</w:tr>");
}

static void table(const struct document *d, const struct doc_block *b, struct wbuf *out)
{
    static const char *const edges[] = { "top", "left", "bottom", "right", "insideH", "insideV" };
    unsigned twips[MAX_PAPER_COLUMNS], sum = 0;
    for (unsigned i = 0; i < b->n_columns; i++)
        sum += b->weights[i];
    putf(
        out,
        "<w:tbl><w:tblPr><w:tblW w:w=\"%u\" w:type=\"dxa\"/><w:jc w:val=\"center\"/><w:tblBorders>",
        TEXT_TWIPS);
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        putf(out, "<w:%s w:val=\"single\" w:sz=\"6\" w:space=\"0\" w:color=\"000000\"/>", edges[i]);
    put(out,
        "</w:tblBorders><w:tblLayout w:type=\"fixed\"/><w:tblCellMar><w:top w:w=\"40\" w:type=\"dxa\"/><w:bottom w:w=\"40\" w:type=\"dxa\"/></w:tblCellMar></w:tblPr><w:tblGrid>");
    for (unsigned i = 0; i < b->n_columns; i++) {
        twips[i] = TEXT_TWIPS * b->weights[i] / sum;
        putf(out, "<w:gridCol w:w=\"%u\"/>", twips[i]);
    }
    put(out, "</w:tblGrid>");
    for (size_t i = 0; i < b->n_rows && !out->failed; i++)
        row(d, &b->rows[i], twips, out);
    put(out, "</w:tbl>");
    paragraph(out, "Gap", ""); /* two tables without one between them would become one */
}

/* One paragraph, so that no page break parts them. */
static void signs(const struct document *d, const struct doc_block *b, struct wbuf *out)
{
    struct wbuf text = WBUF_INIT;
    for (size_t i = 0; i < b->n_labels; i++) {
        put(&text, i ? "\n" : "");
        put(&text, b->labels[i]);
        put(&text, d->lang == PAPER_ZH ? "：____________________" : ": ____________________");
    }
    wb_u8(&text, 0);
    out->failed = out->failed || text.failed;
    paragraph(out, "Sign", text.failed ? "" : (const char *)text.p);
    wbuf_free(&text);
}

static void body(const struct document *d, struct wbuf *out)
{
    static const char *const block_styles[] = { "Heading1", "Text", "", "Note", "" };
    put(out, XML "<w:document xmlns:w=\"" WORD "\" xmlns:r=\"" RELS "\"><w:body>");
    if (d->mark)
        paragraph(out, "Mark", d->mark);
    paragraph(out, "Title", d->title);
    if (d->number)
        paragraph(out, "Number", d->number);
    for (size_t i = 0; i < d->n_blocks && !out->failed; i++)
        if (d->blocks[i].kind == BLOCK_TABLE)
            table(d, &d->blocks[i], out);
        else if (d->blocks[i].kind == BLOCK_SIGNS)
            signs(d, &d->blocks[i], out);
        else
            paragraph(out, block_styles[d->blocks[i].kind], d->blocks[i].text);
    putf(
        out,
        "<w:sectPr><w:footerReference w:type=\"default\" r:id=\"rId2\"/><w:pgSz w:w=\"%d\" w:h=\"%d\"/>"
        "<w:pgMar w:top=\"%d\" w:right=\"%d\" w:bottom=\"%d\" w:left=\"%d\" w:header=\"567\" w:footer=\"454\" "
        "w:gutter=\"0\"/></w:sectPr></w:body></w:document>",
        PAGE_TWIPS, PAGE_HEIGHT_TWIPS, MARGIN_TWIPS, MARGIN_TWIPS, MARGIN_TWIPS, MARGIN_TWIPS);
}

static void properties(const struct document *d, struct wbuf *out)
{
    put(out, XML "<cp:coreProperties xmlns:cp=\"" PACKAGE "/metadata/core-properties\" "
                 "xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:title>");
    put_xml(out, d->title, " ");
    put(out, "</dc:title><dc:identifier>");
    put_xml(out, d->foot ? d->foot : "", " ");
    put(out, "</dc:identifier></cp:coreProperties>");
}

/* --- the container --------------------------------------------------------------------------------------------------------- */
static int zip_failed(struct archive *a, struct err *e)
{
    const char *why = archive_error_string(a);
    return err_set(e, ERR_FAILED, _("libarchive cannot write a zip file: %s"), why ? why : "?");
}

static int add_part(struct archive *a, const char *name, const void *p, size_t n, struct err *e)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)n);
    archive_entry_set_mtime(entry, 315532800,
                            0); /* 1980, where zip begins: the same paper, the same bytes */
    int rc = archive_write_header(a, entry);
    archive_entry_free(entry);
    if (rc != ARCHIVE_OK || archive_write_data(a, p, n) != (la_ssize_t)n)
        return zip_failed(a, e);
    return 0;
}

static int add_drawn(struct archive *a, const char *name,
                     void (*draw)(const struct document *, struct wbuf *), const struct document *d,
                     struct err *e)
{
    struct wbuf part = WBUF_INIT;
    draw(d, &part);
    int rc = part.failed ? err_set(e, ERR_NOMEM, _("out of memory"))
                         : add_part(a, name, part.p, part.len, e);
    wbuf_free(&part);
    return rc;
}

static la_ssize_t keep(struct archive *a, void *ctx, const void *p, size_t n)
{
    struct wbuf *out = ctx;
    (void)a;
    wb_bytes(out, p, n);
    return out->failed ? -1 : (la_ssize_t)n;
}

int render_docx(const struct document *d, struct wbuf *out, struct err *e)
{
    static const struct {
        const char *name, *text;
    } fixed[] = {
        { "[Content_Types].xml", content_types }, /* first: some readers want it there */
        { "_rels/.rels", package_rels },
        { "word/_rels/document.xml.rels", document_rels },
        { "word/styles.xml", styles },
    };
    struct archive *a = archive_write_new();
    if (!a)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int rc = 0;
    if (archive_write_set_format_zip(a) != ARCHIVE_OK ||
        archive_write_set_options(a, "zip:compression=deflate,zip:!experimental") ==
            ARCHIVE_FATAL ||
        archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK ||
        archive_write_open(a, out, NULL, keep, NULL) != ARCHIVE_OK)
        rc = zip_failed(a, e);
    for (size_t i = 0; rc == 0 && i < sizeof fixed / sizeof *fixed; i++)
        rc = add_part(a, fixed[i].name, fixed[i].text, strlen(fixed[i].text), e);
    if (rc == 0)
        rc = add_drawn(a, "word/document.xml", body, d, e);
    if (rc == 0)
        rc = add_drawn(a, "word/footer1.xml", footer, d, e);
    if (rc == 0)
        rc = add_drawn(a, "docProps/core.xml", properties, d, e);
    if (rc == 0 && archive_write_close(a) != ARCHIVE_OK)
        rc = zip_failed(a, e);
    archive_write_free(a);
    return rc;
}
