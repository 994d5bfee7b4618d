/* agent_words.c - the words of SSH clients, which speak English in every locale, told apart; see agent_words.h. */
#include "orchestrator/agent_words.h"
#include "lib/base/i18n.h"
#include "lib/ssh/ssh.h"
#include "orchestrator/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SHELL_NOT_FOUND 127
#define SHELL_NOT_EXECUTABLE 126
#define SHELL_SIGNAL 128

/* --- single causes ------------------------------------------------------------------------------------ */
static bool said_any(const char *words, const char *const *patterns)
{
    for (; *patterns; patterns++)
        if (strcasestr(words, *patterns))
            return true;
    return false;
}

/* Never worth another try: who answers is not who was enrolled. */
static int wrong_key(const struct link_end *end, struct err *e)
{
    char pinned[SSH_FINGERPRINT_BYTES] = "?", sent[SSH_FINGERPRINT_BYTES] = "?";
    const char *at = strstr(end->words, "SHA256:");
    ssh_fingerprint(end->conf->host_key, pinned);
    if (at)
        snprintf(sent, sizeof sent, "%.*s",
                 (int)(7 + strspn(at + 7, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                          "0123456789+/")),
                 at);
    err_set(e, ERR_REFUSED, _("the host key of %s is another one: pinned is %s, it shows %s"),
            end->conf->host, pinned, sent);
    return err_next(
        e,
        _("was it installed anew? Compare with its console (ssh-keygen -lf "
          "/etc/ssh/ssh_host_ed25519_key.pub), then: twofold agent enrol %s; if not, something "
          "else answers in its place"),
        end->conf->name);
}

static int no_entry(const struct link_end *end, struct err *e)
{
    err_set(e, ERR_REFUSED, _("%s does not let this agent's key in as \"%s\""), end->conf->host,
            end->conf->user);
    return err_next(e,
                    _("was it revoked, or does this host come from another address now? Then: "
                      "twofold agent enrol %s"),
                    end->conf->name);
}

static int no_common_cipher(const struct link_end *end, struct err *e)
{
    err_set(e, ERR_CONFIG, _("the SSH server of %s and this transport have no method in common"),
            end->conf->host);
    if (end->conf->transport == TRANSPORT_LIBSSH2)
        return err_next(e, _("use the other transport: twofold agent enrol %s --transport openssh"),
                        end->conf->name);
    return err_next(e, _("allow a current cipher in its /etc/ssh/sshd_config, or install a current "
                         "OpenSSH client here"));
}

/* Fills in what to do; `rc` is what err_set returned. */
static int away(const struct link_end *end, int rc, struct err *e)
{
    (void)rc;
    return err_next(e,
                    _("check that it is switched on and that this works: ssh -p %u %s@%s; then "
                      "run the same command again"),
                    end->conf->port, end->conf->user, end->conf->host);
}

static int missing(const struct link_end *end, struct err *e)
{
    err_set(e, ERR_ABSENT, _("there is no twofold-agent on %s where it was when it was enrolled"),
            end->conf->host);
    return err_next(e, _("install it there, then: twofold agent check %s"), end->conf->name);
}

static int no_sudo(const struct link_end *end, struct err *e)
{
    err_set(e, ERR_REFUSED, _("sudo on %s does not run the agent as root for \"%s\""),
            end->conf->host, end->conf->user);
    return err_next(e, _("write its rule anew: twofold agent enrol %s --sudo"), end->conf->name);
}

/* The last line that says something. Owned. */
static char *last_line(const char *words)
{
    size_t end = strlen(words);
    while (end > 0 && strchr("\r\n ", words[end - 1]))
        end--;
    size_t start = end;
    while (start > 0 && words[start - 1] != '\n')
        start--;
    return text_clean(words + start, end - start < 300 ? end - start : 300, false);
}

static int other(const struct link_end *end, struct err *e)
{
    char *line = last_line(end->words);
    int status = WIFEXITED(end->status) ? WEXITSTATUS(end->status) : -1;
    bool libssh2 = end->conf->transport == TRANSPORT_LIBSSH2;
    bool broken = libssh2 && status == SSH_STATUS_LOST;
    bool killed = (status == SSH_STATUS_LOST && !line[0]) || status > SHELL_SIGNAL || status < 0;
    if (broken) {
        away(end,
             err_set(e, ERR_UNREACHABLE, _("the connection to %s (port %u) broke"), end->conf->host,
                     end->conf->port),
             e);
    } else if (killed && (status >= SSH_STATUS_SIGNAL || status < 0)) {
        err_set(e, ERR_UNREACHABLE, _("the agent on %s ended before it was done"), end->conf->host);
        err_next(e, _("was it killed (journalctl -k there: out of memory)? Then run the same "
                      "command again: what was sent is kept"));
    } else if (killed) {
        err_set(e, ERR_UNREACHABLE, _("the agent on %s was ended by signal %d"), end->conf->host,
                status - SHELL_SIGNAL);
        err_next(e, _("look there for who ended it, then run the same command again"));
    } else if (end->greeted) {
        err_set(e, ERR_UNREACHABLE, _("the connection to %s ended: %s"), end->conf->host,
                line[0] ? line : _("no reason was given"));
    } else {
        err_set(e, ERR_FAILED, _("no agent answers on %s: %s"), end->conf->host,
                line[0] ? line : _("no reason was given"));
        err_next(e, _("try it by hand: twofold agent check %s"), end->conf->name);
    }
    free(line);
    return -(int)e->code;
}

/* "LABEL  TEXT" in the second or third line of an error: the label is of the other host's language. */
static const char *after_label(const char *line)
{
    if (!line || strncmp(line, "\n  ", 3) != 0)
        return NULL;
    line += 3;
    line += strcspn(line, " \n");
    return line + strspn(line, " ");
}

bool agent_words_own(const char *words, int exit_status, struct err *e)
{
    static const enum err_code codes[] = { [2] = ERR_CONFIG, [5] = ERR_REFUSED };
    static const char mark[] = "twofold-agent: ";
    const char *what = strstr(words, mark), *eol = what ? strchr(what, '\n') : NULL;
    const char *why = after_label(eol), *next = why ? after_label(strchr(why, '\n')) : NULL;
    if (!next)
        return false;
    what += strlen(mark);
    char *text[3] = { text_clean(what, (size_t)(eol - what), false),
                      text_clean(why, strcspn(why, "\n"), false),
                      text_clean(next, strcspn(next, "\n"), false) };
    bool known = exit_status > 0 && (size_t)exit_status < sizeof codes / sizeof *codes;
    err_set(e, known && codes[exit_status] ? codes[exit_status] : ERR_FAILED, "%s", text[1]);
    err_wrap(e, "%s", text[0]);
    err_next(e, "%s", text[2]);
    for (int i = 0; i < 3; i++)
        free(text[i]);
    return true;
}

static bool ended_with(const struct link_end *end, int status)
{
    return WIFEXITED(end->status) && WEXITSTATUS(end->status) == status;
}

int agent_words_explain(const struct link_end *end, struct err *e)
{
    static const char *const key[] = { "IDENTIFICATION HAS CHANGED", "Host key verification failed",
                                       "no matching host key type", "host key is known", NULL };
    static const char *const entry[] = { "Permission denied (", "Too many authentication failures",
                                         "authentication failed", NULL };
    static const char *const cipher[] = { "no matching ", NULL };
    static const char *const name[] = { "Could not resolve", "Name or service not known", NULL };
    static const char *const refused[] = { "Connection refused", NULL };
    static const char *const unreachable[] = { "No route to host", "Connection timed out",
                                               "Operation timed out", "is unreachable", NULL };
    static const char *const died[] = { "Timeout, server", "Connection reset",
                                        "closed by",       "Broken pipe",
                                        "Connection to ",  "disconnect",
                                        "kex_exchange",    NULL };
    static const char *const absent[] = { "twofold-agent: No such file", "twofold-agent: not found",
                                          "twofold-agent: command not found", NULL };
    static const char *const sudo[] = { "sudo: ", NULL };
    struct err own = ERR_INIT;
    e = e ? e : &own;
    const char *w = end->words;
    if (agent_words_own(w, WIFEXITED(end->status) ? WEXITSTATUS(end->status) : -1, e))
        return -(int)e->code;
    if (said_any(w, key))
        return wrong_key(end, e);
    if (said_any(w, entry))
        return no_entry(end, e);
    if (said_any(w, cipher))
        return no_common_cipher(end, e);
    if (said_any(w, name))
        return away(end,
                    err_set(e, ERR_UNREACHABLE, _("the name of %s is not known (port %u)"),
                            end->conf->host, end->conf->port),
                    e);
    if (said_any(w, refused))
        return away(end,
                    err_set(e, ERR_UNREACHABLE,
                            _("%s refuses connections to port %u: no SSH server listens there"),
                            end->conf->host, end->conf->port),
                    e);
    if (said_any(w, unreachable))
        return away(end,
                    err_set(e, ERR_UNREACHABLE, _("%s cannot be reached (port %u)"),
                            end->conf->host, end->conf->port),
                    e);
    if (said_any(w, sudo))
        return no_sudo(end, e);
    if (said_any(w, absent) || ended_with(end, SHELL_NOT_FOUND) ||
        ended_with(end, SHELL_NOT_EXECUTABLE))
        return missing(end, e);
    if (said_any(w, died))
        return away(end,
                    err_set(e, ERR_UNREACHABLE, _("the connection to %s (port %u) broke"),
                            end->conf->host, end->conf->port),
                    e);
    return other(end, e);
}
