/* evidence.h - the folder for an examination on site (SMX): `report scoring --evidence FOLDER`. */
#ifndef TWOFOLD_ORCHESTRATOR_PAPER_EVIDENCE_H
#define TWOFOLD_ORCHESTRATOR_PAPER_EVIDENCE_H

#include "orchestrator/paper/paper.h"

/* Makes the folder, which must not be there, and writes into it each paper about the site as HTML and DOCX, and a folder for each incident and
 * drill of this year with its timeline and its papers as HTML. *ret_files: how many files. What was written stays when it fails. */
int evidence_write(struct app *app, const struct paper_wish *w, const char *folder,
                   size_t *ret_files, struct err *e);

#endif
