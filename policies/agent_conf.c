/* agent_conf.c - agents/NAME.yaml: how an agent on another host is reached. Written by `agent enrol`. The manual is
 * policies/config.h. */
#include "policies/inner.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_USER "twofold"
#define MAX_ROTATION 1000000

struct raw_agent {
    char *host, *port, *user, *transport, *host_key, *rotation, *jobs, *limit, *revoked;
};

static const cyaml_schema_field_t agent_fields[] = {
    YAML_TEXT("host", struct raw_agent, host),
    YAML_TEXT_OPT("port", struct raw_agent, port),
    YAML_TEXT_OPT("user", struct raw_agent, user),
    YAML_TEXT_OPT("transport", struct raw_agent, transport),
    YAML_TEXT("host-key", struct raw_agent, host_key),
    YAML_TEXT_OPT("rotation", struct raw_agent, rotation),
    YAML_TEXT_OPT("jobs", struct raw_agent, jobs),
    YAML_TEXT_OPT("limit", struct raw_agent, limit),
    YAML_TEXT_OPT("revoked", struct raw_agent, revoked),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t agent_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_agent, agent_fields),
};
static const char *const transports[] = { "openssh", "libssh2", NULL };

void agent_conf_free(struct agent_conf *a)
{
    if (!a)
        return;
    free(a->name);
    free(a->host);
    free(a->user);
    free(a->host_key);
    free(a->identity);
    free(a);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */
static int check_words(const struct agent_conf *a, const char **ret_key, struct err *e)
{
    *ret_key = "host";
    if (!conf_host_ok(a->host)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name or address of a host"), a->host);
        return err_next(e, _("write a name or an address: host: db1.example, or host: 10.0.0.5"));
    }
    *ret_key = "user";
    if (!conf_user_ok(a->user)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a user"), a->user);
        return err_next(e, _("write the user to log in as, for instance: user: twofold"));
    }
    return 0;
}

static int take_agent(struct yaml_doc *d, const struct raw_agent *raw, struct agent_conf *a,
                      struct err *e)
{
    const char *key = NULL;
    unsigned transport = TRANSPORT_OPENSSH;
    int r = yaml_copy(d, "host", raw->host, &a->host, e);
    if (r == 0)
        r = yaml_copy(d, "user", raw->user, &a->user, e);
    if (r == 0 && (r = check_words(a, &key, e)) < 0)
        return yaml_mistake(d, key, e);
    if (r == 0)
        r = yaml_uint(d, "port", raw->port, 65535, &a->port, e);
    if (r == 0)
        r = yaml_choice(d, "transport", raw->transport, transports, &transport, e);
    a->transport = (enum agent_transport)transport;
    if (r == 0)
        r = conf_host_key(d, "host-key", raw->host_key, &a->host_key, e);
    if (r == 0)
        r = yaml_uint(d, "rotation", raw->rotation, MAX_ROTATION, &a->rotation, e);
    if (r == 0)
        r = yaml_uint(d, "jobs", raw->jobs, MAX_CONF_JOBS, &a->jobs, e);
    if (r == 0)
        r = yaml_bool(d, "revoked", raw->revoked, &a->revoked, e);
    return r == 0 ? yaml_size(d, "limit", raw->limit, &a->limit_bytes_s, e) : r;
}

/* The key of this agent alone: CONFIG/keys/agent-NAME.ssh. */
static char *identity_of(const struct config_paths *p, const char *name)
{
    char file[MAX_NAME + 32];
    snprintf(file, sizeof file, "keys/agent-%s.ssh", name);
    return conf_in_dir(p, file);
}

int agent_conf_parse(struct yaml_doc *d, const struct config_paths *p, const char *name,
                     struct agent_conf **ret, struct err *e)
{
    void *raw = NULL;
    int r = yaml_load(d, &agent_schema, &raw, e);
    if (r < 0)
        return r;
    struct agent_conf *a = calloc(1, sizeof *a);
    if (a)
        *a = (struct agent_conf){ .name = strdup(name),
                                  .user = strdup(DEFAULT_USER),
                                  .identity = identity_of(p, name),
                                  .port = 22,
                                  .rotation = 1,
                                  .jobs = 1 };
    r = a && a->name && a->user && a->identity ? take_agent(d, raw, a, e) : conf_out_of_memory(e);
    yaml_free_value(&agent_schema, raw);
    if (r < 0) {
        agent_conf_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

int agent_conf_load(const struct config_paths *p, const char *name, struct agent_conf **ret,
                    struct err *e)
{
    struct err ignored = ERR_INIT;
    struct yaml_doc *d = NULL;
    e = e ? e : &ignored;
    int r = conf_open(p, AGENTS, name, &d, e);
    if (r == 0)
        r = agent_conf_parse(d, p, name, ret, e);
    yaml_close(d);
    return r;
}

int agent_conf_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                    struct err *e)
{
    return conf_each(p, AGENTS, fn, NULL, ctx, e);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */
static int check_for_writing(const struct agent_conf *a, struct err *e)
{
    const char *key;
    if (!config_name_ok(a->name) || strcmp(a->name, "local") == 0) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of an agent"), a->name);
        return conf_name_advice(e);
    }
    if (a->port < 1 || a->port > 65535 || a->rotation < 1 || a->rotation > MAX_ROTATION ||
        a->jobs < 1 || a->jobs > MAX_CONF_JOBS || (unsigned)a->transport > TRANSPORT_LIBSSH2)
        return err_set(e, ERR_CONFIG,
                       _("the agent's port, transport, rotation or jobs is out of range"));
    int r = check_words(a, &key, e);
    return r == 0 ? conf_host_key_check(a->host_key ? a->host_key : "", e) : r;
}

static int put_agent(struct wbuf *w, const struct agent_conf *a, struct err *e)
{
    conf_line(
        w,
        "# The agent \"%s\": a host whose files are backed up from here. Made by: twofold agent enrol\n"
        "# Policies name it: agent: %s\n\n"
        "# Its name or address, the port of its sshd, and the user to log in as.\nhost: ",
        a->name, a->name);
    int r = yaml_put(w, a->host, e);
    conf_line(w, "\nport: %u\nuser: ", a->port);
    if (r == 0)
        r = yaml_put(w, a->user, e);
    conf_line(
        w,
        "\n\n# openssh: the ssh program; libssh2: our own, in a process without privileges.\n"
        "transport: %s\n"
        "\n# The host's public key as it was seen when it was enrolled; no other is believed.\n"
        "host-key: ",
        transports[a->transport]);
    if (r == 0)
        r = yaml_put(w, a->host_key, e);
    conf_line(w,
              "\n\n# Which deduplication key the agent uses: each enrolment takes the next.\n"
              "rotation: %u\n\n# How many sessions with it may run at once.\njobs: %u\n"
              "\n# Bytes per second, over all its sessions; nothing: as fast as it goes.\n",
              a->rotation, a->jobs);
    if (a->limit_bytes_s) {
        conf_line(w, "limit: ");
        yaml_put_size(w, a->limit_bytes_s);
        conf_line(w, "\n");
    } else {
        conf_line(w, "# limit: 20MiB\n");
    }
    if (a->revoked)
        conf_line(
            w,
            "\n# It is not let in any more. This file stays, so that the key above is never used again.\n"
            "revoked: true\n");
    return r;
}

int agent_conf_write(const struct config_paths *p, const struct agent_conf *a, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct wbuf w = WBUF_INIT;
    e = e ? e : &ignored;
    int r = check_for_writing(a, e);
    if (r == 0)
        r = put_agent(&w, a, e);
    if (r == 0)
        return conf_replace(p, AGENTS, a->name, &w, e);
    wbuf_free(&w);
    return r;
}
