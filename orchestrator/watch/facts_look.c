/* facts_look.c - asks the copies themselves: what `status` shows of folders is what is there now; see facts.h. */
#include "lib/base/i18n.h"
#include "orchestrator/app.h"
#include "orchestrator/watch/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000LL

static bool concerns(const struct facts *f, const struct vault_fact *v)
{
    bool any = v->n_policies == 0;
    for (size_t i = 0; i < f->n_policies && !any; i++)
        any = f->policies[i].selected && strcmp(f->policies[i].vault, v->name) == 0;
    return any;
}

static void take_judgement(struct facts *f, const struct vault *v, size_t i, struct copy_fact *c)
{
    struct copy_status s = { 0 };
    struct err e = ERR_INIT;
    const struct copy *of = &v->copies[i];
    uint64_t newest = v->state ? v->state->generation : 0;
    if (copy_judge(v, i, &s, &e) < 0) {
        facts_problem(f, &e);
        return;
    }
    c->looked = true;
    c->bad = s.bad;
    /* Why it is behind was seen by the run that it missed. */
    bool known = !s.why[0] && c->why[0] && strcmp(s.name, "behind") == 0 &&
                 strcmp(c->state, "behind") == 0;
    if (!known)
        snprintf(c->why, sizeof c->why, "%s", s.why);
    snprintf(c->state, sizeof c->state, "%s", s.name);
    snprintf(c->text, sizeof c->text, "%s", s.text);
    snprintf(c->next, sizeof c->next, "%s",
             known ? _("see to that, then run: twofold replicate") : s.next);
    c->damaged_objects = s.damaged_objects;
    c->rolled_back = of->rolled_back;
    c->bad_heads = of->bad_heads;
    c->generation = of->generation;
    c->behind = newest > of->generation ? newest - of->generation : 0;
    c->has_space = s.has_space;
    if (s.has_space) {
        c->free_bytes = s.space.free_bytes;
        c->total_bytes = s.space.total_bytes;
        c->device = s.space.device;
    }
    if (of->state != COPY_AWAY && of->state != COPY_WRONG)
        c->seen_s = f->now_s;
    if (of->state == COPY_CURRENT)
        c->current_s = f->now_s;
}

/* What the copies show is the truth; what only a copy on another host has, the catalog remembers. */
static void take_snapshots(struct facts *f, const struct vault *v, bool all_looked)
{
    for (size_t i = 0; i < f->n_policies; i++) {
        struct policy_fact *p = &f->policies[i];
        const struct snap_ref *whole, *partial;
        if (strcmp(p->vault, v->name) != 0)
            continue;
        newest_snapshots(v, p->name, &whole, &partial);
        int64_t whole_s = whole ? whole->received_ns / NS_PER_S : 0;
        if (all_looked || whole_s >= p->whole_s) {
            /* Sizes are those that the catalog has of this very one. */
            if (!whole || !id_eq(&p->whole, &whole->ref.id))
                p->files = p->bytes = 0;
            p->whole_s = whole_s;
            p->whole = whole ? whole->ref.id : (struct id){ 0 };
        }
        p->partial_s = partial ? partial->received_ns / NS_PER_S : 0;
        p->partial = partial ? partial->ref.id : (struct id){ 0 };
    }
}

static void none_answers(struct facts *f, const struct vault_fact *vf,
                         const struct vault_conf *conf, const struct err *why)
{
    for (size_t i = 0; i < conf->n_copies; i++) {
        struct copy_fact *c = facts_copy(f, vf->name, conf->copies[i].place);
        if (!c)
            continue;
        c->looked = c->bad = true;
        snprintf(c->state, sizeof c->state, "away");
        snprintf(c->text, sizeof c->text, "%s", _("away"));
        snprintf(c->why, sizeof c->why, "%s", why->why);
        snprintf(c->next, sizeof c->next, "%s",
                 _("mount it or switch it on, then run: twofold replicate"));
    }
}

static void look_at(struct facts *f, const struct config_paths *p, struct vault_fact *vf,
                    struct vault_conf *conf, bool all)
{
    struct vault_open_options o = { .paths = p, .conf = conf };
    struct vault *v = NULL;
    struct err e = ERR_INIT;
    if (vault_open(&o, &v, &e) < 0) {
        if (e.code == ERR_UNREACHABLE)
            none_answers(f, vf, conf, &e);
        facts_problem(f, &e);
        return;
    }
    vf->looked = true;
    vf->n_tips = v->n_tips;
    vf->written_elsewhere = v->n_tips == 1 && vault_written_elsewhere(v);
    vf->n_lost_keys = v->n_lost_keys;
    vf->vanished = all && v->n_tips == 0 && v->seen_generation;
    vf->generation = v->state ? v->state->generation : 0;
    for (size_t i = 0; i < v->n_copies; i++) {
        struct copy_fact *c = facts_copy(f, vf->name, v->copies[i].place);
        if (c)
            take_judgement(f, v, i, c);
    }
    take_snapshots(f, v, all);
    vault_close(v);
}

/* Copies whose turn it is; the vault is opened with these alone. Returns how many were left out. */
static size_t keep_local(struct vault_conf *conf, bool remote,
                         struct copy_conf left_out[MAX_COPIES], const struct facts *f)
{
    size_t kept = 0, n_out = 0;
    for (size_t i = 0; i < conf->n_copies; i++) {
        const struct copy_fact *c = facts_copy((struct facts *)f, conf->name,
                                               conf->copies[i].place);
        if (!remote && c && c->remote)
            left_out[n_out++] = conf->copies[i];
        else
            conf->copies[kept++] = conf->copies[i];
    }
    conf->n_copies = kept;
    return n_out;
}

void facts_look(struct facts *f, const struct config_paths *p, const char *only, bool remote)
{
    for (size_t i = 0; i < f->n_vaults; i++) {
        struct vault_fact *vf = &f->vaults[i];
        struct vault_conf *conf = NULL;
        struct copy_conf left_out[MAX_COPIES];
        if ((only && strcmp(only, vf->name) != 0) || !concerns(f, vf) || vf->n_copies == 0)
            continue;
        if (vault_conf_load(p, vf->name, &conf, NULL) < 0)
            continue; /* facts_config has said why */
        size_t n_out = keep_local(conf, remote, left_out, f);
        if (conf->n_copies)
            look_at(f, p, vf, conf, n_out == 0);
        /* They are the configuration's again, to be freed with it. */
        for (size_t k = 0; k < n_out; k++)
            conf->copies[conf->n_copies++] = left_out[k];
        vault_conf_free(conf);
    }
}
