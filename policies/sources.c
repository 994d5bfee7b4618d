/* sources.c - see policies/sources.h. */
#include "policies/sources.h"
#include "policies/sql_checks.h"

#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SPAN_S 3600
#define MAX_COMMAND_DRIVERS 32

#define TEXT(name, i)                                                                         \
    CYAML_FIELD_STRING_PTR(name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_source, \
                           text[i], 0, CYAML_UNLIMITED)

static const cyaml_schema_field_t check_fields[] = {
    YAML_TEXT_OPT("name", struct raw_sql_check, name),
    YAML_TEXT_OPT("database", struct raw_sql_check, database),
    YAML_TEXT_OPT("sql", struct raw_sql_check, sql),
    YAML_TEXT_OPT("expect", struct raw_sql_check, expect),
    YAML_TEXT_OPT("restored", struct raw_sql_check, restored),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t check_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_sql_check, check_fields),
};
#define SQL_CHECKS                                                                    \
    CYAML_FIELD_SEQUENCE_COUNT("checks", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,    \
                               struct raw_source, checks, n_checks, &check_schema, 0, \
                               MAX_SQL_CHECKS)
const cyaml_schema_field_t mariadb_fields[] = {
    TEXT("server", 0),   TEXT("user", 1),    TEXT("defaults-file", 2), TEXT("data", 3),
    TEXT("binaries", 4), TEXT("scratch", 5), TEXT("time-limit", 6),    TEXT("binlog", 7),
    TEXT("logs", 8),     SQL_CHECKS,         CYAML_FIELD_END,
};
const cyaml_schema_field_t postgresql_fields[] = {
    TEXT("conninfo", 0),   TEXT("data", 1),    TEXT("os-user", 2),
    TEXT("checkpoint", 3), TEXT("logs", 4),    TEXT("slot", 5),
    TEXT("slot-limit", 6), TEXT("archive", 7), TEXT("access", 8),
    TEXT("scratch", 9),    SQL_CHECKS,         CYAML_FIELD_END,
};
static const cyaml_schema_value_t entry_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
const cyaml_schema_field_t command_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("drivers", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_source, list[0].v, list[0].n, &entry_schema, 0,
                               MAX_COMMAND_DRIVERS),
    CYAML_FIELD_END,
};
const cyaml_schema_field_t sqlite_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("files", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_source,
                               list[0].v, list[0].n, &entry_schema, 0, MAX_SOURCE_SETTINGS / 2),
    TEXT("check", 1),
    TEXT("wait", 2),
    SQL_CHECKS,
    CYAML_FIELD_END,
};

/* --- keys --------------------------------------------------------------------------------------- */
enum key_type {
    KEY_WORDS, /* any text that is not empty */
    KEY_PATH,  /* a whole path */
    KEY_CHOICE,
    KEY_SPAN, /* seconds, minutes */
    KEY_DURATION,
    KEY_PATHS, /* a list: the one of that number among the kind's lists */
    KEY_SIZE,  /* bytes */
    KEY_NAMES, /* the same, of names of files */
};
struct source_key {
    const char *name; /* in the order of the fields; NULL ends the table */
    enum key_type type;
    bool needed;
    const char *const *choices;
    const char *example; /* of a line that is not set */
    const char *comment; /* of the line in the file */
};
static const char *const checkpoints[] = { "fast", "spread", NULL };
static const char *const accesses[] = { "files", "replication", NULL };
static const char *const binlogs[] = { "keep", "none", NULL };
static const struct source_key mariadb_keys[] = {
    { "server", KEY_WORDS, true, NULL, NULL,
      "Where it listens: its socket, or HOST or HOST:PORT; on the agent's own host." },
    { "user", KEY_WORDS, false, NULL, "backup",
      "As whom; else as the user that the agent runs as, whom the server knows by the socket." },
    { "defaults-file", KEY_PATH, false, NULL, "/etc/twofold/mariadb.cnf",
      "A file that only the agent can read, with the password: [client], password=..." },
    { "data", KEY_PATH, false, NULL, "/var/lib/mysql",
      "Its data folder, where the agent sees it at another place than the server says." },
    { "binaries", KEY_PATH, false, NULL, "/opt/mariadb/bin",
      "The folder of mariadb-backup (or xtrabackup) and of the client, where it is no usual one." },
    { "scratch", KEY_PATH, false, NULL, "/var/backups/twofold",
      "Where there is room for a copy of all data while a backup runs; else below the agent's\n"
      "  # own folder." },
    { "time-limit", KEY_DURATION, false, NULL, "24h", "How long mariadb-backup may run." },
    { "binlog", KEY_CHOICE, false, binlogs, "keep",
      "keep: also the binary logs that are closed, for restores to any moment; none: not. Unset:\n"
      "  # keep, unless logs: is set." },
    { "logs", KEY_SPAN, false, NULL, "5s",
      "Follow its binary logs, for restores to any moment up to now: what it writes waits no longer\n"
      "  # than this for more. The service twofold-logs@POLICY does that." },
    { NULL, KEY_WORDS, false, NULL, NULL, NULL },
};
static const struct source_key postgresql_keys[] = {
    { "conninfo", KEY_WORDS, true, NULL, NULL,
      "How to connect, as libpq takes it; the password, if any, belongs into ~/.pgpass." },
    { "data", KEY_PATH, false, NULL, "/var/lib/postgresql/15/main",
      "Its data folder, where the agent sees it at another place than the server says." },
    { "os-user", KEY_WORDS, false, NULL, "postgres",
      "As which user of the system the agent connects, if it runs as root; else as the one named\n"
      "  # like the user of the connection." },
    { "checkpoint", KEY_CHOICE, false, checkpoints, "spread",
      "fast: the backup begins at once; spread: with the next checkpoint, without its load." },
    { "logs", KEY_SPAN, false, NULL, "5s",
      "Keep its log, too, for restores to any moment: what it writes waits no longer than this for more.\n"
      "  # The service twofold-logs@POLICY follows it." },
    { "slot", KEY_WORDS, false, NULL, "twofold",
      "The replication slot for that; another name where two follow one server." },
    { "slot-limit", KEY_SIZE, false, NULL, "20GiB",
      "If the server has to keep more of its log than that for us (no copy takes it), it need not: the\n"
      "  # log begins anew later, and needs a new backup then. The bound of the server itself, also for\n"
      "  # when nobody follows: max_slot_wal_keep_size." },
    { "archive", KEY_PATH, false, NULL, "/var/lib/twofold/archive/db",
      "Take its log from this folder, in place of a slot, where no replication is allowed: archive_command =\n"
      "  # 'twofold-agent archive /var/lib/twofold/archive/db %p %f'. Set archive_timeout: what is committed is\n"
      "  # in no copy until its segment is full, or that time is over." },
    { "access", KEY_CHOICE, false, accesses, "replication",
      "files: the agent reads the data folder; replication: it cannot, and the server sends its files." },
    { "scratch", KEY_PATH, false, NULL, "/var/backups/twofold",
      "With access: replication: where there is room for all data while a backup runs; else below the\n"
      "  # agent's own folder." },
    { NULL, KEY_WORDS, false, NULL, NULL, NULL },
};

static const struct source_key command_keys[] = {
    { "drivers", KEY_NAMES, true, NULL, NULL,
      "Driver files on that host, by their names: drivers/NAME.yaml beside its own configuration." },
    { NULL, KEY_WORDS, false, NULL, NULL, NULL },
};
static const char *const sqlite_checks[] = { "full", "quick", NULL };
static const struct source_key sqlite_keys[] = {
    { "files", KEY_PATHS, true, NULL, NULL,
      "Its files, by their whole paths; not those that SQLite keeps beside them (-wal, -journal)." },
    { "check", KEY_CHOICE, false, sqlite_checks, "full",
      "full: integrity_check of each copy; quick: quick_check. Unset: quick above 4 GiB." },
    { "wait", KEY_SPAN, false, NULL, "60s", "So long for a program that has a file locked." },
    { NULL, KEY_WORDS, false, NULL, NULL, NULL },
};

static const struct {
    const char *kind, *title;
    const struct source_key *keys;
} kinds[SOURCE_KINDS] = {
    [SOURCE_COMMAND] = { "command", "What programs of that host dump to their standard output.",
                         command_keys },
    [SOURCE_MARIADB] = { "mariadb", "The MariaDB server: all its databases, while it works.",
                         mariadb_keys },
    [SOURCE_POSTGRESQL] = { "postgresql",
                            "The PostgreSQL server: its whole cluster, while it works.",
                            postgresql_keys },
    [SOURCE_SQLITE] = { "sqlite", "Databases of SQLite, while programs write to them.",
                        sqlite_keys },
};

/* The setting that a key becomes: how SQLite's files are checked is none of the policy's questions (sql_checks.h), the first of whose
 * settings is called "check". */
static const char *setting_of(const struct source_key *k)
{
    return k->choices == sqlite_checks ? "integrity" : k->name;
}

/* --- reading ------------------------------------------------------------------------------------ */
static int check_choice(const struct source_key *k, const char *text, struct err *e)
{
    for (const char *const *c = k->choices; *c; c++)
        if (strcmp(*c, text) == 0)
            return 0;
    err_set(e, ERR_CONFIG, _("\"%s\" is not one of its values"), text);
    return err_next(e, _("write \"%s\" or \"%s\""), k->choices[0], k->choices[1]);
}

static int check_span(const struct source_key *k, const char *text, struct err *e)
{
    uint64_t s = 0;
    if (duration_parse(text, &s) && s <= MAX_SPAN_S)
        return 0;
    err_set(e, ERR_CONFIG, _("\"%s\": \"%s\" is no time of up to an hour"), k->name, text);
    return err_next(e, _("write it like this: %s"), k->example);
}

static int check_size(const struct source_key *k, const char *text, struct err *e)
{
    uint64_t n = 0;
    if (size_parse(text, &n))
        return 0;
    err_set(e, ERR_CONFIG, _("\"%s\": \"%s\" is no number of bytes"), k->name, text);
    return err_next(e, _("write it like this: %s"), k->example);
}

static int take_text(struct source_spec *s, const struct source_key *k, const char *text,
                     struct err *e)
{
    char *path = NULL;
    uint64_t seconds;
    int rc = 0;
    if (!text && k->needed)
        return err_set(e, ERR_CONFIG, _("\"%s\" has no \"%s\""), s->kind, k->name);
    if (!text)
        return 0;
    if (!text[0])
        rc = err_set(e, ERR_CONFIG, _("\"%s\" is empty"), k->name);
    else if (k->type == KEY_PATH)
        rc = conf_path_normalise(text, &path, e);
    else if (k->type == KEY_CHOICE)
        rc = check_choice(k, text, e);
    else if (k->type == KEY_SPAN)
        rc = check_span(k, text, e);
    else if (k->type == KEY_DURATION && !duration_parse(text, &seconds)) {
        err_set(e, ERR_CONFIG, _("\"%s\" is not a length of time"), text);
        rc = err_next(e, _("write for instance: 12h (s, m, h or d)"));
    } else if (k->type == KEY_SIZE)
        rc = check_size(k, text, e);
    if (rc == 0)
        rc = source_spec_add(s, setting_of(k), path ? path : text, e);
    free(path);
    return rc;
}

static int take_entry(const struct source_key *k, const char *text, char **ret, struct err *e)
{
    if (k->type == KEY_PATHS)
        return conf_path_normalise(text, ret, e);
    if (!config_name_ok(text)) {
        (void)err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a driver file"), text);
        return conf_name_advice(e);
    }
    return (*ret = strdup(text)) ? 0 : conf_out_of_memory(e);
}

static bool is_list(const struct source_key *k)
{
    return k->type == KEY_PATHS || k->type == KEY_NAMES;
}

static int take_list(struct yaml_doc *d, struct source_spec *s, const struct source_key *k,
                     const struct raw_list *list, struct err *e)
{
    char at[96];
    int rc = 0;
    snprintf(at, sizeof at, "%s.%s", s->kind, k->name);
    if (list->n == 0 && k->needed) {
        (void)err_set(e, ERR_CONFIG, _("\"%s\" has no \"%s\""), s->kind, k->name);
        return yaml_mistake(d, at, e);
    }
    for (unsigned i = 0; rc == 0 && i < list->n; i++) {
        char *path = NULL;
        rc = take_entry(k, list->v[i], &path, e);
        snprintf(at, sizeof at, "%s.%s.%u", s->kind, k->name, i);
        if (rc == -ERR_CONFIG)
            return yaml_mistake(d, at, e);
        rc = rc == 0 ? source_spec_add(s, k->name, path, e) : rc;
        free(path);
    }
    return rc;
}

/* All keys of one source, in the order of its table. */
static int take_source(struct yaml_doc *d, struct source_spec *s, const struct source_key *keys,
                       const struct raw_source *raw, struct err *e)
{
    char path[64];
    size_t lists = 0;
    int rc = 0;
    for (const struct source_key *k = keys; rc == 0 && k->name; k++) {
        if (is_list(k)) {
            rc = take_list(d, s, k, &raw->list[lists++], e);
            continue;
        }
        rc = take_text(s, k, raw->text[k - keys], e);
        snprintf(path, sizeof path, "%s.%s", s->kind, k->name);
        if (rc == -ERR_CONFIG)
            rc = yaml_mistake(d, path, e);
    }
    return rc;
}

static int add_text(struct source_spec *s, const char *key, const char *text, struct err *e)
{
    return text ? source_spec_add(s, key, text, e) : 0;
}

/* SQLite's databases are files: which of them is asked? */
static int check_file_of(const struct source_spec *s, const struct raw_sql_check *c, struct err *e)
{
    size_t files = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->v[i].key, "files") != 0)
            continue;
        files++;
        if (c->database && strcmp(s->v[i].value, c->database) == 0)
            return 0;
    }
    if (!c->database && files == 1)
        return 0;
    if (c->database)
        err_set(e, ERR_CONFIG, _("check \"%s\": \"%s\" is none of the files"), c->name,
                c->database);
    else
        err_set(e, ERR_CONFIG, _("check \"%s\": which of the files?"), c->name);
    return err_next(e, _("write one of \"files\", as it stands there: database: /path"));
}

/* Questions to the database, each a run of settings (policies/sql_checks.h). */
static int take_checks(struct yaml_doc *d, struct source_spec *s, const struct raw_source *raw,
                       struct err *e)
{
    char at[64];
    struct sql_checks understood;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < raw->n_checks; i++) {
        const struct raw_sql_check *c = &raw->checks[i];
        snprintf(at, sizeof at, "%s.checks.%u", s->kind, i);
        if (!c->name || !c->name[0]) {
            (void)err_set(e, ERR_CONFIG, _("a check has no \"name\""));
            return yaml_mistake(d, at, e);
        }
        rc = source_spec_add(s, "check", c->name, e);
        if (rc == 0)
            rc = add_text(s, "check-database", c->database, e);
        if (rc == 0)
            rc = add_text(s, "check-sql", c->sql, e);
        if (rc == 0)
            rc = add_text(s, "check-expect", c->expect, e);
        if (rc == 0)
            rc = add_text(s, "check-restored", c->restored, e);
        if (rc == 0 && sql_checks_of(s, &understood, e) < 0)
            return yaml_mistake(d, at, e);
        if (rc == 0 && strcmp(s->kind, kinds[SOURCE_SQLITE].kind) == 0 &&
            check_file_of(s, c, e) < 0)
            return yaml_mistake(d, at, e);
    }
    return rc;
}

/* A folder to take the log from, and nobody who takes. */
static int check_archive(struct yaml_doc *d, const struct source_spec *s, struct err *e)
{
    char at[64];
    if (!source_spec_get(s, "archive") || source_spec_get(s, "logs"))
        return 0;
    snprintf(at, sizeof at, "%s.archive", s->kind);
    (void)err_set(e, ERR_CONFIG, _("\"archive\" is there without \"logs\""));
    (void)err_next(e, _("write it like this: %s"), "logs: 5s");
    return yaml_mistake(d, at, e);
}

/* A policy has one stream (lib/vault/log.h). */
static int check_one_log(struct yaml_doc *d, const struct source_spec *all, size_t n, struct err *e)
{
    const char *first = NULL;
    char at[64];
    for (size_t i = 0; i < n; i++) {
        if (!source_spec_get(&all[i], "logs"))
            continue;
        if (first) {
            err_set(e, ERR_CONFIG,
                    _("\"%s\" and \"%s\" both have \"logs\", and a policy follows one log"), first,
                    all[i].kind);
            err_next(e, _("make a policy of its own for one of them"));
            snprintf(at, sizeof at, "%s.logs", all[i].kind);
            return yaml_mistake(d, at, e);
        }
        first = all[i].kind;
    }
    return 0;
}

int sources_take(struct yaml_doc *d, struct raw_source *const raw[SOURCE_KINDS],
                 struct source_spec **ret, size_t *ret_n, struct err *e)
{
    struct source_spec *s = NULL;
    int rc = 0;
    for (int kind = 0; rc == 0 && kind < SOURCE_KINDS; kind++) {
        if (!raw[kind])
            continue;
        rc = source_specs_add(ret, ret_n, kinds[kind].kind, &s, e);
        if (rc == 0)
            rc = take_source(d, s, kinds[kind].keys, raw[kind], e);
        if (rc == 0)
            rc = check_archive(d, s, e);
        if (rc == 0)
            rc = take_checks(d, s, raw[kind], e);
    }
    return rc == 0 ? check_one_log(d, *ret, *ret_n, e) : rc;
}

/* --- writing ------------------------------------------------------------------------------------ */
static int put_list(struct wbuf *w, const struct source_spec *s, const char *key, struct err *e)
{
    int rc = 0;
    conf_line(w, "  %s:\n", key);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        if (strcmp(s->v[i].key, key) != 0)
            continue;
        conf_line(w, "    - ");
        rc = yaml_put(w, s->v[i].value, e);
        conf_line(w, "\n");
    }
    return rc;
}

#define CHECKS_EXAMPLE(database)                                                              \
    "  # Questions to it, asked at each backup, by twofold check, and of what is restored.\n" \
    "  # checks:\n"                                                                           \
    "  #   - name: accounts\n"                                                                \
    "  #     database: " database "\n"                                                        \
    "  #     sql: SELECT count(*) FROM accounts\n"                                            \
    "  #     expect: \"> 0\"          # else the backup is partial, a restore not right\n"    \
    "  #     restored: at-least     # as many as when it was backed up; or: same\n"

static int put_source(struct wbuf *w, const struct source_spec *s, int kind, struct err *e)
{
    int rc = 0;
    conf_line(w, "\n# %s\n%s:\n", kinds[kind].title, s->kind);
    for (const struct source_key *k = kinds[kind].keys; rc == 0 && k->name; k++) {
        const char *v = source_spec_get(s, setting_of(k));
        conf_line(w, "  # %s\n", k->comment);
        if (is_list(k)) {
            rc = put_list(w, s, k->name, e);
            continue;
        }
        if (!v) {
            conf_line(w, "  # %s: %s\n", k->name, k->example);
            continue;
        }
        conf_line(w, "  %s: ", k->name);
        rc = yaml_put(w, v, e);
        conf_line(w, "\n");
    }
    if (kind == SOURCE_POSTGRESQL || kind == SOURCE_MARIADB)
        conf_line(w, "%s", CHECKS_EXAMPLE("shop"));
    if (kind == SOURCE_SQLITE)
        conf_line(w, "%s", CHECKS_EXAMPLE("/path/of/one.db"));
    return rc;
}

int sources_put(struct wbuf *w, const struct source_spec *all, size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        for (int kind = 0; rc == 0 && kind < SOURCE_KINDS; kind++)
            if (strcmp(kinds[kind].kind, all[i].kind) == 0)
                rc = put_source(w, &all[i], kind, e);
    return rc;
}
