/* hooks.c - see policies/hooks.h. */
#include "policies/hooks.h"
#include "lib/base/i18n.h"

#include <stdio.h>

static const cyaml_schema_value_t word_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
const cyaml_schema_field_t hooks_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("before", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_hooks,
                               before, n_before, &word_schema, 0, MAX_HOOK_WORDS),
    CYAML_FIELD_SEQUENCE_COUNT("after", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_hooks,
                               after, n_after, &word_schema, 0, MAX_HOOK_WORDS),
    YAML_TEXT_OPT("time-limit", struct raw_hooks, limit),
    CYAML_FIELD_END,
};

/* --- reading ------------------------------------------------------------------------------------ */
static int take_command(struct yaml_doc *d, const char *key, char **raw, unsigned n_raw,
                        char ***ret, size_t *ret_n, struct err *e)
{
    char path[64];
    size_t bad = 0;
    int rc = hook_check(raw, n_raw, &bad, e);
    snprintf(path, sizeof path, "hooks.%s.%zu", key, bad);
    if (rc < 0)
        return yaml_mistake(d, path, e);
    for (unsigned i = 0; rc == 0 && i < n_raw; i++)
        rc = hook_add(ret, ret_n, raw[i], e);
    return rc;
}

static int take_limit(struct yaml_doc *d, const char *text, unsigned *ret, struct err *e)
{
    uint64_t s = DEFAULT_HOOK_LIMIT_S;
    int rc = yaml_duration(d, "hooks.time-limit", text, &s, e);
    if (rc == 0 && s > MAX_HOOK_LIMIT_S) {
        err_set(e, ERR_CONFIG, _("\"%s\" is longer than %d minutes"), text, MAX_HOOK_LIMIT_S / 60);
        err_next(e, _("have the command start what takes longer and come back"));
        rc = yaml_mistake(d, "hooks.time-limit", e);
    }
    *ret = (unsigned)s;
    return rc;
}

int hooks_take(struct yaml_doc *d, const struct raw_hooks *raw, struct hooks *ret, struct err *e)
{
    if (!raw)
        return 0;
    if (raw->n_before == 0 && raw->n_after == 0) {
        err_set(e, ERR_CONFIG, _("\"hooks\" names no command"));
        err_next(e, _("write before: and after:, or remove it"));
        return yaml_mistake(d, "hooks", e);
    }
    int rc = take_command(d, "before", raw->before, raw->n_before, &ret->before, &ret->n_before, e);
    if (rc == 0)
        rc = take_command(d, "after", raw->after, raw->n_after, &ret->after, &ret->n_after, e);
    return rc == 0 ? take_limit(d, raw->limit, &ret->limit_s, e) : rc;
}

/* --- writing ------------------------------------------------------------------------------------ */
static int put_command(struct wbuf *w, const char *key, char *const *v, size_t n, struct err *e)
{
    int rc = 0;
    if (n > 0)
        conf_line(w, "  %s:\n", key);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        conf_line(w, "    - ");
        rc = yaml_put(w, v[i], e);
        conf_line(w, "\n");
    }
    return rc;
}

int hooks_put(struct wbuf *w, const struct hooks *h, struct err *e)
{
    conf_line(
        w,
        "\n# Commands around each run, on the source's host: to freeze a program, make a snapshot of a\n"
        "# file system, thaw. Lists of words, not lines for a shell. \"after\" is run whatever happens,\n"
        "# perhaps twice.\n");
    if (!hooks_any(h)) {
        conf_line(w, "# hooks: { before: [/usr/local/sbin/freeze-app, --now], "
                     "after: [/usr/local/sbin/thaw-app], time-limit: 5m }\n");
        return 0;
    }
    conf_line(w, "hooks:\n");
    int rc = put_command(w, "before", h->before, h->n_before, e);
    if (rc == 0)
        rc = put_command(w, "after", h->after, h->n_after, e);
    if (rc == 0 && h->limit_s > 0) {
        conf_line(w, "  time-limit: ");
        yaml_put_duration(w, h->limit_s);
        conf_line(w, "\n");
    }
    return rc;
}
