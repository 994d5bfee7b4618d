/* said.c - see said.h. */
#include "restore/report/said.h"
#include "restore/incident/failback.h"
#include "restore/report/values.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool zh(const struct report *r)
{
    return r->lang == PAPER_ZH;
}

static char *copy(const char *text)
{
    return text && *text ? words_print("%s", text) : NULL;
}

static char *either(const struct report *r, const char *chinese, const char *english)
{
    return words_print("%s", zh(r) ? chinese : english);
}

static const json_t *facts_of(const struct event *ev)
{
    return json_object_get(ev->body, "facts");
}

static int64_t fact_int(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static bool step_is(const struct event *ev, const char *step)
{
    return strcmp(event_text(ev, "step"), step) == 0;
}

static bool state_is(const struct event *ev, const char *state)
{
    return strcmp(event_text(ev, "state"), state) == 0;
}

/* --- originals ---------------------------------------------------------------------------------------------------- */
static bool has_wide(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0xe3) /* from U+3000 on */
            return true;
    return false;
}

/* Two words with a blank between: not a name, a number or a path alone. */
static bool is_sentence(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p == ' ' && p > text && isalpha((unsigned char)p[1]) &&
            (isalnum((unsigned char)p[-1]) || strchr(",:;.\")", p[-1])))
            return true;
    return false;
}

char *said_original(const struct report *r, const char *text)
{
    if (!*text)
        return NULL;
    if (zh(r) && is_sentence(text) && !has_wide(text))
        return words_print("原文“%s”", text);
    if (!zh(r) && has_wide(text))
        return words_print("in its own words: \"%s\"", text);
    return copy(text);
}

/* The last line of what a command said. */
static char *last_line(const char *output)
{
    size_t n = strlen(output), from;
    while (n > 0 && isspace((unsigned char)output[n - 1]))
        n--;
    for (from = n; from > 0 && output[from - 1] != '\n';)
        from--;
    return n > from ? words_print("%.*s", (int)(n - from), output + from) : NULL;
}

/* --- steps: commands of the policy ----------------------------------------------------------------------------------- */
static char *of_command(const struct report *r, const struct event *ev)
{
    const json_t *f = facts_of(ev), *output = json_object_get(f, "output");
    if (!json_object_get(f, "status") || !output)
        return said_original(r, event_text(ev, "text"));
    if (json_is_true(json_object_get(f, "timed_out")))
        return either(r, "超过时限，已被终止", "it took longer than its limit, and was ended");
    char *last = last_line(json_string_value(output));
    char *said = last ? said_original(r, last) : NULL;
    free(last);
    if (fact_int(f, "status") == 0)
        return said;
    return words_join(words_print(zh(r) ? "退出状态 %" PRId64 : "it ended with status %" PRId64,
                                  fact_int(f, "status")),
                      zh(r) ? "，" : ": ", said);
}

/* --- steps: the restore -------------------------------------------------------------------------------------------------- */
static const char *end_words(const struct report *r, const char *end)
{
    static const struct {
        const char *end;
        struct bilingual w;
    } ends[] = {
        { "in-part", { "缺少部分文件", "files are missing" } },
        { "check-failed", { "恢复后检验不合格", "a check of what was restored is wrong" } },
        { "damaged", { "备份损坏或不完整", "the backup is damaged, or not whole" } },
        { "away", { "副本或主机无法访问", "copies or the host could not be reached" } },
        { "refused", { "不能执行", "it was refused" } },
        { "stopped", { "被中断", "it was interrupted" } },
        { "broken", { "恢复出错", "it failed" } },
    };
    for (size_t i = 0; i < COUNT(ends); i++)
        if (strcmp(ends[i].end, end) == 0)
            return say(r, ends[i].w);
    return "";
}

static int64_t bad_of(const json_t *of_copy)
{
    return fact_int(of_copy, "bad") + fact_int(of_copy, "damaged"); /* a drill's word for it */
}

/* Which copies gave something, and which had pieces that could not be used. */
static char *from_copies(const struct report *r, char *text, const json_t *copies)
{
    const json_t *one;
    char *gave = NULL;
    size_t i;
    json_array_foreach(copies, i, one) if (fact_int(one, "chunks") > 0) gave = words_join(
        gave, zh(r) ? "、" : ", ", words_print(zh(r) ? "“%s”" : "\"%s\"", fact_text(one, "place")));
    if (gave)
        text = words_join(text, zh(r) ? "，取自" : ", from ", gave);
    json_array_foreach(copies, i, one) if (bad_of(one) > 0) text = words_join(
        text, zh(r) ? "；" : "; ",
        words_print(zh(r) ? "“%s”有 %" PRId64 " 块损坏或缺失"
                          : "of \"%s\" %" PRId64 " chunks were damaged or missing",
                    fact_text(one, "place"), bad_of(one)));
    return text;
}

static char *of_restore(const struct report *r, const struct event *ev)
{
    const json_t *f = facts_of(ev);
    const char *end = end_words(r, fact_text(f, "end"));
    char *said = said_original(r, event_text(ev, "text"));
    if (!state_is(ev, "done"))
        return words_join(copy(end), zh(r) ? "，" : ": ", said);
    if (!json_object_get(f, "files"))
        return said;
    free(said);
    char *size = size_words((uint64_t)fact_int(f, "bytes"));
    char *text = words_print(zh(r) ? "%" PRId64 " 个文件，%s" : "%" PRId64 " files, %s",
                             fact_int(f, "files"), size ? size : "");
    free(size);
    text = from_copies(r, text, json_object_get(f, "copies"));
    if (json_is_true(json_object_get(f, "surviving_log_left_out")))
        text = words_join(
            text, zh(r) ? "；" : "; ",
            either(r, "未用主机上残存的日志", "what survived of the log was left out"));
    return text;
}

/* --- steps: what was seen on the host -------------------------------------------------------------------------------------- */
static char *of_scene(const struct report *r, const struct event *ev)
{
    const json_t *places = json_object_get(facts_of(ev), "places"), *place;
    char *all = NULL;
    size_t i;
    if (!state_is(ev, "done") || !facts_of(ev))
        return said_original(r, event_text(ev, "text"));
    json_array_foreach(places, i, place) if (*fact_text(place, "scene"))
        all = words_join(all, zh(r) ? "、" : ", ", copy(fact_text(place, "scene")));
    return all ? words_join(either(r, "保留在", "it lies in"), zh(r) ? " " : " ", all)
               : either(r, "没有移走任何数据", "nothing was moved");
}

static char *of_facts(const struct report *r, const struct event *ev)
{
    const json_t *list = json_object_get(facts_of(ev), "facts"), *fact;
    size_t i, bad = 0, doubtful = 0;
    if (!state_is(ev, "done") || !list)
        return said_original(r, event_text(ev, "text"));
    json_array_foreach(list, i, fact)
    {
        bad += strcmp(fact_text(fact, "verdict"), "bad") == 0;
        doubtful += strcmp(fact_text(fact, "verdict"), "doubtful") == 0;
    }
    return words_print(zh(r) ? "查看 %zu 项，不良 %zu 项，可疑 %zu 项"
                             : "facts: %zu; bad: %zu, doubtful: %zu",
                       json_array_size(list), bad, doubtful);
}

static char *of_check(const struct report *r, const struct event *ev)
{
    const json_t *f = facts_of(ev), *wrong = json_object_get(f, "wrong");
    if (json_is_false(json_object_get(f, "asked")))
        return either(r, "策略中没有可核对的项目，由人员查看",
                      "the policy has nothing to be asked: somebody looks");
    if (!wrong || (!state_is(ev, "done") && json_integer_value(wrong) == 0))
        return said_original(r, event_text(ev, "text"));
    if (json_integer_value(wrong) > 0)
        return words_print(zh(r) ? "%" PRId64 " 项不符合策略要求"
                                 : "%" PRId64 " things are not as the policy expects",
                           (int64_t)json_integer_value(wrong));
    return either(r, "全部符合策略要求", "all is as the policy expects");
}

/* --- steps: who was told ---------------------------------------------------------------------------------------------------- */
/* Is it a line about the same person or unit? Of persons: that it has crashed; channels of all have no name of their own. */
static bool is_about(const struct event *ev, const char *notice)
{
    if (ev->kind != EVENT_NOTICE)
        return false;
    if (strcmp(notice, "told") == 0)
        return strcmp(event_text(ev, "notice"), notice) == 0 &&
               strcmp(event_text(ev, "about"), "escalated") != 0 &&
               strcmp(event_text(ev, "to"), event_text(ev, "address")) != 0;
    return strcmp(event_text(ev, "notice"), notice) == 0 ||
           (strcmp(event_text(ev, "notice"), "acknowledged") == 0 &&
            strcmp(event_text(ev, "of"), notice) == 0);
}

static bool has_told(const struct event *ev)
{
    return json_is_true(json_object_get(ev->body, "ok")) ||
           strcmp(event_text(ev, "notice"), "acknowledged") == 0;
}

/* Each name counts once, at its first line: by any of them it is told. */
static void count_told(const struct incident *inc, const char *notice, size_t *ret_named,
                       size_t *ret_told)
{
    *ret_named = *ret_told = 0;
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        const char *name = event_text(ev, "to");
        bool first = is_about(ev, notice), told = false;
        for (size_t k = 0; first && k < i; k++)
            first = !is_about(&inc->events[k], notice) ||
                    strcmp(event_text(&inc->events[k], "to"), name) != 0;
        for (size_t k = i; first && !told && k < inc->n; k++)
            told = is_about(&inc->events[k], notice) && has_told(&inc->events[k]) &&
                   strcmp(event_text(&inc->events[k], "to"), name) == 0;
        *ret_named += first;
        *ret_told += told;
    }
}

static char *of_persons(const struct report *r)
{
    size_t named, told;
    count_told(r->inc, "told", &named, &told);
    if (named == 0)
        return NULL;
    return words_print(zh(r) ? "人员已通知 %zu 人，尚未通知到 %zu 人"
                             : "persons told: %zu, not yet: %zu",
                       told, named - told);
}

static char *of_units(const struct report *r, const struct event *ev, const char *notice)
{
    const json_t *units = json_object_get(facts_of(ev), "units");
    size_t named, told, all = units ? (size_t)json_integer_value(units) : 0;
    if (units && all == 0)
        return either(r, "没有下属单位需要通知", "there are no subordinate units to tell");
    count_told(r->inc, notice, &named, &told);
    all = named > all ? named : all;
    if (all == 0)
        return NULL;
    return words_print(zh(r) ? "单位已通知 %zu 个，尚未通知到 %zu 个"
                             : "units told: %zu, not yet: %zu",
                       told, all - told);
}

/* That the notices were begun is not that anybody has heard them: those who have are counted, as far as is known now. */
static char *of_notice(const struct report *r, const struct event *ev)
{
    bool hold = step_is(ev, "notify");
    if (!state_is(ev, "done") || !r->inc)
        return said_original(r, event_text(ev, "text"));
    if (r->inc->drill)
        return either(r, "演练，不实际通知", "a drill: nobody is told");
    return words_join(hold ? of_persons(r) : NULL, zh(r) ? "；" : "; ",
                      of_units(r, ev, hold ? "hold-uploads" : "resume-uploads"));
}

/* --- steps: the standby, and the way back from it ------------------------------------------------------------------------------- */
/* Of "HOST: what its command said last" the latter. */
static char *of_host(const struct report *r, const struct event *ev, const char *host)
{
    const char *text = event_text(ev, "text");
    size_t n = strlen(host);
    bool ours = n > 0 && strncmp(text, host, n) == 0 && text[n] == ':' && text[n + 1] == ' ';
    char *said = said_original(r, ours ? text + n + 2 : text);
    return n > 0 ? words_join(copy(host), zh(r) ? "：" : ": ", said) : said;
}

static char *takes_no_writes(const struct report *r, const json_t *f, const char *host)
{
    char *text = words_print(zh(r) ? "%s 不接受写入（已核实）" : "\"%s\" takes no writes (asked)",
                             host);
    return words_join(text, zh(r) ? "；其日志止于 " : "; its log ended at ",
                      copy(fact_text(f, "position")));
}

static char *of_compare(const struct report *r, const struct event *ev, const char *host)
{
    const json_t *f = facts_of(ev);
    const char *stopped = fact_text(f, "stopped_at");
    if (json_is_true(json_object_get(f, "given_up")))
        return words_print(zh(r) ? "备用系统止于 %s，%s 只有到 %s 的数据：缺少的部分已放弃"
                                 : "the standby ended at %s and \"%s\" has it to %s: what is "
                                   "missing was given up",
                           *stopped ? stopped : "?", host, fact_text(f, "position"));
    return words_print(zh(r) ? "%s 已有全部数据，至 %s" : "\"%s\" has all of it, to %s", host,
                       fact_text(f, "position"));
}

static char *of_standby(const struct report *r, const struct event *ev)
{
    const json_t *f = facts_of(ev);
    const char *host = fact_text(f, "host"), *why = fact_text(f, "in_spite_of");
    bool proven = json_is_true(json_object_get(f, "proven"));
    bool right = step_is(ev, "standby-check") || step_is(ev, "failback-check");
    bool asked = state_is(ev, "done") && !json_object_get(f, "status");
    if (asked && step_is(ev, "switch-back"))
        return either(r, "原主机恢复运行，备用系统随其同步",
                      "the primary runs again, and the standby follows it");
    if (!asked || !*host)
        return of_command(r, ev);
    if (right && *why)
        return words_join(either(r, "仍继续", "gone on with in spite of"), zh(r) ? "：" : ": ",
                          said_original(r, why));
    if (right)
        return words_print(zh(r) ? "%s 符合策略要求" : "\"%s\" is as the policy expects", host);
    if (step_is(ev, "failback-compare"))
        return of_compare(r, ev, host);
    if (step_is(ev, "standby-give-up") && !proven && !json_is_true(json_object_get(f, "stated")))
        return words_print(zh(r) ? "%s 现无法询问，此前已核实"
                                 : "\"%s\" cannot be asked now; it was asked before",
                           host);
    if ((step_is(ev, "failback-stop") || step_is(ev, "standby-give-up")) && !proven)
        return words_print(zh(r) ? "%s 已关闭（由人员确认）" : "\"%s\" is off, as was stated",
                           host);
    if (proven && !step_is(ev, "failback-ready"))
        return takes_no_writes(r, f, host);
    if (json_is_true(json_object_get(f, "no_command")))
        return either(r, "策略没有这样的命令，提交不等待备用系统",
                      "the policy has no such command: commits wait for nobody");
    return of_host(r, ev, host);
}

/* --- drills ------------------------------------------------------------------------------------------------------------------ */
char *said_of_drill(const struct report *r, const struct event *ev)
{
    static const struct {
        const char *reason;
        struct bilingual w;
    } reasons[] = {
        { "copy-damaged", { "有副本损坏", "a copy is damaged" } },
        { "log-broken", { "数据库日志损坏或有缺口", "its log is damaged or has a gap" } },
        { "not-restored", { "未能恢复", "nothing could be restored" } },
        { "in-part", { "恢复的数据缺少文件", "files are missing from what was restored" } },
        { "not-started", { "数据库不能启动", "the database does not start on it" } },
        { "check-false", { "恢复后检验不合格", "a check of what was restored is wrong" } },
        { "files-differ", { "文件与备份记录不符", "files are not as they were recorded" } },
        { "older",
          { "最新备份未能恢复，使用了较早的备份",
            "the newest backup could not be restored, an older one was" } },
        { "over-rto", { "恢复时间超过要求（RTO）", "it took too long (RTO)" } },
        { "over-rpo", { "数据损失超过要求（RPO）", "too much would be lost (RPO)" } },
        { "stopped", { "被中断", "it was interrupted" } },
    };
    const json_t *list = json_object_get(facts_of(ev), "reasons"), *one;
    char *text = NULL;
    size_t i;
    json_array_foreach(list, i, one)
    {
        const char *name = json_string_value(one);
        for (size_t k = 0; name && k < COUNT(reasons); k++)
            if (strcmp(reasons[k].reason, name) == 0)
                text = words_join(text, zh(r) ? "；" : "; ", copy(say(r, reasons[k].w)));
    }
    if (state_is(ev, "done"))
        return text ? text : either(r, "合格", "passed");
    return text ? text : said_original(r, event_text(ev, "text"));
}

static const char *duty_words(const struct report *r, const char *word)
{
    static const struct {
        const char *id;
        struct bilingual w;
    } names[] = {
        { "hold-uploads", { "通知暂停上传", "uploads held" } },
        { "first-report", { "首次报告", "first report" } },
        { "on-site", { "赶到现场", "on site" } },
        { "level", { "事件定级", "level" } },
        { "report", { "情况报告", "report" } },
        { "daily", { "日报", "daily report" } },
        { "investigation", { "成立调查组", "investigation group" } },
        { "experts", { "专家调查", "experts" } },
        { "superior-help", { "请上级支援", "help of the superior unit" } },
        { "resume-uploads", { "通知恢复上传", "uploads resumed" } },
        { "summary", { "总结报告", "summary" } },
        { "actions", { "整改措施", "corrective actions" } },
        { "supplement", { "补充报告", "supplement" } },
    };
    size_t n = strcspn(word, "0123456789"); /* report-3 */
    n -= n > 0 && word[n] && word[n - 1] == '-';
    for (size_t i = 0; i < COUNT(names); i++)
        if (strlen(names[i].id) == n && strncmp(names[i].id, word, n) == 0)
            return say(r, names[i].w);
    return word;
}

/* What a person said of the closing, and what was left undone. */
static char *closed_by_person(const struct report *r, const struct event *ev)
{
    const json_t *undone = json_object_get(ev->body, "undone"), *one;
    char *all = NULL;
    size_t i;
    json_array_foreach(undone, i, one) if (json_is_string(one))
        all = words_join(all, zh(r) ? "、" : ", ", copy(duty_words(r, json_string_value(one))));
    if (all)
        all = words_join(either(r, "到期未办", "due and not done"), zh(r) ? "：" : ": ", all);
    return words_join(copy(event_text(ev, "text")), zh(r) ? "；" : "; ", all);
}

char *said_of_end(const struct report *r, const struct event *ev)
{
    const char *text = event_text(ev, "text");
    const struct event *judged = r->inc && r->inc->drill
                                     ? incident_last(r->inc, EVENT_STEP, "step", "drill")
                                     : NULL;
    if (judged && (strcmp(event_text(ev, "through"), "drill") == 0 ||
                   strcmp(event_text(judged, "text"), text) == 0))
        return said_of_drill(r, judged);
    return closed_by_person(r, ev);
}

/* --- all of them ---------------------------------------------------------------------------------------------------------------- */
char *said_of_step(const struct report *r, const struct event *ev)
{
    static const struct {
        const char *step;
        char *(*said)(const struct report *r, const struct event *ev);
    } known[] = {
        { "notify", of_notice },    { "resume", of_notice },   { "isolate", of_command },
        { "stop", of_command },     { "start", of_command },   { "scene", of_scene },
        { "facts", of_facts },      { "restore", of_restore }, { "check", of_check },
        { "fence", of_standby },    { "promote", of_standby }, { "standby-check", of_standby },
        { "switch", of_standby },   { "reseed", of_standby },  { "switch-back", of_standby },
        { "drill", said_of_drill },
    };
    if (state_is(ev, "overdue"))
        return either(r, "超过时限，仍在进行", "it takes longer than its limit, and goes on");
    if (step_is(ev, "resumed"))
        return copy(event_text(ev, "text")); /* a person's reason */
    for (size_t i = 0; i < COUNT(known); i++)
        if (step_is(ev, known[i].step))
            return known[i].said(r, ev);
    return failback_step_parse(event_text(ev, "step")) != FB_STEPS
               ? of_standby(r, ev)
               : said_original(r, event_text(ev, "text"));
}

/* Why the procedure answered a gate itself (--yes): it says the same of the same gate always. */
char *said_of_gate(const struct report *r, const struct event *ev)
{
    const char *gate = event_text(ev, "gate"), *answer = event_text(ev, "answer");
    bool yes = strcmp(answer, "yes") == 0;
    if (strcmp(answer, "waiting") == 0) /* for what: the program's words, where there are any */
        return said_original(r, event_text(ev, "why"));
    if (strcmp(event_text(ev, "through"), "--yes") != 0)
        return copy(event_text(ev, "why"));
    if (strcmp(answer, "again") == 0 ||
        (yes && (strcmp(gate, "reachable") == 0 || strcmp(gate, "restore-again") == 0)))
        return either(r, "再试一次", "tried once more");
    if (strcmp(answer, "no") == 0)
        return either(r, "未能恢复正常，改用下一办法",
                      "it did not come right: the next way is taken");
    if (yes && strcmp(gate, "host-repaired") == 0)
        return either(r, "主机没有不良状况", "no fact of the host is bad");
    if (yes && strcmp(gate, "stopped") == 0)
        return either(r, "主机报告数据库未运行", "the host says that the server does not run");
    if (yes && strcmp(gate, "started") == 0)
        return either(r, "主机报告数据库已运行", "the host says that the server runs");
    return said_original(r, event_text(ev, "why"));
}

char *said_of_escalation(const struct report *r, const struct event *ev)
{
    static const struct {
        const char *reason;
        struct bilingual w;
    } reasons[] = {
        { "host", { "主机无法修复", "the host cannot be repaired" } },
        { "tried-all", { "各备份均未能恢复", "no backup of any copy could be restored" } },
        { "no-backup", { "没有可用的备份", "there is no backup that could be taken" } },
        { "attempts", { "超过演练的尝试次数", "more attempts than a drill makes" } },
    };
    const char *reason = event_text(ev, "reason");
    for (size_t i = 0; i < COUNT(reasons); i++)
        if (strcmp(reasons[i].reason, reason) == 0)
            return copy(say(r, reasons[i].w));
    if (strcmp(reason, "gate") == 0)
        return copy(step_words(r, event_text(ev, "gate")));
    return said_original(r, event_text(ev, "why"));
}

/* --- loss ------------------------------------------------------------------------------------------------------------------------- */
static char *loss_of_standby(const struct report *r, const struct event *ev)
{
    const char *fenced = event_text(ev, "fenced_at"), *promoted = event_text(ev, "promoted_at");
    uint64_t missing = 0;
    switch (position_compare(fenced, promoted, &missing)) {
    case POSITION_HAS_ALL:
        return words_print(
            zh(r) ? "没有数据丢失：原主机日志止于 %s，备用系统接管时已有到 %s 的数据"
                  : "nothing is lost: the old primary's log ended at %s, and the standby had it to "
                    "%s when it was promoted",
            fenced, promoted);
    case POSITION_BEHIND:
        return words_print(
            zh(r) ? "原主机日志止于 %s，备用系统接管时只有到 %s 的数据：其间 %" PRIu64
                    " 字节内提交的数据不在备用系统，仍在原主机磁盘上"
                  : "the old primary's log ended at %s, and the standby had it to %s when it was "
                    "promoted: what was committed in the %" PRIu64
                    " bytes between is not on the standby; it lies on the old primary's disk",
            fenced, promoted, missing);
    case POSITION_ELSEWHERE:
    case POSITION_UNKNOWN:
        break;
    }
    return words_print(
        zh(r) ? "原主机的日志位置不明（%s）；备用系统接管时位于 %s，此后在原主机提交的数据不在其中"
              : "how far the old primary was is not known (%s); the standby was at %s when it was "
                "promoted, and what was committed later on the old primary is not there",
        *fenced ? fenced : "?", *promoted ? promoted : "?");
}

/* Back to before a mistake or an attack, on purpose: what was done later lies in the scene. */
static char *went_back(const struct report *r, const struct event *ev, const char *at,
                       const char *span)
{
    bool attack = r->inc && r->inc->cause == CAUSE_ATTACK;
    char *before = time_words(r, event_int(ev, "before"));
    char *text =
        zh(r) ? words_print("%s，按要求退回到 %s 之前：恢复到 %s，其后至多%s内写入的数据有意不恢复",
                            attack ? "遭受攻击" : "误操作", before ? before : "", at, span)
              : words_print("gone back on purpose to before %s, because of %s: recovered up to "
                            "%s; what was written in the %s after it at most is left out",
                            before ? before : "", attack ? "an attack" : "a mistake", at, span);
    free(before);
    return words_join(
        text, zh(r) ? "，保留在现场：" : "; it lies in the scene: ", copy(event_text(ev, "scene")));
}

/* The log that was kept ended before its time: what came then is not there, however much it was. */
static char *broken_off(const struct report *r, const struct event *ev, const char *at,
                        const char *span, const char *gap)
{
    char *said = said_original(r, gap);
    char *text = words_print(zh(r) ? "恢复到 %s，日志到此中断（%s）"
                                   : "recovered up to %s: the log does not go on (%s)",
                             at, said ? said : "");
    free(said);
    if (event_int(ev, "gap_s") == 0)
        return words_join(
            text, "",
            either(r, "；其后写入的数据不在其中", "; what was written after it is not in it"));
    return words_join(text, "",
                      words_print(zh(r) ? "；其后至多%s内写入的数据不在其中"
                                        : "; what was written in the %s after it at most is not in "
                                          "it",
                                  span));
}

static char *loss_words(const struct report *r, const struct event *ev, const char *at,
                        const char *span)
{
    const char *gap = fact_text(json_object_get(ev->body, "driver"), "gap");
    if (event_int(ev, "before") > 0)
        return went_back(r, ev, at, span);
    if (*gap)
        return broken_off(r, ev, at, span, gap);
    if (json_is_true(json_object_get(ev->body, "after_crash")))
        return words_print(zh(r) ? "恢复到 %s，晚于所报的故障时刻；其间写入的数据均已保留"
                                 : "recovered up to %s, later than the time of the crash that was "
                                   "told; what was written in between is kept",
                           at);
    if (event_int(ev, "gap_s") == 0)
        return words_print(zh(r) ? "恢复到 %s；此前写入的数据没有缺失"
                                 : "recovered up to %s: nothing that was written before is missing",
                           at);
    return words_print(zh(r) ? "恢复到 %s；其后至多%s内写入的数据不在其中"
                             : "recovered up to %s; what was written in the %s after it at most is "
                               "not in it",
                       at, span);
}

static char *loss_of_restore(const struct report *r, const struct event *ev, int64_t to)
{
    bool guessed = json_is_false(json_object_get(ev->body, "crash_is_known")) &&
                   !json_is_true(json_object_get(ev->body, "after_crash"));
    char *at = time_words(r, to), *span = span_words(r, event_int(ev, "gap_s"));
    char *text = loss_words(r, ev, at ? at : "", span ? span : "");
    free(at);
    free(span);
    return !guessed ? text
                    : words_join(text, "",
                                 either(r, "（故障时刻不明，按发现时间计）",
                                        " (when it crashed is not known: counted to when it was "
                                        "found)"));
}

char *said_of_loss(const struct report *r, const struct event *ev)
{
    int64_t to = event_int(ev, "recovered_to");
    const char *through = event_text(ev, "through"), *stopped = event_text(ev, "stopped_at");
    if (strcmp(through, "standby") == 0)
        return loss_of_standby(r, ev);
    if (strcmp(through, "failback") == 0 && *event_text(ev, "has"))
        return words_print(zh(r) ? "备用系统止于 %s，主机只有到 %s 的数据：缺少的部分已放弃"
                                 : "the standby ended at %s and the host has it to %s: what is "
                                   "missing was given up",
                           *stopped ? stopped : "?", event_text(ev, "has"));
    if (to > 0 && json_object_get(ev->body, "gap_s") && event_int(ev, "gap_s") >= 0)
        return loss_of_restore(r, ev, to);
    if (to == 0 && json_object_get(ev->body, "recovered_to"))
        return either(r, "恢复到何时不详", "up to when it was recovered is not known");
    return said_original(r, event_text(ev, "text"));
}

/* --- checks ------------------------------------------------------------------------------------------------------------------------ */
char *said_check_name(const struct report *r, const json_t *check)
{
    static const struct {
        const char *name;
        struct bilingual w;
    } names[] = {
        { "scan", { "病毒扫描", "Scan" } },
        { "started", { "数据库启动", "The server starts" } },
        { "reached", { "恢复到应达到的位置", "It recovers as far as it should" } },
        { "databases", { "各数据库可以进入", "Each database can be entered" } },
        { "tables", { "表的完整性", "Tables" } },
        { "sql", { "策略规定的查询", "The policy's questions" } },
        { "stopped", { "数据库停止", "The server stops" } },
        { "sums", { "数据页校验和", "Checksums of pages" } },
    };
    const char *name = fact_text(check, "name");
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i].name, name) == 0)
            return copy(say(r, names[i].w));
    return copy(name);
}

char *said_of_check(const struct report *r, const json_t *check)
{
    return said_original(r, fact_text(check, "text"));
}
