/* state.c - see state.h. */
#include "orchestrator/logs/state.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/ui.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STATE_BYTES 65536

static int state_path(const struct config_paths *p, const char *policy, char **ret, struct err *e)
{
    *ret = NULL;
    if (asprintf(ret, "%s/logs/%s.json", p->state_dir, policy) < 0) {
        *ret = NULL;
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    return 0;
}

static json_t *piece_json(const struct log_piece *p)
{
    char mark[2 * LOG_MARK_BYTES + 1];
    hex_encode(p->mark, sizeof p->mark, mark);
    return json_pack("{s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "seq",
                     (json_int_t)p->seq, "epoch", (json_int_t)p->epoch, "kind", (int)p->kind,
                     "system", (json_int_t)p->system, "timeline", (json_int_t)p->timeline, "start",
                     (json_int_t)p->start, "end", (json_int_t)p->end, "time_ns",
                     (json_int_t)p->time_ns, "len", (json_int_t)p->len, "mark", mark);
}

static uint64_t number(json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void text(json_t *o, const char *key, char *out, size_t size)
{
    const char *s = json_string_value(json_object_get(o, key));
    snprintf(out, size, "%s", s ? s : "");
}

static void piece_of(json_t *o, struct log_piece *ret)
{
    *ret = (struct log_piece){ .seq = number(o, "seq"),
                               .epoch = number(o, "epoch"),
                               .kind = (enum log_kind)number(o, "kind"),
                               .system = number(o, "system"),
                               .timeline = (uint32_t)number(o, "timeline"),
                               .start = number(o, "start"),
                               .end = number(o, "end"),
                               .time_ns = (int64_t)number(o, "time_ns"),
                               .len = (size_t)number(o, "len") };
    const char *mark = json_string_value(json_object_get(o, "mark"));
    if (!mark || !hex_decode(mark, ret->mark, sizeof ret->mark))
        memset(ret->mark, 0, sizeof ret->mark);
}

int logs_state_write(const struct config_paths *p, const struct logs_state *s, struct err *e)
{
    char *path = NULL, *folder = NULL, *out = NULL;
    json_t *copies = json_array();
    for (size_t i = 0; i < s->n_copies; i++) {
        const struct logs_copy_state *c = &s->copies[i];
        json_array_append_new(copies, json_pack("{s:s, s:b, s:I, s:I, s:I, s:o}", "place", c->place,
                                                "joined", c->joined, "seq", (json_int_t)c->seq,
                                                "time_ns", (json_int_t)c->time_ns, "complete",
                                                (json_int_t)c->complete_s, "why",
                                                ui_json_text(c->why, strlen(c->why))));
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:o}",
                          "policy", s->policy, "kind", s->kind, "vault", s->vault, "last",
                          piece_json(&s->last), "written", (json_int_t)s->written_s, "since",
                          (json_int_t)s->since_s, "running", s->running, "head_timeline",
                          (json_int_t)s->head_timeline, "head", (json_int_t)s->head, "head_time_ns",
                          (json_int_t)s->head_time_ns, "objects", (json_int_t)s->objects, "bytes",
                          (json_int_t)s->bytes, "copies", copies);
    json_object_set_new(o, "complete", json_integer((json_int_t)s->complete_s));
    json_object_set_new(o, "epoch", json_integer((json_int_t)s->epoch_s));
    json_object_set_new(o, "epoch_why", ui_json_text(s->epoch_why, strlen(s->epoch_why)));
    json_object_set_new(o, "why", ui_json_text(s->why, strlen(s->why)));
    int rc = state_path(p, s->policy, &path, e);
    if (rc == 0 &&
        (!(out = json_dumps(o, JSON_INDENT(1))) || asprintf(&folder, "%s/logs", p->state_dir) < 0))
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = sys_mkdir_p(folder, 0700, e);
    if (rc == 0)
        rc = sys_write_file(AT_FDCWD, path, out, strlen(out), 0600, e);
    json_decref(o);
    free(out);
    free(folder);
    free(path);
    return rc;
}

static void copies_of(json_t *all, struct logs_state *s)
{
    for (size_t i = 0; i < json_array_size(all) && i < MAX_COPIES; i++) {
        json_t *o = json_array_get(all, i);
        struct logs_copy_state *c = &s->copies[s->n_copies++];
        text(o, "place", c->place, sizeof c->place);
        text(o, "why", c->why, sizeof c->why);
        c->joined = json_is_true(json_object_get(o, "joined"));
        c->seq = number(o, "seq");
        c->time_ns = (int64_t)number(o, "time_ns");
        c->complete_s = (int64_t)number(o, "complete");
    }
}

int logs_state_read(const struct config_paths *paths, const char *policy, struct logs_state *ret,
                    struct err *e)
{
    char *path = NULL;
    uint8_t *p = NULL;
    size_t n = 0;
    int rc = state_path(paths, policy, &path, e);
    if (rc == 0)
        rc = sys_read_file(AT_FDCWD, path, MAX_STATE_BYTES, &p, &n, e);
    json_t *o = rc == 0 ? json_loadb((const char *)p, n, 0, NULL) : NULL;
    if (rc == 0 && !json_is_object(json_object_get(o, "last")))
        rc = err_set(e, ERR_DAMAGED, _("%s cannot be read"), path);
    if (rc == 0) {
        struct logs_state s = { .written_s = (int64_t)number(o, "written"),
                                .since_s = (int64_t)number(o, "since"),
                                .running = json_is_true(json_object_get(o, "running")),
                                .head_timeline = (uint32_t)number(o, "head_timeline"),
                                .head = number(o, "head"),
                                .head_time_ns = (int64_t)number(o, "head_time_ns"),
                                .objects = number(o, "objects"),
                                .bytes = number(o, "bytes"),
                                .complete_s = (int64_t)number(o, "complete"),
                                .epoch_s = (int64_t)number(o, "epoch") };
        text(o, "epoch_why", s.epoch_why, sizeof s.epoch_why);
        text(o, "why", s.why, sizeof s.why);
        text(o, "policy", s.policy, sizeof s.policy);
        text(o, "kind", s.kind, sizeof s.kind);
        text(o, "vault", s.vault, sizeof s.vault);
        piece_of(json_object_get(o, "last"), &s.last);
        copies_of(json_object_get(o, "copies"), &s);
        *ret = s;
    }
    json_decref(o);
    free(p);
    free(path);
    return rc;
}

bool logs_running(const struct logs_state *s, int64_t now_s)
{
    return s->running && now_s - s->written_s <= LOGS_STALE_S;
}
