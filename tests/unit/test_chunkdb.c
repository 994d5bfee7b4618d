/* test_chunkdb.c - the index cache that several sessions share: what is pending is one's own, what is committed is everyone's,
 * what the dead leave is adopted once, and what is doomed or pinned is seen by the other side. */
#include "lib/base/sys.h"
#include "restore/chunkdb.h"
#include "restore/presence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define CHUNKS_A_PACK 4
#define NOW 2000000000

/* Two sessions on one cache, as two processes would have them. */
struct side {
    struct chunkdb *db;
    struct presence *p;
};
struct scene {
    char dir[200], index[256], facts[256], sessions[256];
    struct side a, b;
    struct err e;
};

static struct id id_of(unsigned what, unsigned n)
{
    struct id id = { 0 };
    id.b[0] = (uint8_t)what;
    id.b[1] = (uint8_t)(n >> 8);
    id.b[2] = (uint8_t)n;
    id.b[31] = 1;
    return id;
}

static struct id chunk(unsigned pack, unsigned i)
{
    return id_of('c', pack * CHUNKS_A_PACK + i);
}

static bool lives(void *ctx, uint64_t session)
{
    return presence_is_live(((struct scene *)ctx)->sessions, session);
}

static void open_side(struct scene *s, struct side *side, const char *source)
{
    struct chunkdb_who who = { .source = source, .live = lives, .ctx = s };
    assert_int_equal(presence_begin(s->sessions, true, "test", &side->p, &s->e), 0);
    assert_int_equal(chunkdb_open(s->index, s->facts, NULL, &side->db, &s->e), 0);
    chunkdb_join(side->db, presence_id(side->p), &who);
}

static void close_side(struct side *side)
{
    chunkdb_close(side->db);
    presence_end(side->p);
    *side = (struct side){ 0 };
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    snprintf(s->dir, sizeof s->dir, "%s/chunkdbXXXXXX", tmp);
    if (!mkdtemp(s->dir))
        return -1;
    snprintf(s->index, sizeof s->index, "%s/index.db", s->dir);
    snprintf(s->facts, sizeof s->facts, "%s/facts.db", s->dir);
    snprintf(s->sessions, sizeof s->sessions, "%s/sessions", s->dir);
    open_side(s, &s->a, "etc/files");
    open_side(s, &s->b, "home/files");
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    close_side(&s->a);
    close_side(&s->b);
    unlink(s->index);
    unlink(s->facts);
    int rc = rmdir(s->sessions); /* nothing of a session is left */
    rc |= rmdir(s->dir);
    free(s);
    return rc;
}

static void make_pack(unsigned n, struct pack_table *t, struct index_pack *ret)
{
    struct id key = id_of('k', n);
    pack_table_init(t);
    for (unsigned i = 0; i < CHUNKS_A_PACK; i++) {
        struct pack_chunk c = { .id = chunk(n, i), .len = 100, .counter = i };
        assert_int_equal(pack_table_add(t, &key, &c, NULL), 0);
    }
    *ret = (struct index_pack){ .id = id_of('p', n), .len = 500, .table = t };
}

static void add(struct scene *s, struct side *side, unsigned n)
{
    struct pack_table t;
    struct index_pack ip;
    make_pack(n, &t, &ip);
    assert_int_equal(chunkdb_add_pending(side->db, &ip, &s->e), 0);
    pack_table_done(&t);
}

static int has(struct side *side, unsigned pack)
{
    struct id first = chunk(pack, 0), last = chunk(pack, CHUNKS_A_PACK - 1);
    int rc = chunkdb_has(side->db, &first, NULL);
    assert_int_equal(chunkdb_has(side->db, &last, NULL), rc);
    return rc;
}

static struct object_ref index_ref(unsigned n)
{
    return (struct object_ref){ .id = id_of('i', n), .len = 1000 };
}

/* The index object n has the packs 10 n and 10 n + 1. */
static int load(void *ctx, const struct object_ref *ref, struct wbuf *out, struct err *e)
{
    unsigned n = ref->id.b[2];
    struct index_writer *w = index_writer_new();
    if (ctx)
        ++*(int *)ctx;
    for (unsigned i = 0; i < 2; i++) {
        struct pack_table t;
        struct index_pack ip;
        make_pack(10 * n + i, &t, &ip);
        assert_int_equal(index_writer_add(w, &ip, e), 0);
        pack_table_done(&t);
    }
    index_writer_finish(w, out);
    index_writer_free(w);
    return 0;
}

static int no_load(void *ctx, const struct object_ref *ref, struct wbuf *out, struct err *e)
{
    (void)ctx, (void)ref, (void)out, (void)e;
    fail_msg("an index was loaded that should be known");
    return -1;
}

static void sync_to(struct scene *s, struct side *side, const struct object_ref *refs, size_t n)
{
    assert_int_equal(chunkdb_sync(side->db, refs, n, load, NULL, &s->e), 0);
}

static int count_pack(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    (void)pack, (void)pending, (void)e;
    ++*(int *)ctx;
    return 0;
}

static int count_own(struct side *side)
{
    int n = 0;
    assert_int_equal(chunkdb_each_own(side->db, count_pack, &n, NULL), 0);
    return n;
}

/* --- pending and committed -------------------------------------------------------------------------------------------- */
static void test_pending_is_ones_own(void **state)
{
    struct scene *s = *state;
    add(s, &s->a, 1);
    assert_int_equal(has(&s->a, 1), CHUNK_OWN);
    assert_int_equal(has(&s->b, 1), 0);
    assert_int_equal(count_own(&s->a), 1);
    assert_int_equal(count_own(&s->b), 0);
    /* The other has stored the same chunk meanwhile: both are kept. */
    struct pack_table t;
    struct index_pack ip;
    make_pack(1, &t, &ip);
    ip.id = id_of('p', 99);
    assert_int_equal(chunkdb_add_pending(s->b.db, &ip, &s->e), 0);
    pack_table_done(&t);
    assert_int_equal(has(&s->b, 1), CHUNK_OWN);
}

static void test_committed_is_everyones(void **state)
{
    struct scene *s = *state;
    struct object_ref packs[] = { { .id = id_of('p', 1), .len = 500 } }, ref = index_ref(50);
    add(s, &s->a, 1);
    assert_int_equal(chunkdb_adopt_index(s->a.db, &ref.id, packs, 1, &s->e), 0);
    assert_int_equal(has(&s->a, 1), CHUNK_OWN);
    assert_int_equal(has(&s->b, 1), 0); /* on probation: no head names it */
    assert_int_equal(chunkdb_commit_index(s->a.db, &s->e), 0);
    assert_int_equal(has(&s->a, 1), CHUNK_COMMITTED);
    assert_int_equal(has(&s->b, 1), CHUNK_COMMITTED);
    assert_int_equal(count_own(&s->a), 0);
    assert_int_equal(chunkdb_sync(s->b.db, &ref, 1, no_load, NULL, &s->e), 0);
    assert_int_equal(has(&s->b, 1), CHUNK_COMMITTED);
}

static void test_given_back_by_a_commit_that_was_not(void **state)
{
    struct scene *s = *state;
    struct object_ref packs[] = { { .id = id_of('p', 1), .len = 500 } }, ref = index_ref(50);
    add(s, &s->a, 1);
    assert_int_equal(chunkdb_adopt_index(s->a.db, &ref.id, packs, 1, &s->e), 0);
    struct object_ref other = index_ref(2);
    sync_to(s, &s->b, &other, 1); /* the head knows nothing of it */
    assert_int_equal(count_own(&s->a), 1);
    assert_int_equal(has(&s->a, 1), CHUNK_OWN);
    assert_int_equal(has(&s->b, 1), 0);
    assert_int_equal(has(&s->b, 20), CHUNK_COMMITTED);
    /* And where it was committed after all, just before the end: */
    assert_int_equal(chunkdb_adopt_index(s->a.db, &ref.id, packs, 1, &s->e), 0);
    struct object_ref both[] = { other, ref };
    assert_int_equal(chunkdb_sync(s->b.db, both, 2, no_load, NULL, &s->e), 0);
    assert_int_equal(has(&s->b, 1), CHUNK_COMMITTED);
}

static void test_merging_hides_nothing(void **state)
{
    struct scene *s = *state;
    struct object_ref was[] = { index_ref(1), index_ref(2) }, ref = index_ref(50);
    struct object_ref packs[] = { { .id = id_of('p', 10) },
                                  { .id = id_of('p', 11) },
                                  { .id = id_of('p', 20) },
                                  { .id = id_of('p', 21) } };
    sync_to(s, &s->a, was, 2);
    assert_int_equal(chunkdb_adopt_index(s->a.db, &ref.id, packs, 4, &s->e), 0);
    assert_int_equal(has(&s->b, 10), CHUNK_COMMITTED); /* the old head still says so */
    /* That commit was not: the old objects are loaded again, and nobody is given their packs. */
    int loaded = 0;
    assert_int_equal(chunkdb_sync(s->b.db, was, 2, load, &loaded, &s->e), 0);
    assert_int_equal(loaded, 2);
    assert_int_equal(has(&s->b, 10), CHUNK_COMMITTED);
    assert_int_equal(has(&s->b, 21), CHUNK_COMMITTED);
    assert_int_equal(count_own(&s->a) + count_own(&s->b), 0);
    assert_int_equal(chunkdb_adopt_dead(s->a.db, NOW, &s->e), 0);
}

static void test_what_no_head_names_is_gone(void **state)
{
    struct scene *s = *state;
    struct object_ref refs[] = { index_ref(1), index_ref(2) };
    sync_to(s, &s->a, refs, 2);
    add(s, &s->a, 70);
    sync_to(s, &s->b, &refs[1], 1); /* a prune took the other */
    assert_int_equal(has(&s->a, 10), 0);
    assert_int_equal(has(&s->a, 20), CHUNK_COMMITTED);
    assert_int_equal(has(&s->a, 70), CHUNK_OWN);
}

static void test_dropping_spares_what_is_committed(void **state)
{
    struct scene *s = *state;
    struct object_ref ref = index_ref(1);
    struct id committed = id_of('p', 10), own = id_of('p', 70);
    sync_to(s, &s->a, &ref, 1);
    add(s, &s->a, 70);
    assert_int_equal(chunkdb_drop_pack(s->b.db, &own, &s->e), 0); /* somebody else's */
    assert_int_equal(has(&s->a, 70), CHUNK_OWN);
    assert_int_equal(chunkdb_drop_pack(s->a.db, &committed, &s->e), 0);
    assert_int_equal(has(&s->a, 10), CHUNK_COMMITTED);
    assert_int_equal(chunkdb_drop_pack(s->a.db, &own, &s->e), 0);
    assert_int_equal(has(&s->a, 70), 0);
}

static void test_promises(void **state)
{
    struct scene *s = *state;
    struct id id = chunk(1, 0);
    assert_int_equal(chunkdb_promise(s->a.db, &id, &s->e), 0);
    assert_int_equal(chunkdb_is_promised(s->a.db, &id, &s->e), 1);
    assert_int_equal(chunkdb_is_promised(s->b.db, &id, &s->e), 0);
    assert_int_equal(chunkdb_has(s->a.db, &id, &s->e), 0); /* promised is not stored */
    assert_int_equal(chunkdb_keep_promise(s->b.db, &id, &s->e), 0);
    assert_int_equal(chunkdb_keep_promise(s->a.db, &id, &s->e), 1);
    assert_int_equal(chunkdb_keep_promise(s->a.db, &id, &s->e), 0);
    chunkdb_forget_promises(s->a.db);
    assert_int_equal(chunkdb_is_promised(s->a.db, &id, &s->e), 0);
}

static void test_lost_until_stored_again(void **state)
{
    struct scene *s = *state;
    struct object_ref ref = index_ref(1), both[] = { ref, index_ref(50) };
    struct object_ref again[] = { { .id = id_of('p', 99) } };
    struct id id = chunk(10, 0);
    struct pack_table t;
    struct index_pack ip;
    sync_to(s, &s->a, &ref, 1);
    assert_int_equal(chunkdb_mark_lost(s->b.db, &id, &s->e), 0);
    assert_int_equal(chunkdb_has(s->a.db, &id, &s->e), 0);
    make_pack(10, &t, &ip);
    ip.id = again[0].id;
    assert_int_equal(chunkdb_add_pending(s->a.db, &ip, &s->e), 0);
    pack_table_done(&t);
    assert_int_equal(chunkdb_has(s->a.db, &id, &s->e), CHUNK_OWN);
    assert_int_equal(chunkdb_has(s->b.db, &id, &s->e), 0);
    assert_int_equal(chunkdb_adopt_index(s->a.db, &both[1].id, again, 1, &s->e), 0);
    assert_int_equal(chunkdb_commit_index(s->a.db, &s->e), 0);
    assert_int_equal(chunkdb_has(s->b.db, &id, &s->e), CHUNK_COMMITTED);
}

/* --- the dead ------------------------------------------------------------------------------------------------------------ */
struct keys_seen {
    int own, others;
    struct object_ref ref;
};

static int see_key(void *ctx, bool own, const struct data_key *k, const struct object_ref *ref,
                   struct err *e)
{
    struct keys_seen *seen = ctx;
    (void)e;
    assert_int_equal(k->blob[5], 55);
    seen->own += own;
    seen->others += !own;
    seen->ref = *ref;
    return 0;
}

static struct keys_seen keys_of(struct side *side)
{
    struct keys_seen seen = { 0 };
    assert_int_equal(chunkdb_each_pending_key(side->db, see_key, &seen, NULL), 0);
    return seen;
}

static void add_key(struct scene *s, struct side *side, unsigned n)
{
    struct data_key k = { .id = id_of('k', n) };
    struct object_ref ref = { .id = id_of('o', n), .len = 321 };
    k.blob[5] = 55;
    assert_int_equal(chunkdb_add_pending_key(side->db, &k, &ref, &s->e), 0);
}

static void test_the_dead_are_adopted_once(void **state)
{
    struct scene *s = *state;
    struct side c = { 0 };
    add_key(s, &s->a, 1);
    add(s, &s->a, 1);
    add(s, &s->a, 2);
    assert_int_equal(chunkdb_adopt_dead(s->b.db, NOW, &s->e), 0); /* it lives */
    close_side(&s->a);
    assert_int_equal(has(&s->b, 1), 0);
    open_side(s, &s->a, "etc/files");
    open_side(s, &c, "etc/files");
    assert_int_equal(chunkdb_adopt_dead(s->a.db, sys_realtime_s(), &s->e), 2);
    assert_int_equal(chunkdb_adopt_dead(c.db, sys_realtime_s(), &s->e), 0);
    assert_int_equal(has(&s->a, 1), CHUNK_OWN);
    assert_int_equal(has(&c, 1), 0);
    assert_int_equal(keys_of(&s->a).own, 1);
    assert_int_equal(keys_of(&s->a).ref.len, 321);
    assert_int_equal(keys_of(&c).others, 1);
    assert_int_equal(chunkdb_forget_own_keys(c.db, &s->e), 0);
    assert_int_equal(chunkdb_forget_own_keys(s->a.db, &s->e), 0);
    assert_int_equal(keys_of(&s->a).own + keys_of(&s->a).others, 0);
    close_side(&c);
}

static void test_another_sources_dead_wait_a_day(void **state)
{
    struct scene *s = *state;
    add_key(s, &s->a, 1);
    add(s, &s->a, 1);
    close_side(&s->a);
    assert_int_equal(chunkdb_adopt_dead(s->b.db, sys_realtime_s(), &s->e), 0);
    assert_int_equal(keys_of(&s->b).others, 1); /* kept for whoever goes on with it */
    assert_int_equal(chunkdb_adopt_dead(s->b.db, sys_realtime_s() + 90000, &s->e), 1);
    assert_int_equal(has(&s->b, 1), CHUNK_OWN);
    assert_int_equal(keys_of(&s->b).own, 1);
    open_side(s, &s->a, "etc/files");
}

static void test_keys_without_packs_go_with_the_dead(void **state)
{
    struct scene *s = *state;
    add_key(s, &s->a, 1);
    assert_int_equal(chunkdb_adopt_dead(s->b.db, NOW, &s->e), 0);
    assert_int_equal(keys_of(&s->b).others, 1); /* its first pack is still to come */
    close_side(&s->a);
    assert_int_equal(chunkdb_adopt_dead(s->b.db, NOW, &s->e), 0);
    assert_int_equal(keys_of(&s->b).others, 0);
    open_side(s, &s->a, "etc/files");
}

static void test_killed_amid_a_commit(void **state)
{
    struct scene *s = *state;
    struct object_ref packs[] = { { .id = id_of('p', 1), .len = 500 } }, ref = index_ref(50);
    add_key(s, &s->a, 1);
    add(s, &s->a, 1);
    assert_int_equal(chunkdb_adopt_index(s->a.db, &ref.id, packs, 1, &s->e), 0);
    close_side(&s->a);
    open_side(s, &s->a, "etc/files");
    /* Until somebody knows whether a head names it, its keys are needed. */
    assert_int_equal(chunkdb_adopt_dead(s->b.db, sys_realtime_s(), &s->e), 0);
    assert_int_equal(keys_of(&s->b).others, 1);
    sync_to(s, &s->b, NULL, 0);
    assert_int_equal(chunkdb_adopt_dead(s->a.db, sys_realtime_s(), &s->e), 1);
    assert_int_equal(keys_of(&s->a).own, 1);
}

/* --- pins and doom ----------------------------------------------------------------------------------------------------- */
static void test_doomed(void **state)
{
    struct scene *s = *state;
    struct object_ref ref = index_ref(1);
    struct id ids[] = { chunk(10, 0), chunk(10, 1) }, other = chunk(10, 2);
    sync_to(s, &s->a, &ref, 1);
    assert_int_equal(chunkdb_doom(s->a.db, ids, 2, &s->e), 0);
    assert_int_equal(chunkdb_is_doomed(s->b.db, &ids[0], &s->e), 1);
    assert_int_equal(chunkdb_is_doomed(s->b.db, &ids[1], &s->e), 1);
    assert_int_equal(chunkdb_is_doomed(s->b.db, &other, &s->e), 0);
    assert_int_equal(chunkdb_has(s->b.db, &ids[0], &s->e), CHUNK_COMMITTED); /* it still is there */
    assert_int_equal(chunkdb_undoom_all(s->a.db, presence_id(s->b.p), &s->e), 0);
    assert_int_equal(chunkdb_is_doomed(s->b.db, &ids[0], &s->e), 1);
    assert_int_equal(chunkdb_undoom_all(s->a.db, presence_id(s->a.p), &s->e), 0);
    assert_int_equal(chunkdb_is_doomed(s->b.db, &ids[0], &s->e), 0);
}

static void test_dead_dooms_count_no_more(void **state)
{
    struct scene *s = *state;
    struct id id = chunk(10, 0);
    assert_int_equal(chunkdb_doom(s->a.db, &id, 1, &s->e), 0);
    close_side(&s->a);
    assert_int_equal(chunkdb_is_doomed(s->b.db, &id, &s->e), 0);
    open_side(s, &s->a, NULL);
}

static void test_pinned(void **state)
{
    struct scene *s = *state;
    struct id ids[3000], own = chunk(900, 0);
    for (unsigned i = 0; i < 3000; i++)
        ids[i] = id_of('x', i);
    assert_int_equal(presence_pin(s->a.p, &own, 1, &s->e), 0);
    assert_int_equal(presence_pin(s->b.p, ids, 2000, &s->e), 0);
    assert_int_equal(presence_pin(s->b.p, ids + 1000, 2000, &s->e), 0);
    assert_int_equal(chunkdb_load_pins(s->a.db, s->sessions, &s->e), 0);
    for (unsigned i = 0; i < 3000; i++)
        assert_int_equal(chunkdb_is_pinned(s->a.db, &ids[i], &s->e), 1);
    assert_int_equal(chunkdb_is_pinned(s->a.db, &own, &s->e), 0);
    close_side(&s->b);
    assert_int_equal(chunkdb_load_pins(s->a.db, s->sessions, &s->e), 0);
    assert_int_equal(chunkdb_is_pinned(s->a.db, &ids[0], &s->e), 0);
    open_side(s, &s->b, NULL);
}

struct offers {
    struct id first;
    uint64_t session;
    int n;
};

static int see_offer(void *ctx, uint64_t session, const struct id *id, struct err *e)
{
    struct offers *o = ctx;
    (void)e;
    o->first = o->n++ ? o->first : *id;
    o->session = session;
    return 0;
}

static void test_offers(void **state)
{
    struct scene *s = *state;
    struct id ids[] = { id_of('s', 1), id_of('s', 2) };
    struct offers o = { .n = 0 };
    assert_int_equal(presence_offer(s->b.p, ids, 2, &s->e), 0);
    assert_int_equal(presence_each_offer(s->sessions, presence_id(s->a.p), see_offer, &o, &s->e),
                     0);
    assert_int_equal(o.n, 2);
    assert_true(id_eq(&o.first, &ids[0]) && o.session == presence_id(s->b.p));
    o.n = 0;
    assert_int_equal(presence_each_offer(s->sessions, presence_id(s->b.p), see_offer, &o, &s->e),
                     0);
    assert_int_equal(o.n, 0);
}

/* --- who lives ------------------------------------------------------------------------------------------------------------ */
struct seen {
    int n, writers;
    struct presence_info last;
};

static int see(void *ctx, const struct presence_info *p, struct err *e)
{
    struct seen *seen = ctx;
    (void)e;
    seen->n++;
    seen->writers += p->writes;
    if (!p->writes)
        seen->last = *p;
    return 0;
}

static void test_sessions_are_told_apart(void **state)
{
    struct scene *s = *state;
    struct presence *p = NULL;
    struct seen seen = { 0 };
    assert_int_equal(presence_begin(s->sessions, false, "restore of etc", &p, &s->e), 0);
    assert_int_equal(presence_generation(p, 17, &s->e), 0);
    assert_int_equal(presence_each(s->sessions, see, &seen, &s->e), 0);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.writers, 2);
    assert_string_equal(seen.last.what, "restore of etc");
    assert_int_equal(seen.last.generation, 17);
    assert_int_equal(seen.last.pid, getpid());
    assert_true(presence_id(p) == seen.last.id && presence_is_live(s->sessions, seen.last.id));
    presence_end(p);
    assert_false(presence_is_live(s->sessions, seen.last.id));
}

static void test_a_kill_ends_a_session(void **state)
{
    struct scene *s = *state;
    int ready[2];
    uint64_t id = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct presence *p = NULL;
        struct id pin = chunk(1, 0);
        if (presence_begin(s->sessions, true, "dies", &p, NULL) < 0 ||
            presence_pin(p, &pin, 1, NULL) < 0)
            _exit(1);
        id = presence_id(p);
        if (write(ready[1], &id, sizeof id) != sizeof id)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &id, sizeof id), sizeof id);
    assert_true(presence_is_live(s->sessions, id));
    assert_int_equal(chunkdb_load_pins(s->a.db, s->sessions, &s->e), 0);
    struct id pin = chunk(1, 0);
    assert_int_equal(chunkdb_is_pinned(s->a.db, &pin, &s->e), 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    assert_false(presence_is_live(s->sessions, id));
    assert_int_equal(chunkdb_load_pins(s->a.db, s->sessions, &s->e), 0);
    assert_int_equal(chunkdb_is_pinned(s->a.db, &pin, &s->e), 0);
    struct seen seen = { 0 };
    assert_int_equal(presence_each(s->sessions, see, &seen, &s->e), 0);
    assert_int_equal(seen.n, 2);
}

/* --- at the same time ------------------------------------------------------------------------------------------------------- */
#define CROWD 6
#define PACKS_EACH 12

static int one_of_the_crowd(struct scene *s, unsigned who)
{
    struct side side = { 0 };
    struct chunkdb_who w = { .live = lives, .ctx = s };
    struct err e = ERR_INIT;
    if (presence_begin(s->sessions, true, "crowd", &side.p, &e) < 0 ||
        chunkdb_open(s->index, s->facts, NULL, &side.db, &e) < 0)
        return 1;
    chunkdb_join(side.db, presence_id(side.p), &w);
    for (unsigned i = 0; i < PACKS_EACH; i++) {
        struct pack_table t;
        struct index_pack ip;
        unsigned n = 100 + who * PACKS_EACH + i;
        make_pack(n, &t, &ip);
        int rc = chunkdb_add_pending(side.db, &ip, &e);
        pack_table_done(&t);
        add_key(s, &side, n);
        for (unsigned k = 0; rc == 0 && k < 200; k++) {
            struct id id = chunk(100 + k % (CROWD * PACKS_EACH), k % CHUNKS_A_PACK);
            rc = chunkdb_has(side.db, &id, &e);
            rc = rc < 0 ? rc : 0;
        }
        if (rc < 0) {
            fprintf(stderr, "# %s: %s\n", e.what, e.why);
            return 2;
        }
    }
    bool mine = count_own(&side) == PACKS_EACH;
    close_side(&side);
    return mine ? 0 : 3;
}

static void test_a_crowd(void **state)
{
    struct scene *s = *state;
    pid_t pids[CROWD];
    for (unsigned i = 0; i < CROWD; i++)
        if ((pids[i] = fork()) == 0)
            _exit(one_of_the_crowd(s, i));
    for (unsigned i = 0; i < CROWD; i++) {
        int status = -1;
        waitpid(pids[i], &status, 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(chunkdb_adopt_dead(s->a.db, NOW, &s->e), CROWD * PACKS_EACH);
    assert_int_equal(keys_of(&s->a).own, CROWD * PACKS_EACH);
    for (unsigned i = 0; i < CROWD * PACKS_EACH; i++)
        assert_int_equal(has(&s->a, 100 + i), CHUNK_OWN);
}

static void test_an_older_cache_is_made_anew(void **state)
{
    struct scene *s = *state;
    struct object_ref ref = index_ref(1);
    sync_to(s, &s->a, &ref, 1);
    close_side(&s->a);
    close_side(&s->b);
    int fd = open(s->index, O_WRONLY);
    uint8_t old[4] = { 0, 0, 0, 1 }; /* user_version, at 60 */
    assert_int_equal(pwrite(fd, old, 4, 60), 4);
    close(fd);
    open_side(s, &s->a, NULL);
    open_side(s, &s->b, NULL);
    assert_int_equal(has(&s->a, 10), 0);
    sync_to(s, &s->a, &ref, 1);
    assert_int_equal(has(&s->b, 10), CHUNK_COMMITTED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pending_is_ones_own),
        TEST(test_committed_is_everyones),
        TEST(test_given_back_by_a_commit_that_was_not),
        TEST(test_merging_hides_nothing),
        TEST(test_what_no_head_names_is_gone),
        TEST(test_dropping_spares_what_is_committed),
        TEST(test_promises),
        TEST(test_lost_until_stored_again),
        TEST(test_the_dead_are_adopted_once),
        TEST(test_another_sources_dead_wait_a_day),
        TEST(test_keys_without_packs_go_with_the_dead),
        TEST(test_killed_amid_a_commit),
        TEST(test_doomed),
        TEST(test_dead_dooms_count_no_more),
        TEST(test_pinned),
        TEST(test_offers),
        TEST(test_sessions_are_told_apart),
        TEST(test_a_kill_ends_a_session),
        TEST(test_a_crowd),
        TEST(test_an_older_cache_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
