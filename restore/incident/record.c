/* record.c - see record.h. */
#include "restore/incident/record.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("out of memory"));
}

bool record_line_hash(const void *timeline, size_t n, uint64_t number, struct id *ret)
{
    const char *at = timeline, *end = at + n, *nl;
    for (uint64_t i = 1; at < end && (nl = memchr(at, '\n', (size_t)(end - at))); i++) {
        if (i == number) {
            sha256_of(at, (size_t)(nl - at), ret);
            return true;
        }
        at = nl + 1;
    }
    return false;
}

/* --- making -------------------------------------------------------------------------------------- */
/* Earlier ones of this timeline. Its lines are gone through once for each: there are few. */
static void take_before(struct record_object *o, const struct record_before *before, size_t n)
{
    struct id hash;
    uint64_t above = o->number;
    for (size_t i = 0; i < n && o->n_before < MAX_RECORD_BEFORE; i++) {
        if (before[i].number >= above || before[i].number == 0 ||
            !record_line_hash(o->timeline, o->timeline_len, before[i].number, &hash) ||
            !id_eq(&hash, &before[i].last))
            continue;
        o->before[o->n_before++] = before[i];
        above = before[i].number;
    }
}

/* "7-incident-1.docx": of line 7. NULL: a path that has no name. Owned. */
static char *paper_name(const struct event *ev)
{
    const char *path = event_text(ev, "path"), *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    char *name = NULL;
    if (!*base || strlen(base) > MAX_RECORD_FILE_NAME - 24 ||
        asprintf(&name, "%llu-%s", (unsigned long long)ev->seq, base) < 0)
        return NULL;
    return name;
}

/* The bytes that were noted, from where they were written or, after an adoption, from the incident's folder. What was changed since is another
 * paper. */
static bool read_paper(const struct event *ev, const char *file, size_t most, uint8_t **ret,
                       size_t *ret_len)
{
    struct id hash, said;
    if (sys_read_plain(AT_FDCWD, file, most, ret, ret_len, NULL) < 0)
        return false;
    sha256_of(*ret, *ret_len, &hash);
    if (id_parse(event_text(ev, "sha256"), &said) && id_eq(&hash, &said))
        return true;
    free(*ret);
    *ret = NULL;
    return false;
}

static int take_paper(struct record_object *o, const struct event *ev, const char *folder,
                      size_t *room, struct err *e)
{
    size_t n = 0, most = *room < MAX_RECORD_PAPER ? *room : MAX_RECORD_PAPER;
    char *name = paper_name(ev), *file = NULL;
    uint8_t *p = NULL;
    if (!name)
        return 0;
    if (asprintf(&file, "%s/%s", folder, name) < 0) {
        free(name);
        return no_memory(e);
    }
    if (read_paper(ev, event_text(ev, "path"), most, &p, &n) ||
        read_paper(ev, file, most, &p, &n)) {
        struct record_file *f = &o->files[o->n_files++];
        snprintf(f->name, sizeof f->name, "%s", name);
        f->p = p;
        f->len = n;
        *room -= n;
    }
    free(file);
    free(name);
    return 0;
}

/* Papers of the timeline, the newest first; one that is gone, or too large, is not missed here. */
static int take_papers(struct record_object *o, struct incident *inc, struct err *e)
{
    char *folder = NULL;
    size_t room = MAX_RECORD_PAPERS;
    int rc = incident_folder(inc, &folder, e);
    for (size_t i = inc->n; rc == 0 && i-- > 0 && o->n_files < MAX_RECORD_FILES;)
        if (inc->events[i].kind == EVENT_REPORT)
            rc = take_paper(o, &inc->events[i], folder, &room, e);
    free(folder);
    return rc;
}

void record_made_free(struct record_object *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->n_files; i++)
        free((void *)o->files[i].p);
    free((void *)o->timeline);
    record_object_free(o);
}

int record_make(struct incident *inc, const struct record_before *before, size_t n_before,
                struct record_object **ret, struct err *e)
{
    struct record_object *o = calloc(1, sizeof *o);
    void *bytes = NULL;
    if (!o)
        return no_memory(e);
    int rc = incident_bytes(inc, &bytes, &o->timeline_len, e);
    if (rc == 0) {
        o->timeline = bytes;
        o->number = inc->n;
        o->drill = inc->drill;
        o->ended = inc->closed_s != 0;
        o->written_s = sys_realtime_s();
        snprintf(o->incident, sizeof o->incident, "%s", inc->id);
        if (!record_line_hash(o->timeline, o->timeline_len, o->number, &o->last))
            rc = err_set(e, ERR_FAILED, _("the timeline has no line %llu"),
                         (unsigned long long)o->number);
    }
    if (rc == 0) {
        take_before(o, before, n_before);
        rc = take_papers(o, inc, e);
    }
    if (rc < 0)
        record_made_free(o);
    else
        *ret = o;
    return rc;
}

/* --- back ------------------------------------------------------------------------------------------- */
static int check(const struct record_object *o, struct err *e)
{
    struct id last, beyond;
    if (record_line_hash(o->timeline, o->timeline_len, o->number, &last) &&
        id_eq(&last, &o->last) &&
        !record_line_hash(o->timeline, o->timeline_len, o->number + 1, &beyond))
        return 0;
    return err_set(e, ERR_DAMAGED, _("the timeline in it is not the one that it says"));
}

static int put_papers(const struct config_paths *p, const struct record_object *o, struct err *e)
{
    struct incident *inc = NULL;
    char *folder = NULL;
    int rc = incident_open(p, o->incident, &inc, e);
    if (rc == 0)
        rc = incident_folder(inc, &folder, e);
    for (size_t i = 0; rc == 0 && i < o->n_files; i++) {
        char *file = NULL;
        if (asprintf(&file, "%s/%s", folder, o->files[i].name) < 0)
            rc = no_memory(e);
        if (rc == 0 && access(file, F_OK) < 0)
            rc = sys_write_file(AT_FDCWD, file, o->files[i].p, o->files[i].len, 0600, e);
        free(file);
    }
    free(folder);
    incident_free(inc);
    return rc;
}

int record_adopt(const struct config_paths *p, const struct record_object *o, struct err *e)
{
    int rc = check(o, e);
    if (rc == 0)
        rc = incident_adopt(p, o->incident, o->timeline, o->timeline_len, e);
    return rc == 0 ? put_papers(p, o, e) : rc;
}
