/* The allocator and arenas, also when the n-th allocation fails. */
#include <check.h>
#include <string.h>

#include "base/memory.h"
#include "often.h"

Suite *suite_memory(void);

START_TEST(aligned_zeroed_counted) {
    int64_t before = mem_allocations();
    for (size_t bytes = 0; bytes < 300; bytes += 37) {
        unsigned char *p = mem_alloc(bytes);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < bytes; i++) ck_assert_uint_eq(p[i], 0);
        memset(p, 0xA5, bytes);
        mem_free(p);
    }
    ck_assert_int_eq(mem_allocations() - before, 9);
    mem_free(NULL);
}
END_TEST

/* Small ones from the heap and mapped ones, of sizes that are no whole pages. */
START_TEST(pages_zeroed_and_counted) {
    static const size_t sizes[] = {0, 1, 4097, (4 << 20) - 1, 4 << 20, (9 << 20) + 13};
    int64_t before = mem_allocations();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = mem_alloc_pages(sizes[i]);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 64, 0);
        for (size_t k = 0; k < sizes[i]; k++) assert_often(p[k] == 0, "byte %zu", k);
        memset(p, 0xA5, sizes[i]);
        mem_free_pages(p, sizes[i]);
        mem_fail_after(1);
        ck_assert_ptr_null(mem_alloc_pages(sizes[i]));
    }
    ck_assert_int_eq(mem_allocations() - before, 12);
    ck_assert_ptr_null(mem_alloc_pages(SIZE_MAX));
    ck_assert_ptr_null(mem_alloc_pages(SIZE_MAX - (1 << 20)));
    mem_free_pages(NULL, 5 << 20);
}
END_TEST

START_TEST(overflow_is_no_memory) {
    ck_assert_ptr_null(mem_alloc_array(SIZE_MAX / 2, 3));
    ck_assert_ptr_null(mem_alloc(SIZE_MAX));
    ck_assert_ptr_null(mem_alloc(SIZE_MAX - 70));
    Arena *a = arena_new();
    ck_assert_ptr_null(arena_alloc(a, SIZE_MAX - 3));
    arena_free(a);
}
END_TEST

START_TEST(realloc_keeps_content) {
    char *p = mem_strdup("patch");
    p = mem_realloc(p, 6, 5000);
    ck_assert_str_eq(p, "patch");
    ck_assert_uint_eq((uintptr_t)p % 64, 0);
    p = mem_realloc(p, 5000, 6);
    ck_assert_str_eq(p, "patch");
    mem_fail_after(1);
    ck_assert_ptr_null(mem_realloc(p, 6, 100));
    ck_assert_str_eq(p, "patch");
    mem_free(p);
}
END_TEST

START_TEST(nth_allocation_fails_once) {
    mem_fail_after(3);
    void *a = mem_alloc(1), *b = mem_alloc(1), *c = mem_alloc(1), *d = mem_alloc(1);
    ck_assert(a != NULL && b != NULL && c == NULL && d != NULL);
    mem_free(a), mem_free(b), mem_free(d);
    mem_fail_after(1);
    mem_fail_after(0);
    a = mem_alloc(1);
    ck_assert_ptr_nonnull(a);
    mem_free(a);
}
END_TEST

START_TEST(printing) {
    char *s = mem_printf("%s-%03d", "epoch", 7);
    ck_assert_str_eq(s, "epoch-007");
    mem_free(s);
}
END_TEST

START_TEST(arena_hands_out_distinct_memory) {
    Arena *a = arena_new();
    unsigned char *p[200];
    for (int i = 0; i < 200; i++) {
        size_t bytes = (size_t)i * 7;
        p[i] = arena_alloc(a, bytes);
        ck_assert_uint_eq((uintptr_t)p[i] % 16, 0);
        for (size_t k = 0; k < bytes; k++) ck_assert_uint_eq(p[i][k], 0);
        memset(p[i], i, bytes);
    }
    for (int i = 0; i < 200; i++)
        for (size_t k = 0; k < (size_t)i * 7; k++) ck_assert_uint_eq(p[i][k], (unsigned char)i);
    ck_assert_ptr_nonnull(arena_alloc(a, 1000000));
    ck_assert_str_eq(arena_strdup(a, "cls"), "cls");
    ck_assert_str_eq(arena_printf(a, "blocks.%d", 11), "blocks.11");
    arena_free(a);
    arena_free(NULL);
}
END_TEST

Suite *suite_memory(void) {
    Suite *s = suite_create("memory");
    TCase *c = tcase_create("memory");
    tcase_add_test(c, aligned_zeroed_counted);
    tcase_add_test(c, pages_zeroed_and_counted);
    tcase_add_test(c, overflow_is_no_memory);
    tcase_add_test(c, realloc_keeps_content);
    tcase_add_test(c, nth_allocation_fails_once);
    tcase_add_test(c, printing);
    tcase_add_test(c, arena_hands_out_distinct_memory);
    suite_add_tcase(s, c);
    return s;
}
