/* serve.c - see serve.h. */
#include "orchestrator/logs/serve.h"
#include "lib/base/i18n.h"
#include "orchestrator/logs/keep.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAR_BYTES (UINT64_C(16) << 20)  /* more than waits to be sent where somebody keeps up */
#define SLACK_NS INT64_C(3600000000000) /* a clock may have been set by so much */
#define LIST_FRAME 16384                /* pieces in one */
#define LOOKS 4 /* should objects go while they are read: others put them together */
#define NO_OBJECT UINT32_MAX

struct served {
    uint64_t key; /* the first bytes of its id */
    struct log_piece piece;
    uint32_t object; /* of the way */
};
struct logs_serve {
    struct shelf_reader reader;
    void (*damage)(void *ctx, const struct copy *c, const char *object, const struct err *what);
    void *damage_ctx;
    bool looked; /* what is not there now is missing */
    char source[MAX_FORMAT_NAME + 1];
    uint8_t stream[LOG_STREAM_BYTES];
    struct shelf shelf;
    const struct shelf_object **way; /* the objects of the stream, from its beginning */
    size_t n_way;
    struct served *v; /* in their order */
    size_t n, cap;
    uint32_t *by_key; /* indices into v, ascending by key */
    int64_t known_ns;
    char why[ERR_TEXT_BYTES]; /* there is no more, though there should be */

    /* the object that was read last */
    size_t object;
    struct log_table *table;
    struct wbuf bytes;
    size_t body;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

bool logs_are_kept(struct app *app, struct vault *v, const char *policy, const char *kind)
{
    char source[MAX_FORMAT_NAME + 1];
    struct shelf s = { 0 };
    struct err ignored = ERR_INIT;
    logs_source(policy, kind, source);
    struct logs_state st = { 0 };
    int rc = shelf_read(v, source, &s, &ignored);
    bool any = rc < 0 || s.n > 0;
    shelf_done(&s);
    if (!any && logs_state_read(&app->paths, policy, &st, &ignored) == 0)
        any = strcmp(st.kind, kind) == 0 && strcmp(st.vault, v->name) == 0 && st.last.seq > 0;
    return any;
}

void logs_serve_free(struct logs_serve *s)
{
    if (!s)
        return;
    log_table_free(s->table);
    wbuf_free(&s->bytes);
    shelf_done(&s->shelf);
    free(s->way);
    free(s->by_key);
    free(s->v);
    free(s);
}

/* An object that is gone may be part of another one since. */
static void on_damage(void *ctx, const struct copy *c, const char *object, const struct err *what)
{
    struct logs_serve *s = ctx;
    if (s->damage && (what->code != ERR_ABSENT || s->looked))
        s->damage(s->damage_ctx, c, object, what);
}

/* --- what is asked for ------------------------------------------------------------------------------------------------ */
static int find_way(struct logs_serve *s, struct err *e)
{
    struct shelf_pos pos = { 0 };
    const struct shelf_object *o;
    free(s->way);
    s->n_way = 0;
    s->way = calloc(s->shelf.n + 1, sizeof *s->way); /* NOLINT: of pointers */
    if (!s->way)
        return no_memory(e);
    uint32_t copies = s->reader.only < 0 ? UINT32_MAX : 1u << s->reader.only;
    while ((o = shelf_next(&s->shelf, s->stream, copies, &pos)) || pos.seq)
        if (o)
            s->way[s->n_way++] = o;
    return 0;
}

static uint64_t key_of(const struct id *id)
{
    uint64_t key;
    memcpy(&key, id, sizeof key);
    return key;
}

static void id_of(const struct logs_serve *s, const struct log_piece *p, struct id *ret)
{
    log_piece_id(&s->reader.v->keys.vault_id, s->source, p, ret);
}

static int add(struct logs_serve *s, const struct log_piece *p, size_t object, struct err *e)
{
    if (s->n == MAX_WANTED_PIECES)
        return err_set(e, ERR_LIMIT, _("the log has more than %u pieces behind this backup"),
                       MAX_WANTED_PIECES);
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 256;
        struct served *grown = realloc(s->v, cap * sizeof *grown);
        if (!grown)
            return no_memory(e);
        s->v = grown;
        s->cap = cap;
    }
    struct served *x = &s->v[s->n++];
    x->piece = *p;
    x->object = (uint32_t)object;
    struct id id;
    id_of(s, p, &id);
    x->key = key_of(&id);
    return 0;
}

/* Does all that matters lie behind this piece? */
static bool is_before(const struct log_piece *p, const struct msg_want_log *w)
{
    bool position = p->system == w->system &&
                    (p->timeline < w->timeline ||
                     (p->timeline == w->timeline && p->start <= w->position));
    return p->time_ns <= w->backup_ns - SLACK_NS || (p->time_ns <= w->backup_ns && position);
}

static bool is_wanted(const struct log_piece *p, const struct msg_want_log *w)
{
    if (p->system != w->system || p->timeline < w->timeline)
        return false;
    return p->timeline > w->timeline || p->end > w->position;
}

/* The tables from the end back to where the backup ends; the first of the way that is needed is *ret_first. 1: one is not what its name says
 * in any copy; it is taken for bad, and there may be another way. 2: one is gone. What no copy can give otherwise is left out: whoever reads on
 * sees that it is missing. */
static int read_tables(struct logs_serve *s, const struct msg_want_log *w,
                       struct log_table **tables, size_t *ret_first, struct err *e)
{
    size_t i = s->n_way;
    bool enough = false;
    while (i > 0 && !enough) {
        struct err why = ERR_INIT;
        i--;
        int rc = shelf_table(&s->reader, s->way[i], &tables[i], &why);
        if (rc == -ERR_NOMEM) {
            if (e)
                *e = why;
            return rc;
        }
        if (rc == -ERR_ABSENT && !s->looked)
            return 2;
        if (rc == -ERR_DAMAGED || rc == -ERR_ABSENT) {
            struct shelf_object *o = &s->shelf.v[s->way[i] - s->shelf.v];
            o->bad = o->copies;
            return 1;
        }
        enough = rc == 0 && is_before(&tables[i]->entries[0].piece, w);
    }
    *ret_first = i;
    return 0;
}

static int know_keys(struct logs_serve *s, const struct log_table *t, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->n_keys; i++)
        rc = vault_know_key(s->reader.v, &t->keys[i], e);
    return rc;
}

static void free_tables(struct logs_serve *s, struct log_table **tables)
{
    for (size_t i = 0; tables && i < s->n_way; i++) {
        log_table_free(tables[i]);
        tables[i] = NULL;
    }
}

/* What there is now, and the way through it; *ret is as long as it may become. */
static int look(struct logs_serve *s, struct log_table ***ret, struct err *e)
{
    free_tables(s, *ret);
    free(*ret);
    *ret = NULL;
    shelf_done(&s->shelf);
    s->n_way = 0;
    int rc = shelf_read(s->reader.v, s->source, &s->shelf, e);
    if (rc < 0)
        return rc;
    *ret = calloc(s->shelf.n + 1, sizeof **ret); /* NOLINT: of pointers */
    return *ret ? 0 : no_memory(e);
}

/* The way, and its tables (owned, the array too, in any case). */
static int load_tables(struct logs_serve *s, const struct msg_want_log *w, struct log_table ***ret,
                       size_t *ret_first, struct err *e)
{
    int rc = 2;
    for (unsigned looks = 1; rc == 2; looks++) {
        s->looked = looks == LOOKS;
        rc = look(s, ret, e);
        if (rc < 0)
            return rc;
        do {
            free_tables(s, *ret);
            rc = find_way(s, e);
            if (rc == 0)
                rc = read_tables(s, w, *ret, ret_first, e);
        } while (rc == 1);
    }
    s->looked = false;
    return rc;
}

/* Frees the tables as it goes: with what is chosen they would be there twice. */
static int choose(struct logs_serve *s, const struct msg_want_log *w, struct log_table **tables,
                  size_t first, struct err *e)
{
    int rc = 0;
    uint64_t newest = 0;
    for (size_t i = first; rc == 0 && i < s->n_way; i++) {
        struct log_table *t = tables[i];
        if (t)
            rc = know_keys(s, t, e);
        for (size_t k = 0; rc == 0 && t && k < t->n; k++) {
            const struct log_piece *p = &t->entries[k].piece;
            newest = p->seq;
            if (is_wanted(p, w))
                rc = add(s, p, i, e);
        }
        log_table_free(t);
        tables[i] = NULL;
    }
    /* It was written later, and lies before what is wanted, or is another system's. */
    if (rc == 0 && s->n && newest > s->v[s->n - 1].piece.seq)
        snprintf(s->why, sizeof s->why,
                 _("what was written last is of another life of the server: it was put back or "
                   "exchanged, or its log was reset"));
    return rc;
}

static int by_key(const void *a, const void *b, void *v)
{
    const struct served *s = v;
    uint64_t x = s[*(const uint32_t *)a].key, y = s[*(const uint32_t *)b].key;
    return x < y ? -1 : x > y;
}

static int make_index(struct logs_serve *s, struct err *e)
{
    s->by_key = calloc(s->n + 1, sizeof *s->by_key);
    if (!s->by_key)
        return no_memory(e);
    for (size_t i = 0; i < s->n; i++)
        s->by_key[i] = (uint32_t)i;
    qsort_r(s->by_key, s->n, sizeof *s->by_key, by_key, s->v);
    return 0;
}

/* Who follows was catching up, and had far to go: the last piece came then, and is of long before. */
static bool was_far_behind(const struct logs_state *st, const struct log_piece *last)
{
    if (st->head_timeline == last->timeline)
        return st->head > last->end + FAR_BYTES;
    return st->head_timeline > last->timeline + 1 ||
           (st->head_timeline > last->timeline && st->head > FAR_BYTES);
}

/* Until when nothing else was written: the last piece's time, or, where the one who follows the log saw the server stand there, later. And is
 * the end here the end that it saw? */
static void find_known(struct logs_serve *s, const struct logs_state *st)
{
    const struct log_piece *last = s->n ? &s->v[s->n - 1].piece : NULL;
    s->known_ns = last ? last->time_ns : 0;
    uint64_t newest = s->n_way ? s->way[s->n_way - 1]->name.last : 0;
    bool remembered = strcmp(st->vault, s->reader.v->name) == 0;
    if (remembered && st->last.seq > newest) {
        char seen[32], have[32];
        snprintf(s->why, sizeof s->why,
                 _("it was followed up to %s, and the copies that answer have it up to %s only"),
                 ui_time(st->last.time_ns, seen), last ? ui_time(last->time_ns, have) : "?");
    }
    if (remembered && last && st->last.seq == last->seq && st->last.end == last->end &&
        st->head == last->end && st->head_timeline == last->timeline &&
        st->head_time_ns > s->known_ns)
        s->known_ns = st->head_time_ns;
    if (remembered && last && st->last.seq == last->seq && was_far_behind(st, last))
        s->known_ns = 0;
}

/* A log is asked for only where one should be. */
static void find_silent(struct logs_serve *s)
{
    for (size_t i = 0; i < s->reader.v->n_copies; i++) {
        const struct copy *c = &s->reader.v->copies[i];
        bool asked = (c->state == COPY_CURRENT || c->state == COPY_BEHIND) &&
                     (s->reader.only < 0 || (size_t)s->reader.only == i);
        if (!s->why[0] && asked && !(s->shelf.listed & (1u << i)))
            snprintf(s->why, sizeof s->why, _("copy \"%s\" does not say what it has of it: %s"),
                     c->place, c->problem.why);
    }
    if (!s->why[0] && s->n_way == 0)
        snprintf(s->why, sizeof s->why, _("no copy has anything of it"));
}

int logs_serve_new(struct app *app, const struct shelf_reader *reader, const char *policy,
                   const struct msg_want_log *want, struct logs_serve **ret, struct err *e)
{
    struct logs_serve *s = calloc(1, sizeof *s);
    struct logs_state st = { 0 };
    struct err ignored = ERR_INIT;
    struct log_table **tables = NULL;
    size_t first = 0;
    if (!s)
        return no_memory(e);
    s->reader = *reader;
    s->damage = reader->damage;
    s->damage_ctx = reader->ctx;
    s->reader.damage = on_damage;
    s->reader.ctx = s;
    s->object = SIZE_MAX;
    logs_source(policy, want->kind, s->source);
    log_stream_id(&reader->v->keys, s->source, s->stream);
    /* Before the copies are looked at: whoever follows it puts more there meanwhile. */
    if (logs_state_read(&app->paths, policy, &st, &ignored) < 0)
        st = (struct logs_state){ 0 };
    int rc = load_tables(s, want, &tables, &first, e);
    if (rc == 0)
        rc = choose(s, want, tables, first, e);
    if (rc == 0)
        rc = make_index(s, e);
    free_tables(s, tables);
    free(tables);
    if (rc == 0)
        find_known(s, &st);
    if (rc == 0)
        find_silent(s);

    if (rc < 0)
        logs_serve_free(s);
    else
        *ret = s;
    return rc < 0 ? err_wrap(e, _("its log")) : 0;
}

/* --- answers --------------------------------------------------------------------------------------------------------------- */
int logs_serve_list(struct logs_serve *s, struct wire *w, struct err *e)
{
    int rc = 0;
    struct wbuf b = WBUF_INIT;
    for (size_t at = 0; rc == 0 && at < s->n; at += LIST_FRAME) {
        size_t n = s->n - at < LIST_FRAME ? s->n - at : LIST_FRAME;
        wbuf_reset(&b);
        wb_varint(&b, n);
        for (size_t i = 0; i < n; i++)
            log_piece_write(&b, &s->v[at + i].piece);
        rc = wire_send(w, FRAME_LOG_LIST, &b, NULL, 0, e);
    }
    wbuf_reset(&b);
    wb_str(&b, s->source);
    wb_str(&b, s->why);

    wb_zigzag(&b, s->known_ns);
    if (rc == 0)
        rc = wire_send(w, FRAME_LOG_END, &b, NULL, 0, e);
    wbuf_free(&b);
    return rc;
}

static const struct served *find(const struct logs_serve *s, const struct id *piece)
{
    uint64_t key = key_of(piece);
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->v[s->by_key[middle]].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < s->n && s->v[s->by_key[low]].key == key; low++) {
        struct id id;
        id_of(s, &s->v[s->by_key[low]].piece, &id);
        if (id_eq(&id, piece))
            return &s->v[s->by_key[low]];
    }
    return NULL;
}

bool logs_serve_has(const struct logs_serve *s, const struct id *piece)
{
    return s && find(s, piece);
}

static int load(struct logs_serve *s, size_t object, struct err *e)
{
    if (s->object == object)
        return 0;
    log_table_free(s->table);
    s->table = NULL;
    s->object = SIZE_MAX;
    int rc = shelf_object_read(&s->reader, s->way[object], &s->bytes, &s->table, &s->body, e);
    if (rc == 0)
        s->object = object;
    return rc;
}

/* Where the pieces are now. What no object has any more is left to be missed. */
static int look_again(struct logs_serve *s, struct err *e)
{
    struct shelf now = { 0 };
    size_t at = 0;
    int rc = shelf_read(s->reader.v, s->source, &now, e);
    if (rc < 0)
        return rc;
    shelf_done(&s->shelf);
    s->shelf = now;
    rc = find_way(s, e);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        uint64_t seq = s->v[i].piece.seq;
        while (at < s->n_way && s->way[at]->name.last < seq)
            at++;
        bool there = at < s->n_way && s->way[at]->name.first <= seq;
        s->v[i].object = there ? (uint32_t)at : NO_OBJECT;
    }
    log_table_free(s->table);
    s->table = NULL;
    s->object = SIZE_MAX;
    return rc;
}

/* The object of a piece; they are put together meanwhile, perhaps. */
static int load_of(struct logs_serve *s, const struct served *x, struct err *e)
{
    struct err first = ERR_INIT;
    int rc = -ERR_ABSENT;
    for (unsigned look = 0; rc == -ERR_ABSENT && look < LOOKS; look++) {
        s->looked = look + 1 == LOOKS;
        int found = look > 0 ? look_again(s, e) : 0;
        if (found < 0)
            return found;
        err_clear(&first);
        rc = x->object == NO_OBJECT ? err_set(&first, ERR_ABSENT, _("no copy has it"))
                                    : load(s, x->object, &first);
    }
    s->looked = false;
    if (rc < 0 && e)
        *e = first;
    return rc;
}

int logs_serve_get(struct logs_serve *s, const struct id *piece, struct chunk_ref *ret,
                   const uint8_t **ret_sealed, size_t *ret_len, struct err *e)
{
    const struct served *x = find(s, piece);
    int rc = load_of(s, x, e);
    size_t at = s->body;
    for (size_t i = 0; rc == 0 && i < s->table->n; i++) {
        const struct log_entry *en = &s->table->entries[i];
        if (en->piece.seq == x->piece.seq) {
            *ret = (struct chunk_ref){ *piece, s->table->keys[en->key].id, en->counter };
            *ret_sealed = s->bytes.p + at;
            *ret_len = en->sealed_len;
            return 0;
        }
        at += en->sealed_len;
    }
    return rc < 0 ? rc
                  : err_set(e, ERR_DAMAGED, _("it is another part of the log than its name says"));
}
