/* who.c - see who.h. */
#include "lib/base/who.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool name_of_uid(uid_t uid, char *out, size_t max)
{
    struct passwd pw, *found = NULL;
    char buf[4096];
    if (getpwuid_r(uid, &pw, buf, sizeof buf, &found) != 0 || !found)
        return false;
    snprintf(out, max, "%s", found->pw_name);
    return true;
}

/* Who logged in, whatever they became since (the kernel's audit session; 2^32 - 1: nobody did). */
static bool login_uid(uid_t *ret)
{
    uint8_t *text = NULL;
    size_t n = 0;
    if (sys_read_file(AT_FDCWD, "/proc/self/loginuid", 32, &text, &n, NULL) < 0)
        return false;
    unsigned long uid = strtoul((const char *)text, NULL, 10);
    free(text);
    *ret = (uid_t)uid;
    return uid < UINT32_MAX;
}

const char *audit_who(char out[AUDIT_WHO_BYTES])
{
    char user[64], as[64];
    const char *sudo = getenv("SUDO_USER");
    uid_t uid = geteuid(), login;
    bool known = login_uid(&login) && name_of_uid(login, user, sizeof user);
    if (strcmp(program_invocation_short_name, "twofoldd") == 0)
        return strcpy(out, "twofoldd");
    if (!name_of_uid(uid, as, sizeof as))
        snprintf(as, sizeof as, "uid %u", (unsigned)uid);
    if (known && strcmp(user, as) != 0)
        snprintf(out, AUDIT_WHO_BYTES, "%s (as %s)", user, as);
    else if (!known && uid == 0 && sudo &&
             *sudo) /* anybody can write that; the kernel's word is better */
        snprintf(out, AUDIT_WHO_BYTES, "%.63s (as %s)", sudo, as);
    else
        snprintf(out, AUDIT_WHO_BYTES, "%s", as);
    return out;
}
