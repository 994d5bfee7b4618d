/* cmd_version.c - `twofold version`: what a support call asks for first. */
#include "lib/base/i18n.h"
#include "lib/vault/envelope.h"
#include "lib/wire/wire.h"
#include "orchestrator/app.h"

#include <archive.h>
#include <cyaml/cyaml.h>
#include <gnu/libc-version.h>
#include <libssh2.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
/* librsync.h wants these before it. */
#include <librsync.h>
#include <zstd.h>

#ifndef TWOFOLD_VERSION
#define TWOFOLD_VERSION "unknown"
#endif

/* "libarchive 3.6.2" -> "3.6.2" */
static const char *number_of(const char *version)
{
    const char *blank = version ? strchr(version, ' ') : NULL;
    return blank ? blank + 1 : version ? version : "?";
}

int cmd_version(struct app *app, int argc, char **argv)
{
    const char *const libraries[][2] = {
        { "OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING) },
        { "zstd", ZSTD_versionString() },
        { "libarchive", archive_version_string() },
        { "librsync", rs_librsync_version },
        { "libssh2", libssh2_version(0) },
        { "SQLite", sqlite3_libversion() },
        { "libcyaml", cyaml_version_str },
        { "jansson", jansson_version_str() },
        { "glibc", gnu_get_libc_version() },
    };
    struct ui *ui = &app->ui;
    if (argc > 1)
        return app_usage(app, _("\"%s\" is not expected here"), argv[1]);
    ui_line(ui, "twofold %s", TWOFOLD_VERSION);
    ui_line(ui, _("vault format %d, protocol %d"), FORMAT_VERSION, WIRE_VERSION_MAX);
    json_t *versions = json_object();
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        const char *version = number_of(libraries[i][1]);
        ui_line(ui, "  %-10s %s", libraries[i][0], version);
        json_object_set_new(versions, libraries[i][0], json_string(version));
    }
    ui_json(ui, json_pack("{s:s, s:s, s:i, s:i, s:o}", "type", "version", "version",
                          TWOFOLD_VERSION, "format", FORMAT_VERSION, "protocol", WIRE_VERSION_MAX,
                          "libraries", versions));
    return 0;
}
