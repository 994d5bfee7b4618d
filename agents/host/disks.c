/* disks.c - file systems, the disks below them, and what the kernel has said of them; see host.h. */
#include "agents/host/host.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOUNTS "/proc/self/mountinfo"
#define MAX_LAYERS 8   /* partition, RAID, LVM, encryption … */
#define MANY_ERRORS 16 /* of a disk: a few are told by disks in good health, too */
#define MAX_LINE 8192

/* --- the file system ---------------------------------------------------------------------------------- */
struct mounted {
    char type[64], source[PATH_MAX];
    bool read_only;
    size_t depth; /* length of the mount point */
};

static bool has_option(const char *options, const char *word)
{
    size_t n = strlen(word);
    for (const char *o = options; o && *o; o = strchr(o, ','), o += o != NULL)
        if (strncmp(o, word, n) == 0 && (o[n] == ',' || o[n] == '\0'))
            return true;
    return false;
}

/* "36 35 98:0 /root /mount rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue" */
static void take_mount(char *line, const char *device, struct mounted *ret)
{
    char *fields[6], *end = strstr(line, " - "), *at = line, *rest = NULL;
    for (size_t i = 0; i < 6; i++)
        if (!(fields[i] = strtok_r(i == 0 ? at : NULL, " \n", &rest)))
            return;
    if (!end || strcmp(fields[2], device) != 0)
        return;
    char *type = strtok_r(end + 3, " \n", &rest), *source = strtok_r(NULL, " \n", &rest),
         *super = strtok_r(NULL, " \n", &rest);
    snprintf(ret->type, sizeof ret->type, "%s", type ? type : "?");
    snprintf(ret->source, sizeof ret->source, "%s", source ? source : "?");
    ret->read_only = has_option(fields[5], "ro") || has_option(super, "ro");
}

static void find_mount(const struct stat *st, struct mounted *ret)
{
    char device[32], line[MAX_LINE];
    FILE *f = fopen(MOUNTS, "re");
    snprintf(device, sizeof device, "%u:%u", major(st->st_dev), minor(st->st_dev));
    while (f && fgets(line, sizeof line, f))
        take_mount(line, device, ret);
    if (f)
        (void)fclose(f);
}

/* The first number of a small file, or -1. */
static int64_t number_in(const char *folder, const char *name, int base)
{
    char path[PATH_MAX];
    uint8_t *text = NULL;
    size_t n = 0;
    int64_t v = -1;
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (len > 0 && len < (int)sizeof path &&
        sys_read_file(AT_FDCWD, path, 4096, &text, &n, NULL) == 0 && n > 0)
        v = strtoll((const char *)text, NULL, base);
    free(text);
    return v;
}

static int64_t errors_of(const struct mounted *m)
{
    char folder[PATH_MAX], real[PATH_MAX];
    if (strncmp(m->type, "ext", 3) != 0 || !realpath(m->source, real) || !strrchr(real, '/'))
        return -1;
    int n = snprintf(folder, sizeof folder, "/sys/fs/ext4/%s", strrchr(real, '/') + 1);
    return n < (int)sizeof folder ? number_in(folder, "errors_count", 10) : -1;
}

static void tell_file_system(struct report *r, const char *place, const struct stat *st)
{
    struct mounted m = { .type = "?", .source = "?" };
    find_mount(st, &m);
    int64_t errors = errors_of(&m);
    json_t *more = json_pack("{s:s, s:s, s:b, s:I}", "type", m.type, "device", m.source,
                             "read_only", m.read_only, "errors", (json_int_t)errors);
    if (m.read_only)
        fact_tell(r, "filesystem", place, FACT_BAD, more,
                  _("%s on %s is mounted read-only: the kernel does that after an error"), m.type,
                  m.source);
    else if (errors > 0)
        fact_tell(
            r, "filesystem", place, FACT_BAD, more,
            _("%s on %s has counted %lld errors: check it (fsck) before anything is restored"),
            m.type, m.source, (long long)errors);
    else
        fact_tell(r, "filesystem", place, FACT_GOOD, more, _("%s on %s can be written"), m.type,
                  m.source);
}

/* --- disks --------------------------------------------------------------------------------------------- */
static void tell_array(struct report *r, const char *place, const char *folder, const char *name)
{
    int64_t degraded = number_in(folder, "md/degraded", 10);
    if (degraded < 0)
        return;
    json_t *more = json_pack("{s:s, s:i, s:s}", "disk", name, "errors", -1, "array",
                             degraded > 0 ? "degraded" : "clean");
    if (degraded > 0)
        fact_tell(r, "disk", place, FACT_DOUBTFUL, more,
                  _("the array %s is degraded: %lld of its disks are missing"), name,
                  (long long)degraded);
    else
        fact_tell(r, "disk", place, FACT_GOOD, more, _("the array %s is whole"), name);
}

static void tell_disk(struct report *r, const char *place, const char *folder, const char *name)
{
    int64_t errors = number_in(folder, "device/ioerr_cnt", 16);
    json_t *more = json_pack("{s:s, s:I, s:s}", "disk", name, "errors", (json_int_t)errors, "array",
                             "");
    if (errors < 0)
        fact_tell(r, "disk", place, FACT_UNKNOWN, more, _("the disk %s counts no errors"), name);
    else
        fact_tell(r, "disk", place, errors > MANY_ERRORS ? FACT_DOUBTFUL : FACT_GOOD, more,
                  _("the disk %s has counted %lld errors since the host was started"), name,
                  (long long)errors);
}

/* What a device consists of, down to the disks. */
static void tell_device(struct report *r, const char *place, const char *folder, unsigned layer)
{
    char path[PATH_MAX], real[PATH_MAX];
    bool below = false;
    struct dirent *de;
    if (layer > MAX_LAYERS || snprintf(path, sizeof path, "%s/slaves", folder) >= (int)sizeof path)
        return;
    tell_array(r, place, folder, strrchr(folder, '/') + 1);
    DIR *d = opendir(path);
    while (d && (de = readdir(d)) != NULL) {
        if (de->d_name[0] == '.')
            continue;
        below = true;
        if (snprintf(path, sizeof path, "%s/slaves/%s", folder, de->d_name) < (int)sizeof path &&
            realpath(path, real))
            tell_device(r, place, real, layer + 1);
    }
    if (d)
        closedir(d);
    if (below)
        return;
    if (number_in(folder, "partition", 10) > 0) {
        char *slash = strrchr(strcpy(path, folder), '/');
        *slash = '\0';
        tell_device(r, place, path, layer + 1);
    } else {
        tell_disk(r, place, folder, strrchr(folder, '/') + 1);
    }
}

void facts_of_disks(struct report *r, const char *place, const struct stat *st)
{
    char path[64], real[PATH_MAX];
    tell_file_system(r, place, st);
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(st->st_dev), minor(st->st_dev));
    if (realpath(path, real) && strrchr(real, '/'))
        tell_device(r, place, real, 0);
}

/* --- the kernel's log ------------------------------------------------------------------------------------ */
static bool tells_of_disk(const char *line)
{
    static const char *const words[] = { "I/O error",
                                         "Buffer I/O",
                                         "medium error",
                                         "EXT4-fs error",
                                         "XFS: Corruption",
                                         "metadata I/O",
                                         "Remounting filesystem read-only",
                                         "BTRFS error",
                                         "failed command: READ",
                                         "failed command: WRITE",
                                         "Sense Key : Medium",
                                         "Uncorrectable" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(line, words[i]))
            return true;
    return false;
}

void facts_of_kernel(struct report *r)
{
    char record[MAX_LINE + 1], newest[300] = "";
    int64_t lines = 0;
    ssize_t n;
    int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        fact_tell(r, "kernel", NULL, FACT_UNKNOWN,
                  json_pack("{s:i, s:s}", "lines", -1, "newest", ""),
                  _("the kernel's log cannot be read: %s"), strerror(errno));
        return;
    }
    while ((n = read(fd, record, MAX_LINE)) > 0 ||
           (n < 0 && errno == EPIPE)) { /* EPIPE: it has gone on */
        record[n > 0 ? n : 0] = '\0';
        char *text = strchr(record, ';');
        if (!text || !tells_of_disk(text))
            continue;
        lines++;
        snprintf(newest, sizeof newest, "%.*s", (int)strcspn(text + 1, "\n"), text + 1);
    }
    sys_close_quiet(fd);
    json_t *more = json_pack("{s:I, s:s}", "lines", (json_int_t)lines, "newest", newest);
    if (!more)
        more = json_pack("{s:I, s:s}", "lines", (json_int_t)lines, "newest", "");
    if (lines > 0)
        fact_tell(
            r, "kernel", NULL, FACT_DOUBTFUL, more,
            P_("the kernel has told of an error of a disk or file system: %s (%lld line)",
               "the kernel has told of errors of disks or file systems, last: %s (%lld lines)",
               (unsigned long)lines),
            newest, (long long)lines);
    else
        fact_tell(r, "kernel", NULL, FACT_GOOD, more,
                  _("the kernel's log tells of no error of a disk or file system"));
}
