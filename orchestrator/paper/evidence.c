/* evidence.c - see evidence.h. */
#include "orchestrator/paper/evidence.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"
#include "restore/report/render.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct evidence {
    struct app *app;
    const struct paper_wish *wish;
    int folder; /* descriptor */
    size_t files;
};

static int write_one(struct evidence *ev, const char *path, const void *p, size_t n, struct err *e)
{
    int rc = sys_write_file(ev->folder, path, p, n, 0600, e);
    ev->files += rc == 0;
    return rc;
}

static int draw_one(struct evidence *ev, const struct form *f, const struct report *r,
                    const char *in, enum paper_format format, struct err *e)
{
    struct document *d = NULL;
    struct wbuf out = WBUF_INIT;
    char *path = text_print("%s%s%s.%s", in ? in : "", in ? "/" : "", f->name,
                            paper_format_name(format));
    int rc = form_fill(f, r, &d, e);
    if (rc == 0)
        rc = render(d, format, &out, e);
    if (rc == 0)
        rc = write_one(ev, path, out.p, out.len, e);
    document_free(d);
    wbuf_free(&out);
    if (rc < 0)
        err_wrap(e, "%s", path);
    free(path);
    return rc;
}

static bool in_year(const struct report *r, int64_t at_s)
{
    time_t t = at_s;
    struct tm tm;
    return localtime_r(&t, &tm) && tm.tm_year + 1900 == r->year;
}

/* Which papers an incident has: those that were written of it, and the record of how it was handled. */
static bool belongs(const struct form *f, const struct incident *inc)
{
    if (f->of != FORM_OF_INCIDENT)
        return false;
    if (inc->drill)
        return strcmp(f->name, "drill") == 0;
    return strcmp(f->name, "handling") == 0 || strcmp(f->name, "summary") == 0 ||
           incident_last(inc, EVENT_REPORT, "form", f->name) != NULL;
}

static int write_incident(struct evidence *ev, const struct report *site, struct incident *inc,
                          struct err *e)
{
    struct report r = *site;
    char *path = text_print("%s/timeline", inc->id);
    void *bytes = NULL;
    size_t n = 0;
    r.inc = inc;
    int rc = sys_mkdirat(ev->folder, inc->id, 0700, e);
    if (rc == 0)
        rc = incident_bytes(inc, &bytes, &n, e);
    if (rc == 0)
        rc = write_one(ev, path, bytes, n, e);
    for (const struct form *const *f = forms; rc == 0 && *f; f++)
        if (belongs(*f, inc))
            rc = draw_one(ev, *f, &r, inc->id, PAPER_HTML, e);
    free(bytes);
    free(path);
    return rc;
}

static int write_site(struct evidence *ev, const struct form *f, bool with_incidents, struct err *e)
{
    struct paper p;
    int rc = paper_gather(ev->app, f, ev->wish, &p, e);
    p.r.draft = false;
    if (rc == 0)
        rc = draw_one(ev, f, &p.r, NULL, PAPER_HTML, e);
    if (rc == 0)
        rc = draw_one(ev, f, &p.r, NULL, PAPER_DOCX, e);
    for (size_t i = 0; rc == 0 && with_incidents && i < p.n_all; i++)
        if (in_year(&p.r, p.all[i]->opened_s))
            rc = write_incident(ev, &p.r, p.all[i], e);
    paper_done(&p);
    return rc;
}

int evidence_write(struct app *app, const struct paper_wish *w, const char *folder,
                   size_t *ret_files, struct err *e)
{
    struct evidence ev = { .app = app, .wish = w, .folder = -1 };
    int rc = sys_mkdirat(AT_FDCWD, folder, 0700, e);
    if (rc == 0)
        rc = ev.folder = sys_open_folder(folder, false, e);
    for (const struct form *const *f = forms; rc >= 0 && *f; f++)
        if ((*f)->of == FORM_OF_SITE || (*f)->of == FORM_OF_YEAR)
            rc = write_site(&ev, *f, (*f)->of == FORM_OF_YEAR, e);
    if (rc >= 0)
        rc = sys_fsync(ev.folder, e);
    sys_close_quiet(ev.folder);
    *ret_files = ev.files;
    return rc < 0 ? err_wrap(e, "%s", folder) : 0;
}
