/* main.c - twofold-agent: turns files into sealed chunks and back for an orchestrator at the other end of
 * its standard input and output. One connection is one job. docs/protocol.md. */
#include "agents/apply.h"
#include "agents/backup.h"
#include "agents/beat.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <malloc.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
          "       twofold-agent --version | --help\n"
          "\n"
          "The part of Twofold that runs where the data are. It is started by an orchestrator, on the\n"
          "same host or over SSH, and speaks with it over its standard input and output.\n"
          "\n"
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
static int backup(struct wire *w, struct rbuf *r, const struct agent_env *env, struct err *e)
{
    struct msg_backup m;
    int rc = msg_backup_read(r, &m, e);
    if (rc < 0)
        return rc;
    rc = agent_backup(w, &m, env, e);
    msg_backup_done(&m);
    return rc;
}

static int restore(struct wire *w, struct rbuf *r, const struct agent_env *env, struct err *e)
{
    struct msg_restore m;
    int rc = msg_restore_read(r, &m, e);
    if (rc < 0)
        return rc;
    rc = agent_restore(w, &m, env->state_dir, e);
    msg_restore_done(&m);
    return rc;
}

static int run_job(struct wire *w, struct agent_env *env, struct err *e)
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
        return backup(w, &r, env, e);
    if (type == FRAME_RESTORE)
        return restore(w, &r, env, e);
    return err_set(e, ERR_PROTOCOL, _("the first message must be a job, not one of type %d"),
                   (int)type);
}

static int serve(const char *dir)
{
    struct err e = ERR_INIT;
    struct agent_env env = { .state_dir = dir, .racy_ns = AGENT_RACY_NS };
    struct wire *w = wire_new(STDIN_FILENO, STDOUT_FILENO, false);
    if (!w) {
        err_set(&e, ERR_NOMEM, _("no memory"));
        print_error(&e);
        return err_info(ERR_NOMEM)->exit_status;
    }
    wire_set_peer(w, _("orchestrator"));
    int rc = run_job(w, &env, &e);
    if (rc < 0) {
        /* The orchestrator tells the person: once is enough. */
        wire_send_error(w, &e);
        _exit(1);
    }
    beat_stop(env.beat);
    wire_free(w);
    return 0;
}

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

int main(int argc, char **argv)
{
    const char *dir = NULL;
    i18n_init();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            printf("twofold-agent %s\n", TWOFOLD_VERSION);
            return 0;
        } else if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            return 0;
        } else if (strcmp(argv[i], "--state") == 0 && i + 1 < argc) {
            dir = argv[++i];
        } else if (strncmp(argv[i], "--state=", 8) == 0 && argv[i][8]) {
            dir = argv[i] + 8;
        } else {
            usage(stderr);
            return err_info(ERR_USAGE)->exit_status;
        }
    }
    if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO))
        return refuse_terminal();
    /* Threads free what others took, and large buffers must go back to the system at once. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 512 << 10);
    sys_catch_signals();
    char *state = state_dir(dir);
    if (!state) {
        struct err e = ERR_INIT;
        err_set(&e, ERR_CONFIG, _("there is no home folder to keep the agent's state in"));
        err_next(&e, _("give one: twofold-agent --state DIR"));
        print_error(&e);
        return err_info(ERR_CONFIG)->exit_status;
    }
    int rc = serve(state);
    free(state);
    return rc;
}
