/* policy_write.c - policies/NAME.yaml, written as a file that explains itself (policies/config.h). */
#include "policies/inner.h"
#include "policies/crash_yaml.h"
#include "policies/drill_yaml.h"
#include "policies/hooks.h"
#include "policies/sources.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int put_list(struct wbuf *w, char **v, size_t n, bool is_paths, struct err *e)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        char *text = NULL;
        r = is_paths ? conf_path_normalise(v[i], &text, e) : policy_check_exclude(v[i], &text, e);
        conf_line(w, "    - ");
        if (r == 0)
            r = yaml_put(w, text, e);
        conf_line(w, "\n");
        free(text);
    }
    return r;
}

static int put_files(struct wbuf *w, const struct policy *pol, struct err *e)
{
    conf_line(w, "\nfiles:\n"
                 "  # Folders and files, by their whole paths, with all that is in them.\n"
                 "  paths:\n");
    int r = put_list(w, pol->paths, pol->n_paths, true, e);
    conf_line(
        w,
        "\n  # What to leave out: a whole path (/home/x/cache), or a pattern for names (\"*.tmp\").\n"
        "  # Patterns with a star belong in double quotes.\n");
    conf_line(w, pol->n_exclude ? "  exclude:\n" : "  exclude: []\n");
    if (r == 0)
        r = put_list(w, pol->exclude, pol->n_exclude, false, e);
    conf_line(
        w,
        "\n  # true: stay on the file systems of the paths above, do not enter others mounted below.\n"
        "  one-file-system: %s\n",
        pol->one_file_system ? "true" : "false");
    conf_line(w,
              "\n  # true: leave out the content of folders that hold a CACHEDIR.TAG.\n"
              "  skip-cache-dirs: %s\n",
              pol->skip_cache_dirs ? "true" : "false");
    return r;
}

/* "key: text", or a comment that shows how it would look. */
static int put_optional(struct wbuf *w, const char *key, const char *text, const char *example,
                        struct err *e)
{
    int r = 0;
    conf_line(w, text ? "%s: " : "# %s: %s", key, example);
    if (text)
        r = yaml_put(w, text, e);
    conf_line(w, "\n");
    return r;
}

static int put_when(struct wbuf *w, const struct policy *pol, struct err *e)
{
    conf_line(
        w,
        "\n# When it runs by itself, as a calendar expression of systemd (systemd.time(7)), local\n"
        "# time; try one: systemd-analyze calendar \"...\". Without the line: only by hand.\n"
        "# After a change: twofold schedule apply\n");
    int r = put_optional(w, "schedule", pol->schedule, "\"*-*-* 02:00:00\"", e);
    conf_line(w, "\n# The scheduler begins runs only in this part of the day (local time).\n");
    if (r == 0)
        r = put_optional(w, "window", pol->window, "\"20:00-06:00\"", e);
    conf_line(
        w,
        "\n# Which of several waiting runs goes first: 0 to 100, higher ones do.\npriority: %u\n",
        pol->priority);
    conf_line(
        w,
        "\n# How often a failed run is tried again, at longer and longer intervals.\nretries: %u\n",
        pol->retries);
    conf_line(w,
              "\n# How many bytes per second the agent may send; nothing: as fast as it goes.\n");
    if (pol->limit_bytes_s) {
        conf_line(w, "limit: ");
        yaml_put_size(w, pol->limit_bytes_s);
        conf_line(w, "\n");
    } else {
        conf_line(w, "# limit: 20MiB\n");
    }
    return r;
}

static void put_retention(struct wbuf *w, const struct retention *k)
{
    const struct {
        const char *key;
        unsigned n;
    } counts[] = {
        { "last", k->last },     { "hourly", k->hourly },   { "daily", k->daily },
        { "weekly", k->weekly }, { "monthly", k->monthly }, { "yearly", k->yearly },
    };
    bool any = k->within_s > 0;
    conf_line(
        w,
        "\n# Which backups stay: the last N; the newest of each of the last N hours, days, weeks,\n"
        "# months, years that have one; and all within a time. What no rule keeps goes with the\n"
        "# next twofold prune. Without any rule everything stays. The last whole one always does.\n");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        any = any || counts[i].n;
    if (!any) {
        conf_line(w, "# retention: { daily: 7, weekly: 5, monthly: 12, within: 3d }\n");
        return;
    }
    conf_line(w, "retention:\n");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].n)
            conf_line(w, "  %s: %u\n", counts[i].key, counts[i].n);
    if (k->within_s) {
        conf_line(w, "  within: ");
        yaml_put_duration(w, k->within_s);
        conf_line(w, "\n");
    }
}

static int put_goals(struct wbuf *w, const struct policy *pol, struct err *e)
{
    int r = 0;
    conf_line(
        w,
        "\n# How old the newest whole backup may be (s, m, h, d) before twofold status says that it is\n"
        "# overdue. 26h: a nightly run that may take two hours more.\nrpo: ");
    yaml_put_duration(w, pol->rpo_s ? pol->rpo_s : DEFAULT_RPO_S);
    conf_line(w, "\n\n# How long a restore may take; drills measure it.\n");
    if (pol->rto_s) {
        conf_line(w, "rto: ");
        yaml_put_duration(w, pol->rto_s);
        conf_line(w, "\n");
    } else {
        conf_line(w, "# rto: 4h\n");
    }
    conf_line(w,
              "\n# What a right backup has. One that has less (is everything mounted?) is kept in\n"
              "# quarantine, and the run has failed. Others: min-files: 100, min-bytes: 1GiB.\n"
              "%schecks: { max-shrink: 50%% }\n",
              pol->n_paths > 0 ? "" : "# ");
    conf_line(w, "\n# Who is told when it fails or is overdue: roles of contacts.yaml.\n");
    if (pol->n_notify == 0)
        conf_line(w, "# notify: [operator, security-officer]\n");
    else
        conf_line(w, "notify:\n");
    for (size_t i = 0; i < pol->n_notify && r == 0; i++) {
        char *role = NULL;
        r = policy_check_role(pol->notify[i], &role, e);
        if (r == 0) {
            conf_line(w, "  - ");
            r = yaml_put(w, role, e);
            conf_line(w, "\n");
        }
        free(role);
    }
    return r;
}

static int check_for_writing(const struct policy *pol, struct err *e)
{
    const char *key;
    if (!config_name_ok(pol->name)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a policy"), pol->name);
        return conf_name_advice(e);
    }
    if (pol->n_paths == 0 && pol->n_sources == 0) {
        err_set(e, ERR_CONFIG, _("the policy names nothing to back up"));
        return err_next(e, _("name at least one folder or file: --files PATH"));
    }
    return policy_check_words(pol, &key, e);
}

int policy_write(const struct config_paths *p, const struct policy *pol, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct wbuf w = WBUF_INIT;
    e = e ? e : &ignored;
    int r = check_for_writing(pol, e);
    if (r < 0)
        return r;
    conf_line(&w,
              "# The policy \"%s\": what is backed up. After a change: twofold policy lint\n"
              "# Run it now: twofold backup %s\n\n",
              pol->name, pol->name);
    conf_line(
        &w, "# The vault that keeps it (a file in vaults/). Not needed where there is only one.\n");
    conf_line(&w, pol->vault[0] ? "vault: %s\n" : "# vault: main%s\n", pol->vault);
    conf_line(&w,
              "\n# Which host it is on: local is this one; others are files in agents/, made by\n"
              "# twofold agent enrol HOST.\nagent: %s\n",
              pol->agent);
    r = pol->n_paths > 0 ? put_files(&w, pol, e) : 0;
    if (r == 0)
        r = sources_put(&w, pol->sources, pol->n_sources, e);
    if (r == 0)
        r = hooks_put(&w, &pol->hooks, e);
    if (r == 0)
        r = crash_put(&w, &pol->crash, e);
    conf_line(
        &w,
        "\n# data; system; logs (kept for 92 days at least, JZ-5.4); secret (never over a network).\n"
        "class: %s\n",
        policy_class_name(pol->class));
    if (r == 0)
        r = put_when(&w, pol, e);
    put_retention(&w, &pol->retention);
    if (r == 0)
        r = put_goals(&w, pol, e);
    drill_put(&w);
    if (r == 0)
        return conf_write(p, POLICIES, pol->name, &w, e);
    wbuf_free(&w);
    return r;
}
