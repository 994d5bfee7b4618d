/*
 * schema.c - the catalog's tables, as numbered steps that are never changed once they were released: a catalog of any earlier
 * version is brought up to date by the steps that it lacks, all in one transaction. What stands in braces is the driver's (sql.h).
 */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/catalog/inner.h"

#include <inttypes.h>

static const char *const steps[] = {
    /* 1 */
    "CREATE TABLE schema_version(version BIGINT NOT NULL, at_s BIGINT NOT NULL);"

    "CREATE TABLE leases(name TEXT PRIMARY KEY, owner TEXT NOT NULL, epoch BIGINT NOT NULL, until_s BIGINT NOT NULL);"

    "CREATE TABLE jobs(id {serial}, kind TEXT NOT NULL, target TEXT NOT NULL, slot TEXT NOT NULL, state BIGINT NOT NULL,"
    " vault TEXT NOT NULL, agent TEXT NOT NULL, priority BIGINT NOT NULL, tries BIGINT NOT NULL, max_tries BIGINT NOT NULL,"
    " queued_s BIGINT NOT NULL, not_before_s BIGINT NOT NULL, not_after_s BIGINT NOT NULL, started_s BIGINT NOT NULL,"
    " ended_s BIGINT NOT NULL, exit_status BIGINT NOT NULL, error TEXT NOT NULL, error_code TEXT NOT NULL,"
    " epoch BIGINT NOT NULL, pause BIGINT NOT NULL, UNIQUE(kind, target, slot));"
    "CREATE INDEX jobs_by_state ON jobs(state, id);"

    "CREATE TABLE runs(id {serial}, job BIGINT NOT NULL, kind TEXT NOT NULL, policy TEXT NOT NULL, vault TEXT NOT NULL,"
    " agent TEXT NOT NULL, started_s BIGINT NOT NULL, ended_s BIGINT NOT NULL, exit_status BIGINT NOT NULL,"
    " error_code TEXT NOT NULL, error TEXT NOT NULL, snapshot {bytes} NOT NULL, snapshot_state BIGINT NOT NULL,"
    " files BIGINT NOT NULL, bytes BIGINT NOT NULL, bytes_read BIGINT NOT NULL, bytes_stored BIGINT NOT NULL,"
    " problems BIGINT NOT NULL, copies_reached BIGINT NOT NULL, copies_wanted BIGINT NOT NULL);"
    "CREATE INDEX runs_by_policy ON runs(policy, id);"
    "CREATE INDEX runs_by_kind ON runs(kind, policy, id);"
    "CREATE INDEX runs_by_start ON runs(started_s);"

    /* good: whole and not in quarantine */
    "CREATE TABLE snapshots(id {bytes} PRIMARY KEY, vault TEXT NOT NULL, policy TEXT NOT NULL, source TEXT NOT NULL,"
    " host TEXT NOT NULL, received_s BIGINT NOT NULL, state BIGINT NOT NULL, flags BIGINT NOT NULL, good BIGINT NOT NULL,"
    " files BIGINT NOT NULL, bytes BIGINT NOT NULL, bytes_stored BIGINT NOT NULL, problems BIGINT NOT NULL,"
    " generation BIGINT NOT NULL);"
    "CREATE INDEX snapshots_by_policy ON snapshots(policy, received_s);"
    "CREATE INDEX snapshots_by_vault ON snapshots(vault, received_s);"
    "CREATE INDEX snapshots_by_time ON snapshots(received_s);"
    "CREATE INDEX snapshots_good ON snapshots(good, policy, received_s);"

    "CREATE TABLE holds(snapshot {bytes} PRIMARY KEY, vault TEXT NOT NULL, why TEXT NOT NULL, who TEXT NOT NULL,"
    " at_s BIGINT NOT NULL);"

    "CREATE TABLE copies(vault TEXT NOT NULL, place TEXT NOT NULL, state TEXT NOT NULL, generation BIGINT NOT NULL,"
    " seen_s BIGINT NOT NULL, current_s BIGINT NOT NULL, free_bytes BIGINT NOT NULL, total_bytes BIGINT NOT NULL,"
    " damaged BIGINT NOT NULL, why TEXT NOT NULL, PRIMARY KEY(vault, place));"

    "CREATE TABLE media(id {serial}, vault TEXT NOT NULL, place TEXT NOT NULL, label TEXT NOT NULL, location TEXT NOT NULL,"
    " who TEXT NOT NULL, note TEXT NOT NULL, at_s BIGINT NOT NULL);"
    "CREATE INDEX media_by_place ON media(place, vault, label, id);"

    "CREATE TABLE alarms(id {serial}, key TEXT NOT NULL, level BIGINT NOT NULL, duty TEXT NOT NULL, text TEXT NOT NULL,"
    " next TEXT NOT NULL, roles TEXT NOT NULL, raised_s BIGINT NOT NULL, cleared_s BIGINT NOT NULL, told_s BIGINT NOT NULL,"
    " told BIGINT NOT NULL, acked_s BIGINT NOT NULL, acked_by TEXT NOT NULL, acked_through TEXT NOT NULL);"
    "CREATE UNIQUE INDEX alarms_open ON alarms(key) WHERE cleared_s = 0;"
    "CREATE TABLE tellings(id {serial}, alarm BIGINT NOT NULL, at_s BIGINT NOT NULL, channel TEXT NOT NULL,"
    " recipient TEXT NOT NULL, ok BIGINT NOT NULL, detail TEXT NOT NULL);"
    "CREATE INDEX tellings_by_alarm ON tellings(alarm, id);"

    "CREATE TABLE facts(key TEXT PRIMARY KEY, value TEXT NOT NULL);",

    /* 2: the audit trail. audit_start: where it begins (after a rebuild not with 1), and the hash of the row before */
    "CREATE TABLE audit(seq BIGINT PRIMARY KEY, at_s BIGINT NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,"
    " object TEXT NOT NULL, result TEXT NOT NULL, detail TEXT NOT NULL, hash {bytes} NOT NULL);"
    "{append-only audit};"
    "CREATE TABLE audit_start(chain {bytes} NOT NULL, seq BIGINT NOT NULL, hash {bytes} NOT NULL);",
};
#define N_STEPS ((int64_t)(sizeof steps / sizeof *steps))

int64_t schema_newest(void)
{
    return N_STEPS;
}

static int too_new(int64_t is, struct err *e)
{
    err_set(e, ERR_VERSION,
            _("its schema has version %" PRId64 "; this program knows versions up to %" PRId64), is,
            N_STEPS);
    return err_next(e, _("use the newer program that wrote it"));
}

static int apply(struct sql *s, int64_t from, int64_t to, struct err *e)
{
    int rc = 0;
    for (int64_t i = from; rc >= 0 && i < to; i++)
        rc = s->ops->define(s->db, steps[i], e);
    if (rc >= 0)
        rc = sql_do(s, e, "DELETE FROM schema_version WHERE version <> ?1", SQL_INT(to));
    if (rc >= 0)
        rc = sql_do(s, e, "INSERT INTO schema_version(version, at_s) VALUES (?1, ?2)", SQL_INT(to),
                    SQL_INT(sys_realtime_s()));
    return rc;
}

int schema_bring_to(struct sql *s, int64_t version, struct err *e)
{
    int64_t is = 0, to = version ? version : N_STEPS;
    int rc = s->ops->version(s->db, &is, e);
    if (rc == 0 && is > N_STEPS)
        rc = too_new(is, e);
    if (rc < 0 || is >= to)
        return rc;
    rc = sql_begin(s, e);
    if (rc < 0)
        return rc;
    rc = s->ops->version(s->db, &is, e); /* another process may have been faster */
    if (rc == 0 && is < to)
        rc = apply(s, is, to, e);
    return sql_finish(s, rc < 0 ? rc : 0, e);
}
