/* enrol.c - `twofold-agent enrol`, and the words that the new key brings later; the manual is enrol.h. */
#include "agents/enrol.h"
#include "agents/allow.h"
#include "agents/keylines.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_OF_ROOT "/etc/twofold/agent.yaml"
#define CONFIG_OF_USER ".config/twofold/agent.yaml"
#define SUDOERS "/etc/sudoers.d"
#define MAX_OLD_KEYS 8
#define WORD_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define CAP_DAC_READ_SEARCH_BIT 2

/* What the orchestrator asks for. Strings go into the text that was read. */
struct settings {
    char *text, from_seen[128];
    const char *name, *user, *from, *key;
    const char *old[MAX_OLD_KEYS];
    size_t n_old;
    struct pin pins[MAX_PINS];
    size_t n_pins;
    char **backup, **restore, **sources, **commands;
    size_t n_backup, n_restore, n_sources, n_commands;
    bool sudo, ended;
    /* whose account it becomes */
    struct account {
        uid_t uid;
        gid_t gid;
        char *name, *home;
    } account;
};

static void settings_done(struct settings *s)
{
    rules_clear(&s->backup, &s->n_backup);
    rules_clear(&s->restore, &s->n_restore);
    rules_clear(&s->sources, &s->n_sources);
    rules_clear(&s->commands, &s->n_commands);
    free(s->account.name);
    free(s->account.home);
    free(s->text);
}

static bool made_of(const char *text, const char *chars)
{
    return text && *text && text[strspn(text, chars)] == '\0';
}

static char *in_home(const char *home, const char *rest)
{
    char *s = NULL;
    return asprintf(&s, "%s/%s", home, rest) < 0 ? NULL : s;
}

char *agent_config_path(void)
{
    const char *home = getenv("HOME");
    if (geteuid() == 0)
        return strdup(CONFIG_OF_ROOT);
    if (!home || home[0] != '/') {
        const struct passwd *pw = getpwuid(geteuid());
        home = pw ? pw->pw_dir : NULL;
    }
    return home ? in_home(home, CONFIG_OF_USER) : NULL;
}

/* --- settings ------------------------------------------------------------------------------------------- */
static bool take_pin(struct settings *s, char *value)
{
    char *key = strchr(value, ' ');
    if (!key || s->n_pins == MAX_PINS)
        return false;
    *key++ = '\0';
    struct pin *p = &s->pins[s->n_pins++];
    return id_parse(value, &p->vault) && hex_decode(key, p->recovery_pk, sizeof p->recovery_pk);
}

static bool take_old_key(struct settings *s, const char *value)
{
    if (s->n_old == MAX_OLD_KEYS || !public_key_ok(value))
        return false;
    s->old[s->n_old++] = value;
    return true;
}

static bool take_setting(struct settings *s, const char *word, char *value, struct err *e)
{
    if (strcmp(word, "name") == 0)
        return made_of(s->name = value, WORD_CHARS) && strlen(value) < 128;
    if (strcmp(word, "user") == 0)
        return made_of(s->user = value, WORD_CHARS);
    if (strcmp(word, "from") == 0)
        return made_of(s->from = value, WORD_CHARS ":,*?!/");
    if (strcmp(word, "key") == 0)
        return public_key_ok(s->key = value);
    if (strcmp(word, "old-key") == 0)
        return take_old_key(s, value);
    if (strcmp(word, "pin") == 0)
        return take_pin(s, value);
    if (strcmp(word, "backup") == 0)
        return value[0] == '/' && rules_add(&s->backup, &s->n_backup, value, e) == 0;
    if (strcmp(word, "restore") == 0)
        return value[0] == '/' && rules_add(&s->restore, &s->n_restore, value, e) == 0;
    if (strcmp(word, "source") == 0)
        return value[0] && rules_add(&s->sources, &s->n_sources, value, e) == 0;
    if (strcmp(word, "command") == 0)
        return value[0] && rules_add(&s->commands, &s->n_commands, value, e) == 0;
    if (strcmp(word, "sudo") == 0)
        return s->sudo = true;
    if (strcmp(word, "end") == 0)
        return s->ended = true;
    return false; /* a setting that is not understood could be a restriction that is not kept */
}

static int read_settings(struct settings *s, struct err *e)
{
    s->text = malloc(MAX_ENROL_BYTES + 1);
    if (!s->text)
        return err_set(e, ERR_NOMEM, _("no memory"));
    ssize_t n = sys_read(STDIN_FILENO, s->text, MAX_ENROL_BYTES, e);
    if (n < 0)
        return (int)n;
    s->text[n] = '\0';
    char *save = NULL, *line = strtok_r(s->text, "\n", &save);
    bool ok = line && strcmp(line, "twofold-enrol 1") == 0;
    if (!ok) {
        err_set(e, ERR_VERSION, _("what came is not an enrolment that this version understands"));
        return err_next(e, _("install the same version of twofold on both hosts"));
    }
    while (ok && !s->ended && (line = strtok_r(NULL, "\n", &save))) {
        char *value = line + strcspn(line, " ");
        if (*value)
            *value++ = '\0';
        ok = take_setting(s, line, value, e);
    }
    if (!ok || !s->ended || !s->name || !s->key)
        return err_set(e, ERR_PROTOCOL, _("the settings of the enrolment are malformed (%.20s)"),
                       line ? line : "end");
    return 0;
}

/* --- whose account --------------------------------------------------------------------------------------- */
static int find_account(const char *name, struct account *ret, struct err *e)
{
    errno = 0;
    const struct passwd *pw = name ? getpwnam(name) : getpwuid(geteuid());
    if (!pw) {
        err_set(e, ERR_ABSENT, _("there is no user \"%s\" on this host"), name ? name : "");
        return err_next(e, _("make one: useradd --system --create-home --shell /bin/sh %s"),
                        name ? name : "twofold");
    }
    if (geteuid() != 0 && pw->pw_uid != geteuid()) {
        err_set(e, ERR_REFUSED, _("only root and \"%s\" can change the keys of \"%s\""),
                pw->pw_name, pw->pw_name);
        return err_next(e, _("log in as one of them: --login %s@HOST"), pw->pw_name);
    }
    *ret = (struct account){ pw->pw_uid, pw->pw_gid, strdup(pw->pw_name), strdup(pw->pw_dir) };
    return ret->name && ret->home ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
}

/* For good. What lies in a user's home is changed as that user: links in it lead nowhere that it could not go itself. */
static int become(const struct account *a, struct err *e)
{
    if (geteuid() == a->uid)
        return 0;
    if (initgroups(a->name, a->gid) < 0 || setgid(a->gid) < 0 || setuid(a->uid) < 0)
        return err_sys(e, _("become the user \"%s\""), a->name);
    return 0;
}

/* --- what is written --------------------------------------------------------------------------------------- */
static int replace_list(char ***list, size_t *n, char *const *with, size_t n_with, struct err *e)
{
    int rc = 0;
    rules_clear(list, n);
    for (size_t i = 0; rc == 0 && i < n_with; i++)
        rc = rules_add(list, n, with[i], e);
    return rc;
}

static void add_pin(struct rules *r, const struct pin *p)
{
    size_t i = 0;
    while (i < r->n_pins && !id_eq(&r->pins[i].vault, &p->vault))
        i++;
    if (i < MAX_PINS)
        r->pins[i] = *p;
    r->n_pins += i == r->n_pins && i < MAX_PINS;
}

/* What stands there and is not said anew stays: a person may have edited it. */
static int write_rules(struct settings *s, const char *config, struct err *e)
{
    struct agent_file *f = NULL;
    struct rules *r = NULL;
    char *folder = geteuid() == 0 ? strdup(DEFAULT_RESTORE_FOLDER_OF_ROOT)
                                  : in_home(s->account.home, DEFAULT_RESTORE_FOLDER_OF_USER);
    char *everything = (char *)"/";
    int rc = folder ? agent_file_load(config, &f, e) : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = agent_file_add(f, s->name, &r, e);
    if (rc == 0 && s->n_backup)
        rc = replace_list(&r->backup, &r->n_backup, s->backup, s->n_backup, e);
    else if (rc == 0 && !r->n_backup)
        rc = replace_list(&r->backup, &r->n_backup, &everything, 1, e);
    if (rc == 0 && s->n_restore)
        rc = replace_list(&r->restore, &r->n_restore, s->restore, s->n_restore, e);
    else if (rc == 0 && !r->n_restore)
        rc = replace_list(&r->restore, &r->n_restore, &folder, 1, e);
    if (rc == 0 && s->n_sources)
        rc = replace_list(&r->sources, &r->n_sources, s->sources, s->n_sources, e);
    if (rc == 0 && s->n_commands)
        rc = replace_list(&r->commands, &r->n_commands, s->commands, s->n_commands, e);
    for (size_t i = 0; rc == 0 && i < s->n_pins; i++)
        add_pin(r, &s->pins[i]);
    for (size_t i = 0; rc == 0 && i < r->n_restore; i++)
        if (strcmp(r->restore[i], folder) == 0)
            rc = sys_mkdir_p(folder, 0700, e);
    if (rc == 0)
        rc = agent_file_write(f, e);
    for (size_t i = 0; rc == 0 && i < r->n_backup; i++)
        printf("backup %s\n", r->backup[i]);
    for (size_t i = 0; rc == 0 && i < r->n_restore; i++)
        printf("restore %s\n", r->restore[i]);
    for (size_t i = 0; rc == 0 && i < r->n_sources; i++)
        printf("source %s\n", r->sources[i]);
    agent_file_free(f);
    free(folder);
    return rc;
}

/* sudo reads no file with a dot in its name. */
static char *sudoers_path(const char *name)
{
    char *path = NULL;
    if (asprintf(&path, SUDOERS "/twofold-agent-%s", name) < 0)
        return NULL;
    for (char *c = path + strlen(SUDOERS "/"); *c; c++)
        if (*c == '.')
            *c = '_';
    return path;
}

static int write_sudoers(const struct settings *s, const char *command, struct err *e)
{
    char *path = sudoers_path(s->name), *text = NULL;
    int rc = 0;
    if (geteuid() != 0) {
        rc = err_set(e, ERR_REFUSED, _("only root can write a rule for sudo"));
        err_next(e, _("log in as root for the enrolment: --login root@HOST"));
    } else if (access(SUDOERS, X_OK) < 0) {
        rc = err_set(e, ERR_ABSENT, _("there is no sudo on this host"));
        err_next(e, _("install it (apt-get install sudo), or enrol without --sudo"));
    } else if (!path ||
               asprintf(
                   &text,
                   "# Written by \"twofold agent enrol\": this one command, and nothing else.\n"
                   "Defaults:%s !requiretty, !lecture\n"
                   "Defaults:%s env_keep += \"SSH_ORIGINAL_COMMAND\"\n"
                   "%s ALL=(root) NOPASSWD: %s\n",
                   s->account.name, s->account.name, s->account.name, command) < 0) {
        text = NULL;
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    } else {
        rc = sys_write_file(AT_FDCWD, path, text, strlen(text), 0440, e);
    }
    free(text);
    free(path);
    return rc;
}

/* SSH_CONNECTION: "client port server port". */
static int find_from(struct settings *s, struct err *e)
{
    const char *c = getenv("SSH_CONNECTION");
    if (s->from)
        return 0;
    size_t n = c ? strcspn(c, " ") : 0;
    if (n == 0 || n >= sizeof s->from_seen) {
        err_set(e, ERR_FAILED, _("from which address the orchestrator comes cannot be seen"));
        return err_next(e, _("say it: --from ADDRESS"));
    }
    memcpy(s->from_seen, c, n);
    s->from_seen[n] = '\0';
    s->from = s->from_seen;
    return made_of(s->from, WORD_CHARS ":") ? 0
                                            : err_set(e, ERR_PROTOCOL, _("SSH_CONNECTION is odd"));
}

static int write_key(const struct settings *s, const char *command, struct err *e)
{
    struct keylines k = {
        .home = s->account.home, .name = s->name, .keep = s->old, .n_keep = s->n_old, .key = s->key
    };
    char *options = NULL;
    if (asprintf(&options, "restrict,from=\"%s\",command=\"%s%s\"", s->from,
                 s->sudo ? "sudo -n " : "", command) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    k.options = options;
    int rc = keylines_change(&k, NULL, e);
    free(options);
    return rc;
}

static int enrol(struct settings *s, const char *program, struct err *e)
{
    char *config = agent_config_path(), *command = NULL;
    int rc = config ? find_from(s, e) : err_set(e, ERR_CONFIG, _("there is no home folder"));
    if (rc == 0 && (!made_of(program, WORD_CHARS "/+") || !made_of(config, WORD_CHARS "/+")))
        rc = err_set(e, ERR_CONFIG,
                     _("%s: a path with blanks or special characters cannot stand in "
                       "a forced command"),
                     made_of(program, WORD_CHARS "/+") ? config : program);
    if (rc == 0 &&
        asprintf(&command, "%s serve --orchestrator %s --config %s%s%s", program, s->name, config,
                 s->sudo ? " --account " : "", s->sudo ? s->account.name : "") < 0) {
        command = NULL;
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    }
    if (rc == 0)
        rc = write_rules(s, config, e);
    if (rc == 0 && s->sudo)
        rc = write_sudoers(s, command, e);
    if (rc == 0)
        rc = become(&s->account, e);
    if (rc == 0)
        rc = write_key(s, command, e);
    if (rc == 0)
        printf("config %s\nuser %s\nfrom %s\nkeys %s/.ssh/authorized_keys\ndone\n", config,
               s->account.name, s->from, s->account.home);
    free(command);
    free(config);
    return rc;
}

int enrol_main(const char *program, struct err *e)
{
    struct settings s = { 0 };
    printf("version %s\n", TWOFOLD_VERSION);
    int rc = read_settings(&s, e);
    if (rc == 0)
        rc = find_account(s.user, &s.account, e);
    if (rc == 0)
        rc = enrol(&s, program, e);
    settings_done(&s);
    return rc;
}

/* --- words --------------------------------------------------------------------------------------------------- */
static bool reads_everything(void)
{
    char line[256];
    unsigned long long caps = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "CapEff:", 7) == 0)
            caps = strtoull(line + 7, NULL, 16);
    if (f)
        fclose(f);
    return geteuid() == 0 || (caps >> CAP_DAC_READ_SEARCH_BIT & 1);
}

int serve_status(const struct serve_opts *o, struct err *e)
{
    struct agent_file *f = NULL;
    struct rules *r = NULL;
    char id[ID_HEX_BYTES];
    const struct passwd *pw = getpwuid(geteuid());
    printf("version %s\nprotocol %d %d\nuser %s\nreads-everything %s\nconfig %s\n", TWOFOLD_VERSION,
           WIRE_VERSION_MIN, WIRE_VERSION_MAX, pw ? pw->pw_name : "?",
           reads_everything() ? "yes" : "no", o->config);
    int rc = agent_file_load(o->config, &f, e);
    if (rc == 0)
        rc = agent_file_find(f, o->orchestrator, &r, e);
    for (size_t i = 0; rc == 0 && i < r->n_pins; i++)
        printf("pin %s\n", id_hex(&r->pins[i].vault, id));
    for (size_t i = 0; rc == 0 && i < r->n_backup; i++)
        printf("backup %s\n", r->backup[i]);
    for (size_t i = 0; rc == 0 && i < r->n_restore; i++)
        printf("restore %s\n", r->restore[i]);
    for (size_t i = 0; rc == 0 && i < r->n_commands; i++)
        printf("command %s\n", r->commands[i]);
    for (size_t i = 0; rc == 0 && i < r->n_sources; i++)
        printf("source %s\n", r->sources[i]);
    if (rc == 0)
        puts("done");
    agent_file_free(f);
    return rc;
}

static int read_key(char key[MAX_KEY_LINE], struct err *e)
{
    ssize_t n = sys_read(STDIN_FILENO, key, MAX_KEY_LINE - 1, e);
    if (n < 0)
        return (int)n;
    key[n] = '\0';
    key[strcspn(key, "\n")] = '\0';
    return public_key_ok(key) ? 0 : err_set(e, ERR_PROTOCOL, _("what came is not a public key"));
}

int serve_settle(const struct serve_opts *o, struct err *e)
{
    struct account a = { 0 };
    char key[MAX_KEY_LINE];
    const char *keep[] = { key };
    size_t removed = 0;
    int rc = read_key(key, e);
    if (rc == 0)
        rc = find_account(o->account, &a, e);
    if (rc == 0)
        rc = become(&a, e);
    if (rc == 0)
        rc = keylines_has(a.home, o->orchestrator, key, e);
    if (rc == 0)
        rc = err_set(e, ERR_REFUSED, _("that key is not enrolled here"));
    struct keylines k = { .home = a.home, .name = o->orchestrator, .keep = keep, .n_keep = 1 };
    if (rc > 0)
        rc = keylines_change(&k, &removed, e);
    if (rc == 0)
        printf("removed %zu\ndone\n", removed);
    free(a.name);
    free(a.home);
    return rc;
}

/* The lines last: until then this key can be used to try again. */
int serve_revoke(const struct serve_opts *o, struct err *e)
{
    struct account a = { 0 };
    struct agent_file *f = NULL;
    struct err left = ERR_INIT;
    size_t removed = 0;
    int rc = find_account(o->account, &a, e);
    if (rc == 0 && agent_file_load(o->config, &f, &left) == 0) {
        agent_file_remove(f, o->orchestrator);
        agent_file_write(f, &left);
    }
    char *sudoers = sudoers_path(o->orchestrator);
    if (rc == 0 && sudoers && geteuid() == 0)
        sys_unlinkat(AT_FDCWD, sudoers, 0, NULL);
    free(sudoers);
    if (rc == 0)
        rc = become(&a, e);
    struct keylines k = { .home = a.home, .name = o->orchestrator };
    if (rc == 0)
        rc = keylines_change(&k, &removed, e);
    if (rc == 0 && left.code != ERR_NONE)
        printf("left %s: %s\n", left.what, left.why);
    if (rc == 0)
        printf("removed %zu\ndone\n", removed);
    agent_file_free(f);
    free(a.name);
    free(a.home);
    return rc;
}
