/* key_files.c - an orchestrator's local key files: one line of text, readable by their owner alone. The
 * manual is lib/vault/recovery.h. */
#include "lib/vault/recovery.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdio.h>
#include <stdlib.h>

#define OP_LABEL "twofold-operational-key-v1"
#define RECOVERY_LABEL "twofold-recovery-key-v1"
#define MAX_KEYS 2
#define KEY_HEX_BYTES (2 * KEY_BYTES) /* without NUL */
#define MAX_KEY_FILE_BYTES 512

struct key_file {
    const char *label;
    struct id vault_id;
    uint8_t keys[MAX_KEYS][KEY_BYTES]; /* wiped by whoever has one */
    size_t n_keys;
};

static int key_file_save(const char *path, const struct key_file *f, struct err *e)
{
    char text[MAX_KEY_FILE_BYTES], hex[KEY_HEX_BYTES + 1];
    size_t n = (size_t)snprintf(text, sizeof text, "%s %s", f->label, id_hex(&f->vault_id, hex));
    for (size_t i = 0; i < f->n_keys; i++) {
        hex_encode(f->keys[i], KEY_BYTES, hex);
        n += (size_t)snprintf(text + n, sizeof text - n, " %s", hex);
    }
    text[n++] = '\n';
    int rc = sys_write_file(AT_FDCWD, path, text, n, 0600, e);
    secret_wipe(text, sizeof text);
    secret_wipe(hex, sizeof hex);
    return rc;
}

/* --- loading ---------------------------------------------------------------------------------- */
/* The whole text, NUL-terminated; checked on the opened file, so that it cannot be another one's mode. */
static int read_private(const char *path, char text[MAX_KEY_FILE_BYTES], struct err *e)
{
    struct stat st;
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, e);
    if (fd < 0)
        return fd;
    ssize_t n;
    if (fstat(fd, &st) < 0)
        n = err_sys(e, _("look at \"%s\""), path);
    else if (!S_ISREG(st.st_mode))
        n = err_set(e, ERR_REFUSED, _("it is not a plain file"));
    else if (st.st_mode & 077)
        n = err_set(e, ERR_REFUSED, _("others than its owner may read or write it (mode %04o)"),
                    st.st_mode & 07777u);
    else
        n = sys_read(fd, text, MAX_KEY_FILE_BYTES - 1, e);
    sys_close_quiet(fd);
    if (n < 0)
        return (int)n;
    text[n] = '\0';
    return 0;
}

/* " <64 hex digits>" at *at, which moves behind it. */
static bool take_hex(char **at, void *out)
{
    char hex[KEY_HEX_BYTES + 1];
    if (**at != ' ' || strnlen(*at, 1 + KEY_HEX_BYTES) < 1 + KEY_HEX_BYTES)
        return false;
    memcpy(hex, *at + 1, KEY_HEX_BYTES);
    hex[KEY_HEX_BYTES] = '\0';
    *at += 1 + KEY_HEX_BYTES;
    bool ok = hex_decode(hex, out, KEY_BYTES);
    secret_wipe(hex, sizeof hex);
    return ok;
}

static bool key_file_parse(char *text, struct key_file *f)
{
    size_t n = strlen(f->label);
    if (strncmp(text, f->label, n) != 0)
        return false;
    char *at = text + n;
    if (!take_hex(&at, f->vault_id.b))
        return false;
    for (size_t i = 0; i < f->n_keys; i++)
        if (!take_hex(&at, f->keys[i]))
            return false;
    return strcmp(at, "\n") == 0 || *at == '\0'; /* an editor may have taken the end of the line */
}

/* f says which label and how many keys; the caller wipes it whatever the outcome. */
static int key_file_load(const char *path, const struct id *vault_id, struct key_file *f,
                         struct err *e)
{
    char text[MAX_KEY_FILE_BYTES];
    int rc = read_private(path, text, e);
    if (rc == 0 && !key_file_parse(text, f))
        rc = err_set(e, ERR_DAMAGED, _("it does not hold a line \"%s ...\""), f->label);
    else if (rc == 0 && !id_eq(&f->vault_id, vault_id))
        rc = err_set(e, ERR_KEY, _("it is the key of another vault"));
    secret_wipe(text, sizeof text);
    if (rc < 0)
        err_wrap(e, _("key file \"%s\""), path);
    return rc;
}

/* A public key that is known already (from the vault object) must be the one of the loaded key. */
static int take_public(uint8_t known[PUBLIC_KEY_BYTES], const uint8_t loaded[PUBLIC_KEY_BYTES],
                       const char *path, struct err *e)
{
    static const uint8_t none[PUBLIC_KEY_BYTES];
    if (memcmp(known, none, PUBLIC_KEY_BYTES) != 0 &&
        memcmp(known, loaded, PUBLIC_KEY_BYTES) != 0) {
        int rc = err_set(e, ERR_KEY, _("it is not the key that the vault object names"));
        err_wrap(e, _("key file \"%s\""), path);
        return rc;
    }
    memcpy(known, loaded, PUBLIC_KEY_BYTES);
    return 0;
}

/* --- the two kinds ---------------------------------------------------------------------------- */
int op_key_save(const char *path, const struct vault_keys *k, struct err *e)
{
    struct key_file f = { .label = OP_LABEL, .vault_id = k->vault_id, .n_keys = 2 };
    memcpy(f.keys[0], secret_bytes(k->op), KEY_BYTES);
    memcpy(f.keys[1], secret_bytes(k->sign_sk), KEY_BYTES);
    int rc = key_file_save(path, &f, e);
    secret_wipe(&f, sizeof f);
    return rc;
}

int op_key_load(const char *path, const struct id *vault_id, struct vault_keys *k, struct err *e)
{
    struct key_file f = { .label = OP_LABEL, .n_keys = 2 };
    uint8_t sign_pk[PUBLIC_KEY_BYTES];
    struct secret *op = NULL, *sign_sk = NULL;
    int rc = key_file_load(path, vault_id, &f, e);
    if (rc == 0) {
        op = secret_of(f.keys[0], KEY_BYTES);
        sign_sk = secret_of(f.keys[1], KEY_BYTES);
        ed25519_public(f.keys[1], sign_pk);
        rc = op && sign_sk ? take_public(k->sign_pk, sign_pk, path, e)
                           : err_set(e, ERR_NOMEM, _("no memory"));
    }
    secret_wipe(&f, sizeof f);
    if (rc < 0) {
        secret_free(op);
        secret_free(sign_sk);
        return rc;
    }
    secret_free(k->op);
    secret_free(k->sign_sk);
    k->op = op;
    k->sign_sk = sign_sk;
    k->vault_id = *vault_id;
    return 0;
}

int recovery_key_save(const char *path, const struct vault_keys *k, struct err *e)
{
    struct key_file f = { .label = RECOVERY_LABEL, .vault_id = k->vault_id, .n_keys = 1 };
    memcpy(f.keys[0], secret_bytes(k->recovery_sk), KEY_BYTES);
    int rc = key_file_save(path, &f, e);
    secret_wipe(&f, sizeof f);
    return rc;
}

int recovery_key_load(const char *path, const struct id *vault_id, struct vault_keys *k,
                      struct err *e)
{
    struct key_file f = { .label = RECOVERY_LABEL, .n_keys = 1 };
    uint8_t pk[PUBLIC_KEY_BYTES];
    struct secret *sk = NULL;
    int rc = key_file_load(path, vault_id, &f, e);
    if (rc == 0) {
        sk = secret_of(f.keys[0], KEY_BYTES);
        x25519_public(f.keys[0], pk);
        rc = sk ? take_public(k->recovery_pk, pk, path, e) : err_set(e, ERR_NOMEM, _("no memory"));
    }
    if (rc == 0) {
        root_key_public(vault_id, sk, pk);
        rc = take_public(k->root_pk, pk, path, e);
    }
    secret_wipe(&f, sizeof f);
    if (rc < 0) {
        secret_free(sk);
        return rc;
    }
    secret_free(k->recovery_sk);
    k->recovery_sk = sk;
    k->vault_id = *vault_id;
    return 0;
}
