/*
 * restore_sqlite.h - the part of a restore's plan (restore_db.h) that is for databases of SQLite: their checks when the files are there; in
 * place, a job for each file, which brings it into a folder beside the one that it replaces.
 */
#ifndef TWOFOLD_ORCHESTRATOR_RESTORE_SQLITE_H
#define TWOFOLD_ORCHESTRATOR_RESTORE_SQLITE_H

#include "orchestrator/look.h"
#include "orchestrator/restore_db.h"

#define SQLITE_KIND "sqlite"
#define SQLITE_FACTS "/" SQLITE_KIND "/facts.json"
/* policy: what it says of them now, or NULL: in place, only files that it names are replaced, whatever the backup says of where it comes from.
 * staging: the name of that folder. Adds to the plan, which is the caller's also on failure. */
int sqlite_plan(struct view *view, bool in_place, const struct source_spec *policy,
                const char *staging, struct db_plan *p, struct err *e);

#endif
