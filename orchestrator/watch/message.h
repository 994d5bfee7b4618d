/* message.h - what a person reads: one message of all the alarms that they are to be told of now. */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_MESSAGE_H
#define TWOFOLD_ORCHESTRATOR_WATCH_MESSAGE_H

#include "orchestrator/watch/channels.h"

#define MAX_TOLD_ALARMS 20 /* in one message; the others are counted */

/* `alarms`: open or cleared ones, worst first, not none. ret: message_done. */
void message_of_alarms(const struct alarm *const alarms[], size_t n, const struct settings *s,
                       int64_t now_s, struct message *ret);
void message_of_test(const struct settings *s, const char *role, int64_t now_s,
                     struct message *ret);
const char *level_word(enum alarm_level level); /* translated */
const char *level_name(enum alarm_level level); /* stable: "critical" */
const char *this_host(char out[256]);
/* "2026-11-25 02:00", local time. Returns out. */
const char *time_text(int64_t s, char out[32]);

#endif
