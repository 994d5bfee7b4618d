/* form_tables.h - the forms themselves, and shorthands to write their tables with. Inner header of the forms. */
#ifndef TWOFOLD_RESTORE_REPORT_FORM_TABLES_H
#define TWOFOLD_RESTORE_REPORT_FORM_TABLES_H

#include "restore/report/forms.h"

extern const struct form form_incident, form_daily, form_bulletin, form_summary, form_supplement,
    form_handling, form_drill, form_training, form_contacts, form_evacuation, form_acceptance,
    form_fault, form_duties, form_status, form_annual, form_scoring;

/* A field in half a row, in a whole one, or in the cell of the one before: AUTO(name, 中文, English, place, value), and more as designated
 * initialisers. */
#define AUTO(field, zh_, en_, where, from)                                               \
    .name = (field), .label = { zh_, en_ }, .source = FIELD_AUTOMATIC, .place = (where), \
    .value = (from)
#define ASKED(field, zh_, en_, where) \
    .name = (field), .label = { zh_, en_ }, .source = FIELD_ASKED, .place = (where)
#define BLANK(field, zh_, en_, where) \
    .name = (field), .label = { zh_, en_ }, .source = FIELD_BLANK, .place = (where)
#define SIGNED .hint = { "签字", "signature" }
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define FIELDS(array) .fields = (array), .n_fields = COUNT_OF(array)
#define TABLE_LIST(name, ...) static const struct form_table *const name[] = { __VA_ARGS__, NULL }
#define COLUMNS(array) .columns = (array), .n_columns = COUNT_OF(array)

/* Cells of a row that is being added. */
void cell_text(struct document *d, const char *text); /* NULL: an empty one */
void cell_take(struct document *d, char *text);       /* the same; frees it */
void cell_number(struct document *d, uint64_t n);
void cell_blank(struct document *d, const char *field);
void cell_time(const struct report *r, struct document *d, int64_t at_s); /* 0: an empty one */

/* Tables that several forms have. */
extern const struct form_table table_actions, table_restores, table_copies_used, table_checks,
    table_measures;

#endif
