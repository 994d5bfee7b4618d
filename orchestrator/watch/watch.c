/* watch.c - judges what is known every minute or when something has changed, and keeps the alarms true; see watch.h. */
#include "orchestrator/watch/watch.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/metrics.h"

#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEMCTL "/usr/bin/systemctl"
#define TELL_UNIT "twofold-tell.service"
#define SYSTEMCTL_MS 3000
#define MAX_SEEN_NOTES 100 /* new names that are noted in one judgement; the others' turn comes */

struct watch {
    struct config_paths paths; /* owned */
    struct facts f;
    bool loaded;
    uint64_t fingerprint, changes;
    int64_t judged_s, metrics_s;
    uint64_t metrics_sum;
    bool no_unit; /* systemd does not know the teller: it is a child */
    pid_t teller; /* 0: none runs */
    int teller_fd;
};

void watch_language(const char *language)
{
    if (!language || !*language)
        return;
    bool zh = strncmp(language, "zh", 2) == 0;
    setenv("LANGUAGE", zh ? "zh_CN" : "en", 1);
    /* Where the locale itself is not installed, any UTF-8 one finds the translations by LANGUAGE. */
    if (!zh || !setlocale(LC_ALL, "zh_CN.UTF-8"))
        setlocale(LC_ALL, "C.UTF-8");
    setlocale(LC_NUMERIC, "C");
}

int watch_new(const struct config_paths *p, struct watch **ret, struct err *e)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    w->paths.config_dir = text_print("%s", p->config_dir);
    w->paths.state_dir = text_print("%s", p->state_dir);
    w->teller_fd = -1;
    facts_init(&w->f, 0);
    *ret = w;
    return 0;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    sys_close_quiet(w->teller_fd);
    facts_done(&w->f);
    config_paths_done(&w->paths);
    free(w);
}

/* --- alarms ------------------------------------------------------------------------------------------- */
/* Ages in a text change every minute; they are no reason to write. */
static bool same_but_digits(const char *a, const char *b)
{
    for (;;) {
        a += strspn(a, "0123456789.");
        b += strspn(b, "0123456789.");
        if (*a != *b)
            return false;
        if (*a == '\0')
            return true;
        a++;
        b++;
    }
}

static const struct open_alarm *find_open(const struct facts *f, const char *key)
{
    for (size_t i = 0; i < f->n_alarms; i++)
        if (strcmp(f->alarms[i].key, key) == 0)
            return &f->alarms[i];
    return NULL;
}

static int raise_found(const struct facts *f, const struct finding *g, struct catalog *c,
                       struct watch_done *done, struct err *e)
{
    const struct open_alarm *open = find_open(f, g->key);
    if (open && open->level == g->level && same_but_digits(open->text, g->text))
        return 0;
    struct alarm a = { .key = g->key,
                       .level = g->level,
                       .duty = g->duty,
                       .text = g->text,
                       .next = g->next,
                       .roles = g->roles ? g->roles : "",
                       .raised_s = f->now_s };
    uint64_t id;
    int rc = catalog_alarm_raise(c, &a, &id, e);
    if (rc > 0)
        done->raised++;
    return rc < 0 ? rc : 0;
}

/* "KIND/NAME[/PLACE]" of a policy, or of a vault with policies, whose file could be read: another file's mistake does not hide it. */
static bool is_of_known(const struct facts *f, const char *key)
{
    static const char *const of_policy[] = { "rpo/",   "run/",      "partial/", "degraded/",
                                             "clock/", "held/",     "timer/",   "schedule/",
                                             "log/",   "log-copy/", "log-gap/", "log-slot/" };
    char name[MAX_NAME + 1];
    const char *at = strchr(key, '/');
    size_t n = at ? strcspn(at + 1, "/") : 0;
    if (!at || n > MAX_NAME || strncmp(key, "agent/", 6) == 0)
        return false;
    memcpy(name, at + 1, n);
    name[n] = '\0';
    for (size_t i = 0; i < sizeof of_policy / sizeof *of_policy; i++)
        if (strncmp(key, of_policy[i], strlen(of_policy[i])) == 0)
            return facts_policy((struct facts *)f, name) != NULL;
    const struct vault_fact *v = facts_vault((struct facts *)f, name);
    return v && v->n_policies > 0;
}

/* "INCIDENT[/DUTY]": duties need no file of the configuration, but their incident must have been read. */
static bool is_of_read(const struct facts *f, const char *incident)
{
    size_t n = strcspn(incident, "/");
    bool unread = false;
    for (size_t i = 0; i < f->n_incidents; i++)
        unread = unread || (f->incidents[i].unread && strlen(f->incidents[i].id) == n &&
                            strncmp(f->incidents[i].id, incident, n) == 0);
    return f->incidents_read && !unread;
}

/* May what is not found any more be taken for mended? */
static bool can_judge(const struct facts *f, const char *key)
{
    if (strncmp(key, "duty/", 5) == 0 || strncmp(key, "incident/", 9) == 0)
        return is_of_read(f, strchr(key, '/') + 1);
    if (strncmp(key, "drill/", 6) == 0 && !f->incidents_read)
        return false;
    if (f->n_bad_files && strcmp(key, "config") != 0 && !is_of_known(f, key))
        return false;
    if (strncmp(key, "vault/", 6) != 0)
        return true;
    for (size_t i = 0; i < f->n_vaults; i++)
        if (strcmp(f->vaults[i].name, key + 6) == 0)
            return f->vaults[i].looked;
    return true; /* the vault itself is gone from the configuration */
}

int watch_apply(const struct facts *f, const struct findings *found, struct catalog *c,
                struct watch_done *ret, struct err *e)
{
    int rc = 0;
    *ret = (struct watch_done){ .open = found->n, .judged = true };
    for (size_t i = 0; rc == 0 && i < found->n; i++)
        rc = raise_found(f, &found->all[i], c, ret, e);
    for (size_t i = 0; rc == 0 && i < f->n_alarms; i++) {
        if (findings_get(found, f->alarms[i].key))
            continue;
        if (!can_judge(f, f->alarms[i].key)) {
            ret->open++;
            continue;
        }
        rc = catalog_alarm_clear(c, f->alarms[i].key, f->now_s, e);
        ret->cleared += rc > 0;
        rc = rc < 0 ? rc : 0;
    }
    return rc;
}

/* From when a policy that has no backup yet is overdue must not depend on who asks. */
static int note_seen(struct facts *f, struct catalog *c, struct err *e)
{
    char key[MAX_NAME + 16], value[32];
    size_t noted = 0;
    int rc = 0;
    snprintf(value, sizeof value, "%" PRId64, f->now_s);
    for (size_t i = 0; rc >= 0 && i < f->n_policies && noted < MAX_SEEN_NOTES; i++) {
        if (f->policies[i].created_s || f->policies[i].whole_s)
            continue;
        snprintf(key, sizeof key, "policy-seen/%s", f->policies[i].name);
        rc = catalog_fact_set(c, key, value, e);
        f->policies[i].created_s = f->now_s;
        noted++;
    }
    for (size_t i = 0; rc >= 0 && i < f->n_policies && noted < MAX_SEEN_NOTES; i++) {
        struct policy_fact *p = &f->policies[i];
        if (p->drill_since_s || !f->incidents_read || policy_drills(f, p->name).passed_s)
            continue;
        snprintf(key, sizeof key, DRILL_SEEN "%s", p->name);
        rc = catalog_fact_set(c, key, value, e);
        p->drill_since_s = f->now_s;
        noted++;
    }
    for (size_t i = 0; rc >= 0 && i < f->n_vaults; i++) {
        if (f->vaults[i].created_s)
            continue;
        snprintf(key, sizeof key, "vault-seen/%s", f->vaults[i].name);
        rc = catalog_fact_set(c, key, value, e);
        f->vaults[i].created_s = f->now_s;
    }
    return rc < 0 ? rc : 0;
}

int watch_judge(struct facts *f, struct catalog *c, struct watch_done *ret, struct err *e)
{
    struct findings found;
    int rc = note_seen(f, c, e);
    if (rc < 0)
        return rc;
    findings_find(f, &found);
    rc = watch_apply(f, &found, c, ret, e);
    findings_done(&found);
    return rc;
}

/* --- the process that tells -------------------------------------------------------------------------------- */
static void teller_path(char out[PATH_MAX])
{
    const char *env = getenv("TWOFOLD_PROGRAM");
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    snprintf(out, PATH_MAX, "%s", env && *env ? env : "/usr/bin/twofold");
    if ((env && *env) || n <= 0)
        return;
    self[n] = '\0';
    char beside[PATH_MAX + 16];
    snprintf(beside, sizeof beside, "%s/twofold", dirname(self));
    if (strlen(beside) < PATH_MAX && access(beside, X_OK) == 0)
        snprintf(out, PATH_MAX, "%s", beside);
}

static void reap_teller(struct watch *w)
{
    int status;
    /* Whoever else waits for children may have had it already. */
    if (w->teller > 0 && waitpid(w->teller, &status, WNOHANG) == 0)
        return;
    w->teller = 0;
    sys_close_quiet(w->teller_fd);
    w->teller_fd = -1;
}

/* Under systemd the teller is a unit of its own: a command that sends messages, or wall(1), may need what the sandbox of twofoldd
 * does not give (devices, setgid). Where that unit is not installed, or there is no systemd, it is a child. */
static bool start_unit(struct watch *w)
{
    const char *argv[] = { SYSTEMCTL, "--no-block", "--quiet", "start", TELL_UNIT, NULL };
    if (w->no_unit || !getenv("INVOCATION_ID") || access(SYSTEMCTL, X_OK) != 0)
        return false;
    int fd = sys_spawn(argv, -1, &w->teller, NULL), status = 0;
    if (fd < 0) {
        w->teller = 0;
        return false;
    }
    sys_close_quiet(fd);
    int rc = sys_reap(w->teller, SYSTEMCTL_MS, &status, NULL);
    w->teller = 0;
    w->no_unit = rc < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return !w->no_unit;
}

static int start_teller(struct watch *w, struct err *e)
{
    char path[PATH_MAX];
    if (start_unit(w))
        return 0;
    teller_path(path);
    const char *argv[] = {
        path, "--config", w->paths.config_dir, "--quiet", "alarms", "tell", NULL
    };
    int fd = sys_spawn(argv, -1, &w->teller, e);
    if (fd < 0) {
        w->teller = 0;
        return err_wrap(e, _("tell of alarms"));
    }
    w->teller_fd = fd;
    return 0;
}

/* --- the tick -------------------------------------------------------------------------------------------------- */
static int reload(struct watch *w, struct err *e)
{
    uint64_t now = facts_fingerprint(&w->paths);
    if (w->loaded && now == w->fingerprint)
        return 0;
    facts_done(&w->f);
    w->loaded = false;
    int rc = facts_config(&w->f, &w->paths, e);
    if (rc < 0)
        return rc;
    w->loaded = true;
    w->fingerprint = now;
    watch_language(w->f.settings ? w->f.settings->language : NULL);
    return 0;
}

static int write_metrics(struct watch *w, struct err *e)
{
    const char *path = w->f.settings ? w->f.settings->metrics : NULL;
    if (!path)
        return 0;
    struct findings found;
    findings_find(&w->f, &found);
    char *text = metrics_text(&w->f, &found);
    findings_done(&found);
    uint64_t sum = metrics_sum(text);
    int rc = 0;
    if (sum != w->metrics_sum || w->f.now_s - w->metrics_s >= METRICS_EVERY_S) {
        rc = metrics_write(path, text, e);
        if (rc == 0) {
            w->metrics_sum = sum;
            w->metrics_s = w->f.now_s;
        }
    }
    free(text);
    return rc;
}

/* What `alarms check` looks at. */
static int note_alive(struct catalog *c, int64_t now_s, struct err *e)
{
    char value[32];
    snprintf(value, sizeof value, "%" PRId64, now_s);
    return catalog_fact_set(c, "heartbeat", value, e);
}

static int judge(struct watch *w, struct catalog *c, int64_t now_s, struct watch_done *ret,
                 struct err *e)
{
    int rc = reload(w, e);
    w->f.now_s = now_s;
    if (rc == 0)
        rc = facts_catalog(&w->f, c, e);
    facts_logs(&w->f, &w->paths);
    facts_incidents(&w->f, &w->paths);
    facts_remind(&w->f, &w->paths);
    /* This runs in twofoldd: it is alive, however old its last sign of life in the catalog. */
    w->f.heartbeat_s = now_s;
    if (rc == 0)
        rc = note_alive(c, now_s, e);
    if (rc == 0)
        rc = watch_judge(&w->f, c, ret, e);
    if (rc == 0 && w->f.settings && w->teller == 0) {
        rc = watch_anybody_due(c, w->f.settings, w->f.contacts, w->f.now_s, e);
        if (rc > 0) {
            rc = start_teller(w, e);
            ret->telling = rc == 0;
        }
    }
    return rc < 0 ? rc : write_metrics(w, e);
}

int watch_tick(struct watch *w, struct catalog *c, int64_t now_s, struct watch_done *ret,
               struct err *e)
{
    *ret = (struct watch_done){ 0 };
    reap_teller(w);
    int64_t passed = now_s - w->judged_s;
    if (w->judged_s && passed >= 0 && passed < WATCH_LEAST_S)
        return 0;
    uint64_t changes = catalog_changes(c);
    int64_t duty_s = w->judged_s ? facts_duty_change_s(&w->f) : 0;
    if (w->judged_s && passed >= 0 && passed < WATCH_EVERY_S && changes == w->changes &&
        (!duty_s || now_s < duty_s))
        return 0;
    w->judged_s = now_s;
    w->changes = changes;
    int rc = judge(w, c, now_s, ret, e);
    return rc < 0 ? err_wrap(e, _("the watch")) : 0;
}
