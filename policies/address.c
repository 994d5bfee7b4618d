/* address.c - where a copy is: a folder, or a folder on another host (sftp); and the host keys that are pinned for it.
 * The forms are those of policies/config.h; what they lead to is for lib/store. */
#include "policies/inner.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SFTP "sftp://"
#define MAX_HOST 255
#define MAX_USER 64
#define MAX_KEY_TEXT 8192

static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const char *conf_url_folder(const char *url)
{
    static const char file[] = "file://";
    const char *path = strncmp(url, file, strlen(file)) == 0 ? url + strlen(file) : url;
    return path[0] == '/' ? path : NULL;
}

/* --- names of hosts and users ------------------------------------------------------------------------------------- */
static bool made_of(const char *text, size_t n, const char *others)
{
    for (size_t i = 0; i < n; i++)
        if (!text[i] || (!strchr(alnum, text[i]) && !strchr(others, text[i])))
            return false;
    return n > 0;
}

/* A name or an address; an IPv6 address without its brackets. Nothing that a command line could take for an option. */
bool conf_host_ok(const char *host)
{
    size_t n = strlen(host);
    bool v6 = strchr(host, ':') != NULL;
    return n <= MAX_HOST && host[0] != '-' && host[0] != '.' &&
           made_of(host, n, v6 ? ":.%" : ".-_");
}

bool conf_user_ok(const char *user)
{
    size_t n = strlen(user);
    return n <= MAX_USER && user[0] != '-' && made_of(user, n, "._-");
}

/* --- sftp://[user@]host[:port]/path ------------------------------------------------------------------------------------ */
static int bad_sftp(struct err *e, const char *url, const char *why)
{
    err_set(e, ERR_CONFIG, "\"%s\": %s", url, why);
    return err_next(e, _("write it like this: sftp://backup@10.0.2.7/srv/twofold"));
}

static int take_user(const char *url, const char **at, const char *slash, struct sftp_address *a,
                     struct err *e)
{
    const char *end = memchr(*at, '@', (size_t)(slash - *at));
    if (!end)
        return 0;
    a->user = strndup(*at, (size_t)(end - *at));
    if (!a->user)
        return conf_out_of_memory(e);
    *at = end + 1;
    if (strchr(a->user, ':')) {
        err_set(e, ERR_CONFIG, _("an address of a copy holds a password"));
        return err_next(
            e, _("take the password out of it, and log in with a key: identity: keys/NAME.ssh"));
    }
    return conf_user_ok(a->user) ? 0 : bad_sftp(e, url, _("its user cannot be one"));
}

static int take_port(const char *url, const char *text, size_t n, struct sftp_address *a,
                     struct err *e)
{
    unsigned long port = 0;
    bool ok = n > 0 && n <= 5;
    for (size_t i = 0; i < n && ok; i++) {
        ok = text[i] >= '0' && text[i] <= '9';
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    if (!ok || port == 0 || port > 65535)
        return bad_sftp(e, url, _("its port is not a number from 1 to 65535"));
    a->port = (unsigned)port;
    return 0;
}

static int take_host(const char *url, const char *at, const char *slash, struct sftp_address *a,
                     struct err *e)
{
    bool brackets = *at == '[';
    const char *from = at + brackets,
               *end = memchr(from, brackets ? ']' : ':', (size_t)(slash - from));
    if (!end && brackets)
        return bad_sftp(e, url, _("the bracket after its host is missing"));
    end = end ? end : slash;
    a->host = strndup(from, (size_t)(end - from));
    if (!a->host)
        return conf_out_of_memory(e);
    if (!conf_host_ok(a->host) || brackets != (strchr(a->host, ':') != NULL))
        return bad_sftp(e, url, _("its host cannot be one"));
    end += brackets;
    if (end == slash)
        return 0;
    if (*end != ':')
        return bad_sftp(e, url, _("its host cannot be one"));
    return take_port(url, end + 1, (size_t)(slash - end - 1), a, e);
}

int sftp_address_parse(const char *url, struct sftp_address *ret, struct err *e)
{
    struct sftp_address a = { .port = 22 };
    if (strncmp(url, SFTP, strlen(SFTP)) != 0)
        return 0;
    const char *at = url + strlen(SFTP), *slash = strchr(at, '/');
    int r = slash ? take_user(url, &at, slash, &a, e)
                  : bad_sftp(e, url, _("it does not say which folder"));
    if (r == 0)
        r = take_host(url, at, slash, &a, e);
    if (r == 0)
        r = conf_path_normalise(slash, &a.path, e);
    if (r == 0 && strcmp(a.path, "/") == 0)
        r = bad_sftp(e, url, _("it does not say which folder"));
    if (r < 0) {
        sftp_address_done(&a);
        return r;
    }
    *ret = a;
    return 1;
}

void sftp_address_done(struct sftp_address *a)
{
    free(a->user);
    free(a->host);
    free(a->path);
    *a = (struct sftp_address){ 0 };
}

/* --- all of them --------------------------------------------------------------------------------------------------------- */
int conf_url_check(const char *url, struct err *e)
{
    struct sftp_address a;
    char *path = NULL;
    if (strncmp(url, "memory:", 7) == 0)
        return 0;
    int r = sftp_address_parse(url, &a, e);
    if (r > 0)
        sftp_address_done(&a);
    if (r != 0)
        return r < 0 ? r : 0;
    const char *folder = conf_url_folder(url);
    if (!folder) {
        err_set(e, ERR_CONFIG,
                strncmp(url, "s3://", 5) == 0
                    ? _("\"%s\": copies in object storage (s3) are not supported yet")
                    : _("\"%s\" is not an address of a copy that is supported"),
                url);
        return err_next(e, _("name a folder by its whole path (/backup/a or file:///backup/a), or "
                             "one on another host: sftp://backup@10.0.2.7/srv/twofold"));
    }
    r = conf_path_normalise(folder, &path, e);
    free(path);
    return r;
}

/* --- host keys ------------------------------------------------------------------------------------------------------------- */
static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Decodes at most `max` bytes from the start; -1 where the whole is not base64. */
static int base64_start(const char *text, size_t n, uint8_t *out, size_t max)
{
    uint32_t bits = 0;
    size_t have = 0, pad = 0;
    if (n == 0 || n % 4 != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int v = base64_value(text[i]);
        pad += text[i] == '=';
        if (text[i] == '=' ? i + 2 < n : v < 0 || pad > 0)
            return -1;
        bits = bits << 6 | (uint32_t)(v < 0 ? 0 : v);
        if (i % 4 == 3)
            for (int k = 2; k >= 0 && have < max; k--)
                out[have++] = (uint8_t)(bits >> (8 * k));
    }
    return (int)have;
}

int conf_host_key_check(const char *key, struct err *e)
{
    static const char *const types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256",
                                         "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa" };
    size_t type = strcspn(key, " "), n = strlen(key) > type ? strcspn(key + type + 1, " ") : 0;
    uint8_t start[4 + 32];
    bool known = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        known = known || (strlen(types[i]) == type && strncmp(key, types[i], type) == 0);
    /* The type stands in the key itself again. */
    if (known && n > 0 && strlen(key) < MAX_KEY_TEXT && key[type + 1 + n] == '\0' &&
        base64_start(key + type + 1, n, start, sizeof start) >= (int)(4 + type) && start[0] == 0 &&
        start[1] == 0 && start[2] == 0 && start[3] == type && memcmp(start + 4, key, type) == 0)
        return 0;
    err_set(e, ERR_CONFIG, _("the host key is not one in the form of OpenSSH"));
    return err_next(e, _("write type and key as in ssh-keyscan's answer: ssh-ed25519 AAAA..."));
}

int conf_host_key(struct yaml_doc *d, const char *path, const char *text, char **ret, struct err *e)
{
    size_t type = text ? strcspn(text, " ") : 0;
    if (!text)
        return 0;
    size_t n = text[type] ? type + 1 + strcspn(text + type + 1, " ") : type;
    char *key = strndup(text, n);
    if (!key)
        return conf_out_of_memory(e);
    int r = conf_host_key_check(key, e);
    if (r < 0) {
        free(key);
        return yaml_mistake(d, path, e);
    }
    free(*ret);
    *ret = key;
    return 0;
}
