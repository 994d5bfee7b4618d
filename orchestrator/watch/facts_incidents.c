/* facts_incidents.c - which incidents there are, and their duties (facts.h): from the timelines beside the catalog. What cannot change any more
 * is not read again. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/clock.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/facts.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void incident_facts_done(struct facts *f)
{
    for (size_t i = 0; i < f->n_incidents; i++)
        duties_done(&f->incidents[i].duties);
    free(f->incidents);
    f->incidents = NULL;
    f->n_incidents = 0;
}

static struct incident_fact *find(struct incident_fact *all, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i].id, id) == 0)
            return &all[i];
    return NULL;
}

static bool to_note(const struct incident *inc, const struct duty_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct duty *d = &l->all[i];
        const char *state = d->state == DUTY_DUE       ? "reminded"
                            : d->state == DUTY_OVERDUE ? "overdue"
                                                       : NULL;
        if (state && !duty_noted(inc, d->id, d->number, state))
            return true;
    }
    return false;
}

/* Done and needless ones are of no use here: an incident of weeks has many. */
static void keep_open(struct duty_list *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        if (l->all[i].state < DUTY_DONE)
            l->all[n++] = l->all[i];
    l->n = n;
}

static void understand(struct incident_fact *n, const struct incident *inc)
{
    snprintf(n->policy, sizeof n->policy, "%.*s", MAX_NAME, inc->policy ? inc->policy : "");
    n->cause = inc->cause;
    n->drill = inc->drill;
    n->level = inc->level;
    n->opened_s = inc->opened_s;
    n->recovered_s = inc->recovered_s;
    n->escalated_s = inc->escalated_s;
    n->closed_s = inc->closed_s;
    struct failback f;
    failback_of(inc, &f);
    n->standby = failback_phase_of(&f);
    n->primary_unproven = f.stated[PAIR_PRIMARY] && !f.may_write[PAIR_PRIMARY];
    n->drilled = (struct drill_past){ .rpo_s = -1 };
    drill_past_add(inc, &n->drilled);
    n->damage[0] = '\0';
    if (inc->broken.code != ERR_NONE)
        snprintf(n->damage, sizeof n->damage, "%s", inc->broken.why);
}

static void read_one(const struct config_paths *p, int64_t now_s, struct incident_fact *n)
{
    struct incident *inc = NULL;
    struct err e = ERR_INIT;
    int rc = incident_open(p, n->id, &inc, &e);
    n->unread = rc < 0;
    duties_done(&n->duties);
    if (rc == 0) {
        understand(n, inc);
        rc = crash_duties(p, inc, now_s, &n->duties, &e);
    }
    if (rc == 0) {
        n->to_note = inc->broken.code == ERR_NONE && to_note(inc, &n->duties);
        keep_open(&n->duties);
        n->settled = n->duties.n == 0 && (n->closed_s || n->drill) && !n->damage[0];
        n->marked = false;
    } else {
        snprintf(n->damage, sizeof n->damage, "%s", e.why);
        n->unread = true;
        n->settled = false;
    }
    incident_free(inc);
}

/* "SIZE CHANGED_NS" of a timeline of which nothing comes any more: with many drills behind it `status` need not read them all. A drill has two
 * lines more, what it came to. It is a hint: the file itself is read when it does not fit, and whoever may not write here reads. */
#define MARK "settled"
#define MAX_MARK_BYTES (256 + DRILL_WHY_BYTES)

static char *mark_of(const struct config_paths *p, const char *id)
{
    return text_print("%s/incidents/%s/" MARK, p->state_dir, id);
}

static bool take_number(const char **text, int64_t *ret)
{
    char *end;
    errno = 0;
    *ret = strtoll(*text, &end, 10);
    bool right = end != *text && errno == 0;
    *text = end;
    return right;
}

/* "POLICY LAST PASSED FAILED RTO_MS RPO", then why it was failed. */
static bool take_drilled(const char *text, struct incident_fact *n)
{
    struct drill_past d = { 0 };
    int64_t failed;
    size_t name = strcspn(text, " ");
    const char *p = text + name;
    if (name == 0 || name > MAX_NAME || !take_number(&p, &d.last_s) ||
        !take_number(&p, &d.passed_s) || !take_number(&p, &failed) || !take_number(&p, &d.rto_ms) ||
        !take_number(&p, &d.rpo_s) || *p != '\n')
        return false;
    p++;
    d.failed = failed != 0;
    snprintf(d.why, sizeof d.why, "%.*s", (int)strcspn(p, "\n"), p);
    n->drill = true;
    snprintf(n->policy, sizeof n->policy, "%.*s", (int)name, text);
    n->drilled = d;
    return true;
}

static bool take_mark(const char *text, struct incident_fact *n)
{
    char *end = NULL;
    uint64_t size = strtoull(text, &end, 10);
    if (size != n->size || strtoll(end, &end, 10) != n->changed_ns || *end != '\n')
        return false;
    bool drill = strncmp(n->id, "drill-", strlen("drill-")) == 0;
    return !drill || take_drilled(end + 1, n);
}

static bool is_marked(const struct config_paths *p, struct incident_fact *n)
{
    char *file = mark_of(p, n->id);
    uint8_t *text = NULL;
    size_t len = 0;
    bool same = false;
    if (sys_read_file(AT_FDCWD, file, MAX_MARK_BYTES, &text, &len, NULL) == 0)
        same = take_mark((char *)text, n);
    free(text);
    free(file);
    return same;
}

static void mark(const struct config_paths *p, const struct incident_fact *n)
{
    char *file = mark_of(p, n->id);
    const struct drill_past *d = &n->drilled;
    char *text = n->drill ? text_print("%" PRIu64 " %" PRId64 "\n%s %" PRId64 " %" PRId64
                                       " %d %" PRId64 " %" PRId64 "\n%s\n",
                                       n->size, n->changed_ns, n->policy, d->last_s, d->passed_s,
                                       d->failed, d->rto_ms, d->rpo_s, d->why)
                          : text_print("%" PRIu64 " %" PRId64 "\n", n->size, n->changed_ns);
    (void)sys_write_file(AT_FDCWD, file, text, strlen(text), 0600, NULL);
    free(text);
    free(file);
}

/* One that was looked at before goes on from there. */
static void take(struct facts *f, const struct config_paths *p, struct incident_fact *old,
                 size_t n_old, const char *id)
{
    char *file = text_print("%s/incidents/%s/timeline", p->state_dir, id);
    struct incident_fact *before = find(old, n_old, id);
    struct stat st;
    bool there = stat(file, &st) == 0;
    int why = errno;
    free(file);
    if (!there && (why == ENOENT || why == ENOTDIR))
        return; /* it is being made, or is none */
    f->incidents = facts_more(f->incidents, f->n_incidents, sizeof *f->incidents);
    struct incident_fact *n = &f->incidents[f->n_incidents++];
    memset(n, 0, sizeof *n);
    if (before) {
        *n = *before;
        before->duties = (struct duty_list){ 0 };
    }
    snprintf(n->id, sizeof n->id, "%s", id);
    int64_t changed_ns = there ? st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec : 0;
    bool same = there && n->changed_ns == changed_ns && n->size == (uint64_t)st.st_size;
    n->changed_ns = changed_ns;
    n->size = there ? (uint64_t)st.st_size : 0;
    if (there && !same && is_marked(p, n))
        n->settled = n->marked = same = true;
    if (!same || !n->settled)
        read_one(p, f->now_s, n);
}

static int newest_first(const void *a, const void *b)
{
    const struct incident_fact *x = a, *y = b;
    if (x->opened_s != y->opened_s)
        return x->opened_s > y->opened_s ? -1 : 1;
    if (x->changed_ns != y->changed_ns) /* two drills in one second */
        return x->changed_ns > y->changed_ns ? -1 : 1;
    return strcmp(x->id, y->id);
}

void facts_incidents(struct facts *f, const struct config_paths *p)
{
    struct incident_fact *old = f->incidents;
    size_t n_old = f->n_incidents;
    struct dirent *en;
    char *folder = text_print("%s/incidents", p->state_dir);
    DIR *d = opendir(folder);
    bool none = !d && errno == ENOENT;
    free(folder);
    if (!d && !none) { /* what was known before is all that is known */
        f->incidents_read = false;
        return;
    }
    f->incidents = NULL;
    f->n_incidents = 0;
    while (d && (en = readdir(d)) != NULL)
        if (en->d_name[0] != '.' && strlen(en->d_name) < MAX_INCIDENT_ID)
            take(f, p, old, n_old, en->d_name);
    if (d)
        closedir(d);
    for (size_t i = 0; i < n_old; i++)
        duties_done(&old[i].duties);
    free(old);
    if (f->n_incidents)
        qsort(f->incidents, f->n_incidents, sizeof *f->incidents, newest_first);
    f->incidents_read = true;
}

struct drill_past policy_drills(const struct facts *f, const char *policy)
{
    struct drill_past all = { .rpo_s = -1 };
    for (size_t i = 0; i < f->n_incidents; i++)
        if (f->incidents[i].drill && strcmp(f->incidents[i].policy, policy) == 0)
            drill_past_join(&f->incidents[i].drilled, &all);
    return all;
}

bool policy_drill_late(const struct facts *f, const struct policy_fact *p)
{
    struct drill_past past = policy_drills(f, p->name);
    int64_t since = past.passed_s ? past.passed_s : p->drill_since_s;
    return p->drill_every_s && since && f->now_s - since > (int64_t)p->drill_every_s;
}

void facts_remind(struct facts *f, const struct config_paths *p)
{
    for (size_t i = 0; i < f->n_incidents; i++) {
        struct err ignored = ERR_INIT;
        if (f->incidents[i].to_note && crash_remind(p, f->incidents[i].id, f->now_s, &ignored) >= 0)
            f->incidents[i].to_note = false;
        if (f->incidents[i].settled && !f->incidents[i].marked) {
            mark(p, &f->incidents[i]);
            f->incidents[i].marked = true;
        }
    }
}

int64_t facts_duty_change_s(const struct facts *f)
{
    int64_t next = 0;
    for (size_t i = 0; i < f->n_incidents; i++) {
        int64_t at = duties_change_s(&f->incidents[i].duties, f->now_s);
        if (at && (!next || at < next))
            next = at;
    }
    return next;
}
