/* restore.c - a restored dump is a file. Where the restore was told so (load, the name of a driver file of this host), that driver's program takes
 * it from its standard input; then its check is run. Each has a line in the report. */
#include "agents/command/inner.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/vault/manifest.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int bad_facts(struct err *e)
{
    return err_set(e, ERR_DAMAGED, _("facts.json of the backup cannot be read"));
}

static int read_facts(const struct source_restore *r, int folder_fd, json_t **ret, struct err *e)
{
    uint8_t *text = NULL;
    size_t n = 0;
    json_error_t why;
    int rc = sys_read_plain(folder_fd, CMD_FACTS, MAX_CMD_FACTS, &text, &n, e);
    if (rc < 0)
        return err_wrap(e, "%s/" CMD_FACTS, r->folder);
    *ret = json_loadb((const char *)text, n, 0, &why);
    free(text);
    return json_is_array(json_object_get(*ret, "dumps")) ? 0 : bad_facts(e);
}

/* --- one dump ----------------------------------------------------------------------------------- */
static bool is_to_load(const struct source_restore *r, const char *driver)
{
    for (size_t i = 0; i < r->spec->n; i++)
        if (strcmp(r->spec->v[i].key, "load") == 0 && strcmp(r->spec->v[i].value, driver) == 0)
            return true;
    return false;
}

static int run_hook(const struct source_restore *r, const struct cmd_driver *d,
                    const struct cmd_words *words, int in_fd, uint64_t limit_s, struct err *e)
{
    struct cmd_run run = { .out_fd = -1, .err_fd = -1 };
    char tail[CMD_TAIL_BYTES + 1];
    int rc = cmd_start(&run, d, words, in_fd, false, r->folder, limit_s, e);
    if (rc == 0)
        rc = cmd_wait(&run, e);
    if (rc < 0)
        return err_wrap(e, "%s: %s", d->name, words->v[0]);
    cmd_tail(&run, tail);
    if (tail[0])
        report_note(r->report, NULL, 0, "%s: %s: %s", d->name, words->v[0], tail);
    return 0;
}

/* A program that ends well need not have loaded anything. The position in the file is its and ours. */
static int check_taken(const struct source_restore *r, const struct cmd_driver *d, int fd,
                       uint64_t bytes, struct err *e)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at < 0)
        return err_sys(e, "%s: %s", d->name, d->restore.v[0]);
    if (at == 0 && bytes > 0) {
        err_set(e, ERR_FAILED, _("it ended well, but has read nothing of the dump"));
        err_next(e, _("\"restore\" of the driver file must read its standard input, without "
                      "opening it anew: run it by hand"));
        return err_wrap(e, "%s: %s", d->name, d->restore.v[0]);
    }
    if ((uint64_t)at < bytes)
        report_problem(r->report, NULL, 0,
                       _("%s: %s ended well, but has read only %llu of %llu bytes of the dump"),
                       d->name, d->restore.v[0], (unsigned long long)at, (unsigned long long)bytes);
    else
        report_note(r->report, NULL, 0, _("%s: the dump was loaded"), d->name);
    return 0;
}

static int load(const struct source_restore *r, const char *name, int fd, uint64_t bytes,
                struct err *e)
{
    struct cmd_driver *d = NULL;
    int rc = cmd_driver_load(name, &d, e);
    if (rc == 0)
        rc = run_hook(r, d, &d->restore, fd, d->time_limit_s, e);
    if (rc == 0)
        rc = check_taken(r, d, fd, bytes, e);
    if (rc == 0 && d->check.n > 0) {
        rc = run_hook(r, d, &d->check, -1, CMD_CHECK_LIMIT_S, e);
        if (rc == 0)
            report_note(r->report, NULL, 0, _("%s: its check ended well"), name);
    }
    cmd_driver_free(d);
    return rc;
}

static int dump_step(const struct source_restore *r, int folder_fd, json_t *dump, struct err *e)
{
    const char *file = json_string_value(json_object_get(dump, "file"));
    const char *name = json_string_value(json_object_get(dump, "driver"));
    json_int_t bytes = json_integer_value(json_object_get(dump, "bytes"));
    size_t n = strlen(CMD_ROOT "/");
    struct stat st;
    if (!file || !name || !path_ok(file, strlen(file)) || strncmp(file, CMD_ROOT "/", n) != 0)
        return bad_facts(e);
    int fd = sys_open_beneath(folder_fd, file + n, O_RDONLY, 0, e), rc = fd < 0 ? fd : 0;
    if (rc == 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != bytes))
        rc = err_set(e, ERR_DAMAGED, _("it has not the size that the dump had"));
    if (rc < 0)
        err_wrap(e, "%s/%s", r->folder, file + n);
    else if (is_to_load(r, name))
        rc = load(r, name, fd, (uint64_t)bytes, e);
    else
        report_note(r->report, file, strlen(file), _("the dump of %s; --load=%s would load it"),
                    name, name);
    sys_close_quiet(fd);
    return rc;
}

/* --- the interface ------------------------------------------------------------------------------ */
int cmd_restore_check(const struct source_restore *r, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->spec->n; i++) {
        struct cmd_driver *d = NULL;
        if (strcmp(r->spec->v[i].key, "load") != 0)
            continue;
        rc = cmd_driver_load(r->spec->v[i].value, &d, e);
        if (rc == 0 && d->restore.n == 0) {
            err_set(e, ERR_CONFIG, _("the driver file has no \"restore\""));
            rc = err_next(e, _("write it there, or leave --load out and load the dump by hand"));
        }
        cmd_driver_free(d);
        if (rc < 0)
            err_wrap(e, "%s", r->spec->v[i].value);
    }
    return rc;
}

static json_t *dump_of(json_t *dumps, const char *driver)
{
    for (size_t i = 0; i < json_array_size(dumps); i++) {
        json_t *dump = json_array_get(dumps, i);
        const char *name = json_string_value(json_object_get(dump, "driver"));
        if (name && strcmp(name, driver) == 0)
            return dump;
    }
    return NULL;
}

/* What was asked for must be there before anything is loaded. */
static int check_asked(const struct source_restore *r, json_t *dumps, struct err *e)
{
    for (size_t i = 0; i < r->spec->n; i++)
        if (strcmp(r->spec->v[i].key, "load") == 0 && !dump_of(dumps, r->spec->v[i].value))
            return err_set(e, ERR_USAGE, _("the backup has no dump of \"%s\""),
                           r->spec->v[i].value);
    return 0;
}

/* First those that stay files, then those that are loaded, in the order in which they were asked for. */
static int all_steps(const struct source_restore *r, int fd, json_t *dumps, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(dumps); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(dumps, i), "driver"));
        if (!name || !is_to_load(r, name))
            rc = dump_step(r, fd, json_array_get(dumps, i), e);
    }
    for (size_t i = 0; rc == 0 && i < r->spec->n; i++)
        if (strcmp(r->spec->v[i].key, "load") == 0)
            rc = dump_step(r, fd, dump_of(dumps, r->spec->v[i].value), e);
    return rc;
}

int cmd_restore(const struct source_restore *r, struct err *e)
{
    json_t *facts = NULL;
    int fd = sys_open_folder(r->folder, r->resolved, e);
    if (fd < 0)
        return err_wrap(e, "%s", r->folder);
    int rc = read_facts(r, fd, &facts, e);
    json_t *dumps = json_object_get(facts, "dumps");
    if (rc == 0)
        rc = check_asked(r, dumps, e);
    if (rc == 0)
        rc = all_steps(r, fd, dumps, e);
    json_decref(facts);
    sys_close_quiet(fd);
    return rc;
}
