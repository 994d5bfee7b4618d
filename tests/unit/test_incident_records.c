/* test_incident_records.c - records of incidents in two copies (orchestrator/crash/records.h): each put replaces the ones before and nothing of
 * another timeline; another machine takes the incident over and goes on; scrub, repair, replicate and prune mind them. */
#include "orchestrator/crash/records.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/records_tend.h"
#include "orchestrator/text.h"
#include "tests/unit/sys_kit.h"
#include "tests/vault_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define PAPER_SHA256 "382635c9325bf3273d195ff1b8a44e5b11afd7d97addeb8863ea35feb98c1a07"

struct copies {
    char *dir, *url[2], *state[2]; /* two copies, and two machines */
    struct app app[2];
    struct vault v;
};

static void open_scene(struct copies *s)
{
    static char places[2][2] = { "a", "b" };
    s->v.name = (char *)"main";
    s->v.keys = sample_keys();
    s->v.n_copies = 2;
    assert_int_equal(chunkdb_open(NULL, NULL, NULL, &s->v.db, NULL), 0);
    for (int i = 0; i < 2; i++) {
        s->url[i] = text_print("%s/copy-%d", s->dir, i);
        s->state[i] = text_print("%s/state-%d", s->dir, i);
        s->app[i].paths = (struct config_paths){ s->state[i], s->state[i] };
        s->app[i].ui = (struct ui){ .quiet = true, .command = "test" };
        s->v.copies[i] = (struct copy){ .place = places[i],
                                        .url = s->url[i],
                                        .state = COPY_CURRENT };
        assert_int_equal(store_open(s->url[i], 0, &s->v.copies[i].store, NULL), 0);
    }
}

static void close_scene(struct copies *s)
{
    for (int i = 0; i < 2; i++) {
        store_close(s->v.copies[i].store);
        free(s->url[i]);
        free(s->state[i]);
    }
    chunkdb_close(s->v.db);
    vault_keys_done(&s->v.keys);
}

static int setup(void **state)
{
    struct copies *s = calloc(1, sizeof *s);
    s->dir = text_print("/tmp/tfrec-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    for (int i = 0; i < 2; i++) {
        struct store *made = NULL;
        char *url = text_print("%s/copy-%d", s->dir, i);
        char *folder = text_print("%s/state-%d", s->dir, i);
        assert_int_equal(store_open(url, STORE_CREATE, &made, NULL), 0);
        assert_int_equal(sys_mkdir_p(folder, 0700, NULL), 0);
        /* One that is empty is taken for a disk that is not mounted. */
        struct store_data d = { .p = "x", .fd = -1, .len = 1 };
        assert_int_equal(store_put(made, "recovery", &d, NULL), 0);
        store_close(made);
        free(folder);
        free(url);
    }
    open_scene(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct copies *s = *state;
    char command[128];
    close_scene(s);
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    int rc = system(command); // NOLINT(cert-env33-c): a folder of our own
    free(s->dir);
    free(s);
    return rc;
}

static struct incident *create(struct copies *s, int machine, bool drill)
{
    struct incident *inc = NULL;
    struct err e = ERR_INIT;
    struct incident_opening o = {
        .policy = "billing", .vault = "main", .agent = "local", .drill = drill
    };
    if (incident_create(&s->app[machine].paths, &o, &inc, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    return inc;
}

static void note(struct incident *inc, const char *text)
{
    assert_int_equal(incident_add(inc, EVENT_NOTE, json_pack("{s:s}", "text", text), NULL), 0);
}

static struct record_put put(struct copies *s, int machine, struct incident *inc)
{
    struct record_put r;
    struct err e = ERR_INIT;
    if (records_put(&s->app[machine], &s->v, inc, &r, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    return r;
}

static struct records look(struct copies *s)
{
    struct records rs;
    assert_int_equal(records_look(&s->v, -1, NULL, NULL, &rs, NULL), 0);
    return rs;
}

static size_t n_on(const struct records *rs, size_t copy)
{
    size_t n = 0;
    for (size_t i = 0; i < rs->n; i++)
        n += (rs->v[i].copies & (1u << copy)) != 0;
    return n;
}

static void file_of(const struct copies *s, int copy, const struct record_seen *r, char out[256])
{
    char name[MAX_OBJECT_NAME];
    snprintf(out, 256, "%s/%s", s->url[copy], object_name(OBJECT_RECORD, &r->object, name));
}

static void newer_ones_replace_older_ones(void **state)
{
    struct copies *s = *state;
    struct incident *inc = create(s, 0, false);
    for (int i = 0; i < 8; i++) {
        struct record_put r = put(s, 0, inc);
        assert_int_equal(r.n_done, 2);
        assert_int_equal(r.number, i + 1);
        note(inc, "more");
    }
    struct records rs = look(s);
    assert_int_equal(rs.n, RECORDS_KEPT);
    assert_int_equal(n_on(&rs, 0), RECORDS_KEPT);
    assert_int_equal(n_on(&rs, 1), RECORDS_KEPT);
    assert_int_equal(rs.v[0].o->number, 8);
    assert_int_equal(rs.v[0].o->n_before, 7);
    assert_int_equal(records_replacing(&rs, 0, UINT32_MAX), 0);
    assert_int_equal(records_replacing(&rs, 2, UINT32_MAX), 2);
    assert_false(rs.v[0].o->ended);
    records_done(&rs);
    incident_free(inc);

    /* Another incident's are not touched, whatever comes. */
    inc = create(s, 0, true);
    put(s, 0, inc);
    rs = look(s);
    assert_int_equal(rs.n, RECORDS_KEPT + 1);
    records_done(&rs);
    incident_free(inc);
}

/* The machine is gone: another one takes the newest record, its papers too, goes on, and its records replace the old machine's. */
static void another_machine_goes_on(void **state)
{
    struct copies *s = *state;
    struct incident *inc = create(s, 0, false), *there = NULL;
    char *folder = NULL, path[300];
    struct err e = ERR_INIT;
    size_t n = 0;
    assert_int_equal(incident_folder(inc, &folder, &e), 0);
    snprintf(path, sizeof path, "%s/incident-1.txt", folder);
    assert_int_equal(sys_write_file(AT_FDCWD, path, "paper", 5, 0600, &e), 0);
    free(folder);
    for (int i = 0; i < 4; i++) {
        note(inc, "on the first machine");
        put(s, 0, inc);
    }
    assert_int_equal(incident_add(inc, EVENT_REPORT,
                                  json_pack("{s:s, s:i, s:s, s:s}", "form", "incident", "number", 1,
                                            "path", path, "sha256", PAPER_SHA256),
                                  &e),
                     0);
    put(s, 0, inc);
    assert_int_equal(records_adopt(&s->app[1], &s->v, "nobody", &n, &e), -ERR_NAME);
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(records_adopt(&s->app[1], &s->v, "billing", &n, &e), 0); /* again */
    assert_int_equal(incident_open(&s->app[1].paths, "billing", &there, &e), 0);
    assert_int_equal(there->n, 6);
    assert_int_equal(incident_folder(there, &folder, &e), 0);
    snprintf(path, sizeof path, "%s/6-incident-1.txt", folder);
    free(folder);
    uint8_t *p = NULL;
    size_t len = 0;
    assert_int_equal(sys_read_file(AT_FDCWD, path, 100, &p, &len, &e), 0);
    assert_int_equal(len, 5);
    free(p);
    note(there, "on the second machine");
    put(s, 1, there);
    struct records rs = look(s);
    assert_int_equal(rs.n, RECORDS_KEPT);
    assert_int_equal(rs.v[0].o->number, 7);
    assert_int_equal(records_replacing(&rs, 1, UINT32_MAX), 1);
    records_done(&rs);

    /* The first one was not gone after all: two timelines, and neither replaces the other. */
    note(inc, "the first machine again");
    note(inc, "and again");
    put(s, 0, inc);
    put(s, 1, there);
    rs = look(s);
    size_t newest = 0;
    for (size_t i = 0; i < rs.n; i++)
        newest += records_replacing(&rs, i, UINT32_MAX) == 0;
    assert_int_equal(newest, 2);
    records_done(&rs);
    /* Though the second machine learns of the other's from the copies, it takes none of them away. */
    char *history = text_print("%s/incidents/%s/records", s->state[1], inc->id);
    assert_int_equal(unlink(history), 0);
    free(history);
    for (int i = 0; i < 5; i++) {
        note(there, "further");
        put(s, 1, there);
    }
    rs = look(s);
    size_t kept = 0;
    for (size_t i = 0; i < rs.n; i++)
        kept += rs.v[i].o->number == inc->n && rs.v[i].copies == 3 &&
                records_replacing(&rs, i, UINT32_MAX) == 0;
    assert_int_equal(kept, 1);
    records_done(&rs);

    /* The other's timeline is no beginning of ours: both cannot be one. */
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), 0);
    assert_int_equal(n, 1);
    incident_free(there);
    incident_free(inc);
}

static void without_the_recovery_key(void **state)
{
    struct copies *s = *state;
    struct incident *inc = create(s, 0, false);
    struct secret *key = s->v.keys.recovery_sk;
    struct err e = ERR_INIT;
    size_t n = 0;
    s->v.keys.recovery_sk = NULL;
    for (int i = 0; i < 5; i++) {
        note(inc, "x");
        put(s, 0, inc);
    }
    struct records rs = look(s);
    assert_int_equal(rs.n, RECORDS_KEPT); /* they are kept in order all the same */
    records_done(&rs);
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), -ERR_KEY);
    assert_int_equal(records_print(&s->app[1], &s->v, &e), 0);
    records_after_rebuild(&s->app[1], &s->v);
    s->v.keys.recovery_sk = key;
    incident_free(inc);
}

static void a_copy_that_was_away(void **state)
{
    struct copies *s = *state;
    struct incident *inc = create(s, 0, false);
    struct records_tended t;
    bool both[MAX_COPIES] = { true, true };
    struct err e = ERR_INIT;
    put(s, 0, inc);
    s->v.copies[1].state = COPY_AWAY;
    for (int i = 0; i < 5; i++) {
        note(inc, "x");
        struct record_put r = put(s, 0, inc);
        assert_int_equal(r.n_done, 1);
        assert_int_equal(r.problem[1].code, ERR_UNREACHABLE);
    }
    s->v.copies[1].state = COPY_BEHIND;
    assert_int_equal(records_scrub(&s->app[0], &s->v, -1, &t, &e), 0);
    assert_int_equal(t.lacking, 1);
    assert_int_equal(t.findings, 0);
    assert_int_equal(records_replicate(&s->app[0], &s->v, both, &t, &e), 0);
    assert_int_equal(t.objects, 1); /* the newest; what it replaces is not missed */
    assert_int_equal(records_scrub(&s->app[0], &s->v, -1, &t, &e), 0);
    assert_int_equal(t.lacking, 0);
    struct records rs = look(s);
    assert_int_equal(n_on(&rs, 1), 2);
    records_done(&rs);
    /* Nobody reaches it: an error, and nothing else is wrong. */
    struct record_put r;
    s->v.copies[0].state = s->v.copies[1].state = COPY_AWAY;
    assert_int_equal(records_put(&s->app[0], &s->v, inc, &r, &e), -ERR_UNREACHABLE);
    incident_free(inc);
}

static int count_note(void *ctx, const char *place, const char *name, const char *why,
                      struct err *e)
{
    ++*(size_t *)ctx;
    return 0;
}

static size_t noted(struct copies *s)
{
    size_t n = 0;
    assert_int_equal(chunkdb_each_damage(s->v.db, count_note, &n, NULL), 0);
    return n;
}

static void spoil(const char *file)
{
    char command[400];
    snprintf(command, sizeof command,
             "chmod u+w %s && printf x | dd of=%s bs=1 seek=60 conv=notrunc 2>/dev/null", file,
             file);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a file of our own
}

static void damage_is_found_and_mended(void **state)
{
    struct copies *s = *state;
    struct incident *inc = create(s, 0, false);
    struct records_tended t;
    struct err e = ERR_INIT;
    char file[256];
    put(s, 0, inc);
    struct records rs = look(s);
    file_of(s, 0, &rs.v[0], file);
    spoil(file);
    assert_int_equal(records_scrub(&s->app[0], &s->v, -1, &t, &e), 0);
    assert_int_equal(t.findings, 1);
    assert_int_equal(t.lost, 0);
    assert_int_equal(noted(s), 1);
    size_t n = 0;
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), 0); /* from the other copy */
    assert_int_equal(n, 1);
    assert_int_equal(records_repair(&s->app[0], &s->v, -1, "20261126-000000", &t, &e), 0);
    assert_int_equal(t.objects, 1);
    assert_int_equal(t.lost, 0);
    assert_int_equal(noted(s), 0);
    assert_int_equal(records_scrub(&s->app[0], &s->v, -1, &t, &e), 0);
    assert_int_equal(t.findings, 0);

    /* On both: it cannot be mended, and is said so until a newer one is there. */
    spoil(file);
    file_of(s, 1, &rs.v[0], file);
    spoil(file);
    assert_int_equal(records_repair(&s->app[0], &s->v, -1, "20261126-000001", &t, &e), 0);
    assert_int_equal(t.lost, 2);
    assert_int_equal(noted(s), 2);
    records_done(&rs);
    incident_free(inc);
}

static void prune_takes_what_is_replaced(void **state)
{
    struct copies *s = *state;
    struct incident *inc = create(s, 0, false);
    struct records_tended t;
    struct err e = ERR_INIT;
    char history[300];
    for (int i = 0; i < 3; i++) {
        put(s, 0, inc);
        note(inc, "x");
    }
    /* What this machine put is forgotten, and learnt again from the copies. */
    snprintf(history, sizeof history, "%s/incidents/%s/records", s->state[0], inc->id);
    s->v.copies[1].state = COPY_AWAY;
    for (int i = 0; i < 3; i++) {
        put(s, 0, inc);
        note(inc, "x");
    }
    s->v.copies[1].state = COPY_CURRENT;
    assert_int_equal(unlink(history), 0);
    put(s, 0, inc);
    struct records rs = look(s);
    size_t before = n_on(&rs, 1);
    assert_int_equal(
        before, 1); /* learnt from the copies: the old ones went, the three newest it had not */
    records_done(&rs);
    assert_int_equal(records_prune(&s->app[0], &s->v, true, &t, &e), 0);
    rs = look(s);
    size_t would = 0;
    for (size_t i = 0; i < rs.n; i++)
        for (unsigned c = 0; c < 2; c++)
            would += (rs.v[i].copies & (1u << c)) &&
                     records_replacing(&rs, i, 1u << c) >= RECORDS_KEPT;
    assert_int_equal(t.objects, would);
    records_done(&rs);
    assert_int_equal(records_prune(&s->app[0], &s->v, false, &t, &e), 0);
    rs = look(s);
    assert_true(n_on(&rs, 0) <= RECORDS_KEPT && n_on(&rs, 1) <= RECORDS_KEPT);
    assert_int_equal(rs.v[0].o->number, 7);
    assert_int_equal(rs.v[0].copies, 3);
    records_done(&rs);
    incident_free(inc);
}

/* --- a copy in strange hands --------------------------------------------------------------------------- */
static void plant(struct copies *s, int copy, unsigned char first, const void *p, size_t n)
{
    struct store_data d = { .p = p, .fd = -1, .len = n };
    struct id id = { { first } };
    char name[MAX_OBJECT_NAME];
    assert_int_equal(
        store_put(s->v.copies[copy].store, object_name(OBJECT_RECORD, &id, name), &d, NULL), 0);
}

/* What is not signed by this vault's key, or lies under a name that it has not, is said and not believed; the true record is taken. */
static void strange_records_are_not_believed(void **state)
{
    struct copies *s = *state;
    struct vault_keys foreign = { 0 };
    struct incident *inc = create(s, 0, false);
    struct err e = ERR_INIT;
    struct record_object *o = NULL;
    struct wbuf sealed = WBUF_INIT;
    uint8_t *true_one = NULL;
    struct records rs;
    struct id hash;
    char path[300], name[MAX_OBJECT_NAME];
    size_t n = 0, len = 0;
    put(s, 0, inc);
    rs = look(s);
    assert_int_equal(store_get_all(s->v.copies[1].store,
                                   object_name(OBJECT_RECORD, &rs.v[0].object, name),
                                   MAX_OBJECT_BYTES, &true_one, &len, &e),
                     0);
    records_done(&rs);
    plant(s, 0, 0x11, "no record", 9);
    plant(s, 0, 0x22, true_one, len); /* a true one, replayed under another name */
    plant(s, 0, 0x33, "long", 4);
    snprintf(path, sizeof path, "%s/%s", s->url[0],
             object_name(OBJECT_RECORD, &(struct id){ { 0x33 } }, name));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, (off_t)1 << 30), 0);
    free(true_one);

    /* Of the same incident, longer, and signed by another vault's key; its bytes have the right name. */
    note(inc, "forged");
    assert_int_equal(vault_keys_generate(&foreign, &e), 0);
    assert_int_equal(record_make(inc, NULL, 0, &o, &e), 0);
    assert_int_equal(record_object_seal(&foreign, o, &sealed, &e), 0);
    record_made_free(o);
    sha256_of(sealed.p, sealed.len, &hash);
    struct store_data d = { .p = sealed.p, .fd = -1, .len = sealed.len };
    assert_int_equal(
        store_put(s->v.copies[0].store, object_name(OBJECT_RECORD, &hash, name), &d, &e), 0);
    rs = look(s);
    size_t bad = 0;
    for (size_t i = 0; i < rs.n; i++)
        bad += rs.v[i].bad == 1 && !rs.v[i].o;
    assert_int_equal(bad, 4);
    records_done(&rs);
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), 0);
    assert_int_equal(n, 1);
    struct incident *there = NULL;
    assert_int_equal(incident_open(&s->app[1].paths, inc->id, &there, &e), 0);
    assert_int_equal(there->n, 1);
    /* Where nothing else is there, that is an error, not "none". */
    s->v.copies[1].state = COPY_AWAY;
    rs = look(s);
    for (size_t i = 0; i < rs.n; i++)
        if (rs.v[i].o)
            assert_int_equal(store_delete(s->v.copies[0].store,
                                          object_name(OBJECT_RECORD, &rs.v[i].object, name), &e),
                             0);
    records_done(&rs);
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), -ERR_DAMAGED);
    wbuf_free(&sealed);
    vault_keys_done(&foreign);
    incident_free(there);
    incident_free(inc);
}

/* One copy that lists without end does not hide what the other has; and a copy that cannot be listed is no copy without records. */
static void a_copy_full_of_names(void **state)
{
    struct copies *s = *state;
    struct incident *inc = create(s, 0, false);
    struct err e = ERR_INIT;
    char path[300], name[MAX_OBJECT_NAME];
    size_t n = 0;
    put(s, 0, inc);
    snprintf(path, sizeof path, "%s/%s", s->url[0],
             object_name(OBJECT_RECORD, &(struct id){ { 0x7a } }, name));
    char *digits = strstr(path, "7a00");
    assert_non_null(digits);
    for (unsigned i = 0; i <= MAX_RECORDS; i++) {
        snprintf(name, sizeof name, "%08x", i);
        memcpy(digits + 8, name, 8);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    struct records rs = look(s);
    assert_int_equal(rs.n, 1);
    assert_int_equal(rs.listed, 2);
    assert_non_null(rs.v[0].o);
    assert_int_equal(s->v.copies[0].problem.code, ERR_LIMIT);
    records_done(&rs);
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), 0);
    assert_int_equal(n, 1);
    s->v.copies[1].state = COPY_AWAY;
    assert_int_equal(records_print(&s->app[1], &s->v, &e), -ERR_UNREACHABLE);
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), -ERR_UNREACHABLE);
    incident_free(inc);
}

/* So old that the newest one does not name it any more: it is a beginning of its timeline all the same. */
static void a_very_old_one_comes_back(void **state)
{
    struct copies *s = *state;
    struct incident *inc = create(s, 0, false), *there = NULL;
    struct record_object *o = NULL;
    struct wbuf sealed = WBUF_INIT;
    struct err e = ERR_INIT;
    struct id hash;
    char name[MAX_OBJECT_NAME];
    size_t n = 0, newest = 0;
    put(s, 0, inc);
    note(inc, "x");
    note(inc, "y");
    assert_int_equal(record_make(inc, NULL, 0, &o, &e), 0);
    assert_int_equal(record_object_seal(&s->v.keys, o, &sealed, &e), 0);
    record_made_free(o);
    sha256_of(sealed.p, sealed.len, &hash);
    struct store_data d = { .p = sealed.p, .fd = -1, .len = sealed.len };
    assert_int_equal(
        store_put(s->v.copies[0].store, object_name(OBJECT_RECORD, &hash, name), &d, &e), 0);
    struct records rs = look(s);
    for (size_t i = 0; i < rs.n; i++)
        newest += records_replacing(&rs, i, UINT32_MAX) == 0;
    assert_int_equal(newest, 2); /* as far as can be seen without the recovery key */
    records_done(&rs);
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(incident_open(&s->app[1].paths, inc->id, &there, &e), 0);
    assert_int_equal(there->n, inc->n);
    wbuf_free(&sealed);
    incident_free(there);
    incident_free(inc);
}

/* --- kills and full disks --------------------------------------------------------------------------- */
#define MAX_STEPS 80

/* Two copies in the folder; one more record of its one incident. */
static int scene_put(const char *dir)
{
    struct copies s = { .dir = (char *)dir };
    struct incident *inc = NULL;
    struct record_put r;
    open_scene(&s);
    int rc = incident_open(&s.app[0].paths, "billing", &inc, NULL);
    if (rc == 0)
        rc = records_put(&s.app[0], &s.v, inc, &r, NULL);
    incident_free(inc);
    close_scene(&s);
    return rc < 0;
}

/* What is cut off in the middle leaves whole records, and the next one goes on from there and takes away what is old. */
static void faults_while_it_is_put(void **state)
{
    struct copies *s = *state;
    static const char *const kinds[] = { "kill@%u", "fail@%u:ENOSPC" };
    struct incident *inc = create(s, 0, false);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        bool whole = false;
        for (unsigned i = 1; i <= MAX_STEPS && !whole; i++) {
            char fault[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(fault, sizeof fault, kinds[k], i);
#pragma GCC diagnostic pop
            note(inc, "one more");
            int status = play("put", s->dir, fault);
            whole = WIFEXITED(status) && WEXITSTATUS(status) == 0;
            struct records rs = look(s);
            for (size_t n = 0; n < rs.n; n++)
                assert_non_null(rs.v[n].o);
            records_done(&rs);
            put(s, 0, inc);
            rs = look(s);
            assert_int_equal(rs.v[0].o->number, inc->n);
            assert_int_equal(rs.v[0].copies, 3);
            assert_int_equal(records_replacing(&rs, 0, UINT32_MAX), 0);
            assert_true(rs.n <= RECORDS_KEPT + 1);
            records_done(&rs);
        }
        assert_true(whole);
    }
    incident_free(inc);
}

/* A file that is no record, or of another vault, is nobody's: it stays, and is told. */
static void strange_files(void **state)
{
    struct copies *s = *state;
    struct incident *inc = create(s, 0, false);
    struct records_tended t;
    struct err e = ERR_INIT;
    static const char junk[] = "not a record";
    struct store_data d = { .p = junk, .fd = -1, .len = sizeof junk };
    struct id id;
    char name[MAX_OBJECT_NAME];
    sha256_of(junk, sizeof junk, &id);
    object_name(OBJECT_RECORD, &id, name);
    assert_int_equal(store_put(s->v.copies[0].store, name, &d, &e), 0);
    put(s, 0, inc);
    assert_int_equal(records_scrub(&s->app[0], &s->v, -1, &t, &e), 0);
    assert_int_equal(t.findings, 1);
    assert_int_equal(t.lost, 1);
    assert_int_equal(records_prune(&s->app[0], &s->v, false, &t, &e), 0);
    assert_int_equal(t.objects, 0);
    size_t n = 0;
    assert_int_equal(records_adopt(&s->app[1], &s->v, NULL, &n, &e), 0);
    assert_int_equal(n, 1);
    incident_free(inc);
}

int main(int argc, char **argv)
{
    static const struct scene scenes[] = { { "put", scene_put } };
    int played = scene_main(argc, argv, scenes, sizeof scenes / sizeof *scenes);
    if (played >= 0)
        return played;
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(newer_ones_replace_older_ones),
        T(another_machine_goes_on),
        T(without_the_recovery_key),
        T(a_copy_that_was_away),
        T(damage_is_found_and_mended),
        T(prune_takes_what_is_replaced),
        T(strange_files),
        T(strange_records_are_not_believed),
        T(a_copy_full_of_names),
        T(a_very_old_one_comes_back),
        T(faults_while_it_is_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
