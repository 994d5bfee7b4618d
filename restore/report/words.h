/* words.h - times, sizes and the names of what happens in an incident, in the language of the paper, not of the process. Inner header of
 * the forms. What is returned as char * is owned; NULL without memory. */
#ifndef TWOFOLD_RESTORE_REPORT_WORDS_H
#define TWOFOLD_RESTORE_REPORT_WORDS_H

#include "restore/report/forms.h"

char *words_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Appends to an owned text (NULL: a new one), with `between` where something stands before; takes `more`. NULL without memory. */
char *words_join(char *text, const char *between, char *more);
char *time_words(const struct report *r, int64_t at_s);          /* 2026年11月26日 03:12 */
char *stamp_words(const struct report *r, int64_t at_s);         /* 11月26日 03:12 */
char *day_words(const struct report *r, int64_t at_s);           /* 2026年11月26日 */
char *span_words(const struct report *r, int64_t seconds);       /* 1小时12分 */
char *size_words(uint64_t bytes);                                /* 1.2 GiB */
const char *level_words(const struct report *r, unsigned level); /* "" where it is not judged */
/* mistake: gone back to before its first sign; of a fault that is another nature. */
const char *nature_words(const struct report *r, enum crash_cause c, bool mistake);
const char *step_words(const struct report *r, const char *step);
const char *role_words(const struct report *r, const char *role); /* of contacts.yaml */
/* One event as a sentence, without its time; NULL: it is of no interest on paper. */
char *event_words(const struct report *r, const struct event *ev);

#endif
