/*
 * agent_link.h - a byte stream to an agent. Whatever carries it is a child process with a socket pair of ours as its standard
 * input and output:
 *
 *   local      twofold-agent itself
 *   openssh    the OpenSSH client: nothing of ssh_config, only the pinned host key, only the agent's own key
 *   libssh2    twofold-ssh, our client on libssh2, without privileges (lib/ssh)
 *
 * What an SSH client says on stderr is kept (the last of it) and becomes the reason when the stream ends too early.
 *
 * Silence: TWOFOLD_LINK_DEADLINE_S in the environment (default 120): so long may an agent be silent before it counts as gone; an SSH
 * connection over which nothing comes back is given up after a quarter of that. Where it is shorter, the pauses between tries
 * are shorter in the same measure.
 */
#ifndef TWOFOLD_ORCHESTRATOR_AGENT_LINK_H
#define TWOFOLD_ORCHESTRATOR_AGENT_LINK_H

#include "orchestrator/app.h"

struct agent_link;
/* conf NULL: this host's agent. word: what is asked of `twofold-agent serve`, usually "serve" (agents/enrol.h). That it returns
 * 0 says that the child was started, not that anybody answers. */
int agent_link_open(struct app *app, const struct agent_conf *conf, const char *word,
                    struct agent_link **ret, struct err *e);
int agent_link_fd(const struct agent_link *l); /* ours; closed by agent_link_close */
/* Takes what was said on stderr: to be called now and then, or a talkative host blocks. True: something was. One thread at a
 * time. */
bool agent_link_hear(struct agent_link *l);
/* The stream ended, or what came was no protocol: puts the reason into e where the transport knows it. Returns the code. */
int agent_link_lost(struct agent_link *l, bool greeted, int rc, struct err *e);
/* Closes our end and waits for the child. *ret_status as of waitpid, -1 where that is not known. Frees l. */
int agent_link_close(struct agent_link *l, int *ret_status, struct err *e);

/* One word and its answer: sends `input` (may be NULL) and takes all that comes. *ret is owned text of at most
 * MAX_WORD_ANSWER bytes, its last line "done"; else an error with the other side's reason. */
#define MAX_WORD_ANSWER (256u << 10)
int agent_ask(struct app *app, const struct agent_conf *conf, const char *word, const char *input,
              char **ret, struct err *e);

unsigned link_deadline_s(void);
#define DEFAULT_LINK_DEADLINE_S 120
#define LINK_CONNECT_S \
    10 /* in which an SSH client must be connected (or the deadline, where that is shorter) */
/* The file that holds the pinned host key and nothing else, under the name twofold-agent-NAME, which no address has. `path` has
 * PATH_MAX bytes. */
int link_known_hosts(struct app *app, const struct agent_conf *conf, char *path, struct err *e);
/* All that comes from fd, to its end; *ret owned text of at most MAX_WORD_ANSWER bytes. */
int take_all(int fd, unsigned timeout_ms, char **ret, struct err *e);

#endif
