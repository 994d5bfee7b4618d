/* tend.c - see tend.h. */
#include "orchestrator/logs/tend.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/logs/care.h"
#include "orchestrator/logs/keep.h"
#include "orchestrator/logs/old.h"
#include "orchestrator/logs/state.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS 5 /* the shelf is read again where somebody else has put things together */
#define FRESH_NS INT64_C(60000000000) /* what came so lately may still be on its way to a copy */
#define HOLE_BYTES 64

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static bool usable(const struct copy *c)
{
    return c->store && (c->state == COPY_CURRENT || c->state == COPY_BEHIND);
}

/* --- replicate ---------------------------------------------------------------------------------------------------------- */
struct bringing {
    struct app *app;
    const struct copy *copy;
    const struct logs_old *old;
    bool say; /* each that is brought is said */
};

/* What cannot be judged is brought. */
static bool of_use(void *ctx, const struct shelf_object *o)
{
    const struct bringing *b = ctx;
    struct err ignored = ERR_INIT;
    return logs_object_old(b->old, o, &ignored) != 1;
}

static void told(void *ctx, const struct shelf_object *o, const struct err *why)
{
    const struct bringing *b = ctx;
    char name[MAX_OBJECT_NAME];
    log_name_write(&o->name, name);
    if (why)
        ui_line(&b->app->ui, _("copy \"%s\": %s: NOT mended: %s"), b->copy->place, name, why->why);
    else if (b->say)
        ui_line(&b->app->ui, _("copy \"%s\": %s: mended"), b->copy->place, name);
}

static int bring_to(struct app *app, struct vault *v, size_t at, struct logs_brought *r,
                    struct err *e)
{
    int more = 1, rc = 0;
    for (unsigned round = 0; rc == 0 && more == 1 && round < ROUNDS; round++) {
        struct shelf s = { 0 };
        struct logs_old old = { 0 };
        struct bringing ctx = { app, &v->copies[at], &old, false };
        struct logs_bringing b = { .wanted = of_use, .told = told, .ctx = &ctx };
        rc = shelf_read(v, NULL, &s, e);
        if (rc == 0)
            rc = logs_old_read(app, v, &s, NULL, &old, e);
        if (rc == 0 && !(s.listed & (1u << at)))
            rc = err_set(e, ERR_UNREACHABLE, "%s", v->copies[at].problem.why);
        if (rc == 0)
            more = rc = logs_catch_up(v, &s, at, &b, e);
        rc = rc > 0 ? 0 : rc;
        r->objects += b.objects;
        r->bytes += b.bytes;
        r->lost = b.lost;
        logs_old_done(&old);
        shelf_done(&s);
    }
    return rc;
}

int logs_replicate(struct app *app, struct vault *v, const bool *copies, struct logs_brought *ret,
                   struct err *e)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        struct err why = ERR_INIT;
        ret[i] = (struct logs_brought){ 0 };
        if (!copies[i] || !usable(&v->copies[i]))
            continue;
        int rc = bring_to(app, v, i, &ret[i], &why);
        if (rc == -ERR_NOMEM && e) {
            *e = why;
            return rc;
        }
        if (rc < 0)
            ret[i].problem = why;
        if (rc == -ERR_INTERRUPTED)
            break;
    }
    return 0;
}

/* --- scrub: one object after the other ---------------------------------------------------------------------------------- */
struct notes { /* damage noted before, of objects of logs on one copy */
    char (*v)[MAX_OBJECT_NAME];
    size_t n;
    const char *place;
};
struct scrub {
    struct app *app;
    struct vault *v;
    int only;
    unsigned percent;
    struct shelf shelf;
    struct logs_old old;
    struct logs_checked *ret;
    struct notes noted[MAX_COPIES], met[MAX_COPIES];
};

static int add_note(struct notes *n, const char *name, struct err *e)
{
    void *grown = realloc(n->v, (n->n + 1) * sizeof *n->v);
    if (!grown)
        return no_memory(e);
    n->v = grown;
    snprintf(n->v[n->n++], sizeof *n->v, "%s", name);
    return 0;
}

static bool has_note(const struct notes *n, const char *name)
{
    for (size_t i = 0; i < n->n; i++)
        if (strcmp(n->v[i], name) == 0)
            return true;
    return false;
}

static int take_note(void *ctx, const char *place, const char *name, const char *why, struct err *e)
{
    struct notes *n = ctx;
    (void)why;
    return strcmp(place, n->place) == 0 && strncmp(name, LOG_FOLDER, strlen(LOG_FOLDER)) == 0
               ? add_note(n, name, e)
               : 0;
}

static int report(struct scrub *c, size_t at, const char *name, const struct err *why,
                  struct err *e)
{
    const char *place = c->v->copies[at].place;
    bool damaged = why->code == ERR_DAMAGED;
    ui_line(&c->app->ui, _("copy \"%s\": %s: %s (%s)"), place, name,
            damaged ? _("DAMAGED") : _("UNREADABLE"), why->why);
    ui_json(&c->app->ui,
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "finding", "place", place, "object",
                      name, "kind", damaged ? "damaged" : "unreadable", "why", why->why));
    c->ret->findings++;
    int rc = chunkdb_note_damage(c->v->db, place, name, why->why, e);
    return rc < 0 ? rc : add_note(&c->met[at], name, e);
}

static int check_one(struct scrub *c, struct shelf_object *o, size_t at, bool whole, struct err *e)
{
    struct shelf_reader r = { .v = c->v, .only = (int)at };
    char name[MAX_OBJECT_NAME];
    struct log_table *t = NULL;
    struct wbuf bytes = WBUF_INIT;
    struct err why = ERR_INIT;
    size_t body = 0;
    log_name_write(&o->name, name);
    whole = whole || o->uneven || has_note(&c->noted[at], name);
    int rc = whole ? shelf_object_read(&r, o, &bytes, &t, &body, &why)
                   : shelf_table(&r, o, &t, &why);
    c->ret->objects++;
    c->ret->read += whole;
    c->ret->bytes_read += bytes.len;
    log_table_free(t);
    wbuf_free(&bytes);
    if (rc == -ERR_ABSENT) { /* put together with others, or pruned; if not, the copy lacks it */
        o->copies &= ~(1u << at);
        return 0;
    }
    if (rc == -ERR_NOMEM)
        return no_memory(e);
    if (rc < 0) {
        o->bad |= 1u << at;
        return report(c, at, name, &why, e);
    }
    return 0;
}

static int by_hash(const void *a, const void *b)
{
    return id_cmp(a, b);
}

/* By turns: the share that follows, in the order of the hashes, where the last one ended. *ret: from which to which (cyclic). */
struct share {
    struct id after, last;
    bool all, none;
};

static int choose_share(struct scrub *c, size_t at, const char *key, struct share *ret,
                        struct err *e)
{
    struct id *ids = malloc((c->shelf.n + 1) * sizeof *ids);
    size_t n = 0, start = 0;
    if (!ids)
        return no_memory(e);
    for (size_t i = 0; i < c->shelf.n; i++)
        if (c->shelf.v[i].copies & (1u << at))
            ids[n++] = c->shelf.v[i].name.hash;
    qsort(ids, n, sizeof *ids, by_hash);
    size_t want = (n * c->percent + 99) / 100;
    *ret = (struct share){ .all = want == n, .none = want == 0 };
    int rc = chunkdb_get_meta(c->v->db, key, ret->after.b, ID_BYTES, e);
    if (rc != ID_BYTES)
        ret->after = (struct id){ 0 };
    while (start < n && id_cmp(&ids[start], &ret->after) <= 0)
        start++;
    if (want > 0)
        ret->last = ids[(start + want - 1) % n];
    free(ids);
    return rc < 0 ? rc : 0;
}

static bool in_share(const struct share *s, const struct id *id)
{
    bool behind = id_cmp(id, &s->after) > 0, before = id_cmp(id, &s->last) <= 0;
    if (s->all || s->none)
        return s->all;
    return id_cmp(&s->after, &s->last) < 0 ? behind && before : behind || before;
}

static int check_copy(struct scrub *c, size_t at, struct err *e)
{
    struct share share = { 0 };
    char key[2 * MAX_NAME];
    snprintf(key, sizeof key, "scrubbed-logs/%s", c->v->copies[at].place);
    c->noted[at].place = c->v->copies[at].place;
    int rc = chunkdb_each_damage(c->v->db, take_note, &c->noted[at], e);
    if (rc == 0)
        rc = choose_share(c, at, key, &share, e);
    for (size_t i = 0; rc == 0 && i < c->shelf.n; i++) {
        struct shelf_object *o = &c->shelf.v[i];
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted"));
        if (o->copies & (1u << at))
            rc = check_one(c, o, at, in_share(&share, &o->name.hash), e);
    }
    if (rc == 0 && !share.none)
        rc = chunkdb_set_meta(c->v->db, key, share.last.b, ID_BYTES, e);
    return rc;
}

static int drop_stale_notes(struct scrub *c, size_t at, struct err *e)
{
    const struct notes *n = &c->noted[at];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n->n; i++)
        if (!has_note(&c->met[at], n->v[i]))
            rc = chunkdb_clear_damage(c->v->db, n->place, n->v[i], e);
    return rc;
}

/* --- scrub: the sequence ---------------------------------------------------------------------------------------------- */
struct edge { /* of a hole */
    struct log_piece piece;
    bool known;
};

static struct edge edge_of(struct scrub *c, const struct shelf_object *o, bool last)
{
    struct shelf_reader r = { .v = c->v, .only = -1 };
    struct log_table *t = NULL;
    struct err ignored = ERR_INIT;
    struct edge x = { .known = o && shelf_table(&r, o, &t, &ignored) == 0 };
    if (x.known)
        x.piece = t->entries[last ? t->n - 1 : 0].piece;
    log_table_free(t);
    return x;
}

/* Numbers that were left out (care.h), and nothing is missing between; or nothing needs what is. */
static bool is_no_hole(struct scrub *c, const struct edge *before, const struct edge *after,
                       const struct shelf_object *next)
{
    const struct log_piece *p = &before->piece, *n = &after->piece;
    struct err ignored = ERR_INIT;
    if (next && logs_object_old(&c->old, next, &ignored) == 1)
        return true;
    if (!before->known || !after->known)
        return false;
    bool same = p->epoch == n->epoch && p->system == n->system && p->timeline == n->timeline;
    return same ? p->end == n->start : n->seq > UNSEEN_PIECES && n->seq % UNSEEN_PIECES == 1;
}

static void position(char out[32], const struct log_piece *p, uint64_t at)
{
    snprintf(out, 32, "%" PRIX64 "/%" PRIX64 " (%" PRIu32 ")", at >> 32, at & UINT32_MAX,
             p->timeline);
}

static int say_hole(struct scrub *c, const struct logs_stream *stream, uint64_t first,
                    uint64_t last, const struct edge *before, const struct edge *after,
                    struct err *e)
{
    char from[32] = "?", to[32] = "?", since[32] = "?", until[32] = "?", name[MAX_OBJECT_NAME];
    char hex[2 * LOG_STREAM_BYTES + 1], why[ERR_TEXT_BYTES];
    const char *source = stream->source[0] ? stream->source : "?";
    int rc = 0;
    if (before->known) {
        position(from, &before->piece, before->piece.end);
        ui_time(before->piece.time_ns, since);
    }
    if (after->known) {
        position(to, &after->piece, after->piece.start);
        ui_time(after->piece.time_ns, until);
    }
    ui_line(&c->app->ui,
            _("log of \"%s\": MISSING in every copy: pieces %" PRIu64 " to %" PRIu64
              ", from %s (%s) to %s (%s)"),
            source, first, last, from, since, to, until);
    ui_json(&c->app->ui,
            json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s}", "type", "hole", "source", source,
                      "first", (json_int_t)first, "last", (json_int_t)last, "from", from, "to", to,
                      "since", since, "until", until));
    c->ret->holes++;
    hex_encode(stream->id, sizeof stream->id, hex);
    snprintf(name, sizeof name, LOG_FOLDER "%s/%016" PRIu64 "-%016" PRIu64, hex, first, last);
    snprintf(why, sizeof why, _("of the log of \"%s\" from %s to %s is in no copy"), source, since,
             until);
    for (size_t i = 0; rc == 0 && i < c->v->n_copies; i++)
        if (usable(&c->v->copies[i])) {
            rc = chunkdb_note_damage(c->v->db, c->v->copies[i].place, name, why, e);
            if (rc == 0)
                rc = add_note(&c->met[i], name, e);
        }
    return rc;
}

/* What the keeper knew to be durable is behind the last that is here. */
static int check_end(struct scrub *c, const struct logs_stream *stream,
                     const struct shelf_object *last, bool tell, size_t *n, struct err *e)
{
    struct logs_state st = { 0 };
    struct err ignored = ERR_INIT;
    if (!stream->policy[0] || logs_state_read(&c->app->paths, stream->policy, &st, &ignored) < 0 ||
        strcmp(st.vault, c->v->name) != 0 || st.last.seq <= last->name.last)
        return 0;
    struct edge before = edge_of(c, last, true), after = { .piece = st.last, .known = true };
    after.piece.start = after.piece.end;
    if (before.known && before.piece.epoch == st.last.epoch && before.piece.end == st.last.end)
        return 0;
    (*n)++;
    return tell ? say_hole(c, stream, last->name.last + 1, st.last.seq, &before, &after, e) : 0;
}

/* *ret: how many holes. tell: they are printed and noted. */
static int check_stream(struct scrub *c, const struct logs_stream *stream, bool tell, size_t *ret,
                        struct err *e)
{
    struct shelf_pos pos = { 0 };
    const struct shelf_object *o, *was = NULL;
    uint64_t want = 0;
    int rc = 0;
    while (rc == 0 &&
           ((o = shelf_next(&c->shelf, stream->id, UINT32_MAX, &pos)) != NULL || pos.seq)) {
        if (!o)
            continue;
        if (was && o->name.first > want) {
            struct edge before = edge_of(c, was, true), after = edge_of(c, o, false);
            if (!is_no_hole(c, &before, &after, o)) {
                (*ret)++;
                rc = tell ? say_hole(c, stream, want, o->name.first - 1, &before, &after, e) : 0;
            }
        }
        was = o;
        want = o->name.last + 1;
    }
    return rc == 0 && was ? check_end(c, stream, was, tell, ret, e) : rc;
}

struct whole { /* the look for streams of which nothing is left */
    struct scrub *c;
    bool tell;
    size_t n;
    struct err *e;
};

static int check_policy(void *ctx, const char *policy)
{
    struct whole *x = ctx;
    struct scrub *c = x->c;
    struct logs_state st = { 0 };
    struct logs_stream stream = { .before_ns = INT64_MIN };
    struct err ignored = ERR_INIT;
    if (logs_state_read(&c->app->paths, policy, &st, &ignored) < 0 ||
        strcmp(st.vault, c->v->name) != 0 || st.last.seq == 0)
        return 0;
    logs_source(policy, st.kind, stream.source);
    log_stream_id(&c->v->keys, stream.source, stream.id);
    if (logs_old_stream(&c->old, stream.id))
        return 0;
    struct edge before = { .known = false }, after = { .piece = st.last, .known = true };
    after.piece.start = after.piece.end;
    x->n++;
    return x->tell ? say_hole(c, &stream, 1, st.last.seq, &before, &after, x->e) : 0;
}

static bool all_listed(const struct scrub *c)
{
    return c->shelf.listed == (1u << c->v->n_copies) - 1;
}

static int check_sequence(struct scrub *c, bool tell, size_t *ret, struct err *e)
{
    int rc = 0;
    *ret = 0;
    for (size_t i = 0; rc == 0 && i < c->old.n; i++)
        if (!c->old.streams[i].forgotten)
            rc = check_stream(c, &c->old.streams[i], tell && all_listed(c), ret, e);
    struct whole x = { .c = c, .tell = tell && all_listed(c), .e = e };
    if (rc == 0)
        rc = policy_each(&c->app->paths, check_policy, &x, e);
    *ret += x.n;
    if (rc == 0 && *ret && tell && !all_listed(c))
        ui_line(&c->app->ui,
                _("of logs %zu parts are in no copy that is here; one that is away may have them"),
                *ret);
    return rc;
}

/* --- scrub: the same everywhere ---------------------------------------------------------------------------------------- */
/* Old ones may lack, and those that came just now may be on their way. */
static bool should_be_there(void *ctx, const struct shelf_object *o)
{
    const struct bringing *b = ctx;
    struct shelf_reader r = { .v = b->old->v, .only = -1 };
    struct log_table *t = NULL;
    struct err ignored = ERR_INIT;
    if (!of_use(ctx, o) || shelf_table(&r, o, &t, &ignored) < 0)
        return false;
    int64_t age_ns = sys_realtime_ns() - t->received_ns;
    log_table_free(t);
    return age_ns > FRESH_NS || age_ns < -FRESH_NS;
}

static int copy_shelf(const struct shelf *s, struct shelf *ret, struct err *e)
{
    *ret = (struct shelf){ .n = s->n, .cap = s->n, .listed = s->listed };
    ret->v = malloc((s->n + 1) * sizeof *ret->v);
    if (!ret->v)
        return no_memory(e);
    if (s->n)
        memcpy(ret->v, s->v, s->n * sizeof *ret->v);
    return 0;
}

static int check_lacking(struct scrub *c, bool tell, size_t *ret, struct err *e)
{
    *ret = 0;
    for (size_t i = 0; i < c->v->n_copies; i++) {
        struct bringing ctx = { c->app, &c->v->copies[i], &c->old, false };
        struct logs_bringing b = { .only_count = true, .wanted = should_be_there, .ctx = &ctx };
        struct shelf s;
        char size[32];
        if (!(c->shelf.listed & (1u << i)) || (c->only >= 0 && (size_t)c->only != i))
            continue;
        int rc = copy_shelf(&c->shelf, &s, e);
        if (rc == 0)
            rc = logs_catch_up(c->v, &s, i, &b, e);
        shelf_done(&s);
        if (rc < 0)
            return rc;
        *ret += b.objects > 0;
        if (!tell || b.objects == 0)
            continue;
        c->ret->lacking++;
        ui_line(&c->app->ui,
                P_("copy \"%s\": lacks %llu object (%s) of logs that others have",
                   "copy \"%s\": lacks %llu objects (%s) of logs that others have", b.objects),
                c->v->copies[i].place, (unsigned long long)b.objects, ui_bytes(b.bytes, size));
        ui_json(&c->app->ui,
                json_pack("{s:s, s:s, s:I, s:I}", "type", "lacking", "place", c->v->copies[i].place,
                          "objects", (json_int_t)b.objects, "bytes", (json_int_t)b.bytes));
    }
    return 0;
}

/* --- scrub: the whole --------------------------------------------------------------------------------------------------- */
static void keep_bad(struct shelf *to, const struct shelf *from)
{
    size_t k = 0;
    for (size_t i = 0; i < to->n; i++) {
        while (k < from->n && shelf_order(&from->v[k], &to->v[i]) < 0)
            k++;
        if (k < from->n && shelf_order(&from->v[k], &to->v[i]) == 0)
            to->v[i].bad = to->v[i].copies & from->v[k].bad;
    }
}

/* What seems to be missing is looked for once more: meanwhile a keeper may have put objects together. */
static int check_together(struct scrub *c, struct err *e)
{
    size_t holes = 0, lacking = 0;
    int rc = check_sequence(c, false, &holes, e);
    if (rc == 0)
        rc = check_lacking(c, false, &lacking, e);
    if (rc == 0 && holes + lacking > 0) {
        struct shelf again = { 0 };
        sleep(1);
        rc = shelf_read(c->v, NULL, &again, e);
        if (rc == 0) {
            keep_bad(&again, &c->shelf);
            shelf_done(&c->shelf);
            c->shelf = again;
            rc = check_sequence(c, true, &holes, e);
        }
        if (rc == 0)
            rc = check_lacking(c, true, &lacking, e);
    }
    return rc;
}

static int scrub_all(struct scrub *c, struct err *e)
{
    int rc = shelf_read(c->v, NULL, &c->shelf, e);
    if (rc == 0)
        rc = logs_old_read(c->app, c->v, &c->shelf, NULL, &c->old, e);
    for (size_t i = 0; rc == 0 && i < c->v->n_copies; i++)
        if (c->shelf.listed & (1u << i) && (c->only < 0 || (size_t)c->only == i))
            rc = check_copy(c, i, e);
    if (rc == 0)
        rc = check_together(c, e);
    for (size_t i = 0; rc == 0 && i < c->v->n_copies; i++)
        if (c->noted[i].place && all_listed(c))
            rc = drop_stale_notes(c, i, e);
    if (rc == 0 && c->ret->objects)
        ui_line(&c->app->ui,
                _("logs: checked %" PRIu64 " objects, %" PRIu64 " of them were read and hashed"),
                c->ret->objects, c->ret->read);
    if (rc == 0 && c->ret->objects)
        ui_json(&c->app->ui,
                json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "type", "scrub_logs", "objects",
                          (json_int_t)c->ret->objects, "read", (json_int_t)c->ret->read,
                          "bytes_read", (json_int_t)c->ret->bytes_read, "findings",
                          (json_int_t)c->ret->findings, "holes", (json_int_t)c->ret->holes,
                          "lacking", (json_int_t)c->ret->lacking));
    return rc;
}

static void scrub_done(struct scrub *c)
{
    for (size_t i = 0; i < MAX_COPIES; i++) {
        free(c->noted[i].v);
        free(c->met[i].v);
    }
    logs_old_done(&c->old);
    shelf_done(&c->shelf);
}

int logs_scrub(struct app *app, struct vault *v, int only, unsigned percent,
               struct logs_checked *ret, struct err *e)
{
    struct scrub c = { .app = app, .v = v, .only = only, .percent = percent, .ret = ret };
    *ret = (struct logs_checked){ 0 };
    int rc = scrub_all(&c, e);
    scrub_done(&c);
    return rc < 0 ? err_wrap(e, _("logs")) : 0;
}

/* --- repair ---------------------------------------------------------------------------------------------------------------- */
/* What is bad there and was not replaced: its pieces are in others of the copy (then it is in the way), or nobody has them. */
static int clear_bad(struct scrub *c, size_t at, struct logs_mended *ret, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    for (size_t i = 0; i < c->shelf.n; i++) {
        struct shelf_object *o = &c->shelf.v[i];
        if (!(o->copies & o->bad & (1u << at)) || !shelf_has(&c->shelf, &o->name, at, 0))
            continue;
        if (store_delete(c->v->copies[at].store, log_name_write(&o->name, name), e) < 0)
            return err_wrap(e, _("copy \"%s\""), c->v->copies[at].place);
        o->copies &= ~(1u << at);
        ret->objects++;
        ui_line(&c->app->ui, _("copy \"%s\": %s: taken away; what it held is in other objects"),
                c->v->copies[at].place, name);
    }
    return 0;
}

static int mend_copy(struct scrub *c, size_t at, const char *stamp, struct logs_mended *ret,
                     struct err *e)
{
    struct bringing ctx = { c->app, &c->v->copies[at], &c->old, true };
    struct logs_bringing b = { .stamp = stamp, .wanted = of_use, .told = told, .ctx = &ctx };
    int rc = logs_catch_up(c->v, &c->shelf, at, &b, e);
    ret->objects += b.objects;
    ret->bytes += b.bytes;
    ret->failed += b.lost;
    return rc < 0 ? rc : clear_bad(c, at, ret, e);
}

/* The notes of what is whole now go. */
static int forget_mended(struct scrub *c, size_t at, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->met[at].n; i++) {
        bool bad = false, hole = true;
        for (size_t k = 0; k < c->shelf.n; k++) {
            const struct shelf_object *o = &c->shelf.v[k];
            if (strcmp(log_name_write(&o->name, name), c->met[at].v[i]) == 0) {
                hole = false;
                bad = o->copies & o->bad & (1u << at);
            }
        }
        struct log_name n;
        hole = hole && !log_name_parse(c->met[at].v[i], &n);
        if (!bad && !hole)
            rc = chunkdb_clear_damage(c->v->db, c->v->copies[at].place, c->met[at].v[i], e);
    }
    return rc;
}

int logs_repair(struct app *app, struct vault *v, int only, unsigned percent, const char *stamp,
                struct logs_mended *ret, struct err *e)
{
    struct logs_checked checked = { 0 };
    struct scrub c = { .app = app, .v = v, .only = only, .percent = percent, .ret = &checked };
    *ret = (struct logs_mended){ 0 };
    int rc = scrub_all(&c, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++) {
        if (!(c.shelf.listed & (1u << i)) || (only >= 0 && (size_t)only != i))
            continue;
        rc = mend_copy(&c, i, stamp, ret, e);
        if (rc == 0)
            rc = forget_mended(&c, i, e);
    }
    ret->failed += checked.holes;
    scrub_done(&c);
    return rc < 0 ? err_wrap(e, _("logs")) : 0;
}
