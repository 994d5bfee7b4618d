/* message.c - the texts of messages; see message.h. */
#include "orchestrator/watch/message.h"
#include "lib/base/i18n.h"
#include "orchestrator/look.h"
#include "orchestrator/text.h"
#include "orchestrator/ui.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SUBJECT_BYTES 200

const char *level_name(enum alarm_level level)
{
    return level == ALARM_CRITICAL ? "critical" : level == ALARM_WARNING ? "warning" : "notice";
}

const char *level_word(enum alarm_level level)
{
    return level == ALARM_CRITICAL  ? _("CRITICAL")
           : level == ALARM_WARNING ? _("WARNING")
                                    : _("NOTICE");
}

const char *this_host(char out[256])
{
    if (gethostname(out, 255) < 0)
        snprintf(out, 256, "?");
    out[255] = '\0';
    return out;
}

const char *time_text(int64_t s, char out[32])
{
    return short_time(s * 1000000000, out);
}

static void append(char **text, char *more)
{
    char *joined = text_print("%s%s", *text ? *text : "", more);
    free(*text);
    free(more);
    *text = joined;
}

static char *site_word(const struct settings *s)
{
    char host[256];
    this_host(host);
    return s->site ? text_print("Twofold, %s (%s)", s->site, host)
                   : text_print("Twofold (%s)", host);
}

static char *alarm_body(const struct alarm *a, int64_t now_s)
{
    char when[32], age[64];
    char *text = NULL;
    if (a->cleared_s) {
        append(&text, text_print(_("%s: %s\n"), _("WELL AGAIN"), a->text));
        append(&text, text_print(_("  since %s; it had begun at "), time_text(a->cleared_s, when)));
        append(&text, text_print("%s\n", time_text(a->raised_s, when)));
        return text;
    }
    append(&text, text_print(_("%s: %s\n"), level_word(a->level), a->text));
    append(&text, text_print(_("  since:       %s (%s)\n"), time_text(a->raised_s, when),
                             ui_age(now_s - a->raised_s, age)));
    if (a->duty && *a->duty)
        append(&text, text_print(_("  duty:        %s\n"), a->duty));
    if (a->next && *a->next)
        append(&text, text_print(_("  do next:     %s\n"), a->next));
    append(&text, text_print(_("  acknowledge: twofold alarms ack %" PRIu64
                               " --who NAME --through CHANNEL\n"),
                             a->id));
    return text;
}

static json_t *alarm_json(const struct alarm *a)
{
    return json_pack("{s:I, s:o, s:s, s:o, s:o, s:o, s:I, s:I}", "id", (json_int_t)a->id, "key",
                     ui_json_text(a->key, strlen(a->key)), "level", level_name(a->level), "duty",
                     ui_json_text(a->duty, strlen(a->duty)), "text",
                     ui_json_text(a->text, strlen(a->text)), "next",
                     ui_json_text(a->next, strlen(a->next)), "raised_s", (json_int_t)a->raised_s,
                     "cleared_s", (json_int_t)a->cleared_s);
}

/* One line for a subject or a phone: the worst alarm, and how many more there are. */
static char *headline(const struct alarm *const alarms[], size_t n, size_t max)
{
    const struct alarm *a = alarms[0];
    char *first = text_print("%s: %s", a->cleared_s ? _("WELL AGAIN") : level_word(a->level),
                             a->text);
    char *cut = cut_utf8(first, max);
    free(first);
    if (n == 1)
        return cut;
    char *all = text_print(P_("%s (and %zu more)", "%s (and %zu more)", n - 1), cut, n - 1);
    free(cut);
    return all;
}

static json_t *envelope(const struct settings *s, const struct message *m, const char *state,
                        int64_t now_s)
{
    char host[256];
    const char *site = s->site ? s->site : "";
    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:o, s:o}", "type", "twofold", "state", state,
                     "site", ui_json_text(site, strlen(site)), "host",
                     ui_json_text(this_host(host), strlen(host)), "sent_s", (json_int_t)now_s,
                     "subject", ui_json_text(m->subject, strlen(m->subject)), "text",
                     ui_json_text(m->body, strlen(m->body)));
}

void message_of_alarms(const struct alarm *const alarms[], size_t n, const struct settings *s,
                       int64_t now_s, struct message *ret)
{
    bool open = false;
    json_t *list = json_array();
    char when[32], *site = site_word(s);
    *ret = (struct message){ 0 };
    for (size_t i = 0; i < n && i < MAX_TOLD_ALARMS; i++) {
        append(&ret->body, alarm_body(alarms[i], now_s));
        json_array_append_new(list, alarm_json(alarms[i]));
        open = open || !alarms[i]->cleared_s;
    }
    if (n > MAX_TOLD_ALARMS)
        append(&ret->body, text_print(_("and %zu more: twofold alarms\n"), n - MAX_TOLD_ALARMS));
    append(&ret->body, text_print(_("\n%s, %s. All at a glance: twofold status\n"), site,
                                  time_text(now_s, when)));
    char *head = headline(alarms, n, MAX_SUBJECT_BYTES - 60);
    ret->subject = s->site ? text_print("[%s] %s", s->site, head)
                           : text_print("[Twofold] %s", head);
    char *brief = open && !alarms[0]->cleared_s && alarms[0]->next[0]
                      ? text_print(_("%s\n%s\nDo: %s\nNo. %" PRIu64), site, head, alarms[0]->next,
                                   alarms[0]->id)
                      : text_print("%s\n%s", site, head);
    ret->brief = cut_utf8(brief, MAX_BRIEF_BYTES);
    ret->json = envelope(s, ret, open ? "open" : "cleared", now_s);
    json_object_set_new(ret->json, "alarms", list);
    free(head);
    free(brief);
    free(site);
}

void message_of_test(const struct settings *s, const char *role, int64_t now_s, struct message *ret)
{
    char when[32], *site = site_word(s);
    *ret = (struct message){ 0 };
    ret->subject = s->site ? text_print(_("[%s] A test: nothing has happened"), s->site)
                           : text_print("%s", _("[Twofold] A test: nothing has happened"));
    ret->body =
        role && *role
            ? text_print(
                  _("This is a test of the way by which alarms reach the role %s. Nothing has "
                    "happened, and nothing is to be done.\n\n%s, %s\n"),
                  role, site, time_text(now_s, when))
            : text_print(
                  _("This is a test of the way by which alarms are told. Nothing has happened, "
                    "and nothing is to be done.\n\n%s, %s\n"),
                  site, time_text(now_s, when));
    ret->brief = text_print(_("%s\nA test: nothing has happened."), site);
    ret->json = envelope(s, ret, "test", now_s);
    json_object_set_new(ret->json, "alarms", json_array());
    free(site);
}
