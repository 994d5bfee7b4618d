/*
 * agent_words.h - what became of a transport's child, told by what it wrote to its stderr and how it ended, as one of the
 * classes of err.h: whether trying again may help, and what to do.
 */
#ifndef TWOFOLD_ORCHESTRATOR_AGENT_WORDS_H
#define TWOFOLD_ORCHESTRATOR_AGENT_WORDS_H

#include "policies/config.h"

struct link_end {
    const struct agent_conf *conf;
    const char *words; /* the last KiB of stderr */
    int status;        /* as of waitpid */
    bool greeted;      /* the agent had said hello */
};
/* The three lines of an error of twofold-agent itself, where there are such; false: there are none. */
bool agent_words_own(const char *words, int exit_status, struct err *e);
/* Fills e (never 0). */
int agent_words_explain(const struct link_end *end, struct err *e);

#endif
