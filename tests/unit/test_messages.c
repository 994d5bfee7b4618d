/* test_messages.c - lib/wire/wire.h, the payloads: each comes back, and none that is cut short,
 * has bytes left over or breaks a bound is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/wire/wire.h"
#include <stdlib.h>
#include <string.h>

/* Reads a payload and forgets it. */
typedef int reader(struct rbuf *r);

static int read_backup(struct rbuf *r)
{
    struct msg_backup m;
    int rc = msg_backup_read(r, &m, NULL);
    if (rc == 0)
        msg_backup_done(&m);
    return rc;
}

static int read_restore(struct rbuf *r)
{
    struct msg_restore m;
    int rc = msg_restore_read(r, &m, NULL);
    if (rc == 0)
        msg_restore_done(&m);
    return rc;
}

#define READER(name)                           \
    static int read_##name(struct rbuf *r)     \
    {                                          \
        struct msg_##name m;                   \
        return msg_##name##_read(r, &m, NULL); \
    }
READER(snapshot)
READER(progress)
READER(note)
READER(chunk)
READER(diff)
READER(done)

static int read_bytes(reader *read, const void *p, size_t n)
{
    /* An exact copy, so that a read beyond it is seen. */
    uint8_t *exact = malloc(n ? n : 1);
    memcpy(exact, p, n);
    struct rbuf r = rbuf_of(exact, n);
    int rc = read(&r);
    free(exact);
    return rc;
}

/* Every prefix and one byte more. */
static void cut_and_stretch(reader *read, struct wbuf *w, bool open_end)
{
    assert_int_equal(read_bytes(read, w->p, w->len), 0);
    for (size_t i = 0; i < w->len - (open_end ? 1 : 0); i++)
        assert_int_equal(read_bytes(read, w->p, i), open_end && i > 66 ? 0 : -ERR_PROTOCOL);
    wb_u8(w, 0);
    assert_int_equal(read_bytes(read, w->p, w->len), open_end ? 0 : -ERR_PROTOCOL);
}

/* --- the long ones ---------------------------------------------------------------------------- */
static char *roots[] = { (char *)"/", (char *)"/srv" }, *globs[] = { (char *)"*.tmp" };

static struct msg_backup a_backup(void)
{
    static struct id live[3] = { { { 1 } }, { { 2 } }, { { 3 } } };
    return (struct msg_backup){ .vault_id = { { 7 } },
                                .recovery_pk = { 8 },
                                .dedup_key = { 9 },
                                .policy = (char *)"etc",
                                .source = (char *)"etc@db1",
                                .compression = 3,
                                .skip_cache_dirs = true,
                                .force_full = true,
                                .roots = roots,
                                .n_roots = 2,
                                .exclude = globs,
                                .n_exclude = 1,
                                .live = live,
                                .n_live = 3 };
}

static int backup_is(const struct msg_backup *m)
{
    struct wbuf w = WBUF_INIT;
    msg_backup_write(&w, m);
    int rc = read_bytes(read_backup, w.p, w.len);
    wbuf_free(&w);
    return rc;
}

static void backups_come_back(void **state)
{
    struct msg_backup m = a_backup(), got;
    struct wbuf w = WBUF_INIT;
    msg_backup_write(&w, &m);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_backup_read(&r, &got, NULL), 0);
    assert_true(id_eq(&got.vault_id, &m.vault_id) && got.recovery_pk[0] == 8 &&
                got.dedup_key[0] == 9);
    assert_string_equal(got.policy, "etc");
    assert_string_equal(got.source, "etc@db1");
    assert_int_equal(got.compression, 3);
    assert_true(!got.one_file_system && got.skip_cache_dirs && !got.want_estimate &&
                got.force_full);
    assert_true(got.n_roots == 2 && got.n_exclude == 1 && got.n_live == 3);
    assert_string_equal(got.roots[1], "/srv");
    assert_string_equal(got.exclude[0], "*.tmp");
    assert_int_equal(got.live[2].b[0], 3);
    msg_backup_done(&got);
    assert_null(got.policy);
    msg_backup_done(&got); /* again does no harm */
    cut_and_stretch(read_backup, &w, false);
    wbuf_free(&w);
}

static void backups_have_bounds(void **state)
{
    char name[257], *relative[] = { (char *)"srv" }, *empty[] = { (char *)"" };
    struct msg_backup m = a_backup();
    m.compression = 23;
    assert_int_equal(backup_is(&m), -ERR_PROTOCOL);
    m = a_backup();
    m.roots = relative;
    m.n_roots = 1;
    assert_int_equal(backup_is(&m), -ERR_PROTOCOL);
    m.n_roots = 0;
    assert_int_equal(backup_is(&m), -ERR_PROTOCOL);
    m = a_backup();
    m.exclude = empty;
    assert_int_equal(backup_is(&m), -ERR_PROTOCOL);
    memset(name, 'n', 256);
    name[256] = '\0';
    m = a_backup();
    m.policy = name;
    assert_int_equal(backup_is(&m), -ERR_PROTOCOL);
    name[255] = '\0';
    assert_int_equal(backup_is(&m), 0);
    name[0] = '\0';
    assert_int_equal(backup_is(&m), -ERR_PROTOCOL);
    char **many = malloc((MAX_PATTERNS + 1) * sizeof *many);
    for (size_t i = 0; i <= MAX_PATTERNS; i++)
        many[i] = globs[0];
    m = a_backup();
    m.exclude = many;
    m.n_exclude = MAX_PATTERNS;
    assert_int_equal(backup_is(&m), 0);
    m.n_exclude++;
    assert_int_equal(backup_is(&m), -ERR_PROTOCOL);
    free(many);
}

static struct setting settings[] = { { (char *)"conninfo", (char *)"host=/run" },
                                     { (char *)"data", (char *)"" } };
static struct source_spec specs[] = { { (char *)"postgresql", settings, 2 },
                                      { (char *)"sqlite", NULL, 0 } };

static void sources_come_back(void **state)
{
    struct msg_backup m = a_backup(), got;
    struct wbuf w = WBUF_INIT;
    m.n_roots = 0;
    m.sources = specs;
    m.n_sources = 2;
    msg_backup_write(&w, &m);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_backup_read(&r, &got, NULL), 0);
    assert_true(got.n_roots == 0 && got.n_sources == 2 && got.sources[0].n == 2);
    assert_string_equal(got.sources[0].kind, "postgresql");
    assert_string_equal(source_spec_get(&got.sources[0], "conninfo"), "host=/run");
    assert_string_equal(source_spec_get(&got.sources[0], "data"), "");
    assert_null(source_spec_get(&got.sources[1], "data"));
    msg_backup_done(&got);
    cut_and_stretch(read_backup, &w, false);
    wbuf_free(&w);
}

static char *freeze[] = { (char *)"/sbin/freeze", (char *)"--now", (char *)"a b" },
            *thaw[] = { (char *)"/sbin/thaw" };

static void hooks_come_back(void **state)
{
    struct msg_backup m = a_backup(), got;
    struct wbuf w = WBUF_INIT;
    m.hooks = (struct hooks){ freeze, thaw, 3, 1, 60 };
    msg_backup_write(&w, &m);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_backup_read(&r, &got, NULL), 0);
    assert_true(got.hooks.n_before == 3 && got.hooks.n_after == 1 && got.hooks.limit_s == 60);
    assert_string_equal(got.hooks.before[2], "a b");
    assert_null(got.hooks.before[3]);
    assert_string_equal(got.hooks.after[0], "/sbin/thaw");
    msg_backup_done(&got);
    cut_and_stretch(read_backup, &w, false);
    wbuf_free(&w);
}

static int hooks_are(char **before, size_t n, unsigned limit_s)
{
    struct msg_backup m = a_backup();
    m.hooks = (struct hooks){ .before = before, .n_before = n, .limit_s = limit_s };
    return backup_is(&m);
}

static void hooks_have_bounds(void **state)
{
    char *many[MAX_HOOK_WORDS + 1], *long_word = calloc(1, MAX_HOOK_WORD_BYTES + 2), *line;
    char *quoted[] = { (char *)"/x", (char *)"it's", (char *)"a=b", (char *)"*" };
    for (size_t i = 0; i <= MAX_HOOK_WORDS; i++)
        many[i] = thaw[0];
    memset(long_word, '/', MAX_HOOK_WORD_BYTES + 1);
    assert_int_equal(hooks_are(many, MAX_HOOK_WORDS, MAX_HOOK_LIMIT_S), 0);
    assert_int_equal(hooks_are(many, MAX_HOOK_WORDS + 1, 1), -ERR_PROTOCOL);
    assert_int_equal(hooks_are(many, 1, MAX_HOOK_LIMIT_S + 1), -ERR_PROTOCOL);
    many[1] = long_word;
    assert_int_equal(hooks_are(many, 2, 1), -ERR_PROTOCOL);
    long_word[MAX_HOOK_WORD_BYTES] = '\0';
    assert_int_equal(hooks_are(many, 2, 1), 0);
    free(long_word);
    for (size_t i = 0; i < 2; i++) {
        many[1] = (char *)(i == 0 ? "" : "a\nb");
        assert_int_equal(hooks_are(many, 2, 1), -ERR_PROTOCOL);
    }
    many[0] = (char *)"sh";
    assert_int_equal(hooks_are(many, 1, 1), -ERR_PROTOCOL);
    line = hook_line(quoted, 4);
    assert_string_equal(line, "/x 'it'\\''s' a=b '*'");
    free(line);
}

static int sources_are(struct source_spec *s, size_t n)
{
    struct msg_backup m = a_backup();
    m.sources = s;
    m.n_sources = n;
    return backup_is(&m);
}

static void sources_have_bounds(void **state)
{
    static const char *const no_words[] = {
        "", "Post", "9p", "a b", "a/b", "..", "a23456789-123456789-123456789-123"
    };
    struct source_spec one = specs[0], many[MAX_SOURCES + 1];
    struct setting wrong = { NULL, (char *)"x" };
    for (size_t i = 0; i < sizeof no_words / sizeof *no_words; i++) {
        one.kind = (char *)no_words[i];
        assert_int_equal(sources_are(&one, 1), -ERR_PROTOCOL);
        one = specs[0];
        wrong.key = (char *)no_words[i];
        one.v = &wrong;
        one.n = 1;
        assert_int_equal(sources_are(&one, 1), -ERR_PROTOCOL);
    }
    for (size_t i = 0; i <= MAX_SOURCES; i++)
        many[i] = specs[0];
    assert_int_equal(sources_are(many, MAX_SOURCES), 0);
    assert_int_equal(sources_are(many, MAX_SOURCES + 1), -ERR_PROTOCOL);
    struct setting *v = calloc(MAX_SOURCE_SETTINGS + 1, sizeof *v);
    for (size_t i = 0; i <= MAX_SOURCE_SETTINGS; i++)
        v[i] = settings[0];
    one = (struct source_spec){ (char *)"x", v, MAX_SOURCE_SETTINGS };
    assert_int_equal(sources_are(&one, 1), 0);
    one.n++;
    assert_int_equal(sources_are(&one, 1), -ERR_PROTOCOL);
    free(v);
}

static struct msg_restore a_restore(void)
{
    return (struct msg_restore){ .vault_id = { { 7 } },
                                 .snapshot_id = { { 8 } },
                                 .mode = RESTORE_COMPARE,
                                 .strip_source = true,
                                 .target = (char *)"/srv/back",
                                 .paths = roots,
                                 .n_paths = 2,
                                 .exclude = globs,
                                 .n_exclude = 1,
                                 .body = (uint8_t *)"body",
                                 .body_len = 4 };
}

static int restore_is(const struct msg_restore *m)
{
    struct wbuf w = WBUF_INIT;
    msg_restore_write(&w, m);
    int rc = read_bytes(read_restore, w.p, w.len);
    wbuf_free(&w);
    return rc;
}

static void restores_come_back(void **state)
{
    struct msg_restore m = a_restore(), got;
    struct wbuf w = WBUF_INIT;
    msg_restore_write(&w, &m);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_restore_read(&r, &got, NULL), 0);
    assert_true(id_eq(&got.vault_id, &m.vault_id) && id_eq(&got.snapshot_id, &m.snapshot_id));
    assert_true(got.mode == RESTORE_COMPARE && !got.overwrite && got.strip_source);
    assert_string_equal(got.target, "/srv/back");
    assert_true(got.n_paths == 2 && got.n_exclude == 1 && got.body_len == 4);
    assert_string_equal(got.paths[1], "/srv");
    assert_memory_equal(got.body, "body", 4);
    msg_restore_done(&got);
    cut_and_stretch(read_restore, &w, false);
    wbuf_reset(&w);
    m.strip = (char *)"/postgresql/data";
    m.sources = specs;
    m.n_sources = 2;
    msg_restore_write(&w, &m);
    r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_restore_read(&r, &got, NULL), 0);
    assert_string_equal(got.strip, "/postgresql/data");
    assert_string_equal(got.sources[1].kind, "sqlite");
    msg_restore_done(&got);
    cut_and_stretch(read_restore, &w, false);
    m.strip = (char *)"relative";
    assert_int_equal(restore_is(&m), -ERR_PROTOCOL);
    m = a_restore();
    wbuf_free(&w);
    m.n_paths = 0;
    m.n_exclude = 0;
    assert_int_equal(restore_is(&m), 0);
    m.target = (char *)"srv";
    assert_int_equal(restore_is(&m), -ERR_PROTOCOL);
    m = a_restore();
    m.body_len = 0;
    assert_int_equal(restore_is(&m), -ERR_PROTOCOL);
    m = a_restore();
    m.mode = (enum restore_mode)2;
    assert_int_equal(restore_is(&m), -ERR_PROTOCOL);
}

static void snapshots_come_back(void **state)
{
    struct msg_snapshot m = { .base = { { 4 } },
                              .started_ns = -5,
                              .ended_ns = INT64_MAX,
                              .files = 1,
                              .dirs = 2,
                              .others = 3,
                              .bytes = UINT64_MAX,
                              .bytes_read = 5,
                              .problems = 6,
                              .counter = 7,
                              .body = (const uint8_t *)"sealed",
                              .body_len = 6 },
                        got;
    struct wbuf w = WBUF_INIT;
    msg_snapshot_write(&w, &m);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_snapshot_read(&r, &got, NULL), 0);
    assert_true(id_eq(&got.base, &m.base) && got.started_ns == -5 && got.ended_ns == INT64_MAX);
    assert_true(got.files == 1 && got.dirs == 2 && got.others == 3 && got.bytes == UINT64_MAX);
    assert_true(got.bytes_read == 5 && got.problems == 6 && got.counter == 7 && got.body_len == 6);
    assert_memory_equal(got.body, "sealed", 6);
    cut_and_stretch(read_snapshot, &w, false);
    wbuf_reset(&w);
    m.body_len = 0;
    msg_snapshot_write(&w, &m);
    assert_int_equal(read_bytes(read_snapshot, w.p, w.len), -ERR_PROTOCOL);
    wbuf_free(&w);
}

/* --- the short ones --------------------------------------------------------------------------- */
static void progress_comes_back(void **state)
{
    struct msg_progress m = { .phase = 3,
                              .files = 1,
                              .bytes = 2,
                              .bytes_read = 3,
                              .problems = 4,
                              .total_files = 5,
                              .total_bytes = 6,
                              .path = "srv/x",
                              .path_len = 5 },
                        got;
    struct wbuf w = WBUF_INIT;
    msg_progress_write(&w, &m);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_progress_read(&r, &got, NULL), 0);
    assert_true(got.phase == 3 && got.files == 1 && got.bytes == 2 && got.bytes_read == 3);
    assert_true(got.problems == 4 && got.total_files == 5 && got.total_bytes == 6 &&
                got.path_len == 5);
    assert_memory_equal(got.path, "srv/x", 5);
    cut_and_stretch(read_progress, &w, false);
    wbuf_reset(&w);
    m.phase = 4;
    msg_progress_write(&w, &m);
    assert_int_equal(read_bytes(read_progress, w.p, w.len), -ERR_PROTOCOL);
    wbuf_free(&w);
}

static void long_texts_are_cut_between_characters(void **state)
{
    char text[MAX_FRAME_TEXT + 10];
    for (size_t i = 0; i < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xbc", 2);
    text[0] = 'x';
    memmove(text + 1, text + 2, sizeof text - 2);
    struct msg_note m = { .problem = true,
                          .path = "p",
                          .path_len = 1,
                          .text = text,
                          .text_len = sizeof text - 1 },
                    got;
    struct wbuf w = WBUF_INIT;
    msg_note_write(&w, &m);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_note_read(&r, &got, NULL), 0);
    assert_true(got.problem && got.path_len == 1 && got.text_len == MAX_FRAME_TEXT - 1);
    assert_memory_equal(got.text, text, got.text_len);
    cut_and_stretch(read_note, &w, false);
    assert_int_equal(read_bytes(read_note, "\2\0\0", 3), -ERR_PROTOCOL);
    assert_int_equal(read_bytes(read_note, "\0\0\0", 3), 0);
    wbuf_free(&w);
}

static void chunks_come_back(void **state)
{
    struct msg_chunk m = { .id = { { 1 } }, .key_id = { { 2 } }, .counter = 3 }, got;
    struct wbuf w = WBUF_INIT;
    msg_chunk_write(&w, &m);
    assert_int_equal(read_bytes(read_chunk, w.p, w.len), -ERR_PROTOCOL); /* OK, but nothing there */
    wb_bytes(&w, "sealed", 6);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_chunk_read(&r, &got, NULL), 0);
    assert_true(id_eq(&got.id, &m.id) && id_eq(&got.key_id, &m.key_id) && got.counter == 3);
    assert_true(got.status == CHUNK_OK && got.sealed_len == 6);
    assert_memory_equal(got.sealed, "sealed", 6);
    cut_and_stretch(read_chunk, &w, true);
    wbuf_reset(&w);
    m.status = CHUNK_AWAY;
    msg_chunk_write(&w, &m);
    cut_and_stretch(read_chunk, &w, false);
    wbuf_reset(&w);
    m.status = (enum chunk_status)3;
    msg_chunk_write(&w, &m);
    assert_int_equal(read_bytes(read_chunk, w.p, w.len), -ERR_PROTOCOL);
    wbuf_free(&w);
}

static void diffs_come_back(void **state)
{
    struct msg_diff m = { .change = 'm', .path = "a/b", .path_len = 3, .what = 63 }, got;
    struct wbuf w = WBUF_INIT;
    msg_diff_write(&w, &m);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_diff_read(&r, &got, NULL), 0);
    assert_true(got.change == 'm' && got.what == 63 && got.path_len == 3);
    cut_and_stretch(read_diff, &w, false);
    assert_int_equal(read_bytes(read_diff, "A\0\1a", 4), 0);
    assert_int_equal(read_bytes(read_diff, "X\0\1a", 4), -ERR_PROTOCOL);
    assert_int_equal(read_bytes(read_diff, "\0\0\1a", 4), -ERR_PROTOCOL);
    assert_int_equal(read_bytes(read_diff, "A\x40\1a", 4), -ERR_PROTOCOL);
    assert_int_equal(read_bytes(read_diff, "A\0\0", 3), -ERR_PROTOCOL);
    wbuf_free(&w);
}

static void done_comes_back(void **state)
{
    struct msg_done m = { 1, 2, 3, UINT64_MAX, 5, 6, 7, 0, 0 }, got;
    struct wbuf w = WBUF_INIT;
    msg_done_write(&w, &m);
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_done_read(&r, &got, NULL), 0);
    assert_memory_equal(&got, &m, sizeof m);
    cut_and_stretch(read_done, &w, false);
    size_t n = w.len; /* what was extra, where there was any */
    m.extra = 300;
    m.extra_aside = 299;
    wbuf_reset(&w);
    msg_done_write(&w, &m);
    assert_true(w.len > n);
    assert_int_equal(read_bytes(read_done, w.p, w.len), 0);
    r = rbuf_of(w.p, w.len);
    assert_int_equal(msg_done_read(&r, &got, NULL), 0);
    assert_memory_equal(&got, &m, sizeof m);
    for (size_t cut = n + 1; cut < w.len; cut++)
        assert_int_equal(read_bytes(read_done, w.p, cut), -ERR_PROTOCOL);
    m.extra_aside = 301;
    wbuf_reset(&w);
    msg_done_write(&w, &m);
    assert_int_equal(read_bytes(read_done, w.p, w.len), -ERR_PROTOCOL);
    wbuf_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backups_come_back),
        cmocka_unit_test(backups_have_bounds),
        cmocka_unit_test(sources_come_back),
        cmocka_unit_test(sources_have_bounds),
        cmocka_unit_test(hooks_come_back),
        cmocka_unit_test(hooks_have_bounds),
        cmocka_unit_test(restores_come_back),
        cmocka_unit_test(snapshots_come_back),
        cmocka_unit_test(progress_comes_back),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(chunks_come_back),
        cmocka_unit_test(diffs_come_back),
        cmocka_unit_test(done_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
