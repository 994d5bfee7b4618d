/* sys_kit.h - for the tests of lib/base/sys.h: a fixture that notices what is left over, and
 * scenes: where a fault setting or a death is wanted, a test program starts itself to play one. */
#ifndef TWOFOLD_TESTS_SYS_KIT_H
#define TWOFOLD_TESTS_SYS_KIT_H

#include <stddef.h>
#include <sys/types.h>

#define DEADLINE_MS 20000
#define SCENE_PROGRAM "scene" /* argv[0] of a program that plays */

struct fixture {
    char dir[64];
    int fd, open_before;
};

/* A new folder; the teardown fails on a descriptor or child that is left. */
int sys_kit_setup(void **state);
int sys_kit_teardown(void **state);

const char *path_in(const struct fixture *f, const char *name); /* valid until the next call */
void put_file(int dirfd, const char *name, const char *text);
void assert_file(int dirfd, const char *name, const char *text);
int entries(const struct fixture *f); /* in the folder */

struct scene {
    const char *name;
    int (*play)(const char *dir); /* returns the exit status */
};

/* Plays the scene that argv names; -1 when it names none and the tests are to run. */
int scene_main(int argc, char **argv, const struct scene *scenes, size_t n);
/* Returns the status as of waitpid. `fault`: TWOFOLD_FAULT or NULL. */
int play(const char *scene, const char *dir, const char *fault);
void assert_plays(const char *scene, const char *dir, const char *fault);
/* By sys_spawn. */
int spawn_scene(const char *scene, int extra, pid_t *pid);

#endif
