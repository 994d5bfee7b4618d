/* judge.c - what a drill measured, against what it is to be (PY-8.3); see judge.h. */
#include "orchestrator/drill/judge.h"
#include "lib/base/i18n.h"
#include "orchestrator/recovered.h"

#include <string.h>

static const struct {
    const char *name, *words;
} reasons[DRILL_REASONS] = {
    [DRILL_COPY_DAMAGED] = { "copy-damaged", N_("a copy is damaged") },
    [DRILL_LOG_BROKEN] = { "log-broken", N_("its log is damaged or has a gap") },
    [DRILL_NOT_RESTORED] = { "not-restored", N_("nothing could be restored") },
    [DRILL_IN_PART] = { "in-part", N_("files are missing from what was restored") },
    [DRILL_NOT_STARTED] = { "not-started", N_("the database does not start on it") },
    [DRILL_CHECK_FALSE] = { "check-false", N_("a check of what was restored is wrong") },
    [DRILL_FILES_DIFFER] = { "files-differ", N_("files are not as they were recorded") },
    [DRILL_OLDER] = { "older", N_("the newest backup could not be restored, an older one was") },
    [DRILL_OVER_RTO] = { "over-rto", N_("it took too long (RTO)") },
    [DRILL_OVER_RPO] = { "over-rpo", N_("too much would be lost (RPO)") },
    [DRILL_STOPPED] = { "stopped", N_("it was interrupted") },
};

const char *drill_reason_name(enum drill_reason r)
{
    return reasons[r].name;
}

const char *drill_reason_words(enum drill_reason r)
{
    return _(reasons[r].words);
}

int64_t drill_rpo_s(const struct drill_measured *m)
{
    if (m->recovered_to_s == 0)
        return -1;
    return m->started_s > m->recovered_to_s ? m->started_s - m->recovered_to_s : 0;
}

/* What came, whatever time it took. */
static unsigned judge_content(const struct drill_measured *m)
{
    unsigned r = 0;
    if (m->damaged || m->end == RESTORE_DAMAGED)
        r |= 1u << DRILL_COPY_DAMAGED;
    if (m->log_broken || (m->log_gap && m->damaged_logs))
        r |= 1u << DRILL_LOG_BROKEN;
    if (m->end == RESTORE_IN_PART || m->missing)
        r |= 1u << DRILL_IN_PART;
    if (m->no_start)
        r |= 1u << DRILL_NOT_STARTED;
    if (m->wrong > (m->no_start ? 1u : 0u))
        r |= 1u << DRILL_CHECK_FALSE;
    if (m->differ)
        r |= 1u << DRILL_FILES_DIFFER;
    if (m->end == RESTORE_CHECK_FAILED && !m->no_start && !m->differ && !m->missing)
        r |= 1u << DRILL_CHECK_FALSE;
    return r;
}

unsigned drill_judge(const struct drill_measured *m)
{
    unsigned r = judge_content(m);
    int64_t rpo = drill_rpo_s(m);
    if (m->stopped || m->end == RESTORE_STOPPED)
        return r | 1u << DRILL_STOPPED;
    if (!m->verified_s && (r & ~(1u << DRILL_COPY_DAMAGED | 1u << DRILL_LOG_BROKEN)) == 0)
        r |= 1u << DRILL_NOT_RESTORED;
    if (m->verified_s && m->attempts > 1)
        r |= 1u << DRILL_OLDER;
    if (m->max_rto_s && m->verified_s && (uint64_t)m->rto_ms > m->max_rto_s * 1000)
        r |= 1u << DRILL_OVER_RTO;
    if (m->max_rpo_s && m->verified_s && (rpo < 0 || (uint64_t)rpo > m->max_rpo_s))
        r |= 1u << DRILL_OVER_RPO;
    return r;
}

int drill_status(unsigned r)
{
    unsigned damage = 1u << DRILL_COPY_DAMAGED | 1u << DRILL_LOG_BROKEN | 1u << DRILL_IN_PART |
                      1u << DRILL_CHECK_FALSE | 1u << DRILL_FILES_DIFFER;
    return r == 0 ? 0 : r & 1u << DRILL_STOPPED ? 130 : r & damage ? 4 : 1;
}

/* --- from the words of drivers ------------------------------------------------------------------------------ */
void drill_take_facts(const json_t *facts, const struct policy *pol, struct drill_measured *m)
{
    size_t i;
    json_t *o;
    struct recovered least;
    m->checks = m->wrong = 0;
    m->no_start = false;
    json_array_foreach(json_object_get(facts, "check"), i, o)
    {
        const char *name = json_string_value(json_object_get(o, "name"));
        bool wrong = json_is_false(json_object_get(o, "ok"));
        m->checks++;
        m->wrong += wrong;
        m->no_start |= wrong && name && strcmp(name, "started") == 0;
    }
    m->log_gap = m->log_broken = false;
    json_array_foreach(json_object_get(facts, "recovered"), i, o)
    {
        struct recovered r;
        recovered_of(o, &r);
        m->log_gap |= *r.gap != 0;
        m->log_broken |= json_is_true(json_object_get(o, "damaged"));
    }
    recovered_least(facts, pol, m->recovered_to_s, &least);
    m->recovered_to_s = least.to_s;
}
