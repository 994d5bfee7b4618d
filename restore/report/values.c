/* values.c - see values.h. */
#include "restore/report/values.h"
#include "restore/report/said.h"
#include "lib/base/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TOLD 1000 /* events in one field */
#define FIRST_TOLD 200
#define MAX_NAMED 100 /* persons */

static bool zh(const struct report *r)
{
    return r->lang == PAPER_ZH;
}

static char *copy(const char *text)
{
    return text && *text ? words_print("%s", text) : NULL;
}

/* --- of the site ------------------------------------------------------------------------------------------------------------ */
char *v_now(const struct report *r)
{
    return time_words(r, r->now_s);
}

char *v_unit(const struct report *r)
{
    return copy(r->conf->unit ? r->conf->unit : r->site_name);
}

char *v_phone(const struct report *r)
{
    return copy(r->conf->telephone);
}

char *v_fax(const struct report *r)
{
    return copy(r->conf->fax);
}

char *v_place(const struct report *r)
{
    return copy(r->conf->place);
}

char *v_who(const struct report *r)
{
    return copy(r->who);
}

char *v_host(const struct report *r)
{
    return copy(r->host);
}

char *v_year(const struct report *r)
{
    return words_print(zh(r) ? "%d年" : "%d", r->year);
}

static char *person_words(const struct report *r, const struct person *p)
{
    if (!p->name)
        return NULL;
    char *text = copy(p->name);
    if (p->unit)
        text = words_join(text, zh(r) ? "，" : ", ", copy(p->unit));
    return p->phone ? words_join(text, zh(r) ? "，电话 " : ", tel. ", copy(p->phone)) : text;
}

static char *persons_words(const struct report *r, const char *name)
{
    const struct role *role = r->contacts ? contacts_role(r->contacts, name) : NULL;
    if (!role)
        return NULL;
    char *a = person_words(r, &role->a), *b = person_words(r, &role->b);
    return words_join(a, "\n", b);
}

char *v_vendor(const struct report *r)
{
    return persons_words(r, "vendor");
}

/* --- of an incident: plain facts ---------------------------------------------------------------------------------------------- */
static int64_t since_s(const struct report *r)
{
    return r->inc->crashed_s ? r->inc->crashed_s : r->inc->opened_s;
}

int64_t outage_s(const struct report *r)
{
    return r->inc->recovered_s ? r->inc->recovered_s - since_s(r) : -1;
}

const char *fact_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

const json_t *newest_facts(const struct incident *inc, const char *key)
{
    for (size_t i = inc->n; i > 0; i--) {
        const json_t *facts = json_object_get(inc->events[i - 1].body, "facts");
        const json_t *list = json_object_get(facts, key);
        if (inc->events[i - 1].kind == EVENT_STEP && json_array_size(list) > 0)
            return list;
    }
    return NULL;
}

const json_t *newest_checks(const struct incident *inc)
{
    const json_t *list = newest_facts(inc, "checks"); /* the crash procedure's */
    return list ? list : newest_facts(inc, "check");  /* a drill's */
}

char *v_incident_id(const struct report *r)
{
    return r->inc ? copy(r->inc->id) : NULL;
}

char *v_incident_name(const struct report *r)
{
    if (!r->inc)
        return NULL;
    if (r->inc->drill)
        return words_print(zh(r) ? "“%s”恢复演练（%s）" : "Drill of \"%s\" (%s)", r->inc->policy,
                           r->inc->id);
    return words_print(zh(r) ? "“%s”%s（%s）" : "\"%s\": %s (%s)", r->inc->policy,
                       nature_words(r, r->inc->cause, r->inc->first_sign_s > 0), r->inc->id);
}

char *v_started(const struct report *r)
{
    if (!r->inc)
        return NULL;
    if (r->inc->crashed_s)
        return time_words(r, r->inc->crashed_s);
    return words_join(time_words(r, r->inc->opened_s), "",
                      copy(zh(r) ? "（发现时间）" : " (when it was found)"));
}

char *v_recovered(const struct report *r)
{
    return r->inc && r->inc->recovered_s ? time_words(r, r->inc->recovered_s) : NULL;
}

char *v_system(const struct report *r)
{
    if (!r->inc)
        return NULL;
    bool local = strcmp(r->inc->agent, "local") == 0;
    return words_print(zh(r) ? "“%s”，主机 %s" : "\"%s\" on host %s", r->inc->policy,
                       local && r->host ? r->host : r->inc->agent);
}

char *v_level(const struct report *r)
{
    return r->inc ? copy(level_words(r, r->inc->level)) : NULL;
}

char *v_duration(const struct report *r)
{
    if (!r->inc || outage_s(r) < 0)
        return NULL;
    return span_words(r, outage_s(r));
}

/* "服务中断1小时12分", or that it is still down. */
static char *down_words(const struct report *r)
{
    bool over = r->inc->recovered_s != 0;
    char *span = span_words(r, over ? outage_s(r) : r->now_s - since_s(r));
    char *text = over ? words_print(zh(r) ? "服务中断%s，已恢复" : "Down for %s; in service again",
                                    span ? span : "")
                      : words_print(zh(r) ? "服务已中断%s，截至报告时尚未恢复"
                                          : "Down for %s so far; not yet in service",
                                    span ? span : "");
    free(span);
    return text;
}

char *v_degree(const struct report *r)
{
    if (!r->inc)
        return NULL;
    return words_join(v_level(r), zh(r) ? "；" : "; ", down_words(r));
}

char *v_loss(const struct report *r)
{
    const struct event *ev = r->inc ? incident_last(r->inc, EVENT_LOSS, NULL, NULL) : NULL;
    return ev ? said_of_loss(r, ev) : NULL;
}

char *v_consequence(const struct report *r)
{
    if (!r->inc)
        return NULL;
    char *loss = v_loss(r), *text = down_words(r);
    if (!loss)
        return text;
    return words_join(text, zh(r) ? "。\n数据损失：" : ".\nData: ", loss);
}

char *v_nature(const struct report *r)
{
    if (!r->inc)
        return NULL;
    char *text = copy(nature_words(r, r->inc->cause, r->inc->first_sign_s > 0));
    return r->inc->drill ? words_join(text, "", copy(zh(r) ? "（演练）" : " (a drill)")) : text;
}

/* Everybody who left a line, each once. */
char *v_people(const struct report *r)
{
    const char *names[MAX_NAMED];
    size_t n = 0;
    char *text = NULL;
    for (size_t i = 0; r->inc && i < r->inc->n && n < MAX_NAMED; i++) {
        bool seen = !*r->inc->events[i].by;
        for (size_t k = 0; k < n && !seen; k++)
            seen = strcmp(names[k], r->inc->events[i].by) == 0;
        if (seen)
            continue;
        names[n++] = r->inc->events[i].by;
        text = words_join(text, zh(r) ? "、" : ", ", copy(r->inc->events[i].by));
    }
    return text;
}

/* Why the vendor and the superior unit are asked for help (PY-DB-6); NULL: they are not. */
static char *why_escalated(const struct report *r)
{
    const struct event *ev = r->inc && r->inc->escalated_s
                                 ? incident_last(r->inc, EVENT_ESCALATED, NULL, NULL)
                                 : NULL;
    return ev ? said_of_escalation(r, ev) : NULL;
}

char *v_help(const struct report *r)
{
    char *why = why_escalated(r);
    if (!why)
        return NULL;
    why = words_join(why, "", copy(zh(r) ? "，请紧急支援" : "; urgent help is asked for"));
    return words_join(why, "\n", v_vendor(r));
}

char *v_result(const struct report *r)
{
    if (!r->inc)
        return NULL;
    if (r->inc->recovered_s) {
        char *at = time_words(r, r->inc->recovered_s);
        char *text = words_print(zh(r) ? "%s 恢复服务" : "In service again since %s", at ? at : "");
        free(at);
        return words_join(text, "\n", v_loss(r));
    }
    if (r->inc->escalated_s)
        return words_join(why_escalated(r), zh(r) ? "，" : "; ",
                          copy(r->inc->drill ? zh(r) ? "未能恢复" : "not restored"
                               : zh(r)       ? "已请供应商和上级支援"
                                             : "vendor and superior unit were asked for help"));
    return r->inc->closed_s ? NULL : copy(zh(r) ? "处置中" : "being handled");
}

/* --- of an incident: what happened ---------------------------------------------------------------------------------------------- */
typedef bool event_filter(const struct event *ev);

/* The events that are wanted, one a line. Of very many the middle is left out, and that is said: the timeline has them all. */
static char *told(const struct report *r, event_filter *wanted)
{
    struct wbuf out = WBUF_INIT;
    size_t n = 0, at = 0;
    for (size_t i = 0; r->inc && i < r->inc->n; i++)
        n += wanted(&r->inc->events[i]);
    for (size_t i = 0; r->inc && i < r->inc->n && !out.failed; i++) {
        const struct event *ev = &r->inc->events[i];
        if (!wanted(ev))
            continue;
        bool shown = n <= MAX_TOLD || at < FIRST_TOLD || at >= n - (MAX_TOLD - FIRST_TOLD);
        bool gap = !shown && at == FIRST_TOLD;
        char *one = shown ? event_words(r, ev) : NULL;
        char *line = one   ? words_join(stamp_words(r, ev->at_s), "  ", one)
                     : gap ? words_print(zh(r) ? "……（略去 %zu 条，见时间线）"
                                               : "… (%zu more are on the timeline)",
                                         n - MAX_TOLD)
                           : NULL;
        if (line) {
            wb_bytes(&out, "\n", out.len > 0);
            wb_bytes(&out, line, strlen(line));
        }
        free(line);
        at++;
    }
    if (out.len > 0)
        wb_u8(&out, 0);
    if (out.failed)
        wbuf_free(&out);
    return (char *)out.p;
}

static bool step_is(const struct event *ev, const char *step)
{
    return strcmp(event_text(ev, "step"), step) == 0;
}

static bool of_overview(const struct event *ev)
{
    const char *state = event_text(ev, "state");
    bool ended = strcmp(state, "done") == 0 || strcmp(state, "failed") == 0;
    return ev->kind == EVENT_OPENED || ev->kind == EVENT_LEVEL || ev->kind == EVENT_RECOVERED ||
           ev->kind == EVENT_ESCALATED || ev->kind == EVENT_CLOSED ||
           (ev->kind == EVENT_STEP && ended &&
            (step_is(ev, "restore") || step_is(ev, "standby") || step_is(ev, "promote")));
}

static bool of_course(const struct event *ev)
{
    return true;
}

static bool of_measures(const struct event *ev)
{
    return ev->kind == EVENT_STEP || ev->kind == EVENT_GATE || ev->kind == EVENT_APPROVAL ||
           ev->kind == EVENT_HANDOVER || ev->kind == EVENT_RECOVERED || ev->kind == EVENT_ESCALATED;
}

static bool of_reporting(const struct event *ev)
{
    return ev->kind == EVENT_NOTICE || ev->kind == EVENT_REPORT || ev->kind == EVENT_ESCALATED;
}

char *v_overview(const struct report *r)
{
    return told(r, of_overview);
}

char *v_course(const struct report *r)
{
    return told(r, of_course);
}

char *v_measures(const struct report *r)
{
    char *text = told(r, of_measures);
    if (!text)
        return NULL;
    return words_join(text, zh(r) ? "\n效果：" : "\nWhat came of it: ", v_result(r));
}

char *v_reporting(const struct report *r)
{
    return told(r, of_reporting);
}

char *v_restored_from(const struct report *r)
{
    const json_t *copies = r->inc ? newest_facts(r->inc, "copies") : NULL, *one;
    const struct event *ev = r->inc ? incident_last(r->inc, EVENT_STEP, "step", "restore") : NULL;
    const char *snapshot = ev ? fact_text(json_object_get(ev->body, "facts"), "snapshot") : "";
    char *text = NULL;
    size_t i;
    json_array_foreach(copies, i, one) if (json_integer_value(json_object_get(one, "chunks")) > 0)
        text = words_join(text, zh(r) ? "、" : ", ", copy(fact_text(one, "place")));
    if (*snapshot)
        text = words_join(text, zh(r) ? "；快照 " : "; snapshot ", words_print("%.12s", snapshot));
    return text;
}

char *v_summary_written(const struct report *r)
{
    const struct event *ev = r->inc ? incident_last(r->inc, EVENT_REPORT, "form", "summary") : NULL;
    return ev ? words_join(time_words(r, ev->at_s), zh(r) ? "，SHA-256 " : ", SHA-256 ",
                           words_print("%.16s…", event_text(ev, "sha256")))
              : NULL;
}

/* --- of a drill -------------------------------------------------------------------------------------------------------------------- */
char *v_drill_content(const struct report *r)
{
    if (!r->inc)
        return NULL;
    char *text = words_print(
        zh(r)
            ? "模拟“%s”的数据丢失（%s），按应急处置程序从备份恢复到隔离的目标"
            : "\"%s\" taken as lost (%s) and restored by the crash procedure to a target of its own",
        r->inc->policy, nature_words(r, r->inc->cause, r->inc->first_sign_s > 0));
    const struct event *ev = incident_last(r->inc, EVENT_STEP, "step", "drill");
    const json_t *f = ev ? json_object_get(ev->body, "facts") : NULL;
    if (*fact_text(f, "from"))
        text = words_join(text, zh(r) ? "；只用副本 " : "; from copy ", copy(fact_text(f, "from")));
    if (*fact_text(f, "lose"))
        text = words_join(text, zh(r) ? "；假定副本丢失：" : "; as if this copy were lost: ",
                          copy(fact_text(f, "lose")));
    return words_join(text, "\n", told(r, of_measures));
}

char *v_drill_purpose(const struct report *r)
{
    if (!r->inc)
        return NULL;
    return words_print(
        zh(r)
            ? "证明“%s”的备份可以恢复，测定恢复时间（RTO）和数据损失（RPO）"
            : "To prove that the backups of \"%s\" restore, and to measure recovery time (RTO) and loss (RPO)",
        r->inc->policy);
}

static char *checks_words(const struct report *r)
{
    const json_t *checks = newest_checks(r->inc), *one;
    size_t i, good = 0;
    if (!checks)
        return NULL;
    json_array_foreach(checks, i, one) good += json_is_true(json_object_get(one, "ok"));
    return words_print(zh(r) ? "检验 %zu 项，合格 %zu 项" : "%zu checks, %zu right",
                       json_array_size(checks), good);
}

/* How the drill judged itself: the step that ends it. */
static char *verdict_words(const struct report *r)
{
    const struct event *ev = incident_last(r->inc, EVENT_STEP, "step", "drill");
    const char *state = ev ? event_text(ev, "state") : "";
    if (strcmp(state, "done") == 0)
        return copy(zh(r) ? "结论：合格" : "Conclusion: passed");
    if (strcmp(state, "failed") == 0) {
        char *why = said_of_drill(r, ev);
        char *text = words_print(zh(r) ? "结论：不合格（%s）" : "Conclusion: not passed (%s)",
                                 why ? why : "");
        free(why);
        return text;
    }
    if (r->inc->recovered_s)
        return copy(zh(r) ? "结论：已恢复" : "Conclusion: restored");
    return r->inc->closed_s || r->inc->escalated_s
               ? copy(zh(r) ? "结论：未能恢复" : "Conclusion: not restored")
               : NULL;
}

char *v_drill_result(const struct report *r)
{
    if (!r->inc)
        return NULL;
    const struct event *ev = incident_last(r->inc, EVENT_STEP, "step", "drill");
    const json_t *ms = ev ? json_object_get(json_object_get(ev->body, "facts"), "rto_ms") : NULL;
    char *span = r->inc->recovered_s && ms ? span_words(r, json_integer_value(ms) / 1000)
                                           : v_duration(r),
         *text = NULL;
    if (span)
        text = words_print(zh(r) ? "实测恢复时间（RTO）：%s" : "Measured recovery time (RTO): %s",
                           span);
    free(span);
    text = words_join(text, "\n", v_loss(r));
    text = words_join(text, "\n", checks_words(r));
    return words_join(text, "\n", verdict_words(r));
}
