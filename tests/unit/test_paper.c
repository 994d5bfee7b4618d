/* test_paper.c - restore/report/: a paper as a document and its renderers, with texts that try to break out of them. */
#include "lib/base/sys.h"
#include "restore/report/render.h"

#include <setjmp.h> /* cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOSTILE                                                                            \
    "<script>alert('&')</script> \"quoted\" \x1b[31mred\x07 bad\xff\xfe utf8 \xe2\x80\xae" \
    "turned ]]> ${x} \\ 中文：标点，符号。\r\nsecond line\ttab \xcd\xb8"
#define LONG_WORD 3000

static char *long_word(void)
{
    char *word = malloc(LONG_WORD + 1);
    assert_non_null(word);
    memset(word, 'Q', LONG_WORD);
    word[LONG_WORD] = '\0';
    return word;
}

/* A form and a data table, with everything that a cell can hold. */
static struct document *sample(enum paper_lang lang, size_t rows)
{
    struct document *d = document_new(
        "incident", lang, lang == PAPER_ZH ? "网络与信息安全事件情况报告书" : "Incident report");
    char *word = long_word(), text[64];
    assert_non_null(d);
    document_number(d, lang == PAPER_ZH ? "第 3 次" : "No. 3");
    document_mark(d, "DRAFT");
    document_foot(d, "billing-20261126-0312 " HOSTILE);
    doc_heading(d, HOSTILE);
    doc_paragraph(d, HOSTILE);
    doc_table(d, 4, (unsigned[]){ 18, 32, 18, 32 });
    doc_row(d, false);
    doc_value(d, CELL_LABEL, 1, "单位名称");
    doc_value(d, CELL_VALUE, 1, HOSTILE);
    doc_value(d, CELL_LABEL, 1, "报告人");
    doc_cell(d, CELL_VALUE, 1);
    doc_blank(d, NULL, "reporter", lang == PAPER_ZH ? "待填写" : "to be filled in");
    doc_row(d, false);
    doc_value(d, CELL_LABEL, 1, "事件发生时间、地点");
    doc_cell(d, CELL_VALUE, 3);
    doc_room(d, 4);
    doc_field(d, "时间", "started", "2026-11-26 03:12");
    doc_blank(d, "地点", "place", "待填写");
    doc_line(d, NULL, word);
    doc_table(d, 3, (unsigned[]){ 1, 3, 1 });
    doc_row(d, true);
    doc_value(d, CELL_HEAD, 1, "序号");
    doc_value(d, CELL_HEAD, 1, "HEADING-2");
    doc_value(d, CELL_HEAD, 1, "数");
    for (size_t i = 0; i < rows; i++) {
        snprintf(text, sizeof text, "row-%zu 行", i);
        doc_row(d, false);
        doc_value(d, CELL_NUMBER, 1, text + 4);
        doc_value(d, CELL_VALUE, 1, text);
        doc_value(d, CELL_NUMBER, 1, "7");
    }
    doc_note(d, "注：" HOSTILE);
    doc_signs(d, (const char *[]){ "负责人签字", "日期" }, 2);
    free(word);
    return d;
}

static char *drawn(const struct document *d, enum paper_format f, size_t *ret_len)
{
    struct wbuf out = WBUF_INIT;
    struct err e = ERR_INIT;
    if (render(d, f, &out, &e) < 0)
        fail_msg("%s: %s: %s", paper_format_name(f), e.what, e.why);
    *ret_len = out.len;
    wb_u8(&out, 0);
    assert_false(out.failed);
    return (char *)out.p;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

/* What a shell command says to the file's bytes on its standard input; owned. */
static char *asked(const char *command, const char *p, size_t n)
{
    char path[] = "/tmp/paper.XXXXXX", line[2000];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
    snprintf(line, sizeof line, "(%s) <%s 2>&1", command, path);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    struct wbuf out = WBUF_INIT;
    int ch;
    while ((ch = fgetc(f)) != EOF)
        wb_u8(&out, (uint8_t)ch);
    wb_u8(&out, 0);
    int status = pclose(f);
    unlink(path);
    if (status != 0)
        fail_msg("%s: status %d: %.300s", command, status, (char *)out.p);
    return (char *)out.p;
}

/* Texts of a PDF break where lines do: compared is without blanks. */
static void squeeze(char *text)
{
    char *to = text;
    for (const char *p = text; *p; p++)
        if (!strchr(" \n\r\t\f", *p))
            *to++ = *p;
    *to = '\0';
}

/* --- clean texts ------------------------------------------------------------------------------------------------------- */
static void clean_is(const char *text, const char *wanted)
{
    char *clean = paper_clean(text, strlen(text));
    assert_string_equal(clean, wanted);
    free(clean);
}

static void test_clean(void **state)
{
    clean_is("plain 中文", "plain 中文");
    clean_is("a\x1b[1m\x07", "a\\033[1m\\007");
    clean_is("\xff\xc0\x80\xed\xa0\x80 \xf4\x90\x80\x80",
             "\\377\\300\\200\\355\\240\\200 \\364\\220\\200\\200");
    clean_is("\xe2\x80\xae", "\\342\\200\\256");
    clean_is("\xe4\xb8", "\\344\\270");
    clean_is("a\r\nb\tc\rd", "a\nb c\\015d");
    clean_is("\xc2\x85\xef\xbf\xbf", "\\302\\205\\357\\277\\277");
}

static void test_break(void **state)
{
    size_t next = 0;
    assert_int_equal(paper_width("ab中文"), 6);
    assert_int_equal(paper_break("one two three", 8, &next), 7);
    assert_int_equal(next, 8);
    assert_int_equal(paper_break("wwwwwwwwww", 4, &next), 4);
    assert_int_equal(next, 4);
    assert_int_equal(paper_break("中文字", 5, &next), 6);
    assert_int_equal(next, 6);
    /* A closing mark does not begin a line: the character before it goes with it. */
    assert_int_equal(paper_break("中文，字", 5, &next), 3);
    assert_int_equal(paper_break("a\nb", 5, &next), 1);
    assert_int_equal(next, 2);
    assert_int_equal(paper_break("中", 1, &next), 3);
}

/* --- renderers ------------------------------------------------------------------------------------------------------------ */
static void test_text(void **state)
{
    struct document *d = sample(PAPER_ZH, 3);
    size_t n = 0, words = 0;
    char *text = drawn(d, PAPER_TEXT, &n), *save = NULL;
    assert_non_null(strstr(text, "第 3 次"));
    assert_non_null(strstr(text, "地点：________（待填写）"));
    assert_null(strchr(text, '\x1b'));
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (paper_width(line) > 80)
            fail_msg("wider than 80 columns: %s", line);
        if (*line == '|' || *line == '+')
            assert_int_equal(paper_width(line), 80);
        for (const char *c = line; *c; c++)
            words += *c == 'Q';
    }
    assert_int_equal(words, LONG_WORD);
    free(text);
    document_free(d);
}

static void test_html(void **state)
{
    struct document *d = sample(PAPER_EN, 3);
    size_t n = 0;
    char *html = drawn(d, PAPER_HTML, &n);
    assert_int_equal(strlen(html), n);
    assert_null(strstr(html, "<script"));
    assert_non_null(
        strstr(html, "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt; &quot;quoted&quot;"));
    assert_null(strchr(html, '\x1b'));
    assert_null(strstr(html, "http://"));
    assert_null(strstr(html, "https://"));
    assert_int_equal(count(html, "<td") + count(html, "<th "),
                     count(html, "</td>") + count(html, "<th "));
    assert_int_equal(count(html, "<tr>"), count(html, "</tr>"));
    assert_int_equal(count(html, "<thead>"), 1);
    assert_non_null(strstr(html, "data-field=\"place\""));
    free(html);
    document_free(d);
}

static const char docx_words[] =
    "python3 -c 'import sys, io, zipfile, xml.dom.minidom as m\n"
    "z = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))\n"
    "assert z.testzip() is None\n"
    "for n in z.namelist():\n"
    "    m.parseString(z.read(n))\n"
    "    assert not z.getinfo(n).flag_bits & 1\n"
    "d = m.parseString(z.read(\"word/document.xml\"))\n"
    "for p in d.getElementsByTagName(\"w:p\"):\n"
    "    print(\"\".join(t.firstChild.data if t.firstChild else \"\" for t in p.getElementsByTagName(\"w:t\")))\n"
    "for t in d.getElementsByTagName(\"w:tbl\"):\n"
    "    grid = len(t.getElementsByTagName(\"w:gridCol\"))\n"
    "    for r in t.getElementsByTagName(\"w:tr\"):\n"
    "        spans = [c.getElementsByTagName(\"w:gridSpan\") for c in r.getElementsByTagName(\"w:tc\")]\n"
    "        assert grid == sum(int(s[0].getAttribute(\"w:val\")) if s else 1 for s in spans)\n"
    "print(\"heads\", len(d.getElementsByTagName(\"w:tblHeader\")))'";

static void test_docx(void **state)
{
    struct document *d = sample(PAPER_ZH, 3);
    size_t n = 0, m = 0;
    char *docx = drawn(d, PAPER_DOCX, &n), *again = drawn(d, PAPER_DOCX, &m);
    char *words = asked(docx_words, docx, n);
    assert_int_equal(n, m);
    assert_memory_equal(docx, again, n);
    assert_non_null(
        strstr(words, "<script>alert('&')</script> \"quoted\" \\033[31mred\\007 bad\\377\\376"));
    assert_non_null(strstr(words, "地点：________（待填写）"));
    assert_non_null(strstr(words, "row-2 行"));
    assert_non_null(strstr(words, "heads 1"));
    assert_non_null(strstr(words, "负责人签字：____"));
    free(words);
    free(docx);
    free(again);
    document_free(d);
}

static void test_json(void **state)
{
    struct document *d = sample(PAPER_ZH, 3), *back = NULL;
    struct err e = ERR_INIT;
    size_t n = 0, m = 0;
    char *text = drawn(d, PAPER_JSON, &n);
    json_t *o = json_loadb(text, n, 0, NULL);
    assert_non_null(o);
    assert_int_equal(document_parse(o, &back, &e), 0);
    char *again = drawn(back, PAPER_JSON, &m);
    assert_string_equal(text, again);
    free(again);
    document_free(back);
    /* What is no paper is refused, not crashed on. */
    json_t *rows = json_object_get(json_array_get(json_object_get(o, "blocks"), 2), "rows");
    json_t *cells = json_object_get(json_array_get(rows, 0), "cells");
    json_array_remove(cells, 0);
    assert_int_equal(document_parse(o, &back, &e), -ERR_FAILED);
    json_object_set_new(json_array_get(cells, 0), "span", json_integer(1 << 30));
    assert_int_equal(document_parse(o, &back, &e), -ERR_PROTOCOL);
    json_decref(o);
    free(text);
    document_free(d);
}

static void test_pdf(void **state)
{
    static const char *const wanted[] = {
        "DRAFT",
        "第3次",
        "地点：________（待填写）",
        "<script>alert('&')</script>\"quoted\"\\033[31mred\\007bad\\377\\376",
        "中文：标点，符号。secondlinetab[U+0378]",
        "row-199行",
        "负责人签字：____",
        "第1页，共"
    };
    struct document *d = sample(PAPER_ZH, 200);
    size_t n = 0, words = 0;
    char *pdf = drawn(d, PAPER_PDF, &n), *text = asked("pdftotext -layout - -", pdf, n);
    char *info = asked("pdfinfo -", pdf, n), *fonts = asked("pdffonts -", pdf, n);
    assert_non_null(strstr(info, "(A4)"));
    unsigned pages = 0;
    assert_int_equal(sscanf(strstr(info, "Pages:"), "Pages: %u", &pages), 1);
    assert_true(pages > 5);
    assert_int_equal(count(text, "HEADING-2") >= pages - 3,
                     true);                 /* on every page that the table is on */
    assert_null(strstr(fonts, " no  yes")); /* every font is embedded */
    squeeze(text);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(text, wanted[i]))
            fail_msg("not in the PDF: %s", wanted[i]);
    for (const char *c = text; *c; c++)
        words += *c == 'Q';
    assert_true(words >= LONG_WORD);
    free(text);
    free(info);
    free(fonts);
    free(pdf);
    document_free(d);
}

/* Of texts that are laid out piece by piece nothing is lost between two: words, lines, letters of one word, places to sign. */
static void test_pdf_pieces(void **state)
{
    struct document *d = document_new("x", PAPER_EN, "x");
    struct wbuf words = WBUF_INIT;
    char one[32], label[1200] = "Z", *word = malloc(20001);
    for (unsigned i = 0; i < 4000; i++) {
        int n = snprintf(one, sizeof one, "w%u%s", i, i % 7 ? " " : i % 21 ? "\n" : "\xc3\xa9 ");
        wb_bytes(&words, one, (size_t)n);
    }
    wb_u8(&words, 0);
    assert_non_null(word);
    memset(word, 'Q', 20000);
    word[20000] = '\0';
    for (size_t i = 0; i < 380; i++) /* 1141 bytes: a bound would cut a character in two */
        memcpy(label + 1 + 3 * i, "中", 4);
    doc_paragraph(d, (char *)words.p);
    doc_paragraph(d, word);
    doc_signs(d, (const char *[]){ label }, 1);
    document_foot(d, (char *)words.p);
    size_t n = 0, letters = 0;
    char *pdf = drawn(d, PAPER_PDF, &n), *text = asked("pdftotext -layout - -", pdf, n);
    for (const char *c = text; *c; c++)
        letters += *c == 'Q';
    assert_int_equal(letters, 20000);
    assert_int_equal(count(text, "中"), 380);
    for (unsigned i = 0; i < 4000; i++) {
        snprintf(one, sizeof one, "w%u", i);
        if (!strstr(text, one))
            fail_msg("not in the PDF: %s", one);
    }
    assert_null(strstr(text, "\xef\xbf\xbd"));
    wbuf_free(&words);
    free(word);
    free(text);
    free(pdf);
    document_free(d);
}

static void test_long_table(void **state)
{
    struct document *d = sample(PAPER_ZH, 10000);
    struct err e = ERR_INIT;
    assert_int_equal(document_check(d, &e), 0);
    for (unsigned f = 0; f < PAPER_FORMATS; f++) {
        size_t n = 0;
        char *out = drawn(d, (enum paper_format)f, &n);
        if (f == PAPER_TEXT || f == PAPER_HTML || f == PAPER_JSON)
            assert_non_null(strstr(out, "row-9999 行"));
        if (f == PAPER_PDF) {
            char *text = asked("pdftotext -layout - -", out, n);
            squeeze(text);
            assert_non_null(strstr(text, "row-9999行"));
            assert_non_null(strstr(text, "row-5000行"));
            free(text);
        }
        free(out);
    }
    document_free(d);
}

static void test_bounds(void **state)
{
    struct err e = ERR_INIT;
    struct document *d = document_new("x", PAPER_EN, "x");
    doc_table(d, 3, (unsigned[]){ 1, 1, 1 });
    doc_row(d, false);
    doc_value(d, CELL_VALUE, 2, "two of three");
    assert_int_equal(document_check(d, &e), -ERR_FAILED);
    document_free(d);
    d = document_new("x", PAPER_EN, "x");
    doc_row(d, false); /* of no table */
    doc_value(d, CELL_VALUE, 2, "lost");
    assert_int_equal(document_check(d, &e), -ERR_FAILED);
    document_free(d);
    d = document_new("x", PAPER_EN, "x");
    doc_table(d, MAX_PAPER_COLUMNS + 1, (unsigned[MAX_PAPER_COLUMNS + 1]){ 1 });
    assert_int_equal(document_check(d, &e), -ERR_LIMIT);
    document_free(d);
}

/* Where fontconfig knows of no font at all, the message says which package to install. */
static void test_no_font(void **state)
{
    struct document *d = sample(PAPER_ZH, 1);
    struct wbuf out = WBUF_INIT;
    struct err e = ERR_INIT;
    static const char conf[] = "<fontconfig><dir>/nonexistent</dir></fontconfig>";
    char path[] = "/tmp/paper.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, conf, sizeof conf - 1), sizeof conf - 1);
    assert_int_equal(fchmod(fd, 0644), 0); /* what draws is no longer root */
    close(fd);
    setenv("FONTCONFIG_FILE", path, 1);
    int rc = render(d, PAPER_PDF, &out, &e);
    unlink(path);
    unsetenv("FONTCONFIG_FILE");
    assert_int_equal(rc, -ERR_ABSENT);
    assert_non_null(strstr(e.next, "fonts-wqy-zenhei"));
    assert_int_equal(out.len, 0);
    wbuf_free(&out);
    document_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),      cmocka_unit_test(test_break),
        cmocka_unit_test(test_text),       cmocka_unit_test(test_html),
        cmocka_unit_test(test_docx),       cmocka_unit_test(test_json),
        cmocka_unit_test(test_pdf),        cmocka_unit_test(test_pdf_pieces),
        cmocka_unit_test(test_long_table), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_no_font),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
