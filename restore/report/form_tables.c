/* form_tables.c - cells, and the tables that several forms have: attempts to restore, what each copy gave, checks, corrective actions. */
#include "restore/report/form_tables.h"
#include "restore/report/said.h"
#include "restore/report/values.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void cell_text(struct document *d, const char *text)
{
    doc_value(d, CELL_VALUE, 1, text);
}

void cell_take(struct document *d, char *text)
{
    cell_text(d, text);
    free(text);
}

void cell_number(struct document *d, uint64_t n)
{
    char *text = words_print("%" PRIu64, n);
    doc_value(d, CELL_NUMBER, 1, text);
    free(text);
}

void cell_blank(struct document *d, const char *field)
{
    doc_cell(d, CELL_VALUE, 1);
    doc_field(d, NULL, field, "");
}

void cell_time(const struct report *r, struct document *d, int64_t at_s)
{
    cell_take(d, at_s ? time_words(r, at_s) : NULL);
}

/* --- attempts to restore ------------------------------------------------------------------------------------------------------ */
/* When the backup was made, as it was received here. */
static char *received_words(const struct report *r, const json_t *facts)
{
    json_int_t at = json_integer_value(json_object_get(facts, "received"));
    return at > 0 ? stamp_words(r, at) : NULL;
}

static void restores(const struct report *r, struct document *d)
{
    for (size_t i = 0; r->inc && i < r->inc->n; i++) {
        const struct event *ev = &r->inc->events[i];
        const char *state = event_text(ev, "state");
        bool ended = strcmp(state, "done") == 0 || strcmp(state, "failed") == 0;
        if (ev->kind != EVENT_STEP || strcmp(event_text(ev, "step"), "restore") != 0 || !ended)
            continue;
        const json_t *facts = json_object_get(ev->body, "facts");
        doc_row(d, false);
        cell_number(d, (uint64_t)event_int(ev, "attempt"));
        cell_take(d, stamp_words(r, ev->at_s));
        cell_take(d, words_join(words_print("%.12s", fact_text(facts, "snapshot")), "\n",
                                received_words(r, facts)));
        cell_text(d, *fact_text(facts, "from") ? fact_text(facts, "from")
                     : r->lang == PAPER_ZH     ? "不限"
                                               : "any");
        cell_text(d, strcmp(state, "done") == 0 ? r->lang == PAPER_ZH ? "成功" : "restored"
                     : r->lang == PAPER_ZH      ? "失败"
                                                : "failed");
        cell_take(d, said_of_step(r, ev));
    }
}
static const struct column restore_columns[] = {
    { "attempt", { "次", "No." }, FIELD_AUTOMATIC, 8 },
    { "attempt-ended", { "时间", "Time" }, FIELD_AUTOMATIC, 19 },
    { "snapshot", { "备份（快照）", "Backup (snapshot)" }, FIELD_AUTOMATIC, 21 },
    { "attempt-from", { "副本", "Copy" }, FIELD_AUTOMATIC, 14 },
    { "outcome", { "结果", "Outcome" }, FIELD_AUTOMATIC, 15 },
    { "outcome-text", { "说明", "What was said" }, FIELD_AUTOMATIC, 34 },
};
const struct form_table table_restores = {
    .heading = { "恢复备份的各次尝试", "Attempts to restore" },
    COLUMNS(restore_columns),
    .rows = restores,
};

/* --- what each copy gave --------------------------------------------------------------------------------------------------------- */
static uint64_t fact_number(const json_t *o, const char *key, const char *or_key)
{
    const json_t *n = json_object_get(o, key);
    json_int_t value = json_integer_value(n ? n : json_object_get(o, or_key));
    return value > 0 ? (uint64_t)value : 0;
}

static void copies_used(const struct report *r, struct document *d)
{
    const json_t *copies = r->inc ? newest_facts(r->inc, "copies") : NULL, *one;
    size_t i;
    json_array_foreach(copies, i, one)
    {
        doc_row(d, false);
        cell_text(d, fact_text(one, "place"));
        cell_number(d, fact_number(one, "chunks", "chunks"));
        cell_number(d, fact_number(one, "bad", "damaged"));
        cell_take(d, size_words(fact_number(one, "bytes", "bytes")));
    }
}
static const struct column copies_used_columns[] = {
    { "copy-place", { "副本所在地", "Copy" }, FIELD_AUTOMATIC, 34 },
    { "copy-served", { "提供数据块", "Chunks taken" }, FIELD_AUTOMATIC, 22 },
    { "copy-bad", { "损坏或缺失", "Damaged or missing" }, FIELD_AUTOMATIC, 22 },
    { "copy-bytes", { "数据量", "Bytes" }, FIELD_AUTOMATIC, 22 },
};
const struct form_table table_copies_used = {
    .heading = { "各副本提供的数据", "What each copy gave" },
    COLUMNS(copies_used_columns),
    .rows = copies_used,
};

/* --- checks ------------------------------------------------------------------------------------------------------------------------ */
static void checks(const struct report *r, struct document *d)
{
    const json_t *list = r->inc ? newest_checks(r->inc) : NULL, *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        bool ok = json_is_true(json_object_get(one, "ok"));
        doc_row(d, false);
        cell_number(d, i + 1);
        cell_take(d, said_check_name(r, one));
        cell_text(d, r->lang == PAPER_ZH ? ok ? "合格" : "不合格" : ok ? "right" : "wrong");
        cell_take(d, said_of_check(r, one));
    }
}
static const struct column check_columns[] = {
    { "check-number", { "序号", "No." }, FIELD_AUTOMATIC, 10 },
    { "check-name", { "检验项目", "Check" }, FIELD_AUTOMATIC, 26 },
    { "check-result", { "结果", "Result" }, FIELD_AUTOMATIC, 14 },
    { "check-text", { "说明", "What was found" }, FIELD_AUTOMATIC, 50 },
};
const struct form_table table_checks = {
    .heading = { "恢复后检验", "Checks after the restore" },
    COLUMNS(check_columns),
    .rows = checks,
};

/* --- corrective actions: the newest line of each number counts ------------------------------------------------------------------------ */
static bool newest_of_action(const struct incident *inc, size_t i)
{
    for (size_t k = i + 1; k < inc->n; k++)
        if (inc->events[k].kind == EVENT_ACTION &&
            event_int(&inc->events[k], "action") == event_int(&inc->events[i], "action"))
            return false;
    return true;
}

/* A text of the action, from the newest of its lines that has it. */
static const char *action_text(const struct incident *inc, int64_t action, const char *key)
{
    for (size_t i = inc->n; i > 0; i--) {
        const struct event *ev = &inc->events[i - 1];
        if (ev->kind == EVENT_ACTION && event_int(ev, "action") == action && *event_text(ev, key))
            return event_text(ev, key);
    }
    return "";
}

static int64_t action_time(const struct incident *inc, int64_t action, const char *key)
{
    for (size_t i = inc->n; i > 0; i--) {
        const struct event *ev = &inc->events[i - 1];
        if (ev->kind == EVENT_ACTION && event_int(ev, "action") == action && event_int(ev, key))
            return event_int(ev, key);
    }
    return 0;
}

static void actions(const struct report *r, struct document *d)
{
    for (size_t i = 0; r->inc && i < r->inc->n; i++) {
        const struct event *ev = &r->inc->events[i];
        if (ev->kind != EVENT_ACTION || !newest_of_action(r->inc, i))
            continue;
        int64_t action = event_int(ev, "action"), done = action_time(r->inc, action, "done");
        doc_row(d, false);
        cell_number(d, (uint64_t)action);
        cell_text(d, action_text(r->inc, action, "text"));
        cell_text(d, action_text(r->inc, action, "owner"));
        cell_time(r, d, action_time(r->inc, action, "due"));
        cell_time(r, d, done);
    }
}
static const struct column action_columns[] = {
    { "action", { "序号", "No." }, FIELD_AUTOMATIC, 9 },
    { "action-text", { "整改措施", "Corrective action" }, FIELD_AUTOMATIC, 37 },
    { "action-owner", { "责任人", "Owner" }, FIELD_AUTOMATIC, 14 },
    { "action-due", { "期限", "Due" }, FIELD_AUTOMATIC, 20 },
    { "action-done", { "完成", "Done" }, FIELD_AUTOMATIC, 20 },
};
const struct form_table table_actions = {
    .heading = { "薄弱环节及整改", "Weaknesses and what is done about them" },
    .empty = { "尚未登记（twofold crash action add）",
               "none noted yet (twofold crash action add)" },
    COLUMNS(action_columns),
    .rows = actions,
};

/* --- what a drill measured ------------------------------------------------------------------------------------------------------------- */
static void measure(const struct report *r, struct document *d, struct bilingual what,
                    char *measured, char *wanted, int well)
{
    doc_row(d, false);
    cell_text(d, say(r, what));
    cell_take(d, measured);
    cell_take(d, wanted);
    cell_text(d, well < 0 ? ""
                          : say(r, well ? (struct bilingual){ "合格", "right" }
                                        : (struct bilingual){ "不合格", "wrong" }));
}

static char *count_words(uint64_t n)
{
    return words_print("%" PRIu64, n);
}

static void measures(const struct report *r, struct document *d)
{
    const struct event *ev = r->inc ? incident_last(r->inc, EVENT_STEP, "step", "drill") : NULL;
    const json_t *f = ev ? json_object_get(ev->body, "facts") : NULL;
    if (!r->inc || !json_object_get(f, "rto_ms"))
        return;
    int64_t rto_s = json_integer_value(json_object_get(f, "rto_ms")) / 1000;
    int64_t rpo_s = json_integer_value(json_object_get(f, "rpo_s"));
    int64_t max_rto_s = (int64_t)fact_number(f, "max_rto_s", "max_rto_s");
    int64_t max_rpo_s = (int64_t)fact_number(f, "max_rpo_s", "max_rpo_s");
    uint64_t checks = fact_number(f, "checks", "checks"), wrong = fact_number(f, "wrong", "wrong");
    uint64_t damaged = fact_number(f, "damaged", "damaged"),
             missing = fact_number(f, "missing", "missing");
    uint64_t differ = fact_number(f, "differ", "differ");
    bool restored = r->inc->recovered_s != 0;
    measure(r, d, (struct bilingual){ "恢复时间（RTO）", "Recovery time (RTO)" },
            restored ? span_words(r, rto_s) : NULL, max_rto_s ? span_words(r, max_rto_s) : NULL,
            !restored   ? 0
            : max_rto_s ? rto_s <= max_rto_s
                        : -1);
    measure(r, d, (struct bilingual){ "数据损失（RPO）", "Data lost (RPO)" },
            rpo_s >= 0 && restored ? span_words(r, rpo_s) : NULL,
            max_rpo_s ? span_words(r, max_rpo_s) : NULL,
            !restored || rpo_s < 0 ? -1
            : max_rpo_s            ? rpo_s <= max_rpo_s
                                   : -1);
    measure(r, d, (struct bilingual){ "恢复的文件", "Files restored" },
            count_words(fact_number(f, "files", "files")), NULL, -1);
    measure(r, d, (struct bilingual){ "恢复的数据", "Data restored" },
            size_words(fact_number(f, "bytes", "bytes")), NULL, -1);
    measure(r, d, (struct bilingual){ "检验项数", "Checks" }, count_words(checks), NULL, -1);
    measure(r, d, (struct bilingual){ "其中不合格", "Of these wrong" }, count_words(wrong),
            count_words(0), wrong == 0);
    measure(r, d, (struct bilingual){ "副本中损坏的数据块", "Damaged chunks in copies" },
            count_words(damaged), count_words(0), damaged == 0);
    measure(r, d, (struct bilingual){ "缺少或不同的文件", "Files missing or different" },
            count_words(missing + differ), count_words(0), missing + differ == 0);
}
static const struct column measure_columns[] = {
    { "measure", { "指标", "Measure" }, FIELD_AUTOMATIC, 34 },
    { "measured", { "实测", "Measured" }, FIELD_AUTOMATIC, 24 },
    { "measure-wanted", { "要求", "Wanted" }, FIELD_AUTOMATIC, 24 },
    { "measure-verdict", { "结论", "Verdict" }, FIELD_AUTOMATIC, 18 },
};
const struct form_table table_measures = {
    .heading = { "演练指标", "What was measured" },
    .empty = { "尚无测量结果", "nothing was measured yet" },
    COLUMNS(measure_columns),
    .rows = measures,
};
