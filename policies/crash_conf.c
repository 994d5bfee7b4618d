/* crash_conf.c - see crash_conf.h; the file's form is crash_yaml.c's. */
#include "policies/crash_conf.h"
#include "lib/base/i18n.h"
#include "lib/wire/hooks.h"

#include <stdlib.h>
#include <string.h>

static const char *const command_keys[CRASH_COMMANDS] = {
    [CRASH_STOP] = "stop",
    [CRASH_START] = "start",
    [CRASH_ISOLATE] = "isolate",
    [CRASH_SCAN] = "scan",
};
static const char *const standby_keys[STANDBY_COMMANDS] = {
    [STANDBY_FENCE] = "fence",
    [STANDBY_FENCED] = "fenced",
    [STANDBY_PROMOTE] = "promote",
    [STANDBY_POSITION] = "position",
    [STANDBY_CHECK] = "check",
    [STANDBY_SWITCH] = "switch",
    [STANDBY_RESEED] = "reseed",
    [STANDBY_SYNC] = "sync",
    [STANDBY_SWITCH_BACK] = "switch-back",
};
static const struct {
    const char *key;
    uint64_t s;
} limits[CRASH_LIMITS] = {
    [LIMIT_NOTIFY] = { "notify", 600 }, [LIMIT_ISOLATE] = { "isolate", 600 },
    [LIMIT_STOP] = { "stop", 600 },     [LIMIT_STANDBY] = { "standby", 900 },
    [LIMIT_SCENE] = { "scene", 3600 },  [LIMIT_FACTS] = { "facts", 300 },
    [LIMIT_GATE] = { "gate", 1800 },    [LIMIT_RESTORE] = { "restore", (uint64_t)4 * 3600 },
    [LIMIT_SCAN] = { "scan", 7200 },    [LIMIT_START] = { "start", 600 },
    [LIMIT_CHECK] = { "check", 1800 },  [LIMIT_RESEED] = { "reseed", (uint64_t)12 * 3600 },
};

const char *crash_command_key(enum crash_command_kind k)
{
    return k < CRASH_COMMANDS ? command_keys[k] : "";
}

const char *standby_command_key(enum standby_command_kind k)
{
    return k < STANDBY_COMMANDS ? standby_keys[k] : "";
}

const char *crash_limit_key(enum crash_limit k)
{
    return k < CRASH_LIMITS ? limits[k].key : "";
}

uint64_t crash_limit_s(const struct crash_conf *c, enum crash_limit k, uint64_t rto_s)
{
    if (c->limit_s[k] > 0)
        return c->limit_s[k];
    return k == LIMIT_RESTORE && rto_s > 0 ? rto_s : limits[k].s;
}

static void command_done(struct crash_command *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->words[i]);
    free(c->words);
    *c = (struct crash_command){ 0 };
}

void crash_conf_done(struct crash_conf *c)
{
    for (unsigned i = 0; i < CRASH_COMMANDS; i++)
        command_done(&c->command[i]);
    for (unsigned i = 0; i < STANDBY_COMMANDS; i++)
        command_done(&c->standby[i]);
    free(c->standby_on);
    *c = (struct crash_conf){ 0 };
}

/* --- in the settings of an incident ---------------------------------------------------------------------------- */
static void put_command(json_t *o, const char *key, const struct crash_command *c)
{
    json_t *words = c->n > 0 ? json_array() : NULL;
    for (size_t i = 0; words && i < c->n; i++)
        json_array_append_new(words, json_string(c->words[i]));
    if (words)
        json_object_set_new(o, key, words);
}

json_t *crash_conf_json(const struct crash_conf *c)
{
    json_t *o = json_object(), *standby = json_object(), *times = json_object();
    if (!o || !standby || !times) {
        json_decref(o);
        json_decref(standby);
        json_decref(times);
        return NULL;
    }
    for (unsigned i = 0; i < CRASH_COMMANDS; i++)
        put_command(o, command_keys[i], &c->command[i]);
    for (unsigned i = 0; i < STANDBY_COMMANDS; i++)
        put_command(standby, standby_keys[i], &c->standby[i]);
    for (unsigned i = 0; i < CRASH_LIMITS; i++)
        if (c->limit_s[i] > 0)
            json_object_set_new(times, limits[i].key, json_integer((json_int_t)c->limit_s[i]));
    if (c->standby_on) {
        json_object_set_new(standby, "on", json_string(c->standby_on));
        json_object_set(o, "standby", standby);
    }
    json_decref(standby);
    json_object_set_new(o, "limits", times);
    json_object_set_new(o, "approve", json_string(c->approve_two ? "two" : "one"));
    json_object_set_new(o, "strict", json_boolean(c->strict));
    return o;
}

static int take_words(const json_t *list, struct crash_command *ret, struct err *e)
{
    size_t i;
    const json_t *word;
    int rc = 0;
    json_array_foreach(list, i, word) if (rc == 0 && json_is_string(word))
        rc = hook_add(&ret->words, &ret->n, json_string_value(word), e);
    if (rc == 0 && hook_check(ret->words, ret->n, NULL, NULL) < 0)
        command_done(ret);
    return rc;
}

int crash_conf_from_json(const json_t *o, struct crash_conf *ret, struct err *e)
{
    const json_t *standby = json_object_get(o, "standby"), *times = json_object_get(o, "limits");
    const char *on = json_string_value(json_object_get(standby, "on"));
    int rc = 0;
    *ret = (struct crash_conf){ .set = json_is_object(o) };
    for (unsigned i = 0; rc == 0 && i < CRASH_COMMANDS; i++)
        rc = take_words(json_object_get(o, command_keys[i]), &ret->command[i], e);
    for (unsigned i = 0; on && rc == 0 && i < STANDBY_COMMANDS; i++)
        rc = take_words(json_object_get(standby, standby_keys[i]), &ret->standby[i], e);
    if (rc == 0 && on && !(ret->standby_on = strdup(on)))
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    for (unsigned i = 0; i < CRASH_LIMITS; i++) {
        json_int_t s = json_integer_value(json_object_get(times, limits[i].key));
        if (s > 0 && s <= MAX_CRASH_LIMIT_S)
            ret->limit_s[i] = (uint64_t)s;
    }
    const char *approve = json_string_value(json_object_get(o, "approve"));
    ret->approve_two = approve && strcmp(approve, "two") == 0;
    ret->strict = json_is_true(json_object_get(o, "strict"));
    return rc;
}
