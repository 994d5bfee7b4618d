/* form_site.c - papers about the site: status, duties of the plans, the year, and the scoring sheet of the superior unit. */
#include "restore/report/form_tables.h"
#include "restore/report/values.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool zh(const struct report *r)
{
    return r->lang == PAPER_ZH;
}

static bool in_year(const struct report *r, int64_t at_s)
{
    time_t t = at_s;
    struct tm tm;
    return at_s && localtime_r(&t, &tm) && tm.tm_year + 1900 == r->year;
}

static const char *judged(const struct report *r, bool well)
{
    return zh(r) ? well ? "正常" : "需处理" : well ? "well" : "needs attention";
}

/* --- status --------------------------------------------------------------------------------------------------------------------- */
static void status_policies(const struct report *r, struct document *d)
{
    for (size_t i = 0; i < r->site->n_policies; i++) {
        const struct paper_policy *p = &r->site->policies[i];
        doc_row(d, false);
        cell_text(d, p->name);
        cell_text(d, p->agent);
        cell_time(r, d, p->whole_s);
        cell_take(d, p->rpo_s ? span_words(r, (int64_t)p->rpo_s) : NULL);
        cell_take(d, p->whole_s ? size_words(p->bytes) : NULL);
        cell_time(r, d, p->drill_s);
        cell_text(d, judged(r, !p->late && p->whole_s != 0));
    }
}

static void status_copies(const struct report *r, struct document *d)
{
    for (size_t i = 0; i < r->site->n_copies; i++) {
        const struct paper_copy *c = &r->site->copies[i];
        doc_row(d, false);
        cell_text(d, c->vault);
        cell_text(d, c->place);
        cell_text(d, c->text && *c->text ? c->text : c->state);
        cell_time(r, d, c->seen_s);
        cell_take(d, c->total_bytes ? size_words(c->free_bytes) : NULL);
        cell_number(d, c->damaged);
        cell_text(d, judged(r, !c->bad));
    }
}

static void status_alarms(const struct report *r, struct document *d)
{
    for (size_t i = 0; i < r->site->n_alarms; i++) {
        const struct paper_alarm *a = &r->site->alarms[i];
        doc_row(d, false);
        cell_text(d, a->level);
        cell_time(r, d, a->raised_s);
        cell_text(d, a->duty);
        cell_text(d, a->text);
    }
}

static const struct column status_policy_columns[] = {
    { "policy", { "备份策略", "Policy" }, FIELD_AUTOMATIC, 17 },
    { "policy-host", { "主机", "Host" }, FIELD_AUTOMATIC, 13 },
    { "policy-backup", { "最近完整备份", "Last whole backup" }, FIELD_AUTOMATIC, 19 },
    { "policy-rpo", { "RPO 要求", "RPO" }, FIELD_AUTOMATIC, 13 },
    { "policy-bytes", { "数据量", "Size" }, FIELD_AUTOMATIC, 12 },
    { "policy-drill", { "最近演练", "Last drill" }, FIELD_AUTOMATIC, 15 },
    { "policy-state", { "状态", "State" }, FIELD_AUTOMATIC, 11 },
};
static const struct column status_copy_columns[] = {
    { "copy-vault", { "备份库", "Vault" }, FIELD_AUTOMATIC, 13 },
    { "copy-place", { "副本", "Copy" }, FIELD_AUTOMATIC, 15 },
    { "copy-state", { "状况", "Condition" }, FIELD_AUTOMATIC, 18 },
    { "copy-seen", { "最近确认", "Last seen" }, FIELD_AUTOMATIC, 19 },
    { "copy-free", { "剩余空间", "Free" }, FIELD_AUTOMATIC, 12 },
    { "copy-damaged", { "损坏", "Damaged" }, FIELD_AUTOMATIC, 12 },
    { "copy-judged", { "状态", "State" }, FIELD_AUTOMATIC, 11 },
};
static const struct column alarm_columns[] = {
    { "alarm-level", { "级别", "Level" }, FIELD_AUTOMATIC, 13 },
    { "alarm-since", { "起始时间", "Since" }, FIELD_AUTOMATIC, 19 },
    { "alarm-duty", { "职责条款", "Duty" }, FIELD_AUTOMATIC, 15 },
    { "alarm-text", { "内容", "What is wrong" }, FIELD_AUTOMATIC, 53 },
};
static const struct form_table status_policy_table = { .heading = { "备份", "Backups" },
                                                       COLUMNS(status_policy_columns),
                                                       .rows = status_policies };
static const struct form_table status_copy_table = { .heading = { "副本", "Copies" },
                                                     COLUMNS(status_copy_columns),
                                                     .rows = status_copies };
static const struct form_table alarm_table = { .heading = { "未解除的告警", "Open alarms" },
                                               COLUMNS(alarm_columns),
                                               .rows = status_alarms };
TABLE_LIST(status_list, &status_policy_table, &status_copy_table, &alarm_table);

static const struct field status_fields[] = {
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { AUTO("report-time", "报告时间", "Time of report", FIELD_HALF, v_now) },
    { AUTO("orchestrator", "备份服务器", "Orchestrator", FIELD_HALF, v_host) },
    { AUTO("printed-by", "打印人（账号）", "Printed by (account)", FIELD_HALF, v_who) },
};

const struct form form_status = {
    .name = "status",
    .looks = true,
    .title = { "数据备份状况报告", "Status of the backups" },
    .of = FORM_OF_SITE,
    .duty = "SMX-6",
    FIELDS(status_fields),
    .tables = status_list,
};

/* --- duties -------------------------------------------------------------------------------------------------------------------------- */
struct duty_row {
    const char *id;
    struct bilingual text;
    bool looked; /* lint and the watch see whether it is fulfilled; else a person judges */
};
static const struct duty_row duty_rows[] = {
    { "PY-DB-1",
      { "每个数据库系统至少有两份备份，一份在机房，一份在另一安全建筑",
        "Every database has two backups or more, one of them in another safe building" },
      true },
    { "PY-SW-1",
      { "软件系统及数据有多日备份，妥善保管", "Software and data have backups of several days" },
      true },
    { "SMX-6",
      { "及时备份重要数据，建立灾难恢复机制",
        "Important data are backed up in time; disasters can be recovered from" },
      true },
    { "SMX-19",
      { "网络设备配置的备份与变更记录",
        "Configurations of network devices are backed up, changes recorded" },
      false },
    { "JZ-5.4",
      { "日志定期备份，保存三个月以上", "Logs are backed up and kept for three months or longer" },
      true },
    { "XJ-7.2",
      { "异地灾备系统，互为备用", "An offsite system; each can stand in for the other" },
      false },
    { "LY-2.2", { "敏感数据不得明文外传", "Sensitive data leave only encrypted" }, true },
    { "LY",
      { "涉密计算机数据备份到存储设备，不经网络",
        "Secret machines are backed up to devices, not over a network" },
      true },
    { "JZ-7.2", { "远程登录限定地址", "Remote logins only from named addresses" }, false },
    { "JZ-log",
      { "操作日志完整，查阅须审批", "Who did what is recorded; reading it is approved" },
      false },
    { "PY-DB-2",
      { "数据库崩溃立即报告，通知下属单位暂停上传",
        "A crash is reported at once; units hold their uploads" },
      false },
    { "PY-DB-4",
      { "主机修复后用第一份备份恢复", "The first backup is restored when the host is repaired" },
      false },
    { "PY-DB-5",
      { "第一份损坏时用第二份备份", "The second backup is taken where the first is damaged" },
      false },
    { "PY-DB-6",
      { "均不能恢复时立即请供应商支援", "The vendor is called when neither restores" },
      false },
    { "PY-6.2",
      { "事件情况每30分钟报告一次直至正常", "Reports every 30 minutes until normal" },
      false },
    { "PY-6.5", { "恢复后12小时内提交总结报告", "A summary within 12 hours of recovery" }, false },
    { "PY-8.3",
      { "每年至少演练一次并记录，预案每年评审", "A drill every year, recorded; the plan reviewed" },
      true },
    { "PY-8.2", { "培训并记录", "Training, recorded" }, false },
    { "PY-AB", { "每项职责有A、B角", "Each duty has an A and a B person" }, true },
    { "PY-contacts", { "应急通讯手册保持最新", "The contact handbook is current" }, true },
    { "PY-fire",
      { "火灾时先救人，再转移备份和设备", "In a fire people first, then backups and devices" },
      false },
    { "PY-7.3", { "薄弱环节限期整改", "Weaknesses are mended by a date" }, false },
    { "JZ-15", { "每年培训", "Training every year" }, false },
};

static char *duty_findings(const struct report *r, const char *id)
{
    char *text = NULL;
    for (size_t i = 0; i < r->site->n_findings; i++)
        if (strcmp(r->site->findings[i].duty, id) == 0)
            text = words_join(text, "\n", words_print("%s", r->site->findings[i].text));
    return text;
}

static void duty_table_rows(const struct report *r, struct document *d)
{
    for (size_t i = 0; i < COUNT_OF(duty_rows); i++) {
        char *found = duty_findings(r, duty_rows[i].id);
        bool seen = duty_rows[i].looked && r->site->known;
        doc_row(d, false);
        cell_text(d, duty_rows[i].id);
        cell_text(d, say(r, duty_rows[i].text));
        if (found || seen)
            cell_text(d, say(r, found ? (struct bilingual){ "未满足", "not fulfilled" }
                                      : (struct bilingual){ "满足", "fulfilled" }));
        else
            cell_blank(d, "duty-state");
        if (!found)
            found = words_print(
                "%s",
                say(r, seen ? (struct bilingual){ "程序检查，未发现问题",
                                                  "looked at by the program: nothing found" }
                            : (struct bilingual){ "由人工核查", "to be judged by a person" }));
        cell_take(d, found);
    }
}
static const struct column duty_columns[] = {
    { "duty", { "条款", "Duty" }, FIELD_AUTOMATIC, 14 },
    { "duty-text", { "要求", "What the plan says" }, FIELD_AUTOMATIC, 40 },
    { "duty-state", { "是否满足", "Fulfilled" }, FIELD_AUTOMATIC, 14 },
    { "duty-finding", { "核查结果", "What was found" }, FIELD_AUTOMATIC, 32 },
};
static const struct form_table duty_table = {
    .heading = { "应急预案要求与落实情况", "What the plans ask for, and whether it is fulfilled" },
    COLUMNS(duty_columns),
    .rows = duty_table_rows
};
TABLE_LIST(duty_list, &duty_table);

static const struct field duty_fields[] = {
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { AUTO("report-time", "核查时间", "Time", FIELD_HALF, v_now) },
};
const struct form form_duties = {
    .name = "duties",
    .looks = true,
    .title = { "应急预案职责落实情况表", "Duties of the emergency plans" },
    .of = FORM_OF_SITE,
    .duty = "PY-8.3",
    FIELDS(duty_fields),
    .tables = duty_list,
    .signs = { { "核查人签字", "Signature of the examiner" } },
};

/* --- the year -------------------------------------------------------------------------------------------------------------------------- */
static void year_backups(const struct report *r, struct document *d)
{
    for (size_t i = 0; i < r->site->n_policies; i++) {
        const struct paper_policy *p = &r->site->policies[i];
        doc_row(d, false);
        cell_text(d, p->name);
        cell_number(d, p->runs);
        cell_number(d, p->good);
        cell_number(d, p->partial);
        cell_number(d, p->failed);
        cell_take(d, size_words(p->bytes_stored));
        cell_time(r, d, p->whole_s);
    }
}

static char *span_of(const struct report *r, const struct incident *inc)
{
    struct report one = *r;
    one.inc = inc;
    return outage_s(&one) < 0 ? NULL : span_words(r, outage_s(&one));
}

/* How much, in time; NULL: nobody knows. */
static char *loss_of(const struct report *r, const struct incident *inc)
{
    const struct event *ev = incident_last(inc, EVENT_LOSS, NULL, NULL);
    const json_t *gap = ev ? json_object_get(ev->body, "gap_s") : NULL;
    return gap && event_int(ev, "recovered_to") && json_integer_value(gap) >= 0
               ? span_words(r, event_int(ev, "gap_s"))
               : NULL;
}

static const char *end_of(const struct report *r, const struct incident *inc)
{
    if (inc->recovered_s)
        return zh(r) ? "已恢复" : "restored";
    if (inc->escalated_s || inc->closed_s)
        return zh(r) ? "未能恢复" : "not restored";
    return zh(r) ? "处置中" : "being handled";
}

static void year_of(const struct report *r, struct document *d, bool drills)
{
    for (size_t i = r->n_incidents; i > 0; i--) { /* they come newest first */
        const struct incident *inc = r->incidents[i - 1];
        if (inc->drill != drills || !in_year(r, inc->opened_s))
            continue;
        doc_row(d, false);
        cell_text(d, inc->id);
        cell_take(d, stamp_words(r, inc->opened_s));
        if (drills)
            cell_text(d, inc->policy);
        else
            cell_text(d, level_words(r, inc->level));
        cell_take(d, span_of(r, inc));
        cell_take(d, loss_of(r, inc));
        cell_text(d, end_of(r, inc));
    }
}

static void year_drills(const struct report *r, struct document *d)
{
    year_of(r, d, true);
}

static void year_incidents(const struct report *r, struct document *d)
{
    year_of(r, d, false);
}

static const struct column year_backup_columns[] = {
    { "policy", { "备份策略", "Policy" }, FIELD_AUTOMATIC, 20 },
    { "year-runs", { "次数", "Runs" }, FIELD_AUTOMATIC, 11 },
    { "year-good", { "成功", "Good" }, FIELD_AUTOMATIC, 11 },
    { "year-partial", { "部分", "In part" }, FIELD_AUTOMATIC, 11 },
    { "year-failed", { "失败", "Failed" }, FIELD_AUTOMATIC, 11 },
    { "year-bytes", { "新增数据", "Added" }, FIELD_AUTOMATIC, 15 },
    { "policy-backup", { "最近完整备份", "Last whole backup" }, FIELD_AUTOMATIC, 21 },
};
static const struct column year_drill_columns[] = {
    { "drill-id", { "演练", "Drill" }, FIELD_AUTOMATIC, 27 },
    { "drill-time", { "时间", "Time" }, FIELD_AUTOMATIC, 17 },
    { "drill-policy", { "策略", "Policy" }, FIELD_AUTOMATIC, 13 },
    { "drill-rto", { "RTO", "RTO" }, FIELD_AUTOMATIC, 12 },
    { "drill-rpo", { "数据损失", "Data lost" }, FIELD_AUTOMATIC, 15 },
    { "drill-outcome", { "结果", "Result" }, FIELD_AUTOMATIC, 17 },
};
static const struct column year_incident_columns[] = {
    { "incident-id", { "事件", "Incident" }, FIELD_AUTOMATIC, 27 },
    { "incident-time", { "时间", "Time" }, FIELD_AUTOMATIC, 17 },
    { "incident-level", { "等级", "Level" }, FIELD_AUTOMATIC, 13 },
    { "incident-outage", { "中断", "Down for" }, FIELD_AUTOMATIC, 12 },
    { "incident-loss", { "数据损失", "Data lost" }, FIELD_AUTOMATIC, 15 },
    { "incident-outcome", { "结果", "Result" }, FIELD_AUTOMATIC, 17 },
};
static const struct form_table year_backup_table = { .heading = { "一、备份", "1. Backups" },
                                                     COLUMNS(year_backup_columns),
                                                     .rows = year_backups };
static const struct form_table year_drill_table = {
    .heading = { "二、演练", "2. Drills" },
    .empty = { "本年度没有演练记录（预案要求每年至少一次）",
               "no drill is recorded for this year (the plans ask for one or more)" },
    COLUMNS(year_drill_columns),
    .rows = year_drills
};
static const struct form_table year_incident_table = {
    .heading = { "三、事件", "3. Incidents" },
    .empty = { "本年度没有事件记录", "no incident is recorded for this year" },
    COLUMNS(year_incident_columns),
    .rows = year_incidents
};
TABLE_LIST(annual_list, &year_backup_table, &year_drill_table, &year_incident_table);

static char *count_of(const struct report *r, bool drills)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->n_incidents; i++)
        n += r->incidents[i]->drill == drills && in_year(r, r->incidents[i]->opened_s);
    return words_print("%" PRIu64, n);
}

static char *v_drill_count(const struct report *r)
{
    return count_of(r, true);
}

static char *v_incident_count(const struct report *r)
{
    return count_of(r, false);
}

static const struct field annual_fields[] = {
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { AUTO("year", "年度", "Year", FIELD_HALF, v_year) },
    { AUTO("report-time", "报告时间", "Time of report", FIELD_HALF, v_now) },
    { AUTO("drill-count", "演练次数", "Drills", FIELD_HALF, v_drill_count) },
    { AUTO("incident-count", "事件次数", "Incidents", FIELD_HALF, v_incident_count) },
    { ASKED("training-record", "培训情况", "Training", FIELD_HALF) },
    { ASKED("plan-review", "预案评审情况", "Review of the plan", FIELD_ROW), .room = 2 },
    { ASKED("year-conclusion", "年度小结", "Conclusion", FIELD_ROW), .room = 3 },
};
const struct form form_annual = {
    .name = "annual",
    .looks = true,
    .title = { "数据备份与应急工作年度报告", "Annual report on backups and emergencies" },
    .of = FORM_OF_YEAR,
    .duty = "PY-8.3",
    FIELDS(annual_fields),
    .tables = annual_list,
    .signs = { { "负责人签字（盖章）", "Signature of the person responsible (stamp)" } },
};

/* --- 通报测评表 -------------------------------------------------------------------------------------------------------------------------- */
static void scoring_rows(const struct report *r, struct document *d)
{
    for (size_t i = 0; i < r->conf->n_scoring; i++) {
        const struct scoring_conf *s = &r->conf->scoring[i];
        doc_row(d, false);
        cell_text(d, s->item);
        cell_text(d, s->standard);
        cell_text(d, s->points);
        cell_text(d, s->content);
        cell_text(d, s->criteria);
        cell_text(d, s->method);
        cell_blank(d, "score");
    }
    if (r->conf->n_scoring)
        return;
    for (unsigned i = 0; i < 8;
         i++) { /* the sheet of the superior unit is not known: rows to write in */
        doc_row(d, false);
        for (unsigned k = 0; k < 7; k++)
            cell_blank(d, "score");
    }
}
static const struct column scoring_columns[] = {
    { "score-item", { "项目", "Item" }, FIELD_AUTOMATIC, 14 },
    { "score-standard", { "考核标准", "Standard" }, FIELD_AUTOMATIC, 21 },
    { "score-points", { "分值", "Points" }, FIELD_AUTOMATIC, 9 },
    { "score-content", { "分值内容", "What they are for" }, FIELD_AUTOMATIC, 17 },
    { "score-criteria", { "评分标准", "Criteria" }, FIELD_AUTOMATIC, 17 },
    { "score-method", { "评定方法", "Method" }, FIELD_AUTOMATIC, 13 },
    { "score", { "得分", "Score" }, FIELD_BLANK, 9 },
};
static const struct form_table scoring_table = { .heading = { "测评", "Scores" },
                                                 COLUMNS(scoring_columns),
                                                 .rows = scoring_rows };
TABLE_LIST(scoring_list, &scoring_table);

static const struct field scoring_fields[] = {
    { AUTO("unit", "被测评单位", "Unit", FIELD_HALF, v_unit) },
    { AUTO("report-time", "印制时间", "Printed", FIELD_HALF, v_now) },
    { BLANK("examiner", "测评人", "Examiner", FIELD_HALF), SIGNED },
    { BLANK("total-score", "总分", "Total", FIELD_HALF) },
};
const struct form form_scoring = {
    .name = "scoring",
    .title = { "网络与信息安全通报测评表", "Scoring sheet for network and information security" },
    .of = FORM_OF_SITE,
    .duty = "SMX",
    FIELDS(scoring_fields),
    .tables = scoring_list,
    .note = { "现场查阅资料评分；twofold report scoring --evidence 文件夹 可导出佐证材料。",
              "Scored by looking at papers on site; twofold report scoring --evidence FOLDER writes them." },
};
