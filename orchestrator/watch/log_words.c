/* log_words.c - see log_words.h. */
#include "orchestrator/watch/log_words.h"
#include "lib/base/i18n.h"
#include "orchestrator/text.h"
#include "orchestrator/ui.h"

#include <stdio.h>
#include <stdlib.h>

int64_t log_limit_s(const struct policy_fact *p)
{
    return p->rpo_s && p->rpo_s < LOG_FOLLOW_S ? (int64_t)p->rpo_s : LOG_FOLLOW_S;
}

static int64_t since(int64_t then_s, int64_t now_s)
{
    return now_s > then_s ? now_s - then_s : 0;
}

int64_t log_copy_lag_s(const struct logs_state *s, const struct logs_copy_state *c, int64_t now_s)
{
    if (c->seq >= s->last.seq)
        return 0;
    if (!c->complete_s)
        return -1;
    int64_t lag_s = since(c->complete_s, now_s);
    return lag_s ? lag_s : 1; /* 0 is for those that lack nothing */
}

void log_sum(const struct logs_state *s, int64_t now_s, int64_t limit_s, struct log_sum *ret)
{
    *ret = (struct log_sum){ .lag_s = -1, .bad = true };
    if (!s)
        return;
    ret->followed = logs_running(s, now_s);
    if (s->complete_s)
        ret->lag_s = since(s->complete_s, now_s);
    for (size_t i = 0; i < s->n_copies; i++)
        ret->current += s->last.seq && s->copies[i].seq >= s->last.seq;
    if (s->last.seq && s->head_timeline == s->last.timeline && s->head > s->last.end)
        ret->ahead = s->head - s->last.end;
    int64_t lag_s = ret->lag_s >= 0 ? ret->lag_s : since(s->since_s, now_s);
    ret->bad = !ret->followed || lag_s > limit_s;
}

char *log_words(const struct logs_state *s, int64_t now_s)
{
    struct log_sum sum;
    char age[64];
    log_sum(s, now_s, LOG_FOLLOW_S, &sum);
    if (!s || (!sum.followed && sum.lag_s < 0))
        return text_print("%s", _("NOT FOLLOWED yet"));
    if (sum.lag_s < 0)
        return text_print("%s", _("followed; nothing has come yet"));
    ui_age(sum.lag_s, age);
    if (!sum.followed)
        return text_print(_("NOT FOLLOWED; kept up to %s ago"), age);
    if (sum.current < s->n_copies)
        return text_print(_("kept up to %s ago in %zu of %zu copies"), age, sum.current,
                          s->n_copies);
    if (s->n_copies == 2)
        return text_print(_("complete up to %s ago in both copies"), age);
    return text_print(
        P_("complete up to %s ago in %zu copy", "complete up to %s ago in %zu copies", s->n_copies),
        age, s->n_copies);
}

const char *log_next(const struct facts *f, const struct policy_fact *p,
                     char out[FINDING_TEXT_BYTES])
{
    if (f->by_systemd && p->no_follower)
        snprintf(out, FINDING_TEXT_BYTES, "twofold schedule apply");
    else if (f->by_systemd)
        snprintf(out, FINDING_TEXT_BYTES, "systemctl restart twofold-logs@%s", p->name);
    else
        snprintf(out, FINDING_TEXT_BYTES, "twofold logs %s --follow", p->name);
    return out;
}
