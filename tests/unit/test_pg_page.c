/* test_pg_page.c - the pages and names of PostgreSQL's files (agents/postgresql/page.h). The sums are those that a server wrote; that
 * every page of a real cluster is right is in the scenarios. */
#include "agents/postgresql/inner.h"
#include "agents/postgresql/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static bool is_relation(const char *name, bool temporary, char fork, uint32_t segment)
{
    struct relation_name r;
    return relation_name_parse(name, &r) && r.temporary == temporary && r.fork == fork &&
           r.segment == segment;
}

static void names_of_relations(void **state)
{
    static const char *const none[] = {
        "",      "PG_VERSION", "pg_filenode.map", "16384_", "16384.", "16384_xyz",   "16384.x",
        "t_123", "t3_",        "16384_vm_",       "x123",   "123 ",   "12345678901", "1.1234567"
    };
    struct relation_name r;
    assert_true(is_relation("16384", false, 'm', 0));
    assert_true(is_relation("16384.12", false, 'm', 12));
    assert_true(is_relation("16384_fsm", false, 'f', 0));
    assert_true(is_relation("16384_vm.1", false, 'v', 1));
    assert_true(is_relation("16384_init", false, 'i', 0));
    assert_true(is_relation("t12_16384_fsm", true, 'f', 0));
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (relation_name_parse(none[i], &r))
            fail_msg("\"%s\" was taken for a relation", none[i]);
}

/* A page with a header as a server writes it, its sum put in by the function that is tested: so what is shown is that every bit counts. */
static void every_bit_of_a_page_counts(void **state)
{
    uint8_t page[8192];
    for (size_t i = 0; i < sizeof page; i++)
        page[i] = (uint8_t)(i * 7 + i / 251);
    page[14] = 0x10;
    uint16_t sum = page_sum(page, sizeof page, 77);
    memcpy(page + 8, &sum, sizeof sum);
    assert_int_equal(page_look(page, sizeof page, 77), PAGE_RIGHT);
    assert_int_equal(page_look(page, sizeof page, 78), PAGE_WRONG);
    for (size_t bit = 0; bit < sizeof page * 8; bit += 13) {
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(page_look(page, sizeof page, 77), PAGE_WRONG);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memset(page, 0, sizeof page);
    assert_int_equal(page_look(page, sizeof page, 0), PAGE_NEW);
    page[8191] = 1;
    assert_int_equal(page_look(page, sizeof page, 0), PAGE_WRONG);
}

static void positions(void **state)
{
    static const char *const none[] = { "",    "/",           "0",           "0/",
                                        "/0",  "123456789/0", "0/123456789", "0/1 ",
                                        "x/1", "0/1/2" };
    char text[LSN_TEXT_BYTES];
    uint64_t lsn = 0;
    assert_true(lsn_parse("16/B374D848", &lsn));
    assert_true(lsn == UINT64_C(0x16B374D848));
    assert_string_equal(lsn_print(lsn, text), "16/B374D848");
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (lsn_parse(none[i], &lsn))
            fail_msg("\"%s\" was taken for a position", none[i]);
}

static void names_of_segments(void **state)
{
    uint32_t timeline = 0;
    uint64_t segment = 0;
    assert_true(wal_name_parse("0000000A0000000200000003", 16 << 20, &timeline, &segment));
    assert_true(timeline == 10 && segment == 2 * 256 + 3);
    assert_true(wal_name_parse("000000010000000100000001", 1 << 30, &timeline, &segment));
    assert_true(timeline == 1 && segment == 5);
    assert_false(wal_name_parse("000000010000000100000004", 1 << 30, &timeline, &segment));
    assert_false(wal_name_parse("00000001000000010000000g", 16 << 20, &timeline, &segment));
    assert_false(wal_name_parse("00000001000000010000000", 16 << 20, &timeline, &segment));
    assert_false(wal_name_parse("000000010000000100000001.partial", 16 << 20, &timeline, &segment));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_relations),
        cmocka_unit_test(every_bit_of_a_page_counts),
        cmocka_unit_test(positions),
        cmocka_unit_test(names_of_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
