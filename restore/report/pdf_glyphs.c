/* pdf_glyphs.c - see pdf.h. Asked is fontconfig, before pango, which ends a program that finds no font at all. */
#include "lib/base/i18n.h"
#include "restore/report/pdf.h"

#include <fontconfig/fontconfig.h>
#include <stdio.h>
#include <string.h>

#define CJK_FIRST 0x3400 /* ideographs */
#define CJK_LAST 0x9FFF
#define SHOWN_BYTES 11 /* [U+10FFFF] */

struct glyphs {
    FcCharSet *have; /* of all fonts together */
};

static bool ideograph(unsigned ch)
{
    return ch >= CJK_FIRST && ch <= CJK_LAST;
}

static FcCharSet *all_chars(void)
{
    FcCharSet *have = FcCharSetCreate();
    FcPattern *any = FcPatternCreate();
    FcObjectSet *wanted = FcObjectSetBuild(FC_CHARSET, (char *)NULL);
    FcFontSet *fonts = any && wanted ? FcFontList(NULL, any, wanted) : NULL;
    for (int i = 0; have && fonts && i < fonts->nfont; i++) {
        FcCharSet *of_one = NULL;
        if (FcPatternGetCharSet(fonts->fonts[i], FC_CHARSET, 0, &of_one) == FcResultMatch)
            FcCharSetMerge(have, of_one, NULL);
    }
    if (fonts)
        FcFontSetDestroy(fonts);
    if (wanted)
        FcObjectSetDestroy(wanted);
    if (any)
        FcPatternDestroy(any);
    return have;
}

static bool has_ideograph(const char *text)
{
    unsigned ch = 0;
    while (text && *text) {
        text += paper_char(text, &ch);
        if (ideograph(ch))
            return true;
    }
    return false;
}

static bool needs_chinese(const struct document *d)
{
    if (d->lang == PAPER_ZH || has_ideograph(d->title))
        return true;
    for (size_t i = 0; i < d->n_blocks; i++) {
        const struct doc_block *b = &d->blocks[i];
        if (has_ideograph(b->text))
            return true;
        for (size_t r = 0; r < b->n_rows; r++)
            for (size_t c = 0; c < b->rows[r].n_cells; c++)
                for (size_t l = 0; l < b->rows[r].cells[c].n_lines; l++)
                    if (has_ideograph(b->rows[r].cells[c].lines[l].text) ||
                        has_ideograph(b->rows[r].cells[c].lines[l].label))
                        return true;
    }
    return false;
}

int glyphs_new(const struct document *d, struct glyphs **ret, struct err *e)
{
    struct glyphs *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    g->have = FcInit() ? all_chars() : NULL;
    int rc = 0;
    if (!g->have || !FcCharSetHasChar(g->have, 'A')) {
        rc = err_set(e, ERR_ABSENT, _("no font is installed on this machine"));
        err_next(e,
                 _("install one: apt-get install fonts-wqy-zenhei; or take --format docx or html"));
    } else if (needs_chinese(d) &&
               (!FcCharSetHasChar(g->have, 0x4E2D) || !FcCharSetHasChar(g->have, 0x7F51))) {
        rc = err_set(e, ERR_ABSENT, _("no Chinese font is installed on this machine"));
        err_next(e,
                 _("install one: apt-get install fonts-wqy-zenhei; or take --format docx or html"));
    }
    if (rc < 0)
        glyphs_free(g);
    else
        *ret = g;
    return rc;
}

void glyphs_free(struct glyphs *g)
{
    if (g && g->have)
        FcCharSetDestroy(g->have);
    free(g);
}

char *glyphs_show(const struct glyphs *g, const char *text, size_t n)
{
    char *out = malloc(n * SHOWN_BYTES + 1), *at = out;
    const char *end = text + n;
    unsigned ch = 0;
    while (out && text < end) {
        size_t len = paper_char(text, &ch);
        if (ch == '\n' || ch == ' ' || paper_columns(ch) == 0 || FcCharSetHasChar(g->have, ch)) {
            memcpy(at, text, len);
            at += len;
        } else {
            at += sprintf(at, "[U+%04X]", ch);
        }
        text += len;
    }
    if (out)
        *at = '\0';
    return out;
}
