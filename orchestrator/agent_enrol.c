/* agent_enrol.c - enrolling and revoking agents on other hosts; see agent_enrol.h. */
#include "orchestrator/agent_enrol.h"
#include "agents/enrol.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "orchestrator/agent_link.h"
#include "orchestrator/agent_ssh.h"
#include "orchestrator/agent_words.h"
#include "orchestrator/session.h"
#include "orchestrator/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PORT 22
#define DEFAULT_USER "root"
#define SHELL_NOT_FOUND 127

struct enrolment {
    struct app *app;
    const struct enrol_opts *o;
    struct agent_conf *before, *conf; /* what was; what is to be */
    char *key_path, *new_path;        /* private keys */
    char *old_public, *new_public;
    char *tag;
    struct enrolled *ret;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- names ---------------------------------------------------------------------------------------------- */
/* What this orchestrator's line is known by there: this host, this configuration, this agent. */
static char *make_tag(struct app *app, const char *name)
{
    char host[64] = "", hex[ID_HEX_BYTES];
    struct id id;
    char *real = realpath(app->paths.config_dir, NULL);
    const char *dir = real ? real : app->paths.config_dir;
    if (gethostname(host, sizeof host - 1) < 0 || !host[0])
        snprintf(host, sizeof host, "host");
    for (char *c = host; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", *c))
            *c = '-';
    host[32] = '\0';
    sha256_of(dir, strlen(dir), &id);
    free(real);
    return text_print("%s-%.8s-%s", host, id_hex(&id, hex), name);
}

static int replace(char **at, const char *with, struct err *e)
{
    char *s = strdup(with);
    if (!s)
        return no_memory(e);
    free(*at);
    *at = s;
    return 0;
}

static bool plain_word(const char *text)
{
    if (!*text || *text == '-')
        return false;
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c == 0x7f || strchr("\"'\\$`;&|<>(){}[]*?!#~@%,", *c))
            return false;
    return true;
}

static int take_transport(const char *text, enum agent_transport *ret, struct err *e)
{
    if (strcmp(text, "openssh") == 0)
        *ret = TRANSPORT_OPENSSH;
    else if (strcmp(text, "libssh2") == 0)
        *ret = TRANSPORT_LIBSSH2;
    else
        return err_set(e, ERR_USAGE, _("the transport is openssh or libssh2, not \"%s\""), text);
    return 0;
}

/* What is not said stays as it was. */
static int make_conf(struct enrolment *x, struct err *e)
{
    const struct enrol_opts *o = x->o;
    struct agent_conf *c = x->conf = calloc(1, sizeof *c), *b = x->before;
    if (!c)
        return no_memory(e);
    c->port = o->port ? o->port : b ? b->port : DEFAULT_PORT;
    c->jobs = b ? b->jobs : 1;
    c->limit_bytes_s = b ? b->limit_bytes_s : 0;
    c->transport = b ? b->transport : TRANSPORT_OPENSSH;
    c->rotation = b ? b->rotation + 1 : 1;
    int rc = replace(&c->name, o->name, e);
    if (rc == 0)
        rc = replace(&c->host, o->host ? o->host : b ? b->host : o->name, e);
    if (rc == 0)
        rc = replace(&c->user, o->user ? o->user : b ? b->user : DEFAULT_USER, e);
    if (rc == 0)
        rc = replace(&c->identity, x->new_path, e);
    if (rc == 0 && o->transport)
        rc = take_transport(o->transport, &c->transport, e);
    if (rc == 0 && (!plain_word(c->host) || !plain_word(c->user) || strchr(c->user, ':')))
        rc = err_set(e, ERR_USAGE, _("\"%s\" is no name of a host, or \"%s\" none of a user"),
                     c->host, c->user);
    return rc;
}

/* Type and key: a comment behind them is not for the line there. */
static void keep_two_words(char *key)
{
    size_t type = strcspn(key, " ");
    if (key[type])
        key[type + 1 + strcspn(key + type + 1, " \n")] = '\0';
}

static int begin(struct enrolment *x, struct err *e)
{
    const char *name = x->o->name;
    if (!config_name_ok(name) || strcmp(name, "local") == 0) {
        err_set(e, ERR_USAGE, _("\"%s\" cannot be the name of an agent"), name);
        return err_next(e, _("a name has letters, digits, '.', '_' and '-', and is not local; the "
                             "host may be called otherwise: --host HOST"));
    }
    x->key_path = text_print("%s/keys/agent-%s.ssh", x->app->paths.config_dir, name);
    x->new_path = text_print("%s.new", x->key_path);
    x->tag = make_tag(x->app, name);
    int rc = agent_conf_load(&x->app->paths, name, &x->before, e);
    if (rc == -ERR_NAME) {
        err_clear(e);
        rc = 0;
    }
    if (rc == 0 && ssh_key_public(x->key_path, &x->old_public, NULL) < 0)
        x->old_public = NULL; /* there is none, or none that could be used */
    if (x->old_public)
        keep_two_words(x->old_public);
    x->ret->again = x->before != NULL;
    return rc < 0 ? rc : make_conf(x, e);
}

/* --- the host key ---------------------------------------------------------------------------------------- */
static int not_approved(const struct enrolment *x, struct err *e)
{
    err_set(e, ERR_REFUSED, _("nobody has said that the host key %s is the right one"),
            x->ret->fingerprint);
    return err_next(e,
                    _("compare it at the console of %s (ssh-keygen -lf "
                      "/etc/ssh/ssh_host_ed25519_key.pub), then say it: --fingerprint %s"),
                    x->conf->host, x->ret->fingerprint);
}

static int known_to_operator(const struct enrolment *x, struct err *e)
{
    const char *home = getenv("HOME");
    char *file = text_print("%s/.ssh/known_hosts", home ? home : "");
    int known = ssh_known_host(file, x->conf->host, x->conf->port, x->conf->host_key, e);
    if (known < 0)
        err_next(e, _("find out which is right at its console (ssh-keygen -lf "
                      "/etc/ssh/ssh_host_ed25519_key.pub), then say it: --fingerprint SHA256:…"));
    free(file);
    return known;
}

static int approve(struct enrolment *x, struct err *e)
{
    const char *shown = x->ret->fingerprint;
    struct ui *ui = &x->app->ui;
    if (x->o->fingerprint) {
        if (strcmp(x->o->fingerprint, shown) == 0)
            return 0;
        err_set(e, ERR_REFUSED, _("%s shows the host key %s, not %s"), x->conf->host, shown,
                x->o->fingerprint);
        return err_next(e, _("find out what answers at that address before you go on"));
    }
    if (x->before && strcmp(x->before->host_key, x->conf->host_key) == 0)
        return 0;
    int known = known_to_operator(x, e);
    if (known < 0)
        return known;
    if (known && ui->yes)
        ui_warn(ui, _("the host key %s of %s is taken from your known_hosts"), shown,
                x->conf->host);
    char *question = text_print(
        known ? _("The host key of %s is %s, as in your known_hosts. Pin it?")
              : _("The host key of %s is %s. Is that what its console shows (ssh-keygen -lf "
                  "/etc/ssh/ssh_host_ed25519_key.pub)?"),
        x->conf->host, shown);
    bool yes = ui_ask(ui, question, known && ui->yes);
    free(question);
    return yes ? 0 : not_approved(x, e);
}

static int pin_host(struct enrolment *x, struct err *e)
{
    int rc = host_key_scan(x->conf->host, x->conf->port, &x->conf->host_key, e);
    if (rc == 0 && !ssh_fingerprint(x->conf->host_key, x->ret->fingerprint))
        rc = err_set(e, ERR_PROTOCOL, _("%s shows a host key that is none"), x->conf->host);
    return rc < 0 ? rc : approve(x, e);
}

/* --- the installation there ----------------------------------------------------------------------------------- */
struct pins {
    struct enrolment *x;
    struct wbuf *w;
    struct err *e;
};

static int add_pin(void *ctx, const char *name)
{
    struct pins *p = ctx;
    struct vault_conf *v = NULL;
    char id[ID_HEX_BYTES], key[2 * PUBLIC_KEY_BYTES + 1];
    int rc = vault_conf_load(&p->x->app->paths, name, &v, p->e);
    if (rc < 0)
        return rc;
    hex_encode(v->recovery_pk, sizeof v->recovery_pk, key);
    char *line = text_print("pin %s %s\n", id_hex(&v->id, id), key);
    wb_bytes(p->w, line, strlen(line));
    free(line);
    vault_conf_free(v);
    return 0;
}

__attribute__((format(printf, 2, 3))) static void put(struct wbuf *w, const char *fmt, ...)
{
    char *line = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&line, fmt, ap);
    va_end(ap);
    w->failed |= n < 0;
    wb_bytes(w, n < 0 ? "" : line, n < 0 ? 0 : (size_t)n);
    free(n < 0 ? NULL : line);
}

static int put_paths(struct wbuf *w, const char *word, const char *const *v, size_t n,
                     struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i][0] != '/' || strchr(v[i], '\n')) {
            err_set(e, ERR_USAGE, _("\"%s\" is not a whole path"), v[i]);
            return err_next(e, _("give it from / on, for instance: --allow /srv"));
        }
        put(w, "%s %s\n", word, v[i]);
    }
    return 0;
}

static int put_texts(struct wbuf *w, const char *word, const char *const *v, size_t n,
                     struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (!v[i][0] || strchr(v[i], '\n'))
            return err_set(e, ERR_USAGE, _("what is to be allowed is empty, or has several lines"));
        put(w, "%s %s\n", word, v[i]);
    }
    return 0;
}

static int make_settings(struct enrolment *x, struct wbuf *w, struct err *e)
{
    const struct enrol_opts *o = x->o;
    struct pins pins = { x, w, e };
    put(w, "twofold-enrol 1\nname %s\nuser %s\nkey %s\n", x->tag, x->conf->user, x->new_public);
    if (x->old_public)
        put(w, "old-key %s\n", x->old_public);
    if (o->from)
        put(w, "from %s\n", o->from);
    if (o->sudo)
        put(w, "sudo\n");
    int rc = put_paths(w, "backup", o->backup, o->n_backup, e);
    if (rc == 0)
        rc = put_paths(w, "restore", o->restore, o->n_restore, e);
    if (rc == 0)
        rc = put_texts(w, "source", o->sources, o->n_sources, e);
    if (rc == 0)
        rc = put_texts(w, "command", o->commands, o->n_commands, e);
    if (rc == 0)
        rc = vault_conf_each(&x->app->paths, add_pin, &pins, e);
    put(w, "end\n");
    wb_u8(w, '\0');
    if (rc == 0 && w->failed)
        rc = no_memory(e);
    return rc;
}

static int install_failed(const struct enrolment *x, const struct login *l, const struct ran *r,
                          struct err *e)
{
    struct link_end end = { .conf = x->conf, .words = r->words, .status = r->status << 8 };
    if (agent_words_own(r->words, r->status, e)) {
        /* it says itself */
    } else if (r->status == SHELL_NOT_FOUND) {
        err_set(e, ERR_ABSENT, _("there is no twofold-agent on %s"), x->conf->host);
        err_next(e, _("install the package twofold-agent there (or copy the program to "
                      "/usr/local/bin), then run the same command again"));
    } else if (r->status == SSH_STATUS_LOST && strstr(r->words, "Permission denied")) {
        err_set(e, ERR_REFUSED, _("you cannot log in as \"%s\" without a key or password"), l->to);
        err_next(e, _("make \"ssh %s\" work, or name another account: --login ADMIN@%s"), l->to,
                 x->conf->host);
    } else if (strstr(r->words, "sudo: ")) {
        err_set(e, ERR_REFUSED, _("\"%s\" may not become root there without a password"), l->to);
        err_next(e, _("log in as root or as the agent's user: --login %s@%s"), x->conf->user,
                 x->conf->host);
    } else {
        agent_words_explain(&end, e);
        err_next(e, _("make \"ssh %s\" work, then run the same command again"), l->to);
    }
    return -(int)e->code;
}

/* As root or as the agent's user where the login is one of these, else by sudo. */
static int install(struct enrolment *x, struct err *e)
{
    char hosts[PATH_MAX];
    struct wbuf w = WBUF_INIT;
    struct ran r = { .status = -1 };
    char *alias = text_print("twofold-agent-%s", x->conf->name);
    char *command = text_print(
        "PATH=$PATH:/usr/local/bin:/usr/bin; p=$(command -v twofold-agent) || exit %d; if [ \"$(id "
        "-u)\" = 0 ] || [ \"$(id -un)\" = \"%s\" ]; then exec \"$p\" enrol; else exec sudo -n "
        "--preserve-env=SSH_CONNECTION \"$p\" enrol; fi",
        SHELL_NOT_FOUND, x->conf->user);
    struct login l = { .to = x->o->login ? x->o->login : x->conf->host,
                       .port = x->conf->port,
                       .hosts = hosts,
                       .alias = alias };
    int rc = link_known_hosts(x->app, x->conf, hosts, e);
    if (rc == 0 && l.to[0] == '-')
        rc = err_set(e, ERR_USAGE, _("\"%s\" is no name of a host"), l.to);
    if (rc == 0)
        rc = make_settings(x, &w, e);
    if (rc == 0)
        rc = login_run(&l, command, (const char *)w.p, &r, e);
    if (rc == 0 && (r.status != 0 || !strstr(r.out, "\ndone\n")))
        rc = install_failed(x, &l, &r, e);
    if (rc == 0) {
        x->ret->answer = r.out;
        r.out = NULL;
    }
    ran_done(&r);
    wbuf_free(&w);
    free(alias);
    free(command);
    return rc < 0 ? err_wrap(e, _("installation on %s"), x->conf->host) : 0;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */
/* The configuration first: until the key is there, too, the old key still works. */
static int adopt(struct enrolment *x, struct err *e)
{
    int rc = replace(&x->conf->identity, x->key_path, e);
    if (rc == 0)
        rc = agent_conf_write(&x->app->paths, x->conf, e);
    return rc < 0 ? rc : sys_renameat(AT_FDCWD, x->new_path, AT_FDCWD, x->key_path, true, e);
}

static void settle(struct enrolment *x)
{
    char *answer = NULL;
    struct err ignored = ERR_INIT;
    x->ret->old_lines_left = agent_ask(x->app, x->conf, "settle", x->new_public, &answer,
                                       &ignored) < 0;
    free(answer);
}

static int try_it(struct enrolment *x, struct err *e)
{
    int rc = session_try(x->app, x->conf, x->ret->host, e);
    if (rc == -ERR_REFUSED)
        err_next(
            e,
            _("the new key is in ~/.ssh/authorized_keys of \"%s\" on %s, but its SSH server does "
              "not take it: see AuthorizedKeysFile and PermitRootLogin in its sshd_config, "
              "and --from where it sees another address"),
            x->conf->user, x->conf->host);
    return rc < 0 ? err_wrap(e, _("trial with the new key")) : 0;
}

int agent_enrol(struct app *app, const struct enrol_opts *o, struct enrolled *ret, struct err *e)
{
    struct enrolment x = { .app = app, .o = o, .ret = ret };
    *ret = (struct enrolled){ 0 };
    char *keys = text_print("%s/keys", app->paths.config_dir);
    int rc = begin(&x, e);
    if (rc == 0)
        rc = pin_host(&x, e);
    if (rc == 0)
        rc = sys_mkdir_p(keys, 0700, e);
    if (rc == 0)
        sys_unlinkat(AT_FDCWD, x.new_path, 0, NULL); /* of an enrolment that failed */
    if (rc == 0)
        rc = ssh_key_make(x.new_path, "twofold", &x.new_public, e);
    if (rc == 0)
        keep_two_words(x.new_public);
    if (rc == 0)
        rc = install(&x, e);
    if (rc == 0)
        rc = try_it(&x, e);
    if (rc == 0)
        rc = adopt(&x, e);
    if (rc == 0) {
        settle(&x);
        ret->conf = x.conf;
        x.conf = NULL;
    }
    free(keys);
    agent_conf_free(x.before);
    agent_conf_free(x.conf);
    free(x.key_path);
    free(x.new_path);
    free(x.old_public);
    free(x.new_public);
    free(x.tag);
    return rc;
}

void enrolled_done(struct enrolled *x)
{
    agent_conf_free(x->conf);
    free(x->answer);
}

const char *answer_line(const char *answer, const char *word, size_t n, size_t *ret_len)
{
    size_t len = strlen(word);
    for (const char *at = answer; at && *at; at += *at == '\n') {
        if (strncmp(at, word, len) == 0 && at[len] == ' ' && n-- == 0) {
            *ret_len = strcspn(at + len + 1, "\n");
            return at + len + 1;
        }
        at += strcspn(at, "\n");
    }
    return NULL;
}

/* --- revoking ---------------------------------------------------------------------------------------------------------- */
/* It counts as revoked before anything else happens; the key goes last, so that a second try can still use it. */
int agent_revoke(struct app *app, struct agent_conf *conf, struct err *ret_left, struct err *e)
{
    char *answer = NULL;
    bool first = !conf->revoked;
    conf->rotation += first;
    conf->revoked = true;
    int rc = first ? agent_conf_write(&app->paths, conf, e) : 0;
    if (rc == 0) {
        if (!first && access(conf->identity, F_OK) < 0 && errno == ENOENT)
            err_set(ret_left, ERR_PARTIAL, _("the key to log in there was removed before"));
        else
            agent_ask(app, conf, "revoke", NULL, &answer, ret_left);
        rc = sys_unlinkat(AT_FDCWD, conf->identity, 0, e);
        if (rc == -ERR_ABSENT)
            rc = 0;
    }
    size_t len = 0;
    const char *left = answer ? answer_line(answer, "left", 0, &len) : NULL;
    if (left)
        err_set(ret_left, ERR_PARTIAL, "%.*s", (int)len, left);
    free(answer);
    return rc;
}

/* --- last seen ----------------------------------------------------------------------------------------------------------- */
void agent_seen_write(struct app *app, const char *name, const char *version)
{
    char *folder = text_print("%s/agent-hosts", app->paths.state_dir);
    char *path = text_print("%s/%s.seen", folder, name);
    if (sys_mkdir_p(folder, 0700, NULL) == 0)
        sys_write_file(AT_FDCWD, path, version, strlen(version), 0600, NULL);
    free(path);
    free(folder);
}

void agent_seen_read(struct app *app, const char *name, struct agent_seen *ret)
{
    char *path = text_print("%s/agent-hosts/%s.seen", app->paths.state_dir, name);
    uint8_t *text = NULL;
    size_t len = 0;
    struct stat st;
    *ret = (struct agent_seen){ 0 };
    if (stat(path, &st) == 0 && sys_read_file(AT_FDCWD, path, 4096, &text, &len, NULL) == 0) {
        ret->at_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        snprintf(ret->version, sizeof ret->version, "%s", (char *)text);
    }
    free(text);
    free(path);
}
