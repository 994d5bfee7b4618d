/* log.c - what twofoldd says; see inner.h. */
#include "orchestrator/daemon/inner.h"
#include "lib/base/i18n.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>

#define LINE_BYTES 2048

void daemon_log(int priority, const struct child *about, const char *fmt, ...)
{
    char text[LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!getenv("JOURNAL_STREAM")) {
        fprintf(stderr, "twofoldd: %s\n", text);
        return;
    }
    if (about)
        sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", priority, "TWOFOLD_JOB=%" PRIu64,
                        about->job, "TWOFOLD_KIND=%s", job_kind_name(about->kind),
                        "TWOFOLD_TARGET=%s", about->target, "TWOFOLD_VAULT=%s", about->vault,
                        "TWOFOLD_CODE=%s", about->outcome.error_code, NULL);
    else
        sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", priority, NULL);
}

void daemon_log_err(int priority, const struct child *about, const char *doing, const struct err *e)
{
    daemon_log(priority, about, "%s: %s%s%s; %s", doing, e->what, e->what[0] ? ": " : "", e->why,
               e->next[0] ? e->next : _(err_info(e->code)->next));
}
