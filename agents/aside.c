/* aside.c - the names of what a restore sets aside; see apply.h. */
#include "agents/apply.h"

#include <string.h>

#define DIGITS "0123456789"
#define SNAPSHOT_DIGITS 8

/* "20261126T143000Z" */
static bool is_stamp(const char *p)
{
    return strspn(p, DIGITS) == 8 && p[8] == 'T' && strspn(p + 9, DIGITS) == 6 && p[15] == 'Z';
}

const char *restore_aside_stamp(const char *name)
{
    const char *p = name + strlen(RESTORE_ASIDE);
    if (strncmp(name, RESTORE_ASIDE, strlen(RESTORE_ASIDE)) == 0) {
        if (strspn(p, DIGITS "abcdef") != SNAPSHOT_DIGITS || p[SNAPSHOT_DIGITS] != '-')
            return NULL;
        p += SNAPSHOT_DIGITS + 1;
    } else if (strncmp(name, RESTORE_EXTRA, strlen(RESTORE_EXTRA)) == 0) {
        p = name + strlen(RESTORE_EXTRA);
    } else {
        return NULL;
    }
    if (!is_stamp(p))
        return NULL;
    const char *end = p + ASIDE_STAMP_LEN;
    size_t more = end[0] == '-' ? strspn(end + 1, DIGITS) : 0;
    if (more > 0 && more < 4)
        end += 1 + more;
    return *end == '\0' || *end == '/' ? p : NULL;
}
