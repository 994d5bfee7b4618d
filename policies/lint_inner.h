/*
 * lint_inner.h - what the files of lint share: lint.c (findings, and the files one by one), lint_vault.c, lint_policy.c,
 * lint_site.c (agents, contacts, settings) and calendar.c.
 */
#ifndef TWOFOLD_POLICIES_LINT_INNER_H
#define TWOFOLD_POLICIES_LINT_INNER_H

#include "policies/contacts.h"
#include "policies/inner.h"
#include "policies/settings.h"
#include "policies/workdays.h"

#define MAX_ELAPSES 24
/* A calendar expression as systemd understands it: the next times, in UTC. */
struct calendar {
    enum {
        CALENDAR_GOOD,
        CALENDAR_BAD,
        CALENDAR_UNKNOWN
    } state;  /* unknown: there is nobody to ask */
    size_t n; /* 0: it never comes (again) */
    int64_t elapses_s[MAX_ELAPSES];
};
/* Asks systemd-analyze. -ERR_NOMEM or 0. */
int calendar_ask(const char *spec, struct calendar *ret, struct err *e);
uint64_t calendar_longest_gap_s(const struct calendar *c); /* 0: it comes less than twice */

struct known_calendar {
    char *spec;
    struct calendar c;
};

struct lint {
    const struct config_paths *p;
    lint_fn *fn;
    void *ctx;
    struct err *e;
    int errors;
    const char *kind; /* of the files that are being checked */
    /* What could be loaded. */
    struct vault_conf **vaults;
    size_t n_vaults, n_vault_files;
    struct contacts *contacts;
    struct settings *settings;
    struct workdays *workdays; /* NULL: no such file */
    bool has_contacts;         /* the file is there */
    struct known_calendar *calendars;
    size_t n_calendars;
    size_t n_undrilled;           /* policies without `drill:` */
    char undrilled[MAX_NAME + 1]; /* the first of them */
};

struct place {
    const char *file;
    int line; /* 0: the whole file */
    const char *duty;
};

void lint_find(struct lint *l, enum lint_level level, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A mistake of a loader; the duty is that which its text names. */
void lint_mistake(struct lint *l, const char *file, int line, const struct err *e);
/* Reads a file; 0 with *ret NULL when it could not be and that was reported. */
int lint_read(struct lint *l, const char *file, struct yaml_doc **ret);
/* What a parser said: reported, unless memory ran out. Returns 1 when there is something to check. */
int lint_parsed(struct lint *l, const char *file, const struct yaml_doc *d, int r,
                const struct err *e);
/* A file that holds a secret: others may not read it. what: "the private key of …". */
void lint_secret_file(struct lint *l, struct place at, const char *file, const char *what);
void lint_mode(struct lint *l, const char *file); /* not writable by everybody */

int lint_vault(void *ctx, const char *name);
int lint_policy(void *ctx, const char *name);
int lint_agent(void *ctx, const char *name);
int lint_site(struct lint *l); /* before policies: fills contacts and settings */

/* What the copy is on, as far as that can be seen from here. */
enum whereabouts { WHERE_AWAY, WHERE_HERE, WHERE_NETWORK };
enum whereabouts lint_where(const struct copy_conf *c);

#endif
