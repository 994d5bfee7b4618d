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
#define AGENTS "agents"
#define SETTINGS_FILE "twofold" /* these two lie in the folder itself */
#define CONTACTS_FILE "contacts"
#define HOLIDAYS_FILE "holidays"
#define MAX_CONF_JOBS 64
#define MAX_SCHEDULE 200

/* CONFIG_DIR/KIND/NAME.yaml (kind "": CONFIG_DIR/NAME.yaml), owned; NULL without memory. */
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
/* The same, but what is there is replaced. */
int conf_replace(const struct config_paths *p, const char *kind, const char *name, struct wbuf *w,
                 struct err *e);
void conf_line(struct wbuf *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int conf_out_of_memory(struct err *e);
int conf_name_advice(struct err *e); /* err_next: what a name may be */
/* A path that may be relative to the configuration's folder: made whole (owned; NULL without memory), and back. */
char *conf_in_dir(const struct config_paths *p, const char *path);
const char *conf_out_of_dir(const struct config_paths *p, const char *path);

/* An absolute path without //, . and the last /; -ERR_CONFIG where it is relative or has a "..". Owned. */
int conf_path_normalise(const char *path, char **ret, struct err *e);
/* The same of a value in a file; NULL text: *ret is left. */
int conf_path(struct yaml_doc *d, const char *path, const char *text, char **ret, struct err *e);
/* Whether the normalised path is the folder or lies in it. */
bool conf_path_in(const char *path, const char *folder);
/* The path in an address of a copy that is a folder, else NULL. */
const char *conf_url_folder(const char *url);
int conf_url_check(const char *url, struct err *e);
bool conf_host_ok(const char *host);
bool conf_user_ok(const char *user);
/* A public key as in authorized_keys: type and base64; a comment behind it is left away. NULL text: *ret is left. */
int conf_host_key(struct yaml_doc *d, const char *path, const char *text, char **ret,
                  struct err *e);
int conf_host_key_check(const char *key, struct err *e); /* without a comment */

/* copies_check; *ret_bad: which one it is about (n: all of them). */
int copies_check_at(const struct copy_conf *c, size_t n, size_t *ret_bad, struct err *e);
/* One entry of "copies" as it stands in the file. */
struct raw_copy {
    char *place, *url, *host_key, *identity, *presence, *every, *deletable, *limit, *jobs;
};
extern const cyaml_schema_value_t copy_schema;
/* Fills *ret (copy_conf_done, also on failure) from the entry number i. */
int copy_take(struct yaml_doc *d, const struct config_paths *p, size_t i,
              const struct raw_copy *raw, struct copy_conf *ret, struct err *e);
/* The entry as lines, indented by `column` up to its "- ". */
int copy_put(struct wbuf *w, const struct config_paths *p, const struct copy_conf *c, int column,
             struct err *e);

int vault_conf_parse(struct yaml_doc *d, const struct config_paths *p, const char *name,
                     struct vault_conf **ret, struct err *e);
extern const char *const policy_classes[]; /* names, in the order of enum policy_class; NULL */
/* What a policy says in words (vault, agent, schedule, window); *ret_key: which of them is wrong. */
int policy_check_words(const struct policy *pol, const char **ret_key, struct err *e);
int policy_check_exclude(const char *pattern, char **ret, struct err *e); /* an owned copy */
int policy_check_role(const char *name, char **ret, struct err *e);
int policy_parse(struct yaml_doc *d, const char *name, struct policy **ret, struct err *e);
int agent_conf_parse(struct yaml_doc *d, const struct config_paths *p, const char *name,
                     struct agent_conf **ret, struct err *e);
struct settings;
struct contacts;
int settings_parse(struct yaml_doc *d, struct settings **ret, struct err *e);
int contacts_parse(struct yaml_doc *d, struct contacts **ret, struct err *e);
struct workdays;
int workdays_parse(struct yaml_doc *d, struct workdays **ret, struct err *e);

#endif
