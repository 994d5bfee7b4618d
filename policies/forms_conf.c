/* forms_conf.c - `forms:` of twofold.yaml. See forms_conf.h. */
#include "policies/forms_yaml.h"
#include "policies/inner.h"

#include <stdio.h>
#include <stdlib.h>

static const cyaml_schema_field_t bulletin_fields[] = {
    YAML_TEXT_OPT("to", struct raw_bulletin, to),
    YAML_TEXT_OPT("copy-to", struct raw_bulletin, copy_to),
    YAML_TEXT_OPT("contact-label", struct raw_bulletin, contact_label),
    YAML_TEXT_OPT("contact", struct raw_bulletin, contact),
    YAML_TEXT_OPT("telephone", struct raw_bulletin, telephone),
    YAML_TEXT_OPT("fax", struct raw_bulletin, fax),
    YAML_TEXT_OPT("issued-by", struct raw_bulletin, issued_by),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t scoring_fields[] = {
    YAML_TEXT("item", struct raw_scoring, item),
    YAML_TEXT_OPT("standard", struct raw_scoring, standard),
    YAML_TEXT_OPT("points", struct raw_scoring, points),
    YAML_TEXT_OPT("content", struct raw_scoring, content),
    YAML_TEXT_OPT("criteria", struct raw_scoring, criteria),
    YAML_TEXT_OPT("method", struct raw_scoring, method),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t scoring_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_scoring, scoring_fields),
};
const cyaml_schema_field_t forms_fields[] = {
    YAML_TEXT_OPT("unit", struct raw_forms, unit),
    YAML_TEXT_OPT("telephone", struct raw_forms, telephone),
    YAML_TEXT_OPT("fax", struct raw_forms, fax),
    YAML_TEXT_OPT("place", struct raw_forms, place),
    YAML_TEXT_OPT("stamp", struct raw_forms, stamp),
    CYAML_FIELD_MAPPING_PTR("bulletin", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_forms,
                            bulletin, bulletin_fields),
    CYAML_FIELD_SEQUENCE_COUNT("scoring", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_forms, scoring, n_scoring, &scoring_schema, 0,
                               MAX_SCORING_ROWS),
    CYAML_FIELD_END,
};

void forms_conf_done(struct forms_conf *f)
{
    char **texts[] = { &f->unit,
                       &f->telephone,
                       &f->fax,
                       &f->place,
                       &f->stamp,
                       &f->bulletin_to,
                       &f->bulletin_copy_to,
                       &f->contact_label,
                       &f->contact,
                       &f->bulletin_telephone,
                       &f->bulletin_fax,
                       &f->issued_by };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(*texts[i]);
    for (size_t i = 0; i < f->n_scoring; i++) {
        struct scoring_conf *s = &f->scoring[i];
        char *of_row[] = { s->item, s->standard, s->points, s->content, s->criteria, s->method };
        for (size_t k = 0; k < sizeof of_row / sizeof *of_row; k++)
            free(of_row[k]);
    }
    free(f->scoring);
    *f = (struct forms_conf){ 0 };
}

struct text {
    const char *key, *from;
    char **to;
};
/* Texts of one mapping; what is not there stays NULL. */
static int take_texts(struct yaml_doc *d, const char *where, const struct text *texts, size_t n,
                      struct err *e)
{
    char path[96];
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        snprintf(path, sizeof path, "%s.%s", where, texts[i].key);
        if (texts[i].from)
            r = yaml_copy(d, path, texts[i].from, texts[i].to, e);
    }
    return r;
}

static int take_scoring(struct yaml_doc *d, const struct raw_forms *raw, struct forms_conf *ret,
                        struct err *e)
{
    char where[48];
    ret->scoring = calloc(raw->n_scoring + 1, sizeof *ret->scoring);
    int r = ret->scoring ? 0 : conf_out_of_memory(e);
    for (unsigned i = 0; r == 0 && i < raw->n_scoring; i++) {
        const struct raw_scoring *from = &raw->scoring[i];
        struct scoring_conf *to = &ret->scoring[i];
        const struct text texts[] = {
            { "item", from->item, &to->item },
            { "standard", from->standard, &to->standard },
            { "points", from->points, &to->points },
            { "content", from->content, &to->content },
            { "criteria", from->criteria, &to->criteria },
            { "method", from->method, &to->method },
        };
        ret->n_scoring = i + 1;
        snprintf(where, sizeof where, "forms.scoring.%u", i);
        r = take_texts(d, where, texts, sizeof texts / sizeof *texts, e);
    }
    return r;
}

int forms_conf_take(struct yaml_doc *d, const struct raw_forms *raw, struct forms_conf *ret,
                    struct err *e)
{
    if (!raw)
        return 0;
    const struct text texts[] = {
        { "unit", raw->unit, &ret->unit },    { "telephone", raw->telephone, &ret->telephone },
        { "fax", raw->fax, &ret->fax },       { "place", raw->place, &ret->place },
        { "stamp", raw->stamp, &ret->stamp },
    };
    int r = take_texts(d, "forms", texts, sizeof texts / sizeof *texts, e);
    const struct raw_bulletin *b = raw->bulletin;
    if (r == 0 && b) {
        const struct text of_bulletin[] = {
            { "to", b->to, &ret->bulletin_to },
            { "copy-to", b->copy_to, &ret->bulletin_copy_to },
            { "contact-label", b->contact_label, &ret->contact_label },
            { "contact", b->contact, &ret->contact },
            { "telephone", b->telephone, &ret->bulletin_telephone },
            { "fax", b->fax, &ret->bulletin_fax },
            { "issued-by", b->issued_by, &ret->issued_by },
        };
        r = take_texts(d, "forms.bulletin", of_bulletin, sizeof of_bulletin / sizeof *of_bulletin,
                       e);
    }
    return r == 0 && raw->n_scoring ? take_scoring(d, raw, ret, e) : r;
}
