/* tell.c - who is told of an alarm, and when (PY-AB, PY-DB-2); see tell.h. */
#include "orchestrator/watch/tell.h"

#include <stdio.h>
#include <string.h>

/* The line of escalation. Vendors, the police and other offices are called by people. */
static const char *const line[] = { "operator", "security-officer", "office-head",
                                    "leading-group" };
#define LINE_ROLES (sizeof line / sizeof *line)

/* --- persons ------------------------------------------------------------------------------------------- */
struct persons {
    struct called_person *all;
    size_t n, max;
};

static bool is_there(const struct person *p)
{
    return p->name && *p->name;
}

static void add_person(struct persons *ps, const struct role *r, char letter)
{
    const struct person *who = letter == 'A' ? &r->a : &r->b;
    if (!is_there(who) || ps->n >= ps->max)
        return;
    for (size_t i = 0; i < ps->n; i++)
        if (strcmp(ps->all[i].who->name, who->name) == 0)
            return;
    ps->all[ps->n++] = (struct called_person){ r->name, letter, who };
}

static bool manned(const struct contacts *c, const char *name)
{
    const struct role *r = c ? contacts_role(c, name) : NULL;
    return r && (is_there(&r->a) || is_there(&r->b));
}

static void add_role(struct persons *ps, const struct contacts *c, const char *name, bool both)
{
    const struct role *r = contacts_role(c, name);
    if (!r)
        return;
    add_person(ps, r, 'A');
    if (both || !is_there(&r->a))
        add_person(ps, r, 'B');
}

/* Calls add_role for each word of roles; returns how far down the line they reach (0: not at all). */
static size_t add_roles(struct persons *ps, const struct contacts *c, const char *roles, bool both)
{
    size_t reach = 0;
    char name[MAX_NAME + 1];
    for (const char *at = roles; *at;) {
        size_t n = strcspn(at, " ");
        if (n > 0 && n < sizeof name) {
            memcpy(name, at, n);
            name[n] = '\0';
            add_role(ps, c, name, both);
            for (size_t i = 0; i < LINE_ROLES; i++)
                if (strcmp(line[i], name) == 0 && i + 1 > reach)
                    reach = i + 1;
        }
        at += n;
        at += strspn(at, " ");
    }
    return reach;
}

static const char *default_role(const struct contacts *c)
{
    for (size_t i = 0; i < LINE_ROLES; i++)
        if (manned(c, line[i]))
            return line[i];
    for (size_t i = 0; i < c->n_roles; i++)
        if (manned(c, c->roles[i].name))
            return c->roles[i].name;
    return "";
}

size_t tell_persons(const struct contacts *c, const char *roles, unsigned stage,
                    struct called_person *ret, size_t max)
{
    struct persons ps = { ret, 0, max };
    if (!c)
        return 0;
    size_t reach = add_roles(&ps, c, roles ? roles : "", stage >= 1);
    if (ps.n == 0)
        reach = add_roles(&ps, c, default_role(c), stage >= 1);
    for (unsigned more = 2; more <= stage && reach < LINE_ROLES; more++) {
        while (reach < LINE_ROLES && !manned(c, line[reach]))
            reach++;
        if (reach < LINE_ROLES)
            add_role(&ps, c, line[reach++], true);
    }
    return ps.n;
}

/* --- ways ------------------------------------------------------------------------------------------------- */
static void add_way(struct recipients *r, const char *channel, const char *to, const char *name)
{
    if (!to || !*to || strlen(to) >= RECIPIENT_BYTES || r->n >= MAX_RECIPIENTS)
        return;
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->all[i].channel, channel) == 0 && strcmp(r->all[i].to, to) == 0)
            return;
    struct recipient *n = &r->all[r->n++];
    snprintf(n->channel, sizeof n->channel, "%s", channel);
    snprintf(n->to, sizeof n->to, "%s", to);
    snprintf(n->name, sizeof n->name, "%s", name);
}

static bool has_webhook(const struct settings *s, const char *name)
{
    for (size_t i = 0; i < s->n_webhooks; i++)
        if (strcmp(s->webhooks[i].name, name) == 0)
            return true;
    return false;
}

static bool is_theirs(const struct person *p, const char *webhook)
{
    return is_there(p) && p->webhook && strcmp(p->webhook, webhook) == 0;
}

static bool has_owner(const struct contacts *c, const char *webhook)
{
    for (size_t i = 0; c && i < c->n_roles; i++)
        if (is_theirs(&c->roles[i].a, webhook) || is_theirs(&c->roles[i].b, webhook))
            return true;
    return false;
}

void tell_ways(const char *roles, unsigned stage, bool console, const struct settings *s,
               const struct contacts *c, struct recipients *ret)
{
    struct called_person persons[MAX_RECIPIENTS];
    size_t n = tell_persons(c, roles, stage, persons, MAX_RECIPIENTS);
    ret->n = 0;
    if (console && s->console)
        add_way(ret, "console", "all", "");
    for (size_t i = 0; i < n; i++) {
        const struct person *p = persons[i].who;
        if (s->command)
            add_way(ret, "command", p->phone, p->name);
        if (p->webhook && has_webhook(s, p->webhook))
            add_way(ret, "webhook", p->webhook, p->name);
        if (s->mail_url)
            add_way(ret, "mail", p->mail, p->name);
    }
    for (size_t i = 0; i < s->n_webhooks; i++)
        if (!has_owner(c, s->webhooks[i].name))
            add_way(ret, "webhook", s->webhooks[i].name, "");
}

/* --- when ---------------------------------------------------------------------------------------------------- */
static bool is_cleared_word(const struct telling *t)
{
    return t->detail && strncmp(t->detail, TELL_CLEARED, strlen(TELL_CLEARED)) == 0;
}

static uint64_t interval_s(const struct alarm *a, uint64_t repeat_s)
{
    uint64_t repeat = repeat_s ? repeat_s : 1800;
    return a->level == ALARM_NOTICE && repeat < NOTICE_REPEAT_S ? NOTICE_REPEAT_S : repeat;
}

unsigned tell_stage(const struct alarm *a, const struct telling *past, size_t n_past,
                    uint64_t repeat_s, int64_t now_s)
{
    for (size_t i = 0; i < n_past; i++) {
        if (is_cleared_word(&past[i]))
            continue;
        int64_t passed = now_s - past[i].at_s;
        uint64_t stage = passed > 0 ? (uint64_t)passed / interval_s(a, repeat_s) : 0;
        return stage > LINE_ROLES + 1 ? LINE_ROLES + 1 : (unsigned)stage;
    }
    return 0;
}

bool tell_reached(const struct telling *past, size_t n_past)
{
    for (size_t i = 0; i < n_past; i++)
        if (past[i].ok && !is_cleared_word(&past[i]) && strcmp(past[i].channel, "console") != 0)
            return true;
    return false;
}

static bool same_way(const struct telling *t, const struct recipient *r)
{
    return strcmp(t->channel, r->channel) == 0 && strcmp(t->to, r->to) == 0;
}

/* How long after the n-th failure in a row it is tried again. */
static uint64_t retry_s(unsigned failures, uint64_t most)
{
    uint64_t wait = TELL_FIRST_RETRY_S;
    for (unsigned i = 1; i < failures && wait < most; i++)
        wait *= 2;
    return wait < most ? wait : most;
}

static bool is_due(const struct alarm *a, const struct telling *past, size_t n_past,
                   const struct recipient *r, uint64_t repeat, int64_t now_s)
{
    unsigned failures = 0;
    int64_t last = 0;
    for (size_t i = 0; i < n_past; i++) {
        /* What was told before the alarm became a worse one counts for nothing: told_s is 0 again then. */
        if (!same_way(&past[i], r) || is_cleared_word(&past[i]))
            continue;
        failures = past[i].ok ? 0 : failures + 1;
        last = past[i].at_s;
    }
    if (last == 0 || (a->told_s == 0 && failures == 0))
        return true;
    uint64_t wait = failures ? retry_s(failures, repeat) : repeat;
    /* A clock that was set back must not silence anybody. */
    return now_s < last || (uint64_t)(now_s - last) >= wait;
}

/* Of a cleared alarm: everybody who was told that it was there, and not yet that it is gone. */
static void due_cleared(const struct alarm *a, const struct telling *past, size_t n_past,
                        int64_t now_s, struct recipients *ret)
{
    struct recipients told = { .n = 0 };
    ret->n = 0;
    if (now_s - a->cleared_s > TELL_CLEARED_S)
        return;
    for (size_t i = 0; i < n_past; i++)
        if (past[i].ok && !is_cleared_word(&past[i]) && strcmp(past[i].channel, "call") != 0)
            add_way(&told, past[i].channel, past[i].to, "");
    for (size_t k = 0; k < told.n; k++) {
        unsigned tries = 0;
        bool knows = false;
        int64_t last = 0;
        for (size_t i = 0; i < n_past; i++)
            if (same_way(&past[i], &told.all[k]) && is_cleared_word(&past[i])) {
                tries++;
                last = past[i].at_s;
                knows = knows || past[i].ok;
            }
        bool waited = tries == 0 || now_s - last >= (int64_t)retry_s(tries, TELL_CLEARED_S);
        if (!knows && tries < TELL_CLEARED_TRIES && waited)
            ret->all[ret->n++] = told.all[k];
    }
}

void tell_due(const struct alarm *a, const struct telling *past, size_t n_past,
              const struct settings *s, const struct contacts *c, int64_t now_s,
              struct recipients *ret)
{
    struct recipients ways;
    ret->n = 0;
    if (a->cleared_s) {
        due_cleared(a, past, n_past, now_s, ret);
        return;
    }
    if (a->acked_s)
        return;
    unsigned stage = tell_stage(a, past, n_past, s->repeat_s, now_s);
    tell_ways(a->roles, stage, a->level != ALARM_NOTICE, s, c, &ways);
    for (size_t i = 0; i < ways.n; i++)
        if (is_due(a, past, n_past, &ways.all[i], interval_s(a, s->repeat_s), now_s))
            ret->all[ret->n++] = ways.all[i];
}
