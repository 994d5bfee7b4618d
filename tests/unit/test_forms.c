/* test_forms.c - restore/report/forms.h: the forms against docs/forms.md, against what happened, and in every rendering. */
#include "lib/base/sys.h"
#include "restore/incident/procedure.h"
#include "restore/report/forms.h"
#include "restore/report/render.h"
#include "restore/report/words.h"
#include "tests/story_kit.h"

#include <setjmp.h> /* cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOW 1795000000 /* 2026-11-18 */
#define MAX_DOC ((size_t)1 << 20)

/* --- what the forms are filled from ---------------------------------------------------------------------------------------- */
struct fixture {
    char dir[64];
    struct config_paths paths;
    struct incident *inc;
    const struct incident *list[1];
    struct forms_conf conf;
    struct contacts contacts;
    struct paper_site site;
    struct report r;
    struct err e;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

static void add(struct fixture *f, enum event_kind kind, json_t *body)
{
    assert_non_null(body);
    if (incident_add(f->inc, kind, body, &f->e) < 0)
        fail_msg("%s: %s", f->e.what, f->e.why);
}

static void open_one(struct fixture *f, bool drill)
{
    const struct incident_opening o = { .policy = "billing",
                                        .vault = "main",
                                        .agent = "db1",
                                        .cause = CAUSE_FAULT,
                                        .drill = drill,
                                        .settings = json_object() };
    if (incident_create(&f->paths, &o, &f->inc, &f->e) < 0)
        fail_msg("%s: %s", f->e.what, f->e.why);
    f->r.inc = f->list[0] = f->inc;
}

static void whole_story(struct fixture *f)
{
    open_one(f, false);
    if (story_tell(f->inc, NOW, &f->e) < 0)
        fail_msg("%s: %s", f->e.what, f->e.why);
}

static int setup(void **state)
{
    static struct role roles[] = {
        { .name = "leading-group",
          .a = { .name = "赵立", .unit = "局领导", .phone = "0393-5550100" } },
        { .name = "operator",
          .a = { .name = "陈静", .phone = "13800000003", .mail = "chen@bureau.example" },
          .b = { .name = "杨帆" } },
        { .name = "vendor",
          .a = { .name = "Support & desk", .unit = "Vendor Ltd.", .phone = "400-5550199" } },
    };
    static struct unit_contact units[] = {
        { .name = "县财政局", .contact = "周涛", .phone = "0393-5550131" }
    };
    static const struct paper_policy policies[] = {
        { .name = "billing",
          .vault = "main",
          .agent = "db1",
          .whole_s = NOW - 3600,
          .bytes = 1 << 30,
          .rpo_s = 86400,
          .runs = 300,
          .good = 298,
          .failed = 2 },
    };
    static const struct paper_copy copies[] = {
        { .vault = "main",
          .place = "机房",
          .url = "/backup/a",
          .state = "current",
          .text = "current",
          .seen_s = NOW },
        { .vault = "main",
          .place = "保险柜",
          .url = "/media/b",
          .state = "behind",
          .medium = "disk-1: 保险柜，王伟",
          .rotating = true },
    };
    static const struct paper_alarm alarms[] = { { "warning", "SMX-6", "backup is late",
                                                   NOW - 60 } };
    static const struct paper_finding findings[] = { { "PY-AB", "role police has no B person",
                                                       false } };
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "%s/forms.XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    f->paths = (struct config_paths){ .config_dir = f->dir, .state_dir = f->dir };
    f->contacts = (struct contacts){ .roles = roles,
                                     .n_roles = 3,
                                     .units = units,
                                     .n_units = 1,
                                     .reviewed_s = NOW - 86400,
                                     .review_every_s = 90 * 86400 };
    f->site = (struct paper_site){ policies, copies, alarms, findings, 1, 2, 1, 1, true };
    f->conf.unit = "某市财政局";
    f->r = (struct report){ .now_s = NOW,
                            .year = 2026,
                            .conf = &f->conf,
                            .contacts = &f->contacts,
                            .site = &f->site,
                            .who = "root",
                            .host = "backup1",
                            .incidents = f->list,
                            .n_incidents = 0 };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    incident_free(f->inc);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static struct document *filled(struct fixture *f, const char *name, enum paper_lang lang)
{
    struct document *d = NULL;
    f->r.lang = lang;
    if (form_fill(form_find(name), &f->r, &d, &f->e) < 0)
        fail_msg("%s: %s", name, f->e.why);
    return d;
}

static char *drawn(const struct document *d, enum paper_format fmt, size_t *ret_len)
{
    struct wbuf out = WBUF_INIT;
    struct err e = ERR_INIT;
    if (render(d, fmt, &out, &e) < 0)
        fail_msg("%s: %s: %s", paper_format_name(fmt), e.what, e.why);
    *ret_len = out.len;
    wb_u8(&out, 0);
    assert_false(out.failed);
    return (char *)out.p;
}

/* --- docs/forms.md ----------------------------------------------------------------------------------------------------------- */
static void doc_line_of(char *line, size_t max, const struct form *f, const char *name,
                        struct bilingual w, enum field_source s)
{
    snprintf(line, max, "| %s | `%s` | %s | %s | %s |", f->name, name, w.zh, w.en,
             field_source_name(s));
}

/* Calls fn with the line of each field and of each column of every form. */
static void each_line(void (*fn)(void *ctx, const char *line), void *ctx)
{
    char line[600];
    for (const struct form *const *f = forms; *f; f++) {
        for (size_t i = 0; i < (*f)->n_fields; i++) {
            const struct field *one = &(*f)->fields[i];
            doc_line_of(line, sizeof line, *f, one->name, one->label, one->source);
            fn(ctx, line);
        }
        for (const struct form_table *const *t = (*f)->tables; t && *t; t++)
            for (size_t i = 0; i < (*t)->n_columns; i++) {
                const struct column *c = &(*t)->columns[i];
                doc_line_of(line, sizeof line, *f, c->name, c->label, c->source);
                fn(ctx, line);
            }
    }
}

struct page {
    const char *text;
    size_t n, missing;
};
static void is_in_page(void *ctx, const char *line)
{
    struct page *p = ctx;
    p->n++;
    if (!strstr(p->text, line)) {
        print_error("not in docs/forms.md: %s\n", line);
        p->missing++;
    }
}

static void test_docs(void **state)
{
    uint8_t *text = NULL;
    size_t len = 0, rows = 0;
    struct err e = ERR_INIT;
    assert_int_equal(sys_read_file(AT_FDCWD, "docs/forms.md", MAX_DOC, &text, &len, &e), 0);
    struct page p = { .text = (const char *)text };
    each_line(is_in_page, &p);
    assert_int_equal(p.missing, 0);
    /* And nothing that no form has. */
    for (const char *at = (const char *)text; (at = strstr(at, "\n| ")); at++)
        rows += strstr(at, " | `") && strstr(at, " | `") < strchr(at + 1, '\n');
    assert_int_equal(rows, p.n);
    free(text);
}

/* --- every field in every rendering -------------------------------------------------------------------------------------------- */
static void squeeze(char *text)
{
    char *to = text;
    for (const char *p = text; *p; p++)
        if (!strchr(" \n\r\t\f", *p))
            *to++ = *p;
    *to = '\0';
}

/* The cells of a text's tables, each in one piece. */
static char *joined(const char *text)
{
    struct wbuf cells[MAX_PAPER_COLUMNS] = { 0 }, out = WBUF_INIT;
    char *copy = strdup(text), *save = NULL;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (*line != '|') {
            for (size_t i = 0; i < MAX_PAPER_COLUMNS; i++) {
                wb_bytes(&out, cells[i].p, cells[i].len);
                wbuf_reset(&cells[i]);
            }
            wb_bytes(&out, line, strlen(line));
            continue;
        }
        char *cell = line + 1;
        for (size_t i = 0; i < MAX_PAPER_COLUMNS && *cell; i++) {
            size_t n = strcspn(cell, "|");
            wb_bytes(&cells[i], cell, n);
            cell += n + (cell[n] == '|');
        }
    }
    for (size_t i = 0; i < MAX_PAPER_COLUMNS; i++)
        wbuf_free(&cells[i]);
    free(copy);
    wb_u8(&out, 0);
    squeeze((char *)out.p);
    return (char *)out.p;
}

static char *asked(const char *command, const char *p, size_t n)
{
    char path[] = "/tmp/forms.XXXXXX", line[600];
    int fd = mkstemp(path), ch;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
    snprintf(line, sizeof line, "(%s) <%s 2>&1", command, path);
    FILE *f = popen(line, "r");
    struct wbuf out = WBUF_INIT;
    assert_non_null(f);
    while ((ch = fgetc(f)) != EOF)
        wb_u8(&out, (uint8_t)ch);
    wb_u8(&out, 0);
    assert_int_equal(pclose(f), 0);
    unlink(path);
    return (char *)out.p;
}

/* What a person would read, in one piece, without blanks. */
static char *readable(const struct document *d, enum paper_format fmt)
{
    size_t n = 0;
    char *file = drawn(d, fmt, &n), *text = NULL;
    if (fmt == PAPER_TEXT)
        text = joined(file);
    else if (fmt == PAPER_PDF)
        text = asked("pdftotext -raw - -", file, n);
    else if (fmt == PAPER_DOCX)
        text = asked("bsdtar -xOf - word/document.xml word/footer1.xml", file, n);
    else
        text = strdup(file);
    free(file);
    squeeze(text);
    return text;
}

static void must_have(const char *text, const char *what, const struct document *d,
                      enum paper_format fmt)
{
    char *wanted = strdup(what);
    squeeze(wanted);
    if (!strstr(text, wanted))
        fail_msg("%s (%s) as %s lacks: %s", d->form, paper_lang_name(d->lang),
                 paper_format_name(fmt), what);
    free(wanted);
}

/* The fields of one form in what a person reads of it. */
static void fields_are_in(struct fixture *f, const struct form *form, const char *text,
                          const struct document *d, enum paper_format fmt)
{
    must_have(text, say(&f->r, form->title), d, fmt);
    for (size_t i = 0; i < form->n_fields; i++)
        must_have(text, say(&f->r, form->fields[i].label), d, fmt);
    for (const struct form_table *const *t = form->tables; t && *t; t++)
        for (size_t i = 0; i < (*t)->n_columns; i++)
            must_have(text, say(&f->r, (*t)->columns[i].label), d, fmt);
    for (size_t i = 0; i < MAX_SIGNS && form->signs[i].zh; i++)
        must_have(text, say(&f->r, form->signs[i]), d, fmt);
}

static void every_field(struct fixture *f, enum paper_format fmt)
{
    whole_story(f);
    f->r.n_incidents = 1;
    for (const struct form *const *form = forms; *form; form++)
        for (unsigned lang = PAPER_ZH; lang <= PAPER_EN; lang++) {
            struct document *d = filled(f, (*form)->name, (enum paper_lang)lang);
            char *text = readable(d, fmt);
            fields_are_in(f, *form, text, d, fmt);
            free(text);
            document_free(d);
        }
}

/* All forms in one paper, each behind a mark, so that a program need not be started for each. */
static struct document *all_in_one(struct fixture *f, enum paper_lang lang)
{
    json_t *blocks = json_array(), *whole = NULL;
    for (const struct form *const *form = forms; *form; form++) {
        struct document *d = filled(f, (*form)->name, lang);
        char mark[200];
        whole = whole ? whole : document_json(d);
        json_t *one = document_json(d);
        snprintf(mark, sizeof mark, "@@%s@@ %s", (*form)->name, d->title);
        json_array_append_new(blocks, json_pack("{s:s, s:s}", "kind", "paragraph", "text", mark));
        json_array_extend(blocks, json_object_get(one, "blocks"));
        json_decref(one);
        document_free(d);
    }
    struct document *d = NULL;
    json_object_set_new(whole, "blocks", blocks);
    assert_int_equal(document_parse(whole, &d, &f->e), 0);
    json_decref(whole);
    return d;
}

static void every_field_at_once(struct fixture *f, enum paper_format fmt)
{
    whole_story(f);
    f->r.n_incidents = 1;
    for (unsigned lang = PAPER_ZH; lang <= PAPER_EN; lang++) {
        struct document *d = all_in_one(f, (enum paper_lang)lang);
        char *text = readable(d, fmt), mark[80];
        for (const struct form *const *form = forms; *form; form++) {
            snprintf(mark, sizeof mark, "@@%s@@", (*form)->name);
            char *from = strstr(text, mark);
            assert_non_null(from);
            char *to = strstr(from + strlen(mark), "@@");
            char *part = strndup(from, to ? (size_t)(to - from) : strlen(from));
            fields_are_in(f, *form, part, d, fmt);
            free(part);
        }
        free(text);
        document_free(d);
    }
}

static void test_text(void **state)
{
    every_field(*state, PAPER_TEXT);
}

static void test_html(void **state)
{
    every_field(*state, PAPER_HTML);
}

static void test_pdf(void **state)
{
    every_field_at_once(*state, PAPER_PDF);
}

static void test_docx(void **state)
{
    every_field_at_once(*state, PAPER_DOCX);
}

static void test_json(void **state)
{
    every_field(*state, PAPER_JSON);
}

/* --- what stands in them ------------------------------------------------------------------------------------------------------------- */
/* The first line of that field, or NULL. */
static const struct doc_line *line_of(const struct document *d, const char *field)
{
    for (size_t b = 0; b < d->n_blocks; b++)
        for (size_t i = 0; i < d->blocks[b].n_rows; i++)
            for (size_t c = 0; c < d->blocks[b].rows[i].n_cells; c++)
                for (size_t l = 0; l < d->blocks[b].rows[i].cells[c].n_lines; l++) {
                    const struct doc_line *line = &d->blocks[b].rows[i].cells[c].lines[l];
                    if (line->field && strcmp(line->field, field) == 0)
                        return line;
                }
    return NULL;
}

static void has(const struct document *d, const char *field, const char *text)
{
    const struct doc_line *line = line_of(d, field);
    assert_non_null(line);
    if (line->blank || !strstr(line->text, text))
        fail_msg("%s of %s: \"%s\" instead of \"%s\"", field, d->form, line->text, text);
}

/* Of an incident that has only been opened nothing is made up. */
static void test_nothing_invented(void **state)
{
    struct fixture *f = *state;
    open_one(f, false);
    f->conf = (struct forms_conf){ 0 };
    f->r.site_name = NULL;
    for (const struct form *const *form = forms; *form; form++) {
        struct document *d = filled(f, (*form)->name, PAPER_ZH);
        for (size_t i = 0; i < (*form)->n_fields; i++) {
            const struct field *one = &(*form)->fields[i];
            const struct doc_line *line = line_of(d, one->name);
            assert_non_null(line);
            if (one->source != FIELD_AUTOMATIC && !line->blank)
                fail_msg("%s of %s was made up: %s", one->name, (*form)->name, line->text);
        }
        document_free(d);
    }
    struct document *d = filled(f, "incident", PAPER_ZH);
    assert_true(line_of(d, "unit")->blank);
    assert_true(line_of(d, "telephone")->blank);
    document_free(d);
}

static void test_story(void **state)
{
    struct fixture *f = *state;
    whole_story(f);
    f->r.number = form_next_number(f->inc, "incident");
    assert_int_equal(f->r.number, 3);
    struct document *d = filled(f, "incident", PAPER_ZH);
    assert_string_equal(d->number, "（第 3 次）");
    has(d, "unit", "某市财政局");
    assert_string_equal(line_of(d, "started")->text,
                        "2026年11月18日 08:36"); /* the crash, not the opening */
    has(d, "cause", "硬盘控制器故障");
    has(d, "money", "<b>0</b> 元");
    has(d, "degree", "Ⅱ级（重大）");
    has(d, "nature", "设备或系统故障");
    has(d, "system", "“billing”，主机 db1");
    has(d, "consequence", "其后至多1分0秒内写入的数据不在其中");
    has(d, "measures", "恢复备份，失败：copy 1 <damaged> & more");
    has(d, "measures", "恢复备份（第2次），完成：原文“all of it”");
    has(d, "measures", "主机是否已修复：是，批准人 赵立");
    assert_true(line_of(d, "place")->blank);
    document_free(d);
    f->r.number = 0;
    /* What a person said beside what the program knows; --set counts before the timeline. */
    f->conf.place = "信息中心机房";
    add(f, EVENT_NOTE, json_pack("{s:s, s:s}", "field", "measures", "text", "已换控制器"));
    d = filled(f, "incident", PAPER_EN);
    has(d, "place", "信息中心机房");
    has(d, "measures", "Restore: failed");
    document_free(d);
    add(f, EVENT_NOTE, json_pack("{s:s, s:s}", "field", "place", "text", "旧楼机房"));
    d = filled(f, "summary", PAPER_ZH);
    has(d, "place", "旧楼机房");
    has(d, "reporting", "通知暂停上传：县财政局，方式 邮件");
    has(d, "reporting", "编写《网络与信息安全事件情况报告书》（第2次）");
    document_free(d);
    f->r.answers = &(struct paper_answer){ "place", "新楼" };
    f->r.n_answers = 1;
    d = filled(f, "summary", PAPER_ZH);
    has(d, "place", "新楼");
    document_free(d);
}

/* The text of row i of the n-th table, its cells with a | between. */
static char *row_text(const struct document *d, size_t table, size_t row)
{
    struct wbuf out = WBUF_INIT;
    for (size_t b = 0; b < d->n_blocks; b++) {
        if (d->blocks[b].kind != BLOCK_TABLE || table-- > 0)
            continue;
        assert_true(row < d->blocks[b].n_rows);
        for (size_t c = 0; c < d->blocks[b].rows[row].n_cells; c++) {
            const struct doc_cell *cell = &d->blocks[b].rows[row].cells[c];
            put(&out, cell->n_lines ? cell->lines[0].text : "");
            put(&out, "|");
        }
        break;
    }
    wb_u8(&out, 0);
    return (char *)out.p;
}

static void row_is(const struct document *d, size_t table, size_t row, const char *wanted)
{
    char *text = row_text(d, table, row);
    if (!strstr(text, wanted))
        fail_msg("row %zu of table %zu of %s: %s", row, table, d->form, text);
    free(text);
}

static void test_tables(void **state)
{
    struct fixture *f = *state;
    whole_story(f);
    f->r.n_incidents = 1;
    struct document *d = filled(f, "handling", PAPER_ZH);
    row_is(d, 1, 1, "|aaaabbbbcccc|machine-room|失败|copy 1 <damaged> & more|");
    row_is(d, 1, 2, "|111122223333|building-2|成功|原文“all of it”|");
    row_is(d, 2, 1, "二号楼|812|3|117.7 MiB|");
    row_is(d, 3, 1, "1|策略规定的查询|合格|账目一致|");
    document_free(d);
    d = filled(f, "summary", PAPER_EN);
    row_is(d, 2, 1, "1|更换控制器|王伟|2026-11-18");
    document_free(d);
    d = filled(f, "evacuation", PAPER_ZH);
    assert_non_null(strstr(d->blocks[0].text, "先保证人员安全撤离"));
    row_is(d, 1, 1, "赵立|局领导|0393-5550100||"); /* people come before things */
    row_is(d, 2, 2, "main|保险柜|/media/b|disk-1: 保险柜，王伟|");
    row_is(d, 3, 1, "1|备份介质和重要文件资料|");
    document_free(d);
    d = filled(f, "contacts", PAPER_ZH);
    row_is(d, 2, 1, "系统管理员（A）|陈静||13800000003\nchen@bureau.example|");
    row_is(d, 3, 1, "未登记");
    document_free(d);
    d = filled(f, "duties", PAPER_ZH);
    row_is(d, 1, 1, "PY-DB-1|每个数据库系统至少有两份备份，一份在机房，一份在另一安全建筑|满足|");
    row_is(d, 1, 19, "PY-AB|每项职责有A、B角|未满足|role police has no B person|");
    document_free(d);
    f->r.year = 2025;
    d = filled(f, "annual", PAPER_ZH);
    has(d, "incident-count", "0");
    row_is(d, 3, 1, "本年度没有事件记录");
    document_free(d);
}

static void test_drill(void **state)
{
    struct fixture *f = *state;
    open_one(f, true);
    add(f, EVENT_RECOVERED, json_pack("{s:s}", "text", "ok"));
    add(f, EVENT_STEP,
        json_pack("{s:s, s:s, s:i, s:s, s:{s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s}}",
                  "step", "drill", "state", "failed", "attempt", 1, "text",
                  "it took too long (RTO)", "facts", "reasons", "over-rto", "rto_ms",
                  (json_int_t)125000, "max_rto_s", (json_int_t)60, "rpo_s", (json_int_t)30,
                  "max_rpo_s", (json_int_t)3600, "checks", (json_int_t)4, "wrong", (json_int_t)0,
                  "damaged", (json_int_t)2, "lose", "机房", "from", ""));
    struct document *d = filled(f, "drill", PAPER_ZH);
    assert_string_equal(d->mark, "演练");
    has(d, "drill-result", "实测恢复时间（RTO）：2分5秒");
    has(d, "drill-result", "结论：不合格（恢复时间超过要求（RTO））");
    has(d, "drill-content", "假定副本丢失：机房");
    row_is(d, 1, 1, "恢复时间（RTO）|2分5秒|1分0秒|不合格|");
    row_is(d, 1, 2, "数据损失（RPO）|30秒|1小时0分|合格|");
    row_is(d, 1, 7, "副本中损坏的数据块|2|0|不合格|");
    has(d, "drill-content", "模拟“billing”的数据丢失");
    assert_true(line_of(d, "departments")->blank);
    document_free(d);
}

/* Of very many events the ends are told, and how many lie between. */
static void test_many(void **state)
{
    struct fixture *f = *state;
    open_one(f, false);
    for (unsigned i = 0; i < 1100; i++)
        add(f, EVENT_NOTE, json_pack("{s:s}", "text", i < 1099 ? "note" : "note-last"));
    struct document *d = filled(f, "handling", PAPER_ZH);
    has(d, "course", "启动应急处置");
    has(d, "course", "（略去 101 条，见时间线）");
    has(d, "course", "note-last");
    document_free(d);
}

/* --- what the program wrote in the language of whoever ran it ------------------------------------------------------------------- */
/* The story of a run under LANG=C, each kind of event with the texts and the facts that the procedure writes. */
static const char *const told_in_english[] = {
    "level {\"level\": 3, \"why\": \"\"}",
    "step {\"step\": \"notify\", \"state\": \"done\", \"text\": \"there are no subordinate units to tell\","
    " \"facts\": {\"units\": 0}}",
    "notice {\"notice\": \"told\", \"to\": \"security-officer\", \"channel\": \"none\", \"ok\": false,"
    " \"detail\": \"nobody can be reached by a program: call them\"}",
    "step {\"step\": \"stop\", \"state\": \"failed\", \"text\": \"it ended with status 3: no such unit here\","
    " \"facts\": {\"host\": \"db1\", \"status\": 3, \"timed_out\": false, \"output\": \"stopping\\nno such unit here\\n\"}}",
    "step {\"step\": \"stop\", \"state\": \"overdue\", \"text\": \"it takes longer than its limit, and goes on\"}",
    "step {\"step\": \"start\", \"state\": \"failed\", \"text\": \"it took longer than its limit, and was ended\","
    " \"facts\": {\"status\": 0, \"timed_out\": true, \"output\": \"\"}}",
    "gate {\"gate\": \"stopped\", \"answer\": \"yes\", \"through\": \"--yes\","
    " \"why\": \"the host says that the server does not run\"}",
    "gate {\"gate\": \"checked\", \"answer\": \"no\", \"through\": \"--yes\","
    " \"why\": \"it did not come right: the next way is taken\"}",
    "gate {\"gate\": \"reachable\", \"answer\": \"yes\", \"through\": \"--yes\", \"why\": \"tried once more\"}",
    "approval {\"what\": \"all\", \"who\": \"wang\", \"through\": \"telephone\"}",
    "step {\"step\": \"scene\", \"state\": \"done\", \"text\": \"it lies in /srv/a.scene, /srv/b.scene\","
    " \"facts\": {\"places\": [{\"scene\": \"/srv/a.scene\"}, {\"scene\": \"/srv/b.scene\"}]}}",
    "step {\"step\": \"facts\", \"state\": \"done\", \"text\": \"facts: 2; bad: 1, doubtful: 0\","
    " \"facts\": {\"facts\": [{\"fact\": \"disk\", \"verdict\": \"bad\"}, {\"fact\": \"server\"}]}}",
    "step {\"step\": \"restore\", \"attempt\": 1, \"state\": \"failed\", \"text\": \"restore: a pack of copy 1 is damaged\","
    " \"facts\": {\"end\": \"damaged\", \"snapshot\": \"aaaabbbbccccdddd\", \"from\": \"\"}}",
    "step {\"step\": \"restore\", \"attempt\": 2, \"state\": \"done\", \"text\": \"3 files, 1.2 KiB\", \"facts\":"
    " {\"end\": \"whole\", \"files\": 3, \"bytes\": 1229, \"surviving_log_left_out\": true, \"snapshot\": \"1111222233334444\","
    " \"copies\": [{\"place\": \"machine-room\", \"chunks\": 0, \"bad\": 4}, {\"place\": \"二号楼\", \"chunks\": 9, \"bad\": 0}],"
    " \"checks\": [{\"name\": \"tables\", \"ok\": true, \"text\": \"7 tables are right\"}]}}",
    "loss {\"recovered_to\": 1794990940, \"gap_s\": 60, \"crash_is_known\": false, \"text\": \"recovered up to then\"}",
    "step {\"step\": \"check\", \"state\": \"failed\", \"text\": \"2 things are not as the policy expects\","
    " \"facts\": {\"wrong\": 2}}",
    "step {\"step\": \"check\", \"state\": \"done\", \"text\": \"all is as the policy expects\", \"facts\": {\"wrong\": 0}}",
    "step {\"step\": \"check\", \"state\": \"done\", \"text\": \"the policy has no database to ask\","
    " \"facts\": {\"asked\": false}}",
    "step {\"step\": \"restore\", \"attempt\": 3, \"state\": \"cut\", \"text\": \"interrupted by a signal\"}",
    "step {\"step\": \"fence\", \"state\": \"done\", \"text\": \"\\\"db1\\\" takes no writes any more (asked)\","
    " \"facts\": {\"host\": \"db1\", \"proven\": true, \"position\": \"0/3000148@1\"}}",
    "step {\"step\": \"promote\", \"state\": \"done\", \"text\": \"db2: server is promoted now\","
    " \"facts\": {\"host\": \"db2\", \"position\": \"0/3000100@1\"}}",
    "loss {\"through\": \"standby\", \"recovered_to\": 0, \"fenced_at\": \"0/3000148@1\", \"promoted_at\": \"0/3000100@1\","
    " \"text\": \"the old primary's log ended somewhere\"}",
    "step {\"step\": \"standby-check\", \"state\": \"done\", \"text\": \"\\\"db2\\\" is as the policy expects\","
    " \"facts\": {\"host\": \"db2\"}}",
    "step {\"step\": \"failback-stop\", \"state\": \"done\", \"text\": \"\\\"db2\\\" is off, as was stated\","
    " \"facts\": {\"host\": \"db2\"}}",
    "step {\"step\": \"failback-compare\", \"state\": \"done\", \"text\": \"\\\"db1\\\" has all of it, to X\","
    " \"facts\": {\"host\": \"db1\", \"position\": \"0/4000000@2\"}}",
    "step {\"step\": \"failback-check\", \"state\": \"done\", \"text\": \"gone on with in spite of: two rows differ\","
    " \"facts\": {\"host\": \"db1\", \"in_spite_of\": \"two rows differ\"}}",
    "step {\"step\": \"failback-sync\", \"state\": \"done\", \"text\": \"the policy has no command sync\","
    " \"facts\": {\"host\": \"db1\", \"no_command\": true}}",
    "step {\"step\": \"switch-back\", \"state\": \"done\","
    " \"text\": \"the primary runs again, and the standby follows it\"}",
    "escalated {\"why\": \"the host cannot be repaired\", \"reason\": \"host\"}",
    "step {\"step\": \"resumed\", \"state\": \"done\", \"text\": \"\"}",
    "recovered {\"text\": \"the service is back\"}",
    "closed {\"text\": \"\", \"undone\": [\"first-report\", \"report-3\"]}",
};

static void add_told(struct fixture *f, const char *told)
{
    size_t n = strcspn(told, " ");
    json_error_t bad;
    json_t *body = json_loads(told + n, 0, &bad);
    if (!body)
        fail_msg("%s: %s", told, bad.text);
    for (unsigned k = 0; k < EVENT_KINDS; k++)
        if (strlen(event_kind_name((enum event_kind)k)) == n &&
            strncmp(event_kind_name((enum event_kind)k), told, n) == 0) {
            add(f, (enum event_kind)k, body);
            return;
        }
    fail_msg("no such kind: %s", told);
}

/* Back to before a mistake: that it was on purpose, and where what was done later lies; and nothing lost is said to be nothing. */
static void test_went_back(void **state)
{
    struct fixture *f = *state;
    open_one(f, false);
    add_told(f, "loss {\"recovered_to\": 1794990940, \"gap_s\": 0, \"text\": \"\"}");
    struct document *d = filled(f, "incident", PAPER_ZH);
    has(d, "consequence", "此前写入的数据没有缺失");
    document_free(d);
    /* A log with a gap: neither that all is kept, nor that nothing is missing, whatever was told of the crash. */
    add_told(f, "loss {\"recovered_to\": 1794990940, \"gap_s\": 0, \"after_crash\": true,"
                " \"driver\": {\"gap\": \"damaged behind 0/D00000\"}, \"text\": \"\"}");
    d = filled(f, "incident", PAPER_ZH);
    has(d, "consequence", "日志到此中断（原文“damaged behind 0/D00000”）；其后写入的数据不在其中");
    document_free(d);
    add_told(f, "loss {\"recovered_to\": 1794990940, \"gap_s\": 60,"
                " \"driver\": {\"gap\": \"damaged behind 0/D00000\"}, \"text\": \"\"}");
    d = filled(f, "incident", PAPER_EN);
    has(d, "consequence", "the log does not go on (damaged behind 0/D00000)");
    has(d, "consequence", "after it at most is not in it");
    document_free(d);
    add_told(f, "note {\"field\": \"first-sign\", \"text\": \"\", \"first_sign\": 1794990941}");
    add_told(f, "loss {\"recovered_to\": 1794990940, \"gap_s\": 60, \"before\": 1794990941,"
                " \"scene\": \"/srv/a.scene\", \"text\": \"\"}");
    d = filled(f, "incident", PAPER_ZH);
    has(d, "nature", "误操作");
    has(d, "consequence", "误操作，按要求退回到");
    has(d, "consequence", "其后至多1分0秒内写入的数据有意不恢复，保留在现场：/srv/a.scene");
    document_free(d);
    d = filled(f, "incident", PAPER_EN);
    has(d, "consequence", "because of a mistake");
    has(d, "consequence", "it lies in the scene: /srv/a.scene");
    document_free(d);
}

/* Two words of ours with a blank between, outside of what is marked as an original. */
static const char *latin_sentence(const char *text)
{
    static const char command[] = "twofold crash action add";
    for (const char *p = text; *p; p++) {
        if (strncmp(p, command, sizeof command - 1) == 0)
            p += sizeof command - 2;
        else if (strncmp(p, "原文“", strlen("原文“")) == 0 && strstr(p, "”"))
            p = strstr(p, "”");
        else if (*p == ' ' && p > text && strchr("abcdefghijklmnopqrstuvwxyz", p[-1]) && p[-1] &&
                 strchr("abcdefghijklmnopqrstuvwxyz", p[1]) && p[1])
            return p;
    }
    return NULL;
}

static void each_text(const struct document *d, const char *(*wrong)(const char *text))
{
    for (size_t b = 0; b < d->n_blocks; b++)
        for (size_t i = 0; i < d->blocks[b].n_rows; i++)
            for (size_t c = 0; c < d->blocks[b].rows[i].n_cells; c++)
                for (size_t l = 0; l < d->blocks[b].rows[i].cells[c].n_lines; l++) {
                    const char *text = d->blocks[b].rows[i].cells[c].lines[l].text;
                    if (text && wrong(text))
                        fail_msg("%s: …%s", d->form, wrong(text));
                }
}

/* "Done" is said of no notice: the forms count who was told, by whatever came last, and who was not. */
static void test_who_was_told(void **state)
{
    static const char *const lines[] = {
        "step {\"step\": \"notify\", \"state\": \"done\", \"text\": \"\", \"facts\": {\"units\": 3, \"no_way\": 1}}",
        "notice {\"notice\": \"told\", \"about\": \"opened\", \"to\": \"Chen\", \"address\": \"c@x\", \"ok\": false}",
        "notice {\"notice\": \"told\", \"about\": \"opened\", \"to\": \"Zhou\", \"address\": \"z@x\", \"ok\": false}",
        "notice {\"notice\": \"told\", \"about\": \"opened\", \"to\": \"Zhou\", \"address\": \"135\", \"ok\": true}",
        "notice {\"notice\": \"hold-uploads\", \"to\": \"County\", \"channel\": \"mail\", \"ok\": false}",
        "notice {\"notice\": \"hold-uploads\", \"to\": \"Village\", \"channel\": \"none\", \"ok\": false}",
        "step {\"step\": \"resume\", \"state\": \"done\", \"text\": \"\", \"facts\": {\"units\": 3, \"no_way\": 1}}",
    };
    struct fixture *f = *state;
    open_one(f, false);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        add_told(f, lines[i]);
    struct document *d = filled(f, "handling", PAPER_ZH);
    has(d, "course",
        "通知下属单位暂停上传：人员已通知 1 人，尚未通知到 1 人；单位已通知 0 个，尚未通知到 3 个");
    has(d, "course", "通知下属单位恢复上传：单位已通知 0 个，尚未通知到 3 个");
    document_free(d);
    add_told(f,
             "notice {\"notice\": \"acknowledged\", \"of\": \"hold-uploads\", \"to\": \"County\"}");
    d = filled(f, "handling", PAPER_EN);
    has(d, "course", "persons told: 1, not yet: 1; units told: 1, not yet: 2");
    document_free(d);
}

static void test_language(void **state)
{
    static const char *const papers[] = { "incident", "daily", "bulletin",  "summary",
                                          "handling", "fault", "acceptance" };
    struct fixture *f = *state;
    open_one(f, false);
    for (size_t i = 0; i < sizeof told_in_english / sizeof *told_in_english; i++)
        add_told(f, told_in_english[i]);
    for (size_t i = 0; i < sizeof papers / sizeof *papers; i++) {
        struct document *d = filled(f, papers[i], PAPER_ZH);
        each_text(d, latin_sentence);
        document_free(d);
    }
    struct document *d = filled(f, "handling", PAPER_ZH);
    has(d, "course", "停止系统，失败：退出状态 3，原文“no such unit here”");
    has(d, "course", "启动系统，失败：超过时限，已被终止");
    has(d, "course", "系统是否已停止：是：主机报告数据库未运行");
    has(d, "course", "保留现场，完成：保留在 /srv/a.scene、/srv/b.scene");
    has(d, "course", "检查主机状况，完成：查看 2 项，不良 1 项，可疑 0 项");
    has(d, "course",
        "恢复备份，失败：备份损坏或不完整，原文“restore: a pack of copy 1 is damaged”");
    has(d, "course",
        "恢复备份（第2次），完成：3 个文件，1.2 KiB，取自“二号楼”；“machine-room”有 4 "
        "块损坏或缺失；未用主机上残存的日志");
    has(d, "course", "备用系统接管，完成：db2：原文“server is promoted now”");
    has(d, "course", "其间 72 字节内提交的数据不在备用系统");
    has(d, "consequence", "其间 72 字节内");
    has(d, "course", "升级：请供应商和上级紧急支援：主机无法修复");
    has(d, "course", "处置结束：到期未办：首次报告、情况报告");
    row_is(d, 3, 1, "1|表的完整性|合格|原文“7 tables are right”|");
    document_free(d);
    /* How much a take-over lost is not known: that is not nothing. */
    add_told(f, "loss {\"through\": \"standby\", \"recovered_to\": 1794990940, \"fenced_at\": \"\","
                " \"promoted_at\": \"0/3000100@1\", \"text\": \"how far it was is not known\"}");
    f->r.n_incidents = 1;
    time_t opened = f->inc->opened_s;
    f->r.year = localtime(&opened)->tm_year + 1900;
    d = filled(f, "summary", PAPER_ZH);
    has(d, "consequence", "原主机的日志位置不明（?）；备用系统接管时位于 0/3000100@1");
    document_free(d);
    d = filled(f, "annual", PAPER_ZH);
    row_is(d, 3, 1, f->inc->id);
    row_is(d, 3, 1, "||已恢复|");
    document_free(d);
    d = filled(f, "handling", PAPER_EN);
    has(d, "course", "it ended with status 3: no such unit here");
    has(d, "course", "from \"二号楼\"; of \"machine-room\" 4 chunks were damaged or missing");
    document_free(d);
}

/* A Chinese operator's story on an English paper: what has no facts is marked. */
static void test_language_back(void **state)
{
    struct fixture *f = *state;
    open_one(f, false);
    add_told(f, "step {\"step\": \"scene\", \"state\": \"done\", \"text\": \"数据在 /srv/a.scene\","
                " \"facts\": {\"places\": [{\"scene\": \"/srv/a.scene\"}]}}");
    add_told(
        f, "step {\"step\": \"restore\", \"state\": \"failed\", \"text\": \"副本损坏\", \"facts\":"
           " {\"end\": \"away\"}}");
    add_told(f, "gate {\"gate\": \"host-repaired\", \"answer\": \"yes\", \"why\": \"换了硬盘\"}");
    struct document *d = filled(f, "handling", PAPER_EN);
    has(d, "course", "Set the scene aside: done: it lies in /srv/a.scene");
    has(d, "course",
        "Restore: failed: copies or the host could not be reached: in its own words: \"副本损坏\"");
    has(d, "course", "Is the host repaired? yes: 换了硬盘"); /* a person's words */
    document_free(d);
}

/* No step or gate stands on paper by its program's name. */
static void test_words(void **state)
{
    struct fixture *f = *state;
    for (unsigned lang = PAPER_ZH; lang <= PAPER_EN; lang++) {
        f->r.lang = (enum paper_lang)lang;
        for (unsigned i = 0; i < CRASH_STEPS; i++)
            assert_string_not_equal(step_words(&f->r, crash_step_name((enum crash_step)i)),
                                    crash_step_name((enum crash_step)i));
        for (unsigned i = 0; i < CRASH_GATES; i++)
            assert_string_not_equal(step_words(&f->r, crash_gate_name((enum crash_gate)i)),
                                    crash_gate_name((enum crash_gate)i));
    }
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
static void print_it(void *ctx, const char *line)
{
    puts(line);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_docs),
        TEST(test_text),
        TEST(test_html),
        TEST(test_pdf),
        TEST(test_docx),
        TEST(test_json),
        TEST(test_nothing_invented),
        TEST(test_story),
        TEST(test_went_back),
        TEST(test_tables),
        TEST(test_drill),
        TEST(test_words),
        TEST(test_who_was_told),
        TEST(test_language),
        TEST(test_language_back),
        TEST(test_many),
    };
    if (argc > 1 && strcmp(argv[1], "--docs") == 0) { /* what docs/forms.md must hold */
        each_line(print_it, NULL);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
