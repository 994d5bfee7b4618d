/* sys_fault.c - the numbered fault points that tests sweep; lib/base/sys.h says how they are set.
 * Several settings may be given at once, with commas between. Product builds have nothing of it. */
#include "lib/base/sys_fault.h"
#include "lib/base/sys.h"

#ifdef TWOFOLD_FAULTS
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ERRNO 200

/* The environment is read once; only the counter changes after that. */
static struct {
    pthread_once_t once;
    bool active, no_openat2, fail_onwards;
    unsigned long kill_at, stop_at, fail_at; /* 0: never */
    int fail_errno;
    long long clock_s;      /* ahead of the machine's clock */
    char *text;             /* the setting, cut into its parts; kept */
    const char *count_file; /* points into it */
    const char *fstab;      /* the same */
    atomic_ulong steps;
} faults = { .once = PTHREAD_ONCE_INIT };

/* A misspelt setting would make a sweep pass without testing anything. */
static void bad_setting(const char *text)
{
    fprintf(stderr, "TWOFOLD_FAULT: not understood: %s\n", text);
    abort();
}

static int errno_of_name(const char *name)
{
    for (int i = 1; i < MAX_ERRNO; i++) {
        const char *known = strerrorname_np(i);
        if (known && strcmp(known, name) == 0)
            return i;
    }
    return 0;
}

static void write_count(void)
{
    FILE *f = fopen(faults.count_file, "we");
    if (!f)
        return;
    fprintf(f, "%lu\n", atomic_load(&faults.steps));
    fclose(f);
}

static void parse_one(const char *text)
{
    char *end;
    if (strcmp(text, "noopenat2") == 0) {
        faults.no_openat2 = true;
    } else if (strncmp(text, "kill@", 5) == 0) {
        faults.kill_at = strtoul(text + 5, &end, 10);
        if (*end || faults.kill_at == 0)
            bad_setting(text);
    } else if (strncmp(text, "stop@", 5) == 0) {
        faults.stop_at = strtoul(text + 5, &end, 10);
        if (*end || faults.stop_at == 0)
            bad_setting(text);
    } else if (strncmp(text, "fail@", 5) == 0) {
        faults.fail_at = strtoul(text + 5, &end, 10);
        faults.fail_onwards = *end == '+';
        if (faults.fail_onwards)
            end++;
        if (*end != ':' || faults.fail_at == 0)
            bad_setting(text);
        faults.fail_errno = errno_of_name(end + 1);
        if (faults.fail_errno == 0)
            bad_setting(text);
    } else if (strncmp(text, "clock", 5) == 0 && (text[5] == '+' || text[5] == '-')) {
        faults.clock_s = strtoll(text + 5, &end, 10);
        if (*end || end == text + 6)
            bad_setting(text);
    } else if (strncmp(text, "fstab:", 6) == 0 && text[6]) {
        faults.fstab = text + 6;
    } else if (strncmp(text, "count:", 6) == 0 && text[6]) {
        faults.count_file = text + 6;
        atexit(write_count);
    } else {
        bad_setting(text);
    }
    faults.active = true;
}

static void read_environment(void)
{
    const char *set = getenv("TWOFOLD_FAULT");
    const char *program = getenv("TWOFOLD_FAULT_PROGRAM");
    if (!set || !*set)
        return;
    if (program && *program && strcmp(program, program_invocation_short_name) != 0)
        return;
    faults.text = strdup(set);
    if (!faults.text)
        abort();
    char *rest = NULL;
    for (char *t = strtok_r(faults.text, ",", &rest); t; t = strtok_r(NULL, ",", &rest))
        parse_one(t);
}

int sys_fault_step(void)
{
    pthread_once(&faults.once, read_environment);
    if (!faults.active)
        return 0;
    unsigned long step = atomic_fetch_add(&faults.steps, 1) + 1;
    if (step == faults.kill_at) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    if (step == faults.stop_at)
        kill(getpid(), SIGSTOP);
    if (faults.fail_at == 0 || step < faults.fail_at)
        return 0;
    if (step > faults.fail_at && !faults.fail_onwards)
        return 0;
    errno = faults.fail_errno;
    return -1;
}

long long sys_fault_clock_s(void)
{
    pthread_once(&faults.once, read_environment);
    return faults.clock_s;
}

const char *sys_fault_fstab(void)
{
    pthread_once(&faults.once, read_environment);
    return faults.fstab;
}

bool sys_fault_noopenat2(void)
{
    pthread_once(&faults.once, read_environment);
    return faults.no_openat2;
}
#endif
