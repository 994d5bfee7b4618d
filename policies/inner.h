/*
 * inner.h - what the files of policies/ share: names and folders of configuration files, paths, and the
 * parsers behind the loaders, which lint uses to learn the lines.
 */
#ifndef TWOFOLD_POLICIES_INNER_H
#define TWOFOLD_POLICIES_INNER_H

#include "policies/config.h"
#include "policies/yaml.h"

#define DEFAULT_RPO_S ((uint64_t)26 * 3600)
#define DEFAULT_COMPRESSION 3
#define MAX_COMPRESSION 19
#define MAX_CONF_PATH 4096
#define MAX_CONF_FILES 4096 /* vaults, or policies */

#define VAULTS "vaults" /* the kinds of files are their folders' names */
#define POLICIES "policies"

/* CONFIG_DIR/KIND/NAME.yaml, owned; NULL without memory. */
char *conf_file(const struct config_paths *p, const char *kind, const char *name);
/* Calls fn with each name, sorted; files that are not NAME.yaml go to `other` (may be NULL), by file name. */
typedef int conf_name_fn(void *ctx, const char *name);
int conf_each(const struct config_paths *p, const char *kind, conf_name_fn *fn, conf_name_fn *other,
              void *ctx, struct err *e);
/* Fills e for a name that has no file: -ERR_ABSENT, with the names that there are. */
int conf_absent(const struct config_paths *p, const char *kind, const char *name, struct err *e);
int conf_open(const struct config_paths *p, const char *kind, const char *name,
              struct yaml_doc **ret, struct err *e);
/* Writes the file, which must not be there, and its folder. Frees what is in w. */
int conf_write(const struct config_paths *p, const char *kind, const char *name, struct wbuf *w,
               struct err *e);
void conf_line(struct wbuf *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int conf_out_of_memory(struct err *e);

/* An absolute path without //, . and the last /; -ERR_CONFIG where it is relative or has a "..". Owned. */
int conf_path_normalise(const char *path, char **ret, struct err *e);
/* Whether the normalised path is the folder or lies in it. */
bool conf_path_in(const char *path, const char *folder);
/* The path in an address of a copy that is a folder, else NULL. */
const char *conf_url_folder(const char *url);
int conf_url_check(const char *url, struct err *e);

/* copies_check; *ret_bad: which one it is about (n: all of them). */
int copies_check_at(const struct copy_conf *c, size_t n, size_t *ret_bad, struct err *e);
int vault_conf_parse(struct yaml_doc *d, const char *name, struct vault_conf **ret, struct err *e);
int policy_parse(struct yaml_doc *d, const char *name, struct policy **ret, struct err *e);

#endif
