/* schedule.c - from the configuration to the files that systemd reads; see schedule.h. They are brought to the disk by
 * schedule_files.c. */
#include "orchestrator/schedule.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/calendar.h"
#include "orchestrator/logs/keep.h"
#include "orchestrator/queue.h"
#include "orchestrator/text.h"
#include "policies/settings.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_POLICY_BYTES ((size_t)1 << 20)
#define CHECK_TIMER "twofold-check.timer" /* notices when twofoldd is dead */
#define UNITS "/" SCHEDULE_UNITS "/"

struct making {
    const struct config_paths *paths;
    const char *root;
    struct schedule *s;
    struct wbuf writable; /* lines for ReadWritePaths */
    struct err *e;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int add(void **list, size_t *n, size_t size, const void *one, struct err *e)
{
    if ((*n & (*n - 1)) == 0) { /* a power of two, or nothing: it is full */
        char *grown = realloc(*list, (*n ? 2 * *n : 1) * size);
        if (!grown)
            return no_memory(e);
        *list = grown;
    }
    memcpy((char *)*list + (*n)++ * size, one, size);
    return 0;
}

/* --- the timers ------------------------------------------------------------------------------------------------- */
static int add_timer(struct making *m, enum job_kind kind, const char *target, const char *spec)
{
    struct schedule_timer t = { .kind = kind, .spec = strdup(spec) };
    if (!t.spec)
        return no_memory(m->e);
    snprintf(t.target, sizeof t.target, "%s", target);
    snprintf(t.unit, sizeof t.unit, "twofold-%s%s%s.timer", job_kind_name(kind),
             kind == JOB_PAGE ? "" : "@", t.target);
    int rc = add((void **)&m->s->timers, &m->s->n_timers, sizeof t, &t, m->e);
    if (rc < 0)
        free(t.spec);
    return rc;
}

/* The line that says "schedule:"; 0: not found. */
static int line_of_schedule(const char *file)
{
    uint8_t *text = NULL;
    size_t n = 0;
    int line = 0, at = 0;
    char *rest = NULL;
    if (sys_read_file(AT_FDCWD, file, MAX_POLICY_BYTES, &text, &n, NULL) < 0)
        return 0;
    for (char *p = (char *)text; p && at == 0; p = rest) {
        rest = strchr(p, '\n');
        rest = rest ? rest + 1 : NULL;
        line++;
        if (strncmp(p, "schedule:", 9) == 0)
            at = line;
    }
    free(text);
    return at;
}

static int say_where(struct making *m, const struct schedule_timer *t)
{
    char *file = text_print("%s/policies/%s.yaml", m->paths->config_dir, t->target);
    int line = t->kind == JOB_BACKUP ? line_of_schedule(file) : 0;
    if (line)
        err_wrap(m->e, _("%s, line %d"), file, line);
    else
        err_wrap(m->e, "%s", file);
    free(file);
    return -m->e->code;
}

/* systemd-analyze is asked once for each different expression. */
static int fill_next(struct making *m, struct schedule_timer *t)
{
    int64_t at[CALENDAR_BATCH];
    size_t n = 0;
    for (struct schedule_timer *o = m->s->timers; o < t; o++)
        if (strcmp(o->spec, t->spec) == 0) {
            t->next_s = o->next_s;
            return 0;
        }
    int rc = calendar_next(t->spec, sys_realtime_s(), at, &n, m->e);
    if (rc == -ERR_ABSENT) /* nobody here can tell */
        return 0;
    if (rc == 0)
        t->next_s = n ? at[0] : 0;
    return rc < 0 && (t->kind == JOB_BACKUP || t->kind == JOB_DRILL) ? say_where(m, t) : rc;
}

void schedule_log_unit(const char *policy, char out[MAX_NAME + 32])
{
    snprintf(out, MAX_NAME + 32, "twofold-logs@%s.service", policy);
}

static int add_log(struct making *m, const char *policy)
{
    struct schedule_log l = { 0 };
    snprintf(l.policy, sizeof l.policy, "%s", policy);
    schedule_log_unit(policy, l.unit);
    return add((void **)&m->s->logs, &m->s->n_logs, sizeof l, &l, m->e);
}

static int on_policy(void *ctx, const char *name)
{
    struct making *m = ctx;
    struct policy *p = NULL;
    unsigned interval_ms;
    int rc = policy_load(m->paths, name, &p, m->e);
    if (rc == 0 && p->schedule)
        rc = add_timer(m, JOB_BACKUP, name, p->schedule);
    if (rc == 0 && p->drill.set)
        rc = add_timer(m, JOB_DRILL, name, p->drill.schedule ? p->drill.schedule : DRILL_SCHEDULE);
    if (rc == 0 && logs_of_policy(p, &interval_ms))
        rc = add_log(m, name);
    policy_free(p);
    return rc;
}

/* Folders that are not there (a disk that is carried) are no mistake, hence the "-". */
static void may_write(struct making *m, const char *folder)
{
    if (!folder || folder[0] != '/' || strpbrk(folder, "\"\\\n"))
        return;
    wb_bytes(&m->writable, "ReadWritePaths=-\"", 17);
    for (const char *p = folder; *p; p++) {
        if (*p == '%')
            wb_u8(&m->writable, '%');
        wb_u8(&m->writable, (uint8_t)*p);
    }
    wb_bytes(&m->writable, "\"\n", 2);
}

static int on_vault(void *ctx, const char *name)
{
    struct making *m = ctx;
    struct vault_conf *v = NULL;
    int rc = vault_conf_load(m->paths, name, &v, m->e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++) {
        const char *url = v->copies[i].url;
        may_write(m, strncmp(url, "file://", 7) == 0 ? url + 7 : url);
    }
    if (rc == 0)
        rc = add_timer(m, JOB_SCRUB, name, SCRUB_SCHEDULE);
    if (rc == 0)
        rc = add_timer(m, JOB_PRUNE, name, PRUNE_SCHEDULE);
    vault_conf_free(v);
    return rc;
}

static void may_write_beside(struct making *m, const char *file)
{
    char *copy = file ? strdup(file) : NULL;
    if (copy)
        may_write(m, dirname(copy));
    free(copy);
}

static int make_timers(struct making *m)
{
    struct settings *s = NULL;
    int rc = settings_load(m->paths, &s, m->e);
    if (rc == 0)
        rc = policy_each(m->paths, on_policy, m, m->e);
    if (rc == 0)
        rc = vault_conf_each(m->paths, on_vault, m, m->e);
    if (rc == 0) {
        may_write_beside(m, s->page);
        may_write_beside(m, s->metrics);
        may_write_beside(m, s->heartbeat_file);
        rc = s->page ? add_timer(m, JOB_PAGE, "", PAGE_SCHEDULE) : 0;
    }
    for (size_t i = 0; rc == 0 && i < m->s->n_timers; i++)
        rc = fill_next(m, &m->s->timers[i]);
    settings_free(s);
    return rc;
}

/* --- the files --------------------------------------------------------------------------------------------------- */
/* Takes both texts. */
static int add_file(struct making *m, char *path, char *content, bool link, const char *unit)
{
    struct schedule_file f = { path, content, link, unit };
    int rc = path && content ? add((void **)&m->s->files, &m->s->n_files, sizeof f, &f, m->e)
                             : no_memory(m->e);
    if (rc < 0) {
        free(path);
        free(content);
    }
    return rc;
}

/* Where the unit file lies, as the system below root sees it. */
static int find_unit(struct making *m, const char *name, char **ret)
{
    static const char *const folders[] = { "/etc/systemd/system", "/run/systemd/system",
                                           "/usr/local/lib/systemd/system", "/lib/systemd/system",
                                           "/usr/lib/systemd/system" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = text_print("%s%s/%s", m->root, folders[i], name);
        bool there = access(path, F_OK) == 0;
        free(path);
        if (there) {
            *ret = text_print("%s/%s", folders[i], name);
            return 0;
        }
    }
    err_set(m->e, ERR_ABSENT, _("the unit file %s is not installed"), name);
    return err_next(m->e, _("install the package \"twofold\", or from the sources: make install"));
}

static int timer_files(struct making *m, const struct schedule_timer *t)
{
    char template[64], *of = NULL;
    snprintf(template, sizeof template, "twofold-%s%s.timer", job_kind_name(t->kind),
             t->kind == JOB_PAGE ? "" : "@");
    int rc = find_unit(m, template, &of);
    if (rc == 0)
        rc = add_file(m, text_print(UNITS "timers.target.wants/%s", t->unit), of, true, t->unit);
    if (rc < 0 || t->kind == JOB_PAGE)
        return rc;
    return add_file(m, text_print(UNITS "%s.d/schedule.conf", t->unit),
                    text_print(SCHEDULE_MARK "[Timer]\nOnCalendar=\nOnCalendar=%s\n", t->spec),
                    false, t->unit);
}

static int log_files(struct making *m, const struct schedule_log *l)
{
    char *of = NULL;
    int rc = find_unit(m, "twofold-logs@.service", &of);
    return rc == 0 ? add_file(m, text_print(UNITS "multi-user.target.wants/%s", l->unit), of, true,
                              l->unit)
                   : rc;
}

static int service_files(struct making *m)
{
    static const char *const services[] = { "twofoldd",       "twofold-backup@", "twofold-scrub@",
                                            "twofold-prune@", "twofold-page",    "twofold-logs@" };
    char *of = NULL;
    int rc = find_unit(m, CHECK_TIMER, &of);
    if (rc == 0)
        rc = add_file(m, text_print(UNITS "timers.target.wants/" CHECK_TIMER), of, true,
                      CHECK_TIMER);
    if (rc == 0)
        rc = find_unit(m, "twofoldd.service", &of);
    if (rc == 0)
        rc = add_file(m, text_print(UNITS "multi-user.target.wants/twofoldd.service"), of, true,
                      NULL);
    wb_u8(&m->writable, 0);
    if (m->writable.failed)
        return no_memory(m->e);
    for (size_t i = 0; rc == 0 && i < sizeof services / sizeof *services; i++)
        rc = add_file(m, text_print(UNITS "%s.service.d/copies.conf", services[i]),
                      text_print(SCHEDULE_MARK "[Service]\n%s", (char *)m->writable.p), false,
                      NULL);
    return rc;
}

static int make(const struct config_paths *p, const char *root, bool files, struct schedule **ret,
                struct err *e)
{
    struct making m = { .paths = p, .root = root, .s = calloc(1, sizeof *m.s), .e = e };
    int rc = m.s ? make_timers(&m) : no_memory(e);
    for (size_t i = 0; files && rc == 0 && i < m.s->n_timers; i++)
        rc = timer_files(&m, &m.s->timers[i]);
    for (size_t i = 0; files && rc == 0 && i < m.s->n_logs; i++)
        rc = log_files(&m, &m.s->logs[i]);
    if (files && rc == 0)
        rc = service_files(&m);
    wbuf_free(&m.writable);
    if (rc < 0)
        schedule_free(m.s);
    else
        *ret = m.s;
    return rc;
}

int schedule_make(const struct config_paths *p, const char *root, struct schedule **ret,
                  struct err *e)
{
    return make(p, root, true, ret, e);
}

int schedule_timers(const struct config_paths *p, struct schedule **ret, struct err *e)
{
    return make(p, "", false, ret, e);
}

void schedule_free(struct schedule *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_timers; i++)
        free(s->timers[i].spec);
    for (size_t i = 0; i < s->n_files; i++) {
        free(s->files[i].path);
        free(s->files[i].content);
    }
    free(s->timers);
    free(s->logs);
    free(s->files);
    free(s);
}
