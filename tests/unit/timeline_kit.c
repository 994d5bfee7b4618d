/* timeline_kit.c - see timeline_kit.h. */
#include "tests/unit/timeline_kit.h"
#include "lib/crypto/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SUM_MARK ",\"sum\":\""

void kit_line(struct line_kit *k, int64_t at_s, const char *kind, const char *fmt, ...)
{
    char hex[ID_HEX_BYTES];
    struct id sum;
    json_t *line = json_pack("{s:I, s:I, s:s, s:s, s:s}", "seq", (json_int_t)++k->seq, "at",
                             (json_int_t)at_s, "kind", kind, "by", "Chen Jing", "host", "backup-1");
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        json_t *own = json_vpack_ex(NULL, 0, fmt, ap);
        va_end(ap);
        assert_non_null(own);
        json_object_update(line, own);
        json_decref(own);
    }
    json_object_set_new(line, "prev", json_string(id_hex(&k->last, hex)));
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    assert_non_null(text);
    size_t n = strlen(text) - 1, begin = k->bytes.len;
    sha256_of(text, n, &sum);
    wb_bytes(&k->bytes, text, n);
    wb_bytes(&k->bytes, SUM_MARK, sizeof SUM_MARK - 1);
    wb_bytes(&k->bytes, id_hex(&sum, hex), ID_HEX_BYTES - 1);
    wb_bytes(&k->bytes, "\"}\n", 3);
    free(text);
    assert_false(k->bytes.failed);
    sha256_of(k->bytes.p + begin, k->bytes.len - begin - 1, &k->last);
}

struct incident *kit_incident(const struct line_kit *k)
{
    struct incident *inc = NULL;
    struct err e = ERR_INIT;
    if (incident_parse(KIT_ID, k->bytes.p, k->bytes.len, &inc, &e) < 0)
        fail_msg("%s: %s", e.what, e.why);
    if (inc->broken.code != ERR_NONE)
        fail_msg("%s: %s", inc->broken.what, inc->broken.why);
    return inc;
}

void kit_done(struct line_kit *k)
{
    wbuf_free(&k->bytes);
    *k = (struct line_kit){ 0 };
}
