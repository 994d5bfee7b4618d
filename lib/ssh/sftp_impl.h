/* sftp_impl.h - what sftp.c (requests), sftp_data.c (reading and writing) and sftp_wire.c (packets) share. */
#ifndef TWOFOLD_SSH_SFTP_IMPL_H
#define TWOFOLD_SSH_SFTP_IMPL_H

#include "lib/ssh/packet.h"
#include "lib/ssh/sftp.h"

enum packet_type {
    FXP_INIT = 1,
    FXP_VERSION = 2,
    FXP_OPEN = 3,
    FXP_CLOSE = 4,
    FXP_READ = 5,
    FXP_WRITE = 6,
    FXP_LSTAT = 7,
    FXP_FSTAT = 8,
    FXP_OPENDIR = 11,
    FXP_READDIR = 12,
    FXP_REMOVE = 13,
    FXP_MKDIR = 14,
    FXP_RENAME = 18,
    FXP_STATUS = 101,
    FXP_HANDLE = 102,
    FXP_DATA = 103,
    FXP_NAME = 104,
    FXP_ATTRS = 105,
    FXP_EXTENDED = 200,
    FXP_EXTENDED_REPLY = 201,
};

#define FX_OK 0
#define FX_EOF 1
/* Longest data of one READ or WRITE that is asked for, whatever the server would take. */
#define MAX_DATA_BYTES (255u << 10)
#define DEFAULT_DATA_BYTES 32768
#define MAX_PACKET_BYTES (MAX_DATA_BYTES + (64u << 10))

#define MAX_SLOTS 128
#define MAX_UNHEARD (MAX_SLOTS + 16)

/* A request of sftp_read under way. id 0: free. */
struct slot {
    uint32_t id;
    size_t off, len; /* off: from where the read began */
};

/* What was asked for behind the end of the last read, for the next one: one stretch of a file, in order. */
struct ahead {
    struct slot slots[MAX_SLOTS]; /* off: from `off` */
    size_t n;
    uint64_t off;
    struct sftp_file file;
};

struct sftp {
    int fd;
    unsigned deadline_ms, features;
    struct rate *rate;
    bool broken;
    uint32_t last_id;
    size_t max_read, max_write;
    struct wbuf out;
    struct ahead ahead;
    uint32_t unheard[MAX_UNHEARD]; /* requests whose answers nobody waits for; 0: free */
    uint8_t *in;                   /* received: [at, end) is still to be taken */
    size_t at, end, cap;
    uint8_t *scratch; /* MAX_DATA_BYTES, of a source that is a file */
};

struct packet {
    unsigned type;
    uint32_t id;
    struct rbuf body; /* borrowed until the next one is received */
};

/* The answer to this request is thrown away when it comes. */
void packet_ignore(struct sftp *s, uint32_t id);
void sftp_forget_ahead(struct sftp *s);
/* Begins a request in s->out behind what is there; returns its id. packet_end sets its length; `extra` bytes will follow that do
 * not lie in the buffer. */
uint32_t packet_begin(struct sftp *s, unsigned type, size_t *ret_start);
void packet_end(struct sftp *s, size_t start, size_t extra);
/* Sends s->out, and behind it n bytes at p. Broken afterwards when it fails. */
int packet_send(struct sftp *s, const void *p, size_t n, struct err *e);
int packet_receive(struct sftp *s, struct packet *ret, struct err *e);
/* The server broke the rules: the connection is of no use any more. */
int packet_bad(struct sftp *s, struct err *e);
/* Of a STATUS: 0 or what it says (FX_EOF is -ERR_ABSENT, and *ret_eof). */
int packet_status(struct sftp *s, struct packet *p, bool *ret_eof, struct err *e);
bool packet_attrs(struct rbuf *r, struct sftp_attrs *ret);

#endif
