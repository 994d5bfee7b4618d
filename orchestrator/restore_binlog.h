/*
 * restore_binlog.h - a MariaDB server's data folder that was just restored goes on to a moment: with the binary logs that a later backup
 * brought. Which backup: the first after that moment; or, where there is none, the newest there is, and what is then lost is said.
 */
#ifndef TWOFOLD_ORCHESTRATOR_RESTORE_BINLOG_H
#define TWOFOLD_ORCHESTRATOR_RESTORE_BINLOG_H

#include "orchestrator/restore_db.h"
#include "orchestrator/restore_job.h"

/* Before anything is restored: *ret: the backup of the policy whose logs are needed behind that of `like`; NULL: none is kept, or none
 * is needed, because its log is kept as it was written. -ERR_NOT_WHOLE: one is
 * missing in between. */
int binlog_find(const struct restore_job *like, const char *policy, const struct db_options *o,
                const struct snap_ref **ret, struct err *e);
/* like: the job that brought the data, to the folder `to`; logs: as binlog_find says. */
int binlog_replay(struct app *app, const struct restore_job *like, const struct snap_ref *logs,
                  const char *to, const struct db_options *o, struct restore_job *ret,
                  struct err *e);

#endif
