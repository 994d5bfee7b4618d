/* page.c - see page.h. */
#include "agents/postgresql/page.h"
#include "lib/base/bytes.h"

#include <string.h>

#define SUMS 32
#define PRIME 16777619u
#define CHECKSUM_AT 8
#define UPPER_AT 14

static const uint32_t offsets[SUMS] = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756
};

/* --- names ------------------------------------------------------------------------------------ */
static size_t digits(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n <= 10 ? n : 0;
}

bool relation_name_parse(const char *name, struct relation_name *ret)
{
    *ret = (struct relation_name){ .fork = 'm' };
    if (name[0] == 't') {
        size_t n = digits(name + 1);
        if (n == 0 || name[1 + n] != '_')
            return false;
        name += n + 2;
        ret->temporary = true;
    }
    ret->node_len = digits(name);
    if (ret->node_len == 0)
        return false;
    const char *p = name + ret->node_len;
    static const char *const forks[] = { "_fsm", "_vm", "_init" };
    for (size_t i = 0; i < sizeof forks / sizeof *forks; i++)
        if (strncmp(p, forks[i], strlen(forks[i])) == 0) {
            ret->fork = forks[i][1];
            p += strlen(forks[i]);
            break;
        }
    if (*p == '.') {
        size_t n = digits(p + 1);
        for (size_t i = 1; i <= n && n <= 6; i++)
            ret->segment = ret->segment * 10 + (uint32_t)(p[i] - '0');
        if (n == 0 || n > 6)
            return false;
        p += 1 + n;
    }
    return *p == '\0';
}

/* --- sums ------------------------------------------------------------------------------------- */
static uint32_t mix(uint32_t sum, uint32_t value)
{
    uint32_t x = sum ^ value;
    return x * PRIME ^ (x >> 17);
}

uint16_t page_sum(const uint8_t *page, size_t page_bytes, uint32_t block)
{
    uint32_t sums[SUMS], row[SUMS], result = 0;
    memcpy(sums, offsets, sizeof sums);
    for (size_t at = 0; at < page_bytes; at += sizeof row) {
        memcpy(row, page + at, sizeof row);
        if (at == 0)
            row[CHECKSUM_AT / 4] &= 0xffff0000u; /* the sum itself counts as zero */
        for (size_t i = 0; i < SUMS; i++)
            sums[i] = mix(sums[i], row[i]);
    }
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < SUMS; i++)
            sums[i] = mix(sums[i], 0);
    for (size_t i = 0; i < SUMS; i++)
        result ^= sums[i];
    return (uint16_t)((result ^ block) % 65535 + 1);
}

enum page_state page_look(const uint8_t *page, size_t page_bytes, uint32_t block)
{
    uint16_t sum, upper;
    memcpy(&sum, page + CHECKSUM_AT, sizeof sum);
    memcpy(&upper, page + UPPER_AT, sizeof upper);
    if (upper == 0 && bytes_all_zero(page, page_bytes))
        return PAGE_NEW;
    return sum == page_sum(page, page_bytes, block) ? PAGE_RIGHT : PAGE_WRONG;
}

uint64_t page_lsn(const uint8_t *page)
{
    uint32_t high, low;
    memcpy(&high, page, sizeof high);
    memcpy(&low, page + 4, sizeof low);
    return (uint64_t)high << 32 | low;
}
