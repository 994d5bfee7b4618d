/* i18n.c - sets the locale and finds the message catalogs, installed or in the build tree. */
#include "lib/base/i18n.h"

#include <limits.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder of the running program, or false when /proc does not say. */
static bool program_dir(char dir[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
    if (n <= 0)
        return false;
    dir[n] = '\0';
    char *slash = strrchr(dir, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void bind_catalogs(void)
{
    const char *given = secure_getenv("TWOFOLD_LOCALEDIR");
    if (given && *given) {
        bindtextdomain(TWOFOLD_TEXTDOMAIN, given);
        return;
    }
    char dir[PATH_MAX], path[PATH_MAX + 32];
    if (!program_dir(dir))
        return;
    snprintf(path, sizeof path, "%s/locale", dir);
    if (!is_dir(path))
        snprintf(path, sizeof path, "%s/../share/locale", dir);
    bindtextdomain(TWOFOLD_TEXTDOMAIN, path);
}

void i18n_init(void)
{
    setlocale(LC_ALL, "");
    /* Numbers in JSON and protocol texts must not follow the locale. */
    setlocale(LC_NUMERIC, "C");
    bind_catalogs();
    bind_textdomain_codeset(TWOFOLD_TEXTDOMAIN, "UTF-8");
    textdomain(TWOFOLD_TEXTDOMAIN);
}
