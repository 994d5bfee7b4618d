/*
 * job_signals.h - how whoever runs a job speaks to its process. SIGTERM: end gracefully (exit status 130; what was
 * stored is found again by the next run). The other two reach only a process that catches them: to one that does not
 * they would be the end.
 */
#ifndef TWOFOLD_ORCHESTRATOR_JOB_SIGNALS_H
#define TWOFOLD_ORCHESTRATOR_JOB_SIGNALS_H

#include <signal.h>

#define JOB_SIGNAL_PAUSE SIGUSR1
#define JOB_SIGNAL_RESUME SIGUSR2

#endif
