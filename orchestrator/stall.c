/* stall.c - tells work from signs of life; see stall.h. */
#include "orchestrator/stall.h"
#include <stdlib.h>

#define MAX_STALL_S 86400

void stall_begin(struct stall *s, struct wire *w)
{
    const char *env = getenv("TWOFOLD_AGENT_STALL_S");
    unsigned long limit_s = env ? strtoul(env, NULL, 10) : 0;
    if (limit_s == 0 || limit_s > MAX_STALL_S)
        limit_s = AGENT_STALL_S;
    *s = (struct stall){ .wire = w, .limit_ms = (unsigned)limit_s * 1000 };
    wire_set_stall(w, s->limit_ms);
}

/* FNV-1a; a collision only costs a second. */
static uint64_t mix(uint64_t sum, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        sum = (sum ^ (value & 0xFF)) * 0x100000001B3;
    return sum;
}

static uint64_t sum_of(const struct msg_progress *p)
{
    uint64_t sum = mix(0xCBF29CE484222325, p->phase);
    sum = mix(mix(mix(sum, p->files), p->bytes), p->bytes_read);
    sum = mix(mix(mix(sum, p->problems), p->total_files), p->total_bytes);
    for (size_t i = 0; i < p->path_len; i++)
        sum = mix(sum, (uint8_t)p->path[i]);
    return sum;
}

void stall_frame(struct stall *s, enum frame_type type, const struct msg_progress *p)
{
    if (type == FRAME_PROGRESS && p) {
        uint64_t sum = sum_of(p);
        if (sum == s->sum)
            return;
        s->sum = sum;
    }
    wire_set_stall(s->wire, s->limit_ms);
}
