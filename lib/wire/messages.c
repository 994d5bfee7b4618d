/* messages.c - the payloads of the frames, written and read back. Every reader checks every
 * bound and that nothing is left over; what it returns is untouched on failure.
 * docs/protocol.md. */
#include "lib/base/i18n.h"
#include "lib/crypto/secret.h"
#include "lib/wire/wire_impl.h"

#include <stdlib.h>

#define MAX_MESSAGE_PATH (1u << 20)
#define MAX_MESSAGE_ROOTS 4096
#define MAX_LEVEL 22 /* zstd's */

static int malformed(struct err *e, const char *what)
{
    return err_set(e, ERR_PROTOCOL, _("the other side sent a malformed message (%s)"), what);
}

/* --- small helpers ---------------------------------------------------------------------------- */
static void put_bits(struct wbuf *w, const bool *bits, size_t n)
{
    unsigned v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (unsigned)bits[i] << i;
    wb_u8(w, (uint8_t)v);
}

static void get_bits(struct rbuf *r, bool *bits, size_t n)
{
    unsigned v = rb_u8(r);
    if (v >> n)
        rb_fail(r);
    for (size_t i = 0; i < n; i++)
        bits[i] = v >> i & 1;
}

static void put_strings(struct wbuf *w, char *const *s, size_t n)
{
    wb_varint(w, n);
    for (size_t i = 0; i < n; i++)
        wb_str(w, s[i]);
}

static void free_strings(char **s, size_t n)
{
    for (size_t i = 0; s && i < n; i++)
        free(s[i]);
    free(s);
}

/* A list of at most max strings, none of them empty; `absolute`: each begins with '/'. */
static char **get_strings(struct rbuf *r, size_t max, bool absolute, size_t *ret_n)
{
    size_t n = (size_t)rb_varint_max(r, max);
    *ret_n = 0;
    if (n == 0 || r->bad)
        return NULL;
    char **s = n <= rb_left(r) / 2 ? calloc(n, sizeof *s) : NULL;
    if (!s) {
        rb_fail(r);
        return NULL;
    }
    *ret_n = n;
    for (size_t i = 0; i < n && !r->bad; i++) {
        s[i] = rb_strdup(r, MAX_MESSAGE_PATH);
        if (s[i] && s[i][0] != '/' && (absolute || !s[i][0]))
            rb_fail(r);
    }
    return s;
}

static char *get_name(struct rbuf *r)
{
    char *s = rb_strdup(r, MAX_NAME_BYTES);
    if (s && !s[0])
        rb_fail(r);
    return s;
}

void wire_put_text(struct wbuf *w, const char *text, size_t n)
{
    if (n > MAX_FRAME_TEXT) {
        n = MAX_FRAME_TEXT;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
            n--;
    }
    wb_blob(w, text, n);
}

static void get_key(struct rbuf *r, uint8_t key[32])
{
    const uint8_t *p = rb_bytes(r, 32);
    if (p)
        memcpy(key, p, 32);
}

/* --- BACKUP ----------------------------------------------------------------------------------- */
void msg_backup_write(struct wbuf *w, const struct msg_backup *m)
{
    wb_id(w, &m->vault_id);
    wb_bytes(w, m->recovery_pk, sizeof m->recovery_pk);
    wb_bytes(w, m->dedup_key, sizeof m->dedup_key);
    wb_str(w, m->policy);
    wb_str(w, m->source);
    wb_varint(w, m->compression);
    put_bits(w,
             (const bool[]){ m->one_file_system, m->skip_cache_dirs, m->want_estimate,
                             m->force_full, m->n_sources > 0, m->probe, m->delta == DELTA_CONTENT,
                             m->delta == DELTA_PAGES },
             8);
    put_strings(w, m->roots, m->n_roots);
    put_strings(w, m->exclude, m->n_exclude);
    wb_varint(w, m->n_live);
    for (size_t i = 0; i < m->n_live; i++)
        wb_id(w, &m->live[i]);
    hooks_write(w, &m->hooks);
    if (m->n_sources > 0)
        source_specs_write(w, m->sources, m->n_sources);
}

void msg_backup_done(struct msg_backup *m)
{
    if (!m)
        return;
    free(m->policy);
    free(m->source);
    free_strings(m->roots, m->n_roots);
    free_strings(m->exclude, m->n_exclude);
    free(m->live);
    source_specs_free(m->sources, m->n_sources);
    hooks_done(&m->hooks);
    secret_wipe(m, sizeof *m); /* the deduplication key, and no pointer is left */
}

static void get_live(struct rbuf *r, struct msg_backup *m)
{
    size_t n = (size_t)rb_varint_max(r, MAX_FRAME_IDS);
    const uint8_t *p = rb_bytes(r, n * ID_BYTES);
    if (!p || n == 0)
        return;
    m->live = malloc(n * sizeof *m->live);
    if (!m->live) {
        rb_fail(r);
        return;
    }
    memcpy(m->live, p, n * ID_BYTES);
    m->n_live = n;
}

int msg_backup_read(struct rbuf *r, struct msg_backup *ret, struct err *e)
{
    struct msg_backup m = { 0 };
    bool bits[8];
    rb_id(r, &m.vault_id);
    get_key(r, m.recovery_pk);
    get_key(r, m.dedup_key);
    m.policy = get_name(r);
    m.source = get_name(r);
    m.compression = (unsigned)rb_varint_max(r, MAX_LEVEL);
    get_bits(r, bits, 8);
    if (bits[6] && bits[7])
        rb_fail(r);
    m.delta = bits[6] ? DELTA_CONTENT : bits[7] ? DELTA_PAGES : DELTA_AUTO;
    m.one_file_system = bits[0];
    m.skip_cache_dirs = bits[1];
    m.want_estimate = bits[2];
    m.force_full = bits[3];
    m.roots = get_strings(r, MAX_MESSAGE_ROOTS, true, &m.n_roots);
    m.exclude = get_strings(r, MAX_PATTERNS, false, &m.n_exclude);
    get_live(r, &m);
    if (!r->bad)
        hooks_read(r, &m.hooks);
    m.probe = bits[5];
    if (bits[4] && !r->bad)
        source_specs_read(r, &m.sources, &m.n_sources);
    if (!rb_done(r) || (m.n_roots == 0 && m.n_sources == 0)) {
        msg_backup_done(&m);
        return malformed(e, "BACKUP");
    }
    *ret = m;
    secret_wipe(m.dedup_key, sizeof m.dedup_key);
    return 0;
}

/* --- SNAPSHOT --------------------------------------------------------------------------------- */
void msg_snapshot_write(struct wbuf *w, const struct msg_snapshot *m)
{
    wb_id(w, &m->base);
    wb_zigzag(w, m->started_ns);
    wb_zigzag(w, m->ended_ns);
    const uint64_t v[] = { m->files,      m->dirs,     m->others, m->bytes,
                           m->bytes_read, m->problems, m->counter };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        wb_varint(w, v[i]);
    wb_blob(w, m->body, m->body_len);
}

int msg_snapshot_read(struct rbuf *r, struct msg_snapshot *ret, struct err *e)
{
    struct msg_snapshot m = { 0 };
    rb_id(r, &m.base);
    m.started_ns = rb_zigzag(r);
    m.ended_ns = rb_zigzag(r);
    uint64_t *const v[] = { &m.files,      &m.dirs,     &m.others, &m.bytes,
                            &m.bytes_read, &m.problems, &m.counter };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        *v[i] = rb_varint(r);
    m.body = rb_blob(r, MAX_BODY_BYTES, &m.body_len);
    if (!rb_done(r) || m.body_len == 0)
        return malformed(e, "SNAPSHOT");
    *ret = m;
    return 0;
}

/* --- PROGRESS, NOTE --------------------------------------------------------------------------- */
#define MAX_PHASE 3

void msg_progress_write(struct wbuf *w, const struct msg_progress *m)
{
    wb_u8(w, m->phase);
    const uint64_t v[] = { m->files,    m->bytes,       m->bytes_read,
                           m->problems, m->total_files, m->total_bytes };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        wb_varint(w, v[i]);
    wire_put_text(w, m->path, m->path_len);
}

int msg_progress_read(struct rbuf *r, struct msg_progress *ret, struct err *e)
{
    struct msg_progress m = { 0 };
    m.phase = rb_u8(r);
    uint64_t *const v[] = { &m.files,    &m.bytes,       &m.bytes_read,
                            &m.problems, &m.total_files, &m.total_bytes };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        *v[i] = rb_varint(r);
    m.path = (const char *)rb_blob(r, MAX_FRAME_TEXT, &m.path_len);
    if (!rb_done(r) || m.phase > MAX_PHASE)
        return malformed(e, "PROGRESS");
    *ret = m;
    return 0;
}

void msg_note_write(struct wbuf *w, const struct msg_note *m)
{
    put_bits(w, &m->problem, 1);
    wb_blob(w, m->path, m->path_len);
    wire_put_text(w, m->text, m->text_len);
}

int msg_note_read(struct rbuf *r, struct msg_note *ret, struct err *e)
{
    struct msg_note m;
    get_bits(r, &m.problem, 1);
    m.path = (const char *)rb_blob(r, MAX_MESSAGE_PATH, &m.path_len);
    m.text = (const char *)rb_blob(r, MAX_FRAME_TEXT, &m.text_len);
    if (!rb_done(r))
        return malformed(e, "NOTE");
    *ret = m;
    return 0;
}

void msg_facts_write(struct wbuf *w, const struct msg_facts *m)
{
    wb_blob(w, m->name, m->name_len);
    wb_blob(w, m->text, m->text_len);
}

int msg_facts_read(struct rbuf *r, struct msg_facts *ret, struct err *e)
{
    struct msg_facts m;
    m.name = (const char *)rb_blob(r, MAX_FACTS_NAME, &m.name_len);
    m.text = (const char *)rb_blob(r, MAX_FACTS_TEXT, &m.text_len);
    if (!rb_done(r))
        return malformed(e, "FACTS");
    for (size_t i = 0; i < m.name_len; i++)
        if ((m.name[i] < 'a' || m.name[i] > 'z') && m.name[i] != '-')
            return malformed(e, "FACTS");
    *ret = m;
    return 0;
}

/* --- RESTORE ---------------------------------------------------------------------------------- */
void msg_restore_write(struct wbuf *w, const struct msg_restore *m)
{
    wb_id(w, &m->vault_id);
    wb_id(w, &m->snapshot_id);
    wb_u8(w, (uint8_t)m->mode);
    put_bits(w,
             (const bool[]){ m->overwrite, m->strip_source, m->strip != NULL, m->n_sources > 0,
                             m->delta, m->set_aside, m->n_scan > 0 },
             7);
    wb_str(w, m->target);
    put_strings(w, m->paths, m->n_paths);
    put_strings(w, m->exclude, m->n_exclude);
    wb_blob(w, m->body, m->body_len);
    if (m->strip)
        wb_str(w, m->strip);
    if (m->n_sources > 0)
        source_specs_write(w, m->sources, m->n_sources);
    if (m->n_scan > 0) {
        put_strings(w, m->scan, m->n_scan);
        wb_varint(w, m->scan_limit_s);
    }
}

void msg_restore_done(struct msg_restore *m)
{
    if (!m)
        return;
    free(m->target);
    free_strings(m->paths, m->n_paths);
    free_strings(m->exclude, m->n_exclude);
    free(m->body);
    free(m->strip);
    source_specs_free(m->sources, m->n_sources);
    free_strings(m->scan, m->n_scan);
    *m = (struct msg_restore){ 0 };
}

static void get_body(struct rbuf *r, struct msg_restore *m)
{
    size_t n;
    const uint8_t *p = rb_blob(r, MAX_BODY_BYTES, &n);
    m->body = p && n > 0 ? malloc(n) : NULL;
    if (!m->body) {
        rb_fail(r);
        return;
    }
    memcpy(m->body, p, n);
    m->body_len = n;
}

int msg_restore_read(struct rbuf *r, struct msg_restore *ret, struct err *e)
{
    struct msg_restore m = { 0 };
    bool bits[7];
    rb_id(r, &m.vault_id);
    rb_id(r, &m.snapshot_id);
    unsigned mode = rb_u8(r);
    get_bits(r, bits, 7);
    m.overwrite = bits[0];
    m.delta = bits[4];
    m.set_aside = bits[5];
    m.strip_source = bits[1];
    m.target = rb_strdup(r, MAX_MESSAGE_PATH);
    m.paths = get_strings(r, MAX_PATTERNS, true, &m.n_paths);
    m.exclude = get_strings(r, MAX_PATTERNS, false, &m.n_exclude);
    get_body(r, &m);
    if (bits[2])
        m.strip = rb_strdup(r, MAX_MESSAGE_PATH);
    if (bits[3] && !r->bad)
        source_specs_read(r, &m.sources, &m.n_sources);
    if (bits[6]) {
        m.scan = get_strings(r, MAX_HOOK_WORDS, false, &m.n_scan);
        m.scan_limit_s = (unsigned)rb_varint_max(r, MAX_COMMAND_LIMIT_S);
        if (!r->bad && (m.n_scan == 0 || hook_check(m.scan, m.n_scan, NULL, NULL) < 0))
            rb_fail(r);
    }
    if (!rb_done(r) || mode > RESTORE_COMPARE || m.target[0] != '/' ||
        (m.strip && m.strip[0] != '/')) {
        msg_restore_done(&m);
        return malformed(e, "RESTORE");
    }
    m.mode = (enum restore_mode)mode;
    *ret = m;
    return 0;
}

/* --- CHUNK, DIFF, DONE ------------------------------------------------------------------------ */
void msg_chunk_write(struct wbuf *w, const struct msg_chunk *m)
{
    wb_id(w, &m->id);
    wb_id(w, &m->key_id);
    wb_u8(w, (uint8_t)m->status);
    wb_varint(w, m->counter);
}

int msg_chunk_read(struct rbuf *r, struct msg_chunk *ret, struct err *e)
{
    struct msg_chunk m;
    rb_id(r, &m.id);
    rb_id(r, &m.key_id);
    unsigned status = rb_u8(r);
    m.counter = rb_varint(r);
    m.sealed_len = rb_left(r);
    m.sealed = rb_bytes(r, m.sealed_len);
    if (!rb_done(r) || status > CHUNK_AWAY || (status == CHUNK_OK) != (m.sealed_len > 0))
        return malformed(e, "CHUNK");
    m.status = (enum chunk_status)status;
    *ret = m;
    return 0;
}

#define MAX_DIFF_BITS 63

void msg_diff_write(struct wbuf *w, const struct msg_diff *m)
{
    wb_u8(w, (uint8_t)m->change);
    wb_varint(w, m->what);
    wb_blob(w, m->path, m->path_len);
}

int msg_diff_read(struct rbuf *r, struct msg_diff *ret, struct err *e)
{
    struct msg_diff m;
    m.change = (char)rb_u8(r);
    m.what = (unsigned)rb_varint_max(r, MAX_DIFF_BITS);
    m.path = (const char *)rb_blob(r, MAX_MESSAGE_PATH, &m.path_len);
    if (!rb_done(r) || m.path_len == 0 || !m.change || !strchr("ADMmT", m.change))
        return malformed(e, "DIFF");
    *ret = m;
    return 0;
}

void msg_done_write(struct wbuf *w, const struct msg_done *m)
{
    const uint64_t v[] = { m->files,   m->dirs,   m->others,   m->bytes,
                           m->already, m->failed, m->set_aside };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        wb_varint(w, v[i]);
    if (m->extra > 0) {
        wb_varint(w, m->extra);
        wb_varint(w, m->extra_aside);
    }
}

int msg_done_read(struct rbuf *r, struct msg_done *ret, struct err *e)
{
    struct msg_done m = { 0 };
    uint64_t *const v[] = { &m.files,   &m.dirs,   &m.others,   &m.bytes,
                            &m.already, &m.failed, &m.set_aside };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        *v[i] = rb_varint(r);
    bool tail = rb_left(r) > 0;
    if (tail) {
        m.extra = rb_varint(r);
        m.extra_aside = rb_varint(r);
    }
    if (!rb_done(r) || (tail && m.extra == 0) || m.extra_aside > m.extra)
        return malformed(e, "DONE");
    *ret = m;
    return 0;
}
