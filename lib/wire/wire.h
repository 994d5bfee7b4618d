/*
 * wire.h - the framed protocol between orchestrator and agent over a stream (a socket pair now, SSH's
 * stdin and stdout later). docs/protocol.md describes every frame. A frame is u32 length of the payload,
 * u8 type, payload. Everything is bounded, every wait has a deadline.
 *
 * One thread receives; any number may send (a frame is sent whole under a lock).
 */
#ifndef TWOFOLD_WIRE_WIRE_H
#define TWOFOLD_WIRE_WIRE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wire/hooks.h"
#include "lib/wire/source_spec.h"

#define WIRE_VERSION_MIN 1
#define WIRE_VERSION_MAX 1
#define MAX_FRAME_BYTES (9u << 20) /* a sealed chunk and its header fit */
#define MAX_FRAME_IDS 4096         /* ids in one HAVE, GET or REACH frame */
#define WIRE_DEADLINE_MS 120000    /* no frame for so long: the peer is gone */
#define WIRE_SEND_DEADLINE_MS \
    900000 /* none taken for so long: longer, for a slow copy holds up what is sent */
#define WIRE_BEAT_MS 1000 /* each side sends PROGRESS or PING at least so often */

enum frame_type {
    /* both */
    FRAME_HELLO = 1, /* "twofold" ‖ u16 min ‖ u16 max ‖ blob program version ‖ blob host name */
    FRAME_ERROR, /* varint code ‖ blob what ‖ blob why ‖ blob next; the sender has given up */
    FRAME_PING,  /* empty: still here */
    /* orchestrator to agent */
    FRAME_BACKUP = 16,
    FRAME_HAD,
    FRAME_COMMITTED,
    FRAME_RESTORE,
    FRAME_KEY,
    FRAME_CHUNK,
    FRAME_CANCEL,
    FRAME_PAUSE, /* empty: a PING of one who takes nothing for as long as somebody wishes */
    FRAME_LOGS,  /* this one and the others of logs: agents/log_frames.h */
    FRAME_LOGGED,
    FRAME_LOG_LIST,
    FRAME_LOG_END,
    FRAME_HOST, /* agents/host/frames.h */
    /* agent to orchestrator */
    FRAME_HAVE = 32,
    FRAME_PUT,
    FRAME_DATAKEY,
    FRAME_NOTE,
    FRAME_PROGRESS,
    FRAME_REACH,
    FRAME_SNAPSHOT,
    FRAME_GET,
    FRAME_BAD,
    FRAME_DIFF,
    FRAME_DONE,
    FRAME_LOG,
    FRAME_LOG_HEAD,
    FRAME_WANT_LOG,
    FRAME_FACTS
};

struct wire;
/* Both descriptors (which may be the same) are made non-blocking; closed by wire_free when `own`. */
struct wire *wire_new(int in_fd, int out_fd, bool own);
void wire_free(struct wire *w);
/* `peer` names the other side in errors ("agent local"); copied. */
void wire_set_peer(struct wire *w, const char *peer);
/* What a timeout of 0 means from now on, instead of WIRE_DEADLINE_MS. */
void wire_set_deadline(struct wire *w, unsigned ms);
/* How long the peer may take nothing, instead of WIRE_SEND_DEADLINE_MS. */
void wire_set_send_deadline(struct wire *w, unsigned ms);
/* For an agent: a PAUSE that comes is no error but renews that deadline, as long as another thread receives. */
void wire_let_pause(struct wire *w);
/* A bound on bytes a second, in both directions together; at most MAX_WIRE_LIMITS of them, borrowed until wire_free. The thread that
 * sends or receives waits, so set it on one side only: the one that need not hurry. PINGs pass. */
#define MAX_WIRE_LIMITS 2
struct rate;
void wire_add_limit(struct wire *w, struct rate *r);

/* Sends head and then body (may be NULL) as one frame. -ERR_TIMEOUT, -ERR_UNREACHABLE (peer closed). */
int wire_send(struct wire *w, enum frame_type type, const struct wbuf *head, const void *body,
              size_t body_len, struct err *e);
/* The next frame; *ret_payload is borrowed until the next call. PINGs are taken silently (they renew the
 * deadline). An ERROR of the peer becomes this call's error (its code, what, why, next).
 * timeout_ms 0: WIRE_DEADLINE_MS. -ERR_PROTOCOL: over-long or unknown; -ERR_UNREACHABLE: end of stream. */
int wire_recv(struct wire *w, enum frame_type *ret_type, struct rbuf *ret_payload,
              unsigned timeout_ms, struct err *e);
/* PINGs say that a peer lives, not that it gets on. From now on wire_recv fails with -ERR_TIMEOUT once `ms` have passed, whatever
 * comes, until this is called again; 0: no such bound (the beginning). For the thread that receives. */
void wire_set_stall(struct wire *w, unsigned ms);
/* True when a whole frame can be taken without waiting. */
bool wire_pending(struct wire *w);
int wire_fd(const struct wire *w); /* for poll: the receiving one */
/* Tells the peer why we stop; errors of sending are ignored. */
void wire_send_error(struct wire *w, const struct err *e);
/* The peer has said why it stops: the last error is its own, and tells nothing of the link. */
bool wire_told(const struct wire *w);
/* Both sides send HELLO first. -ERR_VERSION: no common version (next: which side to upgrade). */
int wire_hello(struct wire *w, const char *program_version, char ret_host[256], struct err *e);
const char *wire_peer_version(const struct wire *w); /* of its program, as it said; "" before */

/* --- payloads: written by wb_*, read back by these, each checked against its bounds ------------------- */
#define MAX_PATTERNS 1024
struct msg_backup { /* FRAME_BACKUP */
    struct id vault_id;
    uint8_t recovery_pk[32];
    uint8_t dedup_key[32];
    char *policy, *source; /* names, for state and for the body's binding */
    unsigned compression;
    bool one_file_system, skip_cache_dirs, want_estimate, force_full;
    enum source_delta delta; /* of files */
    char **roots, **exclude; /* absolute paths; globs */
    size_t n_roots, n_exclude;
    struct id
        *live; /* snapshots of this source that the vault still has, newest first: valid bases */
    size_t n_live;
    struct source_spec
        *sources; /* owned; what is no tree of files. Without roots there must be one */
    size_t n_sources;
    bool
        probe; /* back nothing up: say of each source (NOTE) what there is and what is missing; answered by DONE */
    struct hooks hooks; /* owned */
};
void msg_backup_write(struct wbuf *w, const struct msg_backup *m);
int msg_backup_read(struct rbuf *r, struct msg_backup *ret, struct err *e);
void msg_backup_done(struct msg_backup *m);

/* FRAME_HAVE, FRAME_GET, FRAME_REACH: varint n ‖ ids.  FRAME_HAD: varint n ‖ ceil(n/8) bytes, bit i of
 * byte i/8 set: it is there (answers come in the order of the questions, one HAD a HAVE).
 * FRAME_BAD: id ‖ blob why (the agent could not open what CHUNK brought; a CHUNK for it follows again). */
#define MAX_FRAME_TEXT 4096

/* FRAME_PUT: id ‖ varint counter ‖ sealed bytes to the end. The data key is that of FRAME_DATAKEY:
 * id key id ‖ blob HPKE, sent once before the first PUT. */

struct msg_snapshot { /* FRAME_SNAPSHOT, after all REACH frames; answered by COMMITTED (id) */
    struct id base;   /* zeros: none */
    int64_t started_ns, ended_ns;
    uint64_t files, dirs, others, bytes, bytes_read, problems;
    uint64_t counter;    /* of the body's nonce */
    const uint8_t *body; /* sealed; borrowed */
    size_t body_len;
};
void msg_snapshot_write(struct wbuf *w, const struct msg_snapshot *m);
int msg_snapshot_read(struct rbuf *r, struct msg_snapshot *ret, struct err *e);
#define MAX_BODY_BYTES (8u << 20)

struct msg_progress { /* FRAME_PROGRESS, from the agent once a second */
    uint8_t phase;    /* 0 scanning and reading, 1 finishing, 2 restoring, 3 verifying */
    uint64_t files, bytes, bytes_read, problems;
    uint64_t total_files, total_bytes; /* 0: not known */
    const char *path;                  /* what it is at; borrowed */
    size_t path_len;
};
void msg_progress_write(struct wbuf *w, const struct msg_progress *m);
int msg_progress_read(struct rbuf *r, struct msg_progress *ret, struct err *e);

struct msg_note {            /* FRAME_NOTE */
    bool problem;            /* false: only worth knowing (a socket was skipped) */
    const char *path, *text; /* borrowed; text is for people, already translated */
    size_t path_len, text_len;
};
void msg_note_write(struct wbuf *w, const struct msg_note *m);
int msg_note_read(struct rbuf *r, struct msg_note *ret, struct err *e);

struct msg_facts {           /* FRAME_FACTS: what there is, for programs: one object of JSON */
    const char *name, *text; /* borrowed; name: a word, "recovered" */
    size_t name_len, text_len;
};
#define MAX_FACTS_NAME 32
#define MAX_FACTS_TEXT (1u << 20)
void msg_facts_write(struct wbuf *w, const struct msg_facts *m);
int msg_facts_read(struct rbuf *r, struct msg_facts *ret, struct err *e);

enum restore_mode { RESTORE_APPLY = 0, RESTORE_COMPARE = 1 };
struct msg_restore { /* FRAME_RESTORE */
    struct id vault_id, snapshot_id;
    enum restore_mode mode;
    bool overwrite, strip_source;
    bool delta; /* with overwrite: files in pages that are there are made right where they are */
    bool set_aside; /* what is there and not in the snapshot is set aside */
    bool
        resolved; /* not on the wire: the target was resolved when it was allowed; a link on its way is somebody's */
    char *target; /* absolute folder; for COMPARE: "/" or another root to compare with */
    char **paths; /* absolute, only these and what is below; none: everything */
    size_t n_paths;
    char **exclude; /* what the policy leaves out is not "added" (COMPARE), and not extra */
    size_t n_exclude;
    uint8_t *body; /* the snapshot's body, opened; owned */
    size_t body_len;
    char *
        strip; /* absolute: what is at or below this path of the snapshot comes right below the target; NULL: nothing is taken off */
    struct source_spec
        *sources; /* owned; whose drivers have steps of their own once the files are there */
    size_t n_sources;
    char **
        scan; /* owned; a command, and what was restored as its last word, before it is put into service */
    size_t n_scan;
    unsigned scan_limit_s; /* 0: DEFAULT_HOOK_LIMIT_S */
};
void msg_restore_write(struct wbuf *w, const struct msg_restore *m);
int msg_restore_read(struct rbuf *r, struct msg_restore *ret, struct err *e);
void msg_restore_done(struct msg_restore *m);

/* FRAME_KEY: id key id ‖ data key[32]; always sent before the first CHUNK that needs it. */
enum chunk_status {
    CHUNK_OK = 0,
    CHUNK_LOST = 1 /* damaged or absent in every copy */,
    CHUNK_AWAY = 2 /* a copy that may have it could not be reached */
};
struct msg_chunk { /* FRAME_CHUNK; answers come in the order of the GETs and BADs */
    struct id id, key_id;
    enum chunk_status status;
    uint64_t counter;
    const uint8_t *sealed; /* borrowed; empty unless OK */
    size_t sealed_len;
};
/* Without the sealed bytes, which go as wire_send's body. */
void msg_chunk_write(struct wbuf *w, const struct msg_chunk *m);
int msg_chunk_read(struct rbuf *r, struct msg_chunk *ret, struct err *e);

struct msg_diff { /* FRAME_DIFF */
    char change;  /* 'A' only live, 'D' only in the snapshot, 'M' content, 'm' metadata, 'T' type */
    const char *path;
    size_t path_len;
    unsigned what; /* bits for 'm': 1 mode 2 owner 4 mtime 8 xattrs/ACL 16 flags 32 link target */
};
void msg_diff_write(struct wbuf *w, const struct msg_diff *m);
int msg_diff_read(struct rbuf *r, struct msg_diff *ret, struct err *e);

struct msg_done { /* FRAME_DONE: the restore or comparison has ended */
    uint64_t files, dirs, others, bytes, already, failed, set_aside;
    uint64_t extra, extra_aside; /* there and not in the snapshot; of these: set aside */
};
void msg_done_write(struct wbuf *w, const struct msg_done *m);
int msg_done_read(struct rbuf *r, struct msg_done *ret, struct err *e);

#endif
