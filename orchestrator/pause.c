/* pause.c - standing still; see pause.h. */
#include "orchestrator/pause.h"
#include "lib/base/i18n.h"
#include "lib/base/rate.h"
#include "orchestrator/job_signals.h"

#include <stdatomic.h>

#define LOOK_MS 200

/* Belongs to the process, as signals do. */
static atomic_bool wanted;

static void on_signal(int sig)
{
    atomic_store(&wanted, sig == JOB_SIGNAL_PAUSE);
}

void pause_catch(void)
{
    struct sigaction act = { .sa_handler = on_signal };
    sigemptyset(&act.sa_mask);
    sigaction(JOB_SIGNAL_PAUSE, &act, NULL);
    sigaction(JOB_SIGNAL_RESUME, &act, NULL);
}

bool pause_wanted(void)
{
    return atomic_load(&wanted);
}

int pause_here(struct app *app, struct err *e)
{
    if (!pause_wanted())
        return 0;
    ui_warn(&app->ui,
            _("paused; it goes on after: twofold resume (or kill -USR2 to this process)"));
    while (pause_wanted()) {
        int rc = rate_sleep_ms(LOOK_MS, e);
        if (rc < 0)
            return rc;
    }
    ui_warn(&app->ui, _("it goes on"));
    return 1;
}
