/* export.c - what goes into an export, and its way into the copies; see export.h. */
#include "orchestrator/catalog/export.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/catalog/inner.h"
#include "orchestrator/catalog/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RUNS_KEPT_S ((int64_t)400 * 86400)
#define MAX_RUNS 200000
#define MAX_AUDIT_ROWS 50000
#define MIB ((size_t)1 << 20)
#define LEASE_S 900
#define AUDIT_ANCHOR "audit-anchor" /* among the vault's facts */

/* --- sections ------------------------------------------------------------------------------------------------------------ */
/* The rows of one kind, as they come; written as they came or, where they came newest first, the other way round. */
struct section {
    struct wbuf w;
    size_t *ends;
    size_t n, cap, budget; /* bytes: what is beyond it, older, is left out */
    int64_t since_s;
    bool no_memory;
};

static bool section_more(struct section *s)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 256;
        size_t *grown = realloc(s->ends, cap * sizeof *grown);
        if (!grown) {
            s->no_memory = true;
            return false;
        }
        s->ends = grown;
        s->cap = cap;
    }
    return s->w.len < s->budget;
}

static int section_row(struct section *s)
{
    s->ends[s->n++] = s->w.len;
    return 0;
}

static int on_run(void *ctx, const struct run *r)
{
    struct section *s = ctx;
    if (r->started_s < s->since_s) /* passed over, not the end: a clock may have jumped between */
        return 0;
    if (!section_more(s))
        return 1;
    row_write_run(&s->w, r);
    return section_row(s);
}

static int on_snapshot(void *ctx, const struct snapshot_row *row)
{
    struct section *s = ctx;
    if (!section_more(s))
        return 1;
    row_write_snapshot(&s->w, row);
    return section_row(s);
}

static int on_copy(void *ctx, const struct copy_row *row)
{
    struct section *s = ctx;
    if (!section_more(s))
        return 1;
    row_write_copy(&s->w, row);
    return section_row(s);
}

static int on_hold(void *ctx, const struct hold *h)
{
    struct section *s = ctx;
    if (!section_more(s))
        return 1;
    row_write_hold(&s->w, h);
    return section_row(s);
}

static int on_medium(void *ctx, const struct medium *m)
{
    struct section *s = ctx;
    if (!section_more(s))
        return 1;
    row_write_medium(&s->w, m);
    return section_row(s);
}

static int on_alarm(void *ctx, const struct alarm *a)
{
    struct section *s = ctx;
    if (!section_more(s))
        return 1;
    row_write_alarm(&s->w, a);
    return section_row(s);
}

static int on_fact(void *ctx, const char *key, const char *value)
{
    struct section *s = ctx;
    if (!section_more(s))
        return 1;
    row_write_fact(&s->w, key, value);
    return section_row(s);
}

static int on_audit(void *ctx, const struct audit_row *r, const struct id *hash)
{
    struct section *s = ctx;
    if (!section_more(s))
        return 1;
    row_write_audit(&s->w, r, hash);
    return section_row(s);
}

static void turn_round(const struct section *s, struct wbuf *out)
{
    for (size_t i = s->n; i-- > 0;) {
        size_t from = i ? s->ends[i - 1] : 0;
        wb_bytes(out, s->w.p + from, s->ends[i] - from);
    }
}

/* --- the object ---------------------------------------------------------------------------------------------------------- */
struct making {
    struct catalog *c;
    struct catalog_object o;
    struct wbuf content[ROW_KINDS];
    struct err *e;
};

/* rc: what the listing returned; 1 is the end that we gave it. */
static int add_section(struct making *m, enum row_kind kind, struct section *s, bool newest_first,
                       int rc)
{
    struct catalog_section *to = &m->o.sections[m->o.n_sections];
    if (rc >= 0 && newest_first)
        turn_round(s, &m->content[kind]);
    else if (rc >= 0)
        wb_bytes(&m->content[kind], s->w.p, s->w.len);
    if (rc >= 0 && (s->w.failed || s->no_memory || m->content[kind].failed))
        rc = err_set(m->e, ERR_NOMEM, _("no memory"));
    if (rc >= 0) {
        *to = (struct catalog_section){ .kind = (uint8_t)kind,
                                        .rows = s->n,
                                        .p = m->content[kind].p,
                                        .len = m->content[kind].len };
        m->o.n_sections++;
    }
    wbuf_free(&s->w);
    free(s->ends);
    return rc < 0 ? rc : 0;
}

static int add_runs(struct making *m)
{
    struct section runs = { .budget = 24 * MIB, .since_s = sys_realtime_s() - RUNS_KEPT_S };
    struct section snapshots = { .budget = 10 * MIB };
    int rc = add_section(m, ROW_RUN, &runs, true,
                         catalog_runs(m->c, NULL, MAX_RUNS, on_run, &runs, m->e));
    if (rc == 0)
        rc = add_section(
            m, ROW_SNAPSHOT, &snapshots, true,
            catalog_snapshots(m->c, NULL, NULL, MAX_RUNS, on_snapshot, &snapshots, m->e));
    return rc;
}

static int add_states(struct making *m)
{
    struct section copies = { .budget = MIB }, holds = { .budget = MIB },
                   media = { .budget = 2 * MIB }, alarms = { .budget = 4 * MIB },
                   facts = { .budget = MIB };
    int rc = add_section(m, ROW_COPY, &copies, false,
                         catalog_copies(m->c, NULL, on_copy, &copies, m->e));
    if (rc == 0)
        rc = add_section(m, ROW_HOLD, &holds, false,
                         catalog_holds(m->c, NULL, on_hold, &holds, m->e));
    if (rc == 0)
        rc = add_section(m, ROW_MEDIUM, &media, true,
                         catalog_media(m->c, NULL, true, on_medium, &media, m->e));
    if (rc == 0)
        rc = add_section(m, ROW_ALARM, &alarms, true,
                         catalog_alarms(m->c, false, MAX_AUDIT_ROWS, on_alarm, &alarms, m->e));
    if (rc == 0)
        rc = add_section(m, ROW_FACT, &facts, false, catalog_facts(m->c, on_fact, &facts, m->e));
    return rc;
}

/* The newest rows that fit: whole to the end, since the anchor is the last one's. */
static int add_audit(struct making *m)
{
    struct audit_anchor last, start;
    size_t rows = MAX_AUDIT_ROWS;
    int rc = catalog_audit_anchor(m->c, &last, m->e);
    while (rc == 0) {
        struct section s = { .budget = 20 * MIB };
        rc = audit_start_at(m->c, last.seq > rows ? last.seq - rows : 0, &start, m->e);
        if (rc == 0)
            rc = audit_walk(m->c, start.seq + 1, last.seq - start.seq, on_audit, &s, m->e);
        if (rc != 1) {
            m->o.chain = last.chain;
            m->o.start_seq = start.seq;
            m->o.start_hash = start.hash;
            m->o.last_seq = last.seq;
            m->o.last_hash = last.hash;
            return add_section(m, ROW_AUDIT, &s, false, rc);
        }
        wbuf_free(&s.w);
        free(s.ends);
        rc = s.no_memory ? err_set(m->e, ERR_NOMEM, _("no memory")) : 0;
        rows /= 2;
    }
    return rc;
}

int catalog_export_make(struct catalog *c, const struct vault *v, uint64_t number, struct wbuf *out,
                        struct err *e)
{
    struct making *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, _("no memory"));
    m->c = c;
    m->e = e;
    m->o.writer = v->writer;
    m->o.number = number;
    m->o.generation = v->state ? v->state->generation : 0;
    m->o.written_s = sys_realtime_s();
    m->o.schema = (uint64_t)schema_newest();
    /* The trail first: rows that are added meanwhile are beyond the anchor. */
    int rc = add_audit(m);
    if (rc == 0)
        rc = add_runs(m);
    if (rc == 0)
        rc = add_states(m);
    if (rc == 0)
        rc = catalog_object_write(&m->o, out, e);
    for (int i = 0; i < ROW_KINDS; i++)
        wbuf_free(&m->content[i]);
    free(m);
    return rc;
}

/* --- into the copies ------------------------------------------------------------------------------------------------------- */
static void fact_name(const char *vault, char out[2 * MAX_NAME])
{
    snprintf(out, (size_t)2 * MAX_NAME, "export/%.100s", vault);
}

int catalog_export_due(struct catalog *c, const char *vault, bool *ret, struct err *e)
{
    char key[2 * MAX_NAME], value[128];
    struct audit_anchor last = { .seq = 0 };
    int64_t at_s = 0;
    uint64_t seq = 0;
    char *end = value;
    fact_name(vault, key);
    int rc = catalog_fact_get(c, key, value, sizeof value, e);
    if (rc > 0) {
        at_s = strtoll(value, &end, 10);
        seq = strtoull(end, &end, 10);
    }
    bool known = rc > 0 && *end == '\0';
    if (rc >= 0)
        rc = catalog_audit_anchor(c, &last, e);
    int64_t age_s = sys_realtime_s() - at_s;
    if (rc >= 0)
        *ret = !known || age_s >= EXPORT_EVERY_S || age_s < 0 || last.seq < seq ||
               last.seq - seq >= EXPORT_AUDIT_ROWS;
    return rc < 0 ? rc : 0;
}

static bool usable(const struct copy *c)
{
    return c->store && (c->state == COPY_CURRENT || c->state == COPY_BEHIND);
}

struct names {
    struct catalog_name *names;
    size_t n, cap;
    const uint8_t *chain; /* NULL: all */
    bool no_memory;
};

static int on_name(void *ctx, const char *name, uint64_t len)
{
    struct names *l = ctx;
    struct catalog_name n;
    (void)len;
    if (!catalog_name_parse(name, &n) ||
        (l->chain && memcmp(n.chain, l->chain, sizeof n.chain) != 0))
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 32;
        struct catalog_name *grown = realloc(l->names, cap * sizeof *grown);
        if (!grown) {
            l->no_memory = true;
            return 1;
        }
        l->names = grown;
        l->cap = cap;
    }
    l->names[l->n++] = n;
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct catalog_name *x = a, *y = b;
    return x->number != y->number ? (x->number < y->number ? 1 : -1) : id_cmp(&x->hash, &y->hash);
}

static int list_names(struct store *s, const uint8_t *chain, struct names *ret, struct err *e)
{
    *ret = (struct names){ .chain = chain };
    int rc = store_list(s, CATALOG_FOLDER, on_name, ret, e);
    if (ret->no_memory)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc < 0) {
        free(ret->names);
        memset(ret, 0, sizeof *ret);
    } else if (ret->n > 0)
        qsort(ret->names, ret->n, sizeof *ret->names, newest_first);
    return rc < 0 ? rc : 0;
}

/* Above every number that any copy shows, and that this catalog has given. */
static int next_number(struct catalog *c, const struct vault *v, uint64_t *ret, struct err *e)
{
    char value[32] = "";
    uint64_t number = 0;
    int rc = catalog_fact_get(c, "export-number", value, sizeof value, e);
    if (rc > 0)
        number = strtoull(value, NULL, 10);
    for (size_t i = 0; rc >= 0 && i < v->n_copies; i++) {
        struct names l;
        if (!usable(&v->copies[i]) || list_names(v->copies[i].store, NULL, &l, NULL) < 0)
            continue;
        if (l.n > 0 && l.names[0].number > number)
            number = l.names[0].number;
        free(l.names);
    }
    if (rc < 0)
        return rc;
    *ret = number + 1;
    snprintf(value, sizeof value, "%" PRIu64, *ret);
    return catalog_fact_set(c, "export-number", value, e);
}

static size_t drop_old(struct store *s, const uint8_t *chain)
{
    struct names l;
    char name[MAX_OBJECT_NAME];
    size_t dropped = 0;
    if (list_names(s, chain, &l, NULL) < 0)
        return 0;
    for (size_t i = CATALOG_EXPORTS_KEPT; i < l.n; i++)
        dropped += store_delete(s, catalog_name_write(&l.names[i], name), NULL) == 0;
    free(l.names);
    return dropped;
}

static int put_all(struct vault *v, const struct wbuf *sealed, const struct catalog_name *name,
                   struct export_result *ret, struct err *e)
{
    struct store_data d = { .p = sealed->p, .fd = -1, .len = sealed->len };
    char text[MAX_OBJECT_NAME];
    catalog_name_write(name, text);
    for (size_t i = 0; i < v->n_copies; i++) {
        struct copy *c = &v->copies[i];
        struct err *why = &ret->problem[i];
        if (!usable(c)) {
            *why = c->problem;
            if (why->code == ERR_NONE)
                err_set(why, ERR_UNREACHABLE, _("it is away"));
        } else if (store_put(c->store, text, &d, why) == 0) {
            ret->done[i] = true;
            ret->n_done++;
            ret->removed += drop_old(c->store, name->chain);
        }
    }
    for (size_t i = 0; ret->n_done == 0 && i < v->n_copies; i++)
        if (ret->problem[i].code != ERR_NONE) {
            if (e)
                *e = ret->problem[i];
            return err_wrap(e, _("copy \"%s\""), v->copies[i].place);
        }
    return 0;
}

/* When, up to where; and the anchor beside the catalog, among the vault's facts. */
static int note(struct catalog *c, struct vault *v, const struct audit_anchor *anchor,
                struct err *e)
{
    char key[2 * MAX_NAME], value[128];
    fact_name(v->name, key);
    snprintf(value, sizeof value, "%" PRId64 " %" PRIu64, sys_realtime_s(), anchor->seq);
    int rc = catalog_fact_set(c, key, value, e);
    return rc < 0 ? rc : chunkdb_set_meta(v->db, AUDIT_ANCHOR, anchor, sizeof *anchor, e);
}

int export_noted_anchor(struct vault *v, struct audit_anchor *ret, struct err *e)
{
    int rc = chunkdb_get_meta(v->db, AUDIT_ANCHOR, ret, sizeof *ret, e);
    return rc < 0 ? rc : rc == (int)sizeof *ret;
}

static int export_now(struct catalog *c, struct vault *v, struct export_result *ret, struct err *e)
{
    struct wbuf plain = WBUF_INIT, sealed = WBUF_INIT;
    struct catalog_object *o = NULL;
    struct catalog_name name = { .number = 0 };
    int rc = catalog_tidy(c, e); /* once a night is enough */
    if (rc == 0)
        rc = next_number(c, v, &name.number, e);
    if (rc == 0)
        rc = catalog_export_make(c, v, name.number, &plain, e);
    if (rc == 0) /* what cannot be read back is not put anywhere */
        rc = catalog_object_read(plain.p, plain.len, &o, e);
    if (rc == 0)
        rc = envelope_seal(&v->keys, OBJECT_CATALOG, plain.p, plain.len, &sealed, e);
    if (rc == 0) {
        memcpy(name.chain, o->chain.b, sizeof name.chain);
        sha256_of(sealed.p, sealed.len, &name.hash);
        ret->number = name.number;
        ret->bytes = sealed.len;
        rc = put_all(v, &sealed, &name, ret, e);
    }
    if (rc == 0) {
        struct audit_anchor anchor = { .chain = o->chain,
                                       .seq = o->last_seq,
                                       .hash = o->last_hash };
        rc = note(c, v, &anchor, e);
    }
    catalog_object_free(o);
    wbuf_free(&plain);
    wbuf_free(&sealed);
    return rc;
}

int catalog_export(struct catalog *c, struct vault *v, struct export_result *ret, struct err *e)
{
    char owner[32], key[2 * MAX_NAME];
    uint64_t epoch = 0;
    memset(ret, 0, sizeof *ret);
    fact_name(v->name, key);
    snprintf(owner, sizeof owner, "process %ld", (long)getpid());
    int rc = catalog_lease(c, key, owner, sys_realtime_s() + LEASE_S, &epoch, e);
    if (rc < 0)
        return rc;
    rc = export_now(c, v, ret, e);
    catalog_lease_end(c, key, epoch, NULL);
    return rc;
}

/* --- back --------------------------------------------------------------------------------------------------------------------- */
static int read_one(struct vault *v, size_t copy, const struct catalog_name *n,
                    struct catalog_object **ret, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    uint8_t *p = NULL;
    size_t len = 0;
    struct id hash;
    struct wbuf plain = WBUF_INIT;
    struct catalog_object *o = NULL;
    int rc = store_get_all(v->copies[copy].store, catalog_name_write(n, name), MAX_OBJECT_BYTES, &p,
                           &len, e);
    if (rc == 0) {
        sha256_of(p, len, &hash);
        if (!id_eq(&hash, &n->hash))
            rc = err_set(e, ERR_DAMAGED, _("its bytes are not those that its name says"));
    }
    if (rc == 0)
        rc = envelope_open(&v->keys, OBJECT_CATALOG, p, len, &plain, e);
    if (rc == 0)
        rc = catalog_object_read(plain.p, plain.len, &o, e);
    if (rc == 0 && (o->number != n->number || memcmp(o->chain.b, n->chain, sizeof n->chain) != 0))
        rc = err_set(e, ERR_DAMAGED, _("it is not the one that its name says"));
    free(p);
    wbuf_free(&plain);
    if (rc < 0)
        catalog_object_free(o);
    else
        *ret = o;
    return rc;
}

static bool chain_is_found(const struct export_found *found, size_t n, const uint8_t *chain)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(found[i].name.chain, chain, sizeof found[i].name.chain) == 0)
            return true;
    return false;
}

int exports_find(struct vault *v, int only, struct export_found found[MAX_EXPORT_CHAINS],
                 size_t *ret_n, size_t *ret_bad, struct err *e)
{
    struct names l[MAX_COPIES] = { { 0 } };
    size_t at[MAX_COPIES] = { 0 }, n = 0, bad = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        if (usable(&v->copies[i]) && (only < 0 || (size_t)only == i) &&
            list_names(v->copies[i].store, NULL, &l[i], e) == -ERR_NOMEM)
            rc = -ERR_NOMEM;
    while (rc == 0 && n < MAX_EXPORT_CHAINS) {
        size_t best = MAX_COPIES;
        for (size_t i = 0; i < v->n_copies; i++)
            if (at[i] < l[i].n && (best == MAX_COPIES ||
                                   newest_first(&l[i].names[at[i]], &l[best].names[at[best]]) < 0))
                best = i;
        if (best == MAX_COPIES)
            break;
        const struct catalog_name *name = &l[best].names[at[best]++];
        if (chain_is_found(found, n, name->chain))
            continue;
        struct catalog_object *o = NULL;
        if (read_one(v, best, name, &o, NULL) < 0)
            bad++;
        else
            found[n++] = (struct export_found){ .name = *name, .copy = best, .o = o };
    }
    for (size_t i = 0; i < MAX_COPIES; i++)
        free(l[i].names);
    *ret_n = n;
    if (ret_bad)
        *ret_bad = bad;
    return rc;
}

void exports_free(struct export_found *found, size_t n)
{
    for (size_t i = 0; i < n; i++)
        catalog_object_free(found[i].o);
}
