/* commands.c - the table of commands, suggestions for slips, and the usage error; the texts are in help.c. */
#include "orchestrator/commands.h"
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORD 32 /* letters of a word that are compared */
#define MAX_SLIPS 2 /* wrong letters in a suggestion */

#define FROM_WHERE "[--vault V] [--copy URL] [--passphrase-file F]"

const struct command commands[] = {
    { "init", cmd_init, "--vault NAME --copy PLACE=URL --copy PLACE=URL [--passphrase-file F]",
      N_("make a vault with two or more copies, and its keys") },
    { "policy", cmd_policy, "add NAME --files PATH… [--exclude GLOB] | lint | list | show NAME",
      N_("say what is backed up; check what was said") },
    { "agent", cmd_agent,
      "enrol NAME [--host HOST] [--user USER] [--login ADMIN@HOST] [--allow PATH]… | list | check NAME | revoke NAME",
      N_("let this orchestrator into other hosts, and out again") },
    { "backup", cmd_backup, "POLICY… [--quarantine|--as-it-is] [--hold WHY] [--full] [--take-over]",
      N_("back up to all copies") },
    { "status", cmd_status, "[POLICY…] [--vault V] [--live] [--all]",
      N_("what is well, what is overdue, and what to do next") },
    { "snapshots", cmd_snapshots, "[POLICY…] " FROM_WHERE, N_("list the backups") },
    { "ls", cmd_ls, "SNAPSHOT [PATH…] [-l] [-0] " FROM_WHERE, N_("list the files in a backup") },
    { "find", cmd_find, "NAME [--policy P] [--snapshot S] " FROM_WHERE,
      N_("find files by name in all backups") },
    { "diff", cmd_diff, "SNAPSHOT [SNAPSHOT|live] " FROM_WHERE,
      N_("what changed between two backups, or since one") },
    { "restore", cmd_restore,
      "POLICY --to TARGET [--snapshot ID] [--at TIME] [--from PLACE] [--overwrite] [--delta] [--set-aside] [PATH…]",
      N_("bring files back; with --copy URL --policy NAME from one copy alone") },
    { "drill", cmd_drill,
      "POLICY [--from PLACE|--lose PLACE] [--snapshot ID|--at TIME] [--on AGENT] [--to DIR] [--keep] | --clean [POLICY]",
      N_("try a restore in a scratch folder: is it right, how fast, what is lost?") },
    { "export", cmd_export, "SNAPSHOT [PATH…] " FROM_WHERE " > FILE.tar",
      N_("write a backup as plain tar") },
    { "scrub", cmd_scrub, "[PLACE] [--read-data=N%] [--open] [--vault V]",
      N_("check the copies for damage") },
    { "repair", cmd_repair, "[PLACE] [--read-data=N%] [--undo STAMP] [--vault V]",
      N_("mend one copy from another") },
    { "replicate", cmd_replicate, "[--copy PLACE]… [--take-over] [--vault V]",
      N_("catch up copies that missed something") },
    { "check", cmd_check, "POLICY",
      N_("ask a live database whether all is as the policy expects") },
    { "crash", cmd_crash,
      "POLICY [--cause fault|attack|disaster] [--plan] | status|resume|failback|approve|note|close [ID]",
      N_("a database crash: from \"it is gone\" to \"it is back\"") },
    { "logs", cmd_logs, "[POLICY] [--follow]", N_("how far a database's log is kept; keep it") },
    { "schedule", cmd_schedule, "apply [--dry-run] [--root DIR] | list",
      N_("make the timers that the policies ask for; when they run next") },
    { "jobs", cmd_jobs, "[--all]", N_("what runs and what waits") },
    { "enqueue", cmd_enqueue, "KIND [TARGET] [--slot S] [--wait] [--or-run]",
      N_("have twofoldd do a backup, scrub, prune, replicate or page") },
    { "pause", cmd_pause, "JOB|POLICY",
      N_("stop for a while what runs, and hold back what waits") },
    { "resume", cmd_resume, "JOB|POLICY", N_("go on with what was paused") },
    { "cancel", cmd_cancel, "JOB|POLICY", N_("end a job and do not try it again") },
    { "copy", cmd_copy, "list | add PLACE=URL [--rotating --every 7d] | remove PLACE | trust PLACE",
      N_("the copies of a vault that exists") },
    { "media", cmd_media,
      "list | show PLACE | move PLACE --where TEXT [--who NAME] [--note TEXT] | label PLACE TEXT",
      N_("the register of carried disks: where each is, and who took it") },
    { "prune", cmd_prune,
      "[--dry-run] [--policy P] [--forget-policy P] [--max-repack SIZE] [--vault V]",
      N_("drop the backups that retention lets go, and free their space") },
    { "hold", cmd_hold, "add SNAPSHOT --why TEXT | remove SNAPSHOT | list [--vault V]",
      N_("backups that no prune may drop") },
    { "adopt", cmd_adopt,
      "--copy PLACE=URL… [--vault NAME] [--keep-recovery-key] [--passphrase-file F]",
      N_("make this machine the orchestrator of a vault that exists") },
    { "catalog", cmd_catalog,
      "export | rebuild [--replace] | check [--vault V] [--copy URL] [--passphrase-file F]",
      N_("put the catalog into the copies; make it again from one") },
    { "audit", cmd_audit,
      "[list|verify|export] [--since TIME] [--who NAME] [--vault V] [--copy URL]",
      N_("who did what, and whether that record was touched") },
    { "alarms", cmd_alarms,
      "[list [--all] | ack NUMBER… [--who NAME] [--through CHANNEL] | show NUMBER | calls NUMBER | "
      "called NUMBER NAME --reached|--no-answer | check]",
      N_("what is wrong and who knows of it") },
    { "notify", cmd_notify, "test [--role ROLE] [--channel CHANNEL]",
      N_("try whether people can be told") },
    { "page", cmd_page, "[--out FILE] [--lang zh|en] [--live]", N_("write the status as a page") },
    { "report", cmd_report,
      "FORM [ID|YEAR] [--number N] [--format text|html|pdf|docx|json] [--lang zh|en] [--output FILE] [--set NAME=TEXT]… | verify FILE",
      N_("the papers of the emergency plans, filled in as far as is known") },
    { "metrics", cmd_metrics, "[--out FILE] [--live]", N_("numbers for Prometheus") },
    { "version", cmd_version, "", N_("versions of the program, its formats and its libraries") },
    { NULL, NULL, NULL, NULL },
};

const struct command *command_find(const char *name)
{
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* --- suggestions --------------------------------------------------------------------------------- */
static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* How many letters are wrong, missing, too many or swapped with their neighbour (Damerau). */
static unsigned slips(const char *a, const char *b)
{
    unsigned d[MAX_WORD + 1][MAX_WORD + 1];
    size_t n = strnlen(a, MAX_WORD), m = strnlen(b, MAX_WORD);
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (unsigned)i;
    for (size_t k = 0; k <= m; k++)
        d[0][k] = (unsigned)k;
    for (size_t i = 1; i <= n; i++)
        for (size_t k = 1; k <= m; k++) {
            unsigned cost = a[i - 1] != b[k - 1];
            d[i][k] = least(d[i - 1][k] + 1, d[i][k - 1] + 1, d[i - 1][k - 1] + cost);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                d[i][k] = least(d[i][k], d[i - 2][k - 2] + 1, d[i][k]);
        }
    return d[n][m];
}

/* Words that people bring from other programs. */
static const char *other_word(const char *name)
{
    static const char *const words[][2] = {
        { "list", "snapshots" }, { "check", "scrub" },     { "verify", "scrub" },
        { "sync", "replicate" }, { "recover", "restore" }, { "extract", "restore" },
        { "create", "backup" },  { "search", "find" },     { "tar", "export" },
        { "dump", "export" },    { "compare", "diff" },    { "info", "status" },
        { "prepare", "init" },   { "setup", "init" },
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i][0], name) == 0)
            return words[i][1];
    return NULL;
}

size_t command_suggest(const char *name, const char *ret[MAX_SUGGESTIONS])
{
    size_t n = 0, len = strlen(name);
    const char *other = other_word(name);
    if (other)
        ret[n++] = other;
    for (unsigned wrong = 0; wrong <= MAX_SLIPS; wrong++)
        for (const struct command *c = commands; c->name && n < MAX_SUGGESTIONS; c++) {
            bool begins = len >= 2 && strncmp(c->name, name, len) == 0;
            unsigned s = begins ? 0 : slips(name, c->name);
            if (s == wrong && s < strlen(c->name) && (!other || strcmp(other, c->name) != 0))
                ret[n++] = c->name;
        }
    return n;
}

/* --- usage errors --------------------------------------------------------------------------------- */
int app_usage(struct app *app, const char *fmt, ...)
{
    struct err e = ERR_INIT;
    char *why = NULL;
    const char *name = app->ui.command ? app->ui.command : "help";
    const struct command *c = command_find(name);
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&why, fmt, ap);
    va_end(ap);
    err_set(&e, ERR_USAGE, "%s", n < 0 ? _("out of memory") : why);
    err_wrap(&e, "%s", name);
    if (c)
        err_next(&e, "twofold %s %s", c->name, c->usage);
    if (n >= 0)
        free(why);
    return ui_error(&app->ui, &e);
}

void args_begin(void)
{
    opterr = 0;
    optind = 0; /* GNU: also forgets what it was in the middle of */
}

int args_next(int argc, char **argv, const char *shorts, const struct option *options)
{
    int at = -1, c = getopt_long(argc, argv, shorts, options, &at);
    if (at < 0 || c == -1 || c == '?' || c == ':')
        return c;
    bool apart = optarg && optarg == argv[optind - 1]; /* "--name value" */
    const char *word = argv[optind - 1 - apart];
    size_t n = strcspn(word, "=");
    if (n == strlen(options[at].name) + 2 && strncmp(word + 2, options[at].name, n - 2) == 0)
        return c;
    optind -= apart; /* the word is what args_bad names */
    optopt = 0;
    return '?';
}

bool choice_option(int c, struct vault_choice *choice)
{
    switch (c) {
    case OPT_VAULT:
        choice->vault = optarg;
        return true;
    case OPT_COPY:
        choice->copy = optarg;
        return true;
    case OPT_RECOVERY_FILE:
        choice->recovery_file = optarg;
        return true;
    case OPT_PASSPHRASE_FILE:
        choice->passphrase_file = optarg;
        return true;
    case OPT_IDENTITY:
        choice->identity = optarg;
        return true;
    case OPT_HOST_KEY:
        choice->host_key = optarg;
        return true;
    default:
        return false;
    }
}

int args_bad(struct app *app, int c, char **argv)
{
    char letter[3] = { '-', (char)optopt, '\0' };
    bool is_letter = optopt > ' ' && optopt < 256;
    const char *name = is_letter ? letter : argv[optind > 0 ? optind - 1 : 0];
    if (c == ':')
        return app_usage(app, _("the option %s needs a value"), name);
    if (!is_letter && optopt)
        return app_usage(app, _("the option %s takes no value"), name);
    return app_usage(app, _("there is no option %s"), name);
}
