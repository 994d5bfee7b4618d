/* form_incident.c - the forms of an incident: situation reports, bulletin, summary and its supplement, the record of how it was handled. The
 * labels are the plans' (requirements.md, "Forms"). */
#include "restore/report/form_tables.h"
#include "restore/report/values.h"

#include <stdlib.h>

/* --- 网络与信息安全事件情况报告书, 日报 ---------------------------------------------------------------------------------------------- */
static const struct field report_fields[] = {
    { AUTO("report-time", "报告时间", "Time of report", FIELD_HALF, v_now) },
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { ASKED("reporter", "报告人", "Reported by", FIELD_HALF) },
    { AUTO("telephone", "联系电话", "Telephone", FIELD_HALF, v_phone) },
    { AUTO("fax", "传真", "Fax", FIELD_HALF, v_fax) },
    { BLANK("issuer", "签发人", "Issued by", FIELD_HALF), SIGNED },
    { ASKED("reporter-contact", "联系方式（含手机）", "Contact (with mobile telephone)",
            FIELD_ROW) },
    { AUTO("started", "时间", "Time", FIELD_ROW, v_started),
      .cell = { "事件发生时间、地点", "Time and place of the incident" } },
    { ASKED("place", "地点", "Place", FIELD_MORE), .value = v_place },
    { AUTO("overview", "事件简要经过", "Brief course of events", FIELD_ROW, v_overview),
      .room = 4 },
    { AUTO("system", "受影响系统", "System concerned", FIELD_ROW, v_system),
      .cell = { "事件影响范围、影响程度、影响人数、经济损失情况",
                "Extent and degree of its effects, people concerned, economic loss" } },
    { ASKED("scope", "影响范围", "Extent", FIELD_MORE) },
    { AUTO("degree", "影响程度", "Degree", FIELD_MORE, v_degree) },
    { ASKED("people", "影响人数", "People concerned", FIELD_MORE) },
    { ASKED("money", "经济损失", "Economic loss", FIELD_MORE) },
    { AUTO("consequence", "后果", "Consequences", FIELD_ROW, v_consequence),
      .cell = { "事件导致的后果、发生原因和事件性质判断",
                "Consequences, cause and nature of the incident" } },
    { ASKED("cause", "发生原因", "Cause", FIELD_MORE) },
    { AUTO("nature", "事件性质", "Nature", FIELD_MORE, v_nature) },
    { ASKED("source", "信息来源", "Source of the information", FIELD_ROW),
      .cell = { "信息来源、事件发展趋势", "Source of the information, expected course" } },
    { ASKED("trend", "发展趋势", "Expected course", FIELD_MORE) },
    { AUTO("measures", "已采取的措施及效果", "Measures taken and what came of them", FIELD_ROW,
           v_measures),
      .room = 4 },
    { ASKED("help", "需要有关部门和单位协助处置的有关事宜",
            "Help needed from other departments and units", FIELD_ROW),
      .value = v_help, .room = 2 },
    { ASKED("remarks", "备注", "Remarks", FIELD_ROW) },
};

static char *stamp_note(const struct report *r)
{
    if (r->lang == PAPER_EN)
        return words_print(
            "Note: the unit's name is to bear the stamp of %s and the signature of the person responsible.",
            r->conf->stamp ? r->conf->stamp : "the unit");
    return words_print("注：单位名称处需加盖%s印章和负责人签字。",
                       r->conf->stamp ? r->conf->stamp : "单位");
}

const struct form form_incident = {
    .name = "incident",
    .title = { "网络与信息安全事件情况报告书",
               "Report on a network and information security incident" },
    .of = FORM_OF_INCIDENT,
    .numbered = true,
    .duty = "PY-6.2",
    FIELDS(report_fields),
    .note_of = stamp_note,
    .signs = { { "负责人签字（盖章）", "Signature of the person responsible (stamp)" } },
};

const struct form form_daily = {
    .name = "daily",
    .title = { "网络与信息安全事件情况日报",
               "Daily report on a network and information security incident" },
    .of = FORM_OF_INCIDENT,
    .numbered = true,
    .duty = "XJ-3.2",
    FIELDS(report_fields),
    .note_of = stamp_note,
    .signs = { { "负责人签字（盖章）", "Signature of the person responsible (stamp)" } },
};

/* --- 网络与信息安全事件情况通报书 ------------------------------------------------------------------------------------------------------ */
static const char *contact_label(const struct report *r)
{
    return r->conf->contact_label;
}

static char *v_contact(const struct report *r)
{
    return r->conf->contact ? words_print("%s", r->conf->contact) : NULL;
}

static char *v_bulletin_phone(const struct report *r)
{
    return r->conf->bulletin_telephone ? words_print("%s", r->conf->bulletin_telephone)
                                       : v_phone(r);
}

static char *v_bulletin_fax(const struct report *r)
{
    return r->conf->bulletin_fax ? words_print("%s", r->conf->bulletin_fax) : v_fax(r);
}

static char *v_to(const struct report *r)
{
    char *text = NULL;
    if (r->conf->bulletin_to)
        return words_print("%s", r->conf->bulletin_to);
    for (size_t i = 0; r->contacts && i < r->contacts->n_units; i++)
        text = words_join(text, r->lang == PAPER_ZH ? "、" : ", ",
                          words_print("%s", r->contacts->units[i].name));
    return text;
}

static char *v_copy_to(const struct report *r)
{
    return r->conf->bulletin_copy_to ? words_print("%s", r->conf->bulletin_copy_to) : NULL;
}

static char *v_issued_by(const struct report *r)
{
    return words_print("%s",
                       r->conf->issued_by ? r->conf->issued_by
                       : r->lang == PAPER_ZH
                           ? "网络与信息安全应急处置领导小组"
                           : "Leading group for network and information security emergencies");
}

static const struct field bulletin_fields[] = {
    { AUTO("report-time", "通报时间", "Time of bulletin", FIELD_ROW, v_now) },
    { AUTO("bulletin-to", "主送单位", "To", FIELD_ROW, v_to) },
    { ASKED("bulletin-copy-to", "抄送单位", "Copy to", FIELD_ROW), .value = v_copy_to },
    { ASKED("bulletin-contact", "证信办联系人", "Contact person", FIELD_HALF), .value = v_contact,
      .label_of = contact_label },
    { AUTO("bulletin-telephone", "联系电话", "Telephone", FIELD_HALF, v_bulletin_phone) },
    { AUTO("bulletin-fax", "传真", "Fax", FIELD_ROW, v_bulletin_fax) },
    { AUTO("overview", "事件简要描述", "Brief description", FIELD_ROW, v_overview), .room = 4 },
    { AUTO("measures", "处理情况", "How it is being handled", FIELD_ROW, v_measures), .room = 4 },
    { ASKED("attachments", "附件名称", "Attachments", FIELD_ROW) },
    { AUTO("issued-by", "通报单位", "Issued by", FIELD_ROW, v_issued_by) },
};

const struct form form_bulletin = {
    .name = "bulletin",
    .title = { "网络与信息安全事件情况通报书",
               "Bulletin on a network and information security incident" },
    .of = FORM_OF_INCIDENT,
    .duty = "PY-6",
    FIELDS(bulletin_fields),
    .signs = { { "通报单位（盖章）", "Issuing unit (stamp)" } },
};

/* --- 事件总结报告 and its supplement ------------------------------------------------------------------------------------------------------ */
static const struct field summary_fields[] = {
    { AUTO("incident-name", "事件名称", "Incident", FIELD_ROW, v_incident_name) },
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { AUTO("report-time", "报告时间", "Time of report", FIELD_HALF, v_now) },
    { AUTO("started", "时间", "Time", FIELD_ROW, v_started),
      .cell = { "事件概况", "The incident" } },
    { AUTO("recovered", "恢复时间", "In service again", FIELD_MORE, v_recovered) },
    { ASKED("place", "地点", "Place", FIELD_MORE), .value = v_place },
    { AUTO("overview", "经过", "Course", FIELD_MORE, v_overview) },
    { AUTO("system", "受影响系统", "System concerned", FIELD_MORE, v_system) },
    { ASKED("scope", "影响范围", "Extent", FIELD_MORE) },
    { AUTO("degree", "影响程度", "Degree", FIELD_MORE, v_degree) },
    { ASKED("people", "影响人数", "People concerned", FIELD_MORE) },
    { ASKED("money", "经济损失", "Economic loss", FIELD_MORE) },
    { AUTO("consequence", "后果", "Consequences", FIELD_MORE, v_consequence) },
    { AUTO("reporting", "上报过程", "Who was told when", FIELD_ROW, v_reporting),
      .cell = { "应急处置过程", "The response" } },
    { AUTO("measures", "采取的措施及效果", "Measures and what came of them", FIELD_MORE,
           v_measures) },
    { ASKED("cause", "主要原因分析", "Main cause", FIELD_ROW), .room = 4 },
    { AUTO("nature", "事件性质", "Nature", FIELD_ROW, v_nature) },
    { ASKED("conclusion", "结论", "Conclusion", FIELD_ROW), .room = 4 },
};
TABLE_LIST(summary_list, &table_restores, &table_actions);

const struct form form_summary = {
    .name = "summary",
    .title = { "事件总结报告", "Summary of an incident" },
    .of = FORM_OF_INCIDENT,
    .duty = "PY-6.5",
    FIELDS(summary_fields),
    .tables = summary_list,
    .signs = { { "报告人签字", "Signature of the reporter" },
               { "负责人签字（盖章）", "Signature of the person responsible (stamp)" } },
};

static const struct field supplement_fields[] = {
    { AUTO("incident-name", "事件名称", "Incident", FIELD_ROW, v_incident_name) },
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { AUTO("report-time", "报告时间", "Time of report", FIELD_HALF, v_now) },
    { AUTO("started", "发生时间", "Time of the incident", FIELD_HALF, v_started) },
    { AUTO("recovered", "恢复时间", "In service again", FIELD_HALF, v_recovered) },
    { AUTO("summary-written", "原总结报告", "The summary that this adds to", FIELD_ROW,
           v_summary_written) },
    { ASKED("cause", "查明的原因", "The cause that was found", FIELD_ROW), .room = 5 },
    { AUTO("nature", "事件性质", "Nature", FIELD_ROW, v_nature) },
    { ASKED("supplement-measures", "补充采取的措施及效果", "Further measures and what came of them",
            FIELD_ROW),
      .room = 3 },
    { ASKED("supplement-conclusion", "补充结论", "Further conclusion", FIELD_ROW), .room = 4 },
};
TABLE_LIST(supplement_list, &table_actions);

const struct form form_supplement = {
    .name = "supplement",
    .title = { "事件总结补充报告", "Supplement to the summary of an incident" },
    .of = FORM_OF_INCIDENT,
    .duty = "PY-6.5",
    FIELDS(supplement_fields),
    .tables = supplement_list,
    .signs = { { "报告人签字", "Signature of the reporter" },
               { "负责人签字（盖章）", "Signature of the person responsible (stamp)" } },
};

/* --- 安全事件处理过程记录表 ------------------------------------------------------------------------------------------------------------------ */
static const struct field handling_fields[] = {
    { ASKED("recorder", "记录人", "Recorded by", FIELD_HALF) },
    { AUTO("report-time", "记录时间", "Time of record", FIELD_HALF, v_now) },
    { AUTO("incident-name", "事件、事故名称", "Incident", FIELD_ROW, v_incident_name) },
    { AUTO("level", "事件、事故等级", "Level", FIELD_HALF, v_level) },
    { AUTO("started", "发生时间", "Time of the incident", FIELD_HALF, v_started) },
    { AUTO("participants", "参与人员", "Who took part", FIELD_ROW, v_people) },
    { ASKED("severity", "事件、事故严重程度", "Severity", FIELD_HALF) },
    { AUTO("duration", "解决事件/事故所用时间", "Time until it was resolved", FIELD_HALF,
           v_duration) },
    { ASKED("basis", "处理依据", "Handled by (plan, article)", FIELD_ROW) },
    { AUTO("course", "处理过程", "How it was handled", FIELD_ROW, v_course), .room = 6 },
    { AUTO("result", "处理结果", "Result", FIELD_ROW, v_result), .room = 2 },
    { ASKED("cause", "发生原因", "Cause", FIELD_ROW), .room = 2 },
    { AUTO("consequence", "造成的影响", "Effects", FIELD_ROW, v_consequence), .room = 2 },
    { BLANK("reviewer", "审核人", "Reviewed by", FIELD_HALF), SIGNED },
    { BLANK("reviewed-at", "审核时间", "Time of review", FIELD_HALF) },
};
TABLE_LIST(handling_list, &table_restores, &table_copies_used, &table_checks);

const struct form form_handling = {
    .name = "handling",
    .title = { "安全事件处理过程记录表", "Record of how an incident was handled" },
    .of = FORM_OF_INCIDENT,
    .duty = "PY-6.5",
    FIELDS(handling_fields),
    .tables = handling_list,
};

/* --- 设备故障报告单 ------------------------------------------------------------------------------------------------------------------------------ */
static const struct field fault_fields[] = {
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { AUTO("report-time", "报告时间", "Time of report", FIELD_HALF, v_now) },
    { AUTO("system", "设备（系统）名称", "Device (system)", FIELD_ROW, v_system) },
    { ASKED("device-model", "型号、编号", "Model, number", FIELD_HALF) },
    { ASKED("place", "安装地点", "Where it stands", FIELD_HALF), .value = v_place },
    { AUTO("started", "故障时间", "Time of the fault", FIELD_HALF, v_started) },
    { ASKED("reporter", "报告人", "Reported by", FIELD_HALF) },
    { ASKED("symptom", "故障现象", "What is wrong", FIELD_ROW), .room = 3 },
    { AUTO("degree", "影响", "Effects", FIELD_ROW, v_degree) },
    { AUTO("measures", "处理经过", "How it was handled", FIELD_ROW, v_measures), .room = 3 },
    { AUTO("vendor", "维修单位", "Repaired by", FIELD_ROW, v_vendor) },
    { ASKED("repair", "维修情况", "Repair", FIELD_ROW), .room = 2 },
    { AUTO("loss", "数据丢失情况及恢复", "Data lost, and how it was restored", FIELD_ROW, v_loss),
      .room = 2 },
    { AUTO("recovered", "恢复时间", "In service again", FIELD_HALF, v_recovered) },
    { BLANK("reviewer", "审核人", "Reviewed by", FIELD_HALF), SIGNED },
};

const struct form form_fault = {
    .name = "fault",
    .title = { "设备故障报告单", "Report of a device fault" },
    .of = FORM_OF_INCIDENT,
    .duty = "JZ-7.3",
    FIELDS(fault_fields),
    .signs = { { "负责人签字", "Signature of the person responsible" } },
};
