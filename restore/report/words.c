/* words.c - see words.h. */
#include "restore/report/said.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

const char *say(const struct report *r, struct bilingual w)
{
    return r->lang == PAPER_ZH ? w.zh : w.en;
}

char *words_print(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : text;
}

char *words_join(char *text, const char *between, char *more)
{
    if (!text || !more) {
        char *only = text ? text : more;
        return only;
    }
    char *both = words_print("%s%s%s", text, between, more);
    free(text);
    free(more);
    return both;
}

/* The formats are ours: Chinese and English. */
static char *timed(const struct report *r, int64_t at_s, struct bilingual format)
{
    time_t t = at_s;
    struct tm tm;
    char text[96];
    if (!localtime_r(&t, &tm))
        return words_print("%" PRId64, at_s);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    strftime(text, sizeof text, say(r, format), &tm);
#pragma GCC diagnostic pop
    return words_print("%s", text);
}

char *time_words(const struct report *r, int64_t at_s)
{
    return timed(r, at_s, (struct bilingual){ "%Y年%m月%d日 %H:%M", "%Y-%m-%d %H:%M" });
}

char *stamp_words(const struct report *r, int64_t at_s)
{
    return timed(r, at_s, (struct bilingual){ "%m月%d日 %H:%M", "%m-%d %H:%M" });
}

char *day_words(const struct report *r, int64_t at_s)
{
    return timed(r, at_s, (struct bilingual){ "%Y年%m月%d日", "%Y-%m-%d" });
}

char *span_words(const struct report *r, int64_t seconds)
{
    bool zh = r->lang == PAPER_ZH;
    int64_t s = seconds < 0 ? 0 : seconds, days = s / 86400, hours = s / 3600 % 24,
            min = s / 60 % 60;
    if (days)
        return words_print(zh ? "%" PRId64 "天%" PRId64 "小时" : "%" PRId64 " d %" PRId64 " h",
                           days, hours);
    if (hours)
        return words_print(zh ? "%" PRId64 "小时%" PRId64 "分" : "%" PRId64 " h %" PRId64 " min",
                           hours, min);
    if (min)
        return words_print(zh ? "%" PRId64 "分%" PRId64 "秒" : "%" PRId64 " min %" PRId64 " s", min,
                           s % 60);
    return words_print(zh ? "%" PRId64 "秒" : "%" PRId64 " s", s);
}

char *size_words(uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < COUNT(units); unit++)
        value /= 1024;
    return words_print(unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

const char *level_words(const struct report *r, unsigned level)
{
    static const struct bilingual names[] = {
        { "", "" },
        { "Ⅰ级（特别重大）", "Level I (extremely serious)" },
        { "Ⅱ级（重大）", "Level II (serious)" },
        { "Ⅲ级（较大）", "Level III (fairly serious)" },
        { "Ⅳ级（一般）", "Level IV (ordinary)" },
    };
    return say(r, names[level < COUNT(names) ? level : 0]);
}

const char *nature_words(const struct report *r, enum crash_cause c, bool mistake)
{
    static const struct bilingual error = { "误操作", "a mistake" };
    static const struct bilingual names[] = {
        [CAUSE_FAULT] = { "设备或系统故障", "a fault of hardware or software" },
        [CAUSE_ATTACK] = { "网络攻击", "an attack" },
        [CAUSE_DISASTER] = { "灾害", "a disaster" },
    };
    if (mistake && c == CAUSE_FAULT)
        return say(r, error);
    return c < CAUSES ? say(r, names[c]) : "";
}

struct name {
    const char *id;
    struct bilingual w;
};
static const char *name_of(const struct report *r, const struct name *names, size_t n,
                           const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i].id, id) == 0)
            return say(r, names[i].w);
    return id;
}

const char *step_words(const struct report *r, const char *step)
{
    /* Steps and gates of procedure.h. */
    static const struct name names[] = {
        { "notify",
          { "报告有关人员，通知下属单位暂停上传",
            "Reporting, and telling units to hold uploads" } },
        { "isolate", { "隔离主机", "Take the host off the network" } },
        { "stop", { "停止系统", "Stop the service" } },
        { "fence", { "禁止原主机继续写入", "Keep the old server from taking writes" } },
        { "promote", { "备用系统接管", "Have the standby take over" } },
        { "standby-check", { "检查备用系统", "Check the standby" } },
        { "switch", { "用户切换到备用系统", "Lead clients to the standby" } },
        { "scene", { "保留现场", "Set the scene aside" } },
        { "facts", { "检查主机状况", "Look at the host" } },
        { "restore", { "恢复备份", "Restore" } },
        { "start", { "启动系统", "Start the service" } },
        { "check", { "恢复后检验", "Check the live database" } },
        { "resume", { "通知下属单位恢复上传", "Say that uploads may go on" } },
        { "reseed",
          { "修复后的主机由备用系统重建数据", "Repaired host made to follow the standby" } },
        { "standby-give-up", { "停用备用系统", "Standby kept from taking writes" } },
        { "standby-off", { "备用系统是否已关闭", "Is the standby off?" } },
        { "reseed-fence", { "确认原主机不再写入", "Old server asked again: no writes" } },
        { "failback-ready", { "回切前核对", "Asked before the way back" } },
        { "failback-stop", { "停止备用系统写入", "Writes stopped on the standby" } },
        { "failback-compare",
          { "核对数据是否已全部同步", "Compared: does the repaired host have all of it?" } },
        { "failback-promote", { "修复后的主机接管写入", "Repaired host takes writes" } },
        { "failback-check", { "检验修复后的主机", "Repaired host checked" } },
        { "failback-switch", { "用户切换到修复后的主机", "Clients led to the repaired host" } },
        { "failback-reseed", { "备用系统重建数据", "Standby made to follow again" } },
        { "failback-sync", { "恢复同步提交", "Commits wait for the standby again" } },
        { "failback-undo-fence",
          { "确认修复后的主机未曾写入", "Repaired host asked: it never took a write" } },
        { "failback-undo",
          { "取消回切，备用系统继续服务", "Way back given up: standby serves on" } },
        { "failback-undo-switch", { "用户切换到备用系统", "Clients led to the standby again" } },
        { "switch-back", { "回切到修复后的主机", "Go back to the repaired host" } },
        { "resumed", { "恢复处置", "The procedure went on" } },
        { "prepare", { "准备演练目标", "Prepare the target of the drill" } },
        { "clean", { "清理演练目标", "Clear up after the drill" } },
        { "drill", { "演练评定", "Judge the drill" } },
        { "all", { "全部步骤", "All steps" } },
        { "isolated", { "主机是否已隔离", "Is the host off the network?" } },
        { "stopped", { "系统是否已停止", "Does the service stand still?" } },
        { "source-found", { "是否已查明来源", "Was the source found?" } },
        { "fenced", { "原主机是否已不再写入", "Does the old server take no more writes?" } },
        { "promoted", { "备用系统是否已接管", "Did the standby take over?" } },
        { "standby-right", { "备用系统是否正常", "Is the standby right?" } },
        { "switched", { "用户是否已切换到备用系统", "Do clients come to the standby?" } },
        { "scene-kept", { "现场是否已保留", "Is the scene kept?" } },
        { "host-repaired", { "主机是否已修复", "Is the host repaired?" } },
        { "copies", { "副本能否读取", "Can a copy be read?" } },
        { "reachable", { "副本和主机能否访问", "Can copies and host be reached?" } },
        { "restore-again", { "是否再次恢复", "Restore again?" } },
        { "in-part", { "缺少部分文件，是否接受", "Go on though files are missing?" } },
        { "started", { "系统是否已启动", "Does the service run?" } },
        { "checked", { "检验是否合格", "Is what it holds right?" } },
        { "reseeded",
          { "修复后的主机是否已与备用系统一致", "Does the repaired host follow the standby?" } },
        { "quiet", { "是否适合回切（业务空闲）", "Is this a quiet time to go back?" } },
        { "switched-back",
          { "用户是否已回到修复后的主机", "Do clients come to the repaired host again?" } },
    };
    return name_of(r, names, COUNT(names), step);
}

const char *role_words(const struct report *r, const char *role)
{
    static const struct name names[] = {
        { "leading-group", { "应急处置领导小组", "Leading group" } },
        { "office-head", { "办公室主任", "Head of the office" } },
        { "security-officer", { "网络安全员", "Network security officer" } },
        { "operator", { "系统管理员", "System administrator" } },
        { "vendor", { "供应商", "Vendor" } },
        { "superior-unit", { "上级主管部门", "Superior unit" } },
        { "police", { "公安机关（公安网监）", "Police (network security)" } },
        { "carrier", { "电信运营商", "Telecommunications carrier" } },
    };
    return name_of(r, names, COUNT(names), role);
}

static const char *state_words(const struct report *r, const char *state)
{
    static const struct name names[] = {
        { "intent", { "开始", "begun" } },
        { "done", { "完成", "done" } },
        { "failed", { "失败", "failed" } },
        { "cut", { "被中断", "cut off" } },
        { "skipped", { "跳过", "skipped" } },
        { "waiting", { "等待", "waiting" } },
        { "yes", { "是", "yes" } },
        { "no", { "否", "no" } },
        { "override", { "强制通过", "overridden" } },
        { "due", { "到期", "due" } },
        { "reminded", { "已提醒", "reminded" } },
        { "overdue", { "已超期", "overdue" } },
        { "again", { "再试一次", "again" } },
    };
    return name_of(r, names, COUNT(names), state);
}

/* ": text", or nothing. */
static char *with(const struct report *r, char *text, const char *more)
{
    if (!more || !*more)
        return text;
    return words_join(text, r->lang == PAPER_ZH ? "：" : ": ", words_print("%s", more));
}

/* ": text", or nothing; takes both. */
static char *with_said(const struct report *r, char *text, char *said)
{
    return words_join(text, r->lang == PAPER_ZH ? "：" : ": ", said);
}

static char *step_sentence(const struct report *r, const struct event *ev)
{
    const char *step = event_text(ev, "step");
    int64_t attempt = event_int(ev, "attempt");
    char *said = said_of_step(r, ev);
    bool tells = strcmp(step, "notify") == 0 || strcmp(step, "resume") == 0;
    if (tells && said && strcmp(event_text(ev, "state"), "done") == 0)
        return with_said(r, words_print("%s", step_words(r, step)), said); /* who, not "done" */
    char *text = attempt > 1
                     ? words_print(r->lang == PAPER_ZH ? "%s（第%" PRId64 "次），%s"
                                                       : "%s (attempt %" PRId64 "): %s",
                                   step_words(r, step), attempt,
                                   state_words(r, event_text(ev, "state")))
                     : words_print(r->lang == PAPER_ZH ? "%s，%s" : "%s: %s", step_words(r, step),
                                   state_words(r, event_text(ev, "state")));
    return with_said(r, text, said);
}

/* How somebody was reached, or agreed. */
static const char *channel_words(const struct report *r, const char *channel)
{
    static const struct name names[] = {
        { "mail", { "邮件", "mail" } },
        { "command", { "通知程序", "the site's own program" } },
        { "webhook", { "网络接口", "webhook" } },
        { "terminal", { "终端", "terminal" } },
        { "code", { "一次性口令", "one-time code" } },
        { "telephone", { "电话", "telephone" } },
    };
    return name_of(r, names, COUNT(names), channel);
}

static char *notice_sentence(const struct report *r, const struct event *ev)
{
    static const struct name names[] = {
        { "hold-uploads", { "通知暂停上传", "Told to hold uploads" } },
        { "resume-uploads", { "通知恢复上传", "Told to resume uploads" } },
        { "told", { "通知", "Told" } },
        { "acknowledged", { "收到确认", "Acknowledged" } },
    };
    bool ok = json_is_true(json_object_get(ev->body, "ok"));
    const char *channel = channel_words(r, event_text(ev, "channel"));
    bool acknowledged = strcmp(event_text(ev, "notice"), "acknowledged") == 0;
    channel = acknowledged ? event_text(ev, "through") : channel;
    char *text = words_print("%s", name_of(r, names, COUNT(names), event_text(ev, "notice")));
    if (acknowledged && *event_text(ev, "of"))
        text = words_join(text, r->lang == PAPER_ZH ? "，" : ", ",
                          words_print("%s", name_of(r, names, COUNT(names), event_text(ev, "of"))));
    text = with(r, text, role_words(r, event_text(ev, "to")));
    bool by_call = strcmp(channel, "none") == 0; /* there is no channel to that person */
    if (by_call)
        return words_join(
            text, r->lang == PAPER_ZH ? "，" : ", ",
            words_print("%s", r->lang == PAPER_ZH ? "须打电话" : "to be called by telephone"));
    if (*channel)
        text = words_join(text, r->lang == PAPER_ZH ? "，方式 " : ", by ",
                          words_print("%s", channel));
    if (!ok && !acknowledged)
        text = words_join(text, r->lang == PAPER_ZH ? "，" : ", ",
                          words_print("%s", r->lang == PAPER_ZH ? "未送达" : "not delivered"));
    return text;
}

static char *opened_sentence(const struct report *r, const struct event *ev)
{
    enum crash_cause cause = CAUSES;
    bool drill = json_is_true(json_object_get(ev->body, "drill"));
    crash_cause_parse(event_text(ev, "cause"), &cause);
    if (drill)
        return words_print(r->lang == PAPER_ZH ? "演练开始：%s" : "The drill began: %s",
                           event_text(ev, "policy"));
    return words_print(
        r->lang == PAPER_ZH ? "发现“%s”的数据库或系统不可用（%s），启动应急处置"
                            : "\"%s\" was found to be down (%s); the procedure began",
        event_text(ev, "policy"), nature_words(r, cause, event_int(ev, "first_sign") > 0));
}

static char *report_sentence(const struct report *r, const struct event *ev)
{
    const struct form *f = form_find(event_text(ev, "form"));
    const char *title = f ? say(r, f->title) : event_text(ev, "form");
    int64_t number = event_int(ev, "number");
    if (number > 0)
        return words_print(r->lang == PAPER_ZH ? "编写《%s》（第%" PRId64 "次）"
                                               : "Written: %s (no. %" PRId64 ")",
                           title, number);
    return words_print(r->lang == PAPER_ZH ? "编写《%s》" : "Written: %s", title);
}

static char *gate_sentence(const struct report *r, const struct event *ev)
{
    const char *approver = event_text(ev, "approver");
    char *text = words_print(r->lang == PAPER_ZH ? "%s：%s" : "%s %s",
                             step_words(r, event_text(ev, "gate")),
                             state_words(r, event_text(ev, "answer")));
    text = with_said(r, text, said_of_gate(r, ev));
    if (*approver)
        text = words_join(text, r->lang == PAPER_ZH ? "，批准人 " : ", approved by ",
                          words_print("%s", approver));
    return text;
}

static char *approval_sentence(const struct report *r, const struct event *ev)
{
    const char *leader = event_text(ev, "leader"), *who = *leader ? leader : event_text(ev, "who");
    return words_print(r->lang == PAPER_ZH ? "“%s”经%s批准（%s）" : "\"%s\" approved by %s (%s)",
                       step_words(r, event_text(ev, "what")), who,
                       channel_words(r, event_text(ev, "through")));
}

static char *handover_sentence(const struct report *r, const struct event *ev)
{
    return words_print(r->lang == PAPER_ZH ? "由%s交接给%s，批准人 %s"
                                           : "Handed over from %s to %s, approved by %s",
                       event_text(ev, "from"), event_text(ev, "to"), event_text(ev, "approver"));
}

static char *escalated_sentence(const struct report *r)
{
    if (r->inc && r->inc->drill) /* nobody is called */
        return words_print("%s", r->lang == PAPER_ZH ? "演练未能继续" : "The drill came to no end");
    return words_print("%s", r->lang == PAPER_ZH
                                 ? "升级：请供应商和上级紧急支援"
                                 : "Escalated: vendor and superior unit asked for urgent help");
}

static char *closed_sentence(const struct report *r)
{
    if (r->inc && r->inc->drill)
        return words_print("%s", r->lang == PAPER_ZH ? "演练结束" : "The drill is closed");
    return words_print("%s", r->lang == PAPER_ZH ? "处置结束" : "Closed");
}

char *event_words(const struct report *r, const struct event *ev)
{
    bool zh = r->lang == PAPER_ZH;
    switch (ev->kind) {
    case EVENT_OPENED:
        return opened_sentence(r, ev);
    case EVENT_STEP: /* what was begun is told by how it ended */
        return strcmp(event_text(ev, "state"), "intent") == 0 ? NULL : step_sentence(r, ev);
    case EVENT_GATE:
        return gate_sentence(r, ev);
    case EVENT_APPROVAL:
        return approval_sentence(r, ev);
    case EVENT_HANDOVER:
        return handover_sentence(r, ev);
    case EVENT_LEVEL:
        return with(r,
                    words_print(zh ? "事件定级为%s" : "Judged: %s",
                                level_words(r, (unsigned)event_int(ev, "level"))),
                    event_text(ev, "why"));
    case EVENT_NOTICE:
        return notice_sentence(r, ev);
    case EVENT_NOTE: /* an answer stands in its field */
        return *event_text(ev, "field")
                   ? NULL
                   : words_print(zh ? "记录：%s" : "Note: %s", event_text(ev, "text"));
    case EVENT_REPORT:
        return report_sentence(r, ev);
    case EVENT_LOSS:
        return with_said(r, words_print("%s", zh ? "数据损失说明" : "Loss statement"),
                         said_of_loss(r, ev));
    case EVENT_RECOVERED:
        return words_print("%s", zh ? "恢复服务" : "The service is back");
    case EVENT_ESCALATED:
        return with_said(r, escalated_sentence(r), said_of_escalation(r, ev));
    case EVENT_CLOSED:
        return with_said(r, closed_sentence(r), said_of_end(r, ev));
    case EVENT_DUTY:   /* they stand in the list of duties */
    case EVENT_ACTION: /* and in the table of actions */
    case EVENT_KINDS:
        break;
    }
    return NULL;
}
