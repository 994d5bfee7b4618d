/*
 * sys.h - the only module that makes system calls which touch disks, wires and processes for the
 * sake of keeping data. It retries short reads, short writes and EINTR, gives every wait a deadline,
 * and holds the fault points that tests sweep.
 *
 * Fault points (only in builds with -DTWOFOLD_FAULTS): every call below that can change a disk is a
 * numbered step. TWOFOLD_FAULT="kill@N" ends the process by SIGKILL before step N, "stop@N" stops it there by SIGSTOP, "fail@N:ENOSPC"
 * makes step N fail with that errno, "fail@N+:EIO" that one and all that follow, and
 * "count:FILE" writes the number of steps to FILE at exit. TWOFOLD_FAULT_PROGRAM=NAME limits it to
 * the program of that name (program_invocation_short_name). openat2 can be made to fail with
 * TWOFOLD_FAULT="noopenat2" (the fallback for kernels before 5.6), and "clock+SECONDS" or "clock-SECONDS" sets
 * sys_realtime_s and sys_realtime_ns ahead or back; "fstab:FILE" has FILE read instead of /etc/fstab.
 *
 * Paths named in errors are the caller's. All functions are safe to use from several threads.
 */
#ifndef TWOFOLD_BASE_SYS_H
#define TWOFOLD_BASE_SYS_H

#include "lib/base/err.h"
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* --- files ------------------------------------------------------------------------------- */
/* Always O_CLOEXEC. Return a descriptor or a negative code. Fault points when they are to create or
 * truncate. */
int sys_openat(int dirfd, const char *path, int flags, mode_t mode, struct err *e);
/* Opens `path` (relative, may have many components, none of them "..") below dirfd and never
 * through a symbolic link, also not as the last component (O_NOFOLLOW is implied; with O_PATH a
 * final symlink itself is opened). openat2(RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS|
 * RESOLVE_NO_MAGICLINKS); where the kernel has none (ENOSYS, EPERM by seccomp) or the path is
 * longer than PATH_MAX, one openat(O_NOFOLLOW) per component. -ERR_REFUSED: a symlink or "..". */
int sys_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *e);
/* Opens a folder by its absolute path. no_links: the path was resolved before it was allowed; a link that has come to lie on it since
 * is refused. */
int sys_open_folder(const char *path, bool no_links, struct err *e);
/* Reads until n bytes or the end of file; returns what was read (less than n only at the end). */
ssize_t sys_read(int fd, void *p, size_t n, struct err *e);
ssize_t sys_pread(int fd, void *p, size_t n, uint64_t off, struct err *e);
int sys_write(int fd, const void *p, size_t n, struct err *e);                /* fault point */
int sys_pwrite(int fd, const void *p, size_t n, uint64_t off, struct err *e); /* fault point */
/* Copies n bytes from in (at *off_in, which advances) to the end of out, in the kernel where it
 * can. -ERR_DAMAGED when `in` ends early. Errors of reading and of writing are told apart:
 * *ret_read_side says which it was (may be NULL). */
int sys_copy(int in, uint64_t off_in, int out, uint64_t n, bool *ret_read_side,
             struct err *e);                         /* fault point */
int sys_truncate(int fd, uint64_t n, struct err *e); /* to n bytes; fault point */
int sys_fsync(int fd, struct err *e);                /* fault point */
int sys_syncfs(int fd, struct err *e);               /* fault point */
int sys_close(int fd, struct err *e); /* -1 is ignored; -ERR_IO when the kernel says so */
void sys_close_quiet(int fd);         /* for descriptors that were only read; keeps errno */
int sys_renameat(int od, const char *op, int nd, const char *np, bool replace,
                 struct err *e);                                         /* fault point */
int sys_unlinkat(int dirfd, const char *path, int flags, struct err *e); /* fault point */
int sys_mkdirat(int dirfd, const char *path, mode_t mode,
                struct err *e); /* fault point; EEXIST is an error */
/* Makes a folder of mode 0700, and opens it; -ERR_EXISTS as above. Where the folder around it is another user's, that one may put something
 * else there before it is opened: -ERR_REFUSED, unless it is a folder of ours. */
int sys_make_folder(int dirfd, const char *name, struct err *e);
/* mkdir -p; existing folders are fine (but anything else in the way is -ERR_EXISTS). */
int sys_mkdir_p(const char *path, mode_t mode, struct err *e);
int sys_fsync_dir(int dirfd, const char *path,
                  struct err *e); /* opens, fsyncs, closes; fault point */
/* A whole small file: owned memory, NUL-terminated beyond *ret_len. -ERR_LIMIT over max bytes. */
int sys_read_file(int dirfd, const char *path, size_t max, uint8_t **ret, size_t *ret_len,
                  struct err *e);
/* The same of a folder that another user may write to, who can put there what means another's file: -ERR_REFUSED for what is not a file
 * with this name alone. Below a folder no part of the path is a link; with AT_FDCWD the last one is none. It never waits. */
int sys_read_plain(int dirfd, const char *path, size_t max, uint8_t **ret, size_t *ret_len,
                   struct err *e);
/* Makes or replaces a file so that a crash leaves the old or the new one: temporary name beside it,
 * write, fsync, rename, fsync of the folder. */
int sys_write_file(int dirfd, const char *path, const void *p, size_t n, mode_t mode,
                   struct err *e);
/* An exclusive lock on the file (made when absent, mode 0600), held until the descriptor is closed.
 * Returns the descriptor; -ERR_BUSY when another process holds it. */
int sys_lock_file(const char *path, struct err *e);
/* On what is open already, a folder, too, until it is closed. -ERR_BUSY: another process has it. Where the file system has no locks (some that
 * are mounted from elsewhere), nothing is locked, and that is no error. */
int sys_lock_open(int fd, struct err *e);
/* Does somebody hold that lock? 1: yes, or it cannot be told; 0: nobody does, or there is no such file. */
int sys_lock_held(const char *path);

/* --- time and chance ---------------------------------------------------------------------- */
uint64_t sys_monotonic_ms(void);
uint64_t sys_monotonic_us(void);
int64_t sys_realtime_s(void);
int64_t sys_realtime_ns(void); /* since 1970; good until 2262 */
/* Which start of this machine it is: a UUID that each has; "" where that cannot be told. */
#define SYS_BOOT_ID_BYTES 40
void sys_boot_id(char ret[SYS_BOOT_ID_BYTES]);
void sys_random(void *p, size_t n); /* getrandom; aborts the process when the kernel has none */

/* --- processes and wires -------------------------------------------------------------------- */
/* Starts argv[0] (a path) with one end of a new socket pair as its descriptors 0 and 1; stderr stays.
 * `extra_fd` (or -1) becomes its descriptor 3. Everything else is closed. The child dies with this
 * process (PR_SET_PDEATHSIG; to the kernel that is the calling thread, which must live as long).
 * Returns our end, non-blocking; *ret_pid is for sys_reap. */
int sys_spawn(const char *const argv[], int extra_fd, pid_t *ret_pid, struct err *e);
/* The same; err_fd (or -1) becomes its stderr. */
int sys_spawn_heard(const char *const argv[], int extra_fd, int err_fd, pid_t *ret_pid,
                    struct err *e);
/* A program of somebody else's, in a process group of its own, with just these descriptors (-1: /dev/null). It dies with us as above. */
#define MAX_CHILD_GROUPS 64
struct sys_child {
    const char *const *argv; /* argv[0]: a whole path */
    const char *const *env;
    int in_fd, out_fd, err_fd;
    bool
        outlives; /* it goes on when we end, in a session of its own, and is nobody's to wait for: *ret_pid is 0 */
    bool as_user; /* only root can */
    uid_t uid;
    gid_t gid, groups[MAX_CHILD_GROUPS];
    size_t n_groups;
};
int sys_spawn_group(const struct sys_child *c, pid_t *ret_pid, struct err *e);
/* Where a program of ours lies: what the environment variable says, else beside this program, else in the
 * PATH. `out` has PATH_MAX bytes. -ERR_ABSENT, with where it was looked for. */
int sys_program_path(const char *name, const char *variable, char *out, struct err *e);
/* Waits for the child until the deadline (ms from now); then SIGKILL. *ret_status as of waitpid. */
int sys_reap(pid_t pid, unsigned timeout_ms, int *ret_status, struct err *e);
/* poll() for `events` on fd. 0: ready; -ERR_TIMEOUT. A signal that set sys_interrupted ends it with
 * -ERR_INTERRUPTED. */
int sys_wait_fd(int fd, short events, int timeout_ms, struct err *e);
/* Room for n bytes in a pipe or a local socket, as far as the system allows: fewer turns between two processes. */
void sys_widen(int fd, size_t n);

/* Installs handlers for SIGINT, SIGTERM and SIGHUP that set the flag below (and SIGPIPE ignored). */
void sys_catch_signals(void);
bool sys_interrupted(void);

/* --- fault points, for modules that make their own calls (agents/apply.c) --------------------- */
/* Returns 0, or -1 with errno set when this step is to fail; may not return at all. Compiled to
 * nothing without TWOFOLD_FAULTS. */
#ifdef TWOFOLD_FAULTS
int sys_fault_step(void);
#else
static inline int sys_fault_step(void)
{
    return 0;
}
#endif

#endif
