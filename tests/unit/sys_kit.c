/* sys_kit.c - see sys_kit.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/sys_kit.h"
#include "lib/base/sys.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_count(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void remove_below(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_below(dirfd(d), e->d_name);
    if (d)
        closedir(d);
    unlinkat(parent, name, fd < 0 ? 0 : AT_REMOVEDIR);
}

int sys_kit_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    assert_non_null(f);
    f->open_before = open_count();
    snprintf(f->dir, sizeof f->dir, "%s/twf-sys.XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    f->fd = sys_openat(AT_FDCWD, f->dir, O_RDONLY | O_DIRECTORY, 0, NULL);
    assert_true(f->fd >= 0);
    *state = f;
    return 0;
}

int sys_kit_teardown(void **state)
{
    struct fixture *f = *state;
    close(f->fd);
    remove_below(AT_FDCWD, f->dir);
    int leaked = open_count() - f->open_before;
    bool child = waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD;
    free(f);
    return leaked || child ? -1 : 0;
}

const char *path_in(const struct fixture *f, const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return path;
}

void put_file(int dirfd, const char *name, const char *text)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

void assert_file(int dirfd, const char *name, const char *text)
{
    uint8_t *p = NULL;
    size_t n = 0;
    assert_int_equal(sys_read_file(dirfd, name, 1 << 20, &p, &n, NULL), 0);
    assert_int_equal(n, strlen(text));
    assert_string_equal((const char *)p, text);
    free(p);
}

int entries(const struct fixture *f)
{
    DIR *d = opendir(f->dir);
    int n = -2;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* --- starting this program again -------------------------------------------------------------- */
int play(const char *scene, const char *dir, const char *fault)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (fault)
            setenv("TWOFOLD_FAULT", fault, 1);
        execl("/proc/self/exe", SCENE_PROGRAM, scene, dir, (char *)NULL);
        _exit(126);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

void assert_plays(const char *scene, const char *dir, const char *fault)
{
    int status = play(scene, dir, fault);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int spawn_scene(const char *scene, int extra, pid_t *pid)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return -1;
    self[n] = '\0';
    const char *const argv[] = { self, scene, "", NULL };
    return sys_spawn(argv, extra, pid, NULL);
}

int scene_main(int argc, char **argv, const struct scene *scenes, size_t n)
{
    for (size_t i = 0; argc == 3 && i < n; i++)
        if (strcmp(argv[1], scenes[i].name) == 0)
            return scenes[i].play(argv[2]);
    return -1;
}
