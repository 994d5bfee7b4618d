/* host.c - one job on this host; see host.h. */
#include "agents/host/host.h"
#include "lib/base/i18n.h"

#include <stdlib.h>
#include <string.h>

static int run_command(struct wire *w, const struct msg_host *m, struct report *r, struct err *e)
{
    struct host_command c = { .words = m->words,
                              .n = m->n_words,
                              .policy = m->policy,
                              .incident = m->name,
                              .limit_s = m->limit_s,
                              .wire = w,
                              .report = r };
    struct host_ran ran = { 0 };
    int rc = host_command_run(&c, &ran, e);
    if (rc == 0)
        report_facts(r, "run",
                     json_pack("{s:i, s:b, s:I, s:s%}", "status", ran.status, "timed_out",
                               ran.timed_out, "ms", (json_int_t)ran.ms, "output", ran.output,
                               strlen(ran.output)));
    free(ran.output);
    return rc;
}

static struct source_host host_of(const struct msg_host *m, size_t i, struct report *r,
                                  const char *state_dir)
{
    return (struct source_host){ .spec = &m->sources[i],
                                 .resolved = m->resolved,
                                 .report = r,
                                 .state_dir = state_dir,
                                 .incident = m->name };
}

static int set_scenes(const struct msg_host *m, struct report *r, const char *state_dir,
                      struct err *e)
{
    int rc = host_places(m, host_check_mounted, NULL, e);
    for (size_t i = 0; rc == 0 && i < m->n_roots; i++)
        rc = host_check_mounted(NULL, m->roots[i], e);
    for (size_t i = 0; rc == 0 && i < m->n_sources; i++) {
        const struct source_driver *d = source_driver(m->sources[i].kind);
        struct source_host h = host_of(m, i, r, state_dir);
        rc = d->host_scene ? d->host_scene(&h, e) : 0;
        if (rc < 0)
            err_wrap(e, "%s", m->sources[i].kind);
    }
    return rc;
}

static void tell_facts(const struct msg_host *m, struct report *r, const char *state_dir)
{
    facts_of_host(r, m);
    for (size_t i = 0; i < m->n_sources; i++) {
        const struct source_driver *d = source_driver(m->sources[i].kind);
        struct source_host h = host_of(m, i, r, state_dir);
        if (d->host_facts)
            d->host_facts(&h);
    }
}

int host_job(struct wire *w, const struct msg_host *m, const char *state_dir, struct err *e)
{
    struct report r = { 0 };
    int rc = source_specs_check(m->sources, m->n_sources, true, e);
    if (rc == 0)
        rc = report_begin(&r, w, 2, 0, e);
    if (rc < 0)
        return rc;
    switch (m->what) {
    case HOST_FACTS:
        tell_facts(m, &r, state_dir);
        break;
    case HOST_RUN:
        rc = run_command(w, m, &r, e);
        break;
    case HOST_SCENE:
        rc = set_scenes(m, &r, state_dir, e);
        break;
    case HOST_CLEAR:
        rc = host_clear_places(&r, m, e);
        break;
    case HOST_DROP:
        rc = host_drop_all(m, e);
        break;
    }
    if (rc == 0)
        rc = report_done(&r, e);
    report_end(&r);
    return rc;
}
