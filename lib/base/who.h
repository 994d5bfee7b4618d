/* who.h - the person behind this process, for everything that says who did something. */
#ifndef TWOFOLD_BASE_WHO_H
#define TWOFOLD_BASE_WHO_H

/* Who logged in (or SUDO_USER) and as whom it runs, "wang (as root)"; "twofoldd" for that program. Returns out. */
#define AUDIT_WHO_BYTES 160
const char *audit_who(char out[AUDIT_WHO_BYTES]);

#endif
