/* sshd_kit.c - a real sshd for tests; see sshd_kit.h. */
#include "tests/sshd_kit.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <ftw.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SSHD "/usr/sbin/sshd"
#define START_MS 10000

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static unsigned free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static bool answers(unsigned port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return yes;
}

static void write_text(const char *path, const char *text)
{
    assert_int_equal(sys_write_file(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static void write_config(struct sshd *s, const char *config)
{
    char path[96], text[4096];
    snprintf(path, sizeof path, "%s/config", s->dir);
    snprintf(text, sizeof text,
             "Port %u\nListenAddress 127.0.0.1\nHostKey %s/host\nPidFile none\n"
             "AuthorizedKeysFile %s/authorized\nUsePAM no\nStrictModes no\n"
             "PermitRootLogin yes\nMaxStartups 200\nLogLevel VERBOSE\n%s\n",
             s->port, s->dir, s->dir,
             config ? config : "Subsystem sftp /usr/lib/openssh/sftp-server");
    write_text(path, text);
}

void sshd_again(struct sshd *s)
{
    char config[96], log[96];
    snprintf(config, sizeof config, "%s/config", s->dir);
    snprintf(log, sizeof log, "%s/log", s->dir);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        execl(SSHD, SSHD, "-D", "-f", config, "-E", log, (char *)NULL);
        _exit(127);
    }
    for (uint64_t until = sys_monotonic_ms() + START_MS; !answers(s->port);) {
        assert_true(sys_monotonic_ms() < until);
        poll(NULL, 0, 20);
    }
}

bool sshd_start(struct sshd *s, const char *config)
{
    char path[96], name[96];
    const struct passwd *pw = getpwuid(geteuid());
    if (access(SSHD, X_OK) < 0 || !pw)
        return false;
    *s = (struct sshd){ 0 };
    snprintf(s->user, sizeof s->user, "%s", pw->pw_name);
    strcpy(s->dir, "/tmp/tf-sshd-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    if (geteuid() == 0)
        sys_mkdir_p("/run/sshd", 0755, NULL);
    snprintf(path, sizeof path, "%s/host", s->dir);
    assert_int_equal(ssh_key_make(path, "", &s->host_key, NULL), 0);
    snprintf(s->identity, sizeof s->identity, "%s/identity", s->dir);
    assert_int_equal(ssh_key_make(s->identity, "test", &s->public_key, NULL), 0);
    snprintf(name, sizeof name, "%s/authorized", s->dir);
    write_text(name, s->public_key);
    s->port = free_port();
    write_config(s, config);
    sshd_again(s);
    return true;
}

void sshd_new_host_key(struct sshd *s)
{
    char path[96];
    snprintf(path, sizeof path, "%s/host", s->dir);
    sshd_stop(s);
    assert_int_equal(unlink(path), 0);
    free(s->host_key);
    assert_int_equal(ssh_key_make(path, "", &s->host_key, NULL), 0);
    sshd_again(s);
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512] = "";
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    if (fgets(text, sizeof text, f)) {
        const char *after = strrchr(text, ')');
        if (!after || sscanf(after + 1, " %*c %d", &parent) != 1)
            parent = 0;
    }
    fclose(f);
    return parent;
}

int sshd_cut(struct sshd *s)
{
    DIR *d = opendir("/proc");
    const struct dirent *de;
    int n = 0;
    while (d && (de = readdir(d))) {
        pid_t pid = (pid_t)atoi(de->d_name);
        if (pid > 0 && s->pid > 0 && parent_of(pid) == s->pid && kill(pid, SIGKILL) == 0)
            n++;
    }
    if (d)
        closedir(d);
    return n;
}

void sshd_stop(struct sshd *s)
{
    if (s->pid <= 0)
        return;
    sshd_cut(s);
    kill(s->pid, SIGTERM);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

void sshd_done(struct sshd *s)
{
    if (!s->dir[0])
        return;
    sshd_stop(s);
    nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(s->host_key);
    free(s->public_key);
    *s = (struct sshd){ 0 };
}
