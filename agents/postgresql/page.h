/*
 * page.h - the pages of PostgreSQL's relation files: which files have them, and whether a page's checksum is right. The sum is that of
 * storage/checksum_impl.h (32 sums of FNV-1a side by side), the layout that of storage/bufpage.h; both are the same from 9.3 on.
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_PAGE_H
#define TWOFOLD_AGENTS_POSTGRESQL_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_HEADER_BYTES 24

/* What the name of a file in a database's folder says: "16384", "16384_vm", "16384.1", "t3_16384" (of a session). */
struct relation_name {
    bool temporary;
    char fork; /* 'm' main, 'f' free space map, 'v' visibility map, 'i' init */
    uint32_t segment;
    size_t node_len; /* so many bytes of the name are the relation's number (without "t3_") */
};
bool relation_name_parse(const char *name, struct relation_name *ret);

/* `block`: its number in the relation (all segments counted through). Page sizes are multiples of 128. */
uint16_t page_sum(const uint8_t *page, size_t page_bytes, uint32_t block);
enum page_state {
    PAGE_RIGHT,
    PAGE_NEW, /* all zero: not yet used */
    PAGE_WRONG
};
enum page_state page_look(const uint8_t *page, size_t page_bytes, uint32_t block);
uint64_t page_lsn(const uint8_t *page);

#endif
