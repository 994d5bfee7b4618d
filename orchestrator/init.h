/*
 * init.h - making a vault: what cmd_init.c (what is asked and checked), init_make.c (what is written, and taken back when
 * it fails) and init_kit.c (the recovery kit) share.
 */
#ifndef TWOFOLD_ORCHESTRATOR_INIT_H
#define TWOFOLD_ORCHESTRATOR_INIT_H

#include "lib/base/bytes.h"
#include "orchestrator/app.h"

struct init {
    struct app *app;
    struct vault_conf conf; /* name and copies; the rest by init_make. Owned texts */
    const char *passphrase_file, *recovery_file, *kit_file;
    bool off_copy;   /* the recovery file stays off the copies */
    bool keep;       /* the recovery key stays on this machine */
    bool keep_asked; /* an option or a person said so */
    struct secret *passphrase;

    struct vault_keys keys;
    int64_t created_s;
    struct wbuf vault_object, recovery;
    char *op_path, *recovery_key_path, *conf_path;
    struct store *stores[MAX_COPIES];
    struct store_space space[MAX_COPIES];
};

/* PLACE=URL, as the option --copy gives it; what is in *ret is owned, also on failure. */
int copy_argument(const char *text, struct copy_conf *ret, struct err *e);
/* Writes everything, the configuration last; takes all of it back on failure. */
int init_make(struct init *in, struct err *e);
/* The folder of a copy; NULL: it is no folder of this machine. Borrowed. */
const char *init_url_folder(const char *url);
/* The recovery kit as text; owned. */
char *init_kit_text(const struct init *in);
json_t *init_kit_json(const struct init *in);

#endif
