/* The one allocator. Everything the library owns comes from here, 64-byte aligned, so that a test
 * can count allocations and make the n-th one fail. An Arena hands out many small things with one
 * lifetime. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Zeroed memory of at least one byte, 64-byte aligned; NULL when there is none left. */
void *mem_alloc(size_t bytes);
/* count * size with an overflow check (NULL on overflow). */
void *mem_alloc_array(size_t count, size_t size);
/* Grows or shrinks; new bytes are undefined; on failure the old block stays valid. */
void *mem_realloc(void *p, size_t old_bytes, size_t new_bytes);
/* A list of n things of `size` bytes with room for one more: as it is, or grown with its *capacity
 * (both 0 and NULL at first). NULL: no memory, and the list stays valid. */
void *mem_room(void *list, size_t n, size_t *capacity, size_t size);
char *mem_strdup(const char *s);
/* printf into fresh memory; NULL when there is none. */
char *mem_printf(const char *format, ...) PRINTF_LIKE(1, 2);
void mem_free(void *p); /* accepts NULL */

/* The same for blocks that are walked from end to end: zeroed when first touched, and large ones in
 * huge pages where the system has them. Freed with their size, by mem_free_pages only. */
void *mem_alloc_pages(size_t bytes);
void mem_free_pages(void *p, size_t bytes); /* accepts NULL */

/* Calls of mem_alloc, mem_alloc_pages and mem_realloc so far, over all threads. */
int64_t mem_allocations(void);
/* From now on the n-th allocation (1 = the next) returns NULL, once; 0 switches it off. */
void mem_fail_after(int64_t n);

typedef struct Arena Arena;
Arena *arena_new(void);
/* Zeroed, 16-byte aligned, lives until arena_free; NULL when memory is short. */
void *arena_alloc(Arena *a, size_t bytes);
char *arena_strdup(Arena *a, const char *s);
char *arena_printf(Arena *a, const char *format, ...) PRINTF_LIKE(2, 3);
void arena_free(Arena *a); /* accepts NULL */

#endif
