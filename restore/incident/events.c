/* events.c - the lines of a timeline: how one is made, checked and understood. timeline.h is the manual; files are timeline.c's. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/base/who.h"
#include "lib/crypto/crypto.h"
#include "restore/incident/timeline_inner.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUM_MARK ",\"sum\":\""
#define SUM_TAIL_BYTES (sizeof SUM_MARK - 1 + ID_HEX_BYTES - 1 + 2) /* with "} */
#define DEFAULT_TEXT_BYTES 4000

/* --- names ------------------------------------------------------------------------------------------------ */
static const char *const kind_names[EVENT_KINDS] = {
    [EVENT_OPENED] = "opened",       [EVENT_STEP] = "step",           [EVENT_GATE] = "gate",
    [EVENT_APPROVAL] = "approval",   [EVENT_HANDOVER] = "handover",   [EVENT_LEVEL] = "level",
    [EVENT_NOTICE] = "notice",       [EVENT_NOTE] = "note",           [EVENT_DUTY] = "duty",
    [EVENT_REPORT] = "report",       [EVENT_ACTION] = "action",       [EVENT_LOSS] = "loss",
    [EVENT_RECOVERED] = "recovered", [EVENT_ESCALATED] = "escalated", [EVENT_CLOSED] = "closed",
};

const char *event_kind_name(enum event_kind k)
{
    return k < EVENT_KINDS ? kind_names[k] : "unknown";
}

static enum event_kind kind_parse(const char *name)
{
    unsigned k = 0;
    while (k < EVENT_KINDS && strcmp(kind_names[k], name) != 0)
        k++;
    return (enum event_kind)k;
}

static const char *const cause_names[CAUSES] = { "fault", "attack", "disaster" };

const char *crash_cause_name(enum crash_cause c)
{
    return c < CAUSES ? cause_names[c] : "";
}

bool crash_cause_parse(const char *name, enum crash_cause *ret)
{
    for (unsigned c = 0; c < CAUSES; c++)
        if (strcmp(cause_names[c], name) == 0) {
            *ret = (enum crash_cause)c;
            return true;
        }
    return false;
}

/* --- reading an event -------------------------------------------------------------------------------------- */
const char *event_text(const struct event *ev, const char *key)
{
    const char *s = json_string_value(json_object_get(ev->body, key));
    return s ? s : "";
}

int64_t event_int(const struct event *ev, const char *key)
{
    return json_integer_value(json_object_get(ev->body, key));
}

/* Controls beyond ASCII, and what turns the direction of text or hides in it: it steers a terminal, or makes a text look like another. */
static bool is_hidden(const unsigned char *p, size_t n)
{
    if (n == 2) /* U+0080 to U+009F, U+061C */
        return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c);
    if (n == 4) /* U+E0000 to U+E007F */
        return p[0] == 0xf3 && p[1] == 0xa0 && (p[2] == 0x80 || p[2] == 0x81);
    if (n == 3 && p[0] == 0xe1) /* U+180E */
        return p[1] == 0xa0 && p[2] == 0x8e;
    if (n != 3 || (p[0] != 0xe2 && p[0] != 0xef))
        return false;
    if (p[0] == 0xef) /* U+FEFF */
        return p[1] == 0xbb && p[2] == 0xbf;
    if (p[1] == 0x80) /* U+200B to U+200F, U+2028 to U+202E */
        return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae);
    return p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf; /* U+2060 to U+206F */
}

/* How many bytes at p make one character that can be shown; 0: none. */
static size_t whole_character(const char *p, size_t n)
{
    unsigned char c = (unsigned char)p[0];
    size_t want = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : 4;
    if (c < 0x20 ? c != '\n' && c != '\t' : c == 0x7f || (c >= 0x80 && c < 0xc2) || c > 0xf4)
        return 0;
    if (want > n)
        return 0;
    for (size_t i = 1; i < want; i++)
        if (((unsigned char)p[i] & 0xc0) != 0x80)
            return 0;
    if (is_hidden((const unsigned char *)p, want))
        return 0;
    /* jansson knows the rest: overlong forms, surrogates, what lies beyond Unicode */
    json_t *one = want > 2 ? json_stringn(p, want) : NULL;
    json_decref(one);
    return want > 2 && !one ? 0 : want;
}

json_t *event_json(const char *text, size_t max)
{
    struct wbuf w = WBUF_INIT;
    size_t n = text ? strlen(text) : 0;
    if (max == 0)
        max = DEFAULT_TEXT_BYTES;
    for (size_t i = 0; i < n;) {
        size_t k = whole_character(text + i, n - i);
        char octal[5];
        snprintf(octal, sizeof octal, "\\%03o", (unsigned)(unsigned char)text[i]);
        size_t put = k ? k : 4;
        if (w.len + put > max) {
            wb_bytes(&w, "…", strlen("…"));
            break;
        }
        wb_bytes(&w, k ? text + i : octal, put);
        i += k ? k : 1;
    }
    json_t *s = w.failed ? NULL : json_stringn(w.p ? (const char *)w.p : "", w.len);
    wbuf_free(&w);
    return s;
}

const struct event *incident_last(const struct incident *inc, enum event_kind kind, const char *key,
                                  const char *value)
{
    for (size_t i = inc->n; i-- > 0;)
        if (inc->events[i].kind == kind &&
            (!key || strcmp(event_text(&inc->events[i], key), value) == 0))
            return &inc->events[i];
    return NULL;
}

int64_t incident_sign_s(const struct incident *inc)
{
    if (inc->first_sign_s > 0 || inc->cause != CAUSE_ATTACK)
        return inc->first_sign_s;
    return inc->crashed_s;
}

const char *incident_field(const struct incident *inc, const char *field)
{
    const struct event *ev = incident_last(inc, EVENT_NOTE, "field", field);
    return ev ? event_text(ev, "text") : NULL;
}

/* --- what the events say together ---------------------------------------------------------------------------- */
static void understand_opening(struct incident *inc, const struct event *ev)
{
    inc->policy = event_text(ev, "policy");
    inc->vault = event_text(ev, "vault");
    inc->agent = event_text(ev, "agent");
    if (!crash_cause_parse(event_text(ev, "cause"), &inc->cause))
        inc->cause = CAUSE_FAULT;
    inc->strict = json_is_true(json_object_get(ev->body, "strict"));
    inc->drill = json_is_true(json_object_get(ev->body, "drill"));
    inc->opened_s = ev->at_s;
}

static void understand(struct incident *inc, const struct event *ev)
{
    int64_t level = event_int(ev, "level");
    if (ev->seq == 1)
        understand_opening(inc, ev);
    if (ev->kind == EVENT_OPENED || ev->kind == EVENT_LOSS || ev->kind == EVENT_NOTE) {
        if (event_int(ev, "crashed") > 0)
            inc->crashed_s = event_int(ev, "crashed");
        if (event_int(ev, "first_sign") > 0)
            inc->first_sign_s = event_int(ev, "first_sign");
    }
    if (ev->kind == EVENT_LEVEL && level >= 1 && level <= 4)
        inc->level = (unsigned)level;
    else if (ev->kind == EVENT_STEP)
        inc->escalated_s = 0;
    else if (ev->kind == EVENT_ESCALATED)
        inc->escalated_s = ev->at_s;
    else if (ev->kind == EVENT_RECOVERED)
        inc->recovered_s = ev->at_s;
    else if (ev->kind == EVENT_CLOSED)
        inc->closed_s = ev->at_s;
}

/* --- taking lines ---------------------------------------------------------------------------------------------- */
static int push(struct incident *inc, json_t *line, struct err *e)
{
    struct incident_file *f = inc->file;
    if (inc->n >= MAX_EVENTS)
        return err_set(e, ERR_LIMIT, _("the timeline has more than %d events"), MAX_EVENTS);
    if (inc->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 64;
        struct event *more = reallocarray(inc->events, cap, sizeof *more);
        if (!more)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        inc->events = more;
        f->cap = cap;
    }
    struct event ev = { .seq = inc->n + 1, .body = line };
    ev.at_s = event_int(&ev, "at");
    ev.kind = kind_parse(event_text(&ev, "kind"));
    ev.by = event_text(&ev, "by");
    ev.host = event_text(&ev, "host");
    inc->events[inc->n++] = ev;
    understand(inc, &inc->events[inc->n - 1]);
    return 0;
}

/* The object of a line that is right and follows the last one; NULL, and why. */
static json_t *read_line(const struct incident *inc, const char *p, size_t n, const char **ret_why)
{
    struct id sum, said;
    char hex[ID_HEX_BYTES], want[ID_HEX_BYTES];
    json_error_t je;
    *ret_why = N_("it is no line of a timeline");
    if (n <= SUM_TAIL_BYTES || n > MAX_EVENT_BYTES ||
        memcmp(p + n - SUM_TAIL_BYTES, SUM_MARK, sizeof SUM_MARK - 1) != 0)
        return NULL;
    memcpy(hex, p + n - 2 - (ID_HEX_BYTES - 1), ID_HEX_BYTES - 1);
    hex[ID_HEX_BYTES - 1] = '\0';
    sha256_of(p, n - SUM_TAIL_BYTES, &sum);
    *ret_why = N_("its bytes are not those that were written");
    if (!id_parse(hex, &said) || !id_eq(&sum, &said) || memcmp(p + n - 2, "\"}", 2) != 0)
        return NULL;
    *ret_why = N_("it is no line of a timeline");
    json_t *line = json_loadb(p, n, JSON_REJECT_DUPLICATES, &je);
    const char *prev = json_string_value(json_object_get(line, "prev"));
    bool right = json_is_object(line) && prev && json_is_string(json_object_get(line, "kind"));
    if (right) {
        id_hex(&inc->file->last, want);
        *ret_why = N_("the line before it is another one, or lines are gone");
        right = strcmp(prev, want) == 0 &&
                json_integer_value(json_object_get(line, "seq")) == (json_int_t)inc->n + 1;
    }
    if (right && inc->n == 0) {
        *ret_why = N_("a timeline begins with \"opened\"");
        right = strcmp(json_string_value(json_object_get(line, "kind")), "opened") == 0;
    }
    if (!right)
        json_decref(line);
    return right ? line : NULL;
}

int incident_take(struct incident *inc, const void *p, size_t n, size_t *ret_used, struct err *e)
{
    const char *at = p, *end = at + n, *nl;
    int rc = 0;
    while (rc == 0 && inc->broken.code == ERR_NONE && at < end &&
           (nl = memchr(at, '\n', (size_t)(end - at)))) {
        const char *why = "";
        size_t len = (size_t)(nl - at);
        json_t *line = read_line(inc, at, len, &why);
        if (!line) {
            err_set(&inc->broken, ERR_DAMAGED, _("line %zu: %s"), inc->n + 1, _(why));
            err_wrap(&inc->broken, _("timeline of %s"), inc->id);
            break;
        }
        rc = push(inc, line, e);
        if (rc < 0) {
            json_decref(line);
            break;
        }
        sha256_of(at, len, &inc->file->last);
        wb_bytes(&inc->file->raw, at, len + 1);
        if (inc->file->raw.failed)
            rc = err_set(e, ERR_NOMEM, _("out of memory"));
        at = nl + 1;
    }
    *ret_used = (size_t)(at - (const char *)p);
    return rc;
}

/* --- making a line -------------------------------------------------------------------------------------------------- */
int incident_line(const struct incident *inc, enum event_kind kind, json_t *body, struct wbuf *ret,
                  struct err *e)
{
    char who[AUDIT_WHO_BYTES], host[HOST_NAME_MAX + 1] = "", hex[ID_HEX_BYTES];
    struct id sum;
    const char *why;
    if (!body)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    gethostname(host, sizeof host - 1);
    json_t *line = json_pack("{s:I, s:I, s:s, s:o, s:o}", "seq", (json_int_t)inc->n + 1, "at",
                             (json_int_t)sys_realtime_s(), "kind", event_kind_name(kind), "by",
                             event_json(audit_who(who), 0), "host", event_json(host, 0));
    int failed = json_object_update_missing(line, body);
    failed |= json_object_set_new(line, "prev", json_string(id_hex(&inc->file->last, hex)));
    json_object_del(line, "sum"); /* ours alone */
    char *text = failed ? NULL : json_dumps(line, JSON_COMPACT);
    json_decref(line);
    json_decref(body);
    size_t n = text ? strlen(text) : 0;
    if (n > 0) {
        sha256_of(text, n - 1, &sum);
        wb_bytes(ret, text, n - 1);
        wb_bytes(ret, SUM_MARK, sizeof SUM_MARK - 1);
        wb_bytes(ret, id_hex(&sum, hex), ID_HEX_BYTES - 1);
        wb_bytes(ret, "\"}\n", 3);
    }
    free(text);
    if (n == 0 || ret->failed)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    if (ret->len - 1 > MAX_EVENT_BYTES)
        return err_set(e, ERR_LIMIT, _("an event of an incident has at most %zu bytes"),
                       MAX_EVENT_BYTES);
    /* What cannot be read again must not be written. */
    json_t *back = read_line(inc, (const char *)ret->p, ret->len - 1, &why);
    if (!back)
        return err_set(e, ERR_FAILED, "%s", _(why));
    json_decref(back);
    return 0;
}
