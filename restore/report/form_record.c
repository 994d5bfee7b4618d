/* form_record.c - records and sheets: drill, training and review, contact handbook, evacuation, acceptance after a rebuild. The labels are the
 * plans' (requirements.md, "Forms"). */
#include "restore/report/form_tables.h"
#include "restore/report/values.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- 应急预案演练记录表 --------------------------------------------------------------------------------------------------------- */
static const struct field drill_fields[] = {
    { ASKED("recorder", "记录人", "Recorded by", FIELD_HALF) },
    { AUTO("report-time", "记录时间", "Time of record", FIELD_HALF, v_now) },
    { ASKED("drill-place", "演练地点", "Place of the drill", FIELD_HALF), .value = v_place },
    { AUTO("started", "演练时间", "Time of the drill", FIELD_HALF, v_started) },
    { ASKED("departments", "参与部门", "Departments that took part", FIELD_ROW) },
    { AUTO("participants", "参与人员", "Who took part", FIELD_ROW, v_people) },
    { ASKED("supplies", "所需物品", "What was needed", FIELD_ROW) },
    { AUTO("drill-content", "演练内容", "What was done", FIELD_ROW, v_drill_content), .room = 4 },
    { AUTO("drill-purpose", "演练目的", "Purpose", FIELD_ROW, v_drill_purpose) },
    { AUTO("drill-result", "演练结果总结", "What came of it", FIELD_ROW, v_drill_result),
      .room = 4 },
};
TABLE_LIST(drill_list, &table_measures, &table_restores, &table_copies_used, &table_checks,
           &table_actions);

const struct form form_drill = {
    .name = "drill",
    .title = { "应急预案演练记录表", "Record of an emergency drill" },
    .of = FORM_OF_INCIDENT,
    .duty = "PY-8.3",
    FIELDS(drill_fields),
    .tables = drill_list,
    .signs = { { "记录人签字", "Signature of the recorder" },
               { "负责人签字", "Signature of the person responsible" } },
};

/* --- 应急预案培训、审查记录表 ------------------------------------------------------------------------------------------------------ */
static const struct field training_fields[] = {
    { ASKED("training-time", "培训时间", "Time", FIELD_HALF) },
    { ASKED("training-place", "培训地点", "Place", FIELD_HALF) },
    { ASKED("trainer", "培训人员", "Trainer", FIELD_HALF) },
    { ASKED("training-method", "培训方式", "Method", FIELD_HALF) },
    { ASKED("departments", "参与部门", "Departments that took part", FIELD_ROW) },
    { ASKED("participants", "参与人员", "Who took part", FIELD_ROW), .room = 3 },
    { ASKED("training-content", "培训内容", "Content", FIELD_ROW), .room = 10 },
    { BLANK("approver", "审批人", "Approved by", FIELD_HALF), SIGNED },
    { BLANK("approved-at", "审批时间", "Time of approval", FIELD_HALF) },
};

const struct form form_training = {
    .name = "training",
    .title = { "应急预案培训、审查记录表",
               "Record of training in, and review of, the emergency plan" },
    .of = FORM_OF_ANY,
    .duty = "PY-8.2",
    FIELDS(training_fields),
};

/* --- 应急通讯手册 --------------------------------------------------------------------------------------------------------------------- */
static char *reach_words(const char *phone, const char *mail)
{
    char *text = phone ? words_print("%s", phone) : NULL;
    return mail ? words_join(text, "\n", words_print("%s", mail)) : text;
}

static void person_row(const struct report *r, struct document *d, const struct role *role,
                       const struct person *p, const char *letter)
{
    if (!p->name)
        return;
    doc_row(d, false);
    cell_take(d, words_print(r->lang == PAPER_ZH ? "%s（%s）" : "%s (%s)",
                             role_words(r, role->name), letter));
    cell_text(d, p->name);
    cell_text(d, p->unit);
    cell_take(d, reach_words(p->phone, p->mail));
}

static void role_rows(const struct report *r, struct document *d, const char *name)
{
    const struct role *role = r->contacts ? contacts_role(r->contacts, name) : NULL;
    if (!role)
        return;
    person_row(r, d, role, &role->a, "A");
    person_row(r, d, role, &role->b, "B");
}

static void group_rows(const struct report *r, struct document *d)
{
    role_rows(r, d, "leading-group");
}

/* Everybody of the house: all roles that have no table of their own. */
static void department_rows(const struct report *r, struct document *d)
{
    static const char *const elsewhere[] = { "leading-group", "police", "vendor", "carrier",
                                             "superior-unit" };
    for (size_t i = 0; r->contacts && i < r->contacts->n_roles; i++) {
        bool own = false;
        for (size_t k = 0; k < COUNT_OF(elsewhere); k++)
            own = own || strcmp(elsewhere[k], r->contacts->roles[i].name) == 0;
        if (!own)
            role_rows(r, d, r->contacts->roles[i].name);
    }
}

static void police_rows(const struct report *r, struct document *d)
{
    role_rows(r, d, "police");
}

static void vendor_rows(const struct report *r, struct document *d)
{
    role_rows(r, d, "vendor");
}

static void carrier_rows(const struct report *r, struct document *d)
{
    role_rows(r, d, "carrier");
}

static void superior_rows(const struct report *r, struct document *d)
{
    role_rows(r, d, "superior-unit");
    for (size_t i = 0; r->contacts && i < r->contacts->n_units; i++) {
        const struct unit_contact *u = &r->contacts->units[i];
        doc_row(d, false);
        cell_text(d, r->lang == PAPER_ZH ? "下属单位" : "Subordinate unit");
        cell_text(d, u->contact);
        cell_text(d, u->name);
        cell_take(d, reach_words(u->phone, u->mail));
    }
}

/* XJ's table: 序号, 姓名, 单位（部门）, 安全应急领导小组职务, 联系方式. */
static void everybody(const struct report *r, struct document *d)
{
    uint64_t number = 0;
    for (size_t i = 0; r->contacts && i < r->contacts->n_roles; i++) {
        const struct role *role = &r->contacts->roles[i];
        const struct person *both[] = { &role->a, &role->b };
        for (size_t k = 0; k < 2; k++) {
            if (!both[k]->name)
                continue;
            doc_row(d, false);
            cell_number(d, ++number);
            cell_text(d, both[k]->name);
            cell_text(d, both[k]->unit);
            cell_text(d, role_words(r, role->name));
            cell_take(d, reach_words(both[k]->phone, both[k]->mail));
        }
    }
}

static const struct column person_columns[] = {
    { "role", { "职责", "Duty" }, FIELD_AUTOMATIC, 27 },
    { "person", { "联系人姓名", "Name" }, FIELD_AUTOMATIC, 21 },
    { "person-unit", { "单位（部门）", "Unit (department)" }, FIELD_AUTOMATIC, 21 },
    { "person-contact", { "联系方式", "How to reach them" }, FIELD_AUTOMATIC, 31 },
};
static const struct column everybody_columns[] = {
    { "person-number", { "序号", "No." }, FIELD_AUTOMATIC, 9 },
    { "person", { "姓名", "Name" }, FIELD_AUTOMATIC, 18 },
    { "person-unit", { "单位（部门）", "Unit (department)" }, FIELD_AUTOMATIC, 20 },
    { "role",
      { "安全应急领导小组职务", "Post in the emergency leading group" },
      FIELD_AUTOMATIC,
      25 },
    { "person-contact", { "联系方式", "How to reach them" }, FIELD_AUTOMATIC, 28 },
};
#define NOBODY .empty = { "未登记（contacts.yaml）", "nobody is named (contacts.yaml)" }
static const struct form_table group_table = { .heading = { "应急处置领导小组",
                                                            "Leading group for emergencies" },
                                               NOBODY,
                                               COLUMNS(person_columns),
                                               .rows = group_rows };
static const struct form_table department_table = {
    .heading = { "相关部门（信息中心等）",
                 "Departments concerned (information centre and others)" },
    NOBODY,
    COLUMNS(person_columns),
    .rows = department_rows
};
static const struct form_table police_table = { .heading = { "公安机关（公安网监）",
                                                             "Police (network security)" },
                                                NOBODY,
                                                COLUMNS(person_columns),
                                                .rows = police_rows };
static const struct form_table vendor_table = {
    .heading = { "供应商", "Vendors" }, NOBODY, COLUMNS(person_columns), .rows = vendor_rows
};
static const struct form_table carrier_table = { .heading = { "电信运营商（移动、联通）",
                                                              "Telecommunications carriers" },
                                                 NOBODY,
                                                 COLUMNS(person_columns),
                                                 .rows = carrier_rows };
static const struct form_table superior_table = { .heading = { "上级主管部门、下属单位",
                                                               "Superior and subordinate units" },
                                                  NOBODY,
                                                  COLUMNS(person_columns),
                                                  .rows = superior_rows };
static const struct form_table everybody_table = {
    .heading = { "安全应急人员名单", "All who have a duty in an emergency" },
    NOBODY,
    COLUMNS(everybody_columns),
    .rows = everybody
};
TABLE_LIST(contact_list, &group_table, &department_table, &police_table, &vendor_table,
           &carrier_table, &superior_table, &everybody_table);

static char *v_reviewed(const struct report *r)
{
    return r->contacts && r->contacts->reviewed_s ? day_words(r, r->contacts->reviewed_s) : NULL;
}

static char *v_review_due(const struct report *r)
{
    if (!r->contacts || !r->contacts->reviewed_s)
        return NULL;
    return day_words(r, r->contacts->reviewed_s + (int64_t)r->contacts->review_every_s);
}

static const struct field contact_fields[] = {
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { AUTO("report-time", "印制时间", "Printed", FIELD_HALF, v_now) },
    { AUTO("reviewed", "最近核对", "Last looked through", FIELD_HALF, v_reviewed) },
    { AUTO("review-due", "下次核对", "To be looked through by", FIELD_HALF, v_review_due) },
};

const struct form form_contacts = {
    .name = "contacts",
    .title = { "应急通讯手册", "Emergency contact handbook" },
    .of = FORM_OF_SITE,
    .duty = "PY-contacts",
    FIELDS(contact_fields),
    .tables = contact_list,
};

/* --- evacuation: people first ----------------------------------------------------------------------------------------------------------- */
static void people_out(const struct report *r, struct document *d)
{
    for (size_t i = 0; r->contacts && i < r->contacts->n_roles; i++) {
        const struct role *role = &r->contacts->roles[i];
        const struct person *both[] = { &role->a, &role->b };
        bool of_house = strcmp(role->name, "vendor") != 0 && strcmp(role->name, "police") != 0 &&
                        strcmp(role->name, "carrier") != 0 &&
                        strcmp(role->name, "superior-unit") != 0;
        for (size_t k = 0; k < 2 && of_house; k++) {
            if (!both[k]->name)
                continue;
            doc_row(d, false);
            cell_text(d, both[k]->name);
            cell_text(d, both[k]->unit);
            cell_text(d, both[k]->phone);
            cell_blank(d, "person-out");
        }
    }
    for (unsigned i = 0; i < 3; i++) { /* others who are in the building */
        doc_row(d, false);
        for (unsigned k = 0; k < 4; k++)
            cell_blank(d, "person-out");
    }
}

static void copies_out(const struct report *r, struct document *d)
{
    for (size_t i = 0; i < r->site->n_copies; i++) {
        const struct paper_copy *c = &r->site->copies[i];
        const char *medium = c->medium && *c->medium ? c->medium
                             : c->rotating ? r->lang == PAPER_ZH ? "可移动介质" : "carried medium"
                             : r->lang == PAPER_ZH ? "固定存储"
                                                   : "fixed storage";
        doc_row(d, false);
        cell_text(d, c->vault);
        cell_text(d, c->place);
        cell_text(d, c->url);
        cell_text(d, medium);
        cell_time(r, d, c->seen_s);
        cell_blank(d, "copy-out");
    }
}

static void things_out(const struct report *r, struct document *d)
{
    static const struct bilingual things[] = {
        { "备份介质和重要文件资料", "Backup media and papers" },
        { "磁盘阵列", "Disk arrays" },
        { "磁带库", "Tape library" },
        { "主机", "Hosts" },
        { "备用主机", "Standby hosts" },
        { "网络设备", "Network devices" },
    };
    for (size_t i = 0; i < COUNT_OF(things); i++) {
        doc_row(d, false);
        cell_number(d, i + 1);
        cell_text(d, say(r, things[i]));
        cell_blank(d, "thing-place");
        cell_blank(d, "thing-by");
        cell_blank(d, "thing-out");
    }
}

static const struct column people_columns[] = {
    { "person", { "姓名", "Name" }, FIELD_AUTOMATIC, 26 },
    { "person-unit", { "单位（部门）", "Unit (department)" }, FIELD_AUTOMATIC, 26 },
    { "person-phone", { "电话", "Telephone" }, FIELD_AUTOMATIC, 26 },
    { "person-out", { "已撤离（√）", "Is out (tick)" }, FIELD_BLANK, 22 },
};
static const struct column things_columns[] = {
    { "thing-order", { "顺序", "Order" }, FIELD_AUTOMATIC, 10 },
    { "thing", { "物品", "What" }, FIELD_AUTOMATIC, 30 },
    { "thing-place", { "位置", "Where" }, FIELD_BLANK, 22 },
    { "thing-by", { "责任人", "By whom" }, FIELD_BLANK, 19 },
    { "thing-out", { "已转移（√）", "Is out (tick)" }, FIELD_BLANK, 19 },
};
static const struct column copies_columns[] = {
    { "copy-vault", { "备份库", "Vault" }, FIELD_AUTOMATIC, 13 },
    { "copy-place", { "存放地点", "Place" }, FIELD_AUTOMATIC, 18 },
    { "copy-url", { "地址", "Address" }, FIELD_AUTOMATIC, 25 },
    { "copy-medium", { "介质及所在", "Medium, and where it lies" }, FIELD_AUTOMATIC, 19 },
    { "copy-seen", { "最近确认", "Last seen" }, FIELD_AUTOMATIC, 13 },
    { "copy-out", { "已转移（√）", "Is out (tick)" }, FIELD_BLANK, 12 },
};
static const struct form_table people_table = { .heading = { "一、人员", "1. People" },
                                                COLUMNS(people_columns),
                                                .rows = people_out };
static const struct form_table copies_table = {
    .heading = { "二、备份所在（每一份都足以恢复全部数据）",
                 "2. Where the backups are (each copy alone restores everything)" },
    .empty = { "没有登记的副本", "no copy is known" },
    COLUMNS(copies_columns),
    .rows = copies_out
};
static const struct form_table things_table = {
    .heading = { "三、物品（确保人员安全后，按此顺序）",
                 "3. Things (once people are safe, in this order)" },
    COLUMNS(things_columns),
    .rows = things_out
};
TABLE_LIST(evacuation_list, &people_table, &copies_table, &things_table);

static const struct field evacuation_fields[] = {
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { AUTO("report-time", "印制时间", "Printed", FIELD_HALF, v_now) },
    { BLANK("assembly-point", "集合地点", "Assembly point", FIELD_HALF) },
    { BLANK("evacuation-lead", "现场负责人", "In charge on site", FIELD_HALF) },
};

const struct form form_evacuation = {
    .name = "evacuation",
    .looks = true,
    .title = { "火灾等紧急情况撤离清单", "Evacuation sheet for fire and other dangers" },
    .of = FORM_OF_SITE,
    .duty = "PY-fire",
    .intro = { "先保证人员安全撤离，再抢救物品。人员未全部撤离前，任何人不得返回取物。火警 119，急救 120，报警 110。",
               "People first: nobody goes back for things before everybody is out. Fire 119, ambulance 120, police 110." },
    FIELDS(evacuation_fields),
    .tables = evacuation_list,
};

/* --- acceptance after a rebuild ------------------------------------------------------------------------------------------------------------ */
static const struct field acceptance_fields[] = {
    { AUTO("unit", "单位名称", "Unit", FIELD_HALF, v_unit) },
    { AUTO("report-time", "验收时间", "Time of acceptance", FIELD_HALF, v_now) },
    { AUTO("incident-name", "灾害（事件）名称", "Disaster (incident)", FIELD_ROW,
           v_incident_name) },
    { ASKED("rebuild-place", "重建地点", "Place of the rebuild", FIELD_HALF) },
    { AUTO("system", "重建系统", "System rebuilt", FIELD_HALF, v_system) },
    { AUTO("restored-from", "数据来源（副本、快照）", "Restored from (copy, snapshot)", FIELD_ROW,
           v_restored_from) },
    { AUTO("started", "灾害时间", "Time of the disaster", FIELD_HALF, v_started) },
    { AUTO("recovered", "恢复时间", "In service again", FIELD_HALF, v_recovered) },
    { AUTO("duration", "恢复用时（RTO）", "Recovery took (RTO)", FIELD_HALF, v_duration) },
    { AUTO("loss", "数据损失（RPO）", "Data lost (RPO)", FIELD_HALF, v_loss) },
    { ASKED("acceptance-tests", "业务测试情况", "Tests by the users", FIELD_ROW), .room = 4 },
    { BLANK("acceptance", "验收结论（测试合格前不得撤离）",
            "Conclusion (nobody leaves before the tests pass)", FIELD_ROW),
      .room = 3 },
};
TABLE_LIST(acceptance_list, &table_restores, &table_copies_used, &table_checks);

const struct form form_acceptance = {
    .name = "acceptance",
    .title = { "灾后重建系统验收表", "Acceptance of a system rebuilt after a disaster" },
    .of = FORM_OF_INCIDENT,
    .duty = "PY-disaster",
    FIELDS(acceptance_fields),
    .tables = acceptance_list,
    .signs = { { "技术负责人签字", "Signature, technical" },
               { "业务负责人签字", "Signature, users" },
               { "单位负责人签字（盖章）", "Signature of the person responsible (stamp)" } },
};
