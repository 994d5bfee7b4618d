/*
 * frames.h - what an orchestrator asks of a host beside backups and restores (docs/protocol.md), and how it is answered:
 *
 * FRAME_HOST   orchestrator, as the job: u8 what ‖ blob policy ‖ blob name ‖ list words ‖ varint limit, s ‖ list roots ‖
 *              u8 (1: sources follow) ‖ [sources]
 * FRAME_FACTS  agent: blob name ‖ blob JSON, as often as it takes; then FRAME_DONE. NOTE, PROGRESS and CANCEL as in a restore
 */
#ifndef TWOFOLD_AGENTS_HOST_FRAMES_H
#define TWOFOLD_AGENTS_HOST_FRAMES_H

#include "lib/wire/wire.h"

enum host_what { HOST_FACTS = 1, HOST_RUN, HOST_SCENE, HOST_CLEAR, HOST_DROP };
#define MAX_HOST_NAME 128

/* CLEAR takes folders away that restores in place made and did not put into service: all; all but the one named, unless a server was started on
 * that; with HOST_TRIED only those. */
#define HOST_TRIED "tried"

struct msg_host {
    enum host_what what;
    char *policy; /* owned, as all below */
    char *name; /* SCENE, RUN: of the incident (RUN: or ""); CLEAR: as above; DROP: of the drill */
    char **words; /* RUN */
    size_t n_words;
    unsigned limit_s; /* RUN: at most MAX_COMMAND_LIMIT_S */
    char *
        *roots; /* FACTS, CLEAR: folders of files; DROP: folders with the drill's name; absolute */
    size_t n_roots;
    struct source_spec *sources; /* with settings of a restore: where their places are */
    size_t n_sources;
    bool resolved; /* not on the wire: their places were resolved when they were allowed */
};
void msg_host_write(struct wbuf *w, const struct msg_host *m);
int msg_host_read(struct rbuf *r, struct msg_host *ret, struct err *e);
void msg_host_done(struct msg_host *m);

/* A name of an incident, that becomes a part of a folder's: a-z A-Z 0-9 . _ -, no dot first, at most 96 bytes. */
bool host_name_ok(const char *name);

#endif
