/* metrics.c - Prometheus text; see metrics.h. */
#include "orchestrator/watch/metrics.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/log_words.h"
#include "orchestrator/watch/out.h"

#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#define WRITTEN "twofold_written_timestamp_seconds"

static void family(struct wbuf *o, const char *name, const char *type, const char *help)
{
    out(o, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name="value", with what the format wants escaped; what is not UTF-8 as \ooo. */
static void label(struct wbuf *o, char before, const char *name, const char *value)
{
    char *clean = text_is_utf8(value, strlen(value)) ? text_print("%s", value)
                                                     : text_clean(value, strlen(value), false);
    out(o, "%c%s=\"", before, name);
    for (const char *p = clean; *p; p++)
        if (*p == '\\' || *p == '"')
            out(o, "\\%c", *p);
        else if (*p == '\n')
            out(o, "\\n");
        else
            out(o, "%c", *p);
    out(o, "\"");
    free(clean);
}

static void of_policy(struct wbuf *o, const char *name, const struct policy_fact *p)
{
    out(o, "%s", name);
    label(o, '{', "policy", p->name);
    label(o, ',', "vault", p->vault);
    out(o, "} ");
}

static void of_copy(struct wbuf *o, const char *name, const struct facts *f,
                    const struct copy_fact *c)
{
    out(o, "%s", name);
    label(o, '{', "vault", f->vaults[c->vault].name);
    label(o, ',', "place", c->place);
    out(o, "} ");
}

static int64_t when(const struct policy_fact *p, size_t which)
{
    const int64_t times[] = { p->whole_s, p->partial_s, p->last.started_s, p->last.ended_s };
    return times[which];
}

static void policy_times(struct wbuf *o, const struct facts *f)
{
    static const char *const families[][2] = {
        { "twofold_policy_last_whole_timestamp_seconds",
          "When the newest whole backup was received; absent: there is none." },
        { "twofold_policy_last_partial_timestamp_seconds",
          "When the newest backup that could not read some files was received." },
        { "twofold_policy_run_started_timestamp_seconds", "When the last run began." },
        { "twofold_policy_run_ended_timestamp_seconds", "When the last run ended." },
    };
    for (size_t k = 0; k < sizeof families / sizeof *families; k++) {
        family(o, families[k][0], "gauge", families[k][1]);
        for (size_t i = 0; i < f->n_policies; i++)
            if (when(&f->policies[i], k)) {
                of_policy(o, families[k][0], &f->policies[i]);
                out(o, "%" PRId64 "\n", when(&f->policies[i], k));
            }
    }
}

/* Absent: none was passed yet. */
static void drills(struct wbuf *o, const struct facts *f)
{
    static const char passed[] = "twofold_policy_drill_passed_timestamp_seconds";
    static const char took[] = "twofold_policy_drill_rto_seconds";
    family(o, passed, "gauge", "When the last drill was passed; absent: none was.");
    for (size_t i = 0; i < f->n_policies; i++) {
        struct drill_past d = policy_drills(f, f->policies[i].name);
        if (!d.passed_s)
            continue;
        of_policy(o, passed, &f->policies[i]);
        out(o, "%" PRId64 "\n", d.passed_s);
    }
    family(o, took, "gauge", "How long it took to restore and to prove it.");
    for (size_t i = 0; i < f->n_policies; i++) {
        struct drill_past d = policy_drills(f, f->policies[i].name);
        if (!d.passed_s)
            continue;
        of_policy(o, took, &f->policies[i]);
        out(o, "%" PRId64 ".%03d\n", d.rto_ms / 1000, (int)(d.rto_ms % 1000));
    }
}

static void policies(struct wbuf *o, const struct facts *f, const struct findings *found)
{
    policy_times(o, f);
    drills(o, f);
    family(o, "twofold_policy_rpo_seconds", "gauge", "How old the newest whole backup may be.");
    for (size_t i = 0; i < f->n_policies; i++) {
        of_policy(o, "twofold_policy_rpo_seconds", &f->policies[i]);
        out(o, "%" PRIu64 "\n", f->policies[i].rpo_s);
    }
    family(o, "twofold_policy_overdue", "gauge",
           "1: the newest whole backup is older than the RPO.");
    for (size_t i = 0; i < f->n_policies; i++) {
        char key[MAX_NAME + 16];
        snprintf(key, sizeof key, "rpo/%s", f->policies[i].name);
        of_policy(o, "twofold_policy_overdue", &f->policies[i]);
        out(o, "%d\n", findings_get(found, key) != NULL);
    }
    family(o, "twofold_policy_size_bytes", "gauge", "Content of the newest whole backup.");
    for (size_t i = 0; i < f->n_policies; i++)
        if (f->policies[i].bytes) {
            of_policy(o, "twofold_policy_size_bytes", &f->policies[i]);
            out(o, "%" PRIu64 "\n", f->policies[i].bytes);
        }
    family(o, "twofold_policy_run_exit_status", "gauge",
           "Exit status of the last run: 0 done, 3 not all of it, else failed.");
    for (size_t i = 0; i < f->n_policies; i++)
        if (f->policies[i].last.ended_s) {
            of_policy(o, "twofold_policy_run_exit_status", &f->policies[i]);
            out(o, "%d\n", f->policies[i].last.exit_status);
        }
    family(o, "twofold_policy_run_stored_bytes", "gauge", "What the last run stored in each copy.");
    for (size_t i = 0; i < f->n_policies; i++)
        if (f->policies[i].last.ended_s) {
            of_policy(o, "twofold_policy_run_stored_bytes", &f->policies[i]);
            out(o, "%" PRIu64 "\n", f->policies[i].last.bytes_stored);
        }
}

static void copies(struct wbuf *o, const struct facts *f)
{
    static const char *const states[] = { "current", "behind",  "away",
                                          "wrong",   "damaged", "rolled-back" };
    family(o, "twofold_copy_state", "gauge", "1 for the state that the copy was last seen in.");
    for (size_t i = 0; i < f->n_copies; i++)
        for (size_t k = 0; f->copies[i].state[0] && k < sizeof states / sizeof *states; k++) {
            const struct copy_fact *c = &f->copies[i];
            out(o, "twofold_copy_state");
            label(o, '{', "vault", f->vaults[c->vault].name);
            label(o, ',', "place", c->place);
            label(o, ',', "state", states[k]);
            out(o, "} %d\n", strcmp(c->state, states[k]) == 0);
        }
    family(o, "twofold_copy_current_timestamp_seconds", "gauge",
           "When the copy was last known to be up to date.");
    for (size_t i = 0; i < f->n_copies; i++)
        if (f->copies[i].current_s) {
            of_copy(o, "twofold_copy_current_timestamp_seconds", f, &f->copies[i]);
            out(o, "%" PRId64 "\n", f->copies[i].current_s);
        }
    family(o, "twofold_copy_free_bytes", "gauge", "Free space where the copy lies.");
    for (size_t i = 0; i < f->n_copies; i++)
        if (f->copies[i].has_space) {
            of_copy(o, "twofold_copy_free_bytes", f, &f->copies[i]);
            out(o, "%" PRIu64 "\n", f->copies[i].free_bytes);
        }
    family(o, "twofold_copy_size_bytes", "gauge", "Size of the file system where the copy lies.");
    for (size_t i = 0; i < f->n_copies; i++)
        if (f->copies[i].has_space && f->copies[i].total_bytes) {
            of_copy(o, "twofold_copy_size_bytes", f, &f->copies[i]);
            out(o, "%" PRIu64 "\n", f->copies[i].total_bytes);
        }
    family(o, "twofold_copy_damaged_objects", "gauge",
           "Objects that were found damaged and are not mended.");
    for (size_t i = 0; i < f->n_copies; i++) {
        of_copy(o, "twofold_copy_damaged_objects", f, &f->copies[i]);
        out(o, "%" PRIu64 "\n", f->copies[i].damaged_objects);
    }
}

static void site(struct wbuf *o, const struct facts *f, const struct findings *found)
{
    size_t n[3] = { 0 };
    static const char *const levels[] = { "notice", "warning", "critical" };
    for (size_t i = 0; i < found->n; i++)
        n[found->all[i].level]++;
    family(o, "twofold_findings", "gauge", "What is wrong now, by level.");
    for (size_t i = 0; i < 3; i++)
        out(o, "twofold_findings{level=\"%s\"} %zu\n", levels[i], n[i]);
    size_t unacked = 0;
    for (size_t i = 0; i < f->n_alarms; i++)
        unacked += f->alarms[i].acked_s == 0;
    family(o, "twofold_alarms_unacknowledged", "gauge",
           "Open alarms that nobody has acknowledged.");
    out(o, "twofold_alarms_unacknowledged %zu\n", unacked);
    family(o, "twofold_jobs", "gauge", "Jobs by state.");
    out(o, "twofold_jobs{state=\"queued\"} %zu\ntwofold_jobs{state=\"running\"} %zu\n",
        f->jobs_queued, f->jobs_running);
    if (f->heartbeat_s) {
        family(o, "twofold_heartbeat_timestamp_seconds", "gauge", "Last sign of life of twofoldd.");
        out(o, "twofold_heartbeat_timestamp_seconds %" PRId64 "\n", f->heartbeat_s);
    }
    family(o, WRITTEN, "gauge", "When this text was made.");
    out(o, WRITTEN " %" PRId64 "\n", f->now_s);
}

static void vaults(struct wbuf *o, const struct facts *f)
{
    static const char *const names[] = { "twofold_vault_scrub_timestamp_seconds",
                                         "twofold_vault_prune_timestamp_seconds" };
    static const char *const helps[] = { "When the last scrub ended well or with damage named.",
                                         "When the last prune ended well." };
    for (size_t k = 0; k < 2; k++) {
        family(o, names[k], "gauge", helps[k]);
        for (size_t i = 0; i < f->n_vaults; i++) {
            int64_t t = k == 0 ? f->vaults[i].scrub_s : f->vaults[i].prune_s;
            if (!t)
                continue;
            out(o, "%s", names[k]);
            label(o, '{', "vault", f->vaults[i].name);
            out(o, "} %" PRId64 "\n", t);
        }
    }
}

static void log_copies(struct wbuf *o, const struct facts *f)
{
    static const char name[] = "twofold_log_copy_lag_seconds";
    family(o, name, "gauge",
           "How far a copy is behind the others with the log; absent: it has nothing of it.");
    for (size_t i = 0; i < f->n_policies; i++) {
        const struct policy_fact *p = &f->policies[i];
        for (size_t k = 0; p->logs && p->log && k < p->log->n_copies; k++) {
            int64_t lag_s = log_copy_lag_s(p->log, &p->log->copies[k], f->now_s);
            if (lag_s < 0)
                continue;
            out(o, "%s", name);
            label(o, '{', "policy", p->name);
            label(o, ',', "vault", p->vault);
            label(o, ',', "place", p->log->copies[k].place);
            out(o, "} %" PRId64 "\n", lag_s);
        }
    }
}

static void logs(struct wbuf *o, const struct facts *f)
{
    static const char *const families[][2] = {
        { "twofold_log_followed", "1: the log of the policy's database is followed." },
        { "twofold_log_complete_timestamp_seconds",
          "Up to when the log of the policy's database is in a copy." },
        { "twofold_log_ahead_bytes", "What the server has written of it and no copy has." },
    };
    size_t n = 0;
    for (size_t i = 0; i < f->n_policies; i++)
        n += f->policies[i].logs;
    for (size_t k = 0; n && k < sizeof families / sizeof *families; k++) {
        family(o, families[k][0], "gauge", families[k][1]);
        for (size_t i = 0; i < f->n_policies; i++) {
            const struct policy_fact *p = &f->policies[i];
            struct log_sum s;
            log_sum(p->log, f->now_s, log_limit_s(p), &s);
            if (!p->logs || (k == 1 && s.lag_s < 0))
                continue;
            of_policy(o, families[k][0], p);
            out(o, "%" PRId64 "\n",
                k == 0   ? (int64_t)s.followed
                : k == 1 ? p->log->complete_s
                         : (int64_t)s.ahead);
        }
    }
    if (n)
        log_copies(o, f);
}

char *metrics_text(const struct facts *f, const struct findings *found)
{
    struct wbuf o = WBUF_INIT;
    policies(&o, f, found);
    copies(&o, f);
    vaults(&o, f);
    logs(&o, f);
    site(&o, f, found);
    return out_take(&o);
}

int metrics_write(const char *path, const char *text, struct err *e)
{
    return sys_write_file(AT_FDCWD, path, text, strlen(text), 0644, e);
}

uint64_t metrics_sum(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    const char *end = strstr(text, "\n" WRITTEN), *beat = strstr(text, "\ntwofold_heartbeat_");
    for (const char *p = text; *p && p != end && p != beat; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    return h;
}
