/*
 * site.h - what the scheduler must know of the configuration: limits, windows, priorities, schedules and the copies that
 * are carried. Read whole and then only looked at; read again when the fingerprint of the files has changed.
 *
 *     site_load(&paths, &site, on_problem, ctx, e);
 *     const struct site_policy *p = site_policy(site, "etc");
 *     if (site_fingerprint(&paths) != site->fingerprint) ... load it anew
 *     site_free(site);
 */
#ifndef TWOFOLD_ORCHESTRATOR_DAEMON_SITE_H
#define TWOFOLD_ORCHESTRATOR_DAEMON_SITE_H

#include "policies/config.h"
#include "policies/settings.h"

/* `window:` of a policy, see window_parse; not set: always open. */
struct window {
    bool set;
    unsigned from_min, to_min;
};
bool window_open(const struct window *w, int64_t now_s);
/* When it opens next; now_s when it is open. */
int64_t window_opens_at(const struct window *w, int64_t now_s);

struct site_copy {
    char *place, *folder; /* folder NULL: it is on another host */
    unsigned jobs;        /* 0: no bound */
    bool rotating;
};
struct site_vault {
    char *name;
    struct site_copy copies[MAX_COPIES];
    size_t n_copies;
};
struct site_agent {
    char *name;
    unsigned jobs;
};
struct site_policy {
    char *name, *vault, *agent,
        *schedule; /* schedule NULL: by hand; vault "": where it is not known */
    struct window window;
    unsigned priority, retries;
};
/* Each list is sorted by name. */
struct site {
    struct settings *settings;
    struct site_vault *vaults;
    struct site_agent *agents;
    struct site_policy *policies;
    size_t n_vaults, n_agents, n_policies;
    uint64_t fingerprint;
};

/* A file with a mistake is left out and told to `problem` (may be NULL); the others count. Fails without memory, or when
 * a folder cannot be read. */
typedef void site_problem_fn(void *ctx, const struct err *e);
int site_load(const struct config_paths *p, struct site **ret, site_problem_fn *problem, void *ctx,
              struct err *e);
void site_free(struct site *s); /* NULL-safe */
/* Of the names, sizes, times and inodes of all files in it: one statx each. */
uint64_t site_fingerprint(const struct config_paths *p);

const struct site_policy *site_policy(const struct site *s, const char *name); /* NULL: none */
const struct site_vault *site_vault(const struct site *s, const char *name);
const struct site_agent *site_agent(const struct site *s, const char *name);

#endif
