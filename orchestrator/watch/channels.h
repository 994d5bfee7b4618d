/*
 * channels.h - one message to one recipient, by mail (libcurl, SMTP with STARTTLS or TLS), a webhook (generic JSON, WeCom,
 * DingTalk), a command (an SMS gateway) or the console (wall). Every attempt has a deadline; whoever must not wait at all lets a
 * process of its own send (watch.h does). No secret appears in an argument, an error or the detail.
 *
 * The generic JSON: {"type":"twofold", "state":"open"|"cleared"|"test", "site", "host", "sent_s", "subject", "text",
 * "alarms":[{"id","key","level","duty","text","next","raised_s","cleared_s"}]}. With a secret-file the header
 * X-Twofold-Signature: sha256=HEX is the HMAC-SHA-256 of the body under the file's first line.
 * WeCom: {"msgtype":"text","text":{"content"}}; a secret-file holds the robot's key, put after its url. DingTalk: the same
 * shape; a secret-file holds the secret that signs the timestamp. Both answer 200 also when they refuse: errcode must be 0.
 */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_CHANNELS_H
#define TWOFOLD_ORCHESTRATOR_WATCH_CHANNELS_H

#include "orchestrator/watch/tell.h"
#include <jansson.h>

#define CHANNEL_TIMEOUT_MS 20000
#define CONNECT_TIMEOUT_MS 8000
#define MAX_ANSWER_BYTES 65536 /* of a webhook or a command */
#define MAX_SECRET_FILE 4096
#define MAX_BRIEF_BYTES 480 /* for a phone */
#define MAX_ROBOT_BYTES 2000

struct message {
    char *subject, *body, *brief; /* owned, UTF-8 */
    json_t *json;                 /* for the generic webhook; owned */
};
void message_done(struct message *m);

/* Says for each way whether the message is with the next hop. `e` says what went wrong, fit to be shown. */
int channel_send(const struct settings *s, const struct recipient *r, const struct message *m,
                 struct err *e);

/* A URL as it may be shown: scheme and host, and "/…" for the rest, where keys stand. Owned. */
char *url_shown(const char *url);
/* A header's text by RFC 2047 (B, UTF-8, folded), or as it is when it is printable ASCII. `used`: columns that stand before it
 * in its line. Owned. */
char *mail_header_text(const char *text, size_t used);
/* DingTalk's signature of a millisecond time, ready for a URL. Owned. */
char *dingtalk_signature(const char *secret, uint64_t ms);
/* At most `max` bytes, cut between characters; owned. */
char *cut_utf8(const char *text, size_t max);

/* --- for the files of the channels ----------------------------------------------------------------------------------- */
int channel_mail(const struct settings *s, const struct recipient *r, const struct message *m,
                 struct err *e);
int channel_webhook(const struct settings *s, const struct recipient *r, const struct message *m,
                    struct err *e);
/* Runs argv (NULL-terminated) with an environment of its own, `text` on its standard input; its output, at most
 * MAX_ANSWER_BYTES, into *ret_out (owned, may be NULL). Not 0, a signal, or no end within timeout_ms: an error with its last
 * line. */
int run_program(char *const argv[], const char *text, unsigned timeout_ms, char **ret_out,
                struct err *e);
/* The first line of a file that nobody else may read (mode 0600 or 0640). Owned; wipe and free with secret_line_free. */
int secret_line(const char *path, char **ret, struct err *e);
void secret_line_free(char *line);
unsigned channel_timeout_ms(void);

#endif
