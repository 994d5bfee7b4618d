/* help.c - what `twofold help` and `twofold COMMAND --help` print. */
#include "lib/base/i18n.h"
#include "orchestrator/commands.h"
#include "orchestrator/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_COLUMNS 11
#define COLUMNS 80
#define HANG 8

static const char choice_help[] = N_(
    "  --vault NAME            which vault, where there are several\n"
    "  --copy URL              from this copy alone: no configuration is needed. On another host:\n"
    "                          sftp://USER@HOST/PATH, with --identity FILE (~/.ssh/id_ed25519) and\n"
    "                          --host-key \"ssh-ed25519 AAAA…\" (as ~/.ssh/known_hosts has it)\n"
    "  --recovery-file FILE    the recovery file, where the copy does not hold it\n"
    "  --passphrase-file FILE  the passphrase, in one line; else it is asked for\n");

static const char snapshot_help[] = N_(
    "SNAPSHOT is the beginning of an id (8 or more digits, see twofold snapshots), \"latest\" (the\n"
    "newest whole one), or POLICY@TIME (the newest not after it). TIME: 2026-11-21,\n"
    "\"2026-11-21 02:30\", 2026-11-21T02:30:00+08:00, now, yesterday, -2h, -3d, @1763700000.\n");

static const struct {
    const char *command, *text;
    bool snapshot, choice;
} details[] = {
    { "init",
      N_("  --vault NAME            its name: letters, digits, . _ -\n"
         "  --copy PLACE=URL        where a copy lies and what the place is called; two or more times.\n"
         "                          A folder, or sftp://USER@HOST[:PORT]/PATH; then, behind it:\n"
         "    --rotating            its disk is carried away and back; --every 7d: how often it comes\n"
         "    --not-deletable       whoever steals this machine cannot delete it\n"
         "    --limit SIZE          bytes per second, for instance 20MiB\n"
         "    --identity FILE       the private key that is let in there; else a new one is made\n"
         "    --host-key KEY        \"ssh-ed25519 AAAA…\"; else known_hosts, or you are asked\n"
         "  --passphrase-file FILE  a new passphrase: 16 or more characters of three kinds\n"
         "  --keep-recovery-key     keep the recovery key on this machine: a restore at night asks\n"
         "                          nobody, but whoever steals this machine reads all backups\n"
         "  --no-keep-recovery-key  do not: a restore asks for the passphrase (the default)\n"
         "  --recovery-off-copy     keep the recovery file off the copies; needs --recovery-file\n"
         "  --recovery-file FILE    write the recovery file there too\n"
         "  --kit FILE              write the recovery kit there too (mode 0600)\n"),
      false, false },
    { "policy",
      N_("  add NAME --files PATH…  write policies/NAME.yaml, a file that explains itself; see below\n"
         "  lint                    check all configuration; each finding names its duty\n"
         "  list                    the policies\n"
         "  show NAME               what a policy says, with its defaults\n\n"
         "Of add:\n"
         "  --exclude GLOB          leave out: a whole path, or a pattern for names (\"*.tmp\")\n"
         "  --postgresql CONNINFO   (beside files or instead) a whole server, as libpq finds it; what is missing\n"
         "                          for it is said, with the statement that grants it; --data FOLDER: where\n"
         "                          the agent sees its data, if not where the server says\n"
         "    --access replication  the agent cannot see its data: the server sends them; --scratch FOLDER:\n"
         "                          room for all of them meanwhile\n"
         "    --logs 5s             keep its log, too, for restores to any moment: what it writes waits no\n"
         "                          longer than this; --slot NAME: the replication slot for it (twofold)\n"
         "    --archive FOLDER      take its log from where its archive_command puts it, without a slot:\n"
         "                          archive_command = 'twofold-agent archive FOLDER %p %f'\n"
         "  --mariadb[=SERVER]      a whole MariaDB server, by its socket (/run/mysqld/mysqld.sock), HOST or\n"
         "                          HOST:PORT; --user NAME, --defaults-file FILE (with the password), --data,\n"
         "                          --binaries FOLDER, --scratch FOLDER: room for a copy meanwhile;\n"
         "                          --logs 5s as above: its binary logs\n"
         "  --sqlite FILE           (beside files or instead) a database of SQLite; several times\n"
         "  --command DRIVER        (beside files or instead) what a program dumps, as drivers/DRIVER.yaml in\n"
         "                          that host's own configuration says; several times\n"
         "  --one-file-system       do not enter file systems mounted below the paths\n"
         "  --agent NAME            on which host (twofold agent list); local, this one\n"
         "  --vault NAME            which vault keeps it, where there are several\n"
         "  --class CLASS           data, system, logs (kept 92 days at least), secret (no network)\n"
         "  --schedule SPEC         when, as in systemd.time(7); \"*-*-* 02:00:00\"; none: by hand\n"
         "  --window HH:MM-HH:MM    the scheduler begins it only then\n"
         "  --priority N            0 to 100, higher ones first; 50\n"
         "  --retries N             tries after a failure; 3\n"
         "  --limit SIZE            bytes per second, for instance 20MiB\n"
         "  --keep-last N --keep-hourly N --keep-daily N --keep-weekly N --keep-monthly N\n"
         "  --keep-yearly N --keep-within 14d    which backups stay; without any of them: daily 7,\n"
         "                          weekly 5, monthly 12, all within 3 days (logs: within 184 days)\n"
         "  --rpo 26h               how old the newest one may be; --rto 4h: how long a restore takes\n"
         "  --notify ROLE           who is told (contacts.yaml); can be given several times\n"),
      false, false },
    { "agent",
      N_("  enrol NAME              let this orchestrator in: pins the host key, makes a key for this agent\n"
         "                          alone, installs it there over your own SSH access, tries it\n"
         "    --host HOST           where it is not called NAME; --port PORT where it is not 22\n"
         "    --user USER           whom the agent runs as (root)\n"
         "    --login ADMIN@HOST    your own access for the installation (HOST)\n"
         "    --fingerprint SHA256:…  the host key that its console shows; else you are asked\n"
         "    --allow PATH          may be backed up, with what is below; several times (/)\n"
         "    --allow-restore PATH  may be restored to; several times (/var/lib/twofold/restore)\n"
         "    --allow-source S      a database: \"postgresql CONNINFO\"; several times (none)\n"
         "    --allow-command C     may be run: postgres, for restore --verify; a whole line of\n"
         "                          a policy's hooks; several times (none)\n"
         "    --from ADDRESS        from where the key is let in (where the host sees you now)\n"
         "    --transport T         openssh or libssh2\n"
         "    --sudo                USER may run the agent, and nothing else, as root\n"
         "  list                    the agents, and when they were last seen\n"
         "  check NAME              talk to it: versions, whom it runs as, what is allowed\n"
         "  revoke NAME             remove its key here and there; enrolled again it gets a new\n"
         "                          deduplication key\n"),
      false, false },
    { "backup",
      N_("  --quarantine            of a host that is suspect: never taken for the latest good one\n"
         "  --hold WHY              no prune drops it: evidence of what was found\n"
         "  --full                  read every file, also those that look unchanged\n"
         "  --as-it-is              the policy's checks are not asked: what is there is right\n"
         "  --take-over             write on, though the newest state is another orchestrator's\n"),
      false, false },
    { "status",
      N_("Exit status 3: something is overdue, behind, away, damaged or wrong; below it stands what to do.\n"
         "Copies in folders are looked at; copies on other hosts are shown as they were last seen.\n"
         "  --vault NAME            only this vault\n"
         "  --live                  look at the copies on other hosts, too\n"
         "  --all                   each policy by itself, also when many are well\n"),
      false, false },
    { "check",
      N_("Connects to the policy's databases: what they are, what a backup would lack, and the answers\n"
         "to the questions (checks:) of the policy. Exit status 4: something is not right.\n"),
      false, false },
    { "crash",
      N_("From \"the database is gone\" to \"it is back\", step by step, each written down before and after.\n"
         "It says what it will do and how long it takes, asks what only a person can know, and goes on\n"
         "from where it was, whatever cut it off.\n"
         "  POLICY                  begin; on a machine with nothing but a copy: --copy URL --policy NAME\n"
         "    --cause CAUSE         fault (the default), attack, disaster\n"
         "    --crashed-at TIME     when it crashed\n"
         "    --first-sign TIME     when an attack or a mistake began: back to before it\n"
         "    --plan                print the plan with times and people, and do nothing\n"
         "    --strict              a copy with damage is dropped whole, then the next one is taken\n"
         "    --to DIR              restore to a folder; a person puts it into service\n"
         "    --no-standby          restore, though there is a standby\n"
         "    --new                 though an incident of the policy is open\n"
         "  status [ID]             how it stands, what is next; without an ID the open one, or all\n"
         "  resume [ID]             go on; by another person: --approved-by NAME\n"
         "    --answer GATE=ANSWER  yes, again, no or override (with --why TEXT); several times\n"
         "  approve [ID]            the second person of approve: two, logged in as themselves; or --code,\n"
         "                          or --by-telephone --approved-by NAME. --step NAME or all: beforehand\n"
         "  note [ID] TEXT          write down what people see or do; --field F: for a field of the forms\n"
         "  close [ID]              it is over; not recovered: --why TEXT\n"
         "  duties [--all]          the incident clock: what is due, by whom, and the command that does it\n"
         "  done DUTY [--at TIME]   it is done\n"
         "  level 1|2|3|4 [WHY]     the level of the incident\n"
         "  ack UNIT                a subordinate unit knows; --through HOW; --notice hold-uploads or\n"
         "                          resume-uploads\n"
         "  action add TEXT         what is to be mended: --owner NAME --due DATE; action done NUMBER\n"
         "    --incident ID         which incident, of these; without it the open one\n"
         "  records [--adopt [ID]]  incidents whose records are in the copies (--copy URL); put them here\n"
         "  codes [--count N]       make sealed one-time codes for approve\n"
         "With --yes it runs unattended: gates are answered where facts support it, and that is written\n"
         "down; never the source of an attack, nor a second person. Exit status 3: it waits for an answer;\n"
         "6: no copy could restore it.\n"),
      false, true },
    { "logs",
      N_("How far the log of the policy's database is in each copy; without a policy, a line for each that\n"
         "says \"logs:\". Exit status 3 when nobody follows it, or it is more than 5 minutes behind.\n"
         "  --follow                follow it until told to end: what the database commits is in the copies\n"
         "                          within seconds. The service twofold-logs@POLICY does that; twofold\n"
         "                          schedule apply starts it\n"
         "  --restart               (with it) after a failure: again, at first after 5 s, later 2 min\n"),
      false, false },
    { "schedule",
      N_("  apply                   write timers of systemd from the policies' schedules, and scrub, prune\n"
         "                          and check for each vault; start them; take away those of policies\n"
         "                          that are gone. A mistake in any file, and nothing is changed\n"
         "    --dry-run             only say what would change\n"
         "    --root DIR            write below DIR, for a system that does not run\n"
         "  list                    what runs by itself, and when next\n"),
      false, false },
    { "jobs",
      N_("Without options: what runs and what waits, in the order in which it will begin.\n"
         "  --all                   what is over, too\n"),
      false, false },
    { "enqueue",
      N_("KIND: backup (TARGET: a policy), scrub, prune, replicate (a vault), page. twofoldd does it as\n"
         "soon as its window, limits and what else waits allow.\n"
         "  --slot S                for what time it is: one kind, target and slot are one job, however\n"
         "                          often it is said. auto: the last time of its schedule\n"
         "  --wait                  until it is over; the exit status is the job's\n"
         "  --or-run                where twofoldd does not run: do it here and now\n"),
      false, false },
    { "pause",
      N_("A policy is held back, and its running backup paused, until: twofold resume POLICY\n"),
      false, false },
    { "alarms",
      N_("  list                    what is open; --all: what has been, too\n"
         "  ack NUMBER…             you know and take it on: nobody is told again. ack all: of all\n"
         "    --who NAME            who acknowledges (else who runs this)\n"
         "    --through CHANNEL     how they were told: phone, mail …\n"
         "  show NUMBER             who was told, when, by what, and what failed\n"
         "  calls NUMBER            whom to call, with telephone numbers, to be ticked\n"
         "  called NUMBER NAME      tick: --reached or --no-answer\n"
         "  check                   judge everything and tell people now; run by a timer of its own, so\n"
         "                          that a dead scheduler is noticed. Exit status 3: somebody could not\n"
         "                          be told\n"),
      false, false },
    { "notify",
      N_("Sends a message that says it is a test, by every channel, and says for each what happened.\n"
         "  --role ROLE             to the persons of this role of contacts.yaml\n"
         "  --channel CHANNEL       only by mail, webhook, command or console\n"),
      false, false },
    { "page",
      N_("One page for screen and paper that needs nothing else.\n"
         "  --out FILE              where to (else `page:` of twofold.yaml); - for standard output\n"
         "  --lang zh|en            else `language:` of twofold.yaml, else yours\n"
         "  --live                  look at the copies on other hosts, too\n"),
      false, false },
    { "report",
      N_("FORM: incident, daily, bulletin, summary, supplement, handling, drill, acceptance, fault (ID: an\n"
         "incident, or the policy of one that is open), training, contacts, evacuation, duties, status,\n"
         "scoring, annual (YEAR). Fields and where they come from: docs/forms.md. Without --output it is a\n"
         "draft; an incident's paper that is written is noted on its timeline.\n"
         "  --output FILE           where to, a new file; its name (.pdf, .docx, .html, .json) says the format\n"
         "  --format FORMAT         text, html, pdf, docx or json\n"
         "  --lang zh|en            else `language:` of twofold.yaml, else yours\n"
         "  --number N              the same report again, in another format; else the next number\n"
         "  --set NAME=TEXT         what a field says, in this printing\n"
         "  --evidence FOLDER       scoring: a new folder with all papers of the year, for the examiner\n"
         "  verify FILE             which report of which incident a file is, by whom and when\n"),
      false, false },
    { "metrics",
      N_("Times are seconds since 1970. From the catalog alone, so that it is quick.\n"
         "  --out FILE              replace this file instead of writing to standard output\n"
         "  --live                  look at all copies first\n"),
      false, false },
    { "snapshots", N_("Needs no recovery key. Oldest first.\n"), false, true },
    { "ls",
      N_("  -l, --long              kind and mode, owner, size, time\n"
         "  -0                      raw names, each with a final NUL byte, for xargs -0\n"
         "  --from PLACE            only from this copy\n"),
      true, true },
    { "find",
      N_("NAME is the last part of the path and may be a pattern: '*.conf'. Newest backups first.\n"
         "  --policy P              only in backups of this policy\n"
         "  --snapshot S            only in this backup\n"
         "  --from PLACE            only from this copy\n"),
      true, true },
    { "diff",
      N_("A: only in the second, D: only in the first, M: content, m: owner, mode, time …, T: kind.\n"
         "Without a second backup: against the live files.\n"
         "  --from PLACE            only from this copy\n"),
      true, true },
    { "drill",
      N_("Restores into a folder of its own, starts a database there and asks it the policy's questions,\n"
         "compares files with what was recorded, and takes it all away again. The live system is not\n"
         "touched. Exit status 4: damage, or a wrong check; 1: too slow, too much lost, nothing restored.\n"
         "  --from PLACE            from this copy alone\n"
         "  --lose PLACE            as if this copy were gone\n"
         "  --snapshot ID           which backup; --at TIME: the newest before, or that moment\n"
         "  --to DIR                the scratch folder; --on AGENT: on that agent's host\n"
         "  --keep                  leave what was restored there\n"
         "  --clean                 take away what drills that were killed, or told to keep it, have left\n"
         "  --if-due                only when the policy's `every:` has passed: for the timer\n"),
      false, true },
    { "restore",
      N_("  --to TARGET             a folder; it must be empty or new but for --overwrite\n"
         "  --snapshot ID           which backup (else the newest whole one)\n"
         "  --at TIME               the newest before; a database whose log is kept: that moment\n"
         "  --from PLACE            only from this copy\n"
         "  --policy NAME           with --copy URL: whose backup\n"
         "  --on AGENT              TARGET is on that agent's host, which must allow it; else on this one\n"
         "  --overwrite             write over what is in TARGET; what was there is set aside\n"
         "  --delta                 the same, but a large file kept in pages is made right where it\n"
         "                          is (PostgreSQL's and MariaDB's, too): only the parts that differ\n"
         "                          are fetched, and written over\n"
         "  --set-aside             with one of these: what is in the folders that are restored, and not\n"
         "                          in the backup, goes to TARGET/.twofold-extra-TIME\n"
         "  --changed-only          say what differs from what is there, and replace only that; with\n"
         "                          --in-place or --to\n"
         "  --strip-source          the content of a single source folder straight into TARGET\n"
         "A database comes as a data folder that starts, TARGET/postgresql/data; and\n"
         "  --verify[=FOLDER]       start a server on it for a moment (its programs are in FOLDER), let it\n"
         "                          recover, look into every database, check all page sums; of SQLite's\n"
         "                          files: ask the policy's questions\n"
         "  --tablespace OLD=NEW    where that tablespace is to be; several times\n"
         "  --lsn LSN, --point NAME where its log is kept: up to that position, that restore point\n"
         "  --position FILE:POS     the same for a binary log of MariaDB\n"
         "  --no-logs               the backup as it is; else all that is kept of the log is replayed\n"
         "  --salvage FOLDER        a data folder of that host that was set aside: what its log has and\n"
         "                          nobody kept is replayed, too\n"
         "  --in-place              (instead of --to) where it was, files and databases; what is in the\n"
         "                          way is set aside\n"
         "A dump of a program is a file below TARGET/command/dumps; and\n"
         "  --load DRIVER           load it by the program that drivers/DRIVER.yaml names on that host\n"),
      true, true },
    { "export",
      N_("A plain pax archive on standard output, which must not be a terminal. Exit status 4: files\n"
         "were lost and are named.\n"
         "  --from PLACE            only from this copy\n"),
      true, true },
    { "scrub",
      /* xgettext:no-c-format */
      N_("  --read-data=N%          read so much of the data and check the hashes; 100% for all\n"
         "  --open                  also open chunks and check lists (recovery key)\n"
         "Exit status 4: damage was found and is named.\n"),
      false, false },
    { "repair",
      /* xgettext:no-c-format */
      N_("  --read-data=N%          first read so much of the data, to find what is damaged\n"
         "  --undo STAMP            put back what a repair has set aside under that stamp\n"
         "What is replaced is moved to aside/ of that copy; prune deletes it after 30 days.\n"),
      false, false },
    { "replicate",
      N_("A carried copy (presence: rotating) is caught up when its disk is there, and not missed else.\n"
         "  --copy PLACE            only this copy; can be given several times\n"
         "  --take-over             write on, though the newest state is another orchestrator's\n"),
      false, false },
    { "copy",
      N_("  list                    the copies, and how they were when last seen\n"
         "  add PLACE=URL           make another copy; it is filled by the next run, or: twofold replicate\n"
         "    --rotating            it is carried away and back; --every 7d: how often it comes\n"
         "    --not-deletable       whoever steals this machine cannot delete it\n"
         "    --limit SIZE          bytes per second, for instance 20MiB\n"
         "    --identity FILE       (sftp) the key to log in with; else one is made for this copy\n"
         "    --fingerprint SHA256:…, --host-key KEY    (sftp) the host's key; else you are asked\n"
         "    --force               a carried copy on this machine's own disk, all the same\n"
         "  remove PLACE            take it out of the configuration; its data stay. --force: even when no\n"
         "                          other copy has all backups\n"
         "  trust PLACE             (sftp) pin the key that its host shows now; --fingerprint, --host-key\n"
         "  --vault NAME            which vault, where there are several\n"),
      false, false },
    { "media",
      N_("  list                    the carried copies: what is written on each disk, where it lies\n"
         "  show PLACE              all that was noted of one, newest first\n"
         "  move PLACE --where TEXT note where it is taken; --who NAME (else you), --note TEXT\n"
         "  label PLACE TEXT        note what is written on the disk\n"
         "  --vault NAME            which vault, where there are several\n"),
      false, false },
    { "prune",
      N_("Needs no recovery key. What goes is out of the vault at once, and deleted from the copies by the\n"
         "prune after this one; one that is away has its turn when it is back.\n"
         "  --dry-run               say what would go, why the rest stays, and what it frees\n"
         "  --policy P              only backups of this policy\n"
         "  --forget-policy P       all backups of a policy whose file is gone, but those that are held\n"
         "  --max-repack SIZE       move no more than so much (5GiB) out of packs that are given up\n"
         "  --clock-is-right        though the clock was behind, or has jumped\n"),
      false, false },
    { "hold",
      N_("  add SNAPSHOT --why TEXT no prune drops it, whatever the retention says\n"
         "  remove SNAPSHOT         it may go again\n"
         "  list                    those that are held, and why\n"),
      true, false },
    { "adopt",
      N_("  --copy PLACE=URL        a copy of the vault; once for each that is to be used\n"
         "  --vault NAME            what it is called here (else as it was called before)\n"
         "  --recovery-file FILE    the recovery file, where the copies do not hold it\n"
         "  --passphrase-file FILE  the passphrase, in one line; else it is asked for\n"
         "  --keep-recovery-key     keep the recovery key on this machine\n"),
      false, false },
    { "catalog",
      N_("  export                  put it into all copies now; each nightly backup does so by itself\n"
         "  rebuild                 make it again from the newest export and the backups themselves;\n"
         "                          the one that is there is kept beside it\n"
         "  --replace               though the one that is there is whole\n"
         "  --copy URL              from this copy alone; where it is not configured, the passphrase\n"
         "                          is asked for\n"
         "  check                   is the file whole?\n"),
      false, true },
    { "audit",
      N_("  list                    who did what, when, and how it ended\n"
         "  verify                  was a row changed or taken out; do the copies know rows that are gone\n"
         "  export                  all rows with their hashes, an object of JSON each\n"
         "  --since TIME, --who NAME   only these\n"
         "  --copy URL              as the newest export on that copy has it\n"),
      false, true },
};

static void put(const char *text)
{
    text_put(stdout, text, COLUMNS);
}

void help_overview(struct app *app)
{
    (void)app;
    put(_("Twofold keeps every backup at least twice, in two places, and proves that each can be "
          "restored.\n"));
    putchar('\n');
    put(_("Usage: twofold [--config DIR] [--json] [--quiet] [--yes] COMMAND [ARGUMENTS]\n"));
    putchar('\n');
    for (const struct command *c = commands; c->name; c++) {
        char *name = text_pad(c->name, NAME_COLUMNS, false);
        char *line = text_print("  %s %s", name, _(c->summary));
        put(line);
        free(line);
        free(name);
    }
    put(_("\nHow a command is used: twofold COMMAND --help\n"
          "A first backup:  twofold init --vault main --copy a=/backup/a --copy b=/mnt/b\n"
          "                 twofold policy add etc --files /etc\n"
          "                 twofold backup etc && twofold status\n"
          "Everything lost but one copy:\n"
          "                 twofold restore --copy /mnt/b --policy etc --to /restored"));
    put(_("\nExit status: 0 done, 1 failed, 2 usage or configuration, 3 done but not all of it,\n"
          "4 damage found, 5 refused, 6 no copy could restore it, 130 interrupted."));
}

/* The usage in lines of at most 80 columns, broken between its arguments. */
static void print_usage(const struct command *c)
{
    size_t column = (size_t)printf("twofold %s", c->name);
    for (const char *at = c->usage; *at;) {
        size_t n = *at == '>' ? strlen("> ") : 0;
        n += strcspn(at + n, " ["); /* an option in brackets has blanks */
        if (at[n] == '[')
            n += strcspn(at + n, "]");
        n += strcspn(at + n, " ");
        char *argument = text_print("%.*s", (int)n, at);
        if (column + 1 + text_width(argument) > COLUMNS)
            column = (size_t)printf("\n%*s", HANG, "") - 1;
        printf(" %s", argument);
        column += 1 + text_width(argument);
        free(argument);
        at += n;
        at += strspn(at, " ");
    }
    putchar('\n');
}

void help_command(struct app *app, const struct command *c)
{
    (void)app;
    print_usage(c);
    char *summary = text_print("  %s", _(c->summary));
    put(summary);
    free(summary);
    for (size_t i = 0; i < sizeof details / sizeof *details; i++) {
        if (strcmp(details[i].command, c->name) != 0)
            continue;
        putchar('\n');
        put(_(details[i].text));
        if (details[i].choice)
            put(_(choice_help));
        if (details[i].snapshot) {
            putchar('\n');
            put(_(snapshot_help));
        }
    }
    put(_("\nGlobal options: --config DIR, --json (one object a line), --quiet, --yes (answers "
          "questions)"));
}
