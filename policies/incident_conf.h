/*
 * incident_conf.h - the deadlines of an incident: `incident:` of twofold.yaml for the site, and of a policy where it differs. All of it is
 * optional; without it the plans' values hold.
 *
 *     incident:
 *       first-report: 30m       # XJ-3.1; JZ-8 asks for 5m
 *       report-every: 30m       # PY-6.2, until normal
 *       on-site: 10m            # PY-10 min; attacks
 *       level: 1h               # XJ-3.2: I to IV is judged
 *       daily-report: 24h       # XJ-3.2; levels I and II
 *       hold-uploads: 10m       # PY-DB-2: all subordinate units know it
 *       investigation: 1h       # PY-7.1: down so long: an investigation group
 *       experts: 1              # PY-7.1: down so many working days: outside experts (holidays.yaml)
 *       superior-help: 24h      # PY-24 h
 *       resume-uploads: 30m     # PY-DB-2, after recovery
 *       summary: 12h            # PY-6.5, after recovery
 *       supplement: 24h         # after the cause was found, when that is later than the summary
 *       actions: 7d             # PY-7.3: corrective actions are named, after recovery
 *       remind: 10m             # so long before each is due those whose it is are reminded; at most half of its time
 */
#ifndef TWOFOLD_POLICIES_INCIDENT_CONF_H
#define TWOFOLD_POLICIES_INCIDENT_CONF_H

#include "lib/base/err.h"
#include <jansson.h>
#include <stdint.h>

#define MAX_EXPERT_DAYS 365

struct incident_conf { /* seconds; 0, in a policy's: as for the site */
    uint64_t first_report_s, report_every_s, on_site_s, level_s, daily_report_s, hold_uploads_s,
        investigation_s, superior_help_s, resume_uploads_s, summary_s, supplement_s, actions_s,
        remind_s;
    unsigned experts_days;
};
struct incident_conf incident_conf_default(void);
/* What the policy says (may be NULL) replaces what the site says. */
struct incident_conf incident_conf_for(const struct incident_conf *site,
                                       const struct incident_conf *policy);
/* As in the file; the keys are the file's, the numbers seconds (experts: days). For the settings of an incident. NULL without memory. */
json_t *incident_conf_json(const struct incident_conf *c);
/* What the object says replaces what is in *c; a value that cannot be is left. */
void incident_conf_from_json(struct incident_conf *c, const json_t *o);

#endif
