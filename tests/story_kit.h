/*
 * story_kit.h - what happens in an incident, for tests of its papers: a crash that was worked on to its end, with notices, a gate, an attempt
 * that failed, a damaged copy, a check, a loss statement, answers with marks in them, a corrective action and a report.
 */
#ifndef TWOFOLD_TESTS_STORY_KIT_H
#define TWOFOLD_TESTS_STORY_KIT_H

#include "restore/incident/timeline.h"

/* Adds the events to an incident that was just opened. now_s: about when it is over. */
int story_tell(struct incident *inc, int64_t now_s, struct err *e);

#endif
