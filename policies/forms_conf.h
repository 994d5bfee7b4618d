/*
 * forms_conf.h - what is printed on every form of this site: `forms:` of twofold.yaml. All of it is optional; what is not there is a
 * marked blank on the paper (docs/forms.md).
 *
 *     forms:
 *       unit: "某市财政局"                # 单位名称; without it the site's name
 *       telephone: "0393-5550100"
 *       fax: "0393-5550109"
 *       place: "信息中心机房"             # where the machines are, for the place of an incident
 *       stamp: "营业部"                   # whose stamp the foot of the report asks for
 *       bulletin:                         # 通报书: a form that comes from a template
 *         to: "各县区财政局"              # 主送单位; without it the units of contacts.yaml
 *         copy-to: "…"                    # 抄送单位
 *         contact-label: "证信办联系人"
 *         contact: "…"
 *         telephone: "…"                  # without them those above
 *         fax: "…"
 *         issued-by: "网络与信息安全应急处置领导小组"
 *       scoring:                          # 通报测评表: the rows of the superior unit's sheet
 *         - { item: "数据备份", standard: "…", points: "10", content: "…", criteria: "…", method: "…" }
 */
#ifndef TWOFOLD_POLICIES_FORMS_CONF_H
#define TWOFOLD_POLICIES_FORMS_CONF_H

#include <stddef.h>

#define MAX_SCORING_ROWS 500

struct scoring_conf {
    char *item, *standard, *points, *content, *criteria,
        *method; /* owned; NULL where nothing is said, but for item */
};
struct forms_conf { /* owned texts; NULL: not said */
    char *unit, *telephone, *fax, *place, *stamp;
    char *bulletin_to, *bulletin_copy_to, *contact_label, *contact, *bulletin_telephone,
        *bulletin_fax, *issued_by;
    struct scoring_conf *scoring;
    size_t n_scoring;
};
void forms_conf_done(struct forms_conf *f); /* leaves it empty */

#endif
