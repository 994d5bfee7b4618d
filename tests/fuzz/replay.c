/*
 * replay.c - main() of every fuzz target in ordinary test runs: gives LLVMFuzzerTestOneInput() each file
 * of a corpus folder, and then mutations of them that are the same on every run. On a sanitizer's
 * report or a crash the input lies in ./crash-<target> or the folder in TWOFOLD_CRASHES.
 *
 *     fuzz_x [-n ITERATIONS] [CORPUS FOLDER | FILE]...
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_INPUT_BYTES (1u << 20)
#define MAX_INPUTS 4096
#define INPUT_ROOM_BYTES (MAX_INPUT_BYTES + 4096) /* what mutations may add */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* In the sanitizers' runtime, where there is one. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

struct input {
    char *name; /* owned */
    uint8_t *p; /* owned */
    size_t len;
};

struct corpus {
    struct input in[MAX_INPUTS];
    size_t n;
};

/* What the death callback needs; it has no parameters. */
static const uint8_t *now_data;
static size_t now_len;
static char now_text[PATH_MAX];
static char crash_path[PATH_MAX];

static void *must(void *p)
{
    if (!p) {
        perror("replay");
        exit(2);
    }
    return p;
}

static void on_death(void)
{
    FILE *f = fopen(crash_path, "wb");
    if (f) {
        fwrite(now_data, 1, now_len, f);
        fclose(f);
    }
    fprintf(stderr, "replay: died of %s (%zu bytes), kept as %s\n", now_text, now_len, crash_path);
}

static void on_abort(int sig)
{
    on_death(); /* not async-signal-safe, but the process is lost anyway */
    signal(sig, SIG_DFL);
    raise(sig);
}

static void run(const uint8_t *p, size_t n)
{
    /* An exact copy, so that the sanitizer sees a read one byte past its end. */
    uint8_t *copy = must(malloc(n ? n : 1));
    memcpy(copy, p, n);
    now_data = copy;
    now_len = n;
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void load_file(struct corpus *c, const char *path)
{
    FILE *f = must(fopen(path, "rb"));
    if (c->n == MAX_INPUTS) {
        fprintf(stderr, "replay: more than %d inputs\n", MAX_INPUTS);
        exit(2);
    }
    struct input *in = &c->in[c->n++];
    in->name = must(strdup(path));
    in->p = must(malloc(MAX_INPUT_BYTES));
    in->len = fread(in->p, 1, MAX_INPUT_BYTES, f);
    in->p = must(realloc(in->p, in->len ? in->len : 1));
    fclose(f);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void load(struct corpus *c, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        exit(2);
    }
    if (!S_ISDIR(st.st_mode)) {
        load_file(c, path);
        return;
    }
    struct dirent **names;
    int n = scandir(path, &names, NULL, by_name);
    if (n < 0) {
        perror(path);
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            char *full = NULL;
            if (asprintf(&full, "%s/%s", path, names[i]->d_name) < 0)
                must(NULL);
            load_file(c, full);
            free(full);
        }
        free(names[i]);
    }
    free(names);
}

/* xorshift64*: the same numbers everywhere. */
static uint64_t chance(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

static size_t below(uint64_t *state, size_t n)
{
    return n ? (size_t)((chance(state) >> 16) % n) : 0;
}

/* Values at which lengths and counts tend to go wrong. */
static uint64_t edge(uint64_t *state)
{
    static const uint64_t edges[] = { 0,          1,          0x7f,       0x80,       0xff,
                                      0x7fff,     0xffff,     0x7fffffff, UINT32_MAX, INT64_MAX,
                                      UINT64_MAX, 0x80000000, 0x100000,   0x4000,     0x3fff };
    return edges[below(state, sizeof edges / sizeof *edges)];
}

/* Puts n of src's bytes into the input at `at`, moving what follows. */
static size_t insert(uint8_t *p, size_t len, size_t at, const uint8_t *src, size_t n)
{
    if (len + n > INPUT_ROOM_BYTES)
        return len;
    memmove(p + at + n, p + at, len - at);
    memcpy(p + at, src, n);
    return len + n;
}

/* One small change; returns the new length. */
static size_t mutate(uint64_t *r, uint8_t *p, size_t len, const struct input *other)
{
    uint64_t v = edge(r);
    size_t at = below(r, len), n = 1 + below(r, 8);
    switch (below(r, 9)) {
    case 0: /* a bit */
        if (len)
            p[at] ^= (uint8_t)(1u << below(r, 8));
        return len;
    case 1: /* a byte */
        if (len)
            p[at] = (uint8_t)chance(r);
        return len;
    case 2: /* cut the end */
        return at;
    case 3: /* take out a few bytes */
        if (n > len - at)
            n = len - at;
        memmove(p + at, p + at + n, len - at - n);
        return len - n;
    case 4: /* a number over what was there */
        if (n > len - at)
            n = len - at;
        memcpy(p + at, &v, n);
        return len;
    case 5: /* a number between */
        return insert(p, len, at, (uint8_t *)&v, n);
    case 6: { /* the longest varint, or one that never ends */
        uint8_t longest[11];
        memset(longest, 0xff, sizeof longest);
        longest[9] = (uint8_t)below(r, 3);
        return insert(p, len, at, longest, 10 + below(r, 2));
    }
    case 7: /* a piece twice */
        if (len) {
            uint8_t piece[64];
            n = 1 + below(r, sizeof piece);
            if (n > len - at)
                n = len - at;
            memcpy(piece, p + at, n);
            return insert(p, len, below(r, len), piece, n);
        }
        return len;
    default: /* a piece of another input */
        if (other->len) {
            size_t from = below(r, other->len);
            n = 1 + below(r, 128);
            if (n > other->len - from)
                n = other->len - from;
            return insert(p, len, at, other->p + from, n);
        }
        return len;
    }
}

static void run_mutations(const struct corpus *c, unsigned long iterations)
{
    static const struct input empty = { (char *)"(empty)", (uint8_t *)"", 0 };
    uint8_t *p = must(malloc(INPUT_ROOM_BYTES));
    for (unsigned long i = 0; i < iterations; i++) {
        uint64_t r = UINT64_C(0x9E3779B97F4A7C15) * (i + 1);
        const struct input *in = c->n ? &c->in[i % c->n] : &empty;
        const struct input *other = c->n ? &c->in[below(&r, c->n)] : &empty;
        size_t len = in->len;
        memcpy(p, in->p, len);
        for (size_t k = 1 + below(&r, 4); k > 0; k--)
            len = mutate(&r, p, len, other);
        snprintf(now_text, sizeof now_text, "mutation %lu of %s", i, in->name);
        run(p, len);
    }
    free(p);
}

int main(int argc, char **argv)
{
    unsigned long iterations = 0;
    int opt;
    while ((opt = getopt(argc, argv, "n:")) != -1) {
        if (opt != 'n') {
            fprintf(stderr, "usage: %s [-n ITERATIONS] [CORPUS FOLDER | FILE]...\n", argv[0]);
            return 2;
        }
        iterations = strtoul(optarg, NULL, 10);
    }
    const char *folder = getenv("TWOFOLD_CRASHES");
    snprintf(crash_path, sizeof crash_path, "%s/crash-%s", folder ? folder : ".",
             program_invocation_short_name);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(on_death);
    signal(SIGABRT, on_abort);

    struct corpus *c = must(calloc(1, sizeof *c));
    for (int i = optind; i < argc; i++)
        load(c, argv[i]);
    for (size_t i = 0; i < c->n; i++) {
        snprintf(now_text, sizeof now_text, "%s", c->in[i].name);
        run(c->in[i].p, c->in[i].len);
    }
    snprintf(now_text, sizeof now_text, "the empty input");
    run((const uint8_t *)"", 0);
    run_mutations(c, iterations);

    for (size_t i = 0; i < c->n; i++) {
        free(c->in[i].name);
        free(c->in[i].p);
    }
    free(c);
    return 0;
}
