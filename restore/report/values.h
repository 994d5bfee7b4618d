/* values.h - what the program knows of an incident and of the site, as the texts of fields. Inner header of the forms. Each returns an owned
 * text, or NULL: it is not known (yet). */
#ifndef TWOFOLD_RESTORE_REPORT_VALUES_H
#define TWOFOLD_RESTORE_REPORT_VALUES_H

#include "restore/report/words.h"

/* of the site */
char *v_now(const struct report *r);
char *v_unit(const struct report *r);
char *v_phone(const struct report *r);
char *v_fax(const struct report *r);
char *v_place(const struct report *r);
char *v_who(const struct report *r);
char *v_host(const struct report *r);
char *v_year(const struct report *r);
char *v_vendor(const struct report *r); /* name, unit, telephone */
/* of an incident */
char *v_incident_id(const struct report *r);
char *v_incident_name(const struct report *r);
char *v_started(const struct report *r);
char *v_recovered(const struct report *r);
char *v_system(const struct report *r);
char *v_overview(const struct report *r);  /* the turning points */
char *v_course(const struct report *r);    /* every event, with its time */
char *v_measures(const struct report *r);  /* steps and gates, and what came of them */
char *v_reporting(const struct report *r); /* who was told, and which reports were written */
char *v_level(const struct report *r);
char *v_degree(const struct report *r);
char *v_consequence(const struct report *r);
char *v_nature(const struct report *r);
char *v_people(const struct report *r);
char *v_duration(const struct report *r);
char *v_result(const struct report *r);
char *v_help(const struct report *r);
char *v_loss(const struct report *r);
char *v_restored_from(const struct report *r);
char *v_summary_written(const struct report *r);
char *v_drill_content(const struct report *r);
char *v_drill_purpose(const struct report *r);
char *v_drill_result(const struct report *r);

/* Seconds from the crash (or the opening) to the recovery; -1: it is not over. */
int64_t outage_s(const struct report *r);
/* The facts of the newest step that has them under that key (an array), or NULL. */
const json_t *newest_facts(const struct incident *inc, const char *key);
/* What was checked of the newest restore, or NULL. */
const json_t *newest_checks(const struct incident *inc);
/* A text of an object, "" where it has none. */
const char *fact_text(const json_t *o, const char *key);

#endif
