/*
 * settings.h - CONFIG/twofold.yaml: what holds for the whole site. All of it is optional; without the file the
 * defaults hold.
 *
 *     site: Finance bureau              # on pages and in messages
 *     language: zh                      # of pages and messages; nothing: of whoever runs it
 *     jobs: 4                           # runs at once, over all vaults
 *     page: /var/lib/twofold/status.html   # written every morning and after each run
 *     metrics: /var/lib/prometheus/node-exporter/twofold.prom
 *     heartbeat: { every: 60s, file: /run/twofold/heartbeat, url: "https://watch.example/ping/1" }
 *     notify:
 *       repeat: 30m                     # until acknowledged
 *       mail: { url: "smtp://mail.example:587", from: twofold@example, user: u, password-file: /etc/twofold/keys/mail, tls: required }
 *       webhooks:
 *         - { name: duty, url: "https://…", shape: wecom, secret-file: /etc/… }    # json, wecom, dingtalk
 *       command: [/usr/local/bin/send-sms]     # the text on its standard input, number as its last argument
 *       console: true                     # wall(1)
 *     incident: { first-report: 5m }    # deadlines: policies/incident_conf.h
 *     forms: { unit: Finance bureau }   # what is printed on every form: policies/forms_conf.h
 */
#ifndef TWOFOLD_POLICIES_SETTINGS_H
#define TWOFOLD_POLICIES_SETTINGS_H

#include "policies/config.h"
#include "policies/forms_conf.h"
#include "policies/incident_conf.h"

#define MAX_WEBHOOKS 16
enum webhook_shape { WEBHOOK_JSON, WEBHOOK_WECOM, WEBHOOK_DINGTALK };
struct webhook_conf {
    char *name, *url, *secret_file; /* secret_file may be NULL */
    enum webhook_shape shape;
};
enum mail_tls { MAIL_TLS_NONE, MAIL_TLS_TRY, MAIL_TLS_REQUIRED };
struct settings {
    char *site, *language, *page, *metrics; /* NULL: not set */
    unsigned jobs;                          /* 4 */
    char *heartbeat_file, *heartbeat_url;
    uint64_t heartbeat_every_s; /* 60 */
    uint64_t repeat_s;          /* 1800 */
    char *mail_url, *mail_from, *mail_user, *mail_password_file;
    enum mail_tls mail_tls; /* required */
    struct webhook_conf webhooks[MAX_WEBHOOKS];
    size_t n_webhooks;
    char **command; /* NULL-terminated; NULL: none */
    bool console;
    struct incident_conf incident; /* deadlines */
    struct forms_conf forms;
};
/* Without the file: the defaults. -ERR_CONFIG with file and line. */
int settings_load(const struct config_paths *p, struct settings **ret, struct err *e);
void settings_free(struct settings *s); /* NULL-safe */

#endif
