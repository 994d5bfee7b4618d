/* test_ui.c - orchestrator/ui.h and text.h: sizes, ages, times, escaped paths, JSON, and progress that never is wider
 * than the terminal. */
#include "lib/base/bytes.h"
#include "orchestrator/text.h"
#include "orchestrator/ui.h"

#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* --- what is written to a standard stream ---------------------------------------------------------- */
struct capture {
    int fd, saved, stream;
    FILE *f;
};

static void capture_begin(struct capture *c, FILE *f)
{
    fflush(f);
    c->f = f;
    c->stream = fileno(f);
    c->fd = memfd_create("capture", MFD_CLOEXEC);
    assert_true(c->fd >= 0);
    c->saved = dup(c->stream);
    assert_true(dup2(c->fd, c->stream) >= 0);
}

static char *capture_end(struct capture *c)
{
    fflush(c->f);
    off_t n = lseek(c->fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)n + 1);
    assert_int_equal(pread(c->fd, text, (size_t)n, 0), n);
    dup2(c->saved, c->stream);
    close(c->saved);
    close(c->fd);
    return text;
}

static struct ui plain_ui(void)
{
    return (struct ui){ .columns = 80, .command = "test" };
}

static size_t count(const char *s, char c)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == c;
    return n;
}

/* --- values --------------------------------------------------------------------------------------------- */
static void bytes_are_short_and_binary(void **state)
{
    static const struct {
        uint64_t n;
        const char *text;
    } cases[] = {
        { 0, "0 B" },
        { 1023, "1023 B" },
        { 1024, "1.0 KiB" },
        { 1536, "1.5 KiB" },
        { 102400, "100 KiB" },
        { 1024 * 1024 - 1, "1.0 MiB" }, /* never "1024 KiB" */
        { 5ull << 30, "5.0 GiB" },
        { 3ull << 40, "3.0 TiB" },
        { 1ull << 60, "1.0 EiB" },
        { UINT64_MAX, "16.0 EiB" },
    };
    char buf[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(ui_bytes(cases[i].n, buf), cases[i].text);
}

static void ages_are_in_two_units_at_most(void **state)
{
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {
        { -5, "0 s" },
        { 59, "59 s" },
        { 60, "1 min" },
        { 3599, "59 min" },
        { 3600, "1 h" },
        { 3 * 3600 + 12 * 60, "3 h 12 min" },
        { 26 * 3600, "26 h" },
        { 3 * 86400, "3 days" },
        { 2 * 86400 + 3600, "2 days 1 h" },
        { 400LL * 86400 + 3600, "400 days" },
    };
    char buf[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(ui_age(cases[i].s, buf), cases[i].text);
}

static void times_are_local_with_their_offset(void **state)
{
    char buf[32];
    setenv("TZ", "Asia/Shanghai", 1);
    tzset();
    assert_string_equal(ui_time(1700000000123456789, buf), "2023-11-15T06:13:20+08:00");
    setenv("TZ", "NPT-5:45", 1);
    tzset();
    assert_string_equal(ui_time(0, buf), "1970-01-01T05:45:00+05:45");
    setenv("TZ", "UTC", 1);
    tzset();
    assert_string_equal(ui_time(-1, buf), "1969-12-31T23:59:59+00:00");
}

/* --- paths ---------------------------------------------------------------------------------------------- */
static void check_path(const char *bytes, size_t n, const char *shown)
{
    char *p = ui_path(bytes, n);
    assert_string_equal(p, shown);
    free(p);
}

static void paths_cannot_speak_to_the_terminal(void **state)
{
    check_path("/etc/hosts", 10, "/etc/hosts");
    check_path("a\033[2Jb", 6, "a\\033[2Jb");
    check_path("a\nb\tc", 5, "a\\012b\\011c");
    check_path("a\0b", 3, "a\\000b");
    check_path("\\", 1, "\\134"); /* or an escape could be forged */
    check_path("\x7f", 1, "\\177");
    check_path("备份", 6, "备份");
    check_path("\xff\xfe", 2, "\\377\\376");
    check_path("\xe5\xa4", 2, "\\345\\244"); /* half a character */
    check_path("\xc2\x9b", 2, "\\302\\233"); /* CSI as one character */
    check_path("a\xe2\x80\xae"
               "b",
               5, "a\\342\\200\\256b"); /* right-to-left override */
    check_path("\xd8\x9c\xe1\xa0\x8e\xf3\xa0\x81\xbf", 9,
               "\\330\\234\\341\\240\\216\\363\\240\\201\\277"); /* marks and tags that hide */
    check_path("", 0, "");
}

static void in_another_locale_its_bytes_are_escaped(void **state)
{
    setlocale(LC_ALL, "C");
    check_path("é", 2, "\\303\\251");
    setlocale(LC_ALL, "C.UTF-8");
    check_path("é", 2, "é");
}

static void json_takes_any_path(void **state)
{
    struct ui ui = plain_ui();
    struct capture c;
    ui.json = true;
    capture_begin(&c, stdout);
    ui_note(&ui, true, "\xff\"\n", 3, "lost", 4);
    ui_note(&ui, false, "a\nb", 3, "note", 4);
    char *text = capture_end(&c);
    assert_int_equal(count(text, '\n'), 2);
    char *second = strchr(text, '\n') + 1;
    json_t *o = json_loadb(text, (size_t)(second - text), 0, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "type")), "problem");
    assert_string_equal(json_string_value(json_object_get(o, "command")), "test");
    assert_string_equal(json_string_value(json_object_get(o, "path")), "\\377\"\\012");
    assert_string_equal(json_string_value(json_object_get(o, "path_hex")), "ff220a");
    json_decref(o);
    o = json_loads(second, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "path")), "a\nb");
    assert_null(json_object_get(o, "path_hex"));
    json_decref(o);
    free(text);
}

static void utf8_is_told_from_what_looks_like_it(void **state)
{
    assert_true(text_is_utf8("备份 \xf0\x9f\x98\x80", 11));
    assert_false(text_is_utf8("a\0b", 3));
    assert_false(text_is_utf8("\xc0\xaf", 2));         /* not the shortest form */
    assert_false(text_is_utf8("\xed\xa0\x80", 3));     /* a surrogate */
    assert_false(text_is_utf8("\xf4\x90\x80\x80", 4)); /* beyond the last character */
    assert_false(text_is_utf8("\xe5\xa4", 2));
    assert_false(text_is_utf8("\x80", 1));
}

/* --- errors ------------------------------------------------------------------------------------------------ */
static void an_error_is_three_lines(void **state)
{
    struct ui ui = plain_ui();
    struct err e = ERR_INIT;
    struct capture c;
    err_set(&e, ERR_DAMAGED, "two\nlines \033[31m");
    capture_begin(&c, stderr);
    int status = ui_error(&ui, &e);
    char *text = capture_end(&c);
    assert_int_equal(status, 4);
    assert_int_equal(count(text, '\n'), 3);
    assert_int_equal(count(text, '\033'), 0);
    assert_int_equal(strncmp(text, "twofold: test\n  why:  two\\012lines \\033[31m\n  next: ", 45),
                     0);
    free(text);
}

static void an_error_is_one_object_with_json(void **state)
{
    struct ui ui = plain_ui();
    struct err e = ERR_INIT;
    struct capture c;
    ui.json = true;
    err_set(&e, ERR_CONFIG, "bad \xff byte");
    err_next(&e, "mend it");
    capture_begin(&c, stdout);
    int status = ui_error(&ui, &e);
    char *text = capture_end(&c);
    json_t *o = json_loads(text, 0, NULL);
    assert_int_equal(status, 2);
    assert_string_equal(json_string_value(json_object_get(o, "code")), "config");
    assert_string_equal(json_string_value(json_object_get(o, "next")), "mend it");
    assert_int_equal(json_integer_value(json_object_get(o, "exit")), 2);
    json_decref(o);
    free(text);
}

static void quiet_keeps_problems_and_warnings(void **state)
{
    struct ui ui = plain_ui();
    struct capture out, err;
    ui.quiet = true;
    capture_begin(&out, stdout);
    capture_begin(&err, stderr);
    ui_line(&ui, "a result");
    ui_note(&ui, false, "a", 1, "only worth knowing", 18);
    ui_note(&ui, true, "b", 1, "gone", 4);
    ui_warn(&ui, "careful");
    char *e = capture_end(&err), *o = capture_end(&out);
    assert_string_equal(o, "");
    assert_string_equal(e, "b: gone\ntwofold: warning: careful\n");
    free(e);
    free(o);
}

/* --- texts by columns --------------------------------------------------------------------------------------- */
static void check_fit(const char *s, size_t columns, bool keep_end, const char *expected)
{
    char *fit = text_fit(s, columns, keep_end);
    assert_string_equal(fit, expected);
    assert_true(text_width(fit) <= columns);
    free(fit);
}

static void texts_are_cut_by_columns(void **state)
{
    check_fit("hello", 5, false, "hello");
    check_fit("hello world", 8, false, "hello...");
    check_fit("/a/very/long/path", 9, true, "...g/path");
    check_fit("数据备份", 8, false, "数据备份");
    check_fit("数据备份", 7, false, "数据...");
    check_fit("数据备份", 6, true, "...份"); /* two columns each: one is left over */
    check_fit("hello", 2, false, "..");
    check_fit("hello", 0, true, "");
    char *padded = text_pad("份", 4, false), *right = text_pad("7", 3, true);
    assert_string_equal(padded, "份  ");
    assert_string_equal(right, "  7");
    free(padded);
    free(right);
}

/* The texts of several lines that text_put and text_put_line print. */
static void prints(bool help, const char *text, size_t hang, size_t columns, const char *want)
{
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);
    assert_non_null(f);
    if (help)
        text_put(f, text, columns);
    else
        text_put_line(f, text, hang, columns);
    fclose(f);
    assert_string_equal(out, want);
    free(out);
}

static void lines_are_broken_between_words_and_before_commands(void **state)
{
    (void)state;
    prints(false, "short", 2, 20, "short\n");
    prints(false, "", 2, 20, "\n");
    prints(false, "  one two three four five", 4, 20, "  one two three four\n    five\n");
    prints(false, "nothingcanbedonehereatall no", 2, 10, "nothingcanbedonehereatall\n  no\n");
    prints(false, "mend it, then: twofold repair", 2, 26, "mend it, then:\n  twofold repair\n");
    prints(false, "mend it: twofold repair; then it is well", 2, 30,
           "mend it: twofold repair; then\n  it is well\n");
    prints(false, "so: twofold restore etc --to /srv/back", 2, 20,
           "so: twofold restore\n  etc --to /srv/back\n"); /* it fits nowhere */
}

static void a_help_is_broken_anew_where_it_is_too_wide(void **state)
{
    (void)state;
    prints(true, "Fits.\n\n  --a   fits\n        too\n", 0, 20,
           "Fits.\n\n  --a   fits\n        too\n");
    prints(true, "No newline", 0, 20, "No newline\n");
    prints(true, "  --alpha   what it does and\n            what not\n  --b       short\n", 0, 24,
           "  --alpha   what it does\n            and what not\n  --b       short\n");
    prints(true, "  --of X    what it is for, all\n    --and Y an entry of its own\n", 0, 27,
           "  --of X    what it is for,\n            all\n    --and Y an entry of its\n"
           "                          own\n");
    prints(true, "A paragraph at the\nmargin is put together.\n", 0, 22,
           "A paragraph at the\nmargin is put\ntogether.\n");
}

static void a_path_of_a_megabyte_is_cut_at_once(void **state)
{
    char *long_path = malloc((1u << 20) + 1);
    memset(long_path, 'x', 1u << 20);
    memcpy(long_path + (1u << 20) - 3, "end", 4);
    check_fit(long_path, 10, true, "...xxxxend");
    free(long_path);
}

/* --- progress ------------------------------------------------------------------------------------------------ */
static struct ui_progress busy(const char *path)
{
    struct ui_progress p = { .phase = "reading and storing what is new",
                             .files = 123456789,
                             .bytes = 7ull << 40,
                             .total_files = 987654321,
                             .total_bytes = 9ull << 40,
                             .problems = 1234,
                             .started_ms = 1,
                             .path = path,
                             .path_len = strlen(path),
                             .n_copies = 2 };
    p.copies[0] = (struct ui_copy_line){
        "a-place-with-a-name-that-is-as-long-as-names-of-places-may-be-64", "catching up",
        1ull << 40
    };
    p.copies[1] = (struct ui_copy_line){ "机房", "正在写入", 5 };
    return p;
}

/* Every line, without its escape sequences, in at most so many columns. */
static void check_widths(char *drawn, size_t columns)
{
    char *save = NULL;
    for (char *line = strtok_r(drawn, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char clean[4096];
        size_t n = 0;
        for (const char *p = line; *p; p++) {
            if (*p == '\033')
                p += strcspn(p, "AJKm");
            else if (*p != '\r')
                clean[n++] = *p;
        }
        clean[n] = '\0';
        assert_true(text_width(clean) < columns); /* the last column stays free */
    }
}

static void progress_never_exceeds_the_width(void **state)
{
    static const unsigned widths[] = { 20, 40, 79, 80, 132 };
    static const char *const paths[] = {
        "/srv/数据/备份/很长的路径/很长的路径/很长的路径/很长的路径/很长的路径/很长的路径/文件.tar",
        "/home/x/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/0/1/2/3/4/5/6/7/8/9/name",
        "\033]0;title\a\n\n\n", "/short"
    };
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            struct ui ui = plain_ui();
            struct ui_progress p = busy(paths[i]);
            struct capture c;
            ui.tty = true;
            ui.columns = widths[w];
            capture_begin(&c, stderr);
            ui_progress(&ui, &p);
            char *text = capture_end(&c);
            assert_int_equal(count(text, '\n'), 4); /* summary, path, two copies */
            assert_int_equal(ui.drawn, 4);
            check_widths(text, widths[w]);
            free(text);
        }
}

static void progress_is_drawn_over_itself(void **state)
{
    struct ui ui = plain_ui();
    struct ui_progress p = busy("/a");
    struct capture c;
    ui.tty = true;
    capture_begin(&c, stderr);
    ui_progress(&ui, &p);
    p.n_copies = 0;
    ui.last_draw_ms = 0; /* as if time had passed */
    ui_progress(&ui, &p);
    ui_progress_end(&ui);
    ui_progress_end(&ui);
    char *text = capture_end(&c);
    char *up = strstr(text, "\033[4A");
    assert_non_null(up);                            /* back over four lines */
    assert_non_null(strstr(up, "\033[J"));          /* two are left: the rest is wiped */
    assert_non_null(strstr(up, "\033[2A\r\033[J")); /* and at the end all */
    assert_int_equal(ui.drawn, 0);
    free(text);
}

static void progress_is_silent_where_nobody_looks(void **state)
{
    struct ui ui = plain_ui();
    struct ui_progress p = busy("/a");
    struct capture out, err;
    capture_begin(&out, stdout);
    capture_begin(&err, stderr);
    ui_progress(&ui, &p); /* no terminal */
    ui.tty = true;
    ui.quiet = true;
    ui_progress(&ui, &p);
    char *e = capture_end(&err), *o = capture_end(&out);
    assert_string_equal(e, "");
    assert_string_equal(o, "");
    free(e);
    free(o);
}

static void progress_is_at_most_one_object_a_second(void **state)
{
    struct ui ui = plain_ui();
    struct ui_progress p = busy("/a\xff");
    struct capture c;
    ui.json = true;
    capture_begin(&c, stdout);
    for (int i = 0; i < 50; i++)
        ui_progress(&ui, &p);
    char *text = capture_end(&c);
    assert_int_equal(count(text, '\n'), 1);
    json_t *o = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "type")), "progress");
    assert_int_equal(json_integer_value(json_object_get(o, "files")), 123456789);
    assert_int_equal(json_array_size(json_object_get(o, "copies")), 2);
    assert_true(p.rate_bytes_s > 0);
    json_decref(o);
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_short_and_binary),
        cmocka_unit_test(ages_are_in_two_units_at_most),
        cmocka_unit_test(times_are_local_with_their_offset),
        cmocka_unit_test(paths_cannot_speak_to_the_terminal),
        cmocka_unit_test(in_another_locale_its_bytes_are_escaped),
        cmocka_unit_test(json_takes_any_path),
        cmocka_unit_test(utf8_is_told_from_what_looks_like_it),
        cmocka_unit_test(an_error_is_three_lines),
        cmocka_unit_test(an_error_is_one_object_with_json),
        cmocka_unit_test(quiet_keeps_problems_and_warnings),
        cmocka_unit_test(texts_are_cut_by_columns),
        cmocka_unit_test(lines_are_broken_between_words_and_before_commands),
        cmocka_unit_test(a_help_is_broken_anew_where_it_is_too_wide),
        cmocka_unit_test(a_path_of_a_megabyte_is_cut_at_once),
        cmocka_unit_test(progress_never_exceeds_the_width),
        cmocka_unit_test(progress_is_drawn_over_itself),
        cmocka_unit_test(progress_is_silent_where_nobody_looks),
        cmocka_unit_test(progress_is_at_most_one_object_a_second),
    };
    setlocale(LC_ALL, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
