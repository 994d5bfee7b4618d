/* notice.c - the notices to subordinate units: who is told, what they read, and one attempt (PY-DB-2); see notice.h. The attempts are
 * driven by notice_tell.c. */
#include "orchestrator/crash/notice.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/notice_inner.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"
#include "restore/incident/procedure.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[NOTICE_KINDS] = { "hold-uploads", "resume-uploads" };

const char *notice_name(enum notice_kind k)
{
    return names[k];
}

bool notice_parse(const char *name, enum notice_kind *ret)
{
    for (unsigned k = 0; k < NOTICE_KINDS; k++)
        if (strcmp(names[k], name) == 0) {
            *ret = (enum notice_kind)k;
            return true;
        }
    return false;
}

/* --- what the timeline says ---------------------------------------------------------------------------- */
static bool is_text(const struct event *ev, const char *key, const char *value)
{
    return strcmp(event_text(ev, key), value) == 0;
}

bool notice_done(const struct incident *inc, enum notice_kind kind, const char *unit,
                 const char *channel)
{
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        if (ev->kind != EVENT_NOTICE || !is_text(ev, "to", unit))
            continue;
        if (is_text(ev, "notice", "acknowledged") && is_text(ev, "of", names[kind]))
            return true;
        if (is_text(ev, "notice", names[kind]) && (!channel || is_text(ev, "channel", channel)) &&
            json_is_true(json_object_get(ev->body, "ok")))
            return true;
    }
    return false;
}

static bool holds_no_more(const struct incident *inc)
{
    if (inc->recovered_s || inc->closed_s)
        return true;
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        if ((ev->kind == EVENT_NOTICE && is_text(ev, "notice", names[NOTICE_RESUME])) ||
            (ev->kind == EVENT_STEP && is_text(ev, "step", crash_step_name(STEP_RESUME))))
            return true;
    }
    return false;
}

bool notice_wanted(const struct incident *inc, enum notice_kind kind, const char *unit)
{
    if (kind == NOTICE_HOLD)
        return !holds_no_more(inc);
    return !inc->closed_s || notice_done(inc, NOTICE_HOLD, unit, NULL);
}

bool notice_way(const struct settings *s, const struct unit_contact *u, const char *channel)
{
    return strcmp(channel, "mail") == 0 ? s->mail_url && u->mail : s->command && u->phone;
}

static int add_line(struct incident *inc, enum notice_kind kind, const char *unit,
                    const char *channel, const struct err *problem, struct err *e)
{
    char *detail = text_print("%s%s%s", problem ? problem->what : "",
                              problem && problem->what[0] ? ": " : "", problem ? problem->why : "");
    json_t *body = json_pack("{s:s, s:o, s:s, s:b, s:o}", "notice", names[kind], "to",
                             event_json(unit, 0), "channel", channel, "ok", problem == NULL,
                             "detail", event_json(detail, 0));
    free(detail);
    return incident_add(inc, EVENT_NOTICE, body, e);
}

int notice_failed(struct incident *inc, enum notice_kind kind, const char *unit,
                  const char *channel, const struct err *problem, struct err *e)
{
    return add_line(inc, kind, unit, channel, problem, e);
}

/* --- what they read ----------------------------------------------------------------------------------------- */
/* Letters to other offices: fixed pairs, as the forms are, chosen by the site's language and not by the terminal's. */
struct words {
    const char *subject, *body, *brief, *contact;
};
static const struct words zh_words[NOTICE_KINDS] = {
    { "请暂停上传数据：%s%s%s数据库故障",
      "各单位：\n\n　　%s%s“%s”系统数据库于%s发生故障，正在处置。请立即暂停向该系统上传数据，恢复时间另行通知。\n\n"
      "　　收到请回复。\n%s\n",
      "【%s%s】“%s”数据库%s发生故障，请立即暂停上传数据，恢复另行通知。收到请回复。%s",
      "联系人：%s，电话：%s" },
    { "可以恢复上传数据：%s%s%s数据库已恢复",
      "各单位：\n\n　　%s%s“%s”系统数据库已于%s恢复正常，可以恢复上传数据。\n\n　　收到请回复。\n%s\n",
      "【%s%s】“%s”数据库已于%s恢复，可以恢复上传数据。收到请回复。%s", "联系人：%s，电话：%s" },
};
static const struct words en_words[NOTICE_KINDS] = {
    { "Hold your uploads: %s%s%s, its database is down",
      "To all units\n\n%s%sThe database of \"%s\" has been down since %s, and is being worked on. "
      "Please stop uploading data to it at once. You will be told when it is back.\n\n"
      "Please answer this message.\n%s\n",
      "%s%s\"%s\": database down since %s. Hold your uploads at once; we tell you when it is back. "
      "Please answer. %s",
      "Contact: %s, telephone %s" },
    { "You may upload again: %s%s%s, its database is back",
      "To all units\n\n%s%sThe database of \"%s\" has been back since %s. You may upload data to it "
      "again.\n\nPlease answer this message.\n%s\n",
      "%s%s\"%s\": database back since %s. You may upload again. Please answer. %s",
      "Contact: %s, telephone %s" },
};

static const struct person *whom_to_ask(const struct contacts *c)
{
    static const char *const roles[] = { "operator", "security-officer", "office-head" };
    for (size_t i = 0; c && i < sizeof roles / sizeof *roles; i++) {
        const struct role *r = contacts_role(c, roles[i]);
        if (r && r->a.name && r->a.phone)
            return &r->a;
        if (r && r->b.name && r->b.phone)
            return &r->b;
    }
    return NULL;
}

/* The formats are of the table above: it is checked by a test that every one takes just these. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static char *fill(const char *format, const char *site, const char *gap, const char *policy,
                  const char *when, const char *contact)
{
    return text_print(format, site, gap, policy, when, contact);
}

static char *subject_of(const struct words *w, const char *site, const char *gap,
                        const char *policy)
{
    return text_print(w->subject, site, gap, policy);
}

static char *contact_of(const struct words *w, const struct person *p)
{
    return p ? text_print(w->contact, p->name, p->phone) : text_print("%s", "");
}
#pragma GCC diagnostic pop

static void write_words(const struct incident *inc, const struct words *w, const struct settings *s,
                        const struct contacts *c, bool zh, struct message *ret)
{
    char when[32];
    const char *site = s && s->site ? s->site : "", *gap = !*site ? "" : zh ? "" : ": ";
    bool hold = w == &zh_words[NOTICE_HOLD] || w == &en_words[NOTICE_HOLD];
    bool earlier = inc->crashed_s && inc->crashed_s < inc->opened_s;
    int64_t at_s = !hold ? inc->recovered_s : earlier ? inc->crashed_s : inc->opened_s;
    time_text(at_s ? at_s : sys_realtime_s(), when);
    char *contact = contact_of(w, whom_to_ask(c));
    ret->subject = subject_of(w, site, gap, inc->policy);
    ret->body = fill(w->body, site, gap, inc->policy, when, contact);
    char *brief = fill(w->brief, site, gap, inc->policy, when, contact);
    ret->brief = cut_utf8(brief, MAX_BRIEF_BYTES);
    free(brief);
    free(contact);
}

void notice_message(const struct incident *inc, enum notice_kind kind, const struct settings *s,
                    const struct contacts *c, struct message *ret)
{
    const char *language = s && s->language ? s->language : "";
    struct message zh, en;
    *ret = (struct message){ 0 };
    if (strcmp(language, "zh") == 0) {
        write_words(inc, &zh_words[kind], s, c, true, ret);
    } else if (strcmp(language, "en") == 0) {
        write_words(inc, &en_words[kind], s, c, false, ret);
    } else {
        zh = en = (struct message){ 0 };
        write_words(inc, &zh_words[kind], s, c, true, &zh);
        write_words(inc, &en_words[kind], s, c, false, &en);
        ret->subject = text_print("%s / %s", zh.subject, en.subject);
        ret->body = text_print("%s\n%s", zh.body, en.body);
        char *brief = text_print("%s %s", zh.brief, en.brief);
        ret->brief = cut_utf8(brief, MAX_BRIEF_BYTES);
        free(brief);
        message_done(&zh);
        message_done(&en);
    }
}

/* --- one attempt ------------------------------------------------------------------------------------------------ */
const struct unit_contact *notice_unit(const struct contacts *c, const char *name)
{
    for (size_t i = 0; i < c->n_units; i++)
        if (strcmp(c->units[i].name, name) == 0)
            return &c->units[i];
    return NULL;
}

static int no_unit(const struct contacts *c, const char *name, struct err *e)
{
    char list[400] = "";
    for (size_t i = 0; i < c->n_units; i++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", c->units[i].name);
    }
    err_set(e, ERR_NAME, _("there is no unit \"%s\" in contacts.yaml"), name);
    return err_next(e, _("those that there are: %s"), *list ? list : "-");
}

static int load_both(struct app *app, struct settings **s, struct contacts **c, struct err *e)
{
    int rc = settings_load(&app->paths, s, e);
    return rc == 0 ? contacts_load(&app->paths, c, e) : rc;
}

int notice_try(struct app *app, struct incident *inc, enum notice_kind kind, const char *unit,
               const char *channel, struct err *e)
{
    struct settings *s = NULL;
    struct contacts *c = NULL;
    struct err problem = ERR_INIT;
    struct recipient to = { 0 };
    struct message m;
    int rc = load_both(app, &s, &c, e);
    const struct unit_contact *u = rc == 0 ? notice_unit(c, unit) : NULL;
    if (rc == 0 && !u)
        rc = no_unit(c, unit, e);
    if (rc == 0 && u && !notice_way(s, u, channel))
        rc = err_set(e, ERR_CONFIG, _("the unit \"%s\" cannot be told by %s"), unit, channel);
    if (rc == 0)
        rc = incident_refresh(inc, e);
    if (rc == 0 && u && notice_wanted(inc, kind, unit)) {
        snprintf(to.channel, sizeof to.channel, "%s", channel);
        snprintf(to.to, sizeof to.to, "%s", strcmp(channel, "mail") == 0 ? u->mail : u->phone);
        snprintf(to.name, sizeof to.name, "%s", u->name);
        notice_message(inc, kind, s, c, &m);
        int sent = channel_send(s, &to, &m, &problem);
        message_done(&m);
        rc = add_line(inc, kind, unit, channel, sent < 0 ? &problem : NULL, e);
        if (rc == 0 && sent < 0) {
            *e = problem;
            rc = sent;
        }
    }
    settings_free(s);
    contacts_free(c);
    return rc;
}

/* --- sending ------------------------------------------------------------------------------------------------------- */
/* By no means in a drill: it is noted whom it would have told. */
static int pretend(struct incident *inc, enum notice_kind kind, const struct contacts *c,
                   struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->n_units; i++)
        if (!notice_done(inc, kind, c->units[i].name, NULL))
            rc = add_line(inc, kind, c->units[i].name, "drill", NULL, e);
    return rc;
}

static bool tried(const struct incident *inc, enum notice_kind kind, const char *unit)
{
    for (size_t i = 0; i < inc->n; i++)
        if (inc->events[i].kind == EVENT_NOTICE && is_text(&inc->events[i], "to", unit) &&
            is_text(&inc->events[i], "notice", names[kind]))
            return true;
    return false;
}

/* Whoever cannot be reached by a program stands on the timeline, too, once. */
static int count(struct incident *inc, enum notice_kind kind, const struct settings *s,
                 const struct contacts *c, struct notice_result *ret, struct err *e)
{
    struct err nobody = ERR_INIT;
    int rc = 0;
    err_set(&nobody, ERR_ABSENT, _("no mail, and no number that a command could take: call them"));
    for (size_t i = 0; rc == 0 && i < c->n_units; i++) {
        const struct unit_contact *u = &c->units[i];
        bool way = notice_way(s, u, "mail") || notice_way(s, u, "command");
        if (notice_done(inc, kind, u->name, NULL))
            ret->told++;
        else if (!way)
            ret->no_way++;
        if (!way && !notice_done(inc, kind, u->name, NULL) && !tried(inc, kind, u->name))
            rc = add_line(inc, kind, u->name, "none", &nobody, e);
    }
    return rc;
}

/* A process that nobody waits for: it goes on when this one ends. */
static int start_telling(struct app *app, const struct incident *inc, enum notice_kind kind,
                         struct err *e)
{
    extern char **environ;
    char path[PATH_MAX];
    pid_t pid;
    int rc = sys_program_path("twofold", "TWOFOLD_PROGRAM", path, e);
    const char *argv[] = { path,   "--config", app->paths.config_dir, "--quiet", "crash",
                           "tell", inc->id,    names[kind],           NULL };
    struct sys_child child = { .argv = argv,
                               .env = (const char *const *)environ,
                               .in_fd = -1,
                               .out_fd = -1,
                               .err_fd = -1,
                               .outlives = true };
    return rc == 0 ? sys_spawn_group(&child, &pid, e) : rc;
}

int notice_send(struct app *app, struct incident *inc, enum notice_kind kind,
                struct notice_result *ret, struct err *e)
{
    struct settings *s = NULL;
    struct contacts *c = NULL;
    *ret = (struct notice_result){ 0 };
    int rc = load_both(app, &s, &c, e);
    if (rc == 0)
        ret->units = c->n_units;
    if (rc == 0 && inc->drill)
        rc = pretend(inc, kind, c, e);
    if (rc == 0)
        rc = count(inc, kind, s, c, ret, e);
    if (rc == 0 && ret->told + ret->no_way < ret->units) {
        rc = start_telling(app, inc, kind, e);
        ret->telling = rc == 0;
    }
    settings_free(s);
    contacts_free(c);
    return rc < 0 ? err_wrap(e, _("tell the subordinate units")) : 0;
}

int notice_ack(struct app *app, struct incident *inc, enum notice_kind kind, const char *unit,
               const char *through, struct err *e)
{
    struct contacts *c = NULL;
    int rc = contacts_load(&app->paths, &c, e);
    /* On another machine there are no contacts: then the timeline knows whom there is. */
    if (rc == 0 && !notice_unit(c, unit) && !tried(inc, kind, unit))
        rc = no_unit(c, unit, e);
    if (rc == 0)
        rc = incident_add(inc, EVENT_NOTICE,
                          json_pack("{s:s, s:s, s:o, s:o}", "notice", "acknowledged", "of",
                                    names[kind], "to", event_json(unit, 0), "through",
                                    event_json(through ? through : "", 0)),
                          e);
    contacts_free(c);
    return rc;
}
