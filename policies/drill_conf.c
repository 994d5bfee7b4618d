/* drill_conf.c - see policies/drill_conf.h. */
#include "policies/drill_conf.h"
#include "lib/base/i18n.h"
#include "policies/drill_yaml.h"

#include <stdlib.h>
#include <string.h>

#define EARLY_S ((int64_t)7 * 86400)

const cyaml_schema_field_t drill_fields[] = {
    YAML_TEXT_OPT("every", struct raw_drill, every),
    YAML_TEXT_OPT("schedule", struct raw_drill, schedule),
    YAML_TEXT_OPT("on", struct raw_drill, on),
    YAML_TEXT_OPT("to", struct raw_drill, to),
    YAML_TEXT_OPT("from", struct raw_drill, from),
    YAML_TEXT_OPT("lose", struct raw_drill, lose),
    YAML_TEXT_OPT("max-rto", struct raw_drill, max_rto),
    YAML_TEXT_OPT("max-rpo", struct raw_drill, max_rpo),
    CYAML_FIELD_END,
};

void drill_conf_done(struct drill_conf *c)
{
    free(c->schedule);
    free(c->on);
    free(c->to);
    free(c->from);
    free(c->lose);
    *c = (struct drill_conf){ .every_s = DRILL_EVERY_S };
}

const char *drill_folder(const struct drill_conf *c, const char *on)
{
    return c->to ? c->to : !on || strcmp(on, "local") == 0 ? DRILL_FOLDER : DRILL_FOLDER_ELSEWHERE;
}

int64_t drill_due_s(const struct drill_conf *c, int64_t passed_s, int64_t since_s)
{
    int64_t every = (int64_t)c->every_s, early = every / 10 < EARLY_S ? every / 10 : EARLY_S;
    return (passed_s ? passed_s : since_s) + every - early;
}

/* --- reading ------------------------------------------------------------------------------------ */
static int take_name(struct yaml_doc *d, const char *key, const char *text, char **ret,
                     struct err *e)
{
    int rc = yaml_copy(d, key, text, ret, e);
    if (rc < 0 || !*ret || config_name_ok(*ret))
        return rc;
    err_set(e, ERR_CONFIG, _("\"%s\" cannot be a name"), text);
    conf_name_advice(e);
    return yaml_mistake(d, key, e);
}

static int take_folder(struct yaml_doc *d, const char *text, char **ret, struct err *e)
{
    int rc = text ? conf_path_normalise(text, ret, e) : 0;
    if (rc == 0 && *ret && strcmp(*ret, "/") == 0)
        rc = err_set(e, ERR_CONFIG, _("the scratch folder cannot be /"));
    return rc == -ERR_CONFIG ? yaml_mistake(d, "drill.to", e) : rc;
}

static int take_schedule(struct yaml_doc *d, const char *text, char **ret, struct err *e)
{
    int rc = yaml_copy(d, "drill.schedule", text, ret, e);
    if (rc == 0 && *ret && schedule_check(*ret, e) < 0)
        rc = yaml_mistake(d, "drill.schedule", e);
    return rc;
}

static int check_places(struct yaml_doc *d, const struct drill_conf *c, struct err *e)
{
    if (!c->from || !c->lose)
        return 0;
    err_set(e, ERR_CONFIG, _("\"from\" and \"lose\" exclude each other"));
    err_next(e, _("from: only this copy is read; lose: all but this one"));
    return yaml_mistake(d, "drill.lose", e);
}

int drill_take(struct yaml_doc *d, const struct raw_drill *raw, struct drill_conf *ret,
               struct err *e)
{
    if (!raw)
        return 0;
    ret->set = true;
    int rc = yaml_duration(d, "drill.every", raw->every, &ret->every_s, e);
    if (rc == 0)
        rc = take_schedule(d, raw->schedule, &ret->schedule, e);
    if (rc == 0)
        rc = take_name(d, "drill.on", raw->on, &ret->on, e);
    if (rc == 0)
        rc = take_folder(d, raw->to, &ret->to, e);
    if (rc == 0)
        rc = take_name(d, "drill.from", raw->from, &ret->from, e);
    if (rc == 0)
        rc = take_name(d, "drill.lose", raw->lose, &ret->lose, e);
    if (rc == 0)
        rc = yaml_duration(d, "drill.max-rto", raw->max_rto, &ret->max_rto_s, e);
    if (rc == 0)
        rc = yaml_duration(d, "drill.max-rpo", raw->max_rpo, &ret->max_rpo_s, e);
    return rc == 0 ? check_places(d, ret, e) : rc;
}

/* --- writing ------------------------------------------------------------------------------------ */
void drill_put(struct wbuf *w)
{
    conf_line(
        w,
        "\n# How often it is tried whether all this can be restored (PY-8.3: once a year at least),\n"
        "# and where there is room for it. With this section a timer does it; else by hand:\n"
        "# twofold drill NAME. Others: on, from, lose, max-rto, max-rpo, schedule.\n"
        "# drill: { every: 365d, to: /srv/drill }\n");
}
