/* restored.h - a restored backup, for the files that take the driver's steps at a restore: restore.c, in_place.c, verify.c. */
#ifndef TWOFOLD_AGENTS_MARIADB_RESTORED_H
#define TWOFOLD_AGENTS_MARIADB_RESTORED_H

#include "agents/passing.h"
#include "agents/mariadb/inner.h"
#include "agents/mariadb/moment.h"

#include <jansson.h>

#define ENV_PROGRAM "/usr/bin/env"

struct my_restored {
    const struct source_restore *r;
    int folder_fd;
    char *data; /* owned; FOLDER/data, once it is prepared */
    json_t *facts;
    struct stat owner;  /* of the data folder */
    struct as_owner as; /* as whom programs work on it */
    const char *zone;   /* of the instance; NULL: as the facts say */
    struct passing passing;
    char dir[PASSING_BYTES]; /* its name: only for that account */
    char conf[48];           /* in it: what of backup-my.cnf may be used */
};

struct my_instance { /* a server on x->data */
    struct my_restored *x;
    struct prog server;
    struct my_server at;
    char socket[48];
};
/* When it returns 0, the server answers. my_instance_stop comes after a failure, too. */
int my_instance_start(struct my_instance *i, struct my_restored *x, const char *programs,
                      struct err *e);
/* Why it does not run: its last words. -ERR_DAMAGED. */
int my_instance_died(struct my_instance *i, struct err *e);
/* rc: what went before, which it returns, or that the server did not end well. */
int my_instance_stop(struct my_instance *i, int rc, struct err *e);
/* The original's settings, of facts, as arguments of a server. */
void my_original_args(json_t *facts, struct prog *r);
/* Its time zone, as TZ names it; NULL: not known. */
const char *my_zone_of(json_t *facts, int64_t *ret_at_s, long *ret_offset_s);
/* x->zone: that of both backups, by its name where one of them has it. -ERR_REFUSED: it is not known, or was changed. */
int my_choose_zone(struct my_restored *x, json_t *logs, struct err *e);
/* Is the instance's time zone the original's, at this backup and at that of the logs? -ERR_REFUSED. */
int my_check_zone(struct my_instance *i, json_t *logs, struct err *e);
/* Settings that are other ones in `two`: problems. */
void my_tell_changed(json_t *one, json_t *two, struct report *report);
/* The policy's questions, beside what was answered at the backup; same: it is the state of then, else a later one. -ERR_DAMAGED: something is
 * not right. */
int my_check_answers(struct my_instance *i, bool same, struct err *e);
/* CHECK TABLE … EXTENDED over all; what is not right is a problem. */
int my_check_tables(struct my_instance *i, struct err *e);

/* Starts a server on it that no network and nobody else can reach, has every table checked (CHECK TABLE … EXTENDED), asks the policy's questions
 * (same: as my_check_answers), and stops it. Tables that are not right are problems; -ERR_DAMAGED: the server does not even start, or dies. */
int my_verify(struct my_restored *x, const char *programs, bool same, struct err *e);

/* --- replay.c: binary logs, onto the data folder, which has a name meanwhile that no server is started on */
#define MAX_EVENT_LINE 160
struct my_logs {
    const char *folder; /* where they lie, absolute; the server's user can read them */
    const char *const *files;
    size_t n;
    uint64_t position, stop; /* in the first one; in the last one, 0: its end */
    json_t *facts;           /* the server's time zone must be there what it was at the backup */
    const char
        *programs; /* the folder of mariadbd, mariadb-binlog and the client; or: the usual ones */
    char last[MAX_EVENT_LINE]; /* the last event's heading; "": there was none */
};
/* x->data is what has the other name; it stays as it is should this fail. */
int my_replay_logs(struct my_restored *x, struct my_logs *l, struct err *e);
/* FOLDER/data is called MY_REPLAYING. data: its whole path. */
int my_hide_data(struct my_restored *x, const char *data, struct err *e);
int my_show_data(struct my_restored *x, struct err *e);

/* --- kept.c: what is kept of the log as it was written (follow.c) is replayed onto FOLDER/data, where that is asked for. */
/* *ret_later: something was. */
int my_bring_log(struct my_restored *x, bool *ret_later, struct err *e);
/* Before anything is restored. */
int my_check_position(const struct source_restore *r, struct err *e);

/* --- closed.c */
/* That times in the log do not follow each other, where they do not; file: in which the moment lies. */
void my_say_order(struct report *report, const struct my_moment *m, const char *file);
/* The steps of a restore that only replays binary logs onto a data folder that another one made. */
int my_replay(const struct source_restore *r, struct err *e);
/* x->owner is known: x->as; x->dir and x->conf, from backup-my.cnf in the folder `from` of folder_fd. */
int my_make_conf(struct my_restored *x, const char *from, struct err *e);
/* The folder of that name in x->folder_fd belongs to the account that works on it, and then again to its owner; nothing where that is the same. */
int my_take_files(struct my_restored *x, const char *name, struct err *e);
int my_give_files(struct my_restored *x, const char *name, struct err *e);
/* -ERR_REFUSED: something in that folder is a link, a device, a pipe; a backup brings none, but one may lie there from before. */
int my_check_plain(int folder_fd, const char *name, struct err *e);
int my_read_facts(int folder_fd, json_t **ret, struct err *e);
void my_restored_done(struct my_restored *x);

/* -ERR_BUSY: a server works on the files of that folder. No folder, no files: 0. */
int my_check_stopped(const char *data, struct err *e);
/* A data folder's own folder, and its name in it; links are followed unless it was resolved. -ERR_ABSENT: it is not there. */
struct my_seat {
    char parent[PATH_MAX], name[NAME_MAX + 1];
};
int my_find_seat(bool resolved, const char *data, struct my_seat *ret, struct err *e);
/* Which folder is replaced comes from the backup, which a host sent that may have been in other hands: only a server's data folder is, or an
 * empty one. -ERR_REFUSED. */
int my_check_kind(const char *data, struct err *e);
/* All that is in a data folder goes to another one, of the same file system; spares: but what has a name that is there already. -ERR_BUSY: a
 * server works on it. */
int my_lend(const struct source_restore *r, const char *data, int to_fd, bool spares,
            struct err *e);
/* May it be replaced: my_check_stopped, my_check_kind, and what else would be in the way. */
int my_check_replaceable(const struct source_restore *r, const char *data, struct err *e);
/* The prepared folder takes the place of `data`, which is set aside beside it under another name. */
int my_put_in_place(struct my_restored *x, const char *data, struct err *e);
/* "NAME.twofold-before-TIME": a name that is free in the folder. */
int my_name_before(int dir_fd, const char *name, char ret[NAME_MAX + 1], struct err *e);

#endif
