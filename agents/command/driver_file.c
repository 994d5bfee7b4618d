/* driver_file.c - drivers/NAME.yaml of the host's configuration; docs/command.md is its manual. */
#include "agents/command/inner.h"
#include "lib/base/i18n.h"
#include "policies/config.h"
#include "policies/yaml.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE "dump"
#define MAX_FILE_NAME 100

struct raw_words {
    char **v;
    unsigned n;
};
struct raw_driver {
    char *description, *user, *logs, *file, *time_limit, *min_bytes, *tried;
    struct raw_words dump, restore, check, environment;
};

static const cyaml_schema_value_t word_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
#define WORDS(key, list, count)                                                                  \
    CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_driver, \
                               list, count, &word_schema, 0, MAX_CMD_WORDS)
static const cyaml_schema_field_t driver_fields[] = {
    YAML_TEXT_OPT("description", struct raw_driver, description),
    WORDS("dump", dump.v, dump.n),
    WORDS("restore", restore.v, restore.n),
    WORDS("check", check.v, check.n),
    YAML_TEXT_OPT("logs", struct raw_driver, logs),
    YAML_TEXT_OPT("file", struct raw_driver, file),
    YAML_TEXT_OPT("user", struct raw_driver, user),
    WORDS("environment", environment.v, environment.n),
    YAML_TEXT_OPT("time-limit", struct raw_driver, time_limit),
    YAML_TEXT_OPT("min-bytes", struct raw_driver, min_bytes),
    YAML_TEXT_OPT("tried", struct raw_driver, tried),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t driver_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_driver, driver_fields),
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static void words_free(struct cmd_words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
}

void cmd_driver_free(struct cmd_driver *d)
{
    if (!d)
        return;
    words_free(&d->dump);
    words_free(&d->restore);
    words_free(&d->check);
    words_free(&d->environment);
    free(d->name);
    free(d->file);
    free(d->logs);
    free(d->user);
    free(d->text);
    free(d);
}

/* --- who may write it ----------------------------------------------------------------------------- */
static int check_owner(const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_sys(e, "%s", path);
    if ((st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return 0;
    err_set(e, ERR_REFUSED, _("others than root and the agent's user can write it"));
    err_next(e, _("give it to root, and take the right to write from others: chmod go-w %s"), path);
    return err_wrap(e, "%s", path);
}

/* Its path, once it and its folder are known to be nobody else's; owned. */
static int find(const char *name, char **ret, struct err *e)
{
    struct config_paths paths = { 0 };
    char *folder = NULL;
    if (!config_name_ok(name))
        return err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a driver file"), name);
    int rc = config_paths_find(NULL, &paths, e);
    if (rc == 0 && (asprintf(&folder, "%s/drivers", paths.config_dir) < 0 ||
                    asprintf(ret, "%s/%s.yaml", folder, name) < 0))
        rc = no_memory(e);
    config_paths_done(&paths);
    if (rc == 0 && access(*ret, F_OK) < 0) {
        rc = err_sys(e, "%s", *ret);
        err_next(
            e,
            _("copy one of the driver files that came with Twofold (the folder drivers beside its documents) "
              "to there, on the host with the data, and correct it"));
    }
    if (rc == 0)
        rc = check_owner(folder, e);
    if (rc == 0)
        rc = check_owner(*ret, e);
    free(folder);
    return rc;
}

/* --- what it says ----------------------------------------------------------------------------------- */
static int take_words(struct cmd_words *to, const struct raw_words *from, struct err *e)
{
    for (unsigned i = 0; i < from->n; i++) {
        if (!(to->v[to->n] = strdup(from->v[i])))
            return no_memory(e);
        to->n++;
    }
    return 0;
}

static int take_text(char **to, const char *text, struct err *e)
{
    return text && !(*to = strdup(text)) ? no_memory(e) : 0;
}

static int check_file_name(struct yaml_doc *y, const char *file, struct err *e)
{
    if (file[0] && file[0] != '.' && !strchr(file, '/') && strlen(file) <= MAX_FILE_NAME)
        return 0;
    (void)err_set(e, ERR_CONFIG, _("\"%s\" is not the name of a file"), file);
    return yaml_mistake(y, "file", e);
}

static int check_texts(struct yaml_doc *y, const struct cmd_driver *d, struct err *e)
{
    if (d->dump.n == 0) {
        (void)err_set(e, ERR_CONFIG, _("it has no \"%s\""), "dump");
        (void)err_next(e, _("write the program and its words as a list: dump: [pg_dump, budget]"));
        return yaml_mistake(y, "dump", e);
    }
    if (d->logs && d->logs[0] != '/') {
        (void)err_set(e, ERR_CONFIG, _("\"%s\" is not a whole path"), d->logs);
        return yaml_mistake(y, "logs", e);
    }
    if (d->user && !getpwnam(d->user)) {
        (void)err_set(e, ERR_CONFIG, _("there is no user \"%s\" on this host"), d->user);
        return yaml_mistake(y, "user", e);
    }
    for (size_t i = 0; i < d->environment.n; i++) {
        const char *equals = strchr(d->environment.v[i], '=');
        if (equals && equals > d->environment.v[i])
            continue;
        (void)err_set(e, ERR_CONFIG, _("\"%s\" is not of the form NAME=VALUE"),
                      d->environment.v[i]);
        return yaml_mistake(y, "environment", e);
    }
    return check_file_name(y, d->file, e);
}

static int take(struct yaml_doc *y, const struct raw_driver *raw, struct cmd_driver *d,
                struct err *e)
{
    const char *text = yaml_source(y, &d->text_len);
    d->time_limit_s = CMD_TIME_LIMIT_S;
    d->min_bytes = 1;
    d->tried = true;
    if (!(d->text = malloc(d->text_len + 1)))
        return no_memory(e);
    memcpy(d->text, text, d->text_len);
    int rc = take_words(&d->dump, &raw->dump, e);
    if (rc == 0)
        rc = take_words(&d->restore, &raw->restore, e);
    if (rc == 0)
        rc = take_words(&d->check, &raw->check, e);
    if (rc == 0)
        rc = take_words(&d->environment, &raw->environment, e);
    if (rc == 0)
        rc = take_text(&d->logs, raw->logs, e);
    if (rc == 0)
        rc = take_text(&d->user, raw->user, e);
    if (rc == 0)
        rc = take_text(&d->file, raw->file ? raw->file : DEFAULT_FILE, e);
    if (rc == 0)
        rc = yaml_duration(y, "time-limit", raw->time_limit, &d->time_limit_s, e);
    if (rc == 0)
        rc = yaml_size(y, "min-bytes", raw->min_bytes, &d->min_bytes, e);
    if (rc == 0)
        rc = yaml_bool(y, "tried", raw->tried, &d->tried, e);
    return rc == 0 ? check_texts(y, d, e) : rc;
}

int cmd_driver_load(const char *name, struct cmd_driver **ret, struct err *e)
{
    struct cmd_driver *d = calloc(1, sizeof *d);
    struct yaml_doc *y = NULL;
    void *raw = NULL;
    char *path = NULL;
    int rc = d && (d->name = strdup(name)) ? find(name, &path, e) : no_memory(e);
    if (rc == 0)
        rc = yaml_read(path, &y, e);
    if (rc == 0)
        rc = yaml_load(y, &driver_schema, &raw, e);
    if (rc == 0)
        rc = take(y, raw, d, e);
    if (raw)
        yaml_free_value(&driver_schema, raw);
    yaml_close(y);
    free(path);
    if (rc < 0)
        cmd_driver_free(d);
    else
        *ret = d;
    return rc;
}
