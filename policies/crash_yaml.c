/* crash_yaml.c - see crash_yaml.h. */
#include "policies/crash_yaml.h"
#include "lib/base/i18n.h"
#include "lib/wire/hooks.h"

#include <stdio.h>

static const cyaml_schema_value_t word_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
/* NOLINTBEGIN(bugprone-macro-parentheses): types and members cannot stand in them */
#define WORDS(key, type, member)                                                              \
    CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member.v, \
                               member.n, &word_schema, 0, MAX_HOOK_WORDS)
/* NOLINTEND(bugprone-macro-parentheses) */
#define STANDBY(key, kind) WORDS(key, struct raw_standby, command[kind])
#define LIMIT(key, kind) YAML_TEXT_OPT(key, struct raw_limits, limit[kind])

static const cyaml_schema_field_t standby_fields[] = {
    YAML_TEXT("on", struct raw_standby, on),
    STANDBY("fence", STANDBY_FENCE),
    STANDBY("fenced", STANDBY_FENCED),
    STANDBY("promote", STANDBY_PROMOTE),
    STANDBY("position", STANDBY_POSITION),
    STANDBY("check", STANDBY_CHECK),
    STANDBY("switch", STANDBY_SWITCH),
    STANDBY("reseed", STANDBY_RESEED),
    STANDBY("sync", STANDBY_SYNC),
    STANDBY("switch-back", STANDBY_SWITCH_BACK),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t limits_fields[] = {
    LIMIT("notify", LIMIT_NOTIFY),
    LIMIT("isolate", LIMIT_ISOLATE),
    LIMIT("stop", LIMIT_STOP),
    LIMIT("standby", LIMIT_STANDBY),
    LIMIT("scene", LIMIT_SCENE),
    LIMIT("facts", LIMIT_FACTS),
    LIMIT("gate", LIMIT_GATE),
    LIMIT("restore", LIMIT_RESTORE),
    LIMIT("scan", LIMIT_SCAN),
    LIMIT("start", LIMIT_START),
    LIMIT("check", LIMIT_CHECK),
    LIMIT("reseed", LIMIT_RESEED),
    CYAML_FIELD_END,
};
const cyaml_schema_field_t crash_fields[] = {
    WORDS("stop", struct raw_crash, command[CRASH_STOP]),
    WORDS("start", struct raw_crash, command[CRASH_START]),
    WORDS("isolate", struct raw_crash, command[CRASH_ISOLATE]),
    WORDS("scan", struct raw_crash, command[CRASH_SCAN]),
    CYAML_FIELD_MAPPING_PTR("standby", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_crash,
                            standby, standby_fields),
    CYAML_FIELD_MAPPING_PTR("limits", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_crash,
                            limits, limits_fields),
    YAML_TEXT_OPT("approve", struct raw_crash, approve),
    YAML_TEXT_OPT("strict", struct raw_crash, strict),
    CYAML_FIELD_END,
};
static const char *const approvals[] = { "one", "two", NULL };

/* --- reading ------------------------------------------------------------------------------------ */
static int take_command(struct yaml_doc *d, const char *within, const char *key,
                        const struct raw_words *raw, struct crash_command *ret, struct err *e)
{
    char path[96];
    size_t bad = 0;
    int rc = hook_check(raw->v, raw->n, &bad, e);
    snprintf(path, sizeof path, "%s.%s.%zu", within, key, bad);
    if (rc < 0)
        return yaml_mistake(d, path, e);
    for (unsigned i = 0; rc == 0 && i < raw->n; i++)
        rc = hook_add(&ret->words, &ret->n, raw->v[i], e);
    return rc;
}

static int take_standby(struct yaml_doc *d, const struct raw_standby *raw, struct crash_conf *ret,
                        struct err *e)
{
    if (!raw)
        return 0;
    int rc = yaml_copy(d, "crash.standby.on", raw->on, &ret->standby_on, e);
    if (rc == 0 && !config_name_ok(ret->standby_on)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of an agent"), ret->standby_on);
        err_next(e, _("write the name of a file in agents/, without .yaml"));
        rc = yaml_mistake(d, "crash.standby.on", e);
    }
    for (unsigned i = 0; rc == 0 && i < STANDBY_COMMANDS; i++)
        rc = take_command(d, "crash.standby", standby_command_key(i), &raw->command[i],
                          &ret->standby[i], e);
    return rc;
}

static int take_limits(struct yaml_doc *d, const struct raw_limits *raw, struct crash_conf *ret,
                       struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; raw && rc == 0 && i < CRASH_LIMITS; i++) {
        char path[64];
        snprintf(path, sizeof path, "crash.limits.%s", crash_limit_key(i));
        rc = yaml_duration(d, path, raw->limit[i], &ret->limit_s[i], e);
        if (rc == 0 && ret->limit_s[i] > MAX_CRASH_LIMIT_S) {
            err_set(e, ERR_CONFIG, _("\"%s\" is longer than a day"), raw->limit[i]);
            err_next(e, _("write a time of at most 24h"));
            rc = yaml_mistake(d, path, e);
        }
    }
    return rc;
}

int crash_take(struct yaml_doc *d, const struct raw_crash *raw, struct crash_conf *ret,
               struct err *e)
{
    unsigned approve = 0;
    int rc = 0;
    if (!raw)
        return 0;
    ret->set = true;
    for (unsigned i = 0; rc == 0 && i < CRASH_COMMANDS; i++)
        rc = take_command(d, "crash", crash_command_key(i), &raw->command[i], &ret->command[i], e);
    if (rc == 0)
        rc = take_standby(d, raw->standby, ret, e);
    if (rc == 0)
        rc = take_limits(d, raw->limits, ret, e);
    if (rc == 0)
        rc = yaml_choice(d, "crash.approve", raw->approve, approvals, &approve, e);
    ret->approve_two = approve == 1;
    return rc == 0 ? yaml_bool(d, "crash.strict", raw->strict, &ret->strict, e) : rc;
}

/* --- writing ------------------------------------------------------------------------------------ */
static int put_command(struct wbuf *w, const char *indent, const char *key,
                       const struct crash_command *c, struct err *e)
{
    int rc = 0;
    if (c->n > 0)
        conf_line(w, "%s%s: [", indent, key);
    for (size_t i = 0; rc == 0 && i < c->n; i++) {
        conf_line(w, "%s", i > 0 ? ", " : "");
        rc = yaml_put(w, c->words[i], e);
    }
    if (c->n > 0)
        conf_line(w, "]\n");
    return rc;
}

int crash_put(struct wbuf *w, const struct crash_conf *c, struct err *e)
{
    int rc = 0;
    conf_line(
        w,
        "\n# What twofold crash runs on the source's host, how long its steps may take, and who must\n"
        "# agree (approve: two). Lists of words, not lines for a shell. Where there is no command a\n"
        "# person does it, and says so.\n");
    if (!c->set) {
        conf_line(w, "# crash:\n"
                     "#   stop: [/usr/bin/systemctl, stop, postgresql]\n"
                     "#   start: [/usr/bin/systemctl, start, postgresql]\n"
                     "#   limits: { restore: 4h, gate: 30m }\n");
        return 0;
    }
    conf_line(w, "crash:\n");
    for (unsigned i = 0; rc == 0 && i < CRASH_COMMANDS; i++)
        rc = put_command(w, "  ", crash_command_key(i), &c->command[i], e);
    if (c->standby_on)
        conf_line(w, "  standby:\n    on: %s\n", c->standby_on);
    for (unsigned i = 0; rc == 0 && i < STANDBY_COMMANDS; i++)
        rc = put_command(w, "    ", standby_command_key(i), &c->standby[i], e);
    bool any = false;
    for (unsigned i = 0; i < CRASH_LIMITS; i++)
        if (c->limit_s[i] > 0) {
            conf_line(w, "%s    %s: ", any ? "" : "  limits:\n", crash_limit_key(i));
            yaml_put_duration(w, c->limit_s[i]);
            conf_line(w, "\n");
            any = true;
        }
    conf_line(w, "  approve: %s\n  strict: %s\n", c->approve_two ? "two" : "one",
              c->strict ? "true" : "false");
    return rc;
}
