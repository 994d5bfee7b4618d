/* fuzz_ssh_hello.c - the two messages between twofold-ssh and whoever starts it (lib/ssh/ssh.h), and key lines. */
#include "lib/ssh/hello.h"
#include "lib/ssh/ssh.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void orders(const uint8_t *data, size_t size)
{
    struct ssh_orders o = { 0 }, again = { 0 };
    struct wbuf w = WBUF_INIT;
    if (ssh_orders_read(data, size, &o, NULL) < 0)
        return;
    ssh_orders_write(&w, &o);
    if (w.failed || ssh_orders_read(w.p, w.len, &again, NULL) < 0 || again.mode != o.mode ||
        strcmp(again.command, o.command) != 0)
        abort();
    wbuf_free(&w);
    ssh_orders_done(&o);
    ssh_orders_done(&again);
}

static void key(const uint8_t *data, size_t size)
{
    uint8_t bytes[512];
    char text[SSH_FINGERPRINT_BYTES], *copy = malloc(size + 1), *line = NULL;
    if (!copy)
        return;
    memcpy(copy, data, size);
    copy[size] = '\0';
    int n = ssh_key_bytes(copy, bytes, sizeof bytes);
    if (n > 0) {
        line = ssh_key_line(bytes, (size_t)n);
        if (!ssh_fingerprint(copy, text) || (line && strncmp(line, copy, strlen(line)) != 0))
            abort();
    }
    free(line);
    free(ssh_key_line(data, size));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *host_key = NULL;
    struct err e = ERR_INIT;
    orders(data, size);
    if (ssh_answer_read(data, size, &host_key, &e) < 0 && (e.code == ERR_NONE || host_key))
        abort();
    free(host_key);
    key(data, size);
    return 0;
}
