/* sandbox.c - giving up what is not needed; see sandbox.h. */
#include "lib/ssh/sandbox.h"
#include "lib/base/i18n.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define NOBODY 65534
#define MAX_MEMORY_BYTES (192u << 20)
#define MAX_DESCRIPTORS 16

static int give_up_user(struct err *e)
{
    if (geteuid() != 0)
        return 0;
    const struct passwd *pw = getpwnam("nobody");
    uid_t uid = pw && pw->pw_uid ? pw->pw_uid : NOBODY;
    gid_t gid = pw && pw->pw_gid ? pw->pw_gid : NOBODY;
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return err_sys(e, _("become an unprivileged user"));
    return 0;
}

static int set_limits(struct err *e)
{
    static const struct {
        int what;
        rlim_t max;
    } limits[] = {
        { RLIMIT_CORE, 0 },
        { RLIMIT_NPROC, 0 },
        { RLIMIT_NOFILE, MAX_DESCRIPTORS },
#ifndef __SANITIZE_ADDRESS__
        { RLIMIT_DATA, MAX_MEMORY_BYTES },
#endif
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit l = { limits[i].max, limits[i].max };
        if (setrlimit((__rlimit_resource_t)limits[i].what, &l) < 0)
            return err_sys(e, _("limit what twofold-ssh may use"));
    }
    return 0;
}

static const int allowed[] = {
    SCMP_SYS(read),         SCMP_SYS(write),          SCMP_SYS(readv),
    SCMP_SYS(writev),       SCMP_SYS(recvfrom),       SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),       SCMP_SYS(sendmsg),        SCMP_SYS(poll),
    SCMP_SYS(ppoll),        SCMP_SYS(select),         SCMP_SYS(pselect6),
    SCMP_SYS(close),        SCMP_SYS(shutdown),       SCMP_SYS(brk),
    SCMP_SYS(munmap),       SCMP_SYS(mremap),         SCMP_SYS(madvise),
    SCMP_SYS(futex),        SCMP_SYS(clock_gettime),  SCMP_SYS(gettimeofday),
    SCMP_SYS(time),         SCMP_SYS(nanosleep),      SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),         SCMP_SYS(exit_group),     SCMP_SYS(getpid),
    SCMP_SYS(gettid),       SCMP_SYS(sched_yield),    SCMP_SYS(sigaltstack),
    SCMP_SYS(rseq),
};
/* Whoever does that has been taken over. */
static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(socket),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(bpf),
    SCMP_SYS(io_uring_setup),
};

/* Memory, but none that can be run; flags of descriptors, but no copies of them. */
static int allow_in_part(scmp_filter_ctx f)
{
    int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFL));
    return rc < 0 ? rc
                  : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                     SCMP_A1(SCMP_CMP_EQ, F_SETFL));
}

static int filter_calls(struct err *e)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = f ? 0 : -ENOMEM;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    if (rc == 0)
        rc = allow_in_part(f);
    if (rc == 0)
        rc = seccomp_load(f);
    if (f)
        seccomp_release(f);
    if (rc == 0)
        return 0;
    errno = -rc;
    err_sys(e, _("limit the system calls of twofold-ssh"));
    return err_next(e, _("the kernel must allow seccomp filters (a container may forbid them)"));
}

int sandbox_enter(struct err *e)
{
    int rc = give_up_user(e);
    if (rc == 0)
        rc = set_limits(e);
    if (rc == 0 && (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
        rc = err_sys(e, _("give up privileges"));
    return rc < 0 ? rc : filter_calls(e);
}
