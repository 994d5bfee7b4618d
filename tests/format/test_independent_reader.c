/* test_independent_reader.c - a copy made with the library is restored by tests/format/reader.py, a reader
 * in another language that was written from docs/format.md alone; and the reader takes no flipped bit. */
#include "lib/base/sys.h"
#include "lib/vault/chunk.h"
#include "lib/vault/log.h"
#include "lib/vault/recovery.h"
#include "lib/vault/record_object.h"
#include "tests/snapshot_kit.h"
#include "tests/unit/timeline_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASSPHRASE "Sixteen characters 3"
#define SOURCE "host/etc"
#define DAY_NS (INT64_C(86400) * 1000000000)
#define PATH_BYTES 512
#define GENERATION 1

/* A copy in the making. */
struct copy {
    char dir[64];
    struct vault_keys keys;
    struct kit *kit;
    struct id key_id;
    uint8_t data_key[KEY_BYTES];
    struct chunk_box *box;
    uint64_t counter;
    struct wbuf pack;
    struct pack_table table;
    struct reach reach;
};

static void write_object(struct copy *c, const char *name, const struct wbuf *w)
{
    struct err e = ERR_INIT;
    char path[PATH_BYTES], folder[PATH_BYTES];
    assert_false(w->failed);
    snprintf(path, sizeof(path), "%s/copy/%s", c->dir, name);
    memcpy(folder, path, sizeof(folder));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(sys_mkdir_p(folder, 0700, &e), 0);
    assert_int_equal(sys_write_file(AT_FDCWD, path, w->p, w->len, 0600, &e), 0);
}

/* Seals a plaintext, writes it under its hash, empties the buffer. */
static struct object_ref put(struct copy *c, enum object_type type, struct wbuf *plain)
{
    struct wbuf w = WBUF_INIT;
    struct object_ref ref;
    char name[MAX_OBJECT_NAME];
    assert_int_equal(envelope_seal(&c->keys, type, plain->p, plain->len, &w, NULL), 0);
    sha256_of(w.p, w.len, &ref.id);
    ref.len = w.len;
    if (type == OBJECT_HEAD)
        head_name(GENERATION, &ref.id, name);
    else
        object_name(type, &ref.id, name);
    write_object(c, name, &w);
    wbuf_free(&w);
    wbuf_reset(plain);
    return ref;
}

static void add_chunk(void *ctx, const struct id *id, const void *p, size_t n)
{
    struct copy *c = ctx;
    struct pack_chunk row = { .id = *id, .counter = c->counter };
    struct id hash;
    size_t at = c->pack.len;
    assert_int_equal(chunk_seal(c->box, id, c->counter++, n > 100 ? 3 : 0, p, n, &c->pack, NULL),
                     0);
    row.len = (uint32_t)(c->pack.len - at);
    sha256_of(c->pack.p + at, row.len, &hash);
    memcpy(row.hash, hash.b, SHORT_HASH_BYTES);
    assert_int_equal(pack_table_add(&c->table, &c->key_id, &row, NULL), 0);
    c->reach.add[c->reach.n_add++] = *id;
}

static void plant(struct kit *k)
{
    static char text[20000];
    struct piece holed[] = {
        { .len = 4096 }, { .len = 3, .data = "abc" }, { .len = 3, .data = "def" }, { .len = 9000 }
    };
    struct entry en = kit_entry(ENTRY_FILE, "etc/b");
    memset(text, 't', sizeof(text));
    kit_dir(k, "etc", 0750);
    kit_file(k, "etc/a", "first", 5);
    en.flags = ENTRY_LINKED;
    kit_pieces(k, en, &(struct piece){ .len = sizeof(text), .data = text }, 1);
    kit_link(k, "etc/c", "etc/b");
    kit_leaf(k);
    kit_symlink(k, "etc/d", "\xff to");
    kit_file(k, "etc/empty", "", 0);
    kit_pieces(k, kit_entry(ENTRY_FILE, "etc/holes"), holed, 4);
    kit_index(k);
    kit_file(k, "etc/z\n", "last", 4);
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(a, b);
}

static struct object_ref put_pack(struct copy *c)
{
    struct wbuf plain = WBUF_INIT;
    struct object_ref pack, index;
    char name[MAX_OBJECT_NAME];
    kit_each(c->kit, add_chunk, c);
    pack_table_write(&plain, &c->table);
    size_t at = c->pack.len;
    assert_int_equal(envelope_seal(&c->keys, OBJECT_PACK, plain.p, plain.len, &c->pack, NULL), 0);
    pack_trailer_write(&c->pack, (uint32_t)(c->pack.len - at));
    sha256_of(c->pack.p, c->pack.len, &pack.id);
    write_object(c, object_name(OBJECT_PACK, &pack.id, name), &c->pack);

    struct index_writer *iw = index_writer_new();
    struct index_pack ip = { .id = pack.id, .len = c->pack.len, .table = &c->table };
    wbuf_reset(&plain);
    assert_int_equal(index_writer_add(iw, &ip, NULL), 0);
    index_writer_finish(iw, &plain);
    index = put(c, OBJECT_INDEX, &plain);
    index_writer_free(iw);
    wbuf_free(&plain);
    return index;
}

static struct object_ref put_snapshot(struct copy *c, struct object_ref reach,
                                      struct object_ref *ret_list)
{
    struct wbuf binding = WBUF_INIT, plain = WBUF_INIT, sealed = WBUF_INIT;
    char policy[] = "etc", source[] = SOURCE, host[] = "host", kind[] = "files";
    struct snapshot s = { .state = SNAPSHOT_WHOLE,
                          .policy = policy,
                          .source = source,
                          .host = host,
                          .kind = kind,
                          .started_ns = DAY_NS,
                          .ended_ns = DAY_NS + 5,
                          .received_ns = DAY_NS + 9,
                          .files = 6,
                          .dirs = 1,
                          .bytes = 20000,
                          .reach = reach.id,
                          .key_id = c->key_id,
                          .counter = 7 };
    snapshot_binding(&binding, policy, source, host);
    snapshot_body_write(&plain, kit_finish(c->kit));
    assert_int_equal(body_seal(c->box, s.counter, &binding, plain.p, plain.len, &sealed, NULL), 0);
    s.body = sealed.p;
    s.body_len = sealed.len;
    wbuf_reset(&plain);
    snapshot_write(&plain, &s);
    struct object_ref ref = put(c, OBJECT_SNAPSHOT, &plain);
    struct snap_ref row = {
        .ref = ref, .received_ns = s.received_ns, .state = s.state, .reach = reach
    };
    struct source_list list = { .source = source, .snaps = &row, .n = 1 };
    source_list_write(&plain, &list);
    *ret_list = put(c, OBJECT_LIST, &plain);
    wbuf_free(&binding);
    wbuf_free(&plain);
    wbuf_free(&sealed);
    return ref;
}

static struct object_ref put_keys(struct copy *c)
{
    struct data_key dk = { .id = c->key_id };
    struct key_set set = { .keys = &dk, .n = 1 };
    struct wbuf plain = WBUF_INIT;
    assert_int_equal(data_key_seal(c->keys.recovery_pk, &c->keys.vault_id, &c->key_id, c->data_key,
                                   dk.blob, NULL),
                     0);
    key_set_write(&plain, &set);
    struct object_ref ref = put(c, OBJECT_KEYS, &plain);
    wbuf_free(&plain);
    return ref;
}

static void put_vault(struct copy *c)
{
    struct wbuf w = WBUF_INIT;
    struct secret *pass = secret_of(PASSPHRASE, strlen(PASSPHRASE));
    assert_int_equal(vault_keys_generate(&c->keys, NULL), 0);
    assert_int_equal(vault_object_write(&c->keys, "main", 1700000000, &w, NULL), 0);
    write_object(c, VAULT_OBJECT_NAME, &w);
    wbuf_reset(&w);
    assert_int_equal(recovery_write(&c->keys, pass, &w, NULL), 0);
    write_object(c, RECOVERY_OBJECT_NAME, &w);
    secret_free(pass);
    wbuf_free(&w);
}

/* In the order of rule 2. */
static void make_copy(struct copy *c)
{
    struct wbuf plain = WBUF_INIT;
    char source[] = SOURCE;
    struct head_list list = { .source = source };
    struct head h = { .generation = GENERATION,
                      .vault_generation = 1,
                      .written_ns = 2 * DAY_NS,
                      .lists = &list,
                      .n_lists = 1,
                      .n_index = 1,
                      .n_keys = 1 };
    sys_random(&c->key_id, sizeof(c->key_id));
    sys_random(c->data_key, sizeof(c->data_key));
    sys_random(&h.writer, sizeof(h.writer));
    put_vault(c);
    c->box = chunk_box_new(&c->keys.vault_id, &c->key_id, c->data_key);
    c->reach.add = calloc(64, sizeof(struct id));
    plant(c->kit);
    kit_finish(c->kit);
    struct object_ref keys = put_keys(c), index = put_pack(c);
    qsort(c->reach.add, c->reach.n_add, sizeof(struct id), by_id);
    reach_write(&plain, &c->reach);
    struct object_ref reach = put(c, OBJECT_REACH, &plain);
    put_snapshot(c, reach, &list.ref);
    h.index = &index;
    h.keys = &keys;
    head_write(&plain, &h);
    put(c, OBJECT_HEAD, &plain);
    wbuf_free(&plain);
}

/* %d becomes the test's folder. Returns the exit status; output goes to log. */
static int run(struct copy *c, const char *script)
{
    char line[2048];
    snprintf(line, sizeof(line), "d=%s; exec >$d/log 2>&1; %s", c->dir, script);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define READ \
    "rm -rf $d/out; /usr/bin/python3 -B tests/format/reader.py $d/copy $d/pass latest $d/out"

static int setup(void **state)
{
    struct copy *c = calloc(1, sizeof(*c));
    const char *tmp = getenv("TMPDIR");
    snprintf(c->dir, sizeof(c->dir), "%.40s/reader-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(c->dir));
    c->kit = kit_new();
    pack_table_init(&c->table);
    make_copy(c);
    *state = c;
    return run(c, "printf '%s\\n' '" PASSPHRASE "' >$d/pass");
}

static int teardown(void **state)
{
    struct copy *c = *state;
    int rc = run(c, "rm -rf $d");
    kit_free(c->kit);
    chunk_box_free(c->box);
    vault_keys_done(&c->keys);
    pack_table_done(&c->table);
    wbuf_free(&c->pack);
    free(c->reach.add);
    free(c);
    return rc;
}

static void must(struct copy *c, const char *script)
{
    if (run(c, script) != 0) {
        char line[128];
        snprintf(line, sizeof(line), "cat %s/log", c->dir);
        if (system(line) != 0)
            print_error("no output\n");
        fail_msg("%s", script);
    }
}

static void restores_what_was_written(void **state)
{
    struct copy *c = *state;
    must(c, READ);
    must(
        c,
        "cd $d/out/etc && test \"$(cat a)\" = first && test $(tr -d t <b | wc -c) = 0 && "
        "test $(stat -c %s b) = 20000 && cmp b c && test \"$(cat 'z\n')\" = last && test ! -s empty");
    must(
        c,
        "cd $d/out/etc && test \"$(readlink d)\" = \"$(printf '\\377 to')\" && test $(stat -c %s holes) = 13102 && "
        "test $(tail -c +4097 holes | head -c 6) = abcdef && test $(tr -d '\\0' <holes | wc -c) = 6");
    must(c,
         "cd $d/out/etc && test $(stat -c %i b) = $(stat -c %i c) && test $(stat -c %a .) = 750 && "
         "test $(stat -c %.9Y a) = 1700000000.123456789");
}

static void refuses_every_flipped_object(void **state)
{
    struct copy *c = *state;
    must(c, "cd $d/copy && find * -type f >$d/names && test $(wc -l <$d/names) = 9");
    must(
        c,
        "cd $d/copy && while read f; do for at in 4 -1; do cp \"$f\" $d/whole; /usr/bin/python3 -c '\n"
        "import sys; f = open(sys.argv[1], \"r+b\"); at = int(sys.argv[2]); f.seek(at, 2 if at < 0 else 0)\n"
        "b = f.read(1); f.seek(at, 2 if at < 0 else 0); f.write(bytes([b[0] ^ 1]))' \"$f\" $at; rm -rf $d/out;"
        " (cd $OLDPWD && /usr/bin/python3 -B tests/format/reader.py $d/copy $d/pass latest $d/out) && "
        "{ echo \"$f at $at was taken\"; exit 1; }; cp $d/whole \"$f\"; done; done <$d/names; test $(grep -c ^reader.py: $d/log) = 18");
    must(c, READ);
}

/* A stolen orchestrator's vault object: the true signing and operational key, sealed to the true recovery key,
 * and signed by a root of the thief's own making. */
static void refuses_another_root(void **state)
{
    struct copy *c = *state;
    struct vault_keys forged = c->keys;
    struct wbuf w = WBUF_INIT;
    forged.recovery_sk = secret_random(KEY_BYTES);
    assert_int_equal(vault_object_write(&forged, "main", 1700000000, &w, NULL), 0);
    secret_free(forged.recovery_sk);
    write_object(c, VAULT_OBJECT_NAME, &w);
    wbuf_free(&w);
    must(c, READ "; test $? = 1 && grep -q 'not the recovery key' $d/log");
}

#define LOG_SOURCE "db/postgresql"
#define LOGS "rm -rf $d/out; /usr/bin/python3 -B tests/format/reader.py $d/copy $d/pass logs $d/out"

/* An object of the pieces from first to last: piece n is "n" ten times, but 4, a history, and what follows is on timeline 2. */
static void put_log(struct copy *c, uint64_t first, uint64_t last)
{
    struct log_table *t = calloc(1, sizeof *t);
    struct wbuf body = WBUF_INIT, object = WBUF_INIT;
    struct data_key dk = { .id = c->key_id };
    char name[MAX_OBJECT_NAME], data[10];
    assert_int_equal(data_key_seal(c->keys.recovery_pk, &c->keys.vault_id, &c->key_id, c->data_key,
                                   dk.blob, NULL),
                     0);
    t->source = strdup(LOG_SOURCE);
    t->received_ns = DAY_NS + (int64_t)last;
    for (uint64_t seq = first; seq <= last; seq++) {
        bool history = seq == 4;
        struct log_piece p = { .seq = seq,
                               .epoch = 1,
                               .kind = history ? LOG_HISTORY : LOG_BYTES,
                               .system = 77,
                               .timeline = seq < 4 ? 1 : 2,
                               .start = seq < 4   ? 1000 + 10 * seq
                                        : history ? 1040
                                                  : 990 + 10 * seq,
                               .time_ns = -DAY_NS,
                               .len = sizeof data };
        struct id id;
        size_t at = body.len;
        p.end = history ? p.start : p.start + p.len;
        memset(data, '0' + (int)seq, sizeof data);
        log_piece_id(&c->keys.vault_id, LOG_SOURCE, &p, &id);
        assert_int_equal(chunk_seal(c->box, &id, 1000 + seq, 0, data, sizeof data, &body, NULL), 0);
        assert_int_equal(log_table_add(t, &p, &dk, 1000 + seq, body.len - at, NULL), 0);
    }
    assert_int_equal(log_object_seal(&c->keys, t, &body, &object, name, NULL), 0);
    write_object(c, name, &object);
    log_table_free(t);
    wbuf_free(&body);
    wbuf_free(&object);
}

static void takes_logs_out(void **state)
{
    struct copy *c = *state;
    put_log(c, 1, 1);
    put_log(c, 2, 2);
    put_log(c, 1, 3); /* the first two, put together with the third */
    put_log(c, 3, 6);
    must(c, LOGS " && grep -q 'of db/postgresql: 6 pieces in 4 objects' $d/log");
    must(c, "cd $d/out/db-postgresql && test $(ls | wc -l) = 3 && "
            "test \"$(cat 1-1-00000000000003f2)\" = 111111111122222222223333333333 && "
            "test \"$(cat 1-2.history)\" = 4444444444 && "
            "test \"$(cat 1-2-0000000000000410)\" = 55555555556666666666");
    must(c, READ); /* who reads backups does not mind them */
    put_log(c, 9, 9);
    must(c, LOGS " && grep -q 'pieces 7 to 8 are not here' $d/log");
    must(
        c,
        "cd $d/copy && for f in $(find logs -name '*0003-*0006-*'); do for at in 5 60 -3; do cp $f $d/whole; "
        "/usr/bin/python3 -c '\n"
        "import sys; f = open(sys.argv[1], \"r+b\"); at = int(sys.argv[2]); f.seek(at, 2 if at < 0 else 0)\n"
        "b = f.read(1); f.seek(at, 2 if at < 0 else 0); f.write(bytes([b[0] ^ 1]))' $f $at; "
        "(cd $OLDPWD; rm -rf $d/out; /usr/bin/python3 -B tests/format/reader.py $d/copy $d/pass logs $d/out) && exit 1; "
        "cp $d/whole $f; done; done");
    /* The bytes are right, the name is another stream's. */
    must(c, "cd $d/copy/logs && mv * 0123456789abcdef && cd $OLDPWD && { " LOGS
            "; test $? = 1 && grep -q 'another stream' $d/log; }");
}

#define RECORDS \
    "rm -rf $d/out; /usr/bin/python3 -B tests/format/reader.py $d/copy $d/pass records $d/out"

static void put_record(struct copy *c, const struct line_kit *k, const struct record_before *before,
                       size_t n_before)
{
    static const uint8_t paper[] = "paper";
    struct record_object *o = calloc(1, sizeof *o);
    struct wbuf w = WBUF_INIT;
    struct id id;
    char name[MAX_OBJECT_NAME];
    snprintf(o->incident, sizeof o->incident, "%s", KIT_ID);
    o->number = k->seq;
    o->last = k->last;
    o->written_s = 77;
    for (size_t i = 0; i < n_before; i++)
        o->before[i] = before[i];
    o->n_before = n_before;
    o->timeline = k->bytes.p;
    o->timeline_len = k->bytes.len;
    o->files[0] = (struct record_file){ .name = "one.txt", .p = paper, .len = 5 };
    o->n_files = 1;
    assert_int_equal(record_object_seal(&c->keys, o, &w, NULL), 0);
    sha256_of(w.p, w.len, &id);
    write_object(c, object_name(OBJECT_RECORD, &id, name), &w);
    wbuf_free(&w);
    record_object_free(o);
}

static void takes_records_out(void **state)
{
    struct copy *c = *state;
    struct line_kit k = { 0 };
    kit_line(&k, 100, "opened", "{s:s}", "policy", "billing");
    struct record_before first = { k.seq, k.last };
    put_record(c, &k, NULL, 0);
    kit_line(&k, 200, "note", "{s:s}", "text", "\"它\" smokes");
    put_record(c, &k, &first, 1);
    must(c,
         RECORDS " && grep -q '1 of 2 records count' $d/log && test \"$(ls $d/out)\" = " KIT_ID
                 " && cd $d/out/*/2 && test $(wc -l <timeline) = 2 && test $(cat one.txt) = paper");
    must(c, READ); /* who reads backups does not mind them */
    must(c, "cd $d/copy/records && for f in *; do mv $f x; tr '\\001' '\\002' <x >$f; done");
    must(c, RECORDS "; test $? = 1");
    kit_done(&k);
}

static void refuses_another_passphrase(void **state)
{
    struct copy *c = *state;
    must(c, "echo 'Sixteen characters 4' >$d/pass");
    assert_int_equal(run(c, READ), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(restores_what_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_every_flipped_object, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_another_root, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_logs_out, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_records_out, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_another_passphrase, setup, teardown),
    };
    if (access("tests/format/reader.py", R_OK) != 0) {
        print_error("run this from the root of the source tree\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
