/* channel_webhook.c - a message as JSON by HTTP: the generic shape, WeCom's and DingTalk's robots; see channels.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"
#include "orchestrator/ui.h"
#include "orchestrator/watch/channels.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUM_BYTES 32
#define MAX_ROBOT_WHY 200

struct answer {
    char text[MAX_ANSWER_BYTES + 1];
    size_t n;
};

static size_t take_answer(char *p, size_t size, size_t n, void *ctx)
{
    struct answer *a = ctx;
    size_t have = size * n, room = MAX_ANSWER_BYTES - a->n, take = have < room ? have : room;
    memcpy(a->text + a->n, p, take);
    a->n += take;
    return take; /* less than all ends the transfer */
}

static void hmac_sha256(const char *key, const char *text, uint8_t out[SUM_BYTES])
{
    unsigned n = 0;
    if (!HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)text, strlen(text), out,
              &n) ||
        n != SUM_BYTES)
        abort();
}

static char *percent(const char *text)
{
    char *out = calloc(3 * strlen(text) + 1, 1), *o = out;
    if (!out)
        abort();
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool safe = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= '0' && *p <= '9') || strchr("-._~", *p);
        o += sprintf(o, safe ? "%c" : "%%%02X", *p);
    }
    return out;
}

char *dingtalk_signature(const char *secret, uint64_t ms)
{
    uint8_t sum[SUM_BYTES];
    unsigned char base64[2 * SUM_BYTES];
    char *text = text_print("%" PRIu64 "\n%s", ms, secret);
    hmac_sha256(secret, text, sum);
    EVP_EncodeBlock(base64, sum, SUM_BYTES);
    secret_line_free(text);
    return percent((const char *)base64);
}

/* The URL as the shape wants it, with what the secret adds. */
static char *target_url(const struct webhook_conf *w, const char *secret)
{
    const char *join = strchr(w->url, '?') ? "&" : "?";
    char *url, *word;
    if (!secret || w->shape == WEBHOOK_JSON)
        return text_print("%s", w->url);
    if (w->shape == WEBHOOK_WECOM) {
        word = percent(secret);
        url = text_print("%s%skey=%s", w->url, join, word);
    } else {
        uint64_t ms = (uint64_t)(sys_realtime_ns() / 1000000);
        word = dingtalk_signature(secret, ms);
        url = text_print("%s%stimestamp=%" PRIu64 "&sign=%s", w->url, join, ms, word);
    }
    secret_line_free(word);
    return url;
}

static char *payload(const struct webhook_conf *w, const struct message *m)
{
    if (w->shape == WEBHOOK_JSON)
        return json_dumps(m->json, JSON_COMPACT);
    char *text = text_print("%s\n%s", m->subject, m->body);
    char *content = cut_utf8(text, MAX_ROBOT_BYTES);
    /* Whatever the words are made of, they are told. */
    json_t *o = content ? json_pack("{s:s, s:{s:o}}", "msgtype", "text", "text", "content",
                                    ui_json_text(content, strlen(content)))
                        : NULL;
    char *out = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    free(text);
    free(content);
    return out;
}

/* Robots answer 200 with {"errcode":N,"errmsg":…} also when they have thrown the message away. */
static int judge_robot(const struct answer *a, struct err *e)
{
    json_t *o = json_loads(a->text, 0, NULL);
    json_t *code = o ? json_object_get(o, "errcode") : NULL;
    const char *why = o ? json_string_value(json_object_get(o, "errmsg")) : NULL;
    int rc = 0;
    if (!json_is_integer(code))
        rc = err_set(e, ERR_PROTOCOL, _("its answer has no errcode: is this the robot's address?"));
    else if (json_integer_value(code) != 0) {
        /* Somebody else's words: they end up on terminals. */
        char *clean = text_clean(why ? why : "", why ? strlen(why) : 0, false);
        char *shown = cut_utf8(clean, MAX_ROBOT_WHY);
        rc = err_set(e, ERR_REFUSED, _("it refused: errcode %lld%s%.200s"),
                     (long long)json_integer_value(code), why ? ": " : "", shown);
        free(shown);
        free(clean);
    }
    json_decref(o);
    return rc;
}

static int judge(const struct webhook_conf *w, CURLcode rc, long status, const char *problem,
                 const struct answer *a, struct err *e)
{
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return err_set(e, ERR_TIMEOUT, _("no answer in time"));
    if (rc != CURLE_OK)
        return err_set(e, ERR_UNREACHABLE, "%s", problem[0] ? problem : curl_easy_strerror(rc));
    if (status < 200 || status > 299)
        return err_set(e, status >= 500 ? ERR_UNREACHABLE : ERR_REFUSED, _("HTTP status %ld"),
                       status);
    return w->shape == WEBHOOK_JSON ? 0 : judge_robot(a, e);
}

static struct curl_slist *webhook_headers(const struct webhook_conf *w, const char *secret,
                                          const char *body)
{
    struct curl_slist *list = curl_slist_append(NULL,
                                                "Content-Type: application/json; charset=utf-8");
    uint8_t sum[SUM_BYTES];
    char hex[2 * SUM_BYTES + 1];
    if (!list || !secret || w->shape != WEBHOOK_JSON)
        return list;
    hmac_sha256(secret, body, sum);
    hex_encode(sum, SUM_BYTES, hex);
    char *header = text_print("X-Twofold-Signature: sha256=%s", hex);
    struct curl_slist *more = curl_slist_append(list, header);
    free(header);
    return more ? more : list;
}

static int post(const struct webhook_conf *w, const char *secret, const char *body, struct err *e)
{
    char problem[CURL_ERROR_SIZE] = "", *url = target_url(w, secret);
    struct curl_slist *headers = webhook_headers(w, secret, body);
    struct answer *a = calloc(1, sizeof *a);
    CURL *c = curl_easy_init();
    CURLcode rc = CURLE_OUT_OF_MEMORY;
    long status = 0;
    if (c && a && headers) {
        unsigned timeout_ms = channel_timeout_ms();
        const char *ca = secure_getenv("SSL_CERT_FILE");
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(c, CURLOPT_URL, url);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_answer);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)(timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS));
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, problem);
        if (ca && *ca)
            curl_easy_setopt(c, CURLOPT_CAINFO, ca);
        rc = curl_easy_perform(c);
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    }
    int done = a ? judge(w, rc, status, problem, a, e) : err_set(e, ERR_NOMEM, _("out of memory"));
    curl_easy_cleanup(c);
    curl_slist_free_all(headers);
    secret_line_free(url);
    free(a);
    return done;
}

int channel_webhook(const struct settings *s, const struct recipient *r, const struct message *m,
                    struct err *e)
{
    const struct webhook_conf *w = NULL;
    char *secret = NULL;
    for (size_t i = 0; i < s->n_webhooks && !w; i++)
        if (strcmp(s->webhooks[i].name, r->to) == 0)
            w = &s->webhooks[i];
    if (!w)
        return err_set(e, ERR_CONFIG, _("there is no webhook \"%s\" in twofold.yaml"), r->to);
    int rc = w->secret_file ? secret_line(w->secret_file, &secret, e) : 0;
    char *body = rc == 0 ? payload(w, m) : NULL;
    if (rc == 0)
        rc = body ? post(w, secret, body, e) : err_set(e, ERR_NOMEM, _("out of memory"));
    if (rc < 0) {
        char *shown = url_shown(w->url);
        rc = err_wrap(e, _("webhook \"%s\" at %s"), w->name, shown);
        free(shown);
    }
    secret_line_free(secret);
    free(body);
    return rc;
}
