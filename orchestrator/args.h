/*
 * args.h - what the commands' options have in common. The global options (--config, --json, --quiet, --yes, --help) never
 * reach a command: main.c takes them out of the arguments wherever they stand before a "--".
 *
 *     static const struct option options[] = { { "long", no_argument, NULL, 'l' }, CHOICE_OPTIONS, OPTIONS_END };
 *     args_begin();
 *     while ((c = args_next(argc, argv, ":l", options)) != -1)
 *         if (c == 'l') ...
 *         else if (!choice_option(c, &choice)) return args_bad(app, c, argv);
 */
#ifndef TWOFOLD_ORCHESTRATOR_ARGS_H
#define TWOFOLD_ORCHESTRATOR_ARGS_H

#include "orchestrator/app.h"
#include <getopt.h>

enum {
    OPT_VAULT = 256,
    OPT_COPY,
    OPT_RECOVERY_FILE,
    OPT_PASSPHRASE_FILE,
    OPT_IDENTITY,
    OPT_HOST_KEY,
    OPT_OWN /* a command's own long options are numbered from here */
};

/* clang-format off */
#define CHOICE_OPTIONS                                              \
    { "vault", required_argument, NULL, OPT_VAULT },                \
    { "copy", required_argument, NULL, OPT_COPY },                  \
    { "recovery-file", required_argument, NULL, OPT_RECOVERY_FILE },\
    { "passphrase-file", required_argument, NULL, OPT_PASSPHRASE_FILE },\
    { "identity", required_argument, NULL, OPT_IDENTITY },          \
    { "host-key", required_argument, NULL, OPT_HOST_KEY }
#define OPTIONS_END { NULL, 0, NULL, 0 }
/* clang-format on */

/* Before the first args_next of a command: from the start, and silent (args_bad speaks). */
void args_begin(void);
/* getopt_long, but a long option counts only when it is written out: "--host" must not pass for --host-key, nor a new option
 * change what an old script means. */
int args_next(int argc, char **argv, const char *shorts, const struct option *options);
/* Takes one of CHOICE_OPTIONS from optarg; false: it is none. */
bool choice_option(int c, struct vault_choice *choice);
/* The usage error for what args_next answered with '?' or ':' (the short options begin with ':'). Returns 2. */
int args_bad(struct app *app, int c, char **argv);

#endif
