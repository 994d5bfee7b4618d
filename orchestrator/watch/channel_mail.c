/* channel_mail.c - a mail by libcurl: SMTP with STARTTLS or TLS, text and subject in UTF-8 (RFC 2047, RFC 5322). */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/channels.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORD_BYTES 42 /* of text in an encoded word: 56 base64 digits and 12 around them */
#define MAX_ADDRESS 254

static bool is_plain(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p < ' ' || *p > '~')
            return false;
    return strstr(text, "=?") == NULL;
}

char *mail_header_text(const char *text, size_t used)
{
    char *out = NULL, *clean = text_print("%s", text);
    /* A line end in a header begins another header. */
    for (char *p = clean; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = ' ';
    if (is_plain(clean) && strlen(clean) + used < 76)
        return clean;
    for (const char *at = clean; *at;) {
        size_t left = strlen(at), room = out ? WORD_BYTES : WORD_BYTES - (used < 21 ? used : 21);
        size_t n = left < room ? left : room;
        while (n > 0 && n < left && ((unsigned char)at[n] & 0xc0) == 0x80)
            n--;
        if (n == 0)
            n = left < room ? left : room; /* not UTF-8: anywhere */
        unsigned char word[2 * WORD_BYTES];
        EVP_EncodeBlock(word, (const unsigned char *)at, (int)n);
        char *more = text_print("%s%s=?UTF-8?B?%s?=", out ? out : "", out ? "\r\n " : "", word);
        free(out);
        out = more;
        at += n;
    }
    free(clean);
    return out ? out : text_print("%s", "");
}

/* What goes into a command of the protocol: nothing that could end it. */
static int check_address(const char *a, struct err *e)
{
    const char *at = strchr(a, '@');
    bool good = at && at != a && at[1] && strlen(a) <= MAX_ADDRESS;
    for (const char *p = a; *p && good; p++)
        good = (unsigned char)*p > ' ' && *p != 127 && !strchr("<>()[]\\,;:\"", *p);
    return good ? 0 : err_set(e, ERR_CONFIG, _("\"%s\" is no mail address"), a);
}

static void add_header(struct curl_slist **list, const char *name, const char *value)
{
    char *header = text_print("%s: %s", name, value);
    struct curl_slist *more = curl_slist_append(*list, header);
    free(header);
    if (!more)
        abort();
    *list = more;
}

static struct curl_slist *mail_headers(const struct settings *s, const struct recipient *r,
                                       const struct message *m)
{
    struct curl_slist *list = NULL;
    char date[64], host[256] = "localhost";
    uint64_t chance[2];
    time_t now = (time_t)sys_realtime_s();
    struct tm tm;
    static const char days[] = "SunMonTueWedThuFriSat",
                      months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    gmtime_r(&now, &tm); /* the names must not follow the locale */
    snprintf(date, sizeof date, "%.3s, %02d %.3s %d %02d:%02d:%02d +0000", days + 3 * tm.tm_wday,
             tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
    if (gethostname(host, sizeof host - 1) < 0 || !is_plain(host))
        snprintf(host, sizeof host, "localhost");
    sys_random(chance, sizeof chance);
    char *subject = mail_header_text(m->subject, strlen("Subject: "));
    char *id = text_print("<%016llx%016llx@%s>", (unsigned long long)chance[0],
                          (unsigned long long)chance[1], host);
    char *from = text_print("Twofold <%s>", s->mail_from);
    add_header(&list, "Date", date);
    add_header(&list, "From", from);
    add_header(&list, "To", r->to);
    add_header(&list, "Subject", subject);
    add_header(&list, "Message-ID", id);
    add_header(&list, "Auto-Submitted", "auto-generated");
    free(subject);
    free(id);
    free(from);
    return list;
}

static void set_login(CURL *c, const struct settings *s, const char *password)
{
    long ssl = s->mail_tls == MAIL_TLS_REQUIRED ? CURLUSESSL_ALL
               : s->mail_tls == MAIL_TLS_TRY    ? CURLUSESSL_TRY
                                                : CURLUSESSL_NONE;
    const char *ca = secure_getenv("SSL_CERT_FILE");
    curl_easy_setopt(c, CURLOPT_USE_SSL, ssl);
    if (ca && *ca)
        curl_easy_setopt(c, CURLOPT_CAINFO, ca);
    if (s->mail_tls == MAIL_TLS_TRY) {
        /* Whoever takes plain text as well gains nothing from a certificate. */
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (s->mail_user) {
        curl_easy_setopt(c, CURLOPT_USERNAME, s->mail_user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, password ? password : "");
    }
}

static enum err_code code_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
        return ERR_UNREACHABLE;
    case CURLE_LOGIN_DENIED:
    case CURLE_PEER_FAILED_VERIFICATION:
        return ERR_REFUSED;
    default:
        return ERR_FAILED;
    }
}

static CURLcode perform(const struct settings *s, const struct recipient *r,
                        const struct message *m, const char *password, char problem[])
{
    CURL *c = curl_easy_init();
    struct curl_slist *headers = mail_headers(s, r, m), *to = NULL;
    char *rcpt = text_print("<%s>", r->to), *from = text_print("<%s>", s->mail_from);
    curl_mime *mime = c ? curl_mime_init(c) : NULL;
    curl_mimepart *part = mime ? curl_mime_addpart(mime) : NULL;
    CURLcode rc = CURLE_OUT_OF_MEMORY;
    to = curl_slist_append(NULL, rcpt);
    if (part && to) {
        unsigned timeout_ms = channel_timeout_ms();
        curl_mime_data(part, m->body, CURL_ZERO_TERMINATED);
        curl_mime_type(part, "text/plain; charset=utf-8");
        curl_mime_encoder(part, "base64");
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        curl_easy_setopt(c, CURLOPT_URL, s->mail_url);
        curl_easy_setopt(c, CURLOPT_PROXY, "");
        curl_easy_setopt(c, CURLOPT_MAIL_FROM, from);
        curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(c, CURLOPT_MIMEPOST, mime);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)(timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS));
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, problem);
        set_login(c, s, password);
        rc = curl_easy_perform(c);
    }
    curl_mime_free(mime);
    curl_slist_free_all(headers);
    curl_slist_free_all(to);
    curl_easy_cleanup(c);
    free(rcpt);
    free(from);
    return rc;
}

int channel_mail(const struct settings *s, const struct recipient *r, const struct message *m,
                 struct err *e)
{
    char *password = NULL, problem[CURL_ERROR_SIZE] = "";
    if (!s->mail_url || !s->mail_from)
        return err_set(e, ERR_CONFIG, _("mail needs `url` and `from` in twofold.yaml"));
    int rc = check_address(r->to, e);
    if (rc == 0)
        rc = check_address(s->mail_from, e);
    if (rc == 0 && s->mail_user && s->mail_password_file)
        rc = secret_line(s->mail_password_file, &password, e);
    if (rc < 0)
        return rc;
    CURLcode done = perform(s, r, m, password, problem);
    secret_line_free(password);
    if (done == CURLE_OK)
        return 0;
    char *shown = url_shown(s->mail_url);
    err_set(e, code_of(done), "%s", problem[0] ? problem : curl_easy_strerror(done));
    rc = err_wrap(e, _("mail by %s"), shown);
    free(shown);
    return rc;
}
