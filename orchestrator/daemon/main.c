/* main.c - the program `twofoldd`: the scheduler (see daemon.h). */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/daemon/daemon.h"
#include "orchestrator/text.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 80

static int failed(const struct err *e)
{
    const struct err_info *info = err_info(e->code);
    fprintf(stderr, "twofoldd: %s\n", e->what[0] ? e->what : _("failed"));
    fprintf(stderr, _("  why:  %s\n"), e->why);
    fprintf(stderr, _("  next: %s\n"), e->next[0] ? e->next : _(info->next));
    return info->exit_status;
}

static int usage(FILE *to)
{
    fputs("usage: twofoldd [--config DIR] [--lease SECONDS] [--grace SECONDS]\n"
          "       twofoldd --version | --help\n\n",
          to);
    text_put(
        to,
        _("The scheduler: does what timers and people have queued (twofold enqueue), within the windows and\n"
          "limits of the configuration. Started by systemd: systemctl enable --now twofoldd\n\n"
          "  --lease SECONDS   after a crash another orchestrator takes up its jobs so much later (60)\n"
          "  --grace SECONDS   so long what runs may take to end when twofoldd is stopped (60)\n\n"
          "SIGHUP: read the configuration again. SIGTERM: stop; what runs is queued again.\n"),
        COLUMNS);
    return to == stdout ? 0 : 2;
}

static bool seconds(const char *text, unsigned *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    *ret = (unsigned)n;
    return *end == '\0' && n >= 2 && n <= 86400;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "config", required_argument, NULL, 'c' },
                                             { "lease", required_argument, NULL, 'l' },
                                             { "grace", required_argument, NULL, 'g' },
                                             { "ping", no_argument, NULL, 'p' },
                                             { "version", no_argument, NULL, 'v' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    struct config_paths paths = { 0 };
    struct daemon_options o = { &paths, DAEMON_LEASE_S, DAEMON_GRACE_S };
    const char *config = NULL;
    struct err e = ERR_INIT;
    int c;
    i18n_init();
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'c')
            config = optarg;
        else if (c == 'p')
            return heartbeat_ping(&e) < 0 ? 1 : 0;
        else if (c == 'v')
            return puts("twofoldd " TWOFOLD_VERSION) < 0;
        else if (c == 'h')
            return usage(stdout);
        else if ((c != 'l' || !seconds(optarg, &o.lease_s)) &&
                 (c != 'g' || !seconds(optarg, &o.grace_s)))
            return usage(stderr);
    }
    if (optind < argc)
        return usage(stderr);
    daemon_block_signals();
    int rc = config_paths_find(config, &paths, &e);
    if (rc == 0)
        rc = daemon_run(&o, &e);
    config_paths_done(&paths);
    return rc < 0 ? failed(&e) : 0;
}
