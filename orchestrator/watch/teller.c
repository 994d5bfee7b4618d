/* teller.c - tells whoever is to be told, one message for each of them, and records every attempt; see watch.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"
#include "orchestrator/watch/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TELLER_LEASE "teller"
#define LEASE_S 180
#define MAX_LOOKED_AT 1000 /* alarms, the newest, that are looked through for recoveries to tell */

/* --- what the catalog has, kept -------------------------------------------------------------------------- */
struct tellings {
    struct telling *all;
    size_t n;
};

static char *dup_text(const char *s)
{
    return text_print("%s", s ? s : "");
}

static int keep_telling(void *ctx, const struct telling *t)
{
    struct tellings *ts = ctx;
    ts->all = facts_more(ts->all, ts->n, sizeof *ts->all);
    ts->all[ts->n] = *t;
    ts->all[ts->n].channel = dup_text(t->channel);
    ts->all[ts->n].to = dup_text(t->to);
    ts->all[ts->n].detail = dup_text(t->detail);
    ts->n++;
    return 0;
}

static void tellings_done(struct tellings *ts)
{
    for (size_t i = 0; i < ts->n; i++) {
        free((char *)ts->all[i].channel);
        free((char *)ts->all[i].to);
        free((char *)ts->all[i].detail);
    }
    free(ts->all);
    *ts = (struct tellings){ 0 };
}

struct alarms {
    struct alarm *all;
    size_t n;
    int64_t now_s;
};

static int keep_alarm(void *ctx, const struct alarm *a)
{
    struct alarms *as = ctx;
    bool open = a->cleared_s == 0, news = a->told > 0 && as->now_s - a->cleared_s <= TELL_CLEARED_S;
    if ((open && a->acked_s) || (!open && !news))
        return 0;
    as->all = facts_more(as->all, as->n, sizeof *as->all);
    struct alarm *k = &as->all[as->n++];
    *k = *a;
    k->key = dup_text(a->key);
    k->duty = dup_text(a->duty);
    k->text = dup_text(a->text);
    k->next = dup_text(a->next);
    k->roles = dup_text(a->roles);
    k->acked_by = k->acked_through = "";
    return 0;
}

static void alarms_done(struct alarms *as)
{
    for (size_t i = 0; i < as->n; i++) {
        free((char *)as->all[i].key);
        free((char *)as->all[i].duty);
        free((char *)as->all[i].text);
        free((char *)as->all[i].next);
        free((char *)as->all[i].roles);
    }
    free(as->all);
    *as = (struct alarms){ 0 };
}

/* Open alarms before recoveries, the worst first; recoveries the newest first. */
static int by_urgency(const void *a, const void *b)
{
    const struct alarm *x = a, *y = b;
    bool xo = x->cleared_s == 0, yo = y->cleared_s == 0;
    if (xo != yo)
        return xo ? -1 : 1;
    if (xo && x->level != y->level)
        return x->level > y->level ? -1 : 1;
    return x->id > y->id ? -1 : x->id < y->id;
}

/* Alarms that somebody may have to be told of. */
static int load_alarms(struct catalog *c, int64_t now_s, struct alarms *ret, struct err *e)
{
    *ret = (struct alarms){ .now_s = now_s };
    int rc = catalog_alarms(c, false, MAX_LOOKED_AT, keep_alarm, ret, e);
    if (rc >= 0 && ret->n)
        qsort(ret->all, ret->n, sizeof *ret->all, by_urgency);
    return rc < 0 ? rc : 0;
}

/* --- who is to hear what ------------------------------------------------------------------------------------- */
struct letter {
    struct recipient to;
    const struct alarm **alarms;
    size_t n;
};
struct letters {
    struct letter *all;
    size_t n;
};

static void add_alarm(struct letters *ls, const struct recipient *r, const struct alarm *a)
{
    struct letter *l = NULL;
    for (size_t i = 0; i < ls->n && !l; i++)
        if (strcmp(ls->all[i].to.channel, r->channel) == 0 && strcmp(ls->all[i].to.to, r->to) == 0)
            l = &ls->all[i];
    if (!l) {
        ls->all = facts_more(ls->all, ls->n, sizeof *ls->all);
        l = &ls->all[ls->n++];
        *l = (struct letter){ .to = *r };
    }
    l->alarms = facts_more(l->alarms, l->n, sizeof(const struct alarm *));
    l->alarms[l->n++] = a;
}

static void letters_done(struct letters *ls)
{
    for (size_t i = 0; i < ls->n; i++)
        free(ls->all[i].alarms);
    free(ls->all);
    *ls = (struct letters){ 0 };
}

static int plan(struct catalog *c, const struct alarms *as, const struct settings *s,
                const struct contacts *k, struct letters *ret, struct err *e)
{
    struct recipients *due = calloc(1, sizeof *due);
    int rc = due ? 0 : err_set(e, ERR_NOMEM, _("out of memory"));
    for (size_t i = 0; rc >= 0 && i < as->n; i++) {
        struct tellings past = { 0 };
        rc = catalog_tellings(c, as->all[i].id, keep_telling, &past, e);
        if (rc >= 0) {
            tell_due(&as->all[i], past.all, past.n, s, k, as->now_s, due);
            for (size_t n = 0; n < due->n; n++)
                add_alarm(ret, &due->all[n], &as->all[i]);
        }
        tellings_done(&past);
    }
    free(due);
    return rc < 0 ? rc : 0;
}

int watch_anybody_due(struct catalog *c, const struct settings *s, const struct contacts *k,
                      int64_t now_s, struct err *e)
{
    struct alarms as;
    struct letters ls = { 0 };
    int rc = load_alarms(c, now_s, &as, e);
    if (rc == 0)
        rc = plan(c, &as, s, k, &ls, e);
    int any = ls.n > 0;
    letters_done(&ls);
    alarms_done(&as);
    return rc < 0 ? rc : any;
}

/* --- telling --------------------------------------------------------------------------------------------------- */
struct tour {
    struct catalog *c;
    const struct settings *s;
    int64_t now_s;
    bool
        mail_is_down; /* a mail server that does not answer is not asked once more for each person */
    uint64_t epoch;
    told_fn *fn;
    void *ctx;
    struct tell_result *result;
};

static int record(struct tour *t, const struct letter *l, const struct err *problem, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < l->n; i++) {
        const struct alarm *a = l->alarms[i];
        bool cleared = a->cleared_s != 0;
        char *detail;
        if (problem->code == ERR_NONE)
            detail = text_print("%s", cleared ? TELL_CLEARED : "");
        else
            detail = text_print("%s%s%s%s", cleared ? TELL_CLEARED ": " : "", problem->what,
                                problem->what[0] ? ": " : "", problem->why);
        rc = catalog_alarm_told(t->c, a->id, l->to.channel, l->to.to, problem->code == ERR_NONE,
                                detail, t->now_s, e);
        free(detail);
    }
    return rc;
}

static int tell_one(struct tour *t, const struct letter *l, struct err *e)
{
    struct message m;
    struct err problem = ERR_INIT;
    bool mail = strcmp(l->to.channel, "mail") == 0;
    if (mail && t->mail_is_down) {
        err_set(&problem, ERR_UNREACHABLE, _("the mail server did not answer a moment ago"));
    } else {
        message_of_alarms(l->alarms, l->n, t->s, t->now_s, &m);
        channel_send(t->s, &l->to, &m, &problem);
        message_done(&m);
    }
    if (problem.code == ERR_INTERRUPTED) {
        *e = problem;
        return -ERR_INTERRUPTED; /* nobody has failed: the next tour asks again */
    }
    t->mail_is_down = t->mail_is_down ||
                      (mail && (problem.code == ERR_TIMEOUT || problem.code == ERR_UNREACHABLE));
    if (problem.code == ERR_NONE)
        t->result->sent++;
    else
        t->result->failed++;
    if (t->fn)
        t->fn(t->ctx, &l->to, &problem);
    return record(t, l, &problem, e);
}

static int tell_all(struct tour *t, const struct letters *ls, struct err *e)
{
    /* What is quick goes first; a mail server may take its time. */
    static const char *const order[] = { "console", "command", "webhook", "mail" };
    int rc = 0;
    for (size_t o = 0; o < sizeof order / sizeof *order; o++)
        for (size_t i = 0; rc >= 0 && i < ls->n; i++) {
            if (strcmp(ls->all[i].to.channel, order[o]) != 0)
                continue;
            rc = catalog_lease_renew(t->c, TELLER_LEASE, t->epoch, sys_realtime_s() + LEASE_S, e);
            if (rc >= 0)
                rc = tell_one(t, &ls->all[i], e);
        }
    return rc < 0 ? rc : 0;
}

static int tour(struct tour *t, const struct contacts *k, struct err *e)
{
    struct alarms as;
    struct letters ls = { 0 };
    int rc = load_alarms(t->c, t->now_s, &as, e);
    if (rc == 0)
        rc = plan(t->c, &as, t->s, k, &ls, e);
    t->result->alarms = as.n;
    if (rc == 0)
        rc = tell_all(t, &ls, e);
    letters_done(&ls);
    alarms_done(&as);
    return rc;
}

int watch_tell(struct catalog *c, const struct config_paths *p, int64_t now_s, told_fn *fn,
               void *ctx, struct tell_result *ret, struct err *e)
{
    struct settings *s = NULL;
    struct contacts *k = NULL;
    char owner[64];
    *ret = (struct tell_result){ 0 };
    struct tour t = { .c = c, .now_s = now_s, .fn = fn, .ctx = ctx, .result = ret };
    snprintf(owner, sizeof owner, "teller-%ld", (long)getpid());
    int rc = settings_load(p, &s, e);
    if (rc == 0 && contacts_load(p, &k, e) < 0) {
        /* The channels of all need no contacts: a mistake in that file must not silence them. */
        err_clear(e);
        k = NULL;
    }
    if (rc == 0)
        rc = catalog_lease(c, TELLER_LEASE, owner, sys_realtime_s() + LEASE_S, &t.epoch, e);
    if (rc >= 0) {
        t.s = s;
        rc = tour(&t, k, e);
        catalog_lease_end(c, TELLER_LEASE, t.epoch, NULL);
    }
    settings_free(s);
    contacts_free(k);
    return rc < 0 ? rc : 0;
}
