/* status.c - judges copies (PY-DB-1); see status.h. */
#include "orchestrator/status.h"
#include "lib/base/i18n.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void copy_text(char out[STATUS_TEXT_BYTES], const char *text)
{
    snprintf(out, STATUS_TEXT_BYTES, "%s", text);
}

static void judge_unusable(const struct copy *c, struct copy_status *s)
{
    bool away = c->state == COPY_AWAY;
    s->bad = true;
    s->name = away ? "away" : "wrong";
    snprintf(s->text, sizeof s->text, "%s", away ? _("away") : _("wrong"));
    copy_text(s->why, c->problem.why);
    if (c->problem.next[0] && away)
        snprintf(s->next, sizeof s->next, _("%s; then: twofold replicate"), c->problem.next);
    else if (c->problem.next[0])
        copy_text(s->next, c->problem.next);
    else if (away)
        copy_text(s->next, _("mount it or switch it on, then run: twofold replicate"));
    else
        copy_text(s->next,
                  _("correct its url in the vault's configuration, or what is mounted there"));
}

static void judge_behind(const struct vault *v, const struct copy *c, struct copy_status *s)
{
    uint64_t newest = v->state ? v->state->generation : 0;
    s->bad = true;
    s->name = "behind";
    if (c->generation == 0)
        snprintf(s->text, sizeof s->text, _("behind: has no backup yet"));
    else if (newest > c->generation)
        snprintf(s->text, sizeof s->text,
                 P_("behind by %" PRIu64 " generation", "behind by %" PRIu64 " generations",
                    newest - c->generation),
                 newest - c->generation);
    else
        snprintf(s->text, sizeof s->text, _("behind: half of a fork"));
    copy_text(s->next, v->n_tips > 1
                           ? _("merge the fork: the next backup does it: twofold backup POLICY")
                           : _("twofold replicate"));
}

/* --- damage that was noted earlier --------------------------------------------------------------------- */
struct noted {
    const struct vault *v;
    const char *place;
    struct copy_status *s;
    bool of[MAX_COPIES]; /* copies of which damage was noted */
};

static int count_noted(void *ctx, const char *place, const char *name, const char *why,
                       struct err *e)
{
    struct noted *n = ctx;
    (void)e;
    for (size_t i = 0; i < n->v->n_copies; i++)
        n->of[i] |= strcmp(place, n->v->copies[i].place) == 0;
    if (strcmp(place, n->place) != 0)
        return 0;
    if (n->s->damaged_objects++ == 0)
        snprintf(n->s->why, sizeof n->s->why, "%s: %s", name, why);
    return 0;
}

/* What only a look at the objects shows; nothing is read here, so it is as old as the last scrub or restore. */
static void judge_noted(const struct noted *noted, const struct copy *c, struct copy_status *s)
{
    unsigned long long n = s->damaged_objects;
    bool all = true;
    for (size_t i = 0; i < noted->v->n_copies; i++)
        all = all && noted->of[i];
    s->bad = true;
    s->name = "damaged";
    snprintf(s->text, sizeof s->text, P_("%llu damaged object", "%llu damaged objects", n), n);
    copy_text(
        s->next,
        all                       ? _("mend them: twofold repair; what every copy has lost comes back with a new backup: twofold backup POLICY")
        : c->state == COPY_BEHIND ? _("mend them: twofold repair; then: twofold replicate")
                                  : _("mend them: twofold repair"));
}

/* What opening the vault has shown. */
static void judge_damaged(const struct copy *c, struct copy_status *s)
{
    s->bad = true;
    s->name = "damaged";
    if (c->bad_heads)
        snprintf(s->text, sizeof s->text, P_("%u damaged head", "%u damaged heads", c->bad_heads),
                 c->bad_heads);
    else
        snprintf(s->text, sizeof s->text, _("damaged"));
    copy_text(s->why, c->problem.why);
    copy_text(s->next, _("see what else is damaged: twofold scrub; mend it: twofold repair"));
}

int copy_judge(const struct vault *v, size_t i, struct copy_status *s, struct err *e)
{
    const struct copy *c = &v->copies[i];
    struct noted noted = { .v = v, .place = c->place, .s = s };
    memset(s, 0, sizeof *s);
    int rc = chunkdb_each_damage(v->db, count_noted, &noted, e);
    if (rc < 0)
        return err_wrap(e, _("copy \"%s\""), c->place);
    if (c->store && c->state != COPY_AWAY && c->state != COPY_WRONG)
        s->has_space = store_space(c->store, &s->space, NULL) == 0;
    if (c->state == COPY_AWAY || c->state == COPY_WRONG) {
        judge_unusable(c, s);
        return 0;
    }
    s->name = "current";
    snprintf(s->text, sizeof s->text, v->n_tips ? _("current") : _("ready"));
    if (c->state == COPY_BEHIND)
        judge_behind(v, c, s);
    if (s->damaged_objects)
        judge_noted(&noted, c, s);
    if (c->bad_heads || c->problem.code != ERR_NONE)
        judge_damaged(c, s);
    /* A damaged newest head shows an older state, too; that is no rollback. */
    if (c->rolled_back && !c->bad_heads) {
        s->bad = true;
        s->name = "rolled-back";
        snprintf(s->text, sizeof s->text, _("rolled back"));
        copy_text(s->why, _("it shows an older state than it has had"));
        copy_text(s->next, _("find out who put the older state there; then: twofold replicate"));
    }
    return 0;
}

void newest_snapshots(const struct vault *v, const char *policy, const struct snap_ref **ret_whole,
                      const struct snap_ref **ret_partial)
{
    char source[MAX_FORMAT_NAME + 1];
    source_name(policy, source);
    const struct source_list *l = vault_list(v, source);
    *ret_whole = *ret_partial = NULL;
    for (size_t i = 0; l && i < l->n; i++) {
        if (l->snaps[i].flags & SNAPSHOT_QUARANTINE)
            continue;
        if (l->snaps[i].state == SNAPSHOT_WHOLE)
            *ret_whole = &l->snaps[i];
        else
            *ret_partial = &l->snaps[i];
    }
}
