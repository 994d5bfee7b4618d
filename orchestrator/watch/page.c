/* page.c - see page.h. */
#include "orchestrator/watch/page.h"
#include "lib/base/i18n.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/log_words.h"
#include "orchestrator/watch/message.h"
#include "orchestrator/watch/out.h"
#include "orchestrator/watch/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    "@page{size:A4;margin:14mm}"
    "*{box-sizing:border-box}"
    "body{font:15px/1.5 'Noto Sans CJK SC','Source Han Sans SC','Microsoft YaHei','PingFang SC',"
    "'WenQuanYi Zen Hei','DejaVu Sans',Arial,sans-serif;color:#111;background:#fff;max-width:62em;"
    "margin:0 auto;padding:1em}"
    "h1{font-size:1.35em;margin:0}h2{font-size:1.1em;margin:1.5em 0 .4em;border-bottom:1px solid #999;break-after:avoid}"
    "p{margin:.3em 0}.made{color:#444;font-size:.9em}"
    ".verdict{font-size:1.25em;font-weight:bold;margin:.8em 0;padding:.6em .8em;border:2px solid #111}"
    ".bad{border:4px double #a00}.verdict.bad{background:#fff2f0}.verdict.good{background:#f0f8f0}"
    "ul{list-style:none;margin:0;padding:0}li{padding:.4em .7em;margin:.4em 0;border-left:4px solid #999}"
    "li.critical{border-left:8px solid #a00}li.warning{border-left:6px double #850}"
    ".level{font-weight:bold;margin-right:.4em}.duty{color:#444;font-size:.9em;margin-left:.4em}"
    ".next{display:block;font-size:.95em}code{font-family:'DejaVu Sans Mono',Consolas,monospace;"
    "font-size:.92em;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;"
    "padding:.3em .6em .3em 0;border-bottom:1px solid #bbb;overflow-wrap:anywhere}"
    "th{border-bottom:2px solid #111;font-size:.9em}td.n,th.n{text-align:right;padding-right:1.4em}"
    "tr.attention td{font-weight:bold}tr{break-inside:avoid}li{break-inside:avoid}"
    "@media print{body{font-size:10.5pt;max-width:none;padding:0}.verdict{background:none!important}}"
    "@media screen and (max-width:40em){thead{display:none}tr{display:block;border-bottom:2px solid "
    "#111;padding:.4em 0}td,td.n{display:block;border:0;text-align:left;padding:.1em 0}"
    "td[data-l]::before{content:attr(data-l) \": \";font-weight:normal;color:#444}}";

/* Text of any origin, between tags or in an attribute. */
static void html(struct wbuf *o, const char *text)
{
    char *clean = text_clean(text, strlen(text), false);
    for (const char *p = clean; *p; p++)
        switch (*p) {
        case '&':
            out(o, "&amp;");
            break;
        case '<':
            out(o, "&lt;");
            break;
        case '>':
            out(o, "&gt;");
            break;
        case '"':
            out(o, "&quot;");
            break;
        case '\'':
            out(o, "&#39;");
            break;
        default:
            wb_u8(o, (uint8_t)*p);
        }
    free(clean);
}

static void element(struct wbuf *o, const char *name, const char *text)
{
    out(o, "<%s>", name);
    html(o, text);
    out(o, "</%s>\n", name);
}

/* A cell; on a telephone its heading stands before it. */
static void cell(struct wbuf *o, bool number, const char *heading, const char *text)
{
    out(o, "<td%s data-l=\"", number ? " class=\"n\"" : "");
    html(o, heading);
    out(o, "\">");
    html(o, text);
    out(o, "</td>");
}

static void heading(struct wbuf *o, bool number, const char *text)
{
    out(o, "<th scope=\"col\"%s>", number ? " class=\"n\"" : "");
    html(o, text);
    out(o, "</th>");
}

/* --- the head ------------------------------------------------------------------------------------------ */
static void page_head(struct wbuf *o, const struct facts *f, const struct findings *fs)
{
    char host[256], when[32];
    struct site_sum sum;
    const char *site = f->settings && f->settings->site ? f->settings->site : "";
    site_sum(f, fs, &sum);
    char *verdict = site_verdict(&sum);
    char *title = *site ? text_print(_("%s: backups"), site) : text_print("%s", _("Backups"));
    /* TRANSLATORS: the language of the page, as HTML names it: zh-CN */
    out(o, "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n", _("en"));
    out(o, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
           "style-src 'unsafe-inline'\">\n");
    element(o, "title", title);
    out(o, "<style>%s</style>\n</head>\n<body>\n", style);
    element(o, "h1", title);
    char *made = text_print(_("As of %s, made by %s"), time_text(f->now_s, when), this_host(host));
    out(o, "<p class=\"made\">");
    html(o, made);
    out(o, "</p>\n<p class=\"verdict %s\">%s",
        sum.attention || sum.others || sum.policies == 0 ? "bad" : "good",
        sum.attention || sum.others ? "! " : "");
    html(o, verdict);
    out(o, "</p>\n");
    free(made);
    free(title);
    free(verdict);
}

/* --- what is wrong ----------------------------------------------------------------------------------------- */
static const struct open_alarm *alarm_of(const struct facts *f, const char *key)
{
    for (size_t i = 0; i < f->n_alarms; i++)
        if (strcmp(f->alarms[i].key, key) == 0)
            return &f->alarms[i];
    return NULL;
}

static void one_finding(struct wbuf *o, const struct facts *f, const struct finding *g)
{
    const struct open_alarm *a = alarm_of(f, g->key);
    char when[32];
    out(o, "<li class=\"%s\"><span class=\"level\">", level_name(g->level));
    html(o, level_word(g->level));
    out(o, "</span>");
    html(o, g->text);
    if (g->duty[0]) {
        out(o, "<span class=\"duty\">");
        html(o, g->duty);
        out(o, "</span>");
    }
    out(o, "<span class=\"next\">");
    html(o, _("Do next: "));
    out(o, "<code>");
    html(o, g->next);
    out(o, "</code></span>");
    if (a) {
        char *state = a->acked_s
                          ? text_print(_("No. %" PRIu64 ", acknowledged by %s at %s"), a->id,
                                       a->acked_by ? a->acked_by : "?", time_text(a->acked_s, when))
                          : text_print(_("No. %" PRIu64 ", not acknowledged, since %s"), a->id,
                                       time_text(a->raised_s, when));
        out(o, "<span class=\"next\">");
        html(o, state);
        out(o, "</span>");
        free(state);
    }
    out(o, "</li>\n");
}

static void findings(struct wbuf *o, const struct facts *f, const struct findings *fs, bool notices)
{
    size_t shown = 0, more = 0;
    for (size_t i = 0; i < fs->n; i++) {
        if ((fs->all[i].level == ALARM_NOTICE) != notices)
            continue;
        if (shown == MAX_PAGE_FINDINGS) {
            more++;
            continue;
        }
        if (shown++ == 0) {
            element(o, "h2", notices ? _("To be looked at some time") : _("What needs attention"));
            out(o, "<ul>\n");
        }
        one_finding(o, f, &fs->all[i]);
    }
    if (shown)
        out(o, "</ul>\n");
    if (more) {
        char *text = text_print(_("and %zu more: twofold alarms"), more);
        element(o, "p", text);
        free(text);
    }
}

/* --- policies --------------------------------------------------------------------------------------------------- */
static const char *policy_word(const struct policy_fact *p, const struct policy_sum *s)
{
    return !p->whole_s      ? _("no whole backup yet")
           : s->overdue     ? _("overdue")
           : s->places == 0 ? _("not known where")
           : s->places == 1 ? _("in one place only")
           : s->log         ? _("look at its log")
           : s->own         ? _("see above")
           : s->attention   ? _("look at its copies")
                            : _("good");
}

/* Owned. */
static char *drill_words(const struct facts *f, const struct policy_fact *p)
{
    char age[64];
    struct drill_past past = policy_drills(f, p->name);
    ui_age(f->now_s - past.last_s, age);
    const char *late = policy_drill_late(f, p) ? _("; overdue") : "";
    if (!past.last_s)
        return text_print("%s%s", _("never"), late);
    return text_print(past.failed ? _("FAILED %s ago%s") : _("%s ago%s"), age, late);
}

static void policy_row(struct wbuf *o, const struct facts *f, const struct findings *fs,
                       const struct policy_fact *p)
{
    char when[32], age[64], rpo[64], size[32], places[32];
    struct policy_sum s;
    policy_sum(f, fs, p, &s);
    out(o, "<tr%s>", s.attention ? " class=\"attention\"" : "");
    cell(o, false, _("Policy"), p->name);
    char *state = text_print("%s%s", s.attention ? "! " : "", policy_word(p, &s));
    cell(o, false, _("State"), state);
    free(state);
    if (p->whole_s) {
        char *old = text_print(_("%s (%s ago)"), time_text(p->whole_s, when),
                               ui_age(f->now_s - p->whole_s, age));
        cell(o, false, _("Newest whole backup"), old);
        free(old);
    } else {
        cell(o, false, _("Newest whole backup"), "–");
    }
    cell(o, false, _("RPO"), ui_age((int64_t)p->rpo_s, rpo));
    snprintf(places, sizeof places, "%zu", s.places);
    cell(o, true, _("Places"), places);
    cell(o, true, _("Size"), p->bytes ? ui_bytes(p->bytes, size) : "–");
    cell(o, false, _("Next run"),
         p->next_s                                   ? time_text(p->next_s, when)
         : p->held || p->no_timer || p->bad_schedule ? _("NONE")
         : p->schedule                               ? p->schedule
                                                     : _("by hand"));
    char *drill = drill_words(f, p);
    cell(o, false, _("Last drill"), drill);
    free(drill);
    out(o, "</tr>\n");
}

static void policies(struct wbuf *o, const struct facts *f, const struct findings *fs)
{
    size_t n, shown = 0, well = 0, *order = policies_by_rank(f, fs, &n);
    if (n == 0) {
        free(order);
        return;
    }
    element(o, "h2", _("Policies"));
    out(o, "<table>\n<thead><tr>");
    heading(o, false, _("Policy"));
    heading(o, false, _("State"));
    heading(o, false, _("Newest whole backup"));
    heading(o, false, _("RPO"));
    heading(o, true, _("Places"));
    heading(o, true, _("Size"));
    heading(o, false, _("Next run"));
    heading(o, false, _("Last drill"));
    out(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < n; i++) {
        const struct policy_fact *p = &f->policies[order[i]];
        struct policy_sum s;
        policy_sum(f, fs, p, &s);
        if (shown >= MAX_PAGE_POLICIES && !s.own) {
            well++;
            continue;
        }
        policy_row(o, f, fs, p);
        shown++;
    }
    out(o, "</tbody>\n</table>\n");
    if (well) {
        char *text = text_print(
            P_("%zu more policy is up to date.", "%zu more policies are up to date.", well), well);
        element(o, "p", text);
        free(text);
    }
    free(order);
}

/* --- logs of databases ------------------------------------------------------------------------------------------ */
static void log_row(struct wbuf *o, const struct facts *f, const struct findings *fs,
                    const struct policy_fact *p)
{
    char size[32], when[32];
    struct policy_sum s;
    struct log_sum log;
    policy_sum(f, fs, p, &s);
    log_sum(p->log, f->now_s, log_limit_s(p), &log);
    char *words = log_words(p->log, f->now_s);
    char *state = text_print("%s%s", s.log ? "! " : "", words);
    out(o, "<tr%s>", s.log ? " class=\"attention\"" : "");
    cell(o, false, _("Policy"), p->name);
    cell(o, false, _("State"), state);
    cell(o, false, _("Up to date as of"),
         p->log && p->log->complete_s ? time_text(p->log->complete_s, when) : "–");
    cell(o, true, _("Server is ahead by"), log.ahead ? ui_bytes(log.ahead, size) : "–");
    out(o, "</tr>\n");
    free(words);
    free(state);
}

static void logs(struct wbuf *o, const struct facts *f, const struct findings *fs)
{
    bool any = false;
    for (size_t i = 0; i < f->n_policies; i++) {
        if (!f->policies[i].logs || !f->policies[i].selected)
            continue;
        if (!any) {
            element(o, "h2", _("Logs of databases"));
            out(o, "<table>\n<thead><tr>");
            heading(o, false, _("Policy"));
            heading(o, false, _("State"));
            heading(o, false, _("Up to date as of"));
            heading(o, true, _("Server is ahead by"));
            out(o, "</tr></thead>\n<tbody>\n");
            any = true;
        }
        log_row(o, f, fs, &f->policies[i]);
    }
    if (any)
        out(o, "</tbody>\n</table>\n");
}

/* --- copies ------------------------------------------------------------------------------------------------------- */
static void copy_row(struct wbuf *o, const struct facts *f, const struct copy_fact *c)
{
    char words[200], free_text[32], total_text[32], when[32];
    out(o, "<tr%s>", copy_attention(f, c) ? " class=\"attention\"" : "");
    cell(o, false, _("Vault"), f->vaults[c->vault].name);
    cell(o, false, _("Place"), c->place);
    copy_words(f, c, words);
    char *state = text_print("%s%s", copy_attention(f, c) ? "! " : "", words);
    cell(o, false, _("State"), state);
    free(state);
    cell(o, false, _("Up to date as of"), c->current_s ? time_text(c->current_s, when) : "–");
    if (c->has_space && c->total_bytes) {
        char *space = text_print(_("%s of %s"), ui_bytes(c->free_bytes, free_text),
                                 ui_bytes(c->total_bytes, total_text));
        cell(o, true, _("Free"), space);
        free(space);
    } else {
        cell(o, true, _("Free"), "–");
    }
    cell(o, false, _("Where"), c->medium ? c->medium : c->url);
    out(o, "</tr>\n");
}

static void copies(struct wbuf *o, const struct facts *f)
{
    if (f->n_copies == 0)
        return;
    element(o, "h2", _("Copies"));
    out(o, "<table>\n<thead><tr>");
    heading(o, false, _("Vault"));
    heading(o, false, _("Place"));
    heading(o, false, _("State"));
    heading(o, false, _("Up to date as of"));
    heading(o, true, _("Free"));
    heading(o, false, _("Where"));
    out(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < f->n_copies; i++)
        copy_row(o, f, &f->copies[i]);
    out(o, "</tbody>\n</table>\n");
}

/* --- the foot -------------------------------------------------------------------------------------------------------- */
static void care_of(struct wbuf *o, const struct facts *f, const struct vault_fact *v)
{
    char scrub[64], prune[64];
    char *text = text_print(_("Vault %s: last scrub %s, last prune %s"), v->name,
                            v->scrub_s ? time_text(v->scrub_s, scrub) : _("never"),
                            v->prune_s ? time_text(v->prune_s, prune) : _("never"));
    element(o, "p", text);
    (void)f;
    free(text);
}

static void foot(struct wbuf *o, const struct facts *f)
{
    char age[64];
    element(o, "h2", _("Upkeep"));
    if (f->heartbeat_s) {
        char *text = text_print(_("Scheduler: last sign of life %s ago; %zu jobs run, %zu wait"),
                                ui_age(f->now_s - f->heartbeat_s, age), f->jobs_running,
                                f->jobs_queued);
        element(o, "p", text);
        free(text);
    } else {
        element(o, "p", _("Scheduler: none has run here"));
    }
    for (size_t i = 0; f->has_catalog && i < f->n_vaults; i++)
        care_of(o, f, &f->vaults[i]);
    for (size_t i = 0; i < f->n_problems; i++) {
        const struct err *e = &f->problems[i];
        char *text = text_print("%s%s%s", e->what, e->what[0] ? ": " : "", e->why);
        element(o, "p", text);
        free(text);
    }
    out(o, "<p class=\"made\">");
    html(o, _("Now: twofold status"));
    out(o, "</p>\n</body>\n</html>\n");
}

char *page_html(const struct facts *f, const struct findings *fs)
{
    struct wbuf o = WBUF_INIT;
    page_head(&o, f, fs);
    findings(&o, f, fs, false);
    policies(&o, f, fs);
    logs(&o, f, fs);
    copies(&o, f);
    findings(&o, f, fs, true);
    foot(&o, f);
    return out_take(&o);
}
