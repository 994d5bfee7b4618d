/* summary.c - see summary.h. */
#include "orchestrator/watch/summary.h"
#include "lib/base/i18n.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/log_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- copies ---------------------------------------------------------------------------------------------- */
bool copy_carried(const struct facts *f, const struct copy_fact *c)
{
    bool absent = is(c->state, "away") || is(c->state, "behind") || c->state[0] == '\0';
    int64_t grace = (int64_t)(c->every_s + c->every_s / 4);
    return c->rotating && absent && copy_lag_s(f, c) <= grace;
}

bool copy_attention(const struct facts *f, const struct copy_fact *c)
{
    if (copy_carried(f, c) || c->state[0] == '\0')
        return false;
    return c->looked ? c->bad : !is(c->state, "current");
}

static const char *state_word(const char *state)
{
    return is(state, "current")       ? _("current")
           : is(state, "behind")      ? _("behind")
           : is(state, "away")        ? _("away")
           : is(state, "wrong")       ? _("wrong")
           : is(state, "damaged")     ? _("damaged")
           : is(state, "rolled-back") ? _("rolled back")
                                      : _("not known yet");
}

const char *copy_words(const struct facts *f, const struct copy_fact *c, char out[200])
{
    char age[64];
    if (copy_carried(f, c) && c->current_s)
        snprintf(out, 200, _("carried; current %s ago"), ui_age(f->now_s - c->current_s, age));
    else if (copy_carried(f, c))
        snprintf(out, 200, "%s", _("carried"));
    else if (c->looked)
        snprintf(out, 200, "%s", c->text);
    else if (c->seen_s)
        snprintf(out, 200, _("%s (seen %s ago)"), state_word(c->state),
                 ui_age(f->now_s - c->seen_s, age));
    else
        snprintf(out, 200, "%s", state_word(c->state));
    return out;
}

/* Does this copy have what was received then? */
static bool has_since(const struct copy_fact *c, int64_t received_s)
{
    if (is(c->state, "current"))
        return true;
    return (is(c->state, "away") || is(c->state, "behind")) && c->current_s >= received_s;
}

/* --- policies ---------------------------------------------------------------------------------------------- */
void policy_sum(const struct facts *f, const struct findings *fs, const struct policy_fact *p,
                struct policy_sum *ret)
{
    bool bad_copy = false;
    int worst = -1, own = -1;
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < f->n_copies; i++) {
        const struct copy_fact *c = &f->copies[i];
        if (!is(f->vaults[c->vault].name, p->vault))
            continue;
        ret->places += p->whole_s && has_since(c, p->whole_s);
        bad_copy = bad_copy || copy_attention(f, c);
    }
    for (size_t i = 0; i < fs->n; i++) {
        const struct finding *g = &fs->all[i];
        bool of_it = g->policy == p || (g->vault && is(g->vault->name, p->vault));
        bool agents = strncmp(g->key, "agent/", 6) == 0 && is(g->key + 6, p->agent);
        if ((of_it || agents) && (int)g->level > worst)
            worst = (int)g->level;
        if ((g->policy == p || agents) && (int)g->level > own)
            own = (int)g->level;
    }
    ret->overdue = !p->whole_s || f->now_s - p->whole_s > (int64_t)p->rpo_s;
    ret->future = p->whole_s > f->now_s;
    struct log_sum log;
    log_sum(p->log, f->now_s, log_limit_s(p), &log);
    ret->log = p->logs && log.bad;
    bool few = p->whole_s && ret->places < PLACES_WANTED;
    ret->own = ret->overdue || ret->future || ret->log || own >= ALARM_WARNING;
    ret->attention = ret->overdue || ret->future || ret->log || bad_copy || few ||
                     worst >= ALARM_WARNING;
    ret->rank = (!p->whole_s ? 32 : 0) + (ret->overdue ? 16 : 0) + (ret->places == 0 ? 8 : 0) +
                (ret->attention ? 4 : 0) + (worst > 0 ? worst : 0);
    if (!ret->attention)
        ret->rank = 0;
}

struct ranked {
    size_t at;
    int rank;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank > y->rank ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

size_t *policies_by_rank(const struct facts *f, const struct findings *fs, size_t *ret_n)
{
    struct ranked *r = calloc(f->n_policies + 1, sizeof *r);
    size_t *out = calloc(f->n_policies + 1, sizeof *out), n = 0;
    if (!r || !out)
        abort();
    for (size_t i = 0; i < f->n_policies; i++) {
        struct policy_sum s;
        if (!f->policies[i].selected)
            continue;
        policy_sum(f, fs, &f->policies[i], &s);
        r[n++] = (struct ranked){ i, s.rank };
    }
    if (n)
        qsort(r, n, sizeof *r, by_rank);
    for (size_t i = 0; i < n; i++)
        out[i] = r[i].at;
    free(r);
    *ret_n = n;
    return out;
}

/* --- the site ------------------------------------------------------------------------------------------------- */
static bool shown_vault(const struct facts *f, const struct vault_fact *v)
{
    if (v->n_policies == 0)
        return true;
    for (size_t i = 0; i < f->n_policies; i++)
        if (f->policies[i].selected && is(f->policies[i].vault, v->name))
            return true;
    return false;
}

void site_sum(const struct facts *f, const struct findings *fs, struct site_sum *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < f->n_policies; i++) {
        struct policy_sum s;
        if (!f->policies[i].selected)
            continue;
        policy_sum(f, fs, &f->policies[i], &s);
        ret->policies++;
        ret->attention += s.attention;
    }
    for (size_t i = 0; i < f->n_copies; i++)
        ret->others += shown_vault(f, &f->vaults[f->copies[i].vault]) &&
                       copy_attention(f, &f->copies[i]);
    for (size_t i = 0; i < fs->n; i++) {
        const struct finding *g = &fs->all[i];
        bool counted = g->policy || (g->copy && copy_attention(f, g->copy));
        bool shown = !g->vault || shown_vault(f, g->vault);
        ret->others += g->level >= ALARM_WARNING && !counted && shown;
    }
}

char *site_verdict(const struct site_sum *s)
{
    if (s->attention && s->policies == 1)
        return text_print("%s", _("The policy needs attention."));
    if (s->attention)
        return text_print(P_("%zu of %zu policies needs attention.",
                             "%zu of %zu policies need attention.", s->attention),
                          s->attention, s->policies);
    char *all = s->policies == 1
                    ? text_print("%s", _("The policy is backed up in 2 or more places."))
                    : text_print(_("All %zu policies are backed up in 2 or more places."),
                                 s->policies);
    if (s->policies == 0) {
        free(all);
        all = text_print("%s", _("There is no policy yet."));
    }
    if (s->others == 0)
        return all;
    char *more = text_print(
        P_("%s %zu other thing needs attention.", "%s %zu other things need attention.", s->others),
        all, s->others);
    free(all);
    return more;
}
