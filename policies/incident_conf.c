/* incident_conf.c - the deadlines of an incident; see policies/incident_conf.h. */
#include "policies/incident_conf.h"
#include "lib/base/i18n.h"
#include "policies/incident_yaml.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define HOUR_S 3600
#define DAY_S 86400
#define MAX_DEADLINE_S ((uint64_t)3650 * DAY_S)

struct incident_conf incident_conf_default(void)
{
    return (struct incident_conf){ .first_report_s = 1800,
                                   .report_every_s = 1800,
                                   .on_site_s = 600,
                                   .level_s = HOUR_S,
                                   .daily_report_s = DAY_S,
                                   .hold_uploads_s = 600,
                                   .investigation_s = HOUR_S,
                                   .superior_help_s = DAY_S,
                                   .resume_uploads_s = 1800,
                                   .summary_s = 12 * HOUR_S,
                                   .supplement_s = DAY_S,
                                   .actions_s = 7 * DAY_S,
                                   .remind_s = 600,
                                   .experts_days = 1 };
}

/* The keys, in the order of the manual; "experts" counts days. */
static const struct key {
    const char *name;
    size_t at; /* of its seconds; 0 with days */
    bool days;
} keys[INCIDENT_KEYS] = {
    { "first-report", offsetof(struct incident_conf, first_report_s), false },
    { "report-every", offsetof(struct incident_conf, report_every_s), false },
    { "on-site", offsetof(struct incident_conf, on_site_s), false },
    { "level", offsetof(struct incident_conf, level_s), false },
    { "daily-report", offsetof(struct incident_conf, daily_report_s), false },
    { "hold-uploads", offsetof(struct incident_conf, hold_uploads_s), false },
    { "investigation", offsetof(struct incident_conf, investigation_s), false },
    { "experts", 0, true },
    { "superior-help", offsetof(struct incident_conf, superior_help_s), false },
    { "resume-uploads", offsetof(struct incident_conf, resume_uploads_s), false },
    { "summary", offsetof(struct incident_conf, summary_s), false },
    { "supplement", offsetof(struct incident_conf, supplement_s), false },
    { "actions", offsetof(struct incident_conf, actions_s), false },
    { "remind", offsetof(struct incident_conf, remind_s), false },
};

static uint64_t *seconds_of(struct incident_conf *c, const struct key *k)
{
    return (uint64_t *)(void *)((char *)c + k->at);
}

struct incident_conf incident_conf_for(const struct incident_conf *site,
                                       const struct incident_conf *policy)
{
    struct incident_conf c = *site, over = policy ? *policy : (struct incident_conf){ 0 };
    for (size_t i = 0; i < INCIDENT_KEYS; i++)
        if (!keys[i].days && *seconds_of(&over, &keys[i]))
            *seconds_of(&c, &keys[i]) = *seconds_of(&over, &keys[i]);
    if (over.experts_days)
        c.experts_days = over.experts_days;
    return c;
}

json_t *incident_conf_json(const struct incident_conf *c)
{
    struct incident_conf copy = *c;
    json_t *o = json_object();
    for (size_t i = 0; o && i < INCIDENT_KEYS; i++) {
        uint64_t v = keys[i].days ? copy.experts_days : *seconds_of(&copy, &keys[i]);
        if (json_object_set_new(o, keys[i].name, json_integer((json_int_t)v)) < 0) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

void incident_conf_from_json(struct incident_conf *c, const json_t *o)
{
    for (size_t i = 0; i < INCIDENT_KEYS; i++) {
        json_int_t v = json_integer_value(json_object_get(o, keys[i].name));
        if (v < 1 || (uint64_t)v > MAX_DEADLINE_S || (keys[i].days && v > MAX_EXPERT_DAYS))
            continue;
        if (keys[i].days)
            c->experts_days = (unsigned)v;
        else
            *seconds_of(c, &keys[i]) = (uint64_t)v;
    }
}

/* --- the file ----------------------------------------------------------------------------------- */
const cyaml_schema_field_t incident_fields[] = {
    YAML_TEXT_OPT("first-report", struct raw_incident, v[0]),
    YAML_TEXT_OPT("report-every", struct raw_incident, v[1]),
    YAML_TEXT_OPT("on-site", struct raw_incident, v[2]),
    YAML_TEXT_OPT("level", struct raw_incident, v[3]),
    YAML_TEXT_OPT("daily-report", struct raw_incident, v[4]),
    YAML_TEXT_OPT("hold-uploads", struct raw_incident, v[5]),
    YAML_TEXT_OPT("investigation", struct raw_incident, v[6]),
    YAML_TEXT_OPT("experts", struct raw_incident, v[7]),
    YAML_TEXT_OPT("superior-help", struct raw_incident, v[8]),
    YAML_TEXT_OPT("resume-uploads", struct raw_incident, v[9]),
    YAML_TEXT_OPT("summary", struct raw_incident, v[10]),
    YAML_TEXT_OPT("supplement", struct raw_incident, v[11]),
    YAML_TEXT_OPT("actions", struct raw_incident, v[12]),
    YAML_TEXT_OPT("remind", struct raw_incident, v[13]),
    CYAML_FIELD_END,
};

int incident_conf_take(struct yaml_doc *d, const struct raw_incident *raw,
                       struct incident_conf *ret, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; raw && rc == 0 && i < INCIDENT_KEYS; i++) {
        char path[48];
        snprintf(path, sizeof path, "incident.%s", keys[i].name);
        rc = keys[i].days ? yaml_uint(d, path, raw->v[i], MAX_EXPERT_DAYS, &ret->experts_days, e)
                          : yaml_duration(d, path, raw->v[i], seconds_of(ret, &keys[i]), e);
    }
    return rc;
}
