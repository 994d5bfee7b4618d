/* keys.c - SSH keys as text: lines, fingerprints, key files of OpenSSH (PROTOCOL.key), known_hosts. See ssh.h. */
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/hello.h"
#include "lib/ssh/packet.h"
#include "lib/ssh/ssh.h"

#include <libssh2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_ED25519 "ssh-ed25519"
#define ED25519_BYTES 32
#define KEY_FILE_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define KEY_FILE_END "-----END OPENSSH PRIVATE KEY-----\n"
#define KEY_FILE_MAGIC "openssh-key-v1"
#define KEY_FILE_LINE 70
#define BLOCK_BYTES 8
#define MAX_BASE64(n) (4 * (((n) + 2) / 3) + 1)
#define MAX_COMMENT 255

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- lines ---------------------------------------------------------------------------------------------- */
static int base64_decode(const char *text, size_t n, uint8_t *out, size_t max)
{
    uint8_t buf[SSH_MAX_KEY];
    size_t pad = 0;
    if (n == 0 || n % 4 != 0 || n / 4 * 3 > sizeof buf)
        return -1;
    while (pad < 2 && text[n - 1 - pad] == '=')
        pad++;
    int got = EVP_DecodeBlock(buf, (const unsigned char *)text, (int)n);
    if (got < 0 || (size_t)got - pad > max)
        return -1;
    memcpy(out, buf, (size_t)got - pad);
    return got - (int)pad;
}

int ssh_key_bytes(const char *key, uint8_t *out, size_t max)
{
    size_t type = key ? strcspn(key, " ") : 0;
    if (!key || type == 0 || key[type] != ' ')
        return -1;
    const char *text = key + type + 1;
    int n = base64_decode(text, strcspn(text, " \n"), out, max);
    /* The bytes say the type once more. */
    if (n < 4 || out[0] || out[1] || out[2] || out[3] != type || (size_t)n < 4 + type ||
        memcmp(out + 4, key, type) != 0)
        return -1;
    return n;
}

char *ssh_key_line(const uint8_t *p, size_t n)
{
    size_t type = n > 4 && !p[0] && !p[1] && !p[2] ? p[3] : 0;
    if (type == 0 || type > n - 4 || n > SSH_MAX_KEY / 2)
        return NULL;
    for (size_t i = 0; i < type; i++)
        if (p[4 + i] <= ' ' || p[4 + i] >= 0x7F)
            return NULL;
    char *line = malloc(type + 1 + MAX_BASE64(n));
    if (!line)
        return NULL;
    memcpy(line, p + 4, type);
    line[type] = ' ';
    EVP_EncodeBlock((unsigned char *)line + type + 1, p, (int)n);
    return line;
}

bool ssh_fingerprint(const char *key, char out[SSH_FINGERPRINT_BYTES])
{
    uint8_t bytes[SSH_MAX_KEY], hash[EVP_MAX_MD_SIZE];
    char text[MAX_BASE64(EVP_MAX_MD_SIZE)];
    unsigned len = 0;
    int n = ssh_key_bytes(key, bytes, sizeof bytes);
    if (n < 0 || EVP_Digest(bytes, (size_t)n, hash, &len, EVP_sha256(), NULL) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)text, hash, (int)len);
    text[strcspn(text, "=")] = '\0';
    return snprintf(out, SSH_FINGERPRINT_BYTES, "SHA256:%s", text) < SSH_FINGERPRINT_BYTES;
}

/* --- key files: everything in it is big-endian ----------------------------------------------------------------- */
static void put_public(struct wbuf *w, const uint8_t public_key[ED25519_BYTES])
{
    pk_text(w, TYPE_ED25519);
    pk_string(w, public_key, ED25519_BYTES);
}

static void put_private(struct wbuf *w, const uint8_t seed[ED25519_BYTES],
                        const uint8_t public_key[ED25519_BYTES], const char *comment)
{
    uint8_t both[2 * ED25519_BYTES], check[4];
    memcpy(both, seed, ED25519_BYTES);
    memcpy(both + ED25519_BYTES, public_key, ED25519_BYTES);
    sys_random(check, sizeof check);
    wb_bytes(w, check, sizeof check);
    wb_bytes(w, check, sizeof check);
    put_public(w, public_key);
    pk_string(w, both, sizeof both);
    pk_text(w, comment);
    for (uint8_t pad = 1; w->len % BLOCK_BYTES != 0 && !w->failed; pad++)
        wb_u8(w, pad);
    OPENSSL_cleanse(both, sizeof both);
}

static void wipe(struct wbuf *w)
{
    if (w->p)
        OPENSSL_cleanse(w->p, w->cap);
    wbuf_free(w);
}

static int write_key_file(const char *path, const struct wbuf *content, struct err *e)
{
    struct wbuf text = WBUF_INIT;
    size_t n = MAX_BASE64(content->len);
    char *base64 = malloc(n);
    int rc = content->failed || !base64 ? no_memory(e) : 0;
    if (rc == 0) {
        size_t len = (size_t)EVP_EncodeBlock((unsigned char *)base64, content->p,
                                             (int)content->len);
        wb_bytes(&text, KEY_FILE_BEGIN, strlen(KEY_FILE_BEGIN));
        for (size_t at = 0; at < len; at += KEY_FILE_LINE) {
            wb_bytes(&text, base64 + at, len - at < KEY_FILE_LINE ? len - at : KEY_FILE_LINE);
            wb_u8(&text, '\n');
        }
        wb_bytes(&text, KEY_FILE_END, strlen(KEY_FILE_END));
        rc = text.failed ? no_memory(e) : 0;
    }
    if (rc == 0) {
        int fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
        rc = fd < 0 ? fd : sys_write(fd, text.p, text.len, e);
        if (fd >= 0 && rc == 0)
            rc = sys_fsync(fd, e);
        int closed = fd < 0 ? 0 : sys_close(fd, rc == 0 ? e : NULL);
        rc = rc < 0 ? rc : closed;
        if (fd >= 0 && rc < 0)
            sys_unlinkat(AT_FDCWD, path, 0, NULL);
    }
    if (base64)
        OPENSSL_cleanse(base64, n);
    free(base64);
    wipe(&text);
    return rc < 0 ? err_wrap(e, "%s", path) : 0;
}

static int public_line(const uint8_t public_key[ED25519_BYTES], const char *comment, char **ret,
                       struct err *e)
{
    struct wbuf w = WBUF_INIT;
    put_public(&w, public_key);
    char *line = w.failed ? NULL : ssh_key_line(w.p, w.len);
    int rc = 0;
    if (!line || asprintf(ret, "%s%s%s", line, comment[0] ? " " : "", comment) < 0)
        rc = no_memory(e);
    wbuf_free(&w);
    free(line);
    return rc;
}

int ssh_key_make(const char *path, const char *comment, char **ret_public, struct err *e)
{
    uint8_t seed[ED25519_BYTES], public_key[ED25519_BYTES];
    size_t a = sizeof seed, b = sizeof public_key;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!key || EVP_PKEY_get_raw_private_key(key, seed, &a) != 1 ||
        EVP_PKEY_get_raw_public_key(key, public_key, &b) != 1) {
        EVP_PKEY_free(key);
        return err_set(e, ERR_FAILED, _("a key cannot be made"));
    }
    EVP_PKEY_free(key);
    struct wbuf file = WBUF_INIT, part = WBUF_INIT;
    wb_bytes(&file, KEY_FILE_MAGIC, sizeof KEY_FILE_MAGIC); /* with its NUL */
    pk_text(&file, "none");
    pk_text(&file, "none");
    pk_u32(&file, 0);
    pk_u32(&file, 1);
    put_public(&part, public_key);
    pk_string(&file, part.p, part.len);
    wbuf_reset(&part);
    put_private(&part, seed, public_key, comment);
    pk_string(&file, part.p, part.len);
    file.failed = file.failed || part.failed;
    int rc = write_key_file(path, &file, e);
    if (rc == 0)
        rc = public_line(public_key, comment, ret_public, e);
    OPENSSL_cleanse(seed, sizeof seed);
    wipe(&part);
    wipe(&file);
    return rc;
}

/* The public key stands before the private part, in the clear. */
static char *public_in(const uint8_t *p, size_t n)
{
    struct rbuf r = rbuf_of(p, n);
    size_t len = 0;
    const uint8_t *magic = rb_bytes(&r, sizeof KEY_FILE_MAGIC), *key;
    if (!magic || memcmp(magic, KEY_FILE_MAGIC, sizeof KEY_FILE_MAGIC) != 0)
        return NULL;
    for (int i = 0; i < 3; i++) /* cipher, kdf, its options */
        pk_take_string(&r, n, &len);
    pk_take_u32(&r); /* how many keys */
    key = pk_take_string(&r, n, &len);
    return key ? ssh_key_line(key, len) : NULL;
}

int ssh_key_public(const char *path, char **ret_public, struct err *e)
{
    uint8_t *text = NULL, bytes[SSH_MAX_KEY];
    size_t n = 0, kept = 0;
    int rc = sys_read_file(AT_FDCWD, path, SSH_MAX_KEY, &text, &n, e);
    if (rc < 0)
        return rc;
    char *from = strstr((char *)text, KEY_FILE_BEGIN), *line = NULL;
    char *to = from ? strstr(from, "\n-----END") : NULL;
    if (to) {
        for (char *c = from + strlen(KEY_FILE_BEGIN); c < to; c++)
            if (*c != '\n' && *c != '\r')
                from[kept++] = *c;
        int got = base64_decode(from, kept, bytes, sizeof bytes);
        line = got > 0 ? public_in(bytes, (size_t)got) : NULL;
        OPENSSL_cleanse(bytes, sizeof bytes);
    }
    OPENSSL_cleanse(text, n);
    free(text);
    if (!line) {
        err_set(e, ERR_KEY, _("this is not a private key as OpenSSH writes it"));
        return err_wrap(e, "%s", path);
    }
    *ret_public = line;
    return 0;
}

/* --- known_hosts ------------------------------------------------------------------------------------------------ */
static int known_bit(const char *key)
{
    static const struct {
        const char *type;
        int bit;
    } types[] = {
        { "ssh-ed25519 ", LIBSSH2_KNOWNHOST_KEY_ED25519 },
        { "ecdsa-sha2-nistp256 ", LIBSSH2_KNOWNHOST_KEY_ECDSA_256 },
        { "ecdsa-sha2-nistp384 ", LIBSSH2_KNOWNHOST_KEY_ECDSA_384 },
        { "ecdsa-sha2-nistp521 ", LIBSSH2_KNOWNHOST_KEY_ECDSA_521 },
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strncmp(key, types[i].type, strlen(types[i].type)) == 0)
            return types[i].bit;
    return LIBSSH2_KNOWNHOST_KEY_UNKNOWN;
}

int ssh_known_host(const char *file, const char *host, unsigned port, const char *key,
                   struct err *e)
{
    uint8_t bytes[SSH_MAX_KEY];
    char fingerprint[SSH_FINGERPRINT_BYTES] = "?";
    int n = ssh_key_bytes(key, bytes, sizeof bytes), found = LIBSSH2_KNOWNHOST_CHECK_NOTFOUND;
    LIBSSH2_SESSION *session = libssh2_session_init();
    LIBSSH2_KNOWNHOSTS *known = session ? libssh2_knownhost_init(session) : NULL;
    if (!known) {
        if (session)
            libssh2_session_free(session);
        return no_memory(e);
    }
    if (n > 0 && libssh2_knownhost_readfile(known, file, LIBSSH2_KNOWNHOST_FILE_OPENSSH) >= 0)
        found = libssh2_knownhost_checkp(
            known, host, port ? (int)port : 22, (const char *)bytes, (size_t)n,
            LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW | known_bit(key), NULL);
    libssh2_knownhost_free(known);
    libssh2_session_free(session);
    if (found == LIBSSH2_KNOWNHOST_CHECK_MATCH)
        return 1;
    if (found != LIBSSH2_KNOWNHOST_CHECK_MISMATCH)
        return 0;
    ssh_fingerprint(key, fingerprint);
    err_set(e, ERR_REFUSED, _("the host key of %s is %s, but %s has another one"), host,
            fingerprint, file);
    return err_next(e, _("find out which is right at its console (ssh-keygen -lf "
                         "/etc/ssh/ssh_host_ed25519_key.pub)"));
}
