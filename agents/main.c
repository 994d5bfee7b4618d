/* main.c - twofold-agent: turns files into sealed chunks and back for an orchestrator at the other end of
 * its standard input and output. One connection is one job. docs/protocol.md. */
#include "agents/allow.h"
#include "agents/apply.h"
#include "agents/backup.h"
#include "agents/beat.h"
#include "agents/enrol.h"
#include "agents/guard.h"
#include "agents/hooks.h"
#include "agents/host/host.h"
#include "agents/log_frames.h"
#include "agents/postgresql/archive.h"
#include "agents/source.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <limits.h>
#include <linux/ioprio.h>
#include <malloc.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WIRE_ROOM_BYTES ((size_t)1 << 20)
#define BACKUP_NICE 10
#define LOWEST_IO 7 /* of the best-effort class */
#define STATE_DIR_OF_ROOT "/var/lib/twofold/agent"
#define STATE_DIR_OF_USER ".local/state/twofold/agent"

#ifndef TWOFOLD_VERSION
#define TWOFOLD_VERSION "0"
#endif

static void print_error(const struct err *e)
{
    const struct err_info *info = err_info(e->code);
    const char *next = e->next[0] ? e->next : _(info->next);
    fprintf(stderr, "twofold-agent: %s\n  %s  %s\n  %s %s\n", e->what[0] ? e->what : _("agent"),
            _("why:"), e->why, _("next:"), next);
}

static void usage(FILE *to)
{
    fputs(
        _("usage: twofold-agent [--state DIR]\n"
          "       twofold-agent serve --orchestrator NAME [--config FILE] [--account USER] [--state DIR]\n"
          "       twofold-agent enrol\n"
          "       twofold-agent archive FOLDER PATH NAME\n"
          "       twofold-agent thaw [--state DIR]\n"
          "       twofold-agent --version | --help\n"
          "\n"
          "The part of Twofold that runs where the data are. It is started by an orchestrator, on the\n"
          "same host or over SSH, and speaks with it over its standard input and output.\n"
          "\n"
          "  serve        as the forced command of an orchestrator's key: within what FILE allows it\n"
          "  enrol        let an orchestrator in: started by twofold agent enrol\n"
          "  archive      by a PostgreSQL server: archive_command = 'twofold-agent archive FOLDER %p %f'\n"
          "  thaw         run the commands \"after\" of runs that were killed; the units of systemd do it\n"
          "  --config     by default /etc/twofold/agent.yaml (root) or ~/.config/twofold/agent.yaml\n"
          "  --account    whose key it is, when sudo runs this\n"
          "  --state DIR  where to remember the last runs; by default $TWOFOLD_AGENT_STATE,\n"
          "               else /var/lib/twofold/agent (root) or ~/.local/state/twofold/agent\n"),
        to);
}

/* Owned; NULL when there is no memory or no home. */
static char *state_dir(const char *option)
{
    const char *dir = option ? option : getenv("TWOFOLD_AGENT_STATE");
    const char *home = getenv("HOME");
    char *s = NULL;
    if (dir && dir[0])
        return strdup(dir);
    if (geteuid() == 0)
        return strdup(STATE_DIR_OF_ROOT);
    if (!home || !home[0]) {
        const struct passwd *pw = getpwuid(geteuid());
        home = pw ? pw->pw_dir : NULL;
    }
    if (!home || asprintf(&s, "%s/%s", home, STATE_DIR_OF_USER) < 0)
        return NULL;
    return s;
}

/* --- jobs ---------------------------------------------------------------------------------------- */
struct options {
    bool serve, thaw;
    const char *state;
    struct serve_opts serve_opts;
};

/* A host is there for its own work: a backup comes behind it, on the processors and on the disks, but is never starved. Who started us
 * with other priorities has decided already. Before any thread is made: they inherit it. */
static void make_way(void)
{
    errno = 0;
    if (getpriority(PRIO_PROCESS, 0) == 0 && errno == 0)
        (void)setpriority(PRIO_PROCESS, 0, BACKUP_NICE);
    long io = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
    if (io >= 0 && IOPRIO_PRIO_CLASS(io) == IOPRIO_CLASS_NONE)
        (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
                      IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, LOWEST_IO));
}

static int backup(struct wire *w, struct rbuf *r, const struct agent_env *env,
                  const struct rules *rules, struct err *e)
{
    struct msg_backup m;
    int rc = msg_backup_read(r, &m, e);
    if (rc < 0)
        return rc;
    if (rules)
        rc = allow_backup(rules, &m, e);
    make_way();
    struct agent_env here = *env;
    here.rules = rules;
    if (rc == 0)
        rc = m.probe ? source_probe(w, m.sources, m.n_sources, env->state_dir, e)
                     : agent_backup(w, &m, &here, e);
    msg_backup_done(&m);
    return rc;
}

static int logs(struct wire *w, struct rbuf *r, const struct agent_env *env,
                const struct rules *rules, struct err *e)
{
    struct msg_backup job;
    struct msg_logs m;
    int rc = msg_logs_read(r, &job, &m, e);
    if (rc < 0)
        return rc;
    if (rules)
        rc = allow_backup(rules, &job, e);
    if (rc == 0)
        rc = source_follow(w, &job, &m, env->state_dir, e);
    msg_backup_done(&job);
    return rc;
}

/* Chunks come and go all the time, in buffers of their size, within a bound (agents/fetch_remote.h): asking the system anew for each costs
 * as much as opening it. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 16 << 20);
    mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

static int restore(struct wire *w, struct rbuf *r, const struct agent_env *env,
                   const struct rules *rules, struct err *e)
{
    struct msg_restore m;
    int rc = msg_restore_read(r, &m, e);
    if (rc < 0)
        return rc;
    if (rules)
        rc = allow_restore(rules, &m, e);
    keep_memory();
    if (rc == 0)
        rc = agent_restore(w, &m, env->state_dir, e);
    msg_restore_done(&m);
    return rc;
}

static int on_host(struct wire *w, struct rbuf *r, const struct agent_env *env,
                   const struct rules *rules, struct err *e)
{
    struct msg_host m;
    int rc = msg_host_read(r, &m, e);
    if (rc < 0)
        return rc;
    if (rules)
        rc = allow_host(rules, &m, e);
    if (rc == 0)
        rc = host_job(w, &m, env->state_dir, e);
    msg_host_done(&m);
    return rc;
}

/* rules: NULL for the orchestrator whose child this is. */
static int run_job(struct wire *w, struct agent_env *env, const struct rules *rules, struct err *e)
{
    char host[256];
    enum frame_type type = FRAME_ERROR;
    struct rbuf r;
    int rc = wire_hello(w, TWOFOLD_VERSION, host, e);
    if (rc == 0)
        rc = beat_start(w, &env->beat, e);
    if (rc == 0)
        rc = wire_recv(w, &type, &r, 0, e);
    if (rc < 0)
        return rc;
    if (type == FRAME_BACKUP)
        return backup(w, &r, env, rules, e);
    if (type == FRAME_LOGS)
        return logs(w, &r, env, rules, e);
    if (type == FRAME_RESTORE)
        return restore(w, &r, env, rules, e);
    if (type == FRAME_HOST)
        return on_host(w, &r, env, rules, e);
    return err_set(e, ERR_PROTOCOL, _("the first message must be a job, not one of type %d"),
                   (int)type);
}

/* Driver files lie beside the rules of this host, whatever the one who logged in brought as environment. */
static int use_folder_of(const char *config, struct err *e)
{
    const char *slash = config ? strrchr(config, '/') : NULL;
    char *folder = NULL;
    if (!slash) {
        (void)unsetenv("TWOFOLD_CONFIG");
        return 0;
    }
    if (asprintf(&folder, "%.*s", slash == config ? 1 : (int)(slash - config), config) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = setenv("TWOFOLD_CONFIG", folder, 1) < 0 ? err_sys(e, "%s", folder) : 0;
    free(folder);
    return rc;
}

static int load_rules(const struct options *o, struct agent_file **ret_file,
                      struct rules **ret_rules, struct err *e)
{
    if (!o->serve)
        return 0;
    int rc = use_folder_of(o->serve_opts.config, e);
    if (rc == 0)
        rc = agent_file_load(o->serve_opts.config, ret_file, e);
    return rc < 0 ? rc : agent_file_find(*ret_file, o->serve_opts.orchestrator, ret_rules, e);
}

static int serve(const char *dir, const struct options *o)
{
    struct err e = ERR_INIT;
    struct agent_env env = { .state_dir = dir, .racy_ns = AGENT_RACY_NS };
    struct agent_file *file = NULL;
    struct rules *rules = NULL;
    sys_widen(STDIN_FILENO, WIRE_ROOM_BYTES); /* pipes of the host's sshd */
    sys_widen(STDOUT_FILENO, WIRE_ROOM_BYTES);
    struct wire *w = wire_new(STDIN_FILENO, STDOUT_FILENO, false);
    if (!w) {
        err_set(&e, ERR_NOMEM, _("no memory"));
        print_error(&e);
        return err_info(ERR_NOMEM)->exit_status;
    }
    wire_set_peer(w, _("orchestrator"));
    wire_let_pause(w);
    int rc = load_rules(o, &file, &rules, &e);
    if (rc == 0)
        rc = run_job(w, &env, rules, &e);
    if (rc < 0) {
        /* The orchestrator tells the person: once is enough. */
        wire_send_error(w, &e);
        _exit(1);
    }
    beat_stop(env.beat);
    wire_free(w);
    agent_file_free(file);
    return 0;
}

/* --- the beginning --------------------------------------------------------------------------------- */
static int refuse_terminal(void)
{
    struct err e = ERR_INIT;
    err_set(
        &e, ERR_USAGE,
        _("its input and output are a terminal, and it speaks a protocol with an orchestrator"));
    err_wrap(&e, _("not started by hand"));
    err_next(&e, _("run twofold instead: it starts the agent"));
    print_error(&e);
    return err_info(ERR_USAGE)->exit_status;
}

/* The word that an orchestrator's SSH client asks for instead of a job: one of a few, whatever it is. */
static int other_word(const struct options *o, const char *word)
{
    struct err e = ERR_INIT;
    int rc;
    if (strcmp(word, "status") == 0)
        rc = serve_status(&o->serve_opts, &e);
    else if (strcmp(word, "settle") == 0)
        rc = serve_settle(&o->serve_opts, &e);
    else if (strcmp(word, "revoke") == 0)
        rc = serve_revoke(&o->serve_opts, &e);
    else
        rc = err_set(&e, ERR_REFUSED, _("this key may start the agent and nothing else"));
    if (rc < 0)
        print_error(&e);
    return rc < 0 ? err_info(e.code)->exit_status : 0;
}

static int enrol_here(void)
{
    struct err e = ERR_INIT;
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    int rc = n < 0 ? err_sys(&e, "/proc/self/exe") : 0;
    self[n < 0 ? 0 : n] = '\0';
    if (rc == 0)
        rc = enrol_main(self, &e);
    if (rc < 0) {
        err_wrap(&e, _("enrolment"));
        print_error(&e);
    }
    return rc < 0 ? err_info(e.code)->exit_status : 0;
}

/* What a server's archive_command runs, as the server's user: no status above 125, which would mean that it could not be run. */
static int archive_here(char **argv)
{
    struct err e = ERR_INIT;
    if (archive_put(argv[2], argv[3], argv[4], &e) == 0)
        return 0;
    print_error(&e);
    return 1;
}

/* Into the journal of the unit that ends. */
static int say_thawed(void *ctx, bool problem, const char *text, struct err *e)
{
    *(bool *)ctx |= problem;
    fprintf(stderr, "twofold-agent: %s\n", text);
    (void)e;
    return 0;
}

static int thaw(const char *state)
{
    struct err e = ERR_INIT;
    bool problem = false;
    if (hooks_thaw(state, say_thawed, &problem, &e) < 0) {
        err_wrap(&e, _("what is to be run after a backup"));
        print_error(&e);
        return err_info(e.code)->exit_status;
    }
    return problem ? err_info(ERR_FAILED)->exit_status : 0;
}

static bool take_value(const char *name, char **argv, int *i, const char **ret)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0)
        return false;
    if (argv[*i][n] == '=' && argv[*i][n + 1])
        *ret = argv[*i] + n + 1;
    else if (argv[*i][n] == '\0' && argv[*i + 1])
        *ret = argv[++*i];
    else
        return false;
    return true;
}

static bool take_options(struct options *o, int argc, char **argv)
{
    int i = 1;
    if (argc > 1 && strcmp(argv[1], "serve") == 0) {
        o->serve = true;
        i++;
    } else if (argc > 1 && strcmp(argv[1], "thaw") == 0) {
        o->thaw = true;
        i++;
    }
    for (; i < argc; i++)
        if (!take_value("--state", argv, &i, &o->state) &&
            !(o->serve && (take_value("--orchestrator", argv, &i, &o->serve_opts.orchestrator) ||
                           take_value("--config", argv, &i, &o->serve_opts.config) ||
                           take_value("--account", argv, &i, &o->serve_opts.account))))
            return false;
    return !o->serve || o->serve_opts.orchestrator;
}

/* Threads free what others took, and large buffers must go back to the system at once. */
static void set_memory(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 512 << 10);
}

static int no_home(void)
{
    struct err e = ERR_INIT;
    err_set(&e, ERR_CONFIG, _("there is no home folder to keep the agent's state in"));
    err_next(&e, _("give one: twofold-agent --state DIR"));
    print_error(&e);
    return err_info(ERR_CONFIG)->exit_status;
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    const char *word = getenv("SSH_ORIGINAL_COMMAND");
    i18n_init();
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("twofold-agent %s\n", TWOFOLD_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    /* Started by an agent alone, with a socket: agents/guard.h. */
    if (argc == 2 && strcmp(argv[1], "guard") == 0 && !isatty(STDIN_FILENO))
        return guard_main();
    if (argc == 5 && strcmp(argv[1], "archive") == 0)
        return archive_here(argv);
    bool enrol = argc == 2 && strcmp(argv[1], "enrol") == 0;
    if (!enrol && !take_options(&o, argc, argv)) {
        usage(stderr);
        return err_info(ERR_USAGE)->exit_status;
    }
    if (!o.thaw && (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO)))
        return refuse_terminal();
    set_memory();
    sys_catch_signals();
    char *state = state_dir(o.state), *config = agent_config_path();
    int rc;
    if (o.serve && !o.serve_opts.config)
        o.serve_opts.config = config;
    if (enrol)
        rc = enrol_here();
    else if (!state || (o.serve && !o.serve_opts.config))
        rc = no_home();
    else if (o.thaw)
        rc = thaw(state);
    else if (o.serve && word && *word && strcmp(word, "serve") != 0)
        rc = other_word(&o, word);
    else
        rc = serve(state, &o);
    free(config);
    free(state);
    return rc;
}
