/* keylines.c - edits ~/.ssh/authorized_keys; the manual is keylines.h, the format sshd(8). */
#include "agents/keylines.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_KEYS_FILE (1u << 20)
#define TAG "twofold:"

bool public_key_ok(const char *key)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t type = strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-@."), n = 0;
    if (type < 4 || key[type] != ' ' || strlen(key) > MAX_KEY_LINE / 2)
        return false;
    for (const char *c = key + type + 1; *c; c++, n++)
        if (!strchr(letters, *c) && !strchr("+/=", *c))
            return false;
    return n >= 32;
}

static bool ends_with_tag(const char *line, size_t len, const char *name)
{
    size_t n = strlen(TAG) + strlen(name);
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    return len > n && line[len - n - 1] == ' ' && memcmp(line + len - n, TAG, strlen(TAG)) == 0 &&
           memcmp(line + len - n + strlen(TAG), name, strlen(name)) == 0;
}

/* As whole words; options in front may hold anything in quotes, but no key. */
static bool has_key(const char *line, size_t len, const char *key)
{
    const char *base64 = strchr(key, ' ') + 1;
    size_t n = strlen(base64);
    const char *at = memmem(line, len, base64, n);
    return at && at > line && at[-1] == ' ' && (at + n == line + len || strchr(" \r", at[n]));
}

/* --- the file ---------------------------------------------------------------------------------------- */
static int read_keys(int dir, char **ret, size_t *ret_len, struct err *e)
{
    struct stat st;
    uint8_t *text = NULL;
    *ret_len = 0;
    if (fstatat(dir, "authorized_keys", &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode)) {
        err_set(e, ERR_REFUSED, _("it is not a plain file"));
        return err_next(e, _("put a file in the place of the link, then enrol again"));
    }
    int rc = sys_read_file(dir, "authorized_keys", MAX_KEYS_FILE, &text, ret_len, e);
    if (rc == -ERR_ABSENT) {
        *ret = strdup("");
        return *ret ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    }
    *ret = (char *)text;
    return rc;
}

static int open_folder(const char *home, bool make, struct err *e)
{
    char *path = NULL;
    if (asprintf(&path, "%s/.ssh", home) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = make ? sys_mkdir_p(path, 0700, e) : 0;
    int fd = rc == 0 ? sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, e) : rc;
    free(path);
    return fd;
}

static bool to_drop(const struct keylines *k, const char *line, size_t len)
{
    if (k->options && has_key(line, len, k->key))
        return true;
    if (!ends_with_tag(line, len, k->name))
        return false;
    for (size_t i = 0; i < k->n_keep; i++)
        if (has_key(line, len, k->keep[i]))
            return false;
    return true;
}

/* What is to stay of the text. */
static size_t filter(const struct keylines *k, const char *text, size_t len, struct wbuf *w)
{
    size_t removed = 0;
    for (size_t at = 0; at < len;) {
        const char *line = text + at, *end = memchr(line, '\n', len - at);
        size_t n = end ? (size_t)(end - line) : len - at;
        if (to_drop(k, line, n)) {
            removed++;
        } else {
            wb_bytes(w, line, n);
            wb_u8(w, '\n');
        }
        at += n + 1;
    }
    return removed;
}

int keylines_change(const struct keylines *k, size_t *ret_removed, struct err *e)
{
    struct wbuf w = WBUF_INIT;
    char *text = NULL, *line = NULL;
    size_t len = 0, removed = 0;
    int dir = open_folder(k->home, k->options != NULL, e);
    int rc = dir < 0 ? dir : read_keys(dir, &text, &len, e);
    if (rc == 0)
        removed = filter(k, text, len, &w);
    if (rc == 0 && k->options) {
        int n = asprintf(&line, "%s %s %s%s\n", k->options, k->key, TAG, k->name);
        wb_bytes(&w, n < 0 ? "" : line, n < 0 ? 0 : (size_t)n);
        w.failed |= n < 0;
        free(n < 0 ? NULL : line);
    }
    if (rc == 0 && w.failed)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0 && (removed || k->options))
        rc = sys_write_file(dir, "authorized_keys", w.p ? w.p : (const void *)"", w.len, 0600, e);
    sys_close_quiet(dir < 0 ? -1 : dir);
    free(text);
    wbuf_free(&w);
    if (rc == -ERR_ABSENT && !k->options)
        rc = 0; /* no folder: no lines */
    if (ret_removed)
        *ret_removed = removed;
    return rc < 0 ? err_wrap(e, "%s/.ssh/authorized_keys", k->home) : 0;
}

int keylines_has(const char *home, const char *name, const char *key, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int found = 0, dir = open_folder(home, false, e);
    int rc = dir < 0 ? dir : read_keys(dir, &text, &len, e);
    for (size_t at = 0; rc == 0 && at < len;) {
        const char *line = text + at, *end = memchr(line, '\n', len - at);
        size_t n = end ? (size_t)(end - line) : len - at;
        found |= ends_with_tag(line, n, name) && has_key(line, n, key);
        at += n + 1;
    }
    sys_close_quiet(dir < 0 ? -1 : dir);
    free(text);
    return rc < 0 ? err_wrap(e, "%s/.ssh/authorized_keys", home) : found;
}
