/* conf_kit.c - see conf_kit.h. */
#include "tests/unit/conf_kit.h"
#include "lib/base/sys.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

int conf_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%s/tf-config-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(config_paths_find(f->dir, &f->p, &f->e), 0);
    *state = f;
    return 0;
}

int conf_teardown(void **state)
{
    struct fixture *f = *state;
    config_paths_done(&f->p);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

void write_conf(struct fixture *f, const char *kind, const char *name, const char *text, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, kind);
    assert_int_equal(sys_mkdir_p(path, 0755, &f->e), 0);
    snprintf(path, sizeof path, "%s/%s/%s", f->dir, kind, name);
    assert_int_equal(sys_write_file(AT_FDCWD, path, text, len, 0644, &f->e), 0);
}

void vault_file(struct fixture *f, const char *name, const char *text)
{
    write_conf(f, "vaults", name, text, strlen(text));
}

void policy_file(struct fixture *f, const char *name, const char *text)
{
    write_conf(f, "policies", name, text, strlen(text));
}
