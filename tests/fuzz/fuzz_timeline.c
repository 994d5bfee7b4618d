/* fuzz_timeline.c - timelines of incidents, which come from copies, too: the bytes as they are; and each line of them as the body of an event
 * in a right chain, so that whoever makes something of events meets every kind of them (restore/incident). */
#include "lib/base/bytes.h"
#include "lib/crypto/crypto.h"
#include "restore/incident/duties.h"
#include "restore/incident/failback.h"
#include "restore/incident/procedure.h"
#include "restore/incident/timeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct incident *inc)
{
    static const char *const places[] = { "a", "b" };
    struct crash_conf conf = { 0 };
    struct crash_snapshot snaps[2] = { { .received_s = 100, .whole = true }, { .received_s = 50 } };
    struct crash_facts f = { .conf = &conf,
                             .server = true,
                             .snapshots_known = true,
                             .snapshots = snaps,
                             .n_snapshots = 2,
                             .places = places,
                             .n_places = 2,
                             .me = "x" };
    struct crash_attempt tried[4];
    struct crash_next next;
    struct failback back;
    struct duty_list duties = { 0 };
    struct duty_rules rules = { .conf = duty_conf(inc, NULL) };
    memset(snaps[1].id.b, 1, ID_BYTES);
    procedure_next(inc, &f, &next);
    if (next.kind == NEXT_GATE && (next.answers == 0 || next.gate >= CRASH_GATES))
        abort();
    if (next.kind == NEXT_GATE)
        procedure_unattended(inc, &next, -1, false);
    static char standby[] = "s";
    conf.standby_on = standby;
    conf.approve_two = true;
    procedure_next(inc, &f, &next);
    if (procedure_attempts(inc, tried, 4) > 4)
        abort();
    failback_of(inc, &back);
    if (duties_of(inc, &rules, inc->opened_s + 5000, &duties, NULL) == 0)
        duties_done(&duties);
}

static void parse(const void *p, size_t n)
{
    struct incident *inc = NULL;
    struct err e = ERR_INIT;
    void *back;
    size_t n_back;
    if (incident_parse("fuzz", p, n, &inc, &e) < 0)
        return;
    if (incident_bytes(inc, &back, &n_back, NULL) < 0 || n_back > n || memcmp(back, p, n_back) != 0)
        abort();
    free(back);
    use(inc);
    incident_free(inc);
}

/* {"seq":…, "prev":…, and what the line says behind its first brace, and the sum. */
static void put_line(struct wbuf *w, const uint8_t *p, size_t n, unsigned seq, struct id *last)
{
    char head[256], hex[ID_HEX_BYTES];
    struct id sum;
    size_t from = w->len;
    const char *kind = seq == 1 ? "\"kind\":\"opened\"," : "";
    snprintf(head, sizeof head, "{\"seq\":%u,\"prev\":\"%s\",%s", seq, id_hex(last, hex), kind);
    wb_bytes(w, head, strlen(head));
    wb_bytes(w, p, n);
    if (w->failed)
        return;
    sha256_of(w->p + from, w->len - from, &sum);
    wb_bytes(w, ",\"sum\":\"", 8);
    wb_bytes(w, id_hex(&sum, hex), ID_HEX_BYTES - 1);
    wb_bytes(w, "\"}", 2);
    if (!w->failed)
        sha256_of(w->p + from, w->len - from, last);
    wb_u8(w, '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wbuf w = WBUF_INIT;
    struct id last = { { 0 } };
    const uint8_t *at = data, *end = data + size;
    parse(data, size);
    for (unsigned seq = 1; seq <= MAX_LINES && at < end; seq++) {
        const uint8_t *nl = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *stop = nl ? nl : end;
        put_line(&w, at, (size_t)(stop - at), seq, &last);
        at = nl ? nl + 1 : end;
    }
    if (!w.failed && w.len > 0)
        parse(w.p, w.len);
    wbuf_free(&w);
    return 0;
}
