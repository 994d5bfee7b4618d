/* init_kit.c - the recovery kit: the page that is printed and sealed, and with which, a copy and the passphrase a vault is
 * restored when nothing else is left (PY-disaster). */
#include "lib/base/i18n.h"
#include "orchestrator/init.h"
#include "orchestrator/text.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define ARMOUR_COLUMNS 64
#define FINGERPRINT_GROUP 4
#define GROUPS_A_LINE 8
#define NS_PER_S 1000000000LL

static char *base64(const struct wbuf *w)
{
    char *out = calloc(1, 4 * ((w->len + 2) / 3) + 1);
    if (!out)
        abort(); /* a few hundred bytes */
    EVP_EncodeBlock((unsigned char *)out, w->p, (int)w->len);
    return out;
}

static void fingerprint_hex(const struct init *in, char hex[ID_HEX_BYTES])
{
    struct id fingerprint;
    sha256_of(in->keys.root_pk, PUBLIC_KEY_BYTES, &fingerprint);
    id_hex(&fingerprint, hex);
}

static void put_fingerprint(FILE *f, const char *hex)
{
    for (size_t i = 0; hex[i]; i++) {
        if (i % (size_t)(FINGERPRINT_GROUP * GROUPS_A_LINE) == 0)
            fputs(i ? "\n    " : "    ", f);
        else if (i % FINGERPRINT_GROUP == 0)
            putc(' ', f);
        putc(hex[i], f);
    }
    putc('\n', f);
}

static void put_copies(FILE *f, const struct init *in)
{
    char free_bytes[32];
    fputs(_("Copies (each holds everything):\n"), f);
    for (size_t i = 0; i < in->conf.n_copies; i++) {
        const struct store_space *s = &in->space[i];
        char *url = ui_path(in->conf.copies[i].url, strlen(in->conf.copies[i].url));
        fprintf(f, "    %s: %s\n", in->conf.copies[i].place, url);
        if (s->device)
            fprintf(f, _("        device %u:%u, %s free\n"), major(s->device), minor(s->device),
                    ui_bytes(s->free_bytes, free_bytes));
        free(url);
    }
}

static void put_armour(FILE *f, const struct init *in)
{
    char *text = base64(&in->recovery), hex[ID_HEX_BYTES];
    struct id sum;
    sha256_of(in->recovery.p, in->recovery.len, &sum);
    fputs(_("The recovery file (useless without the passphrase):\n"), f);
    fputs("-----BEGIN TWOFOLD RECOVERY FILE-----\n", f);
    for (size_t i = 0; text[i]; i += ARMOUR_COLUMNS) {
        fprintf(f, "%.*s\n", ARMOUR_COLUMNS, text + i);
        if (strlen(text + i) <= ARMOUR_COLUMNS)
            break;
    }
    fputs("-----END TWOFOLD RECOVERY FILE-----\n", f);
    fprintf(f, _("    Its SHA-256:\n    %s\n"), id_hex(&sum, hex));
    fputs(in->off_copy
              ? _("    It is NOT on the copies. To use it, type the lines between into a file:\n")
              : _("    It is on every copy, too. Should it be lost there, type the lines between\n"
                  "    into a file:\n"),
          f);
    fputs("        base64 -d lines.txt > recovery.bin\n", f);
    free(text);
}

static void put_restore(FILE *f, const struct init *in)
{
    const char *option = in->off_copy ? " --recovery-file recovery.bin" : "";
    fputs(_("To restore with nothing but one copy and the passphrase, on any host with\n"
            "twofold:\n"),
          f);
    for (size_t i = 0; i < in->conf.n_copies; i++) {
        char *url = ui_path(in->conf.copies[i].url, strlen(in->conf.copies[i].url));
        fprintf(f, "    twofold snapshots --copy %s%s\n", url, option);
        fprintf(f, "    twofold restore --copy %s%s \\\n            --policy NAME --to TARGET\n",
                url, option);
        fprintf(f, "    twofold crash --copy %s%s \\\n            --policy NAME\n", url, option);
        free(url);
    }
    fputs(_("\"crash\" leads through a database crash step by step. Print the plan of each\n"
            "database, with times and people, and keep it beside this page:\n"
            "    twofold crash POLICY --plan\n"),
          f);
}

static void put_keys(FILE *f, const struct init *in)
{
    fprintf(f,
            _("On this machine: the operational key, with which it backs up and asks nobody:\n"
              "    %s\n"),
            in->op_path);
    if (in->keep)
        fprintf(
            f,
            _("and, as was chosen, the recovery key (who reads it reads all backups):\n    %s\n"),
            in->recovery_key_path);
    else
        fputs(_("The recovery key is not on this machine: a restore asks for the passphrase.\n"),
              f);
    fprintf(f, _("Its configuration: %s\n"), in->conf_path);
}

char *init_kit_text(const struct init *in)
{
    char *text = NULL, when[32], hex[ID_HEX_BYTES];
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        abort();
    fprintf(f, _("TWOFOLD RECOVERY KIT\n\nVault: %s\nMade:  %s\nId:\n    %s\n"), in->conf.name,
            ui_time(in->created_s * NS_PER_S, when), id_hex(&in->keys.vault_id, hex));
    fputs(_("Fingerprint of the root key (SHA-256):\n"), f);
    fingerprint_hex(in, hex);
    put_fingerprint(f, hex);
    hex_encode(in->keys.sign_pk, PUBLIC_KEY_BYTES, hex);
    fprintf(f,
            _("Public keys, signing, recovery and root (for a configuration written by hand):\n"
              "    %s\n"),
            hex);
    hex_encode(in->keys.recovery_pk, PUBLIC_KEY_BYTES, hex);
    fprintf(f, "    %s\n", hex);
    hex_encode(in->keys.root_pk, PUBLIC_KEY_BYTES, hex);
    fprintf(f, "    %s\n", hex);
    putc('\n', f);
    put_copies(f, in);
    putc('\n', f);
    put_armour(f, in);
    putc('\n', f);
    put_restore(f, in);
    putc('\n', f);
    put_keys(f, in);
    fputs(_("\nPrint this page, seal it, and keep it in two places, away from the copies. The\n"
            "passphrase is not on it: keep that sealed too, elsewhere. Without the passphrase\n"
            "nobody can restore anything, and nobody can make a new one.\n"),
          f);
    if (fclose(f) != 0)
        abort();
    return text;
}

json_t *init_kit_json(const struct init *in)
{
    char *armour = base64(&in->recovery), id[ID_HEX_BYTES], fingerprint[ID_HEX_BYTES], when[32];
    json_t *copies = json_array();
    fingerprint_hex(in, fingerprint);
    for (size_t i = 0; i < in->conf.n_copies; i++) {
        json_t *c = json_pack("{s:s, s:I, s:I}", "place", in->conf.copies[i].place, "device",
                              (json_int_t)in->space[i].device, "free_bytes",
                              (json_int_t)in->space[i].free_bytes);
        json_object_set_new(c, "url",
                            ui_json_text(in->conf.copies[i].url, strlen(in->conf.copies[i].url)));
        json_array_append_new(copies, c);
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "type", "vault", "vault",
                          in->conf.name, "id", id_hex(&in->keys.vault_id, id), "created",
                          ui_time(in->created_s * NS_PER_S, when), "root_fingerprint", fingerprint,
                          "recovery_file_base64", armour, "recovery_file_on_copies", !in->off_copy,
                          "recovery_key_kept", in->keep);
    json_object_set_new(o, "operational_key", ui_json_text(in->op_path, strlen(in->op_path)));
    json_object_set_new(o, "config", ui_json_text(in->conf_path, strlen(in->conf_path)));
    json_object_set_new(o, "copies", copies);
    free(armour);
    return o;
}
