/* forms.c - fills a form: its fields into a table of labelled cells, its tables, foot and places for signatures. See forms.h. */
#include "restore/report/forms.h"
#include "lib/base/i18n.h"
#include "restore/report/form_tables.h"
#include "restore/report/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_COLUMNS 4
static const unsigned field_weights[FIELD_COLUMNS] = { 21, 29, 21, 29 };

const struct form *const forms[] = {
    &form_incident,   &form_daily, &form_bulletin, &form_summary,  &form_supplement,
    &form_handling,   &form_drill, &form_training, &form_contacts, &form_evacuation,
    &form_acceptance, &form_fault, &form_duties,   &form_status,   &form_annual,
    &form_scoring,    NULL,
};

const struct form *form_find(const char *name)
{
    for (const struct form *const *f = forms; *f; f++)
        if (strcmp((*f)->name, name) == 0)
            return *f;
    return NULL;
}

bool form_field_known(const char *name)
{
    for (const struct form *const *f = forms; *f; f++)
        for (size_t i = 0; i < (*f)->n_fields; i++)
            if (strcmp((*f)->fields[i].name, name) == 0)
                return (*f)->fields[i].source != FIELD_BLANK;
    return false;
}

const char *field_source_name(enum field_source s)
{
    static const char *const names[] = { "automatic", "asked", "blank" };
    return names[s];
}

unsigned form_next_number(const struct incident *inc, const char *form)
{
    int64_t highest = 0;
    for (size_t i = 0; i < inc->n; i++) {
        const struct event *ev = &inc->events[i];
        if (ev->kind == EVENT_REPORT && strcmp(event_text(ev, "form"), form) == 0 &&
            event_int(ev, "number") > highest)
            highest = event_int(ev, "number");
    }
    return highest < MAX_EVENTS ? (unsigned)highest + 1 : MAX_EVENTS;
}

const char *report_answer(const struct report *r, const char *field)
{
    for (size_t i = r->n_answers; i > 0; i--)
        if (strcmp(r->answers[i - 1].field, field) == 0)
            return r->answers[i - 1].text;
    return r->inc ? incident_field(r->inc, field) : NULL;
}

/* --- fields ----------------------------------------------------------------------------------------------------------------- */
static const char *label_of(const struct report *r, const struct field *f)
{
    const char *own = f->label_of ? f->label_of(r) : NULL;
    return own ? own : say(r, f->label);
}

/* What is known of it, else a marked blank. */
static void put_field(const struct report *r, struct document *d, const struct field *f,
                      const char *label)
{
    const char *answer = f->source == FIELD_BLANK ? NULL : report_answer(r, f->name);
    const char *hint = f->hint.zh            ? say(r, f->hint)
                       : r->lang == PAPER_ZH ? "待填写"
                                             : "to be filled in";
    bool preset = f->source == FIELD_AUTOMATIC || !answer;
    char *value = f->value && preset ? f->value(r) : NULL;
    if (value)
        doc_field(d, label, f->name, value);
    if (answer)
        doc_field(d, value ? NULL : label, f->name, answer);
    if (!value && !answer)
        doc_blank(d, label, f->name, hint);
    free(value);
}

/* Fields that share the cell with fields[i]: how many, with it. */
static size_t sharing(const struct form *f, size_t i)
{
    size_t n = 1;
    while (i + n < f->n_fields && f->fields[i + n].place == FIELD_MORE)
        n++;
    return n;
}

static void put_cell(const struct report *r, struct document *d, const struct form *f, size_t i,
                     unsigned span)
{
    const struct field *first = &f->fields[i];
    size_t n = sharing(f, i);
    unsigned room = 0;
    doc_cell(d, CELL_LABEL, 1);
    doc_line(d, NULL, n > 1 ? say(r, first->cell) : label_of(r, first));
    doc_cell(d, CELL_VALUE, span);
    for (size_t k = 0; k < n; k++) {
        put_field(r, d, &first[k], n > 1 ? label_of(r, &first[k]) : NULL);
        room += first[k].room;
    }
    doc_room(d, room);
}

static void put_fields(const struct report *r, struct document *d, const struct form *f)
{
    if (f->n_fields == 0)
        return;
    doc_table(d, FIELD_COLUMNS, field_weights);
    for (size_t i = 0; i < f->n_fields;) {
        size_t next = i + sharing(f, i);
        bool pair = f->fields[i].place == FIELD_HALF && next < f->n_fields &&
                    f->fields[next].place == FIELD_HALF;
        doc_row(d, false);
        put_cell(r, d, f, i, pair ? 1 : FIELD_COLUMNS - 1);
        if (pair)
            put_cell(r, d, f, next, 1);
        i = pair ? next + sharing(f, next) : next;
    }
}

/* --- tables ------------------------------------------------------------------------------------------------------------------ */
static void put_table(const struct report *r, struct document *d, const struct form_table *t)
{
    unsigned weights[MAX_PAPER_COLUMNS] = { 0 };
    if (t->heading.zh)
        doc_heading(d, say(r, t->heading));
    for (size_t i = 0; i < t->n_columns; i++)
        weights[i] = t->columns[i].weight;
    doc_table(d, (unsigned)t->n_columns, weights);
    doc_row(d, true);
    for (size_t i = 0; i < t->n_columns; i++)
        doc_value(d, CELL_HEAD, 1, say(r, t->columns[i].label));
    size_t before = d->n_rows;
    t->rows(r, d);
    if (d->n_rows == before) {
        doc_row(d, false);
        doc_value(d, CELL_VALUE, (unsigned)t->n_columns,
                  t->empty.zh           ? say(r, t->empty)
                  : r->lang == PAPER_ZH ? "无"
                                        : "none");
    }
}

static void put_tables(const struct report *r, struct document *d, const struct form *f)
{
    for (const struct form_table *const *t = f->tables; t && *t; t++)
        put_table(r, d, *t);
}

/* --- the whole ------------------------------------------------------------------------------------------------------------------- */
static void put_foot(const struct report *r, struct document *d, const struct form *f)
{
    char *when = time_words(r, r->now_s), *foot = NULL;
    bool of_one = f->of == FORM_OF_INCIDENT || (f->of == FORM_OF_ANY && r->inc);
    if (of_one && r->number)
        foot = words_print(r->lang == PAPER_ZH
                               ? "twofold  编号 %s/%s/%u  时间线第 %zu 条之后  %s"
                               : "twofold  no. %s/%s/%u  after line %zu of the timeline  %s",
                           r->inc->id, f->name, r->number, r->inc->n, when ? when : "");
    else if (of_one)
        foot = words_print("twofold  %s/%s  %s", r->inc->id, f->name, when ? when : "");
    else
        foot = words_print("twofold  %s  %s  %s", f->name, r->host ? r->host : "",
                           when ? when : "");
    document_foot(d, foot);
    free(foot);
    free(when);
}

static void put_head(const struct report *r, struct document *d, const struct form *f)
{
    char *number = NULL;
    if (r->number && f->numbered) {
        number = words_print(r->lang == PAPER_ZH ? "（第 %u 次）" : "No. %u", r->number);
        document_number(d, number);
        free(number);
    }
    if (r->draft)
        document_mark(d, r->lang == PAPER_ZH ? "草稿" : "DRAFT");
    else if (r->inc && r->inc->drill)
        document_mark(d, r->lang == PAPER_ZH ? "演练" : "DRILL");
}

int form_fill(const struct form *f, const struct report *r, struct document **ret, struct err *e)
{
    const char *signs[MAX_SIGNS];
    size_t n_signs = 0;
    struct document *d = document_new(f->name, r->lang, say(r, f->title));
    if (!d)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    put_head(r, d, f);
    put_foot(r, d, f);
    if (f->intro.zh)
        doc_paragraph(d, say(r, f->intro));
    if (f->tables_first)
        put_tables(r, d, f);
    put_fields(r, d, f);
    if (!f->tables_first)
        put_tables(r, d, f);
    char *note = f->note_of ? f->note_of(r) : NULL;
    if (note || f->note.zh)
        doc_note(d, note ? note : say(r, f->note));
    free(note);
    for (size_t i = 0; i < MAX_SIGNS && f->signs[i].zh; i++)
        signs[n_signs++] = say(r, f->signs[i]);
    if (n_signs)
        doc_signs(d, signs, n_signs);
    int rc = document_check(d, e);
    if (rc < 0)
        document_free(d);
    else
        *ret = d;
    return rc;
}
