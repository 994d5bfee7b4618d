/*
 * apply.h - the target's side of a restore: writes the files of a snapshot below a folder, or
 * compares the snapshot with what is there. Called by the agent's main when a FRAME_RESTORE came.
 *
 * Apply. Everything is reached from one descriptor of the target folder, never through a symbolic
 * link, never outside of it. A file appears under its name only when all of its content is there
 * and has the right hash; one of which a chunk is lost does not appear at all, is named in a
 * problem, and the rest goes on. While it works, `<target>/.twofold-restore` says which restore
 * this is; the same restore may be run again and goes on where it ended. With `overwrite`, what is
 * in the way goes to `<target>/.twofold-aside-<snapshot>-<time>/`, nothing is deleted. At the end
 * the file system is synced once. Counts: `files`, `dirs` and `others` are in place, `already` of
 * the files were there with the right content, `bytes` were written, `failed` entries are not
 * there.
 *
 * Extra: with `delta` or `set_aside`, what lies in the restored folders of roots that are restored as a whole and is not in the snapshot
 * is counted (`extra`), and with `set_aside` renamed into `<target>/.twofold-extra-<time>/` (`extra_aside`). Never what `exclude` names, what
 * no backup has (sockets, all of a folder that is marked as a cache), what lies on another file system than the target, or what an entry
 * that is lost may have named. What earlier restores have set aside in the target stays, but with `set_aside` only what this one has.
 *
 * Compare. Sends a FRAME_DIFF for each difference, in path order: content is always read, since
 * who tampers with a file keeps its time. `already` counts the files that are equal.
 */
#ifndef TWOFOLD_AGENTS_APPLY_H
#define TWOFOLD_AGENTS_APPLY_H

#include "lib/wire/wire.h"

#define RESTORE_MARKER ".twofold-restore"
#define RESTORE_ASIDE ".twofold-aside-"
#define RESTORE_EXTRA ".twofold-extra-"
#define RESTORE_TEMP ".twofold-"
/* "<time>" in the name of a folder to which a restore sets aside, exactly as it makes them ("/" may follow); NULL: it is no such name.
 * A name proves nothing: after an attack such a folder may be the attacker's. */
#define ASIDE_STAMP_LEN 16
const char *restore_aside_stamp(const char *name);

/* Handles both modes, up to and with FRAME_DONE. While it runs, it alone reads from the wire, from
 * a thread of its own. Temporary files (names of hard links) go to the folder state_dir. The
 * process's umask is set to 0.
 *
 * Errors end the whole and are the caller's to send: -ERR_EXISTS (the target is not empty),
 * -ERR_USAGE (strip_source with several roots; a path that is not absolute), -ERR_ABSENT (nothing
 * of what was asked for is in the snapshot), -ERR_DAMAGED (the body), wire errors, -ERR_IO and
 * -ERR_NOSPACE (the target is full or broken). What concerns single files is only counted
 * (`failed`) and sent as FRAME_NOTE. */
int agent_restore(struct wire *w, const struct msg_restore *m, const char *state_dir,
                  struct err *e);

#endif
