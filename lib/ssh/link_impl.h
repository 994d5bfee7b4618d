/* link_impl.h - what link.c (making the connection) and link_carry.c (using it) share. */
#ifndef TWOFOLD_SSH_LINK_IMPL_H
#define TWOFOLD_SSH_LINK_IMPL_H

#include "lib/ssh/link.h"
#include <libssh2.h>

struct link {
    LIBSSH2_SESSION *session;
    LIBSSH2_CHANNEL *channel;
    int sock;
    uint64_t deadline;
    /* What was received and libssh2 has not taken yet: it asks for 16 KiB at a time. */
    uint8_t *ahead;
    size_t ahead_at, ahead_end;
};

#endif
