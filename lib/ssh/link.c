/* link.c - an SSH connection is made: handshake, the host's key against the pinned one, login, channel. See link.h.
 * libssh2 runs non-blocking, so that every wait has our deadline. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/link_impl.h"
#include "lib/ssh/ssh.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define AHEAD_BYTES (256u << 10)
#define CHANNEL_WINDOW_BYTES (8u << 20)
#define CHANNEL_PACKET_BYTES 32768

/* libssh2's errors as ours. */
static int lib_failed(struct link *l, const char *doing, struct err *e)
{
    char *text = NULL;
    int code = libssh2_session_last_error(l->session, &text, NULL, 0);
    enum err_code ours = ERR_PROTOCOL;
    switch (code) {
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_BANNER_RECV:
    case LIBSSH2_ERROR_SOCKET_NONE:
        ours = ERR_UNREACHABLE;
        break;
    case LIBSSH2_ERROR_ALLOC:
        ours = ERR_NOMEM;
        break;
    case LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED:
    case LIBSSH2_ERROR_CHANNEL_FAILURE:
    case LIBSSH2_ERROR_REQUEST_DENIED:
        ours = ERR_REFUSED;
        break;
    default:
        break;
    }
    err_set(e, ours, "%s", text && *text ? text : _("the connection failed"));
    return err_wrap(e, "%s", doing);
}

/* After EAGAIN: until the socket can do what libssh2 waits for. */
static int wait_socket(struct link *l, struct err *e)
{
    int dirs = libssh2_session_block_directions(l->session);
    short events = (short)((dirs & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : 0) |
                           (dirs & LIBSSH2_SESSION_BLOCK_INBOUND || dirs == 0 ? POLLIN : 0));
    uint64_t now = sys_monotonic_ms(), left = now < l->deadline ? l->deadline - now : 0;
    if (l->ahead_at < l->ahead_end && events & POLLIN)
        return 0;
    int rc = sys_wait_fd(l->sock, events, left > INT_MAX ? INT_MAX : (int)left, e);
    return rc == -ERR_TIMEOUT ? err_set(e, ERR_TIMEOUT, _("the host does not answer in time")) : rc;
}

/* --- receiving by the large piece -------------------------------------------------------------------------- */
static LIBSSH2_RECV_FUNC(receive_ahead)
{
    struct link *l = *abstract;
    if (l->ahead_at == l->ahead_end) {
        ssize_t got;
        do {
            got = recv(socket, l->ahead, AHEAD_BYTES, flags);
        } while (got < 0 && errno == EINTR);
        if (got <= 0)
            return got < 0 ? -errno : 0;
        l->ahead_at = 0;
        l->ahead_end = (size_t)got;
    }
    size_t n = l->ahead_end - l->ahead_at;
    if (n > length)
        n = length;
    memcpy(buffer, l->ahead + l->ahead_at, n);
    l->ahead_at += n;
    return (ssize_t)n;
}

/* --- the handshake ------------------------------------------------------------------------------------------------ */
/* The pinned key's type first; the others so that a host with another key is recognised as that. */
static int prefer_methods(struct link *l, const char *host_key, struct err *e)
{
    static const char *const types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256",
                                         "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521" };
    char list[256] = "";
    size_t n = host_key ? strcspn(host_key, " ") : 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            bool pinned = n == strlen(types[i]) && strncmp(types[i], host_key, n) == 0;
            if (pinned != (pass == 0))
                continue;
            if (list[0])
                strcat(list, ",");
            strcat(list, types[i]);
        }
    /* AES in counter mode is the fastest that libssh2 has; MACs that today's servers take. */
    static const char ciphers[] = "aes128-ctr,aes256-ctr,aes192-ctr";
    static const char macs[] = "hmac-sha2-256,hmac-sha2-512,hmac-sha1";
    if (libssh2_session_method_pref(l->session, LIBSSH2_METHOD_HOSTKEY, list) < 0 ||
        libssh2_session_method_pref(l->session, LIBSSH2_METHOD_CRYPT_CS, ciphers) < 0 ||
        libssh2_session_method_pref(l->session, LIBSSH2_METHOD_CRYPT_SC, ciphers) < 0 ||
        libssh2_session_method_pref(l->session, LIBSSH2_METHOD_MAC_CS, macs) < 0 ||
        libssh2_session_method_pref(l->session, LIBSSH2_METHOD_MAC_SC, macs) < 0)
        return lib_failed(l, _("prepare the connection"), e);
    return 0;
}

static int shake_hands(struct link *l, struct err *e)
{
    int got, rc = 0;
    while ((got = libssh2_session_handshake(l->session, l->sock)) == LIBSSH2_ERROR_EAGAIN &&
           rc == 0)
        rc = wait_socket(l, e);
    if (rc < 0)
        return rc;
    if (got == 0)
        return 0;
    rc = lib_failed(l, _("handshake"), e);
    if (got == LIBSSH2_ERROR_KEX_FAILURE || got == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE ||
        got == LIBSSH2_ERROR_METHOD_NONE)
        err_next(e, _("libssh2 speaks aes-ctr with hmac-sha2 and knows Ed25519 and ECDSA host "
                      "keys: let the server allow these"));
    return rc;
}

static int check_host(struct link *l, const struct ssh_orders *o, char **ret_key, struct err *e)
{
    size_t n = 0;
    int type = 0;
    uint8_t pinned[SSH_MAX_KEY];
    char was[SSH_FINGERPRINT_BYTES] = "?", is[SSH_FINGERPRINT_BYTES] = "?";
    const char *key = libssh2_session_hostkey(l->session, &n, &type);
    *ret_key = key ? ssh_key_line((const uint8_t *)key, n) : NULL;
    if (!*ret_key)
        return err_set(e, ERR_PROTOCOL, _("the host shows no key that can be read"));
    if (o->mode == SSH_LOOK)
        return 0;
    int want = ssh_key_bytes(o->host_key, pinned, sizeof pinned);
    if (want > 0 && (size_t)want == n && memcmp(pinned, key, n) == 0)
        return 0;
    if (want <= 0) {
        err_set(e, ERR_CONFIG, _("the pinned host key cannot be read"));
        return err_next(e, _("pin it anew: host-key: ssh-ed25519 AAAA…"));
    }
    ssh_fingerprint(o->host_key, was);
    ssh_fingerprint(*ret_key, is);
    err_set(e, ERR_REFUSED, _("its host key is %s, but %s is pinned"), is, was);
    return err_next(e,
                    _("was it installed anew? Compare with its console (ssh-keygen -lf "
                      "/etc/ssh/ssh_host_ed25519_key.pub); if the new key is right: twofold copy "
                      "trust PLACE, or for an agent: twofold agent enrol NAME"));
}

/* --- login --------------------------------------------------------------------------------------------------------- */
static int log_in(struct link *l, struct ssh_orders *o, struct err *e)
{
    int got, rc = 0;
    do {
        got = libssh2_userauth_publickey_frommemory(l->session, o->user, strlen(o->user), NULL, 0,
                                                    o->private_key, strlen(o->private_key), NULL);
        if (got == LIBSSH2_ERROR_EAGAIN)
            rc = wait_socket(l, e);
    } while (got == LIBSSH2_ERROR_EAGAIN && rc == 0);
    if (rc < 0 || got == 0)
        return rc;
    if (got == LIBSSH2_ERROR_AUTHENTICATION_FAILED || got == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED) {
        err_set(e, ERR_REFUSED, _("the host does not let \"%s\" in with this key"), o->user);
        return err_next(e, _("put the public key into ~/.ssh/authorized_keys of \"%s\" there"),
                        o->user);
    }
    /* Of a key that it cannot read libssh2 says one of these, the last also of a host that breaks the protocol. */
    if (got == LIBSSH2_ERROR_FILE || got == LIBSSH2_ERROR_METHOD_NOT_SUPPORTED ||
        got == LIBSSH2_ERROR_METHOD_NONE || got == LIBSSH2_ERROR_PROTO) {
        err_set(e, ERR_KEY, _("the private key cannot be used"));
        return err_next(e, _("it must be an Ed25519 or ECDSA key without a passphrase: make a new "
                             "one"));
    }
    return lib_failed(l, _("login"), e);
}

static int open_channel(struct link *l, struct err *e)
{
    int rc = 0;
    do {
        l->channel = libssh2_channel_open_ex(l->session, "session", strlen("session"),
                                             CHANNEL_WINDOW_BYTES, CHANNEL_PACKET_BYTES, NULL, 0);
        if (!l->channel && libssh2_session_last_errno(l->session) != LIBSSH2_ERROR_EAGAIN)
            return lib_failed(l, _("open a channel"), e);
        if (!l->channel)
            rc = wait_socket(l, e);
    } while (!l->channel && rc == 0);
    return rc;
}

static int start_program(struct link *l, const struct ssh_orders *o, struct err *e)
{
    const char *request = o->mode == SSH_COMMAND ? "exec" : "subsystem";
    int got, rc = 0;
    do {
        got = libssh2_channel_process_startup(l->channel, request, (unsigned)strlen(request),
                                              o->command, (unsigned)strlen(o->command));
        if (got == LIBSSH2_ERROR_EAGAIN)
            rc = wait_socket(l, e);
    } while (got == LIBSSH2_ERROR_EAGAIN && rc == 0);
    if (rc < 0 || got == 0)
        return rc;
    rc = lib_failed(l, _("start"), e);
    if (o->mode == SSH_SUBSYSTEM)
        err_next(e, _("the host must offer the subsystem sftp (Subsystem in its sshd_config)"));
    return rc;
}

static int open_all(struct link *l, struct ssh_orders *o, char **ret_key, struct err *e)
{
    int rc = prefer_methods(l, o->mode == SSH_LOOK ? NULL : o->host_key, e);
    if (rc == 0)
        rc = shake_hands(l, e);
    if (rc == 0)
        rc = check_host(l, o, ret_key, e);
    if (rc < 0 || o->mode == SSH_LOOK)
        return rc;
    rc = log_in(l, o, e);
    OPENSSL_cleanse(o->private_key, strlen(o->private_key));
    if (rc == 0)
        rc = open_channel(l, e);
    return rc < 0 ? rc : start_program(l, o, e);
}

int link_open(int sock, struct ssh_orders *o, struct link **ret, char **ret_host_key, struct err *e)
{
    struct link *l = calloc(1, sizeof *l);
    if (l)
        l->ahead = malloc(AHEAD_BYTES);
    if (l)
        l->session = libssh2_session_init_ex(NULL, NULL, NULL, l);
    if (!l || !l->ahead || !l->session) {
        link_close(l);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    l->sock = sock;
    l->deadline = sys_monotonic_ms() + o->deadline_ms;
    libssh2_session_set_blocking(l->session, 0);
    union {
        LIBSSH2_RECV_FUNC((*f));
        void *p;
    } callback = { .f = receive_ahead };
    libssh2_session_callback_set(l->session, LIBSSH2_CALLBACK_RECV, callback.p);
    int rc = open_all(l, o, ret_host_key, e);
    if (rc < 0) {
        err_wrap(e, "%s", o->host);
        link_close(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void link_close(struct link *l)
{
    if (!l)
        return;
    if (l->session) {
        /* Said once, as far as it goes at once; nobody waits for a host that may be gone. */
        libssh2_session_disconnect(l->session, "");
        libssh2_session_free(l->session);
    }
    free(l->ahead);
    free(l);
}
