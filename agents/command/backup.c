/* backup.c - dumps of programs as a source. What a program writes goes from its pipe into chunks, and is on no disk. One that fails, is
 * killed, takes too long or writes too little ends the whole run: half a dump is no backup. */
#include "agents/command/inner.h"
#include "lib/base/i18n.h"
#include "lib/crypto/crypto.h"
#include "lib/vault/manifest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NOTE_BYTES 2048

struct dump {
    struct cmd_driver *driver;
    struct cmd *all;
    char *name, *log_name; /* owned; in the manifest */
    struct cmd_run run;
    bool begun, done;
    uint64_t bytes, waited;
    int64_t began_s, ended_s;
};

struct cmd {
    const struct source_spec *spec;
    struct source_env env;
    struct dump dumps[MAX_CMD_DRIVERS]; /* ascending by name */
    size_t n;
    char *facts;
    struct source_root early[MAX_CMD_DRIVERS], late[MAX_CMD_DRIVERS + 1];
    size_t n_late;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static void driver_free(void *ctx)
{
    struct cmd *c = ctx;
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        struct dump *d = &c->dumps[i];
        if (d->begun)
            cmd_stop(&d->run);
        cmd_driver_free(d->driver);
        free(d->name);
        free(d->log_name);
    }
    free(c->facts);
    free(c);
}

/* --- a dump as a stream ----------------------------------------------------------------------------- */
static int on_tick(void *ctx, struct err *e)
{
    struct dump *d = ctx;
    struct source_env *env = &d->all->env;
    d->waited++; /* it lives; its own time limit says for how long it may be silent */
    return env->tick ? env->tick(env->ctx, d->name, strlen(d->name), d->bytes + d->waited, e) : 0;
}

static int begin_dump(struct dump *d, struct err *e)
{
    const struct cmd_driver *f = d->driver;
    d->began_s = sys_realtime_s();
    d->run.tick = on_tick;
    d->run.ctx = d;
    int rc = cmd_start(&d->run, f, &f->dump, -1, true, NULL, f->time_limit_s, e);
    d->begun = rc == 0;
    return rc;
}

static int end_dump(struct dump *d, struct err *e)
{
    char tail[CMD_TAIL_BYTES + 1];
    struct source_env *env = &d->all->env;
    cmd_tail(&d->run, tail);
    cmd_stop(&d->run);
    d->done = true;
    d->ended_s = sys_realtime_s();
    if (d->bytes < d->driver->min_bytes) {
        err_set(e, ERR_FAILED, _("it ended well, but wrote only %llu bytes%s%s"),
                (unsigned long long)d->bytes, tail[0] ? ": " : "", tail);
        return err_next(e, _("run it by hand on that host; if so little is right, write min-bytes: "
                             "into the driver file"));
    }
    return tail[0] ? env->note(env->ctx, false, d->name, strlen(d->name), tail, e) : 0;
}

static ssize_t read_dump(void *ctx, void *p, size_t n, struct err *e)
{
    struct dump *d = ctx;
    ssize_t got = 0;
    if (!d->begun && begin_dump(d, e) < 0)
        got = -(ssize_t)e->code;
    if (d->begun && !d->done)
        got = cmd_read(&d->run, p, n, e);
    if (got > 0)
        d->bytes += (uint64_t)got;
    if (got == 0 && !d->done)
        got = end_dump(d, e);
    return got < 0 ? err_wrap(e, "%s: %s", d->driver->name, d->driver->dump.v[0]) : got;
}

/* --- beginning ------------------------------------------------------------------------------------------ */
static int by_name(const void *a, const void *b)
{
    const struct dump *x = a, *y = b;
    return path_cmp(x->name, strlen(x->name), y->name, strlen(y->name));
}

static int add_driver(struct cmd *c, const char *name, struct err *e)
{
    if (c->n == MAX_CMD_DRIVERS)
        return err_set(e, ERR_LIMIT, _("more than %d driver files"), MAX_CMD_DRIVERS);
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->dumps[i].driver->name, name) == 0)
            return err_set(e, ERR_CONFIG, _("the driver file \"%s\" is named twice"), name);
    struct dump *d = &c->dumps[c->n];
    int rc = cmd_driver_load(name, &d->driver, e);
    if (rc < 0)
        return err_wrap(e, "%s", name);
    c->n++;
    d->run = (struct cmd_run){ .out_fd = -1, .err_fd = -1 };
    if (asprintf(&d->name, CMD_DUMPS "/%s/%s", name, d->driver->file) < 0)
        d->name = NULL;
    if (asprintf(&d->log_name, CMD_LOGS "/%s", name) < 0)
        d->log_name = NULL;
    return d->name && d->log_name ? 0 : no_memory(e);
}

static int load_all(struct cmd *c, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->spec->n; i++)
        if (strcmp(c->spec->v[i].key, CMD_KEY) == 0)
            rc = add_driver(c, c->spec->v[i].value, e);
    if (rc == 0 && c->n == 0)
        rc = err_set(e, ERR_CONFIG, _("\"%s\" has no \"%s\""), CMD_ROOT, CMD_KEY);
    if (rc < 0)
        return rc;
    qsort(c->dumps, c->n, sizeof *c->dumps, by_name);
    for (size_t i = 0; i < c->n; i++) {
        c->dumps[i].all = c;
        c->early[i] = (struct source_root){ .name = c->dumps[i].name,
                                            .read = read_dump,
                                            .ctx = &c->dumps[i] };
    }
    return 0;
}

static int driver_begin(const struct source_spec *spec, const struct source_env *env, void **ret,
                        struct err *e)
{
    struct cmd *c = calloc(1, sizeof *c);
    if (!c)
        return no_memory(e);
    c->spec = spec;
    c->env = *env;
    int rc = load_all(c, e);
    if (rc < 0)
        driver_free(c);
    else
        *ret = c;
    return rc;
}

/* --- the end ---------------------------------------------------------------------------------------------- */
static int make_facts(struct cmd *c, struct err *e)
{
    json_t *all = json_array();
    for (size_t i = 0; i < c->n; i++) {
        const struct dump *d = &c->dumps[i];
        char hex[ID_HEX_BYTES];
        struct id sum;
        sha256_of(d->driver->text, d->driver->text_len, &sum);
        json_array_append_new(
            all, json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:b}", "driver", d->driver->name, "file",
                           d->name, "bytes", (json_int_t)d->bytes, "started_at",
                           (json_int_t)d->began_s, "ended_at", (json_int_t)d->ended_s,
                           "driver_sha256", id_hex(&sum, hex), "logs", d->driver->logs != NULL));
    }
    json_t *o = json_pack("{s:s, s:o}", "kind", CMD_ROOT, "dumps", all);
    c->facts = o && json_array_size(all) == c->n ? json_dumps(o, JSON_INDENT(2)) : NULL;
    json_decref(o);
    return c->facts ? 0 : no_memory(e);
}

static int driver_roots(void *ctx, bool late, const struct source_root **ret, size_t *ret_n,
                        struct err *e)
{
    struct cmd *c = ctx;
    (void)e;
    *ret = late ? c->late : c->early;
    *ret_n = late ? c->n_late : c->n;
    return 0;
}

/* Logs come after all dumps: those that cover the time since are among them. */
static int driver_end(void *ctx, struct err *e)
{
    struct cmd *c = ctx;
    int rc = make_facts(c, e);
    if (rc < 0)
        return rc;
    c->late[c->n_late++] = (struct source_root){ .name = CMD_ROOT "/" CMD_FACTS,
                                                 .bytes = c->facts,
                                                 .bytes_len = strlen(c->facts) };
    for (size_t i = 0; i < c->n; i++)
        if (c->dumps[i].driver->logs)
            c->late[c->n_late++] = (struct source_root){ .name = c->dumps[i].log_name,
                                                         .place = c->dumps[i].driver->logs,
                                                         .may_change = true };
    return 0;
}

/* --- the probe ---------------------------------------------------------------------------------------------- */
static int tell(const struct source_env *env, bool problem, const char *name, const char *text,
                struct err *e)
{
    char path[CMD_TAIL_BYTES];
    snprintf(path, sizeof path, CMD_DUMPS "/%s", name);
    return env->note(env->ctx, problem, path, strlen(path), text, e);
}

static int tell_err(const struct source_env *env, const char *name, const struct err *why,
                    struct err *e)
{
    char text[MAX_NOTE_BYTES];
    snprintf(text, sizeof text, "%s%s%s; %s", why->what, why->what[0] ? ": " : "", why->why,
             why->next);
    return tell(env, true, name, text, e);
}

static int probe_driver(const struct source_env *env, const struct cmd_driver *d, struct err *e)
{
    struct cmd_run run = { .out_fd = -1, .err_fd = -1 };
    struct err why = ERR_INIT;
    int rc = 0;
    if (d->check.n > 0 &&
        (cmd_start(&run, d, &d->check, -1, false, NULL, CMD_CHECK_LIMIT_S, &why) < 0 ||
         cmd_wait(&run, &why) < 0)) {
        err_wrap(&why, "%s", d->check.v[0]);
        rc = tell_err(env, d->name, &why, e);
    }
    if (rc == 0 && d->check.n == 0)
        rc = tell(env, false, d->name,
                  _("its driver file has no \"check\": nothing was asked of it"), e);
    if (rc == 0 && d->logs && access(d->logs, R_OK | X_OK) < 0) {
        err_sys(&why, "%s", d->logs);
        rc = tell_err(env, d->name, &why, e);
    }
    if (rc == 0 && d->restore.n == 0)
        rc = tell(env, false, d->name,
                  _("its driver file has no \"restore\": a dump is loaded by hand"), e);
    if (rc == 0 && !d->tried)
        rc = tell(
            env, false, d->name,
            _("this driver file was never tried by its authors: try a backup, and a restore to "
              "a machine for tests, before you rely on it"),
            e);
    return rc;
}

static int driver_probe(const struct source_spec *spec, const struct source_env *env, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < spec->n; i++) {
        struct cmd_driver *d = NULL;
        struct err why = ERR_INIT;
        if (strcmp(spec->v[i].key, CMD_KEY) != 0)
            continue;
        rc = cmd_driver_load(spec->v[i].value, &d, &why) < 0
                 ? tell_err(env, spec->v[i].value, &why, e)
                 : probe_driver(env, d, e);
        cmd_driver_free(d);
    }
    return rc;
}

static const struct source_setting settings[] = {
    { CMD_KEY, SETTING_NAMES, true },
    { NULL, SETTING_PLAIN, false },
};
static const struct source_setting restore_settings[] = {
    { "load", SETTING_RUNS, false }, /* a driver file whose "restore" is to be run */
    { NULL, SETTING_PLAIN, false },
};

const struct source_driver source_command = {
    .kind = CMD_ROOT,
    .settings = settings,
    .restore_settings = restore_settings,
    .begin = driver_begin,
    .probe = driver_probe,
    .roots = driver_roots,
    .end = driver_end,
    .free = driver_free,
    .restore_check = cmd_restore_check,
    .restore = cmd_restore,
};
